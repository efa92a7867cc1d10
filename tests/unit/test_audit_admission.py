"""What the sealer believes: each way in which a pending row can be other than it says."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
import uuid_utils.compat

from audit import leaves, merkle
from audit.admission import Admission, Admitted, LookFurther, Refused, Row, Tail
from audit.leaves import Party

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
SUBJECT = Party("request", "r1")


def row(ordinal: int = 1, previous: bytes | None = None, subject: Party = SUBJECT, **changes: Any) -> Row:
    """A pending row that is what it says, but for `changes` to its columns."""
    entry_id = uuid_utils.compat.uuid7()
    leaf = leaves.build(
        entry_id=entry_id,
        type=changes.pop("type", "request.filed"),
        at=NOW,
        actor=Party("agent", "a1"),
        subject=subject,
        ordinal=ordinal,
        previous=previous,
        auth=None,
        digests={},
        facts={},
        commitments={},
    )
    whole = Row(1, entry_id, subject, ordinal, previous, leaf, merkle.leaf_hash(leaf), NOW.timestamp())
    return dataclasses.replace(whole, **changes)


def admission(tails: dict[Party, Tail] | None = None, *, all_read: bool = True) -> Admission:
    return Admission(tails or {}, set(), all_read=all_read)


def test_a_subjects_entries_are_admitted_one_after_the_other() -> None:
    first = row()
    second = row(2, first.leaf_hash)
    judge = admission(all_read=False)
    for item in (first, second):
        verdict = judge.judge(item)
        assert isinstance(verdict, Admitted)
        assert verdict.missing is None
        assert verdict.leaf.id == item.entry_id


def test_an_entry_continues_what_the_tree_already_has() -> None:
    judge = admission({SUBJECT: Tail(4, bytes(32))}, all_read=False)
    assert isinstance(judge.judge(row(5, bytes(32))), Admitted)


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (row(leaf_hash=bytes(32)), "does not hash"),
        (row(leaf=b"{}"), "does not hash"),
        (row(leaf=b"{}", leaf_hash=merkle.leaf_hash(b"{}")), "not a leaf"),
        (row(entry_id=uuid_utils.compat.uuid7()), "columns"),
        (dataclasses.replace(row(), ordinal=2), "columns"),
        (dataclasses.replace(row(), previous=bytes(32)), "columns"),
        (dataclasses.replace(row(), subject=Party("request", "r2")), "columns"),
        (row(subject=Party("log", "localhost/audit/1")), "only the sealer"),
        (row(type="heartbeat"), "only the sealer"),
        (row(type="fork.declared"), "only the sealer"),
        (row(1, bytes(32)), "does not name"),
        (row(recorded_at=NOW.timestamp() + 601), "time is not when"),
        (row(recorded_at=NOW.timestamp() - 601), "time is not when"),
        (row(recorded_at=float("inf")), "time is not when"),
        (row(recorded_at=None), "could not be judged"),  # what nobody thought of
    ],
)
def test_a_row_that_is_not_what_it_says_is_refused(changed: Row, cause: str) -> None:
    verdict = admission().judge(changed)
    assert isinstance(verdict, Refused)
    assert cause in verdict.cause


def test_what_a_refusal_quotes_can_be_kept_as_text_and_is_short() -> None:
    for leaf in (b'{"\\u0000":1.5}', b'{"' + b"\\u0001" * 5000 + b'":1.5}'):
        verdict = admission().judge(row(leaf=leaf, leaf_hash=merkle.leaf_hash(leaf)))
        assert isinstance(verdict, Refused)
        assert verdict.detail.isprintable()
        assert 0 < len(verdict.detail) <= 500


def test_an_ordinal_or_an_id_is_taken_once() -> None:
    first = row()
    judge = admission()
    judge.judge(first)
    assert judge.judge(row()) == Refused("the subject's ordinal is taken")
    again = row(2, first.leaf_hash)
    known = Admission({SUBJECT: Tail(1, first.leaf_hash)}, {again.entry_id}, all_read=True)
    assert known.judge(again) == Refused("the entry's id is taken")


def test_a_predecessor_that_was_perhaps_not_read_is_looked_for() -> None:
    with pytest.raises(LookFurther):
        admission(all_read=False).judge(row(2, bytes(32)))


def test_a_hole_that_is_real_is_named_and_does_not_keep_what_follows_out() -> None:
    judge = admission({SUBJECT: Tail(1, bytes(32))})
    verdict = judge.judge(row(4, b"\x01" * 32))
    assert isinstance(verdict, Admitted)
    assert verdict.missing == (2, 3)
    assert isinstance(judge.judge(row(3, bytes(32))), Refused)


def test_what_is_refused_moves_nothing() -> None:
    judge = admission()
    judge.judge(row(leaf_hash=bytes(32)))
    verdict = judge.judge(row())
    assert isinstance(verdict, Admitted)
    assert verdict.missing is None


def test_the_cause_told_in_the_tree_quotes_nothing_of_the_row() -> None:
    data = b'{"secret@example.test":1}'
    verdict = admission().judge(row(leaf=data, leaf_hash=merkle.leaf_hash(data)))
    assert isinstance(verdict, Refused)
    assert "secret" not in verdict.cause
