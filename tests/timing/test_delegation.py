"""Delegation: for a bounded time one person's vote stands for another's, once, and never where either is barred."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction
from django.db.utils import DatabaseError
from django.test import Client

from accounts import delegations
from accounts.absence import Delegation
from accounts.acting import Refused
from accounts.models import User
from approvals import access, marks, queries
from approvals.errors import NotYours, StepUpNeeded
from approvals.models import Decision, Notice, Request
from approvals.tasks import escalate_due
from tests.domain.test_approvals_guards import APPROVE, NO_QUORUM, approval, entry, grant, refused, seat, vote
from tests.support import services
from tests.support.cast import Cast, decide, file_request, leaves_teams, sits_in, totp_proof
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.notifications import make_due, send_all
from tests.support.racing import race, split
from tests.support.times import LARGE, away, escalating, pass_time, run_out

SignedIn = Callable[[str], Client]
DAY = timedelta(days=1)


# ---- naming


def test_a_delegation_is_kept_with_its_entry_and_its_reason_is_personal(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"], reason="Parental leave")
    (entry,) = entries("delegation.made")
    assert entry["actor"]["id"] == str(cast["finance1"].pk)
    assert entry["facts"]["delegator"] == str(cast["finance1"].pk)
    assert entry["facts"]["delegate"] == str(cast["support2"].pk)
    assert "Parental" not in str(entry)
    assert made.named_by_id == cast["finance1"].pk


def test_nobody_stands_for_themself_and_both_are_active(cast: Cast) -> None:
    with pytest.raises(Refused, match="themselves"):
        away(cast["finance1"], cast["finance1"])
    with forging():
        User.objects.filter(pk=cast["support2"].pk).update(is_active=False)
    with pytest.raises(Refused, match="not active"):
        away(cast["finance1"], cast["support2"])
    with pytest.raises(Refused, match="not active"):
        away(cast["support2"], cast["finance1"], by=cast["admin1"])


@pytest.mark.parametrize(
    ("starts_in", "lasts", "why"),
    [
        (timedelta(), timedelta(days=30, seconds=1), "30 days"),
        (timedelta(days=90, seconds=30), DAY, "90 days"),
        (timedelta(), -DAY, "in the past"),
        (2 * DAY, -DAY, "before it begins"),
        (timedelta(), timedelta(minutes=14, seconds=59), "15 minutes at least"),
    ],
)
def test_it_is_bounded(cast: Cast, starts_in: timedelta, lasts: timedelta, why: str) -> None:
    with pytest.raises(Refused, match=why):
        away(cast["finance1"], cast["support2"], starts_in=starts_in, lasts=lasts)


def test_no_more_than_ten_are_planned_at_once(cast: Cast) -> None:
    for number in range(10):
        away(cast["finance1"], cast["support2"], starts_in=2 * number * DAY, lasts=DAY)
    with pytest.raises(Refused, match="end one first"):
        away(cast["finance1"], cast["support2"], starts_in=40 * DAY, lasts=DAY)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
def test_it_has_a_reason_of_a_sentence(cast: Cast, reason: str) -> None:
    with pytest.raises(Refused):
        away(cast["finance1"], cast["support2"], reason=reason)


def test_one_delegate_at_a_time_and_another_afterwards(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"], starts_in=2 * DAY, lasts=2 * DAY)
    with pytest.raises(Refused, match="already"):
        away(cast["finance1"], cast["support1"], starts_in=DAY, lasts=2 * DAY)
    away(cast["finance1"], cast["support1"], starts_in=4 * DAY + timedelta(minutes=1))
    away(cast["finance1"], cast["support1"], lasts=DAY)


def test_one_that_was_ended_is_in_nobodys_way(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"])
    delegations.end(by=cast["finance1"], delegation_id=made.pk)
    away(cast["finance1"], cast["support1"])


def test_of_many_named_at_once_one_is(cast: Cast) -> None:
    others = [cast[name] for name in ("support1", "support2", "finance2", "privacy1")]
    made, not_made = split(race(*(lambda other=other: away(cast["finance1"], other) for other in others)))
    assert (len(made), {type(one) for one in not_made}) == (1, {Refused})


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_of_any_length_is_refused(cast: Cast, length: int) -> None:
    chain = [cast[name] for name in ("finance1", "finance2", "support1", "support2", "privacy1")][:length]
    for delegator, delegate in pairwise(chain):
        away(delegator, delegate)
    with pytest.raises(Refused, match="circle"):
        away(chain[-1], chain[0])
    away(chain[-1], chain[0], starts_in=DAY + timedelta(minutes=1))  # not at any common moment


def test_two_who_name_each_other_at_once_close_no_circle(cast: Cast) -> None:
    one, other = cast["finance1"], cast["finance2"]
    made, not_made = split(race(lambda: away(one, other), lambda: away(other, one)))
    assert (len(made), [type(error) for error in not_made]) == (1, [Refused])


def test_an_administrator_names_one_for_somebody_else_but_not_themself(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"], by=cast["admin1"])
    assert made.named_by_id == cast["admin1"].pk
    assert entries("delegation.made")[0]["actor"]["id"] == str(cast["admin1"].pk)
    with pytest.raises(Refused, match="another administrator"):
        away(cast["finance2"], cast["admin1"], by=cast["admin1"])
    with pytest.raises(Refused, match="Only an administrator"):
        away(cast["finance2"], cast["support1"], by=cast["support2"])


def test_the_delegator_and_an_administrator_end_it_at_once_and_nobody_else(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"])
    for name in ("support2", "finance2", "auditor1"):
        with pytest.raises(Delegation.DoesNotExist):
            delegations.end(by=cast[name], delegation_id=made.pk)
    delegations.end(by=cast["admin1"], delegation_id=made.pk)
    assert access.viewer(cast["support2"]).held == ()
    assert [entry["actor"]["id"] for entry in entries("delegation.ended")] == [str(cast["admin1"].pk)]
    with pytest.raises(Refused, match="ended already"):
        delegations.end(by=cast["finance1"], delegation_id=made.pk)


@pytest.mark.parametrize(
    "change", ["delegate_id = delegator_id", "ends_at = ends_at + interval '1 day'", "reason = 'other'"]
)
def test_a_row_never_changes_but_to_be_ended_and_stays(cast: Cast, change: str) -> None:
    away(cast["finance1"], cast["support2"])
    with services.connection("app") as app:
        assert refused(app, (f"UPDATE accounts_delegation SET {change}", {})) == "CS409"
        assert refused(app, ("DELETE FROM accounts_delegation", {})) == "CS409"


def test_the_database_itself_refuses_two_at_once_a_backdated_and_an_endless_one(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    now = queries.clock()

    def row(**more: object) -> Delegation:
        given = {"delegator": cast["finance1"], "delegate": cast["support1"], "named_by": cast["finance1"],
                 "starts_at": now, "ends_at": now + DAY, "reason": "r", **more}  # fmt: skip
        return Delegation(**given)

    for bad in (
        row(),
        row(delegator=cast["finance2"], starts_at=now - DAY, ends_at=now + DAY),
        row(delegator=cast["finance2"], ends_at=now + timedelta(days=31)),
        row(delegator=cast["support1"]),
    ):
        with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
            bad.save(force_insert=True)


# ---- the vote that stands for another's


def test_the_delegate_fills_the_delegators_seat_and_the_decision_says_for_whom(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    assert decide(request, cast["support2"]).status == "pending"
    assert decide(request, cast["finance2"]).status == "approved"
    kept = Decision.objects.get(request=request, person=cast["support2"])
    source = {"delegation": str(made.pk), "person": str(cast["finance1"].pk), "teams": ["finance"]}
    assert (kept.teams, kept.delegated_from) == (["support"], [source])
    recorded = {entry["actor"]["id"]: entry["facts"]["delegated_from"] for entry in entries("decision.recorded")}
    assert recorded == {str(cast["support2"].pk): [source], str(cast["finance2"].pk): []}


def test_without_a_delegation_or_outside_its_period_they_may_not(cast: Cast) -> None:
    request = file_request(cast, parameters=LARGE)
    away(cast["finance1"], cast["support2"], starts_in=timedelta(hours=1))
    with pytest.raises(NotYours):
        decide(request, cast["support2"])
    run_out(Delegation.objects.get())
    with pytest.raises(NotYours):
        decide(request, cast["support2"])


def test_authority_counts_once_when_the_delegator_votes_afterwards(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    assert decide(request, cast["finance1"]).status == "pending"
    assert decide(request, cast["finance2"]).status == "approved"
    people = set(request.seats.values_list("decision__person__email", flat=True))
    assert people == {"finance1@example.test", "finance2@example.test"}


def test_when_the_delegator_has_voted_the_delegation_gives_nothing(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance1"])
    with pytest.raises(NotYours, match="decided on this request themself"):
        decide(request, cast["support2"])


def test_a_delegate_of_the_same_team_is_one_person(cast: Cast) -> None:
    away(cast["finance1"], cast["finance2"])
    request = file_request(cast, parameters=LARGE)
    assert decide(request, cast["finance2"]).status == "pending"
    with services.connection("app") as app:
        assert refused(app, *approval(request, (cast["finance1"], "finance"))) == NO_QUORUM


def test_who_holds_several_counts_once(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    away(cast["finance2"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    assert decide(request, cast["support2"]).status == "pending"
    assert len(Decision.objects.get().delegated_from) == 2


def test_it_is_not_passed_on(cast: Cast) -> None:
    away(cast["finance1"], cast["support1"])
    away(cast["support1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    with pytest.raises(NotYours):
        decide(request, cast["support2"])


def test_never_for_an_agent_that_the_delegate_or_the_delegator_answers_for(cast: Cast) -> None:
    sits_in(cast["owner1"], cast.teams["finance"])
    away(cast["finance1"], cast["owner1"])
    away(cast["owner1"], cast["privacy1"])
    request = file_request(cast, parameters=LARGE)
    with pytest.raises(NotYours, match="answer for this agent"):
        decide(request, cast["owner1"])
    with pytest.raises(NotYours, match="none of the teams"):
        decide(request, cast["privacy1"])
    assert not access.visible_to(access.viewer(cast["privacy1"])).filter(pk=request.pk).exists()


def _inactive(cast: Cast) -> None:
    with forging():
        User.objects.filter(pk=cast["finance1"].pk).update(is_active=False)


def _left(cast: Cast) -> None:
    leaves_teams(cast["finance1"])


def _ended(cast: Cast) -> None:
    delegations.end(by=cast["finance1"], delegation_id=Delegation.objects.get().pk)


def _ran_out(cast: Cast) -> None:
    run_out(Delegation.objects.get())


def _owns(cast: Cast) -> None:
    with forging():
        type(cast.agent).objects.filter(pk=cast.agent.pk).update(owner=cast["finance1"])


@pytest.mark.parametrize("what", [_inactive, _left, _ended, _ran_out, _owns])
def test_what_ends_the_authority_ends_it_for_votes_given_too(cast: Cast, what: Callable[[Cast], None]) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["support2"])
    what(cast)
    sits_in(cast["privacy1"], cast.teams["finance"])
    assert decide(request, cast["finance2"]).status == "pending"
    with services.connection("app") as app:  # nor does the database take the seat
        key = Decision.objects.get(request=request, person=cast["support2"]).pk
        other = Decision.objects.get(request=request, person=cast["finance2"]).pk
        rest = [seat(request, key, "finance"), seat(request, other, "finance"), grant(request), entry(request)]
        assert refused(app, *rest, (APPROVE, {"id": request.pk})) == NO_QUORUM
    assert decide(request, cast["privacy1"]).status == "approved"


def test_the_second_factor_is_the_delegates_own(cast: Cast) -> None:
    away(cast["privacy1"], cast["support2"])
    request = file_request(cast, "customer.export")
    with pytest.raises(StepUpNeeded):
        decide(request, cast["support2"], confirm="1204")
    proof = totp_proof()
    assert decide(request, cast["support2"], confirm="1204", auth=proof).status == "pending"
    assert decide(request, cast["security1"], confirm="1204", auth=proof).status == "approved"


def test_a_delegate_may_reject(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    assert decide(request, cast["support2"], "reject", rationale="Not like this.").status == "rejected"


def test_the_delegate_of_whom_it_was_escalated_to_fills_any_seat(cast: Cast) -> None:
    escalating()
    away(cast["leader1"], cast["support2"])
    request = pass_time(file_request(cast, parameters=LARGE), timedelta(minutes=11))
    with pytest.raises(NotYours):
        decide(request, cast["support2"])
    escalate_due()
    decide(request, cast["support2"])
    assert decide(request, cast["finance1"]).status == "approved"


def test_the_database_takes_no_vote_for_somebody_without_a_delegation_that_runs(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    source = (
        "jsonb_build_array(jsonb_build_object('delegation', %(delegation)s::text, 'person', %(lender)s::text,"
        " 'teams', '[\"finance\"]'::jsonb))"
    )

    def standing_for(person: User, lender: User) -> tuple[str, dict[str, object]]:
        statement, values = vote(request, person)[1]
        statement = statement.replace("void_reason)", "void_reason, delegated_from)")
        statement = statement.replace("THEN now() END, '')", f"THEN now() END, '', {source})")
        return statement, {**values, "delegation": made.pk, "lender": lender.pk}

    with services.connection("app") as app:
        assert refused(app, vote(request, cast["support2"])[1]) == NO_QUORUM
        assert refused(app, standing_for(cast["support1"], cast["finance1"])) == NO_QUORUM
        assert refused(app, standing_for(cast["support2"], cast["finance2"])) == NO_QUORUM
        assert refused(app, standing_for(cast["support2"], cast["finance1"])) is None


# ---- who sees and hears of it


def test_a_delegate_sees_what_waits_while_it_lasts_and_afterwards_what_they_decided(
    cast: Cast, signed_in: SignedIn
) -> None:
    before = file_request(cast, parameters=LARGE)
    decide(before, cast["finance1"], "reject", rationale="No.")
    other, mine = file_request(cast, parameters=LARGE), file_request(cast, parameters=LARGE)
    client = signed_in("support2")

    def seen(request: Request) -> bool:
        found = client.get(f"/requests/{request.pk}/").status_code == 200
        assert found == (marks.request_mark(cast["support2"].pk, request.pk) is not None)
        assert found == (str(request.pk) in client.get("/history/").content.decode())
        return found

    assert not seen(mine)
    made = away(cast["finance1"], cast["support2"])
    assert (seen(before), seen(other), seen(mine)) == (False, True, True)
    assert "You decide for Fina Nowak until" in said(client.get("/queue/"))
    decide(mine, cast["support2"])
    assert "You decide for Fina Nowak until" in said(client.get("/queue/"))  # the other one
    run_out(made)
    assert (seen(other), seen(mine)) == (False, True)


def test_what_ended_while_they_held_the_seat_stays_in_sight_until_it_ends(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters=LARGE)
    away(cast["finance1"], cast["support2"])
    decide(request, cast["finance2"], "reject", rationale="No.")
    assert signed_in("support2").get(f"/requests/{request.pk}/").status_code == 200


def test_the_page_says_who_decides_for_whom_and_the_history_for_whom_it_was(cast: Cast, signed_in: SignedIn) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    client = signed_in("finance2")
    assert "Support2 Example decides for Fina Nowak until" in said(client.get(f"/requests/{request.pk}/"))
    decide(request, cast["support2"])
    page = said(client.get(f"/requests/{request.pk}/"))
    assert "by Support2 Example for Fina Nowak" in page
    decide(request, cast["finance1"])
    page = said(client.get(f"/requests/{request.pk}/"))
    assert "no longer counts: whom they stood for has decided themself." in page
    decide(request, cast["finance2"])
    page = said(client.get(f"/requests/{request.pk}/"))
    assert "Approved by Fina Nowak and Finance2 Example" in page  # whose votes filled the seats
    leaves_teams(cast["finance2"])  # what was approved stays as it was
    assert "2 of 2 approvals" in said(client.get(f"/requests/{request.pk}/"))


def test_the_delegate_is_told_and_who_is_away_is_not(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    file_request(cast, parameters=LARGE)
    send_all()
    make_due()
    people = Notice.objects.filter(event="request.pending").values_list("deliveries__person__email", flat=True)
    assert set(people) == {"support2@example.test", "finance2@example.test"}


def test_who_is_away_is_told_where_their_delegate_is_barred(cast: Cast) -> None:
    away(cast["finance1"], cast["owner1"])
    file_request(cast, parameters=LARGE)
    send_all()
    people = Notice.objects.filter(event="request.pending").values_list("deliveries__person__email", flat=True)
    assert set(people) == {"finance1@example.test", "finance2@example.test"}
