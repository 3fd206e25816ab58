"""Reading the next blocks' events from a node, whole and of one chain, or not at all.

* The cursor's block must still be the chain's, and the last block have the same hash before and after its events were
  read, all in one request.
* The newest blocks (:data:`CAREFUL`) are read with their headers: each must be the next one's parent, each log must be
  of the block with its header's hash, and a block whose bloom filter says that it has an event of ours must have given
  one, or its receipts are asked. In a longer scan this is done with a sample of the blocks.
* Ranges adapt: halved when a node refuses one or answers too much, doubled again after a while.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attest.chain.header import Header
from attest.chain.header import read as read_header
from attest.chain.logs import SPAN
from attest.chain.rpc import ChainClient, Request, RpcError
from attest.chain.values import count, malformed
from attest.errors import ChainError
from attest.model import Block
from attest.monitor import events
from attest.monitor.events import Event, Query, Unreadable
from attest.posting import TOO_LARGE, TOO_SLOW

#: The newest blocks, read with all their headers.
CAREFUL = 128
#: In a longer scan the header of each so-manieth block is looked at.
SAMPLE = 250
#: Logs in one chunk beyond which the next is made smaller: what bounds the memory.
MAX_LOGS = 10_000
#: The largest index of a log in its block that the index's table takes.
MAX_INDEX = 2**31 - 1
#: Chunks after which a smaller range grows again.
_PATIENCE = 8
#: Blocks whose receipts are asked for in one chunk because their bloom filter promises an event.
_SUSPECTS = 8
_NO_SUCH_METHOD = -32601
_HASH = re.compile(r"0x[0-9a-f]{64}")


class Cursor(NamedTuple):
    """A block that was indexed; number -1 is what the genesis block follows."""

    number: int
    hash: str
    timestamp: int


class MissingError(Exception):
    """The node has no block of this number; ``detail`` is what it says instead."""

    def __init__(self, number: int, detail: str) -> None:
        self.number = number
        self.detail = detail


class MovedError(Exception):
    """The chain changed while it was read. ``indexed``: a block that was indexed is no longer the chain's."""

    def __init__(self, *, indexed: bool) -> None:
        self.indexed = indexed


@dataclass
class Chunk:
    """Some blocks' events, ready to be committed."""

    end: Cursor
    blocks: list[Cursor]
    events: list[Event] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


