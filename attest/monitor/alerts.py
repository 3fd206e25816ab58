"""Every alert of the operations runbook and the incident runbook: its condition, how bad it is, and what to do.

The one table behind the Prometheus rules, the pages in ``docs/alerts`` and ``attest alerts``. Sections (§) are those of
the operations runbook. Where the two runbooks class something differently, the worse class holds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from attest.monitor import thresholds as limit
from attest.monitor.tasks import DAILY_CHECK, MONTHLY_REVIEW, WEEKLY_ATTESTATION, WEEKLY_REPORT, Task
from attest.monitor.thresholds import MINUTE

Severity = Literal["critical", "warning", "info", "none"]
Incident = Literal["P0", "P1", "P2", "P3", "none"]

#: The scrape job of the exporter.
JOB = "attest"
#: A critical alert goes on for so long after its condition ended: longer than it takes to notice that the exporter is
#: gone.
KEEP_FIRING_SECONDS = 5 * MINUTE
#: What every exporter exposes, whatever it watches.
ALWAYS = (
    "attest_token_supply_units",
    "attest_token_reserve_sufficient",
    "attest_reserve_oracle_quorum_met",
    "attest_chain_head_timestamp_seconds",
    "attest_rpc_up",
    "attest_collector_last_success_timestamp_seconds",
)


@dataclass(frozen=True)
class Alert:
    """One alert.

    ``expr`` is PromQL, ``for_seconds`` for how long it has to hold. ``summary`` is one line, with Prometheus's
    templates. ``means`` is for whoever is woken by it; ``commands`` are the first three to type, and what each does.
    ``action`` is what the runbook orders (§7.2). ``escalate`` adds to what its class demands.
    """

    name: str
    section: str
    severity: Severity
    incident: Incident
    expr: str
    summary: str
    means: str
    commands: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    escalate: str
    for_seconds: int = 0
    action: str = "alert_team"

    @property
    def keep_firing_seconds(self) -> int:
        return KEEP_FIRING_SECONDS if self.severity == "critical" else 0

    @property
    def page(self) -> str:
        """Its page, from the repository's root."""
        return f"docs/alerts/{self.name}.md"


# -- conditions ------------------------------------------------------------------------------------------------------


#: Exporters of one deployment tell the same, whichever of them runs.
_WHOEVER_TELLS = "ignoring (instance, pod)"


def _held(gauge: str, condition: str) -> str:
    """A gauge's condition that only another value ends, not silence: while no exporter of the deployment tells this
    gauge for the same labels, the last day's last value counts."""
    return f"{gauge} {condition}\nor\n(last_over_time({gauge}[1d]) {condition} unless {_WHOEVER_TELLS} {gauge})"


def _lately(gauge: str) -> str:
    """A gauge, or its last value of the last three minutes: a part of the watch that fails now and then must not let a
    condition with a ``for`` begin anew each time, and never fire."""
    return f"last_over_time({gauge}[3m])"


def _rose(counter: str) -> str:
    """A counter is higher than it was in the hour before the last one, or than what was known last before that, for up
    to three days of silence.

    ``increase()`` would take the step back of a reorganisation for a restart, and would miss what happened while the
    exporter was down. A counter that is younger than an hour is compared with its lowest value.
    """

    def highest(value: str) -> str:
        return f"max without (instance, pod) ({value})"

    before = (
        f"({highest(f'max_over_time({counter}[1h] offset 1h)')}\n"
        f"or {highest(f'last_over_time({counter}[3d] offset 1h)')})"
    )
    young = highest(f"last_over_time({counter}[1h]) - min_over_time({counter}[1h])")
    return f"{highest(f'last_over_time({counter}[1d])')} > {before}\nor\n({young} > 0 unless {before})"


def _older(timestamp: str, seconds: int) -> str:
    return f"time() - {timestamp} > {seconds}"


def _share(percent: int) -> str:
    """As Prometheus has it: 1 is 100 %."""
    return f"{percent / 100:.2f}"


def _ratio(gauge: str, of: str, condition: str) -> str:
    return f"{_lately(gauge)} / {_lately(of)} {condition}"


def _success_rate(percent: int) -> str:
    """Of the last hour's transfers that ended, as the exporter counts them: each once, by the deployment's statuses,
    refunds among the failures; and exact after a silence or a reorganisation, which ``increase()`` of a counter takes
    for nothing and for a restart."""
    transfers, settled_only = 'attest_bridge_ended_transfers{window="hour"', ',outcome="settled"}'
    ended = f"sum without (outcome) ({_lately(transfers + '}')})"
    settled = f"sum without (outcome) ({_lately(transfers + settled_only)})"
    return f"{settled} / {ended} < {_share(percent)}\nand\n{ended} >= {limit.FEWEST_TRANSFERS}"


_BRIDGE_MINIMUM = (
    f"{_lately('attest_bridge_peak_outflow_units_per_second')} * {_lately('attest_bridge_latency_seconds')}"
)
_STABILIZATION_MINIMUM = "attest_stabilization_peak_outflow_units_per_second * attest_stabilization_window_seconds"
_HEAD_AGE = "time() - attest_chain_head_timestamp_seconds"


def _missing(task: Task) -> str:
    """Late, or nobody tells of it; in a rehearsal nobody does, and nothing is late."""
    metric = f'attest_job_last_success_timestamp_seconds{{task="{task.name}"}}'
    return f"{_older(metric, task.late_seconds)}\nor\n(absent({metric}) unless on () attest_rehearsal == 1)"


# -- commands that many have in common -------------------------------------------------------------------------------

