"""What a snapshot means at once, without the patience of an alerting rule: the runbook's thresholds (sections 1.1 to
1.4, 7.2) on the numbers of one cycle. For the daily check, the page and ``attest doctor --network``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from attest.monitor import metrics
from attest.monitor.exposition import Metric, Sample
from attest.monitor.sizing import MIN_SUSTAINED_BLOCKS
from attest.monitor.watch import Snapshot

Severity: TypeAlias = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")

#: Seconds after which a price, a block or a validator's last one is old.
PRICE_AGE, BLOCK_AGE, VALIDATOR_AGE, PENDING_AGE = 3600, 60, 300, 3600
#: A success rate of fewer transfers says little.
FEWEST_TRANSFERS = 20
_DAY = 86_400
#: By task: how long it may be ago.
_CADENCE = {
    "weekly-attestation": 7 * _DAY + 6 * 3600,
    "daily-check": 26 * 3600,
    "weekly-report": 8 * _DAY,
    "monthly-review": 32 * _DAY,
}


@dataclass(frozen=True)
class Finding:
    """One condition that holds: the alert of the same name, how bad it is, what it is about, and the numbers."""

    alert: str
    severity: Severity
    incident: str
    subject: str
    detail: str


class _Values:
    """A snapshot's values by metric and labels."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        for sample in samples:
            if sample.metric.kind != "histogram":
                self._values.setdefault(sample.metric.name, {})[sample.labels] = sample.value  # type: ignore[assignment]

    def each(self, metric: Metric) -> Iterator[tuple[tuple[str, ...], float]]:
        yield from self._values.get(metric.name, {}).items()

    def get(self, metric: Metric, *labels: str) -> float | None:
        return self._values.get(metric.name, {}).get(labels)


def findings(snapshot: Snapshot, *, max_lag_blocks: int) -> list[Finding]:
    """Every condition that holds in a snapshot, worst first."""
    values, now = _Values(snapshot.samples), snapshot.at.timestamp()
    found: list[Finding] = []
    for failure in snapshot.failures:
        found.append(Finding("CollectorFailed", "critical", "P1", failure.collector, failure.error.message))
    for part in (_tokens, _vaults, _events, _bridge, _sizing):
        found += part(values, now)
    found += _network(values, now, max_lag_blocks)
    found += [*_publisher(values), *_jobs(values, now)]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def network_findings(snapshot: Snapshot, *, max_lag_blocks: int) -> list[Finding]:
    """Those of the incident runbook: blocks, validators, endpoints, and the publisher."""
    values, now = _Values(snapshot.samples), snapshot.at.timestamp()
    found = [*_network(values, now, max_lag_blocks), *_publisher(values)]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def _tokens(values: _Values, now: float) -> Iterator[Finding]:
    for (token,), supply in values.each(metrics.SUPPLY):
        reserve, surplus = values.get(metrics.RESERVE, token), values.get(metrics.SURPLUS, token)
        if reserve is not None and surplus is not None:
            if surplus < 0:
                detail = f"reserve {reserve} units, supply {supply}: {-surplus} are missing; halt minting"
                yield Finding("ReserveShortfall", "critical", "P0", token, detail)
            elif reserve * 100 < supply * 105:
                yield Finding("ReserveRatioLow", "warning", "P1", token, f"{_percent(reserve, supply)} < 105 %")
            elif reserve * 100 < supply * 110:
                yield Finding("ReserveRatioBelow110", "info", "P2", token, f"{_percent(reserve, supply)} < 110 %")
        if values.get(metrics.SUFFICIENT, token) == 0:
            yield Finding("OnchainReserveInsufficient", "critical", "P0", token, "isReserveSufficient() is false")
        if values.get(metrics.QUORUM_MET, token) == 0:
            yield Finding("OracleQuorumNotMet", "critical", "P1", token, "too few reports stand")
        if stale := values.get(metrics.STALE_REPORTS, token):
            yield Finding("ReserveReportStale", "warning", "", token, f"{stale} reports are too old")


def _percent(part: float, whole: float) -> str:
    """Rounded down: what is below a threshold is not shown as at it."""
    thousandths = int(part) * 100_000 // int(whole)
    return f"{thousandths // 1000}.{thousandths % 1000:03} %"


