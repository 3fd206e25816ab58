"""The event index: every event of the watched contracts, once, in a database, however often the reading is broken off.

A chunk of blocks is read (:mod:`attest.monitor.chunks`), and its events and the new cursor (number and hash of the last
block) are committed in one transaction. The cursor moves only from where the reader found it, so two indexers on one
database do each chunk once: the later one's work is dropped.

Where the cursor's block is no longer the chain's, the index walks back over its stored hashes to the last block that
still is, and takes out what came after it. Nothing is held in memory but one chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attest import databases
from attest.chain.logs import SPAN
from attest.chain.rpc import ChainClient
from attest.errors import AttestError, ChainError, ConflictError, OperatorError, printable
from attest.model import Block
from attest.monitor import events
from attest.monitor.chunks import Chunk, ChunkReader, Cursor, MissingError, MovedError, named, numbered
from attest.monitor.database import create_tables, faults, insert_new, insert_rows, open_engine
from attest.monitor.events import STATUSES, Event, Statuses, Watched

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.engine import Connection, Engine

_log = logging.getLogger(__name__)

#: Hashes kept of all the newest blocks, and of each so-manieth older one.
KEPT, MILESTONE = 2048, 1000
#: How often in a row the chain may change under a reading.
_RESTLESS = 50
_PAGE = 200
_AMOUNT = Event._fields.index("amount")


@dataclass(frozen=True)
class Progress:
    """What one :meth:`EventIndex.advance` did: the last block now indexed, the newest final block that it saw, events
    added, logs that could not be read, and reorganisations met."""

    indexed: int
    head: int
    added: int
    unreadable: int
    reorgs: int


class EventIndex:
    """The events of some contracts on one chain, kept in a database. Made by :meth:`open`."""

    def __init__(
        self,
        engine: Engine,
        url: URL,
        *,
        name: str,
        chain_id: int,
        watched: Sequence[Watched],
        statuses: Statuses,
        start: int,
        finality: str,
        span: int,
    ) -> None:
        self.name = name
        self.chain_id = chain_id
        self.statuses = statuses
        self._engine = engine
        self._url = url
        self._start = start
        self._finality = finality
        self._watched = events.digest(watched, statuses)
        self._reader = ChunkReader(name, chain_id, events.queries(watched), span)
        self._completed = False

    @classmethod
    def open(
        cls,
        url: str,
        *,
        name: str,
        chain_id: int,
        watched: Sequence[Watched],
        statuses: Statuses = STATUSES,
        start: int = 0,
        finality: str = "instant",
        span: int = SPAN,
        base: Path = Path(),
        rescan: bool = False,
    ) -> EventIndex:
        """Open the index of a chain, or make it.

        ``url`` is SQLAlchemy's (``sqlite:///PATH``, relative to ``base``, or ``postgresql+psycopg://…``), ``name`` the
        chain's in the configuration, ``start`` the first block (the oldest contract's), ``span`` the most blocks asked
        for at once. ``rescan`` forgets what was indexed for other contracts, and begins again.

        Raises :class:`OperatorError` (``unsupported-database``, ``index-unusable``, ``index-locked``, ``index-full``),
        :class:`ConflictError` (``index-of-other-events``, ``index-format``).
        """
        from attest.monitor.tables import metadata

        parsed = databases.parse(url, f"the event index of chain {name}")
        engine = open_engine(parsed, base)
        index = cls(
            engine, parsed, name=name, chain_id=chain_id, watched=watched, statuses=statuses, start=start,
            finality=finality, span=span,
        )  # fmt: skip
        try:
            with faults(parsed):
                create_tables(engine, metadata)
                index._check_content(rescan)
        except AttestError:
            index.close()
            raise
        return index

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # -- what is in the database --------------------------------------------------------------------------------------

    def _check_content(self, rescan: bool) -> None:
        from attest.monitor.tables import FORMAT, cursors, metadata

        with self._engine.connect() as connection:
            row = connection.execute(cursors.select().where(cursors.c.chain_id == self.chain_id)).mappings().first()
        if row is None:
            return
        if row["format"] != FORMAT:
            raise self._conflict(
                "index-format",
                f"is of the format {row['format']!r}, and this release writes {FORMAT!r}",
                "Use the release that made it, or name another database: the first scan takes seconds to minutes.",
            )
        if (row["watched"], row["start"]) == (self._watched, self._start):
            return
        if not rescan:
            raise self._of_other_events()
        with self._engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete().where(table.c.chain_id == self.chain_id))

    def _of_other_events(self) -> ConflictError:
        return self._conflict(
            "index-of-other-events",
            "was made for other contracts, events, statuses or another first block than are configured now",
            "Restore the configuration, or name another database: every event is then read anew from the chain.",
        )

    def _conflict(self, code: str, detail: str, advice: str) -> ConflictError:
        return ConflictError(
            f"the event index of chain {self.name} ({databases.label(self._url)}) {detail}",
            code=code,
            reason="Counters made of two different sets of events would be sums of nothing in particular.",
            advice=advice,
        )

    def cursor(self) -> Cursor | None:
        """The last block that is indexed; None before the first."""
        from attest.monitor.tables import cursors

        columns = cursors.c
        with faults(self._url), self._engine.connect() as connection:
            row = connection.execute(
                cursors.select()
                .with_only_columns(columns.number, columns.hash, columns.timestamp)
                .where(columns.chain_id == self.chain_id, columns.watched == self._watched)
            ).first()
        return None if row is None else Cursor(*row)

    def completed(self) -> bool:
        """Whether it was at the chain's head once, in this process or before."""
        from attest.monitor.tables import completed

        if not self._completed:
            with faults(self._url), self._engine.connect() as connection:
                query = completed.select().where(completed.c.chain_id == self.chain_id)
                self._completed = connection.execute(query).first() is not None
        return self._completed

    def _complete(self) -> None:
        from attest.monitor.tables import completed

        if not self.completed():
            with faults(self._url), self._engine.begin() as connection:
                connection.execute(insert_new(connection, completed), {"chain_id": self.chain_id})

    # -- going on -----------------------------------------------------------------------------------------------------

    def advance(self, client: ChainClient, *, chunks: int | None = None) -> Progress:
        """Index up to the newest final block, or at most so many ``chunks`` of blocks.

        Raises :class:`ChainError`: ``wrong-chain-id``, ``endpoints-down``, ``endpoints-disagree``,
        ``history-missing`` naming the endpoint (a node that pruned, or answers nothing), ``logs-omitted``,
        ``logs-refused``, ``chain-moving``, ``malformed-answer``; :class:`ConflictError` (``index-of-another-chain``);
        :class:`OperatorError` as :meth:`open`, and ``first-block-ahead``. What was committed before stays; calling
        again goes on from there.
        """
        if client.chain_id != self.chain_id:
            raise OperatorError(
                f"the event index is of chain id {self.chain_id}, and the client of {client.chain_id}",
                code="wrong-chain-id",
                reason="Events of two chains in one sum say nothing about either.",
                advice="Open the index of the client's chain.",
            )
        target = client.finalized_head(self._finality)
        cursor = self.cursor() or self._begin(client, target)
        added = unreadable = reorgs = restless = 0
        lost, missing = False, None
        while chunks is None or chunks > 0:
            if restless > _RESTLESS:
                raise self._moving()
            try:
                if lost:
                    reorgs += self._rewind(client, cursor, target)
                    lost, target = False, client.finalized_head(self._finality)
                elif target.number <= cursor.number:
                    if self._agrees(client, cursor, target):
                        self._complete()
                        break
                    lost, restless = True, restless + 1
                else:
                    chunk = self._reader.read(client, cursor, target)
                    if self._commit(cursor, chunk):
                        added += len(chunk.events)
                        unreadable += len(chunk.unreadable)
                        chunks = None if chunks is None else chunks - 1
                    restless, missing = 0, None
            except (MovedError, MissingError) as change:
                restless += 1
                lost = isinstance(change, MovedError) and change.indexed
                target = client.finalized_head(self._finality)
                if isinstance(change, MissingError):
                    if change.number == missing and missing <= target.number:
                        raise self._reader.history_missing(client, f"block {missing}{change.detail}") from None
                    missing = change.number
            cursor = self.cursor() or self._begin(client, target)
        return Progress(cursor.number, target.number, added, unreadable, reorgs)

    def _begin(self, client: ChainClient, target: Block) -> Cursor:
        """The cursor before the first block, stored."""
        from attest.monitor.tables import FORMAT, cursors

        if self._start - 1 > target.number:
            raise OperatorError(
                f"monitor.first_block is {self._start}, and chain {self.name}'s newest final block is {target.number}",
                code="first-block-ahead",
                reason="Events before the first block are never counted.",
                advice="Set it to the block in which the oldest watched contract was deployed; if it is that block, "
                "wait until the endpoint has come so far.",
            )
        try:
            (anchor,) = self._reader.headers(client, [max(0, self._start - 1)])
        except MissingError as fault:
            raise self._reader.history_missing(
                client, f"block {fault.number}{fault.detail}, with which the index begins"
            ) from None
        first = Cursor(anchor.block.number, anchor.block.hash, anchor.block.timestamp)
        begun = first if self._start else Cursor(-1, anchor.parent_hash, 0)
        with faults(self._url), self._engine.begin() as connection:
            connection.execute(
                insert_new(connection, cursors),
                {
                    "chain_id": self.chain_id, "format": FORMAT, "watched": self._watched,
                    "statuses": self.statuses.to_json(), "start": self._start,
                    "anchor": anchor.block.hash, **begun._asdict(),
                },
            )  # fmt: skip
        stored = self.cursor()
        if stored is None:
            raise self._of_other_events()
        return stored

    def _agrees(self, client: ChainClient, cursor: Cursor, target: Block) -> bool:
        """Whether a head that is not beyond the cursor is of the same chain: the node is just not as far."""
        if target.number == cursor.number:
            return target.hash == cursor.hash
        stored = self._stored(target.number + 1, 1)
        if not stored:
            return True
        if stored[0].number == target.number:
            return stored[0].hash == target.hash
        return self._reader.headers(client, [stored[0].number])[0].block.hash == stored[0].hash

    def _stored(self, below: int, limit: int) -> list[Cursor]:
        """Blocks that were indexed, the newest first."""
        from attest.monitor.tables import blocks

        columns = blocks.c
        with faults(self._url), self._engine.connect() as connection:
            rows = connection.execute(
                blocks.select()
                .with_only_columns(columns.number, columns.hash, columns.timestamp)
                .where(columns.chain_id == self.chain_id, columns.number < below)
                .order_by(columns.number.desc())
                .limit(limit)
            ).all()
        return [Cursor(*row) for row in rows]

    # -- committing ---------------------------------------------------------------------------------------------------

    def _commit(self, before: Cursor, chunk: Chunk) -> bool:
        """Store a chunk and move the cursor to its end, or nothing: False if another indexer was faster."""
        from attest.monitor.tables import blocks, unreadable
        from attest.monitor.tables import events as table

        chain = {"chain_id": self.chain_id}
        with faults(self._url), self._engine.begin() as connection:
            if not self._move(connection, before, chunk.end):
                return False
            if chunk.events:
                insert_rows(connection, table, [self._row(event) for event in chunk.events])
                self._fold(connection, chunk.events)
            if chunk.unreadable:
                connection.execute(unreadable.insert(), [{**chain, **each._asdict()} for each in chunk.unreadable])
            connection.execute(
                insert_new(connection, blocks),
                [{**chain, **each._asdict()} for each in chunk.blocks],
            )
            columns = blocks.c
            connection.execute(
                blocks.delete().where(
                    columns.chain_id == self.chain_id,
                    columns.number < chunk.end.number - KEPT,
                    columns.number % MILESTONE != 0,
                )
            )
        for each in chunk.unreadable:
            _log.warning(
                "chain %s: block %s: a log of %s was not read: %s", self.name, each.block_number, each.contract,
                printable(each.reason),
            )  # fmt: skip
        return True

    def _row(self, event: Event) -> tuple[Any, ...]:
        """An event as the table has it: the amount as text."""
        amount = None if event.amount is None else str(event.amount)
        return (self.chain_id, *event[:_AMOUNT], amount, *event[_AMOUNT + 1 :])

    def _move(self, connection: Connection, before: Cursor, after: Cursor) -> bool:
        """Move the cursor, if it is still where it was; what comes after this in the transaction is ours alone."""
        from attest.monitor.tables import cursors

        columns = cursors.c
        moved = connection.execute(
            cursors.update()
            .where(
                columns.chain_id == self.chain_id, columns.number == before.number, columns.hash == before.hash,
                columns.watched == self._watched,
            )
            .values(after._asdict())
        )  # fmt: skip
        return moved.rowcount == 1

    def _fold(self, connection: Connection, new: Sequence[Event]) -> None:
        """Begin and end the transfers that these events begin and end. An id that begins twice began the first time; a
        transfer that ends twice ended the first time after it had begun: so the same comes out in whatever chunks."""
        from sqlalchemy import and_, bindparam, or_

        from attest.monitor.tables import transfers

        begun = [
            {
                "chain_id": self.chain_id, "transfer": event.subject, "asset": event.asset,
                "amount": None if event.amount is None else str(event.amount),
                "initiated_block": event.block_number, "initiated_index": event.log_index,
                "initiated_at": event.timestamp,
            }
            for event in new
            if event.kind == "transfer-initiated"
        ]  # fmt: skip
        ended = [
            {
                "ending": event.subject, "in_block": event.block_number, "at_index": event.log_index,
                "at": event.timestamp, "with_status": event.status,
            }
            for event in new
            if event.kind == "transfer-status" and event.status in self.statuses.ends
        ]  # fmt: skip
        if begun:
            connection.execute(insert_new(connection, transfers), begun)
        if ended:
            columns = transfers.c
            block: Any = bindparam("in_block")
            index: Any = bindparam("at_index")
            after = or_(
                columns.initiated_block < block,
                and_(columns.initiated_block == block, columns.initiated_index < index),
            )
            connection.execute(
                transfers.update()
                .where(
                    columns.chain_id == self.chain_id,
                    columns.transfer == bindparam("ending"),
                    columns.ended_block.is_(None),
                    after,
                )
                .values(ended_block=block, ended_at=bindparam("at"), outcome=bindparam("with_status")),
                ended,
            )

    # -- walking back -------------------------------------------------------------------------------------------------

    def _rewind(self, client: ChainClient, cursor: Cursor, target: Block) -> bool:
        """Take out the events of blocks that the chain left; False if another indexer did it already."""
        from attest.monitor.tables import blocks, reorgs, transfers, unreadable
        from attest.monitor.tables import events as table

        ancestor = self._ancestor(client, cursor, target)
        if ancestor.number == cursor.number:
            return False
        with faults(self._url), self._engine.begin() as connection:
            if not self._move(connection, cursor, ancestor):
                return False
            gone = (table.c.chain_id == self.chain_id) & (table.c.block_number > ancestor.number)
            removed = connection.execute(table.delete().where(gone)).rowcount
            for each, number in (
                (unreadable, unreadable.c.block_number),
                (blocks, blocks.c.number),
                (transfers, transfers.c.initiated_block),
            ):
                connection.execute(each.delete().where(each.c.chain_id == self.chain_id, number > ancestor.number))
            connection.execute(
                transfers.update()
                .where(transfers.c.chain_id == self.chain_id, transfers.c.ended_block > ancestor.number)
                .values(ended_block=None, ended_at=None, outcome=None)
            )
            connection.execute(
                reorgs.insert(),
                {
                    "chain_id": self.chain_id, "from_number": cursor.number, "from_hash": cursor.hash,
                    "ancestor": ancestor.number, "events_removed": removed,
                },
            )  # fmt: skip
        _log.warning(
            "chain %s: it left %d indexed blocks after block %d; %d events were taken out",
            self.name, cursor.number - ancestor.number, ancestor.number, removed,
        )  # fmt: skip
        return True

    def _ancestor(self, client: ChainClient, cursor: Cursor, target: Block) -> Cursor:
        """The newest indexed block that is still the chain's, or the one before the first.

        Raises :class:`ConflictError` (``index-of-another-chain``) if there is none.
        """
        from attest.monitor.tables import cursors

        below = cursor.number + 1
        while page := self._stored(below, _PAGE):
            there = [each for each in page if each.number <= target.number]
            answers = client.batch([numbered(each.number) for each in there])
            for each, answer in zip(there, answers, strict=True):
                if self._reader.header(each.number, answer).block.hash == each.hash:
                    return each
            below = page[-1].number
        with faults(self._url), self._engine.connect() as connection:
            anchor = connection.execute(
                cursors.select().with_only_columns(cursors.c.anchor).where(cursors.c.chain_id == self.chain_id)
            ).scalar_one()
        (header,) = self._reader.headers(client, [max(0, self._start - 1)])
        if header.block.hash != anchor:
            raise self._conflict(
                "index-of-another-chain",
                f"begins after block {max(0, self._start - 1)} with the hash 0x{anchor}, and {named(client)} serves "
                f"one with 0x{header.block.hash}: it is another chain with the same chain id",
                "Name the database of this chain, or a new one; correct the endpoint if it is the wrong one.",
            )
        first = Cursor(header.block.number, header.block.hash, header.block.timestamp)
        return first if self._start else Cursor(-1, header.parent_hash, 0)

    def _moving(self) -> ChainError:
        return ChainError(
            f"chain {self.name}: its newest blocks changed {_RESTLESS} times while they were read",
            code="chain-moving",
            reason="Events are counted only from blocks that stand still while they are read.",
            advice=f'The chain is not final where chains.{self.name}.finality says so: set "tag" or "depth:N".',
        )
