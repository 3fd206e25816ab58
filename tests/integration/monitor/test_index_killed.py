"""The event index over a real chain that moves and reorganises, by indexers that are killed at random, two at a time:
in the end it holds what one clean scan finds, and what the receipts say. ``make soak`` kills 200 times, else 20."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from attest.chain.devnet import Anvil
from attest.chain.rpc import ChainClient
from attest.monitor.totals import reading
from attest.posting import HttpTransport
from tests.support.indexing import open_index, start_indexer
from tests.support.lively import LivelyChain, assert_whole

KILLS = 200 if os.environ.get("ATTEST_SOAK") == "1" else 20
SPANS = (3, 20, 90, 400)


def test_advance__killed_at_random_on_a_moving_chain__ends_with_the_totals_of_one_clean_scan(
    anvil: Anvil, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    database, clean = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("killed", "clean"))
    chain = LivelyChain(anvil, random.Random(seed))
    for _ in range(200):
        chain.block()
    died, advanced, seen = 0, 0, -1
    with chain:
        while died < KILLS:
            indexers = [start_indexer(chain.url, database, chance.choice(SPANS)) for _ in range(2)]
            time.sleep(chance.random() * 0.5)
            for indexer in chance.sample(indexers, 2):
                time.sleep(chance.random() * 0.05)
                indexer.kill()
                indexer.join()
                assert indexer.exitcode == -9, "it ended by itself"
                died += 1
            cursor = open_index(database, span=400).cursor()
            advanced += cursor is not None and cursor.number != seen
            seen = seen if cursor is None else cursor.number
    assert chain.failure is None
    for _ in range(100):  # past every head that there was
        chain.block()
    client = ChainClient("main", 138, [chain.url], transport=HttpTransport(20))
    progress = open_index(database).advance(client)
    assert progress.indexed == progress.head
    open_index(clean).advance(client)
    assert_whole(chain, database, clean)
    with reading(database) as totals:
        assert totals.unreadable() == (0, [])
        assert all(count > 10 for kind, count in totals.counts().items() if not kind.endswith("violated"))
        assert totals.settlement_histogram().count > 0
        assert totals.reorgs().count > 0
    assert chain.reorgs > 0
    assert advanced > KILLS / 8, "they were killed before they did anything"


def test_advance__node_down_for_many_blocks__indexes_them_when_it_is_back(anvil: Anvil, tmp_path: Path) -> None:
    database, clean = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("late", "clean"))
    chain = LivelyChain(anvil, random.Random(7))
    client = ChainClient("main", 138, [chain.url], transport=HttpTransport(20))
    chain.block()
    open_index(database).advance(client)
    for _ in range(200):
        chain.block()
    open_index(database, span=50).advance(client)
    open_index(clean).advance(client)
    assert_whole(chain, database, clean)


@pytest.mark.parametrize("finality", ["depth:20", "instant"])
def test_advance__finality_of_the_chain__decides_how_far_it_goes(anvil: Anvil, tmp_path: Path, finality: str) -> None:
    chain = LivelyChain(anvil, random.Random(7))
    for _ in range(30):
        chain.block()
    client = ChainClient("main", 138, [chain.url], transport=HttpTransport(20))
    head = client.head().number
    progress = open_index(f"sqlite:///{tmp_path}/a.sqlite", finality=finality).advance(client)
    assert head - progress.indexed == (20 if finality == "depth:20" else 0)
