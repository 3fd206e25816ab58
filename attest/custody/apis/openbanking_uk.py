"""Open Banking UK (Read/Write API v3.1 and v4): the closing booked balances of one account.

Source: Account and Transaction API, ``GET /accounts/{AccountId}/balances``, ``OBReadBalance1``. The amount is unsigned;
the sign is only in ``CreditDebitIndicator``. v4 calls the closing booked balance ``CLBD``, v3.1 ``ClosingBooked``. No
other type (interim, expected, forward, available) is ever taken for it, whatever its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from attest.custody import calendar
from attest.custody.apis import answers, asking
from attest.custody.apis.answers import Answer
from attest.custody.apis.live import texts
from attest.custody.apis.pages import Paging, Pointer, within
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance
from attest.money import currency, parse_amount

OPTIONS = {
    "account_id": "the bank's AccountId, from its GET /accounts",
    "account": "what the account is called in external_account, e.g. its IBAN [the AccountId]",
}

_PAGING = Paging(next=Pointer("/Links/Next"))
_CLOSING_BOOKED = ("CLBD", "ClosingBooked")
_SIGNS = {"Credit": 1, "Debit": -1}
_UNSIGNED = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,5})?", re.ASCII)
#: ISO 8601 has no offset -00:00.
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|(?!-00:00)[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    account_id: str
    account: str


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    given = texts(options, required=["account_id"], identifiers=["account_id"])
    return Settings(given["account_id"], given.get("account", given["account_id"]))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """All pages of the account's balances; ``asked.location`` is the bank's base URL (``https://…/aisp``).

    Raises what :func:`asking.ask_pages` does.
    """
    first = asking.url(asked.location, "accounts", settings.account_id, "balances")

    def call(url: str) -> Call:
        return Call(url, headers={"Accept": "application/json", "x-fapi-interaction-id": str(uuid4())})

    yield from asking.ask_pages(asked, reach, first, call, _PAGING, _page)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing booked balances on all pages, in their order; a debit is negative. Raises :class:`SourceError`
    naming the document and the balance."""
    stated: dict[tuple[str, datetime], StatedBalance] = {}
    pages = [_page(document) for document in within(documents, answers.MAX_BYTES)]
    _PAGING.check([page.members for page in pages], [page.where for page in pages])
    for page in pages:
        total = page.object("Meta").members.get("TotalPages") if "Meta" in page.members else None
        if total not in (None, len(pages)):
            page.refuse("missing-page", f"Meta.TotalPages is {total}, but there are {len(pages)}")
        for balance in page.object("Data").objects("Balance"):
            balance.the("AccountId", settings.account_id, "wrong-account")
            if balance.text("Type") not in _CLOSING_BOOKED:
                continue
            one = _stated(balance, settings.account, zone)
            if (one.currency, one.as_of) in stated:
                balance.refuse("several-balances", f"is a second closing balance in {one.currency} of {one.as_of}")
            stated[one.currency, one.as_of] = one
    if not stated:
        pages[0].refuse("no-closing-balance", "states no closing booked balance (CLBD or ClosingBooked)")
    return tuple(stated.values())


def _page(document: Document) -> Answer:
    page = answers.load(document)
    errors = page.members.get("Errors")
    if errors is not None or "Code" in page.members:
        listed = errors if isinstance(errors, list) else []
        page.error(*((error.get("ErrorCode"), error.get("Message")) for error in listed if isinstance(error, dict)))
    return page


def _stated(balance: Answer, account: str, zone: str | None) -> StatedBalance:
    lines = balance.objects("CreditLine") if "CreditLine" in balance.members else ()
    for line in lines:
        if "Included" not in line.members:
            line.refuse("malformed-answer", "does not say whether it is Included")
    if any(line.flag("Included") for line in lines):
        balance.refuse("included-credit-line", "the balance includes a credit line")
    amount = balance.object("Amount")
    written, indicator = amount.text("Amount"), balance.text("CreditDebitIndicator")
    if indicator not in _SIGNS or not _UNSIGNED.fullmatch(written):
        amount.refuse("malformed-answer", f"{indicator[:20]!r} {written[:40]!r} is not Credit or Debit of an amount")
    unit = currency(amount.text("Currency"), amount.where)
    return StatedBalance(
        account=account,
        currency=unit.code,
        minor_units=_SIGNS[indicator] * parse_amount(written, unit, amount.where),
        balance_kind="closing-booked",
        as_of=_instant(balance, zone),
        statement_id="",
    )


def _instant(balance: Answer, zone: str | None) -> datetime:
    written = balance.text("DateTime")
    match = _DATE_TIME.fullmatch(written)
    try:
        if match is None:
            raise ValueError("it must be YYYY-MM-DDThh:mm:ss and an offset")
        return calendar.instant_of(datetime.fromisoformat(match[1]), match[2], zone)
    except calendar.NaiveTimeError:
        balance.refuse("naive-time", f"DateTime {written!r} has no offset")
    except ValueError as fault:
        balance.refuse("malformed-date", f"DateTime {written[:40]!r}: {fault}")


FORMAT = Format(
    title="Open Banking UK v3.1 and v4: closing booked balances of one account",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    connections=("http",),
)
