"""What replaces a published attestation, withdraws it, or stands where there is none; on a real chain."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attest import devnet, pipeline, records
from attest.chain.rpc import ChainClient
from attest.documents import MANIFEST_PAYLOAD_TYPE, Feed, Manifest, Predicate
from attest.errors import AttestError, ChainError, ConflictError, OperatorError, SourceError
from attest.model import Block
from attest.period import Period
from attest.runs import RunArea
from attest.signing import dsse
from attest.statement import read
from attest.steps import orders
from attest.steps.context import NO_CHOICES, Choices
from attest.steps.orders import standing
from attest.verify.report import exit_code
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.support.practice import Week

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover

REASON = "a custodian corrected its statement"
FIRST, SECOND = "attestations/2026-W47", "attestations/2026-W47.1"
CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
PAST_DEADLINE = CUTOFF + timedelta(hours=48)
USD_FILES = ("atlantic-trustees-usd.csv", "first-harbor-bank.camt053.xml")


def correct(operator: Week) -> None:
    """Both custodians of usd-operating say a hundred dollars more than in the first run."""
    for name in USD_FILES:
        operator.restate(name, "84613.07", "84713.07")


def revise(operator: Week, reason: str = REASON, choices: Choices = NO_CHOICES, **replaced: Any) -> pipeline.Outcome:
    environment = operator.environment(**replaced)
    orders.revise(environment, devnet.PERIOD, reason)
    return pipeline.run(environment, devnet.PERIOD, choices)


def revoke(operator: Week, reason: str = REASON, **replaced: Any) -> pipeline.Outcome:
    environment = operator.environment(**replaced)
    orders.revoke(environment, devnet.PERIOD, reason)
    return pipeline.run(environment, devnet.PERIOD)


def withhold(operator: Week, reason: str = REASON, **replaced: Any) -> pipeline.Outcome:
    environment = operator.environment(**{"now": lambda: PAST_DEADLINE} | replaced)
    orders.withhold(environment, devnet.PERIOD, reason)
    return pipeline.run(environment, devnet.PERIOD)


def predicate(operator: Week, folder: str) -> Predicate:
    return read(payload(operator, folder)).predicate


def payload(operator: Week, folder: str) -> bytes:
    return dsse.parse_envelope(operator.stored("public")[f"{folder}/attestation.dsse.json"]).body


def assert_verifies(operator: Week, folder: str, code: int = 0) -> None:
    bundle = operator.folder / "public" / folder
    report = verify_bundle(bundle, load_trust(operator.folder / "trust.json", bundle), now=CUTOFF + timedelta(days=1))
    assert exit_code(report) == code, [check for check in report.checks if check.outcome == "fail"]


def assert_replaced(operator: Week, folder: str, by: str) -> None:
    """Authentic still, and in force no more."""
    bundle = operator.folder / "public" / folder
    report = verify_bundle(bundle, load_trust(operator.folder / "trust.json", bundle), now=CUTOFF + timedelta(days=1))
    assert [(check.name, check.detail) for check in report.checks if check.outcome == "fail"] == [("history", by)]
    assert report.answers[0].answer == "yes"


def feed(operator: Week) -> Feed:
    return records.from_json(Feed, operator.stored("public")["feed.json"], "feed.json")


def log_size(operator: Week) -> int:
    return max(int(key.rsplit("/", 1)[1]) for key in operator.stored("public") if key.startswith("log/checkpoints/"))


def later_week_was_reported(operator: Week) -> None:
    """As another run of the week after leaves it once its reports are begun."""
    fate = {"format": "attest-run-fate/1", "fate": "submitting", "at": "2026-11-30T06:00:00Z", "reason": "begun"}
    operator.environment().private.create("runs/2026-W48/1/fate", records.dump_plain(fate))


def week_after() -> datetime:
    return datetime(2026, 11, 30, 7, tzinfo=UTC)


# -- revise ----------------------------------------------------------------------------------------------------------


def test_revise__corrected_file__publishes_a_second_attestation_beside_the_first(operator: Week) -> None:
    operator.run()
    before, sent = operator.stored("public"), operator.sent()
    correct(operator)

    outcome = revise(operator)

    assert (outcome.revision, outcome.attempt, outcome.exit_code, outcome.folder) == (1, 1, 0, SECOND)
    *reporters, publisher = [count - sent[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([3, 3, 3], 1)
    after = operator.stored("public")
    for key, data in before.items():
        if key.startswith("attestations/"):
            assert after[key] == data, f"{key} was changed"
    old, new = predicate(operator, FIRST), predicate(operator, SECOND)
    assert new.supersedes is not None
    assert new.supersedes.statement == records.digest(payload(operator, FIRST))
    assert (new.supersedes.kind, new.supersedes.reason) == ("revision", REASON)
    assert (new.revision, new.period, new.cutoff) == (1, old.period, old.cutoff)
    assert [chain.supply for chain in new.chains] == [chain.supply for chain in old.chains]
    assert new.chains[0].confirm.number > old.chains[0].confirm.number
    reserves = {token.token: token.reserve_minor_units for token in new.tokens}
    assert (reserves["USDW"], old.tokens[2].reserve_minor_units) == (120_421_307, 120_411_307)
    assert log_size(operator) == 2
    assert_replaced(operator, FIRST, f"replaced by revision 1: {REASON}")
    assert_verifies(operator, SECOND)
    entry = json.loads(after[f"{SECOND}/receipts.json"])["anchor"]
    assert entry["statement"] == records.digest(payload(operator, SECOND))


def test_revise__done__the_same_command_and_the_run_change_nothing(operator: Week) -> None:
    operator.run()
    revise(operator)
    state = (operator.sent(), operator.stored(), operator.stored("public"))
    assert revise(operator).already_done
    again = operator.run()
    assert (again.already_done, again.revision) == (True, 1)
    assert (operator.sent(), operator.stored(), operator.stored("public")) == state


def test_revise__twice__each_replaces_the_one_before(operator: Week) -> None:
    operator.run()
    revise(operator)
    correct(operator)
    outcome = revise(operator, "and once more")
    assert (outcome.revision, outcome.folder) == (2, "attestations/2026-W47.2")
    third = predicate(operator, "attestations/2026-W47.2")
    assert third.supersedes is not None
    assert third.supersedes.statement == records.digest(payload(operator, SECOND))
    for folder in (FIRST, SECOND):
        assert_replaced(operator, folder, "replaced by revision 2: and once more")
    assert_verifies(operator, "attestations/2026-W47.2")
    periods = feed(operator).periods
    assert [(period.period, period.revision) for period in periods] == [("2026-W47", n) for n in (2, 1, 0)]
    assert [period.supersedes and period.supersedes.reason for period in periods] == ["and once more", REASON, None]


def test_revise__source_disagrees__is_refused_then_abandoned_then_done(operator: Week) -> None:
    """Attempts work in a revision as they do in a first run, and no refusal of the first run is shown for it."""
    operator.run()
    operator.restate(USD_FILES[0], "84613.07", "84613.08")
    with pytest.raises(SourceError, match="usd-operating") as refused:
        revise(operator)
    assert "--period 2026-W47" in refused.value.advice
    assert [key for key in operator.stored() if key.startswith("refusals/2026-W47.1/")]
    area = pipeline.abandon(operator.environment(), devnet.PERIOD, "the export was corrected again")
    assert (area.name, area.attempt) == ("2026-W47.1", 1)
    operator.restate(USD_FILES[0], "84613.08", "84613.07")
    outcome = operator.run()  # goes on with the open revision
    assert (outcome.revision, outcome.attempt, outcome.exit_code) == (1, 2, 0)
    stated = predicate(operator, SECOND)
    assert [attempt.reason for attempt in stated.abandoned] == ["the export was corrected again"]
    assert stated.supersedes is not None
    assert stated.supersedes.reason == REASON


def test_revise__long_after_the_deadline__waits_for_a_missing_file_instead_of_withholding(operator: Week) -> None:
    operator.run()
    path = operator.statement_file("nordlicht-bank.camt053.xml")
    path.rename(path.with_suffix(".away"))
    late = CUTOFF + timedelta(days=5)
    with pytest.raises(SourceError, match="eur-main"):
        revise(operator, now=lambda: late)
    assert not [key for key in operator.stored() if "/withheld/" in key]
    outcome = operator.run(now=lambda: late + timedelta(hours=48))
    assert {token.token: token.withheld_code for token in outcome.tokens}["EURW"] == "deadline"


def test_revise__change_is_held__is_acknowledged_as_in_a_first_run(operator: Week) -> None:
    from tests.integration.pipeline.test_run_decisions import pretend_last_week

    operator.run()
    pretend_last_week(operator, "usd-operating", 100)
    with pytest.raises(SourceError, match="usd-operating"):
        revise(operator)
    assert revise(operator, choices=Choices(acknowledge=("usd-operating",))).exit_code == 0


def test_revise__under_another_configuration_and_schedule__keeps_cutoff_and_supply(operator: Week) -> None:
    operator.run()
    operator.edit_config(lambda text: text.replace('weekday = "sunday"', 'weekday = "saturday"'))
    operator.edit_config(lambda text: text.replace('supply_at = "cutoff"', 'supply_at = "run"'))
    assert revise(operator).exit_code == 0
    old, new = predicate(operator, FIRST), predicate(operator, SECOND)
    assert (new.cutoff, new.supply_at, new.chains[0].supply) == (old.cutoff, old.supply_at, old.chains[0].supply)
    assert new.configuration != old.configuration


def test_revise__dry_run__plans_the_revision_and_stores_nothing(operator: Week) -> None:
    from attest.config import load
    from attest.environment import build
    from tests.support.practice import Narration

    operator.run()
    state = (operator.sent(), operator.stored(), operator.stored("public"))
    rehearsal = build(load(operator.config_path), Narration(), rehearsal=True)
    orders.revise(rehearsal, devnet.PERIOD, REASON)
    outcome = pipeline.rehearse(rehearsal, devnet.PERIOD)
    assert [each.outcome for each in outcome.simulations] == ["would-land"] * 10
    assert "revision 1" in outcome.simulations[-1].intent.description
    assert (operator.sent(), operator.stored(), operator.stored("public")) == state


def test_report__of_a_revised_period__renews_the_newest_reserves(operator: Week) -> None:
    from attest.chain.devnet import advance_to

    operator.run()
    correct(operator)
    revise(operator)
    advance_to(operator.url, int((CUTOFF + timedelta(days=5)).timestamp()))
    sent = operator.sent()
    assert not pipeline.report(operator.environment(), devnet.PERIOD).already_done
    assert [count - sent[address] for address, count in operator.sent().items()] == [3, 3, 3, 0]
    assert [key for key in operator.stored() if key.startswith("runs/2026-W47.1/1/refresh/")]


@pytest.mark.parametrize("order", [orders.revise, orders.revoke])
def test_order__nothing_published__is_refused_before_anything_is_recorded(
    operator: Week, order: Callable[..., None]
) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    before = operator.stored()
    with pytest.raises(OperatorError, match="nothing is published yet") as refused:
        order(operator.environment(), devnet.PERIOD, REASON)
    assert "attest run --period 2026-W47" in refused.value.advice
    assert operator.stored() == before


def test_revise__another_revision_under_way__says_which_and_how_to_go_on(operator: Week) -> None:
    operator.run()
    orders.revise(operator.environment(), devnet.PERIOD, REASON)
    before = operator.stored()
    with pytest.raises(OperatorError, match=REASON) as refused:
        orders.revise(operator.environment(), devnet.PERIOD, "something else")
    assert refused.value.code == "order-under-way"
    assert "attest run --period 2026-W47" in refused.value.advice
    assert operator.stored() == before


@pytest.mark.parametrize("reason", ["", "two\nlines", "First Harbor Bank, N.A. corrected it", "40 1288 7731 was wrong"])
@pytest.mark.parametrize("order", [orders.revise, orders.revoke, orders.withhold])
def test_order__reason_that_cannot_be_public__is_refused(
    operator: Week, order: Callable[..., None], reason: str
) -> None:
    operator.run()
    before = operator.stored()
    with pytest.raises(OperatorError, match="--reason"):
        order(operator.environment(), devnet.PERIOD, reason)
    assert operator.stored() == before


def test_revise__later_period_was_reported__is_refused_before_anything_is_recorded(operator: Week) -> None:
    operator.run()
    later_week_was_reported(operator)
    before = operator.stored()
    with pytest.raises(ConflictError, match="2026-W48") as refused:
        revise(operator, now=week_after)
    assert "attest revoke" in refused.value.advice
    assert operator.stored() == before


# -- revoke ----------------------------------------------------------------------------------------------------------


def test_revoke__published_attestation__is_withdrawn_without_asking_or_reporting(operator: Week) -> None:
    operator.run()
    for name in USD_FILES:  # no source is asked
        operator.statement_file(name).unlink()
    sent = operator.sent()
    outcome = revoke(operator)
    assert (outcome.revision, outcome.folder) == (1, SECOND)
    *reporters, publisher = [count - sent[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([0, 0, 0], 1)
    old, new = predicate(operator, FIRST), predicate(operator, SECOND)
    assert {(token.verdict, token.withheld_code) for token in new.tokens} == {("withheld", "revoked")}
    assert new.supersedes is not None
    assert (new.supersedes.kind, new.supersedes.reason) == ("revocation", REASON)
    assert (new.merkle.size, new.disclosures) == (0, ())
    assert new.chains[0].supply == old.chains[0].supply
    assert_verifies(operator, SECOND, code=4)
    assert operator.run().exit_code == 3  # for whoever asks whether the week is in order


def test_revoke__later_period_was_reported__is_done_all_the_same(operator: Week) -> None:
    operator.run()
    later_week_was_reported(operator)
    assert revoke(operator, now=week_after).folder == SECOND


def test_revoke__revision_under_way__becomes_the_revocation(operator: Week) -> None:
    """Or a revision that can no longer be reported would be under way for ever."""
    operator.run()
    operator.restate(USD_FILES[0], "84613.07", "84613.08")
    with pytest.raises(SourceError):
        revise(operator, "an error was found")
    outcome = revoke(operator, "it cannot be corrected")
    assert (outcome.revision, outcome.attempt, outcome.folder) == (1, 2, SECOND)
    stated = predicate(operator, SECOND)
    assert stated.supersedes is not None
    assert (stated.supersedes.kind, stated.supersedes.reason) == ("revocation", "it cannot be corrected")
    assert {token.withheld_code for token in stated.tokens} == {"revoked"}


def test_revoke__revoked_already__is_refused_and_can_still_be_revised(operator: Week) -> None:
    operator.run()
    revoke(operator)
    with pytest.raises(OperatorError, match="states no reserve") as refused:
        revoke(operator, "another reason")
    assert "attest revise" in refused.value.advice
    assert revoke(operator).already_done
    outcome = revise(operator, "the balances were right after all")
    assert (outcome.revision, outcome.exit_code) == (2, 0)


def test_revoke__feed_and_page__say_so(operator: Week) -> None:
    operator.run()
    revoke(operator)
    newest, first = feed(operator).periods
    assert newest.supersedes is not None
    assert (newest.supersedes.kind, newest.supersedes.reason, first.supersedes) == ("revocation", REASON, None)
    page = operator.stored("public")["index.html"].decode()
    assert f"revoked: {REASON}" in page
    assert "1,204,113.07 USD held" not in page


def test_revoke__trust_example__stays_the_one_of_the_last_reports(operator: Week) -> None:
    operator.run()
    before = operator.stored("public")["trust.example.json"]
    revoke(operator)
    assert operator.stored("public")["trust.example.json"] == before


# -- missed ----------------------------------------------------------------------------------------------------------


def test_withhold__nobody_ran_it__publishes_a_statement_that_says_missed_and_why(operator: Week) -> None:
    sent = operator.sent()
    outcome = withhold(operator)
    assert (outcome.revision, outcome.attempt, outcome.folder) == (0, 2, FIRST)
    stated = predicate(operator, FIRST)
    assert {(token.verdict, token.withheld_code) for token in stated.tokens} == {("withheld", "missed")}
    assert [attempt.reason for attempt in stated.abandoned] == [REASON]
    assert (stated.supply_at, stated.supersedes, stated.merkle.size) == ("cutoff", None, 0)
    *reporters, publisher = [count - sent[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([0, 0, 0], 1)
    assert_verifies(operator, FIRST, code=4)
    assert withhold(operator).already_done


def test_withhold__half_done_attempt__is_given_up_for_the_same_reason(operator: Week) -> None:
    operator.restate(USD_FILES[0], "84613.07", "84613.08")
    with pytest.raises(SourceError):
        operator.run()
    outcome = withhold(operator)
    assert outcome.attempt == 2
    assert [attempt.reason for attempt in predicate(operator, FIRST).abandoned] == [REASON]


def test_withhold__reports_were_begun__must_be_finished_instead(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
    with pytest.raises(ConflictError, match="cannot be abandoned") as refused:
        withhold(operator)
    assert "attest run --period 2026-W47" in refused.value.advice


def test_withhold__before_the_deadline__is_refused(operator: Week) -> None:
    with pytest.raises(OperatorError, match="can still be attested") as refused:
        withhold(operator, now=lambda: PAST_DEADLINE - timedelta(seconds=1))
    assert refused.value.code == "before-deadline"
    assert operator.stored() == {}


def test_withhold__future_period__is_refused(operator: Week) -> None:
    with pytest.raises(OperatorError, match="future"):
        orders.withhold(operator.environment(), Period(2026, 48), REASON)


def test_withhold__chain_had_not_begun__records_nothing(operator: Week) -> None:
    with pytest.raises(ChainError):
        orders.withhold(operator.environment(now=lambda: PAST_DEADLINE), Period(2026, 46), REASON)
    assert operator.stored() == {}


def test_withhold__before_the_first_published__is_refused_and_names_the_first(operator: Week) -> None:
    operator.run()
    before = operator.stored()
    with pytest.raises(OperatorError, match="2026-W47, the first that was published") as refused:
        orders.withhold(operator.environment(now=lambda: PAST_DEADLINE), Period(2026, 46), REASON)
    assert refused.value.code == "before-first"
    assert operator.stored() == before


@pytest.mark.parametrize("order", [orders.revise, orders.revoke])
def test_order__supply_must_be_read_and_cannot__records_nothing(
    operator: Week, monkeypatch: pytest.MonkeyPatch, order: Callable[..., None]
) -> None:
    def down(self: ChainClient, timestamp: int, finality: str) -> Block:
        raise ChainError("no answer", code="endpoints-down", reason="down", advice="none")

    operator.run()
    before = operator.stored()
    monkeypatch.setattr(ChainClient, "block_at", down)
    monkeypatch.setattr("attest.steps.revisions.keeps_supply", lambda opened, config: False)
    with pytest.raises(ChainError, match="no answer"):
        order(operator.environment(), devnet.PERIOD, REASON)
    assert operator.stored() == before


def test_withhold__published__is_refused_with_what_to_do_instead(operator: Week) -> None:
    operator.run()
    with pytest.raises(OperatorError, match="published already") as refused:
        withhold(operator)
    assert "attest revise" in refused.value.advice
    assert "attest revoke" in refused.value.advice


def test_withhold__under_way_for_another_reason__is_refused(operator: Week) -> None:
    orders.withhold(operator.environment(now=lambda: PAST_DEADLINE), devnet.PERIOD, REASON)
    with pytest.raises(OperatorError, match=REASON):
        withhold(operator, "something else")
    assert operator.run(now=lambda: PAST_DEADLINE).folder == FIRST


def test_withhold__attested_after_all__the_order_can_be_abandoned(operator: Week) -> None:
    orders.withhold(operator.environment(now=lambda: PAST_DEADLINE), devnet.PERIOD, REASON)
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    pipeline.abandon(operator.environment(), devnet.PERIOD, "the statements came")
    outcome = operator.run()
    assert (outcome.attempt, outcome.exit_code) == (3, 0)


@pytest.mark.parametrize("code", ["state-unavailable", "empty-answer", "no-code"])
def test_withhold__supply_at_the_cutoff_was_pruned__is_read_at_the_run_and_says_so(
    operator: Week, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    from attest.chain.devnet import advance_to

    def pruned(self: ChainClient, timestamp: int, finality: str) -> Block:
        raise ChainError("gone", code=code, reason="pruned", advice="none")

    advance_to(operator.url, int(PAST_DEADLINE.timestamp()))
    monkeypatch.setattr(ChainClient, "block_at", pruned)
    withhold(operator)
    stated = predicate(operator, FIRST)
    assert stated.supply_at == "run"
    assert stated.chains[0].supply_gap_seconds < 0
    assert stated.tokens[2].supply_units == 1_200_000 * 10**6


def test_withhold__supply_unreadable_for_another_reason__is_refused(
    operator: Week, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: ChainClient, timestamp: int, finality: str) -> Block:
        raise ChainError("no answer", code="endpoints-down", reason="down", advice="none")

    monkeypatch.setattr(ChainClient, "block_at", down)
    with pytest.raises(ChainError, match="no answer"):
        withhold(operator)
    assert operator.stored() == {}


def test_run__every_source_fails_past_the_deadline__is_published_with_every_token_withheld(operator: Week) -> None:
    for path in (operator.folder / "statements/2026-W47").iterdir():
        path.unlink()
    outcome = operator.run(now=lambda: PAST_DEADLINE)
    assert (outcome.exit_code, outcome.folder) == (3, FIRST)
    assert {token.withheld_code for token in outcome.tokens} == {"deadline"}


# -- what the weeks after take from them -----------------------------------------------------------------------------


def rename_week(operator: Week, to: str) -> None:
    """Make the finished week another one, as the run of the week after finds it."""
    root = operator.folder / "private/runs"
    for path in sorted(root.iterdir()):
        path.rename(root / path.name.replace("2026-W47", to))
    for path in root.glob("*/revision"):
        path.write_bytes(path.read_bytes().replace(b"2026-W47", to.encode()))


def last_balance(operator: Week) -> int | None:
    from attest.steps.reserves import last_balances

    return last_balances(operator.environment().private, devnet.PERIOD)[1].get("usd-operating")


def test_last_balances__revised__are_those_of_the_newest_published_revision(operator: Week) -> None:
    operator.run()
    correct(operator)
    revise(operator)
    orders.revise(operator.environment(), devnet.PERIOD, "not done yet")
    rename_week(operator, "2026-W46")
    assert last_balance(operator) == 8_471_307


def test_last_balances__revoked__are_looked_for_further_back(operator: Week) -> None:
    from tests.integration.pipeline.test_run_edges import attested_week

    operator.run()
    revoke(operator)
    rename_week(operator, "2026-W46")
    assert last_balance(operator) is None
    attested_week(operator, "2026-W45", 77, withheld=False)
    assert last_balance(operator) == 77


def test_submit__later_week_was_reported_and_is_revoked__its_reports_still_stand(operator: Week) -> None:
    later_week_was_reported(operator)
    order = {
        "format": "attest-run-revision/1",
        "period": "2026-W48",
        "revision": 1,
        "kind": "revocation",
        "reason": REASON,
        "statement": "11" * 32,
        "at": "2026-11-30T06:00:00Z",
    }
    operator.environment().private.create("runs/2026-W48.1/revision", records.dump_plain(order))
    with pytest.raises(ConflictError, match="2026-W48") as refused:
        operator.run(now=week_after)
    assert "attest withhold" in refused.value.advice


def test_submit__later_week_was_only_stated_as_missed__is_reported(operator: Week) -> None:
    store = operator.environment().private
    fate = {"format": "attest-run-fate/1", "fate": "abandoned", "at": "2026-11-30T06:00:00Z", "reason": REASON}
    store.create("runs/2026-W48/1/fate", records.dump_plain(fate | {"blank": "missed"}))
    store.create("runs/2026-W48/2/fate", records.dump_plain(fate | {"fate": "submitting"}))
    assert operator.run(now=week_after).exit_code == 0


# -- periods that wait -----------------------------------------------------------------------------------------------


def test_standing__gap_and_open_revision__are_named_with_what_to_type(operator: Week) -> None:
    from tests.integration.pipeline.test_run_edges import attested_week

    config, store = operator.environment().config, operator.environment().private
    assert standing(store, config, week_after()).waiting == ()
    operator.run()
    attested_week(operator, "2026-W44", 100, withheld=False)
    orders.revise(operator.environment(), devnet.PERIOD, REASON)
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    store.create(
        "runs/2026-W46/1/fate",
        b'{"at":"2026-11-16T06:00:00Z","fate":"submitting","format":"attest-run-fate/1","reason":"begun"}\n',
    )
    found = standing(store, config, PAST_DEADLINE)
    assert found.newest == (devnet.PERIOD, 0)
    assert [(each.name, each.why, each.command) for each in found.waiting] == [
        ("2026-W45", "missed", 'attest withhold --period 2026-W45 --reason "..."'),
        ("2026-W46", "missed", "attest run --period 2026-W46"),
        ("2026-W47.1", "revision", "attest run --period 2026-W47"),
    ]
    late = standing(store, config, PAST_DEADLINE + timedelta(weeks=1))
    assert [each.name for each in late.waiting][-1] == "2026-W48"


# -- a store that was touched ----------------------------------------------------------------------------------------


def rewrite(operator: Week, key: str, **changes: Any) -> None:
    path = operator.folder / "private" / key
    path.write_bytes(records.dump_plain(json.loads(path.read_bytes()) | changes))


@pytest.mark.parametrize(
    "changes", [{"reason": "another"}, {"kind": "revocation"}, {"statement": "22" * 32}, {"revision": 2}], ids=str
)
@pytest.mark.parametrize("until", ["open", "confirm", "sign"])
def test_revise__order_changed_in_the_store__nothing_goes_on(
    operator: Week, changes: dict[str, Any], until: str
) -> None:
    operator.run()
    orders.revise(operator.environment(), devnet.PERIOD, REASON)
    pipeline.run(operator.environment(), devnet.PERIOD, until=until)
    rewrite(operator, "runs/2026-W47.1/revision", **changes)
    sent = operator.sent()
    with pytest.raises(ConflictError) as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert operator.sent() == sent
    assert SECOND not in {key.rsplit("/", 1)[0] for key in operator.stored("public")}


def test_revise__supply_of_the_first_run_lowered_in_the_store__is_compared_with_what_was_published(
    operator: Week,
) -> None:
    """Even where the node has pruned that block, and cannot contradict."""
    operator.run()
    path = operator.folder / "private/runs/2026-W47/1/open"
    path.write_bytes(path.read_bytes().replace(b'"units":"1200000000000"', b'"units":"1100000000000"'))
    with pytest.raises(ConflictError, match="supply"):
        revise(operator)


def test_revise__published_statement_replaced_in_the_public_store__is_refused(operator: Week) -> None:
    operator.run()
    path = operator.folder / "public" / FIRST / "attestation.dsse.json"
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    with pytest.raises(ConflictError, match="not the envelope"):
        revise(operator)
    assert "runs/2026-W47.1/revision" not in operator.stored()


def test_withhold__attempt_made_blank_in_the_store_after_it_was_opened__is_refused(operator: Week) -> None:
    """A week's balances cannot be dropped by a changed word."""
    operator.restate(USD_FILES[0], "84613.07", "84613.08")
    with pytest.raises(SourceError):
        operator.run()
    pipeline.abandon(operator.environment(), devnet.PERIOD, REASON)
    operator.restate(USD_FILES[0], "84613.08", "84613.07")
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    rewrite(operator, "runs/2026-W47/1/fate", blank="missed")
    with pytest.raises(ConflictError, match="why it gives no reserve"):
        operator.run()


