"""Rulings as values: two that both hold become the stricter one, and storing changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import quorum
from approvals.rules import RECENT, Ask, Ruling, answers, blocked, merge
from approvals.rules.annotations import RISKS, Escalation, PermitTerms
from approvals.rules.ruling import from_terms, people_at_least

TEAMS = ("finance", "privacy", "support")
FROZEN = Ruling(
    "people", "", None, "permit",
    problems=("one",), matched=("a", "b"), risk="medium", risk_unknown=True, unknown=("/x",),
    requirement=({"finance": 2},), timeout_seconds=60, valid_seconds=900, stepup=False, executor="pay",
    because=("first",), controls=("C1", "C2"), escalate=Escalation(30, "support"),
)  # fmt: skip
CURRENT = Ruling(
    "people", "", None, "other",
    problems=("two",), matched=("b", "c"), risk="high", risk_unknown=False, unknown=("/x", "/y"),
    requirement=({"finance": 1, "support": 1},), timeout_seconds=90, valid_seconds=600, stepup=True, executor=None,
    because=("first", "second"), controls=("C2", "C3"), escalate=Escalation(20, "support"),
)  # fmt: skip

escalations = st.none() | st.builds(Escalation, st.integers(1, 3), st.sampled_from(TEAMS))
words = st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(tuple)
requirements = st.lists(
    st.dictionaries(st.sampled_from(TEAMS), st.integers(1, 2), min_size=1, max_size=2), min_size=1, max_size=2
).map(quorum.pruned)
asking = st.builds(
    Ruling,
    outcome=st.just("people"),
    reason=st.just(""),
    retry=st.none(),
    cause=st.just("permit"),
    problems=words,
    matched=words,
    risk=st.sampled_from(RISKS),
    risk_unknown=st.booleans(),
    unknown=words,
    requirement=requirements,
    timeout_seconds=st.integers(1, 9),
    valid_seconds=st.integers(1, 9),
    stepup=st.booleans(),
    executor=st.none() | st.just("pay"),
    because=words,
    controls=words,
    escalate=escalations,
)
allowed = st.builds(replace, asking, outcome=st.just("allowed"), reason=st.just("Allowed."), requirement=st.none())
blocks = st.builds(blocked, st.sampled_from([answers.FORBIDDEN, answers.NOT_OPEN]), st.just("cause"), matched=words)


class TestBothHold:
    def test_the_stricter_of_every_term(self) -> None:
        assert merge(FROZEN, CURRENT) == Ruling(
            "people", "", None, "other",
            problems=("one", "two"), matched=("a", "b", "c"), risk="high", risk_unknown=True, unknown=("/x", "/y"),
            requirement=({"finance": 2, "support": 1},), timeout_seconds=60, valid_seconds=600, stepup=True,
            executor="pay", because=("first", "second"), controls=("C1", "C2", "C3"),
            escalate=Escalation(30, "support"),
        )  # fmt: skip

    def test_whichever_of_them_is_the_older(self) -> None:
        merged = merge(CURRENT, FROZEN)
        assert (merged.risk, merged.risk_unknown, merged.stepup, merged.executor) == ("high", True, True, "pay")
        assert (merged.timeout_seconds, merged.valid_seconds) == (60, 600)
        assert (merged.matched, merged.escalate) == (("b", "c", "a"), Escalation(30, "support"))
        assert merged.requirement == ({"finance": 2, "support": 1},)

    def test_an_escalation_holds_as_far_as_both_have_it(self) -> None:
        for first, second, held in (
            (Escalation(20, "b"), Escalation(30, "b"), Escalation(30, "b")),
            (Escalation(20, "b"), Escalation(20, "z"), None),
            (Escalation(20, "b"), None, None),
            (None, None, None),
        ):
            one, other = replace(FROZEN, escalate=first), replace(CURRENT, escalate=second)
            assert merge(one, other).escalate == merge(other, one).escalate == held

    def test_a_block_wins_and_of_two_the_current_one(self) -> None:
        old, new = blocked(answers.NOT_OPEN, "old"), blocked(answers.FORBIDDEN, "new")
        assert merge(old, new) is new
        assert merge(old, CURRENT) is old
        assert merge(FROZEN, new) is new

    def test_two_executors_cannot_both_hold(self) -> None:
        ruling = merge(FROZEN, replace(CURRENT, executor="mail", risk="critical"))
        assert ruling == blocked(
            answers.CANNOT_BE_CHECKED, "executor-conflict", "different executors: mail, pay",
            matched=("a", "b", "c"), risk="critical",
        )  # fmt: skip
        assert merge(FROZEN, replace(CURRENT, executor="pay")).executor == "pay"

    def test_more_alternatives_than_anybody_can_read_cannot_both_hold(self) -> None:
        many = tuple({f"team-{n}": 1} for n in range(30))
        ruling = merge(replace(FROZEN, requirement=many, risk="critical"), replace(CURRENT, requirement=many))
        assert ruling == blocked(
            answers.CANNOT_BE_CHECKED, "evaluation-error", "more than 500 alternatives would do together",
            matched=("a", "b", "c"), risk="critical",
        )  # fmt: skip

    def test_nobody_and_nobody_is_allowed_and_beside_people_is_people(self) -> None:
        nobody = replace(FROZEN, outcome="allowed", reason="Allowed.", requirement=None)
        both = merge(nobody, replace(CURRENT, outcome="allowed", reason="Allowed.", requirement=None))
        assert (both.outcome, both.reason, both.retry, both.requirement) == ("allowed", "Allowed.", None, None)
        for merged in (merge(nobody, CURRENT), merge(CURRENT, nobody)):
            assert (merged.outcome, merged.reason, merged.retry) == ("people", "", None)
            assert merged.requirement == CURRENT.requirement

    @given(asking | allowed | blocks)
    def test_a_ruling_with_itself_is_itself(self, ruling: Ruling) -> None:
        assert merge(ruling, ruling) == ruling

    @given(asking | allowed, asking | allowed)
    def test_neither_of_them_is_stricter_in_anything(self, frozen: Ruling, current: Ruling) -> None:
        merged = merge(frozen, current)
        for one in (frozen, current):
            assert RISKS.index(merged.risk) >= RISKS.index(one.risk)
            assert merged.timeout_seconds <= one.timeout_seconds
            assert merged.valid_seconds <= one.valid_seconds
            assert merged.stepup >= one.stepup
            assert merged.risk_unknown >= one.risk_unknown
            assert merged.executor == one.executor or one.executor is None
            if merged.escalate is not None:
                assert one.escalate is not None
                assert merged.escalate.team == one.escalate.team
                assert merged.escalate.after_seconds >= one.escalate.after_seconds
            for terms in ("problems", "matched", "unknown", "because", "controls"):
                assert set(getattr(merged, terms)) >= set(getattr(one, terms))
            least = quorum.fewest_people(one.requirement or quorum.NOBODY)
            assert quorum.fewest_people(merged.requirement or quorum.NOBODY) >= least


def permit(**terms: Any) -> PermitTerms:
    """The terms of a permit, ordinary but for those given."""
    ordinary: dict[str, Any] = {
        "id": "a", "requirement": ({"support": 1},), "risk": "medium", "timeout_seconds": 60, "valid_seconds": 90,
        "stepup": False, "executor": None, "escalate": None, "because": None, "controls": (),
    }  # fmt: skip
    return PermitTerms(**{**ordinary, **terms})


class TestFromPermits:
    def test_one_is_taken_as_it_stands(self) -> None:
        terms = permit(stepup=True, executor="pay", escalate=Escalation(5, "x"), because="Why.", controls=("C",))
        assert from_terms([terms]) == Ruling(
            "people", "", None, "permit", matched=("a",), risk="medium", requirement=({"support": 1},),
            timeout_seconds=60, valid_seconds=90, stepup=True, executor="pay", escalate=Escalation(5, "x"),
            because=("Why.",), controls=("C",),
        )  # fmt: skip
        assert from_terms([permit()]).because == ()

    def test_nobody_is_allowed_in_the_fixed_words(self) -> None:
        ruling = from_terms([permit(requirement=quorum.NOBODY)])
        assert (ruling.outcome, ruling.reason, ruling.retry, ruling.requirement) == ("allowed", "Allowed.", None, None)

    def test_all_of_several_hold(self) -> None:
        three = [permit(), permit(id="b", risk="high"), permit(id="c", requirement=({"finance": 1},))]
        for order in permutations(three):
            ruling = from_terms(order)
            assert ruling.requirement == ({"finance": 1, "support": 1},)
            assert (ruling.risk, set(ruling.matched)) == ("high", {"a", "b", "c"})


class TestWhatARulingSays:
    @pytest.mark.parametrize(("risk", "people"), [("critical", 2), ("high", 1), ("medium", 0), ("low", 0)])
    def test_how_many_people_its_risk_needs(self, risk: str, people: int) -> None:
        assert people_at_least(risk) == replace(CURRENT, risk=risk).floor_people == people

    def test_what_is_not_understood_is_shown_as_unknown_unless_it_is_critical(self) -> None:
        shown = {risk: replace(FROZEN, risk=risk, risk_unknown=True).risk_shown for risk in RISKS}
        assert shown == {"low": "unknown", "medium": "unknown", "high": "unknown", "critical": "critical"}
        assert [replace(FROZEN, risk=risk, risk_unknown=False).risk_shown for risk in RISKS] == list(RISKS)

    @pytest.mark.parametrize(
        ("cause", "alarming"),
        [
            ("evaluation-error", True), ("executor-conflict", True), ("floor-people", True), ("floor-stepup", True),
            ("floor-salient", True), ("policy-unreadable", True), ("signing-key-unreadable", True),
            ("forbid", False), ("not-permitted", False), ("floor-level", False), ("parameters", False),
        ],
    )  # fmt: skip
    def test_a_block_is_alarming_where_policy_is_at_fault(self, cause: str, alarming: bool) -> None:
        assert blocked(answers.NOT_OPEN, cause).is_alarming is alarming
        assert not blocked(answers.NOT_OPEN, cause, risk_unknown=True).is_alarming
        assert not replace(CURRENT, cause=cause).is_alarming

    def test_a_block_takes_its_words_from_the_answer(self) -> None:
        ruling = blocked(answers.NOT_OPEN, "why", "one", "two", matched=("a",))
        assert (ruling.outcome, ruling.reason, ruling.retry) == ("blocked", "This action is not open to you.", "later")
        assert (ruling.cause, ruling.problems, ruling.matched) == ("why", ("one", "two"), ("a",))
        assert (ruling.risk, ruling.requirement) == ("high", None)
        assert (ruling.timeout_seconds, ruling.valid_seconds, ruling.stepup, ruling.risk_unknown) == (
            3600, 3600, False, False,
        )  # fmt: skip


class TestStoring:
    @given(asking | allowed | blocks)
    def test_a_ruling_survives_json(self, ruling: Ruling) -> None:
        assert Ruling.from_json(json.loads(json.dumps(ruling.as_json()))) == ruling

    def test_what_is_stored_is_plain(self) -> None:
        stored = FROZEN.as_json()
        assert stored == json.loads(json.dumps(stored))
        assert stored["requirement"] == [{"finance": 2}]
        assert stored["escalate"] == {"after_seconds": 30, "team": "support"}

    def test_a_question_survives_json(self) -> None:
        ask = Ask("a", 2, "full", "x.y", "r", {"n": [1]}, 3, 4, dict.fromkeys(RECENT, 1), {"m": 5}, ("s",))
        stored = ask.as_json()
        assert stored == json.loads(json.dumps(stored))
        assert Ask.from_json(stored) == replace(ask, sensitive=["s"])
        plain = Ask("a", 2, "full", "x.y", "r", {}, 3, 4, {})
        assert (dict(plain.meters), tuple(plain.sensitive)) == ({}, ())
