"""Event indexes that are compared, and indexers that run in processes of their own until they are killed."""

from __future__ import annotations

import multiprocessing
from typing import Any

from attest.chain.rpc import ChainClient
from attest.monitor.index import EventIndex
from attest.posting import HttpTransport
from tests.support.chains import Network, Node
from tests.support.eventful import WATCHED, EventfulChain
from tests.support.measuring import unmeasured

URL = "http://one.example:8545"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.indexing", "attest.monitor.tables", "httpx2", "psycopg"])


def client(node: Node | EventfulChain, chain_id: int = 138) -> ChainClient:
    """A client of a simulated node."""
    served = node.node() if isinstance(node, EventfulChain) else node
    return ChainClient("main", chain_id, [URL], transport=Network({URL: served}), sleep=lambda seconds: None)


def open_index(database: str, **options: Any) -> EventIndex:
    return EventIndex.open(database, name="main", chain_id=138, watched=WATCHED, **options)


def content(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that an index knows of its chain: the rows of the tables whose content the chain decides."""
    from sqlalchemy import create_engine

    from attest.monitor import tables

    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key))]
                for table in (tables.cursors, tables.events, tables.transfers, tables.unreadable)
            }
    finally:
        engine.dispose()


def _index_on(endpoint: str, database: str, span: int, ready: Any) -> None:
    client = ChainClient("main", 138, [endpoint], transport=HttpTransport(20))
    index = open_index(database, span=span)
    client.identify()
    ready.set()
    with unmeasured():  # who dies does not say what was measured
        while True:
            index.advance(client)


def start_indexer(endpoint: str, database: str, span: int) -> Any:
    """A process that follows the chain until it is killed, once it has begun."""
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=_index_on, args=(endpoint, database, span, ready))
    process.start()
    assert ready.wait(60), "it did not begin"
    return process
