"""`manage.py render_docs`: write the references that are drawn from code; with `--check`, fail where one is stale.

No text of the guides is written here, and no database is asked.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.problems import PROBLEMS
from approvals import states
from approvals.api import documentation

FOLDER = "docs/reference"
_NOTICE = "<!-- Written by `manage.py render_docs` from {source}; change that and run it again. -->\n\n"


def statuses() -> str:
    """The state diagram and its table, from `approvals.states`."""
    rows = "".join(
        f"| {f'`{row.source}`' if row.source else '(filed)'} | `{row.target}` | {row.by} | `{row.entry}` |\n"
        for row in states.TRANSITIONS
    )
    final = ", ".join(f"`{status}`" for status in states.Status if status in states.FINAL)
    return (
        _NOTICE.format(source="approvals/states.py") + "# Statuses of a request\n\n"
        f"```mermaid\n{states.diagram()}```\n\n"
        f"Final: {final}.\n"
        "No path leads from one final status to another. From `expires_at`, by the database's clock, a pending\n"
        "request reads as `expired` whether or not the sweep has written it down.\n\n"
        "| from | to | because | entry it leaves |\n|---|---|---|---|\n" + rows
    )


def problems() -> str:
    """Every problem an agent may be answered with, from `agents.problems`."""
    rows = "".join(f"| {status} | `{slug}` | {title} |\n" for slug, (status, title) in PROBLEMS.items())
    return (
        _NOTICE.format(source="agents/problems.py") + "# Problems\n\n"
        "Errors of `/api/v1` are `application/problem+json` (RFC 9457). `type` is `urn:countersign:problem:<slug>`,\n"
        "`detail` says why in a sentence, and a 422 `invalid` lists `errors` by JSON pointer.\n\n"
        "| status | slug | title |\n|---|---|---|\n" + rows
    )


def openapi() -> str:
    """The OpenAPI document as `/api/v1/schema` serves it."""
    return json.dumps(documentation.document(), indent=1, ensure_ascii=False) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "states.md": statuses,
    "problems.md": problems,
    "openapi.json": openapi,
}


def stale(folder: Path) -> list[str]:
    """Names of the generated files in `folder` that are missing or differ from what code says now."""
    return [name for name, draw in GENERATED.items() if not _same(folder / name, draw())]


def _same(place: Path, text: str) -> bool:
    return place.is_file() and place.read_text(encoding="utf-8") == text


class Command(BaseCommand):
    """Writes docs/reference/, or says what is stale there."""

    help = "Write the generated references in docs/reference; --check fails where one is stale."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--check` writes nothing."""
        parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is stale")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write or check."""
        folder = settings.BASE_DIR / FOLDER
        old = stale(folder)
        if options["check"]:
            if old:
                raise CommandError(f"Stale in {FOLDER}: {', '.join(old)}. Run `make docs` and commit what it writes.")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name in old:
            (folder / name).write_text(GENERATED[name](), encoding="utf-8")
            self.stdout.write(f"{FOLDER}/{name}")
