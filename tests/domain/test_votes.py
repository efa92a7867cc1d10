"""Voiding standing decisions: on pending requests only, each with its entry, and no agent learns of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from approvals import unseating
from approvals.models import Decision, Request
from audit.entries import Party
from tests.support import sealing
from tests.support.cast import Cast, decide, file_request, make_cast
from tests.support.leaves import entries

ADMIN = Party("system", "test")
LARGE = {"amount_cents": 20000, "currency": "usd"}  # 2 of finance


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """helpdesk and two of finance, and a log that is being sealed."""
    with sealing.running():
        yield make_cast(only=("finance1", "finance2"))


def test_what_somebody_decided_on_pending_requests_falls_with_an_entry_each_and_no_agent_notices(cast: Cast) -> None:
    one, other = file_request(cast, parameters=LARGE), file_request(cast, parameters=LARGE)
    for request in (one, other):
        decide(request, cast["finance1"], "approve")
    before = Request.objects.get(pk=one.pk).version
    with transaction.atomic():
        assert unseating.void_fallen(cast["finance1"].pk, active=False, by=ADMIN, what="was deactivated.") == 2
    for request in (one, other):
        vote = Decision.objects.get(request=request)
        assert vote.voided_at is not None
        assert vote.void_reason == "The voter was deactivated."
        assert [leaf["facts"] for leaf in entries("decision.void") if leaf["subject"]["id"] == str(request.pk)] == [
            {"decision": str(vote.pk), "person": str(cast["finance1"].pk), "reason": "The voter was deactivated."}
        ]
    assert Request.objects.get(pk=one.pk).version == before  # of which its ETag is made


def test_a_decision_on_a_request_that_ended_stays_as_it_was(cast: Cast) -> None:
    request = file_request(cast, parameters=LARGE)
    for person in ("finance1", "finance2"):
        decide(request, cast[person], "approve")
    with transaction.atomic():
        assert unseating.void_fallen(cast["finance1"].pk, active=False, by=ADMIN, what="was deactivated.") == 0
    assert not Decision.objects.filter(voided_at__isnull=False).exists()


def test_whose_vote_was_voided_may_vote_again_and_only_the_new_one_counts(cast: Cast) -> None:
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance1"], "approve")
    with transaction.atomic():
        unseating.void_fallen(cast["finance1"].pk, active=False, by=ADMIN, what="was deactivated.")
    assert decide(request, cast["finance2"], "approve").status == "pending"
    assert decide(request, cast["finance1"], "approve").status == "approved"
