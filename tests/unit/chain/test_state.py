"""Readings of a simulated chain: what a run takes, and everything that it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from eth_utils.abi import function_signature_to_4byte_selector as selector

from attest.chain import contracts, preflight, runway, state
from attest.chain.artifact import artifact
from attest.chain.preflight import Finding
from attest.chain.rpc import ChainClient
from attest.chain.runway import Runway
from attest.config import Config, Contract, OracleSection
from attest.errors import ChainError
from attest.records import from_json, to_json
from tests.support.chains import ORACLE, PUBLISHER, REGISTRY, REPORTERS, Error, Network, Node, config, fields

BASE = Path()
GENESIS, SPACING, LENGTH = 1_794_830_400, 5, 50
HEAD = GENESIS + SPACING * (LENGTH - 1)
STATE_NODE, STORAGE_NODE = b"a node of the state trie", b"a node of a storage trie"
USDW, EURW, AFAR = "0x" + "61" * 20, "0x" + "62" * 20, "0x" + "63" * 20
TOKENS = {"USDW": [("main", USDW, 6)], "EURW": [("main", EURW, 2)]}
URL = "http://node.example"
NOW = datetime.fromtimestamp(HEAD + 4, UTC)
Change = Callable[[Any], Any]


@dataclass
class World:
    """A chain with state: code, storage, and what each call returns (by address and calldata)."""

    chain_id: int = 138
    code: dict[str, bytes] = field(default_factory=dict)
    storage: dict[tuple[str, str], int] = field(default_factory=dict)
    calls: dict[tuple[str, bytes], Any] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    gas_price: int = 7
    #: Changes to an answer, by method.
    changes: dict[str, Change] = field(default_factory=dict)
    length: int = LENGTH

    def __post_init__(self) -> None:
        self.headers: list[dict[str, Any]] = []
        for number in range(LENGTH):
            parent = self.headers[-1]["hash"][2:] if self.headers else "00" * 32
            root = {"stateRoot": "0x" + keccak(STATE_NODE).hex()}
            self.headers.append(fields(number, GENESIS + number * SPACING, parent, **root))
        self.node = Node(
            chain_id=self.chain_id,
            handlers={
                name: self._changed(name, handler)
                for name, handler in {
                    "eth_getBlockByNumber": self._by_number,
                    "eth_getBlockByHash": lambda params: next(h for h in self.headers if h["hash"] == params[0]),
                    "eth_call": lambda params: self._call(params[0]["to"], bytes.fromhex(params[0]["data"][2:])),
                    "eth_getCode": lambda params: f"0x{self.code.get(params[0], b'').hex()}",
                    "eth_getProof": self._proof,
                    "eth_getBalance": lambda params: hex(self.balances.get(params[0], 0)),
                    "eth_gasPrice": lambda params: hex(self.gas_price),
                }.items()
            },
        )

    def _changed(self, name: str, handler: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
        def handle(params: list[Any]) -> Any:
            answer = handler(params)
            return self.changes[name](answer) if name in self.changes else answer

        return handle

    def _by_number(self, params: list[Any]) -> Any:
        number = self.length - 1 if params[0] in ("latest", "finalized") else int(params[0], 16)
        return self.headers[number]

    def _call(self, to: str, calldata: bytes) -> Any:
        answer = self.calls.get((to, calldata), "0x")
        if isinstance(answer, list):  # one answer after the other
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Error):
            raise answer
        return answer

    def _proof(self, params: list[Any]) -> Any:
        address, slots, _ = params
        return {
            "accountProof": [f"0x{STATE_NODE.hex()}"],
            "codeHash": f"0x{keccak(self.code.get(address, b'')).hex()}",
            "storageHash": f"0x{keccak(STORAGE_NODE).hex()}",
            "storageProof": [
                {
                    "key": slot,
                    "value": hex(self.storage.get((address, slot[2:]), 0)),
                    "proof": [f"0x{STORAGE_NODE.hex()}"],
                }
                for slot in slots
            ],
        }

    # -- what stands on it

    def token(self, address: str, decimals: int, supply: int, *, code: bytes | None = None) -> None:
        handle = contracts.token(address, "")
        self.code[address] = artifact("WToken").deployed_bytecode if code is None else code
        self.storage[address, handle.supply_slot()] = supply
        self.returns(handle.total_supply(), ["uint256"], [supply])
        self.returns(handle.decimals(), ["uint8"], [decimals])

    def returns(self, call: contracts.Call, types: Sequence[str], values: Sequence[Any]) -> None:
        self.calls[call.to, call.data] = f"0x{encode(types, values).hex()}"

    def oracle(
        self,
        reports: Mapping[str, Mapping[str, tuple[int, int]]],
        *,
        verified: Mapping[str, int],
        quorum: int = 2,
        members: Sequence[str] = REPORTERS,
        validity: int = 8 * 86400,
    ) -> None:
        """``reports``: (units, timestamp) by token and reporter; no quorum for a token that is not ``verified``."""
        handle = contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE), BASE)
        self.code[ORACLE] = artifact("ReserveOracle").deployed_bytecode
        self.returns(handle.required_quorum(), ["uint256"], [quorum])
        self.returns(handle.consensus_validity(), ["uint256"], [validity])
        self.returns(handle.max_report_age(), ["uint256"], [3600])
        self.returns(handle.reporters(), ["address[]"], [members])
        settings = dict(zip(handle.settings_slots(), (quorum, validity), strict=True))
        numbers = [len(members), *(int(member, 16) for member in members)]
        slots = {**settings, **dict(zip(handle.reporter_slots(len(members)), numbers, strict=True))}
        for token, by_reporter in reports.items():
            met = token in verified
            self.returns(handle.is_quorum_met(token), ["bool"], [met])
            if met:
                self.returns(handle.verified_reserve(token), ["uint256"], [verified[token]])
            else:
                call = handle.verified_reserve(token)
                self.calls[call.to, call.data] = Error(3, "execution reverted", "0x")
            for reporter in (*REPORTERS, *members):
                report = by_reporter.get(reporter, (0, 0))
                self.returns(handle.report_of(token, reporter), ["uint256", "uint256"], report)
                slots.update(zip(handle.report_slots(token, reporter), report, strict=True))
        self.storage.update({(ORACLE, slot): value for slot, value in slots.items()})
        for member in members:
            self.returns(handle.has_role("REPORTER_ROLE", member), ["bool"], [True])
            self.balances[member] = 10**18

    def registry(self, entry: contracts.RegistryEntry | None = None) -> None:
        handle = contracts.attestation_registry(Contract(chain="main", address=REGISTRY), BASE)
        self.code[REGISTRY] = artifact("AttestationRegistry").deployed_bytecode
        self.returns(handle.has_role("PUBLISHER_ROLE", PUBLISHER), ["bool"], [True])
        self.balances[PUBLISHER] = 10**18
        if entry is not None:
            kinds = ["bytes32", "uint256", "bytes32", "bytes32", "uint256"]
            self.returns(handle.attestation_of(PUBLISHER, "2026-W47", 0), kinds, entry)
            for slot, value in zip(handle.entry_slots(PUBLISHER, "2026-W47", 0), entry, strict=True):
                self.storage[REGISTRY, slot] = value if isinstance(value, int) else int.from_bytes(value, "big")

    def client(self) -> ChainClient:
        return ChainClient("main", self.chain_id, [URL], transport=Network({URL: self.node}))


@pytest.fixture
def world() -> World:
    """Two tokens, three reporters who all reported on both, and a registry."""
    world = World()
    world.token(USDW, 6, 1_000)
    world.token(EURW, 2, 50)
    reports = {
        USDW: {reporter: (2_000 + n, HEAD - 100 - n) for n, reporter in enumerate(REPORTERS)},
        EURW: dict.fromkeys(REPORTERS, (70, HEAD - 200)),
    }
    world.oracle(reports, verified={USDW: 2_001, EURW: 70})
    world.registry(contracts.RegistryEntry(b"\1" * 32, 7, b"\2" * 32, b"\3" * 32, 9))
    return world


def cutoff(number: int) -> datetime:
    return datetime.fromtimestamp(GENESIS + number * SPACING + 2, UTC)


def supply(world: World, settings: Config | None = None, number: int = 40) -> state.SupplyReading:
    clients = {"main": world.client()}
    return state.read_supply(
        clients, settings or config(TOKENS), cutoff=cutoff(number), supply_at="cutoff", base=Path()
    )


def confirm(world: World, settings: Config | None = None, **options: Any) -> state.ConfirmationReading:
    arguments: dict[str, Any] = {"tokens": ["USDW", "EURW"], "reporters": REPORTERS, "base": BASE, **options}
    return state.read_confirmation({"main": world.client()}, settings or config(TOKENS), **arguments)


def anchor(world: World, settings: Config | None = None, base: Path = BASE) -> tuple[Any, Any]:
    arguments: dict[str, Any] = {"period": "2026-W47", "revision": 0, "publisher": PUBLISHER, "base": base}
    return state.read_anchor(world.client(), settings or config(TOKENS), **arguments)


# -- supply ----------------------------------------------------------------------------------------------------------


def test_read_supply__at_the_cutoff__reads_the_last_block_before_it(world):
    reading = supply(world, number=40)
    (block,) = reading.supply.blocks
    assert (block.number, block.timestamp) == (40, GENESIS + 200)
    assert reading.supply.units("USDW", 6) == 1_000
    assert reading.supply.units("EURW", 2) == 50
    assert [(proof.purpose, proof.token, proof.storage[0].value) for proof in reading.proofs[0].accounts] == [
        ("supply", "USDW", 1_000),
        ("supply", "EURW", 50),
    ]
    assert keccak(bytes.fromhex(reading.proofs[0].header)).hex() == block.hash
    assert from_json(state.SupplyReading, to_json(reading), "reading") == reading


def test_read_supply__every_read__is_pinned_to_the_block(world):
    block = supply(world).supply.blocks[0]
    pinned = [call for call in world.node.requests[-1] if call["method"] != "eth_getBlockByHash"]
    assert len(pinned) == 9  # code, decimals, supply and proof of both tokens, and the oracle's age
    assert all(call["params"][-1] == {"blockHash": f"0x{block.hash}"} for call in pinned)


@pytest.mark.parametrize("count", [3, 30])
def test_read_supply__any_number_of_tokens__takes_as_many_requests(count):
    world, tokens = World(), {}
    for n in range(count):
        address = f"0x{n + 1:040}"
        world.token(address, 6, n)
        tokens[f"T{n}"] = [("main", address, 6)]
    supply(world, config(tokens))
    assert len(world.node.requests) == 3


def test_read_supply__several_chains__each_at_its_own_block(world):
    other = World(chain_id=1, length=45)
    other.token(AFAR, 18, 5 * 10**18)
    settings = config(
        {"USDW": [("main", USDW, 6), ("side", AFAR, 18)], "EURW": TOKENS["EURW"]},
        chains={
            "main": {"chain_id": 138, "endpoints": (URL,)},
            "unused": {"chain_id": 5, "endpoints": (URL,)},
            "side": {"chain_id": 1, "endpoints": (URL,), "finality": "depth:3"},
        },
    )
    clients = {"main": world.client(), "side": other.client()}
    reading = state.read_supply(clients, settings, cutoff=cutoff(40), supply_at="run", base=Path())
    assert [(block.chain_id, block.number) for block in reading.supply.blocks] == [(138, 49), (1, 41)]
    assert reading.supply.units("USDW", 6) == 5_001_000
    confirmed = state.read_confirmation(clients, settings, tokens=["USDW"], reporters=REPORTERS, base=BASE)
    assert [proof.block.chain_id for proof in confirmed.proofs] == [138, 1]
    assert confirmed.supply == reading.supply
    status = state.status(clients, settings, base=BASE)[0]
    assert (status.supply_units, status.sufficient, status.ratio_percent) == (5_001_000, False, "0.0")


def test_read_supply__other_decimals_than_configured__refuses(world):
    with pytest.raises(ChainError, match=r"token USDW at .* has 6 decimals, 18 are configured") as caught:
        supply(world, config({"USDW": [("main", USDW, 18)]}))
    assert caught.value.code == "decimals-differ"


def test_read_supply__no_code_at_the_address__refuses(world):
    del world.code[USDW]
    with pytest.raises(
        ChainError, match=f"token USDW: there is no contract at {USDW} on chain main at block 40"
    ) as caught:
        supply(world)
    assert caught.value.code == "no-code"


@pytest.mark.parametrize("method", ["eth_call", "eth_getCode", "eth_getProof", "eth_getBlockByHash"])
def test_read_supply__pruned_node_answers_null__advises_what_to_do(world, method):
    world.changes[method] = lambda answer: None
    with pytest.raises(ChainError) as caught:
        supply(world)
    assert caught.value.code == "state-unavailable"
    assert 'supply_at = "run"' in caught.value.advice
    assert "attest open" in caught.value.advice


@pytest.mark.parametrize("method", ["eth_call", "eth_getCode", "eth_getProof"])
def test_read_supply__pruned_node_answers_an_error__advises_what_to_do(world, method):
    def gone(answer: Any) -> Any:
        raise Error(-32000, "World state unavailable")

    world.changes[method] = gone
    with pytest.raises(ChainError, match="World state unavailable") as caught:
        supply(world)
    assert caught.value.code == "state-unavailable"


@pytest.mark.parametrize(("method", "code"), [("eth_call", "empty-answer"), ("eth_getCode", "no-code")])
def test_read_supply__pruned_node_answers_empty__refuses(world, method, code):
    world.changes[method] = lambda answer: "0x"
    with pytest.raises(ChainError) as caught:
        supply(world)
    assert caught.value.code == code
    assert 'supply_at = "run"' in caught.value.advice


def test_read_supply__pruned_node_answers_zero__is_found_out_by_the_proof(world):
    call = contracts.token(USDW, "").total_supply()
    world.returns(call, ["uint256"], [0])
    with pytest.raises(ChainError, match="totalSupply says 0, its storage holds 1000") as caught:
        supply(world)
    assert caught.value.code == "proof-differs"


def test_read_supply__token_of_another_make__keeps_a_proof_only_where_it_shows_the_supply(world):
    world.token(USDW, 6, 1_000, code=b"another token, OpenZeppelin's layout")
    world.token(EURW, 2, 50, code=b"another token, another layout")
    world.storage[EURW, contracts.token(EURW, "").supply_slot()] = 12345
    reading = supply(world)
    assert [supply.units for supply in reading.supply.deployments] == [1_000, 50]
    assert [proof.token for proof in reading.proofs[0].accounts] == ["USDW"]


def test_read_supply__endpoint_without_proofs__reads_without(world):
    del world.node.handlers["eth_getProof"]
    reading = supply(world)
    assert reading.supply.units("USDW", 6) == 1_000
    assert reading.proofs[0].accounts == ()


def test_read_supply__header_that_does_not_hash_to_its_hash__refuses(world):
    world.changes["eth_getBlockByHash"] = lambda answer: {**answer, "gasUsed": "0x1"}
    with pytest.raises(ChainError, match="is not the hash of its header"):
        supply(world)


def test_read_supply__header_of_another_block__refuses(world):
    world.changes["eth_getBlockByHash"] = lambda answer: world.headers[3]
    with pytest.raises(ChainError, match="was answered with another block's header"):
        supply(world)


def other_proof(**changes: Any) -> Change:
    return lambda answer: {**answer, **changes}


def other_slot(**changes: Any) -> Change:
    return lambda answer: {**answer, "storageProof": [{**answer["storageProof"][0], **changes}]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (other_proof(accountProof=["0x1234"]), "does not begin at the block's state root"),
        (other_proof(accountProof=[]), "does not begin at the block's state root"),
        (other_proof(accountProof=None), "has no list of trie nodes"),
        (other_proof(accountProof=[7]), "a trie node is not hex data"),
        (other_proof(codeHash="0x" + "00" * 32), "another code hash than the code"),
        (other_proof(codeHash="0x00"), "its code hash is not 32 bytes"),
        (other_proof(storageHash=None), "its storage root is not 32 bytes"),
        (other_proof(storageProof=[]), "one storage proof per slot"),
        (other_proof(storageProof=None), "one storage proof per slot"),
        (other_proof(storageProof=["0x"]), "one storage proof per slot"),
        (other_slot(key="0x3"), "is not about the slot 0x0000"),
        (other_slot(key=None), "a slot is not a hex quantity"),
        (other_slot(value="1000"), "a value is not a hex quantity"),
        (other_slot(proof=["0xabcd"]), "does not begin at its storage root"),
        (other_slot(value="0x7"), "its storage holds 7"),
    ],
)
def test_read_supply__proof_that_is_broken__refuses(world, change, complaint):
    world.changes["eth_getProof"] = change
    with pytest.raises(ChainError, match=complaint):
        supply(world)


def test_read_supply__two_endpoints_and_one_lies__names_it(world):
    liar = World()
    liar.token(USDW, 6, 999)
    liar.token(EURW, 2, 50)
    nodes = {URL: world.node, "http://liar.example": liar.node}
    client = ChainClient("main", 138, list(nodes), transport=Network(nodes), read_quorum=2)
    with pytest.raises(ChainError, match="disagree on eth_call") as caught:
        state.read_supply({"main": client}, config(TOKENS), cutoff=cutoff(40), supply_at="cutoff", base=Path())
    assert "http://liar.example:80" in caught.value.message


# -- confirmation ----------------------------------------------------------------------------------------------------


def test_read_confirmation__all_reported__gives_consensus_supply_and_proofs(world):
    reading = confirm(world)
    assert len(world.node.requests) == 2
    usdw, eurw = reading.consensus
    assert (usdw.token, usdw.units, usdw.quorum_met, usdw.required_quorum) == ("USDW", 2_001, True, 2)
    assert usdw.reports == {reporter: 2_000 + n for n, reporter in enumerate(REPORTERS)}
    assert (eurw.units, len(eurw.reports)) == (70, 3)
    assert reading.supply.blocks[0].number == LENGTH - 1
    assert [(proof.purpose, proof.token) for proof in reading.proofs[0].accounts] == [
        ("supply", "USDW"),
        ("supply", "EURW"),
        ("consensus", "USDW"),
        ("consensus", "EURW"),
    ]
    assert from_json(state.ConfirmationReading, to_json(reading), "reading") == reading


@pytest.mark.parametrize("count", [3, 30])
def test_read_confirmation__any_number_of_tokens__takes_as_many_requests(count):
    world, tokens, addresses = World(), {}, [f"0x{n + 1:040}" for n in range(count)]
    for n, address in enumerate(addresses):
        world.token(address, 6, 5)
        tokens[f"T{n}"] = [("main", address, 6)]
    reports = {address: dict.fromkeys(REPORTERS, (9, HEAD)) for address in addresses}
    world.oracle(reports, verified=dict.fromkeys(addresses, 9))
    reading = confirm(world, config(tokens), tokens=list(tokens))
    assert len(reading.consensus) == count
    assert len(world.node.requests) == 2


def test_read_confirmation__no_token_reported__still_reads_the_supply(world):
    reading = confirm(world, tokens=[])
    assert reading.consensus == ()
    assert reading.supply.units("USDW", 6) == 1_000


def test_read_confirmation__quorum_not_met__has_no_number(world):
    world.oracle({USDW: {REPORTERS[0]: (2_000, HEAD)}}, verified={})
    (consensus,) = confirm(world, tokens=["USDW"]).consensus
    assert (consensus.quorum_met, consensus.units, consensus.reports) == (False, 0, {REPORTERS[0]: 2_000})


def test_read_confirmation__quorum_met_but_no_number__refuses(world):
    call = contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE), BASE).verified_reserve(USDW)
    world.calls[call.to, call.data] = Error(3, "execution reverted", "0x")
    with pytest.raises(ChainError, match=r"ReserveOracle.getVerifiedReserve\(.*reverted"):
        confirm(world)


@pytest.mark.parametrize(
    ("timestamp", "standing"), [(HEAD, True), (HEAD - 1000, True), (HEAD - 1001, False), (0, False), (HEAD + 1, False)]
)
def test_read_confirmation__report_counts_up_to_its_validity(world, timestamp, standing):
    world.oracle({USDW: {REPORTERS[0]: (2_000, timestamp)}}, verified={}, validity=1000)
    (consensus,) = confirm(world, tokens=["USDW"]).consensus
    assert (REPORTERS[0] in consensus.reports) is standing


def test_read_confirmation__reporter_without_the_role__does_not_count(world):
    reports = {USDW: dict.fromkeys(REPORTERS, (2000, HEAD))}
    world.oracle(reports, verified={USDW: 2_000}, members=REPORTERS[:2])
    (consensus,) = confirm(world, tokens=["USDW"]).consensus
    assert set(consensus.reports) == set(REPORTERS[:2])


def test_read_confirmation__reporters_of_other_operators__count_too(world):
    reading = confirm(world, reporters=REPORTERS[:1])
    assert set(reading.consensus[0].reports) == set(REPORTERS)


@pytest.mark.parametrize("hint", ["0x", None, Error(-32000, "busy"), f"0x{encode(['address[]'], [[]]).hex()}"])
def test_read_confirmation__reporters_changed_since_the_hint__asks_once_more(world, hint):
    call = contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE), BASE).reporters()
    world.calls[call.to, call.data] = [hint, world.calls[call.to, call.data]]
    assert len(confirm(world).consensus[0].reports) == 3
    assert len(world.node.requests) == 3


@pytest.mark.parametrize("index", range(9))
def test_read_confirmation__any_proven_slot_differs__refuses(world, index):
    handle = contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE), BASE)
    slots = [*handle.settings_slots(), *handle.reporter_slots(3), *handle.report_slots(USDW, REPORTERS[0])]
    slots += handle.report_slots(EURW, REPORTERS[2])[:1]
    world.storage[ORACLE, slots[index]] += 1
    with pytest.raises(ChainError, match=r"the reserve oracle, token (USDW|EURW) says") as caught:
        confirm(world)
    assert caught.value.code == "proof-differs"


def test_read_confirmation__oracle_of_another_make_under_our_abi__has_no_proof(world):
    world.code[ORACLE] = b"a proxy, perhaps"
    reading = confirm(world)
    assert reading.consensus[0].units == 2_001
    assert {proof.purpose for proof in reading.proofs[0].accounts} == {"supply"}


def test_read_confirmation__oracle_without_code__refuses(world):
    del world.code[ORACLE]
    with pytest.raises(ChainError, match="the reserve oracle: there is no contract"):
        confirm(world)


def test_read_confirmation__head_before_the_supply_block__refuses(world):
    opened = supply(world, number=40)
    assert confirm(world, opened=opened).supply.blocks[0].number == 49
    world.length = 40
    with pytest.raises(ChainError, match="final head is block 39, before the supply block 40") as caught:
        confirm(world, opened=opened)
    assert caught.value.code == "chain-went-back"


def foreign(folder: Path, *functions: tuple[str, list[str], list[str]]) -> str:
    abi = [
        {
            "type": "function",
            "name": name,
            "inputs": [{"type": kind, "name": ""} for kind in inputs],
            "outputs": [{"type": kind, "name": called} for kind, _, called in (out.partition(" ") for out in outputs)],
        }
        for name, inputs, outputs in functions
    ]
    (folder / "abi.json").write_text(json.dumps(abi))
    return "abi.json"


def foreign_oracle(world: World, folder: Path) -> Config:
    """An oracle with its own names, without roles, ages or a list of reporters."""
    abi = foreign(
        folder,
        ("latest", ["address"], ["uint128 amount", "bool valid"]),
        ("reports", ["address", "address"], ["uint256 amount", "uint64 time"]),
        ("threshold", [], ["uint8"]),
    )
    world.code[ORACLE] = b"another oracle"
    for token, units in ((USDW, 800), (EURW, 60)):
        argument = encode(["address"], [token])
        world.calls[ORACLE, selector("latest(address)") + argument] = (
            f"0x{encode(['uint256', 'bool'], [units, True]).hex()}"
        )
        for reporter in REPORTERS:
            data = selector("reports(address,address)") + argument + encode(["address"], [reporter])
            world.calls[ORACLE, data] = f"0x{encode(['uint256', 'uint64'], [units, HEAD - 10**6]).hex()}"
    world.calls[ORACLE, selector("threshold()")] = f"0x{encode(['uint8'], [1]).hex()}"
    names = {
        "getVerifiedReserve": "latest.amount",
        "isQuorumMet": "latest.valid",
        "reportOf": "reports",
        "requiredQuorum": "threshold",
    }
    return config(TOKENS, oracle={"abi": abi, "functions": names}, reporters=REPORTERS[:2])


def test_read_confirmation__oracle_with_other_names_and_less_to_say__is_read_without_proof(world, tmp_path):
    settings = foreign_oracle(world, tmp_path)
    reading = confirm(world, settings, base=tmp_path, reporters=REPORTERS[:2])
    assert [(item.units, item.quorum_met, item.required_quorum) for item in reading.consensus] == [
        (800, True, 1),
        (60, True, 1),
    ]
    assert reading.consensus[0].reports == dict.fromkeys(REPORTERS[:2], 800)
    assert {proof.purpose for proof in reading.proofs[0].accounts} == {"supply"}
    assert len(world.node.requests) == 2


# -- anchor ----------------------------------------------------------------------------------------------------------


def test_read_anchor__published__gives_the_entry_and_its_proof(world):
    entry, proof = anchor(world)
    assert (entry.root, entry.size, entry.statement) == ("01" * 32, 7, "02" * 32)
    assert (entry.log_root, entry.log_size) == ("03" * 32, 9)
    assert (entry.chain_id, entry.registry, entry.publisher) == (138, REGISTRY, PUBLISHER)
    assert entry.block == proof.block
    assert [slot.value for slot in proof.accounts[0].storage][1] == 7
    assert (proof.accounts[0].purpose, proof.accounts[0].token) == ("anchor", None)
    assert len(world.node.requests) == 2


def test_read_anchor__storage_shows_another_entry__refuses(world):
    handle = contracts.attestation_registry(Contract(chain="main", address=REGISTRY), BASE)
    world.storage[REGISTRY, handle.entry_slots(PUBLISHER, "2026-W47", 0)[4]] = 10
    with pytest.raises(ChainError, match="the attestation registry says 9, its storage holds 10"):
        anchor(world)


def test_read_anchor__nothing_published__refuses(world):
    handle = contracts.attestation_registry(Contract(chain="main", address=REGISTRY), BASE)
    call = handle.attestation_of(PUBLISHER, "2026-W47", 0)
    error = selector("NotPublished(address,bytes32,uint256)") + encode(
        ["address", "bytes32", "uint256"], [PUBLISHER, b"2026-W47".ljust(32, b"\0"), 0]
    )
    world.calls[call.to, call.data] = Error(3, "execution reverted", f"0x{error.hex()}")
    with pytest.raises(ChainError, match="nothing was published") as caught:
        anchor(world)
    assert caught.value.code == "call-reverted"


def test_read_anchor__registry_of_another_make__has_no_proof(world, tmp_path):
    world.code[REGISTRY] = b"another registry"
    entry, proof = anchor(world)
    assert (entry.size, proof.accounts) == (7, ())
    kinds = ["bytes32", "uint256", "bytes32", "bytes32", "uint256"]
    abi = foreign(tmp_path, ("attestationOf", ["address", "bytes32", "uint256"], kinds))
    entry, proof = anchor(world, config(TOKENS, registry={"abi": abi}), tmp_path)
    assert (entry.size, proof.accounts) == (7, ())


# -- preflight -------------------------------------------------------------------------------------------------------


def findings_of(world: World, settings: Config | None = None, base: Path = BASE, now: datetime = NOW) -> list[Finding]:
    return list(preflight.preflight({"main": world.client()}, settings or config(TOKENS), base=base, now=now))


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.state, f"{finding.subject}: {finding.detail}") for finding in findings if finding.state != "ok"]


def test_preflight__all_well__says_so_of_everything(world):
    findings = findings_of(world)
    assert bad(findings) == []
    assert len(world.node.requests) == 3
    shown = "\n".join(f"{finding.subject}: {finding.detail}" for finding in findings)
    for part in (
        "chain main: chain id 138, block 49, 4 s old",
        "token USDW: " + USDW + ": supply 1000 units, with proof",
        f"reserve oracle: {ORACLE} has code",
        f"attestation registry: {REGISTRY} has code",
        f"reporter {REPORTERS[2]}: holds REPORTER_ROLE",
        f"publisher {PUBLISHER}: holds PUBLISHER_ROLE",
        f"publisher {PUBLISHER}: 1000000000000000000 wei for gas, some 1750000 wei a run (1 transaction, 250000 gas",
        "reserve oracle: quorum 2 of 3 reporters",
        "reserve oracle: reports are accepted up to 3600 s old and count for 691200 s",
    ):
        assert part in shown


def test_preflight__everything_wrong__lists_it_all(world):
    del world.code[REGISTRY], world.code[EURW], world.balances[PUBLISHER]
    world.oracle({USDW: {}, EURW: {}}, verified={}, quorum=4, validity=3600)
    handle = contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE), BASE)
    world.returns(handle.has_role("REPORTER_ROLE", REPORTERS[1]), ["bool"], [False])
    findings = findings_of(world)
    shown = bad(findings)
    assert all(finding.advice for finding in findings if finding.state != "ok")
    expected = [
        ("error", "token EURW: there is no contract"),
        ("error", "quorum 4 of 3 reporters"),
        ("warning", "count for 3600 s: the quorum lapses before the next weekly run"),
        ("error", f"reporter {REPORTERS[1]}: does not hold REPORTER_ROLE"),
        ("error", "the attestation registry (registry.address): there is no contract"),
        ("error", f"publisher {PUBLISHER}: 0 wei for gas"),
    ]
    assert len(shown) == len(expected)
    for (kind, text), (wanted, part) in zip(shown, expected, strict=True):
        assert kind == wanted
        assert part in text


@pytest.mark.parametrize(("seconds", "advice"), [(601, "has stopped"), (-61, "clock is behind")])
def test_preflight__head_and_clock_apart__warns(world, seconds, advice):
    findings = findings_of(world, now=datetime.fromtimestamp(HEAD + seconds, UTC))
    assert [(finding.state, finding.subject) for finding in findings if finding.state != "ok"] == [
        ("warning", "chain main")
    ]
    assert advice in findings[0].advice


def test_preflight__free_gas__needs_no_balance(world):
    world.balances.clear()
    free = {"main": {"chain_id": 138, "endpoints": (URL,), "fees": {"kind": "free"}}}
    assert bad(findings_of(world, config(TOKENS, chains=free))) == []
    assert len(bad(findings_of(world))) == 4


def test_preflight__endpoint_gives_no_gas_price__asks_for_no_balance(world):
    del world.node.handlers["eth_gasPrice"]
    world.balances.clear()
    assert bad(findings_of(world)) == []


def test_preflight__wrong_chain__is_one_finding(world):
    world.node.chain_id = 1
    assert [(kind, text) for kind, text in bad(findings_of(world))] == [
        ("error", f"chain main: chain main: the endpoint {URL}:80 serves chain id 1, not 138")
    ]


def test_preflight__one_of_two_endpoints_down__warns(world):
    from attest.posting import Reply

    down = Node(faults=[Reply(503, b"")] * 99)
    nodes = {URL: world.node, "http://down.example": down}
    client = ChainClient("main", 138, list(nodes), transport=Network(nodes), sleep=lambda seconds: None)
    findings = list(preflight.preflight({"main": client}, config(TOKENS), base=BASE, now=NOW))
    assert bad(findings) == [("warning", "endpoint http://down.example:80: HTTP 503 (after 4 attempts)")]


def test_preflight__contracts_that_do_not_tell_roles__warns(world, tmp_path):
    settings = foreign_oracle(world, tmp_path)
    registry = {"address": REGISTRY, "abi": "abi.json"}
    settings = settings.model_copy(update={"registry": Contract(chain="main", **registry)})
    findings = bad(findings_of(world, settings, tmp_path))
    assert [kind for kind, _ in findings] == ["warning"] * 3
    assert all("its role cannot be checked" in text for _, text in findings)


def test_preflight__chain_without_contracts__is_only_reached(world):
    chains = {"main": {"chain_id": 138, "endpoints": (URL,)}, "side": {"chain_id": 1, "endpoints": (URL,)}}
    clients = {"main": world.client(), "side": World(chain_id=1).client()}
    findings = preflight.preflight(clients, config(TOKENS, chains=chains), base=BASE, now=NOW)
    assert findings[-1].detail == "chain id 1, block 49, 4 s old"


def gas_of(world: World, settings: Config | None = None, base: Path = BASE) -> dict[str, Runway]:
    clients = {"main": world.client()}
    return {each.address: each for each in runway.runways(clients, settings or config(TOKENS), base=base)}


def test_runways__estimates__cost_balance_and_whole_runs(world):
    world.node.handlers["eth_estimateGas"] = lambda params: hex(40_000 if params[0]["from"] == PUBLISHER else 30_000)
    world.balances = {PUBLISHER: 12 * 40_000 * 7 + 5, REPORTERS[0]: 2 * 30_000 * 7}
    found = gas_of(world)
    assert [(each.job, each.transactions, each.gas) for each in found.values()] == [
        *[("reporter", 2, 60_000)] * 3,
        ("publisher", 1, 40_000),
    ]
    assert (found[PUBLISHER].run_cost, found[PUBLISHER].runs_left) == (280_000, 12)
    assert "12 weekly runs left" in str(found[PUBLISHER])
    assert "1 weekly run left" in str(found[REPORTERS[0]])
    assert "(2 transactions, 60000 gas at 7 wei)" in str(found[REPORTERS[0]])
    assert found[REPORTERS[1]].runs_left == 0


@pytest.mark.parametrize("estimate", [None, "nonsense", Error(3, "reverted")])
def test_runways__no_estimate__a_transaction_counts_as_assumed(world, estimate):
    def answer(params: list[Any]) -> Any:
        if isinstance(estimate, Error):
            raise estimate
        return estimate

    world.node.handlers["eth_estimateGas"] = answer
    assert [each.gas for each in gas_of(world).values()] == [*[2 * runway.ASSUMED_GAS] * 3, runway.ASSUMED_GAS]


def test_runways__no_gas_price__counts_no_runs(world):
    del world.node.handlers["eth_gasPrice"]
    found = gas_of(world)[PUBLISHER]
    assert (found.run_cost, found.runs_left, found.free) == (None, None, False)
    assert "gives no gas price" in str(found)


def test_runways__free_chain__says_that_gas_is_free(world):
    free = {"main": {"chain_id": 138, "endpoints": (URL,), "fees": {"kind": "free"}}}
    assert {str(each) for each in gas_of(world, config(TOKENS, chains=free)).values()} == {"gas is free"}


def test_runways__contracts_of_another_make__count_as_assumed(world, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    settings = config(TOKENS, oracle={"abi": "none.json"}, registry={"abi": "none.json"})
    assert [each.gas for each in gas_of(world, settings, tmp_path).values()] == [500_000] * 3 + [250_000]


@pytest.mark.parametrize(("runs", "state"), [(0, "error"), (3, "warning"), (4, "ok")])
def test_preflight__few_runs_left__warns_before_it_stops_one(world, runs, state):
    world.balances[PUBLISHER] = runs * runway.ASSUMED_GAS * 7
    (found,) = [each for each in findings_of(world) if "left" in each.detail and PUBLISHER in each.subject]
    assert found.state == state


# -- status and ages -------------------------------------------------------------------------------------------------


def test_status__tells_supply_consensus_and_every_report(world):
    usdw, eurw = state.status({"main": world.client()}, config(TOKENS, reporters=REPORTERS[:1]), base=BASE)
    assert (usdw.token, usdw.decimals, usdw.supply_units) == ("USDW", 6, 1_000)
    assert (usdw.sufficient, usdw.ratio_percent) == (True, "200.1")
    assert [(report.reporter, report.age_seconds, report.standing) for report in usdw.reports] == [
        (reporter, 100 + n, True) for n, reporter in enumerate(REPORTERS)
    ]
    assert eurw.ratio_percent == "140.0"
    assert not any(call["method"] == "eth_getProof" and call["params"][0] == ORACLE for call in world.node.requests[-1])


def test_status__no_quorum__is_neither_sufficient_nor_short(world):
    world.oracle({USDW: {}, EURW: {}}, verified={})
    usdw, _ = state.status({"main": world.client()}, config(TOKENS), base=BASE)
    assert (usdw.sufficient, usdw.ratio_percent) == (None, None)


def test_report_age__oldest_of_own_reports(world):
    age = state.report_age(world.client(), config(TOKENS), tokens=["USDW", "EURW"], reporters=REPORTERS, base=BASE)
    assert age == state.ReportAge(oldest_seconds=200, validity_seconds=8 * 86400)
    assert len(world.node.requests) == 2


def test_report_age__a_report_is_missing__is_as_old_as_can_be(world):
    world.oracle({USDW: {REPORTERS[0]: (1, HEAD)}}, verified={})
    age = state.report_age(world.client(), config(TOKENS), tokens=["USDW"], reporters=REPORTERS, base=BASE)
    assert age.oldest_seconds == HEAD


def test_report_age__nothing_to_report__is_fresh(world):
    age = state.report_age(world.client(), config(TOKENS), tokens=[], reporters=REPORTERS, base=BASE)
    assert age.oldest_seconds == 0
