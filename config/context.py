"""What every template is given beside its own page; no query is made for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals import roster

THEMES = ("light", "dark", "system")


def page(request: HttpRequest) -> dict[str, Any]:
    """`theme`, `now`, `now_ms`, `nav`, `queue_count` and `frame` as `templates/base.html` reads them."""
    theme = request.COOKIES.get("theme", "system")
    now = datetime.now(UTC)
    if request.path.startswith(("/queue/", "/requests/")):
        nav = "queue"
    else:
        nav = next((name for name in ("history", "agents") if request.path.startswith(f"/{name}/")), "")
    return {
        "theme": theme if theme in THEMES else "system",
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "nav": nav,
        "queue_count": None,
        "frame": SimpleLazyObject(lambda: _frame(request)),
    }


def _frame(request: HttpRequest) -> roster.Frame | None:
    """What every page's frame says of agents, as it was read with the person; None for who is not signed in."""
    user = getattr(request, "user", None)
    return roster.frame(user) if user is not None and user.is_authenticated else None
