"""The scenarios of ``attest devnet`` as a newcomer meets them: their monitor's exposition in Prometheus, with the rules
of the practice network, until each scenario's alerts fire and no other."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attest import devnet, scenarios
from attest.cli.monitor import monitor
from attest.scenarios import BEAT_SECONDS
from tests.support.alerting import firings, prometheus, scraped_twice
from tests.support.monitors import exporting, scraped

#: What the documentation promises.
PROMISED_SECONDS = 120
#: At least so long it is looked whether another fires: what adds up over a minute is complete by then.
WATCHED_SECONDS = 90
#: For a machine that does much else.
PATIENCE_SECONDS = 300

pytestmark = pytest.mark.usefixtures("anvil")  # skips where anvil is missing


class Playing:
    """A scenario's network, going on as ``attest devnet`` has it."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self.folder, self._scenario = folder, scenario
        self._ready, self._ended = threading.Event(), threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with devnet.running(self.folder, port=0, witness_port=0, scenario=self._scenario) as network:
                self._ready.set()
                for number in itertools.count():
                    if self._ended.wait(BEAT_SECONDS):
                        return
                    network.beat(number)
        except BaseException as fault:
            self._fault = fault
        finally:
            self._ready.set()

    def __enter__(self) -> Playing:
        self._thread.start()
        return self

    def ready(self) -> None:
        """Wait until its history is made."""
        self._ready.wait()
        if self._fault is not None:
            raise self._fault

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.ready()


def _configuration(folder: Path, urls: Mapping[str, str]) -> Path:
    """The practice network's own for Prometheus, with all the exporters in the place of one."""
    shipped = folder / "prometheus.yml"
    checked = subprocess.run(["promtool", "check", "config", shipped], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (listen,) = [parameter.default for parameter in monitor.params if parameter.name == "listen"]
    text, one = shipped.read_text(encoding="utf-8"), f'      - targets: ["{listen}"]\n'
    assert one in text
    several = [
        f'      - targets: ["{url.removeprefix("http://")}"]\n        labels: {{scenario: {scenario}}}\n'
        for scenario, url in urls.items()
    ]
    path = folder / "several.yml"
    path.write_text(text.replace(one, "".join(several)), encoding="utf-8")
    return path


@pytest.mark.requires("prometheus", "apt-get install prometheus")
def test_scenarios__under_the_rules_of_a_practice_network__raise_their_alerts_and_no_others(
    tmp_path: Path, record_property: Any
) -> None:
    folders = {scenario: tmp_path / scenario for scenario in scenarios.SITUATIONS}
    expected = {scenario: set(situation.alerts) for scenario, situation in scenarios.SITUATIONS.items()}
    with ExitStack() as stack:
        for network in [stack.enter_context(Playing(folder, name)) for name, folder in folders.items()]:
            network.ready()
        urls = {name: stack.enter_context(exporting(folder)) for name, folder in folders.items()}
        for url in urls.values():
            scraped(url)
        begun = time.time()
        address = stack.enter_context(prometheus(tmp_path, _configuration(folders["calm"], urls)))
        first: dict[str, dict[str, float]] = {}
        while time.time() < begun + PATIENCE_SECONDS:
            first = {scenario: {} for scenario in expected}
            known = scraped_twice(address, len(urls))
            for labels, at in firings(address):
                if labels["alertname"] == "Watchdog" or (at < known and "scenario" not in labels):
                    continue  # until it has come round, Prometheus misses the metrics of every exporter
                times = first.setdefault(labels.get("scenario", "all"), {})
                times[labels["alertname"]] = min(at - begun, times.get(labels["alertname"], at))
            complete = all(set(first[scenario]) >= alerts for scenario, alerts in expected.items())
            if complete and time.time() > begun + WATCHED_SECONDS:
                break
            time.sleep(1)
    for scenario, times in first.items():
        said = {name: round(seconds) for name, seconds in sorted(times.items(), key=lambda each: each[1])}
        record_property(scenario, said)
        print(f"{scenario}: {said}")
    assert {scenario: set(times) for scenario, times in first.items()} == expected
    assert max(seconds for times in first.values() for seconds in times.values()) < PROMISED_SECONDS
