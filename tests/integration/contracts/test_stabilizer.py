"""Stabilizer on a real chain: what a flash loan could use is closed, and what is traded is what the formula says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ADMIN, FEED, KEEPER, GUARDIAN, STRANGER = range(5)
WAD = 10**18
USD = 10**6
GWEI = 10**9
WINDOW = 100_000
PERCENT = WAD // 100
#: Threshold 1 %, k 1,000,000 dollars, 3 blocks, gap 1, delay 2 blocks, cap 60,000 dollars, slippage 1 %, 100 gwei.
SETTINGS = (PERCENT, 1_000_000 * USD, 3, 1, 2, 60_000 * USD, PERCENT, 100 * GWEI)

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def oracle(chain: Any, grant: Any) -> Any:
    """2000 dollars for so long that a few seconds of another price do not move the average by a cent."""
    contract = chain.deploy("XAUOracle", chain.accounts[ADMIN], 10 * WINDOW, WINDOW)
    grant(contract, "FEED_ROLE", FEED)
    grant(contract, "GUARDIAN_ROLE", GUARDIAN)
    chain.send(contract, "submitPrice", 2000 * WAD, sender=FEED)
    chain.mine_at(chain.now() + WINDOW)
    return contract


@pytest.fixture(scope="module")
def gold(make_token: Any) -> Any:
    return make_token("GOLD", 18, 10**6 * WAD)


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, 10**9 * USD)


@pytest.fixture(scope="module")
def venue(chain: Any, oracle: Any, gold: Any, usdw: Any) -> Any:
    contract = chain.deploy("PracticeVenue", oracle.address, gold.address, usdw.address, WAD // 1000)
    chain.send(gold, "transfer", contract.address, 10_000 * WAD)
    chain.send(usdw, "transfer", contract.address, 10_000_000 * USD)
    return contract


@pytest.fixture(scope="module")
def make_stabilizer(chain: Any, oracle: Any, venue: Any, gold: Any, usdw: Any, grant: Any) -> Callable[..., Any]:
    def make(**changed: int) -> Any:
        names = ("threshold", "factor", "required", "gap", "delay", "cap", "slippage", "gas_price")
        settings = tuple((dict(zip(names, SETTINGS, strict=True)) | changed).values())
        parts = (chain.accounts[ADMIN], oracle.address, venue.address, gold.address, usdw.address)
        contract = chain.deploy("Stabilizer", *parts, settings)
        grant(contract, "KEEPER_ROLE", KEEPER)
        chain.send(gold, "transfer", contract.address, 100 * WAD)
        chain.send(usdw, "transfer", contract.address, 200_000 * USD)
        return contract

    return make


@pytest.fixture(scope="module")
def stabilizer(make_stabilizer: Any) -> Any:
    return make_stabilizer()


@pytest.fixture
def price(chain: Any, oracle: Any) -> Callable[[int], Any]:
    return lambda value: chain.send(oracle, "submitPrice", value, sender=FEED)


@pytest.fixture
def observe(chain: Any, stabilizer: Any) -> Callable[..., Any]:
    """Observes in some blocks in a row; the last one's events."""

    def send(blocks: int, contract: Any = None) -> Any:
        contract = contract or stabilizer
        receipts = [chain.send(contract, "observe", sender=KEEPER) for _ in range(blocks)]
        return chain.events(contract, receipts[-1])

    return send


@pytest.fixture
def stabilize(chain: Any, stabilizer: Any) -> Callable[..., Any]:
    return lambda contract=None, gas_price=None: chain.send(
        contract or stabilizer, "stabilize", sender=KEEPER, gas_price=gas_price
    )


def traded(chain: Any, contract: Any, receipt: Any) -> tuple[Any, ...]:
    ((name, values),) = chain.events(contract, receipt)
    assert name == "StabilizationTrade"
    return tuple(values)


# -- how long it lasts -----------------------------------------------------------------------------------------------


def test_observe__deviation__counts_the_blocks_it_lasts(chain: Any, stabilizer: Any, price: Any, observe: Any) -> None:
    assert observe(1) == [("DeviationObserved", (0, 0, 3))]
    price(2100 * WAD)
    for sustained in (1, 2, 3, 4):
        ((_, (deviation, counted, required)),) = observe(1)
        assert (counted, required) == (sustained, 3)
        assert 4 * PERCENT < deviation <= 5 * PERCENT
    assert (chain.call(stabilizer, "sustainedBlocks"), chain.call(stabilizer, "requiredBlocks")) == (4, 3)


