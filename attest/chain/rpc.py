"""JSON-RPC 2.0 over several endpoints: batches, agreement, pinned reads, and sending without guessing.

Rules that every read keeps:

* Many calls travel in one HTTP request. Answers are matched by id; a missing, doubled or foreign id makes the whole
  answer of that endpoint void, as does anything that is not plain JSON.
* Every endpoint's chain id is checked before its first answer is used (in the same request). Another than configured
  is refused; a ``lenient`` client (the watch, which sends nothing) takes that endpoint for one that is down.
* With several endpoints each call's answer must be equal on ``read_quorum`` of them. Two different answers that both
  reach the quorum are a disagreement too. An endpoint that is down, or that does not have the block, abstains.
* State is read at a block *hash* (EIP-1898), so a reorganisation cannot mix two states in one reading.
* Reads are retried (4 attempts) on connect errors, timeouts, 429 and 502 to 504. While the others carry the quorum, a
  lenient client waits for a silent endpoint once, and asks one that failed again only after
  :meth:`ChainClient.forget_identities`. Sending is never retried: the outcome of every transaction on every endpoint
  is reported as it is, and "unknown" is one of the outcomes.

Endpoint URLs may carry credentials, so they are shown as ``scheme://host:port`` only.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from attest.chain import header as headers
from attest.chain.values import malformed, quantity
from attest.errors import ChainError, OperatorError, printable
from attest.model import Block
from attest.posting import TOO_SLOW, HttpTransport, Reply, TransportFault
from attest.records import Hex32, dump_plain, format_instant, load_plain

if TYPE_CHECKING:
    from attest.config import Chain

_log = logging.getLogger(__name__)

#: Calls in one HTTP request; Besu's default limit is 1024.
MAX_BATCH = 1000
#: Nodes that take fewer (Erigon: 100) are asked for fewer, down to this.
SMALLEST_BATCH = 10
#: Headers asked for in one step of the search for the block at a time.
SEARCH_WIDTH = 200
ATTEMPTS = 4
_PAUSES = (0.25, 0.5, 1.0)
_RETRIED_STATUS = frozenset({429, 502, 503, 504})
#: How a server refuses a batch as a whole, unless by one error for all of it.
_REFUSED_STATUS = frozenset({400, 413})

#: A method and its parameters.
Request: TypeAlias = tuple[str, list[Any]]
#: Told of each HTTP request: the endpoint's label, whether an answer came, and seconds.
Observer: TypeAlias = Callable[[str, bool, float], None]


class Transport(Protocol):
    """How bytes reach an endpoint."""

    def post(self, url: str, body: bytes) -> Reply:
        """Post a JSON body, whole or not at all; raises :class:`TransportFault`."""
        ...


# -- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RpcError:
    """A JSON-RPC error object in the place of a value. ``data`` holds a revert's return data where a node gives it."""

    code: int
    message: str
    data: Any = None

    @property
    def reverted(self) -> bool:
        """True if the contract itself refused (EIP-1474 code 3, or the text that Besu and others use)."""
        return self.code == 3 or "revert" in self.message.lower() or self.revert_data != b""

    @property
    def revert_data(self) -> bytes:
        """The bytes that the contract reverted with; empty where the node gives none."""
        found = self.data.get("data") if isinstance(self.data, dict) else self.data
        if isinstance(found, str) and re.fullmatch(r"0x(?:[0-9a-fA-F]{2})+", found):
            return bytes.fromhex(found[2:])
        return b""

    @property
    def unexplained(self) -> bool:
        """True for a revert without a reason: no data, and where the node leaves data out, none in its message."""
        found = self.data.get("data") if isinstance(self.data, dict) else self.data
        said = found is None and re.search(r"revert\w*:\s*\S", self.message, re.IGNORECASE)
        return self.reverted and not self.revert_data and not said

    def __str__(self) -> str:
        return f"{self.message} (code {self.code})"


