"""XAUOracle on a real chain: usable and unusable prices, the brake, and the average over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ADMIN, FEED, GUARDIAN, STRANGER = range(4)
HOUR = 3600
WAD = 10**18
MAX_PRICE = 2**192 - 1

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def oracle(chain: Any, grant: Any) -> Any:
    contract = chain.deploy("XAUOracle", chain.accounts[ADMIN], HOUR, 1000)
    grant(contract, "FEED_ROLE", FEED)
    grant(contract, "GUARDIAN_ROLE", GUARDIAN)
    return contract


@pytest.fixture
def submit(chain: Any, oracle: Any) -> Callable[..., Any]:
    return lambda price, at=None: chain.send(oracle, "submitPrice", price, sender=FEED, at=at)


@pytest.fixture
def now(chain: Any) -> int:
    return int(chain.now()) + 100


def test_submit__price__is_readable_and_announced(chain: Any, oracle: Any, submit: Any, now: int) -> None:
    receipt = submit(2400 * WAD, now)
    assert chain.events(oracle, receipt) == [("PriceUpdated", (2400 * WAD, now))]
    answers = [chain.call(oracle, name) for name in ("price", "lastPrice", "updatedAt", "twap", "twapDeviation")]
    assert answers == [2400 * WAD, 2400 * WAD, now, 2400 * WAD, 0]


@pytest.mark.parametrize("price", [0, MAX_PRICE + 1, 2**256 - 1])
def test_submit__price_of_nothing_or_too_large__reverts(submit: Any, expect_revert: Any, price: int) -> None:
    with expect_revert("InvalidPrice", price):
        submit(price)


def test_submit__largest_price__is_averaged_without_overflow(chain: Any, oracle: Any, submit: Any, now: int) -> None:
    submit(MAX_PRICE, now)
    submit(MAX_PRICE, now + 500)
    chain.mine_at(now + 900)
    assert chain.call(oracle, "twap") == MAX_PRICE


def test_price__never_submitted__there_is_none(chain: Any, oracle: Any, expect_revert: Any) -> None:
    assert [chain.call(oracle, name) for name in ("lastPrice", "updatedAt", "isStale")] == [0, 0, True]
    for function in ("price", "twap", "twapDeviation"):
        with expect_revert("NoPrice"):
            chain.call(oracle, function)


def test_price__exactly_as_old_as_allowed__is_usable_and_one_second_later_is_not(
    chain: Any, oracle: Any, submit: Any, expect_revert: Any, now: int
) -> None:
    submit(WAD, now)
    chain.mine_at(now + HOUR)
    assert (chain.call(oracle, "price"), chain.call(oracle, "isStale")) == (WAD, False)
    chain.mine_at(now + HOUR + 1)
    assert (chain.call(oracle, "lastPrice"), chain.call(oracle, "isStale")) == (WAD, True)
    with expect_revert("PriceStale", now, HOUR):
        chain.call(oracle, "price")


def test_freeze__by_the_guardian__stops_the_price_until_the_admin_unfreezes(
    chain: Any, oracle: Any, submit: Any, expect_revert: Any
) -> None:
    submit(WAD)
    guardian, admin = chain.accounts[GUARDIAN].lower(), chain.accounts[ADMIN].lower()
    assert chain.events(oracle, chain.send(oracle, "freeze", sender=GUARDIAN)) == [("Frozen", (guardian,))]
    assert chain.send(oracle, "freeze", sender=GUARDIAN)["logs"] == [], "a second time it does nothing"
    assert (chain.call(oracle, "isFrozen"), chain.call(oracle, "lastPrice")) == (True, WAD)
    with expect_revert("OracleFrozen"):
        chain.call(oracle, "price")
    submit(2 * WAD)  # it is mended while it is frozen
    assert chain.events(oracle, chain.send(oracle, "unfreeze")) == [("Unfrozen", (admin,))]
    assert chain.send(oracle, "unfreeze")["logs"] == []
    assert (chain.call(oracle, "isFrozen"), chain.call(oracle, "price")) == (False, 2 * WAD)


@pytest.mark.parametrize(
    ("sender", "role", "function", "arguments"),
    [
        (GUARDIAN, "FEED_ROLE", "submitPrice", (WAD,)),
        (ADMIN, "GUARDIAN_ROLE", "freeze", ()),
        (STRANGER, "GUARDIAN_ROLE", "freeze", ()),
        (GUARDIAN, None, "unfreeze", ()),
        (FEED, None, "setWindows", (1, 1)),
    ],
)
def test_roles__each_function__asks_for_its_own(
    oracle: Any, expect_role: Any, sender: int, role: str | None, function: str, arguments: tuple[int, ...]
) -> None:
    expect_role(oracle, role, sender, function, *arguments)


def test_twap__prices_over_the_window__weigh_the_seconds_they_stood(
    chain: Any, oracle: Any, submit: Any, now: int
) -> None:
    submit(1000 * WAD, now)
    submit(2000 * WAD, now + 600)
    chain.mine_at(now + 1000)
    assert chain.call(oracle, "twap") == 1400 * WAD
    assert chain.call(oracle, "twapDeviation") == 600 * WAD * WAD // (1400 * WAD)
    chain.mine_at(now + 1100)  # the window began at now + 100
    assert chain.call(oracle, "twap") == 1500 * WAD
    chain.mine_at(now + 1600)
    assert (chain.call(oracle, "twap"), chain.call(oracle, "twapDeviation")) == (2000 * WAD, 0)


def test_twap__price_below_the_average__deviates_as_far(chain: Any, oracle: Any, submit: Any, now: int) -> None:
    submit(1000 * WAD, now)
    submit(900 * WAD, now + 999)
    assert chain.call(oracle, "twap") == 1000 * WAD
    assert chain.call(oracle, "twapDeviation") == WAD // 10


def test_twap__shorter_history_than_the_window__is_averaged_as_far_back_as_it_goes(
    chain: Any, oracle: Any, submit: Any, now: int
) -> None:
    submit(1000 * WAD, now)
    submit(3000 * WAD, now + 10)
    chain.mine_at(now + 20)
    assert chain.call(oracle, "twap") == 2000 * WAD


def test_twap__two_prices_in_one_block__the_first_never_counts(chain: Any, oracle: Any, submit: Any, now: int) -> None:
    submit(1000 * WAD, now)
    chain.rpc("evm_setAutomine", False)
    data = [oracle.artifact.call_data("submitPrice", price * WAD).hex() for price in (9000, 1000)]
    for body in data:
        transaction = {"from": chain.accounts[FEED], "to": oracle.address, "gas": hex(200_000), "data": "0x" + body}
        chain.rpc("eth_sendTransaction", transaction)
    chain.mine_at(now + 10)
    chain.rpc("evm_setAutomine", True)
    assert (chain.call(oracle, "price"), chain.call(oracle, "observationCount")) == (1000 * WAD, 2)
    chain.mine_at(now + 30)
    assert chain.call(oracle, "twap") == 1000 * WAD


def test_twap__more_prices_than_are_kept__is_averaged_over_the_newest(
    chain: Any, oracle: Any, submit: Any, now: int
) -> None:
    kept = chain.call(oracle, "MAX_OBSERVATIONS")
    for n in range(kept + 3):
        submit((n + 1) * WAD, now + n)
    chain.mine_at(now + kept + 3)
    newest = [(n + 1) * WAD for n in range(3, kept + 3)]
    assert chain.call(oracle, "twap") == sum(newest) // kept


def test_windows__set__are_announced_and_a_window_of_nothing_reverts(
    chain: Any, oracle: Any, expect_revert: Any
) -> None:
    assert chain.events(oracle, chain.send(oracle, "setWindows", 60, 120)) == [("WindowsSet", (60, 120))]
    assert [chain.call(oracle, name) for name in ("maxAge", "twapWindow")] == [60, 120]
    with expect_revert("InvalidWindow"):
        chain.send(oracle, "setWindows", 60, 0)
    with expect_revert("InvalidWindow"):
        chain.deploy("XAUOracle", chain.accounts[ADMIN], 60, 0)


@pytest.mark.parametrize("name", ["XAUOracle", "BridgeRegistry", "ComplianceGuard", "Ledger"])
def test_code__on_the_chain__is_the_artifacts(chain: Any, name: str) -> None:
    arguments = {"XAUOracle": (HOUR, HOUR)}.get(name, ())
    contract = chain.deploy(name, chain.accounts[ADMIN], *arguments)
    assert chain.rpc("eth_getCode", contract.address, "latest") == "0x" + contract.artifact.deployed_bytecode.hex()
