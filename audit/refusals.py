"""Refusals as evidence that cannot be flooded: singly up to ten a minute for an actor and cause, then as a
count.

Who is refused what is decided elsewhere; this only keeps a thousand refusals from becoming a thousand
entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import Error, connection, transaction

from audit.canonical import timestamp
from audit.commitments import JSON
from audit.entries import Draft, EvidenceUnavailable, NotInTransaction, Party, record, record_many
from audit.types import EntryType

SINGLY = 10
"""Refusals of one actor for one cause that are recorded one by one in a minute."""

BATCH = 1000

# One row an actor and cause. A minute begins with the first refusal after the last minute ended; what goes
# beyond ten is added to `uncounted`, which only `close_windows` sets back, so a late close loses nothing.
SEE = """
INSERT INTO audit_refusalwindow AS w (actor_kind, actor_id, cause, started_at, seen, uncounted)
VALUES (%(kind)s, %(id)s, %(cause)s, statement_timestamp(), 1, 0)
ON CONFLICT (actor_kind, actor_id, cause) DO UPDATE SET
  (started_at, seen, uncounted, uncounted_from, uncounted_to) = (
    SELECT CASE WHEN over THEN statement_timestamp() ELSE w.started_at END,
           CASE WHEN over THEN 1 ELSE w.seen + 1 END,
           w.uncounted + CASE WHEN more THEN 1 ELSE 0 END,
           CASE WHEN more THEN coalesce(w.uncounted_from, statement_timestamp()) ELSE w.uncounted_from END,
           CASE WHEN more THEN statement_timestamp() ELSE w.uncounted_to END
      FROM (SELECT over, NOT over AND w.seen >= %(singly)s AS more
              FROM (SELECT w.started_at <= statement_timestamp() - interval '1 minute' AS over) AS a) AS b)
RETURNING seen
"""

DUE = """
SELECT actor_kind, actor_id, cause, uncounted, uncounted_from, uncounted_to
  FROM audit_refusalwindow
 WHERE uncounted > 0 AND started_at <= statement_timestamp() - interval '1 minute'
 ORDER BY actor_kind, actor_id, cause LIMIT %s FOR UPDATE SKIP LOCKED
"""

COUNTED = """
UPDATE audit_refusalwindow AS w SET uncounted = 0, uncounted_from = NULL, uncounted_to = NULL
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS c (kind, id, cause)
 WHERE w.actor_kind = c.kind AND w.actor_id = c.id AND w.cause = c.cause
"""


def record_refusal(*, actor: Party, subject: Party, cause: str, facts: Mapping[str, JSON]) -> bool:
    """Record that `actor` was refused something on `subject`; whether it got an entry of its own.

    Up to ten a minute for the actor and cause do, the rest are counted. `cause` is a slug of ours, not what
    was sent. Needs a transaction (NotInTransaction); raises EvidenceUnavailable when the database can't take
    it.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction("a refusal is recorded inside a transaction")
    try:
        with connection.cursor() as cursor:
            cursor.execute(SEE, {"kind": actor.kind, "id": actor.id, "cause": cause, "singly": SINGLY})
            seen: int = cursor.fetchone()[0]
    except Error as error:
        raise EvidenceUnavailable("the refusal could not be recorded") from error
    if seen > SINGLY:
        return False
    record(Draft(EntryType.REFUSAL_RECORDED, actor, subject, facts={**facts, "cause": cause}))
    return True


def close_windows() -> int:
    """Record the counted refusals of minutes that are over, one entry for each actor and cause; how many
    entries.

    Runs in a transaction of its own and skips what another run holds. Raises EvidenceUnavailable.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(DUE, [BATCH])
            due = cursor.fetchall()
            record_many([_counted(*row) for row in due])
            if due:
                cursor.execute(COUNTED, [[row[column] for row in due] for column in range(3)])
    except Error as error:
        raise EvidenceUnavailable("the counted refusals could not be recorded") from error
    return len(due)


def _counted(kind: str, id_: str, cause: str, count: int, first: datetime, last: datetime) -> Draft:
    actor = Party(kind, id_)
    facts: dict[str, Any] = {"cause": cause, "count": count, "from": timestamp(first), "to": timestamp(last)}
    return Draft(EntryType.REFUSAL_COUNTED, actor, actor, facts=facts)
