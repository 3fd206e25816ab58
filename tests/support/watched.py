"""A simulated deployment for the monitor: contracts whose functions answer what they are told to, over one or several
simulated endpoints, and the watch over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eth_abi.abi import encode

from attest.chain.artifact import artifact
from attest.chain.contracts import role_id
from attest.config import Config, Loaded
from attest.monitor.cycle import Snapshot, Watch
from attest.store import LocalStore
from tests.support.chains import ORACLE, REPORTERS, Error, Network, Node, config, fields
from tests.support.eventful import Emission, matches

WAD = 10**18
LEDGER, PRICES, BRIDGE, STABILIZER, CONTROLLER, WALLET = (
    "0x" + digits * 20 for digits in ("81", "82", "83", "84", "88", "89")
)
GOLD = "0x" + "85" * 20
START, SPACING = 1_796_000_000, 2
NO_DEBT = 2**256 - 1


def address(number: int) -> str:
    """A token's address. Decimal digits only: the same with and without a checksum."""
    return f"0x{10**39 + number:040d}"


@dataclass
class World:
    """The state of every contract: what a call returns, by address, function and arguments. An exception is raised, a
    function is asked, None is an answer without any bytes. At ``empty`` addresses there is no code."""

    tokens: tuple[str, ...] = ("USDW",)
    healths: list[int] = field(default_factory=lambda: [2 * WAD])
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    length: int = 50
    headers: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    holders: dict[str, dict[bytes, list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for _ in range(self.length):
            self.grow()
        for number, symbol in enumerate(self.tokens):
            self.set_token(symbol, supply=1_000_000 + number, reserve=1_200_000 + number)

    @property
    def now(self) -> int:
        return int(self.headers[-1]["timestamp"], 16)

    def grow(self, at: int | None = None, **others: str) -> None:
        """One more block, of the time ``at`` if it is given."""
        number = len(self.headers)
        parent = self.headers[-1]["hash"][2:] if self.headers else "00" * 32
        self.headers.append(fields(number, at or START + number * SPACING, parent, **others))

    def emit(self, *emissions: Emission) -> None:
        """One more block, with these events."""
        self.grow()
        for index, each in enumerate(emissions):
            block = {"blockNumber": self.headers[-1]["number"], "blockHash": self.headers[-1]["hash"]}
            place = {**block, "logIndex": hex(index), "transactionHash": "0x" + "7a" * 32}
            self.logs.append({"address": each.address, "topics": list(each.topics), "data": each.data, **place})

    def set_token(self, symbol: str, *, supply: int, reserve: int | None, age: int = 60) -> None:
        """A token's supply and verified reserve (None: no quorum), and the age of every report."""
        token = address(self.tokens.index(symbol))
        self.answers |= {
            (token, "totalSupply"): (supply,),
            (token, "decimals"): (6,),
            (token, "isReserveSufficient"): (reserve is not None and reserve >= supply,),
            (ORACLE, f"isQuorumMet {token}"): (reserve is not None,),
            (ORACLE, f"getVerifiedReserve {token}"): (reserve or 0,),
            (ORACLE, f"reportOf {token}"): (reserve or 0, self.now - age),
            (ORACLE, "reporters"): (list(REPORTERS),),
            (ORACLE, "consensusValidity"): (3600,),
        }

    def vaults(self) -> None:
        """A ledger with the vaults of :attr:`healths`."""

        def page(start: int, count: int) -> tuple[Any, ...]:
            found = self.healths[start : start + count]
            return [address(1000 + start + n) for n in range(len(found))], found

        token = address(0)
        self.answers |= {
            (LEDGER, "assets"): ([GOLD],),
            (LEDGER, "currencies"): ([token],),
            (LEDGER, "vaultCount"): (len(self.healths),),
            (LEDGER, "vaultHealths"): page,
            (LEDGER, f"totalCollateral {GOLD}"): (77,),
            (LEDGER, f"totalDebt {token}"): (95,),
            (LEDGER, f"debtCeiling {token}"): (100,),
        }

    def prices(self, *, age: int = 60, frozen: bool = False) -> None:
        """A price oracle."""
        self.answers |= {(PRICES, "updatedAt"): (self.now - age,), (PRICES, "isFrozen"): (frozen,)}

    def stabilizer(self, *, cap: int) -> None:
        """A stabilizer that has nothing to do, and may trade ``cap`` units in a block."""
        token = address(0)
        zeros = ("tradeSize", "lastBlockVolume", "sustainedBlocks")
        self.answers |= {
            **{(STABILIZER, name): (0,) for name in zeros},
            (STABILIZER, "blockVolumeCap"): (cap,),
            (STABILIZER, "requiredBlocks"): (3,),
            (STABILIZER, "currency"): (token,),
            (STABILIZER, "settings"): (0,) * 8,
            (token, f"balanceOf {STABILIZER}"): (0,),
        }

    def hold(self, contract: str, role: str, *accounts: str) -> None:
        """A contract with AccessControl, and who holds a role of it; another call is another role."""
        held = self.holders.setdefault(contract, {})
        held[role_id(role)] = [account.lower() for account in accounts]
        self.answers[contract, "hasRole"] = lambda role, account: (account.lower() in held.get(role, ()),)

    # -- as a node ----------------------------------------------------------------------------------------------------

    def node(self, changes: Mapping[tuple[str, str], Any] | None = None, *, behind: int = 0) -> Node:
        """An endpoint; ``changes`` are what it says otherwise, ``behind`` how many blocks it lacks."""

        def header(params: list[Any]) -> Any:
            known = self.headers[: len(self.headers) - behind]
            number = len(known) - 1 if params[0] in ("latest", "finalized") else int(params[0], 16)
            return known[number] if number < len(known) else None

        def call(params: list[Any]) -> str | None:
            hashes = [each["hash"] for each in self.headers[: len(self.headers) - behind]]
            if params[1]["blockHash"] not in hashes:
                return None
            return self._call(params[0]["to"], bytes.fromhex(params[0]["data"][2:]), changes or {})

        def logs(params: list[Any]) -> list[dict[str, Any]]:
            wanted, blocks = params[0], range(int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16) + 1)
            return [
                each
                for each in self.logs
                if each["address"] in wanted["address"]
                and matches(each, wanted["topics"])
                and int(each["blockNumber"], 16) in blocks
            ]

        return Node(
            handlers={
                "eth_getBlockByNumber": header,
                "eth_call": call,
                "eth_getCode": lambda params: "0x" if params[0] in self.empty else "0x60",
                "eth_getLogs": logs,
            }
        )

    def _call(self, to: str, data: bytes, changes: Mapping[tuple[str, str], Any]) -> str:
        function, types, arguments = _read(data)
        words = [function, *(str(each) for each in arguments[:1])]
        for name in (" ".join(words), function):
            for known in (changes, self.answers):
                if (to, name) in known:
                    value = known[to, name]
                    if isinstance(value, Exception):
                        raise value
                    if value is None:
                        return "0x"
                    values = value(*arguments) if isinstance(value, Callable) else value  # type: ignore[arg-type]
                    return "0x" + encode(types, values).hex()
        raise Error(3, "execution reverted")


def _read(data: bytes) -> tuple[str, list[str], list[Any]]:
    """The function called (of any reference contract), the types that it returns, and its arguments."""
    from eth_abi.abi import decode
    from eth_utils.crypto import keccak

    from attest.chain.artifact import input_types

    for name in (
        "WToken",
        "ReserveOracle",
        "Ledger",
        "XAUOracle",
        "BridgeEscrowVault",
        "Stabilizer",
        "PracticeMultisig",
    ):
        for entry in artifact(name).abi:
            if entry["type"] == "function":
                types = input_types(entry)
                if keccak(text=f"{entry['name']}({','.join(types)})")[:4] == data[:4]:
                    returned = [output["type"] for output in entry["outputs"]]
                    return entry["name"], returned, list(decode(types, data[4:]))
    raise AssertionError(f"no function has the selector {data[:4].hex()}")


def configuration(world: World, monitor: Mapping[str, Any] | None = None, *, endpoints: int = 1) -> Config:
    """The configuration of a world."""
    urls = tuple(f"http://node-{number}.example" for number in range(endpoints))
    plain = config(
        {symbol: [("main", address(number), 6)] for number, symbol in enumerate(world.tokens)},
        chains={"main": {"chain_id": 138, "endpoints": urls}},
    )
    return Config.model_validate(plain.model_dump() | {"monitor": dict(monitor or {})})


ALL = {"ledger": {"address": LEDGER}, "price_oracles": {"USDW": {"address": PRICES}}}


def watching(
    world: World, folder: Path, monitor: Mapping[str, Any] | None = None, *, nodes: list[Node] | None = None
) -> Watch:
    """The watch over a world, on the world's own clock."""
    nodes = nodes or [world.node()]
    loaded = Loaded(configuration(world, monitor, endpoints=len(nodes)), folder)
    network = Network({f"http://node-{number}.example": node for number, node in enumerate(nodes)})
    return Watch(loaded, LocalStore(folder / "private"), lambda: datetime.fromtimestamp(world.now + 1, UTC), network)


def values(snapshot: Snapshot, name: str) -> dict[tuple[str, ...], Any]:
    """The values of a metric by its labels."""
    return {each.labels: each.value for each in snapshot.samples if each.metric.name == f"attest_{name}"}


def value(snapshot: Snapshot, name: str, *labels: str) -> Any:
    return values(snapshot, name)[labels]
