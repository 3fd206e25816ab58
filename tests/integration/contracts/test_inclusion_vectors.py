"""AttestationRegistry.verifyInclusion, on a chain, runs the published vectors of inclusion."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from eth_utils.crypto import keccak

from attest.records import decode_base64
from tests.vectors.vector import load_all

ADMIN, PUBLISHER = range(2)
EMPTY_ROOT = hashlib.sha256(b"").digest()
PERIOD = b"2026-W47".ljust(32, b"\0")

pytestmark = pytest.mark.usefixtures("rewound")


class Registry:
    """A registry in which each tree of the vectors is a revision of its own."""

    def __init__(self, chain: Any, expect_revert: Any) -> None:
        self._chain = chain
        self._expect_revert = expect_revert
        self._contract = chain.deploy("AttestationRegistry", chain.accounts[ADMIN])
        chain.send(self._contract, "grantRole", keccak(text="PUBLISHER_ROLE"), chain.accounts[PUBLISHER])
        self._revisions: dict[tuple[bytes, int], int] = {}

    def verdict(self, data: Any) -> str:
        """What the contract says; what it takes no argument for, or no tree, is invalid by that."""
        leaf = bytes.fromhex(data["leaf_hash"]) if "leaf_hash" in data else _leaf_hash(decode_base64(data["leaf"]))
        root, path = bytes.fromhex(data["root"]), [bytes.fromhex(node) for node in data["path"]]
        size, index = int(data["size"]), int(data["index"])
        if any(len(item) != 32 for item in (leaf, root, *path)):
            return "invalid"  # a bytes32 has 32
        if not (0 <= size < 2**256 and 0 <= index < 2**256):
            return "invalid"  # nor is a uint256 another number
        if size == 0 and root != EMPTY_ROOT:
            with self._expect_revert("InvalidRoot"):
                self._publish(root, size)
            return "invalid"
        if (root, size) not in self._revisions:
            self._publish(root, size)
            self._revisions[root, size] = len(self._revisions)
        return "valid" if self._included(self._revisions[root, size], leaf, index, path) else "invalid"

    def _publish(self, root: bytes, size: int) -> None:
        entry = (PERIOD, len(self._revisions), root, size, b"s" * 32, b"l" * 32, 1)
        self._chain.send(self._contract, "publish", *entry, sender=PUBLISHER)

    def _included(self, revision: int, leaf: bytes, index: int, path: list[bytes]) -> bool:
        publisher = self._chain.accounts[PUBLISHER]
        return bool(self._chain.call(self._contract, "verifyInclusion", publisher, PERIOD, revision, leaf, index, path))


def _leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def test_contract__vectors_of_inclusion__come_out_as_expected(chain: Any, expect_revert: Any) -> None:
    registry = Registry(chain, expect_revert)
    vectors = load_all("inclusion")

    verdicts = {vector.path: registry.verdict(vector.input) for vector in vectors}

    assert verdicts == {vector.path: vector.expected["verdict"] for vector in vectors}
    assert len(vectors) >= 60
    assert set(verdicts.values()) == {"valid", "invalid"}
