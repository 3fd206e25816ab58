"""``attest alerts``: what each alert means and what to type, and the Prometheus rules."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import json_option

if TYPE_CHECKING:
    from attest.cli.output import Output


@click.command(
    epilog="""\b
Examples:
  attest alerts                      all alerts, by their groups
  attest alerts ReserveShortfall     one: what it means, what to type
  attest alerts --rules              the rules for Prometheus (2.42 or newer)
  attest alerts --rules --faster 60  minutes become seconds: for practice
  attest alerts --check .            exit 2 unless a checkout's are current

Exit codes: 0 done, 2 usage, or a file that is not current."""
)
@click.argument("name", required=False)
@click.option("--rules", "as_rules", is_flag=True, help="Print the Prometheus rules (YAML).")
@click.option(
    "--faster",
    type=click.IntRange(1, 3600),
    default=1,
    metavar="N",
    help="With --rules: divide every time to wait by N.",
)
@click.option("--write", "target", type=click.Path(path_type=Path), metavar="ROOT", help="Write a checkout's files.")
@click.option("--check", "checked", type=click.Path(path_type=Path), metavar="ROOT", help="Compare a checkout's files.")
@json_option
@click.pass_context
def alerts(
    ctx: click.Context,
    name: str | None,
    as_rules: bool,
    faster: int,
    target: Path | None,
    checked: Path | None,
    as_json: bool,
) -> None:
    """Every alert of the daily watch: its condition, how bad it is, and what to do."""
    from attest.monitor import rules
    from attest.monitor.alerts import ALERTS, GROUPS

    output: Output = ctx.obj
    if sum((name is not None, as_rules, target is not None, checked is not None)) > 1:
        raise click.UsageError("give one of NAME, --rules, --write and --check", ctx)
    if faster != 1 and not as_rules:
        raise click.UsageError("--faster goes with --rules", ctx)
    if name is not None and name not in ALERTS:
        raise click.UsageError(f"there is no alert {name!r}; `attest alerts` lists them", ctx)

    path = target or checked
    if path is not None:
        from attest import schemas

        if target is not None:
            schemas.write(path, rules.files())
        else:
            schemas.check(path, rules.files(), whole_folder=False)
        output.line(f"{'written' if target else 'current'}: {path}")
        if output.json:
            output.result({"path": str(path), "files": sorted(rules.files())})
    elif as_rules:
        click.echo(rules.rules(faster), nl=False)
    elif name is not None and not output.json:
        click.echo(rules.page(ALERTS[name]), nl=False)
    elif output.json:
        chosen = ALERTS if name is None else {name: ALERTS[name]}
        output.result({each: asdict(alert) for each, alert in chosen.items()})
    else:
        width = max(map(len, ALERTS))
        for group, members in GROUPS.items():
            output.line(f"{group}:")
            for alert in members:
                output.line(f"  {alert.name.ljust(width)}  {alert.severity.ljust(8)}  {alert.incident}")
