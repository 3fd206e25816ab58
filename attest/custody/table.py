"""Tables whose columns the operator maps: what CSV, XLSX and SQL sources have in common.

No column, separator or date order is ever guessed: each is an option (:data:`OPTIONS`), and each option is a text, so
that ``attest.toml`` and ``--option`` say the same things. Columns are found by their exact names, and every row must
have as many fields as the header.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from attest.custody import calendar
from attest.errors import SourceError
from attest.model import BalanceKind, StatedBalance
from attest.money import MAX_AMOUNT_LENGTH, currency, parse_amount
from attest.quorum import account_key

#: More than any export of balances has.
MAX_ROWS = 20_000

#: One field. Texts are read by the options; numbers and dates are what they are, exactly. There are no floats.
Cell = str | int | Decimal | date | datetime | None

#: The options that every table has.
OPTIONS = {
    "account_column": "name of the column with the account's IBAN or number; or:",
    "account": "the account of all rows, if the table does not name it",
    "amount_column": "name of the column with the closing booked balance",
    "date_column": "name of the column with the balance's date or time",
    "date_format": "how dates are written: YYYY MM DD Mon hh mm ss zzz (Z or +hh:mm), e.g. DD.MM.YYYY [YYYY-MM-DD]",
    "currency": "the currency of all rows, e.g. EUR; or:",
    "currency_column": "name of the column with the ISO-4217 code",
    "id_column": "name of the column with the statement's number or id",
    "indicator_column": "name of the column that says credit or debit; amounts then carry no sign",
    "credit": "what stands there for a credit, e.g. CR",
    "debit": "what stands there for a debit, e.g. DR",
    "kind_column": "name of the column that says which balance a row holds; other rows are left out",
    "kind_value": "what stands there for the balance to take, e.g. Closing booked",
    "balance_kind": "what the balance is: closing-booked, closing-available or custody-total [closing-booked]",
    "decimal": "the decimal separator: . or , [.]",
    "thousands": "what groups thousands: one of . , ' ’ or a space; leave out for none",
}

_REQUIRED = ("amount_column", "date_column")
_ALLOWED = {
    "balance_kind": ("closing-booked", "closing-available", "custody-total"),
    "decimal": (".", ","),
}
_GROUPS = {".", ",", "'", "’", " ", "\u00a0", "\u202f"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TOKENS = {
    "YYYY": "(?P<year>[0-9]{4})",
    "MM": "(?P<month>[0-9]{2})",
    "Mon": f"(?P<name>{'|'.join(_MONTHS)})",
    "DD": "(?P<day>[0-9]{2})",
    "hh": "(?P<hour>[0-9]{2})",
    "mm": "(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
    "zzz": "(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})",
}
_TOKEN = re.compile("|".join(_TOKENS))

AGAIN = "Export the statement again; if it is unchanged, compare it with the source's options."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-header": (
        "The columns are found by their exact names; another layout is another document.",
        "Compare the file's header with the options of this source, and correct whichever changed.",
    ),
    "ragged-row": ("With a field too many or too few, every number stands in another column.", AGAIN),
    "malformed-row": ("A row that is not understood in full may say something else.", AGAIN),
    "malformed-amount": (
        "An amount that can be read in two ways can be wrong without anybody noticing.",
        "Compare the options `decimal`, `thousands` and the credit and debit marks with what the bank writes.",
    ),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example Europe/Berlin.",
    ),
    "duplicate-row": ("One account has one closing balance on one date.", AGAIN),
    "conflicting-statements": (
        "One account has one closing balance on one date.",
        "Take away the file that is wrong; if you cannot tell, ask the custodian.",
    ),
    "no-closing-balance": ("An export without a balance says nothing.", AGAIN),
    "too-many-rows": (
        "So much in one table is not an export of balances.",
        "Export fewer days or accounts, or the balances without the transactions.",
    ),
}


@dataclass(frozen=True)
class Columns:
    """The checked options; see :data:`OPTIONS` for what each one means."""

    amount_column: str
    date_column: str
    account_column: str | None = None
    account: str | None = None
    date_format: str = "YYYY-MM-DD"
    currency: str | None = None
    currency_column: str | None = None
    id_column: str | None = None
    indicator_column: str | None = None
    credit: str | None = None
    debit: str | None = None
    kind_column: str | None = None
    kind_value: str | None = None
    balance_kind: BalanceKind = "closing-booked"
    decimal: str = "."
    thousands: str = ""

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            need(getattr(self, name) in allowed, f"{name} must be one of {', '.join(map(repr, allowed))}")
        columns = list(self.named().values())
        need(len(set(columns)) == len(columns), "two options name the same column")
        need(all(columns), "a column's name must not be empty")
        need((self.account is None) != (self.account_column is None), "give one of account and account_column")
        need(self.account is None or self.account.strip(" "), "account must not be empty")
        need((self.currency is None) != (self.currency_column is None), "give one of currency and currency_column")
        if self.currency is not None:
            try:
                currency(self.currency)
            except SourceError as fault:
                raise ValueError(fault.message) from None
        marks = (self.indicator_column, self.credit, self.debit)
        need(all(marks) or not any(marks), "indicator_column, credit and debit belong together")
        need(not self.credit or self.credit != self.debit, "credit and debit must differ")
        need((self.kind_column is None) == (self.kind_value is None), "kind_column and kind_value belong together")
        need(self.thousands == "" or self.thousands in _GROUPS, "thousands must be one of . , ' ’ or a space")
        need(self.thousands != self.decimal, "decimal and thousands must differ")
        _date_pattern(self.date_format)

    def named(self) -> dict[str, str]:
        """The columns that are read, by their options' names."""
        options = [option.name for option in fields(self) if option.name.endswith("_column")]
        return {name: getattr(self, name) for name in options if getattr(self, name) is not None}


