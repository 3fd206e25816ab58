"""Custodians' signatures, made by gpg and openssl: good ones pass, and nothing else does."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from attest.config import Account, StatementSignature
from attest.custody import signatures
from attest.custody.collector import observe
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from attest.records import digest

DATA = b"a,m,d\n1234,5.00,2026-11-20\n"
#: When the certificates made here are valid.
NOW = datetime.now(UTC) + timedelta(hours=1)


def sh(*words: object, cwd: Path) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, check=True, capture_output=True, timeout=60)


def certificate(folder: Path, name: str, *key: str) -> None:
    sh(
        "openssl", "req", "-x509", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        "-days", "30", "-subj", f"/CN={name}", cwd=folder,
    )  # fmt: skip


def cms(folder: Path, data: bytes = DATA, name: str = "bank", *options: str) -> bytes:
    (folder / "data").write_bytes(data)
    sh(
        "openssl", "cms", "-sign", "-binary", "-in", "data", "-signer", f"{name}.pem", "-inkey", f"{name}.key",
        "-outform", "DER", "-out", "data.sig", "-md", "sha256", *options, cwd=folder,
    )  # fmt: skip
    return (folder / "data.sig").read_bytes()


def verify(
    folder: Path, signature: bytes, data: bytes = DATA, kind: Literal["cms", "pgp"] = "cms", key: str = "bank.pem",
    at: datetime = NOW,
) -> tuple[Document, ...]:  # fmt: skip
    documents = [Document.of("bank.csv", data), Document.of("bank.csv.sig", signature)]
    return signatures.verified(documents, StatementSignature(kind=kind, key=key), base=folder, at=at)


def refused(folder: Path, signature: bytes, data: bytes = DATA, **how: object) -> str:
    with pytest.raises(SourceError) as caught:
        verify(folder, signature, data, **how)
    assert caught.value.code == "signature-invalid"
    assert caught.value.message.startswith("bank.csv: its signature bank.csv.sig is not good: ")
    return caught.value.message


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of a bank and of a stranger."""
    folder = tmp_path_factory.mktemp("bank")
    certificate(folder, "bank", "rsa:2048")
    certificate(folder, "stranger", "rsa:2048")
    certificate(folder, "curve", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    certificate(folder, "edwards", "ed25519")
    return folder


pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bank", ()),
        ("bank", ("-noattr",)),
        ("bank", ("-keyid",)),
        ("bank", ("-nocerts",)),
        ("bank", ("-keyopt", "rsa_padding_mode:pss")),
        ("curve", ()),
    ],
)
def test_cms__made_by_openssl_with_the_pinned_certificate__is_good(
    bank: Path, name: str, options: tuple[str, ...]
) -> None:
    (signed,) = verify(bank, cms(bank, DATA, name, *options), key=f"{name}.pem")
    assert signed.digest == digest(DATA)


def test_cms__in_pem__is_good(bank: Path) -> None:
    pem = subprocess.run(
        ["openssl", "cms", "-cmsout", "-inform", "DER", "-outform", "PEM"],
        input=cms(bank), capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert pem.startswith(b"-----BEGIN")
    assert verify(bank, pem)


def test_cms__every_byte_of_the_statement_changed__is_refused(bank: Path) -> None:
    signature = cms(bank)
    for at in range(len(DATA)):
        assert "other bytes" in refused(bank, signature, DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :])
    assert "pinned certificate's key" in refused(bank, cms(bank, DATA, "bank", "-noattr"), DATA + b" ")


def test_cms__any_byte_of_the_signature_value_changed__is_refused(bank: Path) -> None:
    signature = cms(bank, DATA, "bank", "-nocerts")
    for at in range(len(signature) - 256, len(signature)):  # RSA of 2,048 bits stands at the end
        refused(bank, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :])


def test_cms__stranger__is_refused(bank: Path) -> None:
    assert "not the pinned certificate" in refused(bank, cms(bank, DATA, "stranger"))


def test_cms__stranger_with_a_certificate_of_the_same_name_and_number__is_refused(bank: Path) -> None:
    sh(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "twin.key", "-out", "twin.pem", "-days",
        "30", "-subj", "/CN=bank", "-set_serial", str(_serial(bank / "bank.pem")), cwd=bank,
    )  # fmt: skip
    assert "pinned certificate's key" in refused(bank, cms(bank, DATA, "twin"))


def _serial(path: Path) -> int:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(path.read_bytes()).serial_number


def test_cms__certificate_not_valid_when_the_statement_came__is_refused(bank: Path) -> None:
    assert "valid from" in refused(bank, cms(bank), at=NOW + timedelta(days=40))
    assert "valid from" in refused(bank, cms(bank), at=NOW - timedelta(days=2))


