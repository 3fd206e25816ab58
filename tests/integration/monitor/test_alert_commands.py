"""The commands on the alerts' pages, typed as they stand there, with the variables that docs/alerts/README.md gives."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attest import devnet, scenarios
from attest.chain.devnet import dev_key
from attest.monitor.alerts import ALERTS
from attest.scenarios import Stage, Status
from tests.support import alerting

ROOT = Path(__file__).parents[3]
COMMANDS = sorted({command for alert in ALERTS.values() for command, _ in alert.commands})
READING = [each for each in COMMANDS if each.startswith(("cast ", "attest ")) and not each.startswith("cast send")]
SENDING = [each for each in COMMANDS if each.startswith("cast send")]


@dataclass(frozen=True)
class Desk:
    """Somebody's shell in the folder of a practice network, with every variable set."""

    folder: Path
    environment: Mapping[str, str]

    def types(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-u", "-c", line],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def variables() -> Iterator[tuple[str, str]]:
    """Each variable of the README's table, and the command that gives it on a practice network."""
    for line in (ROOT / "docs/alerts/README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) == 5 and (names := re.findall(r"`([A-Z][A-Z0-9_]*)`", cells[1])):
            (command,) = re.findall(r"`([^`]+)`", cells[3])
            yield from ((name, command) for name in names)


@pytest.fixture(scope="module")
def desk(anvil: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk") / "net"
    programs = (Path(sys.executable).parent, ROOT / "node_modules/.bin")
    environment = dict(os.environ) | {"PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]])}
    with devnet.running(folder, port=0, witness_port=0, scenario="calm") as running:
        sitting = Desk(folder, environment)
        assert sitting.types("attest run").returncode == 0
        running.beat(0)
        assert sitting.types("attest monitor --once --json > once.json").returncode == 3
        for name, command in variables():
            told = sitting.types(command, **environment)
            assert told.returncode == 0, f"{name}: {told.stderr}"
            environment[name] = told.stdout.strip()
            assert environment[name], name
        yield sitting


def test_tasks__deployment_that_is_no_rehearsal__are_late_until_they_are_done(desk: Desk) -> None:
    real = re.sub(r"^clock = .*\n", "", (desk.folder / "attest.toml").read_text(), flags=re.M)
    (desk.folder / "real.toml").write_text(re.sub(r"file://private\b", "file://private-real", real))

    def missing() -> set[str]:
        found = json.loads(desk.types("attest monitor --once --json --config real.toml").stdout)["findings"]
        return {each["subject"] for each in found if each["alert"].endswith("Missing")}

    assert missing() == {"weekly-attestation", "weekly-report", "monthly-review"}, "the daily check is this one"
    listed = json.loads(desk.types("attest tasks list --json --config real.toml").stdout)
    assert [each["task"] for each in listed["tasks"] if not each["late"]] == ["daily-check"]
    for task in ("weekly-report", "monthly-review"):
        assert desk.types(f"attest tasks done {task} --config real.toml").returncode == 0
    assert missing() == {"weekly-attestation"}


def test_variables__transfer_that_failed__is_the_pending_one_until_it_is_refunded(desk: Desk) -> None:
    (query,) = [command for name, command in variables() if name == "TRANSFER_ID"]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE attest_transfers (transfer, initiated_at, ended_at, outcome)")
        database.execute("CREATE TABLE attest_events (subject, kind, status)")
        rows = [("settled", 1, 5, 2), ("refunded", 2, 6, 3), ("failed", 3, 7, 3), ("waits", 4, None, None)]
        database.executemany("INSERT INTO attest_transfers VALUES (?, ?, ?, ?)", rows)
        statuses = [("refunded", "transfer-status", 3), ("refunded", "transfer-status", 5)]
        statuses += [("failed", "transfer-status", 3), ("failed", "transfer-status", 4)]
        database.executemany("INSERT INTO attest_events VALUES (?, ?, ?)", statuses)
        sql = query.split('"')[1]
        assert database.execute(sql).fetchall() == [("failed",)]


needs_cast = pytest.mark.requires("cast", "npm install --global @foundry-rs/cast")


@needs_cast
def test_commands__that_read__all_answer(desk: Desk) -> None:
    # The weekly run reported what the example statements say: some 100.3 % of the supply, a warning.
    expected = {line: 3 if line.startswith("attest monitor") else 0 for line in READING}
    told = {line: desk.types(line) for line in READING}
    wrong = {line: each for line, each in told.items() if each.returncode != expected[line] or "error" in each.stderr}
    assert wrong == {}
    assert [line for line, each in told.items() if not each.stdout.strip()] == []


@needs_cast
def test_commands__answers__are_those_of_the_practice_network(desk: Desk) -> None:
    def answers(words: str) -> str:
        (line,) = [each for each in READING if words in each]
        return desk.types(line).stdout

    assert answers("getVaultHealth").startswith("176")
    assert answers("canLiquidate") == "false\n"
    assert answers("destinations").split("\n")[:2] == ["1", "true"]
    assert answers("isQuorumMet") == "true\n"
    contracts = devnet.watched_contracts(desk.folder)
    assert contracts is not None
    assert answers("getOwners") == f"[{', '.join(contracts.multisigs['treasury'].owners)}]\n"
    assert answers("RoleGranted").count("topics") > 20
    network = desk.types("attest doctor --network").stdout
    assert "block" in network
    assert "publisher: no run was refused" in network


@needs_cast
@pytest.mark.parametrize("line", SENDING, ids=str)
def test_command__that_sends__is_mined_with_the_admins_keystore(line: str, desk: Desk, tmp_path: Path) -> None:
    from eth_account import Account

    keystore, password = tmp_path / "admin.json", tmp_path / "password.txt"
    keystore.write_text(json.dumps(Account.encrypt(dev_key(scenarios.ADMIN), "practice", kdf="pbkdf2", iterations=1)))
    password.write_text("practice")
    more = {"ETH_KEYSTORE": str(keystore), "ETH_PASSWORD": str(password)}
    after = "cast call $BRIDGE_VAULT 'paused()(bool)'"
    wanted = "true"
    if "executeRefund" in line:
        more["TRANSFER_ID"] = failed_transfer(desk)
        after, wanted = "cast call $BRIDGE_VAULT 'transfers(bytes32)(uint8)' $TRANSFER_ID", "5"
    elif "revokeRole" in line:
        after = "cast call $MINT_CONTROLLER 'hasRole(bytes32,address)(bool)' $(cast keccak MINTER_ROLE) $MINTER"
        wanted = "false"
    told = desk.types(line, **more)
    assert told.returncode == 0, told.stderr
    assert re.search(r"^status +1", told.stdout, re.M)
    assert desk.types(f"{after} --rpc-url $RPC_URL", **more).stdout.strip() == wanted


def failed_transfer(desk: Desk) -> str:
    """A transfer that failed, and that the HSM's key has signed the refund of."""
    contracts = devnet.watched_contracts(desk.folder)
    assert contracts is not None
    stage = Stage(desk.environment["RPC_URL"], contracts, {each.symbol: each.decimals for each in devnet.TOKENS}, [])
    stage.initiate("USDW", [100])
    failed = stage.outbound(Status.INITIATED, last=1)
    stage.fail(failed)
    stage.initiate_refunds(failed)
    return f"0x{failed[0].transfer.hex()}"


# -- other programs ----------------------------------------------------------------------------------------------------

CLUSTER = [each for each in COMMANDS if each.startswith("kubectl")]
WEB = [each for each in COMMANDS if each.startswith(("amtool", "curl")) and ":9464" not in each]
MACHINE = [each for each in COMMANDS if each.startswith(("journalctl", "systemctl", "timedatectl"))]
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "besu-rpc-0", "namespace": "besu-network"},
    "spec": {"containers": [{"name": "besu"}]},
}


@contextmanager
def cluster() -> Iterator[tuple[str, list[str]]]:
    """A Kubernetes API of one pod: its URL, and the paths asked for."""
    asked: list[str] = []
    lists = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [POD]}
    usage = {"metadata": POD["metadata"], "timestamp": "2026-11-23T00:00:00Z", "window": "10s", "containers": []}
    resources = [{"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}]
    metrics = "metrics.k8s.io/v1beta1"
    group = {"name": "metrics.k8s.io", "versions": [{"groupVersion": metrics, "version": "v1beta1"}]}
    answers: Mapping[str, Any] = {
        r"/api": {"kind": "APIVersions", "versions": ["v1"]},
        r"/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]},
        r"/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": resources},
        rf"/apis/{metrics}": {"kind": "APIResourceList", "groupVersion": metrics, "resources": resources},
        r"/api/v1/namespaces/besu-network/pods": lists,
        r"/api/v1/namespaces/besu-network/pods/[^/]+": POD,
        r"/api/v1/namespaces/besu-network/pods/[^/]+/log": {},
        r"/api/v1/namespaces/besu-network/events": {
            "kind": "EventList",
            "apiVersion": "v1",
            "metadata": {},
            "items": [],
        },
        rf"/apis/{metrics}/namespaces/besu-network/pods": {"kind": "PodMetricsList", "metadata": {}, "items": [usage]},
        rf"/apis/{metrics}/namespaces/besu-network/pods/[^/]+": {"kind": "PodMetrics", **usage},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            path = self.path.partition("?")[0]
            found = [body for pattern, body in answers.items() if re.fullmatch(pattern, path)]
            body = json.dumps(found[0] if found else {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def typed(line: str, **more: str) -> subprocess.CompletedProcess[str]:
    return Desk(ROOT, {**os.environ, **more}).types(line)


@pytest.mark.requires("kubectl", "apt-get install kubernetes-client")
@pytest.mark.parametrize("line", CLUSTER, ids=str)
def test_command__of_the_cluster__asks_for_the_pods_that_it_names(line: str, tmp_path: Path) -> None:
    with cluster() as (url, asked):
        pods = {"VALIDATOR_POD": "besu-rpc-0", "ORACLE_POD": "besu-rpc-0", "HOME": str(tmp_path)}
        told = typed(f"{line} --server {url}", **pods)
    assert told.returncode == 0, told.stderr
    selector = re.search(r"-l (\S+)=(\S+)", line)
    wanted = f"labelSelector={selector[1]}%3D{selector[2]}" if selector else "/pods/besu-rpc-0"
    assert any("/namespaces/besu-network/pods" in path and wanted in path for path in asked)
    assert not re.search(r"--tail=200", line) or any("tailLines=200" in path for path in asked)


@pytest.mark.requires("prometheus", "apt-get install prometheus")
@pytest.mark.requires("prometheus-alertmanager", "apt-get install prometheus-alertmanager")
def test_command__of_prometheus_and_alertmanager__is_answered_by_both(tmp_path: Path) -> None:
    rules = ROOT / "deploy/prometheus/attest.rules.yml"
    with (
        alerting.Listener() as listener,
        alerting.alertmanager(tmp_path, alerting.alertmanager_configuration(tmp_path, listener)) as manager,
        alerting.prometheus(
            tmp_path, alerting.prometheus_configuration(tmp_path, [rules], listener.address, manager)
        ) as prometheus,
    ):
        listener.wait("/watchdog", "Watchdog", "firing", 30)
        for line in (*WEB, "amtool alert query severity=critical --alertmanager.url http://127.0.0.1:9093"):
            told = typed(line.replace("127.0.0.1:9090", prometheus).replace("127.0.0.1:9093", manager))
            assert told.returncode == 0, told.stderr
            assert told.stdout


@pytest.mark.requires("systemctl", "apt-get install systemd")
@pytest.mark.parametrize("line", MACHINE, ids=str)
def test_command__of_the_machine__is_understood(line: str) -> None:
    told = typed(line)
    # Where systemd does not run, as in a container, none of them has an answer; one that is wrong says so before.
    assert not re.search(r"unrecognized|unknown|invalid|failed to parse|usage", told.stderr, re.I)
