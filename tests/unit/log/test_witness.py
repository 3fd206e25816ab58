"""A witness's decisions, and a log's asking for them, without a network."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.errors import AttestError, ConflictError, OperatorError, SourceError, VerificationError
from attest.log.checkpoint import Checkpoint, open_checkpoint
from attest.log.note import (
    COSIGNATURE_V1,
    ED25519,
    Note,
    NoteSignature,
    cosign,
    parse_signature_lines,
    sign_note,
    verifier_key,
    verify_cosignature,
)
from attest.log.witness import MAX_HASHES, Witness, collect_cosignature, request_cosignature
from attest.log.writer import LogWriter
from attest.merkle.proof import EMPTY_ROOT
from attest.merkle.tree import MerkleTree
from attest.records import digest, encode_base64
from attest.serving import Answer
from attest.signing.ed25519 import Ed25519Signer
from tests.support.logs import posting

Signers = Callable[[int], Ed25519Signer]
Envelopes = Callable[..., bytes]

ORIGIN = "log.example/reserves"
NAME = "witness.example/w1"
LEAVES = [b"entry %d" % n for n in range(40)]
FORK = [b"forged", *LEAVES[1:]]


@pytest.fixture
def witness(tmp_path: Path, note_signer: Signers) -> Iterator[Witness]:
    witness = open_witness(tmp_path, note_signer)
    yield witness
    witness.close()


def open_witness(folder: Path, note_signer: Signers, time: int = 1_763_942_340) -> Witness:
    keys = [verifier_key(ORIGIN, ED25519, note_signer(1)), verifier_key("other.example", ED25519, note_signer(2))]
    return Witness(NAME, note_signer(9), keys, folder / "witness.json", lambda: time)


def head(leaves: list[bytes], signer: Ed25519Signer, origin: str = ORIGIN) -> Note:
    tree = MerkleTree(leaves)
    return sign_note(Checkpoint(origin, tree.size, tree.root).text, origin, signer)


def request(old: int, leaves: list[bytes], note: Note, path: list[bytes] | None = None) -> bytes:
    proof = MerkleTree(leaves).consistency_path(old) if path is None else path
    return "\n".join([f"old {old}", *map(encode_base64, proof), "", ""]).encode() + note.to_bytes()


def ask(witness: Witness, old: int, leaves: list[bytes], signer: Ed25519Signer) -> Answer:
    return witness.add_checkpoint(request(old, leaves, head(leaves, signer)))


# -- what it cosigns -------------------------------------------------------------------------------------------------


def test_witness__growing_log__is_cosigned_at_each_step(witness: Witness, note_signer: Signers) -> None:
    old = 0
    for size in (1, 2, 7, 8, 40):
        leaves = LEAVES[:size]
        answer = ask(witness, old, leaves, note_signer(1))
        assert answer.status == 200
        (line,) = parse_signature_lines(answer.body.decode(), "answer")
        assert verify_cosignature(head(leaves, note_signer(1)).text, line, witness.key) == 1_763_942_340
        old = size


def test_witness__same_head_again__is_cosigned_again(witness: Witness, note_signer: Signers) -> None:
    assert ask(witness, 0, LEAVES[:5], note_signer(1)).status == 200
    assert ask(witness, 5, LEAVES[:5], note_signer(1)).status == 200


def test_witness__two_logs__are_remembered_apart(witness: Witness, note_signer: Signers) -> None:
    assert ask(witness, 0, LEAVES[:5], note_signer(1)).status == 200
    other = head(FORK[:2], note_signer(2), "other.example")
    assert witness.add_checkpoint(request(0, FORK[:2], other)).status == 200
    assert ask(witness, 5, LEAVES[:6], note_signer(1)).status == 200


def test_witness__unknown_cosignatures_on_the_checkpoint__are_ignored(witness: Witness, note_signer: Signers) -> None:
    note = head(LEAVES[:3], note_signer(1))
    cosigned = Note(note.text, (*note.signatures, cosign(note.text, "stranger", note_signer(5), 7)))
    assert witness.add_checkpoint(request(0, LEAVES[:3], cosigned)).status == 200


def test_witness__empty_log__is_cosigned_only_with_the_empty_root(witness: Witness, note_signer: Signers) -> None:
    wrong = sign_note(Checkpoint(ORIGIN, 0, bytes(32)).text, ORIGIN, note_signer(1))
    assert witness.add_checkpoint(request(0, [], wrong)).status == 422
    right = sign_note(Checkpoint(ORIGIN, 0, EMPTY_ROOT).text, ORIGIN, note_signer(1))
    assert witness.add_checkpoint(request(0, [], right)).status == 200


# -- what it refuses -------------------------------------------------------------------------------------------------


def test_attack_20__fork_of_the_same_size__is_refused(witness: Witness, note_signer: Signers) -> None:
    ask(witness, 0, LEAVES[:5], note_signer(1))
    answer = witness.add_checkpoint(request(5, FORK[:5], head(FORK[:5], note_signer(1)), []))
    assert answer.status == 422


@pytest.mark.parametrize("honest_path", [True, False])
def test_attack_20__forged_history_that_grew__is_refused(
    witness: Witness, note_signer: Signers, honest_path: bool
) -> None:
    ask(witness, 0, LEAVES[:5], note_signer(1))
    path = MerkleTree(LEAVES[:9] if honest_path else FORK[:9]).consistency_path(5)
    answer = witness.add_checkpoint(request(5, FORK[:9], head(FORK[:9], note_signer(1)), path))
    assert answer.status == 422
    assert ask(witness, 5, LEAVES[:9], note_signer(1)).status == 200


def test_witness__smaller_or_unknown_old_size__is_told_the_size_it_holds(
    witness: Witness, note_signer: Signers
) -> None:
    ask(witness, 0, LEAVES[:5], note_signer(1))
    for old, size in ((0, 3), (3, 5), (0, 9), (6, 9), (3, 4)):
        answer = ask(witness, old, LEAVES[:size], note_signer(1))
        assert answer == Answer(409, "text/x.tlog.size", b"5\n")


def test_witness__old_size_above_the_checkpoints__is_a_bad_request(witness: Witness, note_signer: Signers) -> None:
    note = head(LEAVES[:3], note_signer(1))
    assert witness.add_checkpoint(request(4, LEAVES[:3], note, [])).status == 400


def test_witness__unknown_log__is_not_found(witness: Witness, note_signer: Signers) -> None:
    note = head(LEAVES[:3], note_signer(1), "stranger.example")
    assert witness.add_checkpoint(request(0, LEAVES[:3], note)).status == 404


def test_attack_21__checkpoint_signed_by_another_known_key__is_forbidden(
    witness: Witness, note_signer: Signers
) -> None:
    """The witness knows key 2, but for another log."""
    assert ask(witness, 0, LEAVES[:3], note_signer(2)).status == 403
    note = head(LEAVES[:3], note_signer(1))
    damaged = NoteSignature(ORIGIN, note.signatures[0].key_id, bytes(64))
    assert witness.add_checkpoint(request(0, LEAVES[:3], Note(note.text, (damaged,)))).status == 403


def test_witness__path_from_nothing__must_be_empty(witness: Witness, note_signer: Signers) -> None:
    note = head(LEAVES[:3], note_signer(1))
    assert witness.add_checkpoint(request(0, LEAVES[:3], note, [bytes(32)])).status == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n\n",
        b"old 00\n\n{note}",
        b"old -1\n\n{note}",
        b"old  0\n\n{note}",
        b"new 0\n\n{note}",
        b"old 0\r\n\r\n{note}",
        b"old 0\n{note}",
        b"old 0\nAAAA=\n\n{note}",
        b"old 0\n\xff\n\n{note}",
        b"old 0\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * MAX_HASHES + b"\n{note}",
        b"old 0\n\n{cut}",
        b"old 0\n\nno checkpoint\n\n{line}",
    ],
)
def test_witness__malformed_request__is_a_bad_request(witness: Witness, note_signer: Signers, body: bytes) -> None:
    note = head(LEAVES[:3], note_signer(1))
    whole = note.to_bytes()
    body = body.replace(b"{note}", whole).replace(b"{cut}", whole[:-1])
    body = body.replace(b"{line}", note.signatures[0].line.encode() + b"\n")
    assert witness.add_checkpoint(body).status == 400


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans(), st.booleans()), min_size=1, max_size=15)
)
def test_witness__any_sequence_of_requests__never_signs_a_smaller_or_forked_log(
    tmp_path_factory: pytest.TempPathFactory, note_signer: Signers, calls: list[tuple[int, int, bool, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("witness")
    witness = open_witness(folder, note_signer)
    signed: list[list[bytes]] = [[]]
    for old, size, forged, restart in calls:
        if restart:
            witness.close()
            witness = open_witness(folder, note_signer)
        leaves = (FORK if forged else LEAVES)[:size]
        path = MerkleTree(leaves).consistency_path(min(old, size))
        answer = witness.add_checkpoint(request(old, leaves, head(leaves, note_signer(1)), path))
        if answer.status == 200:
            assert leaves[: len(signed[-1])] == signed[-1]
            signed.append(leaves)
        else:
            assert answer.status in (400, 409, 422)
    witness.close()


# -- its memory ------------------------------------------------------------------------------------------------------


def test_witness__restarted__remembers(tmp_path: Path, note_signer: Signers) -> None:
    first = open_witness(tmp_path, note_signer)
    ask(first, 0, LEAVES[:5], note_signer(1))
    first.close()
    second = open_witness(tmp_path, note_signer)
    assert ask(second, 0, FORK[:6], note_signer(1)).status == 409
    assert ask(second, 5, LEAVES[:6], note_signer(1)).status == 200
    second.close()


def test_witness__state_of_an_earlier_release__is_read_and_goes_on(tmp_path: Path, note_signer: Signers) -> None:
    root = MerkleTree(LEAVES[:5]).root.hex()
    heads = f'{{"{ORIGIN}":{{"size":5,"root":"{root}"}}}}'
    (tmp_path / "witness.json").write_text(f'{{"format":"attest-witness-state/1","heads":{heads}}}\n')
    witness = open_witness(tmp_path, note_signer)
    origin_hash = digest(ORIGIN.encode())
    assert witness.checkpoint(origin_hash).status == 404
    assert ask(witness, 0, LEAVES[:6], note_signer(1)).status == 409
    assert witness.add_checkpoint(request(5, FORK[:5], head(FORK[:5], note_signer(1)), [])).status == 422
    assert ask(witness, 5, LEAVES[:6], note_signer(1)).status == 200
    assert witness.checkpoint(origin_hash).status == 200
    witness.close()


def test_witness__monitor_asks__is_shown_what_the_log_was_given(witness: Witness, note_signer: Signers) -> None:
    """The log's own line and this witness's, byte for byte; what strangers added is not passed on."""
    note = head(LEAVES[:3], note_signer(1))
    added = Note(note.text, (*note.signatures, cosign(note.text, "stranger", note_signer(5), 7)))
    answer = witness.add_checkpoint(request(0, LEAVES[:3], added))
    assert witness.checkpoint(digest(ORIGIN.encode())).body == note.to_bytes() + answer.body
    assert witness.checkpoint(digest(b"other.example")).status == 404


def test_witness__state_cannot_be_stored__nothing_is_cosigned(
    witness: Witness, note_signer: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(witness, 0, LEAVES[:5], note_signer(1))
    with monkeypatch.context() as patched:

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(os, "fsync", full)
        with pytest.raises(OperatorError, match=r"witness\.json: .*No space left on device"):
            ask(witness, 5, LEAVES[:6], note_signer(1))
    assert ask(witness, 6, LEAVES[:6], note_signer(1)).status == 409
    assert ask(witness, 5, LEAVES[:7], note_signer(1)).status == 200


def test_witness__state_is_on_disk_before_the_signature_is_made(tmp_path: Path, note_signer: Signers) -> None:
    stored: list[bytes] = []

    class Watching:
        public_key = note_signer(9).public_key

        def sign(self, message: bytes) -> bytes:
            stored.append((tmp_path / "witness.json").read_bytes())
            return note_signer(9).sign(message)

    keys = [verifier_key(ORIGIN, ED25519, note_signer(1))]
    witness = Witness(NAME, Watching(), keys, tmp_path / "witness.json", lambda: 7)
    assert ask(witness, 0, LEAVES[:5], note_signer(1)).status == 200
    assert MerkleTree(LEAVES[:5]).root.hex().encode() in stored[0]
    witness.close()


@pytest.mark.parametrize("content", ["", "{}", '{"format":"attest-witness-state/1","heads":[]}'])
def test_witness__damaged_state__does_not_start_from_nothing(
    tmp_path: Path, note_signer: Signers, content: str
) -> None:
    (tmp_path / "witness.json").write_text(content)
    with pytest.raises(OperatorError, match=r"witness\.json"):
        open_witness(tmp_path, note_signer)


def test_witness__second_process_with_its_state__is_refused(tmp_path: Path, note_signer: Signers) -> None:
    first = open_witness(tmp_path, note_signer)
    with pytest.raises(OperatorError, match="in use by another witness"):
        open_witness(tmp_path, note_signer)
    first.close()
    open_witness(tmp_path, note_signer).close()


def test_witness__folder_missing__is_refused(tmp_path: Path, note_signer: Signers) -> None:
    with pytest.raises(OperatorError, match="No such file"):
        open_witness(tmp_path / "missing", note_signer)


def test_witness__many_at_once__sign_one_history(witness: Witness, note_signer: Signers) -> None:
    """Two heads that both extend the empty log, and contradict each other, asked for in parallel."""
    statuses: list[tuple[bool, int]] = []
    ready = threading.Barrier(8)

    def call(forged: bool) -> None:
        ready.wait()
        statuses.append((forged, ask(witness, 0, (FORK if forged else LEAVES)[:4], note_signer(1)).status))

    threads = [threading.Thread(target=call, args=(bool(n % 2),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for _, status in statuses) == [200] + [409] * 7


# -- asking ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(memory_store: Any, note_signer: Signers, envelope: Envelopes) -> LogWriter:
    log = LogWriter(memory_store(), ORIGIN, note_signer(1))
    for n in range(5):
        log.append(envelope(n))
    return log


class Post:
    """The way to a witness; keeps what was sent."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    def __call__(self, body: bytes) -> tuple[int, bytes]:
        self.sent.append(body)
        return self.answer(body)


