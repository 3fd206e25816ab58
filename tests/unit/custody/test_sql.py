"""Databases: the options, the row as it is kept, and SQLite for real (PostgreSQL is among the integration tests)."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.config import SqlConnection
from attest.custody import formats, sql
from attest.custody.document import Document
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
QUERY = "SELECT no, amount, day FROM b WHERE no = :account AND day <= :date ORDER BY day DESC LIMIT 1"
OPTIONS = {
    "query": QUERY, "account_column": "no", "amount_column": "amount", "date_column": "day", "currency": "USD",
}  # fmt: skip
CENTS = {**OPTIONS, "minor_units": "true"}

Ask = Callable[..., StatedBalance]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "ledger #1.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """CREATE TABLE b (no TEXT, amount TEXT, real REAL, cents INTEGER, day TEXT, at TEXT, note TEXT, raw BLOB);
            INSERT INTO b VALUES
                ('12', '1234.50', 1234.5, 123450, '2026-11-19', '2026-11-19T22:00:00Z', NULL, x'00'),
                ('12', '1234.56', 1234.56, 123456, '2026-11-20', '2026-11-20T22:00:00Z', NULL, x'00'),
                ('12', '9.99', 9.99, 999, '2026-11-22', '2026-11-23T09:00:00Z', NULL, x'00');"""
        )
    connection.close()
    return path


def asked(**changes: Any) -> Asked:
    one = Asked(
        where="account a, source db", period="2026-W47", cutoff=CUTOFF, location="",
        connection=SqlConnection(kind="sql", url="file:url"), external_account="12", currency="USD",
        balance_kind="closing-booked", zone="America/New_York",
    )  # fmt: skip
    return dataclasses.replace(one, **changes)


def fetched(base: Path, url: str, query: str = QUERY, question: Asked | None = None, **options: str) -> Document:
    (base / "url").write_text(url, encoding="utf-8")
    settings = formats.check_options("sql", {**OPTIONS, "query": query, **options}, "here")
    reach = Reach(base, cast(Any, None), {}, until=time.monotonic() + 60)
    (document,) = sql.fetch(question or asked(), settings, reach)
    return document


@pytest.fixture
def ask(database: Path) -> Ask:
    def question(query: str = QUERY, **options: str) -> StatedBalance:
        url = options.pop("url", f"sqlite:///{database.name}")
        document = fetched(database.parent, url, query, **options)
        zone = asked().zone
        settings = {**OPTIONS, "query": query, **options}
        (balance,) = formats.read("sql", [document], settings, zone=zone, retrieved_at=NOW)
        return balance

    return question


def document(*columns: tuple[str, str, str], **changes: object) -> Document:
    plain = {
        "format": "attest-sql-row/1",
        "columns": [{"name": name, "type": kind, "value": value} for name, kind, value in columns],
    }
    return Document.of("row.json", json.dumps(plain | changes, separators=(",", ":")).encode() + b"\n")


ROW = (("no", "text", "12"), ("amount", "numeric", "1234.56"), ("day", "date", "2026-11-20"))


def read(*columns: tuple[str, str, str], zone: str | None = None, **options: str) -> StatedBalance:
    (balance,) = formats.read("sql", [document(*columns)], OPTIONS | options, zone=zone, retrieved_at=NOW)
    return balance


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": ""}, "query must be given"),
        ({"query": "DELETE FROM b"}, "must begin with SELECT or WITH"),
        ({"query": "SELECTED"}, "must begin with SELECT or WITH"),
        ({"query": "SELECT 1; DROP TABLE b"}, "one statement"),
        ({"query": "SELECT 1 WHERE no = :iban"}, "no :iban; there are :account, :cutoff, :date, :period"),
        ({"query": 3}, "query must be a text"),
        ({"minor_units": "yes"}, "minor_units must be one of"),
        ({"currency": "XXX"}, "no minor unit"),
    ],
)
def test_prepare__option_that_cannot_work__refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        formats.check_options("sql", OPTIONS | changes, "here")


def test_prepare__casts_and_times_in_the_query__are_no_parameters() -> None:
    query = "with x as (select 1) SELECT a::numeric, '12:30' FROM b WHERE day <= :date"
    assert formats.check_options("sql", OPTIONS | {"query": query}, "here").query == query


def test_prepare__missing_query_or_column__refused() -> None:
    for name in ("query", "amount_column", "date_column", "account_column"):
        with pytest.raises(OperatorError, match=name):
            formats.check_options("sql", {key: value for key, value in OPTIONS.items() if key != name}, "here")


# -- SQLite ----------------------------------------------------------------------------------------------------------


def test_fetch__sqlite__gives_the_newest_balance_that_is_over_by_the_cutoff(ask: Ask) -> None:
    balance = ask()  # Sunday is not over in New York at the cutoff
    assert (balance.account, balance.minor_units, balance.business_date) == ("12", 123456, "2026-11-20")


def test_fetch__sqlite__whole_number_of_cents_and_all_parameters(ask: Ask) -> None:
    query = "SELECT no, cents AS amount, at AS day FROM b WHERE at <= :cutoff AND :period = '2026-W47' ORDER BY at DESC"
    balance = ask(f"{query} LIMIT 1", minor_units="true", date_format="YYYY-MM-DDThh:mm:sszzz")
    assert (balance.minor_units, balance.as_of) == (123456, datetime(2026, 11, 20, 22, tzinfo=UTC))


def test_fetch__sqlite_document__shows_the_database_and_no_more(database: Path) -> None:
    got = fetched(database.parent, f"sqlite:///{database}")
    assert got.name == f"sqlite {database}"
    assert got.provenance == ""
    assert json.loads(got.read(10_000))["columns"][1] == {"name": "amount", "type": "text", "value": "1234.56"}


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        (QUERY.replace(":account", "'13'"), "no-row", "gives no row"),
        (QUERY.replace("LIMIT 1", ""), "several-rows", "gives several rows"),
        (QUERY.replace("amount,", "real AS amount,"), "float-amount", "'amount' is a floating-point number"),
        (QUERY.replace("amount,", "amount, note,"), "null-value", "'note' is NULL"),
        (QUERY.replace("amount,", "amount, raw,"), "unsupported-column", "'raw'"),
        (QUERY.replace("amount,", "amount, amount,"), "duplicate-column", "'amount' twice"),
        (QUERY.replace("amount,", ", ".join(f"{n} AS c{n}" for n in range(65)) + ","), "unsupported-column", "67"),
        (QUERY.replace("amount,", f"amount, '{'x' * 10_001}' AS long,"), "unsupported-column", "'long'"),
        (QUERY.replace("FROM b", "FROM c"), "query-failed", "no such table: c"),
        (QUERY.replace("amount,", "'1,234.56' AS amount,"), "malformed-amount", "'1,234.56'"),
        ("WITH x AS (SELECT 1) INSERT INTO b (no) SELECT 'x' RETURNING no", "query-writes", "readonly"),
    ],
)
def test_fetch__sqlite__what_is_not_one_exact_row__refused(
    ask: Ask, database: Path, query: str, code: str, said: str
) -> None:
    before = database.read_bytes()
    with pytest.raises(SourceError) as refused:
        ask(query)
    assert refused.value.code == code
    assert said in refused.value.message
    assert str(database.name) in refused.value.message or "account a, source db" in refused.value.message
    assert database.read_bytes() == before


def test_fetch__sqlite__endless_query__is_ended_in_time(database: Path) -> None:
    quick = asked(connection=SqlConnection(kind="sql", url="file:url", statement_timeout_seconds=1))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    begun = time.monotonic()
    with pytest.raises(SourceError) as refused:
        fetched(database.parent, f"sqlite:///{database}", endless, quick)
    assert refused.value.code == "query-timeout"
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("content", [None, b"this is no database" * 100])
def test_fetch__sqlite_file_that_is_none__refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(SourceError) as refused:
        fetched(tmp_path, "sqlite:///x.db")
    assert refused.value.code == "database-unreachable"
    assert "sqlite x.db: " in refused.value.message
    assert content is not None or not (tmp_path / "x.db").exists()


def test_fetch__sqlite_locked__is_not_waited_for(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    quick = asked(connection=SqlConnection(kind="sql", url="file:url", statement_timeout_seconds=1))
    with pytest.raises(SourceError) as refused:
        fetched(database.parent, f"sqlite:///{database}", question=quick)
    connection.close()
    assert refused.value.code == "query-timeout"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://user:geheim1@host/name", "is for mysql"),
        ("oracle+oracledb://user:geheim1@host/name", "PostgreSQL"),
        ("geheim1", "not one that SQLAlchemy reads"),
        ("postgresql://user:geheim1@host:port/name", "not one that SQLAlchemy reads"),
        ("sqlite://", "does not name a database file"),
        ("sqlite:///:memory:", "does not name a database file"),
        ("sqlite:///file:geheim1?mode=rwc&uri=true", "does not name a database file"),
        ("postgresql://me:not@geheim1@db.example/balances", "holds an @ that is not percent-encoded"),
        ("postgresql://me:not@x/geheim1@db.example/balances", "holds an @ that is not percent-encoded"),
    ],
)
def test_fetch__database_that_is_not_taken__refused_without_showing_its_url(
    tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        fetched(tmp_path, url)
    assert refused.value.code == "unsupported-database"
    assert said in refused.value.message + refused.value.advice
    assert "file:url" in refused.value.message
    assert "geheim1" not in repr(refused.value.as_json())


def test_fetch__without_a_database_connection__refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="needs a connection of kind sql"):
        fetched(tmp_path, "sqlite:///x", question=asked(connection=None))


def test_fetch__deadline_has_passed__refused(database: Path) -> None:
    (database.parent / "url").write_text(f"sqlite:///{database}")
    reach = Reach(database.parent, cast(Any, None), {}, until=time.monotonic() - 1)
    with pytest.raises(SourceError) as refused:
        list(sql.fetch(asked(), sql.prepare(OPTIONS), reach))
    assert refused.value.code == "deadline"


# -- the row as it is kept -------------------------------------------------------------------------------------------


def test_read__row__is_the_balance_it_states() -> None:
    balance = read(*ROW)
    assert (balance.account, balance.currency, balance.minor_units) == ("12", "USD", 123456)
    assert (balance.as_of, balance.business_date) == (datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), "2026-11-20")


def test_read__times__are_instants_or_local_times() -> None:
    instant = (*ROW[:2], ("day", "timestamptz", "2026-11-20T22:59:00.250000Z"))
    assert read(*instant).as_of == datetime(2026, 11, 20, 22, 59, tzinfo=UTC)
    local = (*ROW[:2], ("day", "timestamp", "2026-11-20T22:59:00"))
    assert read(*local, zone="Asia/Tokyo").as_of == datetime(2026, 11, 20, 13, 59, tzinfo=UTC)
    with pytest.raises(SourceError, match="no time zone"):
        read(*local)


@pytest.mark.parametrize(
    ("number", "column", "code"),
    [
        (1, ("amount", "numeric", "1234.567"), "too-many-decimals"),
        (1, ("amount", "numeric", "01234.56"), "malformed-document"),
        (1, ("amount", "numeric", "1e3"), "malformed-document"),
        (1, ("amount", "numeric", "NaN"), "malformed-document"),
        (1, ("amount", "numeric", "٣"), "malformed-document"),
        (1, ("amount", "integer", "1.0"), "malformed-document"),
        (1, ("amount", "text", "1_000"), "malformed-amount"),
        (1, ("amount", "date", "2026-11-20"), "malformed-amount"),
        (1, ("amount", "float", "1.0"), "malformed-record"),
        (1, ("sum", "numeric", "1.0"), "wrong-header"),
        (1, ("no", "text", "12"), "malformed-document"),
        (2, ("day", "date", "2026-02-30"), "malformed-document"),
        (2, ("day", "timestamp", "2026-11-20T25:00:00"), "malformed-document"),
        (2, ("day", "timestamptz", "2026-11-20T22:59:00"), "malformed-document"),
        (2, ("day", "numeric", "20261120"), "malformed-row"),
    ],
)
def test_read__column_that_cannot_be_trusted__refused_naming_the_document(
    number: int, column: tuple[str, str, str], code: str
) -> None:
    row = list(ROW)
    row[number] = column
    with pytest.raises(SourceError, match=r"row\.json") as refused:
        read(*row)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        b'{"format":"attest-sql-row/2","columns":[]}\n',
        b'{"format":"attest-sql-row/1", "columns":[]}\n',
        b'{"format":"attest-sql-row/1","columns":[]}',
        b"SELECT",
    ],
)
def test_read__document_of_another_form__refused(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"row\.json"):
        formats.read("sql", [Document.of("row.json", data)], OPTIONS, zone=None, retrieved_at=NOW)


def test_read__two_documents_that_differ__refused() -> None:
    other = (ROW[0], ("amount", "numeric", "1234.57"), ROW[2])
    with pytest.raises(SourceError) as refused:
        formats.read("sql", [document(*ROW), document(*other)], OPTIONS, zone=None, retrieved_at=NOW)
    assert refused.value.code == "conflicting-statements"


def test_read__minor_units__are_exact_and_whole() -> None:
    cents = (ROW[0], ("amount", "integer", "-123456"), ROW[2])
    assert read(*cents, minor_units="true").minor_units == -123456
    assert read(*cents, minor_units="false").minor_units == -12345600
    with pytest.raises(SourceError, match="no whole number") as refused:
        read(*ROW, minor_units="true")
    assert refused.value.code == "malformed-amount"
    with pytest.raises(SourceError) as missing:
        read(*ROW, minor_units="true", amount_column="other")
    assert missing.value.code == "wrong-header"
    of_row = {key: value for key, value in CENTS.items() if key != "currency"} | {"currency_column": "unit"}
    yen = document(*cents, ("unit", "text", "JPY"))
    (balance,) = formats.read("sql", [yen], of_row, zone=None, retrieved_at=NOW)
    assert (balance.minor_units, balance.currency) == (-123456, "JPY")


@given(st.integers(-(10**40), 10**40))
def test_read__any_amount__is_the_same_as_decimals_and_as_minor_units(cents: int) -> None:
    sign, digits = "-" if cents < 0 else "", str(abs(cents)).rjust(3, "0")
    whole = (ROW[0], ("amount", "numeric", f"{sign}{digits[:-2]}.{digits[-2:]}"), ROW[2])
    assert read(*whole).minor_units == cents
    assert read(ROW[0], ("amount", "integer", str(cents)), ROW[2], minor_units="true").minor_units == cents
