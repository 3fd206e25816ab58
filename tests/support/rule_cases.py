"""Every alert at its edges, as a compact table, and the `promtool test rules` file made of it.

A case gives values just bad enough, exactly at the limit, and just good. From them a minute-by-minute history is made:
good for an hour, bad until well after the alert must fire, good again. All cases are in one run of Prometheus, told
apart by the label ``case``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attest.monitor.alerts import ALERTS, ALWAYS, JOB
from attest.monitor.thresholds import DAY, HOUR, MINUTE

#: A series' value at a minute of the history; None is a scrape that failed, so that the series ends there.
Value = Callable[[int], float | None]
ONSET = 60
#: For how long what is bad stays bad after the alert must fire, and what is silent stays silent.
LASTING = 10
SILENCE = 120


def age(seconds: float) -> Value:
    """The time of something that is always this many seconds ago."""
    return lambda minute: minute * 60 - seconds


def _value(given: float | Value) -> Value:
    return given if callable(given) else lambda _: given


@dataclass(frozen=True)
class Level:
    """A condition of gauges. ``edges`` are values just bad, at the limit, just good for each series, or one for all
    three; ``at_limit`` says whether the limit itself is bad."""

    alert: str
    edges: Mapping[str, tuple[float | Value, float | Value, float | Value] | float | Value]
    at_limit: bool = False

    def series(self, which: int) -> Mapping[str, Value]:
        return {name: _value(given[which] if isinstance(given, tuple) else given) for name, given in self.edges.items()}


LEVELS = (
    Level("ReserveShortfall", {"attest_token_reserve_surplus_units": (-1, 0, 1)}),
    Level("OnchainReserveInsufficient", {"attest_token_reserve_sufficient": (0, 1, 1)}),
    Level("MoneyMultiplierViolation", {"attest_token_money_multiplier_ok": (0, 1, 1)}),
    Level(
        "ReserveRatioLow",
        {
            "attest_token_reserve_units": (104_999_999, 105_000_000, 105_000_001),
            "attest_token_supply_units": 100_000_000,
        },
    ),
    Level(
        "ReserveRatioBelow110",
        {
            "attest_token_reserve_units": (109_999_999, 110_000_000, 110_000_001),
            "attest_token_supply_units": 100_000_000,
        },
    ),
    Level("OracleQuorumNotMet", {"attest_reserve_oracle_quorum_met": (0, 1, 1)}),
    Level("ReserveReportStale", {"attest_reserve_oracle_stale_reports": (1, 0, 0)}),
    Level(
        "SingleOracleFailure",
        {"attest_reserve_oracle_reporter_last_report_timestamp_seconds": (age(HOUR + 1), age(HOUR), age(HOUR - 1))},
    ),
    Level("VaultHealthLow", {"attest_vault_health_ratio_min": (1.1999999, 1.2, 1.2000001)}),
    Level("VaultHealthCritical", {"attest_vault_health_ratio_min": (1.0999999, 1.1, 1.1000001)}),
    Level(
        "DebtCeilingHigh",
        {"attest_vault_debt_units": (90_001, 90_000, 89_999), "attest_vault_debt_ceiling_units": 100_000},
    ),
    Level(
        "PriceOracleStale",
        {"attest_price_oracle_updated_timestamp_seconds": (age(HOUR + 1), age(HOUR), age(HOUR - 1))},
    ),
    Level("PriceOracleFrozen", {"attest_price_oracle_frozen": (1, 0, 0)}),
    Level(
        "BridgeTransferPending",
        {"attest_bridge_oldest_pending_timestamp_seconds": (age(HOUR + 1), age(HOUR), age(HOUR - 1))},
    ),
    Level(
        "BridgeBufferLow",
        {
            "attest_bridge_reserve_units": (11_999, 12_000, 12_001),
            "attest_bridge_peak_outflow_units_per_second": 10,
            "attest_bridge_latency_seconds": 600,
            "attest_bridge_safety_factor": 2,
        },
    ),
    Level(
        "BridgeBufferBreachSoon",
        {
            "attest_bridge_reserve_units": (5_999, 6_000, 6_001),
            "attest_bridge_peak_outflow_units_per_second": 10,
            "attest_bridge_latency_seconds": 600,
        },
    ),
    Level(
        "CrossChainParityBroken",
        {
            "attest_parity_price_deviation_ratio": (0.0010001, 0.001, 0.0009999),
            "attest_parity_threshold_ratio": 0.001,
        },
        at_limit=True,
    ),
    Level(
        "ReserveBelowPxT",
        {
            "attest_stabilization_reserve_units": (2_999, 3_000, 3_001),
            "attest_stabilization_peak_outflow_units_per_second": 10,
            "attest_stabilization_window_seconds": 300,
            "attest_stabilization_safety_factor": 3,
        },
    ),
    Level(
        "ReserveBelowSafetyPxT",
        {
            "attest_stabilization_reserve_units": (8_999, 9_000, 9_001),
            "attest_stabilization_peak_outflow_units_per_second": 10,
            "attest_stabilization_window_seconds": 300,
            "attest_stabilization_safety_factor": 3,
        },
    ),
    Level(
        "CantileverThroughputLow",
        {
            "attest_stabilizer_trade_size_units": (499, 500, 501),
            "attest_stabilizer_trades_per_second": 0.25,
            "attest_stabilizer_imbalance_units_per_second": 125,
        },
    ),
    Level(
        "TwapDeviationSustained",
        {"attest_twap_deviation_sustained_blocks": (4, 3, 2), "attest_twap_deviation_required_blocks": 3},
        at_limit=True,
    ),
    Level(
        "TwapDeviationSustained",
        {"attest_twap_deviation_sustained_blocks": (2, 1, 0), "attest_twap_deviation_required_blocks": 1},
    ),
    Level(
        "StabilizerBlockCapExceeded",
        {"attest_stabilizer_block_volume_units": (2_001, 2_000, 1_999), "attest_stabilizer_block_cap_units": 2_000},
    ),
    Level("FlashDrainRecoverySlow", {"attest_flash_drain_recovery_blocks": (4, 3, 2)}, at_limit=True),
    Level("RoleDrift", {'attest_role_drift_members{contract="vault",role="other"}': (1, 0, 0)}),
    Level(
        "RoleUnused",
        {"attest_role_last_used_timestamp_seconds": (age(90 * DAY + 1), age(90 * DAY), age(90 * DAY - 1))},
    ),
    Level(
        "MultisigWeakened",
        {
            'attest_multisig_threshold{multisig="treasury"}': (2, 3, 4),
            'attest_multisig_expected_threshold{multisig="treasury"}': 3,
        },
    ),
    Level("ChainHalted", {"attest_chain_head_timestamp_seconds": (age(61), age(60), age(59))}),
    Level(
        "ValidatorNotProducing",
        {
            'attest_chain_validator_last_block_timestamp_seconds{validator="a"}': (age(311), age(310), age(309)),
            "attest_chain_head_timestamp_seconds": age(10),
        },
    ),
    Level("RpcEndpointDown", {"attest_rpc_up": (0, 1, 1)}),
    Level(
        "RpcEndpointLagging",
        {
            'attest_rpc_head_block_number{endpoint="a"}': (994, 995, 996),
            'attest_rpc_lag_limit_blocks{endpoint="a"}': 5,
            'attest_rpc_head_block_number{endpoint="b"}': 1_000,
        },
    ),
    Level("RpcProvidersDisagree", {"attest_rpc_state_disagreements": (1, 0, 0)}),
    Level("OracleCircuitBreakerOpen", {"attest_oracle_circuit_breaker_open": (1, 0, 0)}),
    Level("CollectorStale", {"attest_collector_last_success_timestamp_seconds": (age(601), age(600), age(599))}),
    Level(
        "IndexerLagging",
        {"attest_chain_head_block_number": (10_301, 10_300, 10_299), "attest_chain_indexed_block_number": 10_000},
    ),
    Level(
        "IndexerLagging",
        {"attest_chain_head_block_number": (9_699, 9_700, 9_701), "attest_chain_indexed_block_number": 10_000},
    ),
    Level("UnreadableLogs", {"attest_chain_unreadable_logs_total": (1, 0, 0)}),
    Level("ClockSkew", {"attest_clock_skew_seconds": (-60.1, -60, -59.9)}),
    *(
        Level(
            alert,
            {f'attest_job_last_success_timestamp_seconds{{task="{task}"}}': (age(late + 1), age(late), age(late - 1))},
        )
        for alert, task, late in (
            ("DailyCheckMissing", "daily-check", 26 * HOUR),
            ("WeeklyAttestationMissing", "weekly-attestation", 7 * DAY + 6 * HOUR),
            ("WeeklyReportMissing", "weekly-report", 8 * DAY),
            ("MonthlyReviewMissing", "monthly-review", 32 * DAY),
        )
    ),
    Level("TargetDown", {"up": (0, 1, 1)}),
)

#: Alerts for a counter that rose, and the counter.
RISES = {
    "VaultLiquidation": "attest_vault_liquidations_total",
    "BridgeReserveVerificationFailed": 'attest_bridge_reserve_verifications_total{sufficient="false"}',
    "BridgeComplianceViolation": 'attest_bridge_compliance_checks_total{result="failed"}',
    "ComplianceViolation": 'attest_compliance_violations_total{kind="gru-isolation"}',
    "RoleChanged": 'attest_role_changes_total{contract="vault",role="PAUSER_ROLE",change="granted"}',
    "OraclePublisherErrors": "attest_oracle_publish_failures_total",
    "DeepReorg": "attest_chain_reorgs_total",
}

#: Alerts for a share of transfers: (settled, failed) just bad and at the limit.
RATES = {"BridgeSuccessRateLow": ((949, 51), (950, 50)), "BridgeSuccessRateCritical": ((899, 101), (900, 100))}
#: As many transfers as say enough; of fewer, none does.
FEWEST_TRANSFERS = 20


@dataclass(frozen=True)
class Story:
    """A history of its own: series (each with its values), and at which minutes the alert fires, and does not.

    ``matcher`` chooses the alert by a label where it has none of its series' labels."""

    alert: str
    what: str
    series: Mapping[str, Value]
    fires: Sequence[int] = ()
    quiet: Sequence[int] = ()
    matcher: str = ""


