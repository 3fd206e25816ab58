"""What custody costs: thousands of sources asked at the same time, and statements of many megabytes."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from attest import config
from attest.custody import collector, formats
from attest.custody.document import Document
from attest.custody.evidence import Evidence
from attest.store import LocalStore, OverlayStore, Store
from benchmarks import statements
from benchmarks.harness import Benchmark, Measured, python
from benchmarks.latency import LATENCY

SOURCES = 3_000
CONCURRENT = 64
_CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
_HEAD = """
[issuer]
name = "Wexample"
contact = "x@example.com"
[stores]
private = "file://private"
public = "file://public"
[collection]
max_concurrent = {concurrent}
per_host = {concurrent}
[chains.local]
chain_id = 31337
endpoints = ["http://127.0.0.1:1"]
[oracle]
chain = "local"
address = "0x00000000000000000000000000000000000000a1"
[registry]
chain = "local"
address = "0x00000000000000000000000000000000000000a2"
[signing]
reporters = [{{ uri = "keystore:a.json", address = "0x00000000000000000000000000000000000000b1" }}]
publisher = {{ uri = "keystore:b.json", address = "0x00000000000000000000000000000000000000b2" }}
attestors = [{{ uri = "keystore:c.json", address = "0x00000000000000000000000000000000000000b3" }}]
log = {{ uri = "keystore:d.pem", vkey = "x" }}
[log]
origin = "example.com/reserves"
[connections.bank]
kind = "http"
bearer = "file:token"
[tokens.EURW]
currency = "EUR"
deployments = [{{ chain = "local", address = "0x00000000000000000000000000000000000000c1", decimals = 6 }}]
"""
_ACCOUNT = """
[accounts.account-{number}]
token = "EURW"
custodian = "Bank"
external_account = "ACCOUNT-{number:04d}"
currency = "EUR"
"""
_SOURCE = """
[[accounts.account-{number}.sources]]
id = "source-{source}"
origin = "origin-{source}"
format = "json"
location = "{url}/ACCOUNT-{number:04d}?source={source}"
connection = "bank"
options = {{ account = "/account", currency = "/currency", amount = "/balance", as_of = "/asOf", success = "/status", \
success_value = "ok" }}
"""


@contextmanager
def _asked(folder: Path) -> Iterator[config.Loaded]:
    """A configuration whose sources are all at one server, two for each account."""
    server = subprocess.Popen(
        [*python("from benchmarks.latency import serve; serve()")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        text = _HEAD.format(concurrent=CONCURRENT)
        for number in range(SOURCES // 2):
            text += _ACCOUNT.format(number=number)
            text += "".join(_SOURCE.format(number=number, source=source, url=url) for source in (1, 2))
        (folder / "attest.toml").write_text(text)
        (folder / "token").write_text("a token")
        yield config.load(folder / "attest.toml")
    finally:
        server.kill()
        server.wait()


def _seconds(store: Store, loaded: config.Loaded) -> float:
    begin = time.perf_counter()
    collected = collector.collect(
        loaded,
        period="2026-W47",
        cutoff=_CUTOFF,
        now=lambda: datetime.now(UTC),
        evidence=Evidence(store),
        clients={},
    )
    taken = time.perf_counter() - begin
    if len(collected.observations) != SOURCES:
        raise RuntimeError(f"{len(collected.failures)} sources failed, first: {collected.failures[0]}")
    return taken


def _compared(*, on_disk: bool) -> Measured:
    """The least of three rounds, because noise only adds, against nothing but waiting."""
    with tempfile.TemporaryDirectory() as name, _asked(Path(name)) as loaded:
        stores = [LocalStore(Path(name, f"private-{number}"), secret=True) for number in range(3)]
        taken = min(_seconds(disk if on_disk else OverlayStore(disk), loaded) for disk in stores)
    return Measured(taken, SOURCES * LATENCY / CONCURRENT, "s")


def sources() -> Measured:
    """Evidence held in memory: what asking and reading cost."""
    return _compared(on_disk=False)


def sources_kept() -> Measured:
    """Evidence on local disk, each document synchronised to it."""
    return _compared(on_disk=True)


# -- a statement of 200 MB with 1,000 accounts -----------------------------------------------------------------------

STATEMENT_BYTES = 200_000_000
ACCOUNTS = 1_000
#: Runs the command that follows, and says how much memory its process took at most. (What getrusage says begins with
#: the memory of the process that started it.)
_MEASURE = """
import sys
from attest.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1], file=sys.stderr)
"""


def camt() -> Measured:
    """CPU time of reading it, entries checked, and of a loop that takes nothing from it; the least of three."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "statement.xml")
        statements.write(path, STATEMENT_BYTES, ACCOUNTS)
        with path.open("rb") as file:
            document = Document(path.name, iter(lambda: file.read(1 << 20), b""))

        def ours() -> None:
            stated = formats.read("camt053", [document], {}, zone=None, retrieved_at=_CUTOFF)
            if len(stated) != ACCOUNTS:
                raise RuntimeError(f"{len(stated)} balances were read")

        def bare() -> None:
            for _, element in ElementTree.iterparse(path):
                element.clear()

        pairs = [(_cpu(ours), _cpu(bare)) for _ in range(3)]
    return Measured(min(one for one, _ in pairs), min(other for _, other in pairs), "s CPU")


def camt_memory() -> Measured:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "statement.xml")
        statements.write(path, STATEMENT_BYTES, ACCOUNTS)
        command = [*python(_MEASURE), "custody", "read", str(path), "--format", "camt053"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return Measured(int(told.split()[-1]) * 1_024 / 1_000_000, 1, "MB")


def _cpu(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


BENCHMARKS = [
    Benchmark("sources", "3,000 HTTP sources of 0.1 s, 64 at once: at most 1.5 times of waiting", 1.5, sources),
    Benchmark("sources-kept", "with all evidence synchronised to local disk: at most twice", 2, sources_kept),
    Benchmark("camt", "reading 200 MB of camt.053 takes at most as long as a bare iterparse loop", 1, camt),
    Benchmark("camt-memory", "attest custody read of it takes at most 60 MB", 60, camt_memory),
]
