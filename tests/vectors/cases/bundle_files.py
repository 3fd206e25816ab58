"""A bundle's folder: files that are missing, added, changed, or no such document; and valid ones of every make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from attest.documents import MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE, Disclosure
from attest.records import decode_base64, dump_plain, encode_base64, to_json
from attest.signing import dsse
from tests.support import bundles
from tests.support.bundles import WITNESSES, abandoned, attestor, sealed
from tests.vectors.cases import ecdsa
from tests.vectors.cases.case import Case, replaced
from tests.vectors.cases.forging import (
    SMALL_TRUST,
    TRUST,
    Files,
    bundle,
    forge,
    pair,
    predicate,
    small,
)

#: The manifest is read for the files and for the period.
MANIFEST = ("files", "period")


def without(*names: str) -> Callable[[], Files]:
    return lambda: {name: data for name, data in small().files().items() if name not in names}


def given(**files: bytes) -> Callable[[], Files]:
    """The bundle with these files instead (``reserves_json``), as its manifest lists it no more."""
    return lambda: small().files() | {name.replace("_", "."): data for name, data in files.items()}


def document(name: str, data: bytes) -> Callable[[], Files]:
    """The bundle with another document of this name, which the signed manifest lists as it is."""
    return lambda: sealed(small().files() | {name: data})


def signed_manifest(data: bytes, payload_type: str = MANIFEST_PAYLOAD_TYPE) -> Files:
    """This manifest and its envelope, signed by the first attestor."""
    signature = (attestor(0).keyid, attestor(0).sign(data, payload_type))
    return {
        "manifest.json": data,
        "manifest.dsse.json": dsse.assemble_envelope(payload_type, data, [signature]),
    }


def manifest(change: Callable[[bytes], bytes]) -> Callable[[], Files]:
    """The bundle with another manifest, signed as it is."""

    def files() -> Files:
        made = small().files()
        return made | signed_manifest(change(made["manifest.json"]))

    return files


def _signed_again(payload_type: str) -> Files:
    made = small().files()
    return made | signed_manifest(made["manifest.json"], payload_type)


def _manifest_signature(made: Files) -> Files:
    return {"manifest.dsse.json": made["manifest.dsse.json"]}


def _with_manifest_envelope(change: Callable[[bytes], bytes]) -> Files:
    made = small().files()
    return made | {"manifest.dsse.json": change(made["manifest.dsse.json"])}


def _manifest_envelope(change: Callable[[dict[str, Any]], None]) -> Callable[[], Files]:
    """The bundle with its manifest's envelope changed as JSON."""

    def alter(data: bytes) -> bytes:
        plain = json.loads(data)
        change(plain)
        return dump_plain(plain)

    return lambda: _with_manifest_envelope(alter)


def _each(plain: dict[str, Any], field: str, change: Callable[[str], str]) -> None:
    for signature in plain["signatures"]:
        signature[field] = change(signature[field])


def _high_s(text: str) -> str:
    return encode_base64(ecdsa.high_s(decode_base64(text)))


def _listing(*more: dict[str, object]) -> Callable[[bytes], bytes]:
    """The manifest with these entries besides."""

    def change(data: bytes) -> bytes:
        plain = json.loads(data)
        plain["files"] += more
        return dump_plain(plain)

    return change


def _first_again(data: bytes) -> bytes:
    return _listing(json.loads(data)["files"][0])(data)


def _size_less_one(data: bytes) -> bytes:
    plain = json.loads(data)
    plain["files"][0]["size"] -= 1
    return dump_plain(plain)


def _entry(name: str) -> dict[str, object]:
    return {"name": name, "sha256": "00" * 32, "size": 1}


def trusting(old: str, new: str) -> str:
    """The trust file's text, changed."""
    return replaced(old, new)(to_json(SMALL_TRUST)).decode()


_FORGERS_TRUST = replace(
    SMALL_TRUST,
    attestors=tuple(
        replace(trusted, public_key=attestor(number).pem)
        for number, trusted in enumerate(SMALL_TRUST.attestors, start=7)
    ),
)
_ISSUER = "Example <script>alert('issuer')</script>\x1b[31m\u202eLtd"

