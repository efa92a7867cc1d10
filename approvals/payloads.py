"""The one meaning of a payload: RFC 8785 canonical JSON and its digest. Pure.

What may stand in a payload is `agents.wire`'s to say.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> str:
    """RFC 8785 canonical JSON as text: the bytes that are digested, stored, shown and signed.

    Raises `rfc8785.CanonicalizationError` for what has no canonical form.
    """
    return rfc8785.dumps(value).decode("utf-8")


def digest_of(text: str) -> str:
    """`sha256:<hex>` of a canonical text."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"
