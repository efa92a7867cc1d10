"""`?wait=`: held in front of Django until there is something to say; and what happens when parts are missing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection

from agents import registration
from approvals.models import Request
from tests.support import contract
from tests.support.cast import SETTING_UP, Cast, decide, held, overdue
from tests.support.eventually import eventually
from tests.support.live import Caller, Server, web


class Waiting:
    """A read that is held, in a thread of its own."""

    def __init__(self, caller: Caller, path: str, *, tag: str | None = None, **query: Any) -> None:
        headers = {"If-None-Match": tag} if tag else None
        self._answer: list[httpx.Response] = []
        self._began = time.monotonic()
        self.seconds = 0.0

        def wait() -> None:
            with httpx.Client(base_url=caller.http.base_url, headers=caller.http.headers, trust_env=False) as own:
                self._answer.append(own.get(f"/api/v1/{path}", params=query, headers=headers, timeout=90))
            self.seconds = time.monotonic() - self._began

        self._thread = threading.Thread(target=wait)
        self._thread.start()

    @property
    def answered(self) -> bool:
        """Whether the answer is there."""
        return not self._thread.is_alive()

    def answer(self) -> httpx.Response:
        """The answer, waited for."""
        self._thread.join()
        return self._answer[0]


def established(server: Server) -> int:
    """How many TCP connections the server has (Linux's own table)."""
    local = f":{server.port:04X}"
    with open("/proc/net/tcp") as table:
        return sum(
            1 for line in table if (parts := line.split())[1].endswith(local) and parts[3] == "01"
        )  # 01: established


@pytest.fixture(scope="module")
def without_redis(django_db_setup: None) -> Iterator[Server]:
    """A web process whose Redis is not there."""
    with web(REDIS_URL="redis://127.0.0.1:1/0") as started:
        yield started


def row(document: dict[str, Any]) -> Request:
    """The row of a request that was answered."""
    return Request.objects.get(pk=document["id"])


def test_what_is_final_is_answered_at_once(agent: Caller) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}"
    response = agent.get(path, wait=60)
    assert response.elapsed.total_seconds() < 5
    assert response.content == agent.get(path).content


def test_a_decision_wakes_who_waits_long_before_the_time_is_over(agent: Caller, cast: Cast) -> None:
    agent.read(agent.file().json()["id"], wait=1)  # the subscription stands: from here only a message wakes
    document = agent.file().json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    time_to_hold(agent, waiting)
    decide(row(document), cast["support1"])
    answer = waiting.answer()
    assert waiting.seconds < 20
    contract.request(answer.json(), "approved")
    assert answer.headers["etag"] == agent.get(f"requests/{document['id']}").headers["etag"]


def time_to_hold(caller: Caller, waiting: Waiting) -> None:
    """Another call after the waiter's own was answered: the server is holding it by now, and it was not answered."""
    for _ in range(3):
        assert caller.get("requests", limit=1).status_code == 200
    assert not waiting.answered


def test_a_withdrawal_through_the_api_wakes_it_too(agent: Caller) -> None:
    document = agent.file().json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    time_to_hold(agent, waiting)
    agent.post(f"requests/{document['id']}/withdraw", {})
    assert waiting.answer().json()["status"] == "withdrawn"
    assert waiting.seconds < 20


def test_it_wakes_at_the_deadline_by_itself_with_no_worker_and_no_beat(agent: Caller) -> None:
    document = agent.file(timeout_seconds=2).json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    told = contract.request(waiting.answer().json(), "expired")
    assert told["decision"]["decided_at"] == told["expires_at"]
    assert 1 < waiting.seconds < 15
    assert row(document).status == "pending"  # nothing swept it
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() - expires_at FROM approvals_request")
        assert timedelta(0) <= cursor.fetchone()[0] < timedelta(seconds=5)


def test_after_its_seconds_a_wait_is_answered_as_things_are(agent: Caller) -> None:
    document = agent.file().json()
    response = agent.get(f"requests/{document['id']}", wait=1)
    assert (response.status_code, response.json()) == (200, document)
    assert 0.9 < response.elapsed.total_seconds() < 10


