"""What the log shows beyond one entry: that it only grew since the auditor last saw it, and what else is in it.

Heads are compared through the newest one of the log at hand: what it extends was not rewritten, and two heads that it
extends agree with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from attest import statement
from attest.documents import PAYLOAD_TYPE, Predicate
from attest.errors import VerificationError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from attest.log.proof import parse_log_proof
from attest.period import Period
from attest.records import digest
from attest.signing import dsse
from attest.verify.bundle import LOG_PROOF
from attest.verify.case import GET_LOG, Case, UnavailableError
from attest.verify.checks import Finding, refuse, signers

#: 64 KiB each at most; one a week, they are enough for two centuries.
MAX_ENTRIES = 10_000
_REWRITTEN = (
    "Keep both checkpoints and the log's files: signed by one key, they are evidence that the log was rewritten, or "
    "that you are shown another one than others."
)
_INCOMPLETE = (
    "Fetch the whole log again (`checkpoint` and `tile/`); if it stays shorter than what you saw, it was rewritten: "
    "keep what you have as evidence."
)


@dataclass(frozen=True)
class _Seen:
    """A head and where the auditor has it from."""

    head: Checkpoint
    source: str


# -- did it only grow? -----------------------------------------------------------------------------------------------


def consistency(case: Case) -> Finding:
    seen = earlier(case)
    if not seen:
        return Finding(
            "skipped",
            "you have no earlier checkpoint of this log to compare with",
            "`attest verify` remembers this one for the next time; name one that you kept with --since FILE.",
        )
    own = _own_head(case)
    described = " and ".join(f"the head at size {one.head.size} {one.source}" for one in seen)
    apart = [one for one in seen if not _compared(one, own)]
    if apart:
        if case.log is None:
            raise UnavailableError(
                f"whether the log at size {own.size} agrees with {described} shows in its hash tiles", GET_LOG
            )
        _extends(case, (*seen, _Seen(own, "in this bundle")))
    return Finding("pass", f"the log at size {own.size} agrees with {described}; nothing was rewritten")


def earlier(case: Case) -> tuple[_Seen, ...]:
    """The heads of this log that the auditor had before; raises :class:`VerificationError` if one is false."""
    found = []
    if case.since is not None:
        kept = open_checkpoint(case.since, case.trust.log.key, "your checkpoint").checkpoint
        found.append(_Seen(kept, "that you kept"))
    if case.remembered is not None:
        found.append(_Seen(case.remembered, "that was remembered"))
    return tuple(found)


def _own_head(case: Case) -> Checkpoint:
    try:
        return case.logged.checkpoint
    except VerificationError:
        raise UnavailableError("the bundle's own checkpoint or entry is false") from None


def _compared(one: _Seen, own: Checkpoint) -> bool:
    """Whether two heads can be compared without the log; raises :class:`VerificationError` if they contradict."""
    if one.head.size == own.size and one.head.root != own.root:
        raise _contradiction(one, own)
    return one.head.size in (0, own.size)


def _extends(case: Case, seen: Iterable[_Seen]) -> None:
    """Check that the log at hand extends all of ``seen``."""
    newest = case.newest.checkpoint
    for one in seen:
        if one.head.size > newest.size:
            raise refuse(
                f"the log at hand ends at size {newest.size}, before the head at size {one.head.size} {one.source}",
                _INCOMPLETE,
            )
        try:
            case.reader.check_consistent(one.head, newest)
        except VerificationError as fault:
            raise (_contradiction(one, newest) if fault.code == "merkle-root-mismatch" else fault) from None


def _contradiction(one: _Seen, other: Checkpoint) -> VerificationError:
    return refuse(
        f"the log at size {other.size} contradicts the head at size {one.head.size} {one.source}: it was rewritten",
        _REWRITTEN,
    )


def grown_from(case: Case) -> int:
    """The size of the largest head that the auditor had before this entry was in the log, 0 if there is none: only such
    a memory is one that the log's operator could not reckon with."""
    return max((one.head.size for one in earlier(case) if one.head.size <= case.logged.index), default=0)


def head_to_remember(case: Case, extended: bool) -> SignedCheckpoint:
    """The newest head that this verification has reason to believe: that of the log at hand, once it was seen to
    extend the bundle's (``extended``), else the bundle's."""
    if extended and case.log is not None:
        return case.newest
    proof = parse_log_proof(case.file(LOG_PROOF), LOG_PROOF)
    return open_checkpoint(proof.checkpoint, case.trust.log.key, LOG_PROOF)


# -- what else is in it? ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A statement in the log, by its digest."""

    index: int
    statement: str
    predicate: Predicate


