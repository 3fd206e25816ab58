"""Ledger on a real chain: vaults, their health to the last unit, ceilings, and lists of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ADMIN, FEED, GUARDIAN, ALICE, BOB, SEIZER, STRANGER = range(7)
WAD = 10**18
USD = 10**6
MAX = 2**256 - 1
NO_DEBT = MAX
HEALTHY = 12 * WAD // 10
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
    return make_token("GOLD", 18, 10**6 * WAD)


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, 10**9 * USD)


@pytest.fixture(scope="module")
def ledger(chain: Any, oracle: Any, gold: Any, usdw: Any, grant: Any) -> Any:
    """Lists gold and USDW with a ceiling of 1,000,000; can lend 5,000,000. Alice and Bob hold 1000 gold each."""
    contract = chain.deploy("Ledger", chain.accounts[ADMIN])
    chain.send(contract, "setAsset", gold.address, WAD)
    chain.send(contract, "setCurrency", usdw.address, oracle.address)
    chain.send(contract, "setDebtCeiling", usdw.address, 1_000_000 * USD)
    chain.send(usdw, "transfer", contract.address, 5_000_000 * USD)
    for account in (ALICE, BOB):
        chain.send(gold, "transfer", chain.accounts[account], 1000 * WAD)
        for token in (gold, usdw):
            chain.send(token, "approve", contract.address, MAX, sender=account)
    grant(contract, "LIQUIDATOR_ROLE", SEIZER)
    return contract


@pytest.fixture
def deposit(chain: Any, ledger: Any, gold: Any) -> Callable[..., Any]:
    return lambda amount, sender=ALICE: chain.send(ledger, "depositCollateral", gold.address, amount, sender=sender)


@pytest.fixture
def draw(chain: Any, ledger: Any, usdw: Any) -> Callable[..., Any]:
    return lambda amount, sender=ALICE: chain.send(ledger, "drawDebt", usdw.address, amount, sender=sender)


@pytest.fixture
def price(chain: Any, oracle: Any) -> Callable[[int], Any]:
    return lambda value: chain.send(oracle, "submitPrice", value, sender=FEED)


@pytest.fixture
def health(chain: Any, ledger: Any) -> Callable[..., int]:
    return lambda account=ALICE: int(chain.call(ledger, "getVaultHealth", chain.accounts[account]))


# -- deposits and withdrawals ----------------------------------------------------------------------------------------


def test_deposit__first_and_second__opens_the_vault_once(
    chain: Any, ledger: Any, gold: Any, deposit: Any, health: Any
) -> None:
    alice, asset = chain.accounts[ALICE].lower(), gold.address.lower()
    events = chain.events(ledger, deposit(3 * WAD))
    assert events == [("VaultOpened", (alice,)), ("CollateralDeposited", (alice, asset, 3 * WAD))]
    assert chain.events(ledger, deposit(WAD)) == [("CollateralDeposited", (alice, asset, WAD))]
    assert chain.call(ledger, "collateralOf", alice, asset) == chain.call(ledger, "totalCollateral", asset) == 4 * WAD
    assert chain.call(gold, "balanceOf", ledger.address) == 4 * WAD
    assert (chain.call(ledger, "vaultCount"), health()) == (1, NO_DEBT)


def test_deposit__nothing_or_an_unknown_asset__reverts(
    chain: Any, ledger: Any, gold: Any, usdw: Any, deposit: Any, expect_revert: Any
) -> None:
    with expect_revert("ZeroAmount"):
        deposit(0)
    with expect_revert("NotListed", usdw.address.lower()):
        chain.send(ledger, "depositCollateral", usdw.address, 1, sender=ALICE)
    with expect_revert("ERC20InsufficientBalance", chain.accounts[ALICE].lower(), 1000 * WAD, 1000 * WAD + 1):
        deposit(1000 * WAD + 1)
    assert chain.call(ledger, "vaultCount") == 0


def test_withdraw__without_debt__needs_no_price(
    chain: Any, ledger: Any, oracle: Any, gold: Any, deposit: Any, expect_revert: Any
) -> None:
    deposit(3 * WAD)
    chain.send(oracle, "freeze", sender=GUARDIAN)
    receipt = chain.send(ledger, "withdrawCollateral", gold.address, 3 * WAD, sender=ALICE)
    alice, asset = chain.accounts[ALICE].lower(), gold.address.lower()
    assert chain.events(ledger, receipt) == [("CollateralWithdrawn", (alice, asset, 3 * WAD))]
    assert chain.call(gold, "balanceOf", alice) == 1000 * WAD
    assert chain.call(ledger, "totalCollateral", asset) == 0
    with expect_revert("InsufficientCollateral", alice, asset, 0, 1):
        chain.send(ledger, "withdrawCollateral", gold.address, 1, sender=ALICE)
    with expect_revert("ZeroAmount"):
        chain.send(ledger, "withdrawCollateral", gold.address, 0, sender=ALICE)


def test_withdraw__down_to_exactly_120_percent__is_accepted_and_one_unit_more_reverts(
    chain: Any, ledger: Any, gold: Any, deposit: Any, draw: Any, health: Any, expect_revert: Any
) -> None:
    deposit(2 * WAD)
    draw(2000 * USD)
    with expect_revert("HealthTooLow", chain.accounts[ALICE].lower(), HEALTHY - 1):
        chain.send(ledger, "withdrawCollateral", gold.address, 8 * WAD // 10 + 1, sender=ALICE)
    chain.send(ledger, "withdrawCollateral", gold.address, 8 * WAD // 10, sender=ALICE)
    assert health() == HEALTHY


# -- debt ------------------------------------------------------------------------------------------------------------


def test_draw__to_exactly_120_percent__is_accepted_and_one_unit_more_reverts(
    chain: Any, ledger: Any, usdw: Any, deposit: Any, draw: Any, health: Any, expect_revert: Any
) -> None:
    deposit(12 * WAD // 10)
    with expect_revert("HealthTooLow"):
        draw(2000 * USD + 1)
    receipt = draw(2000 * USD)
    alice, currency = chain.accounts[ALICE].lower(), usdw.address.lower()
    assert chain.events(ledger, receipt) == [("DebtDrawn", (alice, currency, 2000 * USD))]
    assert health() == HEALTHY
    with expect_revert("HealthTooLow"):
        draw(1)
    owed = [chain.call(ledger, "debtOf", alice, currency), chain.call(ledger, "totalDebt", currency)]
    assert [*owed, chain.call(usdw, "balanceOf", alice)] == [2000 * USD] * 3


def test_draw__without_collateral__reverts(chain: Any, draw: Any, expect_revert: Any) -> None:
    with expect_revert("HealthTooLow", chain.accounts[ALICE].lower(), 0):
        draw(1)


def test_draw__to_the_ceiling__is_accepted_and_one_unit_more_reverts(
    chain: Any, ledger: Any, usdw: Any, deposit: Any, draw: Any, expect_revert: Any
) -> None:
    for account in (ALICE, BOB):
        deposit(1000 * WAD, account)
    draw(600_000 * USD)
    ceiling = 1_000_000 * USD
    with expect_revert("DebtCeilingExceeded", usdw.address.lower(), ceiling + 1, ceiling):
        draw(400_000 * USD + 1, BOB)
    draw(400_000 * USD, BOB)
    assert chain.call(ledger, "totalDebt", usdw.address) == chain.call(ledger, "debtCeiling", usdw.address) == ceiling
    chain.send(ledger, "setDebtCeiling", usdw.address, 1)
    with expect_revert("DebtCeilingExceeded"):
        draw(1)
    chain.send(ledger, "repayDebt", chain.accounts[BOB], usdw.address, 400_000 * USD, sender=BOB)


def test_draw__nothing_or_an_unknown_currency__reverts(
    chain: Any, ledger: Any, gold: Any, draw: Any, expect_revert: Any
) -> None:
    with expect_revert("ZeroAmount"):
        draw(0)
    with expect_revert("NotListed", gold.address.lower()):
        chain.send(ledger, "drawDebt", gold.address, 1, sender=ALICE)


def test_draw__more_than_the_ledger_can_lend__reverts(
    chain: Any, ledger: Any, usdw: Any, deposit: Any, draw: Any, price: Any, expect_revert: Any
) -> None:
    deposit(1000 * WAD)
    price(20_000 * WAD)
    chain.send(ledger, "setDebtCeiling", usdw.address, MAX)
    with expect_revert("ERC20InsufficientBalance", ledger.address.lower(), 5_000_000 * USD, 5_000_000 * USD + 1):
        draw(5_000_000 * USD + 1)


def test_draw__while_the_price_is_frozen_or_stale__reverts_and_repaying_goes_on(
    chain: Any, ledger: Any, oracle: Any, gold: Any, usdw: Any, deposit: Any, draw: Any, health: Any, expect_revert: Any
) -> None:
    deposit(10 * WAD)
    draw(1000 * USD)
    chain.send(oracle, "freeze", sender=GUARDIAN)
    for refused in (
        lambda: draw(1),
        lambda: chain.send(ledger, "withdrawCollateral", gold.address, 1, sender=ALICE),
        lambda: chain.call(ledger, "currentHealth", chain.accounts[ALICE]),
        lambda: chain.call(ledger, "collateralFor", usdw.address, 1, gold.address),
    ):
        with expect_revert("OracleFrozen"):
            refused()
    assert health() == 20 * WAD, "the watch still sees it"
    chain.send(oracle, "unfreeze")
    chain.mine_at(chain.now() + DAY + 10)
    with expect_revert("PriceStale"):
        draw(1)
    assert health() == 20 * WAD
    chain.send(ledger, "repayDebt", chain.accounts[ALICE], usdw.address, 1000 * USD, sender=ALICE)
    assert health() == NO_DEBT


def test_repay__by_another_in_parts__lowers_the_debt(
    chain: Any, ledger: Any, usdw: Any, deposit: Any, draw: Any, expect_revert: Any
) -> None:
    deposit(10 * WAD)
    draw(1000 * USD)
    alice, bob, currency = chain.accounts[ALICE].lower(), chain.accounts[BOB].lower(), usdw.address.lower()
    chain.send(usdw, "transfer", bob, 600 * USD, sender=ALICE)
    receipt = chain.send(ledger, "repayDebt", alice, currency, 600 * USD, sender=BOB)
    assert chain.events(ledger, receipt) == [("DebtRepaid", (alice, currency, bob, 600 * USD))]
    assert chain.call(ledger, "debtOf", alice, currency) == chain.call(ledger, "totalDebt", currency) == 400 * USD
    with expect_revert("RepaysTooMuch", alice, currency, 400 * USD, 400 * USD + 1):
        chain.send(ledger, "repayDebt", alice, currency, 400 * USD + 1, sender=ALICE)
    with expect_revert("ZeroAmount"):
        chain.send(ledger, "repayDebt", alice, currency, 0, sender=ALICE)
    with expect_revert("RepaysTooMuch", bob, currency, 0, 1):
        chain.send(ledger, "repayDebt", bob, currency, 1, sender=ALICE)


# -- health ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [110, 120])
def test_health__price_at_and_just_below_a_threshold__is_exact(
    deposit: Any, draw: Any, price: Any, health: Any, percent: int
) -> None:
    deposit(WAD)
    draw(1000 * USD)
    threshold = percent * WAD // 100
    price(percent * 10 * WAD)
    assert health() == threshold
    price(percent * 10 * WAD - 1)
    assert health() == threshold - 1


def test_health__several_assets_and_currencies__are_added_in_ounces(
    chain: Any, ledger: Any, usdw: Any, make_token: Any, grant: Any, deposit: Any, draw: Any, health: Any
) -> None:
    """A kilogram bar of 8 decimals besides ounces; a euro of 18 decimals, with a gold price of its own, besides
    dollars."""
    bar, eurw = make_token("BAR", 8, 100 * 10**8), make_token("EURW", 18, 10**6 * WAD)
    euro = chain.deploy("XAUOracle", chain.accounts[ADMIN], DAY, 600)
    grant(euro, "FEED_ROLE", FEED)
    chain.send(euro, "submitPrice", 1600 * WAD, sender=FEED)
    kilogram = 32_150_746_568_627_980_522
    chain.send(ledger, "setAsset", bar.address, kilogram)
    chain.send(ledger, "setCurrency", eurw.address, euro.address)
    chain.send(ledger, "setDebtCeiling", eurw.address, MAX)
    chain.send(eurw, "transfer", ledger.address, 10**6 * WAD)
    chain.send(bar, "transfer", chain.accounts[ALICE], 10**8)
    chain.send(bar, "approve", ledger.address, MAX, sender=ALICE)

    deposit(5 * WAD)
    chain.send(ledger, "depositCollateral", bar.address, 5 * 10**7, sender=ALICE)
    draw(10_000 * USD)
    chain.send(ledger, "drawDebt", eurw.address, 8000 * WAD, sender=ALICE)
    held = 5 * WAD + kilogram // 2
    assert health() == held * WAD // (5 * WAD + 5 * WAD)
    assert chain.call(ledger, "assets")[1] == bar.address.lower()
    assert chain.call(ledger, "currencies") == (usdw.address.lower(), eurw.address.lower())
    assert chain.call(ledger, "ouncesOf", bar.address) == kilogram
    assert chain.call(ledger, "oracleOf", eurw.address) == euro.address.lower()
    # 1600 euros are one ounce, in bars.
    assert chain.call(ledger, "collateralFor", eurw.address, 1600 * WAD, bar.address) == WAD * 10**8 // kilogram


def test_health__debt_without_any_price__is_none(
    chain: Any, ledger: Any, usdw: Any, deposit: Any, draw: Any, health: Any, expect_revert: Any
) -> None:
    deposit(10 * WAD)
    draw(1000 * USD)
    silent = chain.deploy("XAUOracle", chain.accounts[ADMIN], DAY, 600)
    chain.send(ledger, "setCurrency", usdw.address, silent.address)
    assert health() == 0
    with expect_revert("NoPrice"):
        draw(1)


def test_health__one_unit_of_debt__counts(deposit: Any, draw: Any, health: Any, price: Any) -> None:
    price(3 * WAD)
    deposit(WAD)
    draw(1)
    assert health() == 3 * USD * WAD


def test_health__account_that_is_no_vault__has_no_debt(health: Any) -> None:
    assert health(STRANGER) == NO_DEBT


# -- lists -----------------------------------------------------------------------------------------------------------


def test_vaults__pages__cover_all_in_order_and_end_where_they_end(
    chain: Any, ledger: Any, deposit: Any, draw: Any
) -> None:
    deposit(10 * WAD, BOB)
    deposit(10 * WAD, ALICE)
    draw(10_000 * USD)
    bob, alice = chain.accounts[BOB].lower(), chain.accounts[ALICE].lower()
    pages = {
        (start, count): chain.call(ledger, "vaults", start, count)
        for start, count in ((0, 2), (0, 1), (1, 1), (1, 100), (2, 5), (0, 0), (0, MAX), (MAX, MAX))
    }
    assert list(pages.values()) == [(bob, alice), (bob,), (alice,), (alice,), (), (), (bob, alice), ()]
    assert chain.call(ledger, "vaultHealths", 0, 10) == ((bob, alice), (NO_DEBT, 2 * WAD))
    assert chain.call(ledger, "vaultHealths", 1, 1) == ((alice,), (2 * WAD,))


def test_vaults__a_page_of_a_thousand_healths__is_within_what_nodes_compute_in_a_call(
    chain: Any, ledger: Any, gold: Any, usdw: Any
) -> None:
    """So that ten thousand vaults are ten calls. Geth stops a call at 50 million gas."""
    for number in range(20):
        account = f"0x{0xA0000 + number:040x}"
        chain.rpc("anvil_impersonateAccount", account)
        chain.rpc("anvil_setBalance", account, hex(WAD))
        chain.send(gold, "transfer", account, WAD)
        chain.send(gold, "approve", ledger.address, WAD, sender=account)
        chain.send(ledger, "depositCollateral", gold.address, WAD, sender=account)
        chain.send(ledger, "drawDebt", usdw.address, 1000 * USD, sender=account)
    data = (ledger.artifact.call_data("vaultHealths", 0, count).hex() for count in (10, 20))
    ten, twenty = (int(chain.rpc("eth_estimateGas", {"to": ledger.address, "data": "0x" + d}), 16) for d in data)
    assert (twenty - ten) * 100 < 50_000_000
    assert chain.call(ledger, "vaultHealths", 0, 20)[1] == (2 * WAD,) * 20


# -- seizing ---------------------------------------------------------------------------------------------------------


def test_seize__by_the_liquidator__moves_debt_and_collateral(
    chain: Any, ledger: Any, gold: Any, usdw: Any, deposit: Any, draw: Any, expect_revert: Any
) -> None:
    deposit(10 * WAD)
    draw(1000 * USD)
    alice, bob = chain.accounts[ALICE].lower(), chain.accounts[BOB].lower()
    chain.send(usdw, "transfer", bob, 300 * USD, sender=ALICE)
    seize = (alice, usdw.address, 300 * USD, gold.address, 2 * WAD, bob)
    receipt = chain.send(ledger, "seize", *seize, sender=SEIZER)
    assert chain.events(ledger, receipt) == [
        ("CollateralSeized", (alice, gold.address.lower(), bob, 2 * WAD)),
        ("DebtRepaid", (alice, usdw.address.lower(), bob, 300 * USD)),
    ]
    assert chain.call(gold, "balanceOf", bob) == 1002 * WAD
    assert chain.call(ledger, "collateralOf", alice, gold.address) == 8 * WAD
    assert chain.call(ledger, "debtOf", alice, usdw.address) == 700 * USD
    with expect_revert("InsufficientCollateral"):
        chain.send(ledger, "seize", *seize[:4], 9 * WAD, bob, sender=SEIZER)
    with expect_revert("RepaysTooMuch"):
        chain.send(ledger, "seize", alice, usdw.address, 701 * USD, gold.address, WAD, bob, sender=SEIZER)
    with expect_revert("ERC20InsufficientBalance", bob, 0, 1):
        chain.send(ledger, "seize", alice, usdw.address, 1, gold.address, WAD, bob, sender=SEIZER)


@pytest.mark.parametrize("function", ["depositCollateral", "withdrawCollateral", "drawDebt", "repayDebt", "seize"])
def test_reentrancy__by_a_hostile_token__reverts(
    chain: Any, ledger: Any, oracle: Any, make_reentrant: Any, expect_revert: Any, function: str
) -> None:
    """Whichever function a token calls back into, from within a deposit."""
    hostile = make_reentrant("EVIL")
    chain.send(ledger, "setAsset", hostile.address, WAD)
    chain.send(hostile, "approve", ledger.address, MAX)
    account = chain.accounts[ADMIN]
    arguments = {
        "depositCollateral": (hostile.address, 1),
        "withdrawCollateral": (hostile.address, 1),
        "drawDebt": (hostile.address, 1),
        "repayDebt": (account, hostile.address, 1),
        "seize": (account, hostile.address, 1, hostile.address, 1, account),
    }[function]
    chain.send(hostile, "arm", ledger.address, ledger.artifact.call_data(function, *arguments))
    with expect_revert("ReentrancyGuardReentrantCall"):
        chain.send(ledger, "depositCollateral", hostile.address, 10)
    assert chain.call(ledger, "totalCollateral", hostile.address) == 0


# -- settings --------------------------------------------------------------------------------------------------------


def test_settings__are_announced(chain: Any, ledger: Any, oracle: Any, gold: Any, usdw: Any) -> None:
    said = [
        chain.events(ledger, chain.send(ledger, "setAsset", gold.address, 2 * WAD)),
        chain.events(ledger, chain.send(ledger, "setCurrency", usdw.address, oracle.address)),
        chain.events(ledger, chain.send(ledger, "setDebtCeiling", usdw.address, 7)),
    ]
    assert said == [
        [("AssetSet", (gold.address.lower(), 2 * WAD))],
        [("CurrencySet", (usdw.address.lower(), oracle.address.lower()))],
        [("DebtCeilingSet", (usdw.address.lower(), 7))],
    ]
    assert (chain.call(ledger, "assets"), chain.call(ledger, "currencies")) == (
        (gold.address.lower(),),
        (usdw.address.lower(),),
    ), "a changed one is not listed twice"


def test_settings__impossible_ones__revert(
    chain: Any, ledger: Any, oracle: Any, gold: Any, usdw: Any, make_token: Any, expect_revert: Any
) -> None:
    fine = make_token("FINE", 19, 1)
    with expect_revert("ZeroAmount"):
        chain.send(ledger, "setAsset", gold.address, 0)
    with expect_revert("AlreadyListed", usdw.address.lower()):
        chain.send(ledger, "setAsset", usdw.address, WAD)
    with expect_revert("AlreadyListed", gold.address.lower()):
        chain.send(ledger, "setCurrency", gold.address, oracle.address)
    with expect_revert("InvalidDecimals", fine.address.lower(), 19):
        chain.send(ledger, "setAsset", fine.address, WAD)
    with expect_revert("InvalidDecimals", fine.address.lower(), 19):
        chain.send(ledger, "setCurrency", fine.address, oracle.address)
    with expect_revert("NotListed", gold.address.lower()):
        chain.send(ledger, "setDebtCeiling", gold.address, 1)


def test_settings__one_asset_more_than_can_be_listed__reverts(
    chain: Any, ledger: Any, make_token: Any, expect_revert: Any
) -> None:
    limit = chain.call(ledger, "MAX_LISTED")
    for n in range(1, limit):
        chain.send(ledger, "setAsset", make_token(f"A{n}", 18, 1).address, WAD)
    assert len(chain.call(ledger, "assets")) == limit
    with expect_revert("TooManyListed"):
        chain.send(ledger, "setAsset", make_token("LAST", 18, 1).address, WAD)


@pytest.mark.parametrize("function", ["setAsset", "setCurrency", "setDebtCeiling"])
def test_settings__by_a_stranger__revert(ledger: Any, gold: Any, oracle: Any, expect_role: Any, function: str) -> None:
    second = oracle.address if function == "setCurrency" else 1
    expect_role(ledger, None, STRANGER, function, gold.address, second)


def test_seize__by_a_stranger__reverts(ledger: Any, gold: Any, usdw: Any, chain: Any, expect_role: Any) -> None:
    arguments = (chain.accounts[ALICE], usdw.address, 1, gold.address, 1, chain.accounts[STRANGER])
    expect_role(ledger, "LIQUIDATOR_ROLE", STRANGER, "seize", *arguments)
