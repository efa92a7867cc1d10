"""What stands in for a person's vote, and what ends a grant, told from entries alone: allowances, escalations,
delegations, and grants that are void. Each rule that a made-up log would break is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from approvals.replay.allowed import Allowed, tell_allowance
from approvals.replay.story import Story, tell
from approvals.states import Status
from tests.support.stories import (
    BEGAN,
    BOTH,
    HELPDESK,
    OWNER,
    REQUEST,
    SEATS,
    SYSTEM,
    Told,
    amended,
    approved,
    asking,
    ended,
    filed,
    granted,
    leaves,
    person,
    redeemed,
    voided,
    voted,
)


def story(
    *told: Told,
    allowed: Allowed | None = None,
    ran_at: Callable[[str, datetime], bool] = lambda delegation, moment: True,
) -> Story:
    return tell(REQUEST.id, leaves(*told), lambda agent, at: OWNER, lambda allowance: allowed, ran_at)


def faults(*told: Told, allowed: Allowed | None = None) -> list[str]:
    return story(*told, allowed=allowed).faults


def has(fault: str, found: list[str]) -> bool:
    return any(fault in one for one in found)


# ---- grants, votes and filings
def grant_voided(grant: str = "g", at: float = 5) -> Told:
    return ("grant.voided", SYSTEM, {"grant": grant}, at)


REPORTED: Told = ("outcome.reported", HELPDESK, {}, 8)
ALIVE = (filed(), *BOTH, granted(), approved(*SEATS))


def of_another_grant() -> Told:
    kind, actor, _, at = redeemed()
    return (kind, actor, {"grant": "another"}, at)


def test_a_grant_that_was_voided_unspent_is_no_fault() -> None:
    assert faults(*ALIVE, grant_voided()) == []


def test_what_policy_blocked_at_filing_says_so_once() -> None:
    assert faults(filed(status="blocked"), ended("blocked", 0)) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ((*ALIVE, grant_voided(), grant_voided(at=6)), "a grant was voided that did not stand"),
        ((*ALIVE, redeemed(), grant_voided(at=6)), "a grant was voided that did not stand"),
        ((*ALIVE, grant_voided("another")), "a grant was voided that did not stand"),
        ((*ALIVE, grant_voided(), redeemed(6)), "redeemed though it was void"),
        ((*ALIVE, of_another_grant()), "redeemed without its approval"),
        ((filed(), granted(), redeemed()), "redeemed without its approval"),
        ((*ALIVE, redeemed(60)), "redeemed after it lapsed"),
        ((*ALIVE, redeemed(), REPORTED, REPORTED), "an outcome without a redemption, or a second one"),
        ((filed(), voted("fina"), voided("fina"), voided("fina", at=3)), "a decision was voided that did not stand"),
        ((filed(), voted("fina"), ended("withdrawn", 2), voided("fina", at=3)), "a decision was voided that did not"),
        ((filed(), voted("fina", at=30)), "a decision at or after its deadline"),
        ((filed(status="rejected"),), "it began as rejected"),
        ((filed(), ended("withdrawn", 1), filed(), voted("fina", at=2)), "decided while it was withdrawn"),
        ((filed(), ended("withdrawn", 1), ended("expired"), voted("fina", at=2)), "decided while it was withdrawn"),
        ((*ALIVE, approved(*SEATS, at=4)), "approved became approved"),
        ((filed(quorum=(), floor=0), granted(), approved()), "approved without its quorum: 1 more person"),
        ((filed(quorum=(), status="approved"), granted(0)), "allowed without people where people were asked"),
        ((filed(floor=0, status="approved"), granted(0)), "allowed without people where people were asked"),
        ((filed(status="rejected"), ended("rejected", 0)), "rejected became rejected"),
        (
            (filed(quorum=((("finance", 1),),)), voted("fina"), voted("finn", "reject"), granted(), approved(SEATS[0])),
            "approved without its quorum: somebody rejected it",
        ),
        (
            (filed(quorum=((("finance", 1),),)), voted("fina"), voted("finn", "reject"), approved(SEATS[1])),
            "a seat of finance was filled by who had no vote for it",
        ),
    ],
)
def test_each_rule_of_grants_votes_and_filings_is_named(told: tuple[Told, ...], fault: str) -> None:
    assert has(fault, faults(*told)), faults(*told)


def test_what_policy_allowed_moves_no_further() -> None:
    allowed: tuple[Told, ...] = (
        filed(quorum=(), floor=0, status="approved"),
        ("request.allowed", SYSTEM, {}, 0),
        granted(0),
    )
    assert faults(*allowed) == []
    assert faults(*allowed, ("request.allowed", SYSTEM, {}, 1)) == ["approved became approved"]


def test_nothing_is_made_of_entries_before_the_filing() -> None:
    found = story(voted("fina"), filed(), ended("withdrawn", 1))
    assert (found.stands, found.faults) == (None, ["decision.recorded before it was filed"])


def test_an_edit_brings_its_own_floor() -> None:
    kind, actor, facts, at = amended()
    edited = (kind, actor, {**facts, "people_floor": 2}, at)
    told = (filed(), edited, voted("fina", team="support", at=2), granted(), approved(("support", "fina")))
    assert has("approved without its quorum: 1 more person", faults(*told))


def test_an_edit_asks_for_a_second_factor_of_its_own() -> None:
    told = (voted("fina", team="support", at=2), granted(), approved(("support", "fina")))
    assert faults(filed(), amended(), *told) == []
    assert has("approved without its quorum", faults(filed(), asking(amended(), stepup=True), *told))


# ---- escalations
def escalated(team: str = "leadership", at: float = 2) -> Told:
    return ("request.escalated", SYSTEM, {"team": team}, at)


BY_LEA = (granted(), approved(("finance", "lea"), ("finance", "fina")))


def lea(at: float = 2) -> Told:
    return voted("lea", team="leadership", at=at)


def test_from_its_escalation_on_the_other_team_fills_seats() -> None:
    assert faults(filed(), voted("fina"), escalated(), lea(), *BY_LEA) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ((filed(), voted("fina"), lea(1), escalated(), *BY_LEA), "approved without its quorum: 1 more of finance"),
        ((filed(), voted("fina"), escalated("board"), lea(), *BY_LEA), "approved without its quorum: 1 more of"),
        ((filed(), escalated(), escalated(at=3)), "escalated twice, or when it had ended"),
        ((filed(), ended("withdrawn", 1), escalated()), "escalated twice, or when it had ended"),
    ],
)
def test_each_rule_of_escalations_is_named(told: tuple[Told, ...], fault: str) -> None:
    assert has(fault, faults(*told)), faults(*told)


# ---- delegations
def lent(name: str, *, by: str, teams: tuple[str, ...] = ("finance",), at: float = 1) -> Told:
    kind, actor, facts, moment = voted(name, team="support", at=at)
    return (kind, actor, {**facts, "delegated_from": [{"delegation": "d", "person": by, "teams": list(teams)}]}, moment)


BY_SUE = (granted(), approved(("finance", "sue"), ("finance", "fina")))


def test_a_vote_fills_the_seats_that_were_lent_to_it() -> None:
    assert faults(filed(), lent("sue", by="finn"), voted("fina", at=2), *BY_SUE) == []


def test_a_seat_is_lent_as_wide_as_an_escalation_opened_it() -> None:
    told = (filed(), escalated(at=1), lent("sue", by="lea", teams=("leadership",), at=2), voted("fina", at=2), *BY_SUE)
    assert faults(*told) == []


def test_who_answers_for_the_agent_lends_no_seat() -> None:
    assert has("approved without its quorum", faults(filed(), lent("sue", by=OWNER), voted("fina"), *BY_SUE))


def test_a_delegation_has_to_run_when_the_last_vote_is_given() -> None:
    told = (filed(), lent("sue", by="finn"), voted("fina", at=2), *BY_SUE)
    found = story(*told, ran_at=lambda delegation, moment: moment < BEGAN + timedelta(minutes=2))
    assert has("approved without its quorum: 1 more of finance", found.faults), found.faults


def test_nobody_sits_in_a_seat_that_was_lent_to_them_no_more() -> None:
    told = (filed(quorum=((("finance", 1),),)), lent("sue", by="finn"), voted("fina"), granted())
    found = story(*told, approved(("finance", "sue")), ran_at=lambda delegation, moment: False)
    assert found.faults == ["a seat of finance was filled by who had no vote for it"]


# ---- allowances
def proposed(*, agent: str = "helpdesk", action: str = "refund.create") -> Told:
    facts = {"agent": agent, "action": action, "uses": 2, "ends_at": "2026-11-21T09:20:00.000000Z"}
    return ("allowance.proposed", person("fina"), facts, -10)


def agreed(name: str) -> Told:
    return ("allowance.agreed", person(name), {"teams": ["finance"]}, -10)


def in_force(at: float = -9) -> Told:
    return ("allowance.granted", SYSTEM, {}, at)


def revoked(at: float) -> Told:
    return ("allowance.revoked", person("fina"), {}, at)


def allowance(*told: Told) -> Allowed | None:
    return tell_allowance(leaves(*told))


def used(number: int = 1, at: float = 3) -> tuple[Told, ...]:
    seats = [{"team": team, "person": name} for team, name in SEATS]
    facts = {"allowance": "a", "use": number, "seats": seats}
    return (filed(), granted(at), ("request.approved", SYSTEM, facts, at))


AGREED = (agreed("fina"), agreed("finn"))
HELD = (proposed(), *AGREED, in_force())


@pytest.mark.parametrize(("told", "at"), [(HELD, 3), (HELD, 19), ((*HELD, revoked(4)), 3)])
def test_what_was_agreed_to_ahead_is_approved_without_a_vote(told: tuple[Told, ...], at: float) -> None:
    assert faults(*used(at=at), allowed=allowance(*told)) == []


@pytest.mark.parametrize(
    ("told", "at", "fault"),
    [
        ((), 3, "approved under an allowance that nobody proposed"),
        (AGREED, 3, "approved under an allowance that nobody proposed"),
        ((agreed("fina"), *HELD), 3, "approved under an allowance that nobody proposed"),
        ((proposed(agent="another"), *HELD[1:]), 3, "approved under an allowance for something else"),
        ((proposed(action="email.send"), *HELD[1:]), 3, "approved under an allowance for something else"),
        ((proposed(), *AGREED), 3, "approved under an allowance that did not hold"),
        ((proposed(), *AGREED, in_force(4)), 3, "approved under an allowance that did not hold"),
        (HELD, 20, "approved under an allowance that did not hold"),
        ((*HELD, revoked(3)), 3, "approved under an allowance that did not hold"),
        ((*HELD, revoked(2), revoked(10)), 3, "approved under an allowance that did not hold"),
        ((proposed(), agreed("fina"), in_force()), 3, "approved without its quorum: 1 more of finance"),
        ((proposed(), agreed("fina"), agreed(OWNER), in_force()), 3, "approved without its quorum: 1 more of finance"),
    ],
)
def test_each_rule_of_allowances_is_named(told: tuple[Told, ...], at: float, fault: str) -> None:
    found = faults(*used(at=at), allowed=allowance(*told))
    assert has(fault, found), found


@pytest.mark.parametrize("number", [0, 3])
def test_an_allowance_has_as_many_uses_as_were_proposed(number: int) -> None:
    assert has("a use that its allowance did not have", faults(*used(number), allowed=allowance(*HELD)))


def test_each_use_is_one_requests() -> None:
    allowed = allowance(*HELD)
    assert faults(*used(1), allowed=allowed) == []
    assert faults(*used(2), allowed=allowed) == []
    assert has("a use that its allowance did not have", faults(*used(1), allowed=allowed))


def test_an_approval_by_allowance_leaves_it_approved() -> None:
    assert story(*used(), allowed=allowance(*HELD)).stands is Status.APPROVED
