"""What a run reads from its chains: the supply with its proofs, the oracle's consensus, the registry's entry.

Each reading of a chain is two steps, however many tokens there are: find the block, then read everything at its hash in
one batch. What cannot be read, or contradicts itself, refuses: an empty answer, an address without code, other decimals
than configured, a header that does not hash to its hash, a proof that shows another number than the contract says.

EIP-1186 proofs are taken along for the auditor. They are checked here as far as the node could have erred (the header,
the code, the values); that the trie nodes connect is the verifier's check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from attest.chain import contracts, header
from attest.chain.artifact import artifact
from attest.chain.contracts import Call, ReserveOracle
from attest.chain.rpc import (
    ChainClient,
    Request,
    RpcError,
    balance_request,
    code_request,
    header_request,
    proof_request,
)
from attest.chain.values import data, malformed, quantity
from attest.documents import AccountProof, Anchor, BlockProof, StorageProof
from attest.errors import ChainError, ConflictError
from attest.model import Block, DeploymentSupply, Supply, TokenConsensus
from attest.money import ratio_percent
from attest.records import Amount

if TYPE_CHECKING:
    from attest.config import Config, Deployment

#: Gas that a report or a publication is assumed to need when a balance is judged.
TRANSACTION_GAS = 250_000
WEEK_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class SupplyReading:
    """The supply of all tokens at each chain's supply block, with header and proofs per chain. ``max_report_age``: how
    long after its timestamp the oracle takes a report, in seconds; None if it does not say."""

    supply: Supply
    proofs: tuple[BlockProof, ...]
    max_report_age: int | None = None


@dataclass(frozen=True)
class ConfirmationReading:
    """The supply of all tokens and the oracle's consensus, each chain at its confirm block, with header and proofs per
    chain."""

    supply: Supply
    consensus: tuple[TokenConsensus, ...]
    proofs: tuple[BlockProof, ...]


# -- supply ----------------------------------------------------------------------------------------------------------


def read_supply(
    clients: Mapping[str, ChainClient],
    config: Config,
    *,
    cutoff: datetime,
    supply_at: Literal["cutoff", "run"],
    base: Path,
) -> SupplyReading:
    """``totalSupply()`` of every deployment: at the last block at or before ``cutoff`` whose successor is final, or at
    each chain's final head (``run``). ``base`` is what ABI files are relative to.

    Raises :class:`ChainError`: ``cutoff-not-reached``, ``no-code``, ``decimals-differ``, ``state-unavailable`` and
    ``empty-answer`` where the node has pruned the block, ``proof-differs``, ``malformed-answer``, and what
    :meth:`ChainClient.batch` raises.
    """
    readings = []
    oracle = contracts.reserve_oracle(config.oracle, base)
    max_report_age = None
    for chain, deployments in _by_chain(config).items():
        client, finality = clients[chain], config.chains[chain].finality
        if supply_at == "cutoff":
            block = client.block_at(int(cutoff.timestamp()), finality)
        else:
            block = client.finalized_head(finality)
        batch = _Batch(client, block)
        supplies = [_supply(batch, symbol, deployment) for symbol, deployment in deployments]
        with_age = chain == config.oracle.chain and oracle.states_ages
        age = batch.add(oracle.max_report_age().request(block)) if with_age else None
        batch.run()
        readings.append(_read_chain(batch, supplies))
        if age is not None:
            # An oracle that was not there yet at the supply block does not say; the contract itself is the last guard.
            said = contracts.outcome(oracle.max_report_age(), batch.answer(age))
            max_report_age = None if isinstance(said, ChainError) else int(said)
    return SupplyReading(_joined(readings), tuple(reading.proof for reading in readings), max_report_age)


@dataclass(frozen=True)
class _ChainReading:
    """One chain's share of a reading."""

    block: Block
    supplies: tuple[DeploymentSupply, ...]
    proof: BlockProof


def _read_chain(batch: _Batch, supplies: Sequence[_SupplyRead], others: Sequence[AccountProof] = ()) -> _ChainReading:
    read = [supply() for supply in supplies]
    proofs = [proof for _, proof in read if proof is not None]
    return _ChainReading(batch.block, tuple(supply for supply, _ in read), batch.block_proof([*proofs, *others]))


