"""``attest custody challenge`` and ``prove``: that an address is the issuer's, by its key's signature."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option
from attest.cli.output import Output
from attest.errors import OperatorError

if TYPE_CHECKING:
    from attest.config import Loaded
    from attest.store import Store

#: More than any wallet writes around 130 hex digits.
_MAX_BYTES = 4096


@click.command(
    short_help="The message that an address's key is to sign.",
    epilog="""\b
Example, signing with Foundry:
  attest custody challenge usd-onchain --period 2026-W47 > challenge.json
  cast wallet sign --data --from-file challenge.json --ledger
or with any wallet by eth_signTypedData_v4. Then:
  attest custody prove usd-onchain --period 2026-W47 --signature 0x...""",
)
@click.argument("account")
@config_option
@period_option
@json_option
@click.pass_obj
def challenge(output: Output, account: str, config_path: Path, period: str | None, as_json: bool) -> None:
    """Print the message (EIP-712) by which the key of ACCOUNT's address proves, for one period, that the address is
    the issuer's.

    The first call makes the message's nonce and keeps it; later ones print the same message. An account with
    ownership = "key-proven" is attested only with this signature.
    """
    import secrets

    from attest.custody import ownership
    from attest.environment import clock

    loaded = load(config_path)
    week = str(chosen_period(period, loaded))
    claim = ownership.challenge(
        _private(loaded), loaded.config, account, week, now=clock(loaded)(), token_bytes=secrets.token_bytes
    )
    if output.json:
        output.result(
            {
                "account": account,
                "period": week,
                "holder": claim.holder,
                "digest": claim.digest().hex(),
                "typed_data": claim.typed_data(),
                "exit_code": 0,
            }
        )
        return
    output.line(json.dumps(claim.typed_data(), indent=2))
    click.echo(
        f"To be signed by {claim.holder} (eth_signTypedData_v4; cast wallet sign --data). Then:\n"
        f"  attest custody prove {account} --period {week} --signature 0x...",
        err=True,
    )


@click.command(
    short_help="Record that signature, if it holds.",
    epilog="""\b
Examples:
  attest custody prove usd-onchain --period 2026-W47 --signature 0x1b2c...
  attest custody prove usd-onchain --period 2026-W47 --signature signature.txt""",
)
@click.argument("account")
@config_option
@period_option
@click.option("--signature", metavar="0x...|FILE", required=True, help="The signature, a file that holds it, or -.")
@json_option
@click.pass_obj
def prove(output: Output, account: str, config_path: Path, period: str | None, signature: str, as_json: bool) -> None:
    """Record the signature over what `attest custody challenge` printed, if the key of ACCOUNT's address made it.

    Exit codes: 0 recorded (or proven before), 2 usage or no challenge, 6 not this key's signature over this message.
    """
    from attest.custody import ownership

    loaded = load(config_path)
    week = str(chosen_period(period, loaded))
    proof = ownership.prove(_private(loaded), loaded.config, account, week, _signature(signature))
    if output.json:
        output.result({"account": account, "period": week, "holder": proof.holder, "exit_code": 0})
        return
    output.line(f"Recorded: the key of {proof.holder} signed for {proof.entity} in {week}.")
    if loaded.config.accounts[account].ownership != "key-proven":
        output.line(f'It counts once accounts.{account} has ownership = "key-proven".')


def _private(loaded: Loaded) -> Store:
    from attest.store import open_store

    return open_store(loaded.config.stores.private, base=loaded.base, secret=True)


def _signature(given: str) -> str:
    """The signature itself: as given, from a file, or from stdin."""
    if given.startswith("0x"):
        return given
    try:
        if given == "-":
            data = sys.stdin.read(_MAX_BYTES)
        else:
            with Path(given).open("rb") as file:
                data = file.read(_MAX_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as fault:
        detail = getattr(fault, "strerror", None) or "it is not text"
        raise OperatorError(
            f"--signature {given}: cannot be read ({detail})",
            code="file-unreadable",
            reason="Without the signature nothing is proven.",
            advice="Give the signature itself (0x...), or a file that holds it and nothing else.",
        ) from None
    return data.strip()
