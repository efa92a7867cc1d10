"""Redeeming: 200 exactly once, for exactly what was approved, to nobody else; every refusal is recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection

from agents import registration
from agents.models import Scope
from approvals import grants
from approvals.models import Request, SigningKey
from tests.support import contract, sealing, services
from tests.support.cast import SETTING_UP, Cast, decide
from tests.support.live import Caller, Server

READ = {"path": "/handbook/refunds.md"}


@pytest.fixture(autouse=True)
def _live_log(transactional_db: None) -> Iterator[None]:
    """A sealer at work: without one nothing is redeemed."""
    with sealing.running():
        yield


def entries(kind: str) -> list[dict[str, Any]]:
    """The leaves of that type, oldest first, sealed or not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaf FROM audit_pending UNION ALL SELECT leaf FROM audit_leaf")
        leaves = [json.loads(bytes(leaf)) for (leaf,) in cursor.fetchall()]
    return [leaf for leaf in leaves if leaf["type"] == kind]


def forged(token: str, *, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """The grant with other claims or headers, signed by the real key or by another."""
    header = {**jwt.get_unverified_header(token), **(headers or {})}
    payload = {**jwt.decode(token, options={"verify_signature": False}), **claims}
    if key is None:
        key = grants.private_keys()[jwt.get_unverified_header(token)["kid"]].private_key
    return jwt.encode(payload, key, algorithm="EdDSA", headers=header)


def test_a_grant_is_redeemed_once_and_then_never_again(agent: Caller, executor: Caller) -> None:
    document = agent.file("docs.read").json()
    body = {"grant": document["grant"], "parameters": READ, "action": "docs.read", "resource": document["resource"]}
    response = executor.post("grants/redeem", body)
    assert response.status_code == 200
    redeemed = response.json()
    assert list(redeemed) == ["request", "action", "resource", "redeemed_at"]
    assert redeemed == {
        "request": document["id"], "action": "docs.read", "resource": document["resource"],
        "redeemed_at": redeemed["redeemed_at"],
    }  # fmt: skip
    again = contract.problem(executor.post("grants/redeem", body), "already-redeemed")
    assert again["redeemed_at"] == redeemed["redeemed_at"]
    contract.moment(again["redeemed_at"])
    assert again["by_this_key"] is True
    assert agent.read(document["id"])["grant"] is None
    assert len(entries("grant.redeemed")) == 1


def test_action_and_resource_may_be_left_out_and_must_be_the_grants_where_given(
    agent: Caller, executor: Caller
) -> None:
    document = agent.file("docs.read").json()
    body = {"grant": document["grant"], "parameters": READ}
    wrongs: list[dict[str, Any]] = [
        {"action": "docs.write"}, {"resource": "elsewhere"}, {"parameters": {}},
        {"parameters": {"path": "/handbook/refunds.md ", }}, {"parameters": {**READ, "more": None}},
        {"action": "docs.write", "resource": document["resource"]},
    ]  # fmt: skip
    for wrong in wrongs:
        contract.problem(executor.post("grants/redeem", {**body, **wrong}), "parameters-mismatch")
    assert len(entries("grant.refused")) + len(entries("refusal.recorded")) >= 6
    assert executor.post("grants/redeem", body).status_code == 200


def test_the_same_parameters_in_another_writing_are_the_same(agent: Caller, executor: Caller) -> None:
    document = agent.file("docs.read", parameters={"path": "/é"}).json()
    raw = '{{"parameters" : {{"path":"\\u002f\\u00e9"}}, "grant":"{}"}}'.format(document["grant"])
    assert executor.post("grants/redeem", raw.encode()).status_code == 200


def test_an_amended_approval_redeems_what_people_wrote_and_not_what_was_asked(
    agent: Caller, executor: Caller, cast: Cast
) -> None:
    filed = agent.file().json()
    request = Request.objects.get(pk=filed["id"])
    decide(request, cast["support1"], parameters='{"amount_cents": 4100, "currency": "USD"}')
    document = contract.request(agent.read(filed["id"]), "approved", amended=True)
    assert document["decision"]["parameters"] == {"amount_cents": 4100, "currency": "USD"}
    assert (document["parameters"], document["parameters_digest"]) == (filed["parameters"], filed["parameters_digest"])
    body = {"grant": document["grant"], "parameters": filed["parameters"]}
    contract.problem(executor.post("grants/redeem", body), "parameters-mismatch")
    told = executor.post("grants/redeem", {**body, "parameters": document["decision"]["parameters"]})
    assert told.status_code == 200
    assert "Sam" not in json.dumps(document)


def test_a_replay_by_key_is_409_with_what_happened_and_never_200_again(
    server: Server, agent: Caller, executor: Caller, cast: Cast
) -> None:
    body = {"grant": agent.file("docs.read").json()["grant"], "parameters": READ}
    first = executor.post("grants/redeem", body, key="r")
    assert first.status_code == 200
    for _ in range(2):
        replay = executor.post("grants/redeem", body, key="r")
        told = contract.problem(replay, "already-redeemed")
        assert (told["redeemed_at"], told["by_this_key"]) == (first.json()["redeemed_at"], True)
    other = registration.register_executor(by=SETTING_UP, slug="other")
    key = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.REDEEM,))[1]
    told = contract.problem(Caller(server.url, key).post("grants/redeem", body, key="r"), "already-redeemed")
    assert told["by_this_key"] is False


