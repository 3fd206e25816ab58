"""Exact money: ISO-4217 minor units, token base units, and strict readers for written amounts. Integers only, pure.

Minor-unit exponents are ISO 4217's (list one, as the ``iso4217`` package carries it); codes that have none (XAU, XXX)
are refused, because nobody can say what "1.00" of them is in integers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from attest.errors import SourceError

UINT256_MAX = 2**256 - 1
#: Integer digits plus decimals that a written amount may have: uint256 has 78, and no currency more than 4 decimals.
MAX_AMOUNT_LENGTH = 100

_PLAIN = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


@dataclass(frozen=True)
class Currency:
    """An ISO-4217 currency: its alphabetic code and how many decimals its minor unit has (JPY 0, USD 2, KWD 3)."""

    code: str
    exponent: int

    def format(self, minor_units: int) -> str:
        """``123456`` of USD is ``"1234.56"``; no grouping, exact, sign in front."""
        sign, digits = ("-" if minor_units < 0 else ""), str(abs(minor_units)).rjust(self.exponent + 1, "0")
        if self.exponent == 0:
            return sign + digits
        return f"{sign}{digits[: -self.exponent]}.{digits[-self.exponent :]}"


def currency(code: str, where: str = "") -> Currency:
    """Look up a currency by its alphabetic code; raises :class:`SourceError`, naming ``where``, for unknown codes and
    those without minor units."""
    place = f"{where}: " if where else ""
    known, exponent = _iso4217(code)
    if not known:
        raise SourceError(
            f"{place}currency {code[:40]!r} is not an ISO-4217 code",
            code="unknown-currency",
            reason="Without the currency's minor unit an amount cannot be read exactly.",
            advice="Use the three-letter code in capitals, for example USD.",
        )
    if exponent is None:
        raise SourceError(
            f"{place}currency {code!r} has no minor unit in ISO 4217",
            code="no-minor-unit",
            reason="Without the currency's minor unit an amount cannot be read exactly.",
            advice="Precious metals and test codes cannot back a token here; use a national currency.",
        )
    return Currency(code, exponent)


@lru_cache(maxsize=1024)
def _iso4217(code: str) -> tuple[bool, int | None]:
    """Whether ``code`` is in the standard, and how many decimals its minor unit has (None: it has none)."""
    from iso4217 import Currency as Iso4217

    try:
        entry = Iso4217(code)
    except ValueError:
        return False, None
    return entry.code == code, entry.exponent


def parse_amount(text: str, unit: Currency, where: str) -> int:
    """Read a written amount (``-?digits[.decimals]``, ASCII) as signed minor units, exactly.

    Zeros beyond the currency's exponent are accepted (camt writes up to 5 decimals); any other digit there is refused,
    and so are grouping, exponents, plus signs, ``NaN`` and other scripts' digits. Raises :class:`SourceError` naming
    ``where``.
    """
    match = _PLAIN.fullmatch(text) if len(text) <= MAX_AMOUNT_LENGTH else None
    if match is None:
        raise SourceError(
            f"{where}: {text[:40]!r} is not a plain decimal amount",
            code="malformed-amount",
            reason="An amount that can be read in two ways can be wrong without anybody noticing.",
            advice="It must be ASCII digits with at most one decimal point; correct the export or its column mapping.",
        )
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if decimals[unit.exponent :].strip("0"):
        raise SourceError(
            f"{where}: {text!r} has more decimals than {unit.code} has ({unit.exponent})",
            code="too-many-decimals",
            reason="Rounding a custodian's balance would attest a number that nobody stated.",
            advice="Check that the column holds the closing booked balance, and that the currency is right.",
        )
    units = int(whole + decimals[: unit.exponent].ljust(unit.exponent, "0"))
    if sign and units == 0:
        raise SourceError(
            f"{where}: {text!r} is a negative zero",
            code="malformed-amount",
            reason="A sign without a value shows that the export is not what it seems.",
            advice="Ask the custodian for a correct export.",
        )
    return -units if sign else units


@dataclass(frozen=True)
class TokenAmount:
    """Token base units, and what was lost in flooring when the token has fewer decimals than the currency (minor
    units)."""

    units: int
    remainder_minor_units: int


def to_token_units(minor_units: int, exponent: int, token_decimals: int, where: str) -> TokenAmount:
    """Scale a *sum* of minor units to token base units: ``units * 10**(token_decimals - exponent)``.

    Fewer token decimals than the currency's: floored, and the remainder recorded. Raises :class:`SourceError` if the
    amount is negative or does not fit uint256.
    """
    if minor_units < 0:
        raise SourceError(
            f"{where}: the reserve is negative ({minor_units} minor units)",
            code="negative-reserve",
            reason="A contract cannot hold a negative reserve, and an overdraft backs nothing.",
            advice="Find the overdrawn account with `attest custody read`, and settle it before attesting.",
        )
    shift = token_decimals - exponent
    if shift >= 0:
        units, remainder = minor_units * 10**shift, 0
    else:
        units, remainder = divmod(minor_units, 10**-shift)
    if units > UINT256_MAX:
        raise SourceError(
            f"{where}: the reserve does not fit the contract's uint256",
            code="amount-overflow",
            reason="The contract would store another number than the one attested.",
            advice="Check the token's decimals and the balances' currency.",
        )
    return TokenAmount(units, remainder)


def sum_units(amounts: Iterable[tuple[int, int]], decimals: int) -> int:
    """The sum of liabilities, each in units of its own number of decimals, in units of ``decimals``; one with more
    decimals is rounded up, so that flooring never hides a liability."""
    total = 0
    for units, own in amounts:
        shift = decimals - own
        total += units * 10**shift if shift >= 0 else -(-units // 10**-shift)
    return total


def format_units(units: int, decimals: int) -> str:
    """Token base units as an exact decimal string, trailing zeros cut to no fewer than two decimals if it has any."""
    text = Currency("", decimals).format(units)
    if "." not in text:
        return text
    whole, fraction = text.split(".")
    return f"{whole}.{fraction.rstrip('0').ljust(min(2, decimals), '0')}"


def group(text: str) -> str:
    """Group the whole part of a decimal string in threes with commas: ``"-1234.50"`` is ``"-1,234.50"``."""
    whole, point, fraction = text.partition(".")
    return f"{int(whole):,}{point}{fraction}" if whole.lstrip("-") != "0" else text


def ratio_percent(reserve: int, supply: int) -> str | None:
    """Reserve over supply in percent, floored to one decimal (a shortfall never rounds up to 100.0); None if supply
    is 0."""
    if supply == 0:
        return None
    tenths = reserve * 1000 // supply
    return f"{tenths // 10}.{tenths % 10}"
