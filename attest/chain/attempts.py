"""What the chain says of journaled transactions: which nonce is still open, which is over, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from attest.chain import header as headers
from attest.chain.fees import Market
from attest.chain.journal import JournalEntry
from attest.chain.rpc import ChainClient, EndpointAnswers, Request, RpcError, at
from attest.chain.values import data, malformed, quantity
from attest.errors import ChainError
from attest.model import Block


class Final(NamedTuple):
    """The newest final block: as a JSON-RPC block parameter, and the number up to which blocks are final (None where
    every block is, as it is made)."""

    parameter: Any
    number: int | None


class Tip(NamedTuple):
    """The newest block that ``read_quorum`` endpoints have reached, the newest final one, what gas costs, and for each
    sender its next nonce, or a lower one if an endpoint lags behind."""

    head: Block
    final: Final
    market: Market
    nonces: Mapping[str, int]


class Receipt(NamedTuple):
    """How a mined transaction ended; ``block`` is its block's hash."""

    succeeded: bool
    block: str
    block_number: int
    gas_used: int


@dataclass
class Slot:
    """One nonce of one sender and the attempts that compete for it, in their order.

    ``fate``: empty while an attempt may still land; ``landed``; or why the intent did not land here: ``reverted``,
    ``voided``, ``taken`` (by a transaction that is not in the journal). ``final``: it cannot change any more.
    ``mined`` is the attempt that was mined.
    """

    attempts: tuple[JournalEntry, ...]
    fate: Literal["", "landed", "reverted", "voided", "taken"] = ""
    final: bool = False
    mined: tuple[JournalEntry, Receipt] | None = None

    @property
    def last(self) -> JournalEntry:
        """The newest attempt."""
        return self.attempts[-1]

    @property
    def dead(self) -> bool:
        """Whether the intent did not land here, and never will."""
        return self.final and self.fate != "landed"


class Watcher:
    """Reads one chain for the sake of its slots. ``finality`` is the chain's: ``instant``, ``tag`` or ``depth:N``."""

    def __init__(self, client: ChainClient, finality: str) -> None:
        self._client = client
        self._finality = finality

    def tip(self, senders: Sequence[str]) -> Tip:
        """One HTTP request. Endpoints may differ in all of it, so it is not compared but combined.

        Raises :class:`ChainError` when too few endpoints answer.
        """
        requests: list[Request] = [("eth_getBlockByNumber", ["latest", False]), ("eth_gasPrice", [])]
        requests += [("eth_getTransactionCount", [sender, "latest"]) for sender in senders]
        if self._finality == "tag":
            requests.append(("eth_getBlockByNumber", ["finalized", False]))
        answers = self._client.each(requests)
        head = self._reached(answers, 0)
        newest = self._reached(answers, -1) if self._finality == "tag" else head
        base_fee = head.fields.get("baseFeePerGas")
        living = [answer.results for answer in answers if answer.results is not None]
        return Tip(
            head.block,
            self._final(newest.block),
            Market(
                0 if base_fee is None else quantity(base_fee, f"{head.what}: its base fee"),
                max(self.number(results[1], "the gas price") for results in living),
            ),
            {
                sender: min(self.number(results[index], f"the nonce of {sender}") for results in living)
                for index, sender in enumerate(senders, 2)
            },
        )

    def poll(self, slots: Sequence[Slot], final: Final | None) -> Final:
        """Settle the slots by one HTTP request, and return the newest final block for the next poll.

        ``final`` is what the last poll returned. The nonces are read there, that is: at a block that was known before
        the receipts are asked for. So a nonce that is used while no receipt is found is a foreign transaction's.
        Endpoints that lag behind are outvoted: a receipt or nonce counts when ``read_quorum`` of them give it alike.
        """
        senders = list(dict.fromkeys(slot.last.sender for slot in slots))
        tag = "finalized" if self._finality == "tag" else "latest"
        receipts = receipt_requests(slots)
        nonces = [] if final is None else [nonce_request(sender, final.parameter) for sender in senders]
        answers = self._client.each([("eth_getBlockByNumber", [tag, False]), *receipts, *nonces])
        newest = self._final(self._reached(answers, 0).block)
        agreed = [self._agreed(answers, index) for index in range(1, 1 + len(receipts) + len(nonces))]
        counts = [0 if count is None else self.number(count, "a nonce") for count in agreed[len(receipts) :]]
        used = dict(zip(senders, counts, strict=False))
        settle(slots, agreed[: len(receipts)], newest, used, used)
        return newest

    def number(self, value: Any, what: str) -> int:
        """A quantity of an answer. Raises :class:`ChainError` (``state-unavailable``) for null or an error."""
        if value is None or isinstance(value, RpcError):
            raise ChainError(
                f"chain {self._client.name}: no endpoint gives {what} ({value or 'null'})",
                code="state-unavailable",
                reason="Without it a transaction could be sent twice, or not at all.",
                advice="An endpoint lags behind or prunes: run again in a moment, or configure another.",
            )
        return quantity(value, f"chain {self._client.name}: {what}")

    def _final(self, newest: Block) -> Final:
        if self._finality == "instant":
            return Final(at(newest), None)
        if self._finality == "tag":
            return Final(at(newest), newest.number)
        number = max(0, newest.number - int(self._finality.removeprefix("depth:")))
        return Final(hex(number), number)

    def _reached(self, answers: Sequence[EndpointAnswers], index: int) -> headers.Header:
        """The newest of the blocks at ``index`` that ``read_quorum`` endpoints have reached."""
        found, failures = [], []
        for answer in answers:
            result = answer.failure if answer.results is None else answer.results[index]
            if isinstance(result, dict):
                found.append(headers.read(self._client.chain_id, result, f"{answer.endpoint}: its newest block"))
            else:
                failures.append(f"{answer.endpoint}: {result or 'null'}")
        if len(found) < self._client.read_quorum:
            raise ChainError(
                f"chain {self._client.name}: {len(found)} of {len(answers)} endpoints give their newest block, "
                f"{self._client.read_quorum} must ({'; '.join(failures)})",
                code="endpoints-down",
                reason="What too few endpoints say is not evidence, and nothing is sent without it.",
                advice="Check the endpoints with `attest doctor`; where a node lacks the `finalized` tag, finality is "
                '"instant" or "depth:N".',
            )
        return sorted(found, key=lambda header: header.block.number)[-self._client.read_quorum]

    def _agreed(self, answers: Sequence[EndpointAnswers], index: int) -> Any:
        groups: dict[Any, list[Any]] = {}
        for answer in answers:
            result = None if answer.results is None else answer.results[index]
            if isinstance(result, dict):
                groups.setdefault((result.get("blockHash"), result.get("status")), []).append(result)
            elif isinstance(result, str):
                groups.setdefault(result, []).append(result)
        return next((group[0] for group in groups.values() if len(group) >= self._client.read_quorum), None)


