"""How tasks end, counted in Redis by the workers, which nobody scrapes. A lost Redis is a counter that begins anew.

Counting never fails a task nor holds it up: a Redis that is away is not asked for 5 s (`agents.redis_link`).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import Any

from celery.signals import task_failure, task_retry, task_revoked, task_success
from prometheus_client.core import CounterMetricFamily

from agents.redis_link import Away, link

KEY = "countersign:tasks"


def _succeeded(sender: Any, **_: object) -> None:
    _count(sender.name, "success")


def _failed(sender: Any, **_: object) -> None:
    _count(
        sender.name, "failure"
    )  # an exception, or the time limit; who is killed is not counted, its task is delivered again


def _retried(sender: Any, **_: object) -> None:
    _count(sender.name, "retry")


def _revoked(sender: Any, expired: bool = False, **_: object) -> None:
    _count(sender.name, "expired" if expired else "revoked")  # expired: overtaken by the next before a worker took it


def count_from_now_on() -> None:
    """Have Celery tell of each end of a task in this process and its children."""
    task_success.connect(_succeeded)
    task_failure.connect(_failed)
    task_retry.connect(_retried)
    task_revoked.connect(_revoked)


def _count(task: str, outcome: str) -> None:
    with suppress(Away):
        link().call(lambda client: client.hincrby(KEY, f"{task} {outcome}", 1))


def family() -> CounterMetricFamily:
    """The counts as they stand. Raises `Away` where Redis is."""
    counts: dict[bytes, bytes] = link().call(lambda client: client.hgetall(KEY))
    by_task: dict[str, dict[str, int]] = defaultdict(lambda: {"success": 0, "failure": 0})
    for field, count in counts.items():
        task, _, outcome = field.decode().rpartition(" ")
        by_task[task][outcome] = int(count)
    found = CounterMetricFamily(
        "countersign_tasks", "How periodic tasks ended since Redis was last empty.", labels=["task", "outcome"]
    )
    for task, outcomes in sorted(by_task.items()):
        for outcome, number in sorted(outcomes.items()):
            found.add_metric([task, outcome], number)
    return found
