"""The part of the watch that follows events: it brings the index up to the newest final block and tells what it adds up
to. Nothing is counted in memory, so that counters are the same after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attest.chain.rpc import ChainClient
from attest.config import Config, Followed
from attest.errors import ChainError
from attest.monitor import metrics
from attest.monitor.access import Audit, Grants
from attest.monitor.database import location
from attest.monitor.events import STATUSES, Contract, Kind, Renamed, Statuses, Watched, check_apart, watch
from attest.monitor.exposition import Distribution, Sample
from attest.monitor.index import EventIndex
from attest.monitor.thresholds import DAY, HOUR, MINUTE
from attest.monitor.totals import Extremes, Totals, reading

#: Measures over all events of a month are made anew at most this often, in seconds.
_MEASURE_SECONDS = 60

#: Chunks of blocks between two looks at the time, and at whether the monitor is to end: a first scan can take minutes.
_CHUNKS = 4

#: Events that call for somebody: kind, result of a check, and the section that has them followed.
_RECENT: Mapping[str, tuple[Kind, bool | None, str]] = {
    "liquidation": ("liquidated", None, "liquidation"),
    "money-multiplier-violation": ("money-multiplier-violated", None, "guard"),
    "gru-isolation-violation": ("gru-isolation-violated", None, "guard"),
    "iso4217-violation": ("iso4217-violated", None, "guard"),
    "compliance-check-failed": ("compliance-checked", False, "guard"),
    "reserve-insufficient": ("reserve-verified", False, "bridge"),
    "role-granted": ("role-granted", None, "roles"),
    "role-revoked": ("role-revoked", None, "roles"),
}


def watched_contracts(config: Config, base: Path) -> list[Watched]:
    """The contracts whose events are followed, with the deployment's own events. Raises :class:`OperatorError`."""
    watching = config.monitor
    found = [
        watch("token", deployment.address)
        for token in config.tokens.values()
        for deployment in token.deployments
        if deployment.chain == config.oracle.chain
    ]
    others: list[tuple[Contract, str, Followed | None]] = [
        ("bridge", "bridge", watching.bridge),
        ("compliance", "guard", watching.guard),
        ("liquidation", "liquidation", watching.liquidation),
        ("stabilizer", "stabilizer", watching.stabilizer),
    ]
    for kind, section, contract in others:
        if contract is not None:
            renamed = {name: Renamed(event.event, event.fields, event.where) for name, event in contract.events.items()}
            abi = None if contract.abi is None else base / contract.abi
            found.append(watch(kind, contract.address, renamed=renamed, abi=abi, section=f"monitor.{section}"))
    return found


