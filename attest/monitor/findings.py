"""What a snapshot means at once, without the patience of an alerting rule: the runbooks' limits on the numbers of one
cycle. For the daily check, the page and ``attest doctor --network``. Pure.

A finding has the name, severity and class of the alert that says the same, and the same limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from attest.monitor import metrics
from attest.monitor import thresholds as limit
from attest.monitor.alerts import ALERTS
from attest.monitor.cycle import Snapshot
from attest.monitor.exposition import Number, Values
from attest.monitor.series import bridge_bare_minimum, bridge_minimum
from attest.monitor.sizing import MIN_SUSTAINED_BLOCKS
from attest.monitor.tasks import TASKS

Severity: TypeAlias = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")

#: Events that call for somebody, as ``attest_events_last_day`` names them, and the alert for each.
_EVENTS: Mapping[str, str] = {
    "liquidation": "VaultLiquidation",
    "money-multiplier-violation": "ComplianceViolation",
    "gru-isolation-violation": "ComplianceViolation",
    "iso4217-violation": "ComplianceViolation",
    "compliance-check-failed": "BridgeComplianceViolation",
    "reserve-insufficient": "BridgeReserveVerificationFailed",
    "role-granted": "RoleChanged",
    "role-revoked": "RoleChanged",
}


@dataclass(frozen=True)
class Finding:
    """One condition that holds: the alert of the same name, how bad it is, what it is about, and the numbers."""

    alert: str
    severity: Severity
    incident: str
    subject: str
    detail: str


def _finding(alert: str, subject: str, detail: str, *, called: str = "") -> Finding:
    """As bad as the alert is. ``called``: its name, where the finding is not quite what the alert says."""
    told = ALERTS[alert]
    return Finding(called or alert, cast(Severity, told.severity), told.incident, subject, detail)


def findings(snapshot: Snapshot) -> list[Finding]:
    """Every condition that holds in a snapshot, worst first."""
    values, now = Values(snapshot.samples), snapshot.at.timestamp()
    found = [
        # CollectorStale has the patience for what fails once.
        _finding("CollectorStale", failure.collector, failure.error.message, called="CollectorFailed")
        for failure in snapshot.failures
    ]
    for part in (_tokens, _vaults, _events, _bridge, _sizing, _access, _publisher, _tasks):
        found += part(values, now)
    found += _network(snapshot, values)
    return _worst_first(found)


def notes(snapshot: Snapshot) -> list[str]:
    """What the findings cannot say anything about for want of a number, in sentences."""
    values = Values(snapshot.samples)
    return [
        f"No transfer was settled in the time looked back, so that the bridge's reserve of {token} is compared with "
        "nothing."
        for (token,), peak in values.each(metrics.PEAK_OUTFLOW)
        if peak and values.get(metrics.LATENCY, token) is None
    ]


def network_findings(snapshot: Snapshot) -> list[Finding]:
    """Those of the incident runbook: blocks, validators, endpoints, and the publisher."""
    values, now = Values(snapshot.samples), snapshot.at.timestamp()
    return _worst_first([*_network(snapshot, values), *_publisher(values, now)])


def undecided(snapshot: Snapshot) -> frozenset[tuple[str, str]]:
    """Alert and subject of what a snapshot can neither find nor rule out, though no part of the watch failed: without
    the oracle's quorum nobody knows whether the reserve covers the supply."""
    values = Values(snapshot.samples)
    asked = (
        ("ReserveShortfall", metrics.SURPLUS),
        ("ReserveRatioLow", metrics.RESERVE),
        ("ReserveRatioBelow110", metrics.RESERVE),
        ("OnchainReserveInsufficient", metrics.SUFFICIENT),
    )
    return frozenset(
        (alert, token)
        for (token,), _ in values.each(metrics.SUPPLY)
        for alert, metric in asked
        if values.get(metric, token) is None
    )


def rank(severity: Severity, incident: str) -> tuple[int, str]:
    """The lower, the worse; without a class is better than any."""
    return SEVERITIES.index(severity), incident if incident.startswith("P") else "none"


