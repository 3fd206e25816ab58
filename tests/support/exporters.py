"""``attest monitor`` as a process of its own, and what it says over HTTP."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.alerting import free_port

#: For a machine that does much else.
STARTING_SECONDS, ENDING_SECONDS = 300, 60


@contextmanager
def exporting(folder: Path, address: str | None = None) -> Iterator[str]:
    """The exporter of a practice network, perhaps still starting; its URL. It must end well."""
    address = address or f"127.0.0.1:{free_port()}"
    words = ["monitor", "--listen", address, "--config", str(folder / "attest.toml")]
    with (folder / "monitor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "attest.cli.main", *words], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield f"http://{address}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(ENDING_SECONDS) == 0, (folder / "monitor.log").read_text(encoding="utf-8")


def fetched(url: str) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def scraped(url: str) -> str:
    """The exposition, once the first cycle is through."""
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        try:
            status, text = fetched(f"{url}/metrics")
        except urllib.error.URLError:
            status = 0
        if status == 200:
            return text
        time.sleep(0.2)
    raise AssertionError(f"no cycle was through in {STARTING_SECONDS} seconds")
