"""A real chain full of events that moves and reorganises by itself, and what an index of it must hold."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from attest.chain.devnet import Anvil
from attest.chain.rpc import ChainClient
from attest.posting import HttpTransport
from tests.support.eventful import (
    ACCESS,
    BRIDGE,
    COMPLIANCE,
    EMITTER,
    LIQUIDATION,
    STABILIZER,
    TOKEN,
    any_emission,
    calldata,
)
from tests.support.indexing import content


class LivelyChain:
    """An anvil whose contracts emit events of all kinds, which reorganises now and then."""

    def __init__(self, node: Anvil, chance: random.Random) -> None:
        self.url = node.url
        self._chance = chance
        self._client = ChainClient("main", 138, [node.url], transport=HttpTransport(20))
        self._sender = self.rpc("eth_accounts")[0]
        for address in (BRIDGE, TOKEN, COMPLIANCE, LIQUIDATION, STABILIZER, ACCESS):
            self.rpc("anvil_setCode", address, f"0x{EMITTER.hex()}")
        self.rpc("evm_setAutomine", False)
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self.reorgs = 0

    def rpc(self, method: str, *params: object) -> Any:
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
        head = int(self.rpc("eth_blockNumber"), 16)
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
