"""Why the quorum decided as it did: every source's word, whether it counted, and the rule that decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from textwrap import wrap
from typing import Literal

from attest import quorum, records
from attest.artifacts import Collected, Decided, Opened
from attest.errors import ConflictError, OperatorError, printable
from attest.model import AccountPolicy, AccountVerdict, Observation, SourceFailure
from attest.money import currency, group
from attest.period import Period, revision_name
from attest.quorum import TokenOutcome
from attest.runs import RunArea
from attest.store import Store


@dataclass(frozen=True)
class ExplainedSource:
    """One source: what it said (``observation``) or why it could not (``failure``), and what became of it.

    ``corroborates``: it was compared only. ``code`` and ``detail`` are the quorum's.
    """

    source: str
    origin: str
    issuer_hosted: bool
    corroborates: bool
    counted: bool
    code: str
    detail: str
    observation: Observation | None
    failure: SourceFailure | None


@dataclass(frozen=True)
class ExplainedAccount:
    """One account: its verdict, the rule that decided (its number in the custody design, and its words), the policy in
    force, and every source. ``acknowledged``: a person accepted the change that it was held for."""

    account: str
    token: str
    outcome: Literal["accepted", "held", "refused"]
    acknowledged: bool
    code: str
    detail: str
    rule: int
    rule_text: str
    policy: AccountPolicy
    verdict: AccountVerdict
    sources: tuple[ExplainedSource, ...]


@dataclass(frozen=True)
class Explanation:
    """A period's quorum. ``basis`` says what it explains: a stored ``verdict``, a stored ``collection`` that was not
    decided on, or the last ``refusal``."""

    format: Literal["attest-quorum-explanation/1"]
    period: str
    attempt: int
    cutoff: datetime
    basis: Literal["verdict", "collection", "refusal"]
    collected_at: datetime
    accounts: tuple[ExplainedAccount, ...]
    tokens: tuple[TokenOutcome, ...]
    withheld: tuple[str, ...]
    revision: int = 0


def explain(store: Store, period: Period, account: str | None = None, *, revision: int | None = None) -> Explanation:
    """The explanation of a period's current attempt in the private ``store``, of all accounts or one; of the newest
    revision, or the one given.

    What is stored is decided on once more, by the same pure rule. Raises :class:`OperatorError` if nothing was
    collected for the period (``nothing-to-explain``) or there is no such account, :class:`ConflictError` if the stored
    verdict is not the one that the rule gives.
    """
    area = RunArea.current(store, period) if revision is None else RunArea.of(store, period, revision)
    opened = area.stored("open", Opened)
    collected = area.stored("collection", Collected)
    decided = area.stored("verdict", Decided)
    basis: Literal["verdict", "collection", "refusal"] = "verdict" if decided is not None else "collection"
    if collected is None:
        refusal = area.last_refusal()
        if refusal is not None:
            basis = "refusal"
            collected = records.from_json(Collected, refusal.collected.encode(), "the last refusal", ConflictError)
    if area.blank is not None:
        raise OperatorError(
            f"period {area.name}: nothing was collected, it is {area.blank}",
            code="nothing-to-explain",
            reason="The quorum decides on what the sources said.",
            advice="Name another --period, or with --revision an earlier revision of this one.",
        )
    if opened is None or collected is None:
        raise OperatorError(
            f"period {period}: nothing was collected yet",
            code="nothing-to-explain",
            reason="The quorum decides on what the sources said.",
            advice="Run `attest run` first, or name another --period.",
        )
    verdict = quorum.decide(
        collected.observations,
        collected.failures,
        opened.policies,
        opened.cutoff,
        opened.previous,
        collected.ownership,
    )
    if decided is not None and [(a.account, a.outcome, a.code, a.minor_units) for a in verdict.accounts] != [
        (a.account, a.outcome, a.code, a.minor_units) for a in decided.verdict.accounts
    ]:
        raise ConflictError(
            f"{area.key('verdict')}: the quorum decides otherwise on the same observations",
            code="tampered",
            reason="What was decided must follow from what was observed.",
            advice="Keep the store as it is and find out who changed it.",
        )
    known = [policy.account for policy in opened.policies]
    if account is not None and account not in known:
        raise OperatorError(
            f"--account {account}: there is no such account in period {period}",
            code="unknown-account",
            reason="An explanation belongs to an account that was asked for.",
            advice=f"The accounts are: {', '.join(known)}.",
        )
    acknowledged = set(decided.acknowledged) if decided is not None else set()
    accounts = tuple(
        _account(policy, one, collected, one.account in acknowledged)
        for policy, one in zip(opened.policies, verdict.accounts, strict=True)
        if account in (None, policy.account)
    )
    tokens = dict.fromkeys(one.token for one in accounts)
    return Explanation(
        format="attest-quorum-explanation/1",
        period=str(period),
        attempt=area.attempt,
        cutoff=opened.cutoff,
        basis=basis,
        collected_at=collected.collected_at,
        accounts=accounts,
        tokens=tuple(quorum.token_outcome(verdict, token) for token in tokens),
        withheld=tuple(token.token for token in decided.withheld) if decided is not None else (),
        revision=area.revision,
    )


def _account(
    policy: AccountPolicy, verdict: AccountVerdict, collected: Collected, acknowledged: bool
) -> ExplainedAccount:
    observations = {(one.account, one.source): one for one in collected.observations}
    failures = {(one.account, one.source): one for one in collected.failures}
    considered = {one.source: one for one in verdict.considered}
    rule, text = quorum.RULES[verdict.code]
    return ExplainedAccount(
        account=policy.account,
        token=policy.token,
        outcome=verdict.outcome,
        acknowledged=acknowledged,
        code=verdict.code,
        detail=verdict.detail,
        rule=rule,
        rule_text=text,
        policy=policy,
        verdict=verdict,
        sources=tuple(
            ExplainedSource(
                source=source.source,
                origin=source.origin,
                issuer_hosted=source.issuer_hosted,
                corroborates=source.corroborates,
                counted=considered[source.source].counted,
                code=considered[source.source].code,
                detail=considered[source.source].detail,
                observation=observations.get((policy.account, source.source)),
                failure=failures.get((policy.account, source.source)),
            )
            for source in policy.sources
        ),
    )


# -- in words --------------------------------------------------------------------------------------------------------

_BASIS = {
    "verdict": "decided",
    "collection": "collected, not decided yet",
    "refusal": "refused; the next run asks every source again",
}


def in_words(explanation: Explanation, width: int) -> list[str]:
    """The explanation for people, in lines of ``width`` characters; a path or digest is not broken: somebody may copy
    it."""
    lines = []
    for line in _text(explanation):
        indent = " " * (len(line) - len(line.lstrip(" -")))
        parts = wrap(line, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False)
        lines += parts or [""]
    return lines


def _text(explanation: Explanation) -> list[str]:
    name = revision_name(explanation.period, explanation.revision)
    lines = [
        f"Period {name}, attempt {explanation.attempt}: {_BASIS[explanation.basis]}",
        f"Cutoff {records.format_instant(explanation.cutoff)}; the sources were asked by "
        f"{records.format_instant(explanation.collected_at)}",
    ]
    for account in explanation.accounts:
        lines += ["", *_account_text(account)]
    lines.append("")
    for token in explanation.tokens:
        state = "withheld" if token.token in explanation.withheld else token.outcome
        lines.append(f"{token.token}: {state} ({printable(token.detail)})")
    return lines


def _account_text(account: ExplainedAccount) -> list[str]:
    verdict, unit = account.verdict, currency(account.policy.currency)
    outcome = "held, and acknowledged by a person" if account.acknowledged else account.outcome
    value = ""
    if verdict.minor_units is not None and verdict.as_of is not None:
        amount = group(unit.format(verdict.minor_units))
        value = f": {amount} {unit.code} as of {records.format_instant(verdict.as_of)}"
    lines = [
        f"{account.account} ({account.token}): {outcome}{value}",
        f"  {printable(verdict.detail)}",
        f"  Rule {account.rule}: {account.rule_text}",
        f"  {_policy(account.policy)}",
    ]
    for source in account.sources:
        lines.append(f"  - {source.source} (origin {source.origin}): {_counted(source)}: {source.code}")
        lines.append(f"    {printable(_said(source))}")
        if source.failure is not None:
            lines.append(f"    why it matters: {printable(source.failure.reason)}")
            lines.append(f"    next: {printable(source.failure.advice)}")
    return lines


def _policy(policy: AccountPolicy) -> str:
    unit = currency(policy.currency)
    parts = [
        f"{_some(policy.min_sources, 'source')} of {_some(policy.min_origins, 'origin')} needed",
        f"tolerance {unit.format(policy.tolerance_abs)} {unit.code} and {policy.tolerance_bps} bps",
        f"at most {policy.max_age_seconds / 3600:g} h old",
    ]
    if policy.allow_dissent:
        parts.append(f"dissent allowed: {policy.allow_dissent}")
    if policy.waiver is not None:
        parts.append(f"waiver: {policy.waiver}")
    return "In force: " + ", ".join(parts)


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _counted(source: ExplainedSource) -> str:
    return "counted" if source.counted else "only compared" if source.corroborates else "not counted"


def _said(source: ExplainedSource) -> str:
    said = source.observation
    if said is None:
        return source.detail
    amount = group(currency(said.currency).format(said.minor_units))
    return f"{amount} {said.currency} ({said.balance_kind}) as of {records.format_instant(said.as_of)}" + (
        "" if source.counted or source.code in {"valid", "corroborates", "contradicts"} else f"; {source.detail}"
    )
