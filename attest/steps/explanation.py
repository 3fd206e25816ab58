"""Why the quorum decided as it did: every source's word, whether it counted, and the rule that decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from attest import quorum, records
from attest.artifacts import Collected, Decided, Opened
from attest.errors import ConflictError, OperatorError
from attest.model import AccountPolicy, AccountVerdict, Observation, SourceFailure
from attest.period import Period
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
