"""What is told of the events while the index is written by another, breaks off, or has yet to catch up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attest.errors import ChainError, OperatorError
from attest.monitor.following import Follower
from tests.support.chains import Error
from tests.support.eventful import EventfulChain, emission, minted
from tests.support.indexing import client
from tests.support.watched import World, address, configuration

BRIDGE, ADDRESS = "0x" + "81" * 20, "0x" + "82" * 20
GUARD = "0x" + "86" * 20
TOKEN = address(0)


def follower(folder: Path, **monitor: Any) -> Follower:
    settings = {"index": "sqlite:///events.sqlite", "guard": {"address": GUARD}, **monitor}
    return Follower(configuration(World(length=1), settings), folder, settings["index"])


def told(following: Follower, name: str) -> dict[tuple[str, ...], Any]:
    return {each.labels: each.value for each in following.samples() if each.metric.name == f"attest_{name}"}


def violation() -> Any:
    return emission("gru-isolation-violated", GUARD)


def test_samples__another_exporter_indexed_the_blocks__counts_what_it_found(tmp_path: Path) -> None:
    chain = EventfulChain()
    chain.mine(minted(1, TOKEN))
    first, second = follower(tmp_path), follower(tmp_path)
    for each in (first, second):
        each.advance(client(chain))
        assert told(each, "compliance_violations_total")["gru-isolation",] == 0
    chain.mine(violation(), minted(2, TOKEN))
    for each in (first, second):
        each.advance(client(chain))
        assert told(each, "compliance_violations_total")["gru-isolation",] == 1
        assert told(each, "token_mints_total") == {("USDW",): 2}
    chain.reorganise(1)
    chain.mine()
    for each in (second, first):
        each.advance(client(chain))
        assert told(each, "compliance_violations_total")["gru-isolation",] == 0
        assert told(each, "chain_reorgs_total") == {("main",): 1}


def test_samples__a_later_block_cannot_be_read__tells_of_those_before_it(tmp_path: Path) -> None:
    chain = EventfulChain(limit=1)
    chain.mine()
    following = follower(tmp_path)
    following.advance(client(chain))
    assert told(following, "compliance_violations_total")["gru-isolation",] == 0
    chain.mine(violation())
    chain.mine()

    def logs(params: list[Any]) -> Any:
        if int(params[0]["toBlock"], 16) == chain.head:
            raise Error(-32005, "query returned more than 10000 results")
        return chain.node().handlers["eth_getLogs"](params)

    with pytest.raises(ChainError):
        following.advance(client(chain.node(eth_getLogs=logs, eth_getBlockReceipts=lambda params: None)))
    assert told(following, "chain_indexed_block_number") == {("main",): chain.head - 1}
    assert told(following, "compliance_violations_total")["gru-isolation",] == 1


def test_advance__long_way_to_go__goes_on_with_the_next_call_and_counts_nothing_before(tmp_path: Path) -> None:
    chain = EventfulChain(limit=10)
    for _ in range(200):
        chain.mine(violation())
    following, reached = follower(tmp_path), []
    for _ in range(4):
        with pytest.raises(ChainError) as behind:
            following.advance(client(chain), patience=0)
        assert behind.value.code == "index-behind"
        assert told(following, "compliance_violations_total") == {}
        reached.append(told(following, "chain_indexed_block_number")["main",])
    assert reached == sorted(set(reached))
    following.advance(client(chain), patience=60)
    assert told(following, "compliance_violations_total")["gru-isolation",] == 200


@pytest.mark.parametrize("silent", [False, True])
def test_samples__first_scan_broken_off_before_a_restart__counts_nothing(silent: bool, tmp_path: Path) -> None:
    chain = EventfulChain(limit=10)
    for _ in range(200):
        chain.mine(violation())
    whole = chain.node().handlers

    def logs(params: list[Any]) -> Any:
        if int(params[0]["toBlock"], 16) > 100:
            raise Error(-32005, "rate limit")
        return whole["eth_getLogs"](params)

    refusing = chain.node(eth_getLogs=logs, eth_getBlockReceipts=lambda params: None)
    nodes = [refusing, chain.node(eth_getBlockByNumber=lambda params: None)] if silent else [refusing, refusing]
    for node in nodes:
        following = follower(tmp_path)
        with pytest.raises(ChainError):
            following.advance(client(node))
        assert told(following, "chain_indexed_block_number")["main",] > 90
        assert told(following, "compliance_violations_total") == {}
    following.advance(client(chain))
    assert told(following, "compliance_violations_total")["gru-isolation",] == 200


LOCKED = "Locked(bytes32 indexed id, address indexed token, uint256 amount)"


def locked(**where: str) -> dict[str, Any]:
    return {"event": LOCKED, "fields": {"subject": "id", "asset": "token", "amount": "amount"}, "where": where}


@pytest.mark.parametrize(
    ("first", "second"), [({}, {}), ({"token": ADDRESS}, {}), ({"token": ADDRESS}, {"token": ADDRESS})]
)
def test_follower__two_kinds_that_are_one_event__are_refused_naming_both(
    first: dict[str, str], second: dict[str, str], tmp_path: Path
) -> None:
    events = {"transfer-initiated": locked(**first), "transfer-released": locked(**second)}
    with pytest.raises(OperatorError) as refused:
        follower(tmp_path, bridge={"address": BRIDGE, "events": events})
    assert refused.value.code == "configuration"
    assert refused.value.message == (
        f"the contract at {BRIDGE}: the events transfer-initiated and transfer-released are both Locked, and `where` "
        "does not tell them apart"
    )


def test_follower__two_contracts_at_one_address_with_one_event__are_refused(tmp_path: Path) -> None:
    events = {"iso4217-violated": {"event": LOCKED, "fields": {"asset": "token"}}}
    bridge = {"address": GUARD, "events": {"transfer-initiated": locked()}}
    with pytest.raises(OperatorError, match="transfer-initiated and iso4217-violated are both Locked"):
        follower(tmp_path, bridge=bridge, guard={"address": GUARD, "events": events})


def test_follower__two_kinds_of_one_event_told_apart_by_where__are_both_followed(tmp_path: Path) -> None:
    events = {"transfer-initiated": locked(token=ADDRESS), "transfer-released": locked(token=GUARD)}
    following = follower(tmp_path, bridge={"address": BRIDGE, "events": events})
    following.advance(client(EventfulChain()))
    assert told(following, "bridge_transfers_total")["initiated",] == 0


def test_samples__node_silent_after_a_restart__what_was_counted_stays_true(tmp_path: Path) -> None:
    chain = EventfulChain()
    for _ in range(5):
        chain.mine(violation())
    follower(tmp_path).advance(client(chain))
    restarted = follower(tmp_path)
    with pytest.raises(ChainError):
        restarted.advance(client(chain.node(eth_getBlockByNumber=lambda params: None)))
    assert told(restarted, "compliance_violations_total")["gru-isolation",] == 5