_VALID: tuple[Case, ...] = (
    pair(
        "valid",
        "An attestation of two tokens, signed by two attestors, in the log, cosigned by two witnesses; its reader "
        "demands witnesses and an independent memory.",
        "Everything that can be checked offline holds.",
        forge(),
        trust=replace(TRUST, demands=("witnesses", "independent")),
        exit_code=0,
    ),
    bundle("valid-small", "The same with one token.", "Everything holds.", small(), exit_code=0),
    bundle(
        *("valid-three-signatures", "All three attestors signed, two are needed.", "More than enough is enough."),
        small(signers=(0, 1, 2)),
        exit_code=0,
    ),
    bundle(
        *("valid-stranger-signed-too", "A key that nobody knows signed too.", "It is ignored, and counted as ignored."),
        small(signers=(0, 1, 7)),
        attack=21,
        exit_code=0,
    ),
    bundle(
        *("valid-one-witness", "One of the two witnesses cosigned, one is needed.", "One is enough."),
        small(witnesses=WITNESSES[:1]),
        exit_code=0,
    ),
    bundle(
        *("valid-log-of-one", "The statement is the log's only entry.", "A path of no hash is a path."),
        small(log_size=1, log_index=0),
        exit_code=0,
    ),
    bundle(
        *("valid-log-of-1000", "The statement is entry 700 of 1,000 in the log.", "A longer path."),
        small(log_size=1000, log_index=700),
        exit_code=0,
    ),
    bundle(
        *("valid-report-beside-it", "A further file is in the folder, and in the manifest."),
        "What is listed may be there.",
        small(alter_files=lambda files: files.update({"report.html": b"<!doctype html><title>Report</title>"})),
        exit_code=0,
    ),
    bundle(
        *("valid-rehearsal", "The clock was pinned by configuration."),
        "A rehearsal is no claim about money; a reader is told that it is one.",
        small(alter_predicate=predicate(clock="pinned")),
        exit_code=0,
    ),
    bundle(
        *("valid-abandoned-attempt", "The first attempt was abandoned, for a reason that is HTML."),
        "A reader is told of it. What is shown must be escaped.",
        small(
            alter_predicate=predicate(
                attempt=2,
                abandoned=abandoned("<img src=x onerror=alert(1)> \x1b]0;title\x07\x1b[2J wrong statement"),
                disclosures=(Disclosure("dissent", "outvoted", "ab" * 32),),
            )
        ),
        attack=25,
        exit_code=0,
    ),
    bundle(
        *("valid-issuer-with-html-and-escapes", "The issuer's name, here and in the trust file, is hostile."),
        "It is the expected one. What is shown must be escaped: HTML, terminal sequences, changes of direction.",
        small(alter_predicate=predicate(issuer=_ISSUER)),
        attack=25,
        trust=replace(SMALL_TRUST, issuer=_ISSUER),
        exit_code=0,
    ),
)

