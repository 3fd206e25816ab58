"""Brings a source's documents here, whatever their format: by the scheme of the source's location.

Nothing is interpreted on the way: a format reads the bytes, and the newest statement is chosen by the date in it, never
by a file's name or age.

To add a transport: a module in :mod:`attest.custody.transports` with ``check`` and ``fetch``, and a line in
:data:`TRANSPORTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol, cast

from attest.config import Connection, StatementSignature
from attest.custody.document import Document
from attest.custody.location import check_count, check_encrypted, missing, shown
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError, SourceError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: What was meant to be replaced.
_HOLE = re.compile(r"\{[A-Za-z_]*\}")


class Transport(Protocol):
    """One way to reach documents; a module is one."""

    def check(self, location: str) -> None:
        """Raises ``ValueError`` saying what is wrong with a location of this transport. Reaches nothing."""

    def fetch(self, asked: Asked, reach: Reach, *, exact: bool) -> Iterable[tuple[str, Document]]:
        """The documents at ``asked.location``, sorted by name, each with the exact location to fetch it again from.
        ``exact``: the location is one document's, and nothing in it is a pattern.

        Raises :class:`SourceError` naming the document when there is none, or one is unreadable, empty or too large;
        at most :data:`~attest.custody.location.MAX_DOCUMENTS` are taken.
        """
        ...


@dataclass(frozen=True)
class _Known:
    """``connection``: the kind of connection that it takes."""

    module: str
    connection: str | None = None
    connection_required: bool = False

    def load(self) -> Transport:
        return cast(Transport, import_module(self.module))


TRANSPORTS = {
    "file": _Known("attest.custody.transports.file"),
    "https": _Known("attest.custody.transports.https", "http"),
    "http": _Known("attest.custody.transports.https", "http"),
    "s3": _Known("attest.custody.transports.s3", "s3"),
    "az": _Known("attest.custody.transports.objects", "azure", connection_required=True),
    "gs": _Known("attest.custody.transports.objects", "gcs"),
    "sftp": _Known("attest.custody.transports.sftp", "sftp", connection_required=True),
}


def check_location(location: str, connection: Connection | None, where: str) -> None:
    """Raises :class:`OperatorError` naming ``where`` if no transport here can reach ``location`` by ``connection``."""
    scheme = _scheme(location)
    known = TRANSPORTS.get(scheme)
    if known is None:
        raise OperatorError(
            f"{where}: {shown(location)!r} needs the transport {scheme!r}, which does not exist",
            code="unknown-transport",
            reason="A location that cannot be reached would be missing in every run.",
            advice=f"The transports are: {', '.join(TRANSPORTS)}. Write a path or a glob relative to the "
            "configuration's folder, for example statements/{period}/account.xml, or a URL.",
        )
    kind = None if connection is None else connection.kind
    if kind != known.connection and (kind is not None or known.connection_required):
        raise OperatorError(
            f"{where}: a {scheme} location takes a connection of kind {known.connection or 'none'}, "
            f"not {kind or 'none'}",
            code="wrong-connection",
            reason="A location can be reached only by what belongs to it.",
            advice=f'Name one with kind = "{known.connection}" in [connections].'
            if known.connection
            else "Leave `connection` out.",
        )
    endpoint = getattr(connection, "endpoint", None)
    try:
        hole = _HOLE.search(location.replace("{period}", ""))
        if hole is not None:
            raise ValueError(f"{hole[0]} stands for nothing here; only {{period}} is replaced")
        known.load().check(location)
        if endpoint is not None:
            check_encrypted(endpoint)
    except ValueError as fault:
        raise OperatorError(
            f"{where}: location {shown(location)!r}: {fault}",
            code="malformed-location",
            reason="A location that cannot be reached would be missing in every run.",
            advice="Correct the source's location or its connection.",
        ) from None


def fetch(asked: Asked, reach: Reach, signature: StatementSignature | None = None) -> tuple[Document, ...]:
    """Everything at ``asked.location``, sorted by name; with ``signature``, each document is followed by the one that
    holds its signature.

    Raises as :meth:`Transport.fetch` and :func:`check_location` do, and :class:`SourceError` for more than
    :data:`~attest.custody.location.MAX_DOCUMENTS` documents or one without signature (``signature-missing``).
    """
    check_location(asked.location, asked.connection, asked.where)
    transport = TRANSPORTS[_scheme(asked.location)].load()
    documents: list[Document] = []
    for number, (location, document) in enumerate(transport.fetch(asked, reach, exact=False), 1):
        check_count(shown(asked.location), number)
        if signature is not None and _parts(location)[0].endswith(signature.suffix):
            continue  # a pattern such as folder/* means the signatures too
        documents.append(document)
        if signature is not None:
            documents.append(_companion(transport, asked, reach, location, signature.suffix))
    if not documents:
        raise missing(shown(asked.location), "there is no document")
    return tuple(documents)


def _companion(transport: Transport, asked: Asked, reach: Reach, location: str, suffix: str) -> Document:
    """The document that holds the signature of the one at ``location``."""
    path, query = _parts(location)
    beside = replace(asked, location=f"{path}{suffix}{query}")
    try:
        ((_, document),) = transport.fetch(beside, reach, exact=True)
    except SourceError as fault:
        if fault.code != "file-missing":
            raise
        raise SourceError(
            f"{shown(beside.location)}: there is no signature",
            code="signature-missing",
            reason="This custodian signs its statements, so one without signature may be anybody's.",
            advice="Fetch the signature file that belongs to the statement and put it beside it.",
        ) from None
    return document


def _parts(location: str) -> tuple[str, str]:
    """A location without its query, and the query. Only URLs have one; elsewhere ``?`` is part of a name."""
    if _scheme(location) not in ("http", "https"):
        return location, ""
    path, question, query = location.partition("?")
    return path, f"{question}{query}"


def _scheme(location: str) -> str:
    match = _SCHEME.match(location)
    return match[1].lower() if match else "file"