_ONCE = ("attest monitor --once", "every number of the watch, worst first, read from the chain now")
_STATUS = ("attest status", "reports, quorum, supply and ratio of each token at one block")
_QUORUM = ("attest quorum explain", "what every custodian's source said of the last period, and which rule decided")
_NETWORK_CHECK = ("attest doctor --network", "blocks, validators, endpoints and the publisher, a line each, as of now")
_DOCTOR = ("attest doctor", "what would stop a run: configuration, endpoints, keys, gas")
_SUPPLY = (
    'cast call $TOKEN_ADDRESS "totalSupply()(uint256)" --rpc-url $RPC_URL',
    "the supply, from the contract itself",
)
_VERIFIED = (
    'cast call $TOKEN_ADDRESS "verifiedReserve()(uint256)" --rpc-url $RPC_URL',
    "the reserve that the contract goes by",
)
_HALT = (
    'cast send $MINT_CONTROLLER "revokeRole(bytes32,address)" $(cast keccak MINTER_ROLE) $MINTER --rpc-url $RPC_URL',
    "halts minting (§4.1); needs the controller's admin key",
)
_QUORUM_MET = (
    'cast call $RESERVE_ORACLE "isQuorumMet(address)(bool)" $TOKEN_ADDRESS --rpc-url $RPC_URL',
    "whether enough reporters' reports count",
)
_DESTINATION = (
    'cast call $BRIDGE_REGISTRY "destinations(uint256)(uint8,bool,uint64,address)" $CHAIN_ID --rpc-url $RPC_URL',
    "status of the route: 1 active, 2 degraded, 3 down; whether it is enabled",
)
_BRIDGE_SIZING = (
    "attest sizing bridge --from-index $INDEX --asset $TOKEN_ADDRESS",
    "peak outflow, latency and the reserve that they require, step by step",
)
_HEALTH = (
    'cast call $LEDGER_ADDRESS "getVaultHealth(address)(uint256)" $VAULT_ADDRESS --rpc-url $RPC_URL',
    "one vault's ratio; 1e18 is 100 %",
)
_CAN_LIQUIDATE = (
    'cast call $LIQUIDATION_ADDRESS "canLiquidate(address)(bool)" $VAULT_ADDRESS --rpc-url $RPC_URL',
    "whether it is below 110 % by usable prices (§4.2)",
)
_FROZEN = ('cast call $XAU_ORACLE "isFrozen()(bool)" --rpc-url $RPC_URL', "whether the guardian froze the price")
_UPDATED = ('cast call $XAU_ORACLE "updatedAt()(uint256)" --rpc-url $RPC_URL', "Unix seconds of the last price")
_BLOCK = ("cast block latest --rpc-url $RPC_URL", "the head: its number and time; run it twice")
_VALIDATORS = ("kubectl get pods -n besu-network -l component=validator", "the validators' pods")
_VALIDATOR_LOGS = ("kubectl logs -n besu-network $VALIDATOR_POD --tail=200", "a validator's log")
_RPC_PODS = ("kubectl get pods -n besu-network -l component=rpc", "the RPC nodes' pods")
_RPC_BLOCK = ("cast block-number --rpc-url $RPC_URL", "whether the endpoint answers; compare all of them")
_PUBLISHER = ("kubectl get pods -n besu-network -l app=oracle-publisher", "the publisher's pod")
_PUBLISHER_LOGS = ("kubectl logs -n besu-network $ORACLE_POD --tail=200", "the publisher's log")
_HEALTHZ = ("curl --fail http://127.0.0.1:9464/healthz", "whether the exporter lives and its cycles are in time")
_METRICS = ("curl --silent http://127.0.0.1:9464/metrics", "what the exporter says now")
_JOURNAL = ("journalctl --unit attest-monitor --since -1h", "the exporter's log")
_GUARD = (
    "cast logs --rpc-url $RPC_URL --from-block $SINCE --address $COMPLIANCE_GUARD",
    "the compliance guard's newest events",
)
_MEMBERS = (
    'cast logs --rpc-url $RPC_URL --from-block $SINCE "RoleGranted(bytes32 indexed,address indexed,address indexed)"',
    "who was given a role, and by whom",
)
_REVOKED = (
    'cast logs --rpc-url $RPC_URL --from-block $SINCE "RoleRevoked(bytes32 indexed,address indexed,address indexed)"',
    "who lost one",
)
_SETTINGS = (
    'cast call $STABILIZER "settings()(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)" '
    "--rpc-url $RPC_URL",
    "threshold, k, blocks, gap, delay, cap of a block, slippage, gas price",
)
_STABILIZATION_SIZING = (
    "attest sizing stabilization --peak-minute-outflow $P --window $T --safety 3 --reserve $RESERVE",
    "P x T, with the numbers of the metrics",
)
_OWN_NUMBERS = ("attest monitor --once --json", "the same for scripts: the formula's numbers, exact")

_P1_WITHIN = "If it is not contained within 30 minutes."

# -- the table -------------------------------------------------------------------------------------------------------

