"""The doors of allowances: propose one from a request, look at it with its uses, agree to it, revoke it. The verbs
decide; each of their refusals becomes a page here that keeps what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import second_factor
from accounts.sign_in import authentication_of
from approvals import access, allowances, policies, queries, quorum, roster, spending
from approvals.access import Viewer
from approvals.allowances import Wanted
from approvals.display.visible import Runs
from approvals.errors import DecisionRefused, StepUpNeeded, Unfit
from approvals.models import Allowance, Request
from approvals.rules import conditions
from approvals.rules.conditions import BadCondition
from approvals.web import rows, words
from approvals.web.doors import door, person_of, viewer_of

PAGE = 50
TRIED = 20


@dataclass(frozen=True)
class AllowanceRow:
    """An allowance in a list."""

    url: str
    action: Runs
    agent: str
    condition: Runs
    state: str
    state_word: str
    left: int
    total: int
    ends_at: datetime


@dataclass(frozen=True)
class Tried:
    """A request that was filed, and whether it would fall under the condition."""

    url: str
    title: Runs
    falls_under: bool


@dataclass(frozen=True)
class NewPage:
    """The form for an allowance like a request; `why_not` where this person cannot propose one."""

    request_url: str
    request_id: UUID
    title: Runs
    action: Runs
    agent: str
    asked: str
    values: Mapping[str, str]
    errors: Mapping[str, str]
    tried: list[Tried]
    under: int
    free: str
    why_not: str = ""
    confirm_url: str = ""


@dataclass(frozen=True)
class Yes:
    """Who agreed, when and why."""

    who: Runs
    at: datetime
    why: Runs


@dataclass(frozen=True)
class UseRow:
    """A request that was approved under it."""

    number: int
    at: datetime
    url: str
    title: Runs
    redeemed: bool


@dataclass(frozen=True)
class AllowancePage:
    """One allowance; `problem` where a form was refused, `confirm_url` where a second factor is missing."""

    row: AllowanceRow
    id: UUID
    agent_url: str
    basis_url: str
    free: str
    created_at: datetime
    revoked: Runs
    revoked_at: datetime | None
    agreed: list[Yes]
    missing: str
    unusable: str
    uses: list[UseRow]
    may_agree: bool
    may_revoke: bool
    problem: str = ""
    problem_field: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    confirm_url: str = ""


@door
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /allowances/: those this person may see, newest first."""
    person = viewer_of(request)
    found = access.allowances_of(person)
    before = _uuid(request.GET.get("before", ""))
    listed = list((found.filter(pk__lt=before) if before else found).order_by("-id")[: PAGE + 1])
    now = queries.clock()
    older = f"?{urlencode({'before': str(listed[PAGE - 1].pk)})}" if len(listed) > PAGE else ""
    context = {"rows": [row_of(one, now) for one in listed[:PAGE]], "older_url": older}
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
        return _form(request, person, basis, _suggested(basis))
    values = {name: _text(request, name) for name in ("condition", "uses", "hours", "rationale")}
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
    page = _page(person, access.allowance_to_see(person, allowance_id))
    return render(request, "approvals/allowance.html", {"page": page})


@door
@never_cache
@require_POST
def agree(request: HttpRequest, allowance_id: UUID) -> HttpResponse:
    """POST /allowances/<id>/agree/ `rationale`: 303 back, else 403, 409, 422 or 503 with the text kept."""
    person = viewer_of(request)
    access.allowance_to_see(person, allowance_id)
    why = _text(request, "rationale")
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
        allowances.revoke(person=person_of(request), allowance_id=allowance_id, reason=_text(request, "reason"))
    except DecisionRefused as refused:
        return _refused(request, person, allowance_id, refused, "reason")
    messages.success(request, _("Revoked. What was granted under it and not redeemed is void."))
    return _back(allowance_id)


def row_of(allowance: Allowance, now: datetime) -> AllowanceRow:
    """An allowance as lists show it."""
    state = spending.state_of(allowance, now)
    return AllowanceRow(
        url=reverse("allowance", args=[allowance.pk]),
        action=words.text(allowance.action),
        agent=allowance.agent.slug,
        condition=words.text(allowance.condition, multiline=True),
        state=state,
        state_word=_state_words()[state],
        left=allowance.uses_left,
        total=allowance.uses_total,
        ends_at=allowance.ends_at,
    )