def _until(end: int, value: Value, then: Value = lambda _: None) -> Value:
    return lambda minute: value(minute) if minute < end else then(minute)


def _gappy(begin: int, value: Value) -> Value:
    """From a minute on, values of even minutes only; before it none."""
    return lambda minute: value(minute) if minute >= begin and minute % 2 == 0 else None


def _flat(value: float | None) -> Value:
    return lambda _: value


def _keep(alert: str) -> int:
    return ALERTS[alert].keep_firing_seconds // MINUTE


def _lingers(alert: str) -> int:
    """Minutes for which a value that is no longer told counts, where the rule bridges gaps."""
    return 3 if "[3m]" in ALERTS[alert].expr else 0


def level_stories(level: Level) -> Iterator[Story]:
    """Good, just bad, good; just bad, then a dead exporter; always at the limit."""
    alert = ALERTS[level.alert]
    waits, keeps, held = alert.for_seconds // MINUTE, _keep(alert.name), alert.incident == "P0"
    fires = ONSET + waits
    ends = fires + LASTING
    bad, limit, good = (level.series(which) for which in range(3))
    yield Story(
        alert.name,
        "just bad, for as long as it takes, and over",
        {name: _until(ONSET, good[name], _until(ends, bad[name], good[name])) for name in bad},
        fires=[fires, ends - 1, *([ends + keeps - 1] if keeps else [])],
        quiet=[0, ONSET - 1, *([ONSET, fires - 1] if waits else []), ends + keeps, ends + keeps + LASTING],
    )
    if waits:
        yield Story(
            alert.name,
            "just bad, but a minute too short",
            {name: _until(ONSET, good[name], _until(fires, bad[name], good[name])) for name in bad},
            quiet=range(ONSET, fires + waits + 1),
        )
    if _lingers(alert.name):
        yield Story(
            alert.name,
            "just bad, and every other value is missing",
            {name: _gappy(ONSET, bad[name]) for name in bad},
            fires=[ONSET + waits + 1, ONSET + waits + LASTING],
        )
    for value, what, fired in ((limit, "at the limit", level.at_limit), (good, "just good", False)):
        yield Story(
            alert.name,
            what,
            value,
            **{"fires" if fired else "quiet": [waits, waits + 1, ONSET, ONSET + waits + LASTING]},
        )
    back = ends + SILENCE
    lingers = _lingers(alert.name)
    silent = range(ends + keeps + lingers, back, 10)
    yield Story(
        alert.name,
        "just bad, then the exporter is dead",
        {name: _until(ends, bad[name], _until(back, _flat(None), good[name])) for name in bad},
        fires=[ends - 1, *(silent if held else ())],
        quiet=[*(() if held else silent), back + keeps, back + keeps + LASTING],
    )


