"""What travels upward when people's rights shrink, sent inside the transaction. Nothing is changed here."""

from __future__ import annotations

from django.dispatch import Signal

#: Somebody left a team, lost the auditor's role or was deactivated. Keywords: `person` (its row is locked), `by` (the
#: `Party` who did it), `active`, `teams` (slugs of those they still sit in), `roles` (those they still hold), `reason`
#: (a sentence of at most 200 characters).
rights_shrank = Signal()
