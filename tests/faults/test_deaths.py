"""Processes die at once, as when somebody pulls a plug, while agents file, people decide and deadlines pass: nothing
that was acknowledged is lost or doubled, nothing is approved late, and the log tells what the tables say.

The house is the one of `make up`, asked through its doors; it starts its servers and background processes by itself.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psutil
import pytest

from config.embedded import environment
from tests.support.eventually import eventually
from tests.support.forms import disabled_in
from tests.support.house import House
from tests.support.ordeal import BACK, assert_stands, count, kill, known, under_load
from tests.support.outsiders import Agent, Person, fresh

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("everything_holds")]
FILED = "SELECT count(*) FROM approvals_request WHERE resource = %s"
STARTED = (
    "SELECT count(*) FROM audit_leaf WHERE subject_kind = 'process' AND subject_id = %s AND type = 'process.started'"
)
BACKGROUND = {"worker": ("celery", "worker"), "beat": ("celery", "beat"), "sealer": ("seal_audit_log",)}


def test_a_web_process_killed_after_the_commit_answers_the_retry_with_the_same_request(house: House) -> None:
    for _ in range(2):
        name = fresh("killed")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(Agent(house).post, name)
            eventually(lambda name=name: count(house, FILED, f"order/{name}") == 1, within=10, what="the commit")  # type: ignore[misc]
            kill(house, "uvicorn")
            told = None if isinstance(first.exception(), httpx.TransportError) else first.result().json()
        again = eventually(lambda name=name: _answer(house, name), within=BACK, what="web to be back")  # type: ignore[misc]
        assert again is not None
        assert again.status_code == 201
        assert again.headers["idempotency-replayed"] == "true"
        assert told is None or told == again.json()
        assert count(house, FILED, f"order/{name}") == 1


def _answer(house: House, name: str) -> httpx.Response | None:
    """What the same filing is answered; None while web is away."""
    try:
        return Agent(house).post(name)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("kind", BACKGROUND)
def test_killed_again_and_again_in_the_middle_of_its_work_it_loses_and_doubles_nothing(house: House, kind: str) -> None:
    with under_load(house) as load:
        for _ in range(3):
            kill(house, *BACKGROUND[kind])
            load.goes_on()
            eventually(lambda: bool(house.named(*BACKGROUND[kind])), within=BACK, what=f"{kind} to be back")
    assert_stands(house, load)


def test_a_second_beat_a_second_sealer_and_a_second_worker_double_nothing(house: House) -> None:
    procfile = dict(line.split(": ", 1) for line in (house.root / "Procfile").read_text().splitlines())
    whole = {"PATH": f"{house.root}/.venv/bin:/usr/bin:/bin", **known(house)}
    for name in ("worker", "beat"):
        eventually(lambda name=name: count(house, STARTED, name) > 0, within=BACK, what=f"the house's own {name}")  # type: ignore[misc]
    before = {name: count(house, STARTED, name) for name in ("worker", "beat")}
    twins = [
        subprocess.Popen(
            ["/bin/sh", "-c", procfile[name]],
            cwd=house.root,
            env=environment.for_process(name, whole),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in BACKGROUND
    ]
    try:
        for name, ones in before.items():
            eventually(
                lambda name=name, ones=ones: count(house, STARTED, name) > ones,  # type: ignore[misc]
                within=BACK,
                what=f"a second {name}",
            )
        with under_load(house) as load:
            for _ in range(3):
                load.goes_on()
        # the second sealer stands by, which leaves no entry
        assert [twin.poll() for twin in twins] == [None] * len(twins)
        assert_stands(house, load)
    finally:
        for twin in twins:
            twin.terminate()
        for twin in twins:
            twin.wait(30)


@contextmanager
def _dead(house: House) -> Iterator[None]:
    """Worker, beat, sealer and Redis are dead, and whoever would start them again is held until the block ends."""
    processes = [process for words in BACKGROUND.values() for process in house.named(*words)]
    held = {psutil.Process(process.ppid()) for process in processes} - set(processes)
    held |= set(house.named("config.embedded.up"))  # it starts Redis
    for each in held:
        each.suspend()
    try:
        for words in (*BACKGROUND.values(), ("redis-server",)):
            kill(house, *words)
            eventually(lambda words=words: not house.named(*words), within=BACK, what=f"{words} to be dead")  # type: ignore[misc]
        yield
    finally:
        for each in held:
            each.resume()


def test_with_everything_dead_but_web_and_database_a_deadline_is_a_deadline(house: House) -> None:
    agent = Agent(house)
    with Person(house, "support1") as person, Person(house, "owner1") as owner, _dead(house):
        request = agent.file(fresh("alone"), timeout_seconds=3)
        form = person.open(request["id"])
        assert form
        told = agent.read(request["id"], wait=60)
        assert (told["status"], told["decision"]["decided_at"]) == ("expired", request["expires_at"])
        assert person.decide(request["id"], form).status_code == 410
        listed = agent.get("requests", limit=100).json()["results"]
        assert [one["status"] for one in listed if one["id"] == request["id"]] == ["expired"]
        assert count(house, "SELECT count(*) FROM approvals_request WHERE id = %s AND status = 'pending'", told["id"])
        in_time = agent.file(fresh("alone"), timeout_seconds=60)
        assert "verdict=approve" in disabled_in(owner.http.get(f"/requests/{in_time['id']}/decide/"))
        assert owner.approve(in_time["id"]) == 403
        assert person.approve(in_time["id"]) == 303
        assert agent.read(in_time["id"])["status"] == "approved"
        for words in (*BACKGROUND.values(), ("redis-server",)):
            assert not house.named(*words)
    swept = "SELECT count(*) FROM approvals_request WHERE id = %s AND status = 'expired'"
    eventually(lambda: count(house, swept, request["id"]), within=BACK, what="the sweep to catch up")
