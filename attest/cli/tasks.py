"""``attest tasks``: when each task of the operations runbook was last done, and the note that one was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import config_option, json_option
from attest.cli.output import Output
from attest.cli.text import table

if TYPE_CHECKING:
    from attest.monitor.tasks import Task

_REHEARSAL = "The time of the runs is pinned (schedule.clock): in a rehearsal no task is late."


@click.group("tasks")
def group() -> None:
    """The daily, weekly and monthly tasks of the runbook."""


@group.command(
    "list",
    short_help="When each was last done, is due, and is late.",
    epilog="""\b
Examples:
  attest tasks list
  attest tasks list --json | jq -r '.tasks[] | select(.late) | .task'

\b
Exit codes:
  0  no task is late
  3  one is
  5  the weekly attestation is
  2  usage, configuration or store
  7  a note in the store is none of ours""",
)
@config_option
@json_option
@click.pass_obj
def list_(output: Output, config_path: Path, as_json: bool) -> int:
    """When each task was last done, by when it is due again, and which are late.

    Reads the private store only. What is late here is what the alerts DailyCheckMissing, WeeklyAttestationMissing,
    WeeklyReportMissing and MonthlyReviewMissing fire for.
    """
    from attest import config
    from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SOURCE
    from attest.monitor import jobs
    from attest.monitor.alerts import ALERTS
    from attest.monitor.tasks import TASKS
    from attest.store import open_store

    loaded = config.load(config_path)
    rehearsal = loaded.config.schedule.clock is not None
    now = _now()
    done = jobs.last_done(open_store(loaded.config.stores.private, base=loaded.base, secret=True), now)
    late = [task for name, task in TASKS.items() if not rehearsal and task.late(done[name], now)]
    severities = {ALERTS[task.alert].severity for task in late}
    exit_code = EXIT_CHAIN if "critical" in severities else EXIT_SOURCE if late else EXIT_DONE
    if output.json:
        plain = [_as_json(task, done[name], late=task in late) for name, task in TASKS.items()]
        output.result({"tasks": plain, "rehearsal": rehearsal, "exit_code": exit_code})
        return exit_code
    rows = []
    for name, task in TASKS.items():
        last = done[name]
        due = "-" if last is None or rehearsal else _minute(task.due(last))
        state = "late" if task in late else "-" if rehearsal else "in time"
        rows.append((name, "never" if last is None else _minute(last), due, state))
    output.line(table(("Task", "Last done (UTC)", "Due by (UTC)", "State"), rows))
    output.line()
    for task in late:
        output.line(f"{task.name} is late (runbook {task.section}): {task.alert}")
        output.line(fill(f"{task.about}.", 80, initial_indent="  ", subsequent_indent="  "))
        output.line(f"  {_next(task)}")
    if not late:
        output.line(_REHEARSAL if rehearsal else "No task is late.")
    return exit_code


@group.command(
    "done",
    epilog="""\b
Examples:
  attest tasks done weekly-report
  attest tasks done monthly-review --config /etc/attest/attest.toml

Exit codes: 0 noted, 2 usage, configuration or store.""",
)
@click.argument("name", metavar="TASK")
@config_option
@json_option
@click.pass_obj
def done(output: Output, name: str, config_path: Path, as_json: bool) -> None:
    """Note that weekly-report or monthly-review was done, now.

    People do these two, so people say that they did: the note is when, in the private store (jobs/TASK). It ends the
    alert. Noted twice, the later time counts. daily-check and weekly-attestation are noted by the commands that do
    them.
    """
    from attest import config
    from attest.monitor import jobs
    from attest.records import format_instant
    from attest.store import open_store

    task = _of_people(name)
    loaded = config.load(config_path)
    now = _now()
    jobs.record(open_store(loaded.config.stores.private, base=loaded.base, secret=True), task, now)
    if output.json:
        rehearsal = loaded.config.schedule.clock is not None
        output.result({**_as_json(task, now, late=False), "rehearsal": rehearsal})
        return
    output.line(f"{task.name}: done {format_instant(now)}; due again by {format_instant(task.due(now))}.")
    if loaded.config.schedule.clock is not None:
        output.line(_REHEARSAL)


def _of_people(name: str) -> Task:
    """The task of this name. Raises :class:`OperatorError` unless there is one that people note."""
    from attest.errors import OperatorError
    from attest.monitor.tasks import TASKS

    known = ", ".join(each.name for each in TASKS.values() if each.recorded_by is None)
    task = TASKS.get(name)
    if task is None:
        raise OperatorError(
            f"there is no task {name!r}",
            code="no-such-task",
            reason="A task that nobody watches would be noted for nothing.",
            advice=f"Name one of {known}.",
        )
    if task.recorded_by is not None:
        raise OperatorError(
            f"{name} is not noted by hand",
            code="task-records-itself",
            reason=f"`{task.recorded_by}` notes it when it was really done.",
            advice=f"Run `{task.recorded_by}`. By hand are noted: {known}.",
        )
    return task


def _now() -> datetime:
    """The machine's clock, also in a rehearsal: people live by it."""
    return datetime.now(UTC).replace(microsecond=0)


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"


def _next(task: Task) -> str:
    command = task.recorded_by
    return f"next: {command}" if command else f"next, once it is done: attest tasks done {task.name}"


def _as_json(task: Task, done: datetime | None, *, late: bool) -> dict[str, Any]:
    from attest.records import format_instant

    return {
        "task": task.name,
        "runbook": task.section,
        "about": task.about,
        "alert": task.alert,
        "done_at": None if done is None else format_instant(done),
        "due_at": None if done is None else format_instant(task.due(done)),
        "late": late,
        "recorded_by": task.recorded_by,
    }
