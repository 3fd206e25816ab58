"""What is on each dashboard: one for each section of the operations runbook (§), the symptoms of the incident runbook,
and the watch itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attest.monitor.alerts import ALERTS, JOB
from deploy.grafana.panels import (
    AMOUNT,
    BASE_UNITS,
    COUNT,
    GREEN,
    NEUTRAL,
    ORANGE,
    PLAIN,
    RATIO,
    RED,
    SECONDS,
    SILENT,
    STATES,
    Panel,
    Query,
    Words,
    beyond,
    colour,
    firing,
    limits_of,
    listing,
    number,
    plot,
    steps,
    timeline,
    undefined,
)
from deploy.grafana.queries import collected_age, condition, measured, share, token_states, told, within

MET: Words = {"1": ("met", GREEN), "0": ("NOT met", RED), **SILENT}
SAYS: Words = {"1": ("sufficient", GREEN), "0": ("SHORT", RED), **SILENT}
MULTIPLIER: Words = {"1": ("at most 1", GREEN), "0": ("ABOVE 1", RED), **SILENT}
FROZEN: Words = {"0": ("in use", GREEN), "1": ("FROZEN", RED), **SILENT}
ANSWERS: Words = {"1": ("answers", GREEN), "0": ("DOWN", RED), **SILENT}
SCRAPED: Words = {"1": ("scraped", GREEN), "0": ("NOT SCRAPED", RED)}
REHEARSAL: Words = {"0": ("no", GREEN), "1": ("a rehearsal", ORANGE), **SILENT}
BREAKER: Words = {"0": ("closed", GREEN), "1": ("OPEN", RED), **SILENT}

#: Nobody has so much collateral: the ratio of vaults without debt.
NO_DEBT = beyond(1e6, "no debt", GREEN)
NEVER_RECORDED = "never recorded, or no exporter tells it"
NONE_ENDED = undefined("no transfer ended")
#: Anything at all is worth a look.
ANY_IS_NOTED = steps(GREEN, (1, ORANGE))
#: Below 1 it is a shortfall, which its alert sees in the exact difference.
RATIOS = [*steps(RED, (1, ORANGE)), *limits_of("ReserveRatioLow", "ReserveRatioBelow110")[1:]]
PER_SECOND = f"{BASE_UNITS}, per second"


@dataclass(frozen=True)
class Row:
    """Panels under a heading, in lines of 24 columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Page:
    """One dashboard; ``name`` is its file's, and after ``attest-`` its uid. ``collectors`` are the parts of the watch
    that its numbers come from (a regular expression)."""

    name: str
    title: str
    text: str
    collectors: str
    rows: tuple[Row, ...]

    @property
    def uid(self) -> str:
        return f"attest-{self.name}"

    @property
    def whole(self) -> tuple[Row, ...]:
        """Its rows, below what stands at the head of every page: what is wrong, and how old all of it is."""
        explained = {alert for row in self.rows for panel in row.panels for alert in panel.alerts}
        head = tuple(_freshness(self.collectors))
        explained |= {alert for panel in head for alert in panel.alerts}
        shown = () if self.name == OVERVIEW else sorted(explained, key=list(ALERTS).index)
        return (Row("Now", (firing(shown), *head)), *self.rows)


OVERVIEW = "overview"


def _freshness(collectors: str) -> Iterator[Panel]:
    yield number(
        "How old are these numbers?",
        "Time since the part of the watch that is furthest behind last succeeded. It also grows when the exporter is "
        "dead: numbers below are of then.",
        Query(f"max({collected_age(collectors)})", "the oldest part"),
        unit=SECONDS,
        alerts=["CollectorStale"],
        page="attest-watch",
    )
    yield number(
        "Does Prometheus reach the exporter?",
        "What is not scraped has no new numbers.",
        Query(f'min(up{{job="{JOB}",instance=~"$instance"}})', "exporter"),
        unit=PLAIN,
        alerts=["TargetDown"],
        words=SCRAPED,
        page="attest-watch",
    )


# -- what several pages show -----------------------------------------------------------------------------------------


def _states(page: str | None = None, span: int = 12) -> Panel:
    return number(
        "Is the money there?",
        "Per token, worst first. Sufficient: the verified reserve covers the supply. Short: it does not, by at least "
        "one base unit (it stays so while nobody tells otherwise, for a day). Withheld: the oracle has no reserve to "
        "go by, for want of a quorum. Stale: the number is too old, or no longer told.",
        Query(f"sort_desc({token_states()})", "{{token}}"),
        unit=PLAIN,
        alerts=["ReserveShortfall", "OracleQuorumNotMet"],
        words=STATES,
        page=page,
        span=span,
    )


