"""`manage.py stop_all_agents --reason TEXT`: the kill switch, for when the web is down. Lifting takes people."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents import stops
from agents.stops import StopRefused


class Command(BaseCommand):
    """Calls the verb as the operator; a stop that holds already is an error."""

    help = "Stop all agents at once. Somebody with the right lifts the stop on /stop/."

    def add_arguments(self, parser: CommandParser) -> None:
        """Why."""
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop them."""
        try:
            stop = stops.begin(by=None, reason=options["reason"])
        except StopRefused as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(f"All agents are stopped (stop {stop.number}). What was pending is being withdrawn.")
