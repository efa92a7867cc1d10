"""The only code that assigns a request's status: one at a time by `transition`, set-based by `expire_batch` and
`withdraw_batch`.

All read the table in `states`; whether the move should be made is the verbs' to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import outbox, waking
from approvals.models import Request
from approvals.rules import answers
from approvals.states import Retry, Status, transition_for
from audit.entries import Authentication, Draft, Party, Personal, record, record_many
from audit.types import EntryType

SYSTEM = Party("system", "countersign")
EXPIRED_REASON = answers.EXPIRED.reason


class IllegalTransition(Exception):
    """The move is not in the table, or the request is no longer where it was thought to be."""


def begin(
    request: Request,
    status: Status,
    *,
    reason: str = "",
    retry: str | None = None,
    stop: bool = False,
    tell: bool = True,
) -> None:
    """Save a request with the status it begins with, for good where policy ruled without people. Without `tell` nobody
    is told: in the same transaction it moves on.

    Its filing is recorded by the verb; a status that is final at once leaves its own entry here.
    """
    row = transition_for(None, status)
    if row is None:
        raise IllegalTransition(f"A request cannot begin as {status}.")
    request.status = status.value
    if status is not Status.PENDING:
        request.decided_at = request.created_at
        request.reason, request.retry, request.stop = reason, retry, stop
    if status is Status.APPROVED:
        request.valid_until = request.created_at + timedelta(seconds=request.valid_seconds)
    request.save(force_insert=True)
    if tell:
        outbox.tell_status(status, [request.pk])


def transition(
    request: Request,
    to: Status,
    *,
    by: Party,
    at: datetime,
    reason: str,
    retry: Retry | None,
    stop: bool = False,
    valid_seconds: int | None = None,
    auth: Authentication | None = None,
    facts: Mapping[str, Any] | None = None,
    personal: Mapping[str, Personal] | None = None,
) -> None:
    """Move a request, locked by the caller, out of `pending`, with its entry, and wake whoever waits.

    `at` is the database's clock as read under the lock, `reason` what the agent hears, `valid_seconds` how long a yes
    holds. Raises `IllegalTransition` where the row is not pending any more.
    """
    row = transition_for(Status(request.status), to)
    if row is None:
        raise IllegalTransition(f"A request that is {request.status} cannot become {to}.")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_request SET status = %(to)s, reason = %(reason)s, retry = %(retry)s, stop = %(stop)s,"
            " version = version + 1,"
            " decided_at = %(at)s,"
            " valid_until = CASE WHEN %(to)s = 'approved' THEN %(at)s + make_interval(secs => %(valid)s) END"
            " WHERE id = %(id)s AND status = %(from)s RETURNING status, version, decided_at, valid_until",
            {
                "to": to.value,
                "from": request.status,
                "reason": reason,
                "retry": retry.value if retry else None,
                "stop": stop,
                "id": request.pk,
                "at": at,
                "valid": valid_seconds if valid_seconds is not None else request.valid_seconds,
            },
        )
        moved = cursor.fetchone()
    if moved is None:
        raise IllegalTransition("The request was moved meanwhile.")
    request.status, request.version, request.decided_at, request.valid_until = moved
    request.reason, request.retry, request.stop = reason, retry.value if retry else None, stop
    record(
        Draft(
            type=EntryType(row.entry),
            actor=by,
            subject=Party("request", str(request.pk)),
            facts={"action": request.action, "status": to.value, "risk": request.effective_risk, **(facts or {})},
            personal=personal or {},
            auth=auth,
        )
    )
    outbox.tell_status(to, [request.pk])
    waking.wake_on_commit([request.pk])


def touch(request: Request) -> None:
    """Count a change that a reader sees but that moves no status (a redemption, an outcome), and wake who waits."""
    request.version += 1
    request.save(update_fields=["version"])
    waking.wake_on_commit([request.pk])


def expire_batch(request_ids: list[UUID]) -> int:
    """`transition` to `expired` for many rows that the caller has locked; returns how many moved."""
    row = transition_for(Status.PENDING, Status.EXPIRED)
    if row is None:
        raise IllegalTransition("The table has no way to expire.")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_request SET status = 'expired', reason = %(reason)s, retry = 'later',"
            " decided_at = expires_at, version = version + 1"
            " WHERE id = ANY(%(ids)s) AND status = 'pending' AND expires_at <= clock_timestamp()"
            " RETURNING id, action, standing_risk",
            {"reason": EXPIRED_REASON, "ids": request_ids},
        )
        moved = cursor.fetchall()
    record_many(
        [
            Draft(
                type=EntryType(row.entry),
                actor=SYSTEM,
                subject=Party("request", str(request_id)),
                facts={"action": action, "status": Status.EXPIRED.value, "risk": risk},
            )
            for request_id, action, risk in moved
        ]
    )
    outbox.tell_status(Status.EXPIRED, [request_id for request_id, _, _ in moved])
    waking.wake_on_commit(request_id for request_id, _, _ in moved)
    return len(moved)


def withdraw_batch(request_ids: Sequence[UUID], *, by: Party, facts: Mapping[str, Any]) -> int:
    """`transition` to `withdrawn` for many rows that the caller has locked, because their agent's permission to ask
    has ended; returns how many moved. A request past its deadline is left to expire."""
    row = transition_for(Status.PENDING, Status.WITHDRAWN)
    if row is None:
        raise IllegalTransition("The table has no way to withdraw.")
    answer = answers.STOPPED_MEANWHILE
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_request SET status = 'withdrawn', reason = %(reason)s, retry = %(retry)s,"
            " stop = %(stop)s, decided_at = clock_timestamp(), version = version + 1"
            " WHERE id = ANY(%(ids)s) AND status = 'pending' AND expires_at > clock_timestamp()"
            " RETURNING id, action, standing_risk",
            {"reason": answer.reason, "retry": answer.retry, "stop": answer.stop, "ids": list(request_ids)},
        )
        moved = cursor.fetchall()
    record_many(
        [
            Draft(
                type=EntryType(row.entry),
                actor=by,
                subject=Party("request", str(request_id)),
                facts={"action": action, "status": Status.WITHDRAWN.value, "risk": risk, **facts},
            )
            for request_id, action, risk in moved
        ]
    )
    outbox.tell_status(Status.WITHDRAWN, [request_id for request_id, _, _ in moved])
    waking.wake_on_commit(request_id for request_id, _, _ in moved)
    return len(moved)


def touch_batch(request_ids: Sequence[UUID]) -> None:
    """`touch` for many rows that the caller has locked."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE approvals_request SET version = version + 1 WHERE id = ANY(%s)", [list(request_ids)])
    waking.wake_on_commit(request_ids)
