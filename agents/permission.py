"""Whether an agent may ask, decided on or not: its own state, and whether all agents are stopped. Nothing is changed.

Whoever files, decides or redeems for an agent holds its permission shared until their commit, and a suspension takes it
alone: what it sweeps is then all there is. The lock is an advisory one, because waiters for a row's exclusive lock can
be overtaken for ever by those who share it, and waiters for this one cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

# The first half of the lock's key, so that it meets no other advisory lock; the second is the agent.
SPACE = 0x5EED


@dataclass(frozen=True, slots=True)
class Permission:
    """How it stands: the agent's own state and level, the number of the newest stop, and whether that is in force."""

    active: bool
    level: int
    epoch: int
    stopped: bool

    @property
    def ended(self) -> bool:
        """Whether this agent may ask nothing now."""
        return self.stopped or not self.active


def share(agent_id: UUID) -> None:
    """Keep suspensions of this agent out until the caller's transaction ends; waits for one that is under way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [SPACE, str(agent_id)])


def take(agent_id: UUID) -> None:
    """Wait for whoever shares this agent's permission, and keep everybody else out until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [SPACE, str(agent_id)])


def read(agent_id: UUID) -> Permission:
    """The permission as committed now; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.state = 'active', a.level, coalesce(s.number, 0),"
            " s.number IS NOT NULL AND s.lifted_at IS NULL FROM agents_agent a"
            " LEFT JOIN (SELECT number, lifted_at FROM agents_stop ORDER BY number DESC LIMIT 1) s ON true"
            " WHERE a.id = %s",
            [agent_id],
        )
        return Permission(*cursor.fetchone())


def held(agent_id: UUID) -> Permission:
    """`share`, then `read`: what is read holds until the caller's commit, but for a stop of all agents."""
    share(agent_id)
    return read(agent_id)
