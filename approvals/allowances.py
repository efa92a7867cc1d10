"""The verbs of allowances: propose one from a request, agree to it, revoke it. What uses it is `spending`'s.

The quorum that policy asks of each single request agrees to the whole, the owner of the agent never counts, and nothing
critical is allowed ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts import acting, reasons, second_factor
from accounts.models import Membership, User
from agents import permission
from approvals import access, policies, queries, quorum, rationale, spending, voiding
from approvals.access import Viewer
from approvals.errors import (
    AlreadyDecided,
    CannotRecord,
    DecisionRefused,
    EnoughAllowed,
    NotYours,
    StepUpNeeded,
    Stopped,
    Unfit,
)
from approvals.models import Allowance, AllowanceAgreement, Request
from approvals.models.allowance import USES_AT_MOST
from approvals.quorum import Standing
from approvals.rules import conditions
from approvals.rules.catalogue import Action
from approvals.rules.conditions import BadCondition, Condition
from approvals.rules.ruling import Ruling
from approvals.transactions import verb
from audit import refusals
from audit.canonical import timestamp
from audit.entries import Authentication, Draft, EvidenceUnavailable, Party, Personal, record
from audit.health import assert_log_is_live
from audit.types import EntryType

HOURS_AT_MOST = 30 * 24
CRITICAL = "Nothing critical is allowed ahead: each such request takes two people who look at it."
OPEN_AT_MOST = 20  # for one agent and action: each of its filings reads them all
_PROPOSING = 0x616C_6C6F  # the advisory lock of proposals for one agent and action: 'allo'


@dataclass(frozen=True, slots=True)
class Wanted:
    """An allowance as asked for: a Cedar expression, how many uses, for how many hours, and why; `once` is the form's
    own id, which the allowance takes, so that a form sent twice makes one."""

    condition: str
    uses: int | None
    hours: int | None
    rationale: str
    once: UUID | None = None


def ruling_for(request: Request) -> Ruling:
    """What policy asks of such a request now, which is what an allowance for it takes."""
    return policies.ruling_now(request)


def why_not_ahead(ruling: Ruling) -> str:
    """The sentence that says why nothing like this can be allowed ahead; empty where it can."""
    if ruling.risk == "critical":
        return CRITICAL
    if ruling.outcome == "blocked":
        return "Policy does not permit this, so it cannot be allowed ahead."
    if ruling.outcome == "allowed":
        return "Policy asks nobody for this, so there is nothing to allow."
    if not spending.may_stand_in(ruling):
        return "Some of its parameters are not understood, so each such request is looked at by people."
    return ""


def why_not_agree(person: Viewer, owner_id: UUID, ruling: Ruling) -> str:
    """The sentence that says why this person's yes would not count towards such an allowance; empty where it would."""
    if not person.user.is_active:
        return "This account is not active."
    if owner_id == person.user.pk:
        return "You answer for this agent, so you cannot allow it anything."
    if not person.teams & quorum.teams_of(ruling.requirement or quorum.NOBODY):
        return "You sit in none of the teams that decide such requests."
    return ""


def catalogued(request: Request) -> Action | None:
    """The action as the policy in force describes it."""
    pack = policies.in_force().pack
    return pack.catalogue.get(request.action) if pack is not None else None


def checked(condition: str, request: Request) -> Condition:
    """The condition, which this request itself falls under; raises `BadCondition`."""
    action = catalogued(request)
    if action is None:
        raise BadCondition("This action is in no catalogue any more.")
    found = conditions.read(condition, action)
    if not found.holds(agent=request.agent.slug, resource=request.resource, parameters=request.effective_parameters):
        raise BadCondition("The request that it is made from would not fall under it.")
    return found


