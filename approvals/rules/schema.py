"""The part of JSON Schema that action schemas are written in: checking the schema, then parameters by it.

JSON Schema ignores a keyword it does not know, so `minimun` would check nothing: whatever is not listed
here is refused when the catalogue is loaded. Values are not shown and not mapped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from approvals.rules.values import JSON, child, resolve

Schema = Mapping[str, Any]

KEYWORDS = frozenset((
    "type", "title", "description", "enum", "const",
    "properties", "required", "minProperties", "maxProperties", "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems",
    "minLength", "maxLength", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
))  # fmt: skip


def _whole_match(_: Validator, pattern: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    # By itself JSON Schema's pattern matches anywhere, and Python's `$` before a last line break.
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield ValidationError("does not have the form asked for")


_Validator = extend(Draft202012Validator, {"pattern": _whole_match})


def problems_of(schema: Any, where: str = "parameters") -> list[str]:
    """What is wrong with an action's schema, in words; empty when it can be used."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return [f'{where}: the schema must say type = "object"']
    try:
        _Validator.check_schema(schema)
    except SchemaError as error:
        return [f"{where}: {error.message}"]
    return list(_problems(schema, where))


def validator_for(schema: Schema) -> Validator:
    """A reusable validator of parameters; `misfits` asks it."""
    return _Validator(schema)


def misfits(validator: Validator, parameters: JSON) -> list[str]:
    """Pointers (with why) at which the parameters don't fit the schema; empty when they do."""
    found = []
    for error in validator.iter_errors(parameters):
        pointer = ""
        for key in error.absolute_path:
            pointer = child(pointer, key)
        found.append(f"{pointer or '/'}: {error.validator} is not met")
    return sorted(found)


def at(schema: Schema, pointer: str) -> Schema | None:
    """The subschema that declares a pointer; None where the schema does not speak of it."""
    current: Any = schema
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        properties = current.get("properties", {})
        if key in properties:
            current = properties[key]
        elif "items" in current and key.isascii() and key.isdigit():
            current = current["items"]
        else:
            return None
    found: Schema = current  # TOML gives Any; problems_of has checked the shape
    return found


def undeclared(schema: Schema, value: JSON, pointer: str = "") -> list[str]:
    """Pointers of what the schema does not speak of; below such a pointer none is listed again."""
    if isinstance(value, dict):
        members = [(child(pointer, key), member) for key, member in sorted(value.items())]
    elif isinstance(value, list):
        members = [(child(pointer, index), item) for index, item in enumerate(value)]
    else:
        return []
    found = []
    for where, member in members:
        declared = at(schema, where)
        found += [where] if declared is None else undeclared(schema, member, where)
    return found


def types_at(schema: Schema) -> frozenset[str]:
    """The JSON types a subschema names; empty where it names none."""
    named = schema.get("type", [])
    return frozenset([named] if isinstance(named, str) else named)


def always_there(schema: Schema, pointer: str) -> bool:
    """Whether every object that fits the schema has a value, no null, at the pointer (never in an array)."""
    current: Any = schema
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if current.get("type") != "object" or key not in current.get("required", []):
            return False
        current = current.get("properties", {}).get(key)
        if current is None:
            return False
    return bool(types_at(current)) and "null" not in types_at(current)


def has_value(parameters: JSON, pointer: str) -> bool:
    """Whether there is something other than null at the pointer."""
    try:
        return resolve(parameters, pointer) is not None
    except KeyError:
        return False


def _problems(schema: Any, where: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        yield f"{where}: a schema must be a table"  # JSON Schema allows true and false
        return
    for keyword in sorted(set(schema) - KEYWORDS):
        yield f"{where}: {keyword} is not a keyword this catalogue checks by"
    if schema.get("additionalProperties", True) is not True:
        yield f"{where}: additionalProperties stays open, extra parameters are shown as not understood"
    pattern = schema.get("pattern")
    if pattern is not None and not (pattern.startswith("^") and pattern.endswith("$")):
        yield f"{where}: a pattern stands between ^ and $, else it matches anywhere"
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in properties:
            yield f"{where}: {name} is required but not described"
    for name, member in properties.items():
        yield from _problems(member, child(where, name))
    if "items" in schema:
        yield from _problems(schema["items"], child(where, "items"))
