"""The public documents: everything that may reach the public store, field by field. This module is the allow-list.

No account id, custodian, source name, salt or evidence digest has a field here. Formats are versioned by their
``format`` (or ``predicateType``); a newer release reads every older version.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest.block import Block
from attest.records import Amount, Hex32

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:reserve-attest:predicate:reserves:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: Of the envelope around a manifest (ours; never that of a statement).
MANIFEST_PAYLOAD_TYPE = "application/vnd.reserve-attest.manifest+json"
#: A log entry's length is a u16 (C2SP tlog-tiles), and the entry is the whole envelope.
MAX_ENVELOPE_BYTES = 65_535

TokenState = Literal["sufficient", "short", "withheld"]
#: Why a whole statement gives no reserve: the period was never attested, or its attestation is withdrawn.
Blank = Literal["missed", "revoked"]
#: Why one token is withheld: as above, or given up by the operator, or by the deadline.
WithheldCode = Literal["operator", "deadline", "missed", "revoked"]

# -- the signed statement --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digests:
    """Digests of a file, in-toto DigestSet with sha256 only."""

    sha256: Hex32


@dataclass(frozen=True)
class Subject:
    """A file that the statement is about (in-toto ResourceDescriptor)."""

    name: str
    digest: Digests


@dataclass(frozen=True)
class AbandonedAttempt:
    """An earlier attempt of this period that was given up before anything was reported, and the reason given."""

    attempt: int
    reason: str


@dataclass(frozen=True)
class ChainBlocks:
    """The two blocks at which a chain was read: the supply block (the last at or before the cutoff, or the head of the
    run when ``supply_at`` is ``run``) and the confirm block. ``supply_gap_seconds`` is cutoff minus the supply block's
    time (negative when the block is later)."""

    chain_id: int
    supply: Block
    supply_gap_seconds: int
    confirm: Block


@dataclass(frozen=True)
class DeploymentStatement:
    """One deployment of a token: its supply at the supply block and at the confirm block, in its own base units."""

    chain_id: int
    address: str
    decimals: int
    supply_units: Amount
    confirm_supply_units: Amount


@dataclass(frozen=True)
class CodeCount:
    """How often an enumerated code occurred."""

    code: str
    count: int


@dataclass(frozen=True)
class Agreement:
    """How the accounts of a token were agreed, as counts only: accounts, sources counted, fewest sources and origins
    that agreed on any one account, dissenting sources, and waivers by code."""

    accounts: int
    sources_counted: int
    fewest_sources: int
    fewest_origins: int
    dissent: int
    waivers: tuple[CodeCount, ...]

    @property
    def waived(self) -> int:
        """How many accounts were decided under a waiver: each under one."""
        return sum(waiver.count for waiver in self.waivers)


@dataclass(frozen=True)
class PolicyInForce:
    """The weakest quorum rule that any account of this token was decided by. Tolerances in minor units and basis
    points, age in seconds back from the cutoff."""

    min_sources: int
    min_origins: int
    tolerance_abs: Amount
    tolerance_bps: int
    max_age_seconds: int
    allow_dissent: int


@dataclass(frozen=True)
class ReportTransaction:
    """A mined ``submitReserveReport`` transaction of this operator."""

    chain_id: int
    reporter: str
    transaction: Hex32
    block_number: int


@dataclass(frozen=True)
class ConsensusStatement:
    """The oracle at the confirm block: ``getVerifiedReserve``, ``isQuorumMet``, standing reports and the quorum."""

    oracle: str
    units: Amount
    quorum_met: bool
    required_quorum: int
    reports: int


@dataclass(frozen=True)
class TokenStatement:
    """One token's answer. ``sufficient`` and ``short`` compare the lower of our reserve and the chain's consensus with
    the higher of both supplies, as integers in units of ``decimals``; ``withheld`` carries a ``withheld_code`` and no
    reserve. ``ratio_percent`` is floored to one decimal."""

    token: str
    currency: str
    exponent: int
    decimals: int
    verdict: TokenState
    supply_units: Amount
    confirm_supply_units: Amount
    deployments: tuple[DeploymentStatement, ...]
    reserve_minor_units: Amount | None = None
    reserve_units: Amount | None = None
    remainder_minor_units: Amount | None = None
    surplus_units: Amount | None = None
    ratio_percent: str | None = None
    oldest_as_of: datetime | None = None
    agreement: Agreement | None = None
    policy: PolicyInForce | None = None
    reports: tuple[ReportTransaction, ...] = ()
    consensus: ConsensusStatement | None = None
    withheld_code: str | None = None


@dataclass(frozen=True)
class MerkleCommitment:
    """Root and size of the tree of reserve leaves (RFC 9162 section 2.1, SHA-256)."""

    root: Hex32
    size: int


@dataclass(frozen=True)
class Disclosure:
    """A salted commitment to a private detail that an auditor may open: sha256 over the stored detail document."""

    kind: Literal["waiver", "dissent", "acknowledgement", "withheld"]
    code: str
    sha256: Hex32


@dataclass(frozen=True)
class Supersedes:
    """What a revision puts out of force: the statement (its digest) of the revision before it, of the same period.

    ``revision``: this statement stands in its place. ``revocation``: nothing does, every token is withheld with the
    code ``revoked``. ``reason`` is one line, in public.
    """

    statement: Hex32
    kind: Literal["revision", "revocation"]
    reason: str


@dataclass(frozen=True)
class Predicate:
    """What the attestor states about one period. Amounts are decimal strings.

    ``configuration`` is a salted commitment to the configuration in force. ``clock`` is ``pinned`` on a rehearsal whose
    time was fixed by configuration. ``supersedes`` stands in every revision but the first (0). ``bundle``: the
    attestation's folder has a manifest of that format, which an attestor signed; statements of earlier releases do not
    say so.
    """

    issuer: str
    period: str
    revision: int
    attempt: int
    abandoned: tuple[AbandonedAttempt, ...]
    cutoff: datetime
    clock: Literal["system", "pinned"]
    supply_at: Literal["cutoff", "run"]
    chains: tuple[ChainBlocks, ...]
    tokens: tuple[TokenStatement, ...]
    merkle: MerkleCommitment
    disclosures: tuple[Disclosure, ...]
    configuration: Hex32
    software: str
    bundle: Literal["attest-manifest/2"] | None = None
    supersedes: Supersedes | None = None


@dataclass(frozen=True)
class Statement:
    """The in-toto Statement v1 that the attestors sign (in-toto attestation spec, "Statement")."""

    _type: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicateType: Literal["urn:reserve-attest:predicate:reserves:v1"]  # noqa: N815 - in-toto's own name
    predicate: Predicate


@dataclass(frozen=True)
class ReservesToken:
    """A token's committed total: the sum of its leaves, in minor units and scaled to token units."""

    token: str
    currency: str
    minor_units: Amount
    units: Amount
    accounts: int


