"""The nouns: frozen dataclasses that the rooms pass to each other and store as JSON (:mod:`attest.records`).

Amounts are integers: ``minor_units`` of an ISO-4217 currency, ``units`` of a token's smallest unit. Times are aware UTC
datetimes in whole seconds. Account ids, sources and custodians are private; what the public may see is in
:mod:`attest.statement`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest.block import Block as Block
from attest.money import sum_units
from attest.records import Amount, Hex32

BalanceKind = Literal["closing-booked", "closing-available", "custody-total", "on-chain"]
#: What a source may state: ``interim-booked`` is no account's kind, an intraday balance only corroborates.
StatedKind = Literal["closing-booked", "closing-available", "custody-total", "on-chain", "interim-booked"]
Ownership = Literal["key-proven", "custodian-confirmed", "unproven"]

# -- custody: who says what ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StatedBalance:
    """What one statement says of one account: a signed amount (a debit is negative), its kind and its time.

    ``business_date`` (``YYYY-MM-DD``) is set when the statement gives only a date; ``as_of`` is then the last second of
    that date in the configured zone.
    """

    account: str
    currency: str
    minor_units: Amount
    balance_kind: StatedKind
    as_of: datetime
    statement_id: str
    business_date: str | None = None


#: A column of a database as it is kept: what its values mean.
SqlType = Literal["text", "integer", "numeric", "date", "timestamp", "timestamptz"]


@dataclass(frozen=True)
class SqlCell:
    """One column of a row. ``value``: a text as it is, a number as a plain decimal, a time in ISO 8601 (with ``Z`` if
    it is an instant)."""

    name: str
    type: SqlType
    value: str


@dataclass(frozen=True)
class SqlRow:
    """Evidence: the one row that a database answered with."""

    format: Literal["attest-sql-row/1"]
    columns: tuple[SqlCell, ...]


@dataclass(frozen=True)
class Observation:
    """One configured source's word on one configured account, with the evidence that it was read from.

    ``account`` is the configured id, ``external_account`` what the custodian calls it (IBAN, address); ``evidence`` are
    the sha256 digests of the raw bytes, ``provenance`` says of each where it came from and what identifies it there
    (object version, checksum, the server's date). ``contents`` are the digests of what was read: unpacked, without
    signatures. ``business_date`` is the day of a closing balance, in the account's zone if it was stated with a time.
    """

    account: str
    source: str
    external_account: str
    currency: str
    minor_units: Amount
    balance_kind: StatedKind
    as_of: datetime
    statement_id: str
    retrieved_at: datetime
    evidence: tuple[Hex32, ...]
    business_date: str | None = None
    provenance: tuple[str, ...] = ()
    contents: tuple[Hex32, ...] = ()


@dataclass(frozen=True)
class SourceFailure:
    """Why one source gave no observation: the refusal's code and its three lines."""

    account: str
    source: str
    code: str
    message: str
    reason: str
    advice: str
    evidence: tuple[Hex32, ...] = ()


# -- quorum: do they agree? ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourcePolicy:
    """What the rule needs to know of a source. ``origin``: two feeds of one bank core are one origin.
    ``business_date``: the last business date of that bank at or before the cutoff, which a date-only balance must have
    reached. ``corroborates``: it is compared and shown, and never counts."""

    source: str
    origin: str
    issuer_hosted: bool
    business_date: str
    corroborates: bool = False


@dataclass(frozen=True)
class AccountPolicy:
    """The quorum rule of one account (custody.md, "Quorum: exact semantics").

    ``tolerance_abs`` in minor units, ``tolerance_bps`` and ``change_limit_bps`` in basis points, ``max_age_seconds``
    measured back from the cutoff. ``waiver`` is the coded reason for ``min_sources`` or ``min_origins`` of 1.
    """

    account: str
    token: str
    custodian: str
    external_account: str
    currency: str
    balance_kind: BalanceKind
    ownership: Ownership
    sources: tuple[SourcePolicy, ...]
    min_sources: int
    min_origins: int
    tolerance_abs: Amount
    tolerance_bps: int
    max_age_seconds: int
    allow_dissent: int
    change_limit_bps: int | None = None
    waiver: str | None = None


@dataclass(frozen=True)
class Considered:
    """How one source entered the decision: ``counted`` in the agreeing set, or not and why (``code``, ``detail``)."""

    source: str
    counted: bool
    code: str
    detail: str


@dataclass(frozen=True)
class AccountVerdict:
    """The decision on one account.

    ``accepted``: ``minor_units`` is the minimum of the agreeing set and ``as_of`` its oldest. ``held``: the same, but
    the change against the last period is beyond its limit and waits for a person. ``refused``: no number. ``code`` and
    ``detail`` name the rule that decided, in plain words.
    """

    account: str
    token: str
    outcome: Literal["accepted", "held", "refused"]
    code: str
    detail: str
    considered: tuple[Considered, ...]
    minor_units: Amount | None = None
    as_of: datetime | None = None
    evidence: tuple[Hex32, ...] = ()
    valid_sources: int = 0
    origins: int = 0
    dissent: int = 0
    waiver: str | None = None
    previous_minor_units: Amount | None = None


@dataclass(frozen=True)
class Verdict:
    """The decision on every account, in the policy's order. Pure: equal inputs give equal bytes."""

    accounts: tuple[AccountVerdict, ...]


@dataclass(frozen=True)
class Decision:
    """``decision.json``, the auditor's: all that the quorum decided on, so that anybody can decide again
    (:func:`attest.quorum.decide`). ``acknowledged``: the held accounts whose change a person accepted. ``withheld``:
    the tokens given up, whose accounts decide nothing."""

    format: Literal["attest-decision/1"]
    period: str
    revision: int
    cutoff: datetime
    policies: tuple[AccountPolicy, ...]
    previous: Mapping[str, Amount]
    observations: tuple[Observation, ...]
    failures: tuple[SourceFailure, ...]
    ownership: Mapping[str, Hex32]
    acknowledged: tuple[str, ...]
    withheld: tuple[str, ...]


# -- merkle: commit to it --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReserveLeaf:
    """One account's balance as committed (formats.md, "Reserve leaf"). Private until its proof is handed out.

    Its hash is ``SHA256(0x00 || bytes)`` over the stored JSON bytes; ``salt`` is 32 fresh CSPRNG bytes each period.
    """

    format: Literal["attest-reserve-leaf/1"]
    period: str
    token: str
    account: str
    custodian: str
    currency: str
    minor_units: Amount
    balance_kind: BalanceKind
    as_of: datetime
    ownership: Ownership
    evidence: tuple[Hex32, ...]
    salt: Hex32


@dataclass(frozen=True)
class ReserveLeaves:
    """``leaves.json``, the auditor's full file: every leaf's exact bytes (base64), in tree order."""

    format: Literal["attest-leaves/1"]
    period: str
    revision: int
    leaves: tuple[str, ...]


@dataclass(frozen=True)
class TokenReserve:
    """A token's reserve: the sum of its accepted accounts, in minor units, and scaled to the token's units.

    ``remainder_minor_units`` is what flooring left over when the token has fewer decimals than its currency.
    """

    token: str
    currency: str
    exponent: int
    decimals: int
    minor_units: Amount
    units: Amount
    remainder_minor_units: Amount
    oldest_as_of: datetime
    accounts: int


# -- chain: what the contracts say -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChainBalance:
    """Evidence: what an address held at a block, as a chain's endpoints agreed. ``balance`` is in the smallest unit,
    ``10**decimals`` of which are one coin; ``contract`` is None for the chain's own."""

    format: Literal["attest-chain-balance/1"]
    block: Block
    contract: str | None
    holder: str
    decimals: int
    balance: Amount


@dataclass(frozen=True)
class OwnershipChallenge:
    """The nonce of the message that the holder of one account is to sign for one period."""

    format: Literal["attest-ownership-challenge/1"]
    period: str
    account: str
    nonce: Hex32
    created_at: datetime


@dataclass(frozen=True)
class OwnershipProof:
    """Evidence: what the holder's key signed (EIP-712), and the signature: ``r || s || v`` in hex, ``s`` in the lower
    half of the order, ``v`` 27 or 28. It can be checked without anything else."""

    format: Literal["attest-ownership-proof/1"]
    account: str
    entity: str
    period: str
    holder: str
    chain_id: int
    nonce: Hex32
    signature: str


@dataclass(frozen=True)
class DeploymentSupply:
    """``totalSupply()`` of one token deployment at a pinned block, in that deployment's base units."""

    token: str
    chain_id: int
    address: str
    decimals: int
    units: Amount


@dataclass(frozen=True)
class Supply:
    """All tokens' supply, each chain read at its own pinned block."""

    blocks: tuple[Block, ...]
    deployments: tuple[DeploymentSupply, ...]

    def units(self, token: str, decimals: int) -> int:
        """The token's supply summed over its deployments (:func:`attest.money.sum_units`)."""
        return sum_units(((d.units, d.decimals) for d in self.deployments if d.token == token), decimals)


@dataclass(frozen=True)
class ReportReceipt:
    """One mined transaction of this operator: which intent it carried and where it landed."""

    intent: str
    chain_id: int
    sender: str
    nonce: int
    transaction: Hex32
    block: Hex32
    block_number: int
    gas_used: int


@dataclass(frozen=True)
class TokenConsensus:
    """What the oracle says of a token at the confirm block: its consensus reserve and whether the quorum is met.

    ``reports`` maps a reporter's address to the units that it has standing on chain.
    """

    token: str
    units: Amount
    quorum_met: bool
    required_quorum: int
    reports: Mapping[str, Amount]
