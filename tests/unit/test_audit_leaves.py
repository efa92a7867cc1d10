"""The leaf's bytes, fixed for good by a golden file, and all that is not a leaf."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from audit import leaves
from audit.canonical import NotCanonical, dumps
from audit.leaves import MAX_BYTES, Party

GOLDEN = Path(__file__).parent / "data" / "leaf.golden.json"

FIELDS: dict[str, Any] = {
    "entry_id": UUID("01920000-0000-7000-8000-000000000001"),
    "type": "decision.recorded",
    "at": datetime(2026, 11, 21, 10, 0, 0, 42, tzinfo=UTC),
    "actor": Party("person", "01920000-0000-7000-8000-0000000000aa"),
    "subject": Party("request", "01920000-0000-7000-8000-0000000000bb"),
    "ordinal": 3,
    "previous": bytes(range(32)),
    "auth": {"method": "password", "at": "2026-11-21T09:59:00.000000Z", "assertion": None},
    "digests": {"policy": "sha256:" + "ab" * 32},
    "facts": {"verdict": "approve", "seconds_open": 41, "labels": ["a", "é", "\u202e"], "final": True, "none": None},
    "commitments": {"rationale": "cd" * 32},
}


def body(**changes: Any) -> bytes:
    """The golden leaf as an object, changed, in canonical form again."""
    return dumps(json.loads(leaves.build(**FIELDS)) | changes)


def test_the_bytes_of_a_leaf_are_those_of_the_golden_file() -> None:
    assert leaves.build(**FIELDS) == GOLDEN.read_bytes()


def test_a_leaf_reads_back_as_what_it_was_built_from() -> None:
    leaf = leaves.parse(leaves.build(**FIELDS))
    assert leaf.id == FIELDS["entry_id"]
    assert (leaf.type, leaf.at, leaf.actor, leaf.subject) == tuple(
        FIELDS[name] for name in ("type", "at", "actor", "subject")
    )
    assert (leaf.ordinal, leaf.previous) == (3, bytes(range(32)))
    assert leaf.commitments == FIELDS["commitments"]
    assert leaf.facts == FIELDS["facts"]


def test_the_first_leaf_of_a_subject_names_none_before_it() -> None:
    first = FIELDS | {"ordinal": 1, "previous": None, "auth": None}
    data = leaves.build(**first)
    assert b'"previous":null' in data
    assert b'"auth":null' in data
    assert leaves.parse(data).previous is None


def test_a_leaf_of_exactly_64_kib_is_the_largest() -> None:
    room = MAX_BYTES - len(leaves.build(**FIELDS | {"facts": {"x": ""}}))
    assert len(leaves.build(**FIELDS | {"facts": {"x": "y" * room}})) == 64 * 1024
    with pytest.raises(NotCanonical, match="over the limit"):
        leaves.build(**FIELDS | {"facts": {"x": "y" * (room + 1)}})
    with pytest.raises(NotCanonical, match="over the limit"):
        leaves.parse(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        GOLDEN.read_bytes() + b"\n",
        body(more=1),
        body(v=2),
        body(v=True),
        body(v=None),
        body(id="01920000-0000-7000-8000-00000000000A"),
        body(id="not an id"),
        body(id=7),
        body(type="Decision Recorded"),
        body(type=None),
        body(at="2026-11-21T10:00:00Z"),
        body(at="2026-11-21T10:00:00.000042+00:00"),
        body(at="2026-13-21T10:00:00.000042Z"),
        body(at=None),
        body(actor=None),
        body(actor={"kind": "person"}),
        body(actor={"kind": "person", "id": ""}),
        body(actor={"kind": "person", "id": 7}),
        body(actor={"kind": "person", "id": "x" * 201}),
        body(actor={"kind": "Per son", "id": "x"}),
        body(actor={"kind": "person", "id": "a\x00b"}),
        body(ordinal=0),
        body(ordinal=True),
        body(ordinal="1"),
        body(previous="AB" * 32),
        body(previous="ab" * 31),
        body(previous=1),
        body(auth={"method": "password"}),
        body(auth="password"),
        body(digests=[]),
        body(facts=None),
        body(commitments={"rationale": "short"}),
        body(commitments=None),
    ],
)
def test_what_is_not_exactly_a_leaf_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        leaves.parse(data)


def test_a_type_of_a_later_version_is_still_a_leaf() -> None:
    assert leaves.parse(body(type="charter.reviewed")).type == "charter.reviewed"
