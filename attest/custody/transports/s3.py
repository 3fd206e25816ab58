"""Objects in S3: ``s3://BUCKET/KEY``, where the key may be a pattern.

Each document is one answer to one GetObject, so that its bytes, version, checksum and ETag belong together; the version
is kept as provenance, and S3's checksum over the whole object is compared while reading.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from ssl import SSLError
from typing import Any, cast

from attest.config import S3Connection
from attest.custody.document import MAX_BYTES, Document, too_large
from attest.custody.location import (
    before_pattern,
    changed,
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
_CHECKSUMS = ("SHA256", "SHA1", "CRC64NVME", "CRC32C", "CRC32")

_MISSING = {"NoSuchKey", "NoSuchVersion", "404"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled", "Forbidden"}
_NOT_ACCEPTED = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "AuthFailure",
    "InvalidClientTokenId",
}
_ELSEWHERE = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
    "307",
}


def check(location: str) -> None:
    """Raises ``ValueError`` for what is no bucket and key."""
    bucket, key = _split(location)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", bucket):
        raise ValueError("write it as s3://BUCKET/KEY")
    if not key or key.endswith("/"):
        raise ValueError("names a folder: add a key or a pattern, for example s3://BUCKET/FOLDER/*.xml")
    if not key.isprintable():
        raise ValueError("holds control or invisible characters")


def fetch(asked: Asked, reach: Reach, *, exact: bool) -> Iterator[tuple[str, Document]]:
    """The object with the key, or all that match the pattern, sorted by key. Raises :class:`SourceError` naming the
    object: ``file-missing``, ``file-unreadable``, ``unreachable``, ``file-damaged``, ``file-changed``, ``file-empty``,
    ``file-too-large``; :class:`OperatorError` for a connection that cannot work."""
    bucket, key = _split(asked.location)
    where = shown(asked.location)
    client = _client(asked, reach)
    if exact or not is_pattern(key):
        yield f"s3://{bucket}/{key}", _read(client, reach, bucket, key, None)
        return
    etags = _listed(client, reach, bucket, key, where)
    for one in select(where, etags, key):
        yield f"s3://{bucket}/{one}", _read(client, reach, bucket, one, etags[one])


def _split(location: str) -> tuple[str, str]:
    bucket, _, key = location.partition("://")[2].partition("/")
    return bucket, key


def _client(asked: Asked, reach: Reach) -> Any:
    connection = cast(S3Connection | None, asked.connection) or S3Connection(kind="s3")
    half = (connection.access_key_id is None) != (connection.secret_access_key is None)

    def refuse(detail: str) -> OperatorError:
        return OperatorError(
            f"{asked.where}: the S3 connection cannot be used: {detail}",
            code="wrong-connection",
            reason="Without it the statements cannot be fetched.",
            advice="Give access_key_id and secret_access_key, or neither to use the environment's own, and the region.",
        )

    def make() -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        logging.getLogger("botocore").setLevel(logging.WARNING)  # at DEBUG it logs what authenticates
        try:
            # A session of its own: boto3's default one is not for several threads; a client is.
            return boto3.session.Session().client(
                "s3",
                region_name=connection.region,
                endpoint_url=connection.endpoint,
                aws_access_key_id=connection.access_key_id and reach.secret(connection.access_key_id),
                aws_secret_access_key=connection.secret_access_key and reach.secret(connection.secret_access_key),
                config=Config(
                    connect_timeout=10,
                    read_timeout=30,
                    retries={"total_max_attempts": 3, "mode": "standard"},
                    max_pool_connections=256,
                ),
            )
        except (BotoCoreError, ValueError) as fault:
            raise refuse(type(fault).__name__) from None

    if half:
        raise refuse("it has one half of a key")
    return reach.shared(connection, make)


def _listed(client: Any, reach: Reach, bucket: str, pattern: str, where: str) -> dict[str, str]:
    """The ETags of the objects that the pattern may mean, by their keys."""
    from botocore.exceptions import BotoCoreError, ClientError

    etags = {}
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=before_pattern(pattern))
        for page in pages:
            reach.remaining(where)
            # What ends in a slash is a folder that a console made.
            etags.update({one["Key"]: one["ETag"] for one in page.get("Contents", ()) if one["Key"][-1:] != "/"})
    except (BotoCoreError, ClientError, RecursionError) as fault:
        raise _refusal(where, fault, "s3:ListBucket on the bucket") from None
    return etags


def _read(client: Any, reach: Reach, bucket: str, key: str, etag: str | None) -> Document:
    """The object, if it still has the ETag that was listed."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    name = shown(f"s3://{bucket}/{key}")
    reach.remaining(name)
    try:
        still = {} if etag is None else {"IfMatch": etag}
        answer = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **still)
        with closing(answer["Body"]) as body:
            if answer["ContentLength"] > MAX_BYTES:
                raise too_large(name, MAX_BYTES)

            def chunks() -> Iterator[bytes]:
                while chunk := body.read(_CHUNK):
                    reach.remaining(name)
                    yield chunk

            return Document(name, chunks(), provenance=_provenance(answer))
    except (HTTPError, ConnectionError, SSLError) as fault:  # what botocore does not wrap
        raise unreachable(name, f"S3 broke off ({type(fault).__name__})") from None
    except (BotoCoreError, ClientError, RecursionError) as fault:
        raise _refusal(
            name,
            fault,
            "s3:GetObject on it (and kms:Decrypt on its key). Without s3:ListBucket on the bucket S3 says so of objects"
            " that do not exist, too",
        ) from None