def _success_rate_now(page: str | None = None) -> Panel:
    return number(
        "How many transfers arrive?",
        "Of the transfers that ended within the last hour, the share that settled. The alerts want at least 20 of "
        "them.",
        Query(
            share("outcome", "settled", lambda only: f'attest_bridge_ended_transfers{{window="hour",{only}}}'),
            "settled",
        ),
        unit=RATIO,
        alerts=["BridgeSuccessRateLow", "BridgeSuccessRateCritical"],
        told=[NONE_ENDED],
        page=page,
    )


def _pending(page: str | None = None) -> Panel:
    return number(
        "For how long has the oldest transfer waited?",
        "Transfers that are neither settled nor refunded.",
        Query(measured("BridgeTransferPending"), "waiting"),
        unit=SECONDS,
        alerts=["BridgeTransferPending"],
        missing="none waits, or no exporter tells it",
        page=page,
    )


def _health(page: str | None = None) -> Panel:
    return number(
        "How healthy is the worst vault?",
        "The lowest collateral over debt of all vaults. An average would hide the one that matters.",
        Query(measured("VaultHealthLow"), "lowest ratio"),
        unit=RATIO,
        alerts=["VaultHealthLow", "VaultHealthCritical"],
        told=[NO_DEBT],
        page=page,
    )


def _ceiling(page: str | None = None) -> Panel:
    return number(
        "How much of the debt ceiling is used?",
        "Debt of all vaults over what they may borrow, per currency.",
        Query(measured("DebtCeilingHigh"), "{{currency}}"),
        unit=RATIO,
        alerts=["DebtCeilingHigh"],
        page=page,
    )


def _rises(title: str, text: str, counter: str, legend: str, alert: str, span: int = 12) -> Panel:
    """How often something happened that one alert tells of at once."""
    return plot(
        title,
        f"{text} In the hour before each moment.",
        Query(within(counter), legend),
        unit=COUNT,
        axis="events of the last hour",
        alerts=[alert],
        limits=steps(GREEN, (1, colour(alert))),
        span=span,
    )


# -- overview --------------------------------------------------------------------------------------------------------

_OVERVIEW = Page(
    OVERVIEW,
    "Attest: overview (§7.1, §8.1)",
    "The daily checklist's four questions, worst first; each leads to the page with more.",
    ".*",
    (
        Row(
            "1. Reserve ratios and quorum",
            (
                _states("attest-tokens"),
                number(
                    "How far is the reserve from the supply?",
                    "Verified reserve over supply, lowest first. None without a quorum.",
                    Query(f"sort({measured('ReserveRatioLow')})", "{{token}}"),
                    unit=RATIO,
                    alerts=["ReserveRatioLow", "ReserveRatioBelow110"],
                    limits=RATIOS,
                    page="attest-tokens",
                ),
                number(
                    "Is the oracle's quorum met?",
                    "Whether enough reporters have a report that counts.",
                    Query(f"sort({told('attest_reserve_oracle_quorum_met')})", "{{token}}"),
                    unit=PLAIN,
                    alerts=["OracleQuorumNotMet"],
                    words=MET,
                    page="attest-tokens",
                ),
            ),
        ),
        Row(
            "2. Vaults",
            (
                _health("attest-vaults"),
                _ceiling("attest-vaults"),
                number(
                    "How old is the price of gold?",
                    "What vaults are valued by.",
                    Query(measured("PriceOracleStale"), "{{currency}}"),
                    unit=SECONDS,
                    alerts=["PriceOracleStale"],
                    page="attest-vaults",
                ),
                number(
                    "Is a price frozen?",
                    "A guardian froze the price oracle.",
                    Query(f"sort_desc({told('attest_price_oracle_frozen')})", "{{currency}}"),
                    unit=PLAIN,
                    alerts=["PriceOracleFrozen"],
                    words=FROZEN,
                    page="attest-vaults",
                ),
            ),
        ),
        Row(
            "3. Bridge",
            (
                _success_rate_now("attest-bridge"),
                _pending("attest-bridge"),
                number(
                    "What called for somebody in the last day?",
                    "Liquidations, violations, and checks and verifications that failed.",
                    Query("sort_desc(attest_events_last_day)", "{{kind}}"),
                    unit=COUNT,
                    limits=ANY_IS_NOTED,
                    page="attest-access",
                    span=12,
                ),
            ),
        ),
        Row(
            "4. Errors, and what is due",
            (
                number(
                    "How old is the newest block?",
                    "Of any endpoint.",
                    Query(measured("ChainHalted"), "chain {{chain}}"),
                    unit=SECONDS,
                    alerts=["ChainHalted"],
                    page="attest-network",
                ),
                number(
                    "Which endpoints answer?",
                    "With the right chain id.",
                    Query(f"sort({told('attest_rpc_up')})", "{{endpoint}}"),
                    unit=PLAIN,
                    alerts=["RpcEndpointDown"],
                    words=ANSWERS,
                    page="attest-network",
                ),
                number(
                    "How often did parts of the watch fail in the last day?",
                    "The exporter's log says why.",
                    Query(
                        "sort_desc(sum by (collector) (increase(attest_collector_errors_total[1d])))", "{{collector}}"
                    ),
                    unit=COUNT,
                    limits=ANY_IS_NOTED,
                    page="attest-watch",
                ),
                number(
                    "When was the newest attestation collected?",
                    "Time since the balances of the newest published attestation were collected.",
                    Query(measured("WeeklyAttestationMissing"), "ago"),
                    unit=SECONDS,
                    alerts=["WeeklyAttestationMissing"],
                    missing=NEVER_RECORDED,
                    page="attest-watch",
                ),
            ),
        ),
    ),
)

