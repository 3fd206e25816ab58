"""Notes, checkpoints and log proofs by themselves (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attest.log.checkpoint import Checkpoint
from attest.log.note import COSIGNATURE_V1, ED25519, Note, NoteSignature, cosign, sign_note, verifier_key
from attest.log.proof import LogProof
from attest.merkle.proof import leaf_hash
from attest.records import encode_base64
from attest.signing.ed25519 import Ed25519Signer
from tests.support.bundles import LOG_KEY, LOG_VKEY, ORIGIN, WITNESSES, merkle_path, merkle_root, note_key, witness_vkey
from tests.vectors.cases.case import Case, replaced
from tests.vectors.cases.trees import root_of

TIME = 1_795_392_000
ONE, TWO = WITNESSES
#: What Go's sumdb/note accepts and this project refuses.
GO = {"go": "valid"}

# -- notes -----------------------------------------------------------------------------------------------------------

#: The example of the specification (C2SP signed-note; it is that of Go's sumdb/note).
SPEC_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SPEC_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
TEXT = "Reserves are counted.\nOn Sundays.\n"
NAME = "note.example/one"
KEY = note_key("note")
VKEY = verifier_key(NAME, ED25519, KEY).vkey


def sign(text: str = TEXT, name: str = NAME, key: Ed25519Signer = KEY) -> bytes:
    return sign_note(text, name, key).to_bytes()


def with_lines(*signatures: NoteSignature, text: str = TEXT) -> bytes:
    return Note(text, signatures).to_bytes()


def line(name: str = NAME, key: Ed25519Signer = KEY, text: str = TEXT) -> NoteSignature:
    return sign_note(text, name, key).signatures[0]


def note(
    name: str,
    description: str,
    reason: str,
    data: bytes | str,
    *,
    attack: int | None = 24,
    vkey: str = VKEY,
    valid: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Case:
    raw = data.encode() if isinstance(data, str) else data
    given = {"note": encode_base64(raw), "vkey": vkey}
    return Case("note", name, attack, description, reason, lambda: given, 0 if valid else 6, elsewhere=elsewhere or {})


def respelled(data: bytes) -> bytes:
    """The last base64 text with other unused bits: of one padding character, the two lowest of the last digit."""
    assert data.endswith(b"=\n")
    assert not data.endswith(b"==\n")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(data[-3])
    return data[:-3] + alphabet[last + 1 : last + 2] + b"=\n"


_GOOD = sign()
_STRANGER = line("note.example/two", note_key("stranger"))
_FALSE = NoteSignature(NAME, line().key_id, bytes(64))
_WAY = "A note has one form to the byte."
_SIGNED = "The named key itself must have signed."

_NOTES: tuple[Case, ...] = (
    note(
        "valid-of-the-specification",
        "The specification's example.",
        "It is signed by that key.",
        SPEC_NOTE,
        vkey=SPEC_VKEY,
        attack=None,
        valid=True,
    ),
    note("valid", "Two lines of text, one signature.", "It is signed by that key.", _GOOD, attack=None, valid=True),
    note(
        "valid-with-a-stranger",
        "A key signed too that is not asked for.",
        "It is ignored.",
        with_lines(_STRANGER, line()),
        attack=21,
        valid=True,
    ),
    note(
        "valid-with-blank-lines",
        "The text has blank lines.",
        "The last blank line is the one before signatures.",
        sign("one\n\n\ntwo\n"),
        attack=None,
        valid=True,
    ),
    note("valid-unicode", "The text is not ASCII.", "It is UTF-8.", sign("Réserves ✓\n"), attack=None, valid=True),
    note(
        "text-changed",
        "A letter of the text was changed.",
        "It is not what was signed.",
        replaced("Sundays", "Mondays")(_GOOD),
        attack=3,
    ),
    note("signed-by-a-stranger", "Only another key signed.", _SIGNED, with_lines(_STRANGER), attack=21),
    note(
        "signed-in-the-name-only",
        "Another key signed in this name.",
        _SIGNED,
        with_lines(line(key=note_key("stranger"))),
        attack=21,
    ),
    note("signature-false", "This key's line is there and false.", _SIGNED, with_lines(_FALSE), attack=21),
    note(
        "signature-of-another-text",
        "This key's line is of another text.",
        _SIGNED,
        with_lines(line(text="Something else.\n")),
        attack=21,
    ),
    note(
        "key-of-another-name",
        "The same key signed in another name.",
        "A key's id binds its name.",
        sign(name="note.example/other"),
        attack=21,
    ),
    note("line-twice", "The signature line is there twice.", _WAY, with_lines(line(), line()), elsewhere=GO),
    note("line-false-then-true", "Two lines of this key, the first one false.", _WAY, with_lines(_FALSE, line())),
    note(
        "line-true-then-false",
        "Two lines of this key, the second one false.",
        _WAY,
        with_lines(line(), _FALSE),
        elsewhere=GO,
    ),
    note("carriage-returns", "The lines end in CR LF.", _WAY, _GOOD.replace(b"\n", b"\r\n")),
    note("carriage-return-in-text", "The text was signed with a CR in it.", _WAY, sign("Reserves\r\n")),
    note("tab-in-text", "The text was signed with a tab in it.", _WAY, sign("Reserves\tare\n")),
    note("escape-in-text", "The text was signed with a terminal's escape in it.", _WAY, sign("\x1b[2JReserves\n")),
    note("nul-in-text", "The text was signed with a NUL in it.", _WAY, sign("Reserves\0\n")),
    note("not-utf-8", "The text has the byte FF.", _WAY, replaced(b"Reserves", b"\xffeserves")(_GOOD)),
    note("no-last-newline", "The last newline is missing.", _WAY, _GOOD[:-1]),
    note("newline-behind", "A newline stands behind the signature line.", _WAY, _GOOD + b"\n"),
    note("text-behind", "A line of text stands behind the signature line.", _WAY, _GOOD + b"and more\n"),
    note("no-blank-line", "There is no blank line before the signatures.", _WAY, replaced(b"\n\n", b"\n")(_GOOD)),
    note("no-signatures", "The note ends with the blank line.", "Nobody signed.", TEXT + "\n", attack=11),
    note("empty", "There is no byte.", "Nobody signed anything.", b"", attack=11),
    note("bom", "It begins with a byte order mark.", "It is not what was signed.", b"\xef\xbb\xbf" + _GOOD),
    note(
        "hyphen-for-dash",
        "The signature line begins with a hyphen.",
        "It begins with U+2014.",
        _GOOD.replace("—".encode(), b"-"),
    ),
    note(
        "en-dash-for-dash",
        "The signature line begins with an en dash.",
        "It begins with U+2014.",
        _GOOD.replace("—".encode(), "–".encode()),
        attack=10,
    ),
    note("two-spaces", "Two spaces stand before the signature.", _WAY, replaced(f"{NAME} ", f"{NAME}  ")(_GOOD)),
    note("signature-not-base64", "The signature is no base64.", _WAY, _GOOD[:-3] + b"!=\n"),
    note(
        "signature-base64-respelled",
        "The unused bits of the signature's base64 are not zero.",
        "It has one spelling.",
        respelled(_GOOD),
        elsewhere=GO,
    ),
    note(
        "signature-cut",
        "The signature has 63 bytes.",
        "It has 64.",
        with_lines(NoteSignature(NAME, line().key_id, line().signature[:-1])),
        attack=5,
    ),
    note(
        "signature-longer",
        "The signature has 65 bytes.",
        "It has 64.",
        with_lines(NoteSignature(NAME, line().key_id, line().signature + b"\0")),
        attack=5,
    ),
    note(
        "signature-of-four-bytes",
        "The signature line has a key id and nothing else.",
        _WAY,
        with_lines(NoteSignature(NAME, line().key_id, b"")),
        attack=5,
    ),
    note(
        "signatures-101",
        "There are 101 signature lines.",
        "At most 100 are read.",
        with_lines(line(), *(line(f"note.example/{n}", note_key("stranger")) for n in range(100))),
    ),
    note(
        "signatures-100",
        "There are 100 signature lines.",
        "The boundary is allowed.",
        with_lines(line(), *(line(f"note.example/{n}", note_key("stranger")) for n in range(99))),
        attack=12,
        valid=True,
    ),
    note(
        "vkey-of-another-id",
        "The vkey's id is not that of its key.",
        "It is damaged, or of another name.",
        _GOOD,
        vkey=f"{NAME}+00000000+{VKEY.split('+', 2)[2]}",
        attack=21,
    ),
    note(
        "vkey-without-name",
        "The vkey has no name.",
        "A key has a name.",
        _GOOD,
        vkey="+" + VKEY.split("+", 1)[1],
        attack=21,
    ),
    note(
        "vkey-of-unknown-type",
        "The vkey is of type 9.",
        "Nobody knows how to verify with it.",
        _GOOD,
        vkey=f"{NAME}+{VKEY.split('+')[1]}+{encode_base64(bytes([9]) + KEY.public_key)}",
        attack=21,
    ),
    note(
        "vkey-of-31-bytes",
        "The vkey's key has 31 bytes.",
        "It has 32.",
        _GOOD,
        vkey=f"{NAME}+{VKEY.split('+')[1]}+{encode_base64(bytes([1]) + KEY.public_key[:31])}",
        attack=5,
    ),
    note(
        "vkey-of-a-witness",
        "The line is a cosignature, which another type of key makes.",
        "A cosignature is over another message.",
        with_lines(cosign(TEXT, NAME, KEY, TIME)),
        vkey=VKEY,
        attack=21,
    ),
)

# -- checkpoints -----------------------------------------------------------------------------------------------------

SIZE = 5
ROOT = root_of(SIZE)


def head(
    *cosignatures: NoteSignature,
    text: str | None = None,
    origin: str = ORIGIN,
    key: Ed25519Signer = LOG_KEY,
    name: str | None = None,
) -> bytes:
    """A checkpoint, signed by the log, and these lines."""
    text = Checkpoint(origin, SIZE, ROOT).text if text is None else text
    signed = sign_note(text, name or origin, key)
    return Note(text, signed.signatures + cosignatures).to_bytes()


def witness(name: str, text: str | None = None, time: int = TIME, key: str | None = None) -> NoteSignature:
    """A witness's line; ``key`` is the name of the key that it is made with."""
    text = Checkpoint(ORIGIN, SIZE, ROOT).text if text is None else text
    made = cosign(text, name, note_key(key or name), time)
    return NoteSignature(name, verifier_key(name, COSIGNATURE_V1, note_key(name)).key_id, made.signature)