def _worst_first(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda each: rank(each.severity, each.incident))


def _tokens(values: Values, now: float) -> Iterator[Finding]:
    short = set()
    for (token,), surplus in values.each(metrics.SURPLUS):
        if surplus < 0:
            short.add(token)
            yield _finding("ReserveShortfall", token, f"{-surplus} units of reserve are missing; halt minting")
    for (token,), reserve in values.each(metrics.RESERVE):
        supply = values.get(metrics.SUPPLY, token)
        if supply is None or token in short:
            continue
        for alert, percent in (
            ("ReserveRatioLow", limit.RESERVE_LOW_PERCENT),
            ("ReserveRatioBelow110", limit.RESERVE_NOTICE_PERCENT),
        ):
            if reserve * 100 < supply * percent:
                yield _finding(alert, token, f"{_percent(reserve, supply)} < {percent} %")
                break
    for (token,), sufficient in values.each(metrics.SUFFICIENT):
        if not sufficient:
            yield _finding("OnchainReserveInsufficient", token, "isReserveSufficient() is false")
    for (token,), met in values.each(metrics.QUORUM_MET):
        if not met:
            yield _finding("OracleQuorumNotMet", token, "too few reports stand")
    for (token,), stale in values.each(metrics.STALE_REPORTS):
        if stale:
            yield _finding("ReserveReportStale", token, f"{stale} reports are too old")


def _percent(part: Number, whole: Number) -> str:
    """Rounded down: what is below a threshold is not shown as at it."""
    thousandths = int(part) * 100_000 // int(whole)
    return f"{thousandths // 1000}.{thousandths % 1000:03} %"


def _vaults(values: Values, now: float) -> Iterator[Finding]:
    health = values.get(metrics.HEALTH_MIN)
    for alert, percent in (
        ("VaultHealthCritical", limit.HEALTH_CRITICAL_PERCENT),
        ("VaultHealthLow", limit.HEALTH_LOW_PERCENT),
    ):
        if health is not None and health * 100 < percent:
            yield _finding(alert, "vaults", f"the lowest health ratio is {float(health) * 100:.2f} %")
            break
    for (currency,), debt in values.each(metrics.DEBT):
        ceiling = values.get(metrics.DEBT_CEILING, currency)
        if ceiling is not None and debt * 100 > ceiling * limit.DEBT_CEILING_PERCENT:
            yield _finding("DebtCeilingHigh", currency, f"{debt} of {ceiling} units are lent")
    for (currency,), updated in values.each(metrics.PRICE_UPDATED):
        if now - updated > limit.PRICE_AGE:
            yield _finding("PriceOracleStale", currency, f"the last price is {int(now - updated)} s old")
    for (currency,), frozen in values.each(metrics.PRICE_FROZEN):
        if frozen:
            yield _finding("PriceOracleFrozen", currency, "isFrozen() is true")


def _events(values: Values, now: float) -> Iterator[Finding]:
    for kind, alert in _EVENTS.items():
        if count := values.get(metrics.RECENT, kind):
            yield _finding(alert, kind, f"{count} in the last day")


def _bridge(values: Values, now: float) -> Iterator[Finding]:
    settled, failed = (values.get(metrics.ENDED, "hour", outcome) for outcome in ("settled", "failed"))
    if settled is not None and failed is not None and settled + failed >= limit.FEWEST_TRANSFERS:
        for alert, percent in (
            ("BridgeSuccessRateCritical", limit.SUCCESS_CRITICAL_PERCENT),
            ("BridgeSuccessRateLow", limit.SUCCESS_LOW_PERCENT),
        ):
            if settled * 100 < (settled + failed) * percent:
                detail = f"{settled} of {settled + failed} transfers of the last hour settled"
                yield _finding(alert, "bridge", detail)
                break
    pending = values.get(metrics.OLDEST_PENDING)
    if pending is not None and now - pending > limit.PENDING_AGE:
        yield _finding("BridgeTransferPending", "bridge", f"a transfer has been pending for {int(now - pending)} s")
    for (token,), reserve in values.each(metrics.BRIDGE_RESERVE):
        lasting, required = bridge_bare_minimum(values, token), bridge_minimum(values, token)
        if lasting is not None and reserve < lasting:
            yield _finding("BridgeBufferBreachSoon", token, f"reserve {reserve} units < peak x latency = {lasting}")
        elif required is not None and reserve < required:
            yield _finding("BridgeBufferLow", token, f"reserve {reserve} units < peak x latency x safety = {required}")
    for (pair,), deviation in values.each(metrics.PARITY):
        threshold = values.get(metrics.PARITY_THRESHOLD, pair)
        if threshold is not None and deviation >= threshold:
            detail = f"the prices differ by {float(deviation) * 100:.2f} %"
            yield _finding("CrossChainParityBroken", pair, detail)


