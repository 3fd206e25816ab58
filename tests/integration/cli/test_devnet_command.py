"""``attest devnet``: in the background and in the foreground, started twice, stopped, started again, and elsewhere."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.chain.devnet import Anvil
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_USAGE
from attest.records import to_json
from attest.scenarios import SITUATIONS, Contracts
from tests.support.commands import attest, attest_process, modes_hold, read_document, running
from tests.support.practice import Week

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover


def devnet(folder: Path, *words: object) -> tuple[int, dict[str, object]]:
    said = attest_process("devnet", "--directory", folder, *words, "--json")
    document = said.document
    assert said.err == ""
    assert document["exit_code"] == said.code
    return said.code, document


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose network, if one runs, is ended."""
    yield tmp_path / "net"
    attest_process("devnet", "--directory", tmp_path / "net", "--stop")


CONTRACTS = Contracts(
    **dict.fromkeys(("reserve_oracle", "registry", "ledger", "liquidation", "mint_controller"), "0x"),
    **dict.fromkeys(("compliance_guard", "bridge_registry", "bridge_vault", "stabilizer", "venue"), "0x"),
    **{"scenario": "calm", "chain_id": 138, "first_block": 1, "tokens": {}, "assets": {}, "price_oracles": {}},
    destinations=(),
    roles={},
    multisigs={},
)


