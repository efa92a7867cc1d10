"""Which Host headers are answered: ours, and for probes any, because they come by address."""

from __future__ import annotations

import httpx
import pytest

from tests.support import sealing
from tests.support.cast import Cast
from tests.support.live import Server


def get(server: Server, path: str, host: str) -> httpx.Response:
    """GET with that Host header."""
    return httpx.get(f"{server.url}{path}", headers={"Host": host}, trust_env=False)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_by_address_is_answered(server: Server, cast: Cast, path: str) -> None:
    with sealing.running():
        assert get(server, path, "10.1.2.3:8000").status_code == 200


def test_the_api_refuses_a_foreign_host_as_what_it_is(server: Server, cast: Cast) -> None:
    response = get(server, "/api/v1/requests", "evil.example")
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.json()["type"] == "about:blank"
    assert "Host" in response.json()["detail"]


def test_a_page_refuses_a_foreign_host(server: Server, cast: Cast) -> None:
    assert get(server, "/accounts/login/", "evil.example").status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "1.2.3.4.evil.example", "evil"])
def test_metrics_of_a_foreign_host_is_400(server: Server, cast: Cast, host: str) -> None:
    assert get(server, "/metrics", host).status_code == 400


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"])
def test_metrics_passed_on_by_a_proxy_here_is_401(server: Server, cast: Cast, header: str) -> None:
    passed = httpx.get(f"{server.url}/metrics", headers={header: "127.0.0.1"}, trust_env=False)
    assert passed.status_code == 401
    assert "countersign_" not in passed.text
