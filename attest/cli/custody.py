"""``attest custody``: what custodians' files say, before anything is decided from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import config_option, json_option, load
from attest.cli.output import Output
from attest.errors import OperatorError, SourceError

if TYPE_CHECKING:
    from attest.config import Account, Source
    from attest.model import StatedBalance

_WIDTH = 80


@click.group("custody")
def group() -> None:
    """Read custodians' files."""


@group.command("read")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "format_name", metavar="FORMAT", help="camt053 or csv. Default: what --source says.")
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
    """What one statement file says: every account's closing balance, a debit as a negative amount.

    A balance that gives only a date is that of the date's end in the bank's zone (UTC without --zone). --config is read
    for --source, or for an --account by its id if it is given.

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
    if format_name is None:
        raise click.UsageError("give --format (camt053, csv) or --source", ctx)
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


def _configured(
    path: Path, source: str | None, account: str | None, format_name: str | None
) -> tuple[Account, Source | None] | None:
    """The configured account and source that ``--source`` or ``--account`` name, if they name any."""
    accounts = load(path).config.accounts
    if source is not None:
        name, _, identifier = source.partition("/")
        found = [one for one in (accounts[name].sources if name in accounts else ()) if one.id == identifier]
        if not found:
            known = ", ".join(f"{name}/{one.id}" for name, each in accounts.items() for one in each.sources)
            raise OperatorError(
                f"--source {source}: there is no such source in {path}",
                code="unknown-source",
                reason="A statement is read by exactly the options of its source.",
                advice=f"The sources are: {known}.",
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