def to(witness: Witness) -> Post:
    return Post(posting(witness))


def test_collect__witness_without_memory__cosigns_at_once_and_it_is_kept(log: LogWriter, witness: Witness) -> None:
    post = to(witness)
    line = collect_cosignature(log, 5, witness.key, post)
    assert log.cosignature(5, witness.key) == line
    assert len(post.sent) == 1
    assert collect_cosignature(log, 5, witness.key, post) == line
    assert len(post.sent) == 1


def test_collect__witness_holds_an_older_head__is_caught_up_by_its_answer(
    log: LogWriter, witness: Witness, envelope: Envelopes
) -> None:
    collect_cosignature(log, 3, witness.key, to(witness))
    post = to(witness)
    collect_cosignature(log, 5, witness.key, post)
    assert [body.split(b"\n")[0] for body in post.sent] == [b"old 0", b"old 3"]


def test_collect__answer_was_lost__is_asked_for_again(log: LogWriter, witness: Witness) -> None:
    """The witness has signed and remembers, this side crashed before storing."""
    to(witness)(request(0, [log.entry(n) for n in range(5)], log.checkpoint(5).note))
    collect_cosignature(log, 5, witness.key, to(witness))
    assert log.cosignature(5, witness.key) is not None


def test_request__size_known_beforehand__takes_one_request(log: LogWriter, witness: Witness) -> None:
    collect_cosignature(log, 3, witness.key, to(witness))
    post = to(witness)
    note = log.checkpoint(5).note.to_bytes()
    request_cosignature(post, note, log.consistency, witness.key, old_size=3)
    assert len(post.sent) == 1


