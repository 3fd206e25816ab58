"""Whether the chains would take a run: what ``attest doctor`` says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attest.chain import contracts
from attest.chain.batch import Batch
from attest.chain.contracts import Call, ReserveOracle
from attest.chain.rpc import ChainClient, balance_request
from attest.chain.runway import FEWEST_RUNS, Sender, gas_price, senders
from attest.chain.state import ask_supply, deployments_by_chain
from attest.chain.values import quantity
from attest.errors import ChainError
from attest.model import Block

if TYPE_CHECKING:
    from attest.config import Config, Deployment

WEEK_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class Finding:
    """One line of ``attest doctor``: ``error`` would stop a run, ``warning`` would not."""

    state: Literal["ok", "warning", "error"]
    subject: str
    detail: str
    advice: str = ""


def preflight(clients: Mapping[str, ChainClient], config: Config, *, base: Path, now: datetime) -> tuple[Finding, ...]:
    """Whether the chains would take a run: endpoints, heads, code, decimals, roles, gas, and the oracle's settings.

    Everything that is wrong is a finding; raises only :class:`OperatorError` for a configuration that cannot be used.
    Three requests per chain, two where no key sends.
    """
    findings: list[Finding] = []
    for chain in config.chains:
        try:
            findings += _preflight_chain(clients[chain], chain, config, base, now)
        except ChainError as fault:
            findings.append(Finding("error", f"chain {chain}", fault.message, fault.advice))
    return tuple(findings)


def _preflight_chain(client: ChainClient, chain: str, config: Config, base: Path, now: datetime) -> list[Finding]:
    settings = config.chains[chain]
    block, (answered,) = client.finalized_head_and(settings.finality, [("eth_gasPrice", [])])
    findings = [_head_finding(client, block, now)]
    findings += [
        Finding("warning", f"endpoint {endpoint}", failure, "Check that it runs; the other endpoints answer.")
        for endpoint, failure in client.failures.items()
    ]
    price, sending = gas_price(settings.fees, answered), senders(client, chain, block, config, base)
    batch = Batch(client, block)
    checks: list[Callable[[], Finding]] = []
    for symbol, deployment in deployments_by_chain(config).get(chain, []):
        checks.append(_check_token(batch, symbol, deployment))
    if chain == config.oracle.chain:
        oracle = contracts.reserve_oracle(config.oracle, base)
        checks.append(_check_code(batch, oracle.address, "reserve oracle", "oracle.address"))
        checks += _check_oracle(batch, oracle)
        for reporter in config.signing.reporters:
            role = oracle.has_role("REPORTER_ROLE", reporter.address) if oracle.has_roles else None
            checks.append(_check_role(batch, role, f"reporter {reporter.address}", "REPORTER_ROLE"))
    if chain == config.registry.chain:
        registry = contracts.attestation_registry(config.registry, base)
        publisher = config.signing.publisher.address
        checks.append(_check_code(batch, registry.address, "attestation registry", "registry.address"))
        role = registry.has_role("PUBLISHER_ROLE", publisher) if registry.has_roles else None
        checks.append(_check_role(batch, role, f"publisher {publisher}", "PUBLISHER_ROLE"))
    checks += [_check_gas(batch, chain, key, price) for key in sending]
    batch.run()
    for check in checks:
        try:
            findings.append(check())
        except ChainError as fault:
            findings.append(Finding("error", f"chain {chain}", fault.message, fault.advice))
    return findings


def _head_finding(client: ChainClient, block: Block, now: datetime) -> Finding:
    subject, age = f"chain {client.name}", int(now.timestamp()) - block.timestamp
    detail = f"chain id {client.chain_id}, block {block.number}, {age} s old"
    if age > 600:
        return Finding(
            "warning", subject, detail, "If blocks should come more often, the chain or endpoint has stopped."
        )
    if age < -60:
        return Finding("warning", subject, detail, "This machine's clock is behind the chain's: correct it.")
    return Finding("ok", subject, detail)


def _check_code(batch: Batch, address: str, what: str, key: str) -> Callable[[], Finding]:
    code = batch.code(address, f"the {what} ({key})")
    return lambda: Finding("ok", what, f"{address} has code ({len(code())} bytes)")


def _check_token(batch: Batch, symbol: str, deployment: Deployment) -> Callable[[], Finding]:
    supply = ask_supply(batch, symbol, deployment)

    def check() -> Finding:
        read, proof = supply()
        proven = "with" if proof is not None else "without"
        return Finding("ok", f"token {symbol}", f"{deployment.address}: supply {read.units} units, {proven} proof")

    return check


def _check_role(batch: Batch, call: Call | None, who: str, role: str) -> Callable[[], Finding]:
    if call is None:
        advice = "Ask its admin, and simulate with `attest run --dry-run`."
        return lambda: Finding("warning", who, "its role cannot be checked: the contract has no hasRole", advice)
    held = batch.call(call)

    def check() -> Finding:
        if held():
            return Finding("ok", who, f"holds {role}")
        return Finding("error", who, f"does not hold {role}", f"The contract's admin grants it: grantRole({role}, …).")

    return check


def _check_gas(batch: Batch, chain: str, key: Sender, price: int | None) -> Callable[[], Finding]:
    index = batch.add(balance_request(key.address, batch.block))

    def check() -> Finding:
        who = f"{key.job} {key.address}"
        runway = key.runway(chain, quantity(batch.answer(index), f"the balance of {who}"), price)
        if runway.runs_left is None or runway.runs_left >= FEWEST_RUNS:
            return Finding("ok", who, str(runway))
        return Finding("warning" if runway.runs_left else "error", who, str(runway), f"Send gas to {key.address}.")

    return check


def _check_oracle(batch: Batch, oracle: ReserveOracle) -> list[Callable[[], Finding]]:
    quorum = batch.call(oracle.required_quorum())
    reporters = batch.call(oracle.reporters()) if oracle.lists_reporters else None

    def check_quorum() -> Finding:
        detail = f"quorum {quorum()}"
        if reporters is None:
            return Finding("ok", "reserve oracle", detail)
        detail += f" of {len(reporters())} reporters"
        if len(reporters()) >= quorum():
            return Finding("ok", "reserve oracle", detail)
        return Finding(
            "error", "reserve oracle", detail, "Its admin grants REPORTER_ROLE to more, or lowers the quorum."
        )

    if not oracle.states_ages:
        return [check_quorum]
    submission, validity = batch.call(oracle.max_report_age()), batch.call(oracle.consensus_validity())

    def check_ages() -> Finding:
        detail = f"reports are accepted up to {submission()} s old and count for {validity()} s"
        if validity() >= WEEK_SECONDS:
            return Finding("ok", "reserve oracle", detail)
        return Finding(
            "warning",
            "reserve oracle",
            f"{detail}: the quorum lapses before the next weekly run",
            f"Schedule `attest report` at least every {max(1, validity() // 7200)} h, or raise consensusValidity.",
        )

    return [check_quorum, check_ages]
