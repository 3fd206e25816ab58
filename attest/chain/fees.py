"""What a transaction offers for its gas: first, when it replaces another, and when the market has left it behind. Pure.

A node takes a second transaction at a nonce only for a higher price: Besu and geth want 10 % more, of the tip too. Here
it is 1/8 more, and one wei at least. Where gas costs nothing the price stays 0 and the gas limit tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attest.errors import ChainError

if TYPE_CHECKING:
    from attest.config import Fees
    from attest.signing.transaction import Transaction


class Market(NamedTuple):
    """What gas costs now, in wei: the head's base fee (0 before EIP-1559), and the highest ``eth_gasPrice``."""

    base_fee: int
    gas_price: int


class Price(NamedTuple):
    """The prices of a transaction, in wei per gas, as :class:`attest.signing.transaction.Transaction` holds them."""

    max_fee_per_gas: int
    max_priority_fee_per_gas: int


def first_price(fees: Fees, market: Market, chain: str) -> Price:
    """The price to begin with: room for the base fee to double, or for 1/8 more than the market on a legacy chain.

    Raises :class:`ChainError` (``fee-cap``), naming ``chain``, if the market asks for more than the configured cap.
    """
    asked = _asked(fees, market)
    if asked > fees.max_fee_per_gas:
        raise ChainError(
            f"chain {chain}: gas costs {asked} wei now, the configured cap is {fees.max_fee_per_gas} wei",
            code="fee-cap",
            reason="A transaction under the market's price waits for ever; one over the cap was not allowed.",
            advice=f"Wait for the price to fall and run again, or raise chains.{chain}.fees.max_fee_per_gas.",
        )
    if fees.kind != "eip1559":
        return Price(min(asked + _eighth(asked), fees.max_fee_per_gas), 0)
    most = min(2 * market.base_fee + fees.max_priority_fee_per_gas, fees.max_fee_per_gas)
    return Price(most, min(fees.max_priority_fee_per_gas, most))


def raised_price(fees: Fees, market: Market, previous: Transaction, chain: str) -> Price | None:
    """The price at which ``previous`` is replaced: the same where gas is free; None if the cap does not allow it."""
    if _asked(fees, market) > fees.max_fee_per_gas:
        return None
    fee, tip = first_price(fees, market, chain)
    if fees.kind != "eip1559" and fee == previous.max_fee_per_gas == 0:
        return Price(0, 0)
    fee = max(fee, _raised(previous.max_fee_per_gas))
    tip = max(tip, _raised(previous.max_priority_fee_per_gas)) if fees.kind == "eip1559" else 0
    return Price(fee, tip) if tip <= fee <= fees.max_fee_per_gas else None


def priced_out(fees: Fees, market: Market, transaction: Transaction) -> bool:
    """Whether no block takes the transaction at the market's price."""
    return transaction.max_fee_per_gas < _asked(fees, market)


def _asked(fees: Fees, market: Market) -> int:
    """The least that a transaction must offer now."""
    if fees.kind == "free":
        return 0
    return max(market.gas_price, market.base_fee) if fees.kind == "legacy" else market.base_fee


def _raised(price: int) -> int:
    return price + max(_eighth(price), 1)


def _eighth(price: int) -> int:
    return -(-price // 8)
