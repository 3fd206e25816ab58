"""A log read from outside: heads, growth and entries, through nothing but its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from attest.errors import VerificationError
from attest.log.note import ED25519, verifier_key
from attest.log.reader import LogReader
from attest.log.tiles import Tile, bundle_path, tile_path
from attest.log.writer import LogWriter
from attest.signing.ed25519 import Ed25519Signer

ORIGIN = "log.example/reserves"
Signers = Callable[[int], Ed25519Signer]
Envelopes = Callable[..., bytes]


@pytest.fixture
def store(memory_store: Any) -> Any:
    return memory_store()


@pytest.fixture
def grown(store: Any, note_signer: Signers, envelope: Envelopes) -> tuple[LogWriter, list[bytes]]:
    """A log of 300 entries: one full bundle, one partial."""
    log = LogWriter(store, ORIGIN, note_signer(1))
    entries = [envelope(number) for number in range(300)]
    for entry in entries:
        log.append(entry)
    return log, entries


@pytest.fixture
def reader(store: Any, note_signer: Signers) -> LogReader:
    return LogReader(
        lambda path: store.get(f"log/{path}"), verifier_key(ORIGIN, ED25519, note_signer(1)), "https://log.example/log"
    )


def test_entries__of_every_head__are_those_appended(grown: tuple[LogWriter, list[bytes]], reader: LogReader) -> None:
    log, entries = grown
    for size in (1, 2, 255, 256, 257, 300):
        assert list(reader.entries(log.checkpoint(size).checkpoint)) == entries[:size]
    assert reader.newest().checkpoint.size == 300


def test_entries__mirror_without_partial_files__reads_the_full_ones(
    grown: tuple[LogWriter, list[bytes]], reader: LogReader, store: Any
) -> None:
    log, entries = grown
    del store.objects[f"log/{bundle_path(17)}"]
    del store.objects[f"log/{tile_path(Tile(0, 0, 200))}"]

    assert list(reader.entries(log.checkpoint(17).checkpoint)) == entries[:17]
    reader.check_consistent(log.checkpoint(17).checkpoint, log.checkpoint(200).checkpoint)


def test_entries__one_changed__refused(
    grown: tuple[LogWriter, list[bytes]], reader: LogReader, store: Any, envelope: Envelopes
) -> None:
    log, _ = grown
    path = f"log/{bundle_path(300)}"
    store.objects[path] = store.objects[path].replace(b"A", b"B", 1)

    with pytest.raises(VerificationError, match="300 entries lead to root"):
        list(reader.entries(log.checkpoint(300).checkpoint))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 300), (255, 256), (256, 300), (299, 300)])
def test_check_consistent__a_log_that_grew__holds(
    grown: tuple[LogWriter, list[bytes]], reader: LogReader, sizes: tuple[int, int]
) -> None:
    old, new = (grown[0].checkpoint(size).checkpoint for size in sizes)
    reader.check_consistent(old, new)


def test_check_consistent__another_history_or_a_smaller_log__refused(
    grown: tuple[LogWriter, list[bytes]], reader: LogReader
) -> None:
    log, _ = grown
    old, new = log.checkpoint(100).checkpoint, log.checkpoint(300).checkpoint
    for forged in (replace(old, root=bytes(32)), replace(old, size=99), replace(old, size=300, root=bytes(32))):
        with pytest.raises(VerificationError):
            reader.check_consistent(forged, new)
    with pytest.raises(VerificationError):
        reader.check_consistent(new, old)


def test_reader__a_file_is_missing__names_it(
    grown: tuple[LogWriter, list[bytes]], reader: LogReader, store: Any
) -> None:
    del store.objects["log/tile/entries/000"]
    with pytest.raises(VerificationError, match=r"log\.example/log: tile/entries/000 is missing"):
        list(reader.entries(grown[0].checkpoint(300).checkpoint))
    del store.objects["log/checkpoint"]
    with pytest.raises(VerificationError, match="checkpoint is missing"):
        reader.newest()
