"""Whether this database continues what was published: it must contain the outside copy's tree, and its own
checkpoints.

Only judged here; the sealer refuses to sign on what this raises until an operator declares a fork.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audit import outside
from audit.merkle import Frontier, Hash, frontier_names
from audit.notes import BadNote, Signer
from audit.store import State, Store


class LogRefused(Exception):
    """The sealer will not sign; the message says why, and what an operator can do."""


class NotContinued(LogRefused):
    """What was published is not contained in this database: only a declared fork goes on from here."""

    def __init__(self, message: str, note: str) -> None:
        super().__init__(f"{message}; see `manage.py declare_fork`")
        self.note = note


@dataclass(frozen=True)
class Standing:
    """Where the log stands: its frontier, and the newest checkpoint, which may have to be copied outside."""

    frontier: Frontier
    newest_note: str | None
    left_behind: bool
    """A fork was declared and committed, but the outside file is still the one it leaves behind."""


def stand(store: Store, state: State, signer: Signer, path: Path) -> Standing:
    """Check tree, newest checkpoint and outside copy against each other.

    Raises LogRefused for another key or a damaged tree, NotContinued for a database shorter than the outside
    copy or not consistent with it (docs/reference/evidence-log.md, "Forks").
    """
    if state.verifier_key and state.verifier_key != str(signer.verifier):
        raise LogRefused(f"the key is not the one this log was started with, {state.verifier_key.rpartition('+')[0]}")
    frontier = read_frontier(store, state.size)
    newest = store.newest_checkpoint()
    if state.size:
        if newest is None or newest[0] != state.size or newest[1] != frontier.root():
            raise LogRefused("the stored tree does not have the root of the newest checkpoint: it was tampered with")
        _check_newest(signer, newest[2], newest[0], newest[1])
    note = _read_outside(path)
    left_behind = note is not None and note != "" and note == state.forked_from
    if not left_behind:
        _check_outside(store, state, signer, note, frontier)
    return Standing(frontier, newest[2] if newest else None, left_behind)


def read_frontier(store: Store, size: int) -> Frontier:
    """The frontier of the first `size` leaves from the stored subtrees; LogRefused where one is missing."""
    names = frontier_names(size)
    found = store.hashes(names)
    try:
        return Frontier(size, [found[name] for name in names])
    except KeyError as missing:
        raise LogRefused(f"the stored subtree {missing} is missing: the tree was tampered with") from None


def _check_newest(signer: Signer, note: str, size: int, root: Hash) -> None:
    try:
        checkpoint = signer.verifier.checkpoint(note)
    except BadNote as error:
        raise LogRefused(f"the newest stored checkpoint is not ours: {error}") from None
    if (checkpoint.size, checkpoint.root) != (size, root):
        raise LogRefused("the newest stored checkpoint says something else than its row")


def _read_outside(path: Path) -> str | None:
    try:
        return outside.read(path)
    except (OSError, BadNote) as error:
        raise LogRefused(f"the copy outside the database can't be read: {error}") from None


def _check_outside(store: Store, state: State, signer: Signer, note: str | None, frontier: Frontier) -> None:
    if note is None:
        if state.published_size:
            raise NotContinued(
                f"the copy of what was published (size {state.published_size}) outside the database is gone",
                "",
            )
        return
    try:
        published = signer.verifier.checkpoint(note)
    except BadNote as error:
        raise NotContinued(f"the copy outside the database is not of this log: {error}", note) from None
    if published.size > state.size:
        raise NotContinued(
            f"this database has {state.size} leaves, but {published.size} were published: it is older", note
        )
    same = frontier if published.size == state.size else read_frontier(store, published.size)
    if same.root() != published.root:
        raise NotContinued(f"the first {published.size} leaves are not those that were published", note)
