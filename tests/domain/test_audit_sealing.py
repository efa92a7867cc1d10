"""The sealer on real connections: what it appends, signs, copies and publishes, and when it refuses to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from psycopg import sql

from audit import health, merkle, outside, roles
from audit.continuity import LogRefused, NotContinued
from audit.entries import Draft, Party, record, record_many
from audit.models import Checkpoint, Leaf, Node, Pending, Quarantine, SealerState
from audit.notes import Signer, Verifier
from audit.process import keep_sealing
from audit.sealing import AlreadySealing, Pace, Sealer
from audit.types import EntryType
from tests.support import sealing, services
from tests.support.eventually import eventually
from tests.support.sealing import outside_path

pytestmark = pytest.mark.django_db(transaction=True)


def write(*subjects: str) -> None:
    with transaction.atomic():
        record_many(
            [Draft(EntryType.REQUEST_FILED, Party("agent", "a1"), Party("request", subject)) for subject in subjects]
        )


def tamper(statement: str, *parameters: Any) -> None:
    """Change something as whoever has taken the owner's place, its triggers at rest."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(statement, parameters)


def sealed_subjects() -> list[str]:
    return list(Leaf.objects.filter(subject_kind="request").order_by("index").values_list("subject_id", flat=True))


def own_types() -> list[str]:
    return list(Leaf.objects.filter(subject_kind="log").order_by("index").values_list("type", flat=True))


def own_facts(kind: EntryType) -> list[dict[str, Any]]:
    rows = Leaf.objects.filter(type=str(kind)).order_by("index")
    return [json.loads(bytes(row.leaf))["facts"] for row in rows]


def test_pending_entries_become_leaves_under_a_signed_checkpoint_in_their_order() -> None:
    write("r1", "r2")
    write("r1")
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 3
        assert sealer.seal_batch() == 0
    assert not Pending.objects.exists()
    assert sealed_subjects() == ["r1", "r2", "r1"]
    leaves = list(Leaf.objects.order_by("index"))
    assert [leaf.index for leaf in leaves] == list(range(5))
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier.append(merkle.leaf_hash(bytes(leaf.leaf)))
    state = SealerState.objects.get()
    checkpoint = Verifier.parse(state.verifier_key).checkpoint(Checkpoint.objects.get(size=5).note)
    assert (checkpoint.size, checkpoint.root) == (5, frontier.root())
    assert (state.size, state.published_size) == (5, 5)
    assert outside.read(outside_path()) == Checkpoint.objects.get(size=5).note


def test_the_stored_subtrees_prove_every_leaf_and_every_growth() -> None:
    write(*(f"r{number}" for number in range(21)))
    with sealing.started(pace=Pace(batch=4)) as sealer:
        while sealer.seal_batch():
            pass
    size = SealerState.objects.get().size
    hashes = {(0, leaf.index): bytes(leaf.leaf_hash) for leaf in Leaf.objects.all()}
    hashes |= {(node.level, node.position): bytes(node.hash) for node in Node.objects.all()}
    assert len(hashes) == size + size - size.bit_count()
    roots = {row.size: bytes(row.root) for row in Checkpoint.objects.all()}
    for index in range(size):
        path = merkle.proof(merkle.inclusion_names(index, size), hashes.__getitem__)
        assert merkle.verify_inclusion(hashes[(0, index)], index, size, path, roots[size])
    sizes = sorted(roots)
    assert len(sizes) == 7
    for old in sizes:
        path = merkle.proof(merkle.consistency_names(old, size), hashes.__getitem__)
        assert merkle.verify_consistency(old, size, roots[old], roots[size], path)


def test_the_first_start_fixes_origin_and_key_and_says_so_first() -> None:
    sealing.seal_all()
    state = SealerState.objects.get()
    host, _, name = state.origin.partition("/audit/")
    assert (host, len(name)) == ("localhost", 8)
    assert health.verifier_key() == state.verifier_key
    assert own_types() == ["key.created", "process.started", "process.stopped"]
    assert own_facts(EntryType.KEY_CREATED) == [{"use": "log", "verifier_key": state.verifier_key}]
    with sealing.connected() as sealer:
        sealer._host = "other.test"
        sealer.start()
    assert SealerState.objects.get().origin == state.origin


