"""``attest quorum``: why the sources' word was accepted, held or refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option
from attest.cli.output import Output
from attest.errors import printable

if TYPE_CHECKING:
    from attest.model import AccountPolicy
    from attest.steps.explanation import ExplainedAccount, ExplainedSource, Explanation


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
    from textwrap import wrap

    from attest import records
    from attest.steps.explanation import explain
    from attest.store import open_store

    loaded = load(config_path)
    chosen = chosen_period(period, loaded)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    explanation = explain(private, chosen, account, revision=revision)
    if output.json:
        output.result(records.to_plain(explanation))
        return
    width = get_terminal_size((80, 24)).columns
    for line in _text(explanation):
        indent = " " * (len(line) - len(line.lstrip(" -")))
        # A path or digest is not broken: somebody may copy it.
        parts = wrap(line, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False)
        for part in parts or [""]:
            output.line(part)


_BASIS = {
    "verdict": "decided",
    "collection": "collected, not decided yet",
    "refusal": "refused; the next run asks every source again",
}


def _text(explanation: Explanation) -> list[str]:
    from attest.period import revision_name
    from attest.records import format_instant

    name = revision_name(explanation.period, explanation.revision)
    lines = [
        f"Period {name}, attempt {explanation.attempt}: {_BASIS[explanation.basis]}",
        f"Cutoff {format_instant(explanation.cutoff)}; the sources were asked by "
        f"{format_instant(explanation.collected_at)}",
    ]
    for account in explanation.accounts:
        lines += ["", *_account(account)]
    lines.append("")
    for token in explanation.tokens:
        state = "withheld" if token.token in explanation.withheld else token.outcome
        lines.append(f"{token.token}: {state} ({printable(token.detail)})")
    return lines


def _account(account: ExplainedAccount) -> list[str]:
    from attest.money import currency
    from attest.money import group as grouped
    from attest.records import format_instant

    verdict, unit = account.verdict, currency(account.policy.currency)
    outcome = "held, and acknowledged by a person" if account.acknowledged else account.outcome
    value = ""
    if verdict.minor_units is not None and verdict.as_of is not None:
        amount = grouped(unit.format(verdict.minor_units))
        value = f": {amount} {unit.code} as of {format_instant(verdict.as_of)}"
    lines = [
        f"{account.account} ({account.token}): {outcome}{value}",
        f"  {printable(verdict.detail)}",
        f"  Rule {account.rule}: {account.rule_text}",
        f"  {_policy(account.policy)}",
    ]
    for source in account.sources:
        lines.append(f"  - {source.source} (origin {source.origin}): {_counted(source)}: {source.code}")
        lines.append(f"    {printable(_said(source))}")
        if source.failure is not None:
            lines.append(f"    why it matters: {printable(source.failure.reason)}")
            lines.append(f"    next: {printable(source.failure.advice)}")
    return lines


def _policy(policy: AccountPolicy) -> str:
    from attest.money import currency

    unit = currency(policy.currency)
    parts = [
        f"{_some(policy.min_sources, 'source')} of {_some(policy.min_origins, 'origin')} needed",
        f"tolerance {unit.format(policy.tolerance_abs)} {unit.code} and {policy.tolerance_bps} bps",
        f"at most {policy.max_age_seconds / 3600:g} h old",
    ]
    if policy.allow_dissent:
        parts.append(f"dissent allowed: {policy.allow_dissent}")
    if policy.waiver is not None:
        parts.append(f"waiver: {policy.waiver}")
    return "In force: " + ", ".join(parts)


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _counted(source: ExplainedSource) -> str:
    return "counted" if source.counted else "only compared" if source.corroborates else "not counted"


def _said(source: ExplainedSource) -> str:
    from attest.money import currency
    from attest.money import group as grouped
    from attest.records import format_instant

    said = source.observation
    if said is None:
        return source.detail
    amount = grouped(currency(said.currency).format(said.minor_units))
    return f"{amount} {said.currency} ({said.balance_kind}) as of {format_instant(said.as_of)}" + (
        "" if source.counted or source.code in {"valid", "corroborates", "contradicts"} else f"; {source.detail}"
    )
