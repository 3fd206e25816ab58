"""A week that a monitor might have noted: a redemption that made a token short, a vault near liquidation, failing
transfers, and a night in which the exporter was down. The same each time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attest.monitor import series
from attest.monitor.history import SPANS, History, Span

_MILLION = 10**12  # base units of six decimals


def note_week(history: History, now: int, *, short: str, tokens: Sequence[str], endpoint: str) -> None:
    """Note it up to now (Unix seconds)."""
    for span in SPANS:
        for at in range(now - span.seconds, now, span.step // 2):
            if not 90 < (now - at) / 3600 < 99:
                history.note(at, _numbers((now - at) / 3600, short, tokens, endpoint, span))


def _numbers(hours: float, short: str, tokens: Sequence[str], endpoint: str, span: Span) -> dict[str, int]:
    """The numbers so many hours ago."""
    wave = math.sin(hours * 7 + span.step)
    failing = 22 < hours < 28
    found = {
        series.HEALTH: int(15_800 + 700 * math.sin(hours / 19) - (3800 if 50 < hours < 58 else 0) + 60 * wave),
        series.SUCCESS: int(9900 + 90 * wave - (700 if failing else 0)),
        series.LATENCY: 240 + (900 if failing else 0),
        series.PENDING: int(150 + 120 * wave + (2400 if failing else 0)),
        series.head_age("main"): int(2 + 2 * wave),
        series.request_time("main", endpoint): int(9 + 5 * wave + (60 if failing else 0)),
    }
    for number, token in enumerate(tokens):
        supply = int(1.2 * _MILLION + 0.02 * _MILLION * math.sin(hours / 11 + number)) // 100 * 100
        reserve = supply * 112 // 100 - (18 * _MILLION // 100 if token == short and hours < 9 else 0)
        found |= {
            series.supply(token): supply,
            series.reserve(token): reserve,
            series.surplus(token): reserve - supply,
            series.bridge_reserve(token): 52_000_000_000 - int(9_000_000_000 * abs(math.sin(hours / 13))),
            series.bridge_required(token): 14_000_000_000,
            series.price_age(token): int(45 + 40 * wave),
        }
    return found
