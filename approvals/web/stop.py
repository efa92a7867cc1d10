"""The doors of the kill switch, for administrators and leadership; for anyone else they are not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.sign_in import authentication_of
from agents import stops
from agents.models import Stop
from agents.stops import StopRefused
from approvals import access
from approvals.access import Viewer
from approvals.display.visible import Runs
from approvals.web import words
from approvals.web.doors import door, person_of, typed

CONFIRM = "STOP"  # typed by hand, so that no stray click stops everything


@dataclass(frozen=True)
class StopRow:
    """A stop, in force or lifted."""

    number: int
    at: datetime
    by: Runs
    why: Runs
    lifted_at: datetime | None
    lifted_by: Runs
    lift_why: Runs


@dataclass(frozen=True)
class StopPage:
    """What holds now, what was, and the form that is this person's to use; `errors` by field."""

    now: StopRow | None
    before: Sequence[StopRow]
    why_not_lift: str
    confirm: str = CONFIRM
    errors: dict[str, str] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """/stop/: GET the switch and its past; POST `reason`, `confirm`: 303 back, 409 where it holds already, 422."""
    person = access.stopper(person_of(request))
    if request.method != "POST":
        return render(request, "approvals/stop.html", {"page": _page(person)})
    if typed(request, "confirm").strip() != CONFIRM:
        return _again(request, person, {"confirm": _("Type %(word)s in capitals.") % {"word": CONFIRM}}, status=422)
    try:
        stops.begin(by=person_of(request), reason=typed(request, "reason"), auth=authentication_of(request))
    except StopRefused as refused:
        return _again(request, person, {refused.field or "form": str(refused)}, status=refused.status)
    messages.success(request, _("All agents are stopped. What was pending is being withdrawn."))
    return HttpResponseRedirect(reverse("stop"), status=303)


@door
@never_cache
@require_POST
def lift(request: HttpRequest) -> HttpResponse:
    """POST /stop/lift/ `number`, `reason`: 303 back; 409 refused, as to the one who stopped them, 422."""
    person = access.stopper(person_of(request))
    number = typed(request, "number")
    try:
        stops.lift(
            number=int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0,
            by=person_of(request),
            reason=typed(request, "reason"),
            auth=authentication_of(request),
        )
    except StopRefused as refused:
        return _again(request, person, {"lift_reason": str(refused)}, status=refused.status)
    messages.success(request, _("Agents may ask again. What was withdrawn does not come back."))
    return HttpResponseRedirect(reverse("stop"), status=303)


def _again(request: HttpRequest, person: Viewer, errors: dict[str, str], *, status: int) -> HttpResponse:
    page = _page(person, errors=errors, kept={"reason": typed(request, "reason")})
    return render(request, "approvals/stop.html", {"page": page}, status=status)


def _page(person: Viewer, *, errors: dict[str, str] | None = None, kept: dict[str, str] | None = None) -> StopPage:
    found = stops.recent()
    holding = next((stop for stop in found if stop.lifted_at is None), None)
    why_not = ""
    if holding is not None and holding.started_by_id == person.user.pk:
        why_not = _("You stopped all agents, so somebody else lets them ask again: an administrator or leadership.")
    return StopPage(
        now=_row(holding) if holding else None,
        before=[_row(stop) for stop in found if stop.lifted_at is not None],
        why_not_lift=why_not,
        errors=errors or {},
        typed=kept or {},
    )


def _row(stop: Stop) -> StopRow:
    return StopRow(
        number=stop.number,
        at=stop.started_at,
        by=_who(stop.started_by),
        why=words.text(stop.reason),
        lifted_at=stop.lifted_at,
        lifted_by=_who(stop.lifted_by) if stop.lifted_at else (),
        lift_why=words.text(stop.lift_reason),
    )


def _who(person: User | None) -> Runs:
    return words.name(person) if person is not None else words.own(_("An operator"))
