"""Merkle proofs against an independent reading of RFC 9162 section 2.1 (recursive, straight from its formulas)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.errors import VerificationError
from attest.merkle.proof import (
    EMPTY_ROOT,
    InclusionProof,
    leaf_hash,
    node_hash,
    root_from_leaf_hashes,
    verify_consistency,
    verify_inclusion,
    verify_inclusion_proof,
)
from attest.merkle.tree import MerkleTree
from attest.records import encode_base64, from_json, to_json

# -- the reference: RFC 9162 sections 2.1.1, 2.1.3.1 and 2.1.4.1 -----------------------------------------------------


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha(b"")
    if len(d) == 1:
        return sha(b"\x00" + d[0])
    k = split(len(d))
    return sha(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def numbered(size: int) -> list[bytes]:
    return [b"leaf %d" % n for n in range(size)]


def refused(code: str, check: Callable[[], object]) -> None:
    with pytest.raises(VerificationError) as caught:
        check()
    assert caught.value.code == code
    assert caught.value.reason
    assert caught.value.advice


def proof_file(leaves: list[bytes], index: int) -> InclusionProof:
    return InclusionProof(
        format="attest-inclusion-proof/1",
        period="2026-W47",
        revision=0,
        tree_size=len(leaves),
        leaf_index=index,
        leaf=encode_base64(leaves[index]),
        audit_path=tuple(node.hex() for node in path(index, leaves)),
        root=mth(leaves).hex(),
    )


LEAVES = st.lists(st.binary(max_size=12), min_size=1, max_size=70, unique=True)

# -- roots -----------------------------------------------------------------------------------------------------------


def test_root__published_test_vectors__are_met() -> None:
    """The tree of the Certificate Transparency reference code's tests."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    leaves = [bytes.fromhex(text) for text in data]
    for size, root in enumerate(roots, start=1):
        assert MerkleTree(leaves[:size]).root.hex() == root
        assert root_from_leaf_hashes([leaf_hash(leaf) for leaf in leaves[:size]]).hex() == root


def test_root__no_leaves__is_the_hash_of_nothing() -> None:
    assert MerkleTree([]).root == root_from_leaf_hashes([]) == EMPTY_ROOT == sha(b"")
    assert MerkleTree([]).size == 0


@given(st.lists(st.binary(max_size=40), max_size=150))
def test_root__any_leaves__is_that_of_the_reference(leaves: list[bytes]) -> None:
    assert MerkleTree(leaves).root == mth(leaves)
    assert root_from_leaf_hashes([leaf_hash(leaf) for leaf in leaves]) == mth(leaves)


@given(LEAVES)
def test_attack_07__last_leaf_duplicated__gives_another_root(leaves: list[bytes]) -> None:
    """CVE-2012-2459: padding by the last leaf lets two lists share a root."""
    assert MerkleTree(leaves).root != MerkleTree([*leaves, leaves[-1]]).root


def test_attack_07__proof_of_the_duplicated_last_leaf__is_refused_by_the_signed_size() -> None:
    leaves = numbered(3)
    padded = [*leaves, leaves[-1]]
    for index in range(4):
        refused("merkle-size", lambda index=index: verify_inclusion_proof(proof_file(padded, index), mth(leaves), 3))


# -- inclusion -------------------------------------------------------------------------------------------------------


def test_inclusion__every_leaf_of_every_small_tree__builds_the_reference_path_and_verifies() -> None:
    for size in range(1, 66):
        leaves = numbered(size)
        tree, root = MerkleTree(leaves), mth(leaves)
        for index in range(size):
            audit = tree.inclusion_path(index)
            assert audit == path(index, leaves)
            verify_inclusion(leaf_hash(leaves[index]), index, size, audit, root)


@settings(max_examples=60)
@given(LEAVES, st.data())
def test_inclusion__any_other_leaf_index_or_root__is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    size, root = len(leaves), mth(leaves)
    index = data.draw(st.integers(0, size - 1))
    audit = path(index, leaves)
    for other in range(size):
        if other != index:
            with pytest.raises(VerificationError):
                verify_inclusion(leaf_hash(leaves[other]), index, size, audit, root)
            with pytest.raises(VerificationError):
                verify_inclusion(leaf_hash(leaves[index]), other, size, audit, root)
    for other_size in range(1, size + 3):
        if other_size != size:
            other_root = mth([*leaves, b"more than", b"twelve bytes"][:other_size])
            with pytest.raises(VerificationError):
                verify_inclusion(leaf_hash(leaves[index]), index, other_size, audit, other_root)
    refused(
        "merkle-root-mismatch",
        lambda: verify_inclusion(leaf_hash(leaves[index]), index, size, audit, sha(root)),
    )


