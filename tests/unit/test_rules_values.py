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
