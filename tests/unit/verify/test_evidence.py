"""Deciding again from an audit package: whatever differs from what was signed is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.documents import Predicate
from attest.errors import OperatorError, VerificationError
from attest.model import Decision, ReserveLeaf, SourceFailure
from attest.records import from_json, to_json
from attest.verify.case import ReadAgain
from attest.verify.evidence import open_package
from attest.verify.report import exit_code
from attest.verify.verifier import Brought, verify_bundle
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged, make_decision

Change = Callable[[Decision], Decision]


FORGE = Forge()
FILES = bundles.without_chain_proof(FORGE.files())


def reads(folder: Path, decision: Decision, predicate: Predicate) -> str:
    """A reader to whom every document says what the decision says."""
    return f"{len(decision.observations)} documents read again"


def verified(folder: Path, change: Change = lambda decision: decision, forge: Forge = FORGE, **brought: Any) -> Any:
    """The report with the forge's package, whose decision is changed; the documents are not read."""
    decision = change(make_decision(forge.tokens, forge.leaves))
    package = open_package(forge.write_package(folder, decision))
    files = FILES if forge is FORGE else forge.files()
    return judged(files, package=package, leaves_file=package.leaves, **brought)


def test_evidence__nothing_that_reads_documents__is_skipped_and_says_what_holds(tmp_path: Path) -> None:
    report = verified(tmp_path)

    assert failed(report) == []
    assert (report.outcome("leaves"), report.outcome("evidence")) == ("pass", "skipped")
    said = detail(report, "evidence")
    assert said.startswith("decided again: 3 accounts have the balances")
    assert "6 documents have the digests named" in said
    assert "no document was read" in said
    (skipped,) = (check for check in report.checks if check.name == "evidence")
    assert "reserve-attest[run]" in skipped.advice


def test_evidence__documents_can_be_read_again__says_what_that_found(tmp_path: Path) -> None:
    asked = []

    def read_again(folder: Path, decision: Decision, predicate: Predicate) -> str:
        asked.append((folder, decision.period, predicate.configuration))
        return "6 documents read again"

    report = verified(tmp_path, read_again=read_again)

    assert report.outcome("evidence") == "pass"
    assert detail(report, "evidence").endswith("; 6 documents read again")
    assert asked == [(tmp_path, "2026-W47", bundles.statement_read(FILES).configuration)]


def test_evidence__documents_read_again_say_something_else__fails(tmp_path: Path) -> None:
    def read_again(folder: Path, decision: Decision, predicate: Predicate) -> str:
        raise VerificationError("source bank: states 1.00 USD", code="differs")

    report = verified(tmp_path, read_again=read_again)

    assert failed(report) == ["evidence"]
    assert exit_code(report) == 6


def test_evidence__not_given__skipped_with_advice() -> None:
    report = judged(FILES)

    assert report.outcome("evidence") == "skipped"
    assert exit_code(judged(FILES, replace(bundles.trust(), demands=("evidence",)))) == 6


@pytest.mark.parametrize(("reader", "code"), [(reads, 0), (None, 6)])
def test_evidence__demanded_and_given__is_met_once_the_documents_were_read(
    tmp_path: Path, reader: ReadAgain | None, code: int
) -> None:
    package = open_package(FORGE.write_package(tmp_path))
    demanding = replace(bundles.trust(), demands=("evidence", "leaves"))

    report = judged(FILES, demanding, package=package, leaves_file=package.leaves, read_again=reader)

    assert (failed(report), exit_code(report)) == ([], code)
    assert report.unmet == (() if code == 0 else ("evidence",))


def test_evidence__committed_to_without_any_document__fails_and_names_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = bundles.make_leaves

    def make(tokens: Any) -> list[bytes]:
        return [to_json(replace(from_json(ReserveLeaf, leaf, "leaf"), evidence=())) for leaf in original(tokens)]

    monkeypatch.setattr(bundles, "make_leaves", make)
    forge = Forge()
    forge.files()

    report = verified(
        tmp_path,
        lambda decision: replace(
            decision, observations=tuple(replace(one, evidence=()) for one in decision.observations)
        ),
        forge,
        read_again=reads,
    )

    assert failed(report) == ["evidence"]
    assert detail(report, "evidence") == "account 'eurw-0': source 'bank' names no document"


