"""At the deadline itself: deciders, the sweep and readers meet within milliseconds, and nobody hears two answers."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from agents.problems import Problem
from approvals import expiry, grants, queries, redemption
from approvals.errors import AlreadyDecided, NotPending, TooLate
from approvals.models import Decision, Grant, Request
from approvals.replay.tables import replay
from approvals.requests import withdraw
from tests.support import contract, sealing, services
from tests.support.cast import Cast, Opened, decide, file_request, open_page
from tests.support.eventually import eventually
from tests.support.leaves import entries
from tests.support.live import Caller, Server, web
from tests.support.racing import race
from tests.support.times import activate

NEAR = 0.020
APPROVALS = 200  # deadlines a round
CLOSE = 200  # decisions within NEAR of their deadlines, before it is enough
ROUNDS = 4  # and no more than these: a busy machine hits fewer
APART = 0.03  # between two deadlines, so that a decider comes to each in time
WATCHED = (-0.05, 0.15)  # readers poll a request from so long before its deadline until so long after


@pytest.fixture(scope="module")
def unlimited(django_db_setup: None) -> Iterator[Server]:
    """A web process that lets a reader poll as fast as it can."""
    with web(API_RATE_PER_SECOND="100000", API_RATE_BURST="100000") as started:
        yield started


def due(requests: Sequence[Request], *, first: float, apart: float = 0.0) -> list[float]:
    """Give the requests deadlines from `first` seconds ahead, as the owner, triggers at rest; the moments (Unix s)."""
    begin = datetime.now(UTC) + timedelta(seconds=first)
    moments = [begin + number * timedelta(seconds=apart) for number in range(len(requests))]
    with services.connection("owner") as owner, owner.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.executemany(
            "UPDATE approvals_request SET expires_at = %s WHERE id = %s",
            [(at, request.pk) for at, request in zip(moments, requests, strict=True)],
        )
    return [at.timestamp() for at in moments]


class Decider:
    """Approves as close to the deadline as it can: starts later after a yes, earlier after a no."""

    def __init__(self, person: User) -> None:
        self._person = person
        self.lead = 0.02
        self.near = 0
        self.yes: set[str] = set()

    def approve(self, request: Request, opened: Opened, deadline: float) -> None:
        """Approve so that the commit falls about the deadline."""
        threading.Event().wait(max(0.0, deadline - self.lead - time.time()))  # aiming, not waiting for a result
        try:
            decide(request, self._person, opened=opened)
        except (TooLate, AlreadyDecided):  # the latter: the sweep was there first
            self.lead = min(0.3, self.lead * 1.3)
        else:
            self.yes.add(str(request.pk))
            self.lead = max(0.001, self.lead * 0.8)
        self.near += abs(time.time() - deadline) <= NEAR


def test_no_reader_sees_a_status_follow_expired_at_200_deadlines(unlimited: Server, cast: Cast) -> None:
    yes = near = witnessed = 0
    for _ in range(ROUNDS):
        met = _a_round_of_deadlines(unlimited, cast)
        yes, near, witnessed = yes + met[0], near + met[1], witnessed + met[2]
        if near >= CLOSE:
            break
    # The race was one: both ends came about, close to the deadline, and readers were there to see.
    assert near >= 10
    assert yes >= 5
    assert witnessed >= 5


def _a_round_of_deadlines(unlimited: Server, cast: Cast) -> tuple[int, int, int]:
    """How many were approved, how many decisions fell close to their deadlines, how many readers saw expire."""
    requests = [file_request(cast) for _ in range(APPROVALS)]
    pages = [open_page(request, cast["support1"]) for request in requests]
    deadlines = due(requests, first=0.5, apart=APART)
    deciders, over = [Decider(cast["support1"]) for _ in range(3)], threading.Event()
    by_id: dict[str, list[str]] = defaultdict(list)
    in_lists: dict[str, list[str]] = defaultdict(list)

    def watched() -> list[str]:
        now = time.time()
        return [
            str(request.pk)
            for request, at in zip(requests, deadlines, strict=True)
            if at + WATCHED[0] <= now <= at + WATCHED[1]
        ]

    def read_one_by_one() -> None:
        caller = Caller(unlimited.url, cast.keys["agent"])
        while not over.is_set():
            for request_id in watched():
                answer = caller.get(f"requests/{request_id}")
                if answer.status_code == 200:
                    by_id[request_id].append(answer.json()["status"])
                else:
                    contract.problem(answer, "busy")
            over.wait(0.001)

    def read_lists() -> None:
        caller = Caller(unlimited.url, cast.keys["agent"])
        while not over.is_set():
            now = watched()
            if now:
                cursor = str(UUID(int=UUID(max(now)).int + 1))
                for document in caller.get("requests", limit=8, cursor=cursor).json()["results"]:
                    in_lists[document["id"]].append(document["status"])
            over.wait(0.02)

    def sweep() -> None:
        try:
            while not over.is_set():
                expiry.expire_due()
                over.wait(0.05)
        finally:
            connection.close()

    def approve(number: int) -> None:
        try:
            for turn in range(number, APPROVALS, len(deciders)):
                if time.time() > deadlines[turn] - deciders[number].lead + NEAR:
                    continue  # a busy machine: left to the sweep, so that the next one is met in time
                deciders[number].approve(requests[turn], pages[turn], deadlines[turn])
        finally:
            connection.close()

    with ThreadPoolExecutor(7) as pool:
        others = [pool.submit(act) for act in (read_one_by_one, read_one_by_one, read_lists, sweep)]
        try:
            for decided in [pool.submit(approve, number) for number in range(len(deciders))]:
                decided.result()
        finally:
            over.set()
    for other in others:
        other.result()
    yes = set().union(*(decider.yes for decider in deciders))
    stored = dict(Request.objects.filter(pk__in=[request.pk for request in requests]).values_list("pk", "status"))
    ended = {str(pk): "expired" if status == "pending" else status for pk, status in stored.items()}
    assert {pk for pk, status in ended.items() if status == "approved"} == yes
    for request_id, statuses in by_id.items():
        pending = statuses.count("pending")
        assert statuses == ["pending"] * pending + [ended[request_id]] * (len(statuses) - pending)
    for request_id in (
        in_lists.keys() & ended.keys()
    ):  # a row held at its deadline is listed as pending, whatever was said
        statuses = in_lists[request_id]
        assert set(statuses) <= {"pending", ended[request_id]}
    return (
        len(yes),
        sum(decider.near for decider in deciders),
        sum("expired" in statuses for statuses in by_id.values()),
    )


def test_the_sweep_against_an_approval_at_the_deadline_ends_in_one_status(cast: Cast) -> None:
    for _ in range(15):
        request = file_request(cast)
        opened = open_page(request, cast["support1"])
        (deadline,) = due([request], first=0.08)

        approved, swept = race(
            partial(about, deadline, partial(decide, request, cast["support1"], opened=opened)),
            partial(about, deadline, sweep_ten_times),
        )
        now = queries.read(queries.requests(), request.pk)
        assert now is not None
        if isinstance(approved, Exception):
            assert isinstance(approved, TooLate | AlreadyDecided), repr(approved)
            assert now.status == "expired"
            assert now.decided_at == request_deadline(request)
        else:
            assert now.status == "approved"
            assert swept == 0
        assert now.version == 2


def about(deadline: float, act: Callable[[], Any]) -> Any:
    """Act some milliseconds before the deadline."""
    threading.Event().wait(max(0.0, deadline - time.time() - 0.004))
    return act()


def sweep_ten_times() -> int:
    """Sweep over the deadline; how many were expired."""
    return sum(expiry.expire_due() for _ in range(10))


def request_deadline(request: Request) -> object:
    """The deadline as stored."""
    return Request.objects.get(pk=request.pk).expires_at


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_what_was_in_time_and_waited_for_the_log_until_it_was_late_is_not_taken(cast: Cast, verdict: str) -> None:
    request = file_request(cast, timeout_seconds=4)
    opened = open_page(request, cast["support1"])
    with ThreadPoolExecutor(1) as pool:
        with services.connection("owner") as other, other.transaction():
            other.execute("SELECT FROM audit_head WHERE subject_id = %s FOR UPDATE", [str(request.pk)])
            deciding = pool.submit(_decide_apart, request, cast["support1"], verdict, opened)
            eventually(lambda: _waits_for_a_lock() and queries.clock() < request.expires_at, what="it to reach the log")
            eventually(lambda: queries.clock() >= request.expires_at, what="the deadline")
        assert isinstance(deciding.exception(), TooLate)
    assert expiry.expire_due() == 1
    assert not Decision.objects.exists()
    assert replay().faults == []


def test_a_withdrawal_that_waited_for_the_log_until_the_deadline_is_not_taken(cast: Cast) -> None:
    request = file_request(cast, timeout_seconds=4)
    with ThreadPoolExecutor(1) as pool:
        with services.connection("owner") as other, other.transaction():
            other.execute("SELECT FROM audit_head WHERE subject_id = %s FOR UPDATE", [str(request.pk)])
            withdrawing = pool.submit(_withdraw_apart, cast, request)
            eventually(lambda: _waits_for_a_lock() and queries.clock() < request.expires_at, what="it to reach the log")
            eventually(lambda: queries.clock() >= request.expires_at, what="the deadline")
        assert isinstance(withdrawing.exception(), NotPending)
    assert expiry.expire_due() == 1
    assert replay().faults == []


def test_a_grant_that_was_in_time_and_waited_for_the_log_until_it_lapsed_is_not_spent(cast: Cast) -> None:
    _valid_for(3)
    with sealing.running():
        request = file_request(cast, "docs.read")
        grant = Grant.objects.get(request=request)
        with ThreadPoolExecutor(1) as pool:
            with services.connection("owner") as other, other.transaction():
                other.execute("SELECT FROM audit_head WHERE subject_id = %s FOR UPDATE", [str(request.pk)])
                redeeming = pool.submit(_redeem_apart, cast, request, grants.token(grant, request, grant.issued_at))
                eventually(
                    lambda: _waits_for_a_lock() and queries.clock() < grant.valid_until, what="it to reach the log"
                )
                eventually(lambda: queries.clock() >= grant.valid_until, what="its end")
            refused = redeeming.exception()
    assert isinstance(refused, Problem)
    assert (refused.slug, refused.status) == ("grant-lapsed", 410)
    grant.refresh_from_db()
    assert grant.redeemed_at is None
    assert replay().faults == []
    assert entries("refusal.recorded")[-1]["facts"]["cause"] == "grant-lapsed"


def _valid_for(seconds: int) -> None:
    """Put a version in force whose grants to read documents hold so long."""
    activate(('@id("docs-read")', f'@id("docs-read")\n@valid("{seconds}s")'))


def _redeem_apart(cast: Cast, request: Request, token: str | None) -> None:
    assert token
    try:
        redemption.redeem(
            credential=cast.credentials["executor"],
            token=token,
            parameters=request.effective_parameters,
            action=request.action,
            resource=request.resource,
        )
    finally:
        connection.close()


def _decide_apart(request: Request, person: User, verdict: str, opened: Opened) -> None:
    try:
        decide(request, person, verdict, opened=opened)
    finally:
        connection.close()


def _withdraw_apart(cast: Cast, request: Request) -> None:
    try:
        withdraw(agent=cast.agent, request_id=request.pk, reason="")
    finally:
        connection.close()


def _waits_for_a_lock() -> bool:
    with services.connection("owner") as owner:
        return bool(owner.execute("SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1").fetchone())
