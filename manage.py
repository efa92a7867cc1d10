#!/usr/bin/env python
"""Runs a management command as the database role that the command is for; decides nothing else.

While `make up` runs here and no DATABASE_URL is given, a command joins it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.embedded.environment import join_running


def main() -> None:
    """Set the role and the settings, and hand over to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    root = Path(__file__).resolve().parent / "var" / "embedded"
    joined = join_running(root, sys.argv[1] if len(sys.argv) > 1 else "")
    from django.core.management import execute_from_command_line
    from environs.exceptions import EnvError

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:  # 2 and no trace: what could not even begin has found nothing out
        missed = "The `make up` that runs here was given it: give it to this command too."
        advice = missed if joined else "Give it, or run `make up` here and try again."
        print(f"countersign: {error}. {advice}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
