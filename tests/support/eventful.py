"""Chains full of events: a simulated node that can reorganise, prune and lie, and a contract for a real one that emits
whatever it is told to.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from attest import records
from attest.chain import logs
from attest.monitor.events import DEFINITIONS, STATUSES, ZERO_ADDRESS, Definition, Kind, Watched, watch
from tests.support.chains import Error, Node, fields

BRIDGE, TOKEN, COMPLIANCE, LIQUIDATION, STABILIZER, ACCESS = (
    "0x" + digits * 20 for digits in ("b1", "70", "c0", "11", "57", "ac")
)
ASSET = "0x" + "a5" * 20
HOLDER = "0x" + "99" * 20
ROLE = b"\x5e" * 32
#: An event that only holders of the role cause.
USE = "Used(uint256 value)"
SETTLED, FAILED, REFUNDED = (STATUSES.names.index(name) for name in ("settled", "failed", "refunded"))

WATCHED: tuple[Watched, ...] = (
    watch("bridge", BRIDGE),
    watch("token", TOKEN),
    watch("compliance", COMPLIANCE),
    watch("liquidation", LIQUIDATION),
    watch("stabilizer", STABILIZER),
    watch("access", ACCESS),
    Watched("access", ACCESS, (Definition("access", "role-used", USE, {"subject": f"0x{ROLE.hex()}"}),)),
)


@dataclass(frozen=True)
class Emission:
    """A log to be: who emits it, its topics and its data (hex)."""

    address: str
    topics: tuple[str, ...]
    data: str


def emission(kind: Kind, address: str, **arguments: Any) -> Emission:
    """An event of the reference contracts. Arguments that are not given are zero."""
    definition = next(each for each in DEFINITIONS if each.kind == kind)
    declared = definition.declaration[definition.declaration.index("(") + 1 : -1].split(", ")
    values = {**dict.fromkeys(definition.where, ZERO_ADDRESS), **arguments}
    topics, types, words = [logs.event(definition.declaration).topic], [], []
    for parameter in declared:
        of_type, name = parameter.split()[0], parameter.split()[-1]
        nothing: Any = ZERO_ADDRESS if of_type == "address" else b"" if of_type.startswith("bytes") else 0
        value = values.pop(name, nothing)
        if "indexed" in parameter.split():
            topics.append("0x" + encode([of_type], [value]).hex())
        else:
            types.append(of_type)
            words.append(value)
    assert not values, f"{kind} has no {values}"
    return Emission(address, tuple(topics), "0x" + encode(types, words).hex())


def transfer_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def initiated(number: int, amount: int = 1, asset: str = ASSET) -> Emission:
    return emission("transfer-initiated", BRIDGE, transferId=transfer_id(number), token=asset, amount=amount)


def status(number: int, new: int, old: int = 1) -> Emission:
    return emission("transfer-status", BRIDGE, transferId=transfer_id(number), oldStatus=old, newStatus=new)


def released(number: int, amount: int, asset: str = ASSET) -> Emission:
    return emission("transfer-released", BRIDGE, transferId=transfer_id(number), token=asset, amount=amount)


def verified(sufficient: bool) -> Emission:
    return emission("reserve-verified", BRIDGE, token=ASSET, sufficient=sufficient)


def checked(passed: bool) -> Emission:
    return emission("compliance-checked", COMPLIANCE, token=ASSET, reason=0 if passed else 2, passed=passed)


def minted(amount: int, token: str = TOKEN) -> Emission:
    return emission("minted", token, **{"to": HOLDER, "value": amount})


def burned(amount: int, token: str = TOKEN) -> Emission:
    return emission("burned", token, **{"from": HOLDER, "value": amount})


def moved(amount: int) -> Emission:
    """A transfer between holders: no mint and no burn."""
    return emission("minted", TOKEN, **{"from": HOLDER, "to": ASSET, "value": amount})


def liquidated() -> Emission:
    return emission("liquidated", LIQUIDATION, vault=HOLDER, currency=ASSET, debtRepaid=5)


def deviated(blocks: int) -> Emission:
    """A deviation that lasted so many blocks is over."""
    return emission("deviation-ended", STABILIZER, sustainedBlocks=blocks)


def stabilized(volume: int) -> Emission:
    return emission("stabilized", STABILIZER, tokenIn=ASSET, blockVolume=volume)


def granted(role: bytes = ROLE, account: str = HOLDER, contract: str = ACCESS) -> Emission:
    return emission("role-granted", contract, role=role, account=account, sender=ASSET)


def revoked(role: bytes = ROLE, account: str = HOLDER, contract: str = ACCESS) -> Emission:
    return emission("role-revoked", contract, role=role, account=account, sender=ASSET)


def used() -> Emission:
    return Emission(ACCESS, (logs.event(USE).topic,), f"0x{7:064x}")


def any_emission(chance: random.Random) -> Emission:
    """One event of any kind, of few transfers, so that they begin, end and end again."""
    number, amount = chance.randrange(40), chance.randrange(1, 10**20)
    return chance.choice(
        [
            initiated(number, amount),
            initiated(number, amount),
            status(number, chance.choice([1, SETTLED, SETTLED, FAILED, 4, REFUNDED])),
            released(number, amount),
            verified(chance.random() < 0.8),
            checked(chance.random() < 0.8),
            minted(amount),
            burned(amount),
            moved(amount),
            liquidated(),
            deviated(chance.randrange(1, 20)),
            stabilized(amount),
            granted(),
            revoked(),
            used(),
        ]
    )


# -- a simulated node ------------------------------------------------------------------------------------------------


@cache
def _bits(item: str) -> int:
    digest = keccak(hexstr=item)
    return sum({1 << (int.from_bytes(digest[at : at + 2], "big") & 2047) for at in (0, 2, 4)})


def _bloom(emissions: Sequence[Emission]) -> str:
    bits = 0
    for each in emissions:
        for item in (each.address, *each.topics):
            bits |= _bits(item)
    return f"0x{bits:0512x}"


@dataclass
class EventfulChain:
    """One chain, block by block. ``limit`` blocks and ``most`` logs are given at once; below ``history`` there are no
    receipts any more (and no logs: an empty list, as pruned nodes answer); ``stamped`` logs say their block's time."""

    limit: int = 5000
    most: int = 10_000
    history: int = 0
    stamped: bool = False
    blocks: list[dict[str, Any]] = field(default_factory=list)
    logs: list[list[dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    fork: int = 0

    def __post_init__(self) -> None:
        self.mine()

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    def mine(self, *emissions: Emission, seconds: int = 2, blocks: int = 1) -> None:
        """A block with these events (and more without, if ``blocks`` are wanted)."""
        for count in range(blocks):
            number = len(self.blocks)
            parent = self.blocks[-1] if self.blocks else {"hash": "0x" + "00" * 32, "timestamp": hex(1_794_830_398)}
            inside = emissions if count == 0 else ()
            header = fields(
                number,
                int(parent["timestamp"], 16) + seconds,
                parent["hash"][2:],
                logsBloom=_bloom(inside),
            )
            # No header's true hash (that is slow), but as good a name of the block.
            header["hash"] = "0x" + records.digest(f"{self.fork} {number} {parent['hash']} {inside}".encode())
            self.blocks.append(header)
            self.logs.append(
                [
                    {
                        "address": each.address, "topics": list(each.topics), "data": each.data,
                        "blockNumber": hex(number), "blockHash": header["hash"], "logIndex": hex(index),
                        "transactionHash": "0x" + records.digest(f"{header['hash']}{index}".encode()), "removed": False,
                        **({"blockTimestamp": header["timestamp"]} if self.stamped else {}),
                    }
                    for index, each in enumerate(inside)
                ]
            )  # fmt: skip

    def reorganise(self, depth: int) -> None:
        """Drop the newest blocks; what is mined from here on has other hashes."""
        self.fork += 1
        del self.blocks[len(self.blocks) - depth :]
        del self.logs[len(self.logs) - depth :]

    def node(self, **handlers: Any) -> Node:
        own = {
            "eth_getBlockByNumber": self._block,
            "eth_getLogs": self._logs,
            "eth_getBlockReceipts": self._receipts,
        }
        return Node(handlers={**own, **handlers})

    def _block(self, params: list[Any]) -> dict[str, Any] | None:
        number = self.head if params[0] in ("latest", "finalized") else int(params[0], 16)
        return self.blocks[number] if number <= self.head else None

    def _logs(self, params: list[Any]) -> list[dict[str, Any]]:
        (asked,) = params
        first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        if last - first + 1 > self.limit:
            raise Error(-32005, f"Requested range exceeds maximum range limit of {self.limit}")
        if last > self.head:
            raise Error(-32000, "One or more of the block params is beyond the head")
        found = [log for number in range(max(first, self.history), last + 1) for log in self.logs[number]]
        matching = [log for log in found if log["address"] in asked["address"] and matches(log, asked["topics"])]
        if len(matching) > self.most:
            raise Error(-32005, f"query returned more than {self.most} results")
        self.asked.append((first, last))
        return matching

    def _receipts(self, params: list[Any]) -> list[dict[str, Any]] | None:
        number = int(params[0], 16)
        if number < self.history:
            return None
        return [{"blockHash": self.blocks[number]["hash"], "logs": [log]} for log in self.logs[number]]


def matches(log: dict[str, Any], topics: Sequence[Any]) -> bool:
    """Whether a log has the topics that a filter asks for."""
    if len(topics) > len(log["topics"]):
        return False
    return all(
        wanted is None or there in (wanted if isinstance(wanted, list) else [wanted])
        for wanted, there in zip(topics, log["topics"], strict=False)
    )


# -- a contract that emits what it is told to ------------------------------------------------------------------------


def _emitter() -> bytes:
    """Runtime code: calldata is the number of topics and four topics (32 bytes each), then the log's data."""
    code = bytearray()
    # memory[0:] = calldata[0xa0:]; its size stays on the stack
    code += bytes.fromhex("60a036038060a0600037")
    # stack: size
    cases = []
    for topics in range(1, 5):
        code += bytes.fromhex(f"60003560{topics:02x}1461") + b"\0\0" + bytes.fromhex("57")
        cases.append(len(code) - 3)
    code += bytes.fromhex("00")
    for topics, at in zip(range(1, 5), cases, strict=True):
        code[at : at + 2] = len(code).to_bytes(2, "big")
        code += bytes.fromhex("5b")
        # LOGn takes offset, size, topic 1 ... n from the top of the stack.
        for topic in range(topics, 0, -1):
            code += bytes.fromhex(f"60{32 * topic:02x}35")
        code += bytes.fromhex(f"{0x80 + topics:02x}")  # DUPn+1: the size from under the topics
        code += bytes.fromhex(f"6000{0xA0 + topics:02x}00")
    return bytes(code)


EMITTER = _emitter()


def calldata(each: Emission) -> str:
    """What makes the emitter emit this."""
    topics = [topic[2:] for topic in each.topics] + ["00" * 32] * (4 - len(each.topics))
    return f"0x{len(each.topics):064x}{''.join(topics)}{each.data[2:]}"
