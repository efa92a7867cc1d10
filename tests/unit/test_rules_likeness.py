"""When two requests ask for the same thing: what of a spelling counts, and what does not."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.rules import likeness
from approvals.rules.catalogue import Same

TEXT = "Refund order/1187 for Ångström"


def alike(one: str, other: str) -> bool:
    """Whether the two are alike as a resource, and as a parameter."""
    resources = likeness.of("a.b", one, {}) == likeness.of("a.b", other, {})
    parameters = likeness.of("a.b", "r", {"x": [one]}) == likeness.of("a.b", "r", {"x": [other]})
    assert resources == parameters
    return resources


@pytest.mark.parametrize(
    "other",
    [
        f"{TEXT} ", f" {TEXT}", TEXT.replace(" ", "  "), TEXT.replace(" ", "\u00a0"), TEXT.replace(" ", "\t"),
        unicodedata.normalize("NFD", TEXT), TEXT.replace("Å", "\u212b"), TEXT.replace("order", "ｏｒｄｅｒ"),
        TEXT.replace("e", "e\u200b"), TEXT.replace("/", "/\u2060"), f"{TEXT}\ufe0f", f"\ufeff{TEXT}",
        TEXT.replace("f", "f\u00ad"), f"{TEXT}\U000e0041", TEXT.replace(" ", " \u3164"), f"{TEXT}\n",
    ],
)  # fmt: skip
def test_of_the_same_text_spelt_otherwise_is_alike(other: str) -> None:
    assert alike(TEXT, other)


@pytest.mark.parametrize(
    "other", [TEXT.lower(), TEXT.replace("1187", "1188"), TEXT.replace(" ", ""), TEXT.replace("o", "\u043e"), ""]
)
def test_of_another_text_is_not_alike(other: str) -> None:
    assert not alike(TEXT, other)


def test_of_a_text_with_a_line_break_counts_every_space() -> None:
    code = "if x:\n    delete()"
    assert not alike(code, "if x:\n  delete()")
    assert not alike(code, code.replace("x", "ｘ"))
    assert alike("é\nb", "e\u0301\nb")


@pytest.mark.parametrize("other", [{"a": 1.5}, {"b": 1}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": None}, {}])
def test_of_other_numbers_and_names_is_not_alike(other: dict[str, object]) -> None:
    assert likeness.of("a.b", "r", {"a": 1}) != likeness.of("a.b", "r", other)


def test_of_another_action_is_not_alike() -> None:
    assert likeness.of("a.b", "r", {}) != likeness.of("a.c", "r", {})
    assert likeness.of("a.b", "r", {"a": 1, "b": 2}) == likeness.of("a.b", "r", {"b": 2, "a": 1.0})


def test_of_the_catalogues_normal_form_takes_more_away() -> None:
    same = Same(
        fold_case=frozenset({"/to"}),
        list_of_one=frozenset({"/to"}),
        absent_if_empty=frozenset({"/cc"}),
        exact=frozenset({"/code"}),
        ignore_unknown=True,
        known=frozenset({"/to", "/cc", "/code"}),
    )
    base = likeness.of("a.b", "r", {"to": "sam@example.test"}, same)
    for other in (
        {"to": ["SAM@example.test"]}, {"to": "Sam@Example.test", "cc": []}, {"to": "sam@example.test", "new": 1},
        {"to": "sam@example.test", "cc": ""},
    ):  # fmt: skip
        assert likeness.of("a.b", "r", other, same) == base
    assert likeness.of("a.b", "r", {"to": ["sam@example.test", "x"]}, same) != base
    exact = [likeness.of("a.b", "r", {"to": "x", "code": code}, same) for code in ("ls  -l", "ls -l", "ls -l ")]
    assert len(set(exact)) == 3


@given(st.text())
def test_text_of_a_likeness_is_itself(value: str) -> None:
    once = likeness.text(value)
    assert likeness.text(once) == once


def test_tables_are_those_that_rows_were_made_with() -> None:
    assert unicodedata.unidata_version == likeness.UNICODE
    ignored = [chr(code) for code in range(sys.maxunicode + 1) if likeness._IGNORED.match(chr(code))]
    assert len(ignored) == 4174
    assert {"\u00ad", "\u200b", "\u3164", "\ufeff", "\U000e0fff"} <= set(ignored)
    assert not {" ", "a", "\n", "\u0301"} & set(ignored)


@pytest.mark.parametrize("value", [" a", "a ", "\ta", "a\u00a0", "\u200ba", "a\u202e", "a\ufe0f", "a\x07", " "])
def test_ends_unseen_of_white_space_or_unseen_signs_is_true(value: str) -> None:
    assert likeness.ends_unseen(value)


@pytest.mark.parametrize("value", ["", "a", "a b", "é", "注文", "e\u0301", "🎉"])
def test_ends_unseen_of_plain_text_is_false(value: str) -> None:
    assert not likeness.ends_unseen(value)