def _sizing(values: Values, now: float) -> Iterator[Finding]:
    reserve, peak = values.get(metrics.STABILIZATION_RESERVE), values.get(metrics.STABILIZATION_PEAK)
    window, safety = values.get(metrics.STABILIZATION_WINDOW), values.get(metrics.STABILIZATION_SAFETY)
    if reserve is not None and peak is not None and window is not None and safety is not None:
        if reserve < peak * window:
            yield _finding("ReserveBelowPxT", "stabilizer", f"{reserve} units < P x T")
        elif reserve < peak * window * safety:
            yield _finding("ReserveBelowSafetyPxT", "stabilizer", f"{reserve} units < P x T x safety")
    size, often = values.get(metrics.TRADE_SIZE), values.get(metrics.TRADES)
    imbalance = values.get(metrics.IMBALANCE)
    if size is not None and often is not None and imbalance is not None and size * often < imbalance:
        yield _finding("CantileverThroughputLow", "stabilizer", "s x f < delta")
    sustained, required = values.get(metrics.SUSTAINED), values.get(metrics.REQUIRED)
    if sustained is not None and required is not None and sustained >= max(required, MIN_SUSTAINED_BLOCKS):
        yield _finding("TwapDeviationSustained", "stabilizer", f"for {sustained} blocks")
    volume, cap = values.get(metrics.BLOCK_VOLUME), values.get(metrics.BLOCK_CAP)
    if volume is not None and cap is not None and volume > cap:
        yield _finding("StabilizerBlockCapExceeded", "stabilizer", f"{volume} > {cap} units")
    recovery = values.get(metrics.RECOVERY)
    if recovery is not None and recovery >= limit.RECOVERY_BLOCKS:
        yield _finding("FlashDrainRecoverySlow", "stabilizer", f"a deviation lasted {recovery} blocks")


def _access(values: Values, now: float) -> Iterator[Finding]:
    who: dict[tuple[str, str], list[str]] = {}
    for (contract, role, account, how), _ in values.each(metrics.ROLE_DRIFT_INFO):
        who.setdefault((contract, role), []).append(f"{account} is {how}")
    for (contract, role), drift in values.each(metrics.ROLE_DRIFT):
        if drift:
            told = who.get((contract, role), [])
            more = [f"and {int(drift) - len(told)} more"] if drift > len(told) else []
            detail = f"members are not as configured: {', '.join([*told, *more])}"
            yield _finding("RoleDrift", f"{contract} {role}", detail)
    for (contract, role), used in values.each(metrics.ROLE_USED):
        if now - used > limit.ROLE_AGE:
            yield _finding("RoleUnused", f"{contract} {role}", f"not used for {int((now - used) / limit.DAY)} days")
    for (multisig,), threshold in values.each(metrics.MULTISIG_THRESHOLD):
        expected = values.get(metrics.MULTISIG_EXPECTED, multisig)
        if expected is not None and threshold < expected:
            detail = f"{threshold} signatures suffice; {expected} are configured"
            yield _finding("MultisigWeakened", multisig, detail)


