"""Whether the house is up, what is behind, and the keys anybody may fetch: none needs a key of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings

from config.embedded.environment import without_password
from tests.support import sealing, services
from tests.support.cast import Cast
from tests.support.live import Caller, Server, web

ADDRESSES = ("/healthz", "/readyz", "/.well-known/jwks.json", "/.well-known/audit-key")


def get(server: Server, path: str) -> httpx.Response:
    """GET without any key, asking for a page."""
    return httpx.get(f"{server.url}{path}", headers={"Accept": "text/html"}, trust_env=False, timeout=30)


@pytest.fixture(scope="module")
def without_redis(django_db_setup: None) -> Iterator[Server]:
    """A web process whose Redis is not there."""
    with web(REDIS_URL="redis://127.0.0.1:1/0") as started:
        yield started


def test_a_running_process_is_up(server: Server, cast: Cast) -> None:
    assert get(server, "/healthz").json() == {"status": "up"}


def test_with_everything_in_order_nothing_is_degraded(server: Server, cast: Cast) -> None:
    with sealing.running():
        response = get(server, "/readyz")
        assert (response.status_code, response.json()) == (200, {"degraded": []})


def test_without_a_sealer_the_node_answers_and_says_that_sealing_is_behind(server: Server, cast: Cast) -> None:
    sealing.forget_outside_copies()
    with services.connection("owner") as owner:
        owner.execute("UPDATE audit_sealerstate SET alive_at = now() - interval '1 minute'")
    response = get(server, "/readyz")
    assert response.status_code == 200
    assert "sealing" in response.json()["degraded"]


def test_a_dead_broker_is_named_and_takes_no_node_out_of_the_balancer(without_redis: Server, cast: Cast) -> None:
    with sealing.running():
        response = get(without_redis, "/readyz")
        assert (response.status_code, response.json()) == (200, {"degraded": ["broker"]})


def test_that_no_grant_can_be_signed_is_named_measured_and_logged_with_its_cause(cast: Cast, tmp_path: Path) -> None:
    key = tmp_path / "grants.pem"
    key.write_bytes(Path(settings.GRANT_KEY_PATH).read_bytes())
    with web(GRANT_KEY_PATH=str(tmp_path)) as server, sealing.running():
        assert get(server, "/readyz").json() == {"degraded": []}
        (tmp_path / "a-note.pem").write_text("not a key")
        assert get(server, "/readyz").json() == {"degraded": ["signing"]}
        assert 'countersign_degraded{what="signing"} 1.0' in get(server, "/metrics").text
        log = server.said()
    assert "grants.cannot_sign" in log
    assert "The grant key a-note.pem is not an Ed25519 key in PEM" in log


def test_a_key_that_cannot_be_made_known_signs_nothing(cast: Cast, tmp_path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "new.pem").write_bytes(pem)
    with web(GRANT_KEY_PATH=str(tmp_path)) as server, sealing.running(), services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            assert get(server, "/readyz").json() == {"degraded": ["signing"]}
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
        assert get(server, "/readyz").json() == {"degraded": []}


def test_without_its_database_a_node_is_up_and_not_ready(cast: Cast) -> None:
    lost = services.url("app").replace(f"/{services.database_name()}", "/no_such_database")
    with web(DATABASE_URL=lost, **{"DATABASE_OWNER_URL": without_password(services.url("owner"))}) as server:
        assert get(server, "/healthz").status_code == 200
        response = get(server, "/readyz")
        assert response.status_code == 503
        assert "no_such_database" not in response.text
        api = Caller(server.url, cast.keys["agent"]).get("requests")
        assert api.status_code == 503
        assert api.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in api.text


def test_the_audit_key_is_served_as_text_once_the_log_was_started(server: Server, cast: Cast) -> None:
    with sealing.running():
        response = get(server, "/.well-known/audit-key")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    origin, key_hash, key = response.text.strip().split("+", 2)
    assert origin.startswith("localhost/")
    assert len(key_hash) == 8
    assert key


def test_none_of_them_answers_to_a_post_or_needs_a_key(server: Server, cast: Cast) -> None:
    with sealing.running():
        for address in ADDRESSES:
            assert get(server, address).status_code == 200
            assert httpx.post(f"{server.url}{address}", trust_env=False).status_code == 405


def test_a_host_that_is_not_ours_is_refused_without_a_page_to_the_api(server: Server, cast: Cast) -> None:
    response = httpx.get(f"{server.url}/api/v1/requests", headers={"Host": "evil.example"}, trust_env=False)
    assert response.status_code in (400, 401)
    assert response.headers["content-type"] == "application/problem+json"
    assert settings.ALLOWED_HOSTS
