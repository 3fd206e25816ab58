"""BitGo: what counts in a wallet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.presets import RETRIEVED_AT, read, refusal, wrong_options

WALLET = "59cd72485007a239fb00282ed480da1f"
OPTIONS = {"coin": "ofcusd", "wallet_id": WALLET, "decimals": "2", "currency": "USD"}
TOKEN = {"coin": "eth", "token": "usdc", "wallet_id": WALLET, "decimals": "6", "currency": "USD"}


def wallet(**changed: Any) -> dict[str, Any]:
    return {
        "id": WALLET,
        "coin": "ofcusd",
        "deleted": False,
        "balance": 650000000,
        "confirmedBalance": 650000000,
        "balanceString": "650000000",
        "confirmedBalanceString": "650000000",
        "spendableBalanceString": "1",
    } | changed


def tokens(**balances: str) -> dict[str, Any]:
    held = {name: {"balanceString": written, "confirmedBalanceString": written} for name, written in balances.items()}
    return {"id": WALLET, "coin": "eth", "balanceString": "7", "confirmedBalanceString": "7", "tokens": held}


def test_read__documented_answer__is_in_base_units() -> None:
    (one,) = read("bitgo", OPTIONS, wallet())
    assert (one.account, one.currency, one.minor_units) == (WALLET, "USD", 650000000)
    assert (one.balance_kind, one.as_of, one.statement_id) == ("custody-total", RETRIEVED_AT, "")


def test_read__account_option__is_what_the_wallet_is_called() -> None:
    (one,) = read("bitgo", OPTIONS | {"account": "BG-1"}, wallet())
    assert one.account == "BG-1"


@pytest.mark.parametrize(
    ("total", "confirmed"), [("650000100", "650000000"), ("650000000", "650000100")], ids=["arriving", "leaving"]
)
def test_read__something_on_its_way__counts_the_lower_number(total: str, confirmed: str) -> None:
    one_way = {"balanceString": total, "confirmedBalanceString": confirmed, "balance": None, "confirmedBalance": None}
    (one,) = read("bitgo", OPTIONS, wallet(**one_way))
    assert one.minor_units == 650000000


def test_read__token__is_read_from_the_wallet_s_tokens_alone() -> None:
    (one,) = read("bitgo", TOKEN, tokens(usdc="1250000000000", usdt="5"))
    assert one.minor_units == 125000000


def test_read__token_that_is_not_there__refused() -> None:
    code, message = refusal("bitgo", TOKEN, tokens(usdt="5"))
    assert code == "asset-missing"
    assert "usdc" in message


def test_read__token_in_an_answer_without_tokens__refused() -> None:
    assert refusal("bitgo", TOKEN, wallet(coin="eth"))[0] == "malformed-answer"


def test_read__finer_than_the_currency__refused_unless_to_be_floored() -> None:
    assert refusal("bitgo", TOKEN, tokens(usdc="1009999"))[0] == "too-many-decimals"
    (one,) = read("bitgo", TOKEN | {"sub_minor_units": "floor"}, tokens(usdc="1009999"))
    assert one.minor_units == 100


def test_read__below_zero__floors_away_from_zero() -> None:
    (one,) = read("bitgo", TOKEN | {"sub_minor_units": "floor"}, tokens(usdc="-1000001"))
    assert one.minor_units == -101


def test_read__number_and_text_that_differ__refused() -> None:
    assert refusal("bitgo", OPTIONS, wallet(balance=650000001))[0] == "parts-differ"
    assert refusal("bitgo", OPTIONS, wallet(confirmedBalance=0))[0] == "parts-differ"


def test_read__number_beyond_what_javascript_writes_exactly__is_not_compared() -> None:
    large = str(2**60)
    answer = wallet(balance=2**60 + 7, confirmedBalance=2**60, balanceString=large, confirmedBalanceString=large)
    (one,) = read("bitgo", OPTIONS, answer)
    assert one.minor_units == 2**60


def test_read__numbers_with_decimals_or_exponent_elsewhere__are_no_hindrance() -> None:
    text = json.dumps(wallet(buildDefaults={"feeMultiplier": 1.2})).replace('"balance": 650000000', '"balance": 1e+21')
    assert read("bitgo", OPTIONS, text)


@pytest.mark.parametrize("written", ["", "1.5", "1e3", "+5", None])
def test_read__text_that_is_no_integer__refused(written: str | None) -> None:
    assert refusal("bitgo", OPTIONS, wallet(confirmedBalanceString=written))[0] == "malformed-answer"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": "00cd72485007a239fb00282ed480da1f"}, "wrong-account"),
        ({"coin": "tofcusd"}, "wrong-asset"),
        ({"deleted": True}, "wallet-deleted"),
    ],
)
def test_read__another_or_a_deleted_wallet__refused(changed: dict[str, Any], code: str) -> None:
    assert refusal("bitgo", OPTIONS, wallet(**changed))[0] == code


def test_read__error_body__refused_with_the_venue_s_own_text() -> None:
    body = {"error": "invalid wallet id", "name": "InvalidWalletId", "requestId": "cjo7uw7si0buzttlmazm"}
    code, message = refusal("bitgo", OPTIONS, body)
    assert code == "api-error"
    assert message.endswith("InvalidWalletId: invalid wallet id")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"decimals": "37"}, "decimals must be"),
        ({"decimals": "six"}, "decimals must be"),
        ({"decimals": 6}, "decimals must be a text"),
        ({"wallet_id": "a?b"}, "wallet_id must be the identifier"),
    ],
)
def test_prepare__options_that_cannot_work__refused(changed: dict[str, object], named: str) -> None:
    assert named in wrong_options("bitgo", OPTIONS | changed)
