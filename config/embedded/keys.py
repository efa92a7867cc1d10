"""The secrets of an installation that nobody gave any: made once, each apart, each in a file of mode 0600.

What they sign is not known here; a deployment with secrets of its own never comes here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.embedded.places import write_private


@dataclass(frozen=True)
class Keys:
    """Django's secret, the key that signs grants, and the key that signs the log (the sealer's alone)."""

    secret_key: str
    grant_key: Path
    audit_key: Path


def made_once(folder: Path) -> Keys:
    """The secrets kept in `folder`, making those that are missing; PEM PKCS #8 for the two Ed25519 keys."""
    secret = folder / "secret-key"
    if not secret.exists():
        write_private(secret, secrets.token_urlsafe(48) + "\n")
    grant, audit = folder / "grant-key.pem", folder / "audit-key.pem"
    for path in (grant, audit):
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return Keys(secret.read_text().strip(), grant, audit)
