"""Berlin Group NextGenPSD2 1.3: the closing booked balances of one account.

Source: XS2A Framework Implementation Guidelines 1.3, ``GET /v1/accounts/{account-id}/balances``. A ``closingBooked``
balance without ``referenceDate`` is refused: ``lastChangeDateTime`` says when something last happened, not which day
was closed. Requests without the customer present are limited, mostly to four a day for each account, so a request that
fails is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import uuid4

from attest.custody import calendar
from attest.custody.apis import answers, asking
from attest.custody.apis.answers import Answer
from attest.custody.apis.live import texts
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance
from attest.money import currency, parse_amount
from attest.quorum import account_key

OPTIONS = {
    "resource_id": "the bank's resourceId of the account, from its GET /v1/accounts",
    "account": "what the account is called in external_account [the IBAN or BBAN that the answer names]",
}

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    resource_id: str
    account: str


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    given = texts(options, required=["resource_id"], identifiers=["resource_id"])
    return Settings(given["resource_id"], given.get("account", ""))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The account's balances; ``asked.location`` is the bank's base URL, without ``/v1``. Asked once only.

    Raises what :func:`asking.ask` does, and :class:`OperatorError` if the connection has no ``Consent-ID``.
    """
    connection = asking.connection_of(asked)
    if "consent-id" not in {name.lower() for name in (*connection.headers, *connection.public_headers)}:
        raise asking.incomplete(asked, "the connection has no header Consent-ID")
    call = Call(
        asking.url(asked.location, "v1", "accounts", settings.resource_id, "balances"),
        headers={"Accept": "application/json", "X-Request-ID": str(uuid4())},
    )
    # Banks answer about four requests a day without the customer; each repetition would be one.
    yield asking.ask(asked, reach, lambda: call, repeat=False)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing booked balances, one for each currency and date. ``zone`` says where a date ends (UTC if it is
    None). Raises :class:`SourceError` naming the document and the balance."""
    stated: dict[tuple[str, str], StatedBalance] = {}
    for document in documents:
        answer = _answer(document)
        account, account_currency = _account(answer, settings)
        for balance in answer.objects("balances"):
            if balance.text("balanceType") != "closingBooked":
                continue
            one = _stated(balance, account, zone)
            if account_currency not in ("", one.currency):
                balance.refuse("wrong-asset", f"is in {one.currency}, the account in {account_currency[:40]!r}")
            if (one.currency, str(one.business_date)) in stated:
                balance.refuse("several-balances", f"is a second one in {one.currency} of {one.business_date}")
            stated[one.currency, str(one.business_date)] = one
    if not stated:
        answer.refuse("no-closing-balance", "states no closingBooked balance")
    return tuple(stated.values())


def _answer(document: Document) -> Answer:
    answer = answers.load(document)
    messages = answer.members.get("tppMessages")
    if messages is not None:
        listed = messages if isinstance(messages, list) else []
        answer.error(*((message.get("code"), message.get("text")) for message in listed if isinstance(message, dict)))
    return answer


def _account(answer: Answer, settings: Settings) -> tuple[str, str]:
    """What the account is called, and its currency (empty if the answer does not say)."""
    if "account" not in answer.members:
        return settings.account or settings.resource_id, ""
    named = answer.object("account")
    name = named.optional("iban") or named.optional("bban")
    if name and settings.account and account_key(name) != account_key(settings.account):
        named.refuse("wrong-account", f"is {name[:40]!r}, not {settings.account!r}")
    return settings.account or name or settings.resource_id, named.optional("currency")


def _stated(balance: Answer, account: str, zone: str | None) -> StatedBalance:
    if balance.flag("creditLimitIncluded"):
        balance.refuse("included-credit-line", "the balance includes the credit limit")
    amount = balance.object("balanceAmount")
    unit = currency(amount.text("currency"), amount.where)
    written = balance.optional("referenceDate")
    if not written:
        balance.refuse("date-missing", "has no referenceDate")
    try:
        if not _DATE.fullmatch(written):
            raise ValueError("it must be YYYY-MM-DD")
        as_of = calendar.end_of(date.fromisoformat(written), zone or "UTC")
    except ValueError as fault:
        balance.refuse("malformed-date", f"referenceDate {written[:40]!r}: {fault}")
    return StatedBalance(
        account=account,
        currency=unit.code,
        minor_units=parse_amount(amount.text("amount"), unit, amount.where),
        balance_kind="closing-booked",
        as_of=as_of,
        statement_id="",
        business_date=written,
    )


FORMAT = Format(
    title="Berlin Group NextGenPSD2 1.3: closing booked balances of one account",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    connections=("http",),
)
