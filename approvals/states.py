"""The life of a request as one table: which status may follow which, by whom, and the entry it leaves. Pure.

`lifecycle` reads it to move a status, the database trigger holds the same rows, the docs' diagram is drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """As the contract spells them; never renamed."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"


class Retry(StrEnum):
    """What an agent may do after a no."""

    NEVER = "never"
    CHANGED = "changed"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow: `by` says whose act it is, `entry` names the audit entry it leaves."""

    source: Status | None  # None: how a request may begin
    target: Status
    by: str
    entry: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(None, Status.PENDING, "policy: people must decide", "request.filed"),
    Transition(None, Status.APPROVED, "policy: allowed without people", "request.allowed"),
    Transition(None, Status.BLOCKED, "policy: no, or in doubt", "request.blocked"),
    Transition(Status.PENDING, Status.APPROVED, "people: the quorum is reached", "request.approved"),
    Transition(Status.PENDING, Status.REJECTED, "a person said no", "request.rejected"),
    Transition(Status.PENDING, Status.EXPIRED, "the deadline passed", "request.expired"),
    Transition(Status.PENDING, Status.BLOCKED, "policy changed meanwhile", "request.blocked"),
    Transition(Status.PENDING, Status.WITHDRAWN, "the agent, or its permission to ask ended", "request.withdrawn"),
)

FINAL: frozenset[Status] = frozenset(Status) - {Status.PENDING}


def transition_for(source: Status | None, target: Status) -> Transition | None:
    """The row that allows this move, or None where there is none."""
    return next((row for row in TRANSITIONS if row.source == source and row.target == target), None)


def diagram() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2"]
    for row in TRANSITIONS:
        label = row.by.replace(":", " –")  # Mermaid ends a label at its second colon
        lines.append(f"    {row.source.value if row.source else '[*]'} --> {row.target.value}: {label}")
    lines += [f"    {status.value} --> [*]" for status in Status if status in FINAL]
    return "\n".join(lines) + "\n"