def _network(snapshot: Snapshot, values: Values) -> Iterator[Finding]:
    now = snapshot.at.timestamp()
    failures = {(chain, head.endpoint): head.failure for chain, heads in snapshot.heads.items() for head in heads}
    for (chain,), at in values.each(metrics.HEAD_TIME):
        if now - at > limit.BLOCK_AGE:
            yield _finding("ChainHalted", chain, _halted(values, chain, int(now - at)))
    for chain, heads in snapshot.heads.items():
        if heads and not any(head.block for head in heads):
            yield _finding("ChainHalted", chain, f"none of its endpoints answers ({len(heads)}): no block is seen")
    for (chain,), skew in values.each(metrics.CLOCK_SKEW):
        if skew < -limit.CLOCK_SKEW:
            detail = f"the newest block is {int(-skew)} s in the future: one of the clocks is wrong"
            yield _finding("ClockSkew", chain, detail)
    for (chain, validator), at in values.each(metrics.VALIDATOR):
        newest = values.get(metrics.HEAD_TIME, chain)
        if newest is not None and newest - at > limit.VALIDATOR_AGE:
            detail = f"{validator} has neither proposed nor sealed for {int(newest - at)} s"
            yield _finding("ValidatorNotProducing", chain, detail)
    for (chain, endpoint), up in values.each(metrics.RPC_UP):
        if not up:
            yield _finding(
                "RpcEndpointDown",
                endpoint,
                f"chain {chain}: "
                + failures.get((chain, endpoint), "it does not answer").removeprefix(f"chain {chain}: "),
            )
    for (chain, endpoint), head in values.each(metrics.RPC_HEAD):
        behind, allowed = _farthest(values, chain) - head, values.get(metrics.RPC_LAG_LIMIT, chain, endpoint)
        if allowed is not None and behind > allowed:
            yield _finding("RpcEndpointLagging", endpoint, f"chain {chain}: {behind} blocks behind the newest of all")
    for (chain,), different in values.each(metrics.DISAGREEMENTS):
        if different:
            yield _finding("RpcProvidersDisagree", chain, f"on {different} questions")
    for (chain,), indexed in values.each(metrics.INDEXED):
        best = values.get(metrics.HEAD_NUMBER, chain)
        if best is not None and not -limit.INDEX_LAG_BLOCKS <= best - indexed <= limit.INDEX_LAG_BLOCKS:
            yield _finding("IndexerLagging", chain, f"the event index is at block {indexed}, the head at {best}")
    for (chain,), unreadable in values.each(metrics.UNREADABLE):
        if unreadable:
            detail = f"{unreadable} logs do not read as the events they are named as; no sum is whole"
            yield _finding("UnreadableLogs", chain, detail)


def _halted(values: Values, chain: str, age: int) -> str:
    reached = values.get(metrics.HEAD_NUMBER, chain)
    ahead = 0 if reached is None else _farthest(values, chain) - reached
    if not ahead:
        return f"the newest block is {age} s old"
    return (
        f"the newest block that the read quorum has reached is {age} s old; another endpoint is {ahead} blocks ahead "
        "of it"
    )


def _farthest(values: Values, chain: str) -> Number:
    """The number of the newest block that any of a chain's endpoints tells."""
    return max((head for (of, _), head in values.each(metrics.RPC_HEAD) if of == chain), default=0)


def _publisher(values: Values, now: float) -> Iterator[Finding]:
    if refused := values.get(metrics.RECENT, "run-refused"):
        yield _finding("OraclePublisherErrors", "publisher", f"runs were refused {refused} times in the last day")
    if values.get(metrics.BREAKER):
        detail = "the due period's run was refused and waits for a person"
        yield _finding("OracleCircuitBreakerOpen", "publisher", detail)


def _tasks(values: Values, now: float) -> Iterator[Finding]:
    for name, task in TASKS.items():
        done = values.get(metrics.JOB, name)
        if done is not None and now - done > task.late_seconds:
            detail = "was never done" if done == 0 else f"was last done {int((now - done) / limit.HOUR)} h ago"
            yield _finding(task.alert, name, detail)
