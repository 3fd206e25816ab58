"""The auditor's verdict on a bundle: all checks, in the order in which a person would ask, and the three answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from attest.documents import ChainBlocks, TokenStatement
from attest.errors import VerificationError
from attest.statement import sentence
from attest.verify import chain_proof, chain_rpc, checks
from attest.verify.case import Case, Rpc, UnavailableError
from attest.verify.checks import AUTHENTIC, Check
from attest.verify.places import open_bundle
from attest.verify.report import Answer, CheckResult, Outcome, Report, TokenReport
from attest.verify.trust import Demand, Trust

CHECKS: tuple[Check, ...] = (
    *AUTHENTIC,
    Check("witnesses", "Who else saw that log?", checks.witnesses, required=False),
    Check("tokens", "Does it speak of exactly the tokens and deployments that you expect?", checks.tokens),
    Check("policy", "Was it decided by a rule as strict as you ask for?", checks.policy),
    Check("coverage", "Is each reserve at least the supply?", checks.coverage),
    Check("consensus", "Was it reported on chain, and was the oracle's quorum met?", checks.consensus),
    Check("receipts", "Do the receipts and the anchor belong to this statement?", checks.receipts),
    Check("chain-proof", "Do the chain's own headers prove what it says?", chain_proof.check, required=False),
    Check("chain-rpc", "Does your own node say the same?", chain_rpc.check, required=False),
    Check("leaves", "Do the accounts add up to the totals?", checks.leaves, required=False),
    Check("freshness", "Is it recent enough?", checks.freshness, required=False),
)

#: What a statement's sufficiency rests on besides its authenticity.
_AUTHENTIC = tuple(check.name for check in AUTHENTIC)
_SUFFICIENT = ("tokens", "policy", "consensus", "receipts")


def verify_bundle(path: Path, trust: Trust, *, rpc: Rpc | Sequence[Rpc] | None = None, now: datetime) -> Report:
    """Check the bundle in folder ``path`` against ``trust`` at the time ``now`` (aware). Nothing is asked of the
    network except through ``rpc``: the auditor's own endpoint, or one for each chain.

    Raises :class:`OperatorError` when there is no such folder; everything else is in the report.
    """
    rpcs = () if rpc is None else (rpc,) if callable(rpc) else tuple(rpc)
    try:
        case = Case(open_bundle(path), trust, now, rpcs)
    except VerificationError as fault:
        case = Case({}, trust, now, rpcs, fault)
    return judge(case)


def judge(case: Case) -> Report:
    """All checks on one case. Pure, unless the case has endpoints to ask."""
    results = tuple(check.result(case) for check in CHECKS)
    outcomes: Mapping[str, Outcome] = {result.name: result.outcome for result in results}
    answers = (_authentic(case, outcomes, results), _sufficient(case, outcomes), _independent(case, outcomes))
    unmet = _unmet(case, outcomes, answers[2])
    witnesses = len(case.cosignatures) if outcomes["witnesses"] == "pass" else 0
    try:
        predicate = case.predicate
    except UnavailableError:
        return Report(None, None, None, (), answers, results, unmet, ())
    return Report(
        period=predicate.period,
        revision=predicate.revision,
        statement=case.statement_digest,
        tokens=tuple(_token(case, token, outcomes, witnesses) for token in predicate.tokens),
        answers=answers,
        checks=results,
        unmet=unmet,
        notes=_notes(case),
    )


def _not_passed(outcomes: Mapping[str, Outcome], names: Sequence[str]) -> list[str]:
    return [name for name in names if outcomes[name] != "pass"]


def _unproven(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Why the figures do not count: what they rest on and did not pass, and whatever contradicts them."""
    needed = _not_passed(outcomes, (*_AUTHENTIC, *_SUFFICIENT))
    return [*needed, *(name for name in ("witnesses", "chain-proof", "chain-rpc") if outcomes[name] == "fail")]


def _authentic(case: Case, outcomes: Mapping[str, Outcome], results: Sequence[CheckResult]) -> Answer:
    missing = _not_passed(outcomes, _AUTHENTIC)
    if missing:
        return Answer("authentic", "no", f"not established: {', '.join(missing)}")
    detail = next(result.detail for result in results if result.name == "signatures")
    return Answer("authentic", "yes", f"{detail}; unchanged, and in the log {case.trust.log.origin}")


def _sufficient(case: Case, outcomes: Mapping[str, Outcome]) -> Answer:
    missing = _unproven(outcomes) + (["freshness"] if outcomes["freshness"] == "fail" else [])
    if missing:
        return Answer("sufficient", "unknown", f"not established: {', '.join(missing)}")
    if outcomes["coverage"] != "pass":
        return Answer("sufficient", "no", f"a token is {outcomes['coverage']}")
    count = case.predicate.merkle.size
    return Answer(
        "sufficient", "yes", f"by totals that the issuer claims: the {count} accounts behind them were not given"
    )


def _independent(case: Case, outcomes: Mapping[str, Outcome]) -> Answer:
    memories = []
    if outcomes["witnesses"] == "pass":
        memories.append(f"witnesses {', '.join(checks.witness_names(case))}")
    chain = case.trust.chain(case.trust.registry.chain_id)
    on_chain = "pass" in (outcomes["chain-proof"], outcomes["chain-rpc"])
    if on_chain and chain is not None and chain.independent:
        memories.append(f"chain {chain.chain_id}, which you call independent")
    if memories and outcomes["log-inclusion"] == "pass":
        return Answer("independently checked", "yes", " and ".join(memories))
    reason = "the chain's validators are not independent of the issuer" if on_chain else "no chain was checked"
    return Answer("independently checked", "no", f"only the issuer's word: no witness counted, and {reason}")


def _unmet(case: Case, outcomes: Mapping[str, Outcome], independent: Answer) -> tuple[str, ...]:
    met: Mapping[Demand, bool] = {
        "chain": "pass" in (outcomes["chain-proof"], outcomes["chain-rpc"]),
        "independent": independent.answer == "yes",
    }
    # All others are the names of checks.
    return tuple(demand for demand in case.trust.demands if not met.get(demand, outcomes.get(demand) == "pass"))


def _token(case: Case, token: TokenStatement, outcomes: Mapping[str, Outcome], witnesses: int) -> TokenReport:
    stale = outcomes["freshness"] == "fail"
    text = sentence(token, case.predicate.cutoff, witnesses=witnesses, stale=stale)
    if _unproven(outcomes):
        return TokenReport(token.token, "unproven", f"Not proven, only claimed: {text}")
    return TokenReport(token.token, "stale" if stale else token.verdict, text)


def _notes(case: Case) -> tuple[str, ...]:
    predicate = case.predicate
    notes = []
    if predicate.clock == "pinned":
        notes.append("This is a rehearsal: its clock was pinned by configuration.")
    for attempt in predicate.abandoned:
        notes.append(f"Attempt {attempt.attempt} of this period was abandoned: {attempt.reason}")
    if predicate.supply_at == "run":
        gaps = ", ".join(_gap(chain) for chain in predicate.chains)
        notes.append(f"The supply was read at the run, not at the cutoff: {gaps}.")
    if predicate.disclosures:
        codes = ", ".join(f"{disclosure.kind} {disclosure.code}" for disclosure in predicate.disclosures)
        notes.append(f"Details that the issuer committed to and an auditor can ask for: {codes}.")
    return tuple(notes)


def _gap(chain: ChainBlocks) -> str:
    seconds = chain.supply_gap_seconds
    return f"{abs(seconds)} seconds {'after' if seconds < 0 else 'before'} it on chain {chain.chain_id}"
