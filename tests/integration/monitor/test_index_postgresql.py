"""The event index in a real PostgreSQL: the same as in SQLite, with two indexers at once, killed, locked out, and
without its password in any error."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from attest.chain.devnet import Anvil
from attest.chain.rpc import ChainClient
from attest.errors import OperatorError
from attest.monitor.totals import reading
from attest.posting import HttpTransport
from tests.support.indexing import content, open_index, start_indexer
from tests.support.lively import LivelyChain, assert_whole
from tests.support.postgresql import PASSWORD, Server, postgresql

pytestmark = pytest.mark.requires("initdb", "apt-get install postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    import psycopg

    name = f"index_{random.randrange(2**40)}"
    parts = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "password": PASSWORD}
    with psycopg.connect(**cast(Any, parts), dbname="postgres", autocommit=True) as connection:
        connection.execute(cast(Any, f"CREATE DATABASE {name}"))
    return server.url(database=name)


def test_advance__two_indexers_killed_on_a_moving_chain__end_with_one_clean_scan(
    anvil: Anvil, database: str, tmp_path: Path
) -> None:
    chance = random.Random(11)
    clean = f"sqlite:///{tmp_path / 'clean.sqlite'}"
    chain = LivelyChain(anvil, chance)
    for _ in range(100):
        chain.block()
    with chain:
        for _ in range(3):
            indexers = [start_indexer(chain.url, database, span) for span in (5, 60)]
            time.sleep(0.3 + chance.random())
            for indexer in indexers:
                indexer.kill()
                indexer.join()
                assert indexer.exitcode == -9, "it ended by itself"
    assert chain.failure is None
    for _ in range(100):
        chain.block()
    client = ChainClient("main", 138, [chain.url], transport=HttpTransport(20))
    open_index(database).advance(client)
    open_index(clean).advance(client)
    assert_whole(chain, database, clean)
    with reading(database) as ours, reading(clean) as theirs:
        assert ours.counts() == theirs.counts()
        assert ours.bridge(0, 2**40) == theirs.bridge(0, 2**40)
        assert ours.settlement_histogram() == theirs.settlement_histogram()
        assert ours.outcomes(0, 2**40) == theirs.outcomes(0, 2**40)
        assert ours.oldest_pending() == theirs.oldest_pending()


def test_open__two_at_once_on_an_empty_database__both_work(anvil: Anvil, database: str) -> None:
    chain = LivelyChain(anvil, random.Random(3))
    chain.block()
    indexers = [start_indexer(chain.url, database, 50) for _ in range(2)]
    time.sleep(0.5)
    for indexer in indexers:
        assert indexer.is_alive()
        indexer.kill()
        indexer.join()


def test_advance__row_locked_by_another__gives_up_in_words(
    anvil: Anvil, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import create_engine, text

    monkeypatch.setattr("attest.monitor.database._LOCK_SECONDS", 1)
    chain = LivelyChain(anvil, random.Random(3))
    client = ChainClient("main", 138, [chain.url], transport=HttpTransport(20))
    chain.block()
    index = open_index(database)
    index.advance(client)
    chain.block()
    before = content(database)
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("SELECT * FROM attest_index FOR UPDATE"))
        with pytest.raises(OperatorError, match="lock timeout") as refused:
            index.advance(client)
    engine.dispose()
    assert refused.value.code == "index-locked"
    assert content(database) == before
    index.advance(client)
    assert content(database) != before


def test_open__wrong_password__is_refused_without_it(server: Server) -> None:
    with pytest.raises(OperatorError, match="authentication failed") as refused:
        open_index(server.url(password="wr@ng/wörd"))
    assert refused.value.code == "index-unusable"
    assert "wr@ng" not in repr(refused.value.__dict__) + repr(refused.value.__cause__)