def need(holds: object, detail: str) -> None:
    """Raises ``ValueError`` saying ``detail`` unless ``holds``."""
    if not holds:
        raise ValueError(detail)


def texts(options: Mapping[str, object]) -> dict[str, str]:
    """Options that are texts; ``true`` and ``false`` may also be TOML's. Raises ``ValueError`` naming another."""
    values = {}
    for name, value in options.items():
        value = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text")
        values[name] = value
    return values


def prepare(options: Mapping[str, object], extra: Collection[str] = ()) -> Columns:
    """The options of a table, checked. ``extra`` are the format's own options, which are not looked at here.

    Raises ``ValueError`` saying what is wrong; unknown options were refused before.
    """
    missing = [name for name in _REQUIRED if name not in options]
    if "account" not in options and "account_column" not in options:
        missing.insert(0, "account_column")
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given: columns are never guessed")
    values: dict[str, Any] = texts({name: value for name, value in options.items() if name not in extra})
    return Columns(**values)


def find_columns(header: Sequence[str], columns: Columns, at: str) -> dict[str, int]:
    """Where each mapped column stands, by its option's name. Raises :class:`SourceError` (``wrong-header``) naming
    ``at`` for one that is missing or there twice; other columns do not matter."""
    places = {}
    for option, name in columns.named().items():
        if header.count(name) != 1:
            found = "is missing" if name not in header else f"stands there {header.count(name)} times"
            refuse(at, "wrong-header", f"the column {name!r} ({option}) {found}")
        places[option] = header.index(name)
    return places


def read_rows(
    header: Sequence[str],
    rows: Iterable[tuple[int, Sequence[Cell]]],
    columns: Columns,
    *,
    zone: str | None,
    where: str,
    place: str = "line",
    header_number: int | None = 1,
) -> tuple[StatedBalance, ...]:
    """One balance for each row, in the rows' order. Pure.

    ``rows`` are ``(number, fields)``; messages name them as ``place`` and number, the header likewise unless
    ``header_number`` is None. A date is its end in ``zone`` (None: UTC); a time without an offset is ``zone``'s (None:
    refused). ``rows`` are taken one by one, so that a refusal by whoever reads them comes in its turn.

    Raises :class:`SourceError` naming ``where`` and the row: ``wrong-header``, ``ragged-row``, ``malformed-row``,
    ``malformed-amount``, ``too-many-decimals``, ``unknown-currency``, ``no-minor-unit``, ``naive-time``,
    ``duplicate-row``, ``too-many-rows``, ``no-closing-balance``.
    """
    places = find_columns(header, columns, where if header_number is None else f"{where}: {place} {header_number}")
    reader = _Reader(columns, zone)
    stated: list[StatedBalance] = []
    seen: dict[tuple[str, str, datetime], int] = {}
    for number, row in rows:
        at = f"{where}: {place} {number}"
        if len(row) != len(header):
            refuse(at, "ragged-row", f"has {len(row)} fields, the header {len(header)}")
        values = {option: row[column] for option, column in places.items()}
        if columns.kind_column is not None and values["kind_column"] != columns.kind_value:
            continue
        balance = reader.balance(values, at)
        key = _key(balance)
        if key in seen:
            refuse(at, "duplicate-row", f"states account {balance.account!r} again (first in {place} {seen[key]})")
        seen[key] = number
        stated.append(balance)
        if len(stated) > MAX_ROWS:
            refuse(at, "too-many-rows", f"is the balance after {MAX_ROWS} others")
    if not stated:
        refuse(where, "no-closing-balance", "holds no row" + (" of that kind" if columns.kind_column else ""))
    return tuple(stated)