def _joined(readings: Sequence[_ChainReading]) -> Supply:
    return Supply(
        tuple(reading.block for reading in readings),
        tuple(supply for reading in readings for supply in reading.supplies),
    )


def _by_chain(config: Config) -> dict[str, list[tuple[str, Deployment]]]:
    """(token, deployment) pairs by chain, in the configuration's order of chains."""
    found: dict[str, list[tuple[str, Deployment]]] = {name: [] for name in config.chains}
    for symbol, token in config.tokens.items():
        for deployment in token.deployments:
            found[deployment.chain].append((symbol, deployment))
    return {name: deployments for name, deployments in found.items() if deployments}


_SupplyRead: TypeAlias = Callable[[], tuple[DeploymentSupply, AccountProof | None]]


def _supply(batch: _Batch, symbol: str, deployment: Deployment) -> _SupplyRead:
    """Ask for one deployment's supply. A token of another make whose total supply is not in the reference's slot is
    read without a proof."""
    token = contracts.token(deployment.address, symbol)
    code = batch.code(deployment.address, f"token {symbol}")
    decimals, units = batch.call(token.decimals()), batch.call(token.total_supply())
    proof = batch.account(deployment.address, [token.supply_slot()], f"token {symbol}")

    def read() -> tuple[DeploymentSupply, AccountProof | None]:
        reference = code() == artifact("WToken").deployed_bytecode
        if decimals() != deployment.decimals:
            raise ChainError(
                f"token {symbol} at {deployment.address} has {decimals()} decimals, "
                f"{deployment.decimals} are configured",
                code="decimals-differ",
                reason="Its supply would be read a power of ten too large or too small.",
                advice=f"Correct the decimals of this deployment in tokens.{symbol}.deployments, or its address.",
            )
        supply = DeploymentSupply(symbol, batch.block.chain_id, deployment.address, deployment.decimals, units())
        proven = proof("supply", symbol, code())
        if proven is not None and proven.storage[0].value != supply.units:
            if reference:
                raise _proof_differs(f"token {symbol}: totalSupply", supply.units, proven.storage[0].value)
            proven = None
        return supply, proven

    return read


def _proof_differs(what: str, said: int, proven: int) -> ChainError:
    return ChainError(
        f"{what} says {said}, its storage holds {proven} at the same block",
        code="proof-differs",
        reason="The endpoint contradicts itself; the auditor would find it out.",
        advice="Use another endpoint, and several of them with read_quorum of at least 2.",
    )


# -- the oracle's consensus ------------------------------------------------------------------------------------------


def read_confirmation(
    clients: Mapping[str, ChainClient],
    config: Config,
    *,
    tokens: Sequence[str],
    reporters: Sequence[str],
    base: Path,
    opened: SupplyReading | None = None,
) -> ConfirmationReading:
    """The supply of every deployment and the oracle's consensus on ``tokens``, each chain at its final head.

    ``reports`` holds the standing reports of ``reporters`` and, where the contract lists them (the reference does), of
    everyone else: of a reporter, not removed, not older than ``consensusValidity`` (as far as the contract tells who
    is a reporter, and how old a report may be). ``units`` is 0 while the quorum is
    not met: the contract then gives no number. ``base`` is what ABI files are relative to. With ``opened``, a block
    before the one read then is refused (``chain-went-back``), and what was read then is asked again: another block or
    another supply raises :class:`ConflictError` (``supply-differs``); a node that has pruned the block is believed.
    Raises :class:`ChainError` as :func:`read_supply` does.
    """
    readings, consensus = _consensus_and_supply(clients, config, tokens, reporters, base, opened, prove=True)
    return ConfirmationReading(
        _joined(readings),
        tuple(item.consensus for item in consensus),
        tuple(reading.proof for reading in readings),
    )


@dataclass(frozen=True)
class ReportStatus:
    """One reporter's last report on a token: units, its time (Unix seconds; 0 if there is none), its age at the block
    read (seconds), and whether it counts."""

    reporter: str
    units: Amount
    timestamp: Amount
    age_seconds: Amount
    standing: bool


@dataclass(frozen=True)
class TokenStatus:
    """A token on chain now: supply over all deployments (units of ``decimals``), the oracle's consensus, its reports,
    and their ratio. ``sufficient`` is None while there is no consensus."""

    token: str
    decimals: int
    block: Block
    supply_units: Amount
    consensus: TokenConsensus
    reports: tuple[ReportStatus, ...]
    sufficient: bool | None
    ratio_percent: str | None


