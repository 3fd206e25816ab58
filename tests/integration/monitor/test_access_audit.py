"""The audit of access control on a real chain: roles that are granted and revoked, a wallet that is weakened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attest import devnet, scenarios
from attest.chain.artifact import artifact
from attest.chain.contracts import role_id
from attest.chain.devnet import Sender, dev_address, dev_key, read
from tests.support.commands import attest
from tests.support.practice import rpc

STRANGER = dev_address(9)

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


class Network:
    """A calm practice network, and what its daily check says."""

    def __init__(self, folder: Path, running: devnet.Running) -> None:
        contracts = devnet.watched_contracts(folder)
        assert contracts is not None
        self.folder, self.url, self.contracts = folder, running.rpc, contracts

    def check(self) -> Any:
        said = attest("monitor", "--once", "--json", "--config", self.folder / "attest.toml")
        assert said.document["failures"] == []
        return said.document

    def send(self, account: int, contract: str, address: str, function: str, *arguments: Any) -> None:
        sender = Sender(self.url, dev_key(account))
        sender.add(function, address, artifact(contract).call_data(function, *arguments), gas=300_000)
        sender.commit()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("access") / "net"
    with devnet.running(folder, port=0, witness_port=0, scenario="calm") as running:
        rpc(running.rpc, "evm_setIntervalMining", 0)
        rpc(running.rpc, "evm_setAutomine", True)
        yield Network(folder, running)


def found(document: Any) -> set[tuple[str, str]]:
    return {(each["alert"], each["subject"]) for each in document["findings"]}


def metric(document: Any, name: str) -> dict[tuple[str, ...], int]:
    return {
        tuple(each["labels"].values()): int(each["value"])
        for each in document["metrics"]
        if each["name"] == f"attest_{name}"
    }


def test_calm__every_role_of_every_contract__is_as_configured(network: Network) -> None:
    document = network.check()
    assert document["findings"] == []
    drift = metric(document, "role_drift_members")
    assert len(drift) > 30
    assert set(drift.values()) == {0}
    used = metric(document, "role_last_used_timestamp_seconds")
    assert {("mint-controller", "MINTER_ROLE"), ("reserve-oracle", "REPORTER_ROLE")} <= used.keys()


@pytest.mark.parametrize(
    ("name", "role"),
    [("mint-controller", "MINTER_ROLE"), ("reserve-oracle", "REPORTER_ROLE"), ("bridge-vault", "BACKDOOR_ROLE")],
)
def test_role__granted_to_a_stranger_and_revoked__drifts_and_is_well_again(
    network: Network, name: str, role: str
) -> None:
    audited = network.contracts.roles[name]
    label = role if role in audited.members else "other"
    network.send(0, audited.contract, audited.address, "grantRole", role_id(role), STRANGER)
    document = network.check()
    assert {("RoleDrift", f"{name} {label}"), ("RoleChanged", "role-granted")} <= found(document)
    assert metric(document, "role_drift_members")[name, label] == 1
    assert (name, label, STRANGER, "unexpected") in metric(document, "role_drift_info")
    grants = metric(document, "role_changes_total")[name, label, "granted"]
    table = attest("monitor", "--once", "--config", network.folder / "attest.toml")
    assert table.code == 5
    assert max(map(len, table.out.splitlines())) <= 80

    network.send(0, audited.contract, audited.address, "revokeRole", role_id(role), STRANGER)
    document = network.check()
    assert ("RoleDrift", f"{name} {label}") not in found(document)
    assert metric(document, "role_drift_info") == {}
    changes = metric(document, "role_changes_total")
    assert changes[name, label, "granted"] == grants
    assert changes[name, label, "revoked"] >= 1


def test_role__renounced_by_its_member__is_missing(network: Network) -> None:
    vault = network.contracts.roles["bridge-vault"]
    relayer = dev_address(scenarios.RELAYER)
    network.send(scenarios.RELAYER, vault.contract, vault.address, "renounceRole", role_id("RELAYER_ROLE"), relayer)
    document = network.check()
    assert ("RoleDrift", "bridge-vault RELAYER_ROLE") in found(document)
    assert ("bridge-vault", "RELAYER_ROLE", relayer, "missing") in metric(document, "role_drift_info")
    network.send(0, vault.contract, vault.address, "grantRole", role_id("RELAYER_ROLE"), relayer)
    assert ("RoleDrift", "bridge-vault RELAYER_ROLE") not in found(network.check())


def test_wallet__threshold_lowered_and_raised__is_weakened_and_well_again(network: Network) -> None:
    wallet = network.contracts.multisigs["treasury"]
    code = artifact("PracticeMultisig")

    def change(function: str, *arguments: Any, by: tuple[int, ...]) -> None:
        data = code.call_data(function, *arguments)
        digest = read(network.url, "PracticeMultisig", wallet.address, "getTransactionHash", wallet.address, data)[0]
        for owner in by:
            network.send(owner, "PracticeMultisig", wallet.address, "approveHash", digest)
        network.send(9, "PracticeMultisig", wallet.address, "execTransaction", wallet.address, data)

    change("changeThreshold", 1, by=(0, 1))
    document = network.check()
    assert ("MultisigWeakened", "treasury") in found(document)
    assert metric(document, "multisig_threshold") == {("treasury",): 1}
    change("addOwnerWithThreshold", STRANGER, 2, by=(2,))
    document = network.check()
    assert ("MultisigWeakened", "treasury") not in found(document)
    assert ("RoleDrift", "treasury owner") in found(document)
