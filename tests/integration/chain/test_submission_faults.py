"""Exactly-once submission by Besu's rules, under seeded random faults of endpoints, crashes and kills, on real nodes.

A failing seed prints its schedule; ``ATTEST_SEED=n`` plays it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from attest.chain.devnet import Anvil
from attest.chain.journal import Journal
from attest.chain.submission import Submitter
from attest.errors import ChainError
from attest.model import ReportReceipt
from attest.signing.transaction import Transaction
from attest.store import LocalStore, OverlayStore, Store
from tests.support.mempool import decoded
from tests.support.proxy import MAX_FUTURE, BesuRules, Proxy
from tests.support.schedules import PATIENCE, SIGNERS, Schedule, Theatre, Time, prepare

GENESIS = 1_794_830_400
SOAK = os.environ.get("ATTEST_SOAK") == "1"
SEEDS = [int(os.environ["ATTEST_SEED"])] if "ATTEST_SEED" in os.environ else range(1000 if SOAK else 200)
#: Every so many schedules the trials are processes of their own, and end by SIGKILL.
KILLED_EVERY = 20


@pytest.fixture(scope="module")
def theatres(anvil: Anvil) -> Iterator[dict[str, Theatre]]:
    """A chain where gas costs something, and one where it is free."""

    def theatre(node: Anvil) -> Theatre:
        rules = BesuRules(node.url)
        return Theatre(prepare(node.url), rules, [Proxy(rules) for _ in range(3)])

    with Anvil(timestamp=GENESIS, free_gas=True) as free:
        made = {"paid": theatre(anvil), "free": theatre(free)}
        proxies = [proxy for each in made.values() for proxy in each.proxies]
        for proxy in proxies:
            proxy.__enter__()
        yield made
        for proxy in proxies:
            proxy.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def _quick_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transactions are decoded over and over, by many processes of one test."""
    monkeypatch.setattr("attest.chain.journal.decode", decoded)
    monkeypatch.setattr("attest.chain.submission.decode", decoded)


@pytest.mark.no_cover  # many runs over lines that other tests cover
@pytest.mark.parametrize("seed", SEEDS)
def test_run__any_faults_and_deaths__each_report_lands_once_in_the_end(
    theatres: dict[str, Theatre], tmp_path: Path, seed: int
) -> None:
    schedule = Schedule.of(seed, processes=seed % KILLED_EVERY == 0)
    theatre = theatres["free" if schedule.fees == "free" else "paid"]
    try:
        theatre.play(schedule, tmp_path / "store")
    except BaseException as fault:
        fault.add_note(f"ATTEST_SEED={seed}: {schedule}\n{theatre.told()}")
        raise


# -- one misfortune at a time ------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """A chain to itself, its healthy endpoint, and a journal."""

    theatre: Theatre
    fees: str
    store: Store = field(default_factory=lambda: OverlayStore(LocalStore(Path("/nonexistent"))))

    def __post_init__(self) -> None:
        self.theatre.start_over()
        self.node = self.theatre.node
        self.time = Time(True, self.node.mine)
        self.intents = self.theatre.ground.intents()

    def submitter(self) -> Submitter:
        return self.theatre.process(self.fees).submitter(self.store, self.time)

    def run(self) -> Sequence[ReportReceipt]:
        submitter = self.submitter()
        submitter.submit(self.intents)
        return submitter.confirm(self.intents)


@pytest.fixture(params=["legacy", "eip1559", "free"])
def scene(request: pytest.FixtureRequest, theatres: dict[str, Theatre]) -> Scene:
    return Scene(theatres["free" if request.param == "free" else "paid"], request.param)


def test_confirm__blocks_come_and_leave_it_out__replaced_as_besu_wants_within_the_configured_time(scene: Scene) -> None:
    submitter = scene.submitter()
    first = submitter.submit(scene.intents)
    scene.time.mine = scene.node.mine_nothing

    def leave_out_no_more() -> None:
        scene.time.mine = scene.node.mine

    scene.node.on_sent = leave_out_no_more
    receipts = submitter.confirm(scene.intents)

    assert PATIENCE <= scene.time.seconds <= 2 * PATIENCE
    scene.theatre.assert_each_landed_once()
    journal = Journal(scene.store, 138)
    for before, receipt in zip(first, receipts, strict=True):
        _, replacement = journal.attempts(before.sender)[before.nonce]
        assert receipt.transaction == replacement.hash
        if scene.fees == "free":
            assert (replacement.max_fee_per_gas, replacement.gas) == (0, before.gas + 1)
        else:
            assert 10 * replacement.max_fee_per_gas >= 11 * before.max_fee_per_gas


def test_run__reorganised_away_after_it_was_confirmed__the_next_run_lands_the_same_transactions(scene: Scene) -> None:
    receipts = scene.run()
    entries = scene.store.list("tx")
    first = min(receipt.block_number for receipt in receipts)
    scene.node.reorganise(int(scene.node.rpc("eth_blockNumber"), 16) - first + 1)
    with pytest.raises(AssertionError):
        scene.theatre.assert_each_landed_once()

    again = scene.run()

    scene.theatre.assert_each_landed_once()
    assert [each.transaction for each in again] == [each.transaction for each in receipts]
    assert [each.block for each in again] != [each.block for each in receipts]
    assert scene.store.list("tx") == entries


@pytest.mark.parametrize(("code", "advice"), [(-32007, "permissioning"), (-32009, "max_fee_per_gas")])
def test_submit__node_refuses_with_besus_code__told_and_sent_again_once_mended(
    scene: Scene, code: int, advice: str
) -> None:
    if code == -32007:
        scene.node.allowed = set()
    else:
        scene.node.min_gas_price = 10**15

    with pytest.raises(ChainError, match=f"code {code}") as refusal:
        scene.run()

    assert refusal.value.code == "transaction-refused"
    assert advice in refusal.value.advice
    entries = scene.store.list("tx")
    scene.node.allowed, scene.node.min_gas_price = None, 0
    scene.run()
    scene.theatre.assert_each_landed_once()
    assert scene.store.list("tx") == entries


# -- the proxy itself --------------------------------------------------------------------------------------------------


def test_proxy__replacements_and_nonces__judged_as_besu_does(scene: Scene) -> None:
    sender, signer = next(iter(SIGNERS.items()))

    def send(nonce: int, price: int, gas: int = 21_000) -> tuple[Any, str]:
        raw = signer.sign_transaction(Transaction("legacy", 138, nonce, sender, 0, b"", gas, price))
        (answer,) = scene.node.batch([{"id": 1, "method": "eth_sendRawTransaction", "params": [f"0x{raw.hex()}"]}])
        return answer.get("error", {}).get("code", "taken"), answer.get("error", {}).get("message", "")

    price, dearer = (0, 0) if scene.fees == "free" else (10**10, 11 * 10**9)
    assert send(0, price) == send(1, price) == ("taken", "")
    assert send(0, price) == (-32000, "Known transaction")
    if price:
        assert send(0, dearer - 1) == (-32000, "replacement transaction underpriced")
    assert send(0, dearer, gas=21_001) == ("taken", "")
    assert send(MAX_FUTURE + 1, price)[0] == -32006
    scene.node.rpc("evm_mine")
    assert scene.node.rpc("eth_getTransactionCount", sender, "latest") == "0x2"
    assert send(0, price)[0] == -32001
