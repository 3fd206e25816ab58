"""Watching a log from outside: did it keep what it showed before, does everybody see the same, is anything missing?

:func:`look` compares what the log serves now with the head remembered from the last look, with mirrors and witnesses,
and with what the trust file expects of its entries. It decides what to remember and which signed heads to keep as
evidence; files, clock and network are the caller's.

Heads are compared by the log's entries: those under the newest head lead to its root, so the root over the first
``n`` of them is the only one that the log may ever have signed at size ``n``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from attest.errors import EXIT_DONE, EXIT_USAGE, EXIT_VERIFICATION, OperatorError, VerificationError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from attest.log.note import VerifierKey
from attest.log.reader import CHECKPOINT, LogReader, ReadFile
from attest.log.state import StateFile, evidence_name
from attest.merkle.proof import leaf_hash, root_from_leaf_hashes
from attest.period import Period
from attest.records import digest, format_instant, from_json, to_json
from attest.verify.entries import Gap, History, contradictions, gaps, read_history, replacements
from attest.verify.trust import Trust

#: ``rewrite``: the log lost or changed what it had signed. ``fork``: it signed two heads that contradict each other.
#: ``shrunk``: it shows less than it did, or than others saw. ``damaged``: its files are not what it signed.
#: ``stale`` and ``missing``: a statement is overdue. ``entry``: an entry that does not count, or contradicts another.
#: ``revision`` and ``revocation`` are for your information.
Kind = Literal["rewrite", "fork", "shrunk", "damaged", "stale", "missing", "entry", "revision", "revocation"]

#: 64 KiB each at most; one a week, they are enough for two centuries.
MAX_ENTRIES = 10_000
_INFORMATION = {"revision", "revocation"}
_ABOUT_HEADS = {"rewrite", "fork", "shrunk"}
#: When the first week that a period can name was over.
_FIRST_OVER = datetime(2000, 1, 10, tzinfo=UTC)
_ADVICE: Mapping[Kind, str] = {
    "rewrite": "Keep the evidence files; they are signed by the log's own key. Ask other auditors and witnesses for "
    "the heads that they hold, and do not rely on this log.",
    "fork": "Keep the evidence files: two signed heads that contradict each other are proof by themselves. Publish "
    "them.",
    "shrunk": "Look again later (a cache may be old). If it stays so, entries were taken away: keep the evidence.",
    "damaged": "Look again later; if it stays so, tell the log's operator, and compare with a mirror.",
    "stale": "Ask the issuer when the next attestation comes. Until then, do not rely on the last one.",
    "missing": "Ask the issuer: a period that was missed gets a statement that says so.",
    "entry": "Ask the issuer what it is. Compare the attestors' keys and periods in your trust file with theirs."
    " A statement that is of another time than its period fills no week.",
    "revision": "Verify the new statement, and use it instead of the one before.",
    "revocation": "Do not rely on any statement of that period.",
}


@dataclass(frozen=True)
class Alert:
    """Something to act on, or (``revision``, ``revocation``) to know. ``id`` is stable as long as it stands; ``new``:
    the last look had not seen it. ``evidence`` are the files that keep both signed heads."""

    id: str
    kind: Kind
    detail: str
    advice: str
    new: bool = True
    acknowledged: bool = False
    evidence: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it is an alarm: neither information, nor acknowledged."""
        return self.kind not in _INFORMATION and not self.acknowledged


@dataclass(frozen=True)
class WatchState:
    """What a watch remembers of one log: the head that every later one must extend (the note, with the log's
    signature), the alerts that stood at the last look, and those that a person acknowledged."""

    format: Literal["attest-watch-state/1"]
    origin: str
    checkpoint: str | None = None
    standing: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """One look at a log. ``unreachable`` says which places did not answer; nothing is concluded from that.
    ``entries_read``: all entries were there to be judged. ``recovered``: alerts of the last look that no longer
    stand."""

    origin: str
    at: datetime
    size: int | None
    root: str | None
    newest_period: str | None
    newest_cutoff: datetime | None
    alerts: tuple[Alert, ...]
    recovered: tuple[str, ...]
    unreachable: tuple[str, ...]
    entries_read: bool

    @property
    def exit_code(self) -> int:
        """6 when an alarm stands, else 2 when a place did not answer, else 0."""
        if any(alert.counts for alert in self.alerts):
            return EXIT_VERIFICATION
        return EXIT_USAGE if self.unreachable or not self.entries_read else EXIT_DONE

    def as_json(self) -> dict[str, Any]:
        """The ``--json`` form, with the exit code."""
        cutoff = None if self.newest_cutoff is None else format_instant(self.newest_cutoff)
        times = {"at": format_instant(self.at), "newest_cutoff": cutoff}
        return asdict(self) | times | {"exit_code": self.exit_code}


