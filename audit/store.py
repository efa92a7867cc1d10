"""The sealer's SQL: every statement that the role `sealer` sends, by name, over one psycopg connection of its
own.

Nothing is decided here: what is sealed, refused or signed is `sealing`'s. The caller holds the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from audit.admission import Refused, Row, Tail
from audit.leaves import Leaf, Party
from audit.merkle import Hash, Name

LOCK = 7_260_911_450_312_006
"""The advisory lock of the one sealer, within its database. An arbitrary number, the same for ever."""

PENDING_ABOVE = """
SELECT position, entry_id, subject_kind, subject_id, ordinal, previous, leaf, leaf_hash,
       extract(epoch FROM recorded_at)::float8
  FROM audit_pending WHERE position > %(above)s ORDER BY position LIMIT %(limit)s
"""
PENDING = PENDING_ABOVE.replace("WHERE position > %(above)s ", "")


@dataclass(frozen=True)
class State:
    """The sealer's state row, and the database's clock as it was read."""

    origin: str
    verifier_key: str
    size: int
    published_size: int
    forks: int
    forked_from: str
    now: datetime


@dataclass(frozen=True)
class Placed:
    """A leaf at its index."""

    index: int
    leaf: Leaf
    data: bytes
    hash: Hash


class Store:
    """Statements by name. Any of them raises psycopg.Error."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Takes over the connection, in autocommit: a transaction is open only where one is asked for."""
        self.connection = connection
        connection.autocommit = True
        # A signed checkpoint of what a crash could lose would be a fork; also no wait without end.
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET timezone = 'UTC'")

    def try_lock(self) -> bool:
        """Become the one sealer of this database, for as long as the connection lives; False if another one
        is."""
        return bool(self._one("SELECT pg_try_advisory_lock(%s)", LOCK)[0])

    def unlock(self) -> None:
        """Let another process be the sealer."""
        self.connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

    def state(self) -> State | None:
        """The state row; None where the migrations have not made it."""
        row = self.connection.execute(
            "SELECT origin, verifier_key, size, published_size, forks, forked_from, clock_timestamp()"
            " FROM audit_sealerstate WHERE id = 1"
        ).fetchone()
        return State(*row) if row else None

    def name_log(self, origin: str, verifier_key: str) -> None:
        """Fix origin and verifier key; once."""
        self._exactly_one(
            "UPDATE audit_sealerstate SET origin = %s, verifier_key = %s WHERE id = 1 AND origin = ''",
            origin,
            verifier_key,
        )

    def grow(self, old: int, new: int) -> None:
        """Move the tree's size on; RuntimeError if another sealer has moved it."""
        self._exactly_one("UPDATE audit_sealerstate SET size = %s WHERE id = 1 AND size = %s", new, old)

    def fork(self, forks: int, note: str) -> None:
        """Count a declared fork, and keep the outside note that it leaves behind."""
        self._exactly_one(
            "UPDATE audit_sealerstate SET forks = %s, forked_from = %s, published_size = 0 WHERE id = 1",
            forks,
            note,
        )

    def publish(self, size: int, floor: int) -> None:
        """Say that the sealer lives, and that the whole tree of `size` is safe outside; RuntimeError if the tree has
        another size, because then somebody put another database in its place."""
        self._exactly_one(
            "UPDATE audit_sealerstate SET published_size = %s, floor = %s, alive_at = clock_timestamp()"
            " WHERE id = 1 AND size = %s",
            size,
            floor,
            size,
        )

    def pending(self, above: int | None, limit: int) -> list[Row]:
        """Up to `limit` pending rows, in order: those with a position above the floor, or with None whatever theirs.

        Only what any value of its column can be read as: a time as seconds, since a datetime has no year 20000.
        """
        rows = self.connection.execute(
            PENDING if above is None else PENDING_ABOVE,
            {"above": above, "limit": limit},
            binary=True,
        )
        return [
            Row(position, entry_id, Party(kind, subject), *rest) for position, entry_id, kind, subject, *rest in rows
        ]

    def tails(self, subjects: Iterable[Party]) -> dict[Party, Tail]:
        """The last leaf of each subject that has one."""
        wanted = list(subjects)
        rows = self.connection.execute(
            "SELECT s.kind, s.id, l.ordinal, l.leaf_hash FROM unnest(%s::text[], %s::text[]) AS s (kind, id)"
            " CROSS JOIN LATERAL (SELECT ordinal, leaf_hash FROM audit_leaf"
            "  WHERE subject_kind = s.kind AND subject_id = s.id ORDER BY ordinal DESC LIMIT 1) AS l",
            [[s.kind for s in wanted], [s.id for s in wanted]],
            binary=True,
        )
        return {Party(kind, subject): Tail(ordinal, hash_) for kind, subject, ordinal, hash_ in rows}

    def taken(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these entries are leaves already."""
        rows = self.connection.execute(
            "SELECT entry_id FROM audit_leaf WHERE entry_id = ANY(%s)", [list(ids)], binary=True
        )
        return {row[0] for row in rows}

    def hashes(self, names: Sequence[Name]) -> dict[Name, Hash]:
        """The hashes of completed subtrees by name; those that are not stored are left out."""
        found: dict[Name, Hash] = {}
        leaves = [position for level, position in names if level == 0]
        rows = self.connection.execute(
            "SELECT 0::smallint, index, leaf_hash FROM audit_leaf WHERE index = ANY(%s)"
            " UNION ALL SELECT n.level, n.position, n.hash FROM audit_node AS n"
            " JOIN unnest(%s::smallint[], %s::bigint[]) AS w (level, position) USING (level, position)",
            [leaves, [level for level, _ in names], [position for _, position in names]],
            binary=True,
        )
        for level, position, hash_ in rows:
            found[(level, position)] = hash_
        return found

    def newest_checkpoint(self) -> tuple[int, Hash, str] | None:
        """Size, root and note of the newest checkpoint."""
        return self.connection.execute(
            "SELECT size, root, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1", binary=True
        ).fetchone()

    def append(self, leaves: Sequence[Placed], nodes: Iterable[tuple[Name, Hash]]) -> None:
        """Store leaves and the completed subtrees above them."""
        with self.connection.cursor() as cursor:
            with cursor.copy(
                "COPY audit_leaf (index, entry_id, type, at, actor_kind, actor_id, subject_kind, subject_id,"
                " ordinal, leaf, leaf_hash) FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.set_types(["int8", "uuid", "text", "timestamptz", *["text"] * 4, "int8", "bytea", "bytea"])
                for placed in leaves:
                    leaf = placed.leaf
                    parties = (*leaf.actor, *leaf.subject)
                    copy.write_row(
                        (
                            placed.index,
                            leaf.id,
                            leaf.type,
                            leaf.at,
                            *parties,
                            leaf.ordinal,
                            placed.data,
                            placed.hash,
                        )
                    )
            with cursor.copy("COPY audit_node (level, position, hash) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int2", "int8", "bytea"])
                for (level, position), hash_ in nodes:
                    copy.write_row((level, position, hash_))

    def add_checkpoint(self, size: int, root: Hash, note: str) -> None:
        """Store a signed checkpoint."""
        self.connection.execute(
            "INSERT INTO audit_checkpoint (size, root, note, signed_at) VALUES (%s, %s, %s, clock_timestamp())",
            [size, root, note],
        )

    def quarantine(self, refused: Sequence[tuple[Row, Refused]]) -> None:
        """Keep rows that could not be trusted, as they lie in the table, each with what was wrong."""
        if not refused:
            return
        kept = self.connection.execute(
            "INSERT INTO audit_quarantine (position, entry_id, subject_kind, subject_id, ordinal,"
            " previous, leaf, leaf_hash, recorded_at, cause, quarantined_at)"
            " SELECT p.position, p.entry_id, p.subject_kind, p.subject_id, p.ordinal,"
            " p.previous, p.leaf, p.leaf_hash, p.recorded_at, r.cause, clock_timestamp()"
            " FROM audit_pending AS p JOIN unnest(%s::bigint[], %s::text[]) AS r (position, cause) USING (position)"
            " ORDER BY p.position",
            [
                [row.position for row, _ in refused],
                [f"{verdict.cause}: {verdict.detail}" if verdict.detail else verdict.cause for _, verdict in refused],
            ],
        ).rowcount
        if kept != len(refused):
            raise RuntimeError(f"{len(refused) - kept} pending rows were taken by someone else")

    def remove(self, rows: Sequence[Row]) -> None:
        """Take rows out of pending; RuntimeError if one is gone: only a second sealer could do that."""
        deleted = self.connection.execute(
            "DELETE FROM audit_pending WHERE position = ANY(%s)", [[row.position for row in rows]]
        ).rowcount
        if deleted != len(rows):
            raise RuntimeError(f"{len(rows) - deleted} pending rows were taken by someone else")

    def _one(self, query: Any, *parameters: Any) -> tuple[Any, ...]:
        row = self.connection.execute(query, parameters).fetchone()
        if row is None:
            raise RuntimeError(f"no row for: {query}")
        return tuple(row)

    def _exactly_one(self, query: Any, *parameters: Any) -> None:
        if self.connection.execute(query, parameters).rowcount != 1:
            raise RuntimeError(f"the state row is not as this sealer left it: {query}")
