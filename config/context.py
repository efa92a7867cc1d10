"""What every template is given beside its own page; a query is made for it where a whole page shows its frame."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.directory import rights_of
from approvals import roster

THEMES = ("light", "dark", "system")


def page(request: HttpRequest) -> dict[str, Any]:
    """`theme`, `now`, `now_ms`, `nav`, `oidc`, `rights`, `queue_count`, `frame`: as `base.html` reads them."""
    theme = request.COOKIES.get("theme", "system")
    now = datetime.now(UTC)
    if request.path.startswith(("/queue/", "/requests/")):
        nav = "queue"
    elif request.path.startswith(("/people/", "/teams/", "/reviews/")):
        nav = "people"
    else:
        nav = next((name for name in ("history", "agents") if request.path.startswith(f"/{name}/")), "")
    return {
        "theme": theme if theme in THEMES else "system",
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "nav": nav,
        "oidc": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        # A page about a refused Host is drawn before anybody was asked who they are.
        "rights": SimpleLazyObject(lambda: rights_of(getattr(request, "user", None))),
        "queue_count": None,
        "frame": SimpleLazyObject(lambda: _frame(request)),
    }


def _frame(request: HttpRequest) -> roster.Frame | None:
    """What every page's frame says of agents, as it was read with the person; None for who is not signed in."""
    user = getattr(request, "user", None)
    return roster.frame(user) if user is not None and user.is_authenticated else None
