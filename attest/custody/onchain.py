"""Balances on a chain: an ERC-20 token's, or the chain's own coin, of one address at the run's pinned block.

The block is the last one at or before the cutoff whose successor is final (the one that supplies are read at), named by
its hash in every question, so that a reorganisation cannot mix two states and no endpoint can answer for another block.
``chains.<name>.read_quorum`` endpoints must agree. What was agreed on is kept as canonical JSON
(``attest-chain-balance/1``) and read from there.

Anybody can send a millionth of a coin to any address. So what is less than the currency's minor unit is floored here by
default, where other formats refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from attest import records
from attest.custody import table
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.reach import Asked, Reach
from attest.errors import ChainError, OperatorError, SourceError
from attest.model import Block, ChainBalance, StatedBalance
from attest.money import Currency, currency

_COMMON = {
    "chain": "the chain's name in [chains]",
    "currency": "the ISO-4217 code of the currency that one whole coin stands for, e.g. USD",
    "sub_minor_units": "floor: what is less than a minor unit is left out; refuse: it is refused [floor]",
}
_TOKEN = {
    "contract": "the token's address",
    "decimals": "the token's decimals; the contract must say the same",
}
_COIN_DECIMALS = 18
_MAX_DECIMALS = 36

#: keccak256("balanceOf(address)")[:4] and keccak256("decimals()")[:4] (EIP-20).
_BALANCE_OF = bytes.fromhex("70a08231")
_DECIMALS = bytes.fromhex("313ce567")

#: What a node that forgot the block's state is refused with.
_FORGOTTEN = frozenset({"state-unavailable", "block-unavailable", "empty-answer", "no-code"})

#: Why each refusal matters, and what to do about it.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "malformed-document": (
        "What is not exactly as it was written may have been changed.",
        "Restore the evidence from its backup, or ask the chain again.",
    ),
    "wrong-contract": (
        "Another contract's balance is another asset.",
        "Compare the options `contract` and `decimals` with the token's own documentation.",
    ),
    "too-many-decimals": (
        "A fraction of a minor unit does not exist in the currency.",
        'Set the option sub_minor_units = "floor": anybody can send such a fraction to any address.',
    ),
}


@dataclass(frozen=True)
class Settings:
    """The checked options; ``contract`` is None for the chain's own coin."""

    chain: str
    currency: str
    sub_minor_units: Literal["floor", "refuse"]
    contract: str | None
    decimals: int


def prepare(options: Mapping[str, object], *, token: bool) -> Settings:
    """The settings. Raises ``ValueError`` saying what is wrong."""
    values = table.texts({name: str(value) if type(value) is int else value for name, value in options.items()})
    for name in ("chain", "currency", *(_TOKEN if token else ())):
        table.need(values.get(name), f"{name} must be given")
    try:
        currency(values["currency"])
    except SourceError as fault:
        raise ValueError(fault.message) from None
    sub_minor_units = values.get("sub_minor_units", "floor")
    table.need(sub_minor_units in ("floor", "refuse"), "sub_minor_units must be one of 'floor', 'refuse'")
    decimals = values["decimals"] if token else str(_COIN_DECIMALS)
    table.need(
        re.fullmatch("[0-9]{1,2}", decimals, re.ASCII) and int(decimals) <= _MAX_DECIMALS,
        f"decimals must be 0 to {_MAX_DECIMALS}",
    )
    return Settings(
        values["chain"],
        values["currency"],
        "floor" if sub_minor_units == "floor" else "refuse",
        address(values["contract"]) if token else None,
        int(decimals),
    )


def address(text: str) -> str:
    """An address with its checksum (EIP-55). Raises ``ValueError`` for what is none, or has a wrong checksum."""
    from eth_utils.address import is_checksum_address, to_checksum_address

    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text, re.ASCII):
        raise ValueError(f"{text[:60]!r} is no address: 0x and 40 hex digits")
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and not is_checksum_address(text):
        raise ValueError(f"{text}: the checksum (EIP-55) does not hold, a digit is wrong")
    return str(to_checksum_address(text))


# -- asking ----------------------------------------------------------------------------------------------------------


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """Ask the chain's endpoints at the pinned block; the one document is what they agreed on.

    Raises :class:`OperatorError` for a chain that is not configured or an ``external_account`` that is no address;
    :class:`SourceError` naming ``asked.where`` with the code of what the chain's client refused, and ``wrong-contract``
    if the contract says other decimals.
    """
    if settings.chain not in reach.clients:
        raise _unusable(
            f"{asked.where}: there is no chain {settings.chain!r}",
            "unknown-chain",
            f"Add it to [chains], which has {', '.join(reach.clients) or 'none'}. No token needs to be deployed on it.",
        )
    try:
        holder = address(asked.external_account)
    except ValueError as fault:
        raise _unusable(
            f"{asked.where}: external_account: {fault}",
            "malformed-address",
            "external_account of an account on a chain is the address that holds the coins.",
        ) from None
    reach.remaining(asked.where)
    try:
        block = reach.block_at(settings.chain, asked.cutoff)
        balance = _ask(asked.where, settings, holder, block, reach)
    except ChainError as fault:
        raise _as_source_error(asked.where, settings.chain, fault) from None
    document = ChainBalance("attest-chain-balance/1", block, settings.contract, holder, settings.decimals, balance)
    yield Document.of(f"chain {settings.chain}: block {block.number}", records.to_json(document))


