"""Time-based one-time codes by RFC 6238 (SHA-1, 30 seconds, 6 digits), as authenticator apps make them. Pure.

Whose secret it is, and whether a code was used before, is not known here.
"""

from __future__ import annotations

import base64
import hmac
import struct
import unicodedata

PERIOD_SECONDS = 30
DIGITS = 6


def typed(code: str) -> str:
    """A code as people type and paste it, in ASCII: full-width and other scripts' digits count by their value; spaces,
    dashes and signs that cannot be seen are dropped."""
    dropped = ("Z", "C", "Pd")
    kept = (sign for sign in unicodedata.normalize("NFKC", code) if not unicodedata.category(sign).startswith(dropped))
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in kept)


def step_of(seconds: float) -> int:
    """The number of the 30-second step that a moment (seconds since 1970) lies in."""
    return int(seconds // PERIOD_SECONDS)


def code_at(secret: str, step: int) -> str:
    """The code of one step; `secret` is base32, as `var/demo.json` and authenticator apps hold it."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
    (value,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return f"{(value & 0x7FFF_FFFF) % 10**DIGITS:0{DIGITS}}"