@dataclass(frozen=True)
class Expectations:
    """``grace``: how long after its last day a week may be without a statement. ``max_age``: how old the newest
    statement's cutoff may be, in seconds; None for no limit."""

    grace: timedelta
    max_age: int | None


@dataclass(frozen=True)
class Place:
    """Where else the log can be seen: a mirror (a copy of all its files), or the checkpoint that a witness serves."""

    where: str
    read: ReadFile
    path: str = CHECKPOINT

    def head(self, key: VerifierKey) -> SignedCheckpoint:
        """The head served there. Raises :class:`VerificationError` if it is not the log's or there is none."""
        data = self.read(self.path)
        where = f"{self.where}/{self.path}"
        if data is None:
            raise VerificationError(
                f"{where} is missing",
                code="log-file-missing",
                advice="Check the address; a witness serves it once it has cosigned this log.",
            )
        return open_checkpoint(data, key, where)


def witness_place(url: str, read: ReadFile, origin: str) -> Place:
    """The log's newest head as the witness with monitoring prefix ``url`` cosigned it (C2SP tlog-witness)."""
    return Place(url, read, f"{digest(origin.encode())}/checkpoint")


@dataclass(frozen=True)
class _Found:
    """``blinds``: it left the log's own files unread, so who acknowledges it watches nothing any more."""

    id: str
    kind: Kind
    detail: str
    heads: tuple[SignedCheckpoint, ...] = ()
    blinds: bool = False

    @property
    def acknowledgeable(self) -> bool:
        return self.kind not in _ABOUT_HEADS and not self.blinds


@dataclass
class _Sight:
    """What one look sees, as it goes on. ``history``: the entries, once they lead to the head's root. ``extends``: the
    head was seen to extend the remembered one."""

    found: list[_Found] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    head: SignedCheckpoint | None = None
    hashes: list[bytes] | None = None
    history: History | None = None
    extends: bool = False

    @contextmanager
    def reading(self, what: str, *, blinds: bool = False, absent: bool = False) -> Iterator[None]:
        """Notes what cannot be reached or is not what the log signed, and goes on. ``absent``: a file that is not
        there is no answer."""
        try:
            yield
        except OperatorError as fault:
            self.unreachable.append(fault.message)
        except VerificationError as fault:
            if absent and fault.code == "log-file-missing":
                self.unreachable.append(f"{fault.message}. {fault.advice}")
            else:
                self.found.append(_Found(f"damaged:{what}", "damaged", fault.message, blinds=blinds))


