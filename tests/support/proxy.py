"""A JSON-RPC proxy in front of a real anvil that enforces Besu's rules for transactions, and misbehaves as it is told.

anvil takes a replacement at any higher price and refuses an equal one; Besu wants 10 % more, and where gas is free
takes an equal price. :class:`BesuRules` stands for that; :class:`Proxy` for the network and the node's moods.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from attest.signing.transaction import Transaction, transaction_hash
from tests.support.chains import Error
from tests.support.mempool import decoded

Call = dict[str, Any]

#: How many nonces ahead of an account's next one Besu takes (``--tx-pool-max-future-by-sender``).
MAX_FUTURE = 200
#: Faults of any request, of a request that reads, and of one that sends.
NETWORK = ("drop", "lost", "late", "delay", "twice", "shuffle", "truncate", "short", "status", "html")
READING = ("stale", "chain-id", "balance", "nonce")
#: What is said of a transaction that was not taken.
SAYING: Mapping[str, Mapping[str, Any]] = {
    "known": {"code": -32000, "message": "already known"},
    "imported": {"code": -32000, "message": "transaction already imported"},
    "nonce-low": {"code": -32001, "message": "Nonce too low"},
    "underpriced": {"code": -32000, "message": "replacement transaction underpriced"},
    "not-authorised": {"code": -32007, "message": "Sender account not authorized to send transactions"},
    "gas-price": {"code": -32009, "message": "Gas price below configured minimum gas price"},
}
_STATUSES = (429, 500, 502, 503)


class Fault(NamedTuple):
    """What befalls one request. ``number`` (32 random bits) settles the rest: how far, which ones, by how much."""

    kind: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind}({self.number})"


def no_faults(methods: Sequence[str]) -> Fault | None:
    return None


class BesuRules:
    """One anvil, and what Besu would say of the transactions that it is sent. For several proxies at once."""

    def __init__(self, url: str, *, min_gas_price: int = 0) -> None:
        self.url = url
        self.min_gas_price = min_gas_price
        #: Accounts that may send (None: all): Besu's account permissioning.
        self.allowed: set[str] | None = None
        #: Called after a request that brought something new.
        self.on_sent: Callable[[], None] = lambda: None
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._lock = threading.RLock()
        self._raws: dict[str, str] = {}
        #: The states before each block that was made here.
        self._before: list[str] = []

    def rpc(self, method: str, *params: Any) -> Any:
        """One call; raises :class:`Error`."""
        (answer,) = self._post([{"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}])
        if "error" in answer:
            raise Error(answer["error"]["code"], f"{method}: {answer['error']['message']}")
        return answer["result"]

    def mine(self, *timestamp: int) -> None:
        """A block of what waits."""
        with self._lock:
            self._before.append(self.rpc("evm_snapshot"))
            self.rpc("evm_mine", *timestamp)

    def reorganise(self, depth: int) -> None:
        """Put other, empty blocks in the place of the last ones, and forget their transactions. (``anvil_reorg`` loses
        the state of the whole chain once a node has gone back and forth some hundred times.)"""
        with self._lock:
            depth = min(depth, len(self._before))
            if depth:
                with self._holding_back():
                    self.rpc("evm_revert", self._before[-depth])
                    del self._before[-depth:]
                    for _ in range(depth):
                        self.mine()

    def go_back(self, snapshot: str) -> None:
        """To a state that ``evm_snapshot`` named, with nothing waiting."""
        with self._lock:
            self.rpc("evm_revert", snapshot)
            self.rpc("anvil_dropAllTransactions")
            self._before.clear()

    def mine_nothing(self) -> None:
        """A block that leaves out all that waits."""
        with self._lock, self._holding_back():
            self.mine()

    @contextlib.contextmanager
    def _holding_back(self) -> Iterator[None]:
        """What waits is out of the node's sight meanwhile."""
        waiting = self._pool()
        self.rpc("anvil_dropAllTransactions")
        yield
        for place in sorted(waiting):
            with contextlib.suppress(Error):
                self.rpc("eth_sendRawTransaction", self._raws[waiting[place]])

    def batch(self, calls: Sequence[Call]) -> list[Call]:
        """The answers to a whole request, in its order."""
        with self._lock:
            if not any(call["method"] == "eth_sendRawTransaction" for call in calls):
                return self._post(calls)
            answers, fresh = [], False
            pool = self._pool()
            for call in calls:
                if call["method"] != "eth_sendRawTransaction":
                    answers += self._post([call])
                    continue
                frame = {"jsonrpc": "2.0", "id": call["id"]}
                try:
                    answers.append({**frame, "result": self._take(call["params"][0], pool)})
                    fresh = True
                except Error as refusal:
                    answers.append({**frame, "error": refusal.plain})
            if fresh:
                self.on_sent()
            return answers

    def _post(self, calls: Sequence[Call]) -> list[Call]:
        with self._lock:
            self._connection.request("POST", "/", json.dumps(calls), {"Content-Type": "application/json"})
            return list(json.loads(self._connection.getresponse().read()))

    def _take(self, raw: str, pool: dict[tuple[str, int], str]) -> str:
        """Besu's checks, in its order, then the node's own. ``pool``: what waits, by sender and nonce."""
        transaction, sender = decoded(bytes.fromhex(raw[2:]))
        digest = f"0x{transaction_hash(bytes.fromhex(raw[2:]))}"
        place = sender.lower(), transaction.nonce
        used = int(self.rpc("eth_getTransactionCount", sender, "latest"), 16)
        if self.allowed is not None and sender not in self.allowed:
            raise Error(**SAYING["not-authorised"])
        if transaction.max_fee_per_gas < self.min_gas_price:
            raise Error(**SAYING["gas-price"])
        if transaction.nonce < used:
            raise Error(**SAYING["nonce-low"])
        if transaction.nonce > used + MAX_FUTURE:
            raise Error(-32006, "Transaction nonce is too distant from current sender nonce")
        before = pool.get(place)
        if before == digest:
            raise Error(-32000, "Known transaction")
        if before is not None:
            if not _replaces(transaction, decoded(bytes.fromhex(self._raws[before][2:]))[0]):
                raise Error(**SAYING["underpriced"])
            # anvil would refuse an equal price. It forgets later nonces with this one: they are given back below.
            self.rpc("anvil_dropTransaction", before)
        try:
            taken = str(self.rpc("eth_sendRawTransaction", raw))
        except Error as refusal:
            raise Error(-32004, f"Upfront cost exceeds account balance ({refusal})") from None
        if before is not None:
            for other in sorted(other for other in pool if other[0] == place[0] and other > place):
                with contextlib.suppress(Error):  # it kept this one
                    self.rpc("eth_sendRawTransaction", self._raws[pool[other]])
        self._raws[digest], pool[place] = raw, digest
        return taken

    def _pool(self) -> dict[tuple[str, int], str]:
        """The hashes of what waits in the node, by sender (in lower case) and nonce."""
        return {
            (sender.lower(), int(nonce)): transaction["hash"]
            for part in self.rpc("txpool_content").values()
            for sender, by_nonce in part.items()
            for nonce, transaction in by_nonce.items()
        }


