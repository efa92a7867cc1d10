"""`manage.py erase_details`: erase the details of what happened to named subjects, as the role `eraser`.

The act, and the entry it leaves, are in `audit.erasure`.
"""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.entries import EvidenceUnavailable, Party
from audit.erasure import erase_details


class Command(BaseCommand):
    help = "Erase salts and values of every entry of the given subjects. The log still verifies, and says so."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--subject", action="append", required=True, metavar="KIND:ID", help="e.g. request:0192…; may be repeated"
        )
        parser.add_argument("--basis", required=True, help="why; kept in the log for ever, so name nobody")
        parser.add_argument("--by", default="", help="who erases; your login by default")

    def handle(self, *args: Any, **options: Any) -> None:
        subjects = []
        for text in options["subject"]:
            kind, divider, id_ = text.partition(":")
            if not (kind and divider and id_):
                raise CommandError(f"{text!r} is not KIND:ID")
            subjects.append(Party(kind, id_))
        basis, by = options["basis"].strip(), Party("operator", options["by"] or getpass.getuser())
        if not 3 <= len(basis) <= 500:
            raise CommandError("An erasure needs a basis of 3 to 500 characters.")
        try:
            erased = erase_details(subjects=subjects, basis=basis, by=by)
        except (EvidenceUnavailable, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{erased} entries' details are erased; {len(set(subjects))} erasure entries say so.")
