"""Any JSON API, by JSON Pointers: one for each field, as a table has columns.

The raw answers are the documents, page by page, so a saved answer is read as one that was just fetched. What a field
means (amounts, dates, credit and debit) is what :mod:`attest.custody.table` makes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn, cast
from urllib.parse import quote

from attest.config import HttpConnection
from attest.custody import calendar, table
from attest.custody.apis import pages
from attest.custody.apis.pages import ABSENT, Paging, Pointer, Rules, Scientific
from attest.custody.document import Document, too_large
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError
from attest.model import BalanceKind, StatedBalance
from attest.money import currency
from attest.quorum import account_key
from attest.records import format_instant

OPTIONS = {
    "items": "pointer to the list of balances; leave out if the document is one balance itself. The pointers to fields "
    "begin at an item, or with # before them (#/asOf) at the document",
    "account": "pointer to the account's IBAN or number; or:",
    "account_is": "the account of all balances, if the answer does not name it",
    "amount": "pointer to the balance: a text or a number, exact",
    "currency": "pointer to the ISO-4217 code; or:",
    "currency_is": "the currency of all balances, e.g. EUR",
    "as_of": "pointer to the balance's date or time; leave out for what holds at the moment of asking",
    "date_format": "how it is written: iso, epoch-seconds, epoch-milliseconds, or as in csv, e.g. DD.MM.YYYY [iso]",
    "statement_id": "pointer to the statement's number or id",
    "indicator": "pointer to what says credit or debit; amounts then carry no sign",
    "credit": "what stands there for a credit, e.g. CREDIT",
    "debit": "what stands there for a debit, e.g. DEBIT",
    "kind": "pointer to what says which balance it is; others are left out",
    "kind_value": "what stands there for the balance to take, e.g. closingBooked",
    "balance_kind": "what the balance is: closing-booked, closing-available or custody-total [closing-booked]",
    "decimal": "the decimal separator of amounts that are texts: . or , [.]",
    "thousands": "what groups thousands in them: one of . , ' ’ or a space; leave out for none",
    "minor_units": "true if amounts are whole numbers of cents (the currency's minor unit) [false]",
    "sub_minor_units": "floor: leave out what is less than a minor unit, instead of refusing it [refuse]",
    "method": "GET, or POST for an API that is queried so [GET]",
    "body": "what is posted; may hold {account}, {cutoff}, {date} and {period}, as the location may",
    "content_type": "what the body is [application/json]",
    "next": "pointer to the next page's URL at the same server, or to a cursor",
    "cursor_parameter": "the query parameter that takes the cursor",
    "page_parameter": "the query parameter that takes the number of the page",
    "first_page": "the first page's number: 0 or 1 [1]",
    "page_number": "pointer to the page's own number, if it states that",
    "last_page": "pointer to the last page's number",
    "total": "pointer to the number of all items on all pages",
    "error": "pointers, with spaces between, that must be absent or empty in a good answer [/error /errors]",
    "success": "pointer to what says that the answer is good; with:",
    "success_value": "what stands there in a good answer, e.g. ok or true",
    "do_not_use": "pointer to a mark (ripcord) that must be absent or false before the balance is used",
}

#: Of all pages together.
MAX_BYTES = 8 * 1024 * 1024

_POINTERS = (
    "items", "account", "amount", "currency", "as_of", "statement_id", "indicator", "kind", "next", "page_number",
    "last_page", "total", "success", "do_not_use",
)  # fmt: skip
_EPOCHS = {"epoch-seconds": 1, "epoch-milliseconds": 1000}
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_PLAIN = re.compile(r"(-?)([0-9]{1,60})(?:\.([0-9]{1,60}))?", re.ASCII)
_HOLES = re.compile(r"\{(account|cutoff|date|period)\}")


@dataclass(frozen=True)
class Settings:
    """The checked options; see :data:`OPTIONS` for what each one means."""

    fields: Mapping[str, Pointer]
    columns: table.Columns
    rules: Rules
    paging: Paging
    date_format: str
    kind: Pointer | None
    kind_value: str
    minor_units: bool
    floor: bool
    method: str
    body: str
    content_type: str


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options. Raises ``ValueError`` saying what is wrong; unknown ones were refused before."""
    given = table.texts(options)
    need = table.need
    pointers: dict[str, Pointer] = {}
    for name in _POINTERS:
        if name in given:
            try:
                pointers[name] = Pointer(given[name])
            except ValueError as fault:
                raise ValueError(f"{name}: {fault}") from None
    need("amount" in pointers, "amount must be given: fields are never guessed")
    need(("account" in given) != ("account_is" in given), "give one of account and account_is")
    need(("currency" in given) != ("currency_is" in given), "give one of currency and currency_is")
    marks = {name: given.get(name) for name in ("indicator", "credit", "debit")}
    need(all(marks.values()) or not any(marks.values()), "indicator, credit and debit belong together")
    need(("kind" in given) == ("kind_value" in given), "kind and kind_value belong together")
    need(("success" in given) == ("success_value" in given), "success and success_value belong together")
    choices = {
        "minor_units": ("false", "true"),
        "sub_minor_units": ("refuse", "floor"),
        "method": ("GET", "POST"),
        "first_page": ("1", "0"),
    }
    chosen = {name: given.get(name, allowed[0]) for name, allowed in choices.items()}
    for name, allowed in choices.items():
        need(chosen[name] in allowed, f"{name} must be {' or '.join(allowed)}")
    as_written = (chosen["minor_units"], chosen["sub_minor_units"]) == ("false", "refuse")
    need(
        as_written or (given.get("decimal", ".") == "." and "thousands" not in given),
        "minor_units and sub_minor_units read plain decimals: leave decimal and thousands out",
    )
    method = chosen["method"]
    need(method == "POST" or not {"body", "content_type"} & set(given), "body and content_type need method = POST")
    date_format = given.get("date_format", "iso")
    need("date_format" not in given or "as_of" in given, "date_format needs as_of: where the date is")
    written = date_format not in ("iso", *_EPOCHS)
    for name in ("cursor_parameter", "page_parameter"):
        need(name not in given or re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,64}", given[name]), f"{name} is malformed")
    columns = table.Columns(
        amount_column="amount",
        date_column="as_of",
        account_column="account" if "account" in given else None,
        account=given.get("account_is"),
        currency=given.get("currency_is"),
        currency_column="currency" if "currency" in given else None,
        id_column="statement_id" if "statement_id" in given else None,
        indicator_column="indicator" if marks["indicator"] else None,
        credit=marks["credit"],
        debit=marks["debit"],
        balance_kind=cast(BalanceKind, given.get("balance_kind", "closing-booked")),
        decimal=given.get("decimal", "."),
        thousands=given.get("thousands", ""),
        **({"date_format": date_format} if written else {}),
    )
    names = ("account", "currency", "amount", "statement_id", "indicator")
    return Settings(
        fields={name: pointers[name] for name in names if name in pointers}
        | ({"as_of": pointers["as_of"]} if "as_of" in pointers else {}),
        columns=columns,
        rules=Rules(
            errors=tuple(Pointer(text) for text in given.get("error", "/error /errors").split()),
            success=pointers.get("success"),
            success_value=given.get("success_value", ""),
            do_not_use=pointers.get("do_not_use"),
        ),
        paging=Paging(
            items=pointers.get("items"),
            next=pointers.get("next"),
            cursor_parameter=given.get("cursor_parameter"),
            page_parameter=given.get("page_parameter"),
            first_page=int(chosen["first_page"]),
            page_number=pointers.get("page_number"),
            last_page=pointers.get("last_page"),
            total=pointers.get("total"),
        ),
        date_format=date_format,
        kind=pointers.get("kind"),
        kind_value=given.get("kind_value", ""),
        minor_units=chosen["minor_units"] == "true",
        floor=chosen["sub_minor_units"] == "floor",
        method=method,
        body=given.get("body", ""),
        content_type=given.get("content_type", "application/json"),
    )


