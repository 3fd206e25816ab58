"""Example feeds for the pages: plausible ones, and ones that an attacker would write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from attest import money
from attest.documents import AbandonedAttempt, Agreement, Feed, FeedPeriod, FeedToken, Supersedes
from attest.period import Period

NEWEST = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
FRESH = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
WEEK = 7 * 86_400
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"
TOKENS = (("USDW", "USD", 1_200_000), ("EURW", "EUR", 840_500), ("GBPW", "GBP", 310_250))


def hex32(*parts: object) -> str:
    """A stable 32-byte digest of anything."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def token(
    name: str = "USDW",
    currency: str = "USD",
    reserve: str | None = "1204113.07",
    supply: str = "1200000.00",
    *,
    decimals: int = 6,
    code: str = "sources-disagree",
    transactions: int = 3,
) -> FeedToken:
    """A token with everything that follows from its reserve and supply; withheld if ``reserve`` is None."""

    def units(text: str) -> int:
        whole, _, fraction = text.partition(".")
        return int(whole + fraction.ljust(decimals, "0"))

    held, issued = None if reserve is None else units(reserve), units(supply)
    surplus = None if held is None else held - issued
    verdict = "withheld" if surplus is None else "sufficient" if surplus >= 0 else "short"
    return FeedToken(
        token=name,
        currency=currency,
        decimals=decimals,
        verdict=verdict,
        reserve=reserve,
        reserve_units=held,
        supply=supply,
        supply_units=issued,
        surplus_units=surplus,
        ratio_percent=None if held is None else money.ratio_percent(held, issued),
        oldest_as_of=None if held is None else NEWEST,
        agreement=None if held is None else Agreement(1, 3, 3, 2, 0, ()),
        reports=None if held is None else 3,
        required_quorum=None if held is None else 2,
        transactions=() if held is None else tuple(hex32(name, supply, n) for n in range(transactions)),
        withheld_code=code if held is None else None,
    )


def period(tokens: Sequence[FeedToken], *, weeks_back: int = 0, revision: int = 0, clock: str = "system") -> FeedPeriod:
    """One attested week, ``weeks_back`` before the newest."""
    cutoff = NEWEST - timedelta(weeks=weeks_back)
    name = str(Period.containing(cutoff.date()))
    return FeedPeriod(
        period=name,
        revision=revision,
        cutoff=cutoff,
        clock=clock,
        folder=f"attestations/{name}" + (f".{revision}" if revision else ""),
        files=("attestation.dsse.json", "receipts.json", "attestation.tlog-proof", "manifest.json"),
        statement=hex32(name, revision, "statement"),
        merkle_root=hex32(name, revision, "merkle"),
        merkle_size=7,
        log_index=60 - weeks_back,
        witnesses=("witness.auditor.example", "witness.regulator.example"),
        attestors=("f2b6a1c0d4e8", "91ab03cc57de"),
        anchor_transaction=hex32(name, revision, "anchor"),
        tokens=tuple(
            replace(item, oldest_as_of=cutoff - timedelta(hours=6)) if item.oldest_as_of else item for item in tokens
        ),
    )


def feed(
    periods: Sequence[FeedPeriod], *, issuer: str = "Example Money plc", contact: str = "reserves@example.com"
) -> Feed:
    """A feed of ``periods``, newest first."""
    return Feed(
        format="attest-feed/1",
        issuer=issuer,
        contact=contact,
        log_origin="log.example.com/reserves",
        log_vkey="log.example.com/reserves+a1b2c3d4+AdJ8v0H3nq1mYc4xkQ6sT9uWb2eR5yLp7oZiKfGhVjNw",
        chain_ids=(1337,),
        cadence_seconds=WEEK,
        grace_seconds=2 * 86_400,
        periods=tuple(periods),
    )


def week(weeks_back: int, states: Mapping[str, str] | None = None, *, clock: str = "system") -> FeedPeriod:
    """A plausible week of three tokens; ``states`` names those that are ``short`` or ``withheld``."""
    tokens = []
    for number, (name, currency, base) in enumerate(TOKENS):
        noise = int(hex32(name, weeks_back)[:4], 16)
        supply = base - weeks_back * base // 130 + (noise % 97 - 48) * base // 4_000
        if weeks_back == 0:
            supply = base
        state = (states or {}).get(name, "sufficient")
        surplus = -512_345 - noise * 20 if state == "short" else 211_307 * (number + 1) + noise * 9
        if weeks_back == 0 and name == "USDW" and state == "sufficient":
            surplus = 411_307
        reserve = None if state == "withheld" else money.Currency(currency, 2).format(supply * 100 + surplus)
        tokens.append(token(name, currency, reserve, f"{supply}.00"))
    return period(tokens, weeks_back=weeks_back, clock=clock)


def weeks(count: int, *, states: Mapping[int, Mapping[str, str]] | None = None, clock: str = "system") -> Feed:
    """``count`` plausible weeks; ``states`` by weeks back, then by token."""
    return feed([week(back, (states or {}).get(back), clock=clock) for back in range(count)])


def revised(before: FeedPeriod, tokens: Sequence[FeedToken], reason: str, *, kind: str = "revision") -> FeedPeriod:
    """What replaced ``before``."""
    revision = before.revision + 1
    return replace(
        before,
        revision=revision,
        folder=f"attestations/{before.period}.{revision}",
        statement=hex32(before.period, revision, "statement"),
        tokens=tuple(tokens),
        supersedes=Supersedes(before.statement, kind, reason),
    )


def blank(before: FeedPeriod, code: str) -> list[FeedToken]:
    """Its tokens without any reserve."""
    return [token(each.token, each.currency, None, each.supply, code=code) for each in before.tokens]


def troubled() -> Feed:
    """Twelve weeks: one revised twice, one revoked, one missed."""
    found: list[FeedPeriod] = []
    for entry in weeks(12, states={3: {"USDW": "short"}}).periods:
        back = len({each.period for each in found})
        if back == 3:
            good = week(3)
            again = revised(entry, good.tokens[:2] + entry.tokens[2:], "a custodian corrected its statement")
            found += [revised(again, good.tokens, "a second account was corrected"), again]
        if back == 5:
            reason = "a custodian withdrew its statement; nothing can be said of this week"
            found.append(revised(entry, blank(entry, "revoked"), reason, kind="revocation"))
        if back == 8:
            reason = AbandonedAttempt(1, "the custodians' portals were down until after the deadline")
            entry = replace(entry, tokens=tuple(blank(entry, "missed")), abandoned=(reason,), merkle_size=0)
        found.append(entry)
    return feed(found)
