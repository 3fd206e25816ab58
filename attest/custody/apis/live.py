"""What the venues have in common that tell what they hold at the moment they are asked: their options, and balances
whose time is the time of asking.

Such a balance is a ``custody-total``: what is in custody now, with what is reserved to leave and has not left, without
what has yet to arrive. A run after the cutoff cannot ask for it, so these sources are configured with
``snapshot = true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import Currency, currency, parse_amount

OPTIONS = {
    "account": "what the account is called in external_account: the venue's answer does not name it",
    "currency": "the ISO-4217 currency that one whole unit of the asset stands for, e.g. USD for USDC",
    "sub_minor_units": 'what to do with decimals beyond the currency\'s: "refuse" or "floor" [refuse]',
}
#: Finer than any asset counts: amounts are added and subtracted in integers of this many decimals, then scaled.
DECIMALS = 36

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,199}", re.ASCII)


@dataclass(frozen=True)
class Live:
    """The checked common options of one asset at one venue."""

    account: str
    unit: Currency
    floor: bool

    def stated(self, amount: int, retrieved_at: datetime, where: str, statement_id: str = "") -> StatedBalance:
        """The balance of ``amount`` (in 10**-36 of a whole unit) at ``retrieved_at``. Raises :class:`SourceError`
        (``too-many-decimals``) if it is not whole minor units and the options do not say to floor it."""
        minor_units, rest = divmod(amount, 10 ** (DECIMALS - self.unit.exponent))
        if rest and not self.floor:
            raise SourceError(
                f"{where}: account {self.account}: the balance has more decimals than {self.unit.code} has "
                f"({self.unit.exponent})",
                code="too-many-decimals",
                reason="Rounding a custodian's balance would attest a number that nobody stated.",
                advice='If the venue counts finer than the currency, set the option sub_minor_units = "floor": what is '
                "less than a minor unit is then left out.",
            )
        return StatedBalance(
            self.account, self.unit.code, minor_units, "custody-total", retrieved_at, statement_id=statement_id
        )


def live(options: Mapping[str, str], account: str | None = None) -> Live:
    """The common options; ``account`` is its default. Raises ``ValueError`` saying what is wrong."""
    try:
        unit = currency(options["currency"])
    except SourceError as fault:
        raise ValueError(fault.message) from None
    handling = options.get("sub_minor_units", "refuse")
    if handling not in ("refuse", "floor"):
        raise ValueError('sub_minor_units must be "refuse" or "floor"')
    return Live(options.get("account") or account or "", unit, handling == "floor")


def amount(text: str, asset: str, where: str, *, decimals: int = 0) -> int:
    """A written amount in 10**-36 of a whole unit, exactly; ``decimals`` is how many of the asset's the number is
    counted in (6: it is in millionths). Raises :class:`SourceError` naming ``where``."""
    return parse_amount(text, Currency(asset, DECIMALS - decimals), where)


def texts(options: Mapping[str, object], required: Iterable[str], identifiers: Iterable[str] = ()) -> dict[str, str]:
    """The options as texts; ``identifiers`` are those that become part of a URL's path. Raises ``ValueError`` naming
    one that is missing, or that is not what it has to be."""
    values: dict[str, str] = {}
    for name, value in options.items():
        if not isinstance(value, str) or not value or not value.isprintable() or value != value.strip():
            raise ValueError(f"{name} must be a text")
        values[name] = value
    for name in required:
        if name not in values:
            raise ValueError(f"{name} is missing")
    for name in identifiers:
        if name in values and not _IDENTIFIER.fullmatch(values[name]):
            raise ValueError(f"{name} must be the identifier that the API knows (ASCII letters, digits and ._~:@+=-)")
    return values
