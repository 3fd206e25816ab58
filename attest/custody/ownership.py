"""That an address is the issuer's: a signature by its key, once in every period.

A balance on a chain shows what an address holds, not whose it is: an address can be borrowed for a day, or simply be
somebody else's. For an account with ``ownership = "key-proven"`` the holder's key therefore signs, for each period, a
message (EIP-712) that names the issuer, the period, the address and a nonce that nobody knew before: a signature made
for another issuer, another week or another challenge is of no use.

    ownership/<period>/<account>/challenge         the nonce, created once
    ownership/<period>/<account>/proofs/<digest>   the signature over the message with this EIP-712 digest

The run keeps the proof among its evidence, names its digest in the account's leaf, and checks the signature again
before anything is sent or signed. Wallets that are contracts (EIP-1271) have no key, and cannot prove anything here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from attest import records
from attest.config import Account, Config
from attest.custody.document import Document
from attest.custody.evidence import Evidence, contradicted
from attest.custody.onchain import address
from attest.errors import ConflictError, OperatorError, VerificationError
from attest.model import OwnershipChallenge, OwnershipProof
from attest.records import Hex32
from attest.signing.signer import SECP256K1_ORDER
from attest.store import Store, get_or_create

_NAME, _VERSION = "attest reserve ownership", "1"
_DOMAIN = (("name", "string"), ("version", "string"), ("chainId", "uint256"))
_MESSAGE = (("entity", "string"), ("period", "string"), ("holder", "address"), ("nonce", "bytes32"))
_ON_CHAIN = ("erc20", "native")


@dataclass(frozen=True)
class Claim:
    """The message: ``entity`` (the issuer's name) holds the key of ``holder`` (EIP-55) in ``period``."""

    entity: str
    period: str
    holder: str
    chain_id: int
    nonce: Hex32

    def typed_data(self) -> dict[str, Any]:
        """As ``eth_signTypedData_v4`` takes it."""
        return {
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN],
                "ReserveOwnership": [{"name": name, "type": kind} for name, kind in _MESSAGE],
            },
            "primaryType": "ReserveOwnership",
            "domain": {"name": _NAME, "version": _VERSION, "chainId": self.chain_id},
            "message": {
                "entity": self.entity,
                "period": self.period,
                "holder": self.holder,
                "nonce": f"0x{self.nonce}",
            },
        }

    def digest(self) -> bytes:
        """The 32 bytes that are signed: ``keccak256(0x1901 || domain separator || hashStruct(message))`` (EIP-712)."""
        from eth_hash.auto import keccak

        def struct(name: str, members: Iterable[tuple[str, str]], *values: bytes) -> bytes:
            kind = f"{name}({','.join(f'{type_} {member}' for member, type_ in members)})"
            return bytes(keccak(keccak(kind.encode()) + b"".join(values)))

        def text(value: str) -> bytes:
            return bytes(keccak(value.encode()))

        domain = struct("EIP712Domain", _DOMAIN, text(_NAME), text(_VERSION), self.chain_id.to_bytes(32))
        message = struct(
            "ReserveOwnership",
            _MESSAGE,
            text(self.entity),
            text(self.period),
            bytes(12) + bytes.fromhex(self.holder[2:]),
            bytes.fromhex(self.nonce),
        )
        return bytes(keccak(b"\x19\x01" + domain + message))


# -- signatures ------------------------------------------------------------------------------------------------------


