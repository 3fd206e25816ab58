"""The batch client and the contract handles over real HTTP, against a real node."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from attest.chain import contracts, rpc
from attest.chain.rpc import ChainClient, connect
from attest.config import Chain
from attest.errors import ChainError
from attest.posting import HttpTransport, TransportFault
from tests.integration.chain.conftest import PUBLISHER, REPORTERS, Deployed

BASE = Path()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing but a byte of a header now and then."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.02):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()


def test_http__server_drips_its_header__the_deadline_holds(silent: str):
    with pytest.raises(TransportFault, match=r"no complete answer within 0.3 s"):
        HttpTransport(0.3).post(silent, b"[]")


def test_http__nobody_listens__is_refused_after_four_attempts():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    pauses: list[float] = []
    client = ChainClient("main", 138, [url], transport=HttpTransport(5), sleep=pauses.append)
    with pytest.raises(ChainError, match=r"ConnectError: .*\(after 4 attempts\)"):
        client.head()
    assert len(pauses) == 3


def test_batch__thousands_of_calls__come_back_in_order(deploy: Callable[..., Deployed]):
    client = deploy(1).client()
    words = [number.to_bytes(2, "big") for number in range(2500)]
    results = client.batch([("web3_sha3", [f"0x{word.hex()}"]) for word in words])
    assert results == [f"0x{keccak(word).hex()}" for word in words]
    assert list(client.requests_sent.values()) == [3]


def test_connect__wrong_chain_id__is_refused(deploy: Callable[..., Deployed]):
    url = deploy(1).node.url
    client = connect(Chain(chain_id=1, endpoints=(url,)), name="main", base=BASE)
    with pytest.raises(ChainError, match="serves chain id 138, not 1"):
        client.head()


def test_connect__real_endpoint_by_secret__reads_heads_and_blocks(deploy: Callable[..., Deployed], tmp_path: Path):
    deployed = deploy(1)
    (tmp_path / "url").write_text(deployed.node.url)
    chain = Chain(chain_id=138, endpoints=("file:url", f"{deployed.node.url}/"), read_quorum=2)
    client = connect(chain, name="main", base=tmp_path)
    head = client.head()
    found = client.block_at(head.timestamp - 1)
    assert found.number == head.number - 1
    assert client.finalized_head("depth:2").number >= head.number - 2
    assert client.finalized_head("tag").number == 0  # anvil calls nothing final on a short chain
    balance, nonce, code = client.batch(
        [
            rpc.balance_request(deployed.accounts[9], head),
            rpc.nonce_request(deployed.accounts[0], head),
            rpc.code_request(deployed.deployment.oracle, head),
        ]
    )
    assert int(balance, 16) == 10_000 * 10**18
    assert int(nonce, 16) > 5
    assert len(code) > 1000


def test_send_raw__garbage__is_rejected_by_the_node(deploy: Callable[..., Deployed]):
    ((outcome,),) = deploy(1).client().send_raw([b"\x02garbage"])
    assert outcome.kind == "rejected"
    assert outcome.code is not None


def test_handles__on_the_reference_contracts__answer(deploy: Callable[..., Deployed]):
    deployed = deploy(1)
    oracle = contracts.reserve_oracle(deployed.config.oracle, BASE)
    registry = contracts.attestation_registry(deployed.config.registry, BASE)
    address = deployed.deployment.tokens["T0W"]
    token = contracts.token(address, "T0W")
    calls = [
        oracle.required_quorum(),
        oracle.max_report_age(),
        oracle.consensus_validity(),
        oracle.reporters(),
        oracle.has_role("REPORTER_ROLE", deployed.accounts[1]),
        oracle.has_role("REPORTER_ROLE", deployed.accounts[9]),
        oracle.is_quorum_met(address),
        oracle.report_of(address, deployed.accounts[1]),
        registry.has_role("PUBLISHER_ROLE", deployed.accounts[PUBLISHER]),
        token.total_supply(),
        token.decimals(),
        token.is_reserve_sufficient(),
    ]
    client = deployed.client()
    values = contracts.read(client, calls, client.head())
    reporters = tuple(deployed.accounts[n].lower() for n in REPORTERS)
    assert values == [2, 3600, 8 * 86400, reporters, True, False, False, (0, 0), True, 1, 0, False]


def test_handles__reverts__are_told_in_words(deploy: Callable[..., Deployed]):
    deployed = deploy(1)
    oracle = contracts.reserve_oracle(deployed.config.oracle, BASE)
    registry = contracts.attestation_registry(deployed.config.registry, BASE)
    address, client = deployed.deployment.tokens["T0W"], deployed.client()
    head = client.head()
    reads = [
        oracle.verified_reserve(address),
        contracts.token(address, "T0W").verified_reserve(),
        registry.attestation_of(deployed.accounts[PUBLISHER], "2026-W47", 0),
    ]
    messages = [str(fault) for fault in contracts.read_outcomes(client, reads, head)]
    assert all("QuorumNotMet(" in message and "standing 0, required 2" in message for message in messages[:2])
    assert "NotPublished(" in messages[2]

    def simulated(sender: str, to: str, calldata: bytes) -> str:
        (error,) = client.batch(
            [("eth_call", [{"from": sender, "to": to, "data": f"0x{calldata.hex()}"}, rpc.at(head)])]
        )
        return oracle.explain(error).name

    reporter = deployed.accounts[REPORTERS[0]]
    entry = {"root": b"\1" * 32, "size": 1, "statement": b"\2" * 32, "log_root": b"\3" * 32, "log_size": 1}
    publisher = deployed.accounts[PUBLISHER]
    assert [
        simulated(deployed.accounts[9], oracle.address, oracle.submit_report(address, 1, head.timestamp)),
        simulated(reporter, oracle.address, oracle.submit_report(address, 1, head.timestamp + 999)),
        simulated(reporter, oracle.address, oracle.submit_report(address, 1, head.timestamp - 7200)),
        simulated(publisher, registry.address, registry.publish("2026-W47", 1, **entry)),
        simulated(publisher, registry.address, registry.publish("2026-W47", 0, **{**entry, "size": 0})),
    ] == [
        "AccessControlUnauthorizedAccount",
        "ReportFromFuture",
        "ReportStale",
        "RevisionSkipped",
        "InvalidRoot",
    ]
