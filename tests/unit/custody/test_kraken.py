"""Kraken: what counts in an answer to ``POST /0/private/Balance``, and how requests are signed."""

from __future__ import annotations

from typing import Any

import pytest

from attest.custody.apis import signing
from tests.support.presets import RETRIEVED_AT, read, refusal, wrong_options

OPTIONS = {"asset": "ZUSD", "account": "KRAKEN-1", "currency": "USD"}


def answer(errors: Any = (), **assets: Any) -> dict[str, Any]:
    return {"error": list(errors), "result": assets}


def test_read__documented_answer__has_more_decimals_than_the_currency() -> None:
    documented = answer(ZUSD="171288.6158", ZEUR="504861.8946", XXBT="1011.1908877900")
    code, message = refusal("kraken", OPTIONS, documented)
    assert code == "too-many-decimals"
    assert "KRAKEN-1" in message
    (one,) = read("kraken", OPTIONS | {"sub_minor_units": "floor"}, documented)
    assert (one.account, one.currency, one.minor_units) == ("KRAKEN-1", "USD", 17128861)
    assert (one.balance_kind, one.as_of, one.statement_id) == ("custody-total", RETRIEVED_AT, "")


def test_read__zeros_beyond_the_currency__are_read() -> None:
    (one,) = read("kraken", OPTIONS, answer(ZUSD="5.5000"))
    assert one.minor_units == 550


def test_read__what_is_staked_or_earns_rewards__is_another_asset() -> None:
    (one,) = read("kraken", OPTIONS, answer(**{"ZUSD": "1.00", "ZUSD.F": "2.00", "USD.HOLD": "3.00"}))
    assert one.minor_units == 100


def test_read__asset_not_stated__refused_rather_than_nothing() -> None:
    code, message = refusal("kraken", OPTIONS, answer(ZEUR="1.00"))
    assert code == "asset-missing"
    assert "ZUSD" in message


def test_read__asset_stated_twice__refused() -> None:
    text = '{"error": [], "result": {"ZUSD": "1.00", "ZUSD": "1.00"}}'
    assert refusal("kraken", OPTIONS, text)[0] == "malformed-json"


@pytest.mark.parametrize(
    "said", ["EAPI:Invalid key", "EAPI:Rate limit exceeded", "EService:Unavailable", "EAPI:Invalid nonce"]
)
def test_read__error_with_status_200__refused_with_the_venue_s_own_text(said: str) -> None:
    code, message = refusal("kraken", OPTIONS, {"error": [said]})
    assert code == "api-error"
    assert message == f"answer-1.json: is an error: {said}"


def test_read__error_beside_a_result__refused() -> None:
    assert refusal("kraken", OPTIONS, answer(["EGeneral:Internal error"], ZUSD="1.00"))[0] == "api-error"


@pytest.mark.parametrize("body", [{"result": {"ZUSD": "1.00"}}, {"error": "EAPI", "result": {"ZUSD": "1.00"}}])
def test_read__no_list_of_errors__refused(body: dict[str, Any]) -> None:
    assert refusal("kraken", OPTIONS, body)[0] == "api-error"


@pytest.mark.parametrize("body", [{"error": []}, answer(ZUSD=1), answer(ZUSD=None), answer(ZUSD="")])
def test_read__member_missing_or_of_another_type__refused(body: dict[str, Any]) -> None:
    assert refusal("kraken", OPTIONS, body)[0] == "malformed-answer"


@pytest.mark.parametrize("written", ["1E+3", "1,000.00", "NaN", "-0.00"])
def test_read__amount_in_another_notation__refused(written: str) -> None:
    assert refusal("kraken", OPTIONS, answer(ZUSD=written))[0] == "malformed-amount"


@pytest.mark.parametrize("name", OPTIONS)
def test_prepare__option_missing__refused(name: str) -> None:
    assert f"{name} is missing" in wrong_options("kraken", {key: OPTIONS[key] for key in OPTIONS if key != name})


def test_sign__documented_example__gives_the_documented_signature() -> None:
    # The example of Kraken's "Spot REST Authentication"; its key is published there.
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    headers = signing.kraken("/0/private/AddOrder", "1616492376594", body, api_key="key", api_secret=secret)
    assert headers == {
        "API-Key": "key",
        "API-Sign": "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
    }


def test_sign__secret_that_is_not_base64__refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        signing.kraken("/", "1", b"", api_key="key", api_secret="canary!")
    assert "canary" not in str(caught.value)
