"""`manage.py make_demo`: the demo organisation in an empty database, and its sign-ins in var/demo.json."""

from __future__ import annotations

import json
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from approvals import demo
from approvals.rules.pack import read_folder


class Command(BaseCommand):
    """Refuses outside the demo and in a database that has people."""

    help = "Make the demo organisation (only where DEMO=1, only in an empty database)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and write var/demo.json, readable by its owner alone."""
        if not settings.DEMO:
            raise CommandError("This is not a demo: set DEMO=1 where it is meant to be one.")
        if User.objects.exists():
            raise CommandError("There are people in this database already; the demo is made in an empty one.")
        files = read_folder(settings.BASE_DIR / "policies" / settings.POLICY_PACK)
        made = demo.make(files, say=lambda text: self.stdout.write(text))
        document = {"url": settings.BASE_URL, "users": made.users, "keys": made.keys}
        place = settings.BASE_DIR / "var" / "demo.json"
        place.parent.mkdir(exist_ok=True)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        counts = ", ".join(f"{count} {status}" for status, count in sorted(made.counts.items()))
        self.stdout.write(f"The demo organisation is made: {counts}.")
