"""``attest status``: what the chain and the store say now."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import config_option, json_option, load
from attest.cli.output import Output
from attest.cli.text import table

if TYPE_CHECKING:
    from attest.chain.runway import Runway
    from attest.chain.state import TokenStatus
    from attest.config import Loaded
    from attest.store import Store


@click.command(
    epilog="""\b
Examples:
  attest status
  attest status --json | jq '.tokens[] | select(.sufficient != true)'"""
)
@config_option
@json_option
@click.pass_obj
def status(output: Output, config_path: Path, as_json: bool) -> int:
    """What the chain says of every token (consensus, quorum, age, supply, ratio), what the store says of the last
    period and of those that were missed, and for how many weekly runs each sending key can pay.

    Exits 4 when a consensus is lower than the supply, 5 when a quorum is not met, 0 otherwise.
    """
    from attest import records
    from attest.chain import runway, state
    from attest.environment import clock, connect_chains
    from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SHORTFALL
    from attest.money import format_units, group
    from attest.store import open_store

    loaded = load(config_path)
    now = clock(loaded)()
    clients = connect_chains(loaded)
    tokens = state.status(clients, loaded.config, base=loaded.base)
    keys = runway.runways(clients, loaded.config, base=loaded.base)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    periods = _periods(loaded, private, now)
    short = any(token.sufficient is False for token in tokens)
    unmet = any(not token.consensus.quorum_met for token in tokens)
    exit_code = EXIT_SHORTFALL if short else EXIT_CHAIN if unmet else EXIT_DONE
    if output.json:
        plain = {"tokens": [records.to_plain(token) for token in tokens], "keys": list(map(_key_as_json, keys))}
        output.result({**plain, **periods, "exit_code": exit_code})
        return exit_code
    rows = []
    for token in tokens:
        ages = [report.age_seconds for report in token.reports if report.standing]
        rows.append(
            (
                token.token,
                _state(token),
                group(format_units(token.consensus.units, token.decimals)) if token.consensus.quorum_met else "-",
                group(format_units(token.supply_units, token.decimals)),
                f"{token.ratio_percent} %" if token.ratio_percent else "-",
                f"{len(ages)} ({token.consensus.required_quorum} needed)",
                _age(max(ages)) if ages else "-",
            )
        )
    headers = ("Token", "State", "Consensus", "Supply", "Ratio", "Reports", "Oldest")
    output.line(table(headers, rows, right=(2, 3, 4, 6)))
    output.line()
    revision = f" (revision {periods['last_revision']})" if periods["last_revision"] else ""
    output.line(f"last period      {periods['last_period'] or '-'}{revision}")
    output.line(f"due period       {periods['due_period'] or '-'}")
    output.line(f"next cutoff      {periods['next_cutoff']}")
    for week in periods["waiting"]:
        why = "missed" if week["why"] == "missed" else f"revision {week['revision']} is under way"
        output.line(f"{week['period']:<16} {why}: {week['command']}")
    output.line()
    output.line(table(("Key", "Balance (wei)", "Runs left"), [_key_row(key) for key in keys], right=(1, 2)))
    for key in keys:
        if key.runs_left is not None and key.runs_left < runway.FEWEST_RUNS:
            output.line(f"Send gas to {key.address}.")
    return exit_code


def _key_row(key: Runway) -> tuple[str, ...]:
    unpriced = "gas is free" if key.free else "no gas price"
    left = unpriced if key.runs_left is None else str(key.runs_left)
    return f"{key.job} {key.address[:8]}…{key.address[-6:]}", str(key.balance), left


def _key_as_json(key: Runway) -> dict[str, Any]:
    return {
        "chain": key.chain,
        "job": key.job,
        "address": key.address,
        "balance_wei": str(key.balance),
        "run_cost_wei": None if key.run_cost is None else str(key.run_cost),
        "runs_left": key.runs_left,
    }


def _state(token: TokenStatus) -> str:
    if not token.consensus.quorum_met:
        return "no quorum"
    return "sufficient" if token.sufficient else "short"


def _age(seconds: int) -> str:
    hours, rest = divmod(max(seconds, 0), 3600)
    return f"{hours} h {rest // 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _periods(loaded: Loaded, private: Store, now: datetime) -> dict[str, Any]:
    from attest.records import format_instant
    from attest.steps.orders import standing

    schedule = loaded.config.schedule.schedule
    due, found = schedule.latest_due(now), standing(private, loaded.config, now)
    last, revision = found.newest or (None, 0)
    return {
        "last_period": None if last is None else str(last),
        "last_revision": revision,
        "due_period": None if last == due else str(due),
        "next_cutoff": format_instant(schedule.cutoff(due.shifted(1))),
        "waiting": [
            {"period": str(each.period), "revision": each.revision, "why": each.why, "command": each.command}
            for each in found.waiting
        ],
    }
