"""Where evidence is written: an entry goes into the transaction of the change it describes, or neither
happens.

`record` and `record_many` lock the subject's head, build the leaf and leave it pending; putting it into the
tree is the sealer's work (`sealing`), in another process and with other privileges. No entry is ever changed
here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.db import Error, connection, transaction

from audit import leaves, merkle
from audit.canonical import NotCanonical, dumps
from audit.commitments import JSON, Personal, seal
from audit.types import EntryType

__all__ = [
    "Authentication",
    "Draft",
    "EvidenceUnavailable",
    "InvalidEntry",
    "NotInTransaction",
    "Party",
    "Personal",
    "record",
    "record_many",
]

Party = leaves.Party


class EvidenceUnavailable(Exception):
    """The evidence can't be written, or is not being kept safe right now: what it would prove must not
    happen."""


class InvalidEntry(ValueError):
    """The draft can't become a leaf (a value without canonical form, too large, a reserved name): a fault of
    ours."""


class NotInTransaction(RuntimeError):
    """Recording outside a transaction would part the evidence from the change it describes."""


@dataclass(frozen=True)
class Authentication:
    """How and when the acting person proved who they are; `assertion` is None until decisions are signed."""

    method: str
    at: datetime
    assertion: None = None


@dataclass(frozen=True)
class Draft:
    """An entry to be: what happened, who did it, to what.

    `facts` holds what is not personal and must be canonical (audit.canonical); `digests` those of policy,
    charter, renderer and catalogue, nothing derived from a request's content; `personal` everything that may
    be personal.
    """

    type: EntryType
    actor: Party
    subject: Party
    facts: Mapping[str, JSON] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    personal: Mapping[str, Personal] = field(default_factory=dict)
    auth: Authentication | None = None


def record(draft: Draft) -> UUID:
    """Write one entry into the current transaction and return its id; two statements. See `record_many`."""
    return record_many([draft])[0]


def record_many(drafts: Sequence[Draft]) -> list[UUID]:
    """Write entries into the current transaction and return their ids, in the order of the drafts.

    Two statements however many there are: the subjects' heads are locked (in sorted order, so that two
    batches can't lock each other out) and then all rows are written. Drafts of one subject keep their order.
    `at` is the database's clock once the head is locked. Raises NotInTransaction outside an atomic block,
    InvalidEntry for a draft that can't be a leaf, and EvidenceUnavailable for any failure of the database
    (no decision without evidence).
    """
    if not connection.in_atomic_block:
        raise NotInTransaction("evidence is recorded inside the transaction of the change it describes")
    if not drafts:
        return []
    prepared = [_Prepared(draft) for draft in drafts]
    try:
        with connection.cursor() as cursor:
            heads = _lock_heads(cursor, Counter(draft.subject for draft in drafts))
            rows = [item.follow(heads[item.draft.subject]) for item in prepared]
            _write(cursor, rows, heads)
    except InvalidEntry:
        # The head has moved: were this swallowed and the transaction committed, an ordinal would be missing
        # for good.
        transaction.set_rollback(True)
        raise
    except Error as error:
        raise EvidenceUnavailable("the evidence could not be recorded, so nothing was done") from error
    return [row.entry_id for row in rows]


@dataclass
class _Head:
    """A locked subject head: the next ordinal, the hash it must name, and the database's time once it was
    locked."""

    ordinal: int
    previous: bytes | None
    at: datetime


@dataclass(frozen=True)
class _Row:
    entry_id: UUID
    subject: Party
    ordinal: int
    previous: bytes | None
    leaf: bytes
    leaf_hash: bytes
    at: datetime
    content: str | None


class _Prepared:
    """A draft whose id, commitments and facts are settled: all that can fail for its own sake fails before a
    lock."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.entry_id: UUID = uuid_utils.compat.uuid7()
        try:
            leaves.check_party(draft.actor)
            leaves.check_party(draft.subject)
            if draft.subject.kind == leaves.LOG or draft.type in leaves.SEALER_ONLY:
                raise NotCanonical(f"{draft.type} on {draft.subject.kind} is the sealer's own to write")
            sealed = seal(draft.personal)
            self.content = dumps(sealed.content).decode() if sealed.content else None
            self.body: dict[str, Any] = {
                "type": str(EntryType(draft.type)),
                "actor": draft.actor,
                "subject": draft.subject,
                "auth": _auth(draft.auth),
                "digests": dict(draft.digests),
                "facts": dict(draft.facts),
                "commitments": sealed.commitments,
            }
            dumps([self.body["digests"], self.body["facts"], sealed.commitments])
        except ValueError as error:
            raise InvalidEntry(f"{draft.type}: {error}") from error

    def follow(self, head: _Head) -> _Row:
        """The row of this draft as the head's next, moving the head on."""
        try:
            leaf = leaves.build(
                entry_id=self.entry_id, at=head.at, ordinal=head.ordinal, previous=head.previous, **self.body
            )
        except ValueError as error:
            raise InvalidEntry(f"{self.draft.type}: {error}") from error
        leaf_hash = merkle.leaf_hash(leaf)
        row = _Row(
            self.entry_id,
            self.draft.subject,
            head.ordinal,
            head.previous,
            leaf,
            leaf_hash,
            head.at,
            self.content,
        )
        head.ordinal += 1
        head.previous = leaf_hash
        return row


