"""Tiles: paths and contents to the letter of C2SP tlog-tiles; roots and proofs against the trees of pymerkle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.errors import VerificationError
from attest.log.tiles import (
    Edge,
    Tile,
    TileTree,
    bundle_path,
    format_bundle,
    parse_bundle,
    parse_tile,
    tile_path,
)
from attest.merkle.proof import EMPTY_ROOT, leaf_hash, root_from_leaf_hashes, verify_inclusion
from attest.merkle.tree import MerkleTree

SIZE = 70_000
LEAVES = [b"entry %d" % n for n in range(SIZE)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


@pytest.fixture(scope="module")
def tiles() -> dict[str, bytes]:
    """Every tile of the log of 70,000 entries that has ever been, by appending one entry at a time."""
    edge, files = Edge(0, []), {}
    for leaf in HASHES:
        for tile, content in edge.append(leaf):
            assert tile_path(tile) not in files
            files[tile_path(tile)] = content
    assert edge.size == SIZE
    return files


def tree_of(tiles: dict[str, bytes], size: int) -> TileTree:
    return TileTree(size, lambda tile: parse_tile(tiles[tile_path(tile)], tile.width, tile_path(tile)))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),
        (Tile(0, 999, 256), "tile/0/999"),
        (Tile(1, 1000, 256), "tile/1/x001/000"),
        (Tile(2, 0, 1), "tile/2/000.p/1"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(63, 1_000_000, 255), "tile/63/x001/x000/000.p/255"),
    ],
)
def test_tile_path__specified_examples__are_met(tile: Tile, path: str) -> None:
    assert tile_path(tile) == path


@pytest.mark.parametrize(
    ("size", "path"),
    [
        (1, "tile/entries/000.p/1"),
        (255, "tile/entries/000.p/255"),
        (256, "tile/entries/000"),
        (257, "tile/entries/001.p/1"),
        (256_000, "tile/entries/999"),
        (256_001, "tile/entries/x001/000.p/1"),
    ],
)
def test_bundle_path__each_size__has_its_own(size: int, path: str) -> None:
    assert bundle_path(size) == path


def test_bundle_path__no_two_sizes_share_one() -> None:
    assert len({bundle_path(size) for size in range(1, 3000)}) == 2999


def test_tiles__of_seventy_thousand_entries__are_the_specified_ones(tiles: dict[str, bytes]) -> None:
    """The worked example in C2SP tlog-tiles."""
    assert sum(path.startswith("tile/0/") and ".p/" not in path for path in tiles) == 273
    assert [path for path in tiles if path.startswith("tile/1/") and ".p/" not in path] == ["tile/1/000"]
    assert {"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"} <= set(tiles)
    assert "tile/2/000.p/2" not in tiles
    assert tiles["tile/0/273.p/112"] == b"".join(HASHES[273 * 256 :])
    assert tiles["tile/1/001.p/17"][-32:] == root_from_leaf_hashes(HASHES[272 * 256 : 273 * 256])
    assert tiles["tile/2/000.p/1"] == root_from_leaf_hashes(HASHES[: 256 * 256])


def test_tiles__of_256_entries__are_a_full_one_and_one_hash_above(tiles: dict[str, bytes]) -> None:
    edge = Edge(0, [])
    for leaf in HASHES[:255]:
        gained = edge.append(leaf)
        assert [tile.level for tile, _ in gained] == [0]
    assert [tile for tile, _ in edge.append(HASHES[255])] == [Tile(0, 0, 256), Tile(1, 0, 1)]


@pytest.mark.no_cover
@settings(max_examples=60, deadline=None)
@given(size=st.one_of(st.integers(1, 1200), st.integers(65_000, SIZE)), data=st.data())
def test_tile_tree__any_size__proves_as_the_reference_does(
    tiles: dict[str, bytes], size: int, data: st.DataObject
) -> None:
    tree, root = tree_of(tiles, size), root_from_leaf_hashes(HASHES[:size])
    assert tree.root == root
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    verify_inclusion(HASHES[index], index, size, tree.inclusion_path(index), root)
    assert tree.leaf_hash(index) == HASHES[index]
    if size <= 1200:
        reference = MerkleTree(LEAVES[:size])
        assert tree.inclusion_path(index) == reference.inclusion_path(index)
        assert tree.consistency_path(old) == reference.consistency_path(old)


@pytest.mark.no_cover
@settings(max_examples=40, deadline=None)
@given(size=st.one_of(st.integers(0, 1200), st.integers(65_000, SIZE - 1)))
def test_edge__read_from_tiles__goes_on_as_if_it_had_grown(tiles: dict[str, bytes], size: int) -> None:
    read: list[Tile] = []

    def reader(tile: Tile) -> list[bytes]:
        read.append(tile)
        return parse_tile(tiles[tile_path(tile)], tile.width, tile_path(tile))

    edge = Edge.read(size, reader)
    assert len(read) <= 3
    assert edge.root == root_from_leaf_hashes(HASHES[:size])
    assert edge.leaf_hashes == HASHES[size - size % 256 : size]
    for tile, content in edge.append(HASHES[size]):
        assert tiles[tile_path(tile)] == content
    assert edge.root == root_from_leaf_hashes(HASHES[: size + 1])


def test_tile_tree__proofs_in_a_large_log__read_few_tiles(tiles: dict[str, bytes]) -> None:
    for index in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        read: list[Tile] = []

        def reader(tile: Tile, read: list[Tile] = read) -> list[bytes]:
            read.append(tile)
            return parse_tile(tiles[tile_path(tile)], tile.width, "tile")

        TileTree(SIZE, reader).inclusion_path(index)
        assert len(read) == len(set(read)) <= 5


def test_tile_tree__empty_log() -> None:
    def never(tile: Tile) -> list[bytes]:
        raise AssertionError(tile)

    assert TileTree(0, never).root == EMPTY_ROOT == Edge(0, []).root
    assert TileTree(0, never).consistency_path(0) == []


def test_tile_tree__index_or_size_outside__is_a_programming_error(tiles: dict[str, bytes]) -> None:
    tree = tree_of(tiles, 3)
    for call in (lambda: tree.inclusion_path(3), lambda: tree.inclusion_path(-1), lambda: tree.consistency_path(4)):
        with pytest.raises(ValueError, match="of 3"):
            call()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundle__any_entries__round_trip(entries: list[bytes]) -> None:
    assert parse_bundle(format_bundle(entries), len(entries), "bundle") == entries


def test_bundle__entry_at_the_limit_of_its_length_field() -> None:
    largest = bytes(65_535)
    assert parse_bundle(format_bundle([largest]), 1, "bundle") == [largest]
    with pytest.raises(OverflowError):
        format_bundle([largest + b"x"])


@pytest.mark.parametrize(
    ("data", "width"),
    [(b"\x00", 1), (b"\x00\x02a", 1), (b"\x00\x01ab", 1), (b"\x00\x01a", 2), (b"\x00\x01a\x00", 1), (b"", 1)],
)
def test_bundle__cut_or_of_another_width__is_refused(data: bytes, width: int) -> None:
    with pytest.raises(VerificationError, match="tile/entries/000: ") as caught:
        parse_bundle(data, width, "tile/entries/000")
    assert caught.value.code == "malformed-tile"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_tile__of_another_length__is_refused(length: int) -> None:
    with pytest.raises(VerificationError, match="1 hashes take 32"):
        parse_tile(bytes(length), 1, "tile/0/000.p/1")
