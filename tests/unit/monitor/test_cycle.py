"""The watch over a simulated deployment: what a cycle reads, what it costs, and what a failure costs."""

from __future__ import annotations

import math
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak

from attest.errors import ChainError, OperatorError
from attest.monitor.chunks import CAREFUL
from attest.monitor.collectors import TokenCollector
from attest.monitor.cycle import Snapshot
from attest.monitor.findings import findings, network_findings, notes
from attest.monitor.history import SPANS
from attest.monitor.tasks import TASKS
from attest.posting import TOO_SLOW, TransportFault
from tests.support.chains import ORACLE, REPORTERS, Error, Line
from tests.support.eventful import SETTLED, emission
from tests.support.watched import (
    ALL,
    BRIDGE,
    GOLD,
    LEDGER,
    NO_DEBT,
    PRICES,
    STABILIZER,
    WAD,
    World,
    address,
    configuration,
    value,
    values,
    watching,
)


def alerts(snapshot: Snapshot) -> set[tuple[str, str]]:
    return {(each.alert, each.subject) for each in findings(snapshot)}


def test_cycle__healthy_deployment__gives_every_number_and_no_finding(tmp_path: Path) -> None:
    world = World(healths=[2 * WAD, NO_DEBT, 15 * WAD // 10])
    world.vaults()
    world.prices()
    world.answers[LEDGER, f"totalDebt {address(0)}"] = (90,)  # at 90 %, not above
    snapshot = watching(world, tmp_path, ALL).cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "token_reserve_surplus_units", "USDW") == 200_000
    assert value(snapshot, "token_money_multiplier_ok", "USDW") == 1
    assert value(snapshot, "reserve_oracle_quorum_met", "USDW") == 1
    assert values(snapshot, "reserve_oracle_reporter_last_report_timestamp_seconds") == {
        ("USDW", reporter): world.now - 60 for reporter in REPORTERS
    }
    assert value(snapshot, "vaults") == 3
    assert value(snapshot, "vault_health_ratio_min") == Fraction(3, 2)
    assert values(snapshot, "vault_health_ratio_worst") == {("1",): Fraction(3, 2), ("2",): 2}
    assert value(snapshot, "vault_debt_units", "USDW") == 90
    assert value(snapshot, "vault_collateral_units", "0x" + "85" * 20) == 77
    assert value(snapshot, "chain_head_block_number", "main") == 49
    assert value(snapshot, "rpc_up", "main", "http://node-0.example:80") == 1
    never = {(task.alert, name) for name, task in TASKS.items()}
    assert alerts(snapshot) == never, "nothing was ever done in this store"


def test_cycle__one_unit_short_of_an_octillion__is_a_shortfall(tmp_path: Path) -> None:
    world = World()
    world.set_token("USDW", supply=10**27, reserve=10**27 - 1)
    assert float(10**27) == float(10**27 - 1)
    snapshot = watching(world, tmp_path).cycle()
    assert value(snapshot, "token_reserve_surplus_units", "USDW") == -1
    assert value(snapshot, "token_money_multiplier_ok", "USDW") == 0
    assert 'attest_token_reserve_surplus_units{token="USDW"} -1\n' in snapshot.exposition()
    assert {("ReserveShortfall", "USDW"), ("OnchainReserveInsufficient", "USDW")} <= alerts(snapshot)


@pytest.mark.parametrize(
    ("supply", "reserve", "alert"),
    [
        (1000, 1000, "ReserveRatioLow"),
        (1000, 1049, "ReserveRatioLow"),
        (1000, 1050, "ReserveRatioBelow110"),
        (1000, 1099, "ReserveRatioBelow110"),
        (1000, 1100, None),
        (0, 0, None),
    ],
)
def test_findings__reserve_ratio_at_each_edge__is_told(
    supply: int, reserve: int, alert: str | None, tmp_path: Path
) -> None:
    world = World()
    world.set_token("USDW", supply=supply, reserve=reserve)
    found = {name for name, subject in alerts(watching(world, tmp_path).cycle()) if subject == "USDW"}
    assert found == ({alert} if alert else set())


def test_cycle__quorum_lost__has_no_reserve_and_says_why(tmp_path: Path) -> None:
    world = World()
    world.set_token("USDW", supply=5, reserve=None, age=4000)
    snapshot = watching(world, tmp_path).cycle()
    assert values(snapshot, "token_reserve_units") == {}
    assert value(snapshot, "reserve_oracle_stale_reports", "USDW") == 3
    assert {("OracleQuorumNotMet", "USDW"), ("ReserveReportStale", "USDW")} <= alerts(snapshot)


def test_cycle__one_token_fails__the_others_go_on_and_the_failure_is_a_metric(tmp_path: Path) -> None:
    world = World(tokens=("USDW", "EURW"))
    world.answers[address(0), "totalSupply"] = None  # no contract there
    watch = watching(world, tmp_path)
    watch.cycle()
    snapshot = watch.cycle()
    assert [failure.collector for failure in snapshot.failures] == ["token-USDW"]
    assert set(values(snapshot, "token_supply_units")) == {("EURW",)}
    assert value(snapshot, "collector_errors_total", "token-USDW") == 2
    assert value(snapshot, "collector_last_success_timestamp_seconds", "token-USDW") == 0
    assert value(snapshot, "collector_last_success_timestamp_seconds", "token-EURW") == world.now + 1
    assert ("CollectorFailed", "token-USDW") in alerts(snapshot)

    world.set_token("USDW", supply=1, reserve=2)
    recovered = watch.cycle()
    assert recovered.failures == ()
    assert value(recovered, "collector_errors_total", "token-USDW") == 2


@pytest.mark.parametrize(
    "answer",
    [
        Error(3, "execution reverted"),
        Error(3, "execution reverted", "0x"),
        Error(3, "execution reverted: told apart by its data", "0x"),
        None,
    ],
)
def test_cycle__token_without_isReserveSufficient__has_every_other_number(  # noqa: N802
    answer: Error | None, tmp_path: Path
) -> None:
    world = World()
    world.answers[address(0), "isReserveSufficient"] = answer
    snapshot = watching(world, tmp_path).cycle()
    assert snapshot.failures == ()
    assert values(snapshot, "token_reserve_sufficient") == {}
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000


#: The refusal of a contract that gives a reason: as text by a node that gives no data, and as data.
REASONS = (
    Error(-32000, "execution reverted: reserve is paused"),
    Error(3, "execution reverted", "0x" + keccak(text="Paused()")[:4].hex()),
)


@pytest.mark.parametrize("answer", REASONS)
def test_cycle__isReserveSufficient_refuses_with_a_reason__fails_that_token(  # noqa: N802
    answer: Error, tmp_path: Path
) -> None:
    world = World(tokens=("USDW", "EURW"))
    world.answers[address(0), "isReserveSufficient"] = answer
    snapshot = watching(world, tmp_path).cycle()
    assert [(each.collector, each.error.code) for each in snapshot.failures] == [("token-USDW", "call-reverted")]
    assert set(values(snapshot, "token_reserve_sufficient")) == {("EURW",)}
    assert ("CollectorFailed", "token-USDW") in alerts(snapshot)


@pytest.mark.parametrize("answer", REASONS)
def test_cycle__isReserveSufficient_refuses_for_want_of_a_quorum__is_the_quorum_s_alert(  # noqa: N802
    answer: Error, tmp_path: Path
) -> None:
    world = World()
    world.set_token("USDW", supply=5, reserve=None)
    world.answers[address(0), "isReserveSufficient"] = answer
    snapshot = watching(world, tmp_path).cycle()
    assert snapshot.failures == ()
    assert values(snapshot, "token_reserve_sufficient") == {}
    assert ("OracleQuorumNotMet", "USDW") in alerts(snapshot)


def test_cycle__other_decimals_than_configured__fail_that_token(tmp_path: Path) -> None:
    world = World()
    world.answers[address(0), "decimals"] = (18,)
    (failure,) = watching(world, tmp_path).cycle().failures
    assert "has 18 decimals, 6 are configured" in failure.error.message


@pytest.mark.parametrize(
    ("function", "answer", "said"),
    [
        ("vaultCount", None, "answered nothing"),
        ("vaultCount", (2**200,), "vaults"),
        ("vaultHealths", Error(-32000, "missing trie node"), "does not give this state"),
        ("vaultHealths", lambda start, count: ([], []), "gave 0 of 1 vaults"),
        ("assets", Error(3, "execution reverted"), "reverted"),
    ],
)
def test_cycle__ledger_of_another_make_or_without_history__costs_the_vaults_only(
    function: str, answer: object, said: str, tmp_path: Path
) -> None:
    world = World()
    world.vaults()
    world.prices()
    world.answers[LEDGER, function] = answer
    snapshot = watching(world, tmp_path, ALL).cycle()
    assert [failure.collector for failure in snapshot.failures] == ["vaults"]
    assert said in snapshot.failures[0].error.message
    assert value(snapshot, "price_oracle_frozen", "USDW") == 0
    assert values(snapshot, "vaults") == {}


def test_cycle__no_vault_has_debt__the_lowest_health_is_infinite(tmp_path: Path) -> None:
    world = World(healths=[NO_DEBT])
    world.vaults()
    snapshot = watching(world, tmp_path, {"ledger": {"address": LEDGER}}).cycle()
    assert value(snapshot, "vault_health_ratio_min") == math.inf
    assert values(snapshot, "vault_health_ratio_worst") == {}


def test_cycle__vaults_named_in_the_configuration__are_asked_one_by_one(tmp_path: Path) -> None:
    world = World()
    world.vaults()
    del world.answers[LEDGER, "vaultCount"], world.answers[LEDGER, "vaultHealths"]
    vaults = tuple(address(number) for number in (71, 72))
    for vault, health in zip(vaults, (WAD, 2 * WAD), strict=True):
        world.answers[LEDGER, f"getVaultHealth {vault}"] = (health,)
    snapshot = watching(world, tmp_path, {"ledger": {"address": LEDGER, "vaults": vaults}}).cycle()
    assert snapshot.failures == ()
    assert (value(snapshot, "vaults"), value(snapshot, "vault_health_ratio_min")) == (2, 1)
    assert ("VaultHealthCritical", "vaults") in alerts(snapshot)


def test_cycle__a_hundred_tokens_and_ten_thousand_vaults__are_no_more_requests_than_few(tmp_path: Path) -> None:
    tokens = tuple(f"T{number:02}W" for number in range(100))
    many = World(tokens=tokens, healths=[2 * WAD + n for n in range(1000)])
    many.vaults()
    watch = watching(many, tmp_path, {"ledger": {"address": LEDGER}})
    watch.cycle()
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "vaults") == 1000
    assert len(values(snapshot, "token_supply_units")) == 100
    assert value(snapshot, "cycle_requests") < 25
    spent = value(snapshot, "cycle_requests")

    many.healths = [2 * WAD + n for n in range(10_000)]
    many.vaults()
    assert value(watch.cycle(), "vaults") == 10_000
    assert value(watch.cycle(), "cycle_requests") == spent


