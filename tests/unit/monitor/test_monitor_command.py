"""``attest monitor``: its exit codes and what it refuses."""

from __future__ import annotations

from itertools import combinations

import pytest

from attest.cli.monitor import exit_code_of, rows, verdict
from attest.monitor import metrics
from attest.monitor.exposition import Sample
from attest.monitor.findings import Finding, Severity
from tests.support.commands import attest


def finding(alert: str, severity: Severity) -> Finding:
    return Finding(alert, severity, "", "", "")


BY_CODE = {
    0: finding("ReserveRatioBelow110", "info"),
    3: finding("VaultHealthLow", "warning"),
    5: finding("CollectorFailed", "critical"),
    4: finding("ReserveShortfall", "critical"),
}


def test_exit_code__of_two_findings__is_that_of_the_worse() -> None:
    worse = list(BY_CODE)
    assert exit_code_of([]) == 0
    for better, worst in combinations(worse, 2):
        assert exit_code_of([BY_CODE[better], BY_CODE[worst]]) == worst


def test_exit_code__somebody_could_not_be_told__is_5_but_for_a_shortfall() -> None:
    assert [exit_code_of([BY_CODE[code]], untold=True) for code in (0, 3, 5, 4)] == [5, 5, 5, 4]
    assert exit_code_of([], untold=True) == 5


def test_rows__many_alike_of_one_metric__share_one_and_the_odd_one_has_its_own() -> None:
    errors = [Sample(metrics.COLLECTOR_ERRORS, 0, (f"token-{number}",)) for number in range(40)]
    odd = Sample(metrics.COLLECTOR_ERRORS, 2, ("bridge-USDW",))
    frozen = [Sample(metrics.PRICE_FROZEN, 0, (currency,)) for currency in ("EURW", "GBPW", "USDW")]
    assert rows([*errors, odd, *frozen], now=0) == [
        ("collector_errors_total (40 alike)", "0"),
        ("collector_errors_total{bridge-USDW}", "2"),
        ("price_oracle_frozen{EURW}", "0"),
        ("price_oracle_frozen{GBPW}", "0"),
        ("price_oracle_frozen{USDW}", "0"),
    ]


def test_verdict__of_what_was_found__names_the_worst_and_counts_the_others() -> None:
    found = [
        Finding("ReserveShortfall", "critical", "P0", "USDW", "100 units are missing"),
        *(finding("VaultHealthLow", "warning") for _ in range(2)),
        finding("ReserveRatioBelow110", "info"),
    ]
    assert verdict(found) == "1 critical, 2 warnings, 1 notice. The worst: ReserveShortfall (P0): USDW"
    assert verdict([Finding("VaultHealthLow", "warning", "", "a\x1b[2J", "")]) == (
        r"1 warning. The worst: VaultHealthLow: a\x1b[2J"
    )
    assert verdict([]) == "Nothing is wrong."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--json",), "goes with --once"),
        (("--json", "--notify"), "goes with --once"),
        (("--notify-test", "--once"), "goes alone"),
        (("--notify-test", "--notify"), "goes alone"),
        (("--once", "--listen", "9464"), "is host and port"),
        (("--once", "--listen", "127.0.0.1:99999"), "is host and port"),
    ],
)
def test_monitor__words_that_mean_nothing__are_refused(words: tuple[str, ...], told: str) -> None:
    said = attest("monitor", *words)
    assert said.code == 2
    assert told in said.everything
