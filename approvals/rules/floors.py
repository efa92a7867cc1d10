"""The floors no version of policy goes under, whatever it says (docs/reference/policy.md, Floors).

Asked when a version is proposed (as far as a permit's scope decides it), at filing, and again when a
decision is taken. Quorum and evaluation live elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from approvals import quorum
from approvals.rules import answers
from approvals.rules.annotations import PermitTerms
from approvals.rules.answers import Answer
from approvals.rules.catalogue import Action
from approvals.rules.ruling import Ruling, people_at_least


class Breach(NamedTuple):
    """A floor gone under: what the agent hears, a slug, and the words for auditors."""

    answer: Answer
    cause: str
    why: str


def floors(ruling: Ruling, action: Action, level: int) -> Breach | None:
    """The first floor this ruling goes under for an agent of this level; None when it stands on them all."""
    if ruling.outcome == "blocked":
        return None
    if level < action.lowest_level:
        return Breach(answers.NOT_OPEN, "floor-level", f"{action.name} is open from level {action.lowest_level} only")
    people = 0 if ruling.requirement is None else quorum.fewest_people(ruling.requirement)
    least = max(people_at_least(ruling.risk), 1 if action.high_impact else 0)
    if people < least:
        # Only what the catalogue does not know can raise the risk of a valid version under a floor.
        answer = answers.NOT_UNDERSTOOD if ruling.risk_unknown else answers.CANNOT_BE_CHECKED
        return Breach(answer, "floor-people", f"{ruling.risk} risk in {action.domain} needs {least} people or more")
    if ruling.risk == "critical" and not ruling.stepup:
        return Breach(answers.CANNOT_BE_CHECKED, "floor-stepup", "critical needs step-up")
    if ruling.risk == "critical" and action.salient is None:
        return Breach(answers.CANNOT_BE_CHECKED, "floor-salient", "critical needs a salient fact to retype")
    return None


def breaches_of(permit: PermitTerms, action: Action, lowest_level: int | None) -> Iterator[str]:
    """Floors that a permit goes under for an action it surely reaches, in words for its author.

    `lowest_level` is the lowest level its scope opens the action to, None where the scope doesn't decide.
    """
    people = quorum.fewest_people(permit.requirement)
    if people < people_at_least(permit.risk):
        needed = people_at_least(permit.risk)
        yield f"{permit.risk} risk needs {needed} distinct {'person' if needed == 1 else 'people'} or more"
    elif people == 0 and action.high_impact:
        yield f"{action.name} is in the domain {action.domain}, where people always decide"
    if lowest_level is not None and lowest_level < action.lowest_level:
        yield (
            f"{action.name} is open from level {action.lowest_level} only: "
            f'write principal in Level::"{action.lowest_level}"'
        )
    if permit.risk == "critical" and action.salient is None:
        yield f"critical needs a salient fact to retype, and the catalogue names none for {action.name}"
