"""Circle Mint: what the business account has settled of one currency now.

Source: ``GET /v1/businessAccount/balances``. ``available`` is settled; ``unsettled`` is still on its way, and never
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.custody.apis import answers, asking, live
from attest.custody.apis.live import Live
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance

BASE = "https://api.circle.com"
OPTIONS = live.OPTIONS


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    live: Live


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    return Settings(live.live(live.texts(options, required=["account", "currency"])))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The business account's balances; the API key is the connection's ``bearer``. Raises what :func:`asking.ask`
    does, and :class:`OperatorError` if there is none."""
    asking.need_bearer(asked)
    url = asking.url(asked.location or BASE, "v1", "businessAccount", "balances")
    yield asking.ask(asked, reach, lambda: Call(url, headers={"Accept": "application/json"}))


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The settled balance at ``retrieved_at``. Raises :class:`SourceError` naming the document."""
    answer = answers.the_only(documents)
    if "code" in answer.members or "message" in answer.members:
        answer.error((answer.members.get("code"), answer.members.get("message")))
    data = answer.object("data")
    data.objects("unsettled")  # without it the two cannot be told apart
    code = settings.live.unit.code
    balance = answers.only([one for one in data.objects("available") if one.text("currency") == code], data, code)
    amount = live.amount(balance.text("amount"), code, balance.where)
    return (settings.live.stated(amount, retrieved_at, balance.where),)


FORMAT = Format(
    title="Circle Mint: one currency of the business account, now",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    location="optional",
    connections=("http",),
)
