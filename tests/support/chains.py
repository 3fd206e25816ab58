"""Chains for tests: configurations of them, and a simulated node (:class:`attest.chain.rpc.Transport`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from attest.chain import header
from attest.config import Config
from attest.model import Block
from attest.posting import Reply, TransportFault

# Digits only: the same with and without a checksum (EIP-55).
REPORTERS = ("0x" + "31" * 20, "0x" + "32" * 20, "0x" + "33" * 20)
PUBLISHER = "0x" + "41" * 20
ATTESTOR = "0x" + "51" * 20
ORACLE = "0x" + "10" * 20
REGISTRY = "0x" + "20" * 20


def config(
    tokens: Mapping[str, Sequence[tuple[str, str, int]]],
    *,
    chains: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: Mapping[str, Any] | None = None,
    registry: Mapping[str, Any] | None = None,
    reporters: Sequence[str] = REPORTERS,
    publisher: str = PUBLISHER,
) -> Config:
    """A whole configuration. ``tokens``: (chain, address, decimals) of each deployment, by symbol."""
    sources = ({"id": "bank", "origin": "bank", "format": "csv", "location": "bank.csv"},)
    return Config.model_validate(
        {
            "issuer": {"name": "Issuer", "contact": "https://issuer.example"},
            "stores": {"private": "file://private", "public": "file://public"},
            "chains": dict(chains or {"main": {"chain_id": 138, "endpoints": ("http://node.example:8545",)}}),
            "oracle": {"chain": "main", "address": ORACLE, **(oracle or {})},
            "registry": {"chain": "main", "address": REGISTRY, **(registry or {})},
            "tokens": {
                symbol: {
                    "currency": "USD",
                    "deployments": tuple(
                        {"chain": chain, "address": address, "decimals": decimals}
                        for chain, address, decimals in deployments
                    ),
                }
                for symbol, deployments in tokens.items()
            },
            "accounts": {
                f"account-{symbol}": {
                    "token": symbol,
                    "custodian": "Bank",
                    "external_account": f"number {symbol}",
                    "currency": "USD",
                    "sources": sources,
                }
                for symbol in tokens
            },
            "signing": {
                "reporters": tuple({"uri": "keystore:r", "address": address} for address in reporters),
                "publisher": {"uri": "keystore:p", "address": publisher},
                "attestors": ({"uri": "keystore:a", "address": ATTESTOR},),
                "log": {"uri": "keystore:l", "vkey": "unused"},
            },
            "log": {"origin": "issuer.example/log"},
        }
    )


def words(*values: int) -> str:
    """ABI-encoded integers."""
    return "0x" + encode(["uint256"] * len(values), values).hex()


def _empty(size: int) -> str:
    return "0x" + "00" * size


def fields(number: int, timestamp: int, parent: str, **others: str) -> dict[str, Any]:
    """A London header as ``eth_getBlockBy...`` answers it, with its true hash."""
    plain: dict[str, Any] = {
        "parentHash": f"0x{parent}",
        "sha3Uncles": _empty(32),
        "miner": _empty(20),
        "stateRoot": _empty(32),
        "transactionsRoot": _empty(32),
        "receiptsRoot": _empty(32),
        "logsBloom": _empty(256),
        "difficulty": "0x0",
        "number": hex(number),
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "timestamp": hex(timestamp),
        "extraData": "0x",
        "mixHash": _empty(32),
        "nonce": _empty(8),
        "baseFeePerGas": "0x7",
        **others,
    }
    return {**plain, "hash": "0x" + hash_of(plain)}


def hash_of(plain: Mapping[str, Any]) -> str:
    """keccak256 of the header's RLP, written apart from the code under test."""
    import rlp

    names = [name for name in header.FIELDS if name in plain]
    scalars = {
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    }
    items = []
    for name in names:
        text = plain[name][2:]
        if name in scalars:
            text = text.lstrip("0")
            text = "0" * (len(text) % 2) + text
        items.append(bytes.fromhex(text))
    return keccak(rlp.encode(items)).hex()


class Error(Exception):
    """Raised by a handler: the JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.plain = {"code": code, "message": message, **({} if data is None else {"data": data})}


Handler = Callable[[list[Any]], Any]


@dataclass
class Node:
    """A simulated endpoint: a handler per method, and what was asked of it. A handler raises :class:`Error`.

    ``tamper`` may change the whole reply; ``faults`` are raised, one per request, before it answers anything.
    """

    chain_id: int = 138
    handlers: dict[str, Handler] = field(default_factory=dict)
    tamper: Callable[[list[Any]], Reply] | None = None
    faults: list[TransportFault | Reply] = field(default_factory=list)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)

    def post(self, url: str, body: bytes) -> Reply:
        calls = json.loads(body)
        self.requests.append(calls)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Reply):
                return fault
            raise fault
        answers = [self._answer(call) for call in calls]
        if self.tamper is not None:
            return self.tamper(answers)
        return Reply(200, json.dumps(answers).encode())

    def _answer(self, call: Mapping[str, Any]) -> dict[str, Any]:
        frame = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "eth_chainId":
            return {**frame, "result": hex(self.chain_id)}
        try:
            return {**frame, "result": self.handlers[call["method"]](call["params"])}
        except Error as error:
            return {**frame, "error": error.plain}
        except KeyError:
            return {**frame, "error": {"code": -32601, "message": "the method does not exist"}}

    @property
    def methods(self) -> list[list[str]]:
        """The methods of each request."""
        return [[call["method"] for call in calls] for calls in self.requests]


@dataclass
class Network:
    """Several simulated endpoints, by URL."""

    nodes: Mapping[str, Node]

    def post(self, url: str, body: bytes) -> Reply:
        return self.nodes[url].post(url, body)


class Line:
    """A synthetic chain: block ``n`` is at ``genesis + n * spacing`` seconds; headers are made when asked for."""

    def __init__(self, length: int, *, genesis: int = 1_000_000, spacing: int = 5, fork: str = "") -> None:
        self.length = length
        self.finalized = length - 1
        self.genesis = genesis
        self.spacing = spacing
        self.fork = fork

    def timestamp(self, number: int) -> int:
        return self.genesis + number * self.spacing

    def hash(self, number: int) -> str:
        return keccak(f"{self.fork}{number}".encode()).hex()

    def header(self, number: int) -> dict[str, Any] | None:
        if not 0 <= number < self.length:
            return None
        plain = fields(number, self.timestamp(number), self.hash(number - 1))
        return {**plain, "hash": f"0x{self.hash(number)}"}

    def block(self, number: int, chain_id: int = 138) -> Block:
        return Block(chain_id, number, self.hash(number), self.timestamp(number))

    def by_number(self, params: list[Any]) -> dict[str, Any] | None:
        which = params[0]
        numbers = {"latest": self.length - 1, "finalized": self.finalized}
        return self.header(numbers[which] if which in numbers else int(which, 16))

    def node(self, **handlers: Handler) -> Node:
        return Node(handlers={"eth_getBlockByNumber": self.by_number, **handlers})
