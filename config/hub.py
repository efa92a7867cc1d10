"""Who waits for which request in this process, woken by one Redis subscription, or once a second without Redis.

It knows ids and futures; what a waiter is told is read anew by whoever holds it (`waits`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import redis.asyncio
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from approvals import queries
from approvals.waking import CHANNEL

log = structlog.get_logger(__name__)
ASK_EVERY_SECONDS = 1.0


class Hub:
    """One a process and event loop; its listener starts with the first waiter."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def waiting(self, request_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the request may have changed; the waiter clears it before it reads."""
        loop = asyncio.get_running_loop()
        if self._listener is None or self._listener.done() or self._loop is not loop:
            self._loop = loop
            self._listener = loop.create_task(self._listen())
        event = asyncio.Event()
        self._waiters[request_id].add(event)
        try:
            yield event
        finally:
            self._waiters[request_id].discard(event)
            if not self._waiters[request_id]:
                del self._waiters[request_id]

    def _wake(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for event in self._waiters.get(request_id, ()):
                event.set()

    async def _listen(self) -> None:
        """Follow the channel while Redis is there; ask the database while it is not."""
        while True:
            try:
                await self._follow()
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                log.warning("waits.redis_away", error=str(error))
            await self._ask_for(settings.REDIS_RETRY_SECONDS)

    async def _follow(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS)
        try:
            async with client.pubsub() as channel:
                async with asyncio.timeout(settings.REDIS_TIMEOUT_SECONDS * 4):
                    await channel.subscribe(CHANNEL)
                    # What changed before the subscription stood was told to nobody.
                    await channel.get_message(timeout=settings.REDIS_TIMEOUT_SECONDS)
                self._wake(list(self._waiters))
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
                    if message is not None:
                        self._wake(message["data"].decode().split())
                    else:
                        # A hung Redis sends nothing either: it must answer within the time we give it.
                        async with asyncio.timeout(settings.REDIS_TIMEOUT_SECONDS):
                            await client.ping()
        finally:
            await client.aclose()

    async def _ask_for(self, seconds: float) -> None:
        """One query a second for all who wait, while Redis is away."""
        known: dict[str, int] = {}
        for _ in range(max(1, round(seconds / ASK_EVERY_SECONDS))):
            await asyncio.sleep(ASK_EVERY_SECONDS)
            if not self._waiters:
                continue
            try:
                now = await sync_to_async(_versions, thread_sensitive=False)(list(self._waiters))
            except Exception as error:  # the database may be away as well; waiters' own timers still run
                log.warning("waits.database_away", error=str(error))
                continue
            # Whoever began to wait since the last look may have missed a change: let them read once.
            self._wake([one for one, version in now.items() if known.get(one) != version])
            known = now


def _versions(request_ids: list[str]) -> dict[str, int]:
    try:
        return queries.changed_versions(UUID(one) for one in request_ids)
    finally:
        close_old_connections()
