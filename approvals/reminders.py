"""The sweep of reminders: tells those whose turn it still is, at half and at nine tenths of the time to decide.

When is read from each row, so an outage of any length costs one late reminder and never two at once. To whom it goes
is `notifications`' work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from approvals import outbox
from approvals.models import Event, Request
from approvals.transactions import verb

BATCH = 500
PARTS = (0.5, 0.9)
#: No reminder is nearer than this to the filing, to another one or to the deadline.
APART = timedelta(seconds=30)

_DUE = """
SELECT id, created_at, expires_at, clock_timestamp()
  FROM approvals_request
 WHERE status = 'pending' AND remind_at <= statement_timestamp() AND expires_at > clock_timestamp()
 ORDER BY remind_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""


def next_after(told_at: datetime, filed_at: datetime, expires_at: datetime) -> datetime | None:
    """When people are reminded next, having been told at `told_at`; None: not again. Pure."""
    for part in PARTS:
        at = filed_at + (expires_at - filed_at) * part
        if at - told_at >= APART and expires_at - at >= APART:
            return at
    return None


@verb
def remind_due(*, limit: int = BATCH) -> int:
    """Leave a notice of up to `limit` requests whose reminder is due, passing over what somebody holds; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [limit])
        due: list[tuple[UUID, datetime, datetime, datetime]] = cursor.fetchall()
    if not due:
        return 0
    Request.objects.bulk_update(
        [Request(pk=pk, remind_at=next_after(now, filed_at, expires_at)) for pk, filed_at, expires_at, now in due],
        ["remind_at"],
    )
    outbox.tell(Event.REMINDER, [pk for pk, _, _, _ in due])
    return len(due)
