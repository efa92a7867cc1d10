"""Whom a text names that the agent must not learn of, however the name is written; and plain words that name nobody."""

from __future__ import annotations

import pytest

from approvals.naming import named_in

PEOPLE = [
    ("Sam Porter", "sam@example.test"),
    ("Fei Lindqvist", "finance1@example.test"),
    ("José García", "jose@example.test"),
    ("Anna Schmidt", "anna@example.test"),
    ("Jörg Müller", "muller@example.test"),
    ("Søren Ångström", "soren@example.test"),
    ("Dr. Anna-Lena O’Brien (Finance)", "obrien@example.test"),
    ("Will", "will@example.test"),
    ("田中 太郎", "tanaka@example.test"),
    ("김민수", "kim@example.test"),
    ("Анна Петрова", "petrova@example.test"),
]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Ask Sam Porter about it.", "Sam Porter"),
        ("Ask Sam\u200b Porter.", "Sam Porter"),
        ("Ask Sam\u00a0Porter.", "Sam Porter"),
        ("Ask SamPorter.", "Sam Porter"),
        ("Ｓａｍ Porter", "Sam Porter"),
        ("Fei Lindqvistさん", "Fei Lindqvist"),
        ("Fei Lindqvists beslut", "Fei Lindqvist"),
        ("Fei Lindqvist's view", "Fei Lindqvist"),
        ("Jose Garcia for José García", "José García"),
        ("Jos\u0065\u0301 García", "José García"),
        ("Schmidt, Anna", "Anna Schmidt"),
        ("Joerg Mueller", "Jörg Müller"),
        ("Jorg Muller", "Jörg Müller"),
        ("Soeren Aangstroem", "Søren Ångström"),
        ("Anna-Lena O'Brien", "Dr. Anna-Lena O’Brien (Finance)"),
        ("Anna Lena O’Brien", "Dr. Anna-Lena O’Brien (Finance)"),
        ("担当は田中太郎さんです", "田中 太郎"),
        ("田中\u3000太郎様", "田中 太郎"),
        ("김민수님이 거절", "김민수"),
        ("Петрова Анна", "Анна Петрова"),
    ],
)
def test_named_in_full_name_however_written_is_sure(text: str, named: str) -> None:
    found = named_in(text, people=PEOPLE, teams=[])
    assert found is not None
    assert (found.who, found.surely) == (named, True)
    assert named_in(text, people=PEOPLE, teams=[], meant=[found.meant]) == found


@pytest.mark.parametrize(
    "text",
    [
        "担当者finance1@example.testへ",
        "Write to FINANCE1@example.test.",
        "Write to finance1＠example.test!",
        "Write to finance1 (at) example.test now",
        "mailto:finance1@example.test?subject=x",
        "<finance1@example.test>",
        "éfinance1@example.test",
    ],
)
def test_named_in_address_beside_anything_is_sure(text: str) -> None:
    found = named_in(text, people=PEOPLE, teams=[])
    assert found is not None
    assert (found.who, found.surely) == ("finance1@example.test", True)


@pytest.mark.parametrize("text", ["xfinance1@example.test", "a.finance1@example.test", "finance1@example.test.org"])
def test_named_in_another_address_is_none(text: str) -> None:
    assert named_in(text, people=PEOPLE, teams=[]) is None


@pytest.mark.parametrize(
    ("text", "who", "meant"),
    [
        ("Ask Will about it.", "Will", "will"),
        ("Will's idea was better.", "Will", "will"),
        ("Lindqvists", "Lindqvists", "lindqvists"),
        ("We asked F. Lindqvist.", "Lindqvist", "lindqvist"),
        ("ask sam porter", "Sam Porter", "sam porter"),
        ("Анны Петровой нет", "Анна Петрова", "анны петровои"),
    ],
)
def test_named_in_one_word_as_written_may_be_meant(text: str, who: str, meant: str) -> None:
    found = named_in(text, people=PEOPLE, teams=[])
    assert found is not None
    assert (found.who, found.surely, found.meant) == (who, False, meant)
    assert named_in(text, people=PEOPLE, teams=[], meant=[meant]) is None
    assert named_in(text, people=PEOPLE, teams=[], meant=["porter"]) == found


@pytest.mark.parametrize(
    "text",
    [
        "This will not do.",
        "Will you send the receipt?",
        "It is late. Will you wait?",
        "“Will do” is no reason.",
        "THIS WILL NOT DO",
        "Goodwill is no reason.",
        "Samuel Porterfield wrote.",
        "The same port erred.",
        "Ask the sam. Porter came late.",
        "The porter lost it.",
        "",
    ],
)
def test_named_in_plain_words_is_none(text: str) -> None:
    assert named_in(text, people=PEOPLE, teams=["finance"]) is None


@pytest.mark.parametrize(
    "text", ["The finance team says no.", "Team Finance", "the finance-team", "finance's team", "Ｆinance teams"]
)
def test_named_in_team_beside_the_word_team_is_sure(text: str) -> None:
    found = named_in(text, people=PEOPLE, teams=["finance"])
    assert found is not None
    assert (found.who, found.surely) == ("finance", True)


@pytest.mark.parametrize(
    "text", ["This is a question of finance.", "Ask your team. Finance is closed.", "steam finance"]
)
def test_named_in_team_word_alone_is_none(text: str) -> None:
    assert named_in(text, people=PEOPLE, teams=["finance"]) is None


def test_named_in_person_without_a_name_is_none() -> None:
    assert named_in("The carrier confirmed the loss.", people=[("", ""), (" ", "")], teams=["", "-"]) is None
