"""At a decision both versions hold, the one frozen at filing and the one in force: the stricter of every term binds."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from django.test import Client, override_settings
from joserfc import jws
from joserfc.jwk import KeySet, OKPKey
from structlog.testing import capture_logs

from agents.problems import Problem
from approvals import grants, policies, queries
from approvals.errors import NotYours, StepUpNeeded, TooLate
from approvals.models import Decision, Request
from approvals.replay.tables import replay
from approvals.transactions import Guarded, time_limited
from audit.types import EntryType
from tests.support import sealing
from tests.support.cast import (
    SETTING_UP,
    Cast,
    decide,
    demo_policy,
    file_request,
    make_cast,
    open_page,
    overdue,
    totp_proof,
)
from tests.support.leaves import entries


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, support, finance."""
    return make_cast(only=("support1", "support2", "finance1", "finance2"))


SMALL = '@id("refund-small")\n@require("1 of support")\n@risk("medium")'
LARGE = '@id("refund-large")\n@require("2 of finance")\n@risk("high")'


def activate(before: str, after: str) -> None:
    """Put the demo's policy in force with some words replaced."""
    files = dict(demo_policy())
    assert before in files["demo.cedar"]
    files["demo.cedar"] = files["demo.cedar"].replace(before, after)
    with time_limited():
        policies.activate(files, by=SETTING_UP)


def claims(request: Request) -> dict[str, Any]:
    """What the request's grant says."""
    seen = queries.read(queries.requests(), request.pk)
    assert seen is not None
    token = grants.token(seen.request.grant, seen.request, seen.now)
    assert token is not None
    keys = KeySet([OKPKey.import_key(key) for key in grants.jwks()["keys"]])
    said: dict[str, Any] = json.loads(jws.deserialize_compact(token, keys, algorithms=["EdDSA"]).payload)
    return said


def test_a_shorter_yes_of_the_policy_in_force_binds_the_grant_and_the_request(cast: Cast) -> None:
    request = file_request(cast)
    activate(SMALL, '@id("refund-small")\n@require("1 of support")\n@valid("5m")\n@risk("medium")')
    decided = decide(request, cast["support1"])
    assert decided.valid_until is not None
    assert decided.decided_at is not None
    assert decided.valid_until - decided.decided_at == timedelta(minutes=5)
    assert decided.grant.valid_until == decided.valid_until


def test_the_higher_risk_of_the_policy_in_force_is_what_the_grant_says(cast: Cast) -> None:
    request = file_request(cast)
    activate(SMALL, '@id("refund-small")\n@require("1 of support")\n@risk("high")')
    with sealing.running():
        assert claims(decide(request, cast["support1"]))["lvl"] == "high"
    request.refresh_from_db()
    assert request.risk == "medium"  # what was filed does not change


def test_what_is_high_by_now_is_not_approved_from_a_page_that_shows_half_of_it(cast: Cast) -> None:
    request = file_request(cast, parameters={"note": "x" * 5_000})
    assert request.risk_unknown or request.risk == "medium"
    activate(SMALL, '@id("refund-small")\n@require("1 of support")\n@risk("high")')
    with sealing.running(), pytest.raises(NotYours, match="Not everything was shown"):
        decide(request, cast["support1"])
    assert not Decision.objects.exists()


def test_what_is_critical_by_now_is_not_approved_without_a_second_factor(cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    activate(LARGE, '@id("refund-large")\n@require("2 of finance")\n@stepup("true")\n@risk("high")')
    with sealing.running():
        with pytest.raises(StepUpNeeded):
            decide(request, cast["finance1"])
        assert decide(request, cast["finance1"], auth=totp_proof()).status == "pending"


def test_an_old_page_of_a_request_that_expired_is_told_so_and_not_that_it_is_old(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    overdue(request)
    with pytest.raises(TooLate):
        decide(request, cast["support1"], opened=opened)
    with pytest.raises(TooLate):
        decide(request, cast["support1"], opened=type(opened)(opened.display_digest, "no ticket of ours"))


def test_refused_decisions_cannot_flood_the_log(cast: Cast) -> None:
    request = file_request(cast)
    for _ in range(15):
        with pytest.raises(NotYours):
            decide(request, cast["finance1"])
    assert len(entries(EntryType.REFUSAL_RECORDED)) == 10


# ---- keys that cannot sign

ENCRYPTED = Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase")
)


def test_an_approval_is_read_with_503_while_no_key_can_sign_and_again_when_one_can(cast: Cast, tmp_path: Path) -> None:
    request = decide(file_request(cast), cast["support1"])
    client = Client(headers={"authorization": f"Bearer {cast.keys['agent']}"})
    with override_settings(GRANT_KEY_PATH=str(tmp_path / "gone.pem")):
        for path in (f"/api/v1/requests/{request.pk}", "/api/v1/requests"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:countersign:problem:busy")
    assert client.get(f"/api/v1/requests/{request.pk}").json()["grant"]


@pytest.mark.parametrize(
    "content", [b"not a key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"]
)
def test_what_policy_allows_is_blocked_while_no_key_can_sign_and_somebody_is_told(
    cast: Cast, tmp_path: Path, content: bytes
) -> None:
    key = tmp_path / "grant.pem"
    key.write_bytes(content)
    with override_settings(GRANT_KEY_PATH=str(key)), capture_logs() as logs:
        request = file_request(cast, "docs.read")
    assert (request.status, request.retry) == ("blocked", "later")
    why = "The grant key grant.pem is not an Ed25519 key in PEM, without a password."
    assert [(log["event"], log.get("cause") or log["why"]) for log in logs] == [
        ("grants.cannot_sign", why),
        ("policy.alarm", "signing-key-unreadable"),
    ]


# ---- the database's own promises, met as refusals


def test_a_write_that_a_guard_refuses_is_told_as_busy_and_not_as_a_fault(cast: Cast) -> None:
    request = decide(file_request(cast), cast["support1"], "reject", rationale="No.")
    with pytest.raises(Guarded) as refused, time_limited():
        Request.objects.filter(pk=request.pk).update(status="pending")
    assert (refused.value.kind, refused.value.status) == ("transition", 503)
    assert isinstance(refused.value, Problem)


def test_a_list_of_pending_requests_does_not_wade_through_the_overdue(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        overdue(file_request(cast), by=timedelta(hours=1))
    client = Client(headers={"authorization": f"Bearer {cast.keys['agent']}"})
    with django_assert_max_num_queries(6):
        answer = client.get("/api/v1/requests?status=pending&limit=1")
    assert answer.json() == {"results": [], "next": None}


def test_the_entry_of_an_approval_says_what_was_asked_when_it_was_given(cast: Cast) -> None:
    request = file_request(cast)
    activate(SMALL, '@id("refund-small")\n@require("2 of support")\n@stepup("true")\n@risk("high")')
    with sealing.running():
        decide(request, cast["support1"], auth=totp_proof())
        decide(request, cast["support2"], auth=totp_proof())
    (facts,) = (leaf["facts"] for leaf in entries("request.approved"))
    assert facts["quorum"] == [[{"team": "support", "count": 2}]]
    assert (facts["people_floor"], facts["stepup"], facts["risk"]) == (1, True, "medium")
    assert replay().faults == []