def _vaults(values: _Values, now: float) -> Iterator[Finding]:
    health = values.get(metrics.HEALTH_MIN)
    if health is not None and health < 1.20:
        critical = health < 1.10
        yield Finding(
            "VaultHealthCritical" if critical else "VaultHealthLow",
            "critical" if critical else "warning",
            "P2" if critical else "P3",
            "vaults",
            f"the lowest health ratio is {float(health) * 100:.2f} %",
        )
    for (currency,), debt in values.each(metrics.DEBT):
        ceiling = values.get(metrics.DEBT_CEILING, currency)
        if ceiling is not None and debt * 10 > ceiling * 9:
            yield Finding("DebtCeilingHigh", "warning", "", currency, f"{debt} of {ceiling} units are lent")
    for (currency,), updated in values.each(metrics.PRICE_UPDATED):
        if now - updated > PRICE_AGE:
            detail = f"the last price is {int(now - updated)} s old"
            yield Finding("PriceOracleStale", "critical", "P2", currency, detail)
    for (currency,), frozen in values.each(metrics.PRICE_FROZEN):
        if frozen:
            yield Finding("PriceOracleFrozen", "critical", "P1", currency, "isFrozen() is true")


def _events(values: _Values, now: float) -> Iterator[Finding]:
    called: dict[str, tuple[str, Severity, str]] = {
        "liquidation": ("VaultLiquidation", "warning", ""),
        "money-multiplier-violation": ("ComplianceViolation", "critical", "P0"),
        "gru-isolation-violation": ("ComplianceViolation", "critical", "P0"),
        "iso4217-violation": ("ComplianceViolation", "critical", "P0"),
        "compliance-check-failed": ("BridgeComplianceViolation", "critical", "P1"),
        "reserve-insufficient": ("BridgeReserveVerificationFailed", "critical", "P1"),
    }
    for (kind,), count in values.each(metrics.RECENT):
        if count:
            alert, severity, incident = called[kind]
            yield Finding(alert, severity, incident, kind, f"{count} in the last day")


def _bridge(values: _Values, now: float) -> Iterator[Finding]:
    for window in ("hour", "day"):
        settled, failed = (values.get(metrics.ENDED, window, outcome) for outcome in ("settled", "failed"))
        if settled is None or failed is None or settled + failed < FEWEST_TRANSFERS:
            continue
        ended, detail = settled + failed, f"{settled} of {settled + failed} transfers of the last {window} settled"
        if settled * 100 < ended * 90:
            yield Finding("BridgeSuccessRateCritical", "critical", "P1", "bridge", detail)
        elif settled * 100 < ended * 95:
            yield Finding("BridgeSuccessRateLow", "warning", "P2", "bridge", detail)
    pending = values.get(metrics.OLDEST_PENDING)
    if pending is not None and now - pending > PENDING_AGE:
        detail = f"a transfer has been pending for {int(now - pending)} s"
        yield Finding("BridgeTransferPending", "warning", "", "bridge", detail)
    for (token,), reserve in values.each(metrics.BRIDGE_RESERVE):
        peak, latency = values.get(metrics.PEAK_OUTFLOW, token), values.get(metrics.LATENCY, token)
        safety = values.get(metrics.SAFETY, token)
        if peak is not None and latency is not None and safety is not None and reserve < peak * latency * safety:
            detail = f"reserve {reserve} units < peak x latency x safety = {float(peak * latency * safety):.0f}"
            yield Finding("BridgeBufferLow", "warning", "", token, detail)
    for (pair,), deviation in values.each(metrics.PARITY):
        threshold = values.get(metrics.PARITY_THRESHOLD, pair)
        if threshold is not None and deviation >= threshold:
            detail = f"the prices differ by {float(deviation) * 100:.2f} %"
            yield Finding("CrossChainParityBroken", "warning", "", pair, detail)


