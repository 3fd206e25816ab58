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
    from attest.chain.state import TokenStatus
    from attest.config import Loaded
    from attest.period import Period
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
    """What the chain says of every token (consensus, quorum, age, supply, ratio) and the store of the last period.

    Exits 4 when a consensus is lower than the supply, 5 when a quorum is not met, 0 otherwise.
    """
    from attest import records
    from attest.chain import state
    from attest.environment import clock, connect_chains
    from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SHORTFALL
    from attest.money import format_units, group
    from attest.store import open_store

    loaded = load(config_path)
    now = clock(loaded)()
    tokens = state.status(connect_chains(loaded), loaded.config, base=loaded.base)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    periods = _periods(loaded, private, now)
    short = any(token.sufficient is False for token in tokens)
    unmet = any(not token.consensus.quorum_met for token in tokens)
    exit_code = EXIT_SHORTFALL if short else EXIT_CHAIN if unmet else EXIT_DONE
    if output.json:
        output.result({"tokens": [records.to_plain(token) for token in tokens], **periods, "exit_code": exit_code})
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
    for name, value in periods.items():
        output.line(f"{name.replace('_', ' '):<16} {value or '-'}")
    return exit_code


def _state(token: TokenStatus) -> str:
    if not token.consensus.quorum_met:
        return "no quorum"
    return "sufficient" if token.sufficient else "short"


def _age(seconds: int) -> str:
    hours, rest = divmod(max(seconds, 0), 3600)
    return f"{hours} h {rest // 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _periods(loaded: Loaded, private: Store, now: datetime) -> dict[str, Any]:
    from attest.records import format_instant

    schedule = loaded.config.schedule.schedule
    due = schedule.latest_due(now)
    last = next((week for back in range(53) if _published(private, week := due.shifted(-back))), None)
    return {
        "last_period": None if last is None else str(last),
        "due_period": None if last == due else str(due),
        "next_cutoff": format_instant(schedule.cutoff(due.shifted(1))),
    }


def _published(private: Store, period: Period) -> bool:
    from attest.runs import RunArea

    return RunArea.current(private, period).bytes_of("publication") is not None
