"""What the log shows beyond one entry: that it only grew since the auditor last saw it, and what else is in it.

Heads are compared through the newest one of the log at hand: what it extends was not rewritten, and two heads that it
extends agree with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attest.documents import Predicate
from attest.errors import VerificationError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from attest.log.proof import parse_log_proof
from attest.period import Period
from attest.verify.bundle import LOG_PROOF
from attest.verify.case import GET_LOG, Case, UnavailableError
from attest.verify.checks import Finding, refuse
from attest.verify.entries import LoggedStatement, contradictions, gaps, read_history

#: 64 KiB each at most; one a week, they are enough for two centuries.
MAX_ENTRIES = 10_000
_REFUSED = {
    "unreadable": "Ask the issuer what it is; if this is an old release of attest, take the newest.",
    "foreign": "Ask the issuer what it is: its log is for its own statements.",
    "unsigned": "Compare the attestor keys and their periods in your trust file with the issuer's, by another way.",
    "misdated": "Ask the issuer: no statement stands for a period whose cutoff it does not have, or before that comes.",
}
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
        first = "; none was ever remembered, so there is nothing that it could contradict" if case.first else ""
        return Finding(
            "skipped",
            f"you have no earlier checkpoint of this log to compare with{first}",
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
    past = read_history(case.reader.entries(head), case.trust, case.now)
    for remark in past.refused:
        raise refuse(remark.detail, _REFUSED[remark.kind])
    for remark in contradictions(past):
        raise refuse(remark.detail, "Keep the log's files, and ask the issuer: it contradicts itself.")
    standing = past.standing
    if case.period not in standing:
        raise UnavailableError(f"{case.period} is before your earliest period, so its entries are not looked at")
    _check_in_force(case, standing[case.period].predicate)
    missing = [str(gap) for gap in gaps(past, case.trust, case.period)]
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise refuse(
            f"the log has nothing for {shown}, and you expect one attestation in {case.trust.cadence_weeks} week(s)",
            "Ask the issuer why: a missed or withheld period gets a signed statement too.",
        )
    cadence = "" if case.trust.cadence_weeks else "; your trust file gives no cadence by which one could be missing"
    span = f"the log at size {head.size}, {min(standing)} to {max(standing)}"
    return Finding("pass", f"{span}: this one is in force{_replaced(standing)}{cadence}")


def _check_in_force(case: Case, newest: Predicate) -> None:
    if newest.revision > case.predicate.revision and newest.supersedes is not None:
        revoked = newest.supersedes.kind == "revocation"
        raise refuse(
            f"{'revoked' if revoked else 'replaced'} by revision {newest.revision}: {newest.supersedes.reason}",
            "Do not rely on this statement any more."
            if revoked
            else f"Verify {case.period}.{newest.revision} instead: it is beside this one in the public store.",
        )


def _replaced(standing: Mapping[Period, LoggedStatement]) -> str:
    """The periods whose newest revision is not the first, in words."""
    words = [
        f"{period} {'revoked' if replaced.kind == 'revocation' else 'replaced'} by revision {last.predicate.revision}"
        for period, last in standing.items()
        if (replaced := last.predicate.supersedes) is not None
    ]
    return f"; {', '.join(words)}" if words else ""