@pytest.mark.parametrize(
    "tamper",
    [
        lambda token: token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"),
        lambda token: forged(token, key=Ed25519PrivateKey.generate()),
        lambda token: forged(token, headers={"kid": "another"}),
        lambda token: forged(token, headers={"typ": "JWT"}),
        lambda token: forged(token, headers={"typ": "receipt+jwt"}),
        lambda token: forged(token, aud="http://localhost:8000/executors/else"),
        lambda token: forged(token, aud="http://elsewhere.example"),
        lambda token: forged(token, jti="01920000-0000-7000-8000-000000000000"),
        lambda token: forged(token, req="01920000-0000-7000-8000-000000000000"),
        lambda token: forged(token, jti="not an id"),
        lambda token: forged(token, exp="soon"),
        lambda token: token.replace(".", "", 1),
        lambda token: f"{token}.{token}",
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: _unsigned(token),
        lambda token: _by_hmac(token),
        lambda _token: "",
        lambda _token: "x",
        lambda _token: "é.é.é",
        lambda _token: "e30.e30.",
        lambda _token: "..",
        lambda _token: "W10.W10.W10",
        lambda _token: "bnVsbA.bnVsbA.bnVsbA",
    ],
    ids=range(23),
)
def test_what_is_not_a_grant_of_ours_is_422(agent: Caller, executor: Caller, tamper: Any) -> None:
    document = agent.file("docs.read").json()
    response = executor.post("grants/redeem", {"grant": tamper(document["grant"]), "parameters": READ})
    if response.json()["type"].endswith(":invalid"):  # an empty one is no text at all
        assert contract.pointers(response) == ["/grant"]
    else:
        contract.problem(response, "grant-invalid")
    assert agent.read(document["id"])["grant"] == document["grant"]


