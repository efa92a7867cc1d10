"""The log in the database, as `verify.Reader` wants it: read-only, of one moment, a chunk at a time.

Nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from audit.canonical import NotCanonical
from audit.leaves import Party, parse
from audit.merkle import Hash, Name
from audit.types import EntryType
from audit.verify import StoredCheckpoint, StoredLeaf


class StoredLog:
    """Reads through one connection, in one REPEATABLE READ transaction. Any method raises psycopg.Error."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Takes over a connection that is in no transaction."""
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        self._connection = connection
        self._rows("SET LOCAL timezone = 'UTC'")

    def origin(self) -> tuple[str, str]:
        """The log's origin and verifier key string; empty before the sealer's first start."""
        rows = self._fetch("SELECT origin, verifier_key FROM audit_sealerstate")
        return (str(rows[0][0]), str(rows[0][1])) if rows else ("", "")

    def end(self) -> int:
        rows = self._fetch("SELECT max(index) FROM audit_leaf")
        return 0 if rows[0][0] is None else int(rows[0][0]) + 1

    def leaves(self, start: int, stop: int) -> list[StoredLeaf]:
        rows = self._fetch(
            "SELECT index, leaf, leaf_hash, entry_id, type, at, actor_kind, actor_id, subject_kind, subject_id,"
            " ordinal FROM audit_leaf WHERE index >= %s AND index < %s ORDER BY index",
            start,
            stop,
        )
        return [
            StoredLeaf(row[0], row[1], row[2], (*row[3:6], Party(*row[6:8]), Party(*row[8:10]), row[10]))
            for row in rows
        ]

    def checkpoints(self, above: int, upto: int | None) -> list[StoredCheckpoint]:
        # Beyond the last leaf a handful says enough.
        rows = self._fetch(
            "SELECT size, root, note FROM audit_checkpoint WHERE size > %s AND size <= coalesce(%s::bigint, size)"
            " ORDER BY size LIMIT %s",
            above,
            upto,
            10 if upto is None else None,
        )
        return [StoredCheckpoint(*row) for row in rows]

    def nodes(self, names: Sequence[Name]) -> dict[Name, Hash]:
        rows = self._fetch(
            "SELECT n.level, n.position, n.hash FROM audit_node AS n"
            " JOIN unnest(%s::smallint[], %s::bigint[]) AS w (level, position) USING (level, position)",
            [level for level, _ in names],
            [position for _, position in names],
        )
        return {(level, position): hash_ for level, position, hash_ in rows}

    def node_count(self) -> int:
        return int(self._fetch("SELECT count(*) FROM audit_node")[0][0])

    def predecessors(self, wanted: Sequence[tuple[Party, int]]) -> dict[tuple[Party, int], tuple[int, Hash]]:
        rows = self._fetch(
            "SELECT l.subject_kind, l.subject_id, l.ordinal, l.index, l.leaf_hash"
            " FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS w (kind, id, ordinal) JOIN audit_leaf AS l"
            " ON l.subject_kind = w.kind AND l.subject_id = w.id AND l.ordinal = w.ordinal",
            [subject.kind for subject, _ in wanted],
            [subject.id for subject, _ in wanted],
            [ordinal for _, ordinal in wanted],
        )
        return {(Party(kind, id_), ordinal): (index, hash_) for kind, id_, ordinal, index, hash_ in rows}

    def repeated(self) -> list[int]:
        rows = self._fetch(
            "SELECT max(index) FROM audit_leaf GROUP BY subject_kind, subject_id, ordinal HAVING count(*) > 1 LIMIT 10"
        )
        return [int(row[0]) for row in rows]

    def details(self, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Mapping[str, str]]]:
        rows = self._fetch("SELECT entry_id, content FROM audit_detail WHERE entry_id = ANY(%s)", list(ids))
        return {row[0]: row[1] for row in rows}

    def erasures(self, subjects: Sequence[Party]) -> dict[Party, int]:
        if not subjects:
            return {}
        wanted = [[subject.kind for subject in subjects], [subject.id for subject in subjects]]
        rows = self._fetch(
            "SELECT l.subject_kind, l.subject_id, max(l.ordinal) FROM audit_leaf AS l"
            " JOIN unnest(%s::text[], %s::text[]) AS w (kind, id)"
            "  ON w.kind = l.subject_kind AND w.id = l.subject_id"
            " WHERE l.type = %s GROUP BY l.subject_kind, l.subject_id",
            *wanted,
            str(EntryType.ERASURE),
        )
        found = {Party(kind, id_): int(ordinal) for kind, id_, ordinal in rows}
        # One that is recorded and not yet sealed counts: its details went with its own commit.
        waiting = self._fetch(
            "SELECT p.leaf FROM audit_pending AS p JOIN unnest(%s::text[], %s::text[]) AS w (kind, id)"
            " ON w.kind = p.subject_kind AND w.id = p.subject_id",
            *wanted,
        )
        for (data,) in waiting:
            try:
                leaf = parse(data)
            except NotCanonical:
                continue  # the sealer will put it in quarantine
            if leaf.type == EntryType.ERASURE:
                found[leaf.subject] = max(found.get(leaf.subject, 0), leaf.ordinal)
        return found

    def vanished(self) -> list[tuple[Party, int]]:
        rows = self._fetch(
            "SELECT h.subject_kind, h.subject_id, h.ordinal FROM audit_head AS h WHERE NOT EXISTS ("
            " SELECT FROM audit_leaf AS l WHERE (l.subject_kind, l.subject_id) = (h.subject_kind, h.subject_id)"
            "  AND l.ordinal = h.ordinal)"
            " AND NOT EXISTS (SELECT FROM audit_pending AS p WHERE (p.subject_kind, p.subject_id) ="
            "  (h.subject_kind, h.subject_id) AND p.ordinal = h.ordinal)"
            " AND NOT EXISTS (SELECT FROM audit_quarantine AS q WHERE (q.subject_kind, q.subject_id) ="
            "  (h.subject_kind, h.subject_id) AND q.ordinal = h.ordinal)"
            " LIMIT 10"
        )
        return [(Party(kind, id_), int(ordinal)) for kind, id_, ordinal in rows]

    def _rows(self, query: Any, *parameters: Any) -> psycopg.Cursor[Any]:
        return self._connection.execute(query, parameters or None, binary=True)

    def _fetch(self, query: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._rows(query, *parameters).fetchall()