_RESERVE = (
    Alert(
        "ReserveShortfall",
        "§1.2, §4.1, §7.2",
        "critical",
        "P0",
        _held("attest_token_reserve_surplus_units", "< 0"),
        '{{ $labels.token }}: reserve less supply is {{ $value | printf "%.0f" }} base units.',
        "The verified reserve is below the supply, by at least one base unit: reserve less supply, subtracted as "
        "integers. Tokens are in circulation that no money backs, or the reserve is stated too low.",
        (_HALT, _STATUS, _QUORUM),
        "At once, to everybody of P0, and the compliance team: a public statement is due. Do not wait to find out "
        "whether "
        "it is an error of accounting.",
        action="halt_minting",
    ),
    Alert(
        "OnchainReserveInsufficient",
        "§1.2, §4.1",
        "critical",
        "P0",
        _held("attest_token_reserve_sufficient", "== 0"),
        "{{ $labels.token }}: isReserveSufficient() is false.",
        "The token's own contract says that its reserve does not suffice. Either the supply exceeds the reserve, or "
        "the "
        "oracle lost its quorum and the contract counts no reserve at all: look whether OracleQuorumNotMet fires too.",
        (_HALT, _QUORUM_MET, _STATUS),
        "At once, unless the quorum alone is missing: then as for OracleQuorumNotMet.",
        action="halt_minting",
    ),
    Alert(
        "MoneyMultiplierViolation",
        "§4.5, §7.2",
        "critical",
        "P0",
        _held("attest_token_money_multiplier_ok", "== 0"),
        "{{ $labels.token }}: the money multiplier is above 1: supply exceeds reserve.",
        "m = supply / reserve must not exceed 1; compared as integers. Whatever the cause, more was issued than is "
        "covered.",
        (
            (
                'cast send $BRIDGE_VAULT "pause()" --rpc-url $RPC_URL',
                "pauses bridging (§4.5); needs the pauser's key",
            ),
            _HALT,
            _STATUS,
        ),
        "At once, with the compliance team (§4.5).",
        action="emergency_pause",
    ),
    Alert(
        "ReserveRatioLow",
        "§1.2, §5.1, §7.2",
        "warning",
        "P1",
        _ratio("attest_token_reserve_units", "attest_token_supply_units", f"< {_share(limit.RESERVE_LOW_PERCENT)}"),
        "{{ $labels.token }}: the reserve is {{ $value | humanizePercentage }} of the supply, below 105 %.",
        "Little is left between the reserve and a shortfall. Usually redemptions were booked by the custodian before "
        "the "
        "tokens were burned, or a mint came before its deposit.",
        (_STATUS, _QUORUM, _SUPPLY),
        "When it falls on, or is below 102 %: tell the compliance team before it is a shortfall.",
        5 * MINUTE,
    ),
    Alert(
        "ReserveRatioBelow110",
        "§5.1",
        "info",
        "P2",
        _ratio("attest_token_reserve_units", "attest_token_supply_units", f"< {_share(limit.RESERVE_NOTICE_PERCENT)}"),
        "{{ $labels.token }}: the reserve is {{ $value | humanizePercentage }} of the supply, below 110 %.",
        "The runbook's classes begin here. Nothing is wrong yet.",
        (_STATUS, _QUORUM, _SUPPLY),
        "Not by itself; ReserveRatioLow follows below 105 %.",
        15 * MINUTE,
    ),
    Alert(
        "OracleQuorumNotMet",
        "§1.2, §4.4, §5.1",
        "critical",
        "P1",
        f"{_lately('attest_reserve_oracle_quorum_met')} == 0",
        "{{ $labels.token }}: the reserve oracle's quorum is not met.",
        "Too few reporters have a report that counts. The contract has no reserve to go by: minting stops by itself, "
        "and "
        "the next attestation cannot confirm.",
        (_STATUS, _QUORUM_MET, ("attest report", "sends this operator's fresh report, if it is ours that is missing")),
        "Tell the other reporters' operators at once. " + _P1_WITHIN,
        2 * MINUTE,
    ),
    Alert(
        "ReserveReportStale",
        "§1.2, §4.4, §7.2",
        "warning",
        "P3",
        f"{_lately('attest_reserve_oracle_stale_reports')} > 0",
        '{{ $labels.token }}: {{ $value | printf "%.0f" }} reserve reports are older than the oracle allows.',
        "Stale reports do not count for the quorum, and should be removed (§1.2).",
        (_STATUS, ("attest oracle remove-stale", "removes them on chain"), _QUORUM_MET),
        "When it grows to OracleQuorumNotMet.",
        5 * MINUTE,
    ),
    Alert(
        "SingleOracleFailure",
        "§5.1",
        "warning",
        "P2",
        _older(_lately("attest_reserve_oracle_reporter_last_report_timestamp_seconds"), limit.REPORT_AGE),
        "{{ $labels.token }}: reporter {{ $labels.reporter }} has not reported for {{ $value | humanizeDuration }}.",
        "One reporter is silent for longer than the runbook's hour. The others may still make the quorum. Where your "
        "oracle accepts older reports (a weekly cadence), put its age into your copy of the rule.",
        (_STATUS, _PUBLISHER, _DOCTOR),
        "Call that reporter's operator. When a second one falls silent, treat it as OracleQuorumNotMet.",
        10 * MINUTE,
    ),
)

_VAULT = (
    Alert(
        "VaultHealthLow",
        "§1.1, §7.2",
        "warning",
        "P3",
        f"{_lately('attest_vault_health_ratio_min')} < {_share(limit.HEALTH_LOW_PERCENT)}",
        "The least healthy vault is at {{ $value | humanizePercentage }}, below 120 %.",
        "Its owner can no longer draw or withdraw, and is near liquidation at 110 %.",
        (_ONCE, _HEALTH, _UPDATED),
        "Notify the vault's owner. VaultHealthCritical follows below 110 %.",
        5 * MINUTE,
    ),
    Alert(
        "VaultHealthCritical",
        "§1.1, §4.2",
        "critical",
        "P2",
        f"attest_vault_health_ratio_min < {_share(limit.HEALTH_CRITICAL_PERCENT)}",
        "The least healthy vault is at {{ $value | humanizePercentage }}, below the liquidation threshold of 110 %.",
        "It can be liquidated by anyone. If nobody does, the debt ends up without cover.",
        (_ONCE, _CAN_LIQUIDATE, _HEALTH),
        "When no liquidation is seen within 30 minutes, or several vaults are below at once.",
    ),
    Alert(
        "DebtCeilingHigh",
        "§1.1",
        "warning",
        "P3",
        _ratio("attest_vault_debt_units", "attest_vault_debt_ceiling_units", f"> {_share(limit.DEBT_CEILING_PERCENT)}"),
        "{{ $labels.currency }}: debt is {{ $value | humanizePercentage }} of its ceiling.",
        "Above 90 %, vaults will soon be unable to draw.",
        (
            _ONCE,
            (
                'cast call $LEDGER_ADDRESS "totalDebt(address)(uint256)" $CURRENCY_ADDRESS --rpc-url $RPC_URL',
                "the debt, base units",
            ),
            (
                'cast call $LEDGER_ADDRESS "debtCeiling(address)(uint256)" $CURRENCY_ADDRESS --rpc-url $RPC_URL',
                "its ceiling, base units",
            ),
        ),
        "Whoever sets ceilings decides; nothing else is urgent.",
        5 * MINUTE,
    ),
    Alert(
        "PriceOracleStale",
        "§1.1, §4.4",
        "critical",
        "P2",
        _older("attest_price_oracle_updated_timestamp_seconds", limit.PRICE_AGE),
        "The price oracle {{ $labels.currency }} was not updated for {{ $value | humanizeDuration }}.",
        "Vaults are valued by a price older than an hour: health ratios are not to be believed, drawing, withdrawing "
        "and liquidating stop. parity:NAME is the other chain's oracle of [monitor.parity.NAME]: two prices that both "
        "stopped are equal, and say nothing.",
        (_UPDATED, _PUBLISHER, _PUBLISHER_LOGS),
        "When the feed cannot be mended within 30 minutes: freeze the system (§4.4).",
    ),
    Alert(
        "PriceOracleFrozen",
        "§4.4",
        "critical",
        "P1",
        "attest_price_oracle_frozen == 1",
        "The price oracle {{ $labels.currency }} is frozen.",
        "A guardian froze it. Somebody did that on purpose, or took the guardian's key.",
        (_FROZEN, _MEMBERS, _UPDATED),
        "At once to the security team if no guardian says that it was they.",
    ),
    Alert(
        "VaultLiquidation",
        "§4.2, §7.1",
        "warning",
        "P3",
        _rose("attest_vault_liquidations_total"),
        "A vault was liquidated within the last hour.",
        "A liquidation was executed. Verify that collateral was seized, debt repaid, and what health is left (§4.2).",
        (_ONCE, _HEALTH, _CAN_LIQUIDATE),
        "When the vault's remaining health is below 110 %, or liquidations follow one another.",
    ),
)

