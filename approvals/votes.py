"""Voids decisions that still stand on pending requests, each with its entry. Why they fall is the caller's to know.

Nothing here moves a status, and a decision on a request that ended stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models.functions import Now

from approvals.models import Decision, Request
from audit.entries import Draft, Party, record_many
from audit.types import EntryType


def void(votes: Collection[Decision], *, request: Request, by: Party, reason: str) -> None:
    """Void these standing decisions on `request`, whose row the caller has locked.

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
