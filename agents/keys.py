"""The format of API keys: made, parsed and compared here; never stored here. Pure.

`csk_<8 char public id>_<43 char base62 secret><6 char checksum>`. The secret is 256 random bits, so a plain
SHA-256 of it is stored: a slow hash would only cost. The format says nothing of environment, model or deployment.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(r"csk_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A key in its parts; `str()` gives what the caller sends."""

    public_id: str
    secret: str

    def __str__(self) -> str:
        return f"csk_{self.public_id}_{self.secret}{checksum(self.public_id, self.secret)}"

    @property
    def digest(self) -> bytes:
        """What is stored: the SHA-256 of the secret (32 bytes)."""
        return hashlib.sha256(self.secret.encode("ascii")).digest()

    def matches(self, digest: bytes) -> bool:
        """Whether this key's secret is the one behind a stored digest, in constant time."""
        return hmac.compare_digest(self.digest, digest)


def base62(number: int, length: int) -> str:
    """A non-negative integer in base 62, left-padded with zeros to `length` characters."""
    characters = []
    for _ in range(length):
        number, remainder = divmod(number, 62)
        characters.append(_ALPHABET[remainder])
    return "".join(reversed(characters))


def checksum(public_id: str, secret: str) -> str:
    """Six characters that let a mistyped key, or a scanner's find, be told from a key: CRC-32 in base 62."""
    return base62(zlib.crc32(f"csk_{public_id}_{secret}".encode("ascii")), 6)


def new() -> Key:
    """A fresh key from the operating system's randomness."""
    return Key(
        public_id="".join(secrets.choice(_ALPHABET) for _ in range(8)),
        secret=base62(int.from_bytes(secrets.token_bytes(32)), 43),
    )


def parse(text: str) -> Key | None:
    """The key in `text`, or None where the format or the checksum is not a key's."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    key = Key(found[1], found[2])
    return key if hmac.compare_digest(found[3], checksum(key.public_id, key.secret)) else None
