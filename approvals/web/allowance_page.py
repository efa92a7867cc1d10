"""Allowances as their pages show them: the form with its bounds tried on real requests, one allowance with its uses,
and a row of a list. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import second_factor
from approvals import access, allowances, policies, queries, quorum, roster, spending
from approvals.access import Viewer
from approvals.display.visible import Runs
from approvals.models import Allowance, Request
from approvals.rules import conditions
from approvals.rules.conditions import BadCondition
from approvals.web import rows, words

TRIED = 20
USES = 50


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
    once: str  # the form's own id: sent twice, it makes one allowance
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


def row_of(person: Viewer, allowance: Allowance, now: datetime) -> AllowanceRow:
    """An allowance of `access.allowances_of` as lists show it to this person."""
    state = spending.state_of(allowance, now)
    plain = access.reads_bounds(person, allowance)
    return AllowanceRow(
        url=reverse("allowance", args=[allowance.pk]),
        action=words.text(allowance.action),
        agent=allowance.agent.slug,
        condition=words.text(allowance.condition, multiline=True) if plain else words.MASKED,
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


def _confirm_url(person: Viewer, back: str) -> str:
    if not second_factor.has_one(person.user):
        return reverse("mfa_index")
    return second_factor.confirm_url(person.user, back=back)


# ---- the form


def suggested(basis: Request) -> dict[str, str]:
    """What the form begins with: bounds that the request itself falls under."""
    action = allowances.catalogued(basis)
    given = basis.effective_parameters
    text = conditions.suggestion(action, resource=basis.resource, parameters=given) if action else ""
    return {"condition": text, "uses": "10", "hours": "24", "rationale": ""}


def new_page(
    person: Viewer,
    basis: Request,
    values: Mapping[str, str],
    *,
    errors: Mapping[str, str] | None = None,
    confirm: bool = False,
) -> NewPage:
    """The form for an allowance like `basis`, with its bounds tried on what was filed; `confirm`: a second factor is
    missing."""
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
    return NewPage(
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
        once=values.get("once") or str(uuid4()),
        why_not=why_not,
        confirm_url=_confirm_url(person, back) if confirm else "",
    )


def _tried(person: Viewer, condition: conditions.Condition, basis: Request) -> list[Tried]:
    found = roster.filed_like(person, basis, TRIED)
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


def one_page(
    person: Viewer,
    allowance: Allowance,
    *,
    problem: str = "",
    problem_field: str = "",
    values: Mapping[str, str] | None = None,
    confirm: bool = False,
) -> AllowancePage:
    """One allowance as this person may see it; `problem` where a form was refused."""
    now = queries.clock()
    row = row_of(person, allowance, now)
    plain = access.reads_bounds(person, allowance)
    agreements = spending.agreements_of([allowance.pk]).get(allowance.pk, [])
    ruling = allowances.ruling_for(allowance.basis)
    stands = spending.standing(ruling, agreements, owner_id=allowance.agent.owner_id)
    missing = _(" or ").join(stands.missing)
    used = roster.uses_of(person, allowance, USES)
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
        basis_url=rows.url_of(allowance.basis_id) if roster.may_open(person, allowance.basis_id) else "",
        free=_free(allowance) if plain else "",
        created_at=allowance.created_at,
        revoked=_revoked(allowance),
        revoked_at=allowance.revoked_at,
        agreed=[
            Yes(words.name(one.person), one.at, words.text(one.rationale, multiline=True) if plain else words.MASKED)
            for one in agreements
        ],
        missing=missing if row.state == "waiting" else "",
        unusable=unusable,
        uses=[
            UseRow(
                use.number,
                use.at,
                rows.url_of(use.request_id),
                words.title(
                    use.request,
                    versions.get(use.request.policy_id),
                    masked=not access.entitled(person, use.request),
                ),
                use.request.grant.redeemed_at is not None,
            )
            for use in used
        ],
        may_agree=row.state == "waiting" and not agreed and not cannot,
        may_revoke=not over and access.may_revoke(person, allowance),
        problem=problem,
        problem_field=problem_field,
        values=values or {},
        confirm_url=_confirm_url(person, row.url) if confirm else "",
    )


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
