"""Which writing system a letter belongs to, well enough to see that a word mixes several.

Built on the names in `unicodedata`: for a letter the first word of the name is its script. No judgement
about words of one script, however much they resemble another's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LATIN = "LATIN"
# Letters of Latin in fancy dress (fullwidth, mathematical, circled …): never written by hand in a word.
STYLED = "STYLED"
_COMMON = ""

# The scripts that people do write together in one word (UTS 39, highly restrictive profile).
_TOGETHER = (
    frozenset({LATIN, "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({LATIN, "CJK", "HANGUL"}),
    frozenset({LATIN, "CJK", "BOPOMOFO"}),
)
_FIRST_WORDS = {
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",
    "KATAKANA-HIRAGANA": _COMMON,
    "MODIFIER": _COMMON,
    "COMBINING": _COMMON,
    "MICRO": _COMMON,  # µ stands in units beside Latin letters
    "FEMININE": _COMMON,
    "MASCULINE": _COMMON,
    "IDEOGRAPHIC": "CJK",
}


def is_mixed(word: Iterable[str]) -> bool:
    """Whether the letters of one word come from scripts that are not written together."""
    letters = list(word)
    scripts = {script_of(letter) for letter in letters} - {_COMMON}
    foreign_digit = any(letter.isdigit() and not letter.isascii() for letter in letters)
    if foreign_digit and any(letter.isascii() and letter.isalnum() for letter in letters):
        return True  # 4٢ reads as one number and is not
    if STYLED in scripts:
        return True
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The script of one character, `STYLED` for a letter in fancy dress, empty for what all scripts share."""
    if letter.isascii():
        return LATIN if letter.isalpha() else _COMMON
    if unicodedata.category(letter)[0] not in "LN":
        return _COMMON
    first = unicodedata.name(letter, "").split(" ")[0]
    if first in _FIRST_WORDS:
        return _FIRST_WORDS[first]
    plain = unicodedata.normalize("NFKC", letter)
    if plain != letter and plain.isascii():
        return STYLED if plain.isalnum() and unicodedata.category(letter) != "No" else _COMMON
    return first
