"""What a person orders about a period: replace its attestation, withdraw it, or state that there is none. An order is
recorded once, before anything of it is done; the weekly run then carries it out. And which periods wait for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from attest import runs
from attest.config import Config
from attest.errors import OperatorError
from attest.period import Period, revision_name
from attest.records import digest, format_instant, to_json
from attest.runs import Revision, RunArea, order_key
from attest.steps.context import Environment, Run
from attest.steps.reasons import check_reason
from attest.steps.reports import check_newest
from attest.steps.reserves import check_past, open_period
from attest.steps.revisions import published_statement
from attest.store import OverlayStore, Store


def revise(environment: Environment, period: Period, reason: str) -> None:
    """Order a revision of a published period. An order that stands already in the same words, done or under way, is the
    same order.

    Raises :class:`OperatorError` for a reason that cannot be published (:func:`check_reason`), a period without a
    published attestation, and while another revision is under way; :class:`ConflictError` once a later period was
    reported; and what :func:`attest.steps.reserves.open_period` raises if the revision could not begin.
    """
    check_reason(environment.config, reason)
    _rehearsed(environment, period, reason, _revise)


def _revise(environment: Environment, period: Period, reason: str) -> None:
    while not _is_ordered(area := RunArea.current(environment.private, period), "revision", reason):
        _check_published(area)
        check_newest(environment, period)
        _record(environment, area, "revision", reason)


def revoke(environment: Environment, period: Period, reason: str) -> None:
    """Order that a published attestation is withdrawn, with nothing in its place. A revision that is under way becomes
    the revocation, as long as its reports were not begun.

    Raises as :func:`revise`, whatever later periods did; :class:`OperatorError` too if no reserve is stated anyway.
    """
    check_reason(environment.config, reason)
    _rehearsed(environment, period, reason, _revoke)


def _revoke(environment: Environment, period: Period, reason: str) -> None:
    while not _is_ordered(area := RunArea.current(environment.private, period), "revocation", reason):
        if area.order is not None and area.blank is None and area.bytes_of("publication") is None:
            area.abandon(reason, environment.now(), blank="revoked")
            continue
        _check_published(area)
        if area.blank is not None:
            raise OperatorError(
                f"period {area.name} states no reserve: it is {area.blank}",
                code="nothing-to-revoke",
                reason="A revocation withdraws what an attestation said; this one says nothing of any reserve.",
                advice=f'To attest the period after all: `attest revise --period {period} --reason "..."`.',
            )
        _record(environment, area, "revocation", reason)


def withhold(environment: Environment, period: Period, reason: str) -> None:
    """Order that a period which was never attested gets a statement that gives no reserve. The attempt so far, begun or
    not, is given up for ``reason``, which the statement tells.

    Raises :class:`OperatorError` for a reason that cannot be published, a period in the future, before its run's
    deadline, before the first that was published, or published already; :class:`ConflictError` once its reports were
    begun; and what :func:`attest.steps.reserves.open_period` raises if its statement could not be begun.
    """
    check_reason(environment.config, reason)
    _rehearsed(environment, period, reason, _withhold)


def _withhold(environment: Environment, period: Period, reason: str) -> None:
    config, now = environment.config, environment.now()
    check_past(config, period, now)
    while (area := RunArea.current(environment.private, period)).blank != "missed":
        _check_unpublished(area)
        _check_not_before_the_first(environment.private, period)
        deadline = run_deadline(config, period)
        if now < deadline:
            raise OperatorError(
                f"period {period} can still be attested: its run has time until {format_instant(deadline)}",
                code="before-deadline",
                reason="A period is missed once the deadline of its run (schedule.deadline_hours) is over.",
                advice=f"`attest run --period {period}`; to go on without tokens, add --withhold for each of them.",
            )
        area.abandon(reason, now, blank="missed")
    if area.abandoned[-1].reason != reason:
        _check_unpublished(area)
        raise _under_way(area, area.abandoned[-1].reason)


def _rehearsed(
    environment: Environment, period: Period, reason: str, order: Callable[[Environment, Period, str], None]
) -> None:
    """Give the order, once it was given in memory and its run could be opened there: nobody can take an order back."""
    rehearsal = replace(environment, private=OverlayStore(environment.private), token_bytes=bytes)
    before = RunArea.current(rehearsal.private, period)
    order(rehearsal, period, reason)
    area = RunArea.current(rehearsal.private, period)
    if (area.revision, area.attempt) != (before.revision, before.attempt):
        open_period(Run(rehearsal, area))
        order(environment, period, reason)


def run_deadline(config: Config, period: Period) -> datetime:
    """Until when a run of the period waits for sources that fail."""
    return config.schedule.schedule.cutoff(period) + timedelta(hours=config.schedule.deadline_hours)


def _is_ordered(area: RunArea, kind: Literal["revision", "revocation"], reason: str) -> bool:
    standing = area.supersedes
    return standing is not None and (standing.kind, standing.reason) == (kind, reason)


def _check_published(area: RunArea) -> None:
    if area.bytes_of("publication") is not None:
        return
    if area.supersedes is not None:
        raise _under_way(area, area.supersedes.reason)
    raise OperatorError(
        f"period {area.period}: nothing is published yet",
        code="nothing-published",
        reason="A revision replaces an attestation that was published.",
        advice=f"`attest run --period {area.period}` attests it; to read every source again, end the attempt with "
        "`attest abandon --reason ...` first.",
    )


def _check_unpublished(area: RunArea) -> None:
    if area.revision > 0 or area.bytes_of("publication") is not None:
        raise OperatorError(
            f"period {area.period} is published already",
            code="already-published",
            reason="A published attestation is never changed.",
            advice=f"`attest revise --period {area.period}` replaces it, `attest revoke --period {area.period}` "
            "withdraws it.",
        )


def _check_not_before_the_first(private: Store, period: Period) -> None:
    first = min(runs.newest(private, "publication"), default=period)
    if period < first:
        raise OperatorError(
            f"period {period} is before {first}, the first that was published",
            code="before-first",
            reason="A statement that a week was missed fills a gap; nothing was published before the first.",
            advice=f"Nothing has to be stated for it: whoever verifies begins with {first}, at the earliest.",
        )


def _under_way(area: RunArea, reason: str) -> OperatorError:
    return OperatorError(
        f"period {area.name} is under way already, for another reason: {reason}",
        code="order-under-way",
        reason="An order is recorded once, with the reason that its statement gives.",
        advice=f"Finish it with `attest run --period {area.period}`.",
    )


def _record(environment: Environment, area: RunArea, kind: Literal["revision", "revocation"], reason: str) -> None:
    """Record the order, unless another run was faster: the caller looks again."""
    number = area.revision + 1
    order = Revision(
        format="attest-run-revision/1",
        period=str(area.period),
        revision=number,
        kind=kind,
        reason=reason,
        statement=digest(published_statement(environment, area)),
        at=environment.now(),
    )
    environment.private.create(order_key(area.period, number), to_json(order))


# -- what waits for an order -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A period that waits for somebody, never attested or with a revision under way: ``command`` is what to type."""

    period: Period
    revision: int
    why: Literal["missed", "revision"]
    command: str

    @property
    def name(self) -> str:
        return revision_name(self.period, self.revision)


@dataclass(frozen=True)
class Standing:
    """What is published: the newest period with its newest revision, and all that waits, oldest first. A period is
    missed when it was never published, its run's deadline is over, and an earlier one was."""

    newest: tuple[Period, int] | None
    waiting: tuple[Waiting, ...]


def standing(private: Store, config: Config, now: datetime) -> Standing:
    """Read from the private store by two listings, and a few objects of each period that waits."""
    found, ordered = runs.newest(private, "publication"), runs.newest(private, "revision")
    if not found:
        return Standing(None, ())
    waiting = []
    week, newest = min(found), max(found)
    while week <= newest or run_deadline(config, week) <= now:
        if week not in found:
            if run_deadline(config, week) <= now:
                area = RunArea.current(private, week)
                begun = area.blank is not None or area.fate() is not None
                command = f"attest run --period {week}" if begun else f'attest withhold --period {week} --reason "..."'
                waiting.append(Waiting(week, 0, "missed", command))
        elif ordered.get(week, 0) > found[week]:
            waiting.append(Waiting(week, ordered[week], "revision", f"attest run --period {week}"))
        week = week.shifted(1)
    return Standing((newest, found[newest]), tuple(waiting))
