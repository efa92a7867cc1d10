"""Many pending requests quickly: copies of one really filed, each with an id, salt, entry and notice of its own.

The row is copied by INSERT … SELECT with all triggers and indexes at work; its entry is written by `audit.entries` as
filing writes it, its notice by `outbox`. Left out against filing by the door: parsing, policy, and the remembered
answer of its idempotency key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from approvals import outbox
from approvals.models import Request
from approvals.states import Status
from audit.canonical import timestamp
from audit.entries import Draft, Party, Personal, record_many
from audit.types import EntryType

AT_ONCE = 1_000
_OWN = ("id", "digest_salt", "created_at", "expires_at", "remind_at")
_COPIED = [field.column for field in Request._meta.concrete_fields if not field.generated and field.column not in _OWN]
_COPY = f"""
INSERT INTO approvals_request ({", ".join((*_OWN, *_COPIED))})
SELECT made.id, made.salt, clock_timestamp(), %(due)s,
       CASE WHEN model.remind_at IS NULL THEN NULL ELSE clock_timestamp() + (%(due)s - clock_timestamp()) / 2 END,
       {", ".join(f"model.{name}" for name in _COPIED)}
  FROM approvals_request AS model, unnest(%(ids)s::uuid[], %(salts)s::bytea[]) AS made (id, salt)
 WHERE model.id = %(model)s
"""
_FILED = """
SELECT convert_from(leaf, 'UTF8') FROM (
  SELECT leaf FROM audit_pending WHERE subject_kind = 'request' AND subject_id = %(id)s AND ordinal = 1
  UNION ALL
  SELECT leaf FROM audit_leaf WHERE subject_kind = 'request' AND subject_id = %(id)s AND ordinal = 1
) AS filed LIMIT 1
"""


def copies(model: Request, count: int, *, due: datetime | None = None) -> Iterator[list[UUID]]:
    """File `count` copies of a pending request, a thousand a transaction; gives the ids of each. All are due at `due`,
    or, where that is less than 3 s ahead by then, 3 s after they are filed; without it when the model is."""
    with connection.cursor() as cursor:
        cursor.execute(_FILED, {"id": str(model.pk)})
        entry = json.loads(cursor.fetchone()[0])
    for begin in range(0, count, AT_ONCE):
        yield _copied(model, entry, min(AT_ONCE, count - begin), due or model.expires_at)


@transaction.atomic
def _copied(model: Request, entry: dict[str, Any], count: int, due: datetime) -> list[UUID]:
    ids: list[UUID] = [uuid7() for _ in range(count)]
    salts = [os.urandom(16) for _ in ids]
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        due = max(due, cursor.fetchone()[0] + timedelta(seconds=3))
        cursor.execute(_COPY, {"ids": ids, "salts": salts, "due": due, "model": model.pk})
    record_many([_entry(model, entry, one, salt, due) for one, salt in zip(ids, salts, strict=True)])
    outbox.tell_status(Status.PENDING, ids)
    return ids


def _entry(model: Request, entry: dict[str, Any], request_id: UUID, salt: bytes, due: datetime) -> Draft:
    return Draft(
        type=EntryType.REQUEST_FILED,
        actor=Party(entry["actor"]["kind"], entry["actor"]["id"]),
        subject=Party("request", str(request_id)),
        facts={**entry["facts"], "expires_at": timestamp(due)},
        digests=entry["digests"],
        personal={
            "parameters": Personal(model.parameters),
            "parameters_digest": Personal(model.parameters_digest, salt),
            "resource": Personal(model.resource),
            "summary": Personal(model.summary),
            "rationale": Personal(model.rationale),
            "context": Personal(model.context),
        },
    )
