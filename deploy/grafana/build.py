"""Builds the dashboards: ``python -m deploy.grafana.build``; with ``--check`` it compares them with what is committed.

Needs Grafana's SDK, which is a dependency of development only.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import Dataquery

from attest import schemas
from attest.errors import AttestError
from attest.monitor.alerts import JOB
from deploy.grafana.pages import PAGES, Page
from deploy.grafana.panels import SOURCE

FOLDER = Path(__file__).parent
COLUMNS = 24
#: Of every page, so that each leads to all others.
TAG = "attest"
#: Where the documentation stands until somebody says where (RFC 2606).
DOCS = "https://attest.example"

#: Variable -> its label, and the series whose labels are its values.
_CHOICES = {
    "instance": ("exporter", f'up{{job="{JOB}"}}'),
    "token": ("token", f'attest_token_supply_units{{job="{JOB}",instance=~"$instance"}}'),
    "chain": ("chain", f'attest_chain_head_block_number{{job="{JOB}",instance=~"$instance"}}'),
}


def dashboard(page: Page) -> models.Dashboard:
    """One page, as Grafana imports it."""
    built = (
        builders.Dashboard(page.title)
        .uid(page.uid)
        .description(page.text)
        .tags([TAG])
        .editable()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-24h", "now")
        .timezone("browser")
        .refresh("1m")
        .link(
            builders.DashboardLink("Attest")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .build()
    )
    built.panels = list(_placed(page))
    built.templating = models.DashboardDashboardTemplating(list(_variables(built.panels)))
    return built


def _placed(page: Page) -> Iterator[models.Panel | models.RowPanel]:
    """Headings and panels from left to right and top to bottom, numbered in this order."""
    number, y = 0, 0
    for row in page.whole:
        number += 1
        yield models.RowPanel(title=row.title, id_val=number, grid_pos=models.GridPos(h=1, w=COLUMNS, x=0, y=y))
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            number += 1
            place = panel.model.grid_pos
            assert place is not None
            if x + place.w > COLUMNS:
                x, y, height = 0, y + height, 0
            panel.model.id_val, place.x, place.y = number, x, y
            x, height = x + place.w, max(height, place.h)
            yield panel.model
        y += height


def _variables(panels: list[models.Panel | models.RowPanel]) -> Iterator[models.VariableModel]:
    """The data source, what the page's queries can be narrowed by, and where the documentation is."""
    queries = [
        target.expr
        for panel in panels
        if isinstance(panel, models.Panel)
        for target in panel.targets or []
        if isinstance(target, Dataquery)
    ]
    yield builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus").build()
    for name, (label, series) in _CHOICES.items():
        if any(re.search(rf"\${name}\b", query) for query in queries):
            yield (
                builders.QueryVariable(name)
                .label(label)
                .datasource(SOURCE)
                .query({"query": f"label_values({series}, {name})", "refId": name})
                .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
                .sort(models.VariableSort.ALPHABETICAL_ASC)
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
                .build()
            )
    yield (
        builders.TextBoxVariable("docs")
        .label("documentation")
        .description("The address below which this repository's docs/ folder is.")
        .default_value(DOCS)
        .current(models.VariableOption(selected=True, text=DOCS, value=DOCS))
        .build()
    )


def files() -> Mapping[str, str]:
    """Every dashboard, by its file's name."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    return {f"{page.name}.json": encoder.encode(dashboard(page)) + "\n" for page in PAGES}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.grafana.build", description="Write the Grafana dashboards from their code."
    )
    parser.add_argument("--check", action="store_true", help="Compare what is written instead; exit 2 if it differs.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="Default: where this file is.")
    arguments = parser.parse_args(words)
    try:
        if arguments.check:
            schemas.check(arguments.folder, files(), whole_folder=False)
        else:
            schemas.write(arguments.folder, files())
    except AttestError as fault:
        print(f"error: {fault.message}", fault.reason, fault.advice, sep="\n", file=sys.stderr)
        return fault.exit_code
    print(f"{'current' if arguments.check else 'written'}: {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
