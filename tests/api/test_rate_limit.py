"""20 calls a second and a burst of 200 a key; with Redis away a tenth of that, never everything.

Refusals are provoked on a web process with small limits: a busy machine may not reach the default ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from django.db import connection

from agents import registration
from agents.models import Scope
from tests.support import contract
from tests.support.cast import SETTING_UP, Cast
from tests.support.live import Caller, Server, web


@pytest.fixture(scope="module")
def strict(django_db_setup: None) -> Iterator[Server]:
    """A web process that allows one call a second, and a burst of six."""
    with web(API_RATE_PER_SECOND="1", API_RATE_BURST="6") as started:
        yield started


@pytest.fixture(scope="module")
def without_redis(django_db_setup: None) -> Iterator[Server]:
    """A web process whose Redis is not there."""
    with web(REDIS_URL="redis://127.0.0.1:1/0") as started:
        yield started


def spend(caller: Caller, most: int) -> list[httpx.Response]:
    """Calls until one is refused, the refusal last; an AssertionError where none is within `most`."""
    answers = []
    for _ in range(most):
        answers.append(caller.get("requests", limit=1))
        if answers[-1].status_code == 429:
            return answers
    raise AssertionError(f"{most} calls and none refused")


def test_the_default_is_20_a_second_and_a_burst_of_200(agent: Caller) -> None:
    first, second = agent.get("requests"), agent.get("requests")
    assert first.headers["ratelimit-policy"] == '"key";q=200;w=10'
    assert first.headers["ratelimit"] == '"key";r=199;t=0'
    assert re.fullmatch(r'"key";r=19[89];t=0', second.headers["ratelimit"])
    assert "retry-after" not in first.headers


def test_beyond_the_burst_is_429_and_says_when_to_come_back(strict: Server, cast: Cast) -> None:
    answers = spend(Caller(strict.url, cast.keys["agent"]), 30)
    assert len(answers) > 6
    refused = answers[-1]
    contract.problem(refused, "too-many-requests")
    assert int(refused.headers["retry-after"]) == 1
    assert refused.headers["ratelimit-policy"] == '"key";q=6;w=6'
    assert refused.headers["ratelimit"] == '"key";r=0;t=1'


def test_a_limit_is_a_keys_own(strict: Server, cast: Cast) -> None:
    spend(Caller(strict.url, cast.keys["agent"]), 30)
    other = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.READ,))[1]
    assert Caller(strict.url, other).get("requests").status_code == 200


def test_a_posted_call_that_was_refused_did_nothing_and_can_be_sent_again(strict: Server, cast: Cast) -> None:
    caller = Caller(strict.url, cast.keys["agent"])
    spend(caller, 30)
    contract.problem(caller.file(key="k"), "too-many-requests")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM approvals_request) + (SELECT count(*) FROM approvals_rememberedanswer)"
        )
        assert cursor.fetchone() == (0,)


def test_a_held_wait_costs_one_call_however_often_it_is_read_again(agent: Caller) -> None:
    own = agent.file(timeout_seconds=1).json()["id"]
    assert agent.read(own, wait=10)["status"] == "expired"
    assert int(re.findall(r"r=(\d+)", agent.get("requests").headers["ratelimit"])[0]) >= 197


def test_refused_calls_leave_evidence_that_cannot_be_flooded(strict: Server, cast: Cast) -> None:
    caller = Caller(strict.url, cast.keys["agent"])
    refused = sum(caller.get("requests").status_code == 429 for _ in range(40))
    assert refused > 10
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_pending WHERE convert_from(leaf, 'UTF8') LIKE '%too-many-requests%'")
        assert 1 <= cursor.fetchone()[0] <= 10


def test_with_redis_away_a_tenth_is_allowed_and_never_everything(without_redis: Server, cast: Cast) -> None:
    answers = spend(Caller(without_redis.url, cast.keys["agent"]), 80)
    assert answers[0].headers["ratelimit"].startswith('"key";r=19;')  # a burst of 20, and 2 a second while it lasts
    assert len(answers) > 20
    contract.problem(answers[-1], "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_key_without_the_scope_is_limited_as_any_other(strict: Server, cast: Cast) -> None:
    other = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.REPORT,))[1]
    caller = Caller(strict.url, other)
    answers = [caller.get("requests") for _ in range(12)]
    contract.problem(answers[0], "missing-scope")
    assert answers[0].headers["ratelimit"] == '"key";r=5;t=0'
    contract.problem(answers[-1], "too-many-requests")
    assert "retry-after" in answers[-1].headers
