"""Objects in S3, from a real S3 protocol server on loopback."""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attest.config import S3Connection, StatementSignature
from attest.custody.document import MAX_BYTES, SMALL_BYTES
from attest.custody.reach import Reach
from attest.custody.transport import fetch
from attest.errors import OperatorError, SourceError
from tests.support.replay import Answer, Replay, asking, reaching

SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server of this module's own."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(scope="module")
def s3(server: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key=SECRET,
    )


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A fresh bucket's name; it keeps versions."""
    name = f"bucket-{abs(hash(request.node.name))}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the secrets lie."""
    base = tmp_path_factory.mktemp("base")
    (base / "key").write_text(SECRET)
    (base / "id").write_text("testing")
    return base


@pytest.fixture(scope="module")
def reach(base: Path) -> Iterator[Reach]:
    with pytest.MonkeyPatch.context() as monkeypatch, reaching(base, seconds=600) as reach:
        # Nothing of the machine's own set-up.
        for name in ("PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT_URL"):
            monkeypatch.delenv(f"AWS_{name}", raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(base / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield reach


@pytest.fixture(scope="module")
def faulty() -> Iterator[Replay]:
    """A server that answers what a test's routes say; buckets are named after them."""
    with Replay({}) as faulty:
        yield faulty


def connect(endpoint: str, **more: Any) -> S3Connection:
    keys = {"access_key_id": "file:id", "secret_access_key": "file:key"}
    return S3Connection.model_validate({"kind": "s3", "region": "us-east-1", "endpoint": endpoint} | keys | more)


def refusal(location: str, connection: S3Connection | None, reach: Reach, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(asking(location, connection), reach, **more)
    assert SECRET not in "".join(caught.value.as_json().values())
    assert caught.value.advice
    return caught.value


def error(status: int, code: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{SECRET}</Message><AWSAccessKeyId>{SECRET}</AWSAccessKeyId></Error>"
    return Answer(text.encode(), status, {"Content-Type": "application/xml"})


def test_fetch__key__is_the_object_with_its_version_checksum_and_etag(
    s3: Any, server: str, bucket: str, reach: Reach
) -> None:
    s3.put_object(Bucket=bucket, Key="2026-W47/a b.xml", Body=b"older")
    put = s3.put_object(Bucket=bucket, Key="2026-W47/a b.xml", Body=b"<xml/>", ChecksumAlgorithm="SHA256")
    (document,) = fetch(asking(f"s3://{bucket}/2026-W47/a b.xml", connect(server)), reach)
    assert document.read(100) == b"<xml/>"
    assert document.name == f"s3://{bucket}/2026-W47/a b.xml"
    sha256 = b64encode(hashlib.sha256(b"<xml/>").digest()).decode()
    assert document.provenance.startswith(
        f"version-id: {put['VersionId']}; etag: {put['ETag']}; checksum-sha256: {sha256}; last-modified: 20"
    )


def test_fetch__environment_s_own_credentials__are_used_without_a_connection(
    s3: Any, server: str, bucket: str, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    environment = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": SECRET}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert len(fetch(asking(f"s3://{bucket}/a"), reach)) == 1


def test_fetch__pattern__is_every_object_that_it_means_sorted(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    for key in ("in/b.xml", "in/a.xml", "in/deep/c.xml", "in/.d.xml", "in/", "in/deep/", "in2/a.xml", "in/a.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    def keys(pattern: str) -> list[bytes]:
        return [one.read(100) for one in fetch(asking(f"s3://{bucket}/{pattern}", connect(server)), reach)]

    assert keys("in/*.xml") == [b"in/a.xml", b"in/b.xml"]
    assert keys("in/**/*.xml") == [b"in/a.xml", b"in/b.xml", b"in/deep/c.xml"]
    assert keys("in*/a.xml") == [b"in/a.xml", b"in2/a.xml"]
    assert keys("in/*") == [b"in/a.csv", b"in/a.xml", b"in/b.xml"]


def test_fetch__pattern_over_several_pages__finds_what_is_on_the_last(
    s3: Any, server: str, bucket: str, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")
    for number in range(12):
        s3.put_object(Bucket=bucket, Key=f"{number:02}.{'xml' if number == 11 else 'txt'}", Body=b"x")
    (document,) = fetch(asking(f"s3://{bucket}/*.xml", connect(server)), reach)
    assert document.name.endswith("/11.xml")


def test_fetch__signed_object__is_followed_by_its_signature(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    signature = StatementSignature(kind="cms", suffix=".p7s", key="bank.pem")
    s3.put_object(Bucket=bucket, Key="a.xml", Body=b"x")
    assert refusal(f"s3://{bucket}/*", connect(server), reach, signature=signature).code == "signature-missing"
    s3.put_object(Bucket=bucket, Key="a.xml.p7s", Body=b"signature")
    documents = fetch(asking(f"s3://{bucket}/*", connect(server)), reach, signature)
    assert [one.read(100) for one in documents] == [b"x", b"signature"]


def test_fetch__large_object__is_read_whole(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    data = bytes(range(256)) * (SMALL_BYTES // 256 + 1)
    s3.put_object(Bucket=bucket, Key="a", Body=data)
    (document,) = fetch(asking(f"s3://{bucket}/a", connect(server)), reach)
    assert document.digest == hashlib.sha256(data).hexdigest()


def test_fetch__nothing_there__is_refused_by_name(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    for location in (f"s3://{bucket}/a", f"s3://{bucket}/*.xml", "s3://no-such-bucket/a", "s3://no-such-bucket/*"):
        fault = refusal(location, connect(server), reach)
        assert fault.code == "file-missing"
        assert location in fault.message
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a")
    assert refusal(f"s3://{bucket}/a", connect(server), reach).code == "file-missing"


def test_fetch__empty_object__is_refused(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    assert refusal(f"s3://{bucket}/*", connect(server), reach).code == "file-empty"


def test_fetch__more_objects_than_one_period_has__are_refused(
    s3: Any, server: str, bucket: str, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.custody.location.MAX_DOCUMENTS", 2)
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert refusal(f"s3://{bucket}/*", connect(server), reach).code == "too-many-files"


@pytest.mark.parametrize(
    ("status", "code", "expected", "says"),
    [
        (403, "AccessDenied", "file-unreadable", "s3:ListBucket"),
        (403, "InvalidAccessKeyId", "file-unreadable", "Check or renew the keys"),
        (403, "SignatureDoesNotMatch", "file-unreadable", "Check or renew the keys"),
        (403, "RequestTimeTooSkewed", "file-unreadable", "clock"),
        (400, "ExpiredToken", "file-unreadable", "Check or renew the keys"),
        (400, "AuthorizationHeaderMalformed", "file-unreadable", "region"),
        (301, "PermanentRedirect", "file-unreadable", "region"),
        (403, "InvalidObjectState", "file-unreadable", "documentation"),
        (412, "PreconditionFailed", "file-changed", "Run again"),
        (404, "NoSuchKey", "file-missing", "statement"),
    ],
)
def test_fetch__s3_refuses__is_told_by_its_code_alone(
    reach: Reach, faulty: Replay, status: int, code: str, expected: str, says: str
) -> None:
    faulty.routes |= {f"/{code}/a": error(status, code), f"GET /{code}": error(status, code)}
    fault = refusal(f"s3://{code}/a", connect(faulty.url), reach)
    listing = refusal(f"s3://{code}/*", connect(faulty.url), reach)
    assert (fault.code, listing.code) == (expected, expected)
    assert says in fault.advice
    if expected == "file-unreadable":
        assert code in fault.message


def test_fetch__server_that_redirects_every_question__is_refused(reach: Reach, faulty: Replay) -> None:
    moved = Answer(b"", 301)
    faulty.routes |= {"/moved/a": moved, "/moved": moved}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 300)
    try:
        fault = refusal("s3://moved/a", connect(faulty.url), reach)
    finally:
        sys.setrecursionlimit(limit)
    assert "another region" in fault.message


def test_fetch__object_that_changed_after_it_was_listed__is_refused(reach: Reach, faulty: Replay) -> None:
    page = b"<ListBucketResult><Contents><Key>a</Key><ETag>&quot;1&quot;</ETag></Contents></ListBucketResult>"
    faulty.routes |= {"/changed": Answer(page), "/changed/a": error(412, "PreconditionFailed")}
    assert refusal("s3://changed/*", connect(faulty.url), reach).code == "file-changed"
    assert faulty.requests[-1].headers["if-match"] == '"1"'


def test_fetch__bytes_that_do_not_have_the_stated_checksum__are_refused(reach: Reach, faulty: Replay) -> None:
    stated = b64encode(hashlib.sha256(b"1.00").digest()).decode()
    faulty.routes["/checksum/a"] = Answer(b"9.00", headers={"x-amz-checksum-sha256": stated})
    assert refusal("s3://checksum/a", connect(faulty.url), reach).code == "file-damaged"
    assert faulty.requests[-1].headers["x-amz-checksum-mode"] == "ENABLED"


def test_fetch__object_larger_than_any_statement__is_refused_before_it_is_read(reach: Reach, faulty: Replay) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode()
    faulty.routes["/large/a"] = Answer(raw=[head, b"x"])
    assert refusal("s3://large/a", connect(faulty.url), reach).code == "file-too-large"


def test_fetch__answer_that_breaks_off__is_refused(reach: Reach, faulty: Replay) -> None:
    faulty.routes["/broken/a"] = Answer(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"half"])
    assert refusal("s3://broken/a", connect(faulty.url), reach).code == "unreachable"


def test_fetch__server_that_is_not_there__is_refused(reach: Reach) -> None:
    assert refusal("s3://bucket/a", connect("http://127.0.0.1:1"), reach).code == "unreachable"


def test_fetch__no_credentials_anywhere__is_refused(server: str, reach: Reach) -> None:
    connection = connect(server, access_key_id=None, secret_access_key=None)
    fault = refusal("s3://bucket/a", connection, reach)
    assert fault.code == "file-unreadable"
    assert "credentials" in fault.message


@pytest.mark.parametrize(
    "connection",
    [
        connect("http://127.0.0.1:1", secret_access_key=None),
        connect("http://127.0.0.1:1", access_key_id=None),
        connect("https://", region=None),
        connect("http://127.0.0.1:1", region="not a region"),
    ],
)
def test_fetch__connection_that_cannot_work__is_the_operator_s_fault(reach: Reach, connection: S3Connection) -> None:
    with pytest.raises(OperatorError) as caught:
        fetch(asking("s3://bucket/a", connection), reach)
    assert caught.value.code == "wrong-connection"
    assert SECRET not in caught.value.message


def test_fetch__deadline__ends_waiting_and_reading(base: Path, faulty: Replay) -> None:
    faulty.routes["/slow/a"] = Answer(
        raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n", bytes(300_000), 1.0, bytes(300_000)]
    )
    with reaching(base) as hurried:
        hurried.until = time.monotonic() + 1
        assert refusal("s3://slow/a", connect(faulty.url), hurried).code == "deadline"
        assert refusal("s3://slow/a", connect(faulty.url), hurried).code == "deadline"


def test_fetch__many_sources_at_once__share_one_client(s3: Any, server: str, bucket: str, reach: Reach) -> None:
    for number in range(16):
        s3.put_object(Bucket=bucket, Key=str(number), Body=str(number).encode())
    read: dict[int, bytes] = {}

    def one(number: int) -> None:
        (document,) = fetch(asking(f"s3://{bucket}/{number}", connect(server)), reach)
        read[number] = document.read(10)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == {number: str(number).encode() for number in range(16)}
    assert sum(one == connect(server) for one in reach._shared) == 1
