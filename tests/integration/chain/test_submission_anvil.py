"""Exactly-once submission on a real node: ways to pay for gas, refusals, restarts, stuck and foreign transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from attest.chain import devnet
from attest.chain.contracts import attestation_registry, reserve_oracle
from attest.chain.devnet import Anvil, TokenPlan, dev_key
from attest.chain.rpc import ChainClient
from attest.chain.submission import Intent, Submitter
from attest.config import Chain, Contract, Fees
from attest.errors import ChainError
from attest.posting import HttpTransport, Reply
from attest.signing.keystore import KeystoreSigner
from attest.signing.transaction import DigestTransactionSigner, Transaction
from attest.store import LocalStore, Store
from tests.support.mempool import Crash, WatchedStore

GENESIS = 1_794_830_400
SIGNERS = {
    key.address: DigestTransactionSigner(key)
    for key in (KeystoreSigner(bytes([n]) * 32) for n in (0x41, 0x42, 0x43, 0x44))
}
ALICE, BOB, PUBLISHER, STRANGER = SIGNERS
FEES = {
    "legacy": Fees(kind="legacy", replace_after_seconds=5),
    "eip1559": Fees(kind="eip1559", replace_after_seconds=5),
    "free": Fees(kind="free", replace_after_seconds=5),
}


@dataclass
class Watched:
    """Real HTTP, with a hook before and after each request."""

    inner: HttpTransport
    hook: Callable[[bytes], None] = lambda body: None

    def post(self, url: str, body: bytes) -> Reply:
        self.hook(body)
        reply = self.inner.post(url, body)
        self.hook(b"")
        return reply


@dataclass
class OnAnvil:
    """A node with deployed contracts, and submitters that know it."""

    node: Anvil
    fees: Fees
    store: Store
    deployment: devnet.Deployment
    transport: HttpTransport = field(default_factory=lambda: HttpTransport(20))
    seconds: float = 0
    on_sleep: Callable[[], None] = lambda: None

    def client(self) -> ChainClient:
        return ChainClient("main", 138, [self.node.url], transport=self.transport)

    def rpc(self, method: str, *params: Any) -> Any:
        (answer,) = self.client().batch([(method, list(params))])
        return answer

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep()

    def submitter(
        self,
        *,
        finality: str = "instant",
        store: Store | None = None,
        hook: Callable[[bytes], None] = lambda body: None,
    ) -> Submitter:
        chain = Chain(
            chain_id=138, endpoints=(self.node.url,), finality=finality, fees=self.fees, confirm_timeout_seconds=60
        )
        client = ChainClient("main", 138, [self.node.url], transport=Watched(self.transport, hook))
        return Submitter(
            client, chain, store or self.store, SIGNERS.__getitem__, clock=lambda: self.seconds, sleep=self.sleep
        )

    def reports(self, name: str, *, senders: Sequence[str] = (ALICE, BOB), units: int = 10**9) -> list[Intent]:
        oracle = reserve_oracle(Contract(chain="main", address=self.deployment.oracle), Path())

        def build(token: str) -> Callable[[int], bytes]:
            return lambda timestamp: oracle.submit_report(token, units, timestamp)

        return [
            Intent(
                id=f"report/{name}/{symbol}/{sender}",
                sender=sender,
                to=self.deployment.oracle,
                description=f"report {symbol} by {sender}",
                build=build(token),
                valid_seconds=3600,
                explain=oracle.explain,
            )
            for symbol, token in self.deployment.tokens.items()
            for sender in senders
        ]

    def nonce(self, sender: str) -> int:
        return int(self.rpc("eth_getTransactionCount", sender, "latest"), 16)

    def set_role(self, function: str, sender: str) -> None:
        """``grantRole`` or ``revokeRole`` of REPORTER_ROLE, mined at once."""
        from attest.chain.artifact import artifact
        from attest.chain.contracts import role_id

        data = artifact("ReserveOracle").call_data(function, role_id("REPORTER_ROLE"), sender)
        call = {
            "from": self.deployment.admin,
            "to": self.deployment.oracle,
            "data": f"0x{data.hex()}",
            "gas": "0x50000",
        }
        self.rpc("eth_sendTransaction", {**call, "gasPrice": "0x174876e800"})
        self.rpc("evm_mine")


def deployed(node: Anvil, kind: str, folder: Path) -> OnAnvil:
    deployment = devnet.deploy(
        node.url,
        dev_key(0),
        [TokenPlan("USDW", "USD", 6, 10**9), TokenPlan("EURW", "EUR", 18, 10**9)],
        reporters=[ALICE, BOB],
        publishers=[PUBLISHER],
    )
    return OnAnvil(node, FEES[kind], LocalStore(folder), deployment)


@pytest.fixture
def chain(anvil: Anvil, tmp_path: Path) -> Iterator[OnAnvil]:
    """Contracts on a chain with EIP-1559 fees. Automatic mining is on again afterwards."""
    world = deployed(anvil, "eip1559", tmp_path)
    yield world
    world.rpc("evm_setAutomine", True)
    world.rpc("anvil_dropAllTransactions")


@pytest.fixture(params=["legacy", "eip1559", "free"])
def paying(request: pytest.FixtureRequest, anvil: Anvil, tmp_path: Path) -> Iterator[OnAnvil]:
    """Contracts on a chain of each way to pay for gas."""
    if request.param != "free":
        yield deployed(anvil, request.param, tmp_path)
        return
    with Anvil(timestamp=GENESIS, free_gas=True) as node:
        yield deployed(node, "free", tmp_path)


def test_run__every_way_to_pay__reports_stand_the_anchor_is_published_and_a_second_run_sends_nothing(
    paying: OnAnvil,
) -> None:
    registry = attestation_registry(Contract(chain="main", address=paying.deployment.registry), Path())
    anchor = Intent(
        id="publish/2026-W47/0",
        sender=PUBLISHER,
        to=paying.deployment.registry,
        description="anchor 2026-W47",
        build=lambda timestamp: registry.publish(
            "2026-W47", 0, bytes([1]) * 32, 7, bytes([2]) * 32, bytes([3]) * 32, 1
        ),
        explain=registry.explain,
    )
    intents = paying.reports("2026-W47")
    nonces = {sender: paying.nonce(sender) for sender in (ALICE, BOB, PUBLISHER)}

    def run() -> Any:
        submitter = paying.submitter()
        submitter.submit(intents)
        reported = submitter.confirm(intents)
        submitter.submit([anchor])
        return (*reported, *submitter.confirm([anchor]))

    receipts = run()
    assert run() == receipts

    assert {sender: paying.nonce(sender) - nonces[sender] for sender in nonces} == {ALICE: 2, BOB: 2, PUBLISHER: 1}
    for receipt in receipts:
        found = paying.rpc("eth_getTransactionReceipt", f"0x{receipt.transaction}")
        assert (found["status"], found["blockHash"]) == ("0x1", f"0x{receipt.block}")
        assert (int(found["blockNumber"], 16), int(found["gasUsed"], 16)) == (receipt.block_number, receipt.gas_used)
        assert found["type"] == ("0x2" if paying.fees.kind == "eip1559" else "0x0")
    client = paying.client()
    head = client.head()
    oracle = reserve_oracle(Contract(chain="main", address=paying.deployment.oracle), Path())
    for token in paying.deployment.tokens.values():
        call = oracle.verified_reserve(token)
        assert call.value(client.batch([call.request(head)])[0]) == 10**9
    published = registry.attestation_of(PUBLISHER, "2026-W47", 0)
    assert published.value(client.batch([published.request(head)])[0]).size == 7


def test_submit__sender_without_the_role__refused_with_the_contracts_words(chain: OnAnvil) -> None:
    before = chain.nonce(STRANGER)

    with pytest.raises(ChainError, match="AccessControlUnauthorizedAccount") as refusal:
        chain.submitter().submit(chain.reports("2026-W47", senders=(ALICE, STRANGER)))

    assert refusal.value.code == "would-revert"
    assert STRANGER in refusal.value.message
    assert chain.store.list("tx") == []
    assert chain.nonce(STRANGER) == before


def test_submit__sender_without_balance__refused_naming_it(chain: OnAnvil) -> None:
    chain.rpc("anvil_setBalance", BOB, "0x1")

    with pytest.raises(ChainError, match=BOB) as refusal:
        chain.submitter().submit(chain.reports("2026-W47"))

    assert refusal.value.code == "balance-too-low"
    assert chain.store.list("tx") == []
    chain.rpc("anvil_setBalance", BOB, hex(10**18))


def test_submit__no_contract_at_the_address__refused_though_the_node_would_take_it(chain: OnAnvil) -> None:
    intents = [replace(intent, to=STRANGER) for intent in chain.reports("2026-W47")]

    with pytest.raises(ChainError, match=f"there is no contract at {STRANGER}"):
        chain.submitter().submit(intents)

    assert chain.store.list("tx") == []


def test_confirm__role_revoked_before_the_block__told_with_the_reason_and_sent_anew_once_mended(chain: OnAnvil) -> None:
    chain.rpc("evm_setAutomine", False)
    intents = chain.reports("2026-W47")
    submitter = chain.submitter()
    bobs = [intent for intent in intents if intent.sender == BOB]
    submitter.submit(intents)
    chain.set_role("revokeRole", BOB)

    with pytest.raises(ChainError, match="the sender lacks the role") as refusal:
        submitter.confirm(intents)

    assert refusal.value.code == "transaction-reverted"
    assert all(intent.description in refusal.value.message for intent in bobs)
    assert ALICE not in refusal.value.message

    chain.set_role("grantRole", BOB)
    chain.rpc("evm_setAutomine", True)
    used = {sender: chain.nonce(sender) for sender in (ALICE, BOB)}
    again = chain.submitter()
    again.submit(intents)
    again.confirm(intents)
    assert {sender: chain.nonce(sender) - used[sender] for sender in used} == {ALICE: 0, BOB: 2}


def test_run__crashed_at_any_operation__the_next_process_lands_each_report_once(chain: OnAnvil, tmp_path: Path) -> None:
    def run(name: str, tick: Callable[[Any], None]) -> None:
        store = WatchedStore(LocalStore(tmp_path / name), tick)
        submitter = chain.submitter(store=store, hook=tick)
        intents = chain.reports(name)
        submitter.submit(intents)
        submitter.confirm(intents)

    crash_at = 0
    while True:
        crash_at += 1
        count = 0

        def tick(operation: Any, at: int = crash_at) -> None:
            nonlocal count
            count += 1
            if count == at:
                raise Crash

        used = {sender: chain.nonce(sender) for sender in (ALICE, BOB)}
        try:
            run(f"crash-{crash_at}", tick)
            break
        except Crash:
            run(f"crash-{crash_at}", lambda operation: None)
        assert {sender: chain.nonce(sender) - used[sender] for sender in used} == {ALICE: 2, BOB: 2}
    assert crash_at > 20


def test_confirm__dropped_by_the_node_while_blocks_come__replaced_at_the_same_nonce(chain: OnAnvil) -> None:
    chain.rpc("evm_setAutomine", False)
    intents = chain.reports("2026-W47")
    submitter = chain.submitter()
    nonce = chain.nonce(ALICE)
    entries = submitter.submit(intents)
    chain.rpc("anvil_dropTransaction", f"0x{entries[0].hash}")
    chain.on_sleep = lambda: chain.rpc("evm_mine")

    receipts = submitter.confirm(intents)

    assert receipts[0].transaction != entries[0].hash
    assert [receipt.nonce - nonce for receipt in receipts if receipt.sender == ALICE] == [0, 1]
    assert chain.nonce(ALICE) == nonce + 2


@pytest.mark.parametrize("kind", ["legacy", "eip1559"])
def test_confirm__left_behind_by_a_node_that_mines_on_demand__sent_again_then_replaced(
    anvil: Anvil, tmp_path: Path, kind: str
) -> None:
    chain = deployed(anvil, kind, tmp_path)
    chain.rpc("evm_setAutomine", False)
    intents = chain.reports("2026-W47")
    used = {sender: chain.nonce(sender) for sender in (ALICE, BOB)}
    entries = chain.submitter().submit(intents)
    # A block takes less than all of them. What is left anvil keeps until something new is sent, and sending the same
    # again changes nothing. So it can end with what it takes in while it makes a block.
    limit = chain.rpc("eth_getBlockByNumber", "latest", False)["gasLimit"]
    chain.rpc("evm_setBlockGasLimit", hex(entries[0].gas * 3 // 2))
    chain.rpc("evm_setAutomine", True)
    deadline = time.monotonic() + 10
    while (waiting := chain.rpc("txpool_status"))["pending"] == hex(len(entries)) and time.monotonic() < deadline:
        time.sleep(0.05)
    chain.rpc("evm_setBlockGasLimit", limit)
    assert waiting == {"pending": hex(len(entries) - 1), "queued": "0x0"}

    again = chain.submitter()
    assert again.submit(intents) == entries
    receipts = again.confirm(intents)

    assert 10 <= chain.seconds <= 15
    assert {sender: chain.nonce(sender) - used[sender] for sender in used} == {ALICE: 2, BOB: 2}
    assert {receipt.transaction for receipt in receipts} != {entry.hash for entry in entries}
    assert len(chain.store.list("tx")) == len(entries) + int(waiting["pending"], 16)
    assert chain.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}


def test_confirm__foreign_transaction_took_the_nonce__lands_at_another_one(chain: OnAnvil) -> None:
    chain.rpc("evm_setAutomine", False)
    intents = chain.reports("2026-W47", senders=(ALICE,))
    submitter = chain.submitter()
    entries = submitter.submit(intents)
    for entry in entries:
        chain.rpc("anvil_dropTransaction", f"0x{entry.hash}")
    foreign = Transaction("legacy", 138, entries[0].nonce, BOB, 1, b"", 21_000, 10**11)
    chain.rpc("eth_sendRawTransaction", f"0x{SIGNERS[ALICE].sign_transaction(foreign).hex()}")
    chain.on_sleep = lambda: chain.rpc("evm_mine")

    receipts = submitter.confirm(intents)

    assert sorted(receipt.nonce for receipt in receipts) == [entries[0].nonce + 1, entries[0].nonce + 2]
    assert chain.nonce(ALICE) == entries[0].nonce + 3


def test_confirm__block_reorganised_away__lands_again_and_counts_at_finality_only(chain: OnAnvil) -> None:
    intents = chain.reports("2026-W47")
    submitter = chain.submitter(finality="depth:3")
    entries = submitter.submit(intents)
    mined = [chain.rpc("eth_getTransactionReceipt", f"0x{entry.hash}")["blockNumber"] for entry in entries]
    first = min(int(number, 16) for number in mined)
    chain.rpc("anvil_reorg", chain.client().head().number - first + 1, [])
    assert not any(chain.rpc("eth_getTransactionReceipt", f"0x{entry.hash}") for entry in entries)
    chain.on_sleep = lambda: chain.rpc("evm_mine")

    receipts = submitter.confirm(intents)

    head = chain.client().head()
    for receipt in receipts:
        assert head.number - receipt.block_number >= 3
        assert chain.rpc("eth_getBlockByNumber", hex(receipt.block_number), False)["hash"] == f"0x{receipt.block}"
    assert [receipt.nonce for receipt in receipts] == [entry.nonce for entry in entries]
