"""A policy that came after the filing: the queue, its page and the notices weigh by it, as the decision will."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from approvals.models import Request
from approvals.notifications.turns import turns_of
from tests.support.cast import Cast, decide, file_request, make_person
from tests.support.forms import said
from tests.support.times import LARGE, activate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sealed")]
SignedIn = Callable[..., Client]
TWO = '@id("refund-large")\n@require("2 of finance")'


def asks(requirement: str) -> None:
    """Put in force that large refunds ask for this."""
    activate((TWO, f'@id("refund-large")\n@require("{requirement}")'))


def queue(client: Client) -> Any:
    return client.get("/queue/").context["page"]


@pytest.fixture
def agreed(cast: Cast) -> Request:
    """A large refund on which one of finance has voted, by a policy that asked two."""
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance1"])
    return request


def test_where_more_are_asked_by_now_it_is_still_somebody_s_turn(
    cast: Cast, signed_in: SignedIn, agreed: Request
) -> None:
    third = make_person("finance3", teams=[cast.teams["finance"]])
    asks("3 of finance")
    assert decide(agreed, cast["finance2"]).status == "pending"
    client = Client()
    client.force_login(third)
    (row,) = queue(client).your_turn
    assert (row.id, row.progress) == (agreed.pk, "2 of 3 approvals")
    (waiting,) = queue(signed_in("finance1")).waiting
    assert waiting.progress == "2 of 3 approvals"
    assert turns_of([agreed.pk])[agreed.pk].people == {third.pk}
    assert decide(agreed, third).status == "approved"


def test_a_team_that_is_asked_only_by_now_sees_nothing_and_the_page_says_what_that_means(
    cast: Cast, signed_in: SignedIn, agreed: Request
) -> None:
    assert "which was not asked" not in said(signed_in("finance2").get(f"/requests/{agreed.pk}/"))
    asks("2 of finance, 1 of security")
    assert decide(agreed, cast["finance2"]).status == "pending"
    page = said(signed_in("finance1").get(f"/requests/{agreed.pk}/"))
    assert "The policy in force now also asks security, which was not asked when this was filed." in page
    assert signed_in("security1").get(f"/requests/{agreed.pk}/").status_code == 404
    assert queue(signed_in("security1")).your_turn == []
    turn = turns_of([agreed.pk])[agreed.pk]
    assert (turn.teams, turn.people) == (frozenset(), frozenset())


def test_who_may_decide_anyway_fills_the_seat_of_such_a_team(cast: Cast, agreed: Request) -> None:
    both = make_person("both", teams=[cast.teams["finance"], cast.teams["security"]])
    asks("2 of finance, 1 of security")
    decide(agreed, both)
    assert decide(agreed, cast["finance2"]).status == "approved"
    assert sorted(agreed.seats.values_list("team", flat=True)) == ["finance", "finance", "security"]


def test_where_another_way_is_left_nothing_is_said(cast: Cast, signed_in: SignedIn, agreed: Request) -> None:
    asks("2 of finance | 1 of security")
    assert "which was not asked" not in said(signed_in("finance2").get(f"/requests/{agreed.pk}/"))


def test_what_the_policy_of_now_blocks_waits_as_it_was_until_somebody_approves(
    cast: Cast, signed_in: SignedIn, agreed: Request
) -> None:
    activate(("context.parameters.amount_cents > 10000 ", "context.parameters.amount_cents > 10000000 "))
    (row,) = queue(signed_in("finance2")).your_turn
    assert row.progress == "1 of 2 approvals"
