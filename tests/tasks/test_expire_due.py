"""The sweep: makes default denial durable, set-based and with its evidence, and changes nothing that a reader sees."""

from __future__ import annotations

import json
import threading
import zlib
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import expiry
from approvals.errors import TooLate
from approvals.models import Request
from approvals.tasks import expire_due
from audit.entries import EvidenceUnavailable
from tests.support import contract, services
from tests.support.cast import Cast, decide, file_request, held, open_page, overdue
from tests.support.eventually import eventually
from tests.support.live import Caller, worker_and_beat
from tests.support.racing import race


def entries(kind: str) -> list[dict[str, Any]]:
    """The leaves of that type, in the order they were recorded."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT convert_from(leaf, 'UTF8') FROM audit_pending ORDER BY position")
        leaves = [json.loads(leaf) for (leaf,) in cursor.fetchall()]
    return [leaf for leaf in leaves if leaf["type"] == kind]


def test_what_is_overdue_is_expired_at_its_deadline_with_an_entry_each(cast: Cast) -> None:
    late = [overdue(file_request(cast)) for _ in range(3)]
    early = file_request(cast)
    assert expire_due() == 3
    for request in late:
        now = Request.objects.get(pk=request.pk)
        assert (now.status, now.decided_at, now.retry, now.version) == ("expired", request.expires_at, "later", 2)
    assert Request.objects.get(pk=early.pk).status == "pending"
    left = entries("request.expired")
    assert {leaf["subject"]["id"] for leaf in left} == {str(request.pk) for request in late}
    assert {leaf["actor"]["kind"] for leaf in left} == {"system"}
    assert all(leaf["facts"]["status"] == "expired" for leaf in left)


def test_a_second_sweep_finds_nothing_and_records_nothing(cast: Cast) -> None:
    overdue(file_request(cast))
    assert expire_due() == 1
    before = entries("request.expired")
    assert expire_due() == 0
    assert entries("request.expired") == before


def test_what_is_final_is_left_alone(cast: Cast) -> None:
    request = decide(file_request(cast), cast["support1"], "reject", rationale="Not this one.")
    overdue(request)
    overdue(file_request(cast, "docs.read"))
    assert expire_due() == 0
    assert Request.objects.get(pk=request.pk).status == "rejected"


def test_a_batch_takes_the_same_few_statements_however_many_are_due(cast: Cast) -> None:
    counted = []
    for size in (2, 20):
        for _ in range(size):
            overdue(file_request(cast))
        with CaptureQueriesContext(connection) as queries:
            assert expiry.expire_due() == size
        counted.append(len([one for one in queries if "SAVEPOINT" not in one["sql"]]))
    assert counted[0] == counted[1] <= 8


def test_batches_follow_one_another_until_nothing_is_due(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    for _ in range(5):
        overdue(file_request(cast))
    assert expiry.expire_due(limit=2) == 2  # the oldest deadlines first
    assert expire_due() == 3


def test_the_sweep_passes_over_what_somebody_holds_and_takes_it_the_next_time(cast: Cast) -> None:
    one, other = overdue(file_request(cast)), overdue(file_request(cast))
    with held(one):
        assert expire_due() == 1
        assert Request.objects.get(pk=other.pk).status == "expired"
    assert expire_due() == 1
    assert Request.objects.get(pk=one.pk).status == "expired"


def test_two_sweeps_at_once_expire_each_request_once(cast: Cast) -> None:
    for _ in range(30):
        overdue(file_request(cast))
    swept = race(*([expiry.expire_due] * 6))
    assert sum(swept) == 30
    assert len(entries("request.expired")) == 30


def test_a_sweep_that_cannot_leave_its_evidence_changes_nothing(cast: Cast) -> None:
    request = overdue(file_request(cast))
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            with pytest.raises(EvidenceUnavailable):
                expire_due()
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
    assert Request.objects.get(pk=request.pk).status == "pending"
    assert expire_due() == 1


def test_a_run_is_skipped_while_another_is_at_work(cast: Cast) -> None:
    overdue(file_request(cast))
    taken, done = threading.Event(), threading.Event()

    def other() -> None:
        with services.connection("app") as own:
            own.execute("SELECT pg_advisory_lock(%s)", [zlib.crc32(b"countersign.tasks.expire_due")])
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert taken.wait(30)
        assert expire_due() is None
    finally:
        done.set()
        thread.join()
    eventually(lambda: expire_due() == 1, what="the other's lock to be gone")


def test_a_worker_and_a_beat_expire_what_nobody_reads(agent: Caller, cast: Cast) -> None:
    request = overdue(file_request(cast))
    with worker_and_beat():
        eventually(
            lambda: Request.objects.get(pk=request.pk).status == "expired", within=30, what="the sweep of a real worker"
        )
    assert len(entries("request.expired")) == 1
    contract.request(agent.read(str(request.pk)), "expired")


def test_without_a_worker_two_seconds_are_two_seconds_and_a_decision_after_them_is_410(
    agent: Caller, cast: Cast
) -> None:
    document = agent.file(timeout_seconds=2).json()
    request = Request.objects.get(pk=document["id"])
    opened = open_page(request, cast["support1"])
    told = contract.request(agent.read(document["id"], wait=30), "expired")
    assert told["decision"]["decided_at"] == document["expires_at"]
    with pytest.raises(TooLate) as refused:
        decide(request, cast["support1"], opened=opened)
    assert refused.value.status == 410
    assert agent.read(document["id"]) == told
