"""The door of a person's preferences: how they are told. Light and dark are `config.pages`' to keep."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import Role
from approvals.notifications import preferences
from approvals.web.doors import door, person_of, viewer_of


@dataclass(frozen=True)
class PreferencesPage:
    """What the page shows; `windows` are seconds and words."""

    address: str
    email: bool
    window_seconds: int
    windows: list[tuple[int, str]]
    administrator: bool
    error: str = ""


@door
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """/preferences/: GET the form, POST `email` and `window_seconds`; 303 back, or 422."""
    person = person_of(request)
    if request.method != "POST":
        kept = preferences.of(person)
        return _page(request, kept.email, kept.window_seconds)
    email = request.POST.get("email") == "on"
    try:
        window = int(request.POST.get("window_seconds", ""))
        preferences.choose(person=person, email=email, window_seconds=window)
    except ValueError:
        return _page(request, email, -1, error=_("Choose how long messages are gathered."))
    messages.success(request, _("Your preferences are kept."))
    return HttpResponseRedirect(reverse("preferences"), status=303)


def _page(request: HttpRequest, email: bool, window: int, *, error: str = "") -> HttpResponse:
    page = PreferencesPage(
        address=person_of(request).email,
        email=email,
        window_seconds=window,
        windows=[(seconds, _words(seconds)) for seconds in preferences.WINDOWS],
        administrator=Role.ADMINISTRATOR in viewer_of(request).roles,
        error=error,
    )
    return render(request, "approvals/preferences.html", {"page": page}, status=422 if error else 200)


def _words(seconds: int) -> str:
    if seconds == 0:
        return _("At once, a message each")
    if seconds < 3600:
        return _("For %(n)s minutes") % {"n": seconds // 60}
    return _("For an hour")
