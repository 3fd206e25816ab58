"""Events of the reference token as a real node gives them, against web3's reading."""

from __future__ import annotations

from attest.chain import devnet
from attest.chain.artifact import artifact
from attest.chain.devnet import Anvil, TokenPlan, dev_key
from attest.chain.logs import event, read
from attest.chain.rpc import ChainClient
from attest.posting import HttpTransport

REPORTER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_read__transfers_of_the_reference_token__are_those_that_web3_reads(anvil: Anvil) -> None:
    from web3 import Web3

    deployment = devnet.deploy(
        anvil.url, dev_key(0), [TokenPlan("AW", "A", 6, 1000), TokenPlan("BW", "B", 6, 7)], reporters=[REPORTER],
        publishers=[], quorum=1,
    )  # fmt: skip
    client = ChainClient("main", 138, [anvil.url], transport=HttpTransport(20))
    transfer = event("Transfer(address indexed from, address indexed to, uint256 value)")
    ours = list(read(client, transfer, list(deployment.tokens.values()), 0, deployment.block, span=2))
    web3 = Web3(Web3.HTTPProvider(anvil.url))
    theirs = []
    for address in deployment.tokens.values():
        contract = web3.eth.contract(address=Web3.to_checksum_address(address), abi=artifact("WToken").abi)
        theirs += contract.events.Transfer.get_logs(from_block=0, to_block=deployment.block)
    assert len(ours) == 2
    assert [(log.address, log.block_number, log.block_hash, log.values) for log in ours] == [
        (
            one["address"].lower(), one["blockNumber"], one["blockHash"].to_0x_hex(),
            (one["args"]["from"].lower(), one["args"]["to"].lower(), one["args"]["value"]),
        )
        for one in sorted(theirs, key=lambda one: (one["blockNumber"], one["logIndex"]))
    ]  # fmt: skip
