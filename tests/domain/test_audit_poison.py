"""Rows made to stop the sealer, by whoever holds the application's role: they can't, and every other entry is sealed.

Two belts, tried one by one: the table takes no such row, and a sealer that finds one all the same keeps it apart.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat
from django.db import transaction
from psycopg import sql

from audit import health, leaves, merkle, roles
from audit.entries import Draft, Party, record
from audit.models import Leaf, Pending, Quarantine, SealerState
from audit.process import keep_sealing
from audit.sealing import Pace
from audit.types import EntryType
from tests.support import sealing, services
from tests.support.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

BOUNDS = import_module("audit.migrations.0003_bounds").BOUNDS
COLUMNS = ("entry_id", "subject_kind", "subject_id", "ordinal", "previous", "leaf", "leaf_hash", "recorded_at")
LAST = 2**63 - 1
POISONED = Party("request", "poison")


def write(subject: str) -> None:
    with transaction.atomic():
        record(Draft(EntryType.REQUEST_FILED, Party("agent", "a1"), Party("request", subject)))


def leaf_of(
    *, subject: Party = POISONED, at: datetime | None = None, kind: str = "request.filed"
) -> tuple[UUID, bytes]:
    """The id and the bytes of a leaf as anybody can build one."""
    entry_id = uuid_utils.compat.uuid7()
    return entry_id, leaves.build(
        entry_id=entry_id, type=kind, at=at or datetime.now(UTC), actor=Party("agent", "a1"), subject=subject,
        ordinal=1, previous=None, auth=None, digests={}, facts={}, commitments={},
    )  # fmt: skip


def row(
    leaf: bytes | None = None, *, subject: Party = POISONED, at: datetime | None = None,
    kind: str = "request.filed", **columns: Any,
) -> dict[str, Any]:  # fmt: skip
    """A row that its leaf bears out, but for the columns given."""
    entry_id, built = leaf_of(subject=subject, at=at, kind=kind)
    leaf = built if leaf is None else leaf
    return {
        "entry_id": entry_id, "subject_kind": subject.kind, "subject_id": subject.id, "ordinal": 1,
        "previous": None, "leaf": leaf, "leaf_hash": merkle.leaf_hash(leaf), "recorded_at": datetime.now(UTC),
    } | columns  # fmt: skip


def insert(connection: psycopg.Connection[Any], values: dict[str, Any]) -> None:
    connection.execute(
        sql.SQL("INSERT INTO audit_pending ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder(name) for name in values),
        ),
        values,
    )


@contextmanager
def unbounded() -> Iterator[psycopg.Connection[Any]]:
    """The owner, in a transaction, on the table as it was before it had bounds: what lies there from then."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for name in (*BOUNDS, "leaf_size"):
            owner.execute(
                sql.SQL("ALTER TABLE audit_pending DROP CONSTRAINT {}").format(sql.Identifier(f"audit_pending_{name}"))
            )
        yield owner
        for name, condition in (*BOUNDS.items(), ("leaf_size", "octet_length(leaf) <= 65536")):
            owner.execute(
                sql.SQL("ALTER TABLE audit_pending ADD CONSTRAINT {} CHECK ({}) NOT VALID").format(
                    sql.Identifier(f"audit_pending_{name}"), sql.SQL(condition)
                )
            )


def sealed() -> list[str]:
    return list(Leaf.objects.filter(subject_kind="request").order_by("index").values_list("subject_id", flat=True))


