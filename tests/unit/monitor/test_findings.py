"""The findings of one cycle say what the Prometheus rules say, from the same numbers: each alert at its edges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from attest.block import Block
from attest.errors import ChainError
from attest.monitor.alerts import ALERTS
from attest.monitor.cycle import Failure, Snapshot
from attest.monitor.exposition import Sample
from attest.monitor.findings import findings, network_findings, undecided
from attest.monitor.metrics import (
    BRIDGE_RESERVE,
    CATALOGUE,
    ENDED,
    HEAD_NUMBER,
    HEAD_TIME,
    LATENCY,
    PEAK_OUTFLOW,
    RECENT,
    RESERVE,
    RPC_HEAD,
    RPC_LAG_LIMIT,
    RPC_UP,
    SAFETY,
    SUFFICIENT,
    SUPPLY,
    SURPLUS,
)
from attest.monitor.network import EndpointHead
from tests.support.rule_cases import FEWEST_TRANSFERS, LEVELS, RATES, RISES, Level

METRICS = {metric.name: metric for metric in CATALOGUE}
#: When the snapshots are taken, in minutes since 1970: late enough for every age.
MINUTE = 1_000_000

#: A counter alone does not say when it rose. These are counted over the last day besides, under these names.
COUNTED = {
    "VaultLiquidation": ["liquidation"],
    "BridgeReserveVerificationFailed": ["reserve-insufficient"],
    "BridgeComplianceViolation": ["compliance-check-failed"],
    "ComplianceViolation": ["money-multiplier-violation", "gru-isolation-violation", "iso4217-violation"],
    "OraclePublisherErrors": ["run-refused"],
    "RoleChanged": ["role-granted", "role-revoked"],
}
#: Alerts that are no finding of one cycle, and why.
ONLY_RULES = {
    "MoneyMultiplierViolation": "the comparison is that of ReserveShortfall, which is told",
    "SingleOracleFailure": "where the cadence is weekly an hour is no failure; ReserveReportStale tells",
    "BridgeSettlementSlow": "a percentile of the last hour is Prometheus's",
    "RpcLatencyHigh": "a percentile of the last minutes is Prometheus's",
    "RpcErrorRateHigh": "so is a rate",
    "CollectorStale": "the failure itself is told at once, as CollectorFailed",
    "DeepReorg": "when a chain was reorganised is not in the counter",
    "MetricsAbsent": "who is silent finds nothing",
    "TargetDown": "who is silent finds nothing",
    "Watchdog": "it shows that Prometheus's alerts arrive",
}


def snapshot(samples: Iterable[Sample], *failures: Failure) -> Snapshot:
    return Snapshot(datetime.fromtimestamp(MINUTE * 60, UTC), {}, tuple(samples), failures, {})


def found(samples: Iterable[Sample], *failures: Failure) -> set[str]:
    """The alerts that a snapshot's findings name."""
    return {each.alert for each in findings(snapshot(samples, *failures))}


def sample(series: str, value: float) -> Sample:
    """Of a series as the rules' cases name it; a label that it does not name is the same everywhere."""
    name, _, labels = series.partition("{")
    named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    metric = METRICS[name]
    return Sample(metric, value, tuple(named.get(label, label) for label in metric.labels))


EDGES = [
    pytest.param(level, which, level.at_limit if which == 1 else which == 0, id=f"{level.alert}-{what}")
    for level in LEVELS
    for which, what in enumerate(("just bad", "at the limit", "just good"))
    if level.alert not in ONLY_RULES
]


@pytest.mark.parametrize(("level", "which", "bad"), EDGES)
def test_findings__numbers_at_a_rules_edge__say_what_the_rule_says(level: Level, which: int, bad: bool) -> None:
    values = {series: value(MINUTE) for series, value in level.series(which).items()}
    samples = [sample(series, value) for series, value in values.items() if value is not None]
    assert len(samples) == len(values)
    assert (level.alert in found(samples)) is bad


def ended(settled: int, failed: int, window: str) -> list[Sample]:
    return [Sample(ENDED, settled, (window, "settled")), Sample(ENDED, failed, (window, "failed"))]


@pytest.mark.parametrize("alert", RATES)
def test_findings__share_of_transfers_at_a_rules_edge__says_what_the_rule_says(alert: str) -> None:
    bad, limit = RATES[alert]
    assert alert in found(ended(*bad, "hour"))
    assert alert not in found(ended(*limit, "hour"))
    assert found(ended(*bad, "day")) == set(), "the alert is about the hour"


def test_findings__bridge_below_its_bare_minimum__is_one_finding_as_bad_as_the_alert() -> None:
    rows = [(BRIDGE_RESERVE, 5_999), (PEAK_OUTFLOW, 10), (LATENCY, 600), (SAFETY, 2)]
    (low,) = findings(snapshot([Sample(metric, value, ("USDW",)) for metric, value in rows]))
    assert (low.alert, low.severity, low.incident) == ("BridgeBufferBreachSoon", "critical", "P1")
    assert low.detail == "reserve 5999 units < peak x latency = 6000"


def heads(*numbers: int | None, reached: int, age: int) -> Snapshot:
    """A chain whose endpoints tell these blocks, and whose read quorum has reached one that is so old."""
    now = datetime.fromtimestamp(MINUTE * 60, UTC)
    told = [EndpointHead(f"e{n}", None if at is None else Block(138, at, "ab" * 32, 0)) for n, at in enumerate(numbers)]
    samples = [Sample(RPC_HEAD, each.block.number, ("main", each.endpoint)) for each in told if each.block]
    samples += [Sample(RPC_UP, int(each.block is not None), ("main", each.endpoint)) for each in told]
    samples += [Sample(RPC_LAG_LIMIT, 5, ("main", each.endpoint)) for each in told]
    if samples and any(each.block for each in told):
        samples += [Sample(HEAD_NUMBER, reached, ("main",)), Sample(HEAD_TIME, int(now.timestamp()) - age, ("main",))]
    return Snapshot(now, {}, tuple(samples), (), {"main": told})


