"""How people sign in: allauth, closed to self-registration, each sign-in an entry.

What they may do is not asked here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User
from accounts.people import person_party
from audit.entries import Authentication, Draft, record
from audit.types import EntryType


class ClosedAdapter(DefaultAccountAdapter):
    """People are invited by an administrator; nobody registers themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False


def authentication_of(request: HttpRequest) -> Authentication:
    """How and when the person of this session last proved who they are, from allauth's record in the session.

    `method` is `password`, `mfa:totp`, `mfa:webauthn`, … ; a session without a record says `session` at its epoch.
    """
    records: list[dict[str, Any]] = get_authentication_records(request, request.user)
    if not records:
        return Authentication(method="session", at=datetime.fromtimestamp(0, UTC))
    newest = records[-1]
    method = str(newest.get("method", "session"))
    if "type" in newest:
        method = f"{method}:{newest['type']}"
    return Authentication(method=method, at=datetime.fromtimestamp(float(newest["at"]), UTC))


def _record_sign_in(sender: object, request: HttpRequest, user: User, **_: Any) -> None:
    # No entry, no session: an exception here fails the sign-in.
    with transaction.atomic():
        person = person_party(user)
        record(Draft(type=EntryType.SESSION_SIGNED_IN, actor=person, subject=person, facts={}))


def connect() -> None:
    """Listen for sign-ins; called once when the app is ready."""
    user_logged_in.connect(_record_sign_in, dispatch_uid="accounts.sign_in")
