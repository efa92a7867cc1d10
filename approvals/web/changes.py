"""What differs between two sets of parameters, by JSON pointer. Pure: nothing is fetched and nothing is judged."""

from __future__ import annotations

from collections.abc import Iterator

from approvals.display.lines import canonical
from approvals.display.visible import Run, Runs, joined, make_visible
from approvals.rules.values import JSON, walk
from approvals.web.pages import DiffLine

LINES_AT_MOST = 60
SAME_AT_MOST = 8
VALUE_AT_MOST = 200  # characters of one value; all of it stands among the parameters


def lines(before: JSON, now: JSON) -> list[DiffLine]:
    """The values that went and came, in the order of the pointers, then a few of those that stayed."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    found: list[DiffLine] = []
    for pointer in sorted(old.keys() | new.keys()):
        if old.get(pointer) == new.get(pointer):
            continue
        if pointer in old:
            found.append(_line("removed", pointer, old[pointer]))
        if pointer in new:
            found.append(_line("added", pointer, new[pointer]))
    if len(found) > LINES_AT_MOST:
        rest = len(found) - LINES_AT_MOST
        note = DiffLine("same", (Run(f"{rest:,} more"),), (Run("changed lines are not shown here", "token"),))
        return [*found[:LINES_AT_MOST], note]
    same = [pointer for pointer in sorted(new) if old.get(pointer) == new[pointer]]
    return [*found, *(_line("same", pointer, new[pointer]) for pointer in same[:SAME_AT_MOST])]


def _leaves(value: JSON) -> Iterator[tuple[str, str]]:
    """Pointer and canonical text of everything that holds no further values."""
    for pointer, inner in walk(value):
        if pointer and not (isinstance(inner, dict | list) and inner):
            yield pointer, canonical(inner)


def _line(kind: str, pointer: str, value: str) -> DiffLine:
    shown: Runs = make_visible(value[:VALUE_AT_MOST])
    if len(value) > VALUE_AT_MOST:
        shown = joined(shown, (Run(f"[{VALUE_AT_MOST:,} of {len(value):,} characters]", "token"),))
    return DiffLine(kind, make_visible(pointer), shown)  # type: ignore[arg-type]  # one of the three kinds above