def check_signature(claim: Claim, signature: str) -> str:
    """The signature in its one form (130 hex digits). ``v`` may be 0, 1, 27 or 28.

    Raises :class:`VerificationError`: ``malformed-signature``; ``signature-not-canonical`` for the twin with a high
    ``s``, which anybody can make of another's signature; ``wrong-signer`` naming the address whose key signed.
    """
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature, ValidationError

    where = f"the signature for {claim.holder} in {claim.period}"
    match = re.fullmatch(r"0x([0-9a-fA-F]{64})([0-9a-fA-F]{64})([0-9a-fA-F]{2})", signature, re.ASCII)
    if match is None:
        raise _refused(
            where, "malformed-signature", "is not 0x and 130 hex digits", "Give it whole, as the wallet shows it."
        )
    r, s, v = (int(part, 16) for part in match.groups())
    if v not in (0, 1, 27, 28):
        raise _refused(
            where, "malformed-signature", f"ends with the recovery value {v}", "It must be 27 or 28 (or 0 or 1)."
        )
    if s > SECP256K1_ORDER // 2:
        raise _refused(
            where,
            "signature-not-canonical",
            "has a high s: it is the twin of another signature",
            "Sign with a wallet that keeps to EIP-2, as all common ones do.",
        )
    try:
        public_key = Signature(vrs=(v % 27, r, s)).recover_public_key_from_msg_hash(claim.digest())
    except (BadSignature, ValidationError):
        raise _refused(
            where, "malformed-signature", "is none that a key can have made", "Give it whole, as the wallet shows it."
        ) from None
    signer = public_key.to_checksum_address()
    if signer != claim.holder:
        raise _refused(
            where,
            "wrong-signer",
            f"was made by {signer}, or over another message",
            "Sign exactly what `attest custody challenge` prints, with the key of the address itself.",
        )
    return f"{r:064x}{s:064x}{27 + v % 27:02x}"


def _refused(where: str, code: str, detail: str, advice: str) -> VerificationError:
    return VerificationError(
        f"{where} {detail}",
        code=code,
        reason="Only the key of an address can prove that the address is the issuer's.",
        advice=advice,
    )


# -- challenge and proof ---------------------------------------------------------------------------------------------


def challenge(
    store: Store, config: Config, account: str, period: str, *, now: datetime, token_bytes: Callable[[int], bytes]
) -> Claim:
    """The message that the holder of ``account`` is to sign for ``period``; its nonce is made once.

    Raises :class:`OperatorError` for an account that is none, or whose ``external_account`` is no address.
    """
    claim = _claim(config, account, period, "")
    made = get_or_create(
        store,
        f"{_folder(period, account)}/challenge",
        lambda: records.to_json(
            OwnershipChallenge("attest-ownership-challenge/1", period, account, token_bytes(32).hex(), now)
        ),
    )
    return replace(claim, nonce=_nonce(made, period, account))


def prove(store: Store, config: Config, account: str, period: str, signature: str) -> OwnershipProof:
    """Record the signature over :func:`challenge`'s message; a second one finds the first, which holds as well.

    Raises :class:`OperatorError` if no challenge was made, :class:`VerificationError` as :func:`check_signature`,
    :class:`ConflictError` if what is recorded does not hold.
    """
    claim = _claim(config, account, period, "")
    made = store.get(f"{_folder(period, account)}/challenge")
    if made is None:
        raise OperatorError(
            f"account {account}: there is no challenge for {period}",
            code="challenge-missing",
            reason="A signature proves something only over a message that could not be known before.",
            advice=f"Run `attest custody challenge {account} --period {period}`, and sign what it prints.",
        )
    claim = replace(claim, nonce=_nonce(made, period, account))
    proof = OwnershipProof(
        "attest-ownership-proof/1",
        account,
        claim.entity,
        period,
        claim.holder,
        claim.chain_id,
        claim.nonce,
        check_signature(claim, signature),
    )
    key = _proof_key(claim, account)
    return _proof(get_or_create(store, key, lambda: records.to_json(proof)), account, claim, f"{store.url}: {key}")


def proven(evidence: Evidence, config: Config, period: str) -> dict[str, Hex32]:
    """The key-proven accounts whose ownership is proven for ``period``: account -> digest of the proof, which is kept
    among the evidence. Raises :class:`ConflictError` for a recorded proof that does not hold."""
    found = {}
    store = evidence.store
    for name, account in config.accounts.items():
        made = store.get(f"{_folder(period, name)}/challenge") if account.ownership == "key-proven" else None
        if made is None:
            continue
        claim = replace(_claim(config, name, period, ""), nonce=_nonce(made, period, name))
        key = _proof_key(claim, name)
        data = store.get(key)
        if data is not None:
            _proof(data, name, claim, f"{store.url}: {key}")
            document = Document.of(key, data)
            evidence.keep(document)
            found[name] = document.digest
    return found