class ChunkReader:
    """Reads one chain's events by some queries, chunk by chunk. ``name`` is the chain's in the configuration, ``span``
    the most blocks asked for at once."""

    def __init__(self, name: str, chain_id: int, queries: Sequence[Query], span: int = SPAN) -> None:
        self.name = name
        self.chain_id = chain_id
        self._queries = queries
        self._blooms = {_bloom(items) for query in queries for items in query.items()}
        self._largest = span
        self._span = span
        self._smooth = 0

    def read(self, client: ChainClient, cursor: Cursor, target: Block) -> Chunk:
        """The next blocks' events. Raises :class:`MovedError`, :class:`MissingError`, :class:`ChainError`."""
        span, numbers, answers = self._ask(client, cursor, target.number - cursor.number)
        first, last = cursor.number + 1, cursor.number + span
        line = [self.header(number, answer) for number, answer in zip(numbers, answers, strict=False)]
        again = self.header(last, answers[-1])
        found = answers[len(numbers) : -1]
        for place, answer in enumerate(found):  # only now: a range beyond a head that went back is refused too
            if first == last and isinstance(answer, RpcError):
                found[place] = self._in_receipts(client, line[-1].block, self._queries[place], answer)
            elif not isinstance(answer, list):
                raise self._logs_refused(client, first, last, answer)
        if line[0].block.number == cursor.number and line[0].block.hash != cursor.hash:
            raise MovedError(indexed=True)
        for one, next_one in itertools.pairwise(line):
            if next_one.block.number == one.block.number + 1 and next_one.parent_hash != one.block.hash:
                raise MovedError(indexed=False)
        if again.block.hash != line[-1].block.hash:
            raise MovedError(indexed=False)
        by_number = {header.block.number: header for header in line if header.block.number >= first}
        chunk = self._decode(client, found, by_number, first, last)
        self._check_blooms(client, chunk, by_number)
        self._adapt(span, sum(map(len, found)))
        return chunk

    def _ask(self, client: ChainClient, cursor: Cursor, left: int) -> tuple[int, list[int], list[Any]]:
        """One request for the next blocks, as many as the node gives: how many, the numbers of the headers (the
        cursor's block first), and the answers: those headers, the logs of each query, the last header again."""
        while True:
            careful = min(left, self._span) <= CAREFUL
            span = min(left, self._span) if careful else min(left - CAREFUL, self._span)
            first, last = cursor.number + 1, cursor.number + span
            blocks = range(first, last + 1)
            numbers = [*blocks] if careful else sorted({first, last, *(n for n in blocks if n % SAMPLE == 0)})
            if cursor.number >= 0:
                numbers.insert(0, cursor.number)
            logs: list[Request] = [("eth_getLogs", [query.parameters(first, last)]) for query in self._queries]
            try:
                answers = client.batch([*map(numbered, numbers), *logs, numbered(last)])
            except ChainError as fault:
                if span == 1 or not _asked_too_much(client, fault):
                    raise
            else:
                # An error in a header's place too: all that comes after too large an answer is refused by some nodes.
                refused = any(isinstance(answer, RpcError) for answer in answers)
                if span == 1 or not refused or answers[-1] is None:
                    return span, numbers, answers
            self._shrink(span // 2)

    def _decode(
        self,
        client: ChainClient,
        found: Sequence[Sequence[Any]],
        by_number: Mapping[int, Header],
        first: int,
        last: int,
    ) -> Chunk:
        hashes = {number: header.block.hash for number, header in by_number.items()}
        times = {number: header.block.timestamp for number, header in by_number.items()}
        framed: dict[tuple[int, int], tuple[Query, Mapping[str, Any], str]] = {}
        what = f"chain {self.name}: a log"
        for query, answer in zip(self._queries, found, strict=True):
            for plain in answer:
                try:
                    number, index = count(plain["blockNumber"], what), count(plain["logIndex"], what)
                    block_hash, address, topics = plain["blockHash"], plain["address"].lower(), plain["topics"]
                    fits = first <= number <= last and index <= MAX_INDEX and not plain.get("removed")
                    fits = fits and query.matches(address, topics)
                    if not (
                        fits
                        and index <= MAX_INDEX
                        and _HASH.fullmatch(block_hash)
                        and _HASH.fullmatch(plain["transactionHash"])
                    ):
                        raise ValueError("not what was asked for")
                    if number not in times and (stated := plain.get("blockTimestamp")) is not None:
                        times[number] = count(stated, what)
                except (KeyError, TypeError, ValueError, AttributeError, IndexError):
                    raise malformed(what, f"of the blocks {first} to {last} is not one that was asked for") from None
                if hashes.setdefault(number, block_hash[2:]) != block_hash[2:]:
                    raise MovedError(indexed=False)
                framed[number, index] = query, plain, block_hash[2:]
        untimed = sorted({number for number, _ in framed} - times.keys())
        for header in self.headers(client, untimed):
            if header.block.hash != hashes[header.block.number]:
                raise MovedError(indexed=False)
            times[header.block.number] = header.block.timestamp
        end = by_number[last].block
        seen = (header.block for header in by_number.values())
        chunk = Chunk(
            Cursor(last, end.hash, end.timestamp), [Cursor(each.number, each.hash, each.timestamp) for each in seen]
        )
        for (number, index), (query, plain, block_hash) in sorted(framed.items(), key=lambda item: item[0]):
            event = events.read(query, plain, (number, index, block_hash, plain["transactionHash"][2:], times[number]))
            if isinstance(event, Event):
                chunk.events.append(event)
            elif event is not None:
                chunk.unreadable.append(event)
        return chunk

    def _check_blooms(self, client: ChainClient, chunk: Chunk, by_number: Mapping[int, Header]) -> None:
        """A block whose bloom filter promises an event that did not come must have receipts without one: a node that
        lost its history answers with an empty list."""
        came = {each.block_number for each in chunk.events} | {each.block_number for each in chunk.unreadable}
        suspects = []
        for number, header in by_number.items():
            bloom = header.fields.get("logsBloom")
            if number not in came and isinstance(bloom, str):
                bits = _bits(bloom, header.what)
                if bits and any(bits & mask == mask for mask in self._blooms):
                    suspects.append(header.block)
        if not suspects:
            return
        chosen = suspects[:: -(-len(suspects) // _SUSPECTS)]
        answers = client.batch([("eth_getBlockReceipts", [hex(block.number)]) for block in chosen])
        for block, answer in zip(chosen, answers, strict=True):
            if isinstance(answer, RpcError) and answer.code == _NO_SUCH_METHOD:
                continue
            if not isinstance(answer, list):
                detail = f" ({answer})" if isinstance(answer, RpcError) else ""
                raise self.history_missing(client, f"the receipts of block {block.number}{detail}")
            self._check_receipts(client, block, answer)

    def _check_receipts(self, client: ChainClient, block: Block, receipts: Sequence[Any]) -> None:
        ours = [
            log
            for log in self._logs_of(block, receipts)
            if any(query.matches(log["address"].lower(), log["topics"]) for query in self._queries)
        ]
        if any(_is_event(self._queries, log) for log in ours):
            raise ChainError(
                f"chain {self.name}: {named(client)} gives no events of block {block.number}, whose receipts have some",
                code="logs-omitted",
                reason="An event that is not read is missing in every sum.",
                advice="Its log index is damaged or being rebuilt: ask another endpoint, or let the node index again.",
            )

    def _in_receipts(self, client: ChainClient, block: Block, query: Query, refusal: RpcError) -> list[Any]:
        """The logs of one block, from its receipts: a block with more of them than a node gives at once, which anybody
        may fill, must not end the reading for good."""
        (answer,) = client.batch([("eth_getBlockReceipts", [hex(block.number)])])
        if not isinstance(answer, list):
            raise self._logs_refused(client, block.number, block.number, refusal)
        return [log for log in self._logs_of(block, answer) if query.matches(log["address"].lower(), log["topics"])]

    def _logs_of(self, block: Block, receipts: Sequence[Any]) -> list[Any]:
        """All logs of a block's receipts. Raises :class:`MovedError` for those of another block."""
        try:
            if any(receipt["blockHash"] != f"0x{block.hash}" for receipt in receipts):
                raise MovedError(indexed=False)
            found = [log for receipt in receipts for log in receipt["logs"]]
            if not all(isinstance(log["address"], str) and isinstance(log["topics"], list) for log in found):
                raise TypeError
        except (KeyError, TypeError):
            raise malformed(f"chain {self.name}: the receipts of block {block.number}", "are none") from None
        return found

    # -- how much at once ---------------------------------------------------------------------------------------------

    def _shrink(self, span: int) -> None:
        self._span, self._smooth = max(1, span), 0

    def _adapt(self, span: int, answered: int) -> None:
        if answered > MAX_LOGS:
            self._shrink(span * MAX_LOGS // answered)
            return
        self._smooth += 1
        if self._smooth >= _PATIENCE and self._span < self._largest and 2 * answered <= MAX_LOGS:
            self._span, self._smooth = min(self._largest, 2 * self._span), 0

    # -- headers ------------------------------------------------------------------------------------------------------

    def headers(self, client: ChainClient, numbers: Sequence[int]) -> list[Header]:
        """The headers of these blocks. Raises :class:`MissingError`, :class:`ChainError`."""
        answers = client.batch([numbered(number) for number in numbers])
        return [self.header(number, answer) for number, answer in zip(numbers, answers, strict=True)]

    def header(self, number: int, answer: Any) -> Header:
        """The header in the answer for a block. Raises :class:`MissingError`, :class:`ChainError`."""
        what = f"chain {self.name}: block {number}"
        if not isinstance(answer, dict):
            raise MissingError(number, f" ({answer})" if isinstance(answer, RpcError) else "")
        header = read_header(self.chain_id, answer, what)
        if header.block.number != number:
            raise malformed(what, f"was answered with block {header.block.number}")
        return header

    # -- refusals -----------------------------------------------------------------------------------------------------

    def history_missing(self, client: ChainClient, what: str) -> ChainError:
        """The error for a node that lacks what it was asked for."""
        return ChainError(
            f"chain {self.name}: {named(client)} does not give {what}",
            code="history-missing",
            reason="A node that pruned its history, or is still fetching it, shows a chain without its events; a gap "
            "that nobody sees would be missing in every sum.",
            advice="Configure an endpoint that keeps blocks and receipts from the contracts' first block on, or set "
            "the index's first block to one that this endpoint still has and begin again.",
        )

    def _logs_refused(self, client: ChainClient, first: int, last: int, answer: Any) -> ChainError:
        where = f"block {first}" if first == last else f"blocks {first} to {last}"
        if not isinstance(answer, RpcError):
            return self.history_missing(client, f"the events of {where}: it answered {str(answer)[:40]!r}, not a list")
        return ChainError(
            f"chain {self.name}: {named(client)} refuses the events of {where}: {answer}",
            code="logs-refused",
            reason="An event that is not read is missing in every sum.",
            advice="Raise the node's limits for eth_getLogs, or configure another endpoint.",
        )


# -- details ---------------------------------------------------------------------------------------------------------


def numbered(number: int) -> Request:
    """``eth_getBlockByNumber`` without transactions' bodies."""
    return "eth_getBlockByNumber", [hex(number), False]


def named(client: ChainClient) -> str:
    """The endpoints that an answer came from."""
    return ", ".join(client.endpoints)


def _asked_too_much(client: ChainClient, fault: ChainError) -> bool:
    """Whether less might be answered: an endpoint was too slow, or its answer too large for it or for us."""
    return fault.code == "endpoints-down" and any(
        failure.startswith((TOO_LARGE, TOO_SLOW, "HTTP 413", "HTTP 504")) for failure in client.failures.values()
    )


def _is_event(queries: Sequence[Query], log: Mapping[str, Any]) -> bool:
    """Whether a log of a receipt would be stored: as an event, or as one that cannot be read."""
    frame = (0, 0, "", "", 0)
    return any(
        events.read(query, log, frame) is not None
        for query in queries
        if query.matches(log["address"].lower(), log["topics"])
    )


def _bloom(items: Sequence[bytes]) -> int:
    """The bits that all these items set in a block's bloom filter (Yellow Paper, section 4.3.1)."""
    from eth_hash.auto import keccak

    bits = 0
    for item in items:
        digest = keccak(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def _bits(text: str, what: str) -> int:
    """A header's bloom filter as an integer."""
    try:
        return int(text, 16)
    except ValueError:
        raise malformed(what, "has a bloom filter that is not hex") from None
