"""The log's one writer: appends envelopes to static files in a store, and proves what is in them.

There is no lock and no compare-and-set. An append commits at one point: creating (put-if-absent) the entry bundle of
the next size. Everything else of that size follows from the bundle and the signed state before it, byte for byte
(Ed25519 is deterministic), in this order: hash tiles, ``index/<payload digest>``, ``checkpoints/<size>``, and last the
pointer ``checkpoint``. Whoever comes next completes what a crashed writer left before doing anything else. So there are
never two roots at one size.

Nor is a payload ever entered twice. ``index/<payload digest>`` (the entry's index, in decimal) exists for every entry
up to the newest ``checkpoints/<size>``, because it is written before it, and at most one bundle is ahead of that. A
writer first settles the log at a size, then looks its payload up, and then competes for exactly the next size: an
equal payload was either indexed by then, or takes the place that this writer competes for.

An append reads and writes O(log n) objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from attest.errors import ConflictError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, parse_size
from attest.log.note import ED25519, Note, NoteSignature, VerifierKey, parse_signature_lines, sign_note, verifier_key
from attest.log.proof import LogProof
from attest.log.tiles import (
    TILE_WIDTH,
    Edge,
    Tile,
    TileTree,
    bundle_path,
    format_bundle,
    parse_bundle,
    parse_tile,
    tile_path,
)
from attest.merkle.proof import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from attest.records import digest
from attest.signing.dsse import parse_envelope
from attest.signing.signer import NoteSigner
from attest.store import Store


@dataclass(frozen=True)
class LogEntryReceipt:
    """Where an entry is: its index, and the size of the log that it completed (index + 1)."""

    index: int
    size: int


class LogWriter:
    """The transparency log ``origin`` below ``prefix`` in ``store``, signed by ``signer``.

    Several writers with the same key may work on one store at the same time.
    """

    def __init__(self, store: Store, origin: str, signer: NoteSigner, prefix: str = "log") -> None:
        self.key: VerifierKey = verifier_key(origin, ED25519, signer)
        self._store = store
        self._signer = signer
        self._prefix = prefix

    # -- appending ---------------------------------------------------------------------------------------------------

    def append(self, entry: bytes) -> LogEntryReceipt:
        """Enter a DSSE envelope, unless one with the same payload is in: then that one's place is returned.

        Raises :class:`VerificationError` if ``entry`` is not an envelope, :class:`ConflictError` if the stored log
        contradicts what this log signed.
        """
        payload = digest(parse_envelope(entry, "the new log entry").body)
        while True:
            edge = self._settle()
            found = self._find(payload)
            if found is not None:
                return found
            bundle = format_bundle([*self._last_entries(edge), entry])
            if self._store.create(self._at(bundle_path(edge.size + 1)), bundle):
                self._complete(edge, bundle)
                return LogEntryReceipt(edge.size - 1, edge.size)

    def _settle(self) -> Edge:
        """Complete what other writers left; returns the edge of the log as it then stands."""
        pointed = self._pointed_size()
        size = self._newest_size(pointed)
        edge = self._edge(size)
        if pointed < size:
            self._point(size)
        while (bundle := self._store.get(self._at(bundle_path(edge.size + 1)))) is not None:
            self._complete(edge, bundle)
        return edge

    def _complete(self, edge: Edge, bundle: bytes) -> None:
        """Write all that follows from ``bundle``, the committed next size; ``edge`` moves on to it."""
        before = edge.leaf_hashes
        where = bundle_path(edge.size + 1)
        entries = parse_bundle(bundle, len(before) + 1, where)
        if [leaf_hash(entry) for entry in entries[:-1]] != before:
            raise self._conflict(where, "does not repeat the entries of the bundle before it")
        payload = digest(parse_envelope(entries[-1], f"{where}: the last entry").body)
        tiles = edge.append(leaf_hash(entries[-1]))
        note = sign_note(Checkpoint(self.key.name, edge.size, edge.root).text, self.key.name, self._signer)
        for tile, content in tiles:
            self._fix(tile_path(tile), content)
        self._fix(f"index/{payload}", b"%d\n" % (edge.size - 1))
        self._fix(f"checkpoints/{edge.size}", note.to_bytes())
        self._point(edge.size)

    def _point(self, size: int) -> None:
        """Make ``checkpoint`` the newest head: a slower writer must not leave it at an older one for good."""
        while True:
            self._store.replace(self._at("checkpoint"), self._need(f"checkpoints/{size}"))
            newest = self._newest_size(size)
            if newest == size:
                return
            size = newest

    def _fix(self, path: str, data: bytes) -> None:
        if not self._store.create(self._at(path), data) and self._store.get(self._at(path)) != data:
            raise self._conflict(path, "is not what follows from the entries")

    def _last_entries(self, edge: Edge) -> list[bytes]:
        hashes = edge.leaf_hashes
        if not hashes:
            return []
        path = bundle_path(edge.size)
        entries = parse_bundle(self._need(path), len(hashes), path)
        if [leaf_hash(entry) for entry in entries] != hashes:
            raise self._conflict(path, "does not hold the entries that were signed")
        return entries

    def _find(self, payload: str) -> LogEntryReceipt | None:
        path = f"index/{payload}"
        text = self._store.get(self._at(path))
        if text is None:
            return None
        index = parse_size(text.decode("ascii", "replace").removesuffix("\n"))
        if index is None or digest(parse_envelope(self.entry(index)).body) != payload:
            raise self._conflict(path, "does not lead to the entry with this payload")
        return LogEntryReceipt(index, index + 1)

    # -- reading -----------------------------------------------------------------------------------------------------

    def latest_checkpoint(self) -> SignedCheckpoint | None:
        """The newest head that is complete, or None of an empty log."""
        size = self._newest_size(self._pointed_size())
        return self.checkpoint(size) if size else None

    def checkpoint(self, size: int) -> SignedCheckpoint:
        """The head at ``size``, with the log's signature verified."""
        path = f"checkpoints/{size}"
        signed = open_checkpoint(self._need(path), self.key, path)
        if signed.checkpoint.size != size:
            raise self._conflict(path, f"is the head at size {signed.checkpoint.size}")
        return signed

    def entry(self, index: int) -> bytes:
        """The exact bytes of entry ``index``, as stored."""
        path = bundle_path(index + 1)
        return parse_bundle(self._need(path), index % TILE_WIDTH + 1, path)[-1]

    def prove(self, index: int, size: int) -> list[bytes]:
        """The audit path of entry ``index`` in the log of ``size``, verified against the signed root of that size.

        Raises ``ValueError`` outside the log, :class:`VerificationError` if the stored tiles do not lead to the root.
        """
        tree = self._tree(size)
        path = tree.inclusion_path(index)
        verify_inclusion(tree.leaf_hash(index), index, size, path, self.checkpoint(size).checkpoint.root)
        return path

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The consistency path between two sizes, verified against both signed roots. Raises as :meth:`prove`."""
        path = self._tree(new_size).consistency_path(old_size)
        old_root = self.checkpoint(old_size).checkpoint.root if old_size else EMPTY_ROOT
        verify_consistency(old_size, old_root, new_size, self.checkpoint(new_size).checkpoint.root, path)
        return path

    def proof_file(self, index: int, size: int) -> bytes:
        """The ``.tlog-proof`` of entry ``index`` at ``size``, with every cosignature of that head that is stored."""
        note = self.checkpoint(size).note
        cosigned = Note(note.text, note.signatures + self.cosignatures(size))
        return LogProof(index, tuple(self.prove(index, size)), cosigned.to_bytes()).to_bytes()

    # -- cosignatures ------------------------------------------------------------------------------------------------

    def cosignature(self, size: int, witness: VerifierKey) -> NoteSignature | None:
        """The stored cosignature of ``witness`` over the head at ``size``, or None."""
        return self._read_cosignature(_cosignature_path(size, witness.name, witness.key_id))

    def cosignatures(self, size: int) -> tuple[NoteSignature, ...]:
        """All stored cosignatures over the head at ``size``."""
        paths = [key.removeprefix(self._at("")) for key in self._store.list(self._at(f"cosignatures/{size}"))]
        return tuple(signature for path in paths if (signature := self._read_cosignature(path)) is not None)

    def add_cosignature(self, size: int, signature: NoteSignature) -> NoteSignature:
        """Keep a (verified) cosignature over the head at ``size``; returns the first one kept of this witness."""
        path = _cosignature_path(size, signature.name, signature.key_id)
        if self._store.create(self._at(path), f"{signature.line}\n".encode()):
            return signature
        return self._read_cosignature(path) or signature

    def _read_cosignature(self, path: str) -> NoteSignature | None:
        data = self._store.get(self._at(path))
        return None if data is None else parse_signature_lines(data.decode("utf-8", "replace"), path)[0]

    # -- time stamps -------------------------------------------------------------------------------------------------

    def timestamp(self, size: int, name: str) -> bytes | None:
        """The stored time stamp (RFC 3161 response) of the authority ``name`` over the head at ``size``, or None."""
        return self._store.get(self._at(f"timestamps/{size}/{name}.tsr"))

    def add_timestamp(self, size: int, name: str, data: bytes) -> bytes:
        """Keep a (verified) time stamp over the head at ``size``; returns the first one kept of this authority."""
        created = self._store.create(self._at(f"timestamps/{size}/{name}.tsr"), data)
        return data if created else self.timestamp(size, name) or data

    # -- the store ---------------------------------------------------------------------------------------------------

    def _pointed_size(self) -> int:
        data = self._store.get(self._at("checkpoint"))
        return 0 if data is None else open_checkpoint(data, self.key, "checkpoint").checkpoint.size

    def _newest_size(self, size: int) -> int:
        """The newest of the unbroken ``checkpoints/`` at or after ``size``: gallop, then halve. Usually one read."""
        step = 1
        while self._has_head(size + step):
            size += step
            step *= 2
        while step > 1:
            step //= 2
            if self._has_head(size + step):
                size += step
        return size

    def _has_head(self, size: int) -> bool:
        return self._store.get(self._at(f"checkpoints/{size}")) is not None

    def _edge(self, size: int) -> Edge:
        edge = Edge.read(size, self._read_tile)
        if size and edge.root != self.checkpoint(size).checkpoint.root:
            raise self._conflict(f"checkpoints/{size}", "is not the head over the stored tiles")
        return edge

    def _tree(self, size: int) -> TileTree:
        return TileTree(size, self._read_tile)

    def _read_tile(self, tile: Tile) -> list[bytes]:
        path = tile_path(tile)
        return parse_tile(self._need(path), tile.width, path)

    def _need(self, path: str) -> bytes:
        data = self._store.get(self._at(path))
        if data is None:
            raise self._conflict(path, "is missing")
        return data

    def _at(self, path: str) -> str:
        return f"{self._prefix}/{path}"

    def _conflict(self, path: str, detail: str) -> ConflictError:
        return ConflictError(
            f"{self._store.url}: {self._at(path)} {detail}",
            code="log-conflict",
            reason="The log is append-only; nothing more is signed on top of a log that was changed or lost files.",
            advice="Restore the log's folder from a backup or a mirror; never edit or delete its files.",
        )


def _cosignature_path(size: int, name: str, key_id: bytes) -> str:
    # The key id keeps names apart that differ only in what a store key cannot carry.
    return f"cosignatures/{size}/{re.sub('[^A-Za-z0-9._-]', '_', name)}+{key_id.hex()}"
