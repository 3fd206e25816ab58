"""Snapshots: what a source said before the cutoff is what the run takes, and nothing that it says later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.config import Account, Collection, Config, Loaded, Quorum
from attest.custody import collector
from attest.custody.evidence import Evidence
from attest.errors import ConflictError, OperatorError
from attest.store import LocalStore

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
PERIOD = "2026-W47"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Two sources of one account: one is asked before the cutoff, one by the run."""
    read: dict[str, Any] = {
        "origin": "bank", "format": "csv", "location": "now.csv",
        "options": {"account_column": "a", "amount_column": "m", "currency": "USD", "date_column": "d"},
    }  # fmt: skip
    account = Account.model_validate(
        {
            "token": "USDW", "custodian": "Bank", "external_account": "1234", "currency": "USD",
            "sources": ({"id": "live", "snapshot": True} | read, {"id": "later"} | read),
        }
    )  # fmt: skip
    config = Config.model_construct(
        accounts={"main": account}, quorum=Quorum(), collection=Collection(), connections={}, chains={}
    )
    return Loaded(config, tmp_path)


def say(loaded: Loaded, amount: str) -> None:
    (loaded.base / "now.csv").write_text(f"a,m,d\n1234,{amount},2026-11-20\n")


def evidence(loaded: Loaded) -> Evidence:
    return Evidence(LocalStore(loaded.base / "private"))


def snapshot(loaded: Loaded, before: timedelta) -> collector.Collection:
    return collector.snapshot(
        loaded, period=PERIOD, cutoff=CUTOFF, now=lambda: CUTOFF - before, evidence=evidence(loaded), clients={}
    )


def collect(loaded: Loaded) -> collector.Collection:
    return collector.collect(
        loaded, period=PERIOD, cutoff=CUTOFF, now=lambda: CUTOFF + timedelta(hours=6), evidence=evidence(loaded),
        clients={},
    )  # fmt: skip


def test_collect__snapshots_were_taken__takes_the_newest_by_the_cutoff_and_asks_no_more(loaded: Loaded) -> None:
    for amount, minutes in (("1.00", 30), ("2.00", 10), ("3.00", 20)):
        say(loaded, amount)
        (taken,) = snapshot(loaded, timedelta(minutes=minutes)).observations
        assert taken.source == "live"
    say(loaded, "9.00")
    live, later = collect(loaded).observations
    assert (live.minor_units, live.retrieved_at) == (200, CUTOFF - timedelta(minutes=10))
    assert later.minor_units == 900
    assert collector.reobserve(loaded, (live, later), evidence(loaded), CUTOFF) == (live, later)


def test_collect__no_snapshot__fails_and_says_what_to_schedule(loaded: Loaded) -> None:
    say(loaded, "1.00")
    result = collect(loaded)
    (failure,) = result.failures
    assert (failure.source, failure.code) == ("live", "snapshot-missing")
    assert "attest custody snapshot" in failure.advice
    assert [one.source for one in result.observations] == ["later"]


def test_snapshot__answer_that_cannot_be_read__fails_and_leaves_the_older_one(loaded: Loaded) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(minutes=30))
    (loaded.base / "now.csv").write_text("nonsense\n")
    assert [failure.code for failure in snapshot(loaded, timedelta(minutes=10)).failures] == ["wrong-header"]
    say(loaded, "9.00")
    assert collect(loaded).observations[0].minor_units == 100


def test_snapshot__after_the_cutoff__is_refused_before_anything_is_asked(loaded: Loaded) -> None:
    with pytest.raises(OperatorError) as caught:
        snapshot(loaded, timedelta(seconds=-1))
    assert caught.value.code == "too-late"
    assert not (loaded.base / "private").exists()


def test_snapshot__no_source_wants_one__is_refused(loaded: Loaded) -> None:
    account = loaded.config.accounts["main"]
    without = account.model_copy(update={"sources": account.sources[1:]})
    setup = Loaded(loaded.config.model_copy(update={"accounts": {"main": without}}), loaded.base)
    with pytest.raises(OperatorError) as caught:
        snapshot(setup, timedelta(minutes=1))
    assert caught.value.code == "nothing-to-snapshot"


def test_collect__snapshot_that_was_touched__is_a_conflict(loaded: Loaded) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(minutes=30))
    (path,) = (loaded.base / "private/snapshots").rglob("2026*Z")
    path.write_text(path.read_text().replace("snapshot/1", "snapshot/2"))
    with pytest.raises(ConflictError):
        collect(loaded)


@pytest.mark.parametrize("moved_to", ["2026-W46/main/live", "2026-W47/other/live", "2026-W47/main/later"])
def test_collect__snapshot_of_another_period_account_or_source__is_a_conflict(loaded: Loaded, moved_to: str) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(minutes=30))
    folder = loaded.base / "private/snapshots"
    (path,) = folder.rglob("2026*Z")
    stored = path.read_text()
    period, account, source = moved_to.split("/")
    forged = stored.replace(PERIOD, period).replace('"main"', f'"{account}"').replace('"live"', f'"{source}"')
    path.write_text(forged)
    with pytest.raises(ConflictError, match="is not the snapshot that its name says") as caught:
        collect(loaded)
    assert forged != stored
    assert caught.value.code == "evidence-contradicts"


@pytest.mark.parametrize("name", ["20261122T235000Z", "20261122T2359", "0"])
def test_collect__snapshot_under_the_name_of_another_time__is_a_conflict(loaded: Loaded, name: str) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(days=3))
    (path,) = (loaded.base / "private/snapshots").rglob("2026*Z")
    path.rename(path.with_name(name))
    with pytest.raises(ConflictError, match="is not the snapshot that its name says"):
        collect(loaded)


def test_collect__snapshot_after_the_cutoff_under_an_earlier_name__is_a_conflict(loaded: Loaded) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(minutes=10))
    (path,) = (loaded.base / "private/snapshots").rglob("2026*Z")
    path.write_text(path.read_text().replace("2026-11-22T23:49:59Z", "2026-11-23T00:30:00Z"))
    with pytest.raises(ConflictError, match="is not the snapshot that its name says"):
        collect(loaded)


def test_collect__snapshot_with_a_document_too_many__is_a_conflict(loaded: Loaded) -> None:
    say(loaded, "1.00")
    snapshot(loaded, timedelta(minutes=10))
    (path,) = (loaded.base / "private/snapshots").rglob("2026*Z")
    document = json.loads(path.read_text())
    document["provenance"] *= 2
    path.write_text(json.dumps(document))
    with pytest.raises(ConflictError, match="is not the snapshot that its name says"):
        collect(loaded)
