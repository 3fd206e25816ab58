"""Who is told what, and when: patience, deduplication, flapping and the limit, over the cycles of a monitor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.monitor.findings import SEVERITIES, Finding, Severity
from attest.monitor.messages import message
from attest.monitor.notices import AT_ONCE, Notice, Standing, Terms, due, joined, noted, portioned
from attest.monitor.told import NOTHING_TOLD, Notified
from attest.records import from_json, to_json

START = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
REPEAT: dict[Severity, timedelta] = {
    "critical": timedelta(hours=1),
    "warning": timedelta(hours=4),
    "info": timedelta(hours=4),
}
TERMS = Terms(("critical", "warning"), REPEAT, per_hour=20)

SHORT = Finding("ReserveShortfall", "critical", "P0", "USDW", "100 units are missing")
LOW = Finding("ReserveRatioLow", "warning", "P1", "USDW", "104 % < 105 %")
DOWN = Finding("RpcEndpointDown", "critical", "P1", "http://node", "chain main: it does not answer")
VAULT = Finding("VaultHealthLow", "warning", "P3", "vaults", "the lowest is 119 %")
NOTE = Finding("ReserveRatioBelow110", "info", "P2", "USDW", "109 % < 110 %")


def many(count: int, alert: str = "DebtCeilingHigh", incident: str = "P3") -> list[Finding]:
    severity: Severity = "critical" if incident == "P0" else "warning"
    return [Finding(alert, severity, incident, f"C{number}", "much is lent") for number in range(count)]


class Watcher:
    """One destination of one monitor, to whom everything is delivered unless ``reachable`` is unset."""

    def __init__(self, terms: Terms = TERMS, *, patient: bool = True, limit: int = 3000) -> None:
        self.terms = terms
        self.limit = limit
        self.standing = Standing(patient=patient)
        self.notified: Notified = NOTHING_TOLD
        self.reachable = True
        self.now = START

    def cycle(
        self,
        *found: Finding,
        after: float = 15,
        whole: bool = True,
        happened: Mapping[tuple[str, str], int] | None = None,
        unknown: Iterable[tuple[str, str]] = (),
    ) -> list[tuple[Notice, ...]]:
        """The messages of a cycle, ``after`` so many seconds; what each of them tells."""
        self.now += timedelta(seconds=after)
        seen = self.standing.see(found, self.now, whole=whole, happened=happened or {}, unknown=frozenset(unknown))
        sent = []
        portions = portioned(due(seen, self.notified, self.terms), self.notified, self.now, self.terms)
        for number, portion in enumerate(portions if self.reachable else ()):
            told = message(portion, "Issuer", self.now, others=number > 0, limit=self.limit)
            self.notified = noted(self.notified, told.notices, self.now, self.terms)
            sent.append(told.notices)
        return sent

    def told(self, *found: Finding, after: float = 15, whole: bool = True) -> list[tuple[str, str]]:
        return words(self.cycle(*found, after=after, whole=whole))

    def hours(self, hours: float, *found: Finding, every: float = 60) -> list[tuple[str, str]]:
        return [word for _ in range(int(hours * 3600 / every)) for word in self.told(*found, after=every)]

    def restarted(self) -> Watcher:
        """The same destination, of a monitor that begins; what was told comes from the store."""
        other = Watcher(self.terms, patient=self.standing.patient, limit=self.limit)
        other.notified = from_json(Notified, to_json(self.notified), "record")
        other.now = self.now
        return other


def words(messages: Iterable[Sequence[Notice]]) -> list[tuple[str, str]]:
    return [(notice.kind, notice.alert) for told in messages for notice in told]


# -- once, after the alert's `for` -----------------------------------------------------------------------------------


def test_due__shortfall__is_told_at_once_and_not_again_in_the_next_cycles() -> None:
    watcher = Watcher()
    assert watcher.told(SHORT) == [("new", "ReserveShortfall")]
    assert watcher.hours(0.9, SHORT) == []


@pytest.mark.parametrize(("finding", "seconds"), [(DOWN, 120), (VAULT, 300)])
def test_due__alert_that_waits__is_told_after_its_for_and_no_sooner(finding: Finding, seconds: int) -> None:
    watcher = Watcher()
    assert watcher.told(finding) == []
    assert watcher.told(finding, after=seconds - 1) == []
    assert watcher.told(finding, after=1) == [("new", finding.alert)]


def test_due__collector_that_fails__is_told_after_ten_minutes() -> None:
    failed = Finding("CollectorFailed", "critical", "P1", "vaults", "no code at its address")
    watcher = Watcher()
    assert watcher.told(failed, whole=False) == []
    assert watcher.told(failed, after=599, whole=False) == []
    assert watcher.told(failed, after=1, whole=False) == [("new", "CollectorFailed")]


def test_due__momentary_blips__wake_nobody() -> None:
    watcher = Watcher()
    for _ in range(100):
        assert watcher.told(DOWN, after=60) + watcher.told(after=60) == []


def test_due__impatient__is_told_at_once_and_so_is_its_end() -> None:
    watcher = Watcher(patient=False)
    assert watcher.told(VAULT) == [("new", "VaultHealthLow")]
    assert watcher.told() == [("ended", "VaultHealthLow")]


def test_due__severity_that_the_destination_does_not_want__is_not_told() -> None:
    assert Watcher(patient=False).told(NOTE) == []
    wants = Terms(SEVERITIES, REPEAT, per_hour=20)
    assert Watcher(wants, patient=False).told(NOTE) == [("new", "ReserveRatioBelow110")]


# -- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("finding", "hours"), [(SHORT, 1), (VAULT, 4)])
def test_due__what_lasts__is_told_again_after_the_time_of_its_severity(finding: Finding, hours: int) -> None:
    watcher = Watcher()
    assert len(watcher.hours(0.2, finding)) == 1
    assert watcher.hours(hours * 3, finding) == [("lasting", finding.alert)] * 3


def test_due__same_finding_gets_worse_or_more__is_told_once_more() -> None:
    watcher = Watcher(patient=False)
    silent = [
        Finding("ValidatorNotProducing", "critical", "P1", "main", f"{each} has not sealed")
        for each in ("0xaa", "0xbb")
    ]
    assert watcher.told(silent[0]) == [("new", "ValidatorNotProducing")]
    (told,) = watcher.cycle(*silent)
    assert [(each.kind, each.detail) for each in told] == [("worse", "0xaa has not sealed; 0xbb has not sealed")]
    assert watcher.told(silent[1]) + watcher.told(*silent) == [], "it was as bad before"
    warned = Finding("X", "warning", "", "main", "")
    assert watcher.told(*silent, warned) == [("new", "X")]
    assert watcher.told(*silent, Finding("X", "critical", "P1", "main", "")) == [("worse", "X")]


def test_due__events_of_the_last_day__are_told_when_there_are_more_and_never_as_lasting() -> None:
    def violations(today: int, ever: int, after: int = 15) -> list[tuple[str, str]]:
        found = [Finding("ComplianceViolation", "critical", "P0", "iso4217-violation", f"{today} in the last day")]
        key = "ComplianceViolation", "iso4217-violation"
        return words(watcher.cycle(*found[: bool(today)], after=after, happened={key: ever}))

    watcher = Watcher()
    assert violations(2, 12) == [("new", "ComplianceViolation")]
    assert [violations(2, 12, after=3600) for _ in range(5)] == [[]] * 5
    assert violations(3, 13) == [("worse", "ComplianceViolation")]
    assert [violations(4 + more, 14 + more, after=60) for more in range(14)] == [[]] * 14, "whoever causes them"
    assert violations(18, 28, after=60) == [("worse", "ComplianceViolation")]
    assert violations(1, 28, after=80_000) == []
    watcher = watcher.restarted()
    assert violations(2, 29) == [("worse", "ComplianceViolation")], "though there were more in a day before"
    assert violations(0, 29) + violations(0, 29, after=300) == [("ended", "ComplianceViolation")]
    assert violations(1, 30) == [("new", "ComplianceViolation")]


# -- ended -----------------------------------------------------------------------------------------------------------


def test_due__what_is_gone_for_five_minutes__has_ended() -> None:
    watcher = Watcher()
    watcher.told(SHORT)
    assert watcher.told() == []
    assert watcher.told(after=299) == []
    assert watcher.told(after=1) == [("ended", "ReserveShortfall")]
    assert watcher.hours(2) == []


def test_due__a_part_that_cannot_be_read__ends_nothing() -> None:
    watcher = Watcher()
    watcher.told(SHORT)
    assert [watcher.told(after=600, whole=False) for _ in range(5)] == [[]] * 5
    assert watcher.told() == [], "it was not there for one cycle"
    assert watcher.told(after=300) == [("ended", "ReserveShortfall")]


def test_due__a_part_that_cannot_be_read__does_not_begin_the_wait_anew() -> None:
    watcher = Watcher()
    watcher.told(VAULT)
    watcher.told(after=200, whole=False)
    assert watcher.told(VAULT, after=100) == [("new", "VaultHealthLow")]


def test_due__what_cannot_be_decided__has_not_ended() -> None:
    watcher, undecided = Watcher(), [("ReserveShortfall", "USDW")]
    watcher.told(SHORT)
    assert [watcher.cycle(after=600, unknown=undecided) for _ in range(3)] == [[]] * 3
    after = watcher.restarted()
    assert [after.cycle(after=600, unknown=undecided) for _ in range(3)] == [[]] * 3
    assert after.told(after=299) == []
    assert after.told(after=300) == [("ended", "ReserveShortfall")], "five minutes after it was known to be over"


def test_due__what_cannot_be_decided__does_not_begin_the_wait_anew() -> None:
    watcher = Watcher()
    watcher.told(VAULT)
    watcher.cycle(after=200, unknown=[("VaultHealthLow", "vaults")])
    assert watcher.told(VAULT, after=100) == [("new", "VaultHealthLow")]


def test_due__worse_takes_its_place__is_not_told_as_an_end_until_that_has_ended() -> None:
    watcher = Watcher()
    assert watcher.hours(0.2, LOW) == [("new", "ReserveRatioLow")]
    assert watcher.hours(0.5, SHORT) == [("new", "ReserveShortfall")]
    assert watcher.hours(0.2) == [("ended", "ReserveShortfall"), ("ended", "ReserveRatioLow")]


def test_due__flapping__is_told_less_and_less() -> None:
    watcher = Watcher()
    told = []
    for _ in range(20):  # six minutes there, six minutes gone: four hours
        told += watcher.hours(0.1, SHORT) + watcher.hours(0.1)
    assert [kind for kind, _ in told[:3]] == ["new", "ended", "new"]
    assert [kind for kind, _ in told[3:]] == ["lasting"] * 3, "once an hour"
    assert watcher.hours(1.1) == [("ended", "ReserveShortfall")]


# -- restarts and other monitors -------------------------------------------------------------------------------------


def test_due__after_a_restart__is_what_is_new_since() -> None:
    before = Watcher()
    before.told(SHORT)
    after = before.restarted()
    assert after.hours(0.5, SHORT, DOWN) == [("new", "RpcEndpointDown")]
    again = after.restarted()
    assert again.told() == [], "five minutes count from the first cycle"
    assert again.told(after=300) == [("ended", "ReserveShortfall"), ("ended", "RpcEndpointDown")]


def test_due__delivery_that_failed__is_due_until_it_succeeds() -> None:
    watcher = Watcher()
    watcher.reachable = False
    assert watcher.hours(3, SHORT) == []
    watcher.reachable = True
    assert watcher.told(SHORT) == [("new", "ReserveShortfall")]


def test_joined__two_records__know_what_either_told_last_and_all_messages() -> None:
    one = Watcher(patient=False)
    one.told(SHORT, VAULT)
    other = one.restarted()
    one.told(VAULT)
    other.told(SHORT, VAULT, *many(1))
    both = joined(one.notified, other.notified, one.now)
    assert {each.alert: each.ended is None for each in both.told} == {
        "ReserveShortfall": False,
        "VaultHealthLow": True,
        "DebtCeilingHigh": True,
    }
    assert len(both.sent) == 2, "the warnings; a P0 and its end do not count"
    for same in (
        joined(other.notified, one.notified, one.now),
        joined(both, NOTHING_TOLD, one.now),
        joined(both, both, one.now),
    ):
        assert (set(same.told), same.sent) == (set(both.told), both.sent)


# -- clocks that were wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [timedelta(hours=3), timedelta(days=400)])
def test_due__clock_was_ahead__what_holds_is_told_again_and_what_is_new_is_not_held_back(wrong: timedelta) -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=3), patient=False)
    watcher.now += wrong
    assert len(watcher.told(SHORT, *many(9))) == 10
    watcher.now -= wrong
    assert watcher.told(SHORT, *many(9))[0] == ("lasting", "ReserveShortfall")
    assert ("new", "VaultHealthLow") in watcher.told(SHORT, *many(9), VAULT, after=3600)


def test_due__clock_is_set_back__waits_no_longer_than_the_for() -> None:
    watcher = Watcher()
    watcher.told(VAULT)
    watcher.now -= timedelta(days=1)
    watcher.told(VAULT)
    assert watcher.told(VAULT, after=300) == [("new", "VaultHealthLow")]
    watcher.told()
    watcher.now -= timedelta(days=1)
    watcher.told()
    assert watcher.told(after=300) == [("ended", "VaultHealthLow")]


def test_joined__monitors_whose_clocks_differ_by_hours__tell_it_once_each_and_then_as_it_lasts() -> None:
    one, other = Watcher(), Watcher()
    other.now += timedelta(hours=3)
    told: list[tuple[str, str]] = []
    for _ in range(4 * 60):
        for watcher, beside in ((one, other), (other, one)):
            watcher.notified = joined(watcher.notified, beside.notified, watcher.now)
            told += watcher.told(SHORT)
    assert told == [("new", "ReserveShortfall"), ("lasting", "ReserveShortfall")]


def test_due__told_by_a_monitor_whose_clock_is_a_little_ahead__is_not_told_again() -> None:
    watcher = Watcher()
    watcher.told(SHORT)
    after = watcher.restarted()
    after.now -= timedelta(seconds=45)
    assert after.told(SHORT) == []


# -- the limit -------------------------------------------------------------------------------------------------------


def test_portioned__many_at_once__are_a_few_of_their_own_and_one_of_the_rest() -> None:
    watcher = Watcher(patient=False)
    sent = watcher.cycle(*many(30), DOWN, SHORT)
    assert [len(each) for each in sent] == [1] * AT_ONCE + [27]
    assert [each[0].alert for each in sent[:2]] == ["ReserveShortfall", "RpcEndpointDown"]


def test_portioned__more_than_one_message_names__are_named_in_the_next() -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=40), patient=False, limit=1000)
    found = many(100)
    named = [each.subject for _ in range(10) for told in watcher.cycle(*found) for each in told]
    assert sorted(named) == sorted(each.subject for each in found)


def test_portioned__limit_reached__holds_back_all_but_p0_until_the_hour_is_over() -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=3), patient=False)
    for number in range(3):
        assert len(watcher.cycle(*many(number + 1))) == 1
    assert watcher.cycle(*many(9)) == []
    assert watcher.told(*many(9), SHORT) == [("new", "ReserveShortfall")]
    assert watcher.cycle(*many(9), SHORT, after=3400) == []
    sent = watcher.cycle(*many(9), SHORT, after=200)
    assert [[each.subject for each in told] for told in sent] == [["USDW"], ["C3"], ["C4"], ["C5", "C6", "C7", "C8"]]


def test_portioned__last_message_that_is_free__tells_one_in_full_or_several_together() -> None:
    one = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=1), patient=False)
    assert [len(each) for each in one.cycle(VAULT)] == [1]
    several = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=1), patient=False)
    assert [len(each) for each in several.cycle(*many(7))] == [7]


def test_portioned__incidents__are_closed_one_by_one_whatever_the_limit() -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=1, incidents=True), patient=False)
    watcher.told(*many(12))
    closed = [watcher.cycle() for _ in range(3)]
    assert [[len(each) for each in sent] for sent in closed] == [[1] * 5, [1] * 5, [1] * 2]


FINDINGS = [SHORT, LOW, DOWN, VAULT, *many(8), *many(8, "MoneyMultiplierViolation", "P0")]
CYCLES = st.lists(
    st.tuples(
        st.sets(st.integers(0, len(FINDINGS) - 1)),
        st.integers(1, 3000),  # seconds
        st.booleans(),  # everything was read
        st.booleans(),  # the destination is reached
    ),
    max_size=15,
)


def played(watcher: Watcher, cycles: Iterable[tuple[set[int], int, bool, bool]]) -> Iterator[list[tuple[Notice, ...]]]:
    for found, seconds, whole, reachable in cycles:
        watcher.reachable = reachable
        yield watcher.cycle(*(FINDINGS[each] for each in sorted(found)), after=seconds, whole=whole)


def test_portioned__a_flood_of_warnings__does_not_hold_back_what_is_critical() -> None:
    watcher = Watcher(TERMS, patient=False)
    flood = many(40)
    for number in range(40):
        watcher.told(flood[number], after=60)
    drift = Finding("RoleDrift", "critical", "P1", "mint-controller MINTER_ROLE", "0x… is unexpected")
    assert ("new", "RoleDrift") in watcher.told(drift)


@given(CYCLES, st.integers(1, 6), st.sampled_from([160, 3000]), st.booleans())
def test_limit__any_history__holds_for_all_but_p0(
    cycles: list[tuple[set[int], int, bool, bool]], per_hour: int, limit: int, patient: bool
) -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour), patient=patient, limit=limit)
    sent: list[datetime] = []
    for messages in played(watcher, cycles):
        sent += [watcher.now for told in messages if not any(each.urgent for each in told)]
        assert sum(watcher.now - at < timedelta(hours=1) for at in sent) <= per_hour


@given(CYCLES, st.integers(1, 6))
def test_p0__any_history__is_told_in_the_first_cycle_that_reaches_the_destination(
    cycles: list[tuple[set[int], int, bool, bool]], per_hour: int
) -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour))
    for (found, _, _, reachable), _ in zip(cycles, played(watcher, cycles), strict=True):
        standing = {(each.alert, each.subject) for each in watcher.notified.told if each.ended is None}
        urgent = {(f.alert, f.subject) for f in (FINDINGS[each] for each in found) if f.incident == "P0"}
        assert not reachable or urgent <= standing


@given(CYCLES, st.integers(1, 6), st.sampled_from([160, 3000]), st.sets(st.integers(0, len(FINDINGS) - 1)))
def test_lasting__any_history__is_told_in_the_end(
    cycles: list[tuple[set[int], int, bool, bool]], per_hour: int, limit: int, lasting: set[int]
) -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour), limit=limit)
    list(played(watcher, cycles))
    list(played(watcher, [(lasting, 1800, True, True)] * 40))
    standing = {(each.alert, each.subject) for each in watcher.notified.told if each.ended is None}
    assert {(FINDINGS[each].alert, FINDINGS[each].subject) for each in lasting} <= standing


@given(CYCLES)
def test_told__any_history__is_new_once_until_it_ended_and_again_only_after_its_time(
    cycles: list[tuple[set[int], int, bool, bool]],
) -> None:
    watcher = Watcher(Terms(("critical", "warning"), REPEAT, per_hour=20))
    history: dict[tuple[str, str], list[tuple[str, datetime]]] = {}
    for messages in played(watcher, cycles):
        for notice in (each for told in messages for each in told):
            history.setdefault(notice.key, []).append((notice.kind, watcher.now))
            if notice.kind == "lasting":
                assert history[notice.key][-1][1] - history[notice.key][-2][1] >= REPEAT[notice.severity]
    for told in history.values():
        assert told[0][0] == "new"
        for (before, _), (after, _) in pairwise(told):
            assert (after == "new") == (before == "ended")