def _sizing(values: _Values, now: float) -> Iterator[Finding]:
    reserve, peak = values.get(metrics.STABILIZATION_RESERVE), values.get(metrics.STABILIZATION_PEAK)
    window, safety = values.get(metrics.STABILIZATION_WINDOW), values.get(metrics.STABILIZATION_SAFETY)
    if reserve is not None and peak is not None and window is not None and safety is not None:
        if reserve < peak * window:
            yield Finding("ReserveBelowPxT", "critical", "P1", "stabilizer", f"{reserve} units < P x T")
        elif reserve < peak * window * safety:
            yield Finding("ReserveBelowSafetyPxT", "warning", "", "stabilizer", f"{reserve} units < P x T x safety")
    size, often = values.get(metrics.TRADE_SIZE), values.get(metrics.TRADES)
    imbalance = values.get(metrics.IMBALANCE)
    if size is not None and often is not None and imbalance is not None and size * often < imbalance:
        yield Finding("CantileverThroughputLow", "warning", "", "stabilizer", "s x f < delta")
    sustained, required = values.get(metrics.SUSTAINED), values.get(metrics.REQUIRED)
    if sustained is not None and required is not None and sustained >= max(required, MIN_SUSTAINED_BLOCKS):
        yield Finding("TwapDeviationSustained", "warning", "", "stabilizer", f"for {sustained} blocks")
    volume, cap = values.get(metrics.BLOCK_VOLUME), values.get(metrics.BLOCK_CAP)
    if volume is not None and cap is not None and volume > cap:
        yield Finding("StabilizerBlockCapExceeded", "critical", "P1", "stabilizer", f"{volume} > {cap} units")


def _network(values: _Values, now: float, max_lag_blocks: int) -> Iterator[Finding]:
    for (chain,), at in values.each(metrics.HEAD_TIME):
        if now - at > BLOCK_AGE:
            yield Finding("ChainHalted", "critical", "P0", chain, f"the newest block is {int(now - at)} s old")
        elif at - now > BLOCK_AGE:
            detail = f"the newest block is {int(at - now)} s in the future: one of the clocks is wrong"
            yield Finding("ClockSkew", "warning", "", chain, detail)
    for (chain, validator), at in values.each(metrics.VALIDATOR):
        newest = values.get(metrics.HEAD_TIME, chain)
        if newest is not None and newest - at > VALIDATOR_AGE:
            detail = f"{validator} has neither proposed nor sealed for {int(newest - at)} s"
            yield Finding("ValidatorNotProducing", "critical", "P1", chain, detail)
    for (chain, endpoint), up in values.each(metrics.RPC_UP):
        head, best = values.get(metrics.RPC_HEAD, chain, endpoint), values.get(metrics.HEAD_NUMBER, chain)
        if not up:
            yield Finding("RpcEndpointDown", "critical", "P1", endpoint, f"chain {chain}: it does not answer")
        elif head is not None and best is not None and best - head > max_lag_blocks:
            yield Finding("RpcEndpointLagging", "warning", "", endpoint, f"chain {chain}: {best - head} blocks behind")
    for (chain,), different in values.each(metrics.DISAGREEMENTS):
        if different:
            yield Finding("RpcProvidersDisagree", "critical", "P1", chain, f"on {different} questions")
    for (chain,), unreadable in values.each(metrics.UNREADABLE):
        if unreadable:
            detail = f"{unreadable} logs do not read as the events they are named as; no sum is whole"
            yield Finding("UnreadableLogs", "warning", "", chain, detail)


def _publisher(values: _Values) -> Iterator[Finding]:
    if values.get(metrics.BREAKER):
        detail = "the due period's run was refused and waits for a person"
        yield Finding("OracleCircuitBreakerOpen", "critical", "P1", "publisher", detail)


def _jobs(values: _Values, now: float) -> Iterator[Finding]:
    late: dict[str, tuple[str, Severity, str]] = {
        "weekly-attestation": ("WeeklyAttestationMissing", "critical", "P1"),
        "weekly-report": ("WeeklyReportMissing", "warning", ""),
        "monthly-review": ("MonthlyReviewMissing", "warning", ""),
    }
    for task, (alert, severity, incident) in late.items():
        done = values.get(metrics.JOB, task)
        if done is not None and now - done > _CADENCE[task]:
            detail = "was never done" if done == 0 else f"was last done {int((now - done) / 3600)} h ago"
            yield Finding(alert, severity, incident, task, detail)
