"""`manage.py retire_grant_key KID`: sign grants with this key no more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import grants
from audit.entries import Party


class Command(BaseCommand):
    """Calls the verb; a key that is not known, or was retired before, is an error."""

    help = "Retire a grant key by its kid, as /.well-known/jwks.json names it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The kid."""
        parser.add_argument("kid")

    def handle(self, *args: Any, **options: Any) -> None:
        """Retire it."""
        if not grants.retire(options["kid"], by=Party("system", "operator")):
            raise CommandError("No key in use has that kid.")
        self.stdout.write("Retired. It stays published until the last grant it signed has lapsed.")
        try:
            grants.assert_can_sign(grants.LATER)
        except grants.CannotSign as error:
            self.stderr.write(f"NOTHING CAN BE APPROVED NOW: {error.why} Add a key (docs/how-to/rotate-keys.md).")
