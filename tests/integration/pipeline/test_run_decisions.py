"""What people decide about a run, and what a run refuses: nothing freezes a failure, nothing lets one vanish."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from attest import devnet, pipeline, records
from attest.errors import ChainError, ConflictError, OperatorError, SourceError
from attest.steps.context import Choices
from tests.support.practice import Week

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover

TRUSTEE_USD = "atlantic-trustees-usd.csv"


def change(operator: Week, name: str, old: str, new: str) -> None:
    """Change what a statement file says."""
    path = operator.statement_file(name)
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} does not say {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def break_agreement(operator: Week) -> None:
    """The trustee says a cent more of usd-operating than the bank."""
    change(operator, TRUSTEE_USD, "84,613.07", "84,613.08")


def refusals(operator: Week) -> list[dict[str, str]]:
    return [json.loads(data) for key, data in operator.stored().items() if key.startswith("refusals/")]


# -- refusals --------------------------------------------------------------------------------------------------------


def test_collect__missing_statement__refuses_naming_it_and_reads_again_next_time(operator: Week) -> None:
    path = operator.statement_file(TRUSTEE_USD)
    kept = path.read_bytes()
    path.unlink()
    sent = operator.sent()
    with pytest.raises(SourceError, match="usd-operating") as refused:
        operator.run()
    assert refused.value.exit_code == 3
    assert operator.sent() == sent
    assert "runs/2026-W47/1/collection" not in operator.stored()
    assert [refusal["step"] for refusal in refusals(operator)] == ["collect"]

    path.write_bytes(kept)
    assert operator.run().exit_code == 0
    assert len(refusals(operator)) == 1  # kept, and in nobody's way


def test_decide__two_sources_disagree__refuses_and_freezes_what_was_said(operator: Week) -> None:
    break_agreement(operator)
    with pytest.raises(SourceError, match="usd-operating") as refused:
        operator.run()
    assert refused.value.exit_code == 3
    collection = operator.stored()["runs/2026-W47/1/collection"]
    assert "runs/2026-W47/1/verdict" not in operator.stored()

    with pytest.raises(SourceError):  # a corrected file is not read behind everybody's back
        operator.run()
    assert operator.stored()["runs/2026-W47/1/collection"] == collection


def test_abandon__disagreement__begins_a_new_attempt_that_the_statement_tells_of(operator: Week) -> None:
    path = operator.statement_file(TRUSTEE_USD)
    kept = path.read_bytes()
    break_agreement(operator)
    with pytest.raises(SourceError):
        operator.run()
    pipeline.abandon(operator.environment(), devnet.PERIOD, "the custodian corrected its export")
    path.write_bytes(kept)
    outcome = operator.run()
    assert (outcome.exit_code, outcome.attempt) == (0, 2)
    envelope = json.loads(operator.stored("public")["attestations/2026-W47/attestation.dsse.json"])
    import base64

    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    assert predicate["abandoned"] == [{"attempt": 1, "reason": "the custodian corrected its export"}]


def test_abandon__nothing_open__is_refused(operator: Week) -> None:
    with pytest.raises(OperatorError, match="no open attempt"):
        pipeline.abandon(operator.environment(), devnet.PERIOD, "no reason")


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "\x1b[31mred", "x" * 501])
def test_abandon__reason_that_cannot_be_published__is_refused(operator: Week, reason: str) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    with pytest.raises(OperatorError, match="--reason"):
        pipeline.abandon(operator.environment(), devnet.PERIOD, reason)


def test_abandon__after_reports_were_begun__is_refused(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
    with pytest.raises(ConflictError, match="cannot be abandoned") as refused:
        pipeline.abandon(operator.environment(), devnet.PERIOD, "too late")
    assert refused.value.exit_code == 7
    assert operator.run().exit_code == 0


def test_submit__attempt_abandoned_meanwhile__stops_before_sending(operator: Week) -> None:
    from attest.runs import RunArea
    from attest.steps import reports
    from attest.steps.context import Run

    environment = operator.environment()
    area = RunArea.current(environment.private, devnet.PERIOD)
    pipeline.run(environment, devnet.PERIOD, until="commit")
    pipeline.abandon(operator.environment(), devnet.PERIOD, "another operator gave it up")
    sent = operator.sent()
    with pytest.raises(ConflictError, match="abandoned while this run was under way"):
        reports.submit(Run(environment, area))
    assert operator.sent() == sent


# -- acknowledgement -------------------------------------------------------------------------------------------------


def pretend_last_week(operator: Week, account: str, minor_units: int) -> None:
    """An earlier published week in which ``account`` held another balance."""
    from attest.artifacts import Decided, Published
    from attest.model import AccountVerdict, Verdict

    store = operator.environment().private
    verdict = AccountVerdict(account, "USDW", "accepted", "agreed", "agreed", (), minor_units, None)
    decided = Decided("attest-run-verdict/1", {}, Verdict((verdict,)), (), ())
    store.create("runs/2026-W46/1/verdict", records.to_json(decided))
    published = Published("attest-run-publication/1", {}, "attestations/2026-W46", {})
    store.create("runs/2026-W46/1/publication", records.to_json(published))


def test_decide__change_beyond_the_limit__is_held_until_a_person_acknowledges_it(operator: Week) -> None:
    pretend_last_week(operator, "usd-operating", 100)
    with pytest.raises(SourceError, match="usd-operating") as held:
        operator.run()
    assert "--acknowledge usd-operating" in held.value.advice
    assert operator.run(Choices(acknowledge=("usd-operating",))).exit_code == 0
    acknowledged = [key for key in operator.stored() if "/acknowledged/usd-operating-" in key]
    assert len(acknowledged) == 1


def test_acknowledge__before_anybody_saw_the_number__does_not_count(operator: Week) -> None:
    pretend_last_week(operator, "usd-operating", 100)
    with pytest.raises(SourceError, match="usd-operating"):
        operator.run(Choices(acknowledge=("usd-operating",)))
    assert not [key for key in operator.stored() if "/acknowledged/" in key]


def test_acknowledge__another_verdict__does_not_carry_over(operator: Week) -> None:
    pretend_last_week(operator, "usd-operating", 100)
    with pytest.raises(SourceError):
        operator.run()
    pipeline.abandon(operator.environment(), devnet.PERIOD, "a corrected statement came")
    operator.restate(TRUSTEE_USD, "84613.07", "84613.00")
    operator.restate("first-harbor-bank.camt053.xml", "84613.07", "84613.00")
    with pytest.raises(SourceError, match="usd-operating"):  # attempt 2: shown anew, acknowledged anew
        operator.run(Choices(acknowledge=("usd-operating",)))


def test_acknowledge__account_that_is_not_held__is_refused(operator: Week) -> None:
    with pytest.raises(OperatorError, match="not held"):
        operator.run(Choices(acknowledge=("usd-operating",)))


@pytest.mark.parametrize(
    ("choices", "named"),
    [(Choices(acknowledge=("no-such",)), "no-such"), (Choices(withhold=("XYZW",)), "XYZW")],
)
def test_choices__unknown_name__is_refused(operator: Week, choices: Choices, named: str) -> None:
    with pytest.raises(OperatorError, match=named):
        operator.run(choices)


# -- withholding -----------------------------------------------------------------------------------------------------


def test_withhold__by_the_operator__goes_on_with_the_others_and_says_so(operator: Week) -> None:
    break_agreement(operator)
    outcome = operator.run(Choices(withhold=("USDW",)))
    assert outcome.exit_code == 3
    verdicts = {token.token: (token.verdict, token.withheld_code) for token in outcome.tokens}
    assert verdicts == {
        "EURW": ("sufficient", None),
        "GBPW": ("sufficient", None),
        "USDW": ("withheld", "operator"),
    }
    again = operator.run()
    assert (again.already_done, again.exit_code) == (True, 3)


def test_withhold__past_the_deadline__happens_by_itself(operator: Week) -> None:
    break_agreement(operator)
    late = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC) + timedelta(hours=48)
    with pytest.raises(SourceError):
        operator.run(now=lambda: late - timedelta(seconds=1))
    outcome = operator.run(now=lambda: late)
    assert {token.token: token.withheld_code for token in outcome.tokens}["USDW"] == "deadline"


def test_withhold__every_token__still_publishes_a_signed_statement(operator: Week) -> None:
    sent = operator.sent()
    outcome = operator.run(Choices(withhold=("USDW", "EURW", "GBPW")))
    assert outcome.exit_code == 3
    assert {token.verdict for token in outcome.tokens} == {"withheld"}
    *reporters, publisher = [count - sent[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([0, 0, 0], 1)


def test_withhold__after_the_decision__is_refused(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="decide")
    with pytest.raises(OperatorError, match="decided already"):
        operator.run(Choices(withhold=("USDW",)))


# -- shortfall -------------------------------------------------------------------------------------------------------


def test_run__reserve_below_supply__is_reported_truthfully_and_exits_4(operator: Week) -> None:
    operator.restate("thames-severn-main.camt053.xml", "102310.10", "99999.99")
    operator.restate("lantern-trustees-gbp.csv", "102310.10", "99999.99")
    outcome = operator.run()
    assert outcome.exit_code == 4
    assert {token.token: token.verdict for token in outcome.tokens}["GBPW"] == "short"
    assert outcome.folder is not None
    assert operator.run().exit_code == 4


# -- configuration ---------------------------------------------------------------------------------------------------


def test_run__configuration_changed_in_the_middle__stops(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    operator.edit_config(lambda text: text.replace("max_age_hours = 96", "max_age_hours = 95"))
    with pytest.raises(ConflictError, match="another configuration") as refused:
        operator.run()
    assert refused.value.exit_code == 7


def test_run__only_how_things_are_reached_changed__goes_on(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    operator.edit_config(lambda text: text.replace('endpoints = ["file:rpc.url"]', f'endpoints = ["{operator.url}/"]'))
    assert operator.run().exit_code == 0


# -- tampering -------------------------------------------------------------------------------------------------------


def tamper(operator: Week, key: str, old: bytes, new: bytes) -> None:
    path = operator.folder / "private" / key
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize("until", ["commit", "confirm"])
@pytest.mark.parametrize("artifact", ["open", "collection", "verdict", "commitment"])
def test_run__stored_artifact_changed__stops_before_sending_or_signing(
    operator: Week, until: str, artifact: str
) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until=until)
    sent = operator.sent()
    old, new = (b'"units":"1204113070000"', b'"units":"9204113070000"')
    if artifact != "commitment":
        old, new = (b'"2026-11-', b'"2026-10-')
    tamper(operator, f"runs/2026-W47/1/{artifact}", old, new)
    with pytest.raises(ConflictError) as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert operator.sent() == sent
    assert "runs/2026-W47/1/envelope" not in operator.stored()


def test_run__whole_chain_of_artifacts_rewritten__is_caught_by_the_evidence(operator: Week) -> None:
    """Write access to the private store is not enough: consistent lies still contradict the evidence bytes."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    root = operator.folder / "private/runs/2026-W47/1"
    (root / "verdict").unlink()
    (root / "commitment").unlink()
    collection = json.loads((root / "collection").read_bytes())
    for observation in collection["observations"]:
        if observation["account"] == "usd-operating":
            observation["minor_units"] = str(int(observation["minor_units"]) + 100_000)
    (root / "collection").write_bytes(records.dump_plain(collection))
    sent = operator.sent()
    with pytest.raises(ConflictError, match="usd-operating") as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert operator.sent() == sent