def _state_words() -> dict[str, str]:
    return {
        "revoked": _("Revoked"),
        "used-up": _("Used up"),
        "ended": _("Ended"),
        "waiting": _("Waits for agreement"),
        "active": _("In force"),
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _text(request: HttpRequest, name: str) -> str:
    # PostgreSQL stores no NUL, and UTF-8 no half of a surrogate pair
    return request.POST.get(name, "").replace("\x00", "").encode("utf-8", "replace").decode()


def _number(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else None


def _back(allowance_id: UUID) -> HttpResponse:
    return HttpResponseRedirect(reverse("allowance", args=[allowance_id]), status=303)


def _confirm_url(person: Viewer, back: str) -> str:
    if not second_factor.has_one(person.user):
        return reverse("mfa_index")
    return second_factor.confirm_url(person.user, back=back)


# ---- the form


def _suggested(basis: Request) -> dict[str, str]:
    action = allowances.catalogued(basis)
    given = basis.effective_parameters
    text = conditions.suggestion(action, resource=basis.resource, parameters=given) if action else ""
    return {"condition": text, "uses": "10", "hours": "24", "rationale": ""}


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
    ruling = allowances.ruling_for(basis)
    wrong = dict(errors or {})
    tried: list[Tried] = []
    free = ""
    why_not = allowances.why_not_ahead(ruling) or allowances.why_not_agree(person, basis.agent.owner_id, ruling)
    if not why_not:
        try:
            condition = allowances.checked(values["condition"].replace("\r\n", "\n").strip(), basis)
        except BadCondition as bad:
            wrong.setdefault("condition", str(bad))
        else:
            free = ", ".join(condition.free)
            tried = _tried(person, condition, basis)
    back = f"{reverse('allowance_new')}?request={basis.pk}"
    page = NewPage(
        request_url=rows.url_of(basis.pk),
        request_id=basis.pk,
        title=words.title(basis, policies.version(basis.policy_id), masked=False),
        action=words.text(basis.action),
        agent=basis.agent.slug,
        asked=quorum.as_text(ruling.requirement) if ruling.requirement else "",
        values=values,
        errors=wrong,
        tried=tried,
        under=sum(1 for one in tried if one.falls_under),
        free=free,
        why_not=why_not,
        confirm_url=_confirm_url(person, back) if isinstance(refused, StepUpNeeded) else "",
    )
    if refused is not None:
        status = refused.status
    elif wrong:
        status = 422
    return render(request, "approvals/allowance_new.html", {"page": page}, status=status)


def _tried(person: Viewer, condition: conditions.Condition, basis: Request) -> list[Tried]:
    found = roster.filed_like(basis, TRIED)
    versions = policies.versions(one.policy_id for one in found)
    return [
        Tried(
            rows.url_of(one.pk),
            words.title(one, versions.get(one.policy_id), masked=not access.entitled(person, one)),
            condition.holds(agent=one.agent.slug, resource=one.resource, parameters=one.effective_parameters),
        )
        for one in found
    ]


# ---- one allowance


def _refused(
    request: HttpRequest, person: Viewer, allowance_id: UUID, refused: DecisionRefused, name: str
) -> HttpResponse:
    url = reverse("allowance", args=[allowance_id])
    page = _page(
        person,
        access.allowance_to_see(person, allowance_id),
        problem=str(refused),
        problem_field=name,
        values={name: _text(request, name)},
        confirm_url=_confirm_url(person, url) if isinstance(refused, StepUpNeeded) else "",
    )
    return render(request, "approvals/allowance.html", {"page": page}, status=refused.status)


def _page(
    person: Viewer,
    allowance: Allowance,
    *,
    problem: str = "",
    problem_field: str = "",
    values: Mapping[str, str] | None = None,
    confirm_url: str = "",
) -> AllowancePage:
    now = queries.clock()
    row = row_of(allowance, now)
    agreements = spending.agreements_of([allowance.pk]).get(allowance.pk, [])
    ruling = allowances.ruling_for(allowance.basis)
    stands = spending.standing(ruling, agreements, owner_id=allowance.agent.owner_id)
    missing = _(" or ").join(stands.missing)
    used = roster.uses_of(allowance, PAGE)
    versions = policies.versions(one.request.policy_id for one in used)
    agreed = any(one.person_id == person.user.pk for one in agreements)
    cannot = allowances.why_not_ahead(ruling) or allowances.why_not_agree(person, allowance.agent.owner_id, ruling)
    over = row.state in ("revoked", "ended", "used-up")
    unusable = ""
    if row.state == "active":
        unusable = allowances.why_not_ahead(ruling) or (missing and _("Missing now: %(what)s.") % {"what": missing})
    return AllowancePage(
        row=row,
        id=allowance.pk,
        agent_url=reverse("agent", args=[allowance.agent.slug])
        if person.roles & access.SEES_AGENTS or allowance.agent.owner_id == person.user.pk
        else "",
        basis_url=rows.url_of(allowance.basis_id),
        free=_free(allowance),
        created_at=allowance.created_at,
        revoked=_revoked(allowance),
        revoked_at=allowance.revoked_at,
        agreed=[Yes(words.name(one.person), one.at, words.text(one.rationale, multiline=True)) for one in agreements],
        missing=missing if row.state == "waiting" else "",
        unusable=unusable,
        uses=[
            UseRow(
                use.number,
                use.at,
                rows.url_of(use.request_id),
                words.title(use.request, versions.get(use.request.policy_id), masked=not _open(person, allowance)),
                use.request.grant.redeemed_at is not None,
            )
            for use in used
        ],
        may_agree=row.state == "waiting" and not agreed and not cannot,
        may_revoke=not over and access.may_revoke(person, allowance),
        problem=problem,
        problem_field=problem_field,
        values=values or {},
        confirm_url=confirm_url,
    )


def _open(person: Viewer, allowance: Allowance) -> bool:
    """Whether payloads are shown to this person: as `access.entitled` has it for each of its requests."""
    return bool(person.teams & set(allowance.teams)) or allowance.agent.owner_id == person.user.pk


def _free(allowance: Allowance) -> str:
    action = allowances.catalogued(allowance.basis)
    try:
        return ", ".join(conditions.read(allowance.condition, action).free) if action is not None else ""
    except BadCondition:
        return ""


def _revoked(allowance: Allowance) -> Runs:
    if allowance.revoked_at is None:
        return ()
    who = words.name(allowance.revoked_by) if allowance.revoked_by else words.own(_("Countersign"))
    return (*who, *words.own(": "), *words.text(allowance.revoke_reason))
