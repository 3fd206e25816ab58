"""Transactions: our encoding against eth-account's, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp
from eth_account import Account
from eth_keys.datatypes import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.errors import VerificationError
from attest.signing.keystore import KeystoreSigner
from attest.signing.signer import SECP256K1_ORDER, Signature
from attest.signing.transaction import (
    DigestTransactionSigner,
    Transaction,
    decode,
    transaction_hash,
)

TO = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
LEGACY = Transaction("legacy", 138, 7, TO, 0, b"\x01\x02", 90_000, 10**9)
TYPE_2 = Transaction("eip1559", 138, 7, TO, 0, b"\x01\x02", 90_000, 10**9, 10**8)
KEY = KeystoreSigner(b"\x11" * 32)

amounts = st.one_of(st.integers(0, 300), st.integers(0, 2**256 - 1))
keys = st.integers(1, SECP256K1_ORDER - 1).map(lambda secret: secret.to_bytes(32, "big"))


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    kind = draw(st.sampled_from(["legacy", "eip1559"]))
    price = draw(amounts)
    return Transaction(
        kind=kind,
        chain_id=draw(st.sampled_from([1, 138, 651_940, 2**40])),
        nonce=draw(st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 2))),
        to=TO,
        value=draw(amounts),
        data=draw(st.binary(max_size=120)),
        gas=draw(st.integers(0, 2**64 - 1)),
        max_fee_per_gas=price,
        max_priority_fee_per_gas=draw(st.integers(0, price)) if kind == "eip1559" else 0,
    )


class AnySide:
    """A key whose signatures have a high or a low s, as remote key services return them."""

    def __init__(self, secret: bytes, high: bool) -> None:
        self._inner, self._high = KeystoreSigner(secret), high
        self.address, self.public_key = self._inner.address, self._inner.public_key

    def sign_digest(self, digest: bytes) -> Signature:
        r, s, recovery_id = self._inner.sign_digest(digest)
        return Signature(r, SECP256K1_ORDER - s, recovery_id ^ 1) if self._high else Signature(r, s, recovery_id)


def test_address__adapter__is_the_keys() -> None:
    assert DigestTransactionSigner(KEY).address == KEY.address


def reference(transaction: Transaction) -> dict[str, object]:
    fields: dict[str, object] = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": transaction.to,
        "value": transaction.value,
        "data": transaction.data,
        "gas": transaction.gas,
    }
    if transaction.kind == "legacy":
        return {**fields, "gasPrice": transaction.max_fee_per_gas}
    return {
        **fields,
        "type": 2,
        "maxFeePerGas": transaction.max_fee_per_gas,
        "maxPriorityFeePerGas": transaction.max_priority_fee_per_gas,
        "accessList": [],
    }


@settings(deadline=None, max_examples=60)
@given(transactions(), keys, st.booleans())
def test_sign_transaction__any_fields_key_and_side_of_s__equals_eth_account_and_decodes_to_itself(
    transaction: Transaction, secret: bytes, high: bool
) -> None:
    expected = Account.sign_transaction(reference(transaction), secret)

    raw = DigestTransactionSigner(AnySide(secret, high)).sign_transaction(transaction)

    assert raw == bytes(expected.raw_transaction)
    assert transaction_hash(raw) == bytes(expected.hash).hex()
    assert decode(raw) == (transaction, Account.from_key(secret).address)
    assert Account.recover_transaction(raw) == Account.from_key(secret).address


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_decode__any_bytes__refused_or_a_transaction_with_those_bytes(raw: bytes) -> None:
    try:
        decode(raw)
    except VerificationError:
        return
    pytest.fail("random bytes are no signed transaction")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([LEGACY, TYPE_2]), st.data())
def test_decode__one_bit_flipped__never_the_same_transaction_and_sender(
    transaction: Transaction, data: st.DataObject
) -> None:
    raw = bytearray(DigestTransactionSigner(KEY).sign_transaction(transaction))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8

    try:
        decoded = decode(bytes(raw))
    except VerificationError:
        return
    assert decoded != (transaction, KEY.address)


def _resigned(
    transaction: Transaction, *, v: int | None = None, high: bool = False, fields: dict[int, object] | None = None
) -> bytes:
    """A type 2 transaction as an attacker would encode it."""
    signature = KEY.sign_digest(transaction.signing_hash())
    s = SECP256K1_ORDER - signature.s if high else signature.s
    items: list[object] = list(rlp.decode(transaction.signed(signature)[1:]))
    items[9] = rlp.sedes.big_endian_int.serialize(signature.recovery_id if v is None else v)
    items[11] = rlp.sedes.big_endian_int.serialize(s)
    for index, value in (fields or {}).items():
        items[index] = value
    return b"\x02" + bytes(rlp.encode(items))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(_resigned(TYPE_2, high=True), "one accepted form", id="high-s-twin"),
        pytest.param(_resigned(TYPE_2, v=2), "one accepted form", id="recovery-id-2"),
        pytest.param(_resigned(TYPE_2, fields={5: b""}), "no recipient", id="contract-creation"),
        pytest.param(_resigned(TYPE_2, fields={8: [[b"\x01" * 20, []]]}), "access list", id="access-list"),
        pytest.param(_resigned(TYPE_2, fields={1: b"\x00\x07"}), "minimal", id="leading-zero"),
        pytest.param(_resigned(TYPE_2, fields={6: []}), "minimal", id="list-for-a-number"),
        pytest.param(_resigned(TYPE_2, fields={7: []}), "no recipient", id="list-for-data"),
        pytest.param(_resigned(TYPE_2) + b"\x00", "malformed", id="trailing-byte"),
        pytest.param(b"\x02" + bytes(rlp.encode([])), "malformed", id="no-fields"),
        pytest.param(b"\x02", "malformed", id="type-only"),
        pytest.param(b"\x01" + bytes(rlp.encode([])), "malformed", id="type-1"),
        pytest.param(_resigned(TYPE_2, fields={10: b"", 11: b""}), "malformed", id="zero-signature"),
    ],
)
def test_decode__transaction_in_another_form__refused(raw: bytes, says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        decode(raw)


def test_decode__legacy_without_replay_protection__refused() -> None:
    fields = [7, 10**9, 90_000, bytes.fromhex(TO[2:]), 0, b""]
    signature = PrivateKey(b"\x11" * 32).sign_msg(bytes(rlp.encode(fields)))
    raw = bytes(rlp.encode([*fields, 27 + signature.v, signature.r, signature.s]))
    assert Account.recover_transaction(raw) == KEY.address

    with pytest.raises(VerificationError, match="chain id"):
        decode(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"chain_id": 0},
        {"to": TO.lower()},
        {"to": ""},
        {"nonce": -1},
        {"nonce": 2**64 - 1},
        {"value": -1},
        {"value": 2**256},
        {"gas": -1},
        {"max_fee_per_gas": 10**8 - 1},
        {"kind": "legacy"},
    ],
    ids=str,
)
def test_transaction__field_that_no_transaction_carries__refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(TYPE_2, **fields)