def test_findings__one_of_two_endpoints_lags_and_the_quorum_takes_both__is_called_lagging() -> None:
    told = {each.alert: each for each in findings(heads(1_000, 950, reached=950, age=102))}
    assert set(told) == {"ChainHalted", "RpcEndpointLagging"}
    assert (told["RpcEndpointLagging"].subject, told["RpcEndpointLagging"].detail) == (
        "e1",
        "chain main: 50 blocks behind the newest of all",
    )
    assert told["ChainHalted"].detail == (
        "the newest block that the read quorum has reached is 102 s old; another endpoint is 50 blocks ahead of it"
    )


def test_findings__no_endpoint_answers__is_a_network_outage() -> None:
    told = findings(heads(None, None, reached=0, age=0))
    assert [each.alert for each in told] == ["ChainHalted", "RpcEndpointDown", "RpcEndpointDown"]
    assert told[0].detail == "none of its endpoints answers (2): no block is seen"


def test_findings__too_few_transfers__say_nothing() -> None:
    assert found(ended(0, FEWEST_TRANSFERS - 1, "hour")) == set()
    assert found(ended(0, FEWEST_TRANSFERS, "hour")) == {"BridgeSuccessRateCritical"}


@pytest.mark.parametrize(("alert", "kind"), [(alert, kind) for alert, kinds in COUNTED.items() for kind in kinds])
def test_findings__event_of_the_last_day__is_told_by_its_alert(alert: str, kind: str) -> None:
    assert alert in RISES
    assert found([Sample(RECENT, 1, (kind,))]) == {alert}
    assert found([Sample(RECENT, 0, (kind,))]) == set()


def test_findings__every_alert__is_told_at_its_edge_or_is_named_as_one_that_is_not() -> None:
    told = {level.alert for level in LEVELS} - set(ONLY_RULES) | set(RATES) | set(COUNTED)
    assert told | set(ONLY_RULES) == set(ALERTS)
    assert told & set(ONLY_RULES) == set()


@pytest.mark.parametrize("alert", ONLY_RULES)
def test_findings__alert_named_as_one_that_is_none__is_none(alert: str) -> None:
    for level in (each for each in LEVELS if each.alert == alert):
        bad = {series: value(MINUTE) or 0 for series, value in level.series(0).items()}
        known = {series: value for series, value in bad.items() if series.partition("{")[0] in METRICS}
        assert alert not in found(sample(series, value) for series, value in known.items())


def test_findings__part_that_failed__is_the_one_finding_that_no_rule_is_named_after() -> None:
    failure = Failure("vaults", ChainError("no code", code="no-code", reason="", advice=""))
    assert found([], failure) == {"CollectorFailed"}
    assert "CollectorFailed" not in ALERTS


def test_findings__each__is_as_bad_as_its_alert() -> None:
    (short,) = findings(snapshot([Sample(SURPLUS, -1, ("USDW",))]))
    assert (short.severity, short.incident) == ("critical", "P0")


#: What the incident runbook looks for, besides what a run was refused for.
NETWORK = {
    "ChainHalted",
    "ValidatorNotProducing",
    "RpcEndpointDown",
    "RpcEndpointLagging",
    "RpcProvidersDisagree",
    "OracleCircuitBreakerOpen",
}


def test_network_findings__every_symptom_of_the_incident_runbook__is_told() -> None:
    levels = [level for level in LEVELS if level.alert in NETWORK]
    assert {level.alert for level in levels} == NETWORK
    for level in levels:
        samples = [sample(series, value(MINUTE) or 0) for series, value in level.series(0).items()]
        assert {each.alert for each in network_findings(snapshot(samples))} == {level.alert}
    refused = snapshot([Sample(RECENT, 1, ("run-refused",))])
    assert {each.alert for each in network_findings(refused)} == {"OraclePublisherErrors"}


def test_undecided__without_a_quorum__is_whether_the_reserve_covers_the_supply() -> None:
    supply, sufficient = Sample(SUPPLY, 100, ("USDW",)), Sample(SUFFICIENT, 1, ("USDW",))
    reserve = [Sample(RESERVE, 120, ("USDW",)), Sample(SURPLUS, 20, ("USDW",))]
    compared = {(alert, "USDW") for alert in ("ReserveShortfall", "ReserveRatioLow", "ReserveRatioBelow110")}
    assert undecided(snapshot([supply, sufficient, *reserve])) == frozenset()
    assert undecided(snapshot([supply, sufficient])) == compared
    assert undecided(snapshot([supply, *reserve])) == {("OnchainReserveInsufficient", "USDW")}


def test_findings__of_one_severity__the_graver_incident_comes_first() -> None:
    samples = [
        Sample(METRICS["attest_price_oracle_updated_timestamp_seconds"], 0, ("USDW",)),
        Sample(METRICS["attest_price_oracle_frozen"], 1, ("EURW",)),
        Sample(METRICS["attest_token_reserve_surplus_units"], -1, ("USDW",)),
    ]
    found = findings(snapshot(samples))
    assert [each.alert for each in found][:3] == ["ReserveShortfall", "PriceOracleFrozen", "PriceOracleStale"]
