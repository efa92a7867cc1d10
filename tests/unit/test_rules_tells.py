"""What a sentence to an agent gives away, one tell at a time."""

from __future__ import annotations

import pytest

from approvals.rules.tells import problems_of

TEAMS = ("finance-leads", "support")


@pytest.mark.parametrize(
    "sentence",
    [
        "Backups stay.",
        "x" * 300,
        "This is done by hand. Ask again when the reason is another.",
        "A supportive word.",
        "Teamwork is another thing.",
        "One at a time.",
        "It is tenable; often, someone weighs it.",
        "Not in March. Monday is fine.",
        "Use pay@ or @pay.",
    ],
)
def test_a_harmless_sentence_may_be_said(sentence: str) -> None:
    assert problems_of(sentence, teams=TEAMS, people=("Chris Doe", " ")) == []


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("", ["must be a sentence of 1 to 300 characters"]),
        (" \t", ["must be a sentence of 1 to 300 characters", "has characters that cannot be seen"]),
        ("x" * 301, ["must be a sentence of 1 to 300 characters"]),
        ("a\u200bb", ["has characters that cannot be seen"]),
        ("a\u2028b", ["has characters that cannot be seen"]),
        ("a\u2029b", ["has characters that cannot be seen"]),
        ("a\nb", ["has characters that cannot be seen"]),
        ("Ask SUPPORT now.", ["names the team support"]),
        ("Ask the Finance Leads.", ["names the team finance-leads", "names a person"]),
        ("ask finance_leads", ["names the team finance-leads"]),
        ("ask ｓｕｐｐｏｒｔ", ["names the team support"]),
        ("Ask the team.", ["speaks of a team"]),
        ("Ask both Teams.", ["speaks of a team"]),
        ("team support, team finance-leads",
         ["names the team finance-leads", "names the team support", "speaks of a team"]),
        ("ask chris doe", ["names a person"]),
        ("Ask Jane Roe.", ["names a person"]),
        ("write to a@b", ["names a person"]),
        ("At 5.", ["names a threshold"]),
        ("Half a %.", ["names a threshold"]),
        ("Costs €.", ["names a threshold"]),
        ("At ٣.", ["names a threshold"]),
        ("At Ⅷ.", ["names a threshold"]),
        ("At \u0f2a.", ["names a threshold"]),  # a Tibetan half, which has no plain form
        ("Ten is much.", ["names a threshold"]),
        ("a dozen", ["names a threshold"]),
        ("The LIMIT is met.", ["names a threshold"]),
        ("Over thresholds.", ["names a threshold"]),
        ("Two of a kind", ["names a threshold"]),
    ],
)  # fmt: skip
def test_what_it_gives_away_is_named(sentence: str, said: list[str]) -> None:
    assert problems_of(sentence, teams=TEAMS, people=("Chris Doe", " ")) == said


@pytest.mark.parametrize(
    "word", ["three", "four", "five", "six", "seven", "eight", "nine", "hundred", "thousand", "million", "limits"]
)
def test_a_number_in_words_is_a_threshold(word: str) -> None:
    assert problems_of(f"At most {word}.", teams=()) == ["names a threshold"]
    assert problems_of(f"At most x{word}y.", teams=()) == []
