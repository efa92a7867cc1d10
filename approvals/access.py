"""The gates: fetch a request and say whether this caller may see or decide it, or raise. Nothing is changed here.

What may not be seen is not found (404), in pages, lists, counts and fragments alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from accounts import second_factor
from accounts.models import Role, User
from accounts.people import teams_and_roles_of
from agents.models import Agent
from agents.problems import Problem
from approvals import queries
from approvals.models import Allowance, AllowanceAgreement, Decision, Request
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from approvals.states import Status
from audit.entries import Authentication

HALTED = "This agent is stopped, so nothing of it is decided; its request is being withdrawn."
SEES_ALL = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
SEES_AGENTS = SEES_ALL | {Role.LEADERSHIP}
STOPS_AGENTS = frozenset({Role.ADMINISTRATOR, Role.LEADERSHIP})


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with the teams they sit in and the roles they hold now."""

    user: User
    teams: frozenset[str]
    roles: frozenset[Role]

    @property
    def sees_all(self) -> bool:
        """Auditors and administrators see every request, payloads masked."""
        return bool(self.roles & SEES_ALL)


def viewer(user: User) -> Viewer:
    """The person as the gates need them; one query."""
    return Viewer(user, *teams_and_roles_of(user))


def administrator(user: User) -> Viewer:
    """The person as an administrator; for anyone else administrators' pages are not there (404)."""
    person = viewer(user)
    if Role.ADMINISTRATOR not in person.roles:
        raise Http404
    return person


def agents_of(person: Viewer) -> QuerySet[Agent]:
    """The agents this person may see: all for administrators, auditors and leadership, else those they answer for."""
    rows = Agent.objects.select_related("owner")
    return rows if person.roles & SEES_AGENTS else rows.filter(owner=person.user)


def agent_to_see(person: Viewer, slug: str) -> Agent:
    """The agent of that slug; 404 where this person may not see it."""
    agent = agents_of(person).filter(slug=slug).first()
    if agent is None:
        raise Http404
    return agent


def allowances_of(person: Viewer) -> QuerySet[Allowance]:
    """The allowances this person may see: of their teams, of agents they own, that they agreed to; or all."""
    rows = Allowance.objects.select_related("agent", "agent__owner", "basis", "basis__agent", "revoked_by")
    if person.roles & SEES_AGENTS:
        return rows
    agreed = AllowanceAgreement.objects.filter(allowance=OuterRef("pk"), person=person.user)
    return rows.filter(Q(teams__overlap=sorted(person.teams)) | Q(agent__owner=person.user) | Exists(agreed))


def allowance_to_see(person: Viewer, allowance_id: UUID) -> Allowance:
    """The allowance; 404 where this person may not see it."""
    allowance = allowances_of(person).filter(pk=allowance_id).first()
    if allowance is None:
        raise Http404
    return allowance


def may_revoke(person: Viewer, allowance: Allowance) -> bool:
    """Whoever sits in its seats, answers for the agent, or administers: taking back needs less than giving."""
    return bool(
        person.teams & set(allowance.teams)
        or allowance.agent.owner_id == person.user.pk
        or person.roles & STOPS_AGENTS
        or AllowanceAgreement.objects.filter(allowance=allowance, person=person.user).exists()
    )


def may_suspend(person: Viewer, agent: Agent) -> bool:
    """Whoever answers for an agent may always stop it; so may administrators and leadership."""
    return bool(person.roles & STOPS_AGENTS) or agent.owner_id == person.user.pk


def why_not_resume(person: Viewer, agent: Agent) -> str:
    """The sentence that says why this person cannot let a suspended agent ask again; empty where they can."""
    if agent.owner_id == person.user.pk:
        return "You answer for this agent, so somebody else lets it ask again."
    if Role.ADMINISTRATOR not in person.roles:
        return "An administrator who does not answer for this agent lets it ask again."
    return ""


def stopper(user: User) -> Viewer:
    """The person as one who may stop all agents, or lift a stop; for anyone else that page is not there (404)."""
    person = viewer(user)
    if not person.roles & STOPS_AGENTS:
        raise Http404
    return person