def _unsigned(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {**jwt.get_unverified_header(token), "alg": "none"}
    return jwt.encode(claims, "", algorithm="none", headers=headers)


def _by_hmac(token: str) -> str:
    """Signed with HMAC by the public key, as a verifier that trusts `alg` would accept."""
    public = base64.urlsafe_b64decode(SigningKey.objects.get().x + "=")
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {**jwt.get_unverified_header(token), "alg": "HS256"}
    return jwt.encode(claims, public, algorithm="HS256", headers=header)


def test_a_grant_for_another_executor_is_422_to_this_one(server: Server, cast: Cast, agent: Caller) -> None:
    document = agent.file("docs.read").json()
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_grant SET audience = %s", [grants.audience_for("payments")])
    body = {"grant": agent.read(document["id"])["grant"], "parameters": READ}
    other = registration.register_executor(by=SETTING_UP, slug="other")
    key = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.REDEEM,))[1]
    contract.problem(Caller(server.url, key).post("grants/redeem", body), "grant-invalid")
    agents_own = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.REDEEM,))[1]
    contract.problem(Caller(server.url, agents_own).post("grants/redeem", body), "grant-invalid")
    assert Caller(server.url, cast.keys["executor"]).post("grants/redeem", body).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE approvals_grant SET valid_until = clock_timestamp()",
        "UPDATE approvals_grant SET voided_at = clock_timestamp()",
        "UPDATE agents_agent SET state = 'suspended'",
        "UPDATE audit_sealerstate SET forks = forks + 1",
    ],
)
def test_a_grant_that_lapsed_was_voided_or_whose_agent_is_suspended_is_410(
    agent: Caller, executor: Caller, change: str
) -> None:
    body = {"grant": agent.file("docs.read").json()["grant"], "parameters": READ}
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(change)
    contract.problem(executor.post("grants/redeem", body), "grant-lapsed")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM approvals_grant WHERE redeemed_at IS NOT NULL")
        assert cursor.fetchone() == (0,)


def test_a_grant_past_its_own_ten_minutes_is_410_though_the_approval_holds(agent: Caller, executor: Caller) -> None:
    token = agent.file("docs.read").json()["grant"]
    claims = jwt.decode(token, options={"verify_signature": False})
    moved = {name: claims[name] - 601 for name in ("iat", "nbf", "exp")}
    contract.problem(
        executor.post("grants/redeem", {"grant": forged(token, **moved), "parameters": READ}), "grant-lapsed"
    )
    assert executor.post("grants/redeem", {"grant": token, "parameters": READ}).status_code == 200


def test_a_filing_key_is_403_and_its_try_is_recorded(agent: Caller) -> None:
    body = {"grant": agent.file("docs.read").json()["grant"], "parameters": READ}
    contract.problem(agent.post("grants/redeem", body), "missing-scope")
    assert any(leaf["facts"].get("cause") == "missing-scope" for leaf in entries("refusal.recorded"))


def test_an_agents_key_redeems_where_an_administrator_gave_it_the_scope(
    server: Server, cast: Cast, agent: Caller
) -> None:
    key = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.REDEEM,))[1]
    body = {"grant": agent.file("docs.read").json()["grant"], "parameters": READ}
    assert Caller(server.url, key).post("grants/redeem", body).status_code == 200


@pytest.mark.parametrize("missing", ["grant", "parameters"])
def test_what_redeeming_needs_is_pointed_at(executor: Caller, missing: str) -> None:
    body = {"grant": "a.b.c", "parameters": {}}
    del body[missing]
    assert contract.pointers(executor.post("grants/redeem", body)) == [f"/{missing}"]
    assert contract.pointers(executor.post("grants/redeem", {"grant": "a.b.c", "parameters": {}, "x": 1})) == ["/x"]


def test_redeem_with_another_agents_key_is_grant_invalid_and_recorded(
    server: Server, cast: Cast, agent: Caller
) -> None:
    document = agent.file("docs.read").json()
    body = {"grant": document["grant"], "parameters": READ}
    other = registration.register_agent(
        by=SETTING_UP, slug="other", purpose="Another agent.", owner=cast["owner1"], level=1
    )
    stranger = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.REDEEM,))[1]
    for _ in range(2):
        contract.problem(Caller(server.url, stranger).post("grants/redeem", body), "grant-invalid")
    refused = entries("grant.refused") or entries("refusal.recorded")
    assert [leaf["actor"]["id"] for leaf in refused] == [str(other.pk)] * 2
    own = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.REDEEM,))[1]
    assert Caller(server.url, own).post("grants/redeem", body).status_code == 200
    spent = contract.problem(Caller(server.url, stranger).post("grants/redeem", body), "grant-invalid")
    assert "redeemed_at" not in spent