def test_revise__public_store__holds_no_private_value(operator: Week) -> None:
    operator.run()
    correct(operator)
    revise(operator)
    revoke(operator, "withdrawn")
    loaded = operator.environment().config
    private = {value for a in loaded.accounts.values() for value in (a.custodian, a.external_account)} | {
        *loaded.accounts
    }
    private |= {word for a in loaded.accounts.values() for source in a.sources for word in (source.id, source.origin)}
    for key, data in operator.stored().items():
        if key.endswith("/commitment"):
            for leaf in json.loads(data)["leaves"]:
                opened = json.loads(base64.b64decode(leaf))
                private |= {opened["salt"], *opened["evidence"], leaf}
        if key.endswith("/open"):
            private |= {json.loads(data)["configuration_salt"]}
    assert len(private) > 50
    for key, data in operator.stored("public").items():
        for value in private:
            assert value.encode() not in data, f"{key} holds {value}"


# -- the signed manifest ---------------------------------------------------------------------------------------------


def manifest_signature(operator: Week, folder: str) -> tuple[dsse.Envelope, bytes, Path]:
    place = operator.folder / "public" / folder
    data = (place / "manifest.dsse.json").read_bytes()
    envelope = dsse.parse_envelope(data)
    pairs = [(each.keyid, each.signature) for each in envelope.signatures]
    assert data == dsse.assemble_envelope(envelope.payloadType, envelope.body, pairs), "not canonical"
    return envelope, (place / "manifest.json").read_bytes(), place


