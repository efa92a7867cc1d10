"""What a reviewer's edit did to a request, as its page says it: who changed what, and whose decisions fell. Nothing is
fetched or decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals.access import Viewer
from approvals.display.editing import editable
from approvals.display.visible import joined
from approvals.models import Decision, Request
from approvals.queries import Seen
from approvals.states import Status
from approvals.viewing import Shown
from approvals.web import changes, words
from approvals.web.pages import Amendment, Event

# The form is posted whole, whatever is decided: parameters too large to come along are edited by nobody, so that they
# can still be rejected. Some two thirds of a page's body limit once they are percent-encoded at three for one.
EDITABLE_AT_MOST = 200_000


def amendment(request: Request, *, masked: bool) -> Amendment | None:
    """The edit that stands; None where what was filed does."""
    if request.amended_by is None or request.amended_at is None:
        return None
    by = words.name(request.amended_by)
    if masked:
        return Amendment(by, request.amended_at)
    lines = changes.lines(request.parameters, request.effective_parameters) if request.is_amended else []
    return Amendment(by, request.amended_at, lines, f"{reverse('request_parameters', args=[request.pk])}?filed=1")


def text_to_edit(request: Request, shown: Shown) -> str:
    """The parameters for the form's field; empty where they are cut on this page, or too large to be posted."""
    if shown.view.truncated:
        return ""
    text = editable(request.effective_parameters)
    return text if len(text.encode()) <= EDITABLE_AT_MOST else ""


def voidings(fallen: Sequence[Decision]) -> list[Event]:
    """One event for each decision that fell, with why."""
    return [
        Event(
            decision.voided_at,
            words.own(_("Countersign")),
            _("voided a decision"),
            joined(words.name(decision.person), words.own(": "), words.text(decision.void_reason)),
        )
        for decision in fallen
        if decision.voided_at is not None
    ]


def told(person: Viewer, seen: Seen, votes: Sequence[Decision], fallen: Sequence[Decision], *, may_decide: bool) -> str:
    """What a reader whose own decision fell is told; empty for everybody else."""
    mine = [decision for decision in fallen if decision.person_id == person.user.pk]
    voted = any(vote.person_id == person.user.pk for vote in votes)
    if not mine or voted or seen.status is not Status.PENDING:
        return ""
    last = mine[-1]
    said = _("Your approval of %(at)s no longer counts: %(why)s") % {
        "at": words.at(last.decided_at, seen.now),
        "why": last.void_reason,
    }
    return f"{said} {_('Look at it as it is now, and decide again.')}" if may_decide else said
