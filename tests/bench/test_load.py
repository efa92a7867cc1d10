"""The clients of `bench.kills` and `bench.day` against a real web process and a real sealer, with nothing killed; and
the ledger that they keep, shown each of the faults it is there to find.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from approvals.models import Request
from bench.day_clients import Agents, Seen, review
from bench.ledger import Ledger
from bench.load import PREFIX, Load
from tests.support import loops, sealing, services
from tests.support.cast import PASSWORD, Cast, decide, file_request, make_cast
from tests.support.eventually import eventually
from tests.support.house import free_port
from tests.support.live import Server, web

REVIEWERS = ("support1", "support2")


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Server]:
    with web(API_RATE_PER_SECOND="100000", API_RATE_BURST="100000") as started:
        yield started


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Two reviewers who sign in by password, and a log that is being sealed, as redeeming needs."""
    with sealing.running():
        yield make_cast(sign_in=REVIEWERS, only=REVIEWERS)


def demo(cast: Cast) -> dict[str, Any]:
    """What var/demo.json would say of them."""
    return {"keys": cast.keys, "users": [{"email": cast[one].email, "password": PASSWORD} for one in REVIEWERS]}


def held(ledger: Ledger) -> dict[str, list[str]]:
    return ledger.held_against(services.url("owner"), PREFIX)


NOTHING: dict[str, list[str]] = {"lost": [], "doubled": [], "late": [], "missing": []}


def test_where_nothing_dies_everything_acknowledged_is_found_once(server: Server, cast: Cast) -> None:
    ledger = Ledger()
    load = Load(demo(cast), ledger, [server.url], random.Random(1))
    with load.running():
        eventually(
            lambda: min(ledger.counts().values()) >= 1 and len(ledger.filed) >= 10, within=60, what="all kinds of work"
        )
    assert held(ledger) == NOTHING
    assert ledger.counts()["filings"] == Request.objects.filter(resource__startswith=PREFIX).count()


def test_a_load_that_nobody_answers_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.PATIENCE", 1.0)
    ledger = Ledger()
    keys = {"agent": "nobody", "executor": "nobody"}
    users = [{"email": f"{one}@example.test", "password": PASSWORD} for one in REVIEWERS]
    with Load({"keys": keys, "users": users}, ledger, [f"http://127.0.0.1:{free_port()}"], random.Random(1)).running():
        threading.Event().wait(0.5)  # as long as the load is to go on, not for its result
    assert sorted(ledger.troubles) == [f"filing {PREFIX}{thread}-0 was never acknowledged" for thread in (0, 1)]
    assert set(ledger.counts().values()) == {0}


def test_agents_wait_reviewers_decide_and_grants_are_redeemed(server: Server, cast: Cast) -> None:
    context = multiprocessing.get_context("spawn")
    ids, out = context.Queue(), context.Queue()
    seen = Seen()
    agents = Agents(server.url, [cast.keys["agent"]], cast.keys["executor"], seen, ids)

    async def day() -> None:
        await agents.fill(6)
        reviewer = context.Process(target=review, args=(server.url, cast["support1"].email, PASSWORD, ids, 3, 2, out))
        reviewer.start()
        await agents.day(4, 2)
        times, errors = await asyncio.to_thread(out.get, timeout=60)
        reviewer.join()
        assert errors == {}
        until = time.monotonic() + 20
        while len(agents.answered) < len(times["deciding"]) or agents.tasks:
            assert time.monotonic() < until, (agents.answered, times)
            await asyncio.sleep(0.05)
        agents.go_home()

    loops.run(day())
    assert seen.errors == {}
    assert len(seen.times["filing"]) == 8
    assert len(agents.answered) == Request.objects.filter(status__in=["approved", "rejected"]).count() > 0
    assert len(seen.times["redeeming"]) == Request.objects.filter(grant__redeemed_at__isnull=False).count()


def approved(cast: Cast, name: str) -> Request:
    """A request of the load's own kind, approved and acknowledged."""
    request = file_request(cast, resource=f"{PREFIX}{name}")
    decide(request, cast["support1"])
    request.refresh_from_db()
    return request


def acknowledged(cast: Cast, request: Request) -> Ledger:
    """What clients would have noted of it."""
    ledger = Ledger()
    ledger.note_filed(request.resource, str(request.pk))
    ledger.decided[str(request.pk), cast["support1"].email] = "approve"
    ledger.note_status(str(request.pk), "approved")
    return ledger


def as_owner(statement: str, *parameters: object) -> None:
    """What no process of ours could do: the tables are changed under everybody's feet."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(statement, parameters)


def test_the_ledger_finds_each_of_the_faults_it_is_there_for(cast: Cast) -> None:
    request = approved(cast, "a")
    ledger, key = acknowledged(cast, request), str(request.pk)
    assert held(ledger) == NOTHING

    ledger.redeemed[key] = 2
    assert held(ledger) == {**NOTHING, "lost": [f"the redemption of {key}"], "doubled": [f"{key} was redeemed 2 times"]}
    del ledger.redeemed[key]

    ledger.note_status(key, "expired")
    assert held(ledger)["lost"] == [f"{key} is approved; its readers heard ['approved', 'expired']"]
    ledger.told.clear()

    ledger.note_filed(f"{PREFIX}never", "00000000-0000-0000-0000-000000000000")
    assert held(ledger)["lost"] == [f"the filing of {PREFIX}never"]
    del ledger.filed[f"{PREFIX}never"]

    file_request(cast, resource=request.resource)
    assert held(ledger)["doubled"] == [f"{request.resource} was filed 2 times"]

    as_owner("UPDATE approvals_request SET expires_at = decided_at WHERE id = %s", key)
    eventually(lambda: len(held(ledger)["late"]) == 3, within=30, what="all to be late")  # the entry once sealed

    as_owner("DELETE FROM approvals_decision WHERE request_id = %s", key)
    assert held(ledger)["lost"] == [f"the approve of ({key!r}, 'support1@example.test')"]


def test_the_ledger_finds_a_missing_entry(cast: Cast) -> None:
    request = approved(cast, "b")
    with services.connection("owner") as owner:
        eventually(
            lambda: not owner.execute("SELECT 1 FROM audit_pending LIMIT 1").fetchone(), within=30, what="the sealing"
        )
    as_owner("DELETE FROM audit_leaf WHERE subject_id = %s AND type = 'request.approved'", str(request.pk))
    assert held(acknowledged(cast, request))["missing"] == [f"{request.pk} is approved without the one entry of it"]


def test_two_ids_for_one_key_are_a_doubled_filing() -> None:
    ledger = Ledger()
    ledger.note_filed("one", "a")
    ledger.note_filed("one", "a")
    assert ledger.troubles == []
    ledger.note_filed("one", "b")
    assert ledger.troubles == ["doubled: one was answered with two ids"]
