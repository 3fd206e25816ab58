"""The weekly run, readable top to bottom as the runbook (2.1 Reserve Attestation).

Each step's result is one artifact, created once (:mod:`attest.runs`). A step that finds its artifact does nothing, so a
run can be stopped anywhere and started again by anyone who reaches the same store. Time, randomness and the network are
asked in one step and stored; what follows is computed from stored artifacts only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from attest import statement
from attest.artifacts import Confirmed, Logged, Opened, Published
from attest.chain.submission import Simulation
from attest.documents import Supersedes, TokenStatement
from attest.errors import EXIT_DONE, EXIT_SHORTFALL, EXIT_SOURCE, OperatorError
from attest.period import Period
from attest.runs import RunArea
from attest.signing.dsse import parse_envelope
from attest.steps import publication, reports, reserves, statements
from attest.steps.context import NO_CHOICES, Choices, Environment, Run
from attest.steps.reasons import check_reason


@dataclass(frozen=True)
class Step:
    """One line of the runbook: its name, what it is for, the key of its artifact, and what does it."""

    name: str
    purpose: str
    artifact: str
    perform: Callable[[Run], tuple[Any, str]]


STEPS = (
    Step("open", "fix the period, its cutoff and the supply", "open", reserves.open_period),
    Step("collect", "ask every source of every account", "collection", reserves.collect),
    Step("decide", "quorum per account, then per token", "verdict", reserves.decide),
    Step("commit", "salts, leaves, Merkle root, totals", "commitment", reserves.commit),
    Step("submit", "report every token's reserve on chain", "submission", reports.submit),
    Step("confirm", "wait for finality and the oracle's quorum", "confirmation", reports.confirm),
    Step("sign", "the attestors sign the statement", "envelope", publication.sign),
    Step("log", "append to the log, witnesses cosign", "log", publication.append_to_log),
    Step("anchor", "publish the root in the registry", "anchor", publication.anchor),
    Step("publish", "bundle, proofs, dashboard", "publication", publication.publish),
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``already_done``: this call sent and changed nothing. ``exit_code``: 0, 3 with a token withheld,
    4 with a shortfall (the shortfall wins). ``tokens`` is there once the reports are confirmed, ``folder`` once the
    bundle is published; ``supersedes`` belongs to a revision, ``simulations`` belong to a rehearsal."""

    period: str
    revision: int
    attempt: int
    already_done: bool
    exit_code: int
    cutoff: datetime | None = None
    tokens: tuple[TokenStatement, ...] = ()
    witnesses: int = 0
    folder: str | None = None
    supersedes: Supersedes | None = None
    simulations: tuple[Simulation, ...] = ()


def due_period(environment: Environment) -> Period:
    """The newest period whose cutoff has passed."""
    return environment.config.schedule.schedule.latest_due(environment.now())


def run(environment: Environment, period: Period, choices: Choices = NO_CHOICES, *, until: str = "publish") -> Outcome:
    """Do the steps up to ``until`` that are not done yet. Raises the steps' errors; what was done stays done."""
    current = Run(environment, RunArea.current(environment.private, period), choices, publishes=until == "publish")
    already_done = current.area.bytes_of(_step(until).artifact) is not None
    if current.area.bytes_of("publication") is not None:
        _refuse_late_choices(current)
        return _outcome(current, already_done=True)
    reserves.check_choices(current)
    for step in _steps_until(until):
        stored = current.area.bytes_of(step.artifact) is not None
        environment.narrator.begin(step.name)
        _, summary = step.perform(current)
        environment.narrator.done(step.name, summary, stored=stored)
    return _outcome(current, already_done=already_done)