def visible_to(person: Viewer) -> QuerySet[Request]:
    """The requests this person may see: of their teams, of agents they own, that they decided; or all."""
    rows = queries.requests()
    if person.sees_all:
        return rows
    decided = Decision.objects.filter(request=OuterRef("pk"), person=person.user)
    mine = sorted(person.teams)
    named = Q(teams__overlap=mine) | Q(standing_teams__overlap=mine)
    return rows.filter(named | Q(agent__owner=person.user) | Exists(decided))


def sees_payload(person: Viewer, request: Request) -> bool:
    """Whether parameters and the agent's words are shown as they are, not masked: to who reviews, owns or decided."""
    return _reviews(person, request) or Decision.objects.filter(request=request, person=person.user).exists()


def sees_payload_of(person: Viewer, request: Request, votes: Sequence[Decision]) -> bool:
    """`sees_payload` where the request's standing decisions are at hand; no query."""
    return _reviews(person, request) or _voted(person, votes)


def reads_notes(person: Viewer, request: Request, votes: Sequence[Decision]) -> bool:
    """Notes are for colleagues and auditors: who reviews, decided or audits; not for an agent's owner as such."""
    return person.sees_all or bool(person.teams & set(request.seeing_teams)) or _voted(person, votes)


def _reviews(person: Viewer, request: Request) -> bool:
    """Who decides it, and who was asked at filing: an edit that asks others takes nobody's sight."""
    return entitled(person, request) or bool(person.teams & set(request.seeing_teams))


def _voted(person: Viewer, votes: Sequence[Decision]) -> bool:
    return any(vote.person_id == person.user.pk for vote in votes)


def request_to_see(person: Viewer, request_id: UUID) -> Seen:
    """The request as this person sees it; 404 where they may not, 503 `busy` where it is held at its deadline."""
    seen = queries.read(visible_to(person), request_id)
    if seen is None:
        raise Http404
    return seen


def entitled(person: Viewer, request: Request) -> bool:
    """Whether deciding this request is this person's to do at all: they sit in a team it names, or own the agent."""
    return bool(person.teams & set(request.effective_teams)) or request.agent.owner_id == person.user.pk


def request_for_agent(agent: Agent, request_id: UUID) -> Seen:
    """The agent's own request; anyone else's is 404."""
    seen = queries.read(queries.requests().filter(agent=agent), request_id)
    if seen is None:
        raise Problem("not-found", "There is nothing here that this key may see.")
    return seen


def why_not_reject(person: Viewer, seen: Seen, votes: list[Decision]) -> str:
    """The sentence that says why this person cannot reject the request; empty where they can.

    The owner may always reject; so may anyone who may sit in any seat.
    """
    if not person.user.is_active:
        return "This account is not active."
    if seen.status is not Status.PENDING:
        return f"This request is {seen.status}; nothing is left to decide."
    if seen.halted:
        return HALTED
    if any(vote.person_id == person.user.pk and vote.voided_at is None for vote in votes):
        return "You have decided on this request already."
    if seen.request.agent.owner_id == person.user.pk:
        return ""
    if not person.teams & set(seen.request.effective_teams):
        return "You sit in none of the teams that decide this request."
    return ""


def why_not_approve(person: Viewer, seen: Seen, votes: list[Decision]) -> str:
    """The sentence that says why this person cannot approve the request; empty where they can."""
    refused = why_not_reject(person, seen, votes)
    if refused:
        return refused
    if seen.request.agent.owner_id == person.user.pk:
        return "You answer for this agent, so your approval would not count. You may reject."
    if not person.teams & set(seen.request.effective_teams):
        return "You sit in none of the teams that decide this request."
    return ""


def asks_stepup(ruling: Ruling) -> bool:
    """Whether approving under this ruling asks for a second factor, just confirmed: where policy says `@stepup`, and
    at critical risk whatever it says. Rejecting never does."""
    return ruling.stepup or ruling.risk == "critical"


def proved(vote: Decision, ruling: Ruling) -> bool:
    """Whether an approval that was given carries the proof this ruling asks for: one given before policy asked for a
    second factor does not count towards what it asks for now."""
    if vote.verdict != Decision.Verdict.APPROVE or not asks_stepup(ruling):
        return True
    return not second_factor.why_not_fresh(Authentication(vote.auth_method, vote.auth_at), at=vote.decided_at)
