"""The gates: fetch a request and say whether this caller may see or decide it, or raise. Nothing is changed here.

What may not be seen is not found (404), in pages, lists, counts and fragments alike. Somebody's seats come to a person
in three ways: their own teams, a delegation that runs, and the team that a request was escalated to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from accounts import delegations, second_factor
from accounts.delegations import Held
from accounts.models import Role, User
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
OVERSEES = frozenset({Role.ADMINISTRATOR, Role.LEADERSHIP})  # hear of what nobody can decide
STOPS_AGENTS = OVERSEES


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with the teams they sit in, the roles they hold and the seats they hold for others now."""

    user: User
    teams: frozenset[str]
    roles: frozenset[Role]
    held: tuple[Held, ...] = ()

    @property
    def sees_all(self) -> bool:
        """Auditors and administrators see every request, payloads masked."""
        return bool(self.roles & SEES_ALL)

    @property
    def oversees(self) -> bool:
        """Administrators and leadership hear of what nobody can decide."""
        return bool(self.roles & OVERSEES)

    @property
    def decides(self) -> bool:
        """Whether anything at all can be theirs to decide, but for what they own."""
        return bool(self.teams or self.held)


def viewer(user: User) -> Viewer:
    """The person as the gates need them; one query."""
    return Viewer(user, *delegations.standing_of(user))


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
    """The allowances this person may see, each with whether they `agreed`: of their teams, of agents they own, that
    they agreed to; or all, the bounds masked (`reads_bounds`)."""
    rows = Allowance.objects.select_related("agent", "agent__owner", "basis", "basis__agent", "revoked_by")
    agreed = AllowanceAgreement.objects.filter(allowance=OuterRef("pk"), person=person.user)
    rows = rows.annotate(agreed=Exists(agreed))
    if person.roles & SEES_AGENTS:
        return rows
    return rows.filter(Q(teams__overlap=sorted(person.teams)) | Q(agent__owner=person.user) | Q(agreed=True))


def reads_bounds(person: Viewer, allowance: Allowance) -> bool:
    """Whether an allowance of `allowances_of` shows its condition, and why people agreed, as they are and not masked:
    they spell parameters out. To who may agree, agreed, or answers for the agent."""
    agreed: bool = allowance.agreed  # type: ignore[attr-defined]  # annotated by `allowances_of`
    return agreed or bool(person.teams & set(allowance.teams)) or allowance.agent.owner_id == person.user.pk


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
    """The requests this person may see: of their teams, of agents they own, that they decided; or all. Leadership sees
    those that nobody can decide, masked."""
    rows = queries.requests()
    if person.sees_all:
        return rows
    found = involving(person)
    if Role.LEADERSHIP in person.roles:
        found |= Q(undecidable__isnull=False)
    return rows.filter(found)


def involving(person: Viewer) -> Q:
    """What this person reviews, owns or decided: not all that auditors may see."""
    decided = Exists(Decision.objects.filter(request=OuterRef("pk"), person=person.user))
    return seated(person) | delegated(person) | Q(agent__owner=person.user) | Q(decided)


def seated(person: Viewer) -> Q:
    """Requests that name a team of this person's, at filing or by an edit, or were escalated to one."""
    return _naming(person.teams)


def delegated(person: Viewer) -> Q:
    """Requests that this person sees because they hold somebody's seats now: pending ones, and those that ended since
    they have held them. Never of an agent that its absent owner answers for."""
    found: Q = Q(pk__in=[])
    for held in person.held:
        while_held = Q(status=Status.PENDING.value) | Q(decided_at__gte=held.since)
        found = found | Q(_naming(held.teams), while_held, ~Q(agent__owner=held.person_id))
    return found


def fillable(person: Viewer) -> Q:
    """Pending requests, as far as a query can say it, with a seat this person may fill: as `seats_of` has it."""
    found = _asking(person.teams)
    for held in person.held:
        themself = Decision.objects.filter(request=OuterRef("pk"), voided_at__isnull=True, person=held.person_id)
        found = found | Q(_asking(held.teams), ~Q(agent__owner=held.person_id), ~Exists(themself))
    return found


def _naming(teams: frozenset[str]) -> Q:
    return Q(teams__overlap=sorted(teams)) | _asking(teams)


def _asking(teams: frozenset[str]) -> Q:
    """What the edit asks, where there is one, is what is decided."""
    slugs = sorted(teams)
    return Q(standing_teams__overlap=slugs) | Q(escalated_at__isnull=False, escalation_team__in=slugs)


def sees_payload(person: Viewer, request: Request) -> bool:
    """Whether parameters and the agent's words are shown as they are, not masked: to who reviews, owns or decided."""
    return _reviews(person, request) or Decision.objects.filter(request=request, person=person.user).exists()


def sees_payload_of(person: Viewer, request: Request, votes: Sequence[Decision]) -> bool:
    """`sees_payload` where the request's standing decisions are at hand; no query."""
    return _reviews(person, request) or _voted(person, votes)


