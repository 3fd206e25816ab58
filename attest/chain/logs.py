"""Events of contracts, read in ranges of blocks and decoded by slicing words: fast enough for a chain's whole history.

A range of blocks is not pinned to a hash: every log says the hash of its block, and whoever keeps logs compares it with
the chain's before building on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from attest.chain.rpc import ChainClient, RpcError
from attest.chain.values import malformed, quantity
from attest.errors import ChainError

#: Blocks asked for at once; Besu's default limit.
SPAN = 5000
_SIGNATURE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\(([^()]*)\)", re.ASCII)
_PARAMETER = re.compile(r"(address|bool|u?int[0-9]{0,3}|bytes[0-9]{1,2})( indexed)? ([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_DYNAMIC = re.compile(r"(string|bytes|[a-z]+[0-9]*\[\])( indexed)? ([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
#: What Solidity takes for 256 bits, and writes so in a signature.
_BARE = re.compile(r"(u?int)(?=\[|$)", re.ASCII)
_WORD = 64  # hex digits


class Log(NamedTuple):
    """One decoded event. ``values`` are in the order of the event's parameters: int, bool, bytes, or an address in
    lower case. ``block_hash`` and ``transaction`` are 0x hex."""

    address: str
    block_number: int
    block_hash: str
    transaction: str
    log_index: int
    values: tuple[Any, ...]


@dataclass(frozen=True)
class EventShape:
    """An event's parameters and their canonical ``types``. ``topic`` is keccak-256 of its canonical signature;
    ``places`` say where each parameter stands (a topic's number, or a word of the data) and what reads its 64 hex
    digits. With ``tail`` the data goes on after its ``words``: there stand the values of dynamic types, which are not
    read (None)."""

    name: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    topic: str
    topics: int
    words: int
    places: tuple[tuple[bool, int, Callable[[str], Any]], ...]
    tail: bool = False


def event(signature: str, *, skip_dynamic: bool = False) -> EventShape:
    """The shape of an event from its declaration, for example
    ``Transfer(address indexed from, address indexed to, uint256 value)``.

    Raises ``ValueError`` for anything else, and for parameters of dynamic types, unless they are to be skipped: then
    each reads as None.
    """
    from eth_utils.crypto import keccak

    whole = _SIGNATURE.fullmatch(signature)
    declared = [" ".join(part.split()) for part in whole[2].split(",")] if whole and whole[2].strip() else []
    patterns = (_PARAMETER, _DYNAMIC) if skip_dynamic else (_PARAMETER,)
    parameters = [next(filter(None, (each.fullmatch(part) for each in patterns)), None) for part in declared]
    if whole is None or None in parameters:
        raise ValueError(f"{signature!r} does not declare an event of static types")
    places = []
    topics, words, tail = 1, 0, False
    found = [parameter for parameter in parameters if parameter is not None]
    types = tuple(_BARE.sub(r"\g<1>256", parameter[1]) for parameter in found)
    for parameter, of_type in zip(found, types, strict=True):
        indexed = parameter[2] is not None
        places.append((indexed, topics if indexed else words, _reader(of_type)))
        topics, words = topics + indexed, words + (not indexed)
        tail |= not indexed and parameter.re is _DYNAMIC
    topic = "0x" + keccak(text=f"{whole[1]}({','.join(types)})").hex()
    names = tuple(parameter[3] for parameter in found)
    return EventShape(whole[1], names, types, topic, topics, words, tuple(places), tail)


def _reader(kind: str) -> Callable[[str], Any]:
    """What turns a word's 64 hex digits into a value of a type; raises ``ValueError`` for one that does not fit it."""
    if kind == "address":
        return lambda word: "0x" + _tail(word, 40).lower()
    if _DYNAMIC.fullmatch(f"{kind} x"):
        return lambda word: None
    if kind == "bool":
        return lambda word: bool(_limited(int(word, 16), 1))
    if kind.startswith("bytes"):
        size = int(kind.removeprefix("bytes"))
        if not 1 <= size <= 32:
            raise ValueError(f"there is no type {kind}")
        return lambda word: bytes.fromhex(word)[:size]
    bits = int(kind.lstrip("uint"))
    if bits % 8 or not 8 <= bits <= 256:
        raise ValueError(f"there is no type {kind}")
    top = 1 << bits
    if kind.startswith("uint"):
        return lambda word: _limited(int(word, 16), top - 1)
    return lambda word: _signed(int(word, 16), top)


def _tail(word: str, digits: int) -> str:
    if word[:-digits].strip("0"):
        raise ValueError("a word does not fit its type")
    return word[-digits:]


def _limited(value: int, largest: int) -> int:
    if value > largest:
        raise ValueError("a word does not fit its type")
    return value


def _signed(value: int, top: int) -> int:
    value -= (value >> 255) << 256
    if not -top // 2 <= value < top // 2:
        raise ValueError("a word does not fit its type")
    return value


def read(
    client: ChainClient, shape: EventShape, addresses: Sequence[str], first: int, last: int, *, span: int = SPAN
) -> Iterator[Log]:
    """All events of this shape that the contracts emitted in the blocks ``first`` to ``last``, in the chain's order.

    One HTTP request per endpoint for ``span`` blocks; where a node refuses a range (too many blocks or results), it is
    asked for in halves. Raises :class:`ChainError`: ``logs-refused`` when it refuses a single block,
    ``malformed-answer``, and what :meth:`ChainClient.batch` raises.
    """
    while first <= last:
        end = min(last, first + span - 1)
        asked = {"address": list(addresses), "topics": [shape.topic], "fromBlock": hex(first), "toBlock": hex(end)}
        (answer,) = client.batch([("eth_getLogs", [asked])])
        if isinstance(answer, list):
            yield from _decoded(client, shape, answer, first, end)
            first = end + 1
        elif span > 1:
            span = max(1, (end - first + 1) // 2)
        else:
            raise ChainError(
                f"chain {client.name}: the events of block {first} cannot be read: {_words(answer)}",
                code="logs-refused",
                reason="An event that is not read is missing in every sum.",
                advice="Raise the node's limits for eth_getLogs, or configure another endpoint.",
            )


def values(shape: EventShape, topics: Sequence[str], data: str) -> tuple[Any, ...]:
    """A log's values in the order of the event's parameters. Raises ``ValueError`` (or ``TypeError``, ``IndexError``)
    unless topics and data are those of such an event."""
    missing = len(data) - 2 - _WORD * shape.words
    if topics[0] != shape.topic or len(topics) != shape.topics or missing < 0 or (missing and not shape.tail):
        raise ValueError("another event")
    return tuple(
        read_word(topics[at][2:] if indexed else data[2 + at * _WORD : 2 + (at + 1) * _WORD])
        for indexed, at, read_word in shape.places
    )


def _words(answer: Any) -> str:
    return str(answer) if isinstance(answer, RpcError) else "the node does not know it"


def _decoded(client: ChainClient, shape: EventShape, answer: list[Any], first: int, last: int) -> list[Log]:
    what = f"chain {client.name}: event {shape.name}"
    logs = []
    for plain in answer:
        try:
            log = Log(
                plain["address"].lower(),
                quantity(plain["blockNumber"], what),
                plain["blockHash"],
                plain["transactionHash"],
                quantity(plain["logIndex"], what),
                values(shape, plain["topics"], plain["data"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as fault:
            raise malformed(what, f"is not one ({fault})") from None
        if not first <= log.block_number <= last or plain.get("removed"):
            raise malformed(what, f"is of block {log.block_number}, outside of {first} to {last}, or was removed")
        logs.append(log)
    return sorted(logs, key=lambda log: (log.block_number, log.log_index))
