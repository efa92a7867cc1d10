"""What people change about themselves, as evidence: their password. No entry, no change.

Second factors leave theirs where they are added and removed (`adapters`).
"""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_reset
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User
from accounts.people import password_digest, person_party
from audit.entries import Draft, Party, record
from audit.types import EntryType

SYSTEM = Party("system", "countersign")


def _changed(sender: object, request: HttpRequest, user: User, **keywords: Any) -> None:
    how = "password-reset" if keywords["signal"] is password_reset else "password-changed"
    with transaction.atomic():
        person = person_party(user)
        facts = {"what": how, "password_digest": password_digest(user)}
        record(Draft(type=EntryType.PERSON_CHANGED, actor=person, subject=person, facts=facts))


@transaction.atomic
def upgrade_hash(user: User, raw_password: str) -> None:
    """Hash a password anew that was just found right, as hashing became stronger."""
    user.password = make_password(raw_password)
    user.save(update_fields=["password"])
    facts = {"what": "password-rehashed", "password_digest": password_digest(user)}
    record(Draft(type=EntryType.PERSON_CHANGED, actor=SYSTEM, subject=person_party(user), facts=facts))


def connect() -> None:
    """Listen for changes; called once when the app is ready."""
    for signal in (password_changed, password_reset):
        signal.connect(_changed, dispatch_uid=f"accounts.changes.{id(signal)}")
