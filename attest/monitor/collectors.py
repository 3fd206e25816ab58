"""The parts of the watch that read contracts: each asks its questions at the cycle's pinned block and turns the
answers into samples. What a deployment lists itself (reporters, vaults, currencies) is asked first, in a step of its
own, so that a cycle is two steps however much there is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from attest.chain import contracts
from attest.chain.batch import checksum
from attest.chain.contracts import Deployed, ReserveOracle
from attest.config import Config, Parity, Watched, WatchedBridge, WatchedLedger, WatchedStabilizer
from attest.errors import ChainError
from attest.model import Block, DeploymentSupply, Supply
from attest.monitor import metrics, sizing
from attest.monitor.exposition import Sample
from attest.monitor.questions import Chains
from attest.monitor.thresholds import MINUTE
from attest.monitor.totals import Extremes

WAD = 10**18
#: Vaults in one call: some 13,000 gas each, so that a page stays far below every node's limit for a call.
PAGE = 250
#: More vaults than anybody has: a contract that says so is none of ours.
MAX_VAULTS = 100_000
#: For how long a deviation from the average is remembered after it is over.
_REMEMBERED_SECONDS = 3600
#: A vault's health without debt.
_NO_DEBT = 2**256 - 1

Read: TypeAlias = Callable[[], Iterable[Sample]]


class Collector(Protocol):
    """One part of the watch."""

    @property
    def name(self) -> str: ...

    def explore(self, chains: Chains) -> None:
        """Ask what has to be known before :meth:`ask`."""

    def ask(self, chains: Chains) -> Read:
        """Ask; what is returned gives the samples once the questions were run, or raises :class:`ChainError`."""
        ...


def collectors(config: Config, base: Path) -> list[Collector]:
    """The parts that are configured. Raises :class:`OperatorError` for an ABI file that cannot be used."""
    watch, chain = config.monitor, config.oracle.chain
    symbols = {
        deployment.address: symbol
        for symbol, token in config.tokens.items()
        for deployment in token.deployments
        if deployment.chain == chain
    }
    oracle = contracts.reserve_oracle(config.oracle, base)
    found: list[Collector] = [TokenCollector(config, symbol, oracle) for symbol in config.tokens]

    def deployed(name: str, section: str, contract: Watched) -> Deployed:
        return contracts.deployed(name, f"monitor.{section}", contract, base)

    if watch.ledger is not None:
        found.append(
            VaultCollector(deployed("Ledger", "ledger", watch.ledger), watch.ledger, chain, symbols, watch.worst_vaults)
        )
    prices = {
        symbol: deployed("XAUOracle", f"price_oracles.{symbol}", each) for symbol, each in watch.price_oracles.items()
    }
    found += [PriceCollector(symbol, price, chain) for symbol, price in prices.items()]
    if watch.bridge is not None:
        vault = deployed("BridgeEscrowVault", "bridge", watch.bridge)
        found += [BridgeCollector(vault, watch.bridge, chain, *each) for each in symbols.items()]
    if watch.stabilizer is not None:
        stabilizer = deployed("Stabilizer", "stabilizer", watch.stabilizer)
        found.append(StabilizerCollector(stabilizer, watch.stabilizer, chain))
    for name, followed in (("guard", watch.guard), ("liquidation", watch.liquidation)):
        if followed is not None:
            found.append(PresenceCollector(name, followed.address, chain))
    for name, pair in watch.parity.items():
        there = deployed("XAUOracle", f"parity.{name}", pair)
        found.append(ParityCollector(name, pair, prices[pair.price_oracle], there, chain))
    return found


class TokenCollector:
    """One token: supply over all deployments, the reserve oracle's consensus and reports."""

    def __init__(self, config: Config, symbol: str, oracle: ReserveOracle) -> None:
        self.name = f"token-{symbol}"
        self._symbol = symbol
        self._oracle = oracle
        self._chain = config.oracle.chain
        self._max_age = config.monitor.report_max_age_seconds
        self._deployments = config.tokens[symbol].deployments
        self._address = next(each.address for each in self._deployments if each.chain == self._chain)
        self._decimals = next(each.decimals for each in self._deployments if each.chain == self._chain)
        self._known = [checksum(reporter.address) for reporter in config.signing.reporters]
        self._listed: Callable[[], Any] = lambda: []

    def explore(self, chains: Chains) -> None:
        self._listed = chains[self._chain].call(self._oracle.reporters()) if self._oracle.lists_reporters else list

    def ask(self, chains: Chains) -> Read:
        questions, oracle = chains[self._chain], self._oracle
        token = contracts.token(self._address, self._symbol)
        supply = self._ask_supply(chains)
        met = questions.call(oracle.is_quorum_met(self._address))
        reserve = questions.call(oracle.verified_reserve(self._address))
        sufficient = questions.call_if_any(token.is_reserve_sufficient())
        validity = questions.call(oracle.consensus_validity()) if oracle.states_ages else None
        reporters = [*dict.fromkeys([*map(checksum, self._listed()), *self._known])]
        reports = {reporter: questions.call(oracle.report_of(self._address, reporter)) for reporter in reporters}

        def read() -> Iterator[Sample]:
            names = (self._symbol,)
            units = supply()
            yield Sample(metrics.SUPPLY, units, names)
            quorum = met()
            yield Sample(metrics.QUORUM_MET, int(quorum), names)
            if quorum:
                verified = reserve()
                yield Sample(metrics.RESERVE, verified, names)
                yield Sample(metrics.SURPLUS, verified - units, names)
                yield Sample(metrics.MULTIPLIER_OK, int(units <= verified), names)
            said = _said(sufficient, quorum)
            if said is not None:
                yield Sample(metrics.SUFFICIENT, int(said), names)
            oldest = self._max_age if self._max_age is not None else validity() if validity is not None else None
            times = {reporter: report()[1] for reporter, report in reports.items()}
            if oldest is not None:
                stale = sum(0 < at < questions.block.timestamp - oldest for at in times.values())
                yield Sample(metrics.STALE_REPORTS, stale, names)
            for reporter, at in times.items():
                yield Sample(metrics.LAST_REPORT, at, (self._symbol, reporter))

        return read

    def _ask_supply(self, chains: Chains) -> Callable[[], int]:
        asked: list[tuple[Any, Block, Callable[[], Any], Callable[[], Any]]] = []
        for each in self._deployments:
            token, questions = contracts.token(each.address, self._symbol), chains[each.chain]
            asked.append(
                (each, questions.block, questions.call(token.decimals()), questions.call(token.total_supply()))
            )

        def read() -> int:
            found = []
            for each, block, decimals, units in asked:
                if decimals() != each.decimals:
                    raise _unlike(
                        f"token {self._symbol} at {each.address}",
                        f"has {decimals()} decimals, {each.decimals} are configured",
                        f"tokens.{self._symbol}.deployments",
                    )
                found.append(DeploymentSupply(self._symbol, block.chain_id, each.address, each.decimals, units()))
            return Supply(tuple(dict.fromkeys(block for _, block, _, _ in asked)), tuple(found)).units(
                self._symbol, self._decimals
            )

        return read


