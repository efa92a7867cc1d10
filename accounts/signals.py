"""What travels upward when people's rights shrink, sent inside the transaction. Nothing is changed here."""

from __future__ import annotations

from django.dispatch import Signal

#: Somebody left a team, lost the auditor's role or was deactivated. Keywords: `person` (its row is locked), `by` (the
#: `Party` who did it), `active`, `teams` (slugs of those they still sit in), `roles` (those they still hold), `what`
#: befell them, as after "The voter" (a predicate with its full stop, of at most 150 characters).
rights_shrank = Signal()
