"""ComplianceGuard on a real chain: each rule, its log, and who may have it written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ADMIN, OFFICER, CHECKER, CUSTOMER, STRANGER = range(5)
AUDIT, MINT, REDEEM, BRIDGE, CONVERT = range(5)
NONE, MONEY_MULTIPLIER, GRU_ISOLATION, ISO4217, RESERVE_UNVERIFIED, ACCOUNT_BLOCKED = range(6)
USD = 10**6
MAX = 2**256 - 1

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, 900 * USD, reserve=1000 * USD)


@pytest.fixture(scope="module")
def gru(make_token: Any) -> Any:
    return make_token("GRU", 18, 1)


@pytest.fixture(scope="module")
def guard(chain: Any, usdw: Any, gru: Any, grant: Any) -> Any:
    contract = chain.deploy("ComplianceGuard", chain.accounts[ADMIN])
    grant(contract, "COMPLIANCE_ROLE", OFFICER)
    grant(contract, "CHECKER_ROLE", CHECKER)
    chain.send(contract, "setActiveCode", b"USD", True, sender=OFFICER)
    chain.send(contract, "setCurrency", usdw.address, b"USD", sender=OFFICER)
    chain.send(contract, "setGRU", gru.address, True, sender=OFFICER)
    return contract


@pytest.fixture
def check(chain: Any, guard: Any) -> Callable[..., list[Any]]:
    """The events of a check."""

    def send(operation: int, token: Any, amount: int, account: int = CUSTOMER) -> list[Any]:
        receipt = chain.send(guard, "check", operation, token.address, chain.accounts[account], amount, sender=CHECKER)
        return chain.events(guard, receipt)

    return send


@pytest.fixture
def checked(chain: Any) -> Callable[..., tuple[str, Any]]:
    """The event that says so."""

    def event(operation: int, token: Any, reason: int, amount: int) -> tuple[str, Any]:
        account = chain.accounts[CUSTOMER].lower()
        return "ComplianceChecked", (operation, token.address.lower(), reason, account, amount, reason == NONE)

    return event


def test_check__mint_up_to_the_reserve__passes_and_one_unit_more_violates_the_money_multiplier(
    usdw: Any, check: Any, checked: Any
) -> None:
    assert check(MINT, usdw, 100 * USD) == [checked(MINT, usdw, NONE, 100 * USD)]
    amount = 100 * USD + 1
    violation = ("MoneyMultiplierViolation", (usdw.address.lower(), 1000 * USD + 1, 1000 * USD))
    assert check(MINT, usdw, amount) == [checked(MINT, usdw, MONEY_MULTIPLIER, amount), violation]


def test_check__mint_of_more_than_the_integer_holds__is_a_violation_and_no_overflow(
    usdw: Any, check: Any, checked: Any
) -> None:
    violation = ("MoneyMultiplierViolation", (usdw.address.lower(), MAX, 1000 * USD))
    assert check(MINT, usdw, MAX) == [checked(MINT, usdw, MONEY_MULTIPLIER, MAX), violation]


def test_check__audit__compares_what_there_is(usdw: Any, check: Any, report: Any) -> None:
    report(usdw, 900 * USD)
    assert len(check(AUDIT, usdw, 0)) == 1
    report(usdw, 900 * USD - 1)
    violation = ("MoneyMultiplierViolation", (usdw.address.lower(), 900 * USD, 900 * USD - 1))
    assert check(AUDIT, usdw, 0)[1:] == [violation]


def test_check__other_operations__do_not_ask_for_the_reserve(usdw: Any, check: Any, checked: Any, report: Any) -> None:
    report(usdw, 0)
    for operation in (REDEEM, BRIDGE, CONVERT):
        assert check(operation, usdw, 5) == [checked(operation, usdw, NONE, 5)]


def test_check__no_quorum__is_no_violation_and_does_not_pass(chain: Any, guard: Any, check: Any, checked: Any) -> None:
    admin = chain.accounts[ADMIN]
    oracle = chain.deploy("ReserveOracle", admin, 1, 3600, 3600)
    token = chain.deploy("WToken", "W Dollar", "USDW", 6, oracle.address, admin)
    chain.send(guard, "setCurrency", token.address, b"USD", sender=OFFICER)
    assert check(MINT, token, 1) == [checked(MINT, token, RESERVE_UNVERIFIED, 1)]


def test_check__gru_token__violates_the_isolation(chain: Any, gru: Any, check: Any, checked: Any) -> None:
    address = gru.address.lower()
    violation = ("GRUIsolationViolation", (address, address, chain.accounts[CUSTOMER].lower()))
    assert check(BRIDGE, gru, 5) == [checked(BRIDGE, gru, GRU_ISOLATION, 5), violation]


@pytest.mark.parametrize("forwards", [True, False])
def test_conversion__with_a_gru_token_on_either_side__violates_the_isolation(
    chain: Any, guard: Any, usdw: Any, gru: Any, checked: Any, forwards: bool
) -> None:
    source, target = (usdw, gru) if forwards else (gru, usdw)
    customer = chain.accounts[CUSTOMER]
    arguments = (source.address, target.address, customer, 5)
    receipt = chain.send(guard, "checkConversion", *arguments, sender=CHECKER)
    violation = ("GRUIsolationViolation", (source.address.lower(), target.address.lower(), customer.lower()))
    assert chain.events(guard, receipt) == [checked(CONVERT, source, GRU_ISOLATION, 5), violation]


def test_conversion__between_w_tokens__needs_an_active_code_on_both_sides(
    chain: Any, guard: Any, usdw: Any, make_token: Any, checked: Any
) -> None:
    eurw = make_token("EURW", 6, 1)

    def convert() -> list[Any]:
        arguments = (usdw.address, eurw.address, chain.accounts[CUSTOMER], 5)
        return list(chain.events(guard, chain.send(guard, "checkConversion", *arguments, sender=CHECKER)))

    missing = ("ISO4217Violation", (eurw.address.lower(), bytes(3)))
    assert convert() == [checked(CONVERT, usdw, ISO4217, 5), missing]
    chain.send(guard, "setCurrency", eurw.address, b"EUR", sender=OFFICER)
    assert convert()[1] == ("ISO4217Violation", (eurw.address.lower(), b"EUR")), "a code that is not active"
    chain.send(guard, "setActiveCode", b"EUR", True, sender=OFFICER)
    assert convert() == [checked(CONVERT, usdw, NONE, 5)]


def test_check__symbol_that_is_not_its_code_and_a_w__violates_iso_4217(
    chain: Any, guard: Any, make_token: Any, check: Any, checked: Any
) -> None:
    for symbol in ("USDC", "USD", "WUSD", "USDWW", "usdw"):
        token = make_token(symbol, 6, 1)
        chain.send(guard, "setCurrency", token.address, b"USD", sender=OFFICER)
        violation = ("ISO4217Violation", (token.address.lower(), b"USD"))
        assert check(REDEEM, token, 1) == [checked(REDEEM, token, ISO4217, 1), violation]


def test_check__code_that_became_inactive__violates_iso_4217(chain: Any, guard: Any, usdw: Any, check: Any) -> None:
    chain.send(guard, "setActiveCode", b"USD", False, sender=OFFICER)
    assert [name for name, _ in check(REDEEM, usdw, 1)] == ["ComplianceChecked", "ISO4217Violation"]


def test_check__blocked_account__does_not_pass_until_it_is_allowed_again(
    chain: Any, guard: Any, usdw: Any, check: Any, checked: Any
) -> None:
    chain.send(guard, "setBlocked", chain.accounts[CUSTOMER], True, sender=OFFICER)
    assert check(BRIDGE, usdw, 5) == [checked(BRIDGE, usdw, ACCOUNT_BLOCKED, 5)]
    chain.send(guard, "setBlocked", chain.accounts[CUSTOMER], False, sender=OFFICER)
    assert check(BRIDGE, usdw, 5) == [checked(BRIDGE, usdw, NONE, 5)]


def test_evaluate__says_the_same_without_a_log(chain: Any, guard: Any, usdw: Any, gru: Any) -> None:
    customer = chain.accounts[CUSTOMER]
    answers = [
        chain.call(guard, "evaluate", MINT, usdw.address, usdw.address, customer, amount)
        for amount in (100 * USD, 100 * USD + 1)
    ]
    answers.append(chain.call(guard, "evaluate", CONVERT, usdw.address, gru.address, customer, 1))
    assert answers == [NONE, MONEY_MULTIPLIER, GRU_ISOLATION]


def test_settings__are_announced(chain: Any, guard: Any, usdw: Any, gru: Any) -> None:
    customer = chain.accounts[CUSTOMER]
    said = [
        chain.events(guard, chain.send(guard, function, *arguments, sender=OFFICER))
        for function, *arguments in (
            ("setCurrency", usdw.address, b"EUR"),
            ("setActiveCode", b"EUR", True),
            ("setGRU", gru.address, False),
            ("setBlocked", customer, True),
        )
    ]
    assert said == [
        [("CurrencySet", (usdw.address.lower(), b"EUR"))],
        [("ActiveCodeSet", (b"EUR", True))],
        [("GRUSet", (gru.address.lower(), False))],
        [("BlockedSet", (customer.lower(), True))],
    ]
    assert chain.call(guard, "currencyOf", usdw.address) == b"EUR"
    assert chain.call(guard, "isActiveCode", b"EUR") is True
    assert chain.call(guard, "isGRU", gru.address) is False
    assert chain.call(guard, "isBlocked", customer) is True


@pytest.mark.parametrize("sender", [ADMIN, CHECKER, STRANGER])
def test_settings__without_the_role__revert(chain: Any, guard: Any, usdw: Any, expect_role: Any, sender: int) -> None:
    for function, arguments in (
        ("setCurrency", (usdw.address, b"USD")),
        ("setActiveCode", (b"USD", True)),
        ("setGRU", (usdw.address, True)),
        ("setBlocked", (usdw.address, True)),
    ):
        expect_role(guard, "COMPLIANCE_ROLE", sender, function, *arguments)


@pytest.mark.parametrize("sender", [ADMIN, OFFICER, STRANGER])
def test_check__without_the_role__reverts(chain: Any, guard: Any, usdw: Any, expect_role: Any, sender: int) -> None:
    customer = chain.accounts[CUSTOMER]
    expect_role(guard, "CHECKER_ROLE", sender, "check", MINT, usdw.address, customer, 1)
    expect_role(guard, "CHECKER_ROLE", sender, "checkConversion", usdw.address, usdw.address, customer, 1)