@pytest.mark.parametrize("revised", [False, True])
def test_publish__manifest__is_signed_by_the_attestor_and_covers_every_other_file(
    operator: Week, revised: bool
) -> None:
    operator.run()
    if revised:
        revise(operator)
    folder = SECOND if revised else FIRST
    envelope, data, place = manifest_signature(operator, folder)
    assert (envelope.payloadType, envelope.body) == (MANIFEST_PAYLOAD_TYPE, data)
    trust = json.loads((operator.folder / "trust.json").read_text())
    (key,) = [attestor["public_key"].encode() for attestor in trust["attestors"]]
    (signature,) = envelope.signatures
    assert signature.keyid == dsse.keyid_of(dsse.spki_der(key))
    dsse.verify_signature(key, MANIFEST_PAYLOAD_TYPE, data, signature.signature)
    manifest = records.from_json(Manifest, data, "manifest.json")
    assert (manifest.format, manifest.period, manifest.revision) == ("attest-manifest/2", "2026-W47", int(revised))
    listed = {entry.name: entry.sha256 for entry in manifest.files}
    files = {path.name: records.digest(path.read_bytes()) for path in place.iterdir()}
    assert listed == {name: found for name, found in files.items() if not name.startswith("manifest.")}
    assert predicate(operator, folder).bundle == "attest-manifest/2"
    assert set(feed(operator).periods[0].files) == set(files)


