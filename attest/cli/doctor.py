"""``attest doctor``: everything that could stop a run, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import config_option, json_option, load, period_option
from attest.cli.output import Output
from attest.errors import printable

if TYPE_CHECKING:
    from attest.chain.preflight import Finding

_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


@click.command(
    epilog="""\b
Examples:
  attest doctor
  attest doctor --period 2026-W47      also read that period's statements
  attest doctor --network              only blocks, validators, endpoints

Exit codes: 0 nothing would stop a run (with --network: nothing critical),
2 something would (something is)."""
)
@config_option
@period_option
@click.option("--network", is_flag=True, help="Only the network: blocks, validators, endpoints, the publisher.")
@json_option
@click.pass_obj
def doctor(output: Output, config_path: Path, period: str | None, network: bool, as_json: bool) -> int:
    """Check configuration, endpoints, chain id, contracts, roles, keys, gas, sources, witnesses and stores.

    One line each, with advice. Sends nothing; writes one probe object to each store.
    """
    from attest import diagnosis
    from attest.cli.common import chosen_period
    from attest.errors import EXIT_DONE, EXIT_USAGE

    if network and period is not None:
        raise click.UsageError("--period goes without --network", click.get_current_context())
    loaded = load(config_path)
    findings: Iterator[Finding] = (
        diagnosis.network(loaded) if network else diagnosis.examine(loaded, chosen_period(period, loaded))
    )
    shown = []
    for found in findings:
        finding = replace(found, detail=found.detail.removeprefix(f"{found.subject}: "))
        shown.append(finding)
        if not output.json:
            output.line(f"{_MARKS[finding.state]} {printable(finding.subject)}: {printable(finding.detail)}")
            if finding.state != "ok" and finding.advice:
                output.line(f"        next: {printable(finding.advice)}")
    errors = sum(finding.state == "error" for finding in shown)
    exit_code = EXIT_USAGE if errors else EXIT_DONE
    if output.json:
        plain = [
            {"state": finding.state, "subject": finding.subject, "detail": finding.detail, "advice": finding.advice}
            for finding in shown
        ]
        output.result({"findings": plain, "exit_code": exit_code})
    else:
        output.line()
        if network:
            output.line(f"{errors} critical." if errors else "Nothing critical.")
        else:
            output.line(
                f"{errors} would stop a run." if errors else "Nothing would stop a run. Next: attest run --dry-run"
            )
    return exit_code
