"""The dashboards' queries, asked of a real Prometheus over the exporter and the practice network's calm scenario."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from attest import devnet
from attest.monitor.rules import RULES_FILE
from deploy.grafana.queries import NOT_TOLD, STALE, SUFFICIENT
from tests.support.alerting import ROOT, ask, prometheus, prometheus_configuration
from tests.support.dashboards import DASHBOARDS, Asked, asked
from tests.support.monitors import exporting, scraped

needs_prometheus = pytest.mark.requires("prometheus", "apt-get install prometheus")

#: Scrapes, a second apart, after which every rate has a value.
SCRAPES = 4
#: By dashboard, what the calm scenario has no numbers for: (title, why).
EMPTY = {
    "sizing": [
        ("How far apart are the prices on the two chains?", "there is one chain"),
        ("Does the stabilizer trade enough?", "no imbalance is configured"),
    ],
    "access": [("Who is it?", "nobody is amiss")],
    "network": [("Which validators are silent?", "anvil has none")],
    "watch": [
        ("When was the daily check done?", "never"),
        ("When was the newest attestation collected?", "never"),
        ("When was the weekly report made?", "never"),
        ("When was the monthly review done?", "never"),
        ("Are notifications delivered?", "Alertmanager notifies"),
    ],
    "overview": [
        ("When was the newest attestation collected?", "never"),
        ("For how long has the oldest transfer waited?", "none waits"),
    ],
    "bridge": [("For how long has the oldest transfer waited?", "none waits")],
}


class Seen(NamedTuple):
    """What Prometheus answered to each query, while the exporter lived and a moment after it had ended."""

    alive: Mapping[Asked, list[dict[str, Any]]]
    dead: Mapping[Asked, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def seen(anvil: object, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("dashboards")
    network = folder / "net"
    with devnet.running(network, port=0, witness_port=0, scenario="calm"), ExitStack() as life:
        url = life.enter_context(exporting(network))
        scraped(url)
        configuration = prometheus_configuration(folder, [ROOT / RULES_FILE], url.removeprefix("http://"))
        with prometheus(folder, configuration) as address:
            _await(address, f"count_over_time(up[1m]) >= {SCRAPES}")
            alive = {query: answers(address, query.expr) for query in asked()}
            life.close()
            _await(address, "up == 0")
            dead = {query: answers(address, query.expr) for query in asked()}
    return Seen(alive, dead)


def answers(address: str, expr: str) -> list[dict[str, Any]]:
    result = ask(address, f"/api/v1/query?query={quote(expr)}")["data"]["result"]
    assert isinstance(result, list)
    return result


def _await(address: str, expr: str) -> None:
    deadline = time.monotonic() + 30
    while not answers(address, expr):
        assert time.monotonic() < deadline, expr
        time.sleep(0.2)


def by_label(found: Mapping[Asked, list[dict[str, Any]]], title: str, label: str) -> dict[tuple[str, str], str]:
    """Of every panel of this title: (dashboard, label) -> value."""
    return {
        (query.dashboard, each["metric"].get(label, "")): each["value"][1]
        for query, result in found.items()
        if query.title == title
        for each in result
    }


def states(code: int) -> dict[tuple[str, str], str]:
    return {(name, token): str(code) for name in ("overview", "tokens") for token in ("USDW", "EURW", "GBPW")}


@needs_prometheus
def test_calm__every_panel__has_data_or_is_known_to_have_none(seen: Seen) -> None:
    without = {(query.dashboard, query.title) for query, result in seen.alive.items() if not result}
    assert without == {(dashboard, title) for dashboard, titles in EMPTY.items() for title, _ in titles}


@needs_prometheus
def test_calm__names_of_what_is_shown__have_all_their_labels(seen: Seen) -> None:
    for query, result in seen.alive.items():
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert all(label in each["metric"] for each in result), (query.title, label)


@needs_prometheus
def test_calm__states__are_sufficient_and_the_rules_are_evaluated(seen: Seen) -> None:
    assert by_label(seen.alive, "Is the money there?", "token") == states(SUFFICIENT)
    assert set(by_label(seen.alive, "Does Prometheus reach the exporter?", "").values()) == {"1"}
    fired = by_label(seen.alive, "Which alerts fire?", "alertname")
    assert {dashboard for dashboard, alert in fired if alert == "Watchdog"} == set(DASHBOARDS)
    # The practice network never made an attestation.
    assert ("overview", "WeeklyAttestationMissing") in fired
    assert not any(alert.startswith("Reserve") for _, alert in fired)


@needs_prometheus
def test_calm__exporter_ends__nothing_stays_sufficient_and_ages_are_still_told(seen: Seen) -> None:
    assert by_label(seen.dead, "Is the money there?", "token") == states(STALE)
    assert set(by_label(seen.dead, "Does Prometheus reach the exporter?", "").values()) == {"0"}
    ages = by_label(seen.dead, "How old are these numbers?", "")
    assert {dashboard for dashboard, _ in ages} == set(DASHBOARDS)
    for title in ("Is the oracle's quorum met?", "What does the token's contract say?", "Which endpoints answer?"):
        assert set(by_label(seen.dead, title, "token").values()) == {str(NOT_TOLD)}
    assert by_label(seen.dead, "How healthy is the worst vault?", "") == {}, "no data, and the panel says so"