_FOLDER: tuple[Case, ...] = (
    bundle(
        *("files-none", "There is no file at all.", "Nothing was checked: that is no success."),
        dict,
        attack=11,
        fails=MANIFEST[:1],
    ),
    bundle(
        *("files-empty", "All files are there, and empty.", "Nothing was checked: that is no success."),
        lambda: dict.fromkeys(small().files(), b""),
        attack=11,
        fails=["files", "statement", "log-inclusion", "witnesses"],
    ),
    bundle(
        *(
            "files-reserves-missing",
            "reserves.json is missing, and not listed.",
            "What the statement is about is missing.",
        ),
        lambda: sealed(without("reserves.json")()),
        attack=11,
        fails=MANIFEST,
    ),
    bundle(
        *("files-receipts-missing", "receipts.json is listed and missing.", "The folder is not whole."),
        without("receipts.json"),
        fails=MANIFEST,
    ),
    bundle(
        *("files-manifest-missing", "There is no manifest.", "Nobody says which files belong together."),
        without("manifest.json"),
        fails=MANIFEST,
    ),
    bundle(
        *("files-statement-missing", "There is no attestation.dsse.json, and the manifest does not list it."),
        "Nobody states anything.",
        lambda: sealed(without("attestation.dsse.json")()),
        attack=11,
        fails=["files"],
    ),
    bundle(
        *("files-log-proof-missing", "There is no log proof, and the manifest does not list it."),
        "That it is in the log is not shown; skipping what is required is no success.",
        lambda: sealed(without("attestation.tlog-proof")()),
        attack=20,
        fails=MANIFEST,
    ),
    bundle(
        *("files-one-added", "A file is there that the manifest does not list.", "A bundle is its files and no other."),
        given(notes_txt=b"all is well\n"),
        fails=MANIFEST,
    ),
    bundle(
        *("files-one-changed", "A space was added to receipts.json.", "Its digest is not the listed one."),
        lambda: small().files() | {"receipts.json": small().files()["receipts.json"] + b" "},
        fails=MANIFEST,
    ),
    bundle(
        *("files-trust-in-the-bundle", "The bundle brings a trust file with the forger's keys, and is signed by them."),
        "What counts is the reader's own trust file: by that one the signers are strangers.",
        small(
            signers=(7, 8),
            alter_files=lambda files: files.update({"trust.json": to_json(_FORGERS_TRUST)}),
        ),
        attack=14,
        fails=["signatures"],
    ),
    bundle(
        *("files-name-with-space", "A listed file's name has a space.", "Names are plain, so that all tools agree."),
        small(alter_files=lambda files: files.update({"my report.html": b"x"})),
        attack=24,
        fails=["files"],
    ),
    bundle(
        *("files-name-hidden", "A listed file's name begins with a dot.", "Hidden files are not looked at by people."),
        small(alter_files=lambda files: files.update({".report.html": b"x"})),
        attack=24,
        fails=["files"],
    ),
    bundle(
        *("files-name-with-escape", "A listed file's name has a terminal's escape sequence."),
        "Names are plain. What is shown of it must be escaped.",
        small(alter_files=lambda files: files.update({"\x1b[2Jreport.html": b"x"})),
        attack=24,
        fails=["files"],
    ),
    bundle(
        *("files-65", "There are 65 files, all listed.", "A bundle has at most 64."),
        small(alter_files=lambda files: files.update({f"report-{n:02d}.txt": b"x" for n in range(59)})),
        attack=24,
        fails=["files"],
    ),
    bundle(
        *("files-64", "There are 64 files, all listed.", "The boundary is allowed."),
        small(alter_files=lambda files: files.update({f"report-{n:02d}.txt": b"x" for n in range(58)})),
        attack=12,
        exit_code=0,
    ),
)

