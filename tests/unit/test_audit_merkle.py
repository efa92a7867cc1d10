"""The tree against RFC 6962's published vectors and against the definition computed by brute force."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle

# The eight leaves and the roots and proofs of the reference implementation of RFC 6962
# (certificate-transparency-go, testdata): the common vectors of every implementation.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def brute_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, as the text defines it, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + brute_root(hashes[:k]) + brute_root(hashes[k:])).digest()


def brute_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*brute_path(m, hashes[:k]), brute_root(hashes[k:])]
    return [*brute_path(m - k, hashes[k:]), brute_root(hashes[:k])]


def brute_subproof(m: int, hashes: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    n = len(hashes)
    if m == n:
        return [] if whole else [brute_root(hashes)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*brute_subproof(m, hashes[:k], whole), brute_root(hashes[k:])]
    return [*brute_subproof(m - k, hashes[k:], False), brute_root(hashes[:k])]


def grow(hashes: list[bytes]) -> tuple[merkle.Frontier, merkle.Lookup]:
    """A frontier over the hashes, and a lookup of every completed subtree it named."""
    frontier = merkle.Frontier()
    nodes: dict[merkle.Name, bytes] = {}
    for index, value in enumerate(hashes):
        nodes[(0, index)] = value
        nodes.update(frontier.append(value))
    return frontier, nodes.__getitem__


def some_hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


def test_the_roots_are_those_of_the_published_vectors() -> None:
    frontier = merkle.Frontier()
    assert frontier.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(merkle.leaf_hash(leaf))
        assert frontier.root().hex() == root


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_published_vectors(index: int, size: int, path: list[str]) -> None:
    _, lookup = grow([merkle.leaf_hash(leaf) for leaf in LEAVES])
    made = merkle.proof(merkle.inclusion_names(index, size), lookup)
    assert [value.hex() for value in made] == path


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_published_vectors(old: int, new: int, path: list[str]) -> None:
    _, lookup = grow([merkle.leaf_hash(leaf) for leaf in LEAVES])
    made = merkle.proof(merkle.consistency_names(old, new), lookup)
    assert [value.hex() for value in made] == path


@given(st.integers(1, 130), st.data())
def test_every_inclusion_proof_is_the_definitions_and_verifies(size: int, data: st.DataObject) -> None:
    hashes = some_hashes(size)
    frontier, lookup = grow(hashes)
    assert frontier.root() == brute_root(hashes)
    index = data.draw(st.integers(0, size - 1))
    path = merkle.proof(merkle.inclusion_names(index, size), lookup)
    assert path == brute_path(index, hashes)
    assert merkle.verify_inclusion(hashes[index], index, size, path, frontier.root())


@given(st.integers(1, 130), st.data())
def test_every_consistency_proof_is_the_definitions_and_verifies(new: int, data: st.DataObject) -> None:
    hashes = some_hashes(new)
    _, lookup = grow(hashes)
    old = data.draw(st.integers(1, new))
    path = merkle.proof(merkle.consistency_names(old, new), lookup)
    assert path == brute_subproof(old, hashes, True)
    assert merkle.verify_consistency(old, new, brute_root(hashes[:old]), brute_root(hashes), path)


@given(st.integers(2, 60), st.data())
def test_no_altered_proof_verifies(size: int, data: st.DataObject) -> None:
    hashes = some_hashes(size)
    frontier, lookup = grow(hashes)
    root = frontier.root()
    index = data.draw(st.integers(0, size - 1))
    path = merkle.proof(merkle.inclusion_names(index, size), lookup)
    at = data.draw(st.integers(0, len(path) - 1))
    bent = [*path[:at], bytes(32), *path[at + 1 :]]
    assert not merkle.verify_inclusion(hashes[index], index, size, bent, root)
    assert not merkle.verify_inclusion(hashes[index], index, size, path[:-1], root)
    assert not merkle.verify_inclusion(hashes[index], index, size, [*path, bytes(32)], root)
    assert not merkle.verify_inclusion(hashes[index - 1], index, size, path, root)
    old = data.draw(st.integers(1, size - 1))
    path = merkle.proof(merkle.consistency_names(old, size), lookup)
    at = data.draw(st.integers(0, len(path) - 1))
    bent = [*path[:at], bytes(32), *path[at + 1 :]]
    old_root = brute_root(hashes[:old])
    assert not merkle.verify_consistency(old, size, old_root, root, bent)
    assert not merkle.verify_consistency(old, size, old_root, root, path[:-1])
    assert not merkle.verify_consistency(old, size, root, root, path)


@given(st.integers(0, 300))
def test_a_frontier_rebuilt_from_stored_subtrees_goes_on_where_it_was(size: int) -> None:
    hashes = some_hashes(size)
    frontier, lookup = grow(hashes)
    rebuilt = merkle.Frontier(size, [lookup(name) for name in merkle.frontier_names(size)])
    assert rebuilt.root() == frontier.root()
    more = merkle.leaf_hash(b"more")
    assert rebuilt.append(more) == frontier.append(more)
    assert rebuilt.root() == frontier.root() == brute_root([*hashes, more])


def test_a_proof_in_a_million_leaves_is_twenty_hashes_from_at_most_forty_rows() -> None:
    names = merkle.inclusion_names(777_777, 1_000_000)
    assert len(names) == 20
    assert sum(len(group) for group in names) <= 40
    names = merkle.consistency_names(777_777, 1_000_000)
    assert sum(len(group) for group in names) <= 40


def test_equal_and_empty_trees_are_consistent_by_an_empty_proof_alone() -> None:
    root = brute_root(some_hashes(3))
    assert merkle.verify_consistency(3, 3, root, root, [])
    assert not merkle.verify_consistency(3, 3, root, root, [root])
    assert merkle.verify_consistency(0, 3, merkle.EMPTY_ROOT, root, [])
    assert not merkle.verify_consistency(0, 3, root, root, [])
    assert not merkle.verify_consistency(4, 3, root, root, [])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_an_index_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no index"):
        merkle.inclusion_names(index, size)
    assert not merkle.verify_inclusion(bytes(32), index, size, [], bytes(32))


def test_a_frontier_with_the_wrong_number_of_hashes_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 subtrees"):
        merkle.Frontier(3, [bytes(32)])
