"""The event index over a real chain that moves and reorganises, by indexers that are killed at random, two at a time:
in the end it holds what one clean scan finds, and what the receipts say. ``make soak`` kills 200 times, else 20."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from attest.chain.devnet import Anvil
from attest.chain.rpc import ChainClient, HttpTransport
from attest.monitor.totals import reading
from tests.support.eventful import BRIDGE, COMPLIANCE, EMITTER, LIQUIDATION, TOKEN, any_emission, calldata
from tests.support.indexing import content, open_index, start_indexer

KILLS = 200 if os.environ.get("ATTEST_SOAK") == "1" else 20
SPANS = (3, 20, 90, 400)


class LivelyChain:
    """An anvil whose contracts emit events of all kinds, which reorganises now and then."""

    def __init__(self, node: Anvil, chance: random.Random) -> None:
        self.url = node.url
        self._chance = chance
        self._client = ChainClient("main", 138, [node.url], transport=HttpTransport(20))
        (self._sender, *_) = self.rpc("eth_accounts")
        for address in (BRIDGE, TOKEN, COMPLIANCE, LIQUIDATION):
            self.rpc("anvil_setCode", address, f"0x{EMITTER.hex()}")
        self.rpc("evm_setAutomine", False)
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self.reorgs = 0

    def rpc(self, method: str, *params: object) -> object:
        (answer,) = self._client.batch([(method, list(params))])
        return answer

    def block(self) -> None:
        """One more block, with up to five events."""
        events = [any_emission(self._chance) for _ in range(self._chance.randrange(6))]
        calls = [
            {"from": self._sender, "to": event.address, "data": calldata(event), "gas": hex(100_000)}
            for event in events
        ]
        self._client.batch([*(("eth_sendTransaction", [call]) for call in calls), ("evm_mine", [])])

    def reorganise(self) -> None:
        """Up to 60 blocks go: replaced by as many others at once, or by others that come later."""
        depth = self._chance.choice([1, 2, 3, 5, 8, 60])
        if self._chance.random() < 0.5:
            self.rpc("anvil_reorg", depth, [])
        else:
            self.rpc("anvil_rollback", depth)
        self.reorgs += 1

    def _move(self) -> None:
        try:
            while not self._stop.is_set():
                self.block()
                if self._chance.random() < 0.08:
                    self.reorganise()
                time.sleep(self._chance.random() * 0.02)
        except BaseException as fault:
            self.failure = fault

    def __enter__(self) -> LivelyChain:
        self._thread = threading.Thread(target=self._move, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def receipts(self) -> set[tuple[str, str]]:
        """Block hash and log index of every log of the chain, block by block."""
        head = int(str(self.rpc("eth_blockNumber")), 16)
        blocks = self._client.batch([("eth_getBlockReceipts", [hex(number)]) for number in range(1, head + 1)])
        return {
            (log["blockHash"][2:], log["logIndex"]) for block in blocks for receipt in block for log in receipt["logs"]
        }


def assert_whole(chain: LivelyChain, database: str, clean: str) -> None:
    """What two databases hold is the same, and is what the receipts say."""
    assert content(database) == content(clean)
    stored = {(row[3], hex(row[2])) for row in content(clean)["attest_events"]}
    everything = chain.receipts()
    assert stored <= everything
    moves_between_holders = len(everything - stored)
    assert 0 < moves_between_holders < len(everything) / 5  # every tenth event is none of ours


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