# -- 1.1 -------------------------------------------------------------------------------------------------------------

_VAULTS = Page(
    "vaults",
    "Attest: vaults (§1.1)",
    "Health ratios, debt, collateral, and the price of gold that they are valued by.",
    "vaults|price-oracle-.*|events",
    (
        Row(
            "Health",
            (
                _health(),
                number(
                    "How many vaults are there?",
                    "All that the ledger lists, or that are configured.",
                    Query("attest_vaults", "vaults"),
                    unit=COUNT,
                ),
                plot(
                    "How healthy are the worst vaults?",
                    "The lowest health ratios; rank 1 is the lowest of all. A vault's address is no label.",
                    Query("attest_vault_health_ratio_worst", "rank {{rank}}"),
                    unit=RATIO,
                    axis="collateral over debt",
                    alerts=["VaultHealthLow", "VaultHealthCritical"],
                    floor=None,
                ),
            ),
        ),
        Row(
            "Debt and collateral",
            (
                plot(
                    "How much is lent, and how much may be?",
                    "Debt of all vaults and its ceiling, per currency.",
                    Query("attest_vault_debt_units", "{{currency}}: debt"),
                    Query("attest_vault_debt_ceiling_units", "{{currency}}: ceiling"),
                    unit=AMOUNT,
                    axis="base units of the currency",
                    alerts=["DebtCeilingHigh"],
                    limits=steps(NEUTRAL),
                ),
                plot(
                    "How much of the debt ceiling is used?",
                    "Debt over ceiling, per currency.",
                    Query(measured("DebtCeilingHigh"), "{{currency}}"),
                    unit=RATIO,
                    axis="of the ceiling",
                    alerts=["DebtCeilingHigh"],
                ),
                plot(
                    "How much collateral is there?",
                    "In all vaults, per asset.",
                    Query("attest_vault_collateral_units", "{{asset}}"),
                    unit=AMOUNT,
                    axis="base units of the asset",
                ),
                _rises(
                    "Was a vault liquidated?",
                    "Liquidations that were executed.",
                    "attest_vault_liquidations_total",
                    "liquidations",
                    "VaultLiquidation",
                ),
            ),
        ),
        Row(
            "Price of gold",
            (
                plot(
                    "How old is the price?",
                    "Time since the oracle was last updated, per currency. Beyond an hour health ratios are not to be "
                    "believed.",
                    Query(measured("PriceOracleStale"), "{{currency}}"),
                    unit=SECONDS,
                    axis="since the last price",
                    alerts=["PriceOracleStale"],
                ),
                timeline(
                    "Is the price frozen?",
                    "By a guardian.",
                    Query(told("attest_price_oracle_frozen"), "{{currency}}"),
                    words=FROZEN,
                    alerts=["PriceOracleFrozen"],
                    height=9,
                ),
            ),
        ),
    ),
)

# -- 1.2 -------------------------------------------------------------------------------------------------------------

