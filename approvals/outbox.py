"""Leaves a notice in the transaction of what happened: it commits with it or never was. Nobody is addressed here.

To whom it goes, and sending it, is `notifications`' work, in another process.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
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

# Each agent once, or once since a stop began, however often the sweep comes by.
_LEAVE_OF_AGENTS = """
INSERT INTO approvals_notice (id, event, agent_id)
SELECT id, %(event)s, agent_id
  FROM unnest(%(ids)s::uuid[], %(agents)s::uuid[]) AS told (id, agent_id)
 WHERE EXISTS (SELECT FROM approvals_webhook WHERE active AND events @> ARRAY[%(event)s]::varchar[])
   AND NOT EXISTS (SELECT FROM approvals_notice n
                    WHERE n.agent_id = told.agent_id AND n.event = %(event)s AND n.at >= %(since)s)
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


def tell_suspended(agent_ids: Collection[UUID], *, since: datetime) -> None:
    """Leave a notice that these agents may not ask any more, unless there is one of since then; one statement."""
    if not agent_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _LEAVE_OF_AGENTS,
            {
                "event": Event.SUSPENDED.value,
                "ids": [uuid7() for _ in agent_ids],
                "agents": list(agent_ids),
                "since": since,
            },
        )


def tell_status(status: Status, request_ids: Collection[UUID]) -> None:
    """`tell` that these requests have this status now."""
    tell(Event(f"request.{status.value}"), request_ids)
