"""Leaves a notice in the transaction of what happened: it commits with it or never was. Nobody is addressed here.

To whom it goes, and sending it, is `notifications`' work, in another process.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from approvals.models import TO_OVERSEERS, TO_PEOPLE, Event
from approvals.states import Status

# Of what only webhooks hear nothing is kept while no webhook asks for it.
_LEAVE = """
INSERT INTO approvals_notice (id, event, request_id)
SELECT id, %(event)s, request_id
  FROM unnest(%(ids)s::uuid[], %(requests)s::uuid[]) AS told (id, request_id)
 WHERE %(to_people)s
    OR EXISTS (SELECT FROM approvals_webhook WHERE active AND events @> ARRAY[%(event)s]::varchar[])
"""


def tell(event: Event, request_ids: Collection[UUID]) -> None:
    """Leave a notice of each of these requests; one statement, inside the caller's transaction."""
    if not request_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _LEAVE,
            {
                "event": event.value,
                "ids": [uuid7() for _ in request_ids],
                "requests": list(request_ids),
                "to_people": event in TO_PEOPLE | TO_OVERSEERS,
            },
        )


def tell_status(status: Status, request_ids: Collection[UUID]) -> None:
    """`tell` that these requests have this status now."""
    tell(Event(f"request.{status.value}"), request_ids)
