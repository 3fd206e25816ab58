"""The dashboard's words: the same sentence as everywhere, exact amounts, no flattering rounding."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest import statement
from attest.documents import ConsensusStatement, FeedToken, PolicyInForce, TokenStatement
from attest.publish.site import words
from tests.support import feeds


def statement_of(token: FeedToken, consensus_units: int | None = None) -> TokenStatement:
    """The signed statement's form of a feed token with one account (currencies of two decimals)."""
    if token.reserve is None or token.reserve_units is None:
        return TokenStatement(
            token.token,
            token.currency,
            2,
            token.decimals,
            "withheld",
            token.supply_units,
            token.supply_units,
            (),
            withheld_code=token.withheld_code,
        )
    return TokenStatement(
        token=token.token,
        currency=token.currency,
        exponent=2,
        decimals=token.decimals,
        verdict=token.verdict,
        supply_units=token.supply_units,
        confirm_supply_units=token.supply_units,
        deployments=(),
        reserve_minor_units=int(token.reserve.replace(".", "")),
        reserve_units=token.reserve_units,
        remainder_minor_units=0,
        surplus_units=token.surplus_units,
        ratio_percent=token.ratio_percent,
        oldest_as_of=token.oldest_as_of,
        agreement=token.agreement,
        policy=PolicyInForce(2, 2, 0, 0, 86_400, 0),
        consensus=ConsensusStatement(
            "oracle",
            token.reserve_units if consensus_units is None else consensus_units,
            True,
            token.required_quorum or 0,
            token.reports or 0,
        ),
    )


@pytest.mark.parametrize(
    "token",
    [
        feeds.token(),
        feeds.token(reserve="1200000.00"),
        feeds.token("EURW", "EUR", "823431.15", "840500.00"),
        feeds.token("GBPW", "GBP", None, "310250.00"),
        feeds.token(supply="1200000.000001"),
        feeds.token(supply="1204113.060000000000000001", decimals=18),
        feeds.token(reserve="0.00", supply="0.00"),
    ],
    ids=["sufficient", "equal", "short", "withheld", "rounded up", "18 decimals", "nothing issued"],
)
def test_answer__any_state__is_the_sentence_of_the_statement(token: FeedToken) -> None:
    period = feeds.period([token])
    token = period.tokens[0]
    said = words.answer(token, period).text.replace(words.NBSP, " ")
    assert said == statement.sentence(statement_of(token), period.cutoff, witnesses=2)


def test_answer__chain_agrees_on_less_than_is_stated__says_that_the_lower_counts() -> None:
    token = replace(feeds.token(), verdict="short", surplus_units=-5_000_000, ratio_percent="99.9")
    period = feeds.period([token])
    said = words.answer(period.tokens[0], period).text.replace(words.NBSP, " ")
    assert "but only 1,199,995.00 USDW by the reports on chain, which counts" in said
    assert said == statement.sentence(
        statement_of(period.tokens[0], token.supply_units - 5_000_000), period.cutoff, witnesses=2
    )


def test_answer__the_example_of_the_design__reads_like_it() -> None:
    period = replace(feeds.period([feeds.token()]), cutoff=feeds.NEWEST)
    answer = words.answer(feeds.token(), period)
    assert answer.text.replace(words.NBSP, " ") == (
        "USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %), as of Sun 22 Nov 2026 23:59 UTC. "
        "Agreed by 3 sources, reported on chain by 3 (2 needed), cosigned by 2 witnesses."
    )


def test_answer__balance_older_than_the_cutoff__is_named() -> None:
    period = feeds.period([feeds.token()])
    said = words.answer(period.tokens[0], period).support.replace(words.NBSP, " ")
    assert said.endswith("Oldest balance: Sun 22 Nov 2026 17:59 UTC.")


def test_answer__withheld_without_any_witness__says_both_and_no_amount_held() -> None:
    period = replace(feeds.period([feeds.token(reserve=None, code="too-few-sources")]), witnesses=())
    answer = words.answer(period.tokens[0], period)
    assert answer.held == "reserve withheld (too-few-sources)"
    assert answer.support == "Cosigned by no witness."


@given(minor=st.integers(0, 10**24), supply=st.integers(0, 10**42), decimals=st.integers(2, 18))
def test_shown_supply__any_amounts__rounds_up_and_never_hides_a_shortfall(
    minor: int, supply: int, decimals: int
) -> None:
    digits = str(supply).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}"
    reserve = f"{minor // 100}.{minor % 100:02d}"
    token = feeds.token(reserve=reserve, supply=text, decimals=decimals)
    shown = words.shown_supply(token)
    assert shown.endswith(f"{words.NBSP}USDW")
    number = Decimal(shown.split(words.NBSP)[0].replace(",", ""))
    exact = Decimal(supply).scaleb(-decimals) if supply < 10**28 else None
    if exact is not None:
        assert exact <= number < exact + Decimal("0.01")
    assert (Decimal(reserve) >= number) == (token.verdict == "sufficient")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (feeds.token(), "+4,113.07 USDW"),
        (feeds.token(reserve="1199999.99"), "\N{MINUS SIGN}0.01 USDW"),
        (feeds.token(reserve="1200000.00"), "0.00 USDW"),
        (feeds.token(reserve=None), None),
    ],
)
def test_surplus__is_exact_and_signed(token: FeedToken, said: str | None) -> None:
    assert words.surplus(token) == (said and said.replace(" ", words.NBSP))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(604_800, "7 days"), (129_600, "1 day 12 hours"), (90, "1 minute 30 seconds"), (0, "0 seconds")],
)
def test_span__uses_the_largest_units(seconds: int, said: str) -> None:
    assert words.span(seconds) == said


def test_states__are_the_four_in_the_order_of_every_face() -> None:
    assert list(words.STATES) == ["sufficient", "short", "withheld", "stale"]