# ---- what the table takes
@pytest.mark.parametrize(
    ("columns", "bound"),
    [
        ({"ordinal": 2**60}, "ordinal"),
        ({"ordinal": 0}, "ordinal"),
        ({"ordinal": -1}, "ordinal"),
        ({"leaf_hash": b""}, "hashes"),
        ({"leaf_hash": bytes(1_000_000)}, "hashes"),
        ({"previous": bytes(31)}, "hashes"),
        ({"previous": bytes(1_000_000)}, "hashes"),
        ({"subject_id": ""}, "subject"),
        ({"subject_id": "x" * 1_000_000}, "subject"),
        ({"subject_kind": "Ägent\n"}, "subject"),
        ({"subject_kind": "request\n"}, "subject"),
        ({"subject_kind": "k" * 1_000_000}, "subject"),
        ({"leaf": bytes(65_537)}, "leaf_size"),
    ],
)
def test_a_row_out_of_bounds_is_not_taken(columns: dict[str, Any], bound: str) -> None:
    with services.connection("app") as app, pytest.raises(psycopg.errors.CheckViolation, match=f"pending_{bound}"):
        insert(app, row(**columns))


@pytest.mark.parametrize("position", [LAST, -5, 0, 10**9])
def test_a_position_is_drawn_whatever_was_asked_for(position: int) -> None:
    write("before")
    before = Pending.objects.get().position
    with services.connection("app") as app:
        insert(app, row(position=position))
        copy = sql.SQL("COPY audit_pending (position, {}) FROM STDIN").format(
            sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
        with app.cursor().copy(copy) as rows:
            values = row(subject=Party("request", "copied"))
            rows.write_row((position, *(values[name] for name in COLUMNS)))
    write("after")
    positions = list(Pending.objects.order_by("position").values_list("subject_id", "position"))
    assert [subject for subject, _ in positions] == ["before", "poison", "copied", "after"]
    assert positions[-1][1] - before < 100


@pytest.mark.parametrize("time", ["20000-01-01", "infinity", "-infinity", "4000-01-01 BC", "2000-01-01"])
def test_the_time_of_recording_is_the_databases(time: str) -> None:
    with services.connection("app") as app:
        insert(app, row(recorded_at=time))
        (late,) = app.execute(
            "SELECT clock_timestamp() - recorded_at BETWEEN '0 s' AND '20 s' FROM audit_pending"
        ).fetchone() or (None,)
    assert late is True


def test_a_position_far_ahead_hides_no_lag() -> None:
    with sealing.started(pace=Pace(floor=0.0, full_scan=1e9)) as sealer:
        with services.connection("app") as app:
            insert(app, row(position=LAST))
        assert sealer.seal_batch() == 1
        sealer.publish()
        write("waiting")
        assert health.status().lag_seconds > 0
        assert sealer.seal_batch() == 1
    assert sealed() == ["poison", "waiting"]


# ---- what the sealer does with one that is there all the same
POISON: dict[str, dict[str, Any]] = {
    "an ordinal beyond JSON's": {"ordinal": 2**60},
    "an ordinal below all": {"ordinal": -(2**63)},
    "the year 20000": {"recorded_at": "20000-01-01"},
    "the end of time": {"recorded_at": "infinity"},
    "the beginning of time": {"recorded_at": "-infinity"},
    "before Christ": {"recorded_at": "4000-01-01 BC"},
    "a leaf of megabytes": {"leaf": b"[" * 3_000_000},
    "a hash that is none": {"leaf_hash": b""},
    "a previous of odd length": {"previous": b"\x01\x02\x03"},
    "a subject of a megabyte": {"subject_id": "x" * 1_000_000},
    "no subject": {"subject_kind": "", "subject_id": ""},
    "an odd subject": {"subject_kind": "\u202e\x1b[2J", "subject_id": "\u0001\ud7ff\U0010ffff"},
}
LIES: dict[str, dict[str, Any]] = {
    "NUL in what would be told": {"leaf": b'{"\\u0000":1.5}'},
    "a lone surrogate": {"leaf": b'"\\ud800"'},
    "nested beyond any stack": {"leaf": b"[" * 60_000},
    "a number of 60 000 digits": {"leaf": b"9" * 60_000},
    "no UTF-8": {"leaf": b"\xff\xfe"},
    "nothing": {"leaf": b""},
    "the sealer's type": {"kind": "heartbeat"},
    "the log's chain": {"subject": Party("log", "localhost/audit/00000000")},
    "a time long past": {"at": datetime(1, 1, 1, tzinfo=UTC)},
    "a time far ahead": {"at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
}


def assert_kept_apart(poison: dict[str, Any]) -> None:
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 3
        assert sealer.seal_batch() == 0
    assert sealed() == ["before", "after"]
    assert not Pending.objects.exists()
    with services.connection("owner") as owner:
        kept = owner.execute("SELECT entry_id, leaf, recorded_at::text FROM audit_quarantine").fetchall()
    assert [(entry, bytes(leaf)) for entry, leaf, _ in kept] == [(poison["entry_id"], poison["leaf"])]
    assert Leaf.objects.filter(type="entry.quarantined").count() == 1
    sealing.seal_all()  # and it starts again


@pytest.mark.parametrize("changes", POISON.values(), ids=POISON)
def test_a_row_that_can_hardly_be_read_goes_to_quarantine_alone(changes: dict[str, Any]) -> None:
    poison = row(**changes)
    write("before")
    with unbounded() as owner:
        (position,) = owner.execute("SELECT nextval('audit_pending_position_seq')").fetchone() or (None,)
        insert(owner, {**poison, "position": position})
    write("after")
    assert_kept_apart(poison)


@pytest.mark.parametrize("position", [-(2**63), -1, 0, LAST])
def test_a_row_at_an_impossible_place_goes_to_quarantine_alone(position: int) -> None:
    poison = row(ordinal=2**60, position=position)
    write("before")
    with unbounded() as owner:
        insert(owner, poison)
    write("after")
    assert_kept_apart(poison)


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES)
def test_a_row_that_lies_within_its_bounds_goes_to_quarantine_alone(changes: dict[str, Any]) -> None:
    poison = row(**changes)
    write("before")
    with services.connection("app") as app:
        insert(app, poison)
    write("after")
    assert_kept_apart(poison)


def test_an_id_used_twice_goes_to_quarantine_the_second_time() -> None:
    write("before")
    with services.connection("app") as app:
        first = row()
        insert(app, first)
        insert(app, first)
    write("after")
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 4
    assert sealed() == ["before", "poison", "after"]
    assert Quarantine.objects.get().entry_id == first["entry_id"]


def test_where_a_whole_batch_fails_for_one_row_that_row_alone_goes_to_quarantine() -> None:
    """For what nobody thought of: a row that is right by every check and can't be stored all the same."""
    with services.connection("owner") as owner:
        owner.execute("ALTER TABLE audit_leaf ADD CONSTRAINT unforeseen CHECK (subject_id <> 'poison') NOT VALID")
        try:
            for subject in ("before", "poison", "after"):
                write(subject)
            with sealing.started() as sealer:
                assert sealer.seal_batch() == 3
        finally:
            owner.execute("ALTER TABLE audit_leaf DROP CONSTRAINT unforeseen")
    assert sealed() == ["before", "after"]
    kept = Quarantine.objects.get()
    assert (kept.subject_id, kept.cause.partition(":")[0]) == ("poison", "the row could not be sealed")
    assert SealerState.objects.get().published_size == Leaf.objects.count()


def test_the_process_outlives_what_nobody_expected() -> None:
    calls: list[int] = []
    connect = partial(psycopg.connect, roles.conninfo("sealer"))

    def connect_at_the_second_try() -> psycopg.Connection[Any]:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("nobody expects this")
        return connect()

    with sealing.connected():
        pass  # the outside copy of an earlier log is gone
    stop = threading.Event()
    arguments = (connect_at_the_second_try, sealing.log_key(), "localhost", sealing.outside_path(), stop)
    process = threading.Thread(target=keep_sealing, args=arguments)
    write("r1")
    process.start()
    try:
        eventually(lambda: not Pending.objects.exists(), what="sealing to begin all the same")
    finally:
        stop.set()
        process.join(30)
    assert len(calls) == 2
