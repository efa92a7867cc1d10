"""The CSV of every export: no cell runs in a spreadsheet, and each text can be read back."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import spreadsheet

SIGNS = "=+-@＝＋－＠\t\r'"
SEPARATORS = ";,\t\r\n"
TEXTS = st.text(alphabet=st.sampled_from(f'{SIGNS}{SEPARATORS}"a1 |é')) | st.text()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("paid;=1+1;x", "paid;'=1+1;x"),
        ("paid,@SUM(A1)", "paid,'@SUM(A1)"),
        ("paid\t-2", "paid\t'-2"),
        ("first\r\n+1", "first\r\n'+1"),
        ("first\n＝1", "first\n'＝1"),
        ("\t=1", "'\t'=1"),
        ("＠A1", "'＠A1"),
        ("-42", "'-42"),
        ("an = inside", "an = inside"),
        ("a-b@c", "a-b@c"),
        ("", ""),
    ],
)
def test_neutral_of_a_formula_anywhere_puts_an_apostrophe(text: str, cell: str) -> None:
    assert spreadsheet.neutral(text) == cell
    assert spreadsheet.original(cell) == text


@given(TEXTS)
def test_original_of_any_neutral_cell_is_the_text(text: str) -> None:
    assert spreadsheet.original(spreadsheet.neutral(text)) == text


@given(TEXTS, st.sampled_from(SEPARATORS))
def test_neutral_of_any_text_split_at_a_separator_runs_nothing(text: str, separator: str) -> None:
    for part in re.split(f"[{separator}]", spreadsheet.neutral(text)):
        assert not part.startswith(tuple("=+-@＝＋－＠"))


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=4), max_size=4))
def test_rows_quote_every_cell_and_are_read_back(lines: list[list[str]]) -> None:
    written = spreadsheet.rows(lines)
    read = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert [[spreadsheet.original(cell) for cell in row] for row in read] == lines
    assert written == "" or (written.startswith('"') and written.endswith('"\r\n'))