@dataclass(frozen=True)
class EndpointAnswers:
    """What one endpoint said: a result (value, ``None`` or :class:`RpcError`) per request, or why there is none."""

    endpoint: str
    results: tuple[Any, ...] | None
    failure: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one endpoint made of one raw transaction.

    ``accepted``: it answered with the transaction's hash. ``rejected``: a JSON-RPC error (``code``, ``detail``), which
    may still mean "already known". ``unknown``: no usable answer (``detail``); the transaction may have been taken.
    """

    endpoint: str
    kind: Literal["accepted", "rejected", "unknown"]
    hash: Hex32
    code: int | None = None
    detail: str = ""


# -- requests pinned to a block (EIP-1898) ---------------------------------------------------------------------------


def at(block: Block) -> dict[str, str]:
    """The EIP-1898 block parameter: by hash."""
    return {"blockHash": f"0x{block.hash}"}


def call_request(to: str, calldata: bytes, block: Block) -> Request:
    """``eth_call`` at a pinned block."""
    return "eth_call", [{"to": to, "data": f"0x{calldata.hex()}"}, at(block)]


def code_request(address: str, block: Block) -> Request:
    """``eth_getCode`` at a pinned block."""
    return "eth_getCode", [address, at(block)]


def balance_request(address: str, block: Block) -> Request:
    """``eth_getBalance`` (wei) at a pinned block."""
    return "eth_getBalance", [address, at(block)]


def nonce_request(address: str, block: Block) -> Request:
    """``eth_getTransactionCount`` at a pinned block."""
    return "eth_getTransactionCount", [address, at(block)]


def proof_request(address: str, slots: Sequence[str], block: Block) -> Request:
    """``eth_getProof`` (EIP-1186) at a pinned block; ``slots`` are 32-byte keys in hex without prefix."""
    return "eth_getProof", [address, [f"0x{slot}" for slot in slots], at(block)]


def header_request(block: Block) -> Request:
    """``eth_getBlockByHash`` without transactions' bodies."""
    return "eth_getBlockByHash", [f"0x{block.hash}", False]


def _numbered(number: int) -> Request:
    return "eth_getBlockByNumber", [hex(number), False]


# -- the client ------------------------------------------------------------------------------------------------------


class _Endpoint:
    """One URL, how it is shown, and what is known of it."""

    def __init__(self, url: str, label: str) -> None:
        self.url = url
        self.label = label
        self.identified = False
        self.failure = ""
        #: It failed since :meth:`ChainClient.forget_identities`.
        self.lost = False
        self.requests_sent = 0
        self.batch = MAX_BATCH
        parts = urlsplit(url)
        pieces = [parts.username, parts.password, *parts.path.split("/"), *re.split("[&=]", parts.query)]
        self._private = sorted({piece for piece in pieces if piece and len(piece) >= 6}, key=len, reverse=True)

    def scrub(self, text: str) -> str:
        """Without the parts of the URL that may be credentials: servers echo them."""
        for piece in self._private:
            text = text.replace(piece, "***")
        return text


