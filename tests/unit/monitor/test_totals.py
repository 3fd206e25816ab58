"""What the stored events add up to, against the same computed plainly from the list of events."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.errors import OperatorError
from attest.monitor.events import Statuses
from attest.monitor.sizing import bridge_buffer
from attest.monitor.thresholds import DAY, HOUR
from attest.monitor.totals import Durations, Peak, Totals, reading
from tests.support.eventful import (
    ACCESS,
    ASSET,
    FAILED,
    HOLDER,
    REFUNDED,
    ROLE,
    SETTLED,
    TOKEN,
    Emission,
    EventfulChain,
    burned,
    checked,
    emission,
    granted,
    initiated,
    liquidated,
    minted,
    released,
    revoked,
    status,
    used,
    verified,
)
from tests.support.indexing import client, open_index

OTHER = "0x" + "0e" * 20
FOREVER = 2**40


class Story:
    """A chain told event by event, at times after its first block."""

    def __init__(self, folder: Path) -> None:
        self.chain = EventfulChain()
        self.begun = int(self.chain.blocks[0]["timestamp"], 16)
        self.now = self.begun
        self.database = f"sqlite:///{folder / 'events.sqlite'}"

    def at(self, seconds: int, *events: Emission) -> None:
        self.chain.mine(*events, seconds=self.begun + seconds - self.now)
        self.now = self.begun + seconds

    def totals(self) -> Any:
        index = open_index(self.database)
        index.advance(client(self.chain))
        index.close()
        return reading(self.database)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_counters__no_events__exist_at_zero(story: Story) -> None:
    with story.totals() as totals:
        assert totals.transfers() == {
            "initiated": 0, "settled": 0, "failed": 0, "refund-initiated": 0, "refunded": 0,
        }  # fmt: skip
        assert totals.verifications() == totals.compliance_checks() == {True: 0, False: 0}
        assert totals.violations() == {"money-multiplier": 0, "gru-isolation": 0, "iso4217": 0}
        assert set(totals.counts().values()) == {0}
        assert totals.oldest_pending() is None
        assert totals.outcomes(0, FOREVER).rate is None
        assert totals.settlements(0, FOREVER) == Durations(0, None, None)
        assert totals.settlement_histogram().count == 0
        assert totals.bridge(0, FOREVER) == {}


def test_counters__events_of_all_kinds__are_counted(story: Story) -> None:
    story.at(1, initiated(1), status(1, 1), initiated(2), status(2, 1))
    story.at(2, status(1, SETTLED), status(2, FAILED), status(2, 4), status(2, REFUNDED), status(9, 77))
    story.at(3, verified(True), verified(False), verified(False), checked(True), checked(False), liquidated())
    story.at(4, minted(5), minted(2**200), burned(3))
    story.at(5, emission("money-multiplier-violated", "0x" + "c0" * 20, token=ASSET, supply=5, reserve=4))
    with story.totals() as totals:
        assert totals.transfers() == {
            "initiated": 2, "settled": 1, "failed": 1, "refund-initiated": 1, "refunded": 1, "status-77": 1,
        }  # fmt: skip
        assert totals.verifications() == {True: 1, False: 2}
        assert totals.compliance_checks() == {True: 1, False: 1}
        assert totals.violations() == {"money-multiplier": 1, "gru-isolation": 0, "iso4217": 0}
        assert totals.count("liquidated") == 1
        assert totals.by_contract("minted") == {TOKEN: 2}
        assert totals.volume("minted") == {TOKEN: 5 + 2**200}
        assert totals.volume("burned", since=story.now) == {}


def test_roles__granted_revoked_and_used__by_contract_and_role(story: Story) -> None:
    role = f"0x{ROLE.hex()}"
    admin = bytes(32)
    story.at(1, granted(admin, HOLDER), granted(), granted(account=OTHER))
    story.at(2, revoked(account=OTHER), used())
    story.at(3, used())
    story.at(4, granted(account=OTHER))
    with story.totals() as totals:
        assert totals.role_changes() == {
            (ACCESS, f"0x{admin.hex()}", "role-granted"): 1,
            (ACCESS, role, "role-granted"): 3,
            (ACCESS, role, "role-revoked"): 1,
        }
        assert totals.role_grants() == {ACCESS: {(f"0x{admin.hex()}", HOLDER), (role, HOLDER), (role, OTHER)}}
        assert totals.latest("role-used", ACCESS, role) == story.begun + 3
        assert totals.latest("role-used", ACCESS, f"0x{admin.hex()}") is None
        assert totals.latest("role-granted", ACCESS) == story.begun + 4
        assert totals.latest("role-granted", TOKEN) is None
        assert totals.begin() == story.begun


def test_roles__grant_in_blocks_that_are_replaced__is_gone(story: Story) -> None:
    story.at(1, granted())
    story.at(2, granted(account=OTHER), used())
    with story.totals() as totals:
        assert len(totals.role_grants()[ACCESS]) == 2
    story.chain.reorganise(1)
    story.at(3, minted(1))
    with story.totals() as totals:
        assert totals.role_grants() == {ACCESS: {(f"0x{ROLE.hex()}", HOLDER)}}
        assert totals.latest("role-used", ACCESS) is None


def test_outcomes__transfers_ended_in_the_window__by_how_they_first_ended(story: Story) -> None:
    story.at(1, *[initiated(n) for n in range(6)])
    story.at(10, status(0, SETTLED), status(1, FAILED))
    story.at(20, status(1, REFUNDED), status(2, SETTLED), status(3, SETTLED))
    story.at(30, status(4, 4), status(4, REFUNDED), status(3, FAILED))
    with story.totals() as totals:
        everything = totals.outcomes(0, FOREVER)
        assert (everything.settled, everything.failed, everything.ended) == (3, 2, 5)
        assert everything.rate == Fraction(3, 5)
        late = totals.outcomes(story.begun + 10, story.begun + 20)
        assert (late.settled, late.failed) == (2, 0)


def test_settlements__median_and_p95__are_of_nearest_rank(story: Story) -> None:
    story.at(1, *[initiated(n) for n in range(1, 21)])
    for n in range(1, 21):
        story.at(1 + 10 * n, status(n, SETTLED))
    with story.totals() as totals:
        assert totals.settlements(0, FOREVER) == Durations(20, 100, 190)
        assert totals.settlements(story.begun + 101, story.begun + 111) == Durations(1, 110, 110)
        histogram = totals.settlement_histogram((50, 100, 1000))
        assert histogram.buckets == {50: 5, 100: 10, 1000: 20}
        assert (histogram.count, histogram.seconds) == (20, 2100)


def test_oldest_pending__transfer_that_has_not_ended__is_when_it_began(story: Story) -> None:
    story.at(5, initiated(1))
    story.at(9, initiated(2), status(1, SETTLED))
    story.at(12, initiated(3), status(2, 4))  # its refund is not paid yet
    with story.totals() as totals:
        assert totals.oldest_pending() == story.begun + 9


def test_oldest_pending__transfer_that_failed__is_pending_until_its_refund(story: Story) -> None:
    story.at(5, initiated(1))
    story.at(7, initiated(2))
    story.at(9, status(1, FAILED), status(2, FAILED))
    with story.totals() as totals:
        assert totals.outcomes(0, FOREVER) == (0, 2)
        assert totals.oldest_pending() == story.begun + 5
    story.at(20, status(1, 4), status(1, REFUNDED))
    with story.totals() as totals:
        assert totals.outcomes(0, FOREVER) == (0, 2), "by how it first ended"
        assert totals.oldest_pending() == story.begun + 7
    story.at(30, status(2, REFUNDED))
    with story.totals() as totals:
        assert totals.oldest_pending() is None


def test_transfer__ended_before_it_began_or_begun_twice__is_as_in_the_first_honest_order(story: Story) -> None:
    story.at(1, status(1, SETTLED))
    story.at(5, initiated(1, 10), initiated(1, 99))
    story.at(15, status(1, SETTLED))
    with story.totals() as totals:
        assert totals.settlements(0, FOREVER) == Durations(1, 10, 10)


@pytest.mark.parametrize(
    ("gap", "units"), [(HOUR - 1, 30), (HOUR, 20)], ids=["within the hour", "an hour apart: two windows"]
)
def test_peak_outflow__edge_of_the_window__is_left_out(story: Story, gap: int, units: int) -> None:
    story.at(10, initiated(1, 10))
    story.at(10 + gap, initiated(2, 20))
    with story.totals() as totals:
        assert totals.peak_outflow(HOUR, 0, FOREVER) == {ASSET: Peak(units, HOUR, story.now)}


def test_bridge__initiated_and_released__largest_rate_counts(story: Story) -> None:
    story.at(10, initiated(1, 3600), initiated(9, 5, OTHER))
    story.at(20, released(7, 7200))
    story.at(30, status(1, SETTLED))
    with story.totals() as totals:
        found = totals.bridge(story.begun, story.now)
        assert set(found) == {ASSET, OTHER}
        kind, peak = found[ASSET].peak
        assert (kind, peak.window, peak.per_second) == ("transfer-released", HOUR, Fraction(2))
        assert (found[ASSET].initiated, found[ASSET].released) == (3600, 7200)
        assert found[ASSET].latency == Durations(1, 20, 20)
        assert found[OTHER].peak[1].per_second == Fraction(5, HOUR)


TRANSFERS = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.sampled_from([ASSET, OTHER]),
        st.integers(0, 2**200),
        st.integers(0, 9000),
        st.sampled_from([SETTLED, SETTLED, SETTLED, FAILED, None]),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TRANSFERS, st.integers(0, 20_000))
def test_bridge__any_transfers__all_five_steps_as_computed_plainly(
    tmp_path_factory: pytest.TempPathFactory, transfers: list[tuple[int, str, int, int, int | None]], back: int
) -> None:
    """The runbook's sizing (section 1.4) of each asset, from the bare list of transfers."""
    story, told, now = Story(tmp_path_factory.mktemp("sized")), [], 1
    for number, (gap, asset, amount, takes, outcome) in enumerate(transfers):
        now += gap
        told.append((now, initiated(number, amount, asset)))
        if outcome is not None:
            told.append((now + takes, status(number, outcome)))
    for at, event in sorted(told, key=lambda each: each[0]):
        story.at(at, event)
    until = story.now
    since = until - back
    begun = list(itertools.accumulate(gap for gap, *_ in transfers))
    left: list[Any] = [(story.begun + 1 + at, *rest) for at, (_, *rest) in zip(begun, transfers, strict=True)]
    with story.totals() as totals:
        measured = totals.bridge(since, until)
    assert set(measured) == {asset for at, asset, *_ in left if since < at <= until}
    for asset, found in measured.items():
        flow = [(at, amount) for at, of, amount, *_ in left if of == asset and since < at <= until]
        rates = [
            Fraction(sum(amount for at, amount in flow if end - window < at <= end), window)
            for window in (3600, 86_400)
            for end, _ in flow
        ]
        ended = [
            (of, takes) for at, of, _, takes, outcome in left if outcome == SETTLED and since < at + takes <= until
        ]
        times = sorted(takes for of, takes in ended if of == asset) or sorted(takes for _, takes in ended)
        assert found.initiated == sum(amount for _, amount in flow)
        assert found.peak[1].per_second == max(rates)
        assert found.latency.count == len(times)
        if times:
            # The least time that at least half, or 95 of 100, took at most.
            half, most = (
                next(time for time in times if sum(each <= time for each in times) * 100 >= share * len(times))
                for share in (50, 95)
            )
            assert (found.latency.median, found.latency.p95) == (half, most)
            buffer = bridge_buffer(found.peak[1].per_second, most, Fraction(3, 2))
            assert buffer.minimum - 1 < max(rates) * most <= buffer.minimum
            assert buffer.required - 1 < max(rates) * most * 3 / 2 <= buffer.required


