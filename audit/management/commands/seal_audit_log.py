"""`manage.py seal_audit_log`: the sealer's process, until SIGTERM or SIGINT.

It uses its own connection as the role `sealer`; Django's default connection stays unopened. Sealing itself is
in `audit.sealing`.
"""

from __future__ import annotations

import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import origins, roles
from audit.continuity import LogRefused
from audit.process import keep_sealing


class Command(BaseCommand):
    help = "Seal recorded evidence into the signed Merkle tree, until told to stop (SIGTERM)."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.AUDIT_OUTSIDE_PATH or not settings.AUDIT_KEY_PATH:
            raise CommandError("AUDIT_KEY_PATH and AUDIT_OUTSIDE_PATH must say where key and outside copy are.")
        try:
            key = origins.read_key(Path(settings.AUDIT_KEY_PATH))
        except LogRefused as error:
            raise CommandError(str(error)) from error
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        connect = partial(psycopg.connect, roles.conninfo("sealer"), connect_timeout=5)
        keep_sealing(connect, key, settings.AUDIT_ORIGIN_HOST, Path(settings.AUDIT_OUTSIDE_PATH), stop)
