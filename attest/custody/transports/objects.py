"""Objects in Azure Blob Storage, ``az://CONTAINER/PATH``, and Google Cloud Storage, ``gs://BUCKET/PATH``, where the
path may be a pattern. obstore speaks to both.

Each document is one answer to one request, so that its bytes, ETag and version belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

from attest.config import AzureConnection, GcsConnection
from attest.custody.document import MAX_BYTES, Document, too_large
from attest.custody.location import (
    before_pattern,
    is_pattern,
    missing,
    provenance,
    select,
    shown,
    unreachable,
    unreadable,
)
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError, SourceError

_CHUNK = 1 << 18


def check(location: str) -> None:
    """Raises ``ValueError`` for what is no container (or bucket) and path."""
    scheme, container, path = _split(location)
    if not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}", container):
        raise ValueError(f"write it as {scheme}://{'CONTAINER' if scheme == 'az' else 'BUCKET'}/PATH")
    if not path or path.endswith("/"):
        raise ValueError(f"names a folder: add a name or a pattern, for example {scheme}://{container}/FOLDER/*.xml")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("has an empty part, . or .. between slashes")
    if not path.isprintable():
        raise ValueError("holds control or invisible characters")


def fetch(asked: Asked, reach: Reach, *, exact: bool) -> Iterator[tuple[str, Document]]:
    """The object at the path, or all that match the pattern, sorted by name. Raises :class:`SourceError` naming the
    object: ``file-missing``, ``file-unreadable``, ``unreachable``, ``file-empty``, ``file-too-large``;
    :class:`OperatorError` for a connection that cannot work."""
    scheme, container, path = _split(asked.location)
    store = _store(asked, reach, scheme, container)
    where = shown(asked.location)
    sizes, names = {path: -1}, [path]
    if not exact and is_pattern(path):
        sizes = _listed(store, reach, path, where)
        names = select(where, sizes, path)
    for name in names:
        location = f"{scheme}://{container}/{name}"
        try:
            document = _read(store, reach, name, shown(location))
        except SourceError as fault:
            if fault.code == "file-missing" and sizes[name] == 0:
                continue  # an object FOLDER/ that a console made: it is listed without the slash
            raise
        yield location, document


def _split(location: str) -> tuple[str, str, str]:
    scheme, _, rest = location.partition("://")
    container, _, path = rest.partition("/")
    return scheme.lower(), container, path


def _store(asked: Asked, reach: Reach, scheme: str, container: str) -> Any:
    left = timedelta(seconds=reach.remaining(asked.where))
    connection = asked.connection
    endpoint = getattr(connection, "endpoint", None)
    options: dict[str, Any] = {
        "client_options": {
            "allow_http": (endpoint or "").startswith("http://"),  # which is this machine itself
            "connect_timeout": timedelta(seconds=10),
            "read_timeout": timedelta(seconds=30),
            "timeout": left,
        },
        "retry_config": {"max_retries": 3, "retry_timeout": min(left, timedelta(seconds=60))},
    }

    def make() -> Any:
        import obstore.store

        try:
            if scheme == "az":
                azure = cast(AzureConnection, connection)
                config: Any = {"account_name": azure.account} | ({"endpoint": endpoint} if endpoint else {})
                provider = _azure_credential(azure, reach)
                return obstore.store.AzureStore(container, config=config, credential_provider=provider, **options)
            gcs = cast(GcsConnection | None, connection) or GcsConnection(kind="gcs")
            config = {"base_url": endpoint} if endpoint else {}
            if gcs.service_account is not None:
                config["service_account_key"] = reach.secret(gcs.service_account)
            return obstore.store.GCSStore(container, config=config, **options)
        except OperatorError:
            raise
        except Exception as fault:  # the library's own kinds for a malformed key or endpoint; their texts may quote it
            raise OperatorError(
                f"{asked.where}: the connection cannot be used ({type(fault).__name__})",
                code="wrong-connection",
                reason="Without it the statements cannot be fetched.",
                advice="Check its endpoint and its key (the service account's whole JSON), and that the environment"
                " does not name another service account (GOOGLE_SERVICE_ACCOUNT).",
            ) from None

    return reach.shared((scheme, connection, container), make)


def _azure_credential(azure: AzureConnection, reach: Reach) -> Any:
    """What the connection says, whatever else the environment holds; None leaves it to the environment."""
    if azure.account_key is not None:
        key = {"access_key": reach.secret(azure.account_key), "expires_at": None}
        return lambda: key
    if azure.sas_token is not None:
        token = {"sas_token": reach.secret(azure.sas_token).removeprefix("?"), "expires_at": None}
        return lambda: token
    return None


def _listed(store: Any, reach: Reach, pattern: str, where: str) -> dict[str, int]:
    """The sizes of the objects that the pattern may mean, by their names. These stores list by folders."""
    from obstore.exceptions import BaseError

    sizes = {}
    try:
        for page in store.list(before_pattern(pattern).rpartition("/")[0] or None):
            reach.remaining(where)
            sizes.update({entry["path"]: entry["size"] for entry in page})
        return sizes
    except (BaseError, FileNotFoundError) as fault:
        raise _refusal(where, fault) from None


def _read(store: Any, reach: Reach, name: str, where: str) -> Document:
    from obstore.exceptions import BaseError

    reach.remaining(where)

    def chunks(answer: Any) -> Iterator[bytes]:
        for chunk in answer.stream(min_chunk_size=_CHUNK):
            reach.remaining(where)
            yield bytes(chunk)

    try:
        answer = store.get(name)
        about = answer.meta
        if about["size"] > MAX_BYTES:
            raise too_large(where, MAX_BYTES)
        facts = provenance(version=about["version"], etag=about["e_tag"], last_modified=about["last_modified"])
        return Document(where, chunks(answer), provenance=facts)
    except (BaseError, FileNotFoundError) as fault:
        raise _refusal(where, fault) from None


def _refusal(where: str, fault: Exception) -> SourceError:
    """The error of a request that failed. The library's own words hold URLs and answers, so only the status is told."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    status = re.search(r"status code: ([0-9]{3})\b", str(fault).partition("\n")[0])
    code = status[1] if status else ""
    if isinstance(fault, FileNotFoundError) or code == "404":
        return missing(where, "there is no such object, or no such container or bucket")
    if isinstance(fault, PermissionDeniedError | UnauthenticatedError) or code in ("401", "403"):
        return unreadable(
            where,
            f"access is denied ({code or 'no credentials that can be used'})",
            "Give this identity the right to read, and to list for a pattern (Storage Blob Data Reader, Storage Object "
            "Viewer); check whether the key or token has expired, and this machine's clock.",
        )
    if code:
        return unreadable(where, f"the server answers with status {code}", "Run again, or see what its provider says.")
    return unreachable(where, "cannot be reached, or broke off")
