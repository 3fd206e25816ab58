"""The monitor over HTTP: ``/metrics``, ``/healthz``, and ``/`` for people. Standard library; it serves what the last
cycle left and computes nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, NamedTuple

from attest.errors import OperatorError, printable
from attest.monitor.exposition import CONTENT_TYPE
from attest.monitor.findings import SEVERITIES, Finding
from attest.monitor.watch import Snapshot
from attest.records import format_instant

#: A cycle is overdue after so many intervals without one, and after so many seconds at least.
OVERDUE_CYCLES, OVERDUE_SECONDS = 3, 60
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"


class _Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Board:
    """What the server shows: the last cycle's result, put up whole. For several threads."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._overdue = max(OVERDUE_CYCLES * interval, OVERDUE_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._at = clock()
        self._metrics, self._page = b"", _page(None, [])

    def put(self, snapshot: Snapshot, found: list[Finding]) -> None:
        """Show a cycle that is through."""
        metrics, page = snapshot.exposition().encode(), _page(snapshot, found)
        with self._lock:
            self._metrics, self._page, self._at = metrics, page, self._clock()

    def answer(self, path: str) -> _Answer:
        with self._lock:
            metrics, page, age = self._metrics, self._page, self._clock() - self._at
        if path == "/metrics":
            return _Answer(200, CONTENT_TYPE, metrics) if metrics else _Answer(503, _TEXT, b"no cycle is through yet\n")
        if path == "/healthz":
            overdue, word = age > self._overdue, "overdue" if age > self._overdue else "ok"
            told = f"{word}: the last cycle ended {age:.0f} s ago\n" if metrics else f"{word}: in the first cycle\n"
            return _Answer(503 if overdue else 200, _TEXT, told.encode())
        if path == "/":
            return _Answer(200, _HTML, page)
        return _Answer(404, _TEXT, b"here are /metrics, /healthz and /\n")


def _page(snapshot: Snapshot | None, found: list[Finding]) -> bytes:
    """The page for people: what is wrong, the worst first."""
    if snapshot is None:
        body = "<p>The first cycle is under way.</p>"
    else:
        rows = "".join(
            f'<tr class="{each.severity}"><td>{each.severity}</td><td>{_safe(each.alert)}</td>'
            f"<td>{_safe(each.subject)}</td><td>{_safe(each.detail)}</td></tr>"
            for each in found
        )
        counts = ", ".join(f"{name}: {sum(each.severity == name for each in found)}" for name in SEVERITIES)
        blocks = ", ".join(f"{_safe(name)} at block {block.number}" for name, block in snapshot.blocks.items())
        table = (
            f"<table><thead><tr><th>Severity</th><th>Alert</th><th>About</th><th>What</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            if found
            else "<p>Nothing is wrong.</p>"
        )
        body = f"<p>{format_instant(snapshot.at)}; {blocks or 'no chain was read'}; {counts}</p>{table}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>attest monitor</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="15"><style>'
        ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;"
        "padding:1.25rem;overflow-wrap:break-word}table{border-collapse:collapse;width:100%}td,th{text-align:left;"
        "padding:.4rem;border-bottom:1px solid;vertical-align:top}.critical td:first-child{font-weight:700}"
        f'</style></head><body><main><h1>attest monitor</h1>{body}<p><a href="/metrics">Metrics</a></p></main></body>'
        "</html>\n"
    ).encode()


def _safe(text: str) -> str:
    return escape(printable(text))


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
        answer = self.server.board.answer(self.path.partition("?")[0])
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        """Silent: the command that serves reports what matters."""
