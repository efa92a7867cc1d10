"""Whoever files, decides or redeems while an agent is suspended or all are stopped: afterwards nothing is alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from django.db import connection

from agents import permission, stops, suspension
from agents.problems import Problem
from approvals import redemption, requests
from approvals.api.documents import request_document
from approvals.errors import DecisionRefused
from approvals.models import Grant, Request
from approvals.queries import read
from approvals.queries import requests as annotated
from approvals.tasks import withdraw_stopped
from audit.entries import Party
from tests.support import sealing, services
from tests.support.cast import ORDINARY, Cast, decide, file_request, make_cast, open_page
from tests.support.eventually import eventually
from tests.support.racing import race

FILERS, DECIDERS, REDEEMERS = 20, 15, 15


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Those who decide and stop, and a log that is being sealed."""
    made = make_cast(only=("support1", "support2", "admin1", "admin2"))
    with sealing.running():
        yield made


def live_grants() -> int:
    """Grants that would still redeem, by the rows alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM approvals_grant WHERE redeemed_at IS NULL AND voided_at IS NULL"
            " AND epoch >= (SELECT coalesce(max(number), 0) FROM agents_stop)"
        )
        return int(cursor.fetchone()[0])


def redeemer(cast: Cast) -> partial[Any]:
    request = file_request(cast, "docs.read")
    seen = read(annotated(), request.pk)
    assert seen is not None
    return partial(
        redemption.redeem,
        credential=cast.credentials["executor"],
        token=request_document(seen)["grant"],
        parameters=request.parameters,
        action=None,
        resource=None,
    )


def crowd(cast: Cast) -> list[Callable[[], Any]]:
    """Filers of what policy allows and of what people decide, deciders with their pages open, redeemers."""
    actions = cycle(("docs.read", "refund.create"))
    deciders = []
    for name, _ in zip(cycle(("support1", "support2")), range(DECIDERS), strict=False):
        request = file_request(cast)
        deciders.append(partial(decide, request, cast[name], opened=open_page(request, cast[name])))
    return [
        *(partial(file_request, cast, next(actions)) for _ in range(FILERS)),
        *deciders,
        *(redeemer(cast) for _ in range(REDEEMERS)),
    ]


def unexpected(results: list[Any]) -> list[Any]:
    """What was raised and is not a refusal of ours."""
    return [one for one in results if isinstance(one, Exception) and not isinstance(one, Problem | DecisionRefused)]


@pytest.mark.parametrize("round_", range(3))
def test_fifty_who_file_decide_and_redeem_against_a_suspension_leave_nothing_alive(cast: Cast, round_: int) -> None:
    suspended_at: list[Any] = []

    def suspend() -> None:
        agent = suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast["admin1"].pk)), reason="Now.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            suspended_at.append((agent, cursor.fetchone()[0]))

    contenders = crowd(cast)
    contenders.insert((round_ + 1) * 10, suspend)
    results = race(*contenders)
    assert not unexpected(results), unexpected(results)
    assert len(suspended_at) == 1, results
    assert not Request.objects.filter(status="pending").exists()
    assert live_grants() == 0
    assert not Grant.objects.filter(redeemed_at__gt=suspended_at[0][1]).exists()


@pytest.mark.parametrize("round_", range(3))
def test_fifty_who_file_decide_and_redeem_against_a_stop_leave_nothing_that_could_be_used(
    cast: Cast, round_: int
) -> None:
    contenders = crowd(cast)
    contenders.insert((round_ + 1) * 10, partial(stops.begin, by=cast["admin1"], reason="Now."))
    results = race(*contenders)
    assert not unexpected(results), unexpected(results)
    assert stops.newest() == 1
    assert live_grants() == 0
    spent = Grant.objects.filter(redeemed_at__isnull=False).count()
    waiting = [request.pk for request in Request.objects.filter(status="pending", epoch=0)]
    for pk in waiting:
        with pytest.raises(DecisionRefused):
            decide(Request.objects.get(pk=pk), cast["support1"])
    eventually(lambda: withdraw_stopped() == 0, what="the sweep to be done")
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert not Request.objects.filter(status="pending").exists()
    assert not Grant.objects.filter(redeemed_at__isnull=True, voided_at__isnull=True).exists()
    assert Grant.objects.filter(redeemed_at__isnull=False).count() == spent


def test_filers_who_never_pause_cannot_keep_a_suspension_waiting(cast: Cast) -> None:
    done = threading.Event()

    def file_on() -> int:
        filed = 0
        while not done.is_set():
            if file_request(cast, "docs.read").status == "approved":
                filed += 1
        return filed

    def suspend() -> None:
        eventually(lambda: Request.objects.count() > 20, within=30, what="the filers to be at it")
        try:
            suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast["admin1"].pk)), reason="Now.")
        finally:
            done.set()

    results = race(suspend, *[file_on] * 6)
    assert results[0] is None, results[0]
    assert not unexpected(results)
    assert live_grants() == 0


def test_filings_of_one_agent_do_not_wait_for_each_other(cast: Cast) -> None:
    with services.connection("app") as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [permission.SPACE, str(cast.agent.pk)])
        other.execute("SELECT 1 FROM agents_agent FOR SHARE")
        assert file_request(cast, "docs.read").status == "approved"


class WhileSuspending:
    """Stands where the answer is remembered, after a verb's work and before its commit: somebody begins to suspend the
    agent, and the commit waits until they are done or stand waiting."""

    def __init__(self, cast: Cast) -> None:
        self.errors: list[Exception] = []
        self.thread = threading.Thread(target=self._suspend, args=(cast,))

    def _suspend(self, cast: Cast) -> None:
        try:
            suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast["admin1"].pk)), reason="Now.")
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()

    def claim(self) -> None:
        """Nothing to claim."""

    def keep(self, result: object) -> None:
        """Begin, and see it waiting."""
        self.thread.start()
        with services.connection("app") as looking:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            eventually(
                lambda: not self.thread.is_alive() or looking.execute(waiting).fetchone() != (0,),
                what="the suspension to wait or to be done",
            )

    def keep_refusal(self, problem: Problem) -> None:
        """Nothing is refused here."""
        raise AssertionError(problem)


@pytest.mark.parametrize("action", ["refund.create", "docs.read"])
def test_a_suspension_waits_for_a_filing_that_has_begun_and_sweeps_it(cast: Cast, action: str) -> None:
    filing = requests.Filing(action, "order/1", dict(ORDINARY[action]), "Once", "The carrier confirmed it.", {}, None)
    meanwhile = WhileSuspending(cast)
    filed = requests.file.under(meanwhile)(agent=cast.agent, credential=cast.credentials["agent"], filing=filing)
    meanwhile.thread.join(30)
    assert not meanwhile.errors
    assert filed.status in ("pending", "approved")
    assert not Request.objects.filter(status="pending").exists()
    assert live_grants() == 0


def test_a_suspension_waits_for_a_redemption_that_has_begun(cast: Cast) -> None:
    act = redeemer(cast)
    meanwhile = WhileSuspending(cast)
    redemption.redeem.under(meanwhile)(**act.keywords)
    meanwhile.thread.join(30)
    assert not meanwhile.errors
    assert Grant.objects.get().redeemed_at is not None
    assert Grant.objects.get().voided_at is None
