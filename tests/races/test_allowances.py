"""An allowance counted down by many at once: exactly its uses, each its own number, and none after it was revoked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection

from agents.problems import Problem
from approvals import allowances
from approvals.allowances import Wanted
from approvals.errors import EnoughAllowed, NotYours
from approvals.models import Allowance, AllowanceUse, Grant, Request
from tests.support import sealing, services
from tests.support.cast import Cast, file_request, make_cast, password_proof
from tests.support.eventually import eventually
from tests.support.forging import AT_REST
from tests.support.racing import race, split

WHY = "Parcels of that carrier are lost each week, small amounts."
FIFTY = 50


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Those who decide refunds, and a log that is being sealed."""
    made = make_cast(only=("support1", "support2", "finance1", "finance2"))
    with sealing.running():
        yield made


def allowed(cast: Cast, uses: int) -> Allowance:
    return allowances.propose(
        person=cast["support1"],
        request_id=file_request(cast).pk,
        wanted=Wanted("context.parameters.amount_cents <= 5000", uses, 24, WHY),
        auth=password_proof(),
    )


def filed_again(cast: Cast) -> Request:
    """Filed as a client would: 503 busy means that nothing was done, so it asks again."""
    for _ in range(5):
        try:
            return file_request(cast)
        except Problem as problem:
            if problem.slug != "busy":
                raise
    raise AssertionError("busy five times")


def test_of_fifty_filings_against_ten_uses_exactly_ten_are_approved(cast: Cast) -> None:
    allowance = allowed(cast, 10)
    results = race(*[partial(filed_again, cast)] * FIFTY)
    assert not [one for one in results if isinstance(one, Exception)], results
    assert Counter(one.status for one in results) == {"approved": 10, "pending": FIFTY - 10}
    assert Allowance.objects.get(pk=allowance.pk).uses_left == 0
    assert sorted(AllowanceUse.objects.values_list("number", flat=True)) == list(range(1, 11))
    assert Grant.objects.count() == 10


def test_nothing_is_used_after_a_revocation_and_what_was_used_before_is_void(cast: Cast) -> None:
    allowance = allowed(cast, 40)
    revoked_at: list[Any] = []

    def revoke() -> None:
        allowances.revoke(person=cast["support2"], allowance_id=allowance.pk, reason="Enough.", auth=password_proof())
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            revoked_at.append(cursor.fetchone()[0])

    contenders: list[Any] = [partial(filed_again, cast)] * 30
    contenders.insert(10, revoke)
    results = race(*contenders)
    assert not [one for one in results if isinstance(one, Exception)], results
    assert revoked_at
    assert not AllowanceUse.objects.filter(at__gt=revoked_at[0]).exists()
    assert not Grant.objects.filter(voided_at__isnull=True).exists()
    assert file_request(cast).status == "pending"


def test_two_of_finance_who_agree_at_once_bring_it_into_force_once(cast: Cast) -> None:
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    allowance = allowances.propose(
        person=cast["finance1"],
        request_id=basis.pk,
        wanted=Wanted("context.parameters.amount_cents <= 20000", 5, 24, WHY),
        auth=password_proof(),
    )
    agree = partial(
        allowances.agree, person=cast["finance2"], allowance_id=allowance.pk, why=WHY, auth=password_proof()
    )
    results = race(agree, agree, agree)
    assert sum(1 for one in results if isinstance(one, Allowance)) == 1
    assert Allowance.objects.get(pk=allowance.pk).active_at is not None
    assert allowance.agreements.count() == 2


def test_an_agreement_waits_for_a_deactivation_that_is_under_way_and_finds_it(cast: Cast) -> None:
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    allowance = allowances.propose(
        person=cast["finance1"],
        request_id=basis.pk,
        wanted=Wanted("context.parameters.amount_cents <= 20000", 5, 24, WHY),
        auth=password_proof(),
    )
    outcome: list[object] = []

    def agree() -> None:
        try:
            outcome.append(
                allowances.agree(person=cast["finance2"], allowance_id=allowance.pk, why=WHY, auth=password_proof())
            )
        except Exception as error:
            outcome.append(error)
        finally:
            connection.close()

    agreeing = threading.Thread(target=agree)
    with services.connection("owner") as leaving:
        with leaving.transaction():
            leaving.execute(AT_REST)
            leaving.execute("UPDATE accounts_user SET is_active = false WHERE id = %s", [cast["finance2"].pk])
            agreeing.start()
            eventually(lambda: outcome or _somebody_waits(), what="the agreement to wait or to end")
        agreeing.join(30)
    assert [type(one) for one in outcome] == [NotYours]
    assert Allowance.objects.get(pk=allowance.pk).active_at is None


def _somebody_waits() -> bool:
    with services.connection("owner") as owner:
        row = owner.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return bool(row and row[0])


def test_of_many_proposed_at_once_no_more_than_twenty_are_open(cast: Cast) -> None:
    basis = file_request(cast)

    def one() -> Allowance:
        return allowances.propose(
            person=cast["support1"],
            request_id=basis.pk,
            wanted=Wanted("context.parameters.amount_cents <= 5000", 1, 24, WHY),
            auth=password_proof(),
        )

    for _ in range(18):
        one()
    made, refused = split(race(*[one] * 8))
    assert len(made) == 2
    assert {type(error) for error in refused} <= {EnoughAllowed, Problem}
