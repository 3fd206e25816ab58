"""A log's entries read as a history: what counts, what contradicts, what is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from attest import statement
from attest.period import Period
from attest.verify.entries import History, contradictions, gaps, read_history, replacements
from tests.support import bundles
from tests.support.logs import entry, payload

TRUST = replace(bundles.trust(), cadence_weeks=1)
FIRST = payload("2026-W46")
SECOND = payload("2026-W46", 1, replaces=FIRST)


#: All weeks that are attested here have had their cutoff.
NOW = datetime(2027, 1, 11, tzinfo=UTC)


def history(*entries: bytes, now: datetime = NOW) -> History:
    return read_history(entries, TRUST, now)


def missing(found: History, last: str, cadence: int | None = 1, earliest: str = "2026-W44") -> list[str]:
    trust = replace(TRUST, cadence_weeks=cadence, earliest_period=earliest)
    return [str(gap) for gap in gaps(found, trust, Period.parse(last))]


def test_history__statement_by_enough_attestors__counts() -> None:
    found = history(entry(FIRST), entry(payload("2026-W47")))
    assert [(item.index, item.predicate.period, item.attestors) for item in found.statements] == [
        (0, "2026-W46", ("attestor 0", "attestor 1")),
        (1, "2026-W47", ("attestor 0", "attestor 1")),
    ]
    assert found.refused == ()
    assert [str(period) for period in found.standing] == ["2026-W46", "2026-W47"]


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        (b"not an envelope", "unreadable", "not JSON"),
        (entry(b"{}"), "unreadable", "_type is missing"),
        (entry(FIRST, payload_type="text/plain"), "unreadable", "of type 'text/plain'"),
        (entry(payload(issuer="Somebody Else")), "foreign", "by 'Somebody Else', not 'Example Issuer Ltd'"),
        (entry(FIRST, signers=(0,)), "unsigned", "signed by attestor 0 (2 needed)"),
        (entry(payload("2026-W46", dated="2026-W44")), "misdated", "on Sun 1 Nov 2026 23:59 UTC, which is not in that"),
        (entry(payload("2026-W46", dated="2026-W48")), "misdated", "on Sun 29 Nov 2026 23:59 UTC, which is not in"),
        (entry(FIRST, signers=(7, 8)), "unsigned", "signed by nobody whom you trust for that period (2 needed)"),
    ],
)
def test_history__entry_that_does_not_count__is_named_and_fills_no_week(data: bytes, kind: str, why: str) -> None:
    found = history(data, entry(payload("2026-W47")))
    (remark,) = found.refused
    assert (remark.index, remark.kind) == (0, kind)
    assert why in remark.detail
    assert [item.index for item in found.statements] == [1]
    assert missing(found, "2026-W47", earliest="2026-W46") == ["2026-W46"]


def test_history__attestor_of_another_period__does_not_count() -> None:
    attestors = tuple(replace(item, valid_from="2026-W47") for item in TRUST.attestors)
    found = read_history([entry(FIRST)], replace(TRUST, attestors=attestors), NOW)
    assert [remark.kind for remark in found.refused] == ["unsigned"]


def test_history__one_key_under_two_names__counts_once() -> None:
    twice = replace(TRUST.attestors[0], name="alias")
    found = read_history([entry(FIRST, signers=(0,))], replace(TRUST, attestors=(*TRUST.attestors, twice)), NOW)
    assert [remark.kind for remark in found.refused] == ["unsigned"]


def test_attack_15__statements_signed_in_advance_under_one_cutoff__fill_only_their_own_week() -> None:
    found = history(*(entry(payload(f"2026-W{week}", dated="2026-W47")) for week in range(47, 53)))
    assert [item.predicate.period for item in found.statements] == ["2026-W47"]
    assert [remark.kind for remark in found.refused] == ["misdated"] * 5
    assert missing(found, "2026-W52", earliest="2026-W47") == [f"2026-W{week}" for week in range(48, 53)]


@pytest.mark.parametrize("period", ["2026-W47", "2030-W01"])
def test_attack_15__statement_before_its_cutoff__counts_from_then_on(period: str) -> None:
    data = payload(period)
    cutoff = statement.read(data).predicate.cutoff
    early = history(entry(data), now=cutoff - timedelta(seconds=1))
    assert [remark.kind for remark in early.refused] == ["misdated"]
    assert "in the future (it is" in early.refused[0].detail
    assert missing(early, period, earliest=period) == [period]
    assert missing(history(entry(data), now=cutoff), period, earliest=period) == []


def test_history__statements_before_the_earliest_period__are_passed_over() -> None:
    """Keys of that time are none of the trust file's."""
    found = read_history(
        [entry(FIRST, signers=(8,)), entry(payload("2026-W47"))], replace(TRUST, earliest_period="2026-W47"), NOW
    )
    assert found.refused == ()
    assert [item.index for item in found.statements] == [1]


