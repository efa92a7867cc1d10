"""`manage.py setup --email … --name …`: the first administrator, by a one-time link. Nothing else is set up here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import invitations, two_people
from accounts.acting import Refused
from approvals import policies


class Command(BaseCommand):
    """Calls the verb; where an administrator can sign in already it changes nothing, says so and exits 1."""

    help = "Make the first administrator, who chooses a password by the link that is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who it is."""
        parser.add_argument("--email", required=True, help="signs in with it")
        parser.add_argument("--name", help="as colleagues see it")
        parser.add_argument(
            "--confirm-link",
            action="store_true",
            help="confirm the sign-in through the provider that the only administrator asked for",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link, and what comes next."""
        if options["confirm_link"]:
            try:
                person = two_people.confirm_link_alone(email=options["email"])
            except Refused as refused:
                raise CommandError(str(refused)) from refused
            self.stdout.write(f"{person.email} signs in through the provider from now on.")
            return
        if not options["name"]:
            raise CommandError("Give --name, as colleagues see it.")
        try:
            token = invitations.set_up(email=options["email"], name=options["name"])
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(
            f"Open this within an hour and choose a password; it works once:\n\n  {invitations.link(token)}\n\n"
            "Then invite a second person on /people/ and, once they have signed in, make them an administrator: from\n"
            "then on changes of administrators and activators take two."
        )
        if policies.in_force().version_id is None:
            self.stdout.write(
                "\nNo policy is in force, so every request is blocked. Make the teams that it names on /teams/, then\n"
                "load it: `manage.py bootstrap_policy FOLDER`."
            )