@pytest.fixture
def prepared(folder: Path) -> Path:
    """The folder of a network that was started once, without a scenario."""
    with running("devnet", "--directory", folder, "--json") as process:
        read_document(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == EXIT_DONE
    return folder


def everything(week: Week) -> tuple[object, ...]:
    return week.stored(), week.stored("public"), json.dumps(week.sent())


def test_detach__then_run_stop_and_start_again__keeps_the_chain_and_the_week(folder: Path) -> None:
    code, started = devnet(folder, "--detach")
    assert (code, started["state"]) == (EXIT_DONE, "started")
    week = Week(folder, str(started["rpc"]))
    assert attest("run", "--config", week.config_path).code == EXIT_DONE
    before = everything(week)

    code, again = devnet(folder, "--detach")
    assert (code, again["state"], again["rpc"]) == (EXIT_DONE, "is running already", started["rpc"])
    foreground = attest_process("devnet", "--directory", folder, "--json")
    assert (foreground.code, foreground.document["code"]) == (EXIT_USAGE, "devnet-running")
    assert f"attest devnet --directory {folder} --stop" in foreground.document["advice"]

    code, stopped = devnet(folder, "--stop")
    assert (code, stopped["state"], "rpc" in stopped) == (EXIT_DONE, "stopped", False)
    code, stopped = devnet(folder, "--stop")
    assert (code, stopped["state"]) == (EXIT_DONE, "was not running")
    assert attest("status", "--config", week.config_path).code == EXIT_CHAIN

    said = attest_process("devnet", "--directory", folder, "--detach")
    assert said.code == EXIT_DONE
    assert f"Next: attest run --config {folder}/attest.toml" in said.out
    week = Week(folder, (folder / "rpc.url").read_text().strip())
    again_run = attest("run", "--config", week.config_path)
    assert again_run.code == EXIT_DONE
    assert "Nothing was sent, nothing was changed." in again_run.out
    assert everything(week) == before
    assert attest("status", "--config", week.config_path).code == EXIT_DONE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground__signalled__writes_its_state_and_ends_well(folder: Path, number: signal.Signals) -> None:
    with running("devnet", "--directory", folder, "--json") as process:
        started = read_document(process)
        assert (started["state"], Path(started["directory"])) == ("started", folder)
        process.send_signal(number)
        assert process.wait(30) == EXIT_DONE
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert (folder / "chain.json").stat().st_size > 10_000
    with socket.socket() as probe:
        host, port = started["rpc"].removeprefix("http://").split(":")
        assert probe.connect_ex((host, int(port))) != 0


def test_rpc__chain_with_the_machines_clock__is_deployed_to_and_a_week_runs(folder: Path) -> None:
    with Anvil() as node, running("devnet", "--directory", folder, "--rpc", node.url, "--json") as process:
        assert read_document(process)["rpc"] == node.url
        said = attest("run", "--config", folder / "attest.toml", "--json")
        assert (said.code, said.document["already_done"]) == (EXIT_DONE, False)
        verified = attest(
            *("verify", folder / "public/attestations/2026-W47", "--trust", folder / "trust.json"),
            *("--rpc", node.url, "--at", "2026-11-24T00:00:00Z"),
        )
        assert verified.code == EXIT_DONE, verified.out
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == EXIT_DONE


def test_scenario__detached__says_what_to_look_at_and_goes_on_when_started_again(folder: Path) -> None:
    code, started = devnet(folder, "--scenario", "shortfall", "--detach")
    assert (code, started["state"], started["scenario"]) == (EXIT_DONE, "started", "shortfall")
    contracts = json.loads((folder / "contracts.json").read_text())
    assert (started["contracts"], contracts["chain_id"]) == (str(folder / "contracts.json"), 138)
    expected = {
        "expect": "ReserveShortfall, OnchainReserveInsufficient, MoneyMultiplierViolation: USDW",
        "call": f"{contracts['tokens']['USDW']} 'isReserveSufficient()(bool)'",
    }
    assert expected in list(started["look"])  # type: ignore[call-overload]
    assert started["alerts"] == sorted(SITUATIONS["shortfall"].alerts)
    assert (started["prometheus"], (folder / "prometheus.yml").is_file()) == (str(folder / "prometheus.yml"), True)

    code, refused = devnet(folder, "--scenario", "calm", "--detach")
    assert (code, refused["code"]) == (EXIT_USAGE, "another-scenario")
    assert f"{folder}: holds the scenario shortfall, not calm" in str(refused["error"])
    code, again = devnet(folder, "--detach")
    assert (code, again["state"], again["scenario"]) == (EXIT_DONE, "is running already", "shortfall")

    code, stopped = devnet(folder, "--stop")
    assert (code, stopped["state"], "look" in stopped) == (EXIT_DONE, "stopped", False)
    with running("devnet", "--directory", folder) as process:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_DONE
    assert "shortfall: USDW has less reserve than supply" in said
    assert f"cast call --rpc-url {(folder / 'rpc.url').read_text().strip()} {expected['call']}" in said
    assert str(folder / "contracts.json") in said
    assert f"\n  attest monitor --config {folder}/attest.toml\n" in said
    assert f"\n  prometheus --config.file={folder}/prometheus.yml --storage.tsdb.path={folder}/prometheus\n" in said
    assert "Within two minutes these alerts fire there" in said
    assert all(alert in said for alert in SITUATIONS["shortfall"].alerts)


def test_scenario__in_the_folder_of_a_network_without_one__is_refused(prepared: Path) -> None:
    code, refused = devnet(prepared, "--scenario", "calm")
    assert (code, refused["code"]) == (EXIT_USAGE, "another-scenario")
    assert "holds a network without a scenario, not calm" in str(refused["error"])


def test_scenario__folder_of_one_started_again_at_another_endpoint__is_refused(prepared: Path, folder: Path) -> None:
    (prepared / "contracts.json").write_bytes(to_json(CONTRACTS))
    code, refused = devnet(folder, "--rpc", "http://127.0.0.1:1")
    assert (code, refused["code"]) == (EXIT_USAGE, "scenario-elsewhere")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scenario", "calm", "--rpc", "http://127.0.0.1:1"), "--scenario needs a chain of its own"),
        (("--scenario", "calm", "--stop"), "--stop takes nothing but --directory"),
        (("--scenario", "storm"), "'storm' is not one of 'calm', 'shortfall'"),
    ],
)
def test_scenario__impossible_options__are_refused_and_nothing_is_made(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    code, refused = devnet(folder, *words)
    assert code == EXIT_USAGE
    assert said in str(refused["error"])
    assert not folder.exists()


def test_rpc__chain_that_is_away__fails_and_works_once_it_is_there(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        code, refused = devnet(folder, "--rpc", url)
        assert (code, refused["code"]) == (EXIT_CHAIN, "devnet-rpc")
        assert url in str(refused["error"])
    with Anvil(port=port), running("devnet", "--directory", folder, "--rpc", url, "--json") as process:
        assert read_document(process)["state"] == "started"


@pytest.mark.parametrize("words", [(), ("--detach",)], ids=["foreground", "detached"])
def test_start__folder_of_something_else__is_left_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("kept")
    code, refused = devnet(tmp_path, *words)
    assert (code, refused["code"]) == (EXIT_USAGE, "folder-in-use")
    assert (tmp_path / "letters/dear.txt").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} <= {"letters", "devnet.pid"}


def test_start__folder_that_cannot_be_written__is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for folder in (tmp_path, tmp_path / "below"):
        with modes_hold():
            said = attest("devnet", "--directory", folder, "--json")
        assert (said.code, said.document["code"]) == (EXIT_USAGE, "not-writable")
        assert str(folder) in said.document["error"]
    tmp_path.chmod(0o700)


def test_detach__port_taken__says_what_the_node_said_and_leaves_the_folder_free(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, refused = devnet(folder, "--detach", "--port", port)
        assert (code, refused["code"]) == (EXIT_CHAIN, "devnet-not-started")
        assert str(port) in str(refused["error"])
    assert {path.name for path in folder.iterdir()} <= {"devnet.pid", "devnet.log"}


def test_stop__never_started__says_so_and_makes_nothing(tmp_path: Path) -> None:
    code, stopped = devnet(tmp_path / "nowhere", "--stop")
    assert (code, stopped["state"]) == (EXIT_DONE, "was not running")
    assert not (tmp_path / "nowhere").exists()
