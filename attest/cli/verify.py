"""``attest verify`` and ``attest verify-proof``: the auditor's commands. They need the core install only."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import Command, json_option, judged_at
from attest.cli.output import Output
from attest.errors import EXIT_DONE, EXIT_SHORTFALL, EXIT_VERIFICATION, printable

if TYPE_CHECKING:
    from attest.verify.case import ReadAgain, Rpc
    from attest.verify.inclusion import Inclusion
    from attest.verify.report import CheckResult, Report

_WIDTH = 80
_FILE = click.Path(path_type=Path)
_COLOURS = {"pass": "green", "included": "green", "sufficient": "green", "yes": "green", "skipped": None}
_ENDINGS = {
    EXIT_DONE: "Everything that your trust file demands passed.",
    EXIT_SHORTFALL: "The attestation is in order; it says that a reserve is short or withheld.",
    EXIT_VERIFICATION: "Do not rely on this bundle.",
}


_LOG_OPTIONS = (
    click.option("--log", metavar="PLACE", help="The log's folder or address. Default: the one beside the bundle."),
    click.option("--since", type=_FILE, help="A checkpoint of the log that you kept: it must have only grown since."),
    click.option(
        "--state", type=_FILE, help="Where logs are remembered. Default: attest/logs.json in your state folder."
    ),
    click.option("--no-state", is_flag=True, help="Neither compare with what was remembered, nor remember."),
)


def _log_options(command: Command) -> Command:
    """``--log``, ``--since``, ``--state`` and ``--no-state``: what is known of the log."""
    for option in reversed(_LOG_OPTIONS):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  attest verify https://reserves.issuer.example/attestations/2026-W47 \\
    --trust trust.json
  attest verify attestations/2026-W47 --trust trust.json --log mirror/log
  attest verify 2026-W47.zip --trust trust.json --rpc http://localhost:8545

Exit codes: 0 all that the trust file demands passed, 4 a reserve is short or withheld, 6 a check failed, a demanded one
was skipped, or nothing was checked, 2 usage."""
)
@click.argument("bundle", type=click.Path())
@click.option("--trust", "trust_place", type=click.Path(), required=True, help="Your own trust file.")
@click.option(
    "--rpc", "urls", multiple=True, metavar="URL", help="Your own node; once for each chain. Default: offline."
)
@_log_options
@click.option("--leaves", type=_FILE, help="All accounts (leaves.json), from the issuer: add them up.")
@click.option("--evidence", type=_FILE, metavar="DIR", help="An opened audit package, from the issuer: decide again.")
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-11-23T08:00:00Z). Default: now.")
@json_option
@click.pass_obj
def verify(
    output: Output,
    bundle: str,
    trust_place: str,
    urls: tuple[str, ...],
    log: str | None,
    since: Path | None,
    state: Path | None,
    no_state: bool,
    leaves: Path | None,
    evidence: Path | None,
    at: str | None,
    as_json: bool,
) -> int:
    """Verify an attestation, trusting only your trust file.

    BUNDLE is an attestation's folder, a zip of it, or its address on the web.

    Says for each token whether the money is there, then whether that is authentic, sufficient and independently
    checked, then every check: pass, FAIL or skipped, and how to get a skipped one done.
    """
    from attest.verify.report import exit_code
    from attest.verify.trust import load_trust
    from attest.verify.verifier import Brought, verify_bundle

    now = judged_at(at)
    remembered = _memory(state, no_state)
    reader = None if evidence is None else _document_reader()
    brought = Brought(leaves=leaves, since=since, log=log, state=remembered, evidence=evidence, read_again=reader)
    trust = load_trust(trust_place, bundle)
    report = verify_bundle(bundle, trust, rpc=_endpoints(urls), now=now, brought=brought)
    if output.json:
        output.result(report.as_json())
    else:
        _print_report(report, exit_code(report), trust.demands)
    return exit_code(report)


