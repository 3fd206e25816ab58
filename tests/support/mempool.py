"""A simulated node with a mempool, nonce rules and a small oracle, and a world of time and faults around it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from attest.posting import Reply
from attest.signing.keystore import KeystoreSigner
from attest.signing.transaction import DigestTransactionSigner, Transaction, decode, transaction_hash
from attest.store import Store
from tests.support.chains import Error, fields

GENESIS = 1_794_830_400
ORACLE = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
MAX_AGE = 3600
TAKEN_GAS = 60_000


class Crash(BaseException):
    """The process is gone."""


_DECODED: dict[bytes, tuple[Transaction, str]] = {}


def decoded(raw: bytes) -> tuple[Transaction, str]:
    """Recovering a sender is slow, and a node sees the same bytes again and again."""
    if raw not in _DECODED:
        _DECODED[raw] = decode(raw)
    return _DECODED[raw]


class QuickSigner:
    """A key whose signatures, which are deterministic, are computed once, and need not be recovered from."""

    def __init__(self, secret: bytes) -> None:
        self._inner = DigestTransactionSigner(KeystoreSigner(secret))
        self.address = self._inner.address
        self._signed = cache(self._inner.sign_transaction)

    def sign_transaction(self, transaction: Transaction) -> bytes:
        raw = self._signed(transaction)
        _DECODED[raw] = transaction, self.address
        return raw


@cache
def _header(number: int, timestamp: int, parent: str, base_fee: int, fork: int) -> dict[str, Any]:
    return fields(number, timestamp, parent, baseFeePerGas=hex(base_fee), mixHash=f"0x{fork:064x}")


def report(token: int, reserve: int, timestamp: int) -> bytes:
    """Calldata of a report, as the simulated oracle reads it."""
    return keccak(b"submitReserveReport(address,uint256,uint256)")[:4] + encode(
        ["uint256"] * 3, [token, reserve, timestamp]
    )


def custom_error(signature: str, *values: int) -> bytes:
    return keccak(signature.encode())[:4] + encode(["uint256"] * len(values), values)


@dataclass(frozen=True)
class Landed:
    """A mined transaction."""

    hash: str
    sender: str
    transaction: Transaction
    succeeded: bool


@dataclass
class Mined:
    """A block, and the oracle's timestamps by (sender, token) after it."""

    header: dict[str, Any]
    transactions: list[Landed]
    reports: dict[tuple[str, int], int]
    nonces: dict[str, int]


