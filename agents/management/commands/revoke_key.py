"""`manage.py revoke_key ID`: end a key at once, for when it leaked or its successor is in place."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents import keys, registration
from agents.models import Credential
from agents.stops import OPERATOR


def _name(credential: Credential) -> str:
    holder = credential.agent or credential.executor
    return holder.slug if holder is not None else credential.holder.id


class Command(BaseCommand):
    """Calls the verb; a key that is not known, or was revoked before, is an error."""

    help = "Revoke a key by its public id: the eight characters between csk_ and the next underscore."

    def add_arguments(self, parser: CommandParser) -> None:
        """The public id."""
        parser.add_argument("id", help="e.g. OfqGAjP1; never the whole key, which would stay in the shell's history")

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke it, with its entry."""
        if keys.parse(options["id"]) is not None:
            raise CommandError("Give the eight characters after csk_ alone: a whole key does not belong in a command.")
        credential = Credential.objects.filter(public_id=options["id"], revoked_at__isnull=True).first()
        if credential is None:
            raise CommandError("No key in use has that id.")
        registration.revoke_credential(by=OPERATOR, credential=credential)
        self.stdout.write(f"Revoked: a key of {credential.holder.kind} {_name(credential)}. Its next call is 401.")
