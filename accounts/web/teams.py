"""The doors of teams: the list, one team with who sits in it, and seating. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import directory, membership
from accounts.acting import Refused
from accounts.directory import Entry, Some
from accounts.invitations import fit_name
from accounts.models import Role, Team, User
from accounts.web.doors import acting, as_id, door, refusal, roles_of_reader

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,48}[a-z0-9]")


@dataclass(frozen=True)
class TeamsPage:
    """All teams, and the form for another one."""

    teams: Some[Any]
    acts: bool
    more_url: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TeamPage:
    """One team."""

    team: Team
    members: Some[Entry]
    others: list[User]
    acts: bool
    more_url: str = ""
    error: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)


@door
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """/teams/: GET all; POST `slug` and `name` makes one; 303 to it, or 422."""
    acts = Role.ADMINISTRATOR in roles_of_reader(request)
    if request.method != "POST":
        return _all(request, acts)
    by, slug = acting(request), request.POST.get("slug", "").strip()
    try:
        if not _SLUG.fullmatch(slug):
            raise Refused(_("2 to 50 lower-case letters, digits and hyphens, beginning with a letter."), "slug")
        membership.new_team(by=by, slug=slug, name=fit_name(request.POST.get("name", "")))
    except Refused as refused:
        typed = {"slug": slug, "name": request.POST.get("name", "")}
        return _all(request, acts, errors={refused.field or "slug": str(refused)}, typed=typed)
    messages.success(request, _("The team is there. Policy may name it."))
    return HttpResponseRedirect(reverse("team", args=[slug]), status=303)


@door
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """/teams/<slug>/: GET who sits in it; POST `act` seat with `email`, or unseat with `person`; 303 back, or 422."""
    roles = roles_of_reader(request)
    by = acting(request) if request.method == "POST" else None
    team = directory.team(slug)
    if team is None:
        raise Http404
    if by is None:
        return _page(request, team, roles)
    act = request.POST.get("act")
    if act not in ("seat", "unseat"):
        return refusal(request)
    reason = request.POST.get("reason", "")
    try:
        if act == "seat":
            person = directory.by_email(request.POST.get("email", ""))
            if person is None:
                raise Refused(_("Nobody here has this address. Invite them first."), "email")
            membership.seat(by=by, person_id=person.pk, team=team, reason=reason)
        else:
            person_id = as_id(request.POST.get("person", ""))
            if person_id is None or directory.person(person_id) is None:
                raise Http404
            membership.unseat(by=by, person_id=person_id, team=team, reason=reason)
    except Refused as refused:
        typed = {name: str(value)[:600] for name, value in request.POST.items()}
        return _page(request, team, roles, error=str(refused), typed=typed)
    messages.success(request, _("The team was changed."))
    return HttpResponseRedirect(reverse("team", args=[slug]), status=303)


def _all(
    request: HttpRequest,
    acts: bool,
    *,
    errors: dict[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> HttpResponse:
    teams = directory.teams(request.GET.get("after", ""))
    more_url = f"?{urlencode({'after': teams[-1].slug})}" if teams.more else ""
    page = TeamsPage(teams, acts, more_url, errors or {}, typed or {})
    return render(request, "accounts/teams.html", {"page": page}, status=422 if errors else 200)


def _page(
    request: HttpRequest,
    team: Team,
    roles: frozenset[Role],
    *,
    error: str = "",
    typed: Mapping[str, str] | None = None,
) -> HttpResponse:
    acts = Role.ADMINISTRATOR in roles
    others = directory.somebody_to_seat(team) if acts else []
    members = directory.members(team, as_id(request.GET.get("after", "")))
    more_url = f"?after={members[-1].user.pk}" if members.more else ""
    page = TeamPage(team, members, others, acts, more_url, error, typed or {})
    return render(request, "accounts/team.html", {"page": page}, status=422 if error else 200)
