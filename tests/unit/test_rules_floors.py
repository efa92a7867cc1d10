"""The floors, asked of a ruling and of a permit: each by itself, and at its very edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals import quorum
from approvals.rules import Action, Ruling, answers, blocked
from approvals.rules.annotations import PermitTerms
from approvals.rules.catalogue import load_action
from approvals.rules.floors import breaches_of, floors
from tests.support.packs import action_file


def action(name: str = "page.write", *, salient: bool = True, **more: Any) -> Action:
    """A catalogue entry, with a salient fact or without."""
    (text,) = action_file(name, **more).values()
    made, problems = load_action(name, text if salient else text.replace('salient = "/amount"', ""))
    assert made is not None, problems
    return made


WRITE, READ, MONEY = action(), action("page.read", effect="read"), action("money.move", domain="money")
PEOPLE = Ruling("people", "", None, "permit", risk="medium", requirement=({"support": 1},))
NOBODY = Ruling("allowed", "Allowed.", None, "permit", risk="low")
CRITICAL = replace(PEOPLE, risk="critical", requirement=({"finance": 2},), stepup=True)


def permit(**terms: Any) -> PermitTerms:
    """The terms of a permit, ordinary but for those given."""
    ordinary: dict[str, Any] = {
        "id": "a", "requirement": ({"support": 1},), "risk": "medium", "timeout_seconds": 60, "valid_seconds": 90,
        "stepup": False, "executor": None, "escalate": None, "because": None, "controls": (),
    }  # fmt: skip
    return PermitTerms(**{**ordinary, **terms})


class TestOfARuling:
    @pytest.mark.parametrize(
        ("ruling", "on", "level"),
        [
            (PEOPLE, WRITE, 2), (PEOPLE, WRITE, 3), (PEOPLE, READ, 1), (PEOPLE, MONEY, 3), (NOBODY, WRITE, 2),
            (NOBODY, READ, 1), (CRITICAL, WRITE, 3), (replace(PEOPLE, risk="high"), WRITE, 3),
            (replace(CRITICAL, requirement=({"a": 1, "b": 1},)), MONEY, 3), (replace(NOBODY, risk="medium"), WRITE, 3),
        ],
    )  # fmt: skip
    def test_stands_on_them(self, ruling: Ruling, on: Action, level: int) -> None:
        assert floors(ruling, on, level) is None

    @pytest.mark.parametrize(
        ("ruling", "on", "level", "cause", "why"),
        [
            (PEOPLE, WRITE, 1, "floor-level", "page.write is open from level 2 only"),
            (PEOPLE, MONEY, 2, "floor-level", "money.move is open from level 3 only"),
            (NOBODY, MONEY, 3, "floor-people", "low risk in money needs 1 people or more"),
            (replace(NOBODY, risk="high"), WRITE, 3, "floor-people", "high risk in general needs 1 people or more"),
            (replace(CRITICAL, requirement=({"a": 1},)), WRITE, 3, "floor-people",
             "critical risk in general needs 2 people or more"),
            (replace(CRITICAL, requirement=({"a": 3}, {"b": 1})), WRITE, 3, "floor-people",
             "critical risk in general needs 2 people or more"),
            (replace(CRITICAL, stepup=False), WRITE, 3, "floor-stepup", "critical needs step-up"),
            (CRITICAL, action(salient=False), 3, "floor-salient", "critical needs a salient fact to retype"),
        ],
    )  # fmt: skip
    def test_goes_under_one(self, ruling: Ruling, on: Action, level: int, cause: str, why: str) -> None:
        breach = floors(ruling, on, level)
        assert breach is not None
        assert (breach.cause, breach.why) == (cause, why)
        assert breach.answer == (answers.NOT_OPEN if cause == "floor-level" else answers.CANNOT_BE_CHECKED)

    def test_is_told_to_change_what_is_not_understood(self) -> None:
        breach = floors(replace(NOBODY, risk="high", risk_unknown=True), WRITE, 3)
        assert breach is not None
        assert breach.answer == answers.NOT_UNDERSTOOD

    def test_that_blocks_is_asked_nothing(self) -> None:
        assert floors(blocked(answers.NOT_OPEN, "x"), MONEY, 1) is None


class TestOfAPermit:
    @pytest.mark.parametrize(
        ("terms", "on", "lowest", "said"),
        [
            ({}, WRITE, 2, []),
            ({}, MONEY, 3, []),
            ({}, MONEY, None, []),
            ({"requirement": quorum.NOBODY, "risk": "low"}, WRITE, 3, []),
            ({"requirement": ({"a": 2},), "risk": "critical"}, WRITE, 3, []),
            ({"requirement": quorum.NOBODY, "risk": "low"}, MONEY, 3,
             ["money.move is in the domain money, where people always decide"]),
            ({"requirement": quorum.NOBODY, "risk": "high"}, MONEY, 3,
             ["high risk needs 1 distinct person or more"]),
            ({"requirement": ({"a": 1},), "risk": "critical"}, WRITE, 3,
             ["critical risk needs 2 distinct people or more"]),
            ({}, WRITE, 1, ['page.write is open from level 2 only: write principal in Level::"2"']),
            ({}, MONEY, 2, ['money.move is open from level 3 only: write principal in Level::"3"']),
            ({"requirement": ({"a": 2},), "risk": "critical"}, action(salient=False), 3,
             ["critical needs a salient fact to retype, and the catalogue names none for page.write"]),
            ({"requirement": ({"a": 1},), "risk": "critical"}, action("money.move", domain="money", salient=False), 1,
             ["critical risk needs 2 distinct people or more",
              'money.move is open from level 3 only: write principal in Level::"3"',
              "critical needs a salient fact to retype, and the catalogue names none for money.move"]),
        ],
    )  # fmt: skip
    def test_what_it_goes_under_is_said_to_its_author(
        self, terms: dict[str, Any], on: Action, lowest: int | None, said: list[str]
    ) -> None:
        assert list(breaches_of(permit(**terms), on, lowest)) == said
