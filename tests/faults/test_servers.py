"""PostgreSQL and Redis die, stop, hang or forget while agents file, people decide and deadlines pass: nothing that was
acknowledged is lost or doubled, nothing is approved late, and what Redis held was nothing but time.

The house is the one of `make up`, which starts its servers again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually
from tests.support.house import House
from tests.support.ordeal import BACK, assert_stands, count, kill, known, under_load
from tests.support.outsiders import Agent, Person, fresh

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("everything_holds")]
HUNG = 8.0  # seconds that Redis hangs at least: longer than it is left alone for after a failure (5 s)


def _stop_in_order(house: House) -> None:
    """As `pg_ctl stop -m fast`: transactions are rolled back, connections closed, everything written."""
    for process in house.named("postgres", "-D"):
        process.send_signal(signal.SIGINT)
        process.wait(BACK)


def _pull_the_plug(house: House) -> None:
    kill(house, "postgres", "-D")


@pytest.mark.parametrize("end", [_stop_in_order, _pull_the_plug], ids=lambda end: end.__name__)
def test_postgresql_gone_under_load_loses_nothing_that_was_acknowledged(house: House, end: object) -> None:
    assert callable(end)
    with under_load(house) as load:
        for _ in range(2):
            end(house)
            load.goes_on(within=2 * BACK)  # it reads its log of writes again, and everybody connects anew
    assert_stands(house, load)


@contextmanager
def _somebody_waits(house: House) -> Iterator[None]:
    """Two agents wait meanwhile: for a deadline, which they are told of, and for an approval, which they hear of."""
    agent = Agent(house)
    expiring = agent.file(fresh("waits"), timeout_seconds=10)["id"]
    approved = agent.file(fresh("waits"), timeout_seconds=120)["id"]
    with Person(house, "support2") as person, ThreadPoolExecutor(2) as pool:

        def wait(request: str) -> str:
            return str(agent.read(request, wait=60)["status"])

        told = [pool.submit(wait, request) for request in (expiring, approved)]
        eventually(lambda: _waiters(house) == len(told), within=BACK, what="both to wait")
        yield
        assert person.approve(approved) == 303
        assert [each.result() for each in told] == ["expired", "approved"]


def _waiters(house: House) -> float:
    """How many reads the web process holds open."""
    text = house.get("/metrics", trust_env=False).raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "countersign_waiters" and sample.labels["kind"] == "wait"
    )


def test_redis_killed_costs_seconds_and_nothing_else(house: House) -> None:
    ended = house.log.count("); starting it again")
    with under_load(house) as load:
        for _ in range(2):
            with _somebody_waits(house):
                kill(house, "redis-server")
                load.goes_on()
            _sweeps(house)
    assert_stands(house, load)
    assert house.log.count("); starting it again") == ended  # no process died of it


def test_redis_emptied_again_and_again_costs_nothing(house: House) -> None:
    with redis.Redis.from_url(known(house)["REDIS_URL"]) as client, under_load(house) as load:
        with _somebody_waits(house):
            for _ in range(5):
                client.flushall()
                load.goes_on()
        # with Redis empty and nobody there who was not there before, what is due is still swept
        _sweeps(house)
    assert_stands(house, load)


def test_redis_that_hangs_is_away_and_nobody_waits_for_it(house: House) -> None:
    with under_load(house) as load:
        (server,) = house.named("redis-server")
        with _somebody_waits(house):
            server.suspend()
            try:
                threading.Event().wait(HUNG)
                load.goes_on()  # who waited for it would be answered only after it
            finally:
                server.resume()
        _sweeps(house)
    assert_stands(house, load)


def _sweeps(house: House) -> None:
    """Deadlines are swept while the load goes on."""
    late = Agent(house).file(fresh("swept"), timeout_seconds=1)["id"]
    swept = "SELECT count(*) FROM approvals_request WHERE id = %s AND status = 'expired'"
    eventually(lambda: count(house, swept, late), within=BACK, what="the sweep to go on")