_BRIDGE = (
    Alert(
        "BridgeSuccessRateLow",
        "§1.3, §5.1",
        "warning",
        "P2",
        _success_rate(limit.SUCCESS_LOW_PERCENT),
        "{{ $value | humanizePercentage }} of the last hour's bridge transfers settled, fewer than 95 %.",
        "Of the transfers that ended within an hour (at least 20), too many failed.",
        (_ONCE, _DESTINATION, _RPC_BLOCK),
        "BridgeSuccessRateCritical follows below 90 %.",
        5 * MINUTE,
    ),
    Alert(
        "BridgeSuccessRateCritical",
        "§1.3, §4.3, §5.1, §7.2",
        "critical",
        "P1",
        _success_rate(limit.SUCCESS_CRITICAL_PERCENT),
        "{{ $value | humanizePercentage }} of the last hour's bridge transfers settled, fewer than 90 %.",
        "More than a tenth of the transfers that ended within an hour (at least 20) failed. Their senders wait for "
        "refunds.",
        (_DESTINATION, _ONCE, _RPC_BLOCK),
        "Close the route if the cause is not found within 15 minutes. " + _P1_WITHIN,
        5 * MINUTE,
    ),
    Alert(
        "BridgeSettlementSlow",
        "§1.3, §3.2",
        "warning",
        "P3",
        "histogram_quantile(0.95, rate(attest_bridge_settlement_duration_seconds_bucket[1h]))"
        f" > {limit.SETTLEMENT_SECONDS}",
        "One in twenty bridge transfers takes longer than {{ $value | humanizeDuration }} to settle.",
        "P95 of the settlement time is above an hour. The bridge's reserve is sized by that time: BridgeBufferLow may "
        "follow. Prometheus takes it from a counter's rate: what settled while no exporter ran may be missing, and for "
        "an hour after a reorganisation transfers may count twice. attest_bridge_latency_seconds, made of the events "
        "themselves, is exact.",
        (_ONCE, _DESTINATION, _BRIDGE_SIZING),
        "When transfers are pending besides (BridgeTransferPending).",
        5 * MINUTE,
    ),
    Alert(
        "BridgeTransferPending",
        "§1.3, §4.3",
        "warning",
        "P3",
        _older("attest_bridge_oldest_pending_timestamp_seconds", limit.PENDING_AGE),
        "The oldest pending bridge transfer waits for {{ $value | humanizeDuration }}.",
        "For more than an hour a transfer has been neither settled nor refunded: the settlement timed out, or it "
        "failed and its sender still waits for the money (§4.3).",
        (
            _ONCE,
            _DESTINATION,
            (
                'cast send $BRIDGE_VAULT "executeRefund(bytes32)" $TRANSFER_ID --rpc-url $RPC_URL',
                "pays it back; reverts until initiateRefund was sent with the HSM's signature (§4.3)",
            ),
        ),
        "When more than one route, or many transfers, are concerned.",
        5 * MINUTE,
    ),
    Alert(
        "BridgeReserveVerificationFailed",
        "§1.3, §4.3",
        "critical",
        "P1",
        _rose('attest_bridge_reserve_verifications_total{sufficient="false"}'),
        "A reserve verification of the bridge failed within the last hour.",
        "ReserveVerified was logged with sufficient = false: the bridge's own reserve, or a token's, did not cover a "
        "transfer.",
        (_ONCE, _BRIDGE_SIZING, _VERIFIED),
        "At once when ReserveShortfall fires too. " + _P1_WITHIN,
    ),
    Alert(
        "BridgeComplianceViolation",
        "§1.3",
        "critical",
        "P1",
        _rose('attest_bridge_compliance_checks_total{result="failed"}'),
        "The compliance guard refused something within the last hour.",
        "A transfer, mint, redemption or conversion was refused, or an audit failed: for an account that is blocked, a "
        "token that may not be used, or a supply above its reserve. Nothing moved. ComplianceChecked says which "
        "operation it was; ComplianceViolation fires besides for what breaks a rule, whoever does it.",
        (_GUARD, _ONCE, _DESTINATION),
        "To the compliance team, at once.",
    ),
    Alert(
        "BridgeBufferLow",
        "§1.4",
        "warning",
        "P3",
        f"{_lately('attest_bridge_reserve_units')}\n< {_BRIDGE_MINIMUM} * {_lately('attest_bridge_safety_factor')}",
        'The bridge\'s reserve {{ $labels.token }} is {{ $value | printf "%.0f" }} base units: below peak outflow x '
        "latency x safety factor.",
        "At peak outflow the reserve lasts through a settlement time, but with less than the margin required.",
        (_BRIDGE_SIZING, _ONCE, _DESTINATION),
        "BridgeBufferBreachSoon is the escalation.",
        5 * MINUTE,
    ),
    Alert(
        "BridgeBufferBreachSoon",
        "§1.4",
        "critical",
        "P1",
        f"{_lately('attest_bridge_reserve_units')} < {_BRIDGE_MINIMUM}\nor\n"
        f"{_lately('attest_bridge_reserve_units')}\n"
        f"+ clamp_max(deriv(attest_bridge_reserve_units[30m]), 0) * {_lately('attest_bridge_latency_seconds')}\n"
        f"< {_BRIDGE_MINIMUM}",
        "The bridge's reserve {{ $labels.token }} is, or falls within one settlement time, below peak outflow x "
        "latency.",
        "By the last half hour's fall, the reserve is that low one settlement time from now; what "
        "arrives "
        "then may not be paid.",
        (_BRIDGE_SIZING, _ONCE, _DESTINATION),
        "At once to whoever can add reserves; close the route if nobody can.",
        5 * MINUTE,
    ),
    Alert(
        "CrossChainParityBroken",
        "§1.4",
        "warning",
        "P3",
        f"{_lately('attest_parity_price_deviation_ratio')} >= {_lately('attest_parity_threshold_ratio')}",
        "The prices {{ $labels.pair }} on the two chains differ by {{ $value | humanizePercentage }}.",
        "|P138 - P651940| is not below the threshold. The arbitrage bots should have closed it.",
        (
            _ONCE,
            (
                "attest sizing parity --price 138=$P138 --price 651940=$P651940 --threshold $THRESHOLD",
                "the comparison, exact",
            ),
            _DESTINATION,
        ),
        "When it goes on for an hour, or the bridge's reserve falls with it.",
        5 * MINUTE,
    ),
)