_SIGNED: tuple[Case, ...] = (
    bundle(
        *("manifest-of-older-format", "The bundle of a statement that names no signed manifest."),
        "An older format: nobody signed its manifest, and that is said.",
        small(signed_manifest=False),
        exit_code=0,
    ),
    bundle(
        *("manifest-signed-by-both", "Both attestors signed the manifest.", "One is needed."),
        small(manifest_signers=(0, 1)),
        exit_code=0,
    ),
    bundle(
        *("manifest-unsigned", "The manifest's signature is missing.", "The statement names a signed manifest."),
        without("manifest.dsse.json"),
        attack=21,
        fails=["files"],
    ),
    bundle(
        *("manifest-downgraded", "The statement names a signed manifest; the folder has one of the older format."),
        "There is no way back to a manifest that nobody signed.",
        lambda: sealed(small().files(), signers=()),
        attack=21,
        fails=["files"],
    ),
    bundle(
        *("manifest-downgraded-and-signed", "The manifest is of the older format, and signed."),
        "That format's manifest.dsse.json is a file like any other, and is not listed.",
        manifest(replaced("attest-manifest/2", "attest-manifest/1")),
        attack=21,
        fails=MANIFEST,
    ),
    *(
        bundle(f"manifest-signed-{name}", description, reason, made, attack=attack, fails=["files"])
        for name, description, reason, attack, made in (
            (
                *("by-a-stranger", "A stranger signed the manifest.", "The reader does not know the key.", 14),
                small(manifest_signers=(7,)),
            ),
            (
                *("by-a-stranger-too", "An attestor and a stranger signed the manifest."),
                *("Whatever stands in the envelope must be known, or anybody could add to it.", 21),
                small(manifest_signers=(0, 7)),
            ),
            (
                *("as-another-manifest", "The signature is over the manifest of another bundle."),
                *("It signs other files.", 15),
                lambda: small().files() | _manifest_signature(small(log_size=6).files()),
            ),
            (
                *("as-another-type", "The manifest is signed as a statement would be."),
                *("A signature for one use must not serve another.", 21),
                lambda: _signed_again(PAYLOAD_TYPE),
            ),
            (
                *("by-the-statement", "The statement's own envelope stands in the place of the manifest's."),
                *("It signs another thing.", 21),
                lambda: _with_manifest_envelope(lambda _: small().files()["attestation.dsse.json"]),
            ),
            (
                *("with-high-s", "The manifest's signature has the higher of the two possible s."),
                *("A signature has one form.", 21),
                _manifest_envelope(lambda plain: _each(plain, "sig", _high_s)),
            ),
            (
                *("with-another-keyid", "The keyid of the manifest's signature is another attestor's."),
                *("Nothing in this envelope may be changed without notice, hints included.", 21),
                _manifest_envelope(lambda plain: _each(plain, "keyid", lambda _: attestor(1).keyid)),
            ),
            (
                *("twice", "The manifest's signature is there twice."),
                *("This envelope is written in one way.", 21),
                _manifest_envelope(lambda plain: plain.update(signatures=plain["signatures"] * 2)),
            ),
            (
                *("respelled", "The manifest's envelope has a space in it."),
                *("This envelope is written in one way.", 21),
                lambda: _with_manifest_envelope(replaced('","payloadType', '", "payloadType')),
            ),
            (
                *("by-nobody", "The manifest's envelope has no signature.", "Nobody signed it.", 11),
                _manifest_envelope(lambda plain: plain.update(signatures=[])),
            ),
        )
    ),
    bundle(
        *("manifest-signed-by-retired-key", "The manifest is signed by a key that was valid until the week before."),
        "It does not count for this week.",
        small(signers=(1, 2)),
        attack=21,
        trust=replace(
            SMALL_TRUST,
            attestors=(replace(SMALL_TRUST.attestors[0], valid_until="2026-W46"), *SMALL_TRUST.attestors[1:]),
        ),
        fails=["files"],
    ),
    bundle(
        *("manifest-of-another-period", "The manifest, rightly signed, is of the week before."),
        "It belongs to another attestation.",
        lambda: sealed(small().files(), period="2026-W46"),
        attack=15,
        fails=["period"],
    ),
    bundle(
        *("manifest-of-another-revision", "The manifest, rightly signed, is of revision 1."),
        "It belongs to another attestation.",
        lambda: sealed(small().files(), revision=1),
        attack=15,
        fails=["period"],
    ),
    bundle(
        *("manifest-lists-its-signature", "The manifest lists manifest.dsse.json.", "It cannot have its digest."),
        manifest(_listing(_entry("manifest.dsse.json"))),
        fails=MANIFEST,
    ),
)

_MANIFEST: tuple[Case, ...] = (
    bundle(
        *("manifest-lists-twice", "The manifest lists a file twice.", "A reader could take either entry."),
        manifest(_first_again),
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-lists-itself", "The manifest lists itself.", "It cannot have its own digest."),
        manifest(_listing(_entry("manifest.json"))),
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-size-false", "The manifest gives a file's digest rightly, and its size wrongly."),
        "Both must be right.",
        manifest(_size_less_one),
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-lists-path-upwards", "The manifest lists ../../etc/passwd.", "No name leads out of the folder."),
        manifest(_listing(_entry("../../etc/passwd"))),
        attack=24,
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-lists-absolute-path", "The manifest lists /etc/passwd.", "No name leads out of the folder."),
        manifest(_listing(_entry("/etc/passwd"))),
        attack=24,
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-lists-backslashes", r"The manifest lists ..\..\boot.ini.", "No name leads out of the folder."),
        manifest(_listing(_entry(r"..\..\boot.ini"))),
        attack=24,
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-lists-nul", "The manifest lists a name with a NUL byte.", "Some systems' names end there."),
        manifest(_listing(_entry("reserves.json\0.txt"))),
        attack=24,
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-of-newer-format", "The manifest is of format 9.", "A newer format may mean another thing."),
        manifest(replaced('"attest-manifest/', '"attest-manifest/9')),
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-name-twice", "The manifest has the name files twice, first empty.", "Readers differ."),
        manifest(replaced('"files":[', '"files":[],"files":[')),
        attack=24,
        fails=MANIFEST,
    ),
    bundle(
        *("manifest-digest-short", "A digest in the manifest has 128 bits.", "A digest has 256 bits."),
        manifest(lambda data: data.replace(data.split(b'"sha256":"')[1][:64], data.split(b'"sha256":"')[1][:32])),
        attack=5,
        fails=MANIFEST,
    ),
)