def test_verify_bundle__package_given__takes_its_leaves(tmp_path: Path) -> None:
    bundle = bundles.write(bundles.standard_files(), tmp_path / "bundle")
    package = FORGE.write_package(tmp_path / "package")

    report = verify_bundle(
        bundle, bundles.trust(), now=bundles.NOW, brought=Brought(evidence=package, read_again=reads)
    )

    assert (report.outcome("evidence"), report.outcome("leaves")) == ("pass", "pass")
    assert report.answers[1].detail == "by 3 accounts added up"


def test_evidence__no_leaves_anywhere__fails_and_says_what_to_name(tmp_path: Path) -> None:
    package = open_package(FORGE.write_package(tmp_path))

    report = judged(FILES, package=package)

    assert "there is no leaves.json to compare" in detail(report, "evidence")


def test_open_package__no_decision__is_a_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"decision\.json: there is no such file"):
        open_package(tmp_path)


@pytest.mark.parametrize("change", ["missing", "changed", "cut", "link", "folder"])
def test_evidence__document_that_is_not_there_as_named__fails(tmp_path: Path, change: str) -> None:
    package = open_package(FORGE.write_package(tmp_path / "package"))
    document = next((tmp_path / "package" / "evidence").iterdir())
    data = document.read_bytes()
    document.unlink()
    if change == "changed":
        document.write_bytes(data + b" ")
    elif change == "cut":
        document.write_bytes(b"")
    elif change == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        document.symlink_to(tmp_path / "elsewhere")
    elif change == "folder":
        document.mkdir()

    report = judged(FILES, package=package, leaves_file=package.leaves)

    assert failed(report) == ["evidence"]
    assert f"evidence/{document.name} is" in detail(report, "evidence")
    assert {token.state for token in report.tokens} == {"unproven"}


def observed(account: str, **fields: Any) -> Change:
    """A change of every observation of an account."""

    def change(decision: Decision) -> Decision:
        return replace(
            decision,
            observations=tuple(
                replace(one, **fields) if one.account == account else one for one in decision.observations
            ),
        )

    return change


def ruled(account: str, **fields: Any) -> Change:
    """A change of the rule of an account."""

    def change(decision: Decision) -> Decision:
        return replace(
            decision,
            policies=tuple(replace(one, **fields) if one.account == account else one for one in decision.policies),
        )

    return change


def without(account: str, source: str) -> Change:
    def change(decision: Decision) -> Decision:
        rest = [one for one in decision.observations if (one.account, one.source) != (account, source)]
        return replace(decision, observations=tuple(rest))

    return change


