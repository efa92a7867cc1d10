"""The doors of one-time links: inviting somebody, and choosing a password behind a link. Nobody is signed in here."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import directory, invitations
from accounts.acting import Refused
from accounts.directory import Some
from accounts.models import TWO_PEOPLE, Role
from accounts.web.doors import acting, door
from accounts.web.people import with_link


@dataclass(frozen=True)
class InvitePage:
    """The form of an invitation, with what was typed."""

    teams: Some[tuple[str, str, bool]]  # for `more` there are the teams' own pages
    roles: list[tuple[str, str, bool]]
    email: str = ""
    name: str = ""
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChoosePage:
    """The form behind a link; without `name` the link is not good."""

    name: str = ""
    email: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """/people/invite/: GET the form; POST `email`, `name`, `teams`, `roles`; 201 with the link, shown once, or 422."""
    by = acting(request)
    chosen, roles = request.POST.getlist("teams"), request.POST.getlist("roles")
    email, name = (request.POST.get(field, "").replace("\x00", "") for field in ("email", "name"))
    errors: dict[str, str] = {}
    if request.method == "POST":
        teams = directory.teams_called(chosen)
        try:
            person, token = invitations.invite(
                by=by, email=email, name=name, teams=teams, roles=[role for role in Role if role.value in roles]
            )
        except Refused as refused:
            errors = {refused.field or "email": str(refused)}
        else:
            return with_link(request, person, token, status=201)
    known = directory.teams()
    page = InvitePage(
        teams=Some([(team.slug, team.name, team.slug in chosen) for team in known], known.more),
        roles=[(role.value, str(role.label), role.value in roles) for role in Role if role not in TWO_PEOPLE],
        email=email,
        name=name,
        errors=errors,
    )
    return render(request, "accounts/invite.html", {"page": page}, status=422 if errors else 200)


@door
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def one_time_link(request: HttpRequest, token: str) -> HttpResponse:
    """/accounts/setup/<token>/: GET the form, which spends nothing (mail scanners follow links); POST `password1` and
    `password2`; 303 to sign-in, 422, or 410 where the link is not good (any more)."""
    found = invitations.open_link(token)
    if found is None:
        return render(request, "accounts/choose.html", {"page": ChoosePage()}, status=410)
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        password = request.POST.get("password1", "")
        try:
            if password != request.POST.get("password2", ""):
                raise ValidationError(_("Type the same password twice."))
            invitations.accept(token=token, password=password)
        except ValidationError as error:
            errors = {"password1": list(error.messages)}
        except Refused:
            return render(request, "accounts/choose.html", {"page": ChoosePage()}, status=410)
        else:
            messages.success(request, _("Your password is chosen. Sign in with it."))
            return HttpResponseRedirect(reverse("account_login"), status=303)
    page = ChoosePage(name=found.person.name, email=found.person.email, errors=errors)
    return render(request, "accounts/choose.html", {"page": page}, status=422 if errors else 200)
