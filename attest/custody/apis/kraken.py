"""Kraken (spot): what the account holds of one asset now.

Source: REST API, ``POST /0/private/Balance``: "all cash balances, net of pending withdrawals", by asset. Its errors
come with HTTP status 200. Money that open orders reserve is still there, and counts. Only the asset asked for is taken:
what earns rewards or is staked stands under names of its own (``USDC.F``, ``USD.B``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.custody.apis import answers, asking, live, signing
from attest.custody.apis.live import Live
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance

BASE = "https://api.kraken.com"
OPTIONS = {"asset": "Kraken's name of the asset, e.g. ZUSD, ZEUR or USDC"} | live.OPTIONS

_PATH = "/0/private/Balance"


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    asset: str
    live: Live


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    given = live.texts(options, required=["asset", "account", "currency"])
    return Settings(given["asset"], live.live(given))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The balances of all assets. Raises what :func:`asking.ask` does, and :class:`OperatorError` for credentials that
    cannot be used."""
    api_key, api_secret = (asking.credential(asked, reach, name) for name in ("api_key", "api_secret"))

    def call() -> Call:
        # Must grow with every request of one key: microseconds do, across runs as well.
        nonce = str(time.time_ns() // 1000)
        body = f"nonce={nonce}".encode()
        try:
            headers = signing.kraken(_PATH, nonce, body, api_key=api_key, api_secret=api_secret)
        except ValueError as fault:
            raise asking.incomplete(asked, f"api_secret: {fault}") from None
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Call(asking.url(asked.location or BASE) + _PATH, "POST", headers, body)

    yield asking.ask(asked, reach, call)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The asset's balance at ``retrieved_at``. Raises :class:`SourceError` naming the document."""
    answer = answers.the_only(documents)
    errors = answer.members.get("error")
    if errors != []:
        answer.error(*((error,) for error in (errors if isinstance(errors, list) else [])))
    result = answer.object("result")
    if settings.asset not in result.members:
        result.refuse("asset-missing", f"states no balance of {settings.asset}")
    amount = live.amount(result.text(settings.asset), settings.asset, result.where)
    return (settings.live.stated(amount, retrieved_at, result.where),)


FORMAT = Format(
    title="Kraken: one asset of an account, now",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    location="optional",
    connections=("http",),
)
