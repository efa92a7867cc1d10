"""One JSON value, one byte string: the canonical form that leaves are hashed in.

For the types admitted here (strings, integers within ±(2^53−1), true, false, null, arrays, objects with ASCII
names) sorted compact `json.dumps` is RFC 8785 byte for byte, at a fifth of the library's cost and with
nothing but the standard library, so that a verifier needs no more; tests/unit/test_audit_canonical.py holds
the two together. Fractions are not admitted: what may contain them (parameters) is canonicalised in
`commitments.py`, never here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader understands exactly (RFC 8785 §3.2.2.3, IEEE 754 double)."""

MAX_DEPTH = 64
"""Deeper nesting is refused before it can exhaust a reader's stack."""


class NotCanonical(ValueError):
    """The value, or the bytes, have no place in a leaf; the message says where and why."""


def dumps(value: Any) -> bytes:
    """The canonical bytes of `value`, UTF-8.

    Raises NotCanonical for a float, an integer beyond ±(2^53−1), a name that is not ASCII text, a lone
    surrogate, a nesting over 64, or any other type (RFC 8785 as evidence's leaf format restricts it).
    """
    if not _admitted(value):
        _explain(value, "", 0)
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise NotCanonical("a string holds a lone surrogate, which has no UTF-8 form") from None


def loads(data: bytes) -> Any:
    """The value of canonical bytes; NotCanonical where these are not what `dumps` would have written."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON in UTF-8: {error}") from None
    if dumps(value) != data:
        raise NotCanonical("JSON, but not in canonical form")
    return value


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z` and always six fractional digits; NotCanonical for a time with no offset."""
    if moment.tzinfo is None:
        raise NotCanonical("a time without an offset could be any moment")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _admitted(value: Any) -> bool:
    """Whether all of it has a canonical form, level by level: on every leaf's way, so it keeps no place for a message.

    False may be a false alarm (a subclass of an admitted type); `_explain` has the last word.
    """
    level, depth = [value], 0
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str or item is None or kind is bool:
                continue
            if kind is int:
                if not -MAX_INTEGER <= item <= MAX_INTEGER:
                    return False
            elif kind is dict and depth < MAX_DEPTH:
                for name in item:
                    if type(name) is not str or not name.isascii():
                        return False
                inner += item.values()
            elif kind is list and depth < MAX_DEPTH:
                inner += item
            else:
                return False
        level, depth = inner, depth + 1
    return True


def _explain(value: Any, pointer: str, depth: int) -> None:
    """Raise NotCanonical naming the place that has no canonical form, if there is one."""
    # By exact kind, cheapest and commonest first; a bool is an int to isinstance, and both are admitted.
    if value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise NotCanonical(f"{pointer or '/'}: an integer beyond ±(2^53−1)")
        return
    if depth >= MAX_DEPTH:
        raise NotCanonical(f"{pointer}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise NotCanonical(f"{pointer or '/'}: the name {name!r} is not ASCII text")
            _explain(item, f"{pointer}/{name}", depth + 1)
        return
    if isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _explain(item, f"{pointer}/{position}", depth + 1)
        return
    kind = "Mapping that is no dict" if isinstance(value, Mapping) else type(value).__name__
    raise NotCanonical(f"{pointer or '/'}: {kind} has no canonical form here")