def test_cycle__prices_stale_and_frozen__are_critical(tmp_path: Path) -> None:
    world = World()
    world.prices(age=3601, frozen=True)
    found = alerts(watching(world, tmp_path, {"price_oracles": {"USDW": {"address": PRICES}}}).cycle())
    assert {("PriceOracleStale", "USDW"), ("PriceOracleFrozen", "USDW")} <= found


# -- network -----------------------------------------------------------------------------------------------------------


def test_cycle__equal_prices_of_which_the_other_chain_s_is_old__is_stale(tmp_path: Path) -> None:
    there = "0x" + "86" * 20
    world = World()
    world.prices()
    world.answers |= {(PRICES, "lastPrice"): (WAD,), (there, "lastPrice"): (WAD,)}
    pair = {"price_oracle": "USDW", "chain": "main", "address": there, "threshold_bps": 50}
    watch = watching(world, tmp_path, {**ALL, "ledger": None, "parity": {"gold": pair}})
    for age, stale in ((3599, False), (3600, True)):  # a second less than on the watch's clock
        world.answers[there, "updatedAt"] = (world.now - age,)
        snapshot = watch.cycle()
        assert value(snapshot, "parity_price_deviation_ratio", "gold") == 0
        assert value(snapshot, "price_oracle_updated_timestamp_seconds", "parity:gold") == world.now - age
        assert (("PriceOracleStale", "parity:gold") in alerts(snapshot)) is stale
        assert ("PriceOracleStale", "USDW") not in alerts(snapshot)


