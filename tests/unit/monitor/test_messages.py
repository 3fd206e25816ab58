"""Messages as the person reads them who is woken by one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.monitor.alerts import ALERTS
from attest.monitor.messages import LONGEST, Message, harmless, lasted, message, trial
from attest.monitor.notices import Notice

AT = datetime(2026, 11, 30, 3, 12, tzinfo=UTC)
SHORT = Notice(
    "new", "ReserveShortfall", "USDW", "critical", "P0", 1, AT, 0, "reserve 900 units, supply 1000: 100 are missing"
)
VAULT = Notice("new", "VaultHealthLow", "vaults", "warning", "P3", 1, AT, 0, "the lowest health ratio is 119.00 %")
HOSTILE = "<!channel> @here [bank](https://evil.example) <https://evil.example|bank> `x`\n\x1b[31m\u202e"


def told(*notices: Notice, at: datetime = AT, others: bool = False, limit: int = LONGEST) -> Message:
    return message(notices, "Example Issuer", at, others=others, limit=limit)


def test_message__shortfall__says_how_bad_what_it_means_what_to_type_and_where_to_read_on() -> None:
    read = told(SHORT)
    assert read.title == "CRITICAL P0: ReserveShortfall: USDW"
    alert = ALERTS["ReserveShortfall"]
    assert read.body.splitlines() == [
        alert.means,
        "Now: reserve 900 units, supply 1000: 100 are missing",
        "",
        "First (halts minting (§4.1); needs the controller's admin key):",
        alert.commands[0][0],
        "Page: docs/alerts/ReserveShortfall.md",
        "",
        "Example Issuer, attest monitor, Mon 2026-11-30 03:12 UTC",
    ]
    assert read.mood == "failure"


@pytest.mark.parametrize(
    ("kind", "title", "line", "mood"),
    [
        (
            "worse",
            "WORSE, CRITICAL P0: ReserveShortfall: USDW",
            "Since Mon 2026-11-30 03:12 UTC (2 h 5 min).",
            "failure",
        ),
        (
            "lasting",
            "STILL CRITICAL P0: ReserveShortfall: USDW",
            "Since Mon 2026-11-30 03:12 UTC (2 h 5 min).",
            "failure",
        ),
        (
            "ended",
            "ENDED: ReserveShortfall: USDW",
            "It was CRITICAL P0 since Mon 2026-11-30 03:12 UTC (2 h 5 min), and does not hold any more.",
            "success",
        ),
    ],
)
def test_message__later_on__says_since_when(kind: str, title: str, line: str, mood: str) -> None:
    read = told(replace(SHORT, kind=kind), at=AT + timedelta(hours=2, minutes=5))
    assert (read.title, read.mood) == (title, mood)
    assert line in read.body.splitlines()


def test_message__collector_that_fails__has_the_page_of_the_alert_that_it_becomes() -> None:
    read = told(Notice("new", "CollectorFailed", "vaults", "critical", "P1", 1, AT, 0, "no code"))
    assert "Page: docs/alerts/CollectorStale.md" in read.body


def test_message__finding_without_an_alert__has_a_first_command_and_a_page_too() -> None:
    read = told(Notice("new", "Unlisted", "main", "warning", "", 1, AT, 0, "odd"))
    assert read.title == "WARNING: Unlisted: main"
    assert {"First: attest monitor --once", "Page: docs/monitor.md"} <= set(read.body.splitlines())


def test_message__one_finding__is_one_incident_from_its_begin_to_its_end() -> None:
    incidents = {told(replace(SHORT, kind=kind)).incident for kind in ("new", "worse", "lasting", "ended")}
    assert len(incidents) == 1
    other = message([SHORT], "Another Issuer", AT, others=False, limit=LONGEST).incident
    assert len({*incidents, other, told(replace(SHORT, subject="EURW")).incident, told(SHORT, VAULT).incident}) == 4
    assert told(SHORT, VAULT).incident is None


def test_message__several__are_a_line_each_and_as_bad_as_the_worst() -> None:
    read = told(VAULT, SHORT, replace(VAULT, kind="ended"), others=True)
    assert read.title == "3 more: 1 CRITICAL, 1 WARNING, 1 ended"
    assert read.body.splitlines()[:3] == [
        "- WARNING P3: VaultHealthLow: vaults: the lowest health ratio is 119.00 %",
        "- CRITICAL P0: ReserveShortfall: USDW: reserve 900 units, supply 1000: 100 are missing",
        "- ENDED: VaultHealthLow: vaults: the lowest health ratio is 119.00 %",
    ]
    assert read.mood == "failure"


def test_message__more_than_fit__names_what_fits_and_counts_the_rest() -> None:
    notices = [replace(VAULT, subject=f"vault-{number}") for number in range(200)]
    read = told(*notices, limit=1024)
    assert read.title == "200 findings: 200 WARNING"
    named = [line for line in read.body.splitlines() if line.startswith("- ")]
    assert len(named) == len(read.notices) > 15, "without details, as they do not all fit"
    assert f"and {200 - len(named)} more" in read.body.splitlines()
    assert read.notices == tuple(notices[: len(named)])


@given(
    st.lists(st.sampled_from([SHORT, VAULT]), min_size=1, max_size=20), st.integers(140, 4000), st.text(max_size=900)
)
def test_message__any_notices__fit_and_name_one_at_least(notices: list[Notice], limit: int, detail: str) -> None:
    read = told(*(replace(each, detail=detail) for each in notices), limit=limit)
    assert len(read.title) + 2 + len(read.body) <= min(limit, LONGEST)
    assert read.notices


def test_message__hostile_names__call_nobody_and_hide_nothing() -> None:
    hostile = replace(VAULT, subject=HOSTILE, detail=HOSTILE)
    for read in (
        message([hostile], HOSTILE, AT, others=False, limit=LONGEST),
        message([hostile, hostile], HOSTILE, AT, others=False, limit=LONGEST),
        trial("slack", ("critical",), HOSTILE, AT),
    ):
        text = f"{read.title}\n{read.body}"
        assert not re.search(r"@|<\S|\]\(|`|[\x00-\x09\x0b-\x1f\u202a-\u202e]", text)
        assert read.title.count("\n") == 0


def test_harmless__comparisons_and_endpoints__stay_as_they_are() -> None:
    for plain in ("104.999 % < 105 %", "http://127.0.0.1:8545", "isReserveSufficient() is false"):
        assert harmless(plain) == plain


@pytest.mark.parametrize(
    ("time", "word"),
    [
        (timedelta(), "0 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(hours=47), "1 d 23 h"),
    ],
)
def test_lasted__a_time__is_its_two_largest_units(time: timedelta, word: str) -> None:
    assert lasted(time) == word
