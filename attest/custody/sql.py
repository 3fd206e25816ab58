"""A custodian's or trustee's database: one read-only query per account, answered with exactly one row.

The row is kept as canonical JSON (``attest-sql-row/1``: every column's name, type and value as text), and read from
there by the mapping that all tables share (:mod:`attest.custody.table`). Numbers stay exact: a column of floating
point is refused, because its value was rounded before it came here.

PostgreSQL (psycopg) is asked in a READ ONLY transaction through a cursor, SQLite through a file opened read-only; in
both, the server ends what takes too long.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import quote

from attest import databases, records
from attest.config import SqlConnection
from attest.custody import calendar, table
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.reach import Asked, Reach
from attest.errors import SourceError
from attest.model import SqlCell, SqlRow, SqlType, StatedBalance
from attest.money import currency

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.engine import Connection, CursorResult

OPTIONS = {
    "query": "one SELECT that gives the account's balance as one row; it may use :account, :cutoff, :date and :period",
    "minor_units": "true if the amount is a whole number of cents (the currency's minor unit) [false]",
    **table.OPTIONS,
}

#: What a query may ask for; SQLAlchemy's own pattern, so that ``::numeric`` and ``'12:30'`` are none.
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_PARAMETERS = ("account", "cutoff", "date", "period")
#: More than a row of balances needs.
_MAX_COLUMNS = 64
_MAX_TEXT = 10_000
_MAX_CONNECT_SECONDS = 15
_MAX_LOCK_SECONDS = 5
#: How many of SQLite's steps pass between two looks at the clock.
_STEPS = 10_000

#: PostgreSQL's own types by their OIDs (pg_type.dat), which never change.
_POSTGRESQL: Mapping[int, SqlType | Literal["float"]] = {
    18: "text", 19: "text", 25: "text", 1042: "text", 1043: "text",
    20: "integer", 21: "integer", 23: "integer",
    1700: "numeric",
    700: "float", 701: "float",
    1082: "date", 1114: "timestamp", 1184: "timestamptz",
}  # fmt: skip
_READ_ONLY = "25006"
_CANCELLED = ("57014", "55P03")

_WRITTEN: Mapping[SqlType, str] = {
    "integer": r"0|-?[1-9][0-9]{0,99}",
    "numeric": r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,100})?",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?",
    "timestamptz": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?Z",
}

_QUERY = "Run the query by hand with this account, and correct the option `query`."
#: Why each refusal matters, and what to do about it.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "database-unreachable": (
        "An account can be attested only from what its custodian stated.",
        "Check that the server runs, and the host, user, password and TLS settings of the connection's URL; of SQLite, "
        "the file's path, which is relative to the configuration's folder.",
    ),
    "query-failed": ("A query that fails says nothing.", _QUERY),
    "query-timeout": (
        "A query that waits for ever would keep the whole run waiting.",
        "Add an index, wait for whoever locks the table, or raise statement_timeout_seconds of the connection.",
    ),
    "query-writes": (
        "Asking for a balance must not change it; a query with side effects is never run.",
        "Use a query that only reads, and a database user that may only read.",
    ),
    "no-row": ("Without a row there is no balance; nothing is guessed.", _QUERY),
    "several-rows": (
        "One account has one balance; which of several rows is meant would be a guess.",
        "Let the query give one row: by the account, and by the newest date at or before :date or :cutoff.",
    ),
    "duplicate-column": (
        "Columns are found by their names.",
        "Give each column of the query a name of its own (AS ...).",
    ),
    "float-amount": (
        "A floating-point number is not the amount that was booked, but one near it.",
        "Keep amounts as NUMERIC, or as whole minor units, and let the query cast to numeric where the stored value is "
        "exact. In SQLite keep them as TEXT, or as INTEGER with the option minor_units.",
    ),
    "null-value": ("An empty field is not zero.", "Correct the row, or let the query leave the column out."),
    "unsupported-column": (
        "Only texts, exact numbers, dates and times mean the same to everybody.",
        "Cast the column in the query: to numeric, text, date or timestamptz; or leave it out.",
    ),
    "malformed-document": (
        "What is not exactly as it was written may have been changed.",
        "Restore the evidence from its backup, or ask the database again.",
    ),
    "malformed-amount": (
        "A fraction of a minor unit does not exist.",
        "Leave the option minor_units out if the amount has decimals.",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    query: str
    columns: table.Columns
    minor_units: bool


def prepare(options: Mapping[str, object]) -> Settings:
    """The settings. Raises ``ValueError`` saying what is wrong."""
    own = table.texts({name: options[name] for name in ("query", "minor_units") if name in options})
    query = own.get("query", "").strip()
    table.need(query, "query must be given")
    table.need(re.match(r"(select|with)\b", query, re.IGNORECASE), "query must begin with SELECT or WITH")
    table.need(";" not in query, "query must be one statement, without a semicolon")
    for name in _PARAMETER.findall(query):
        table.need(name in _PARAMETERS, f"query: there is no :{name}; there are :{', :'.join(_PARAMETERS)}")
    minor_units = own.get("minor_units", "false")
    table.need(minor_units in ("true", "false"), "minor_units must be one of 'true', 'false'")
    return Settings(query, table.prepare(options, extra=("query", "minor_units")), minor_units == "true")


# -- asking ----------------------------------------------------------------------------------------------------------


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """Ask the database; the one document is the row.

    Raises :class:`SourceError` naming ``asked.where``, by the codes of this module; :class:`OperatorError` for a
    connection URL that is none, or of a database that is not taken.
    """
    connection = asked.connection
    if not isinstance(connection, SqlConnection):
        raise databases.unusable(asked.where, "needs a connection of kind sql", "Name one in [connections].")
    url = databases.parse(reach.secret(connection.url), f"the database URL ({connection.url})")
    seconds = min(connection.statement_timeout_seconds, reach.remaining(asked.where))
    parameters = _parameters(asked)
    used = {name: parameters[name] for name in dict.fromkeys(_PARAMETER.findall(settings.query))}
    if url.get_backend_name() == "postgresql":
        row, provenance = _ask_postgresql(url, settings.query, used, seconds, asked.where)
    else:
        row, provenance = _ask_sqlite(url, settings.query, used, seconds, asked.where, reach.base)
    yield Document.of(databases.label(url), records.to_json(row), provenance=provenance)


def _parameters(asked: Asked) -> dict[str, Any]:
    """What a query may use. ``date`` is the last day that is over at the cutoff where the account is."""
    day = calendar.last_day(asked.cutoff, asked.zone or "UTC")
    return {
        "account": asked.external_account,
        "cutoff": asked.cutoff.astimezone(UTC),
        "date": day,
        "period": asked.period,
    }


def _ask_postgresql(
    url: URL, query: str, parameters: Mapping[str, Any], seconds: float, where: str
) -> tuple[SqlRow, str]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    limit = math.ceil(seconds * 1000)
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(2, min(math.ceil(seconds), _MAX_CONNECT_SECONDS)),
            "tcp_user_timeout": limit,
            "application_name": "attest",
        },
    )
    with _faults(where, url, _postgresql_code), _connected(engine, where, url) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text(f"SET LOCAL statement_timeout = {limit}"))
        connection.execute(text(f"SET LOCAL lock_timeout = {min(limit, _MAX_LOCK_SECONDS * 1000)}"))
        # What a local time would mean must not depend on the server's settings.
        connection.execute(text("SET LOCAL TimeZone = 'UTC'"))
        now = connection.execute(text("SELECT now()")).scalar_one()
        # A cursor on the server: it takes nothing but a query, and no more rows travel than are fetched.
        cursor = connection.execution_options(stream_results=True, max_row_buffer=2)
        result = cursor.execute(text(query), dict(parameters))
        names = _names(result, where)
        kinds = [_POSTGRESQL.get(column[1]) for column in getattr(result.cursor, "description", None) or ()]
        values = _one(result, where)
    return _row(names, kinds, values, where), f"server time {records.format_instant(now)}"


def _ask_sqlite(
    url: URL, query: str, parameters: Mapping[str, Any], seconds: float, where: str, base: Path
) -> tuple[SqlRow, str]:
    import sqlite3

    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    path = base / (url.database or "")

    def connect() -> sqlite3.Connection:
        begun = time.monotonic()
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, timeout=min(seconds, _MAX_LOCK_SECONDS)
        )
        connection.execute("PRAGMA query_only = ON")
        connection.set_progress_handler(lambda: time.monotonic() - begun > seconds, _STEPS)
        return connection

    # SQLite has no type for times: it compares texts.
    bound = {
        name: records.format_instant(value)
        if isinstance(value, datetime)
        else value.isoformat()
        if isinstance(value, date)
        else value
        for name, value in parameters.items()
    }
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    with _faults(where, url, _sqlite_code), _connected(engine, where, url) as connection:
        result = connection.execute(text(query), bound)
        names, values = _names(result, where), _one(result, where)
    return _row(names, [_SQLITE.get(type(value)) for value in values], values, where), ""


_SQLITE: Mapping[type, SqlType | Literal["float"]] = {str: "text", int: "integer", float: "float"}


@contextmanager
def _connected(engine: Any, where: str, url: URL) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back."""
    from sqlalchemy.exc import DBAPIError

    try:
        connection = engine.connect()
    except DBAPIError as fault:
        detail = f"{databases.label(url)}: cannot be connected to: {databases.told(fault, url)}"
        raise _refuse(where, "database-unreachable", detail) from None
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _faults(where: str, url: URL, code_of: Callable[[BaseException], str]) -> Iterator[None]:
    """What a database refuses, as a refusal of the source; without the password, and without what was bound."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except DBAPIError as fault:
        code = code_of(fault.orig or fault)
        raise _refuse(where, code, f"{databases.label(url)}: {databases.told(fault, url)}") from None
    except SQLAlchemyError as fault:
        # Not its text: it may quote what was bound.
        raise _refuse(where, "query-failed", f"{databases.label(url)}: {type(fault).__name__}") from None


def _postgresql_code(fault: BaseException) -> str:
    state = getattr(fault, "sqlstate", None)
    if state == _READ_ONLY:
        return "query-writes"
    if state in _CANCELLED:
        return "query-timeout"
    lost = type(fault).__name__ == "OperationalError" if state is None else state.startswith(("08", "57P"))
    return "database-unreachable" if lost else "query-failed"


def _sqlite_code(fault: BaseException) -> str:
    import sqlite3

    primary = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_READONLY:
        return "query-writes"
    if primary in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "query-timeout"
    lost = primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
    return "database-unreachable" if lost else "query-failed"


def _names(result: CursorResult[Any], where: str) -> list[str]:
    """The columns' names, each once."""
    names = list(result.keys())
    if len(names) > _MAX_COLUMNS:
        _refuse_now(where, "unsupported-column", f"the query gives {len(names)} columns")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        _refuse_now(where, "duplicate-column", f"the query gives the column {twice!r} twice")
    return names


