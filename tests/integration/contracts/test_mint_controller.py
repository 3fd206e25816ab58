"""MintController on a real chain: the door for mints and redemptions, and how it is shut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_utils.crypto import keccak

ADMIN, OFFICER, MINTER, SECOND_MINTER, PAUSER, CUSTOMER, STRANGER = range(7)
MINT, REDEEM = 1, 2
MONEY_MULTIPLIER, ACCOUNT_BLOCKED = 1, 5
USD = 10**6
MAX = 2**256 - 1
PAYMENT = b"SEPA-2026-0001".ljust(32, b"\0")

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, 900 * USD, reserve=1000 * USD)


@pytest.fixture(scope="module")
def guard(chain: Any, usdw: Any, grant: Any) -> Any:
    contract = chain.deploy("ComplianceGuard", chain.accounts[ADMIN])
    grant(contract, "COMPLIANCE_ROLE", OFFICER)
    chain.send(contract, "setActiveCode", b"USD", True, sender=OFFICER)
    chain.send(contract, "setCurrency", usdw.address, b"USD", sender=OFFICER)
    return contract


@pytest.fixture(scope="module")
def controller(chain: Any, guard: Any, usdw: Any, grant: Any) -> Any:
    contract = chain.deploy("MintController", chain.accounts[ADMIN], guard.address)
    grant(guard, "CHECKER_ROLE", contract)
    grant(usdw, "MINTER_ROLE", contract)
    for minter in (MINTER, SECOND_MINTER):
        grant(contract, "MINTER_ROLE", minter)
    grant(contract, "PAUSER_ROLE", PAUSER)
    chain.send(usdw, "approve", contract.address, MAX, sender=CUSTOMER)
    return contract


@pytest.fixture
def mint(chain: Any, controller: Any, usdw: Any) -> Callable[..., Any]:
    def send(amount: int, sender: int = MINTER) -> Any:
        return chain.send(controller, "mint", usdw.address, chain.accounts[CUSTOMER], amount, sender=sender)

    return send


@pytest.fixture
def redeem(chain: Any, controller: Any, usdw: Any) -> Callable[[int], Any]:
    return lambda amount: chain.send(controller, "redeem", usdw.address, amount, PAYMENT, sender=CUSTOMER)


def test_mint__within_the_reserve__mints_checks_and_announces(
    chain: Any, controller: Any, guard: Any, usdw: Any, mint: Any
) -> None:
    customer, minter = chain.accounts[CUSTOMER].lower(), chain.accounts[MINTER].lower()
    arguments = (usdw.address, customer, 100 * USD)
    assert chain.call(controller, "mint", *arguments, sender=MINTER) is True
    receipt = mint(100 * USD)
    assert chain.events(controller, receipt) == [("Minted", (usdw.address.lower(), customer, minter, 100 * USD))]
    assert [name for name, _ in chain.events(guard, receipt)] == ["ComplianceChecked"]
    assert chain.call(usdw, "balanceOf", customer) == 100 * USD
    assert chain.call(usdw, "totalSupply") == 1000 * USD


def test_mint__beyond_the_reserve__is_refused_and_the_violation_stays_in_the_log(
    chain: Any, controller: Any, guard: Any, usdw: Any, mint: Any
) -> None:
    customer, amount = chain.accounts[CUSTOMER].lower(), 100 * USD + 1
    assert chain.call(controller, "mint", usdw.address, customer, amount, sender=MINTER) is False
    receipt = mint(amount)
    refusal = ("Refused", (MINT, usdw.address.lower(), MONEY_MULTIPLIER, customer, amount))
    assert chain.events(controller, receipt) == [refusal]
    assert [name for name, _ in chain.events(guard, receipt)] == ["ComplianceChecked", "MoneyMultiplierViolation"]
    assert chain.call(usdw, "totalSupply") == 900 * USD


def test_mint__after_the_minters_role_was_revoked__reverts_for_that_minter_only(
    chain: Any, controller: Any, usdw: Any, mint: Any, expect_role: Any
) -> None:
    """The runbook's halt: mintController.revokeRole(keccak256("MINTER_ROLE"), minterAddress)."""
    chain.send(controller, "revokeRole", keccak(text="MINTER_ROLE"), chain.accounts[MINTER])
    expect_role(controller, "MINTER_ROLE", MINTER, "mint", usdw.address, chain.accounts[CUSTOMER], 1)
    mint(1, SECOND_MINTER)
    chain.send(controller, "grantRole", keccak(text="MINTER_ROLE"), chain.accounts[MINTER])
    mint(1)


