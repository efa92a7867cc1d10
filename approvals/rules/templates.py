"""The tiny language of the catalogue's renderer lines: text with `{name|filter:argument}` slots.

Parsing and checking only; filling the slots is the display's work. There are no expressions, no calls and
no way to reach anything but the parameters, `@resource` and `@agent`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

FILTERS = ("text", "money", "count", "list", "length")
NAMES = ("@resource", "@agent")

_SLOT = re.compile(
    r"\{(?P<name>@[a-z]+|/?[A-Za-z0-9_~.-]+(?:/[A-Za-z0-9_~.-]+)*)"
    r"(?:\|(?P<filter>[a-z]+)(?::(?P<argument>[^{}|]*))?)?\}"
)


class BadTemplate(ValueError):
    """The line does not parse; the message says where."""


@dataclass(frozen=True)
class Slot:
    """`pointer` is an RFC 6901 pointer or one of `NAMES`; `argument` is what the filter was given."""

    pointer: str
    filter: Literal["text", "money", "count", "list", "length"] = "text"
    argument: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The pointers that must have a value for this slot to be filled."""
        own = () if self.pointer in NAMES else (self.pointer,)
        return (*own, _pointer(self.argument)) if self.filter == "money" else own


@dataclass(frozen=True)
class Template:
    """One line: plain text and slots in turn."""

    parts: tuple[str | Slot, ...]

    @property
    def needs(self) -> frozenset[str]:
        """All pointers that must have a value for the line to be written."""
        return frozenset(pointer for part in self.parts if isinstance(part, Slot) for pointer in part.needs)


def parse(text: str) -> Template:
    """Read a line such as `Refund {amount_cents|money:currency} to order {order}`; `BadTemplate` if it isn't.

    A name without a leading slash is a member of the parameters; with one it is a JSON pointer.
    """
    parts: list[str | Slot] = []
    end = 0
    for found in _SLOT.finditer(text):
        parts.append(_plain(text[end : found.start()], text))
        parts.append(_slot(found, text))
        end = found.end()
    parts.append(_plain(text[end:], text))
    return Template(tuple(part for part in parts if part != ""))


def _plain(text: str, line: str) -> str:
    if "{" in text or "}" in text:
        raise BadTemplate(f'"{line}" has a brace that is no slot')
    return text


def _slot(found: re.Match[str], line: str) -> Slot:
    name, chosen, argument = found["name"], found["filter"] or "text", found["argument"] or ""
    if name.startswith("@") and name not in NAMES:
        raise BadTemplate(f'"{line}": {name} is none of {", ".join(NAMES)}')
    if chosen not in FILTERS:
        raise BadTemplate(f'"{line}": {chosen} is none of {", ".join(FILTERS)}')
    if chosen == "money" and not argument:
        raise BadTemplate(f'"{line}": money needs where the currency stands, as in money:currency')
    return Slot(name if name.startswith("@") else _pointer(name), chosen, argument)  # type: ignore[arg-type]  # checked above


def _pointer(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"
