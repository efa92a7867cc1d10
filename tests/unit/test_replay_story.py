"""A request told from its entries alone: what may be told, and each rule that a made-up log would break."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from approvals.replay.story import tell
from approvals.states import Status
from audit.leaves import Leaf, Party, build, parse

BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DEADLINE = BEGAN + timedelta(minutes=30)
REQUEST = Party("request", str(UUID(int=7)))
HELPDESK = Party("agent", "helpdesk")
SYSTEM = Party("system", "countersign")
OWNER = "olga"
Told = tuple[str, Party, dict[str, Any], float]  # type, actor, facts, minutes after the filing


def leaves(*told: Told) -> list[Leaf]:
    """Those entries as leaves of one request, in order."""
    return [
        parse(
            build(
                entry_id=uuid7(),
                type=kind,
                at=BEGAN + timedelta(minutes=minutes),
                actor=actor,
                subject=REQUEST,
                ordinal=ordinal,
                previous=None,
                auth=facts.get("auth"),
                digests={},
                facts={name: value for name, value in facts.items() if name != "auth"},
                commitments={},
            )
        )
        for ordinal, (kind, actor, facts, minutes) in enumerate(told, start=1)
    ]


def person(name: str) -> Party:
    return Party("person", name)


def filed(*, quorum: Sequence[Sequence[tuple[str, int]]] = ((("finance", 2),),), floor: int = 1) -> Told:
    asked = [[{"team": team, "count": count} for team, count in alternative] for alternative in quorum]
    facts = {"status": "pending", "expires_at": "2026-11-21T09:30:00.000000Z", "quorum": asked, "people_floor": floor}
    return ("request.filed", HELPDESK, facts, 0)


def voted(name: str, verdict: str = "approve", *, team: str = "finance", at: float = 1) -> Told:
    facts = {"decision": f"of {name} at {at}", "verdict": verdict, "teams": [team]}
    return ("decision.recorded", person(name), facts, at)


def proved(name: str, *, method: str = "mfa:totp", age: float = 1, at: float = 1) -> Told:
    """A vote by somebody who confirmed with that method so many minutes before."""
    kind, actor, facts, _ = voted(name, at=at)
    when = (BEGAN + timedelta(minutes=at - age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (kind, actor, {**facts, "auth": {"method": method, "at": when, "assertion": None}}, at)


def asking(told: Told, **more: Any) -> Told:
    """The same, with more facts."""
    kind, actor, facts, at = told
    return (kind, actor, {**facts, **more}, at)


def voided(name: str, *, of: float = 1, at: float = 2) -> Told:
    return ("decision.void", SYSTEM, {"decision": f"of {name} at {of}", "person": name}, at)


def amended(name: str = "fina", *, team: str = "support", count: int = 1, at: float = 2) -> Told:
    asked = [[{"team": team, "count": count}]] if count else []
    return ("request.amended", person(name), {"decision": f"of {name} at {at}", "quorum": asked, "people_floor": 0}, at)


def asked(question: str = "q", at: float = 1) -> Told:
    return ("question.asked", person("fina"), {"question": question}, at)


def answered(question: str = "q", at: float = 2) -> Told:
    return ("question.answered", HELPDESK, {"question": question}, at)


def granted(at: float = 3) -> Told:
    return ("grant.issued", SYSTEM, {"grant": "g", "valid_until": "2026-11-21T10:00:00.000000Z"}, at)


def approved(*seats: tuple[str, str], at: float = 3) -> Told:
    return ("request.approved", SYSTEM, {"seats": [{"team": team, "person": name} for team, name in seats]}, at)


def redeemed(at: float = 5) -> Told:
    return ("grant.redeemed", Party("executor", "payments"), {"grant": "g"}, at)


def ended(status: str, at: float = 30) -> Told:
    return (f"request.{status}", SYSTEM, {}, at)


BOTH = (voted("fina"), voted("finn"))
SEATS = (("finance", "fina"), ("finance", "finn"))


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
    for asked in ({"stepup": True}, {"risk": "critical"}):  # asked by the policy in force at the end alone
        assert faults(filed(), proved("fina"), vote, granted(), asking(approved(*SEATS), **asked)) != []


def test_the_stricter_quorum_that_held_at_the_end_is_what_is_weighed() -> None:
    three = [[{"team": "finance", "count": 3}]]
    found = faults(filed(), *BOTH, granted(), asking(approved(*SEATS), quorum=three, people_floor=1))
    assert found == ["approved without its quorum: 1 more of finance"]
    found = faults(filed(), *BOTH, granted(), asking(approved(*SEATS), people_floor=3))
    assert found == ["approved without its quorum: 1 more person"]