def status(clients: Mapping[str, ChainClient], config: Config, *, base: Path) -> tuple[TokenStatus, ...]:
    """Every token's consensus, reports, supply and ratio at the final heads. Raises :class:`ChainError` as
    :func:`read_confirmation` does."""
    reporters = [reporter.address for reporter in config.signing.reporters]
    readings, read = _consensus_and_supply(clients, config, list(config.tokens), reporters, base, None, prove=False)
    supply = _joined(readings)
    block = next(block for block in supply.blocks if block.chain_id == config.chains[config.oracle.chain].chain_id)
    found = []
    for item in read:
        consensus = item.consensus
        decimals = next(
            d.decimals for d in config.tokens[consensus.token].deployments if d.chain == config.oracle.chain
        )
        units = supply.units(consensus.token, decimals)
        found.append(
            TokenStatus(
                token=consensus.token,
                decimals=decimals,
                block=block,
                supply_units=units,
                consensus=consensus,
                reports=item.reports,
                sufficient=consensus.units >= units if consensus.quorum_met else None,
                ratio_percent=ratio_percent(consensus.units, units) if consensus.quorum_met else None,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class ReportAge:
    """How old the oldest of this operator's reports is, and for how long a report counts (both seconds)."""

    oldest_seconds: int
    validity_seconds: int


def report_age(
    client: ChainClient, config: Config, *, tokens: Sequence[str], reporters: Sequence[str], base: Path
) -> ReportAge:
    """Age of the oldest report of ``reporters`` on ``tokens`` at the chain's head; a missing or removed report is as
    old as Unix time. Raises :class:`ChainError`."""
    oracle, addresses = contracts.reserve_oracle(config.oracle, base), _reported(config)
    head = client.head()
    calls = [oracle.report_of(addresses[symbol], reporter) for symbol in tokens for reporter in reporters]
    validity, *reports = contracts.read(client, [oracle.consensus_validity(), *calls], head)
    return ReportAge(max((head.timestamp - timestamp for _, timestamp in reports), default=0), validity)


def _reported(config: Config) -> dict[str, str]:
    """The address of each token on the oracle's chain: what reports are about."""
    return {
        symbol: deployment.address
        for symbol, token in config.tokens.items()
        for deployment in token.deployments
        if deployment.chain == config.oracle.chain
    }


def _consensus_and_supply(
    clients: Mapping[str, ChainClient],
    config: Config,
    tokens: Sequence[str],
    reporters: Sequence[str],
    base: Path,
    opened: SupplyReading | None,
    *,
    prove: bool,
) -> tuple[list[_ChainReading], list[_TokenRead]]:
    addresses = _reported(config)
    oracle = _Oracle(
        contracts.reserve_oracle(config.oracle, base),
        {symbol: addresses[symbol] for symbol in tokens},
        [_checksum(reporter) for reporter in reporters],
        prove,
    )
    readings: list[_ChainReading] = []
    consensus: list[_TokenRead] = []
    for chain, deployments in _by_chain(config).items():
        client, finality = clients[chain], config.chains[chain].finality
        with_oracle = chain == config.oracle.chain
        block = oracle.find(client, finality) if with_oracle else client.finalized_head(finality)
        _not_before(client, block, opened)
        batch = _Batch(client, block)
        supplies = [_supply(batch, symbol, deployment) for symbol, deployment in deployments]
        still = _asked_again(batch, client, opened) if opened is not None else None
        if not with_oracle:
            batch.run()
            if still is not None:
                still()
            readings.append(_read_chain(batch, supplies))
            continue
        oracle.ask(batch)
        batch.run()
        if still is not None:
            still()
        if oracle.learns_reporters():
            # They changed between the hint and this block: once more, now knowing them.
            batch = _Batch(client, block)
            supplies = [_supply(batch, symbol, deployment) for symbol, deployment in deployments]
            oracle.ask(batch)
            batch.run()
        consensus, proofs = oracle.read(block)
        readings.append(_read_chain(batch, supplies, proofs))
    return readings, consensus


def _not_before(client: ChainClient, block: Block, opened: SupplyReading | None) -> None:
    earlier = [b for b in (opened.supply.blocks if opened else ()) if b.chain_id == block.chain_id]
    if earlier and block.number < earlier[0].number:
        raise ChainError(
            f"chain {client.name}: its final head is block {block.number}, before the supply block "
            f"{earlier[0].number} of this run",
            code="chain-went-back",
            reason="The endpoint lags behind, or the chain was rewritten since the run was opened.",
            advice="Wait for the endpoint, or configure another; if the chain was rewritten, abandon the attempt.",
        )


def _asked_again(batch: _Batch, client: ChainClient, opened: SupplyReading) -> Callable[[], None]:
    """Ask once more, at the supply block, for what the run was opened with; returns the comparison."""
    block = next(block for block in opened.supply.blocks if block.chain_id == client.chain_id)
    header_index = batch.add(("eth_getBlockByNumber", [hex(block.number), False]))
    supplies = [
        (supply, call, batch.add(call.request(block)))
        for supply in opened.supply.deployments
        if supply.chain_id == client.chain_id
        for call in [contracts.token(supply.address, supply.token).total_supply()]
    ]

    def compare() -> None:
        answer = batch.answer(header_index)
        if isinstance(answer, dict) and answer.get("hash") != f"0x{block.hash}":
            raise _supply_differs(client, f"block {block.number} is not the one that the supply was read at")
        for supply, call, index in supplies:
            units = contracts.outcome(call, batch.answer(index))
            if not isinstance(units, ChainError) and units != supply.units:
                raise _supply_differs(
                    client, f"token {supply.token} had {units} units at block {block.number}, {supply.units} are stored"
                )

    return compare


def _supply_differs(client: ChainClient, detail: str) -> ConflictError:
    return ConflictError(
        f"chain {client.name}: {detail}",
        code="supply-differs",
        reason="The stored supply is not the chain's: the store was touched, or the chain was rewritten.",
        advice="Nothing is signed on it. Compare the stored `open` artifact with the chain; then publish a revision.",
    )


@dataclass(frozen=True)
class _TokenRead:
    consensus: TokenConsensus
    reports: tuple[ReportStatus, ...]


class _Oracle:
    """The questions to the oracle in one batch, and their reading. Who reports is asked along with the head, so that
    everything else fits one batch; it is asked again at the block, and only that counts."""

    def __init__(self, oracle: ReserveOracle, tokens: Mapping[str, str], own: Sequence[str], prove: bool) -> None:
        self._oracle = oracle
        self._tokens = tokens
        self._own = list(dict.fromkeys(own))
        self._prove = prove and oracle.reference
        self._members: list[str] | None = None

    def find(self, client: ChainClient, finality: str) -> Block:
        if not self._oracle.lists_reporters:
            return client.finalized_head(finality)
        call = self._oracle.reporters()
        block, hints = client.finalized_head_and(finality, [call.at_latest()])
        hinted = contracts.outcome(call, hints[0])
        self._members = [] if isinstance(hinted, ChainError) else [_checksum(address) for address in hinted]
        return block

    @property
    def _known(self) -> list[str]:
        return list(dict.fromkeys([*self._own, *(self._members or [])]))

    def ask(self, batch: _Batch) -> None:
        oracle = self._oracle
        self._code = batch.code(oracle.address, "the reserve oracle")
        self._quorum = batch.call(oracle.required_quorum())
        self._validity = batch.call(oracle.consensus_validity()) if oracle.states_ages else None
        self._reporters = batch.call(oracle.reporters()) if oracle.lists_reporters else None
        self._asked = {symbol: self._ask_token(batch, symbol, address) for symbol, address in self._tokens.items()}

    def _ask_token(self, batch: _Batch, symbol: str, address: str) -> _AskedToken:
        oracle = self._oracle
        slots = [*oracle.settings_slots(), *oracle.reporter_slots(len(self._members or []))] if self._prove else []
        for reporter in self._known if self._prove else []:
            slots += oracle.report_slots(address, reporter)
        return _AskedToken(
            met=batch.call(oracle.is_quorum_met(address)),
            reserve=batch.call(oracle.verified_reserve(address)),
            reports={reporter: batch.call(oracle.report_of(address, reporter)) for reporter in self._known},
            proof=batch.account(oracle.address, slots, f"the reserve oracle, token {symbol}") if self._prove else None,
        )

    def learns_reporters(self) -> bool:
        """Whether the reporters at the block are others than those that were asked about."""
        if self._reporters is None:
            return False
        members = [_checksum(address) for address in self._reporters()]
        changed = members != self._members
        self._members = members
        return changed

    def read(self, block: Block) -> tuple[list[_TokenRead], list[AccountProof]]:
        read, proofs = [], []
        for symbol, asked in self._asked.items():
            item = self._read_token(symbol, asked, block)
            read.append(item)
            proven = asked.proof("consensus", symbol, self._code()) if asked.proof is not None else None
            if proven is not None and self._code() == artifact("ReserveOracle").deployed_bytecode:
                self._compare(item, proven)
                proofs.append(proven)
        return read, proofs

    def _read_token(self, symbol: str, asked: _AskedToken, block: Block) -> _TokenRead:
        self._code()  # raises where there is no contract
        reports = []
        for reporter, report in asked.reports.items():
            units, timestamp = report()
            age = block.timestamp - timestamp
            is_reporter = self._members is None or reporter in self._members
            fresh = self._validity is None or 0 <= age <= self._validity()
            standing = timestamp > 0 and fresh and is_reporter
            reports.append(ReportStatus(reporter, units, timestamp, age, standing))
        met = asked.met()
        return _TokenRead(
            TokenConsensus(
                token=symbol,
                units=asked.reserve() if met else 0,
                quorum_met=met,
                required_quorum=self._quorum(),
                reports={report.reporter: report.units for report in reports if report.standing},
            ),
            tuple(reports),
        )

    def _compare(self, item: _TokenRead, proven: AccountProof) -> None:
        """Every slot holds what the contract said: settings, reporters, and the reports that stand."""
        members = self._members or []
        validity = self._validity() if self._validity is not None else None
        said: list[int | None] = [self._quorum(), validity, len(members), *(int(who, 16) for who in members)]
        for report in item.reports:
            said += [report.units, report.timestamp] if report.standing else [None, None]
        for expected, slot in zip(said, proven.storage, strict=True):
            if expected is not None and expected != slot.value:
                raise _proof_differs(f"the reserve oracle, token {item.consensus.token}", expected, slot.value)


@dataclass(frozen=True)
class _AskedToken:
    met: Callable[[], Any]
    reserve: Callable[[], Any]
    reports: Mapping[str, Callable[[], Any]]
    proof: _ProofRead | None


# -- the registry's entry --------------------------------------------------------------------------------------------


def read_anchor(
    client: ChainClient, config: Config, *, period: str, revision: int, publisher: str, base: Path
) -> tuple[Anchor, BlockProof]:
    """What the registry holds for a period and revision at the chain's final head, and its proof (without accounts for
    a registry of another make). Raises :class:`ChainError`: ``call-reverted`` (``NotPublished``), ``no-code``,
    ``proof-differs`` and what :meth:`ChainClient.batch` raises."""
    registry = contracts.attestation_registry(config.registry, base)
    batch = _Batch(client, client.finalized_head(config.chains[config.registry.chain].finality))
    code = batch.code(registry.address, "the attestation registry")
    entry = batch.call(registry.attestation_of(publisher, period, revision))
    slots = registry.entry_slots(publisher, period, revision) if registry.reference else []
    account = batch.account(registry.address, slots, "the attestation registry") if registry.reference else None
    batch.run()
    reference = code() == artifact("AttestationRegistry").deployed_bytecode
    found = entry()
    proven = account("anchor", None, code()) if account is not None and reference else None
    if proven is not None:
        said = (_number(found.root), found.size, _number(found.statement), _number(found.log_root), found.log_size)
        for expected, slot in zip(said, proven.storage, strict=True):
            if expected != slot.value:
                raise _proof_differs("the attestation registry", expected, slot.value)
    anchor = Anchor(
        chain_id=client.chain_id,
        registry=registry.address,
        publisher=publisher,
        block=batch.block,
        root=found.root.hex(),
        size=found.size,
        statement=found.statement.hex(),
        log_root=found.log_root.hex(),
        log_size=found.log_size,
    )
    return anchor, batch.block_proof([proven] if proven is not None else [])


def _number(word: bytes) -> int:
    return int.from_bytes(word, "big")


# -- before a run ----------------------------------------------------------------------------------------------------


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
    Two requests per chain.
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
    block, (gas_price,) = client.finalized_head_and(settings.finality, [("eth_gasPrice", [])])
    findings = [_head_finding(client, block, now)]
    findings += [
        Finding("warning", f"endpoint {endpoint}", failure, "Check that it runs; the other endpoints answer.")
        for endpoint, failure in client.failures.items()
    ]
    batch = _Batch(client, block)
    checks: list[Callable[[], Finding]] = []
    for symbol, deployment in _by_chain(config).get(chain, []):
        checks.append(_check_token(batch, symbol, deployment))
    price = (
        0 if settings.fees.kind == "free" or isinstance(gas_price, RpcError) else quantity(gas_price, "eth_gasPrice")
    )
    if chain == config.oracle.chain:
        oracle = contracts.reserve_oracle(config.oracle, base)
        checks.append(_check_code(batch, oracle.address, "reserve oracle", "oracle.address"))
        checks += _check_oracle(batch, oracle)
        for reporter in config.signing.reporters:
            role = oracle.has_role("REPORTER_ROLE", reporter.address) if oracle.has_roles else None
            checks.append(_check_role(batch, role, f"reporter {reporter.address}", "REPORTER_ROLE"))
            checks.append(_check_gas(batch, reporter.address, "reporter", len(config.tokens), price))
    if chain == config.registry.chain:
        registry = contracts.attestation_registry(config.registry, base)
        publisher = config.signing.publisher.address
        checks.append(_check_code(batch, registry.address, "attestation registry", "registry.address"))
        role = registry.has_role("PUBLISHER_ROLE", publisher) if registry.has_roles else None
        checks.append(_check_role(batch, role, f"publisher {publisher}", "PUBLISHER_ROLE"))
        checks.append(_check_gas(batch, publisher, "publisher", 1, price))
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


def _check_code(batch: _Batch, address: str, what: str, key: str) -> Callable[[], Finding]:
    code = batch.code(address, f"the {what} ({key})")
    return lambda: Finding("ok", what, f"{address} has code ({len(code())} bytes)")


def _check_token(batch: _Batch, symbol: str, deployment: Deployment) -> Callable[[], Finding]:
    supply = _supply(batch, symbol, deployment)

    def check() -> Finding:
        read, proof = supply()
        proven = "with" if proof is not None else "without"
        return Finding("ok", f"token {symbol}", f"{deployment.address}: supply {read.units} units, {proven} proof")

    return check


def _check_role(batch: _Batch, call: Call | None, who: str, role: str) -> Callable[[], Finding]:
    if call is None:
        advice = "Ask its admin, and simulate with `attest run --dry-run`."
        return lambda: Finding("warning", who, "its role cannot be checked: the contract has no hasRole", advice)
    held = batch.call(call)

    def check() -> Finding:
        if held():
            return Finding("ok", who, f"holds {role}")
        return Finding("error", who, f"does not hold {role}", f"The contract's admin grants it: grantRole({role}, …).")

    return check


def _check_gas(batch: _Batch, address: str, job: str, transactions: int, price: int) -> Callable[[], Finding]:
    index = batch.add(balance_request(address, batch.block))
    needed = transactions * TRANSACTION_GAS * price

    def check() -> Finding:
        who = f"{job} {address}"
        balance = quantity(batch.answer(index), f"the balance of {who}")
        detail = f"{balance} wei for gas, some {needed} wei needed for {transactions} transactions"
        if balance >= needed:
            return Finding("ok", who, detail if price else "gas is free")
        return Finding("error", who, detail, f"Send gas to {address}.")

    return check


def _check_oracle(batch: _Batch, oracle: ReserveOracle) -> list[Callable[[], Finding]]:
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


# -- one batch at one block ------------------------------------------------------------------------------------------


class _ProofRead(Protocol):
    """Reads an account proof after the batch ran; None where the endpoint has no ``eth_getProof``."""

    def __call__(
        self, purpose: Literal["supply", "consensus", "anchor"], token: str | None, code: bytes
    ) -> AccountProof | None: ...


class _Batch:
    """Questions to one chain at one block, sent together with the block's header. Asking returns a function that reads
    the answer once the batch has run."""

    def __init__(self, client: ChainClient, block: Block) -> None:
        self.block = block
        self._client = client
        self._requests: list[Request] = [header_request(block)]
        self._answers: list[Any] = []

    def add(self, request: Request) -> int:
        self._requests.append(request)
        return len(self._requests) - 1

    def run(self) -> None:
        self._answers = self._client.batch(self._requests)
        what = f"chain {self._client.name}: block {self.block.number}"
        if not isinstance(self._answers[0], dict):
            raise contracts.state_unavailable(what, self._answers[0])
        self._header = header.read(self._client.chain_id, self._answers[0], what)
        if self._header.block != self.block:
            raise malformed(what, "was answered with another block's header")

    def answer(self, index: int) -> Any:
        return self._answers[index]

    def call(self, call: Call) -> Callable[[], Any]:
        index = self.add(call.request(self.block))
        return lambda: call.value(self.answer(index))

    def code(self, address: str, what: str) -> Callable[[], bytes]:
        index = self.add(code_request(address, self.block))

        def read() -> bytes:
            answer = self.answer(index)
            if answer is None or isinstance(answer, RpcError):
                raise contracts.state_unavailable(f"the code of {what}", answer)
            code = data(answer, f"the code of {what}")
            if not code:
                raise ChainError(
                    f"{what}: there is no contract at {address} on chain {self._client.name} at block "
                    f"{self.block.number}",
                    code="no-code",
                    reason="A call to an address without code succeeds and means nothing.",
                    advice="Check address and chain in attest.toml. If they are right, the node has pruned this block: "
                    'schedule `attest open` at the cutoff, or set schedule.supply_at = "run".',
                )
            return code

        return read

    def account(self, address: str, slots: Sequence[str], what: str) -> _ProofRead:
        index = self.add(proof_request(address, slots, self.block))

        def read(
            purpose: Literal["supply", "consensus", "anchor"], token: str | None, code: bytes
        ) -> AccountProof | None:
            answer = self.answer(index)
            if isinstance(answer, RpcError) and answer.code == _METHOD_NOT_FOUND:
                return None
            if not isinstance(answer, dict):
                raise contracts.state_unavailable(f"the state proof of {what}", answer)
            return _account_proof(answer, header.state_root(self._header), slots, what, purpose, token, code, address)

        return read

    def block_proof(self, accounts: Sequence[AccountProof]) -> BlockProof:
        """Checks the header's hash."""
        return BlockProof(self.block, header.encode(self._header).hex(), tuple(accounts))


_METHOD_NOT_FOUND = -32601


def _account_proof(
    answer: Mapping[str, Any],
    state_root: bytes,
    slots: Sequence[str],
    what: str,
    purpose: Literal["supply", "consensus", "anchor"],
    token: str | None,
    code: bytes,
    address: str,
) -> AccountProof:
    """An ``eth_getProof`` answer (EIP-1186), checked where a node could have mixed up blocks: both tries' roots, the
    code hash, and the slots in the order asked."""
    from eth_hash.auto import keccak

    what = f"the state proof of {what}"
    nodes = _nodes(answer.get("accountProof"), what)
    code_hash = data(answer.get("codeHash"), f"{what}: its code hash", 32)
    storage_root = data(answer.get("storageHash"), f"{what}: its storage root", 32)
    if not nodes or keccak(nodes[0]) != state_root:
        raise malformed(what, "does not begin at the block's state root")
    if keccak(code) != code_hash:
        raise malformed(what, "has another code hash than the code at this address")
    items = answer.get("storageProof")
    if not isinstance(items, list) or len(items) != len(slots) or not all(isinstance(item, dict) for item in items):
        raise malformed(what, "does not have one storage proof per slot")
    storage = []
    for slot, item in zip(slots, items, strict=True):
        if quantity(item.get("key"), f"{what}: a slot") != int(slot, 16):
            raise malformed(what, f"is not about the slot 0x{slot}")
        path = _nodes(item.get("proof"), what)
        if path and keccak(path[0]) != storage_root:
            raise malformed(what, "has a storage proof that does not begin at its storage root")
        value = quantity(item.get("value"), f"{what}: a value")
        storage.append(StorageProof(slot, value, tuple(node.hex() for node in path)))
    return AccountProof(purpose, token, address, code_hash.hex(), tuple(node.hex() for node in nodes), tuple(storage))


def _nodes(plain: Any, what: str) -> list[bytes]:
    if not isinstance(plain, list):
        raise malformed(what, "has no list of trie nodes")
    return [data(node, f"{what}: a trie node") for node in plain]


def _checksum(address: str) -> str:
    """EIP-55."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))
