"""What every template is given beside its own page; a query is made for it where a whole page shows its frame."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.directory import rights_of

THEMES = ("light", "dark", "system")


def page(request: HttpRequest) -> dict[str, Any]:
    """`theme`, `now`, `now_ms`, `nav`, `oidc`, `rights` and `queue_count` as `templates/base.html` reads them."""
    theme = request.COOKIES.get("theme", "system")
    now = datetime.now(UTC)
    if request.path.startswith(("/queue/", "/requests/")):
        nav = "queue"
    elif request.path.startswith(("/people/", "/teams/", "/reviews/")):
        nav = "people"
    else:
        nav = "history" if request.path.startswith("/history/") else ""
    return {
        "theme": theme if theme in THEMES else "system",
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "nav": nav,
        "oidc": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "rights": SimpleLazyObject(lambda: rights_of(request.user)),
        "queue_count": None,
    }
