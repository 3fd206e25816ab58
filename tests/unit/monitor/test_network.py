"""Validators seen by their seals, and requests as they are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp

from attest.chain import header
from attest.chain.rpc import ChainClient
from attest.model import Block
from attest.monitor.exposition import Distribution
from attest.monitor.network import Traffic, Validators
from attest.monitor.thresholds import VALIDATOR_AGE
from tests.support.bundles import VALIDATORS, SealedHeader
from tests.support.chains import Network, Node

SEALED = SealedHeader(1, 1_700_000_000, b"\x11" * 32)
_SCALARS = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"}


def answered(sealed: SealedHeader) -> dict[str, str]:
    """A sealed header as ``eth_getBlockByNumber`` answers it."""
    items = rlp.decode(sealed.encoded)
    plain = {
        name: hex(int.from_bytes(item, "big")) if name in _SCALARS else f"0x{item.hex()}"
        for name, item in zip(header.FIELDS, items, strict=False)
    }
    return {**plain, "hash": f"0x{sealed.hash.hex()}"}


def read(newest: SealedHeader, configured: tuple[str, ...] = ()) -> dict[str, int]:
    older = replace(newest, number=0, timestamp=newest.timestamp - 600)
    headers = {each.number: answered(each) for each in (older, newest)}
    node = Node(handlers={"eth_getBlockByNumber": lambda params: headers[int(params[0], 16)]})
    client = ChainClient("main", 138, ["http://node.example"], transport=Network({"http://node.example": node}))
    block = Block(138, newest.number, newest.hash.hex(), newest.timestamp)
    return dict(Validators(configured).read(client, block))


def test_validators__seals_of_the_newest_block__are_signs_of_life() -> None:
    newest = SEALED.timestamp
    seen = read(SEALED)
    assert set(seen) == {each.lower() for each in VALIDATORS}
    assert [seen[each.lower()] for each in VALIDATORS] == [newest, newest, newest, newest - 600]


def test_validators__seals_by_others_than_the_configured__are_none() -> None:
    stranger = "0x" + "ee" * 20
    assert read(SEALED, (stranger,)) == {stranger: SEALED.timestamp - 600}


@pytest.mark.parametrize("step", [1, 2, 5])
def test_validators__one_fell_silent_long_ago__is_seen_at_the_first_look_however_fast_blocks_come(step: int) -> None:
    chain = [replace(SEALED, number=n, timestamp=SEALED.timestamp + n * step) for n in range(400)]
    node = Node(handlers={"eth_getBlockByNumber": lambda params: answered(chain[int(params[0], 16)])})
    client = ChainClient("main", 138, ["http://node.example"], transport=Network({"http://node.example": node}))
    newest = chain[-1]
    seen = Validators(()).read(client, Block(138, newest.number, newest.hash.hex(), newest.timestamp))
    assert newest.timestamp - seen[VALIDATORS[3].lower()] > VALIDATOR_AGE
    assert len(node.requests) <= 2


def test_traffic__requests__are_counted_by_outcome_and_bucket() -> None:
    traffic = Traffic()
    for seconds in (0.05, 0.06, 40.0):
        traffic.observe("a", seconds < 1, seconds)
    found = {(each.metric.name, *each.labels): each.value for each in traffic.samples("main", ["a", "b"])}
    assert found["attest_rpc_requests_total", "main", "a", "answered"] == 2
    assert found["attest_rpc_requests_total", "main", "a", "failed"] == 1
    assert found["attest_rpc_requests_total", "main", "b", "failed"] == 0, "there from the start"
    seconds = found["attest_rpc_request_duration_seconds", "main", "a"]
    assert isinstance(seconds, Distribution)
    assert (seconds.buckets[0.05], seconds.buckets[0.1], seconds.buckets[30.0], seconds.count) == (1, 2, 2, 3)
    assert traffic.total == 3
