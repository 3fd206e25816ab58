"""From which numbers on something is wrong: the limits of both runbooks, named once for the Prometheus rules and for
the findings of one cycle. Sections (§) are those of the operations runbook. Pure.

Limits that a deployment sets itself (safety factors, the parity's threshold, blocks that an endpoint may lag) are
metrics, so that they are the same for both too.
"""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86_400

#: Reserve in percent of the supply: wrong below (§1.2; §5.1).
RESERVE_LOW_PERCENT, RESERVE_NOTICE_PERCENT = 105, 110
#: Collateral in percent of the debt: wrong below (§1.1).
HEALTH_LOW_PERCENT, HEALTH_CRITICAL_PERCENT = 120, 110
#: Debt in percent of its ceiling: wrong above (§1.1).
DEBT_CEILING_PERCENT = 90
#: Settled transfers in percent of those that ended: wrong below (§1.3), if at least so many ended.
SUCCESS_LOW_PERCENT, SUCCESS_CRITICAL_PERCENT, FEWEST_TRANSFERS = 95, 90, 20
#: Blocks that a deviation lasted: wrong from so many on (§1.4).
RECOVERY_BLOCKS = 3
#: Failed requests in percent of all: wrong above.
RPC_FAILED_PERCENT = 5
#: Blocks that the event index may be behind.
INDEX_LAG_BLOCKS = 300

# Seconds; wrong beyond.
PRICE_AGE, REPORT_AGE = HOUR, HOUR
PENDING_AGE, SETTLEMENT_SECONDS = HOUR, HOUR
BLOCK_AGE, VALIDATOR_AGE = 60, 300
#: How much older than the newest block one may be that counts as final.
FINAL_AGE = HOUR
RPC_SECONDS = 2
#: How far the newest block's time may be in this machine's future.
CLOCK_SKEW = 60
COLLECTOR_AGE = 10 * MINUTE
ROLE_AGE = 90 * DAY
