"""The web process's start and stop as the server tells them: recorded as evidence, and what has to be in order before
anyone is served. Requests pass through."""

from __future__ import annotations

from collections.abc import Awaitable

from asgiref.sync import sync_to_async

from config import collector, process
from config.body_limit import App, Receive, Scope, Send

NAME = "web"


class Lifespan:
    """Answers ASGI's lifespan, which Django does not."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Record and acknowledge start and stop; pass everything else on, with no coroutine of its own around it."""
        if scope["type"] != "lifespan":
            return self._app(scope, receive, send)
        return self._told(receive, send)

    async def _told(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await sync_to_async(process.started)(NAME)
                collector.settle()
                await send({"type": "lifespan.startup.complete"})
            else:
                await sync_to_async(process.stopped)(NAME)
                await send({"type": "lifespan.shutdown.complete"})
                return
