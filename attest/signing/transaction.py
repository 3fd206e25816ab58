"""Ethereum transactions: what is signed, how it is encoded, and what a signed one says.

Two kinds: ``legacy`` with replay protection (EIP-155) and ``eip1559`` (type 2, EIP-1559, always with an empty access
list). Both name a recipient: contracts are not created here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from attest.errors import VerificationError
from attest.signing.signer import (
    SECP256K1_ORDER,
    TRANSACTION_BACKENDS,
    DigestSigner,
    Signature,
    open_backend,
    open_digest_signer,
)

if TYPE_CHECKING:
    from attest.secrets import Secret

_TYPE_2 = b"\x02"


@dataclass(frozen=True)
class Transaction:
    """An unsigned transaction.

    ``to`` is a checksummed address, ``value`` in wei, prices in wei per gas. A legacy transaction has one gas price:
    ``max_fee_per_gas``, and a ``max_priority_fee_per_gas`` of 0. Raises ``ValueError`` for fields that no transaction
    can carry.
    """

    kind: Literal["legacy", "eip1559"]
    chain_id: int
    nonce: int
    to: str
    value: int
    data: bytes
    gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int = 0

    def __post_init__(self) -> None:
        from eth_utils.address import is_checksum_address

        if self.chain_id < 1:
            raise ValueError("a chain id is at least 1")
        if not is_checksum_address(self.to):
            raise ValueError(f"not a checksummed address: {self.to!r}")
        if not 0 <= self.nonce < 2**64 - 1:  # EIP-2681
            raise ValueError("a nonce lies between 0 and 2^64 - 2")
        for amount in (self.value, self.gas, self.max_fee_per_gas, self.max_priority_fee_per_gas):
            if not 0 <= amount < 2**256:
                raise ValueError("amounts lie between 0 and 2^256 - 1")
        if self.max_priority_fee_per_gas > (self.max_fee_per_gas if self.kind == "eip1559" else 0):
            raise ValueError("the priority fee is larger than the kind of transaction allows")

    def signing_hash(self) -> bytes:
        """The 32-byte digest that its sender signs (EIP-155; EIP-1559)."""
        if self.kind == "legacy":
            return _keccak(_encode([*self._fields(), self.chain_id, 0, 0]))
        return _keccak(_TYPE_2 + _encode(self._fields()))

    def signed(self, signature: Signature) -> bytes:
        """The raw signed transaction, as ``eth_sendRawTransaction`` takes it. A high ``s`` is brought into the lower
        half (EIP-2), the recovery id with it."""
        r, s, recovery_id = signature.low_s()
        if self.kind == "legacy":
            return _encode([*self._fields(), 35 + 2 * self.chain_id + recovery_id, r, s])
        return _TYPE_2 + _encode([*self._fields(), recovery_id, r, s])

    def _fields(self) -> list[Any]:
        """The unsigned RLP fields, in the order of the kind's specification."""
        to = bytes.fromhex(self.to[2:])
        if self.kind == "legacy":
            return [self.nonce, self.max_fee_per_gas, self.gas, to, self.value, self.data]
        prices = [self.max_priority_fee_per_gas, self.max_fee_per_gas]
        return [self.chain_id, self.nonce, *prices, self.gas, to, self.value, self.data, []]


class TransactionSigner(Protocol):
    """A key that signs whole transactions."""

    @property
    def address(self) -> str:
        """The EIP-55 checksummed account address of the key."""
        ...

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw signed transaction."""
        ...


@dataclass(frozen=True)
class DigestTransactionSigner:
    """A :class:`TransactionSigner` made of a key that signs digests."""

    signer: DigestSigner

    @property
    def address(self) -> str:
        """The key's address."""
        return self.signer.address

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw signed transaction."""
        return transaction.signed(self.signer.sign_digest(transaction.signing_hash()))


def open_transaction_signer(uri: str, *, address: str, password: Secret | None, base: Path) -> TransactionSigner:
    """The account ``address`` (pinned) at ``uri``: a key that signs digests, or a signer of whole transactions.

    Raises :class:`attest.errors.OperatorError` as
    :func:`attest.signing.signer.open_digest_signer` does.
    """
    if uri.partition(":")[0] in TRANSACTION_BACKENDS:
        signer: TransactionSigner = open_backend(
            "open_transaction_signer", TRANSACTION_BACKENDS, uri, address=address, password=password, base=base
        )
        return signer
    return DigestTransactionSigner(open_digest_signer(uri, address=address, password=password, base=base))


def transaction_hash(raw: bytes) -> str:
    """The hash by which the chain knows a raw signed transaction: 64 lowercase hex digits."""
    return _keccak(raw).hex()


def decode(raw: bytes) -> tuple[Transaction, str]:
    """A raw signed transaction's content and its sender, recovered from the signature.

    Raises :class:`VerificationError` for bytes that are not exactly one well-formed, replay-protected (EIP-155) legacy
    or type 2 transaction with low ``s``, a recipient and an empty access list.
    """
    import rlp
    from eth_keys.datatypes import Signature as RecoverableSignature
    from eth_keys.exceptions import BadSignature
    from eth_utils.address import to_checksum_address
    from eth_utils.exceptions import ValidationError

    try:
        kind: Literal["legacy", "eip1559"] = "eip1559" if raw[:1] == _TYPE_2 else "legacy"
        fields = rlp.decode(raw[1:] if kind == "eip1559" else raw, strict=True)
        if kind == "eip1559":
            chain, nonce, tip, price, gas, to, value, data, access_list, v, r, s = fields
            if access_list != []:
                raise ValueError("it has an access list")
            chain_id, recovery_id, tip_price = _integer(chain), _integer(v), _integer(tip)
        else:
            nonce, price, gas, to, value, data, v, r, s = fields
            chain_id, recovery_id = divmod(_integer(v) - 35, 2)
            tip_price = 0
        if not isinstance(to, bytes) or len(to) != 20 or not isinstance(data, bytes):
            raise ValueError("it has no recipient")
        signature = Signature(_integer(r), _integer(s), recovery_id)
        if signature.recovery_id not in (0, 1) or signature.s > SECP256K1_ORDER // 2:
            raise ValueError("its signature is not in the one accepted form")
        transaction = Transaction(
            kind=kind,
            chain_id=chain_id,
            nonce=_integer(nonce),
            to=str(to_checksum_address(to)),
            value=_integer(value),
            data=data,
            gas=_integer(gas),
            max_fee_per_gas=_integer(price),
            max_priority_fee_per_gas=tip_price,
        )
        recoverable = RecoverableSignature(vrs=(signature.recovery_id, signature.r, signature.s))
        key = recoverable.recover_public_key_from_msg_hash(transaction.signing_hash())
    except (ValueError, TypeError, rlp.DecodingError, BadSignature, ValidationError) as fault:
        raise VerificationError(
            f"signed transaction: malformed ({fault})",
            code="malformed-transaction",
            reason="What is sent must be exactly what was shown and signed.",
            advice="Keep the object that holds it, and find out who wrote it.",
        ) from None
    return transaction, str(key.to_checksum_address())


def _integer(item: Any) -> int:
    if not isinstance(item, bytes) or item[:1] == b"\x00":
        raise ValueError("an integer is not minimal big-endian bytes")
    return int.from_bytes(item, "big")


def _encode(fields: list[Any]) -> bytes:
    import rlp

    return bytes(rlp.encode(fields))


def _keccak(data: bytes) -> bytes:
    from eth_hash.auto import keccak

    return bytes(keccak(data))
