"""Reading a log from outside: its newest head, whether it grew from an earlier one, and all its entries.

The log's files come through a ``read`` function (:mod:`attest.static`): a path below the log's root gives the bytes or
None. Nothing that it gives is believed before it leads to a root that the log's own key signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attest.errors import VerificationError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from attest.log.note import VerifierKey
from attest.log.tiles import TILE_WIDTH, Tile, TileTree, bundle_path, parse_bundle, parse_tile, tile_path
from attest.merkle.proof import leaf_hash, root_from_leaf_hashes, verify_consistency

#: Gives a file's bytes by its path below the log's root, None if there is none.
ReadFile = Callable[[str], bytes | None]

CHECKPOINT = "checkpoint"


class LogReader:
    """The log whose own key is ``key``, seen through ``read``; ``where`` names it in errors (a folder, a URL)."""

    def __init__(self, read: ReadFile, key: VerifierKey, where: str) -> None:
        self._read = read
        self._key = key
        self._where = where

    def newest(self) -> SignedCheckpoint:
        """The head that the log serves now. Raises :class:`VerificationError` if there is none, or it is false."""
        return open_checkpoint(self._need(CHECKPOINT), self._key, f"{self._where}/{CHECKPOINT}")

    def check_consistent(self, old: Checkpoint, new: Checkpoint) -> None:
        """Check by the log's hash tiles that ``new`` extends ``old`` (RFC 9162 section 2.1.4), both signed by the log.

        Raises :class:`VerificationError` if it does not (``merkle-root-mismatch``), is smaller, or tiles are missing.
        """
        tree = TileTree(new.size, self._tile)
        path = tree.consistency_path(old.size) if 0 < old.size < new.size else []
        verify_consistency(old.size, old.root, new.size, new.root, path)

    def entries(self, head: Checkpoint) -> Iterator[bytes]:
        """All entries under ``head``, in order; they are given only after they were seen to lead to its root.

        Raises :class:`VerificationError` naming the bundle that is missing or malformed, or the root that differs.
        """
        entries: list[bytes] = []
        for start in range(0, head.size, TILE_WIDTH):
            end = min(start + TILE_WIDTH, head.size)
            entries += self._entries(end)
        root = root_from_leaf_hashes([leaf_hash(entry) for entry in entries])
        if root != head.root:
            raise VerificationError(
                f"{self._where}: its {head.size} entries lead to root {root.hex()}, the log signed {head.root.hex()}",
                code="log-entries-differ",
                reason="The entries shown are not those that the log committed to.",
                advice="Keep both as evidence; fetch the log again, and compare with a mirror or a witness.",
            )
        yield from entries

    def _entries(self, end: int) -> list[bytes]:
        path, width = bundle_path(end), (end - 1) % TILE_WIDTH + 1
        data = self._read(path)
        if data is None and width < TILE_WIDTH:  # a mirror may keep the full bundle only
            path = bundle_path(end - width + TILE_WIDTH)
            return parse_bundle(self._need(path), TILE_WIDTH, f"{self._where}/{path}")[:width]
        return parse_bundle(self._need(path) if data is None else data, width, f"{self._where}/{path}")

    def _tile(self, tile: Tile) -> list[bytes]:
        path = tile_path(tile)
        data = self._read(path)
        if data is None and tile.width < TILE_WIDTH:
            path = tile_path(Tile(tile.level, tile.index, TILE_WIDTH))
            return parse_tile(self._need(path), TILE_WIDTH, f"{self._where}/{path}")[: tile.width]
        return parse_tile(self._need(path) if data is None else data, tile.width, f"{self._where}/{path}")

    def _need(self, path: str) -> bytes:
        data = self._read(path)
        if data is None:
            raise VerificationError(
                f"{self._where}: {path} is missing",
                code="log-file-missing",
                reason="A transparency log is its files; without this one it cannot be checked.",
                advice="Name the log's own folder or address (it holds `checkpoint` and `tile/`), or a mirror of it.",
            )
        return data
