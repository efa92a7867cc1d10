"""The consequence block: what happens if you approve, in lines the server writes from catalogue and values.

Order and wording are fixed here (docs/adr/0011); the agent's explanation has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from approvals.display.lines import LINE_AT_MOST, Facts, amount, first_filled, listed, number
from approvals.display.visible import Run, Runs, joined, make_visible
from approvals.rules.catalogue import Action
from approvals.rules.schema import has_value
from approvals.rules.values import JSON, resolve

Emphasis = Literal["plain", "warn", "danger"]


@dataclass(frozen=True)
class Consequence:
    """One line: a label of ours, a value in runs, and how loudly it is said."""

    label: str
    value: Runs
    emphasis: Emphasis = "plain"


def block(action: Action | None, facts: Facts, unknown: tuple[str, ...], valid_seconds: int) -> tuple[Consequence, ...]:
    """All lines in order. Without a catalogue entry the reach is unknown and said to be."""
    lines = list(_unknown_action() if action is None else _of_action(action, facts))
    if unknown:
        count = f"{len(unknown):,} parameter{'' if len(unknown) == 1 else 's'}: "
        value = joined((Run(count),), listed(list(unknown), LINE_AT_MOST))
        lines.append(Consequence("Not understood", value, "danger"))
    lines.append(Consequence("How often", (Run(f"Once, within {words(valid_seconds)} of approval"),)))
    return tuple(lines)


def words(seconds: int) -> str:
    """A time span in the largest unit that fits exactly: `1 hour`, `90 minutes`, `45 seconds`."""
    lengths = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
    unit = next(unit for unit, length in lengths.items() if length == 1 or seconds % length == 0 < seconds)
    count = seconds // lengths[unit]
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _unknown_action() -> Iterator[Consequence]:
    yield Consequence("What it does", (Run("Unknown: this action is not in the catalogue"),), "danger")
    yield Consequence("Can be undone", (Run("Unknown, so treated as no"),), "danger")


def _of_action(action: Action, facts: Facts) -> Iterator[Consequence]:
    recipients = _recipients(action, facts.parameters)
    if recipients:
        where = (Run(" (outside)"),) if action.external else ()
        tone: Emphasis = "warn" if action.external else "plain"
        yield Consequence("To", joined(listed(recipients, LINE_AT_MOST), where), tone)
    elif action.external:
        yield Consequence("Reaches", (Run("outside the company"),), "warn")
    for line in action.consequences:
        filled = first_filled(line.values, facts, LINE_AT_MOST)
        if filled is not None:
            yield Consequence(line.label, filled, line.tone)
    if action.money and all(has_value(facts.parameters, pointer) for pointer in action.money):
        value, currency = (resolve(facts.parameters, pointer) for pointer in action.money)
        yield Consequence("Money", amount(value, currency, LINE_AT_MOST), "warn")
    if action.count and has_value(facts.parameters, action.count):
        yield Consequence("How many", number(resolve(facts.parameters, action.count), "", LINE_AT_MOST))
    yield Consequence("Environment", make_visible(action.environment))
    undone: dict[str, tuple[str, Emphasis]] = {
        "read": ("Nothing is changed", "plain"),
        "write": ("Yes", "plain"),
        "irreversible": ("No", "danger"),
    }
    said, tone = undone[action.effect]
    yield Consequence("Can be undone", (Run(said),), tone)


def _recipients(action: Action, parameters: JSON) -> list[JSON]:
    found: list[JSON] = []
    for pointer in action.recipients:
        if has_value(parameters, pointer):
            value = resolve(parameters, pointer)
            found += value if isinstance(value, list) else [value]
    return found
