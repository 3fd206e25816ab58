"""``attest monitor`` where something is wrong with what it reads or with where it writes: real contracts that are not
the configured ones, a full disk, two exporters at once, kills. What fails is named, and costs nothing else."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attest import devnet
from attest.chain import devnet as chain
from tests.support.monitors import alerts, counter, number, once, played, scraped, started
from tests.support.postgresql import postgresql

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing

NOBODY = "0x" + "99" * 20
#: By what stands there: the parts that fail if it does not.
PARTS = {
    "ledger": {"vaults", "roles-ledger"},
    "liquidation": {"liquidation"},
    "price_oracles": {"price-oracle-USDW", "roles-price-oracle-USDW"},
    "bridge_vault": {"bridge-USDW", "bridge-EURW", "bridge-GBPW", "roles-bridge-vault"},
    "compliance_guard": {"guard", "roles-compliance-guard"},
    "stabilizer": {"stabilizer", "roles-stabilizer"},
    "reserve_oracle": {"token-USDW", "token-EURW", "token-GBPW", "roles-reserve-oracle"},
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, devnet.Running]]:
    folder = tmp_path_factory.mktemp("faults") / "net"
    with played(folder, "calm") as running:
        yield folder, running


@pytest.fixture
def folder(network: tuple[Path, devnet.Running]) -> Iterator[Path]:
    """The network's folder; its configuration is afterwards what it was."""
    folder, _ = network
    configuration = folder / "attest.toml"
    before = configuration.read_text()
    yield folder
    configuration.write_text(before)


def change(folder: Path, old: str, new: str) -> None:
    configuration = folder / "attest.toml"
    text = configuration.read_text()
    assert old in text
    configuration.write_text(text.replace(old, new))


def deployed(folder: Path, contract: str) -> str:
    """A contract's address."""
    found = json.loads((folder / "contracts.json").read_text())[contract]
    return str(found["USDW"] if isinstance(found, dict) else found)


# -- contracts ---------------------------------------------------------------------------------------------------------


def assert_only(document: Any, failed: set[str], address: str) -> None:
    """These parts failed, each saying which contract and what to do; the others have their numbers."""
    assert {each["collector"] for each in document["failures"]} == failed
    for failure in document["failures"]:
        assert address in failure["error"]
        assert failure["reason"]
        assert "attest.toml" in failure["advice"]
        assert number(document, "collector_errors_total", collector=failure["collector"]) == 1
    assert {("CollectorFailed", each) for each in failed} <= alerts(document)
    succeeded = {
        each["labels"]["collector"]
        for each in document["metrics"]
        if each["name"] == "attest_collector_last_success_timestamp_seconds" and each["value"] != "0"
    }
    everything = set().union(*PARTS.values()) | {"network-main", "price-oracle-EURW", "jobs", "events"}
    assert everything - succeeded == failed


@pytest.mark.parametrize("contract", PARTS)
def test_contract__not_there__costs_its_part_only_and_is_named(folder: Path, contract: str) -> None:
    change(folder, deployed(folder, contract), NOBODY)
    change(folder, "events.sqlite", f"{contract}.sqlite")
    said = once(folder)
    assert said.code == 5
    assert_only(said.document, PARTS[contract], NOBODY)


@pytest.mark.parametrize("contract", sorted(PARTS.keys() - {"liquidation", "compliance_guard"}))
def test_contract__of_another_make__costs_its_part_only_and_is_named(folder: Path, contract: str) -> None:
    other = deployed(folder, "venue")
    change(folder, deployed(folder, contract), other)
    change(folder, "events.sqlite", f"{contract}-other.sqlite")
    said = once(folder)
    assert said.code == 5
    assert_only(said.document, PARTS[contract], other)


def test_token__not_there__the_other_tokens_go_on(folder: Path) -> None:
    change(folder, deployed(folder, "tokens"), NOBODY)
    change(folder, "events.sqlite", "tokens.sqlite")
    document = once(folder).document
    assert "token-USDW" in {each["collector"] for each in document["failures"]}
    tokens = {m["labels"]["token"] for m in document["metrics"] if m["name"] == "attest_token_supply_units"}
    assert tokens == {"EURW", "GBPW"}


# -- two exporters, kills ----------------------------------------------------------------------------------------------

#: What the events add up to.
_COUNTED = re.compile(
    r"attest_(?:token_(?:mints|burns)|vault_liquidations|bridge_(?:transfers|reserve_verifications|compliance_checks)"
    r"|compliance_violations)_total\b.*|attest_bridge_settlement_duration_seconds_.*"
)


def counted(text: str) -> list[str]:
    """The lines of an exposition that events decide."""
    return [line for line in text.split("\n") if _COUNTED.fullmatch(line)]


@contextmanager
def moving(running: devnet.Running) -> Iterator[None]:
    """A chain that goes on, and is reorganised now and then."""
    ended, failures = threading.Event(), list[BaseException]()

    def move() -> None:
        try:
            for beat in itertools.count():
                if ended.wait(0.2):
                    return
                running.beat(beat)
                if beat % 3 == 2:
                    chain.reorganise(running.rpc, 4)
        except BaseException as fault:
            failures.append(fault)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert failures == []


