"""Ten thousand agents waiting on one web process: what each costs in memory, and how long after a decision's commit the
one who waits for it has the answer, beside a bare Redis publish to its receiver in the same processes and moments.

    python -m bench.waiters [--waiters 1000,10000] [--decisions 300] [--rate 20] [--polling 10] [--json FILE]

One process waits (raw asyncio: 1 in `--polling` by `?wait=60`, asked anew each time it ends, the others by `…/events`),
another decides through the verb, a third is the web process by its line of the Procfile; PostgreSQL and Redis beside
them. Each waiter has a request of its own, so each decision wakes one. A wait costs two reads a minute, so that ten
thousand of them by `?wait=60` alone would be 333 reads a second: streams are what so many agents should hold.

Requests beyond the first of each agent are copies (`bench.seeding`); agents and keys are made by the verbs, one key for
as many waiters as a key may have (API_WAITS_PER_KEY).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from bench import house, reports
from bench.crowd import Crowd, Place
from bench.reports import say

WARM = 200  # waiters that come and are answered before anything is measured
FLOOR = "bench:floor"


def main() -> None:
    """Make the house, let them come, decide, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiters", default="1000,10000", help="how many at a time, ascending (1000,10000)")
    parser.add_argument("--decisions", type=int, default=300, help="decided at each of these numbers (300)")
    parser.add_argument("--rate", type=float, default=20.0, help="decisions a second (20)")
    parser.add_argument("--polling", type=int, default=10, help="one in so many waits by ?wait=60 (10); 0: none")
    parser.add_argument("--json", type=Path, default=reports.place("waiters"), help="where the JSON goes")
    given = parser.parse_args()
    steps = sorted(int(one) for one in given.waiters.split(","))
    house.open_files(steps[-1] + 1_000)
    with house.servers(CONNECTIONS=str(steps[-1] + 500)) as whole:
        versions = house.versions(whole)
        with house.web(whole) as web, deciding() as decider:
            warm = min(WARM, steps[0])
            places = _places(web, steps[-1] + warm + len(steps) * given.decisions)
            measured = asyncio.run(_measure(web, places, decider, steps, given, warm))
    rows = [
        {
            "waiting": step,
            "milliseconds": what,
            **found[what],
            "KB each": found["KB each"],
            "decisions a second": found["rate"],
        }
        for step, found in measured.items()
        for what in ("commit to answer", "Redis publish to receive")
    ]
    title = f"waiting on one web process, 1 in {given.polling} by ?wait=60, the others by events"
    reports.publish(title, rows, given.json, steps=measured, **versions)


