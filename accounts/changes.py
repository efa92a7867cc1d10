"""What people change about themselves, as evidence: their password. No entry, no change.

Second factors leave theirs where they are added and removed (`adapters`).
"""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_reset
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User
from accounts.people import person_party
from audit.entries import Draft, record
from audit.types import EntryType


def _changed(sender: object, request: HttpRequest, user: User, **keywords: Any) -> None:
    how = "password-reset" if keywords["signal"] is password_reset else "password-changed"
    with transaction.atomic():
        person = person_party(user)
        record(Draft(type=EntryType.PERSON_CHANGED, actor=person, subject=person, facts={"what": how}))


def connect() -> None:
    """Listen for changes; called once when the app is ready."""
    for signal in (password_changed, password_reset):
        signal.connect(_changed, dispatch_uid=f"accounts.changes.{id(signal)}")
