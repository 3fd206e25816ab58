"""What the private store says of the work that people and timers do: which task of the runbook was last done, and
whether the weekly run gets through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from attest import runs
from attest.artifacts import Collected
from attest.config import Config
from attest.errors import ConflictError
from attest.monitor import metrics
from attest.monitor import thresholds as limit
from attest.monitor.exposition import Sample
from attest.monitor.tasks import TASKS, WEEKLY_ATTESTATION, Task
from attest.period import Period
from attest.records import format_instant, parse_instant
from attest.runs import RunArea
from attest.store import Store


def record(store: Store, task: Task, now: datetime) -> None:
    """Note that a task was done. The weekly attestation needs no note: it is published."""
    store.replace(f"jobs/{task.name}", f"{format_instant(now)}\n".encode())


def last_done(store: Store, now: datetime) -> Mapping[str, datetime | None]:
    """When each task was last done, None if never, by its name.

    Raises :class:`OperatorError` for a store that cannot be read, :class:`ConflictError` for a record that is none of
    ours.
    """
    return _last_done(store, _published(store), now)


def _last_done(store: Store, published: Mapping[Period, int], now: datetime) -> Mapping[str, datetime | None]:
    return {
        name: _collected(store, published) if task is WEEKLY_ATTESTATION else _recorded(store, name, now)
        for name, task in TASKS.items()
    }


def samples(store: Store, config: Config, now: datetime) -> Iterator[Sample]:
    """Raises what :func:`last_done` does."""
    pinned, published = config.schedule.clock, _published(store)
    yield Sample(metrics.REHEARSAL, int(pinned is not None))
    if pinned is None:  # in a rehearsal the runs' time is not that of the watch: nothing is late
        for name, done in _last_done(store, published, now).items():
            yield Sample(metrics.JOB, 0 if done is None else int(done.timestamp()), (name,))
    ran_at = now if pinned is None else pinned
    refusals = store.list("refusals")
    # An attempt beyond a nonce's first replaces one that did not land, or frees its nonce.
    replaced = [key for key in store.list("tx") if not key.endswith("/0")]
    yield Sample(metrics.PUBLISH_FAILURES, len(refusals) + len(replaced))
    since = runs.refusal_stamp(ran_at - timedelta(days=1))
    yield Sample(metrics.RECENT, sum(key.rpartition("/")[2] >= since for key in refusals), ("run-refused",))
    due = config.schedule.schedule.latest_due(ran_at)
    refused = due not in published and any(key.startswith(f"refusals/{due}/") for key in refusals)
    yield Sample(metrics.BREAKER, int(refused))


def _recorded(store: Store, task: str, now: datetime) -> datetime | None:
    data = store.get(f"jobs/{task}")
    if data is None:
        return None
    try:
        done = parse_instant(data.decode().strip())
    except ValueError:
        raise _unusable(store, task, "is not a time") from None
    if done - now > timedelta(seconds=limit.CLOCK_SKEW):  # until then the task would never be late
        raise _unusable(store, task, f"is of {format_instant(done)}, which has not come yet")
    return done


def _unusable(store: Store, task: str, detail: str) -> ConflictError:
    return ConflictError(
        f"{store.url}: jobs/{task} {detail}",
        code="job-record",
        reason="When the task was last done cannot be told from it.",
        advice=f"Remove jobs/{task} from the private store, and do the task again.",
    )


def _published(store: Store) -> Mapping[Period, int]:
    return runs.newest(store, "publication")


def _collected(store: Store, published: Mapping[Period, int]) -> datetime | None:
    """When the balances of the newest published attestation were collected; what gives no reserve does not count."""
    for period in sorted(published, reverse=True):
        area = RunArea.published(store, period)
        collected = None if area is None or area.blank else area.stored("collection", Collected)
        if collected is not None:
            return collected.collected_at
    return None
