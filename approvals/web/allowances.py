"""The doors of allowances: propose one from a request, look at it with its uses, agree to it, revoke it. The verbs
decide; each of their refusals becomes a page here that keeps what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.sign_in import authentication_of
from approvals import access, allowances, queries, roster
from approvals.access import Viewer
from approvals.allowances import Wanted
from approvals.errors import DecisionRefused, StepUpNeeded, Unfit
from approvals.models import Request
from approvals.web import allowance_page, words
from approvals.web.doors import asked, door, person_of, typed, viewer_of

PAGE = 50


@door
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /allowances/: those this person may see, newest first; `?agent=` of one agent alone."""
    person = viewer_of(request)
    agent = asked(request, "agent")
    listed = roster.allowances(person, agent=agent, before=_uuid(asked(request, "before")), limit=PAGE + 1)
    now = queries.clock()
    narrowed = {"agent": agent} if agent else {}
    older = f"?{urlencode({**narrowed, 'before': str(listed[PAGE - 1].pk)})}" if len(listed) > PAGE else ""
    context = {
        "rows": [allowance_page.row_of(person, one, now) for one in listed[:PAGE]],
        "older_url": older,
        "agent": words.text(agent[:50]),
    }
    return render(request, "approvals/allowances.html", {"page": context})


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """/allowances/new/: GET `?request=` the form; POST `request`, `condition`, `uses`, `hours`, `rationale`: 303 to the
    allowance, 200 where only `try` was asked, else 403, 409, 422 or 503 with the text kept."""
    person = viewer_of(request)
    given = request.POST if request.method == "POST" else request.GET
    basis_id = _uuid(given.get("request", ""))
    if basis_id is None:
        raise Http404
    basis = access.request_to_see(person, basis_id).request
    if not access.entitled(person, basis):
        raise Http404  # an auditor reads masked pages, and a condition would spell the values out
    if request.method != "POST":
        return _form(request, person, basis, allowance_page.suggested(basis))
    values = {name: typed(request, name) for name in ("condition", "uses", "hours", "rationale", "once")}
    if "try" in request.POST:
        return _form(request, person, basis, values)
    try:
        made = allowances.propose(
            person=person_of(request),
            request_id=basis.pk,
            wanted=Wanted(
                values["condition"].replace("\r\n", "\n"),
                _number(values["uses"]),
                _number(values["hours"]),
                values["rationale"],
                _uuid(values["once"]),
            ),
            auth=authentication_of(request),
        )
    except Unfit as unfit:
        return _form(request, person, basis, values, errors=unfit.fields, status=422)
    except DecisionRefused as refused:
        return _form(request, person, basis, values, errors={"form": str(refused)}, refused=refused)
    if made.active_at is not None:
        messages.success(request, _("The allowance is in force."))
    else:
        messages.success(request, _("Your yes is recorded. It is in force once the others have agreed."))
    return _back(made.pk)


@door
@require_safe
def show(request: HttpRequest, allowance_id: UUID) -> HttpResponse:
    """GET /allowances/<id>/: its bounds, who agreed, its uses; 404 where this person may not see it."""
    person = viewer_of(request)
    page = allowance_page.one_page(person, access.allowance_to_see(person, allowance_id))
    return render(request, "approvals/allowance.html", {"page": page})


@door
@never_cache
@require_POST
def agree(request: HttpRequest, allowance_id: UUID) -> HttpResponse:
    """POST /allowances/<id>/agree/ `rationale`: 303 back, else 403, 409, 422 or 503 with the text kept."""
    person = viewer_of(request)
    access.allowance_to_see(person, allowance_id)
    why = typed(request, "rationale")
    try:
        allowances.agree(person=person_of(request), allowance_id=allowance_id, why=why, auth=authentication_of(request))
    except DecisionRefused as refused:
        return _refused(request, person, allowance_id, refused, "rationale")
    messages.success(request, _("Your yes is recorded."))
    return _back(allowance_id)


@door
@never_cache
@require_POST
def revoke(request: HttpRequest, allowance_id: UUID) -> HttpResponse:
    """POST /allowances/<id>/revoke/ `reason`: 303 back; 404 where it is not this person's to do, 409, 422."""
    person = viewer_of(request)
    if not access.may_revoke(person, access.allowance_to_see(person, allowance_id)):
        raise Http404
    try:
        allowances.revoke(
            person=person_of(request),
            allowance_id=allowance_id,
            reason=typed(request, "reason"),
            auth=authentication_of(request),
        )
    except DecisionRefused as refused:
        return _refused(request, person, allowance_id, refused, "reason")
    messages.success(request, _("Revoked. What was granted under it and not redeemed is void."))
    return _back(allowance_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _number(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else None


def _back(allowance_id: UUID) -> HttpResponse:
    return HttpResponseRedirect(reverse("allowance", args=[allowance_id]), status=303)


def _form(
    request: HttpRequest,
    person: Viewer,
    basis: Request,
    values: Mapping[str, str],
    *,
    errors: Mapping[str, str] | None = None,
    refused: DecisionRefused | None = None,
    status: int = 200,
) -> HttpResponse:
    page = allowance_page.new_page(person, basis, values, errors=errors, confirm=isinstance(refused, StepUpNeeded))
    if refused is not None:
        status = refused.status
    elif page.errors:
        status = 422
    return render(request, "approvals/allowance_new.html", {"page": page}, status=status)


def _refused(
    request: HttpRequest, person: Viewer, allowance_id: UUID, refused: DecisionRefused, name: str
) -> HttpResponse:
    page = allowance_page.one_page(
        person,
        access.allowance_to_see(person, allowance_id),
        problem=str(refused),
        problem_field=name,
        values={name: typed(request, name)},
        confirm=isinstance(refused, StepUpNeeded),
    )
    return render(request, "approvals/allowance.html", {"page": page}, status=refused.status)
