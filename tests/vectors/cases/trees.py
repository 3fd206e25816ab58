"""Merkle proofs by themselves (RFC 9162 section 2.1): inclusion, and consistency of two sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attest.merkle.proof import EMPTY_ROOT, leaf_hash, node_hash
from attest.records import encode_base64
from tests.support.bundles import merkle_path, merkle_root
from tests.vectors.cases.case import Case

#: The leaves of the Certificate Transparency reference code's tests.
CT_LEAVES = tuple(
    map(
        bytes.fromhex,
        (
            *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
            "606162636465666768696a6b6c6d6e6f",
        ),
    )
)


def leaves_of(size: int) -> list[bytes]:
    """The reference leaves, and after them numbered ones."""
    return [*CT_LEAVES[:size], *(b"leaf %d" % number for number in range(len(CT_LEAVES), size))]


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves_of(size)]


def root_of(size: int) -> bytes:
    return merkle_root(hashes_of(size))


def consistency_path(old: int, hashes: Sequence[bytes], whole: bool = True) -> tuple[bytes, ...]:
    """RFC 9162 section 2.1.4.1, by its recursive definition."""
    size = len(hashes)
    if old == size:
        return () if whole else (merkle_root(hashes),)
    split = 1 << ((size - 1).bit_length() - 1)
    if old <= split:
        return (*consistency_path(old, hashes[:split], whole), merkle_root(hashes[split:]))
    return (*consistency_path(old - split, hashes[split:], False), merkle_root(hashes[:split]))


# -- inclusion -------------------------------------------------------------------------------------------------------


def honest(index: int, size: int) -> dict[str, Any]:
    """The input of a leaf that is in the tree."""
    hashes = hashes_of(size)
    return {
        "leaf": encode_base64(leaves_of(size)[index]),
        "index": str(index),
        "size": str(size),
        "path": [node.hex() for node in merkle_path(hashes, index)],
        "root": merkle_root(hashes).hex(),
    }


def hashed(data: dict[str, Any], node: bytes) -> dict[str, Any]:
    """The same with a leaf's hash instead of a leaf."""
    return {"leaf_hash": node.hex()} | {name: value for name, value in data.items() if name != "leaf"}


