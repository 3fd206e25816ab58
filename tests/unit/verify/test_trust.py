"""The trust file: from outside only, and strict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.errors import OperatorError, VerificationError
from attest.log.note import ED25519, verifier_key
from attest.period import Period
from attest.records import to_json, to_plain
from attest.verify.trust import MAX_TRUST_BYTES, load_trust, read_trust, same_address
from tests.support import bundles

P256_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def test_read_trust__written_and_read__is_the_same() -> None:
    assert read_trust(to_json(bundles.trust())) == bundles.trust()


def set_at(plain: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        plain = plain[int(part)] if part.isdigit() else plain[part]
    plain[int(last) if last.isdigit() else last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "attest-trust/2", "format"),
        ("earliest_period", "2026-47", "earliest_period"),
        ("tokens", [], "tokens is empty"),
        ("tokens.0.token", "../x", "not a plain name"),
        ("tokens.0.currency", "EURO", "ISO-4217"),
        ("tokens.0.exponent", 9, "exponent"),
        ("tokens.0.decimals", 37, "decimals"),
        ("tokens.0.deployments", [], "deployments is empty"),
        ("tokens.0.deployments.0.address", "0x12", "not an address"),
        ("tokens.0.deployments.0.decimals", -1, "decimals"),
        ("tokens.0.deployments.0.chain_id", 1, "chain 1"),
        ("tokens.0.deployments.0.supply_slot", "0x02", "64 lowercase hex"),
        ("tokens.0.deployments.0.address", bundles.USDW.replace("e", "E"), "lists the same thing twice"),
        ("tokens.0.token", "USDW", "lists the same thing twice"),
        ("chains.0.chain_id", 0, "positive"),
        ("chains.0.finality", "soon", "finality"),
        ("chains.0.validators.0", "0x12", "not an address"),
        ("chains.0.validators.0", bundles.VALIDATORS[1].upper().replace("X", "x"), "lists the same thing twice"),
        ("oracle.address", "", "not an address"),
        ("oracle.min_quorum", 0, "min_quorum"),
        ("oracle.chain_id", 7, "chain 7"),
        ("registry.address", "", "not an address"),
        ("registry.chain_id", 7, "chain 7"),
        ("publishers", [], "publishers is empty"),
        ("publishers.0.address", "", "not an address"),
        ("publishers.0.valid_from", "never", "valid_from"),
        ("attestors.0.valid_from", "2026-W99", "valid_from"),
        ("attestors.0.public_key", "nonsense", "public_key"),
        ("attestors.0.public_key", P256_KEY, "not on secp256k1"),
        ("attestor_threshold", 0, "attestor_threshold"),
        ("attestor_threshold", 4, "attestor_threshold"),
        ("log.origin", "example.org/other", "another name"),
        ("log.vkey", "x", "vkey"),
        ("log.vkey", bundles.witness_vkey(bundles.ORIGIN), "type 4"),
        ("witnesses.threshold", 3, "threshold"),
        ("witnesses.threshold", -1, "threshold"),
        ("witnesses.vkeys.0", bundles.LOG_VKEY, "type 1"),
        ("witnesses.vkeys.0", bundles.witness_vkey(bundles.WITNESSES[1]), "twice"),
        ("policy.min_sources", 0, "at least 1"),
        ("policy.allow_dissent", -1, "negative"),
        ("demands", ["everything"], "demands"),
        ("maximum_age_seconds", 0, "maximum_age_seconds"),
        ("revoked", ["abc"], "revoked"),
        ("extra", 1, "not a known field"),
    ],
)
def test_read_trust__malformed__refused_naming_the_field(path: str, value: Any, message: str) -> None:
    plain = to_plain(bundles.trust())
    set_at(plain, path, value)
    from attest.records import dump_plain

    with pytest.raises(VerificationError, match=message):
        read_trust(dump_plain(plain))


def test_read_trust__valid_until_malformed__refused() -> None:
    attestor = bundles.trust().attestors[0]
    for change in (
        lambda: replace(attestor, valid_until="soon"),
        lambda: replace(bundles.trust().publishers[0], valid_until="soon"),
    ):
        with pytest.raises(ValueError, match="valid_until"):
            change()


def test_read_trust__one_key_under_two_names__counts_once_for_the_threshold() -> None:
    trust = bundles.trust()
    same = replace(trust.attestors[0], name="also me")

    with pytest.raises(ValueError, match="distinct attestor keys"):
        replace(trust, attestors=(trust.attestors[0], same), attestor_threshold=2)


def test_read_trust__two_witness_names_with_one_key__refused() -> None:
    key = bundles.note_key("shared")
    vkeys = tuple(verifier_key(name, 4, key).vkey for name in ("one", "two"))

    with pytest.raises(ValueError, match="twice"):
        replace(bundles.trust().witnesses, vkeys=vkeys)
    assert verifier_key("one", ED25519, key).vkey not in vkeys


def test_attestor__validity__is_inclusive_at_both_ends() -> None:
    attestor = replace(bundles.trust().attestors[0], valid_from="2026-W10", valid_until="2026-W12")

    valid = [week for week in range(8, 15) if attestor.valid_in(Period(2026, week))]

    assert valid == [10, 11, 12]


def test_same_address__checksum_case__is_one_address() -> None:
    assert same_address("0xAbCd", "0xabcd")
    assert not same_address("0xabcd", "0xabce")


# -- where it comes from ---------------------------------------------------------------------------------------------


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A public store with one bundle."""
    root = tmp_path / "public"
    bundles.write(bundles.standard_files(), root / "attestations" / "2026-W47")
    (root / "log").mkdir()
    return root


