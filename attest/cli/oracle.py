"""``attest oracle``: look after the reserve oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import config_option, json_option
from attest.cli.output import Output
from attest.errors import EXIT_CHAIN, EXIT_DONE, printable

if TYPE_CHECKING:
    from attest.config import Loaded
    from attest.oracle import Proposal, Removal


@click.group("oracle")
def group() -> None:
    """Look after the reserve oracle between runs."""


@group.command(
    "remove-stale",
    epilog="""\b
Examples:
  attest oracle remove-stale --dry-run
  attest oracle remove-stale USDW EURW
  attest oracle remove-stale --from 0xeBA4E7d24cF64262961e9B829DA299479A748e26""",
)
@click.argument("tokens", nargs=-1, metavar="[TOKEN]...")
@click.option("--from", "sender", metavar="ADDRESS", help="The configured key that sends. Default: the first reporter.")
@click.option("--dry-run", is_flag=True, help="Only simulate; nothing is signed, stored or sent.")
@config_option
@json_option
@click.pass_obj
def remove_stale(
    output: Output, tokens: tuple[str, ...], sender: str | None, dry_run: bool, config_path: Path, as_json: bool
) -> int:
    """Remove the reports that are too old to count (removeStaleReports).

    Nothing that counts is taken away: the oracle ignores them already. Simulated first, shown, and sent once; where
    nothing is stale, nothing is sent.
    """
    from attest import config
    from attest.environment import ConfiguredKeys, connect_chains
    from attest.oracle import Upkeep, find_stale
    from attest.store import open_store

    loaded = config.load(config_path)
    address = _sender(loaded, sender)
    chain = loaded.config.oracle.chain
    upkeep = Upkeep(
        loaded,
        connect_chains(loaded)[chain],
        open_store(loaded.config.stores.private, base=loaded.base, secret=True),
        ConfiguredKeys(loaded).transactions,
    )
    removals = find_stale(upkeep, tokens)
    stale = [removal for removal in removals if removal.stale]
    calls = [(each.intent(upkeep.oracle, address), f"removeStaleReports({each.address})") for each in stale]
    proposals = upkeep.propose(calls) if calls else []
    for proposal in proposals:
        show(output, proposal)
    refused = any(proposal.simulation.outcome == "would-revert" for proposal in proposals)
    sent: dict[str, str] = {}
    if calls and not dry_run:
        receipts = upkeep.send([intent for intent, _ in calls])
        sent = {removal.token: f"0x{receipt.transaction}" for removal, receipt in zip(stale, receipts, strict=True)}
    exit_code = EXIT_CHAIN if refused else EXIT_DONE
    if output.json:
        plain = [_as_json(removal, sent.get(removal.token)) for removal in removals]
        output.result({"tokens": plain, "plan": list(map(as_plain, proposals)), "exit_code": exit_code})
        return exit_code
    for removal in removals:
        output.line(f"{removal.token:<8} {_said(removal, sent.get(removal.token))}")
    return exit_code


def _sender(loaded: Loaded, wanted: str | None) -> str:
    from attest.errors import OperatorError

    signing = loaded.config.signing
    known = [signer.address for signer in (*signing.reporters, signing.publisher)]
    found = known[0] if wanted is None else next((each for each in known if each.lower() == wanted.lower()), None)
    if found is None:
        raise OperatorError(
            f"--from {wanted}: no key that sends transactions has this address",
            code="no-such-key",
            reason="Only configured keys are opened.",
            advice=f"Name one of {', '.join(known)}.",
        )
    return found


def _said(removal: Removal, transaction: str | None) -> str:
    if not removal.stale:
        return "none is stale"
    oldest = datetime.fromtimestamp(min(report.timestamp for report in removal.stale), UTC)
    found = f"{len(removal.stale)} stale, the oldest of {oldest:%Y-%m-%d %H:%M:%S} UTC"
    return f"{found}: " + (f"removed in {transaction}" if transaction else "nothing was sent")


def _as_json(removal: Removal, transaction: str | None) -> dict[str, Any]:
    return {
        "token": removal.token,
        "stale": [{"reporter": reporter, "timestamp": timestamp} for reporter, timestamp in removal.stale],
        "transaction": transaction,
    }


def show(output: Output, proposal: Proposal) -> None:
    """A transaction before it is sent: to, function, arguments, gas, cost, and what the simulation says."""
    simulation = proposal.simulation
    output.line(f"{printable(simulation.intent.description)}")
    output.line(f"  from   {simulation.intent.sender}")
    output.line(f"  to     {simulation.intent.to}")
    output.line(f"  call   {printable(proposal.call)}")
    if simulation.outcome == "would-land":
        cost = "its price is not known" if proposal.cost is None else f"some {proposal.cost} wei"
        output.line(f"  gas    {simulation.gas}, {'free' if proposal.cost == 0 else cost}")
    output.line(f"  {simulation.outcome}: {printable(simulation.detail)}\n")


def as_plain(proposal: Proposal) -> dict[str, Any]:
    """The same for ``--json``."""
    simulation = proposal.simulation
    return {
        "sends": simulation.intent.description,
        "from": simulation.intent.sender,
        "to": simulation.intent.to,
        "call": proposal.call,
        "gas": simulation.gas,
        "cost_wei": None if proposal.cost is None else str(proposal.cost),
        "outcome": simulation.outcome,
        "detail": simulation.detail,
    }
