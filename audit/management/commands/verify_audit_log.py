"""`manage.py verify_audit_log`: check the whole log from its tables; exit 0 verified, 1 tampered, 2 not
verifiable.

Reads only, in flat memory, in one snapshot. What is checked is in `audit.verify`; this finds key, log and
copies.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand

from audit import outside, roles
from audit.notes import BadNote, Verifier
from audit.stored_log import StoredLog
from audit.verify import NotVerifiable, Report, verify

VERIFIED, TAMPERED, NOT_VERIFIABLE = 0, 1, 2
PROGRESS_SECONDS = 2.0


class Command(BaseCommand):
    help = "Verify the evidence log: exit 0 verified, 1 tampered (names the first bad index), 2 not verifiable."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--key", type=Path, help="file with the pinned verifier key; else the log's own is used")
        parser.add_argument(
            "--checkpoint",
            type=Path,
            action="append",
            default=[],
            help="a checkpoint kept elsewhere that the log must contain; may be repeated. AUDIT_OUTSIDE_PATH always is",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._spoke = time.monotonic()
        try:
            # Copies before the log: a sealer at work commits first and copies then, so no copy is ahead of the log.
            kept = [_copy(path) for path in options["checkpoint"]]
            note, problem = _outside_note()
            # Its own connection: as the role that may read all tables, in one read-only snapshot.
            with psycopg.connect(roles.conninfo("app"), connect_timeout=5) as connection:
                code = self._verify(StoredLog(connection), options["key"], kept, note, problem)
        except (NotVerifiable, BadNote, OSError, psycopg.Error) as error:
            self.stderr.write(f"NOT VERIFIABLE: {error}")
            code = NOT_VERIFIABLE
        sys.exit(code)

    def _verify(self, log: StoredLog, key: Path | None, kept: list[str], note: str | None, problem: str | None) -> int:
        verifier = _verifier(log, key)
        copies = [verifier.checkpoint(text) for text in kept]
        try:
            copies += [verifier.checkpoint(note)] if note is not None else []
        except BadNote as error:
            problem = str(error)
        report = verify(log, verifier, outside=copies, progress=self._progress)
        if problem:
            report.add(None, f"the copy outside the database: {problem}")
        self._say(report, verifier, pinned=key is not None, copies=len(copies))
        return TAMPERED if report.problem_count else VERIFIED

    def _progress(self, done: int, end: int) -> None:
        if time.monotonic() - self._spoke >= PROGRESS_SECONDS or done == end:
            self._spoke = time.monotonic()
            self.stderr.write(f"{done} of {end} leaves")

    def _say(self, report: Report, verifier: Verifier, *, pinned: bool, copies: int) -> None:
        out = self.stdout.write
        out(f"log           {verifier.name}")
        out(f"key           {verifier}" + ("" if pinned else "   (the log's own word; pin it with --key)"))
        out(f"leaves        {report.size}, root {report.root.hex()}")
        out(f"checkpoints   {report.checkpoints} stored, {copies} kept outside")
        out(f"details       {report.committed} entries have them, {report.erased} of these erased")
        if not report.problem_count:
            out("VERIFIED")
            return
        for problem in report.problems:
            out(f"PROBLEM       {problem}")
        if report.problem_count > len(report.problems):
            out(f"              and {report.problem_count - len(report.problems)} more")
        first = report.first_bad
        out("TAMPERED" if first is None else f"TAMPERED: the first bad index is {first}")


def _verifier(log: StoredLog, key: Path | None) -> Verifier:
    origin, stored_key = log.origin()
    text = key.read_text() if key else stored_key
    if not origin:
        raise NotVerifiable("the sealer never started: there is no log yet")
    verifier = Verifier.parse(text)
    if origin != verifier.name:
        raise NotVerifiable(f"the key is that of {verifier.name}, the log calls itself {origin}")
    return verifier


def _copy(path: Path) -> str:
    note = outside.read(path)
    if note is None:
        raise NotVerifiable(f"there is no file {path}")
    return note


def _outside_note() -> tuple[str | None, str | None]:
    """The copy that AUDIT_OUTSIDE_PATH names, or what is wrong with it."""
    if not settings.AUDIT_OUTSIDE_PATH:
        return None, None
    try:
        return outside.read(Path(settings.AUDIT_OUTSIDE_PATH)), None
    except (OSError, BadNote) as error:
        return None, str(error)
