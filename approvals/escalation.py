"""The sweep of escalations: notes that a request is open to another team from now on, and tells that team. Nothing of
it reaches the agent: no version grows, nobody who waits is woken.

What the note widens is the gates' and the quorum's to say; without it nothing is widened.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from approvals import outbox
from approvals.lifecycle import SYSTEM
from approvals.models import Event, Request
from approvals.rules.ruling import Ruling
from approvals.transactions import verb
from audit.entries import Draft, Party, record_many
from audit.types import EntryType

BATCH = 500

_DUE = """
SELECT id, escalation_team, extract(epoch FROM escalates_at - created_at)::bigint
  FROM approvals_request
 WHERE status = 'pending' AND escalates_at <= statement_timestamp() AND escalated_at IS NULL
   AND expires_at > clock_timestamp()
 ORDER BY escalates_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""


def times_of(ruling: Ruling, filed_at: datetime, expires_at: datetime) -> tuple[datetime | None, str]:
    """When a request under this ruling is opened to which team; None and no team where policy says nothing, or not
    before its deadline."""
    if ruling.escalate is None or ruling.outcome != "people":
        return None, ""
    at = filed_at + timedelta(seconds=ruling.escalate.after_seconds)
    return (at, ruling.escalate.team) if at < expires_at else (None, "")


@verb
def escalate_due(*, limit: int = BATCH) -> int:
    """Note and tell up to `limit` escalations whose time has come, passing over what somebody holds; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [limit])
        due: list[tuple[UUID, str, int]] = cursor.fetchall()
    if not due:
        return 0
    ids = [pk for pk, _, _ in due]
    Request.objects.filter(pk__in=ids).update(escalated_at=Now())
    record_many(
        [
            Draft(
                type=EntryType.REQUEST_ESCALATED,
                actor=SYSTEM,
                subject=Party("request", str(pk)),
                facts={"team": team, "after": after},
            )
            for pk, team, after in due
        ]
    )
    outbox.tell(Event.ESCALATED, ids)
    return len(due)
