"""``control-log.json``: who did what, and when, from the opening of a period to its publication.

Made from the private store alone, so it can say no more than was kept: what has no time there has none here, and an
attempt that an operator made without storing anything leaves no trace. Each event names the stored object that it is
from, and that object's digest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from attest import records
from attest.artifacts import (
    Anchored,
    Collected,
    Committed,
    Confirmed,
    Decided,
    Logged,
    Opened,
    Published,
    Refreshed,
    StatementSignature,
    Submitted,
)
from attest.audit.documents import ControlEvent, ControlLog, Event
from attest.audit.dossier import Dossier
from attest.chain.journal import Journal
from attest.config import Config
from attest.errors import OperatorError, VerificationError
from attest.log.note import parse_vkey
from attest.log.proof import verify_log_proof
from attest.model import ReportReceipt
from attest.runs import Acknowledgement, RunArea, Withholding
from attest.signing import dsse

_RUN = "attest run"
_PERSON = "a person"


def control_log(dossier: Dossier) -> ControlLog:
    """The control log of an attestation and of the abandoned attempts before it. Reads the private store only; raises
    :class:`ConflictError` for an object that is not what it should be."""
    events: list[ControlEvent] = []
    for area in (*dossier.area.earlier(), dossier.area):
        events += _Attempt(area, dossier.config).events()
    return ControlLog("attest-control-log/1", dossier.opened.period, dossier.opened.revision, tuple(events))


class _Attempt:
    """The events of one attempt."""

    def __init__(self, area: RunArea, config: Config) -> None:
        self.area = area
        self.config = config

    def events(self) -> list[ControlEvent]:
        return [
            *self._opened(),
            *self._refused("collect"),
            *self._collected(),
            *self._held(),
            *self._refused("decide"),
            *self._choices(),
            *self._decided(),
            *self._fate(),
            *self._transactions("report"),
            *self._reported(),
            *self._refreshed(),
            *self._signed(),
            *self._logged(),
            *self._transactions("publish"),
            *self._published(),
        ]

    def _event(
        self,
        event: Event,
        name: str,
        detail: str,
        *,
        at: datetime | None = None,
        who: str = _RUN,
        subject: str | None = None,
    ) -> ControlEvent:
        """An event that the attempt's artifact ``name`` says."""
        data = self.area.bytes_of(name) or b""
        key = self.area.key(name)
        return ControlEvent(
            self.area.attempt,
            event,
            at,
            who,
            subject or f"period {self.area.name}",
            detail,
            key,
            records.digest(data),
        )

    def _opened(self) -> Iterator[ControlEvent]:
        opened = self.area.stored("open", Opened)
        if opened is not None:
            blocks = ", ".join(f"{block.number} of chain {block.chain_id}" for block in opened.supply.supply.blocks)
            detail = (
                f"cutoff {records.format_instant(opened.cutoff)}; supply at block {blocks}; {len(opened.policies)} "
                f"accounts; configuration {opened.configuration}; clock {opened.clock}"
            )
            yield self._event("opened", "open", detail, at=opened.opened_at)

    def _refused(self, step: str) -> Iterator[ControlEvent]:
        for key, data, refusal in self.area.refusals():
            if refusal.step == step:
                yield ControlEvent(
                    self.area.attempt,
                    "refused",
                    refusal.at,
                    _RUN,
                    f"step {step}",
                    f"{refusal.code}: {refusal.error}",
                    key,
                    records.digest(data),
                )

    def _collected(self) -> Iterator[ControlEvent]:
        collected = self.area.stored("collection", Collected)
        if collected is not None:
            failed = "".join(f"; {one.account}/{one.source} failed ({one.code})" for one in collected.failures)
            detail = f"{len(collected.observations)} balances stated{failed}"
            yield self._event("collected", "collection", detail, at=collected.collected_at)

    def _held(self) -> Iterator[ControlEvent]:
        for name in self.area.names("held"):
            yield self._event("held", name, f"verdict {name.removeprefix('held/')} was shown to a person")

    def _choices(self) -> Iterator[ControlEvent]:
        for name in self.area.names("acknowledged"):
            made = self.area.stored(name, Acknowledgement)
            if made is not None:
                detail = f"its change was accepted, in verdict {made.verdict}"
                subject = f"account {made.account}"
                yield self._event("acknowledged", name, detail, at=made.at, who=_PERSON, subject=subject)
        for name in self.area.names("withheld"):
            given_up = self.area.stored(name, Withholding)
            if given_up is not None:
                by_person = given_up.code == "operator"
                yield self._event(
                    "withheld",
                    name,
                    "given up by --withhold" if by_person else "given up when the run's time was over",
                    at=given_up.at,
                    who=_PERSON if by_person else _RUN,
                    subject=f"token {given_up.token}",
                )

    def _decided(self) -> Iterator[ControlEvent]:
        decided = self.area.stored("verdict", Decided)
        if decided is not None:
            outcomes = [account.outcome for account in decided.verdict.accounts]
            counts = ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))
            yield self._event("decided", "verdict", f"accounts: {counts}")
        committed = self.area.stored("commitment", Committed)
        if committed is not None:
            yield self._event("committed", "commitment", f"{len(committed.leaves)} leaves, root {committed.root}")

    def _fate(self) -> Iterator[ControlEvent]:
        fate = self.area.fate()
        if fate is not None:
            who = _PERSON if fate.fate == "abandoned" else _RUN
            yield self._event(fate.fate, "fate", fate.reason, at=fate.at, who=who)

    def _transactions(self, kind: Literal["report", "publish"]) -> Iterator[ControlEvent]:
        """The journal's entries of this attempt's reports (and their renewals), or of its anchor."""
        signing, config = self.config.signing, self.config
        if kind == "report":
            senders, chain = [reporter.address for reporter in signing.reporters], config.oracle.chain
            pattern = rf"(report|refresh-[0-9]+)/{re.escape(self.area.name)}/{self.area.attempt}/.*"
        else:
            senders, chain = [signing.publisher.address], config.registry.chain
            opened = self.area.stored("open", Opened)
            if opened is None or self.area.bytes_of("envelope") is None:
                return
            pattern = rf"publish/{self.area.period}/{opened.revision}"
        journal = Journal(self.area.store, config.chains[chain].chain_id)
        for sender in senders:
            for attempts in journal.attempts(sender).values():
                for entry in attempts:
                    if not re.fullmatch(pattern, entry.intent):
                        continue
                    what = entry.description if entry.purpose == "intent" else "frees the nonce, carries nothing"
                    yield ControlEvent(
                        self.area.attempt,
                        "transaction",
                        _unix(entry.timestamp),
                        f"key {sender}",
                        entry.intent,
                        f"{what}; chain {entry.chain_id}, nonce {entry.nonce}, attempt {entry.attempt}, "
                        f"transaction {entry.hash}",
                        entry.key,
                        records.digest(records.to_json(entry)),
                    )

    def _reported(self) -> Iterator[ControlEvent]:
        submitted = self.area.stored("submission", Submitted)
        if submitted is not None:
            yield self._event("submitted", "submission", f"{len(submitted.intents)} reports")
        confirmed = self.area.stored("confirmation", Confirmed)
        if confirmed is not None:
            blocks = confirmed.reading.supply.blocks
            where = ", ".join(f"{block.number} of chain {block.chain_id}" for block in blocks)
            yield self._event(
                "confirmed",
                "confirmation",
                f"at block {where}; {_mined(confirmed.receipts)}",
                at=_unix(max(block.timestamp for block in blocks)),
            )

    def _refreshed(self) -> Iterator[ControlEvent]:
        for name in self.area.names("refresh"):
            refreshed = self.area.stored(name, Refreshed)
            if refreshed is not None:
                yield self._event("refreshed", name, f"the same reserves, again; {_mined(refreshed.receipts)}")

    def _signed(self) -> Iterator[ControlEvent]:
        payload = self.area.bytes_of("payload")
        if payload is None:
            return
        yield self._event("statement-fixed", "payload", f"statement {records.digest(payload)}")
        for name in self.area.names("signatures"):
            signature = self.area.stored(name, StatementSignature)
            if signature is not None:
                address = dsse.address_of(signature.public_key.encode())
                yield self._event("signed", name, f"key id {signature.keyid}", who=f"attestor {address}")

    def _logged(self) -> Iterator[ControlEvent]:
        logged = self.area.stored("log", Logged)
        if logged is None:
            return
        detail = f"entry {logged.index} of {self.config.log.origin}; head of {logged.size} entries, root {logged.root}"
        yield self._event("logged", "log", detail)
        key = parse_vkey(self.config.signing.log.vkey, "signing.log.vkey", OperatorError)
        witnesses = [parse_vkey(witness.vkey, "log.witnesses", OperatorError) for witness in self.config.log.witnesses]
        envelope = self.area.bytes_of("envelope") or b""
        try:
            proven = verify_log_proof(base64.b64decode(logged.proof), envelope, key, witnesses, self.area.key("log"))
        except VerificationError:
            return  # whoever checks the bundle is told; the log tells what was stored
        for cosignature in proven.cosignatures:
            yield self._event(
                "cosigned",
                "log",
                f"the head of {logged.size} entries",
                at=_unix(cosignature.time),
                who=f"witness {cosignature.witness}",
            )

    def _published(self) -> Iterator[ControlEvent]:
        anchored = self.area.stored("anchor", Anchored)
        if anchored is not None:
            anchor = anchored.anchor
            detail = f"registry {anchor.registry}, block {anchor.block.number}; {_mined(anchored.receipts)}"
            yield self._event("anchored", "anchor", detail, at=_unix(anchor.block.timestamp))
        published = self.area.stored("publication", Published)
        if published is not None:
            yield self._event("published", "publication", f"{len(published.files)} files in {published.folder}")


def _unix(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _mined(receipts: tuple[ReportReceipt, ...]) -> str:
    """Which transactions landed where."""
    if not receipts:
        return "nothing was sent"
    return "mined: " + ", ".join(f"{one.transaction} in block {one.block_number}" for one in receipts)
