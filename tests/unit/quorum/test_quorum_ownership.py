"""The quorum's last rule: an account whose key should have signed, and the proof that it did."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.model import AccountPolicy, AccountVerdict, Observation, Ownership, SourcePolicy
from attest.quorum import decide, needs_new_evidence

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
HOLDER = "0xCF74e08441DbAAec12523110b62A9ee47181b409"
PROOF = "9" * 64


def verdict(
    *minor_units: int,
    ownership: Ownership = "key-proven",
    proofs: dict[str, str] | None = None,
    previous: dict[str, int] | None = None,
) -> AccountVerdict:
    """Sources ``a``, ``b``, … state these balances."""
    names = "abcd"[: len(minor_units)]
    policy = AccountPolicy(
        "coins", "USDW", "Self", HOLDER, "USD", "on-chain", ownership,
        tuple(SourcePolicy(name, name, False, "2026-11-20") for name in names),
        2, 2, 0, 0, 3600, 0, 100,
    )  # fmt: skip
    said = [
        Observation("coins", name, HOLDER, "USD", units, "on-chain", CUTOFF, "block 1", CUTOFF, (name * 64,))
        for name, units in zip(names, minor_units, strict=True)
    ]
    (one,) = decide(said, [], [policy], CUTOFF, previous or {}, proofs).accounts
    return one


def test_decide__key_proven_without_proof__refused_and_asked_again() -> None:
    one = verdict(100, 100)
    assert (one.outcome, one.code, one.minor_units, one.as_of, one.evidence) == (
        "refused", "ownership-unproven", None, None, (),
    )  # fmt: skip
    assert HOLDER in one.detail
    assert needs_new_evidence(one)


def test_decide__key_proven_with_proof__names_it_among_the_evidence() -> None:
    one = verdict(100, 100, proofs={"coins": PROOF})
    assert (one.outcome, one.code, one.minor_units) == ("accepted", "agreed", 100)
    assert one.evidence == (PROOF, "a" * 64, "b" * 64)


def test_decide__proof_of_another_account__is_none() -> None:
    assert verdict(100, 100, proofs={"other": PROOF}).code == "ownership-unproven"


def test_decide__held_and_unproven__is_refused_first_and_held_once_proven() -> None:
    assert verdict(200, 200, previous={"coins": 100}).code == "ownership-unproven"
    one = verdict(200, 200, previous={"coins": 100}, proofs={"coins": PROOF})
    assert (one.outcome, one.code) == ("held", "change-limit")
    assert PROOF in one.evidence


def test_decide__disagreement_and_unproven__says_both_and_is_not_asked_again() -> None:
    one = verdict(100, 101)
    assert one.code == "disagreement"
    assert "nobody has proven" in one.detail
    assert not needs_new_evidence(one)
    assert verdict(100, 101, proofs={"coins": PROOF}) == verdict(100, 101, ownership="unproven")


def test_decide__too_few_sources_and_unproven__says_both() -> None:
    one = verdict(100)
    assert one.code == "too-few-sources"
    assert "1 of 2 sources" in one.detail
    assert "nobody has proven" in one.detail


@pytest.mark.parametrize("ownership", ["custodian-confirmed", "unproven"])
@given(minor_units=st.lists(st.integers(-2, 2), max_size=4))
def test_decide__any_other_strength__is_as_if_there_were_no_proofs(
    ownership: Ownership, minor_units: list[int]
) -> None:
    assert verdict(*minor_units, ownership=ownership, proofs={"coins": PROOF}) == verdict(
        *minor_units, ownership=ownership
    )
