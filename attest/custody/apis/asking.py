"""What the presets' requests have in common: where to, with what credentials, and the pages of one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from attest.config import HttpConnection
from attest.custody.apis.answers import MAX_BYTES, Answer
from attest.custody.apis.pages import Paging
from attest.custody.document import Document
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError


def connection_of(asked: Asked) -> HttpConnection:
    """The HTTP connection that every preset needs. Raises :class:`OperatorError` if it is of another kind."""
    if not isinstance(asked.connection, HttpConnection):
        raise incomplete(asked, "needs a connection of kind http")
    return asked.connection


def credential(asked: Asked, reach: Reach, name: str) -> str:
    """The secret ``name`` (``api_key``, ``api_secret``, ``passphrase``) of the connection. Raises
    :class:`OperatorError` if there is none."""
    connection = connection_of(asked)
    reference = getattr(connection, name)
    if reference is None:
        raise incomplete(asked, f"the connection has no {name}")
    return reach.http.secret(connection, reference)


def need_bearer(asked: Asked) -> None:
    """Raises :class:`OperatorError` if the connection brings no bearer token."""
    connection = connection_of(asked)
    if connection.bearer is None and connection.token_url is None:
        raise incomplete(asked, "the connection has no bearer")


def incomplete(asked: Asked, detail: str) -> OperatorError:
    """The refusal of a connection that cannot work with this API."""
    return OperatorError(
        f"{asked.where}: {detail}",
        code="incomplete-connection",
        reason="Without the right credentials the API answers nothing.",
        advice="docs/custody/apis.md says what each API's connection needs.",
    )


def url(base: str, *path: str, **query: str) -> str:
    """A URL below ``base``; every part of ``path`` is one segment of it."""
    whole = "/".join([base.rstrip("/"), *(quote(part, safe=":@~") for part in path)])
    return f"{whole}?{urlencode(query)}" if query else whole


def ask(asked: Asked, reach: Reach, call: Callable[[], Call], *, repeat: bool = True) -> Document:
    """One answer, asked for again where that can help if it may ``repeat``. Raises as :meth:`HttpClient.send`."""
    connection = connection_of(asked)
    return reach.http.send(
        call, where=asked.where, connection=connection, until=reach.until, limit=MAX_BYTES, repeat=repeat
    )


def ask_pages(
    asked: Asked,
    reach: Reach,
    first: str,
    call: Callable[[str], Call],
    paging: Paging,
    page: Callable[[Document], Answer],
) -> Iterator[Document]:
    """All pages from the URL ``first``; ``page`` reads one, and refuses an error. Raises :class:`SourceError` as it,
    :func:`ask` and :meth:`Paging.following` do."""
    read: list[Any] = []
    url: str | None = first
    while url is not None:
        document = ask(asked, reach, partial(call, url))
        yield document
        read.append(page(document).members)
        url = paging.following(first, read, f"{asked.where}: {document.name}")