def _places(web: house.Web, count: int) -> list[Place]:
    """`count` pending requests of as many agents as their keys' bounds ask for."""
    from django.conf import settings
    from django.db import connection

    from agents import registration
    from agents.models import Scope
    from approvals.models import Request
    from bench.seeding import copies
    from tests.support.cast import SETTING_UP, make_cast
    from tests.support.live import Caller

    cast = make_cast(only=("support1",))
    each = settings.API_WAITS_PER_KEY
    say(f"filing for {count:,} waiters, {each} a key")
    found: list[Place] = []
    for number in range(-(-count // each)):
        agent = registration.register_agent(
            by=SETTING_UP, slug=f"waiter-{number}", purpose="Waits.", owner=cast["owner1"], level=3
        )
        _, key = registration.issue_credential(by=SETTING_UP, holder=agent, scopes=(Scope.FILE, Scope.READ))
        answer = Caller(web.url, key).file(timeout_seconds=1800)
        model = Request.objects.get(pk=answer.json()["id"])
        found.append(Place(str(model.pk), key))
        for ids in copies(model, min(each, count - number * each) - 1):
            found += [Place(str(one), key) for one in ids]
    connection.close()
    return found


async def _measure(
    web: house.Web, places: list[Place], decider: Connection, steps: list[int], given: Any, warm: int
) -> dict[int, dict[str, Any]]:
    server = psutil.Process(web.process.pid)
    fresh = iter(places)
    crowd = Crowd(web.port, given.polling)
    say(f"warming up: {warm} come and are answered")
    await crowd.grow(fresh, warm)
    await _decided(crowd, decider, warm, 50.0)
    await asyncio.sleep(2)
    empty = server.memory_info().rss
    found: dict[int, dict[str, Any]] = {}
    for step in steps:
        say(f"letting {step:,} come")
        began = time.monotonic()
        await crowd.grow(fresh, step)
        arrived = time.monotonic() - began
        await asyncio.sleep(3)
        resident = server.memory_info().rss
        say(f"{len(crowd.waiting):,} wait; {given.decisions} decisions at {given.rate} a second")
        used = server.cpu_times()
        latencies, floor, rate = await _decided(crowd, decider, given.decisions, given.rate)
        spent = server.cpu_times()
        found[step] = {
            "commit to answer": reports.spread(latencies),
            "Redis publish to receive": reports.spread(floor),
            "rate": round(rate, 1),
            "KB each": round((resident - empty) / step / 1000, 1),
            "resident_megabytes": round(resident / 1e6, 1),
            "resident_megabytes_without": round(empty / 1e6, 1),
            "seconds_to_arrive": round(arrived, 1),
            "web_processor_seconds": round(spent.user + spent.system - used.user - used.system, 1),
            "unanswered": given.decisions - len(latencies),
        }
        say(f"{step:,} waiting: {found[step]}")
    crowd.go_home()
    return found


async def _decided(
    crowd: Crowd, decider: Connection, count: int, rate: float
) -> tuple[list[float], list[float], float]:
    """Have that many of those who wait approved: seconds from commit to answer, from a bare publish to its receipt, and
    the real rate."""
    chosen = list(crowd.waiting)[-count:]
    floor: list[float] = []
    listening = asyncio.ensure_future(_listen(floor))
    await asyncio.sleep(0.3)
    decider.send((chosen, rate))
    committed: dict[str, float] = await asyncio.to_thread(decider.recv)
    await asyncio.sleep(3)  # what is on its way arrives; more than that is no answer
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    latencies = []
    for request_id in chosen:
        waiter = crowd.waiting.pop(request_id)
        if waiter.answered_at:
            latencies.append(waiter.answered_at - committed[request_id])
        elif waiter.trouble:
            say(f"a waiter was cut off: {waiter.trouble}")
        waiter.hang_up()
    times = sorted(committed.values())
    return latencies, floor, (len(times) - 1) / max(times[-1] - times[0], 1e-9)


async def _listen(into: list[float]) -> None:
    """Note how long each message of the floor was under way; it carries the moment it was published."""
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    try:
        async with client.pubsub() as channel:
            await channel.subscribe(FLOOR)
            async for message in channel.listen():
                if message["type"] == "message":
                    into.append(time.monotonic() - float(message["data"]))
    finally:
        await client.aclose()


@contextlib.contextmanager
def deciding() -> Iterator[Connection]:
    """A process that decides: it is sent (ids, rate) and sends back when each approval was committed."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_decide, args=(there,), daemon=True)
    process.start()
    try:
        yield here
    finally:
        here.send(None)
        process.join(20)


def _decide(orders: Connection) -> None:
    """In that process: open the pages first, then approve at the rate asked for, a bare publish after each."""
    import django

    django.setup()
    import redis
    from django.db import transaction

    from accounts.models import User
    from approvals.models import Request
    from tests.support.cast import decide, open_page

    publisher = redis.Redis.from_url(os.environ["REDIS_URL"])
    real = transaction.on_commit
    committed: list[float] = []

    def noting(act: Any, *rest: object) -> None:
        """`transaction.on_commit`, noting when the first act after the commit begins: the publishing itself."""

        def publish() -> None:
            committed.append(time.monotonic())
            act()

        real(publish)

    while (order := orders.recv()) is not None:
        ids, rate = order
        person = User.objects.get(email="support1@example.test")
        pages = {one: open_page(Request(pk=one), person) for one in ids}
        found: dict[str, float] = {}
        begin = time.monotonic()
        for number, one in enumerate(ids):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            committed.clear()
            transaction.on_commit = noting  # type: ignore[assignment]
            try:
                decide(Request(pk=one), person, opened=pages[one])
            finally:
                transaction.on_commit = real
            found[one] = committed[0]
            publisher.publish(FLOOR, repr(time.monotonic()))
        orders.send(found)


if __name__ == "__main__":
    main()