@pytest.mark.parametrize("sender", [ADMIN, PAUSER, STRANGER])
def test_mint__without_the_role__reverts(chain: Any, controller: Any, usdw: Any, expect_role: Any, sender: int) -> None:
    expect_role(controller, "MINTER_ROLE", sender, "mint", usdw.address, chain.accounts[CUSTOMER], 1)


def test_pause__stops_minting_and_not_redemption_until_the_admin_ends_it(
    chain: Any, controller: Any, mint: Any, redeem: Any, expect_revert: Any, expect_role: Any
) -> None:
    mint(10)
    receipt = chain.send(controller, "pause", sender=PAUSER)
    assert chain.events(controller, receipt) == [("Paused", (chain.accounts[PAUSER].lower(),))]
    for sender in (MINTER, SECOND_MINTER):
        with expect_revert("EnforcedPause"):
            mint(1, sender)
    redeem(10)
    with expect_revert("EnforcedPause"):
        chain.send(controller, "pause", sender=PAUSER)
    expect_role(controller, None, PAUSER, "unpause")
    expect_role(controller, "PAUSER_ROLE", ADMIN, "pause")
    receipt = chain.send(controller, "unpause")
    assert chain.events(controller, receipt) == [("Unpaused", (chain.accounts[ADMIN].lower(),))]
    mint(1)
    with expect_revert("ExpectedPause"):
        chain.send(controller, "unpause")


def test_redeem__own_tokens__burns_and_announces(
    chain: Any, controller: Any, guard: Any, usdw: Any, mint: Any, redeem: Any, expect_revert: Any
) -> None:
    mint(100 * USD)
    receipt = redeem(40 * USD)
    customer = chain.accounts[CUSTOMER].lower()
    assert chain.events(controller, receipt) == [("Redeemed", (usdw.address.lower(), customer, PAYMENT, 40 * USD))]
    assert [name for name, _ in chain.events(guard, receipt)] == ["ComplianceChecked"]
    assert chain.call(usdw, "balanceOf", customer) == 60 * USD
    assert chain.call(usdw, "totalSupply") == 960 * USD
    with expect_revert("ERC20InsufficientBalance", customer, 60 * USD, 60 * USD + 1):
        redeem(60 * USD + 1)


def test_redeem__by_a_blocked_account__is_refused_and_logged(
    chain: Any, controller: Any, guard: Any, usdw: Any, mint: Any, redeem: Any
) -> None:
    mint(100 * USD)
    customer = chain.accounts[CUSTOMER].lower()
    chain.send(guard, "setBlocked", customer, True, sender=OFFICER)
    refusal = ("Refused", (REDEEM, usdw.address.lower(), ACCOUNT_BLOCKED, customer, 40 * USD))
    assert chain.events(controller, redeem(40 * USD)) == [refusal]
    assert chain.call(usdw, "balanceOf", customer) == 100 * USD


def test_amount_of_nothing__reverts(mint: Any, redeem: Any, expect_revert: Any) -> None:
    for send in (mint, redeem):
        with expect_revert("ZeroAmount"):
            send(0)


def test_controller__without_the_tokens_or_the_guards_role__reverts(
    chain: Any, controller: Any, guard: Any, usdw: Any, mint: Any, expect_revert: Any
) -> None:
    snapshot = chain.rpc("evm_snapshot")
    for contract, role in ((usdw, "MINTER_ROLE"), (guard, "CHECKER_ROLE")):
        chain.send(contract, "revokeRole", keccak(text=role), controller.address)
        with expect_revert("AccessControlUnauthorizedAccount", controller.address.lower(), keccak(text=role)):
            mint(1)
        chain.rpc("evm_revert", snapshot)
        snapshot = chain.rpc("evm_snapshot")


@pytest.mark.parametrize("function", ["mint", "redeem"])
def test_reentrancy__by_a_hostile_token__reverts(
    chain: Any, controller: Any, guard: Any, grant: Any, make_reentrant: Any, expect_revert: Any, function: str
) -> None:
    hostile = make_reentrant("USDW")
    chain.send(guard, "setCurrency", hostile.address, b"USD", sender=OFFICER)
    chain.send(controller, "grantRole", keccak(text="MINTER_ROLE"), hostile.address)
    arguments = {"mint": (hostile.address, hostile.address, 1), "redeem": (hostile.address, 1, PAYMENT)}[function]
    chain.send(hostile, "arm", controller.address, controller.artifact.call_data(function, *arguments))
    with expect_revert("ReentrancyGuardReentrantCall"):
        chain.send(controller, "mint", hostile.address, chain.accounts[CUSTOMER], 5, sender=MINTER)
