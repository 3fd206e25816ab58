"""One cycle of the watch, and what it found.

Every chain is read at one pinned block. A part that fails says so by itself (``attest_collector_errors_total``, and a
time of last success that stands still) and costs no other part. What could not be read has no value in that cycle: an
old number would look like a new one.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from attest.chain.rpc import ChainClient, Transport, connect
from attest.config import Loaded
from attest.errors import AttestError, ChainError, printable, unexpected
from attest.model import Block
from attest.monitor import access, jobs, metrics
from attest.monitor import thresholds as limit
from attest.monitor.collectors import Collector, Read, StabilizerCollector, collectors
from attest.monitor.exposition import Sample, render
from attest.monitor.following import Follower
from attest.monitor.history import History
from attest.monitor.network import EndpointHead, Traffic, Validators, endpoint_heads
from attest.monitor.questions import Chains
from attest.monitor.series import Readings
from attest.store import Store

_log = logging.getLogger(__name__)

#: The part that keeps numbers for the page's plots; none is made of it.
HISTORY = "history"
#: The private store is looked at no more often than this, in seconds: with an object store each look is paid for.
_STORE_SECONDS = 60


@dataclass(frozen=True)
class Failure:
    """A part of the watch that failed in this cycle."""

    collector: str
    error: AttestError


@dataclass(frozen=True)
class Snapshot:
    """What one cycle found. ``blocks`` are the pinned ones, by chain."""

    at: datetime
    blocks: Mapping[str, Block]
    samples: tuple[Sample, ...]
    failures: tuple[Failure, ...]
    heads: Mapping[str, Sequence[EndpointHead]]

    @property
    def whole(self) -> bool:
        """Whether everything was read."""
        return all(failure.collector == HISTORY for failure in self.failures)

    def exposition(self) -> str:
        return render(metrics.CATALOGUE, self.samples)


@dataclass
class _Standing:
    """How a part of the watch has fared since the monitor began."""

    last_success: float = 0.0
    errors: int = 0


@dataclass
class Watch:
    """The watch over one configuration. :meth:`cycle` reads everything once; not safe for several threads.

    ``stopping`` says whether it is to end: a scan of many blocks is then broken off."""

    loaded: Loaded
    private: Store
    now: Callable[[], datetime]
    transport: Transport | None = None
    stopping: Callable[[], bool] = lambda: False
    clients: dict[str, ChainClient] = field(init=False)
    history: History = field(init=False)
    _traffic: dict[str, Traffic] = field(init=False)

    def __post_init__(self) -> None:
        """Raises :class:`OperatorError` for an endpoint, ABI file or event that cannot be used."""
        config, base = self.loaded.config, self.loaded.base
        self._home = config.oracle.chain
        names = [self._home, *(d.chain for token in config.tokens.values() for d in token.deployments)]
        names += [pair.chain for pair in config.monitor.parity.values()]
        self._traffic = {name: Traffic() for name in dict.fromkeys(names)}
        self.clients = {
            name: connect(
                config.chains[name], name=name, base=base, transport=self.transport, observe=traffic.observe,
                lenient=True,
            )
            for name, traffic in self._traffic.items()
        }  # fmt: skip
        self._validators = {
            name: Validators(config.monitor.validators if name == self._home else ()) for name in self.clients
        }
        self._collectors = collectors(config, base)
        index = config.monitor.index
        self._follower = None if index is None else Follower(config, base, index)
        self._audits = access.collectors(config, base, None if self._follower is None else self._follower.grants)
        self.history = History.of(index, config.chains[self._home].chain_id, base)
        self._readings = Readings()
        self._stored: list[Sample] = []
        self._stored_at: float | None = None
        read = [each.name for each in (*self._collectors, *self._audits)]
        parts = [f"network-{name}" for name in self.clients] + read + ["jobs"]
        parts += [self._follower.name] if self._follower is not None else []
        parts += [HISTORY]
        self._standing = {name: _Standing() for name in parts}

    def close(self) -> None:
        self.history.close()
        if self._follower is not None:
            self._follower.close()

    def unwatched(self) -> list[str]:
        """The sections of the configuration without which something of the runbook is not watched."""
        watching = self.loaded.config.monitor
        found = [
            name
            for name in (
                "index",
                "ledger",
                "liquidation",
                "price_oracles",
                "bridge",
                "guard",
                "stabilizer",
                "parity",
                "roles",
                "multisigs",
            )
            if not getattr(watching, name)
        ]
        return [f"monitor.{name}" for name in found]

    def cycle(self, *, events: bool = True, patience: float | None = None) -> Snapshot:
        """Read everything once and note it in the history, or all but the events and nothing of it; with ``patience``,
        events for about so many seconds at most, so that a first scan, or one after a long pause, keeps nothing else
        waiting. Nothing that a chain, a database or a store does makes it raise, nor a fault in one of its parts."""
        begun, sent = time.perf_counter(), self._requests()
        found = _Findings(self._standing, self.now)
        heads: dict[str, Sequence[EndpointHead]] = {}
        blocks: dict[str, Block | ChainError] = {}
        for name, client in self.clients.items():
            with found.part(f"network-{name}"):
                heads[name] = endpoint_heads(client)
                found.samples += self._endpoints(name, heads[name])
                _check_answered(client, heads[name])
                blocks[name] = _pinned(client, self.loaded.config.chains[name].finality)
                found.samples += self._network(name, client, heads[name], blocks[name])
            blocks.setdefault(name, _unknown(name))
        # Events before contracts: who holds a role is asked of everybody to whom it was given up to the pinned block.
        if events and self._follower is not None:
            with found.part(self._follower.name):
                home = blocks[self._home]
                if isinstance(home, ChainError):
                    raise home
                self._follower.advance(self.clients[self._home], patience, self.stopping)
        self._contracts(found, blocks, [*self._collectors, *(self._audits if events else ())])
        if events and self._follower is not None:
            with found.attempt(self._follower.name):
                found.samples += self._follower.samples()
        with found.part("jobs"):
            found.samples += self._jobs()
        for name, client in self.clients.items():
            found.samples += self._traffic[name].samples(name, client.endpoints)
        if events:
            with found.part(HISTORY):
                now = int(self.now().timestamp())
                self.history.note(now, self._readings.take(found.samples, now))
        found.samples += self._own(begun, sent)
        pinned = {name: block for name, block in blocks.items() if isinstance(block, Block)}
        return Snapshot(self.now(), pinned, tuple(found.samples), tuple(found.failures), heads)

    # -- the parts ----------------------------------------------------------------------------------------------------

    def _contracts(
        self, found: _Findings, blocks: Mapping[str, Block | ChainError], parts: Sequence[Collector]
    ) -> None:
        lists, questions = Chains(self.clients, blocks), Chains(self.clients, blocks)
        asked: list[tuple[Collector, Read]] = []
        explored = []
        for collector in parts:
            if isinstance(collector, StabilizerCollector):
                collector.block_seconds = self._validators[self._home].block_seconds
                if self._follower is not None:
                    collector.extremes = self._follower.extremes
            with found.attempt(collector.name):
                collector.explore(lists)
                explored.append(collector)
        lists.run()
        for collector in explored:
            with found.attempt(collector.name):
                asked.append((collector, collector.ask(questions)))
        questions.run()
        for collector, read in asked:
            with found.part(collector.name):
                found.samples += list(read())
            if isinstance(collector, StabilizerCollector) and self._follower is not None:
                self._follower.stabilizer_currency = collector.currency
        for name in self.clients:
            different = lists.disagreements(name) + questions.disagreements(name)
            block = blocks[name]
            different += isinstance(block, ChainError) and block.code == "endpoints-disagree"
            found.samples.append(Sample(metrics.DISAGREEMENTS, different, (name,)))

    def _endpoints(self, chain: str, heads: Sequence[EndpointHead]) -> Iterator[Sample]:
        for head in heads:
            yield Sample(metrics.RPC_UP, int(head.block is not None), (chain, head.endpoint))
            if head.block is not None:
                yield Sample(metrics.RPC_HEAD, head.block.number, (chain, head.endpoint))
            yield Sample(metrics.RPC_LAG_LIMIT, self.loaded.config.monitor.max_lag_blocks, (chain, head.endpoint))
        if any(head.block is not None for head in heads):
            number, timestamp = self._newest(chain, heads)
            yield Sample(metrics.HEAD_NUMBER, number, (chain,))
            yield Sample(metrics.HEAD_TIME, timestamp, (chain,))
            yield Sample(metrics.CLOCK_SKEW, self.now().timestamp() - timestamp, (chain,))

    def _newest(self, chain: str, heads: Sequence[EndpointHead]) -> tuple[int, int]:
        """Number and time that a quorum has reached: a single endpoint could hide a halt behind blocks that it made
        up."""
        reached = [head.block for head in heads if head.block is not None]
        place = min(self.clients[chain].read_quorum, len(reached)) - 1
        number = sorted((block.number for block in reached), reverse=True)[place]
        return number, sorted((block.timestamp for block in reached), reverse=True)[place]

    def _network(
        self, chain: str, client: ChainClient, heads: Sequence[EndpointHead], block: Block | ChainError
    ) -> list[Sample]:
        """Raises the :class:`ChainError` for which there is no pinned block, or for one that is old beside the head."""
        if isinstance(block, ChainError):
            raise block
        _, newest = self._newest(chain, heads)
        if newest - block.timestamp > limit.FINAL_AGE:
            raise _final_old(chain, block, newest)
        seen = self._validators[chain].read(client, block)
        return [Sample(metrics.VALIDATOR, at, (chain, validator)) for validator, at in seen.items()]

    def _jobs(self) -> list[Sample]:
        now = time.monotonic()
        if self._stored_at is None or now - self._stored_at >= _STORE_SECONDS:
            self._stored, self._stored_at = list(jobs.samples(self.private, self.loaded.config, self.now())), now
        return self._stored

    def _own(self, begun: float, sent: int) -> Iterator[Sample]:
        for name, standing in self._standing.items():
            yield Sample(metrics.COLLECTED, standing.last_success, (name,))
            yield Sample(metrics.COLLECTOR_ERRORS, standing.errors, (name,))
        yield Sample(metrics.CYCLE_SECONDS, time.perf_counter() - begun)
        yield Sample(metrics.CYCLE_REQUESTS, self._requests() - sent)

    def _requests(self) -> int:
        return sum(traffic.total for traffic in self._traffic.values())


class _Findings:
    """The samples and failures of one cycle."""

    def __init__(self, standing: Mapping[str, _Standing], now: Callable[[], datetime]) -> None:
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []
        self._standing = standing
        self._now = now

    def attempt(self, name: str) -> _Part:
        """A step of a part of the watch that may fail and proves nothing yet if it does not."""
        return _Part(partial(self._failed, name), lambda: None)

    def part(self, name: str) -> _Part:
        """The same; when it is through, that part has succeeded."""
        return _Part(partial(self._failed, name), partial(self._succeeded, name))

    def _failed(self, name: str, error: AttestError) -> None:
        if any(failure.collector == name for failure in self.failures):
            return  # one that fails in its second step too, most likely for the same cause
        self._standing[name].errors += 1
        self.failures.append(Failure(name, error))
        _log.warning("%s: %s", name, printable(error.message))

    def _succeeded(self, name: str) -> None:
        self._standing[name].last_success = self._now().timestamp()


class _Part:
    """Takes what is raised for the failure of one part: a fault of the program in one must not end the watch of the
    others."""

    def __init__(self, failed: Callable[[AttestError], None], succeeded: Callable[[], None]) -> None:
        self._failed = failed
        self._succeeded = succeeded

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> bool:
        if fault is None:
            self._succeeded()
        elif isinstance(fault, Exception):
            self._failed(fault if isinstance(fault, AttestError) else _unforeseen(fault))
            return True
        return False


def _unforeseen(fault: Exception) -> AttestError:
    """A fault of the program as a part's failure; where it was raised is in the log."""
    error = unexpected(
        fault,
        reason="This is a fault of attest itself; the other parts of the watch go on.",
        advice="Send the traceback in the monitor's log to the maintainers.",
    )
    _log.error("%s\n%s", error.message, "".join(traceback.format_tb(fault.__traceback__)))
    return error


