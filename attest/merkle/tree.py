"""Building Merkle trees and their proofs with pymerkle, in RFC 9162's counting.

pymerkle hashes as RFC 9162 does, but counts leaves from 1 and lays its paths out differently; the two conversions are
here and nowhere else. Verifying is :mod:`attest.merkle.proof`'s, which shares no code with this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attest.merkle.proof import node_hash


class MerkleTree:
    """The RFC 9162 tree over ``leaves`` (exact bytes, in order)."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        from pymerkle import InmemoryTree

        self._tree: Any = InmemoryTree(algorithm="sha256")
        self._tree.append_entries(leaves)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return int(self._tree.get_size())

    @property
    def root(self) -> bytes:
        """The 32-byte root; ``SHA256("")`` of no leaves."""
        return bytes(self._tree.get_root())

    def inclusion_path(self, index: int) -> list[bytes]:
        """The audit path of leaf ``index`` (from 0), from its sibling up. Raises ``ValueError`` outside the tree."""
        if not 0 <= index < self.size:
            raise ValueError(f"leaf {index} of {self.size}")
        # pymerkle's path begins with the leaf's own hash.
        return list(self._tree.prove_inclusion(index + 1).path[1:])

    def consistency_path(self, old_size: int) -> list[bytes]:
        """The consistency path from the first ``old_size`` leaves to all. Raises ``ValueError`` outside the tree."""
        if not 0 <= old_size <= self.size:
            raise ValueError(f"old size {old_size} of {self.size}")
        if old_size in (0, self.size):
            return []
        proof = self._tree.prove_consistency(old_size)
        # pymerkle descends to single hashes that RFC 9162's proof keeps folded: fold those before the first hash that
        # belongs to the old tree. That hash is left out when it is the whole old tree, whose root the verifier has.
        first = proof.subset.index(1)
        folded = proof.path[0]
        for bit, node in zip(proof.rule[: first - 1], proof.path[1:first], strict=True):
            folded = node_hash(node, folded) if bit else node_hash(folded, node)
        head = [proof.path[first]] if old_size & (old_size - 1) else []
        return [*head, folded, *proof.path[first + 1 :]]
