"""What was typed for an approval, kept in the session while the person confirms that it is them; scripts not needed.

Only the reason, its code and the note, of a few requests, until decided or signed out; never a verdict, never a
parameter.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest

from approvals.rationale import RATIONALE_AT_MOST

FIELDS = ("rationale", "note", "reason_code")
REQUESTS_AT_MOST = 5
_KEY = "decision_drafts"


def keep(request: HttpRequest, request_id: UUID) -> None:
    """Keep what the posted form holds, in place of what was kept of this request before; the oldest gives way."""
    typed = {name: request.POST.get(name, "").replace("\x00", "")[:RATIONALE_AT_MOST] for name in FIELDS}
    drafts: dict[str, dict[str, str]] = request.session.get(_KEY, {})
    drafts.pop(str(request_id), None)
    drafts[str(request_id)] = {name: text for name, text in typed.items() if text}
    request.session[_KEY] = dict(list(drafts.items())[-REQUESTS_AT_MOST:])


def kept(request: HttpRequest, request_id: UUID) -> dict[str, str]:
    """What is kept of this request, by field; empty where nothing is."""
    found: dict[str, str] = request.session.get(_KEY, {}).get(str(request_id), {})
    return dict(found)


def forget(request: HttpRequest, request_id: UUID) -> None:
    """Once it is decided, or ended, nothing is kept."""
    drafts = request.session.get(_KEY, {})
    if drafts.pop(str(request_id), None) is not None:
        request.session[_KEY] = drafts
