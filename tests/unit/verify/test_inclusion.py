"""An account owner's proof, against the signed statement only."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.errors import OperatorError
from attest.merkle.proof import InclusionProof
from attest.model import ReserveLeaf
from attest.records import from_json, to_json
from attest.verify.inclusion import Inclusion, verify_proof
from attest.verify.trust import Trust
from attest.verify.verifier import Brought, verify_bundle
from tests.support import bundles
from tests.support.bundles import Forge
from tests.unit.verify.test_history import statement


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
        "consistency",
        "history",
        "witnesses",
        "timestamp",
        "freshness",
        "inclusion",
    }
    skipped = {"consistency", "history", "timestamp"}
    assert {name: result for name, result in outcome(found).items() if result != "pass"} == dict.fromkeys(
        skipped, "skipped"
    )
    assert found.unmet == ()
    assert found.not_checked[1] == "Your trust file demands chain: see `attest verify`."


def test_verify_proof__against_the_envelope_alone__checks_what_it_can(case: Case) -> None:
    found = case.verify(statement=case.bundle / "attestation.dsse.json")

    assert found.leaf is not None
    assert outcome(found) == {"statement": "pass", "signatures": "pass", "freshness": "pass", "inclusion": "pass"}
    assert "it is not checked whether it is in the log" in found.not_checked[0]
    assert found.not_checked[1] == "Your trust file demands witnesses, chain, independent: see `attest verify`."


def test_verify_proof__envelope_with_a_cutoff_in_the_future__fails(case: Case) -> None:
    case.file.write_bytes(to_json(case.proof))
    early = bundles.CUTOFF - timedelta(seconds=1)

    found = verify_proof(case.file, case.bundle / "attestation.dsse.json", bundles.trust(), now=early)

    assert found.leaf is None
    assert "is in the future" in found.checks[-1].detail


@pytest.mark.parametrize("option", [{"log": "x"}, {"since": Path("x")}])
def test_verify_proof__log_with_an_envelope_alone__is_a_usage_error(case: Case, option: dict[str, Any]) -> None:
    case.file.write_bytes(to_json(case.proof))

    with pytest.raises(OperatorError, match="an envelope alone shows nothing of the log"):
        verify_proof(
            *(case.file, case.bundle / "attestation.dsse.json", bundles.trust()),
            now=bundles.NOW,
            brought=Brought(**option),
        )


def published(folder: Path, kind: str | None) -> tuple[Path, Path]:
    """A bundle in a store beside its log, in which a revision of that kind follows; and the first account's proof."""
    forge = Forge(before=())
    bundle = forge.write(folder / "attestations" / "2026-W47")
    own = (bundle / "attestation.dsse.json").read_bytes()
    later = [] if kind is None else [statement(bundles.PERIOD, 1, replaces=own, kind=kind)]
    for path, data in bundles.log_files([own, *later]).items():
        place = folder / "log" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (folder / "proof.json").write_bytes(to_json(forge.inclusion_proof(1)))
    return bundle, folder / "proof.json"


@pytest.mark.parametrize(("kind", "word"), [("revision", "replaced"), ("revocation", "revoked")])
def test_verify_proof__statement_not_in_force_any_more__shows_nothing(tmp_path: Path, kind: str, word: str) -> None:
    bundle, file = published(tmp_path, kind)

    found = verify_proof(file, bundle, bundles.trust(), now=bundles.NOW)

    assert found.leaf is None
    assert {name for name, result in outcome(found).items() if result == "fail"} == {"history"}
    assert any(check.detail.startswith(f"{word} by revision 1") for check in found.checks)


def test_verify_proof__remembered_head__is_compared_and_never_replaced(tmp_path: Path) -> None:
    bundle, file = published(tmp_path / "one", None)
    state = tmp_path / "logs.json"
    verify_proof(file, bundle, bundles.trust(), now=bundles.NOW, brought=Brought(state=state))
    assert not state.exists()
    other = Forge(before=(), signers=(0, 2)).write(tmp_path / "other")
    verify_bundle(other, bundles.trust(), now=bundles.NOW, brought=Brought(state=state))
    before = state.read_bytes()

    found = verify_proof(file, bundle, bundles.trust(), now=bundles.NOW, brought=Brought(state=state))

    assert found.leaf is None
    assert outcome(found)["consistency"] == "fail"
    assert state.read_bytes() == before


def test_verify_proof__too_old__shows_nothing(case: Case) -> None:
    found = case.verify(replace(bundles.trust(), maximum_age_seconds=60))

    assert found.leaf is None
    assert outcome(found)["freshness"] == "fail"


def test_verify_proof__too_few_witnesses__shows_nothing(tmp_path: Path) -> None:
    found = Case(tmp_path, Forge(witnesses=())).verify()

    assert found.leaf is None
    assert outcome(found)["witnesses"] == "fail"


@pytest.mark.parametrize("demand", ["history", "timestamp", "consistency"])
def test_verify_proof__demand_not_met__shows_nothing(case: Case, demand: Any) -> None:
    found = case.verify(replace(bundles.trust(), demands=(demand,)))

    assert (found.leaf, found.unmet) == (None, (demand,))


@pytest.mark.parametrize(("independent", "unmet"), [(True, ()), (False, ("independent",))])
def test_verify_proof__independence_that_only_a_chain_could_give__is_left_open(
    case: Case, independent: bool, unmet: tuple[str, ...]
) -> None:
    trust = bundles.trust()
    trust = replace(
        trust,
        demands=("independent",),
        witnesses=replace(trust.witnesses, threshold=0, vkeys=()),
        chains=tuple(replace(chain, independent=independent) for chain in trust.chains),
    )

    found = case.verify(trust)

    assert (found.leaf is None, found.unmet) == (not independent, unmet)
    assert ("Your trust file demands independent: see `attest verify`." in found.not_checked) == independent


def test_verify_proof__zip_of_the_bundle__is_as_the_folder(case: Case, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for path in case.bundle.iterdir():
            archive.write(path, path.name)

    assert case.verify(statement=tmp_path / "bundle.zip") == case.verify()


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


def test_verify_proof__no_statement_there__is_told(case: Case, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"none.json: cannot be read"):
        case.verify(statement=tmp_path / "none.json")


def test_verify_proof__file_missing__is_told(case: Case) -> None:
    with pytest.raises(OperatorError, match=r"none.json: cannot be read"):
        verify_proof(case.bundle / "none.json", case.bundle, bundles.trust(), now=bundles.NOW)


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
