"""Refuses an API body over the limit while it is being received, by its declared and by its counted length.

Django's own handler spools a whole body before any view could refuse it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.problems import MEDIA_TYPE, Problem
from agents.wire import dumps

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Reads API bodies before the application sees the request, so that no half of one is ever acted on."""

    def __init__(self, app: App, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body whole and within the limit, or answer 413."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/") or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limit:
            await _refuse(send)
            return
        chunks: list[bytes] = []
        received = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk: bytes = message.get("body", b"")
            received += len(chunk)
            if received > self._limit:
                await _refuse(send)
                return
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
        await self._app(_declared(scope, received), _replay(b"".join(chunks), receive), send)


def _declared(scope: Scope, length: int) -> Scope:
    """The scope of a body that came in chunks with the length it turned out to have: DRF takes one without a
    declared length for an empty one."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"transfer-encoding"]
    if length and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % length))
    return {**scope, "headers": headers}


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: Send) -> None:
    problem = Problem("too-large", "A body may be 256 KiB at most.")
    body = dumps(problem.document())
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
