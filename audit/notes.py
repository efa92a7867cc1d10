"""Checkpoints: the C2SP signed notes (signed-note, tlog-checkpoint) in which the sealer states the tree.

Ed25519 alone; one origin, one key. Files, tables and the decision to sign are elsewhere. The private key is a
value here: who may read it from where is the sealer's concern.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
"""The signature type of a plain Ed25519 key (C2SP signed-note, "Signature types")."""

MAX_NOTE_BYTES = 16 * 1024
"""Far more than a checkpoint with a score of witnesses; anything larger is not read."""

_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9]\d{0,18}")


class BadNote(ValueError):
    """The note, or the key, is not what it should be; the message says what is wrong."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint states: `size` leaves under `origin` have the root hash `root` (32 raw bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class Verifier:
    """A public key under a name, as auditors pin it."""

    name: str
    key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key.public_bytes_raw()).digest()[:4]

    def __str__(self) -> str:
        """The verifier key string (C2SP signed-note, "Verifier keys"): `<name>+<key id>+<base64>`."""
        encoded = base64.b64encode(ED25519 + self.key.public_bytes_raw()).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read a verifier key string; BadNote unless its key id is that of its name and key."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            raise BadNote("not a verifier key: <name>+<key id>+<base64>")
        raw = _decode(parts[2])
        if raw[:1] != ED25519 or len(raw) != 33:
            raise BadNote("not the verifier key of a plain Ed25519 signature")
        verifier = cls(parts[0], Ed25519PublicKey.from_public_bytes(raw[1:]))
        if verifier.key_id.hex() != parts[1]:
            raise BadNote("the verifier key's id is not that of its name and key")
        return verifier

    def open(self, note: str) -> str:
        """The text of a signed note that bears this key's valid signature; BadNote otherwise.

        Signatures by other keys are passed over, as the specification asks (that is how witnesses cosign).
        """
        if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES:
            raise BadNote("too large for a signed note")
        text, divider, signatures = note.rpartition("\n\n")
        if not divider or not signatures.endswith("\n"):
            raise BadNote("not a signed note: no blank line before the signatures, or no newline after them")
        text += "\n"
        for line in signatures[:-1].split("\n"):
            found = _SIGNATURE.fullmatch(line)
            if not found:
                raise BadNote("a signature line is not `— <name> <base64>`")
            raw = _decode(found[2])
            if found[1] != self.name or raw[:4] != self.key_id:
                continue
            try:
                self.key.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise BadNote(f"the signature of {self.name} does not fit the text") from None
            return text
        raise BadNote(f"no signature of {self.name} with key id {self.key_id.hex()}")

    def checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint in a note signed by this key; BadNote for a bad signature, shape, or another log's
        origin."""
        checkpoint = parse_checkpoint(self.open(note))
        if checkpoint.origin != self.name:
            raise BadNote(f"a checkpoint of {checkpoint.origin}, not of {self.name}")
        return checkpoint


@dataclass(frozen=True)
class Signer:
    """A private key under a name (for a log: its origin)."""

    name: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadNote(f"{self.name!r} is no name for a key: no spaces, no plus sign")

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.key.public_key())

    def sign(self, text: str) -> str:
        """The signed note of `text`, which ends with a newline; BadNote if it does not."""
        if not text.endswith("\n"):
            raise BadNote("a note's text ends with a newline")
        signature = self.verifier.key_id + self.key.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; BadNote unless it is origin, size in decimal and 32 bytes of base64.

    Extension lines are allowed after these (C2SP tlog-checkpoint) and passed over.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise BadNote("not a checkpoint: origin, size and root, a line each")
    root = _decode(lines[2])
    if len(root) != 32:
        raise BadNote("the root hash is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base64") from None
    if base64.b64encode(raw).decode() != text:  # spare bits before the padding: two spellings of one value
        raise BadNote("not base64 in its one canonical spelling")
    return raw
