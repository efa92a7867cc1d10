"""`manage.py issue_key`: a key for an agent, an executor or an auditor, shown this once; its pages come later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.addresses import whose
from accounts.models import Role, User
from accounts.people import teams_and_roles_of
from agents import registration
from agents.models import Agent, Executor, Scope
from agents.stops import OPERATOR

DAYS_AT_MOST = 365
# Filing and redeeming apart: who asks for a thing should not be who may spend the yes.
USUAL = {
    "agent": (Scope.FILE, Scope.READ, Scope.REPORT),
    "executor": (Scope.REDEEM, Scope.REPORT),
    "auditor": (Scope.AUDIT,),
}


class Command(BaseCommand):
    """Prints the key on standard output and nothing else there; only its digest is kept."""

    help = "Issue a key; it is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        """One holder, scopes, days."""
        holder = parser.add_mutually_exclusive_group(required=True)
        holder.add_argument("--agent", metavar="SLUG")
        holder.add_argument("--executor", metavar="SLUG")
        holder.add_argument("--auditor", metavar="EMAIL", help="somebody who holds the role auditor")
        parser.add_argument(
            "--scope", action="append", choices=[scope.value for scope in Scope], help="may be repeated"
        )
        parser.add_argument("--days", type=int, default=90, help=f"until it expires, 1 to {DAYS_AT_MOST}")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue it, with its entry."""
        kind = next(kind for kind in USUAL if options[kind])
        scopes = [Scope(scope) for scope in options["scope"] or USUAL[kind]]
        if not 1 <= options["days"] <= DAYS_AT_MOST:
            raise CommandError(f"--days is 1 to {DAYS_AT_MOST}: every key expires.")
        if kind == "agent" and Scope.REDEEM in scopes:
            self.stderr.write("Warning: an agent that redeems its own grants has no second system between yes and act.")
        holder = _holder(kind, options[kind])
        _, text = registration.issue_credential(
            by=OPERATOR, holder=holder, scopes=scopes, valid_for=timedelta(days=options["days"])
        )
        self.stderr.write(f"Shown this once, for {options['days']} days: {', '.join(scope.value for scope in scopes)}.")
        self.stdout.write(text)


def _holder(kind: str, name: str) -> Agent | Executor | User:
    found: Agent | Executor | User | None
    if kind == "agent":
        found = Agent.objects.filter(slug=name).first()
    elif kind == "executor":
        found = Executor.objects.filter(slug=name).first()
    else:
        found = whose(name).filter(is_active=True).first()
        if found is not None and Role.AUDITOR not in teams_and_roles_of(found)[1]:
            raise CommandError(f"{name} is no auditor: give the role first, at /people/.")
    if found is None:
        raise CommandError(f"There is no {kind} {name}.")
    return found