@pytest.mark.parametrize("others", [0, 2])
def test_cycle__node_that_speaks_to_the_terminal__is_logged_in_plain_words_on_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    world = World()
    odd = world.node({(address(0), "totalSupply"): Error(3, "reverted: \x1b]0;owned\x07\nWARNING: all is well")})
    watching(world, tmp_path, nodes=[odd, *(world.node() for _ in range(others))]).cycle()
    told = [record.getMessage() for record in caplog.records]
    assert any("reverted: \\x1b]0;owned\\x07\\nWARNING" in each for each in told)
    assert all(each.isprintable() for each in told)


def test_cycle__endpoints_disagree_on_one_answer__costs_that_token_and_is_counted(tmp_path: Path) -> None:
    world = World(tokens=("USDW", "EURW"))
    liar = world.node({(address(0), "totalSupply"): (1,)})
    snapshot = watching(world, tmp_path, nodes=[world.node(), liar]).cycle()
    assert [failure.collector for failure in snapshot.failures] == ["token-USDW"]
    assert isinstance(snapshot.failures[0].error, ChainError)
    assert snapshot.failures[0].error.code == "endpoints-disagree"
    assert value(snapshot, "rpc_state_disagreements", "main") == 1
    assert value(snapshot, "token_supply_units", "EURW") == 1_000_001
    assert ("RpcProvidersDisagree", "main") in alerts(snapshot)


