"""Whole bundles whose envelope or place in the log is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from attest.documents import PAYLOAD_TYPE
from attest.log.checkpoint import Checkpoint
from attest.log.note import COSIGNATURE_V1, Note, NoteSignature, cosign, sign_note, verifier_key
from attest.log.proof import LogProof
from attest.merkle.proof import leaf_hash
from attest.records import decode_base64, digest, encode_base64
from attest.signing import dsse
from attest.signing.signer import SECP256K1_ORDER
from tests.support import bundles
from tests.support.bundles import LOG_KEY, ORIGIN, WITNESSES, attestor, merkle_path, merkle_root, note_key, sealed
from tests.vectors.cases import ecdsa
from tests.vectors.cases.case import Case, replaced
from tests.vectors.cases.forging import SMALL_TRUST, Files, bundle, predicate, small

Plain = dict[str, Any]
_FIRST, _SECOND, _THIRD = SMALL_TRUST.attestors

# -- signatures ------------------------------------------------------------------------------------------------------


def envelope(change: Callable[[Plain, bytes], None]) -> Callable[[bytes], bytes]:
    """A change of the envelope's JSON, which also sees the payload."""

    def alter(data: bytes) -> bytes:
        plain = json.loads(data)
        change(plain, decode_base64(plain["payload"]))
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"

    return alter


def signed(change: Callable[[int, bytes, bytes], bytes]) -> Callable[[bytes], bytes]:
    """Each signature instead as ``change`` makes it of its attestor's number, the payload and the true one."""

    def alter(plain: Plain, body: bytes) -> None:
        keyids = {attestor(number).keyid: number for number in range(3)}
        for signature in plain["signatures"]:
            number = keyids[signature["keyid"]]
            signature["sig"] = encode_base64(change(number, body, decode_base64(signature["sig"])))

    return envelope(alter)


def _of_one_key_twice(plain: Plain, body: bytes) -> None:
    keyid = attestor(0).keyid
    signatures = (attestor(0).sign(body), ecdsa.second_signature(0, body))
    plain["signatures"] = [{"keyid": keyid, "sig": encode_base64(signature)} for signature in signatures]


def _repeated(plain: Plain, body: bytes) -> None:
    plain["signatures"] = plain["signatures"][:1] * 2


def _swapped_hints(plain: Plain, body: bytes) -> None:
    first, second = plain["signatures"]
    first["keyid"], second["keyid"] = second["keyid"], first["keyid"]


def _none(plain: Plain, body: bytes) -> None:
    plain["signatures"] = []


def _other_payload(plain: Plain, body: bytes) -> None:
    raised = replaced('"configuration":"ab', '"configuration":"cd')(body)
    plain["payload"] = encode_base64(raised)


def _in_base64url(plain: Plain, body: bytes) -> None:
    text = plain["payload"].translate(str.maketrans("+/", "-_"))
    assert text != plain["payload"]
    plain["payload"] = text


def _pae_shifted(number: int, body: bytes, _: bytes) -> bytes:
    return attestor(number).sign(PAYLOAD_TYPE[-1:].encode() + body, PAYLOAD_TYPE[:-1])


def _pae_without_lengths(number: int, body: bytes, _: bytes) -> bytes:
    message = b"DSSEv1 " + PAYLOAD_TYPE.encode() + b" " + body
    return ecdsa.over_body(number, message)


def unsigned(name: str, description: str, reason: str, change: Callable[[int, bytes, bytes], bytes]) -> Case:
    """A line in which no signature counts."""
    return bundle(
        f"signatures-{name}",
        description,
        reason,
        small(alter_envelope=signed(change)),
        attack=21,
        fails=["signatures"],
    )


def enveloped(
    name: str, description: str, reason: str, change: Callable[[bytes], bytes], attack: int | None = 21
) -> Case:
    """A line whose envelope is no envelope."""
    return bundle(
        f"envelope-{name}", description, reason, small(alter_envelope=change), attack=attack, fails=["statement"]
    )


_SPELLING = "A signature has one form, or anybody can make a second one of it."

