"""The token bucket itself, in Redis and without it."""

from __future__ import annotations

import os

import pytest
import redis
from django.test import override_settings

from agents import limits

SMALL = {"API_RATE_PER_SECOND": 1, "API_RATE_BURST": 5}
NOWHERE = {"REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """No bucket is left from another test."""
    limits._local.clear()


@pytest.mark.parametrize(("where", "allowed"), [({}, 5), (NOWHERE, 1)])
def test_a_bucket_gives_its_burst_and_then_refuses(where: dict[str, str], allowed: int) -> None:
    with override_settings(**SMALL, **where):
        taken = [limits.take("one") for _ in range(8)]
    assert [one.allowed for one in taken[:6]] == [True] * allowed + [False] * (6 - allowed)
    assert taken[0].remaining == allowed - 1
    assert taken[-1].remaining == 0
    assert taken[-1].retry_after >= 1


def test_buckets_are_apart() -> None:
    with override_settings(**SMALL):
        assert not [limits.take("one") for _ in range(6)][-1].allowed
        assert limits.take("two").allowed


def test_without_redis_a_tenth_of_the_burst_and_of_the_rate_is_allowed() -> None:
    with override_settings(API_RATE_PER_SECOND=20, API_RATE_BURST=200, **NOWHERE):
        taken = [limits.take("one") for _ in range(60)]
    assert 20 <= sum(one.allowed for one in taken) <= 25
    assert taken[0].rate == 2


def test_the_headers_say_the_policy_what_is_left_and_when_to_come_back() -> None:
    yes = limits.Allowance(True, 20, 200, 7, 0).headers()
    assert yes == {"RateLimit-Policy": '"key";q=200;w=10', "RateLimit": '"key";r=7;t=0'}
    no = limits.Allowance(False, 20, 200, 0, 1).headers()
    assert no == {**yes, "RateLimit": '"key";r=0;t=1', "Retry-After": "1"}


def test_a_bucket_in_redis_is_forgotten_once_it_would_be_full_again() -> None:
    with override_settings(**SMALL):
        limits.take("one")
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    left = client.pttl("countersign:limit:one")
    client.close()
    assert 0 < int(str(left)) <= 6_000
