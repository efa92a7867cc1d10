"""Brings the secrets of second factors under the SECRET_KEY in use, so that a former one can be forgotten.

What is sealed, and how, is `adapters`' work; nobody's factor changes.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.db import transaction

from accounts import second_factor
from accounts.adapters import resealed
from audit.entries import Party

OPERATOR = Party("system", "operator")
_FIELDS = ("secret", "seed")  # of an authenticator app, and of recovery codes


@transaction.atomic
def reseal() -> tuple[int, int]:
    """Seal anew what any known key opens; how many were, and how many no known key opens (they are left alone)."""
    done = lost = 0
    for factor in Authenticator.objects.select_for_update(of=("self",)).select_related("user").order_by("pk"):
        data = dict(factor.data)
        try:
            data |= {name: resealed(data[name]) for name in _FIELDS if name in data}
        except InvalidToken:
            lost += 1
            continue
        if data != factor.data:  # passkeys hold nothing that is sealed
            Authenticator.objects.filter(pk=factor.pk).update(data=data)
            second_factor.record_change(factor, "second-factor-resealed", by=OPERATOR)
            done += 1
    return done, lost