_SIZING = (
    Alert(
        "ReserveBelowPxT",
        "§1.4",
        "critical",
        "P1",
        f"attest_stabilization_reserve_units < {_STABILIZATION_MINIMUM}",
        'The stabilisation reserve is {{ $value | printf "%.0f" }} base units: below P x T.',
        "A peak outflow would empty it before the window is over.",
        (_STABILIZATION_SIZING, _ONCE, _OWN_NUMBERS),
        "At once to whoever can add reserves.",
    ),
    Alert(
        "ReserveBelowSafetyPxT",
        "§1.4",
        "warning",
        "P3",
        f"{_lately('attest_stabilization_reserve_units')}\n"
        f"< {_lately('attest_stabilization_peak_outflow_units_per_second')} * "
        f"{_lately('attest_stabilization_window_seconds')} * {_lately('attest_stabilization_safety_factor')}",
        'The stabilisation reserve is {{ $value | printf "%.0f" }} base units: below P x T x safety factor.',
        "It lasts through the window at peak outflow, without the margin of 3 to 5 that is recommended.",
        (_STABILIZATION_SIZING, _ONCE, _OWN_NUMBERS),
        "ReserveBelowPxT is the escalation.",
        15 * MINUTE,
    ),
    Alert(
        "CantileverThroughputLow",
        "§1.4",
        "warning",
        "P3",
        f"{_lately('attest_stabilizer_trade_size_units')} * {_lately('attest_stabilizer_trades_per_second')}\n"
        f"< {_lately('attest_stabilizer_imbalance_units_per_second')}",
        'The stabilizer trades {{ $value | printf "%.0f" }} units per second: less than the imbalance.',
        "s x f < delta: the price will drift on.",
        (
            (
                "attest sizing cantilever --trade-size $S --frequency $F --imbalance $DELTA",
                "s x f >= delta, and the size that would do",
            ),
            _ONCE,
            ('cast call $STABILIZER "tradeSize()(uint256)" --rpc-url $RPC_URL', "s, as the contract computes it"),
        ),
        "When TwapDeviationSustained fires with it.",
        5 * MINUTE,
    ),
    Alert(
        "TwapDeviationSustained",
        "§1.4",
        "warning",
        "P3",
        "attest_twap_deviation_sustained_blocks >= clamp_min(attest_twap_deviation_required_blocks, 2)",
        'The price is away from its average for {{ $value | printf "%.0f" }} blocks.',
        "Not a spike in one block: the deviation from the TWAP is sustained for as many blocks as a rebalancing "
        "requires, two at least.",
        (
            _ONCE,
            (
                'cast call $XAU_ORACLE "twapDeviation()(uint256)" --rpc-url $RPC_URL',
                "|last - twap| / twap; 1e18 is 100 %",
            ),
            ('cast call $STABILIZER "lastTradeBlock()(uint256)" --rpc-url $RPC_URL', "whether the stabilizer acts"),
        ),
        "When the stabilizer does not trade.",
    ),
    Alert(
        "StabilizerBlockCapExceeded",
        "§1.4",
        "critical",
        "P1",
        "attest_stabilizer_block_volume_units > attest_stabilizer_block_cap_units",
        'The stabilizer traded {{ $value | printf "%.0f" }} units in one block: more than its cap.',
        "The cap is what limits execution driven by flash loans. The contract enforces it, so it was changed, or "
        "replaced.",
        (
            _SETTINGS,
            _ONCE,
            _MEMBERS,
        ),
        "At once to the security team.",
    ),
    Alert(
        "FlashDrainRecoverySlow",
        "§1.4",
        "warning",
        "P3",
        f"attest_flash_drain_recovery_blocks >= {limit.RECOVERY_BLOCKS}",
        'Recovery from a drain took {{ $value | printf "%.0f" }} blocks; the target is fewer than 3.',
        "Cap, size or frequency of the stabilizer do not fit the drains that happen.",
        (
            _ONCE,
            _SETTINGS,
            (
                "attest sizing cantilever --trade-size $S --frequency $F --imbalance $DELTA",
                "the size that would do",
            ),
        ),
        "When it recurs.",
    ),
)

