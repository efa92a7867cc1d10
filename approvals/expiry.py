"""The sweep: makes default denial durable and leaves its entries. A request is denied at its deadline without it."""

from __future__ import annotations

from django.db import connection

from approvals import lifecycle
from approvals.transactions import verb

BATCH = 1_000


@verb
def expire_due(*, limit: int = BATCH) -> int:
    """Deny up to `limit` overdue requests, oldest deadline first, passing over those somebody holds; how many."""
    with connection.cursor() as cursor:
        # statement_timestamp() is stable, so that the index ends at what is due: else all that is pending is looked at
        cursor.execute(
            "SELECT id FROM approvals_request WHERE status = 'pending' AND expires_at <= statement_timestamp()"
            " ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            [limit],
        )
        due = [row[0] for row in cursor.fetchall()]
    return lifecycle.expire_batch(due) if due else 0
