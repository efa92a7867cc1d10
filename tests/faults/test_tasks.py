"""Every task of the house is delivered three times at once, as a broker that lost its acknowledgements does: nothing is
doubled, and a task that nobody thought of here fails the test.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from agents import stops
from approvals.models import Delivery, Notice, Request
from approvals.models.idempotency import RememberedAnswer
from approvals.replay.tables import replay
from audit import refusals
from audit.entries import Party
from config.celery import app
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_cast, password_proof
from tests.support.eventually import eventually
from tests.support.leaves import entries
from tests.support.live import SLOW, process
from tests.support.notifications import add_webhook, make_due, send_all
from tests.support.receiver import Receiver, receiving
from tests.support.times import LARGE, escalating, pass_time

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]
THRICE = 3
LONG_AGO = timedelta(days=40)
Check = Callable[[], None]


class World:
    """The cast, a receiver of webhooks and a folder of letters."""

    def __init__(self, cast: Cast, receiver: Receiver, letters: Path) -> None:
        self.cast, self.receiver, self.letters = cast, receiver, letters
        self.moved: set[str] = set()  # requests whose times were moved, which the replay notices

    def entries_of(self, request: Request, kind: str) -> int:
        return sum(leaf["subject"]["id"] == str(request.pk) for leaf in entries(kind))

    def expected(self, fault: str) -> bool:
        return any(moved in fault for moved in self.moved)

    def notices_of(self, request: Request, event: str) -> int:
        return Notice.objects.filter(request=request, event=event).count()


def aged(statement: str, *parameters: Any) -> None:
    """Change rows' times behind the triggers, as the owner."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        assert owner.execute(statement, parameters).rowcount >= 1


# ---- the cases: each makes something due for its task, and gives the check of what came of it


def expire_due(world: World) -> Check:
    due = [file_request(world.cast, timeout_seconds=1) for _ in range(3)]
    over = Request.objects.filter(pk__in=[one.pk for one in due]).extra(where=["expires_at <= clock_timestamp()"])
    eventually(lambda: over.count() == 3, within=5, what="deadlines of one second")

    def check() -> None:
        for one in due:
            assert Request.objects.get(pk=one.pk).status == "expired"
            assert world.entries_of(one, "request.expired") == world.notices_of(one, "request.expired") == 1

    return check


def escalate_due(world: World) -> Check:
    due = pass_time(file_request(world.cast, parameters=LARGE), timedelta(minutes=11))
    world.moved.add(str(due.pk))

    def check() -> None:
        assert world.entries_of(due, "request.escalated") == world.notices_of(due, "request.escalated") == 1

    return check


def remind_due(world: World) -> Check:
    due = pass_time(file_request(world.cast), timedelta(minutes=16))  # of thirty: past its half
    world.moved.add(str(due.pk))

    def check() -> None:
        assert world.notices_of(due, "request.reminder") == 1

    return check


def send_notifications(world: World) -> Check:
    told = file_request(world.cast)
    send_all()  # addressed; letters are still being gathered
    make_due()
    people = set(
        Delivery.objects.filter(notices__request=told, channel="email").values_list("person__email", flat=True)
    )
    assert people

    def check() -> None:
        letters = [letter.read_text() for letter in world.letters.glob("*")]
        sent = Counter(to for to in people for letter in letters if f"To: {to}" in letter and told.resource in letter)
        assert sent == Counter(dict.fromkeys(people, 1))
        hooks = Counter(one.headers["webhook-id"] for one in world.receiver.got)
        assert hooks
        assert set(hooks.values()) == {1}
        of_it = Delivery.objects.filter(notices__request=told, notices__event="request.pending", channel="webhook")
        assert [(one.state, one.attempts) for one in of_it] == [("sent", 1)]

    return check


def forget_old_notifications(world: World) -> Check:
    old = file_request(world.cast, timeout_seconds=60)
    decide(old, world.cast["support1"], "reject", rationale="No such parcel is known here.")
    send_all()
    notices = [str(pk) for pk in Notice.objects.filter(request=old).values_list("pk", flat=True)]
    assert notices
    ended = "UPDATE approvals_delivery SET state = 'sent', claimed_until = NULL, ended_at = now() - %s"
    aged(f"{ended} WHERE id IN (SELECT delivery_id FROM approvals_delivery_notices)", LONG_AGO)
    aged("UPDATE approvals_notice SET addressed_at = now() - %s WHERE id = ANY(%s::uuid[])", LONG_AGO, notices)

    def check() -> None:
        assert not Notice.objects.filter(request=old).exists()
        assert not Delivery.objects.filter(ended_at__lt=timezone.now() - LONG_AGO / 2).exists()
        assert world.entries_of(old, "request.rejected") == 1  # evidence is not forgotten

    return check


def close_refusal_windows(world: World) -> Check:
    agent = Party("agent", str(world.cast.agent.pk))
    with transaction.atomic():
        for _ in range(refusals.SINGLY + 2):
            refusals.record_refusal(actor=agent, subject=agent, cause="a-cause-of-the-test", facts={})
    aged("UPDATE audit_refusalwindow SET started_at = started_at - interval '2 minutes'")

    def check() -> None:
        counted = [
            leaf["facts"] for leaf in entries("refusal.counted") if leaf["facts"]["cause"] == "a-cause-of-the-test"
        ]
        assert [facts["count"] for facts in counted] == [2]

    return check


