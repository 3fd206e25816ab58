"""The attacks that a verifier must withstand, by their number in the threat model's table.

What concerns trees and proofs by themselves is tested beside them; here the whole verifier is attacked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.documents import PAYLOAD_TYPE, Predicate
from attest.errors import VerificationError
from attest.records import decode_base64, encode_base64, to_json
from attest.signing.signer import SECP256K1_ORDER
from attest.verify.inclusion import verify_proof
from attest.verify.report import exit_code
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged


def test_attack_02__root_from_the_file_that_it_verifies__refused(tmp_path: Path) -> None:
    # A whole tree of the attacker's own, in a proof that is consistent with itself.
    honest, forged = Forge(), Forge(tokens=(bundles.sufficient_token(accounts=3, minor_units=999_999_999),))
    bundle = honest.write(tmp_path / "bundle")
    forged.files()
    (tmp_path / "proof.json").write_bytes(to_json(forged.inclusion_proof()))

    found = verify_proof(tmp_path / "proof.json", bundle, bundles.trust(), now=bundles.NOW)

    assert found.leaf is None
    assert "the signed one is" in found.checks[-1].detail


@pytest.mark.parametrize("field", ["minor_units", "units", "accounts"])
def test_attack_03__declared_total_changed__refused(field: str) -> None:
    def change(reserves: Any) -> Any:
        first = reserves.tokens[0]
        return replace(reserves, tokens=(replace(first, **{field: getattr(first, field) + 1}), *reserves.tokens[1:]))

    assert "subject" in failed(judged(Forge(alter_reserves=change)))


@pytest.mark.parametrize("text", ["-1", "-0", "NaN", "1e3", "1.5", "0x10", " 1", "01", "١"])
def test_attack_04__amount_that_is_no_plain_number__refused(text: str) -> None:
    def change(payload: bytes) -> bytes:
        return payload.replace(b'"reserve_minor_units":"120411307"', f'"reserve_minor_units":"{text}"'.encode())

    report = judged(Forge(alter_payload=change))

    assert "statement" in failed(report)
    assert report.tokens == ()


@pytest.mark.parametrize("number", ["120411307", "NaN", "120411307.0", "Infinity"])
def test_attack_04__amount_as_json_number__refused(number: str) -> None:
    def change(payload: bytes) -> bytes:
        return payload.replace(b'"reserve_minor_units":"120411307"', f'"reserve_minor_units":{number}'.encode())

    assert "statement" in failed(judged(Forge(alter_payload=change)))


@pytest.mark.parametrize("length", [16, 32, 62, 66])
def test_attack_05__truncated_hashes__refused(length: int, tmp_path: Path) -> None:
    forge = Forge()
    bundle = forge.write(tmp_path / "bundle")
    plain = json.loads(to_json(forge.inclusion_proof()))
    plain["audit_path"][0] = (plain["audit_path"][0] * 2)[:length]
    (tmp_path / "proof.json").write_text(json.dumps(plain))

    found = verify_proof(tmp_path / "proof.json", bundle, bundles.trust(), now=bundles.NOW)

    assert found.leaf is None
    assert "audit_path[0]" in found.checks[-1].detail


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: replace(proof, audit_path=proof.audit_path[1:]),
        lambda proof: replace(proof, audit_path=(*proof.audit_path, "00" * 32)),
        lambda proof: replace(proof, leaf_index=2),
        lambda proof: replace(proof, leaf_index=-1),
        lambda proof: replace(proof, leaf_index=3),
        lambda proof: replace(proof, tree_size=2),
        lambda proof: replace(proof, tree_size=4),
        lambda proof: replace(proof, leaf=encode_base64(b"".join(map(bytes.fromhex, proof.audit_path)))),
    ],
)
def test_attack_08__inner_node_wrong_depth_or_length__refused(change: Callable[[Any], Any], tmp_path: Path) -> None:
    forge = Forge()
    bundle = forge.write(tmp_path / "bundle")
    (tmp_path / "proof.json").write_bytes(to_json(change(forge.inclusion_proof())))

    assert verify_proof(tmp_path / "proof.json", bundle, bundles.trust(), now=bundles.NOW).leaf is None


def test_attack_11__empty_folder__exit_6(tmp_path: Path) -> None:
    report = verify_bundle(tmp_path, bundles.trust(), now=bundles.NOW)

    assert "files" in failed(report)
    assert "pass" not in {check.outcome for check in report.checks}
    assert exit_code(report) == 6


def test_attack_11__statement_about_nothing__exit_6() -> None:
    report = judged(Forge(alter_predicate=lambda predicate: replace(predicate, tokens=())))

    assert "statement" in failed(report)
    assert exit_code(report) == 6


def test_attack_11__trust_file_that_expects_nothing__refused() -> None:
    with pytest.raises(ValueError, match="nothing would be checked"):
        replace(bundles.trust(), tokens=())


def test_attack_11__every_check__says_pass_fail_or_skipped() -> None:
    for files in (bundles.standard_files(), {}):
        for check in judged(files).checks:
            assert check.outcome in {"pass", "fail", "skipped"}
            assert check.detail


def test_attack_13__totals_of_two_tokens_swapped__refused() -> None:
    def swap(predicate: Predicate) -> Predicate:
        eurw, usdw = predicate.tokens
        fields = ("reserve_minor_units", "reserve_units", "surplus_units", "ratio_percent")
        return replace(
            predicate,
            tokens=(
                replace(eurw, **{field: getattr(usdw, field) for field in fields}),
                replace(usdw, **{field: getattr(eurw, field) for field in fields}),
            ),
        )

    assert "statement" in failed(judged(Forge(alter_predicate=swap)))


def test_attack_13__one_token_short_another_in_surplus__is_short() -> None:
    rich = bundles.sufficient_token("EURW", "EUR", bundles.EURW, decimals=2, minor_units=10**12, supply=1, accounts=1)
    poor = bundles.sufficient_token(supply=1_204_113_070_001)

    report = judged(Forge(tokens=(rich, poor)))

    assert failed(report) == []
    assert [(token.token, token.state) for token in report.tokens] == [("EURW", "sufficient"), ("USDW", "short")]
    assert exit_code(report) == 4


def test_attack_14__trust_file_shipped_with_the_bundle__refused(tmp_path: Path) -> None:
    bundle = bundles.write(bundles.standard_files(), tmp_path / "bundle")
    (bundle / "trust.json").write_bytes(to_json(bundles.trust()))

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(bundle / "trust.json", bundle)


def test_attack_14__keys_in_the_envelope__are_not_looked_at() -> None:
    def embed(envelope: bytes) -> bytes:
        plain = json.loads(envelope)
        stranger = bundles.attestor(9)
        body = decode_base64(plain["payload"])
        for number, signature in enumerate(plain["signatures"]):
            signature["keyid"] = bundles.attestor(number).keyid  # claims to be a trusted key
            signature["sig"] = encode_base64(stranger.sign(body))
        return json.dumps(plain).encode()

    assert "signatures" in failed(judged(Forge(alter_envelope=embed)))


def test_attack_15__bundle_of_another_period_replayed__refused() -> None:
    replayed = Forge(alter_predicate=lambda predicate: replace(predicate, period="2026-W44"))

    assert "period" in failed(judged(replayed))


def test_attack_15__parts_of_two_periods_mixed__refused() -> None:
    files = dict(bundles.standard_files())
    revision = Forge(alter_predicate=lambda predicate: replace(predicate, revision=1)).files()
    for name in ("attestation.dsse.json", "receipts.json", "reserves.json", "attestation.tlog-proof"):
        # Even when whoever mixes them can sign the manifest.
        mixed = bundles.sealed({**files, name: revision[name]})

        assert exit_code(judged(mixed)) == 6, name


def test_attack_15__future_period__refused() -> None:
    assert "period" in failed(judged(Forge(), now=bundles.CUTOFF - timedelta(days=1)))


def test_attack_16__stale_attestation__refused() -> None:
    report = judged(Forge(), now=bundles.CUTOFF + timedelta(days=30))

    assert failed(report) == ["freshness"]
    assert exit_code(report) == 6


def test_attack_16__fresh_statement_over_an_old_balance__refused() -> None:
    old = replace(bundles.sufficient_token(), oldest_as_of=bundles.CUTOFF - timedelta(days=5))

    report = judged(Forge(tokens=(Forge().tokens[0], old)))

    assert "statement" in failed(report)
    assert "policy in force allows" in detail(report, "statement")


def resigned(change: Callable[[bytes, bytes], bytes]) -> Callable[[bytes], bytes]:
    """An envelope whose signatures are ``change(payload, signature)``."""

    def alter(envelope: bytes) -> bytes:
        plain = json.loads(envelope)
        body = decode_base64(plain["payload"])
        for signature in plain["signatures"]:
            signature["sig"] = encode_base64(change(body, decode_base64(signature["sig"])))
        return json.dumps(plain).encode()

    return alter


def test_attack_21__another_known_key__refused() -> None:
    # The third attestor is trusted, but one key is not two.
    report = judged(Forge(alter_envelope=resigned(lambda body, _: bundles.attestor(2).sign(body))))

    assert failed(report) == ["signatures"]
    assert detail(report, "signatures").startswith("signed by attestor 2 (2 needed")


def test_attack_21__high_s_twin__refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    def twin(body: bytes, signature: bytes) -> bytes:
        r, s = decode_dss_signature(signature)
        return encode_dss_signature(r, SECP256K1_ORDER - s)

    assert failed(judged(Forge(alter_envelope=resigned(twin)))) == ["signatures"]


def test_attack_21__wrong_payload_type__refused() -> None:
    report = judged(Forge(payload_type="application/json"))

    assert failed(report) == ["signatures"]
    assert PAYLOAD_TYPE in detail(report, "signatures")


def test_attack_21__type_changed_after_signing__refused() -> None:
    def change(envelope: bytes) -> bytes:
        return envelope.replace(PAYLOAD_TYPE.encode(), b"application/json")

    assert failed(judged(Forge(alter_envelope=change))) == ["signatures"]


def test_attack_21__pae_confusion__refused() -> None:
    # What was signed shifts a byte from the type into the body: another message under PAE.
    def shifted(body: bytes, _: bytes) -> bytes:
        return bundles.attestor(0).sign(PAYLOAD_TYPE[-1:].encode() + body, PAYLOAD_TYPE[:-1])

    assert failed(judged(Forge(alter_envelope=resigned(shifted)))) == ["signatures"]


def test_attack_21__payload_signed_without_its_type__refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    def bare(body: bytes, _: bytes) -> bytes:
        return bundles.attestor(0).key.sign(body, ec.ECDSA(SHA256()))

    assert failed(judged(Forge(alter_envelope=resigned(bare)))) == ["signatures"]


def test_attack_24__deep_nesting__refused_in_words() -> None:
    report = judged(Forge(alter_files=lambda files: files.update({"receipts.json": b"[" * 500_000})))

    assert exit_code(report) == 6


def test_attack_24__huge_integer__refused_in_words() -> None:
    big = b'{"format":"attest-receipts/1","period":' + b"9" * 500_000 + b"}"
    report = judged(Forge(alter_files=lambda files: files.update({"receipts.json": big})))

    assert exit_code(report) == 6


def test_attack_24__name_twice_in_one_object__refused() -> None:
    def twice(payload: bytes) -> bytes:
        return payload.replace(b'"verdict":"sufficient"', b'"verdict":"short","verdict":"sufficient"', 1)

    report = judged(Forge(alter_payload=twice))

    assert "statement" in failed(report)
    assert "stands twice" in detail(report, "statement")


@pytest.mark.parametrize("name", ["reserves.json", "receipts.json", "attestation.dsse.json", "manifest.json"])
@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf{}", b"\xff\xfe", b"null", b"[]", b'{"a":1}', b"\x00"])
def test_attack_24__file_that_is_no_such_document__exit_6(name: str, data: bytes) -> None:
    files = {**bundles.standard_files(), name: data}
    if name != "manifest.json":
        files = bundles.sealed(files)

    assert exit_code(judged(files, proofs=name == "manifest.json")) == 6
