"""What a verification found: named checks, three answers, and a state for every token. Pure data and one rule, the
exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from attest.errors import EXIT_DONE, EXIT_SHORTFALL, EXIT_VERIFICATION

#: ``short`` and ``withheld`` are outcomes of the coverage check alone: the attestation is in order and says so.
Outcome = Literal["pass", "fail", "skipped", "short", "withheld"]
#: ``unproven``: the bundle claims something that did not verify.
State = Literal["sufficient", "short", "withheld", "stale", "unproven"]


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, the question it answers in plain words, and how it ended. ``required`` checks may not be
    skipped; ``advice`` says how to get a skipped check done, or what to do about a failed one."""

    name: str
    question: str
    outcome: Outcome
    detail: str
    advice: str = ""
    required: bool = False


@dataclass(frozen=True)
class Answer:
    """One of the three answers (formats.md): ``unknown`` when what it would rest on did not verify."""

    name: Literal["authentic", "sufficient", "independently checked"]
    answer: Literal["yes", "no", "unknown"]
    detail: str


@dataclass(frozen=True)
class TokenReport:
    """One token's state and its sentence."""

    token: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Report:
    """Everything that a verification found. ``unmet`` are the trust file's demands that were not met, and
    ``consistency`` if a checkpoint was given and could not be compared; ``notes`` what a reader must know besides (a
    rehearsal, for example)."""

    period: str | None
    revision: int | None
    statement: str | None
    tokens: tuple[TokenReport, ...]
    answers: tuple[Answer, ...]
    checks: tuple[CheckResult, ...]
    unmet: tuple[str, ...]
    notes: tuple[str, ...]

    def outcome(self, name: str) -> Outcome:
        """How the check ``name`` ended."""
        return next(check.outcome for check in self.checks if check.name == name)

    def as_json(self) -> Mapping[str, Any]:
        """The ``--json`` form, with the exit code."""
        return {**asdict(self), "exit_code": exit_code(self)}


def exit_code(report: Report) -> int:
    """0 only if everything that the trust file demands passed; 4 when all did but a reserve is short or withheld; 6
    when anything failed, anything required or demanded was skipped, or nothing was checked."""
    outcomes = [check.outcome for check in report.checks]
    skipped = any(check.required and check.outcome == "skipped" for check in report.checks)
    if "pass" not in outcomes or "fail" in outcomes or skipped or report.unmet:
        return EXIT_VERIFICATION
    if "short" in outcomes or "withheld" in outcomes:
        return EXIT_SHORTFALL
    return EXIT_DONE
