"""What a revision takes from the attestation that it replaces: the statement that it names, cutoff and supply."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attest import records, statement
from attest.artifacts import Opened
from attest.chain import state
from attest.chain.state import SupplyReading
from attest.config import Config
from attest.errors import ChainError, ConflictError
from attest.model import Supply
from attest.publish import bundle
from attest.runs import RunArea, order_key
from attest.signing.dsse import parse_envelope
from attest.steps.context import Environment, Run

#: What the chain answers where a node has pruned the state at the cutoff.
_PRUNED = ("state-unavailable", "empty-answer", "no-code")


def published_statement(environment: Environment, area: RunArea) -> bytes:
    """The payload that stands in the public store for a published attempt. Raises :class:`ConflictError` if it is not
    the one of the private store."""
    key = f"{bundle.folder(str(area.period), area.revision)}/{bundle.ENVELOPE}"
    envelope = environment.public.get(key)
    if envelope is None or envelope != area.bytes_of("envelope"):
        raise ConflictError(
            f"{environment.public.url}: {key} is not the envelope that was signed",
            code="published-differs",
            reason="What was published once is never changed, and a revision names the statement that it replaces.",
            advice="Find out who has write access to the stores; keep both contents as evidence.",
        )
    return parse_envelope(envelope, key).body


def replaced(run: Run) -> Opened | None:
    """How the attestation that this revision replaces was opened; None for a first run.

    Raises :class:`ConflictError` if the order names another statement than the published one, or what was opened is not
    what that one says.
    """
    area = run.area
    if area.order is None:
        return None
    before = RunArea.of(area.store, area.period, area.revision - 1)
    payload = published_statement(run.environment, before)
    if records.digest(payload) != area.order.statement:
        raise ConflictError(
            f"{area.store.url}: {order_key(area.period, area.revision)} names another statement than the published one",
            code="tampered",
            reason="A revision supersedes exactly one statement: the newest that was published before it.",
            advice="Keep the store as it is and find out who changed it.",
        )
    opened, stated = Run(run.environment, before).take("open", Opened), statement.read(payload).predicate
    read = {(d.chain_id, d.address.lower(), d.units) for d in opened.supply.supply.deployments}
    said = {(d.chain_id, d.address.lower(), d.supply_units) for token in stated.tokens for d in token.deployments}
    blocks = {chain.supply for chain in stated.chains}
    if (opened.cutoff, opened.supply_at, set(opened.supply.supply.blocks), read) != (
        stated.cutoff,
        stated.supply_at,
        blocks,
        said,
    ):
        raise before.conflict("open", "has another cutoff or supply than the statement that was published")
    return opened


def keeps_supply(before: Opened, config: Config) -> bool:
    """Whether a revision takes the reading of the attestation before it, proofs and all: it is a fact, and nodes
    forget. Not if the configuration names other deployments now."""
    return _deployments(before.supply.supply) == _configured(config)


def supply(run: Run, before: Opened | None, cutoff: datetime) -> tuple[Literal["cutoff", "run"], SupplyReading]:
    """Where the supply is read, and the reading: kept, or asked for. A statement without reserves is made even if the
    state at the cutoff is pruned: then with the supply at the run. Raises :class:`ChainError` if it cannot be read."""
    if before is not None and keeps_supply(before, run.config):
        return before.supply_at, before.supply
    environment, configured = run.environment, run.config.schedule.supply_at

    def read(supply_at: Literal["cutoff", "run"]) -> tuple[Literal["cutoff", "run"], SupplyReading]:
        reading = state.read_supply(
            environment.clients, run.config, cutoff=cutoff, supply_at=supply_at, base=environment.loaded.base
        )
        return supply_at, reading

    try:
        return read(configured)
    except ChainError as fault:
        if run.area.blank is None or configured == "run" or fault.code not in _PRUNED:
            raise
    return read("run")


def _deployments(of: Supply) -> set[tuple[str, int, str, int]]:
    return {(each.token, each.chain_id, each.address.lower(), each.decimals) for each in of.deployments}


def _configured(config: Config) -> set[tuple[str, int, str, int]]:
    ids = {name: chain.chain_id for name, chain in config.chains.items()}
    return {
        (symbol, ids[each.chain], each.address.lower(), each.decimals)
        for symbol, token in config.tokens.items()
        for each in token.deployments
    }
