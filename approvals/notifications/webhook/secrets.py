"""Signing secrets at rest: sealed with a key made from SECRET_KEY, so that a copy of the database signs nothing."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

_SALT = "approvals.notifications.webhook.secrets"


class Unreadable(Exception):
    """The secret was sealed under a SECRET_KEY that is known no more; the webhook needs a new secret."""


def _keys() -> MultiFernet:
    made = (
        salted_hmac(_SALT, "seal", secret=key, algorithm="sha256").digest()
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in made])


def seal(secret: str) -> str:
    """The secret as it is stored."""
    return _keys().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret again; raises `Unreadable`."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def resealed(sealed: str) -> str:
    """The same secret under the SECRET_KEY in use; raises `Unreadable`."""
    try:
        return _keys().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error
