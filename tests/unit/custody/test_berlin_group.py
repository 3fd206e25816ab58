"""Berlin Group 1.3: what counts in an answer to ``GET /v1/accounts/{account-id}/balances``, and what refuses it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.presets import read, refusal, wrong_options

OPTIONS = {"resource_id": "3dc3d5b3"}
IBAN = "FR7612345987650123456789014"


def balance(**changed: Any) -> dict[str, Any]:
    return {
        "balanceAmount": {"currency": "EUR", "amount": "500.00"},
        "balanceType": "closingBooked",
        "referenceDate": "2026-11-20",
    } | changed


def answer(*balances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"account": {"iban": IBAN}, "balances": list(balances)} | more


def test_read__documented_answer__gives_the_closing_booked_balance_alone() -> None:
    expected = balance(balanceType="expected", balanceAmount={"currency": "EUR", "amount": "900.00"})
    (one,) = read("berlin-group", OPTIONS, answer(expected, balance()), zone="Europe/Paris")
    assert (one.account, one.currency, one.minor_units, one.balance_kind) == (IBAN, "EUR", 50000, "closing-booked")
    assert one.as_of == datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC)
    assert one.business_date == "2026-11-20"


@pytest.mark.parametrize(
    "name", ["expected", "openingBooked", "interimAvailable", "interimBooked", "forwardAvailable", "nonInvoiced"]
)
def test_read__any_other_type_alone__refused(name: str) -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(balanceType=name)))[0] == "no-closing-balance"


def test_read__minus__is_negative() -> None:
    (one,) = read("berlin-group", OPTIONS, answer(balance(balanceAmount={"currency": "EUR", "amount": "-1.5"})))
    assert one.minor_units == -150


def test_read__credit_limit_included__refused() -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(creditLimitIncluded=True)))[0] == "included-credit-line"


@pytest.mark.parametrize("changed", [{"referenceDate": None}, {"referenceDate": ""}])
def test_read__no_reference_date__refused_whatever_changed_last(changed: dict[str, Any]) -> None:
    changed |= {"lastChangeDateTime": "2026-11-20T15:30:35Z"}
    code, message = refusal("berlin-group", OPTIONS, answer(balance(**changed)))
    assert code == "date-missing"
    assert "balances 1" in message


@pytest.mark.parametrize("written", ["2026-02-30", "20261120", "20.11.2026", "2026-11-20T00:00:00Z", "1026-11-20"])
def test_read__date_that_is_none__refused(written: str) -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(referenceDate=written)))[0] == "malformed-date"


@pytest.mark.parametrize(
    "changed",
    [
        {"balanceAmount": None},
        {"balanceAmount": {"currency": "EUR", "amount": 500}},
        {"balanceAmount": {"amount": "500.00"}},
        {"creditLimitIncluded": "false"},
        {"balanceType": None},
    ],
)
def test_read__member_missing_or_of_another_type__refused(changed: dict[str, Any]) -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(**changed)))[0] == "malformed-answer"


@pytest.mark.parametrize("written", ["+500", "5,00", "1e3", "0500", ".5"])
def test_read__amount_in_another_notation__refused(written: str) -> None:
    amount = {"currency": "EUR", "amount": written}
    assert refusal("berlin-group", OPTIONS, answer(balance(balanceAmount=amount)))[0] == "malformed-amount"


def test_read__another_iban_than_the_option_says__refused() -> None:
    code, message = refusal("berlin-group", OPTIONS | {"account": "DE02120300000000202051"}, answer(balance()))
    assert code == "wrong-account"
    assert IBAN in message


def test_read__the_same_iban_in_another_spelling__is_called_as_the_option_says() -> None:
    (one,) = read("berlin-group", OPTIONS | {"account": "FR76 1234 5987 6501 2345 6789 014"}, answer(balance()))
    assert one.account == "FR76 1234 5987 6501 2345 6789 014"


@pytest.mark.parametrize(
    ("account", "called"), [({"bban": "BARC12345612345678"}, "BARC12345612345678"), ({}, "3dc3d5b3")]
)
def test_read__no_iban__is_called_by_its_bban_or_its_resource(account: dict[str, str], called: str) -> None:
    (one,) = read("berlin-group", OPTIONS, answer(balance(), account=account))
    assert one.account == called


def test_read__answer_that_names_no_account__is_called_by_its_resource() -> None:
    (one,) = read("berlin-group", OPTIONS, {"balances": [balance()]})
    assert one.account == "3dc3d5b3"


def test_read__other_currency_than_the_account_s__refused() -> None:
    account = {"iban": IBAN, "currency": "USD"}
    assert refusal("berlin-group", OPTIONS, answer(balance(), account=account))[0] == "wrong-asset"


def test_read__two_closing_balances_of_one_day__refused_even_if_equal() -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(), balance()))[0] == "several-balances"


def test_read__currencies_and_days__are_balances_of_their_own() -> None:
    dollars = balance(balanceAmount={"currency": "USD", "amount": "1"})
    stated = read("berlin-group", OPTIONS, answer(balance(), dollars, balance(referenceDate="2026-11-19")))
    assert len(stated) == 3


def test_read__error_body__refused_with_the_bank_s_own_text() -> None:
    body = {"tppMessages": [{"category": "ERROR", "code": "CONSENT_EXPIRED", "text": "renew it"}, "x"]}
    code, message = refusal("berlin-group", OPTIONS, body)
    assert code == "api-error"
    assert message == "answer-1.json: is an error: CONSENT_EXPIRED: renew it"


def test_read__error_body_of_another_shape__refused() -> None:
    assert refusal("berlin-group", OPTIONS, answer(balance(), tppMessages={}))[0] == "api-error"


def test_prepare__no_resource__refused() -> None:
    assert "resource_id is missing" in wrong_options("berlin-group", {"account": IBAN})
