"""`verify_audit_log` against a log tampered with in every place, by someone who has taken the owner's."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.db import transaction

from audit import merkle, roles
from audit.entries import Draft, Party, Personal, record_many
from audit.erasure import erase_details
from audit.models import Checkpoint, Detail, Leaf, SealerState
from audit.notes import Signer, Verifier
from audit.stored_log import StoredLog
from audit.types import EntryType
from audit.verify import Report, verify
from tests.support import sealing, services
from tests.support.database_roles import default_connection_as

pytestmark = pytest.mark.django_db(transaction=True)

BY = Party("operator", "alex")


@dataclass
class Outcome:
    """What the command said and how it left."""

    code: int
    out: str
    err: str = field(default="")


def run(**options: Any) -> Outcome:
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("verify_audit_log", stdout=out, stderr=err, **options)
    return Outcome(int(left.value.code or 0), out.getvalue(), err.getvalue())


def write(*subjects: str) -> None:
    with transaction.atomic():
        record_many(
            [
                Draft(
                    EntryType.REQUEST_FILED,
                    Party("agent", "a1"),
                    Party("request", subject),
                    facts={"n": number},
                    personal={"summary": Personal(f"{subject} {number}")},
                )
                for number, subject in enumerate(subjects)
            ]
        )


def erase(*subjects: str) -> int:
    with default_connection_as("eraser"):
        return erase_details(subjects=[Party("request", subject) for subject in subjects], basis="asked", by=BY)


def a_log() -> None:
    """Two checkpoints and more: key, start, then r1 r2 r1 at 2 3 4, stop, start, r1 r3 at 7 8, stop at 9."""
    write("r1", "r2", "r1")
    sealing.seal_all()
    write("r1", "r3")
    sealing.seal_all()
    assert Leaf.objects.get(subject_id="r3").index == 8
    assert Leaf.objects.count() == 10


def tamper(*statements: str) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            owner.execute(statement)


def test_a_log_that_nobody_touched_verifies() -> None:
    a_log()
    said = run()
    assert said.code == 0, said.out
    assert "VERIFIED" in said.out
    assert "leaves        10" in said.out
    assert "10 of 10 leaves" in said.err


REPLACE = "convert_to(replace(convert_from(leaf, 'UTF8'), '\"n\":0', '\"n\":9'), 'UTF8')"
REHASH = "sha256('\\x00'::bytea || leaf)"

# Who tampers, what the first bad index is, and words of the problem.
TAMPERINGS: dict[str, tuple[tuple[str, ...], int | None, str]] = {
    "a leaf's bytes": ((f"UPDATE audit_leaf SET leaf = {REPLACE} WHERE index = 2",), 2, "does not hash"),
    "a leaf's hash": (("UPDATE audit_leaf SET leaf_hash = sha256('x') WHERE index = 3",), 3, "does not hash"),
    "a leaf's bytes and hash": (
        (
            f"UPDATE audit_leaf SET leaf = {REPLACE} WHERE index = 2",
            f"UPDATE audit_leaf SET leaf_hash = {REHASH} WHERE index = 2",
        ),
        2,
        "the stored subtree (1, 1)",
    ),
    "a leaf without a subtree of its own": (
        (
            "UPDATE audit_leaf SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'sealer', 'dealer'), 'UTF8'),"
            " actor_id = 'dealer' WHERE index = 9",
            f"UPDATE audit_leaf SET leaf_hash = {REHASH} WHERE index = 9",
            "UPDATE audit_node SET hash = sha256('\\x01'::bytea || (SELECT leaf_hash FROM audit_leaf WHERE index = 8)"
            " || (SELECT leaf_hash FROM audit_leaf WHERE index = 9)) WHERE level = 1 AND position = 4",
        ),
        9,
        "not what was signed in the checkpoint of size 10",
    ),
    "a leaf that is no leaf": (("UPDATE audit_leaf SET leaf = 'x' WHERE index = 4",), 4, "not a leaf"),
    "a column beside a leaf": (("UPDATE audit_leaf SET type = 'erasure' WHERE index = 7",), 7, "columns"),
    "the time beside a leaf": (("UPDATE audit_leaf SET at = at + interval '1 s' WHERE index = 7",), 7, "columns"),
    "the actor beside a leaf": (("UPDATE audit_leaf SET actor_id = 'a2' WHERE index = 7",), 7, "columns"),
    "a dropped leaf": (("DELETE FROM audit_leaf WHERE index = 3",), 3, "no leaf at this index"),
    "a dropped tail": (("DELETE FROM audit_leaf WHERE index >= 8",), 8, "are stored where a tree|there are 8"),
    "a tail dropped with its checkpoints": (
        (
            "DELETE FROM audit_leaf WHERE index >= 8",
            "DELETE FROM audit_checkpoint WHERE size > 8",
            "DELETE FROM audit_node WHERE (position + 1) << level > 8",
        ),
        8,
        "kept outside, but there are 8",
    ),
    "two leaves that changed places": (
        (
            "UPDATE audit_leaf SET index = 100 WHERE index = 2",
            "UPDATE audit_leaf SET index = 2 WHERE index = 3",
            "UPDATE audit_leaf SET index = 3 WHERE index = 100",
        ),
        2,
        "subtree (1, 1)",
    ),
    "a subtree": (("UPDATE audit_node SET hash = sha256('x') WHERE level = 3",), 0, "subtree (3, 0)"),
    "a dropped subtree": (("DELETE FROM audit_node WHERE level = 1 AND position = 2",), 4, "missing"),
    "a subtree too many": (("INSERT INTO audit_node VALUES (5, 7, sha256('x'))",), None, "subtrees are stored"),
    "a checkpoint's root": (
        ("UPDATE audit_checkpoint SET root = sha256('x') WHERE size = 5",),
        4,
        "says something else than its row",
    ),
    "a checkpoint's note": (
        ("UPDATE audit_checkpoint SET note = replace(note, E'\\n5\\n', E'\\n4\\n') WHERE size = 5",),
        4,
        "not signed by the log's key",
    ),
    "the newest checkpoint dropped": (
        ("DELETE FROM audit_checkpoint WHERE size = 10",),
        9,
        "under no good checkpoint",
    ),
    "a detail's value": (
        ("UPDATE audit_detail SET content = jsonb_set(content, '{summary,value}', '\"\\\"r2 2\\\"\"')"
         " WHERE subject_id = 'r2'",),
        3,
        "not those that the leaf commits to",
    ),
    "a detail's salt": (
        ("UPDATE audit_detail SET content = jsonb_set(content, '{summary,salt}', '\"00\"') WHERE subject_id = 'r2'",),
        3,
        "not those that the leaf commits to",
    ),
    "a detail's shape": (
        ("UPDATE audit_detail SET content = '{\"summary\": 1}' WHERE subject_id = 'r2'",),
        3,
        "not those that the leaf commits to",
    ),
    "a detail that nothing commits to": (
        ("INSERT INTO audit_detail SELECT entry_id, 'x', 'x', '{\"x\": {}}' FROM audit_leaf WHERE index = 0",),
        0,
        "not those that the leaf commits to",
    ),
    "a detail dropped in silence": (
        ("DELETE FROM audit_detail WHERE subject_id = 'r3'",),
        8,
        "no erasure entry says so",
    ),
    "an entry dropped before it was sealed": (
        ("UPDATE audit_head SET ordinal = 2 WHERE subject_id = 'r3'",),
        None,
        "entry 2 of request r3 was recorded and vanished",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_whatever_was_tampered_with_is_found_and_named(kind: str) -> None:
    statements, index, words = TAMPERINGS[kind]
    a_log()
    tamper(*statements)
    said = run()
    assert said.code == 1, said.out
    assert any(word in said.out for word in words.split("|")), said.out
    expected = "TAMPERED\n" if index is None else f"TAMPERED: the first bad index is {index}\n"
    assert said.out.endswith(expected), said.out


def rewrite_history(change: Callable[[list[Leaf]], None]) -> None:
    """As someone who holds the database and the signing key: change leaves, then rebuild and re-sign everything."""
    rows = list(Leaf.objects.order_by("index"))
    change(rows)
    state = SealerState.objects.get()
    signer = Signer(state.origin, sealing.log_key())
    frontier = merkle.Frontier()
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("DELETE FROM audit_node")
        for row in rows:
            hash_ = merkle.leaf_hash(bytes(row.leaf))
            for (level, position), node in frontier.append(hash_):
                owner.execute("INSERT INTO audit_node VALUES (%s, %s, %s)", [level, position, node])
            owner.execute(
                "UPDATE audit_leaf SET leaf = %s, leaf_hash = %s WHERE index = %s", [row.leaf, hash_, row.index]
            )
            note = signer.sign(f"{state.origin}\n{frontier.size}\n{b64(frontier.root())}\n")
            owner.execute(
                "UPDATE audit_checkpoint SET root = %s, note = %s WHERE size = %s",
                [frontier.root(), note, frontier.size],
            )


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def change_first_filing(rows: list[Leaf]) -> None:
    rows[2].leaf = bytes(rows[2].leaf).replace(b'"n":0', b'"n":9')


def test_history_rewritten_with_the_signing_key_is_seen_by_who_kept_a_checkpoint(tmp_path: Path) -> None:
    a_log()
    kept = tmp_path / "checkpoint.txt"
    kept.write_text(Checkpoint.objects.get(size=5).note)
    rewrite_history(change_first_filing)
    sealing.outside_path().write_text(Checkpoint.objects.get(size=10).note)  # that copy was within reach as well
    said = run(checkpoint=[kept])
    assert said.code == 1
    assert "checkpoint of size 5 kept outside" in said.out


def test_history_rewritten_without_the_links_is_seen_by_anybody() -> None:
    a_log()
    rewrite_history(change_first_filing)
    sealing.outside_path().unlink()
    said = run()
    assert said.code == 1
    assert "index 4: it does not name entry 1 of request r1 by its hash" in said.out


def test_erased_details_are_counted_as_erased_and_nothing_else_changes() -> None:
    a_log()
    assert erase("r1", "r3") == 4
    before = run()  # the erasure itself is not sealed yet
    assert before.code == 0, before.out
    assert "5 entries have them, 4 of these erased" in before.out
    sealing.seal_all()
    write("r1")
    sealing.seal_all()
    after = run()
    assert after.code == 0, after.out
    assert "6 entries have them, 4 of these erased" in after.out
    assert Detail.objects.count() == 2


def test_details_that_vanish_after_an_erasure_are_not_taken_for_erased() -> None:
    a_log()
    erase("r1")
    write("r1")
    sealing.seal_all()
    tamper("DELETE FROM audit_detail WHERE subject_id = 'r1'")
    said = run()
    assert said.code == 1
    assert "no erasure entry says so" in said.out


def test_quarantine_is_never_passed_over_in_silence() -> None:
    write("r1", "r2")
    tamper(f"UPDATE audit_pending SET leaf = {REPLACE} WHERE subject_id = 'r1'")
    write("r1")
    sealing.seal_all()
    said = run()
    assert said.code == 1
    assert "put an entry in quarantine" in said.out
    assert "entry 1 of request r1, which this one follows, is not in the log" in said.out


def test_entries_that_wait_to_be_sealed_are_no_fault() -> None:
    a_log()
    write("r1", "r9")
    assert run().code == 0


def test_a_pinned_key_is_believed_over_the_logs_own_word(tmp_path: Path) -> None:
    a_log()
    state = SealerState.objects.get()
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(state.verifier_key + "\n")
    wrong.write_text(str(Signer(state.origin, Ed25519PrivateKey.generate()).verifier))
    assert run(key=right).code == 0
    said = run(key=wrong)
    assert said.code == 1
    assert "not signed by the log's key" in said.out


@pytest.mark.parametrize("content", ["", "not a key", "other.test/audit/1+00000000+AAAA"])
def test_a_key_that_is_none_is_not_verifiable(tmp_path: Path, content: str) -> None:
    a_log()
    path = tmp_path / "key"
    path.write_text(content)
    said = run(key=path)
    assert said.code == 2
    assert "NOT VERIFIABLE" in said.err


def test_a_log_that_was_never_sealed_is_not_verifiable() -> None:
    write("r1")
    said = run()
    assert (said.code, "never started" in said.err) == (2, True)


def test_a_log_without_any_checkpoint_is_not_verifiable() -> None:
    a_log()
    tamper("DELETE FROM audit_checkpoint")
    assert run().code == 2


def test_an_outside_copy_that_is_no_checkpoint_is_a_problem() -> None:
    a_log()
    sealing.outside_path().write_text("nothing of ours\n")
    said = run()
    assert said.code == 1
    assert "the copy outside the database" in said.out


def test_a_repeated_ordinal_is_found_even_where_the_constraint_was_dropped() -> None:
    a_log()
    with services.connection("owner") as owner:
        owner.execute("ALTER TABLE audit_leaf DROP CONSTRAINT audit_leaf_one_per_ordinal")
        try:
            tamper("UPDATE audit_leaf SET ordinal = 1 WHERE index = 4")
            said = run()
        finally:
            tamper("UPDATE audit_leaf SET ordinal = 2 WHERE index = 4")
            owner.execute(
                "ALTER TABLE audit_leaf ADD CONSTRAINT audit_leaf_one_per_ordinal"
                " UNIQUE (subject_kind, subject_id, ordinal)"
            )
    assert said.code == 1
    assert "another leaf has the same subject and ordinal" in said.out


def test_problems_beyond_a_handful_are_counted() -> None:
    write(*(f"r{number}" for number in range(80)))
    sealing.seal_all()
    tamper("UPDATE audit_leaf SET type = 'erasure' WHERE subject_kind = 'request'")
    said = run()
    assert said.code == 1
    assert "and 30 more" in said.out
    assert "first bad index is 2" in said.out


def test_what_is_read_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    a_log()
    spans = []
    read = StoredLog.leaves

    def noting(self: StoredLog, start: int, stop: int) -> Any:
        spans.append((start, stop))
        return read(self, start, stop)

    monkeypatch.setattr("audit.verify.CHUNK", 3)
    monkeypatch.setattr(StoredLog, "leaves", noting)
    with psycopg.connect(roles.conninfo("app")) as own:
        report: Report = verify(StoredLog(own), Verifier.parse(SealerState.objects.get().verifier_key))
    assert report.problem_count == 0
    assert report.size == 10
    assert list(itertools.chain.from_iterable(spans)) == [0, 3, 3, 6, 6, 9, 9, 10]
