"""Verifying Merkle proofs, written from RFC 9162 section 2.1 (SHA-256); standard library only.

Nothing here trusts a proof's own word: root and size always come from outside the file being verified. Indexes count
from 0; hashes are 32 raw bytes; a path runs from the leaf's sibling up to the root's child.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attest.errors import VerificationError
from attest.records import Hex32, decode_base64

HASH_BYTES = 32
_LENGTHS = {HASH_BYTES}
#: The root of a tree without leaves (RFC 9162 section 2.1.1).
EMPTY_ROOT = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """``SHA256(0x00 || data)``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA256(0x01 || left || right)``."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_leaf_hashes(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of leaves in order (RFC 9162 section 2.1.1), which splits at the largest power of two.

    Kept as a stack of perfect subtrees: one is merged for every trailing one bit of the leaf's index.
    """
    stack: list[bytes] = []
    for index, node in enumerate(hashes):
        while index & 1:
            node = node_hash(stack.pop(), node)
            index >>= 1
        stack.append(node)
    if not stack:
        return EMPTY_ROOT
    root = stack.pop()
    while stack:
        root = node_hash(stack.pop(), root)
    return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf_hash`` is leaf ``index`` of the tree of ``size`` leaves with ``root`` (RFC 9162 2.1.3.2).

    Raises :class:`VerificationError` when the index is outside the tree, a hash is not 32 bytes, the path has another
    length than index and size fix, or the root differs.
    """
    if not 0 <= index < size:
        raise _refuse("merkle-index", f"leaf index {index} is outside a tree of {size} leaves")
    _check_hashes(leaf_hash, root, *path)
    # Below the point where the paths to this leaf and to the last leaf part, every level has a sibling, on the side
    # that the index's bit says; above it only those do where this leaf lies in the right half.
    below = (index ^ (size - 1)).bit_length()
    expected = below + (index >> below).bit_count()
    if len(path) != expected:
        raise _refuse(
            "merkle-path-length",
            f"the audit path has {len(path)} hashes; leaf {index} of {size} needs exactly {expected}",
        )
    node, bits = leaf_hash, index
    for sibling in path[:below]:
        node = _sha256(b"\x01" + sibling + node if bits & 1 else b"\x01" + node + sibling).digest()
        bits >>= 1
    for sibling in path[below:]:
        node = _sha256(b"\x01" + sibling + node).digest()
    if node != root:
        raise _refuse(
            "merkle-root-mismatch",
            f"leaf {index} of {size} leads to root {node.hex()}, not to {root.hex()}",
        )


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the tree of ``new_size`` begins with all leaves of the tree of ``old_size`` (RFC 9162 2.1.4.2).

    Raises :class:`VerificationError` when the new tree is smaller, a hash is not 32 bytes, the path has another length
    than the sizes fix, or either root differs.
    """
    if not 0 <= old_size <= new_size:
        raise _refuse("merkle-index", f"a tree of {new_size} leaves cannot extend one of {old_size}")
    _check_hashes(old_root, new_root, *path)
    if old_size in (0, new_size):
        if path:
            raise _refuse("merkle-path-length", f"from {old_size} to {new_size} leaves the path must be empty")
        if old_root != (new_root if old_size == new_size else EMPTY_ROOT):
            raise _refuse("merkle-root-mismatch", f"the root of {old_size} leaves is not {old_root.hex()}")
        return

    # The old tree's last perfect subtree: where the proof starts. From there it climbs as an inclusion proof does.
    rises = ((old_size - 1) ^ old_size).bit_length() - 1
    position, last = (old_size - 1) >> rises, (new_size - 1) >> rises
    below = (position ^ last).bit_length()
    starts_at_root = position == 0  # the old tree is itself a perfect subtree of the new one
    expected = below + (position >> below).bit_count() + (not starts_at_root)
    if len(path) != expected:
        raise _refuse(
            "merkle-path-length",
            f"the consistency path has {len(path)} hashes; from {old_size} to {new_size} leaves it is {expected}",
        )
    start, *rest = (old_root, *path) if starts_at_root else path
    old = new = start
    for level, sibling in enumerate(rest):
        if level >= below or position >> level & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if old != old_root:
        raise _refuse("merkle-root-mismatch", f"the path leads to root {old.hex()} at size {old_size}")
    if new != new_root:
        raise _refuse("merkle-root-mismatch", f"the path leads to root {new.hex()} at size {new_size}")


@dataclass(frozen=True)
class InclusionProof:
    """One account's proof that its leaf is in the signed tree: the leaf's exact bytes (base64) and its audit path.

    ``root`` and ``tree_size`` only say which statement the proof belongs to; they are never what it is verified
    against.
    """

    format: Literal["attest-inclusion-proof/1"]
    period: str
    revision: int
    tree_size: int
    leaf_index: int
    leaf: str
    audit_path: tuple[Hex32, ...]
    root: Hex32

    def __post_init__(self) -> None:
        try:
            decode_base64(self.leaf)
        except ValueError as fault:
            raise ValueError(f"leaf {fault}") from None

    @property
    def leaf_bytes(self) -> bytes:
        """The leaf's exact bytes, as hashed."""
        return decode_base64(self.leaf)


def verify_inclusion_proof(proof: InclusionProof, root: bytes, size: int) -> bytes:
    """The leaf's bytes, if ``proof`` shows them in the tree of ``size`` leaves with ``root``.

    ``root`` and ``size`` come from the signed statement or the chain, never from the proof's file. Raises
    :class:`VerificationError` naming what differs.
    """
    if proof.tree_size != size:
        raise _refuse("merkle-size", f"the proof is for a tree of {proof.tree_size} leaves, the signed one has {size}")
    if bytes.fromhex(proof.root) != root:
        raise _refuse("merkle-root-mismatch", f"the proof is for root {proof.root}, the signed one is {root.hex()}")
    leaf = proof.leaf_bytes
    path = [bytes.fromhex(node) for node in proof.audit_path]
    verify_inclusion(leaf_hash(leaf), proof.leaf_index, size, path, root)
    return leaf


def _check_hashes(*hashes: bytes) -> None:
    if {*map(len, hashes)} != _LENGTHS:
        length = next(len(item) for item in hashes if len(item) != HASH_BYTES)
        raise _refuse("merkle-hash-length", f"a hash of {length} bytes stands where SHA-256 gives 32")


def _refuse(code: str, message: str) -> VerificationError:
    return VerificationError(
        message,
        code=code,
        reason="A Merkle proof holds only if every hash, its length and its position lead to the signed root.",
        advice="Fetch proof and statement again for the same period and revision; if they still differ, tell the "
        "issuer and keep both files.",
    )
