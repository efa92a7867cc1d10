#!/usr/bin/env python
"""Runs a management command as the database role that the command is for; decides nothing else.

While `make up` runs here and no DATABASE_URL is given, a command joins it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.embedded.environment import how_to_give, join_running

EMBEDDED = Path(__file__).resolve().parent / "var" / "embedded"


def main() -> None:
    """Set the role and the settings, and hand over to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    join_running(EMBEDDED, sys.argv[1] if len(sys.argv) > 1 else "")
    from django.core.management import execute_from_command_line
    from environs.exceptions import EnvError

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:  # 2 and no trace: what could not even begin has found nothing out
        print(f"countersign: {error}. {how_to_give(EMBEDDED)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