def _provenance(answer: dict[str, Any]) -> str:
    """What S3 says that the bytes are; a checksum of parts ends in their number (``…-3``)."""
    return provenance(
        version_id=answer.get("VersionId"),
        etag=answer.get("ETag"),
        **{f"checksum_{name.lower()}": answer.get(f"Checksum{name}") for name in _CHECKSUMS},
        last_modified=answer.get("LastModified"),
    )


def _refusal(where: str, fault: Exception, right: str) -> SourceError:
    """The error of a request that failed. S3's own words name identities and keys, so only their code is told."""
    from botocore import exceptions

    if isinstance(fault, exceptions.ClientError | RecursionError):
        # botocore asks a server that redirects where it should ask, and is redirected, without end.
        code = "301" if isinstance(fault, RecursionError) else str(fault.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            return missing(where, "there is no such object")
        if code == "NoSuchBucket":
            return missing(where, "there is no such bucket")
        if code in ("PreconditionFailed", "412"):
            return changed(where)
        if code in _DENIED:
            return unreadable(where, f"S3 denies access ({code})", f"Give this identity {right}.")
        if code in _NOT_ACCEPTED:
            return unreadable(
                where,
                f"S3 does not accept the credentials ({code})",
                "Check or renew the keys of the connection or the environment, and this machine's clock.",
            )
        if code in _ELSEWHERE:
            return unreadable(
                where, f"the bucket is in another region ({code})", "Set the bucket's own `region` in its connection."
            )
        return unreadable(where, f"S3 answers {code or 'with an error'}", "See what S3's documentation says of it.")
    if isinstance(fault, exceptions.FlexibleChecksumError):
        return SourceError(
            f"{where}: does not have the checksum that S3 states",
            code="file-damaged",
            reason="Bytes that changed on the way are not what the custodian stated.",
            advice="Run again; if it goes on, ask the custodian to upload the statement again.",
        )
    connection = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
    if isinstance(fault, connection):
        return unreachable(where, f"S3 cannot be reached, or broke off ({type(fault).__name__})")
    return unreadable(
        where,
        f"there are no AWS credentials that can be used ({type(fault).__name__})",
        "Set access_key_id and secret_access_key of the connection, or give this machine credentials (AWS_… variables, "
        "a profile, an instance role).",
    )
