"""Who hangs up while being woken takes nothing along: no connection of the pool, no place among the reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.cast import Cast
from tests.support.live import Caller, Server, web
from tests.support.loops import run

STREAMS = 40
POOL = 4


@pytest.fixture
def narrow(cast: Cast) -> Iterator[Server]:
    """A web process with a pool smaller than the number of those who hang up."""
    with web(DATABASE_POOL=str(POOL)) as server:
        yield server


async def _follow_and_vanish(port: int, key: str, request_id: str, wake: Callable[[], object]) -> None:
    async def follow() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET /api/v1/requests/{request_id}/events HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {key}\r\n\r\n".encode()
        )
        await writer.drain()
        assert (await reader.readline()).split()[1] == b"200"
        return writer

    writers = [await follow() for _ in range(STREAMS)]
    woken = asyncio.create_task(asyncio.to_thread(wake))
    for writer in writers:  # one after the other, while their reads are under way
        await asyncio.sleep(0.002)
        writer.transport.abort()
    await woken


def test_streams_that_vanish_while_they_are_woken_leave_the_pool_whole(narrow: Server, cast: Cast) -> None:
    caller = Caller(narrow.url, cast.keys["agent"])
    for _ in range(3):
        request_id = caller.file().json()["id"]
        run(
            _follow_and_vanish(
                narrow.port,
                cast.keys["agent"],
                request_id,
                partial(caller.post, f"requests/{request_id}/withdraw", {"reason": "x"}),
            )
        )
    for _ in range(POOL * 3):
        assert caller.http.get("/readyz").status_code == 200
        assert caller.file().status_code == 201
