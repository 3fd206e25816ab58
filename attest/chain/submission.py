"""Exactly-once submission: every intent lands in one transaction, whoever runs, however often, wherever it stopped.

The rules, which hold for every command that sends:

1. A transaction is journaled (:mod:`attest.chain.journal`) before its first broadcast, and the journal alone says
   which nonces are used: creating a nonce's attempt 0 claims it. A runner that loses reads the winner's entry; one that
   finds its own intent there sends those same bytes.
2. All transactions are checked, then signed and journaled in a fixed order, then broadcast together to every endpoint.
   "Already known", a timeout or a dropped connection are no failures: every attempt is looked for by its hash.
3. A nonce is over for its intent only when, at finality, the transaction reverted, was void, or another hash holds the
   nonce. Until then the intent gets no second nonce. That another hash holds it is known only from the absence of
   receipts, which may pass: so they are asked for twice, and the report at the second nonce repeats the first one's
   time while that counts, so that the contract takes one of the two.
4. A transaction that is stuck, priced out or about to be stale is replaced at the same nonce, so only one of the
   attempts can land. Stuck is what ``fees.replace_after_seconds`` did not bring into a block: where blocks came
   meanwhile, at once; where none came, attempt k (counted from 0) is first sent again k + 1 times as it is. Nodes that
   make blocks only when something new is sent, and say "already known" of what they left behind, would else wait for us
   as we for them; and while a chain stands still, the offer rises ever more slowly, and never beyond the cap. Another
   intent that stands before ours and would now revert is voided by a transfer of nothing to its sender.
5. Landed means: a receipt that ``read_quorum`` endpoints give alike, at the chain's finality.
6. Before anything is signed, all is simulated at the chain's head, and the senders' balances are checked; timestamps
   are the head's, never the local clock's. If one intent would revert, nothing is signed, journaled or sent.

Why no intent can land twice: the head is read first, then the journal, then the nonces *at that head*. A transaction
mined up to that head was journaled before it was sent, so the journal shows it; every later nonce must be claimed.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from attest.chain.attempts import Final, Slot, Tip, Watcher, nonce_request, receipt_requests, settle
from attest.chain.contracts import explain
from attest.chain.fees import first_price, priced_out, raised_price
from attest.chain.journal import Journal, JournalEntry
from attest.chain.rpc import ChainClient, Outcome, Request, RpcError, at, balance_request
from attest.config import Chain
from attest.errors import ChainError, ConflictError, OperatorError, VerificationError
from attest.model import ReportReceipt
from attest.signing.transaction import Transaction, TransactionSigner, decode
from attest.store import Store

_log = logging.getLogger(__name__)

_TRANSFER_GAS = 21_000
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0
#: Before each further look at the chain where it refuses what the journal holds; together about a block of two seconds.
_LOOK_AGAIN_SECONDS = (0.1, 0.4, 2.0)
#: Codes of errors that may pass while a confirmation waits: an endpoint lags behind or is away.
_PASSING = frozenset({"endpoints-down", "endpoints-disagree", "state-unavailable", "simulation-failed"})
#: What nodes say of a transaction that they may have, or that may still land. Besu's codes: nonce too low, too high.
_NO_REFUSAL_CODES = frozenset({-32001, -32006})
_NO_REFUSAL_TEXTS = ("already known", "already imported", "known transaction", "nonce too", "replacement transaction")
_REFUSAL_ADVICE: Mapping[int | None, str] = {
    -32007: "Ask the chain's permissioning administrator to allow the sender, then run again.",
    -32009: "Raise fees.max_fee_per_gas for this chain, then run again.",
}


@dataclass(frozen=True)
class Intent:
    """What must land exactly once: a call of ``to`` by ``sender`` (checksummed addresses).

    ``id`` is the same on every runner, for example ``report/2026-W47/1/USDW/0xAbC...``. ``build`` gives the calldata
    for a head's timestamp (Unix seconds), always the same for the same timestamp. ``valid_seconds`` is how long after
    that timestamp the contract takes it (None: for ever). ``explain`` puts a revert in words.
    """

    id: str
    sender: str
    to: str
    description: str
    build: Callable[[int], bytes]
    valid_seconds: int | None = None
    explain: Callable[[RpcError], object] = explain


@dataclass(frozen=True)
class Simulation:
    """What would become of an intent now, in words in ``detail``; ``gas`` is the estimate if it ``would-land``."""

    intent: Intent
    outcome: Literal["landed", "would-land", "would-revert"]
    detail: str
    gas: int = 0


class _Call(NamedTuple):
    """What is simulated: calldata from a sender to a contract."""

    sender: str
    to: str
    data: bytes


class _Tried(NamedTuple):
    """A simulation at the head: why it fails, or the gas that it takes."""

    failure: RpcError | None
    gas: int


@dataclass(frozen=True)
class _Candidate:
    """The call by which an intent would land now. ``entry``: it is in the journal and can be sent as it is; None: it
    has to be signed, built for the head's ``timestamp``."""

    call: _Call
    timestamp: int
    entry: JournalEntry | None


@dataclass(frozen=True)
class _View:
    """All that is known when it is decided what to send. ``slots`` are those of our intents, and all that are not
    mined; ``nonces`` and ``balances`` (wei) are the senders' at the head."""

    tip: Tip
    slots: Sequence[Slot]
    nonces: Mapping[str, int]
    balances: Mapping[str, int]
    tried: Mapping[_Call, _Tried]


@dataclass
class _Step:
    """One transaction to broadcast: ``entry``; or, until it is signed, ``transaction``, at the nonce of the entry that
    it ``replaces`` or the next one to be claimed."""

    sender: str
    intent: str
    description: str
    purpose: Literal["intent", "void"]
    timestamp: int
    entry: JournalEntry | None = None
    transaction: Transaction | None = None
    replaces: JournalEntry | None = None

    @property
    def cost(self) -> int:
        """The most that it can cost, in wei."""
        if self.entry is not None:
            return self.entry.gas * self.entry.max_fee_per_gas + self.entry.value
        assert self.transaction is not None
        return self.transaction.gas * self.transaction.max_fee_per_gas + self.transaction.value


class Submitter:
    """Sends intents on one chain, and says when they have landed.

    ``signer`` opens a sender's key by its address; it is asked only when something must be signed. ``clock`` gives
    seconds that never run backwards.
    """

    def __init__(
        self,
        client: ChainClient,
        chain: Chain,
        store: Store,
        signer: Callable[[str], TransactionSigner],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._chain = chain
        self._journal = Journal(store, chain.chain_id)
        self._watcher = Watcher(client, chain.finality)
        self._signer = signer
        self._clock = clock
        self._sleep = sleep
        #: By a transaction's hash: the head's number when this process first sent it, and how often it was sent.
        self._sent_at: dict[str, int] = {}
        self._times_sent: Counter[str] = Counter()

    # -- what commands ask ---------------------------------------------------------------------------------------------

    def submit(
        self, intents: Sequence[Intent], *, alongside: Sequence[Intent] = (), begin: Callable[[], None] = lambda: None
    ) -> tuple[JournalEntry, ...]:
        """Bring every intent on its way and return, in their order, the journal's entry that carries it.

        Intents that have landed are left alone, what the journal holds is sent again as it is, and the rest is checked,
        signed, journaled and broadcast. At most 3 HTTP requests per endpoint, 2 if there is nothing to send, 1 more if
        a foreign transaction seems to have taken a nonce, and up to 6 more if the contract refuses what the journal
        holds: it may be landing just now.
        ``alongside`` are checked with them, as what will have to land later, and not sent. ``begin`` is called when all
        checks are passed and the keys are open, before the first transaction is signed; what it raises stops there.

        Raises :class:`ChainError`: ``would-revert``, ``simulation-failed``, ``fee-cap``, ``gas-cap``,
        ``balance-too-low`` (nothing was signed), ``transaction-refused`` (no endpoint took it; it stays in the journal
        and the next run sends it again), and the client's; :class:`ConflictError` if the journal was touched, or holds
        another transaction for an intent; :class:`OperatorError` if a key is not the sender's.
        """
        return self._advance(intents, stuck=False, alongside=alongside, begin=begin) if intents else ()

    def check(self, intents: Sequence[Intent]) -> None:
        """Raises as :meth:`submit` would before anything is signed; nothing is written or sent. 2 HTTP requests per
        endpoint, and further looks as there."""
        view = self._look(intents, stuck=False)
        self._check_balances(view, self._plan(view, intents, stuck=False))

    def simulate(self, intents: Sequence[Intent]) -> tuple[Simulation, ...]:
        """What :meth:`submit` would find, in the intents' order; nothing is signed, written or sent.

        2 HTTP requests per endpoint, and further looks as there. Raises :class:`ChainError` when the chain cannot be
        read.
        """
        view = self._look(intents, stuck=False)
        found = []
        for intent in intents:
            slot = _current(view.slots, intent)
            tried = view.tried[self._candidate(intent, view, slot, stuck=False).call]
            if slot is not None and slot.mined is not None and slot.fate == "landed":
                found.append(Simulation(intent, "landed", f"transaction 0x{slot.mined[0].hash}"))
            elif tried.failure is not None:
                found.append(Simulation(intent, "would-revert", str(intent.explain(tried.failure))))
            else:
                found.append(Simulation(intent, "would-land", f"simulated at block {view.tip.head.number}", tried.gas))
        return tuple(found)

    def confirm(self, intents: Sequence[Intent], *, timeout_seconds: float | None = None) -> tuple[ReportReceipt, ...]:
        """Wait until every intent has landed at the chain's finality; receipts in the intents' order.

        One HTTP request per poll and endpoint, and one to learn why transactions reverted. What is not mined within
        ``fees.replace_after_seconds`` is sent again, or replaced; what lost its nonce to a foreign transaction gets
        another (as many requests as :meth:`submit` each time). ``timeout_seconds`` defaults to the chain's
        ``confirm_timeout_seconds``.

        Raises :class:`ChainError`: ``not-submitted`` if an intent is not in the journal, ``transaction-reverted`` with
        the contract's reason, ``not-confirmed`` after the timeout, and what :meth:`submit` raises.
        """
        timeout = self._chain.confirm_timeout_seconds if timeout_seconds is None else timeout_seconds
        begun = acted = self._clock()
        pause = _FIRST_PAUSE_SECONDS
        final: Final | None = None
        slots = self._slots(intents)
        missing = [intent.description for intent in intents if not any(_carries(slot, intent) for slot in slots)]
        if missing:
            raise ChainError(
                f"chain {self._client.name}: never submitted: {'; '.join(missing)}",
                code="not-submitted",
                reason="Only what the journal holds can be confirmed.",
                advice="Run `attest run`: it submits, then confirms.",
            )
        for slot in slots:
            self._times_sent.setdefault(slot.last.hash, 1)  # by whoever submitted it
        while True:
            trouble = ""
            try:
                final = self._watcher.poll(slots, final)
                newest = {intent.id: _newest(slots, intent) for intent in intents}
                rest = [intent for intent in intents if not _settled(newest[intent.id])]
                if not rest:
                    return self._receipts(intents, newest)
                waited = self._clock() - acted >= self._chain.fees.replace_after_seconds
                stuck = waited and any(not newest[intent.id].fate for intent in rest)
                if stuck or any(newest[intent.id].dead for intent in rest):
                    acted = self._clock()
                    self._advance(rest, stuck=stuck)
                    slots = self._slots(intents)
            except ChainError as fault:
                if fault.code not in _PASSING:
                    raise
                trouble = fault.message
            if self._clock() - begun >= timeout:
                raise self._not_confirmed(intents, slots, trouble, timeout)
            self._sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)

    # -- looking -------------------------------------------------------------------------------------------------------

    def _slots(self, intents: Sequence[Intent]) -> list[Slot]:
        """The slots of these intents in the journal."""
        return [slot for slot in self._all_slots(intents) if _owner(slot, intents)]

    def _all_slots(self, intents: Sequence[Intent]) -> list[Slot]:
        """All slots of the intents' senders; what is journaled for an intent has been checked to be that intent."""
        slots = []
        for sender in _senders(intents):
            for attempts in self._journal.attempts(sender).values():
                slots.append(Slot(attempts))
                owner = _owner(slots[-1], intents)
                if owner is not None:
                    for entry in attempts:
                        _check_same(owner, self._journal.checked(entry))
        return slots

    def _look(self, intents: Sequence[Intent], *, stuck: bool) -> _View:
        """What is to be decided on. Where the contract refuses what the journal holds, it is looked at again after a
        pause, a few times: a node may show the state of a block that it is still making, and one behind a load balancer
        may know a report and not its receipt. The report that seems to stand in the way is then our own."""
        view = self._observe(intents, stuck=stuck)
        for pause in _LOOK_AGAIN_SECONDS:
            if not any(self._is_refused(intent, view, stuck=stuck) for intent in intents):
                break
            self._sleep(pause)
            view = self._observe(intents, stuck=stuck)
        return view

    def _is_refused(self, intent: Intent, view: _View, *, stuck: bool) -> bool:
        """Whether the contract would refuse an intent that is journaled and has not landed, as far as is known."""
        slot = _current(view.slots, intent)
        if (slot is not None and slot.fate) or not any(_carries(each, intent) for each in view.slots):
            return False
        failure = view.tried[self._candidate(intent, view, slot, stuck=stuck).call].failure
        return failure is not None and failure.reverted

    def _observe(self, intents: Sequence[Intent], *, stuck: bool) -> _View:
        """Two requests: the head; then, with the journal read in between, all that is pinned to that head."""
        if len({intent.id for intent in intents}) != len(intents):
            raise ValueError("two intents have the same id")
        senders = _senders(intents)
        tip = self._watcher.tip(senders)
        slots = []
        for slot in self._all_slots(intents):
            if _owner(slot, intents) or slot.last.nonce >= tip.nonces[slot.last.sender]:
                slots.append(replace(slot, attempts=tuple(map(self._journal.checked, slot.attempts))))

        # Which slot of an intent is current is not known yet, so all that it may come to are tried: every journaled
        # call, and one built now.
        calls = [_call(entry) for slot in slots for entry in slot.attempts if entry.purpose == "intent"]
        calls += [_Call(intent.sender, intent.to, intent.build(tip.head.timestamp)) for intent in intents]
        calls = list(dict.fromkeys(calls))
        head = at(tip.head)
        requests: list[Request] = []
        for sender in senders:
            requests += [nonce_request(sender, head), nonce_request(sender, tip.final.parameter)]
            requests.append(balance_request(sender, tip.head))
        for call in calls:
            message = {"from": call.sender, "to": call.to, "data": f"0x{call.data.hex()}"}
            requests += [("eth_call", [message, head]), ("eth_estimateGas", [message, head])]
        contracts = list(dict.fromkeys(call.to for call in calls))
        requests += [("eth_getCode", [contract, head]) for contract in contracts]
        requests += receipt_requests(slots)
        answers = iter(self._client.batch(requests))

        nonces, final_nonces, balances = {}, {}, {}
        for sender in senders:
            nonces[sender] = self._watcher.number(next(answers), f"the nonce of {sender}")
            final_nonces[sender] = self._watcher.number(next(answers), f"the final nonce of {sender}")
            balances[sender] = self._watcher.number(next(answers), f"the balance of {sender}")
        tried = {}
        for call in calls:
            called, estimated = next(answers), next(answers)
            failure = next((each for each in (called, estimated) if isinstance(each, RpcError)), None)
            tried[call] = _Tried(failure, 0 if failure else self._watcher.number(estimated, "the gas estimate"))
        for contract in contracts:
            if next(answers) == "0x":
                # A transaction to an address without code lands, and does nothing.
                bare = RpcError(3, f"there is no contract at {contract}")
                tried |= {call: _Tried(bare, 0) for call in calls if call.to == contract}
        settle(slots, answers, tip.final, nonces, final_nonces)
        return _View(tip, slots, nonces, balances, tried)

    def _look_again(self, view: _View, intents: Sequence[Intent]) -> None:
        """Ask once more for the receipts of intents that are about to get another nonce."""
        lost = [
            replace(slot)
            for intent in intents
            for slot in view.slots
            if _carries(slot, intent) and slot.fate == "taken" and _current(view.slots, intent) is None
        ]
        if not lost:
            return
        self._watcher.poll(lost, view.tip.final)
        found = next((slot.last for slot in lost if slot.fate != "taken"), None)
        if found is not None:
            raise ChainError(
                f"chain {self._client.name}: {found.description}: an endpoint said that its nonce {found.nonce} is "
                "used and did not know its transaction; asked again, it says something else",
                code="state-unavailable",
                reason="Sent at another nonce, it could land twice.",
                advice="An endpoint lags behind itself: run again in a moment, or configure another.",
            )

    def _candidate(self, intent: Intent, view: _View, slot: Slot | None, *, stuck: bool) -> _Candidate:
        timestamp = _timestamp(intent, view)
        if slot is not None and not self._stuck(slot.last, view.tip, stuck):
            last = slot.last
            if last.purpose == "intent" and (last.timestamp == timestamp or _fresh(intent, last, view.tip)):
                return _Candidate(_call(last), last.timestamp, last)
        return _Candidate(_Call(intent.sender, intent.to, intent.build(timestamp)), timestamp, None)

    def _stuck(self, last: JournalEntry, tip: Tip, stuck: bool) -> bool:
        """Whether the last attempt is to be replaced: no block takes its price, or it was waited for (``stuck``) while
        blocks came; or none came, though it was sent as often as rule 4 says."""
        if priced_out(self._chain.fees, tip.market, last.transaction):
            return True
        passed_over = self._sent_at.get(last.hash, tip.head.number) < tip.head.number
        return stuck and (passed_over or self._times_sent[last.hash] > last.attempt + 1)

    # -- deciding ------------------------------------------------------------------------------------------------------

    def _advance(
        self,
        intents: Sequence[Intent],
        *,
        stuck: bool,
        alongside: Sequence[Intent] = (),
        begin: Callable[[], None] = lambda: None,
    ) -> tuple[JournalEntry, ...]:
        checked = [*intents, *alongside]
        view = self._look(checked, stuck=stuck)
        steps = self._plan(view, checked, stuck=stuck)
        self._check_balances(view, steps)
        self._look_again(view, intents)
        if alongside:
            steps = self._plan(view, intents, stuck=stuck)
        signed = self._sign(view, intents, steps, begin)
        self._broadcast(view, signed)
        carriers = {(entry.sender, entry.intent): entry for entry in signed}
        for slot in view.slots:
            if slot.fate and not slot.dead:
                carriers[slot.last.sender, slot.last.intent] = slot.mined[0] if slot.mined else slot.last
        return tuple(carriers[intent.sender, intent.id] for intent in intents)

    def _plan(self, view: _View, intents: Sequence[Intent], *, stuck: bool) -> list[_Step]:
        """What to broadcast: others that stand in the way, then ours in their order. Raises :class:`ChainError`."""
        steps: list[_Step] = []
        refused: list[tuple[Intent, RpcError]] = []
        for intent in intents:
            slot = _current(view.slots, intent)
            if slot is not None and slot.fate:
                continue
            candidate = self._candidate(intent, view, slot, stuck=stuck)
            tried = view.tried[candidate.call]
            if tried.failure is not None:
                refused.append((intent, tried.failure))
                continue
            last = slot.last if slot is not None else None
            step = _Step(intent.sender, intent.id, intent.description, "intent", candidate.timestamp, candidate.entry)
            if candidate.entry is None:
                self._price(view, step, candidate.call, self._gas_limit(intent, tried.gas), last)
            steps.append(step)
        if refused:
            raise self._would_revert(refused)
        return self._in_the_way(view, intents, steps, stuck=stuck) + steps

    def _in_the_way(
        self, view: _View, intents: Sequence[Intent], steps: Sequence[_Step], *, stuck: bool
    ) -> list[_Step]:
        """Steps for other intents' open nonces below ours: a transaction waits for all nonces before its own."""
        others = []
        for slot in view.slots:
            last = slot.last
            known = [step.entry or step.replaces for step in steps if step.sender == last.sender]
            below = any(entry is None or entry.nonce > last.nonce for entry in known)
            if slot.fate or not below or _owner(slot, intents):
                continue
            step = _Step(last.sender, last.intent, last.description, last.purpose, last.timestamp, last)
            tried = view.tried[_call(last)] if last.purpose == "intent" else None
            if tried is not None and tried.failure is not None and tried.failure.reverted:
                step.purpose, step.description = "void", f"void: {last.description}"
                self._price(view, step, _Call(last.sender, last.sender, b""), _TRANSFER_GAS, last)
            elif self._stuck(last, view.tip, stuck):
                self._price(view, step, _call(last), last.gas, last)
            others.append(step)
        return others + (self._unused(view, steps) if stuck else [])

    def _unused(self, view: _View, steps: Sequence[_Step]) -> list[_Step]:
        """Voids for nonces below ours that nobody uses any more: a foreign transaction's that was reorganised away."""
        voids = []
        for sender, first in view.nonces.items():
            journaled = {slot.last.nonce for slot in view.slots if slot.last.sender == sender}
            mine = [step.entry or step.replaces for step in steps if step.sender == sender]
            last = max((entry.nonce for entry in mine if entry is not None), default=first)
            for nonce in sorted(set(range(first, last)) - journaled):
                name, timestamp = f"unused/{sender}/{nonce}", view.tip.head.timestamp
                step = _Step(sender, name, f"void: unused nonce {nonce} of {sender}", "void", timestamp)
                self._price(view, step, _Call(sender, sender, b""), _TRANSFER_GAS, None)
                voids.append(step)
        return voids

    def _gas_limit(self, intent: Intent, estimate: int) -> int:
        """Half as much again as estimated: other transactions land first and change what ours finds. Unused gas is not
        paid."""
        cap = self._chain.fees.max_gas
        if estimate > cap:
            raise ChainError(
                f"chain {self._client.name}: {intent.description} takes {estimate} gas, the configured cap is {cap}",
                code="gas-cap",
                reason="A transaction with less gas than it takes fails and still costs.",
                advice=f"If that much is right, raise chains.{self._client.name}.fees.max_gas.",
            )
        return min(estimate * 3 // 2, cap)

    def _price(self, view: _View, step: _Step, call: _Call, gas: int, last: JournalEntry | None) -> None:
        """Give the step a transaction to sign; or ``last`` to send again, where the cap allows no higher price."""
        fees, market = self._chain.fees, view.tip.market
        if last is None:
            price, nonce = first_price(fees, market, self._client.name), 0
        else:
            raised = raised_price(fees, market, last.transaction, self._client.name)
            if raised is None:
                _log.warning("%s: the fee cap allows no replacement; it is sent again as it is", last.description)
                step.entry, step.purpose, step.description = last, last.purpose, last.description
                return
            price, nonce = raised, last.nonce
            if (price.max_fee_per_gas, price.max_priority_fee_per_gas) == (
                last.max_fee_per_gas,
                last.max_priority_fee_per_gas,
            ):
                gas = max(gas, last.gas + 1)  # a transaction that differs in nothing is "already known"
        step.entry, step.replaces = None, last
        step.transaction = Transaction(
            kind="eip1559" if fees.kind == "eip1559" else "legacy",
            chain_id=self._chain.chain_id,
            nonce=nonce,
            to=call.to,
            value=0,
            data=call.data,
            gas=gas,
            max_fee_per_gas=price.max_fee_per_gas,
            max_priority_fee_per_gas=price.max_priority_fee_per_gas,
        )

    def _check_balances(self, view: _View, steps: Sequence[_Step]) -> None:
        poor = []
        for sender, balance in view.balances.items():
            needed = sum(step.cost for step in steps if step.sender == sender)
            if needed > balance:
                poor.append(f"{sender} has {balance} wei and may need {needed}")
        if poor:
            raise ChainError(
                f"chain {self._client.name}: not enough for gas: {'; '.join(poor)}",
                code="balance-too-low",
                reason="A transaction whose sender cannot pay its gas is never mined. Nothing was signed.",
                advice="Send the missing amount of the chain's own coin to that address, then run again.",
            )

    # -- acting --------------------------------------------------------------------------------------------------------

    def _sign(
        self, view: _View, intents: Sequence[Intent], steps: Sequence[_Step], begin: Callable[[], None]
    ) -> list[JournalEntry]:
        """Sign and journal what is not yet; all entries to broadcast, ordered by sender and nonce."""
        senders = dict.fromkeys(step.sender for step in steps if step.transaction)
        signers = {sender: self._open(sender) for sender in senders}
        begin()
        used = {(slot.last.sender, slot.last.nonce) for slot in view.slots}
        free = dict(view.nonces)
        met: list[JournalEntry] = []
        for step in steps:
            while step.entry is None:
                nonce = step.replaces.nonce if step.replaces else free[step.sender]
                if step.replaces is None:
                    free[step.sender] += 1
                    if (step.sender, nonce) in used:
                        continue
                mine = self._signed(signers[step.sender], step, nonce)
                stands = self._journal.claim(mine)
                if stands is not mine:
                    self._journal.checked(stands)
                met.append(stands)
                if step.replaces is not None:
                    step.entry = stands
                self._adopt(intents, steps, stands)
        order = {sender: index for index, sender in enumerate(view.nonces)}
        entries = {entry.key: entry for entry in [*met, *(step.entry for step in steps if step.entry)]}
        return sorted(entries.values(), key=lambda entry: (order[entry.sender], entry.nonce))

    def _adopt(self, intents: Sequence[Intent], steps: Iterable[_Step], stands: JournalEntry) -> None:
        """Give an entry that was just read or written to the step whose intent it carries: another runner may have
        claimed a nonce for one of ours."""
        for step in steps:
            if (
                step.entry is None
                and step.replaces is None
                and (step.sender, step.intent) == (stands.sender, stands.intent)
            ):
                step.entry = stands
                owner = _owner(Slot((stands,)), intents)
                if owner is not None:
                    _check_same(owner, stands)

    def _open(self, sender: str) -> TransactionSigner:
        signer = self._signer(sender)
        if signer.address != sender:
            raise OperatorError(
                f"the key opened for {sender} is {signer.address}'s",
                code="signer-mismatch",
                reason="Another account's transaction would revert, or be recorded as another reporter's.",
                advice="Correct the signer's uri or its pinned address in attest.toml.",
            )
        return signer

    def _signed(self, signer: TransactionSigner, step: _Step, nonce: int) -> JournalEntry:
        assert step.transaction is not None
        transaction = replace(step.transaction, nonce=nonce)
        _log.info(
            "signing for %s at nonce %d: %s (to %s, %d bytes, gas %d at %d wei)",
            step.sender,
            nonce,
            step.description,
            transaction.to,
            len(transaction.data),
            transaction.gas,
            transaction.max_fee_per_gas,
        )
        raw = signer.sign_transaction(transaction)
        try:
            faithful = decode(raw) == (transaction, step.sender)
        except VerificationError:
            faithful = False
        if not faithful:
            raise OperatorError(
                f"the signer of {step.sender} returned something else than the transaction that it was given",
                code="signer-unfaithful",
                reason="Only what was simulated and shown is sent.",
                advice="Do not use this signer until its operator has explained it; nothing of it was sent.",
            )
        return JournalEntry.of(
            transaction,
            raw,
            intent=step.intent,
            description=step.description,
            purpose=step.purpose,
            timestamp=step.timestamp,
            sender=step.sender,
            attempt=step.replaces.attempt + 1 if step.replaces else 0,
        )

    def _broadcast(self, view: _View, entries: Sequence[JournalEntry]) -> None:
        outcomes = self._client.send_raw([bytes.fromhex(entry.raw) for entry in entries])
        refused = []
        for entry, each in zip(entries, outcomes, strict=True):
            self._sent_at.setdefault(entry.hash, view.tip.head.number)
            self._times_sent[entry.hash] += 1
            _log.info("sent 0x%s (%s): %s", entry.hash, entry.description, "; ".join(map(_outcome_text, each)))
            if all(_is_refusal(outcome) for outcome in each):
                refused.append((entry, each))
        if refused:
            entry, each = refused[0]
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise ChainError(
                f"chain {self._client.name}: {entry.description}: {'; '.join(map(_outcome_text, each))}{more}",
                code="transaction-refused",
                reason="No endpoint took the transaction. It stays in the journal, and the next run sends it again.",
                advice=_REFUSAL_ADVICE.get(each[0].code, "Mend what the endpoint names, then run again."),
            )

    # -- telling -------------------------------------------------------------------------------------------------------

    def _receipts(self, intents: Sequence[Intent], newest: Mapping[str, Slot]) -> tuple[ReportReceipt, ...]:
        reverted = [(intent, newest[intent.id]) for intent in intents if newest[intent.id].fate == "reverted"]
        if reverted:
            raise self._reverted(reverted)
        found = []
        for intent in intents:
            mined = newest[intent.id].mined
            assert mined is not None
            entry, receipt = mined
            found.append(
                ReportReceipt(
                    intent=intent.id,
                    chain_id=entry.chain_id,
                    sender=entry.sender,
                    nonce=entry.nonce,
                    transaction=entry.hash,
                    block=receipt.block,
                    block_number=receipt.block_number,
                    gas_used=receipt.gas_used,
                )
            )
        return tuple(found)

    def _would_revert(self, refused: Sequence[tuple[Intent, RpcError]]) -> ChainError:
        whys: dict[tuple[str, str], list[str]] = {}
        for intent, error in refused:
            whys.setdefault((intent.to, str(intent.explain(error))), []).append(intent.description)
        listed = "; ".join(f"{', '.join(what)}: {why} (contract {to})" for (to, why), what in whys.items())
        reverts = all(error.reverted for _, error in refused)
        return ChainError(
            f"chain {self._client.name}: {listed}",
            code="would-revert" if reverts else "simulation-failed",
            reason="All transactions are simulated first, so that none is sent in vain. Nothing was signed.",
            advice="Mend what the contract names (roles, addresses, a report already made), then run again."
            if reverts
            else "Check the endpoint with `attest doctor`, then run again.",
        )

    def _reverted(self, slots: Sequence[tuple[Intent, Slot]]) -> ChainError:
        """Why mined transactions reverted: each called again, on the state that its block began with, and that it left
        (where a transaction before ours in the block made the difference)."""
        mined = [(intent, *slot.mined) for intent, slot in slots if slot.mined is not None]
        requests: list[Request] = []
        for _, entry, receipt in mined:
            message = {"from": entry.sender, "to": entry.to, "data": f"0x{entry.data}", "gas": hex(entry.gas)}
            requests += [("eth_call", [message, hex(receipt.block_number - earlier)]) for earlier in (1, 0)]
        answers = iter(self._client.batch(requests))
        told = []
        for intent, entry, receipt in mined:
            again = [answer for answer in (next(answers), next(answers)) if isinstance(answer, RpcError)]
            if receipt.gas_used >= entry.gas:
                reason = f"it used up its {entry.gas} gas"
            else:
                reason = str(intent.explain(again[0])) if again else "why cannot be told: called again, it succeeds"
            told.append(f"{entry.description}: reverted in transaction 0x{entry.hash}: {reason}")
        return ChainError(
            f"chain {self._client.name}: {'; '.join(told)}",
            code="transaction-reverted",
            reason="A transaction that reverted changed nothing on the chain.",
            advice="Mend what the contract names, then run again: what reverted is sent anew, what landed is not.",
        )

    def _not_confirmed(
        self, intents: Sequence[Intent], slots: Sequence[Slot], trouble: str, timeout: float
    ) -> ChainError:
        open_ones = []
        for intent in intents:
            slot = _newest(slots, intent)
            if not _settled(slot):
                open_ones.append(f"{intent.description} {'waits for finality' if slot.fate else 'is not mined'}")
        return ChainError(
            f"chain {self._client.name}: not confirmed within {timeout:g} s: {'; '.join(open_ones)}"
            + (f" (last trouble: {trouble})" if trouble else ""),
            code="not-confirmed",
            reason="A transaction that is not final may still land, so nothing is built on it and none is sent anew.",
            advice="Run the same command again: it looks for the same transactions and sends no others beside them.",
        )


# -- details ---------------------------------------------------------------------------------------------------------


def _senders(intents: Sequence[Intent]) -> list[str]:
    return list(dict.fromkeys(intent.sender for intent in intents))


def _owner(slot: Slot, intents: Iterable[Intent]) -> Intent | None:
    return next((intent for intent in intents if _carries(slot, intent)), None)


def _carries(slot: Slot, intent: Intent) -> bool:
    return (slot.last.sender, slot.last.intent) == (intent.sender, intent.id)


def _current(slots: Iterable[Slot], intent: Intent) -> Slot | None:
    """The slot in which an intent landed, or still may; None if it has none, or none any more."""
    open_ones = [slot for slot in slots if _carries(slot, intent) and not slot.dead]
    return next((slot for slot in open_ones if slot.fate == "landed"), open_ones[0] if open_ones else None)


def _newest(slots: Iterable[Slot], intent: Intent) -> Slot:
    """The slot that decides about an intent: the one in which it landed or may, else the last one that it lost."""
    return _current(slots, intent) or [slot for slot in slots if _carries(slot, intent)][-1]


def _settled(slot: Slot) -> bool:
    """Whether it landed or reverted for good. What lost its nonce otherwise is given another."""
    return slot.final and slot.fate in ("landed", "reverted")


def _fresh(intent: Intent, entry: JournalEntry, tip: Tip, *, of_its_life: float = 0.5) -> bool:
    """Whether an attempt's timestamp can be sent: not later than the head (which was reorganised, or read from an
    endpoint that lags behind), nor too old; half of its life is left to be mined in."""
    age = tip.head.timestamp - entry.timestamp
    return intent.valid_seconds is None or 0 <= age <= of_its_life * intent.valid_seconds


def _timestamp(intent: Intent, view: _View) -> int:
    """What to build an intent's calldata for: the head's timestamp; but, where a foreign transaction seems to hold an
    earlier nonce, the oldest with which an attempt could still land there. An endpoint that spreads requests over
    several nodes may know the nonce as used and not yet the receipt: then the contract refuses the second report."""
    lost = [
        entry.timestamp
        for slot in view.slots
        if _carries(slot, intent) and slot.fate == "taken"
        for entry in slot.attempts
        if entry.purpose == "intent" and _fresh(intent, entry, view.tip, of_its_life=1)
    ]
    return min(lost, default=view.tip.head.timestamp)


def _call(entry: JournalEntry) -> _Call:
    return _Call(entry.sender, entry.to, bytes.fromhex(entry.data))


def _check_same(intent: Intent, entry: JournalEntry) -> None:
    """What was journaled under an intent's name must be that intent."""
    meant = (entry.sender, b"") if entry.purpose == "void" else (intent.to, intent.build(entry.timestamp))
    if (entry.to, bytes.fromhex(entry.data), entry.value) != (*meant, 0):
        raise ConflictError(
            f"{entry.key}: the journal's transaction for {intent.id} is not the one to be sent now",
            code="intent-conflict",
            reason="One intent lands once; two contents under one name cannot both be it.",
            advice="If the decision changed, publish a revision. If not, the store was touched: keep it as it is, and "
            "find out who can write to it.",
        )


def _is_refusal(outcome: Outcome) -> bool:
    text = outcome.detail.lower()
    return (
        outcome.kind == "rejected"
        and outcome.code not in _NO_REFUSAL_CODES
        and not any(part in text for part in _NO_REFUSAL_TEXTS)
    )


def _outcome_text(outcome: Outcome) -> str:
    code = "" if outcome.code is None else f" (code {outcome.code})"
    return f"{outcome.endpoint}: {outcome.kind}{f': {outcome.detail}' if outcome.detail else ''}{code}"
