"""``attest run`` and its parts (``open``, ``report``, ``abandon``), and what replaces a run: ``revise``, ``revoke``,
``withhold``."""

from __future__ import annotations

import shlex
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option
from attest.cli.output import Output
from attest.cli.text import table
from attest.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from attest.config import Loaded
    from attest.documents import TokenStatement
    from attest.period import Period
    from attest.pipeline import Outcome
    from attest.steps.context import Choices, Environment

_choices = [
    click.option("--acknowledge", metavar="ACCOUNT", multiple=True, help="Accept a held change. Repeatable."),
    click.option("--withhold", metavar="TOKEN", multiple=True, help="Go on without a token. Repeatable."),
]


def _with_choices(command: Any) -> Any:
    for option in reversed(_choices):
        command = option(command)
    return command


def _environment(loaded: Loaded, output: Output, *, rehearsal: bool = False) -> Environment:
    from attest.cli.narrator import narrator
    from attest.environment import build

    telling = narrator(quiet=output.json)
    click.get_current_context().call_on_close(telling.close)
    return build(loaded, telling, rehearsal=rehearsal)


@click.command(
    epilog="""\b
Examples:
  attest run                                   the newest period that is due
  attest run --period 2026-W47 --dry-run       show what would be sent
  attest run --acknowledge usd-operating       accept a change that a run held
  attest run --withhold GBPW                   go on without a token
  attest run --cosignature signature.json      add a co-attestor's signature"""
)
@config_option
@period_option
@click.option("--dry-run", is_flag=True, help="Steps 1 to 4 for real, the rest simulated; nothing stored or sent.")
@_with_choices
@click.option(
    "--cosignature",
    "cosignatures",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A co-attestor's signature.json (`attest cosign`). Repeatable.",
)
@json_option
@click.pass_obj
def run(
    output: Output,
    config_path: Path,
    period: str | None,
    dry_run: bool,
    acknowledge: tuple[str, ...],
    withhold: tuple[str, ...],
    cosignatures: tuple[Path, ...],
    as_json: bool,
) -> int:
    """The weekly run: from custodians' files to a published attestation.

    Ten steps, each stored once: stop it anywhere and run it again, it goes on where it was and sends nothing twice. A
    finished period is shown, not repeated.
    """
    from attest import pipeline
    from attest.steps.context import Choices

    loaded = load(config_path)
    week = chosen_period(period, loaded)
    environment = _environment(loaded, output, rehearsal=dry_run)
    choices = Choices(acknowledge, withhold)
    for path in cosignatures:
        pipeline.add_cosignature(environment, week, path.read_bytes(), str(path))
    if dry_run:
        return _show_rehearsal(output, pipeline.rehearse(environment, week, choices))
    return _show(output, pipeline.run(environment, week, choices), loaded, config_path)


@click.command(
    "open",
    epilog="""\b
Example (every Monday at 00:05 UTC, for a cutoff on Sunday at 23:59:59 UTC):
  attest open --config attest.toml --json""",
)
@config_option
@period_option
@json_option
@click.pass_obj
def open_(output: Output, config_path: Path, period: str | None, as_json: bool) -> int:
    """Fix the period and its supply, at the cutoff.

    For nodes that prune: schedule this right after the cutoff; `attest run` goes on from it, hours or days later.
    """
    from attest import pipeline

    loaded = load(config_path)
    outcome = pipeline.run(_environment(loaded, output), chosen_period(period, loaded), until="open")
    done = "was open already" if outcome.already_done else "is open"
    output.line(f"\n{outcome.period} {done} (attempt {outcome.attempt}). Next: attest run --period {outcome.period}")
    if output.json:
        output.result(_as_json(outcome) | {"exit_code": 0})
    return 0


@click.command(
    epilog="""\b
Example (every half hour, for a contract whose reports age within one):
  attest report --config attest.toml --json"""
)
@config_option
@period_option
@_with_choices
@json_option
@click.pass_obj
def report(
    output: Output,
    config_path: Path,
    period: str | None,
    acknowledge: tuple[str, ...],
    withhold: tuple[str, ...],
    as_json: bool,
) -> int:
    """Report the reserves on chain (steps 1 to 6), nothing else.

    When that is done already, the same reserves are reported again once the standing reports are past half of their
    validity. A fresh report never makes a balance younger: its date stays in the statement.
    """
    from attest import pipeline
    from attest.steps.context import Choices

    loaded = load(config_path)
    environment = _environment(loaded, output)
    outcome = pipeline.report(environment, chosen_period(period, loaded), Choices(acknowledge, withhold))
    return _show(output, outcome, loaded, config_path)


