"""Coinbase Prime: what counts in a portfolio's balances, and how requests are signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from attest.custody.apis import signing
from tests.support.presets import RETRIEVED_AT, read, refusal, wrong_options

OPTIONS = {
    "portfolio_id": "e8bbed13-fa33-41de-86d5-4335d8f08166",
    "symbol": "USDC",
    "account": "PRIME-1",
    "currency": "USD",
}


def balance(**changed: Any) -> dict[str, Any]:
    parts = {"bonded_amount": "0", "unbonding_amount": "0.00", "unvested_amount": "0", "withdrawable_amount": "98.42"}
    return {"symbol": "USDC", "amount": "109.42", "holds": "11"} | parts | changed


def page(*balances: dict[str, Any], following: str | None = None, **more: Any) -> dict[str, Any]:
    pagination = {"next_cursor": following or "", "has_next": following is not None, "sort_direction": "DESC"}
    return {"balances": list(balances), "type": "TOTAL_BALANCES", "pagination": pagination} | more


def test_read__documented_answer__counts_what_holds_reserve_as_well() -> None:
    (one,) = read("coinbase-prime", OPTIONS, page(balance(symbol="BTC"), balance()))
    assert (one.account, one.currency, one.minor_units) == ("PRIME-1", "USD", 10942)
    assert (one.balance_kind, one.as_of, one.statement_id) == ("custody-total", RETRIEVED_AT, "")


def test_read__answer_without_pagination__is_the_only_page() -> None:
    assert read("coinbase-prime", OPTIONS, page(balance(), pagination=None))


def test_read__second_page__is_read_as_well() -> None:
    (one,) = read("coinbase-prime", OPTIONS, page(balance(symbol="USD"), following="x"), page(balance()))
    assert one.minor_units == 10942


def test_read__pages_end_early__refused() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(), following="x"))[0] == "missing-page"


def test_read__pages_of_two_answers__refused() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance()), page(balance(symbol="USD")))[0] == "missing-page"


def test_read__more_pages_without_a_cursor__refused() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(), following=""))[0] == "missing-page"


def test_read__asset_stated_twice__refused() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(), balance()))[0] == "several-balances"
    pages = page(balance(), following="x"), page(balance())
    assert refusal("coinbase-prime", OPTIONS, *pages)[0] == "several-balances"


def test_read__asset_not_stated__refused_rather_than_nothing() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(symbol="usdc")))[0] == "asset-missing"


@pytest.mark.parametrize("name", ["bonded_amount", "unbonding_amount", "unvested_amount"])
def test_read__something_staked__refused(name: str) -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(**{name: "0.01"})))[0] == "staked"


def test_read__other_balances_than_asked_for__refused() -> None:
    assert refusal("coinbase-prime", OPTIONS, page(balance(), type="TRADING_BALANCES"))[0] == "wrong-asset"


def test_read__error_body__refused_with_the_venue_s_own_text() -> None:
    code, message = refusal("coinbase-prime", OPTIONS, {"message": "portfolio not found", "code": 5})
    assert code == "api-error"
    assert message.endswith("5: portfolio not found")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"balance_type": "ALL"}, "balance_type must be one of"),
        ({"portfolio_id": "a/../b"}, "portfolio_id must be the identifier"),
        ({"symbol": ""}, "symbol must be a text"),
    ],
)
def test_prepare__options_that_cannot_work__refused(changed: dict[str, object], named: str) -> None:
    assert named in wrong_options("coinbase-prime", OPTIONS | changed)


def test_sign__headers__are_what_the_documentation_says() -> None:
    headers = signing.coinbase_prime(
        "GET", "/v1/portfolios", "", 1_700_000_000, api_key="key", api_secret="c2VjcmV0", passphrase="phrase"
    )
    # As documented: the secret's text is the key, not what it decodes to.
    expected = hmac.new(b"c2VjcmV0", b"1700000000GET/v1/portfolios", hashlib.sha256).digest()
    assert headers == {
        "X-CB-ACCESS-KEY": "key",
        "X-CB-ACCESS-PASSPHRASE": "phrase",
        "X-CB-ACCESS-SIGNATURE": base64.b64encode(expected).decode(),
        "X-CB-ACCESS-TIMESTAMP": "1700000000",
    }
