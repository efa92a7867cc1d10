"""Celery and its schedule. Every task is short, may run twice, and reads what is due from PostgreSQL."""

from __future__ import annotations

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.schedules import crontab
from celery.signals import beat_init, worker_ready, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config import process, task_outcomes
from config.broker import Broker

# Warned of where root runs `make up`. Only JSON is accepted from the broker, so that no message can run code.
warnings.filterwarnings("ignore", category=SecurityWarning)


app = Celery("countersign", amqp=Broker, set_as_current=True)
app.conf.update(settings.CELERY)
app.autodiscover_tasks(["approvals", "audit"])
task_outcomes.count_from_now_on()


@worker_ready.connect
def _worker_started(**_: object) -> None:
    process.started("worker")


@worker_shutting_down.connect
def _worker_stopped(**_: object) -> None:
    process.stopped("worker")


@beat_init.connect
def _beat_started(**_: object) -> None:
    process.started("beat")


# A message that was not taken within one interval has been overtaken by the next one. But when that is so is told by
# the clocks of beat and worker, which may differ: with an expiry of one second, two hosts two seconds apart had no
# sweep. So only what no clock an hour wrong would call fresh is dropped unrun; the rest runs, and finds nothing to do.
_CLOCKS_APART_SECONDS = 90 * 60


def _every(seconds: float, task: str) -> dict[str, object]:
    return {"task": task, "schedule": seconds, "options": {"expires": seconds + _CLOCKS_APART_SECONDS}}


app.conf.beat_schedule = {
    "default denial": _every(1, "approvals.tasks.expire_due"),
    "stopped agents": _every(1, "approvals.tasks.withdraw_stopped"),
    "escalations": _every(1, "approvals.tasks.escalate_due"),
    "reminders": _every(1, "approvals.tasks.remind_due"),
    "notifications": _every(1, "approvals.tasks.send_notifications"),
    "old notifications": _every(3600, "approvals.tasks.forget_old_notifications"),
    "counted refusals": _every(10, "approvals.tasks.close_refusal_windows"),
    "remembered answers": _every(3600, "approvals.tasks.forget_old_answers"),
    "old sessions": _every(3600, "approvals.tasks.forget_old_sessions"),
    # By the clock and not by an interval, which would begin anew with each start of the beat.
    "replay of the log": {**_every(3600, "approvals.tasks.replay_log"), "schedule": crontab(hour="2", minute="30")},
}
