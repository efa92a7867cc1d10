"""`manage.py replay_log`: every request told once more from the log, and held against the tables."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from approvals.replay.outbox import LATE
from approvals.replay.tables import replay


class Command(BaseCommand):
    """Changes nothing; exits 0 where everything holds, 1 where something does not."""

    help = "Replay every request from the evidence log and compare it with the tables."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How long a notification may lie there though it is due, if that is asked at all."""
        late = parser.add_mutually_exclusive_group()
        late.add_argument("--late", type=float, default=LATE.total_seconds(), metavar="SECONDS")
        late.add_argument(
            "--restored",
            action="store_true",
            help="a copy that nobody has sent from since its dump: what is due there is not late",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay and say what was found."""
        done = replay(
            late=None if options["restored"] else timedelta(seconds=options["late"]),
            said=lambda requests: self.stderr.write(f"{requests} requests replayed …"),
        )
        for fault in done.faults:
            self.stdout.write(fault)
        if done.fault_count:
            self.stdout.write(f"{done.fault_count} faults in {done.requests} requests ({done.entries} entries).")
            sys.exit(1)
        self.stdout.write(f"{done.requests} requests hold as their {done.entries} entries tell them.")
