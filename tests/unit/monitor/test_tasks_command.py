"""``attest tasks``: what is late, and the note that something was done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attest import config, scaffold
from attest.monitor import jobs
from attest.monitor.alerts import ALERTS
from attest.monitor.tasks import DAILY_CHECK, MONTHLY_REVIEW, TASKS, WEEKLY_ATTESTATION, WEEKLY_REPORT, Task
from attest.records import parse_instant
from attest.store import Store, open_store
from tests.support.commands import attest

ADDRESS = "0x00000000000000000000000000000000000000A1"
REPORTER, PUBLISHER, ATTESTOR = (f"0x{number:040x}" for number in (1, 2, 3))
#: The runbook's cadence, and the pause after which each task is late.
AGREED = {
    "daily-check": timedelta(hours=26),
    "weekly-attestation": timedelta(days=7, hours=6),
    "weekly-report": timedelta(days=8),
    "monthly-review": timedelta(days=32),
}
NOTED = [WEEKLY_REPORT, MONTHLY_REVIEW]


def configured(folder: Path, clock: str | None = None) -> Path:
    """A configuration that loads; it attests for real unless its clock is pinned."""
    log = "issuer.example/reserves+c5f7742c+ARV85AzCfVzg71Y9ioHYkYBXvs+wiqiQMy5FRJ86AB1F"
    keys = scaffold.KeySet("keys", "file:keys/password.txt", (REPORTER,), PUBLISHER, ATTESTOR, log)
    plan = scaffold.Scaffold(
        issuer="Example Issuer Ltd",
        contact="reserves@issuer.example",
        network=scaffold.NETWORKS["besu-138"],
        oracle=ADDRESS,
        registry=ADDRESS,
        tokens={"USDW": ("USD", ADDRESS, 6)},
        keys=keys,
        log_origin="issuer.example/reserves",
        accounts=scaffold.EXAMPLE_ACCOUNTS,
        clock=clock,
    )
    path = folder / "attest.toml"
    path.write_text(scaffold.config_text(plan), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return configured(tmp_path)


def store(path: Path) -> Store:
    loaded = config.load(path)
    return open_store(loaded.config.stores.private, base=loaded.base)


def ago(**time: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**time)


def test_tasks__each__has_the_agreed_pause_and_an_alert_that_names_its_seconds() -> None:
    assert {name: timedelta(seconds=task.late_seconds) for name, task in TASKS.items()} == AGREED
    for name, task in TASKS.items():
        assert ALERTS[task.alert].expr.startswith(
            f'time() - attest_job_last_success_timestamp_seconds{{task="{name}"}} > {task.late_seconds}\n'
        )
        assert task.section == ALERTS[task.alert].section


@pytest.mark.parametrize("task", NOTED, ids=lambda task: task.name)
def test_tasks__alert_of_what_people_do__names_the_command_that_ends_it(task: Task) -> None:
    assert f"attest tasks done {task.name}" in [command for command, _ in ALERTS[task.alert].commands]


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_late__at_the_limit__is_not_and_a_second_later_is(task: Task) -> None:
    done = ago(days=100)
    assert not task.late(done, task.due(done))
    assert task.late(done, task.due(done) + timedelta(seconds=1))
    assert task.late(None, done)


def test_list__nothing_was_ever_done__is_late_as_the_worst_of_it(path: Path) -> None:
    said = attest("tasks", "list", "--config", path)
    assert said.code == 5
    assert said.out.count("never") == 4
    assert "next, once it is done: attest tasks done weekly-report" in said.out
    assert "next: attest monitor --once" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_list__one_is_late__is_named_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attested = ago(days=7)
    monkeypatch.setattr(jobs, "_collected", lambda *_: attested)
    for task, done in ((DAILY_CHECK, ago(hours=25)), (WEEKLY_REPORT, ago(days=9)), (MONTHLY_REVIEW, ago(days=31))):
        jobs.record(store(path), task, done)
    said = attest("tasks", "list", "--config", path, "--json")
    assert (said.code, said.document["exit_code"], said.document["rehearsal"]) == (3, 3, False)
    tasks = {each["task"]: each for each in said.document["tasks"]}
    assert [name for name, each in tasks.items() if each["late"]] == ["weekly-report"]
    assert parse_instant(tasks["weekly-attestation"]["due_at"]) == WEEKLY_ATTESTATION.due(attested)
    assert "WeeklyReportMissing" in attest("tasks", "list", "--config", path).out

    assert attest("tasks", "done", "weekly-report", "--config", path).code == 0
    said = attest("tasks", "list", "--config", path)
    assert said.code == 0
    assert "No task is late." in said.out


@pytest.mark.parametrize("task", NOTED, ids=lambda task: task.name)
def test_done__twice__counts_from_the_later_time_and_says_when_it_is_due(task: Task, path: Path) -> None:
    jobs.record(store(path), task, ago(days=2))
    said = attest("tasks", "done", task.name, "--config", path)
    assert said.code == 0
    noted = jobs.last_done(store(path), ago(minutes=0))[task.name]
    assert noted is not None
    assert noted >= ago(minutes=2)
    assert f"due again by {task.due(noted):%Y-%m-%dT%H:%M:%SZ}" in said.out
    again = attest("tasks", "done", task.name, "--config", path, "--json").document
    assert (again["task"], again["late"], again["rehearsal"]) == (task.name, False, False)
    assert parse_instant(again["done_at"]) >= noted


@pytest.mark.parametrize(
    ("name", "told", "advice"),
    [
        ("weekly-raport", "there is no task 'weekly-raport'", "weekly-report, monthly-review"),
        ("daily-check", "daily-check is not noted by hand", "attest monitor --once"),
        ("weekly-attestation", "weekly-attestation is not noted by hand", "attest run"),
    ],
)
def test_done__task_that_people_do_not_note__is_refused(name: str, told: str, advice: str, path: Path) -> None:
    said = attest("tasks", "done", name, "--config", path)
    assert said.code == 2
    assert told in said.err
    assert advice in said.err
    assert not any(store(path).list("jobs"))


def test_list__note_that_is_no_time__is_refused_by_name(path: Path) -> None:
    store(path).replace("jobs/monthly-review", b"in May\n")
    said = attest("tasks", "list", "--config", path)
    assert said.code == 7
    assert "jobs/monthly-review is not a time" in said.err


def test_rehearsal__nothing_is_late_and_both_commands_say_why(tmp_path: Path) -> None:
    path = configured(tmp_path, clock="2026-11-23T05:59:59Z")
    for words in (("list",), ("done", "weekly-report"), ("list",)):
        said = attest("tasks", *words, "--config", path)
        assert said.code == 0
        assert "in a rehearsal no task is late" in said.out
    assert attest("tasks", "list", "--config", path, "--json").document["rehearsal"] is True
