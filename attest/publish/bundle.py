"""The public store: one folder per attestation, and the pages made from all of them.

    attestations/<period>[.<revision>]/...   created once, never changed
    log/...                                  the transparency log (attest.log.writer)
    index.html, feed.json                    remade from the folders above at every publication
    verify.html                              the verifier page of this release

Only documents of :mod:`attest.documents` are written here, so nothing private has a field to travel in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from attest.artifacts import Anchored, Confirmed, Opened
from attest.config import Config
from attest.documents import (
    BlockProof,
    ChainProof,
    Feed,
    FeedPeriod,
    FeedToken,
    Manifest,
    ManifestFile,
    Receipt,
    Receipts,
    TokenStatement,
)
from attest.errors import ConflictError
from attest.log.checkpoint import open_checkpoint, verify_witnesses
from attest.log.note import parse_vkey
from attest.log.proof import parse_log_proof
from attest.model import ReportReceipt
from attest.money import Currency, format_units
from attest.period import revision_name
from attest.publish.site.render import render
from attest.records import digest, from_json, to_json
from attest.signing.dsse import parse_envelope
from attest.statement import read
from attest.store import Store

ENVELOPE = "attestation.dsse.json"
MANIFEST = "manifest.json"
MANIFEST_ENVELOPE = "manifest.dsse.json"
LOG_PROOF = "attestation.tlog-proof"
TIMESTAMP = "checkpoint.tsr"
CADENCE_SECONDS = 7 * 24 * 3600


def folder(period: str, revision: int) -> str:
    """Where an attestation's files stand in the public store."""
    return f"attestations/{revision_name(period, revision)}"


def put(store: Store, key: str, data: bytes) -> None:
    """Create a public file; raises :class:`ConflictError` if another content was published there before."""
    if not store.create(key, data) and store.get(key) != data:
        raise ConflictError(
            f"{store.url}: {key} was published with another content",
            code="published-differs",
            reason="What was published once is never changed.",
            advice="Find out who has write access to the public store; keep both contents as evidence.",
        )


def files(
    *,
    opened: Opened,
    confirmed: Confirmed,
    anchored: Anchored,
    reserves: bytes,
    envelope: bytes,
    log_proof: bytes,
    timestamp: bytes | None,
    oracle: str,
    registry: str,
) -> dict[str, bytes]:
    """The files of one attestation's folder, by name, but for the manifest (:func:`manifest`) that covers them."""
    payload = parse_envelope(envelope).body
    receipts = Receipts(
        format="attest-receipts/1",
        period=opened.period,
        revision=opened.revision,
        statement=digest(payload),
        receipts=(
            *(_receipt("report", receipt, oracle) for receipt in confirmed.receipts),
            *(_receipt("anchor", receipt, registry) for receipt in anchored.receipts),
        ),
        anchor=anchored.anchor,
    )
    chain_proof = ChainProof(
        format="attest-chain-proof/1",
        period=opened.period,
        revision=opened.revision,
        blocks=_merged((*opened.supply.proofs, *confirmed.reading.proofs, anchored.proof)),
    )
    content = {
        ENVELOPE: envelope,
        LOG_PROOF: log_proof,
        "reserves.json": reserves,
        "receipts.json": to_json(receipts),
        "chain-proof.json": to_json(chain_proof),
    }
    return content if timestamp is None else content | {TIMESTAMP: timestamp}


def manifest(
    content: Mapping[str, bytes],
    *,
    version: Literal["attest-manifest/1", "attest-manifest/2"],
    period: str,
    revision: int,
) -> bytes:
    """The bytes of ``manifest.json`` over the other files; of version 2 an attestor signs them."""
    return to_json(
        Manifest(
            format=version,
            period=period,
            revision=revision,
            files=tuple(ManifestFile(file, digest(data), len(data)) for file, data in sorted(content.items())),
        )
    )


def _receipt(purpose: str, receipt: ReportReceipt, to: str) -> Receipt:
    return Receipt(
        purpose="report" if purpose == "report" else "anchor",
        token=receipt.intent.split("/")[3] if purpose == "report" else None,
        chain_id=receipt.chain_id,
        sender=receipt.sender,
        to=to,
        transaction=receipt.transaction,
        block=receipt.block,
        block_number=receipt.block_number,
        gas_used=receipt.gas_used,
    )


