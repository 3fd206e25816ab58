"""Supply, consensus and anchor read from the real contracts, with proofs that an independent trie library accepts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rlp
from eth_hash.auto import keccak
from eth_utils.crypto import keccak as text_keccak
from trie import HexaryTrie

from attest.chain import contracts, devnet, preflight, state
from attest.documents import AccountProof, BlockProof
from attest.errors import ChainError
from attest.records import from_json, to_json
from tests.integration.chain.conftest import PUBLISHER, REPORTERS, Deployed

BASE = Path()


def instant(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def check_proofs(proof: BlockProof) -> list[AccountProof]:
    """Verify every EIP-1186 proof with py-trie, against the header whose hash is the block's."""
    header = bytes.fromhex(proof.header)
    assert keccak(header).hex() == proof.block.hash
    state_root = rlp.decode(header)[3]
    for account in proof.accounts:
        nodes = [rlp.decode(bytes.fromhex(node)) for node in account.nodes]
        leaf = HexaryTrie.get_from_proof(state_root, keccak(bytes.fromhex(account.address[2:])), nodes)
        _, _, storage_root, code_hash = rlp.decode(leaf)
        assert code_hash.hex() == account.code_hash
        for slot in account.storage:
            nodes = [rlp.decode(bytes.fromhex(node)) for node in slot.nodes]
            found = HexaryTrie.get_from_proof(storage_root, keccak(bytes.fromhex(slot.slot)), nodes)
            assert int.from_bytes(rlp.decode(found) if found else b"", "big") == slot.value
    return list(proof.accounts)


def report(deployed: Deployed, units: dict[str, int], reporters: tuple[int, ...] = REPORTERS) -> None:
    oracle = contracts.reserve_oracle(deployed.config.oracle, BASE)
    for symbol, amount in units.items():
        for reporter in reporters:
            data = oracle.submit_report(deployed.deployment.tokens[symbol], amount, deployed.now())
            deployed.send(reporter, oracle.address, data)


@pytest.mark.parametrize("tokens", [3, 30])
def test_read_supply__at_the_cutoff__same_requests_for_any_number_of_tokens(deploy: Callable[..., Deployed], tokens):
    deployed = deploy(tokens)
    supplied = deployed.client().head()
    cutoff = instant(supplied.timestamp)
    deployed.rpc("evm_mine")
    client = deployed.client()
    reading = state.read_supply({"main": client}, deployed.config, cutoff=cutoff, supply_at="cutoff", base=Path())
    assert list(client.requests_sent.values()) == [3]
    assert reading.supply.blocks == (supplied,)
    assert [supply.units for supply in reading.supply.deployments] == [(n + 1) * 10 ** (n % 19) for n in range(tokens)]
    accounts = check_proofs(reading.proofs[0])
    assert [(account.purpose, account.storage[0].value) for account in accounts] == [
        ("supply", supply.units) for supply in reading.supply.deployments
    ]
    assert from_json(state.SupplyReading, to_json(reading), "reading") == reading


def test_read_supply__at_the_run__reads_the_head(deploy: Callable[..., Deployed]):
    deployed = deploy(1)
    client = deployed.client()
    before = deployed.client().head()
    cutoff = instant(before.timestamp) + timedelta(days=1)
    reading = state.read_supply({"main": client}, deployed.config, cutoff=cutoff, supply_at="run", base=Path())
    assert before.number <= reading.supply.blocks[0].number <= deployed.client().head().number
    assert list(client.requests_sent.values()) == [2]
    with pytest.raises(ChainError) as caught:
        state.read_supply({"main": client}, deployed.config, cutoff=cutoff, supply_at="cutoff", base=Path())
    assert caught.value.code == "cutoff-not-reached"


def test_read_supply__supply_changes_after_the_cutoff__reads_the_old_one(deploy: Callable[..., Deployed]):
    deployed = deploy(1)
    token = deployed.deployment.tokens["T0W"]
    cutoff = instant(deployed.now())
    burn = text_keccak(text="burn(uint256)")[:4] + (1).to_bytes(32, "big")
    deployed.send(0, token, burn)
    old = state.read_supply(
        {"main": deployed.client()}, deployed.config, cutoff=cutoff, supply_at="cutoff", base=Path()
    )
    new = state.read_supply({"main": deployed.client()}, deployed.config, cutoff=cutoff, supply_at="run", base=Path())
    assert (old.supply.units("T0W", 0), new.supply.units("T0W", 0)) == (1, 0)
    check_proofs(new.proofs[0])


@pytest.mark.parametrize("tokens", [3, 30])
def test_read_confirmation__all_reported__gives_consensus_and_proofs_in_two_requests(
    deploy: Callable[..., Deployed], tokens
):
    deployed = deploy(tokens)
    symbols = list(deployed.config.tokens)
    report(deployed, {symbols[0]: 2000, symbols[1]: 300})
    client = deployed.client()
    reading = state.read_confirmation(
        {"main": client},
        deployed.config,
        tokens=symbols,
        reporters=[deployed.accounts[n] for n in REPORTERS],
        base=BASE,
    )
    assert list(client.requests_sent.values()) == [2]
    first, second, third = reading.consensus[:3]
    assert (first.units, first.quorum_met, first.required_quorum) == (2000, True, 2)
    assert first.reports == {deployed.accounts[n]: 2000 for n in REPORTERS}
    assert second.units == 300
    assert (third.units, third.quorum_met, third.reports) == (0, False, {})
    accounts = check_proofs(reading.proofs[0])
    proven = [account for account in accounts if account.purpose == "consensus"]
    assert [account.token for account in proven] == symbols
    values = [slot.value for slot in proven[0].storage]
    assert values[:3] == [2, 8 * 86400, 3]
    assert values[3:6] == [int(deployed.accounts[n], 16) for n in REPORTERS]
    assert values[6::2] == [2000] * 3
    assert len([account for account in accounts if account.purpose == "supply"]) == tokens
    assert from_json(state.ConfirmationReading, to_json(reading), "reading") == reading


def test_read_confirmation__some_reports_expired_removed_or_of_strangers__counts_what_stands(
    deploy: Callable[..., Deployed],
):
    deployed = deploy(1)
    oracle = contracts.reserve_oracle(deployed.config.oracle, BASE)
    token = deployed.deployment.tokens["T0W"]
    report(deployed, {"T0W": 500})
    devnet.advance_to(deployed.node.url, deployed.now() + 8 * 86400 + 10)
    report(deployed, {"T0W": 700}, reporters=(1,))
    own = [deployed.accounts[1], deployed.accounts[9]]
    (consensus,) = state.read_confirmation(
        {"main": deployed.client()}, deployed.config, tokens=["T0W"], reporters=own, base=BASE
    ).consensus
    assert consensus.reports == {deployed.accounts[1]: 700}
    assert (consensus.quorum_met, consensus.units) == (False, 0)
    deployed.send(9, oracle.address, oracle.remove_stale(token))
    report(deployed, {"T0W": 710}, reporters=(2,))
    reading = state.read_confirmation(
        {"main": deployed.client()}, deployed.config, tokens=["T0W"], reporters=own, base=BASE
    )
    assert reading.consensus[0].reports == {deployed.accounts[1]: 700, deployed.accounts[2]: 710}
    assert (reading.consensus[0].quorum_met, reading.consensus[0].units) == (True, 700)
    check_proofs(reading.proofs[0])


@pytest.mark.parametrize("revision", [0, 1])
def test_read_anchor__published__gives_the_entry_and_its_proof(deploy: Callable[..., Deployed], revision):
    deployed = deploy(1)
    registry = contracts.attestation_registry(deployed.config.registry, BASE)
    for number in range(revision + 1):
        data = registry.publish("2026-W47", number, b"\x01" * 32, 7, b"\x02" * 32, b"\x03" * 32, 9)
        deployed.send(PUBLISHER, registry.address, data)
    client = deployed.client()
    publisher = deployed.accounts[PUBLISHER]
    anchor, proof = state.read_anchor(
        client, deployed.config, period="2026-W47", revision=revision, publisher=publisher, base=BASE
    )
    assert list(client.requests_sent.values()) == [2]
    assert (anchor.root, anchor.size, anchor.statement) == ("01" * 32, 7, "02" * 32)
    assert (anchor.log_root, anchor.log_size, anchor.block) == ("03" * 32, 9, proof.block)
    (account,) = check_proofs(proof)
    assert [slot.value for slot in account.storage][1::3] == [7, 9]


def test_read_anchor__nothing_published__names_the_contracts_error(deploy: Callable[..., Deployed]):
    deployed = deploy(1)
    with pytest.raises(ChainError, match="nothing was published under this publisher, period and revision"):
        state.read_anchor(
            deployed.client(),
            deployed.config,
            period="2026-W48",
            revision=0,
            publisher=deployed.accounts[PUBLISHER],
            base=BASE,
        )


def test_preflight__fresh_deployment__is_fine(deploy: Callable[..., Deployed]):
    deployed = deploy(3)
    client = deployed.client()
    findings = preflight.preflight({"main": client}, deployed.config, base=BASE, now=instant(deployed.now()))
    assert {finding.state for finding in findings} == {"ok"}
    assert list(client.requests_sent.values()) == [3]  # the head, the gas price, all the rest


def test_status_and_report_age__after_reports__tell_the_state(deploy: Callable[..., Deployed]):
    deployed = deploy(3)
    own = [deployed.accounts[n] for n in REPORTERS]
    age = state.report_age(deployed.client(), deployed.config, tokens=["T0W", "T1W"], reporters=own, base=BASE)
    assert deployed.now() - 60 < age.oldest_seconds <= deployed.now()
    report(deployed, {"T0W": 2, "T1W": 5})
    age = state.report_age(deployed.client(), deployed.config, tokens=["T0W", "T1W"], reporters=own, base=BASE)
    assert 0 < age.oldest_seconds < 60
    assert age.validity_seconds == 8 * 86400
    first, second, third = state.status({"main": deployed.client()}, deployed.config, base=BASE)
    assert (first.sufficient, first.ratio_percent, first.supply_units) == (True, "200.0", 1)
    assert (second.sufficient, second.ratio_percent, second.supply_units) == (False, "25.0", 20)
    assert (third.sufficient, third.ratio_percent) == (None, None)
    assert [report.standing for report in first.reports] == [True] * 3
    assert [report.timestamp for report in third.reports] == [0] * 3
