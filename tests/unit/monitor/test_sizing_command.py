"""``attest sizing``: formula, numbers in, answer, verdict, and the exit code that a script goes by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest import schemas
from attest.records import format_instant
from tests.support.commands import Said, attest
from tests.support.eventful import ASSET, SETTLED, EventfulChain, initiated, released, status
from tests.support.indexing import client, open_index


def document(said: Said) -> dict[str, Any]:
    jsonschema.validate(said.document, schemas.schema("sizing"))
    assert said.document["exit_code"] == said.code
    return dict(said.document)


def test_stabilization__runbook_s_example__prints_formula_numbers_and_answer() -> None:
    said = attest("sizing", "stabilization", "--peak-minute-outflow", 10_000, "--window", "5m", "--safety", 3)
    assert said.code == 0
    assert "Reserve >= P x T x SafetyFactor" in said.out
    assert "50,000" in said.out
    assert "Required: 150,000 units" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("reserve", "code", "verdict"),
    [
        (49_999, 4, "below-minimum"),
        (50_000, 4, "below-safety"),
        (149_999, 4, "below-safety"),
        (150_000, 0, "sufficient"),
    ],
)
def test_stabilization__reserve_given__decides_the_exit_code(reserve: int, code: int, verdict: str) -> None:
    said = attest("sizing", "stabilization", "--peak-minute-outflow", 10_000, "--window", 300, "--reserve", reserve,
                  "--json")  # fmt: skip
    found = document(said)
    assert (said.code, found["verdict"]) == (code, verdict)
    assert (found["minimum"], found["required"], found["actual"]) == ("50000", "150000", str(reserve))
    assert {"name": "safety factor", "value": "3", "unit": "", "origin": "default"} in found["inputs"]  # type: ignore[operator]


def test_bridge__numbers_given__is_peak_times_latency_times_safety() -> None:
    words = ["sizing", "bridge", "--peak-outflow", "7200.50", "--per", "hour", "--latency", "25m", "--decimals", 2]
    found = document(attest(*words, "--safety", "1.5", "--reserve", "4500.32", "--json"))
    assert (found["minimum"], found["required"], found["actual"]) == ("300021", "450032", "450032")
    assert found["verdict"] == "sufficient"
    said = attest(*words, "--safety", "1.2")
    assert "Note: the safety factor is below the runbook's 1.5 to 2" in said.out


def test_cantilever__static_and_dynamic__holds_or_not() -> None:
    words = ["sizing", "cantilever", "--trade-size", 500, "--frequency", 12, "--imbalance", 6001]
    assert document(attest(*words, "--json"))["verdict"] == "violated"
    assert attest(*words).code == 4
    dynamic = attest(*words, "--k", 100_000, "--deviation", "0.01", "--theta", "0.005", "--json")
    assert document(dynamic)["verdict"] == "holds"
    same = attest(*words, "--k", 100_000, "--deviation", "0.005", "--theta", "0.005", "--json")
    assert document(same)["verdict"] == "violated"


def test_parity__two_prices__below_the_threshold_or_not() -> None:
    words = ["sizing", "parity", "--price", "138=1.0002", "--price", "651940=0.9992", "--threshold"]
    assert document(attest(*words, "0.001", "--json"))["verdict"] == "violated"
    assert document(attest(*words, "0.0011", "--json"))["verdict"] == "holds"
    assert attest(*words, "0.2%").code == 0
    assert attest(*words, "0.1%").code == 4


@pytest.mark.parametrize(
    "words",
    [
        ("bridge",),
        ("bridge", "--peak-outflow", "5"),
        ("bridge", "--peak-outflow", "5", "--latency", "soon"),
        ("bridge", "--peak-outflow", "-5", "--latency", "5"),
        ("bridge", "--peak-outflow", "1e5", "--latency", "5"),
        ("bridge", "--peak-outflow", "5.5", "--latency", "5"),
        ("bridge", "--peak-outflow", "5", "--latency", "5", "--safety", "0.9"),
        ("stabilization", "--window", "5m"),
        ("cantilever", "--frequency", "1", "--imbalance", "1"),
        ("cantilever", "--frequency", "1", "--imbalance", "1", "--k", "4"),
        ("parity", "--price", "1=1", "--threshold", "1"),
        ("parity", "--price", "1=1", "--price", "1=2", "--threshold", "1"),
        ("parity", "--price", "1=1", "--price", "2", "--threshold", "1"),
        ("parity", "--price", "1=1", "--price", "2=0", "--threshold", "1"),
        ("parity", "--price", "1=1", "--price", "2=1", "--threshold", "0"),
    ],
    ids=" ".join,
)
def test_sizing__numbers_missing_or_that_mean_nothing__is_a_usage_error(words: tuple[str, ...]) -> None:
    said = attest("sizing", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert attest("sizing", *words, "--json").document["exit_code"] == 2


# -- from the index --------------------------------------------------------------------------------------------------


@pytest.fixture
def chain() -> EventfulChain:
    chain = EventfulChain()
    chain.mine(initiated(1, 3_600), initiated(2, 3_600))
    chain.mine(status(1, SETTLED), seconds=100)
    chain.mine(status(2, SETTLED), seconds=200)
    return chain


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.sqlite'}"


def test_bridge__from_the_index__measures_peak_and_latency(chain: EventfulChain, database: str) -> None:
    open_index(database).advance(client(chain))
    found = document(attest("sizing", "bridge", "--from-index", database, "--reserve", 1199, "--json"))
    # 7,200 units within an hour are 2 per second; the slowest transfer took 300 seconds.
    assert (found["minimum"], found["required"], found["exit_code"]) == ("600", "1200", 4)
    median = attest("sizing", "bridge", "--from-index", database, "--latency-by", "median", "--safety", 1, "--json")
    assert document(median)["required"] == "200"
    inputs = {row["name"]: (row["value"], row["origin"]) for row in found["inputs"]}  # type: ignore[attr-defined]
    assert inputs["peak initiated in an hour"] == ("7200", "measured")
    assert inputs["median latency"] == ("100", "measured")
    assert inputs["p95 latency"] == ("300", "measured")
    given = attest("sizing", "bridge", "--from-index", database, "--latency", "10s", "--safety", 1, "--json")
    assert document(given)["required"] == "20"
    text = attest("sizing", "bridge", "--from-index", database)
    assert "p95" in text.out
    assert max(map(len, text.out.splitlines())) <= 80


def test_bridge__from_the_index__says_of_which_time(chain: EventfulChain, database: str) -> None:
    index = open_index(database)
    index.advance(client(chain))
    (note,) = document(attest("sizing", "bridge", "--from-index", database, "--lookback", "301s", "--json"))["notes"]
    until = datetime.fromtimestamp(int(chain.blocks[-1]["timestamp"], 16), UTC)
    assert note == (
        f"measured in the events after {format_instant(until - timedelta(seconds=301))} up to {format_instant(until)}, "
        "the last block indexed"
    )


def test_bridge__index_begins_within_the_lookback__says_since_when(chain: EventfulChain, database: str) -> None:
    open_index(database, start=1).advance(client(chain))
    (note,) = document(attest("sizing", "bridge", "--from-index", database, "--json"))["notes"]
    begun, until = (datetime.fromtimestamp(int(chain.blocks[at]["timestamp"], 16), UTC) for at in (1, -1))
    assert note == (
        f"measured in the events from block 1 on, where the index begins (about {format_instant(begun)}), up to "
        f"{format_instant(until)}, the last block indexed"
    )


def test_bridge__none_of_the_token_s_transfers_settled__says_whose_latency_it_is(
    chain: EventfulChain, database: str
) -> None:
    other = "0x" + "0e" * 20
    chain.mine(initiated(7, 50, other))
    open_index(database).advance(client(chain))
    words = ["sizing", "bridge", "--from-index", database, "--json", "--asset"]
    assert document(attest(*words, other))["notes"][1:] == [
        "no transfer of this token was settled in that time: the latency measured is that of all tokens"
    ]
    assert len(document(attest(*words, ASSET))["notes"]) == 1


def test_bridge__lookback_beyond_the_calendar__looks_at_everything(chain: EventfulChain, database: str) -> None:
    open_index(database).advance(client(chain))
    said = attest("sizing", "bridge", "--from-index", database, "--lookback", "800000d", "--json")
    assert document(said)["required"] == "1200"


def test_bridge__settles_at_once__says_that_nothing_is_required_by_it() -> None:
    said = attest("sizing", "bridge", "--peak-outflow", "10", "--latency", "0", "--json")
    assert "requires no reserve at all" in document(said)["notes"][0]


def test_bridge__url_in_the_environment__is_used(chain: EventfulChain, database: str) -> None:
    open_index(database).advance(client(chain))
    said = attest("sizing", "bridge", "--from-index", "env:INDEX", environment={"INDEX": database})
    assert said.code == 0


def test_bridge__several_assets__one_must_be_named(chain: EventfulChain, database: str) -> None:
    other = "0x" + "0e" * 20
    chain.mine(released(7, 50, other))
    open_index(database).advance(client(chain))
    said = attest("sizing", "bridge", "--from-index", database)
    assert said.code == 2
    assert f"2 tokens left over the bridge: {', '.join(sorted((ASSET, other)))}" in said.err
    named = attest("sizing", "bridge", "--from-index", database, "--asset", other.upper().replace("0X", "0x"))
    assert named.code == 0
    absent = attest("sizing", "bridge", "--from-index", database, "--asset", "USDW")
    assert absent.code == 2
    assert "nothing of USDW left over the bridge, but of " in absent.err


def test_bridge__nothing_settled__needs_a_latency(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1, 100))
    open_index(database).advance(client(chain))
    said = attest("sizing", "bridge", "--from-index", database)
    assert said.code == 2
    assert "no transfer was settled" in said.err
    assert attest("sizing", "bridge", "--from-index", database, "--latency", "60").code == 0


def test_bridge__index_with_unreadable_logs__is_refused_in_words(chain: EventfulChain, database: str) -> None:
    chain.mine(initiated(5, 10**9))
    chain.logs[-1][0]["data"] += "00" * 32
    open_index(database).advance(client(chain))
    said = attest("sizing", "bridge", "--from-index", database)
    assert said.code == 3
    assert "could not read all logs (so many: 1; the newest in block 4" in said.err


def test_bridge__no_such_index__is_refused_by_name(tmp_path: Path) -> None:
    said = attest("sizing", "bridge", "--from-index", f"sqlite:///{tmp_path}/nothing.sqlite", "--json")
    assert (said.code, said.document["code"]) == (2, "index-unusable")
    assert list(tmp_path.iterdir()) == []
