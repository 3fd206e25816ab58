"""Keys that are made, brought in, and tried."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from attest import config, keys
from attest.errors import OperatorError
from attest.log.note import COSIGNATURE_V1, ED25519, parse_vkey
from attest.secrets import Secret
from attest.signing import ed25519 as notes
from attest.signing import keystore
from attest.signing.signer import SECP256K1_ORDER, Signature
from attest.signing.transaction import Transaction
from tests.support.chains import config as chain_config

PASSWORD = Secret("env:PW", "canary-password")
JUNK = "test test test test test test test test test test test junk"
FIRST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FIRST_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def bring(tmp_path: Path, text: str, **options: Any) -> tuple[keys.Identity, bytearray]:
    buffer = bytearray(text.encode())
    arguments: dict[str, Any] = {"ed25519": False, "password": PASSWORD, "base": tmp_path, "scrypt_n": 2, **options}
    return keys.bring_in("keystore:k.json", buffer, **arguments), buffer


# -- making ----------------------------------------------------------------------------------------------------------


def test_create__keystore__is_encrypted_private_and_opens_with_its_password(tmp_path: Path) -> None:
    made = keys.create("keystore:k.json", ed25519=False, password=PASSWORD, base=tmp_path, scrypt_n=2)
    path = tmp_path / "k.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.identity is not None
    assert made.identity.address == Account.from_key(Account.decrypt(path.read_text(), PASSWORD.reveal())).address
    with pytest.raises(OperatorError, match="already exists"):
        keys.create("keystore:k.json", ed25519=False, password=PASSWORD, base=tmp_path, scrypt_n=2)


def test_create__ed25519__gives_the_vkeys_of_a_log_and_of_a_witness(tmp_path: Path) -> None:
    made = keys.create("keystore:log.pem", ed25519=True, password=PASSWORD, base=tmp_path)
    assert made.identity is not None
    log, witness = (parse_vkey(vkey) for vkey in made.identity.vkeys("issuer.example/reserves"))
    signer = notes.load_note_signer(tmp_path / "log.pem", PASSWORD.reveal().encode())
    assert log.public_key == witness.public_key == signer.public_key
    assert (log.algorithm, witness.algorithm) == (ED25519, COSIGNATURE_V1)
    with pytest.raises(OperatorError, match="--name"):
        made.identity.vkeys("no name")


@pytest.mark.parametrize("ed25519", [False, True])
def test_create__no_password__is_refused_and_writes_nothing(tmp_path: Path, ed25519: bool) -> None:
    with pytest.raises(OperatorError, match="no password"):
        keys.create("keystore:k", ed25519=ed25519, password=None, base=tmp_path)
    assert list(tmp_path.iterdir()) == []


VERSION = "projects/p/locations/eu/keyRings/ring/cryptoKeys/reporter/cryptoKeyVersions/1"
MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@pytest.mark.parametrize(
    ("uri", "ed25519", "words"),
    [
        (
            "azurekv:vault/reporter",
            False,
            ("az keyvault key create", "--vault-name vault", "P-256K"),
        ),
        (f"gcpkms:{VERSION}", False, ("gcloud kms keys create reporter --keyring ring", "ec-sign-secp256k1-sha256")),
        (
            f"pkcs11:token=a%20b;object=r;id=%01?module-path={MODULE}",
            False,
            ("'a b'", "EC:secp256k1", "--id 01", MODULE),
        ),
        (f"pkcs11:token=t;object=log?module-path={MODULE}", True, ("EC:edwards25519", "--label log")),
        ("web3signer:http://127.0.0.1:9000", False, ("attest keys new keystore:", "file-keystore")),
    ],
)
def test_create__kept_elsewhere__gives_its_keepers_command(
    tmp_path: Path, uri: str, ed25519: bool, words: tuple[str, ...]
) -> None:
    made = keys.create(uri, ed25519=ed25519, password=None, base=tmp_path)
    assert made.identity is None
    for word in words:
        assert word in "\n".join(made.commands)


@pytest.mark.parametrize(("uri", "ed25519"), [("azurekv:v/k", True), ("gcpkms:k", True), ("paper:k", False)])
def test_create__kind_that_is_not_kept_there__is_refused(tmp_path: Path, uri: str, ed25519: bool) -> None:
    with pytest.raises(OperatorError, match="cannot be made"):
        keys.create(uri, ed25519=ed25519, password=None, base=tmp_path)


def test_create__pin_in_a_pkcs11_uri__is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="pin-value") as refusal:
        keys.create(
            f"pkcs11:token=t;object=o;pin-value=4711?module-path={MODULE}", ed25519=False, password=None, base=tmp_path
        )
    assert "4711" not in str(refusal.value.as_json())


# -- bringing in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [FIRST_KEY, f"0x{FIRST_KEY}\n", f"  {FIRST_KEY.upper()} ", JUNK, f" {JUNK}\n"])
def test_bring_in__key_or_mnemonic__is_the_same_account_and_what_was_given_is_overwritten(
    tmp_path: Path, text: str
) -> None:
    found, buffer = bring(tmp_path, text)
    assert found.address == FIRST
    assert keystore.load_keystore(tmp_path / "k.json", PASSWORD.reveal()).address == FIRST
    assert not any(buffer)


def test_bring_in__other_account_of_a_mnemonic__by_its_path(tmp_path: Path) -> None:
    found, _ = bring(tmp_path, JUNK, account_path="m/44'/60'/0'/0/1")
    assert found.address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_bring_in__ed25519_seed__is_that_key(tmp_path: Path) -> None:
    found, buffer = bring(tmp_path, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", ed25519=True)
    # RFC 8032, section 7.1, test 1.
    assert found.public_key is not None
    assert found.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert notes.load_note_signer(tmp_path / "k.json", PASSWORD.reveal().encode()).public_key == found.public_key
    assert not any(buffer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        FIRST_KEY[:-1],
        FIRST_KEY + "0",
        FIRST_KEY[:-1] + "g",
        "00" * 32,
        f"{SECP256K1_ORDER:064x}",
        JUNK[:-5],
        "ä" * 64,
    ],
)
def test_bring_in__no_key__is_refused_without_repeating_it_and_overwritten(tmp_path: Path, text: str) -> None:
    buffer = bytearray(text.encode())
    with pytest.raises(OperatorError) as refusal:
        keys.bring_in("keystore:k.json", buffer, ed25519=False, password=PASSWORD, base=tmp_path, scrypt_n=2)
    assert not any(buffer)
    assert len(text) < 3 or text not in str(refusal.value.as_json())
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    assert list(tmp_path.iterdir()) == []


def test_bring_in__another_place_than_a_file__is_refused_and_overwritten(tmp_path: Path) -> None:
    buffer = bytearray(FIRST_KEY.encode())
    with pytest.raises(OperatorError, match="only be brought into a file"):
        keys.bring_in("awskms:alias/x", buffer, ed25519=False, password=PASSWORD, base=tmp_path)
    assert not any(buffer)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, SECP256K1_ORDER - 1), st.sampled_from(["", "0x"]), st.text(" \t\r\n", max_size=4))
def test_hexadecimal__any_key_however_surrounded__is_read_exactly(key: int, prefix: str, space: str) -> None:
    assert int.from_bytes(keys.from_hexadecimal(bytearray(f"{space}{prefix}{key:064x}{space}".encode())), "big") == key


# -- which there are -------------------------------------------------------------------------------------------------


def loaded(tmp_path: Path) -> config.Loaded:
    return config.Loaded(chain_config({"USDW": [("main", "0x" + "61" * 20, 6)]}), tmp_path)


def test_configured__every_job__with_its_pin(tmp_path: Path) -> None:
    jobs = [key.job for key in keys.configured(loaded(tmp_path))]
    assert jobs == ["reporter-1", "reporter-2", "reporter-3", "publisher", "attestor-1", "log"]


def test_chosen__by_job__one_all_of_a_kind_or_everything(tmp_path: Path) -> None:
    def named(*jobs: str) -> list[str]:
        return [key.job for key in keys.chosen(loaded(tmp_path), jobs)]

    assert named("reporter", "log") == ["reporter-1", "reporter-2", "reporter-3", "log"]
    assert named("reporter-2") == ["reporter-2"]
    assert len(named()) == 6
    with pytest.raises(OperatorError, match="no job 'witness'") as refusal:
        named("log", "witness")
    assert "attestor-1" in refusal.value.advice


# -- trying ----------------------------------------------------------------------------------------------------------


class Lying:
    """A key whose every second answer is another key's, or about something else."""

    def __init__(self, tmp_path: Path, flaw: str) -> None:
        self._key = keystore.KeystoreSigner(bytes.fromhex(FIRST_KEY))
        self._other = keystore.KeystoreSigner(b"\1" * 32)
        self._flaw = flaw
        self.address, self.public_key = self._key.address, self._key.public_key

    def sign_digest(self, digest: bytes) -> Signature:
        if self._flaw == "key":
            return self._other.sign_digest(digest)
        if self._flaw == "digest":
            return self._key.sign_digest(b"\0" * 32)
        r, s, recovery_id = self._key.sign_digest(digest)
        return Signature(r, s, recovery_id ^ 1)


