"""What a cycle of the monitor costs its endpoint and takes, for a deployment far larger than most: 100 tokens and 1,000
vaults, by the reference contracts on a real node. And what the exporter takes of its machine while nothing is wrong."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attest import devnet
from attest.chain.artifact import artifact
from attest.chain.devnet import Anvil, Sender, TokenPlan, deploy, dev_key
from attest.config import Config, Loaded
from attest.monitor.cycle import Snapshot, Watch
from attest.store import LocalStore
from benchmarks.harness import Benchmark, Measured, attest
from tests.support.chains import REPORTERS, config
from tests.support.practice import rpc
from tests.support.watched import value

TOKENS, VAULTS = 100, 1000
PAGE = 250
#: web3 is asked for so many tokens only, because all of them take half a minute.
_WEB3_TOKENS = 10
#: Code that answers 1 to everything: collateral, currency and price whose own make does not matter here.
_ANYTHING = "0x600160005260206000f3"
_GOLD, _CURRENCY, _PRICE = ("0x" + digits * 20 for digits in ("71", "72", "73"))
_GAS = hex(1_000_000)


@dataclass(frozen=True)
class _Deployed:
    """A node, what stands there, and the watch over it."""

    node: Anvil
    oracle: str
    tokens: Sequence[str]
    ledger: str
    watch: Watch

    def cycle(self) -> Snapshot:
        snapshot = self.watch.cycle()
        if snapshot.failures:
            raise RuntimeError(snapshot.failures[0].error.message)
        if value(snapshot, "vaults") != VAULTS:
            raise RuntimeError("not all vaults were read")
        return snapshot


@contextmanager
def _deployment() -> Iterator[_Deployed]:
    plans = [TokenPlan(f"T{number:02}W", f"Token {number}", 6, 10**9) for number in range(TOKENS)]
    with Anvil(free_gas=True) as node, tempfile.TemporaryDirectory() as folder:
        made = deploy(node.url, dev_key(0), plans, reporters=REPORTERS, publishers=[])
        admin = Sender(node.url, dev_key(0))
        ledger = admin.create("the ledger", "Ledger", admin.address)
        admin.commit()
        _act(node, ledger, made.oracle, list(made.tokens.values()), admin.address)
        plain = config(
            {symbol: [("main", address, 6)] for symbol, address in made.tokens.items()},
            chains={"main": {"chain_id": node.chain_id, "endpoints": (node.url,)}},
            oracle={"address": made.oracle},
        )
        settings = Config.model_validate(plain.model_dump() | {"monitor": {"ledger": {"address": ledger}}})
        loaded = Loaded(settings, Path(folder))
        watch = Watch(loaded, LocalStore(Path(folder, "private")), lambda: datetime.now(UTC))
        yield _Deployed(node, made.oracle, list(made.tokens.values()), ledger, watch)


def _act(node: Anvil, ledger: str, oracle: str, tokens: Sequence[str], admin: str) -> None:
    """Reports by everybody on everything, and the vaults: by accounts whose keys nobody has."""

    def send(sender: str, contract: str, to: str, function: str, *arguments: Any) -> None:
        data = f"0x{artifact(contract).call_data(function, *arguments).hex()}"
        rpc(node.url, "eth_sendTransaction", {"from": sender, "to": to, "data": data, "gas": _GAS, "gasPrice": "0x0"})

    rpc(node.url, "anvil_autoImpersonateAccount", True)
    rpc(node.url, "evm_setAutomine", False)
    for address in (_GOLD, _CURRENCY, _PRICE):
        rpc(node.url, "anvil_setCode", address, _ANYTHING)
    now = int(rpc(node.url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    for reporter in REPORTERS:
        for token in tokens:
            send(reporter, "ReserveOracle", oracle, "submitReserveReport", token, 2 * 10**9, now)
    send(admin, "Ledger", ledger, "setAsset", _GOLD, 1)
    send(admin, "Ledger", ledger, "setCurrency", _CURRENCY, _PRICE)
    send(admin, "Ledger", ledger, "setDebtCeiling", _CURRENCY, 10**9)
    for number in range(VAULTS):
        owner = f"0x{10**39 + number:040d}"
        send(owner, "Ledger", ledger, "depositCollateral", _GOLD, 10**30)
        send(owner, "Ledger", ledger, "drawDebt", _CURRENCY, 1)
    while int(rpc(node.url, "txpool_status")["pending"], 16):
        rpc(node.url, "evm_mine")


def requests_of_a_cycle() -> Measured:
    with _deployment() as deployed:
        return Measured(value(deployed.cycle(), "cycle_requests"), 1, "HTTP requests")


def cycle_and_web3() -> Measured:
    with _deployment() as deployed:
        deployed.cycle()  # the first one reads 200 headers, too
        ours = min(_seconds(deployed) for _ in range(5))
        return Measured(ours, _web3(deployed), "s")


def _seconds(deployed: _Deployed) -> float:
    begun = time.perf_counter()
    deployed.cycle()
    return time.perf_counter() - begun


def _web3(deployed: _Deployed) -> float:
    """What web3 takes for the same calls, one by one, in seconds."""
    from web3 import HTTPProvider, Web3

    web3 = Web3(HTTPProvider(deployed.node.url))
    block = web3.eth.get_block("latest")["hash"]

    def contract(name: str, address: str) -> Any:
        return web3.eth.contract(address=Web3.to_checksum_address(address), abi=artifact(name).abi).functions

    def ask(call: Any) -> Any:
        return call.call(block_identifier=block)

    oracle, ledger = contract("ReserveOracle", deployed.oracle), contract("Ledger", deployed.ledger)

    def read_token(address: str) -> None:
        token = contract("WToken", address)
        for reporter in ask(oracle.reporters()):
            ask(oracle.reportOf(address, reporter))
        for call in (
            token.totalSupply(),
            token.decimals(),
            token.isReserveSufficient(),
            oracle.isQuorumMet(address),
            oracle.getVerifiedReserve(address),
            oracle.consensusValidity(),
        ):
            ask(call)

    begun = time.perf_counter()
    for address in deployed.tokens[:_WEB3_TOKENS]:
        read_token(address)
    tokens = (time.perf_counter() - begun) * TOKENS / _WEB3_TOKENS
    begun = time.perf_counter()
    for asset in ask(ledger.assets()):
        ask(ledger.totalCollateral(asset))
    for currency in ask(ledger.currencies()):
        ask(ledger.totalDebt(currency))
        ask(ledger.debtCeiling(currency))
    for start in range(0, ask(ledger.vaultCount()), PAGE):
        ask(ledger.vaultHealths(start, PAGE))
    return tokens + time.perf_counter() - begun


# -- the exporter at rest ----------------------------------------------------------------------------------------------

SETTLED_SECONDS, REST_SECONDS = 20, 60


@contextmanager
def _exporter() -> Iterator[int]:
    """The process of an exporter over the calm practice network, at its usual 15 seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "net")
        with devnet.running(folder, port=0, witness_port=0, scenario="calm"):
            settings = folder / "attest.toml"
            settings.write_text(settings.read_text().replace("interval_seconds = 5", "interval_seconds = 15"))
            words = attest("monitor", "--listen", "127.0.0.1:0", "--config", str(settings))
            exporter = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            try:
                time.sleep(SETTLED_SECONDS)
                yield exporter.pid
                if exporter.poll() is not None:
                    raise RuntimeError("the exporter ended")
            finally:
                exporter.terminate()
                exporter.wait()


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_at_rest() -> Measured:
    with _exporter() as process:
        time.sleep(REST_SECONDS)
        status = Path(f"/proc/{process}/status").read_text()
        return Measured(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1, "MB")


def cpu_at_rest() -> Measured:
    """Of a core, while blocks come every two seconds and Prometheus asks for nothing."""
    with _exporter() as process:
        before, begun = _cpu_seconds(process), time.perf_counter()
        time.sleep(REST_SECONDS)
        return Measured(_cpu_seconds(process) - before, (time.perf_counter() - begun), "s CPU")


BENCHMARKS = [
    Benchmark(
        "monitor",
        f"a cycle over {TOKENS} tokens and {VAULTS:,} vaults is under 25 HTTP requests",
        24,
        requests_of_a_cycle,
    ),
    Benchmark("monitor-web3", "that cycle takes at most a 20th of the same calls by web3", 0.05, cycle_and_web3),
    Benchmark("rest-memory", "the exporter's memory stays under 120 MB", 120, memory_at_rest),
    Benchmark("rest-cpu", "the exporter takes under 2 % of a core, at a cycle every 15 s", 0.02, cpu_at_rest),
]
