"""``attest custody``: what custodians' files say, before anything is decided from them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.cli import ownership
from attest.cli.common import chosen_period, config_option, json_option, load, period_option
from attest.cli.output import Output
from attest.errors import OperatorError, SourceError, printable

if TYPE_CHECKING:
    from attest.config import Account, Source
    from attest.custody.document import Document
    from attest.model import StatedBalance

_WIDTH = 80


@click.group("custody")
def group() -> None:
    """Custodians' statements, APIs and databases: try them, ask them, and keep what they say."""


group.add_command(ownership.challenge)
group.add_command(ownership.prove)


@group.command("read", short_help="What statement files say.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", metavar="FORMAT", help="See `attest custody formats`. Default: what --source says."
)
@click.option("--account", metavar="ID", help="Only this account: its IBAN or number, or its id in the configuration.")
@click.option("--zone", metavar="ZONE", help="The bank's time zone, for example Europe/Berlin.")
@click.option("--option", "options", metavar="NAME=VALUE", multiple=True, help="An option of the format; repeatable.")
@config_option
@click.option("--source", metavar="ACCOUNT/SOURCE", help="Read as this configured source does: format, options, zone.")
@json_option
@click.pass_context
def read(
    ctx: click.Context,
    files: tuple[Path, ...],
    format_name: str | None,
    account: str | None,
    zone: str | None,
    options: tuple[str, ...],
    config_path: Path,
    source: str | None,
    as_json: bool,
) -> None:
    """What statement files say: every account's closing balance, a debit as a negative amount.

    Several files are read together, as those of one source are. A balance that gives only a date is that of the date's
    end in the bank's zone (UTC without --zone). --config is read for --source, or for an --account by its id if it is
    given.

    \b
    Examples:
      attest custody read statement.xml --format camt053
      attest custody read statement.xml --format camt053 --json \\
        --account DE89370400440532013000
      attest custody read export.csv --source eur-main/portal
      attest custody read export.csv --format csv --zone Europe/Berlin \\
        --option account_column=IBAN --option amount_column=Saldo \\
        --option date_column=Datum --option date_format=DD.MM.YYYY \\
        --option currency=EUR --option delimiter=';' --option decimal=,

    Exit codes: 0 read, 2 usage or options, 3 the file was refused.
    """
    from attest.custody import formats
    from attest.custody.transports.file import read_file
    from attest.custody.unpack import unpacked

    output: Output = ctx.obj
    if source is not None and account is not None:
        raise click.UsageError("--source names its account already; leave --account out", ctx)
    configured = None
    if source is not None or ctx.get_parameter_source("config_path") is click.core.ParameterSource.COMMANDLINE:
        configured = _configured(config_path, source, account, format_name)
    taken: dict[str, Any] = {}
    if configured is not None:
        settings, one = configured
        from attest.custody.reach import zone_of

        zone = zone or zone_of(settings)
        account = settings.external_account
        if one is not None:
            format_name = format_name or one.format
            taken.update(one.options)
            if one.signature is not None:  # what a signed source's folder has beside its documents
                files = tuple(file for file in files if not file.name.endswith(one.signature.suffix)) or files
    if format_name is None:
        raise click.UsageError("give --format (see `attest custody formats`) or --source", ctx)
    taken.update(_parse_options(options))
    _check_zone(zone)
    formats.check_options(format_name, taken, f"--format {format_name}")
    documents = unpacked([read_file(file) for file in files], formats.find(format_name, "--format"))
    balances = formats.read(format_name, documents, taken, zone=zone, retrieved_at=datetime.now(UTC))
    if account is not None:
        balances = _only(balances, account, documents[0].name)
    if output.json:
        output.result([_as_json(balance) for balance in balances])
    for line in _table(balances, zone or "UTC"):
        output.line(line)


@group.command(
    "fetch",
    short_help="Ask one source now, as a run would.",
    epilog="""\b
Examples:
  attest custody fetch usd-main/bank-api
  attest custody fetch usd-main/bank-api --period 2026-W47 --save answers/""",
)
@click.argument("source", metavar="ACCOUNT/SOURCE")
@period_option
@click.option(
    "--save", metavar="FOLDER", type=click.Path(path_type=Path), help="Write the documents there, as they are."
)
@config_option
@json_option
@click.pass_obj
def fetch(output: Output, source: str, period: str | None, save: Path | None, config_path: Path, as_json: bool) -> None:
    """Ask one configured source now, as a run would, and show every balance that its documents state.

    To try a new source: address, credentials, format and options. Nothing is kept or decided.

    Exit codes: 0 read, 2 configuration, 3 the source failed or its documents were refused.
    """
    from attest.custody import collector
    from attest.custody.reach import Asked, zone_of
    from attest.environment import clock, connect_chains

    loaded = load(config_path)
    found = _configured(config_path, source, None, None, named="ACCOUNT/SOURCE")
    assert found is not None
    settings, one = found
    assert one is not None
    chosen, name = chosen_period(period, loaded), source.partition("/")[0]
    cutoff = loaded.config.schedule.schedule.cutoff(chosen)
    with collector.reach_of(loaded, connect_chains(loaded)) as reach:
        documents = collector.fetch(Asked.of(loaded, name, settings, one, str(chosen), cutoff), one, reach)
    if save is not None:
        _save(save, documents, "" if one.signature is None else one.signature.suffix)
    balances = collector.stated(settings, one, documents, clock(loaded)(), base=loaded.base)
    if output.json:
        output.result([_as_json(balance) for balance in balances])
    for line in _table(balances, zone_of(settings) or "UTC"):
        output.line(line)


