"""Writes and reads the CSV of every export, so that a spreadsheet shows a text and never runs it.

A spreadsheet splits a line at the separator of its own country, so a formula can begin after any separator and not only
at the start of a cell. The rule is the same for each CSV of the product; no row is fetched here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

#: Tells a spreadsheet that the file is UTF-8. It stands once, before the first row.
BYTE_ORDER_MARK = "\ufeff"

_PLACE = r"(?:\A|(?<=[;,\t\r\n]))"
_RISKY = re.compile(_PLACE + r"(?=[=+\-@＝＋－＠\t\r'])")
_MARKED = re.compile(_PLACE + "'")


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet runs; `original` gives the text back, whatever it was.

    Where a sign that can begin a formula follows the cell's start, a separator or a line break, an apostrophe is put
    before it. So is one before an apostrophe there: without it two different texts would look alike.
    """
    return _RISKY.sub("'", text)


def original(cell: str) -> str:
    """The text that `neutral` was given."""
    return _MARKED.sub("", cell)


def rows(lines: Iterable[Sequence[str]]) -> str:
    """The lines as CSV: every cell made neutral and quoted, rows ended by CR LF.

    The caller sends the byte-order mark before the first row.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(
        [neutral(cell) for cell in line] for line in lines
    )
    return text.getvalue()