_TOKENS = Page(
    "tokens",
    "Attest: tokens and reserve oracle (§1.2)",
    "Whether each token's reserve covers its supply, and whether the oracle that says so is to be believed.",
    "token-.*",
    (
        Row(
            "State",
            (
                _states(),
                timeline(
                    "What was the state of each token?",
                    "Sufficient, short, withheld or stale, as above.",
                    Query(token_states(), "{{token}}"),
                    words=STATES,
                    alerts=["ReserveShortfall", "OracleQuorumNotMet"],
                    height=5,
                ),
            ),
        ),
        Row(
            "Reserve and supply",
            (
                plot(
                    "Does the reserve of $token cover its supply?",
                    "Verified reserve by the oracle's consensus, and supply over all deployments. The gap between them "
                    "is the surplus. Without a quorum there is no reserve to draw.",
                    Query("attest_token_reserve_units", "{{token}}: reserve"),
                    Query("attest_token_supply_units", "{{token}}: supply"),
                    unit=AMOUNT,
                    axis=BASE_UNITS,
                    alerts=["ReserveShortfall"],
                    limits=steps(NEUTRAL),
                    repeat="token",
                    span=24,
                ),
                plot(
                    "What is the reserve ratio?",
                    "Verified reserve over supply.",
                    Query(measured("ReserveRatioLow"), "{{token}}"),
                    unit=RATIO,
                    axis="reserve over supply",
                    alerts=["ReserveRatioLow", "ReserveRatioBelow110"],
                    limits=RATIOS,
                    floor=None,
                ),
                plot(
                    "By how much does the reserve exceed the supply?",
                    "Reserve less supply, subtracted as integers before it is drawn. Below zero it is a shortfall.",
                    Query(measured("ReserveShortfall"), "{{token}}"),
                    unit=AMOUNT,
                    axis=BASE_UNITS,
                    alerts=["ReserveShortfall"],
                    floor=None,
                ),
                timeline(
                    "What does the token's contract say?",
                    "isReserveSufficient(). It also says no when the oracle lost its quorum.",
                    Query(told("attest_token_reserve_sufficient"), "{{token}}"),
                    words=SAYS,
                    alerts=["OnchainReserveInsufficient"],
                ),
                timeline(
                    "Is the money multiplier at most 1?",
                    "m = supply / reserve, compared as integers (§3.1, §4.5).",
                    Query(told("attest_token_money_multiplier_ok"), "{{token}}"),
                    words=MULTIPLIER,
                    alerts=["MoneyMultiplierViolation"],
                ),
                plot(
                    "How often is it minted and burned?",
                    "Mint and burn events in the hour before each moment.",
                    Query(within("attest_token_mints_total"), "{{token}}: mints"),
                    Query(within("attest_token_burns_total"), "{{token}}: burns"),
                    unit=COUNT,
                    axis="events of the last hour",
                    span=24,
                ),
            ),
        ),
        Row(
            "Reserve oracle",
            (
                timeline(
                    "Is the quorum met?",
                    "Whether enough reporters have a report that counts.",
                    Query(told("attest_reserve_oracle_quorum_met"), "{{token}}"),
                    words=MET,
                    alerts=["OracleQuorumNotMet"],
                    height=9,
                ),
                plot(
                    "How many reports are stale?",
                    "Reports that are too old to count, and should be removed.",
                    Query("attest_reserve_oracle_stale_reports", "{{token}}"),
                    unit=COUNT,
                    axis="reports",
                    alerts=["ReserveReportStale"],
                ),
                plot(
                    "How old is each reporter's last report?",
                    "A reporter that never reported is as old as the clock. Where reports are weekly, the alert's hour "
                    "is not yours.",
                    Query(measured("SingleOracleFailure"), "{{token}}: {{reporter}}"),
                    unit=SECONDS,
                    axis="since the last report",
                    alerts=["SingleOracleFailure"],
                    span=24,
                ),
            ),
        ),
    ),
)

# -- 1.3 -------------------------------------------------------------------------------------------------------------

_SETTLEMENTS = "rate(attest_bridge_settlement_duration_seconds_{}[1h])"


def _settled_within(share: str) -> str:
    return f"histogram_quantile({share}, {_SETTLEMENTS.format('bucket')})"


