"""The log's writer: crashes at every store operation, writers at the same time, tampered files, and its cost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.errors import AttestError, ConflictError, VerificationError
from attest.log.checkpoint import Checkpoint, open_checkpoint
from attest.log.note import COSIGNATURE_V1, cosign, sign_note, verifier_key
from attest.log.proof import verify_log_proof
from attest.log.tiles import Edge, bundle_path, format_bundle, parse_bundle, tile_path
from attest.log.writer import LogEntryReceipt, LogWriter
from attest.merkle.proof import leaf_hash, verify_consistency, verify_inclusion
from attest.merkle.tree import MerkleTree
from attest.signing.dsse import parse_envelope
from attest.signing.ed25519 import Ed25519Signer

Signers = Callable[[int], Ed25519Signer]
Envelopes = Callable[..., bytes]

ORIGIN = "log.example/reserves"


class Crash(Exception):  # noqa: N818 - stands for a killed process, not for an error
    """The process was killed here."""


@pytest.fixture
def store(memory_store: Any) -> Any:
    return memory_store()


@pytest.fixture
def log(store: Any, note_signer: Signers) -> LogWriter:
    return LogWriter(store, ORIGIN, note_signer(1))


def check_whole(store: Any, log: LogWriter) -> list[bytes]:
    """Check everything that is public against the entries alone; returns the entries."""
    newest = log.latest_checkpoint()
    size = 0 if newest is None else newest.checkpoint.size
    assert store.get("log/checkpoint") == store.get(f"log/checkpoints/{size}")
    assert set(store.list("log/checkpoints")) == {f"log/checkpoints/{n}" for n in range(1, size + 1)}
    entries = [log.entry(index) for index in range(size)]
    payloads = [parse_envelope(entry).body for entry in entries]
    assert len(set(payloads)) == len(payloads)
    expected: dict[str, bytes] = {}
    edge = Edge(0, [])
    for n in range(1, size + 1):
        expected |= {f"log/{tile_path(tile)}": content for tile, content in edge.append(leaf_hash(entries[n - 1]))}
        expected[f"log/{bundle_path(n)}"] = format_bundle(entries[(n - 1) // 256 * 256 : n])
        root = MerkleTree(entries[:n]).root
        assert log.checkpoint(n).checkpoint == Checkpoint(ORIGIN, n, root)
    assert {key: store.get(key) for key in store.list("log/tile")} == expected
    assert len(store.list("log/index")) == size
    return entries


def fill(store: Any, signer: Ed25519Signer, entries: list[bytes]) -> None:
    """Lay down a log of ``entries`` at once: what an append may read of it, not every partial file of its past."""
    edge = Edge(0, [])
    tiles: dict[str, bytes] = {}
    for entry in entries:
        for tile, content in edge.append(leaf_hash(entry)):
            if tile.width == 256 or tile.level or edge.size == len(entries):
                tiles[f"log/{tile_path(tile)}"] = content
    size = len(entries)
    note = sign_note(Checkpoint(ORIGIN, size, edge.root).text, ORIGIN, signer).to_bytes()
    first = (size - 1) // 256 * 256
    store.objects |= tiles
    store.objects[f"log/{bundle_path(size)}"] = format_bundle(entries[first:])
    store.objects[f"log/checkpoints/{size}"] = store.objects["log/checkpoint"] = note


# -- appending -------------------------------------------------------------------------------------------------------


def test_append__first_entries__are_numbered_and_proven(store: Any, log: LogWriter, envelope: Envelopes) -> None:
    assert log.latest_checkpoint() is None
    receipts = [log.append(envelope(n)) for n in range(7)]
    assert receipts == [LogEntryReceipt(n, n + 1) for n in range(7)]
    assert check_whole(store, log) == [envelope(n) for n in range(7)]
    for size in range(1, 8):
        root = log.checkpoint(size).checkpoint.root
        for index in range(size):
            verify_inclusion(leaf_hash(envelope(index)), index, size, log.prove(index, size), root)
            assert verify_log_proof(log.proof_file(index, size), envelope(index), log.key).index == index
        for old in range(size + 1):
            old_root = log.checkpoint(old).checkpoint.root if old else MerkleTree([]).root
            verify_consistency(old, old_root, size, root, log.consistency(old, size))


def test_append__past_the_first_tile__goes_on(store: Any, log: LogWriter, envelope: Envelopes) -> None:
    for n in range(259):
        log.append(envelope(n))
    assert store.get("log/tile/1/000.p/1") == MerkleTree([envelope(n) for n in range(256)]).root
    verify_consistency(
        255,
        log.checkpoint(255).checkpoint.root,
        258,
        log.checkpoint(258).checkpoint.root,
        log.consistency(255, 258),
    )
    verify_log_proof(log.proof_file(3, 259), envelope(3), log.key)
    assert len(parse_bundle(store.get("log/tile/entries/001.p/3"), 3, "bundle")) == 3


def test_append__same_payload_again__returns_the_first_place(store: Any, log: LogWriter, envelope: Envelopes) -> None:
    """Also with other signatures: the envelope differs, the statement does not."""
    first = log.append(envelope(0))
    log.append(envelope(1))
    before = dict(store.objects)
    assert log.append(envelope(0)) == first
    assert log.append(envelope(0, signature=b"another")) == first
    assert store.objects == before


def test_append__not_an_envelope__is_refused_and_nothing_is_written(store: Any, log: LogWriter) -> None:
    for entry in (b"", b"{}", b"x" * 70_000):
        with pytest.raises(VerificationError, match="the new log entry"):
            log.append(entry)
    assert store.objects == {}


def test_append__two_logs_under_two_prefixes__do_not_meet(
    store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    one = LogWriter(store, "one.example", note_signer(1), prefix="one")
    two = LogWriter(store, "two.example", note_signer(2), prefix="a/two")
    assert one.append(envelope(1)) == two.append(envelope(1)) == LogEntryReceipt(0, 1)
    assert {key.split("/")[0] for key in store.objects} == {"one", "a"}


# -- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover  # the same lines again at each operation
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("size", [0, 1, 5, 254, 255, 256, 511])
def test_crash__at_every_store_operation__the_next_writer_completes(
    size: int, moment: str, memory_store: Any, watched_store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    """Whatever the next writer brings (the same payload or another), each payload is in once, with one root a size."""
    base = memory_store()
    whole = LogWriter(base, ORIGIN, note_signer(1))
    for n in range(size):
        whole.append(envelope(n))
    operations = 0
    while True:
        store = memory_store()
        store.objects = dict(base.objects)
        done = 0

        def step(operation: str, key: str, allowed: int = operations) -> None:
            nonlocal done
            done += 1
            if done > allowed:
                raise Crash

        crashing = LogWriter(watched_store(store, **{moment: step}), ORIGIN, note_signer(1))
        try:
            crashing.append(envelope(9_000))
        except Crash:
            finished = False
        else:
            finished = True
        heads = {key: data for key, data in store.objects.items() if key.startswith("log/checkpoints/")}

        for bring in (9_000, 9_001):
            after = memory_store()
            after.objects = dict(store.objects)
            second = LogWriter(after, ORIGIN, note_signer(1))
            receipt = second.append(envelope(bring))
            assert second.entry(receipt.index) == envelope(bring)
            assert second.append(envelope(9_000)).index in (size, size + 1)
            entries = check_whole_end(after, second, size)
            assert [parse_envelope(entry).body for entry in entries].count(b"payload 9000") == 1
            for key, data in heads.items():
                assert after.objects[key] == data
        if finished:
            assert operations >= 8
            return
        operations += 1


def check_whole_end(store: Any, log: LogWriter, size: int) -> list[bytes]:
    """As check_whole; for a log that was long before, only heads and entries after ``size``, to save time."""
    if size < 10:
        return check_whole(store, log)
    newest = log.latest_checkpoint()
    assert newest is not None
    count = newest.checkpoint.size
    entries = [log.entry(index) for index in range(count)]
    hashes = {n: MerkleTree(entries[:n]).root for n in range(size, count + 1)}
    for n, root in hashes.items():
        assert log.checkpoint(n).checkpoint.root == root
        log.prove(n - 1, n)
        log.consistency(n - 1, n)
    assert store.get("log/checkpoint") == store.get(f"log/checkpoints/{count}")
    assert f"log/{bundle_path(count + 1)}" not in store.objects
    assert len({parse_envelope(entry).body for entry in entries}) == count == len(store.list("log/index"))
    return entries


# -- writers at the same time ----------------------------------------------------------------------------------------


@pytest.mark.no_cover  # as above
@pytest.mark.parametrize("same", [True, False], ids=["same payload", "another payload"])
@pytest.mark.parametrize("others", [1, 2])
@pytest.mark.parametrize("size", [0, 3, 255])
def test_two_writers__one_overtaken_at_every_operation__both_entries_are_in_once(
    size: int, others: int, same: bool, memory_store: Any, watched_store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    """The first writer is stopped before its nth operation, for every n, while others append."""
    base = memory_store()
    for n in range(size):
        LogWriter(base, ORIGIN, note_signer(1)).append(envelope(n))
    stop = 0
    while True:
        store = memory_store()
        store.objects = dict(base.objects)
        done = 0

        def overtake(operation: str, key: str, store: Any = store, stop: int = stop) -> None:
            nonlocal done
            done += 1
            if done == stop + 1:
                for k in range(others):
                    LogWriter(store, ORIGIN, note_signer(1)).append(envelope(9_000 + k if same else 9_100 + k))

        log = LogWriter(watched_store(store, before=overtake), ORIGIN, note_signer(1))
        receipt = log.append(envelope(9_000))
        assert log.entry(receipt.index) == envelope(9_000)
        entries = check_whole_end(store, LogWriter(store, ORIGIN, note_signer(1)), size)
        assert entries.count(envelope(9_000)) == 1
        if done <= stop:
            assert stop >= 8
            return
        assert len(entries) == size + others + (not same)
        stop += 1


class Turns:
    """Lets threads run one store operation at a time, in the order of a drawn schedule."""

    def __init__(self, schedule: list[int], count: int) -> None:
        self.schedule = schedule
        self.waiting = [threading.Semaphore(0) for _ in range(count)]
        self.alive = set(range(count))
        self.position = 0

    def start(self) -> None:
        self._next()

    def _next(self) -> None:
        if not self.alive:
            return
        wanted = self.schedule[self.position % len(self.schedule)] if self.schedule else 0
        self.position += 1
        alive = sorted(self.alive)
        self.waiting[alive[wanted % len(alive)]].release()

    def take(self, number: int) -> None:
        assert self.waiting[number].acquire(timeout=30)

    def give(self) -> None:
        self._next()

    def leave(self, number: int) -> None:
        self.alive.discard(number)
        self._next()


@settings(max_examples=80, deadline=None)
@given(
    schedule=st.lists(st.integers(0, 2), min_size=1, max_size=120),
    payloads=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=2, max_size=3),
)
def test_writers__in_any_interleaving__each_payload_is_in_once(
    memory_store: Any,
    watched_store: Any,
    note_signer: Signers,
    envelope: Envelopes,
    schedule: list[int],
    payloads: list[list[int]],
) -> None:
    store = memory_store()
    turns = Turns(schedule, len(payloads))
    failures: list[BaseException] = []
    receipts: list[tuple[int, LogEntryReceipt]] = []

    def write(number: int) -> None:
        watched = watched_store(
            store, before=lambda operation, key: turns.take(number), after=lambda operation, key: turns.give()
        )
        try:
            log = LogWriter(watched, ORIGIN, note_signer(1))
            for payload in payloads[number]:
                receipts.append((payload, log.append(envelope(payload, signature=b"writer %d" % number))))
        except BaseException as fault:
            failures.append(fault)
        finally:
            turns.take(number)
            turns.leave(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(payloads))]
    for thread in threads:
        thread.start()
    turns.start()
    for thread in threads:
        thread.join()
    assert failures == []
    log = LogWriter(store, ORIGIN, note_signer(1))
    entries = check_whole(store, log)
    wanted = {payload for written in payloads for payload in written}
    assert len(entries) == len(wanted)
    for payload, receipt in receipts:
        assert parse_envelope(log.entry(receipt.index)).body == b"payload %d" % payload


def test_slow_writer__leaves_an_old_checkpoint__and_mends_it(
    store: Any, watched_store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    """Stopped just before it moves the pointer, and let go five entries later."""
    others = LogWriter(store, ORIGIN, note_signer(1))
    once = iter([True])

    def overtake(operation: str, key: str) -> None:
        if operation == "replace" and next(once, False):
            for n in range(1, 6):
                others.append(envelope(n))

    LogWriter(watched_store(store, before=overtake), ORIGIN, note_signer(1)).append(envelope(0))
    assert open_checkpoint(store.get("log/checkpoint"), others.key).checkpoint.size == 6


def test_old_checkpoint__however_far_behind__is_found_and_mended(
    store: Any, log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    for n in range(40):
        log.append(envelope(n))
    newest = store.get("log/checkpoint")
    for behind in (1, 2, 3, 7, 20, 38, 39):
        store.objects["log/checkpoint"] = store.get(f"log/checkpoints/{40 - behind}")
        head = log.latest_checkpoint()
        assert head is not None
        assert head.checkpoint.size == 40
        log.append(envelope(0))
        assert store.get("log/checkpoint") == newest
    del store.objects["log/checkpoint"]
    assert log.append(envelope(39)) == LogEntryReceipt(39, 40)
    assert store.get("log/checkpoint") == newest


# -- tampering -------------------------------------------------------------------------------------------------------


def change(data: bytes) -> bytes:
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]


@pytest.mark.parametrize("damage", [change, lambda data: data[:-1], lambda data: None], ids=["bit", "cut", "gone"])
@pytest.mark.parametrize(
    "key", ["checkpoint", "checkpoints/5", "tile/0/000.p/5", "tile/entries/000.p/5"], ids=lambda key: key.split("/")[0]
)
def test_append__what_it_builds_on_was_changed__signs_nothing_more(
    store: Any, log: LogWriter, envelope: Envelopes, key: str, damage: Callable[[bytes], bytes | None]
) -> None:
    for n in range(5):
        log.append(envelope(n))
    damaged = damage(store.objects.pop(f"log/{key}"))
    if damaged is not None:
        store.objects[f"log/{key}"] = damaged
    if key == "checkpoint" and damaged is None:
        log.append(envelope(5))  # only a pointer: the heads themselves are there
        check_whole(store, log)
        return
    if key == "checkpoints/5" and damaged is not None:
        store.objects["log/checkpoint"] = damaged  # the two are one file at that size
    with pytest.raises(AttestError) as caught:
        log.append(envelope(5))
    assert caught.value.exit_code in (6, 7)
    assert caught.value.advice
    assert "log/checkpoints/6" not in store.objects
    assert f"log/{bundle_path(6)}" not in store.objects


def test_append__left_over_of_a_crash_rewrites_an_entry__is_refused(
    store: Any, log: LogWriter, envelope: Envelopes
) -> None:
    for n in range(3):
        log.append(envelope(n))
    store.objects["log/tile/entries/000.p/4"] = format_bundle([envelope(n) for n in (0, 7, 2, 3)])
    with pytest.raises(ConflictError, match="does not repeat the entries"):
        log.append(envelope(3))
    assert "log/checkpoints/4" not in store.objects


def test_append__another_head_is_stored_at_the_next_size__is_refused(
    store: Any, log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    """A head that the entries do not lead to, even signed by the log's own key."""
    for n in range(3):
        log.append(envelope(n))
    forged = sign_note(Checkpoint(ORIGIN, 4, bytes(32)).text, ORIGIN, note_signer(1))
    store.objects["log/checkpoints/4"] = forged.to_bytes()
    with pytest.raises(ConflictError, match=r"tile/0/000\.p/4 is missing"):
        log.append(envelope(3))
    store.objects["log/tile/0/000.p/4"] = store.objects["log/tile/0/000.p/3"] + bytes(32)
    with pytest.raises(ConflictError, match="is not the head over the stored tiles"):
        log.append(envelope(3))


