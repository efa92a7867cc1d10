"""The agent's verbs: file, withdraw, report activity and outcome. Answering is in `questions`, people's in `decisions`.

Each is one durable transaction with its evidence; input was parsed by the door, and is canonical here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from uuid_utils.compat import uuid7

from agents import permission
from agents.authentication import record_refused
from agents.models import Agent, Credential
from agents.problems import Problem
from approvals import escalation, grants, lifecycle, policies, queries, reminders, spending, undecidable
from approvals.display.view import VIEW_VERSION
from approvals.errors import NotPending
from approvals.models import Activity, Outcome, Request
from approvals.payloads import canonical, digest_of
from approvals.rules import answers
from approvals.rules.ruling import Ask, Ruling, blocked
from approvals.states import Retry, Status
from approvals.transactions import verb
from audit.canonical import timestamp
from audit.entries import Draft, Party, Personal, record
from audit.types import EntryType


@dataclass(frozen=True, slots=True)
class Filing:
    """What an agent files, parsed and within the contract's limits; `parameters` and `context` are JSON values."""

    action: str
    resource: str
    parameters: dict[str, Any]
    summary: str
    rationale: str
    context: dict[str, Any]
    timeout_seconds: int | None


@verb
def file(*, agent: Agent, credential: Credential, filing: Filing) -> Request:
    """File a request: policy rules at once; the request begins pending, approved (nobody need agree) or blocked."""
    may = permission.held(agent.pk)
    text = canonical(filing.parameters)
    digest = digest_of(text)
    in_force = policies.in_force()
    alike = in_force.likeness(filing.action, filing.resource, filing.parameters)
    recent, now = queries.history_of(
        agent.pk,
        owner_id=agent.owner_id,
        action=filing.action,
        resource=filing.resource,
        parameters_digest=digest,
        likeness=alike,
    )
    ask = Ask(
        agent=agent.slug,
        level=may.level,
        phase="full",
        action=filing.action,
        resource=filing.resource,
        parameters=filing.parameters,
        hour=now.hour,
        weekday=now.isoweekday(),
        recent=recent,
    )
    if may.ended:
        ruling = blocked(answers.SUSPENDED, "stopped" if may.stopped else "suspended")
    elif recent["same_denied"]:  # a person said no to exactly this within 24 h: denial sticks
        ruling = blocked(answers.REPEATS_A_DENIAL, "repeats-denial")
    else:
        ruling = in_force.rule(ask)
    if ruling.outcome == "allowed":
        ruling = _unless_unsignable(ruling, now)
    held = spending.find(ask, ruling, in_force.pack, agent_id=agent.pk, owner_id=agent.owner_id, epoch=may.epoch)
    if ruling.outcome == "people" and held is None:
        _refuse_crowding(agent, credential)
    request = _made(agent, credential, filing, text, digest, ruling, ask, in_force.version_id, now, may.epoch)
    request.likeness = alike
    if held is None:  # what an allowance approves waits for nobody
        undecidable.look(request, ruling)
    _begin(request, ruling, stop=may.ended, tell=held is None)
    _record_filing(request, ruling, in_force.digest)
    undecidable.alert(request)
    if request.status != Status.PENDING:
        _record_ruling(request, ruling)
    policies.raise_alarm(request, ruling)
    if request.status == Status.APPROVED:
        grants.issue(request, ruling, at=now, by=lifecycle.SYSTEM)
    if held is not None:
        spending.spend(held, request, ruling, at=now)
    return request


def _refuse_crowding(agent: Agent, credential: Credential) -> None:
    """429 where this agent has as many requests before people as one agent may: it must not bury the others'."""
    if not queries.has_pending(agent.pk, at_least=settings.PENDING_PER_AGENT):
        return
    crowded = Problem(
        "too-many-requests",
        f"{settings.PENDING_PER_AGENT} requests of yours wait for people. Wait until some of them have ended.",
        headers={"Retry-After": "60"},
    )
    crowded.evidence = partial(record_refused, credential, "too-many-pending")
    raise crowded


def _unless_unsignable(ruling: Ruling, now: datetime) -> Ruling:
    try:
        grants.assert_can_sign(now)
    except grants.CannotSign as error:
        return blocked(answers.CANNOT_BE_CHECKED, "signing-key-unreadable", error.why, risk=ruling.risk)
    return ruling


def _made(
    agent: Agent,
    credential: Credential,
    filing: Filing,
    text: str,
    digest: str,
    ruling: Ruling,
    ask: Ask,
    version_id: UUID | None,
    now: datetime,
    epoch: int,
) -> Request:
    seconds = min(ruling.timeout_seconds, filing.timeout_seconds or ruling.timeout_seconds)
    expires_at = now + timedelta(seconds=seconds)
    escalates_at, escalation_team = escalation.times_of(ruling, now, expires_at)
    asked = ask.as_json()
    del asked["parameters"]  # they stand canonical beside it; one copy cannot contradict the other
    return Request(
        id=uuid7(),
        agent=agent,
        credential=credential,
        action=filing.action,
        resource=filing.resource,
        parameters_text=text,
        parameters_digest=digest,
        summary=filing.summary,
        rationale=filing.rationale,
        context_text=canonical(filing.context),
        digest_salt=os.urandom(16),
        created_at=now,
        expires_at=expires_at,
        escalates_at=escalates_at,
        escalation_team=escalation_team,
        remind_at=reminders.next_after(now, now, expires_at) if ruling.outcome == "people" else None,
        policy_id=version_id,
        ruling=ruling.as_json(),
        asked=asked,
        risk=ruling.risk,
        risk_unknown=ruling.risk_shown == "unknown",
        teams=ruling.teams,
        quorum=ruling.quorum,
        people_floor=ruling.floor_people if ruling.outcome == "people" else 0,
        valid_seconds=ruling.valid_seconds,
        epoch=epoch,
    )


