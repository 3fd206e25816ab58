"""``attest revise``, ``revoke`` and ``withhold``, and what the other commands say of what they did."""

from __future__ import annotations

import json
import shlex

import pytest

from attest import devnet
from attest.errors import EXIT_CONFLICT, EXIT_DONE, EXIT_SHORTFALL, EXIT_SOURCE, EXIT_USAGE
from tests.integration.cli.test_commands import at, fall_short
from tests.support.commands import attest
from tests.support.practice import Week

REASON = "a custodian corrected its statement"
JUST_AFTER = "2026-11-24T00:00:00Z"


def late(operator: Week) -> None:
    """The deadline of the week's run is over."""
    operator.edit_config(lambda text: text.replace("clock = 2026-11-23", "clock = 2026-11-25"))


def correct(operator: Week) -> None:
    for name in ("atlantic-trustees-usd.csv", "first-harbor-bank.camt053.xml"):
        operator.restate(name, "84613.07", "84713.07")


def test_revise__corrected__says_what_it_published_and_how_to_verify_it(operator: Week) -> None:
    at(operator, "run")
    correct(operator)
    said = at(operator, "revise", "--period", "2026-W47", "--reason", REASON)
    assert said.code == EXIT_DONE
    assert "USDW: 1,204,213.07 USD held" in " ".join(said.out.split())
    verify = next(line for line in said.out.splitlines() if line.startswith("verify "))
    assert "attestations/2026-W47.1" in verify
    assert f"replaces   revision 0: {REASON}" in said.out
    assert attest(*shlex.split(verify)[2:], "--at", JUST_AFTER).code == EXIT_DONE
    again = at(operator, "revise", "--period", "2026-W47", "--reason", REASON)
    assert "2026-W47, revision 1, is attested and published already" in again.out
    document = at(operator, "run", "--json").document
    assert (document["revision"], document["already_done"]) == (1, True)
    assert (document["supersedes"]["kind"], document["supersedes"]["reason"]) == ("revision", REASON)


def test_revise__short__exits_4_as_a_run_does(operator: Week) -> None:
    at(operator, "run")
    fall_short(operator)
    said = at(operator, "revise", "--period", "2026-W47", "--reason", REASON, "--json")
    assert said.code == said.document["exit_code"] == EXIT_SHORTFALL


def test_revise__dry_run__plans_and_stores_nothing(operator: Week) -> None:
    at(operator, "run")
    before = (operator.sent(), operator.stored(), operator.stored("public"))
    said = at(operator, "revise", "--period", "2026-W47", "--reason", REASON, "--dry-run")
    assert said.code == EXIT_DONE
    assert "A run of 2026-W47, revision 1, would send:" in said.out
    assert "anchor 2026-W47, revision 1: would-land" in said.out
    document = at(operator, "revoke", "--period", "2026-W47", "--reason", REASON, "--dry-run", "--json").document
    assert [step["outcome"] for step in document["plan"]] == ["would-land"]
    assert (operator.sent(), operator.stored(), operator.stored("public")) == before


def test_revoke__done__exits_0_for_whoever_ordered_it_and_3_for_the_run(operator: Week) -> None:
    at(operator, "run")
    said = at(operator, "revoke", "--period", "2026-W47", "--reason", REASON)
    assert said.code == EXIT_DONE
    assert "reserve withheld (revoked)" in " ".join(said.out.split())
    assert "exit code" not in said.out
    assert f"revokes    revision 0: {REASON}" in said.out
    assert (
        at(operator, "revoke", "--period", "2026-W47", "--reason", REASON, "--json").document["exit_code"] == EXIT_DONE
    )
    assert at(operator, "run").code == EXIT_SOURCE
    refused = at(operator, "prove", "usd-operating", "--json")
    assert (refused.code, refused.document["code"]) == (EXIT_USAGE, "unknown-account")
    assert "--revision" in refused.document["advice"]
    explained = at(operator, "quorum", "explain", "--json")
    assert (explained.code, explained.document["code"]) == (EXIT_USAGE, "nothing-to-explain")
    first = at(operator, "quorum", "explain", "--revision", "0", "--json")
    assert (first.document["revision"], len(first.document["accounts"])) == (0, 7)


