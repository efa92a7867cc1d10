"""The life of a request as a table: which moves there are, and that every one leaves an entry."""

from __future__ import annotations

from approvals import states
from approvals.states import Status
from audit.types import EntryType


def test_the_statuses_are_the_contracts() -> None:
    assert [status.value for status in Status] == [
        "pending", "approved", "rejected", "expired", "blocked", "withdrawn",
    ]  # fmt: skip
    assert {status.value for status in states.FINAL} == {"approved", "rejected", "expired", "blocked", "withdrawn"}
    assert [retry.value for retry in states.Retry] == ["never", "changed", "later"]


def test_every_move_starts_from_nothing_or_from_pending() -> None:
    assert {row.source for row in states.TRANSITIONS} == {None, Status.PENDING}
    assert {row.target for row in states.TRANSITIONS if row.source is None} == {
        Status.PENDING, Status.APPROVED, Status.BLOCKED,
    }  # fmt: skip
    assert {row.target for row in states.TRANSITIONS if row.source is Status.PENDING} == states.FINAL


def test_no_move_stands_in_the_table_twice_and_each_leaves_an_entry_that_exists() -> None:
    assert len({(row.source, row.target) for row in states.TRANSITIONS}) == len(states.TRANSITIONS)
    for row in states.TRANSITIONS:
        assert EntryType(row.entry)
        assert row.by


def test_a_move_that_is_not_in_the_table_is_none() -> None:
    assert states.transition_for(Status.EXPIRED, Status.APPROVED) is None
    assert states.transition_for(None, Status.EXPIRED) is None
    assert states.transition_for(Status.PENDING, Status.PENDING) is None


def test_the_diagram_has_an_arrow_a_row_and_an_end_a_final_status() -> None:
    lines = states.diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 1 + len(states.TRANSITIONS) + len(states.FINAL)
    assert "    pending --> expired: the deadline passed" in lines
