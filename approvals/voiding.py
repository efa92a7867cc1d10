"""Voids grants that were not spent, each with its entry. Why they fall is the caller's to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import lifecycle
from audit.entries import Draft, Party, record_many
from audit.types import EntryType


def void_grants(request_ids: Sequence[UUID], *, by: Party, facts: Mapping[str, Any]) -> int:
    """Void the unspent grants of these requests, whose rows the caller has locked; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_grant SET voided_at = clock_timestamp()"
            " WHERE request_id = ANY(%s) AND redeemed_at IS NULL AND voided_at IS NULL RETURNING id, request_id",
            [list(request_ids)],
        )
        voided = cursor.fetchall()
    record_many(
        [
            Draft(
                type=EntryType.GRANT_VOIDED,
                actor=by,
                subject=Party("request", str(request_id)),
                facts={"grant": str(grant_id), **facts},
            )
            for grant_id, request_id in voided
        ]
    )
    lifecycle.touch_batch([request_id for _, request_id in voided])
    return len(voided)