def recheck(evidence: Evidence, config: Config, period: str, digests: Mapping[str, Hex32]) -> None:
    """Verify the kept proofs again. Raises :class:`ConflictError` for one that is missing or does not hold."""
    for name, digest in digests.items():
        account = config.accounts.get(name)
        if account is None or account.ownership != "key-proven":
            raise contradicted(f"account {name}: is said to be key-proven, but is not configured so")
        data = evidence.load(digest, f"account {name}, proof of ownership").read(_MAX_BYTES)
        nonce = records.from_json(OwnershipProof, data, f"evidence/{digest}", ConflictError).nonce
        _proof(data, name, _claim(config, name, period, nonce), f"evidence/{digest}")


_MAX_BYTES = 1 << 16


def advice(account: str, period: str) -> str:
    """What to do about an account that is not proven."""
    return (
        f"Run `attest custody challenge {account} --period {period}`, sign what it prints with the key of the address, "
        f"and hand the signature to `attest custody prove {account} --period {period}`."
    )


def _claim(config: Config, name: str, period: str, nonce: str) -> Claim:
    account = config.accounts.get(name)
    if account is None:
        raise OperatorError(
            f"there is no account {name!r} in attest.toml",
            code="unknown-account",
            reason="Ownership is proven of a configured account.",
            advice=f"The accounts are: {', '.join(config.accounts)}.",
        )
    try:
        holder = address(account.external_account)
    except ValueError as fault:
        raise OperatorError(
            f"accounts.{name}.external_account: {fault}",
            code="malformed-address",
            reason="Only an address has a key that can sign.",
            advice='For an account at a bank, ownership is "custodian-confirmed" or "unproven".',
        ) from None
    return Claim(config.issuer.name, period, holder, _chain_id(config, account), nonce)


def _chain_id(config: Config, account: Account) -> int:
    """The chain that the account is read on; the oracle's for one that is read elsewhere (a custodian's API)."""
    named = (source.options.get("chain") for source in account.sources if source.format in _ON_CHAIN)
    chain = next((name for name in named if name in config.chains), config.oracle.chain)
    return config.chains[chain].chain_id


def _folder(period: str, account: str) -> str:
    return f"ownership/{period}/{account}"


def _proof_key(claim: Claim, account: str) -> str:
    return f"{_folder(claim.period, account)}/proofs/{claim.digest().hex()}"


def _nonce(data: bytes, period: str, account: str) -> str:
    where = f"{_folder(period, account)}/challenge"
    made = records.from_json(OwnershipChallenge, data, where, ConflictError)
    if (made.period, made.account) != (period, account):
        raise contradicted(f"{where}: is of account {made.account} in {made.period}")
    return made.nonce


def _claimed(proof: OwnershipProof) -> Claim:
    return Claim(proof.entity, proof.period, proof.holder, proof.chain_id, proof.nonce)


def _proof(data: bytes, account: str, claim: Claim, where: str) -> OwnershipProof:
    """A recorded proof, if it is one of exactly this message. Raises :class:`ConflictError` otherwise."""
    proof = records.from_json(OwnershipProof, data, where, ConflictError)
    if proof.account != account or _claimed(proof) != claim:
        raise contradicted(f"{where}: is not about what account {account} has to prove")
    try:
        signature = check_signature(claim, f"0x{proof.signature}")
    except VerificationError as fault:
        raise contradicted(f"{where}: {fault.message}") from None
    if signature != proof.signature or records.to_json(proof) != data:
        raise contradicted(f"{where}: is not as attest writes it")
    return proof
