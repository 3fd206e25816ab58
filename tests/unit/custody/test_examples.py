"""The example statements: seven accounts, agreeing sources, and the totals that the README of the examples states."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from attest.config import Loaded, load
from attest.custody.collector import Collection, collect, reobserve
from attest.custody.evidence import Evidence
from attest.custody.policies import account_policies
from attest.money import currency, group
from attest.quorum import decide, token_outcome
from attest.store import LocalStore

EXAMPLES = Path(__file__).parents[3] / "examples"
CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def examples(configuration: Path) -> Loaded:
    return Loaded(load(configuration).config, EXAMPLES)


@pytest.fixture
def collected(examples: Loaded, tmp_path: Path) -> Collection:
    now = datetime(2026, 11, 23, 6, tzinfo=UTC)
    return collect(
        examples,
        period="2026-W47",
        cutoff=CUTOFF,
        now=lambda: now,
        evidence=Evidence(LocalStore(tmp_path)),
        clients={},
    )


def test_examples__every_source__answers_for_the_last_business_date(collected: Collection) -> None:
    assert collected.failures == ()
    assert len(collected.observations) == 15
    assert {one.business_date for one in collected.observations} == {"2026-11-20"}
    assert all(one.as_of.date() in {date(2026, 11, 20), date(2026, 11, 21)} for one in collected.observations)


def test_examples__evidence__gives_the_same_again(examples: Loaded, collected: Collection, tmp_path: Path) -> None:
    assert reobserve(examples, collected.observations, Evidence(LocalStore(tmp_path)), CUTOFF) == collected.observations


def test_examples__quorum__accepts_all_seven_accounts_with_the_stated_totals(
    examples: Loaded, collected: Collection
) -> None:
    verdict = decide(collected.observations, collected.failures, account_policies(examples.config, CUTOFF), CUTOFF, {})
    assert [account.outcome for account in verdict.accounts] == ["accepted"] * 7
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for token, code, total in [
        ("USDW", "USD", "1204113.07"),
        ("EURW", "EUR", "845900.55"),
        ("GBPW", "GBP", "402310.10"),
    ]:
        assert token_outcome(verdict, token).outcome == "accepted"
        accounts = [account for account in verdict.accounts if account.token == token]
        units = sum(account.minor_units or 0 for account in accounts)
        assert currency(code).format(units) == total
        assert f"{group(total)} {code}" in readme
        for account in accounts:
            written = group(currency(code).format(account.minor_units or 0))
            assert f"| `{account.account}` | {token} | {written} {code} |" in readme


def test_examples__each_account__has_two_formats_and_two_origins(examples: Loaded) -> None:
    for account in examples.config.accounts.values():
        assert {source.format for source in account.sources} == {"camt053", "csv"}
        assert len({source.origin for source in account.sources}) >= 2
        assert all(source.location.startswith("statements/{period}/") for source in account.sources)
