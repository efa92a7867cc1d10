"""Suspends one agent and lets it ask again. What becomes of its requests and grants is the listeners' to do, inside
the same transaction.

Who may do either is the gate's to ask; that nobody brings back their own agent is held here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.dispatch import Signal

from accounts import reasons
from accounts.acting import Refused
from accounts.models import User
from accounts.people import person_party
from agents import permission
from agents.models import Agent
from agents.problems import Problem
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.limits import BUSY, sqlstate_of
from audit.types import EntryType

#: Sent inside the suspending transaction, its agent's permission taken: `agent` and `by` (a Party). What a receiver
#: raises undoes the suspension.
agent_suspended = Signal()

#: Longer than a deciding transaction may take, all of which are waited for.
WAIT_SECONDS = 10
#: Of one statement of the sweep; evidence allows a writer 30 s.
STATEMENT_SECONDS = 15


class SuspensionRefused(Refused):
    """It was not suspended, or not resumed; the text says why. 409, or 422 where it is about what was typed
    (`field`)."""

    @property
    def status(self) -> int:
        """What the page answers with."""
        return 422 if self.field else 409


@contextmanager
def _alone(agent_id: UUID) -> Iterator[Agent]:
    """The agent, locked, with nobody filing, deciding or redeeming for it until the block ends."""
    try:
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    [f"{WAIT_SECONDS}s", f"{STATEMENT_SECONDS}s"],
                )
            permission.take(agent_id)
            yield Agent.objects.select_for_update(no_key=True).get(pk=agent_id)
    except OperationalError as error:
        if sqlstate_of(error) in BUSY:
            raise Problem("busy", "This agent is being worked on just now; try again.") from error
        raise


def suspend(*, agent_id: UUID, by: Party, reason: str, auth: Authentication | None = None) -> Agent:
    """Suspend an agent at once: when this returns it has nothing pending and no grant that redeems.

    `by` is a person, or the system where a rule of its own says so. Raises `SuspensionRefused` where it is suspended
    already or no reason is given, and 503 `busy`.
    """
    said = _reason(reason)
    with _alone(agent_id) as agent:
        if agent.state == Agent.State.SUSPENDED:
            raise SuspensionRefused("This agent is suspended already.")
        agent.state = Agent.State.SUSPENDED
        agent.save(update_fields=["state"])
        record(
            Draft(
                type=EntryType.AGENT_SUSPENDED,
                actor=by,
                subject=Party("agent", str(agent.pk)),
                facts={"slug": agent.slug, "state": agent.state},
                personal={"reason": Personal(said)},
                auth=auth,
            )
        )
        agent_suspended.send(sender=Agent, agent=agent, by=by)
    return agent


def resume(*, agent_id: UUID, by: User, reason: str, auth: Authentication | None = None) -> Agent:
    """Let a suspended agent ask again; what it had asked for does not come back.

    Raises `SuspensionRefused` for its owner, where it is not suspended or no reason is given, and 503 `busy`.
    """
    said = _reason(reason)
    with _alone(agent_id) as agent:
        if agent.owner_id == by.pk:
            raise SuspensionRefused("You answer for this agent, so somebody else lets it ask again.")
        if agent.state != Agent.State.SUSPENDED:
            raise SuspensionRefused("This agent is not suspended.")
        agent.state = Agent.State.ACTIVE
        agent.save(update_fields=["state"])
        record(
            Draft(
                type=EntryType.AGENT_RESUMED,
                actor=person_party(by),
                subject=Party("agent", str(agent.pk)),
                facts={"slug": agent.slug, "state": agent.state},
                personal={"reason": Personal(said)},
                auth=auth,
            )
        )
    return agent


def _reason(text: str) -> str:
    return reasons.clean(text, why="Say why: it stays with the agent's history.", refused=SuspensionRefused)
