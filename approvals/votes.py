"""Voids decisions that still stand on pending requests, each with its entry. Why they fall is the caller's to know.

Nothing here moves a status, and a decision on a request that ended stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

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
    requests = (
        Request.objects.select_for_update(no_key=True, of=("self",))
        .filter(
            status=Status.PENDING.value,
            pk__in=Decision.objects.filter(person=person_id, voided_at__isnull=True).values("request"),
        )
        .order_by("pk")
    )
    voided = 0
    for request in requests:
        votes = list(Decision.objects.filter(request=request, person=person_id, voided_at__isnull=True))
        void(votes, request=request, by=by, reason=reason)
        lifecycle.touch(request)
        voided += len(votes)
    return voided