_BRIDGE = Page(
    "bridge",
    "Attest: bridge (§1.3)",
    "Whether transfers arrive, how long they take, and what was refused. Its reserve: §1.4.",
    "bridge-.*|events",
    (
        Row(
            "Transfers",
            (
                _success_rate_now(),
                _pending(),
                number(
                    "How did the last hour's and day's transfers end?",
                    "By outcome.",
                    Query("attest_bridge_ended_transfers", "{{window}}: {{outcome}}"),
                    unit=COUNT,
                    span=12,
                ),
                plot(
                    "How many transfers arrive?",
                    "Of the transfers that ended in the hour before each moment, the share that settled.",
                    Query(measured("BridgeSuccessRateLow"), "settled"),
                    unit=RATIO,
                    axis="settled, of all that ended",
                    alerts=["BridgeSuccessRateLow", "BridgeSuccessRateCritical"],
                    floor=None,
                ),
                plot(
                    "How many transfers come into each status?",
                    "In the hour before each moment.",
                    Query(within("attest_bridge_transfers_total"), "{{status}}"),
                    unit=COUNT,
                    axis="transfers of the last hour",
                ),
            ),
        ),
        Row(
            "Settlement time",
            (
                plot(
                    "How long does a transfer take?",
                    "Of those that settled in the hour before: the mean, half of them, and 95 of 100, as exact as the "
                    "histogram's buckets. Latency is what the buffer is reckoned with, of all the time looked back.",
                    Query(measured("BridgeSettlementSlow"), "95 %"),
                    Query(_settled_within("0.5"), "half"),
                    Query(f"{_SETTLEMENTS.format('sum')} / {_SETTLEMENTS.format('count')}", "mean"),
                    Query("attest_bridge_latency_seconds", "{{token}}: latency"),
                    unit=SECONDS,
                    axis="from initiation to settlement",
                    alerts=["BridgeSettlementSlow"],
                ),
                plot(
                    "For how long has the oldest transfer waited?",
                    "Transfers that are neither settled nor refunded.",
                    Query(measured("BridgeTransferPending"), "waiting"),
                    unit=SECONDS,
                    axis="since its initiation",
                    alerts=["BridgeTransferPending"],
                ),
            ),
        ),
        Row(
            "Verifications and checks",
            (
                plot(
                    "How many checks pass?",
                    "Reserve verifications that were sufficient, and compliance checks that passed, of all in the hour "
                    "before.",
                    Query(
                        share(
                            "sufficient",
                            "true",
                            lambda only: within(f"attest_bridge_reserve_verifications_total{{{only}}}"),
                        ),
                        "reserve",
                    ),
                    Query(
                        share(
                            "result", "passed", lambda only: within(f"attest_bridge_compliance_checks_total{{{only}}}")
                        ),
                        "compliance",
                    ),
                    unit=RATIO,
                    axis="of all checks",
                    alerts=["BridgeReserveVerificationFailed", "BridgeComplianceViolation"],
                    limits=steps(NEUTRAL),
                ),
                _rises(
                    "Did a reserve verification fail?",
                    "ReserveVerified with sufficient = false.",
                    'attest_bridge_reserve_verifications_total{sufficient="false"}',
                    "not sufficient",
                    "BridgeReserveVerificationFailed",
                    span=6,
                ),
                _rises(
                    "Did a compliance check fail?",
                    "Transfers that the guard refused.",
                    'attest_bridge_compliance_checks_total{result="failed"}',
                    "refused",
                    "BridgeComplianceViolation",
                    span=6,
                ),
            ),
        ),
    ),
)

# -- 1.4 -------------------------------------------------------------------------------------------------------------