FAILURE = SourceFailure("usdw-0", "bank", "fetch-failed", "does not answer", "", "")
DIFFERENT: dict[str, tuple[Change, str]] = {
    "of another period": (lambda decision: replace(decision, period="2026-W46"), "decision.json is of 2026-W46"),
    "of another revision": (lambda decision: replace(decision, revision=1), "decision.json is of 2026-W47, revision 1"),
    "of another cutoff": (
        lambda decision: replace(decision, cutoff=decision.cutoff + timedelta(seconds=1)),
        "another cutoff",
    ),
    "a token withheld": (lambda decision: replace(decision, withheld=("USDW",)), "withholds other tokens"),
    "other balances": (observed("usdw-0", minor_units=1), "account 'usdw-0' was committed to with another balance"),
    "other times": (
        observed("usdw-0", as_of=bundles.CUTOFF - timedelta(hours=1)),
        "account 'usdw-0' was committed to with another time",
    ),
    "other evidence": (
        observed("usdw-1", evidence=("00" * 32,), contents=()),
        "account 'usdw-1' is refused by the rules",
    ),
    "a source missing": (without("usdw-0", "bank"), "account 'usdw-0' is refused by the rules: 1 of 2 sources"),
    "a source failed": (
        lambda decision: replace(without("usdw-0", "bank")(decision), failures=(FAILURE,)),
        "account 'usdw-0' is refused by the rules",
    ),
    "a source that no rule names": (
        lambda decision: replace(decision, failures=(replace(FAILURE, source="nobody"),)),
        "there is an observation of source nobody",
    ),
    "an overdraft": (observed("usdw-0", minor_units=-1), "the account is overdrawn"),
    "a held change": (
        lambda decision: replace(ruled("usdw-0", change_limit_bps=100)(decision), previous={"usdw-0": 1}),
        "account 'usdw-0' is held by the rules",
    ),
    "an account left out": (
        lambda decision: replace(
            decision,
            policies=tuple(one for one in decision.policies if one.account != "usdw-1"),
            observations=tuple(one for one in decision.observations if one.account != "usdw-1"),
        ),
        "account 'usdw-1' is committed to, but not decided",
    ),
    "two rules for an account": (
        lambda decision: replace(decision, policies=(*decision.policies, decision.policies[0])),
        "two rules for one account",
    ),
    "a weaker rule": (ruled("usdw-0", tolerance_abs=5), "USDW was decided by another rule"),
    "a balance of any age": (ruled("usdw-0", max_age_seconds=2**53 - 1), "USDW was decided by another rule"),
    "a balance of no age": (ruled("usdw-0", max_age_seconds=1 - 2**53), "account 'usdw-0' is refused by the rules"),
    "another custodian": (ruled("usdw-0", custodian="Second Bank"), "with another custodian"),
    "another ownership": (ruled("usdw-0", ownership="unproven"), "with another ownership"),
    "another kind": (ruled("usdw-0", balance_kind="custody-total"), "account 'usdw-0' is refused by the rules"),
    "another token": (ruled("usdw-0", token="EURW"), "with another token"),
    "a currency that nobody expects": (
        lambda decision: observed("usdw-0", currency="CHF")(ruled("usdw-0", currency="CHF")(decision)),
        "has an account in CHF",
    ),
    "a waiver": (ruled("usdw-0", waiver="single-custodian"), "agreed in another way than the statement counts"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_evidence__decision_that_gives_something_else__fails_and_says_what(tmp_path: Path, name: str) -> None:
    change, said = DIFFERENT[name]

    report = verified(tmp_path, change)

    assert failed(report) == ["evidence"]
    assert said in detail(report, "evidence")
    assert exit_code(report) == 6


def test_evidence__acknowledged_change__counts(tmp_path: Path) -> None:
    def change(decision: Decision) -> Decision:
        held = replace(ruled("usdw-0", change_limit_bps=100)(decision), previous={"usdw-0": 1})
        return replace(held, acknowledged=("usdw-0",))

    assert verified(tmp_path, change, read_again=reads).outcome("evidence") == "pass"


def test_evidence__token_withheld__its_accounts_decide_nothing(tmp_path: Path) -> None:
    eurw, usdw = Forge().tokens
    forge = Forge(tokens=(eurw, bundles.withheld_token(usdw)))
    forge.files()

    report = verified(tmp_path, forge=forge, read_again=reads)

    assert failed(report) == []
    assert "decided again: 1 accounts" in detail(report, "evidence")


def test_evidence__wording_of_amounts__needs_no_table_of_currencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "iso4217", None)

    report = verified(tmp_path, observed("usdw-0", minor_units=-100_000))

    assert "USD" in detail(report, "evidence")


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100])
def test_evidence__decision_that_is_no_document__fails(tmp_path: Path, data: bytes) -> None:
    folder = FORGE.write_package(tmp_path)
    (folder / "decision.json").write_bytes(data)
    package = open_package(folder)

    assert failed(judged(FILES, package=package, leaves_file=package.leaves)) == ["evidence"]
