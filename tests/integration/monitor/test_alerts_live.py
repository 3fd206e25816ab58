"""Every alert of reserve, vaults, price oracles, publisher and bridge, from the chain's state to Prometheus: the real
exporter watches the practice network, whose contracts are driven through three acts, and Debian's Prometheus sees each
alert fire and end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from attest import config, devnet, scenarios
from attest.chain.artifact import artifact
from attest.chain.devnet import Anvil, Sender, dev_key
from attest.errors import SourceError
from attest.monitor.alerts import GROUPS
from attest.monitor.rules import rules
from attest.runs import RunArea
from attest.scenarios import ADMIN, FIRST_OWNER, Situation, Stage, Status
from attest.store import Store, open_store
from tests.support.alerting import ask, firings, free_port, prometheus, prometheus_configuration
from tests.support.monitors import exporting, scraped
from tests.support.practice import rpc

WAD = 10**18
USDW, EURW, GBPW = "USDW", "EURW", "GBPW"
TOKENS = {USDW, EURW, GBPW}
ELSEWHERE = 651940

#: By alert: what it is about (a token, currency or pair), "" where there is one of it.
Firing = Mapping[str, set[str]]

#: Feed, and two of three reporters, are silent for more than an hour, and so long is a transfer pending.
SILENCE: Firing = {
    "OnchainReserveInsufficient": TOKENS,
    "OracleQuorumNotMet": TOKENS,
    "ReserveReportStale": TOKENS,
    "SingleOracleFailure": TOKENS,
    "PriceOracleStale": {USDW, EURW},
    "BridgeTransferPending": {""},
}
#: They speak again, and all else goes wrong.
STORM: Firing = {
    "ReserveShortfall": {USDW},
    "OnchainReserveInsufficient": {USDW},
    "MoneyMultiplierViolation": {USDW},
    "ReserveRatioLow": {USDW, EURW},
    "ReserveRatioBelow110": TOKENS,
    "VaultHealthLow": {""},
    "VaultHealthCritical": {""},
    "DebtCeilingHigh": {USDW},
    "PriceOracleFrozen": {EURW},
    "VaultLiquidation": {""},
    "BridgeSuccessRateLow": {""},
    "BridgeSuccessRateCritical": {""},
    "BridgeSettlementSlow": {""},
    "BridgeReserveVerificationFailed": {""},
    "BridgeComplianceViolation": {""},
    "BridgeBufferLow": {USDW},
    "BridgeBufferBreachSoon": {USDW},
    "CrossChainParityBroken": {"gold"},
    "OraclePublisherErrors": {""},
    "OracleCircuitBreakerOpen": {""},
}
#: What happened goes on for an hour after all is well again: an alert is seen also by who looks late.
REMEMBERED: Firing = {
    "VaultLiquidation": {""},
    "BridgeReserveVerificationFailed": {""},
    "BridgeComplianceViolation": {""},
    "OraclePublisherErrors": {""},
}
CALM: Firing = {}

WATCHED = {alert.name for group in ("reserve", "vault", "bridge") for alert in GROUPS[group]} | {
    "OraclePublisherErrors",
    "OracleCircuitBreakerOpen",
}
#: The hour of which :data:`REMEMBERED` speaks is half a minute in a second copy of the rules.
WINDOWS_FASTER = 120
PATIENCE_SECONDS = 120


def test_acts__have_every_alert_of_reserve_vaults_oracles_and_bridge() -> None:
    assert set(SILENCE) | set(STORM) == WATCHED


# -- the network -----------------------------------------------------------------------------------------------------


class Director:
    """Makes the chain's state, act by act."""

    def __init__(self, folder: Path, running: devnet.Running) -> None:
        contracts = devnet.watched_contracts(folder)
        assert contracts is not None
        self.stage: Stage = devnet.stage(folder, running.rpc, contracts)
        self.contracts = contracts
        loaded = config.load(folder / "attest.toml")
        self.private: Store = open_store(loaded.config.stores.private, base=loaded.base, secret=True)
        self.due = loaded.config.schedule.schedule.latest_due(loaded.config.schedule.clock or datetime.now(UTC))

    def storm(self) -> None:
        """See :data:`STORM`."""
        stage, bridge = self.stage, self.contracts.bridge_vault
        self._report({USDW: 96, EURW: 104, GBPW: 108})
        stage.submit_prices(610)
        stage.liquidate(FIRST_OWNER, USDW, 10_000)
        stage.set_debt_ceiling(USDW, 145_000)
        stage.freeze(EURW)
        stage.settle(stage.outbound(Status.INITIATED, last=1000))  # one that waited for two hours
        stage.initiate(EURW, [10] * 20)
        pending = stage.outbound(Status.INITIATED, last=20)
        stage.fail(pending[:6])  # of some 45 that ended within the hour
        stage.settle(pending[6:])
        reserve = stage.read("BridgeEscrowVault", bridge, "bridgeReserve", self.contracts.tokens[USDW])
        stage.release("outflow", USDW, reserve - 10**8)
        stage.release("beyond the reserve", USDW, 2 * 10**9)
        stage.refuse_blocked_transfer(EURW)
        error = SourceError("a statement is missing", code="missing", reason="None came.", advice="Wait for it.")
        RunArea.current(self.private, self.due).refuse("collect", error, datetime.now(UTC), "", {})

    def recovery(self) -> None:
        """All is well again."""
        stage, tokens = self.stage, self.contracts.tokens
        self._report(dict.fromkeys(tokens, 112))
        stage.submit_prices(1000)
        stage.set_debt_ceiling(USDW, 1_000_000)
        self._admin("XAUOracle", self.contracts.price_oracles[EURW], "unfreeze")
        self._admin("WToken", tokens[USDW], "transfer", self.contracts.bridge_vault, 300_000 * 10**6)
        stage.initiate(EURW, [10] * 110)  # so many settle that six of all are fewer than 5 %
        stage.settle(stage.outbound(Status.INITIATED, last=110))
        self.private.create(f"runs/{self.due}/publication", b"{}")  # the run that was refused got through

    def _report(self, percent: Mapping[str, int]) -> None:
        self.stage.report_reserves({token: self.stage.supply(token) * share // 100 for token, share in percent.items()})

    def _admin(self, contract: str, address: str, function: str, *arguments: Any) -> None:
        admin = self.stage.accounts[ADMIN]
        admin.add(f"call {function}", address, artifact(contract).call_data(function, *arguments))
        admin.commit()


def _price_elsewhere(url: str) -> str:
    """The address of a price of gold on another chain: always the one of the calm."""
    admin, code = Sender(url, dev_key(0)), artifact("XAUOracle")
    oracle = admin.create("XAUOracle", "XAUOracle", admin.address, 3600, 1800)
    admin.add("grant", oracle, code.call_data("grantRole", keccak(text="FEED_ROLE"), admin.address))
    admin.add("price", oracle, code.call_data("submitPrice", 2650 * WAD))
    admin.commit()
    rpc(url, "evm_setIntervalMining", 1)
    return oracle


def _silence(stage: Stage) -> None:
    """Reports older than an hour no longer count."""
    stage.set_report_ages(3600)


SITUATION = Situation("", _silence, lambda stage, number: None, (), frozenset(), silent=True, stuck=True)


@contextmanager
def network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Director]:
    """The practice network after the silence, with a configuration that compares its price with another chain's."""
    monkeypatch.setitem(scenarios.SITUATIONS, "acts", SITUATION)
    with (
        Anvil(chain_id=ELSEWHERE, free_gas=True) as other,
        devnet.running(folder, port=0, witness_port=0, scenario="acts") as running,
    ):
        rpc(running.rpc, "evm_setIntervalMining", 1)
        elsewhere = _price_elsewhere(other.url)
        path = folder / "attest.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("interval_seconds = 5\n", "interval_seconds = 1\n")
            + f"""
[monitor.parity.gold]
price_oracle = "{USDW}"
chain = "elsewhere"
address = "{elsewhere}"
threshold_bps = 50

[chains.elsewhere]
chain_id = {ELSEWHERE}
endpoints = ["{other.url}"]
""",
            encoding="utf-8",
        )
        yield Director(folder, running)