def test_collect__witness_is_ahead__is_a_conflict(log: LogWriter, witness: Witness) -> None:
    collect_cosignature(log, 5, witness.key, to(witness))
    with pytest.raises(ConflictError, match="holds a log of 5 entries already, this checkpoint has 4"):
        collect_cosignature(log, 4, witness.key, to(witness))


def test_attack_20__history_was_rewritten__the_witness_refuses_and_the_operator_is_told(
    log: LogWriter, witness: Witness, memory_store: Any, note_signer: Signers, envelope: Envelopes
) -> None:
    collect_cosignature(log, 5, witness.key, to(witness))
    forged = LogWriter(memory_store(), ORIGIN, note_signer(1))
    for n in (7, 1, 2, 3, 4, 5):
        forged.append(envelope(n))
    open_checkpoint(forged.checkpoint(6).note.to_bytes(), log.key)  # the log's own key: nothing else tells
    with pytest.raises(ConflictError, match="does not extend the log that the witness has seen") as caught:
        collect_cosignature(forged, 6, witness.key, to(witness))
    assert caught.value.exit_code == 7
    assert forged.cosignatures(6) == ()


@pytest.mark.parametrize(
    ("status", "body", "error", "why"),
    [
        (403, b"", OperatorError, "does not know the log's key"),
        (404, b"", OperatorError, "does not know this log"),
        (400, b"bad", SourceError, "answered status 400"),
        (500, b"", SourceError, "answered status 500"),
        (409, b"", SourceError, "without the size that it holds"),
        (409, b"5", SourceError, "answered status 409"),
        (409, b"05\n", SourceError, "without the size that it holds"),
        (409, b"5 \n", SourceError, "without the size that it holds"),
        (409, b"3\n", SourceError, "answered status 409"),
        (409, b"\xff\n", SourceError, "without the size that it holds"),
        (422, b"", ConflictError, "does not extend"),
        (200, b"", VerificationError, "does not end in a signature line"),
        (200, b"nothing\n", VerificationError, "not '— name base64'"),
        (200, b"\xff\n", VerificationError, "not '— name base64'"),
    ],
)
def test_request__any_other_answer__is_refused_by_its_kind(
    log: LogWriter, witness: Witness, status: int, body: bytes, error: type[AttestError], why: str
) -> None:
    with pytest.raises(error, match=why) as caught:
        collect_cosignature(log, 5, witness.key, Post(lambda _: (status, body)))
    assert witness.key.name in caught.value.message
    assert log.cosignatures(5) == ()