class Watch:
    """Looks at one log, again and again, with what it remembers in ``state`` (locked while this is open).

    Raises :class:`OperatorError` when the state is damaged, another log's, in use or out of reach.
    """

    def __init__(
        self, log: LogReader, others: Sequence[Place], trust: Trust, state: StateFile, expected: Expectations
    ) -> None:
        self._log = log
        self._others = others
        self._trust = trust
        self._file = state
        self._expected = expected
        data = state.read()
        empty = WatchState("attest-watch-state/1", trust.log.origin)
        self._state = empty if data is None else from_json(WatchState, data, str(state.path), OperatorError)
        try:
            self._kept = self._opened()
        except VerificationError as fault:
            raise OperatorError(
                f"{state.path}: is not the memory of your trust file's log ({fault.message})",
                code="watch-state",
                reason="A head of another log, or under another key, says nothing about this one.",
                advice="Name a state file of its own for each log and key.",
            ) from None

    def _opened(self) -> SignedCheckpoint | None:
        if self._state.checkpoint is None:
            return None
        return open_checkpoint(self._state.checkpoint.encode(), self._trust.log.key, "its checkpoint")

    def look(self, now: datetime, acknowledge: Sequence[str] = ()) -> Look:
        """Look once, and remember. Raises :class:`OperatorError` when evidence or state cannot be stored, and, with
        nothing remembered, for an id in ``acknowledge`` that no alert has, or whose alert left the log unread."""
        known = {*self._state.acknowledged, *acknowledge}
        sight = self._see(now, known)
        alerts = tuple(
            Alert(
                item.id,
                item.kind,
                item.detail,
                _ADVICE[item.kind],
                new=item.id not in self._state.standing,
                acknowledged=item.id in known and item.acknowledgeable,
                evidence=tuple(self._keep(signed) for signed in item.heads),
            )
            for item in sight.found
        )
        ids = tuple(alert.id for alert in alerts)
        # What could not be looked at is not over.
        complete = sight.history is not None and not sight.unreachable
        before = () if complete else self._state.standing
        _check_acknowledged(acknowledge, sight, before)
        recovered = tuple(name for name in self._state.standing if complete and name not in ids)
        self._remember(
            replace(
                self._state,
                checkpoint=self._to_remember(sight),
                standing=tuple(dict.fromkeys([*ids, *before])),
                acknowledged=tuple(name for name in sorted(known) if name in {*ids, *before}),
            )
        )
        standing = [] if sight.history is None else list(sight.history.standing.values())
        head, newest = sight.head, standing[-1].predicate if standing else None
        return Look(
            origin=self._trust.log.origin,
            at=now,
            size=None if head is None else head.checkpoint.size,
            root=None if head is None else head.checkpoint.root.hex(),
            newest_period=None if newest is None else newest.period,
            newest_cutoff=None if newest is None else newest.cutoff,
            alerts=alerts,
            recovered=recovered,
            unreachable=tuple(sight.unreachable),
            entries_read=sight.history is not None,
        )

    def _to_remember(self, sight: _Sight) -> str | None:
        """The head seen, if it extends the one remembered, its entries are there, and nobody saw another history."""
        doubted = any(item.kind in _ABOUT_HEADS for item in sight.found)
        if sight.head is None or sight.history is None or not sight.extends or doubted:
            return self._state.checkpoint
        return sight.head.note.to_bytes().decode()

    def _remember(self, state: WatchState) -> None:
        if state != self._state:
            self._file.replace(to_json(state))
            self._state = state
            self._kept = self._opened()

    def _keep(self, signed: SignedCheckpoint) -> str:
        head = signed.checkpoint
        return str(self._file.keep(evidence_name(head.size, head.root.hex()), signed.note.to_bytes()))

    # -- looking ---------------------------------------------------------------------------------------------------

    def _see(self, now: datetime, known: Collection[str]) -> _Sight:
        sight = _Sight()
        others = []
        for place in self._others:  # before the log itself: what they have copied, it must have already
            with sight.reading(place.where, absent=True):
                others.append((place.where, place.head(self._trust.log.key)))
        # Where no log was ever seen, the address is wrong; where one was, it lost its head.
        with sight.reading("checkpoint", blinds=True, absent=self._kept is None):
            sight.head = self._log.newest()
        if sight.head is None:
            return sight
        with sight.reading("entries", blinds=True):
            entries = self._entries(sight.head.checkpoint)
            sight.hashes = [leaf_hash(entry) for entry in entries]
            sight.history = read_history(entries, self._trust, now)
        with sight.reading("tiles", blinds=True):
            sight.found += self._against_memory(sight, sight.head)
        for where, other in others:
            sight.found += _against(where, other, sight.head, sight.hashes)
        if sight.history is not None:
            sight.found += _about_entries(sight.history)
            sight.found += self._overdue(sight.history, now, known)
        return sight

    def _entries(self, head: Checkpoint) -> list[bytes]:
        if head.size > MAX_ENTRIES:
            raise VerificationError(
                f"the log has {head.size} entries, at most {MAX_ENTRIES} are read", code="log-too-large"
            )
        return list(self._log.entries(head))

    def _against_memory(self, sight: _Sight, head: SignedCheckpoint) -> Iterator[_Found]:
        """The log's own promise: every head extends the one before. Raises :class:`VerificationError` when the hash
        tiles contradict the entries."""
        if self._kept is None:
            sight.extends = True
            return
        old, new = self._kept.checkpoint, head.checkpoint
        if new.size == old.size and new.root != old.root:
            yield _fork("before", self._kept, head)
        elif new.size < old.size:
            detail = f"the log shows {new.size} entries; it signed a head of {old.size} before"
            yield _Found(f"shrunk:{old.size}", "shrunk", detail, (self._kept, head))
        elif sight.hashes is not None and root_from_leaf_hashes(sight.hashes[: old.size]) != old.root:
            detail = f"the log's first {old.size} entries are not those it signed before: it was rewritten"
            yield _Found(f"rewrite:{old.size}:{new.root.hex()[:16]}", "rewrite", detail, (self._kept, head))
        else:
            self._log.check_consistent(old, new)
            sight.extends = True

    def _overdue(self, history: History, now: datetime, known: Collection[str]) -> Iterator[_Found]:
        if now - _FIRST_OVER >= self._expected.grace:
            last_due = Period.containing((now - self._expected.grace).date()).shifted(-1)
            for gap in _told(gaps(history, self._trust, last_due), known, self._state.standing):
                yield _Found(_missing(gap), "missing", f"nothing was attested for {gap}")
        limit = self._expected.max_age
        if limit is None:
            return
        past = sorted((logged.predicate for logged in history.statements), key=lambda predicate: predicate.cutoff)
        if not past:
            yield _Found("stale:none", "stale", "the log has no statement that counts")
            return
        age = int((now - past[-1].cutoff).total_seconds())
        if age > limit:
            detail = f"the newest statement ({past[-1].period}) has its cutoff {age} seconds ago, you accept {limit}"
            yield _Found(f"stale:{past[-1].period}", "stale", detail)


