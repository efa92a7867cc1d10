"""What becomes of requests, grants and allowances when their agent's permission to ask ends: each ends, with an entry.

One suspended agent's in the suspending transaction; everybody's, after a stop of all agents, by a sweep that anyone may
run at any time. Who stops whom, and why, is `agents`' to say.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from agents import stops
from agents.models import Agent
from agents.suspension import agent_suspended
from approvals import lifecycle, outbox, queries, spending, voiding
from approvals.transactions import verb
from audit.entries import Party

BATCH = 1_000

_PENDING_OF_AGENT = (
    "SELECT id FROM approvals_request WHERE agent_id = %s AND status = 'pending'"
    " AND expires_at > clock_timestamp() ORDER BY id LIMIT %s FOR NO KEY UPDATE"
)
# Their requests' rows are locked before the grants', as redeeming does.
_GRANTED_OF_AGENT = (
    "SELECT r.id FROM approvals_request r JOIN approvals_grant g ON g.request_id = r.id"
    " WHERE r.agent_id = %s AND g.redeemed_at IS NULL AND g.voided_at IS NULL AND g.valid_until > clock_timestamp()"
    " ORDER BY r.id LIMIT %s FOR NO KEY UPDATE OF r"
)
_PENDING_BEFORE = (
    "SELECT id FROM approvals_request WHERE status = 'pending' AND epoch < %s"
    " AND expires_at > clock_timestamp() ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"
)
_GRANTED_BEFORE = (
    "SELECT r.id FROM approvals_grant g JOIN approvals_request r ON r.id = g.request_id"
    " WHERE g.redeemed_at IS NULL AND g.voided_at IS NULL AND g.valid_until > clock_timestamp() AND g.epoch < %s"
    " ORDER BY r.id LIMIT %s FOR NO KEY UPDATE OF r SKIP LOCKED"
)


def connect() -> None:
    """Listen for suspensions; called once when the app is ready."""
    agent_suspended.connect(_on_suspension, dispatch_uid="approvals.stopping")


def _on_suspension(sender: object, *, agent: Agent, by: Party, **keywords: Any) -> None:
    facts = {"cause": "agent-suspended"}
    why = "The agent was suspended."
    while spending.end_of_agent(agent.pk, BATCH, by=by, reason=why, facts=facts):
        pass
    while pending := _locked(_PENDING_OF_AGENT, agent.pk):
        lifecycle.withdraw_batch(pending, by=by, facts=facts)
    while granted := _locked(_GRANTED_OF_AGENT, agent.pk):
        voiding.void_grants(granted, by=by, facts=facts)
    outbox.tell_suspended([agent.pk], since=queries.clock())


@verb
def withdraw_stopped(*, limit: int = BATCH) -> int:
    """Withdraw up to `limit` requests that wait from before the newest stop, passing over those somebody holds;
    how many."""
    newest = stops.newest()
    if not newest:
        return 0
    found = _locked(_PENDING_BEFORE, newest, limit)
    return lifecycle.withdraw_batch(found, by=lifecycle.SYSTEM, facts=_stop(newest)) if found else 0


@verb
def end_stopped(*, limit: int = BATCH) -> int:
    """End up to `limit` allowances from before the newest stop; how many. None of them is used meanwhile. While it is
    in force, every agent's runtime is told once."""
    newest = stops.newest()
    if not newest:
        return 0
    if (stop := stops.in_force()) is not None:
        active = Agent.objects.filter(state=Agent.State.ACTIVE).values_list("pk", flat=True)
        outbox.tell_suspended(list(active), since=stop.started_at)
    reason = "All agents were stopped."
    return spending.end_before(newest, limit, by=lifecycle.SYSTEM, reason=reason, facts=_stop(newest))


@verb
def void_stopped(*, limit: int = BATCH) -> int:
    """Void up to `limit` grants issued before the newest stop that still hold by the clock; how many. None of them
    redeems meanwhile."""
    newest = stops.newest()
    if not newest:
        return 0
    found = _locked(_GRANTED_BEFORE, newest, limit)
    return voiding.void_grants(found, by=lifecycle.SYSTEM, facts=_stop(newest)) if found else 0


def _stop(number: int) -> dict[str, Any]:
    return {"cause": "all-stopped", "stop": number}


def _locked(query: str, key: UUID | int, limit: int = BATCH) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, [key, limit])
        return [row[0] for row in cursor.fetchall()]