_SIZING = Page(
    "sizing",
    "Attest: reserves and stabilization (§1.4)",
    "Whether the reserves of bridge and stabilizer last as long as they must, and whether the stabilizer keeps up.",
    "bridge-.*|stabilizer|parity-.*|events",
    (
        Row(
            "Bridge buffer: reserve ≥ peak outflow × latency × safety",
            (
                plot(
                    "Does the bridge's reserve of $token last through a settlement?",
                    "Minimum: peak outflow × latency; required: that times the safety factor. BridgeBufferBreachSoon "
                    "looks ahead by the last half hour's fall.",
                    Query("attest_bridge_reserve_units", "{{token}}: reserve"),
                    Query(condition("BridgeBufferLow").right, "{{token}}: required"),
                    Query(condition("BridgeBufferBreachSoon").right, "{{token}}: minimum"),
                    unit=AMOUNT,
                    axis=BASE_UNITS,
                    alerts=["BridgeBufferLow", "BridgeBufferBreachSoon"],
                    repeat="token",
                    span=24,
                ),
                plot(
                    "What is the peak outflow?",
                    "The largest of a rolling hour or day in the time looked back.",
                    Query("attest_bridge_peak_outflow_units_per_second", "{{token}}"),
                    unit=AMOUNT,
                    axis=PER_SECOND,
                ),
                plot(
                    "What latency is reckoned with?",
                    "What a transfer takes to settle, in the time looked back.",
                    Query("attest_bridge_latency_seconds", "{{token}}"),
                    unit=SECONDS,
                    axis="to settle",
                    span=6,
                ),
                number(
                    "What is the safety factor?",
                    "As configured; the runbook recommends 1.5 to 2.",
                    Query("attest_bridge_safety_factor", "{{token}}"),
                    unit=PLAIN,
                ),
            ),
        ),
        Row(
            "Cross-chain parity",
            (
                plot(
                    "How far apart are the prices on the two chains?",
                    "|P138 − P651940| over the lower, and from where on it counts as broken.",
                    Query(measured("CrossChainParityBroken"), "{{pair}}"),
                    Query(condition("CrossChainParityBroken").right, "{{pair}}: limit"),
                    unit=RATIO,
                    axis="difference over the lower price",
                    alerts=["CrossChainParityBroken"],
                    span=24,
                ),
            ),
        ),
        Row(
            "Stabilization reserve: reserve ≥ P × T × safety",
            (
                plot(
                    "Does the stabilizer's reserve last through the window?",
                    "Minimum: the largest outflow of a rolling minute, for the window; required: that times the safety "
                    "factor (3 to 5 is recommended).",
                    Query(measured("ReserveBelowPxT"), "reserve"),
                    Query(condition("ReserveBelowSafetyPxT").right, "required"),
                    Query(condition("ReserveBelowPxT").right, "minimum"),
                    unit=AMOUNT,
                    axis="base units of its currency",
                    alerts=["ReserveBelowPxT", "ReserveBelowSafetyPxT"],
                ),
                number(
                    "What is the largest outflow, P?",
                    "Of a rolling minute, in base units of its currency per second.",
                    Query("attest_stabilization_peak_outflow_units_per_second", "P, per second"),
                    unit=AMOUNT,
                    span=4,
                ),
                number(
                    "How long is the window, T?",
                    "As configured.",
                    Query("attest_stabilization_window_seconds", "T"),
                    unit=SECONDS,
                    span=4,
                ),
                number(
                    "What is the safety factor?",
                    "As configured.",
                    Query("attest_stabilization_safety_factor", "safety"),
                    unit=PLAIN,
                    span=4,
                ),
            ),
        ),
        Row(
            "Cantilever: s × f ≥ Δ",
            (
                plot(
                    "Does the stabilizer trade enough?",
                    "What it may trade by its rule (size × frequency), and the imbalance to offset, 0 while there is "
                    "nothing to trade.",
                    Query(measured("CantileverThroughputLow"), "s × f"),
                    Query(condition("CantileverThroughputLow").right, "Δ, required"),
                    unit=AMOUNT,
                    axis="base units of its currency, per second",
                    alerts=["CantileverThroughputLow"],
                ),
                plot(
                    "How large is the next trade, s?",
                    "By the dynamic rule; 0 up to the threshold.",
                    Query("attest_stabilizer_trade_size_units", "s"),
                    unit=AMOUNT,
                    axis="base units of its currency",
                    span=6,
                ),
                plot(
                    "How often may it trade, f?",
                    "By its block delay and the chain's block time.",
                    Query("attest_stabilizer_trades_per_second", "f"),
                    unit="cps",
                    axis="trades per second",
                    span=6,
                ),
            ),
        ),
        Row(
            "Containment of flash loans",
            (
                plot(
                    "For how many blocks has the price been away from its average?",
                    "A spike in a single block is ignored; from the required blocks on the deviation is sustained.",
                    Query(measured("TwapDeviationSustained"), "sustained"),
                    Query(condition("TwapDeviationSustained").right, "required"),
                    unit=COUNT,
                    axis="blocks",
                    alerts=["TwapDeviationSustained"],
                    span=8,
                ),
                plot(
                    "How much did it trade in its last block?",
                    "And the cap, which the contract enforces.",
                    Query(measured("StabilizerBlockCapExceeded"), "volume"),
                    Query(condition("StabilizerBlockCapExceeded").right, "cap"),
                    unit=AMOUNT,
                    axis="base units of its currency",
                    alerts=["StabilizerBlockCapExceeded"],
                    span=8,
                ),
                plot(
                    "How long did a deviation last?",
                    "The most blocks of the last hour; the target is fewer than 3.",
                    Query(measured("FlashDrainRecoverySlow"), "blocks"),
                    unit=COUNT,
                    axis="blocks",
                    alerts=["FlashDrainRecoverySlow"],
                    span=8,
                ),
            ),
        ),
    ),
)

# -- 3.1 -------------------------------------------------------------------------------------------------------------

_ACCESS = Page(
    "access",
    "Attest: access control and compliance (§3.1)",
    "Who may do what, whether somebody changed it, and what the compliance guard refused.",
    "roles-.*|multisig-.*|events",
    (
        Row(
            "Access control",
            (
                number(
                    "Who holds a role that should not?",
                    "Members of roles who are not those that the configuration names, or are missing.",
                    Query("sort_desc(attest_role_drift_members)", "{{contract}} {{role}}"),
                    unit=COUNT,
                    alerts=["RoleDrift"],
                    span=12,
                ),
                listing(
                    "Who is it?",
                    "The first of them, and whether they are unexpected or missing.",
                    Query(
                        "max by (contract, role, account, drift) (attest_role_drift_info)",
                        "{{contract}} {{role}} {{account}} {{drift}}",
                    ),
                    {"contract": "contract", "role": "role", "account": "account", "drift": "why"},
                    missing="nobody, or roles are not watched",
                ),
                number(
                    "How many signatures do wallets need?",
                    "Each multi-signature wallet's threshold, and the one that was agreed.",
                    Query("attest_multisig_threshold", "{{multisig}}: now"),
                    Query("attest_multisig_expected_threshold", "{{multisig}}: expected"),
                    unit=COUNT,
                    alerts=["MultisigWeakened"],
                    span=24,
                ),
                _rises(
                    "Was a role granted or revoked?",
                    "Every change has somebody who ordered it.",
                    "attest_role_changes_total",
                    "{{contract}} {{role}}: {{change}}",
                    "RoleChanged",
                ),
                plot(
                    "Which roles are not used?",
                    "Time since each role was last used.",
                    Query(measured("RoleUnused"), "{{contract}} {{role}}"),
                    unit=SECONDS,
                    axis="since the last use",
                    alerts=["RoleUnused"],
                ),
            ),
        ),
        Row(
            "Compliance",
            (
                _rises(
                    "Was there a violation?",
                    "Money multiplier above 1, conversions of GRU, codes that are not of ISO 4217.",
                    "attest_compliance_violations_total",
                    "{{kind}}",
                    "ComplianceViolation",
                ),
                plot(
                    "What did the guard check?",
                    "Checks in the hour before each moment, by result.",
                    Query(within("attest_bridge_compliance_checks_total"), "{{result}}"),
                    unit=COUNT,
                    axis="checks of the last hour",
                    alerts=["BridgeComplianceViolation"],
                    limits=steps(NEUTRAL),
                ),
                number(
                    "What called for somebody in the last day?",
                    "Liquidations, violations, and checks and verifications that failed.",
                    Query("sort_desc(attest_events_last_day)", "{{kind}}"),
                    unit=COUNT,
                    limits=ANY_IS_NOTED,
                    span=24,
                ),
            ),
        ),
    ),
)

