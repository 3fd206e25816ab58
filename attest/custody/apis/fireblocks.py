"""Fireblocks: what a vault account holds of one asset now.

Source: REST API, ``GET /v1/vault/accounts/{vaultAccountId}/{assetId}``: total = available + pending + lockedAmount +
frozen. Attested is the total without ``pending`` (not there yet) and without ``frozen`` (nobody may move it);
``lockedAmount`` is to leave, but has not left. The parts must add up, and nothing may be staked. ``blockHeight`` and
``blockHash``, where stated, are the statement's id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import uuid4

from attest.custody.apis import answers, asking, live, signing
from attest.custody.apis.live import Live
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.custody.http import Call
from attest.custody.reach import Asked, Reach
from attest.model import StatedBalance

BASE = "https://api.fireblocks.io"
OPTIONS = {
    "vault_account": "the vault account's id (a number)",
    "asset": "Fireblocks' id of the asset, e.g. USDC",
} | live.OPTIONS

_PARTS = ("available", "pending", "lockedAmount", "frozen")
#: Staked, now or before these were deprecated: no part of the four above.
_STAKED = (
    "staked",
    "totalStakedCPU",
    "totalStakedNetwork",
    "selfStakedCPU",
    "selfStakedNetwork",
    "pendingRefundCPU",
    "pendingRefundNetwork",
)


@dataclass(frozen=True)
class Settings:
    """The checked options."""

    vault_account: str
    asset: str
    live: Live


def prepare(options: Mapping[str, object]) -> Settings:
    """The checked options; raises ``ValueError``."""
    identifiers = ["vault_account", "asset"]
    given = live.texts(options, [*identifiers, "account", "currency"], identifiers)
    return Settings(given["vault_account"], given["asset"], live.live(given))


def fetch(asked: Asked, settings: Settings, reach: Reach) -> Iterator[Document]:
    """The asset's balance. Raises what :func:`asking.ask` does, and :class:`OperatorError` for credentials that cannot
    be used."""
    api_key, api_secret = (asking.credential(asked, reach, name) for name in ("api_key", "api_secret"))
    try:
        key = signing.rsa_key(api_secret)
    except ValueError as fault:
        raise asking.incomplete(asked, f"api_secret: {fault}") from None
    url = asking.url(asked.location or BASE, "v1", "vault", "accounts", settings.vault_account, settings.asset)

    def call() -> Call:
        path, now = urlsplit(url).path, int(time.time())
        return Call(url, headers=signing.fireblocks(path, b"", now, str(uuid4()), api_key=api_key, key=key))

    yield asking.ask(asked, reach, call)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The asset's balance at ``retrieved_at``. Raises :class:`SourceError` naming the document."""
    answer = answers.the_only(documents)
    if "message" in answer.members:
        answer.error((answer.members.get("code"), answer.members["message"]))
    answer.the("id", settings.asset, "wrong-asset")

    def part(name: str) -> int:
        return live.amount(answer.text(name), settings.asset, f"{answer.where}: {name}")

    total, parts = part("total"), {name: part(name) for name in _PARTS}
    if total != sum(parts.values()) or min(parts.values()) < 0:
        answer.refuse("parts-differ", f"total is not the sum of {', '.join(_PARTS)}")
    if answer.optional("balance") and part("balance") != total:
        answer.refuse("parts-differ", "balance is not total")
    for name in _STAKED:
        if answer.optional(name) and part(name):
            answer.refuse("staked", f"{name} is {answer.text(name)}")
    block = ":".join(filter(None, (answer.optional("blockHeight"), answer.optional("blockHash"))))
    attested = total - parts["pending"] - parts["frozen"]
    return (settings.live.stated(attested, retrieved_at, answer.where, block),)


FORMAT = Format(
    title="Fireblocks: one asset of a vault account, now",
    prepare=prepare,
    read=read,
    options=OPTIONS,
    fetch=fetch,
    max_bytes=answers.MAX_BYTES,
    location="optional",
    connections=("http",),
)
