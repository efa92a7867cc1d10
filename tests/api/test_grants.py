"""The grant: its claims to the letter, who can verify it, for how long the same, and when it is gone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from django.test import override_settings
from joserfc import jws
from joserfc.jwk import KeySet, OKPKey

from approvals import grants, queries
from approvals.api.documents import etag, request_document
from approvals.errors import CannotRecord
from approvals.models import Request
from tests.support import contract, sealing, services
from tests.support.cast import Cast, decide
from tests.support.live import Caller, Server

CLAIMS = ["iss", "sub", "aud", "jti", "iat", "nbf", "exp", "req", "act", "rsc", "pdg", "lvl"]
ISSUER = "http://localhost:8000"


def key_set(server: Server) -> dict[str, Any]:
    """The published keys."""
    response = httpx.get(f"{server.url}/.well-known/jwks.json", headers={"Accept": "text/html"}, trust_env=False)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    document: dict[str, Any] = response.json()
    return document


def approved(agent: Caller, cast: Cast) -> dict[str, Any]:
    """A refund that a person approved, as the agent reads it."""
    document = agent.file().json()
    decide(Request.objects.get(pk=document["id"]), cast["support1"])
    return contract.request(agent.read(document["id"]), "approved")


def claims_of(token: str) -> dict[str, Any]:
    """The claims, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def seen_in(document: dict[str, Any], later: timedelta) -> queries.Seen:
    """The request as a read finds it that long after its approval."""
    request = queries.requests().get(pk=document["id"])
    return queries.Seen(request, request.grant.issued_at + later)


