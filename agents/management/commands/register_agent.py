"""`manage.py register_agent` and, with --executor, an executor: the pages for it come later."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug
from django.db import IntegrityError

from accounts.addresses import whose
from accounts.models import User
from agents import registration
from agents.stops import OPERATOR

LEVELS = (1, 2, 3)


class Command(BaseCommand):
    """Makes an agent that somebody answers for, or an executor that redeems grants."""

    help = "Register an agent with its owner, or an executor (--executor)."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, and for an agent --owner, --purpose, --level."""
        parser.add_argument("slug", help="its name in addresses, as in helpdesk")
        parser.add_argument("--executor", action="store_true", help="the system that acts, not the one that asks")
        parser.add_argument("--owner", metavar="EMAIL", help="who answers for it; never counted towards its requests")
        parser.add_argument("--purpose", help="what it is for, in a sentence")
        parser.add_argument("--level", type=int, choices=LEVELS, help="3 reaches money, people's data, security, code")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, with its entry."""
        slug = options["slug"]
        try:
            validate_slug(slug)
            if options["executor"]:
                registration.register_executor(by=OPERATOR, slug=slug)
            else:
                registration.register_agent(
                    by=OPERATOR,
                    slug=slug,
                    purpose=_given(options, "purpose"),
                    owner=_person(_given(options, "owner")),
                    level=_given(options, "level"),
                )
        except ValidationError as error:
            raise CommandError("SLUG is letters, digits, - and _ alone.") from error
        except IntegrityError as error:
            raise CommandError(f"There is one called {slug} already.") from error
        kind = "executor" if options["executor"] else "agent"
        self.stdout.write(f"{slug} is registered. Its key: manage.py issue_key --{kind} {slug} --scope …")


def _given(options: dict[str, Any], name: str) -> Any:
    if not options[name]:
        raise CommandError(f"Give --{name}: an agent has an owner, a purpose and a level.")
    return options[name]


def _person(email: str) -> User:
    found = whose(email).filter(is_active=True).first()
    if found is None:
        raise CommandError(f"Nobody active has the address {email}.")
    return found
