"""The one HTTP client for everything that custody fetches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from attest.config import Collection, HttpConnection
from attest.custody.document import MAX_BYTES, Document


@dataclass(frozen=True)
class Call:
    """One request. ``url`` is absolute; what the connection adds (authentication, headers) is not in it."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpClient:
    def __init__(self, limits: Collection, *, base: Path, clock: Callable[[], float] = time.monotonic) -> None:
        pass

    def send(
        self,
        call: Callable[[], Call],
        *,
        where: str,
        connection: HttpConnection | None,
        until: float,
        limit: int = MAX_BYTES,
    ) -> Document:
        raise NotImplementedError

    def close(self) -> None:
        pass
