"""Reading 100,000 events, and indexing them into a database: ours against web3's ``contract.get_logs``, over the same
answers of the same server. And the memory that a scan takes, against one of a tenth as many events."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attest.chain.artifact import artifact
from attest.chain.logs import SPAN, event, read
from attest.chain.rpc import ChainClient
from attest.monitor.events import watch
from attest.monitor.index import EventIndex
from attest.monitor.totals import reading
from attest.posting import HttpTransport
from benchmarks.harness import Benchmark, Measured

EVENTS = 100_000
ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
TRANSFER = event("Transfer(address indexed from, address indexed to, uint256 value)")


def _serve(ready: Connection) -> None:
    """A node whose every block has one transfer, and which keeps its answers."""
    answers: dict[tuple[int, int], list[dict[str, Any]]] = {}

    def logs(first: int, last: int) -> list[dict[str, Any]]:
        if (first, last) not in answers:
            answers[first, last] = [
                {
                    "address": ADDRESS, "blockNumber": hex(block), "blockHash": f"0x{block:064x}", "logIndex": "0x0",
                    "transactionHash": f"0x{block:064x}", "transactionIndex": "0x0", "removed": False,
                    "topics": [TRANSFER.topic, f"0x{0:064x}", f"0x{block + 1:064x}"], "data": f"0x{block:064x}",
                    "blockTimestamp": hex(block),
                }
                for block in range(first, last + 1)
            ]  # fmt: skip
        return answers[first, last]

    def answer(call: dict[str, Any]) -> dict[str, Any]:
        asked: Any = call["params"][0] if call["params"] else {}
        result: Any = "0x8a"
        if call["method"] == "eth_getLogs":
            burns = asked["topics"][1:] == [None, f"0x{0:064x}"]
            result = [] if burns else logs(int(asked["fromBlock"], 16), int(asked["toBlock"], 16))
        elif call["method"] == "eth_getBlockByNumber":
            result = _header(EVENTS if asked == "latest" else int(asked, 16))
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = [answer(call) for call in asked] if isinstance(asked, list) else answer(asked)
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_address[1])
    server.serve_forever()


def _header(number: int) -> dict[str, Any]:
    """A block's header as far as anybody looks at it."""
    return {
        "number": hex(number), "hash": f"0x{number:064x}", "parentHash": f"0x{max(0, number - 1):064x}",
        "timestamp": hex(number), "logsBloom": "0x" + "00" * 256,
    }  # fmt: skip


@contextmanager
def _served() -> Iterator[str]:
    """The URL of such a node."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.kill()


def _measure() -> Measured:
    with _served() as url:
        client = ChainClient("main", 138, [url], transport=HttpTransport(60))
        assert sum(1 for _ in read(client, TRANSFER, [ADDRESS], 1, EVENTS)) == EVENTS  # the server has made them now
        begun = time.perf_counter()
        assert sum(1 for _ in read(client, TRANSFER, [ADDRESS], 1, EVENTS)) == EVENTS
        ours = time.perf_counter() - begun
        return Measured(ours, _web3(url), "s")


def _web3(url: str) -> float:
    """What web3 takes for all events, in seconds."""
    from web3 import Web3

    web3 = Web3(Web3.HTTPProvider(url))
    contract = web3.eth.contract(address=Web3.to_checksum_address(ADDRESS), abi=artifact("WToken").abi)
    begun = time.perf_counter()
    # One range of twenty: all of them take a minute.
    assert len(contract.events.Transfer.get_logs(from_block=1, to_block=SPAN)) == SPAN
    return (time.perf_counter() - begun) * EVENTS / SPAN


def _scan(url: str, folder: str, blocks: int) -> None:
    """Index the events of so many blocks into a new database."""
    client = ChainClient("main", 138, [url], transport=HttpTransport(60))
    database = f"sqlite:///{folder}/{blocks}.sqlite"
    options: dict[str, Any] = {"name": "main", "chain_id": 138, "watched": [watch("token", ADDRESS)], "start": 1}
    index = EventIndex.open(database, **options, finality=f"depth:{EVENTS - blocks}" if blocks < EVENTS else "instant")
    index.advance(client)
    index.close()
    with reading(database) as totals:
        assert totals.count("minted") == blocks


def _measure_index() -> Measured:
    with _served() as url, tempfile.TemporaryDirectory() as folder:
        _scan(url, folder, EVENTS)  # the server has made them now
        (Path(folder) / f"{EVENTS}.sqlite").unlink()
        begun = time.perf_counter()
        _scan(url, folder, EVENTS)
        ours = time.perf_counter() - begun
        return Measured(ours, _web3(url), "s")


def _memory_of_scan(url: str, folder: str, blocks: int, said: Connection) -> None:
    _scan(url, folder, blocks)
    status = Path("/proc/self/status").read_text()  # getrusage counts what the process had been before it was this one
    said.send(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def _measure_memory() -> Measured:
    """The most memory of a process that scans everything, against one that scans a tenth of it (three chunks)."""
    peaks: list[float] = []
    with _served() as url, tempfile.TemporaryDirectory() as folder:
        for blocks in (EVENTS, EVENTS // 10):
            here, there = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=_memory_of_scan, args=(url, folder, blocks, there))
            process.start()
            peaks.append(here.recv())
            process.join()
    return Measured(peaks[0], peaks[1], "MB")


BENCHMARKS = [
    Benchmark("events", "100,000 events are read and decoded 10x faster than by web3's get_logs", 0.1, _measure),
    Benchmark("index", "a first scan of 100,000 events into a database is 10x web3's get_logs", 0.1, _measure_index),
    Benchmark("index-memory", "a scan of ten times as many events takes no more memory", 1.25, _measure_memory),
]
