"""The one link to Redis outside Celery: what hangs for 250 ms is away, and stays away for 5 s without being tried.

Nothing true is kept in Redis; whoever calls here says what happens without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Away(Exception):
    """Redis did not answer in time, or did not lately: act as if it were not there."""


class Link:
    """A client that gives up after 250 ms and then leaves Redis alone for 5 s."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._away_until = 0.0

    def call(self, act: Callable[[Any], T]) -> T:
        """`act(client)`; raises `Away` where Redis is, or was less than 5 s ago, out of reach."""
        if time.monotonic() < self._away_until:
            raise Away
        try:
            return act(self._client)
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError) as error:
            self._away_until = time.monotonic() + settings.REDIS_RETRY_SECONDS
            log.warning("redis.away", error=str(error), retry_seconds=settings.REDIS_RETRY_SECONDS)
            raise Away from error


_links: dict[str, Link] = {}
_lock = threading.Lock()


def link() -> Link:
    """This process's link to `settings.REDIS_URL`."""
    url = settings.REDIS_URL
    with _lock:
        if url not in _links:
            _links[url] = Link(url)
        return _links[url]
