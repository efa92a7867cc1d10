"""How long after a decision's commit a waiting agent has its answer; the pipe's own floor in the same run beside it.

    python bench/wait_latency.py [--rounds 40] [--json FILE]

It starts a private PostgreSQL, Redis and uvicorn, as the suite does, and stops them again. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tests.support import services  # noqa: E402 - found only now

services.begin()

import django  # noqa: E402 - settings read the environment that was set just above

django.setup()

import redis  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from approvals.models import Request  # noqa: E402
from tests.support.cast import Cast, decide, make_cast, open_page  # noqa: E402
from tests.support.live import Caller, web  # noqa: E402


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    services.make_database()
    cast = make_cast(only=("support1",))
    with web(API_RATE_PER_SECOND="1000", API_RATE_BURST="1000") as server:
        caller = Caller(server.url, cast.keys["agent"])
        for _ in range(5):  # warm: the subscription stands, templates and policy are compiled
            wake(cast, caller)
        rows = {
            "commit to answer": [wake(cast, caller) for _ in range(given.rounds)],
            "a plain read": [read(caller) for _ in range(given.rounds)],
            "Redis publish to receive": floor(given.rounds),
        }
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "rounds": given.rounds,
        "milliseconds": {name: summary(times) for name, times in rows.items()},
    }
    given.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{given.rounds} rounds, {report['processors']} processors, load {os.getloadavg()[0]:.1f}, milliseconds")
    print(f"{'':28}" + "".join(f"{name:>9}" for name in ("median", "p95", "least", "most")))
    for name, times in rows.items():
        print(f"{name:28}" + "".join(f"{value:9.1f}" for value in summary(times).values()))


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
    try:
        main()
    finally:
        connection.close()
