"""How tasks end, counted in Redis by the workers, which nobody scrapes. A lost Redis is a counter that begins anew.

Counting never fails a task nor holds it up: a Redis that is away is not asked for 5 s (`agents.redis_link`).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from celery.signals import task_failure, task_retry, task_revoked, task_success
from prometheus_client.core import CounterMetricFamily

from agents.redis_link import Away, link

KEY = "countersign:tasks"
#: What an alert asks for is exported from the start: Prometheus sees no increase in a series that begins at 1.
_FROM_THE_START = ("success", "failure", "revoked")


def _succeeded(sender: Any, **_: object) -> None:
    _count(sender.name, "success")


def _failed(sender: Any, **_: object) -> None:
    # An exception, or the time limit; who is killed is not counted: its task is delivered again.
    _count(sender.name, "failure")


def _retried(sender: Any, **_: object) -> None:
    _count(sender.name, "retry")


def _revoked(sender: Any, expired: bool = False, **_: object) -> None:
    # Expired: no worker took it within its interval and 90 minutes more (`config.celery`).
    _count(sender.name, "expired" if expired else "revoked")


def count_from_now_on() -> None:
    """Have Celery tell of each end of a task in this process and its children."""
    task_success.connect(_succeeded)
    task_failure.connect(_failed)
    task_retry.connect(_retried)
    task_revoked.connect(_revoked)


def _count(task: str, outcome: str) -> None:
    with suppress(Away):
        link().call(lambda client: client.hincrby(KEY, f"{task} {outcome}", 1))


def family(scheduled: Iterable[str]) -> CounterMetricFamily:
    """The counts as they stand, 0 for a scheduled task that has not ended yet. Raises `Away` where Redis is."""
    counts: dict[bytes, bytes] = link().call(lambda client: client.hgetall(KEY))
    by_task = {task: dict.fromkeys(_FROM_THE_START, 0) for task in scheduled}
    for field, count in counts.items():
        task, _, outcome = field.decode().rpartition(" ")
        by_task.setdefault(task, dict.fromkeys(_FROM_THE_START, 0))[outcome] = int(count)
    found = CounterMetricFamily(
        "countersign_tasks", "How periodic tasks ended since Redis was last empty.", labels=["task", "outcome"]
    )
    for task, outcomes in sorted(by_task.items()):
        for outcome, number in sorted(outcomes.items()):
            found.add_metric([task, outcome], number)
    return found
