"""Seeded schedules of misfortune for submitting reports on a real node: what every request meets, who dies where."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from attest.chain import devnet
from attest.chain.contracts import reserve_oracle
from attest.chain.devnet import TokenPlan, dev_key
from attest.chain.rpc import ChainClient
from attest.chain.submission import Intent, Submitter
from attest.config import Chain, Contract, Fees
from attest.errors import AttestError, ChainError
from attest.posting import HttpTransport, Reply
from attest.signing.transaction import Transaction
from attest.store import LocalStore, OverlayStore, Store
from tests.support.killing import CONTEXT
from tests.support.mempool import Crash, QuickSigner, WatchedStore
from tests.support.proxy import NETWORK, READING, SAYING, BesuRules, Fault, Proxy, no_faults

SIGNERS = {key.address: key for key in (QuickSigner(bytes([n]) * 32) for n in (0x51, 0x52, 0x53))}
PATIENCE = 8
FEES = {
    "legacy": Fees(kind="legacy", replace_after_seconds=PATIENCE),
    "eip1559": Fees(kind="eip1559", replace_after_seconds=PATIENCE),
    "free": Fees(kind="free", replace_after_seconds=PATIENCE),
}
PERIOD_SECONDS = 2
BASE_FEE = 10**9


@dataclass(frozen=True)
class Ground:
    """A node with the reference contracts, three tokens and three reporters. ``snapshot`` is its state to return to."""

    url: str
    oracle: str
    tokens: Mapping[str, str]
    block: int

    def intents(self) -> list[Intent]:
        oracle = reserve_oracle(Contract(chain="main", address=self.oracle), Path())

        def build(token: str) -> Callable[[int], bytes]:
            return lambda timestamp: oracle.submit_report(token, 10**9, timestamp)

        return [
            Intent(
                id=f"report/2026-W47/1/{symbol}/{sender}",
                sender=sender,
                to=self.oracle,
                description=f"report {symbol} by {sender}",
                build=build(token),
                valid_seconds=3600,
                explain=oracle.explain,
            )
            for symbol, token in self.tokens.items()
            for sender in SIGNERS
        ]


def prepare(url: str) -> Ground:
    """Deploys the contracts; blocks come only when they are asked for from here on."""
    plans = [TokenPlan(f"{name}W", name, 6, 10**9) for name in ("USD", "EUR", "GBP")]
    deployed = devnet.deploy(url, dev_key(0), plans, reporters=list(SIGNERS), publishers=[])
    node = BesuRules(url)
    node.rpc("evm_setAutomine", False)
    return Ground(url, deployed.oracle, deployed.tokens, int(node.rpc("eth_blockNumber"), 16))


# -- what befalls ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One run: what happens at which of its operations (a store's or an endpoint's, before it or after it), or at which
    it is killed if it is a process of its own, and how many seconds the chain goes on without it first."""

    events: Mapping[int, str]
    killed_at: int
    gap: int


@dataclass(frozen=True)
class Schedule:
    """All that a seed decides.

    ``processes``: each run is a process of its own, and killed. ``endpoints``: the rate of faults of each. ``steady``:
    blocks come as time passes, else when something new was sent.
    """

    seed: int
    processes: bool
    fees: str
    finality: str
    endpoints: tuple[float, ...]
    quorum: int
    steady: bool
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, seed: int, *, processes: bool) -> Schedule:
        dice = random.Random(seed)
        rate = dice.choice([0.05, 0.15, 0.3, 0.6])
        endpoints = dice.choice([(rate,), (rate, 0.0), (rate, rate)])
        steady = dice.random() < 0.7
        trials = []
        for _ in range(dice.randint(1, 3)):
            events = {dice.randint(1, 60): dice.choice(EVENTS) for _ in range(dice.randint(0, 3))}
            gap = dice.choice([0, 0, 2, 60, 1900, 4000])
            trials.append(Trial({} if processes else events, dice.randint(1, 45), gap))
        return cls(
            seed,
            processes,
            dice.choice(list(FEES)),
            dice.choice(["instant", "depth:2"]) if steady else "instant",
            endpoints,
            dice.randint(1, len(endpoints)),
            steady,
            tuple(trials),
        )

    def faults(self, endpoint: int) -> Callable[[Sequence[str]], Fault | None]:
        """What an endpoint's requests meet, one after the other."""
        dice, rate = random.Random(f"{self.seed}/{endpoint}"), self.endpoints[endpoint]

        def draw(methods: Sequence[str]) -> Fault | None:
            sends = "eth_sendRawTransaction" in methods
            kinds = dice.choice([NETWORK, tuple(SAYING) if sends else READING])
            hit, kind, number = dice.random() < rate, dice.choice(kinds), dice.getrandbits(32)
            return Fault(kind, number) if hit else None

        return draw


