"""AttestationRegistry on a real chain, its proofs against an independent RFC 9162 implementation."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from eth_utils.crypto import keccak

ADMIN, PUBLISHER, OTHER, STRANGER = range(4)
PUBLISHER_ROLE = keccak(text="PUBLISHER_ROLE")
PERIOD, NEXT_PERIOD = b"2026-W47".ljust(32, b"\0"), b"2026-W48".ljust(32, b"\0")
EMPTY_ROOT = hashlib.sha256(b"").digest()
ENTRY = (b"r" * 32, 7, b"s" * 32, b"l" * 32, 12)

pytestmark = pytest.mark.usefixtures("rewound")


# -- RFC 9162, section 2.1, by its recursive definitions -------------------------------------------------------------


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << (size - 1).bit_length() - 1


def tree_root(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaf_hash(leaves[0]) if leaves else EMPTY_ROOT
    k = split(len(leaves))
    return node_hash(tree_root(leaves[:k]), tree_root(leaves[k:]))


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*audit_path(index, leaves[:k]), tree_root(leaves[k:])]
    return [*audit_path(index - k, leaves[k:]), tree_root(leaves[:k])]


def leaves_of(size: int) -> list[bytes]:
    return [b"account %d" % n for n in range(size)]


# -- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry(chain: Any) -> Any:
    contract = chain.deploy("AttestationRegistry", chain.accounts[ADMIN])
    for publisher in (PUBLISHER, OTHER):
        chain.send(contract, "grantRole", PUBLISHER_ROLE, chain.accounts[publisher])
    return contract


@pytest.fixture
def publish(chain: Any, registry: Any) -> Any:
    def send(revision: int = 0, entry: tuple[Any, ...] = ENTRY, period: bytes = PERIOD, sender: int = PUBLISHER) -> Any:
        return chain.send(registry, "publish", period, revision, *entry, sender=sender)

    return send


@pytest.fixture
def publish_tree(chain: Any, publish: Any) -> Any:
    """Publish a tree of ``size`` leaves as the period's next revision (given); its leaves."""

    def send(size: int, revision: int = 0) -> list[bytes]:
        leaves = leaves_of(size)
        publish(revision, (tree_root(leaves), size, *ENTRY[2:]))
        return leaves

    return send


@pytest.fixture
def verify(chain: Any, registry: Any) -> Any:
    def call(leaf: bytes, index: int, path: list[bytes], revision: int = 0) -> Any:
        publisher = chain.accounts[PUBLISHER]
        return chain.call(registry, "verifyInclusion", publisher, PERIOD, revision, leaf, index, path)

    return call


# -- publication -----------------------------------------------------------------------------------------------------


def test_publish__first_revision__is_stored_and_announced(chain: Any, registry: Any, publish: Any) -> None:
    receipt = publish()
    publisher = chain.accounts[PUBLISHER]
    assert chain.call(registry, "attestationOf", publisher, PERIOD, 0) == ENTRY
    assert chain.call(registry, "revisionCount", publisher, PERIOD) == 1
    expected = ("AttestationPublished", (publisher.lower(), PERIOD, 0, *ENTRY))
    assert chain.events(registry, receipt) == [expected]


@pytest.mark.parametrize("sender", [ADMIN, STRANGER])
def test_publish__without_the_role__reverts(
    chain: Any, registry: Any, publish: Any, expect_revert: Any, sender: int
) -> None:
    with expect_revert("AccessControlUnauthorizedAccount", chain.accounts[sender].lower(), PUBLISHER_ROLE):
        publish(sender=sender)


def test_publish__after_the_role_was_revoked__reverts_and_the_entries_stand(
    chain: Any, registry: Any, publish: Any, expect_revert: Any
) -> None:
    publish()
    chain.send(registry, "revokeRole", PUBLISHER_ROLE, chain.accounts[PUBLISHER])
    with expect_revert("AccessControlUnauthorizedAccount"):
        publish(1)
    assert chain.call(registry, "attestationOf", chain.accounts[PUBLISHER], PERIOD, 0) == ENTRY


def test_publish__existing_revision__reverts_and_nothing_changes(
    chain: Any, registry: Any, publish: Any, expect_revert: Any
) -> None:
    other = (b"x" * 32, 9, b"y" * 32, b"z" * 32, 13)
    publish()
    publish(1, other)
    for revision, kept in ((0, ENTRY), (1, other)):
        for attempt in (ENTRY, other):
            with expect_revert("AlreadyPublished", PERIOD, revision):
                publish(revision, attempt)
        assert chain.call(registry, "attestationOf", chain.accounts[PUBLISHER], PERIOD, revision) == kept
    assert chain.call(registry, "revisionCount", chain.accounts[PUBLISHER], PERIOD) == 2


@pytest.mark.parametrize("revision", [1, 2, 2**256 - 1])
def test_publish__skipped_first_revision__reverts(publish: Any, expect_revert: Any, revision: int) -> None:
    with expect_revert("RevisionSkipped", PERIOD, revision, 0):
        publish(revision)


