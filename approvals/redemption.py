"""The executor's verb: redeem a grant, once, for exactly the parameters that were approved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from agents import permission
from agents.models import Credential
from agents.problems import Problem
from approvals import grants, lifecycle, queries
from approvals.models import Grant, Request
from approvals.payloads import canonical, digest_of
from approvals.states import Status
from approvals.transactions import verb
from audit import refusals
from audit.canonical import timestamp
from audit.entries import Draft, EvidenceUnavailable, Party, Personal, record
from audit.health import assert_log_is_live
from audit.types import EntryType


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A grant that was spent just now."""

    request: Request
    redeemed_at: datetime


@verb
def redeem(
    *,
    credential: Credential,
    token: str,
    parameters: dict[str, Any],
    action: str | None,
    resource: str | None,
) -> Redeemed:
    """Spend a grant. Raises `grant-invalid` 422, `already-redeemed` 409, `grant-lapsed` 410,
    `parameters-mismatch` 422 or `evidence-unavailable` 503; every refusal is recorded."""
    grant: Grant | None = None
    try:
        grant, claims = _found(token)
        _refuse_other_audience(credential, grant, claims)
        _refuse_other_agent(credential, grant)
        now = queries.clock()
        _refuse_spent(credential, grant)
        _refuse_lapsed(grant, claims, now)
        _refuse_mismatch(grant.request, parameters, action, resource)
        _refuse_without_evidence(grant)
    except Problem as problem:
        if problem.slug != "evidence-unavailable":
            # named here: `problem` is gone by the time the evidence is written
            problem.evidence = partial(_record_refusal, credential, grant, problem.slug)
        raise
    grant.redeemed_at, grant.redeemed_by = now, credential
    grant.save(update_fields=["redeemed_at", "redeemed_by"])
    lifecycle.touch(grant.request)
    record(
        Draft(
            type=EntryType.GRANT_REDEEMED,
            actor=credential.holder,
            subject=Party("request", str(grant.request_id)),
            facts={"grant": str(grant.pk), "credential": str(credential.pk), "action": grant.request.action},
            personal={"parameters_digest": Personal(grant.request.effective_digest, bytes(grant.request.digest_salt))},
        )
    )
    _refuse_lapsed_by_now(credential, grant, claims)
    return Redeemed(grant.request, now)


def _found(token: str) -> tuple[Grant, grants.Claims]:
    try:
        claims = grants.verify(token)
        queries.share_permission(UUID(claims.request_id))
        request = Request.objects.select_for_update(no_key=True, of=("self",)).get(pk=claims.request_id)
        grant = (
            Grant.objects.select_for_update(of=("self",))
            .select_related("redeemed_by")
            .get(pk=claims.grant_id, request=request)
        )
    except (grants.InvalidGrant, Request.DoesNotExist, Grant.DoesNotExist, ValueError) as error:
        raise Problem("grant-invalid", "This is not a grant that was issued here.") from error
    grant.request = Request.objects.select_related("agent").get(pk=request.pk)
    return grant, claims


def _refuse_other_audience(credential: Credential, grant: Grant, claims: grants.Claims) -> None:
    own = {grants.audience_for(None)}
    if credential.executor is not None:
        own.add(grants.audience_for(credential.executor.slug))
    if claims.audience != grant.audience or grant.audience not in own:
        raise Problem("grant-invalid", "This grant is for another audience.")


def _refuse_other_agent(credential: Credential, grant: Grant) -> None:
    """An executor acts for every agent; an agent's own key redeems what its own agent was granted, and nothing else."""
    own = credential.executor_id is not None or credential.agent_id == grant.request.agent_id
    if not own:
        raise Problem("grant-invalid", "This grant is for another agent.")


def _refuse_spent(credential: Credential, grant: Grant) -> None:
    if grant.redeemed_at is not None:
        raise Problem(
            "already-redeemed",
            "This grant was redeemed before; it licenses one execution.",
            extra={
                "redeemed_at": timestamp(grant.redeemed_at),
                "by_this_key": grant.redeemed_by_id == credential.pk,
            },
        )


def lapsed() -> Problem:
    """410: it expired, was voided, or its agent may not ask any more; which of them is not said."""
    return Problem("grant-lapsed", "This grant no longer holds; read the request, or ask again.")


def _refuse_lapsed(grant: Grant, claims: grants.Claims, now: datetime) -> None:
    may = permission.read(grant.request.agent_id)
    stopped = may.ended or grant.epoch < may.epoch
    over = grant.voided_at is not None or _expired(grant, claims, now)
    if over or stopped or grant.request.status != Status.APPROVED:
        raise lapsed()


def _refuse_lapsed_by_now(credential: Credential, grant: Grant, claims: grants.Claims) -> None:
    """An entry is dated when it is written. What was in time under the lock, and then waited for the log, would be
    told for ever as redeemed after it lapsed."""
    if _expired(grant, claims, queries.clock()):
        late = lapsed()
        late.evidence = partial(_record_refusal, credential, grant, late.slug)
        raise late


def _expired(grant: Grant, claims: grants.Claims, now: datetime) -> bool:
    return datetime.fromtimestamp(claims.expires_at, UTC) <= now or grant.valid_until <= now


def _refuse_mismatch(request: Request, parameters: dict[str, Any], action: str | None, resource: str | None) -> None:
    if (
        digest_of(canonical(parameters)) != request.effective_digest
        or (action is not None and action != request.action)
        or (resource is not None and resource != request.resource)
    ):
        raise Problem("parameters-mismatch", "This is not exactly what was approved.")


def _refuse_without_evidence(grant: Grant) -> None:
    try:
        forks = assert_log_is_live().forks
    except EvidenceUnavailable as error:
        raise Problem("evidence-unavailable", "The evidence of this act cannot be kept now; try again.") from error
    if grant.fork < forks:
        raise lapsed()


def _record_refusal(credential: Credential, grant: Grant | None, slug: str) -> None:
    refusals.record_refusal(
        actor=credential.holder,
        subject=Party("request", str(grant.request_id)) if grant else Party("credential", str(credential.pk)),
        cause=slug,
        facts={"credential": str(credential.pk), **({"grant": str(grant.pk)} if grant else {})},
    )
