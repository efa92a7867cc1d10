"""`manage.py bootstrap_policy FOLDER`: the first policy version, loaded into a database that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import policies
from approvals.rules.pack import InvalidPack, read_folder
from audit.entries import Party


class Command(BaseCommand):
    """Calls the verb; a pack that is not valid, or a database that has a version, changes nothing and says why."""

    help = "Put a pack of policies/ in force in a database that has no policy version yet."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the pack lies."""
        parser.add_argument("folder", help="a folder, or the name of one under policies/")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load it."""
        folder = Path(options["folder"])
        if not folder.is_dir():
            folder = settings.BASE_DIR / "policies" / options["folder"]
        if not folder.is_dir():
            raise CommandError(f"There is no folder {options['folder']}, here or under policies/.")
        try:
            version = policies.bootstrap(files=read_folder(folder), by=Party("system", "operator"))
        except InvalidPack as error:
            raise CommandError("\n".join(["This pack cannot be put in force:", *error.problems])) from error
        self.stdout.write(f"Policy version {version.number} is in force: {version.digest}")
