"""How many HTTP requests a run needs: few, and no more for thirty tokens than for three."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attest import config, devnet, pipeline
from attest.chain.rpc import connect
from attest.environment import build
from attest.posting import HttpTransport, Reply
from tests.support.many import due_week
from tests.support.practice import Narration, rpc

MOST_REQUESTS = 16


class Counting:
    """Counts requests. Looks for receipts that follow each other are one: how often a run has to look is up to how soon
    the chain makes a block. Transactions that are sent together are mined together: anvil, which mines each at once,
    leaves one waiting now and then whose predecessor it has just mined, and the run has to send it again."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting = False
        self._real = HttpTransport(20)

    def post(self, url: str, body: bytes) -> Reply:
        methods = {call["method"] for call in json.loads(body)}
        looks = "eth_getTransactionReceipt" in methods and "eth_call" not in methods
        self.count += not (looks and self._waiting)
        self._waiting = looks
        if "eth_sendRawTransaction" not in methods:
            return self._real.post(url, body)
        rpc(url, "evm_setAutomine", False)
        try:
            return self._real.post(url, body)
        finally:
            rpc(url, "evm_setAutomine", True)
            rpc(url, "evm_mine")


def requests_of_a_run(folder: Path, *, tokens: int, reporters: int) -> int:
    with due_week(folder, tokens=tokens, reporters=reporters):
        loaded = config.load(folder / "attest.toml")
        counting = Counting()
        chain = connect(loaded.config.chains["main"], name="main", base=loaded.base, transport=counting)
        environment = build(loaded, Narration(), chains={"main": chain})
        assert pipeline.run(environment, devnet.PERIOD).exit_code == 0
        return counting.count


@pytest.mark.parametrize("reporters", [1, 3])
def test_run__three_and_thirty_tokens__need_the_same_few_requests(tmp_path: Path, reporters: int) -> None:
    few = requests_of_a_run(tmp_path / "three", tokens=3, reporters=reporters)
    many = requests_of_a_run(tmp_path / "thirty", tokens=30, reporters=reporters)
    assert few <= MOST_REQUESTS
    assert many <= few
