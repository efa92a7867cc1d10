"""An allowance as its own entries tell it. What a request makes of it is `story`'s to check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit.leaves import Leaf


@dataclass
class Allowed:
    """An allowance as its own entries tell it: who agreed to what, and from when to when it held."""

    agent: str
    action: str
    uses: int
    ends_at: datetime
    people: dict[str, frozenset[str]] = field(default_factory=dict)  # person → teams they sat in then
    granted_at: datetime | None = None
    revoked_at: datetime | None = None
    spent: set[int] = field(default_factory=set)  # the numbers of its uses that requests have told of


#: The allowance of an id; None where the log knows none.
AllowanceOf = Callable[[str], Allowed | None]


def tell_allowance(leaves: Sequence[Leaf]) -> Allowed | None:
    """An allowance from its leaves in the order of their ordinals."""
    allowed: Allowed | None = None
    for leaf in leaves:
        if leaf.type == "allowance.proposed":
            facts = leaf.facts
            ends_at = datetime.fromisoformat(facts["ends_at"])
            allowed = Allowed(facts["agent"], facts["action"], int(facts["uses"]), ends_at)
        elif allowed is None:
            return None
        elif leaf.type == "allowance.agreed":
            allowed.people[leaf.actor.id] = frozenset(leaf.facts["teams"])
        elif leaf.type == "allowance.granted":
            allowed.granted_at = leaf.at
        elif leaf.type == "allowance.revoked":
            allowed.revoked_at = allowed.revoked_at or leaf.at
    return allowed
