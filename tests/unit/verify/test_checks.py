"""Every offline check: passes on the unchanged bundle, fails when its one thing is wrong, says when it is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.documents import CodeCount, DeploymentStatement, Predicate, Receipts, TokenStatement
from attest.errors import OperatorError
from attest.verify.report import exit_code
from attest.verify.trust import Trust
from attest.verify.verifier import CHECKS, verify_bundle
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged

NAMES = [
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
    "tokens",
    "policy",
    "coverage",
    "consensus",
    "receipts",
    "chain-proof",
    "chain-rpc",
    "leaves",
    "evidence",
    "freshness",
]


def usdw(**fields: Any) -> Callable[[Predicate], Predicate]:
    """A change of fields of the token USDW in the predicate; ``policy__min_sources`` reaches into a record."""

    def change(token: TokenStatement) -> TokenStatement:
        for name, value in fields.items():
            outer, _, inner = name.partition("__")
            token = replace(token, **{outer: replace(getattr(token, outer), **{inner: value}) if inner else value})
        return token

    return lambda predicate: replace(predicate, tokens=(predicate.tokens[0], change(predicate.tokens[1])))


def second_chain(predicate: Predicate) -> Predicate:
    (chain,) = predicate.chains
    supply, confirm = replace(chain.supply, chain_id=139), replace(chain.confirm, chain_id=139)
    return replace(predicate, chains=(chain, replace(chain, chain_id=139, supply=supply, confirm=confirm)))


def receipt(position: int, **fields: Any) -> Callable[[Receipts], Receipts]:
    def change(receipts: Receipts) -> Receipts:
        listed = list(receipts.receipts)
        listed[position] = replace(listed[position], **fields)
        return replace(receipts, receipts=tuple(listed))

    return change


def anchor(**fields: Any) -> Callable[[Receipts], Receipts]:
    return lambda receipts: replace(receipts, anchor=replace(receipts.anchor, **fields))


# -- the whole -------------------------------------------------------------------------------------------------------


def test_verify__valid_bundle__everything_passes_and_exit_is_0(tmp_path: Path) -> None:
    report = verify_bundle(bundles.write(bundles.standard_files(), tmp_path), bundles.trust(), now=bundles.NOW)

    assert [check.name for check in report.checks] == NAMES
    assert {check.name for check in report.checks if check.outcome == "skipped"} == {
        "consistency",
        "history",
        "timestamp",
        "chain-rpc",
        "leaves",
        "evidence",
    }
    assert failed(report) == []
    assert [answer.answer for answer in report.answers] == ["yes", "yes", "yes"]
    assert [(token.token, token.state) for token in report.tokens] == [("EURW", "sufficient"), ("USDW", "sufficient")]
    assert (report.unmet, report.notes) == ((), ())
    assert exit_code(report) == 0


def test_verify__every_check__asks_a_question() -> None:
    assert all(check.question.endswith("?") for check in CHECKS)


def test_verify__short_token__exit_4_and_nothing_failed() -> None:
    report = judged(Forge(tokens=(bundles.sufficient_token(supply=1_300_000_000_000),)), only("USDW"))

    assert failed(report) == []
    assert report.outcome("coverage") == "short"
    assert [answer.answer for answer in report.answers][:2] == ["yes", "no"]
    assert report.tokens[0].state == "short"
    assert exit_code(report) == 4


def test_verify__withheld_token__exit_4_and_says_so() -> None:
    first, second = Forge().tokens
    report = judged(Forge(tokens=(first, bundles.withheld_token(second))))

    assert report.outcome("coverage") == "withheld"
    assert [token.state for token in report.tokens] == ["sufficient", "withheld"]
    assert exit_code(report) == 4


def test_verify__short_and_withheld__short_comes_first() -> None:
    first, _ = Forge().tokens
    report = judged(Forge(tokens=(bundles.withheld_token(first), bundles.sufficient_token(supply=2 * 10**12))))

    assert report.outcome("coverage") == "short"
    assert "withheld: EURW" in detail(report, "coverage")


def test_verify__everything_withheld__is_authentic_and_exit_4() -> None:
    report = judged(Forge(tokens=tuple(map(bundles.withheld_token, Forge().tokens))))

    assert failed(report) == []
    assert detail(report, "consensus") == "nothing is attested, so nothing was reported"
    assert exit_code(report) == 4


def test_verify__short_but_something_failed__exit_6() -> None:
    forge = Forge(tokens=(bundles.sufficient_token(supply=1_300_000_000_000),), witnesses=())

    assert exit_code(judged(forge, only("USDW"))) == 6


@pytest.mark.parametrize("demand", ["chain", "leaves"])
def test_verify__demanded_check_skipped__exit_6(demand: Any) -> None:
    files = bundles.without_chain_proof(bundles.standard_files())
    report = judged(files, replace(bundles.trust(), demands=(demand,)), proofs=True)

    assert failed(report) == []
    assert report.unmet == (demand,)
    assert exit_code(report) == 6


def test_verify__witnesses_demanded_but_none_trusted__exit_6() -> None:
    trust = replace(bundles.trust(), witnesses=replace(bundles.trust().witnesses, threshold=0, vkeys=()))
    report = judged(Forge(), trust)

    assert report.outcome("witnesses") == "skipped"
    assert report.unmet == ("witnesses", "independent")
    assert exit_code(report) == 6


def only(*tokens: str) -> Trust:
    """The trust file, expecting these tokens only."""
    trust = bundles.trust()
    return replace(trust, tokens=tuple(token for token in trust.tokens if token.token in tokens))


# -- one thing wrong -------------------------------------------------------------------------------------------------

FAILS: dict[str, tuple[Forge, str, str]] = {
    "reserves of another digest": (
        Forge(alter_files=lambda files: files.update({"reserves.json": files["reserves.json"] + b" "})),
        "subject",
        "not the file that the statement is about",
    ),
    "reserves of another period": (
        Forge(alter_reserves=lambda reserves: replace(reserves, period="2026-W46")),
        "subject",
        "another period or revision",
    ),
    "reserves with another root": (
        Forge(alter_reserves=lambda reserves: replace(reserves, merkle=replace(reserves.merkle, root="00" * 32))),
        "subject",
        "another Merkle root",
    ),
    "reserves with another total": (
        Forge(
            alter_reserves=lambda reserves: replace(
                reserves, tokens=(reserves.tokens[0], replace(reserves.tokens[1], minor_units=1))
            )
        ),
        "subject",
        "another total for USDW",
    ),
    "reserves lacking a token": (
        Forge(alter_reserves=lambda reserves: replace(reserves, tokens=reserves.tokens[:1])),
        "subject",
        "other tokens",
    ),
    "another issuer": (
        Forge(alter_predicate=lambda predicate: replace(predicate, issuer="Another Ltd")),
        "period",
        "you expect 'Example Issuer Ltd'",
    ),
    "before the earliest period": (
        Forge(alter_predicate=lambda predicate: replace(predicate, period="2026-W30")),
        "period",
        "your earliest",
    ),
    "cutoff of another week": (
        Forge(alter_predicate=lambda predicate: replace(predicate, period="2026-W45")),
        "period",
        "is not in 2026-W45",
    ),
    "manifest of another revision": (
        Forge(alter_receipts=lambda receipts: replace(receipts, revision=1)),
        "period",
        "receipts.json is of another period or revision",
    ),
    "log entry is another": (Forge(log_index=0, log_size=1, log_key=bundles.note_key("other")), "log-inclusion", ""),
    "log of another name": (Forge(log_name="example.com/other"), "log-inclusion", "is of the log"),
    "witnesses unknown": (Forge(witnesses=("witness.example/three",)), "witnesses", "nobody"),
    "token missing": (Forge(tokens=Forge().tokens[:1]), "tokens", "USDW is expected"),
    "token unexpected": (
        Forge(tokens=(*Forge().tokens, bundles.sufficient_token("XXXW", address="0x" + "77" * 20))),
        "tokens",
        "XXXW is not in your trust file",
    ),
    "token of another currency": (
        Forge(tokens=(Forge().tokens[0], bundles.sufficient_token(currency="GBP"))),
        "tokens",
        "USDW: currency or decimals",
    ),
    "token of other decimals": (
        Forge(tokens=(Forge().tokens[0], bundles.sufficient_token(decimals=4, supply=1))),
        "tokens",
        "USDW: currency or decimals",
    ),
    "deployment elsewhere": (
        Forge(tokens=(Forge().tokens[0], bundles.sufficient_token(address="0x" + "77" * 20))),
        "tokens",
        "USDW: deployment 0x7777777777777777777777777777777777777777 on chain 138 is not expected",
    ),
    "deployment missing": (
        Forge(tokens=(Forge().tokens[0], bundles.sufficient_token(address="0x" + "f7" * 20))),
        "tokens",
        f"USDW: deployment {bundles.USDW} on chain 138 is missing",
    ),
    "deployment of other decimals": (
        Forge(
            alter_predicate=usdw(
                deployments=(DeploymentStatement(bundles.CHAIN, bundles.USDW, 7, 12 * 10**12, 12 * 10**12),)
            )
        ),
        "tokens",
        "has other decimals than expected",
    ),
    "chain unexpected": (Forge(alter_predicate=second_chain), "tokens", "chain 139 is not in your trust file"),
    "too few sources": (
        Forge(alter_predicate=usdw(policy__min_sources=1, agreement__fewest_sources=1)),
        "policy",
        "1 sources and 2 origins agreed",
    ),
    "too few origins": (Forge(alter_predicate=usdw(policy__min_origins=1)), "policy", "rule: 2 and 1"),
    "tolerance": (Forge(alter_predicate=usdw(policy__tolerance_abs=1)), "policy", "tolerance in minor units"),
    "relative tolerance": (Forge(alter_predicate=usdw(policy__tolerance_bps=1)), "policy", "basis points"),
    "balances too old": (Forge(alter_predicate=usdw(policy__max_age_seconds=400_000)), "policy", "age of a balance"),
    "dissent": (Forge(alter_predicate=usdw(policy__allow_dissent=1)), "policy", "dissenting sources"),
    "another oracle": (
        Forge(alter_predicate=usdw(consensus__oracle="0x" + "77" * 20)),
        "consensus",
        "the oracle is 0x7777",
    ),
    "quorum not met": (Forge(alter_predicate=usdw(consensus__quorum_met=False)), "consensus", "quorum is not met"),
    "quorum of one": (Forge(alter_predicate=usdw(consensus__required_quorum=1)), "consensus", "you ask for 2"),
    "no own report": (Forge(alter_predicate=usdw(reports=())), "consensus", "no report of the issuer's own"),
    "receipts of another statement": (
        Forge(alter_receipts=lambda receipts: replace(receipts, statement="00" * 32)),
        "receipts",
        "is of another statement",
    ),
    "another report transaction": (
        Forge(alter_receipts=receipt(0, transaction="00" * 32)),
        "receipts",
        "other report transactions",
    ),
    "report of another token": (
        Forge(alter_receipts=receipt(0, token="USDW")),
        "receipts",
        "other report transactions",
    ),
    "report to another contract": (Forge(alter_receipts=receipt(0, to=bundles.REGISTRY)), "receipts", "the oracle"),
    "anchor on another chain": (Forge(alter_receipts=anchor(chain_id=1)), "receipts", "another chain"),
    "anchor in another registry": (Forge(alter_receipts=anchor(registry=bundles.ORACLE)), "receipts", "registry"),
    "anchor by a stranger": (Forge(alter_receipts=anchor(publisher=bundles.ORACLE)), "receipts", "publisher"),
    "anchoring by a stranger": (Forge(alter_receipts=receipt(-1, sender=bundles.ORACLE)), "receipts", "anchoring"),
    "anchoring elsewhere": (Forge(alter_receipts=receipt(-1, to=bundles.ORACLE)), "receipts", "anchoring"),
    "anchoring on another chain": (Forge(alter_receipts=receipt(-1, chain_id=1)), "receipts", "anchoring"),
    "anchoring for a token": (Forge(alter_receipts=receipt(-1, token="USDW")), "receipts", "anchoring"),
    "anchoring after the anchor": (Forge(alter_receipts=receipt(-1, block_number=121)), "receipts", "anchoring"),
    "no anchoring": (
        Forge(alter_receipts=lambda receipts: replace(receipts, receipts=receipts.receipts[:-1])),
        "receipts",
        "anchoring",
    ),
    "anchored another statement": (Forge(alter_receipts=anchor(statement="00" * 32)), "receipts", "another statement"),
    "anchored another root": (Forge(alter_receipts=anchor(root="00" * 32)), "receipts", "another Merkle root"),
    "anchored another size": (Forge(alter_receipts=anchor(size=9)), "receipts", "another Merkle root or size"),
    "anchored another log root": (Forge(alter_receipts=anchor(log_root="00" * 32)), "receipts", "another log root"),
    "anchored another log size": (Forge(alter_receipts=anchor(log_size=9)), "receipts", "another log root"),
}


@pytest.mark.parametrize("name", FAILS)
def test_verify__one_thing_wrong__that_check_fails_and_exit_is_6(name: str) -> None:
    forge, check, message = FAILS[name]

    report = judged(forge)

    assert check in failed(report)
    assert message in detail(report, check)
    assert next(result for result in report.checks if result.name == check).advice
    assert exit_code(report) == 6
    assert {token.state for token in report.tokens} == {"unproven"}
    assert all(token.sentence.startswith("Not proven, only claimed: ") for token in report.tokens)
    assert report.answers[1].answer == "unknown"


def test_verify__receipts_unreadable__fails_and_nothing_is_sufficient() -> None:
    report = judged(Forge(alter_files=lambda files: files.update({"receipts.json": b"{}"})))

    assert report.outcome("receipts") == "skipped"
    assert exit_code(report) == 6
    assert {token.state for token in report.tokens} == {"unproven"}


# -- signatures ------------------------------------------------------------------------------------------------------


def test_signatures__strangers_signed_too__are_ignored_and_counted() -> None:
    report = judged(Forge(signers=(0, 1, 7)))

    assert report.outcome("signatures") == "pass"
    assert "1 by keys that you do not trust for this period, ignored" in detail(report, "signatures")


def test_signatures__one_of_two__fails() -> None:
    report = judged(Forge(signers=(1,)))

    assert failed(report) == ["signatures"]
    assert detail(report, "signatures") == "signed by attestor 1 (2 needed)"


def test_signatures__key_rotated_before_the_period__does_not_count() -> None:
    trust = bundles.trust()
    retired = replace(trust.attestors[0], valid_until="2026-W46")
    report = judged(Forge(manifest_signers=(1,)), replace(trust, attestors=(retired, *trust.attestors[1:])))

    assert failed(report) == ["signatures"]
    assert "signed by attestor 1 (2 needed; 1 by keys that you do not trust" in detail(report, "signatures")


def test_signatures__key_valid_later__does_not_count() -> None:
    trust = bundles.trust()
    future = replace(trust.attestors[0], valid_from="2026-W48")
    forge = Forge(manifest_signers=(1,))

    assert failed(judged(forge, replace(trust, attestors=(future, *trust.attestors[1:])))) == ["signatures"]


def test_signatures__one_key_in_two_entries__counts_once() -> None:
    trust = bundles.trust()
    again = replace(trust.attestors[0], name="again")
    report = judged(Forge(signers=(0,)), replace(trust, attestors=(*trust.attestors, again)))

    assert detail(report, "signatures") == "signed by attestor 0 (2 needed)"
    assert failed(report) == ["signatures"]


def test_signatures__revoked_statement__fails() -> None:
    first = judged(Forge())
    report = judged(Forge(), replace(bundles.trust(), revoked=(str(first.statement),)))

    assert failed(report) == ["signatures"]
    assert "revoked" in detail(report, "signatures")


# -- witnesses -------------------------------------------------------------------------------------------------------


def test_witnesses__one_line_is_false__fails() -> None:
    def swap(files: dict[str, bytes]) -> None:
        other = Forge(log_size=4, log_index=1).files()["attestation.tlog-proof"]
        lines = other.decode().splitlines()
        mine = files["attestation.tlog-proof"].decode().splitlines()
        files["attestation.tlog-proof"] = ("\n".join([*mine[:-1], lines[-1]]) + "\n").encode()

    report = judged(Forge(alter_files=swap))

    assert failed(report) == ["witnesses"]
    assert "false cosignature" in detail(report, "witnesses")


def test_witnesses__none_needed_and_none_there__skipped() -> None:
    trust = bundles.trust()
    none = replace(trust, witnesses=replace(trust.witnesses, threshold=0), demands=())
    report = judged(Forge(witnesses=()), none)

    assert report.outcome("witnesses") == "skipped"
    assert report.answers[2].answer == "no"
    assert exit_code(report) == 0


# -- policy ----------------------------------------------------------------------------------------------------------


def test_policy__waiver_that_is_allowed__passes_and_is_counted() -> None:
    waived = usdw(policy__min_sources=1, agreement__fewest_sources=1, agreement__waivers=(CodeCount("single-feed", 1),))
    trust = bundles.trust()
    allowed = replace(trust, policy=replace(trust.policy, waivers=("single-feed",)))

    report = judged(Forge(alter_predicate=waived), allowed)
    refused = judged(Forge(alter_predicate=waived))

    assert "1 account(s) under waivers that you allow" in detail(report, "policy")
    assert failed(refused) == ["policy"]
    assert "waiver 'single-feed', not allowed" in detail(refused, "policy")


def of_accounts(accounts: int, **agreement: Any) -> tuple[Forge, Trust]:
    """A bundle with so many accounts of USDW, some under waivers, and a reader who allows them."""
    changes = {f"agreement__{name}": value for name, value in agreement.items()}
    changed = usdw(policy__min_sources=1, policy__min_origins=1, agreement__fewest_origins=1, **changes)
    trust = bundles.trust()
    allowed = replace(trust, policy=replace(trust.policy, waivers=("single-feed", "single-custodian")))
    tokens = (Forge().tokens[0], bundles.sufficient_token(accounts=accounts))
    return Forge(tokens=tokens, alter_predicate=changed), allowed


ONE = (CodeCount("single-feed", 1),)
BOTH = (CodeCount("single-custodian", 20), CodeCount("single-feed", 29))


@pytest.mark.parametrize(
    ("counted", "waivers", "others"),
    [(51, ONE, 49), (98, ONE, 49), (50, BOTH, 1)],
)
def test_policy__counts_disprove_that_the_others_had_enough_sources__fails(
    counted: int, waivers: tuple[CodeCount, ...], others: int
) -> None:
    report = judged(*of_accounts(50, sources_counted=counted, fewest_sources=1, waivers=waivers))

    assert failed(report) == ["policy"]
    assert detail(report, "policy") == (
        f"USDW: {counted} sources were counted on 50 accounts, so not each of the {others} that are under no waiver "
        "can have the 2 that you ask for"
    )


@pytest.mark.parametrize(("counted", "waivers", "others"), [(99, ONE, 49), (51, BOTH, 1)])
def test_policy__counts_leave_room_for_enough_sources__passes_and_says_what_they_do_not_tell(
    counted: int, waivers: tuple[CodeCount, ...], others: int
) -> None:
    report = judged(*of_accounts(50, sources_counted=counted, fewest_sources=1, waivers=waivers))

    assert failed(report) == []
    assert detail(report, "policy") == (
        f"at least as strict as you ask for; {50 - others} account(s) under waivers that you allow (the counts do not "
        f"tell whether each of the {others} others had enough sources and origins)"
    )


def test_policy__every_account_under_a_waiver__leaves_nothing_untold() -> None:
    report = judged(*of_accounts(2, sources_counted=2, fewest_sources=1, waivers=(CodeCount("single-feed", 2),)))

    assert detail(report, "policy") == "at least as strict as you ask for; 2 account(s) under waivers that you allow"


# -- time ------------------------------------------------------------------------------------------------------------


def test_freshness__older_than_the_limit__is_stale_and_exit_6() -> None:
    report = judged(Forge(), now=bundles.CUTOFF + timedelta(days=8, seconds=1))

    assert failed(report) == ["freshness"]
    assert {token.state for token in report.tokens} == {"stale"}
    assert exit_code(report) == 6


def test_freshness__exactly_the_limit__passes() -> None:
    assert failed(judged(Forge(), now=bundles.CUTOFF + timedelta(days=8))) == []


def test_freshness__not_demanded__is_skipped_in_words() -> None:
    report = judged(Forge(), replace(bundles.trust(), maximum_age_seconds=None))

    assert report.outcome("freshness") == "skipped"
    assert exit_code(report) == 0


def test_period__cutoff_in_the_future__fails() -> None:
    report = judged(Forge(), now=bundles.CUTOFF - timedelta(seconds=1))

    assert failed(report) == ["period"]
    assert "in the future" in detail(report, "period")


def test_period__rehearsal__is_told_and_of_no_future_either() -> None:
    forge = Forge(alter_predicate=lambda predicate: replace(predicate, clock="pinned"))
    report = judged(forge)

    assert failed(judged(forge, now=bundles.CUTOFF - timedelta(days=2))) == ["period"]
    assert failed(report) == []
    assert "rehearsal" in detail(report, "period")
    assert any("rehearsal" in note for note in report.notes)


def test_period__local_cutoff_just_outside_the_week_in_utc__passes() -> None:
    later = bundles.CUTOFF + timedelta(hours=11)

    def shifted(predicate: Predicate) -> Predicate:
        chains = tuple(
            replace(chain, supply_gap_seconds=chain.supply_gap_seconds + 39_600) for chain in predicate.chains
        )
        return replace(predicate, cutoff=later, chains=chains)

    assert failed(judged(Forge(alter_predicate=shifted))) == []


def test_notes__abandoned_attempts_late_supply_and_disclosures__are_told() -> None:
    from attest.documents import Disclosure

    def noted(predicate: Predicate) -> Predicate:
        return replace(
            predicate,
            attempt=2,
            abandoned=bundles.abandoned("wrong statement loaded"),
            supply_at="run",
            disclosures=(Disclosure("dissent", "outvoted", "ab" * 32),),
        )

    report = judged(Forge(alter_predicate=noted))

    text = "\n".join(report.notes)
    assert "Attempt 1 of this period was abandoned: wrong statement loaded" in text
    assert "4 seconds before it on chain 138" in text
    assert "dissent outvoted" in text
    assert "attempt 2" in detail(report, "period")


# -- independence ----------------------------------------------------------------------------------------------------


def test_independent__no_witness_and_no_chain__is_no() -> None:
    trust = bundles.trust()
    alone = replace(trust, demands=(), witnesses=replace(trust.witnesses, threshold=0, vkeys=()))
    report = judged(Forge(), alone)

    assert report.answers[2].answer == "no"
    assert "no chain was checked" in report.answers[2].detail
    assert exit_code(report) == 0


def test_independent__chain_of_the_issuers_own__is_no() -> None:
    trust = bundles.trust()
    own = replace(
        trust,
        demands=(),
        witnesses=replace(trust.witnesses, threshold=0, vkeys=()),
        chains=(replace(trust.chains[0], independent=False),),
    )
    report = judged(Forge(), own, proofs=True)

    assert report.outcome("chain-proof") == "pass"
    assert report.answers[2].answer == "no"
    assert "not independent of the issuer" in report.answers[2].detail


def test_verify__no_such_folder__is_the_operators_fault(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        verify_bundle(tmp_path / "none", bundles.trust(), now=bundles.NOW)