def test_append__another_tile_is_stored_at_the_next_size__is_refused(
    store: Any, log: LogWriter, envelope: Envelopes
) -> None:
    log.append(envelope(0))
    store.objects["log/tile/0/000.p/2"] = bytes(64)
    with pytest.raises(ConflictError, match=r"tile/0/000\.p/2 is not what follows from the entries"):
        log.append(envelope(1))


@pytest.mark.parametrize("content", [b"1\n", b"x\n", b"", b"-1\n"])
def test_append__index_leads_elsewhere__is_refused(
    store: Any, log: LogWriter, envelope: Envelopes, content: bytes
) -> None:
    log.append(envelope(0))
    log.append(envelope(1))
    key = next(key for key in store.list("log/index") if store.get(key) == b"0\n")
    store.objects[key] = content
    with pytest.raises(ConflictError, match="does not lead to the entry with this payload"):
        log.append(envelope(0))


def test_append__log_of_another_key_or_origin__is_refused(
    store: Any, log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    log.append(envelope(0))
    with pytest.raises(VerificationError, match="is not signed by"):
        LogWriter(store, ORIGIN, note_signer(2)).append(envelope(1))
    with pytest.raises(VerificationError, match="is of the log"):
        LogWriter(store, "other.example", note_signer(1)).append(envelope(1))


def test_prove__tile_was_changed__is_refused_by_the_signed_root(
    store: Any, log: LogWriter, envelope: Envelopes
) -> None:
    for n in range(5):
        log.append(envelope(n))
    store.objects["log/tile/0/000.p/5"] = change(store.objects["log/tile/0/000.p/5"])
    with pytest.raises(VerificationError):
        log.prove(0, 5)
    with pytest.raises(VerificationError):
        log.consistency(3, 5)
    log.prove(0, 4)


def test_checkpoint__stored_under_another_size__is_refused(store: Any, log: LogWriter, envelope: Envelopes) -> None:
    log.append(envelope(0))
    log.append(envelope(1))
    store.objects["log/checkpoints/2"] = store.objects["log/checkpoints/1"]
    with pytest.raises(ConflictError, match="checkpoints/2 is the head at size 1"):
        log.checkpoint(2)


def test_prove__outside_the_log__is_refused(log: LogWriter, envelope: Envelopes) -> None:
    log.append(envelope(0))
    with pytest.raises(ValueError, match="entry 1 of 1"):
        log.prove(1, 1)
    with pytest.raises(ConflictError, match="is missing"):
        log.prove(1, 2)


# -- cosignatures ----------------------------------------------------------------------------------------------------


def test_cosignatures__arriving_later__are_in_the_proof_file(
    store: Any, log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    log.append(envelope(0))
    log.append(envelope(1))
    text = log.checkpoint(2).note.text
    keys = [verifier_key(f"witness.example/w{n}", COSIGNATURE_V1, note_signer(n)) for n in (2, 3)]
    assert log.cosignature(2, keys[0]) is None
    for n, key in zip((2, 3), keys, strict=True):
        line = cosign(text, key.name, note_signer(n), n)
        assert log.add_cosignature(2, line) == line
        assert log.cosignature(2, key) == line
    assert store.list("log/cosignatures/2")[0].startswith("log/cosignatures/2/witness.example_w")
    logged = verify_log_proof(log.proof_file(0, 2), envelope(0), log.key, keys)
    assert {cosignature.witness for cosignature in logged.cosignatures} == {"witness.example/w2", "witness.example/w3"}
    assert verify_log_proof(log.proof_file(0, 1), envelope(0), log.key, keys).cosignatures == ()


def test_cosignature__second_of_one_witness__does_not_replace_the_first(
    log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    log.append(envelope(0))
    text = log.checkpoint(1).note.text
    first, second = (cosign(text, "w", note_signer(2), time) for time in (5, 6))
    assert log.add_cosignature(1, first) == first
    assert log.add_cosignature(1, second) == first
    assert log.cosignatures(1) == (first,)


def test_cosignatures__names_that_a_key_cannot_carry__are_kept_apart(
    store: Any, log: LogWriter, note_signer: Signers, envelope: Envelopes
) -> None:
    log.append(envelope(0))
    text = log.checkpoint(1).note.text
    for name in ("a/b", "a_b", "../b", "é"):
        log.add_cosignature(1, cosign(text, name, note_signer(2), 5))
    assert {line.name for line in log.cosignatures(1)} == {"a/b", "a_b", "../b", "é"}


# -- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover  # as above
@pytest.mark.parametrize("size", [99_999, 100_000, 65_535, 65_536])
def test_append__to_a_hundred_thousand_entries__touches_few_objects(
    size: int, store: Any, watched_store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    entries = [b"%d" % n for n in range(size // 256 * 256)] + [envelope(n) for n in range(size % 256)]
    fill(store, note_signer(1), entries)
    seen: Counter[str] = Counter()
    watched = watched_store(store, before=lambda operation, key: seen.update([operation]))
    log = LogWriter(watched, ORIGIN, note_signer(1))
    assert log.append(envelope(9_000)) == LogEntryReceipt(size, size + 1)
    assert seen["list"] == 0
    assert seen["get"] <= 12
    assert seen["create"] + seen["replace"] <= 7

    seen.clear()
    assert log.append(envelope(9_000)) == LogEntryReceipt(size, size + 1)
    assert set(seen) == {"get"}
    assert seen["get"] <= 10

    seen.clear()
    root = log.checkpoint(size + 1).checkpoint.root
    verify_inclusion(leaf_hash(entries[1]), 1, size + 1, log.prove(1, size + 1), root)
    assert seen["get"] <= 8