def test_with_a_validator_it_waits_for_another_and_else_answers_304(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    path = f"requests/{document['id']}"
    tag = agent.get(path).headers["etag"]
    unchanged = agent.get(path, headers={"If-None-Match": tag}, wait=1)
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    assert unchanged.elapsed.total_seconds() > 0.9
    waiting = Waiting(agent, path, tag=tag, wait=60)
    time_to_hold(agent, waiting)
    decide(row(document), cast["support1"], "reject", rationale="Not this one.")
    answer = waiting.answer()
    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    assert waiting.seconds < 20


def test_with_another_validator_it_is_answered_at_once(agent: Caller) -> None:
    document = agent.file().json()
    response = agent.get(f"requests/{document['id']}", headers={"If-None-Match": '"other"'}, wait=60)
    assert (response.status_code, response.json()) == (200, document)


def test_with_its_own_validator_a_final_request_is_held_too_until_something_changes(agent: Caller) -> None:
    document = agent.file("docs.read").json()
    path = f"requests/{document['id']}"
    response = agent.get(path, headers={"If-None-Match": agent.get(path).headers["etag"]}, wait=1)
    assert response.status_code == 304
    assert response.elapsed.total_seconds() > 0.9


@pytest.mark.parametrize("wait", ["61", "-1", "1.5", "soon", "", "600"])
def test_only_0_to_60_whole_seconds_can_be_waited(agent: Caller, wait: str) -> None:
    path = f"requests/{agent.file().json()['id']}"
    response = agent.get(path, wait=wait)
    assert contract.pointers(response) == ["/wait"]
    assert response.elapsed.total_seconds() < 5


def test_no_wait_is_zero_seconds(agent: Caller) -> None:
    document = agent.file().json()
    assert agent.read(document["id"], wait=0) == document


def test_a_wait_is_refused_as_any_read_is(server: Server, agent: Caller) -> None:
    path = f"requests/{agent.file().json()['id']}"
    contract.problem(Caller(server.url, None).get(path, wait=60), "unauthenticated")
    contract.problem(agent.get("requests/01920000-0000-7000-8000-000000000000", wait=60), "not-found")
    contract.problem(agent.get(path, headers={"Accept": "text/html"}, wait=60), "not-acceptable")


def test_a_key_that_is_revoked_while_it_waits_is_told_nothing_more(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    time_to_hold(agent, waiting)
    registration.revoke_credential(by=SETTING_UP, credential=cast.credentials["agent"])
    decide(row(document), cast["support1"])
    contract.problem(waiting.answer(), "unauthenticated")


def test_without_redis_a_decision_still_wakes_who_waits(without_redis: Server, cast: Cast) -> None:
    caller = Caller(without_redis.url, cast.keys["agent"])
    document = caller.file().json()
    waiting = Waiting(caller, f"requests/{document['id']}", wait=60)
    time_to_hold(caller, waiting)
    decide(row(document), cast["support1"])
    assert waiting.answer().json()["status"] == "approved"
    assert waiting.seconds < 25


def test_without_redis_the_deadline_wakes_by_itself(without_redis: Server, cast: Cast) -> None:
    caller = Caller(without_redis.url, cast.keys["agent"])
    document = caller.file(timeout_seconds=1).json()
    assert caller.read(document["id"], wait=60)["status"] == "expired"


def test_who_waits_holds_no_connection_to_the_database(cast: Cast) -> None:
    with web(DATABASE_POOL="4") as narrow, ThreadPoolExecutor(50) as pool:
        agent = Caller(narrow.url, cast.keys["agent"])
        documents = [agent.file().json() for _ in range(50)]
        waits = [pool.submit(agent.read, document["id"], wait=60) for document in documents]
        eventually(lambda: established(narrow) >= 50, within=20, what="fifty to wait")
        for document in documents:  # each takes one of the four, which fifty would have used up
            assert agent.read(document["id"])["status"] == "pending"
        assert not any(wait.done() for wait in waits)
        for document in documents:
            agent.post(f"requests/{document['id']}/withdraw", {})
        assert {wait.result()["status"] for wait in waits} == {"withdrawn"}


def test_a_caller_that_goes_away_is_not_held_any_longer(server: Server, agent: Caller) -> None:
    path = f"/api/v1/requests/{agent.file().json()['id']}?wait=60"
    before = established(server)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {agent.http.headers['authorization']}\r\n\r\n"
    gone = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for one in gone:
        one.sendall(head.encode())
    eventually(lambda: established(server) >= before + 10, what="ten waiters")
    agent.get("requests", limit=1)
    for one in gone:
        one.close()
    eventually(lambda: established(server) <= before, what="the waiters to be let go")


def test_a_reader_at_the_deadline_of_a_held_request_is_told_busy_and_not_expired(agent: Caller) -> None:
    document = agent.file(timeout_seconds=1).json()
    waiting = Waiting(agent, f"requests/{document['id']}", wait=60)
    with held(row(document)):
        contract.problem(waiting.answer(), "busy")
    overdue(row(document))
    assert agent.read(document["id"], wait=5)["status"] == "expired"