def _one(result: CursorResult[Any], where: str) -> Sequence[Any]:
    """The one row; no more than two are fetched."""
    rows = result.fetchmany(2)
    if len(rows) != 1:
        _refuse_now(
            where, "several-rows" if rows else "no-row", f"the query gives {'several rows' if rows else 'no row'}"
        )
    return rows[0]


_Kind = SqlType | Literal["float"] | None


def _row(names: Sequence[str], kinds: Sequence[_Kind], values: Sequence[Any], where: str) -> SqlRow:
    cells = (_cell(name, kind, value, where) for name, kind, value in zip(names, kinds, values, strict=True))
    return SqlRow("attest-sql-row/1", tuple(cells))


def _cell(name: str, kind: _Kind, value: Any, where: str) -> SqlCell:
    if value is None:
        _refuse_now(where, "null-value", f"the column {name!r} is NULL")
    if kind == "float":
        _refuse_now(where, "float-amount", f"the column {name!r} is a floating-point number")
    if kind is None:
        _refuse_now(where, "unsupported-column", f"the column {name!r} is of a type that is not read")
    text = _written(kind, value)
    if not _is_written(kind, text):
        _refuse_now(where, "unsupported-column", f"the column {name!r} ({kind}) holds {text[:40]!r}")
    return SqlCell(name, kind, text)