def forget_old_answers(world: World) -> Check:
    for age in (LONG_AGO, timedelta()):
        key = RememberedAnswer.objects.create(
            holder_kind="agent", holder_id=world.cast.agent.pk, key=f"{age}", fingerprint=b"", headers={}
        )
        RememberedAnswer.objects.filter(pk=key.pk).update(created_at=timezone.now() - age)

    def check() -> None:
        assert list(RememberedAnswer.objects.values_list("key", flat=True)) == [str(timedelta())]

    return check


def forget_old_sessions(world: World) -> Check:
    for name, left in (("over", -LONG_AGO), ("open", LONG_AGO)):
        Session.objects.create(session_key=name, session_data="", expire_date=timezone.now() + left)

    def check() -> None:
        assert list(Session.objects.values_list("session_key", flat=True)) == ["open"]

    return check


def replay_log(world: World) -> Check:
    def check() -> None:
        # An entry says what one run found; runs beside another are skipped.
        runs = entries("log.replayed")
        assert runs
        assert [fault for leaf in runs for fault in leaf["facts"]["faults"] if not world.expected(str(fault))] == []

    return check


def withdraw_stopped(world: World) -> Check:
    waiting = [file_request(world.cast) for _ in range(3)]
    granted = file_request(world.cast, "docs.read")
    stops.begin(by=world.cast["admin1"], reason="Something is wrong.", auth=password_proof())

    def check() -> None:
        for one in waiting:
            assert Request.objects.get(pk=one.pk).status == "withdrawn"
            assert world.entries_of(one, "request.withdrawn") == world.notices_of(one, "request.withdrawn") == 1
        assert world.entries_of(granted, "grant.voided") == 1
        assert Notice.objects.filter(agent=world.cast.agent, event="agent.suspended").count() == 1

    return check


# A stop ends what the others wait for, so it comes in a second round, in which all of them are delivered thrice again.
ROUNDS = (
    (
        forget_old_notifications,  # first, so that nobody else's letters lie there
        expire_due,
        escalate_due,
        remind_due,
        send_notifications,
        close_refusal_windows,
        forget_old_answers,
        forget_old_sessions,
        replay_log,
    ),
    (withdraw_stopped,),
)


def tasks() -> list[str]:
    """Every task that our apps registered."""
    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if not name.startswith("celery."))


def test_every_task_has_a_case_and_is_sent_by_the_schedule_without_arguments() -> None:
    assert tasks()
    assert {name.rpartition(".")[2] for name in tasks()} == {case.__name__ for cases in ROUNDS for case in cases}
    scheduled = app.conf.beat_schedule.values()
    assert {entry["task"] for entry in scheduled} == set(tasks())
    assert not any(entry.get("args") or entry.get("kwargs") for entry in scheduled)


@pytest.fixture
def world(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[World]:
    settings.DEMO = settings.WEBHOOKS_ALLOW_LOOPBACK = True  # as the worker below: the receiver is on loopback
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    services.empty_redis()
    with sealing.running(), receiving() as receiver:
        cast = make_cast()
        escalating()
        add_webhook(cast, receiver.url)
        yield World(cast, receiver, tmp_path)


def deliver_thrice(broker: redis.Redis) -> None:
    """Each task three times, with one id each as a redelivery has it, and wait until all were taken and ended."""
    for number in range(THRICE):
        for name in tasks() if number % 2 else reversed(tasks()):
            app.send_task(name, task_id=f"{name}-of-this-round")
    eventually(
        lambda: broker.llen("celery") == broker.hlen("unacked") == 0,
        within=4 * SLOW,
        what="all messages to be worked off",
    )


def all_right(broker: redis.Redis, checks: list[Check]) -> bool:
    deliver_thrice(broker)
    for check in checks:
        check()
    return True


def test_every_task_delivered_three_times_doubles_nothing(world: World) -> None:
    celery = [sys.executable, "-m", "celery", "--quiet", "--app", "config.celery", "worker", "--loglevel", "WARNING"]
    command = [*celery, "--concurrency", str(THRICE), "--without-gossip", "--without-mingle"]
    told = {"DEMO": "1", "WEBHOOKS_ALLOW_LOOPBACK": "1", "EMAIL_FILE_PATH": str(world.letters)}
    told |= {"EMAIL_BACKEND": str(settings.EMAIL_BACKEND)}
    broker: redis.Redis = redis.Redis.from_url(settings.REDIS_URL)
    checks: list[Check] = []
    with process(command, "worker", **told):
        eventually(lambda: entries("process.started"), within=2 * SLOW, what="the worker to start")
        for cases in ROUNDS:
            checks.extend(case(world) for case in cases)
            # On a slow machine a run may have given up at its time limit: then the next delivery does it. What was
            # doubled stays doubled, however often they are delivered.
            eventually(lambda: all_right(broker, checks), within=4 * SLOW, what="all work to be done, once")
    broker.close()
    assert [fault for fault in replay().faults if not world.expected(fault)] == []
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit_log")
    assert ended.value.code == 0
