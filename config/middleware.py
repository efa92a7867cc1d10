"""What a page's answer passes through, and a machine's call does not; no caching, and a word for the signed-out.

That a person must be signed in is Django's own LoginRequiredMiddleware's work: a page that forgets to ask is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware, LoginRequiredMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.gzip import GZipMiddleware
from django.middleware.locale import LocaleMiddleware
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django_htmx.middleware import HtmxMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

Next = Callable[[HttpRequest], HttpResponse]

#: Called by machines; the documentation page among them is drawn for people.
MACHINES = ("/api/", "/.well-known/", "/healthz", "/readyz", "/metrics")
#: Probes come by address and not by name: they are answered whatever the Host header says.
PROBES = ("/healthz", "/readyz", "/metrics")
_FOR_PEOPLE = "/api/v1/docs"
_CACHEABLE = ("/assets/", "/static/", "/.well-known/")


def by_machine(request: HttpRequest) -> bool:
    """Whether this call is one of a program's, known by its address alone."""
    return request.path.startswith(MACHINES) and not request.path.startswith(_FOR_PEOPLE)


def for_pages(middleware: Any) -> Any:
    """The same middleware, passed by for a machine's call."""

    def factory(get_response: Next) -> Next:
        inner = middleware(get_response)

        def call(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = (get_response if by_machine(request) else inner)(request)
            return response

        hook = getattr(inner, "process_view", None)
        if hook is not None:

            def process_view(request: HttpRequest, *rest: Any) -> Any:
                return None if by_machine(request) else hook(request, *rest)

            call.process_view = process_view  # type: ignore[attr-defined]  # where Django looks for it
        return call

    return factory


GZip = for_pages(GZipMiddleware)
WhiteNoise = for_pages(WhiteNoiseMiddleware)
Session = for_pages(SessionMiddleware)
Locale = for_pages(LocaleMiddleware)
Csrf = for_pages(CsrfViewMiddleware)
Authentication = for_pages(AuthenticationMiddleware)
LoginRequired = for_pages(LoginRequiredMiddleware)
Messages = for_pages(MessageMiddleware)
Htmx = for_pages(HtmxMiddleware)


def Common(get_response: Next) -> Next:
    """Django's own, which refuses a host that is not ours; not for probes."""
    inner: Any = CommonMiddleware(get_response)

    def middleware(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = (get_response if request.path in PROBES else inner)(request)
        return response

    return middleware


def NoStore(get_response: Next) -> Next:
    """Pages are not kept by browsers or proxies."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path.startswith(_CACHEABLE):
            response.headers["Cache-Control"] = "no-store"
        return response

    return middleware


@for_pages
def SignInForFragments(get_response: Next) -> Next:
    """A redirect to sign-in cannot be shown inside a fragment: htmx gets 401 and a word for the page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        to_sign_in = response.status_code == 302 and response["Location"].startswith(resolve_url(settings.LOGIN_URL))
        if getattr(request, "htmx", False) and to_sign_in:
            return HttpResponse(status=401, headers={"HX-Trigger": "signed-out", "Cache-Control": "no-store"})
        return response

    return middleware


def Unavailable(get_response: Next) -> Next:
    """A page that cannot be made because the database is away says so, with 503; the API's own handler does for it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, (OperationalError, InterfaceError)) and not by_machine(request):
            return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "1"})
        return None

    middleware.process_exception = process_exception  # type: ignore[attr-defined]  # where Django looks for it
    return middleware