def test_publish__resumed__signs_the_manifest_once(operator: Week) -> None:
    """A key service signs the same bytes differently each time."""
    from attest.store import LocalStore

    class Full(LocalStore):
        def replace(self, key: str, data: bytes) -> None:
            if key == "index.html":
                raise OSError("the disk is full")
            super().replace(key, data)

    with pytest.raises(OSError, match="full"):
        operator.run(public=Full(operator.folder / "public"))
    before = operator.stored("public")[f"{FIRST}/manifest.dsse.json"]
    assert operator.run().exit_code == 0
    assert operator.stored("public")[f"{FIRST}/manifest.dsse.json"] == before


def test_publish__manifest_signature_forged_in_the_store__is_never_published(operator: Week) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.support.bundles import Attestor

    pipeline.run(operator.environment(), devnet.PERIOD, until="anchor")
    stranger = Attestor(ec.generate_private_key(ec.SECP256K1()))
    (ours,) = [json.loads(data) for key, data in operator.stored().items() if "/signatures/" in key]
    forged = ours | {"made_from": {}, "public_key": stranger.pem, "keyid": stranger.keyid}
    operator.environment().private.create("runs/2026-W47/1/manifest-signature", records.dump_plain(forged))
    with pytest.raises(AttestError) as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert not [key for key in operator.stored("public") if key.startswith("attestations/")]


