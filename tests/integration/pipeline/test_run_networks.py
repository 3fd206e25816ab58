"""Whole weeks, from files to a verified bundle, on networks unlike the example's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attest.documents import Predicate
from attest.signing.dsse import parse_envelope
from attest.statement import read
from attest.verify.report import Outcome, exit_code
from tests.support.networks import Account, Network, Plan, Token, network

MOST = 2**256 - 1
TWO_BANKS = {"usd-1": Account("USDW", "USD", ("1234.56", "1234.56"))}
ONE_TOKEN = {"USDW": Token("USD", {"main": (6, 1_000 * 10**6)})}


def predicate(week: Network) -> Predicate:
    return read(parse_envelope((week.bundle / "attestation.dsse.json").read_bytes()).body).predicate


def outcomes(week: Network, *checks: str) -> list[Outcome]:
    report = week.verify()
    assert exit_code(report) == 0, [check for check in report.checks if check.outcome == "fail"]
    return [report.outcome(check) for check in checks]


def test_run__one_token_on_two_chains__counts_both_supplies_and_verifies_on_both(tmp_path: Path) -> None:
    token = Token("USD", {"main": (6, 1_000 * 10**6), "second": (18, 234 * 10**18 + 1)})
    with network(tmp_path / "week", Plan({"USDW": token}, TWO_BANKS, chains=("main", "second"))) as week:
        assert week.run().exit_code == 0
        (stated,) = predicate(week).tokens
        assert [(each.chain_id, each.supply_units) for each in stated.deployments] == [
            (138, 1_000 * 10**6),
            (139, 234 * 10**18 + 1),
        ]
        assert stated.supply_units == 1_234_000_001  # the unit that does not fit is rounded up
        assert stated.surplus_units == 559_999
        assert outcomes(week, "tokens", "chain-proof", "chain-rpc") == ["pass", "pass", "pass"]


def test_run__reserve_covers_one_chain_only__is_short(tmp_path: Path) -> None:
    token = Token("USD", {"main": (6, 1_000 * 10**6), "second": (6, 234_560_001)})
    with network(tmp_path / "week", Plan({"USDW": token}, TWO_BANKS, chains=("main", "second"))) as week:
        assert week.run().exit_code == 4
        (stated,) = predicate(week).tokens
        assert (stated.verdict, stated.surplus_units, stated.ratio_percent) == ("short", -1, "99.9")
        assert exit_code(week.verify()) == 4


def test_run__every_kind_of_decimals__is_exact_from_file_to_chain(tmp_path: Path) -> None:
    plan = Plan(
        tokens={
            "FLOOR": Token("USD", {"main": (0, 1234)}),
            "KWDW": Token("KWD", {"main": (2, 123_457)}),
            "MOST": Token("JPY", {"main": (0, MOST)}),
            "NONE": Token("EUR", {"main": (6, 0)}),
            "WIDE": Token("JPY", {"main": (18, 1_000 * 10**18)}),
        },
        accounts={
            "usd-1": Account("FLOOR", "USD", ("1000.60", "1000.60")),
            "usd-2": Account("FLOOR", "USD", ("234.39", "234.39")),
            "kwd-1": Account("KWDW", "KWD", ("1234.567", "1234.567")),
            "jpy-1": Account("MOST", "JPY", (str(MOST), str(MOST))),
            "eur-1": Account("NONE", "EUR", ("0.00", "0.00")),
            "jpy-2": Account("WIDE", "JPY", ("1000", "1000.00")),
        },
    )
    with network(tmp_path / "week", plan) as week:
        assert week.run().exit_code == 4
        stated = {
            token.token: (token.verdict, token.reserve_units, token.remainder_minor_units, token.ratio_percent)
            for token in predicate(week).tokens
        }
        assert stated == {
            "FLOOR": ("sufficient", 1234, 99, "100.0"),  # summed first, then floored
            "KWDW": ("short", 123_456, 7, "99.9"),  # 0.003 dinars short
            "MOST": ("sufficient", MOST, 0, "100.0"),
            "NONE": ("sufficient", 0, 0, None),
            "WIDE": ("sufficient", 1_000 * 10**18, 0, "100.0"),
        }
        report = week.verify()
        assert exit_code(report) == 4
        assert [report.outcome(check) for check in ("statement", "chain-proof", "chain-rpc")] == ["pass"] * 3


def test_run__dissent_waiver_and_tolerance__are_counted_disclosed_and_judged_by_the_auditors_policy(
    tmp_path: Path,
) -> None:
    accounts = {
        "usd-1": Account("USDW", "USD", ("1000.00", "1000.00", "1000.01"), "allow_dissent = 1"),
        "usd-2": Account("USDW", "USD", ("500.00",), 'min_sources = 1, min_origins = 1, waiver = "single-custodian"'),
        "usd-3": Account("USDW", "USD", ("7.00", "7.05"), "tolerance_abs = 5, tolerance_bps = 10000"),
    }
    with network(tmp_path / "week", Plan(ONE_TOKEN, accounts)) as week:
        assert week.run().exit_code == 0
        said = predicate(week)
        (stated,) = said.tokens
        assert stated.reserve_minor_units == 150_700  # the least of those that agree
        assert stated.agreement is not None
        assert (stated.agreement.dissent, [(w.code, w.count) for w in stated.agreement.waivers]) == (
            1,
            [("single-custodian", 1)],
        )
        assert [(each.kind, each.code) for each in said.disclosures] == [
            ("dissent", "agreed-with-dissent"),
            ("waiver", "single-custodian"),
        ]
        assert outcomes(week, "policy") == ["pass"]
        trust = week.trust()
        for stricter in (
            replace(trust.policy, waivers=()),
            replace(trust.policy, allow_dissent=0),
            replace(trust.policy, max_tolerance_abs=4),
        ):
            report = week.verify(replace(trust, policy=stricter))
            assert (exit_code(report), report.outcome("policy")) == (6, "fail")


@pytest.mark.parametrize(("fees", "kind"), [("free", "legacy"), ("eip1559", "eip1559")])
def test_run__other_ways_to_pay_for_gas_and_supply_at_the_run__are_attested_with_the_gap(
    tmp_path: Path, fees: str, kind: str
) -> None:
    with network(tmp_path / "week", Plan(ONE_TOKEN, TWO_BANKS, fees=fees, supply_at="run")) as week:
        assert week.run().exit_code == 0
        journal = [json.loads(path.read_bytes()) for path in (week.folder / "private/tx").rglob("*") if path.is_file()]
        assert {entry["kind"] for entry in journal} == {kind}
        assert {entry["max_fee_per_gas"] == "0" for entry in journal} == {fees == "free"}
        (chain,) = predicate(week).chains
        assert chain.supply_gap_seconds == -6 * 3600
        assert outcomes(week, "chain-rpc") == ["pass"]
        assert any("read at the run" in note for note in week.verify().notes)


def test_run__cutoff_in_a_zone_west_of_greenwich__is_in_the_week_that_it_closes(tmp_path: Path) -> None:
    """Sunday evening in New York is Monday in UTC, the day of another ISO week."""
    schedule = {"zone": '"America/New_York"', "at": "23:00:00"}
    with network(tmp_path / "week", Plan(ONE_TOKEN, TWO_BANKS, schedule=schedule)) as week:
        assert week.run().exit_code == 0
        assert predicate(week).cutoff == datetime(2026, 11, 23, 4, tzinfo=UTC)
        assert outcomes(week, "period") == ["pass"]
