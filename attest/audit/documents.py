"""The documents of an audit package: private, versioned, with a schema."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest.documents import ManifestFile
from attest.records import Hex32


@dataclass(frozen=True)
class AuditManifest:
    """``manifest.json`` of an audit package. ``statement``: sha256 of the signed payload. ``sees``: what the operator
    granted. ``files``: all others but SHA256SUMS, which lists this one too."""

    format: Literal["attest-audit-manifest/1"]
    issuer: str
    period: str
    revision: int
    statement: Hex32
    auditor: str
    sees: tuple[str, ...]
    files: tuple[ManifestFile, ...]


Event = Literal[
    "opened",
    "refused",
    "collected",
    "held",
    "acknowledged",
    "withheld",
    "decided",
    "committed",
    "abandoned",
    "submitting",
    "transaction",
    "submitted",
    "confirmed",
    "refreshed",
    "statement-fixed",
    "signed",
    "logged",
    "cosigned",
    "anchored",
    "published",
]


@dataclass(frozen=True)
class ControlEvent:
    """One thing that was done in ``attempt``: when (``at``; None where no time is stored), by whom, to what, and what
    came of it. ``key`` and ``sha256`` are those of the stored object that says so."""

    attempt: int
    event: Event
    at: datetime | None
    who: str
    subject: str
    detail: str
    key: str
    sha256: Hex32


@dataclass(frozen=True)
class ControlLog:
    """The events of one attestation, in the order in which a run does things, attempt by attempt."""

    format: Literal["attest-control-log/1"]
    period: str
    revision: int
    events: tuple[ControlEvent, ...]