_COMPLIANCE = (
    Alert(
        "ComplianceViolation",
        "§3.1, §4.5",
        "critical",
        "P0",
        _rose("attest_compliance_violations_total"),
        "The compliance guard logged a violation within the last hour: {{ $labels.kind }}.",
        "A money multiplier above 1, a GRU conversion, or a code that is not of ISO 4217 (§4.5).",
        (
            ('cast send $BRIDGE_VAULT "pause()" --rpc-url $RPC_URL', "pauses bridging; needs the pauser's key"),
            _HALT,
            _GUARD,
        ),
        "At once, with the compliance team.",
    ),
    Alert(
        "RoleDrift",
        "§3.1",
        "critical",
        "P1",
        "attest_role_drift_members > 0",
        '{{ $labels.contract }}: {{ $value | printf "%.0f" }} members of {{ $labels.role }} are not those that the '
        "configuration names.",
        "Somebody holds a role who should not, or has lost one; who, attest_role_drift_info says. The role `other` are "
        "all that the configuration does not name, `owner` those who sign for a wallet. Until it is explained, take it "
        "for a compromise.",
        (_ONCE, _MEMBERS, _REVOKED),
        "At once to the security team. P0 if a stranger holds a role (system compromise, §5.1).",
    ),
    Alert(
        "RoleChanged",
        "§3.1",
        "warning",
        "P3",
        _rose("attest_role_changes_total"),
        "{{ $labels.contract }}: {{ $labels.role }} was {{ $labels.change }} within the last hour.",
        "Every change of access has somebody who ordered it. Find the order.",
        (_MEMBERS, _REVOKED, _ONCE),
        "To the security team when nobody ordered it.",
    ),
    Alert(
        "RoleUnused",
        "§3.1",
        "info",
        "P3",
        _older("attest_role_last_used_timestamp_seconds", limit.ROLE_AGE),
        "{{ $labels.contract }}: {{ $labels.role }} was not used for {{ $value | humanizeDuration }}.",
        "Least privilege: what is not used is revoked. None of the events was seen that show its use "
        "(docs/monitor.md), and it was not granted since.",
        (_ONCE, _MEMBERS, _REVOKED),
        "Not; it is for the monthly review.",
    ),
    Alert(
        "MultisigWeakened",
        "§3.1",
        "critical",
        "P1",
        "attest_multisig_threshold < attest_multisig_expected_threshold",
        '{{ $labels.multisig }}: {{ $value | printf "%.0f" }} signatures suffice, fewer than configured.',
        "Fewer people than agreed can act alone.",
        (
            ('cast call $MULTISIG "getThreshold()(uint256)" --rpc-url $RPC_URL', "signatures needed now"),
            ('cast call $MULTISIG "getOwners()(address[])" --rpc-url $RPC_URL', "who may sign"),
            _ONCE,
        ),
        "At once to the security team.",
    ),
)