def test_request__answer_by_another_key_or_over_another_text__is_refused(
    log: LogWriter, witness: Witness, note_signer: Signers
) -> None:
    text = log.checkpoint(5).note.text
    stranger = cosign(text, NAME, note_signer(8), 5)
    elsewhere = cosign(log.checkpoint(4).note.text, NAME, note_signer(9), 5)
    good = cosign(text, NAME, note_signer(9), 5)
    with pytest.raises(SourceError, match="without a cosignature by the key"):
        collect_cosignature(log, 5, witness.key, Post(lambda _: (200, f"{stranger.line}\n".encode())))
    with pytest.raises(VerificationError, match="false cosignature"):
        collect_cosignature(log, 5, witness.key, Post(lambda _: (200, f"{elsewhere.line}\n".encode())))
    both = f"{stranger.line}\n{good.line}\n".encode()
    assert collect_cosignature(log, 5, witness.key, Post(lambda _: (200, both))) == good


def test_collect__stored_cosignature_is_false__is_refused(log: LogWriter, witness: Witness) -> None:
    log.add_cosignature(5, NoteSignature(NAME, verifier_key_id(witness), bytes(72)))
    with pytest.raises(VerificationError, match="false cosignature"):
        collect_cosignature(log, 5, witness.key, to(witness))


def verifier_key_id(witness: Witness) -> bytes:
    assert witness.key.algorithm == COSIGNATURE_V1
    return witness.key.key_id
