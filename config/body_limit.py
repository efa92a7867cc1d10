"""Refuses a body that is too large or too slow while it is being received, whatever the method and the address.

Django's own handler spools a whole body to disk before any view could refuse it, a GET's too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.problems import MEDIA_TYPE, Problem
from agents.wire import dumps

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOO_SLOW = "The body did not arrive in time."


class TooLarge(Exception):
    """More came, or was declared, than is taken."""


class BodyLimit:
    """Reads bodies before the application sees the request, so that no half of one is ever acted on.

    `api_limit` and `page_limit` are in bytes; `seconds` is how long a whole body may take to arrive.
    """

    def __init__(self, app: App, *, api_limit: int, page_limit: int, seconds: float) -> None:
        self._app = app
        self._api_limit = api_limit
        self._page_limit = page_limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body whole and within the limit, or answer 413 or 408 and close."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        api = scope["path"].startswith("/api/")
        limit = self._api_limit if api else self._page_limit
        try:
            async with asyncio.timeout(self._seconds):
                body = await _whole(scope, receive, limit)
        except TooLarge:
            said = f"A body may be {limit // 1024} KiB at most."
            await _refuse(send, 413, said, Problem("too-large", said).document() if api else None)
        except TimeoutError:
            document = {"type": "about:blank", "title": "Request timeout", "status": 408, "detail": _TOO_SLOW}
            await _refuse(send, 408, _TOO_SLOW, document if api else None)
        else:
            if body is not None:
                await self._app(_declared(scope, len(body)), _replay(body, receive), send)


async def _whole(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The body; None where the caller went away before its end. Raises TooLarge as soon as that is known."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > limit:
        raise TooLarge
    chunks: list[bytes] = []
    received = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _declared(scope: Scope, length: int) -> Scope:
    """The scope of a body that came in chunks with the length it turned out to have: DRF takes one without a
    declared length for an empty one. Any other's as it is: a copy for each of ten thousand who wait is memory."""
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" not in names and (b"content-length" in names or not length):
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name != b"transfer-encoding"]
    if length and b"content-length" not in names:
        headers.append((b"content-length", b"%d" % length))
    return {**scope, "headers": headers}


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    def again() -> Awaitable[Message]:  # no coroutine around the server's own, which who waits would keep
        nonlocal given
        if given:
            return receive()
        given = True
        return _whole_of(body)

    return again


async def _whole_of(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


async def _refuse(send: Send, status: int, said: str, document: Mapping[str, Any] | None) -> None:
    """The problem for a machine, the sentence for a person; the rest of the body is not waited for."""
    body = dumps(document) if document else said.encode()
    headers = [
        (b"content-type", (MEDIA_TYPE if document else "text/plain; charset=utf-8").encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