def _merged(proofs: tuple[BlockProof, ...]) -> tuple[BlockProof, ...]:
    """One entry per block: several steps may have read at the same one."""
    merged: dict[str, BlockProof] = {}
    for proof in proofs:
        before = merged.get(proof.block.hash)
        accounts = proof.accounts if before is None else (*before.accounts, *proof.accounts)
        merged[proof.block.hash] = BlockProof(proof.block, proof.header, accounts)
    return tuple(merged.values())


# -- the pages -------------------------------------------------------------------------------------------------------


def refresh_site(store: Store, config: Config, *, now: datetime) -> None:
    """Remake ``index.html`` and ``feed.json`` from the attestations in the public store, and put this release's
    ``verify.html`` beside them; again, as long as others
    publish meanwhile: a slower run must not leave theirs out."""
    published: list[str] | None = None
    while (found := store.list("attestations")) != published:
        published = found
        for key, data in render(feed(store, config), now=now).items():
            store.replace(key, data)


def feed(store: Store, config: Config) -> Feed:
    """The whole public history, newest first, read back from the attestations' folders."""
    folders = {key.rsplit("/", 1)[0] for key in store.list("attestations")}
    periods = [
        _period(store, config, place, envelope)
        for place in folders
        if (envelope := store.get(f"{place}/{ENVELOPE}")) is not None
        and store.get(f"{place}/{MANIFEST}") is not None  # written last
    ]
    return Feed(
        format="attest-feed/1",
        issuer=config.issuer.name,
        contact=config.issuer.contact,
        log_origin=config.log.origin,
        log_vkey=config.signing.log.vkey,
        chain_ids=tuple(sorted(chain.chain_id for chain in config.chains.values())),
        cadence_seconds=CADENCE_SECONDS,
        grace_seconds=config.schedule.grace_hours * 3600,
        periods=tuple(sorted(periods, key=lambda entry: (entry.period, entry.revision, entry.folder), reverse=True)),
    )


def _period(store: Store, config: Config, place: str, envelope: bytes) -> FeedPeriod:
    parsed = parse_envelope(envelope, f"{place}/{ENVELOPE}")
    predicate = read(parsed.body, f"{place}/{ENVELOPE}").predicate
    receipts = from_json(Receipts, store.get(f"{place}/receipts.json") or b"", f"{place}/receipts.json")
    log_proof = parse_log_proof(store.get(f"{place}/{LOG_PROOF}") or b"", f"{place}/{LOG_PROOF}")
    checkpoint = open_checkpoint(log_proof.checkpoint, parse_vkey(config.signing.log.vkey), f"{place}/{LOG_PROOF}")
    witnesses = verify_witnesses(checkpoint, [parse_vkey(witness.vkey) for witness in config.log.witnesses])
    anchors = [receipt.transaction for receipt in receipts.receipts if receipt.purpose == "anchor"]
    return FeedPeriod(
        period=predicate.period,
        revision=predicate.revision,
        cutoff=predicate.cutoff,
        clock=predicate.clock,
        folder=place,
        files=tuple(sorted(key.rsplit("/", 1)[1] for key in store.list(place))),
        statement=digest(parsed.body),
        merkle_root=predicate.merkle.root,
        merkle_size=predicate.merkle.size,
        log_index=log_proof.index,
        witnesses=tuple(cosignature.witness for cosignature in witnesses),
        attestors=tuple(signature.keyid for signature in parsed.signatures),
        anchor_transaction=anchors[0] if anchors else None,
        tokens=tuple(_token(token) for token in predicate.tokens),
        abandoned=predicate.abandoned,
        supersedes=predicate.supersedes,
    )


def _token(token: TokenStatement) -> FeedToken:
    unit = Currency(token.currency, token.exponent)
    supply = max(token.supply_units, token.confirm_supply_units)
    return FeedToken(
        token=token.token,
        currency=token.currency,
        decimals=token.decimals,
        verdict=token.verdict,
        reserve=None if token.reserve_minor_units is None else unit.format(token.reserve_minor_units),
        reserve_units=token.reserve_units,
        supply=format_units(supply, token.decimals),
        supply_units=supply,
        surplus_units=token.surplus_units,
        ratio_percent=token.ratio_percent,
        oldest_as_of=token.oldest_as_of,
        agreement=token.agreement,
        reports=None if token.consensus is None else token.consensus.reports,
        required_quorum=None if token.consensus is None else token.consensus.required_quorum,
        transactions=tuple(report.transaction for report in token.reports),
        withheld_code=token.withheld_code,
    )
