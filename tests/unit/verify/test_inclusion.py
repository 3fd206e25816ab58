"""An account owner's proof, against the signed statement only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.merkle.proof import InclusionProof
from attest.model import ReserveLeaf
from attest.records import from_json, to_json
from attest.verify.inclusion import Inclusion, verify_proof
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge


class Case:
    """A forge's bundle and one of its proofs on disk."""

    def __init__(self, folder: Path, forge: Forge) -> None:
        self.bundle = forge.write(folder / "bundle")
        self.proof = forge.inclusion_proof(1)
        self.file = folder / "usdw-0.proof.json"

    def verify(self, trust: Trust | None = None, statement: Path | None = None) -> Inclusion:
        self.file.write_bytes(to_json(self.proof))
        return verify_proof(self.file, statement or self.bundle, trust or bundles.trust(), now=bundles.NOW)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, Forge())


def outcome(found: Inclusion) -> dict[str, str]:
    return {check.name: check.outcome for check in found.checks}


def test_verify_proof__against_the_bundle__shows_the_leaf(case: Case) -> None:
    found = case.verify()

    assert found.leaf is not None
    assert (found.leaf.account, found.leaf.minor_units, found.leaf.currency) == ("usdw-0", 120_411_306, "USD")
    assert (found.exponent, found.accounts, found.total_minor_units) == (2, 3, 120_411_307)
    assert (found.period, found.revision) == (bundles.PERIOD, 0)
    assert set(outcome(found)) == {
        "files",
        "statement",
        "signatures",
        "subject",
        "period",
        "log-inclusion",
        "inclusion",
    }
    assert set(outcome(found).values()) == {"pass"}


def test_verify_proof__against_the_envelope_alone__checks_what_it_can(case: Case) -> None:
    found = case.verify(statement=case.bundle / "attestation.dsse.json")

    assert found.leaf is not None
    assert outcome(found) == {"statement": "pass", "signatures": "pass", "inclusion": "pass"}


def test_verify_proof__every_leaf__is_included(tmp_path: Path) -> None:
    forge = Forge(tokens=(bundles.sufficient_token(accounts=7),))
    case = Case(tmp_path, forge)
    trust = bundles.trust()
    trust = replace(trust, tokens=trust.tokens[1:])
    for index in range(7):
        case.proof = forge.inclusion_proof(index)

        found = case.verify(trust)

        assert found.leaf is not None
        assert found.leaf.account == f"usdw-{index}"


def test_verify_proof__statement_signed_by_strangers__shows_nothing(tmp_path: Path) -> None:
    found = Case(tmp_path, Forge(signers=(7, 8))).verify()

    assert found.leaf is None
    assert outcome(found)["signatures"] == "fail"
    assert outcome(found)["inclusion"] == "pass"


def test_verify_proof__revoked_statement__shows_nothing(case: Case) -> None:
    digest = case.verify().statement

    assert digest is not None
    assert case.verify(replace(bundles.trust(), revoked=(digest,))).leaf is None


def test_verify_proof__bundle_with_a_link__shows_nothing(case: Case) -> None:
    (case.bundle / "x.json").symlink_to(case.bundle / "reserves.json")

    found = case.verify()

    assert found.leaf is None
    assert outcome(found)["files"] == "fail"


def test_verify_proof__no_statement_there__shows_nothing(case: Case, tmp_path: Path) -> None:
    found = case.verify(statement=tmp_path / "none.json")

    assert found.leaf is None
    assert set(outcome(found).values()) <= {"fail", "skipped"}


def test_verify_proof__file_missing__fails_inclusion(case: Case) -> None:
    found = verify_proof(case.bundle / "none.json", case.bundle, bundles.trust(), now=bundles.NOW)

    assert found.leaf is None
    assert outcome(found)["inclusion"] == "fail"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda proof: replace(proof, period="2026-W46"), "is of 2026-W46"),
        (lambda proof: replace(proof, revision=1), "revision 1"),
        (lambda proof: replace(proof, root="00" * 32), "the signed one is"),
        (lambda proof: replace(proof, tree_size=4), "the signed one has 3"),
    ],
)
def test_verify_proof__of_another_statement__fails(
    case: Case, change: Callable[[InclusionProof], InclusionProof], message: str
) -> None:
    case.proof = change(case.proof)

    found = case.verify()

    assert found.leaf is None
    assert message in found.checks[-1].detail


def test_verify_proof__envelope_of_another_issuer__fails(case: Case) -> None:
    trust = replace(bundles.trust(), issuer="Another Ltd")

    found = case.verify(trust, case.bundle / "attestation.dsse.json")

    assert found.leaf is None
    assert "you expect 'Another Ltd'" in found.checks[-1].detail


def leaf_change(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: to_json(replace(from_json(ReserveLeaf, data, "leaf"), **fields))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (leaf_change(period="2026-W46"), "the leaf is of 2026-W46"),
        (leaf_change(token="XXXW"), "backs XXXW"),
        (leaf_change(currency="EUR"), "is in EUR"),
        (leaf_change(minor_units=-1), "negative or larger"),
        (leaf_change(minor_units=120_411_308), "negative or larger"),
        (leaf_change(as_of=bundles.CUTOFF + timedelta(seconds=1)), "policy does not allow"),
        (leaf_change(as_of=bundles.CUTOFF - timedelta(days=3)), "policy does not allow"),
        (lambda data: data.replace(b'"120411306"', b"120411306"), "minor_units"),
        (lambda data: b"\x01" * 64, "not JSON"),
    ],
)
def test_verify_proof__signed_leaf_that_contradicts_the_statement__fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], message: str
) -> None:
    # A dishonest issuer commits to a leaf that is not what its totals say.
    original = bundles.make_leaves

    def dishonest(tokens: Any, period: str = bundles.PERIOD) -> list[bytes]:
        leaves = original(tokens, period)
        return [leaves[0], change(leaves[1]), *leaves[2:]]

    monkeypatch.setattr(bundles, "make_leaves", dishonest)

    found = Case(tmp_path, Forge()).verify()

    assert found.leaf is None
    assert [name for name, result in outcome(found).items() if result == "fail"] == ["inclusion"]
    assert message in found.checks[-1].detail


def test_verify_proof__leaf_of_a_withheld_token__fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Forge().tokens
    leaves = bundles.make_leaves([second])
    monkeypatch.setattr(bundles, "make_leaves", lambda tokens, period=bundles.PERIOD: leaves[:1])
    forge = Forge(tokens=(first, bundles.withheld_token(second)))
    case = Case.__new__(Case)
    case.bundle, case.file = forge.write(tmp_path / "b"), tmp_path / "p.json"
    case.proof = forge.inclusion_proof(0)

    found = case.verify()

    assert found.leaf is None
    assert "gives no reserve" in found.checks[-1].detail