def _save(folder: Path, documents: tuple[Document, ...], suffix: str) -> None:
    """Write each document under its number and digest: names of strangers are no names for files here. With a
    ``suffix`` every second one is the signature of the one before it, and is named after it."""
    import shutil

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = ""
    for number, document in enumerate(documents):
        signs = bool(suffix) and number % 2 == 1
        name = name + suffix if signs else f"{number // (2 if suffix else 1) + 1:03}-{document.digest[:16]}"
        target = folder / name
        draft = target.with_name(f".{target.name}.draft")  # of a write that fails nothing is left that looks whole
        with document.open() as data, draft.open("wb") as file:
            draft.chmod(0o600)
            shutil.copyfileobj(data, file)
        draft.replace(target)


@group.command(
    "snapshot",
    short_help="Ask what knows only the present, for the next run.",
    epilog="""\b
Examples:
  attest custody snapshot
  attest custody snapshot --period 2026-W47 --json

\b
As a cron job, ten minutes before a cutoff on Sunday 23:59:59:
  50 23 * * 0  attest custody snapshot""",
)
@period_option
@config_option
@json_option
@click.pass_obj
def snapshot(output: Output, period: str | None, config_path: Path, as_json: bool) -> int:
    """Ask every source that knows only the present (`snapshot = true`) and keep what it says until the run.

    Run it shortly before the cutoff; as often as you like, the run takes the newest snapshot by the cutoff. Exits 3 if
    a source failed: the others are kept. Default period: the one whose cutoff comes next.
    """
    from attest.custody import collector
    from attest.custody.evidence import Evidence
    from attest.environment import clock, connect_chains, evidence_cipher
    from attest.errors import EXIT_DONE, EXIT_SOURCE
    from attest.money import currency
    from attest.money import group as grouped
    from attest.records import to_plain
    from attest.store import open_store

    loaded = load(config_path)
    schedule, now = loaded.config.schedule.schedule, clock(loaded)
    chosen = schedule.latest_due(now()).shifted(1) if period is None else chosen_period(period, loaded)
    private = open_store(loaded.config.stores.private, base=loaded.base, secret=True)
    taken = collector.snapshot(
        loaded,
        period=str(chosen),
        cutoff=schedule.cutoff(chosen),
        now=now,
        evidence=Evidence(private, evidence_cipher(loaded)),
        clients=connect_chains(loaded),
    )
    exit_code = EXIT_SOURCE if taken.failures else EXIT_DONE
    if output.json:
        output.result({"period": str(chosen), **to_plain(taken), "exit_code": exit_code})
        return exit_code
    for one in taken.observations:
        amount = grouped(currency(one.currency).format(one.minor_units))
        output.line(f"kept    {one.account}/{one.source}: {amount} {one.currency}, for {chosen}")
    for failure in taken.failures:
        output.line(f"failed  {failure.account}/{failure.source}: {printable(failure.message)} ({failure.code})")
        output.line(f"        next: {printable(failure.advice)}")
    return exit_code


@group.command("evidence", short_help="Write one kept document to stdout.")
@click.argument("digest", metavar="SHA256")
@config_option
@click.pass_obj
def evidence(output: Output, digest: str, config_path: Path) -> None:
    """Write one kept document to stdout, exactly as it arrived; decrypted if evidence is kept encrypted.

    `attest quorum explain --json` gives the digests of what each source said.

    \b
    Example:
      attest custody evidence 4f2a... > statement.xml
    """
    import shutil

    from attest.custody.evidence import Evidence
    from attest.environment import evidence_cipher
    from attest.store import open_store

    if re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise click.BadParameter("a digest is 64 hex digits in lower case", param_hint="SHA256")
    loaded = load(config_path)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    if all(private.chunks(f"{folder}/{digest}") is None for folder in ("evidence", "sealed-evidence")):
        raise OperatorError(
            f"there is no evidence {digest} in {private.url}",
            code="unknown-evidence",
            reason="Evidence is found by the SHA-256 of its bytes.",
            advice="Take the digest from `attest quorum explain --json`, and see that --config is the right one.",
        )
    with Evidence(private, evidence_cipher(loaded)).load_any(digest, "evidence").open() as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


