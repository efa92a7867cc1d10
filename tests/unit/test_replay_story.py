"""A request told from its entries alone: what may be told, and each rule that a made-up log would break."""

from __future__ import annotations

import pytest

from approvals.replay.story import tell
from approvals.states import Status
from tests.support.stories import (
    BOTH,
    HELPDESK,
    OWNER,
    REQUEST,
    SEATS,
    SYSTEM,
    Told,
    amended,
    answered,
    approved,
    asked,
    asking,
    ended,
    filed,
    granted,
    leaves,
    proved,
    redeemed,
    voided,
    voted,
)


def faults(*told: Told) -> list[str]:
    return tell(REQUEST.id, leaves(*told), lambda agent, at: OWNER).faults


@pytest.mark.parametrize(
    "told",
    [
        (filed(),),
        (filed(), *BOTH, granted(), approved(*SEATS), redeemed(), ("outcome.reported", HELPDESK, {}, 6)),
        (filed(), voted("fina"), voided("fina"), voted("fina", at=2.5), voted("finn"), granted(), approved(*SEATS)),
        (filed(), voted("fina", "reject"), ended("rejected", 1)),
        (filed(), voted(OWNER, "reject", team="support"), ended("rejected", 1)),
        (filed(), voted("fina"), ended("expired")),
        (filed(), ended("withdrawn", 2)),
        (filed(), ended("blocked", 2)),
        (filed(), amended(), voted("fina", team="support", at=2), granted(), approved(("support", "fina"))),
        (filed(), voted("finn"), voided("finn"), amended(), voted("fina", at=2), ended("expired")),
        (filed(), asked(), answered(), asked("r", 3), ended("withdrawn", 4)),
    ],
)
def test_a_log_in_which_every_rule_held_has_no_fault(told: tuple[Told, ...]) -> None:
    assert faults(*told) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ((filed(), filed()), "filed twice"),
        ((voted("fina"),), "decision.recorded before it was filed"),
        ((filed(), voted("fina"), granted(), approved(SEATS[0])), "approved without its quorum: 1 more of finance"),
        ((filed(), *BOTH, voided("finn"), granted(), approved(*SEATS)), "approved without its quorum"),
        ((filed(), voted(OWNER), voted("finn"), granted(), approved(*SEATS)), "approved without its quorum"),
        ((filed(floor=3), *BOTH, granted(), approved(*SEATS)), "approved without its quorum: 1 more person"),
        ((filed(), voted("fina"), voted("finn", team="support"), granted(), approved(*SEATS)), "a seat of finance"),
        ((filed(), *BOTH, granted(), approved(SEATS[0], SEATS[0])), "somebody sat in two seats"),
        ((filed(), *BOTH, granted(31), approved(*SEATS, at=31)), "approved at or after its deadline"),
        ((filed(), *BOTH, granted(30), approved(*SEATS, at=30)), "approved at or after its deadline"),
        ((filed(), voted("fina", at=31)), "a decision at or after its deadline"),
        ((filed(), voted("fina"), voted("fina", at=2)), "somebody decided twice"),
        ((filed(), ended("expired", 29)), "expired before its deadline"),
        ((filed(), ended("rejected", 1)), "rejected by nobody"),
        ((filed(), ended("expired"), ended("withdrawn", 31)), "expired became withdrawn"),
        ((filed(), ended("expired"), granted(31)), "a grant without an approval"),
        ((filed(), *BOTH, approved(*SEATS)), "approved without a grant"),
        ((filed(), *BOTH, granted(), granted(), approved(*SEATS)), "granted twice"),
        ((filed(), *BOTH, granted(), approved(*SEATS), redeemed(), redeemed(6)), "redeemed twice"),
        ((filed(), *BOTH, granted(), approved(*SEATS), redeemed(61)), "redeemed after it lapsed"),
        ((filed(), redeemed()), "redeemed without its approval"),
        ((filed(), *BOTH, granted(), approved(*SEATS), ("outcome.reported", HELPDESK, {}, 6)), "an outcome without"),
        ((filed(), voided("fina")), "a decision was voided that did not stand"),
        ((filed(), ended("withdrawn", 1), voted("fina", at=2)), "decided while it was withdrawn"),
        ((filed(), ended("withdrawn", 1), amended()), "edited while it was withdrawn"),
        ((filed(), amended(at=30)), "an edit at or after its deadline"),
        ((filed(), amended(OWNER)), "edited by who answers for the agent"),
        ((filed(), voted("finn"), amended()), "an edit left votes on what stood before it"),
        ((filed(), amended(count=0)), "an edit that asks nobody"),
        (
            (filed(), amended(count=2), voted("fina", team="support", at=2), granted(), approved(("support", "fina"))),
            "approved without its quorum: 1 more of support",
        ),
        ((filed(), amended(), *BOTH, granted(), approved(*SEATS)), "approved without its quorum"),
        ((filed(), asked(), asked("r", 2)), "a question while another was open"),
        ((filed(), ended("withdrawn", 1), asked(at=2)), "a question while another was open, or after the end"),
        ((filed(), answered()), "an answer to no open question"),
        ((filed(), asked(), answered("r")), "an answer to no open question"),
        ((filed(), asked(), ended("withdrawn", 2), answered(at=3)), "an answer to no open question"),
    ],
)
def test_each_rule_that_a_log_breaks_is_named(told: tuple[Told, ...], fault: str) -> None:
    assert any(fault in found for found in faults(*told)), faults(*told)


