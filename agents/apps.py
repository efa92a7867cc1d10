"""The agents app's entry in Django's registry; it begins to listen to what befalls people's rights, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from accounts.models import Role, User
    from audit.entries import Party


class AgentsConfig(AppConfig):
    name = "agents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts.signals import rights_shrank

        rights_shrank.connect(_revoke_keys, dispatch_uid="agents.registration")


def _revoke_keys(sender: object, *, person: User, by: Party, active: bool, roles: frozenset[Role], **_: Any) -> None:
    """Who is no auditor any more reads nothing by key either, from the same transaction on."""
    from accounts.models import Role
    from agents import registration

    if active and Role.AUDITOR in roles:
        return
    for credential in person.credentials.filter(revoked_at__isnull=True):
        registration.revoke_credential(by=by, credential=credential)