def history(case: Case) -> Finding:
    if case.log is None:
        return Finding(
            "skipped",
            "whether a period is missing, replaced or revoked shows in the log, which is not at hand",
            GET_LOG,
        )
    _extends(case, [_Seen(_own_head(case), "in this bundle")])
    head = case.newest.checkpoint
    if head.size > MAX_ENTRIES:
        raise refuse(f"the log has {head.size} entries, more than {MAX_ENTRIES} are not read", "Tell the maintainers.")
    periods: dict[Period, dict[int, _Entry]] = {}
    for index, data in enumerate(case.reader.entries(head)):
        _add(periods, _read(case, index, data))
    for period, revisions in sorted(periods.items()):
        _check_revisions(period, revisions)
    _check_in_force(case, periods[case.period])
    _check_cadence(case, periods)
    cadence = "" if case.trust.cadence_weeks else "; your trust file gives no cadence by which one could be missing"
    span = f"the log at size {head.size}, {min(periods)} to {max(periods)}"
    return Finding("pass", f"{span}: this one is in force{_replaced(periods)}{cadence}")


def _read(case: Case, index: int, data: bytes) -> _Entry:
    """An entry, which must be a statement; from the earliest period on, one that the trusted attestors signed."""
    where, trust = f"entry {index} of the log", case.trust
    advice = "Ask the issuer what it is; if this is an old release of attest, take the newest."
    try:
        envelope = dsse.parse_envelope(data, where)
        predicate = statement.read(envelope.body, where).predicate
    except VerificationError as fault:
        raise refuse(fault.message, advice) from None
    period = Period.parse(predicate.period)
    if period >= Period.parse(trust.earliest_period):
        if predicate.issuer != trust.issuer:
            raise refuse(f"{where} is by the issuer {predicate.issuer!r}", advice)
        names, _ = signers(trust, envelope, period)
        if envelope.payloadType != PAYLOAD_TYPE or len(names) < trust.attestor_threshold:
            raise refuse(
                f"{where} ({period}, revision {predicate.revision}) is not signed by those whom you trust for it",
                "Compare the attestor keys and their periods in your trust file with the issuer's, by another way.",
            )
    return _Entry(index, digest(envelope.body), predicate)


def _add(periods: dict[Period, dict[int, _Entry]], entry: _Entry) -> None:
    period, revision = Period.parse(entry.predicate.period), entry.predicate.revision
    other = periods.setdefault(period, {}).setdefault(revision, entry)
    if other.statement != entry.statement:
        raise refuse(
            f"entries {other.index} and {entry.index} of the log are two statements of {period}, revision {revision}",
            "Keep both: the issuer said two things of one period.",
        )


def _check_revisions(period: Period, revisions: Mapping[int, _Entry]) -> None:
    advice = "Ask the issuer for the missing one: each revision is in the log and names the one that it replaces."
    for revision in range(1, max(revisions) + 1):
        if revision not in revisions or revision - 1 not in revisions:
            missing = revision if revision not in revisions else revision - 1
            raise refuse(f"revision {missing} of {period} is not in the log, but {max(revisions)} is", advice)
        replaced = revisions[revision].predicate.supersedes
        if replaced is None or replaced.statement != revisions[revision - 1].statement:
            raise refuse(
                f"revision {revision} of {period} replaces another statement than revision {revision - 1}", advice
            )


def _check_in_force(case: Case, revisions: Mapping[int, _Entry]) -> None:
    newest = revisions[max(revisions)].predicate
    if newest.revision > case.predicate.revision and newest.supersedes is not None:
        revoked = newest.supersedes.kind == "revocation"
        raise refuse(
            f"{'revoked' if revoked else 'replaced'} by revision {newest.revision}: {newest.supersedes.reason}",
            "Do not rely on this statement any more."
            if revoked
            else f"Verify {case.period}.{newest.revision} instead: it is beside this one in the public store.",
        )


def _replaced(periods: Mapping[Period, Mapping[int, _Entry]]) -> str:
    """The periods whose newest revision is not the first, in words."""
    newest = [(period, revisions[max(revisions)].predicate) for period, revisions in sorted(periods.items())]
    words = [
        f"{period} {'revoked' if last.supersedes.kind == 'revocation' else 'replaced'} by revision {last.revision}"
        for period, last in newest
        if last.supersedes is not None
    ]
    return f"; {', '.join(words)}" if words else ""


def _check_cadence(case: Case, periods: Mapping[Period, object]) -> None:
    """From the earliest period to this one, every so many weeks have an entry (a missed one has its statement too)."""
    weeks = case.trust.cadence_weeks
    if weeks is None:
        return
    first = _week(Period.parse(case.trust.earliest_period))
    there = {(_week(period) - first) // weeks for period in periods}
    missing = [number for number in range((_week(case.period) - first) // weeks + 1) if number not in there]
    if missing:
        shown = ", ".join(_span(first + number * weeks, weeks) for number in missing[:8])
        shown += f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise refuse(
            f"the log has nothing for {shown}, and you expect one attestation in {weeks} week(s)",
            "Ask the issuer why: a missed or withheld period gets a signed statement too.",
        )


def _week(period: Period) -> int:
    """The number of a period's Monday in the calendar, in weeks."""
    return date.fromisocalendar(period.year, period.week, 1).toordinal() // 7


def _span(week: int, weeks: int) -> str:
    first, last = (Period.containing(date.fromordinal(7 * number + 1)) for number in (week, week + weeks - 1))
    return str(first) if first == last else f"{first} to {last}"
