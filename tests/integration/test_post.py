"""Witnesses and time-stamping authorities are strangers: what they do with a request takes bounded time and memory."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from attest import environment
from attest.posting import MAX_BODY_BYTES


@contextmanager
def stranger(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that does ``answer`` on its first connection; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listening.accept()
        with line:
            request = line.recv(1 << 16)
            try:
                answer(line, request)
            except OSError:
                return  # the other side has left

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/add-checkpoint"
    finally:
        listening.close()


def test_post__stranger_answers__status_and_body_and_the_content_type_was_sent() -> None:
    asked: list[bytes] = []

    def answer(line: socket.socket, request: bytes) -> None:
        asked.append(request)
        line.sendall(b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\n12\n")

    with stranger(answer) as url:
        assert environment.post(url, b"old 3\n", "application/timestamp-query") == (409, b"12\n")

    assert b"\r\ncontent-type: application/timestamp-query\r\n" in asked[0].lower()


def test_post__server_that_drips__is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_POST_SECONDS", 0.5)

    def drip(line: socket.socket, request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            line.sendall(b"x")
            time.sleep(0.05)

    with stranger(drip) as url, pytest.raises(OSError, match="no answer"):
        environment.post(url, b"old 3\n")


def test_post__server_that_never_ends__is_left_after_a_bounded_body() -> None:
    sent = 0

    def flood(line: socket.socket, request: bytes) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 100 * MAX_BODY_BYTES:
            sent += line.send(b"x" * (1 << 20))

    with stranger(flood) as url, pytest.raises(OSError, match="no answer"):
        environment.post(url, b"old 3\n")

    assert sent < 2 * MAX_BODY_BYTES


def test_post__nobody_listens__says_no_answer_without_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(OSError, match="no answer") as fault:
        environment.post(f"http://user:hunter2@127.0.0.1:{port}/add-checkpoint", b"old 3\n")

    assert "hunter2" not in str(fault.value)