def test_a_hole_in_the_entries_is_named_and_nothing_is_made_of_the_rest() -> None:
    whole = leaves(filed(), *BOTH, granted(), approved(*SEATS))
    story = tell(REQUEST.id, [whole[0], *whole[2:]], lambda agent, at: OWNER)
    assert story.faults == ["entry 2 is missing"]


def test_what_policy_allowed_without_people_has_its_grant_and_no_quorum() -> None:
    facts = {**filed()[2], "status": "approved", "quorum": [], "people_floor": 0}
    allowed: tuple[Told, ...] = (
        ("request.filed", HELPDESK, facts, 0.0),
        ("request.allowed", SYSTEM, {}, 0.0),
        granted(0),
    )
    assert faults(*allowed) == []
    assert tell(REQUEST.id, leaves(*allowed), lambda agent, at: None).stands is Status.APPROVED
    asked = ("request.filed", HELPDESK, {**facts, "people_floor": 1}, 0.0)
    assert faults(asked, *allowed[1:]) == ["allowed without people where people were asked"]


CRITICAL = asking(filed(floor=2), stepup=True, risk="critical")
CONFIRMED = (proved("fina"), proved("finn"))


def test_where_a_second_factor_was_asked_votes_with_a_fresh_one_approve() -> None:
    assert faults(CRITICAL, *CONFIRMED, granted(), approved(*SEATS)) == []
    assert faults(filed(), *BOTH, granted(), approved(*SEATS)) == []  # and where it was not, any do


@pytest.mark.parametrize(
    "vote",
    [
        voted("finn"),  # without any proof
        proved("finn", method="password"),
        proved("finn", method="mfa:recovery_codes"),
        proved("finn", age=5.2),
        proved("finn", age=-1),  # dated after the vote
    ],
)
def test_a_vote_without_a_fresh_second_factor_does_not_count_where_one_was_asked(vote: Told) -> None:
    found = faults(CRITICAL, proved("fina"), vote, granted(), approved(*SEATS))
    assert "approved without its quorum: 1 more of finance" in found
    for end in ({"stepup": True}, {"risk": "critical"}):  # asked by the policy in force at the end alone
        assert faults(filed(), proved("fina"), vote, granted(), asking(approved(*SEATS), **end)) != []


def test_the_stricter_quorum_that_held_at_the_end_is_what_is_weighed() -> None:
    three = [[{"team": "finance", "count": 3}]]
    found = faults(filed(), *BOTH, granted(), asking(approved(*SEATS), quorum=three, people_floor=1))
    assert found == ["approved without its quorum: 1 more of finance"]
    found = faults(filed(), *BOTH, granted(), asking(approved(*SEATS), people_floor=3))
    assert found == ["approved without its quorum: 1 more person"]
