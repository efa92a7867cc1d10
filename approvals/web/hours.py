"""The door of a team's working hours, for administrators; for anyone else it is not there. What they are for is said
in `accounts.hours`.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import directory, hours
from accounts.acting import Refused
from accounts.hours import Hours
from accounts.sign_in import authentication_of
from approvals import access
from approvals.web.doors import door, person_of

_DAYS = [
    ("1", gettext_lazy("Monday")), ("2", gettext_lazy("Tuesday")), ("3", gettext_lazy("Wednesday")),
    ("4", gettext_lazy("Thursday")), ("5", gettext_lazy("Friday")), ("6", gettext_lazy("Saturday")),
    ("7", gettext_lazy("Sunday")),
]  # fmt: skip
_TIME = {"format": "%H:%M", "attrs": {"type": "time", "step": "60"}}


class HoursForm(forms.Form):
    """On which days, from when until when, and by which clock."""

    weekdays = forms.MultipleChoiceField(label=gettext_lazy("Days"), choices=_DAYS, widget=forms.CheckboxSelectMultiple)
    opens = forms.TimeField(label=gettext_lazy("From"), widget=forms.TimeInput(**_TIME))  # type: ignore[arg-type]
    closes = forms.TimeField(
        label=gettext_lazy("Until"),
        widget=forms.TimeInput(**_TIME),  # type: ignore[arg-type]
        help_text=gettext_lazy("Earlier than From: until the following day."),
    )
    timezone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=64,
        help_text=gettext_lazy("As the tz database has it: Europe/Berlin, America/New_York, UTC."),
    )


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """/teams/<slug>/hours/: GET the form, POST `weekdays`, `opens`, `closes`, `timezone`, or `always`; 303, or 422."""
    person = access.administrator(person_of(request))
    team = directory.team(slug)
    if team is None:
        raise Http404
    kept = hours.of(team)
    if request.method != "POST":
        return _page(request, team, kept, HoursForm(initial=_initial(kept)), 200)
    if request.POST.get("always"):
        hours.keep(by=person.user, team=team, hours=None, auth=authentication_of(request))
        messages.success(request, _("%(team)s has no hours now: it always works.") % {"team": team.slug})
        return HttpResponseRedirect(reverse("team_hours", args=[slug]), status=303)
    form = HoursForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        wanted = Hours(
            frozenset(map(int, given["weekdays"])), given["opens"], given["closes"], given["timezone"].strip()
        )
        try:
            hours.keep(by=person.user, team=team, hours=wanted, auth=authentication_of(request))
        except Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(request, _("%(team)s works %(hours)s.") % {"team": team.slug, "hours": wanted})
            return HttpResponseRedirect(reverse("team_hours", args=[slug]), status=303)
    return _page(request, team, kept, form, 422)


def _initial(kept: Hours | None) -> dict[str, Any]:
    if kept is None:
        return {"weekdays": ["1", "2", "3", "4", "5"], "opens": "09:00", "closes": "17:00", "timezone": "UTC"}
    days = [str(day) for day in sorted(kept.weekdays)]
    return {"weekdays": days, "opens": kept.opens, "closes": kept.closes, "timezone": kept.zone}


def _page(request: HttpRequest, team: Any, kept: Hours | None, form: HoursForm, status: int) -> HttpResponse:
    context = {"team": team, "hours": str(kept) if kept is not None else "", "form": form}
    return render(request, "approvals/team_hours.html", context, status=status)