# -- the incident runbook --------------------------------------------------------------------------------------------

_NETWORK = Page(
    "network",
    "Attest: network and RPC (incident runbook)",
    "Symptoms of the incident runbook: blocks, validators, endpoints, the oracle publisher, reorganisations.",
    "network-.*",
    (
        Row(
            "Network outage",
            (
                plot(
                    "How old is the newest block?",
                    "Of any endpoint.",
                    Query(measured("ChainHalted"), "chain {{chain}}"),
                    unit=SECONDS,
                    axis="since the newest block",
                    alerts=["ChainHalted"],
                ),
                plot(
                    "Which validators are silent?",
                    "Time since each was last seen to propose or seal a block (QBFT only).",
                    Query(measured("ValidatorNotProducing"), "{{validator}}"),
                    unit=SECONDS,
                    axis="since the last block",
                    alerts=["ValidatorNotProducing"],
                ),
                plot(
                    "How high is the chain?",
                    "The newest block of any endpoint, and the last whose events are counted.",
                    Query("attest_chain_head_block_number", "chain {{chain}}: newest"),
                    Query("attest_chain_indexed_block_number", "chain {{chain}}: counted"),
                    unit=COUNT,
                    axis="block number",
                    floor=None,
                ),
                plot(
                    "Is this machine's clock right?",
                    "The clock less the newest block's time; below zero, blocks are of the future.",
                    Query("attest_clock_skew_seconds", "chain {{chain}}"),
                    unit=SECONDS,
                    axis="clock less block",
                    alerts=["ClockSkew"],
                    floor=None,
                ),
            ),
        ),
        Row(
            "RPC endpoints",
            (
                timeline(
                    "Which endpoints answer?",
                    "With the right chain id.",
                    Query(told("attest_rpc_up"), "{{endpoint}}"),
                    words=ANSWERS,
                    alerts=["RpcEndpointDown"],
                    height=9,
                ),
                plot(
                    "How far are endpoints behind the newest block?",
                    "Each endpoint's own newest block, below that of any.",
                    Query(measured("RpcEndpointLagging"), "{{endpoint}}"),
                    Query(condition("RpcEndpointLagging").right, "{{endpoint}}: limit"),
                    unit=COUNT,
                    axis="blocks behind",
                    alerts=["RpcEndpointLagging"],
                ),
                plot(
                    "How long do requests take?",
                    "95 of 100 take less. Quantiles are as exact as the histogram's buckets.",
                    Query(measured("RpcLatencyHigh"), "{{endpoint}}"),
                    unit=SECONDS,
                    axis="of one request, 95 %",
                    alerts=["RpcLatencyHigh"],
                    span=8,
                ),
                plot(
                    "How many requests fail?",
                    "Of those of the last five minutes.",
                    Query(measured("RpcErrorRateHigh"), "{{endpoint}}"),
                    unit=RATIO,
                    axis="failed, of all requests",
                    alerts=["RpcErrorRateHigh"],
                    span=8,
                ),
                plot(
                    "How many requests are made?",
                    "By the watch, over five minutes.",
                    Query("rate(attest_rpc_requests_total[5m])", "{{endpoint}}: {{outcome}}"),
                    unit="reqps",
                    axis="requests per second",
                    span=8,
                ),
                plot(
                    "Do endpoints give different answers?",
                    "Questions of the last cycle that endpoints answered differently at the same block.",
                    Query(measured("RpcProvidersDisagree"), "chain {{chain}}"),
                    unit=COUNT,
                    axis="questions",
                    alerts=["RpcProvidersDisagree"],
                    span=8,
                ),
                _rises(
                    "Were blocks replaced that counted as final?",
                    "Reorganisations that reached into counted blocks.",
                    "attest_chain_reorgs_total",
                    "chain {{chain}}",
                    "DeepReorg",
                    span=8,
                ),
                plot(
                    "How deep was the deepest reorganisation?",
                    "Most counted blocks that one replaced, since the index began.",
                    Query("attest_chain_reorg_deepest_blocks", "chain {{chain}}"),
                    unit=COUNT,
                    axis="blocks",
                    span=8,
                ),
            ),
        ),
        Row(
            "Oracle publisher",
            (
                _rises(
                    "Does publishing fail?",
                    "Weekly runs that were refused, and transactions that had to be replaced.",
                    "attest_oracle_publish_failures_total",
                    "failures",
                    "OraclePublisherErrors",
                ),
                timeline(
                    "Is the circuit breaker open?",
                    "The due period's run was refused, and waits for a person.",
                    Query(told("attest_oracle_circuit_breaker_open"), "publisher"),
                    words=BREAKER,
                    alerts=["OracleCircuitBreakerOpen"],
                    height=9,
                ),
            ),
        ),
    ),
)


