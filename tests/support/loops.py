"""Running a coroutine from a test, whatever else the thread does: Playwright keeps a loop running in pytest's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in a thread of its own; what the coroutine raises is raised here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def never() -> NoReturn:
    """Wait for what does not come."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError
