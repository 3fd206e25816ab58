"""The journal of transactions: what was signed, written down before it is sent.

    tx/<chain id>/<sender>/<nonce>/<attempt>

Creating attempt 0 claims the nonce for one intent; attempt k + 1 replaces attempt k at the same nonce. Objects are
created once and never change, so two runners that want the same nonce end with one transaction: the loser reads the
winner's. An object is believed only as far as its signed bytes say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from attest.errors import ConflictError, VerificationError
from attest.records import Amount, Hex32, from_json, to_json
from attest.signing.transaction import Transaction, decode, transaction_hash
from attest.store import Store


@dataclass(frozen=True)
class JournalEntry:
    """One attempt to land one intent: the transaction's fields and its signed bytes.

    ``purpose`` is ``void`` for a self-transfer that only frees the nonce. ``timestamp`` (Unix seconds) is the chain
    head's when the calldata was built. ``to`` and ``sender`` are checksummed addresses, prices in wei per gas; a legacy
    transaction has its gas price in ``max_fee_per_gas`` and a priority fee of 0. ``data`` and ``raw`` are hex.
    """

    format: Literal["attest-transaction/1"]
    intent: str
    description: str
    purpose: Literal["intent", "void"]
    timestamp: int
    sender: str
    attempt: int
    kind: Literal["legacy", "eip1559"]
    chain_id: int
    nonce: int
    to: str
    value: Amount
    data: str
    gas: int
    max_fee_per_gas: Amount
    max_priority_fee_per_gas: Amount
    hash: Hex32
    raw: str

    @classmethod
    def of(
        cls,
        transaction: Transaction,
        raw: bytes,
        *,
        intent: str,
        description: str,
        purpose: Literal["intent", "void"],
        timestamp: int,
        sender: str,
        attempt: int,
    ) -> JournalEntry:
        """The entry of a signed transaction."""
        return cls(
            format="attest-transaction/1",
            intent=intent,
            description=description,
            purpose=purpose,
            timestamp=timestamp,
            sender=sender,
            attempt=attempt,
            kind=transaction.kind,
            chain_id=transaction.chain_id,
            nonce=transaction.nonce,
            to=transaction.to,
            value=transaction.value,
            data=transaction.data.hex(),
            gas=transaction.gas,
            max_fee_per_gas=transaction.max_fee_per_gas,
            max_priority_fee_per_gas=transaction.max_priority_fee_per_gas,
            hash=transaction_hash(raw),
            raw=raw.hex(),
        )

    @property
    def key(self) -> str:
        """Where it stands in the store."""
        return f"{_folder(self.chain_id, self.sender)}/{self.nonce}/{self.attempt}"

    @property
    def transaction(self) -> Transaction:
        """The unsigned transaction. Raises ``ValueError`` for fields that none can carry."""
        return Transaction(
            kind=self.kind,
            chain_id=self.chain_id,
            nonce=self.nonce,
            to=self.to,
            value=self.value,
            data=bytes.fromhex(self.data),
            gas=self.gas,
            max_fee_per_gas=self.max_fee_per_gas,
            max_priority_fee_per_gas=self.max_priority_fee_per_gas,
        )


class Journal:
    """The journal of one chain. Entries never change, so each is read once."""

    def __init__(self, store: Store, chain_id: int) -> None:
        self._store = store
        self._chain_id = chain_id
        self._read: dict[str, JournalEntry] = {}
        self._checked: set[str] = set()

    def attempts(self, sender: str) -> Mapping[int, tuple[JournalEntry, ...]]:
        """All attempts of a sender by nonce, each in their order, ascending.

        Raises :class:`ConflictError` for an object that is no entry, is in another's place, or carries another intent
        than the nonce's first.
        """
        folder = _folder(self._chain_id, sender)
        places = []
        for key in self._store.list(folder):
            place = re.fullmatch(r"(0|[1-9][0-9]{0,19})/(0|[1-9][0-9]{0,9})", key.removeprefix(f"{folder}/"), re.ASCII)
            if place is None:
                raise self._conflict(key, "is not a place for a transaction")
            places.append((int(place[1]), int(place[2]), key))
        found: dict[int, tuple[JournalEntry, ...]] = {}
        for nonce, attempt, key in sorted(places):
            before = found.get(nonce, ())
            if attempt != len(before):
                raise self._conflict(key, f"has no attempt {len(before)} before it")
            entry = self._entry(key)
            if before and before[0].intent != entry.intent:
                raise self._conflict(key, f"carries {entry.intent}, but its nonce is {before[0].intent}'s")
            found[nonce] = (*before, entry)
        return found

    def claim(self, entry: JournalEntry) -> JournalEntry:
        """Write ``entry``, whose signed bytes the caller has checked, in its place, durably, unless another stands
        there; the entry that stands there, still to be :meth:`checked` if it is another.

        Raises :class:`ConflictError` if what stands there is no entry.
        """
        if self._store.create(entry.key, to_json(entry)):
            self._read[entry.key] = entry
            self._checked.add(entry.key)
        return self._entry(entry.key)

    def checked(self, entry: JournalEntry) -> JournalEntry:
        """``entry``, if its signed bytes are its fields, signed by its sender; raises :class:`ConflictError` if not.

        Recovering a signer takes some 10 ms, so only entries that matter now are checked.
        """
        if entry.key not in self._checked:
            try:
                raw = bytes.fromhex(entry.raw)
                same = decode(raw) == (entry.transaction, entry.sender) and transaction_hash(raw) == entry.hash
            except (ValueError, VerificationError):
                same = False
            if not same:
                raise self._conflict(entry.key, "says something else than its signed bytes")
            self._checked.add(entry.key)
        return entry

    def _entry(self, key: str) -> JournalEntry:
        if key not in self._read:
            data = self._store.get(key)
            if data is None:
                raise self._conflict(key, "exists, but cannot be read")
            entry = from_json(JournalEntry, data, f"{self._store.url}: {key}", ConflictError)
            if entry.key != key:
                raise self._conflict(key, f"holds the transaction of {entry.key}")
            self._read[key] = entry
        return self._read[key]

    def _conflict(self, key: str, detail: str) -> ConflictError:
        return ConflictError(
            f"{self._store.url}: {key} {detail}",
            code="journal-conflict",
            reason="The journal decides which transaction lands; one that was touched could send twice, or hide it.",
            advice="Send nothing more with this key, keep the store as it is, and find out who can write to it.",
        )


def _folder(chain_id: int, sender: str) -> str:
    return f"tx/{chain_id}/{sender}"
