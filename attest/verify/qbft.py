"""QBFT block headers as Besu makes them: their hash, and who sealed them. Pure.

Read from Besu's ``BftBlockHashing`` and ``QbftExtraDataCodec``: ``extraData`` is RLP ``[vanity (32 bytes), [validator
addresses], vote or [], round, [commit seals, 65 bytes r || s || v]]``. The block's hash is keccak256 of the header with
round 0 and no seals; what a validator seals is the hash with the true round and no seals. Enough are ceil(2n/3)
distinct validators, of those that the *auditor* names: the header's own list of validators counts for nothing.

IBFT 2.0 headers (the same mix hash, ``extraData`` cut to three items for the hash, ``IbftExtraDataCodec``) can be
hashed too, so that an auditor's own node can vouch for them; their seals are not judged.

RLP and keccak come with the extra ``chain-proof``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from attest.errors import VerificationError
from attest.verify import ecrecover

#: ``mixHash`` of every BFT block of Besu (keccak256 of "Istanbul byzantine fault tolerance").
MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
_FIELDS = 15
_STATE_ROOT, _NUMBER, _TIMESTAMP, _EXTRA_DATA, _MIX_HASH = 3, 8, 11, 12, 13
_HASH_BYTES, _VANITY_BYTES, _ADDRESS_BYTES, _ROUND_BYTES, _SEAL_BYTES = 32, 32, 20, 4, 65
#: Besu's validator sets are far smaller; a hostile header must not buy an hour of curve arithmetic.
_MAX_SEALS = 256


@dataclass(frozen=True)
class Header:
    """A header's own word: its number, Unix time and state root, and its hash by each rule that its form allows.

    ``sealed`` is what the validators of a QBFT block seal, ``seals`` their commit seals; empty for other blocks.
    """

    hashes: tuple[bytes, ...]
    number: int
    timestamp: int
    state_root: bytes
    sealed: bytes = b""
    seals: tuple[bytes, ...] = ()


def enough(validators: int) -> int:
    """How many of so many validators must have sealed: ceil(2n/3)."""
    return -(-2 * validators // 3)


def parse_header(encoded: bytes) -> Header:
    """Read an RLP header; raises :class:`VerificationError` unless it is well-formed. Proves nothing by itself."""
    import rlp
    from eth_hash.auto import keccak

    items = _decode(encoded, "the header")
    if len(items) < _FIELDS or not all(isinstance(item, bytes) for item in items):
        raise _refuse("the header is not a list of at least 15 byte strings")
    if len(items[_STATE_ROOT]) != _HASH_BYTES or len(items[_MIX_HASH]) != _HASH_BYTES:
        raise _refuse("the header's state root or mix hash is not 32 bytes")
    number, timestamp = _scalar(items[_NUMBER]), _scalar(items[_TIMESTAMP])
    state_root: bytes = items[_STATE_ROOT]
    if items[_MIX_HASH] != MIX_HASH:
        return Header((keccak(encoded),), number, timestamp, state_root)

    def hashed(*extra_data: Any) -> bytes:
        data = rlp.encode(extra_data)
        return bytes(keccak(rlp.encode([*items[:_EXTRA_DATA], data, *items[_EXTRA_DATA + 1 :]])))

    vanity, validators, vote, round_number, seals = _extra_data(items[_EXTRA_DATA])
    hashes = hashed(vanity, validators, vote, b"", []), hashed(vanity, validators, vote)
    if round_number[:1] == b"\0":  # IBFT 2.0 writes the round in four bytes, QBFT as a scalar
        return Header(hashes, number, timestamp, state_root)
    sealed = hashed(vanity, validators, vote, round_number, [])
    return Header(hashes, number, timestamp, state_root, sealed, tuple(seals))


def _extra_data(encoded: bytes) -> tuple[bytes, list[bytes], Any, bytes, list[bytes]]:
    items = _decode(encoded, "extraData")
    if len(items) != 5:
        raise _refuse("extraData has not the five items of a BFT block")
    vanity, validators, vote, round_number, seals = items
    if not isinstance(vanity, bytes) or len(vanity) != _VANITY_BYTES or not isinstance(validators, list):
        raise _refuse("extraData does not begin with 32 bytes and a list of validators")
    if not isinstance(round_number, bytes) or len(round_number) > _ROUND_BYTES:
        raise _refuse("extraData has a round that is no number")
    if not isinstance(seals, list) or len(seals) > _MAX_SEALS:
        raise _refuse(f"extraData has no list of at most {_MAX_SEALS} commit seals")
    if not all(isinstance(seal, bytes) and len(seal) == _SEAL_BYTES for seal in seals):
        raise _refuse("extraData has a commit seal that is not 65 bytes")
    return vanity, validators, vote, round_number, seals


def listed(extra_data: bytes) -> tuple[str, ...]:
    """The validators that a BFT block's own ``extraData`` lists, lower case: for a watch, never for a proof. Raises
    :class:`VerificationError` for another block's."""
    _, validators, _, _, _ = _extra_data(extra_data)
    if not all(isinstance(each, bytes) and len(each) == _ADDRESS_BYTES for each in validators):
        raise _refuse("extraData has a validator that is no address")
    return tuple(f"0x{each.hex()}" for each in validators)


def sealers(header: Header, validators: Iterable[str]) -> frozenset[str]:
    """Which of ``validators`` (addresses) sealed the header, in lower case, each once."""
    from eth_hash.auto import keccak

    found = set()
    for seal in header.seals:
        point = ecrecover.recover(header.sealed, seal)
        if point is not None:
            found.add("0x" + keccak(point)[-_ADDRESS_BYTES:].hex())
    return frozenset(found & {validator.lower() for validator in validators})


def _decode(encoded: bytes, what: str) -> list[Any]:
    import rlp

    try:
        items = rlp.decode(encoded)
    except (rlp.exceptions.RLPException, RecursionError):
        raise _refuse(f"{what} is not RLP") from None
    if not isinstance(items, list):
        raise _refuse(f"{what} is not an RLP list")
    return items


def _scalar(item: bytes) -> int:
    if len(item) > 8 or item[:1] == b"\0":
        raise _refuse("a number in the header is not a plain scalar of at most 64 bits")
    return int.from_bytes(item, "big")


def _refuse(detail: str) -> VerificationError:
    return VerificationError(
        detail,
        code="malformed-header",
        reason="A state root counts only inside a header whose hash and seals can be recomputed.",
        advice="Fetch chain-proof.json again; if it is unchanged, ask your own node instead (--rpc URL).",
    )