def _unlike(what: str, detail: str, section: str) -> ChainError:
    """The error for a contract that answers, but not as what it is configured as. ``section`` is its place in the
    configuration."""
    return ChainError(
        f"{what} {detail}",
        code="contract-unlike",
        reason="Its numbers would be told as something that they are not.",
        advice=f"Compare {section} in attest.toml with the deployment: address, chain, ABI.",
    )


def _said(sufficient: Callable[[], Any], quorum: bool) -> bool | None:
    """What a token says of its own reserve; None from one that has no such function, or that refuses while there is no
    ``quorum``: then the oracle itself says why."""
    try:
        said: bool | None = sufficient()
    except ChainError as fault:
        if quorum or fault.code != "call-reverted":
            raise
        return None
    return said


class VaultCollector:
    """All vaults of a ledger. A vault's address is no label: the lowest health ratios are told, and the sums."""

    name = "vaults"

    def __init__(
        self, ledger: Deployed, settings: WatchedLedger, chain: str, symbols: Mapping[str, str], worst: int
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._vaults = settings.vaults
        self._names = {**symbols, **{address: name for name, address in settings.assets.items()}}
        self._worst = worst
        self._listed: tuple[Callable[[], Any], ...] = ()

    def explore(self, chains: Chains) -> None:
        questions, ledger = chains[self._chain], self._ledger
        lists = [questions.call(ledger.call(name, returns=["address[]"])) for name in ("assets", "currencies")]
        count = None if self._vaults else questions.call(ledger.call("vaultCount", returns=["uint"]))
        self._listed = (*lists, *([count] if count is not None else []))

    def ask(self, chains: Chains) -> Read:
        questions, ledger = chains[self._chain], self._ledger

        def sums(function: str, addresses: Sequence[str]) -> dict[str, Callable[[], Any]]:
            return {
                self._names.get(address, address): questions.call(ledger.call(function, address, returns=["uint"]))
                for address in map(checksum, addresses)
            }

        assets, currencies, *counted = (listed() for listed in self._listed)
        collateral = sums("totalCollateral", assets)
        debt, ceiling = sums("totalDebt", currencies), sums("debtCeiling", currencies)
        healths = self._singly(chains) if self._vaults else self._pages(chains, counted[0])

        def read() -> Iterator[Sample]:
            found = sorted(healths())
            yield Sample(metrics.VAULTS, len(found))
            indebted = [health for health in found if health != _NO_DEBT]
            yield Sample(metrics.HEALTH_MIN, Fraction(indebted[0], WAD) if indebted else math.inf)
            for rank, health in enumerate(indebted[: self._worst], 1):
                yield Sample(metrics.HEALTH_WORST, Fraction(health, WAD), (str(rank),))
            for metric, values in (
                (metrics.COLLATERAL, collateral),
                (metrics.DEBT, debt),
                (metrics.DEBT_CEILING, ceiling),
            ):
                for name, value in values.items():
                    yield Sample(metric, value(), (name,))

        return read

    def _singly(self, chains: Chains) -> Callable[[], list[int]]:
        asked = [
            chains[self._chain].call(self._ledger.call("getVaultHealth", vault, returns=["uint"]))
            for vault in self._vaults
        ]
        return lambda: [health() for health in asked]

    def _pages(self, chains: Chains, count: int) -> Callable[[], list[int]]:
        if count > MAX_VAULTS:
            raise _unlike(f"the ledger {self._ledger.address}", f"says that it has {count} vaults", "monitor.ledger")
        pages = [
            (
                min(PAGE, count - start),
                chains[self._chain].call(
                    self._ledger.call("vaultHealths", start, PAGE, returns=["address[]", "uint256[]"])
                ),
            )
            for start in range(0, count, PAGE)
        ]

        def read() -> list[int]:
            found: list[int] = []
            for expected, page in pages:
                _, healths = page()
                if len(healths) != expected:
                    raise _unlike(
                        f"the ledger {self._ledger.address}",
                        f"gave {len(healths)} of {expected} vaults in one page",
                        "monitor.ledger",
                    )
                found += healths
            return found

        return read


class PriceCollector:
    """The price of gold in one currency."""

    def __init__(self, symbol: str, oracle: Deployed, chain: str) -> None:
        self.name = f"price-oracle-{symbol}"
        self._symbol = symbol
        self._oracle = oracle
        self._chain = chain

    def explore(self, chains: Chains) -> None:
        """Nothing."""

    def ask(self, chains: Chains) -> Read:
        questions, oracle = chains[self._chain], self._oracle
        updated = questions.call(oracle.call("updatedAt", returns=["uint"]))
        frozen = questions.call(oracle.call("isFrozen", returns=["bool"]))
        return lambda: [
            Sample(metrics.PRICE_UPDATED, updated(), (self._symbol,)),
            Sample(metrics.PRICE_FROZEN, int(frozen()), (self._symbol,)),
        ]


class BridgeCollector:
    """What the bridge can pay of one token."""

    def __init__(self, vault: Deployed, settings: WatchedBridge, chain: str, token: str, symbol: str) -> None:
        self.name = f"bridge-{symbol}"
        self._vault = vault
        self._safety = Fraction(settings.safety_percent, 100)
        self._chain = chain
        self._token = token
        self._symbol = symbol

    def explore(self, chains: Chains) -> None:
        """Nothing."""

    def ask(self, chains: Chains) -> Read:
        reserve = chains[self._chain].call(self._vault.call("bridgeReserve", self._token, returns=["uint"]))
        return lambda: [
            Sample(metrics.BRIDGE_RESERVE, reserve(), (self._symbol,)),
            Sample(metrics.SAFETY, self._safety, (self._symbol,)),
        ]


class StabilizerCollector:
    """The stabilizer: its trades, what it holds, and for how long the price has been away from its average."""

    name = "stabilizer"

    def __init__(self, stabilizer: Deployed, settings: WatchedStabilizer, chain: str) -> None:
        self._stabilizer = stabilizer
        self._settings = settings
        self._chain = chain
        self._asked_currency: Callable[[], Any] = lambda: None
        #: The token that it trades for gold, once it has said so.
        self.currency: str | None = None
        self._excursions: deque[tuple[int, int]] = deque()
        #: What its events tell of the last hour, where they are followed: also of what came and went between two looks.
        self.extremes = Extremes(0, 0)
        #: Seconds from block to block, as the watch has seen them; None before it has.
        self.block_seconds: Fraction | None = None

    def explore(self, chains: Chains) -> None:
        self._asked_currency = chains[self._chain].call(self._stabilizer.call("currency", returns=["address"]))

    def ask(self, chains: Chains) -> Read:
        questions, settings = chains[self._chain], self._settings

        def number(function: str) -> Callable[[], Any]:
            return questions.call(self._stabilizer.call(function, returns=["uint"]))

        size, volume, cap = number("tradeSize"), number("lastBlockVolume"), number("blockVolumeCap")
        sustained, required = number("sustainedBlocks"), number("requiredBlocks")
        self.currency = self._asked_currency()
        rules = questions.call(self._stabilizer.call("settings", returns=["uint"] * 8))
        token = contracts.token(str(self.currency), "the stabilizer's currency")
        held = questions.call(token.balance_of(self._stabilizer.address))

        def read() -> Iterator[Sample]:
            yield Sample(metrics.TRADE_SIZE, size())
            yield Sample(metrics.BLOCK_VOLUME, max(volume(), self.extremes.volume))
            yield Sample(metrics.BLOCK_CAP, cap())
            yield Sample(metrics.SUSTAINED, sustained())
            yield Sample(metrics.REQUIRED, required())
            delay = max(1, rules()[4])
            if self.block_seconds:
                yield Sample(metrics.TRADES, 1 / (delay * self.block_seconds))
            if settings.imbalance_per_minute is not None:
                due = settings.imbalance_per_minute if size() else 0
                yield Sample(metrics.IMBALANCE, Fraction(due, MINUTE))
            self._excursions.append((questions.block.timestamp, sustained()))
            while self._excursions[0][0] < questions.block.timestamp - _REMEMBERED_SECONDS:
                self._excursions.popleft()
            looked = max(blocks for _, blocks in self._excursions)
            yield Sample(metrics.RECOVERY, max(looked, self.extremes.deviation))
            if settings.window_seconds is not None:
                yield Sample(metrics.STABILIZATION_RESERVE, held())
                yield Sample(metrics.STABILIZATION_WINDOW, settings.window_seconds)
                yield Sample(metrics.STABILIZATION_SAFETY, Fraction(settings.safety_percent, 100))
                if settings.peak_minute_outflow is not None:
                    yield Sample(metrics.STABILIZATION_PEAK, Fraction(settings.peak_minute_outflow, MINUTE))

        return read


class PresenceCollector:
    """A contract that is followed by its events only: that it is there. At an address without code nothing ever
    happens, and its counters would stand at zero for ever."""

    def __init__(self, name: str, address: str, chain: str) -> None:
        self.name = name
        self._address = address
        self._chain = chain

    def explore(self, chains: Chains) -> None:
        """Nothing."""

    def ask(self, chains: Chains) -> Read:
        code = chains[self._chain].code(self._address, f"monitor.{self.name}")

        def read() -> Iterable[Sample]:
            code()
            return ()

        return read


class ParityCollector:
    """One price on two chains, and the age of the other chain's: two that stopped together would look fine for ever."""

    def __init__(self, name: str, settings: Parity, here: Deployed, there: Deployed, chain: str) -> None:
        self.name = f"parity-{name}"
        self._pair = name
        self._threshold = Fraction(settings.threshold_bps, 10_000)
        self._places = ((chain, here), (settings.chain, there))

    def explore(self, chains: Chains) -> None:
        """Nothing."""

    def ask(self, chains: Chains) -> Read:
        asked = [chains[chain].call(oracle.call("lastPrice", returns=["uint"])) for chain, oracle in self._places]
        away, there = self._places[1]
        updated = chains[away].call(there.call("updatedAt", returns=["uint"]))

        def read() -> Iterator[Sample]:
            first, second = (price() for price in asked)
            for (chain, oracle), price in zip(self._places, (first, second), strict=True):
                if price == 0:
                    section = f"monitor.parity.{self._pair}"
                    raise _unlike(f"the price oracle {oracle.address} on chain {chain}", "has no price yet", section)
            parity = sizing.Parity(Fraction(first), Fraction(second), self._threshold, relative=True)
            yield Sample(metrics.PRICE_UPDATED, updated(), (metrics.price_there(self._pair),))
            yield Sample(metrics.PARITY, parity.ratio, (self._pair,))
            yield Sample(metrics.PARITY_THRESHOLD, self._threshold, (self._pair,))

        return read
