"""Who waits for which request in this process, woken by one Redis subscription and by one query for all of them.

It knows ids, versions and events; what a waiter is told is read anew by whoever holds it (`waits`), which has its own
timer for the deadline too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis.asyncio
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from approvals import queries
from approvals.waking import CHANNEL

log = structlog.get_logger(__name__)
# Whoever commits may skip publishing (its own Redis was away) or die before it: never trust the channel alone.
ASK_EVERY_SECONDS = 5.0
ASK_WITHOUT_REDIS_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits; `version` is the newest it has read, None before its first read."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    version: int | None = None


class Hub:
    """One a process and event loop; its two tasks start with the first waiter."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Waiter]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribed = False
        self._ask_now = asyncio.Event()

    @contextmanager
    def waiting(self, request_id: str) -> Iterator[Waiter]:
        """A waiter whose event is set when the request may have changed; it is cleared before the next read."""
        self._start()
        waiter = Waiter()
        self._waiters[request_id].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[request_id].discard(waiter)
            if not self._waiters[request_id]:
                del self._waiters[request_id]

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._tasks and not any(task.done() for task in self._tasks):
            return
        if self._loop is loop:
            for task in self._tasks:
                task.cancel()
        self._loop, self._subscribed, self._ask_now = loop, False, asyncio.Event()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._ask())]

    def _wake(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for waiter in self._waiters.get(request_id, ()):
                waiter.changed.set()

    async def _listen(self) -> None:
        """Follow the channel for ever; whatever ends that ends it for some seconds only."""
        while True:
            try:
                await self._follow()
            except Exception as error:  # a listener that has ended leaves everybody in the dark
                log.warning("waits.redis_away", error=str(error))
            self._subscribed = False
            self._ask_now.set()
            await asyncio.sleep(settings.REDIS_RETRY_SECONDS)

    async def _follow(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS)
        try:
            async with client.pubsub() as channel:
                async with asyncio.timeout(settings.REDIS_TIMEOUT_SECONDS * 4):
                    await channel.subscribe(CHANNEL)
                    await channel.get_message(timeout=settings.REDIS_TIMEOUT_SECONDS)
                self._subscribed = True
                self._ask_now.set()  # what changed before the subscription stood was told to nobody
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
                    if message is not None:
                        self._wake(message["data"].decode(errors="replace").split())
                    else:
                        await _must_answer(client)
        finally:
            await client.aclose()

    async def _ask(self) -> None:
        """One query for all who wait, every 5 s, every second while Redis is away; wakes those it has news for."""
        while True:
            every = ASK_EVERY_SECONDS if self._subscribed else ASK_WITHOUT_REDIS_SECONDS
            try:
                async with asyncio.timeout(every):
                    await self._ask_now.wait()
            except TimeoutError:
                pass
            self._ask_now.clear()
            try:
                await self._compare()
            except Exception as error:  # the database may be away as well; waiters' timers still run
                log.warning("waits.database_away", error=str(error))

    async def _compare(self) -> None:
        """Wake whoever has read an older version than the row has.

        Only older: a lapsed request is read as one version newer than its row until the sweep has written it.
        """
        held = {
            request_id: min(read)
            for request_id, waiters in self._waiters.items()
            if (read := [waiter.version for waiter in waiters if waiter.version is not None])
        }
        if not held:
            return
        newer = await sync_to_async(_newer, thread_sensitive=False)(held)
        for request_id, version in newer.items():
            for waiter in self._waiters.get(request_id, ()):
                if waiter.version is not None and version > waiter.version:
                    waiter.changed.set()


async def _must_answer(client: redis.asyncio.Redis) -> None:
    """A hung Redis sends nothing either: it has to answer within the time that we give it. Raises TimeoutError.

    It is asked anew, three times in all, where this process was itself too busy to look: its answer may long have been
    there.
    """
    allowed, clock = settings.REDIS_TIMEOUT_SECONDS, asyncio.get_running_loop().time
    for last in (False, False, True):
        began = clock()
        try:
            async with asyncio.timeout(allowed):
                await client.ping()
            return
        except TimeoutError:
            if last or clock() - began < 2 * allowed:
                raise


def _newer(held: dict[str, int]) -> dict[str, int]:
    try:
        return queries.newer_versions(held)
    finally:
        close_old_connections()