def test_cms__weak_digest_attached_content_or_something_else__is_refused(bank: Path) -> None:
    assert "sha1" in refused(bank, cms(bank, DATA, "bank", "-md", "sha1"))
    assert "detached" in refused(bank, cms(bank, DATA, "bank", "-nodetach"))
    for other in (b"x", b"0\x00", DATA, b"-----BEGIN CMS-----\nAAAA\n-----END CMS-----\n"):
        refused(bank, other)
    sh("openssl", "cms", "-data_create", "-in", "data", "-outform", "DER", "-out", "plain", cwd=bank)
    assert "no signature" in refused(bank, (bank / "plain").read_bytes())


# -- OpenPGP -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bank's and a stranger's OpenPGP keys, as gpg made them."""
    folder = tmp_path_factory.mktemp("gpg")
    (folder / "home").mkdir(mode=0o700)
    for name in ("bank", "stranger"):
        _gpg(folder, "--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", "1y")
        _gpg(folder, "--armor", "--output", f"{name}.asc", "--export", f"{name}@example.com")
    return folder


def _gpg(folder: Path, *words: str) -> None:
    sh("gpg", "--homedir", folder / "home", "--batch", "--yes", "--passphrase", "", *words, cwd=folder)


def pgp(folder: Path, name: str = "bank", *options: str) -> bytes:
    (folder / "data").write_bytes(DATA)
    _gpg(folder, "--local-user", f"{name}@example.com", *options, "--output", "data.sig", "--detach-sign", "data")
    return (folder / "data.sig").read_bytes()


requires_gpg = pytest.mark.requires("gpg", "apt-get install gnupg")


@requires_gpg
@pytest.mark.parametrize("options", [(), ("--armor",)])
def test_pgp__made_by_gpg_with_the_pinned_key__is_good(gpg: Path, options: tuple[str, ...]) -> None:
    (signed,) = verify(gpg, pgp(gpg, "bank", *options), kind="pgp", key="bank.asc")
    assert signed.digest == digest(DATA)


@requires_gpg
def test_pgp__changed_statement_stranger_or_no_signature__is_refused(gpg: Path) -> None:
    refused(gpg, pgp(gpg), DATA + b" ", kind="pgp", key="bank.asc")
    refused(gpg, pgp(gpg, "stranger"), kind="pgp", key="bank.asc")
    refused(gpg, b"nonsense", kind="pgp", key="bank.asc")


# -- in a source -------------------------------------------------------------------------------------------------------


def test_observe__signed_source__reads_the_statement_and_keeps_the_signature_as_evidence(bank: Path) -> None:
    account = Account.model_validate(
        {
            "token": "USDW", "custodian": "Bank", "external_account": "1234", "currency": "USD",
            "sources": ({
                "id": "one", "origin": "one", "format": "csv", "location": "bank.csv",
                "options": {"account_column": "a", "amount_column": "m", "currency": "USD", "date_column": "d"},
                "signature": {"kind": "cms", "key": "bank.pem"},
            },),
        }
    )  # fmt: skip
    documents = [Document.of("bank.csv", DATA), Document.of("bank.csv.sig", cms(bank))]
    cutoff = datetime(2026, 11, 22, tzinfo=UTC)
    seen = observe("main", account, account.sources[0], documents, NOW, cutoff, base=bank)
    assert (seen.minor_units, len(seen.evidence)) == (500, 2)
    with pytest.raises(SourceError) as caught:
        observe(
            "main", account, account.sources[0], [Document.of("bank.csv", DATA + b"\n"), documents[1]], NOW, cutoff,
            base=bank,
        )  # fmt: skip
    assert caught.value.code == "signature-invalid"
    assert caught.value.message.startswith("account main, source one: bank.csv: ")
    with pytest.raises(SourceError) as caught:
        observe("main", account, account.sources[0], documents[:1], NOW, cutoff, base=bank)
    assert (caught.value.code, caught.value.message) == (
        "signature-missing", "account main, source one: bank.csv: there is no signature",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["cms", "pgp"])
def test_check__key_file_missing_or_something_else__names_the_setting(bank: Path, kind: Literal["cms", "pgp"]) -> None:
    (bank / "other").write_bytes(DATA)
    for key in ("missing", "other"):
        with pytest.raises(OperatorError) as caught:
            signatures.check(StatementSignature(kind=kind, key=key), bank, "accounts.a.sources.b")
        assert caught.value.code == "signature-key"
        assert caught.value.message.startswith(f"accounts.a.sources.b.signature.key: {key}: ")
        assert len(caught.value.message) < 200  # no library's trace
    signatures.check(StatementSignature(kind="cms", key="bank.pem"), bank, "x")