@click.command(
    epilog="""\b
Example:
  attest abandon --period 2026-W47 --reason "a statement was corrected\""""
)
@config_option
@period_option
@click.option("--reason", required=True, help="One line; it stands in the public statement.")
@json_option
@click.pass_obj
def abandon(output: Output, config_path: Path, period: str | None, reason: str, as_json: bool) -> int:
    """Give up the current attempt before anything was reported.

    Of a period that is being revised, it is the revision's attempt. The next run begins a new attempt and reads every
    source again. The statement will give the number of attempts and the reasons: nobody can re-roll a collection
    unseen.
    """
    from attest import pipeline

    loaded = load(config_path)
    area = pipeline.abandon(_environment(loaded, output), chosen_period(period, loaded), reason)
    output.line(f"{area.name}: attempt {area.attempt} is abandoned. Next: attest run --period {area.period}")
    if output.json:
        output.result(
            {
                "period": str(area.period),
                "revision": area.revision,
                "abandoned": area.attempt,
                "reason": reason,
                "exit_code": 0,
            }
        )
    return 0


# -- instead of what was published, or never was ---------------------------------------------------------------------

_reason = click.option("--reason", required=True, help="One line; it stands in the public statement.")
_rehearsal = click.option("--dry-run", is_flag=True, help="Show what would be sent; nothing is stored or sent.")


def _named_period(command: Any) -> Any:
    return click.option("--period", metavar="YYYY-Www", required=True, help="The ISO week.")(command)


@click.command(
    epilog="""\b
Examples:
  attest revise --period 2026-W47 --reason "a custodian corrected a statement"
  attest revise --period 2026-W47 --reason "..." --dry-run
  attest run --period 2026-W47             goes on with it, wherever it was

Exit codes: those of `attest run`."""
)
@config_option
@_named_period
@_reason
@_rehearsal
@_with_choices
@json_option
@click.pass_obj
def revise(
    output: Output,
    config_path: Path,
    period: str,
    reason: str,
    dry_run: bool,
    acknowledge: tuple[str, ...],
    withhold: tuple[str, ...],
    as_json: bool,
) -> int:
    """Replace a published attestation by a new revision.

    The whole weekly run once more: every source is asked again, everything is reported, signed, logged, anchored and
    published as the next revision, which says what it supersedes and why. Nothing of the old one is changed or deleted.
    The supply stays the one that was read for the cutoff.
    """
    from attest.steps import orders
    from attest.steps.context import Choices

    return _carry_out(output, config_path, period, reason, orders.revise, Choices(acknowledge, withhold), dry_run)


@click.command(
    epilog="""\b
Example:
  attest revoke --period 2026-W47 --reason "a custodian withdrew a statement"

Exit codes: 0 once it is published, else those of `attest run`."""
)
@config_option
@_named_period
@_reason
@_rehearsal
@json_option
@click.pass_obj
def revoke(output: Output, config_path: Path, period: str, reason: str, dry_run: bool, as_json: bool) -> int:
    """Withdraw a published attestation, with nothing in its place.

    A new revision is signed, logged, anchored and published that gives no reserve for any token and says why. No source
    is asked and nothing is reported on chain; what was reported there stays until it expires or is replaced.
    """
    from attest.steps import orders

    return _carry_out(output, config_path, period, reason, orders.revoke, None, dry_run)


@click.command(
    "withhold",
    epilog="""\b
Example:
  attest withhold --period 2026-W48 --reason "custodians' portals were down"

Exit codes: 0 once it is published, else those of `attest run`.""",
)
@config_option
@_named_period
@_reason
@_rehearsal
@json_option
@click.pass_obj
def withhold_(output: Output, config_path: Path, period: str, reason: str, dry_run: bool, as_json: bool) -> int:
    """State that a period was missed: no reserve is given for any token.

    For a week that was never attested and whose deadline is over. The statement is signed, logged, anchored and
    published like any other, so that nobody has to guess at a gap. An attempt that was begun is given up for the same
    reason, unless its reports were sent already.
    """
    from attest.steps import orders

    return _carry_out(output, config_path, period, reason, orders.withhold, None, dry_run)


def _carry_out(
    output: Output,
    config_path: Path,
    period: str,
    reason: str,
    order: Callable[[Environment, Period, str], None],
    choices: Choices | None,
    dry_run: bool,
) -> int:
    """Record the order (in a rehearsal, in memory), and run. Without ``choices``, it is meant to end with every token
    withheld, and has succeeded then."""
    from dataclasses import replace

    from attest import pipeline
    from attest.errors import EXIT_DONE
    from attest.steps.context import NO_CHOICES

    loaded = load(config_path)
    week = chosen_period(period, loaded)
    environment = _environment(loaded, output, rehearsal=dry_run)
    order(environment, week, reason)
    if dry_run:
        return _show_rehearsal(output, pipeline.rehearse(environment, week, choices or NO_CHOICES))
    outcome = pipeline.run(environment, week, choices or NO_CHOICES)
    return _show(output, outcome if choices else replace(outcome, exit_code=EXIT_DONE), loaded, config_path)


# -- what a run says at its end --------------------------------------------------------------------------------------