@verb
def propose(*, person: User, request_id: UUID, wanted: Wanted, auth: Authentication) -> Allowance:
    """Make an allowance like this request, with the proposer's own yes; in force at once where that is the quorum.

    Raises `NotYours`, `StepUpNeeded`, `Stopped`, `EnoughAllowed`, `CannotRecord`, or `Unfit` with what is wrong by
    field.
    """
    acting.hold_active(person)
    request = Request.objects.select_related("agent").get(pk=request_id)
    may = permission.held(request.agent_id)
    with _evidence(person, Party("request", str(request.pk))):
        if may.ended:
            raise Stopped("This agent is stopped, so nothing is allowed to it.")
        ruling, now = ruling_for(request), queries.clock()
        _refuse(person, request.agent.owner_id, ruling, auth, now)
        uses = _fit(wanted, request)
        if (before := _made_before(person, request, wanted.once)) is not None:
            return before
        _refuse_more(request, may.epoch, now)
    allowance = Allowance(
        id=wanted.once or uuid7(),
        agent=request.agent,
        action=request.action,
        condition=wanted.condition.strip(),
        uses_total=uses,
        uses_left=uses,
        ends_at=now + timedelta(hours=wanted.hours or 0),
        basis=request,
        ruling=ruling.as_json(),
        risk=ruling.risk,
        teams=sorted(quorum.teams_of(ruling.requirement or quorum.NOBODY)),
        epoch=may.epoch,
    )
    allowance.save(force_insert=True)
    record(
        Draft(
            type=EntryType.ALLOWANCE_PROPOSED,
            actor=Party("person", str(person.pk)),
            subject=_party(allowance),
            facts={
                "agent": str(request.agent_id),
                "action": request.action,
                "uses": allowance.uses_total,
                "ends_at": timestamp(allowance.ends_at),
                "risk": ruling.risk,
                "request": str(request.pk),
            },
            personal={"condition": Personal(allowance.condition)},
            auth=auth,
        )
    )
    _agree(allowance, person, wanted.rationale, ruling, auth, now)
    return allowance


@verb
def agree(*, person: User, allowance_id: UUID, why: str, auth: Authentication) -> Allowance:
    """Add this person's yes; the allowance is in force once they are the quorum. Raises as `propose`, and
    `AlreadyDecided` where it is in force, revoked, over, or they agreed before."""
    acting.hold_active(person)
    agent_id = Allowance.objects.values_list("agent_id", flat=True).get(pk=allowance_id)
    may = permission.held(agent_id)
    allowance = Allowance.objects.select_for_update(of=("self",)).get(pk=allowance_id)
    now = queries.clock()
    with _evidence(person, _party(allowance)):
        if may.ended or allowance.epoch < may.epoch:
            raise Stopped("This agent was stopped, so nothing is allowed to it.")
        if allowance.revoked_at is not None or allowance.ends_at <= now or allowance.active_at is not None:
            raise AlreadyDecided("This allowance is over, or in force already.")
        if AllowanceAgreement.objects.filter(allowance=allowance, person=person).exists():
            raise AlreadyDecided("You have agreed to this allowance already.")
        ruling = ruling_for(allowance.basis)
        _refuse(person, allowance.agent.owner_id, ruling, auth, now)
        if not rationale.is_sentence(why.strip()) or len(why) > rationale.RATIONALE_AT_MOST:
            raise Unfit({"rationale": _SENTENCE})
    _agree(allowance, person, why, ruling, auth, now)
    return allowance


@verb
def revoke(*, person: User, allowance_id: UUID, reason: str, auth: Authentication) -> Allowance:
    """End an allowance at once: no use after this commit, and what was granted under it and not spent is void.

    Raises `NotYours`, `AlreadyDecided` where it is revoked, `Unfit` without a reason.
    """
    acting.hold_active(person)
    allowance = Allowance.objects.select_for_update(of=("self",)).get(pk=allowance_id)
    with _evidence(person, _party(allowance)):
        if not person.is_active or not access.may_revoke(access.viewer(person), allowance):
            raise NotYours("This allowance is not yours to revoke.")
        if allowance.revoked_at is not None:
            raise AlreadyDecided("This allowance is revoked already.")
        try:
            said = reasons.clean(reason)
        except acting.Refused as bad:
            raise Unfit({"reason": str(bad)}) from bad
    Allowance.objects.filter(pk=allowance.pk).update(revoked_at=Now(), revoked_by=person, revoke_reason=said)
    allowance.refresh_from_db()
    by = Party("person", str(person.pk))
    record(
        Draft(
            type=EntryType.ALLOWANCE_REVOKED,
            actor=by,
            subject=_party(allowance),
            facts={"agent": str(allowance.agent_id), "uses_left": allowance.uses_left, "cause": "person"},
            personal={"reason": Personal(said)},
            auth=auth,
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id FROM approvals_request r JOIN approvals_allowanceuse u ON u.request_id = r.id"
            " WHERE u.allowance_id = %s ORDER BY r.id FOR NO KEY UPDATE OF r",
            [allowance.pk],
        )
        used = [row[0] for row in cursor.fetchall()]
    voiding.void_grants(used, by=by, facts={"cause": "allowance-revoked", "allowance": str(allowance.pk)})
    return allowance


_SENTENCE = (
    f"Write a sentence: at least {rationale.SENTENCE_CHARACTERS} characters and {rationale.SENTENCE_WORDS}"
    " different words."
)


def _party(allowance: Allowance) -> Party:
    return Party("allowance", str(allowance.pk))


@contextmanager
def _evidence(person: User, subject: Party) -> Iterator[None]:
    """What is refused here leaves an entry, unless it is about what was typed, or the evidence itself is missing."""
    try:
        yield
    except DecisionRefused as refused:
        if not isinstance(refused, Unfit | CannotRecord):
            by, cause = Party("person", str(person.pk)), f"allowance-{refused.cause}"
            refused.evidence = partial(refusals.record_refusal, actor=by, subject=subject, cause=cause, facts={})
        raise


def _made_before(person: User, request: Request, once: UUID | None) -> Allowance | None:
    """What this person made of this very form already; raises `NotYours` where somebody else did. Proposals for one
    agent and action wait for each other here, so that they are seen and counted."""
    with connection.cursor() as cursor:
        key = f"{request.agent_id} {request.action}"
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_PROPOSING, key])
    found = Allowance.objects.filter(pk=once).first() if once is not None else None
    if found is not None and not AllowanceAgreement.objects.filter(allowance=found, person=person).exists():
        raise NotYours("Open the form anew: this one was used before.")
    return found


