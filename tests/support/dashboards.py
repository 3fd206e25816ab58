"""The dashboards as they are shipped: their panels and what these ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "deploy/grafana"
DASHBOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


class Asked(NamedTuple):
    """One query: the dashboard's file, the panel's title, the name of what it gives, and the expression as Prometheus
    gets it while nothing is chosen."""

    dashboard: str
    title: str
    legend: str
    expr: str


def panels(dashboard: str) -> list[dict[str, Any]]:
    """Without headings."""
    return [panel for panel in DASHBOARDS[dashboard]["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expr = re.sub(r"\$(instance|token|chain)\b", ".*", target["expr"])
                yield Asked(dashboard, panel["title"], target["legendFormat"], expr)
