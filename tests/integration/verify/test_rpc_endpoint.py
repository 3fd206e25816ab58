"""The auditor's endpoint over real HTTP: what it answers, and all the ways in which it can misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from attest.errors import OperatorError
from attest.verify.case import EndpointError
from attest.verify.rpc import MAX_ANSWER_BYTES, open_rpc

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Endpoint:
    """A server on this machine whose behaviour a test sets."""

    def __init__(self) -> None:
        self.answer: Answer = lambda handler, body: send(handler, b"")
        self.bodies: list[Any] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.bodies.append(json.loads(body))
                endpoint.answer(self, body)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *arguments: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


def send(handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def answers(data: bytes, status: int = 200, **headers: str) -> Answer:
    return lambda handler, body: send(handler, data, status, **headers)


def test_rpc__result__is_returned_and_the_request_is_json_rpc(endpoint: Endpoint) -> None:
    endpoint.answer = answers(b'{"jsonrpc":"2.0","id":1,"result":"0x8a"}')

    assert open_rpc(endpoint.url)("eth_chainId", []) == "0x8a"
    assert endpoint.bodies == [{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}]


def test_rpc__null_result__is_none(endpoint: Endpoint) -> None:
    endpoint.answer = answers(b'{"jsonrpc":"2.0","id":1,"result":null}')

    assert open_rpc(endpoint.url)("eth_getBlockByNumber", ["0x1", False]) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [(b'{"code":-32000,"message":"missing trie node"}', -32000), (b'"odd"', -32000), (b'{"code":"x"}', -32000)],
)
def test_rpc__error_answer__carries_the_nodes_code(endpoint: Endpoint, error: bytes, code: int) -> None:
    endpoint.answer = answers(b'{"jsonrpc":"2.0","id":1,"error":' + error + b"}")

    with pytest.raises(EndpointError, match="your endpoint refuses") as caught:
        open_rpc(endpoint.url)("eth_call", [])

    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0","id":2,"result":1}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"id":1,"id":1,"result":1}',
    ],
)
def test_rpc__answer_that_is_no_json_rpc__refused(endpoint: Endpoint, data: bytes) -> None:
    endpoint.answer = answers(data)

    with pytest.raises(EndpointError, match="does not speak JSON-RPC") as caught:
        open_rpc(endpoint.url)("eth_chainId", [])

    assert caught.value.code is None


def test_rpc__endless_answer__refused(endpoint: Endpoint) -> None:
    endpoint.answer = answers(b" " * (MAX_ANSWER_BYTES + 1))

    with pytest.raises(EndpointError, match="larger than"):
        open_rpc(endpoint.url)("eth_chainId", [])


def test_rpc__redirect__is_not_followed(endpoint: Endpoint) -> None:
    endpoint.answer = answers(b"", 302, Location=endpoint.url + "elsewhere")

    with pytest.raises(EndpointError, match="HTTP 302"):
        open_rpc(endpoint.url)("eth_chainId", [])
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("status", [401, 404, 500])
def test_rpc__http_error__is_told(endpoint: Endpoint, status: int) -> None:
    endpoint.answer = answers(b"", status)

    with pytest.raises(EndpointError, match=f"HTTP {status}"):
        open_rpc(endpoint.url)("eth_chainId", [])


def test_rpc__connection_cut__is_told(endpoint: Endpoint) -> None:
    endpoint.answer = lambda handler, body: handler.connection.close()

    with pytest.raises(EndpointError, match="does not answer"):
        open_rpc(endpoint.url)("eth_chainId", [])


def test_rpc__silent_endpoint__times_out(endpoint: Endpoint) -> None:
    waiting = threading.Event()
    endpoint.answer = lambda handler, body: waiting.wait(2) and None

    with pytest.raises(EndpointError, match="does not answer"):
        open_rpc(endpoint.url, timeout=0.1)("eth_chainId", [])
    waiting.set()


def test_rpc__credentials_in_the_url__never_appear_in_errors(endpoint: Endpoint) -> None:
    endpoint.answer = answers(b"", 401)

    with pytest.raises(EndpointError) as caught:
        open_rpc(endpoint.url + "v3/canary-secret")("eth_chainId", [])

    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x/", "localhost:8545", "http://", "", "http://[x", "http://x:port", "http://x:99999"],
)
def test_rpc__url_of_another_kind__refused(url: str) -> None:
    with pytest.raises(OperatorError, match="not an http or https URL"):
        open_rpc(url)
