"""Server-Sent Events: the present state at once, each change after it, and an end when the request is final."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from approvals.models import Request
from approvals.tasks import expire_due
from config import waits
from tests.support import contract
from tests.support.cast import Cast, decide, overdue
from tests.support.live import Caller


class Stream:
    """An open stream, read line by line."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def event(self) -> dict[str, Any] | None:
        """The next event as its fields, `data` parsed and comments under `comment`; None at the end."""
        fields: dict[str, Any] = {}
        for line in self._lines:
            if not line:
                if fields:
                    return fields
                continue
            name, _, value = line.partition(": ")
            fields["comment" if not name or line.startswith(":") else name] = value if name else line
            if name == "data":
                fields["data"] = json.loads(value)
        return fields or None


@contextmanager
def following(caller: Caller, request_id: str, *, last: str | None = None) -> Iterator[Stream]:
    """The stream of a request; `last` is sent as Last-Event-ID."""
    headers = {"Last-Event-ID": last} if last is not None else {}
    with caller.http.stream("GET", f"/api/v1/requests/{request_id}/events", headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream"
        yield Stream(response)


def test_the_present_state_comes_at_once_and_the_end_after_a_decision(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    with following(agent, document["id"]) as stream:
        first = stream.event()
        assert first == {"event": "request", "id": "1", "data": document}
        decide(Request.objects.get(pk=document["id"]), cast["support1"])
        second = stream.event()
        assert second is not None
        assert (second["event"], second["id"]) == ("request", "2")
        assert second["data"] == agent.read(document["id"])
        contract.request(second["data"], "approved")
        assert stream.event() is None


def test_a_final_request_is_one_event_and_the_end(agent: Caller) -> None:
    document = agent.file("backup.delete").json()
    with following(agent, document["id"]) as stream:
        assert stream.event() == {"event": "request", "id": "1", "data": document}
        assert stream.event() is None


def test_it_ends_at_the_deadline_by_itself(agent: Caller) -> None:
    document = agent.file(timeout_seconds=1).json()
    with following(agent, document["id"]) as stream:
        assert stream.event()
        last = stream.event()
        assert last is not None
        assert contract.request(last["data"], "expired")
        assert stream.event() is None


def test_after_the_last_event_id_only_what_is_newer_is_sent(agent: Caller) -> None:
    document = agent.file().json()
    with following(agent, document["id"], last="1") as stream:
        agent_two = Caller(str(agent.http.base_url), agent.http.headers["authorization"].removeprefix("Bearer "))
        agent_two.post(f"requests/{document['id']}/withdraw", {})
        event = stream.event()
        assert event is not None
        assert (event["id"], event["data"]["status"]) == ("2", "withdrawn")
        assert stream.event() is None
    with following(agent, document["id"], last="1") as stream:
        newer = stream.event()
        assert newer is not None
        assert newer["id"] == "2"
    with following(agent, document["id"], last="2") as stream:
        assert stream.event() is None


@pytest.mark.parametrize("last", ["", "abc", "-1", "1e3", "9" * 40])
def test_a_last_event_id_that_was_never_ours_is_as_none_at_all(agent: Caller, last: str) -> None:
    document = agent.file("docs.read").json()
    with following(agent, document["id"], last=last) as stream:
        event = stream.event()
        assert event is not None
        assert event["data"] == document


def test_the_id_in_the_stream_counts_with_the_version_and_not_with_the_sweep(agent: Caller) -> None:
    document = agent.file().json()
    overdue(Request.objects.get(pk=document["id"]))
    path = f"requests/{document['id']}/events"
    before = agent.get(path).content
    assert expire_due() == 1
    assert agent.get(path).content == before


def test_a_comment_is_due_within_15_seconds() -> None:
    assert waits.KEEP_ALIVE_SECONDS < 15


def test_a_stream_is_kept_alive_by_a_comment(agent: Caller) -> None:
    document = agent.file().json()
    with following(agent, document["id"]) as stream:
        assert stream.event()
        quiet = stream.event()
        assert quiet == {"comment": ": keep-alive"} or quiet == {"comment": "keep-alive"}


def test_streams_are_refused_as_reads_are(agent: Caller) -> None:
    contract.problem(agent.get("requests/01920000-0000-7000-8000-000000000000/events"), "not-found")


def test_two_who_follow_the_same_request_are_both_told(agent: Caller) -> None:
    document = agent.file().json()
    key = agent.http.headers["authorization"].removeprefix("Bearer ")
    seen: list[list[str]] = []

    def follow(ready: threading.Barrier) -> None:
        with following(Caller(str(agent.http.base_url), key), document["id"]) as stream:
            first = stream.event()
            ready.wait(20)
            second = stream.event()
            assert first is not None
            assert second is not None
            seen.append([first["data"]["status"], second["data"]["status"]])

    ready = threading.Barrier(3)
    threads = [threading.Thread(target=follow, args=(ready,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait(20)
    agent.post(f"requests/{document['id']}/withdraw", {})
    for thread in threads:
        thread.join()
    assert seen == [["pending", "withdrawn"]] * 2
