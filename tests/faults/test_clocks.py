"""The processes' clocks are an hour wrong, each its own way, and the database's is right: deadlines, grants and
evidence go by the database's.

PostgreSQL's clock is this machine's. What the others see is moved in each Python process before it imports anything.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.house import House
from tests.support.ordeal import BACK, UNLIMITED, assert_holds, assert_stands, count, under_load
from tests.support.outsiders import Agent, Executor, Person, fresh

pytestmark = pytest.mark.timeout(300)
HOUR = 3600
# Web and worker, beat and sealer differ from each other and from the database; the second start is the first's mirror.
FAST = {"uvicorn": HOUR, "worker": HOUR, "beat": 0, "seal_audit_log": -HOUR}
SLOW = {"uvicorn": -HOUR, "worker": -HOUR, "beat": 0, "seal_audit_log": HOUR}
CLOSE = timedelta(minutes=1)  # of the right time, on a loaded machine; a clock that was asked is an hour off

_WRONG = """
import datetime, json, os, sys, time_machine
for word, seconds in json.loads(os.environ.get("WRONG_CLOCKS", "{}")).items():
    if word in " ".join(sys.orig_argv) and seconds:
        wrong = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        time_machine.travel(wrong, tick=True).start()
"""


@pytest.fixture(scope="module", params=[FAST, SLOW], ids=["web-and-worker-fast", "web-and-worker-slow"])
def wrong(request: pytest.FixtureRequest, stopped: House) -> Iterator[House]:
    """A running house whose processes' clocks are wrong."""
    folder = stopped.root / "wrong-clocks"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_WRONG)
    stopped.start(**UNLIMITED, PYTHONPATH=str(folder), WRONG_CLOCKS=json.dumps(request.param))
    yield stopped
    stopped.stop()


@pytest.fixture(scope="module")
def stopped() -> Iterator[House]:
    """A copy that nobody has started."""
    house = House.copied()
    try:
        yield house
    finally:
        house.remove()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _near(moment: datetime) -> bool:
    return abs(moment - datetime.now(UTC)) < CLOSE


def _claims(grant: str) -> dict[str, Any]:
    payload = grant.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_the_clocks_of_the_processes_are_wrong(wrong: House) -> None:
    """Else nothing below says anything: HTTP's Date is the web process's own."""
    told = wrong.get("/healthz").headers["date"]
    assert not _near(datetime.strptime(told, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC))


def test_two_seconds_are_two_seconds(wrong: House) -> None:
    agent = Agent(wrong)
    with Person(wrong, "support1") as person:
        began = time.monotonic()
        request = agent.file(fresh("clock"), timeout_seconds=2)
        assert request["status"] == "pending"
        assert _near(_moment(request["created_at"]))
        assert _moment(request["expires_at"]) - _moment(request["created_at"]) == timedelta(seconds=2)
        form = person.open(request["id"])
        told = agent.read(request["id"], wait=60)
        assert (told["status"], time.monotonic() - began >= 2) == ("expired", True)
        if form:
            assert person.decide(request["id"], form).status_code == 410
        expired = "SELECT count(*) FROM approvals_request WHERE id = %s AND status = 'expired'"
        eventually(lambda: count(wrong, expired, request["id"]), within=BACK, what="the sweep")


def test_a_page_opened_now_decides_and_its_grant_holds_from_now(wrong: House) -> None:
    agent, executor = Agent(wrong), Executor(wrong)
    with Person(wrong, "support1") as person:
        request = agent.file(fresh("clock"), timeout_seconds=60)
        assert person.approve(request["id"]) == 303
    approved = agent.read(request["id"])
    assert _near(_moment(approved["decision"]["decided_at"]))
    claims = _claims(approved["grant"])
    assert _near(datetime.fromtimestamp(claims["iat"], UTC))
    assert claims["nbf"] <= time.time() < claims["exp"]
    redeemed = executor.redeem(approved)
    assert redeemed.status_code == 200
    assert _near(_moment(redeemed.json()["redeemed_at"]))


def test_under_load_everything_stands_and_the_log_is_sealed_and_true(wrong: House) -> None:
    with under_load(wrong) as load:
        for _ in range(2):
            load.goes_on()
    assert_stands(wrong, load)
    assert_holds(wrong)
    assert count(wrong, "SELECT count(*) FROM audit_leaf WHERE at > clock_timestamp()") == 0
    assert count(wrong, "SELECT extract(epoch FROM clock_timestamp() - max(at)) FROM audit_leaf") < CLOSE.seconds
