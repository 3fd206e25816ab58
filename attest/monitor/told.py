"""What one destination of the notifications was told, as the private store keeps it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Told:
    """A finding that a destination was told of. ``since``: when it began, ``at``: when it was last told; ``count``: how
    many conditions were one finding, at the most; ``returns``: how often it came back after its end was told."""

    alert: str
    subject: str
    severity: Literal["critical", "warning", "info"]
    incident: str
    count: int
    since: datetime
    at: datetime
    returns: int = 0
    ended: datetime | None = None


@dataclass(frozen=True)
class Notified:
    """All that a destination was told; ``sent``: those messages of the last hour that the limit counts."""

    format: Literal["attest-notified/1"]
    told: tuple[Told, ...]
    sent: tuple[datetime, ...]


NOTHING_TOLD = Notified("attest-notified/1", (), ())