@given(st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_inclusion__any_bit_of_the_path_flipped__is_refused(place: tuple[int, int], data: st.DataObject) -> None:
    size, index = place
    leaves = numbered(size)
    audit = path(index, leaves)
    if audit:
        position, bit = data.draw(st.integers(0, len(audit) - 1)), data.draw(st.integers(0, 255))
        flipped = int.from_bytes(audit[position], "big") ^ (1 << bit)
        audit[position] = flipped.to_bytes(32, "big")
        refused(
            "merkle-root-mismatch",
            lambda: verify_inclusion(leaf_hash(leaves[index]), index, size, audit, mth(leaves)),
        )


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (4, 3), (0, 0), (0, -1)])
def test_inclusion__index_outside_the_tree__is_refused(index: int, size: int) -> None:
    refused("merkle-index", lambda: verify_inclusion(bytes(32), index, size, [], bytes(32)))


@pytest.mark.parametrize("length", [0, 8, 16, 31, 33, 64])
def test_attack_05__truncated_or_long_hash__is_refused(length: int) -> None:
    leaves = numbered(4)
    audit, root, leaf = path(1, leaves), mth(leaves), leaf_hash(leaves[1])
    wrong = (leaf * 2)[:length]
    refused("merkle-hash-length", lambda: verify_inclusion(wrong, 1, 4, audit, root))
    refused("merkle-hash-length", lambda: verify_inclusion(leaf, 1, 4, audit, (root * 2)[:length]))
    refused("merkle-hash-length", lambda: verify_inclusion(leaf, 1, 4, [(audit[0] * 2)[:length], audit[1]], root))
    refused("merkle-hash-length", lambda: verify_consistency(2, wrong, 4, root, subproof(2, leaves, True)))
    refused("merkle-hash-length", lambda: verify_consistency(3, mth(leaves[:3]), 4, root, [wrong] * 3))


def test_attack_08__inner_node_offered_as_leaf__is_refused() -> None:
    """A node of the level above, with a path that is one hash shorter, leads to the right root: its length gives it
    away; and as leaf bytes it is hashed with the leaf's prefix."""
    leaves = numbered(8)
    root = mth(leaves)
    left, right = leaf_hash(leaves[0]), leaf_hash(leaves[1])
    above = path(0, leaves)[1:]
    refused("merkle-path-length", lambda: verify_inclusion(node_hash(left, right), 0, 8, above, root))
    forged = proof_file(leaves, 0)
    as_leaf = InclusionProof(
        format=forged.format,
        period=forged.period,
        revision=0,
        tree_size=4,
        leaf_index=0,
        leaf=encode_base64(b"\x01" + left + right),
        audit_path=forged.audit_path[1:],
        root=forged.root,
    )
    refused("merkle-size", lambda: verify_inclusion_proof(as_leaf, root, 8))
    refused("merkle-root-mismatch", lambda: verify_inclusion_proof(as_leaf, root, 4))


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_attack_08__path_too_long_or_too_short__is_refused(place: tuple[int, int]) -> None:
    size, index = place
    leaves = numbered(size)
    audit, root, leaf = path(index, leaves), mth(leaves), leaf_hash(leaves[index])
    refused("merkle-path-length", lambda: verify_inclusion(leaf, index, size, [*audit, bytes(32)], root))
    refused("merkle-path-length", lambda: verify_inclusion(leaf, index, size, [bytes(32), *audit], root))
    if audit:
        refused("merkle-path-length", lambda: verify_inclusion(leaf, index, size, audit[:-1], root))


# -- consistency -----------------------------------------------------------------------------------------------------


def test_consistency__every_pair_of_small_sizes__builds_the_reference_path_and_verifies() -> None:
    for size in range(1, 66):
        leaves = numbered(size)
        tree = MerkleTree(leaves)
        for old in range(1, size + 1):
            proof = tree.consistency_path(old)
            assert proof == subproof(old, leaves, True)
            verify_consistency(old, mth(leaves[:old]), size, mth(leaves), proof)