def reads_notes(person: Viewer, request: Request, votes: Sequence[Decision]) -> bool:
    """Notes are for colleagues and auditors: who reviews, decided or audits; not for an agent's owner as such."""
    return person.sees_all or bool(seats_of(person, request)) or _was_asked(person, request) or _voted(person, votes)


def _reviews(person: Viewer, request: Request) -> bool:
    """Who decides it, and who was asked at filing: an edit that asks others takes nobody's sight."""
    return entitled(person, request) or _was_asked(person, request)


def _was_asked(person: Viewer, request: Request) -> bool:
    return bool(person.teams & set(request.seeing_teams))


def _voted(person: Viewer, votes: Sequence[Decision]) -> bool:
    return any(vote.person_id == person.user.pk for vote in votes)


def request_to_see(person: Viewer, request_id: UUID) -> Seen:
    """The request as this person sees it; 404 where they may not, 503 `busy` where it is held at its deadline."""
    seen = queries.read(visible_to(person), request_id)
    if seen is None:
        raise Http404
    return seen


def entitled(person: Viewer, request: Request) -> bool:
    """Whether deciding this request is this person's to do at all: they may fill a seat of it, or own the agent."""
    return bool(seats_of(person, request)) or request.agent.owner_id == person.user.pk


def seats_of(person: Viewer, request: Request, votes: Sequence[Decision] = ()) -> frozenset[str]:
    """The teams this request names whose seats this person may fill: of their own, or by a delegation.

    What they hold for somebody who is among the `votes`, or who answers for the agent, is worth nothing here.
    """
    lent = [widened(held.teams, request) for held in _lending(person, request, votes)]
    return widened(person.teams, request).union(*lent)


def lenders(person: Viewer, request: Request) -> Iterator[Held]:
    """The delegations by which this person may fill seats of this request, whether the delegators vote or not; of one
    that ended before they held them, none."""
    for held in person.held:
        in_time = request.decided_at is None or request.decided_at >= held.since
        if in_time and held.person_id != request.agent.owner_id and widened(held.teams, request):
            yield held


def _lending(person: Viewer, request: Request, votes: Sequence[Decision]) -> list[Held]:
    """`lenders` but for those who have decided themselves."""
    voted = {vote.person_id for vote in votes if vote.voided_at is None}
    return [held for held in lenders(person, request) if held.person_id not in voted]


def widened(teams: frozenset[str], request: Request) -> frozenset[str]:
    """The teams this request names whose seats members of `teams` may fill: any, once it was escalated to one."""
    if request.escalated_at is not None and request.escalation_team in teams:
        return frozenset(request.effective_teams)
    return teams & frozenset(request.effective_teams)


def widens(request: Request, ruling: Ruling, vote_at: datetime) -> bool:
    """Whether a vote given at `vote_at` counts as an escalation widens it: given after the sweep had noted it, and, by
    this ruling too, open to that team by then. Policy that no longer says so takes it back."""
    escalate = ruling.escalate
    if request.escalated_at is None or escalate is None or escalate.team != request.escalation_team:
        return False
    return vote_at >= max(request.escalated_at, request.created_at + timedelta(seconds=escalate.after_seconds))


def why_not_widened(person: Viewer, seen: Seen, votes: Sequence[Decision], ruling: Ruling) -> str:
    """The sentence that says why this person cannot approve by way of an escalation; empty where they can, or need
    none. `ruling` is what holds now."""
    if widens(seen.request, ruling, seen.now):
        return ""
    lent = [held.teams for held in _lending(person, seen.request, votes)]
    if person.teams.union(*lent) & frozenset(seen.request.effective_teams):
        return ""
    return "The policy in force now does not open this request to your team (yet); you may reject."


def request_for_agent(agent: Agent, request_id: UUID) -> Seen:
    """The agent's own request; anyone else's is 404."""
    seen = queries.read(queries.requests_of(agent), request_id)
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
    if not seats_of(person, seen.request, votes):
        if seats_of(person, seen.request):
            return "You hold these seats for somebody who has decided on this request themself."
        return "You sit in none of the teams that decide this request."
    return ""


def why_not_approve(person: Viewer, seen: Seen, votes: list[Decision]) -> str:
    """The sentence that says why this person cannot approve the request; empty where they can."""
    refused = why_not_reject(person, seen, votes)
    if refused:
        return refused
    if seen.request.agent.owner_id == person.user.pk:
        return "You answer for this agent, so your approval would not count. You may reject."
    return ""


def stands_for(person: Viewer, request: Request, votes: Sequence[Decision]) -> list[dict[str, object]]:
    """What a decision of this person keeps of the delegations it rests on: `Decision.delegated_from`."""
    return [
        {"delegation": str(held.id), "person": str(held.person_id), "teams": sorted(held.teams)}
        for held in _lending(person, request, votes)
    ]


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