_NETWORK = (
    Alert(
        "ChainHalted",
        "incident runbook, Network Outage",
        "critical",
        "P0",
        f"{_HEAD_AGE} > {limit.BLOCK_AGE}\nor\n"
        # A dead exporter does not end it.
        f"(last_over_time(({_HEAD_AGE})[6h:1m]) > {limit.BLOCK_AGE} "
        f"unless {_WHOEVER_TELLS} attest_chain_head_timestamp_seconds)\nor\n"
        # One that lives and that no endpoint answers begins it.
        f"(time() - last_over_time(attest_chain_head_timestamp_seconds[6h]) > {limit.BLOCK_AGE} "
        f"and {_WHOEVER_TELLS} max without (endpoint) (attest_rpc_up) == 0)",
        "{{ $labels.chain }}: the newest block that is known is {{ $value | humanizeDuration }} old.",
        "No blocks are produced, or none of the endpoints answers, or too few for the read quorum see them: then "
        "RpcEndpointDown or RpcEndpointLagging fires too. With QBFT, a chain halts when more than a third of the "
        "validators are silent.",
        (_BLOCK, _VALIDATORS, _VALIDATOR_LOGS),
        "At once, to everybody of P0.",
        MINUTE,
    ),
    Alert(
        "ValidatorNotProducing",
        "incident runbook, Validator Failure",
        "critical",
        "P1",
        f"{_lately('attest_chain_head_timestamp_seconds')}\n"
        "- ignoring (validator) group_right () "
        f"{_lately('attest_chain_validator_last_block_timestamp_seconds')}\n"
        f"> {limit.VALIDATOR_AGE}",
        "Validator {{ $labels.validator }} has proposed and sealed nothing for {{ $value | humanizeDuration }}.",
        "A third of them silent, and the chain halts. Measured up to the newest block: on a chain that has halted, "
        "those fire that were silent before.",
        (
            ("kubectl describe pod $VALIDATOR_POD -n besu-network", "whether its pod runs, and why not"),
            _VALIDATOR_LOGS,
            ("kubectl top pod $VALIDATOR_POD -n besu-network", "its CPU and memory"),
        ),
        "When a second one falls silent: the chain is near a halt.",
        2 * MINUTE,
    ),
    Alert(
        "RpcEndpointDown",
        "incident runbook, RPC Endpoint Issues",
        "critical",
        "P1",
        "attest_rpc_up == 0",
        "The RPC endpoint {{ $labels.endpoint }} does not answer, or serves another chain.",
        "The watch and the weekly run go on with the others, while there are any.",
        (_RPC_BLOCK, _RPC_PODS, _NETWORK_CHECK),
        "When fewer are left than the read quorum.",
        2 * MINUTE,
    ),
    Alert(
        "RpcEndpointLagging",
        "incident runbook, RPC Endpoint Issues",
        "warning",
        "P3",
        "(max without (endpoint) (attest_rpc_head_block_number)\n"
        "- ignoring (endpoint) group_right () attest_rpc_head_block_number)\n"
        "> attest_rpc_lag_limit_blocks",
        'The RPC endpoint {{ $labels.endpoint }} is {{ $value | printf "%.0f" }} blocks behind the newest block of all '
        "endpoints.",
        "It answers, but with the past: it has lost its peers, or synchronises; or another one claims blocks that do "
        "not exist, and all others seem to lag. The limit is `monitor.max_lag_blocks`. What an endpoint does not know "
        "yet fails the reads that need its word.",
        (_RPC_BLOCK, _NETWORK_CHECK, _RPC_PODS),
        "When fewer endpoints that are up to date are left than the read quorum.",
        2 * MINUTE,
    ),
    Alert(
        "RpcLatencyHigh",
        "incident runbook, RPC Endpoint Issues",
        "warning",
        "P3",
        f"histogram_quantile(0.95, rate(attest_rpc_request_duration_seconds_bucket[5m])) > {limit.RPC_SECONDS}",
        "{{ $labels.endpoint }}: one request in twenty takes longer than {{ $value | humanizeDuration }}.",
        "Overloaded, far away, or rate limited.",
        (_RPC_BLOCK, _RPC_PODS, ("kubectl top pod -n besu-network -l component=rpc", "their CPU and memory")),
        "When collectors become stale (CollectorStale).",
        10 * MINUTE,
    ),
    Alert(
        "RpcErrorRateHigh",
        "incident runbook, RPC Endpoint Issues",
        "warning",
        "P3",
        'sum without (outcome) (rate(attest_rpc_requests_total{outcome="failed"}[5m]))\n'
        f"/ sum without (outcome) (rate(attest_rpc_requests_total[5m])) > {_share(limit.RPC_FAILED_PERCENT)}",
        "{{ $labels.endpoint }}: {{ $value | humanizePercentage }} of the requests fail.",
        "Errors, time-outs or refusals by a rate limit.",
        (_RPC_BLOCK, _RPC_PODS, ("kubectl logs -n besu-network -l component=rpc --tail=200", "their logs")),
        "When RpcEndpointDown follows.",
        10 * MINUTE,
    ),
    Alert(
        "RpcProvidersDisagree",
        "incident runbook, RPC Endpoint Issues and Security Incident",
        "critical",
        "P1",
        "attest_rpc_state_disagreements > 0",
        "{{ $labels.chain }}: endpoints give different answers for the same block.",
        "One of them is broken, on another fork, or lies. Nothing is to be signed by what they say.",
        (_NETWORK_CHECK, _BLOCK, _RPC_PODS),
        "To the security team when it is an endpoint of somebody else's.",
        MINUTE,
    ),
    Alert(
        "OraclePublisherErrors",
        "incident runbook, Oracle Update Failures",
        "warning",
        "P3",
        _rose("attest_oracle_publish_failures_total"),
        "The oracle publisher failed within the last hour.",
        "Prices or reports were not published at least once. The circuit breaker opens when it goes on.",
        (_PUBLISHER, _PUBLISHER_LOGS, _RPC_BLOCK),
        "When the circuit breaker opens, or a price or a report becomes stale.",
    ),
    Alert(
        "OracleCircuitBreakerOpen",
        "incident runbook, Oracle Update Failures",
        "critical",
        "P1",
        f"{_lately('attest_oracle_circuit_breaker_open')} == 1",
        "The oracle publisher's circuit breaker is open.",
        "It gave up publishing after repeated failures. Prices become stale within the hour.",
        (_PUBLISHER_LOGS, _PUBLISHER, ("cast balance $PUBLISHER --rpc-url $RPC_URL", "whether it can pay for gas")),
        _P1_WITHIN,
        MINUTE,
    ),
)