_DOCUMENTS: tuple[Case, ...] = (
    *(
        bundle(
            f"receipts-{name}",
            f"receipts.json, as the manifest lists it, is {what}.",
            "It cannot be read, so what it should show is not shown; skipping what is required is no success.",
            document("receipts.json", data),
            attack=24,
        )
        for name, what, data in (
            ("empty", "empty", b""),
            ("null", "null", b"null\n"),
            ("binary", "four bytes that are no text", b"\x00\xff\xfe\x01"),
            ("open-brackets", "20,000 opening brackets", b"[" * 20_000),
            ("long-number", "a number of 20,000 digits", b"9" * 20_000),
            ("long-line", "one line of 20,000 characters that is no JSON", b"a" * 20_000),
        )
    ),
    bundle(
        *("reserves-unreadable", "reserves.json, signed as it is, is no JSON.", "It cannot be read."),
        small(
            alter_files=lambda files: files.update({"reserves.json": b"{]\n"}),
        ),
        attack=24,
        fails=["subject"],
    ),
)

#: The trust file itself is refused: nothing is verified by it.
_TRUST: tuple[Case, ...] = tuple(
    bundle(f"trust-{name}", description, reason, small(), attack=attack, trust=trust, refused_trust=True)
    for name, description, reason, attack, trust in (
        ("empty", "The trust file is empty.", "Nothing is pinned.", 11, ""),
        ("empty-object", "The trust file is {}.", "Nothing is pinned.", 11, "{}"),
        (
            *("expects-no-token", "The trust file expects no token.", "Nothing would be checked.", 11),
            trusting('"tokens":[{', '"tokens":[],"was":[{'),
        ),
        (
            *("threshold-zero", "The trust file asks for no signature.", "Nothing would be checked.", 11),
            trusting('"attestor_threshold":2', '"attestor_threshold":0'),
        ),
        (
            *(
                "threshold-above-keys",
                "The trust file asks for 4 signatures of 3 keys.",
                "It could never be met.",
                None,
            ),
            trusting('"attestor_threshold":2', '"attestor_threshold":4'),
        ),
        (
            *(
                "witness-threshold-above-keys",
                "The trust file asks for 3 of 2 witnesses.",
                "It could never be met.",
                None,
            ),
            trusting('"threshold":1', '"threshold":3'),
        ),
        (
            *("log-vkey-of-another-name", "The log's vkey is of another name than its origin.", "Whose log is it?", 21),
            trusting('"origin":"example.com/reserves"', '"origin":"example.com/other"'),
        ),
        (
            *("log-vkey-damaged", "The log's vkey has another key id than its key gives.", "It is damaged.", 21),
            trusting(bundles.LOG_VKEY.split("+")[1], bundles.LOG_VKEY.split("+")[1][::-1]),
        ),
        (
            *("demand-unknown", "The trust file demands something that this version does not know."),
            *("A demand that is not understood cannot be met.", 11),
            trusting('"demands":[]', '"demands":["everything"]'),
        ),
        (
            *("name-twice", "The trust file has the attestor threshold twice: 2, then 1.", "Readers differ.", 24),
            trusting('"attestor_threshold":2', '"attestor_threshold":2,"attestor_threshold":1'),
        ),
        (
            *("token-twice", "The trust file expects one token twice.", "A reader could take either.", 10),
            trusting('"tokens":[', '"tokens":[' + to_json(SMALL_TRUST.tokens[0]).decode().strip() + ","),
        ),
    )
)

CASES: tuple[Case, ...] = (*_VALID, *_FOLDER, *_SIGNED, *_MANIFEST, *_DOCUMENTS, *_TRUST)
