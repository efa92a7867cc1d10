"""What was typed for an approval, kept in the session while the person confirms that it is them; scripts not needed.

Only the reason, its code, the note and an edit of the parameters, of a few requests, until decided or signed out; never
a verdict, nor the fact that is typed again. An edit is given back only while what it was made from still stands.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest

from approvals import amending
from approvals.models import Request
from approvals.rationale import RATIONALE_AT_MOST

FIELDS = ("rationale", "note", "reason_code")
REQUESTS_AT_MOST = 5
EDIT_AT_MOST = 300_000  # characters; an edit is kept whole or not at all
_KEY = "decision_drafts"
_MADE_FROM = "made_from"


def keep(request: HttpRequest, subject: Request) -> None:
    """Keep what the posted form holds, in place of what was kept of this request before; the oldest gives way."""
    typed = {name: request.POST.get(name, "").replace("\x00", "")[:RATIONALE_AT_MOST] for name in FIELDS}
    edit = request.POST.get("parameters", "")
    if len(edit) <= EDIT_AT_MOST and edit and amending.edits(edit, subject.effective_digest):
        typed |= {"parameters": edit, _MADE_FROM: subject.effective_digest}
    drafts: dict[str, dict[str, str]] = request.session.get(_KEY, {})
    drafts.pop(str(subject.pk), None)
    drafts[str(subject.pk)] = {name: text for name, text in typed.items() if text}
    request.session[_KEY] = dict(list(drafts.items())[-REQUESTS_AT_MOST:])


def kept(request: HttpRequest, subject: Request) -> dict[str, str]:
    """What is kept of this request, by field; empty where nothing is."""
    found: dict[str, str] = dict(request.session.get(_KEY, {}).get(str(subject.pk), {}))
    if found.pop(_MADE_FROM, "") != subject.effective_digest:
        found.pop("parameters", None)
    return found


def forget(request: HttpRequest, request_id: UUID) -> None:
    """Once it is decided, or ended, nothing is kept."""
    drafts = request.session.get(_KEY, {})
    if drafts.pop(str(request_id), None) is not None:
        request.session[_KEY] = drafts