def test_stabilize__deviation_of_fewer_blocks_than_required__reverts(
    price: Any, observe: Any, stabilize: Any, expect_revert: Any
) -> None:
    price(2100 * WAD)
    observe(2)
    with expect_revert("NotSustained", 2, 3):
        stabilize()


def test_observe__twice_in_one_block__counts_once(chain: Any, stabilizer: Any, price: Any) -> None:
    price(2100 * WAD)
    chain.rpc("evm_setAutomine", False)
    data = "0x" + stabilizer.artifact.call_data("observe").hex()
    transaction = {"from": chain.accounts[KEEPER], "to": stabilizer.address, "gas": hex(300_000), "data": data}
    hashes = [chain.rpc("eth_sendTransaction", transaction) for _ in range(2)]
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    logs = [len(chain.rpc("eth_getTransactionReceipt", digest)["logs"]) for digest in hashes]
    assert logs == [1, 0]
    assert chain.call(stabilizer, "sustainedBlocks") == 1


def test_observe__price_back_at_the_average__begins_again(
    chain: Any, stabilizer: Any, price: Any, observe: Any
) -> None:
    price(2100 * WAD)
    observe(2)
    price(2000 * WAD)
    assert observe(1)[0][1][1] == 0
    price(2100 * WAD)
    assert observe(1)[0][1][1] == 1


def test_observe__deviation_over__logs_for_how_many_blocks_it_lasted(
    chain: Any, stabilizer: Any, price: Any, observe: Any
) -> None:
    def ended(receipts: Any) -> list[Any]:
        return [values for name, values in receipts if name == "DeviationEnded"]

    price(2100 * WAD)
    assert ended([each for _ in range(3) for each in observe(1)]) == [], "it goes on"
    price(2000 * WAD)
    assert ended(observe(1)) == [(3,)]
    assert ended(observe(1)) == [], "once"
    price(2100 * WAD)
    observe(2)
    chain.rpc("evm_mine")
    chain.rpc("evm_mine")
    assert ended(observe(1)) == [(2,)], "it went on, unobserved for too long: that is another"
    price(2000 * WAD)
    assert ended(observe(1)) == [(1,)]


def test_observe__gap_longer_than_allowed__begins_again(
    chain: Any, stabilizer: Any, price: Any, observe: Any, stabilize: Any, expect_revert: Any
) -> None:
    price(2100 * WAD)
    observe(3)
    chain.rpc("evm_mine")
    chain.rpc("evm_mine")
    assert chain.call(stabilizer, "sustainedBlocks") == 0
    with expect_revert("NotSustained", 0, 3):
        stabilize()
    assert observe(1)[0][1][1] == 1


def test_observe__exactly_at_the_threshold__is_no_deviation(chain: Any, oracle: Any, make_stabilizer: Any) -> None:
    begun = chain.now() + 10
    chain.send(oracle, "submitPrice", 2100 * WAD, sender=FEED, at=begun)

    def deviation(seconds: int) -> int:
        average = (2000 * WAD * (WINDOW - seconds) + 2100 * WAD * seconds) // WINDOW
        return (2100 * WAD - average) * WAD // average

    at, below = make_stabilizer(threshold=deviation(50)), make_stabilizer(threshold=deviation(60) - 1)
    for contract, seconds, sustained in ((at, 50, 0), (below, 60, 1)):
        receipt = chain.send(contract, "observe", sender=KEEPER, at=begun + seconds)
        assert chain.events(contract, receipt) == [("DeviationObserved", (deviation(seconds), sustained, 3))]
        assert (chain.call(contract, "tradeSize") > 0) is bool(sustained)


# -- trades ----------------------------------------------------------------------------------------------------------


