"""Every metric that the monitor exposes: its name, kind, help and labels. Amounts are base units of the token named,
times are Unix seconds, ratios are shares (1 is 100 %)."""

from __future__ import annotations

from attest.monitor.exposition import Metric, MetricKind

CATALOGUE: list[Metric] = []


def _metric(name: str, kind: MetricKind, text: str, *labels: str) -> Metric:
    CATALOGUE.append(Metric(f"attest_{name}", kind, text, labels))
    return CATALOGUE[-1]


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return _metric(name, "gauge", text, *labels)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return _metric(name, "counter", text, *labels)


# Tokens and their reserve oracle.
RESERVE = _gauge("token_reserve_units", "Verified reserve by the oracle's consensus; none without a quorum.", "token")
SUPPLY = _gauge("token_supply_units", "Supply over all deployments.", "token")
SURPLUS = _gauge("token_reserve_surplus_units", "Reserve less supply, subtracted exactly.", "token")
SUFFICIENT = _gauge("token_reserve_sufficient", "1 if the token itself says isReserveSufficient().", "token")
MULTIPLIER_OK = _gauge("token_money_multiplier_ok", "1 unless the supply exceeds the reserve, exactly.", "token")
QUORUM_MET = _gauge("reserve_oracle_quorum_met", "1 if enough reports on the token stand.", "token")
STALE_REPORTS = _gauge("reserve_oracle_stale_reports", "Reports on the token that are too old to count.", "token")
LAST_REPORT = _gauge(
    "reserve_oracle_reporter_last_report_timestamp_seconds",
    "Time of a reporter's last report on the token; 0 if there is none.",
    "token",
    "reporter",
)
MINTS = _counter("token_mints_total", "Mints of the token.", "token")
BURNS = _counter("token_burns_total", "Burns of the token.", "token")

# Vaults.
VAULTS = _gauge("vaults", "Vaults that were looked at.")
HEALTH_MIN = _gauge("vault_health_ratio_min", "Lowest collateral over debt of all vaults; +Inf if none has debt.")
HEALTH_WORST = _gauge("vault_health_ratio_worst", "The lowest health ratios; rank 1 is the lowest of all.", "rank")
DEBT = _gauge("vault_debt_units", "Debt of all vaults.", "currency")
DEBT_CEILING = _gauge("vault_debt_ceiling_units", "How much all vaults may borrow.", "currency")
COLLATERAL = _gauge("vault_collateral_units", "Collateral in all vaults.", "asset")
LIQUIDATIONS = _counter("vault_liquidations_total", "Liquidations of vaults.")
PRICE_UPDATED = _gauge("price_oracle_updated_timestamp_seconds", "Time of the last price of gold.", "currency")
PRICE_FROZEN = _gauge("price_oracle_frozen", "1 while the price oracle is frozen.", "currency")

# Bridge.
TRANSFERS = _counter("bridge_transfers_total", "Transfers that came into a status.", "status")
SETTLEMENT = Metric(
    "attest_bridge_settlement_duration_seconds", "histogram", "From a transfer's initiation to its settlement."
)
CATALOGUE.append(SETTLEMENT)
OLDEST_PENDING = _gauge(
    "bridge_oldest_pending_timestamp_seconds",
    "When the oldest transfer began that is neither settled nor refunded; none if all are.",
)
VERIFICATIONS = _counter("bridge_reserve_verifications_total", "Reserve verifications by the bridge.", "sufficient")
CHECKS = _counter("bridge_compliance_checks_total", "Checks by the compliance guard.", "result")
BRIDGE_RESERVE = _gauge("bridge_reserve_units", "What the bridge can pay out.", "token")
PEAK_OUTFLOW = _gauge(
    "bridge_peak_outflow_units_per_second", "Largest outflow of a rolling hour or day in the time looked back.", "token"
)
LATENCY = _gauge("bridge_latency_seconds", "What a transfer takes to settle, in the time looked back.", "token")
SAFETY = _gauge("bridge_safety_factor", "Safety factor of the bridge's buffer, as configured.", "token")
ENDED = _gauge("bridge_ended_transfers", "Transfers that ended in the last hour or day.", "window", "outcome")
PARITY = _gauge("parity_price_deviation_ratio", "Difference of two chains' prices over the lower.", "pair")
PARITY_THRESHOLD = _gauge("parity_threshold_ratio", "Deviation from which parity counts as broken.", "pair")

