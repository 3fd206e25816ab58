"""What a weekly run costs: HTTP requests, whatever the number of tokens, and the CPU time of the whole demo."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import time
from pathlib import Path

from attest import config, devnet, pipeline
from attest.chain.rpc import ChainClient
from attest.environment import build
from benchmarks.harness import Benchmark, Measured, attest
from tests.support.chains import Line
from tests.support.many import due_week
from tests.support.practice import Narration


def _requests(tokens: int) -> int:
    with tempfile.TemporaryDirectory() as name, due_week(Path(name, "week"), tokens=tokens, reporters=1) as folder:
        environment = build(config.load(folder / "attest.toml"), Narration())
        pipeline.run(environment, devnet.PERIOD)
        (sent,) = environment.client("main").requests_sent.values()
        return sent


def requests_of_a_run() -> Measured:
    return Measured(_requests(3), 1, "requests")


def requests_of_thirty_tokens() -> Measured:
    return Measured(_requests(30), _requests(3), "requests")


def cutoff_search() -> Measured:
    """Finding the last block before a cutoff among a million, head and chain id included."""
    line = Line(1_000_000)
    node = line.node()
    client = ChainClient("main", 138, ["http://node.example"], transport=node)
    wanted = 123_456
    if client.block_at(line.timestamp(wanted)).number != wanted:
        raise RuntimeError("another block was found")
    return Measured(sum(client.requests_sent.values()), 1, "requests")


def demo() -> Measured:
    """Chain, witness, run and verification together: all CPU time of all processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "demo")
        network = subprocess.Popen(attest("devnet", "--directory", str(folder)), stdout=subprocess.DEVNULL)
        while not (folder / "attest.toml").exists():
            time.sleep(0.1)
        run = attest("run", "--config", str(folder / "attest.toml"))
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bundle = str(folder / "public/attestations/2026-W47")
        verify = attest("verify", bundle, "--trust", str(folder / "trust.json"))
        subprocess.run(verify, check=True, stdout=subprocess.DEVNULL)
        network.terminate()
        network.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Measured(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1, "s CPU")


BENCHMARKS = [
    Benchmark("requests", "a run with 3 tokens and 1 reporter takes at most 16 HTTP requests", 16, requests_of_a_run),
    Benchmark("many-tokens", "30 tokens take no more requests than 3", 1, requests_of_thirty_tokens),
    Benchmark("cutoff", "the cutoff's block among 1,000,000 headers takes at most 4 requests", 4, cutoff_search),
    Benchmark("demo", "the whole demo takes at most 15 s of CPU", 15, demo),
]
