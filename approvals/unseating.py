"""Votes that fall with somebody's seats: their own, and of who stands for them. Why the seats went is the caller's to
know; what a vote carries is `listing`'s to weigh.

A seat that somebody comes to again later brings no vote back, so what lost its last seat is void, not merely uncounted.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from approvals import access, listing, quorum, votes
from approvals.models import Decision, Request
from approvals.states import Status
from audit.entries import Party


def void_fallen(person_id: UUID, *, active: bool, by: Party, what: str) -> int:
    """Void the standing decisions on pending requests that carry no seat any more because of what befell this person:
    all their own where they are not `active`, else those that stood on their seats alone; and of delegates, those that
    stood on this person's. Within the caller's transaction, after the change; returns how many.

    No version grows: pages notice by the votes themselves, and the agent is not to learn that there were any.
    `what` is what the person did or suffered, as in "The voter `what`": at most 150 characters. Requests are locked in
    the order of their ids.
    """
    theirs = Q(person=person_id) | Q(delegated_from__contains=[{"person": str(person_id)}])
    standing = Decision.objects.filter(theirs, voided_at__isnull=True, request__status=Status.PENDING.value)
    rows = Request.objects.select_for_update(no_key=True, of=("self",)).select_related("agent")
    pending = list(rows.filter(status=Status.PENDING.value, pk__in=standing.values("request")).order_by("pk"))
    given = listing.votes_of([request.pk for request in pending])
    voided = 0
    for request in pending:
        fallen = [vote for vote in given.get(request.pk, []) if _fell(vote, request, person_id, active)]
        own = [vote for vote in fallen if vote.person_id == person_id]
        lent = [vote for vote in fallen if vote.person_id != person_id]
        votes.void(own, request=request, by=by, reason=f"The voter {what}")
        votes.void(lent, request=request, by=by, reason=f"The person the voter stood for {what}")
        voided += len(fallen)
    return voided


def _fell(vote: Decision, request: Request, person_id: UUID, active: bool) -> bool:
    """Whether a vote stood on this person's seats, and now carries none. The request's own ruling says which those are:
    what the policy in force adds or takes back is nothing that befell the person."""
    if vote.person_id == person_id and not active:
        return True
    ruling = request.effective_ruling
    asked = quorum.teams_of(ruling.requirement or quorum.NOBODY)
    if access.widens(request, ruling, vote.decided_at):
        asked |= {request.escalation_team}
    if not _of(vote, person_id) & asked:
        return False
    now = listing.weighed(vote, request, ruling)
    return not now.teams.union(*(source.teams for source in now.stands_for if source.runs)) & asked


def _of(vote: Decision, person_id: UUID) -> frozenset[str]:
    """The teams of this person that the vote was given for."""
    if vote.person_id == person_id:
        return frozenset(vote.teams)
    return frozenset(
        team for source in vote.delegated_from if source["person"] == str(person_id) for team in source["teams"]
    )
