"""``attest devnet``: a network to practise on."""

from __future__ import annotations

import itertools
import signal
import threading
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from attest.cli.common import json_option
from attest.cli.output import Output
from attest.scenarios import BEAT_SECONDS, SITUATIONS, look

_PORT = click.IntRange(0, 65535)


@click.command(
    epilog="""\b
Examples:
  attest devnet                            in the foreground, until Ctrl-C
  attest devnet --directory demo --detach  in the background
  attest run --config demo/attest.toml     then the weekly run
  attest devnet --directory demo --stop    end it; its state is kept
  attest devnet --scenario shortfall --directory short --detach
                                           a situation to watch
  attest devnet --rpc http://[::1]:8545    deploy on a chain that runs already"""
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("devnet"),
    show_default=True,
    help="Where everything is written.",
)
@click.option("--rpc", metavar="URL", help="Deploy at this endpoint instead of starting anvil (development keys).")
@click.option(
    "--scenario",
    type=click.Choice(list(SITUATIONS)),
    help="Play a situation of the operations runbook: with vaults, bridge and price oracles, on the machine's clock.",
)
@click.option("--port", type=_PORT, default=0, help="The chain's port. Default: a free one.")
@click.option("--witness-port", type=_PORT, default=0, help="The witness's port. Default: a free one.")
@click.option("--detach", is_flag=True, help="Leave it running in the background.")
@click.option("--stop", is_flag=True, help="End the one in the background; its state is kept.")
@json_option
@click.pass_obj
def devnet(
    output: Output,
    directory: Path,
    rpc: str | None,
    scenario: str | None,
    port: int,
    witness_port: int,
    detach: bool,
    stop: bool,
    as_json: bool,
) -> int:
    """A chain (anvil, id 138) with the reference contracts, a witness, example keys and statements, and a ready
    attest.toml.

    Everything is for practice: the keys are public, the clock is pinned around the example period's cutoff, and every
    statement made here says so. With --scenario the clock is the machine's, two and a half hours of history are made,
    contracts.json says where everything stands that a monitor watches, and prometheus.yml has Prometheus alert after a
    sixtieth of the time.
    """
    from attest import devnet as network

    if stop and (detach or rpc or scenario):
        raise click.UsageError("--stop takes nothing but --directory")
    if rpc and scenario:
        raise click.UsageError("--scenario needs a chain of its own: its history is made up to now")
    if stop:
        stopped = network.stop_detached(directory)
        _say(output, directory, "stopped" if stopped else "was not running")
        return 0
    if detach:
        arguments = ["--port", str(port), "--witness-port", str(witness_port), *(["--rpc", rpc] if rpc else [])]
        arguments += ["--scenario", scenario] if scenario else []
        network.folder_scenario(directory, scenario)
        started = network.start_detached(directory, arguments)
        _say(output, directory, "started" if started else "is running already")
        return 0
    network.hold(directory)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    running = network.running(directory, port=port, witness_port=witness_port, rpc=rpc, scenario=scenario)
    with running as practice:
        _say(output, directory, "started")
        output.line("Ctrl-C ends it.")
        for number in itertools.count():
            if ended.wait(BEAT_SECONDS):
                break
            practice.beat(number)
    return 0


def _say(output: Output, directory: Path, state: str) -> None:
    from attest.devnet import watched_contracts

    config = directory / "attest.toml"
    runs = state in {"started", "is running already"}
    document: dict[str, Any] = {"directory": str(directory), "state": state, "exit_code": 0}
    contracts = watched_contracts(directory) if runs else None
    if runs:
        urls = {name: directory / f"{name}.url" for name in ("rpc", "witness")}
        document |= {name: path.read_text().strip() for name, path in urls.items() if path.exists()}
    if contracts is not None:
        hints = [{"expect": says, "call": call} for says, call in look(contracts)]
        alerts = sorted(SITUATIONS[contracts.scenario].alerts)
        document |= {"scenario": contracts.scenario, "contracts": str(directory / "contracts.json"), "look": hints}
        document |= {"alerts": alerts, "prometheus": str(directory / "prometheus.yml")}
    if output.json:
        output.result(document)
        return
    output.line(f"The practice network in {directory} {state}.")
    if runs:
        output.line(f"  chain    {document.get('rpc', 'is still starting')}")
        output.line(f"  witness  {document.get('witness', 'is still starting')}")
    if contracts is not None:
        output.line(f"\n{contracts.scenario}: {SITUATIONS[contracts.scenario].title} What to look at:")
        for hint in document["look"]:
            output.line(f"  {hint['expect']}")
            output.line(f"    cast call --rpc-url {document.get('rpc', 'URL')} {hint['call']}")
        output.line(f"Where everything stands: {document['contracts']}")
        _say_watching(output, directory, document["alerts"])
    elif runs:
        output.line(f"Next: attest run --config {config}")


def _say_watching(output: Output, directory: Path, alerts: list[str]) -> None:
    """The commands that show what the watch makes of a scenario."""
    config = directory / "attest.toml"
    output.line("\nWhat the watch says of it:")
    output.line(f"  attest monitor --once --config {config}")
    output.line("    now")
    output.line(f"  attest monitor --config {config}")
    output.line("    until Ctrl-C; a page for people is at http://127.0.0.1:9464")
    output.line(f"  prometheus --config.file={directory}/prometheus.yml --storage.tsdb.path={directory}/prometheus")
    output.line("    beside it, in another terminal: http://127.0.0.1:9090/alerts")
    if alerts:
        output.line("Within two minutes these alerts fire there, and the watchdog:")
        output.line(fill(", ".join(alerts), 80, initial_indent="  ", subsequent_indent="  "))
    else:
        output.line("No alert fires there but the watchdog.")
