"""The Cedar schema that a version's policies are validated with, made from the catalogue.

Used when a version is proposed, never in evaluation. Where JSON Schema says more than Cedar's types can
(a parameter that is a string or a list, a number that may be a fraction), the attribute is named as soft
and the validator's word on policies that read it is not taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import cedarpy

from approvals.rules import schema as schemas
from approvals.rules.catalogue import Action
from approvals.rules.ruling import RECENT
from approvals.rules.values import child

LEVELS = ("1", "2", "3")
_LONG = {"type": "Long"}
_STRING = {"type": "String"}
_SCALARS = {"integer": "Long", "string": "String", "boolean": "Boolean"}
_INSIDE_AN_ARRAY = re.compile(r"/[0-9]+(/|$)")


class Soft(Exception):
    """A parameter has no one Cedar type."""


def compile_schema(catalogue: Mapping[str, Action]) -> tuple[cedarpy.Schema, dict[str, frozenset[str]]]:
    """The schema, and for each action the attribute names about which it cannot speak."""
    actions, soft = {}, {}
    for name, action in catalogue.items():
        unclear: set[str] = set()
        actions[name] = {
            "appliesTo": {
                "principalTypes": ["Agent"],
                "resourceTypes": ["Resource"],
                "context": _context(action, unclear),
            }
        }
        soft[name] = frozenset(unclear)
    text = json.dumps(
        {
            "": {
                "entityTypes": {
                    "Agent": {"memberOfTypes": ["Level"]},
                    "Level": {"memberOfTypes": ["Level"]},
                    "Resource": {},
                },
                "actions": actions,
            }
        }
    )
    return cedarpy.Schema.from_json_str(text), soft


def reads_soft(policy: Mapping[str, Any], soft: frozenset[str]) -> bool:
    """Whether a policy (in Cedar's JSON) reads an attribute the schema cannot speak about."""
    return any(name in soft or _INSIDE_AN_ARRAY.search(name) for name in attributes_of(policy))


RESOURCE = {".": {"left": {"Var": "context"}, "attr": "resource"}}


def parts_of(expression: Any) -> Iterator[Any]:
    """An expression of Cedar's JSON form and everything in it."""
    yield expression
    if isinstance(expression, Mapping | list):
        for member in expression.values() if isinstance(expression, Mapping) else expression:
            yield from parts_of(member)


def likes_in(expression: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each `like` in an expression: what it reads, and its pattern."""
    for part in parts_of(expression):
        like = part.get("like") if isinstance(part, Mapping) else None
        if isinstance(like, Mapping) and "pattern" in like:
            yield like["left"], like["pattern"]


def attributes_of(expression: Any) -> Iterator[str]:
    """Every attribute name read or tested for in an expression of Cedar's JSON form."""
    if isinstance(expression, Mapping):
        attribute = expression.get("attr")
        if isinstance(attribute, str):
            yield attribute
        for member in expression.values():
            yield from attributes_of(member)
    elif isinstance(expression, list):
        for item in expression:
            yield from attributes_of(item)


def _context(action: Action, unclear: set[str]) -> dict[str, Any]:
    lengths: dict[str, Any] = {}
    parameters = _record(action.schema, "", unclear, lengths, there=True)
    return _of({
        "parameters": (parameters, True),
        "resource": (_STRING, True),
        "lengths": ({"type": "Record", "attributes": lengths}, True),
        "sensitive": ({"type": "Set", "element": _STRING}, True),
        "level": (_LONG, True),
        "phase": (_STRING, True),
        "hour": (_LONG, True),
        "weekday": (_LONG, True),
        # No meter exists yet, so a policy that names one is told so when it is proposed.
        "meters": ({"type": "Record", "attributes": {}}, True),
        "recent": (_of(dict.fromkeys(RECENT, (_LONG, True))), True),
    })  # fmt: skip


def _of(attributes: Mapping[str, tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    return {
        "type": "Record",
        "attributes": {name: {**kind, "required": there} for name, (kind, there) in attributes.items()},
    }


def _record(
    schema: schemas.Schema, pointer: str, unclear: set[str], lengths: dict[str, Any], *, there: bool
) -> dict[str, Any]:
    attributes = {}
    for name, member in schema.get("properties", {}).items():
        where = child(pointer, name)
        types = schemas.types_at(member)
        always = name in schema.get("required", []) and bool(types) and "null" not in types
        try:
            attributes[name] = (_type(member, where, unclear, lengths, there=there and always), always)
        except Soft:
            unclear.add(name)
        if types & {"string", "array"}:
            certain = there and always and types <= {"string", "array"}
            lengths[where] = {**_LONG, "required": certain}
    return _of(attributes)


def _type(
    schema: schemas.Schema, pointer: str, unclear: set[str], lengths: dict[str, Any], *, there: bool
) -> dict[str, Any]:
    types = schemas.types_at(schema) - {"null"}
    if len(types) != 1:
        raise Soft
    (named,) = types
    if named in _SCALARS:
        return {"type": _SCALARS[named]}
    if named == "array" and "items" in schema:
        # What lies inside an array has no fixed pointer, so its lengths are not declared.
        return {"type": "Set", "element": _type(schema["items"], pointer, unclear, {}, there=False)}
    if named == "object" and "properties" in schema:
        return _record(schema, pointer, unclear, lengths, there=there)
    raise Soft