def test_publish__run_that_an_earlier_release_signed__has_the_manifest_that_it_promised(operator: Week) -> None:
    """The statement's payload was fixed before there were signed manifests."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="sign")
    root = operator.folder / "private/runs/2026-W47/1"
    for name in ("envelope", "payload", "signatures"):
        path = root / name
        if path.is_dir():
            for each in path.iterdir():
                each.unlink()
        else:
            path.unlink()
    disclosures = json.loads((root / "disclosures").read_bytes())
    del disclosures["bundle"]
    (root / "disclosures").write_bytes(records.dump_plain(disclosures))
    assert operator.run().exit_code == 0
    manifest = json.loads(operator.stored("public")[f"{FIRST}/manifest.json"])
    assert manifest["format"] == "attest-manifest/1"
    assert f"{FIRST}/manifest.dsse.json" not in operator.stored("public")
    assert predicate(operator, FIRST).bundle is None
    assert_verifies(operator, FIRST)


def test_prove__revised__the_newest_published_revision_or_the_one_asked_for(operator: Week) -> None:
    operator.run()
    correct(operator)
    revise(operator)
    area = RunArea.published(operator.environment().private, devnet.PERIOD)
    assert area is not None
    assert area.name == "2026-W47.1"
    proofs = {key for key in operator.stored() if key.startswith("proofs/")}
    assert {key.split("/")[1] for key in proofs} == {"2026-W47", "2026-W47.1"}
