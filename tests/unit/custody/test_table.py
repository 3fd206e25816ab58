"""Rows of a table: numbers and dates that are none of texts, several documents, an account that is not named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import table
from attest.errors import SourceError
from attest.model import StatedBalance

LOCAL = datetime(2026, 11, 20, 18, 30)  # noqa: DTZ001 - without a zone on purpose
HEADER = ["Account", "Date", "Amount"]
OPTIONS: dict[str, object] = {
    "account_column": "Account",
    "date_column": "Date",
    "amount_column": "Amount",
    "currency": "USD",
}


def stated(*rows: list[Any], zone: str | None = "UTC", **options: object) -> tuple[StatedBalance, ...]:
    columns = table.prepare({name: value for name, value in (OPTIONS | options).items() if value is not None})
    return table.read_rows(HEADER, enumerate(rows, 1), columns, zone=zone, where="ledger", place="row")


def refusal(*rows: list[Any], zone: str | None = "UTC", **options: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        stated(*rows, zone=zone, **options)
    assert caught.value.message.startswith("ledger")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


@pytest.mark.parametrize(
    ("cell", "minor_units"),
    [(1234, 123400), (-5, -500), (0, 0), (Decimal("1234.56"), 123456), (Decimal("1234.5600"), 123456),
     (Decimal("1E+3"), 100000), (Decimal("-0.01"), -1)],
)  # fmt: skip
def test_read_rows__number__is_exact_whatever_the_written_separators(cell: object, minor_units: int) -> None:
    for options in ({}, {"decimal": ",", "thousands": "."}):
        assert stated(["A", "2026-11-20", cell], **options)[0].minor_units == minor_units


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (1.5, "malformed-amount"), (True, "malformed-amount"), (date(2026, 11, 20), "malformed-amount"),
        (Decimal("NaN"), "malformed-amount"), (Decimal("Infinity"), "malformed-amount"),
        (Decimal("1E+1000000"), "malformed-amount"), (Decimal("1E-1000000"), "malformed-amount"),
        (Decimal("-0"), "malformed-amount"), (None, "malformed-amount"), (Decimal("1.001"), "too-many-decimals"),
        (10**200, "malformed-amount"),
    ],
)  # fmt: skip
def test_read_rows__amount_that_is_no_exact_number__is_refused(cell: object, code: str) -> None:
    fault = refusal(["A", "2026-11-20", cell])
    assert fault.code == code
    assert "row 1: account 'A'" in fault.message
    assert len(fault.message) < 300


@given(units=st.integers(-(10**30), 10**30))
def test_read_rows__any_decimal__is_read_back_exactly(units: int) -> None:
    assert stated(["A", "2026-11-20", Decimal(f"{units}E-2")])[0].minor_units == units


def test_read_rows__number_with_a_credit_or_debit_mark__takes_its_sign_from_the_mark_alone() -> None:
    marks = {"indicator_column": "Date", "credit": "C", "debit": "D"}
    header = ["Account", "Date", "Amount", "When"]

    def read(mark: str, amount: object) -> int:
        columns = table.prepare(OPTIONS | marks | {"date_column": "When"})
        rows = [(1, ["A", mark, amount, "2026-11-20"])]
        return table.read_rows(header, rows, columns, zone=None, where="ledger")[0].minor_units

    assert (read("C", 5), read("D", 5), read("D", Decimal("5.10"))) == (500, -500, -510)
    with pytest.raises(SourceError) as caught:
        read("D", -5)
    assert caught.value.code == "malformed-amount"


@pytest.mark.parametrize(
    ("cell", "as_of", "business_date"),
    [
        (date(2026, 11, 20), datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC), "2026-11-20"),
        (LOCAL, datetime(2026, 11, 20, 17, 30, tzinfo=UTC), None),
        (datetime(2026, 11, 20, 18, 30, 0, 999999, UTC), datetime(2026, 11, 20, 18, 30, tzinfo=UTC), None),
        (
            datetime(2026, 11, 20, 18, tzinfo=timezone(timedelta(hours=-5))),
            datetime(2026, 11, 20, 23, tzinfo=UTC),
            None,
        ),
    ],
)
def test_read_rows__date_or_time__is_what_it_is(cell: object, as_of: datetime, business_date: str | None) -> None:
    (balance,) = stated(["A", cell, 1], zone="Europe/Berlin")
    assert (balance.as_of, balance.business_date) == (as_of, business_date)


@pytest.mark.parametrize("cell", [None, 1.5, Decimal("46346.5"), True, date(1899, 1, 1), LOCAL.replace(year=9999)])
def test_read_rows__date_that_is_none__is_refused(cell: object) -> None:
    assert refusal(["A", cell, 1]).code == "malformed-row"


def test_read_rows__naive_timestamp_with_no_configured_time_zone__refused() -> None:
    assert refusal(["A", LOCAL, 1], zone=None).code == "naive-time"


def test_read_rows__whole_number_as_account_or_date__is_its_digits() -> None:
    (balance,) = stated([451770012, 20261120, 1], date_format="YYYYMMDD")
    assert (balance.account, balance.business_date) == ("451770012", "2026-11-20")
    assert stated([Decimal("4.5E+3"), "2026-11-20", 1])[0].account == "4500"
    assert refusal([Decimal("4.5"), "2026-11-20", 1]).code == "malformed-row"


def test_read_rows__account_as_an_option__is_that_of_all_rows() -> None:
    balances = stated(["x", "2026-11-19", 1], ["y", "2026-11-20", 2], account_column=None, account="ACME-1")
    assert [(one.account, one.minor_units) for one in balances] == [("ACME-1", 100), ("ACME-1", 200)]
    rows = ["x", "2026-11-19", 1], ["y", "2026-11-19", 1]
    assert refusal(*rows, account_column=None, account="ACME-1").code == "duplicate-row"


def test_read_rows__no_header_number__names_only_the_table() -> None:
    columns = table.prepare(OPTIONS)
    with pytest.raises(SourceError) as caught:
        table.read_rows(["Account"], [], columns, zone=None, where="ledger", header_number=None)
    assert caught.value.message.startswith("ledger: the column 'Amount' (amount_column) is missing")


@pytest.mark.parametrize(
    ("options", "named"),
    [({"account": "A"}, "one of account"), ({"account": " ", "account_column": None}, "account must not be empty")],
)
def test_prepare__account_named_twice_or_empty__is_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        stated(["A", "2026-11-20", 1], **options)


# -- several documents -----------------------------------------------------------------------------------------------


def test_merge__same_balance_in_two_documents__counts_once() -> None:
    first, second = stated(["A", "2026-11-20", 1]), stated(["a", "2026-11-20", 1], ["B", "2026-11-20", 2])
    assert table.merge([("1", first), ("2", second)]) == (*first, second[1])


def test_merge__two_statements_of_one_account_and_date_that_differ__refused() -> None:
    first, second = stated(["A", "2026-11-20", 1]), stated(["A", "2026-11-20", 2])
    with pytest.raises(SourceError) as caught:
        table.merge([("one.csv", first), ("two.csv", second)])
    assert caught.value.code == "conflicting-statements"
    assert "two.csv: account 'A'" in caught.value.message
    assert "one.csv" in caught.value.message


def test_merge__other_dates_and_currencies__are_other_balances() -> None:
    first = stated(["A", "2026-11-20", 1])
    assert len(table.merge([("1", first), ("2", stated(["A", "2026-11-19", 2]))])) == 2
    assert len(table.merge([("1", first), ("2", stated(["A", "2026-11-20", 2], currency="EUR"))])) == 2
