"""Finding a real Chromium for the browser's tests, and installing one where there is none.

A machine without one fails with what to do; nothing is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class NoBrowser(Exception):
    """There is no Chromium and none could be installed; `str()` says what to do."""


@cache
def chromium() -> str | None:
    """The path of a Chromium on PATH, or None when Playwright's own is installed and to be used.

    Tried in turn: PATH, apt (as root), `playwright install chromium`. Raises NoBrowser.
    """
    found = _on_path()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _try(["apt-get", "update", "-q"])
        _try(["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"])
        found = _on_path()
        if found:
            return found
    if _try([sys.executable, "-m", "playwright", "install", "chromium"]):
        return None
    raise NoBrowser(
        "The browser's tests need Chromium and none could be installed: apt-get install chromium, "
        f"or {sys.executable} -m playwright install chromium, then run the tests again."
    )


def launch_arguments() -> dict[str, object]:
    """What Playwright's `launch` is given: which program, and no sandbox where we are root (it refuses)."""
    path = chromium()
    arguments: dict[str, object] = {"args": ["--no-sandbox"] if os.geteuid() == 0 else []}
    if path is not None:
        arguments["executable_path"] = path
    return arguments


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _try(command: list[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, timeout=600).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