def nonce_request(sender: str, block: Any) -> Request:
    """``eth_getTransactionCount`` at a block parameter of any kind."""
    return "eth_getTransactionCount", [sender, block]


def receipt_requests(slots: Iterable[Slot]) -> list[Request]:
    """The receipt of every attempt of every slot, as :func:`settle` wants them."""
    return [("eth_getTransactionReceipt", [f"0x{entry.hash}"]) for slot in slots for entry in slot.attempts]


def settle(
    slots: Iterable[Slot],
    receipts: Iterable[Any],
    final: Final,
    used: Mapping[str, int],
    used_for_good: Mapping[str, int],
) -> None:
    """Write into each slot what the chain says of it.

    ``receipts`` answers :func:`receipt_requests`; ``used`` and ``used_for_good`` are the senders' nonces at a block
    that was known before the receipts were asked for, and at one that is final.
    """
    answers = iter(receipts)
    for slot in slots:
        slot.fate, slot.final, slot.mined = "", False, None
        for entry in slot.attempts:
            answer = next(answers)
            if isinstance(answer, dict):
                slot.mined = entry, _receipt(answer, entry)
        if slot.mined is not None:
            entry, receipt = slot.mined
            slot.fate = "voided" if entry.purpose == "void" else "landed" if receipt.succeeded else "reverted"
            slot.final = final.number is None or receipt.block_number <= final.number
        elif slot.last.nonce < used.get(slot.last.sender, 0):
            slot.fate, slot.final = "taken", slot.last.nonce < used_for_good.get(slot.last.sender, 0)


def _receipt(answer: Mapping[str, Any], entry: JournalEntry) -> Receipt:
    what = f"the receipt of 0x{entry.hash}"
    if data(answer.get("transactionHash"), what, 32).hex() != entry.hash:
        raise malformed(what, "is another transaction's")
    return Receipt(
        succeeded=quantity(answer.get("status"), f"{what}: its status") == 1,
        block=data(answer.get("blockHash"), f"{what}: its block", 32).hex(),
        block_number=quantity(answer.get("blockNumber"), f"{what}: its block's number"),
        gas_used=quantity(answer.get("gasUsed"), f"{what}: its gas"),
    )
