"""The canonical form against RFC 8785's own library, and all that has none."""

from __future__ import annotations

import enum
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical
from audit.commitments import Personal, commitment, seal, value_bytes

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ADMITTED = st.recursive(
    st.none() | st.booleans() | st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner, max_size=5)
    ),
    max_leaves=30,
)
ANY_JSON = st.recursive(
    ADMITTED | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(ADMITTED)
def test_sorted_compact_json_is_rfc_8785_byte_for_byte(value: Any) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(ADMITTED)
def test_canonical_bytes_read_back_as_the_same_value(value: Any) -> None:
    assert canonical.loads(canonical.dumps(value)) == value


@given(ANY_JSON)
def test_a_committed_value_has_rfc_8785_bytes_whatever_json_it_is(value: Any) -> None:
    assert value_bytes(value) == rfc8785.dumps(value)


class Colour(enum.StrEnum):
    RED = "red"


def test_an_enum_of_text_is_its_text() -> None:
    assert canonical.dumps({"c": Colour.RED}) == b'{"c":"red"}'


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1.0, "float"),
        ({"a": [0, 1.5]}, "/a/1"),
        (float("nan"), "float"),
        (2**53, "2^53"),
        (-(2**53), "2^53"),
        ({"é": 1}, "ASCII"),
        ({1: 2}, "ASCII"),
        ("\ud800", "surrogate"),
        (b"bytes", "bytes"),
        (datetime.now(UTC), "datetime"),
        ({1, 2}, "set"),
        (MappingProxyType({}), "Mapping"),
    ],
)
def test_what_has_no_canonical_form_is_refused_with_its_place(value: Any, why: str) -> None:
    with pytest.raises(canonical.NotCanonical, match=why.replace("^", r"\^")):
        canonical.dumps(value)


def test_nesting_has_an_end() -> None:
    value: Any = 1
    for _ in range(canonical.MAX_DEPTH):
        value = [value]
    assert canonical.dumps(value)
    with pytest.raises(canonical.NotCanonical, match="nested deeper"):
        canonical.dumps([value])


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1,"a":1}',
        b"[01]",
        b"\xff",
        b"",
        b"[" * 10_000,
        b'"\\u0041"',
    ],
)
def test_bytes_in_any_other_form_are_not_canonical(data: bytes) -> None:
    with pytest.raises(canonical.NotCanonical):
        canonical.loads(data)


def test_times_are_utc_with_six_digits_always() -> None:
    assert canonical.timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
    east = datetime(2026, 1, 2, 3, 4, 5, 7, tzinfo=timezone(timedelta(hours=2)))
    assert canonical.timestamp(east) == "2026-01-02T01:04:05.000007Z"
    with pytest.raises(canonical.NotCanonical, match="offset"):
        canonical.timestamp(datetime(2026, 1, 2))  # noqa: DTZ001 - the refusal of exactly this is the test


def test_a_commitment_is_the_hash_of_salt_and_canonical_bytes() -> None:
    salt = bytes(range(16))
    sealed = seal({"parameters": Personal({"b": 1.5, "a": "é"}, salt)})
    assert sealed.content == {"parameters": {"salt": salt.hex(), "value": '{"a":"é","b":1.5}'}}
    by_hand = hashlib.sha256(salt + '{"a":"é","b":1.5}'.encode()).hexdigest()
    assert sealed.commitments == {"parameters": by_hand}


def test_equal_values_commit_differently_unless_they_share_a_salt() -> None:
    fresh = seal({"a": Personal("x"), "b": Personal("x")}).commitments
    assert fresh["a"] != fresh["b"]
    salt = bytes(16)
    shared = seal({"a": Personal("x", salt), "b": Personal("x", salt)}).commitments
    assert shared["a"] == shared["b"]


def test_a_salt_of_another_length_and_a_value_that_is_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        commitment(b"short", b"x")
    for value in (float("inf"), 2**53, "\ud800", object()):
        with pytest.raises(canonical.NotCanonical, match="rationale"):
            seal({"rationale": Personal(value)})