def _check_acknowledged(acknowledge: Sequence[str], sight: _Sight, before: Sequence[str]) -> None:
    """``before``: alerts of the last look that this one could not see the end of."""
    found = {item.id: item for item in sight.found}
    for name in acknowledge:
        if name in found and found[name].blinds:
            raise OperatorError(
                f"--acknowledge {name}: this alert cannot be acknowledged: {found[name].detail}",
                code="usage",
                reason="As long as it stands the log cannot be checked, and what else happened to it stays unseen.",
                advice=_ADVICE["damaged"],
            )
        standing = list(dict.fromkeys([*found, *before]))
        if name not in standing:
            raise OperatorError(
                f"--acknowledge {name}: no alert has this id",
                code="usage",
                reason="An alert is acknowledged once it stands, so that nothing is silenced unseen.",
                advice=f"These stand: {', '.join(standing)}." if standing else "None stands: leave it out.",
            )


def _missing(gap: Gap) -> str:
    """The alert's id."""
    return f"missing:{str(gap).replace(' to ', '..')}"


def _told(missing: Iterable[Gap], acknowledged: Iterable[str], standing: Iterable[str]) -> Iterator[Gap]:
    """Gaps without a week between them, as one. But one that was told by itself before (by these alerts' ids) stays by
    itself: who acknowledged it has not acknowledged the next."""
    before = [_ends(acknowledged), _ends(standing)]
    for run in _runs(missing):
        places = {str(gap.last): number for number, gap in enumerate(run)}
        begun = number = 0
        while number < len(run):
            first = str(run[number].first)
            ends = (max((places.get(last, -1) for last in told.get(first, ())), default=-1) for told in before)
            end = next((end for end in ends if end >= number), None)
            if end is None:
                number += 1
                continue
            if begun < number:
                yield Gap(run[begun].first, run[number - 1].last)
            yield Gap(run[number].first, run[end].last)
            begun = number = end + 1
        if begun < len(run):
            yield Gap(run[begun].first, run[-1].last)


def _ends(names: Iterable[str]) -> Mapping[str, list[str]]:
    """The last weeks of the gaps that have these ids, by the first."""
    ends: dict[str, list[str]] = {}
    for name in names:
        first, _, last = name.removeprefix("missing:").partition("..")
        ends.setdefault(first, []).append(last or first)
    return ends


def _runs(missing: Iterable[Gap]) -> Iterator[list[Gap]]:
    run: list[Gap] = []
    for gap in missing:
        if run and gap.first != run[-1].last.shifted(1):
            yield run
            run = []
        run.append(gap)
    if run:
        yield run


def _against(
    where: str, other: SignedCheckpoint, head: SignedCheckpoint, hashes: list[bytes] | None
) -> Iterator[_Found]:
    """The head that somebody else was shown, against ours: one log has one history."""
    theirs, ours = other.checkpoint, head.checkpoint
    if theirs.size > ours.size:
        detail = f"the log shows {ours.size} entries; {where} has seen a signed head of {theirs.size}"
        yield _Found(f"shrunk:{theirs.size}:{where}", "shrunk", detail, (other, head))
        return
    mine = ours.root if theirs.size == ours.size else None
    if mine is None and hashes is not None:
        mine = root_from_leaf_hashes(hashes[: theirs.size])
    if mine is not None and mine != theirs.root:
        yield _fork(f"at {where}", other, head)


def _fork(elsewhere: str, other: SignedCheckpoint, head: SignedCheckpoint) -> _Found:
    theirs, ours = other.checkpoint, head.checkpoint
    detail = (
        f"the log signed two histories: a head of {theirs.size} entries {elsewhere} (root {theirs.root.hex()[:16]}…), "
        f"and one of {ours.size} here (root {ours.root.hex()[:16]}…)"
    )
    return _Found(f"fork:{theirs.size}:{theirs.root.hex()[:16]}:{ours.root.hex()[:16]}", "fork", detail, (other, head))


def _about_entries(history: History) -> Iterator[_Found]:
    for remark in (*history.refused, *contradictions(history)):
        yield _Found(f"entry:{remark.index}:{remark.kind}", "entry", remark.detail)
    for remark in replacements(history):
        kind: Kind = "revocation" if remark.kind == "revocation" else "revision"
        yield _Found(f"{kind}:{remark.index}", kind, remark.detail)
