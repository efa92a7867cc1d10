"""Recording evidence: in the transaction of the change or not at all, in a gapless chain for each subject."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import leaves, merkle
from audit.entries import (
    Authentication,
    Draft,
    EvidenceUnavailable,
    InvalidEntry,
    NotInTransaction,
    Party,
    Personal,
    record,
    record_many,
)
from audit.models import Detail, Head, Pending
from audit.types import EntryType
from tests.support import services

pytestmark = pytest.mark.django_db

AGENT = Party("agent", "a1")


def filed(subject: str = "r1", **more: Any) -> Draft:
    return Draft(EntryType.REQUEST_FILED, AGENT, Party("request", subject), **more)


def record_impatiently(draft: Draft) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '50ms'")
    record(draft)


def pending_leaves() -> list[dict[str, Any]]:
    return [json.loads(bytes(row.leaf)) for row in Pending.objects.order_by("position")]


def test_an_entry_is_two_statements_whatever_it_holds() -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        record(filed(facts={"status": "pending"}, personal={"summary": Personal("Refund")}))
        assert len(queries) == 2
        record(filed(facts={"status": "pending"}))
    assert len(queries) == 4


def test_the_leaf_says_what_was_drafted_and_the_detail_opens_its_commitments() -> None:
    salt = bytes(range(16))
    signed_in = datetime(2026, 11, 21, 9, tzinfo=UTC)
    draft = filed(
        facts={"action": "refund.create", "risk": "high"},
        digests={"policy": "sha256:00"},
        personal={"parameters": Personal({"amount": 1.5}, salt), "summary": Personal("Refund")},
        auth=Authentication("password", signed_in),
    )
    entry_id = record(draft)
    (leaf,) = pending_leaves()
    assert leaf["id"] == str(entry_id)
    assert leaf["type"] == "request.filed"
    assert leaf["actor"] == {"kind": "agent", "id": "a1"}
    assert leaf["subject"] == {"kind": "request", "id": "r1"}
    assert (leaf["v"], leaf["ordinal"], leaf["previous"]) == (1, 1, None)
    assert leaf["auth"] == {"method": "password", "at": "2026-11-21T09:00:00.000000Z", "assertion": None}
    assert leaf["facts"] == {"action": "refund.create", "risk": "high"}
    assert leaf["digests"] == {"policy": "sha256:00"}
    detail = Detail.objects.get(entry_id=entry_id)
    assert detail.content["parameters"] == {"salt": salt.hex(), "value": '{"amount":1.5}'}
    assert set(leaf["commitments"]) == {"parameters", "summary"}
    assert "Refund" not in json.dumps(leaf)


def test_the_time_is_the_databases_and_not_the_applications() -> None:
    with time_machine.travel(datetime(2001, 1, 1, tzinfo=UTC), tick=True):
        record(filed())
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    (leaf,) = pending_leaves()
    assert abs((datetime.fromisoformat(leaf["at"]) - now).total_seconds()) < 60
    assert len(leaf["at"]) == len("2026-11-21T10:00:00.000000Z")


def test_a_subjects_entries_count_from_one_and_name_each_other() -> None:
    for subject in ("r1", "r2", "r1", "r1"):
        record(filed(subject))
    rows = list(Pending.objects.order_by("position"))
    mine = [row for row in rows if row.subject_id == "r1"]
    assert [row.ordinal for row in mine] == [1, 2, 3]
    assert mine[0].previous is None
    for before, after in pairwise(mine):
        assert bytes(after.previous or b"") == merkle.leaf_hash(bytes(before.leaf)) == bytes(before.leaf_hash)
    head = Head.objects.get(subject_kind="request", subject_id="r1")
    assert (head.ordinal, bytes(head.leaf_hash or b"")) == (3, bytes(mine[-1].leaf_hash))


def test_a_thousand_entries_are_two_statements() -> None:
    drafts = [filed(f"r{number}", personal={"summary": Personal("x")}) for number in range(1000)]
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        ids = record_many(drafts)
    assert len(queries) == 2
    assert [leaf["id"] for leaf in pending_leaves()] == [str(entry_id) for entry_id in ids]
    assert Detail.objects.count() == 1000


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    def drafts(run: str) -> list[Draft]:
        return [filed(f"{run}-{name}", facts={"n": number}) for number, name in enumerate("abacabadab")]

    def told(run: str) -> list[tuple[Any, ...]]:
        return [
            (leaf["subject"]["id"][2:], leaf["ordinal"], leaf["facts"], leaf["previous"] is None)
            for leaf in pending_leaves()
            if leaf["subject"]["id"].startswith(run)
        ]

    record(filed("1-a"))
    record(filed("2-a"))
    for draft in drafts("1"):
        record(draft)
    record_many(drafts("2"))
    assert told("1") == told("2")
    for row in Pending.objects.filter(ordinal__gt=1):
        before = Pending.objects.get(subject_id=row.subject_id, ordinal=row.ordinal - 1)
        assert bytes(row.previous or b"") == bytes(before.leaf_hash)
        assert before.position < row.position


def test_nothing_to_record_asks_the_database_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert record_many([]) == []
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused() -> None:
    with pytest.raises(NotInTransaction):
        record(filed())
    with pytest.raises(NotInTransaction):
        record_many([])
    assert Pending.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_leaves_no_entry_and_no_ordinal() -> None:
    with transaction.atomic():
        record(filed())
        transaction.set_rollback(True)
    assert not Pending.objects.exists()
    assert not Head.objects.exists()
    with transaction.atomic():
        record(filed())
    assert [leaf["ordinal"] for leaf in pending_leaves()] == [1]


@pytest.mark.parametrize(
    "draft",
    [
        filed(facts={"amount": 1.5}),
        filed(facts={"big": 2**53}),
        filed(facts={"é": 1}),
        filed(facts={"at": datetime.now(UTC)}),
        filed(digests={"policy": b"bytes"}),
        filed(personal={"é": Personal(1)}),
        filed(personal={"x": Personal(float("nan"))}),
        filed(personal={"x": Personal("y", b"short salt")}),
        filed(subject="x" * 201),
        filed(subject=""),
        Draft(EntryType.HEARTBEAT, AGENT, Party("request", "r1")),
        Draft(EntryType.FORK_DECLARED, AGENT, Party("request", "r1")),
        Draft(EntryType.PROCESS_STARTED, AGENT, Party("log", "localhost/audit/1")),
        Draft(EntryType.REQUEST_FILED, Party("Agent 1", "x"), Party("request", "r1")),
    ],
)
def test_a_draft_that_can_be_no_leaf_is_refused_before_anything_is_locked(draft: Draft) -> None:
    with pytest.raises(InvalidEntry), CaptureQueriesContext(connection) as queries:
        record(draft)
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_a_leaf_over_64_kib_is_refused_and_moves_no_ordinal() -> None:
    with transaction.atomic():
        record(filed())
    with pytest.raises(InvalidEntry, match="over the limit of 65536"), transaction.atomic():
        record(filed(facts={"x": "y" * 65_536}))
    assert (Head.objects.get().ordinal, Pending.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_refused_leaf_takes_its_transaction_back_even_when_the_refusal_is_swallowed() -> None:
    with transaction.atomic(), suppress(InvalidEntry):
        record(filed(facts={"x": "y" * 65_536}))
    assert not Head.objects.exists()


def test_the_database_holds_the_limit_too() -> None:
    with pytest.raises(Exception, match="audit_pending_leaf_size"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_pending (entry_id, subject_kind, subject_id, ordinal, leaf, leaf_hash, recorded_at)"
            " VALUES (gen_random_uuid(), 'request', 'r1', 1, convert_to(repeat('x', 65537), 'UTF8'), sha256(''), now())"
        )


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_makes_the_evidence_unavailable() -> None:
    with services.connection("owner") as owner:
        owner.execute("ALTER TABLE audit_pending ADD CONSTRAINT broken CHECK (subject_id <> 'r1') NOT VALID")
        try:
            with pytest.raises(EvidenceUnavailable, match="nothing was done"), transaction.atomic():
                record(filed())
        finally:
            owner.execute("ALTER TABLE audit_pending DROP CONSTRAINT broken")
    assert not Head.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_subject_held_too_long_by_another_makes_the_evidence_unavailable() -> None:
    with transaction.atomic():
        record(filed())
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SELECT FROM audit_head FOR UPDATE")
        with pytest.raises(EvidenceUnavailable) as refusal, transaction.atomic():
            record_impatiently(filed())
    assert isinstance(refusal.value.__cause__, OperationalError)


@pytest.mark.django_db(transaction=True)
def test_an_entry_recorded_over_thirty_seconds_before_its_commit_is_refused() -> None:
    with (
        services.connection("owner") as owner,
        pytest.raises(psycopg.errors.RestrictViolation, match="over 30 seconds before its transaction committed"),
        owner.transaction(),
    ):
        # The time is the database's to give; put to rest, what gives it, one can be made up.
        owner.execute(
            "ALTER TABLE audit_pending DISABLE TRIGGER audit_pending_place;"
            " INSERT INTO audit_pending (entry_id, subject_kind, subject_id, ordinal, leaf, leaf_hash, recorded_at)"
            " VALUES (gen_random_uuid(), 'request', 'r1', 1, '', sha256(''), clock_timestamp() - interval '31 seconds')"
        )
    assert not Pending.objects.exists()


def test_positions_are_drawn_one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_size FROM pg_sequences WHERE sequencename = 'audit_pending_position_seq'")
        assert cursor.fetchone() == (1,)


def test_every_leaf_that_is_written_is_a_leaf_that_can_be_read() -> None:
    for number, kind in enumerate(set(EntryType) - leaves.SEALER_ONLY):
        record(Draft(kind, AGENT, Party("request", f"r{number}"), personal={"x": Personal(None)}))
    for row in Pending.objects.all():
        assert leaves.parse(bytes(row.leaf)).id == row.entry_id
