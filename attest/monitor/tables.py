"""The event index's tables (``attest-event-index/1``), for SQLite and PostgreSQL alike.

Every row says its chain, so that one database serves several. Hashes are hex without prefix; amounts are decimal
strings, because a uint256 fits no integer column; times are Unix seconds of the chain.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, SmallInteger, String, Table, Text

FORMAT = "attest-event-index/1"

metadata = MetaData()


def _chain() -> Column[int]:
    return Column("chain_id", BigInteger, primary_key=True, autoincrement=False)


def _place() -> list[Column[int]]:
    """A log's place in the chain: block and index in it."""
    return [
        Column("block_number", BigInteger, primary_key=True, autoincrement=False),
        Column("log_index", Integer, primary_key=True, autoincrement=False),
    ]


#: How far each chain is indexed: the last block, whose hash must still be the chain's when the index goes on.
cursors = Table(
    "attest_index",
    metadata,
    _chain(),
    Column("format", String(40), nullable=False),
    Column("watched", String(64), nullable=False),  # digest of the contracts, events and statuses
    Column("statuses", Text, nullable=False),  # JSON: what a transfer's status numbers mean
    Column("start", BigInteger, nullable=False),  # the first block
    Column("anchor", String(64), nullable=False),  # hash of the block before it (of genesis if it is the first)
    Column("number", BigInteger, nullable=False),  # -1 before the first
    Column("hash", String(64), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)

#: The chains whose index was at the head once. Before, its sums are those of a first scan that is half-way.
completed = Table("attest_index_completed", metadata, _chain())

#: Hashes of blocks that were indexed: all of the newest, some of the older. Where they still agree, the chain is the
#: same.
blocks = Table(
    "attest_index_blocks",
    metadata,
    _chain(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)

events = Table(
    "attest_events",
    metadata,
    _chain(),
    *_place(),
    Column("block_hash", String(64), nullable=False),
    Column("transaction_hash", String(64), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("contract", String(42), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(78)),
    Column("asset", String(42)),
    Column("amount", String(78)),
    Column("status", SmallInteger),
    Column("passed", Boolean),
    Column("account", String(42)),
    Index("attest_events_counted", "chain_id", "kind", "status", "passed", "contract"),
    Index("attest_events_timed", "chain_id", "kind", "timestamp"),
)

#: One row per bridge transfer, made from its events: when it began, and when and how it first ended.
transfers = Table(
    "attest_transfers",
    metadata,
    _chain(),
    Column("transfer", String(78), primary_key=True),
    Column("asset", String(42)),
    Column("amount", String(78)),
    Column("initiated_block", BigInteger, nullable=False),
    Column("initiated_index", Integer, nullable=False),
    Column("initiated_at", BigInteger, nullable=False),
    Column("ended_block", BigInteger),
    Column("ended_at", BigInteger),
    Column("outcome", SmallInteger),  # the status that ended it
    Index("attest_transfers_ended", "chain_id", "ended_at", "initiated_at", "outcome"),
)

unreadable = Table(
    "attest_unreadable_logs",
    metadata,
    _chain(),
    *_place(),
    Column("block_hash", String(64), nullable=False),
    Column("transaction_hash", String(64), nullable=False),
    Column("contract", String(42), nullable=False),
    Column("topics", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

#: Each time the chain left blocks that were indexed: from which head back to which common ancestor.
reorgs = Table(
    "attest_reorgs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("from_number", BigInteger, nullable=False),
    Column("from_hash", String(64), nullable=False),
    Column("ancestor", BigInteger, nullable=False),
    Column("events_removed", BigInteger, nullable=False),
)

#: What the page plots, one row per series and step. Not a part of the index: nothing in it is made of events, and a
#: rescan leaves it alone.
history_metadata = MetaData()

history = Table(
    "attest_history",
    history_metadata,
    _chain(),
    Column("step", Integer, primary_key=True, autoincrement=False),  # seconds
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("series", Text, primary_key=True),
    Column("last", Text, nullable=False),
    Column("low", Text, nullable=False),
    Column("high", Text, nullable=False),
    sqlite_with_rowid=False,
)
