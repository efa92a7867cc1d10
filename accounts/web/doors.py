"""What the doors of people's pages do alike: who may read, who may change, how recent their sign-in must be, and 503.

What may not be seen is not found. No row is fetched here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from allauth.core.exceptions import ReauthenticationRequired
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts import confirming
from accounts.acting import Acting, Refused
from accounts.directory import READERS
from accounts.models import Role, User
from accounts.people import teams_and_roles_of
from accounts.second_factor import FRESH
from accounts.sign_in import authentication_of
from audit.entries import EvidenceUnavailable
from audit.limits import clock

View = Callable[..., HttpResponseBase]
AHEAD = timedelta(seconds=2)


def door(view: View) -> View:
    """A page of people's: what could not be recorded was not done, and is 503."""

    @functools.wraps(view)
    def opened(request: HttpRequest, *args: Any, **keywords: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **keywords)
        except EvidenceUnavailable:
            response = render(request, "503.html", status=503)
            response["Retry-After"] = "2"
            return response

    return opened


def roles_of_reader(request: HttpRequest) -> frozenset[Role]:
    """The roles of who reads; 404 for whom people's pages are not there."""
    roles = teams_and_roles_of(_signed_in(request))[1]
    if not roles & READERS:
        raise Http404
    return roles


def acting(request: HttpRequest) -> Acting:
    """The administrator who is changing something; 404 for anybody else. Verbs ask again under their lock."""
    if Role.ADMINISTRATOR not in teams_and_roles_of(_signed_in(request))[1]:
        raise Http404
    return Acting(_signed_in(request), authentication_of(request))


def acting_afresh(request: HttpRequest) -> Acting:
    """`acting`, by somebody who proved who they are within 5 minutes, by the database's clock: what takes two people
    is not done from a desk that was left. Otherwise they are asked, and what they sent is then taken up again."""
    by = acting(request)
    age = clock() - by.auth.at
    if -AHEAD <= age < FRESH:
        return by
    if confirming.has_no_method(by.person):
        raise Refused(_("Sign out and in again first: this asks for a sign-in less than 5 minutes old."))
    raise ReauthenticationRequired


def as_id(text: str) -> UUID | None:
    """The id that a query or a form names; None for anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None


def refusal(request: HttpRequest) -> HttpResponse:
    """For an act that the page has no such button for."""
    return render(request, "400.html", status=400)


def _signed_in(request: HttpRequest) -> User:
    return cast(User, request.user)  # LoginRequiredMiddleware lets nobody else through
