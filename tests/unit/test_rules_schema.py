"""What the catalogue's part of JSON Schema says about pointers: declared, always there, given, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules import schema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "who", "maybe", "loose", "list"],
    "properties": {
        "id": {"type": "string"},
        "maybe": {"type": ["string", "null"]},
        "loose": {"title": "Anything"},
        "free": {"type": "integer"},
        "a/b~c": {"type": "boolean"},
        "who": {
            "type": "object",
            "required": ["name", "far"],
            "properties": {"name": {"type": "string"}, "nick": {"type": "string"}},
        },
        "either": {"type": ["object", "string"], "required": ["x"], "properties": {"x": {"type": "string"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}},
    },
}


def test_a_pointer_is_declared_where_the_schema_describes_it() -> None:
    assert schema.at(SCHEMA, "") is SCHEMA
    assert schema.at(SCHEMA, "/who/name") == {"type": "string"}
    assert schema.at(SCHEMA, "/a~1b~0c") == {"type": "boolean"}
    assert schema.at(SCHEMA, "/list/12/n") == {"type": "number"}
    assert schema.at(SCHEMA, "/either/x") == {"type": "string"}


@pytest.mark.parametrize(
    "pointer", ["/nope", "/who/nope", "/id/x", "/list/n", "/list/-1", "/list/x/n", "/list/١", "/0"]
)
def test_what_the_schema_does_not_speak_of_is_not_declared(pointer: str) -> None:
    assert schema.at(SCHEMA, pointer) is None


def test_types_are_those_that_are_named() -> None:
    assert schema.types_at({"type": "string"}) == {"string"}
    assert schema.types_at({"type": ["string", "null"]}) == {"string", "null"}
    assert schema.types_at({}) == frozenset()


@pytest.mark.parametrize(
    ("pointer", "there"),
    [
        ("/id", True), ("/who", True), ("/who/name", True), ("", True), ("/list", True),
        ("/maybe", False), ("/loose", False), ("/free", False), ("/a~1b~0c", False), ("/nope", False),
        ("/who/nick", False), ("/who/far", False), ("/either/x", False), ("/list/0", False), ("/list/0/n", False),
    ],
)  # fmt: skip
def test_always_there_is_what_every_fitting_object_has(pointer: str, there: bool) -> None:
    assert schema.always_there(SCHEMA, pointer) is there


def test_a_required_name_with_escapes_is_always_there() -> None:
    odd = {"type": "object", "required": ["a/b~c"], "properties": {"a/b~c": {"type": "string"}}}
    assert schema.always_there(odd, "/a~1b~0c")
    assert not schema.always_there({**odd, "type": ["object", "null"]}, "/a~1b~0c")


def test_where_nothing_is_required_or_described_nothing_is_always_there() -> None:
    assert not schema.always_there({"type": "object", "properties": {"x": {"type": "string"}}}, "/x")
    assert not schema.always_there({"type": "object", "required": ["x"]}, "/x")
    assert not schema.always_there({"required": ["x"], "properties": {"x": {"type": "string"}}}, "/x")


def test_a_value_is_there_unless_it_is_null_or_missing() -> None:
    given: Any = {"a": [0, None, {"b": False}]}
    assert [schema.has_value(given, pointer) for pointer in ("/a", "/a/0", "/a/2/b", "")] == [True] * 4
    assert [schema.has_value(given, pointer) for pointer in ("/a/1", "/a/3", "/b", "/a/x")] == [False] * 4


def test_unknown_is_named_once_at_the_top_in_the_order_of_names_and_items() -> None:
    given: Any = {
        "z": {"y": 1}, "b": 1, "who": {"name": "x", "age": 3, "able": 1}, "list": [{"n": 1}, {"m": 2}], "id": "x",
    }  # fmt: skip
    assert schema.undeclared(SCHEMA, given) == ["/b", "/list/1/m", "/who/able", "/who/age", "/z"]
    assert schema.undeclared(SCHEMA, {"id": ["x"]}) == ["/id/0"]
    assert schema.undeclared(SCHEMA, "text") == []


def test_misfits_are_named_by_their_pointers_in_order() -> None:
    validator = schema.validator_for({**SCHEMA, "maxProperties": 5})
    given: Any = {"id": 1, "who": {"name": 2, "far": 1}, "maybe": None, "loose": 1, "list": [{"n": "x"}]}
    assert schema.misfits(validator, given) == [
        "/id: type is not met", "/list/0/n: type is not met", "/who/name: type is not met",
    ]  # fmt: skip
    assert schema.misfits(validator, "text") == ["/: type is not met"]
    assert schema.misfits(validator, {**given, "more": 1})[0] == "/: maxProperties is not met"
    assert schema.misfits(schema.validator_for({"properties": {"a/b": {"type": "null"}}}), {"a/b": 1}) == [
        "/a~1b: type is not met"
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"minimun": 1}, "parameters/x: minimun is not a keyword this catalogue checks by"),
        ({"additionalProperties": False},
         "parameters/x: additionalProperties stays open, extra parameters are shown as not understood"),
        ({"additionalProperties": {}},
         "parameters/x: additionalProperties stays open, extra parameters are shown as not understood"),
        ({"pattern": "a$"}, "parameters/x: a pattern stands between ^ and $, else it matches anywhere"),
        ({"pattern": "^a"}, "parameters/x: a pattern stands between ^ and $, else it matches anywhere"),
        ({"required": ["y"]}, "parameters/x: y is required but not described"),
        ({"properties": {"y": True}}, "parameters/x/y: a schema must be a table"),
        ({"items": {"minimun": 1}}, "parameters/x/items: minimun is not a keyword this catalogue checks by"),
        ({"items": False}, "parameters/x/items: a schema must be a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_schema_names_where_and_what(more: dict[str, Any], said: str) -> None:
    assert schema.problems_of({"type": "object", "properties": {"x": more}}) == [said]


def test_what_is_right_has_no_problem() -> None:
    assert schema.problems_of(SCHEMA) == ["parameters/who: far is required but not described"]
    fine = {"type": "string", "pattern": "^a$", "additionalProperties": True}
    assert schema.problems_of({"type": "object", "properties": {"x": fine, "y": {}}}) == []


def test_a_schema_is_of_an_object_and_is_one() -> None:
    nothing: tuple[Any, ...] = (None, [], {}, {"type": "array"}, {"type": ["object"]})
    for wrong in nothing:
        assert schema.problems_of(wrong) == ['parameters: the schema must say type = "object"']
    (said,) = schema.problems_of({"type": "object", "required": 5}, "here")
    assert said.startswith("here: 5 is not of type")
    assert schema.problems_of({"type": "object", "title": "x", "nope": 1, "also": 2}, "here") == [
        "here: also is not a keyword this catalogue checks by", "here: nope is not a keyword this catalogue checks by",
    ]  # fmt: skip


def test_a_pattern_is_asked_of_text_alone() -> None:
    validator = schema.validator_for({"type": "object", "properties": {"x": {"pattern": "^a|b$"}}})
    assert schema.misfits(validator, {"x": 5}) == []
    assert schema.misfits(validator, {"x": "ab"}) == ["/x: pattern is not met"]
