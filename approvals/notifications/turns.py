"""Whose turn it is on which request. Nothing is sent here, and what a turn allows is `access`' to say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from accounts.models import Membership
from approvals import listing
from approvals.models import Request


@dataclass(frozen=True, slots=True)
class Turn:
    """A pending request, the teams whose seats are open, and who in them has not voted and is not barred."""

    request: Request
    teams: frozenset[str]
    people: frozenset[UUID]


def turns_of(request_ids: Collection[UUID]) -> dict[UUID, Turn]:
    """By request, of those that are pending and in time by the database's clock; others are left out. Three queries."""
    rows = Request.objects.filter(listing.in_time(), pk__in=list(request_ids)).select_related("agent")
    waiting = {request.pk: request for request in rows}
    votes = listing.votes_of(waiting)
    open_teams = {
        pk: frozenset(listing.standing(request, votes.get(pk, [])).open_teams) for pk, request in waiting.items()
    }
    members = _members(frozenset().union(*open_teams.values()))
    found = {}
    for pk, request in waiting.items():
        seated = {person for team in open_teams[pk] for person in members.get(team, ())}
        barred = {request.agent.owner_id, *(vote.person_id for vote in votes.get(pk, []))}
        found[pk] = Turn(request, open_teams[pk], frozenset(seated - barred))
    return found


def _members(teams: frozenset[str]) -> dict[str, set[UUID]]:
    found: dict[str, set[UUID]] = {}
    rows = Membership.objects.filter(team__slug__in=teams, user__is_active=True)
    for team, person in rows.values_list("team__slug", "user_id"):
        found.setdefault(team, set()).add(person)
    return found
