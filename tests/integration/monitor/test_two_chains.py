"""``attest monitor`` over two real chains: the supply of both, the price of gold on both, and one of them away; and an
endpoint of the other chain among those of the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest import devnet, scenarios
from attest.chain import devnet as chain
from attest.chain.artifact import artifact
from attest.chain.contracts import role_id
from attest.chain.devnet import Anvil, Sender, TokenPlan, dev_key
from tests.support.commands import attest
from tests.support.monitors import alerts, number, once, played

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing

AWAY_ID = 651940
#: What both chains begin with: the scenarios' price of gold in USDW, and base units of USDW (18 decimals there).
PRICE = 2650 * scenarios.WAD
AWAY_SUPPLY = 1_000 * 10**18
THRESHOLD_BPS = 50


class Away:
    """The other chain: USDW, and a price oracle."""

    def __init__(self, node: Anvil) -> None:
        self.node = node
        self.token = self.deploy_token(AWAY_SUPPLY)
        self._admin = Sender(node.url, dev_key(0))
        self.prices = self._admin.create("the price oracle", "XAUOracle", self._admin.address, 3600, 1800)
        grant = artifact("XAUOracle").call_data("grantRole", role_id("FEED_ROLE"), self._admin.address)
        self._admin.add("grant FEED_ROLE", self.prices, grant)
        self._admin.commit()

    def deploy_token(self, supply: int) -> str:
        """Another USDW, of so many base units; its address."""
        plan = TokenPlan("USDW", "USD W", 18, supply)
        return chain.deploy(self.node.url, dev_key(0), [plan], reporters=[], publishers=[]).tokens["USDW"]

    def submit(self, price: int) -> None:
        self._admin.add("submit a price", self.prices, artifact("XAUOracle").call_data("submitPrice", price))
        self._admin.commit()

    @property
    def section(self) -> str:
        return (
            f'\n[chains.away]\nchain_id = {AWAY_ID}\nendpoints = ["{self.node.url}"]\nfinality = "instant"\n'
            f'\n[[tokens.USDW.deployments]]\nchain = "away"\naddress = "{self.token}"\ndecimals = 18\n'
            f'\n[monitor.parity.gold]\nprice_oracle = "USDW"\nchain = "away"\naddress = "{self.prices}"\n'
            f"threshold_bps = {THRESHOLD_BPS}\n"
        )


@pytest.fixture
def away() -> Iterator[Away]:
    with Anvil(chain_id=AWAY_ID) as node:
        yield Away(node)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[devnet.Running]:
    with played(tmp_path / "net", "calm") as network:
        yield network


@pytest.fixture
def folder(tmp_path: Path, running: devnet.Running, away: Away) -> Path:
    """The practice network's folder, with the other chain in its configuration."""
    path = tmp_path / "net"
    configuration = path / "attest.toml"
    configuration.write_text(configuration.read_text() + away.section)
    return path


def test_parity__prices_equal_then_apart_then_the_chain_gone__is_told(folder: Path, away: Away) -> None:
    away.submit(PRICE)
    calm = once(folder)
    assert (calm.code, calm.document["findings"], calm.document["unwatched"]) == (0, [], [])
    assert number(calm.document, "chain_head_block_number", chain="away") > 0

    away.submit(PRICE + PRICE * (THRESHOLD_BPS - 1) // 10_000)
    assert once(folder).document["findings"] == []
    away.submit(PRICE - PRICE * (THRESHOLD_BPS + 1) // 10_000)
    apart = once(folder)
    assert apart.code == 3
    assert alerts(apart.document) == {("CrossChainParityBroken", "gold")}

    away.node.stop()
    gone = once(folder)
    assert gone.code == 5
    failed = {each["collector"] for each in gone.document["failures"]}
    assert failed == {"network-away", "parity-gold", "token-USDW"}
    assert all(each["error"] and each["reason"] and each["advice"] for each in gone.document["failures"])
    assert ("RpcEndpointDown", away.node.url) in alerts(gone.document)
    assert number(gone.document, "token_supply_units", token="EURW") > 0
    assert number(gone.document, "bridge_transfers_total", status="settled") > 20
    assert not any(each["name"] == "attest_parity_price_deviation_ratio" for each in gone.document["metrics"])


def test_parity__price_never_submitted_there__fails_in_words(folder: Path, away: Away) -> None:
    (failure,) = once(folder).document["failures"]
    assert failure["collector"] == "parity-gold"
    assert away.prices in failure["error"]
    assert "has no price yet" in failure["error"]


def test_supply__on_two_chains_of_other_decimals__is_the_sum_and_may_exceed_the_reserve(
    folder: Path, running: devnet.Running, away: Away
) -> None:
    away.submit(PRICE)
    token = json.loads((folder / "contracts.json").read_text())["tokens"]["USDW"]
    here = chain.read(running.rpc, "WToken", token, "totalSupply")[0]
    document = once(folder).document
    assert number(document, "token_supply_units", token="USDW") == here + 1_000 * 10**6
    room = number(document, "token_reserve_units", token="USDW") - here

    for beyond in (0, 1):  # in the other chain's base units: a millionth of a millionth of one here
        configuration = folder / "attest.toml"
        before, away.token = away.section, away.deploy_token(room * 10**12 + beyond)
        configuration.write_text(configuration.read_text().replace(before, away.section))
        said = once(folder)
        assert number(said.document, "token_reserve_surplus_units", token="USDW") == -beyond
        assert number(said.document, "token_reserve_sufficient", token="USDW") == 1, "it knows of its own chain only"
        assert number(said.document, "token_money_multiplier_ok", token="USDW") == 1 - beyond
        assert (said.code, alerts(said.document)) == [
            (3, {("ReserveRatioLow", "USDW")}),
            (4, {("ReserveShortfall", "USDW")}),
        ][beyond]


def test_endpoint__of_the_other_chain__is_down_and_the_right_one_is_read(
    folder: Path, running: devnet.Running, away: Away
) -> None:
    away.submit(PRICE)
    configuration = folder / "attest.toml"
    text = configuration.read_text().replace(
        'endpoints = ["file:rpc.url"]', f'endpoints = ["{away.node.url}", "file:rpc.url"]'
    )
    configuration.write_text(text)
    said = once(folder)
    assert (said.code, said.document["failures"]) == (5, [])
    wrong = f"chain main: serves chain id {AWAY_ID}, not 138"
    (found,) = said.document["findings"]
    assert (found["alert"], found["subject"], found["detail"]) == ("RpcEndpointDown", away.node.url, wrong)
    assert number(said.document, "rpc_up", chain="main", endpoint=away.node.url) == 0
    assert number(said.document, "rpc_up", chain="main", endpoint=running.rpc) == 1
    assert number(said.document, "bridge_transfers_total", status="settled") > 20

    network = attest("doctor", "--network", "--json", "--config", configuration)
    assert network.code == 2
    (error,) = [each for each in network.document["findings"] if each["state"] == "error"]
    assert error["detail"] == f"RpcEndpointDown: {wrong}"
    assert error["advice"]