def move(document: dict[str, Any], **columns: str) -> None:
    """Set columns of the request's grant to SQL expressions, as the owner, its triggers at rest."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        assignments = ", ".join(f"{name} = {expression}" for name, expression in columns.items())
        owner.execute(f"UPDATE approvals_grant SET {assignments} WHERE request_id = %s", [document["id"]])


def test_the_claims_are_the_contracts_and_no_others(agent: Caller, cast: Cast) -> None:
    document = approved(agent, cast)
    token = document["grant"]
    header, claims = jwt.get_unverified_header(token), claims_of(token)
    assert header == {"alg": "EdDSA", "typ": "grant+jwt", "kid": header["kid"]}
    assert list(claims) == CLAIMS
    decided = contract.moment(document["decision"]["decided_at"])
    assert claims["iat"] == int(decided.timestamp())
    assert claims["nbf"] == claims["iat"] - 30
    assert claims["exp"] == claims["iat"] + 600
    assert contract.UUID7.fullmatch(claims["jti"])
    assert {name: claims[name] for name in ("iss", "sub", "aud", "req", "act", "rsc", "pdg", "lvl")} == {
        "iss": ISSUER,
        "sub": str(cast.agent.pk),
        "aud": ISSUER,
        "req": document["id"],
        "act": "refund.create",
        "rsc": document["resource"],
        "pdg": document["parameters_digest"],
        "lvl": "medium",
    }


def test_the_published_keys_carry_no_algorithm_and_nothing_private(server: Server, cast: Cast) -> None:
    keys = key_set(server)["keys"]
    assert keys
    for key in keys:
        assert sorted(key) == ["crv", "kid", "kty", "use", "x"]
        assert (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")


def test_pyjwt_verifies_a_grant_by_the_published_keys(server: Server, agent: Caller, cast: Cast) -> None:
    token = approved(agent, cast)["grant"]
    known = {key["kid"]: jwt.PyJWK(key, algorithm="EdDSA") for key in key_set(server)["keys"]}
    key = known[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=ISSUER, issuer=ISSUER)
    assert claims["act"] == "refund.create"


def test_joserfc_verifies_a_grant_by_the_published_keys(server: Server, agent: Caller, cast: Cast) -> None:
    token = approved(agent, cast)["grant"]
    verified = jws.deserialize_compact(token, KeySet.import_key_set(key_set(server)), algorithms=["EdDSA"])  # type: ignore[arg-type]
    assert json.loads(verified.payload)["act"] == "refund.create"


def test_reads_within_five_minutes_are_equal_to_the_byte(agent: Caller, cast: Cast) -> None:
    document = approved(agent, cast)
    first = agent.get(f"requests/{document['id']}")
    assert agent.get(f"requests/{document['id']}").content == first.content
    early, late = seen_in(document, timedelta(0)), seen_in(document, timedelta(minutes=5, microseconds=-1))
    assert request_document(early) == request_document(late) == first.json()
    assert etag(early) == etag(late) == first.headers["etag"]


def test_after_five_minutes_the_grant_is_renewed_with_the_same_id_and_another_validator(
    agent: Caller, cast: Cast
) -> None:
    document = approved(agent, cast)
    for steps in (1, 2, 11):
        seen = seen_in(document, timedelta(minutes=5 * steps, seconds=3))
        claims = claims_of(request_document(seen)["grant"])
        assert claims["jti"] == claims_of(document["grant"])["jti"]
        assert claims["iat"] == claims_of(document["grant"])["iat"] + 300 * steps
        assert claims["nbf"] == claims["iat"] - 30
        assert claims["exp"] <= claims["iat"] + 600
        assert etag(seen) not in (etag(seen_in(document, timedelta(0))), etag(seen_in(document, timedelta(hours=2))))


def test_no_grant_outlives_its_approval(agent: Caller, cast: Cast) -> None:
    document = approved(agent, cast)
    ends = contract.moment(document["decision"]["valid_until"])
    assert ends - contract.moment(document["decision"]["decided_at"]) == timedelta(hours=1)
    last = seen_in(document, timedelta(minutes=59, seconds=59))
    assert claims_of(request_document(last)["grant"])["exp"] == int(ends.timestamp())
    lapsed = seen_in(document, timedelta(hours=1))
    assert request_document(lapsed)["grant"] is None
    assert etag(lapsed) != etag(last)


def test_an_agent_that_comes_back_late_gets_a_fresh_grant_and_can_still_have_it_redeemed(
    agent: Caller, executor: Caller, cast: Cast
) -> None:
    document = approved(agent, cast)
    move(document, issued_at="issued_at - interval '47 minutes'", valid_until="valid_until - interval '47 minutes'")
    late = agent.read(document["id"])
    assert late["grant"] != document["grant"]
    body = {"grant": late["grant"], "parameters": document["parameters"]}
    with sealing.running():
        assert executor.post("grants/redeem", body).status_code == 200
    assert agent.read(document["id"])["grant"] is None


def test_once_the_approval_has_lapsed_there_is_no_grant_and_it_is_still_approved(agent: Caller, cast: Cast) -> None:
    document = approved(agent, cast)
    move(document, issued_at="issued_at - interval '1 hour'", valid_until="valid_until - interval '1 hour'")
    assert contract.request(agent.read(document["id"]), "approved")["grant"] is None


def test_an_approval_that_cannot_be_signed_is_not_taken_and_stays_pending(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    with override_settings(GRANT_KEY_PATH="/nowhere/grant.pem"), pytest.raises(CannotRecord) as refused:
        decide(Request.objects.get(pk=document["id"]), cast["support1"])
    assert refused.value.status == 503
    assert agent.read(document["id"]) == document
    assert decide(Request.objects.get(pk=document["id"]), cast["support1"]).status == "approved"


def test_a_new_key_is_published_a_day_before_it_signs_and_an_old_one_kept_until_its_last_grant_lapsed(
    server: Server, agent: Caller, cast: Cast
) -> None:
    document = approved(agent, cast)
    kid = jwt.get_unverified_header(document["grant"])["kid"]
    with services.connection("owner") as owner:
        owner.execute("SET session_replication_role = replica")  # past the guard: a key's date can't be changed
        owner.execute("UPDATE approvals_signingkey SET published_at = now() - interval '30 days'")
        owner.execute("INSERT INTO approvals_signingkey (kid, x) VALUES ('gone', 'AA'), ('going', 'BB')")
        owner.execute("UPDATE approvals_signingkey SET retired_at = now() - interval '26 hours' WHERE kid = 'gone'")
        owner.execute("UPDATE approvals_signingkey SET retired_at = now() - interval '1 hour' WHERE kid = 'going'")
    assert {key["kid"] for key in key_set(server)["keys"]} == {kid, "going"}
    assert isinstance(grants.private_keys()[kid], OKPKey)


def test_policys_executor_is_the_audience(cast: Cast) -> None:
    assert grants.audience_for("payments") == f"{ISSUER}/executors/payments"
    assert grants.audience_for(None) == ISSUER
