"""For how many weekly runs the keys can pay, as `doctor` and `status` say it, against what a run really costs."""

from __future__ import annotations

from typing import Any

import pytest

from attest import config
from attest.errors import EXIT_DONE, EXIT_USAGE
from tests.support.commands import Said, attest
from tests.support.practice import Week


def at(week: Week, *words: str) -> Said:
    return attest(*words, "--config", week.config_path)


def keys_of(week: Week) -> dict[str, dict[str, Any]]:
    said = at(week, "status", "--json")
    assert "keys" in said.document, said.out
    return {key["address"]: key for key in said.document["keys"]}


def test_runway__before_a_run__foretells_what_the_run_then_costs(operator: Week) -> None:
    foretold = keys_of(operator)
    before = {who: int(operator.rpc("eth_getBalance", who, "latest"), 16) for who in foretold}
    assert {who: int(key["balance_wei"]) for who, key in foretold.items()} == before
    assert at(operator, "run").code == EXIT_DONE
    for who, key in foretold.items():
        paid = before[who] - int(operator.rpc("eth_getBalance", who, "latest"), 16)
        assert 0.7 * paid <= int(key["run_cost_wei"]) <= 1.5 * paid, key["job"]


@pytest.mark.parametrize(
    ("runs", "state", "code"), [(12, "ok", EXIT_DONE), (3, "warning", EXIT_DONE), (0, "error", EXIT_USAGE)]
)
def test_runway__balance_for_so_many_runs__is_said_by_doctor_and_status(
    operator: Week, runs: int, state: str, code: int
) -> None:
    publisher = config.load(operator.config_path).config.signing.publisher.address
    operator.rpc("anvil_mine", hex(40))  # the base fee falls to next to nothing, so that it hardly moves any more
    cost = int(keys_of(operator)[publisher]["run_cost_wei"])
    operator.rpc("anvil_setBalance", publisher, hex(runs * cost + cost // 2))
    price = operator.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    operator.rpc("anvil_setNextBlockBaseFeePerGas", price)
    operator.rpc("evm_mine")  # a block whose state has it, at the same price
    assert keys_of(operator)[publisher]["runs_left"] == runs
    said = at(operator, "status")
    assert (f"Send gas to {publisher}." in said.out) is (runs < 4)
    examined = at(operator, "doctor", "--json")
    lines = [each for each in examined.document["findings"] if f"{runs} weekly runs left" in each["detail"]]
    assert [(each["state"], each["subject"]) for each in lines] == [(state, f"publisher {publisher}")]
    assert examined.code == code


def test_runway__free_gas__says_so_whatever_the_balance(operator: Week) -> None:
    operator.edit_config(lambda text: text.replace('kind = "legacy"', 'kind = "free"'))
    publisher = config.load(operator.config_path).config.signing.publisher.address
    assert keys_of(operator)[publisher]["runs_left"] is None
    assert at(operator, "status").out.count("gas is free") == 4
    assert at(operator, "doctor").out.count("gas is free") == 4
