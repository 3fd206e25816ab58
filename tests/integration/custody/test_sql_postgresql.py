"""A real PostgreSQL server, asked for balances: exactly one row, read only, in time, and without its password."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from attest.config import Account, Collection, Config, Loaded, Quorum, SqlConnection
from attest.custody import collector, formats
from attest.custody.document import Document
from attest.custody.evidence import Evidence
from attest.custody.http import HttpClient
from attest.custody.reach import Asked, Reach
from attest.errors import ConflictError, SourceError
from attest.model import StatedBalance
from attest.store import LocalStore
from tests.support.postgresql import PASSWORD, Server, postgresql

pytestmark = pytest.mark.requires("initdb", "apt-get install postgresql")

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
IBAN = "DE02100500000054540402"
QUERY = "SELECT iban, balance, day FROM balances WHERE iban = :account AND day <= :date ORDER BY day DESC LIMIT 1"
COLUMNS = {"account_column": "iban", "amount_column": "balance", "date_column": "day", "currency": "EUR"}
TABLES = f"""
CREATE TABLE balances (iban text, balance numeric(20, 2), approx double precision, cents bigint, day date,
    at timestamptz, wall timestamp, note text);
INSERT INTO balances VALUES
    ('{IBAN}', 1234567.80, 1234567.8, 123456780, '2026-11-19', '2026-11-20 00:59:00+02', '2026-11-19 23:59:00', NULL),
    ('{IBAN}', 1234567.89, 1234567.89, 123456789, '2026-11-20', '2026-11-21 00:59:00+02', '2026-11-20 23:59:00', NULL);
CREATE TABLE audit (said text);
CREATE FUNCTION nosy() RETURNS numeric LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO audit VALUES ('asked'); RETURN 1; END $$;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql(TABLES) as running:
        yield running


Ask = Callable[..., tuple[StatedBalance, Document]]


@pytest.fixture
def ask(server: Server, tmp_path: Path) -> Ask:
    """Ask the server by one query; the balance it states, and the document it was read from."""

    def question(query: str = QUERY, url: str | None = None, seconds: int = 20, **options: str) -> Any:
        (tmp_path / "url").write_text(url or server.url(), encoding="utf-8")
        zone = options.pop("zone", "Europe/Berlin") or None
        settings = formats.check_options("sql", {**COLUMNS, **options, "query": query}, "here")
        asked = Asked(
            where="account a, source db", period="2026-W47", cutoff=CUTOFF, location="",
            connection=SqlConnection(kind="sql", url="file:url", statement_timeout_seconds=seconds),
            external_account=IBAN, currency="EUR", balance_kind="closing-booked", zone=zone,
        )  # fmt: skip
        http = HttpClient(Collection(), base=tmp_path)
        with Reach(tmp_path, http, {}, until=time.monotonic() + 60) as reach:
            fetch = formats.find("sql", "here").fetch
            assert fetch is not None
            (document,) = fetch(asked, settings, reach)
        (balance,) = formats.find("sql", "here").read([document], settings, zone=zone, retrieved_at=NOW)
        return balance, document

    return question


# -- what is read ----------------------------------------------------------------------------------------------------


def test_fetch__numeric_and_date__are_the_exact_balance_of_the_newest_day_by_the_cutoff(ask: Ask) -> None:
    balance, document = ask()
    assert (balance.account, balance.minor_units, balance.currency) == (IBAN, 123456789, "EUR")
    assert (balance.business_date, balance.as_of) == ("2026-11-20", datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC))
    assert document.name == f"postgresql 127.0.0.1:{document.name.split(':')[1].split('/')[0]}/postgres"
    assert document.provenance.startswith("server time 20")
    assert b'{"name":"balance","type":"numeric","value":"1234567.89"}' in document.read(10_000)


def test_fetch__instant_with_offset__is_that_instant_whatever_the_servers_zone(ask: Ask, server: Server) -> None:
    server.run("ALTER DATABASE postgres SET TimeZone = 'Asia/Tokyo'")
    try:
        query = "SELECT iban, balance, at AS day FROM balances WHERE iban = :account AND at <= :cutoff ORDER BY 3 DESC"
        balance, _ = ask(f"{query} LIMIT 1")
    finally:
        server.run("ALTER DATABASE postgres RESET TimeZone")
    assert balance.as_of == datetime(2026, 11, 20, 22, 59, tzinfo=UTC)
    assert balance.business_date is None


def test_fetch__local_time__is_read_in_the_accounts_zone_or_refused(ask: Ask) -> None:
    query = "SELECT iban, balance, wall AS day FROM balances WHERE iban = :account ORDER BY wall DESC LIMIT 1"
    assert ask(query)[0].as_of == datetime(2026, 11, 20, 22, 59, tzinfo=UTC)
    with pytest.raises(SourceError, match="no time zone") as refused:
        ask(query, zone="")
    assert refused.value.code == "naive-time"


def test_fetch__whole_number_of_cents__is_the_same_balance(ask: Ask) -> None:
    query = "SELECT iban, cents, day FROM balances WHERE day = :date AND :period = '2026-W47'"
    # Sunday is not over in New York at the cutoff: that account's date is Saturday.
    assert (
        ask(query.replace(":date", "'2026-11-20'::date"), amount_column="cents", minor_units="true")[0].minor_units
        == 123456789
    )
    assert ask("SELECT iban, cents, :date AS day FROM balances LIMIT 1", amount_column="cents", minor_units="true",
               zone="America/New_York")[0].business_date == "2026-11-21"  # fmt: skip


