"""What the private store says of the work that people and timers do: which task of the runbook was last done, and
whether the weekly run gets through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from attest import runs
from attest.artifacts import Collected
from attest.config import Config
from attest.errors import ConflictError
from attest.monitor import metrics
from attest.monitor.exposition import Sample
from attest.period import Period
from attest.records import format_instant, parse_instant
from attest.runs import RunArea
from attest.store import Store

WEEKLY_ATTESTATION, DAILY_CHECK = "weekly-attestation", "daily-check"
#: Tasks that are watched once they were recorded for the first time.
_OTHERS = ("weekly-report", "monthly-review")


def record(store: Store, task: str, now: datetime) -> None:
    """Note that a task was done."""
    store.replace(f"jobs/{task}", f"{format_instant(now)}\n".encode())


def samples(store: Store, config: Config, now: datetime) -> Iterator[Sample]:
    """Raises :class:`OperatorError` for a store that cannot be read, :class:`ConflictError` for a record that is none
    of ours."""
    published = runs.newest(store, "publication")
    if config.schedule.clock is None:  # in a rehearsal the runs' time is not that of the watch
        yield _job(WEEKLY_ATTESTATION, _collected(store, published))
        yield _job(DAILY_CHECK, _recorded(store, DAILY_CHECK))
        for task in _OTHERS:
            if (done := _recorded(store, task)) is not None:
                yield _job(task, done)
    refusals = store.list("refusals")
    # An attempt beyond a nonce's first replaces one that did not land, or frees its nonce.
    replaced = [key for key in store.list("tx") if not key.endswith("/0")]
    yield Sample(metrics.PUBLISH_FAILURES, len(refusals) + len(replaced))
    due = config.schedule.schedule.latest_due(now)
    refused = due not in published and any(key.startswith(f"refusals/{due}/") for key in refusals)
    yield Sample(metrics.BREAKER, int(refused))


def _job(task: str, done: datetime | None) -> Sample:
    return Sample(metrics.JOB, 0 if done is None else int(done.timestamp()), (task,))


def _recorded(store: Store, task: str) -> datetime | None:
    data = store.get(f"jobs/{task}")
    if data is None:
        return None
    try:
        return parse_instant(data.decode().strip())
    except ValueError:
        raise ConflictError(
            f"{store.url}: jobs/{task} is not a time",
            code="job-record",
            reason="When the task was last done cannot be told from it.",
            advice=f"Do the task again, or remove jobs/{task} from the private store.",
        ) from None


def _collected(store: Store, published: dict[Period, int]) -> datetime | None:
    """When the balances of the newest published attestation were collected; what gives no reserve does not count."""
    for period in sorted(published, reverse=True):
        area = RunArea.published(store, period)
        collected = None if area is None or area.blank else area.stored("collection", Collected)
        if collected is not None:
            return collected.collected_at
    return None
