"""The catalogue's renderer lines with their slots filled from the parameters.

Values come from an agent: each is made visible, quoted unless it is one plain word, and cut with a note.
Which lines there are is the catalogue's matter; where they stand on the page the view's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import rfc8785

from approvals.display.money import money
from approvals.display.visible import Run, Runs, joined, make_visible
from approvals.rules.schema import has_value
from approvals.rules.templates import Slot, Template
from approvals.rules.values import JSON, resolve

TITLE_AT_MOST = 80  # characters of one value in a title
LINE_AT_MOST = 300  # and in a line of the consequence block
# Items of a list written out; all of them stand among the parameters.
TITLE_ITEMS_AT_MOST = 3
LINE_ITEMS_AT_MOST = 10

# One word that can't be mistaken for the sentence around it.
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+#~-]*")


@dataclass(frozen=True)
class Facts:
    """What slots may name."""

    parameters: JSON
    resource: str
    agent: str


def first_filled(templates: Sequence[Template], facts: Facts, at_most: int) -> Runs | None:
    """The first line whose slots all have values, filled; None where there is none."""
    for template in templates:
        if all(has_value(facts.parameters, pointer) for pointer in template.needs):
            return joined(*(_part(part, facts, at_most) for part in template.parts))
    return None


def worded(value: JSON, at_most: int) -> Runs:
    """One value within a sentence: bare if it is a plain word, else quoted; cut with a note of how much."""
    text = canonical(value) if not isinstance(value, str) else value
    cut = text[:at_most]
    shown = make_visible(cut if _BARE.fullmatch(text) or not isinstance(value, str) else quoted(cut))
    if len(text) > at_most:
        return (*shown, Run(f"[{at_most:,} of {len(text):,} characters]", "token"))
    return shown


def listed(value: JSON, at_most: int) -> Runs:
    """A list's items by comma, the first few, with the number of those that are not written out."""
    if not isinstance(value, list):
        return worded(value, at_most)
    items = TITLE_ITEMS_AT_MOST if at_most == TITLE_AT_MOST else LINE_ITEMS_AT_MOST
    parts: list[Runs] = []
    for item in value[:items]:
        parts += [(Run(", "),)] if parts else []
        parts.append(worded(item, at_most))
    if not value:
        parts.append((Run("none"),))
    if len(value) > items:
        parts.append((Run(f" and {len(value) - items:,} more"),))
    return joined(*parts)


def number(value: JSON, nouns: str, at_most: int) -> Runs:
    """`1204, "record,records"` → `1,204 records`; what is no integer is shown as it is."""
    if not isinstance(value, int) or isinstance(value, bool):
        return worded(value, at_most)
    one, _, many = nouns.partition(",")
    return (Run(f"{value:,} {one if value == 1 or not many else many}".rstrip()),)


def quoted(text: str) -> str:
    """In straight quotes, with quotes and backslashes inside escaped as JSON does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def canonical(value: JSON) -> str:
    """RFC 8785 text."""
    return rfc8785.dumps(value).decode("utf-8")


def _part(part: str | Slot, facts: Facts, at_most: int) -> Runs:
    if isinstance(part, str):
        return (Run(part),)
    if part.pointer == "@resource":
        return worded(facts.resource, at_most)
    if part.pointer == "@agent":
        return worded(facts.agent, at_most)
    value = resolve(facts.parameters, part.pointer)
    if part.filter == "money":
        currency = resolve(facts.parameters, part.needs[1])
        return amount(value, currency, at_most)
    if part.filter == "count":
        return number(value, part.argument, at_most)
    if part.filter == "length" and isinstance(value, str | list):
        return number(len(value), part.argument, at_most)
    return listed(value, at_most) if part.filter == "list" else worded(value, at_most)


def amount(value: JSON, currency: JSON, at_most: int) -> Runs:
    """Money in words, or the bare values where they are no amount and currency."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    coded = isinstance(currency, str) and re.fullmatch(r"[A-Za-z]{3}", currency)
    if coded and isinstance(value, int) and not isinstance(value, bool):
        return (Run(money(value, str(currency))),)
    return joined(worded(value, at_most), (Run(" "),), worded(currency, at_most), (Run(" (no known money)"),))
