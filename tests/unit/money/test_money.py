"""Money is exact: every written amount is read as itself or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attest.errors import SourceError
from attest.money import (
    UINT256_MAX,
    Currency,
    currency,
    format_units,
    group,
    parse_amount,
    ratio_percent,
    to_token_units,
)

CURRENCIES = [("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4)]
DECIMALS = [0, 2, 6, 18]
units_of = st.integers(min_value=-UINT256_MAX, max_value=UINT256_MAX)
units = st.one_of(
    st.integers(min_value=0, max_value=UINT256_MAX),
    st.sampled_from([0, 1, UINT256_MAX - 1, UINT256_MAX, 2**64 - 1, 2**64, 2**53, 2**53 + 1]),
)


@pytest.mark.parametrize(("code", "exponent"), [*CURRENCIES, ("EUR", 2), ("GBP", 2), ("BHD", 3), ("UYW", 4)])
def test_currency__national_code__has_the_iso_exponent(code: str, exponent: int) -> None:
    assert currency(code) == Currency(code, exponent)


@pytest.mark.parametrize("code", ["XAU", "XAG", "XXX", "XTS", "XDR"])
def test_currency__code_without_minor_unit__is_refused_with_its_name(code: str) -> None:
    with pytest.raises(SourceError) as refusal:
        currency(code, "bank.xml")
    assert refusal.value.code == "no-minor-unit"
    assert refusal.value.message.startswith("bank.xml: ")
    assert code in refusal.value.message


@pytest.mark.parametrize("code", ["usd", "Usd", " USD", "USD ", "US", "USDX", "", "840", "ＵＳＤ", "UЅD"])
def test_currency__anything_but_the_exact_code__is_refused(code: str) -> None:
    with pytest.raises(SourceError) as refusal:
        currency(code)
    assert refusal.value.code == "unknown-currency"
    assert refusal.value.message.startswith("currency ")


@given(minor_units=units_of, unit=st.sampled_from(CURRENCIES))
@example(minor_units=UINT256_MAX, unit=("CLF", 4))
@example(minor_units=-1, unit=("KWD", 3))
def test_parse_amount__what_format_wrote__is_read_back(minor_units: int, unit: tuple[str, int]) -> None:
    money = currency(unit[0])
    text = money.format(minor_units)
    assert Decimal(text).scaleb(money.exponent).to_integral_exact() == minor_units or abs(minor_units) >= 10**28
    assert parse_amount(text, money, "test") == minor_units


@given(minor_units=st.integers(min_value=0, max_value=10**30), zeros=st.integers(min_value=0, max_value=10))
def test_parse_amount__zeros_beyond_the_minor_unit__change_nothing(minor_units: int, zeros: int) -> None:
    assert parse_amount(currency("USD").format(minor_units) + "0" * zeros, currency("USD"), "test") == minor_units


@given(
    minor_units=st.integers(min_value=0, max_value=10**30),
    unit=st.sampled_from(CURRENCIES[1:]),
    digit=st.sampled_from("123456789"),
)
def test_parse_amount__a_digit_beyond_the_minor_unit__is_refused(
    minor_units: int, unit: tuple[str, int], digit: str
) -> None:
    with pytest.raises(SourceError) as refusal:
        parse_amount(currency(unit[0]).format(minor_units) + digit, currency(unit[0]), "bank.xml")
    assert refusal.value.code == "too-many-decimals"
    assert refusal.value.message.startswith("bank.xml: ")


def test_parse_amount__decimals_of_a_currency_without_any__are_refused_unless_zero() -> None:
    assert parse_amount("1204.00", currency("JPY"), "test") == 1204
    with pytest.raises(SourceError):
        parse_amount("1204.01", currency("JPY"), "test")


@pytest.mark.parametrize("text", ["1", "1.5", "0", "0.05", "-0.01", "1204113.07000"])
def test_parse_amount__plain_decimals__are_read_exactly(text: str) -> None:
    assert parse_amount(text, currency("USD"), "test") == int(Decimal(text) * 100)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "1\n", "+1", "--1", "1-", "(1)", ".5", "5.", "-.5", "1..2", "1.2.3", "00", "007", "01.00",
        "1,23", "1,234.56", "1.234,56", "1'000", "1_000", "1e3", "1E+400000", "NaN", "sNaN", "Infinity", "-inf", "0x10",
        "١٢٣", "１２３", "1\u00a0000", "−1", "-0", "-0.00", "1\x000", "$1",
    ],
)  # fmt: skip
def test_parse_amount__anything_but_a_plain_decimal__is_refused(text: str) -> None:
    with pytest.raises(SourceError) as refusal:
        parse_amount(text, currency("USD"), "test")
    assert refusal.value.code == "malformed-amount"


@pytest.mark.parametrize(("length", "accepted"), [(99, True), (100, True), (101, False), (1_000_000, False)])
def test_parse_amount__length_at_its_bound__is_accepted_and_beyond_refused(length: int, accepted: bool) -> None:
    text = "9" * length
    if accepted:
        assert parse_amount(text, currency("JPY"), "test") == int(text)
    else:
        with pytest.raises(SourceError):
            parse_amount(text, currency("JPY"), "test")


@given(text=st.text(max_size=12))
def test_parse_amount__any_text__is_read_as_written_or_refused(text: str) -> None:
    try:
        value = parse_amount(text, currency("USD"), "test")
    except SourceError:
        return
    assert text.isascii()
    assert Decimal(value) / 100 == Decimal(text)


@given(minor_units=units, unit=st.sampled_from(CURRENCIES), decimals=st.sampled_from(DECIMALS))
@example(minor_units=UINT256_MAX // 10**16, unit=("USD", 2), decimals=18)
@example(minor_units=UINT256_MAX // 10**16 + 1, unit=("USD", 2), decimals=18)
@example(minor_units=UINT256_MAX, unit=("JPY", 0), decimals=0)
def test_to_token_units__any_sum__is_exact_or_refused(minor_units: int, unit: tuple[str, int], decimals: int) -> None:
    exponent = unit[1]
    exact = Decimal(minor_units) if exponent == decimals else None
    shift = decimals - exponent
    expected = minor_units * 10**shift if shift >= 0 else minor_units // 10**-shift
    if expected > UINT256_MAX:
        with pytest.raises(SourceError) as refusal:
            to_token_units(minor_units, exponent, decimals, "USDW")
        assert refusal.value.code == "amount-overflow"
        return
    amount = to_token_units(minor_units, exponent, decimals, "USDW")
    assert 0 <= amount.units <= UINT256_MAX
    if shift >= 0:
        assert (amount.units, amount.remainder_minor_units) == (expected, 0)
    else:
        assert amount.units * 10**-shift + amount.remainder_minor_units == minor_units
        assert 0 <= amount.remainder_minor_units < 10**-shift
    if exact is not None:
        assert amount.units == minor_units


@pytest.mark.parametrize(
    ("exponent", "decimals", "largest"),
    [
        (0, 0, UINT256_MAX),
        (2, 2, UINT256_MAX),
        (2, 6, UINT256_MAX // 10**4),
        (2, 18, UINT256_MAX // 10**16),
        (3, 18, UINT256_MAX // 10**15),
        (4, 18, UINT256_MAX // 10**14),
        (0, 18, UINT256_MAX // 10**18),
        (2, 0, UINT256_MAX * 100 + 99),
        (4, 2, UINT256_MAX * 100 + 99),
    ],
)
def test_to_token_units__at_the_edge_of_uint256__the_last_fits_and_the_next_does_not(
    exponent: int, decimals: int, largest: int
) -> None:
    assert to_token_units(largest - 1, exponent, decimals, "x").units <= UINT256_MAX
    assert to_token_units(largest, exponent, decimals, "x").units <= UINT256_MAX
    with pytest.raises(SourceError) as refusal:
        to_token_units(largest + 1, exponent, decimals, "x")
    assert refusal.value.code == "amount-overflow"


@given(minor_units=st.integers(max_value=-1))
def test_to_token_units__negative_sum__is_refused(minor_units: int) -> None:
    with pytest.raises(SourceError) as refusal:
        to_token_units(minor_units, 2, 18, "token USDW")
    assert refusal.value.code == "negative-reserve"
    assert "token USDW" in refusal.value.message


def test_to_token_units__sum_first_then_scale__loses_less_than_the_parts_would() -> None:
    parts = [150, 150]
    assert sum(to_token_units(part, 2, 0, "x").units for part in parts) == 2
    assert to_token_units(sum(parts), 2, 0, "x").units == 3


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [
        (1204113070000, 6, "1204113.07"),
        (1200000 * 10**18, 18, "1200000.00"),
        (1, 18, "0.000000000000000001"),
        (15, 1, "1.5"),
        (7, 0, "7"),
        (0, 6, "0.00"),
        (-1500000, 6, "-1.50"),
    ],
)
def test_format_units__base_units__are_an_exact_decimal(amount: int, decimals: int, text: str) -> None:
    assert format_units(amount, decimals) == text


@given(amount=units, decimals=st.sampled_from(DECIMALS))
def test_format_units__any_amount__keeps_its_value(amount: int, decimals: int) -> None:
    whole, _, fraction = format_units(amount, decimals).partition(".")
    assert int(whole) * 10**decimals + int(fraction.ljust(decimals, "0") or "0") == amount


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("1204113.07", "1,204,113.07"),
        ("-1234.50", "-1,234.50"),
        ("999", "999"),
        ("-0.50", "-0.50"),
        ("0", "0"),
        ("-999.00", "-999.00"),
    ],
)
def test_group__decimal_string__is_grouped_in_threes(text: str, grouped: str) -> None:
    assert group(text) == grouped


@given(minor_units=units_of, unit=st.sampled_from(CURRENCIES))
def test_group__any_amount__only_adds_commas(minor_units: int, unit: tuple[str, int]) -> None:
    text = currency(unit[0]).format(minor_units)
    assert group(text).replace(",", "") == text


@given(reserve=units, supply=st.integers(min_value=1, max_value=UINT256_MAX))
@example(reserve=UINT256_MAX - 1, supply=UINT256_MAX)
def test_ratio_percent__shortfall__never_rounds_up_to_a_hundred(reserve: int, supply: int) -> None:
    text = ratio_percent(reserve, supply)
    assert text is not None
    assert (Decimal(text) >= 100) == (reserve >= supply)
    assert Decimal(text) * supply <= reserve * 100 < (Decimal(text) + Decimal("0.1")) * supply or reserve >= 10**24


def test_ratio_percent__nothing_issued__has_no_ratio() -> None:
    assert ratio_percent(5, 0) is None
