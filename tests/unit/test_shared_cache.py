"""Sign-in attempts are counted by all processes together, and by each for itself while Redis is away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import redis
from django.conf import settings
from django.test import override_settings

from config.cache import SharedCache
from tests.support import services

NOWHERE = {"REDIS_URL": "redis://127.0.0.1:1/0"}


def another() -> SharedCache:
    """The cache as another process makes it."""
    return SharedCache("", {"KEY_PREFIX": "countersign:cache"})


@pytest.mark.parametrize("where", [{}, NOWHERE])
def test_it_keeps_what_it_is_given(where: dict[str, str]) -> None:
    with override_settings(**where):
        cache = another()
        cache.clear()
        assert cache.get("a") is None
        assert cache.get("a", []) == []
        assert not cache.has_key("a")
        assert cache.add("a", [1.5], 60)
        assert not cache.add("a", [2.5], 60)
        assert cache.get("a") == [1.5]
        cache.set("a", [3.5], None)
        assert cache.touch("a", 60)
        assert cache.get("a") == [3.5]
        assert cache.delete("a")
        assert not cache.delete("a")
        assert not cache.touch("a", 60)


def test_what_one_process_counts_another_sees_and_it_is_forgotten_in_time() -> None:
    another().set("attempts", [1.0], 60)
    assert another().get("attempts") == [1.0]
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    left = client.pttl("countersign:cache:1:attempts")
    client.close()
    assert 0 < int(str(left)) <= 60_000


@pytest.mark.django_db
@pytest.mark.parametrize("where", [{}, NOWHERE])
def test_sign_in_attempts_end_with_redis_and_without_it(where: dict[str, str], client: object) -> None:
    from django.test import Client

    assert isinstance(client, Client)
    with override_settings(**where):
        another().clear()
        form = {"login": f"nobody{len(where)}@example.test", "password": "wrong"}
        answers = [client.post("/accounts/login/", form).content.decode() for _ in range(7)]
        counted = redis.Redis.from_url(os.environ["REDIS_URL"]).keys("countersign:cache:*login_failed*")
    assert bool(counted) is not bool(where)  # by all processes together, or by this one alone
    assert "Too many failed" not in answers[0]
    assert "Too many failed" in answers[-1]


def test_settings_follow_the_number_of_proxies_and_of_connections() -> None:
    ask = "from django.conf import settings as s; print(s.ALLAUTH_TRUSTED_PROXY_COUNT, s.WAITS_READS_AT_ONCE)"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=settings.BASE_DIR,
        env=services.process_environment(
            DJANGO_SETTINGS_MODULE="config.settings", TRUSTED_PROXIES="2", DATABASE_POOL="12"
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2", "6"]
