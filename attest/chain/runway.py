"""For how many weekly runs the sending keys can pay: balance, and what one run costs at the present gas price.

A run sends one report per token by each reporter, and one publication by the publisher. What they take is estimated by
the node on the chain as it is now; where the node cannot (a role is missing, a contract of another make), a transaction
is assumed to take :data:`ASSUMED_GAS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from attest.chain import contracts
from attest.chain.rpc import ChainClient, Request, RpcError, at, balance_request
from attest.chain.values import quantity
from attest.errors import ChainError, OperatorError
from attest.model import Block

if TYPE_CHECKING:
    from attest.config import Config, Fees

#: Gas that a report or a publication is assumed to take when it cannot be estimated.
ASSUMED_GAS = 250_000
#: With fewer runs left than these, somebody should send gas now.
FEWEST_RUNS = 4
#: A period that is never published: its first publication costs what any first publication does.
_NO_PERIOD = "0000-W00"


class Runway(NamedTuple):
    """A sending key's balance and what one weekly run costs it, in wei at ``gas_price`` (None: nobody says it)."""

    chain: str
    job: Literal["reporter", "publisher"]
    address: str
    balance: int
    transactions: int
    gas: int
    gas_price: int | None

    @property
    def run_cost(self) -> int | None:
        """Wei that one weekly run costs."""
        return None if self.gas_price is None else self.gas * self.gas_price

    @property
    def runs_left(self) -> int | None:
        """Weekly runs that the balance pays for; None where gas is free, or its price unknown."""
        return self.balance // self.run_cost if self.run_cost else None

    @property
    def free(self) -> bool:
        """Whether gas costs nothing."""
        return self.gas_price == 0

    def __str__(self) -> str:
        if self.free:
            return "gas is free"
        if self.gas_price is None:
            return f"{self.balance} wei for gas; the endpoint gives no gas price"
        left = self.runs_left
        assert left is not None
        sends = "1 transaction" if self.transactions == 1 else f"{self.transactions} transactions"
        return (
            f"{self.balance} wei for gas, some {self.run_cost} wei a run ({sends}, {self.gas} gas at {self.gas_price} "
            f"wei): {left} weekly {'run' if left == 1 else 'runs'} left"
        )


@dataclass(frozen=True)
class Sender:
    """A key that sends on a chain, and the gas of the transactions that a run sends with it."""

    job: Literal["reporter", "publisher"]
    address: str
    transactions: int
    gas: int

    def runway(self, chain: str, balance: int, gas_price: int | None) -> Runway:
        return Runway(chain, self.job, self.address, balance, self.transactions, self.gas, gas_price)


class _Plan(NamedTuple):
    job: Literal["reporter", "publisher"]
    address: str
    to: str
    #: Calldata of each transaction; None where the contract's ABI does not say it.
    calls: Sequence[bytes | None]


def runways(clients: Mapping[str, ChainClient], config: Config, *, base: Path) -> tuple[Runway, ...]:
    """Every sending key's, in the configuration's order; three requests per chain. Raises :class:`ChainError` when a
    chain cannot be read."""
    found = []
    for chain in dict.fromkeys((config.oracle.chain, config.registry.chain)):
        client, settings = clients[chain], config.chains[chain]
        block, (answered,) = client.finalized_head_and(settings.finality, [("eth_gasPrice", [])])
        price = gas_price(settings.fees, answered)
        keys = senders(client, chain, block, config, base)
        balances = client.batch([balance_request(key.address, block) for key in keys])
        for key, balance in zip(keys, balances, strict=True):
            found.append(key.runway(chain, quantity(balance, f"the balance of {key.address}"), price))
    return tuple(found)


def gas_price(fees: Fees, answered: Any) -> int | None:
    """The price by ``eth_gasPrice``: 0 on a free chain, None if the endpoint does not say."""
    if fees.kind == "free":
        return 0
    if answered is None or isinstance(answered, RpcError):
        return None
    return quantity(answered, "eth_gasPrice")


def senders(client: ChainClient, chain: str, block: Block, config: Config, base: Path) -> list[Sender]:
    """The keys that send on ``chain``, with what a run takes; one request, none if no key sends there.

    Estimates may differ from node to node, so the largest counts, and none that is missing is an error.
    """
    plans = _plans(chain, block, config, base)
    requests: list[Request] = [
        ("eth_estimateGas", [{"from": plan.address, "to": plan.to, "data": f"0x{data.hex()}"}, at(block)])
        for plan in plans
        for data in plan.calls
        if data is not None
    ]
    answers = [answer.results for answer in client.each(requests) if answer.results is not None] if requests else []
    estimates = iter([max(map(_estimate, each)) or ASSUMED_GAS for each in zip(*answers, strict=True)])
    return [
        Sender(
            plan.job,
            plan.address,
            len(plan.calls),
            sum(ASSUMED_GAS if data is None else next(estimates, ASSUMED_GAS) for data in plan.calls),
        )
        for plan in plans
    ]


def _plans(chain: str, block: Block, config: Config, base: Path) -> list[_Plan]:
    plans: list[_Plan] = []
    if chain == config.oracle.chain:
        oracle = contracts.reserve_oracle(config.oracle, base)
        tokens = [each.address for token in config.tokens.values() for each in token.deployments if each.chain == chain]
        calls: list[bytes | None] = [None] * len(tokens)
        with suppress(OperatorError):  # an ABI without it: a run says so
            calls = [oracle.submit_report(token, 10**18, block.timestamp) for token in tokens]
        plans += [_Plan("reporter", key.address, oracle.address, calls) for key in config.signing.reporters]
    if chain == config.registry.chain:
        registry = contracts.attestation_registry(config.registry, base)
        anchor: bytes | None = None
        with suppress(OperatorError):
            anchor = registry.publish(_NO_PERIOD, 0, b"\x11" * 32, 1, b"\x22" * 32, b"\x33" * 32, 1)
        plans.append(_Plan("publisher", config.signing.publisher.address, registry.address, [anchor]))
    return plans


def _estimate(answer: Any) -> int:
    """0 for an answer that is none."""
    try:
        return 0 if answer is None or isinstance(answer, RpcError) else quantity(answer, "the gas estimate")
    except ChainError:
        return 0
