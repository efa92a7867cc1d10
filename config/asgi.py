"""The ASGI application: the body limit, the long waits, the measuring, then Django. No rule of the domain is here."""

from __future__ import annotations

import os
import warnings
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Under ASGI each request has a thread of its own: a connection kept by its thread is never used again, and lies open
# until the collector finds it (40 waiters: 45 connections, for ever). A pool is shared, and asked back after each.
os.environ.setdefault("DATABASE_POOL", "30")

import django

django.setup(set_prefix=False)

from asgiref.sync import sync_to_async  # noqa: E402 - ready only now
from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402

from config.body_limit import BodyLimit  # noqa: E402
from config.lifespan import Lifespan  # noqa: E402
from config.measures import Measured  # noqa: E402
from config.waits import Waits  # noqa: E402

# Said once for WhiteNoise's own files (an icon, the manifest): a few kilobytes, read at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")


_STREAMS = "countersign.streams"


class InOneThread(ASGIHandler):
    """Django's own handler, with a request's whole way through middleware and view in one thread.

    All of them are synchronous here. Django adapts each to the loop, so that a request goes to a thread, back to the
    loop and to the thread again: a fifth of what a filing took.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django for WSGI."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send an answer only once Django has let go of it, unless it streams. Its database connection is given back
        then, and a caller who never reads would keep it: as many as the pool has would be the end of all answers."""
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            if scope.get(_STREAMS):
                await send(message)
            else:
                kept.append(message)

        await super().__call__(scope, receive, keep)
        for message in kept:
            await send(message)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The synchronous answer, in the request's own thread."""
        response = await sync_to_async(self.get_response, thread_sensitive=True)(request)
        request.scope[_STREAMS] = response.streaming  # type: ignore[attr-defined]  # an ASGIRequest
        return response


application = BodyLimit(
    Lifespan(Waits(Measured(InOneThread()))),
    api_limit=settings.API_BODY_LIMIT_BYTES,
    page_limit=settings.PAGE_BODY_LIMIT_BYTES,
    seconds=settings.BODY_SECONDS,
)
