"""Whether a pending row may become a leaf: it must be what it says, and follow what its subject has in the
tree.

Pure: it judges rows against the tails it is given; reading, sealing and quarantine are the sealer's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from audit import leaves, merkle
from audit.canonical import NotCanonical
from audit.leaves import Leaf, Party

CLOCK_SECONDS = 600.0
"""How far a leaf's time may be from when its row was inserted: both are the database's clock, which can be set."""

MAX_DETAIL = 500
"""Characters kept of what was wrong with a row."""


@dataclass(frozen=True)
class Row:
    """A pending row as the table has it, `recorded_at` in seconds since 1970 (a time in the table may be none that a
    datetime can hold)."""

    position: int
    entry_id: UUID
    subject: Party
    ordinal: int
    previous: bytes | None
    leaf: bytes
    leaf_hash: bytes
    recorded_at: float


@dataclass(frozen=True)
class Tail:
    """The last leaf of a subject in the tree."""

    ordinal: int
    hash: bytes


@dataclass(frozen=True)
class Admitted:
    """The row is the subject's next. `missing` are the ordinals (first, last) before it that are not in the
    tree."""

    leaf: Leaf
    missing: tuple[int, int] | None


@dataclass(frozen=True)
class Refused:
    """The row goes to quarantine. `cause` is told in a leaf, for ever, so it quotes nothing of the row;
    `detail` may, and is kept with the row alone, its unprintable characters escaped."""

    cause: str
    detail: str = ""

    @classmethod
    def because(cls, cause: str, error: Exception) -> Refused:
        """Refused for what an exception says, in words that any table can keep: a message may quote the row's bytes,
        and so hold what no text of PostgreSQL may (NUL)."""
        said = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(error)[:MAX_DETAIL])
        return cls(cause, said[:MAX_DETAIL])


class LookFurther(Exception):
    """The row's predecessor was not among the rows read from the floor: read all of them before judging."""


class Admission:
    """Judges rows in the order of their positions, keeping each subject's tail as it goes."""

    def __init__(self, tails: Mapping[Party, Tail], taken: Collection[UUID], *, all_read: bool) -> None:
        """`tails`: the subjects' last leaves; `taken`: the rows' ids that the tree already has; `all_read`:
        every visible pending row before these was among those judged."""
        self._tails = dict(tails)
        self._taken = set(taken)
        self._all_read = all_read

    def judge(self, row: Row) -> Admitted | Refused:
        """Admit the row or say why not. Raises LookFurther where a predecessor may merely not have been read.

        Whatever else goes wrong with a row is a refusal of that row: it must not keep the others waiting.
        """
        try:
            return self._judge(row)
        except LookFurther:
            raise
        except Exception as error:
            return Refused.because("the row could not be judged", error)

    def _judge(self, row: Row) -> Admitted | Refused:
        """As `judge`.

        A hole that is real is admitted and named: refusing all that follows would keep evidence out of the
        tree for one row that vanished.
        """
        if merkle.leaf_hash(row.leaf) != row.leaf_hash:
            return Refused("the leaf does not hash to what was recorded")
        try:
            leaf = leaves.parse(row.leaf)
        except NotCanonical as error:
            return Refused.because("the bytes are not a leaf", error)
        if (leaf.id, leaf.subject, leaf.ordinal, leaf.previous) != (
            row.entry_id,
            row.subject,
            row.ordinal,
            row.previous,
        ):
            return Refused("the row's columns are not what its leaf says")
        if leaf.subject.kind == leaves.LOG or leaf.type in leaves.SEALER_ONLY:
            return Refused("only the sealer writes this")
        if not abs(leaf.at.timestamp() - row.recorded_at) <= CLOCK_SECONDS:
            return Refused("the leaf's time is not when it was recorded")
        if row.entry_id in self._taken:
            return Refused("the entry's id is taken")
        tail = self._tails.get(row.subject)
        last = tail.ordinal if tail else 0
        if row.ordinal <= last:
            return Refused("the subject's ordinal is taken")
        missing = (last + 1, row.ordinal - 1) if row.ordinal > last + 1 else None
        if missing and not self._all_read:
            raise LookFurther
        if not missing and row.previous != (tail.hash if tail else None):
            return Refused("the leaf does not name the subject's last one")
        self._tails[row.subject] = Tail(row.ordinal, row.leaf_hash)
        self._taken.add(row.entry_id)
        return Admitted(leaf, missing)
