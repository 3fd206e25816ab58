"""The log as static files (C2SP tlog-tiles): paths, contents, and hashes, roots and proofs read from tiles. Pure.

A tile of level L holds up to 256 hashes, each the root of 256^L entries; a bundle holds the entries below a level-0
tile. What is computed from tiles is only as good as the tiles: compare a root, or verify a proof, before trusting it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from attest.errors import VerificationError
from attest.merkle.proof import EMPTY_ROOT, HASH_BYTES, node_hash, root_from_leaf_hashes

TILE_WIDTH = 256
_TILE_HEIGHT = 8
MAX_ENTRY_BYTES = 65_535


@dataclass(frozen=True)
class Tile:
    """A tile's place: level, index within the level, and its number of hashes (256 when full)."""

    level: int
    index: int
    width: int


def tile_path(tile: Tile) -> str:
    """``tile/<L>/<N>[.p/<W>]``."""
    return f"tile/{tile.level}/{_number(tile.index, tile.width)}"


def bundle_path(size: int) -> str:
    """``tile/entries/<N>[.p/<W>]`` of the bundle that ends with the last entry of a log of ``size`` (at least 1)."""
    index, width = divmod(size - 1, TILE_WIDTH)
    return f"tile/entries/{_number(index, width + 1)}"


def _number(index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups) + ("" if width == TILE_WIDTH else f".p/{width}")


# -- contents --------------------------------------------------------------------------------------------------------


def parse_tile(data: bytes, width: int, where: str) -> list[bytes]:
    """A tile's hashes; raises :class:`VerificationError` naming ``where`` if there are not exactly ``width``."""
    if len(data) != width * HASH_BYTES:
        raise _malformed(where, f"has {len(data)} bytes; {width} hashes take {width * HASH_BYTES}")
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """``u16be(len) || entry`` for each entry. Raises ``OverflowError`` for an entry above 65,535 bytes."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int, where: str) -> list[bytes]:
    """A bundle's entries; raises :class:`VerificationError` naming ``where`` if there are not exactly ``width``."""
    entries, start = [], 0
    while start < len(data):
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if end > len(data) or start + 2 > len(data):
            raise _malformed(where, "ends within an entry")
        entries.append(data[start + 2 : end])
        start = end
    if len(entries) != width:
        raise _malformed(where, f"has {len(entries)} entries, not {width}")
    return entries


# -- growing ---------------------------------------------------------------------------------------------------------


class Edge:
    """The right edge of a log: per level, the hashes of the tile that is not yet full. All that appending needs."""

    def __init__(self, size: int, levels: list[list[bytes]]) -> None:
        self.size = size
        self._levels = levels

    @classmethod
    def read(cls, size: int, read: Callable[[Tile], list[bytes]]) -> Edge:
        """The edge of a log of ``size``, from its partial tiles: at most one a level."""
        return cls(size, [read(tile) if tile.width else [] for tile in _edge_tiles(size)])

    @property
    def root(self) -> bytes:
        """The root of the whole log."""
        subtrees = []
        for hashes in self._levels:
            end = len(hashes)
            while end:
                width = end & -end  # the smallest perfect subtree stands rightmost
                subtrees.append(root_from_leaf_hashes(hashes[end - width : end]))
                end -= width
        return _fold(subtrees)

    @property
    def leaf_hashes(self) -> list[bytes]:
        """The hashes of the level-0 tile that is not yet full."""
        return list(self._levels[0]) if self._levels else []

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add one leaf hash; returns the tiles that the log has gained by it, with their contents."""
        self.size += 1
        gained, node, level = [], leaf, 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            hashes = self._levels[level]
            hashes.append(node)
            index = ((self.size >> (_TILE_HEIGHT * level)) - 1) // TILE_WIDTH
            gained.append((Tile(level, index, len(hashes)), b"".join(hashes)))
            if len(hashes) < TILE_WIDTH:
                return gained
            node = root_from_leaf_hashes(hashes)
            self._levels[level] = []
            level += 1


def _edge_tiles(size: int) -> list[Tile]:
    tiles, level = [], 0
    while (count := size >> (_TILE_HEIGHT * level)) > 0:
        tiles.append(Tile(level, count // TILE_WIDTH, count % TILE_WIDTH))
        level += 1
    return tiles


# -- proving ---------------------------------------------------------------------------------------------------------


class TileTree:
    """A log of ``size`` entries seen through its tiles; ``read`` gives a tile's hashes and is called once for each."""

    def __init__(self, size: int, read: Callable[[Tile], list[bytes]]) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[Tile, list[bytes]] = {}

    @property
    def root(self) -> bytes:
        """The root, computed from the tiles at the right edge."""
        return self._range(0, self.size)

    def leaf_hash(self, index: int) -> bytes:
        """The leaf hash of entry ``index``, which is in the log."""
        return self._perfect(index, 1)

    def inclusion_path(self, index: int) -> list[bytes]:
        """The audit path of entry ``index`` (RFC 9162 section 2.1.3.1). Raises ``ValueError`` outside the log."""
        if not 0 <= index < self.size:
            raise ValueError(f"entry {index} of {self.size}")
        start, end, path = 0, self.size, []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency_path(self, old_size: int) -> list[bytes]:
        """The path from the first ``old_size`` entries (RFC 9162 section 2.1.4.1). ``ValueError`` outside the log."""
        if not 0 <= old_size <= self.size:
            raise ValueError(f"old size {old_size} of {self.size}")
        if old_size in (0, self.size):
            return []
        start, end, path = 0, self.size, []
        while old_size < end:
            middle = start + _split(end - start)
            if old_size <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        if start:  # else the old tree is one perfect subtree, whose root the verifier has
            path.append(self._range(start, end))
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The root of entries start..end, which begin at a multiple of their largest perfect subtree."""
        subtrees = []
        while start < end:
            width = (end - start) & -(end - start)
            subtrees.append(self._perfect(end - width, width))
            end -= width
        return _fold(subtrees)

    def _perfect(self, start: int, width: int) -> bytes:
        level, rest = divmod(width.bit_length() - 1, _TILE_HEIGHT)
        first = start >> (_TILE_HEIGHT * level)
        index, offset = divmod(first, TILE_WIDTH)
        available = (self.size >> (_TILE_HEIGHT * level)) - index * TILE_WIDTH
        tile = Tile(level, index, min(available, TILE_WIDTH))
        if tile not in self._tiles:
            self._tiles[tile] = self._read(tile)
        return root_from_leaf_hashes(self._tiles[tile][offset : offset + (1 << rest)])


def _fold(subtrees: list[bytes]) -> bytes:
    """The root over perfect subtrees that are listed from right to left, in the order of RFC 9162's splits."""
    return reduce(lambda right, left: node_hash(left, right), subtrees) if subtrees else EMPTY_ROOT


def _split(width: int) -> int:
    """The largest power of two below ``width``."""
    return int(1 << ((width - 1).bit_length() - 1))


def _malformed(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="malformed-tile",
        reason="A tile or entry bundle has exactly one form for each size of the log.",
        advice="Fetch the file again; if it is unchanged, tell the log's operator.",
    )
