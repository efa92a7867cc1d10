"""Writers, rollbacks and killed sealers against each other: what was committed is sealed once, and nothing else is.

The regression this guards: a poller with `WHERE id > last_id` lost 4 440 of 34 016 committed rows, because a
sequence's order is not the order of commits.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from audit import roles
from audit.entries import Draft, Party, Personal, record, record_many
from audit.models import Leaf, Pending, Quarantine, SealerState
from audit.notes import Verifier
from audit.process import keep_sealing
from audit.sealing import Pace
from audit.stored_log import StoredLog
from audit.types import EntryType
from audit.verify import verify
from tests.support import sealing, services
from tests.support.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 64
ROOT = Path(__file__).parents[2]

# A floor without any patience: every late commit lands below it, so only looking again finds it.
IMPATIENT = Pace(batch=1000, pause=0.002, alive=0.05, full_scan=0.3, floor=0.0)


class Undone(Exception):
    """Rolls a writer's transaction back."""


def draft(subject: str) -> Draft:
    return Draft(
        EntryType.REQUEST_FILED,
        Party("agent", "a1"),
        Party("request", subject),
        facts={"n": 1},
        personal={"summary": Personal("x")},
    )


def one_writer(number: int, transactions: int = 12) -> list[UUID]:
    """Write to subjects of one's own and shared ones, with random pauses and rollbacks; the ids that were committed."""
    chance = random.Random(number)
    pause = threading.Event()  # never set: its wait is the random pause
    committed: list[UUID] = []
    try:
        for turn in range(transactions):
            # A verb writes its subjects in one order, or its twin and it would wait for each other.
            subjects = sorted(
                chance.choice([f"own-{number}", f"shared-{chance.randrange(8)}", f"new-{number}-{turn}"])
                for _ in range(chance.randint(1, 4))
            )
            try:
                with transaction.atomic():
                    if chance.random() < 0.3:
                        ids = record_many([draft(subject) for subject in subjects])
                    else:
                        ids = [record(draft(subject)) for subject in subjects]
                    pause.wait(chance.random() * 0.01)
                    if chance.random() < 0.25:
                        raise Undone
            except Undone:
                continue
            committed += ids
    finally:
        connection.close()
    return committed


def write_with_all(writer: Callable[[int], list[UUID]] = one_writer) -> list[UUID]:
    with ThreadPoolExecutor(WRITERS) as pool:
        return [entry_id for ids in pool.map(writer, range(WRITERS)) for entry_id in ids]


def assert_each_sealed_once(committed: list[UUID]) -> None:
    """What went in equals what came out, in gapless chains, and the log as a whole verifies."""
    rows = Leaf.objects.filter(subject_kind="request").order_by("index")
    sealed = Counter(rows.values_list("entry_id", flat=True))
    assert set(sealed) == set(committed)
    assert set(sealed.values()) == {1}
    ordinals = defaultdict(list)
    for subject, ordinal in rows.values_list("subject_id", "ordinal"):
        ordinals[subject].append(ordinal)
    assert all(found == list(range(1, len(found) + 1)) for found in ordinals.values())
    assert not Quarantine.objects.exists()
    with psycopg.connect(roles.conninfo("app")) as own:
        report = verify(StoredLog(own), Verifier.parse(SealerState.objects.get().verifier_key))
    assert report.problems == []
    assert report.size == Leaf.objects.count()


def everything_is_sealed() -> bool:
    return not Pending.objects.exists()


def test_sixty_four_writers_with_pauses_and_rollbacks_lose_nothing_and_double_nothing() -> None:
    with sealing.running(pace=IMPATIENT):
        committed = write_with_all()
        eventually(everything_is_sealed, within=30, what="everything to be sealed")
    assert len(committed) > 1000
    assert_each_sealed_once(committed)


def test_a_log_that_grows_while_it_is_verified_verifies() -> None:
    with sealing.running(), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_with_all)
        codes = []
        while not writing.done():
            with pytest.raises(SystemExit) as left:
                call_command("verify_audit_log", stdout=StringIO(), stderr=StringIO())
            codes.append(left.value.code)
    assert set(codes) == {0}


@contextmanager
def standing_sealers(count: int) -> Iterator[None]:
    """Several sealers' processes in threads, each trying to be the one."""
    stop = threading.Event()
    sealing.forget_outside_copies()
    connect = partial(psycopg.connect, roles.conninfo("sealer"))
    arguments = (connect, sealing.log_key(), "localhost", sealing.outside_path(), stop)
    threads = [threading.Thread(target=keep_sealing, args=arguments) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def cut_off_the_sealer() -> int:
    """End the database session of whichever sealer holds the lock, as a broken network would; how many sessions."""
    with psycopg.connect(roles.conninfo("sealer"), autocommit=True) as own:
        rows = own.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
            " AND l.pid <> pg_backend_pid()"
        ).fetchall()
    return len(rows)


def test_two_sealers_of_which_one_is_cut_off_again_and_again_seal_everything_once() -> None:
    cuts = 0
    with standing_sealers(2), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_with_all)
        while not writing.done():
            cuts += eventually(cut_off_the_sealer, within=20, what="a sealer to hold the lock")
        committed = writing.result()
        eventually(everything_is_sealed, within=30, what="everything to be sealed")
    assert cuts >= 1
    assert_each_sealed_once(committed)


@contextmanager
def sealer_process() -> Iterator[subprocess.Popen[bytes]]:
    """The real process, `manage.py seal_audit_log`; killed afterwards if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "seal_audit_log"],
        cwd=ROOT,
        env=services.process_environment(AUDIT_OUTSIDE_PATH=settings.AUDIT_OUTSIDE_PATH),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def test_a_sealer_killed_in_the_middle_of_its_work_is_followed_by_one_that_goes_on() -> None:
    sealing.forget_outside_copies()
    with transaction.atomic():
        committed = record_many([draft(f"r{number % 500}") for number in range(9000)])
    with sealer_process() as process:
        eventually(lambda: Leaf.objects.exists(), within=30, every=0.001, what="the first batch")
        os.kill(process.pid, signal.SIGKILL)
    assert Pending.objects.exists()
    with sealer_process() as process:
        eventually(everything_is_sealed, within=30, what="the rest to be sealed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert_each_sealed_once(committed)
    assert Leaf.objects.latest("index").type == "process.stopped"