def test_publish__skipped_later_revision__reverts(publish: Any, expect_revert: Any) -> None:
    publish(0)
    with expect_revert("RevisionSkipped", PERIOD, 2, 1):
        publish(2)
    publish(1)
    publish(2)


def test_publish__publishers_and_periods__do_not_touch_each_other(chain: Any, registry: Any, publish: Any) -> None:
    publish()
    other = (b"x" * 32, 9, b"y" * 32, b"z" * 32, 13)
    publish(0, other, sender=OTHER)
    publish(0, other, period=NEXT_PERIOD)
    assert chain.call(registry, "attestationOf", chain.accounts[PUBLISHER], PERIOD, 0) == ENTRY
    assert chain.call(registry, "attestationOf", chain.accounts[OTHER], PERIOD, 0) == other
    assert chain.call(registry, "attestationOf", chain.accounts[PUBLISHER], NEXT_PERIOD, 0) == other
    assert chain.call(registry, "revisionCount", chain.accounts[OTHER], NEXT_PERIOD) == 0


@pytest.mark.parametrize(("root", "size"), [(EMPTY_ROOT, 1), (b"r" * 32, 0), (bytes(32), 0)])
def test_publish__root_that_no_tree_of_this_size_has__reverts(
    publish: Any, expect_revert: Any, root: bytes, size: int
) -> None:
    with expect_revert("InvalidRoot", root, size):
        publish(0, (root, size, *ENTRY[2:]))


def test_publish__without_a_statement__reverts(publish: Any, expect_revert: Any) -> None:
    with expect_revert("MissingStatement"):
        publish(0, (ENTRY[0], ENTRY[1], bytes(32), *ENTRY[3:]))


def test_read__unpublished__reverts(chain: Any, registry: Any, publish: Any, expect_revert: Any) -> None:
    publish()
    publisher, other = chain.accounts[PUBLISHER], chain.accounts[OTHER]
    for key in ((publisher, PERIOD, 1), (publisher, NEXT_PERIOD, 0), (other, PERIOD, 0)):
        expected = (key[0].lower(), *key[1:])
        with expect_revert("NotPublished", *expected):
            chain.call(registry, "attestationOf", *key)
        with expect_revert("NotPublished", *expected):
            chain.call(registry, "verifyInclusion", *key, bytes(32), 0, [])


# -- inclusion -------------------------------------------------------------------------------------------------------


def test_inclusion__every_leaf_of_every_small_tree__is_found_at_its_place_only(publish_tree: Any, verify: Any) -> None:
    for size in range(1, 18):
        revision = size - 1
        leaves = publish_tree(size, revision)
        for index, leaf in enumerate(leaves):
            path = audit_path(index, leaves)
            assert verify(leaf_hash(leaf), index, path, revision) is True, (size, index)
            for wrong in {index ^ 1, (index + 1) % size, size, index + 2**255} - {index}:
                assert verify(leaf_hash(leaf), wrong, path, revision) is False, (size, index, wrong)


def test_inclusion__path_of_another_length__is_false(publish_tree: Any, verify: Any) -> None:
    for revision, size in enumerate((1, 2, 3, 6, 7, 8, 17)):
        leaves = publish_tree(size, revision)
        for index, leaf in enumerate(leaves):
            path = audit_path(index, leaves)
            hashed = leaf_hash(leaf)
            others = [path[:-1], path[1:], [*path, tree_root(leaves)], [*path, bytes(32)], [hashed, *path], path * 2]
            for other in others:
                if other != path:
                    assert verify(hashed, index, other, revision) is False, (size, index, len(other))


def test_inclusion__another_leaf_or_a_changed_path__is_false(publish_tree: Any, verify: Any) -> None:
    leaves = publish_tree(11)
    for index, leaf in enumerate(leaves):
        path = audit_path(index, leaves)
        assert verify(leaf_hash(leaf + b"!"), index, path) is False
        for n in range(len(path)):
            flipped = bytes([path[n][0] ^ 1]) + path[n][1:]
            assert verify(leaf_hash(leaf), index, [*path[:n], flipped, *path[n + 1 :]]) is False
        if len(path) > 1:
            assert verify(leaf_hash(leaf), index, path[::-1]) is False


def test_inclusion__inner_node_offered_as_a_leaf__is_false(publish_tree: Any, verify: Any) -> None:
    leaves = publish_tree(8)
    for index in range(4):
        inner = node_hash(leaf_hash(leaves[2 * index]), leaf_hash(leaves[2 * index + 1]))
        path = audit_path(2 * index, leaves)[1:]
        for place in range(8):
            assert verify(inner, place, path) is False
    assert verify(tree_root(leaves), 0, []) is False


