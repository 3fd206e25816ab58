"""Headers: the hash rules of ordinary chains and of Besu's BFT engines."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak

from attest.chain import header
from attest.errors import ChainError
from tests.support.chains import fields, hash_of

# Block 1 of Ethereum's main network: public, and hashed by everyone else's code.
MAINNET_1 = {
    "parentHash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x05a56e2d52c817161883f50c441c3228cfe54d9f",
    "stateRoot": "0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": "0x" + "00" * 256,
    "difficulty": "0x3ff800000",
    "number": "0x1",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "timestamp": "0x55ba4224",
    "extraData": "0x476574682f76312e302e302f6c696e75782f676f312e342e32",
    "mixHash": "0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59",
    "nonce": "0x539bd4979fef1ec4",
    "hash": "0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6",
    "totalDifficulty": "0x7ff800000",
    "size": "0x219",
}

VANITY, VALIDATORS, SEALS = b"\x00" * 32, [b"\x11" * 20, b"\x22" * 20], [b"\x33" * 65, b"\x44" * 65]
ROUND = b"\x02"


def read(plain: dict[str, Any]) -> header.Header:
    return header.read(1, plain, "block")


def test_encode__mainnet_block__has_the_hash_that_everyone_knows():
    block = read(MAINNET_1)
    assert keccak(header.encode(block)).hex() == MAINNET_1["hash"][2:]
    assert (block.block.number, block.block.timestamp, block.block.chain_id) == (1, 1_438_269_988, 1)
    assert block.parent_hash == MAINNET_1["parentHash"][2:]
    assert header.state_root(block).hex() == MAINNET_1["stateRoot"][2:]


LATER = {
    "withdrawalsRoot": "0x" + "77" * 32,
    "blobGasUsed": "0x20000",
    "excessBlobGas": "0x0",
    "parentBeaconBlockRoot": "0x" + "88" * 32,
    "requestsHash": "0x" + "99" * 32,
    "blockAccessListHash": "0x" + "aa" * 32,
    "slotNumber": "0x1234",
}


@pytest.mark.parametrize("count", range(len(LATER) + 1))
def test_encode__fields_of_later_forks__are_part_of_the_hash(count):
    plain = fields(7, 1000, "00" * 32, **dict(list(LATER.items())[:count]))
    assert len(rlp.decode(header.encode(read(plain)))) == 16 + count


def test_encode__legacy_chain_without_base_fee__has_fifteen_fields():
    plain = fields(7, 1000, "00" * 32)
    del plain["baseFeePerGas"]
    plain["hash"] = "0x" + _legacy_hash(plain)
    assert len(rlp.decode(header.encode(read(plain)))) == 15


def _legacy_hash(plain: dict[str, Any]) -> str:
    return hash_of({name: value for name, value in plain.items() if name != "baseFeePerGas"})


@pytest.mark.parametrize("name", [name for name in header.FIELDS if name in MAINNET_1])
def test_encode__any_field_changed__is_refused(name):
    value = MAINNET_1[name]
    changed = {**MAINNET_1, name: value[:-1] + ("0" if value[-1] != "0" else "1")}
    with pytest.raises(ChainError, match="is not the hash of its header") as caught:
        header.encode(read(changed))
    assert caught.value.code == "malformed-answer"


@pytest.mark.parametrize(
    ("name", "value"), [("miner", "0x00"), ("logsBloom", None), ("gasUsed", "7"), ("nonce", "0x1")]
)
def test_encode__field_of_another_length_or_kind__is_refused(name, value):
    with pytest.raises(ChainError, match=f"its {name} is not"):
        header.encode(read({**MAINNET_1, name: value}))


def bft(extra: bytes, hashed: bytes) -> dict[str, Any]:
    """A header with ``extra`` that is hashed as if it had ``hashed``."""
    mix = {"mixHash": "0x" + header.BFT_MIX_HASH.hex()}
    other = fields(7, 1000, "00" * 32, extraData="0x" + hashed.hex(), **mix)
    return {**other, "extraData": "0x" + extra.hex()}


def qbft(vote: Any) -> dict[str, Any]:
    whole = rlp.encode([VANITY, VALIDATORS, vote, ROUND, SEALS])
    return bft(whole, rlp.encode([VANITY, VALIDATORS, vote, b"", []]))


@pytest.mark.parametrize("vote", [[], [b"\x55" * 20, b"\xff"]])
def test_encode__qbft_block__is_hashed_without_round_and_seals_but_kept_whole(vote):
    encoded = header.encode(read(qbft(vote)))
    extra = rlp.decode(rlp.decode(encoded)[header.FIELDS.index("extraData")])
    assert extra[3:] == [ROUND, SEALS]


def test_encode__ibft_2_block__is_hashed_by_its_first_three_items():
    whole = rlp.encode([VANITY, VALIDATORS, b"", b"\x00\x00\x00\x02", SEALS])
    plain = bft(whole, rlp.encode([VANITY, VALIDATORS, b""]))
    assert rlp.decode(header.encode(read(plain)))[header.FIELDS.index("extraData")] == whole


def test_encode__qbft_rule_without_the_bft_mark__is_refused():
    plain = {**qbft([]), "mixHash": "0x" + "00" * 32}
    with pytest.raises(ChainError, match="is not the hash of its header"):
        header.encode(read(plain))


@pytest.mark.parametrize("extra", [b"", b"\xff\xff", rlp.encode(b"text"), rlp.encode([VANITY, VALIDATORS, b""])])
def test_encode__bft_mark_on_other_extra_data__is_refused(extra):
    with pytest.raises(ChainError, match="is not the hash of its header"):
        header.encode(read(bft(extra, b"other")))


def test_encode__qbft_validators_changed__is_refused():
    plain = qbft([])
    plain["extraData"] = "0x" + rlp.encode([VANITY, [b"\x66" * 20], [], ROUND, SEALS]).hex()
    with pytest.raises(ChainError, match="is not the hash of its header"):
        header.encode(read(plain))