def written(path: Path) -> Path:
    path.write_bytes(to_json(bundles.trust()))
    return path


def test_load_trust__outside_the_public_store__is_read(public: Path, tmp_path: Path) -> None:
    assert load_trust(written(tmp_path / "trust.json"), public / "attestations/2026-W47") == bundles.trust()


@pytest.mark.parametrize(
    "place",
    [
        "attestations/2026-W47/trust.json",
        "attestations/trust.json",
        "trust.example.json",
        "log/trust.json",
    ],
)
def test_load_trust__inside_the_store_that_it_judges__refused(public: Path, place: str) -> None:
    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(public / place), public / "attestations/2026-W47")


def test_load_trust__link_from_outside_into_the_bundle__refused(public: Path, tmp_path: Path) -> None:
    link = tmp_path / "trust.json"
    link.symlink_to(written(public / "attestations/2026-W47/trust.json"))

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(link, public / "attestations/2026-W47")


def test_load_trust__bundle_reached_by_a_link__still_refused(public: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").symlink_to(public / "attestations/2026-W47")

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(public / "trust.example.json"), tmp_path / "bundle")


def test_load_trust__statement_alone__may_lie_beside_the_trust_file(tmp_path: Path) -> None:
    envelope = tmp_path / "attestation.dsse.json"
    envelope.write_bytes(b"{}")

    assert load_trust(written(tmp_path / "trust.json"), envelope) == bundles.trust()


def test_load_trust__envelope_as_its_own_trust_file__refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(tmp_path / "x.json"), tmp_path / "x.json")


def test_load_trust__statement_of_a_bundle__trust_beside_it_refused(tmp_path: Path) -> None:
    folder = bundles.write(bundles.standard_files(), tmp_path / "b")

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(folder / "trust.json"), folder / "attestation.dsse.json")


def test_load_trust__zip_unpacked_beside__trust_from_there_refused(tmp_path: Path) -> None:
    (tmp_path / "2026-W47.zip").touch()
    unpacked = bundles.write(bundles.standard_files(), tmp_path / "2026-W47")

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(unpacked / "trust.json"), tmp_path / "2026-W47.zip")


def test_load_trust__beside_a_zip_on_the_auditors_desk__is_read(tmp_path: Path) -> None:
    (tmp_path / "2026-W47.zip").touch()

    assert load_trust(written(tmp_path / "trust.json"), tmp_path / "2026-W47.zip") == bundles.trust()


def test_load_trust__in_the_store_that_the_zip_lies_in__refused(public: Path) -> None:
    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(public / "trust.json"), public / "attestations" / "2026-W47.zip")


def test_load_trust__in_a_mirror_of_what_is_at_the_address__refused(public: Path) -> None:
    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(public / "trust.json"), "https://reserves.issuer.example/attestations/2026-W47")


def test_load_trust__in_an_audit_package__refused(tmp_path: Path) -> None:
    for name in ("manifest.json", "decision.json"):
        (tmp_path / name).write_text("{}")

    with pytest.raises(VerificationError, match="inside what it should judge"):
        load_trust(written(tmp_path / "trust.json"), tmp_path / "bundle")


def test_load_trust__address__refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="a trust file is not fetched"):
        load_trust("https://reserves.issuer.example/trust.json", tmp_path / "bundle")


def test_load_trust__missing_file__is_the_operators_fault(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        load_trust(tmp_path / "none.json", tmp_path / "bundle")


def test_load_trust__huge_file__refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(b" " * (MAX_TRUST_BYTES + 1))

    with pytest.raises(VerificationError, match="larger than"):
        load_trust(path, tmp_path / "bundle")


def test_load_trust__not_json__refused_naming_the_file(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(b"[")

    with pytest.raises(VerificationError, match=r"trust\.json"):
        load_trust(path, tmp_path / "bundle")
