"""Coinbase Prime: what a portfolio holds of one asset now.

Source: REST API, ``GET /v1/portfolios/{portfolio_id}/balances``. ``amount`` is the total in whole units and includes
``holds`` (open orders and pending withdrawals): what is reserved is still there, and counts. An asset of which
something is staked is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from attest.custody.apis import answers, asking, live, signing
from attest.custody.apis.answers import Answer
from attest.custody.apis.live import Live
from attest.custody.apis.pages import Paging, Pointer, within
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance

BASE = "https://api.prime.coinbase.com"
_TYPES = ("TOTAL_BALANCES", "TRADING_BALANCES", "VAULT_BALANCES")
OPTIONS = {
    "portfolio_id": "the portfolio's id (UUID)",
    "symbol": "Prime's symbol of the asset, e.g. USD or USDC",
    "balance_type": f"which balances: {', '.join(_TYPES)} [TOTAL_BALANCES]",
} | live.OPTIONS

_PAGING = Paging(next=Pointer("/pagination/next_cursor"), cursor_parameter="cursor")
_NOT_AT_HAND = ("bonded_amount", "unbonding_amount", "unvested_amount")


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    portfolio_id: str
    symbol: str
    balance_type: str
    live: Live


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    given = live.texts(options, ["portfolio_id", "symbol", "account", "currency"], ["portfolio_id", "symbol"])
    balance_type = given.get("balance_type", _TYPES[0])
    if balance_type not in _TYPES:
        raise ValueError(f"balance_type must be one of {', '.join(_TYPES)}")
    return Settings(given["portfolio_id"], given["symbol"], balance_type, live.live(given))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """All pages of the portfolio's balances of the asset. Raises what :func:`asking.ask_pages` does, and
    :class:`OperatorError` for credentials that are missing."""
    names = ("api_key", "api_secret", "passphrase")
    credentials = {name: asking.credential(asked, reach, name) for name in names}

    query = {"symbols": settings.symbol, "balance_type": settings.balance_type}
    first = asking.url(asked.location or BASE, "v1", "portfolios", settings.portfolio_id, "balances", **query)

    def call(url: str) -> Call:
        path = urlsplit(url).path  # what is signed is without the query
        return Call(url, headers=signing.coinbase_prime("GET", path, "", int(time.time()), **credentials))

    yield from asking.ask_pages(asked, reach, first, call, _PAGING, _page)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The asset's balance at ``retrieved_at``. Raises :class:`SourceError` naming the document."""
    found: list[Answer] = []
    pages = [_page(document) for document in within(documents, answers.MAX_BYTES)]
    _PAGING.check([page.members for page in pages], [page.where for page in pages])
    for page in pages:
        page.the("type", settings.balance_type, "wrong-asset")
        found += [balance for balance in page.objects("balances") if balance.text("symbol") == settings.symbol]
    balance = answers.only(found, pages[0], settings.symbol)
    for name in _NOT_AT_HAND:
        part = balance.optional(name)
        if part and live.amount(part, settings.symbol, balance.where):
            balance.refuse("staked", f"{name} is {part}")
    amount = live.amount(balance.text("amount"), settings.symbol, balance.where)
    return (settings.live.stated(amount, retrieved_at, balance.where),)


def _page(document: Document) -> Answer:
    page = answers.load(document)
    if "message" in page.members:
        page.error((page.members.get("code"), page.members["message"]))
    if page.members.get("pagination") is not None:
        pagination = page.object("pagination")
        if pagination.flag("has_next") and not pagination.optional("next_cursor"):
            page.refuse("missing-page", "has a next page, but no cursor to it")
    return page


FORMAT = Format(
    title="Coinbase Prime: one asset of a portfolio, now",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    location="optional",
    connections=("http",),
)
