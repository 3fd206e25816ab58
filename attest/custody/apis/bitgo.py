"""BitGo: what a wallet holds of its coin, or of one token, now.

Source: REST API, ``GET /api/v2/{coin}/wallet/{walletId}``; tokens with ``allTokens=true``. Amounts are integers of base
units. ``confirmedBalanceString`` is what the chain has confirmed, ``balanceString`` what it will be with all that is on
its way: the lower one is taken, so that nothing counts that has not arrived, or has left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.custody.apis import answers, asking, live
from attest.custody.apis.answers import Answer
from attest.custody.apis.live import Live
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance

BASE = "https://app.bitgo.com"
OPTIONS = {
    "coin": "BitGo's name of the wallet's coin, e.g. eth or ofcusd",
    "wallet_id": "the wallet's id",
    "token": "BitGo's name of a token in the wallet, e.g. usdc [the coin itself]",
    "decimals": "how many decimals one whole unit of the coin or token has, e.g. 6 for USDC",
    "account": "what the account is called in external_account [the wallet's id]",
} | {name: meaning for name, meaning in live.OPTIONS.items() if name != "account"}

#: Integers up to here survive JavaScript, which writes BitGo's numbers.
_EXACT = 2**53
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    coin: str
    wallet_id: str
    token: str
    decimals: int
    live: Live


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    given = live.texts(options, ["coin", "wallet_id", "decimals", "currency"], ["coin", "wallet_id"])
    if not re.fullmatch(r"[0-9]|[12][0-9]|3[0-6]", given["decimals"], re.ASCII):
        raise ValueError("decimals must be a number from 0 to 36")
    wallet_id = given["wallet_id"]
    return Settings(
        given["coin"], wallet_id, given.get("token", ""), int(given["decimals"]), live.live(given, wallet_id)
    )


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The wallet; the access token is the connection's ``bearer``. Raises what :func:`asking.ask` does, and
    :class:`OperatorError` if there is none."""
    asking.need_bearer(asked)
    query = {"allTokens": "true"} if settings.token else {}
    base = asked.location or BASE
    url = asking.url(base, "api", "v2", settings.coin, "wallet", settings.wallet_id, **query)
    yield asking.ask(asked, reach, lambda: Call(url, headers={"Accept": "application/json"}))


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The wallet's balance at ``retrieved_at``. Raises :class:`SourceError` naming the document."""
    wallet = answers.the_only(documents)
    if "error" in wallet.members:
        wallet.error((wallet.members.get("name"), wallet.members["error"]))
    wallet.the("id", settings.wallet_id, "wrong-account")
    wallet.the("coin", settings.coin, "wrong-asset")
    if wallet.flag("deleted"):
        wallet.refuse("wallet-deleted", "the wallet is deleted")
    holds = wallet
    if settings.token:
        tokens = wallet.object("tokens")
        if settings.token not in tokens.members:
            tokens.refuse("asset-missing", f"states no balance of {settings.token}")
        holds = tokens.object(settings.token)
    lower = min(_base_units(holds, name, settings) for name in ("balance", "confirmedBalance"))
    return (settings.live.stated(lower, retrieved_at, holds.where),)


def _base_units(holds: Answer, name: str, settings: Settings) -> int:
    """The amount ``name``; where it is stated as a number as well, the two must agree."""
    written = holds.text(f"{name}String")
    if not _INTEGER.fullmatch(written):
        holds.refuse("malformed-answer", f"{name}String {written[:40]!r} is not an integer")
    number = holds.members.get(name)
    if isinstance(number, int) and abs(number) <= _EXACT and str(number) != written:
        holds.refuse("parts-differ", f"{name} is {number}, {name}String {written}")
    return live.amount(written, settings.token or settings.coin, f"{holds.where}: {name}", decimals=settings.decimals)


FORMAT = Format(
    title="BitGo: the coin or one token of a wallet, now",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    location="optional",
    connections=("http",),
)
