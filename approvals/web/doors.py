"""What every page's door does alike: reads only, `Vary: HX-Request`, and a page where the database is busy. No row is
fetched here and no rule applied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from accounts.models import User
from agents.problems import Problem
from approvals import access
from approvals.access import Viewer
from audit.entries import EvidenceUnavailable

View = Callable[..., HttpResponseBase]
RETRY_AFTER_SECONDS = "2"


def person_of(request: HttpRequest) -> User:
    """Who is signed in; LoginRequiredMiddleware lets nobody else through."""
    return cast(User, request.user)


def viewer_of(request: HttpRequest) -> Viewer:
    """The signed-in person with their teams and roles; one query."""
    return access.viewer(person_of(request))


def door(view: View) -> View:
    """A page: what is busy, or could not be recorded, is 503 and says so; fragments and pages are told apart."""

    @functools.wraps(view)
    def opened(request: HttpRequest, *args: Any, **keywords: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **keywords)
        except Problem as problem:
            if problem.status != 503:
                raise
            response = unavailable(request)
        except EvidenceUnavailable:
            response = unavailable(request)
        patch_vary_headers(response, ["HX-Request"])
        return response

    return opened


def unavailable(request: HttpRequest) -> HttpResponse:
    """503, with when to try again."""
    response = render(request, "503.html", status=503)
    response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def typed(request: HttpRequest, name: str) -> str:
    """What a form's field says, as the database can store it."""
    return storable(request.POST.get(name, ""))


def asked(request: HttpRequest, name: str) -> str:
    """What the address asks for by that name, as the database can be asked it."""
    return storable(request.GET.get(name, ""))


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL stores nowhere, and without half surrogate pairs, which UTF-8 has not."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds, as scripts count."""
    return int(moment.timestamp() * 1000)


def stamped(response: HttpResponse, now: datetime) -> HttpResponse:
    """A poll's answer with the database's clock, so that countdowns stay true."""
    response["X-Now"] = str(milliseconds(now))
    return response