class Ledger:
    """One chain that all simulated endpoints share. ``every`` seconds it makes a block, or when :meth:`mine` is called;
    with ``automine`` each accepted transaction makes one. Rules and codes are Besu's."""

    def __init__(
        self, *, base_fee: int = 7, gas_price: int = 10, every: float | None = 2, automine: bool = False
    ) -> None:
        self.chain_id = 138
        self.base_fee = base_fee
        self.gas_price = gas_price
        self.every = every
        self.automine = automine
        self.finalized = 0
        self.reporters: set[str] | None = None  # None: everybody
        self.balances: dict[str, int] = {}
        self.refusal: Error | None = None
        self.gas_used = 59_000
        self.swallow = 0  # so many transactions are accepted and forgotten
        self.fork = 0
        self.mempool: dict[tuple[str, int], bytes] = {}
        self.blocks: list[Mined] = []
        self._elapsed = 0.0
        self._append([], {}, {}, GENESIS)

    # -- the chain

    @property
    def head(self) -> Mined:
        return self.blocks[-1]

    @property
    def now(self) -> int:
        return int(self.head.header["timestamp"], 16)

    def _append(
        self, landed: list[Landed], reports: dict[tuple[str, int], int], nonces: dict[str, int], timestamp: int
    ) -> None:
        parent = self.head.header["hash"][2:] if self.blocks else "00" * 32
        header = _header(len(self.blocks), timestamp, parent, self.base_fee, self.fork)
        self.blocks.append(Mined(header, landed, reports, nonces))

    def mine(self, seconds: int = 2) -> None:
        """Make a block of all that can be mined, ``seconds`` after the one before."""
        timestamp = self.now + seconds
        reports, nonces = dict(self.head.reports), dict(self.head.nonces)
        landed = []
        for sender, nonce in sorted(self.mempool):
            transaction, _ = decoded(self.mempool[sender, nonce])
            if nonce != nonces.get(sender, 0) or transaction.max_fee_per_gas < self.base_fee:
                continue
            raw = self.mempool.pop((sender, nonce))
            succeeded = self.execute(sender, transaction.to, transaction.data, timestamp, reports) is None
            landed.append(Landed(transaction_hash(raw), sender, transaction, succeeded))
            nonces[sender] = nonce + 1
        self._append(landed, reports, nonces, timestamp)

    def pass_time(self, seconds: float) -> None:
        self._elapsed += seconds
        while self.every is not None and self._elapsed >= self.every:
            self._elapsed -= self.every
            self.mine(int(self.every))

    def reorganise(self, depth: int) -> None:
        """Drop the last blocks, and their transactions with them."""
        self.fork += 1
        for _ in range(depth):
            self.blocks.pop()

    def execute(
        self, sender: str, to: str, data: bytes, timestamp: int, reports: dict[tuple[str, int], int]
    ) -> bytes | None:
        """The oracle; returns what it reverts with."""
        if to != ORACLE:
            return None
        token, _, stated = (int.from_bytes(data[4 + 32 * n : 36 + 32 * n], "big") for n in range(3))
        if self.reporters is not None and sender not in self.reporters:
            return custom_error("AccessControlUnauthorizedAccount(address,bytes32)", int(sender, 16), 1)
        if stated > timestamp:
            return custom_error("ReportFromFuture(uint256,uint256)", stated, timestamp)
        if timestamp - stated > MAX_AGE:
            return custom_error("ReportStale(uint256,uint256)", stated, timestamp - MAX_AGE)
        if stated <= reports.get((sender, token), 0):
            return custom_error("TimestampNotIncreasing(uint256,uint256)", stated, reports[sender, token])
        reports[sender, token] = stated
        return None

    def accept(self, raw: bytes) -> str:
        """``eth_sendRawTransaction``."""
        transaction, sender = decoded(raw)
        waiting = self.mempool.get((sender, transaction.nonce))
        if self.refusal is not None:
            raise self.refusal
        if waiting == raw:
            raise Error(-32000, "Known transaction")
        if transaction.nonce < self.head.nonces.get(sender, 0):
            raise Error(-32001, "Nonce too low")
        if transaction.gas * transaction.max_fee_per_gas > self.balances.get(sender, 10**24):
            raise Error(-32004, "Upfront cost exceeds account balance")
        if waiting is not None:
            before, _ = decoded(waiting)
            if 10 * transaction.max_fee_per_gas < 11 * before.max_fee_per_gas:
                raise Error(-32000, "Replacement transaction underpriced")
        if self.swallow:
            self.swallow -= 1
            return "0x" + transaction_hash(raw)
        self.mempool[sender, transaction.nonce] = raw
        if self.automine:
            self.mine()
        return "0x" + transaction_hash(raw)

    def landed(self) -> list[Landed]:
        return [each for block in self.blocks for each in block.transactions]

    # -- the methods

    def block(self, parameter: Any) -> Mined | None:
        if parameter == "latest":
            return self.head
        if parameter == "finalized":
            return self.blocks[self.finalized]
        if isinstance(parameter, dict):
            found = [block for block in self.blocks if block.header["hash"] == parameter["blockHash"]]
            return found[0] if found else None
        number = int(parameter, 16)
        return self.blocks[number] if number < len(self.blocks) else None

    def state(self, parameter: Any) -> Mined:
        block = self.block(parameter)
        if block is None:
            raise Error(-32000, "header not found")
        return block

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "eth_getBlockByNumber":
            block = self.block(params[0])
            return block.header if block else None
        if method == "eth_gasPrice":
            return hex(self.gas_price)
        if method == "eth_getTransactionCount":
            return hex(self.state(params[1]).nonces.get(params[0], 0))
        if method == "eth_getBalance":
            self.state(params[1])
            return hex(self.balances.get(params[0], 10**24))
        if method == "eth_getCode":
            self.state(params[1])
            return "0x60" if params[0] == ORACLE else "0x"
        if method in ("eth_call", "eth_estimateGas"):
            block, call = self.state(params[1]), params[0]
            timestamp = int(block.header["timestamp"], 16)
            data = bytes.fromhex(call["data"][2:])
            reverted = self.execute(call["from"], call["to"], data, timestamp, dict(block.reports))
            if reverted is not None:
                raise Error(3, "execution reverted", "0x" + reverted.hex())
            return "0x" if method == "eth_call" else hex(TAKEN_GAS)
        if method == "eth_getTransactionReceipt":
            return self.receipt(params[0][2:])
        if method == "eth_sendRawTransaction":
            return self.accept(bytes.fromhex(params[0][2:]))
        raise Error(-32601, "Method not found")

    def receipt(self, digest: str) -> dict[str, Any] | None:
        for block in self.blocks:
            for landed in block.transactions:
                if landed.hash == digest:
                    return {
                        "transactionHash": f"0x{digest}",
                        "blockHash": block.header["hash"],
                        "blockNumber": block.header["number"],
                        "status": "0x1" if landed.succeeded else "0x0",
                        "gasUsed": hex(self.gas_used),
                    }
        return None


