"""Whether a path means what it seems to mean: no step upwards, no second spelling, nothing unseen. Pure.

A rule that reads `like "prefix/*"` sees the beginning of a text. Who acts on `prefix/../../payout/x` ends elsewhere.
"""

from __future__ import annotations

import re
import unicodedata

from approvals.scripts import is_mixed

_UPWARDS = re.compile(r"(?:^|[/:\\])\.\.(?:$|[/:\\])")
_WORD = re.compile(r"[\w]+")
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
#: What makes the rest of a path lead elsewhere, or mean more than a name.
_LEADS_ELSEWHERE = ("..", "//", "%", "\\", "?", "#")


def is_understood(resource: str) -> bool:
    """Whether a rule that reads this resource by its beginning can be relied on: no `..` between separators, no `\\`
    and no `%`, no sign that cannot be seen, no word of mixed scripts."""
    return _is_plain(resource) and not any(
        _UPWARDS.search(text) or "\\" in text or "%" in text for text in _spellings(resource)
    )


def may_stand_for_star(rest: str) -> bool:
    """Whether an allowance's `*` may stand for this: a name that leads nowhere else, and is what it looks like."""
    return _is_plain(rest) and not any(sign in text for text in _spellings(rest) for sign in _LEADS_ELSEWHERE)


def _spellings(text: str) -> tuple[str, str]:
    """As it is written, and as a program that normalises it reads it: ．．／ is ../ there."""
    return text, unicodedata.normalize("NFKC", text)


def _is_plain(text: str) -> bool:
    if any(_is_unseen(sign) for sign in text):
        return False
    return not any(is_mixed(word) for word in _WORD.findall(text))


def _is_unseen(sign: str) -> bool:
    category = unicodedata.category(sign)
    return category[0] == "C" or category in ("Zl", "Zp") or sign in _BLANKS or (category == "Zs" and sign != " ")
