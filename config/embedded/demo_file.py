"""Whose sign-ins var/demo.json holds: those of the database that runs now, at the address where it answers now.

The sign-ins of another database that this checkout has run lie beside it until that one runs again; none is lost.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded.places import write_private

EMBEDDED = "embedded"


def database_of(url: str | None) -> str:
    """A short name for the database behind a URL, whatever user and password it carries; `embedded` without one."""
    if not url:
        return EMBEDDED
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 5432}{parts.path}?{parts.query}"
    return hashlib.sha256(place.encode()).hexdigest()[:12]


def bring(var: Path, database: str) -> None:
    """Put that database's sign-ins in place, if there are any, and another's aside."""
    demo, whose = var / "demo.json", var / "demo-of"
    current = whose.read_text().strip() if whose.exists() else EMBEDDED
    if current != database:
        if demo.exists():
            demo.replace(var / f"demo-{current}.json")
        kept = var / f"demo-{database}.json"
        if kept.exists():
            kept.replace(demo)
        write_private(whose, database)


def readdress(var: Path, url: str) -> None:
    """Let var/demo.json say where it answers now: scripts read the address from it."""
    demo = var / "demo.json"
    if not demo.exists():
        return
    known = json.loads(demo.read_text())
    if known["url"] != url:
        write_private(demo, json.dumps({**known, "url": url}, indent=2))
