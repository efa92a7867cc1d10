"""What may be personal, turned into something that can be shown later and erased at any time.

A commitment is the lower-case hex of SHA-256(salt ‖ value) with a salt of 16 raw bytes and the value's RFC
8785 bytes; value and salt lie in the entry's detail row. Nothing here touches a table, and no leaf ever holds
an unsalted digest of anything personal: a small payload could be guessed back from one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import rfc8785

from audit import canonical

JSON: TypeAlias = Any
"""Anything `json.loads` can give: None, bool, int, float, str, list, dict."""

SALT_BYTES = 16


@dataclass(frozen=True)
class Personal:
    """A value that may be personal. Without a salt it gets a fresh one; give the same salt to the digests of
    one request, so that their equality across its leaves can be shown even after erasure."""

    value: JSON
    salt: bytes | None = None


@dataclass(frozen=True)
class Sealed:
    """The two halves of an entry's personal values: `commitments` for the leaf ({name: hex}), `content` for
    the detail row ({name: {"salt": hex, "value": canonical text}})."""

    commitments: dict[str, str]
    content: dict[str, dict[str, str]]


def fresh_salt() -> bytes:
    """16 random bytes."""
    return os.urandom(SALT_BYTES)


def value_bytes(value: JSON) -> bytes:
    """The RFC 8785 bytes of any JSON value; canonical.NotCanonical for what has none (NaN, an integer beyond
    ±(2^53−1), a lone surrogate, a type JSON does not know)."""
    try:
        return canonical.dumps(value)
    except canonical.NotCanonical:
        pass  # fractions and names beyond ASCII are admitted here, so ask the complete implementation
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise canonical.NotCanonical(str(error)) from None


def commitment(salt: bytes, value: bytes) -> str:
    """Lower-case hex of SHA-256(salt ‖ value); ValueError unless the salt has 16 bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(salt + value).hexdigest()


def seal(personal: Mapping[str, Personal]) -> Sealed:
    """Commit to each value. Raises canonical.NotCanonical naming the value that cannot be committed to."""
    commitments: dict[str, str] = {}
    content: dict[str, dict[str, str]] = {}
    for name, item in personal.items():
        salt = item.salt if item.salt is not None else fresh_salt()
        try:
            value = value_bytes(item.value)
        except canonical.NotCanonical as error:
            raise canonical.NotCanonical(f"{name}: {error}") from None
        commitments[name] = commitment(salt, value)
        content[name] = {"salt": salt.hex(), "value": value.decode()}
    return Sealed(commitments, content)