@click.command(
    "verify-proof",
    epilog="""\b
Example:
  attest verify-proof usd-operating.proof.json \\
    --statement attestations/2026-W47 --trust trust.json

Exit codes: 0 the account is in the signed statement, 6 it is not, the statement does not verify or is not in force any
more, or a demand of the trust file is not met, 2 usage.""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--statement",
    metavar="PLACE",
    type=click.Path(),
    required=True,
    help="The bundle: its folder, a zip of it or its address; or attestation.dsse.json alone.",
)
@click.option("--trust", "trust_place", type=click.Path(), required=True, help="Your own trust file.")
@_log_options
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-11-23T08:00:00Z). Default: now.")
@json_option
@click.pass_obj
def verify_proof(
    output: Output,
    file: Path,
    statement: str,
    trust_place: str,
    log: str | None,
    since: Path | None,
    state: Path | None,
    no_state: bool,
    at: str | None,
    as_json: bool,
) -> int:
    """Verify one account's inclusion proof against the signed statement.

    The statement must be authentic, in the log and in force there; what the log was before is compared, and not
    remembered. Says what was not checked.
    """
    from attest.verify import inclusion
    from attest.verify.trust import load_trust
    from attest.verify.verifier import Brought

    trust = load_trust(trust_place, statement)
    brought = Brought(since=since, log=log, state=_memory(state, no_state))
    found = inclusion.verify_proof(file, statement, trust, now=judged_at(at), brought=brought)
    code = EXIT_VERIFICATION if found.leaf is None else EXIT_DONE
    if output.json:
        output.result(_inclusion_json(found, code))
    else:
        _print_inclusion(found, trust.demands)
    return code


def _memory(state: Path | None, no_state: bool) -> Path | None:
    from attest.verify.memory import default_path

    if state is not None and no_state:
        raise click.UsageError("--state and --no-state exclude each other")
    return None if no_state else state or default_path()


def _document_reader() -> ReadAgain | None:
    """What reads custodians' documents again, where the operator's install is there."""
    try:
        from attest.audit.cosign import read_again
    except ModuleNotFoundError:
        return None
    return read_again


def _endpoints(urls: Sequence[str]) -> list[Rpc]:
    if not urls:
        return []
    from attest.verify.rpc import open_rpc

    return [open_rpc(url) for url in urls]


# -- for people ------------------------------------------------------------------------------------------------------


def _print_report(report: Report, code: int, demands: Sequence[str]) -> None:
    from attest.verify.verifier import NOT_COMPARED

    for token in report.tokens:
        _entry(token.state, token.sentence, 12)
    if not report.tokens:
        _entry("unproven", "There is no statement that can be read.", 12)
    click.echo()
    for answer in report.answers:
        _entry(f"{answer.name + ':':<23} {answer.answer}", answer.detail, 32, plain=True)
    click.echo()
    _print_checks(report.checks)
    for note in report.notes:
        if note != NOT_COMPARED:
            _entry("note", note, 9, plain=True)
    _print_unmet(report.unmet, demands)
    click.echo()
    click.echo(_ENDINGS[code])
    if NOT_COMPARED in report.notes:
        click.echo(NOT_COMPARED)


def _print_unmet(unmet: Sequence[str], demands: Sequence[str]) -> None:
    for demand in unmet:
        if demand in demands:
            _entry("FAIL", f"your trust file demands {demand!r}, and that was not met", 9)
        else:
            _entry("FAIL", "the log could not be compared with your checkpoint (--since), as you asked", 9)


def _print_checks(results: Sequence[CheckResult]) -> None:
    for result in results:
        word = "FAIL" if result.outcome == "fail" else result.outcome
        _entry(word, f"{result.name}: {result.detail}", 9)
        if result.outcome == "fail" and result.advice:
            _entry("", f"What to do: {result.advice}", 9)
    skipped = [result for result in results if result.outcome == "skipped"]
    if skipped:
        click.echo()
        click.echo("What could not be checked, and how to get it checked:")
        for result in skipped:
            _entry("-", f"{result.question} ({result.name}) {result.advice}", 2, plain=True)


def _print_inclusion(found: Inclusion, demands: Sequence[str]) -> None:
    leaf = found.leaf
    if leaf is None:
        _entry("unproven", "This proof does not show the account in a statement that you can rely on.", 12)
    else:
        from attest.money import Currency, group
        from attest.statement import moment

        unit = Currency(leaf.currency, found.exponent)
        held, total = group(unit.format(leaf.minor_units)), group(unit.format(found.total_minor_units))
        _entry(
            "included",
            f"{leaf.account} at {leaf.custodian}: {held} {leaf.currency} ({leaf.balance_kind}, {leaf.ownership}) as of "
            f"{moment(leaf.as_of)}, backing {leaf.token}, in {found.period}, revision {found.revision}.",
            12,
        )
        _entry(
            "",
            f"It is one of {found.accounts} accounts under the signed root. That those of {leaf.token} add up to "
            f"{total} {leaf.currency} is the issuer's claim: this proof shows one account only.",
            12,
        )
    click.echo()
    _print_checks(found.checks)
    _print_unmet(found.unmet, demands)
    click.echo()
    for words in found.not_checked:
        _entry("open", words, 9, plain=True)


def _inclusion_json(found: Inclusion, code: int) -> dict[str, Any]:
    from dataclasses import asdict

    from attest.records import to_plain

    plain = asdict(found) | {"leaf": None if found.leaf is None else to_plain(found.leaf), "exit_code": code}
    plain["total_minor_units"] = str(found.total_minor_units)
    return plain


def _entry(label: str, text: str, indent: int, *, plain: bool = False) -> None:
    """A label and a text beside it, wrapped at 80 columns; everything that a terminal would act on is escaped."""
    lines = textwrap.wrap(printable(text), _WIDTH - indent, break_on_hyphens=False) or [""]
    padded = f"{printable(label):<{indent}}"
    if not plain and label.strip():
        padded = click.style(padded, fg=_COLOURS.get(label, "red"), bold=True)
    click.echo(padded + lines[0], color=False if os.environ.get("NO_COLOR") else None)
    for line in lines[1:]:
        click.echo(" " * indent + line)
