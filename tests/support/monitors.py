"""``attest monitor`` as it is used: once, and as an exporter in a process of its own, over a scenario of the practice
network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attest import devnet
from tests.support.alerting import free_port
from tests.support.commands import attest
from tests.support.practice import rpc

#: For a machine that does much else.
STARTING_SECONDS, ENDING_SECONDS = 300, 60


@contextmanager
def played(folder: Path, scenario: str) -> Iterator[devnet.Running]:
    """A scenario, its history made; from then on a block comes with each transaction only."""
    with devnet.running(folder, port=0, witness_port=0, scenario=scenario) as running:
        rpc(running.rpc, "evm_setIntervalMining", 0)
        rpc(running.rpc, "evm_setAutomine", True)
        yield running


def once(folder: Path) -> Any:
    return attest("monitor", "--once", "--json", "--config", folder / "attest.toml")


def alerts(document: Any) -> set[tuple[str, str]]:
    return {(each["alert"], each["subject"]) for each in document["findings"]}


def number(document: Any, name: str, **labels: str) -> int:
    (found,) = [
        each["value"]
        for each in document["metrics"]
        if each["name"] == f"attest_{name}" and labels.items() <= each["labels"].items()
    ]
    return int(found)


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The exporter as a process of its own, in its first cycle, and its URL."""
    words = [sys.executable, "-m", "attest.cli.main", "monitor", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*words, "--config", str(folder / "attest.toml")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    match = re.match(r"(http://\S+)/metrics", process.stdout.readline())
    if match is None:
        process.kill()
        raise AssertionError("the exporter did not start")
    return process, match[1]


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


def counter(text: str, sample: str) -> float:
    (line,) = [line for line in text.split("\n") if line.startswith(f"{sample} ")]
    return float(line.split()[-1])
