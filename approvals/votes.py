"""Voids decisions that still stand on pending requests, each with its entry. Why they fall is the caller's to know.

Nothing here moves a status, and a decision on a request that ended stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from approvals import lifecycle
from approvals.models import Decision, Request
from approvals.states import Status
from audit.entries import Draft, Party, record_many
from audit.types import EntryType


def void(votes: Collection[Decision], *, request: Request, by: Party, reason: str) -> None:
    """Void these standing decisions on `request`, whose row the caller has locked and whose change it counts.

    `reason` is a sentence for reviewers (at most 200 characters); agents never read it.
    """
    if not votes:
        return
    Decision.objects.filter(pk__in=[vote.pk for vote in votes], voided_at__isnull=True).update(
        voided_at=Now(), void_reason=reason
    )
    record_many(
        [
            Draft(
                type=EntryType.DECISION_VOID,
                actor=by,
                subject=Party("request", str(request.pk)),
                facts={"decision": str(vote.pk), "person": str(vote.person_id), "reason": reason},
            )
            for vote in votes
        ]
    )


def void_all_of(person_id: UUID, *, by: Party, reason: str) -> int:
    """Void every decision of this person that still stands on a pending request, within the caller's transaction;
    returns how many. Requests are locked in the order of their ids."""
    voided = 0
    for request in _pending_with_votes_of(person_id):
        votes = list(Decision.objects.filter(request=request, person=person_id, voided_at__isnull=True))
        void(votes, request=request, by=by, reason=reason)
        lifecycle.touch(request)
        voided += len(votes)
    return voided


def _pending_with_votes_of(person_id: UUID) -> QuerySet[Request]:
    return (
        Request.objects.select_for_update(no_key=True, of=("self",))
        .filter(
            status=Status.PENDING.value,
            pk__in=Decision.objects.filter(person=person_id, voided_at__isnull=True).values("request"),
        )
        .order_by("pk")
    )


def void_unseated(person_id: UUID, *, teams: Collection[str], by: Party, reason: str) -> int:
    """Void this person's standing decisions that no seat carries any more: of the teams they voted from, none that
    the request asks is among `teams`, where they still sit. Within the caller's transaction; returns how many."""
    voided = 0
    for request in _pending_with_votes_of(person_id):
        votes = [
            vote
            for vote in Decision.objects.filter(request=request, person=person_id, voided_at__isnull=True)
            if not set(vote.teams) & set(request.teams) & set(teams)
        ]
        if votes:
            void(votes, request=request, by=by, reason=reason)
            lifecycle.touch(request)
            voided += len(votes)
    return voided
