"""A run at its edges: what is wrong late, what was touched in between, and weeks that are not like the example's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from attest import devnet, pipeline, records
from attest.chain.devnet import advance_to
from attest.errors import ChainError, ConflictError, OperatorError
from tests.support.practice import Week

RUN = "runs/2026-W47/1"
CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


def reports_sent(operator: Week, before: dict[str, int]) -> list[int]:
    """How many transactions each of the three reporters has sent since ``before``."""
    *reporters, _ = [count - before[address] for address, count in operator.sent().items()]
    return reporters


# -- before anything is sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["signing.publisher", "signing.attestors", "signing.log"])
def test_submit__key_of_a_later_step_cannot_be_opened__nothing_is_sent(operator: Week, key: str) -> None:
    """What would only fail after the reports were sent is found before."""
    (operator.folder / "keys/wrong.txt").write_text("not the password\n")
    section = re.compile(rf"(\[+{re.escape(key)}\]+\n(?:(?!\[).*\n)*?password = )\"[^\"]*\"")
    operator.edit_config(lambda text: section.sub(r'\1"file:keys/wrong.txt"', text))
    before = operator.sent()
    with pytest.raises(OperatorError):
        operator.run()
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_submit__witness_key_that_is_none__nothing_is_sent(operator: Week) -> None:
    operator.edit_config(lambda text: re.sub(r'(vkey = "witness\.example/one\+)[0-9a-f]{8}', r"\g<1>00000000", text))
    before = operator.sent()
    with pytest.raises(OperatorError, match="witness"):
        operator.run()
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


# -- reports that do not land at once --------------------------------------------------------------------------------


def test_run__reports_reverted_when_mined__next_run_sends_them_anew(operator: Week) -> None:
    before = operator.sent()
    operator.rpc("evm_setAutomine", False)
    try:
        pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
        head = int(operator.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        advance_to(operator.url, head + 2 * 3600)  # older than the contract takes
    finally:
        operator.rpc("evm_setAutomine", True)
    assert reports_sent(operator, before) == [3, 3, 3]
    assert operator.run().exit_code == 0
    assert reports_sent(operator, before) == [6, 6, 6]


def test_report__first_reports_not_mined_yet__sends_no_others_beside_them(operator: Week) -> None:
    operator.edit_config(lambda text: text.replace("read_quorum = 1", "read_quorum = 1\nconfirm_timeout_seconds = 1"))
    before = operator.sent()
    operator.rpc("evm_setAutomine", False)
    try:
        for _ in range(2):
            with pytest.raises(ChainError, match="not confirmed"):
                pipeline.report(operator.environment(), devnet.PERIOD)
        operator.rpc("evm_mine")
    finally:
        operator.rpc("evm_setAutomine", True)
    assert pipeline.report(operator.environment(), devnet.PERIOD).exit_code == 0
    assert reports_sent(operator, before) == [3, 3, 3]


def test_report__another_configuration__renews_nothing(operator: Week) -> None:
    pipeline.report(operator.environment(), devnet.PERIOD)
    advance_to(operator.url, int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()))
    operator.edit_config(lambda text: text.replace("Example Issuer Ltd", "Another Issuer Ltd"))
    before = operator.sent()
    with pytest.raises(ConflictError, match="another configuration"):
        pipeline.report(operator.environment(), devnet.PERIOD)
    assert operator.sent() == before


def later_week_was_reported(operator: Week) -> None:
    """As another run of the week after leaves it once its reports are begun."""
    fate = {"format": "attest-run-fate/1", "fate": "submitting", "at": "2026-11-30T06:00:00Z", "reason": "begun"}
    operator.environment().private.create("runs/2026-W48/1/fate", records.dump_plain(fate))


@pytest.mark.parametrize("command", [pipeline.run, pipeline.report])
def test_submit__later_period_was_reported__older_balances_do_not_replace_it(
    operator: Week, command: Callable[..., pipeline.Outcome]
) -> None:
    later_week_was_reported(operator)
    before = operator.sent()
    environment = operator.environment(now=lambda: datetime(2026, 11, 30, 7, tzinfo=UTC))
    with pytest.raises(ConflictError, match="2026-W48"):
        command(environment, devnet.PERIOD)
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_report__later_period_was_reported__older_balances_are_not_renewed(operator: Week) -> None:
    pipeline.report(operator.environment(), devnet.PERIOD)
    later_week_was_reported(operator)
    advance_to(operator.url, int(datetime(2026, 11, 30, tzinfo=UTC).timestamp()))
    before = operator.sent()
    with pytest.raises(ConflictError, match="2026-W48"):
        pipeline.report(operator.environment(now=lambda: datetime(2026, 11, 30, 7, tzinfo=UTC)), devnet.PERIOD)
    assert operator.sent() == before
