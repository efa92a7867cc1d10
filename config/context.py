"""What every template is given beside its own page; no query is made for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

THEMES = ("light", "dark", "system")


def page(request: HttpRequest) -> dict[str, Any]:
    """`theme`, `now`, `now_ms`, `nav` and `queue_count` as `templates/base.html` reads them."""
    theme = request.COOKIES.get("theme", "system")
    now = datetime.now(UTC)
    if request.path.startswith(("/queue/", "/requests/")):
        nav = "queue"
    else:
        nav = "history" if request.path.startswith("/history/") else ""
    return {
        "theme": theme if theme in THEMES else "system",
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "nav": nav,
        "queue_count": None,
    }
