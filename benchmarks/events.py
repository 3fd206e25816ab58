"""Reading 100,000 events: ours against web3's ``contract.get_logs``, over the same answers of the same server."""

from __future__ import annotations

import json
import multiprocessing
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from attest.chain.artifact import artifact
from attest.chain.logs import SPAN, event, read
from attest.chain.rpc import ChainClient, HttpTransport
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
                    "topics": [TRANSFER.topic, f"0x{block:064x}", f"0x{block + 1:064x}"], "data": f"0x{block:064x}",
                }
                for block in range(first, last + 1)
            ]  # fmt: skip
        return answers[first, last]

    def answer(call: dict[str, Any]) -> dict[str, Any]:
        asked = call["params"][0] if call["params"] else {}
        result: Any = "0x8a"
        if call["method"] == "eth_getLogs":
            result = logs(int(asked["fromBlock"], 16), int(asked["toBlock"], 16))
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


def _measure() -> Measured:
    from web3 import Web3

    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        client = ChainClient("main", 138, [url], transport=HttpTransport(60))
        assert sum(1 for _ in read(client, TRANSFER, [ADDRESS], 1, EVENTS)) == EVENTS  # the server has made them now
        begun = time.perf_counter()
        assert sum(1 for _ in read(client, TRANSFER, [ADDRESS], 1, EVENTS)) == EVENTS
        ours = time.perf_counter() - begun
        web3 = Web3(Web3.HTTPProvider(url))
        contract = web3.eth.contract(address=Web3.to_checksum_address(ADDRESS), abi=artifact("WToken").abi)
        begun = time.perf_counter()
        # One range of twenty: all of them take a minute.
        assert len(contract.events.Transfer.get_logs(from_block=1, to_block=SPAN)) == SPAN
        theirs = (time.perf_counter() - begun) * EVENTS / SPAN
    finally:
        server.kill()
    return Measured(ours, theirs, "s")


BENCHMARKS = [
    Benchmark("events", "100,000 events are read and decoded 10x faster than by web3's get_logs", 0.1, _measure)
]
