"""With somebody's seat go the votes that stood on it alone, a delegate's too; and no other. The entry says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client

from accounts import departures, membership
from accounts.models import User
from approvals.models import Decision, Request
from approvals.tasks import escalate_due
from tests.domain.test_amending import edit
from tests.support import sealing
from tests.support.cast import Cast, decide, file_request, make_cast, make_person
from tests.support.colleagues import acting
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.times import LARGE, away, escalating, pass_time, run_out


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody, and a log that is being sealed."""
    with sealing.running():
        yield make_cast()


def unseat(cast: Cast, person: User, team: str) -> None:
    membership.unseat(by=acting(cast["admin1"]), person_id=person.pk, team=cast.teams[team])


def standing(request: Request) -> bool:
    """Whether its one vote stands; where not, its entry gives the same reason as its row."""
    vote = Decision.objects.get(request=request)
    told = [leaf["facts"]["reason"] for leaf in entries("decision.void") if leaf["subject"]["id"] == str(request.pk)]
    assert told == ([vote.void_reason] if vote.voided_at else [])
    return vote.voided_at is None


def why(request: Request) -> str:
    return Decision.objects.get(request=request).void_reason


# ---- after an edit: the teams that the edit asks


def test_after_an_edit_the_seat_is_one_that_the_edit_asks(cast: Cast) -> None:
    both = make_person("both", teams=[cast.teams["support"], cast.teams["finance"]])
    request = file_request(cast)  # 1 of support
    assert edit(request, both, amount_cents=20_000).status == "pending"  # 2 of finance
    unseat(cast, both, "support")
    assert standing(request)
    membership.seat(by=acting(cast["admin1"]), person_id=both.pk, team=cast.teams["support"])
    unseat(cast, both, "finance")
    assert not standing(request)
    assert why(request) == "The voter left the team finance."


# ---- an escalation


def test_whom_an_escalation_seated_keeps_that_with_the_team_it_went_to(cast: Cast) -> None:
    escalating()
    membership.seat(by=acting(cast["admin1"]), person_id=cast["leader1"].pk, team=cast.teams["support"])
    request = pass_time(file_request(cast, parameters=LARGE), timedelta(minutes=11))
    assert escalate_due() == 1
    decide(request, cast["leader1"])
    unseat(cast, cast["leader1"], "support")
    assert standing(request)
    unseat(cast, cast["leader1"], "leadership")
    assert not standing(request)


# ---- delegations


def test_a_delegate_who_leaves_a_team_that_is_not_asked_keeps_the_vote(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    unseat(cast, cast["support2"], "support")
    assert standing(request)
    assert decide(request, cast["finance2"]).status == "approved"


def test_what_had_fallen_already_is_not_laid_to_somebody_s_leaving(cast: Cast) -> None:
    delegation = away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    run_out(delegation)
    unseat(cast, cast["support2"], "support")
    assert standing(request)  # and counts for nothing: the delegation is over


def test_with_the_delegator_s_seat_goes_the_vote_of_who_stood_for_them(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    version = decide(request, cast["support2"]).version
    unseat(cast, cast["finance1"], "finance")
    assert not standing(request)
    assert why(request) == "The person the voter stood for left the team finance."
    assert Request.objects.get(pk=request.pk).version == version  # the agent does not learn that there was one
    membership.seat(by=acting(cast["admin1"]), person_id=cast["finance1"].pk, team=cast.teams["finance"])
    assert decide(request, cast["finance2"]).status == "pending"  # coming back does not bring the vote back


def test_with_the_delegator_s_account_goes_the_vote_of_who_stood_for_them(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    departures.deactivate(by=acting(cast["admin1"]), person_id=cast["finance1"].pk, reason="Left the company.")
    assert not standing(request)
    assert why(request) == "The person the voter stood for was deactivated."


def test_a_delegate_with_a_seat_of_their_own_keeps_the_vote(cast: Cast) -> None:
    away(cast["finance1"], cast["finance2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance2"])
    unseat(cast, cast["finance1"], "finance")
    assert standing(request)


def test_nothing_falls_where_nobody_left_a_seat(cast: Cast) -> None:
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance1"])
    unseat(cast, cast["owner1"], "support")
    assert standing(request)


def test_the_page_says_whose_vote_fell_for_whom_it_stood_and_why(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    unseat(cast, cast["finance1"], "finance")
    client = Client()
    client.force_login(cast["finance2"])
    page = said(client.get(f"/requests/{request.pk}/"))
    assert "(support2@example.test) for Fina Nowak" in page
    assert ": The person the voter stood for left the team finance." in page