# Stabilization.
STABILIZATION_RESERVE = _gauge("stabilization_reserve_units", "What the stabilizer holds of its currency.")
STABILIZATION_PEAK = _gauge("stabilization_peak_outflow_units_per_second", "Largest outflow of a rolling minute.")
STABILIZATION_WINDOW = _gauge("stabilization_window_seconds", "Time for which the reserve has to last, as configured.")
STABILIZATION_SAFETY = _gauge("stabilization_safety_factor", "Safety factor of that reserve, as configured.")
TRADE_SIZE = _gauge("stabilizer_trade_size_units", "Size of the next trade by the dynamic rule; 0 up to the threshold.")
TRADES = _gauge("stabilizer_trades_per_second", "How often the stabilizer may trade: its block delay and block times.")
IMBALANCE = _gauge(
    "stabilizer_imbalance_units_per_second", "The imbalance to offset, as configured; 0 while nothing has to be traded."
)
BLOCK_VOLUME = _gauge(
    "stabilizer_block_volume_units", "Largest volume of one block: the last traded in, or of the last hour."
)
BLOCK_CAP = _gauge("stabilizer_block_cap_units", "Most that it may trade in a block.")
SUSTAINED = _gauge("twap_deviation_sustained_blocks", "Observed blocks in a row beyond the threshold.")
REQUIRED = _gauge("twap_deviation_required_blocks", "Blocks from which the deviation counts as sustained.")
RECOVERY = _gauge("flash_drain_recovery_blocks", "Most blocks that one deviation lasted, of the last hour.")

# Compliance.
VIOLATIONS = _counter("compliance_violations_total", "Violations that the compliance guard logged.", "kind")

# Access control.
ROLE_DRIFT = _gauge(
    "role_drift_members",
    "Members of a role who should not be, and those who should be and are not.",
    "contract",
    "role",
)
ROLE_DRIFT_INFO = _gauge(
    "role_drift_info", "1 for the first of them: who, and whether unexpected or missing.",
    "contract", "role", "account", "drift",
)  # fmt: skip
ROLE_CHANGES = _counter("role_changes_total", "Grants and revocations of a role.", "contract", "role", "change")
ROLE_USED = _gauge(
    "role_last_used_timestamp_seconds", "When a role was last seen to be used, or granted since.", "contract", "role"
)
MULTISIG_THRESHOLD = _gauge("multisig_threshold", "Signatures that a wallet needs.", "multisig")
MULTISIG_EXPECTED = _gauge("multisig_expected_threshold", "Signatures that it should need, as configured.", "multisig")

RECENT = _gauge("events_last_day", "Events of the last day that call for somebody; of checks, the failed.", "kind")

# Network.
HEAD_TIME = _gauge("chain_head_timestamp_seconds", "Time of the newest block that a read quorum has reached.", "chain")
HEAD_NUMBER = _gauge("chain_head_block_number", "Number of the newest block that a read quorum has reached.", "chain")
INDEXED = _gauge("chain_indexed_block_number", "Last block whose events are counted.", "chain")
REORGS = _counter("chain_reorgs_total", "Reorganisations that reached into counted blocks.", "chain")
REORG_DEPTH = _gauge("chain_reorg_deepest_blocks", "Most counted blocks that one reorganisation replaced.", "chain")
UNREADABLE = _counter("chain_unreadable_logs_total", "Logs under a followed event's name that do not read so.", "chain")
VALIDATOR = _gauge(
    "chain_validator_last_block_timestamp_seconds",
    "Time of the last block that a validator was seen to propose or seal.",
    "chain",
    "validator",
)
RPC_UP = _gauge("rpc_up", "1 if the endpoint answers, with the right chain id.", "chain", "endpoint")
RPC_HEAD = _gauge("rpc_head_block_number", "The endpoint's own newest block.", "chain", "endpoint")
RPC_REQUESTS = _counter("rpc_requests_total", "HTTP requests to the endpoint.", "chain", "endpoint", "outcome")
RPC_DURATION = Metric(
    "attest_rpc_request_duration_seconds", "histogram", "Time of HTTP requests.", ("chain", "endpoint")
)
CATALOGUE.append(RPC_DURATION)
RPC_LAG_LIMIT = _gauge(
    "rpc_lag_limit_blocks", "Blocks by which an endpoint may lag, as configured.", "chain", "endpoint"
)
DISAGREEMENTS = _gauge("rpc_state_disagreements", "Questions of the last cycle that got different answers.", "chain")
PUBLISH_FAILURES = _counter("oracle_publish_failures_total", "Times that a weekly run was refused.")
BREAKER = _gauge("oracle_circuit_breaker_open", "1 while the due period's run is refused and waits for a person.")

# Self.
COLLECTED = _gauge(
    "collector_last_success_timestamp_seconds", "When a part of the watch last succeeded; 0 if never.", "collector"
)
COLLECTOR_ERRORS = _counter("collector_errors_total", "How often a part of the watch failed.", "collector")
JOB = _gauge("job_last_success_timestamp_seconds", "When a task of the runbook was last done; 0 if never.", "task")
REHEARSAL = _gauge("rehearsal", "1 while schedule.clock pins the time of the runs: then no task is late.")
CLOCK_SKEW = _gauge("clock_skew_seconds", "This machine's clock less the newest block's time.", "chain")
CYCLE_SECONDS = _gauge("cycle_duration_seconds", "How long the last cycle took.")
CYCLE_REQUESTS = _gauge("cycle_requests", "HTTP requests of the last cycle.")
NOTIFICATIONS = _counter("notifications_total", "Messages to a destination of --notify.", "destination", "outcome")


def price_there(pair: str) -> str:
    """How the price oracle on the other chain of a ``[monitor.parity]`` is called among the others; no name has a
    colon."""
    return f"parity:{pair}"
