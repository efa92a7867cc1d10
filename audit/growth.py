"""A batch on its way into the tree: leaves, the subtrees they complete, the checkpoint, the sealer's own
words.

In memory only: nothing is read, stored or published here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import uuid_utils.compat

from audit import leaves, merkle
from audit.admission import Admitted, Row, Tail
from audit.canonical import MAX_INTEGER
from audit.continuity import LogRefused
from audit.leaves import Party
from audit.notes import Checkpoint, Signer
from audit.store import Placed, State
from audit.types import EntryType

SEALER = Party("system", "sealer")


@dataclass(frozen=True)
class Own:
    """A leaf that the sealer itself has to say, in the log's own chain."""

    type: EntryType
    facts: Mapping[str, Any] = field(default_factory=dict)
    actor: Party = SEALER


class Growth:
    """A batch being appended: leaves in order, the subtrees they complete, and the checkpoint over them."""

    def __init__(self, frontier: merkle.Frontier) -> None:
        self.frontier = frontier
        self.placed: list[Placed] = []
        self.nodes: list[tuple[merkle.Name, merkle.Hash]] = []

    def add(self, leaf: leaves.Leaf, data: bytes, hash_: merkle.Hash) -> None:
        """Append one leaf."""
        self.placed.append(Placed(self.frontier.size, leaf, data, hash_))
        self.nodes += self.frontier.append(hash_)

    def say(self, own: Own, chain: Party, tail: Tail | None, state: State) -> Tail:
        """Append one of the sealer's own leaves; the log's new tail."""
        ordinal = tail.ordinal + 1 if tail else 1
        data = leaves.build(
            entry_id=uuid_utils.compat.uuid7(),
            type=str(own.type),
            at=state.now,
            actor=own.actor,
            subject=chain,
            ordinal=ordinal,
            previous=tail.hash if tail else None,
            auth=None,
            digests={},
            facts=own.facts,
            commitments={},
        )
        hash_ = merkle.leaf_hash(data)
        self.add(leaves.parse(data), data, hash_)
        return Tail(ordinal, hash_)

    def sign(self, before: merkle.Frontier, signer: Signer) -> str:
        """The signed note of the grown tree, once it is proved to continue the one before; LogRefused
        otherwise."""
        old, new = before.size, self.frontier.size
        known = dict(zip(merkle.frontier_names(old), before.hashes, strict=True))
        known.update(self.nodes)
        known.update(((0, placed.index), placed.hash) for placed in self.placed)
        path = merkle.proof(merkle.consistency_names(old, new), known.__getitem__)
        root = self.frontier.root()
        if not merkle.verify_consistency(old, new, before.root(), root, path):
            raise LogRefused(f"the tree of {new} does not continue that of {old}: nothing is signed")
        return signer.sign(Checkpoint(signer.name, new, root).text())


def quarantined(row: Row, cause: str) -> Own:
    """What the tree says of a quarantined row: what it claimed to be, and why it was not believed.

    Neither its bytes nor its hashes: they may be anyone's.
    """
    facts = {
        "claimed": {
            "kind": row.subject.kind[:40],
            "id": row.subject.id[:200],
            # A column holds more than a leaf's numbers may: then as text.
            "ordinal": row.ordinal if abs(row.ordinal) <= MAX_INTEGER else str(row.ordinal),
        },
        "entry": str(row.entry_id),
        "cause": cause,
    }
    return Own(EntryType.ENTRY_QUARANTINED, facts)


def missing(verdict: Admitted) -> list[Own]:
    """What the tree says of ordinals before an admitted leaf that it does not have."""
    if verdict.missing is None:
        return []
    subject = verdict.leaf.subject
    first, last = verdict.missing
    return [Own(EntryType.ENTRY_MISSING, {"kind": subject.kind, "id": subject.id, "first": first, "last": last})]
