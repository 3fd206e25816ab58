"""``attest quorum``: why the sources' word was accepted, held or refused."""

from __future__ import annotations

from pathlib import Path

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option
from attest.cli.output import Output


@click.group("quorum")
def group() -> None:
    """Why the sources' word was accepted, held or refused."""


@group.command(
    "explain",
    epilog="""\b
Examples:
  attest quorum explain --period 2026-W47
  attest quorum explain --period 2026-W47 --account eur-main
  attest quorum explain --json | jq '.accounts[] | {account, code, rule}'""",
)
@period_option
@click.option("--revision", type=int, metavar="N", help="Of that revision (0: the first). Default: the newest.")
@click.option("--account", metavar="ACCOUNT", help="Only this account, by its id in the configuration.")
@config_option
@json_option
@click.pass_obj
def explain(
    output: Output, period: str | None, revision: int | None, account: str | None, config_path: Path, as_json: bool
) -> None:
    """Each source's word, whether it counted and why not, and the rule that decided, in plain words.

    Explains the stored verdict of the period; where a run refused, what the sources said then. Nothing is asked, read
    anew or sent. Private: it names custodians' sources and amounts.
    """
    from shutil import get_terminal_size

    from attest import records
    from attest.steps.explanation import explain, in_words
    from attest.store import open_store

    loaded = load(config_path)
    chosen = chosen_period(period, loaded)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    explanation = explain(private, chosen, account, revision=revision)
    if output.json:
        output.result(records.to_plain(explanation))
        return
    width = get_terminal_size((80, 24)).columns
    for line in in_words(explanation, width):
        output.line(line)