@dataclass
class Endpoint:
    """One endpoint of a ledger (a :class:`attest.chain.rpc.Transport`). ``before`` and ``after`` are called with a
    request's methods, around what the ledger does, and may raise."""

    ledger: Ledger
    requests: list[list[tuple[str, list[Any]]]] = field(default_factory=list)
    before: Callable[[list[str]], None] = lambda methods: None
    after: Callable[[list[str]], None] = lambda methods: None

    def post(self, url: str, body: bytes) -> Reply:
        calls = [(call["method"], call["params"]) for call in json.loads(body)]
        self.requests.append(calls)
        methods = [method for method, _ in calls]
        self.before(methods)
        answers = []
        for call in json.loads(body):
            frame = {"jsonrpc": "2.0", "id": call["id"]}
            try:
                answers.append({**frame, "result": self.ledger.answer(call["method"], call["params"])})
            except Error as error:
                answers.append({**frame, "error": error.plain})
        self.after(methods)
        return Reply(200, json.dumps(answers).encode())

    @property
    def sent(self) -> list[str]:
        """Raw transactions as they came, in order."""
        return [params[0] for calls in self.requests for method, params in calls if method == "eth_sendRawTransaction"]


@dataclass
class Endpoints:
    """Several endpoints, by URL."""

    by_url: dict[str, Endpoint]

    def post(self, url: str, body: bytes) -> Reply:
        return self.by_url[url].post(url, body)


@dataclass
class WatchedStore:
    """A store that calls a hook before and after every operation."""

    inner: Store
    hook: Callable[[str], None] = lambda operation: None

    @property
    def url(self) -> str:
        return self.inner.url

    def get(self, key: str) -> bytes | None:
        self.hook("get")
        return self.inner.get(key)

    def create(self, key: str, data: bytes) -> bool:
        self.hook("create")
        created = self.inner.create(key, data)
        self.hook("created")
        return created

    def replace(self, key: str, data: bytes) -> None:
        raise AssertionError("the journal never replaces")

    def list(self, prefix: str) -> list[str]:
        self.hook("list")
        return self.inner.list(prefix)
