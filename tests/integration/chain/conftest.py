"""The reference contracts on anvil, as the readers of the chain see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from attest.chain import devnet
from attest.chain.devnet import Anvil, TokenPlan
from attest.chain.rpc import ChainClient
from attest.config import Config
from attest.posting import HttpTransport
from tests.support import chains

ADMIN, REPORTERS, PUBLISHER = 0, (1, 2, 3), 4


@dataclass
class Deployed:
    """A devnet with deployed contracts, its configuration, and a way to send."""

    node: Anvil
    deployment: devnet.Deployment
    config: Config
    accounts: Sequence[str]
    transport: HttpTransport

    def client(self, **options: Any) -> ChainClient:
        """A fresh client: its requests are counted from zero."""
        return ChainClient("main", 138, [self.node.url], transport=self.transport, **options)

    def send(self, sender: int, to: str, calldata: bytes) -> None:
        """A transaction from one of the node's own accounts, mined at once."""
        transaction = {"from": self.accounts[sender], "to": to, "data": f"0x{calldata.hex()}", "gas": hex(500_000)}
        client = self.client()
        (answer,) = client.batch([("eth_sendTransaction", [transaction])])
        assert isinstance(answer, str), answer
        receipt = None
        for _ in range(500):
            (receipt,) = client.batch([("eth_getTransactionReceipt", [answer])])
            if receipt is not None:
                break
            time.sleep(0.01)
        assert receipt is not None, "not mined"
        assert receipt["status"] == "0x1", receipt

    def rpc(self, method: str, *params: Any) -> Any:
        (answer,) = self.client().batch([(method, list(params))])
        return answer

    def now(self) -> int:
        return self.client().head().timestamp


@pytest.fixture
def deploy(anvil: Anvil) -> Callable[..., Deployed]:
    """Deploys oracle, registry and so many tokens; supply of token ``n`` is ``(n + 1) * 10**decimals``."""

    def build(tokens: int = 3) -> Deployed:
        plans = [TokenPlan(f"T{n}W", f"Token {n}", n % 19, (n + 1) * 10 ** (n % 19)) for n in range(tokens)]
        transport = HttpTransport(20)
        (accounts,) = ChainClient("main", 138, [anvil.url], transport=transport).batch([("eth_accounts", [])])
        accounts = [to_checksum_address(account) for account in accounts]
        deployment = devnet.deploy(
            anvil.url,
            devnet.dev_key(ADMIN),
            plans,
            reporters=[accounts[n] for n in REPORTERS],
            publishers=[accounts[PUBLISHER]],
        )
        config = chains.config(
            {plan.symbol: [("main", deployment.tokens[plan.symbol], plan.decimals)] for plan in plans},
            chains={"main": {"chain_id": 138, "endpoints": (anvil.url,)}},
            oracle={"address": deployment.oracle},
            registry={"address": deployment.registry},
            reporters=[accounts[n] for n in REPORTERS],
            publisher=accounts[PUBLISHER],
        )
        return Deployed(anvil, deployment, config, accounts, transport)

    return build
