"""The doors of people: the list, one person, and what an administrator does to them. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import departures, directory, invitations, letters, membership, two_people
from accounts.acting import Acting, Refused
from accounts.directory import Entry, Some
from accounts.models import TWO_PEOPLE, RightsChange, Role, RoleGrant, Team, User
from accounts.web.doors import acting, acting_afresh, as_id, door, refusal, roles_of_reader

PAGE = 50
Kind = RightsChange.Kind


@dataclass(frozen=True)
class PeoplePage:
    """The list, the changes that wait for somebody, and what nobody answers for."""

    entries: list[Entry]
    waiting: Some[RightsChange]
    ownerless: Some[tuple[str, User]]
    words: str
    state: str
    states: list[tuple[str, str]]
    older_url: str
    acts: bool


@dataclass(frozen=True)
class PersonPage:
    """One person; `link` only in the answer to the act that made it."""

    entry: Entry
    grants: list[RoleGrant]
    changes: list[RightsChange]
    seats: Some[Team]  # teams they could be seated in; for `more` there are the teams' own pages
    roles: list[tuple[str, str, bool]]  # value, word, whether it takes two
    acts: bool
    me: bool
    of_two: bool
    error: str = ""
    wrong: str = ""  # the field the error is about
    typed: Mapping[str, str] = field(default_factory=dict)
    made: bool = False  # a link was made just now
    link: str = ""
    sent: bool = False


@door
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /people/: by name, `?q=` and `?state=`, a page at a time."""
    roles = roles_of_reader(request)
    words, state = request.GET.get("q", "").replace("\x00", "").strip(), request.GET.get("state", "")
    states = {"active": _("Active"), "invited": _("Invited, not signed in yet"), "deactivated": _("Deactivated")}
    state = state if state in states else ""
    found = directory.page_of_people(
        words=words, state=state, after=as_id(request.GET.get("after", "")), limit=PAGE + 1
    )
    asked = {name: value for name, value in (("q", words), ("state", state)) if value}
    last = found[PAGE - 1].user.pk if len(found) > PAGE else None
    page = PeoplePage(
        entries=found[:PAGE],
        waiting=directory.waiting_changes(),
        ownerless=directory.ownerless(),
        words=words,
        state=state,
        states=list(states.items()),
        older_url=f"{reverse('people')}?{urlencode({**asked, 'after': last})}" if last else "",
        acts=Role.ADMINISTRATOR in roles,
    )
    return render(request, "accounts/people.html", {"page": page})