def test_bridge__asset_that_settles_slowly__is_not_sized_by_one_that_is_fast(story: Story) -> None:
    story.at(1, initiated(0, 10, OTHER), *[initiated(n, 1) for n in range(1, 40)])
    story.at(11, *[status(n, SETTLED) for n in range(1, 40)])
    story.at(7201, status(0, SETTLED))
    with story.totals() as totals:
        found = totals.bridge(story.begun, story.now)
        assert (found[ASSET].latency.p95, found[OTHER].latency.p95) == (10, 7200)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 2**100)), min_size=1, max_size=25))
def test_peak_outflow__any_amounts__is_the_largest_sum_of_a_window(
    tmp_path_factory: pytest.TempPathFactory, flow: list[tuple[int, int]]
) -> None:
    story = Story(tmp_path_factory.mktemp("flow"))
    times, now = [], 0
    for number, (gap, amount) in enumerate(flow):
        now += gap
        story.at(now, initiated(number, amount))
        times.append((story.begun + now, amount))
    for window in (HOUR, DAY):
        plain = max(sum(amount for at, amount in times if end - window < at <= end) for end, _ in times)
        with story.totals() as totals:
            assert totals.peak_outflow(window, 0, FOREVER)[ASSET].units == plain


def test_reading__totals__are_of_one_state_while_the_index_goes_on(story: Story) -> None:
    story.at(1, minted(1))
    with story.totals() as totals:
        assert isinstance(totals, Totals)
        assert totals.count("minted") == 1
        story.at(2, minted(2))
        open_index(story.database).advance(client(story.chain))
        assert totals.count("minted") == 1
        assert totals.indexed.number == 1
    with reading(story.database) as totals:
        assert totals.count("minted") == 2


def test_reading__no_index_or_another_chain__is_refused_by_name(story: Story, tmp_path: Path) -> None:
    with (
        pytest.raises(OperatorError, match=r"there is no .*nothing\.sqlite"),
        reading("sqlite:///nothing.sqlite", base=tmp_path),
    ):
        pass
    with story.totals():
        pass
    with (
        pytest.raises(OperatorError, match=r"has the chains 138, and not 651940") as refused,
        reading(story.database, chain_id=651940),
    ):
        pass
    assert refused.value.code == "no-such-chain"


def test_outcomes__bridge_with_other_statuses__are_read_by_what_the_index_knows(story: Story) -> None:
    theirs = Statuses(("none", "lost", "paid", "stuck"), frozenset({"paid"}), frozenset({"lost"}))
    story.at(1, initiated(1), initiated(2), initiated(3))
    story.at(5, status(1, 1), status(2, 2), status(3, 3))
    index = open_index(story.database, statuses=theirs)
    index.advance(client(story.chain))
    with reading(story.database) as totals:
        assert totals.outcomes(0, FOREVER) == (1, 1)
        assert totals.transfers() == {"initiated": 3, "lost": 1, "paid": 1, "stuck": 1}
        assert totals.oldest_pending() == story.begun + 1
