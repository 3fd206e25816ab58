"""Events read in ranges: every value as the ABI says it, in order, and nothing that was not asked for."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from attest.chain.logs import Log, event, read
from attest.chain.rpc import ChainClient
from attest.errors import ChainError
from tests.support.chains import Error, Network, Node

URL = "http://one.example:8545"
ADDRESS = "0x" + "ab" * 20
TRANSFER = event("Transfer(address indexed from, address indexed to, uint256 value)")
MIXED = event("Mixed(bytes32 indexed id, int64 change, bool done, bytes4 kind, uint8 status)")


def client(node: Node) -> ChainClient:
    return ChainClient("main", 138, [URL], transport=Network({URL: node}), sleep=lambda seconds: None)


def transfer(block: int, index: int = 0, value: int = 5, **changes: Any) -> dict[str, Any]:
    return {
        "address": ADDRESS.upper().replace("0X", "0x"),
        "blockNumber": hex(block),
        "blockHash": "0x" + f"{block:064x}",
        "transactionHash": "0x" + "cd" * 32,
        "logIndex": hex(index),
        "topics": [TRANSFER.topic, "0x" + "0" * 24 + "11" * 20, "0x" + "0" * 24 + "22" * 20],
        "data": "0x" + f"{value:064x}",
        "removed": False,
    } | changes


def logs(*plain: dict[str, Any], first: int = 0, last: int = 100) -> list[Log]:
    node = Node(handlers={"eth_getLogs": lambda params: list(plain)})
    return list(read(client(node), TRANSFER, [ADDRESS], first, last))


def test_event__declaration__gives_the_topic_that_nodes_know() -> None:
    assert TRANSFER.topic == "0x" + keccak(text="Transfer(address,address,uint256)").hex()
    assert TRANSFER.parameters == ("from", "to", "value")
    assert event("Paused()").parameters == ()
    bare = event("Bare(uint x,int  indexed y, uint[] z)", skip_dynamic=True)
    assert bare.topic == "0x" + keccak(text="Bare(uint256,int256,uint256[])").hex()


@pytest.mark.parametrize(
    "declaration",
    [
        "Transfer",
        "T(uint256)",
        "T(string name)",
        "T(uint7 x)",
        "T(uint264 x)",
        "T(bytes33 x)",
        "T(bytes0 x)",
        "T(a b c)",
    ],
)
def test_event__dynamic_or_unknown_types__are_refused(declaration: str) -> None:
    with pytest.raises(ValueError, match=r"event|type"):
        event(declaration)


def test_read__logs_of_a_range__come_decoded_in_the_chain_s_order() -> None:
    second, first, third = logs(transfer(7, 1, 2), transfer(7, 0, 1), transfer(9, 0, 3))[:3]
    assert [one.values[2] for one in (second, first, third)] == [1, 2, 3]
    assert second == Log(ADDRESS, 7, "0x" + f"{7:064x}", "0x" + "cd" * 32, 0, ("0x" + "11" * 20, "0x" + "22" * 20, 1))


@given(
    st.binary(min_size=32, max_size=32), st.integers(-(2**63), 2**63 - 1), st.booleans(),
    st.binary(min_size=4, max_size=4), st.integers(0, 255),
)  # fmt: skip
def test_read__any_static_values__are_what_the_abi_encoded(
    identifier: bytes, change: int, done: bool, kind: bytes, status: int
) -> None:
    data = encode(["int64", "bool", "bytes4", "uint8"], [change, done, kind, status])
    plain = transfer(1, topics=[MIXED.topic, "0x" + identifier.hex()], data="0x" + data.hex())
    node = Node(handlers={"eth_getLogs": lambda params: [plain]})
    (log,) = read(client(node), MIXED, [ADDRESS], 0, 10)
    assert log.values == (identifier, change, done, kind, status)


def test_read__long_range__is_asked_for_in_spans_without_gap_or_overlap() -> None:
    asked: list[tuple[int, int]] = []

    def answer(params: list[Any]) -> list[Any]:
        begin, end = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        asked.append((begin, end))
        return [transfer(begin)]

    found = list(read(client(Node(handlers={"eth_getLogs": answer})), TRANSFER, [ADDRESS], 3, 12_000))
    assert asked == [(3, 5002), (5003, 10_002), (10_003, 12_000)]
    assert [log.block_number for log in found] == [3, 5003, 10_003]


def test_read__node_that_takes_only_small_ranges__is_asked_in_halves_and_misses_no_block() -> None:
    def answer(params: list[Any]) -> list[Any]:
        begin, end = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if end - begin + 1 > 7:
            raise Error(-32005, "query returned more than 10000 results")
        return [transfer(block) for block in range(begin, end + 1)]

    found = list(read(client(Node(handlers={"eth_getLogs": answer})), TRANSFER, [ADDRESS], 0, 99))
    assert [log.block_number for log in found] == list(range(100))


def test_read__node_that_refuses_a_single_block__is_an_error_in_words() -> None:
    def answer(params: list[Any]) -> list[Any]:
        raise Error(-32005, "limit exceeded")

    with pytest.raises(ChainError, match="limit exceeded") as caught:
        list(read(client(Node(handlers={"eth_getLogs": answer})), TRANSFER, [ADDRESS], 5, 9))
    assert caught.value.code == "logs-refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": ["0x" + "00" * 32]},
        {"topics": [TRANSFER.topic]},
        {"topics": [TRANSFER.topic, "0x" + "1" * 64, "0x" + "0" * 64]},
        {"data": "0x"},
        {"data": "0x" + "0" * 65},
        {"data": "0x" + "g" * 64},
        {"blockNumber": "0x65"},
        {"blockNumber": None},
        {"removed": True},
        {"address": None},
        {"logIndex": 0},
    ],
    ids=str,
)
def test_read__answer_that_is_no_such_event_or_of_another_block__is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ChainError) as caught:
        logs(transfer(5, **changes))
    assert caught.value.code == "malformed-answer"


@pytest.mark.parametrize("answer", [None, {}, "0x", [None], ["x"], [{}]])
def test_read__answer_of_another_shape__is_refused(answer: Any) -> None:
    node = Node(handlers={"eth_getLogs": lambda params: answer})
    with pytest.raises(ChainError):
        list(read(client(node), TRANSFER, [ADDRESS], 5, 5))
