"""Liquidation on a real chain: below 110 % and not at it, what is seized and repaid, to the last unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ADMIN, FEED, GUARDIAN, OWNER, LIQUIDATOR = range(5)
WAD = 10**18
USD = 10**6
MAX = 2**256 - 1
DAY = 86_400

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def oracle(chain: Any, grant: Any) -> Any:
    contract = chain.deploy("XAUOracle", chain.accounts[ADMIN], DAY, 600)
    grant(contract, "FEED_ROLE", FEED)
    grant(contract, "GUARDIAN_ROLE", GUARDIAN)
    chain.send(contract, "submitPrice", 2000 * WAD, sender=FEED)
    return contract


@pytest.fixture(scope="module")
def gold(make_token: Any) -> Any:
    return make_token("GOLD", 18, 100 * WAD)


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, 10**9 * USD)


@pytest.fixture(scope="module")
def ledger(chain: Any, oracle: Any, gold: Any, usdw: Any) -> Any:
    """The owner's vault: ten ounces, 10,000 dollars of debt; so its health is a thousandth of the price."""
    contract = chain.deploy("Ledger", chain.accounts[ADMIN])
    chain.send(contract, "setAsset", gold.address, WAD)
    chain.send(contract, "setCurrency", usdw.address, oracle.address)
    chain.send(contract, "setDebtCeiling", usdw.address, MAX)
    for account in (contract.address, chain.accounts[LIQUIDATOR]):
        chain.send(usdw, "transfer", account, 1_000_000 * USD)
    chain.send(gold, "transfer", chain.accounts[OWNER], 10 * WAD)
    chain.send(gold, "approve", contract.address, MAX, sender=OWNER)
    chain.send(usdw, "approve", contract.address, MAX, sender=LIQUIDATOR)
    chain.send(contract, "depositCollateral", gold.address, 10 * WAD, sender=OWNER)
    chain.send(contract, "drawDebt", usdw.address, 10_000 * USD, sender=OWNER)
    return contract


@pytest.fixture(scope="module")
def liquidation(chain: Any, ledger: Any, grant: Any) -> Any:
    contract = chain.deploy("Liquidation", ledger.address)
    grant(ledger, "LIQUIDATOR_ROLE", contract)
    return contract


@pytest.fixture
def price(chain: Any, oracle: Any) -> Callable[[int], Any]:
    return lambda value: chain.send(oracle, "submitPrice", value, sender=FEED)


@pytest.fixture
def can(chain: Any, liquidation: Any) -> Callable[[], bool]:
    return lambda: bool(chain.call(liquidation, "canLiquidate", chain.accounts[OWNER]))


@pytest.fixture
def liquidate(chain: Any, liquidation: Any, gold: Any, usdw: Any) -> Callable[..., Any]:
    def send(repayment: int, minimum: int = 0) -> Any:
        arguments = (chain.accounts[OWNER], usdw.address, repayment, gold.address, minimum)
        return chain.send(liquidation, "liquidate", *arguments, sender=LIQUIDATOR)

    return send


