"""Parameters as text to edit: the same values back, and nothing in it that a reader could not see."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from approvals.display.editing import editable
from approvals.payloads import canonical

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2**52), 2**52)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_edited_means_what_it_was_made_from(parameters: dict[str, Any]) -> None:
    stored = json.loads(canonical(parameters))
    assert canonical(json.loads(editable(stored))) == canonical(parameters)


@given(TEXTS)
def test_nothing_unseen_or_reordering_stands_in_it(text: str) -> None:
    for character in editable({"text": text}):
        assert character in "\n" or unicodedata.category(character)[0] not in "CM"
        assert unicodedata.bidirectional(character) not in ("R", "AL", "AN", "RLO", "RLE", "RLI")


def test_it_is_spelt_as_json_spells_it() -> None:
    assert editable({"a": "x\u202ey", "b": "ü"}) == '{\n  "a": "x\\u202ey",\n  "b": "ü"\n}'
    assert editable({"flag": "\U000e0041"}) == '{\n  "flag": "\\udb40\\udc41"\n}'
