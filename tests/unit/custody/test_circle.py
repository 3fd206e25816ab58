"""Circle Mint: what counts in the business account's balances."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.presets import RETRIEVED_AT, read, refusal, wrong_options

OPTIONS = {"account": "CIRCLE-1", "currency": "USD"}


def money(amount: Any, currency: Any = "USD") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def answer(*available: Any, unsettled: Any = ()) -> dict[str, Any]:
    return {"data": {"available": list(available), "unsettled": list(unsettled)}}


def test_read__documented_answer__counts_only_what_is_settled() -> None:
    (one,) = read("circle", OPTIONS, answer(money("3.14"), money("9", "EUR"), unsettled=[money("100.00")]))
    assert (one.account, one.currency, one.minor_units) == ("CIRCLE-1", "USD", 314)
    assert (one.balance_kind, one.as_of, one.statement_id) == ("custody-total", RETRIEVED_AT, "")


def test_read__only_unsettled__refused() -> None:
    assert refusal("circle", OPTIONS, answer(unsettled=[money("100.00")]))[0] == "asset-missing"


def test_read__currency_stated_twice__refused() -> None:
    assert refusal("circle", OPTIONS, answer(money("1.00"), money("1.00")))[0] == "several-balances"


def test_read__more_items_than_any_account_has__refused() -> None:
    assert read("circle", OPTIONS, answer(money("1.00"), unsettled=[{}] * 20_000))
    code, message = refusal("circle", OPTIONS, answer(money("1.00"), unsettled=[{}] * 20_001))
    assert code == "malformed-answer"
    assert "unsettled holds more than 20000 items" in message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {"available": [money("1.00")]}},
        {"data": {"available": {}, "unsettled": []}},
        answer(money(1)),
        answer(money("1.00", None)),
        answer("1.00"),
    ],
)
def test_read__member_missing_or_of_another_type__refused(body: dict[str, Any]) -> None:
    assert refusal("circle", OPTIONS, body)[0] == "malformed-answer"


@pytest.mark.parametrize("body", [{"code": 401, "message": "Malformed authorization."}, {"message": "Malformed."}])
def test_read__error_body__refused_with_the_venue_s_own_text(body: dict[str, Any]) -> None:
    code, message = refusal("circle", OPTIONS, body)
    assert code == "api-error"
    assert str(body["message"]) in message


@pytest.mark.parametrize("name", OPTIONS)
def test_prepare__option_missing__refused(name: str) -> None:
    assert f"{name} is missing" in wrong_options("circle", {key: OPTIONS[key] for key in OPTIONS if key != name})


def test_prepare__currency_without_minor_unit__refused() -> None:
    assert "no minor unit" in wrong_options("circle", OPTIONS | {"currency": "XAU"})