# -- asking ----------------------------------------------------------------------------------------------------------


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The answer's pages, as they came. Raises what :meth:`HttpClient.send` does, :class:`SourceError` for a page that
    says it is an error or leads astray, and :class:`OperatorError` for a location that cannot work."""
    holes = _holes(asked)
    location = _HOLES.sub(lambda hole: quote(holes[hole[1]], safe=""), asked.location)
    body = _HOLES.sub(lambda hole: json.dumps(holes[hole[1]])[1:-1], settings.body)
    try:
        url: str | None = settings.paging.first(location)
    except ValueError as fault:
        raise OperatorError(
            f"{asked.where}: location: {fault}",
            code="malformed-location",
            reason="A page that is asked for twice in one URL may be any page.",
            advice="Leave it out of the location.",
        ) from None
    headers = {"Accept": "application/json"}
    if settings.method == "POST":
        headers["Content-Type"] = settings.content_type
    read: list[Any] = []
    size = 0
    while url is not None:
        call = Call(url, settings.method, headers, body.encode())
        document = reach.http.send(
            lambda call=call: call,  # type: ignore[misc]
            where=asked.where,
            connection=cast(HttpConnection | None, asked.connection),
            until=reach.until,
            limit=MAX_BYTES,
        )
        yield document
        if not settings.paging.goes_on:
            return
        where = f"{asked.where}: {document.name}"
        size += document.size
        if size > MAX_BYTES:
            raise too_large(f"{where}, together with the pages before it,", MAX_BYTES)
        plain = pages.load(document, MAX_BYTES)
        settings.rules.check(plain, where)
        read.append(plain)
        url = settings.paging.following(location, read, where)


def _holes(asked: Asked) -> dict[str, str]:
    """What a location or a body may ask for. ``date`` is the last day that is over at the cutoff where the account
    is."""
    day = calendar.last_day(asked.cutoff, asked.zone or "UTC")
    return {
        "account": asked.external_account,
        "cutoff": format_instant(asked.cutoff),
        "date": day.isoformat(),
        "period": asked.period,
    }


# -- reading ---------------------------------------------------------------------------------------------------------


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The balances of all pages, in their order. Raises :class:`SourceError` naming the document and the balance."""
    plains = []
    for document in pages.within(documents, MAX_BYTES):
        plain = pages.load(document, MAX_BYTES)
        settings.rules.check(plain, document.name)
        plains.append(plain)
    names = [
        document.name if len(documents) == 1 else f"{document.name} (page {number})"
        for number, document in enumerate(documents, 1)
    ]
    settings.paging.check(plains, names)
    reader = _Reader(settings, zone, retrieved_at)
    stated: dict[tuple[str, str, datetime], StatedBalance] = {}
    for plain, name in zip(plains, names, strict=True):
        rows = reader.rows(settings.paging.listed(plain, name), plain, name)
        for balance in reader.stated(rows, name):
            key = (account_key(balance.account), balance.currency, balance.as_of)
            if key in stated:
                table.refuse(name, "duplicate-row", f"states account {balance.account[:100]!r} again")
            stated[key] = balance
    if not stated:
        of_kind = f" whose {settings.kind.text} is {settings.kind_value!r}" if settings.kind else ""
        table.refuse(names[0], "no-closing-balance", f"holds no balance{of_kind}")
    return tuple(stated.values())


