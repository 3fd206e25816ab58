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
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attest.chain import contracts
from attest.chain import header as headers
from attest.chain.artifact import artifact
from attest.chain.batch import Batch, ProofRead, checksum
from attest.chain.contracts import Call, ReserveOracle
from attest.chain.rpc import ChainClient
from attest.documents import AccountProof, Anchor, BlockProof
from attest.errors import ChainError, ConflictError
from attest.model import Block, DeploymentSupply, Supply, TokenConsensus
from attest.money import ratio_percent
from attest.records import Amount

if TYPE_CHECKING:
    from attest.config import Config, Deployment


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
    for chain, deployments in deployments_by_chain(config).items():
        client, finality = clients[chain], config.chains[chain].finality
        if supply_at == "cutoff":
            block = client.block_at(int(cutoff.timestamp()), finality)
        else:
            block = client.finalized_head(finality)
        batch = Batch(client, block)
        supplies = [ask_supply(batch, symbol, deployment) for symbol, deployment in deployments]
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


def _read_chain(batch: Batch, supplies: Sequence[_SupplyRead], others: Sequence[AccountProof] = ()) -> _ChainReading:
    read = [supply() for supply in supplies]
    proofs = [proof for _, proof in read if proof is not None]
    return _ChainReading(batch.block, tuple(supply for supply, _ in read), batch.block_proof([*proofs, *others]))


def _joined(readings: Sequence[_ChainReading]) -> Supply:
    return Supply(
        tuple(reading.block for reading in readings),
        tuple(supply for reading in readings for supply in reading.supplies),
    )


def deployments_by_chain(config: Config) -> dict[str, list[tuple[str, Deployment]]]:
    """(token, deployment) pairs by chain, in the configuration's order of chains."""
    found: dict[str, list[tuple[str, Deployment]]] = {name: [] for name in config.chains}
    for symbol, token in config.tokens.items():
        for deployment in token.deployments:
            found[deployment.chain].append((symbol, deployment))
    return {name: deployments for name, deployments in found.items() if deployments}


_SupplyRead: TypeAlias = Callable[[], tuple[DeploymentSupply, AccountProof | None]]


def ask_supply(batch: Batch, symbol: str, deployment: Deployment) -> _SupplyRead:
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
        [checksum(reporter) for reporter in reporters],
        prove,
    )
    readings: list[_ChainReading] = []
    consensus: list[_TokenRead] = []
    for chain, deployments in deployments_by_chain(config).items():
        client, finality = clients[chain], config.chains[chain].finality
        with_oracle = chain == config.oracle.chain
        block = oracle.find(client, finality) if with_oracle else client.finalized_head(finality)
        _not_before(client, block, opened)
        batch = Batch(client, block)
        supplies = [ask_supply(batch, symbol, deployment) for symbol, deployment in deployments]
        still = _asked_again(batch, client, opened.supply) if opened is not None else None
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
            batch = Batch(client, block)
            supplies = [ask_supply(batch, symbol, deployment) for symbol, deployment in deployments]
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


def recheck(
    clients: Mapping[str, ChainClient],
    config: Config,
    *,
    opened: SupplyReading,
    confirmed: ConfirmationReading,
    base: Path,
) -> None:
    """Ask the chains again for what two stored readings say, at their blocks. Raises :class:`ConflictError`
    (``supply-differs``) for a difference; what a node has pruned is believed. One request per chain."""
    oracle, addresses = contracts.reserve_oracle(config.oracle, base), _reported(config)
    for chain in deployments_by_chain(config):
        client = clients[chain]
        block = next(block for block in confirmed.supply.blocks if block.chain_id == client.chain_id)
        batch = Batch(client, block)
        comparisons = [_asked_again(batch, client, reading.supply) for reading in (opened, confirmed)]
        said = []
        for item in confirmed.consensus if chain == config.oracle.chain else ():
            address = addresses[item.token]
            stated: list[tuple[Call, Any]] = [
                (oracle.verified_reserve(address), item.units),
                (oracle.is_quorum_met(address), item.quorum_met),
                (oracle.required_quorum(), item.required_quorum),
                *((oracle.report_of(address, reporter), units) for reporter, units in item.reports.items()),
            ]
            said += [(item.token, call, batch.add(call.request(block)), value) for call, value in stated]
        batch.run()
        for compare in comparisons:
            compare()
        for token, call, index, value in said:
            found = contracts.outcome(call, batch.answer(index))
            found = found[0] if isinstance(found, tuple) else found
            if not isinstance(found, ChainError) and found != value:
                raise _supply_differs(
                    client, f"the oracle says {found} of token {token} at block {block.number}, {value} is stored"
                )


def _asked_again(batch: Batch, client: ChainClient, read: Supply) -> Callable[[], None]:
    """Ask once more for a supply that was read before, at its block; returns the comparison."""
    block = next(block for block in read.blocks if block.chain_id == client.chain_id)
    header_index = batch.add(("eth_getBlockByNumber", [hex(block.number), False]))
    supplies = [
        (supply, call, batch.add(call.request(block)))
        for supply in read.deployments
        if supply.chain_id == client.chain_id
        for call in [contracts.token(supply.address, supply.token).total_supply()]
    ]

    def compare() -> None:
        answer = batch.answer(header_index)
        if isinstance(answer, dict) and headers.read(block.chain_id, answer, "the supply's block").block != block:
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
        self._members = [] if isinstance(hinted, ChainError) else [checksum(address) for address in hinted]
        return block

    @property
    def _known(self) -> list[str]:
        return list(dict.fromkeys([*self._own, *(self._members or [])]))

    def ask(self, batch: Batch) -> None:
        oracle = self._oracle
        self._code = batch.code(oracle.address, "the reserve oracle")
        self._quorum = batch.call(oracle.required_quorum())
        self._validity = batch.call(oracle.consensus_validity()) if oracle.states_ages else None
        self._reporters = batch.call(oracle.reporters()) if oracle.lists_reporters else None
        self._asked = {symbol: self._ask_token(batch, symbol, address) for symbol, address in self._tokens.items()}

    def _ask_token(self, batch: Batch, symbol: str, address: str) -> _AskedToken:
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
        members = [checksum(address) for address in self._reporters()]
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
    proof: ProofRead | None


# -- the registry's entry --------------------------------------------------------------------------------------------


def read_anchor(
    client: ChainClient, config: Config, *, period: str, revision: int, publisher: str, base: Path
) -> tuple[Anchor, BlockProof]:
    """What the registry holds for a period and revision at the chain's final head, and its proof (without accounts for
    a registry of another make). Raises :class:`ChainError`: ``call-reverted`` (``NotPublished``), ``no-code``,
    ``proof-differs`` and what :meth:`ChainClient.batch` raises."""
    registry = contracts.attestation_registry(config.registry, base)
    batch = Batch(client, client.finalized_head(config.chains[config.registry.chain].finality))
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
