"""The doors of absence: a person names who decides for them and ends it; an administrator does so for somebody who is
away; auditors see all. Whether a delegation may be is the verb's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import delegations, directory
from accounts.absence import REASON_AT_MOST, Delegation
from accounts.acting import Refused
from accounts.models import Role
from accounts.sign_in import authentication_of
from approvals import listing, queries
from approvals.access import Viewer
from approvals.display.visible import Runs
from approvals.web import words
from approvals.web.doors import door, person_of, viewer_of
from audit.entries import Authentication

PAGE = 50
_MOMENT = {"format": "%Y-%m-%dT%H:%M", "attrs": {"type": "datetime-local", "step": "60"}}
_ADDRESS = {"list": "colleagues", "autocomplete": "off", "spellcheck": "false"}


class DelegationForm(forms.Form):
    """Who decides for whom, from when until when, and why."""

    delegator = forms.EmailField(
        required=False,
        label=gettext_lazy("For whom"),
        widget=forms.EmailInput(attrs=_ADDRESS),
        help_text=gettext_lazy("The address of somebody who is away. Leave it empty for yourself."),
    )
    delegate = forms.EmailField(
        label=gettext_lazy("Who decides instead"),
        widget=forms.EmailInput(attrs=_ADDRESS),
        help_text=gettext_lazy("The address of a colleague. They pass on none of it."),
    )
    starts_at = forms.DateTimeField(
        required=False,
        label=gettext_lazy("From (UTC)"),
        widget=forms.DateTimeInput(**_MOMENT),  # type: ignore[arg-type]
        help_text=gettext_lazy("Empty: from now on. At most 90 days ahead."),
    )
    ends_at = forms.DateTimeField(
        label=gettext_lazy("Until (UTC)"),
        widget=forms.DateTimeInput(**_MOMENT),  # type: ignore[arg-type]
        help_text=gettext_lazy("30 days at most. It can be ended at any time before."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=REASON_AT_MOST,
        help_text=gettext_lazy("Colleagues and auditors read it."),
    )

    def __init__(self, *args: Any, administrator: bool, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        if not administrator:
            del self.fields["delegator"]


@dataclass(frozen=True)
class DelegationRow:
    """One delegation as the page says it."""

    delegate: Runs
    delegator: Runs
    starts_at: datetime
    until: datetime
    reason: Runs
    state: str
    not_for: Sequence[str]  # agents whose requests it does not cover
    end_url: str = ""
    by: Runs = ()  # an administrator who named it, or who ended it


@dataclass(frozen=True)
class AbsencePage:
    """What the page shows; `all` and the pager are for auditors and administrators."""

    form: DelegationForm
    given: Sequence[DelegationRow]
    held: Sequence[DelegationRow]
    colleagues: Sequence[str]
    sees_all: bool
    all: Sequence[DelegationRow] = ()
    older_url: str = ""


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """/preferences/delegation/: GET the page, POST `delegate`, `starts_at`, `ends_at`, `reason` (and, of an
    administrator, `delegator`); 303 back, or 422."""
    person = viewer_of(request)
    administrator = Role.ADMINISTRATOR in person.roles
    if request.method != "POST":
        return _page(request, person, DelegationForm(administrator=administrator), 200)
    form = DelegationForm(request.POST, administrator=administrator)
    if form.is_valid() and _named(person, form, authentication_of(request)):
        messages.success(request, _("It is kept, and shown on each request it is used for."))
        return HttpResponseRedirect(reverse("delegation"), status=303)
    return _page(request, person, form, 422)


def _named(person: Viewer, form: DelegationForm, auth: Authentication) -> bool:
    given = form.cleaned_data
    delegator = directory.by_email(given["delegator"]) if given.get("delegator") else person.user
    delegate = directory.by_email(given["delegate"])
    for name, found in (("delegator", delegator), ("delegate", delegate)):
        if found is None:
            form.add_error(name, _("Nobody here has this address."))
    if delegator is None or delegate is None:
        return False
    try:
        delegations.name(
            by=person.user,
            delegator=delegator,
            delegate=delegate,
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            reason=given["reason"],
            auth=auth,
        )
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return False
    return True


@door
@require_POST
def end(request: HttpRequest, delegation_id: UUID) -> HttpResponse:
    """POST /preferences/delegation/<id>/end/: at once; 303 back. 404 for whom it is not to end."""
    try:
        delegations.end(by=person_of(request), delegation_id=delegation_id, auth=authentication_of(request))
    except Delegation.DoesNotExist as error:
        raise Http404 from error
    except Refused as refused:
        messages.info(request, str(refused))
    else:
        messages.success(request, _("It has ended."))
    return HttpResponseRedirect(reverse("delegation"), status=303)


def _page(request: HttpRequest, person: Viewer, form: DelegationForm, status: int) -> HttpResponse:
    given, held = delegations.of(person.user)
    older = _older(request.GET.get("before", ""))
    everybody = delegations.newest(PAGE + 1, older) if person.sees_all else []
    agents = listing.owned_by(
        {one for row in (*given, *held, *everybody) for one in (row.delegator_id, row.delegate_id)}
    )
    now = queries.clock()
    administrator = Role.ADMINISTRATOR in person.roles

    def rows(found: Sequence[Delegation], *, may_end: bool) -> list[DelegationRow]:
        return [_row(one, agents, now, may_end=may_end) for one in found]

    page = AbsencePage(
        form=form,
        given=rows(given, may_end=True),
        held=rows(held, may_end=False),
        colleagues=delegations.colleagues(person.user),
        sees_all=person.sees_all,
        all=rows(everybody[:PAGE], may_end=administrator),
        older_url=f"?before={everybody[PAGE - 1].pk}" if len(everybody) > PAGE else "",
    )
    return render(request, "approvals/delegation.html", {"page": page}, status=status)


def _older(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def _row(one: Delegation, agents: dict[UUID, list[str]], now: datetime, *, may_end: bool) -> DelegationRow:
    over = one.until <= now
    by: Runs = ()
    if one.ended_by_id is not None and one.ended_by_id != one.delegator_id and one.ended_by is not None:
        by = (*words.own(_("ended by ")), *words.name(one.ended_by))
    elif one.named_by_id != one.delegator_id:
        by = (*words.own(_("named by ")), *words.name(one.named_by))
    return DelegationRow(
        delegate=words.name(one.delegate),
        delegator=words.name(one.delegator),
        starts_at=one.starts_at,
        until=one.until,
        reason=words.text(one.reason),
        state=_("ended") if over else _("planned") if one.starts_at > now else _("in force"),
        not_for=sorted({*agents.get(one.delegator_id, ()), *agents.get(one.delegate_id, ())}),
        end_url=reverse("delegation_end", args=[one.pk]) if may_end and not over else "",
        by=by,
    )