def rise_stories(alert: str, counter: str) -> Iterator[Story]:
    """A counter that is watched for long: it fires for an hour. One that is new, one that steps back, one that rose
    while the exporter was down."""
    begin, hour, keeps = 120, 60, _keep(alert)

    def story(what: str, values: Value, fires: Sequence[int] = (), quiet: Sequence[int] = ()) -> Story:
        return Story(alert, what, {counter: values}, fires, quiet)

    rose = _until(begin, _flat(5), _flat(6))
    yield story(
        "rises by one",
        rose,
        fires=[begin, begin + hour - 1],
        quiet=[0, begin - 1, begin + hour + keeps, begin + hour + keeps + LASTING],
    )
    yield story("stands still", _flat(5), quiet=[0, 30, begin, 300])
    yield story("steps back and comes again", _until(90, _flat(5), _until(92, _flat(4), _flat(5))), quiet=[90, 92, 150])
    yield story("is new, with a past", _flat(7), quiet=[0, 1, 59, 61, 120])
    yield story("is new, and rises", _until(10, _flat(0), _flat(1)), fires=[10, 40], quiet=[9, 71 + keeps])
    yield story(
        "rises, then the exporter is dead",
        _until(begin, _flat(5), _until(begin + LASTING, _flat(6))),
        fires=[begin, begin + LASTING + 1, begin + hour - 1],
        quiet=[begin + hour + keeps],
    )
    yield story(
        "rose while the exporter was down for four hours",
        _until(begin, _flat(5), _until(begin + 240, _flat(None), _flat(6))),
        fires=[begin + 240, begin + 240 + hour - 1],
        quiet=[begin, begin + 239, begin + 240 + hour + keeps],
    )


