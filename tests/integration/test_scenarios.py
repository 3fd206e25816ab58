"""The scenarios of ``attest devnet``: each is played on a chain, and its situation is read from outside."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from attest import devnet, scenarios
from attest.chain.artifact import artifact, input_types
from attest.chain.devnet import dev_address
from tests.support.practice import rpc

WAD = 10**18
HOUR = 3600
INITIATED, SETTLED, FAILED, REFUND_INITIATED, REFUNDED = range(1, 6)
USDW, EURW, GBPW = "USDW", "EURW", "GBPW"

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


class Log(NamedTuple):
    values: dict[str, Any]
    block: int
    timestamp: int


class Seen:
    """A played network, seen through ``eth_call`` and ``eth_getLogs``. Blocks are made at once, for fast beats."""

    def __init__(self, folder: Path, running: devnet.Running) -> None:
        contracts = devnet.watched_contracts(folder)
        assert contracts is not None
        self.folder, self.contracts, self.url, self.beat = folder, contracts, running.rpc, running.beat
        self.rpc("evm_setIntervalMining", 0)
        self.rpc("evm_setAutomine", True)

    def rpc(self, method: str, *parameters: Any) -> Any:
        return rpc(self.url, method, *parameters)

    def call(self, contract: str, address: str, function: str, *arguments: Any) -> Any:
        code = artifact(contract)
        data = "0x" + code.call_data(function, *arguments).hex()
        answer = self.rpc("eth_call", {"to": address, "data": data}, "latest")
        (entry,) = [entry for entry in code.abi if entry.get("name") == function]
        values = decode([output["type"] for output in entry["outputs"]], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def token(self, symbol: str, function: str, *arguments: Any) -> Any:
        return self.call("WToken", self.contracts.tokens[symbol], function, *arguments)

    def health(self, owner: int) -> int:
        return int(self.call("Ledger", self.contracts.ledger, "getVaultHealth", dev_address(owner)))

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def logs(self, contract: str, address: str, name: str) -> list[Log]:
        (entry,) = [e for e in artifact(contract).abi if e["type"] == "event" and e["name"] == name]
        topic = "0x" + keccak(text=f"{name}({','.join(input_types(entry))})").hex()
        start = hex(self.contracts.first_block)
        found = []
        for log in self.rpc("eth_getLogs", {"fromBlock": start, "address": address, "topics": [topic]}):
            topics = iter(log["topics"][1:])
            plain = [i["type"] for i in entry["inputs"] if not i["indexed"]]
            body = iter(decode(plain, bytes.fromhex(log["data"][2:])))
            values = {
                i["name"]: decode([i["type"]], bytes.fromhex(next(topics)[2:]))[0] if i["indexed"] else next(body)
                for i in entry["inputs"]
            }
            found.append(Log(values, int(log["blockNumber"], 16), int(log["blockTimestamp"], 16)))
        return found

    def bridge(self, name: str) -> list[Log]:
        return self.logs("BridgeEscrowVault", self.contracts.bridge_vault, name)

    def updates(self, status: int) -> list[Log]:
        return [log for log in self.bridge("TransferStatusUpdated") if log.values["newStatus"] == status]

    def guard(self, name: str) -> list[Log]:
        return self.logs("ComplianceGuard", self.contracts.compliance_guard, name)

    def ratio(self, symbol: str) -> float:
        return float(self.token(symbol, "verifiedReserve") / self.token(symbol, "totalSupply"))


@contextmanager
def played(folder: Path, scenario: str | None) -> Iterator[Seen]:
    with devnet.running(folder, port=0, witness_port=0, scenario=scenario) as running:
        yield Seen(folder, running)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[str], Any]:
    return lambda scenario: played(tmp_path / "net", scenario)


def addresses(contracts: scenarios.Contracts) -> dict[str, tuple[str, ...]]:
    """By the contract that stands there."""
    return {
        "ReserveOracle": (contracts.reserve_oracle,),
        "AttestationRegistry": (contracts.registry,),
        "WToken": (*contracts.tokens.values(), *contracts.assets.values()),
        "XAUOracle": tuple(contracts.price_oracles.values()),
        "Ledger": (contracts.ledger,),
        "Liquidation": (contracts.liquidation,),
        "MintController": (contracts.mint_controller,),
        "ComplianceGuard": (contracts.compliance_guard,),
        "BridgeRegistry": (contracts.bridge_registry,),
        "BridgeEscrowVault": (contracts.bridge_vault,),
        "Stabilizer": (contracts.stabilizer,),
        "PracticeVenue": (contracts.venue,),
        "PracticeMultisig": tuple(wallet.address for wallet in contracts.multisigs.values()),
    }


def test_calm__everything_a_monitor_reads__is_as_it_should_be_and_goes_on_so(play: Any) -> None:
    with play("calm") as seen:
        contracts = seen.contracts
        assert abs(seen.now() - time.time()) < 60
        for name, places in addresses(contracts).items():
            for address in places:
                assert seen.rpc("eth_getCode", address, "latest") == "0x" + artifact(name).deployed_bytecode.hex(), name
        configured = tomllib.loads((seen.folder / "attest.toml").read_text())
        assert {s: t["deployments"][0]["address"] for s, t in configured["tokens"].items()} == dict(contracts.tokens)

        for number in range(4):
            for symbol, token in contracts.tokens.items():
                assert seen.token(symbol, "isReserveSufficient") is True
                assert 1.10 <= seen.ratio(symbol) < 1.13
                assert seen.call("ReserveOracle", contracts.reserve_oracle, "isQuorumMet", token) is True
            for oracle in contracts.price_oracles.values():
                assert seen.now() - seen.call("XAUOracle", oracle, "updatedAt") < HOUR
                assert seen.call("XAUOracle", oracle, "isFrozen") is False
                assert seen.call("XAUOracle", oracle, "twapDeviation") < WAD // 100
            for owner in (scenarios.FIRST_OWNER, scenarios.SECOND_OWNER):
                assert seen.health(owner) > 15 * WAD // 10
            seen.beat(number)

        assert seen.call("Ledger", contracts.ledger, "vaultCount") == 2
        begun, settled = seen.bridge("TransferInitiated"), seen.updates(SETTLED)
        assert len(begun) - len(settled) == 1, "the newest is pending"
        assert len([log for log in begun if log.timestamp > seen.now() - HOUR]) > 20
        times = {log.values["transferId"]: log.timestamp for log in begun}
        assert max(log.timestamp - times[log.values["transferId"]] for log in settled) < HOUR
        assert seen.updates(FAILED) == []
        assert all(log.values["sufficient"] for log in seen.bridge("ReserveVerified"))
        assert all(log.values["passed"] for log in seen.guard("ComplianceChecked"))
        for name in ("Minted", "Redeemed"):
            assert len(seen.logs("MintController", contracts.mint_controller, name)) >= 5
        assert seen.logs("Liquidation", contracts.liquidation, "VaultLiquidated") == []


def test_shortfall__each_threshold__is_crossed_by_one_token_and_minting_is_refused(play: Any) -> None:
    with play("shortfall") as seen:
        assert seen.token(USDW, "isReserveSufficient") is False
        assert seen.token(EURW, "isReserveSufficient") is seen.token(GBPW, "isReserveSufficient") is True
        assert seen.ratio(USDW) < 1 < seen.ratio(EURW) < 1.05 < seen.ratio(GBPW) < 1.10
        supply = seen.token(USDW, "totalSupply")
        violations = len(seen.guard("MoneyMultiplierViolation"))
        assert violations == 2, "an audit and a mint"
        seen.beat(0)
        seen.beat(1)
        assert len(seen.guard("MoneyMultiplierViolation")) == violations + 1
        assert seen.token(USDW, "totalSupply") == supply
        refused = seen.logs("MintController", seen.contracts.mint_controller, "Refused")
        assert [log.values["reason"] for log in refused] == [1, 1]
        assert seen.ratio(USDW) < 1 < seen.ratio(EURW) < 1.05 < seen.ratio(GBPW) < 1.10
        assert seen.updates(FAILED) == [], "what has its reserve goes on"


def test_bridge_failure__half_of_the_transfers_fail_and_refunds_are_paid(play: Any) -> None:
    with play("bridge-failure") as seen:
        contracts, vault = seen.contracts, seen.contracts.bridge_vault
        destination = seen.call("BridgeRegistry", contracts.bridge_registry, "destinations", 651940)
        assert destination[:2] == (2, True)
        first = seen.call("BridgeEscrowVault", vault, "transferIdAt", 0)
        for number in range(3):
            before = (len(seen.bridge("TransferInitiated")), len(seen.updates(FAILED)))
            seen.beat(number)
            after = (len(seen.bridge("TransferInitiated")), len(seen.updates(FAILED)))
            assert (after[0] - before[0], after[1] - before[1]) == (8, 4)
        stuck = seen.call("BridgeEscrowVault", vault, "transfers", first)
        assert stuck[0] == INITIATED
        assert seen.now() - stuck[1] > HOUR
        recent = [log for log in seen.updates(FAILED) + seen.updates(SETTLED) if log.timestamp > seen.now() - HOUR]
        assert len(recent) >= 20
        assert sum(log.values["newStatus"] == FAILED for log in recent) > len(recent) // 10

        reserve = seen.call("BridgeEscrowVault", vault, "bridgeReserve", contracts.tokens[USDW])
        refusals = [log.values for log in seen.bridge("ReserveVerified") if not log.values["sufficient"]]
        assert len(refusals) == 2
        assert all(refusal["reserve"] < refusal["required"] for refusal in refusals)
        assert reserve == refusals[-1]["reserve"] == 1000 * 10**6
        assert {log.values["reason"] for log in seen.guard("ComplianceChecked") if not log.values["passed"]} == {5}

        assert len(seen.updates(REFUNDED)) == len(seen.updates(REFUND_INITIATED)) == 12
        assert len(seen.bridge("RefundExecuted")) == 12
        customer = dev_address(scenarios.CUSTOMER)
        # What it had and the outflow, but for four failed transfers that are not refunded.
        assert seen.token(USDW, "balanceOf", customer) == (50_000 + 49_000 - 100) * 10**6
        locked = dict.fromkeys(contracts.tokens.values(), 0)
        for log in seen.bridge("TransferInitiated"):
            status, _, token, _, _, _, amount = seen.call(
                "BridgeEscrowVault", vault, "transfers", log.values["transferId"]
            )
            locked[to_checksum_address(token)] += amount if status in (INITIATED, FAILED, REFUND_INITIATED) else 0
        assert {token: seen.call("BridgeEscrowVault", vault, "lockedAmount", token) for token in locked} == locked


def test_oracle_stale__prices_and_reports__are_older_than_an_hour_and_the_quorum_is_lost(play: Any) -> None:
    with play("oracle-stale") as seen:
        oracle = seen.contracts.reserve_oracle
        for number in range(2):
            for symbol, token in seen.contracts.tokens.items():
                assert seen.call("ReserveOracle", oracle, "isQuorumMet", token) is False
                assert seen.token(symbol, "isReserveSufficient") is False
                reporters = seen.call("ReserveOracle", oracle, "reporters")
                ages = [seen.now() - seen.call("ReserveOracle", oracle, "reportOf", token, r)[1] for r in reporters]
                assert [age > HOUR for age in sorted(ages)] == [False, True, True]
            frozen = {}
            for symbol, address in seen.contracts.price_oracles.items():
                assert seen.now() - seen.call("XAUOracle", address, "updatedAt") > HOUR
                assert seen.call("XAUOracle", address, "isStale") is True
                frozen[symbol] = seen.call("XAUOracle", address, "isFrozen")
            assert frozen == {USDW: False, EURW: True}
            assert seen.health(scenarios.FIRST_OWNER) > WAD, "vaults can still be watched"
            seen.beat(number)


def test_liquidation__one_vault_is_liquidated_and_another_is_near_it(play: Any) -> None:
    with play("liquidation") as seen:
        ledger, liquidation = seen.contracts.ledger, seen.contracts.liquidation
        owner = dev_address(scenarios.FIRST_OWNER)
        for number in range(5):
            assert seen.health(scenarios.FIRST_OWNER) < 11 * WAD // 10
            assert seen.call("Liquidation", liquidation, "canLiquidate", owner) is True
            assert 11 * WAD // 10 <= seen.health(scenarios.SECOND_OWNER) < 12 * WAD // 10
            seen.beat(number)
        liquidated = seen.logs("Liquidation", liquidation, "VaultLiquidated")
        usdw, gold = seen.contracts.tokens[USDW], seen.contracts.assets[scenarios.GOLD]
        assert [log.values["debtRepaid"] for log in liquidated] == [10_000 * 10**6, 500 * 10**6, 500 * 10**6]
        assert all(log.values["healthBefore"] < log.values["healthAfter"] for log in liquidated)
        seized = sum(log.values["collateralSeized"] for log in liquidated)
        assert seen.call("Ledger", ledger, "collateralOf", owner, gold) == 100 * WAD - seized
        assert seen.call("Ledger", ledger, "debtOf", owner, usdw) == 139_000 * 10**6
        used = seen.call("Ledger", ledger, "totalDebt", usdw) / seen.call("Ledger", ledger, "debtCeiling", usdw)
        assert used > 0.9

        stabilizer = seen.contracts.stabilizer
        sustained = seen.call("Stabilizer", stabilizer, "sustainedBlocks")
        assert sustained >= seen.call("Stabilizer", stabilizer, "requiredBlocks")
        trades = seen.logs("Stabilizer", stabilizer, "StabilizationTrade")
        assert trades
        cap = seen.call("Stabilizer", stabilizer, "blockVolumeCap")
        assert all(0 < log.values["blockVolume"] <= cap for log in trades)


def test_reorg__a_transfer_disappears_with_its_block_and_the_next_one_takes_its_id(play: Any) -> None:
    with play("reorg") as seen:
        vault = seen.contracts.bridge_vault
        seen.beat(0)
        seen.beat(1)
        count = seen.call("BridgeEscrowVault", vault, "transferCount")
        gone = seen.call("BridgeEscrowVault", vault, "transferIdAt", count)
        seen.beat(2)
        assert seen.call("BridgeEscrowVault", vault, "transferCount") == count
        assert seen.call("BridgeEscrowVault", vault, "transfers", gone)[0] == 0
        amounts = [log.values["amount"] for log in seen.bridge("TransferInitiated")]
        assert 7002 * 10**6 not in amounts
        seen.beat(3)
        newest = seen.bridge("TransferInitiated")[-1].values
        assert (newest["transferId"], newest["amount"]) == (gone, 1300 * 10**6)
        assert abs(seen.now() - time.time()) < 60


def test_start_again__goes_on_with_the_folders_scenario(tmp_path: Path) -> None:
    with played(tmp_path / "net", "calm") as seen:
        seen.beat(0)
        count = len(seen.bridge("TransferInitiated"))
        contracts = seen.contracts
    with played(tmp_path / "net", None) as seen:
        assert seen.contracts == contracts
        assert len(seen.bridge("TransferInitiated")) == count
        seen.beat(0)
        assert len(seen.bridge("TransferInitiated")) == count + 1
        assert len(seen.updates(SETTLED)) == count
        assert abs(seen.now() - time.time()) < 60


@pytest.mark.parametrize("scenario", list(scenarios.SITUATIONS))
def test_hints__name_what_stands_in_the_contracts_file(scenario: str) -> None:
    names = {name: f"0x{number:040x}" for number, name in enumerate(scenarios.Contracts.__dataclass_fields__, start=1)}
    tokens = {symbol: f"0x{symbol.encode().hex():0>40}" for symbol in (USDW, EURW, GBPW)}
    contracts = scenarios.Contracts(
        **names
        | {
            "scenario": scenario,
            "chain_id": 138,
            "first_block": 1,
            "tokens": tokens,
            "assets": {},
            "price_oracles": tokens,
            "destinations": (651940,),
        }
    )
    hints = scenarios.look(contracts)
    assert hints
    for says, call in hints:
        assert says
        assert call.startswith("0x")
        assert "{" not in call
