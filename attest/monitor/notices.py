"""Which findings a destination is to be told of, and when: what is new, got worse, lasts or has ended. Pure.

What was told is all that is remembered (:mod:`attest.monitor.told`). A notice is due until a message with it was
delivered; so a delivery that fails is tried again by itself, and what a limit holds back comes later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from attest.monitor import thresholds as limit
from attest.monitor.alerts import ALERTS, KEEP_FIRING_SECONDS, Alert
from attest.monitor.findings import Finding, Severity, rank
from attest.monitor.told import Notified, Told

#: What is told of a finding, the most urgent first.
NoticeKind: TypeAlias = Literal["new", "worse", "lasting", "ended"]
_KINDS: tuple[NoticeKind, ...] = ("new", "worse", "lasting", "ended")
#: An alert's name and what it is about.
Key: TypeAlias = tuple[str, str]

#: What comes back after its end was told has to be gone for twice as long each time, up to this.
_LONGEST_QUIET = timedelta(hours=1)
#: More events under the same name are told so long after the last were: whoever can cause them wakes nobody each time.
_EVENTS_APART = timedelta(minutes=15)
#: An end is remembered for so long: what comes back within it has come back.
_ENDS_KEPT = timedelta(days=1)
#: So much is told in messages of its own at a time, the most urgent first; the rest in one.
AT_ONCE = 5
_HOUR, _LONG_AGO = timedelta(hours=1), timedelta(days=100_000)


@dataclass(frozen=True)
class Holding:
    """A finding that holds; ``count`` conditions at once, ``since`` when. ``happened``: it is not a state but events of
    the last day, of which there were ``count`` in all."""

    finding: Finding
    count: int
    since: datetime
    happened: bool


@dataclass(frozen=True)
class Seen:
    """What one cycle knows of every finding: ``ripe``: those that held long enough to be told; ``present``: all that
    hold or may, by its numbers.

    ``gone``: since when others do not hold, those not named since ``whole_since``. It is None where this cycle could
    not read everything: then nothing has ended. ``patient``: as of :class:`Standing`.
    """

    at: datetime
    patient: bool
    ripe: Mapping[Key, Holding]
    present: frozenset[Key]
    gone: Mapping[Key, datetime]
    whole_since: datetime | None

    def quiet(self, key: Key) -> timedelta | None:
        """For how long a finding has not held; None if it does, or may."""
        if self.whole_since is None or key in self.present:
            return None
        return self.at - self.gone.get(key, self.whole_since)


class Standing:
    """Since when findings hold, over the cycles of one monitor. ``patient``: they have to hold for their alert's `for`,
    as Prometheus would wait; else they are told at once, and their end too."""

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self._holding: dict[Key, Holding] = {}
        self._gone: dict[Key, datetime] = {}
        self._whole_since: datetime | None = None

    def see(
        self,
        found: Sequence[Finding],
        at: datetime,
        *,
        whole: bool,
        happened: Mapping[Key, int],
        unknown: frozenset[Key],
    ) -> Seen:
        """One more cycle. ``whole``: nothing failed in it; what a part that failed would have found still may hold, and
        so may what is ``unknown``. ``happened``: for findings that are events, how many there ever were."""
        now: dict[Key, Holding] = {}
        for finding, count in _merged(found):
            key = finding.alert, finding.subject
            before = self._holding.get(key)
            since = at if before is None else min(before.since, at)  # clocks are set back, too
            now[key] = Holding(finding, happened.get(key, count), since, key in happened)
        unsure = {key: each for key, each in self._holding.items() if key not in now and (not whole or key in unknown)}
        if whole:
            self._whole_since = min(self._whole_since or at, at)
            lost = {key: at for key in self._holding if key not in now}
            gone = {**lost, **self._gone, **dict.fromkeys(unknown, at)}
            self._gone = {key: min(since, at) for key, since in gone.items() if at - since < _ENDS_KEPT}
        for key in now:
            self._gone.pop(key, None)
        self._holding = {**unsure, **now}
        ripe = {key: each for key, each in now.items() if at - each.since >= self._wait(each.finding)}
        whole_since = self._whole_since if whole else None
        return Seen(at, self.patient, ripe, unknown.union(now), dict(self._gone), whole_since)

    def _wait(self, finding: Finding) -> timedelta:
        if not self.patient:
            return timedelta()
        if finding.alert == "CollectorFailed":
            return timedelta(seconds=limit.COLLECTOR_AGE)
        return timedelta(seconds=ALERTS[finding.alert].for_seconds)


def _merged(found: Sequence[Finding]) -> Iterable[tuple[Finding, int]]:
    """One finding of those that have alert and subject in common: as bad as the worst, with the details of all."""
    groups: dict[Key, list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.alert, finding.subject), []).append(finding)
    for group in groups.values():
        worst = min(group, key=lambda each: rank(each.severity, each.incident))
        yield replace(worst, detail="; ".join(each.detail for each in group)), len(group)


@dataclass(frozen=True)
class Notice:
    """One thing to tell of a finding. ``detail`` is that of now; of what has ended there is none."""

    kind: NoticeKind
    alert: str
    subject: str
    severity: Severity
    incident: str
    count: int
    since: datetime
    returns: int
    detail: str = ""

    @property
    def key(self) -> Key:
        return self.alert, self.subject

    @property
    def urgent(self) -> bool:
        """No limit holds it back."""
        return self.incident == "P0"

    @property
    def listed(self) -> Alert | None:
        """The alert with its commands and its page."""
        return ALERTS.get("CollectorStale" if self.alert == "CollectorFailed" else self.alert)

    @property
    def order(self) -> tuple[bool, int, tuple[int, str]]:
        """P0 first; then what nobody knows yet, which no limit may hold back for what is told again."""
        return not self.urgent, _KINDS.index(self.kind), rank(self.severity, self.incident)

    def told(self, at: datetime) -> Told:
        ended = at if self.kind == "ended" else None
        return Told(
            self.alert, self.subject, self.severity, self.incident, self.count, self.since, at, self.returns, ended
        )


@dataclass(frozen=True)
class Terms:
    """What a destination wants to be told: findings of ``severities``; what lasts again after ``repeat``; at most
    ``per_hour`` messages, not counting those with a P0. ``incidents``: each finding is an incident there, which only
    its own end closes; such an end is not counted either."""

    severities: tuple[Severity, ...]
    repeat: Mapping[Severity, timedelta]
    per_hour: int
    incidents: bool = False

    def limited(self, notices: Sequence[Notice]) -> bool:
        """Whether the limit is for a message with these."""
        return not any(each.urgent or self.closes(each) for each in notices)

    def closes(self, notice: Notice) -> bool:
        return self.incidents and notice.kind == "ended"


def due(seen: Seen, notified: Notified, terms: Terms) -> list[Notice]:
    """What a destination is to be told now, the most urgent first."""
    told = {(each.alert, each.subject): each for each in notified.told}
    notices = [
        notice
        for key, each in seen.ripe.items()
        if each.finding.severity in terms.severities
        and (notice := _holds(each, told.get(key), seen.at, terms)) is not None
    ]
    notices += [
        Notice("ended", *key, each.severity, each.incident, each.count, each.since, each.returns)
        for key, each in told.items()
        if each.ended is None and _is_over(each, seen, told.values())
    ]
    return sorted(notices, key=lambda each: each.order)


def _holds(each: Holding, told: Told | None, now: datetime, terms: Terms) -> Notice | None:
    finding = each.finding
    bad, count, since, returns = rank(finding.severity, finding.incident), each.count, each.since, 0
    kind: NoticeKind = "new"
    if told is not None and told.ended is not None:
        returns = told.returns + 1
    elif told is not None:
        kind = "worse" if bad < rank(told.severity, told.incident) or count > told.count else "lasting"
        if each.happened:
            again = kind == "worse" and _ago(told.at, now) >= _EVENTS_APART
        else:
            again = kind == "worse" or _ago(told.at, now) >= terms.repeat[finding.severity]
        if not again:
            return None
        count, since, returns = max(count, told.count), min(since, told.since), told.returns
    return Notice(
        kind, finding.alert, finding.subject, finding.severity, finding.incident, count, since, returns, finding.detail
    )


def _is_over(told: Told, seen: Seen, others: Iterable[Told]) -> bool:
    """Gone for long enough; and nothing worse took its place, or the end would sound like good news."""
    quiet = seen.quiet((told.alert, told.subject))
    if quiet is None:
        return False
    if seen.patient:
        doubled = timedelta(seconds=KEEP_FIRING_SECONDS) * 2 ** min(told.returns, 8)
        if quiet < min(doubled, _LONGEST_QUIET):
            return False
    standing = [each.finding for each in seen.ripe.values()] + [each for each in others if each.ended is None]
    bad = rank(told.severity, told.incident)
    return not any(each.subject == told.subject and rank(each.severity, each.incident) < bad for each in standing)


def portioned(notices: Sequence[Notice], notified: Notified, now: datetime, terms: Terms) -> list[list[Notice]]:
    """Notices by the messages that tell them: the most urgent in messages of their own, the rest together in the last
    one. What the limit holds back is in none; a P0 is always in one."""
    closing = [[each] for each in notices if terms.closes(each)][:AT_ONCE]
    telling = [each for each in notices if not terms.closes(each)]
    free = terms.per_hour - len(_lately(notified, now))
    reserved = 0 if len(telling) == 1 else 1  # for what comes together

    def room(*notices: Notice) -> int:
        """A quarter is for what is critical: whoever can cause warnings would else keep it back."""
        return free if any(each.severity == "critical" for each in notices) else free - terms.per_hour // 4

    alone: list[list[Notice]] = []
    rest: list[Notice] = []
    for notice in telling:
        if len(alone) < AT_ONCE and (notice.urgent or room(notice) > reserved):
            alone.append([notice])
            free -= not notice.urgent
        else:
            rest.append(notice)
    if rest and (room(*rest) > 0 or not terms.limited(rest)):
        alone.append(rest)
    return alone + closing


def noted(notified: Notified, told: Sequence[Notice], at: datetime, terms: Terms) -> Notified:
    """When one more message was delivered."""
    entries = {(each.alert, each.subject): each for each in notified.told} | {each.key: each.told(at) for each in told}
    kept = [each for each in entries.values() if each.ended is None or at - each.ended < _ENDS_KEPT]
    sent = _lately(notified, at)
    return replace(notified, told=tuple(kept), sent=(*sent, at) if terms.limited(told) else sent)


def joined(one: Notified, other: Notified, now: datetime) -> Notified:
    """What either knows, of each finding what was told last. What a clock told that was ahead counts least: two
    monitors would answer each other without end."""
    newest: dict[Key, Told] = {}
    for each in sorted((*one.told, *other.told), key=lambda told: (-_ago(told.at, now), told.at)):
        newest[each.alert, each.subject] = each
    sent = Counter(one.sent) | Counter(other.sent)  # several messages can be of one second
    return replace(one, told=tuple(newest.values()), sent=tuple(sorted(sent.elements())))


def _lately(notified: Notified, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in notified.sent if _ago(at, now) < _HOUR)


def _ago(at: datetime, now: datetime) -> timedelta:
    """How long ago something was told. By a clock that was ahead: long ago, or nothing would be told until then."""
    return _LONG_AGO if at - now > timedelta(seconds=limit.CLOCK_SKEW) else now - at
