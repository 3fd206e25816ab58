"""The monitor over HTTP: ``/metrics``, ``/healthz``, and ``/`` for people. Standard library; it serves what the last
cycle left and asks no chain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from attest.monitor.cycle import Snapshot
from attest.monitor.exposition import CONTENT_TYPE
from attest.monitor.findings import Finding
from attest.monitor.page import FIRST_SECONDS, REFRESH_SECONDS, MonitorPage, View
from attest.serving import Answer, Handler, Server, text

#: A cycle is overdue after so many intervals without one, and after so many seconds at least.
OVERDUE_CYCLES, OVERDUE_SECONDS = 3, 60
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HTML = "text/html; charset=utf-8"


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
            return Answer(200, CONTENT_TYPE, metrics) if metrics else text(503, "no cycle is through yet")
        if path == "/healthz":
            word = "overdue" if overdue else "ok"
            told = f"the last cycle ended {age:.0f} s ago" if metrics else "in the first cycle"
            return text(503 if overdue else 200, f"{word}: {told}")
        if path == "/":
            view = View.of(query)
            headers = {"Content-Security-Policy": self._maker.policy}
            if view.refresh:
                headers["Refresh"] = str(REFRESH_SECONDS if metrics else FIRST_SECONDS)
            return Answer(200, _HTML, self._page(view, int(age) if overdue else None), headers)
        return text(404, "here are /metrics, /healthz and /")

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


class MonitorServer(Server):
    """Serves a board; a context manager. ``address`` is host and port (0: any free one)."""

    def __init__(self, board: Board, address: tuple[str, int]) -> None:
        """Raises :class:`OperatorError` (``monitor-address``)."""
        self.board = board
        super().__init__(
            address,
            _Handler,
            what="monitor",
            reason="Prometheus fetches the metrics over HTTP; another monitor may be listening there.",
            advice="Choose another address with --listen, or stop what is listening there.",
        )


class _Handler(Handler):
    server: MonitorServer

    def do_GET(self) -> None:  # noqa: N802 - http.server's own name
        path, _, query = self.path.partition("?")
        self.send(self.server.board.answer(path, query))

    def do_HEAD(self) -> None:  # noqa: N802 - http.server's own name
        self.do_GET()

    def send(self, answer: Answer) -> None:
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        super().send(replace(answer, headers={**headers, **answer.headers}))