def _show(output: Output, outcome: Outcome, loaded: Loaded, config_path: Path) -> int:
    places = _places(outcome, loaded, config_path)
    if output.json:
        output.result(_as_json(outcome) | places)
        return outcome.exit_code
    if outcome.already_done:
        done = "attested and published" if outcome.folder else "reported"
        output.line(f"\n{_name(outcome)} is {done} already.\nNothing was sent, nothing was changed.")
    output.line()
    for token in outcome.tokens:
        state, text = f"{token.verdict:<12}", _sentence(token, outcome)
        output.line(fill(text, 80, initial_indent=state, subsequent_indent=" " * 12, break_on_hyphens=False))
    output.line()
    output.line(table(_HEADERS, [_row(token) for token in outcome.tokens], right=(1, 2, 3, 4, 5)))
    output.line()
    for name, place in places.items():
        output.line(f"{name:<10} {printable(str(place))}")
    if outcome.supersedes is not None and outcome.folder is not None:
        verb = "revokes" if outcome.supersedes.kind == "revocation" else "replaces"
        replaced = f"{verb:<10} revision {outcome.revision - 1}: {printable(outcome.supersedes.reason)}"
        output.line(fill(replaced, 80, subsequent_indent=" " * 11, break_on_hyphens=False))
    for line in _alarms(outcome):
        output.line(line)
    return outcome.exit_code


def _name(outcome: Outcome) -> str:
    return f"{outcome.period}, revision {outcome.revision}," if outcome.revision else outcome.period


def _alarms(outcome: Outcome) -> list[str]:
    """What nobody may overlook, as the last lines: tokens that are short or withheld."""
    short = ", ".join(token.token for token in outcome.tokens if token.verdict == "short")
    withheld = ", ".join(token.token for token in outcome.tokens if token.verdict == "withheld")
    lines = [f"SHORT      {short}: halt minting now, then find the cause (exit code 4)"] if short else []
    if withheld:
        code = f" (exit code {outcome.exit_code})" if outcome.exit_code and not short else ""
        lines.append(f"WITHHELD   {withheld}: no reserve is stated{code}")
    return ["", *lines] if lines else []


_HEADERS = ("Token", "Reserve", "Supply", "Ratio", "Sources", "Quorum", "Transaction")


def _sentence(token: TokenStatement, outcome: Outcome) -> str:
    from attest.statement import sentence

    return printable(sentence(token, outcome.cutoff, witnesses=outcome.witnesses)) if outcome.cutoff else ""


def _row(token: TokenStatement) -> tuple[str, ...]:
    from attest.money import Currency, format_units, group

    supply = group(format_units(max(token.supply_units, token.confirm_supply_units), token.decimals))
    if token.reserve_minor_units is None or token.consensus is None or token.agreement is None:
        return (token.token, token.verdict, supply, "-", "-", "-", "-")
    return (
        token.token,
        f"{group(Currency(token.currency, token.exponent).format(token.reserve_minor_units))} {token.currency}",
        supply,
        f"{token.ratio_percent} %" if token.ratio_percent else "-",
        str(token.agreement.fewest_sources),
        f"met by {token.consensus.reports}",
        f"0x{token.reports[0].transaction[:8]}…" if token.reports else "-",
    )


def _places(outcome: Outcome, loaded: Loaded, config_path: Path) -> dict[str, str]:
    if outcome.folder is None:
        return {}
    from attest.store import LocalStore, open_store

    public = open_store(loaded.config.stores.public, base=loaded.base)
    root = public.url.rstrip("/")
    if isinstance(public, LocalStore):
        below_here = public.root.is_relative_to(Path.cwd())
        root = str(public.root.relative_to(Path.cwd()) if below_here else public.root)
    bundle = f"{root}/{outcome.folder}"
    trust = config_path.parent / "trust.json"
    return {
        "bundle": bundle,
        "dashboard": f"{root}/index.html",
        "verify": shlex.join(["attest", "verify", bundle, "--trust", str(trust) if trust.exists() else "trust.json"]),
    }


def _as_json(outcome: Outcome) -> dict[str, Any]:
    from attest.records import to_plain

    return {
        "period": outcome.period,
        "revision": outcome.revision,
        "supersedes": None if outcome.supersedes is None else to_plain(outcome.supersedes),
        "attempt": outcome.attempt,
        "already_done": outcome.already_done,
        "exit_code": outcome.exit_code,
        "tokens": [to_plain(token) for token in outcome.tokens],
    }


def _show_rehearsal(output: Output, outcome: Outcome) -> int:
    from attest.errors import EXIT_CHAIN

    blocking = [simulation for simulation in outcome.simulations if simulation.outcome == "would-revert"]
    exit_code = EXIT_CHAIN if blocking else outcome.exit_code
    if output.json:
        plan = [
            {"sends": step.intent.description, "outcome": step.outcome, "detail": step.detail, "gas": step.gas}
            for step in outcome.simulations
        ]
        output.result(_as_json(outcome) | {"plan": plan, "exit_code": exit_code})
        return exit_code
    if outcome.already_done:
        output.line(f"{_name(outcome)} is attested and published already; a run would send nothing.")
        return outcome.exit_code
    output.line(f"\nA run of {_name(outcome)} would send:")
    for step in outcome.simulations:
        output.line(f"  {printable(step.intent.description)}: {step.outcome}, {printable(step.detail)}")
    output.line("\nNothing was stored, nothing was sent.")
    return exit_code
