"""docs/monitor.md says of every metric what the exporter says of it."""

from __future__ import annotations

from pathlib import Path

from attest.monitor.metrics import CATALOGUE

DOCS = Path(__file__).parents[3] / "docs/monitor.md"


def test_metrics__the_page__lists_each_with_labels_and_help_in_order() -> None:
    listed = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `attest_")]
    assert listed == [
        f"| `{metric.name}` | {', '.join(f'`{label}`' for label in metric.labels) or '–'} | "
        f"{'' if metric.kind == 'gauge' else f'*{metric.kind}.* '}{metric.help} |"
        for metric in CATALOGUE
    ]
