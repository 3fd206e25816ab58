"""The S3 store against a real S3 protocol server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from attest.errors import OperatorError
from attest.store import Store, check_writable, get_or_create, open_store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server of this module's own."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A fresh bucket's name, and the environment that leads to it."""
    import boto3

    environment = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{abs(hash(request.node.name))}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def store(bucket: str, tmp_path: Path) -> Store:
    return open_store(f"s3://{bucket}/prefix", base=tmp_path)


def test_s3_create__twice__the_first_bytes_stay(store: Store) -> None:
    assert store.create("runs/2026-W47/1/open", b"first")
    assert not store.create("runs/2026-W47/1/open", b"second")
    assert store.get("runs/2026-W47/1/open") == b"first"


def test_s3_create__many_threads_at_once__exactly_one_wins(store: Store) -> None:
    made: list[bool] = []
    start = threading.Barrier(8)

    def create(data: bytes) -> None:
        start.wait()
        made.append(store.create("contended", data))

    threads = [threading.Thread(target=create, args=(bytes([n]),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_s3_check_writable__again_and_again__passes_and_leaves_nothing(store: Store) -> None:
    check_writable(store)
    check_writable(store)
    assert store.list("") == []


def test_s3_get__absent_key__is_none(store: Store) -> None:
    assert store.get("absent") is None
    assert get_or_create(store, "absent", lambda: b"computed") == b"computed"


def test_s3_replace__pointer__has_the_newest_bytes(store: Store) -> None:
    store.replace("checkpoint", b"1")
    store.replace("checkpoint", b"2")
    assert store.get("checkpoint") == b"2"


def test_s3_list__more_than_a_page__is_sorted_and_relative_to_the_prefix(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    outer = open_store(f"s3://{bucket}", base=tmp_path)
    inner = open_store(f"s3://{bucket}/prefix", base=tmp_path)
    outer.create("elsewhere", b"")
    keys = [f"tile/0/{n:04d}" for n in range(35)]
    for key in keys:
        inner.replace(key, b"")
    inner.create("tile2", b"")
    assert inner.list("tile") == keys
    assert inner.list("") == [*keys, "tile2"]
    assert inner.list("absent") == []
    assert "prefix/tile2" in outer.list("")


def test_s3_any_operation__bucket_is_missing__raises_instead_of_saying_absent(bucket: str, tmp_path: Path) -> None:
    store = open_store("s3://no-such-bucket", base=tmp_path)
    for operation in (lambda: store.create("a", b""), lambda: store.replace("a", b""), lambda: store.list("")):
        with pytest.raises(OperatorError) as caught:
            operation()
        assert caught.value.code == "store-unavailable"
        assert caught.value.message.startswith("s3://no-such-bucket: cannot ")


class _Forwarder(BaseHTTPRequestHandler):
    """Hands requests on to the real server, each subclass with its own fault."""

    upstream: str

    def forward(self) -> None:
        connection = HTTPConnection(urlsplit(self.upstream).netloc, timeout=10)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection.request(self.command, self.path, body, dict(self.kept_headers()))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    def kept_headers(self) -> list[tuple[str, str]]:
        return list(self.headers.items())

    def do_GET(self) -> None:
        self.forward()

    def do_PUT(self) -> None:
        self.forward()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class _IgnoresConditions(_Forwarder):
    """An S3-alike that does not know If-None-Match."""

    def kept_headers(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.headers.items() if name.lower() != "if-none-match"]


class _MayNotList(_Forwarder):
    """S3 without the ListBucket right: a missing key answers 403, not 404."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def through(
    server: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Store]:
    """The bucket through a faulty forwarder, the test's parameter."""
    handler = type("Handler", (request.param,), {"upstream": server})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    yield open_store(f"s3://{bucket}", base=tmp_path)
    proxy.shutdown()
    proxy.server_close()
    thread.join()


@pytest.mark.parametrize("through", [_IgnoresConditions], indirect=True)
def test_s3_alike_that_ignores_conditions__is_refused_before_two_runs_can_differ(through: Store) -> None:
    with pytest.raises(OperatorError, match="does not keep the first of two writes") as caught:
        check_writable(through)
    assert caught.value.code == "store-overwrites"
    assert "If-None-Match" in caught.value.advice


@pytest.mark.parametrize("through", [_MayNotList], indirect=True)
def test_s3_get__missing_right__raises_instead_of_saying_absent(through: Store) -> None:
    with pytest.raises(OperatorError) as caught:
        through.get("absent")
    assert caught.value.code == "store-unavailable"
    assert "ListBucket" in caught.value.reason
