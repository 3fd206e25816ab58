"""What the private store says of tasks and runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attest.config import Config
from attest.errors import ConflictError
from attest.monitor import jobs
from attest.monitor.tasks import DAILY_CHECK, WEEKLY_REPORT
from attest.runs import refusal_stamp
from attest.store import LocalStore
from tests.support.watched import World, configuration

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)  # a Wednesday: 2026-W47 is due
DUE = "2026-W47"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def told(store: LocalStore, config: Config | None = None) -> dict[tuple[str, ...], object]:
    found = jobs.samples(store, config or configuration(World()), NOW)
    return {(each.metric.name.removeprefix("attest_"), *each.labels): each.value for each in found}


def test_samples__empty_store__has_every_number_at_zero(store: LocalStore) -> None:
    assert told(store) == {
        ("rehearsal",): 0,
        ("job_last_success_timestamp_seconds", "weekly-attestation"): 0,
        ("job_last_success_timestamp_seconds", "daily-check"): 0,
        ("job_last_success_timestamp_seconds", "weekly-report"): 0,
        ("job_last_success_timestamp_seconds", "monthly-review"): 0,
        ("oracle_publish_failures_total",): 0,
        ("events_last_day", "run-refused"): 0,
        ("oracle_circuit_breaker_open",): 0,
    }


def test_record__a_task__is_its_last_success(store: LocalStore) -> None:
    jobs.record(store, DAILY_CHECK, NOW - timedelta(hours=1))
    jobs.record(store, DAILY_CHECK, NOW)
    jobs.record(store, WEEKLY_REPORT, NOW)
    for task in ("daily-check", "weekly-report"):
        assert told(store)["job_last_success_timestamp_seconds", task] == NOW.timestamp()


def test_samples__record_that_is_no_time__is_refused(store: LocalStore) -> None:
    store.replace("jobs/daily-check", b"yesterday\n")
    with pytest.raises(ConflictError, match="daily-check is not a time"):
        told(store)


def test_samples__task_noted_in_the_future__is_refused_for_it_would_never_be_late(store: LocalStore) -> None:
    jobs.record(store, DAILY_CHECK, NOW + timedelta(seconds=60))
    assert told(store)["job_last_success_timestamp_seconds", "daily-check"] == NOW.timestamp() + 60, "clocks differ"
    jobs.record(store, DAILY_CHECK, NOW + timedelta(days=400))
    with pytest.raises(ConflictError, match=r"daily-check is of 2027-12-30T08:00:00Z, which has not come yet"):
        told(store)
    with pytest.raises(ConflictError, match="daily-check"):
        jobs.last_done(store, NOW)


def rehearsal(clock: datetime) -> Config:
    plain = configuration(World()).model_dump()
    plain["schedule"]["clock"] = clock
    return Config.model_validate(plain)


def test_samples__rehearsal__says_so_and_has_no_cadence(store: LocalStore) -> None:
    found = told(store, rehearsal(NOW))
    assert found["rehearsal",] == 1
    assert not any("job" in name[0] for name in found)


def refuse(store: LocalStore, period: str, at: datetime) -> None:
    store.create(f"refusals/{period}/{refusal_stamp(at)}-0123456789abcdef", b"{}")


def test_samples__refusals__are_told_for_a_day(store: LocalStore) -> None:
    refuse(store, DUE, NOW - timedelta(days=1, seconds=1))
    assert told(store)["events_last_day", "run-refused"] == 0
    refuse(store, DUE, NOW - timedelta(days=1))
    refuse(store, f"{DUE}.1", NOW)
    assert told(store)["events_last_day", "run-refused"] == 2
    assert told(store)["oracle_publish_failures_total",] == 3


def test_samples__rehearsal_that_was_refused__is_told_by_the_rehearsals_time(store: LocalStore) -> None:
    pinned = NOW - timedelta(weeks=3)
    refuse(store, "2026-W44", pinned)
    found = told(store, rehearsal(pinned))
    assert (found["oracle_circuit_breaker_open",], found["events_last_day", "run-refused"]) == (1, 1)
    assert told(store)["oracle_circuit_breaker_open",] == 0


def test_samples__replaced_transactions_and_refusals__are_failures(store: LocalStore) -> None:
    for key in ("tx/138/0xab/0/0", "tx/138/0xab/0/1", "tx/138/0xab/1/0"):
        store.create(key, b"{}")
    refuse(store, "2026-W40", NOW - timedelta(weeks=7))
    found = told(store)
    assert found["oracle_publish_failures_total",] == 2
    assert found["oracle_circuit_breaker_open",] == 0, "an old refusal"


def test_samples__due_period_refused__the_breaker_is_open_until_it_is_published(store: LocalStore) -> None:
    refuse(store, DUE, NOW)
    assert told(store)["oracle_circuit_breaker_open",] == 1
