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
    join_running(Path(__file__).resolve().parent / "var" / "embedded", sys.argv[1] if len(sys.argv) > 1 else "")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
