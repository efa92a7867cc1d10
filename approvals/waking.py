"""Tells whoever waits that a request changed, through Redis after the commit. Losing a message costs time, no truth."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from django.db import transaction

from agents.redis_link import Away, link

CHANNEL = "countersign:changed"


def wake_on_commit(request_ids: Iterable[UUID]) -> None:
    """After this transaction commits, publish the ids of requests that changed, space-separated in one message."""
    message = " ".join(str(request_id) for request_id in request_ids)
    if message:
        transaction.on_commit(lambda: _publish(message))


def _publish(message: str) -> None:
    with suppress(Away):  # waiters ask the database once a second when Redis is away
        link().call(lambda client: client.publish(CHANNEL, message))
