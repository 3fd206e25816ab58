"""What the chain costs beside what its node costs: many reads in few requests, and sending exactly once."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attest.chain import devnet
from attest.chain.artifact import artifact
from attest.chain.contracts import reserve_oracle, token
from attest.chain.devnet import Anvil, Deployment, TokenPlan, dev_key
from attest.chain.rpc import MAX_BATCH, ChainClient, Request
from attest.chain.submission import Intent, Submitter
from attest.config import Chain, Contract, Fees
from attest.posting import HttpTransport
from attest.signing.keystore import KeystoreSigner
from attest.signing.transaction import DigestTransactionSigner, Transaction
from attest.store import LocalStore
from benchmarks.harness import Benchmark, Measured

GENESIS = 1_794_830_400
CALLS = 10_000
#: web3 is asked so much less often, because it takes minutes.
WEB3_CALLS = 500
_SIGNERS = {
    key.address: DigestTransactionSigner(key) for key in (KeystoreSigner(bytes([n]) * 32) for n in (0x41, 0x42, 0x43))
}
#: With three reporters, 30 transactions.
_TOKENS = [TokenPlan(f"T{number}W", f"Token {number}", 6, 10**9) for number in range(10)]


@contextmanager
def _chain() -> Iterator[tuple[Anvil, Deployment, ChainClient]]:
    """A local node that mines each transaction at once, with the contracts."""
    with Anvil(timestamp=GENESIS) as node:
        deployment = devnet.deploy(node.url, dev_key(0), _TOKENS, reporters=list(_SIGNERS), publishers=[])
        yield node, deployment, _client(node)


def _client(node: Anvil) -> ChainClient:
    return ChainClient("main", node.chain_id, [node.url], transport=HttpTransport(60))


class _Bare:
    """JSON-RPC with nothing around it: one connection, and answers that nobody checks."""

    def __init__(self, node: Anvil) -> None:
        self._connection = http.client.HTTPConnection(node.host, node.port)

    def post(self, message: Any) -> Any:
        self._connection.request("POST", "/", json.dumps(message), {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(requests)
        ]
        return [answer["result"] for answer in self.post(calls)]

    def call(self, method: str, *params: Any) -> Any:
        return self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})["result"]


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _compared(
    ours: Callable[[], object],
    other: Callable[[], object],
    *,
    rounds: int,
    scale: float = 1,
    before: Callable[[], object] = lambda: None,
) -> Measured:
    """The least time of each, taken in turns: noise only adds. ``scale`` is for another that does only a part;
    ``before`` is what each waits for, untimed."""
    pairs = []
    for _ in range(rounds):
        before()
        first = _seconds(ours)
        before()
        pairs.append((first, _seconds(other)))
    return Measured(min(one for one, _ in pairs), min(two for _, two in pairs) * scale, "s")


# -- reading ---------------------------------------------------------------------------------------------------------


def reads_and_web3() -> Measured:
    from web3 import HTTPProvider, Web3

    with _chain() as (node, deployment, client):
        head, address = client.head(), deployment.tokens["T0W"]
        request = token(address, "T0W").total_supply().request(head)
        contract: Any = Web3(HTTPProvider(node.url)).eth.contract(
            address=Web3.to_checksum_address(address), abi=artifact("WToken").abi
        )

        def web3() -> None:
            for _ in range(WEB3_CALLS):
                contract.functions.totalSupply().call(block_identifier=f"0x{head.hash}")

        scale = CALLS / WEB3_CALLS / 20
        return _compared(lambda: client.batch([request] * CALLS), web3, rounds=2, scale=scale)


def reads_and_bare() -> Measured:
    with _chain() as (node, deployment, client):
        requests = [token(deployment.tokens["T0W"], "T0W").total_supply().request(client.head())] * CALLS
        bare = _Bare(node)

        def loop() -> None:
            for start in range(0, CALLS, MAX_BATCH):
                bare.batch(requests[start : start + MAX_BATCH])

        return _compared(lambda: client.batch(requests), loop, rounds=10)


# -- sending ---------------------------------------------------------------------------------------------------------


def submission() -> Measured:
    """30 reports, checked, signed, journaled, sent and confirmed; and the same ones signed and sent one by one, their
    receipts then waited for. Blocks come every second, as on the chains that this is for; each time is from just after
    a block. (With a node that mines at once it is 2.5 times, for the exactly-once bookkeeping.)
    """
    with _chain() as (node, deployment, _):
        oracle = reserve_oracle(Contract(chain="main", address=deployment.oracle), Path())
        chain = Chain(chain_id=node.chain_id, endpoints=(node.url,), fees=Fees(kind="eip1559"))
        bare = _Bare(node)

        def report(address: str) -> Callable[[int], bytes]:
            return lambda timestamp: oracle.submit_report(address, 10**9, timestamp)

        intents = [
            Intent(
                id=f"report/{symbol}/{sender}",
                sender=sender,
                to=oracle.address,
                description=f"report {symbol} by {sender}",
                build=report(address),
                valid_seconds=3600,
                explain=oracle.explain,
            )
            for symbol, address in deployment.tokens.items()
            for sender in _SIGNERS
        ]

        def next_block() -> None:
            head = bare.call("eth_blockNumber")
            while bare.call("eth_blockNumber") == head:
                time.sleep(0.005)

        bare.call("evm_setAutomine", False)
        bare.call("evm_setIntervalMining", 1)

        def ours() -> None:
            with tempfile.TemporaryDirectory() as name:
                submitter = Submitter(_client(node), chain, LocalStore(Path(name)), _SIGNERS.__getitem__)
                submitter.submit(intents)
                submitter.confirm(intents)

        def raw() -> None:
            now = int(bare.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            nonces = {sender: int(bare.call("eth_getTransactionCount", sender, "latest"), 16) for sender in _SIGNERS}
            sent: list[str] = []
            for intent in intents:
                transaction = Transaction(
                    kind="eip1559",
                    chain_id=node.chain_id,
                    nonce=nonces[intent.sender],
                    to=intent.to,
                    value=0,
                    data=intent.build(now),
                    gas=300_000,
                    max_fee_per_gas=10**11,
                    max_priority_fee_per_gas=10**9,
                )
                nonces[intent.sender] += 1
                signed = _SIGNERS[intent.sender].sign_transaction(transaction)
                sent.append(bare.call("eth_sendRawTransaction", f"0x{signed.hex()}"))
            for one in sent:
                while (receipt := bare.call("eth_getTransactionReceipt", one)) is None:
                    time.sleep(0.005)
                if receipt["status"] != "0x1":
                    raise RuntimeError("a report reverted")

        return _compared(ours, raw, rounds=5, before=next_block)


BENCHMARKS = [
    Benchmark("reads-web3", "10,000 eth_calls take at most a 20th of web3's time", 1, reads_and_web3),
    Benchmark("reads", "10,000 eth_calls: at most 1.25 times of http.client, same batches", 1.25, reads_and_bare),
    Benchmark(
        "submission", "30 reports, one-second blocks: at most 1.5 times of signing, sending, receipts", 1.5, submission
    ),
]
