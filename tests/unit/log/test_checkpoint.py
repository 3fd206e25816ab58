"""Checkpoints and ``.tlog-proof`` files."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import VerificationError
from attest.log.checkpoint import (
    Checkpoint,
    Cosignature,
    open_checkpoint,
    parse_checkpoint,
    parse_size,
    verify_witnesses,
)
from attest.log.note import COSIGNATURE_V1, ED25519, Note, NoteSignature, VerifierKey, cosign, sign_note, verifier_key
from attest.log.proof import LogProof, parse_log_proof, verify_log_proof
from attest.merkle.tree import MerkleTree
from attest.records import encode_base64
from attest.signing.ed25519 import Ed25519Signer

Signers = Callable[[int], Ed25519Signer]

ORIGIN = "log.example/reserves"
ROOT = encode_base64(bytes(range(32)))


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoint__any_head__round_trips(size: int, root: bytes) -> None:
    head = Checkpoint(ORIGIN, size, root)
    assert parse_checkpoint(head.text) == head


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n3\n",
        f"{ORIGIN}\n3\n{ROOT}",
        f"{ORIGIN}\n3\n{ROOT}\nextension\n",
        f"{ORIGIN}\n3\n{ROOT}\n\n",
        f"\n3\n{ROOT}\n",
        f"{ORIGIN}\n03\n{ROOT}\n",
        f"{ORIGIN}\n+3\n{ROOT}\n",
        f"{ORIGIN}\n-3\n{ROOT}\n",
        f"{ORIGIN}\n 3\n{ROOT}\n",
        f"{ORIGIN}\n3.0\n{ROOT}\n",
        f"{ORIGIN}\n٣\n{ROOT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n3\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n3\n{ROOT} \n",
        f"{ORIGIN}\n3\n{encode_base64(bytes(31))}\n",
        f"{ORIGIN}\n3\n{encode_base64(bytes(8))}\n",
    ],
)
def test_checkpoint__not_exactly_origin_size_root__is_refused(text: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_checkpoint(text, "log/checkpoint")
    assert caught.value.code == "malformed-checkpoint"
    assert caught.value.message.startswith("log/checkpoint: ")


def test_size__at_its_edges() -> None:
    assert [parse_size(text) for text in ("0", "1", str(2**63 - 1))] == [0, 1, 2**63 - 1]
    assert [parse_size(text) for text in ("", "00", "1_0", str(2**63), "1\n")] == [None] * 5


def test_checkpoint__of_another_log__is_refused_although_its_signature_is_good(note_signer: Signers) -> None:
    """One key under two names: a note of the one log must not pass for the other's."""
    head = Checkpoint("other.example", 3, bytes(32))
    note = sign_note(head.text, ORIGIN, note_signer(1))
    with pytest.raises(VerificationError, match=r"is of the log 'other.example'"):
        open_checkpoint(note.to_bytes(), verifier_key(ORIGIN, ED25519, note_signer(1)))


def test_witnesses__that_signed__are_named_with_their_time(note_signer: Signers) -> None:
    log_key = verifier_key(ORIGIN, ED25519, note_signer(1))
    note = sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text, ORIGIN, note_signer(1))
    lines = (cosign(note.text, "w2", note_signer(2), 20), cosign(note.text, "w9", note_signer(9), 90))
    signed = open_checkpoint(Note(note.text, note.signatures + lines).to_bytes(), log_key)
    keys = [verifier_key(f"w{n}", COSIGNATURE_V1, note_signer(n)) for n in (2, 3)]
    assert verify_witnesses(signed, keys) == (Cosignature("w2", 20),)


def test_witnesses__one_key_under_two_names__counts_once(note_signer: Signers) -> None:
    log_key = verifier_key(ORIGIN, ED25519, note_signer(1))
    note = sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text, ORIGIN, note_signer(1))
    lines = (cosign(note.text, "w2", note_signer(2), 20), cosign(note.text, "w3", note_signer(2), 20))
    signed = open_checkpoint(Note(note.text, note.signatures + lines).to_bytes(), log_key)
    keys = [verifier_key(name, COSIGNATURE_V1, note_signer(2)) for name in ("w2", "w3")]
    assert verify_witnesses(signed, keys) == (Cosignature("w2", 20),)


def test_witnesses__false_line_of_a_known_witness__is_refused(note_signer: Signers) -> None:
    log_key = verifier_key(ORIGIN, ED25519, note_signer(1))
    note = sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text, ORIGIN, note_signer(1))
    line = cosign("another text\n", "w2", note_signer(2), 20)
    signed = open_checkpoint(Note(note.text, (*note.signatures, line)).to_bytes(), log_key)
    with pytest.raises(VerificationError, match="false cosignature in the name of witness w2"):
        verify_witnesses(signed, [verifier_key("w2", COSIGNATURE_V1, note_signer(2))])


# -- log proofs ------------------------------------------------------------------------------------------------------