def test_run__dissenting_source_removed_from_the_collection__is_caught(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    root = operator.folder / "private/runs/2026-W47/1"
    (root / "verdict").unlink()
    (root / "commitment").unlink()
    collection = json.loads((root / "collection").read_bytes())
    observations = collection["observations"]
    dissenting = next(o for o in observations if (o["account"], o["source"]) == ("usd-custody", "custodian-portal"))
    observations.remove(dissenting)
    (root / "collection").write_bytes(records.dump_plain(collection))
    with pytest.raises(ConflictError, match="exactly once"):
        operator.run()


def test_run__evidence_replaced__is_caught(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    for path in (operator.folder / "private/evidence").iterdir():
        path.write_bytes(b"something else")
    with pytest.raises(ConflictError):
        operator.run()


def test_run__payload_replaced_before_signing__is_never_signed(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="confirm")
    (operator.folder / "private/runs/2026-W47/1/payload").write_bytes(b"{}")
    with pytest.raises(ConflictError, match="payload"):
        operator.run()
    assert not [key for key in operator.stored() if "/signatures/" in key]


# -- the chain and the witnesses -------------------------------------------------------------------------------------


def test_confirm__other_operators_missing__says_so_and_a_later_run_completes(operator: Week) -> None:
    only_one = re.compile(r"\[\[signing\.reporters\]\](?:\n(?!\[).*)*\n")
    text = operator.config_path.read_text()
    held = only_one.findall(text)
    assert len(held) == 3
    operator.edit_config(lambda text: text.replace(held[1], "").replace(held[2], ""))
    operator.edit_config(lambda text: text.replace('chain = "main"', 'quorum_deadline_seconds = 1\nchain = "main"', 1))
    with pytest.raises(ChainError, match="quorum is not met") as refused:
        operator.run(sleep=lambda seconds: None)
    assert refused.value.exit_code == 5
    assert "runs/2026-W47/1/confirmation" not in operator.stored()
    own, *others = re.findall(r"0x[0-9a-fA-F]{40}", "".join(held))
    assert all(address in refused.value.message for address in others)
    assert own not in refused.value.message


def test_log__witness_away__keeps_the_entry_and_asks_again_next_time(operator: Week) -> None:
    kept = (operator.folder / "witness.url").read_text()
    (operator.folder / "witness.url").write_text("http://127.0.0.1:9")
    with pytest.raises(ChainError, match="0 of 1 witnesses") as refused:
        operator.run(sleep=lambda seconds: None)
    assert refused.value.exit_code == 5
    (operator.folder / "witness.url").write_text(kept)
    assert operator.run().witnesses == 1
    assert len([key for key in operator.stored("public") if key.startswith("log/checkpoints/")]) == 1


def test_run__stored_supply_lowered_before_the_run_went_on__is_compared_with_the_chain(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    tamper(operator, "runs/2026-W47/1/open", b'"units":"1200000000000"', b'"units":"1100000000000"')
    with pytest.raises(ConflictError, match="1100000000000 are stored") as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert "runs/2026-W47/1/envelope" not in operator.stored()