def timed(name: str, time: bytes, text_time: int) -> NoteSignature:
    """A witness's line with any time in it, signed as of ``text_time``."""
    text = Checkpoint(ORIGIN, SIZE, ROOT).text
    signature = note_key(name).sign(f"cosignature/v1\ntime {text_time}\n{text}".encode())
    return NoteSignature(name, verifier_key(name, COSIGNATURE_V1, note_key(name)).key_id, time + signature)


def checkpoint(
    name: str,
    description: str,
    reason: str,
    data: bytes,
    *,
    attack: int | None = 20,
    witnesses: Sequence[str] = WITNESSES,
    threshold: int = 0,
    log_vkey: str = LOG_VKEY,
    vkeys: Sequence[str] | None = None,
    valid: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Case:
    given: dict[str, Any] = {
        "checkpoint": encode_base64(data),
        "log_vkey": log_vkey,
        "witness_vkeys": list(map(witness_vkey, witnesses) if vkeys is None else vkeys),
        "threshold": threshold,
    }
    return Case(
        *("checkpoint", name, attack, description, reason, lambda: given),
        0 if valid else 6,
        elsewhere=elsewhere or {},
    )


_LINES = f"{ORIGIN}\n{SIZE}\n{encode_base64(ROOT)}\n"
_TEXT_FORM = "Origin, size and root have one form, and there is no other line."

_CHECKPOINTS: tuple[Case, ...] = (
    checkpoint("valid", "Signed by the log.", "It is the log's.", head(), attack=None, valid=True),
    checkpoint(
        "valid-two-witnesses",
        "Signed by the log, cosigned by both witnesses; both are needed.",
        "It is.",
        head(witness(ONE), witness(TWO)),
        attack=None,
        threshold=2,
        valid=True,
    ),
    checkpoint(
        "valid-one-witness",
        "Cosigned by one of two witnesses; one is needed.",
        "It is.",
        head(witness(TWO)),
        attack=None,
        threshold=1,
        valid=True,
    ),
    checkpoint(
        "valid-empty-log",
        "The checkpoint of an empty log.",
        "It is the log's.",
        head(text=Checkpoint(ORIGIN, 0, root_of(0)).text),
        attack=None,
        valid=True,
    ),
    checkpoint(
        "valid-size-2-63-less-1",
        "A log of 2^63 - 1 entries.",
        "The largest size.",
        head(text=Checkpoint(ORIGIN, 2**63 - 1, ROOT).text),
        attack=12,
        valid=True,
    ),
    checkpoint(
        "valid-with-a-stranger",
        "A witness cosigned that is not asked for.",
        "It is ignored.",
        head(witness("witness.example/three"), witness(ONE)),
        threshold=1,
        valid=True,
    ),
    checkpoint(
        "witness-missing",
        "One of two witnesses cosigned; two are needed.",
        "Below the threshold.",
        head(witness(ONE)),
        threshold=2,
    ),
    checkpoint(
        "witness-unknown",
        "A witness cosigned that is not asked for; one is needed.",
        "It does not count.",
        head(witness("witness.example/three")),
        threshold=1,
    ),
    checkpoint(
        "witness-one-key-twice",
        "One witness's key is listed under two names, and signed as both.",
        "Keys are counted, not names.",
        head(
            witness(ONE),
            NoteSignature(
                "witness.example/alias",
                verifier_key("witness.example/alias", COSIGNATURE_V1, note_key(ONE)).key_id,
                cosign(_LINES, "witness.example/alias", note_key(ONE), TIME).signature,
            ),
        ),
        vkeys=[witness_vkey(ONE), verifier_key("witness.example/alias", COSIGNATURE_V1, note_key(ONE)).vkey],
        threshold=2,
        attack=21,
    ),
    checkpoint(
        "witness-of-another-root",
        "The cosignature is over another root.",
        "It is there and false.",
        head(witness(ONE, Checkpoint(ORIGIN, SIZE, bytes(32)).text)),
        threshold=1,
    ),
    checkpoint(
        "witness-of-another-size",
        "The cosignature is over another size.",
        "It is there and false.",
        head(witness(ONE, Checkpoint(ORIGIN, SIZE + 1, ROOT).text)),
        threshold=1,
    ),
    checkpoint(
        "witness-of-another-log",
        "The cosignature is over another log's checkpoint.",
        "It is there and false.",
        head(witness(ONE, Checkpoint("example.com/other", SIZE, ROOT).text)),
        threshold=1,
    ),
    checkpoint(
        "witness-by-another-key",
        "Another key cosigned, in the witness's name and key id.",
        "It is there and false.",
        head(witness(ONE, key="stranger")),
        threshold=1,
        attack=21,
    ),
    checkpoint(
        "witness-false-not-needed",
        "A trusted witness's line is false; none is needed.",
        "A false line in a trusted name is no oversight.",
        head(witness(ONE, key="stranger")),
    ),
    checkpoint(
        "witness-at-time-zero",
        "The cosignature is of time 0, and rightly signed so.",
        "The specification forbids it.",
        head(timed(ONE, bytes(8), 0)),
        threshold=1,
        attack=16,
    ),
    checkpoint(
        "witness-at-time-2-63",
        "The cosignature is of time 2^63, and rightly signed so.",
        "That time is beyond what is allowed.",
        head(timed(ONE, (2**63).to_bytes(8, "big"), 2**63)),
        threshold=1,
        attack=12,
    ),
    checkpoint(
        "witness-time-changed",
        "The time in the line is another than was signed.",
        "It is there and false.",
        head(timed(ONE, (TIME + 86_400).to_bytes(8, "big"), TIME)),
        threshold=1,
        attack=16,
    ),
    checkpoint(
        "witness-plain-signature",
        "The witness signed the note itself, without a time.",
        "A cosignature is over another message.",
        head(
            NoteSignature(
                ONE, verifier_key(ONE, COSIGNATURE_V1, note_key(ONE)).key_id, note_key(ONE).sign(_LINES.encode())
            )
        ),
        threshold=1,
        attack=21,
    ),
    checkpoint(
        "witness-line-twice",
        "The witness's line is there twice.",
        "A note has one form to the byte.",
        head(witness(ONE), witness(ONE)),
        threshold=1,
        attack=24,
        elsewhere=GO,
    ),
    checkpoint(
        "witness-only",
        "Both witnesses cosigned, the log's own signature is missing.",
        "What counts is the log's own signature, not any known key's.",
        Note(_LINES, (witness(ONE), witness(TWO))).to_bytes(),
        threshold=2,
        attack=21,
    ),
    checkpoint(
        "log-by-another-key",
        "Another key signed, in the log's name.",
        "It is not the log's.",
        head(key=note_key("stranger")),
        attack=21,
    ),
    checkpoint(
        "log-line-of-a-cosignature",
        "The log's key signed a cosignature instead of the note.",
        "It is another message.",
        Note(
            _LINES,
            (
                NoteSignature(
                    ORIGIN,
                    verifier_key(ORIGIN, ED25519, LOG_KEY).key_id,
                    cosign(_LINES, ORIGIN, LOG_KEY, TIME).signature,
                ),
            ),
        ).to_bytes(),
        attack=21,
    ),
    checkpoint(
        "origin-other",
        "The log's key signed a checkpoint of another origin, in its own name.",
        "It is another log's.",
        head(text=Checkpoint("example.com/other", SIZE, ROOT).text, name=ORIGIN),
        attack=21,
    ),
    checkpoint(
        "origin-other-name-too",
        "The log's key signed as another log.",
        "It is another log's.",
        head(origin="example.com/other"),
        attack=21,
    ),
    checkpoint(
        "origin-with-slash",
        "The origin ends in a slash.",
        "It is another log's.",
        head(text=Checkpoint(ORIGIN + "/", SIZE, ROOT).text, name=ORIGIN),
        attack=10,
    ),
    checkpoint(
        "origin-in-capitals",
        "The origin is in capital letters.",
        "It is another log's.",
        head(text=Checkpoint(ORIGIN.upper(), SIZE, ROOT).text, name=ORIGIN),
        attack=10,
    ),
    checkpoint(
        "origin-empty",
        "The origin is empty.",
        _TEXT_FORM,
        head(text=f"\n{SIZE}\n{encode_base64(ROOT)}\n", name=ORIGIN),
        attack=11,
    ),
    checkpoint(
        "size-changed",
        "The size was changed after signing.",
        "It is not what the log signed.",
        replaced(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")(head()),
    ),
    checkpoint(
        "root-changed",
        "The root was changed after signing.",
        "It is not what the log signed.",
        replaced(encode_base64(ROOT), encode_base64(bytes(32)))(head()),
    ),
    *(
        checkpoint(
            f"size-{name}",
            f"The log signed the size {text!r}.",
            _TEXT_FORM,
            head(text=f"{ORIGIN}\n{text}\n{encode_base64(ROOT)}\n"),
            attack=attack,
        )
        for name, text, attack in (
            ("with-leading-zero", "05", 24),
            ("with-plus", "+5", 24),
            ("negative", "-5", 4),
            ("with-space", "5 ", 24),
            ("hexadecimal", "0x5", 24),
            ("empty", "", 11),
            ("fraction", "5.0", 17),
            ("exponent", "5e0", 17),
            ("2-63", str(2**63), 12),
            ("2-64", str(2**64 + 5), 12),
            ("arabic-digits", "٥", 10),
            ("of-1000-digits", "9" * 1000, 24),
        )
    ),
    checkpoint(
        "root-of-128-bits",
        "The log signed a root of 128 bits.",
        "A root has 256 bits.",
        head(text=f"{ORIGIN}\n{SIZE}\n{encode_base64(ROOT[:16])}\n"),
        attack=5,
    ),
    checkpoint(
        "root-of-264-bits",
        "The log signed a root of 264 bits.",
        "A root has 256 bits.",
        head(text=f"{ORIGIN}\n{SIZE}\n{encode_base64(ROOT + bytes(1))}\n"),
        attack=5,
    ),
    checkpoint(
        "root-in-hexadecimal",
        "The log signed the root in hexadecimal.",
        "It is in base64.",
        head(text=f"{ORIGIN}\n{SIZE}\n{ROOT.hex()}\n"),
        attack=5,
    ),
    checkpoint(
        "root-base64-respelled",
        "The unused bits of the root's base64 are not zero, and signed so.",
        "It has one spelling.",
        head(text=f"{ORIGIN}\n{SIZE}\n{encode_base64(bytes(32))[:-2]}B=\n"),
        attack=24,
        elsewhere=GO,
    ),
    checkpoint(
        "extension-line", "The log signed a fourth line.", _TEXT_FORM, head(text=_LINES + "extension\n"), attack=24
    ),
    checkpoint("line-missing", "The log signed two lines.", _TEXT_FORM, head(text=f"{ORIGIN}\n{SIZE}\n"), attack=11),
    checkpoint(
        "carriage-returns",
        "The lines end in CR LF.",
        "A note has one form to the byte.",
        head().replace(b"\n", b"\r\n"),
        attack=24,
    ),
    checkpoint(
        "no-last-newline", "The last newline is missing.", "A note has one form to the byte.", head()[:-1], attack=24
    ),
    checkpoint(
        "vkey-of-a-witness",
        "The log's vkey is a witness's.",
        "A log's key is of another type.",
        Note(_LINES, (witness(ONE),)).to_bytes(),
        log_vkey=witness_vkey(ONE),
        witnesses=(),
        attack=21,
    ),
)

# -- log proofs ------------------------------------------------------------------------------------------------------

ENTRY = b'{"statement":"of reserves"}\n'


def proven(index: int = 3, size: int = SIZE, entry: bytes = ENTRY, *cosigned: str) -> bytes:
    """The proof of ``entry``, which is at ``index`` of a log."""
    hashes = [leaf_hash(b"entry %d" % number) for number in range(size)]
    hashes[index] = leaf_hash(entry)
    text = Checkpoint(ORIGIN, size, merkle_root(hashes)).text
    lines = [witness(name, text) for name in cosigned]
    return LogProof(index, merkle_path(hashes, index), head(*lines, text=text)).to_bytes()


def log_proof(
    name: str,
    description: str,
    reason: str,
    data: bytes,
    *,
    entry: bytes = ENTRY,
    attack: int | None = 20,
    threshold: int = 0,
    valid: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Case:
    given = {
        "proof": encode_base64(data),
        "entry": encode_base64(entry),
        "log_vkey": LOG_VKEY,
        "witness_vkeys": list(map(witness_vkey, WITNESSES)),
        "threshold": threshold,
    }
    return Case(
        *("log-proof", name, attack, description, reason, lambda: given),
        0 if valid else 6,
        elsewhere=elsewhere or {},
    )


_PROOF = proven()
_PROOF_LINES = _PROOF.split(b"\n")
_FILE_FORM = "The file has one form to the byte."

_PROOFS: tuple[Case, ...] = (
    log_proof("valid", "Entry 3 of 5.", "It is in the log.", _PROOF, attack=None, valid=True),
    log_proof(
        "valid-only-entry",
        "The only entry of a log: no path.",
        "It is in the log.",
        proven(0, 1),
        attack=None,
        valid=True,
    ),
    log_proof("valid-of-1000", "Entry 999 of 1,000.", "It is in the log.", proven(999, 1000), attack=None, valid=True),
    log_proof(
        "valid-empty-entry",
        "An entry without a byte.",
        "It is in the log.",
        proven(entry=b""),
        entry=b"",
        attack=None,
        valid=True,
    ),
    log_proof(
        "valid-witnessed",
        "Cosigned by both witnesses; both are needed.",
        "It is.",
        proven(3, SIZE, ENTRY, *WITNESSES),
        attack=None,
        threshold=2,
        valid=True,
    ),
    log_proof(
        "entry-changed",
        "A letter of the entry was changed.",
        "That is not in the log.",
        _PROOF,
        entry=ENTRY.replace(b"reserves", b"reServes"),
        attack=3,
    ),
    log_proof(
        "entry-with-newline",
        "A newline was added to the entry.",
        "That is not in the log.",
        _PROOF,
        entry=ENTRY + b"\n",
        attack=24,
    ),
    log_proof(
        "entry-hashed-as-node",
        "The entry is what an inner node hashes.",
        "A leaf has another prefix.",
        _PROOF,
        entry=b"\1" + bytes(64),
        attack=8,
    ),
    log_proof(
        "index-other",
        "The index is 2.",
        "The path leads to another root.",
        replaced("index 3\n", "index 2\n")(_PROOF),
        attack=8,
    ),
    log_proof(
        "index-outside",
        "The index is 5 of 5.",
        "They are counted from 0.",
        replaced("index 3\n", "index 5\n")(_PROOF),
        attack=8,
    ),
    *(
        log_proof(
            f"index-{name}",
            f"The index is written {text!r}.",
            _FILE_FORM,
            replaced("index 3\n", f"index {text}\n")(_PROOF),
            attack=attack,
        )
        for name, text, attack in (
            ("with-leading-zero", "03", 24),
            ("negative", "-3", 4),
            ("with-plus", "+3", 24),
            ("empty", "", 11),
            ("2-64", str(2**64 + 3), 12),
            ("with-space", "3 ", 24),
            ("fraction", "3.0", 17),
        )
    ),
    log_proof(
        "path-shorter",
        "The last hash of the path is missing.",
        "Index and size fix its length.",
        b"\n".join(_PROOF_LINES[:4] + _PROOF_LINES[5:]),
        attack=8,
    ),
    log_proof(
        "path-longer",
        "A hash of zeros is added to the path.",
        "Index and size fix its length.",
        b"\n".join([*_PROOF_LINES[:5], encode_base64(bytes(32)).encode(), *_PROOF_LINES[5:]]),
        attack=8,
    ),
    log_proof(
        "hash-of-128-bits",
        "A hash of the path has 128 bits.",
        "A hash has 256 bits.",
        b"\n".join([*_PROOF_LINES[:2], encode_base64(bytes(16)).encode(), *_PROOF_LINES[3:]]),
        attack=5,
    ),
    log_proof(
        "hash-in-hexadecimal",
        "A hash of the path is in hexadecimal.",
        "It is in base64.",
        b"\n".join([*_PROOF_LINES[:2], b"00" * 32, *_PROOF_LINES[3:]]),
        attack=5,
    ),
    log_proof(
        "header-of-version-2",
        "The first line names version 2.",
        "It may mean another thing.",
        replaced("@v1", "@v2")(_PROOF),
        attack=24,
    ),
    log_proof("header-missing", "The first line is missing.", _FILE_FORM, b"\n".join(_PROOF_LINES[1:]), attack=24),
    log_proof(
        "extra-line",
        "There is an extra line with a claim.",
        "Nothing authenticates it.",
        replaced("index 3\n", "extra dGhlIGJlc3Q=\nindex 3\n")(_PROOF),
        attack=24,
    ),
    log_proof("carriage-returns", "The lines end in CR LF.", _FILE_FORM, _PROOF.replace(b"\n", b"\r\n"), attack=24),
    log_proof("no-last-newline", "The last newline is missing.", _FILE_FORM, _PROOF[:-1], attack=24),
    log_proof(
        "no-checkpoint",
        "There is no checkpoint.",
        "Nobody signed a root.",
        _PROOF.split(b"\n\n")[0] + b"\n\n",
        attack=11,
    ),
    log_proof("empty", "The file is empty.", "Nothing is proven.", b"", attack=11),
    log_proof(
        "checkpoint-of-another-size",
        "The checkpoint is a later one, the path is not.",
        "The path is of another shape.",
        _PROOF.split(b"\n\n")[0] + b"\n\n" + proven(size=9).split(b"\n\n", 1)[1],
    ),
    log_proof(
        "checkpoint-of-another-root",
        "The checkpoint is of the same size in a forked log.",
        "The path leads to another root.",
        _PROOF.split(b"\n\n")[0] + b"\n\n" + proven(entry=b"another").split(b"\n\n", 1)[1],
    ),
    log_proof(
        "checkpoint-forged",
        "The checkpoint is signed by a stranger, in the log's name.",
        "It is not the log's.",
        LogProof(0, (), head(text=Checkpoint(ORIGIN, 1, leaf_hash(ENTRY)).text, key=note_key("stranger"))).to_bytes(),
        attack=21,
    ),
    log_proof(
        "forged-history",
        "The log's own key signed a history in which only this is; witnesses are asked for.",
        "No witness saw that history.",
        proven(0, 1),
        threshold=1,
    ),
    log_proof(
        "empty-log",
        "The checkpoint is that of an empty log.",
        "Nothing is in it.",
        LogProof(0, (), head(text=Checkpoint(ORIGIN, 0, leaf_hash(ENTRY)).text)).to_bytes(),
        attack=11,
    ),
    log_proof(
        "witness-false",
        "A witness's line is over another checkpoint.",
        "It is there and false.",
        LogProof(0, (), head(witness(ONE), text=Checkpoint(ORIGIN, 1, leaf_hash(ENTRY)).text)).to_bytes(),
        threshold=1,
    ),
)

CASES: tuple[Case, ...] = (*_NOTES, *_CHECKPOINTS, *_PROOFS)