def inclusion(
    name: str,
    description: str,
    reason: str,
    data: Mapping[str, Any],
    attack: int | None = 8,
    *,
    valid: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Case:
    return Case(
        *("inclusion", name, attack, description, reason, lambda: dict(data)),
        0 if valid else 6,
        elsewhere=elsewhere or {},
    )


_GOOD = honest(5, 8)
_PATH = _GOOD["path"]
_HASHES = hashes_of(8)
_ABOVE = node_hash(_HASHES[4], _HASHES[5])
_DUPLICATED = [*hashes_of(7), hashes_of(7)[-1]]

_VALID: tuple[Case, ...] = tuple(
    inclusion(
        f"valid-{index}-of-{size}",
        f"Leaf {index} of {size}.",
        "It is in the tree.",
        honest(index, size),
        None,
        valid=True,
    )
    for index, size in (
        *((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (3, 4), (4, 5), (5, 7), (6, 7), (0, 8), (5, 8), (7, 8)),
        *((8, 9), (16, 17), (31, 33), (32, 33), (99, 100), (699, 1000), (999, 1000)),
    )
)

_HOSTILE: tuple[Case, ...] = (
    inclusion(
        "other-leaf",
        "Leaf 5's place is claimed for leaf 4.",
        "It leads to another root.",
        honest(4, 8) | {"index": "5", "path": _PATH},
    ),
    inclusion(
        "other-index", "Leaf 5 is claimed to be leaf 4.", "Left and right are by the index.", _GOOD | {"index": "4"}
    ),
    inclusion(
        "other-size-same-path",
        "The tree of 8 leaves is claimed to have 7: leaf 5 has the same path in both shapes.",
        "A path alone does not fix the tree's size. That is why the size is signed beside the root, and why a verifier "
        "takes it from there and never from the proof.",
        _GOOD | {"size": "7"},
        7,
        valid=True,
    ),
    inclusion("smaller-size", "The tree is claimed to have 4 leaves.", "There is no leaf 5.", _GOOD | {"size": "4"}, 7),
    inclusion(
        "larger-size", "The tree is claimed to have 16 leaves.", "The path is too short.", _GOOD | {"size": "16"}, 7
    ),
    inclusion(
        "other-root", "The root is that of 7 leaves.", "It is another one.", _GOOD | {"root": root_of(7).hex()}, 2
    ),
    inclusion(
        "bit-of-the-root",
        "A bit of the root is changed.",
        "It is another one.",
        _GOOD | {"root": f"{int(_GOOD['root'], 16) ^ 1:064x}"},
        3,
    ),
    inclusion(
        "bit-of-a-sibling",
        "A bit of a sibling is changed.",
        "It leads to another root.",
        _GOOD | {"path": [f"{int(_PATH[0], 16) ^ 1:064x}", *_PATH[1:]]},
        1,
    ),
    inclusion(
        "siblings-swapped",
        "Two siblings changed places.",
        "They lead to another root.",
        _GOOD | {"path": [_PATH[1], _PATH[0], _PATH[2]]},
        1,
    ),
    inclusion("path-empty", "There is no path.", "Index and size fix its length.", _GOOD | {"path": []}),
    inclusion(
        "path-too-short", "The last hash is missing.", "Index and size fix its length.", _GOOD | {"path": _PATH[:-1]}
    ),
    inclusion(
        "path-too-long",
        "The root stands behind the path.",
        "Index and size fix its length.",
        _GOOD | {"path": [*_PATH, _GOOD["root"]]},
    ),
    inclusion(
        "path-with-zeros",
        "A hash of zeros stands before the path.",
        "Index and size fix its length.",
        _GOOD | {"path": ["00" * 32, *_PATH]},
    ),
    inclusion("path-of-64", "The path has 64 hashes.", "No tree is so deep.", _GOOD | {"path": _PATH[:1] * 64}, 24),
    inclusion(
        "path-too-long-for-one",
        "A tree of one leaf, with a path of one hash.",
        "There is no sibling.",
        honest(0, 1) | {"path": [root_of(1).hex()]},
    ),
    inclusion(
        "inner-node-as-leaf",
        "The node above leaves 4 and 5 as leaf 2, of 4 leaves.",
        "It fits the shape of a smaller tree, and its hash leads to this very root: only the prefix of a leaf, "
        "which a hash given as such does not show, and the signed size keep it out. Here the size is 8.",
        hashed(_GOOD, _ABOVE) | {"index": "2", "path": _PATH[1:]},
    ),
    inclusion(
        "inner-node-as-leaf-at-index-5",
        "The same at index 5.",
        "The path is too short.",
        hashed(_GOOD, _ABOVE) | {"path": _PATH[1:]},
    ),
    inclusion(
        "inner-node-as-leaf-bytes",
        "The two hashes below an inner node as a leaf's bytes, of 4 leaves.",
        "A leaf's hash has another prefix than a node's.",
        _GOOD | {"leaf": encode_base64(_HASHES[4] + _HASHES[5]), "index": "2", "size": "4", "path": _PATH[1:]},
    ),
    inclusion(
        "inner-node-with-its-prefix",
        "The same with the node's prefix in front.",
        "The leaf's own prefix comes before it.",
        _GOOD | {"leaf": encode_base64(b"\1" + _HASHES[4] + _HASHES[5]), "index": "2", "size": "4", "path": _PATH[1:]},
    ),
    inclusion(
        "leaf-without-prefix",
        "The hash of the leaf's bytes, without the prefix.",
        "A leaf's hash is SHA-256(0x00 || leaf).",
        hashed(_GOOD, hashlib.sha256(leaves_of(8)[5]).digest()),
    ),
    inclusion(
        "root-as-leaf",
        "The root itself as the only leaf's hash: size 1.",
        "A tree of one leaf has that leaf's hash as its root, so this holds, of that size. A verifier takes the "
        "size from the signed statement, not from the proof.",
        hashed(honest(0, 1), root_of(8)) | {"root": root_of(8).hex()},
        2,
        valid=True,
    ),
    inclusion(
        "duplicate-of-the-last",
        "The last of 7 leaves as the eighth of 8 (CVE-2012-2459).",
        "The tree of 7 leaves has another root than that of 8, the last twice.",
        honest(6, 7) | {"index": "7", "size": "8", "path": [node.hex() for node in merkle_path(_DUPLICATED, 7)]},
        7,
    ),
    inclusion(
        "duplicate-in-the-tree-of-8",
        "The same against the root of the 8 leaves, the last twice.",
        "In that tree it is; its size and root are others than those of the 7 leaves.",
        honest(6, 7)
        | {
            "index": "7",
            "size": "8",
            "root": merkle_root(_DUPLICATED).hex(),
            "path": [node.hex() for node in merkle_path(_DUPLICATED, 7)],
        },
        7,
        valid=True,
    ),
    inclusion("index-of-the-size", "The index is 8 of 8.", "They are counted from 0.", _GOOD | {"index": "8"}, 12),
    inclusion("index-negative", "The index is -1.", "They are counted from 0.", _GOOD | {"index": "-1"}, 4),
    inclusion(
        "index-2-64",
        "The index is 2^64 + 5: in 64 bits 5.",
        "It is outside of the tree.",
        _GOOD | {"index": str(2**64 + 5)},
        12,
    ),
    inclusion(
        "index-2-256",
        "The index is 2^256 + 5: in 256 bits 5.",
        "It is outside of the tree.",
        _GOOD | {"index": str(2**256 + 5)},
        12,
    ),
    inclusion(
        "size-zero",
        "The tree has no leaf.",
        "Then this one is not in it.",
        honest(0, 1) | {"size": "0", "root": EMPTY_ROOT.hex()},
        11,
    ),
    inclusion(
        "size-zero-with-the-root",
        "The tree has no leaf, and this leaf's root.",
        "Nothing is in it.",
        honest(0, 1) | {"size": "0"},
        11,
    ),
    inclusion("size-negative", "The size is -8.", "There is no such tree.", _GOOD | {"size": "-8"}, 4),
    inclusion(
        "size-2-63",
        "Leaf 0 of 2^63, without a path.",
        "The path would have 63 hashes.",
        honest(0, 1) | {"size": str(2**63)},
        12,
    ),
    *(
        inclusion(
            f"{what}-of-{8 * length}-bits",
            f"The {what} has {8 * length} bits.",
            "A hash has 256 bits.",
            _GOOD
            | (
                {"path": [(_PATH[0] * 2)[: 2 * length], *_PATH[1:]]}
                if what == "sibling"
                else {"root": (_GOOD["root"] * 2)[: 2 * length]}
            ),
            5,
        )
        for what in ("sibling", "root")
        for length in (0, 8, 16, 31, 33)
    ),
    inclusion(
        "leaf-hash-of-128-bits",
        "The leaf's hash has 128 bits.",
        "A hash has 256 bits.",
        hashed(_GOOD, _HASHES[5][:16]),
        5,
    ),
)

# -- consistency -----------------------------------------------------------------------------------------------------


def grown(old: int, new: int) -> dict[str, Any]:
    """The input of a tree that grew."""
    hashes = hashes_of(new)
    return {
        "old_size": str(old),
        "old_root": merkle_root(hashes[:old]).hex(),
        "new_size": str(new),
        "new_root": merkle_root(hashes).hex(),
        "path": [node.hex() for node in consistency_path(old, hashes)],
    }


def consistency(
    name: str,
    description: str,
    reason: str,
    data: Mapping[str, Any],
    attack: int | None = 20,
    *,
    valid: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Case:
    return Case(
        *("consistency", name, attack, description, reason, lambda: dict(data)),
        0 if valid else 6,
        elsewhere=elsewhere or {},
    )


_STEP = grown(5, 8)
_REWRITTEN = [leaf_hash(b"rewritten"), *hashes_of(8)[1:]]

_GROWN: tuple[Case, ...] = (
    *(
        consistency(
            f"valid-{old}-to-{new}",
            f"From {old} to {new} leaves.",
            "The first ones are the same.",
            grown(old, new),
            None,
            valid=True,
        )
        for old, new in (
            (1, 1),
            (1, 2),
            (1, 8),
            (2, 3),
            (2, 8),
            (3, 4),
            (3, 7),
            (4, 7),
            (4, 8),
            (5, 8),
            (6, 8),
            (7, 8),
            (8, 8),
            (8, 9),
            (256, 300),
            (255, 256),
            (511, 1000),
        )
    ),
    consistency(
        "from-nothing",
        "From 0 to 5 leaves.",
        "Everything extends the empty tree; there is no path.",
        {"old_size": "0", "old_root": EMPTY_ROOT.hex(), "new_size": "5", "new_root": root_of(5).hex(), "path": []},
        None,
        valid=True,
        elsewhere={"go": "invalid"},
    ),
    consistency(
        "from-nothing-to-nothing",
        "From 0 to 0 leaves.",
        "It is the same tree.",
        {"old_size": "0", "old_root": EMPTY_ROOT.hex(), "new_size": "0", "new_root": EMPTY_ROOT.hex(), "path": []},
        None,
        valid=True,
        elsewhere={"go": "invalid"},
    ),
)

_BROKEN: tuple[Case, ...] = (
    consistency(
        "first-leaf-rewritten",
        "The new tree has another first leaf; the path is the honest one.",
        "The old root does not come out.",
        _STEP | {"new_root": merkle_root(_REWRITTEN).hex()},
    ),
    consistency(
        "first-leaf-rewritten-with-its-path",
        "The same, with the path of the rewritten tree.",
        "The old root does not come out.",
        _STEP
        | {"new_root": merkle_root(_REWRITTEN).hex(), "path": [node.hex() for node in consistency_path(5, _REWRITTEN)]},
    ),
    consistency(
        "old-root-other",
        "The old root is another one.",
        "It is not what the new tree begins with.",
        _STEP | {"old_root": root_of(4).hex()},
    ),
    consistency(
        "new-root-other",
        "The new root is another one.",
        "The path does not lead there.",
        _STEP | {"new_root": root_of(7).hex()},
    ),
    consistency(
        "old-size-other",
        "The old size is 6, with the root of 5.",
        "The path is of another shape.",
        _STEP | {"old_size": "6"},
    ),
    consistency(
        "new-size-other",
        "The new size is 9, with the root of 8.",
        "The path is of another shape.",
        _STEP | {"new_size": "9"},
    ),
    consistency(
        "shrunk",
        "From 8 to 5 leaves.",
        "A log never shrinks.",
        {
            "old_size": "8",
            "old_root": root_of(8).hex(),
            "new_size": "5",
            "new_root": root_of(5).hex(),
            "path": _STEP["path"],
        },
    ),
    consistency(
        "equal-size-other-root",
        "Two roots of 8 leaves.",
        "A log has one root at each size: it was forked.",
        _STEP | {"old_size": "8", "old_root": merkle_root(_REWRITTEN).hex(), "path": []},
    ),
    consistency(
        "equal-size-with-path",
        "The same tree, with a path of one hash.",
        "There is nothing to show.",
        grown(8, 8) | {"path": [root_of(8).hex()]},
        8,
    ),
    consistency("path-empty", "From 5 to 8, without a path.", "It needs four hashes.", _STEP | {"path": []}, 8),
    consistency(
        "path-too-short",
        "The last hash is missing.",
        "The sizes fix its length.",
        _STEP | {"path": _STEP["path"][:-1]},
        8,
    ),
    consistency(
        "path-too-long",
        "A hash stands behind the path.",
        "The sizes fix its length.",
        _STEP | {"path": [*_STEP["path"], "00" * 32]},
        8,
    ),
    consistency(
        "path-with-old-root",
        "From 4, a whole subtree, with its root in front of the path.",
        "Its reader has that root: it is not in the path.",
        grown(4, 8) | {"path": [grown(4, 8)["old_root"], *grown(4, 8)["path"]]},
        8,
    ),
    consistency(
        "from-nothing-of-another-root",
        "From 0 leaves with a root of theirs.",
        "The empty tree has one root.",
        {"old_size": "0", "old_root": root_of(1).hex(), "new_size": "5", "new_root": root_of(5).hex(), "path": []},
        7,
    ),
    consistency(
        "from-nothing-with-path",
        "From 0 to 5 leaves, with a path.",
        "There is nothing to show.",
        {
            "old_size": "0",
            "old_root": EMPTY_ROOT.hex(),
            "new_size": "5",
            "new_root": root_of(5).hex(),
            "path": [root_of(5).hex()],
        },
        8,
    ),
    consistency("old-size-negative", "From -5 leaves.", "There is no such tree.", _STEP | {"old_size": "-5"}, 4),
    consistency(
        "sizes-2-64",
        "Both sizes are 2^64 more: in 64 bits the same.",
        "The path is too short.",
        _STEP | {"old_size": str(2**64 + 5), "new_size": str(2**64 + 8)},
        12,
    ),
    consistency(
        "bit-of-the-path",
        "A bit of the path is changed.",
        "It leads to other roots.",
        _STEP | {"path": [f"{int(_STEP['path'][0], 16) ^ 1:064x}", *_STEP["path"][1:]]},
    ),
    consistency(
        "hash-of-128-bits",
        "A hash of the path has 128 bits.",
        "A hash has 256 bits.",
        _STEP | {"path": [_STEP["path"][0][:32], *_STEP["path"][1:]]},
        5,
    ),
    consistency(
        "old-root-of-128-bits",
        "The old root has 128 bits.",
        "A hash has 256 bits.",
        _STEP | {"old_root": _STEP["old_root"][:32]},
        5,
    ),
)

CASES: tuple[Case, ...] = (*_VALID, *_HOSTILE, *_GROWN, *_BROKEN)