_SIGNATURES: tuple[Case, ...] = (
    bundle(
        *("signatures-one-of-two", "One attestor signed, two are needed.", "Below the threshold."),
        small(signers=(1,)),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-by-strangers", "Two strangers signed.", "Whoever they are: not those whom the reader trusts."),
        small(signers=(7, 8)),
        attack=14,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-one-and-a-stranger", "One attestor and a stranger signed.", "Only one counts."),
        small(signers=(0, 7)),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-of-one-key-twice", "One attestor signed twice, with two nonces.", "Keys are counted."),
        small(alter_envelope=envelope(_of_one_key_twice)),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-repeated", "One attestor's signature is there twice.", "Keys are counted."),
        small(alter_envelope=envelope(_repeated)),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-one-key-in-two-entries", "One attestor signed, whom the trust file lists under two names."),
        "Keys are counted, not names.",
        small(signers=(0,)),
        attack=21,
        trust=replace(SMALL_TRUST, attestors=(_FIRST, replace(_FIRST, name="again"), _SECOND)),
        fails=["signatures"],
    ),
    bundle(
        *("signatures-with-swapped-hints", "The two signatures' keyids changed places."),
        "A keyid is a hint; each signature is by a key that counts.",
        small(alter_envelope=envelope(_swapped_hints)),
        attack=21,
        exit_code=0,
    ),
    unsigned(
        *("with-stolen-keyids", "A stranger signed, in the attestors' keyids.", "A keyid is a hint, not a proof."),
        lambda number, body, _: attestor(9).sign(body),
    ),
    unsigned(
        *("by-another-known-key", "Both signatures are by the third attestor.", "One key is not two."),
        lambda number, body, _: attestor(2).sign(body),
    ),
    unsigned(
        *("with-high-s", "Both signatures have the higher of the two possible s.", _SPELLING),
        lambda number, body, signature: ecdsa.high_s(signature),
    ),
    unsigned(
        *("with-padded-r", "A needless zero byte stands before r.", _SPELLING),
        lambda number, body, signature: ecdsa.padded_r(signature),
    ),
    unsigned(
        *("with-long-length", "The signature's length takes two bytes.", _SPELLING),
        lambda number, body, signature: ecdsa.long_length(signature),
    ),
    unsigned(
        *("with-open-length", "The signature's length is open, as BER allows.", _SPELLING),
        lambda number, body, signature: ecdsa.open_length(signature),
    ),
    unsigned(
        *("with-bytes-behind", "A byte stands behind the signature.", _SPELLING),
        lambda number, body, signature: signature + b"\x00",
    ),
    unsigned(
        *("raw", "The signatures are r and s in 64 bytes.", "They are in DER."),
        lambda number, body, signature: ecdsa.raw(signature),
    ),
    unsigned(
        *("of-zeros", "r and s are 0.", "A verifier that does not look at the range accepts anything."),
        lambda number, body, signature: ecdsa.of_integers(0, 0),
    ),
    unsigned(
        *("of-the-order", "r and s are the group's order.", "They are 0 in disguise."),
        lambda number, body, signature: ecdsa.of_integers(SECP256K1_ORDER, SECP256K1_ORDER),
    ),
    unsigned(
        *("of-ones", "r and s are 1.", "It is nobody's signature."),
        lambda number, body, signature: ecdsa.of_integers(1, 1),
    ),
    unsigned(
        *("empty", "The signatures are empty.", "Nobody signed."),
        lambda number, body, signature: b"",
    ),
    unsigned(
        *("over-the-bare-payload", "The payload itself was signed.", "What is signed is the PAE: type and payload."),
        lambda number, body, _: ecdsa.over_body(number, body),
    ),
    unsigned(
        *("over-another-type", "It was signed as another type.", "A signature for one use must not serve another."),
        lambda number, body, _: attestor(number).sign(body, "application/json"),
    ),
    unsigned(
        *("pae-shifted", "A byte was moved from the type to the payload before signing."),
        "The lengths in the PAE keep type and payload apart.",
        _pae_shifted,
    ),
    unsigned(
        *("pae-without-lengths", "What was signed is the PAE without its lengths."),
        "The lengths keep type and payload apart.",
        _pae_without_lengths,
    ),
    bundle(
        *("signatures-of-another-payload", "A digest in the payload was changed after signing."),
        "It is not what was signed, nor what was anchored.",
        small(alter_envelope=envelope(_other_payload)),
        attack=3,
        fails=["signatures", "receipts"],
    ),
    bundle(
        *("signatures-payload-of-another-type", "The envelope is rightly signed, of type application/json."),
        "The reader expects one type.",
        small(payload_type="application/json"),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-type-changed", "The envelope's type was changed after signing.", "It is not what was signed."),
        small(alter_envelope=replaced(PAYLOAD_TYPE, "application/json")),
        attack=21,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-type-in-capitals", "The envelope's type is in capital letters.", "It is another text."),
        small(alter_envelope=replaced(PAYLOAD_TYPE, PAYLOAD_TYPE.upper())),
        attack=10,
        fails=["signatures"],
    ),
    bundle(
        *("signatures-key-retired", "The first attestor's key was valid until the week before.", "It does not count."),
        small(manifest_signers=(1,)),
        attack=21,
        trust=replace(SMALL_TRUST, attestors=(replace(_FIRST, valid_until="2026-W46"), _SECOND, _THIRD)),
        fails=["signatures"],
    ),
    bundle(
        *("signatures-key-in-its-last-week", "The first attestor's key is valid until this week.", "It counts."),
        small(),
        attack=21,
        trust=replace(SMALL_TRUST, attestors=(replace(_FIRST, valid_until="2026-W47"), _SECOND, _THIRD)),
        exit_code=0,
    ),
    bundle(
        *("signatures-key-of-later", "The first attestor's key is valid from the week after on.", "It does not count."),
        small(manifest_signers=(1,)),
        attack=21,
        trust=replace(SMALL_TRUST, attestors=(replace(_FIRST, valid_from="2026-W48"), _SECOND, _THIRD)),
        fails=["signatures"],
    ),
    bundle(
        *("signatures-three-needed", "Two attestors signed, the reader asks for three.", "Below the threshold."),
        small(),
        attack=21,
        trust=replace(SMALL_TRUST, attestor_threshold=3),
        fails=["signatures"],
    ),
    bundle(
        *("signatures-revoked-by-reader", "The trust file revokes this very statement.", "It counts no longer."),
        small(),
        attack=15,
        trust=replace(
            SMALL_TRUST, revoked=(digest(dsse.parse_envelope(small().files()["attestation.dsse.json"]).body),)
        ),
        fails=["signatures"],
    ),
)