def proof_of(entries: list[bytes], index: int, signer: Ed25519Signer, origin: str = ORIGIN) -> bytes:
    tree = MerkleTree(entries)
    note = sign_note(Checkpoint(origin, tree.size, tree.root).text, origin, signer)
    return LogProof(index, tuple(tree.inclusion_path(index)), note.to_bytes()).to_bytes()


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=40, unique=True), st.data())
def test_log_proof__of_any_entry__verifies_and_of_no_other(
    note_signer: Signers, entries: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    key = verifier_key(ORIGIN, ED25519, note_signer(1))
    file = proof_of(entries, index, note_signer(1))
    logged = verify_log_proof(file, entries[index], key)
    assert (logged.index, logged.checkpoint.size) == (index, len(entries))
    assert parse_log_proof(file).to_bytes() == file
    for other in entries:
        if other != entries[index]:
            with pytest.raises(VerificationError):
                verify_log_proof(file, other, key)


def test_log_proof__text__is_the_specified_one(note_signer: Signers) -> None:
    file = proof_of([b"a", b"b"], 1, note_signer(1))
    head, checkpoint = file.split(b"\n\n", 1)
    assert head == f"c2sp.org/tlog-proof@v1\nindex 1\n{encode_base64(MerkleTree([b'a']).root)}".encode()
    assert checkpoint.startswith(f"{ORIGIN}\n2\n".encode())


def test_log_proof__of_one_entry__has_no_hashes(note_signer: Signers) -> None:
    file = proof_of([b"a"], 0, note_signer(1))
    assert file.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + ORIGIN.encode())
    verify_log_proof(file, b"a", verifier_key(ORIGIN, ED25519, note_signer(1)))


def test_attack_21__log_proof_signed_by_another_known_key__is_refused(note_signer: Signers) -> None:
    key = verifier_key(ORIGIN, ED25519, note_signer(1))
    file = proof_of([b"a", b"b"], 0, note_signer(2))
    with pytest.raises(VerificationError, match=r"is not signed by log.example/reserves"):
        verify_log_proof(file, b"a", key, [verifier_key(ORIGIN, COSIGNATURE_V1, note_signer(2))])


def test_attack_08__log_proof_with_a_path_of_another_length__is_refused(note_signer: Signers) -> None:
    key = verifier_key(ORIGIN, ED25519, note_signer(1))
    proof = parse_log_proof(proof_of([b"%d" % n for n in range(5)], 2, note_signer(1)))
    for path in (proof.path[:-1], (*proof.path, bytes(32))):
        with pytest.raises(VerificationError, match="the audit path has"):
            verify_log_proof(LogProof(2, path, proof.checkpoint).to_bytes(), b"2", key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("c2sp.org/tlog-proof@v1\n", ""),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n"),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\nextra YQ==\n"),
        ("index 1\n", ""),
        ("index 1\n", "index 01\n"),
        ("index 1\n", "index -1\n"),
        ("index 1\n", "index 1 \n"),
        ("index 1\n", "Index 1\n"),
        ("index 1\n", f"index {2**63}\n"),
        ("index 1\n", "index 1\nYQ\n"),
        ("index 1\n", "index 1\nYR==\n"),
        ("index 1\n", "index 1\né\n"),
        ("\n\nlog.example", "\nlog.example"),
    ],
)
def test_log_proof__malformed__is_refused(note_signer: Signers, old: str, new: str) -> None:
    text = proof_of([b"a", b"b"], 1, note_signer(1)).decode()
    assert old in text
    with pytest.raises(VerificationError, match=r"in\.tlog-proof: ") as caught:
        verify_log_proof(
            text.replace(old, new, 1).encode(), b"b", verifier_key(ORIGIN, ED25519, note_signer(1)), (), "in.tlog-proof"
        )
    assert caught.value.code == "malformed-log-proof"


def test_log_proof__hash_of_another_length__is_refused(note_signer: Signers) -> None:
    proof = parse_log_proof(proof_of([b"a", b"b"], 1, note_signer(1)))
    short = LogProof(1, (proof.path[0][:16],), proof.checkpoint).to_bytes()
    with pytest.raises(VerificationError, match="a hash of 16 bytes"):
        verify_log_proof(short, b"b", verifier_key(ORIGIN, ED25519, note_signer(1)))


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "does not begin with"),
        (b"c2sp.org/tlog-proof@v1\n\n", "no line 'index <number>'"),
        (b"c2sp.org/tlog-proof@v1\nindex 0\n\n", "no blank line before its signatures"),
        (b"A" * 1_000_001, "is larger than 1000000 bytes"),
    ],
)
def test_log_proof__empty_or_huge__is_refused(note_signer: Signers, file: bytes, why: str) -> None:
    with pytest.raises(VerificationError, match=why):
        verify_log_proof(file, b"a", verifier_key(ORIGIN, ED25519, note_signer(1)))


def test_log_proof__cosignatures__are_verified_and_returned(note_signer: Signers) -> None:
    proof = parse_log_proof(proof_of([b"a", b"b"], 1, note_signer(1)))
    text = Checkpoint(ORIGIN, 2, MerkleTree([b"a", b"b"]).root).text
    line = cosign(text, "w", note_signer(2), 99)
    key, witness = verifier_key(ORIGIN, ED25519, note_signer(1)), verifier_key("w", COSIGNATURE_V1, note_signer(2))

    def file(signature: NoteSignature) -> bytes:
        return LogProof(1, proof.path, proof.checkpoint + f"{signature.line}\n".encode()).to_bytes()

    assert verify_log_proof(file(line), b"b", key, [witness]).cosignatures == (Cosignature("w", 99),)
    assert verify_log_proof(file(line), b"b", key).cosignatures == ()
    stranger = VerifierKey("w", COSIGNATURE_V1, bytes(32))
    assert verify_log_proof(file(line), b"b", key, [stranger]).cosignatures == ()
    forged = NoteSignature("w", line.key_id, line.signature[:-1] + b"\x00")
    with pytest.raises(VerificationError, match="false cosignature"):
        verify_log_proof(file(forged), b"b", key, [witness])
