"""Reads who is signed in, together with what stands around every page they open: one query for both."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend

from accounts.addresses import whose
from accounts.models import User
from approvals import roster


class Backend(AuthenticationBackend):
    """allauth's, whose people come with their frame, and are found by our own rule of whose an address is."""

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        person = whose(email).first()
        found: User | None = self._check_password(person, password)
        return found

    def get_user(self, user_id: Any) -> User | None:
        """The person of a session; None once they may not sign in any more."""
        user = roster.framed(User.objects.all()).filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
