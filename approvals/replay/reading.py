"""Reads entries back by subject, and keeps what does not hold. Which rules hold is for `story` and `held` to say.

Reads entries whether sealed or still pending: both were committed with what they describe. Subjects are taken from the
entries themselves: the application may write heads, so a head proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from audit.leaves import Leaf, parse

CHUNK = 1_000
FAULTS_AT_MOST = 100

# Each half is limited by itself, so that the index of leaves is read no further than it must.
_SUBJECTS = """
(SELECT DISTINCT subject_id FROM audit_leaf WHERE subject_kind = %(kind)s AND subject_id > %(after)s
  ORDER BY subject_id LIMIT %(limit)s)
UNION
(SELECT DISTINCT subject_id FROM audit_pending WHERE subject_kind = %(kind)s AND subject_id > %(after)s
  ORDER BY subject_id LIMIT %(limit)s)
ORDER BY subject_id LIMIT %(limit)s
"""

_LEAVES = """
SELECT subject_id, leaf FROM (
  SELECT subject_id, ordinal, leaf FROM audit_leaf
   WHERE subject_kind = %(kind)s AND subject_id = ANY(%(ids)s) AND type <> ALL(%(without)s)
  UNION ALL
  SELECT subject_id, ordinal, leaf FROM audit_pending WHERE subject_kind = %(kind)s AND subject_id = ANY(%(ids)s)
) told ORDER BY subject_id, ordinal
"""

#: Of a query that names `subject_kind` and `subject_id`: whether the log has any entry of that subject.
UNTOLD = """
NOT EXISTS (SELECT FROM audit_leaf l WHERE l.subject_kind = {kind} AND l.subject_id = {id})
AND NOT EXISTS (SELECT FROM audit_pending p WHERE p.subject_kind = {kind} AND p.subject_id = {id})
"""


@dataclass
class Replay:
    """What was replayed and what does not hold, at most `FAULTS_AT_MOST` sentences of `fault_count`."""

    requests: int = 0
    entries: int = 0
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, about: str, what: str) -> None:
        """Note what does not hold of a row."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_AT_MOST:
            self.faults.append(f"{about}: {what}")


@contextmanager
def malformed(done: Replay, about: str) -> Iterator[None]:
    """Report what cannot be read as a fault, and go on: one odd entry must not hide all the others."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        done.fault(about, f"its entries or its row cannot be read ({type(error).__name__}: {error})")


def is_id(subject: str) -> bool:
    """Whether a subject can be the id of a row, as we write ids."""
    try:
        return str(UUID(subject)) == subject
    except ValueError:
        return False


def chunks(kind: str, done: Replay, *, without: Collection[str] = ()) -> Iterator[list[tuple[str, list[Leaf]]]]:
    """Whole subjects with their leaves in order, so many at a time; a leaf that cannot be read is a fault. Leaves of
    the types `without` say nothing that is asked here."""
    after = ""
    while ids := [subject for (subject,) in fetch(_SUBJECTS, kind=kind, after=after, limit=CHUNK)]:
        told: dict[str, list[Leaf]] = {subject: [] for subject in ids}
        for subject, leaf in fetch(_LEAVES, kind=kind, ids=ids, without=list(without)):
            with malformed(done, f"{kind} {subject}"):
                told[subject].append(parse(bytes(leaf)))
        yield list(told.items())
        after = ids[-1]


def fetch(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