def test_cycle__endpoint_down__is_told_and_the_other_is_read(tmp_path: Path) -> None:
    world = World()
    dead = world.node()
    dead.faults = [TransportFault("refused", again=False)] * 20
    snapshot = watching(world, tmp_path, nodes=[world.node(), dead]).cycle()
    assert snapshot.failures == ()
    assert values(snapshot, "rpc_up") == {
        ("main", "http://node-0.example:80"): 1,
        ("main", "http://node-1.example:80"): 0,
    }
    assert value(snapshot, "rpc_requests_total", "main", "http://node-1.example:80", "failed") > 0
    assert ("RpcEndpointDown", "http://node-1.example:80") in alerts(snapshot)


def test_cycle__endpoint_that_never_answers__is_asked_once_in_each_cycle(tmp_path: Path) -> None:
    world = World()
    silent = world.node()
    silent.faults = [TransportFault(f"{TOO_SLOW} 20 s", again=True)] * 2
    watch = watching(world, tmp_path, {"index": "sqlite:///events.sqlite"}, nodes=[world.node(), silent])
    for cycles in (1, 2):
        snapshot = watch.cycle()
        assert snapshot.failures == ()
        assert value(snapshot, "token_supply_units", "USDW") == 1_000_000
        assert value(snapshot, "rpc_up", "main", "http://node-1.example:80") == 0
        assert len(silent.requests) == cycles, "each question to it takes as long as it may"
    recovered = watch.cycle()
    assert value(recovered, "rpc_up", "main", "http://node-1.example:80") == 1
    assert len(silent.requests) > 4, "it is read and compared again"
    watch.close()


def test_cycle__every_endpoint_down__has_no_number_of_the_chain_and_raises_nothing(tmp_path: Path) -> None:
    world = World()
    dead = world.node()
    dead.faults = [TransportFault("refused", again=False)] * 50
    snapshot = watching(world, tmp_path, nodes=[dead]).cycle()
    assert {failure.collector for failure in snapshot.failures} == {"network-main", "token-USDW"}
    assert values(snapshot, "token_supply_units") == values(snapshot, "chain_head_block_number") == {}
    assert value(snapshot, "rpc_up", "main", "http://node-0.example:80") == 0
    assert [each.alert for each in network_findings(snapshot)] == ["ChainHalted", "RpcEndpointDown"]


def test_cycle__fault_of_the_program_in_one_part__costs_no_other_and_shows_none_of_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really, secret = TokenCollector.ask, "hunter" + "2"

    def ask(self: TokenCollector, chains: Any) -> Any:
        if self.name == "token-USDW":
            raise TypeError(secret)
        return really(self, chains)

    monkeypatch.setattr(TokenCollector, "ask", ask)
    snapshot = watching(World(tokens=("USDW", "EURW")), tmp_path).cycle()
    (failure,) = snapshot.failures
    assert (failure.collector, failure.error.code) == ("token-USDW", "unexpected")
    assert failure.error.message == "unexpected error: TypeError"
    assert set(values(snapshot, "token_supply_units")) == {("EURW",)}
    assert "raise TypeError(secret)" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(("behind", "lags"), [(5, False), (6, True)])
def test_cycle__endpoint_behind_the_others__lags_beyond_the_limit(behind: int, lags: bool, tmp_path: Path) -> None:
    world = World()
    snapshot = watching(world, tmp_path, nodes=[world.node(), world.node(behind=behind)]).cycle()
    assert snapshot.failures == ()
    assert (("RpcEndpointLagging", "http://node-1.example:80") in alerts(snapshot)) is lags


def test_cycle__endpoint_of_another_chain__is_down_and_the_other_is_read(tmp_path: Path) -> None:
    world = World()
    foreign = world.node()
    foreign.chain_id = 1
    snapshot = watching(world, tmp_path, nodes=[foreign, world.node()]).cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000
    assert values(snapshot, "rpc_up") == {
        ("main", "http://node-0.example:80"): 0,
        ("main", "http://node-1.example:80"): 1,
    }
    (down,) = network_findings(snapshot)
    assert (down.alert, down.subject) == ("RpcEndpointDown", "http://node-0.example:80")
    assert down.detail == "chain main: serves chain id 1, not 138"


def test_cycle__only_endpoint_of_another_chain__has_no_number_and_says_which(tmp_path: Path) -> None:
    world = World()
    node = world.node()
    node.chain_id = 1
    snapshot = watching(world, tmp_path, nodes=[node]).cycle()
    assert "http://node-0.example:80: serves chain id 1, not 138" in snapshot.failures[0].error.message
    assert value(snapshot, "rpc_up", "main", "http://node-0.example:80") == 0
    assert values(snapshot, "chain_head_block_number") == values(snapshot, "token_supply_units") == {}


