"""Who is calling the API, from the bearer key alone, and whether the key carries the scope that a view declares.

No identity is ever taken from a body, a query or another header; what the caller may see is the gates' to say.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import Role, RoleGrant
from agents import keys
from agents.models import Credential, Scope
from agents.problems import Problem
from audit import refusals
from audit.entries import Party

if TYPE_CHECKING:  # DRF imports this module while its views are being imported
    from rest_framework.views import APIView

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
# Compared when no such key exists, so that the time taken does not say whether it does.
_NOBODY = bytes(32)


def unauthenticated() -> Problem:
    """401, the same words whatever was wrong with the key."""
    return Problem("unauthenticated", "Send a valid key as 'Authorization: Bearer <key>'.", headers=_CHALLENGE)


def credential_for(authorization: str) -> Credential:
    """The live credential behind an `Authorization` header; raises the 401 problem for anything else."""
    scheme, _, text = authorization.partition(" ")
    key = keys.parse(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise unauthenticated()
    credential = (
        Credential.objects.select_related("agent", "executor")
        .annotate(read_at=Now())
        .filter(public_id=key.public_id)
        .first()
    )
    matches = key.matches(bytes(credential.secret_sha256) if credential else _NOBODY)
    if credential is None or not matches or not _is_live(credential):
        raise unauthenticated()
    _note_use(credential)
    return credential


def _is_live(credential: Credential) -> bool:
    """Neither revoked nor lapsed by the database's clock; an auditor's key does not outlive their role, which may have
    been given for a time."""
    now = _read_at(credential)
    if credential.revoked_at is not None or credential.expires_at <= now:
        return False
    if credential.auditor_id is None:
        return True
    held = RoleGrant.objects.filter(user=credential.auditor_id, user__is_active=True, role=Role.AUDITOR)
    return held.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now())).exists()


def _read_at(credential: Credential) -> datetime:
    moment: datetime = credential.read_at  # type: ignore[attr-defined]  # annotated by `credential_for`
    return moment


def _note_use(credential: Credential) -> None:
    """Keep `last_used_at` to the minute, without a write a call: the row as read says whether it is time."""
    noted = credential.last_used_at
    if noted is not None and noted >= _read_at(credential) - timedelta(minutes=1):
        return
    Credential.objects.filter(pk=credential.pk).filter(
        Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - timedelta(minutes=1))
    ).update(last_used_at=Now())


class KeyAuthentication(BaseAuthentication):
    """DRF's hook: `request.auth` is the credential, `request.user` the party it speaks for."""

    def authenticate(self, request: Request) -> tuple[Party, Credential] | None:
        """The caller; None without a header, so that open endpoints stay open."""
        authorization = request.META.get("HTTP_AUTHORIZATION", "")
        if not authorization:
            return None
        credential = credential_for(authorization)
        return credential.holder, credential

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return _CHALLENGE["WWW-Authenticate"]


def record_refused(credential: Credential, cause: str, facts: dict[str, str] | None = None) -> None:
    """Leave evidence that this key was refused something before any verb began."""
    with transaction.atomic():
        refusals.record_refusal(
            actor=credential.holder,
            subject=Party("credential", str(credential.pk)),
            cause=cause,
            facts={"key": credential.public_id, **(facts or {})},
        )


def require_scope(credential: Credential, scope: Scope) -> None:
    """Pass, or raise 403 naming the scope; the refusal is recorded."""
    if scope.value in credential.scopes:
        return
    record_refused(credential, "missing-scope", {"scope": scope.value})
    raise Problem("missing-scope", f"This key does not carry the scope {scope.value}.")


class HasScope(BasePermission):
    """The view's `scopes` (method → scope) against the key's; a view that declares none for a method is closed."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or a problem raised: 401 without a key, 403 without the scope."""
        scopes: dict[str, Scope] = getattr(view, "scopes", {})
        scope = scopes.get(str(request.method))
        credential: Any = request.auth
        if not isinstance(credential, Credential):
            raise unauthenticated()
        if scope is None:
            return False
        require_scope(credential, scope)
        return True
