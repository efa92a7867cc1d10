"""How canonical values reach Cedar: by our own mapping, in which nothing is an escape."""

from __future__ import annotations

import json
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.rules import values
from tests.support.packs import ask, pack_of, permit

ONE = '@id("rule") @require("1 of support") @risk("medium")'


def nulls_anywhere(_: str) -> bool:
    return True


def no_nulls(_: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        ("x", "x"),
        (True, True),
        (0, 0),
        (1.0, 1),
        (-0.0, 0),
        (2**53 - 1, 2**53 - 1),
        (0.5, {"__extn": {"fn": "decimal", "arg": "0.5"}}),
        (-1.2345, {"__extn": {"fn": "decimal", "arg": "-1.2345"}}),
        (0.0001, {"__extn": {"fn": "decimal", "arg": "0.0001"}}),
        ([1, "a"], [1, "a"]),
        ({"a": [{"b": False}]}, {"a": [{"b": False}]}),
    ],
)
def test_values_map(value: Any, mapped: Any) -> None:
    assert values.to_cedar(value, no_nulls) == mapped
    assert type(values.to_cedar(value, no_nulls)) is type(mapped)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0.00001, "more than 4 decimal places"),
        (1.23456, "more than 4 decimal places"),
        (1e-7, "more than 4 decimal places"),
        (2**53, "beyond"),
        (-(2**53), "beyond"),
        (1e21, "beyond"),
        (float("nan"), "no finite number"),
        (float("inf"), "no finite number"),
        ({"a": None}, "/a: a null"),
        ([None], "/0: a null"),
        ({"__entity": {"type": "Agent", "id": "x"}}, "escape"),
        ({"a": [{"__extn": {"fn": "decimal", "arg": "1.0"}}]}, "/a/0/__extn"),
        ({"__expr": "1"}, "escape"),
        (object(), "no JSON value"),
    ],
)
def test_what_cedar_has_no_word_for_is_refused_with_its_pointer(value: Any, why: str) -> None:
    with pytest.raises(values.Unmappable, match=why):
        values.to_cedar(value, no_nulls)


def test_a_null_that_the_schema_allows_is_left_out() -> None:
    assert values.to_cedar({"a": None, "b": [1, None]}, nulls_anywhere) == {"b": [1]}


def test_a_null_blocks_unless_the_schema_allows_it() -> None:
    pack = pack_of(permit(ONE))
    assert pack.rule(ask(parameters={"amount": 1, "note": None})).outcome == "people"
    undeclared = pack.rule(ask(parameters={"amount": 1, "extra": None}))
    assert (undeclared.outcome, undeclared.retry) == ("blocked", "changed")
    assert pack.rule(ask(parameters={"amount": 1, "rate": None})).retry == "changed"


def test_one_point_nought_is_the_integer_one() -> None:
    pack = pack_of(permit(ONE, when="context.parameters.amount == 1"))
    assert pack.rule(ask(parameters={"amount": 1.0})).outcome == "people"


def test_a_decimal_compares() -> None:
    pack = pack_of(permit(ONE, when='context.parameters has rate && context.parameters.rate.lessThan(decimal("0.25"))'))
    assert pack.rule(ask(parameters={"amount": 1, "rate": 0.2499})).outcome == "people"
    assert pack.rule(ask(parameters={"amount": 1, "rate": 0.25})).cause == "not-permitted"
    assert pack.rule(ask(parameters={"amount": 1, "rate": 0.24999})).cause == "parameters"


def test_arrays_are_sets_and_lengths_count_what_sets_cannot() -> None:
    pack = pack_of(
        permit(ONE, when='context.parameters has to && context.parameters.to.contains("a")'),
        '@id("many") forbid (principal, action, resource)'
        ' when { context.lengths has "/to" && context.lengths["/to"] > 2 };',
    )
    assert pack.rule(ask(parameters={"amount": 1, "to": ["b", "a"]})).outcome == "people"
    assert pack.rule(ask(parameters={"amount": 1, "to": ["a", "a", "a"]})).cause == "forbid"


def test_lengths_go_by_pointer_with_its_escapes() -> None:
    parameters: Any = {"a/b": ["xyz", {"~": "żó"}], "n": 5}
    assert values.lengths_of(parameters) == {"/a~1b": 2, "/a~1b/0": 3, "/a~1b/1/~0": 2}


@pytest.mark.parametrize(
    "disguise",
    [
        {"__entity": {"type": "Agent", "id": "evil"}},
        {"type": "Agent", "id": "evil"},
        {"fn": "decimal", "arg": "1.0"},
        {"entity": {"type": "Agent", "id": "evil"}},
        'Agent::"evil"',
        '{"__entity": {"type": "Agent", "id": "evil"}}',
    ],
)
def test_no_record_and_no_string_becomes_an_entity(disguise: Any) -> None:
    # In a trial such an escape made `owner == "evil"` and a forbid on it silently false.
    is_entity = '@id("no") forbid (principal, action, resource) when {{ {} }};'
    owner = "context.parameters.owner"
    pack = pack_of(
        permit(ONE),
        is_entity.format(f'context.parameters has owner && {owner} == Agent::"evil"'),
    )
    ruling = pack.rule(ask(parameters={"amount": 1, "owner": disguise}))
    assert ruling.cause != "forbid"
    if isinstance(disguise, dict) and "__entity" in disguise:
        assert (ruling.outcome, ruling.cause) == ("blocked", "parameters")
    else:
        assert ruling.outcome == "people"


JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_whatever_maps_cedar_reads_as_the_same_value(value: Any) -> None:
    try:
        mapped = values.to_cedar({"value": value}, no_nulls)
    except values.Unmappable:
        return
    result = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": "a"},
            "action": {"type": "Action", "id": "b"},
            "resource": {"type": "Resource", "id": "c"},
            "context": {"left": mapped, "right": json.loads(json.dumps(mapped))},
        },
        "permit (principal, action, resource) when { context.left == context.right };",
        [],
    )
    assert result.allowed
    assert not result.diagnostics.errors


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=5))
def test_every_pointer_that_walk_gives_resolves_to_its_value(value: Any) -> None:
    for pointer, found in values.walk(value):
        assert values.resolve(value, pointer) is found


def test_a_pointer_escapes_what_it_must() -> None:
    assert values.child("", "a") == "/a"
    assert values.child("/a", 0) == "/a/0"
    assert values.child("/a", "~/b/~1") == "/a/~0~1b~1~01"


@pytest.mark.parametrize(
    ("pointer", "found"),
    [("", "whole"), ("/a/0", 1), ("/a/1/b", None), ("/~1~0", 2), ("/~01", 3), ("/", 4)],
)
def test_a_pointer_resolves_by_its_escapes(pointer: str, found: Any) -> None:
    given: Any = {"a": [1, {"b": None}], "/~": 2, "~1": 3, "": 4}
    assert values.resolve(given, pointer) == (given if found == "whole" else found)


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-1", "/a/x", "/a/0/x", "/a/١", "/a/", "/s/0"])
def test_a_pointer_to_nothing_is_a_key_error_that_names_it(pointer: str) -> None:
    with pytest.raises(KeyError) as refused:
        values.resolve({"a": [1, 2], "s": "text"}, pointer)
    assert refused.value.args == (pointer,)


def test_walking_goes_by_utf_16_code_units() -> None:
    given: Any = {"\U0001f600": 1, "\ufb33": 2, "b": [True, {"a": None}]}
    assert [pointer for pointer, _ in values.walk(given)] == [
        "", "/b", "/b/0", "/b/1", "/b/1/a", "/\U0001f600", "/\ufb33",
    ]  # fmt: skip
    assert list(values.walk("x", "/y")) == [("/y", "x")]
    assert values.utf16("\ud800") == b"\xd8\x00"


@pytest.mark.parametrize(
    ("value", "pointer", "said"),
    [
        ({"a": [0.00001]}, "/a/0", "/a/0: more than 4 decimal places"),
        (2**53, "", "/: an integer beyond ±(2^53−1)"),
        (float("inf"), "", "/: no finite number"),
        ([{"x": None}], "/0/x", "/0/x: a null, where the action's schema allows none"),
        ([1, None], "/1", "/1: a null, where the action's schema allows none"),
        ({"a": {"__expr": 1}}, "/a/__expr", "/a/__expr: the name is an escape of the policy engine"),
        ({"n": 1e15 + 0.5}, "/n", "/n: a decimal too large to compare"),
        ({"n": -1e15 - 0.5}, "/n", "/n: a decimal too large to compare"),
        ((1,), "", "/: tuple is no JSON value"),
        (None, "", "/: NoneType is no JSON value"),
        (float(2**53), "", "/: an integer beyond ±(2^53−1)"),
    ],
)
def test_why_a_value_cannot_be_asked_about_names_where(value: Any, pointer: str, said: str) -> None:
    with pytest.raises(values.Unmappable) as refused:
        values.to_cedar(value, no_nulls)
    assert (refused.value.pointer, str(refused.value)) == (pointer, said)


def test_whether_a_null_may_be_left_out_is_asked_by_its_pointer() -> None:
    asked: list[str] = []

    def noted(pointer: str) -> bool:
        asked.append(pointer)
        return True

    given: Any = {"a": None, "b": [{"c": None}, None], "d/e": {"f": [[None]]}}
    assert values.to_cedar(given, noted) == {"b": [{}], "d/e": {"f": [[]]}}
    assert asked == ["/a", "/b/0/c", "/b/1", "/d~1e/f/0/0"]
    assert values.to_cedar([None], lambda pointer: pointer == "/x/0", "/x") == []


def test_the_largest_and_smallest_numbers_that_have_one_meaning_map() -> None:
    assert values.to_cedar(-(2**53) + 1, no_nulls) == -(2**53) + 1
    assert values.to_cedar(float(2**53 - 1), no_nulls) == 2**53 - 1
    assert values.to_cedar(-0.0001, no_nulls) == {"__extn": {"fn": "decimal", "arg": "-0.0001"}}
    assert values.to_cedar(9.2e14 + 0.5, no_nulls) == {"__extn": {"fn": "decimal", "arg": "920000000000000.5"}}
    assert values.to_cedar(123456789.5, no_nulls) == {"__extn": {"fn": "decimal", "arg": "123456789.5"}}