def test_collect__database_source__is_kept_as_evidence_and_read_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(server.url(), encoding="utf-8")
    account = Account.model_validate(
        {
            "token": "EURW", "custodian": "Bank", "external_account": "DE02 1005 0000 0054 5404 02", "currency": "EUR",
            "zone": "Europe/Berlin",
            "sources": ({"id": "db", "origin": "core", "format": "sql", "connection": "core",
                         "options": {**COLUMNS, "query": QUERY.replace(":account", "replace(:account, ' ', '')")}},),
        }
    )  # fmt: skip
    config = Config.model_construct(
        accounts={"a": account}, quorum=Quorum(), collection=Collection(), chains={},
        connections={"core": SqlConnection(kind="sql", url="file:url")},
    )  # fmt: skip
    loaded = Loaded(config, tmp_path)
    evidence = Evidence(LocalStore(tmp_path / "private"))
    collected = collector.collect(
        loaded, period="2026-W47", cutoff=CUTOFF, now=lambda: NOW, evidence=evidence, clients={}
    )
    assert collected.failures == ()
    assert [seen.minor_units for seen in collected.observations] == [123456789]
    assert collector.reobserve(loaded, collected.observations, evidence, CUTOFF) == collected.observations
    (kept,) = [path for path in (tmp_path / "private/evidence").iterdir() if path.is_file()]
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes().replace(b"1234567.89", b"1234567.90"))
    with pytest.raises(ConflictError, match="does not have the digest"):
        collector.reobserve(loaded, collected.observations, evidence, CUTOFF)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        (QUERY.replace(":account", "'other'"), "no-row", "gives no row"),
        (QUERY.replace("LIMIT 1", ""), "several-rows", "gives several rows"),
        (QUERY.replace("balance,", "approx AS balance,"), "float-amount", "'balance' is a floating-point number"),
        (QUERY.replace("balance,", "balance, approx,"), "float-amount", "'approx'"),
        (QUERY.replace("balance,", "balance, note,"), "null-value", "'note' is NULL"),
        (QUERY.replace("balance,", "balance, balance,"), "duplicate-column", "'balance' twice"),
        (QUERY.replace("balance,", "balance::money AS balance,"), "unsupported-column", "'balance'"),
        (QUERY.replace("balance,", "'NaN'::numeric AS balance,"), "unsupported-column", "'NaN'"),
        (QUERY.replace("balance,", "'infinity'::numeric AS balance,"), "unsupported-column", "'Infinity'"),
        (QUERY.replace("day FROM", "'infinity'::date AS day FROM"), "query-failed", "postgresql"),
        (QUERY.replace("balance,", "1234.567 AS balance,"), "too-many-decimals", "1234.567"),
        (QUERY.replace("balance,", "10::numeric ^ 120 AS balance,"), "unsupported-column", "1000000"),
        (QUERY.replace("FROM balances", "FROM nothing"), "query-failed", 'relation "nothing" does not exist'),
        (QUERY.replace("iban,", ""), "wrong-header", "'iban'"),
        ("WITH x AS (INSERT INTO audit VALUES ('x') RETURNING said) SELECT * FROM x", "query-failed", "WITH"),
        ("SELECT nosy() AS balance", "query-writes", "read-only"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "query-failed", "read-write"),
        ("SELECT * FROM balances FOR UPDATE", "query-writes", "read-only"),
    ],
)  # fmt: skip
def test_fetch__what_is_not_one_exact_row__refused(ask: Ask, server: Server, query: str, code: str, said: str) -> None:
    with pytest.raises(SourceError) as refused:
        ask(query)
    assert (refused.value.code, refused.value.exit_code) == (code, 3)
    assert said in refused.value.message
    assert "account a, source db" in refused.value.message or "postgresql 127.0.0.1" in refused.value.message
    assert refused.value.reason
    assert refused.value.advice
    assert server.run("SELECT * FROM audit") == []


def test_fetch__slow_query__is_ended_by_the_server(ask: Ask, server: Server) -> None:
    begun = time.monotonic()
    with pytest.raises(SourceError, match="statement timeout") as refused:
        ask("SELECT pg_sleep(30) AS balance", seconds=1)
    assert refused.value.code == "query-timeout"
    assert time.monotonic() - begun < 10
    assert server.run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(30)%%' AND state = 'active'"
                      " AND pid <> pg_backend_pid()") == [(0,)]  # fmt: skip


def test_fetch__locked_table__is_not_waited_for(ask: Ask, server: Server) -> None:
    import psycopg

    parts = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "password": PASSWORD}
    with psycopg.connect(**cast(Any, parts), dbname="postgres") as connection:
        connection.execute("LOCK TABLE balances IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceError) as refused:
            ask(seconds=1)
    assert refused.value.code == "query-timeout"


@pytest.mark.parametrize("password", ["wr@ng/wörd", "x y%z"])
def test_fetch__wrong_password__is_refused_and_never_shown(ask: Ask, server: Server, password: str) -> None:
    with pytest.raises(SourceError, match="authentication failed") as refused:
        ask(url=server.url(password=password))
    assert refused.value.code == "database-unreachable"
    shown = repr(refused.value.__dict__) + repr(refused.value.__cause__)
    assert password not in shown
    assert server.url(password=password).split(":")[2].split("@")[0] not in shown


def test_fetch__server_that_is_not_there__refused_naming_it(ask: Ask, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match=r"account a, source db: postgresql .*: cannot be connected to") as refused:
        ask(url=server.url(port=port))
    assert refused.value.code == "database-unreachable"


def test_fetch__server_that_hangs__is_given_up_in_time(ask: Ask, server: Server) -> None:
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError) as refused:
        ask(url=server.url(port=silent.getsockname()[1]), seconds=2)
    assert refused.value.code == "database-unreachable"
    assert time.monotonic() - begun < 8