def test_cycle__other_chain_behind_an_endpoint_since_the_last__is_noticed(tmp_path: Path) -> None:
    world = World()
    nodes = [world.node(), world.node()]
    watch = watching(world, tmp_path, {"index": "sqlite:///events.sqlite"}, nodes=nodes)
    assert watch.cycle().failures == ()
    nodes[1].chain_id = 1
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "rpc_up", "main", "http://node-1.example:80") == 0
    nodes[1].chain_id = 138
    assert value(watch.cycle(), "rpc_up", "main", "http://node-1.example:80") == 1


@pytest.mark.parametrize(("ahead", "alert"), [(60, None), (61, "ChainHalted"), (-62, "ClockSkew")])
def test_findings__newest_block_old_or_in_the_future__is_told(ahead: int, alert: str | None, tmp_path: Path) -> None:
    world = World()
    watch = watching(world, tmp_path)
    watch.now = lambda: datetime.fromtimestamp(world.now + ahead, UTC)
    snapshot = watch.cycle()
    assert value(snapshot, "clock_skew_seconds", "main") == ahead
    assert {name for name, subject in alerts(snapshot) if subject == "main"} == ({alert} if alert else set())


def qbft(validators: list[str]) -> str:
    """``extraData`` of a QBFT block without seals."""
    listed = [bytes.fromhex(each[2:]) for each in validators]
    return "0x" + rlp.encode([b"\0" * 32, listed, [], b"", []]).hex()


MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"


def test_cycle__validator_that_proposes_nothing__falls_silent(tmp_path: Path) -> None:
    validators = ["0x" + digits * 20 for digits in ("11", "12", "13")]
    world = World(length=3)
    for number in range(40):
        world.grow(miner=validators[number % 3], mixHash=MIX_HASH, extraData=qbft(validators))
    watch = watching(world, tmp_path)
    seen = values(watch.cycle(), "chain_validator_last_block_timestamp_seconds")
    assert seen == {("main", each): world.now - 2 * ((39 - number) % 3) for number, each in enumerate(validators)}
    last = world.now
    for number in range(180):
        world.grow(miner=validators[number % 2], mixHash=MIX_HASH, extraData=qbft(validators))
    snapshot = watch.cycle()
    assert value(snapshot, "chain_validator_last_block_timestamp_seconds", "main", validators[2]) <= last
    (silent,) = network_findings(snapshot)
    assert (silent.alert, silent.detail.split()[0]) == ("ValidatorNotProducing", validators[2])


# -- configuration -----------------------------------------------------------------------------------------------------


def test_unwatched__nothing_configured__names_every_section(tmp_path: Path) -> None:
    world = World()
    assert watching(world, tmp_path).unwatched() == [
        f"monitor.{name}"
        for name in (
            "index",
            "ledger",
            "liquidation",
            "price_oracles",
            "bridge",
            "guard",
            "stabilizer",
            "parity",
            "roles",
            "multisigs",
        )
    ]


def test_digest__monitor_configured_or_not__is_the_same(tmp_path: Path) -> None:
    world = World()
    plain, watched = watching(world, tmp_path).loaded, watching(world, tmp_path, ALL).loaded
    assert plain.config != watched.config
    assert plain.digest() == watched.digest()


def test_configuration__asset_named_as_a_token_elsewhere__is_refused(tmp_path: Path) -> None:
    for name, there, told in (("USDW", GOLD, True), ("USDW", address(0), False), ("XAU", GOLD, False)):
        settings = {"ledger": {"address": LEDGER, "assets": {name: there}}}
        if not told:
            watching(World(), tmp_path, settings)
            continue
        with pytest.raises(ValueError, match=r"monitor\.ledger\.assets\.USDW: is the name of a token"):
            watching(World(), tmp_path, settings)


def test_configuration__refund_that_ends_no_transfer__is_refused() -> None:
    with pytest.raises(ValueError, match=r"bridge\.refunded: they are among bridge\.failed"):
        configuration(World(), {"bridge": {"address": BRIDGE, "failed": ("failed",)}})


@pytest.mark.requires("promtool", "apt-get install prometheus")
def test_cycle__hostile_names_of_statuses__are_labels_and_nothing_else(tmp_path: Path) -> None:
    hostile = ('"} 1\nattest_token_reserve_sufficient{token="USDW', "\\", "\u202e{}#", "\r\n", "# HELP x", "")
    world = World()
    world.answers[BRIDGE, f"bridgeReserve {address(0)}"] = (5,)
    ends = {"settled": hostile[:1], "failed": hostile[1:2], "refunded": ()}
    bridge = {"address": BRIDGE, "statuses": ("none", *hostile), **ends}
    snapshot = watching(world, tmp_path, {"index": "sqlite:///events.sqlite", "bridge": bridge}).cycle()
    assert {labels[0] for labels in values(snapshot, "bridge_transfers_total")} >= set(hostile)
    text = snapshot.exposition()
    assert text.count("\nattest_token_reserve_sufficient{") == 1
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_cycle__bridge__reserve_and_safety_of_each_token(tmp_path: Path) -> None:
    world = World(tokens=("USDW", "EURW"))
    for number in range(2):
        world.answers[BRIDGE, f"bridgeReserve {address(number)}"] = (500 + number,)
    snapshot = watching(world, tmp_path, {"bridge": {"address": BRIDGE, "safety_percent": 150}}).cycle()
    assert values(snapshot, "bridge_reserve_units") == {("USDW",): 500, ("EURW",): 501}
    assert value(snapshot, "bridge_safety_factor", "EURW") == Fraction(3, 2)


