"""The exporter over HTTP as any client meets it: what is answered, and how what is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from attest.errors import OperatorError
from attest.monitor.history import History, Memory
from attest.monitor.page import MonitorPage
from attest.monitor.server import Board, MonitorServer
from tests.support.watched import World, configuration


@pytest.fixture
def connection() -> Iterator[HTTPConnection]:
    board = Board(15, MonitorPage(configuration(World()), History(Memory())))
    with MonitorServer(board, ("127.0.0.1", 0)) as server:
        found = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        yield found
        found.close()


def test_server__host_that_no_name_can_be__is_refused() -> None:
    board = Board(15, MonitorPage(configuration(World()), History(Memory())))
    with pytest.raises(OperatorError, match=r"cannot listen on a\.\.b:9464 \(not the name of a host\)"):
        MonitorServer(board, ("a..b", 9464))


def asked(connection: HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[HTTPResponse, bytes]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/nowhere"])
def test_head__any_path__is_the_get_without_its_body(connection: HTTPConnection, path: str) -> None:
    got, body = asked(connection, "GET", path)
    head, nothing = asked(connection, "HEAD", path)
    assert nothing == b""
    assert head.status == got.status
    assert head.headers["Content-Length"] == str(len(body))
    assert {*head.headers} == {*got.headers}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_method__is_refused_with_those_that_are_answered(connection: HTTPConnection, method: str) -> None:
    answer, body = asked(connection, method, "/", b"x" * 1000 if method in ("POST", "PUT") else None)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert body == b"only GET and HEAD are answered\n"
    assert answer.headers["Connection"] == "close"
    assert asked(connection, "GET", "/healthz")[0].status == 200, "the next connection is answered"


def test_every_answer__may_load_nothing_and_is_not_kept(connection: HTTPConnection) -> None:
    for path in ("/", "/healthz", "/metrics", "/nowhere"):
        answer, _ = asked(connection, "GET", path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_request_that_does_not_read__is_refused_without_repeating_it(connection: HTTPConnection) -> None:
    with socket.create_connection((connection.host, connection.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/<script>alert(1)</script>\r\n\r\n")
        said = b"".join(iter(lambda: plain.recv(4096), b""))
    assert b"script" not in said
    assert b"the request does not read" in said


def test_many_queries__are_answered_as_the_page(connection: HTTPConnection) -> None:
    answer, body = asked(connection, "GET", "/?" + "&".join(f"over{n}=%00" for n in range(2000)))
    assert answer.status == 200
    assert b"The first cycle is under way." in body