def test_inclusion__last_leaf_duplicated__is_not_a_further_leaf(publish_tree: Any, verify: Any) -> None:
    # In trees that pair a last odd leaf with itself, three leaves and four with the last one twice share a root.
    three = publish_tree(3)
    hashes = [leaf_hash(leaf) for leaf in three]
    assert verify(hashes[2], 2, [node_hash(hashes[0], hashes[1])]) is True
    assert verify(hashes[2], 2, [hashes[2], node_hash(hashes[0], hashes[1])]) is False
    assert verify(hashes[2], 3, [hashes[2], node_hash(hashes[0], hashes[1])]) is False
    assert tree_root([*three, three[2]]) != tree_root(three)


def test_inclusion__empty_tree__includes_nothing(chain: Any, registry: Any, publish: Any, verify: Any) -> None:
    entry = (EMPTY_ROOT, 0, *ENTRY[2:])
    publish(0, entry)
    assert chain.call(registry, "attestationOf", chain.accounts[PUBLISHER], PERIOD, 0) == entry
    for leaf in (EMPTY_ROOT, leaf_hash(b""), bytes(32)):
        for path in ([], [EMPTY_ROOT]):
            assert verify(leaf, 0, path) is False


def test_inclusion__single_leaf__is_the_root(publish_tree: Any, verify: Any) -> None:
    (leaf,) = publish_tree(1)
    assert verify(leaf_hash(leaf), 0, []) is True
    assert verify(leaf_hash(leaf), 1, []) is False


def test_inclusion__size_says_another_place_than_the_path__is_false(publish: Any, verify: Any) -> None:
    leaves = leaves_of(8)
    publish(0, (tree_root(leaves), 4, *ENTRY[2:]))  # the root of eight, under the size of four
    for index in range(8):
        assert verify(leaf_hash(leaves[index]), index, audit_path(index, leaves)) is False


def test_inclusion__path_that_goes_on_above_the_root_of_the_size__is_false(publish: Any, verify: Any) -> None:
    leaf, left = leaf_hash(b"only"), leaf_hash(b"left")
    publish(0, (node_hash(left, leaf), 1, *ENTRY[2:]))  # the root of two, under the size of one
    assert verify(leaf, 0, [left]) is False


def test_inclusion__very_deep_tree__is_bounded_by_the_size(publish: Any, verify: Any) -> None:
    # All left children of a full tree of 2**40 leaves: only the first leaf's path has to be known.
    node, path = leaf_hash(b"first"), [hashlib.sha256(bytes([n])).digest() for n in range(40)]
    root = node
    for sibling in path:
        root = node_hash(root, sibling)
    publish(0, (root, 2**40, *ENTRY[2:]))
    assert verify(node, 0, path) is True
    assert verify(node, 2**39, path) is False
    assert verify(node, 0, path[:-1]) is False


def test_inclusion__ten_siblings__cost_little(chain: Any, registry: Any, publish_tree: Any) -> None:
    """Beyond a call without a path, calldata not counted."""

    def gas(size: int, revision: int) -> int:
        leaves = publish_tree(size, revision)
        data = registry.artifact.call_data(
            "verifyInclusion",
            chain.accounts[PUBLISHER],
            PERIOD,
            revision,
            leaf_hash(leaves[0]),
            0,
            audit_path(0, leaves),
        )
        answer = chain.rpc(
            "debug_traceCall", {"to": registry.address, "data": "0x" + data.hex()}, "latest", {"disableStorage": True}
        )
        assert int(answer["returnValue"][-64:], 16) == 1
        calldata = sum(16 if byte else 4 for byte in data)
        return int(answer["gas"]) - 21000 - calldata

    without_siblings = gas(1, 0)
    assert 0 < gas(1024, 1) - without_siblings < 6000


# -- storage, for proofs ---------------------------------------------------------------------------------------------


def test_storage__documented_slots__hold_an_entry_and_the_count(chain: Any, registry: Any, publish: Any) -> None:
    publish()
    second = (b"x" * 32, 9, b"y" * 32, b"z" * 32, 13)
    publish(1, second)
    publisher = bytes.fromhex(chain.accounts[PUBLISHER][2:]).rjust(32, b"\0")
    by_period = keccak(PERIOD + keccak(publisher + registry.artifact.storage["_attestations"].to_bytes(32)))
    for revision, entry in enumerate((ENTRY, second)):
        base = int.from_bytes(keccak(revision.to_bytes(32) + by_period))
        stored = [chain.storage(registry, base + n) for n in range(5)]
        assert stored == [int.from_bytes(field) if isinstance(field, bytes) else field for field in entry]
    counts = keccak(PERIOD + keccak(publisher + registry.artifact.storage["_revisionCounts"].to_bytes(32)))
    assert chain.storage(registry, int.from_bytes(counts)) == 2


def test_code__on_the_chain__is_the_artifacts(chain: Any, registry: Any) -> None:
    code = chain.rpc("eth_getCode", registry.address, "latest")
    assert code == "0x" + registry.artifact.deployed_bytecode.hex()
