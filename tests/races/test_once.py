"""Exactly once, whoever races: one filing a key, one redemption a grant, one final status, one vote a person.

Fifty at the same moment, on connections of their own.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import cycle
from typing import Any

import httpx
import pytest
from django.db import connection

from accounts.models import User
from approvals.errors import AlreadyDecided, SameDecisionAgain
from approvals.models import Decision, Request
from tests.support import contract, sealing
from tests.support.cast import Cast, Opened, decide, file_request, make_person, open_page
from tests.support.live import Caller, Server, filing
from tests.support.racing import race, split

FIFTY = 50


def count(query: str) -> int:
    """The number that a query gives."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def leaves(kind: str) -> int:
    """How many entries of that type there are, sealed or not."""
    return count(
        f"SELECT (SELECT count(*) FROM audit_pending WHERE convert_from(leaf, 'UTF8') LIKE '%\"type\":\"{kind}\"%')"
        f" + (SELECT count(*) FROM audit_leaf WHERE convert_from(leaf, 'UTF8') LIKE '%\"type\":\"{kind}\"%')"
    )


def posts(server: Server, key: str, path: str, bodies: list[dict[str, Any]], once: str | None) -> list[httpx.Response]:
    """The bodies posted at the same moment, each by a client of its own."""
    callers = [Caller(server.url, key) for _ in bodies]
    for caller in callers:
        caller.http.get("/healthz")  # connected before the race
    answers = race(*(lambda c=c, b=b: c.post(path, b, key=once) for c, b in zip(callers, bodies, strict=True)))
    for caller in callers:
        caller.http.close()
    assert all(isinstance(answer, httpx.Response) for answer in answers), answers
    return answers


def test_fifty_filings_under_one_key_are_one_request(server: Server, cast: Cast) -> None:
    answers = posts(server, cast.keys["agent"], "requests", [filing(resource="r")] * FIFTY, "the-key")
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Counter("idempotency-replayed" in answer.headers for answer in answers) == {False: 1, True: FIFTY - 1}
    assert Request.objects.count() == 1
    assert leaves("request.filed") == 1


def test_of_fifty_filings_of_other_bodies_under_one_key_one_is_filed(server: Server, cast: Cast) -> None:
    answers = posts(server, cast.keys["agent"], "requests", [filing() for _ in range(FIFTY)], "the-key")
    won = [answer for answer in answers if answer.status_code == 201]
    assert len(won) == 1
    for answer in answers:
        if answer not in won:
            contract.problem(answer, "idempotency-key-reused")
    assert [str(one.pk) for one in Request.objects.all()] == [won[0].json()["id"]]


@pytest.mark.parametrize("once", [None, "the-key"])
def test_of_fifty_redemptions_one_is_answered_200(server: Server, cast: Cast, agent: Caller, once: str | None) -> None:
    document = agent.file("docs.read").json()
    body = {"grant": document["grant"], "parameters": document["parameters"]}
    with sealing.running():
        answers = posts(server, cast.keys["executor"], "grants/redeem", [body] * FIFTY, once)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: FIFTY - 1}
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    for answer in answers:
        if answer.status_code == 409:
            told = contract.problem(answer, "already-redeemed")
            assert (told["redeemed_at"], told["by_this_key"]) == (won["redeemed_at"], True)
    assert leaves("grant.redeemed") == 1


def a_crowd(cast: Cast, size: int) -> list[User]:
    """So many more people who sit in support."""
    return [make_person(f"crowd{number}", teams=[cast.teams["support"]]) for number in range(size)]


def test_approvals_against_rejections_end_in_one_status_and_one_person_is_told_so(cast: Cast) -> None:
    crowd, request = a_crowd(cast, FIFTY), file_request(cast)
    acts = []
    for person, verdict in zip(crowd, cycle(("approve", "reject")), strict=False):
        opened = open_page(request, person)
        acts.append(
            lambda p=person, v=verdict, o=opened: decide(request, p, v, rationale="It is so, we looked.", opened=o)
        )
    told, refused = split(race(*acts))
    assert len(told) == 1
    assert all(isinstance(error, AlreadyDecided) for error in refused), Counter(map(repr, refused))
    now = Request.objects.get(pk=request.pk)
    assert now.status == told[0].status
    assert now.version == 2
    assert Decision.objects.count() == 1
    assert leaves("request.approved") + leaves("request.rejected") == 1
    assert count("SELECT count(*) FROM approvals_grant") == (1 if now.status == "approved" else 0)


def test_one_person_who_decides_from_fifty_pages_at_once_counts_once(cast: Cast) -> None:
    big = make_large(cast)
    person = make_person("finance1", teams=[cast.teams["finance"]])
    pages = [open_page(big, person) for _ in range(FIFTY)]
    with sealing.running():
        told, refused = split(race(*(lambda o=page: approve(big, person, o) for page in pages)))
    assert len(told) == 1
    assert all(isinstance(error, AlreadyDecided) for error in refused), Counter(map(repr, refused))
    assert Decision.objects.count() == 1
    assert Request.objects.get(pk=big.pk).status == "pending"  # two people are asked for


def test_one_page_sent_fifty_times_is_one_decision_and_every_other_hears_the_same(cast: Cast) -> None:
    big = make_large(cast)
    person = make_person("finance1", teams=[cast.teams["finance"]])
    page = open_page(big, person)
    with sealing.running():
        told, refused = split(race(*(lambda: approve(big, person, page) for _ in range(FIFTY))))
    assert len(told) == 1
    assert all(isinstance(error, SameDecisionAgain) for error in refused), Counter(map(repr, refused))
    assert Decision.objects.count() == 1


def test_the_last_two_votes_of_a_quorum_at_once_make_one_approval(cast: Cast) -> None:
    people = [make_person(f"finance{n}", teams=[cast.teams["finance"]]) for n in range(6)]
    with sealing.running():
        for _ in range(5):
            big = make_large(cast)
            pages = [open_page(big, person) for person in people]
            told, refused = split(
                race(*(lambda p=p, o=o, big=big: approve(big, p, o) for p, o in zip(people, pages, strict=True)))
            )
            assert len(told) == 2, refused
            assert all(isinstance(error, AlreadyDecided) for error in refused)
            assert Request.objects.get(pk=big.pk).status == "approved"
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*), count(DISTINCT d.person_id) FROM approvals_seat s"
                    " JOIN approvals_decision d ON d.id = s.decision_id WHERE s.request_id = %s",
                    [big.pk],
                )
                assert cursor.fetchone() == (2, 2)
    assert leaves("grant.issued") == 5


def make_large(cast: Cast) -> Request:
    """A refund that two of finance must approve."""
    return file_request(cast, parameters={"amount_cents": 50_000})


def approve(request: Request, person: User, opened: Opened) -> Request:
    """Approve with a sentence, as high risk asks for."""
    return decide(request, person, rationale="The carrier's report matches our records.", opened=opened)


def test_withdrawing_against_approving_ends_in_one_status(server: Server, cast: Cast, agent: Caller) -> None:
    for number in range(10):
        request = file_request(cast)
        opened = open_page(request, cast["support1"])
        withdrawn, approved = race(
            partial(agent.post, f"requests/{request.pk}/withdraw", {}),
            partial(decide, request, cast["support1"], opened=opened),
        )
        now = Request.objects.get(pk=request.pk)
        assert now.version == 2, number
        if withdrawn.status_code == 200:
            assert isinstance(approved, AlreadyDecided)
            assert now.status == "withdrawn"
        else:
            contract.problem(withdrawn, "not-pending")
            assert now.status == approved.status == "approved"
