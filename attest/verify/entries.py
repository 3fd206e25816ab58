"""A log's entries, read as a history: which statement stands for which period, and what is missing or contradicts.

Pure. The entries come from :meth:`attest.log.reader.LogReader.entries`: they are those that the log's key signed. What
they say counts only as far as attestors whom the trust file names for the period signed it, and only of a period whose
cutoff has passed: nobody can fill a week before it is over. Periods before the trust
file's earliest are nothing that it could judge: their statements are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from attest import statement
from attest.documents import PAYLOAD_TYPE, Predicate
from attest.errors import VerificationError
from attest.period import Period
from attest.records import digest
from attest.signing import dsse
from attest.statement import moment
from attest.verify.checks import signers
from attest.verify.trust import Trust


@dataclass(frozen=True)
class LoggedStatement:
    """A statement in the log: its entry's index (from 0), its digest, what it says, and the attestors who signed it,
    of those trusted for its period."""

    index: int
    digest: str
    predicate: Predicate
    attestors: tuple[str, ...]

    @property
    def period(self) -> Period:
        return Period.parse(self.predicate.period)

    @property
    def name(self) -> str:
        """For people: entry, period and revision."""
        return f"entry {self.index} ({self.predicate.period}, revision {self.predicate.revision})"


@dataclass(frozen=True)
class Remark:
    """Something about one entry that a reader must know; ``kind`` is a short stable word."""

    index: int
    kind: str
    detail: str


@dataclass(frozen=True)
class Gap:
    """Weeks, from ``first`` to ``last``, of which one should have been attested, and none was."""

    first: Period
    last: Period

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class History:
    """What a log's entries amount to. ``statements`` are those that count, in the log's order: the expected issuer's,
    signed by enough trusted attestors, with a cutoff in their period that has passed. ``refused``: the entries that do
    not, and why."""

    statements: tuple[LoggedStatement, ...]
    refused: tuple[Remark, ...]

    @property
    def standing(self) -> Mapping[Period, LoggedStatement]:
        """The statement in force for each period, oldest period first: the newest revision; of two with one number
        the first that was logged."""
        newest: dict[Period, LoggedStatement] = {}
        for logged in self.statements:
            held = newest.get(logged.period)
            if held is None or logged.predicate.revision > held.predicate.revision:
                newest[logged.period] = logged
        return dict(sorted(newest.items()))


def read_history(entries: Iterable[bytes], trust: Trust, now: datetime) -> History:
    """The history in a log's ``entries`` (DSSE envelopes, in order) as of ``now``. Never raises for what an entry
    holds."""
    statements: list[LoggedStatement] = []
    refused: list[Remark] = []
    cutoffs: dict[datetime, Period] = {}
    for index, entry in enumerate(entries):
        try:
            envelope = dsse.parse_envelope(entry, f"entry {index}")
            if envelope.payloadType != PAYLOAD_TYPE:
                raise VerificationError(f"it is of type {envelope.payloadType!r}", code="payload-type")
            predicate = statement.read(envelope.body, f"entry {index}").predicate
        except VerificationError as fault:
            refused.append(Remark(index, "unreadable", fault.message))
            continue
        period = Period.parse(predicate.period)
        if period < Period.parse(trust.earliest_period):
            continue
        signed, _ = signers(trust, envelope, period)
        cutoff = predicate.cutoff
        logged = LoggedStatement(index, digest(envelope.body), predicate, tuple(signed))
        if predicate.issuer != trust.issuer:
            refused.append(Remark(index, "foreign", f"{logged.name} is by {predicate.issuer!r}, not {trust.issuer!r}"))
        elif len(logged.attestors) < trust.attestor_threshold:
            names = ", ".join(logged.attestors) or "nobody whom you trust for that period"
            refused.append(
                Remark(index, "unsigned", f"{logged.name} is signed by {names} ({trust.attestor_threshold} needed)")
            )
        elif not period.has_cutoff(cutoff):
            detail = f"{logged.name} has its cutoff on {moment(cutoff)}, which is not in that period"
            refused.append(Remark(index, "misdated", detail))
        elif cutoff > now:
            detail = f"{logged.name} has its cutoff on {moment(cutoff)}, in the future (it is {moment(now)})"
            refused.append(Remark(index, "misdated", detail))
        elif (first := cutoffs.setdefault(cutoff, period)) != period:
            # In UTC two weeks overlap: one cutoff must not fill both.
            detail = f"{logged.name} has its cutoff on {moment(cutoff)}, which is that of {first}"
            refused.append(Remark(index, "misdated", detail))
        else:
            statements.append(logged)
    return History(tuple(statements), tuple(refused))


def contradictions(history: History) -> Iterator[Remark]:
    """Statements that do not go on from the one before of their period: another payload under the same revision, a
    revision left out, or one that replaces another statement than the log holds."""
    last: dict[Period, LoggedStatement] = {}
    seen: set[str] = set()
    for logged in history.statements:
        if logged.digest in seen:
            continue  # the same statement once more, under other signatures
        seen.add(logged.digest)
        before = last.get(logged.period)
        expected = 0 if before is None else before.predicate.revision + 1
        replaced = logged.predicate.supersedes
        if before is not None and logged.predicate.revision < expected:
            yield Remark(logged.index, "contradiction", f"{logged.name} contradicts {before.name}, which was first")
            continue
        last[logged.period] = logged
        if logged.predicate.revision != expected:
            detail = f"{logged.name} comes where revision {expected} should: one is not in the log"
            yield Remark(logged.index, "contradiction", detail)
        elif before is not None and (replaced is None or replaced.statement != before.digest):
            detail = f"{logged.name} does not replace {before.name}, but another statement"
            yield Remark(logged.index, "contradiction", detail)


def replacements(history: History) -> Iterator[Remark]:
    """Every revision and revocation, with its public reason."""
    for logged in history.statements:
        replaced = logged.predicate.supersedes
        if replaced is not None:
            word = "replaces" if replaced.kind == "revision" else "revokes"
            detail = f"{logged.name} {word} {replaced.statement[:16]}…: {replaced.reason}"
            yield Remark(logged.index, replaced.kind, detail)


def gaps(history: History, trust: Trust, last: Period) -> Iterator[Gap]:
    """Where the cadence was missed: of each ``cadence_weeks`` weeks, counted from ``earliest_period``, one must have a
    statement, once all of them are over (at ``last``). Nothing if the trust file names no cadence."""
    if trust.cadence_weeks is None:
        return
    first, weeks = _week(Period.parse(trust.earliest_period)), trust.cadence_weeks
    attested = {(_week(period) - first) // weeks for period in history.standing}
    for number in range((_week(last) - first + 1) // weeks):
        if number not in attested:
            start = first + number * weeks
            yield Gap(_period(start), _period(start + weeks - 1))


def _week(period: Period) -> int:
    """The number of a period's Monday in the calendar, in weeks: a trust file may name any cadence."""
    return date.fromisocalendar(period.year, period.week, 1).toordinal() // 7


def _period(week: int) -> Period:
    return Period.containing(date.fromordinal(7 * week + 1))