def _refuse_more(request: Request, epoch: int, now: datetime) -> None:
    of_these = Allowance.objects.filter(agent=request.agent_id, action=request.action, epoch=epoch)
    if of_these.filter(revoked_at__isnull=True, uses_left__gt=0, ends_at__gt=now).count() >= OPEN_AT_MOST:
        raise EnoughAllowed(
            f"{OPEN_AT_MOST} allowances are open for this agent and action, which is as many as there may be:"
            " revoke one, or wait until one ends."
        )


def _refuse(person: User, owner_id: UUID, ruling: Ruling, auth: Authentication, now: datetime) -> None:
    refused = why_not_ahead(ruling) or why_not_agree(access.viewer(person), owner_id, ruling)
    if refused:
        raise NotYours(refused)
    if access.asks_stepup(ruling):
        missing = second_factor.why_not_fresh(auth, at=now)
        if missing:
            raise StepUpNeeded(missing)
    if ruling.risk == "high":
        try:
            assert_log_is_live()
        except EvidenceUnavailable as error:
            raise CannotRecord(f"Nothing was allowed: {error}.") from error


def _fit(wanted: Wanted, request: Request) -> int:
    """The number of uses, where everything is within bounds; raises `Unfit`."""
    fields = {}
    try:
        checked(wanted.condition.strip(), request)
    except BadCondition as error:
        fields["condition"] = str(error)
    if wanted.uses is None or not 1 <= wanted.uses <= USES_AT_MOST:
        fields["uses"] = f"A number from 1 to {USES_AT_MOST:,}: never unbounded."
    if wanted.hours is None or not 1 <= wanted.hours <= HOURS_AT_MOST:
        fields["hours"] = f"Hours from 1 to {HOURS_AT_MOST}, which is 30 days: never unbounded."
    if not rationale.is_sentence(wanted.rationale.strip()) or len(wanted.rationale) > rationale.RATIONALE_AT_MOST:
        fields["rationale"] = _SENTENCE
    if fields or wanted.uses is None:
        raise Unfit(fields)
    return wanted.uses


def _agree(allowance: Allowance, person: User, why: str, ruling: Ruling, auth: Authentication, now: datetime) -> None:
    teams = sorted(Membership.objects.filter(user=person).values_list("team__slug", flat=True))
    AllowanceAgreement(
        allowance=allowance,
        person=person,
        rationale=why.strip(),
        teams=teams,
        auth_method=auth.method,
        auth_at=auth.at,
        at=now,
    ).save(force_insert=True)
    record(
        Draft(
            type=EntryType.ALLOWANCE_AGREED,
            actor=Party("person", str(person.pk)),
            subject=_party(allowance),
            facts={"teams": teams, "stepup": access.asks_stepup(ruling)},
            personal={"rationale": Personal(why.strip())},
            auth=auth,
        )
    )
    stands = standing_of(allowance, ruling)
    if not stands.reached:
        return
    Allowance.objects.filter(pk=allowance.pk).update(active_at=now)
    allowance.active_at = now
    record(
        Draft(
            type=EntryType.ALLOWANCE_GRANTED,
            actor=Party("system", "countersign"),
            subject=_party(allowance),
            facts={"seats": [{"team": team, "person": one} for team, one in stands.seats]},
        )
    )


def standing_of(allowance: Allowance, ruling: Ruling) -> Standing:
    """How far those who agreed to it fill what this ruling asks."""
    agreements = spending.agreements_of([allowance.pk]).get(allowance.pk, [])
    return spending.standing(ruling, agreements, owner_id=allowance.agent.owner_id)