# -- what Prometheus says --------------------------------------------------------------------------------------------


def _shortened(text: str) -> str:
    """Rules with every window and offset made shorter, whose alerts say so."""
    units = {"m": 60, "h": 3600, "d": 86_400}

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{-(-int(match[2]) * units[match[3]] // WINDOWS_FASTER)}s{match[4]}"

    return re.sub(r"(\[|offset )(\d+)([mhd])(\]|\))", shorter, text).replace(
        "        labels:\n", "        labels:\n          windows: short\n"
    )


def _firing(address: str, path: Path) -> Firing:
    """The alerts of a rules file that fire now, of those that are watched here."""
    found: dict[str, set[str]] = {}
    for group in ask(address, "/api/v1/rules?type=alert")["data"]["groups"]:
        for rule in group["rules"] if group["file"] == str(path) else ():
            for alert in rule["alerts"]:
                labels = alert["labels"]
                if alert["state"] == "firing" and rule["name"] in WATCHED:
                    about = labels.get("token") or labels.get("currency") or labels.get("pair") or ""
                    found.setdefault(rule["name"], set()).add(about)
    return found


def _await(address: str, path: Path, expected: Firing) -> float:
    """Wait until exactly these alerts fire; for how many seconds it took."""
    begun = time.monotonic()
    while (firing := _firing(address, path)) != expected:
        if time.monotonic() > begun + PATIENCE_SECONDS:
            assert firing == expected
        time.sleep(0.5)
    return time.monotonic() - begun


@pytest.mark.requires("prometheus", "apt-get install prometheus")
@pytest.mark.usefixtures("anvil")
def test_alerts__as_the_chain_goes_through_three_acts__fire_and_end_by_the_real_exposition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    shipped, short = tmp_path / "shipped.yml", tmp_path / "short.yml"
    shipped.write_text(rules(faster=60), encoding="utf-8")
    short.write_text(_shortened(rules(faster=60)), encoding="utf-8")
    assert "[30s] offset 30s" in short.read_text(encoding="utf-8")
    folder, place = tmp_path / "net", f"127.0.0.1:{free_port()}"
    took: dict[str, float] = {}
    with ExitStack() as stack:
        director = stack.enter_context(network(folder, monkeypatch))
        with exporting(folder, place) as url:
            scraped(url)
            configuration = prometheus_configuration(tmp_path, [shipped, short], place)
            address = stack.enter_context(prometheus(tmp_path, configuration))
            took["silence"] = _await(address, shipped, SILENCE)
        # Nobody watches while it happens: the next exporter finds it.
        director.storm()
        with exporting(folder, place):
            took["storm"] = _await(address, shipped, STORM)
        director.recovery()
        with exporting(folder, place):
            took["recovery"] = _await(address, shipped, REMEMBERED)
            took["recovery, in short windows"] = _await(address, short, CALM)
        fired = {labels["alertname"] for labels, _ in firings(address) if labels.get("windows") == "short"}
        assert fired >= set(REMEMBERED)
    for act, seconds in took.items():
        record_property(act, round(seconds))
        print(f"{act}: {seconds:.0f} s")
