"""Whose turn it is on which request. Nothing is sent here, and what a turn allows is `access`' to say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from accounts import delegations
from accounts.models import Membership, RoleGrant
from approvals import access, listing, policies
from approvals.models import Request


@dataclass(frozen=True, slots=True)
class Turn:
    """A pending request, the teams whose seats are open, and who may fill one, has not voted and is not barred; of
    somebody away, who stands for them instead."""

    request: Request
    teams: frozenset[str]
    people: frozenset[UUID]


def turns_of(request_ids: Collection[UUID]) -> dict[UUID, Turn]:
    """By request, of those that are pending and in time by the database's clock; others are left out. Five or
    six queries."""
    rows = Request.objects.filter(listing.in_time(), pk__in=list(request_ids)).select_related("agent")
    waiting = {request.pk: request for request in rows}
    votes, rulings = listing.votes_of(waiting), policies.shown_now(waiting.values()) if waiting else {}
    # a team that only the policy in force now asks was not asked at filing, and neither sees nor decides it
    open_teams = {
        pk: listing.standing(request, votes.get(pk, []), rulings[pk]).open_teams & set(request.effective_teams)
        for pk, request in waiting.items()
    }
    told = {pk: open_teams[pk] | _opened_to(request) for pk, request in waiting.items()}
    members = _members(frozenset().union(*told.values()))
    delegates = delegations.given_by(frozenset().union(*members.values())) if members else {}
    found = {}
    for pk, request in waiting.items():
        seated = {person for team in told[pk] for person in members.get(team, ())} if open_teams[pk] else set()
        voted = {vote.person_id for vote in votes.get(pk, [])}
        found[pk] = Turn(request, open_teams[pk], _people(seated, delegates, voted, request.agent.owner_id))
    return found


def _people(seated: set[UUID], delegates: dict[UUID, UUID], voted: set[UUID], owner: UUID) -> frozenset[UUID]:
    """Whose turn it is. A delegator is told all the same where their delegate is barred: nobody else could do it."""
    asked = seated - voted - {owner}
    found = set()
    for person in asked:
        delegate = delegates.get(person)
        found.add(person if delegate is None or delegate == owner else delegate)
    return frozenset(found - voted)


def _opened_to(request: Request) -> frozenset[str]:
    return frozenset({request.escalation_team}) if request.escalated_at is not None else frozenset()


def _members(teams: frozenset[str]) -> dict[str, set[UUID]]:
    found: dict[str, set[UUID]] = {}
    rows = Membership.objects.filter(team__slug__in=teams, user__is_active=True)
    for team, person in rows.values_list("team__slug", "user_id"):
        found.setdefault(team, set()).add(person)
    return found


def overseers() -> frozenset[UUID]:
    """Who can mend that nobody can decide a request: administrators and leadership, as they are now; one query."""
    held = RoleGrant.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
        role__in=[role.value for role in access.OVERSEES],
        user__is_active=True,
    )
    return frozenset(held.values_list("user_id", flat=True))


def still_undecidable(request_ids: Collection[UUID]) -> list[Request]:
    """Those of these requests that are pending and in time, and were undecidable at filing; one query."""
    rows = Request.objects.filter(listing.in_time(), pk__in=list(request_ids), undecidable__isnull=False)
    return list(rows.select_related("agent"))