_SELF = (
    Alert(
        "CollectorStale",
        "§8.1",
        "critical",
        "P1",
        _older("attest_collector_last_success_timestamp_seconds", limit.COLLECTOR_AGE),
        "The collector {{ $labels.collector }} succeeded last {{ $value | humanizeDuration }} ago.",
        "Its numbers are old: whatever it watches is not watched.",
        (_JOURNAL, _ONCE, _DOCTOR),
        "When it watches reserves and cannot be mended within 30 minutes: check by hand (`attest status`), hourly.",
    ),
    Alert(
        "IndexerLagging",
        "§8.1",
        "warning",
        "P3",
        f"abs({_lately('attest_chain_head_block_number')} - {_lately('attest_chain_indexed_block_number')})\n"
        f"> {limit.INDEX_LAG_BLOCKS}",
        '{{ $labels.chain }}: the event index and the head are {{ $value | printf "%.0f" }} blocks apart.',
        "Rates and counters are of the past. After a downtime it catches up by itself; it skips nothing. An index "
        "beyond the head waits for it: the endpoint is far behind, or serves a chain that began anew.",
        (_JOURNAL, _ONCE, _RPC_BLOCK),
        "When it does not catch up within an hour.",
        10 * MINUTE,
    ),
    Alert(
        "UnreadableLogs",
        "§8.1",
        "warning",
        "P3",
        "attest_chain_unreadable_logs_total > 0",
        '{{ $labels.chain }}: {{ $value | printf "%.0f" }} logs do not read as the events that they are named as.',
        "A contract logs an event under a followed name with other fields than configured. What it says is in no sum: "
        "rates and counters are of the rest only, until the events are configured and the index is scanned anew "
        "(docs/event-index.md).",
        (_ONCE, _JOURNAL, _NETWORK_CHECK),
        "When the contract was not changed by whoever may: to the security team.",
        5 * MINUTE,
    ),
    Alert(
        "ClockSkew",
        "§8.1",
        "warning",
        "P3",
        f"attest_clock_skew_seconds < -{limit.CLOCK_SKEW}",
        '{{ $labels.chain }}: the newest block is {{ $value | printf "%.0f" }} s old by '
        "this machine's clock: it lies in the future.",
        "Blocks are from this machine's future: its clock is behind, or the validators' clocks are ahead. Ages of "
        "reports, prices and blocks are told too low.",
        (("timedatectl timesync-status", "whether this machine's clock follows NTP"), _BLOCK, _NETWORK_CHECK),
        "When it is the validators' clocks: to their operators.",
        5 * MINUTE,
    ),
    Alert(
        "DeepReorg",
        "incident runbook, Security Incident",
        "critical",
        "P1",
        _rose("attest_chain_reorgs_total"),
        "{{ $labels.chain }} replaced blocks that counted as final, within the last hour.",
        "The index follows only what is final by configuration. That it was replaced means a fork, or a `finality` "
        "that is "
        "set too weak for this chain. Settled transfers may be undone.",
        (_BLOCK, _ONCE, _VALIDATORS),
        "At once to the security team; pause the bridge until it is explained.",
    ),
    Alert(
        "MetricsAbsent",
        "§7",
        "critical",
        "P1",
        "\nor\n".join(
            f'label_replace(absent({metric}{{job="{JOB}"}}), "metric", "{metric}", "", "")' for metric in ALWAYS
        ),
        "Nobody exposes {{ $labels.metric }}.",
        "The exporter is gone, or does not watch this. What is alerted by that metric is blind. (Alerts of P0 that "
        "were "
        "firing go on, by the last value known.)",
        (_HEALTHZ, _METRICS, _JOURNAL),
        "Check by hand (`attest status`) until it is back. " + _P1_WITHIN,
        5 * MINUTE,
    ),
    Alert(
        "TargetDown",
        "§7",
        "critical",
        "P1",
        f'up{{job="{JOB}"}} == 0\nor\nabsent(up{{job="{JOB}"}})',
        "Prometheus cannot scrape the exporter {{ $labels.instance }}.",
        "The exporter is down, or Prometheus does not reach it: nothing is watched.",
        (_HEALTHZ, ("systemctl status attest-monitor", "whether it runs"), _JOURNAL),
        "Check by hand (`attest status`) until it is back. " + _P1_WITHIN,
        3 * MINUTE,
    ),
    Alert(
        "Watchdog",
        "§7",
        "none",
        "none",
        "vector(1)",
        "Always firing: it shows that alerts arrive.",
        "A service outside of this machine has to be told of it every few minutes, and calls when it stops: then "
        "Prometheus, "
        "Alertmanager or the way out of here is broken.",
        (
            ("curl --fail http://127.0.0.1:9090/-/healthy", "whether Prometheus lives"),
            ("curl --fail http://127.0.0.1:9093/-/healthy", "whether Alertmanager lives"),
            ("amtool alert query --alertmanager.url http://127.0.0.1:9093", "what is firing"),
        ),
        "When it has stopped: as TargetDown.",
        action="none",
    ),
    Alert(
        "DailyCheckMissing",
        "§8.1",
        "warning",
        "P3",
        _missing(DAILY_CHECK),
        "The daily check was not done for 26 hours.",
        "`attest monitor --once` is due once a day, also where alerts are in place.",
        (_ONCE, ("systemctl list-timers", "when it should have run"), _DOCTOR),
        "When it was missed twice.",
    ),
    Alert(
        "WeeklyAttestationMissing",
        "§2.1, §8.2",
        "critical",
        "P1",
        _missing(WEEKLY_ATTESTATION),
        "No attestation was published for a week and six hours.",
        "The weekly run has not ended. Verifiers report the gap.",
        (("attest run", "goes on where it stopped, and sends nothing twice"), _DOCTOR, _QUORUM),
        "Before the run's deadline is over: to the compliance team.",
    ),
    Alert(
        "WeeklyReportMissing",
        "§2.2, §8.2",
        "warning",
        "P3",
        _missing(WEEKLY_REPORT),
        "The weekly report was not made for 8 days.",
        "The reports of §2.2 are overdue, or nobody noted that they were made: operations, reserve attestation, "
        "compliance status.",
        (
            ("attest audit-report --period $PERIOD --out report.pdf", "the reserve attestation report of a period"),
            (
                "attest monitor --once --json",
                "the numbers of the other two: vaults, supply, ratios, bridge, violations",
            ),
            ("attest tasks done weekly-report", "notes that all three were made, and ends the alert"),
        ),
        "To the team lead when it was missed twice.",
    ),
    Alert(
        "MonthlyReviewMissing",
        "§3, §8.3",
        "warning",
        "P3",
        _missing(MONTHLY_REVIEW),
        "The monthly review was not done for 32 days.",
        "Roles, multi-signature wallets, compliance and performance are to be reviewed (§3), or nobody noted that they "
        "were.",
        (_MEMBERS, _REVOKED, ("attest tasks done monthly-review", "notes that it was done, and ends the alert")),
        "To the team lead when it was missed twice.",
    ),
)

#: By the groups of the rules file.
GROUPS: Mapping[str, tuple[Alert, ...]] = {
    "reserve": _RESERVE,
    "vault": _VAULT,
    "bridge": _BRIDGE,
    "sizing": _SIZING,
    "compliance": _COMPLIANCE,
    "network": _NETWORK,
    "self": _SELF,
}
ALERTS: Mapping[str, Alert] = {alert.name: alert for group in GROUPS.values() for alert in group}

#: What a class means and whom it calls (both runbooks' escalation paths).
INCIDENTS: Mapping[Incident, str] = {
    "P0": "Critical. At once: the on-call engineer calls the team lead and the engineering manager; the security team "
    "for a "
    "compromise (and the CTO), the compliance team for a shortfall or a violation. Status page and stakeholders.",
    "P1": "High. Within 15 minutes: the on-call engineer, who tells the team lead.",
    "P2": "Medium. Within the working day: the operations team.",
    "P3": "Low. With the daily check: the operations team.",
    "none": "No incident.",
}
