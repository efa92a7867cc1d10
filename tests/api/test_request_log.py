"""What the log says of a request: the path without its query, no key, and an address that nobody can claim."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.cast import Cast
from tests.support.eventually import eventually
from tests.support.live import Server, web

CLAIMED = "203.0.113.9"


@pytest.fixture(scope="module", params=["0", "1"])
def logging(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[tuple[Server, str]]:
    """A web process that logs every request, and the address it should log for a forwarded one."""
    with web(LOG_LEVEL="INFO", TRUSTED_PROXIES=request.param) as started:
        yield started, CLAIMED if request.param == "1" else "127.0.0.1"


def test_no_query_no_reset_key_and_no_claimed_address_is_logged(logging: tuple[Server, str], cast: Cast) -> None:
    server, address = logging
    for path in ("/history/?q=topsecretsearch", "/accounts/password/reset/key/1a-topsecretkey/"):
        httpx.get(f"{server.url}{path}", headers={"X-Forwarded-For": CLAIMED}, trust_env=False)
    # what Django's own loggers say of a path is masked too
    httpx.post(f"{server.url}/accounts/password/reset/key/1a-topsecretkey/", trust_env=False)
    eventually(lambda: "POST /accounts/password/reset/key/***" in server.said(), what="the line of the last call")
    said = server.said()
    assert "GET /history/" in said
    assert "topsecret" not in said
    lines = [line for line in said.splitlines() if "GET /history/" in line]
    assert all(f"ip={address}" in line for line in lines), lines
