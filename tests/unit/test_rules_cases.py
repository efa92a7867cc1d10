"""The demo pack's own cases hold, and a case that expects what it misspells doesn't count as held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.rules import cases
from approvals.rules.cases import BadCase, Case
from tests.support.packs import DEMO, demo_pack, pack_of, permit

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


def test_a_folders_cases_are_read_by_the_names_of_their_files(tmp_path: Path) -> None:
    found = cases.read_folder(DEMO)
    assert sum(map(len, found.values())) == len(_CASES)
    (tmp_path / "tests").mkdir()
    for name in ("b.toml", "a.toml"):
        (tmp_path / "tests" / name).write_bytes(case_of("żó").encode())
    (tmp_path / "tests" / "notes.txt").write_text("no case")
    found = cases.read_folder(tmp_path)
    assert list(found) == ["a.toml", "b.toml"]
    assert [case.name for case in found["a.toml"]] == ["żó"]


def case_of(name: str = "it", ask: str = "", expect: str = 'outcome = "people"') -> str:
    """One case about writing a page."""
    return (
        f'[[case]]\nname = "{name}"\n'
        f'ask = {{ action = "page.write", level = 3, parameters = {{ amount = 1 }} {ask} }}\n'
        f"expect = {{ {expect} }}"
    )


EVERYTHING = permit(
    '@id("rule") @require("1 of support") @risk("high") @timeout("30m") @valid("2h") @stepup("true") @executor("pay")'
)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("outcome", '"people"', '"allowed"'),
        ("reason", '""', '"x"'),
        ("retry", '""', '"never"'),
        ("cause", '"permit"', '"x"'),
        ("matched", '["rule"]', "[]"),
        ("risk", '"high"', '"low"'),
        ("require", '"1 of support"', '"nobody"'),
        ("timeout", "1800", "1"),
        ("timeout", '"30m"', '"1h"'),
        ("valid", "7200", "1"),
        ("valid", '"2h"', '"1h"'),
        ("stepup", "true", "false"),
        ("executor", '"pay"', '""'),
        ("unknown", "[]", '["/x"]'),
    ],
)
def test_everything_that_can_be_expected_is_compared(name: str, right: str, wrong: str) -> None:
    pack = pack_of(EVERYTHING)
    (case,) = cases.read_cases(case_of(expect=f"{name} = {right}"))
    assert case.failures(pack) == []
    (case,) = cases.read_cases(case_of(expect=f"{name} = {wrong}"))
    assert len(case.failures(pack)) == 1


def test_where_no_executor_is_named_none_is_expected() -> None:
    (case,) = cases.read_cases(case_of(expect='executor = "", retry = ""'))
    assert case.failures(pack_of(permit())) == []


def test_a_case_is_asked_on_an_ordinary_day_with_nothing_behind_it_unless_it_says_otherwise() -> None:
    (case,) = cases.read_cases(case_of())
    assert dict(case.ask.recent) == {"denials_24h": 0, "filings_1h": 0, "same_denied": 0}
    assert (case.ask.agent, case.ask.phase, case.ask.hour, case.ask.weekday) == ("helpdesk", "full", 12, 2)
    (case,) = cases.read_cases(case_of(ask=', recent = { denials_24h = 4 }, hour = 3, agent = "other"'))
    assert dict(case.ask.recent) == {"denials_24h": 4, "filings_1h": 0, "same_denied": 0}
    assert (case.ask.agent, case.ask.hour) == ("other", 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('case = "x"', "a file of cases holds [[case]] tables and nothing else"),
        (f"{case_of()}\n[more]\nx = 1", "a file of cases holds [[case]] tables and nothing else"),
        ("[[case]]\nask = {}\nexpect = {}", "a case without a name: a case has a name, ask and expect"),
        (f"{case_of()}\nmore = 1", "it: a case has a name, ask and expect"),
        ("[[case]]\nname = 5\nask = {}\nexpect = {}", "5: a case has a name, ask and expect"),
        (case_of(expect='outcom = "x"'), "it: outcom is nothing that can be expected"),
        (case_of(ask=", levle = 2"), "it: levle is nothing that can be asked"),
        ('[[case]]\nname = "a"\nask = {}\nexpect = {}', "a: ask needs action, level and parameters"),
        (case_of(expect=""), "it: it expects nothing"),
    ],
)
def test_why_a_case_is_refused_is_said_in_words(text: str, why: str) -> None:
    with pytest.raises(BadCase) as refused:
        cases.read_cases(text)
    assert str(refused.value) == why


def test_a_time_in_a_case_has_the_bounds_of_a_timeout() -> None:
    expected: dict[str, Any] = dict(cases.read_cases(case_of(expect='timeout = "7d"'))[0].expect)
    assert expected == {"timeout": 7 * 86400}
    with pytest.raises(ValueError, match="longer than the 7d"):
        cases.read_cases(case_of(expect='timeout = "8d"'))
