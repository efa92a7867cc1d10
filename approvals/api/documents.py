"""A request as an agent reads it: the contract's shapes, from what a reader sees. Nothing is fetched here.

It names no reviewer, team, threshold, policy text, deployment or monitoring rule: outcomes and reasons alone.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from approvals import grants
from approvals.models import Grant, Outcome, Request
from approvals.queries import Seen
from approvals.states import Status
from audit.canonical import timestamp


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment is not None else None


def _grant_of(seen: Seen) -> Grant | None:
    """The grant, unless the log was forked or all agents were stopped since it was issued."""
    grant: Grant | None = getattr(seen.request, "grant", None)
    forks: int = seen.request.log_forks  # type: ignore[attr-defined]  # annotated by queries.requests
    stops: int = seen.request.stops  # type: ignore[attr-defined]  # likewise
    if grant is None or grant.fork < (forks or 0) or grant.epoch < stops:
        return None
    return grant


def request_document(seen: Seen) -> dict[str, Any]:
    """The request as the contract has it, members in its order."""
    request = seen.request
    return {
        "id": str(request.pk),
        "status": seen.status.value,
        "action": request.action,
        "resource": request.resource,
        "parameters": request.parameters,
        "parameters_digest": request.parameters_digest,
        "summary": request.summary,
        "rationale": request.rationale,
        "context": request.context,
        "created_at": timestamp(request.created_at),
        "expires_at": timestamp(request.expires_at),
        "question": _question(request),
        "decision": _decision(seen),
        "grant": _token(seen),
        "outcome": _outcome(seen),
    }


def _outcome(seen: Seen) -> dict[str, Any] | None:
    outcome: Outcome | None = getattr(seen.request, "outcome", None)
    if outcome is not None:
        return {
            "result": outcome.result,
            "response_code": outcome.response_code,
            "detail": json.loads(outcome.detail_text) if outcome.detail_text is not None else None,
            "reported_at": timestamp(outcome.reported_at),
        }
    if seen.outcome_unknown:
        return {"result": "unknown", "response_code": None, "detail": None, "reported_at": None}
    return None


def _question(request: Request) -> dict[str, Any] | None:
    """The newest question, and its answer; who asked is nobody's to learn."""
    newest: dict[str, Any] | None = request.newest_question  # type: ignore[attr-defined]  # annotated by queries.requests
    if newest is None:
        return None
    answered = newest["answered_at"] is not None
    return {
        "id": newest["id"],
        "text": newest["text"],
        "asked_at": _time(datetime.fromisoformat(newest["asked_at"])),
        "answer": {"text": newest["answer_text"], "at": _time(datetime.fromisoformat(newest["answered_at"]))}
        if answered
        else None,
    }


def _decision(seen: Seen) -> dict[str, Any] | None:
    request = seen.request
    if seen.status is Status.PENDING:
        return None
    approved = seen.status is Status.APPROVED
    return {
        "outcome": seen.status.value,
        "decided_at": _time(seen.decided_at),
        "reason": seen.reason,
        "retry": seen.retry,
        "stop": request.stop,
        "parameters": request.effective_parameters if approved else None,
        "amended": approved and request.is_amended,
        "valid_until": _time(request.valid_until),
    }


def _token(seen: Seen) -> str | None:
    grant = _grant_of(seen)
    if seen.status is not Status.APPROVED or grant is None:
        return None
    return grants.token(grant, seen.request, seen.now)


def etag(seen: Seen) -> str:
    """A strong validator: the version a reader sees, which renewal of the grant it carries, and whether its outcome
    has become unknown."""
    if seen.outcome_unknown:
        return f'"{seen.version}-u"'
    grant = _grant_of(seen)
    if seen.status is not Status.APPROVED or grant is None:
        return f'"{seen.version}"'
    step = grants.step_at(grant, seen.now)
    return f'"{seen.version}-{"x" if step is None else step}"'


def awaits_agent(document: dict[str, Any]) -> bool:
    """Whether a waiting agent should be answered: the request is final, or carries an unanswered question."""
    question = document["question"]
    return document["status"] != Status.PENDING or (question is not None and question["answer"] is None)