class _Reader:
    """Makes rows of JSON values, and balances of rows."""

    def __init__(self, settings: Settings, zone: str | None, retrieved_at: datetime) -> None:
        self.settings, self.zone, self.retrieved_at = settings, zone, retrieved_at
        self.header = [*settings.fields] + ([] if "as_of" in settings.fields else ["as_of"])

    def stated(self, rows: Sequence[tuple[int, list[table.Cell]]], where: str) -> tuple[StatedBalance, ...]:
        if not rows:
            return ()
        return table.read_rows(
            self.header, rows, self.settings.columns, zone=self.zone, where=where, place="balance", header_number=None
        )

    def rows(self, items: Sequence[Any], document: Any, where: str) -> list[tuple[int, list[table.Cell]]]:
        """(number from 1, fields) of every item that is of the kind asked for."""
        rows = []
        for number, item in enumerate(items, 1):
            at = f"{where}: balance {number}"
            if self.settings.kind is not None:
                kind = self.settings.kind.find(item, document)
                if kind is ABSENT or pages.scalar(kind) is None:
                    pages.refuse(at, "field-missing", f"there is no text at {self.settings.kind.text} (kind)")
                if pages.scalar(kind) != self.settings.kind_value:
                    continue
            rows.append((number, self._row(item, document, at)))
        return rows

    def _row(self, item: Any, document: Any, at: str) -> list[table.Cell]:
        texts: dict[str, str] = {}
        for name, pointer in self.settings.fields.items():
            found = pointer.find(item, document)
            if found is ABSENT or found is None:
                pages.refuse(at, "field-missing", f"there is nothing at {pointer.text} ({name})")
            text = pages.scalar(found)
            if text is None or isinstance(found, bool):
                pages.refuse(at, "malformed-answer", f"what stands at {pointer.text} ({name}) is no text or number")
            texts[name] = text
        cells: dict[str, table.Cell] = dict(texts)
        raw = self.settings.fields["amount"].find(item, document)
        cells["amount"] = self._amount(raw, texts, at)
        cells["as_of"] = self._as_of(texts["as_of"], at) if "as_of" in texts else self.retrieved_at
        return [cells[name] for name in self.header]

    def _amount(self, raw: Any, texts: Mapping[str, str], at: str) -> table.Cell:
        if isinstance(raw, Scientific):
            _malformed(at, f"{str(raw)[:40]!r} is written with an exponent")
        plain = _PLAIN.fullmatch(texts["amount"])
        if plain is not None and (self.settings.minor_units or self.settings.floor):
            unit = currency(texts.get("currency") or str(self.settings.columns.currency), at)
            sign, whole, decimals = plain[1], plain[2], plain[3] or ""
            if self.settings.minor_units:
                if decimals:
                    _malformed(at, f"{texts['amount'][:40]!r} is no whole number of minor units")
                return Decimal(sign + unit.format(int(whole)))
            units = int(whole + decimals[: unit.exponent].ljust(unit.exponent, "0"))
            negative = sign or texts.get("indicator", "").strip(" ") == self.settings.columns.debit
            if negative and decimals[unit.exponent :].strip("0"):
                units += 1  # towards minus infinity
            return Decimal(sign + unit.format(units))
        if plain is None and self.settings.minor_units:
            _malformed(at, f"{texts['amount'][:40]!r} is no whole number of minor units")
        return raw if isinstance(raw, int | Decimal) else texts["amount"]

    def _as_of(self, text: str, at: str) -> table.Cell:
        """An instant, a date, or the text as it is for a format of the table's own."""
        per_second = _EPOCHS.get(self.settings.date_format)
        try:
            if per_second is not None:
                if not re.fullmatch(r"[1-9][0-9]{0,14}", text, re.ASCII):
                    raise ValueError("is no whole number since 1970")
                return datetime.fromtimestamp(int(text) // per_second, UTC)
            if self.settings.date_format != "iso":
                return text
            match = _ISO.fullmatch(text)
            if match is None:
                raise ValueError("is not written as YYYY-MM-DD, or YYYY-MM-DDThh:mm:ss with Z or +hh:mm")
            if match[2] is None:
                return date.fromisoformat(match[1])
            return calendar.instant_of(datetime.fromisoformat(f"{match[1]}T{match[2]}"), match[3], self.zone)
        except calendar.NaiveTimeError:
            table.refuse(at, "naive-time", f"the time {text[:40]!r} has no time zone, and none is configured")
        except (ValueError, OverflowError, OSError) as fault:
            table.refuse(at, "malformed-row", f"the date {text[:40]!r}: {fault}")


def _malformed(at: str, detail: str) -> NoReturn:
    table.refuse(at, "malformed-amount", detail)


FORMAT = Format(
    title="JSON APIs, fields by JSON Pointer",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=MAX_BYTES,
    connections=("http",),
)
