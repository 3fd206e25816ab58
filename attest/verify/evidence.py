"""Deciding again, from an audit package: were these the documents, and do they give these balances by these rules?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attest.errors import ConflictError, OperatorError, VerificationError
from attest.money import Currency
from attest.records import from_json
from attest.statement import Attested, agreement_of, weakest
from attest.static import MAX_FILE_BYTES, folder_files
from attest.verify.case import LEAVES, Case
from attest.verify.checks import Finding, attested_tokens, refuse
from attest.verify.leaves import read_leaves

if TYPE_CHECKING:
    from attest.model import AccountPolicy, AccountVerdict, Decision, ReserveLeaf

DECISION = "decision.json"
_FOLDER = "evidence"
_PIECE = 1 << 20
_INSTALL = "Reading them takes `pip install 'reserve-attest[run]'`, and the extras of the custodians' formats."
_ADVICE = "Ask the issuer for a complete audit package of this period and revision; if it stays so, keep it."


@dataclass(frozen=True)
class OpenedPackage:
    """An audit package in a folder (a :class:`attest.verify.case.Package`); ``leaves`` are its ``leaves.json``."""

    folder: Path
    decision: bytes
    leaves: bytes | None

    def digest(self, name: str) -> str | None:
        """The sha256 of ``evidence/<name>``, in lowercase hex; None unless it is a plain file."""
        path = self.folder / _FOLDER / name
        if path.parent.is_symlink() or path.is_symlink() or not path.is_file():
            return None
        found = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        return found.hexdigest()


def open_package(folder: Path) -> OpenedPackage:
    """The audit package that was opened into ``folder``. Raises :class:`OperatorError` if there is none, and
    :class:`VerificationError` for links and files that are too large."""
    read = folder_files(folder)
    decision = read(DECISION, MAX_FILE_BYTES)
    if decision is None:
        raise OperatorError(
            f"{folder / DECISION}: there is no such file",
            code="package-unreadable",
            reason="An audit package holds what the quorum was decided on, and the documents that it was read from.",
            advice="Open the package that the issuer made for you, and name its folder with --evidence DIR.",
        )
    return OpenedPackage(folder, decision, read(LEAVES, MAX_FILE_BYTES))


def check(case: Case) -> Finding:
    package = case.package
    if package is None:
        return Finding(
            "skipped",
            "the documents behind the balances, and what was decided on them, were not given",
            "An auditor can ask the issuer for an audit package, open it, and name its folder with --evidence DIR.",
        )
    from attest.model import Decision

    decision = from_json(Decision, package.decision, DECISION)
    _check_belongs(case, decision)
    verdicts = _decide_again(case, decision)
    if case.leaves is None:
        raise refuse(f"there is no {LEAVES} to compare the decision with", "Name it with --leaves FILE.")
    _compare_leaves(read_leaves(case), decision, verdicts)
    for token, stated in attested_tokens(case.predicate.tokens):
        _compare_token(token.token, stated, decision, verdicts)
    documents = sorted({digest for verdict in verdicts.values() for digest in verdict.evidence})
    for name in documents:
        found = package.digest(name)
        if found != name:
            state = "missing" if found is None else f"not those bytes (they have {found})"
            raise _differs(f"{_FOLDER}/{name} is {state}")
    decided = (
        f"decided again: {len(verdicts)} accounts have the balances, times, rules and evidence that were committed to; "
        f"{len(documents)} documents have the digests named"
    )
    if case.read_again is None:
        return Finding(
            "skipped",
            f"{decided}; but no document was read: that they state these balances is the issuer's word",
            _INSTALL,
        )
    return Finding("pass", f"{decided}; {case.read_again(package.folder, decision, case.predicate)}")


def _check_belongs(case: Case, decision: Decision) -> None:
    predicate = case.predicate
    if (decision.period, decision.revision) != (predicate.period, predicate.revision):
        raise _differs(f"{DECISION} is of {decision.period}, revision {decision.revision}, not of this statement")
    if decision.cutoff != predicate.cutoff:
        raise _differs(f"{DECISION} has another cutoff than the statement")
    withheld = {token.token for token in predicate.tokens if token.verdict == "withheld"}
    if withheld != {*decision.withheld}:
        raise _differs(f"{DECISION} withholds other tokens than the statement")


def _decide_again(case: Case, decision: Decision) -> Mapping[str, AccountVerdict]:
    """The accounts that are attested, by name, each accepted or acknowledged; raises :class:`VerificationError`."""
    from attest.quorum import decide_again

    exponents = {token.currency: token.exponent for token in case.trust.tokens}

    def unit_of(code: str) -> Currency:
        if code not in exponents:
            raise _differs(f"{DECISION} has an account in {code}, which backs no token of your trust file")
        return Currency(code, exponents[code])

    for seen in decision.observations:
        if not seen.evidence:
            raise _differs(f"account {seen.account!r}: source {seen.source!r} names no document")
    names = [policy.account for policy in decision.policies]
    if len({*names}) != len(names):
        raise _differs(f"{DECISION} has two rules for one account")
    try:
        verdict = decide_again(decision, unit_of=unit_of)
    except ConflictError as fault:
        raise _differs(f"{DECISION}: {fault.message}") from None
    counted = {account.account: account for account in verdict.accounts if account.token not in decision.withheld}
    for account in counted.values():
        held = account.outcome == "held" and account.account in decision.acknowledged
        if account.outcome != "accepted" and not held:
            raise _differs(f"account {account.account!r} is {account.outcome} by the rules: {account.detail}")
    return counted


def _compare_leaves(leaves: list[ReserveLeaf], decision: Decision, verdicts: Mapping[str, AccountVerdict]) -> None:
    policies = {policy.account: policy for policy in decision.policies}
    committed = {leaf.account: leaf for leaf in leaves}
    for name in sorted(committed.keys() ^ verdicts.keys()):
        where = "committed to, but not decided" if name in committed else "decided, but not committed to"
        raise _differs(f"account {name!r} is {where}")
    for name, leaf in sorted(committed.items()):
        for what, decided, stated in _facts(policies[name], verdicts[name], leaf):
            if decided != stated:
                raise _differs(f"account {name!r} was committed to with another {what} than is decided")


def _facts(policy: AccountPolicy, verdict: AccountVerdict, leaf: ReserveLeaf) -> list[tuple[str, object, object]]:
    """What an account's decision says, and what was committed to."""
    return [
        ("token", policy.token, leaf.token),
        ("custodian", policy.custodian, leaf.custodian),
        ("currency", policy.currency, leaf.currency),
        ("kind of balance", policy.balance_kind, leaf.balance_kind),
        ("ownership", policy.ownership, leaf.ownership),
        ("balance", verdict.minor_units, leaf.minor_units),
        ("time", verdict.as_of, leaf.as_of),
        ("evidence", verdict.evidence, leaf.evidence),
    ]


def _compare_token(token: str, stated: Attested, decision: Decision, verdicts: Mapping[str, AccountVerdict]) -> None:
    own = [verdict for verdict in verdicts.values() if verdict.token == token]
    if not own:
        raise _differs(f"no account of {token} is decided")
    if weakest([policy for policy in decision.policies if policy.token == token]) != stated.policy:
        raise _differs(f"{token} was decided by another rule than the statement says")
    if agreement_of(own) != stated.agreement:
        raise _differs(f"the accounts of {token} were agreed in another way than the statement counts")


def _differs(detail: str) -> VerificationError:
    return refuse(detail, _ADVICE)