def _task(title: str, alert: str) -> Panel:
    return number(
        title,
        "Time since it was last done.",
        Query(measured(alert), "ago"),
        unit=SECONDS,
        alerts=[alert],
        missing=NEVER_RECORDED,
    )


_WATCH = Page(
    "watch",
    "Attest: the watch itself, and what is due (§8)",
    "Whether this watch sees, and when each of the runbook's regular tasks was last done.",
    ".*",
    (
        Row(
            "What is due",
            (
                _task("When was the daily check done?", "DailyCheckMissing"),
                _task("When was the newest attestation collected?", "WeeklyAttestationMissing"),
                _task("When was the weekly report made?", "WeeklyReportMissing"),
                _task("When was the monthly review done?", "MonthlyReviewMissing"),
                timeline(
                    "Is this a rehearsal?",
                    "While the configuration pins the time of the runs (schedule.clock), no task is late.",
                    Query(told("attest_rehearsal"), "runs"),
                    words=REHEARSAL,
                    span=24,
                    height=4,
                ),
            ),
        ),
        Row(
            "Parts of the watch",
            (
                plot(
                    "When did each part of the watch last succeed?",
                    "Time since then. It goes on when the exporter is dead, for a day.",
                    Query(collected_age(".*"), "{{collector}}"),
                    unit=SECONDS,
                    axis="since the last success",
                    alerts=["CollectorStale"],
                ),
                plot(
                    "Which parts of the watch fail?",
                    "Failures in the hour before each moment; the exporter's log says why.",
                    Query("increase(attest_collector_errors_total[1h])", "{{collector}}"),
                    unit=COUNT,
                    axis="failures of the last hour",
                ),
                plot(
                    "How far is the event index behind?",
                    "Blocks whose events are not counted yet.",
                    Query(measured("IndexerLagging"), "chain {{chain}}"),
                    unit=COUNT,
                    axis="blocks behind",
                    alerts=["IndexerLagging"],
                ),
                plot(
                    "Are there events that do not read as what they are named?",
                    "Logs since the index began; no sum that they belong to is whole.",
                    Query("attest_chain_unreadable_logs_total", "chain {{chain}}"),
                    unit=COUNT,
                    axis="logs",
                    alerts=["UnreadableLogs"],
                ),
            ),
        ),
        Row(
            "The exporter",
            (
                timeline(
                    "Did Prometheus reach the exporter?",
                    "Where nothing is drawn, Prometheus itself was not there.",
                    Query(f'up{{job="{JOB}",instance=~"$instance"}}', "{{instance}}"),
                    words=SCRAPED,
                    alerts=["TargetDown", "MetricsAbsent"],
                    height=9,
                ),
                plot(
                    "How long does a cycle take?",
                    "The last one.",
                    Query("attest_cycle_duration_seconds", "{{instance}}"),
                    unit=SECONDS,
                    axis="of one cycle",
                    span=6,
                ),
                plot(
                    "How many requests does a cycle make?",
                    "HTTP requests of the last one.",
                    Query("attest_cycle_requests", "{{instance}}"),
                    unit=COUNT,
                    axis="requests",
                    span=6,
                ),
                plot(
                    "Are notifications delivered?",
                    "Messages of the hour before each moment, of an exporter that notifies by itself (--notify).",
                    Query("increase(attest_notifications_total[1h])", "{{destination}}: {{outcome}}"),
                    unit=COUNT,
                    axis="messages of the last hour",
                    span=24,
                ),
            ),
        ),
    ),
)

PAGES: Sequence[Page] = (_OVERVIEW, _VAULTS, _TOKENS, _BRIDGE, _SIZING, _ACCESS, _NETWORK, _WATCH)