@pytest.mark.parametrize("flaw", ["key", "digest", "recovery id"])
def test_prove_digest__answer_that_is_not_the_keys__is_refused(tmp_path: Path, flaw: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        keys.prove_digest("x:y", Lying(tmp_path, flaw))
    assert refusal.value.code == "signer-unfaithful"
    keys.prove_digest("x:y", keystore.KeystoreSigner(bytes.fromhex(FIRST_KEY)))


def test_prove_note__other_keys_signature__is_refused(tmp_path: Path) -> None:
    one, other = (notes.generate_note_key(tmp_path / name, b"pw") for name in ("a", "b"))
    keys.prove_note("x:y", one)

    class Crossed:
        public_key = one.public_key

        def sign(self, message: bytes) -> bytes:
            return other.sign(message)

    with pytest.raises(OperatorError, match="not the key's"):
        keys.prove_note("x:y", Crossed())


class Whole:
    """A signer of whole transactions, which may change what it is given."""

    def __init__(self, gas: int | None = None, garbage: bool = False) -> None:
        self._key = keystore.KeystoreSigner(bytes.fromhex(FIRST_KEY))
        self._gas, self._garbage = gas, garbage
        self.address = self._key.address
        self.signed: list[Transaction] = []

    def sign_transaction(self, transaction: Transaction) -> bytes:
        from dataclasses import replace

        self.signed.append(transaction)
        if self._garbage:
            return b"\x00"
        changed = transaction if self._gas is None else replace(transaction, gas=self._gas)
        return changed.signed(self._key.sign_digest(changed.signing_hash()))


def test_prove_sender__whole_transactions__is_given_one_that_no_chain_takes() -> None:
    signer = Whole()
    keys.prove_sender("x:y", signer, 138)
    (transaction,) = signer.signed
    assert (transaction.nonce, transaction.value, transaction.to) == (2**64 - 2, 0, FIRST)


@pytest.mark.parametrize("signer", [Whole(gas=22_000), Whole(garbage=True)], ids=["another", "garbage"])
def test_prove_sender__other_transaction_or_garbage__is_refused(signer: Whole) -> None:
    with pytest.raises(OperatorError) as refusal:
        keys.prove_sender("x:y", signer, 138)
    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize("ed25519", [False, True])
def test_try_uri__key_that_opens_or_not__is_said_with_times(tmp_path: Path, ed25519: bool) -> None:
    uri = "keystore:k"
    keys.create(uri, ed25519=ed25519, password=PASSWORD, base=tmp_path, scrypt_n=2)
    ticks = iter(range(100))
    tried = keys.try_uri(uri, ed25519=ed25519, password=PASSWORD, base=tmp_path, clock=lambda: next(ticks))
    assert (tried.fault, tried.opening, tried.signing) == (None, 1, 1)
    wrong = keys.try_uri(uri, ed25519=ed25519, password=Secret("env:X", "wrong"), base=tmp_path)
    assert wrong.fault is not None
    assert "wrong password" in wrong.fault.message
