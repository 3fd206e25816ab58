"""Databases by URL: which are taken, how they are shown, and what they say, never with a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from attest.errors import OperatorError

if TYPE_CHECKING:
    from sqlalchemy import URL


def parse(text: str, where: str) -> URL:
    """The URL of a PostgreSQL database (psycopg) or of an SQLite file. Raises :class:`OperatorError`
    (``unsupported-database``) beginning with ``where``, for any other, without repeating it."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their texts could quote it
        advice = "It looks like postgresql+psycopg://user:password@host/name."
        raise unusable(where, "is not one that SQLAlchemy reads", advice) from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        if "@" in f"{url.host}{url.database}":  # what stands before it is the rest of a password, which would be shown
            advice = "Write each @ in the user and the password as %40."
            raise unusable(where, "holds an @ that is not percent-encoded", advice)
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise unusable(
            where,
            f"is for {url.drivername}",
            "Databases that can be used are PostgreSQL (postgresql+psycopg://...) and SQLite (sqlite:///PATH).",
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise unusable(where, "does not name a database file", "Write sqlite:///PATH, and nothing more.")
    return url


def unusable(where: str, detail: str, advice: str) -> OperatorError:
    """The error for a database that cannot be used at all."""
    return OperatorError(
        f"{where} {detail}",
        code="unsupported-database",
        reason="A database is used only where it is known to keep its promises.",
        advice=advice,
    )


def label(url: URL) -> str:
    """How a database is shown: never with a user or a password."""
    host = f"{url.host or 'local'}{f':{url.port}' if url.port else ''}/" if url.host or url.port else ""
    return f"{url.get_backend_name()} {host}{url.database or ''}"


def told(fault: Any, url: URL) -> str:
    """What the database said (a ``DBAPIError``), without the password in any spelling."""
    said = " ".join(str(fault.orig).split())[:500]
    password = "" if url.password is None else str(url.password)
    for spelling in {password, quote(password), quote(password, safe=""), unquote(password)} - {""}:
        said = said.replace(spelling, "***")
    return said