def test_cycle__bridge_that_refuses_one_token__costs_that_token_only_and_is_named(tmp_path: Path) -> None:
    world = World(tokens=("USDW", "EURW"))
    world.answers[BRIDGE, f"bridgeReserve {address(0)}"] = Error(3, "execution reverted: panic: 0x11")
    world.answers[BRIDGE, f"bridgeReserve {address(1)}"] = (501,)
    snapshot = watching(world, tmp_path, {"bridge": {"address": BRIDGE}}).cycle()
    assert [failure.collector for failure in snapshot.failures] == ["bridge-USDW"]
    assert values(snapshot, "bridge_reserve_units") == {("EURW",): 501}
    assert ("CollectorFailed", "bridge-USDW") in alerts(snapshot)
    assert value(snapshot, "collector_last_success_timestamp_seconds", "bridge-EURW") == world.now + 1


def test_cycle__oracle_that_lists_another_reporter__shows_its_reports_too(tmp_path: Path) -> None:
    world = World()
    other = "0x" + "39" * 20
    world.answers[ORACLE, "reporters"] = ([other, REPORTERS[0]],)
    reporters = {
        label[1]
        for label in values(watching(world, tmp_path).cycle(), "reserve_oracle_reporter_last_report_timestamp_seconds")
    }
    assert reporters == {other, *REPORTERS}


@pytest.mark.parametrize(("age", "fails"), [(3600, False), (3601, True)])
def test_cycle__final_block_stands_still_while_the_head_goes_on__is_told(age: int, fails: bool, tmp_path: Path) -> None:
    world = World()
    node, final = world.node(), len(world.headers) - 1
    own, newest = node.handlers["eth_getBlockByNumber"], world.now + age

    def block(params: list[str]) -> Any:
        return own([hex(final) if params[0] == "finalized" else params[0], False])

    node.handlers["eth_getBlockByNumber"] = block
    watch = watching(world, tmp_path, nodes=[node])
    chain = watch.loaded.config.chains["main"].model_copy(update={"finality": "tag"})
    watch.loaded.config.chains["main"] = chain  # type: ignore[index]
    world.grow()
    world.headers[-1]["timestamp"] = hex(newest)
    found = [(each.collector, each.error.code) for each in watch.cycle().failures]
    assert found == ([("network-main", "final-block-old")] if fails else [])


@pytest.mark.parametrize("number", [49, 1000, 2**255])
def test_cycle__one_endpoint_of_three_invents_new_blocks__the_halted_chain_is_told(number: int, tmp_path: Path) -> None:
    world = World()
    liar, honest = world.node(), world.node().handlers["eth_getBlockByNumber"]

    def block(params: list[str]) -> Any:
        invented = {"number": hex(number), "timestamp": hex(world.now + 3600)}
        return {**honest(params), **invented} if params[0] == "latest" else honest(params)

    liar.handlers["eth_getBlockByNumber"] = block
    watch = watching(world, tmp_path, nodes=[liar, world.node(), world.node()])
    watch.clients["main"].read_quorum = 2
    watch.now = lambda: datetime.fromtimestamp(world.now + 3600, UTC)
    snapshot = watch.cycle()
    assert value(snapshot, "chain_head_timestamp_seconds", "main") == world.now
    assert value(snapshot, "chain_head_block_number", "main") == 49
    assert ("ChainHalted", "main") in alerts(snapshot)


# -- events ------------------------------------------------------------------------------------------------------------

EVERY_EVENT = {
    "index": "sqlite:///events.sqlite",
    "bridge": {"address": BRIDGE},
    "guard": {"address": "0x" + "86" * 20},
    "liquidation": {"address": "0x" + "87" * 20},
}


