"""Snapshots: what a source that knows only the present said before the cutoff, kept until the run asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest import records
from attest.custody.document import Document
from attest.custody.evidence import Evidence, contradicted
from attest.errors import ConflictError, SourceError
from attest.records import Hex32, format_instant


@dataclass(frozen=True)
class Snapshot:
    """The documents that one source gave at ``retrieved_at`` (aware): their digests and provenance."""

    format: Literal["attest-custody-snapshot/1"]
    period: str
    account: str
    source: str
    retrieved_at: datetime
    evidence: tuple[Hex32, ...]
    provenance: tuple[str, ...]


def keep(
    evidence: Evidence, period: str, account: str, source: str, documents: Sequence[Document], retrieved_at: datetime
) -> Snapshot:
    """Keep the documents as evidence, and that this source gave them then (create-once).

    Raises what :meth:`Evidence.keep` does."""
    for document in documents:
        evidence.keep(document)
    snapshot = Snapshot(
        "attest-custody-snapshot/1",
        period,
        account,
        source,
        retrieved_at,
        tuple(document.digest for document in documents),
        tuple(document.origin for document in documents),
    )
    evidence.store.create(_key(snapshot), records.to_json(snapshot))
    return snapshot


def newest(
    evidence: Evidence, period: str, account: str, source: str, cutoff: datetime
) -> tuple[tuple[Document, ...], datetime]:
    """The documents of the newest snapshot at or before ``cutoff``, and when they were retrieved.

    Raises :class:`SourceError` (``snapshot-missing``) if there is none, :class:`ConflictError` if the store's are not
    what they were.
    """
    where = f"account {account}, source {source}"
    last = f"{cutoff:%Y%m%dT%H%M%SZ}"
    folder = _folder(period, account, source)
    in_time = [key for key in evidence.store.list(folder) if key.rpartition("/")[2] <= last]
    key = max(in_time, default="")
    data = evidence.store.get(key) if key else None
    if data is None:
        raise SourceError(
            f"{where}: no snapshot of {period} was taken by the cutoff {format_instant(cutoff)}",
            code="snapshot-missing",
            reason="This source knows only what is there when it is asked, which is no word on the cutoff afterwards.",
            advice="Schedule `attest custody snapshot` shortly before each cutoff."
            " For this period, use another source.",
        )
    snapshot = records.from_json(Snapshot, data, key, ConflictError)
    asked = (snapshot.period, snapshot.account, snapshot.source) == (period, account, source)
    if not asked or key != _key(snapshot) or len(snapshot.evidence) != len(snapshot.provenance):
        raise contradicted(f"{where}: {key} in {evidence.store.url} is not the snapshot that its name says")
    documents = []
    for digest, provenance in zip(snapshot.evidence, snapshot.provenance, strict=True):
        document = evidence.load(digest, where)
        document.origin = provenance
        documents.append(document)
    return tuple(documents), snapshot.retrieved_at


def _key(snapshot: Snapshot) -> str:
    folder = _folder(snapshot.period, snapshot.account, snapshot.source)
    return f"{folder}/{snapshot.retrieved_at:%Y%m%dT%H%M%SZ}"


def _folder(period: str, account: str, source: str) -> str:
    return f"snapshots/{period}/{account}/{source}"
