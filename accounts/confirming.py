"""Confirms who is there, for people who have neither password nor second factor here: their provider is asked again.

allauth takes such a person's open session for proof enough. A stolen cookie would then add a factor of the thief's own
and approve with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import urlencode

from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.departures import holds_a_role_of_two
from accounts.models import User
from accounts.second_factor import FRESH
from audit.limits import clock

_KEY = "confirmed_by_provider"
#: How old the provider's own proof may be when it comes back, in seconds; and how far its clock may be ahead.
PROOF_SECONDS = 60


def has_no_method(user: User) -> bool:
    """Whether this person can confirm nothing here: no password, no second factor, no recovery code."""
    return not get_reauthentication_flows(user)


def require(request: HttpRequest) -> None:
    """Pass where the provider confirmed this person within 5 minutes; else send them there, or refuse.

    Raises `ImmediateHttpResponse`.
    """
    user = request.user
    if not isinstance(user, User):
        return
    if holds_a_role_of_two(user):
        _refuse(request, _("Your role takes two people. Ask two administrators for a new sign-in."))
    if not settings.OIDC_ISSUER:
        _refuse(request, _("You have no password to confirm with. Ask an administrator for a one-time link."))
    if _is_fresh(request, user):
        return
    query = urlencode({"next": request.get_full_path() if request.method == "GET" else reverse("mfa_index")})
    raise ImmediateHttpResponse(HttpResponseRedirect(f"{reverse('oidc_confirm')}?{query}"))


def _is_fresh(request: HttpRequest, user: User) -> bool:
    found = request.session.get(_KEY)
    if not isinstance(found, dict) or found.get("person") != str(user.pk):
        return False
    age = clock() - datetime.fromtimestamp(float(found["at"]), UTC)
    return 0 <= age.total_seconds() < FRESH.total_seconds()


def note(request: HttpRequest, person: User) -> None:
    """Keep that the provider has just confirmed this person anew."""
    request.session[_KEY] = {"person": str(person.pk), "at": clock().timestamp()}


def is_proof(claims: dict[str, object], *, at: datetime) -> bool:
    """Whether the provider says by `auth_time` that it asked this person just now; saying nothing proves nothing."""
    asked_at = claims.get("auth_time")
    if isinstance(asked_at, bool) or not isinstance(asked_at, (int, float)):
        return False
    return abs(at.timestamp() - asked_at) <= PROOF_SECONDS


def _refuse(request: HttpRequest, sentence: str) -> NoReturn:
    raise ImmediateHttpResponse(render(request, "403.html", {"reason": sentence}, status=403))
