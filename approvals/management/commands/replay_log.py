"""`manage.py replay_log`: every request told once more from the log, and held against the tables."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from approvals.replay.tables import replay


class Command(BaseCommand):
    """Changes nothing; exits 0 where everything holds, 1 where something does not."""

    help = "Replay every request from the evidence log and compare it with the tables."

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay and say what was found."""
        done = replay(said=lambda requests: self.stderr.write(f"{requests} requests replayed …"))
        for fault in done.faults:
            self.stdout.write(fault)
        if done.fault_count:
            self.stdout.write(f"{done.fault_count} faults in {done.requests} requests ({done.entries} entries).")
            sys.exit(1)
        self.stdout.write(f"{done.requests} requests hold as their {done.entries} entries tell them.")