def _label(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


class _VoidError(Exception):
    """An endpoint gave no usable answer to a whole request."""


class _RefusedError(_VoidError):
    """It refused a batch as a whole, and may take a smaller one."""


class ChainClient:
    """Reads one chain through all its configured endpoints, and hands transactions to them.

    ``name`` is the chain's name in the configuration. Not safe for use from several threads at once.
    """

    def __init__(
        self,
        name: str,
        chain_id: int,
        endpoints: Sequence[str],
        *,
        transport: Transport,
        read_quorum: int = 1,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observer | None = None,
        lenient: bool = False,
    ) -> None:
        """``observe`` is told of every HTTP request; a ``lenient`` client never raises ``wrong-chain-id``, and
        passes over endpoints that failed.

        Raises :class:`OperatorError` for a URL that is none, or one given twice (it would agree with itself)."""
        self.name = name
        self.chain_id = chain_id
        self.read_quorum = read_quorum
        self._transport = transport
        self._sleep = sleep
        self._observe = observe
        self._lenient = lenient
        self._ids = itertools.count(1)
        self._endpoints: list[_Endpoint] = []
        for url in endpoints:
            try:
                label = _label(url)
            except ValueError:
                label = "://"
            if not re.match(r"https?://[^\s:]", label) or "None" in label:
                raise _endpoint_refused(name, "an endpoint is not an http or https URL")
            if any(url == other.url for other in self._endpoints):
                raise _endpoint_refused(name, f"the endpoint {label} is configured twice")
            twins = sum(other.label.split(" ")[0] == label for other in self._endpoints)
            self._endpoints.append(_Endpoint(url, f"{label} ({twins + 1})" if twins else label))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints as they may be shown: ``scheme://host:port``, numbered where two would look the same."""
        return tuple(endpoint.label for endpoint in self._endpoints)

    @property
    def requests_sent(self) -> Mapping[str, int]:
        """HTTP requests sent to each endpoint so far, attempts included."""
        return {endpoint.label: endpoint.requests_sent for endpoint in self._endpoints}

    @property
    def failures(self) -> Mapping[str, str]:
        """The endpoints whose last request failed, and why."""
        return {endpoint.label: endpoint.failure for endpoint in self._endpoints if endpoint.failure}

    # -- asking -------------------------------------------------------------------------------------------------------

    def identify(self) -> None:
        """Check the chain id of every endpoint that has not been checked yet.

        Raises :class:`ChainError`: ``wrong-chain-id`` naming the endpoint, ``endpoints-down`` when fewer than
        ``read_quorum`` answer. Every first batch does this by itself; there is no need to call it before one.
        """
        self._alive(self.each([]))

    def forget_identities(self) -> None:
        """Have every endpoint asked again, and its chain id checked anew: behind a URL there can be another node."""
        for endpoint in self._endpoints:
            endpoint.identified = endpoint.lost = False

    def each(self, requests: Sequence[Request]) -> list[EndpointAnswers]:
        """Every endpoint's own answers, concurrently and without comparing them: for what may differ (heads, gas
        prices, receipts). Raises :class:`ChainError` (``wrong-chain-id``)."""
        passed_over = self._passed_over()  # before any of them is asked, and fails
        return self._spread(
            lambda endpoint: (
                EndpointAnswers(endpoint.label, None, endpoint.failure)
                if endpoint in passed_over
                else self._ask(endpoint, requests)
            )
        )

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """One result per request, agreed by ``read_quorum`` endpoints: a JSON value, ``None``, or an
        :class:`RpcError` (one revert does not lose the batch).

        Answers with floats (``eth_feeHistory``) are refused. Raises :class:`ChainError`: ``wrong-chain-id``,
        ``endpoints-down``, ``endpoints-disagree`` naming the odd endpoint.
        """
        if not requests:
            return []
        answers = self._alive(self.each(requests))
        if len(answers) == 1 and answers[0].results is not None:
            return list(
                answers[0].results
            )  # enough of them are alive, so the quorum is one, and has nobody to agree with
        return [self._agree(request, index, answers) for index, request in enumerate(requests)]

    def outcomes(self, requests: Sequence[Request]) -> tuple[list[Any], int]:
        """As :meth:`batch`, but what the endpoints do not agree on costs only its own result: the :class:`ChainError`
        stands in its place. And how many requests were answered differently, agreed by a quorum or not.

        Raises :class:`ChainError` (``wrong-chain-id``, ``endpoints-down``) where too few endpoints answer at all.
        """
        if not requests:
            return [], 0
        answers = self._alive(self.each(requests))
        results: list[Any] = []
        for index, request in enumerate(requests):
            try:
                results.append(self._agree(request, index, answers))
            except ChainError as fault:
                results.append(fault)
        return results, sum(_differ(request, index, answers) for index, request in enumerate(requests))

    def send_raw(self, raw_transactions: Sequence[bytes]) -> list[list[Outcome]]:
        """Broadcast signed transactions to every endpoint, concurrently, all in one request each, once.

        Returns, per transaction, the outcome on each endpoint (in their configured order). Raises
        :class:`ChainError` (``wrong-chain-id``) before anything is sent.
        """
        from eth_hash.auto import keccak

        if not raw_transactions:
            return []
        if not all(endpoint.identified for endpoint in self._endpoints):
            self.each([])
        hashes = [keccak(raw).hex() for raw in raw_transactions]
        requests: list[Request] = [("eth_sendRawTransaction", [f"0x{raw.hex()}"]) for raw in raw_transactions]
        answers = self._spread(lambda endpoint: self._ask(endpoint, requests, attempts=1, again=False))
        return [[_outcome(answer, index, expected) for answer in answers] for index, expected in enumerate(hashes)]

    def _passed_over(self) -> list[_Endpoint]:
        lost = [endpoint for endpoint in self._endpoints if endpoint.lost]
        return lost if self._lenient and len(self._endpoints) - len(lost) >= self.read_quorum else []

    def _spread(self, ask: Callable[[_Endpoint], EndpointAnswers]) -> list[EndpointAnswers]:
        if len(self._endpoints) == 1:
            return [ask(self._endpoints[0])]
        with ThreadPoolExecutor(len(self._endpoints)) as pool:
            return list(pool.map(ask, self._endpoints))

    def _ask(
        self, endpoint: _Endpoint, requests: Sequence[Request], attempts: int = ATTEMPTS, *, again: bool = True
    ) -> EndpointAnswers:
        """``again``: a batch that is refused as a whole is asked for again in smaller ones."""
        calls: list[Request] = list(requests)
        identify = not endpoint.identified
        if identify:
            calls.insert(0, ("eth_chainId", []))
        spare = len(self._endpoints) > self.read_quorum
        if endpoint.failure and spare:
            attempts = 1  # it has had its chances; the others carry the quorum
        results: list[Any] = []
        done, size = 0, endpoint.batch
        try:
            while done < len(calls):
                part = calls[done : done + size]
                try:
                    results += self._exchange(endpoint, part, attempts, patient=not (self._lenient and spare))
                except _RefusedError:
                    if not again or len(part) <= SMALLEST_BATCH:
                        raise
                    size = max(SMALLEST_BATCH, len(part) // 2)
                    continue
                endpoint.batch = size
                if identify and done == 0:
                    self._check_chain_id(endpoint, results.pop(0))
                done += len(part)
        except _VoidError as fault:
            endpoint.failure, endpoint.lost = endpoint.scrub(str(fault)), True
            return EndpointAnswers(endpoint.label, None, endpoint.failure)
        endpoint.failure, endpoint.lost = "", False
        return EndpointAnswers(endpoint.label, tuple(results))

    def _exchange(self, endpoint: _Endpoint, calls: Sequence[Request], attempts: int, *, patient: bool) -> list[Any]:
        """``patient``: also one that let the time pass without an answer is asked again."""
        ids = list(itertools.islice(self._ids, len(calls)))
        body = dump_plain(
            [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                for number, (method, params) in zip(ids, calls, strict=True)
            ]
        )
        attempt = 0
        while True:
            attempt += 1
            endpoint.requests_sent += 1
            begun, reply = time.perf_counter(), None
            try:
                reply = self._transport.post(endpoint.url, body)
            except TransportFault as fault:
                again, detail = fault.again and (patient or not fault.detail.startswith(TOO_SLOW)), fault.detail
            answered = reply is not None and reply.status == 200
            if self._observe is not None:
                self._observe(endpoint.label, answered, time.perf_counter() - begun)
            if reply is not None:
                if answered:
                    return _results(reply.body, ids, endpoint)
                again, detail = reply.status in _RETRIED_STATUS, f"HTTP {reply.status}"
            if reply is not None and reply.status in _REFUSED_STATUS:
                raise _RefusedError(detail)
            if not again or attempt >= attempts:
                raise _VoidError(detail if attempt == 1 else f"{detail} (after {attempt} attempts)")
            self._sleep(_PAUSES[attempt - 1])

    def _check_chain_id(self, endpoint: _Endpoint, answer: Any) -> None:
        try:
            found = quantity(answer, "eth_chainId")
        except ChainError:
            raise _VoidError(f"eth_chainId answered {str(answer)[:80]!r}") from None
        if found != self.chain_id:
            detail = f"serves chain id {found}, not {self.chain_id}"
            if self._lenient:
                raise _VoidError(detail)
            raise ChainError(
                f"chain {self.name}: the endpoint {endpoint.label} {detail}",
                code="wrong-chain-id",
                reason="Balances read from, or reports sent to, another chain say nothing about this one.",
                advice=f"Correct chains.{self.name}.endpoints or chains.{self.name}.chain_id in attest.toml.",
            )
        endpoint.identified = True

    # -- agreeing -----------------------------------------------------------------------------------------------------

    def _alive(self, answers: Sequence[EndpointAnswers]) -> list[EndpointAnswers]:
        alive = [answer for answer in answers if answer.results is not None]
        if len(alive) < self.read_quorum:
            failures = "; ".join(f"{answer.endpoint}: {answer.failure}" for answer in answers if answer.results is None)
            raise ChainError(
                f"chain {self.name}: {len(alive)} of {len(answers)} endpoints answered, "
                f"{self.read_quorum} must ({failures})",
                code="endpoints-down",
                reason="What too few endpoints say is not evidence, and nothing is attested without it.",
                advice=f"Check chains.{self.name}.endpoints and the network with `attest doctor`, then run again.",
            )
        return alive

    def _agree(self, request: Request, index: int, answers: Sequence[EndpointAnswers]) -> Any:
        """The rule of the module's docstring, for one request. ``answers`` are of living endpoints."""
        method = request[0]
        groups: dict[Any, list[EndpointAnswers]] = {}
        abstained: list[EndpointAnswers] = []
        for answer in answers:
            assert answer.results is not None
            result = answer.results[index]
            if _abstains(result):
                abstained.append(answer)
            else:
                groups.setdefault(_comparable(method, result), []).append(answer)
        reached = [group for group in groups.values() if len(group) >= self.read_quorum]
        if len(reached) == 1:
            if len(groups) > 1:
                _log.warning("chain %s: %s: %s", self.name, method, printable(self._odd(groups, index)))
            return _of(reached[0][0], index)
        if len(groups) > 1:
            raise ChainError(
                f"chain {self.name}: the endpoints disagree on {method}: {self._odd(groups, index)}",
                code="endpoints-disagree",
                reason="At one pinned block there is one truth; one of these endpoints does not tell it.",
                advice="Compare with a node of your own; remove the wrong endpoint, or add one to tell them apart.",
            )
        if len(abstained) >= self.read_quorum:
            unknown = [answer for answer in abstained if _of(answer, index) is None]
            if len(unknown) >= self.read_quorum:
                return None
            return next(_of(answer, index) for answer in abstained if _of(answer, index) is not None)
        raise ChainError(
            f"chain {self.name}: {method} was answered by {len(answers) - len(abstained)} endpoints, "
            f"{self.read_quorum} must agree ("
            + "; ".join(f"{answer.endpoint}: {_shown(_of(answer, index))}" for answer in abstained)
            + ")",
            code="endpoints-down",
            reason="What too few endpoints say is not evidence, and nothing is attested without it.",
            advice="An endpoint lags behind or prunes old state; wait for it, or configure another.",
        )

    def _odd(self, groups: Mapping[Any, list[EndpointAnswers]], index: int) -> str:
        """Who says what, the smallest group first: that is the odd one."""
        said = sorted(groups.values(), key=len)
        shown = _told_apart([_of(group[0], index) for group in said])
        return "; ".join(
            f"{', '.join(answer.endpoint for answer in group)}: {text}" for group, text in zip(said, shown, strict=True)
        )

    # -- blocks -------------------------------------------------------------------------------------------------------

    def head(self) -> Block:
        """The newest block that ``read_quorum`` endpoints have reached. Raises :class:`ChainError`."""
        return self.finalized_head("instant")

    def finalized_head(self, finality: str) -> Block:
        """The newest final block by the chain's rule: ``instant`` (the head), ``tag`` (the node's ``finalized``) or
        ``depth:N`` (N blocks under the head; the genesis block on a shorter chain). Raises :class:`ChainError`."""
        return self.finalized_head_and(finality, [])[0]

    def finalized_head_and(self, finality: str, hints: Sequence[Request]) -> tuple[Block, list[Any]]:
        """As :meth:`finalized_head`, and in the same request the results of others, as the first endpoint gives them.

        Hints are not agreed on by the quorum: they may only decide what is asked next.
        """
        number, header, answers = self._final(finality, hints)
        block = (header or self._headers([number])[0]).block
        return block, [_of(answers[0], index) for index, _ in enumerate(hints, 1)]

    def block_at(self, timestamp: int, finality: str = "instant") -> Block:
        """The last block with ``block.timestamp <= timestamp`` (Unix seconds), once its successor is final.

        A k-ary search, :data:`SEARCH_WIDTH` headers in one request: at most 4 requests up to 8 million blocks.
        Raises :class:`ChainError`: ``cutoff-not-reached`` while the chain's final blocks have not passed
        ``timestamp``, ``chain-too-young`` if its first block is later, ``block-unavailable`` if the node does not give
        a header, ``malformed-answer`` if the headers do not form a chain.
        """
        genesis = _numbered(0)
        number, final, answers = self._final(finality, [genesis])
        line = [self._header(genesis, self._agree(genesis, 1, answers))]
        if final is not None:
            line.append(final)
        elif number > 0:
            line += self._headers([*_probes(0, number), number])
        while True:
            if any(a.block.timestamp > b.block.timestamp for a, b in itertools.pairwise(line)):
                raise malformed(f"chain {self.name}", "gave headers whose times run backwards")
            if line[-1].block.timestamp <= timestamp:
                raise self._not_reached(timestamp, line[-1].block)
            if line[0].block.timestamp > timestamp:
                raise self._too_young(timestamp, line[0].block)
            after = next(n for n, header in enumerate(line) if header.block.timestamp > timestamp)
            low, high = line[after - 1], line[after]
            if high.block.number == low.block.number + 1:
                break
            line = [low, *self._headers(_probes(low.block.number, high.block.number)), high]
        if high.parent_hash != low.block.hash:
            raise malformed(f"chain {self.name}", f"gave block {high.block.number} of another fork than its parent")
        return low.block

    def _not_reached(self, timestamp: int, newest: Block) -> ChainError:
        return ChainError(
            f"chain {self.name}: the chain's clock has not passed {_when(timestamp)} for good "
            f"(block {newest.number} is of {_when(newest.timestamp)})",
            code="cutoff-not-reached",
            reason="Until a later block is final, the last block at or before the cutoff can still change.",
            advice="Wait for the chain and run again; if its head is old, the chain or the endpoint has stopped.",
        )

    def _too_young(self, timestamp: int, first: Block) -> ChainError:
        return ChainError(
            f"chain {self.name}: its first block ({_when(first.timestamp)}) is later than {_when(timestamp)}",
            code="chain-too-young",
            reason="There was no supply on this chain at that time that could be read.",
            advice="Attest a period after the chain began, or remove the chain from this configuration.",
        )

    def _final(
        self, finality: str, others: Sequence[Request]
    ) -> tuple[int, headers.Header | None, list[EndpointAnswers]]:
        """The number of the newest final block that ``read_quorum`` endpoints have reached, its header where the same
        request gave it already, and all answers; those to other requests read along begin at index 1."""
        tag = "finalized" if finality == "tag" else "latest"
        request: Request = ("eth_getBlockByNumber", [tag, False])
        answers = self._alive(self.each([request, *others]))
        reached: list[int] = []
        refusal: Any = None
        for answer in answers:
            result = _of(answer, 0)
            if isinstance(result, dict):
                try:
                    reached.append(quantity(result.get("number"), f"{answer.endpoint}: the number of its {tag} block"))
                except ChainError as fault:  # one that answers nonsense abstains, or it would stop all the others
                    refusal = fault
            else:
                refusal = result
        if len(reached) < self.read_quorum:
            if isinstance(refusal, ChainError):
                raise refusal
            # Besu has no `finalized` block under QBFT.
            raise self._unavailable(f"its {tag} block", refusal)
        number = sorted(reached, reverse=True)[self.read_quorum - 1]
        depth = _depth(finality)
        if depth or set(reached) != {number}:
            return max(0, number - depth), None, answers
        return number, self._header(request, self._agree(request, 0, answers)), answers

    def _headers(self, numbers: Sequence[int]) -> list[headers.Header]:
        requests = [_numbered(number) for number in numbers]
        return [self._header(request, result) for request, result in zip(requests, self.batch(requests), strict=True)]

    def _header(self, request: Request, result: Any) -> headers.Header:
        wanted = request[1][0]
        if not isinstance(result, dict):
            raise self._unavailable(f"block {int(wanted, 16) if wanted.startswith('0x') else wanted}", result)
        header = headers.read(self.chain_id, result, f"chain {self.name}: block {wanted}")
        if wanted.startswith("0x") and header.block.number != int(wanted, 16):
            raise malformed(f"chain {self.name}", f"answered block {header.block.number} when asked for {wanted}")
        return header

    def _unavailable(self, what: str, refusal: Any) -> ChainError:
        detail = f": {refusal}" if isinstance(refusal, RpcError) else ""
        return ChainError(
            f"chain {self.name}: no endpoint gives {what}{detail}",
            code="block-unavailable",
            reason="A node that prunes forgets old blocks; one without the `finalized` tag has instant finality.",
            advice='Schedule `attest open` at the cutoff, or set schedule.supply_at = "run" or another endpoint; '
            f'for the tag, set chains.{self.name}.finality = "instant".',
        )


def connect(
    chain: Chain,
    *,
    name: str,
    base: Path,
    transport: Transport | None = None,
    sleep: Callable[[float], None] = time.sleep,
    environment: Mapping[str, str] | None = None,
    observe: Observer | None = None,
    lenient: bool = False,
) -> ChainClient:
    """A client for a configured chain; nothing is sent yet. Endpoints that are secret references are resolved, paths
    relative to ``base``. Raises :class:`OperatorError` for a secret that is missing or an endpoint that is no URL."""
    from attest.secrets import resolve

    def url(endpoint: str) -> str:
        if endpoint.startswith(("http://", "https://")):
            return endpoint
        return resolve(endpoint, base=base, environment=environment).reveal()

    return ChainClient(
        name,
        chain.chain_id,
        [url(endpoint) for endpoint in chain.endpoints],
        transport=transport or HttpTransport(chain.request_timeout_seconds),
        read_quorum=chain.read_quorum,
        sleep=sleep,
        observe=observe,
        lenient=lenient,
    )


# -- details ---------------------------------------------------------------------------------------------------------


def _endpoint_refused(name: str, detail: str) -> OperatorError:
    return OperatorError(
        f"chain {name}: {detail}",
        code="configuration",
        reason="The chain is read and reported to through its endpoints only.",
        advice=f"Correct chains.{name}.endpoints in attest.toml, or the secret that it refers to.",
    )


def _results(body: bytes, ids: Sequence[int], endpoint: _Endpoint) -> list[Any]:
    """The results of a batch in the order of ``ids``; raises :class:`_VoidError` unless there is one of each."""
    try:
        plain = load_plain(body, "the answer", ChainError)
    except ChainError as fault:
        raise _VoidError(fault.message) from None
    if isinstance(plain, dict) and "error" in plain:
        raise _RefusedError(f"the batch was refused: {_error(plain['error'], endpoint)}")
    if not isinstance(plain, list):
        raise _VoidError("the answer is not a list")
    wanted = set(ids)
    results: dict[int, Any] = {}
    for item in plain:
        number = item.get("id") if isinstance(item, dict) else None
        if type(number) is not int or number in results or number not in wanted:
            raise _VoidError(f"the id {str(number)[:40]} was not asked for, or is answered twice")
        if ("result" in item) == (item.get("error") is not None):
            raise _VoidError("an answer is neither a result nor an error")
        results[number] = item["result"] if "result" in item else _error(item["error"], endpoint)
    if len(results) == 1 < len(ids) and isinstance(refusal := next(iter(results.values())), RpcError):
        raise _RefusedError(f"the batch was refused: {refusal}")  # geth's way
    if len(results) != len(ids):
        raise _VoidError(f"{len(ids) - len(results)} of {len(ids)} answers are missing")
    return [results[number] for number in ids]


def _error(plain: Any, endpoint: _Endpoint) -> RpcError:
    if not isinstance(plain, dict) or type(plain.get("code")) is not int:
        raise _VoidError("an error has no code")
    return RpcError(plain["code"], endpoint.scrub(str(plain.get("message", "")))[:500], plain.get("data"))


def _outcome(answer: EndpointAnswers, index: int, expected: str) -> Outcome:
    if answer.results is None:
        return Outcome(answer.endpoint, "unknown", expected, detail=answer.failure)
    result = answer.results[index]
    if isinstance(result, RpcError):
        return Outcome(answer.endpoint, "rejected", expected, result.code, result.message)
    if isinstance(result, str) and result.lower() == f"0x{expected}":
        return Outcome(answer.endpoint, "accepted", expected)
    return Outcome(answer.endpoint, "unknown", expected, detail=f"it answered {_shown(result)} instead of the hash")


def _abstains(result: Any) -> bool:
    """Whether an endpoint says nothing to the matter: it does not have the block, or cannot answer."""
    return result is None or (isinstance(result, RpcError) and not result.reverted)


def _differ(request: Request, index: int, answers: Sequence[EndpointAnswers]) -> bool:
    said = {_comparable(request[0], _of(each, index)) for each in answers if not _abstains(_of(each, index))}
    return len(said) > 1


def _of(answer: EndpointAnswers, index: int) -> Any:
    assert answer.results is not None
    return answer.results[index]


def _told_apart(values: Sequence[Any]) -> list[str]:
    """Different answers in words; where the words are the same, with the first field that is not."""
    texts = [_shown(value) for value in values]
    if len({*texts}) == len(texts) or not all(isinstance(value, dict) for value in values):
        return texts
    names = dict.fromkeys(name for value in values for name in value)
    field = next((name for name in names if len({str(value.get(name)) for value in values}) > 1), None)
    if field is None:
        return texts
    return [f"{text} with {field} {_shown(value.get(field))}" for text, value in zip(texts, values, strict=True)]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("hash") or value.get("blockHash") or value.get("storageHash") or "an object"
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


#: Nodes of different make add fields of their own; what is compared is what is used, also of each entry of a list.
_LOG = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex")
_COMPARED: Mapping[str, tuple[str, ...]] = {
    "eth_getBlockByNumber": ("hash", *headers.FIELDS),
    "eth_getBlockByHash": ("hash", *headers.FIELDS),
    "eth_getProof": ("accountProof", "codeHash", "storageHash", "storageProof"),
    "eth_getTransactionReceipt": ("transactionHash", "blockHash", "blockNumber", "status", "gasUsed"),
    "eth_getTransactionByHash": ("hash", "blockHash"),
    "eth_getLogs": _LOG,
    "eth_getBlockReceipts": ("transactionHash", "blockHash", "status", "logs"),
}


def _comparable(method: str, value: Any) -> Any:
    if isinstance(value, RpcError):
        return "reverted", value.revert_data
    if isinstance(value, list) and method in _COMPARED:
        return tuple(_comparable(method, each) for each in value)
    if isinstance(value, dict) and method in _COMPARED:
        kept = {name: value.get(name) for name in _COMPARED[method]}
        storage, logs = kept.get("storageProof"), kept.get("logs")
        if isinstance(storage, list):
            kept["storageProof"] = [_storage(item) for item in storage]
        if isinstance(logs, list):
            kept["logs"] = _comparable("eth_getLogs", logs)
        value = kept
    return _folded(value)


def _storage(item: Any) -> Any:
    """One storage proof; nodes write its key and value with or without leading zeros."""
    if not isinstance(item, dict):
        return item
    key, value = (str(item.get(name)).lower().removeprefix("0x").lstrip("0") for name in ("key", "value"))
    return [key, value, item.get("proof")]


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, list | tuple):
        return tuple(_folded(item) for item in value)
    if isinstance(value, dict):  # never equal to a list: of two equal answers either one is handed out
        return frozenset((key, _folded(item)) for key, item in value.items())
    return value


def _depth(finality: str) -> int:
    return int(finality.removeprefix("depth:")) if finality.startswith("depth:") else 0


def _probes(low: int, high: int) -> list[int]:
    """At most :data:`SEARCH_WIDTH` numbers strictly between two others, evenly spread."""
    parts = min(high - low, SEARCH_WIDTH + 1)
    return [low + (high - low) * part // parts for part in range(1, parts)]


def _when(timestamp: int) -> str:
    from datetime import UTC, datetime

    try:
        return format_instant(datetime.fromtimestamp(timestamp, UTC))
    except (OverflowError, ValueError, OSError):
        return f"second {timestamp}"
