"""Looking after the reserve oracle between runs: reports too old to count are removed, and a reporter is replaced.

Everything is sent through the one journal of transactions (:mod:`attest.chain.submission`): simulated first, shown, and
sent once, however often the command is repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from attest.chain import contracts
from attest.chain.contracts import ReserveOracle
from attest.chain.rpc import ChainClient, balance_request
from attest.chain.runway import gas_price
from attest.chain.submission import Intent, Simulation, Submitter
from attest.chain.values import quantity
from attest.config import Loaded
from attest.errors import OperatorError
from attest.model import ReportReceipt
from attest.records import digest
from attest.signing.transaction import TransactionSigner
from attest.store import Store

ROLE = "REPORTER_ROLE"


class Proposal(NamedTuple):
    """A transaction that would be sent: what it calls, in words, and what came of simulating it. ``cost`` is in wei at
    the present price, None where the endpoint gives none."""

    simulation: Simulation
    call: str
    cost: int | None

    @property
    def intent(self) -> Intent:
        return self.simulation.intent


class Upkeep:
    """The configured oracle, and who sends to it: ``signer`` opens a key by its address when something is signed."""

    def __init__(
        self, loaded: Loaded, client: ChainClient, private: Store, signer: Callable[[str], TransactionSigner]
    ) -> None:
        config = loaded.config
        self.oracle: ReserveOracle = contracts.reserve_oracle(config.oracle, loaded.base)
        self.settings = config.chains[config.oracle.chain]
        self.tokens = {
            symbol: next(each.address for each in token.deployments if each.chain == config.oracle.chain)
            for symbol, token in config.tokens.items()
        }
        self.client = client
        self._submitter = Submitter(client, self.settings, private, signer)

    def propose(self, wanted: Sequence[tuple[Intent, str]]) -> list[Proposal]:
        """Simulate intents, each with its call in words. Raises :class:`ChainError`."""
        found = self._submitter.simulate([intent for intent, _ in wanted])
        answers = [each.results[0] for each in self.client.each([("eth_gasPrice", [])]) if each.results is not None]
        price = gas_price(self.settings.fees, answers[0]) if answers else None
        return [
            Proposal(simulation, call, None if price is None else simulation.gas * price)
            for simulation, (_, call) in zip(found, wanted, strict=True)
        ]

    def send(self, intents: Sequence[Intent]) -> tuple[ReportReceipt, ...]:
        """Send and wait for finality. Raises :class:`ChainError`, :class:`ConflictError`, :class:`OperatorError` as
        :class:`attest.chain.submission.Submitter` does."""
        self._submitter.submit(intents)
        return self._submitter.confirm(intents)


# -- reports too old to count ----------------------------------------------------------------------------------------


class StaleReport(NamedTuple):
    """A report older than ``consensusValidity``; ``timestamp`` in Unix seconds."""

    reporter: str
    timestamp: int


@dataclass(frozen=True)
class Removal:
    """The stale reports of a token, and the transaction that removes them; none, no transaction."""

    token: str
    address: str
    stale: tuple[StaleReport, ...]

    def intent(self, oracle: ReserveOracle, sender: str) -> Intent:
        """Its id names exactly these reports, so removing them again is the same intent."""
        named = "\n".join(f"{reporter} {timestamp}" for reporter, timestamp in sorted(self.stale))
        calldata = oracle.remove_stale(self.address)
        return Intent(
            id=f"remove-stale/{self.address}/{digest(named.encode())[:32]}",
            sender=sender,
            to=oracle.address,
            description=f"remove {len(self.stale)} stale reports on {self.token}",
            build=lambda timestamp: calldata,
            explain=oracle.explain,
        )


def find_stale(upkeep: Upkeep, tokens: Sequence[str]) -> tuple[Removal, ...]:
    """What is stale at the last final block, for these tokens (all, if none is named).

    Raises :class:`OperatorError` for an unknown token, and for a contract that does not say who reports or for how
    long; :class:`ChainError` when the chain cannot be read.
    """
    oracle = upkeep.oracle
    unknown = [token for token in tokens if token not in upkeep.tokens]
    if unknown:
        raise OperatorError(
            f"tokens: there is no {', '.join(unknown)}",
            code="no-such-token",
            reason="Only configured tokens are looked after.",
            advice=f"Name one of {', '.join(upkeep.tokens)}.",
        )
    if not (oracle.lists_reporters and oracle.states_ages):
        raise OperatorError(
            "oracle: the contract does not say who reports, or for how long a report counts",
            code="configuration",
            reason="Without it nobody can tell whether there is anything to remove.",
            advice="Name its functions reporters, maxReportAge and consensusValidity in oracle.functions.",
        )
    block = upkeep.client.finalized_head(upkeep.settings.finality)
    reporters, validity = contracts.read(upkeep.client, [oracle.reporters(), oracle.consensus_validity()], block)
    asked = {symbol: upkeep.tokens[symbol] for symbol in tokens or upkeep.tokens}
    pairs = list(itertools.product(asked, reporters))
    calls = [oracle.report_of(asked[symbol], reporter) for symbol, reporter in pairs]
    reports = dict(zip(pairs, contracts.read(upkeep.client, calls, block), strict=True))
    return tuple(
        Removal(
            symbol,
            address,
            tuple(
                StaleReport(reporter, reports[symbol, reporter][1])
                for reporter in reporters
                if reports[symbol, reporter][1] and block.timestamp - reports[symbol, reporter][1] > validity
            ),
        )
        for symbol, address in asked.items()
    )


# -- another reporter ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rotation:
    """The reporter ``old`` is replaced by ``new`` (checksummed addresses), by the oracle's ``admin``."""

    upkeep: Upkeep
    old: str
    new: str
    admin: str

    def stands(self, step: Literal["grant", "revoke"]) -> bool:
        """Whether the role is, at the last final block, as the step leaves it. Raises :class:`ChainError`."""
        account = self.new if step == "grant" else self.old
        block = self.upkeep.client.finalized_head(self.upkeep.settings.finality)
        (held,) = contracts.read(self.upkeep.client, [self.upkeep.oracle.has_role(ROLE, account)], block)
        return bool(held) is (step == "grant")

    def propose(self, step: Literal["grant", "revoke"]) -> Proposal | None:
        """The step's transaction, simulated; None if the role is as it should be.

        The same step of the same rotation is one intent; it gets another only after it landed and was undone since.
        Raises :class:`ChainError`.
        """
        if self.stands(step):
            return None
        for turn in itertools.count():
            (proposal,) = self.upkeep.propose([self._change(step, turn)])
            if proposal.simulation.outcome != "landed":
                return proposal
            self.upkeep.send([proposal.intent])  # only waits until it is final
            if self.stands(step):
                return None
        raise AssertionError("unreachable")

    def _change(self, step: Literal["grant", "revoke"], turn: int) -> tuple[Intent, str]:
        oracle = self.upkeep.oracle
        account = self.new if step == "grant" else self.old
        calldata = oracle.grant_role(ROLE, account) if step == "grant" else oracle.revoke_role(ROLE, account)
        intent = Intent(
            id=f"rotate/{oracle.address}/{self.old}/{self.new}/{step}/{turn}",
            sender=self.admin,
            to=oracle.address,
            description=f"{step} {ROLE} {'to' if step == 'grant' else 'of'} {account}",
            build=lambda timestamp: calldata,
            explain=oracle.explain,
        )
        return intent, f"{step}Role({ROLE}, {account})"

    def needs_gas(self) -> bool:
        """Whether the new key has nothing to pay its reports with, where gas costs something. Raises
        :class:`ChainError`."""
        if self.upkeep.settings.fees.kind == "free":
            return False
        block = self.upkeep.client.finalized_head(self.upkeep.settings.finality)
        (balance,) = self.upkeep.client.batch([balance_request(self.new, block)])
        return quantity(balance, f"the balance of {self.new}") == 0

    def losing_quorum(self) -> tuple[str, ...]:
        """The tokens whose quorum is met now and would not be without the old reporter's report. Empty where the
        contract does not list its reporters and ages. Raises :class:`ChainError`."""
        upkeep, oracle = self.upkeep, self.upkeep.oracle
        if not (oracle.lists_reporters and oracle.states_ages):
            return ()
        block = upkeep.client.finalized_head(upkeep.settings.finality)
        first = [oracle.reporters(), oracle.consensus_validity(), oracle.required_quorum()]
        reporters, validity, quorum = contracts.read(upkeep.client, first, block)
        pairs = list(itertools.product(upkeep.tokens, reporters))
        calls = [oracle.report_of(upkeep.tokens[symbol], reporter) for symbol, reporter in pairs]
        standing: dict[str, set[str]] = {symbol: set() for symbol in upkeep.tokens}
        for (symbol, reporter), (_, timestamp) in zip(pairs, contracts.read(upkeep.client, calls, block), strict=True):
            if timestamp and block.timestamp - timestamp <= validity:
                standing[symbol].add(reporter.lower())
        return tuple(
            symbol for symbol, reports in standing.items() if len(reports) >= quorum > len(reports - {self.old.lower()})
        )
