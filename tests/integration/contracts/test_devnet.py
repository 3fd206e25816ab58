"""The local chain: starting, stopping, its clock, a node that outlives its starter, and the deployment."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from attest.chain.artifact import artifact
from attest.chain.devnet import (
    Anvil,
    Deployment,
    Sender,
    TokenPlan,
    advance_to,
    deploy,
    dev_key,
    find_anvil,
    follow_machine,
    head,
    reorganise,
)
from attest.chain.devnet import read as chain_read
from attest.errors import ChainError, OperatorError
from attest.records import from_json, to_json

GENESIS = 1_794_830_400
PLANS = (
    TokenPlan("USDW", "US Dollar W", 2, 1_000_000_00),
    TokenPlan("EURW", "Euro W", 6, 5 * 10**12),
    TokenPlan("GBPW", "Pound W", 18, 0),
)
REPORTERS = [f"0x{n:040x}" for n in (0x1001, 0x1002, 0x1003)]
PUBLISHER, HOLDER, MINTER = (f"0x{n:040x}" for n in (0x2001, 0x2002, 0x2003))

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


def rpc(url: str, method: str, *parameters: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["result"]


def block_time(url: str, tag: str = "latest") -> int:
    return int(rpc(url, "eth_getBlockByNumber", tag, False)["timestamp"], 16)


def mine(url: str) -> int:
    rpc(url, "evm_mine")
    return block_time(url)


def pay(url: str, account: str, value: str) -> None:
    """From the first of the node's accounts, in a block of its own."""
    digest = rpc(url, "eth_sendTransaction", {"from": rpc(url, "eth_accounts")[0], "to": account, "value": value})
    while rpc(url, "eth_getTransactionReceipt", digest) is None:
        pass


def signal_node(node: Anvil, number: int) -> None:
    """What the system may do to a node at any time."""
    process = node._process
    assert process is not None
    process.send_signal(number)


# -- finding the program ---------------------------------------------------------------------------------------------


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_find__npm_launcher__is_passed_over_for_the_native_program(tmp_path: Path) -> None:
    native = program(tmp_path / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
    launcher = program(tmp_path / "node_modules/@foundry-rs/anvil/bin.mjs")
    link = tmp_path / "node_modules/.bin/anvil"
    link.parent.mkdir()
    link.symlink_to(launcher)
    assert find_anvil(link) == native
    native.unlink()
    with pytest.raises(OperatorError, match="anvil was not found at"):
        find_anvil(link)


def test_find__upward_from_here_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(tmp_path / "path/anvil")
    here = tmp_path / "project/deep/down"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_anvil() == on_path
    near = program(tmp_path / "project/node_modules/.bin/anvil")
    assert find_anvil() == near
    explicit = program(tmp_path / "explicit")
    assert find_anvil(explicit) == explicit


def test_find__nowhere__says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError) as caught:
        find_anvil()
    assert caught.value.code == "anvil-not-found"
    assert "npm install @foundry-rs/anvil" in caught.value.advice
    with pytest.raises(OperatorError, match="missing"):
        find_anvil(tmp_path / "missing")


# -- start and stop --------------------------------------------------------------------------------------------------


def test_start__chain_id_and_hardfork__are_as_asked(anvil: Anvil) -> None:
    assert int(rpc(anvil.url, "eth_chainId"), 16) == 138
    assert rpc(anvil.url, "anvil_nodeInfo")["hardFork"] == "London"


def test_start__free_gas__an_account_without_ether_can_send() -> None:
    with Anvil(free_gas=True, chain_id=4242) as node:
        assert int(rpc(node.url, "eth_gasPrice"), 16) == 0
        assert int(rpc(node.url, "eth_chainId"), 16) == 4242
        poor = "0x" + "99" * 20
        rpc(node.url, "anvil_impersonateAccount", poor)
        digest = rpc(node.url, "eth_sendTransaction", {"from": poor, "to": HOLDER, "gas": "0x5208", "gasPrice": "0x0"})
        mine(node.url)
        assert rpc(node.url, "eth_getTransactionReceipt", digest)["status"] == "0x1"


def test_start__environment_names_a_proxy__the_local_node_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Anvil(timestamp=GENESIS) as node:
        assert advance_to(node.url, GENESIS + 1) == 1


def test_start__port_taken__fails_with_what_the_node_said(anvil: Anvil, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match=f"port {anvil.port}: .*in use") as caught:
        Anvil(port=anvil.port, log=tmp_path / "log").start()
    assert caught.value.code == "devnet-not-started"
    assert "in use" in (tmp_path / "log").read_text()


def test_start__damaged_state__fails_and_leaves_it_alone(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text("{damaged")
    with pytest.raises(ChainError, match="failed to parse"):
        Anvil(state=state).start()
    assert state.read_text() == "{damaged"


def test_stop__twice_or_never_started__does_nothing(tmp_path: Path) -> None:
    node = Anvil()
    node.stop()
    node.start()
    node.stop()
    node.stop()
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", node.port), 1):
        pass


def test_stop__node_that_was_killed__says_that_its_state_may_be_lost() -> None:
    node = Anvil().start()
    signal_node(node, signal.SIGKILL)
    with pytest.raises(ChainError) as caught:
        node.stop()
    assert caught.value.code == "devnet-not-stopped"


def test_state__restarted__keeps_balances_and_past_states(tmp_path: Path) -> None:
    state = tmp_path / "new folder" / "state.json"
    with Anvil(state=state) as node:
        for value in ("0x5", "0x4"):
            pay(node.url, HOLDER, value)
        hashes = [rpc(node.url, "eth_getBlockByNumber", hex(n), False)["hash"] for n in range(3)]
    with Anvil(state=state) as node:
        assert [rpc(node.url, "eth_getBlockByNumber", hex(n), False)["hash"] for n in range(3)] == hashes
        assert rpc(node.url, "eth_getBalance", HOLDER, "0x1") == "0x5"
        assert rpc(node.url, "eth_getBalance", HOLDER, "latest") == "0x9"
        assert rpc(node.url, "eth_getProof", HOLDER, [], {"blockHash": hashes[1]})["balance"] == "0x5"


def test_stop__node_that_does_not_end__is_killed_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Anvil().start()
    signal_node(node, signal.SIGSTOP)
    monkeypatch.setattr("attest.chain.devnet._STOP_SECONDS", 0.1)
    with pytest.raises(ChainError) as caught:
        node.stop()
    assert caught.value.code == "devnet-not-stopped"


# -- the clock -------------------------------------------------------------------------------------------------------


def test_clock__pinned__goes_on_by_one_second_a_block_also_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with Anvil(state=state, timestamp=GENESIS) as node:
        assert block_time(node.url) == GENESIS
        assert [mine(node.url) for _ in range(3)] == [GENESIS + 1, GENESIS + 2, GENESIS + 3]
        assert advance_to(node.url, GENESIS + 500_000) == 4
        assert mine(node.url) == GENESIS + 500_001
    for run in range(2):
        with Anvil(state=state, timestamp=GENESIS) as node:
            head = GENESIS + 500_001 + 2 * run
            assert block_time(node.url) == head
            assert [mine(node.url) for _ in range(2)] == [head + 1, head + 2]


@pytest.mark.parametrize("timestamp", [1_600_000_000, 2_500_000_000])
def test_clock__pinned_in_the_past_or_future__is_kept(timestamp: int) -> None:
    with Anvil(timestamp=timestamp) as node:
        assert mine(node.url) == timestamp + 1


def test_advance__to_the_heads_time_or_before__is_refused() -> None:
    with Anvil(timestamp=GENESIS) as node:
        mine(node.url)
        for timestamp in (GENESIS, GENESIS + 1):
            with pytest.raises(ChainError) as caught:
                advance_to(node.url, timestamp)
            assert caught.value.code == "clock-backwards"
        assert advance_to(node.url, GENESIS + 2) == 2


def test_follow_machine__pinned_chain__goes_with_the_machines_clock_and_makes_blocks() -> None:
    with Anvil(timestamp=int(time.time()) - 5000) as node:
        mine(node.url)
        follow_machine(node.url, 1)
        number, timestamp = head(node.url)
        assert abs(timestamp - time.time()) < 30
        deadline = time.monotonic() + 30
        while head(node.url)[0] < number + 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_reorganise__replaces_the_last_blocks_without_their_transactions_and_keeps_the_clock() -> None:
    with Anvil(timestamp=int(time.time()) - 5000) as node:
        follow_machine(node.url, 3600)
        rpc(node.url, "evm_setAutomine", True)
        for value in ("0x5", "0x4", "0x3"):
            pay(node.url, HOLDER, value)
        number = head(node.url)[0]
        hashes = [rpc(node.url, "eth_getBlockByNumber", hex(n), False)["hash"] for n in range(number + 1)]
        reorganise(node.url, 2)
        assert rpc(node.url, "eth_getBalance", HOLDER, "latest") == "0x5"
        after = [rpc(node.url, "eth_getBlockByNumber", hex(n), False)["hash"] for n in range(number + 1)]
        assert after[: number - 1] == hashes[: number - 1]
        assert not set(after[number - 1 :]) & set(hashes)
        assert abs(mine(node.url) - time.time()) < 30


# -- transactions ----------------------------------------------------------------------------------------------------


def test_sender__several_commits__each_goes_on_from_the_last_one(anvil: Anvil) -> None:
    sender = Sender(anvil.url, dev_key(7))
    first = rpc(anvil.url, "eth_blockNumber")
    assert sender.commit() == int(first, 16), "nothing was collected"
    oracle = sender.create("the oracle", "XAUOracle", sender.address, 60, 60)
    sender.add("grant", oracle, artifact("XAUOracle").call_data("grantRole", keccak(text="FEED_ROLE"), sender.address))
    sender.commit()
    sender.add("price", oracle, artifact("XAUOracle").call_data("submitPrice", 7))
    assert sender.commit() > int(first, 16)
    assert chain_read(anvil.url, "XAUOracle", oracle, "lastPrice") == (7,)


def test_sender__transaction_that_reverts__is_named(anvil: Anvil) -> None:
    sender = Sender(anvil.url, dev_key(7))
    oracle = sender.create("the oracle", "XAUOracle", sender.address, 60, 60)
    sender.add("state the price", oracle, artifact("XAUOracle").call_data("submitPrice", 7))
    with pytest.raises(ChainError, match="could not state the price: it reverted"):
        sender.commit()


def test_read__that_reverts__is_an_error(anvil: Anvil) -> None:
    sender = Sender(anvil.url, dev_key(8))
    oracle = sender.create("the oracle", "XAUOracle", sender.address, 60, 60)
    sender.commit()
    with pytest.raises(ChainError) as caught:
        chain_read(anvil.url, "XAUOracle", oracle, "price")
    assert caught.value.code == "devnet-rpc"


# -- the deployment --------------------------------------------------------------------------------------------------


def deploy_all(url: str, **options: Any) -> Deployment:
    given: dict[str, Any] = {"reporters": REPORTERS, "publishers": [PUBLISHER], "holder": HOLDER, "minters": [MINTER]}
    return deploy(url, dev_key(0), PLANS, **(given | options))


def read(url: str, to: str, name: str, function: str, *arguments: Any) -> int:
    data = "0x" + artifact(name).call_data(function, *arguments).hex()
    return int(rpc(url, "eth_call", {"to": to, "data": data}, "latest"), 16)


@pytest.mark.parametrize("free_gas", [False, True])
def test_deploy__contracts_roles_and_supply__are_as_asked(free_gas: bool) -> None:
    with Anvil(timestamp=GENESIS, free_gas=free_gas) as node:
        done = deploy_all(node.url, quorum=2, max_report_age=1800, consensus_validity=7200)
        oracle = done.oracle
        assert done.chain_id == 138
        # A loaded node may add empty blocks after it.
        assert done.block <= int(rpc(node.url, "eth_blockNumber"), 16)
        settings = [
            read(node.url, oracle, "ReserveOracle", f) for f in ("requiredQuorum", "maxReportAge", "consensusValidity")
        ]
        assert settings == [2, 1800, 7200]
        for plan in PLANS:
            token = done.tokens[plan.symbol]
            assert read(node.url, token, "WToken", "totalSupply") == plan.supply
            assert read(node.url, token, "WToken", "balanceOf", HOLDER) == plan.supply
            assert read(node.url, token, "WToken", "decimals") == plan.decimals
            assert read(node.url, token, "WToken", "oracle") == int(oracle, 16)
            minters = [
                read(node.url, token, "WToken", "hasRole", keccak(text="MINTER_ROLE"), a) for a in (MINTER, done.admin)
            ]
            assert minters == [1, 0]
            assert read(node.url, oracle, "ReserveOracle", "isQuorumMet", token) == 0
            assert read(node.url, oracle, "ReserveOracle", "isStanding", token, done.admin) == 0
        role = keccak(text="REPORTER_ROLE")
        assert read(node.url, oracle, "ReserveOracle", "getRoleMemberCount", role) == 3
        assert all(read(node.url, oracle, "ReserveOracle", "hasRole", role, reporter) for reporter in REPORTERS)
        role = keccak(text="PUBLISHER_ROLE")
        publishers = [
            read(node.url, done.registry, "AttestationRegistry", "hasRole", role, a) for a in (PUBLISHER, done.admin)
        ]
        assert publishers == [1, 0]
        funds = [
            int(rpc(node.url, "eth_getBalance", account, "latest"), 16) for account in (*REPORTERS, PUBLISHER, HOLDER)
        ]
        assert funds == ([0] * 5 if free_gas else [10**18] * 4 + [0])


def test_deploy__same_inputs__give_the_same_addresses() -> None:
    found = []
    for timestamp in (GENESIS, GENESIS + 5):
        with Anvil(timestamp=timestamp) as node:
            done = deploy_all(node.url)
            found.append((done.oracle, done.registry, dict(done.tokens)))
    assert found[0] == found[1]
    assert len({found[0][0], found[0][1], *found[0][2].values()}) == 5


def test_deploy__all_transactions_of_a_block__are_made_ready_at_once_and_mined_together() -> None:
    """Sent in the order of their nonces, now and then one waited for a predecessor that was mined already."""
    with Anvil(timestamp=GENESIS) as node:
        done = deploy_all(node.url)
        nonce = int(rpc(node.url, "eth_getTransactionCount", done.admin, "latest"), 16)
        mined = [int(rpc(node.url, "eth_getBlockTransactionCountByNumber", hex(n + 1)), 16) for n in range(done.block)]
        assert len(mined) == 1
        assert mined == [nonce]


def test_deploy__before_a_cutoff__the_supply_is_there_at_the_last_block_before_it() -> None:
    cutoff = GENESIS + 86_400
    with Anvil(timestamp=GENESIS) as node:
        done = deploy_all(node.url)
        number = advance_to(node.url, cutoff + 600)
        assert number > done.block
        assert block_time(node.url, hex(done.block)) <= cutoff < block_time(node.url)
        slot = f"0x{2:064x}"
        proof = rpc(node.url, "eth_getProof", done.tokens["USDW"], [slot], hex(done.block))
        assert int(proof["storageProof"][0]["value"], 16) == PLANS[0].supply


def test_deployment__is_written_and_read_back_as_json() -> None:
    done = Deployment(138, PUBLISHER, PUBLISHER, HOLDER, {"USDW": MINTER}, 7)
    assert from_json(Deployment, to_json(done), "deployment.json") == done


def test_deploy__admin_among_the_reporters__is_refused_before_anything_is_sent(anvil: Anvil) -> None:
    admin = rpc(anvil.url, "eth_accounts")[0]
    with pytest.raises(OperatorError) as caught:
        deploy_all(anvil.url, reporters=[*REPORTERS, admin.lower()])
    assert caught.value.code == "admin-reports"
    assert rpc(anvil.url, "eth_getTransactionCount", admin, "pending") == "0x0"


def test_deploy__admin_without_ether__names_the_first_step(anvil: Anvil) -> None:
    with pytest.raises(ChainError, match="could not deploy ReserveOracle"):
        deploy(anvil.url, "0x" + "77" * 32, PLANS, reporters=REPORTERS, publishers=[])


def test_deploy__impossible_settings__names_the_step_that_reverted(anvil: Anvil) -> None:
    with pytest.raises(ChainError, match="could not deploy ReserveOracle: it reverted"):
        deploy_all(anvil.url, max_report_age=10, consensus_validity=9)


def test_deploy__node_that_does_not_mine__gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.chain.devnet._RECEIPT_SECONDS", 0.2)
    with Anvil(timestamp=GENESIS) as node:
        rpc(node.url, "evm_setAutomine", False)
        with pytest.raises(ChainError, match="could not deploy ReserveOracle: not mined"):
            deploy_all(node.url)


def test_rpc__nobody_answers__is_a_chain_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ChainError, match=url):
            deploy_all(url)


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b"[]", b'[{"id":0,"error":{"code":-32601,"message":"no such method"}}]']
)
def test_rpc__answer_that_is_not_one__is_a_chain_error(answer: bytes) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(ChainError) as caught:
            advance_to(f"http://127.0.0.1:{server.server_port}/secret-key", GENESIS)
        assert f"http://127.0.0.1:{server.server_port}: " in caught.value.message
        assert "secret-key" not in caught.value.message
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