@dataclass(frozen=True)
class Reserves:
    """``reserves.json``, the statement's subject: what was committed to before anything was reported."""

    format: Literal["attest-reserves/1"]
    period: str
    revision: int
    merkle: MerkleCommitment
    tokens: tuple[ReservesToken, ...]


# -- beside the statement in the bundle ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """One mined transaction of this operator."""

    purpose: Literal["report", "anchor"]
    token: str | None
    chain_id: int
    sender: str
    to: str
    transaction: Hex32
    block: Hex32
    block_number: int
    gas_used: int


@dataclass(frozen=True)
class Anchor:
    """What ``AttestationRegistry.publish`` holds for this period and revision, read back at ``block``."""

    chain_id: int
    registry: str
    publisher: str
    block: Block
    root: Hex32
    size: int
    statement: Hex32
    log_root: Hex32
    log_size: int


@dataclass(frozen=True)
class Receipts:
    """``receipts.json``: the transactions that reported and anchored this attestation."""

    format: Literal["attest-receipts/1"]
    period: str
    revision: int
    statement: Hex32
    receipts: tuple[Receipt, ...]
    anchor: Anchor


@dataclass(frozen=True)
class StorageProof:
    """One EIP-1186 storage proof: 32-byte slot key, value and trie nodes (RLP), all in hex without prefix."""

    slot: Hex32
    value: Amount
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class AccountProof:
    """One EIP-1186 account proof with its storage proofs; ``purpose`` says what the slots hold."""

    purpose: Literal["supply", "consensus", "anchor"]
    token: str | None
    address: str
    code_hash: Hex32
    nodes: tuple[str, ...]
    storage: tuple[StorageProof, ...]


@dataclass(frozen=True)
class BlockProof:
    """A block's header (RLP, hex) and what is proven at its state root."""

    block: Block
    header: str
    accounts: tuple[AccountProof, ...]


@dataclass(frozen=True)
class ChainProof:
    """``chain-proof.json``: state proofs at the supply, confirm and anchor blocks."""

    format: Literal["attest-chain-proof/1"]
    period: str
    revision: int
    blocks: tuple[BlockProof, ...]


@dataclass(frozen=True)
class ManifestFile:
    """One file of the bundle, by name, with its sha256 and size in bytes."""

    name: str
    sha256: Hex32
    size: int


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``: the files of one attestation's folder. From version 2 on an attestor signs it, as a whole:
    ``manifest.dsse.json`` (payload type :data:`MANIFEST_PAYLOAD_TYPE`) carries its very bytes and is not listed in
    it."""

    format: Literal["attest-manifest/1", "attest-manifest/2"]
    period: str
    revision: int
    files: tuple[ManifestFile, ...]


# -- the dashboard's data --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeedToken:
    """One token in one period, as the dashboard shows it: exact decimal strings with their unit, and token units.
    ``agreement`` is the statement's."""

    token: str
    currency: str
    decimals: int
    verdict: TokenState
    reserve: str | None
    reserve_units: Amount | None
    supply: str
    supply_units: Amount
    surplus_units: Amount | None
    ratio_percent: str | None
    oldest_as_of: datetime | None
    agreement: Agreement | None
    reports: int | None
    required_quorum: int | None
    transactions: tuple[Hex32, ...]
    withheld_code: str | None


@dataclass(frozen=True)
class FeedPeriod:
    """One revision of an attested period: its state, its folder and files in the public store, its anchor, the attempts
    given up before it, and what it supersedes. Of a period's revisions the newest counts."""

    period: str
    revision: int
    cutoff: datetime
    clock: Literal["system", "pinned"]
    folder: str
    files: tuple[str, ...]
    statement: Hex32
    merkle_root: Hex32
    merkle_size: int
    log_index: int
    witnesses: tuple[str, ...]
    attestors: tuple[str, ...]
    anchor_transaction: Hex32 | None
    tokens: tuple[FeedToken, ...]
    abandoned: tuple[AbandonedAttempt, ...] = ()
    supersedes: Supersedes | None = None


@dataclass(frozen=True)
class Feed:
    """``feed.json``: the whole public history, newest first. ``cadence_seconds`` is how often a period falls due."""

    format: Literal["attest-feed/1"]
    issuer: str
    contact: str
    log_origin: str
    log_vkey: str
    chain_ids: tuple[int, ...]
    cadence_seconds: int
    grace_seconds: int
    periods: tuple[FeedPeriod, ...]
