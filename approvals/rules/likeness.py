"""When two requests ask for the same thing: what stays of a text, and of parameters, once spelling is taken away. Pure.

It decides what repeats a denial, and nothing else: what is shown, edited and signed stays over the exact bytes. The
Unicode tables are those of Python 3.11 (Unicode 14); a test fails on another, since rows keep what these tables gave.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from approvals.payloads import canonical
from approvals.rules.catalogue import Same
from approvals.rules.values import child

UNICODE = "14.0.0"
NOTHING = Same()
#: Default_Ignorable_Code_Point of Unicode 14, as first and last code points.
_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_IGNORED = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _IGNORABLE) + "]+")
_SPACE = re.compile(r"\s+")
_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def of(action: str, resource: str, parameters: Any, same: Same = NOTHING) -> str:
    """The likeness of a request: 64 hexadecimal digits. Equal for two requests that ask for the same thing.

    `parameters` are JSON values; `same` is the action's normal form from the catalogue.
    """
    whole = [1, action, text(resource), _normal(parameters, same)]
    return hashlib.sha256(canonical(whole).encode()).hexdigest()


def text(value: str) -> str:
    """What stays of a text. With a line break inside it is code or a letter, whose layout counts: only NFC then."""
    plain = _IGNORED.sub("", unicodedata.normalize("NFKC", _IGNORED.sub("", value)))
    if _BREAK.search(plain.strip()):
        return unicodedata.normalize("NFC", value)
    return _SPACE.sub(" ", plain).strip()


def ends_unseen(value: str) -> bool:
    """Whether a text begins or ends with white space or with a sign that cannot be seen."""
    return any(
        end.isspace() or _IGNORED.match(end) or unicodedata.category(end)[0] == "C"
        for end in (value[:1], value[-1:])
        if end
    )


def _normal(parameters: Any, same: Same) -> Any:
    kept = parameters
    if same.ignore_unknown and isinstance(parameters, Mapping):
        kept = {name: value for name, value in parameters.items() if child("", name) in same.known}
    return _value(kept, "", same)


def _value(value: Any, pointer: str, same: Same) -> Any:
    if isinstance(value, Mapping):
        members = ((name, child(pointer, name), member) for name, member in value.items())
        return {
            name: _value(member, place, same)
            for name, place, member in members
            if not (place in same.absent_if_empty and member in ("", [], {}, None))
        }
    if isinstance(value, list | tuple):
        items = [_value(item, pointer, same) for item in value]
        return items[0] if pointer in same.list_of_one and len(items) == 1 else items
    if isinstance(value, str):
        if pointer in same.exact:
            return unicodedata.normalize("NFC", value)
        plain = text(value)
        return plain.casefold() if pointer in same.fold_case else plain
    return value