def _ask(where: str, settings: Settings, holder: str, block: Block, reach: Reach) -> int:
    """The balance in the smallest unit. One request for each account."""
    from attest.chain.batch import Batch
    from attest.chain.contracts import Call, state_unavailable
    from attest.chain.rpc import RpcError, balance_request
    from attest.chain.values import quantity

    what = f"the balance of {holder}"
    with reach.client(settings.chain) as client:
        batch = Batch(client, block)
        if settings.contract is None:
            place = batch.add(balance_request(holder, block))
            batch.run()
            answer = batch.answer(place)
            if answer is None or isinstance(answer, RpcError):
                raise state_unavailable(what, answer)
            return quantity(answer, what)
        token = f"the token {settings.contract}"
        code = batch.code(settings.contract, token)
        padded = bytes(12) + bytes.fromhex(holder[2:])
        decimals = batch.call(Call(settings.contract, _DECIMALS, partial(_word, "decimals()"), "decimals()"))
        balance = batch.call(Call(settings.contract, _BALANCE_OF + padded, partial(_word, what), what))
        batch.run()
        code()
        if decimals() != settings.decimals:
            raise _refuse(where, "wrong-contract", f"{token} has {decimals()} decimals, not {settings.decimals}")
        units: int = balance()
        return units


def _word(what: str, returned: bytes) -> int:
    from attest.chain.values import malformed

    if len(returned) != 32:
        raise malformed(what, f"is {len(returned)} bytes, not 32")
    return int.from_bytes(returned)


def _as_source_error(where: str, chain: str, fault: ChainError) -> SourceError:
    """A chain that does not answer is a source that fails, beside all the others."""
    advice = fault.advice
    if fault.code in _FORGOTTEN:
        advice = (
            "Check the address and the chain. If they are right, the node has pruned this block's state: give "
            f"chains.{chain} an archive endpoint, or run within its memory after the cutoff (Besu: 512 blocks)."
        )
    return SourceError(f"{where}: {fault.message}", code=fault.code, reason=fault.reason, advice=advice)


def _unusable(message: str, code: str, advice: str) -> OperatorError:
    return OperatorError(
        message, code=code, reason="A balance is read of exactly one address, on exactly one chain.", advice=advice
    )


def _refuse(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


# -- reading ---------------------------------------------------------------------------------------------------------


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The balance in each document, as of its block. Pure.

    Raises :class:`SourceError` naming the document: ``malformed-document``, ``wrong-contract``, ``too-many-decimals``.
    """
    return table.merge((document.name, [_read_one(document, settings)]) for document in documents)


def _read_one(document: Document, settings: Settings) -> StatedBalance:
    where = document.name
    data = document.read(TOKEN.max_bytes)
    said = records.from_json(ChainBalance, data, where, SourceError)
    if records.to_json(said) != data:
        raise _refuse(where, "malformed-document", "is not as attest writes it")
    if said.contract != settings.contract or said.decimals != settings.decimals:
        detail = f"is of {said.contract or 'the own coin'} with {said.decimals} decimals, not of "
        raise _refuse(
            where,
            "wrong-contract",
            f"{detail}{settings.contract or 'the own coin'} with {settings.decimals}",
        )
    unit = currency(settings.currency, where)
    try:
        holder = address(said.holder)
        as_of = datetime.fromtimestamp(said.block.timestamp, UTC)
    except (ValueError, OverflowError, OSError) as fault:
        raise _refuse(where, "malformed-document", str(fault)) from None
    if holder != said.holder or said.balance < 0 or said.block.chain_id < 1 or said.block.number < 0:
        raise _refuse(where, "malformed-document", "is not as attest writes it")
    return StatedBalance(
        account=holder,
        currency=unit.code,
        minor_units=_minor_units(said, unit, settings, where),
        balance_kind="on-chain",
        as_of=as_of,
        statement_id=f"block {said.block.number} 0x{said.block.hash} of chain {said.block.chain_id}",
    )


def _minor_units(said: ChainBalance, unit: Currency, settings: Settings, where: str) -> int:
    shift = said.decimals - unit.exponent
    minor_units, dust = divmod(said.balance * int(10 ** max(-shift, 0)), int(10 ** max(shift, 0)))
    if dust and settings.sub_minor_units == "refuse":
        whole = Currency("", said.decimals).format(said.balance)
        raise _refuse(where, "too-many-decimals", f"{whole} has more decimals than {unit.code} has ({unit.exponent})")
    return minor_units


def _format(title: str, token: bool, options: Mapping[str, str]) -> Format:
    prepared: Any = partial(prepare, token=token)
    return Format(title, prepared, read, options, fetch=fetch, max_bytes=1 << 16, location="none")


TOKEN = _format("an ERC-20 token's balance on a chain", True, _COMMON | _TOKEN)
COIN = _format("the balance of a chain's own coin", False, _COMMON)
