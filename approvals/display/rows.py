"""The exact parameters as rows: one for every JSON pointer, none dropped, cuts counted.

Whether a row is understood is the catalogue's word; how rows look is the template's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from approvals.display.lines import amount, canonical
from approvals.display.visible import Run, Runs, as_text, joined, make_visible
from approvals.rules.catalogue import Action
from approvals.rules.schema import has_value
from approvals.rules.values import JSON, resolve, walk

STRING_AT_MOST = 2_000  # characters of one string on the page (docs/adr/0011)
PAGE_AT_MOST = 40_000  # characters of all strings together; then each is cut shorter
SHORT = 80

Type = Literal["string", "number", "boolean", "null", "array", "object"]


@dataclass(frozen=True)
class Row:
    """One value. `pointer` is exact (RFC 6901), `shown_pointer` the same made visible; `depth` from 1.

    `value` is the canonical text with unseen characters spelt out (strings in quotes), or for a container
    its size, its members following as rows of their own. `shown` and `total` count characters of a string.
    `reads` says in words what the number means (`$42.00`), empty where it means itself.
    """

    pointer: str
    shown_pointer: Runs
    label: str
    depth: int
    type: Type
    value: Runs
    understood: bool
    shown: int
    total: int
    reads: str = ""


def rows_of(action: Action | None, parameters: JSON, *, full: bool = False) -> tuple[Row, ...]:
    """A row for every pointer below the root, in canonical order; with `full` nothing is cut."""
    left = PAGE_AT_MOST
    rows = []
    for pointer, value in walk(parameters):
        if pointer:
            at_most = None if full else (STRING_AT_MOST if left > 0 else SHORT)
            row = _row(action, parameters, pointer, value, at_most)
            left -= row.shown
            rows.append(row)
    return tuple(rows)


def _row(action: Action | None, parameters: JSON, pointer: str, value: JSON, at_most: int | None) -> Row:
    field = action.fields.get(pointer) if action else None
    total = len(value) if isinstance(value, str) else 0
    shown = total if at_most is None else min(total, at_most)
    return Row(
        pointer=pointer,
        shown_pointer=make_visible(pointer),
        label=field.label if field else "",
        depth=pointer.count("/"),
        type=_type(value),
        value=_shown(value, shown, multiline=bool(field and field.multiline)),
        understood=action is not None and action.declares(pointer),
        shown=shown,
        total=total,
        reads=_reads(action, parameters, pointer, value),
    )


def _shown(value: JSON, at_most: int, *, multiline: bool) -> Runs:
    if isinstance(value, str):
        # Quotes and backslashes as JSON writes them, so that no string can look like two.
        inside = value[:at_most].replace("\\", "\\\\").replace('"', '\\"')
        ended = (Run('"'),) if at_most >= len(value) else ()
        return joined((Run('"'),), make_visible(inside, multiline=multiline), ended)
    if isinstance(value, dict) and value:
        return (Run(f"{len(value):,} member{'' if len(value) == 1 else 's'}"),)
    if isinstance(value, list) and value:
        return (Run(f"{len(value):,} item{'' if len(value) == 1 else 's'}"),)
    return (Run(canonical(value)),)


def _type(value: JSON) -> Type:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _reads(action: Action | None, parameters: JSON, pointer: str, value: JSON) -> str:
    if action is None or action.money is None or pointer != action.money[0]:
        return ""
    if not has_value(parameters, action.money[1]):
        return ""
    return as_text(amount(value, resolve(parameters, action.money[1]), STRING_AT_MOST))
