"""A block header as JSON-RPC shows it, as RLP, and the check that its hash is its hash. Pure.

The hash of a block is ``keccak256(RLP(header))`` (Yellow Paper, section 4.3; later fields by their EIPs). Besu's BFT
engines leave the commit seals out of what they hash, because the seals sign it (``BftBlockHashing``):

* QBFT: ``extraData`` with round 0 and an empty list of seals (``QbftExtraDataCodec``);
* IBFT 2.0: ``extraData`` cut to its first three items (``IbftExtraDataCodec``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attest.chain.values import count, data, malformed, quantity
from attest.model import Block

#: ``mixHash`` of both BFT engines: keccak256("Istanbul byzantine fault tolerance") by convention.
BFT_MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")

_ADDRESS, _WORD, _BLOOM, _NONCE = 20, 32, 256, 8
#: Fields in their order in the RLP list: a number is a fixed length in bytes, ``None`` any length, ``int`` a scalar.
_ALWAYS: Mapping[str, Any] = {
    "parentHash": _WORD,
    "sha3Uncles": _WORD,
    "miner": _ADDRESS,
    "stateRoot": _WORD,
    "transactionsRoot": _WORD,
    "receiptsRoot": _WORD,
    "logsBloom": _BLOOM,
    "difficulty": int,
    "number": int,
    "gasLimit": int,
    "gasUsed": int,
    "timestamp": int,
    "extraData": None,
    "mixHash": _WORD,
    "nonce": _NONCE,
}
#: Appended by later forks, each only after all before it (EIP-1559, 4895, 4844, 4788, 7685, 7928, 7843).
_LATER: Mapping[str, Any] = {
    "baseFeePerGas": int,
    "withdrawalsRoot": _WORD,
    "blobGasUsed": int,
    "excessBlobGas": int,
    "parentBeaconBlockRoot": _WORD,
    "requestsHash": _WORD,
    "blockAccessListHash": _WORD,
    "slotNumber": int,
}
FIELDS = (*_ALWAYS, *_LATER)


@dataclass(frozen=True)
class Header:
    """One header as an endpoint gave it. Its hash is checked by :func:`encode` only."""

    block: Block
    parent_hash: str
    fields: Mapping[str, Any]
    what: str


def read(chain_id: int, fields: Mapping[str, Any], what: str) -> Header:
    """Read the answer of ``eth_getBlockBy...``; raises :class:`ChainError` (``malformed-answer``) naming ``what``."""
    block = Block(
        chain_id,
        count(fields.get("number"), f"{what}: its number"),
        data(fields.get("hash"), f"{what}: its hash", _WORD).hex(),
        count(fields.get("timestamp"), f"{what}: its timestamp"),
    )
    return Header(block, data(fields.get("parentHash"), f"{what}: its parent's hash", _WORD).hex(), fields, what)


def encode(header: Header) -> bytes:
    """The header's RLP, whole (with ``extraData`` as it stands), once one of the hash rules above gives its hash.

    Raises :class:`ChainError` (``malformed-answer``) if none does: then a field is wrong, or the chain has a header
    format that this release does not know, and nothing can be proven from it.
    """
    import rlp
    from eth_hash.auto import keccak

    items = _items(header)
    whole = rlp.encode(items)
    wanted = bytes.fromhex(header.block.hash)
    if keccak(whole) == wanted:
        return bytes(whole)
    position = FIELDS.index("extraData")
    if items[FIELDS.index("mixHash")] == BFT_MIX_HASH:
        for extra in _hashed_extra_data(items[position]):
            if keccak(rlp.encode([*items[:position], extra, *items[position + 1 :]])) == wanted:
                return bytes(whole)
    raise malformed(header.what, "has a hash that is not the hash of its header")


def state_root(header: Header) -> bytes:
    """The root of the state trie after the block."""
    return data(header.fields.get("stateRoot"), f"{header.what}: its state root", _WORD)


def _items(header: Header) -> list[bytes]:
    items = [_item(header, name, kind) for name, kind in _ALWAYS.items()]
    for name, kind in _LATER.items():
        if header.fields.get(name) is None:
            break
        items.append(_item(header, name, kind))
    return items


def _item(header: Header, name: str, kind: Any) -> bytes:
    value, what = header.fields.get(name), f"{header.what}: its {name}"
    if kind is int:
        number = quantity(value, what)
        return number.to_bytes((number.bit_length() + 7) // 8, "big")
    return data(value, what, kind)


def _hashed_extra_data(extra_data: bytes) -> list[bytes]:
    """``extraData`` as QBFT and as IBFT 2.0 hash it; empty if it is neither's."""
    import rlp

    try:
        parts = rlp.decode(extra_data)
    except rlp.DecodingError:
        return []
    if not isinstance(parts, list) or len(parts) < 5:
        return []
    vanity, validators, vote = parts[:3]
    return [rlp.encode([vanity, validators, vote, b"", []]), rlp.encode([vanity, validators, vote])]