def test_stabilize__price_above_the_average__sells_gold_of_size_k_times_deviation(
    chain: Any, stabilizer: Any, oracle: Any, gold: Any, usdw: Any, price: Any, observe: Any, stabilize: Any
) -> None:
    price(2100 * WAD)
    observe(3)
    receipt = stabilize()
    average, deviation = chain.call(oracle, "twap"), chain.call(oracle, "twapDeviation")
    size = 1_000_000 * USD * deviation // WAD
    ounces = size * 10**30 // average
    given = (ounces * 2100 * USD // WAD) * 999 // 1000
    token_in, token_out, amount_in, amount_out, *rest = traded(chain, stabilizer, receipt)
    assert (token_in, token_out) == (gold.address.lower(), usdw.address.lower())
    assert (amount_in, rest) == (ounces, [size, deviation, size])
    assert abs(amount_out - given) <= 1
    assert chain.call(stabilizer, "tradeSize") == size
    assert chain.call(usdw, "balanceOf", stabilizer.address) == 200_000 * USD + amount_out
    assert chain.call(gold, "allowance", stabilizer.address, chain.call(stabilizer, "venue")) == 0
    assert chain.call(stabilizer, "tradeCount") == 1
    assert chain.call(stabilizer, "lastBlockVolume") == size
    assert chain.call(stabilizer, "lastTradeBlock") == int(receipt["blockNumber"], 16)


def test_stabilize__price_below_the_average__buys_gold(
    chain: Any, stabilizer: Any, gold: Any, usdw: Any, price: Any, observe: Any, stabilize: Any
) -> None:
    price(1900 * WAD)
    observe(3)
    token_in, token_out, amount_in, amount_out, size, *_ = traded(chain, stabilizer, stabilize())
    assert (token_in, token_out, amount_in) == (usdw.address.lower(), gold.address.lower(), size)
    assert amount_out == (size * WAD // (1900 * USD)) * 999 // 1000


def test_stabilize__large_deviation__is_cut_to_the_blocks_cap(
    chain: Any, stabilizer: Any, price: Any, observe: Any, stabilize: Any
) -> None:
    price(2500 * WAD)
    observe(3)
    *_, size, deviation, volume = traded(chain, stabilizer, stabilize())
    assert size == volume == chain.call(stabilizer, "blockVolumeCap") == 60_000 * USD
    assert deviation > 20 * PERCENT
    chain.rpc("evm_mine")
    assert chain.call(stabilizer, "blockVolume") == 0, "another block"
    assert chain.call(stabilizer, "lastBlockVolume") == 60_000 * USD


def test_stabilize__two_trades_in_one_block__share_the_cap(
    chain: Any, make_stabilizer: Any, price: Any, observe: Any
) -> None:
    """Without a delay between trades."""
    contract = make_stabilizer(delay=0, factor=400_000 * USD, cap=30_000 * USD)
    price(2100 * WAD)
    observe(3, contract)
    chain.rpc("evm_setAutomine", False)
    data = "0x" + contract.artifact.call_data("stabilize").hex()
    transaction = {"from": chain.accounts[KEEPER], "to": contract.address, "gas": hex(900_000), "data": data}
    hashes = [chain.rpc("eth_sendTransaction", transaction) for _ in range(3)]
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    receipts = [chain.rpc("eth_getTransactionReceipt", digest) for digest in hashes]
    assert [receipt["status"] for receipt in receipts] == ["0x1", "0x1", "0x0"]
    sizes = [traded(chain, contract, receipt)[4] for receipt in receipts[:2]]
    assert sizes[0] > sizes[1] > 0
    assert sum(sizes) == chain.call(contract, "lastBlockVolume") == 30_000 * USD


def test_stabilize__no_room_in_a_block__reverts(
    make_stabilizer: Any, price: Any, observe: Any, stabilize: Any, expect_revert: Any
) -> None:
    contract = make_stabilizer(cap=0)
    price(2100 * WAD)
    observe(3, contract)
    with expect_revert("BlockVolumeCapReached", 0, 0):
        stabilize(contract)


def test_stabilize__before_the_delay__reverts_and_works_after_it(
    chain: Any, make_stabilizer: Any, price: Any, observe: Any, stabilize: Any, expect_revert: Any
) -> None:
    contract = make_stabilizer(delay=4, gap=5)
    price(2100 * WAD)
    observe(3, contract)
    first = int(stabilize(contract)["blockNumber"], 16)
    for block in (1, 2, 3):
        with expect_revert("TooSoon", first + block, first + 4):
            stabilize(contract)  # a failed transaction makes a block
    assert int(stabilize(contract)["blockNumber"], 16) == first + 4


def test_stabilize__price_fell_back_since_the_last_observation__does_nothing(
    make_stabilizer: Any, price: Any, observe: Any, stabilize: Any, expect_revert: Any
) -> None:
    contract = make_stabilizer(gap=5)
    price(2100 * WAD)
    observe(3, contract)
    price(2000 * WAD)
    with expect_revert("NothingToDo"):
        stabilize(contract)


def test_stabilize__venue_that_keeps_more_than_the_slippage__reverts(
    chain: Any, oracle: Any, gold: Any, usdw: Any, grant: Any, price: Any, observe: Any, stabilize: Any,
    expect_revert: Any,
) -> None:  # fmt: skip
    greedy = chain.deploy("PracticeVenue", oracle.address, gold.address, usdw.address, 10 * PERCENT)
    chain.send(usdw, "transfer", greedy.address, 10_000_000 * USD)
    parts = (chain.accounts[ADMIN], oracle.address, greedy.address, gold.address, usdw.address)
    contract = chain.deploy("Stabilizer", *parts, SETTINGS)
    grant(contract, "KEEPER_ROLE", KEEPER)
    chain.send(gold, "transfer", contract.address, 100 * WAD)
    price(2100 * WAD)
    observe(3, contract)
    with expect_revert("SlippageExceeded"):
        stabilize(contract)
    assert chain.call(gold, "balanceOf", contract.address) == 100 * WAD


def test_stabilize__gas_price__up_to_the_limit_and_not_above(
    chain: Any, price: Any, observe: Any, stabilize: Any, make_stabilizer: Any, expect_revert: Any
) -> None:
    contract = make_stabilizer(gap=3)
    price(2100 * WAD)
    observe(3, contract)
    with expect_revert("GasPriceTooHigh", 100 * GWEI + 1, 100 * GWEI):
        stabilize(contract, gas_price=100 * GWEI + 1)
    stabilize(contract, gas_price=100 * GWEI)


def test_stabilize__frozen_price_or_empty_hands__reverts(
    chain: Any, oracle: Any, gold: Any, make_stabilizer: Any, price: Any, observe: Any, stabilize: Any,
    expect_revert: Any,
) -> None:  # fmt: skip
    contract = make_stabilizer(gap=9)
    price(2100 * WAD)
    observe(3, contract)
    chain.send(oracle, "freeze", sender=GUARDIAN)
    with expect_revert("OracleFrozen"):
        stabilize(contract)
    chain.send(oracle, "unfreeze")
    chain.send(contract, "withdraw", gold.address, chain.accounts[ADMIN], 100 * WAD)
    with expect_revert("ERC20InsufficientBalance"):
        stabilize(contract)


# -- roles and settings ----------------------------------------------------------------------------------------------


def test_roles__each_function__asks_for_its_own(chain: Any, stabilizer: Any, gold: Any, expect_role: Any) -> None:
    for sender in (ADMIN, STRANGER):
        expect_role(stabilizer, "KEEPER_ROLE", sender, "observe")
        expect_role(stabilizer, "KEEPER_ROLE", sender, "stabilize")
    expect_role(stabilizer, None, KEEPER, "setSettings", SETTINGS)
    expect_role(stabilizer, None, KEEPER, "withdraw", gold.address, chain.accounts[KEEPER], 1)


def test_settings__set__are_readable_and_announced(chain: Any, stabilizer: Any) -> None:
    assert chain.call(stabilizer, "settings") == SETTINGS
    changed = tuple(value + 1 for value in SETTINGS)
    receipt = chain.send(stabilizer, "setSettings", changed)
    assert chain.events(stabilizer, receipt) == [("SettingsSet", (changed,))]
    assert chain.call(stabilizer, "settings") == changed


@pytest.mark.parametrize("place", [2, 3, 6], ids=["no blocks", "no gap", "slippage of more than everything"])
def test_settings__impossible_ones__revert(
    chain: Any, stabilizer: Any, make_stabilizer: Any, expect_revert: Any, place: int
) -> None:
    value = WAD + 1 if place == 6 else 0
    with expect_revert("InvalidSettings"):
        chain.send(stabilizer, "setSettings", (*SETTINGS[:place], value, *SETTINGS[place + 1 :]))


def test_venue__other_tokens_than_its_two__reverts(chain: Any, venue: Any, gold: Any, expect_revert: Any) -> None:
    with expect_revert("UnknownPair", gold.address.lower(), gold.address.lower()):
        chain.send(venue, "swap", gold.address, gold.address, 1)
