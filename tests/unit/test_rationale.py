"""What a decision's words must be, by verdict and risk."""

from __future__ import annotations

import pytest

from approvals import rationale

SENTENCE = "The carrier confirmed the loss."


def problems(verdict: str = "approve", **given: str | None) -> dict[str, str]:
    """What is wrong with a form, the rest of it ordinary."""
    form = {"rationale": SENTENCE, "note": "", "reason_code": "", "confirm": "", "risk": "medium", "salient": None}
    return rationale.problems(verdict=verdict, **{**form, **given})  # type: ignore[arg-type]


def test_an_ordinary_form_has_no_problem() -> None:
    assert problems() == problems("reject") == {}


@pytest.mark.parametrize("verdict", ["", "Approve", "approved", "maybe"])
def test_there_are_two_verdicts(verdict: str) -> None:
    assert list(problems(verdict)) == ["verdict"]


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_rejection_always_says_why(text: str) -> None:
    assert list(problems("reject", rationale=text)) == ["rationale"]
    assert list(problems("reject", rationale=text, reason_code="not-needed")) == ["rationale"]


@pytest.mark.parametrize("risk", ["low", "medium"])
def test_below_high_risk_an_approval_takes_a_code_or_a_word(risk: str) -> None:
    assert list(problems(rationale="", risk=risk)) == ["rationale"]
    assert problems(rationale="", reason_code="routine", risk=risk) == {}


@pytest.mark.parametrize("text", ["aaaa", ".", ". .", "- -", "__ __", "ok", "\u200b \u200b", "！ ？", "注文", "ok!"])
def test_problems_of_junk_below_high_risk_are_told(text: str) -> None:
    assert list(problems(rationale=text, risk="low")) == ["rationale"]
    assert problems(rationale=text, risk="medium", reason_code="routine") == {}


@pytest.mark.parametrize("text", ["all fine", "matches records", "注文の内容", "ตรวจสอบแล้ว", "order 1187", "да верно"])
def test_problems_of_two_words_or_four_unspaced_letters_are_none(text: str) -> None:
    assert problems(rationale=text, risk="low") == problems(rationale=text, risk="medium") == {}


@pytest.mark.parametrize("text", [".", "---", "\u200b", "_ _"])
def test_problems_of_a_rejection_without_a_word_are_told(text: str) -> None:
    assert list(problems("reject", rationale=text)) == ["rationale"]


@pytest.mark.parametrize("text", ["", "ok", "yes yes yes yes yes", "fine, all is ok", "a b c"])
def test_at_high_risk_an_approval_takes_a_sentence(text: str) -> None:
    expected = [] if rationale.is_sentence(text) else ["rationale"]
    assert list(problems(rationale=text, risk="high", reason_code="routine")) == expected
    assert rationale.is_sentence(text) == (text == "fine, all is ok")


def test_at_critical_risk_the_fact_is_typed_again() -> None:
    for confirm, fits in (("1204", True), ("1,204", True), (" 1 204 ", True), ("1205", False), ("", False)):
        assert ("confirm" not in problems(risk="critical", salient="1204", confirm=confirm)) == fits, confirm
    assert "confirm" in problems(risk="critical", salient=None, confirm="")
    assert "confirm" not in problems(risk="high", salient="1204", confirm="")
    assert problems("reject", risk="critical", salient="1204") == {}


def test_a_code_belongs_to_its_verdict() -> None:
    assert list(problems(reason_code="wrong-amount")) == ["reason_code"]
    assert list(problems("reject", reason_code="routine")) == ["reason_code"]
    assert problems(reason_code="other") == problems("reject", reason_code="other") == {}


@pytest.mark.parametrize(
    "words", ["order_items[index]", "[redacted]", "<none>", "{name}", "{{x}}", "____", "a < b > c"]
)
def test_problems_of_words_in_brackets_are_none(words: str) -> None:
    assert problems("reject", rationale=f"The field {words} is not the order's.") == {}
    assert problems(rationale=f"The field {words} is the order's.", risk="high") == {}


def test_words_have_an_end() -> None:
    assert problems(rationale=f"{SENTENCE} " + "x" * 3_900) == {}
    assert list(problems(rationale="x" * 4_001)) == ["rationale"]
    assert list(problems(note="x" * 4_001)) == ["note"]