# -- revisions -------------------------------------------------------------------------------------------------------


def test_standing__revision__stands_in_the_firsts_place() -> None:
    found = history(entry(FIRST), entry(SECOND))
    assert [item.index for item in found.standing.values()] == [1]
    assert not list(contradictions(found))
    (remark,) = replacements(found)
    assert (remark.index, remark.kind) == (1, "revision")
    assert "replaces" in remark.detail
    assert "A statement was read wrongly." in remark.detail


def test_replacements__revocation__is_called_one() -> None:
    revoked = payload("2026-W46", 1, replaces=FIRST, kind="revocation")
    (remark,) = replacements(history(entry(FIRST), entry(revoked)))
    assert remark.kind == "revocation"
    assert "revokes" in remark.detail


@pytest.mark.parametrize(
    ("bodies", "why"),
    [
        ((FIRST, FIRST.replace(b"reserve-attest 0.1.0", b"reserve-attest 0.1.1")), "contradicts entry 0"),
        ((FIRST, payload("2026-W46", 2, replaces=SECOND)), "comes where revision 1 should"),
        ((SECOND,), "comes where revision 0 should"),
        ((FIRST, payload("2026-W46", 1, replaces=b"another")), "does not replace entry 0"),
        ((FIRST, SECOND, payload("2026-W46", 1, replaces=FIRST, reason="another")), "contradicts entry 1"),
    ],
)
def test_contradictions__broken_row_of_revisions__is_named(bodies: tuple[bytes, ...], why: str) -> None:
    found = list(contradictions(history(*map(entry, bodies))))
    assert [remark.index for remark in found] == [len(bodies) - 1]
    assert why in found[0].detail


# -- missing weeks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("periods", "last", "cadence", "expected"),
    [
        (("2026-W44", "2026-W45", "2026-W46"), "2026-W46", 1, []),
        (("2026-W44", "2026-W46"), "2026-W46", 1, ["2026-W45"]),
        (("2026-W46",), "2026-W46", 1, ["2026-W44", "2026-W45"]),
        (("2026-W44",), "2026-W46", 1, ["2026-W45", "2026-W46"]),
        ((), "2026-W45", 1, ["2026-W44", "2026-W45"]),
        ((), "2026-W43", 1, []),
        (("2026-W43", "2026-W47"), "2026-W45", 1, ["2026-W44", "2026-W45"]),
        (("2026-W45", "2026-W46"), "2026-W48", 2, []),
        (("2026-W45", "2026-W48"), "2026-W49", 2, ["2026-W46 to 2026-W47"]),
        (("2026-W45",), "2026-W46", 2, []),
        (("2026-W45",), "2026-W47", 2, ["2026-W46 to 2026-W47"]),
        (("2026-W52", "2026-W53"), "2027-W01", 3, ["2026-W44 to 2026-W46", "2026-W47 to 2026-W49"]),
        ((), "2026-W50", None, []),
    ],
)
def test_gaps__weeks_without_a_statement__are_those_that_the_cadence_asks_for(
    periods: tuple[str, ...], last: str, cadence: int | None, expected: list[str]
) -> None:
    found = history(*(entry(payload(period)) for period in periods))
    assert missing(found, last, cadence) == expected


def test_gaps__statement_of_a_missed_week_logged_late__fills_it() -> None:
    found = history(*(entry(payload(period)) for period in ("2026-W44", "2026-W46", "2026-W45")))
    assert missing(found, "2026-W46") == []