def _auth(auth: Authentication | None) -> dict[str, JSON] | None:
    if auth is None:
        return None
    return {"method": auth.method, "at": leaves.timestamp(auth.at), "assertion": auth.assertion}


# The row lock taken here is held to the end of the transaction: ordinals have no gap and `previous` no fork.
# The clock is read after the lock, in RETURNING, so a subject's times follow its ordinals.
LOCK_HEADS = """
INSERT INTO audit_head AS head (subject_kind, subject_id, ordinal)
SELECT kind, id, n
  FROM unnest(%s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY AS wanted (kind, id, n, place)
 ORDER BY place
ON CONFLICT (subject_kind, subject_id) DO UPDATE SET ordinal = head.ordinal + excluded.ordinal
RETURNING subject_kind, subject_id, ordinal, leaf_hash, clock_timestamp()
"""

WRITE = """
WITH moved AS (
  UPDATE audit_head AS head SET leaf_hash = wanted.leaf_hash
    FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS wanted (kind, id, leaf_hash)
   WHERE head.subject_kind = wanted.kind AND head.subject_id = wanted.id
)
"""

WRITE_DETAILS = """, details AS (
  INSERT INTO audit_detail (entry_id, subject_kind, subject_id, content)
  SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::jsonb[])
)
"""

# Positions are drawn in the order of the SELECT, so drafts of one subject keep theirs.
WRITE_PENDING = """
INSERT INTO audit_pending
  (entry_id, subject_kind, subject_id, ordinal, previous, leaf, leaf_hash, recorded_at)
SELECT entry_id, kind, id, ordinal, previous, leaf, leaf_hash, at
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[],
              %s::bytea[], %s::bytea[], %s::bytea[], %s::timestamptz[])
       WITH ORDINALITY AS row (entry_id, kind, id, ordinal, previous, leaf, leaf_hash, at, place)
 ORDER BY place
"""


def _lock_heads(cursor: Any, counts: Counter[Party]) -> dict[Party, _Head]:
    subjects = sorted(counts)
    cursor.execute(
        LOCK_HEADS,
        [[s.kind for s in subjects], [s.id for s in subjects], [counts[s] for s in subjects]],
    )
    heads = {}
    for kind, subject_id, last, leaf_hash, at in cursor.fetchall():
        subject = Party(kind, subject_id)
        previous = bytes(leaf_hash) if leaf_hash is not None else None
        heads[subject] = _Head(last - counts[subject] + 1, previous, at)
    return heads


def _write(cursor: Any, rows: Sequence[_Row], heads: Mapping[Party, _Head]) -> None:
    parameters: list[list[Any]] = [
        [s.kind for s in heads],
        [s.id for s in heads],
        [head.previous for head in heads.values()],
    ]
    statement = WRITE
    if detailed := [row for row in rows if row.content is not None]:
        # Left out when there is nothing to write: the eraser records its entry without any right to details'
        # INSERT.
        statement += WRITE_DETAILS
        parameters += [
            [row.entry_id for row in detailed],
            [row.subject.kind for row in detailed],
            [row.subject.id for row in detailed],
            [row.content for row in detailed],
        ]
    statement += WRITE_PENDING
    parameters += [
        [row.entry_id for row in rows],
        [row.subject.kind for row in rows],
        [row.subject.id for row in rows],
        [row.ordinal for row in rows],
        [row.previous for row in rows],
        [row.leaf for row in rows],
        [row.leaf_hash for row in rows],
        [row.at for row in rows],
    ]
    cursor.execute(statement, parameters)