def rate_stories(alert: str, bad: tuple[int, int], limit: tuple[int, int]) -> Iterator[Story]:
    """Of (settled, failed) transfers that all end in minute 90, after none."""
    waits, keeps = 5, _keep(alert)
    whole = 60

    def ended(counts: tuple[int, int]) -> Mapping[str, Value]:
        series: dict[str, Value] = {}
        for outcome, count in zip(("settled", "failed"), counts, strict=True):
            labels = f'outcome="{outcome}"'
            series[f'attest_bridge_ended_transfers{{{labels},window="hour"}}'] = _until(
                90, _flat(0), _until(90 + whole, _flat(count), _flat(0))
            )
            series[f'attest_bridge_ended_transfers{{{labels},window="day"}}'] = _flat(10_000)
        return series

    yield Story(
        alert,
        "just bad, then an hour without any",
        ended(bad),
        fires=[90 + waits, 90 + whole - 1],
        quiet=[89, 90, 90 + waits - 1, 90 + whole + 1 + keeps],
    )
    yield Story(alert, "at the limit", ended(limit), quiet=[90 + waits, 120, 149])
    yield Story(alert, "all fail, but too few", ended((0, FEWEST_TRANSFERS - 1)), quiet=[90 + waits, 120, 149])
    yield Story(
        alert, "all fail, just enough", ended((0, FEWEST_TRANSFERS)), fires=[90 + waits], quiet=[90 + waits - 1]
    )


def _histogram(name: str, labels: str, per_minute: Mapping[str, int]) -> Mapping[str, Value]:
    """Observations per minute by their bucket, cumulative as Prometheus has it."""
    series: dict[str, Value] = {}
    below = 0
    for bound, count in per_minute.items():
        below += count
        series[f'{name}_bucket{{{labels}le="{bound}"}}'] = lambda minute, each=below: each * minute
    return series


def quantile_stories(alert: str, name: str, buckets: tuple[str, str, str], window: int) -> Iterator[Story]:
    """Five in a hundred above the limit, the second bound, is at it; six are more."""
    waits = ALERTS[alert].for_seconds // MINUTE
    first, limit, above = buckets
    for what, slow, fires in (("just slow", 6, True), ("at the limit", 5, False), ("just fast", 4, False)):
        series = _histogram(name, "", {first: 50, limit: 50 - slow, above: slow, "+Inf": 0})
        late = [waits + 1, window + waits + 2, 300]
        yield Story(alert, what, series, **{"fires": late, "quiet": [0, 1, waits]} if fires else {"quiet": [0, *late]})


def _error_rate(failed: int) -> Mapping[str, Value]:
    return {
        'attest_rpc_requests_total{endpoint="a",outcome="failed"}': lambda minute: failed * minute,
        'attest_rpc_requests_total{endpoint="a",outcome="answered"}': lambda minute: (10_000 - failed) * minute,
    }


def _falling(per_minute: float, start: float, floor: float = 0) -> Mapping[str, Value]:
    """A reserve of a bridge whose minimum is 6,000 units: 10 a second for ten minutes."""
    return {
        "attest_bridge_reserve_units": lambda minute: max(start - per_minute * max(0, minute - ONSET), floor),
        "attest_bridge_peak_outflow_units_per_second": _flat(10),
        "attest_bridge_latency_seconds": _flat(600),
        "attest_bridge_safety_factor": _flat(2),
    }


