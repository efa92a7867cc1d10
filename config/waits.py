"""Long waits in front of Django: `GET …/{id}?wait=` and `…/events` hold an event here, not a thread and a connection.

Each read is Django's own (key, scope, gate, renderer), inside a small number of threads; this module only decides
when to read again. A view leaves beside its response what is needed for that (`countersign.seen`).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from agents import keys
from agents.problems import MEDIA_TYPE, Problem
from agents.wire import dumps
from approvals.api.base import ID
from config import measures
from config.body_limit import App, Message, Receive, Scope, Send
from config.hub import Hub, Waiter

_PATH = re.compile(rf"/api/v1/requests/({ID})(/events)?/?")
MAX_WAIT_SECONDS = 60  # what may be asked for
LONGEST_WAIT_SECONDS = 55  # and what is waited: common proxies give up at 60
KEEP_ALIVE_SECONDS = 10.0
_GRACE_SECONDS = 0.002  # so that a read at the deadline finds it passed by the database's clock


@dataclass(slots=True)
class Captured:
    """Django's answer, held back until it is time to send it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    seen: dict[str, Any] | None = None

    async def send_to(self, send: Send) -> None:
        """Send it as it is."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})

    def let_go(self) -> None:
        """Keep only what says when to read again: of ten thousand who wait, two kilobytes each count."""
        self.headers, self.body = [], b""


class Waits:
    """Holds those who wait; everything else goes straight on."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._hub = Hub()
        self._reads = asyncio.Semaphore(settings.WAITS_READS_AT_ONCE)
        self._held: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a wait or a stream, or pass the request on."""
        found = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        request_id, events = found[1].lower(), found[2] is not None
        seconds = 0 if events else _seconds(scope)
        if not events and seconds == 0:
            await self._app(scope, receive, send)
            return
        with self._hub.waiting(request_id) as waiter:
            first = await self._read(scope, waiter)
            if first.seen is None:  # refused, or not there: Django has said why
                await first.send_to(send)
                return
            key = _key(scope)  # known to be a key that may read this: nobody can fill up another's places
            if self._held[key] >= settings.API_WAITS_PER_KEY:
                await _too_many(first).send_to(send)
                return
            self._held[key] += 1
            now = measures.WAITERS.labels("stream" if events else "wait")
            now.inc()
            try:
                await _until_gone(
                    self._stream(scope, send, waiter, first)
                    if events
                    else self._wait(scope, send, waiter, first, seconds),
                    receive,
                )
            finally:
                now.dec()
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]

    async def _read(self, scope: Scope, waiter: Waiter, *, again: bool = False) -> Captured:
        """One answer of Django's, its request taken as the caller sent it; `again` costs no rate-limit token."""
        captured = Captured()
        inner = {**scope, "countersign.again": again}

        async def nothing_more() -> Message:
            if not told:
                told.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            return await asyncio.get_running_loop().create_future()  # never ends

        async def capture(message: Message) -> None:
            if message["type"] == "http.response.start":
                captured.status, captured.headers = message["status"], list(message["headers"])
            else:
                captured.body += message.get("body", b"")

        told: list[bool] = []

        async def whole() -> None:
            async with self._reads:
                await self._app(inner, nothing_more, capture)

        # A caller who hangs up must not cut a read short: its thread would keep its connection for ever, and as many
        # as the pool has would be the end of everybody's answers.
        await asyncio.shield(asyncio.ensure_future(whole()))
        captured.seen = inner.get("countersign.seen") if captured.status in (200, 304) else None
        if captured.seen is not None:
            waiter.version = captured.seen["version"]
        return captured

    async def _read_again(self, scope: Scope, waiter: Waiter, before: dict[str, Any]) -> Captured:
        """Another answer, noting how long after the end of the request it was read where that came meanwhile."""
        answer = await self._read(scope, waiter, again=True)
        if answer.seen is not None and answer.seen["final"] and not before["final"]:
            measures.woken(answer.seen)
        return answer

    async def _wait(self, scope: Scope, send: Send, waiter: Waiter, answer: Captured, seconds: int) -> None:
        """Answer when the request is final or asks something (or the ETag changes, where one was sent), or in time."""
        conditional = any(name == b"if-none-match" for name, _ in scope["headers"])
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while answer.seen is not None:
            done = answer.status != 304 if conditional else answer.seen["answer"]
            if done or loop.time() >= end:
                break
            answer.let_go()  # it is read anew before anything is said
            await _pause(waiter.changed, min(end - loop.time(), _until_deadline(answer.seen)))
            waiter.changed.clear()
            answer = await self._read_again(scope, waiter, answer.seen)
        await answer.send_to(send)

    async def _stream(self, scope: Scope, send: Send, waiter: Waiter, answer: Captured) -> None:
        """Send the present state and each change until the request is final; a comment when nothing happens."""
        headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*headers, (b"x-accel-buffering", b"no")],
            }
        )
        last = _last_event_id(scope)
        while answer.seen is not None:
            if last is None or answer.seen["version"] > last:
                last = answer.seen["version"]
                await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            answer.let_go()
            if answer.seen["final"]:
                break
            moved = await _pause(waiter.changed, min(KEEP_ALIVE_SECONDS, _until_deadline(answer.seen)))
            if not moved and _until_deadline(answer.seen) > KEEP_ALIVE_SECONDS:
                answer.seen["seconds_left"] -= KEEP_ALIVE_SECONDS
                await send({"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True})
                continue
            waiter.changed.clear()
            answer = await self._read_again(scope, waiter, answer.seen)
        await send({"type": "http.response.body", "body": b""})


def _seconds(scope: Scope) -> int:
    """The `wait` asked for; 0 where there is none or it is not one (Django then says so)."""
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("wait", [])
    if len(asked) != 1 or not re.fullmatch(r"[0-9]{1,2}", asked[0]) or int(asked[0]) > MAX_WAIT_SECONDS:
        return 0
    return min(int(asked[0]), LONGEST_WAIT_SECONDS)


def _key(scope: Scope) -> str:
    """The public part of the caller's key, however the header was spelled."""
    text = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")[2]
    key = keys.parse(text.strip())
    return key.public_id if key else ""


def _too_many(first: Captured) -> Captured:
    """429 for a key that already has as many waits as it may, with what the read said of the limit."""
    said = f"This key already holds {settings.API_WAITS_PER_KEY} waits and streams here; end one, or read without wait."
    kept = [(name, value) for name, value in first.headers if name.lower().startswith(b"ratelimit")]
    body = dumps(Problem("too-many-requests", said).document())
    more = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"1"),
    ]
    return Captured(429, [*kept, *more], body)


def _until_deadline(seen: dict[str, Any]) -> float:
    """Seconds until the request expires by itself; for a final one, for ever."""
    return float("inf") if seen["final"] else max(0.0, seen["seconds_left"]) + _GRACE_SECONDS


def _last_event_id(scope: Scope) -> int | None:
    value = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) < 10 else None


async def _pause(changed: asyncio.Event, seconds: float) -> bool:
    """Wait until something changed (True) or the time is over (False)."""
    try:
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True


async def _until_gone(held: Awaitable[None], receive: Receive) -> None:
    """Run what holds the caller until it has answered, or the caller has gone."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        patience.reschedule(0)  # a moment that has passed: what holds the caller is ended now

    watch: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(None) as patience:
            watch = asyncio.ensure_future(gone())
            await held
    except TimeoutError:
        if not patience.expired():
            raise
    finally:
        if watch is not None:
            watch.cancel()
