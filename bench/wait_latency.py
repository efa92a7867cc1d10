"""How long after a decision's commit a waiting agent has its answer; the pipe's own floor in the same run beside it.

    python -m bench.wait_latency [--rounds 40] [--json FILE]

One agent waits by `?wait=30`; this process decides through the verb, beside a web process by its line of the Procfile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from bench import house, reports

if TYPE_CHECKING:  # models can be imported once Django is set up, which `house.servers` does
    from tests.support.cast import Cast
    from tests.support.live import Caller


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, default=reports.place("wait_latency"))
    given = parser.parse_args()
    with house.servers() as whole:
        from django.db import connection

        from tests.support.cast import make_cast
        from tests.support.live import Caller

        versions = house.versions(whole)
        cast = make_cast(only=("support1",))
        with house.web(whole) as web:
            caller = Caller(web.url, cast.keys["agent"])
            for _ in range(5):  # warm: the subscription stands, templates and policy are compiled
                wake(cast, caller)
            times = {
                "commit to answer": [wake(cast, caller) for _ in range(given.rounds)],
                "a plain read": [read(caller) for _ in range(given.rounds)],
                "Redis publish to receive": floor(given.rounds),
            }
        connection.close()
    rows = [{"milliseconds": name, **summary(all_)} for name, all_ in times.items()]
    reports.publish("One agent's wait", rows, given.json, rounds=given.rounds, **versions)


def summary(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile, least and most, in milliseconds."""
    ordered = sorted(1000 * one for one in times)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
        "least": round(ordered[0], 2),
        "most": round(ordered[-1], 2),
    }


def wake(cast: Cast, caller: Caller) -> float:
    """Seconds from the commit of an approval to the last byte of a `?wait=` answer in the client's hands."""
    from django.db import transaction

    from approvals.models import Request
    from tests.support.cast import decide, open_page

    request_id = caller.file().json()["id"]
    request = Request.objects.get(pk=request_id)
    opened = open_page(request, cast["support1"])
    committed: list[float] = []
    answered: list[float] = []

    def wait() -> None:
        status = caller.read(request_id, wait=30)["status"]
        answered.append(time.perf_counter())
        if status != "approved":
            raise RuntimeError(f"The wait was answered {status}.")

    def noting(act: Callable[[], None], *rest: object) -> None:
        """`transaction.on_commit`, noting when the first act after the commit begins: the publishing itself."""

        def publish() -> None:
            committed.append(time.perf_counter())
            act()

        real(publish)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.15)  # so that the server holds it: waking is measured, not arriving
    real = transaction.on_commit
    transaction.on_commit = noting  # type: ignore[assignment]
    try:
        decide(request, cast["support1"], opened=opened)
    finally:
        transaction.on_commit = real
    waiting.join()
    return answered[0] - committed[0]


def read(caller: Caller) -> float:
    """Seconds of a plain read of a final request: what any answer costs, waking or not."""
    request_id = caller.file("docs.read").json()["id"]
    began = time.perf_counter()
    caller.read(request_id)
    return time.perf_counter() - began


def floor(rounds: int) -> list[float]:
    """Seconds from a bare PUBLISH to its receipt by a subscriber in another thread."""
    url = os.environ["REDIS_URL"]
    publisher, subscriber = redis.Redis.from_url(url), redis.Redis.from_url(url)
    times = []
    with subscriber.pubsub() as channel:
        channel.subscribe("floor")
        channel.get_message(timeout=5)
        for _ in range(rounds):
            received: list[float] = []

            def receive(into: list[float] = received) -> None:
                while channel.get_message(ignore_subscribe_messages=True, timeout=5) is None:
                    pass
                into.append(time.perf_counter())

            listening = threading.Thread(target=receive)
            listening.start()
            time.sleep(0.01)
            began = time.perf_counter()
            publisher.publish("floor", "x")
            listening.join()
            times.append(received[0] - began)
    publisher.close()
    subscriber.close()
    return times


if __name__ == "__main__":
    main()
