"""The demo pack's own cases hold, and a case that expects what it misspells doesn't count as held."""

from __future__ import annotations

import pytest

from approvals.rules import cases
from approvals.rules.cases import BadCase, Case
from tests.support.packs import DEMO, demo_pack

_CASES = [case for found in cases.read_folder(DEMO).values() for case in found]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_demo_pack(case: Case) -> None:
    assert case.failures(demo_pack()) == []


def test_every_demo_action_has_a_case() -> None:
    assert {case.ask.action for case in _CASES} >= set(demo_pack().catalogue)


def test_a_wrong_expectation_fails_in_words() -> None:
    (case,) = cases.read_cases(
        '[[case]]\nname = "it"\nask = { action = "docs.read", level = 1, parameters = { path = "/" } }\n'
        'expect = { outcome = "people", risk = "low" }'
    )
    assert case.failures(demo_pack()) == ["it: outcome is 'allowed', expected 'people'"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing else"),
        ('[[case]]\nname = "a"\nask = {}\nexpect = { outcome = "people" }', "needs action"),
        (
            '[[case]]\nname = "a"\nask = { action = "x.y", level = 1, parameters = {} }\n'
            'expect = { outcom = "people" }',
            "outcom is nothing",
        ),
        (
            '[[case]]\nname = "a"\nask = { action = "x.y", level = 1, parameters = {}, levle = 2 }\n'
            'expect = { outcome = "people" }',
            "levle is nothing",
        ),
        (
            '[[case]]\nname = "a"\nask = { action = "x.y", level = 1, parameters = {} }\nexpect = {}',
            "expects nothing",
        ),
    ],
)
def test_a_case_that_would_hold_by_itself_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadCase, match=why):
        cases.read_cases(text)