@door
@require_safe
def show(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """GET /people/<id>/."""
    return _page(request, person_id, roles_of_reader(request))


@door
@require_POST
def seats(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/teams/: `act` seat or unseat, `team`, `reason`; 303 back, or 422."""
    acting(request)
    act = {"seat": membership.seat, "unseat": membership.unseat}.get(request.POST.get("act", ""))
    if act is None:
        return refusal(request)

    def change(by: Acting) -> str:
        team = directory.team(request.POST.get("team", ""))
        if team is None:
            raise Refused(_("Choose a team."), "team")
        act(by=by, person_id=person_id, team=team, reason=request.POST.get("reason", ""))
        return _("Their teams were changed.")

    return _done(request, person_id, change)


@door
@require_POST
def roles(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/roles/: `act` give or take, `role`, `until` (a day), `reason`; 303 back, or 422. What takes
    two people is proposed."""
    acting(request)
    role = next((one for one in Role if one.value == request.POST.get("role", "")), None)
    giving = {"give": True, "take": False}.get(request.POST.get("act", ""))
    if giving is None:
        return refusal(request)
    reason = request.POST.get("reason", "")

    def change(by: Acting) -> str:
        if role is None:
            raise Refused(_("Choose a role."), "role")
        if role in TWO_PEOPLE:
            if request.POST.get("until"):
                raise Refused(_("A role that takes two has no end: it is taken back by two."), "until")
            kind = Kind.GIVE if giving else Kind.TAKE
            return _proposed(two_people.propose(by=by, person_id=person_id, kind=kind, role=role, reason=reason))
        if giving:
            until = _end_of(request.POST.get("until", ""))
            membership.give(by=by, person_id=person_id, role=role, until=until, reason=reason)
        else:
            membership.take(by=by, person_id=person_id, role=role, reason=reason)
        return _("Their roles were changed.")

    return _done(request, person_id, change, afresh=role in TWO_PEOPLE)


@door
@require_POST
def deactivate(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/deactivate/: `reason`. At once, or proposed where it takes two; 303 back, or 422."""
    return _one_or_two(request, person_id, Kind.DEACTIVATE, departures.deactivate, _("This person was deactivated."))


@door
@require_POST
def reactivate(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/reactivate/: `reason`. They come back without teams and roles; 303 back, or 422."""
    return _one_or_two(request, person_id, Kind.REACTIVATE, departures.reactivate, _("This person may sign in again."))


@door
@require_POST
def sign_out(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/sign-out/: every session of theirs ends at once; 303 back."""

    def change(by: Acting) -> str:
        departures.end_sessions(by=by, person_id=person_id)
        return _("They are signed out everywhere.")

    return _done(request, person_id, change)


@door
@never_cache
@require_POST
def new_link(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """POST /people/<id>/link/: a one-time link, sent and shown this once; where it takes two, proposed."""
    by, of_two = acting(request), _takes_two(person_id)
    try:
        by = acting_afresh(request) if of_two else by
        if of_two:
            reason = request.POST.get("reason", "")
            said = _proposed(two_people.propose(by=by, person_id=person_id, kind=Kind.RESET, reason=reason))
            messages.success(request, said)
            return HttpResponseRedirect(reverse("person", args=[person_id]), status=303)
        person, token = invitations.invite_again(by=by, person_id=person_id)
    except Refused as refused:
        return _refused(request, person_id, refused)
    return with_link(request, person, token)


@door
@never_cache
@require_POST
def decide_change(request: HttpRequest, change_id: UUID) -> HttpResponse:
    """POST /people/changes/<id>/: `act` confirm or cancel, `person` to come back to; 303, or 200 with a link."""
    acting(request)
    person_id = as_id(request.POST.get("person", ""))
    if person_id is None or request.POST.get("act") not in ("confirm", "cancel"):
        return refusal(request)
    try:
        by, token = acting_afresh(request), ""
        if request.POST["act"] == "cancel":
            person = two_people.cancel(by=by, change_id=change_id)
        else:
            person, token = two_people.confirm(by=by, change_id=change_id)
    except Refused as refused:
        return _refused(request, person_id, refused)
    if token:
        return with_link(request, person, token)
    word = _("The change was dropped.") if request.POST["act"] == "cancel" else _("Confirmed: it is in effect.")
    messages.success(request, word)
    return HttpResponseRedirect(reverse("person", args=[person.pk]), status=303)


def with_link(request: HttpRequest, person: User, token: str, *, status: int = 200) -> HttpResponse:
    """The person's page after their new link was mailed to them; it is shown, this once, where `SHOW_LINKS` says so."""
    address = invitations.link(token)
    sent = letters.send_link(person, address)
    shown = address if settings.SHOW_LINKS else ""
    return _page(request, person.pk, roles_of_reader(request), made=True, link=shown, sent=sent, status=status)


def _one_or_two(
    request: HttpRequest, person_id: UUID, kind: RightsChange.Kind, alone: Callable[..., None], done: str
) -> HttpResponse:
    acting(request)
    reason, of_two = request.POST.get("reason", ""), _takes_two(person_id)

    def change(by: Acting) -> str:
        if of_two:
            return _proposed(two_people.propose(by=by, person_id=person_id, kind=kind, reason=reason))
        alone(by=by, person_id=person_id, reason=reason)
        return done

    return _done(request, person_id, change, afresh=of_two)


def _takes_two(person_id: UUID) -> bool:
    """Asked once the gate has let somebody through; the verbs ask again under their lock."""
    entry = directory.person(person_id)
    if entry is None:
        raise Http404
    return departures.holds_a_role_of_two(entry.user)


def _proposed(change: RightsChange | None) -> str:
    if change is None:
        return _("Done at once, because there was one administrator only. From now on this takes two.")
    return _("Proposed. It takes effect when another administrator confirms it within 7 days.")


def _end_of(day: str) -> datetime | None:
    """The end of that day, UTC; None where none was given."""
    if not day:
        return None
    try:
        parsed = parse_date(day)
    except ValueError:
        parsed = None
    if parsed is None:
        raise Refused(_("Give a day as 2027-03-31."), "until")
    return datetime(parsed.year, parsed.month, parsed.day, 23, 59, 59, tzinfo=UTC)


def _done(
    request: HttpRequest, person_id: UUID, change: Callable[[Acting], str], *, afresh: bool = False
) -> HttpResponse:
    by = acting(request)
    if directory.person(person_id) is None:
        raise Http404
    try:
        said = change(acting_afresh(request) if afresh else by)
    except Refused as refused:
        return _refused(request, person_id, refused)
    messages.success(request, said)
    return HttpResponseRedirect(reverse("person", args=[person_id]), status=303)


def _refused(request: HttpRequest, person_id: UUID, refused: Refused) -> HttpResponse:
    typed = {name: str(value)[:600] for name, value in request.POST.items()}
    return _page(request, person_id, roles_of_reader(request), refused=refused, typed=typed, status=422)


def _page(
    request: HttpRequest,
    person_id: UUID,
    reader: frozenset[Role],
    *,
    refused: Refused | None = None,
    typed: Mapping[str, str] | None = None,
    made: bool = False,
    link: str = "",
    sent: bool = False,
    status: int = 200,
) -> HttpResponse:
    entry = directory.person(person_id)
    if entry is None:
        raise Http404
    acts = Role.ADMINISTRATOR in reader
    grants = directory.role_grants(entry.user)
    held = {grant.role for grant in grants}
    seats = directory.teams() if acts else Some[Team]([])
    page = PersonPage(
        entry=entry,
        grants=grants,
        changes=directory.changes_of(entry.user),
        seats=Some([team for team in seats if team.slug not in entry.teams], seats.more),
        roles=[(role.value, str(role.label), role in TWO_PEOPLE) for role in Role if role.value not in held],
        acts=acts,
        me=entry.user.pk == request.user.pk,
        of_two=departures.holds_a_role_of_two(entry.user),
        error=str(refused) if refused else "",
        wrong=refused.field if refused else "",
        typed=typed or {},
        made=made,
        link=link,
        sent=sent,
    )
    return render(request, "accounts/person.html", {"page": page}, status=status)
