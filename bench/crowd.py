"""Agents who wait for decisions, thousands in one process: each a raw connection that holds a stream or asks anew each
minute. How many come, and what is made of the moments they note, is each bench's own.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.reports import say

ARRIVING = 16  # at once
_FINAL = re.compile(rb'"status":"(approved|rejected|expired|blocked|withdrawn)"')


@dataclass(frozen=True)
class Place:
    """A request, and the key that may wait for it."""

    request_id: str
    key: str


class Waiter(asyncio.Protocol):
    """One agent's connection: a stream, or one wait after the other; notes when the decision was in its hands."""

    def __init__(self, place: Place, port: int, *, polls: bool, keep: bool = False) -> None:
        """`keep`: hold on to the whole of what was said, to be read."""
        loop = asyncio.get_running_loop()
        path = f"/api/v1/requests/{place.request_id}" + ("?wait=60" if polls else "/events")
        self._ask = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {place.key}\r\nAccept: */*\r\n\r\n"
        ).encode()
        self._polls = polls
        self._keep = keep
        self._tail = b""
        self._transport: asyncio.Transport | None = None
        self.request_id = place.request_id
        self.key = place.key
        self.heard: asyncio.Future[None] = loop.create_future()  # the server holds it (a stream's first event)
        self.answered_at = 0.0
        self.answer = b""  # the bytes that told of the decision
        self.on_answer: Callable[[Waiter], None] | None = None
        self.trouble = ""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        seen = self._tail + data
        if not self.answered_at and _FINAL.search(seen):
            self.answered_at, self.answer = now, seen
            if self.on_answer is not None:
                self.on_answer(self)
        if b"HTTP/1.1 200" not in seen and seen.startswith(b"HTTP/1.1"):
            self.trouble = seen[:300].decode("latin-1")
        if not self.heard.done():
            self.heard.set_result(None)
        elif self._polls and not self.answered_at and b'"status":"pending"' in seen and self._transport is not None:
            seen = b""
            self._transport.write(self._ask)  # its minute is over: ask again
        self._tail = seen if self._keep else seen[-400:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered_at and not self.trouble:
            self.trouble = f"the connection was closed ({error})"
        if not self.heard.done():
            self.heard.set_result(None)

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass
class Crowd:
    """Those who wait, by their request."""

    port: int
    polling: int
    waiting: dict[str, Waiter] = field(default_factory=dict)
    came: int = 0
    held: int = 0  # since the beginning

    async def grow(self, places: Iterator[Place], until: int) -> None:
        """Let more come until that many wait; SystemExit where one is refused."""
        gate = asyncio.Semaphore(ARRIVING)

        async def come(place: Place, polls: bool) -> None:
            async with gate:
                _, waiter = await asyncio.get_running_loop().create_connection(
                    lambda: Waiter(place, self.port, polls=polls), "127.0.0.1", self.port
                )
                self.waiting[place.request_id] = waiter
                if polls:  # it is told nothing while it waits: the pace is that of the streams beside it
                    waiter.heard.set_result(None)
                    await asyncio.sleep(0.1)
                await waiter.heard
                if waiter.trouble:
                    raise SystemExit(f"a waiter was refused: {waiter.trouble}")
                self.held += 1
                if self.held % 1000 == 0:
                    say(f"{self.held:,} have come so far")

        coming = []
        for _ in range(until - len(self.waiting)):
            self.came += 1
            polls = bool(self.polling) and self.came % self.polling == 0
            coming.append(asyncio.ensure_future(come(next(places), polls)))
        await asyncio.gather(*coming)

    def go_home(self) -> None:
        """Hang up, all of them."""
        for waiter in self.waiting.values():
            waiter.hang_up()