@settings(max_examples=60)
@given(st.integers(2, 60).flatmap(lambda size: st.tuples(st.integers(1, size - 1), st.just(size))), st.data())
def test_consistency__any_other_root_size_or_path__is_refused(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    leaves = numbered(new)
    proof, old_root, new_root = subproof(old, leaves, True), mth(leaves[:old]), mth(leaves)
    refused("merkle-root-mismatch", lambda: verify_consistency(old, sha(old_root), new, new_root, proof))
    refused("merkle-root-mismatch", lambda: verify_consistency(old, old_root, new, sha(new_root), proof))
    refused("merkle-path-length", lambda: verify_consistency(old, old_root, new, new_root, [*proof, bytes(32)]))
    refused("merkle-path-length", lambda: verify_consistency(old, old_root, new, new_root, proof[:-1]))
    for other in range(1, new):
        if other != old:
            with pytest.raises(VerificationError):
                verify_consistency(other, old_root, new, new_root, proof)
            with pytest.raises(VerificationError):
                verify_consistency(other, mth(leaves[:other]), new, new_root, proof)
    position, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    damaged = list(proof)
    damaged[position] = (int.from_bytes(proof[position], "big") ^ (1 << bit)).to_bytes(32, "big")
    refused("merkle-root-mismatch", lambda: verify_consistency(old, old_root, new, new_root, damaged))


@given(st.integers(2, 60).flatmap(lambda size: st.tuples(st.integers(1, size - 1), st.just(size))), st.data())
def test_consistency__an_old_leaf_was_rewritten__no_path_verifies(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    leaves = numbered(new)
    forged = list(leaves)
    forged[data.draw(st.integers(0, old - 1))] = b"rewritten"
    for proof in (subproof(old, forged, True), subproof(old, leaves, True)):
        refused("merkle-root-mismatch", lambda p=proof: verify_consistency(old, mth(leaves[:old]), new, mth(forged), p))


def test_consistency__from_the_empty_tree_and_to_itself__takes_no_path() -> None:
    root = mth(numbered(5))
    verify_consistency(0, EMPTY_ROOT, 5, root, [])
    verify_consistency(5, root, 5, root, [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    refused("merkle-path-length", lambda: verify_consistency(0, EMPTY_ROOT, 5, root, [bytes(32)]))
    refused("merkle-path-length", lambda: verify_consistency(5, root, 5, root, [bytes(32)]))
    refused("merkle-root-mismatch", lambda: verify_consistency(0, root, 5, root, []))
    refused("merkle-root-mismatch", lambda: verify_consistency(5, root, 5, sha(root), []))
    refused("merkle-root-mismatch", lambda: verify_consistency(0, EMPTY_ROOT, 0, root, []))


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4)])
def test_consistency__smaller_new_tree__is_refused(old: int, new: int) -> None:
    refused("merkle-index", lambda: verify_consistency(old, bytes(32), new, bytes(32), []))


def test_tree__index_or_size_outside__is_a_programming_error() -> None:
    tree = MerkleTree(numbered(3))
    assert tree.consistency_path(0) == []
    for call in (lambda: tree.inclusion_path(3), lambda: tree.inclusion_path(-1), lambda: tree.consistency_path(4)):
        with pytest.raises(ValueError, match="of 3"):
            call()


# -- trees of any size -----------------------------------------------------------------------------------------------


class Uniform:
    """The tree of ``size`` leaves that are all alike but for leaf ``index``: as large as numbers go, by RFC 9162's
    recursion, because equal subtrees have equal roots."""

    def __init__(self, size: int, index: int | None = None) -> None:
        self.size, self.index = size, index

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        end = self.size if end is None else end
        if self.index is None or not start <= self.index < end:
            return alike(end - start)
        if end - start == 1:
            return leaf_hash(b"another")
        middle = start + split(end - start)
        return node_hash(self.root(start, middle), self.root(middle, end))

    def path(self) -> list[bytes]:
        start, end, found = 0, self.size, list[bytes]()
        while end - start > 1 and self.index is not None:
            middle = start + split(end - start)
            found.append(self.root(middle, end) if self.index < middle else self.root(start, middle))
            start, end = (start, middle) if self.index < middle else (middle, end)
        return found[::-1]

    def consistency(self, old: int) -> list[bytes]:
        start, end, whole, found = 0, self.size, True, list[bytes]()
        while old != end:
            middle = start + split(end - start)
            found.append(self.root(middle, end) if old <= middle else self.root(start, middle))
            whole = whole and old <= middle
            start, end = (start, middle) if old <= middle else (middle, end)
        return ([] if whole else [self.root(start, end)]) + found[::-1]


@cache
def alike(size: int) -> bytes:
    if size == 1:
        return leaf_hash(b"alike")
    return node_hash(alike(split(size)), alike(size - split(size)))


SIZES = st.integers(1, 63).flatmap(lambda bits: st.integers(1, (1 << bits) - 1))
PLACES = SIZES.flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def test_uniform__of_small_sizes__is_the_reference() -> None:
    for size in range(1, 20):
        for index in range(size):
            leaves = [b"another" if number == index else b"alike" for number in range(size)]
            tree = Uniform(size, index)
            assert (tree.root(), tree.path()) == (mth(leaves), path(index, leaves))
            assert all(tree.consistency(old) == subproof(old, leaves, True) for old in range(1, size + 1))


@given(PLACES, st.data())
def test_inclusion__in_trees_of_any_size__verifies_and_for_nothing_else(
    place: tuple[int, int], data: st.DataObject
) -> None:
    size, index = place
    tree, leaf = Uniform(size, index), leaf_hash(b"another")
    audit, root = tree.path(), tree.root()
    verify_inclusion(leaf, index, size, audit, root)
    neighbours = [index ^ 1 << bit for bit in range(size.bit_length())]
    others = {data.draw(st.integers(0, size - 1)), 0, size - 1, *neighbours} - {index}
    for other in others:
        with pytest.raises(VerificationError):
            verify_inclusion(leaf, other, size, audit, root)
    refused("merkle-root-mismatch", lambda: verify_inclusion(leaf_hash(b"alike"), index, size, audit, root))
    refused("merkle-root-mismatch", lambda: verify_inclusion(leaf, index, size, audit, alike(size)))
    for other in {data.draw(SIZES), size - 1, size + 1, size << 1} - {size, 0}:
        with pytest.raises(VerificationError):  # another size has another root, and that is what the log signs
            verify_inclusion(leaf, index, other, audit, Uniform(other, index).root())


@given(PLACES, st.data())
def test_consistency__of_trees_of_any_size__verifies_and_for_nothing_else(
    place: tuple[int, int], data: st.DataObject
) -> None:
    size, index = place
    old = data.draw(st.integers(1, size))
    tree = Uniform(size, index)
    before, proof = Uniform(old, index), tree.consistency(old)
    verify_consistency(old, before.root(), size, tree.root(), proof)
    forged = Uniform(size, data.draw(st.integers(0, size - 1)))
    if before.root() != Uniform(old, forged.index).root():  # a leaf of the old tree was rewritten
        for offered in (proof, forged.consistency(old)):
            with pytest.raises(VerificationError):
                verify_consistency(old, before.root(), size, forged.root(), offered)
    for other in {data.draw(st.integers(1, size)), old - 1, old + 1} - {old, 0}:
        with pytest.raises(VerificationError):
            verify_consistency(other, Uniform(other, index).root(), size, tree.root(), [*proof, bytes(32)])
        if other < size and proof != tree.consistency(other):
            with pytest.raises(VerificationError):
                verify_consistency(other, Uniform(other, index).root(), size, tree.root(), proof)


# -- the proof file --------------------------------------------------------------------------------------------------


@given(LEAVES, st.data())
def test_proof_file__of_any_leaf__returns_its_exact_bytes(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    stored = to_json(proof_file(leaves, index))
    proof = from_json(InclusionProof, stored, "proof.json")
    assert verify_inclusion_proof(proof, mth(leaves), len(leaves)) == leaves[index]


def test_attack_02__root_in_the_file_is_not_what_it_is_verified_against() -> None:
    """A wholly consistent file over other leaves verifies against its own root, and not against the signed one."""
    honest, forged = numbered(4), [b"forged", *numbered(4)[1:]]
    proof = proof_file(forged, 0)
    assert verify_inclusion_proof(proof, mth(forged), 4) == b"forged"
    refused("merkle-root-mismatch", lambda: verify_inclusion_proof(proof, mth(honest), 4))


def test_proof_file__names_another_root_than_the_signed_one__is_refused() -> None:
    """Even if everything else in it is right: it says that it belongs to another statement."""
    proof = replace(proof_file(numbered(4), 0), root="00" * 32)
    refused("merkle-root-mismatch", lambda: verify_inclusion_proof(proof, mth(numbered(4)), 4))


@given(st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.integers(0, 60))
def test_proof_file__any_other_size__is_refused(place: tuple[int, int], other: int) -> None:
    size, index = place
    proof = proof_file(numbered(size), index)
    if other != size:
        refused("merkle-size", lambda: verify_inclusion_proof(proof, mth(numbered(size)), other))


@pytest.mark.parametrize("leaf", ["YQ", "YQ==\n", "YR==", "Y Q==", "YQ=", "_w==", "é"])
def test_proof_file__leaf_in_another_spelling__is_refused(leaf: str) -> None:
    text = to_json(proof_file([b"a"], 0)).decode().replace('"YQ=="', '"' + leaf.replace("\n", "\\n") + '"')
    with pytest.raises(VerificationError, match=r"leaf is not (canonical )?base64"):
        from_json(InclusionProof, text.encode(), "proof.json")


@pytest.mark.parametrize("node", ["00" * 8, "00" * 31, "AB" * 32, "0x" + "00" * 31])
def test_attack_05__truncated_hash_in_a_file__is_refused(node: str) -> None:
    leaves = numbered(2)
    stored = to_json(proof_file(leaves, 0)).decode().replace(leaf_hash(leaves[1]).hex(), node)
    with pytest.raises(VerificationError, match=r"audit_path\[0\] must be 64 lowercase hex digits"):
        from_json(InclusionProof, stored.encode(), "proof.json")
