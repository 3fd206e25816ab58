"""The alert rules and Alertmanager's configuration, by Debian's own Prometheus and Alertmanager: checked, tried at
every edge, and from an exporter that tells of a shortfall to a webhook."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from attest.monitor.alerts import ALERTS, Alert
from attest.monitor.rules import RULES_FILE, rules
from tests.support.alerting import (
    ALERTMANAGER,
    ROOT,
    Listener,
    alertmanager,
    alertmanager_configuration,
    ask,
    prometheus,
    prometheus_configuration,
)
from tests.support.rule_cases import rule_tests

RULES = ROOT / RULES_FILE
needs_prometheus = pytest.mark.requires("prometheus", "apt-get install prometheus")
needs_promtool = pytest.mark.requires("promtool", "apt-get install prometheus")
needs_alertmanager = pytest.mark.requires("prometheus-alertmanager", "apt-get install prometheus-alertmanager")
needs_amtool = pytest.mark.requires("amtool", "apt-get install prometheus-alertmanager")


def _run(*words: str | Path) -> str:
    """What a program says; fails with that if it fails."""
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


# -- rules -----------------------------------------------------------------------------------------------------------


@needs_promtool
@pytest.mark.parametrize("faster", [1, 60, 3600])
def test_rules__checked_by_promtool__are_clean(faster: int, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rules(faster), encoding="utf-8")
    assert f"{len(ALERTS)} rules found" in _run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)


@needs_promtool
def test_rules__at_every_edge__fire_and_end_when_they_must(tmp_path: Path) -> None:
    path = tmp_path / "tests.json"
    path.write_text(rule_tests(RULES), encoding="utf-8")
    _run("promtool", "test", "rules", path)


# -- routing ---------------------------------------------------------------------------------------------------------


def _receiver(alert: Alert) -> str:
    """Where an alert must go."""
    if alert.name == "Watchdog":
        return "dead-man"
    if alert.incident == "P0":
        return "emergency"
    return "on-call" if alert.severity == "critical" else "operations"


@needs_amtool
def test_alertmanager__checked_by_amtool__is_clean() -> None:
    assert "SUCCESS" in _run("amtool", "check-config", ALERTMANAGER)


@needs_amtool
@pytest.mark.parametrize("alert", ALERTS.values(), ids=list(ALERTS))
def test_alertmanager__every_alert__goes_to_who_its_severity_calls(alert: Alert) -> None:
    labels = (f"alertname={alert.name}", f"severity={alert.severity}", f"incident={alert.incident}", "token=USDW")
    words = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert _run(*words, *labels).split() == [_receiver(alert)]


@needs_amtool
def test_alertmanager__alert_of_somebody_else__is_not_lost() -> None:
    words = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert _run(*words, "alertname=DiskFull").split() == ["operations"]


#: What may be silent while something worse fires. No P0, and no Watchdog.
INHIBITED = {
    "ReserveRatioLow",
    "ReserveRatioBelow110",
    "ReserveReportStale",
    "VaultHealthLow",
    "BridgeSuccessRateLow",
    "BridgeBufferLow",
    "ReserveBelowSafetyPxT",
    "ValidatorNotProducing",
    "RpcLatencyHigh",
    "RpcErrorRateHigh",
    "MetricsAbsent",
}
LABELS = {"job": "attest", "instance": "monitor:9464", "token": "USDW", "chain": "138", "endpoint": "a"}


def _inhibited(address: str, **labels: str) -> set[str]:
    """Which of all alerts, firing at once with these labels (and the worse ones of another token, chain, ... not),
    Alertmanager keeps back."""
    fired = [
        {"labels": {"alertname": a.name, "severity": a.severity, "incident": a.incident, **labels}}
        for a in ALERTS.values()
    ]
    ask(address, "/api/v2/alerts", fired)
    end = time.monotonic() + 10
    while len(told := ask(address, "/api/v2/alerts")) < len(ALERTS) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(told) == len(ALERTS)
    time.sleep(2)  # alerts are listed a moment before it is decided which of them keep others back
    told = ask(address, "/api/v2/alerts")
    return {alert["labels"]["alertname"] for alert in told if alert["status"]["inhibitedBy"]}


@needs_alertmanager
@pytest.mark.parametrize(
    ("labels", "expected"),
    [(LABELS, INHIBITED), ({}, set()), (dict.fromkeys(LABELS, ""), set())],
    ids=["all labels", "no labels", "empty labels"],
)
def test_alertmanager__all_alerts_fire_at_once__only_what_follows_from_something_worse_is_silent(
    labels: dict[str, str], expected: set[str], tmp_path: Path
) -> None:
    with Listener() as listener, alertmanager(tmp_path, alertmanager_configuration(tmp_path, listener)) as address:
        assert _inhibited(address, **labels) == expected
    assert not any(ALERTS[name].incident == "P0" for name in expected)


@needs_alertmanager
def test_alertmanager__worse_alert_of_another_token__silences_nothing(tmp_path: Path) -> None:
    def alert(name: str, token: str) -> dict[str, Any]:
        return {"labels": {"alertname": name, "token": token}}

    with Listener() as listener, alertmanager(tmp_path, alertmanager_configuration(tmp_path, listener)) as address:
        fired = [alert("ReserveShortfall", "USDW"), alert("ReserveRatioLow", "USDW"), alert("ReserveRatioLow", "EURW")]
        ask(address, "/api/v2/alerts", fired)
        time.sleep(2)
        told = ask(address, "/api/v2/alerts")
    assert [each["labels"]["token"] for each in told if each["status"]["inhibitedBy"]] == ["USDW"]


# -- from the exporter to the webhook ---------------------------------------------------------------------------------


def _exposition(surplus: int) -> list[str]:
    """What an exporter says of one token, on a chain where all else is well."""
    now = time.time()
    return [
        f'attest_token_reserve_surplus_units{{token="USDW"}} {surplus}',
        f'attest_token_reserve_units{{token="USDW"}} {2 * 10**12 + surplus}',
        f'attest_token_supply_units{{token="USDW"}} {2 * 10**12}',
        f'attest_token_reserve_sufficient{{token="USDW"}} {int(surplus >= 0)}',
        f'attest_token_money_multiplier_ok{{token="USDW"}} {int(surplus >= 0)}',
        'attest_reserve_oracle_quorum_met{token="USDW"} 1',
        f'attest_chain_head_timestamp_seconds{{chain="138"}} {now}',
        'attest_rpc_up{chain="138",endpoint="a"} 1',
        f'attest_collector_last_success_timestamp_seconds{{collector="tokens"}} {now}',
    ]


@needs_prometheus
@needs_alertmanager
def test_shortfall__told_by_the_exporter__reaches_the_webhook_as_p0_and_ends_after_recovery(
    tmp_path: Path, record_property: Any
) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rules(faster=60), encoding="utf-8")
    with (
        Listener() as listener,
        alertmanager(tmp_path, alertmanager_configuration(tmp_path, listener)) as manager,
    ):
        listener.metrics = _exposition(10**12)
        with prometheus(tmp_path, prometheus_configuration(tmp_path, [path], listener.address, manager)):
            listener.wait("/watchdog", "Watchdog", "firing", 20)

            begun = time.monotonic()
            listener.metrics = _exposition(-1)
            message, told = listener.wait("/incident", "ReserveShortfall", "firing", 15)
            delay = message.at - begun
            assert told["labels"] == {
                "alertname": "ReserveShortfall",
                "incident": "P0",
                "instance": listener.address,
                "job": "attest",
                "severity": "critical",
                "token": "USDW",
            }
            assert told["annotations"]["summary"] == "USDW: reserve less supply is -1 base units."
            assert told["annotations"]["action"] == "halt_minting"
            assert told["annotations"]["next_command"].startswith("cast send $MINT_CONTROLLER")
            assert told["annotations"]["runbook_url"] == "docs/alerts/ReserveShortfall.md"

            recovered = time.monotonic()
            listener.metrics = _exposition(0)
            ended, _ = listener.wait("/incident", "ReserveShortfall", "resolved", 30)
    record_property("seconds to the webhook", round(delay, 2))
    record_property("seconds to its end", round(ended.at - recovered, 2))
    print(f"to the webhook {delay:.2f} s, to its end {ended.at - recovered:.2f} s")
    assert delay < 10
    # The same incident went to Slack and PagerDuty, and nothing but P0 to the webhook.
    assert {each.path for each in listener.received} >= {"/slack", "/pagerduty"}
    for each in listener.received:
        if each.path == "/incident":
            assert {alert["labels"]["incident"] for alert in each.body["alerts"]} == {"P0"}
