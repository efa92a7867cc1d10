"""Re-deriving a whole log from what is stored: every hash, link, root, signature and commitment, named where
it fails.

Pure: it reads through the narrow `Reader` below, a few thousand leaves at a time, so its memory is flat and
whoever can supply these rows (the database here, an evidence pack later) is checked by the same code. It
repairs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from audit import leaves, merkle
from audit.canonical import NotCanonical
from audit.leaves import Leaf, Party
from audit.merkle import Hash, Name
from audit.notes import BadNote, Checkpoint, Verifier
from audit.types import EntryType

CHUNK = 1024
"""Leaves read at once: at most 64 MiB, and usually one."""

DETAILS = 128
"""Details read at once: a request's parameters alone may have 256 KiB."""

NAMED = 50
"""How many problems are named; the rest are counted."""

_TYPES = frozenset(EntryType)


@dataclass(frozen=True)
class StoredLeaf:
    """A leaf as stored. `columns` are (id, type, at, actor, subject, ordinal) where the store keeps copies of
    them."""

    index: int
    data: bytes
    hash: Hash
    columns: tuple[Any, ...] | None


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint as stored: what its row says, and the signed note."""

    size: int
    root: Hash
    note: str


class Reader(Protocol):
    """Where a log is read from. Every answer must be of one moment."""

    def end(self) -> int:
        """One more than the highest index; 0 for no leaf."""

    def leaves(self, start: int, stop: int) -> Sequence[StoredLeaf]:
        """The leaves with start ≤ index < stop, by index."""

    def checkpoints(self, above: int, upto: int | None) -> Sequence[StoredCheckpoint]:
        """The checkpoints with above < size (≤ upto), by size."""

    def nodes(self, names: Sequence[Name]) -> Mapping[Name, Hash]:
        """Those of the named completed subtrees (level 1 and up) that are stored."""

    def node_count(self) -> int:
        """How many subtrees are stored."""

    def predecessors(self, wanted: Sequence[tuple[Party, int]]) -> Mapping[tuple[Party, int], tuple[int, Hash]]:
        """Index and leaf hash of each (subject, ordinal) that is stored."""

    def repeated(self) -> Sequence[int]:
        """Indexes of leaves that repeat another's (subject, ordinal)."""

    def details(self, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Mapping[str, str]]]:
        """The details of those entries that have any: {name: {"salt": hex, "value": canonical text}}."""

    def erasures(self, subjects: Sequence[Party]) -> Mapping[Party, int]:
        """The highest ordinal of an erasure entry of each subject that has one, whether sealed or not yet."""

    def vanished(self) -> Sequence[tuple[Party, int]]:
        """(subject, last ordinal drawn) where that entry is neither a leaf nor pending nor in quarantine."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was sealed: at one leaf, or at one of those from `index` to `last`, or at
    none."""

    index: int | None
    what: str
    last: int | None = None

    def __str__(self) -> str:
        if self.index is None:
            return self.what
        if self.last is None or self.last == self.index:
            return f"index {self.index}: {self.what}"
        return f"index {self.index} to {self.last}: {self.what}"


@dataclass
class Report:
    """What was found. `erased` counts entries whose details are erased as an erasure entry says."""

    size: int = 0
    root: Hash = merkle.EMPTY_ROOT
    checkpoints: int = 0
    committed: int = 0
    erased: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    @property
    def first_bad(self) -> int | None:
        """The lowest index with a problem."""
        return min((problem.index for problem in self.problems if problem.index is not None), default=None)

    def add(self, index: int | None, what: str) -> None:
        """Note a problem with one leaf, or with the log as a whole."""
        self._add(Problem(index, what))

    def add_range(self, first: int, last: int, what: str) -> None:
        """Note that some leaf of a range must be wrong, unless a narrower finding within it says which
        already."""
        for known in self.problems:
            if known.index is not None and first <= known.index and (known.last or known.index) <= last:
                return
        self._add(Problem(first, what, last))

    def _add(self, problem: Problem) -> None:
        self.problem_count += 1
        if len(self.problems) < NAMED:
            self.problems.append(problem)