EVENTS = ("crash", "crash", "another run", "foreign", "reorg", "block")


# -- who meets it ------------------------------------------------------------------------------------------------------


@dataclass
class Time:
    """Seconds that pass when somebody sleeps, and blocks with them if they come ``steady``."""

    steady: bool
    mine: Callable[[], None]
    seconds: float = 0
    _lock: Any = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            before, self.seconds = self.seconds, self.seconds + seconds
            if self.steady:
                for _ in range(int(self.seconds // PERIOD_SECONDS) - int(before // PERIOD_SECONDS)):
                    self.mine()


@dataclass
class Watched:
    """Real HTTP, with a hook before and after each request."""

    inner: HttpTransport
    hook: Callable[[str], None]

    def post(self, url: str, body: bytes) -> Reply:
        self.hook("request")
        reply = self.inner.post(url, body)
        self.hook("answer")
        return reply


def no_hook(operation: str) -> None:
    pass


@dataclass(frozen=True)
class Process:
    """What a submitting process knows: it starts with nothing else. Can be handed to one of its own."""

    ground: Ground
    fees: str
    finality: str
    endpoints: tuple[str, ...]
    quorum: int
    steady: bool

    def submitter(self, store: Store, time: Time, hook: Callable[[str], None] = no_hook) -> Submitter:
        chain = Chain(
            chain_id=138,
            endpoints=self.endpoints,
            read_quorum=self.quorum,
            finality=self.finality,
            confirm_timeout_seconds=6 * PATIENCE,
            fees=FEES[self.fees],
        )
        client = ChainClient(
            "main",
            138,
            self.endpoints,
            transport=Watched(HttpTransport(20), hook),
            read_quorum=self.quorum,
            sleep=time.sleep,
        )
        return Submitter(
            client,
            chain,
            WatchedStore(store, hook),
            SIGNERS.__getitem__,
            clock=lambda: time.seconds,
            sleep=time.sleep,
        )

    def run(self, store: Store, time: Time, hook: Callable[[str], None] = no_hook) -> None:
        submitter, intents = self.submitter(store, time, hook), self.ground.intents()
        submitter.submit(intents)
        submitter.confirm(intents)

    def die(self, folder: Path, at: int) -> None:
        """Run until operation ``at``, and end there as if the machine's plug was pulled."""
        count = 0

        def hook(operation: str) -> None:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(AttestError):
            self.run(LocalStore(folder), Time(self.steady, BesuRules(self.ground.url).mine), hook)


@dataclass
class Theatre:
    """A node, three proxies in front of it (two to be faulty, one healthy), and the state to return to."""

    ground: Ground
    node: BesuRules
    proxies: Sequence[Proxy]
    snapshot: str = ""
    story: list[str] = field(default_factory=list)

    def start_over(self, seconds: int = 0) -> None:
        """The node as it was after the deployment, and so many seconds later: anvil mixes up the states of blocks that
        it made before, and forgets that of blocks before the one that it goes back to."""
        self.node.on_sent, self.node.allowed, self.node.min_gas_price = lambda: None, None, 0
        for proxy in self.proxies:
            proxy.start_over(no_faults)
        if self.snapshot:
            self.node.go_back(self.snapshot)
        self.snapshot = self.node.rpc("evm_snapshot")
        if int(self.node.rpc("eth_gasPrice"), 16):
            self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE))
        self.node.rpc("evm_mine", self._now() + 1 + seconds)
        self.node.rpc("anvil_mine", "0x2")
        self.story = []

    def process(self, fees: str) -> Process:
        """One that only knows the healthy endpoint, on a chain of steady blocks."""
        return Process(self.ground, fees, "instant", (self.proxies[2].url,), 1, True)

    def play(self, schedule: Schedule, folder: Path) -> None:
        """All that the schedule says, then healthy runs to the end; raises ``AssertionError`` unless each intent landed
        once."""
        self.start_over(schedule.seed)
        time = Time(schedule.steady, self.node.mine)
        if not schedule.steady:
            self.node.on_sent = self.node.mine
        urls = [proxy.url for proxy in self.proxies]
        count = len(schedule.endpoints)
        faulty = Process(
            self.ground, schedule.fees, schedule.finality, tuple(urls[:count]), schedule.quorum, schedule.steady
        )
        for number, proxy in enumerate(self.proxies[:count]):
            proxy.start_over(schedule.faults(number))
        store: Store = LocalStore(folder) if schedule.processes else OverlayStore(LocalStore(folder))
        for trial in schedule.trials:
            if trial.gap:
                self.node.mine(self._now() + trial.gap)
            if schedule.processes:
                self._kill(faulty, trial, folder)
            else:
                self._try(faulty, trial, store, time)

        healthy = replace(faulty, endpoints=(urls[2],), quorum=1)
        self._finish(healthy, store, time, random.Random(schedule.seed).randrange(2))
        self.assert_each_landed_once()

    def _kill(self, faulty: Process, trial: Trial, folder: Path) -> None:
        process = CONTEXT.Process(target=faulty.die, args=(folder, trial.killed_at))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "it failed with something else than a clear refusal"
        self.story.append(f"process killed at operation {trial.killed_at}: {process.exitcode}")

    def _try(self, faulty: Process, trial: Trial, store: Store, time: Time) -> None:
        count, lock = 0, threading.Lock()

        def hook(operation: str) -> None:
            nonlocal count
            with lock:
                count += 1
                event = trial.events.get(count)
            if event:
                self.story.append(f"{event} at operation {count} ({operation})")
                self._happen(event, faulty, store, time)

        try:
            faulty.run(store, time, hook)
            self.story.append("run: confirmed")
        except Crash:
            self.story.append("run: crashed")
        except AttestError as refusal:
            self.story.append(f"run: {refusal.code}: {refusal.message[:300]}")
            if not refusal.advice:
                raise

    def _happen(self, event: str, faulty: Process, store: Store, time: Time) -> None:
        if event == "crash":
            raise Crash
        if event == "another run":
            with contextlib.suppress(AttestError):
                faulty.run(store, time)
        elif event == "foreign":
            sender = next(iter(SIGNERS))
            nonce = int(self.node.rpc("eth_getTransactionCount", sender, "latest"), 16)
            price = 3 * int(self.node.rpc("eth_gasPrice"), 16)
            raw = SIGNERS[sender].sign_transaction(Transaction("legacy", 138, nonce, sender, 0, b"", 21_000, price))
            self.node.batch([{"id": 1, "method": "eth_sendRawTransaction", "params": [f"0x{raw.hex()}"]}])
        elif event == "reorg":
            self.node.reorganise(2)
        else:
            self.node.mine()

    def _finish(self, healthy: Process, store: Store, time: Time, late: int) -> None:
        """A run over a healthy endpoint. A reorganisation may have set the chain's time back behind a report that was
        sent; then it is told, and sent anew by the next."""
        intents = self.ground.intents()
        for _ in range(2):
            submitter = healthy.submitter(store, time)
            try:
                submitter.submit(intents)
                if late == 0:
                    self._deliver_late()
                submitter.confirm(intents, timeout_seconds=1000)
                self.story.append("healthy run: confirmed")
                break
            except ChainError as refusal:
                self.story.append(f"healthy run: {refusal.code}: {refusal.message[:300]}")
                if refusal.code != "transaction-reverted":
                    raise
        self._deliver_late()
        for _ in range(3):
            self.node.mine()

    def _deliver_late(self) -> None:
        for proxy in self.proxies:
            proxy.deliver_late()

    def _now(self) -> int:
        return int(self.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def assert_each_landed_once(self) -> None:
        reported = _topic("ReserveReported(address,address,uint256,uint256)")
        logs = self.node.rpc(
            "eth_getLogs",
            {"fromBlock": hex(self.ground.block + 1), "address": self.ground.oracle, "topics": [reported]},
        )
        landed = Counter((log["topics"][1][26:], log["topics"][2][26:]) for log in logs)
        wanted = Counter(
            (token[2:].lower(), sender[2:].lower()) for token in self.ground.tokens.values() for sender in SIGNERS
        )
        assert landed == wanted, {"twice": landed - wanted, "never": wanted - landed}

    def told(self) -> str:
        """What happened, for a failure."""
        lines = [f"endpoint {number}: {line}" for number, proxy in enumerate(self.proxies) for line in proxy.log]
        return "\n".join([*self.story, *lines])


@cache
def _topic(signature: str) -> str:
    from eth_hash.auto import keccak

    return f"0x{keccak(signature.encode()).hex()}"