def _replaces(new: Transaction, old: Transaction) -> bool:
    """Besu's price bump of 10 %, of the tip too. Of nothing that is nothing: equal prices do where gas is free."""
    return (
        10 * new.max_fee_per_gas >= 11 * old.max_fee_per_gas
        and 10 * new.max_priority_fee_per_gas >= 11 * old.max_priority_fee_per_gas
    )


class Proxy:
    """An endpoint of a node. ``draw`` is asked, by a request's methods, what befalls it; ``log`` keeps what did.

    A context manager. Kinds of faults: ``drop`` (the node never gets it), ``lost`` (it got it, the answer is lost),
    ``late`` (the connection breaks, and the node gets it some requests later), ``delay``, ``twice``, ``shuffle`` (the
    batch's order), ``truncate`` and ``short`` (fewer bytes than announced, or than JSON needs), ``status``, ``html``;
    of reads: ``stale`` (as of some blocks ago), ``chain-id``, ``balance``, ``nonce`` (a lie); of sends:
    :data:`SAYING`, of some transactions of the request, which the node then never gets.
    """

    def __init__(self, node: BesuRules, draw: Callable[[Sequence[str]], Fault | None] = no_faults) -> None:
        self.node = node
        self.draw = draw
        self.log: list[str] = []
        self._late: list[tuple[int, list[Call]]] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with proxy._lock:
                    proxy._serve(self, json.loads(body))

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def start_over(self, draw: Callable[[Sequence[str]], Fault | None]) -> None:
        """Another schedule; what was still under way is gone."""
        with self._lock:
            self.draw, self.log, self._late = draw, [], []

    def deliver_late(self) -> None:
        """What broke off reaches the node now."""
        with self._lock:
            late, self._late = self._late, []
            for _, calls in late:
                self.node.batch(calls)

    # -- one request

    def _serve(self, http_request: BaseHTTPRequestHandler, calls: list[Call]) -> None:
        due = [late for wait, late in self._late if wait <= 0]
        self._late = [(wait - 1, late) for wait, late in self._late if wait > 0]
        for late in due:
            self.node.batch(late)
        methods = [call["method"] for call in calls]
        fault = self.draw(methods)
        if fault is None:
            _answer(http_request, self.node.batch(calls))
            return
        self.log.append(f"{fault} befell {len(calls)} calls ({methods[0]} … {methods[-1]})")
        dice = random.Random(fault.number)
        if fault.kind in SAYING:
            _answer(http_request, self._saying(fault, calls))
        elif fault.kind == "drop":
            _hang_up(http_request)
        elif fault.kind == "lost":
            self.node.batch(calls)
            _hang_up(http_request)
        elif fault.kind == "late":
            self._late.append((dice.randrange(6), calls))
            _hang_up(http_request)
        elif fault.kind == "delay":
            time.sleep(fault.number % 20 / 1000)
            _answer(http_request, self.node.batch(calls))
        elif fault.kind == "twice":
            self.node.batch(calls)
            _answer(http_request, self.node.batch(calls))
        elif fault.kind == "shuffle":
            _answer(http_request, self.node.batch(dice.sample(calls, len(calls))))
        elif fault.kind == "status":
            _answer(http_request, {"error": "try later"}, _STATUSES[fault.number % len(_STATUSES)])
        elif fault.kind == "html":
            _send(http_request, 200, b"<html><body>Bad gateway</body></html>", "text/html")
        elif fault.kind in ("truncate", "short"):
            body = json.dumps(self.node.batch(calls)).encode()
            cut = body[: dice.randrange(len(body))]
            _send(http_request, 200, cut, announced=len(body) if fault.kind == "short" else len(cut))
        elif fault.kind == "stale":
            _answer(http_request, self._stale(calls, 1 + fault.number % 5))
        else:
            _answer(http_request, _lie(fault, calls, self.node.batch(calls)))

    def _saying(self, fault: Fault, calls: Sequence[Call]) -> list[Call]:
        """Some of the transactions are refused, or said to be known, and never reach the node."""
        answers = []
        for index, call in enumerate(calls):
            if call["method"] == "eth_sendRawTransaction" and (fault.number | 1) >> index % 32 & 1:
                answers.append({"jsonrpc": "2.0", "id": call["id"], "error": dict(SAYING[fault.kind])})
            else:
                answers += self.node.batch([call])
        return answers

    def _stale(self, calls: Sequence[Call], depth: int) -> list[Call]:
        """The answers of a node that is so many blocks behind."""
        head = max(0, int(self.node.rpc("eth_blockNumber"), 16) - depth)
        text = json.dumps(calls).replace('"latest"', f'"{hex(head)}"')
        answers = self.node.batch(json.loads(text))
        for answer in answers:
            result = answer.get("result")
            if isinstance(result, dict) and int(result.get("blockNumber") or "0x0", 16) > head:
                answer["result"] = None
        return answers


def _lie(fault: Fault, calls: Sequence[Call], answers: list[Call]) -> list[Call]:
    method = {"chain-id": "eth_chainId", "balance": "eth_getBalance", "nonce": "eth_getTransactionCount"}[fault.kind]
    for call, answer in zip(calls, answers, strict=True):
        if call["method"] == method and "result" in answer:
            truth = int(answer["result"], 16)
            off = {"chain-id": 1, "balance": (fault.number - 2**31) * 10**9, "nonce": fault.number % 8 - 3}[fault.kind]
            answer["result"] = hex(max(0, truth + off))
    return answers


def _answer(http_request: BaseHTTPRequestHandler, plain: Any, status: int = 200) -> None:
    _send(http_request, status, json.dumps(plain).encode())


def _send(
    http_request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    kind: str = "application/json",
    announced: int | None = None,
) -> None:
    http_request.send_response(status)
    http_request.send_header("Content-Type", kind)
    http_request.send_header("Content-Length", str(len(body) if announced is None else announced))
    http_request.end_headers()
    http_request.wfile.write(body)
    if announced not in (None, len(body)):
        http_request.close_connection = True


def _hang_up(http_request: BaseHTTPRequestHandler) -> None:
    http_request.close_connection = True
