"""The monitor over HTTP: ``/metrics``, ``/healthz``, and ``/`` for people. Standard library; it serves what the last
cycle left and asks no chain."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any

from attest.errors import OperatorError
from attest.monitor.exposition import CONTENT_TYPE
from attest.monitor.findings import Finding
from attest.monitor.page import FIRST_SECONDS, REFRESH_SECONDS, MonitorPage, View
from attest.monitor.watch import Snapshot

#: A cycle is overdue after so many intervals without one, and after so many seconds at least.
OVERDUE_CYCLES, OVERDUE_SECONDS = 3, 60
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, content type, body, and headers that not every answer has."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Board:
    """What the server shows: the last cycle's result, put up whole. For several threads."""

    def __init__(self, interval: float, page: MonitorPage, clock: Callable[[], float] = time.monotonic) -> None:
        self._overdue = max(OVERDUE_CYCLES * interval, OVERDUE_SECONDS)
        self._maker = page
        self._clock = clock
        self._lock, self._rendering = threading.Lock(), threading.Lock()
        self._at = clock()
        self._metrics = b""
        self._snapshot: Snapshot | None = None
        self._found: Sequence[Finding] = ()
        self._pages: dict[View, tuple[int | None, bytes]] = {}

    def put(self, snapshot: Snapshot, found: Sequence[Finding]) -> None:
        """Show a cycle that is through."""
        metrics = snapshot.exposition().encode()
        with self._lock:
            self._metrics, self._snapshot, self._found, self._at = metrics, snapshot, found, self._clock()
            self._pages = {}

    def answer(self, path: str, query: str = "") -> Answer:
        with self._lock:
            metrics, age = self._metrics, self._clock() - self._at
        overdue = age > self._overdue
        if path == "/metrics":
            return Answer(200, CONTENT_TYPE, metrics) if metrics else Answer(503, _TEXT, b"no cycle is through yet\n")
        if path == "/healthz":
            word = "overdue" if overdue else "ok"
            told = f"{word}: the last cycle ended {age:.0f} s ago\n" if metrics else f"{word}: in the first cycle\n"
            return Answer(503 if overdue else 200, _TEXT, told.encode())
        if path == "/":
            view = View.of(query)
            headers = {"Content-Security-Policy": self._maker.policy}
            if view.refresh:
                headers["Refresh"] = str(REFRESH_SECONDS if metrics else FIRST_SECONDS)
            return Answer(200, _HTML, self._page(view, int(age) if overdue else None), headers)
        return Answer(404, _TEXT, b"here are /metrics, /healthz and /\n")

    def _page(self, view: View, overdue: int | None) -> bytes:
        """Made when it is asked for: once in each cycle; of an overdue one, at most every minute."""
        minute = None if overdue is None else overdue // 60
        with self._rendering:
            with self._lock:
                snapshot, found, pages = self._snapshot, self._found, self._pages
            known = pages.get(view)
            if known is None or known[0] != minute:
                known = pages[view] = minute, self._maker.render(snapshot, found, view, overdue)
            return known[1]


class MonitorServer:
    """Serves a board in threads of its own; a context manager. ``address`` is host and port (0: any free one)."""

    def __init__(self, board: Board, address: tuple[str, int]) -> None:
        """Raises :class:`OperatorError` (``monitor-address``)."""
        try:
            family, *_, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._server = _Server(family, place, board)
        except OSError as fault:
            raise OperatorError(
                f"monitor: cannot listen on {address[0]}:{address[1]} ({fault.strerror})",
                code="monitor-address",
                reason="Prometheus fetches the metrics over HTTP; another monitor may be listening there.",
                advice="Choose another address with --listen, or stop what is listening there.",
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        host, port = map(str, self._server.server_address[:2])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def __enter__(self) -> MonitorServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingTCPServer):  # not HTTPServer, which asks DNS for its own name
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, family: int, address: Any, board: Board) -> None:
        self.board = board
        self.address_family = family
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds: a peer that stops sending does not keep its thread

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self._send(self.server.board.answer(path, query))

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself (another method, a request that does not read), without its page."""
        self.close_connection = True  # a body may follow, and is not read
        if code == 501:
            self._send(Answer(405, _TEXT, b"only GET and HEAD are answered\n", {"Allow": "GET, HEAD"}))
        else:
            self._send(Answer(code, _TEXT, b"the request does not read\n"))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        """Silent: the command that serves reports what matters."""
