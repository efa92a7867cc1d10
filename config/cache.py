"""Django's cache in the one Redis: sign-in attempts and used one-time codes, counted by all processes together.

With Redis away each process counts for itself; nothing is ever allowed because nobody could count. No page is cached.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache

from agents.redis_link import Away, link

# Enough that nobody flushes another's count out by trying many names.
_HERE = {"OPTIONS": {"MAX_ENTRIES": 100_000}}


class SharedCache(BaseCache):
    """JSON values in Redis (250 ms, then away for 5 s), in this process's memory while it is away."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._here = LocMemCache("countersign-while-redis-is-away", {**params, **_HERE})

    def _either(self, there: Callable[[Any], Any], here: Callable[[], Any]) -> Any:
        try:
            return link().call(there)
        except Away:
            return here()

    def _milliseconds(self, timeout: Any) -> int | None:
        """How long a value is kept; None for ever, at least one."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else max(1, int(seconds * 1000))

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Keep the value unless there is one; whether it was kept."""
        name, text = self.make_and_validate_key(key, version=version), json.dumps(value)
        return bool(
            self._either(
                lambda client: client.set(name, text, px=self._milliseconds(timeout), nx=True),
                lambda: self._here.add(key, text, timeout, version),
            )
        )

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """The value, or the default."""
        name = self.make_and_validate_key(key, version=version)
        found = self._either(lambda client: client.get(name), lambda: self._here.get(key, None, version))
        return default if found is None else json.loads(found)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Keep the value."""
        name, text = self.make_and_validate_key(key, version=version), json.dumps(value)
        self._either(
            lambda client: client.set(name, text, px=self._milliseconds(timeout)),
            lambda: self._here.set(key, text, timeout, version),
        )

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Keep it longer; whether there was one."""
        name, kept = self.make_and_validate_key(key, version=version), self._milliseconds(timeout)
        return bool(
            self._either(
                lambda client: (
                    client.persist(name) or client.exists(name) if kept is None else client.pexpire(name, kept)
                ),
                lambda: self._here.touch(key, timeout, version),
            )
        )

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget it; whether there was one."""
        name = self.make_and_validate_key(key, version=version)
        return bool(self._either(lambda client: client.delete(name), lambda: self._here.delete(key, version)))

    def clear(self) -> None:
        """Forget everything that is ours, and nothing of the broker's."""

        def forget(client: Any) -> None:
            for name in client.scan_iter(f"{self.key_prefix}:*"):
                client.delete(name)

        self._either(forget, self._here.clear)
