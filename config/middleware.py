"""What every page's answer passes through: no caching, and a word for fragments of the signed-out.

That a person must be signed in is Django's own LoginRequiredMiddleware's work: a page that forgets to ask is closed.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url

Next = Callable[[HttpRequest], HttpResponse]

_CACHEABLE = ("/assets/", "/static/", "/.well-known/")


def NoStore(get_response: Next) -> Next:
    """Pages are not kept by browsers or proxies."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path.startswith(_CACHEABLE):
            response.headers["Cache-Control"] = "no-store"
        return response

    return middleware


def SignInForFragments(get_response: Next) -> Next:
    """A redirect to sign-in cannot be shown inside a fragment: htmx gets 401 and a word for the page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        to_sign_in = response.status_code == 302 and response["Location"].startswith(resolve_url(settings.LOGIN_URL))
        if getattr(request, "htmx", False) and to_sign_in:
            return HttpResponse(status=401, headers={"HX-Trigger": "signed-out", "Cache-Control": "no-store"})
        return response

    return middleware