def _written(kind: SqlType, value: Any) -> str:
    if isinstance(value, Decimal):
        # A number without end (NaN, infinity) stays a word, which no number is.
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, datetime) and kind == "timestamptz":
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_written(kind: SqlType, text: str) -> bool:
    if kind == "text":
        return len(text) <= _MAX_TEXT
    return re.fullmatch(_WRITTEN[kind], text, re.ASCII) is not None


def _refuse(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


def _refuse_now(where: str, code: str, detail: str) -> NoReturn:
    raise _refuse(where, code, detail)


# -- reading ---------------------------------------------------------------------------------------------------------


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The balance in each row. Pure.

    Raises :class:`SourceError` naming the document: ``malformed-document``, and what :func:`table.read_rows` raises.
    """
    return table.merge((document.name, _read_one(document, settings, zone)) for document in documents)


def _read_one(document: Document, settings: Settings, zone: str | None) -> tuple[StatedBalance, ...]:
    where = document.name
    data = document.read(FORMAT.max_bytes)
    row = records.from_json(SqlRow, data, where, SourceError)
    names = [cell.name for cell in row.columns]
    if records.to_json(row) != data or len(set(names)) != len(names):
        _refuse_now(where, "malformed-document", "is not as attest writes it")
    values = [_value(cell, where) for cell in row.columns]
    if settings.minor_units:
        values = _from_minor_units(row, values, settings.columns, where)
    return table.read_rows(
        names, [(1, values)], settings.columns, zone=zone, where=where, place="row", header_number=None
    )


def _value(cell: SqlCell, where: str) -> table.Cell:
    if not _is_written(cell.type, cell.value):
        _refuse_now(where, "malformed-document", f"the column {cell.name!r} ({cell.type}) holds {cell.value[:40]!r}")
    try:
        if cell.type == "date":
            return date.fromisoformat(cell.value)
        if cell.type in ("timestamp", "timestamptz"):
            return datetime.fromisoformat(cell.value)
    except ValueError:
        _refuse_now(where, "malformed-document", f"the column {cell.name!r} holds {cell.value!r}, which is no date")
    if cell.type == "integer":
        return int(cell.value)
    return Decimal(cell.value) if cell.type == "numeric" else cell.value


def _from_minor_units(row: SqlRow, values: list[table.Cell], columns: table.Columns, where: str) -> list[table.Cell]:
    """The same values, the amount in whole units of its currency."""
    by_name = dict(zip((cell.name for cell in row.columns), values, strict=True))
    amount = by_name.get(columns.amount_column)
    code = columns.currency or by_name.get(columns.currency_column or "")
    if amount is None or code is None:
        return values  # the mapping says which column is missing
    if not isinstance(amount, int):
        _refuse_now(where, "malformed-amount", f"the column {columns.amount_column!r} is no whole number")
    whole = Decimal(currency(str(code), where).format(amount))
    return [whole if cell.name == columns.amount_column else by_name[cell.name] for cell in row.columns]


FORMAT = Format(
    "a database, by one query per account",
    prepare,
    read,
    OPTIONS,
    fetch=fetch,
    max_bytes=2 * 1024 * 1024,
    location="none",
    connections=("sql",),
)