class NotVerifiable(Exception):
    """There is nothing that could be checked, or nothing to check it with; the message says which."""


def verify(
    reader: Reader,
    verifier: Verifier,
    *,
    outside: Sequence[Checkpoint] = (),
    progress: Callable[[int, int], None] = lambda done, end: None,
) -> Report:
    """Check the whole log. `outside`: checkpoints kept elsewhere, whose signatures the caller has verified.

    Raises NotVerifiable for a log without a checkpoint. `progress` is called with leaves done and their
    number.
    """
    if not reader.checkpoints(0, None):
        raise NotVerifiable("no checkpoint was ever signed")
    run = _Run(reader, verifier, outside)
    while run.report.size < run.end and not run.broken_off:
        run.chunk()
        progress(run.report.size, run.end)
    run.finish()
    return run.report


class _Run:
    """One pass over a log, index by index."""

    def __init__(self, reader: Reader, verifier: Verifier, outside: Sequence[Checkpoint]) -> None:
        self.reader, self.verifier = reader, verifier
        self.end = reader.end()
        self.report = Report()
        self.broken_off = False
        self.frontier = merkle.Frontier()
        self.signed = 0  # the size of the last good checkpoint
        self.outside = {checkpoint.size: checkpoint for checkpoint in outside}

    def chunk(self) -> None:
        start = self.frontier.size
        stop = min(start + CHUNK, self.end)
        checkpoints = self.reader.checkpoints(start, stop)
        signed = {checkpoint.size for checkpoint in checkpoints} | self.outside.keys()
        nodes: list[tuple[Name, Hash]] = []
        roots: dict[int, Hash] = {}
        read: list[tuple[StoredLeaf, Leaf]] = []
        for row in self.reader.leaves(start, stop):
            if row.index != self.frontier.size:
                break
            hash_ = merkle.leaf_hash(row.data)
            nodes += self.frontier.append(hash_)
            if leaf := self._leaf(row, hash_):
                read.append((row, leaf))
            if self.frontier.size in signed:
                roots[self.frontier.size] = self.frontier.root()
        # From the exact to the general, so that what only follows from a named leaf is not named again.
        self._commitments(read)
        if self.frontier.size < stop:
            self.report.add(self.frontier.size, "there is no leaf at this index, so what follows has no place")
            self.broken_off = True
        self._nodes(nodes)
        self._roots(checkpoints, roots)
        self._links(read)
        self.report.size, self.report.root = self.frontier.size, self.frontier.root()

    def finish(self) -> None:
        report = self.report
        beyond = [(checkpoint.size, "stored") for checkpoint in self.reader.checkpoints(self.end, None)]
        beyond += [(size, "kept outside") for size in self.outside if size > self.end]
        for size, where in beyond:
            report.add(self.end, f"a checkpoint of {size} leaves is {where}, but there are {self.end}")
        if self.signed < self.end and not self.broken_off and not beyond:
            report.add_range(self.signed, self.end - 1, "these leaves are under no good checkpoint")
        expected = self.end - self.end.bit_count()
        if not self.broken_off and (count := self.reader.node_count()) != expected:
            report.add(None, f"{count} subtrees are stored where a tree of {self.end} leaves has {expected}")
        for index in self.reader.repeated():
            report.add(index, "another leaf has the same subject and ordinal")
        for subject, ordinal in self.reader.vanished():
            report.add(None, f"entry {ordinal} of {_name(subject)} was recorded and vanished before it was sealed")

    def _leaf(self, row: StoredLeaf, hash_: Hash) -> Leaf | None:
        add = self.report.add
        if hash_ != row.hash:
            add(row.index, "the leaf does not hash to what is stored beside it")
        try:
            leaf = leaves.parse(row.data)
        except NotCanonical as error:
            add(row.index, f"the bytes are not a leaf: {error}")
            return None
        columns = (leaf.id, leaf.type, leaf.at, leaf.actor, leaf.subject, leaf.ordinal)
        if row.columns is not None and row.columns != columns:
            add(row.index, "the columns beside the leaf do not say what its bytes say")
        if leaf.type not in _TYPES:
            add(row.index, f"the type {leaf.type} is not known here")
        if leaf.type == EntryType.ENTRY_QUARANTINED:
            claimed = leaf.facts.get("claimed")
            add(row.index, f"the sealer put an entry in quarantine, which claimed to be {claimed}")
        return leaf

    def _roots(self, checkpoints: Sequence[StoredCheckpoint], roots: Mapping[int, Hash]) -> None:
        for stored in checkpoints:
            size = stored.size
            if size not in roots:  # the leaves broke off before it
                continue
            self.report.checkpoints += 1
            try:
                checkpoint = self.verifier.checkpoint(stored.note)
            except BadNote as error:
                self.report.add(size - 1, f"the checkpoint of size {size} is not signed by the log's key: {error}")
                continue
            if (checkpoint.size, checkpoint.root) != (size, stored.root):
                self.report.add(size - 1, f"the checkpoint of size {size} says something else than its row")
            elif checkpoint.root != roots[size]:
                self.report.add_range(self.signed, size - 1, f"not what was signed in the checkpoint of size {size}")
            else:
                self.signed = size
        for size, kept in self.outside.items():
            if size in roots and kept.root != roots[size]:
                self.report.add_range(0, size - 1, f"not what the checkpoint of size {size} kept outside says")

    def _nodes(self, computed: Sequence[tuple[Name, Hash]]) -> None:
        stored = self.reader.nodes([name for name, _ in computed])
        for (level, position), hash_ in computed:
            name = (level, position)
            if stored.get(name) != hash_:
                what = "not the hash of its leaves" if name in stored else "missing"
                first, last = position << level, ((position + 1) << level) - 1
                self.report.add_range(first, last, f"the stored subtree {name} over these is {what}")

    def _links(self, read: Sequence[tuple[StoredLeaf, Leaf]]) -> None:
        known = self.reader.predecessors([(leaf.subject, leaf.ordinal - 1) for _, leaf in read if leaf.ordinal > 1])
        for row, leaf in read:
            if leaf.ordinal == 1:
                if leaf.previous is not None:
                    self.report.add(row.index, f"the first entry of {_name(leaf.subject)} names one before it")
                continue
            before = known.get((leaf.subject, leaf.ordinal - 1))
            if before is None:
                what = f"entry {leaf.ordinal - 1} of {_name(leaf.subject)}, which this one follows, is not in the log"
            elif before[0] >= row.index:
                what = f"entry {leaf.ordinal - 1} of {_name(leaf.subject)} stands after this one"
            elif before[1] != leaf.previous:
                what = f"it does not name entry {leaf.ordinal - 1} of {_name(leaf.subject)} by its hash"
            else:
                continue
            self.report.add(row.index, what)

    def _commitments(self, read: Sequence[tuple[StoredLeaf, Leaf]]) -> None:
        for start in range(0, len(read), DETAILS):
            self._open(read[start : start + DETAILS])

    def _open(self, read: Sequence[tuple[StoredLeaf, Leaf]]) -> None:
        details = self.reader.details([leaf.id for _, leaf in read])
        bare = {leaf.subject for _, leaf in read if leaf.commitments and leaf.id not in details}
        erased = self.reader.erasures(sorted(bare))
        for row, leaf in read:
            content = details.get(leaf.id)
            if leaf.commitments:
                self.report.committed += 1
            if content is not None:
                if not _opens(leaf.commitments, content):
                    self.report.add(row.index, "the details are not those that the leaf commits to")
            elif leaf.commitments and erased.get(leaf.subject, 0) > leaf.ordinal:
                self.report.erased += 1
            elif leaf.commitments:
                self.report.add(row.index, "the details are gone, and no erasure entry says so")


def _opens(commitments: Mapping[str, str], content: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether salts and values are exactly those committed to."""
    if commitments.keys() != content.keys():
        return False
    for name, expected in commitments.items():
        try:
            salt, value = bytes.fromhex(content[name]["salt"]), content[name]["value"].encode()
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        if len(salt) != 16 or hashlib.sha256(salt + value).hexdigest() != expected:
            return False
    return True


def _name(subject: Party) -> str:
    return f"{subject.kind} {subject.id}"
