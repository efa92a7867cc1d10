"""The RFC 6962 tree: hashes, roots, inclusion and consistency proofs, and their verification.

Pure arithmetic over SHA-256 digests of 32 raw bytes; where leaves and nodes are kept is not known here. A
node is named by (level, position): level 0 are the leaf hashes, level k covers 2^k leaves from position·2^k,
and only completed (perfect) subtrees have names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

Hash: TypeAlias = bytes
Name: TypeAlias = tuple[int, int]
Lookup: TypeAlias = Callable[[Name], Hash]
"""Gives the hash of a completed subtree by name."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962 §2.1)."""


def leaf_hash(leaf: bytes) -> Hash:
    """SHA-256(0x00 ‖ leaf) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its completed subtrees, largest first; log₂ n hashes.

    Enough to append and to know the root, whatever the size.
    """

    def __init__(self, size: int = 0, hashes: Sequence[Hash] = ()) -> None:
        """A tree of `size` leaves from the hashes of `frontier_names(size)`; ValueError if their number
        differs."""
        if len(hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} subtrees, not {len(hashes)}")
        self.size = size
        self._hashes = list(hashes)

    def append(self, leaf: Hash) -> list[tuple[Name, Hash]]:
        """Add one leaf hash; the (name, hash) of each subtree of level 1 and up that it completes."""
        completed = []
        node, level, position = leaf, 0, self.size
        while position & 1:
            node = node_hash(self._hashes.pop(), node)
            level, position = level + 1, position >> 1
            completed.append(((level, position), node))
        self._hashes.append(node)
        self.size += 1
        return completed

    def root(self) -> Hash:
        """The tree's root (RFC 6962 §2.1); EMPTY_ROOT for no leaf."""
        if not self._hashes:
            return EMPTY_ROOT
        node = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            node = node_hash(left, node)
        return node

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        return Frontier(self.size, self._hashes)

    @property
    def hashes(self) -> tuple[Hash, ...]:
        """The hashes of `frontier_names(self.size)`, in that order."""
        return tuple(self._hashes)


def frontier_names(size: int) -> list[Name]:
    """The completed subtrees that make up a tree of `size` leaves, from the left."""
    return _cover(0, size)


def inclusion_names(index: int, size: int) -> list[list[Name]]:
    """For each hash of the inclusion proof of `index` in `size`, leaf to root, the completed subtrees under
    it.

    ValueError unless 0 ≤ index < size (RFC 6962 §2.1.1).
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no index {index} in a tree of {size}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_cover(middle, end))
            end = middle
        else:
            path.append(_cover(start, middle))
            start = middle
    return path[::-1]


def consistency_names(old: int, new: int) -> list[list[Name]]:
    """For each hash of the consistency proof of `old` in `new`, the completed subtrees under it (RFC 6962
    §2.1.2).

    Empty for an equal or an empty old tree; ValueError unless 0 ≤ old ≤ new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} is no continuation of one of {old}")
    if old in (0, new):
        return []
    start, end, path, whole = 0, new, [], True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_cover(middle, end))
            end = middle
        else:
            path.append(_cover(start, middle))
            start, whole = middle, False
    if not whole:  # where the old tree is itself a subtree, its root is known to whoever checks
        path.append(_cover(start, end))
    return path[::-1]


def proof(names: Iterable[Iterable[Name]], lookup: Lookup) -> list[Hash]:
    """The hashes of a proof from what `inclusion_names` or `consistency_names` asked for."""
    return [_join([lookup(name) for name in group]) for group in names]


def verify_inclusion(leaf: Hash, index: int, size: int, path: Sequence[Hash], root: Hash) -> bool:
    """Whether `path` proves that `leaf` stands at `index` in the tree of `size` with `root` (RFC 9162
    §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, fn, sn = leaf, index, size - 1
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def verify_consistency(old: int, new: int, old_root: Hash, new_root: Hash, path: Sequence[Hash]) -> bool:
    """Whether `path` proves that the tree of `new` leaves continues that of `old` (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for node in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(node, first), node_hash(node, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _cover(start: int, end: int) -> list[Name]:
    """The completed subtrees over the leaves [start, end), from the left; `start` is a multiple of each one's
    width."""
    names = []
    while start < end:
        level = (end - start).bit_length() - 1
        names.append((level, start >> level))
        start += 1 << level
    return names


def _join(hashes: Sequence[Hash]) -> Hash:
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = node_hash(left, node)
    return node
