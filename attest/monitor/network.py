"""What can be seen of a chain's network from outside: each endpoint's head, the newest block, and which validators
still take part.

A validator takes part when it proposes a block (the header's ``miner``) or seals one (QBFT: the commit seals in
``extraData``). A seal costs an elliptic-curve recovery, so only the newest header's seals of a cycle are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from attest.chain import header as headers
from attest.chain.rpc import ChainClient, EndpointAnswers
from attest.chain.values import data, quantity
from attest.errors import ChainError, VerificationError
from attest.model import Block
from attest.monitor import metrics
from attest.monitor import thresholds as limit
from attest.monitor.exposition import Distribution, Sample
from attest.verify import qbft

#: Headers asked for at once, and looked at in one cycle. As many as it takes to see who fell silent; after a longer
#: pause the older ones say nothing about who is alive now.
HEADERS_AT_ONCE, MAX_HEADERS = 200, 1000
#: Upper bounds, in seconds, of the buckets of request times.
REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Traffic:
    """HTTP requests to the endpoints of one chain, since the monitor began. :meth:`observe` may be called from several
    threads: each endpoint has one at a time."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, bool], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def observe(self, endpoint: str, answered: bool, seconds: float) -> None:
        """An :data:`attest.chain.rpc.Observer`."""
        self._counts[endpoint, answered] = self._counts.get((endpoint, answered), 0) + 1
        buckets = self._buckets.setdefault(endpoint, [0] * len(REQUEST_BUCKETS))
        for index, bound in enumerate(REQUEST_BUCKETS):
            buckets[index] += seconds <= bound
        self._seconds[endpoint] = self._seconds.get(endpoint, 0.0) + seconds

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def samples(self, chain: str, endpoints: Sequence[str]) -> Iterator[Sample]:
        for endpoint in endpoints:
            counts = {outcome: self._counts.get((endpoint, outcome), 0) for outcome in (True, False)}
            for answered, outcome in ((True, "answered"), (False, "failed")):
                yield Sample(metrics.RPC_REQUESTS, counts[answered], (chain, endpoint, outcome))
            buckets = dict(zip(REQUEST_BUCKETS, self._buckets.get(endpoint, [0] * len(REQUEST_BUCKETS)), strict=True))
            seconds = Distribution(buckets, sum(counts.values()), self._seconds.get(endpoint, 0.0))
            yield Sample(metrics.RPC_DURATION, seconds, (chain, endpoint))


@dataclass(frozen=True)
class EndpointHead:
    """One endpoint's newest block; ``failure`` says why there is none."""

    endpoint: str
    block: Block | None
    failure: str = ""


def endpoint_heads(client: ChainClient) -> list[EndpointHead]:
    """Each endpoint's own newest block and, anew, whether it serves the client's chain, in one request to each.

    ``client`` is a lenient one."""
    client.forget_identities()
    return [_head(client, answer) for answer in client.each([("eth_getBlockByNumber", ["latest", False])])]


def _head(client: ChainClient, answer: EndpointAnswers) -> EndpointHead:
    if answer.results is None:
        return EndpointHead(answer.endpoint, None, answer.failure)
    (result,) = answer.results
    what = f"chain {client.name}: the newest block of {answer.endpoint}"
    if not isinstance(result, dict):
        return EndpointHead(answer.endpoint, None, f"gives no block: {str(result)[:80]}")
    try:
        return EndpointHead(answer.endpoint, headers.read(client.chain_id, result, what).block)
    except ChainError as fault:
        return EndpointHead(answer.endpoint, None, fault.message)


class Validators:
    """When each validator of a chain was last seen, by the headers that :meth:`read` has looked at."""

    def __init__(self, configured: Sequence[str]) -> None:
        self._configured = tuple(each.lower() for each in configured)
        self._seen: dict[str, int] = {}
        self._last: Block | None = None
        #: Seconds from block to block over the headers last read; None before two were.
        self.block_seconds: Fraction | None = None

    def read(self, client: ChainClient, head: Block) -> Mapping[str, int]:
        """The time of the last block that each validator proposed or sealed, up to ``head``; one that was never seen is
        as old as the oldest header looked at. Empty on a chain without QBFT. Raises :class:`ChainError`."""
        read = self._headers(client, head)
        self._last = head
        oldest, newest = read[0].block, read[-1].block
        if newest.number > oldest.number and newest.timestamp > oldest.timestamp:
            self.block_seconds = Fraction(newest.timestamp - oldest.timestamp, newest.number - oldest.number)
        if newest.number == 0 or read[-1].fields.get("mixHash") != f"0x{headers.BFT_MIX_HASH.hex()}":
            return {}
        validators = self._configured or _listed(read[-1])
        for header in read:
            self._note(str(header.fields.get("miner")).lower(), header.block.timestamp)
        for sealer in _sealers(read[-1], validators):
            self._note(sealer, newest.timestamp)
        for validator in validators:
            self._seen.setdefault(validator, oldest.timestamp)
        return {validator: self._seen[validator] for validator in validators}

    def _headers(self, client: ChainClient, head: Block) -> list[headers.Header]:
        """From the block of the last look, or as far back as tells who is silent for too long, up to ``head``."""
        lowest = 0 if self._last is None else min(self._last.number, head.number)
        read: list[headers.Header] = []
        first = head.number + 1
        while first > lowest and len(read) < MAX_HEADERS:
            if read and head.timestamp - read[0].block.timestamp > limit.VALIDATOR_AGE:
                break
            numbers = range(max(lowest, first - HEADERS_AT_ONCE), first)
            answers = client.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
            found = [self._header(client, number, answer) for number, answer in zip(numbers, answers, strict=True)]
            read, first = found + read, numbers.start
        return read

    def _note(self, validator: str, timestamp: int) -> None:
        self._seen[validator] = max(timestamp, self._seen.get(validator, 0))

    @staticmethod
    def _header(client: ChainClient, number: int, answer: Any) -> headers.Header:
        what = f"chain {client.name}: block {number}"
        if not isinstance(answer, dict):
            raise ChainError(
                f"{what}: the endpoint does not give it",
                code="block-unavailable",
                reason="Who made the newest blocks shows which validators are alive.",
                advice="Check the endpoint with `attest doctor --network`.",
            )
        quantity(answer.get("number"), what)
        return headers.read(client.chain_id, answer, what)


def _listed(header: headers.Header) -> tuple[str, ...]:
    try:
        return qbft.listed(data(header.fields.get("extraData"), f"{header.what}: its extraData"))
    except VerificationError:
        return ()


def _sealers(header: headers.Header, validators: Sequence[str]) -> frozenset[str]:
    """Who sealed a header; empty where it cannot be told (IBFT 2.0, a header of another make)."""
    try:
        return qbft.sealers(qbft.parse_header(headers.encode(header)), validators)
    except (ChainError, VerificationError):
        return frozenset()
