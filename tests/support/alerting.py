"""Debian's Prometheus and Alertmanager on localhost, an exporter that says what it is told, and one who listens."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any, NamedTuple

from attest.monitor.alerts import JOB

ROOT = Path(__file__).parents[2]
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
STARTING_SECONDS = 20


class Received(NamedTuple):
    """What arrived at a path, and when (monotonic seconds)."""

    path: str
    body: Any
    at: float


class Listener:
    """Takes every webhook, and exposes ``metrics`` (a line each)."""

    def __init__(self) -> None:
        self.metrics: Sequence[str] = ()
        self.received: list[Received] = []
        self._changed = Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("".join(f"{line}\n" for line in listener.metrics).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with listener._changed:
                    listener.received.append(Received(self.path, body, time.monotonic()))
                    listener._changed.notify_all()
                self._answer(b"ok")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Listener:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, path: str, alert: str, status: str, seconds: float) -> tuple[Received, Mapping[str, Any]]:
        """The first message at a path that tells of an alert in a status, and what it says of it."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for message in self.received:
                    for told in message.body.get("alerts", ()) if message.path == path else ():
                        if told["labels"]["alertname"] == alert and told["status"] == status:
                            return message, told
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"nothing of {alert} {status} at {path} within {seconds} s: {self.received}")
                self._changed.wait(left)


def alertmanager_configuration(folder: Path, listener: Listener) -> Path:
    """The configuration that is shipped, with every way out leading to the listener."""
    text = ALERTMANAGER.read_text(encoding="utf-8")
    text = text.replace("http://127.0.0.1:9465", f"http://{listener.address}")
    text = text.replace("/etc/prometheus/attest", str(folder))
    text = text.replace("global:\n", f"global:\n  pagerduty_url: http://{listener.address}/pagerduty\n")
    for name, content in (
        ("slack_url", f"http://{listener.address}/slack"),
        ("pagerduty_key", "0" * 32),
        ("webhook_token", "token"),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    path = folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return path


def prometheus_configuration(
    folder: Path,
    rules: Sequence[Path],
    exporter: str,
    alertmanager: str | None = None,
) -> Path:
    """Scrapes and evaluates every second."""
    managers = [] if alertmanager is None else [{"static_configs": [{"targets": [alertmanager]}]}]
    document = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": list(map(str, rules)),
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [exporter]}]}],
        "alerting": {"alertmanagers": managers},
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    return path


@contextmanager
def prometheus(folder: Path, configuration: Path) -> Iterator[str]:
    """A running Prometheus; its address."""
    words = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        # What fires before Alertmanager is discovered is told again soon.
        "--rules.alert.resend-delay=2s",
    ]
    with _running(words, folder / "prometheus.log") as address:
        yield address


@contextmanager
def alertmanager(folder: Path, configuration: Path) -> Iterator[str]:
    """A running Alertmanager, alone; its address."""
    words = [
        "prometheus-alertmanager",
        f"--config.file={configuration}",
        f"--storage.path={folder / 'alertmanager'}",
        "--cluster.listen-address=",
    ]
    with _running(words, folder / "alertmanager.log") as address:
        yield address


@contextmanager
def _running(words: Sequence[str], log: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    with log.open("wb") as output:
        process = subprocess.Popen([*words, f"--web.listen-address={address}"], stdout=output, stderr=subprocess.STDOUT)
        try:
            _await_ready(process, address, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{address} did not become ready:\n{log.read_text(encoding='utf-8', errors='replace')}")


def ask(address: str, path: str, body: Any = None) -> Any:
    """The JSON answer to a GET, or to a POST of ``body``; None if there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def firings(address: str) -> list[tuple[Mapping[str, str], float]]:
    """Every alert that fired within the last hour: its labels, and when it fired first (Unix seconds)."""
    found = _series(address, 'ALERTS{alertstate="firing"}[1h]')
    return [(each["metric"], each["values"][0][0]) for each in found]


def scraped_twice(address: str, exporters: int) -> float:
    """When so many exporters had each been scraped twice (Unix seconds); never, as long as one was not."""
    times = [[at for at, _ in each["values"]] for each in _series(address, "up[1h]")]
    return max(each[1] for each in times) if sum(len(each) > 1 for each in times) == exporters else math.inf


def _series(address: str, query: str) -> list[Any]:
    return list(ask(address, f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"])