@group.command(
    "formats",
    short_help="The formats, and their options.",
    epilog="""\b
Examples:
  attest custody formats
  attest custody formats csv
  attest custody formats --json | jq -r '.[].format'""",
)
@click.argument("names", metavar="[FORMAT]...", nargs=-1)
@json_option
@click.pass_obj
def formats_(output: Output, names: tuple[str, ...], as_json: bool) -> None:
    """The formats that are installed (or those named), what each one needs, and its options."""
    from shutil import get_terminal_size
    from textwrap import wrap

    from attest.custody import formats

    known = {name: formats.find(name, "attest custody formats") for name in names or formats.names()}
    if output.json:
        output.result(
            [{"format": name, "title": one.title, "options": dict(one.options)} for name, one in known.items()]
        )
    width = get_terminal_size((_WIDTH, 24)).columns

    def told(head: str, text: str) -> None:
        first = f"{head} "
        room = max(width - len(first), 30)
        lines = wrap(printable(text), room, break_on_hyphens=False) or [""]
        output.line(first + f"\n{' ' * len(first)}".join(lines))

    for name, one in known.items():
        told(f"{name:<16}", one.title)
        if one.fetch is not None:
            kinds = ", ".join(one.connections) or "none"
            told(" " * 16, f"asks by itself; location: {one.location}; connection of kind: {kinds}")
        for option, meaning in one.options.items():
            told(f"    {option:<18}", meaning)


def _configured(
    path: Path, source: str | None, account: str | None, format_name: str | None, *, named: str = "--source"
) -> tuple[Account, Source | None] | None:
    """The configured account and source that ``--source`` (or what it is ``named``) or ``--account`` name, if any."""
    accounts = load(path).config.accounts
    if source is not None:
        name, _, identifier = source.partition("/")
        found = [one for one in (accounts[name].sources if name in accounts else ()) if one.id == identifier]
        if not found:
            among = {name: accounts[name]} if name in accounts else accounts
            known = [f"{name}/{one.id}" for name, each in among.items() for one in each.sources]
            more = f" and {len(known) - 20} more" if len(known) > 20 else ""
            raise OperatorError(
                f"{named} {source}: there is no such source in {path}",
                code="unknown-source",
                reason="A statement is read by exactly the options of its source.",
                advice=f"The sources{f' of {name}' if name in accounts else ''} are: {', '.join(known[:20])}{more}.",
            )
        return accounts[name], found[0]
    if account is None or account not in accounts:
        return None
    of_format = [one for one in accounts[account].sources if one.format == format_name]
    return accounts[account], of_format[0] if len(of_format) == 1 else None


def _parse_options(options: tuple[str, ...]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name in parsed:
            fault = "given twice" if equals else "not NAME=VALUE"
            raise click.BadParameter(f"{option!r} is {fault}", param_hint="--option")
        parsed[name] = value
    return parsed


def _check_zone(zone: str | None) -> None:
    from zoneinfo import ZoneInfo

    try:
        if zone is not None:
            ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise click.BadParameter(f"{zone!r} is not an IANA time zone", param_hint="--zone") from None


def _only(balances: tuple[StatedBalance, ...], account: str, where: str) -> tuple[StatedBalance, ...]:
    from attest.quorum import account_key

    ours = tuple(balance for balance in balances if account_key(balance.account) == account_key(account))
    if not ours:
        raise SourceError(
            f"{where}: no statement of account {account!r}",
            code="account-not-found",
            reason="Another account's balance proves nothing about this one.",
            advice=f"The file states: {', '.join(sorted({balance.account for balance in balances})[:10])}.",
        )
    return ours


def _as_json(balance: StatedBalance) -> Mapping[str, str]:
    from attest.money import currency
    from attest.records import format_instant

    return {
        "account": balance.account,
        "currency": balance.currency,
        "amount": currency(balance.currency).format(balance.minor_units),
        "minor_units": str(balance.minor_units),
        "balance_kind": balance.balance_kind,
        "as_of": format_instant(balance.as_of),
        "statement_id": balance.statement_id,
    }


def _table(balances: tuple[StatedBalance, ...], zone: str) -> list[str]:
    """Plain text of at most 80 columns where the account's name lets it; amounts right-aligned, times in ``zone``."""
    from zoneinfo import ZoneInfo

    from attest.money import currency
    from attest.money import group as grouped

    heads = ("account", "balance", "as of", "statement")
    rows = [
        (
            balance.account,
            f"{grouped(currency(balance.currency).format(balance.minor_units))} {balance.currency}",
            f"{balance.as_of.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M:%S %Z}",
            balance.statement_id,
        )
        for balance in balances
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    shown = 4 if sum(widths) + 6 <= _WIDTH else 3
    lines = []
    for row in (heads, *rows):
        cells = (row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2]), row[3])
        lines.append("  ".join(cells[:shown]).rstrip())
    kinds = sorted({balance.balance_kind for balance in balances})
    return [*lines, "", f"{len(rows)} {', '.join(kinds)} balance{'' if len(rows) == 1 else 's'}"]
