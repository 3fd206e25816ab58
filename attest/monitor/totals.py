"""What the index's events add up to: counters, rates over a window, settlement times, the oldest transfer pending, peak
outflow. Everything is derived from the stored events, so it is the same after a restart as before.

Times are Unix seconds of the chain. A window is ``(since, until]``. A total is read inside of :func:`reading`, which
sees one state of the database.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from attest import databases
from attest.errors import ConflictError, OperatorError
from attest.monitor.database import faults, open_engine
from attest.monitor.events import KINDS, Kind, Statuses
from attest.monitor.thresholds import DAY, HOUR

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

#: What counts as outflow: what is locked for transfers away, or what is paid to transfers that arrive.
Outflow: TypeAlias = Literal["transfer-initiated", "transfer-released"]
#: Upper bounds, in seconds, of the settlement histogram's buckets.
BUCKETS = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)


class Outcomes(NamedTuple):
    """Transfers that ended in a window."""

    settled: int
    failed: int

    @property
    def ended(self) -> int:
        return self.settled + self.failed

    @property
    def rate(self) -> Fraction | None:
        """The share that was settled; None if none ended."""
        return Fraction(self.settled, self.ended) if self.ended else None


@dataclass(frozen=True)
class Durations:
    """How long settled transfers took, in seconds; ``median`` and ``p95`` by nearest rank, None without transfers."""

    count: int
    median: int | None
    p95: int | None


@dataclass(frozen=True)
class Histogram:
    """Settlement times since the first block: transfers at most as long as each of the bounds, how many, and the sum of
    their seconds."""

    buckets: Mapping[int, int]
    count: int
    seconds: int


class Peak(NamedTuple):
    """The most of one asset that left within any window of this length: base units, and the time that window ended."""

    units: int
    window: int
    ended_at: int

    @property
    def per_second(self) -> Fraction:
        return Fraction(self.units, self.window)


@dataclass(frozen=True)
class Reorgs:
    """How often the chain left blocks that were indexed, and at most how many of them."""

    count: int
    deepest: int


class Extremes(NamedTuple):
    """Of what a stabilizer's events tell in a window: the most blocks that a deviation lasted, of those that ended, and
    the most volume of one block."""

    deviation: int
    volume: int


class UnreadableLog(NamedTuple):
    """Where a log that could not be read came from, and why it could not."""

    block_number: int
    contract: str
    reason: str


@dataclass(frozen=True)
class Indexed:
    """How far a chain is indexed: from the block ``start`` to ``number``, at ``timestamp``."""

    chain_id: int
    start: int
    number: int
    hash: str
    timestamp: int


@contextmanager
def reading(url: str, *, chain_id: int | None = None, base: Path = Path()) -> Iterator[Totals]:
    """The totals of an index, all of one state of its database. Without ``chain_id``, the one chain's that is in it.

    Raises :class:`OperatorError`: ``unsupported-database``, ``index-unusable``, ``no-such-chain``; and
    :class:`ConflictError` (``index-format``) for an index of another release.
    """
    from sqlalchemy import inspect

    from attest.monitor.tables import FORMAT, cursors

    parsed = databases.parse(url, "the event index")
    engine = open_engine(parsed, base, make=False)
    label = databases.label(parsed)
    try:
        with faults(parsed), engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            rows = []
            if inspect(connection).has_table(cursors.name):
                rows = list(connection.execute(cursors.select().order_by(cursors.c.chain_id)).mappings())
            found = [row for row in rows if chain_id in (None, row["chain_id"])]
            if len(found) != 1:
                raise _no_such_chain(label, chain_id, [row["chain_id"] for row in rows])
            (row,) = found
            if row["format"] != FORMAT:
                raise ConflictError(
                    f"the event index in {label} is of the format {row['format']!r}, and this release reads {FORMAT!r}",
                    code="index-format",
                    reason="Columns that mean something else would be summed as if they did not.",
                    advice="Use the release that made it, or make a new index.",
                )
            indexed = Indexed(row["chain_id"], row["start"], row["number"], row["hash"], row["timestamp"])
            yield Totals(connection, indexed, Statuses.from_json(row["statuses"]))
    finally:
        engine.dispose()


def _no_such_chain(label: str, chain_id: int | None, there: Sequence[int]) -> OperatorError:
    what = "has no chain" if not there else f"has the chains {', '.join(map(str, there))}"
    return OperatorError(
        f"the event index in {label} {what}" + ("" if chain_id is None else f", and not {chain_id}"),
        code="no-such-chain",
        reason="Events of one chain say nothing about another.",
        advice="Name one of its chains, or let the monitor index this one first.",
    )


def _nearest(count: int, share: int) -> int:
    """The nearest rank, from 1, of a share in percent of so many."""
    return -(-count * share // 100)


@dataclass(frozen=True)
class BridgeMeasures:
    """Steps 1 to 3 of the runbook's bridge sizing (section 1.4), for one asset over ``(since, until]``: what was locked
    for transfers and what was released, the peaks of both over rolling hours and days, and the settlement times."""

    asset: str
    since: int
    until: int
    initiated: int
    released: int
    peaks: Mapping[tuple[Outflow, int], Peak]
    latency: Durations

    @property
    def peak(self) -> tuple[Outflow, Peak]:
        """The largest of the peaks, per second. There is one: an asset without outflow is not measured."""
        (kind, _), peak = max(self.peaks.items(), key=lambda item: item[1].per_second)
        return kind, peak


class Totals:
    """What one chain's events add up to. Made by :func:`reading`, and good until it ends."""

    def __init__(self, connection: Connection, indexed: Indexed, statuses: Statuses) -> None:
        self.indexed = indexed
        self._connection = connection
        self._statuses = statuses

    # -- counters -----------------------------------------------------------------------------------------------------

    def transfers(self) -> dict[str, int]:
        """How often a transfer came into each status, every status that there is among them; ``initiated`` counts the
        transfers themselves."""
        from attest.monitor.tables import events

        counts = dict.fromkeys([*self._statuses.names[1:]], 0)
        for status, count in self._counted(events.c.status, "transfer-status"):
            counts[self._statuses.name(status)] = count
        counts["initiated"] = self.count("transfer-initiated")
        return counts

    def verifications(self) -> dict[bool, int]:
        """Reserve verifications on chain, by whether the reserve was sufficient."""
        return self._passed("reserve-verified")

    def compliance_checks(self) -> dict[bool, int]:
        """Compliance checks, by whether they passed."""
        return self._passed("compliance-checked")

    def violations(self) -> dict[str, int]:
        """Compliance violations by kind."""
        kinds: dict[str, Kind] = {
            "money-multiplier": "money-multiplier-violated",
            "gru-isolation": "gru-isolation-violated",
            "iso4217": "iso4217-violated",
        }
        return {name: self.count(kind) for name, kind in kinds.items()}

    def by_contract(self, kind: Kind) -> dict[str, int]:
        """Events of a kind by the contract that emitted them: mints and burns by token."""
        from attest.monitor.tables import events

        return dict(self._counted(events.c.contract, kind))

    def role_changes(self) -> dict[tuple[str, str, Kind], int]:
        """Grants (``role-granted``) and revocations (``role-revoked``) by contract and role."""
        from sqlalchemy import func, select

        from attest.monitor.tables import events

        columns = events.c
        place = (columns.contract, columns.subject, columns.kind)
        kinds = ("role-granted", "role-revoked")
        query = select(*place, func.count()).where(columns.chain_id == self.indexed.chain_id, columns.kind.in_(kinds))
        return {
            (contract, role, kind): count
            for contract, role, kind, count in self._connection.execute(query.group_by(*place))
        }

    def role_grants(self) -> dict[str, frozenset[tuple[str, str]]]:
        """By contract: every role and account that it was ever granted to, whether it still has it or not."""
        from sqlalchemy import select

        from attest.monitor.tables import events

        columns = events.c
        query = select(columns.contract, columns.subject, columns.account).where(
            columns.chain_id == self.indexed.chain_id, columns.kind == "role-granted"
        )
        found: dict[str, set[tuple[str, str]]] = {}
        for contract, role, account in self._connection.execute(query.distinct()):
            found.setdefault(contract, set()).add((role, account))
        return {contract: frozenset(grants) for contract, grants in found.items()}

    def latest(self, kind: Kind, contract: str, subject: str | None = None) -> int | None:
        """The time of a contract's newest event of a kind, and about ``subject`` if it is given; None without any."""
        from sqlalchemy import select

        from attest.monitor.tables import events

        columns = events.c
        query = select(columns.timestamp).where(
            columns.chain_id == self.indexed.chain_id, columns.kind == kind, columns.contract == contract
        )
        if subject is not None:
            query = query.where(columns.subject == subject)
        return self._connection.execute(query.order_by(columns.timestamp.desc()).limit(1)).scalar_one_or_none()

    def begin(self) -> int | None:
        """The time of the oldest block whose hash is kept: at most so many blocks after the first that was indexed as
        lie between two kept ones. None before the first block."""
        from sqlalchemy import func, select

        from attest.monitor.tables import blocks

        query = select(func.min(blocks.c.timestamp)).where(blocks.c.chain_id == self.indexed.chain_id)
        oldest: int | None = self._connection.execute(query).scalar_one()
        return oldest

    def recent(self, since: int) -> dict[tuple[Kind, bool | None], int]:
        """Events after a time, by kind and, of checks, by whether they passed."""
        from sqlalchemy import func, select

        from attest.monitor.tables import events

        columns = events.c
        query = (
            select(columns.kind, columns.passed, func.count())
            .where(
                columns.chain_id == self.indexed.chain_id, columns.kind.in_(KINDS), columns.timestamp > since
            )
            .group_by(columns.kind, columns.passed)
        )  # fmt: skip
        return {(kind, passed): count for kind, passed, count in self._connection.execute(query)}

    def count(self, kind: Kind) -> int:
        """All events of a kind."""
        return sum(self.by_contract(kind).values())

    def counts(self) -> dict[Kind, int]:
        """All events, by kind."""
        return {kind: self.count(kind) for kind in KINDS}

    def volume(self, kind: Kind, *, since: int = 0) -> dict[str, int]:
        """Base units by contract, over all events of a kind after a time."""
        from sqlalchemy import select

        from attest.monitor.tables import events

        columns = events.c
        sums: dict[str, int] = {}
        query = select(columns.contract, columns.amount).where(
            columns.chain_id == self.indexed.chain_id, columns.kind == kind, columns.timestamp > since
        )
        for contract, amount in self._stream(query):
            sums[contract] = sums.get(contract, 0) + int(amount or 0)
        return sums

    def largest(self, kind: Kind, since: int) -> int:
        """The largest amount of any event of a kind after a time; 0 if there is none."""
        from sqlalchemy import select

        from attest.monitor.tables import events

        columns = events.c
        query = select(columns.amount).where(
            columns.chain_id == self.indexed.chain_id, columns.kind == kind, columns.timestamp > since
        )
        return max((int(amount or 0) for (amount,) in self._stream(query)), default=0)

    def _passed(self, kind: Kind) -> dict[bool, int]:
        from attest.monitor.tables import events

        return {True: 0, False: 0} | dict(self._counted(events.c.passed, kind))

    def _counted(self, column: Any, kind: Kind) -> Sequence[Any]:
        from sqlalchemy import func, select

        from attest.monitor.tables import events

        return self._connection.execute(
            select(column, func.count())
            .where(events.c.chain_id == self.indexed.chain_id, events.c.kind == kind)
            .group_by(column)
        ).all()

    def _stream(self, query: Any) -> Iterable[Any]:
        """Rows as they come, a thousand at a time."""
        return self._connection.execution_options(yield_per=1000).execute(query)

    # -- transfers over time ------------------------------------------------------------------------------------------

    def outcomes(self, since: int, until: int) -> Outcomes:
        """The transfers that ended in a window, by how they first ended."""
        from sqlalchemy import func, select

        from attest.monitor.tables import transfers

        columns = transfers.c
        rows = self._connection.execute(
            select(columns.outcome, func.count())
            .where(self._ours(), columns.ended_at > since, columns.ended_at <= until)
            .group_by(columns.outcome)
        ).all()
        settled = sum(count for status, count in rows if self._statuses.name(status) in self._statuses.settled)
        return Outcomes(settled, sum(count for _, count in rows) - settled)

    def settlements(self, since: int, until: int) -> Durations:
        """How long the transfers took that were settled in a window, from their initiation on."""
        from sqlalchemy import func, select

        from attest.monitor.tables import transfers

        columns = transfers.c
        settled = (self._settled(), columns.ended_at > since, columns.ended_at <= until)
        count = self._connection.execute(select(func.count()).select_from(transfers).where(*settled)).scalar_one()
        ordered = select(self._duration().label("duration")).where(*settled).order_by("duration").limit(1)

        def rank(share: int) -> int | None:
            if not count:
                return None
            return int(self._connection.execute(ordered.offset(_nearest(count, share) - 1)).scalar_one())

        return Durations(count, rank(50), rank(95))

    def settlements_by_asset(self, since: int, until: int) -> dict[str, Durations]:
        """The same for each asset of which a transfer was settled in the window, in two passes over them all."""
        from sqlalchemy import func, select

        from attest.monitor.tables import transfers

        columns = transfers.c
        settled = (self._settled(), columns.ended_at > since, columns.ended_at <= until)
        query = select(columns.asset, func.count()).where(*settled).group_by(columns.asset)
        found: Sequence[Any] = self._connection.execute(query).all()
        counts: dict[str | None, int] = dict(found)
        ordered = select(columns.asset, self._duration().label("duration")).where(*settled)
        passed: dict[str | None, int] = {}
        ranked: dict[tuple[str | None, int], int] = {}
        for asset, duration in self._stream(ordered.order_by("duration")):
            place = passed[asset] = passed.get(asset, 0) + 1
            for share in (50, 95):
                if place == _nearest(counts[asset], share):
                    ranked[asset, share] = int(duration)
        return {asset or "": Durations(count, ranked[asset, 50], ranked[asset, 95]) for asset, count in counts.items()}

    def settlement_histogram(self, bounds: Sequence[int] = BUCKETS) -> Histogram:
        """All settlements since the first block, in cumulative buckets."""
        from sqlalchemy import case, func, select

        duration = self._duration()
        counted = [func.coalesce(func.sum(case((duration <= bound, 1), else_=0)), 0) for bound in bounds]
        query = select(func.count(), func.coalesce(func.sum(duration), 0), *counted).where(self._settled())
        count, seconds, *buckets = self._connection.execute(query).one()
        return Histogram(dict(zip(bounds, map(int, buckets), strict=True)), count, int(seconds))

    def oldest_pending(self) -> int | None:
        """When the oldest transfer was initiated that is neither settled nor over without the money: one that failed is
        pending until its refund, where the bridge has refunds. None if there is none."""
        from sqlalchemy import func, select

        from attest.monitor.tables import events, transfers

        columns = transfers.c
        oldest = select(func.min(columns.initiated_at)).where(self._ours())
        pending = [oldest.where(columns.ended_at.is_(None))]
        if self._statuses.refunded:
            failed = self._numbers(self._statuses.failed - self._statuses.refunded)
            refunds = select(events.c.subject).where(
                events.c.chain_id == self.indexed.chain_id,
                events.c.kind == "transfer-status",
                events.c.status.in_(self._numbers(self._statuses.refunded)),
            )
            # Set against set, which both databases sort: a join would look through all refunds for each transfer.
            due = select(columns.transfer).where(self._ours(), columns.outcome.in_(failed)).except_(refunds)
            pending.append(oldest.where(columns.transfer.in_(due)))
        times = [self._connection.execute(query).scalar_one() for query in pending]
        return min((int(at) for at in times if at is not None), default=None)

    def outflow(self, since: int, until: int, kind: Outflow = "transfer-initiated") -> dict[str, int]:
        """Base units of each asset that left in a window: locked for transfers, or released to those that came."""
        sums: dict[str, int] = {}
        for _, asset, amount in self._left(since, until, kind):
            sums[asset] = sums.get(asset, 0) + amount
        return sums

    def peak_outflow(
        self, window: int, since: int, until: int, kind: Outflow = "transfer-initiated"
    ) -> dict[str, Peak]:
        """By asset, the most that left within any ``window`` seconds, of the events after ``since`` and at or before
        ``until``. What is held in memory are the events of one window."""
        recent: dict[str, deque[tuple[int, int]]] = {}
        sums: dict[str, int] = {}
        peaks: dict[str, Peak] = {}
        for at, asset, amount in self._left(since, until, kind):
            line = recent.setdefault(asset, deque())
            line.append((at, amount))
            total = sums.get(asset, 0) + amount
            while line[0][0] <= at - window:
                total -= line.popleft()[1]
            sums[asset] = total
            if asset not in peaks or total > peaks[asset].units:
                peaks[asset] = Peak(total, window, at)
        return peaks

    def bridge(self, since: int, until: int) -> dict[str, BridgeMeasures]:
        """What a bridge's buffer is sized by, for each asset that left in a window. Of one of which no transfer was
        settled, the latency is that of all."""
        kinds: tuple[Outflow, ...] = get_args(Outflow)
        sums = {kind: self.outflow(since, until, kind) for kind in kinds}
        peaks = {
            (kind, window): self.peak_outflow(window, since, until, kind) for kind in kinds for window in (HOUR, DAY)
        }
        everybody = self.settlements(since, until)
        own = self.settlements_by_asset(since, until)
        return {
            asset: BridgeMeasures(
                asset,
                since,
                until,
                sums["transfer-initiated"].get(asset, 0),
                sums["transfer-released"].get(asset, 0),
                {key: found[asset] for key, found in peaks.items() if asset in found},
                own.get(asset, everybody),
            )
            for asset in sorted(set().union(*sums.values()))
        }

    def _left(self, since: int, until: int, kind: Outflow) -> Iterator[tuple[int, str, int]]:
        from sqlalchemy import select

        from attest.monitor.tables import events

        columns = events.c
        query = (
            select(columns.timestamp, columns.asset, columns.amount)
            .where(
                columns.chain_id == self.indexed.chain_id, columns.kind == kind, columns.timestamp > since,
                columns.timestamp <= until,
            )
            .order_by(columns.timestamp)
        )  # fmt: skip
        for at, asset, amount in self._stream(query):
            yield at, asset or "", int(amount or 0)

    def _ours(self) -> Any:
        from attest.monitor.tables import transfers

        return transfers.c.chain_id == self.indexed.chain_id

    def _settled(self) -> Any:
        from sqlalchemy import and_

        from attest.monitor.tables import transfers

        return and_(self._ours(), transfers.c.outcome.in_(self._numbers(self._statuses.settled)))

    def _numbers(self, statuses: frozenset[str]) -> list[int]:
        return [number for number, name in enumerate(self._statuses.names) if name in statuses]

    @staticmethod
    def _duration() -> Any:
        from attest.monitor.tables import transfers

        return transfers.c.ended_at - transfers.c.initiated_at

    def stabilizer(self, since: int) -> Extremes:
        """What a stabilizer's events tell after a time."""
        return Extremes(self.largest("deviation-ended", since), self.largest("stabilized", since))

    # -- the index itself ---------------------------------------------------------------------------------------------

    def mark(self) -> tuple[Any, ...]:
        """What is another whenever anything was added or taken out, by whomever: the newest event, the newest log that
        could not be read, and the reorganisations. The counters of two equal marks are the same."""
        from sqlalchemy import select

        from attest.monitor.tables import events, unreadable

        newest = []
        for columns in (events.c, unreadable.c):
            query = (
                select(columns.block_number, columns.log_index, columns.block_hash)
                .where(columns.chain_id == self.indexed.chain_id)
                .order_by(columns.block_number.desc(), columns.log_index.desc())
                .limit(1)
            )
            newest.append(self._connection.execute(query).first())
        return (*newest, self.reorgs())

    def reorgs(self) -> Reorgs:
        """Reorganisations that reached into indexed blocks."""
        from sqlalchemy import func, select

        from attest.monitor.tables import reorgs

        columns = reorgs.c
        deepest = func.coalesce(func.max(columns.from_number - columns.ancestor), 0)
        query = select(func.count(), deepest).where(columns.chain_id == self.indexed.chain_id)
        return Reorgs(*self._connection.execute(query).one())

    def unreadable(self, limit: int = 10) -> tuple[int, list[UnreadableLog]]:
        """How many logs could not be read, and the newest of them."""
        from sqlalchemy import func, select

        from attest.monitor.tables import unreadable

        columns = unreadable.c
        ours = columns.chain_id == self.indexed.chain_id
        count = self._connection.execute(select(func.count()).select_from(unreadable).where(ours)).scalar_one()
        query = select(columns.block_number, columns.contract, columns.reason).where(ours)
        newest = query.order_by(columns.block_number.desc(), columns.log_index.desc()).limit(limit)
        return count, [UnreadableLog(*row) for row in self._connection.execute(newest)]
