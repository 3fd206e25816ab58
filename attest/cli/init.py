"""``attest init``: a first configuration and keys of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import click

from attest.cli.common import json_option
from attest.cli.output import Output

#: Kept in step with :data:`attest.scaffold.NETWORKS` by a test; named here so that ``--help`` stays light.
NETWORKS = ("besu-138", "ethereum", "sepolia")


def _check_origin(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[^\s+]+", value) or not value.isprintable():
        raise click.BadParameter("a log's name has no space and no plus, for example issuer.example/reserves")
    return value


def _named(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not 1 <= len(value) <= 200:
        raise click.BadParameter("takes 1 to 200 characters")
    return value


@click.command(
    epilog="""\b
Examples:
  attest init --network besu-138 --issuer "Example Issuer Ltd" \\
    --contact reserves@issuer.example
  attest init --network ethereum --directory prod --reporters 1"""
)
@click.option("--network", type=click.Choice(NETWORKS), required=True, help="The kind of chain.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Default: here.")
@click.option("--issuer", default="Your company's name", show_default=True, callback=_named)
@click.option("--contact", default="reserves@issuer.example", show_default=True, callback=_named)
@click.option(
    "--log-origin",
    default="issuer.example/reserves",
    show_default=True,
    callback=_check_origin,
    help="The log's public name; it stays the same for ever.",
)
@click.option("--reporters", type=click.IntRange(1, 16), default=3, show_default=True, help="Reporter keys to make.")
@json_option
@click.pass_obj
def init(
    output: Output,
    network: str,
    directory: Path,
    issuer: str,
    contact: str,
    log_origin: str,
    reporters: int,
    as_json: bool,
) -> int:
    """Scaffold a commented attest.toml and encrypted keys; nothing is overwritten.

    Then put in the addresses of your contracts, your accounts and their sources; `attest doctor` says what is missing.
    """
    from attest import scaffold

    target = directory / "attest.toml"
    scaffold.refuse_existing(target)
    if not output.json:
        click.echo(f"Making {reporters + 3} keys; each takes a second or two, on purpose.", err=True)
    keys = scaffold.generate_keys(
        directory / "keys", relative="keys", log_origin=log_origin, reporters=reporters, scrypt_n=None
    )
    text = scaffold.config_text(
        scaffold.Scaffold(
            issuer=issuer,
            contact=contact,
            network=scaffold.NETWORKS[network],
            oracle=scaffold.PLACEHOLDER,
            registry=scaffold.PLACEHOLDER,
            tokens={"USDW": ("USD", scaffold.PLACEHOLDER, 6)},
            keys=keys,
            log_origin=log_origin,
            accounts=scaffold.EXAMPLE_ACCOUNTS,
        )
    )
    scaffold.write_new(target, text)
    addresses = {
        "reporters": list(keys.reporters),
        "publisher": keys.publisher,
        "attestor": keys.attestor,
        "log": keys.log_vkey,
    }
    if output.json:
        output.result({"config": str(target), "keys": addresses, "exit_code": 0})
        return 0
    output.line(f"{target} and {directory / 'keys'} are written.")
    output.line(f"The keys' password is in {directory / 'keys/password.txt'}: move it to where your secrets are, and")
    output.line("change the references in attest.toml.\n")
    for job, addressed in addresses.items():
        for each in [addressed] if isinstance(addressed, str) else addressed:
            output.line(f"{job:<10} {each}")
    output.line("\nNow put your contracts, tokens and accounts into attest.toml. The oracle's admin grants")
    output.line("REPORTER_ROLE to the reporters, the registry's admin PUBLISHER_ROLE to the publisher.")
    output.line(f"Next: attest doctor --config {target}")
    return 0