_ENVELOPES: tuple[Case, ...] = (
    enveloped("without-signatures", "It has no signature.", "Nobody states it.", envelope(_none), 11),
    bundle(
        *("envelope-payload-in-base64url", "The payload is in base64url.", "It is in standard base64."),
        small(alter_predicate=predicate(software="?>?~?>?~?>"), alter_envelope=envelope(_in_base64url)),
        attack=21,
        fails=["statement"],
    ),
    enveloped(
        *("payload-with-line-break", "The payload's base64 is broken into lines.", "It has one spelling."),
        replaced('"payload":"eyJf', r'"payload":"eyJf\n'),
    ),
    enveloped(
        *("payload-twice", "The payload stands twice: another first.", "Readers differ in which one they take."),
        replaced('"payload":"', '"payload":"e30=","payload":"'),
    ),
    enveloped(
        *("with-a-key", "It brings a public key.", "There is no such field: keys come from outside."),
        lambda data: replaced('{"payload":', '{"publicKey":' + json.dumps(attestor(7).pem) + ',"payload":')(data),
        14,
    ),
    bundle(
        *("envelope-of-65536-bytes", "It has 65,536 bytes.", "No log entry is so long."),
        small(alter_envelope=lambda data: data + b" " * (65_536 - len(data))),
        attack=12,
        fails=["files"],
    ),
    bundle(
        *("envelope-of-65535-bytes", "It is as long as a log entry can be: 65,535 bytes.", "The boundary is allowed."),
        small(alter_envelope=lambda data: data + b" " * (65_535 - len(data))),
        attack=12,
        exit_code=0,
    ),
)

