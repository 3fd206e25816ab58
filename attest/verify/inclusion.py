"""An account owner's check: is my account, with my balance, in what was signed?

Root and size come from the *signed* statement only, never from the proof's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from attest.documents import TokenStatement
from attest.errors import VerificationError
from attest.merkle.proof import InclusionProof, verify_inclusion_proof
from attest.model import ReserveLeaf
from attest.records import from_json
from attest.statement import Attested, attested
from attest.verify.bundle import ENVELOPE, read_bundle, read_file
from attest.verify.case import Case
from attest.verify.checks import AUTHENTIC, Check, expect_issuer_and_period, refuse
from attest.verify.report import CheckResult
from attest.verify.trust import Trust

MAX_PROOF_BYTES = 1 << 20
#: Of a lone envelope only these can be checked; a bundle shows also that it is in the log.
_OF_ENVELOPE = ("statement", "signatures")
_ADVICE = (
    "Fetch proof and statement again for the same period and revision; if they still differ, tell the issuer and keep "
    "both files."
)


@dataclass(frozen=True)
class Inclusion:
    """What a private proof showed. ``leaf`` is None unless every check passed; ``exponent`` is its currency's number of
    decimals. ``accounts`` (the tree's size) and ``total_minor_units`` (the token's) are the statement's claims."""

    leaf: ReserveLeaf | None
    exponent: int
    period: str | None
    revision: int | None
    statement: str | None
    accounts: int
    total_minor_units: int
    checks: tuple[CheckResult, ...]


def verify_proof(file: Path, statement: Path, trust: Trust, *, now: datetime) -> Inclusion:
    """Check the inclusion proof in ``file`` against ``statement``: a bundle's folder, or an envelope alone.

    Raises :class:`OperatorError` when the folder cannot be read; everything else is in the result.
    """
    case = _case(statement, trust, now)
    wanted = AUTHENTIC if statement.is_dir() else [check for check in AUTHENTIC if check.name in _OF_ENVELOPE]
    results = [check.result(case) for check in wanted]
    found: list[tuple[ReserveLeaf, TokenStatement, Attested]] = []

    def included(case: Case) -> str:
        found.append(_included(file, case))
        return f"one of the {case.predicate.merkle.size} accounts under the signed root"

    results.append(Check("inclusion", "Is this account in it, with this balance?", included).result(case))
    if not found or any(result.outcome != "pass" for result in results):
        return Inclusion(None, 0, None, None, None, 0, 0, tuple(results))
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
    )


def _case(statement: Path, trust: Trust, now: datetime) -> Case:
    try:
        if statement.is_dir():
            return Case(read_bundle(statement), trust, now)
        return Case({ENVELOPE: read_file(statement, MAX_PROOF_BYTES)}, trust, now)
    except VerificationError as fault:
        return Case({}, trust, now, fault=fault)


def _included(file: Path, case: Case) -> tuple[ReserveLeaf, TokenStatement, Attested]:
    proof = from_json(InclusionProof, read_file(file, MAX_PROOF_BYTES), file.name)
    expect_issuer_and_period(case)
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
