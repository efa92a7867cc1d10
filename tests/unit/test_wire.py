"""JSON in and out: bodies with one meaning, times in one format, problems in the contract's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from agents import problems, wire
from agents.problems import Problem
from tests.support import contract

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.floats(-1e6, 1e6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def pointers_of(raw: bytes) -> list[str]:
    """Where a body was refused."""
    with pytest.raises(Problem) as refused:
        wire.parse_json(raw)
    assert refused.value.slug == "invalid"
    return [error["pointer"] for error in refused.value.errors]


@given(JSON)
def test_what_is_parsed_means_what_was_written(value: Any) -> None:
    texts = [text for text in _strings(value) if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text)]
    if not texts:
        assert wire.parse_json(json.dumps(value).encode("utf-8", "surrogatepass")) == value


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _strings(one)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5))
def test_whatever_passes_the_limits_has_a_canonical_form(value: dict[str, Any]) -> None:
    try:
        parsed = wire.parse_json(json.dumps(value).encode())
    except Problem:
        return
    if not wire.parameter_errors(parsed):
        assert json.loads(rfc8785.dumps(parsed)) == parsed


@given(st.binary(max_size=60))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    try:
        wire.parse_json(raw)
    except Problem as problem:
        assert problem.slug in ("not-json", "invalid")  # noqa: PT017 - either is right, nothing else may come out


def test_a_repeated_name_is_pointed_at_once() -> None:
    assert pointers_of(b'{"a":1,"a":2,"a":3}') == ["/a"]
    assert pointers_of(b'[{"x":{"~/":1,"~/":1}}]') == ["/0/x/~0~1"]


def test_the_walk_ends_however_deep_or_wide_the_body_is() -> None:
    assert pointers_of(b"[" * 60_000 + b"]" * 60_000) == [""]
    assert len(pointers_of(b"[" + b",".join([b"NaN"] * 5_000) + b"]")) <= 50


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (2**53 - 1, False), (2**53, True), (-(2**53), True), (float(2**53), True), (1e17, True), (1e20, True),
        (1e21, False), (0.1, False), (True, False), ("9007199254740993", False), (2**53 - 0.5, True),
    ],
)  # fmt: skip
def test_an_integer_that_not_every_reader_holds_exactly_is_refused(value: Any, refused: bool) -> None:
    assert bool(wire.parameter_errors({"a": value})) == refused


def test_json_goes_out_in_utf8_compact_and_never_with_nan() -> None:
    assert wire.dumps({"b": "é", "a": [1, None]}) == '{"b":"é","a":[1,null]}'.encode()
    with pytest.raises(ValueError, match="Out of range"):
        wire.dumps(float("nan"))


def test_every_slug_has_the_contracts_status() -> None:
    table = {slug: status for slug, (status, _) in problems.PROBLEMS.items() if slug != "on-hold"}
    assert table == contract.STATUS_OF
    assert problems.PROBLEMS["on-hold"][0] == 409


def test_a_problem_is_rfc_9457_and_names_errors_only_where_there_are_some() -> None:
    plain = Problem("not-found", "Nothing here.").document()
    assert plain == {
        "type": "urn:countersign:problem:not-found", "title": "Not found", "status": 404, "detail": "Nothing here.",
    }  # fmt: skip
    bad = Problem("invalid", "No.", errors=[{"pointer": "/a", "detail": "x"}]).document()
    assert bad["errors"] == [{"pointer": "/a", "detail": "x"}]


def test_a_pointer_escapes_what_rfc_6901_escapes() -> None:
    assert problems.pointer() == ""
    assert problems.pointer("a/b", "m~n", 0, "") == "/a~1b/m~0n/0/"
