"""The accounts behind the totals: every leaf is read, and root, size and sums are computed from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attest.errors import VerificationError
from attest.merkle.proof import leaf_hash, root_from_leaf_hashes
from attest.records import decode_base64, from_json
from attest.statement import Attested, attested
from attest.verify.case import LEAVES, Case
from attest.verify.checks import Finding, attested_tokens, refuse

if TYPE_CHECKING:
    from attest.model import ReserveLeaf

_ADVICE = "Ask the issuer for the leaves of this very period and revision; if they still differ, keep both files."


def check(case: Case) -> Finding:
    if case.leaves is None:
        return Finding(
            "skipped",
            f"the totals are the issuer's claim: the {case.predicate.merkle.size} accounts behind them were not given",
            "An account's owner can check it with `attest verify-proof`; an auditor can ask the issuer for all leaves, "
            "and name them with --leaves FILE.",
        )
    accounts = read_leaves(case)
    counts = []
    for token, stated in attested_tokens(case.predicate.tokens):
        own = [leaf for leaf in accounts if leaf.token == token.token]
        _compare_sums(token.token, stated, own)
        counts.append(f"{token.token} ({len(own)})")
    return Finding(
        "pass", f"{len(accounts)} accounts lead to the signed root and add up to {', '.join(counts) or 'nothing'}"
    )


def read_leaves(case: Case) -> list[ReserveLeaf]:
    """All leaves in tree order, once they were seen to lead to the signed root. Raises :class:`VerificationError` for
    a leaf that is not of this statement, or an account that is there twice."""
    import unicodedata

    from attest.model import ReserveLeaf

    predicate, given = case.predicate, case.leaves
    if given is None:
        raise ValueError("no leaves were given")
    if (given.period, given.revision) != (predicate.period, predicate.revision):
        raise _differs(f"they are of {given.period}, revision {given.revision}, not of this statement")
    if len(given.leaves) != predicate.merkle.size:
        raise _differs(f"there are {len(given.leaves)}, the statement commits to {predicate.merkle.size}")
    try:
        exact = [decode_base64(text) for text in given.leaves]
    except ValueError as fault:
        raise _differs(f"a leaf {fault}") from None
    root = root_from_leaf_hashes([leaf_hash(leaf) for leaf in exact]).hex()
    if root != predicate.merkle.root:
        raise _differs(f"they lead to root {root}, the statement commits to {predicate.merkle.root}")
    leaves = [from_json(ReserveLeaf, leaf, f"leaf {index}") for index, leaf in enumerate(exact)]
    if len({leaf.salt for leaf in leaves}) != len(leaves):
        raise _differs("two of them have one salt: whoever knows one can find out about the other")
    accounts: dict[str, str] = {}
    for leaf in leaves:
        _check_leaf(case, leaf)
        # What looks the same is the same: an account that is written in two ways would be counted twice.
        key = unicodedata.normalize("NFKC", leaf.account).casefold()
        if key in accounts:
            raise _differs(f"account {leaf.account!r} is there twice (also as {accounts[key]!r})")
        accounts[key] = leaf.account
    return leaves


def _check_leaf(case: Case, leaf: ReserveLeaf) -> None:
    predicate, name = case.predicate, f"account {leaf.account!r}"
    if not leaf.account.isprintable():
        raise _differs(f"{name} has a character that does not show: it could be another's name written twice")
    if leaf.period != predicate.period:
        raise _differs(f"{name} is of {leaf.period}, the statement of {predicate.period}")
    token = next((token for token in predicate.tokens if token.token == leaf.token), None)
    stated = None if token is None else attested(token)
    if token is None or stated is None:
        raise _differs(f"{name} backs {leaf.token}, of which the statement gives no reserve")
    if leaf.currency != token.currency:
        raise _differs(f"{name} is in {leaf.currency}, {token.token} is backed by {token.currency}")
    if leaf.minor_units < 0:
        raise _differs(f"{name} has a negative balance")
    if not 0 <= (predicate.cutoff - leaf.as_of).total_seconds() <= stated.policy.max_age_seconds:
        raise _differs(f"{name} has a balance of a time that the statement's policy does not allow")


def _compare_sums(token: str, stated: Attested, leaves: list[ReserveLeaf]) -> None:
    """The statement's own figures follow from ``minor_units`` (:func:`attest.statement.read`), ``units`` too."""
    if len(leaves) != stated.agreement.accounts:
        raise _differs(f"{token} has {len(leaves)} accounts, the statement says {stated.agreement.accounts}")
    total = sum(leaf.minor_units for leaf in leaves)
    if total != stated.minor_units:
        raise _differs(f"{token} adds up to {total} minor units, the statement says {stated.minor_units}")
    oldest = min(leaf.as_of for leaf in leaves)
    if oldest != stated.oldest_as_of:
        raise _differs(f"the oldest balance of {token} is not of the time that the statement says")


def _differs(detail: str) -> VerificationError:
    return refuse(f"{LEAVES}: {detail}", _ADVICE)