def rehearse(environment: Environment, period: Period, choices: Choices = NO_CHOICES) -> Outcome:
    """``--dry-run``: steps 1 to 4 for real, steps 5 and 9 simulated with ``eth_call``, nothing stored or sent.

    ``environment`` must have been built as a rehearsal. The anchor is simulated with a placeholder for the statement
    and the log, which do not exist yet.
    """
    current = Run(environment, RunArea.current(environment.private, period), choices)
    if current.area.bytes_of("publication") is not None:
        return _outcome(current, already_done=True)
    reserves.check_choices(current)
    for step in _steps_until("commit"):
        environment.narrator.begin(step.name)
        stored = current.area.bytes_of(step.artifact) is not None
        _, summary = step.perform(current)
        environment.narrator.done(step.name, summary, stored=stored)
    committed, _ = reserves.commit(current)
    intents = reports.report_intents(current, committed)
    config = environment.config
    simulations = (
        *reports.submitter(current, config.oracle.chain).simulate(intents),
        *reports.submitter(current, config.registry.chain).simulate([reports.anchor_rehearsal(current)]),
    )
    return Outcome(
        period=str(period),
        revision=current.area.revision,
        attempt=current.area.attempt,
        already_done=False,
        exit_code=EXIT_DONE,
        simulations=simulations,
    )


def report(environment: Environment, period: Period, choices: Choices = NO_CHOICES) -> Outcome:
    """``attest report``: steps 1 to 6 alone; once the reports have landed, a fresh report of the same reserves when the
    standing ones are past half of their validity."""
    current = Run(environment, RunArea.current(environment.private, period), choices)
    if current.area.bytes_of("publication") is not None:
        _refuse_late_choices(current)
    renewed = False
    if current.area.bytes_of("submission") is not None:
        environment.narrator.begin("refresh")
        refreshed = reports.refresh(current)
        renewed = refreshed is not None
        summary = refreshed[1] if refreshed is not None else "nothing to renew yet"
        environment.narrator.done("refresh", summary, stored=not renewed)
    outcome = run(environment, period, choices, until="confirm")
    return outcome if not renewed else _outcome(current, already_done=False)


def add_cosignature(environment: Environment, period: Period, data: bytes, where: str) -> str:
    """Store another operator's signature over the period's statement; raises as :func:`publication.add_cosignature`."""
    return publication.add_cosignature(Run(environment, RunArea.current(environment.private, period)), data, where)


def abandon(environment: Environment, period: Period, reason: str) -> RunArea:
    """End the current attempt of ``period``; raises as :meth:`RunArea.abandon`."""
    check_reason(environment.config, reason)
    area = RunArea.current(environment.private, period)
    area.abandon(reason, environment.now())
    return area


def _steps_until(name: str) -> list[Step]:
    return list(STEPS[: STEPS.index(_step(name)) + 1])


def _step(name: str) -> Step:
    return next(step for step in STEPS if step.name == name)


def _refuse_late_choices(current: Run) -> None:
    if current.choices.withhold or current.choices.acknowledge:
        raise OperatorError(
            f"period {current.period} is already published",
            code="already-published",
            reason="A published attestation is never changed.",
            advice="Leave --withhold and --acknowledge out; `attest revise` replaces a wrong attestation.",
        )


def _outcome(current: Run, *, already_done: bool) -> Outcome:
    area = current.area
    envelope = area.bytes_of("envelope")
    confirmed = area.stored("confirmation", Confirmed)
    if envelope is not None:
        tokens = statement.read(parse_envelope(envelope).body).predicate.tokens
    else:
        tokens = () if confirmed is None else statements.token_statements(current, confirmed)
    verdicts = {token.verdict for token in tokens}
    published = area.stored("publication", Published)
    return Outcome(
        period=str(area.period),
        revision=area.revision,
        attempt=area.attempt,
        already_done=already_done,
        exit_code=EXIT_SHORTFALL if "short" in verdicts else EXIT_SOURCE if "withheld" in verdicts else EXIT_DONE,
        cutoff=None if confirmed is None else current.take("open", Opened).cutoff,
        tokens=tokens,
        witnesses=0 if published is None else current.take("log", Logged).witnesses,
        folder=None if published is None else published.folder,
        supersedes=area.supersedes,
    )
