"""The tasks that the operations runbook has done every day, week and month (§8), and when each counts as late. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from attest.monitor.thresholds import DAY, HOUR


@dataclass(frozen=True)
class Task:
    """One task. It is late ``late_seconds`` after it was last done; then ``alert`` fires. ``recorded_by`` is the
    command that notes it as done by itself; None where people do the task, and say so."""

    name: str
    section: str
    about: str
    alert: str
    late_seconds: int
    recorded_by: str | None = None

    def due(self, done: datetime) -> datetime:
        """By when it has to be done again."""
        return done + timedelta(seconds=self.late_seconds)

    def late(self, done: datetime | None, now: datetime) -> bool:
        """Whether it is overdue; what was never done is."""
        return done is None or now > self.due(done)


DAILY_CHECK = Task(
    "daily-check",
    "§8.1",
    "every number of the daily checklist, read once",
    "DailyCheckMissing",
    26 * HOUR,
    "attest monitor --once",
)
WEEKLY_ATTESTATION = Task(
    "weekly-attestation",
    "§2.1, §8.2",
    "the reserves attested and published; counts from when the balances were collected",
    "WeeklyAttestationMissing",
    7 * DAY + 6 * HOUR,
    "attest run",
)
WEEKLY_REPORT = Task(
    "weekly-report",
    "§2.2, §8.2",
    "the operations report, the reserve attestation report, the compliance status report",
    "WeeklyReportMissing",
    8 * DAY,
)
MONTHLY_REVIEW = Task(
    "monthly-review",
    "§3, §8.3",
    "the security review, the compliance audit, the performance review",
    "MonthlyReviewMissing",
    32 * DAY,
)
#: By name, the most frequent first.
TASKS: Mapping[str, Task] = {
    task.name: task for task in (DAILY_CHECK, WEEKLY_ATTESTATION, WEEKLY_REPORT, MONTHLY_REVIEW)
}
