"""``attest monitor`` over the scenarios of the practice network: what the daily check says of each, and the exporter as
Prometheus meets it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from attest.chain import devnet as chain
from tests.support.commands import attest
from tests.support.monitors import alerts, counter, exporting, fetched, number, once, played, scraped

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


@pytest.mark.requires("promtool", "apt-get install prometheus")
def test_calm__nothing_is_found_and_the_exposition_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "calm") as running:
        said = once(folder)
        assert (said.code, said.document["findings"], said.document["unwatched"]) == (0, [], ["monitor.parity"])
        settled = number(said.document, "bridge_transfers_total", status="settled")
        assert settled > 20
        assert number(said.document, "token_mints_total", token="GBPW") > 0
        assert number(said.document, "cycle_requests") < 25

        table = attest("monitor", "--once", "--config", folder / "attest.toml")
        assert table.code == 0
        assert max(map(len, table.out.splitlines())) <= 80

        initiated = 'attest_bridge_transfers_total{status="initiated"}'
        with exporting(folder) as url:
            first = scraped(url)
            checked = subprocess.run(
                ["promtool", "check", "metrics"], input=first.encode(), capture_output=True, check=False
            )
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
            assert fetched(f"{url}/healthz")[0] == 200
            assert "Nothing is wrong." in fetched(f"{url}/")[1]
        for beat in range(4):
            running.beat(beat)
        with exporting(folder) as url, exporting(folder) as other:
            assert counter(scraped(url), initiated) == counter(scraped(other), initiated)
            assert counter(scraped(url), initiated) == counter(first, initiated) + 2, "beats 0 and 3, while it was down"

        network = attest("doctor", "--network", "--config", folder / "attest.toml")
        assert network.code == 0
        assert "Nothing critical." in network.out
    network = attest("doctor", "--network", "--json", "--config", folder / "attest.toml")
    assert network.code == 2
    assert any("RpcEndpointDown" in each["detail"] and each["advice"] for each in network.document["findings"])
    said = once(folder)
    assert said.code == 5
    assert number(said.document, "bridge_transfers_total", status="settled") >= settled, "what was counted stays true"


def test_shortfall__each_token__is_told_by_its_own_alert(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "shortfall"):
        said = once(folder)
        assert said.code == 4
        assert alerts(said.document) == {
            ("ReserveShortfall", "USDW"),
            ("OnchainReserveInsufficient", "USDW"),
            ("ReserveRatioLow", "EURW"),
            ("ReserveRatioBelow110", "GBPW"),
            ("ComplianceViolation", "money-multiplier-violation"),
            ("BridgeComplianceViolation", "compliance-check-failed"),
        }
        assert number(said.document, "token_reserve_surplus_units", token="USDW") < 0
        assert number(said.document, "compliance_violations_total", kind="money-multiplier") == 2


def test_oracle_stale__reports_and_prices__are_told(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "oracle-stale"):
        said = once(folder)
        assert said.code == 5
        found = {alert for alert, _ in alerts(said.document)}
        assert found == {
            "OnchainReserveInsufficient",
            "OracleQuorumNotMet",
            "PriceOracleFrozen",
            "PriceOracleStale",
            "ReserveReportStale",
        }


def test_bridge_failure__rate_buffer_and_the_stuck_transfer__are_told(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "bridge-failure") as running:
        for beat in range(5):
            running.beat(beat)
        said = once(folder)
        assert said.code == 5
        found = {alert for alert, _ in alerts(said.document)}
        assert found >= {
            "BridgeBufferBreachSoon",
            "BridgeComplianceViolation",
            "BridgeReserveVerificationFailed",
            "BridgeSuccessRateCritical",
            "BridgeTransferPending",
        }
        assert not found & {"ReserveShortfall", "VaultHealthLow", "PriceOracleStale"}


def test_liquidation__vault_and_ceiling__are_told(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "liquidation"):
        found = alerts(once(folder).document)
        assert {
            ("VaultHealthCritical", "vaults"),
            ("DebtCeilingHigh", "USDW"),
            ("VaultLiquidation", "liquidation"),
        } <= found


def test_reorg__blocks_that_were_counted_are_replaced__is_counted_itself(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "reorg") as running:
        assert number(once(folder).document, "chain_reorgs_total") == 0
        chain.reorganise(running.rpc, 3)
        document = once(folder).document
        assert number(document, "chain_reorgs_total") == 1
        assert number(document, "chain_indexed_block_number") == number(document, "chain_head_block_number")


def test_address_in_use__is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with played(folder, "calm"), exporting(folder) as url:
        scraped(url)
        said = attest("monitor", "--config", folder / "attest.toml", "--listen", url.removeprefix("http://"))
        assert said.code == 2
        assert "cannot listen on 127.0.0.1" in said.err
