"""What the log is called: `<host>/audit/<log>`, decided once, and its private key, read from one file.

Nothing is signed here. The name never follows a request, a port or a later setting.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from audit import outside
from audit.continuity import LogRefused
from audit.notes import BadNote, Signer

log = structlog.get_logger(__name__)


def of(kept: str, host: str, key: Ed25519PrivateKey, outside_path: Path) -> str:
    """The log's origin: the one that is kept; else, in an empty database, the one that this key published
    before under; else a new one of `host`, with a part drawn from the key so that two logs of one host
    differ."""
    return kept or _published(key, outside_path) or f"{host}/audit/{_log_name(key)}"


def read_key(path: Path) -> Ed25519PrivateKey:
    """The log's private key, PEM PKCS #8; LogRefused where there is none. A loose file mode is warned of."""
    try:
        data = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
        key = load_pem_private_key(data, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise LogRefused(f"the log's key can't be read from {path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise LogRefused(f"the log's key in {path} is not an Ed25519 key")
    if mode & 0o077:
        log.warning("audit_key_readable_by_others", path=str(path), mode=oct(mode))
    return key


def _log_name(key: Ed25519PrivateKey) -> str:
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:8]


def _published(key: Ed25519PrivateKey, path: Path) -> str | None:
    try:
        note = outside.read(path) or ""
        name = note.split("\n", 1)[0]
        return Signer(name, key).verifier.checkpoint(note).origin
    except (OSError, BadNote):
        return None
