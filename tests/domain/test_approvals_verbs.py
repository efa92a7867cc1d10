"""What every verb keeps: one durable transaction, refusals undone with their evidence, nothing without evidence."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from accounts.models import Membership
from agents.problems import Problem
from agents.redis_link import Away, Link
from approvals import requests
from approvals.errors import (
    AlreadyDecided,
    ChangedMeanwhile,
    DecisionRefused,
    NotYours,
    SameDecisionAgain,
    StepUpNeeded,
    Unfit,
)
from approvals.models import Decision, Request
from audit.entries import EvidenceUnavailable
from tests.support import sealing, services
from tests.support.cast import Cast, Opened, decide, file_request, held, make_cast, open_page, totp_proof
from tests.support.forging import forging
from tests.support.leaves import entries


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, two of finance, one of support, and the owner, who sits in support too."""
    return make_cast(only=("support1", "finance1", "finance2"))


@contextmanager
def no_evidence() -> Iterator[None]:
    """The application may not write evidence until the block ends."""
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            yield
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")


# ---- no decision without evidence
def test_where_evidence_cannot_be_written_nothing_is_filed_decided_or_withdrawn(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    with no_evidence():
        with pytest.raises(EvidenceUnavailable):
            file_request(cast)
        for verdict in ("approve", "reject"):
            with pytest.raises((EvidenceUnavailable, DecisionRefused)):
                decide(request, cast["support1"], verdict, rationale="We have looked at it.", opened=opened)
        with pytest.raises(EvidenceUnavailable):
            requests.withdraw(agent=cast.agent, request_id=request.pk, reason="")
    now = Request.objects.get()
    assert (now.status, now.version, Decision.objects.count()) == ("pending", 1, 0)
    assert decide(request, cast["support1"], opened=opened).status == "approved"


def test_without_a_live_log_high_risk_is_not_approved_and_rejecting_works(cast: Cast) -> None:
    large = file_request(cast, parameters={"amount_cents": 50_000})
    with services.connection("owner") as owner:
        owner.execute("UPDATE audit_sealerstate SET alive_at = now() - interval '1 minute'")
    with pytest.raises(DecisionRefused) as refused:
        decide(large, cast["finance1"], rationale="The carrier's report matches our records.")
    assert refused.value.status == 503
    assert Decision.objects.count() == 0
    assert decide(file_request(cast), cast["support1"]).status == "approved"  # medium risk goes on
    assert decide(large, cast["finance1"], "reject", rationale="Not this one.").status == "rejected"


# ---- refusals
def test_a_refused_decision_changes_nothing_and_leaves_its_evidence(cast: Cast) -> None:
    request = file_request(cast)
    with pytest.raises(NotYours):
        decide(request, cast["owner1"])
    with pytest.raises(NotYours):
        decide(request, cast["finance1"])
    now = Request.objects.get()
    assert (now.status, now.version, Decision.objects.count()) == ("pending", 1, 0)
    refused = entries("refusal.recorded")
    assert [leaf["actor"]["id"] for leaf in refused] == [str(cast["owner1"].pk), str(cast["finance1"].pk)]
    assert {leaf["facts"]["cause"] for leaf in refused} == {"decision-not-yours"}


def test_the_owner_may_always_reject(cast: Cast) -> None:
    assert decide(file_request(cast), cast["owner1"], "reject", rationale="Not this one.").status == "rejected"


def test_a_page_of_another_person_session_or_request_decides_nothing(cast: Cast) -> None:
    request, other = file_request(cast), file_request(cast)
    mine = open_page(request, cast["support1"])
    for opened in (
        open_page(request, cast["owner1"]),
        open_page(other, cast["support1"]),
        Opened(mine.display_digest, mine.view_id, "another session"),
        Opened("sha256:" + "0" * 64, mine.view_id),
        Opened(mine.display_digest, mine.view_id[:-2]),
        Opened(mine.display_digest, ""),
    ):
        with pytest.raises(ChangedMeanwhile) as refused:
            decide(request, cast["support1"], opened=opened)
        assert refused.value.status == 409
    assert Request.objects.get(pk=request.pk).status == "pending"
    assert decide(request, cast["support1"], opened=mine).status == "approved"


def test_one_page_decides_once_and_a_second_click_hears_the_same(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    decide(request, cast["support1"], opened=opened)
    with pytest.raises(SameDecisionAgain):
        decide(request, cast["support1"], opened=opened)
    with pytest.raises(AlreadyDecided):
        decide(request, cast["support1"], "reject", rationale="Not this one.", opened=opened)


def test_a_form_error_spends_nothing_and_is_nobodys_evidence(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    with pytest.raises(Unfit) as refused:
        decide(request, cast["support1"], "reject", rationale="  ", opened=opened)
    assert list(refused.value.fields) == ["rationale"]
    with pytest.raises(Unfit):
        decide(request, cast["support1"], "reject", rationale="Sam, of support1@example.test.", opened=opened)
    with pytest.raises(Unfit):
        decide(request, cast["support1"], "maybe", opened=opened)
    assert entries("refusal.recorded") == []
    assert decide(request, cast["support1"], opened=opened).status == "approved"


# ---- a quorum counts people as they are now
def test_an_earlier_voter_who_left_their_team_or_the_house_is_not_counted(cast: Cast) -> None:
    for leave in (
        lambda: Membership.objects.filter(user=cast["finance1"]).delete(),
        lambda: type(cast["finance1"]).objects.filter(pk=cast["finance1"].pk).update(is_active=False),
    ):
        large = file_request(cast, parameters={"amount_cents": 50_000})
        kept = list(Membership.objects.filter(user=cast["finance1"]))
        with sealing.running():
            why = "The carrier's report matches our records."
            assert decide(large, cast["finance1"], rationale=why).status == "pending"
            with forging():
                leave()
            assert decide(large, cast["finance2"], rationale=why).status == "pending"
        with forging():
            Membership.objects.bulk_create(kept, ignore_conflicts=True)


def test_a_critical_request_is_only_rejected_with_a_password_and_approved_with_second_factors(
    transactional_db: None,
) -> None:
    cast = make_cast(only=("privacy1", "security1"))
    request, other = file_request(cast, "customer.export"), file_request(cast, "customer.export")
    why: dict[str, Any] = {"rationale": "This is what legal asked for.", "confirm": "1204"}
    with sealing.running():
        with pytest.raises(StepUpNeeded, match="second factor"):
            decide(request, cast["privacy1"], **why)
        assert decide(other, cast["privacy1"], auth=totp_proof(), **why).status == "pending"
        assert decide(other, cast["security1"], auth=totp_proof(), **why).status == "approved"
    assert decide(request, cast["security1"], "reject", rationale="Not this one.").status == "rejected"


# ---- transactions
def test_a_verb_is_the_outermost_transaction(cast: Cast) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        file_request(cast)


def test_a_request_that_somebody_holds_too_long_is_busy_and_nothing_is_done(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    began = time.monotonic()
    with held(request), pytest.raises(Problem) as refused:
        decide(request, cast["support1"], opened=opened)
    assert (refused.value.slug, refused.value.status) == ("busy", 503)
    assert 4 < time.monotonic() - began < 7
    assert Request.objects.get().status == "pending"


# ---- a Redis that hangs
@pytest.fixture
def hung() -> Iterator[str]:
    """The address of something that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_a_hung_redis_costs_a_quarter_of_a_second_and_is_then_left_alone_for_five(hung: str) -> None:
    link = Link(hung)
    spent = []
    for _ in range(4):
        began = time.monotonic()
        with pytest.raises(Away):
            link.call(lambda client: client.ping())
        spent.append(time.monotonic() - began)
    assert 0.2 < spent[0] < 0.6
    assert max(spent[1:]) < 0.05
    assert link._away_until - time.monotonic() > 4


def test_a_verb_does_not_wait_on_a_hung_redis(cast: Cast, hung: str) -> None:
    first = file_request(cast)
    with override_settings(REDIS_URL=hung):
        began = time.monotonic()
        for request in (first, file_request(cast)):
            assert decide(request, cast["support1"]).status == "approved"
        assert time.monotonic() - began < 2