def _takeover_stories() -> Iterator[Story]:
    """One exporter ends, another one begins (a pod that was replaced)."""
    surplus = "attest_token_reserve_surplus_units"
    first = {surplus: _until(ONSET, _flat(1), _until(80, _flat(-1)))}
    second = f'{surplus}{{instance="other"}}'
    yield Story(
        "ReserveShortfall",
        "another exporter takes over, and tells of a surplus",
        {**first, second: _until(85, _flat(None), _flat(1))},
        fires=[ONSET, 81, 84, 89],
        quiet=[ONSET - 1, 90, 200],
    )
    yield Story(
        "ReserveShortfall",
        "another exporter takes over, and tells of the same shortfall",
        {**first, second: _until(85, _flat(None), _flat(-1))},
        fires=[ONSET, 84, 90, 200],
        quiet=[ONSET - 1],
    )
    counter = RISES["VaultLiquidation"]
    for what, count in (("of one more", 6), ("of as many", 5)):
        series = {
            counter: _until(120, _flat(5)),
            f'{counter}{{instance="other"}}': _until(130, _flat(None), _flat(count)),
        }
        minutes = [130, 189]
        yield Story(
            "VaultLiquidation",
            f"another exporter takes over, and tells {what}",
            series,
            fires=minutes if count > 5 else [],
            quiet=[119, 129, 191] if count > 5 else [119, *minutes, 191],
        )


def _deployment_stories() -> Iterator[Story]:
    """Two deployments in one Prometheus, told apart by a label of theirs."""
    counter, surplus = RISES["VaultLiquidation"], "attest_token_reserve_surplus_units"
    yield Story(
        "VaultLiquidation",
        "another deployment has counted more before",
        {counter: _until(90, _flat(0), _flat(3)), f'{counter}{{deployment="other"}}': _flat(40)},
        fires=[90, 110],
        quiet=[89],
    )
    yield Story(
        "ReserveShortfall",
        "the exporter falls silent, and another deployment's token of the same name is covered",
        {surplus: _until(ONSET, _flat(-1)), f'{surplus}{{deployment="other"}}': _flat(1)},
        fires=[0, ONSET - 1, ONSET + 60],
    )


def _outage_stories() -> Iterator[Story]:
    """Endpoints fall silent, and answer again after an hour."""
    head, up = "attest_chain_head_timestamp_seconds", 'attest_rpc_up{{endpoint="{}"}}'
    silent, answers = _until(ONSET, _flat(1), _until(ONSET + 60, _flat(0), _flat(1))), _flat(1)
    yield Story(
        "ChainHalted",
        "none of the endpoints answers any more",
        {
            head: _until(ONSET, age(2), _until(ONSET + 60, _flat(None), age(2))),
            **{up.format(each): silent for each in "ab"},
        },
        fires=[ONSET + 2, ONSET + 59],
        quiet=[ONSET - 1, ONSET, ONSET + 61 + _keep("ChainHalted")],
    )
    yield Story(
        "ChainHalted",
        "one of two endpoints answers, too few for the read quorum",
        {head: _until(ONSET, age(2)), up.format("a"): silent, up.format("b"): answers},
        quiet=[ONSET - 1, ONSET + 2, ONSET + 59],
    )


def _stories() -> Iterator[Story]:
    for level in LEVELS:
        yield from level_stories(level)
    for alert, counter in RISES.items():
        yield from rise_stories(alert, counter)
    for alert, (bad, limit) in RATES.items():
        yield from rate_stories(alert, bad, limit)
    yield from quantile_stories(
        "BridgeSettlementSlow", "attest_bridge_settlement_duration_seconds", ("1800", "3600", "7200"), 60
    )
    yield from quantile_stories("RpcLatencyHigh", "attest_rpc_request_duration_seconds", ("1", "2", "5"), 5)
    yield Story("RpcErrorRateHigh", "just above 5 %", _error_rate(501), fires=[11, 12, 60], quiet=[0, 1, 10])
    yield Story("RpcErrorRateHigh", "at 5 %", _error_rate(500), quiet=[0, 11, 60])
    yield Story("RpcErrorRateHigh", "just below 5 %", _error_rate(499), quiet=[0, 11, 60])
    soon = "BridgeBufferBreachSoon"
    # 100 a minute are 1,000 in a settlement time: 7,000 is where it begins to be soon, reached after 30 minutes.
    yield Story(soon, "falls to it", _falling(100, 10_000), fires=[96, 110], quiet=[59, 80, 90, 95])
    yield Story(soon, "falls, but stays above", _falling(100, 10_000, 7_100), quiet=[59, 89, 96, 110, 200])
    yield Story(soon, "rises from below the safety factor", _falling(-100, 6_001), quiet=[59, 80, 100])
    yield from _takeover_stories()
    yield from _deployment_stories()
    yield from _outage_stories()
    yield Story("Watchdog", "always", {}, fires=[0, 1, 60])


