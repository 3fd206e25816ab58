"""What transactions offer for their gas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.chain.fees import Market, Price, first_price, priced_out, raised_price
from attest.config import Fees
from attest.errors import ChainError
from attest.signing.transaction import Transaction

TO = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
CAP = 10**12

prices = st.integers(0, CAP)
markets = st.builds(Market, base_fee=prices, gas_price=prices)
kinds = st.sampled_from(["legacy", "eip1559", "free"])


def fees(kind: str, cap: int = CAP, tip: int = 10**9) -> Fees:
    return Fees.model_validate({"kind": kind, "max_fee_per_gas": cap, "max_priority_fee_per_gas": tip})


def offering(kind: str, price: Price) -> Transaction:
    kind = "eip1559" if kind == "eip1559" else "legacy"
    return Transaction(kind, 138, 0, TO, 0, b"", 21_000, *price)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "market", "price"),
    [
        ("legacy", Market(7, 80), Price(90, 0)),
        ("legacy", Market(80, 7), Price(90, 0)),
        ("legacy", Market(0, 0), Price(0, 0)),
        ("legacy", Market(0, 95), Price(100, 0)),
        ("legacy", Market(0, 100), Price(100, 0)),
        ("eip1559", Market(7, 80), Price(19, 5)),
        ("eip1559", Market(60, 80), Price(100, 5)),
        ("eip1559", Market(100, 100), Price(100, 5)),
        ("free", Market(7, 80), Price(0, 0)),
        ("free", Market(10**15, 10**15), Price(0, 0)),
    ],
)
def test_first_price__market_and_cap__room_to_rise_within_the_cap(kind: str, market: Market, price: Price) -> None:
    assert first_price(fees(kind, cap=100, tip=5), market, "main") == price


@pytest.mark.parametrize("kind", ["legacy", "eip1559"])
def test_first_price__market_over_the_cap__refused_naming_chain_price_and_cap(kind: str) -> None:
    with pytest.raises(ChainError, match="chain main: gas costs 101 wei now, the configured cap is 100 wei") as refusal:
        first_price(fees(kind, cap=100), Market(101, 101), "main")
    assert refusal.value.code == "fee-cap"
    assert "chains.main.fees.max_fee_per_gas" in refusal.value.advice


@given(kinds, markets)
def test_first_price__any_market_under_the_cap__is_not_priced_out_and_within_the_cap(kind: str, market: Market) -> None:
    offer = first_price(fees(kind), market, "main")

    assert not priced_out(fees(kind), market, offering(kind, offer))
    assert offer.max_priority_fee_per_gas <= offer.max_fee_per_gas <= CAP


@given(kinds, markets, markets)
def test_raised_price__any_market_before_and_after__an_eighth_more_and_in_the_market_or_none(
    kind: str, before: Market, after: Market
) -> None:
    previous = offering(kind, first_price(fees(kind), before, "main"))

    raised = raised_price(fees(kind), after, previous, "main")

    if raised is None:
        assert 9 * previous.max_fee_per_gas > 8 * (CAP - 8)
    elif previous.max_fee_per_gas == raised.max_fee_per_gas == 0:
        assert kind == "free" or kind == "legacy"
    else:
        assert 8 * raised.max_fee_per_gas >= 9 * previous.max_fee_per_gas
        assert raised.max_fee_per_gas > previous.max_fee_per_gas
        if kind == "eip1559":
            assert 8 * raised.max_priority_fee_per_gas >= 9 * previous.max_priority_fee_per_gas
            assert raised.max_priority_fee_per_gas > previous.max_priority_fee_per_gas
        else:
            assert raised.max_priority_fee_per_gas == 0
        assert raised.max_priority_fee_per_gas <= raised.max_fee_per_gas <= CAP
        assert not priced_out(fees(kind), after, offering(kind, raised))


@pytest.mark.parametrize("kind", ["legacy", "eip1559"])
def test_raised_price__market_over_the_cap__none(kind: str) -> None:
    assert raised_price(fees(kind, cap=100), Market(101, 101), offering(kind, Price(10, 0)), "main") is None


@pytest.mark.parametrize(
    ("kind", "price", "out"),
    [("legacy", 79, True), ("legacy", 80, False), ("eip1559", 6, True), ("eip1559", 7, False), ("free", 0, False)],
)
def test_priced_out__at_the_markets_edge__exact(kind: str, price: int, out: bool) -> None:
    assert priced_out(fees(kind), Market(7, 80), offering(kind, Price(price, 0))) is out
