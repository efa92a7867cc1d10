"""Allowances as evidence and under load: each act with its proof, each refusal with its entry, never too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from accounts.models import User
from agents import stops
from approvals import allowances, stopping
from approvals.allowances import Wanted
from approvals.errors import DecisionRefused, NotYours, Unfit
from approvals.models import Allowance, Request
from approvals.tasks import withdraw_stopped
from tests.support import sealing
from tests.support.cast import Cast, file_request, make_cast, password_proof
from tests.support.forging import forging
from tests.support.leaves import entries

SMALL = "context.parameters.amount_cents <= 5000"
MAIL = 'context.parameters.to == "ada@customer.example"'
LARGE = "context.parameters.amount_cents <= 20000"
WHY = "Parcels of that carrier are lost each week, small amounts."


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Those who decide refunds, and a log that is being sealed."""
    made = make_cast(only=("support1", "support2", "finance1", "finance2", "admin1"))
    with sealing.running():
        yield made


def propose(cast: Cast, basis: Request, by: str = "support1", condition: str = SMALL, why: str = WHY) -> Allowance:
    return allowances.propose(
        person=cast[by], request_id=basis.pk, wanted=Wanted(condition, 3, 24, why), auth=password_proof()
    )


def revoke(cast: Cast, allowance: Allowance, by: str = "support1", reason: str = "Enough.") -> Allowance:
    return allowances.revoke(person=cast[by], allowance_id=allowance.pk, reason=reason, auth=password_proof())


def agree(cast: Cast, allowance: Allowance, by: str) -> Allowance:
    return allowances.agree(person=cast[by], allowance_id=allowance.pk, why=WHY, auth=password_proof())


# ---- evidence
def test_proposing_agreeing_and_revoking_are_recorded_with_how_the_person_signed_in(cast: Cast) -> None:
    large = file_request(cast, parameters={"amount_cents": 20_000})
    allowance = agree(cast, propose(cast, large, "finance1", LARGE), "finance2")
    revoke(cast, allowance, "finance2")
    for kind in ("allowance.proposed", "allowance.agreed", "allowance.revoked"):
        assert {leaf["auth"]["method"] for leaf in entries(kind)} == {"password"}, kind


def test_what_is_refused_leaves_an_entry_and_what_was_mistyped_none(cast: Cast) -> None:
    basis = file_request(cast)
    large = file_request(cast, parameters={"amount_cents": 20_000})
    allowance = propose(cast, basis)
    waiting = propose(cast, large, "finance1", LARGE)
    with pytest.raises(NotYours):
        propose(cast, basis, "finance1")
    with pytest.raises(NotYours):
        agree(cast, waiting, "support1")
    with pytest.raises(NotYours):
        revoke(cast, allowance, "finance1")
    revoke(cast, allowance)
    with pytest.raises(DecisionRefused):
        revoke(cast, allowance)
    for mistyped in (lambda: propose(cast, basis, why="ok"), lambda: revoke(cast, waiting, "finance1", " ")):
        with pytest.raises(Unfit):
            mistyped()
    found = [
        (leaf["actor"]["id"], leaf["subject"]["id"], leaf["facts"]["cause"]) for leaf in entries("refusal.recorded")
    ]
    assert Counter(found) == Counter(
        [
            (str(cast["finance1"].pk), str(basis.pk), "allowance-not-yours"),
            (str(cast["support1"].pk), str(waiting.pk), "allowance-not-yours"),
            (str(cast["finance1"].pk), str(allowance.pk), "allowance-not-yours"),
            (str(cast["support1"].pk), str(allowance.pk), "allowance-already-decided"),
        ]
    )


def test_who_is_not_active_revokes_nothing(cast: Cast) -> None:
    allowance = propose(cast, file_request(cast))
    with forging():
        User.objects.filter(pk=cast["support2"].pk).update(is_active=False)
    with pytest.raises(NotYours):
        revoke(cast, allowance, "support2")
    assert Allowance.objects.get().revoked_at is None


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 501, "Enough \u202eof it", "Enough\u200b"])
def test_a_revocation_says_why_in_few_words_that_are_all_seen(cast: Cast, reason: str) -> None:
    allowance = propose(cast, file_request(cast))
    with pytest.raises(Unfit) as unfit:
        revoke(cast, allowance, reason=reason)
    assert set(unfit.value.fields) == {"reason"}
    assert revoke(cast, allowance, reason=" Enough\r\n  of it. ").revoke_reason == "Enough of it."


# ---- load
def test_twenty_are_open_for_one_agent_and_action_at_most(cast: Cast) -> None:
    basis = file_request(cast)
    made = [propose(cast, basis) for _ in range(20)]
    with pytest.raises(DecisionRefused, match="20 allowances are open") as refused:
        propose(cast, basis)
    assert refused.value.status == 409
    propose(cast, file_request(cast, "email.send"), condition=MAIL)
    revoke(cast, made[0])
    propose(cast, basis)
    assert Allowance.objects.count() == 22


def test_a_stop_ends_allowances_batch_after_batch(cast: Cast) -> None:
    basis = file_request(cast)
    for _ in range(3):
        propose(cast, basis)
    stops.begin(by=cast["admin1"], reason="Odd.")
    assert stopping.end_stopped(limit=2) == 2
    assert withdraw_stopped() >= 1
    assert not Allowance.objects.filter(revoked_at__isnull=True).exists()
    assert len(entries("allowance.revoked")) == 3
