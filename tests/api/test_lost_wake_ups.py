"""A change that nobody publishes still reaches those who wait, by one query for all of them and no read too many."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings
from django.test import override_settings

from approvals.models import Request
from config.hub import Hub, Waiter, _must_answer
from tests.api.test_events import following
from tests.api.test_waiting import Waiting, time_to_hold
from tests.support import contract
from tests.support.cast import Cast, decide
from tests.support.eventually import eventually
from tests.support.live import Caller, Server, web
from tests.support.loops import run

NOWHERE = "redis://127.0.0.1:1/0"


def unpublished(document: dict[str, Any], cast: Cast) -> None:
    """A decision of a process whose Redis is away: it commits, and tells nobody."""
    with override_settings(REDIS_URL=NOWHERE):
        decide(Request.objects.get(pk=document["id"]), cast["support1"])


@pytest.fixture(scope="module")
def counting(django_db_setup: None) -> Iterator[Server]:
    """A web process whose Redis is not there, and which logs each request that Django answers."""
    with web(REDIS_URL=NOWHERE, LOG_LEVEL="INFO", API_RATE_BURST="2000") as started:
        yield started


def reads(server: Server) -> int:
    """How many reads of one request Django has answered so far."""
    lines = server.said().splitlines()
    return sum(1 for line in lines if "request_finished" in line and "GET /api/v1/requests/" in line)


def test_who_waits_is_answered_though_the_change_was_never_published(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    time_to_hold(agent, waiting)
    unpublished(document, cast)
    contract.request(waiting.answer().json(), "approved")
    assert waiting.seconds < 20


def test_who_follows_is_told_though_the_change_was_never_published(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    with following(agent, document["id"]) as stream:
        assert stream.event()
        unpublished(document, cast)
        event = stream.event()
        while event is not None and "comment" in event:
            event = stream.event()
        assert event is not None
        assert event["data"]["status"] == "approved"


def test_without_redis_those_whose_request_did_not_change_are_not_read_again(counting: Server, cast: Cast) -> None:
    caller = Caller(counting.url, cast.keys["agent"])
    documents = [caller.file().json() for _ in range(20)]
    before = reads(counting)
    with ThreadPoolExecutor(20) as pool:
        waits = {one["id"]: pool.submit(caller.read, one["id"], wait=8) for one in documents}
        eventually(lambda: reads(counting) == before + 20, within=20, what="each to be read once")
        unpublished(documents[0], cast)
        assert waits[documents[0]["id"]].result()["status"] == "approved"
        assert reads(counting) == before + 21  # the one that changed, once more
        assert all(wait.result() for wait in waits.values())
    assert reads(counting) == before + 20 + 20  # and each other at the end of its time


class Counting(redis.asyncio.Redis):
    """A client that is asked while its process is too busy to look, as often as it is told."""

    asked, busy = 0, 0

    async def ping(self, **keywords: Any) -> Any:
        """As the client's, or this process is busy for longer than Redis is given and misses its answer."""
        self.asked += 1
        if self.asked <= self.busy:
            until = time.monotonic() + 3 * settings.REDIS_TIMEOUT_SECONDS
            while time.monotonic() < until:
                pass
            await asyncio.Event().wait()
        return await super().ping(**keywords)


async def _asked(url: str, busy: int) -> tuple[int, bool]:
    """How often Redis was asked whether it is there, and whether it was found to be."""
    client: Any = Counting.from_url(url)
    client.busy = busy
    try:
        await _must_answer(client)
    except TimeoutError:
        return client.asked, False
    finally:
        await client.aclose()
    return client.asked, True


@pytest.mark.parametrize(("busy", "found"), [(0, (1, True)), (1, (2, True)), (2, (3, True)), (3, (3, False))])
def test_a_process_too_busy_to_look_asks_redis_three_times_at_most(busy: int, found: tuple[int, bool]) -> None:
    assert run(_asked(settings.REDIS_URL, busy)) == found


def test_a_redis_that_hangs_is_asked_once_and_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes the connection, and nobody answers on it
        assert run(_asked(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 0)) == (1, False)


async def _woken(request_id: str, version: int | None, seconds: float) -> bool:
    """Whether a hub wakes, within the seconds, one who has read that version."""
    with Hub().waiting(request_id) as waiter:
        assert isinstance(waiter, Waiter)
        waiter.version = version
        try:
            async with asyncio.timeout(seconds):
                await waiter.changed.wait()
        except TimeoutError:
            return False
    return True


def test_a_listener_that_fails_in_an_unforeseen_way_leaves_nobody_in_the_dark(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    unpublished(document, cast)
    with override_settings(REDIS_URL="no-such-scheme://"):  # no RedisError, no OSError: a ValueError
        assert run(_woken(document["id"], 1, 20))


def test_only_a_newer_version_than_was_read_wakes(agent: Caller) -> None:
    document = agent.file().json()
    with override_settings(REDIS_URL=NOWHERE):
        assert not run(_woken(document["id"], 1, 2.5))  # as it is
        assert not run(_woken(document["id"], 2, 2.5))  # lapsed, and not yet swept
        assert not run(_woken(document["id"], None, 2.5))  # whose first read is still to come


def test_a_message_that_cannot_be_read_ends_nothing(agent: Caller, cast: Cast) -> None:
    from agents.redis_link import link
    from approvals.waking import CHANNEL

    document = agent.file().json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    time_to_hold(agent, waiting)
    link().call(lambda client: client.publish(CHANNEL, b"\xff\xfe"))
    decide(Request.objects.get(pk=document["id"]), cast["support1"])
    assert waiting.answer().json()["status"] == "approved"
    assert waiting.seconds < 20
