"""From canonical JSON values to what Cedar evaluates, by our own mapping.

Nothing is ever passed through as JSON: Cedar reads `{"__entity": …}`, `{"__extn": …}` and `{"__expr": …}`
as escapes, and an escape inside parameters once blinded a `forbid` with no error (docs/adr/0006).
Whether values fit the action's schema is not asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

ESCAPES = frozenset({"__entity", "__extn", "__expr"})
INTEGER_LIMIT = 2**53 - 1  # beyond it a JSON number has no one meaning (docs/reference/api.md, Conventions)
DECIMAL_PLACES = 4  # Cedar's decimal
_DECIMAL_LIMIT = Decimal(2**63 - 1).scaleb(-DECIMAL_PLACES)  # Cedar keeps a decimal in 64 bits


class Unmappable(ValueError):
    """A value policy cannot be asked about; `pointer` says where, the message why."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(f"{pointer or '/'}: {why}")
        self.pointer = pointer


def child(pointer: str, key: str | int) -> str:
    """The RFC 6901 pointer of a member or item."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def resolve(value: JSON, pointer: str) -> JSON:
    """The value at an RFC 6901 pointer; `KeyError` where there is none."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise KeyError(pointer)
    return value


def walk(value: JSON, pointer: str = "") -> Iterator[tuple[str, JSON]]:
    """Each value with its pointer, the value itself first, members in canonical (sorted) order."""
    yield pointer, value
    if isinstance(value, dict):
        for key in sorted(value, key=utf16):
            yield from walk(value[key], child(pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, child(pointer, index))


def utf16(text: str) -> bytes:
    """The order of object names in RFC 8785: by UTF-16 code units."""
    return text.encode("utf-16-be", "surrogatepass")


def to_cedar(value: JSON, may_be_null: Callable[[str], bool], pointer: str = "") -> Any:
    """Cedar's JSON for a value; `Unmappable` for what Cedar has no word for.

    Strings, booleans and integers as they are (`1.0` is 1); other numbers as `decimal` with at most four
    places; arrays as sets; a null is left out where `may_be_null(pointer)` says that the action's schema
    allows it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, pointer)
    if isinstance(value, dict):
        record = {}
        for key, member in value.items():
            if key in ESCAPES:
                raise Unmappable(child(pointer, key), "the name is an escape of the policy engine")
            if not _left_out(member, may_be_null, child(pointer, key)):
                record[key] = to_cedar(member, may_be_null, child(pointer, key))
        return record
    if isinstance(value, list):
        return [
            to_cedar(item, may_be_null, child(pointer, index))
            for index, item in enumerate(value)
            if not _left_out(item, may_be_null, child(pointer, index))
        ]
    raise Unmappable(pointer, f"{type(value).__name__} is no JSON value")


def lengths_of(parameters: JSON) -> dict[str, int]:
    """Items of each array and characters of each string, by JSON pointer (Cedar's sets have no size)."""
    return {pointer: len(value) for pointer, value in walk(parameters) if isinstance(value, str | list)}


def _left_out(value: JSON, may_be_null: Callable[[str], bool], pointer: str) -> bool:
    if value is not None:
        return False
    if not may_be_null(pointer):
        raise Unmappable(pointer, "a null, where the action's schema allows none")
    return True


def _number(value: int | float, pointer: str) -> Any:
    if isinstance(value, int) or value.is_integer():
        if abs(value) > INTEGER_LIMIT:
            raise Unmappable(pointer, "an integer beyond ±(2^53−1)")
        return int(value)
    # repr gives the shortest digits that round-trip, which are also RFC 8785's. Infinity and NaN have none.
    exact = Decimal(repr(value))
    if not exact.is_finite():
        raise Unmappable(pointer, "no finite number")
    if -int(exact.as_tuple().exponent) > DECIMAL_PLACES:
        raise Unmappable(pointer, f"more than {DECIMAL_PLACES} decimal places")
    if abs(exact) > _DECIMAL_LIMIT:
        raise Unmappable(pointer, "a decimal too large to compare")
    return {"__extn": {"fn": "decimal", "arg": f"{exact:f}"}}
