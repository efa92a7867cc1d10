"""Signs a webhook as Standard Webhooks 1.0 says: HMAC-SHA256 over `id.timestamp.body`, one signature a secret. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
BYTES = 32  # the standard asks for 24 to 64


def new_secret() -> str:
    """`whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def headers(*, message_id: str, timestamp: int, body: bytes, signing: Iterable[str]) -> dict[str, str]:
    """The headers of one attempt; `timestamp` is in Unix seconds, `signing` the `whsec_` texts, newest first."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    marks = [
        base64.b64encode(
            hmac.new(base64.b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256).digest()
        ).decode()
        for secret in signing
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }
