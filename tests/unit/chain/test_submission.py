"""Exactly-once submission against a simulated node: restarts, races, stuck and foreign transactions, finality."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.chain.journal import JournalEntry
from attest.chain.rpc import ChainClient
from attest.chain.submission import Intent, Submitter
from attest.config import Chain, Fees
from attest.errors import ChainError, ConflictError, OperatorError
from attest.posting import TransportFault
from attest.records import from_json, to_json
from attest.signing.transaction import Transaction, TransactionSigner
from attest.store import LocalStore, OverlayStore, Store
from tests.support.chains import Error
from tests.support.mempool import (
    GENESIS,
    MAX_AGE,
    ORACLE,
    Crash,
    Endpoint,
    Endpoints,
    Ledger,
    QuickSigner,
    WatchedStore,
    decoded,
    report,
)

SIGNERS = {key.address: key for key in (QuickSigner(bytes([n]) * 32) for n in (0x11, 0x22, 0x33))}
ALICE, BOB, CAROL = SIGNERS
LEGACY = Fees(kind="legacy", max_fee_per_gas=1000, replace_after_seconds=10)
FREE = Fees(kind="free", replace_after_seconds=10)
TYPE_2 = Fees(kind="eip1559", max_fee_per_gas=1000, max_priority_fee_per_gas=2, replace_after_seconds=10)


def intent(sender: str, token: int, *, reserve: int = 1_000_000, name: str = "2026-W47") -> Intent:
    return Intent(
        id=f"report/{name}/1/T{token}/{sender}",
        sender=sender,
        to=ORACLE,
        description=f"report T{token} by {sender} ({name})",
        build=lambda timestamp: report(token, reserve, timestamp),
        valid_seconds=MAX_AGE,
    )


@dataclass
class World:
    """A ledger, its endpoints, a journal and a clock that moves when somebody sleeps."""

    store: Store
    ledger: Ledger = field(default_factory=Ledger)
    fees: Fees = LEGACY
    finality: str = "instant"
    count: int = 1
    quorum: int = 1
    seconds: float = 0
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for n in range(self.count):
            self.endpoints[f"http://node-{n}:8545"] = Endpoint(self.ledger)

    @property
    def endpoint(self) -> Endpoint:
        return next(iter(self.endpoints.values()))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.ledger.pass_time(seconds)

    def submitter(
        self, store: Store | None = None, signer: Callable[[str], TransactionSigner] = SIGNERS.__getitem__
    ) -> Submitter:
        """A new process: it knows the configuration and the store, and nothing else."""
        chain = Chain(
            chain_id=138,
            endpoints=tuple(self.endpoints),
            read_quorum=self.quorum,
            finality=self.finality,
            confirm_timeout_seconds=600,
            fees=self.fees,
        )
        client = ChainClient(
            "main",
            138,
            tuple(self.endpoints),
            transport=Endpoints(self.endpoints),
            read_quorum=self.quorum,
            sleep=self.sleep,
        )
        return Submitter(client, chain, store or self.store, signer, clock=lambda: self.seconds, sleep=self.sleep)

    def journal(self) -> list[JournalEntry]:
        return [self.entry(key) for key in self.store.list("tx")]

    def entry(self, key: str) -> JournalEntry:
        data = self.store.get(key)
        assert data is not None
        return from_json(JournalEntry, data, key)

    def successes(self) -> Counter[tuple[str, bytes]]:
        """How often each (sender, token and reserve) was reported with success."""
        return Counter(
            (landed.sender, landed.transaction.data[4:68])
            for landed in self.ledger.landed()
            if landed.succeeded and landed.transaction.to == ORACLE
        )

    def assert_each_landed_once(self, intents: Sequence[Intent]) -> None:
        assert self.successes() == Counter((each.sender, each.build(0)[4:68]) for each in intents)


@pytest.fixture(autouse=True)
def _quick_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transactions are decoded over and over, by many processes of one test."""
    monkeypatch.setattr("attest.chain.journal.decode", decoded)
    monkeypatch.setattr("attest.chain.submission.decode", decoded)


def memory() -> Store:
    """A store without a disk behind it."""
    return OverlayStore(LocalStore(Path("/nonexistent")))


@pytest.fixture
def world() -> World:
    return World(memory())


THREE = [intent(ALICE, 1), intent(ALICE, 2), intent(BOB, 1)]


# -- the plain way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fees", [LEGACY, FREE, TYPE_2], ids=lambda fees: fees.kind)
@pytest.mark.parametrize("finality", ["instant", "depth:3"])
def test_submit_and_confirm__several_senders__each_lands_once_with_its_receipt(
    world: World, fees: Fees, finality: str
) -> None:
    world.fees, world.finality = fees, finality
    if fees.kind == "free":
        world.ledger.base_fee = world.ledger.gas_price = 0
        world.ledger.balances = dict.fromkeys(SIGNERS, 0)
    submitter = world.submitter()

    entries = submitter.submit(THREE)
    receipts = submitter.confirm(THREE)

    world.assert_each_landed_once(THREE)
    assert [entry.intent for entry in entries] == [receipt.intent for receipt in receipts] == [i.id for i in THREE]
    assert [(r.sender, r.nonce) for r in receipts] == [(ALICE, 0), (ALICE, 1), (BOB, 0)]
    assert [r.transaction for r in receipts] == [entry.hash for entry in entries]
    assert world.endpoint.sent == [f"0x{entry.raw}" for entry in entries], "in the order of their nonces"
    for receipt in receipts:
        block = world.ledger.blocks[receipt.block_number]
        assert block.header["hash"] == f"0x{receipt.block}"
        assert receipt.transaction in [landed.hash for landed in block.transactions]
        assert len(world.ledger.blocks) - 1 - receipt.block_number >= (3 if finality == "depth:3" else 0)
    assert {entry.kind for entry in entries} == {"eip1559" if fees.kind == "eip1559" else "legacy"}
    assert all(entry.timestamp == GENESIS for entry in entries)


@pytest.mark.parametrize("tokens", [1, 30])
def test_submit_and_confirm__any_number_of_intents__three_requests_and_one_per_poll(world: World, tokens: int) -> None:
    world.ledger.automine, world.ledger.every = True, None
    intents = [intent(sender, token) for token in range(tokens) for sender in (ALICE, BOB)]
    submitter = world.submitter()

    submitter.submit(intents)
    assert len(world.endpoint.requests) == 3
    submitter.confirm(intents)
    assert len(world.endpoint.requests) == 4
    world.assert_each_landed_once(intents)


def test_submit__all_landed_already__a_new_process_sends_and_signs_nothing(world: World) -> None:
    first = world.submitter()
    first.submit(THREE)
    receipts = first.confirm(THREE)
    before, sent = world.store.list("tx"), list(world.endpoint.sent)
    world.endpoint.requests.clear()

    def no_signer(address: str) -> TransactionSigner:
        raise AssertionError("nothing is to be signed")

    second = world.submitter(signer=no_signer)
    entries = second.submit(THREE)

    assert len(world.endpoint.requests) == 2
    assert second.confirm(THREE) == receipts
    assert len(world.endpoint.requests) == 3
    assert world.endpoint.sent == []
    assert len(sent) == 3
    assert world.store.list("tx") == before
    assert [entry.hash for entry in entries] == [receipt.transaction for receipt in receipts]


def test_submit__the_next_period__uses_the_next_nonces_and_no_counter(world: World) -> None:
    submitter = world.submitter()
    submitter.submit(THREE)
    submitter.confirm(THREE)
    later = [intent(ALICE, 1, reserve=7, name="2026-W48"), intent(BOB, 1, reserve=7, name="2026-W48")]

    entries = world.submitter().submit(later)

    assert [entry.key for entry in entries] == [f"tx/138/{ALICE}/2/0", f"tx/138/{BOB}/1/0"]
    world.submitter().confirm(later)
    world.assert_each_landed_once([*THREE, *later])


def test_journal__before_the_first_broadcast__holds_every_signed_transaction(world: World) -> None:
    seen: list[int] = []
    world.endpoint.before = lambda methods: (
        seen.append(len(world.store.list("tx"))) if "eth_sendRawTransaction" in methods else None
    )

    world.submitter().submit(THREE)

    assert seen == [3]
    for entry in world.journal():
        assert f"0x{entry.raw}" in world.endpoint.sent


# -- crashes and races -------------------------------------------------------------------------------------------------


class Fuse:
    """Counts operations and ends the process at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def tick(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.at:
            raise Crash


def run(world: World, store: Store, intents: Sequence[Intent]) -> None:
    submitter = world.submitter(store)
    submitter.submit(intents)
    submitter.confirm(intents)


def by_intent(entries: Sequence[JournalEntry], intents: Sequence[Intent]) -> list[JournalEntry]:
    return [next(entry for entry in entries if entry.intent == each.id) for each in intents]


def refusal_of(work: Callable[[], None]) -> str:
    """The code of the error that ended some work, or nothing."""
    try:
        work()
    except ChainError as refusal:
        return refusal.code
    return ""


def operations(world: World, intents: Sequence[Intent]) -> int:
    """How many operations a whole run takes."""
    fuse = Fuse(-1)
    world.endpoint.before = world.endpoint.after = fuse.tick
    run(world, WatchedStore(world.store, fuse.tick), intents)
    return fuse.count


def at_once() -> Ledger:
    return Ledger(automine=True, every=None)


def swallowed() -> Ledger:
    """The first transactions are lost while blocks come, so they have to be replaced."""
    ledger = Ledger()
    ledger.swallow = 2
    return ledger


LEDGERS = pytest.mark.parametrize(
    "ledger", [at_once, Ledger, swallowed], ids=["mined-at-once", "mined-later", "replaced"]
)


@LEDGERS
def test_run__crashed_at_any_operation__the_next_process_lands_each_intent_once(
    ledger: Callable[[], Ledger],
) -> None:
    total = operations(World(memory(), ledger()), THREE)
    assert total >= 18
    for at in range(1, total + 1):
        world = World(memory(), ledger())
        fuse = Fuse(at)
        world.endpoint.before = world.endpoint.after = fuse.tick
        with pytest.raises(Crash):
            run(world, WatchedStore(world.store, fuse.tick), THREE)

        world.endpoint.before = world.endpoint.after = lambda methods: None
        run(world, world.store, THREE)

        world.assert_each_landed_once(THREE)
        assert len({(entry.sender, entry.nonce) for entry in world.journal()}) == 3, "no intent has two nonces"


@LEDGERS
def test_run__another_process_runs_wholly_at_any_operation__each_lands_once_and_both_agree(
    ledger: Callable[[], Ledger],
) -> None:
    intents = THREE[:2]
    for at in range(1, operations(World(memory(), ledger()), intents) + 1):
        world = World(memory(), ledger())
        fuse = Fuse(-1)

        def tick(operation: Any, world: World = world, fuse: Fuse = fuse, at: int = at) -> None:
            fuse.tick()
            if fuse.count == at:
                run(world, world.store, list(reversed(intents)))

        world.endpoint.before = world.endpoint.after = tick
        submitter = world.submitter(WatchedStore(world.store, tick))
        submitter.submit(intents)
        receipts = submitter.confirm(intents)
        assert fuse.count >= at, "the other process has to run"

        world.assert_each_landed_once(intents)
        assert receipts == world.submitter().confirm(intents)
        assert len({entry.nonce for entry in world.journal()}) == 2, "no intent has two nonces"


EVENTS = st.one_of(
    st.tuples(st.just("crash"), st.integers(1, 45)),
    st.tuples(st.just("wait"), st.sampled_from([2, 30, 300, MAX_AGE])),
    st.tuples(st.just("reorganise"), st.integers(1, 3)),
    st.tuples(st.just("drop"), st.just(0)),
    st.tuples(st.just("swallow"), st.integers(1, 3)),
    st.tuples(st.just("foreign"), st.just(0)),
    st.tuples(st.just("dearer"), st.integers(10, 60)),
    st.tuples(st.just("other command"), st.integers(3, 5)),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=10), fees=st.sampled_from([LEGACY, TYPE_2]))
def test_run__any_series_of_misfortunes__in_the_end_each_lands_once(events: list[tuple[str, int]], fees: Fees) -> None:
    world = World(memory(), fees=fees, finality="depth:4")
    wanted = list(THREE)

    def interrupted(intents: Sequence[Intent], at: int) -> None:
        fuse = Fuse(at)
        world.endpoint.before = world.endpoint.after = fuse.tick
        with contextlib.suppress(Crash, ChainError):
            run(world, WatchedStore(world.store, fuse.tick), intents)
        world.endpoint.before = world.endpoint.after = lambda methods: None

    for event, number in events:
        if event == "crash":
            interrupted(THREE, number)
        elif event == "wait":
            world.ledger.mine(number)
        elif event == "reorganise":
            world.ledger.reorganise(min(number, len(world.ledger.blocks) - 1))
        elif event == "drop":
            world.ledger.mempool.clear()
        elif event == "swallow":
            world.ledger.swallow += number
        elif event == "foreign":
            world.ledger.mempool[ALICE, world.ledger.head.nonces.get(ALICE, 0)] = foreign(
                ALICE, world.ledger.head.nonces.get(ALICE, 0)
            )
        elif event == "dearer":
            world.ledger.base_fee = world.ledger.gas_price = number
        else:
            wanted.append(intent(ALICE, number, name=f"other {number}"))
            interrupted(wanted[-1:], 25)

    wanted = list({each.id: each for each in wanted}.values())
    # A reorganisation may set the chain's time back behind a report that was sent; then it is told, and sent anew.
    assert refusal_of(lambda: run(world, world.store, wanted)) in ("", "transaction-reverted")
    run(world, world.store, wanted)
    world.assert_each_landed_once(wanted)


def test_submit__two_commands_with_different_intents_interleaved__no_nonce_is_shared() -> None:
    ours, theirs = [intent(ALICE, 1), intent(ALICE, 2)], [intent(ALICE, 8), intent(ALICE, 9)]
    for at in range(1, 12):
        world = World(memory())
        fuse = Fuse(-1)

        def meanwhile(operation: str, world: World = world, fuse: Fuse = fuse, at: int = at) -> None:
            fuse.tick()
            if fuse.count == at:
                world.submitter().submit(theirs)

        world.submitter(WatchedStore(world.store, meanwhile)).submit(ours)
        if fuse.count < at:
            break
        world.submitter().confirm([*ours, *theirs])

        world.assert_each_landed_once([*ours, *theirs])
        assert sorted(entry.nonce for entry in world.journal()) == [0, 1, 2, 3]
    else:
        pytest.fail("the first command has fewer operations than that")


# -- the network lies, loses and repeats -------------------------------------------------------------------------------


def test_submit__connection_lost_after_the_node_took_it__no_failure_and_confirmed(world: World) -> None:
    def lose(methods: list[str]) -> None:
        if "eth_sendRawTransaction" in methods:
            raise TransportFault("the exchange broke off", again=True)

    world.endpoint.after = lose
    submitter = world.submitter()

    submitter.submit(THREE)
    submitter.confirm(THREE)

    world.assert_each_landed_once(THREE)
    assert len(world.endpoint.sent) == 3


def test_confirm__transaction_dropped_before_the_node_saw_it__sent_again_as_it_was(world: World) -> None:
    world.ledger.every = None  # no block comes, so the price is no reason yet
    drops = [1]

    def drop(methods: list[str]) -> None:
        if "eth_sendRawTransaction" in methods and drops:
            drops.pop()
            raise TransportFault("no complete answer within 20 s", again=True)

    world.endpoint.before = drop
    submitter = world.submitter()
    (entry,) = submitter.submit(THREE[:1])
    world.ledger.automine = True

    (receipt,) = submitter.confirm(THREE[:1])

    assert receipt.transaction == entry.hash
    assert world.endpoint.sent == [f"0x{entry.raw}"] * 2


def test_submit__second_process_while_the_first_waits__the_node_says_known_and_nothing_fails(world: World) -> None:
    world.ledger.every = None
    first = world.submitter().submit(THREE)

    second = world.submitter().submit(THREE)

    assert second == first
    assert world.endpoint.sent[3:] == world.endpoint.sent[:3]
    assert len(world.journal()) == 3


def test_confirm__endpoint_away_for_a_while__waits_it_out(world: World) -> None:
    submitter = world.submitter()
    submitter.submit(THREE)
    away = [TransportFault("refused", again=False)] * 3

    def fail(methods: list[str]) -> None:
        if away:
            raise away.pop()

    world.endpoint.before = fail
    assert len(submitter.confirm(THREE)) == 3
    assert not away


def test_submit__several_endpoints__each_gets_every_transaction(world: World) -> None:
    world = World(world.store, count=3, quorum=2)
    submitter = world.submitter()

    submitter.submit(THREE)
    submitter.confirm(THREE)

    for endpoint in world.endpoints.values():
        assert len(endpoint.sent) == 3
    world.assert_each_landed_once(THREE)


def view_of(ledger: Ledger, blocks: int, gas_price: int = 10) -> Ledger:
    """The same chain as another node knows it: so many blocks of it, and its own idea of the price."""
    other = Ledger(every=None, gas_price=gas_price)
    other.blocks, other.mempool = ledger.blocks[:blocks], ledger.mempool
    return other


def test_submit__endpoints_at_different_heights_and_prices__head_that_enough_have_and_the_highest_price(
    world: World,
) -> None:
    world = World(world.store, count=3, quorum=2)
    world.ledger.every = None
    for _ in range(5):
        world.ledger.mine()
    _, second, third = world.endpoints.values()
    second.ledger, third.ledger = view_of(world.ledger, 4, gas_price=800), view_of(world.ledger, 2)

    entries = world.submitter().submit(THREE)

    assert {entry.timestamp for entry in entries} == {GENESIS + 6}
    assert {entry.max_fee_per_gas for entry in entries} == {900}


def test_submit__one_endpoint_lags_behind_our_earlier_transactions__goes_on_after_them(world: World) -> None:
    world = World(world.store, count=2)
    first = world.submitter()
    first.submit(THREE)
    first.confirm(THREE)
    later = [intent(ALICE, 1, reserve=7, name="2026-W48")]
    world.endpoint.ledger = view_of(world.ledger, 1)

    assert [entry.nonce for entry in world.submitter().submit(later)] == [2]


def test_confirm__only_one_of_two_endpoints_shows_the_receipt__not_confirmed(world: World) -> None:
    world = World(world.store, count=2, quorum=2)
    submitter = world.submitter()
    submitter.submit(THREE[:1])
    world.ledger.every = None
    fork = Ledger(every=None)
    fork.blocks = [*world.ledger.blocks]
    fork.mine()
    world.ledger.mine()
    list(world.endpoints.values())[1].ledger = fork

    with pytest.raises(ChainError) as refusal:
        submitter.confirm(THREE[:1], timeout_seconds=5)

    assert refusal.value.code == "not-confirmed"
    assert "is not mined" in refusal.value.message


# -- stuck and foreign -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fees", [LEGACY, FREE, TYPE_2], ids=lambda fees: fees.kind)
def test_confirm__stuck_while_blocks_come__replaced_at_the_same_nonce(world: World, fees: Fees) -> None:
    world.fees = fees
    world.ledger.base_fee, world.ledger.gas_price = (0, 0) if fees.kind == "free" else (7, 10)
    submitter = world.submitter()
    (first,) = submitter.submit(THREE[:1])
    hidden = world.ledger.mempool.pop((ALICE, 0))
    world.ledger.mine(100)

    (receipt,) = submitter.confirm(THREE[:1])

    attempts = world.journal()
    assert [(entry.nonce, entry.attempt) for entry in attempts] == [(0, 0), (0, 1)]
    assert receipt.transaction == attempts[1].hash
    assert attempts[1].timestamp > first.timestamp
    assert attempts[1].data == THREE[0].build(attempts[1].timestamp).hex()
    if fees.kind == "free":
        assert (attempts[1].max_fee_per_gas, attempts[1].gas) == (0, first.gas + 1)
    else:
        assert 8 * attempts[1].max_fee_per_gas >= 9 * first.max_fee_per_gas
        assert 8 * attempts[1].max_priority_fee_per_gas >= 9 * first.max_priority_fee_per_gas
    with pytest.raises(Error, match="Nonce too low"):
        world.ledger.accept(hidden)
    world.assert_each_landed_once(THREE[:1])


@pytest.mark.parametrize("fees", [LEGACY, FREE, TYPE_2], ids=lambda fees: fees.kind)
def test_confirm__chain_that_mines_on_demand_left_one_waiting__sent_again_once_then_replaced(
    world: World, fees: Fees
) -> None:
    world.fees, world.ledger.every = fees, None
    world.ledger.base_fee, world.ledger.gas_price = (0, 0) if fees.kind == "free" else (7, 10)
    world.submitter().submit(THREE)
    world.ledger.automine = True  # from now on: a block for whatever is new to the node, and for nothing else

    again = world.submitter()
    first = again.submit(THREE)
    again.confirm(THREE)

    world.assert_each_landed_once(THREE)
    attempts = Counter((entry.sender, entry.nonce) for entry in world.journal())
    assert attempts == {(ALICE, 0): 2, (ALICE, 1): 2, (BOB, 0): 2}
    assert world.endpoint.sent[:9] == [f"0x{entry.raw}" for entry in first] * 3, "by the killed process, then twice"
    assert 20 <= world.seconds < 30


def test_confirm__reports_submitted_by_another_process_wait_on_such_a_chain__replaced_too(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE)
    world.ledger.automine = True

    world.submitter().confirm(THREE)

    world.assert_each_landed_once(THREE)
    assert world.endpoint.sent[3:6] == world.endpoint.sent[:3]
    assert 20 <= world.seconds < 30


def test_confirm__chain_stands_still__the_price_rises_ever_more_slowly_from_run_to_run(world: World) -> None:
    world.ledger.every = None
    times_sent: Counter[str] = Counter()
    attempts = []
    for _ in range(3):
        world.endpoint.requests.clear()
        submitter = world.submitter()
        submitter.submit(THREE[:1])
        with pytest.raises(ChainError, match="is not mined"):
            submitter.confirm(THREE[:1])
        times_sent += Counter(world.endpoint.sent)
        attempts.append(len(world.journal()))

    *replaced, _ = sorted(world.journal(), key=lambda entry: entry.attempt)
    assert all(times_sent[f"0x{entry.raw}"] >= entry.attempt + 2 for entry in replaced)
    assert 3 < attempts[0] < 12, "of 60 waits"
    assert attempts[2] - attempts[0] < attempts[0]
    world.ledger.mine()
    world.assert_each_landed_once(THREE[:1])


def test_confirm__chain_stands_still__never_offered_more_than_the_cap(world: World) -> None:
    world.fees = LEGACY.model_copy(update={"max_fee_per_gas": 15})
    world.ledger.every = None
    submitter = world.submitter()
    submitter.submit(THREE[:1])

    with pytest.raises(ChainError, match="is not mined"):
        submitter.confirm(THREE[:1])

    assert [entry.max_fee_per_gas for entry in world.journal()] == [12, 14]


def test_confirm__first_attempt_lands_though_it_was_replaced__confirmed_by_it(world: World) -> None:
    submitter = world.submitter()
    (first,) = submitter.submit(THREE[:1])
    hidden = world.ledger.mempool.pop((ALICE, 0))

    def bring_back(methods: list[str]) -> None:
        if "eth_sendRawTransaction" in methods:
            world.ledger.mempool[ALICE, 0] = hidden

    world.endpoint.after = bring_back
    (receipt,) = submitter.confirm(THREE[:1])

    assert len(world.journal()) == 2
    assert receipt.transaction == first.hash


def test_confirm__price_rose_above_the_offer__replaced_up_to_the_cap_and_never_beyond(world: World) -> None:
    submitter = world.submitter()
    submitter.submit(THREE[:1])
    world.ledger.base_fee = world.ledger.gas_price = 5000

    with pytest.raises(ChainError) as refusal:
        submitter.confirm(THREE[:1])

    assert refusal.value.code == "not-confirmed"
    assert max(entry.max_fee_per_gas for entry in world.journal()) <= 1000

    world.ledger.base_fee = world.ledger.gas_price = 500
    again = world.submitter()
    again.submit(THREE[:1])
    again.confirm(THREE[:1])
    world.assert_each_landed_once(THREE[:1])


def test_submit__report_in_the_journal_is_about_to_be_stale__replaced_by_a_fresh_one(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE)
    world.ledger.mempool.clear()
    world.ledger.mine(MAX_AGE // 2 + 1)

    entries = world.submitter().submit(THREE)

    assert [entry.attempt for entry in entries] == [1, 1, 1]
    assert {entry.timestamp for entry in entries} == {world.ledger.now}
    world.ledger.mine()
    world.assert_each_landed_once(THREE)


def test_submit__two_processes_replace_at_different_heads__both_send_the_one_that_was_journaled(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE[:1])
    world.ledger.mempool.clear()
    world.ledger.mine(MAX_AGE // 2 + 1)
    others: list[JournalEntry] = []

    def meanwhile(operation: str) -> None:
        if operation == "create" and not others:
            world.ledger.mine()
            others.extend(world.submitter().submit(THREE[:1]))

    entries = world.submitter(WatchedStore(world.store, meanwhile)).submit(THREE[:1])

    assert list(entries) == others
    assert others[0].timestamp == world.ledger.now
    assert {entry.raw for entry in world.journal()} == {raw[2:] for raw in world.endpoint.sent}


def test_submit__journaled_report_is_later_than_the_head__replaced_by_one_that_is_not(world: World) -> None:
    world.ledger.every = None
    world.ledger.mine(500)
    abandon_unsent(world, THREE)
    world.ledger.reorganise(1)

    entries = world.submitter().submit(THREE)

    assert {(entry.attempt, entry.timestamp) for entry in entries} == {(1, GENESIS)}
    world.ledger.mine()
    world.assert_each_landed_once(THREE)


def test_submit__report_in_the_journal_at_half_its_life__sent_as_it_is(world: World) -> None:
    world.ledger.every = None
    first = world.submitter().submit(THREE)
    world.ledger.mempool.clear()
    world.ledger.mine(MAX_AGE // 2)

    assert world.submitter().submit(THREE) == first


def foreign(sender: str, nonce: int, price: int = 900) -> bytes:
    """A transaction that another tool made with the same key."""
    transaction = Transaction("legacy", 138, nonce, CAROL, 5, b"", 21_000, price)
    return SIGNERS[sender].sign_transaction(transaction)


@pytest.mark.parametrize("finality", ["instant", "depth:8"])
def test_confirm__foreign_transaction_took_the_nonce__another_nonce_only_once_that_is_final(
    world: World, finality: str
) -> None:
    world.finality = finality
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.mempool[ALICE, 0] = foreign(ALICE, 0)
    blocks: list[int] = []

    def note(operation: str) -> None:
        if operation == "create":
            blocks.append(len(world.ledger.blocks) - 1)

    again = world.submitter(WatchedStore(world.store, note))
    receipts = again.confirm(THREE)

    world.assert_each_landed_once(THREE)
    assert [receipt.nonce for receipt in receipts] == [2, 1, 0]
    (taken,) = [
        n
        for n, block in enumerate(world.ledger.blocks)
        for landed in block.transactions
        if landed.transaction.to == CAROL
    ]
    assert len(blocks) == 1
    assert blocks[0] - taken >= (8 if finality == "depth:8" else 0)

    # A new process sees at once that they landed, though one of them has lost a nonce.
    world.endpoint.requests.clear()
    assert world.submitter().confirm(THREE) == receipts
    assert len(world.endpoint.requests) == 1


def test_submit__node_knows_the_used_nonces_but_not_yet_the_receipts__refused_and_nothing_sent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.submitter().submit(THREE)
    world.ledger.mine()
    world.ledger.mine()
    entries = world.journal()
    monkeypatch.setattr(world.ledger, "receipt", lambda digest: None)

    assert refusal_of(lambda: run(world, world.store, THREE)) == "would-revert"

    monkeypatch.undo()
    run(world, world.store, THREE)
    assert world.journal() == entries
    world.assert_each_landed_once(THREE)


@pytest.mark.parametrize("shown_early", ["the state", "the state and the nonces"])
def test_submit__node_shows_the_state_of_a_block_that_it_is_still_making__seen_to_have_landed_and_nothing_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, shown_early: str
) -> None:
    world.submitter().submit(THREE)
    before = len(world.ledger.blocks) - 1
    world.ledger.mine()
    entries, made = world.journal(), world.ledger.head
    early = {"eth_call", "eth_estimateGas"} | ({"eth_getTransactionCount"} if "nonces" in shown_early else set())
    answer = world.ledger.answer

    def unfinished(method: str, params: list[Any]) -> Any:
        """Of the newest block only the state is there."""
        if world.seconds > 0:
            return answer(method, params)
        if method in early:
            return answer(method, [*params[:-1], "latest"])
        world.ledger.blocks.remove(made)
        try:
            return answer(method, params)
        finally:
            world.ledger.blocks.append(made)

    monkeypatch.setattr(world.ledger, "answer", unfinished)
    world.ledger.every = None
    assert unfinished("eth_getBlockByNumber", ["latest", False])["number"] == hex(before)
    sent = len(world.endpoint.sent)

    carriers = world.submitter().submit(THREE)

    assert 0 < world.seconds < 1
    assert [entry.hash for entry in carriers] == [entry.hash for entry in by_intent(entries, THREE)]
    assert len(world.endpoint.sent) == sent
    assert world.journal() == entries
    world.assert_each_landed_once(THREE)


def test_submit__what_the_journal_holds_would_revert_for_good__refused_after_a_few_looks(world: World) -> None:
    abandon_unsent(world, THREE[:1])
    world.ledger.reporters = {BOB}
    world.endpoint.requests.clear()

    assert refusal_of(lambda: run(world, world.store, THREE[:1])) == "would-revert"

    assert len(world.endpoint.requests) == 8, "two for each of four looks"
    assert 2 <= world.seconds < 3


def test_submit__node_forgets_the_receipts_of_old_reports_for_one_answer__refused_and_nothing_sent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world, world.store, THREE)
    world.ledger.mine(2 * MAX_AGE)
    entries = world.journal()

    def forget(methods: list[str]) -> None:
        if "eth_call" in methods:
            monkeypatch.setattr(world.ledger, "receipt", lambda digest: None)

    world.endpoint.before, world.endpoint.after = forget, lambda methods: monkeypatch.undo()
    submitter = world.submitter()

    with pytest.raises(
        ChainError, match=f"report T1 by {ALICE}.*: an endpoint said that its nonce 0 is used"
    ) as refusal:
        submitter.submit(THREE)

    assert refusal.value.code == "state-unavailable"
    world.endpoint.before = world.endpoint.after = lambda methods: None
    run(world, world.store, THREE)
    assert world.journal() == entries
    world.assert_each_landed_once(THREE)


def test_submit__node_lies_about_the_nonces_used__the_contract_takes_one_of_the_two_reports(world: World) -> None:
    world.submitter().submit(THREE)
    waiting, world.ledger.mempool = world.ledger.mempool, {}
    world.ledger.mine()
    world.ledger.head.nonces.update({ALICE: 2, BOB: 1})

    world.submitter().submit(THREE)  # all of them at other nonces
    world.ledger.head.nonces.clear()
    assert len(world.journal()) == 6
    world.ledger.mempool |= waiting
    world.ledger.mine()

    world.assert_each_landed_once(THREE)
    run(world, world.store, THREE)
    assert len(world.journal()) == 6


def test_confirm__foreign_transaction_took_the_nonce_long_ago__the_report_is_a_fresh_one(world: World) -> None:
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.mempool[ALICE, 0] = foreign(ALICE, 0)
    world.ledger.mine()
    world.ledger.mine(MAX_AGE)

    run(world, world.store, THREE)

    world.assert_each_landed_once(THREE)
    assert world.journal()[-1].timestamp > GENESIS + MAX_AGE


def test_submit__nonces_were_used_by_another_tool__begins_after_them(world: World) -> None:
    world.ledger.accept(foreign(ALICE, 0))
    world.ledger.mine()

    entries = world.submitter().submit(THREE)

    assert [entry.nonce for entry in entries] == [1, 2, 0]


def test_confirm__block_with_the_transaction_is_reorganised_away__lands_again_before_it_counts(world: World) -> None:
    world.finality = "depth:5"
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.mine()
    assert sum(world.successes().values()) == 3
    world.ledger.mine()
    world.ledger.reorganise(2)
    assert sum(world.successes().values()) == 0

    receipts = submitter.confirm(THREE)

    world.assert_each_landed_once(THREE)
    for receipt in receipts:
        assert world.ledger.blocks[receipt.block_number].header["hash"] == f"0x{receipt.block}"


def test_confirm__finality_by_tag__waits_for_the_tag(world: World) -> None:
    world.finality = "tag"
    submitter = world.submitter()
    submitter.submit(THREE)

    with pytest.raises(ChainError, match="waits for finality") as refusal:
        submitter.confirm(THREE, timeout_seconds=30)
    assert refusal.value.code == "not-confirmed"

    world.ledger.finalized = len(world.ledger.blocks) - 1
    assert len(submitter.confirm(THREE)) == 3
    world.assert_each_landed_once(THREE)


# -- what stands in the way --------------------------------------------------------------------------------------------


def abandon_unsent(world: World, intents: Sequence[Intent]) -> None:
    """A process that journaled its transactions and died before it sent any."""

    def die(methods: list[str]) -> None:
        if "eth_sendRawTransaction" in methods:
            raise Crash

    world.endpoint.before = die
    with pytest.raises(Crash):
        world.submitter().submit(intents)
    world.endpoint.before = lambda methods: None


def test_submit__an_earlier_intent_was_never_sent__it_is_sent_before_ours(world: World) -> None:
    abandon_unsent(world, THREE)
    later = [intent(ALICE, 3, name="2026-W48")]

    submitter = world.submitter()
    submitter.submit(later)
    submitter.confirm(later)

    assert {entry.intent for entry in world.journal()} == {each.id for each in [*THREE, *later]}
    world.assert_each_landed_once([*THREE[:2], *later])


def test_submit__an_earlier_intent_would_now_revert__voided_by_a_transfer_of_nothing(world: World) -> None:
    abandon_unsent(world, THREE)
    world.ledger.mine(10 * MAX_AGE)
    later = [intent(ALICE, 3, name="2026-W48")]

    submitter = world.submitter()
    submitter.submit(later)
    submitter.confirm(later)

    voids = [entry for entry in world.journal() if entry.purpose == "void"]
    assert [(entry.nonce, entry.attempt, entry.intent) for entry in voids] == [
        (0, 1, THREE[0].id),
        (1, 1, THREE[1].id),
    ]
    assert all((entry.to, entry.value, entry.data) == (ALICE, 0, "") for entry in voids)
    world.assert_each_landed_once(later)

    # Its nonce is over, so the voided intent may land at another one, once.
    again = world.submitter()
    again.submit(THREE)
    assert [receipt.nonce for receipt in again.confirm(THREE)] == [3, 4, 0]
    world.assert_each_landed_once([*THREE, *later])


def test_submit__voided_but_the_void_is_not_mined__the_intent_takes_its_nonce_back(world: World) -> None:
    lasting = replace(THREE[0], valid_seconds=None)
    abandon_unsent(world, [lasting])
    world.ledger.mine(10 * MAX_AGE)
    world.ledger.every = None
    world.submitter().submit([intent(ALICE, 3, name="2026-W48")])
    assert [entry.purpose for entry in world.journal()] == ["intent", "void", "intent"]

    (entry,) = world.submitter().submit([lasting])

    assert (entry.nonce, entry.attempt, entry.purpose) == (0, 2, "intent")
    world.ledger.mine()
    world.assert_each_landed_once([THREE[0], intent(ALICE, 3)])


def test_submit__another_intent_waits_behind_ours__only_ours_is_sent(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE[:1])
    world.submitter().submit([intent(ALICE, 3, name="2026-W48")])
    world.endpoint.requests.clear()

    (entry,) = world.submitter().submit(THREE[:1])

    assert world.endpoint.sent == [f"0x{entry.raw}"]


def test_submit__earlier_nonces_are_taken__nothing_is_signed_for_them(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE)
    signed: list[int] = []

    def sign(transaction: Transaction) -> bytes:
        signed.append(transaction.nonce)
        return SIGNERS[ALICE].sign_transaction(transaction)

    world.submitter(signer=lambda address: Remote(address, sign)).submit([intent(ALICE, 3, name="2026-W48")])

    assert signed == [2]


def test_confirm__stuck_behind_a_stuck_earlier_intent__both_are_replaced(world: World) -> None:
    abandon_unsent(world, THREE[:1])
    later = [intent(ALICE, 3, name="2026-W48")]
    submitter = world.submitter()
    submitter.submit(later)
    world.ledger.mempool.clear()

    submitter.confirm(later)

    assert sorted((entry.nonce, entry.attempt) for entry in world.journal()) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    world.assert_each_landed_once([THREE[0], later[0]])


# -- refusals ----------------------------------------------------------------------------------------------------------


def assert_untouched(world: World) -> None:
    assert world.store.list("tx") == []
    assert world.endpoint.sent == []


def test_submit__one_sender_lacks_the_role__nothing_signed_journaled_or_sent(world: World) -> None:
    world.ledger.reporters = {ALICE}

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "would-revert"
    assert THREE[2].description in refusal.value.message
    assert "the sender lacks the role" in refusal.value.message
    assert THREE[0].description not in refusal.value.message
    assert_untouched(world)


def test_submit__balance_does_not_cover_the_gas__refused_naming_the_account_and_amounts(world: World) -> None:
    needed = 2 * 90_000 * 12
    world.ledger.balances[ALICE] = needed - 1

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "balance-too-low"
    for named in (ALICE, str(needed), str(needed - 1)):
        assert named in refusal.value.message
    assert BOB not in refusal.value.message
    assert_untouched(world)

    world.ledger.balances[ALICE] = needed
    assert len(world.submitter().submit(THREE)) == 3


@pytest.mark.parametrize(
    ("fees", "code"),
    [
        (replace_fees, code)
        for replace_fees, code in [
            (Fees(kind="legacy", max_fee_per_gas=9), "fee-cap"),
            (Fees(kind="eip1559", max_fee_per_gas=6, max_priority_fee_per_gas=1), "fee-cap"),
            (Fees(kind="legacy", max_fee_per_gas=1000, max_gas=59_999), "gas-cap"),
        ]
    ],
)
def test_submit__dearer_than_the_caps__refused(world: World, fees: Fees, code: str) -> None:
    world.fees = fees

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == code
    assert refusal.value.advice
    assert_untouched(world)


def test_submit__gas_is_exactly_the_cap__sent_with_that_limit(world: World) -> None:
    world.fees = Fees(kind="legacy", max_fee_per_gas=1000, max_gas=60_000)

    assert {entry.gas for entry in world.submitter().submit(THREE)} == {60_000}


def test_submit__gas_is_far_from_the_cap__half_as_much_again_as_estimated(world: World) -> None:
    assert {entry.gas for entry in world.submitter().submit(THREE)} == {90_000}


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Error(-32007, "Sender account not authorized to send transactions"), "permissioning"),
        (Error(-32009, "Gas price below configured minimum gas price"), "max_fee_per_gas"),
        (Error(-32000, "intrinsic gas too low"), "Mend what the endpoint names"),
    ],
    ids=str,
)
def test_submit__no_endpoint_takes_it__told_with_advice_and_sent_again_by_the_next_run(
    world: World, error: Error, advice: str
) -> None:
    world.ledger.refusal = error

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "transaction-refused"
    assert error.plain["message"] in refusal.value.message
    assert "(and 2 more)" in refusal.value.message
    assert advice in refusal.value.advice
    assert len(world.journal()) == 3

    world.ledger.refusal = None
    world.submitter().submit(THREE)
    world.submitter().confirm(THREE)
    world.assert_each_landed_once(THREE)
    assert len(world.journal()) == 3


def test_submit__price_in_the_journal_is_under_the_market__replaced(world: World) -> None:
    world.ledger.every = None
    world.submitter().submit(THREE[:1])
    world.ledger.mempool.clear()
    world.ledger.gas_price = world.ledger.base_fee = 400

    (entry,) = world.submitter().submit(THREE[:1])

    assert (entry.attempt, entry.max_fee_per_gas) == (1, 450)


def test_confirm__reverts_when_mined__told_with_the_contracts_reason_after_the_others_landed(world: World) -> None:
    world.ledger.every = None
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.reporters = {ALICE}
    world.ledger.mine()

    with pytest.raises(ChainError) as refusal:
        submitter.confirm(THREE)

    assert refusal.value.code == "transaction-reverted"
    assert THREE[2].description in refusal.value.message
    assert "the sender lacks the role" in refusal.value.message
    world.assert_each_landed_once(THREE[:2])

    # Mended, the reverted one alone is sent anew.
    world.ledger.reporters = None
    again = world.submitter()
    again.submit(THREE)
    world.ledger.mine()
    assert [receipt.nonce for receipt in again.confirm(THREE)] == [0, 1, 1]
    world.assert_each_landed_once(THREE)


@pytest.mark.parametrize(
    ("gas_used", "says"), [(90_000, "it used up its 90000 gas"), (59_000, "called again, it succeeds")]
)
def test_confirm__reverted_for_another_reason_than_the_contract_gives__told_what_is_known(
    world: World, gas_used: int, says: str
) -> None:
    world.ledger.every, world.ledger.gas_used = None, gas_used
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.reporters = {ALICE}
    world.ledger.mine()
    world.ledger.reporters = None

    with pytest.raises(ChainError, match=says):
        submitter.confirm(THREE)


def test_confirm__nonce_left_unused_by_a_reorganisation__filled_so_that_ours_can_land(world: World) -> None:
    world.finality = "depth:4"
    world.ledger.accept(foreign(ALICE, 0))
    world.ledger.mine()
    submitter = world.submitter()
    (entry,) = submitter.submit(THREE[:1])
    assert entry.nonce == 1
    world.ledger.reorganise(1)

    (receipt,) = submitter.confirm(THREE[:1])

    assert receipt.nonce == 1
    assert [(each.nonce, each.purpose) for each in world.journal() if each.attempt == 0] == [(0, "void"), (1, "intent")]
    world.assert_each_landed_once(THREE[:1])


def test_confirm__some_reverted_and_some_wait__waits_for_these_first(world: World) -> None:
    world.ledger.every = None
    submitter = world.submitter()
    submitter.submit(THREE)
    world.ledger.reporters = {ALICE}
    waiting = {key: world.ledger.mempool.pop(key) for key in [(ALICE, 0), (ALICE, 1)]}
    world.ledger.mine()
    world.ledger.mempool.update(waiting)
    world.ledger.every = 2

    with pytest.raises(ChainError, match="lacks the role"):
        submitter.confirm(THREE)

    world.assert_each_landed_once(THREE[:2])


def test_submit__reverted_in_a_block_that_is_not_final__no_second_nonce_yet(world: World) -> None:
    world.finality, world.ledger.every = "depth:4", None
    world.submitter().submit(THREE)
    world.ledger.reporters = {ALICE}
    world.ledger.mine()
    world.ledger.reporters = None

    entries = world.submitter().submit(THREE)

    assert [entry.nonce for entry in entries] == [0, 1, 0]
    assert len(world.journal()) == 3
    for _ in range(4):
        world.ledger.mine()
    assert [entry.nonce for entry in world.submitter().submit(THREE)] == [0, 1, 1]


def test_confirm__never_submitted__refused_by_name(world: World) -> None:
    world.submitter().submit(THREE[:2])

    with pytest.raises(ChainError) as refusal:
        world.submitter().confirm(THREE)

    assert refusal.value.code == "not-submitted"
    assert THREE[2].description in refusal.value.message
    assert THREE[0].description not in refusal.value.message


def test_confirm__nothing_mined_in_time__told_to_run_again(world: World) -> None:
    world.ledger.every = None
    submitter = world.submitter()
    submitter.submit(THREE)

    with pytest.raises(ChainError) as refusal:
        submitter.confirm(THREE, timeout_seconds=10)

    assert refusal.value.code == "not-confirmed"
    assert refusal.value.message.count("is not mined") == 3
    assert 10 <= world.seconds < 15


def test_submit__endpoint_is_on_another_chain__refused_before_anything_is_sent(world: World) -> None:
    world.ledger.chain_id = 1

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "wrong-chain-id"
    assert_untouched(world)


def answers(world: World, method: str, value: Any) -> None:
    """Let the node answer one method with something else (called with its true answer)."""
    truly = world.ledger.answer
    world.ledger.answer = lambda asked, params: (  # type: ignore[method-assign]
        value(truly(asked, params)) if asked == method else truly(asked, params)
    )


@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_getBalance", "eth_gasPrice", "eth_estimateGas"])
def test_submit__node_gives_no_answer_to_something_needed__refused(world: World, method: str) -> None:
    answers(world, method, lambda _: None)

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "state-unavailable"
    assert_untouched(world)


def test_confirm__receipt_of_another_transaction__malformed_and_not_believed(world: World) -> None:
    submitter = world.submitter()
    submitter.submit(THREE)
    answers(
        world, "eth_getTransactionReceipt", lambda receipt: receipt and {**receipt, "transactionHash": "0x" + "77" * 32}
    )

    with pytest.raises(ChainError, match="is another transaction's"):
        submitter.confirm(THREE)


def test_simulate__node_is_overloaded__said_and_nothing_refused_for_good(world: World) -> None:
    def busy(_: Any) -> Any:
        raise Error(-32005, "request limit exceeded")

    answers(world, "eth_call", busy)

    with pytest.raises(ChainError, match="request limit exceeded") as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "simulation-failed"
    assert_untouched(world)


def test_submit__too_few_endpoints_answer__refused(world: World) -> None:
    world = World(world.store, count=2, quorum=2)

    def fail(methods: list[str]) -> None:
        raise TransportFault("refused", again=False)

    list(world.endpoints.values())[1].before = fail

    with pytest.raises(ChainError) as refusal:
        world.submitter().submit(THREE)

    assert refusal.value.code == "endpoints-down"
    assert_untouched(world)


def test_submit__no_contract_at_the_address__refused_though_the_call_succeeds(world: World) -> None:
    with pytest.raises(ChainError, match=f"there is no contract at {CAROL}") as refusal:
        world.submitter().submit([THREE[0], replace(THREE[1], to=CAROL)])

    assert refusal.value.code == "would-revert"
    assert THREE[0].description not in refusal.value.message
    assert_untouched(world)


def test_submit__what_has_to_land_later_would_revert__nothing_begun(world: World) -> None:
    world.ledger.reporters = {ALICE, BOB}
    begun: list[bool] = []

    with pytest.raises(ChainError, match=CAROL):
        world.submitter().submit(THREE, alongside=[intent(CAROL, 1)], begin=lambda: begun.append(True))

    assert not begun
    assert_untouched(world)


def test_submit__what_has_to_land_later_cannot_be_paid__nothing_begun(world: World) -> None:
    world.ledger.balances[CAROL] = 1

    with pytest.raises(ChainError, match=f"{CAROL} has 1 wei"):
        world.submitter().submit(THREE, alongside=[intent(CAROL, 1)])

    assert_untouched(world)


def test_submit__what_has_to_land_later_is_fine__checked_but_not_sent(world: World) -> None:
    begun: list[int] = []

    submitter = world.submitter()
    entries = submitter.submit(
        THREE, alongside=[intent(CAROL, 1)], begin=lambda: begun.append(len(world.store.list("tx")))
    )

    assert begun == [0]
    assert [entry.intent for entry in entries] == [each.id for each in THREE]
    assert len(world.endpoint.requests) == 3
    submitter.confirm(THREE)
    world.assert_each_landed_once(THREE)
    assert world.store.list(f"tx/138/{CAROL}") == []


def test_submit__beginning_is_refused__nothing_signed_journaled_or_sent(world: World) -> None:
    def refuse() -> None:
        raise ConflictError("abandoned", code="abandoned")

    with pytest.raises(ConflictError, match="abandoned"):
        world.submitter().submit(THREE, begin=refuse)

    assert_untouched(world)


def test_check__role_or_balance_missing__raises_and_touches_nothing(world: World) -> None:
    world.submitter().check(THREE)
    world.ledger.reporters = {ALICE}
    with pytest.raises(ChainError, match="lacks the role"):
        world.submitter().check(THREE)
    world.ledger.reporters = None
    world.ledger.balances[BOB] = 1
    with pytest.raises(ChainError, match="not enough for gas"):
        world.submitter().check(THREE)

    assert_untouched(world)


def test_submit__two_intents_of_one_name__refused(world: World) -> None:
    with pytest.raises(ValueError, match="same id"):
        world.submitter().submit([THREE[0], replace(THREE[1], id=THREE[0].id)])


def test_submit__no_intents__nothing_happens(world: World) -> None:
    assert world.submitter().submit([]) == ()
    assert world.endpoint.requests == []


# -- keys and the journal that lie -------------------------------------------------------------------------------------


def test_submit__key_of_another_account__refused_before_anything_is_journaled(world: World) -> None:
    with pytest.raises(OperatorError) as refusal:
        world.submitter(signer=lambda address: SIGNERS[CAROL]).submit(THREE)

    assert refusal.value.code == "signer-mismatch"
    assert_untouched(world)


@dataclass(frozen=True)
class Remote:
    """A signer somewhere else, that signs as it likes."""

    address: str
    answer: Callable[[Transaction], bytes]

    def sign_transaction(self, transaction: Transaction) -> bytes:
        return self.answer(transaction)


@pytest.mark.parametrize(
    "answer",
    [
        lambda transaction: SIGNERS[ALICE].sign_transaction(replace(transaction, value=10**18)),
        lambda transaction: SIGNERS[BOB].sign_transaction(transaction),
        lambda transaction: b"\x00",
    ],
    ids=["other-content", "other-key", "no-transaction"],
)
def test_submit__signer_returns_something_else__refused_and_not_journaled(
    world: World, answer: Callable[[Transaction], bytes]
) -> None:
    with pytest.raises(OperatorError) as refusal:
        world.submitter(signer=lambda address: Remote(address, answer)).submit(THREE)

    assert refusal.value.code == "signer-unfaithful"
    assert_untouched(world)


def test_submit__decision_changed_under_the_same_name__conflict(world: World) -> None:
    world.submitter().submit(THREE)
    changed = [THREE[0], intent(ALICE, 2, reserve=2_000_000), THREE[2]]

    for ask in (Submitter.submit, Submitter.confirm, Submitter.simulate):
        with pytest.raises(ConflictError) as refusal:
            ask(world.submitter(), changed)
        assert refusal.value.code == "intent-conflict"
        assert THREE[1].id in refusal.value.message


def tampered(world: World, key: str, data: bytes | None) -> Store:
    """The store with one object changed or taken away."""
    overlay = OverlayStore(world.store)
    if data is None:
        overlay.list = lambda prefix: [k for k in world.store.list(prefix) if k != key]  # type: ignore[method-assign]
    else:
        overlay.replace(key, data)
    return overlay


def test_submit__journal_was_touched__conflict_naming_the_object(world: World) -> None:
    world.submitter().submit(THREE)
    first, second, bobs = sorted(world.journal(), key=lambda entry: (entry.sender != ALICE, entry.nonce))
    base = f"tx/138/{ALICE}"
    cases = {
        first.key: [
            b"{}",
            to_json(second),
            to_json(replace(first, gas=first.gas + 1)),
            to_json(replace(first, raw=second.raw)),
            to_json(replace(first, raw="zz")),
            to_json(replace(first, hash="00" * 32)),
            to_json(replace(first, to="nowhere")),
            to_json(replace(second, nonce=0)),
            to_json(replace(first, intent=second.intent)),
        ],
        f"{base}/0/1": [to_json(replace(second, nonce=0, attempt=1))],
        f"{base}/0/2": [to_json(replace(first, attempt=2))],
        f"{base}/notes": [b"hello"],
        f"{base}/00/0": [to_json(first)],
    }
    for key, contents in cases.items():
        for data in contents:
            with pytest.raises(ConflictError, match=key.rpartition("0x")[2]):
                world.submitter(tampered(world, key, data)).submit(THREE)
    assert len(world.endpoint.sent) == 3
    assert bobs.sender == BOB


def test_submit__store_says_it_exists_but_shows_nothing__conflict(world: World) -> None:
    world.submitter().submit(THREE[:1])

    class Blind(WatchedStore):
        def get(self, key: str) -> bytes | None:
            return None

    with pytest.raises(ConflictError, match="cannot be read"):
        world.submitter(Blind(world.store)).submit(THREE[:1])


# -- rehearsal ---------------------------------------------------------------------------------------------------------


def test_simulate__mixed_intents__says_what_would_become_of_each_and_touches_nothing(world: World) -> None:
    first = world.submitter()
    first.submit(THREE[:1])
    first.confirm(THREE[:1])
    before, sent = world.store.list("tx"), len(world.endpoint.sent)
    world.ledger.reporters = {ALICE}
    world.endpoint.requests.clear()

    found = world.submitter().simulate(THREE)

    assert [simulation.outcome for simulation in found] == ["landed", "would-land", "would-revert"]
    assert [simulation.intent for simulation in found] == THREE
    assert found[1].gas == 60_000
    assert "the sender lacks the role" in found[2].detail
    assert len(world.endpoint.requests) == 2
    assert world.store.list("tx") == before
    assert len(world.endpoint.sent) == 0 < sent
