"""An account owner's check: is my account, with my balance, in what was signed?

Root and size come from the *signed* statement only, never from the proof's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from attest.documents import TokenStatement
from attest.errors import OperatorError, VerificationError
from attest.merkle.proof import InclusionProof, verify_inclusion_proof
from attest.model import ReserveLeaf
from attest.records import from_json
from attest.statement import Attested, attested
from attest.static import is_url
from attest.verify.bundle import ENVELOPE, read_file
from attest.verify.case import Case
from attest.verify.checks import AUTHENTIC, Check, expect_issuer_and_period, expect_past_cutoff, refuse
from attest.verify.places import read_given
from attest.verify.report import CheckResult, Outcome
from attest.verify.trust import Trust
from attest.verify.verifier import FRESHNESS, LOGGED, Brought, demands_unmet, not_compared, open_case

MAX_PROOF_BYTES = 1 << 20
#: Of a lone envelope only these can be checked; a bundle shows also that it is in the log.
_OF_ENVELOPE = ("statement", "signatures")
_NOT_OF_ENVELOPE = (
    "Of an envelope alone it is not checked whether it is in the log (log-inclusion), whether that log only grew "
    "(consistency) and has replaced or revoked it since (history), who else saw it (witnesses, timestamp), and all "
    "that only `attest verify` checks. Name the attestation's whole folder instead."
)
_NOT_OF_BUNDLE = (
    "Whether the reserve is enough, decided by your rules and reported on chain is not checked here: see `attest "
    "verify`."
)
#: Demands that only `attest verify` looks at.
_ELSEWHERE = ("chain", "leaves", "evidence")
_ADVICE = (
    "Fetch proof and statement again for the same period and revision; if they still differ, tell the issuer and keep "
    "both files."
)


@dataclass(frozen=True)
class Inclusion:
    """What a private proof showed. ``leaf`` is None unless every check passed, or could not be made and is not demanded
    (``unmet``: the demands that were not met); ``exponent`` is its currency's number of decimals. ``accounts`` (the
    tree's size) and ``total_minor_units`` (the token's) are the statement's claims. ``not_checked``: in words, what
    remains open."""

    leaf: ReserveLeaf | None
    exponent: int
    period: str | None
    revision: int | None
    statement: str | None
    accounts: int
    total_minor_units: int
    checks: tuple[CheckResult, ...]
    unmet: tuple[str, ...]
    not_checked: tuple[str, ...]


def verify_proof(
    file: Path, statement: Path | str, trust: Trust, *, now: datetime, brought: Brought | None = None
) -> Inclusion:
    """Check the inclusion proof in ``file`` against ``statement``: a bundle (a folder, a zip, an address), or an
    envelope alone. What was seen of the log before is compared, but nothing is remembered.

    Raises :class:`OperatorError` when one of them, or anything else that was named, cannot be reached; everything else
    is in the result.
    """
    data = read_given(file, MAX_PROOF_BYTES)
    brought = brought or Brought()
    alone = _is_envelope(statement)
    forgotten: tuple[str, ...] = ()
    if alone:
        case = _lone(Path(statement), trust, now, brought)
        wanted = [check for check in AUTHENTIC if check.name in _OF_ENVELOPE]
    else:
        case, forgotten = open_case(statement, trust, now=now, brought=brought)
        wanted = [*AUTHENTIC, *LOGGED]
    results = [check.result(case) for check in (*wanted, FRESHNESS)]
    found: list[tuple[ReserveLeaf, TokenStatement, Attested]] = []

    def included(case: Case) -> str:
        found.append(_included(data, file.name, case))
        return f"one of the {case.predicate.merkle.size} accounts under the signed root"

    results.append(Check("inclusion", "Is this account in it, with this balance?", included).result(case))
    outcomes: Mapping[str, Outcome] = {result.name: result.outcome for result in results}
    elsewhere: Sequence[str] = trust.demands if alone else _shown_elsewhere(trust)
    lacking = () if alone else demands_unmet(case, outcomes)
    unmet = tuple(demand for demand in lacking if demand not in elsewhere)
    open_demands = [demand for demand in trust.demands if demand in elsewhere and (alone or demand in lacking)]
    not_checked = (
        _NOT_OF_ENVELOPE if alone else _NOT_OF_BUNDLE,
        *([f"Your trust file demands {', '.join(open_demands)}: see `attest verify`."] if open_demands else []),
        *(() if alone else not_compared(case, outcomes)),
        *forgotten,
    )
    false = any(result.outcome == "fail" or (result.required and result.outcome != "pass") for result in results)
    if false or unmet:
        return Inclusion(None, 0, None, None, None, 0, 0, tuple(results), unmet, not_checked)
    ((leaf, token, stated),) = found
    predicate = case.predicate
    return Inclusion(
        leaf=leaf,
        exponent=token.exponent,
        period=predicate.period,
        revision=predicate.revision,
        statement=case.statement_digest,
        accounts=predicate.merkle.size,
        total_minor_units=stated.minor_units,
        checks=tuple(results),
        unmet=unmet,
        not_checked=not_checked,
    )


def _is_envelope(statement: Path | str) -> bool:
    """Whether ``statement`` is a file that is no zip."""
    path = Path(statement)
    if is_url(str(statement)) or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(2) != b"PK"
    except OSError:
        return True


def _lone(statement: Path, trust: Trust, now: datetime, brought: Brought) -> Case:
    if brought.log is not None or brought.since is not None:
        raise OperatorError(
            f"{statement}: an envelope alone shows nothing of the log",
            code="usage",
            reason="You named a log or a checkpoint to have it compared.",
            advice="Name the attestation's whole folder, a zip of it, or its address.",
        )
    try:
        return Case({ENVELOPE: read_file(statement, MAX_PROOF_BYTES)}, trust, now)
    except VerificationError as fault:
        return Case({}, trust, now, fault=fault)


def _shown_elsewhere(trust: Trust) -> Sequence[str]:
    """The demands that only `attest verify` can show to be met."""
    chain = trust.chain(trust.registry.chain_id)
    by_chain = chain is not None and chain.independent
    return (*_ELSEWHERE, "independent") if by_chain else _ELSEWHERE


def _included(data: bytes, name: str, case: Case) -> tuple[ReserveLeaf, TokenStatement, Attested]:
    proof = from_json(InclusionProof, data, name)
    expect_issuer_and_period(case)
    expect_past_cutoff(case)
    predicate = case.predicate
    if (proof.period, proof.revision) != (predicate.period, predicate.revision):
        raise _differs(f"the proof is of {proof.period}, revision {proof.revision}, not of this statement")
    root, size = bytes.fromhex(predicate.merkle.root), predicate.merkle.size
    leaf = from_json(ReserveLeaf, verify_inclusion_proof(proof, root, size), "the leaf")
    if leaf.period != predicate.period:
        raise _differs(f"the leaf is of {leaf.period}, the statement of {predicate.period}")
    token = next((token for token in predicate.tokens if token.token == leaf.token), None)
    stated = None if token is None else attested(token)
    if token is None or stated is None:
        raise _differs(f"the leaf backs {leaf.token}, of which the statement gives no reserve")
    if leaf.currency != token.currency:
        raise _differs(f"the leaf is in {leaf.currency}, {token.token} is backed by {token.currency}")
    if not 0 <= leaf.minor_units <= stated.minor_units:
        raise _differs(f"the leaf's balance is negative or larger than the whole reserve of {token.token}")
    if not stated.oldest_as_of <= leaf.as_of <= predicate.cutoff:  # and the oldest is as old as the policy allows
        raise _differs("the leaf's balance is of a time that the statement's policy does not allow")
    return leaf, token, stated


def _differs(detail: str) -> VerificationError:
    return refuse(detail, _ADVICE)