def test_another_key_is_refused() -> None:
    sealing.seal_all()
    with (
        psycopg.connect(roles.conninfo("sealer")) as own,
        pytest.raises(LogRefused, match="not the one this log was started with"),
    ):
        Sealer(own, Ed25519PrivateKey.generate(), "localhost", outside_path()).start()
    assert own_types()[-1] == "process.stopped"


def test_only_one_sealer_seals_and_the_next_takes_over() -> None:
    with sealing.started() as first, sealing.connected() as second:
        with pytest.raises(AlreadySealing):
            second.start()
        write("r1")
        assert first.seal_batch() == 1
        first.stop()
        second.start()
        write("r2")
        assert second.seal_batch() == 1
    assert sealed_subjects() == ["r1", "r2"]


def test_a_sealer_that_lost_its_place_appends_nothing() -> None:
    with sealing.started() as first:
        first._store.unlock()  # as if its lock had gone with a broken connection that it did not notice
        with sealing.started() as second:
            write("r1")
            second.seal_batch()
            write("r2")
            with pytest.raises(LogRefused, match="not the"):
                first.seal_batch()
            assert second.seal_batch() == 1
    assert sealed_subjects() == ["r1", "r2"]


def test_a_sealer_whose_database_was_replaced_under_it_no_longer_says_that_all_is_well() -> None:
    write("r1")
    with sealing.started() as sealer:
        sealer.seal_batch()
        before = SealerState.objects.get().alive_at
        tamper("UPDATE audit_sealerstate SET size = 2")
        with pytest.raises(RuntimeError, match="not as this sealer left it"):
            sealer.publish()
        assert SealerState.objects.get().alive_at == before


def test_an_idle_log_has_a_heartbeat() -> None:
    with sealing.started(pace=Pace(heartbeat=0.0)) as sealer:
        before = own_types()
        assert sealer.seal_batch() == 0
        write("r1")
        sealer.seal_batch()
    assert own_types() == [*before, "heartbeat"]
    assert Leaf.objects.filter(type="heartbeat").get().subject_id == SealerState.objects.get().origin


