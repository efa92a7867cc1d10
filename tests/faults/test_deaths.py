"""Processes and servers die at once, as when somebody pulls a plug, while agents file and deadlines pass: nothing that
was acknowledged is lost or doubled, nothing is approved late, and the log tells what the tables say.

The house is the one of `make up`, asked through its doors; it starts its servers and background processes by itself.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from config.embedded import environment, places
from tests.support.eventually import eventually
from tests.support.house import House

pytestmark = pytest.mark.timeout(300)
BACK = 30.0  # seconds within which what died is back on a loaded machine


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A running house with the demo organisation."""
    built = House.copied()
    try:
        built.start(API_RATE_PER_SECOND="10000", API_RATE_BURST="10000")
        yield built
    finally:
        built.remove()


@pytest.fixture(autouse=True)
def _everything_holds(house: House) -> Iterator[None]:
    """After each fault the log is told once more against the tables, and its tree is verified."""
    yield
    eventually(lambda: house.get("/readyz").json() == {"degraded": []}, within=BACK, what="the house to be whole again")
    for command in ("replay_log", "verify_audit_log"):
        done = _manage(house, command)
        assert done.returncode == 0, done.stdout + done.stderr


def _manage(house: House, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [house.root / ".venv" / "bin" / "python", "manage.py", *command],
        cwd=house.root,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _known(house: House) -> dict[str, str]:
    """What the running house runs with."""
    told: dict[str, str] = json.loads((house.root / "var" / "embedded" / "environment.json").read_text())
    return told


@contextmanager
def _looking(house: House) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(_known(house)["DATABASE_OWNER_URL"], autocommit=True) as owner:
        yield owner


def _rows(house: House, resource: str) -> int:
    with _looking(house) as owner:
        row = owner.execute("SELECT count(*) FROM approvals_request WHERE resource = %s", [resource]).fetchone()
    return int(row[0]) if row else 0


class Agent:
    """helpdesk: files with a key of its own each time, and tries again with the same key until it is answered."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._key = house.demo["keys"]["agent"]

    def post(self, name: str, **fields: Any) -> httpx.Response:
        """File once; any transport error is the caller's to see."""
        body = {
            "action": "refund.create",
            "resource": f"order/{name}",
            "parameters": {"amount_cents": 4200, "currency": "usd"},
            "summary": "Refund for a parcel that never came",
            "rationale": "The carrier confirmed the loss.",
            **fields,
        }
        return httpx.post(
            f"{self._house.url}/api/v1/requests",
            json=body,
            headers={"Authorization": f"Bearer {self._key}", "Idempotency-Key": name},
            timeout=10,
            trust_env=False,
        )

    def file(self, name: str, **fields: Any) -> dict[str, Any]:
        """File until it is acknowledged, always with the same key."""
        answered: list[httpx.Response] = []

        def acknowledged() -> bool:
            try:
                answer = self.post(name, **fields)
            except httpx.TransportError:
                return False
            if answer.status_code == 201:
                answered.append(answer)
            return bool(answered)

        eventually(acknowledged, within=2 * BACK, what=f"{name} to be acknowledged")
        document: dict[str, Any] = answered[0].json()
        return document

    def read(self, request_id: str, **query: Any) -> dict[str, Any]:
        """The request as the agent is told."""
        answer = httpx.get(
            f"{self._house.url}/api/v1/requests/{request_id}",
            params=query,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=70,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@contextmanager
def _under_load(house: House, what: str) -> Iterator[list[dict[str, Any]]]:
    """Four agents' threads file one request after the other while the block runs; what was acknowledged to them."""
    acknowledged: list[dict[str, Any]] = []
    over = threading.Event()

    def file(thread: int) -> None:
        agent, number = Agent(house), 0
        while not over.is_set():
            acknowledged.append(agent.file(f"{what}-{thread}-{number}", timeout_seconds=2))
            number += 1

    with ThreadPoolExecutor(4) as pool:
        filing = [pool.submit(file, thread) for thread in range(4)]
        try:
            yield acknowledged
        finally:
            over.set()
        for done in filing:
            done.result()


def _kill(house: House, *words: str) -> None:
    """SIGKILL to every process of that kind, and to its children."""
    found = house.named(*words)
    assert found, words
    for process in found:
        with suppress(psutil.NoSuchProcess):  # a child that went with its parent
            process.send_signal(signal.SIGKILL)


def _all_denied_once(house: House, acknowledged: list[dict[str, Any]]) -> None:
    """Each acknowledged request is there once, and denied by the sweep, though processes died under it."""
    ids = [document["id"] for document in acknowledged]
    assert len(set(ids)) == len(ids)

    def swept() -> bool:
        with _looking(house) as owner:
            row = owner.execute(
                "SELECT count(*) FROM approvals_request WHERE id = ANY(%s::uuid[]) AND status = 'expired'", [ids]
            ).fetchone()
        return row == (len(ids),)

    eventually(swept, within=2 * BACK, what="every deadline to be swept")


def test_a_web_process_killed_after_the_commit_answers_the_retry_with_the_same_request(house: House) -> None:
    for turn in range(2):
        name = f"killed-{turn}"
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(Agent(house).post, name)
            eventually(lambda name=name: _rows(house, f"order/{name}") == 1, within=10, what="the commit")  # type: ignore[misc]
            _kill(house, "uvicorn")
            told = None if isinstance(first.exception(), httpx.TransportError) else first.result().json()
        house.wait_until_gone()
        house.start(API_RATE_PER_SECOND="10000", API_RATE_BURST="10000")
        again = Agent(house).post(name)
        assert again.status_code == 201
        assert again.headers["idempotency-replayed"] == "true"
        assert told is None or told == again.json()
        assert _rows(house, f"order/{name}") == 1


@pytest.mark.parametrize("kind", ["worker", "beat", "seal_audit_log"])
def test_killed_again_and_again_in_the_middle_of_its_work_it_loses_and_doubles_nothing(house: House, kind: str) -> None:
    with _under_load(house, kind) as acknowledged:
        for _ in range(3):
            before = len(acknowledged)
            _kill(house, kind)
            eventually(lambda before=before: len(acknowledged) >= before + 20, within=BACK, what="filing to go on")  # type: ignore[misc]
            eventually(lambda: bool(house.named(kind)), within=BACK, what=f"{kind} to be back")
    _all_denied_once(house, acknowledged)


def test_postgresql_killed_under_load_loses_nothing_that_was_acknowledged(house: House) -> None:
    with _under_load(house, "postgres") as acknowledged:
        for _ in range(2):
            before = len(acknowledged)
            _kill(house, "postgres", "-D")
            eventually(lambda before=before: len(acknowledged) >= before + 20, within=2 * BACK, what="filing to go on")  # type: ignore[misc]
    _all_denied_once(house, acknowledged)


def test_redis_emptied_and_killed_costs_time_and_nothing_else(house: House) -> None:
    agent = Agent(house)
    waiting = agent.file("waits", timeout_seconds=8)
    with ThreadPoolExecutor(1) as pool, _under_load(house, "redis") as acknowledged:
        answer = pool.submit(agent.read, waiting["id"], wait=60)
        before = len(acknowledged)
        _kill(house, "redis-server")
        eventually(lambda: len(acknowledged) >= before + 20, within=BACK, what="filing to go on")
        assert answer.result()["status"] == "expired"
    _all_denied_once(house, acknowledged)


def test_a_second_beat_and_a_second_sealer_double_nothing(house: House) -> None:
    procfile = dict(line.split(": ", 1) for line in (house.root / "Procfile").read_text().splitlines())
    whole = {"PATH": f"{house.root}/.venv/bin:/usr/bin:/bin", **_known(house)}
    twins = [
        subprocess.Popen(
            ["/bin/sh", "-c", procfile[name]],
            cwd=house.root,
            env=environment.for_process(name, whole),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("beat", "sealer", "worker")
    ]
    try:
        with _under_load(house, "twins") as acknowledged:
            eventually(lambda: len(acknowledged) >= 100, within=BACK, what="some work")
        _all_denied_once(house, acknowledged)
    finally:
        for twin in twins:
            twin.terminate()
        for twin in twins:
            twin.wait(30)


def _data(house: House) -> Path:
    """Where the house's PostgreSQL keeps its files."""
    own = house.root / "var" / "embedded"
    known = own / "id"
    return (places.SYSTEM_FOLDER / known.read_text().strip() if known.exists() else own) / "postgres"


def _redeem(house: House, document: dict[str, Any]) -> int:
    key = house.demo["keys"]["executor"]
    body = {"grant": document["grant"], "parameters": document["parameters"]}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{house.url}/api/v1/grants/redeem", json=body, headers=headers, trust_env=False).status_code


def test_with_yesterdays_data_nothing_is_redeemed_until_somebody_answers_for_it(house: House, tmp_path: Path) -> None:
    agent = Agent(house)
    read = {"action": "docs.read", "parameters": {"path": "/handbook"}}
    granted = agent.file("before-the-backup", **read)
    house.stop()
    subprocess.run(["cp", "-a", _data(house), tmp_path / "yesterday"], check=True)
    house.start()
    spent = agent.file("after-the-backup", **read)
    assert _redeem(house, spent) == 200
    house.stop()
    subprocess.run(["rm", "-r", _data(house)], check=True)
    subprocess.run(["cp", "-a", tmp_path / "yesterday", _data(house)], check=True)
    house.start()
    assert _redeem(house, granted) == 503
    assert "outside" in house.get("/readyz").json()["degraded"]
    declared = _manage(house, "declare_fork", "--reason", "Yesterday's backup was restored.")
    assert declared.returncode == 0, declared.stdout + declared.stderr
    eventually(lambda: house.get("/readyz").json() == {"degraded": []}, within=BACK, what="the sealer to go on")
    assert _redeem(house, granted) == 410  # what was granted before the fork is void