def merge(tables: Iterable[tuple[str, Iterable[StatedBalance]]]) -> tuple[StatedBalance, ...]:
    """The balances of several documents, ``(name, balances)`` each: what two of them state alike counts once.

    Raises :class:`SourceError` (``conflicting-statements``) naming the later document and the account if they differ
    about the same account, currency and time.
    """
    kept: dict[tuple[str, str, datetime], tuple[str, StatedBalance]] = {}
    for name, balances in tables:
        for balance in balances:
            earlier, known = kept.setdefault(_key(balance), (name, balance))
            if known.minor_units != balance.minor_units:
                unit, time = currency(balance.currency), balance.business_date or balance.as_of
                refuse(
                    f"{name}: account {balance.account!r}",
                    "conflicting-statements",
                    f"states {unit.format(balance.minor_units)} {unit.code} for {time}, but {earlier} states "
                    f"{unit.format(known.minor_units)}",
                )
    return tuple(balance for _, balance in kept.values())


def _key(balance: StatedBalance) -> tuple[str, str, datetime]:
    return account_key(balance.account), balance.currency, balance.as_of


def refuse(where: str, code: str, detail: str) -> NoReturn:
    """Raises the :class:`SourceError` that says ``detail`` of ``where``."""
    reason, advice = _REFUSALS[code]
    raise SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