def test_a_row_that_does_not_rehash_goes_to_quarantine_and_neither_blocks_nor_vanishes(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    write("r1", "r2")
    tamper("UPDATE audit_pending SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'a1', 'a2'), 'UTF8')"
           " WHERE subject_id = 'r1'")  # fmt: skip
    write("r1", "r3")
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 4
    assert not Pending.objects.exists()
    assert sealed_subjects() == ["r2", "r1", "r3"]
    kept = Quarantine.objects.get()
    assert (kept.subject_id, kept.ordinal) == ("r1", 1)
    assert b"a2" in bytes(kept.leaf)
    assert "does not hash" in kept.cause
    (said,) = own_facts(EntryType.ENTRY_QUARANTINED)
    assert said["claimed"] == {"kind": "request", "id": "r1", "ordinal": 1}
    assert own_facts(EntryType.ENTRY_MISSING) == [{"kind": "request", "id": "r1", "first": 1, "last": 1}]
    assert "entry_quarantined" in caplog.text + "".join(capsys.readouterr())
    assert "quarantine" in health.status().degraded


def test_a_pending_row_that_vanished_leaves_a_hole_that_the_tree_names() -> None:
    write("r1")
    write("r1")
    write("r1")
    tamper("DELETE FROM audit_pending WHERE ordinal < 3")
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 1
    assert own_facts(EntryType.ENTRY_MISSING) == [{"kind": "request", "id": "r1", "first": 1, "last": 2}]


def test_a_forged_row_of_the_applications_role_is_not_believed() -> None:
    write("r1")
    row = Pending.objects.get()
    with services.connection("app") as app:
        app.execute(
            "INSERT INTO audit_pending (position, entry_id, subject_kind, subject_id, ordinal, previous, leaf,"
            " leaf_hash, recorded_at) OVERRIDING SYSTEM VALUE"
            " SELECT position + 1000, entry_id, subject_kind, subject_id, ordinal, previous, leaf,"
            " leaf_hash, recorded_at FROM audit_pending"
        )
    with sealing.started() as sealer:
        assert sealer.seal_batch() == 2
        assert sealer.seal_batch() == 0
    assert sealed_subjects() == ["r1"]
    assert Quarantine.objects.get().entry_id == row.entry_id


def test_an_entry_committed_below_the_floor_is_found_by_the_next_full_scan() -> None:
    with sealing.started(pace=Pace(floor=0.0, full_scan=1e9)) as sealer:
        write("before")
        sealer.seal_batch()
        with slow_writer("late") as commit:
            write("quick")
            assert sealer.seal_batch() == 1
            commit()
        assert sealer.seal_batch() == 0
        sealer._scanned_at = 0.0  # as if a minute had passed
        assert sealer.seal_batch() == 1
    assert sealed_subjects() == ["before", "quick", "late"]


def test_an_entry_whose_predecessor_lies_below_the_floor_brings_it_in_and_is_not_quarantined() -> None:
    with sealing.started(pace=Pace(floor=0.0, full_scan=1e9)) as sealer:
        write("before")
        sealer.seal_batch()
        with slow_writer("late") as commit:
            write("quick")
            sealer.seal_batch()
            commit()
        write("late")
        assert sealer.seal_batch() == 2
    assert sealed_subjects() == ["before", "quick", "late", "late"]
    assert not Quarantine.objects.exists()


def test_a_database_shorter_than_the_outside_copy_is_refused_until_a_fork_is_declared() -> None:
    with restored_backup() as lost:
        with sealing.connected() as sealer, pytest.raises(NotContinued, match="it is older"):
            sealer.start()
        assert health.status().unsafe is not None
        with pytest.raises(CommandError, match="reason of 10"):
            call_command("declare_fork", reason="oops")
        call_command("declare_fork", reason="restored last night's backup", by="alex")
        assert health.fork_number() == 1
        (facts,) = own_facts(EntryType.FORK_DECLARED)
        assert (facts["fork"], facts["reason"], facts["abandoned"]) == (1, "restored last night's backup", lost)
        fork = Leaf.objects.get(type="fork.declared")
        assert (fork.actor_kind, fork.actor_id) == ("operator", "alex")
        assert outside_path().with_name(f"{outside_path().name}.fork-1").read_text() == lost
        sealing.seal_all()
        assert health.status().outside_size == SealerState.objects.get().size


def test_a_refusing_process_goes_on_by_itself_once_the_fork_is_declared() -> None:
    stop = threading.Event()
    connect = partial(psycopg.connect, roles.conninfo("sealer"))
    with restored_backup():
        arguments = (connect, sealing.log_key(), "localhost", outside_path(), stop)
        process = threading.Thread(target=keep_sealing, args=arguments)
        process.start()
        try:
            write("waiting")
            call_command("declare_fork", reason="restored last night's backup")
            eventually(lambda: not Pending.objects.exists(), what="sealing to go on")
            eventually(lambda: health.status().unsafe is None, what="the log to be live")
        finally:
            stop.set()
            process.join(30)


def test_a_fork_that_was_committed_before_the_outside_copy_was_set_aside_is_completed_at_the_next_start() -> None:
    with restored_backup() as lost:
        call_command("declare_fork", reason="restored last night's backup")
        outside_path().write_text(lost)  # as if the process had died right after the commit
        sealing.seal_all()
        assert SealerState.objects.get().forks == 1
        assert health.status().outside_size == SealerState.objects.get().size


def test_where_nothing_was_lost_there_is_no_fork_to_declare() -> None:
    sealing.seal_all()
    with pytest.raises(CommandError, match="no fork to declare"):
        call_command("declare_fork", reason="because I can, and nobody stops me")
    assert health.fork_number() == 0


def test_a_database_of_another_history_than_the_outside_copy_is_refused() -> None:
    sealing.seal_all()
    state = SealerState.objects.get()
    key = sealing.log_key()
    other = Signer(state.origin, key).sign(f"{state.origin}\n1\n{'A' * 43}=\n")
    outside_path().write_text(other)
    with sealing.connected() as sealer, pytest.raises(NotContinued, match="not those that were published"):
        sealer.start()


@pytest.mark.parametrize("content", ["", "not a checkpoint\n", "x" * 20_000])
def test_an_outside_copy_that_is_no_checkpoint_is_refused(content: str) -> None:
    sealing.seal_all()
    outside_path().write_text(content)
    with sealing.connected() as sealer, pytest.raises(LogRefused):
        sealer.start()
    assert "outside" in health.status().degraded


def test_an_outside_copy_that_is_gone_is_refused() -> None:
    sealing.seal_all()
    outside_path().unlink()
    with sealing.connected() as sealer, pytest.raises(NotContinued, match="is gone"):
        sealer.start()


def test_a_checkpoint_that_was_committed_and_not_copied_outside_is_copied_at_the_next_start() -> None:
    sealing.seal_all()
    before = outside_path().read_text()
    write("r1")
    sealing.seal_all()
    outside_path().write_text(before)  # as if the process had died between commit and copy
    with sealing.started():
        assert health.status().unsafe is None
    assert outside_path().read_text() != before


def test_a_tampered_tree_is_not_continued() -> None:
    write("r1", "r2", "r3")
    sealing.seal_all()
    tamper("UPDATE audit_node SET hash = sha256('x') WHERE level = 2 AND position = 0")
    with sealing.connected() as sealer, pytest.raises(LogRefused, match="tampered with"):
        sealer.start()


def test_an_outside_copy_that_cannot_be_written_stops_publishing_and_not_sealing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with sealing.running():
        folder = outside_path().with_name(f".{outside_path().name}.unfinished")
        folder.mkdir()  # what would be written first is in the way, for root too
        try:
            before = SealerState.objects.get().published_size
            write("r1")
            eventually(lambda: not Pending.objects.exists(), what="the entry to be sealed")
            assert SealerState.objects.get().published_size == before
        finally:
            folder.rmdir()
        eventually(lambda: SealerState.objects.get().published_size > before, what="publishing to go on")


def test_a_running_sealer_says_that_it_lives_and_stops_cleanly() -> None:
    with sealing.running():
        first = SealerState.objects.get().alive_at
        eventually(lambda: SealerState.objects.get().alive_at != first, what="the next sign of life")
        assert health.assert_log_is_live().degraded == []
    assert own_types()[-1] == "process.stopped"


@contextmanager
def restored_backup() -> Iterator[str]:
    """A log whose database was put back to an earlier moment; gives the outside copy of what is lost."""
    write("r1")
    sealing.seal_all()
    kept = {}
    tables = ("leaf", "node", "checkpoint", "sealerstate", "head", "pending")
    with services.connection("owner") as owner:
        for table in tables:
            with owner.cursor().copy(copying(table, "TO STDOUT")) as rows:
                kept[table] = b"".join(bytes(part) for part in rows)
    write("r1", "r2")
    sealing.seal_all()
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(f"audit_{table}")))
            with owner.cursor().copy(copying(table, "FROM STDIN")) as rows:
                rows.write(kept[table])
    yield outside_path().read_text()


def copying(table: str, direction: str) -> sql.Composed:
    return sql.SQL("COPY {} {}").format(sql.Identifier(f"audit_{table}"), sql.SQL(direction))


@contextmanager
def slow_writer(subject: str) -> Iterator[Callable[[], None]]:
    """An entry recorded in a transaction that another thread keeps open; call what is given to let it commit."""
    recorded, let_go = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with transaction.atomic():
                record(Draft(EntryType.REQUEST_FILED, Party("agent", "a1"), Party("request", subject)))
                recorded.set()
                let_go.wait(20)
        finally:
            connection.close()

    def commit() -> None:
        let_go.set()
        thread.join(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert recorded.wait(20)
    try:
        yield commit
    finally:
        commit()