# -- the log ---------------------------------------------------------------------------------------------------------


def logged(change: Callable[[bytes], bytes]) -> Callable[[], Files]:
    """The log proof's bytes changed; the manifest lists it so."""

    def files() -> Files:
        made = small().files()
        return sealed(made | {"attestation.tlog-proof": change(made["attestation.tlog-proof"])})

    return files


def reproved(make: Callable[[bytes], LogProof]) -> Callable[[], Files]:
    """Another log proof, made for the envelope."""

    def files() -> Files:
        made = small().files()
        return sealed(made | {"attestation.tlog-proof": make(made["attestation.dsse.json"]).to_bytes()})

    return files


def _by_both(note: Note) -> tuple[NoteSignature, ...]:
    return tuple(cosign(note.text, name, note_key(name), bundles.CONFIRM_TIME + 30) for name in WITNESSES)


def log_proof(
    entry: bytes,
    *,
    size: int = 5,
    index: int = 3,
    origin: str = ORIGIN,
    key: Any = LOG_KEY,
    cosigned: Callable[[Note], tuple[NoteSignature, ...]] | None = None,
) -> LogProof:
    """The proof that the forge makes of ``entry``, changed only in what is given."""
    hashes = [leaf_hash(b"entry %d" % number) for number in range(size)]
    hashes[index] = leaf_hash(entry)
    note = sign_note(Checkpoint(origin, size, merkle_root(hashes)).text, origin, key)
    signed_note = Note(note.text, note.signatures + (cosigned or _by_both)(note)).to_bytes()
    return LogProof(index, merkle_path(hashes, index), signed_note)


def witnessed(*signatures: NoteSignature) -> Callable[[Note], tuple[NoteSignature, ...]]:
    return lambda note: signatures


def _at_time_zero(note: Note) -> tuple[NoteSignature, ...]:
    name = WITNESSES[0]
    key = verifier_key(name, COSIGNATURE_V1, note_key(name))
    signature = note_key(name).sign(b"cosignature/v1\ntime 0\n" + note.text.encode())
    return (NoteSignature(name, key.key_id, bytes(8) + signature),)


def _of_another_root(note: Note) -> tuple[NoteSignature, ...]:
    other = Checkpoint(ORIGIN, 5, bytes(32))
    return (cosign(other.text, WITNESSES[0], note_key(WITNESSES[0]), bundles.CONFIRM_TIME),)


def _by_the_logs_key(note: Note) -> tuple[NoteSignature, ...]:
    """The log signs as witness, in the witness's name."""
    forged = cosign(note.text, WITNESSES[0], LOG_KEY, bundles.CONFIRM_TIME)
    key = verifier_key(WITNESSES[0], COSIGNATURE_V1, note_key(WITNESSES[0]))
    return (NoteSignature(WITNESSES[0], key.key_id, forged.signature),)


def _stranger(note: Note) -> tuple[NoteSignature, ...]:
    return (cosign(note.text, "witness.example/three", note_key("three"), bundles.CONFIRM_TIME),)


#: Without a head of the log nobody knows what a witness cosigned, or what was anchored.
NO_HEAD = ("log-inclusion", "witnesses", "receipts")


def unlogged(
    name: str,
    description: str,
    reason: str,
    made: Callable[[], Files],
    fails: tuple[str, ...] = NO_HEAD,
    attack: int | None = 20,
) -> Case:
    return bundle(f"log-{name}", description, reason, made, attack=attack, fails=fails)


