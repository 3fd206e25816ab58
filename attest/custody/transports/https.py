"""Documents at URLs: ``https://HOST/PATH``, fetched by :mod:`attest.custody.http`. One URL is one document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

from attest.config import HttpConnection
from attest.custody.document import Document
from attest.custody.http import Call
from attest.custody.location import check_encrypted
from attest.custody.reach import Asked, Reach
from attest.errors import SourceError


def check(location: str) -> None:
    """Raises ``ValueError`` for what is not one URL, carries credentials, or would be fetched in clear."""
    if not re.fullmatch(r"[\x21-\x7e]+", location):
        raise ValueError("a URL has neither spaces nor characters beyond ASCII: percent-encode them")
    try:
        parts = urlsplit(location)
        named = parts.hostname and parts.port != 0
    except ValueError:
        named = None  # its text would show what stands in the port's place, perhaps a password
    if not named:
        raise ValueError("names no server, or a malformed port")
    if parts.username is not None:
        raise ValueError("holds a user: credentials belong into a connection, as references")
    if parts.fragment:
        raise ValueError("holds a fragment (#), which no server is sent")
    if "*" in parts.path:
        raise ValueError("HTTP knows no patterns: write the URL of one document, for example with {period}")
    check_encrypted(location)


def fetch(asked: Asked, reach: Reach, *, exact: bool) -> Iterator[tuple[str, Document]]:
    """The document at the URL. Raises :class:`SourceError` as :meth:`HttpClient.send` does, but ``file-missing`` for
    one that is not there."""
    try:
        document = reach.http.send(
            lambda: Call(asked.location),
            where=asked.where,
            connection=cast(HttpConnection | None, asked.connection),
            until=reach.until,
        )
    except SourceError as fault:
        if fault.code != "http-not-found":
            raise
        raise SourceError(fault.message, code="file-missing", reason=fault.reason, advice=fault.advice) from None
    yield asked.location, document