STORIES = tuple(_stories())


def _ended(metric: str) -> Story:
    waits, keeps = 5, _keep("MetricsAbsent")
    return Story(
        "MetricsAbsent",
        f"{metric} ends, and is back",
        {metric: _until(ONSET, _flat(1), _until(ONSET + 20, _flat(None), _flat(1)))},
        fires=[ONSET + waits, ONSET + 19 + keeps],
        quiet=[0, 30, ONSET, ONSET + waits - 1, ONSET + 20 + keeps],
        matcher=f',metric="{metric}"',
    )


_TASKS = ("DailyCheckMissing", "WeeklyAttestationMissing", "WeeklyReportMissing", "MonthlyReviewMissing")
_OTHER_TASK = {'attest_job_last_success_timestamp_seconds{task="another"}': age(0)}

#: Of series that are nowhere: each group needs a Prometheus of its own.
ABSENT: Sequence[Sequence[Story]] = (
    [_ended(metric) for metric in ALWAYS],
    [
        Story(
            "TargetDown",
            "the target is no longer there at all",
            {"up": _until(ONSET, _flat(1))},
            fires=[ONSET + 3, 200],
            quiet=[0, ONSET, ONSET + 2],
        )
    ],
    [Story(alert, "nobody tells of a task", {}, fires=[0, 60]) for alert in _TASKS],
    [Story(alert, "nobody tells of a task, in a rehearsal", {}, quiet=[0, 60]) for alert in _TASKS]
    + [Story("Watchdog", "in a rehearsal", {"attest_rehearsal": _flat(1)}, fires=[60])],
    [
        Story(alert, "only of another task", _OTHER_TASK if not n else {}, fires=[0, 60])
        for n, alert in enumerate(_TASKS)
    ],
)


# -- promtool's file -------------------------------------------------------------------------------------------------


def _named(name: str, labels: Mapping[str, str]) -> str:
    """A series' own labels, and of ``labels`` those that it does not have."""
    metric, _, own = name.partition("{")
    rest = (f'{key}="{value}"' for key, value in labels.items() if f'{key}="' not in own)
    return f"{metric}{{{','.join(filter(None, [own.removesuffix('}'), *rest]))}}}"


def _written(value: float | None) -> str:
    return "stale" if value is None else repr(value)


def _inputs(story: Story, labels: Mapping[str, str], length: int) -> list[dict[str, str]]:
    return [
        {"series": _named(name, labels), "values": " ".join(_written(value(minute)) for minute in range(length))}
        for name, value in story.series.items()
    ]


def _expectations(story: Story, matcher: str) -> list[dict[str, Any]]:
    firing = f'count(ALERTS{{alertname="{story.alert}",alertstate="firing"{matcher}}}) or vector(0)'
    return [
        {
            # The comment says in promtool's output which one failed.
            "expr": f"{firing} # {story.alert}: {story.what}",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for value, minutes in ((1, story.fires), (0, story.quiet))
        for minute in minutes
    ]


def _test(stories: Sequence[Story], *, cases: bool) -> dict[str, Any]:
    """One Prometheus. With ``cases`` each story's series and alerts are told apart by a label."""
    length = max(minute for story in stories for minute in (*story.fires, *story.quiet)) + 1
    inputs, expected = [], []
    for number, story in enumerate(stories):
        labels = {"job": JOB, "instance": "monitor"}
        if cases:
            labels |= {"case": str(number), "token": f"T{number}", "chain": f"C{number}"}
        inputs += _inputs(story, labels, length)
        expected += _expectations(story, f',case="{number}"' if cases and story.series else story.matcher)
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": expected}


def rule_tests(rules: Path) -> str:
    """The file for `promtool test rules`."""
    tests = [_test(STORIES, cases=True), *(_test(group, cases=False) for group in ABSENT)]
    # JSON is YAML.
    return json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests})