def test_cycle__index_without_events__has_every_counter_at_zero(tmp_path: Path) -> None:
    world = World()
    world.answers[BRIDGE, f"bridgeReserve {address(0)}"] = (0,)
    watch = watching(world, tmp_path, EVERY_EVENT)
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "chain_indexed_block_number", "main") == 49
    counters = {
        name: values(snapshot, name)
        for name in (
            "bridge_transfers_total", "bridge_reserve_verifications_total", "bridge_compliance_checks_total",
            "vault_liquidations_total", "compliance_violations_total", "chain_reorgs_total", "token_mints_total",
        )
    }  # fmt: skip
    assert {name: len(found) for name, found in counters.items()} == {
        "bridge_transfers_total": 5,
        "bridge_reserve_verifications_total": 2,
        "bridge_compliance_checks_total": 2,
        "vault_liquidations_total": 1,
        "compliance_violations_total": 3,
        "chain_reorgs_total": 1,
        "token_mints_total": 1,
    }
    assert {number for found in counters.values() for number in found.values()} == {0}
    watch.close()


def test_notes__outflow_without_a_settled_transfer__says_that_the_reserve_is_compared_with_nothing(
    tmp_path: Path,
) -> None:
    world = World()
    world.answers[BRIDGE, f"bridgeReserve {address(0)}"] = (0,)
    with closing(watching(world, tmp_path, EVERY_EVENT)) as watch:
        assert notes(watch.cycle()) == [], "nothing left, and nothing is needed"
    transfer = {"transferId": b"\x01" * 32}
    world.emit(emission("transfer-initiated", BRIDGE, token=address(0), amount=100, **transfer))
    with closing(watching(world, tmp_path, EVERY_EVENT)) as watch:
        snapshot = watch.cycle()
        assert ("BridgeBufferBreachSoon", "USDW") not in alerts(snapshot)
        (note,) = notes(snapshot)
        assert "the bridge's reserve of USDW is compared with nothing" in note
    world.emit(emission("transfer-status", BRIDGE, newStatus=SETTLED, **transfer))
    with closing(watching(world, tmp_path, EVERY_EVENT)) as watch:
        snapshot = watch.cycle()
        assert ("BridgeBufferBreachSoon", "USDW") in alerts(snapshot)
        assert notes(snapshot) == []


def test_cycle__deviation_and_trades_between_two_cycles__are_told_for_an_hour_and_after_a_restart(
    tmp_path: Path,
) -> None:
    world = World()
    world.stabilizer(cap=1000)
    settings = {"index": "sqlite:///events.sqlite", "stabilizer": {"address": STABILIZER}}
    with closing(watching(world, tmp_path, settings)) as watch:
        snapshot = watch.cycle()
        assert snapshot.failures == ()
        assert value(snapshot, "flash_drain_recovery_blocks") == value(snapshot, "stabilizer_block_volume_units") == 0
        for blocks, volume in ((2, 1000), (3, 1001), (1, 7)):
            world.emit(
                emission("deviation-ended", STABILIZER, sustainedBlocks=blocks),
                emission("stabilized", STABILIZER, blockVolume=volume),
            )
        begun = world.now - 2  # the block of the largest of both
        before = watch.cycle()
    with closing(watching(world, tmp_path, settings)) as watch:
        for snapshot in (before, watch.cycle()):
            assert value(snapshot, "flash_drain_recovery_blocks") == 3
            assert value(snapshot, "stabilizer_block_volume_units") == 1001
            told = {("FlashDrainRecoverySlow", "stabilizer"), ("StabilizerBlockCapExceeded", "stabilizer")}
            assert told <= alerts(snapshot)
        world.grow(at=begun + 3599)
        assert value(watch.cycle(), "flash_drain_recovery_blocks") == 3
        world.grow(at=begun + 3600)
        snapshot = watch.cycle()
        assert value(snapshot, "flash_drain_recovery_blocks") == 1
        assert value(snapshot, "stabilizer_block_volume_units") == 7


def test_cycle__node_without_history__costs_the_events_only_and_is_named(tmp_path: Path) -> None:
    world = World(length=230)
    node = world.node()
    whole = node.handlers["eth_getBlockByNumber"]
    node.handlers["eth_getBlockByNumber"] = lambda params: None if params[0] == hex(9) else whole(params)
    settings = {"index": "sqlite:///events.sqlite", "first_block": 10}
    (failure,) = watching(world, tmp_path, settings, nodes=[node]).cycle().failures
    assert (failure.collector, failure.error.code) == ("events", "history-missing")
    assert "http://node-0.example:80" in failure.error.message
    assert "block 9" in failure.error.message
    assert failure.error.advice


@pytest.mark.parametrize("section", ["guard", "liquidation"])
def test_cycle__followed_contract_that_is_not_there__fails_instead_of_counting_nothing(
    section: str, tmp_path: Path
) -> None:
    world = World()
    gone = "0x" + "86" * 20
    watched = {"index": "sqlite:///events.sqlite", section: {"address": gone}}
    assert watching(world, tmp_path, watched).cycle().failures == ()
    world.empty.add(gone)
    (failure,) = watching(world, tmp_path, watched).cycle().failures
    assert failure.collector == section
    assert failure.error.message == f"monitor.{section}: there is no contract at {gone} on chain main at block 49"