_LOG: tuple[Case, ...] = (
    unlogged(
        *("of-another-entry", "The proof is of another entry of the log.", "This statement is not in it."),
        reproved(lambda entry: log_proof(b"another entry")),
    ),
    unlogged(
        *("index-shifted", "The proof says entry 2 instead of 3.", "The path leads to another root."),
        logged(replaced("index 3\n", "index 2\n")),
    ),
    unlogged(
        *("index-outside", "The proof says entry 5 of 5.", "They are counted from 0."),
        logged(replaced("index 3\n", "index 5\n")),
        attack=8,
    ),
    unlogged(
        *("of-another-origin", "The entry is in another log of the same key.", "The reader expects one log."),
        reproved(lambda entry: log_proof(entry, origin="example.com/other")),
        attack=21,
    ),
    unlogged(
        *("key-of-a-stranger", "A stranger signed the checkpoint, in the log's name.", "It is not the log's key."),
        reproved(lambda entry: log_proof(entry, key=note_key("stranger"))),
        attack=21,
    ),
    unlogged(
        *("signed-by-witness-only", "The log's own signature is missing; both witnesses cosigned."),
        "What counts is the log's own signature, not any known key's.",
        logged(lambda data: b"".join(line for line in data.splitlines(True) if f"— {ORIGIN} ".encode() not in line)),
        attack=21,
    ),
    unlogged(
        *("size-changed", "The checkpoint's size was changed after signing.", "It is not what the log signed."),
        logged(replaced(f"{ORIGIN}\n5\n", f"{ORIGIN}\n4\n")),
    ),
    unlogged(
        *("with-carriage-returns", "The lines end in CR LF.", "One text must be read in one way."),
        logged(lambda data: data.replace(b"\n", b"\r\n")),
        attack=24,
    ),
    unlogged(
        *("without-last-newline", "The last newline is missing.", "One text must be read in one way."),
        logged(lambda data: data[:-1]),
        attack=24,
    ),
    unlogged(
        *("forged-history", "The log's key signed a history of its own in which the entry is; nobody cosigned it."),
        "A rewritten log is caught by its witnesses: none of them saw it.",
        reproved(lambda entry: log_proof(entry, size=4, index=0, cosigned=witnessed())),
        fails=("witnesses", "receipts"),
    ),
    unlogged(
        *("not-the-anchored-one", "The log's key signed another history, its witnesses cosigned it."),
        "The anchor names another root: one of the two histories is forged.",
        reproved(lambda entry: log_proof(entry, size=4, index=0)),
        fails=("receipts",),
    ),
    bundle(
        *("witnesses-none", "No witness cosigned, one is needed.", "A rewritten log would go unseen."),
        small(witnesses=()),
        attack=20,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-stranger", "A witness cosigned whom the reader does not know.", "It does not count."),
        reproved(lambda entry: log_proof(entry, cosigned=_stranger)),
        attack=20,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-of-another-root", "The witness's cosignature is over another root of the same size."),
        "It is there and false: somebody shows different logs to different people.",
        reproved(lambda entry: log_proof(entry, cosigned=_of_another_root)),
        attack=20,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-at-time-zero", "The witness cosigned at time 0.", "The specification forbids it."),
        reproved(lambda entry: log_proof(entry, cosigned=_at_time_zero)),
        attack=16,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-by-the-log", "The log's key signed as witness, in the witness's name.", "It is not its key."),
        reproved(lambda entry: log_proof(entry, cosigned=_by_the_logs_key)),
        attack=21,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-one-of-two-needed", "One witness cosigned, two are needed.", "Below the threshold."),
        small(witnesses=WITNESSES[:1]),
        attack=20,
        trust=replace(SMALL_TRUST, witnesses=replace(SMALL_TRUST.witnesses, threshold=2)),
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-one-good-one-false", "One witness cosigned rightly, the other's line is false; one is needed."),
        "A false line in a trusted name is no oversight: it fails, although one would be enough.",
        reproved(
            lambda entry: log_proof(
                entry,
                cosigned=lambda note: (
                    *_of_another_root(note),
                    cosign(note.text, WITNESSES[1], note_key(WITNESSES[1]), bundles.CONFIRM_TIME),
                ),
            )
        ),
        attack=20,
        fails=["witnesses"],
    ),
    bundle(
        *("witnesses-both-trusted", "Both witnesses cosigned, two are needed.", "Enough."),
        small(),
        attack=20,
        trust=replace(SMALL_TRUST, witnesses=replace(SMALL_TRUST.witnesses, threshold=2)),
        exit_code=0,
    ),
)

CASES: tuple[Case, ...] = (*_SIGNATURES, *_ENVELOPES, *_LOG)
