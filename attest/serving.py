"""HTTP by the standard library, for what this program serves itself: the monitor and the log witness. Plain HTTP:
whoever shows it to others puts a proxy with TLS in front."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self, cast

from attest.errors import OperatorError

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, content type, body, and headers that not every answer has."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def text(status: int, line: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of one line."""
    return Answer(status, TEXT, f"{line}\n".encode(), headers or {})


class Server(ThreadingTCPServer):  # not HTTPServer, which asks DNS for its own name
    """Serves at an address, each connection in a thread of its own. As a context manager it serves in a thread;
    :meth:`serve_forever` serves in the foreground, and ``server_close`` frees the port."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], handler: type[Handler], *, what: str, reason: str, advice: str
    ) -> None:
        """``address``: host (a name, IPv4 or IPv6) and port (0: any free one). Raises :class:`OperatorError`
        (``WHAT-address``, for the reason and with the advice given)."""
        try:
            family, *_, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self.address_family = family
            super().__init__(cast(Any, place), handler)
        except (OSError, UnicodeError) as fault:
            # A name with a part that is empty or too long does not even get asked for.
            why = fault.strerror if isinstance(fault, OSError) else "not the name of a host"
            raise OperatorError(
                f"{what}: cannot listen on {address[0]}:{address[1]} ({why})",
                code=f"{what}-address",
                reason=reason,
                advice=advice,
            ) from None

    @property
    def url(self) -> str:
        """``http://HOST:PORT``."""
        host, port = map(str, self.server_address[:2])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Serve until ``shutdown`` is called from another thread, or the process is interrupted."""
        super().serve_forever(poll_interval)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Sends answers, and refuses what does not read in one line of text. ``methods`` are those that it has."""

    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds: a peer that stops sending does not keep its thread
    methods: tuple[str, ...] = ("GET", "HEAD")

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself (another method, a request that does not read), without its page."""
        self.close_connection = True  # a body may follow, and is not read
        if code == 501:
            self.send(text(405, f"only {' and '.join(self.methods)} are answered", {"Allow": ", ".join(self.methods)}))
        else:
            self.send(text(code, "the request does not read"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        """Silent: the command that serves reports what matters."""
