"""`manage.py declare_fork --reason …`: an operator's word that the log goes on from an older, or another,
database.

The sealer refuses to sign on a database that does not contain what was published; this command, run with the
sealer's key and role, records who declared the fork and why, and voids outstanding grants by counting it. It
undoes nothing.
"""

from __future__ import annotations

import getpass
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import origins, roles
from audit.continuity import LogRefused
from audit.leaves import Party
from audit.sealing import AlreadySealing, Sealer

WAIT_SECONDS = 10.0  # a refusing sealer holds the lock for a moment each second; a sealing one holds it for good


class Command(BaseCommand):
    help = "Let sealing go on from a database without what was published. Voids outstanding grants."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reason",
            required=True,
            help="why; kept in the log for ever, so name nobody (10 to 500 characters)",
        )
        parser.add_argument("--by", default="", help="who declares it; your login by default")

    def handle(self, *args: Any, **options: Any) -> None:
        reason, actor = options["reason"].strip(), Party("operator", options["by"] or getpass.getuser())
        if not 10 <= len(reason) <= 500:
            raise CommandError("A fork needs a reason of 10 to 500 characters.")
        outside_path = Path(settings.AUDIT_OUTSIDE_PATH)
        try:
            key = origins.read_key(Path(settings.AUDIT_KEY_PATH))
            with psycopg.connect(roles.conninfo("sealer"), connect_timeout=5) as connection:
                sealer = Sealer(connection, key, settings.AUDIT_ORIGIN_HOST, outside_path)
                number = _declare(sealer, reason, actor)
        except (LogRefused, AlreadySealing, psycopg.Error, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Fork {number} is declared and sealed; grants issued before it are void.")


def _declare(sealer: Sealer, reason: str, actor: Party) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return sealer.declare_fork(reason=reason, actor=actor)
        except AlreadySealing:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
