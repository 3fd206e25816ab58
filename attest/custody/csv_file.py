"""CSV exports, read by an explicit column mapping: no column, separator, encoding or date order is ever guessed.

Each option is a text (``OPTIONS`` lists them), so that ``attest.toml`` and ``--option`` say the same things. RFC 4180
quoting; one header line; every row must have as many fields as the header.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NoReturn

from attest.custody import calendar
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.errors import SourceError
from attest.model import BalanceKind, StatedBalance
from attest.money import currency, parse_amount
from attest.quorum import account_key

#: Longer than any row of balances; csv's own limit on one field is 131,072.
MAX_LINE = 100_000
MAX_ROWS = 20_000

OPTIONS = {
    "account_column": "name of the column with the account's IBAN or number",
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
    "delimiter": "what stands between fields: one character, or tab [,]",
    "decimal": "the decimal separator: . or , [.]",
    "thousands": "what groups thousands: one of . , ' ’ or a space; leave out for none",
    "encoding": "utf-8, utf-16 or latin-1 [utf-8]",
    "final_newline": "false if the bank ends the last line without a line break [true]",
}

_BOMS = {
    "utf-8": (codecs.BOM_UTF8,),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "latin-1": (),
}
_ALLOWED = {
    "balance_kind": ("closing-booked", "closing-available", "custody-total"),
    "decimal": (".", ","),
    "encoding": tuple(_BOMS),
    "final_newline": ("true", "false"),
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

_AGAIN = "Export the statement again; if it is unchanged, compare it with the source's options."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-encoding": (
        "In another encoding the same bytes are other characters.",
        "Set the source's option `encoding` to what the bank writes, or export again.",
    ),
    "malformed-csv": ("From a damaged or cut file a wrong balance can be read.", _AGAIN),
    "truncated-file": (
        "A file cut in the middle of its last number still looks well-formed.",
        'Export the statement again. If this bank never ends the last line, set final_newline = "false".',
    ),
    "wrong-header": (
        "The columns are found by their exact names; another layout is another document.",
        "Compare the file's header with the options of this source, and correct whichever changed.",
    ),
    "ragged-row": ("With a field too many or too few, every number stands in another column.", _AGAIN),
    "malformed-row": ("A row that is not understood in full may say something else.", _AGAIN),
    "malformed-amount": (
        "An amount that can be read in two ways can be wrong without anybody noticing.",
        "Compare the options `decimal`, `thousands` and the credit and debit marks with what the bank writes.",
    ),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example Europe/Berlin.",
    ),
    "duplicate-row": ("One account has one closing balance on one date.", _AGAIN),
    "no-closing-balance": ("An export without a balance says nothing.", _AGAIN),
}


@dataclass(frozen=True)
class Mapped:
    """The checked options; see ``OPTIONS`` for what each one means."""

    account_column: str
    amount_column: str
    date_column: str
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
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""
    encoding: str = "utf-8"
    final_newline: str = "true"

    def __post_init__(self) -> None:
        def need(holds: object, detail: str) -> None:
            if not holds:
                raise ValueError(detail)

        for name, allowed in _ALLOWED.items():
            need(getattr(self, name) in allowed, f"{name} must be one of {', '.join(map(repr, allowed))}")
        columns = [getattr(self, name) for name in OPTIONS if name.endswith("_column")]
        columns = [name for name in columns if name is not None]
        need(len(set(columns)) == len(columns), "two options name the same column")
        need(all(columns), "a column's name must not be empty")
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
        delimits = self.delimiter == "tab" or re.fullmatch(r"[^\w\s\"\0.-]", self.delimiter)
        need(delimits, "delimiter must be one character (no letter, digit, quote, dot or minus) or tab")
        need(self.thousands == "" or self.thousands in _GROUPS, "thousands must be one of . , ' ’ or a space")
        need(self.thousands != self.decimal, "decimal and thousands must differ")
        _date_pattern(self.date_format)


def check_options(options: Mapping[str, object]) -> Mapped:
    """The options as settings for :func:`read`. Raises ``ValueError`` saying what is wrong; unknown ones were refused
    before."""
    missing = [name for name in ("account_column", "amount_column", "date_column") if name not in options]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given: columns are never guessed")
    values: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text")
        values[name] = value
    return Mapped(**values)


def read(
    documents: Sequence[Document], settings: Mapped, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """One balance for each row, in the rows' order. ``zone`` as in camt.053: what a date or a local time means.

    Raises :class:`SourceError` naming the document and the line.
    """
    stated: list[StatedBalance] = []
    for document in documents:
        stated += _read_one(document.read(FORMAT.max_bytes), settings, zone, document.name)
    return tuple(stated)


def _read_one(data: bytes, settings: Mapped, zone: str | None, where: str) -> tuple[StatedBalance, ...]:
    reader = _Reader(settings, zone, where)
    rows = reader.rows(reader.decode(data))
    places = reader.header(next(rows, (1, []))[1])
    stated: list[StatedBalance] = []
    seen: dict[tuple[str, str, datetime], int] = {}
    for line, row in rows:
        if len(row) != reader.width:
            reader.refuse("ragged-row", f"has {len(row)} fields, the header {reader.width}", line)
        values = {option: row[place] for option, place in places.items()}
        if settings.kind_column is not None and values["kind_column"] != settings.kind_value:
            continue
        balance = reader.balance(values, line)
        key = (account_key(balance.account), balance.currency, balance.as_of)
        if key in seen:
            detail = f"states account {balance.account!r} again (first in line {seen[key]})"
            reader.refuse("duplicate-row", detail, line)
        seen[key] = line
        stated.append(balance)
        if len(stated) > MAX_ROWS:
            reader.refuse("malformed-csv", f"holds more than {MAX_ROWS} balances", line)
    if not stated:
        reader.refuse("no-closing-balance", "holds no row" + (" of that kind" if settings.kind_column else ""))
    return tuple(stated)


class _Reader:
    def __init__(self, settings: Mapped, zone: str | None, where: str) -> None:
        self.settings, self.zone, self.where = settings, zone, where
        self.date_pattern = _date_pattern(settings.date_format)
        self.width = 0
        group = re.escape(settings.thousands)
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        self.amount_pattern = re.compile(rf"(-?)({whole})(?:{re.escape(settings.decimal)}([0-9]+))?", re.ASCII)

    def refuse(self, code: str, detail: str, line: int | None = None) -> NoReturn:
        reason, advice = _REFUSALS[code]
        place = self.where if line is None else f"{self.where}: line {line}"
        raise SourceError(f"{place}: {detail}", code=code, reason=reason, advice=advice)

    def decode(self, data: bytes) -> str:
        encoding = self.settings.encoding
        for name, marks in _BOMS.items():
            for mark in marks:
                if data.startswith(mark) and name != encoding:
                    self.refuse("wrong-encoding", f"begins with the mark of {name}, the option says {encoding}")
        if encoding == "utf-16" and not data.startswith(_BOMS["utf-16"]):
            self.refuse("wrong-encoding", "is not marked as UTF-16 (it has no byte order mark)")
        try:
            text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError as fault:
            self.refuse("wrong-encoding", f"is not {encoding} (byte {fault.start})")
        if "\0" in text:
            self.refuse("wrong-encoding", "holds NUL characters", text.count("\n", 0, text.index("\0")) + 1)
        if not text.endswith("\n") and self.settings.final_newline == "true":
            self.refuse("truncated-file", "does not end with a line break, so it may have been cut off")
        return text

    def rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """(number of the line that it begins on, fields) of every row; empty lines are allowed at the end only."""
        delimiter = "\t" if self.settings.delimiter == "tab" else self.settings.delimiter
        reader = csv.reader(self._lines(text), delimiter=delimiter, strict=True)
        blank = 0
        begin = 1
        try:
            for row in reader:
                if row and blank:
                    self.refuse("malformed-csv", "is empty in the middle of the file", blank)
                if row:
                    yield begin, row
                else:
                    blank = begin
                begin = reader.line_num + 1
        except csv.Error as fault:
            self.refuse("malformed-csv", str(fault), begin)

    def _lines(self, text: str) -> Iterator[str]:
        begin, number = 0, 1
        while begin < len(text):
            end = text.find("\n", begin)
            end = len(text) if end < 0 else end + 1
            if end - begin > MAX_LINE:
                self.refuse("malformed-csv", f"is longer than {MAX_LINE} characters", number)
            yield text[begin:end]
            begin, number = end, number + 1

    def header(self, names: list[str]) -> dict[str, int]:
        """Where each mapped column stands, by its option's name."""
        self.width = len(names)
        places = {}
        for option in fields(self.settings):
            name = getattr(self.settings, option.name)
            if not option.name.endswith("_column") or name is None:
                continue
            if names.count(name) != 1:
                found = "is missing" if name not in names else f"stands there {names.count(name)} times"
                self.refuse("wrong-header", f"the column {name!r} ({option.name}) {found}", 1)
            places[option.name] = names.index(name)
        return places

    def balance(self, values: Mapping[str, str], line: int) -> StatedBalance:
        where = f"{self.where}: line {line}"
        code = values.get("currency_column", self.settings.currency or "")
        account = values["account_column"].strip(" ")
        if not account:
            self.refuse("malformed-row", "names no account", line)
        as_of, business_date = self._date(values["date_column"], line)
        return StatedBalance(
            account=account,
            currency=code,
            minor_units=self._amount(values, code, where, line),
            balance_kind=self.settings.balance_kind,
            as_of=as_of,
            statement_id=values.get("id_column", "").strip(" "),
            business_date=business_date,
        )

    def _amount(self, values: Mapping[str, str], code: str, where: str, line: int) -> int:
        text = values["amount_column"]
        match = self.amount_pattern.fullmatch(text)
        if match is None:
            written = f"decimal {self.settings.decimal!r}" + (
                f", thousands {self.settings.thousands!r}" if self.settings.thousands else ", no thousands separator"
            )
            self.refuse("malformed-amount", f"{text[:40]!r} is no amount written with {written}", line)
        sign, whole, decimals = match[1], match[2], match[3]
        if self.settings.thousands:
            whole = whole.replace(self.settings.thousands, "")
        plain = sign + (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")
        minor_units = parse_amount(plain, currency(code, where), where)
        if self.settings.indicator_column is None:
            return minor_units
        mark = values["indicator_column"].strip(" ")
        if sign or mark not in {self.settings.credit, self.settings.debit}:
            detail = "has a sign besides its credit or debit mark" if sign else f"is marked {mark[:40]!r}"
            self.refuse("malformed-amount", f"{text[:40]!r} {detail}", line)
        return minor_units if mark == self.settings.credit else -minor_units

    def _date(self, text: str, line: int) -> tuple[datetime, str | None]:
        match = self.date_pattern.fullmatch(text.strip(" "))
        if match is None:
            self.refuse("malformed-row", f"the date {text[:40]!r} is not written as {self.settings.date_format}", line)
        part = match.groupdict()
        try:
            month = _MONTHS.index(part["name"]) + 1 if "name" in part else int(part["month"])
            day = datetime(int(part["year"]), month, int(part["day"]))  # noqa: DTZ001 - given a zone below
            if "hour" not in part:
                return calendar.end_of(day.date(), self.zone or "UTC"), day.date().isoformat()
            clock = day.replace(hour=int(part["hour"]), minute=int(part["minute"]), second=int(part.get("second", 0)))
            return calendar.instant_of(clock, part.get("offset"), self.zone), None
        except calendar.NaiveTimeError:
            self.refuse("naive-time", f"the time {text!r} has no time zone, and none is configured", line)
        except ValueError as fault:
            self.refuse("malformed-row", f"the date {text!r}: {fault}", line)


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


FORMAT = Format("CSV exports, columns mapped", check_options, read, OPTIONS)
