"""What each step of a run decides, as it is stored in the private store. ``made_from`` names the digests of the
artifacts that a step was computed from (:mod:`attest.runs` checks them at every reading)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from attest.chain.state import ConfirmationReading, SupplyReading
from attest.documents import AbandonedAttempt, Anchor, Blank, BlockProof, Supersedes, WithheldCode
from attest.model import (
    AccountPolicy,
    Observation,
    ReportReceipt,
    SourceFailure,
    TokenReserve,
    Verdict,
)
from attest.records import Amount, Hex32


@dataclass(frozen=True)
class Opened:
    """Step 1. The period is fixed: cutoff, configuration, policies, the accounts' last attested balances (and the
    digests of the verdicts that they are from, by key, newest first), and the supply. A revision names what it
    ``supersedes``. ``blank``: no policy and no balance, the statement gives no reserve."""

    format: Literal["attest-run-open/1"]
    period: str
    attempt: int
    revision: int
    abandoned: tuple[AbandonedAttempt, ...]
    cutoff: datetime
    opened_at: datetime
    clock: Literal["system", "pinned"]
    supply_at: Literal["cutoff", "run"]
    configuration: Hex32
    configuration_salt: Hex32
    configuration_commitment: Hex32
    policies: tuple[AccountPolicy, ...]
    previous: Mapping[str, Amount]
    previous_verdicts: Mapping[str, Hex32]
    supply: SupplyReading
    supersedes: Supersedes | None = None
    blank: Blank | None = None


@dataclass(frozen=True)
class Collected:
    """Step 2. What every source said, and which ones failed (an account's quorum held without those). ``ownership``:
    the digests of the proofs that key-proven accounts are the issuer's, by account."""

    format: Literal["attest-run-collection/1"]
    made_from: Mapping[str, Hex32]
    collected_at: datetime
    observations: tuple[Observation, ...]
    failures: tuple[SourceFailure, ...]
    ownership: Mapping[str, Hex32] = field(default_factory=dict)


@dataclass(frozen=True)
class WithheldToken:
    """A token that this attestation gives no reserve for: who gave it up, and which accounts did not pass."""

    token: str
    code: WithheldCode
    accounts: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """Step 3. The quorum's verdict on every account, the tokens withheld, and the changes a person acknowledged."""

    format: Literal["attest-run-verdict/1"]
    made_from: Mapping[str, Hex32]
    verdict: Verdict
    withheld: tuple[WithheldToken, ...]
    acknowledged: tuple[str, ...]


@dataclass(frozen=True)
class Committed:
    """Step 4. The leaves' exact bytes (base64, in tree order), the root over them, and the totals per token."""

    format: Literal["attest-run-commitment/1"]
    made_from: Mapping[str, Hex32]
    leaves: tuple[str, ...]
    root: Hex32
    tokens: tuple[TokenReserve, ...]


@dataclass(frozen=True)
class Submitted:
    """Step 5. The intents that carry the reports; their transactions are in the journal under ``tx/``."""

    format: Literal["attest-run-submission/1"]
    made_from: Mapping[str, Hex32]
    intents: tuple[str, ...]


@dataclass(frozen=True)
class Confirmed:
    """Step 6. Where the reports landed, and what the chain said of every token at the confirm block."""

    format: Literal["attest-run-confirmation/1"]
    made_from: Mapping[str, Hex32]
    receipts: tuple[ReportReceipt, ...]
    reading: ConfirmationReading


@dataclass(frozen=True)
class DisclosureDetail:
    """A private detail whose salted digest the statement carries; an auditor who is given it can check it."""

    format: Literal["attest-disclosure/1"]
    kind: Literal["waiver", "dissent", "acknowledgement", "withheld"]
    code: str
    subject: str
    detail: str
    salt: Hex32


@dataclass(frozen=True)
class Disclosures:
    """The details' exact bytes (base64), in the order of the statement's ``disclosures``, the software's version, and
    the manifest that the bundle will have: all that the statement needs besides the steps before. Runs that an earlier
    release signed name no manifest."""

    format: Literal["attest-run-disclosures/1"]
    made_from: Mapping[str, Hex32]
    software: str
    details: tuple[str, ...]
    bundle: Literal["attest-manifest/2"] | None = None


@dataclass(frozen=True)
class StatementSignature:
    """One attestor's signature over the payload or the manifest (base64 of DER), with its public key (SPKI, PEM) and
    that key's digest."""

    format: Literal["attest-run-signature/1"]
    made_from: Mapping[str, Hex32]
    keyid: Hex32
    public_key: str
    sig: str


@dataclass(frozen=True)
class Logged:
    """Step 8. Where the envelope stands in the log, and the checkpoint it is proven against, with its cosignatures.
    ``timestamp`` is that checkpoint's RFC 3161 response (base64), if one was made."""

    format: Literal["attest-run-log/1"]
    made_from: Mapping[str, Hex32]
    index: int
    size: int
    witnesses: int
    root: Hex32
    proof: str
    timestamp: str | None = None


@dataclass(frozen=True)
class Anchored:
    """Step 9. The registry's entry for this period and revision, and its proof."""

    format: Literal["attest-run-anchor/1"]
    made_from: Mapping[str, Hex32]
    receipts: tuple[ReportReceipt, ...]
    anchor: Anchor
    proof: BlockProof


@dataclass(frozen=True)
class Published:
    """Step 10. The public files of this attestation, by name, and their digests."""

    format: Literal["attest-run-publication/1"]
    made_from: Mapping[str, Hex32]
    folder: str
    files: Mapping[str, Hex32]


@dataclass(frozen=True)
class Refreshed:
    """One later report of the same committed reserves, for contracts whose reports age faster than a week."""

    format: Literal["attest-run-refresh/1"]
    made_from: Mapping[str, Hex32]
    receipts: tuple[ReportReceipt, ...]