class _Reader:
    """Reads the mapped fields of one row, by their options' names."""

    def __init__(self, columns: Columns, zone: str | None) -> None:
        self.columns, self.zone = columns, zone
        self.date_pattern = _date_pattern(columns.date_format)
        group = re.escape(columns.thousands)
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        self.amount_pattern = re.compile(rf"(-?)({whole})(?:{re.escape(columns.decimal)}([0-9]+))?", re.ASCII)

    def balance(self, values: Mapping[str, Cell], at: str) -> StatedBalance:
        account = (self.columns.account or _text(values, "account_column", at)).strip(" ")
        if not account:
            refuse(at, "malformed-row", "names no account")
        at = f"{at}: account {account[:100]!r}"
        code = self.columns.currency or _text(values, "currency_column", at)
        as_of, business_date = self._date(values, at)
        return StatedBalance(
            account=account,
            currency=code,
            minor_units=self._amount(values, code, at),
            balance_kind=self.columns.balance_kind,
            as_of=as_of,
            statement_id=_text(values, "id_column", at).strip(" ") if "id_column" in values else "",
            business_date=business_date,
        )

    def _amount(self, values: Mapping[str, Cell], code: str, at: str) -> int:
        cell = values["amount_column"]
        plain = _plain(cell)
        if plain is None:
            plain = self._written(_text(values, "amount_column", at), at)
        minor_units = parse_amount(plain, currency(code, at), at)
        if self.columns.indicator_column is None:
            return minor_units
        mark = _text(values, "indicator_column", at).strip(" ")
        if plain.startswith("-") or mark not in {self.columns.credit, self.columns.debit}:
            signed = plain.startswith("-")
            detail = "has a sign besides its credit or debit mark" if signed else f"is marked {mark[:40]!r}"
            refuse(at, "malformed-amount", f"{str(cell)[:40]!r} {detail}")
        return minor_units if mark == self.columns.credit else -minor_units

    def _written(self, text: str, at: str) -> str:
        """An amount written as the options say, as a plain decimal."""
        match = self.amount_pattern.fullmatch(text)
        if match is None:
            thousands = f"thousands {self.columns.thousands!r}" if self.columns.thousands else "no thousands separator"
            written = f"decimal {self.columns.decimal!r}, {thousands}"
            refuse(at, "malformed-amount", f"{text[:40]!r} is no amount written with {written}")
        sign, whole, decimals = match[1], match[2], match[3]
        if self.columns.thousands:
            whole = whole.replace(self.columns.thousands, "")
        return sign + (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")

    def _date(self, values: Mapping[str, Cell], at: str) -> tuple[datetime, str | None]:
        cell = values["date_column"]
        try:
            if isinstance(cell, datetime):
                return self._instant(cell), None
            if isinstance(cell, date):
                return self._end_of(cell)
            match = self.date_pattern.fullmatch(_text(values, "date_column", at).strip(" "))
            if match is None:
                raise ValueError(f"is not written as {self.columns.date_format}")
            part = match.groupdict()
            month = _MONTHS.index(part["name"]) + 1 if "name" in part else int(part["month"])
            day = datetime(int(part["year"]), month, int(part["day"]))  # noqa: DTZ001 - given a zone below
            if "hour" not in part:
                return self._end_of(day.date())
            clock = day.replace(hour=int(part["hour"]), minute=int(part["minute"]), second=int(part.get("second", 0)))
            return calendar.instant_of(clock, part.get("offset"), self.zone), None
        except calendar.NaiveTimeError:
            refuse(at, "naive-time", f"the time {str(cell)[:40]!r} has no time zone, and none is configured")
        except ValueError as fault:
            refuse(at, "malformed-row", f"the date {str(cell)[:40]!r}: {fault}")

    def _end_of(self, day: date) -> tuple[datetime, str]:
        return calendar.end_of(day, self.zone or "UTC"), day.isoformat()

    def _instant(self, moment: datetime) -> datetime:
        offset = moment.strftime("%z") or None
        return calendar.instant_of(moment.replace(tzinfo=None, microsecond=0), offset, self.zone)


def _plain(cell: Cell) -> str | None:
    """A number as a plain decimal; None for what is no number."""
    if isinstance(cell, bool) or not isinstance(cell, int | Decimal):
        return None
    number = Decimal(cell)
    if not number.is_finite() or max(abs(number.adjusted()), len(number.as_tuple().digits)) > MAX_AMOUNT_LENGTH:
        return None
    return format(number, "f")


def _text(values: Mapping[str, Cell], option: str, at: str) -> str:
    """A field as a text: a whole number is its digits (account numbers), nothing is the empty text."""
    cell = values[option]
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    plain = _plain(cell)
    if plain is None or "." in plain:
        code = "malformed-amount" if option == "amount_column" else "malformed-row"
        refuse(at, code, f"{str(cell)[:40]!r} ({option}) is of type {type(cell).__name__}")
    return plain


def _date_pattern(date_format: str) -> re.Pattern[str]:
    """A pattern with the named groups year, month or name, day and perhaps hour, minute, second, offset."""
    literals = _TOKEN.split(date_format)
    tokens = _TOKEN.findall(date_format)
    for group in (("YYYY",), ("MM", "Mon"), ("DD",)):
        if sum(tokens.count(token) for token in group) != 1:
            raise ValueError(f"date_format {date_format!r} must hold {' or '.join(group)} once")
    if len(set(tokens)) != len(tokens) or ("hh" in tokens) != ("mm" in tokens):
        raise ValueError(f"date_format {date_format!r} must hold hh and mm together, and nothing twice")
    if "hh" not in tokens and {"ss", "zzz"} & set(tokens):
        raise ValueError(f"date_format {date_format!r} has seconds or an offset, but no hh:mm")
    if any(re.search("[A-SU-Za-z0-9%]", literal) for literal in literals):
        raise ValueError(f"date_format {date_format!r} may hold YYYY MM Mon DD hh mm ss zzz, T and punctuation")
    pattern = re.escape(literals[0])
    for token, literal in zip(tokens, literals[1:], strict=True):
        pattern += _TOKENS[token] + re.escape(literal)
    return re.compile(pattern, re.ASCII)