def test_withhold__missed__exits_0_and_says_missed(operator: Week) -> None:
    early = at(operator, "withhold", "--period", "2026-W47", "--reason", REASON, "--json")
    assert (early.code, early.document["code"]) == (EXIT_USAGE, "before-deadline")
    late(operator)
    said = at(operator, "withhold", "--period", "2026-W47", "--reason", REASON, "--json")
    assert said.code == said.document["exit_code"] == EXIT_DONE
    assert {token["withheld_code"] for token in said.document["tokens"]} == {"missed"}


def test_prove__revised__is_of_the_newest_unless_another_is_asked_for(operator: Week) -> None:
    at(operator, "run")
    correct(operator)
    at(operator, "revise", "--period", "2026-W47", "--reason", REASON)

    def proof(*words: str) -> int:
        revision = json.loads(at(operator, "prove", "usd-operating", *words).out)["revision"]
        assert isinstance(revision, int)
        return revision

    assert (proof(), proof("--revision", "0"), proof("--revision", "1")) == (1, 0, 1)
    document = at(operator, "prove", "usd-operating", "--revision", "2", "--json").document
    assert document["code"] == "unknown-revision"


def test_status_and_doctor__missed_week_and_open_revision__say_what_to_type(operator: Week) -> None:
    from tests.integration.pipeline.test_run_edges import attested_week

    at(operator, "run")
    attested_week(operator, "2026-W45", 100, withheld=False)
    operator.restate("atlantic-trustees-usd.csv", "84613.07", "84613.08")
    assert at(operator, "revise", "--period", "2026-W47", "--reason", REASON).code == EXIT_SOURCE
    said = at(operator, "status")
    assert 'missed: attest withhold --period 2026-W46 --reason "..."' in said.out
    assert "revision 1 is under way: attest run --period 2026-W47" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines())
    document = at(operator, "status", "--json").document
    assert (document["last_period"], document["last_revision"]) == ("2026-W47", 0)
    assert [(week["period"], week["why"]) for week in document["waiting"]] == [
        ("2026-W46", "missed"),
        ("2026-W47", "revision"),
    ]
    findings = at(operator, "doctor", "--json").document["findings"]
    waiting = {each["subject"]: each["advice"] for each in findings if each["subject"].startswith("period ")}
    assert waiting == {
        "period 2026-W46": 'attest withhold --period 2026-W46 --reason "..."',
        "period 2026-W47": "attest run --period 2026-W47",
    }


@pytest.mark.parametrize("command", ["revise", "revoke", "withhold"])
def test_order__without_a_reason_or_a_period__is_a_usage_error(operator: Week, command: str) -> None:
    for words in (("--period", "2026-W47"), ("--reason", REASON)):
        said = at(operator, command, *words, "--json")
        assert (said.code, said.document["exit_code"]) == (EXIT_USAGE, EXIT_USAGE)


@pytest.mark.parametrize("command", ["revise", "revoke", "withhold"])
def test_order__help__has_an_example_and_the_exit_codes(command: str) -> None:
    said = attest(command, "--help")
    assert f"attest {command} --period 2026-W4" in said.out
    assert "Exit codes:" in said.out


def test_revise__later_week_reported__is_refused_with_the_way_out(operator: Week) -> None:
    at(operator, "run")
    store = operator.environment().private
    store.create(
        f"runs/{devnet.PERIOD.shifted(1)}/1/fate",
        b'{"at":"2026-11-30T06:00:00Z","fate":"submitting","format":"attest-run-fate/1","reason":"begun"}\n',
    )
    operator.edit_config(lambda text: text.replace("clock = 2026-11-23", "clock = 2026-12-01"))
    said = at(operator, "revise", "--period", "2026-W47", "--reason", REASON, "--json")
    assert (said.code, said.document["code"]) == (EXIT_CONFLICT, "later-period-reported")
    assert "attest revoke" in said.document["advice"]
    done = at(operator, "revoke", "--period", "2026-W47", "--reason", REASON, "--json")
    assert done.code == EXIT_DONE