def caught_up(url: str, running: devnet.Running) -> str:
    """What an exporter says once it has counted the last block of a chain that stands still."""
    head, _ = chain.head(running.rpc)
    deadline = time.monotonic() + 60
    while True:
        text = scraped(url)
        if counter(text, 'attest_chain_indexed_block_number{chain="main"}') == head:
            return text
        assert time.monotonic() < deadline, "it does not catch up"
        time.sleep(0.2)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("initdb", "apt-get install postgresql"))]
)
def shared(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """A configured index, of which the monitor's databases are made."""
    change(folder, "interval_seconds = 5", "interval_seconds = 1")
    if request.param == "sqlite":
        change(folder, "events.sqlite", "shared.sqlite")
        yield "sqlite"
        return
    with postgresql() as server:
        (folder / "index.url").write_text(server.url())
        change(folder, "sqlite:///events.sqlite", "file:index.url")
        yield "postgresql"


def test_two_exporters__on_one_index_and_killed_while_the_chain_moves__count_as_one_clean_scan(
    network: tuple[Path, devnet.Running], folder: Path, shared: str
) -> None:
    _, running = network
    exporters = [started(folder), started(folder)]
    try:
        with moving(running):
            for turn in range(2):
                for _, url in exporters:
                    scraped(url)
                process, _ = exporters[turn]
                process.kill()
                assert process.wait(20) == -signal.SIGKILL, "it ended by itself"
                exporters[turn] = started(folder)
        chain.reorganise(running.rpc, 2)  # the last word: no exporter saw these blocks
        running.beat(3)  # without reports: one of the same second as the last would be refused
        expositions = [caught_up(url, running) for _, url in exporters]
    finally:
        for process, _ in exporters:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    configuration = (folder / "attest.toml").read_text()
    index = re.search(r'^index = ".*"$', configuration, re.MULTILINE)
    assert index is not None
    change(folder, index[0], f'index = "sqlite:///clean-{shared}.sqlite"')
    process, url = started(folder)
    try:
        clean = caught_up(url, running)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert [counted(text) for text in expositions] == [counted(clean)] * 2
    assert len(counted(clean)) > 25
    assert counter(expositions[0], 'attest_chain_reorgs_total{chain="main"}') > 0
    assert counter(clean, 'attest_bridge_transfers_total{status="settled"}') > 20


def test_exporter__ended_in_the_middle_of_a_cycle__stops_with_0_and_leaves_a_whole_index(folder: Path) -> None:
    change(folder, "events.sqlite", "ended.sqlite")
    for _ in range(2):
        process, _ = started(folder)  # it is in its first cycle, which reads everything
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    ended = once(folder).document
    change(folder, "ended.sqlite", "whole.sqlite")
    whole = once(folder).document
    assert ended["failures"] == whole["failures"] == []
    for status in ("initiated", "settled"):
        assert number(ended, "bridge_transfers_total", status=status) == number(
            whole, "bridge_transfers_total", status=status
        )


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_disk_full__from_the_first_byte_on__is_said_and_costs_what_needs_the_index_only(
    folder: Path, disk: Path
) -> None:
    change(folder, "sqlite:///events.sqlite", f"sqlite:///{disk}/events.sqlite")
    for size in ("4k", "16k", "100k"):
        subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
        said = once(folder)
        failures = {each["collector"]: each for each in said.document["failures"]}
        failure = failures.pop("events")
        assert failure["code"] == "index-full"
        assert all(each == "history" or each.startswith("roles-") for each in failures), "what needs the index"
        assert f"{disk}/events.sqlite" in failure["error"]
        assert "Make room" in failure["advice"]
        assert number(said.document, "token_supply_units", token="USDW") > 0
    subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
    assert once(folder).document["failures"] == []


def test_disk_full__where_the_daily_check_is_noted__is_said_with_everything_else(folder: Path, disk: Path) -> None:
    change(folder, 'private = "file://private"', f'private = "file://{disk}/private"')
    change(folder, "events.sqlite", "noted.sqlite")
    assert once(folder).document["failures"] == []
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=1k"], capture_output=True, check=False)
    said = once(folder)
    assert said.code == 5
    (failure,) = said.document["failures"]
    assert failure["collector"] == "jobs"
    assert "jobs/daily-check" in failure["error"]
    assert "No space left" in failure["error"]
    assert failure["advice"]
    assert ("CollectorFailed", "jobs") in alerts(said.document)


def test_disk_full__while_the_exporter_runs__counters_stand_and_go_on_without_a_gap(
    network: tuple[Path, devnet.Running], folder: Path, disk: Path
) -> None:
    _, running = network
    change(folder, "interval_seconds = 5", "interval_seconds = 1")
    change(folder, "sqlite:///events.sqlite", f"sqlite:///{disk}/events.sqlite")
    failures = 'attest_collector_errors_total{collector="events"}'
    process, url = started(folder)
    try:
        before = caught_up(url, running)
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=1k"], capture_output=True, check=False)
        deadline = time.monotonic() + 60
        beats = itertools.count(1)
        while counter(scraped(url), failures) == 0:
            running.beat(next(beats))
            assert time.monotonic() < deadline, "the disk is never full"
        full = scraped(url)
        assert counter(full, 'attest_bridge_transfers_total{status="settled"}') > 0
        assert counter(full, 'attest_token_supply_units{token="USDW"}') > 0
        (disk / "filler").unlink()
        after = caught_up(url, running)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    change(folder, f"sqlite:///{disk}/events.sqlite", "sqlite:///after.sqlite")
    clean = once(folder).document
    initiated = 'attest_bridge_transfers_total{status="initiated"}'
    assert counter(before, initiated) < counter(after, initiated)
    assert counter(after, initiated) == number(clean, "bridge_transfers_total", status="initiated")
