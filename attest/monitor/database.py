"""How the index's database is connected to, and what its refusals mean to a person. SQLAlchemy is imported on use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attest import databases
from attest.errors import OperatorError
from attest.secrets import resolve

if TYPE_CHECKING:
    from sqlalchemy import URL, MetaData, Table
    from sqlalchemy.engine import Connection, Engine

#: How long a statement waits for whoever else writes.
_LOCK_SECONDS = 10
_CONNECT_SECONDS = 10

#: Why each refusal matters, and what to do about it.
_REFUSALS = {
    "index-locked": (
        "Events are stored by one writer at a time; this one gave up and stored nothing.",
        "Another indexer or a backup holds the database: wait for it, or end it. What was stored before is whole.",
    ),
    "index-full": (
        "What was not committed is as if it had not been read; the next try reads it again.",
        "Make room where the database is; an index needs about 600 bytes for each event.",
    ),
    "index-unusable": (
        "Without its database the watch knows no past.",
        "Check that the file or the server exists and that this user may read and write it. A damaged index is made "
        "anew from the chain: name another database.",
    ),
}


def location(index: str, base: Path) -> str:
    """The URL of the database that a configuration names, itself or by reference. Raises :class:`OperatorError` for a
    missing secret."""
    return index if index.startswith("sqlite:///") else resolve(index, base=base).reveal()


def open_engine(url: URL, base: Path, *, make: bool = True) -> Engine:
    """An engine for the index's database. An SQLite file is relative to ``base``, and its folder must exist; it is made
    if it is not there, unless ``make`` is false. Raises :class:`OperatorError` (``index-unusable``)."""
    from sqlalchemy import create_engine, event

    if url.get_backend_name() == "postgresql":
        options = f"-c lock_timeout={_LOCK_SECONDS * 1000} -c TimeZone=UTC"
        return create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS, "application_name": "attest", "options": options,
            },
        )  # fmt: skip
    path = base / (url.database or "")
    if not path.parent.is_dir() or not (make or path.exists()):
        there = path.parent if make else path
        raise _refuse("index-unusable", f"{databases.label(url)}: there is no {there}")
    engine = create_engine(url.set(database=str(path)), hide_parameters=True, connect_args={"timeout": _LOCK_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late for reads
        connection.execute("PRAGMA journal_mode = WAL")  # readers see one state while a writer commits
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last chunk, never a part of one

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def create_tables(engine: Engine, tables: MetaData) -> None:
    """Make the tables that are not there; another process may be doing the same."""
    from sqlalchemy.exc import DBAPIError

    try:
        tables.create_all(engine)
    except DBAPIError:
        tables.create_all(engine)  # those that the other one made are there now


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT that leaves rows alone whose key is there already."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows, their values in the order of the columns and of the kinds that the driver takes. In a scan
    this is most of the work, and three times as fast as through SQLAlchemy's own parameters."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    columns = ", ".join(column.name for column in table.columns)
    marks = ", ".join([mark] * len(table.columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", list(rows))


@contextmanager
def faults(url: URL) -> Iterator[None]:
    """What a database refuses as an :class:`OperatorError`: ``index-locked``, ``index-full`` or ``index-unusable``."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except DBAPIError as fault:
        raise _refuse(_code(fault.orig or fault), f"{databases.label(url)}: {databases.told(fault, url)}") from None
    except SQLAlchemyError as fault:
        raise _refuse("index-unusable", f"{databases.label(url)}: {type(fault).__name__}") from None


def _code(fault: BaseException) -> str:
    import sqlite3

    state = getattr(fault, "sqlstate", None)
    extended = getattr(fault, "sqlite_errorcode", 0)
    primary = extended & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in ("55P03", "40001", "40P01"):
        return "index-locked"
    # The second is what SQLite says when there is no room for the file that readers and writers share.
    if primary == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE or state == "53100":
        return "index-full"
    return "index-unusable"


def _refuse(code: str, detail: str) -> OperatorError:
    reason, advice = _REFUSALS[code]
    return OperatorError(f"the event index in {detail}", code=code, reason=reason, advice=advice)
