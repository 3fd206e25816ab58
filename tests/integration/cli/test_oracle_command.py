"""``attest oracle remove-stale`` on a real chain: what is too old goes, once, and nothing else."""

from __future__ import annotations

from typing import Any

from attest import config
from attest.chain.devnet import advance_to
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_USAGE
from tests.support.commands import Said, attest
from tests.support.practice import Week
from tests.support.spoiling import report_reserve

NINE_DAYS = 9 * 86_400


def at(week: Week, *words: object) -> Said:
    return attest("oracle", "remove-stale", *words, "--config", week.config_path)


def settings(week: Week) -> config.Config:
    return config.load(week.config_path).config


def pass_time(week: Week, seconds: int) -> None:
    head = int(week.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    advance_to(week.url, head + seconds)


def stale_of(said: Said) -> dict[str, int]:
    return {token["token"]: len(token["stale"]) for token in said.document["tokens"]}


def journal(week: Week) -> list[str]:
    return [key for key in week.stored() if key.startswith("tx/")]


def test_remove_stale__nothing_reported__sends_nothing(operator: Week) -> None:
    said = at(operator)
    assert said.code == EXIT_DONE
    assert [line.split(None, 1)[1] for line in said.out.splitlines()] == ["none is stale"] * 3
    assert operator.stored() == {}


def test_remove_stale__old_reports_beside_fresh_ones__removes_them_once(operator: Week) -> None:
    report_reserve(operator, "USDW", (0, 1))
    report_reserve(operator, "EURW", (0,))
    pass_time(operator, NINE_DAYS)
    report_reserve(operator, "USDW", (2,))
    before = operator.sent()

    rehearsed = at(operator, "--dry-run", "--json")
    assert stale_of(rehearsed) == {"USDW": 2, "EURW": 1, "GBPW": 0}
    assert [step["outcome"] for step in rehearsed.document["plan"]] == ["would-land"] * 2
    assert operator.stored() == {}

    said = at(operator, "USDW")
    assert said.code == EXIT_DONE, said.everything
    assert "2 stale" in said.out
    assert "removed in 0x" in said.out
    for name in ("to", "call", "gas", "removeStaleReports("):
        assert name in said.out
    known = settings(operator)
    sender = known.signing.reporters[0].address
    assert {who: operator.sent()[who] - sent for who, sent in before.items() if operator.sent()[who] != sent} == {
        sender: 1
    }

    after = at(operator, "--json")
    assert stale_of(after) == {"USDW": 0, "EURW": 1, "GBPW": 0}
    assert after.document["tokens"][1]["transaction"].startswith("0x")
    assert len(journal(operator)) == 2
    assert stale_of(at(operator, "--json")) == {"USDW": 0, "EURW": 0, "GBPW": 0}
    assert len(journal(operator)) == 2


def test_remove_stale__interrupted_before_its_transaction_was_mined__sends_the_same_one(
    operator: Week,
) -> None:
    report_reserve(operator, "USDW", (0,))
    pass_time(operator, NINE_DAYS)
    operator.edit_config(lambda text: text.replace("read_quorum = 1", "read_quorum = 1\nconfirm_timeout_seconds = 1"))
    operator.rpc("evm_setAutomine", False)
    try:
        stopped = at(operator, "USDW", "--json")
        assert (stopped.code, stopped.document["code"]) == (EXIT_CHAIN, "not-confirmed")
        (entry,) = journal(operator)
    finally:
        operator.rpc("evm_setAutomine", True)
    operator.rpc("evm_mine")
    again = at(operator, "USDW", "--json")
    assert again.code == EXIT_DONE
    assert journal(operator) == [entry]
    assert stale_of(at(operator, "USDW", "--json")) == {"USDW": 0}


def test_remove_stale__by_the_publisher__is_sent_with_that_key(operator: Week) -> None:
    report_reserve(operator, "GBPW", (1,))
    pass_time(operator, NINE_DAYS)
    publisher = settings(operator).signing.publisher.address
    said = at(operator, "--from", publisher.lower())
    assert said.code == EXIT_DONE, said.everything
    assert journal(operator)[0].split("/")[2] == publisher


def refusals(operator: Week, *words: Any) -> tuple[int, str]:
    said = at(operator, *words, "--json")
    return said.code, said.document["code"]


def test_remove_stale__unknown_token_or_sender__is_a_usage_error(operator: Week) -> None:
    assert refusals(operator, "JPYW") == (EXIT_USAGE, "no-such-token")
    assert refusals(operator, "--from", "0x" + "11" * 20) == (EXIT_USAGE, "no-such-key")


def test_remove_stale__contract_that_does_not_say_who_reports__is_refused(operator: Week) -> None:
    (operator.folder / "abi.json").write_text("[]")
    operator.edit_config(lambda text: text.replace("[oracle]", '[oracle]\nabi = "abi.json"'))
    assert refusals(operator) == (EXIT_USAGE, "configuration")
