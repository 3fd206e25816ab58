"""The weekly run from files to a published attestation, on a real chain."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from attest import devnet, pipeline, records
from attest.chain.devnet import advance_to
from attest.documents import Feed, Receipts
from attest.errors import OperatorError, VerificationError
from attest.period import Period
from attest.runs import RunArea
from attest.steps.context import Choices
from attest.verify.report import exit_code
from attest.verify.trust import load_trust, read_trust
from attest.verify.verifier import verify_bundle
from tests.support.practice import Narration, Week

STEPS = [step.name for step in pipeline.STEPS]


def test_run__everything_agrees__attests_reports_anchors_and_publishes(operator: Week) -> None:
    narration = Narration()
    before = operator.sent()
    outcome = pipeline.run(operator.environment(narration), devnet.PERIOD)

    assert outcome.exit_code == 0
    assert not outcome.already_done
    assert narration.steps == [(name, False) for name in STEPS]
    assert [token.token for token in outcome.tokens] == ["EURW", "GBPW", "USDW"]
    assert all(token.verdict == "sufficient" for token in outcome.tokens)
    assert outcome.witnesses == 1
    *reporters, publisher = [count - before[address] for address, count in operator.sent().items()]
    assert reporters == [3, 3, 3]  # one report per token and reporter
    assert publisher == 1


def test_run__finished_period__sends_and_changes_nothing(operator: Week) -> None:
    operator.run()
    sent, private, public = operator.sent(), operator.stored(), operator.stored("public")
    outcome = operator.run()
    assert outcome.already_done
    assert outcome.exit_code == 0
    assert (operator.sent(), operator.stored(), operator.stored("public")) == (sent, private, public)


def test_run__published_bundle__verifies_with_the_trust_file_alone(operator: Week) -> None:
    outcome = operator.run()
    bundle = operator.folder / "public" / str(outcome.folder)
    trust = load_trust(operator.folder / "trust.json", bundle)
    report = verify_bundle(bundle, trust, now=datetime(2026, 11, 23, tzinfo=UTC))
    assert exit_code(report) == 0, [check for check in report.checks if check.outcome == "fail"]


def test_run__published_trust_example__is_what_the_network_was_made_with_and_judges_nothing(operator: Week) -> None:
    outcome = operator.run()
    bundle = operator.folder / "public" / str(outcome.folder)
    example = operator.folder / "public/trust.example.json"
    assert read_trust(example.read_bytes()) == load_trust(operator.folder / "trust.json", bundle)
    with pytest.raises(VerificationError, match="lies inside what it should judge"):
        load_trust(example, bundle)


def test_run__published_receipts__are_the_transactions_on_chain(operator: Week) -> None:
    outcome = operator.run()
    data = (operator.folder / "public" / str(outcome.folder) / "receipts.json").read_bytes()
    receipts = records.from_json(Receipts, data, "receipts.json")
    assert len(receipts.receipts) == 10
    for receipt in receipts.receipts:
        mined = operator.rpc("eth_getTransactionReceipt", "0x" + receipt.transaction)
        assert mined["status"] == "0x1"
        assert mined["blockHash"] == "0x" + receipt.block
        assert mined["from"].lower() == receipt.sender.lower()
        assert mined["to"].lower() == receipt.to.lower()


def test_run__public_store__holds_no_private_value(operator: Week) -> None:
    """attacks.md 22: account ids, custodians, account numbers, sources, salts and evidence digests stay private."""
    operator.run()
    loaded = operator.environment().config
    private = set()
    for name, account in loaded.accounts.items():
        private |= {name, account.custodian, account.external_account}
        private |= {source.origin for source in account.sources}
        private |= {source.id for source in account.sources}
    for key, data in operator.stored().items():
        if key.endswith("/commitment"):
            import base64

            for leaf in json.loads(data)["leaves"]:
                opened = json.loads(base64.b64decode(leaf))
                private |= {opened["salt"], *opened["evidence"], leaf}
        if key.endswith("/open"):
            private |= {json.loads(data)["configuration_salt"]}
    assert len(private) > 30
    for key, data in operator.stored("public").items():
        for value in private:
            assert value.encode() not in data, f"{key} holds {value}"


def test_run__feed__tells_what_the_statement_says(operator: Week) -> None:
    outcome = operator.run()
    feed = records.from_json(Feed, (operator.folder / "public/feed.json").read_bytes(), "feed.json")
    (period,) = feed.periods
    assert (period.period, period.clock, period.witnesses) == ("2026-W47", "pinned", (devnet.WITNESS_NAME,))
    assert [token.reserve for token in period.tokens] == ["845900.55", "402310.10", "1204113.07"]
    assert [token.verdict for token in period.tokens] == [token.verdict for token in outcome.tokens]
    page = re.sub(r"<[^>]*>|\s+", " ", (operator.folder / "public/index.html").read_text())
    page = re.sub(r"\s+", " ", page)
    assert "1,204,113.07 USD held against 1,200,000 USDW issued" in page


def test_run__future_period__is_refused_before_anything_is_stored(operator: Week) -> None:
    with pytest.raises(OperatorError, match="2026-W48 is in the future") as refused:
        pipeline.run(operator.environment(), Period(2026, 48))
    assert refused.value.exit_code == 2
    assert operator.stored() == {}


def test_run__dry_run__plans_everything_and_leaves_the_stores_untouched(operator: Week) -> None:
    from attest.config import load
    from attest.environment import build

    before = operator.sent()
    rehearsal = build(load(operator.config_path), Narration(), rehearsal=True)
    outcome = pipeline.rehearse(rehearsal, devnet.PERIOD)
    assert len(outcome.simulations) == 10
    assert {simulation.outcome for simulation in outcome.simulations} == {"would-land"}
    assert operator.stored() == {}
    assert operator.stored("public") == {}
    assert operator.sent() == before


def test_open__then_run__goes_on_from_the_supply_that_was_fixed(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    opened = operator.stored()["runs/2026-W47/1/open"]
    narration = Narration()
    pipeline.run(operator.environment(narration), devnet.PERIOD)
    assert narration.steps[0] == ("open", True)
    assert operator.stored()["runs/2026-W47/1/open"] == opened


def test_report__done_and_young__sends_nothing_more(operator: Week) -> None:
    outcome = pipeline.report(operator.environment(), devnet.PERIOD)
    assert (outcome.exit_code, outcome.folder) == (0, None)
    assert [token.verdict for token in outcome.tokens] == ["sufficient"] * 3
    sent = operator.sent()
    assert pipeline.report(operator.environment(), devnet.PERIOD).already_done
    assert operator.sent() == sent
    assert "runs/2026-W47/1/envelope" not in operator.stored()


def test_report__standing_reports_past_half_their_validity__reports_the_same_again(operator: Week) -> None:
    pipeline.report(operator.environment(), devnet.PERIOD)
    sent = operator.sent()
    advance_to(operator.url, int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()))
    outcome = pipeline.report(operator.environment(), devnet.PERIOD)
    assert not outcome.already_done
    *reporters, _ = [count - sent[address] for address, count in operator.sent().items()]
    assert reporters == [3, 3, 3]
    assert pipeline.report(operator.environment(), devnet.PERIOD).already_done


def test_prove__every_account__has_a_proof_against_the_signed_root(operator: Week) -> None:
    from attest.merkle.proof import InclusionProof, verify_inclusion_proof

    operator.run()
    stored = operator.stored()
    proofs = [data for key, data in stored.items() if key.startswith("proofs/2026-W47/")]
    assert len(proofs) == 7
    reserves = json.loads(operator.stored("public")["attestations/2026-W47/reserves.json"])
    for data in proofs:
        proof = records.from_json(InclusionProof, data, "proof")
        verify_inclusion_proof(proof, bytes.fromhex(reserves["merkle"]["root"]), reserves["merkle"]["size"])


def test_run__late_choice_on_a_published_period__is_refused(operator: Week) -> None:
    operator.run()
    with pytest.raises(OperatorError, match="already published"):
        operator.run(Choices(withhold=("USDW",)))
    assert RunArea.current(operator.environment().private, devnet.PERIOD).attempt == 1
