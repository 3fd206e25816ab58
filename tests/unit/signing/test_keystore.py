"""Keystores, and opening signers by URI."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.datatypes import PublicKey
from eth_keys.datatypes import Signature as RecoverableSignature

from attest.errors import AttestError, OperatorError
from attest.secrets import Secret
from attest.signing import signer as registry
from attest.signing.ed25519 import generate_note_key
from attest.signing.keystore import generate_keystore, load_keystore
from attest.signing.signer import SECP256K1_ORDER, Signature, open_digest_signer, open_note_signer

PASSWORD = "canary-Passw0rd"
SECRET = Secret("env:KEY_PASSWORD", PASSWORD)
COST = 2


@pytest.fixture
def key(tmp_path: Path) -> Path:
    generate_keystore(tmp_path / "key.json", PASSWORD, n=COST)
    return tmp_path / "key.json"


def assert_names_the_file_but_no_password(error: AttestError, path: Path) -> None:
    assert str(path) in error.message
    assert error.reason
    assert error.advice
    assert PASSWORD not in json.dumps(error.as_json())
    cause = error.__cause__ or (error.__context__ if not error.__suppress_context__ else None)
    assert cause is None or PASSWORD not in str(cause)


def test_generate_keystore__then_load__same_key_and_private_file(key: Path) -> None:
    signer = load_keystore(key, PASSWORD)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Account.from_key(Account.decrypt(key.read_text(), PASSWORD)).address == signer.address
    assert json.loads(key.read_text())["crypto"]["kdfparams"]["n"] == COST


def test_generate_keystore__file_exists__refused_and_unchanged(key: Path) -> None:
    before = key.read_bytes()

    with pytest.raises(OperatorError, match="already exists") as refusal:
        generate_keystore(key, PASSWORD, n=COST)

    assert key.read_bytes() == before
    assert_names_the_file_but_no_password(refusal.value, key)


@pytest.mark.parametrize(
    ("name", "password", "says"), [("missing/key.json", PASSWORD, "cannot be written"), ("k", "", "empty password")]
)
def test_generate_keystore__nowhere_to_write_or_no_password__refused(
    tmp_path: Path, name: str, password: str, says: str
) -> None:
    with pytest.raises(OperatorError, match=says):
        generate_keystore(tmp_path / name, password, n=COST)
    assert not (tmp_path / name).exists()


def test_sign_digest__any_digest__recovers_to_the_signers_address_and_public_key(key: Path) -> None:
    signer = load_keystore(key, PASSWORD)
    digest = bytes(range(32))

    r, s, recovery_id = signer.sign_digest(digest)

    recovered = RecoverableSignature(vrs=(recovery_id, r, s)).recover_public_key_from_msg_hash(digest)
    assert recovered.to_checksum_address() == signer.address
    assert recovered == PublicKey(signer.public_key[1:])
    assert signer.public_key[0] == 4
    assert s <= SECP256K1_ORDER // 2


def test_load_keystore__wrong_password__refused_without_showing_it(key: Path) -> None:
    with pytest.raises(OperatorError, match="wrong password") as refusal:
        load_keystore(key, PASSWORD + "x")
    assert_names_the_file_but_no_password(refusal.value, key)


def test_load_keystore__missing_file__refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="No such file") as refusal:
        load_keystore(tmp_path / "none.json", PASSWORD)
    assert_names_the_file_but_no_password(refusal.value, tmp_path / "none.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"0x1111111111111111111111111111111111111111111111111111111111111111",
        b"\xff\xfe",
        b'{"version":3,"crypto":{}}',
        b'{"version":9,"crypto":{}}',
        b'{"version":3,"crypto":{"kdf":"none","kdfparams":{},"ciphertext":"","mac":""}}',
        b'{"version":3,"crypto":{"kdf":"scrypt","kdfparams":{"n":3,"r":8,"p":1,"dklen":32,"salt":"00"},"ciphertext":"00","mac":"00"}}',
    ],
    ids=str,
)
def test_load_keystore__not_a_keystore__refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)

    with pytest.raises(OperatorError, match="not an encrypted keystore") as refusal:
        load_keystore(path, PASSWORD)
    assert_names_the_file_but_no_password(refusal.value, path)


def test_open_digest_signer__pinned_address_in_any_case__opened_relative_to_the_base(key: Path) -> None:
    address = load_keystore(key, PASSWORD).address

    opened = open_digest_signer("keystore:key.json", address=address.lower(), password=SECRET, base=key.parent)

    assert opened.address == address


def test_open_digest_signer__another_key_than_the_pinned__refused_naming_both(key: Path) -> None:
    address = load_keystore(key, PASSWORD).address
    pinned = "0x5FbDB2315678afecb367f032d93F642f64180aa3"

    with pytest.raises(OperatorError) as refusal:
        open_digest_signer("keystore:key.json", address=pinned, password=SECRET, base=key.parent)

    assert refusal.value.code == "signer-mismatch"
    for named in (address, pinned, "keystore:key.json"):
        assert named in refusal.value.message


def test_open_note_signer__pinned_key__opened(tmp_path: Path) -> None:
    generated = generate_note_key(tmp_path / "log.pem", PASSWORD.encode())

    opened = open_note_signer("keystore:log.pem", public_key=generated.public_key, password=SECRET, base=tmp_path)

    assert opened.sign(b"note") == generated.sign(b"note")


def test_open_note_signer__another_key_than_the_pinned__refused_naming_both(tmp_path: Path) -> None:
    generated = generate_note_key(tmp_path / "log.pem", PASSWORD.encode())

    with pytest.raises(OperatorError) as refusal:
        open_note_signer("keystore:log.pem", public_key=bytes(32), password=SECRET, base=tmp_path)

    assert generated.public_key.hex() in refusal.value.message
    assert bytes(32).hex() in refusal.value.message


@pytest.mark.parametrize("uri", ["hsm:slot-1", "keystore", "keystore:"])
def test_open_digest_signer__unknown_scheme_or_no_location__lists_what_exists(uri: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as refusal:
        open_digest_signer(uri, address="0x" + "00" * 20, password=None, base=tmp_path)

    assert refusal.value.code == "unknown-signer"
    assert repr(uri) in refusal.value.message
    assert "keystore:" in refusal.value.advice


def test_open__no_password_configured__refused(key: Path) -> None:
    with pytest.raises(OperatorError, match="no password is configured"):
        open_digest_signer("keystore:key.json", address="0x" + "00" * 20, password=None, base=key.parent)
    with pytest.raises(OperatorError, match="no password is configured"):
        open_note_signer("keystore:key.json", public_key=bytes(32), password=None, base=key.parent)


def test_open_digest_signer__library_not_installed__prints_the_pip_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_backend_of_tests.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_DIGEST_BACKENDS", {"awskms": registry._Backend("a_backend_of_tests", "aws")})

    with pytest.raises(OperatorError, match="a_library_that_nobody_has") as refusal:
        open_digest_signer("awskms:alias/reporter", address="0x" + "00" * 20, password=None, base=tmp_path)

    assert refusal.value.advice == "pip install 'reserve-attest[aws]'"


@pytest.mark.parametrize("s", [1, SECP256K1_ORDER // 2, SECP256K1_ORDER // 2 + 1, SECP256K1_ORDER - 1])
def test_low_s__either_half__lower_half_and_idempotent(s: int) -> None:
    signature = Signature(5, s, 0)

    low = signature.low_s()

    assert low.s in (s, SECP256K1_ORDER - s)
    assert low.s <= SECP256K1_ORDER // 2
    assert (low.recovery_id == 0) == (low.s == s)
    assert low.low_s() == low