def test_can_liquidate__below_110_percent_and_not_at_it(
    chain: Any, can: Any, liquidate: Any, price: Any, expect_revert: Any
) -> None:
    owner = chain.accounts[OWNER].lower()
    price(1200 * WAD)
    assert can() is False
    price(1100 * WAD)
    assert can() is False
    with expect_revert("NotLiquidatable", owner, 11 * WAD // 10):
        liquidate(1)
    price(1100 * WAD - 1)
    assert can() is True
    liquidate(USD)


def test_can_liquidate__account_without_debt__is_false(chain: Any, liquidation: Any, price: Any) -> None:
    price(1)
    assert chain.call(liquidation, "canLiquidate", chain.accounts[LIQUIDATOR]) is False


def test_liquidate__a_part__gives_collateral_worth_it_and_five_percent(
    chain: Any, ledger: Any, liquidation: Any, gold: Any, usdw: Any, liquidate: Any, price: Any, can: Any
) -> None:
    price(1080 * WAD)
    seized = 5 * WAD * 105 // 100
    receipt = liquidate(5400 * USD, seized)
    owner, liquidator = chain.accounts[OWNER].lower(), chain.accounts[LIQUIDATOR].lower()
    after = chain.call(ledger, "getVaultHealth", owner)
    assert chain.events(liquidation, receipt) == [
        (
            "VaultLiquidated",
            (
                owner,
                liquidator,
                usdw.address.lower(),
                gold.address.lower(),
                5400 * USD,
                seized,
                108 * WAD // 100,
                after,
            ),
        )
    ]
    assert after == (10 * WAD - seized) * 1080 * WAD // (4600 * WAD)
    assert can() is False, "it is healthy again"
    assert chain.call(gold, "balanceOf", liquidator) == seized
    assert chain.call(usdw, "balanceOf", liquidator) == (1_000_000 - 5400) * USD
    assert chain.call(ledger, "debtOf", owner, usdw.address) == chain.call(ledger, "totalDebt", usdw.address)
    assert chain.call(ledger, "debtOf", owner, usdw.address) == 4600 * USD
    assert chain.call(ledger, "totalCollateral", gold.address) == 10 * WAD - seized
    assert [name for name, _ in chain.events(ledger, receipt)] == ["CollateralSeized", "DebtRepaid"]


def test_liquidate__all_of_a_vault_worth_less_than_105_percent__gives_what_there_is(
    chain: Any, ledger: Any, liquidate: Any, price: Any, expect_revert: Any
) -> None:
    price(1000 * WAD)
    with expect_revert("SeizesTooLittle", 10 * WAD, 105 * WAD // 10):
        liquidate(10_000 * USD, 105 * WAD // 10)
    liquidate(10_000 * USD, 10 * WAD)
    assert chain.call(ledger, "getVaultHealth", chain.accounts[OWNER]) == MAX
    with expect_revert("NotLiquidatable"):
        liquidate(1)


def test_liquidate__collateral_gone_before_the_debt__leaves_a_vault_without_health(
    chain: Any, ledger: Any, liquidate: Any, price: Any, can: Any, expect_revert: Any
) -> None:
    price(500 * WAD)
    liquidate(5000 * USD)
    assert chain.call(ledger, "getVaultHealth", chain.accounts[OWNER]) == 0
    assert can() is True
    with expect_revert("SeizesTooLittle", 0, 0):
        liquidate(1)


@pytest.mark.parametrize("repayment", [0, 10_000 * USD + 1, MAX])
def test_liquidate__nothing_or_more_than_owed__reverts(
    liquidate: Any, price: Any, expect_revert: Any, repayment: int
) -> None:
    price(1000 * WAD)
    with expect_revert("InvalidRepayment", 10_000 * USD, repayment):
        liquidate(repayment)


def test_liquidate__while_the_price_is_frozen_or_stale__reverts_and_cannot(
    chain: Any, oracle: Any, can: Any, liquidate: Any, price: Any, expect_revert: Any
) -> None:
    price(1000 * WAD)
    chain.send(oracle, "freeze", sender=GUARDIAN)
    assert can() is False
    with expect_revert("OracleFrozen"):
        liquidate(1)
    chain.send(oracle, "unfreeze")
    assert can() is True
    chain.mine_at(chain.now() + DAY + 10)
    assert can() is False
    with expect_revert("PriceStale"):
        liquidate(1)


def test_liquidate__without_the_means_or_the_role__reverts(
    chain: Any, ledger: Any, liquidation: Any, usdw: Any, liquidate: Any, price: Any, expect_revert: Any
) -> None:
    price(1000 * WAD)
    chain.send(usdw, "approve", ledger.address, 0, sender=LIQUIDATOR)
    with expect_revert("ERC20InsufficientAllowance", ledger.address.lower(), 0, USD):
        liquidate(USD)
    other = chain.deploy("Liquidation", ledger.address)
    arguments = (chain.accounts[OWNER], usdw.address, USD, chain.call(ledger, "assets")[0], 0)
    with expect_revert("AccessControlUnauthorizedAccount"):
        chain.send(other, "liquidate", *arguments, sender=LIQUIDATOR)
