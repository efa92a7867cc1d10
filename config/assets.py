"""Our stylesheet, script and icons, each joined in memory into one compressed file named after its content.

Nothing is compiled, rewritten or written to disk here: browsers get the files under static/, one behind
the other, so that a cold page stays within eight requests and a checkout needs no build step.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.template import Library
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

register = Library()  # {% asset "app.css" %}

STATIC = Path(settings.BASE_DIR) / "static"
HTMX = "django_htmx/htmx-2.min.js"  # as django-htmx ships it
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
NAME = re.compile(r"(?P<stem>app|icons)\.(?P<digest>[0-9a-f]{16})\.(?P<kind>css|js|svg)")


@dataclass(frozen=True)
class Asset:
    """One joined file: its bytes, the same compressed, and the first 16 hex digits of its SHA-256."""

    body: bytes
    compressed: bytes
    digest: str


def sources(name: str) -> list[Path]:
    """The files that make up `app.css`, `app.js` or `icons.svg`, in the order they are joined."""
    if name == "app.css":
        first = [STATIC / "css" / "tokens.css", STATIC / "css" / "base.css"]
        return [*first, *sorted((STATIC / "css" / "components").glob("*.css"))]
    if name == "app.js":
        htmx = finders.find(HTMX)
        if not isinstance(htmx, str):
            raise FileNotFoundError(HTMX)
        return [Path(htmx), *sorted((STATIC / "js").glob("*.js"))]
    return [STATIC / "icons.svg"]


@lru_cache(maxsize=16)
def _join(paths: tuple[Path, ...], _stamps: tuple[int, ...]) -> Asset:
    body = b"\n".join(path.read_bytes() for path in paths)
    return Asset(body, gzip.compress(body, 9, mtime=0), hashlib.sha256(body).hexdigest()[:16])


@lru_cache(maxsize=8)
def _joined_once(name: str) -> Asset:
    return _join(tuple(sources(name)), ())


def asset(name: str) -> Asset:
    """The joined file of that name; read anew when a source changed and DEBUG is on, once otherwise."""
    if not settings.DEBUG:
        return _joined_once(name)
    paths = tuple(sources(name))
    return _join(paths, tuple(path.stat().st_mtime_ns for path in paths))


@register.simple_tag(name="asset")
def address(name: str) -> str:
    """The address of `app.css`, `app.js` or `icons.svg`: /assets/app.<digest>.css."""
    stem, _, kind = name.rpartition(".")
    return f"/assets/{stem}.{asset(name).digest}.{kind}"


@login_not_required
@require_safe
def serve(request: HttpRequest, name: str) -> HttpResponse:
    """One joined file: kept for ever under its own digest; an old page's address gets today's, not kept."""
    match = NAME.fullmatch(name)
    joined = f"{match['stem']}.{match['kind']}" if match else ""
    if match is None or joined not in ("app.css", "app.js", "icons.svg"):
        raise Http404
    found = asset(joined)
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(found.compressed if zipped else found.body, content_type=TYPES[match["kind"]])
    if zipped:
        response["Content-Encoding"] = "gzip"
    current = match["digest"] == found.digest
    response["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
    patch_vary_headers(response, ["Accept-Encoding"])
    return response