def test_cycle__told_to_stop_in_a_long_scan__breaks_off_and_goes_on_from_there(tmp_path: Path) -> None:
    line = Line(70_000)
    node = line.node(eth_getLogs=lambda params: [])
    watch = watching(World(), tmp_path, {"index": "sqlite:///events.sqlite"}, nodes=[node])
    watch.stopping = lambda: True
    scanned = [value(watch.cycle(), "chain_indexed_block_number", "main") for _ in range(4)]
    assert 0 < scanned[0] < scanned[1] < scanned[2] < 70_000 - 1
    assert scanned[3] == 70_000 - 1
    watch.close()


def test_cycle__index_whose_folder_is_missing__costs_events_and_history_only(tmp_path: Path) -> None:
    snapshot = watching(World(), tmp_path, {"index": "sqlite:///nowhere/events.sqlite"}).cycle()
    assert {failure.collector for failure in snapshot.failures} == {"events", "history"}
    assert value(snapshot, "collector_errors_total", "events") == 1
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000


def test_cycle__history__is_in_the_index_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    world = World()
    for supply in (1_000_000, 900_000):
        world.set_token("USDW", supply=supply, reserve=1_200_000)
        watch = watching(world, tmp_path, {"index": "sqlite:///events.sqlite"})
        assert watch.cycle().failures == ()
        watch.close()
    ((_, last, low, high),) = watch.history.read(SPANS[0], ["supply/USDW"], world.now + 1)["supply/USDW"]
    assert (last, low, high) == (900_000, 900_000, 1_000_000)
    watch.close()


def test_cycle__without_events__leaves_no_history(tmp_path: Path) -> None:
    watch = watching(World(), tmp_path, {"index": "sqlite:///events.sqlite"})
    watch.cycle(events=False)
    assert list(tmp_path.glob("events.sqlite*")) == []


def test_cycle__locked_database__costs_that_cycle_s_events_and_history_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.monitor.database._LOCK_SECONDS", 0.1)
    world = World()
    watch = watching(world, tmp_path, {"index": "sqlite:///events.sqlite"})
    assert watch.cycle().failures == ()
    world.grow()
    world.set_token("USDW", supply=1_000_001, reserve=1_200_000)
    with closing(sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        snapshot = watch.cycle()
    assert {(failure.collector, failure.error.code) for failure in snapshot.failures} == {
        ("events", "index-locked"),
        ("history", "index-locked"),
    }
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_001
    assert watch.cycle().failures == ()
    watch.close()


def test_cycle__endpoint_lost_after_a_cycle__counters_stay_as_of_the_last_block(tmp_path: Path) -> None:
    world = World()
    node = world.node()
    watch = watching(world, tmp_path, {"index": "sqlite:///events.sqlite"}, nodes=[node])
    watch.cycle()
    node.faults = [TransportFault("refused", again=False)] * 50
    asked = len(node.requests)
    snapshot = watch.cycle()
    assert values(snapshot, "token_supply_units") == {}
    assert value(snapshot, "token_mints_total", "USDW") == 0
    assert value(snapshot, "chain_indexed_block_number", "main") == 49
    assert len(node.requests) - asked == 1, "it is not asked again in the same cycle"


def test_cycle__first_scan_takes_long__everything_else_is_watched_meanwhile(tmp_path: Path) -> None:
    world = World(length=2 * CAREFUL)
    node = world.node()

    def logs(params: list[Any]) -> list[Any]:
        if int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 5:
            raise Error(-32005, "range too large")
        return []

    node.handlers["eth_getLogs"] = logs
    watch = watching(world, tmp_path, EVERY_EVENT, nodes=[node])
    world.answers[BRIDGE, f"bridgeReserve {address(0)}"] = (0,)
    snapshot = watch.cycle(patience=0)
    assert [(each.collector, each.error.code) for each in snapshot.failures] == [("events", "index-behind")]
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000
    assert value(snapshot, "collector_last_success_timestamp_seconds", "events") == 0
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "chain_indexed_block_number", "main") == 2 * CAREFUL - 1
    watch.close()


def test_watch__event_that_no_contract_has__is_refused_at_the_start(tmp_path: Path) -> None:
    events = {"transfer-begun": {"event": "Begun(bytes32 id)"}}
    with pytest.raises(OperatorError, match=r"monitor\.bridge\.events\.transfer-begun"):
        watching(World(), tmp_path, {"index": "sqlite:///e.sqlite", "bridge": {"address": BRIDGE, "events": events}})
