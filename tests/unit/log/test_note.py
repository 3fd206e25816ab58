"""Signed notes and cosignatures: the published vectors, and everything that is not exactly a note."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import OperatorError, VerificationError
from attest.log.note import (
    COSIGNATURE_V1,
    ED25519,
    MAX_NOTE_BYTES,
    Note,
    NoteSignature,
    VerifierKey,
    cosign,
    find_signature,
    parse_note,
    parse_signature_lines,
    parse_vkey,
    sign_note,
    verifier_key,
    verify_cosignature,
    verify_note,
)
from attest.records import encode_base64
from attest.signing.ed25519 import Ed25519Signer

Signers = Callable[[int], Ed25519Signer]

C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
TEXT = "log.example/reserves\n3\nAAAA\n"

# -- published vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vkey", "note"), [(C2SP_VKEY, C2SP_NOTE), (GO_VKEY, GO_NOTE)], ids=["C2SP", "Go"])
def test_note__published_example__verifies_and_round_trips(vkey: str, note: str) -> None:
    key = parse_vkey(vkey)
    assert key.vkey == vkey
    parsed = parse_note(note.encode())
    verify_note(parsed, key)
    assert parsed.to_bytes() == note.encode()


def test_note__published_example_with_a_changed_text__is_refused() -> None:
    changed = parse_note(C2SP_NOTE.replace("example message", "eXample message").encode())
    with pytest.raises(VerificationError, match=r"false signature in the name of example.com/foo"):
        verify_note(changed, parse_vkey(C2SP_VKEY))


# -- signing and verifying -------------------------------------------------------------------------------------------

_LINE = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), max_size=20)


@given(st.lists(_LINE, min_size=1, max_size=6))
def test_note__any_text__round_trips(note_signer: Signers, lines: list[str]) -> None:
    """Also texts with empty lines: the last blank line separates."""
    text = "\n".join(lines) + "\n"
    note = sign_note(text, "log.example", note_signer(1))
    parsed = parse_note(note.to_bytes())
    assert parsed == note
    verify_note(parsed, verifier_key("log.example", ED25519, note_signer(1)))


def test_note__signature_is_deterministic(note_signer: Signers) -> None:
    assert sign_note(TEXT, "log.example", note_signer(1)) == sign_note(TEXT, "log.example", note_signer(1))


def test_note__signed_by_other_keys_too__verifies_for_each(note_signer: Signers) -> None:
    first, second = (sign_note(TEXT, f"log{n}.example", note_signer(n)) for n in (1, 2))
    both = parse_note(Note(TEXT, first.signatures + second.signatures).to_bytes())
    for n in (1, 2):
        verify_note(both, verifier_key(f"log{n}.example", ED25519, note_signer(n)))


def test_attack_21__note_signed_by_another_known_key__is_refused(note_signer: Signers) -> None:
    """Accepting a note because *any* known key signed it lets one log or witness speak for another."""
    note = parse_note(sign_note(TEXT, "other.example", note_signer(2)).to_bytes())
    verify_note(note, verifier_key("other.example", ED25519, note_signer(2)))
    with pytest.raises(VerificationError, match=r"is not signed by log.example"):
        verify_note(note, verifier_key("log.example", ED25519, note_signer(1)))


def test_attack_21__another_key_under_the_logs_name__is_refused(note_signer: Signers) -> None:
    note = parse_note(sign_note(TEXT, "log.example", note_signer(2)).to_bytes())
    expected = verifier_key("log.example", ED25519, note_signer(1))
    with pytest.raises(VerificationError, match=r"is not signed by log.example with the expected key"):
        verify_note(note, expected)
    claimed = Note(TEXT, (NoteSignature("log.example", expected.key_id, note.signatures[0].signature),))
    with pytest.raises(VerificationError, match=r"false signature in the name of log.example"):
        verify_note(parse_note(claimed.to_bytes()), expected)


def test_attack_21__cosignature_does_not_pass_for_the_logs_signature(note_signer: Signers) -> None:
    key = verifier_key("log.example", COSIGNATURE_V1, note_signer(1))
    note = Note(TEXT, (cosign(TEXT, "log.example", note_signer(1), 5),))
    with pytest.raises(VerificationError, match="false signature"):
        verify_note(note, key)
    with pytest.raises(VerificationError, match="is not signed by"):
        verify_note(note, verifier_key("log.example", ED25519, note_signer(1)))


def test_attack_21__signature_of_one_type_under_the_id_of_the_other__is_refused(note_signer: Signers) -> None:
    """One Ed25519 key as a log's and as a witness's: what it signed as the one must not count as the other."""
    signer = note_signer(1)
    log_key, witness_key = (verifier_key("both.example", kind, signer) for kind in (ED25519, COSIGNATURE_V1))
    plain = NoteSignature("both.example", witness_key.key_id, signer.sign(TEXT.encode()))
    with pytest.raises(VerificationError, match="false signature"):
        verify_note(Note(TEXT, (plain,)), witness_key)
    timed = NoteSignature("both.example", log_key.key_id, cosign(TEXT, "both.example", signer, 7).signature)
    with pytest.raises(VerificationError, match="false cosignature"):
        verify_cosignature(TEXT, timed, log_key)


def test_attack_21__the_logs_signature_under_another_name__does_not_count(note_signer: Signers) -> None:
    key = verifier_key("log.example", ED25519, note_signer(1))
    (good,) = sign_note(TEXT, "log.example", note_signer(1)).signatures
    renamed = Note(TEXT, (NoteSignature("other.example", good.key_id, good.signature),))
    with pytest.raises(VerificationError, match="is not signed by"):
        verify_note(renamed, key)


# -- what is not a note ----------------------------------------------------------------------------------------------

GOOD = C2SP_NOTE
TEXT_PART, LINE_PART = GOOD.split("\n\n")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (GOOD.replace("\n", "\r\n"), "control character"),
        (GOOD.replace("message.", "message.\r"), "control character"),
        (GOOD.replace("message", "mes\tsage"), "control character"),
        (GOOD.replace("message", "mes\x1b[2Jsage"), "control character"),
        (GOOD.replace("message", "mes\x00sage"), "control character"),
        (GOOD[:-1], "does not end in a signature line"),
        (GOOD + "\n", "does not end in a signature line"),
        (GOOD + " ", "does not end in a signature line"),
        (GOOD + "trailing\n", "not '— name base64'"),
        (TEXT_PART + "\n" + LINE_PART, "no blank line"),
        (TEXT_PART + "\n\n", "does not end in a signature line"),
        (TEXT_PART + "\n", "no blank line"),
        ("", "no blank line"),
        (GOOD.replace("—", "-"), "not '— name base64'"),
        (GOOD.replace("—", "–"), "not '— name base64'"),
        (GOOD.replace("— ", "—"), "not '— name base64'"),
        (GOOD.replace("— ", "—  "), "not '— name base64'"),
        (GOOD.replace("— ", " — "), "not '— name base64'"),
        (GOOD.replace("example.com/foo", "example.com/f+o"), "not '— name base64'"),
        (GOOD.replace("example.com/foo", "example.com/f\u00a0o"), "not '— name base64'"),
        (GOOD.replace("example.com/foo", "example.com/f\u3000o"), "not '— name base64'"),
        (GOOD.replace("example.com/foo ", " "), "not '— name base64'"),
        (GOOD.replace("IneyaQM=", "IneyaQM= "), "not '— name base64'"),
        (GOOD.replace("IneyaQM=", "IneyaQM"), "is not base64"),
        (GOOD.replace("IneyaQM=", "IneyaQN="), "is not canonical base64"),
        (GOOD.replace("Uw2QOkn8", "Uw2QOkn-"), "is not base64"),
        (TEXT_PART + "\n\n— example.com/foo Uw2QOg==\n", "too short"),
        (GOOD + LINE_PART, "two signature lines of one key"),
        (TEXT_PART + "\n\n" + "".join(f"— k{n} Uw2QOkn8\n" for n in range(101)), "more than 100 signatures"),
        ("x" * MAX_NOTE_BYTES + GOOD, "is larger than"),
    ],
)
def test_note__not_well_formed__is_refused(data: str, why: str) -> None:
    with pytest.raises(VerificationError, match=why) as caught:
        parse_note(data.encode(), "checkpoint")
    assert caught.value.message.startswith("checkpoint: ")


def test_note__not_utf8__is_refused() -> None:
    for data in (GOOD.encode("utf-16"), GOOD.encode().replace(b"message", b"mess\xff"), GOOD.encode()[:-1] + b"\xe2\n"):
        with pytest.raises(VerificationError, match=r"is not UTF-8"):
            parse_note(data)


def test_note__sixteen_signatures_of_five_kilobytes__are_read() -> None:
    lines = "".join(f"— k{n} {encode_base64(bytes(5000))}\n" for n in range(16))
    assert len(parse_note(f"text\n\n{lines}".encode()).signatures) == 16


@given(st.binary(max_size=60), st.integers(0, len(GOOD.encode())))
def test_note__any_bytes_spliced_in__raise_nothing_but_a_refusal(noise: bytes, cut: int) -> None:
    data = GOOD.encode()[:cut] + noise + GOOD.encode()[cut:]
    try:
        note = parse_note(data)
        verify_note(note, parse_vkey(C2SP_VKEY))
    except VerificationError:
        return
    assert note.text == parse_note(C2SP_NOTE.encode()).text


# -- vkeys -----------------------------------------------------------------------------------------------------------


@given(st.sampled_from([ED25519, COSIGNATURE_V1]), st.binary(min_size=32, max_size=32))
def test_vkey__any_key__round_trips(algorithm: int, material: bytes) -> None:
    key = VerifierKey("witness.example/w1", algorithm, material)
    assert parse_vkey(key.vkey) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/f oo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AuekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv",
    ],
)
def test_vkey__malformed__names_where_it_stands(text: str) -> None:
    with pytest.raises(OperatorError, match=r"log.witnesses"):
        parse_vkey(text, "log.witnesses[0]", OperatorError)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x1bb"])
def test_key_name__that_no_note_can_carry__is_a_programming_error(note_signer: Signers, name: str) -> None:
    with pytest.raises(ValueError, match="a key's name"):
        sign_note(TEXT, name, note_signer(1))


# -- cosignatures ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 2**63 - 1))
def test_cosignature__any_time__round_trips(note_signer: Signers, time: int) -> None:
    signature = cosign(TEXT, "witness.example/w1", note_signer(3), time)
    assert parse_signature_lines(signature.line + "\n", "answer") == (signature,)
    key = verifier_key("witness.example/w1", COSIGNATURE_V1, note_signer(3))
    assert verify_cosignature(TEXT, signature, key) == time


def test_cosignature__signed_message__is_the_specified_one(note_signer: Signers) -> None:
    signer = note_signer(3)
    signature = cosign(TEXT, "w", signer, 1679315147)
    assert signature.signature[:8] == (1679315147).to_bytes(8, "big")
    assert signature.signature[8:] == signer.sign(b"cosignature/v1\ntime 1679315147\n" + TEXT.encode())


def test_cosignature__other_text_time_or_witness__is_refused(note_signer: Signers) -> None:
    key = verifier_key("w", COSIGNATURE_V1, note_signer(3))
    good = cosign(TEXT, "w", note_signer(3), 7)
    verify_cosignature(TEXT, good, key)
    later = NoteSignature("w", good.key_id, (8).to_bytes(8, "big") + good.signature[8:])
    for text, signature, against in [
        (TEXT + "x\n", good, key),
        (TEXT, later, key),
        (TEXT, NoteSignature("w", good.key_id, good.signature[:-1]), key),
        (TEXT, NoteSignature("w", good.key_id, good.signature + b"\x00"), key),
        (TEXT, NoteSignature("v", good.key_id, good.signature), key),
        (TEXT, cosign(TEXT, "w", note_signer(4), 7), key),
        (TEXT, cosign(TEXT, "w", note_signer(3), 0), key),
        (TEXT, cosign(TEXT, "w", note_signer(3), 2**63), key),
        (TEXT, good, verifier_key("w", ED25519, note_signer(3))),
    ]:
        with pytest.raises(VerificationError, match="false cosignature"):
            verify_cosignature(text, signature, against)


def test_find_signature__needs_name_and_id(note_signer: Signers) -> None:
    note = sign_note(TEXT, "log.example", note_signer(1))
    assert find_signature(note, verifier_key("log.example", ED25519, note_signer(1))) == note.signatures[0]
    assert find_signature(note, verifier_key("log.example", COSIGNATURE_V1, note_signer(1))) is None
    assert find_signature(note, verifier_key("log2.example", ED25519, note_signer(1))) is None