class Follower:
    """The events of the oracle's chain. Made when an index is configured."""

    name = "events"

    def __init__(self, config: Config, base: Path, url: str) -> None:
        """Raises :class:`OperatorError` for an event that cannot be followed as configured, or a missing secret."""
        self._config = config
        self._base = base
        self._url = location(url, base)
        followed = watched_contracts(config, base)
        self._audit = Audit(config, base, followed)
        self._watched = [*followed, *self._audit.watched]
        check_apart(self._watched)
        self._chain = config.oracle.chain
        self._chain_id = config.chains[self._chain].chain_id
        self._symbols = {
            deployment.address.lower(): symbol
            for symbol, token in config.tokens.items()
            for deployment in token.deployments
            if deployment.chain == self._chain
        }
        #: The token whose outflow the stabilizer's reserve is measured against, once it is known.
        self.stabilizer_currency: str | None = None
        #: What the stabilizer's events tell of the hour before the last block that was indexed.
        self.extremes = Extremes(0, 0)
        self._index: EventIndex | None = None
        self._behind = False
        #: The last block that is indexed; -1 where it was not brought up to date.
        self._indexed = -1
        self._grants: Mapping[str, frozenset[tuple[str, str]]] = {}
        self._granted_at: tuple[Any, ...] | None = None
        self._counts: list[Sample] = []
        self._counted_at: tuple[Any, ...] | None = None
        self._measures: list[Sample] = []
        self._measured_at: float | None = None

    def advance(
        self, client: ChainClient, patience: float | None = None, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Index up to the newest final block, for about ``patience`` seconds at most, or as far as it came when
        ``stopping`` says so. Raises what :meth:`EventIndex.open` and :meth:`EventIndex.advance` do, and
        :class:`ChainError` (``index-behind``) if the time was not enough."""
        self._indexed = -1
        index, begun = self._opened(), time.monotonic()
        while True:
            progress = index.advance(client, chunks=_CHUNKS)
            self._indexed = progress.indexed
            self._behind = progress.indexed < progress.head
            if not self._behind:
                self._look_back()
                return
            if stopping():
                return
            if patience is not None and time.monotonic() - begun >= patience:
                raise ChainError(
                    f"chain {self._chain}: events are indexed to block {progress.indexed} of {progress.head}",
                    code="index-behind",
                    reason="Counters on their way up would look like events of now; they are told when it is through.",
                    advice="Wait: it goes on with the next cycle, and everything else is watched meanwhile.",
                )

    def _look_back(self) -> None:
        if self._config.monitor.stabilizer is not None:
            with reading(self._url, chain_id=self._chain_id, base=self._base) as totals:
                self.extremes = totals.stabilizer(totals.indexed.timestamp - HOUR)

    def grants(self) -> Grants:
        """Who was ever given a role, up to the block that the last :meth:`advance` reached; nobody if it failed. Raises
        :class:`OperatorError` for a database that cannot be read."""
        if self._indexed < 0:
            return Grants(-1, {})
        with reading(self._url, chain_id=self._chain_id, base=self._base) as totals:
            if (mark := totals.mark()) != self._granted_at:
                self._grants, self._granted_at = totals.role_grants(), mark
        return Grants(self._indexed, self._grants)

    def samples(self) -> list[Sample]:
        """What the index adds up to, as far as it has come; nothing before its first block, and while it catches up, or
        before its first scan is through, only how far it is. Raises :class:`OperatorError` for a database that cannot
        be read."""
        index = self._opened()
        cursor = index.cursor()
        if cursor is None:
            return []
        if self._behind or not index.completed():
            return [Sample(metrics.INDEXED, cursor.number, (self._chain,))]
        with reading(self._url, chain_id=self._chain_id, base=self._base) as totals:
            mark = totals.mark()  # and not what advance() did: another process may have been faster, or it broke off
            if mark != self._counted_at:
                self._counts, self._counted_at = list(self._counted(totals)), mark
            now = time.monotonic()
            if self._measured_at is None or now - self._measured_at >= _MEASURE_SECONDS:
                self._measures, self._measured_at = list(self._measured(totals)), now
            indexed = Sample(metrics.INDEXED, totals.indexed.number, (self._chain,))
        return [*self._counts, *self._measures, indexed]

    def close(self) -> None:
        if self._index is not None:
            self._index.close()

    def _opened(self) -> EventIndex:
        if self._index is None:
            chain, bridge = self._config.chains[self._chain], self._config.monitor.bridge
            statuses = (
                STATUSES
                if bridge is None
                else Statuses(bridge.statuses, *map(frozenset, (bridge.settled, bridge.failed, bridge.refunded)))
            )
            self._index = EventIndex.open(
                self._url,
                name=self._chain,
                chain_id=chain.chain_id,
                watched=self._watched,
                statuses=statuses,
                start=self._config.monitor.first_block,
                finality=chain.finality,
                base=self._base,
            )
        return self._index

    def _counted(self, totals: Totals) -> Iterator[Sample]:
        """Counters; each of its values is there from the start."""
        watching = self._config.monitor
        for kind, metric in (("minted", metrics.MINTS), ("burned", metrics.BURNS)):
            counts = totals.by_contract("minted" if kind == "minted" else "burned")
            for address, symbol in self._symbols.items():
                yield Sample(metric, counts.get(address, 0), (symbol,))
        if watching.liquidation is not None:
            yield Sample(metrics.LIQUIDATIONS, totals.count("liquidated"))
        if watching.guard is not None:
            for passed, count in totals.compliance_checks().items():
                yield Sample(metrics.CHECKS, count, ("passed" if passed else "failed",))
            for violation, count in totals.violations().items():
                yield Sample(metrics.VIOLATIONS, count, (violation,))
        if watching.bridge is not None:
            yield from self._bridge(totals)
        yield from self._audit.samples(totals)
        reorgs = totals.reorgs()
        yield Sample(metrics.REORGS, reorgs.count, (self._chain,))
        yield Sample(metrics.REORG_DEPTH, reorgs.deepest, (self._chain,))
        yield Sample(metrics.UNREADABLE, totals.unreadable(0)[0], (self._chain,))

    def _bridge(self, totals: Totals) -> Iterator[Sample]:
        for status, count in totals.transfers().items():
            yield Sample(metrics.TRANSFERS, count, (status,))
        for sufficient, count in totals.verifications().items():
            yield Sample(metrics.VERIFICATIONS, count, ("true" if sufficient else "false",))
        histogram = totals.settlement_histogram()
        buckets = {float(bound): count for bound, count in histogram.buckets.items()}
        yield Sample(metrics.SETTLEMENT, Distribution(buckets, histogram.count, histogram.seconds))
        oldest = totals.oldest_pending()
        if oldest is not None:
            yield Sample(metrics.OLDEST_PENDING, oldest)

    def _measured(self, totals: Totals) -> Iterator[Sample]:
        """What is measured over a time, up to the last block that is indexed."""
        watching, until = self._config.monitor, totals.indexed.timestamp
        recent = totals.recent(until - DAY)
        for name, (kind, passed, contract) in _RECENT.items():
            if getattr(watching, contract):
                yield Sample(metrics.RECENT, recent.get((kind, passed), 0), (name,))
        bridge, stabilizer = watching.bridge, watching.stabilizer
        if bridge is None:
            return
        for window, seconds in (("hour", HOUR), ("day", DAY)):
            outcomes = totals.outcomes(until - seconds, until)
            yield Sample(metrics.ENDED, outcomes.settled, (window, "settled"))
            yield Sample(metrics.ENDED, outcomes.failed, (window, "failed"))
        since = until - bridge.lookback_days * DAY
        measures = totals.bridge(since, until)
        everybody = totals.settlements(since, until)
        for address, symbol in self._symbols.items():
            measured = measures.get(address)
            peak = 0 if measured is None else measured.peak[1].per_second
            yield Sample(metrics.PEAK_OUTFLOW, peak, (symbol,))
            latency = everybody if measured is None else measured.latency
            typical = latency.p95 if bridge.latency_by == "p95" else latency.median
            if typical is not None:
                yield Sample(metrics.LATENCY, typical, (symbol,))
        wanted = stabilizer is not None and stabilizer.window_seconds and stabilizer.peak_minute_outflow is None
        if wanted and self.stabilizer_currency is not None:
            peak_minute = totals.peak_outflow(MINUTE, since, until).get(self.stabilizer_currency.lower())
            yield Sample(metrics.STABILIZATION_PEAK, peak_minute.per_second if peak_minute else 0)
