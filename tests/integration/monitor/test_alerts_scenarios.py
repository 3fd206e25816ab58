"""The scenarios of ``attest devnet`` as a newcomer meets them: their monitor's exposition in Prometheus, with the rules
of the practice network, until each scenario's alerts fire and no other."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from attest import scenarios
from tests.support.alerting import firings, prometheus
from tests.support.commands import read_document, running
from tests.support.exporters import exporting, scraped

#: What the documentation promises, and the interval of the practice network's prometheus.yml.
PROMISED_SECONDS, INTERVAL_SECONDS = 120, 5
#: For a machine that does much else.
PATIENCE_SECONDS = 240

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


@contextmanager
def playing(folder: Path, scenario: str) -> Iterator[subprocess.Popen[str]]:
    """``attest devnet --scenario``, perhaps still starting."""
    with running("devnet", "--scenario", scenario, "--directory", folder, "--json") as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)  # it ends its chain
            assert process.wait(60) == 0


@pytest.mark.requires("prometheus", "apt-get install prometheus")
def test_scenarios__under_the_rules_of_a_practice_network__raise_their_alerts_and_no_others(
    tmp_path: Path, record_property: Any
) -> None:
    folders = {scenario: tmp_path / scenario for scenario in scenarios.SITUATIONS}
    expected = {scenario: set(situation.alerts) for scenario, situation in scenarios.SITUATIONS.items()}
    with ExitStack() as stack:
        for process in [stack.enter_context(playing(folder, name)) for name, folder in folders.items()]:
            read_document(process)
        urls = {name: stack.enter_context(exporting(folder)) for name, folder in folders.items()}
        for url in urls.values():
            scraped(url)
        exporters = {url.removeprefix("http://"): {"scenario": name} for name, url in urls.items()}
        rules = folders["calm"] / "attest.rules.yml"
        begun = time.time()
        address = stack.enter_context(prometheus(tmp_path, [rules], exporters, seconds=INTERVAL_SECONDS))

        first: dict[str, dict[str, float]] = {}
        while time.time() < begun + PATIENCE_SECONDS:
            first = {scenario: {} for scenario in expected}
            for labels, at in firings(address):
                if labels["alertname"] != "Watchdog":
                    times = first[labels["scenario"]]
                    times[labels["alertname"]] = min(at - begun, times.get(labels["alertname"], at))
            if all(set(first[scenario]) >= alerts for scenario, alerts in expected.items()):
                break
            time.sleep(1)
    for scenario, times in first.items():
        said = {name: round(seconds) for name, seconds in sorted(times.items(), key=lambda each: each[1])}
        record_property(scenario, said)
        print(f"{scenario}: {said}")
    assert {scenario: set(times) for scenario, times in first.items()} == expected
    assert max(seconds for times in first.values() for seconds in times.values()) < PROMISED_SECONDS
