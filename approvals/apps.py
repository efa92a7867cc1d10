"""The approvals app's entry in Django's registry; it begins to listen to what befalls people's rights and agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from accounts.models import User
    from audit.entries import Party


class ApprovalsConfig(AppConfig):
    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for what happens to people and to agents."""
        from accounts.signals import rights_shrank
        from approvals import stopping  # its models are only there now

        rights_shrank.connect(_void_votes, dispatch_uid="approvals.votes")
        stopping.connect()


def _void_votes(
    sender: object, *, person: User, by: Party, active: bool, teams: frozenset[str], reason: str, **_: Any
) -> None:
    """What they voted on open requests falls with the seat it stood on, in the same transaction."""
    from approvals import votes

    if active:
        votes.void_unseated(person.pk, teams=teams, by=by, reason=reason)
    else:
        votes.void_all_of(person.pk, by=by, reason=reason)
