"""Periodic work, each a call of a verb: may run twice, is skipped while one runs, loses nothing with the broker."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any

import structlog
from celery import shared_task
from django.core.management import call_command
from django.db import connection

from approvals import escalation, expiry, idempotency, reminders, stopping
from approvals.notifications import forgetting, sending
from approvals.replay import nightly
from audit import refusals

log = structlog.get_logger(__name__)


def alone(task: Callable[[], Any]) -> Callable[[], Any]:
    """Skip a run while another holds the task's advisory lock, whichever node it runs on."""
    number = zlib.crc32(f"countersign.tasks.{task.__name__}".encode())

    @functools.wraps(task)
    def run() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
            if not cursor.fetchone()[0]:
                return None
            try:
                return task()
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])

    return run


@shared_task(name="approvals.tasks.expire_due")
@alone
def expire_due() -> int:
    """Deny what is overdue."""
    return _drained(expiry.expire_due, expiry.BATCH, "requests.expired")


@shared_task(name="approvals.tasks.escalate_due")
@alone
def escalate_due() -> int:
    """Open to another team what has waited long enough."""
    return _drained(escalation.escalate_due, escalation.BATCH, "requests.escalated")


@shared_task(name="approvals.tasks.remind_due")
@alone
def remind_due() -> int:
    """Remind of what is half, or nine tenths, through its time."""
    return _drained(reminders.remind_due, reminders.BATCH, "requests.reminded")


def _drained(sweep: Callable[..., int], batch: int, event: str) -> int:
    """Batch after batch while batches are full."""
    swept = 0
    while True:
        taken = sweep(limit=batch)
        swept += taken
        if taken < batch:
            break
    if swept:
        log.info(event, count=swept)
    return swept


@shared_task(name="approvals.tasks.withdraw_stopped")
@alone
def withdraw_stopped() -> int:
    """Withdraw what waits, and void what was granted or allowed, from before the newest stop of all agents."""
    done = 0
    for act in (stopping.end_stopped, stopping.withdraw_stopped, stopping.void_stopped):
        while batch := act(limit=stopping.BATCH):
            done += batch
            if batch < stopping.BATCH:
                break
    if done:
        log.info("agents.stopped", count=done)
    return done


@shared_task(name="approvals.tasks.close_refusal_windows")
@alone
def close_refusal_windows() -> int:
    """Leave one entry for refusals that were counted instead of recorded singly."""
    return refusals.close_windows()


@shared_task(name="approvals.tasks.forget_old_answers")
@alone
def forget_old_answers() -> int:
    """Delete remembered answers whose time is over."""
    return idempotency.forget_old()


@shared_task(name="approvals.tasks.forget_old_sessions")
@alone
def forget_old_sessions() -> None:
    """Delete sessions that have ended."""
    call_command("clearsessions")


@shared_task(name="approvals.tasks.send_notifications")
@alone
def send_notifications() -> int:
    """Address what is new in the outbox and send what is due."""
    return sending.run()


@shared_task(name="approvals.tasks.forget_old_notifications")
@alone
def forget_old_notifications() -> int:
    """Delete deliveries that ended long ago."""
    return forgetting.forget_old()


@shared_task(name="approvals.tasks.replay_log")
@alone
def replay_log() -> int:
    """Tell every request once more from the log and hold it against the tables; the number of faults."""
    return nightly.run().fault_count
