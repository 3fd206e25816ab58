"""The manifest's signature: who may give it, that nobody can leave it out, and that it has one form only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from attest.documents import MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE
from attest.records import encode_base64
from attest.signing import dsse
from attest.signing.signer import SECP256K1_ORDER
from attest.verify.bundle import MANIFEST, MANIFEST_ENVELOPE
from attest.verify.report import exit_code
from tests.support import bundles
from tests.support.bundles import Forge, attestor, detail, failed, judged

FORGE = Forge()
OLD = Forge(signed_manifest=False)


def envelope(listing: bytes, *signers: int, payload_type: str = MANIFEST_PAYLOAD_TYPE) -> bytes:
    signatures = [(attestor(number).keyid, attestor(number).sign(listing, payload_type)) for number in signers]
    return dsse.assemble_envelope(payload_type, listing, signatures)


def with_envelope(change: Callable[[bytes], bytes]) -> Mapping[str, bytes]:
    """The bundle without its chain proof, and ``change(manifest)`` as the manifest's envelope."""
    files = bundles.without_chain_proof(bundles.standard_files())
    return files | {MANIFEST_ENVELOPE: change(files[MANIFEST])}


def test_files__signed_manifest__says_who_signed() -> None:
    report = judged(FORGE)

    assert failed(report) == []
    assert detail(report, "files") == (
        "4 files, each as the manifest lists it, and no other; the manifest is signed by attestor 0"
    )


def test_files__manifest_signed_by_several__names_all() -> None:
    report = judged(Forge(manifest_signers=(0, 2)))

    signers = detail(report, "files").partition("signed by ")[2].split(", ")
    assert sorted(signers) == ["attestor 0", "attestor 2"]


def test_files__older_statement_with_unsigned_manifest__passes_and_says_what_that_means() -> None:
    report = judged(OLD)

    assert failed(report) == []
    assert exit_code(report) == 0
    assert "nobody signed the manifest (an older format)" in detail(report, "files")


def test_files__older_statement_with_signed_manifest__passes() -> None:
    report = judged(bundles.sealed(OLD.files()))

    assert failed(report) == []
    assert "the manifest is signed by attestor 0" in detail(report, "files")


def test_files__signature_left_out__refused() -> None:
    files = {name: data for name, data in bundles.standard_files().items() if name != MANIFEST_ENVELOPE}

    report = judged(files, proofs=True)

    assert failed(report) == ["files"]
    assert "manifest.dsse.json is missing" in detail(report, "files")


def test_files__downgraded_to_the_unsigned_format__refused() -> None:
    report = judged(bundles.sealed(bundles.standard_files(), signers=()), proofs=True)

    assert failed(report) == ["files"]
    assert "the statement names a signed manifest (attest-manifest/2), this manifest.json is attest-manifest/1" in (
        detail(report, "files")
    )


def test_files__envelope_beside_an_unsigned_manifest__is_a_file_too_many() -> None:
    files = OLD.files()

    report = judged({**files, MANIFEST_ENVELOPE: envelope(files[MANIFEST], 0)}, proofs=True)

    assert "manifest.dsse.json is not listed" in detail(report, "files")


def test_files__signed_by_a_stranger__refused() -> None:
    report = judged(Forge(manifest_signers=(9,)))

    assert failed(report) == ["files"]
    assert "not by any attestor of your trust file" in detail(report, "files")


def test_files__a_strangers_signature_beside_a_trusted_one__refused() -> None:
    # It would be a place where anybody can change the bundle without notice.
    assert failed(judged(Forge(manifest_signers=(0, 9)))) == ["files"]


def test_files__signed_only_by_a_key_of_an_earlier_period__refused() -> None:
    trust = bundles.trust()
    retired = replace(trust.attestors[2], valid_until="2026-W46")
    trust = replace(trust, attestors=(*trust.attestors[:2], retired))

    report = judged(Forge(manifest_signers=(2,)), trust)

    assert failed(report) == ["files"]
    assert "signed by nobody whom you trust for 2026-W47" in detail(report, "files")
    assert failed(judged(Forge(manifest_signers=(1, 2)), trust)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda listing: envelope(listing + b" ", 0), "does not sign this manifest.json"),
        (lambda listing: envelope(listing, 0, payload_type=PAYLOAD_TYPE), "does not sign this manifest.json"),
        (lambda listing: envelope(listing, 0) + b" ", "in the one way"),
        (lambda listing: envelope(listing, 0).replace(b":", b": ", 1), "in the one way"),
        (lambda listing: b"{}", "is missing"),
        (lambda listing: b"", "is not JSON"),
    ],
)
def test_files__envelope_of_something_else_or_in_another_form__refused(
    change: Callable[[bytes], bytes], said: str
) -> None:
    report = judged(with_envelope(change))

    assert failed(report) == ["files"]
    assert said in detail(report, "files")


def resigned(change: Callable[[dict[str, str]], None]) -> Callable[[bytes], bytes]:
    def alter(listing: bytes) -> bytes:
        plain = json.loads(envelope(listing, 0, 1))
        for signature in plain["signatures"]:
            change(signature)
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"

    return alter


def high_s(signature: dict[str, str]) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    from attest.records import decode_base64

    r, s = decode_dss_signature(decode_base64(signature["sig"]))
    signature["sig"] = encode_base64(encode_dss_signature(r, SECP256K1_ORDER - s))


@pytest.mark.parametrize(
    "change",
    [
        high_s,
        lambda signature: signature.update(keyid="00" * 32),
        lambda signature: signature.update(keyid=signature["keyid"].upper()),
        lambda signature: signature.update(keyid=attestor(0).keyid),
    ],
)
def test_files__signature_that_is_not_the_named_keys_in_its_one_form__refused(
    change: Callable[[dict[str, str]], None],
) -> None:
    assert failed(judged(with_envelope(resigned(change)))) == ["files"]


def test_files__signatures_in_another_order__refused() -> None:
    def reverse(listing: bytes) -> bytes:
        plain = json.loads(envelope(listing, 0, 1))
        plain["signatures"].reverse()
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"

    assert failed(judged(with_envelope(reverse))) == ["files"]


def test_files__receipts_changed_after_signing__refused() -> None:
    files = bundles.without_chain_proof(bundles.standard_files())
    files["receipts.json"] = files["receipts.json"].replace(b'"gas_used":90000', b'"gas_used":90001')
    files[MANIFEST] = bundles.manifest(files)

    assert failed(judged(files)) == ["files"]