def _check_answered(client: ChainClient, heads: Sequence[EndpointHead]) -> None:
    """A chain with too few endpoints that answer is asked nothing more in this cycle: each question would wait as long.
    (While the others carry the quorum, its client passes over an endpoint that failed.)"""
    silent = [head for head in heads if head.block is None]
    if len(heads) - len(silent) < client.read_quorum:
        raise ChainError(
            f"chain {client.name}: " + "; ".join(f"{head.endpoint}: {head.failure}" for head in silent),
            code="endpoints-down",
            reason="A chain that cannot be read is not watched.",
            advice="Check the endpoints with `attest doctor --network`.",
        )


def _pinned(client: ChainClient, finality: str) -> Block | ChainError:
    try:
        return client.finalized_head(finality)
    except ChainError as fault:
        return fault


def _final_old(name: str, block: Block, newest: int) -> ChainError:
    return ChainError(
        f"chain {name}: its newest final block, {block.number}, is {newest - block.timestamp} s older than its head",
        code="final-block-old",
        reason="States are read at the newest final block: every number of this chain is as old as that.",
        advice=f"The chain does not become final, or endpoints lag behind; or chains.{name}.finality does not fit it.",
    )


def _unknown(name: str) -> ChainError:
    return ChainError(
        f"chain {name}: no block was found to read at",
        code="endpoints-down",
        reason="A state is read at one block, or its numbers do not belong together.",
        advice="`attest doctor --network` says what is wrong with its endpoints.",
    )