def _begin(request: Request, ruling: Ruling, *, stop: bool, tell: bool) -> None:
    status = {"people": Status.PENDING, "allowed": Status.APPROVED, "blocked": Status.BLOCKED}[ruling.outcome]
    lifecycle.begin(request, status, reason=ruling.reason, retry=ruling.retry, stop=stop, tell=tell)


def _record_filing(request: Request, ruling: Ruling, policy_digest: str) -> None:
    salt = bytes(request.digest_salt)
    record(
        Draft(
            type=EntryType.REQUEST_FILED,
            actor=Party("agent", str(request.agent_id)),
            subject=Party("request", str(request.pk)),
            facts={
                "action": request.action,
                "status": Status.PENDING.value if request.status == Status.PENDING else request.status,
                "risk": request.risk,
                "risk_unknown": request.risk_unknown,
                "outcome": ruling.outcome,
                "cause": ruling.cause,
                "matched": list(ruling.matched),
                "quorum": request.quorum,
                "people_floor": request.people_floor,
                "stepup": ruling.stepup,
                "credential": str(request.credential_id),
                "expires_at": timestamp(request.expires_at),
                "escalates_at": timestamp(request.escalates_at) if request.escalates_at else None,
                "escalation_team": request.escalation_team,
                "policy": str(request.policy_id) if request.policy_id else None,
            },
            digests={"policy": policy_digest, "renderer": VIEW_VERSION},
            personal={
                "parameters": Personal(request.parameters),
                "parameters_digest": Personal(request.parameters_digest, salt),
                "resource": Personal(request.resource),
                "summary": Personal(request.summary),
                "rationale": Personal(request.rationale),
                "context": Personal(request.context),
            },
        )
    )


def _record_ruling(request: Request, ruling: Ruling) -> None:
    blocked_by_policy = request.status == Status.BLOCKED
    record(
        Draft(
            type=EntryType.REQUEST_BLOCKED if blocked_by_policy else EntryType.REQUEST_ALLOWED,
            actor=lifecycle.SYSTEM,
            subject=Party("request", str(request.pk)),
            facts={
                "action": request.action,
                "status": request.status,
                "risk": request.risk,
                "cause": ruling.cause,
            },
            personal={"problems": Personal(list(ruling.problems))} if ruling.problems else {},
        )
    )


@verb
def withdraw(*, agent: Agent, request_id: UUID, reason: str) -> Request:
    """Take a pending request back; raises 404, or 409 `not-pending`."""
    request, now = queries.locked_pending_of(agent.pk, request_id)
    lifecycle.transition(
        request,
        Status.WITHDRAWN,
        by=Party("agent", str(agent.pk)),
        at=now,
        reason=answers.WITHDRAWN_BY_AGENT.reason,
        retry=Retry.CHANGED,
        personal={"reason": Personal(reason)} if reason else {},
    )
    if queries.clock() >= request.expires_at:  # it waited for the log: its entry would be dated after the deadline
        raise NotPending(Status.EXPIRED.value)
    return request


@verb
def report_activity(*, agent: Agent, credential: Credential, request_id: UUID, tool_calls: list[Any]) -> Request:
    """Keep what the agent did around a request: recorded, no ruling; raises 404."""
    request = Request.objects.filter(pk=request_id, agent=agent).first()
    if request is None:
        raise Problem("not-found", "There is nothing here that this key may see.")
    Activity(request=request, executor=credential.executor, tool_calls_text=canonical(tool_calls)).save(
        force_insert=True
    )
    record(
        Draft(
            type=EntryType.ACTIVITY_REPORTED,
            actor=credential.holder,
            subject=Party("request", str(request.pk)),
            facts={"calls": len(tool_calls)},
            personal={"tool_calls": Personal(tool_calls)},
        )
    )
    return request


@verb
def report_outcome(
    *,
    credential: Credential,
    request_id: UUID,
    result: str,
    response_code: int | None,
    detail: dict[str, Any] | None,
) -> Request:
    """Keep what came of a redeemed request, once; by its agent or the executor that redeemed it, else 404.

    Raises 409 `not-redeemed` or `outcome-already-reported`.
    """
    request = (
        Request.objects.select_for_update(no_key=True, of=("self",))
        .select_related("grant__redeemed_by")
        .filter(pk=request_id)
        .first()
    )
    grant = getattr(request, "grant", None) if request is not None else None
    if request is None or not _may_report(credential, request, grant):
        raise Problem("not-found", "There is nothing here that this key may see.")
    if grant is None or grant.redeemed_at is None:
        raise Problem("not-redeemed", "An outcome is reported after the grant was redeemed.")
    if Outcome.objects.filter(request=request).exists():
        raise Problem("outcome-already-reported", "The outcome of this request was reported before.")
    Outcome(
        request=request,
        credential=credential,
        result=result,
        response_code=response_code,
        detail_text=canonical(detail) if detail is not None else None,
    ).save(force_insert=True)
    lifecycle.touch(request)
    record(
        Draft(
            type=EntryType.OUTCOME_REPORTED,
            actor=credential.holder,
            subject=Party("request", str(request.pk)),
            facts={"result": result, "response_code": response_code},
            personal={"detail": Personal(detail)} if detail is not None else {},
        )
    )
    return request


def _may_report(credential: Credential, request: Request, grant: Any) -> bool:
    if credential.agent_id is not None:
        return bool(credential.agent_id == request.agent_id)
    redeemer = grant.redeemed_by if grant is not None else None
    return bool(
        credential.executor_id is not None and redeemer is not None and redeemer.executor_id == credential.executor_id
    )
