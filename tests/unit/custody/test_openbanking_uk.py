"""Open Banking UK: what counts in an answer to ``GET /accounts/{AccountId}/balances``, and what refuses it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.presets import read, refusal, wrong_options

OPTIONS = {"account_id": "22289"}


def balance(**changed: Any) -> dict[str, Any]:
    return {
        "AccountId": "22289",
        "CreditDebitIndicator": "Credit",
        "Type": "CLBD",
        "DateTime": "2026-11-20T23:59:59+00:00",
        "Amount": {"Amount": "1230.00", "Currency": "GBP"},
    } | changed


def page(*balances: dict[str, Any], following: str = "", **more: Any) -> dict[str, Any]:
    links = {"Self": "https://api.oak.example/accounts/22289/balances"} | ({"Next": following} if following else {})
    return {"Data": {"Balance": list(balances)}, "Links": links, "Meta": {}} | more


@pytest.mark.parametrize("name", ["CLBD", "ClosingBooked"])
def test_read__closing_booked_of_either_version__is_taken(name: str) -> None:
    (one,) = read("openbanking-uk", OPTIONS, page(balance(Type=name)))
    assert (one.account, one.currency, one.minor_units, one.balance_kind) == ("22289", "GBP", 123000, "closing-booked")
    assert one.as_of == datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    assert one.business_date is None


@pytest.mark.parametrize(
    "name", ["ITAV", "ITBD", "XPCD", "CLAV", "OPBD", "PRCD", "INFO", "InterimBooked", "Expected", "clbd", "CLBD "]
)
def test_read__any_other_type_alone__refused(name: str) -> None:
    assert refusal("openbanking-uk", OPTIONS, page(balance(Type=name)))[0] == "no-closing-balance"


def test_read__debit__is_negative() -> None:
    (one,) = read("openbanking-uk", OPTIONS, page(balance(CreditDebitIndicator="Debit")))
    assert one.minor_units == -123000


@pytest.mark.parametrize(
    "changed",
    [
        {"CreditDebitIndicator": "CRDT"},
        {"CreditDebitIndicator": ""},
        {"Amount": {"Amount": "-1.00", "Currency": "GBP"}},
        {"Amount": {"Amount": "1,00", "Currency": "GBP"}},
        {"Amount": {"Amount": 1, "Currency": "GBP"}},
        {"Amount": {"Amount": "1e3", "Currency": "GBP"}},
        {"Amount": "1.00"},
        {"Amount": {"Amount": "1.00"}},
        {"Type": None},
        {"CreditLine": {}},
        {"CreditLine": [{"Type": "Pre-Agreed"}]},
        {"CreditLine": [{"Included": "false"}]},
    ],
)
def test_read__member_missing_or_of_another_type__refused(changed: dict[str, Any]) -> None:
    assert refusal("openbanking-uk", OPTIONS, page(balance(**changed)))[0] == "malformed-answer"


def test_read__more_decimals_than_the_currency__refused() -> None:
    amount = {"Amount": "1.005", "Currency": "GBP"}
    assert refusal("openbanking-uk", OPTIONS, page(balance(Amount=amount)))[0] == "too-many-decimals"


def test_read__credit_line_included__refused() -> None:
    lines = [{"Included": False, "Type": "Temporary"}, {"Included": True, "Type": "Pre-Agreed"}]
    code, message = refusal("openbanking-uk", OPTIONS, page(balance(CreditLine=lines)))
    assert code == "included-credit-line"
    assert "Balance 1" in message


def test_read__credit_line_not_included__is_read() -> None:
    assert read("openbanking-uk", OPTIONS, page(balance(CreditLine=[{"Included": False}])))


def test_read__another_account__refused_even_beside_the_right_one() -> None:
    code, message = refusal("openbanking-uk", OPTIONS, page(balance(), balance(AccountId="22290", Type="ITAV")))
    assert code == "wrong-account"
    assert "22290" in message


def test_read__two_closing_balances_of_one_time__refused_even_if_equal() -> None:
    assert refusal("openbanking-uk", OPTIONS, page(balance(), balance()))[0] == "several-balances"


def test_read__second_closing_balance_on_another_page__refused() -> None:
    first, second = page(balance(), following="?page=2"), page(balance())
    assert refusal("openbanking-uk", OPTIONS, first, second)[0] == "several-balances"


def test_read__currencies_and_days__are_balances_of_their_own() -> None:
    euro = balance(Amount={"Amount": "7.00", "Currency": "EUR"})
    earlier = balance(DateTime="2026-11-19T23:59:59+00:00")
    assert len(read("openbanking-uk", OPTIONS, page(balance(), euro, earlier))) == 3


def test_read__account_option__is_what_the_account_is_called() -> None:
    (one,) = read("openbanking-uk", OPTIONS | {"account": "GB33BUKB20201555555555"}, page(balance()))
    assert one.account == "GB33BUKB20201555555555"


def test_read__local_time__needs_a_zone() -> None:
    answer = page(balance(DateTime="2026-11-20T23:59:59"))
    code, message = refusal("openbanking-uk", OPTIONS, answer)
    assert code == "naive-time"
    assert "DateTime" in message
    (one,) = read("openbanking-uk", OPTIONS, answer, zone="Europe/London")
    assert one.as_of == datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-20",
        "2026-11-20T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "20.11.2026",
        "2026-11-20T23:59:59-00:00",
        "2026-11-20T23:59:59+25:00",
    ],
)
def test_read__date_that_is_none__refused(written: str) -> None:
    assert refusal("openbanking-uk", OPTIONS, page(balance(DateTime=written)))[0] == "malformed-date"


@pytest.mark.parametrize(
    "pages",
    [
        [page(balance(), following="?page=2")],
        [page(balance()), page(balance(DateTime="2026-11-19T23:59:59Z"))],
        [page(balance(), Meta={"TotalPages": 2})],
    ],
)
def test_read__pages_end_early_or_do_not_belong_together__refused(pages: list[dict[str, Any]]) -> None:
    assert refusal("openbanking-uk", OPTIONS, *pages)[0] == "missing-page"


def test_read__error_body__refused_with_the_bank_s_own_text() -> None:
    body = {
        "Code": "403 Forbidden",
        "Errors": [{"ErrorCode": "UK.OBIE.Reauthenticate", "Message": "Consent has expired\n\u202e" + "x" * 300}],
    }
    code, message = refusal("openbanking-uk", OPTIONS, body)
    assert code == "api-error"
    assert "UK.OBIE.Reauthenticate: Consent has expired" in message
    assert len(message) < 250


def test_read__error_body_without_text__refused() -> None:
    assert refusal("openbanking-uk", OPTIONS, {"Errors": {}})[0] == "api-error"


@pytest.mark.parametrize("text", ["[]", "null", '"x"'])
def test_read__no_object__refused(text: str) -> None:
    assert refusal("openbanking-uk", OPTIONS, text)[0] == "malformed-answer"


@pytest.mark.parametrize("text", ["{", '{"Data": {}, "Data": {}}', '{"a": NaN}', "\ufeff{}"])
def test_read__not_strictly_json__refused(text: str) -> None:
    assert refusal("openbanking-uk", OPTIONS, text)[0] == "malformed-json"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "account_id is missing"),
        ({"account_id": 22289}, "account_id must be a text"),
        ({"account_id": "../admin"}, "account_id must be the identifier"),
        ({"account_id": "1", "account": " x"}, "account must be a text"),
    ],
)
def test_prepare__options_that_cannot_work__refused(options: dict[str, object], named: str) -> None:
    assert named in wrong_options("openbanking-uk", options)
