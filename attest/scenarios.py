"""Situations of the operations runbook, played on a practice chain, for whoever wants to see what the watch says.

A play deploys what the runbook names beside the tokens (ledger, liquidation, XAU oracles, bridge, mint controller,
guard, stabilizer, multi-signature wallet), lets more than a day go by, so that its own grants of roles are no news,
makes two and a half hours of history up to now, and then the situation. From then on it goes on beating: on a chain
where nothing happens there is no success rate. Everything it has to know it reads from the chain.

Who acts is a development account each (:func:`attest.chain.devnet.dev_key`): 0 the admin, officer and guardian, 1 the
minter, 2 the relayer, 3 the bridge's HSM, 4 price feed and keeper, 5 a customer, 6 and 7 vault owners, 8 a liquidator.
Account 9 is free for the reader. Reporters are the practice network's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attest.chain import devnet as chain
from attest.chain.artifact import artifact
from attest.records import Amount

#: Seconds between two beats, at least, and between two blocks once the history is made.
BEAT_SECONDS = 5.0
BLOCK_SECONDS = 2
#: How far back the history begins, and how long one of its rounds is; it ends a little before now.
HISTORY_SECONDS = 9000
MARGIN_SECONDS = 150
#: How far back everything is deployed.
DEPLOYED_SECONDS = 100_000
#: For how long feed and reporters say nothing in the scenario of the stale oracle.
SILENCE_SECONDS = 4200

WAD = 10**18
GOLD = "GOLD"
DESTINATION = 651940
ADMIN, MINTER, RELAYER, HSM, FEED, CUSTOMER, FIRST_OWNER, SECOND_OWNER, LIQUIDATOR = range(9)

_ROUND_SECONDS = 300
_MAX_AGE_SECONDS = 3600
_SETTLEMENT_TIMEOUT_SECONDS = 3600
_TWAP_SECONDS = 1800
_CODES = {"USDW": b"USD", "EURW": b"EUR", "GBPW": b"GBP"}
#: Gold in the currencies that vaults can borrow, and how much all of them may borrow of each, in whole tokens.
_PRICES = {"USDW": 2650 * WAD, "EURW": 2450 * WAD}
_DEBT_CEILINGS = {"USDW": 1_000_000, "EURW": 500_000}
#: Reporters state this much of the supply: enough for no alert.
_RESERVE_PERCENT = 112
_BLOCK_DELAY = 10
#: Signatures of three that the multi-signature wallet needs.
_SIGNATURES = 2
#: ``IComplianceGuard.Operation.Audit``
_AUDIT = 0
_OUTSIDE = "0x" + "c1" * 20
_BRIDGE_THERE = "0x" + "b1" * 20
_GAS = 700_000


class Status:
    """``BridgeEscrowVault.TransferStatus``, as far as it is asked for."""

    INITIATED = 1
    FAILED = 3


@dataclass(frozen=True)
class Roles:
    """Who holds the roles of a contract; ``contract`` is the reference contract that it is."""

    contract: str
    address: str
    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Multisig:
    """A multi-signature wallet."""

    address: str
    threshold: int
    owners: tuple[str, ...]


@dataclass(frozen=True)
class Contracts:
    """Where everything stands that a monitor of the network watches: checksummed addresses, and since which block.

    ``assets`` are collateral. ``price_oracles`` are by the symbol of the currency in which they price gold;
    ``destinations`` are chain ids, ``roles`` by contract, as the deployment gave them.
    """

    scenario: str
    chain_id: int
    first_block: int
    reserve_oracle: str
    registry: str
    tokens: Mapping[str, str]
    assets: Mapping[str, str]
    price_oracles: Mapping[str, str]
    ledger: str
    liquidation: str
    mint_controller: str
    compliance_guard: str
    bridge_registry: str
    bridge_vault: str
    destinations: tuple[int, ...]
    stabilizer: str
    venue: str
    roles: Mapping[str, Roles]
    multisigs: Mapping[str, Multisig]


class Outbound(NamedTuple):
    """An outbound transfer: its id, the token's address and base units."""

    transfer: bytes
    token: str
    units: Amount


@dataclass
class Stage:
    """The deployed contracts, and everybody who acts on them. Amounts are in whole tokens unless said otherwise."""

    rpc: str
    contracts: Contracts
    decimals: Mapping[str, int]
    reporters: Sequence[chain.Sender]
    accounts: Sequence[chain.Sender] = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = [chain.Sender(self.rpc, chain.dev_key(number)) for number in range(LIQUIDATOR + 1)]

    def read(self, contract: str, address: str, function: str, *arguments: Any) -> Any:
        """The first value that a function returns."""
        return chain.read(self.rpc, contract, address, function, *arguments)[0]

    def supply(self, symbol: str) -> int:
        """In base units."""
        return int(self.read("WToken", self.contracts.tokens[symbol], "totalSupply"))

    # -- prices and reserves -----------------------------------------------------------------------------------------

    def submit_prices(self, permille: int | None = None) -> None:
        """All prices of gold: the last ones again, or so many thousandths of where they began."""
        for symbol, oracle in self.contracts.price_oracles.items():
            price = (
                self.read("XAUOracle", oracle, "lastPrice") if permille is None else _PRICES[symbol] * permille // 1000
            )
            self._add(FEED, "XAUOracle", oracle, "submitPrice", price)
        self.accounts[FEED].commit()

    def report_reserves(self, reserves: Mapping[str, int], *, reporters: int | None = None) -> None:
        """The first so many reporters (or all) report as of the head: these reserves in base units, and what they
        reported last of the other tokens."""
        now = chain.head(self.rpc)[1]
        oracle = self.contracts.reserve_oracle
        speaking = self.reporters[:reporters]
        for reporter in speaking:
            for symbol, token in self.contracts.tokens.items():
                last = self.read("ReserveOracle", oracle, "reportOf", token, reporter.address)
                arguments = (token, reserves.get(symbol, last), now)
                _add(reporter, "ReserveOracle", oracle, "submitReserveReport", *arguments)
        for reporter in speaking:
            reporter.commit()

    def set_report_ages(self, seconds: int) -> None:
        """How old a report may be: when submitted, and to count."""
        self._add(ADMIN, "ReserveOracle", self.contracts.reserve_oracle, "setAges", seconds, seconds)
        self.accounts[ADMIN].commit()

    def freeze(self, symbol: str) -> None:
        """The guardian freezes the price of gold in a currency."""
        self._add(ADMIN, "XAUOracle", self.contracts.price_oracles[symbol], "freeze")
        self.accounts[ADMIN].commit()

    # -- mints, redemptions, checks ----------------------------------------------------------------------------------

    def mint(self, symbol: str, amount: int) -> None:
        """Mint to the customer through the controller; what the guard refuses is in its log."""
        arguments = (self.contracts.tokens[symbol], self.accounts[CUSTOMER].address, self._units(symbol, amount))
        self._add(MINTER, "MintController", self.contracts.mint_controller, "mint", *arguments)
        self.accounts[MINTER].commit()

    def redeem(self, symbol: str, amount: int) -> None:
        """The customer redeems."""
        controller, token, units = (
            self.contracts.mint_controller,
            self.contracts.tokens[symbol],
            self._units(symbol, amount),
        )
        self._add(CUSTOMER, "WToken", token, "approve", controller, units)
        self._add(CUSTOMER, "MintController", controller, "redeem", token, units, _text(f"PAYMENT {symbol} {amount}"))
        self.accounts[CUSTOMER].commit()

    def audit(self, symbol: str) -> None:
        """Have the guard look at a token as it stands."""
        arguments = (_AUDIT, self.contracts.tokens[symbol], self.accounts[ADMIN].address, 0)
        self._add(ADMIN, "ComplianceGuard", self.contracts.compliance_guard, "check", *arguments)
        self.accounts[ADMIN].commit()

    # -- the bridge --------------------------------------------------------------------------------------------------

    def outbound(self, status: int, last: int = 12) -> list[Outbound]:
        """Those of the last so many outbound transfers that are in a status."""
        vault = self.contracts.bridge_vault
        count = self.read("BridgeEscrowVault", vault, "transferCount")
        found = []
        for index in range(max(0, count - last), count):
            transfer = self.read("BridgeEscrowVault", vault, "transferIdAt", index)
            entry = chain.read(self.rpc, "BridgeEscrowVault", vault, "transfers", transfer)
            if entry[0] == status:
                found.append(Outbound(transfer, entry[2], entry[6]))
        return found

    def initiate(self, symbol: str, amounts: Sequence[int]) -> None:
        """The customer sends tokens to the other chain, in one transfer each."""
        vault, token = self.contracts.bridge_vault, self.contracts.tokens[symbol]
        units = [self._units(symbol, amount) for amount in amounts]
        self._add(CUSTOMER, "WToken", token, "approve", vault, sum(units))
        for one in units:
            self._add(CUSTOMER, "BridgeEscrowVault", vault, "initiateTransfer", token, one, DESTINATION, _OUTSIDE)
        self.accounts[CUSTOMER].commit()

    def settle(self, transfers: Sequence[Outbound]) -> None:
        """Pending transfers arrive. As much comes back, so that nobody runs out of tokens."""
        for outbound in transfers:
            vault = self.contracts.bridge_vault
            self._add(RELAYER, "BridgeEscrowVault", vault, "settleTransfer", outbound.transfer)
            self._release(*outbound)
        self.accounts[RELAYER].commit()

    def fail(self, transfers: Sequence[Outbound]) -> None:
        """Pending transfers fail on the other chain."""
        for outbound in transfers:
            arguments = (outbound.transfer, _text("destination reverted"))
            self._add(RELAYER, "BridgeEscrowVault", self.contracts.bridge_vault, "failTransfer", *arguments)
        self.accounts[RELAYER].commit()

    def initiate_refunds(self, transfers: Sequence[Outbound]) -> None:
        """Refunds of failed transfers begin: the HSM signs, anyone brings it."""
        vault, hsm = self.contracts.bridge_vault, self.accounts[HSM].address
        deadline = chain.head(self.rpc)[1] + 3600
        for outbound in transfers:
            request = _refund_request(self.contracts, outbound, deadline)
            self._add(RELAYER, "BridgeEscrowVault", vault, "initiateRefund", request, hsm)
        self.accounts[RELAYER].commit()

    def refund(self, transfers: Sequence[Outbound]) -> None:
        """Refund failed transfers."""
        self.initiate_refunds(transfers)
        for outbound in transfers:
            vault = self.contracts.bridge_vault
            self._add(RELAYER, "BridgeEscrowVault", vault, "executeRefund", outbound.transfer)
        self.accounts[RELAYER].commit()

    def release(self, name: str, symbol: str, units: Amount) -> None:
        """An inbound transfer, in base units; a reserve that does not suffice is in the log."""
        self._release(_text(name), self.contracts.tokens[symbol], units)
        self.accounts[RELAYER].commit()

    def refuse_blocked_transfer(self, symbol: str) -> None:
        """The customer is blocked, tries a transfer, and is allowed again."""
        guard, vault = self.contracts.compliance_guard, self.contracts.bridge_vault
        customer, token = self.accounts[CUSTOMER].address, self.contracts.tokens[symbol]
        self._add(ADMIN, "ComplianceGuard", guard, "setBlocked", customer, True)
        self.accounts[ADMIN].commit()
        self._add(CUSTOMER, "BridgeEscrowVault", vault, "initiateTransfer", token, 1, DESTINATION, _OUTSIDE)
        self.accounts[CUSTOMER].commit()
        self._add(ADMIN, "ComplianceGuard", guard, "setBlocked", customer, False)
        self.accounts[ADMIN].commit()

    def set_destination_status(self, status: int) -> None:
        """``BridgeRegistry.Status`` of the other chain."""
        self._add(ADMIN, "BridgeRegistry", self.contracts.bridge_registry, "setStatus", DESTINATION, status)
        self.accounts[ADMIN].commit()

    # -- vaults and the stabilizer -----------------------------------------------------------------------------------

    def open_vault(self, owner: int, ounces: int, symbol: str, debt: int) -> None:
        """Deposit an owner's ounces and draw tokens."""
        ledger, gold = self.contracts.ledger, self.contracts.assets[GOLD]
        self._add(owner, "WToken", gold, "approve", ledger, ounces * WAD)
        self._add(owner, "Ledger", ledger, "depositCollateral", gold, ounces * WAD)
        self._add(owner, "Ledger", ledger, "drawDebt", self.contracts.tokens[symbol], self._units(symbol, debt))
        self.accounts[owner].commit()

    def liquidate(self, owner: int, symbol: str, repayment: int) -> None:
        """Repay some of an owner's debt for its gold, if its vault can be liquidated."""
        vault, liquidation = self.accounts[owner].address, self.contracts.liquidation
        if not self.read("Liquidation", liquidation, "canLiquidate", vault):
            return
        token, units = self.contracts.tokens[symbol], self._units(symbol, repayment)
        self._add(LIQUIDATOR, "WToken", token, "approve", self.contracts.ledger, units)
        arguments = (vault, token, units, self.contracts.assets[GOLD], 0)
        self._add(LIQUIDATOR, "Liquidation", liquidation, "liquidate", *arguments)
        self.accounts[LIQUIDATOR].commit()

    def set_debt_ceiling(self, symbol: str, ceiling: int) -> None:
        """How much all vaults may borrow of a currency."""
        arguments = (self.contracts.tokens[symbol], self._units(symbol, ceiling))
        self._add(ADMIN, "Ledger", self.contracts.ledger, "setDebtCeiling", *arguments)
        self.accounts[ADMIN].commit()

    def observe(self) -> None:
        """The keeper looks at the deviation, and trades when it may."""
        stabilizer = self.contracts.stabilizer
        self._add(FEED, "Stabilizer", stabilizer, "observe")
        self.accounts[FEED].commit()
        names = ("sustainedBlocks", "requiredBlocks", "lastTradeBlock", "tradeSize")
        sustained, required, traded, size = (self.read("Stabilizer", stabilizer, name) for name in names)
        if size and sustained >= required and chain.head(self.rpc)[0] >= traded + _BLOCK_DELAY:
            self._add(FEED, "Stabilizer", stabilizer, "stabilize")
            self.accounts[FEED].commit()

    # -- private -----------------------------------------------------------------------------------------------------

    def _add(self, number: int, contract: str, address: str, function: str, *arguments: Any) -> None:
        _add(self.accounts[number], contract, address, function, *arguments)

    def _release(self, transfer: bytes, token: str, units: Amount) -> None:
        arguments = (transfer, DESTINATION, token, self.accounts[CUSTOMER].address, units)
        self._add(RELAYER, "BridgeEscrowVault", self.contracts.bridge_vault, "releaseTransfer", *arguments)

    def _units(self, symbol: str, amount: int) -> Amount:
        return amount * int(10 ** self.decimals[symbol])


def _add(sender: chain.Sender, contract: str, address: str, function: str, *arguments: Any) -> None:
    data = artifact(contract).call_data(function, *arguments)
    sender.add(f"call {contract}.{function}", address, data, gas=_GAS)


def _text(text: str) -> bytes:
    """ASCII text as bytes32, padded on the right with zeros."""
    return text.encode("ascii").ljust(32, b"\0")


def _refund_request(contracts: Contracts, outbound: Outbound, deadline: int) -> tuple[bytes, Amount, bytes, int, bytes]:
    """``BridgeEscrowVault.RefundRequest``, signed by the HSM's key (EIP-712)."""
    from eth_account import Account

    domain = {
        "name": "BridgeEscrowVault",
        "version": "1",
        "chainId": contracts.chain_id,
        "verifyingContract": contracts.bridge_vault,
    }
    kinds = {"transferId": "bytes32", "amount": "uint256", "reason": "bytes32", "deadline": "uint256"}
    types = {"RefundRequest": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    values = (outbound.transfer, outbound.units, _text("settlement failed"), deadline)
    message = dict(zip(kinds, values, strict=True))
    signed = Account.sign_typed_data(chain.dev_key(HSM), domain, types, message)
    return (*values, bytes(signed.signature))


# -- deployment ------------------------------------------------------------------------------------------------------


def deploy(
    rpc: str,
    scenario: str,
    deployment: chain.Deployment,
    decimals: Mapping[str, int],
    *,
    reporters: Sequence[str],
    publishers: Sequence[str],
) -> Contracts:
    """Deploy what the runbook names beside the tokens, give each role to its account, and hand out tokens.

    The admin of ``deployment`` is development account 0, and holds the tokens' supplies; ``reporters`` and
    ``publishers`` are those that it has. Raises :class:`ChainError`.
    """
    from eth_utils.crypto import keccak

    admin = chain.Sender(rpc, chain.dev_key(ADMIN))
    people = [chain.dev_address(number) for number in range(LIQUIDATOR + 1)]
    tokens = deployment.tokens
    granted: dict[str, dict[str, tuple[str, ...]]] = {
        deployment.oracle: {"REPORTER_ROLE": tuple(reporters)},
        deployment.registry: {"PUBLISHER_ROLE": tuple(publishers)},
    }

    def call(contract: str, address: str, function: str, *arguments: Any) -> None:
        _add(admin, contract, address, function, *arguments)

    def grant(address: str, role: str, account: str) -> None:
        call("ReserveOracle", address, "grantRole", keccak(text=role), account)  # AccessControl: the same for all
        roles = granted.setdefault(address, {})
        roles[role] = (*roles.get(role, ()), account)

    def roles_of(contract: str, address: str) -> Roles:
        return Roles(contract, address, {"DEFAULT_ADMIN_ROLE": (me,), **granted.get(address, {})})

    def give(token: str, account: str, units: Amount) -> None:
        call("WToken", token, "transfer", account, units)

    def units(symbol: str, amount: int) -> Amount:
        return amount * int(10 ** decimals[symbol])

    create = admin.create
    me = admin.address

    # Gold, with a reserve of its own.
    gold_reserve = create("the gold's reserve oracle", "ReserveOracle", me, 1, _MAX_AGE_SECONDS, 10 * 365 * 86400)
    gold = create(GOLD, "WToken", "Gold Ounce", GOLD, 18, gold_reserve, me)
    grant(gold_reserve, "REPORTER_ROLE", me)
    call("ReserveOracle", gold_reserve, "submitReserveReport", gold, 10_000 * WAD, chain.head(rpc)[1])
    grant(gold, "MINTER_ROLE", me)
    call("WToken", gold, "mint", me, 10_000 * WAD)

    oracles = {symbol: create("XAUOracle", "XAUOracle", me, _MAX_AGE_SECONDS, _TWAP_SECONDS) for symbol in _PRICES}
    for oracle in oracles.values():
        grant(oracle, "FEED_ROLE", people[FEED])
        grant(oracle, "GUARDIAN_ROLE", me)

    guard = create("ComplianceGuard", "ComplianceGuard", me)
    controller = create("MintController", "MintController", me, guard)
    registry = create("BridgeRegistry", "BridgeRegistry", me)
    vault = create("BridgeEscrowVault", "BridgeEscrowVault", me, registry, guard, _SETTLEMENT_TIMEOUT_SECONDS)
    grant(guard, "COMPLIANCE_ROLE", me)
    for checker in (me, controller, vault):
        grant(guard, "CHECKER_ROLE", checker)
    for symbol, code in _CODES.items():
        call("ComplianceGuard", guard, "setActiveCode", code, True)
        call("ComplianceGuard", guard, "setCurrency", tokens[symbol], code)
        grant(tokens[symbol], "MINTER_ROLE", controller)
    grant(controller, "MINTER_ROLE", people[MINTER])
    grant(controller, "PAUSER_ROLE", me)
    grant(registry, "OPERATOR_ROLE", me)
    call("BridgeRegistry", registry, "setDestination", DESTINATION, _BRIDGE_THERE, 1)
    call("BridgeRegistry", registry, "setRouteEnabled", DESTINATION, True)
    grant(vault, "RELAYER_ROLE", people[RELAYER])
    grant(vault, "HSM_SIGNER_ROLE", people[HSM])
    grant(vault, "PAUSER_ROLE", me)

    ledger = create("Ledger", "Ledger", me)
    liquidation = create("Liquidation", "Liquidation", ledger)
    grant(ledger, "LIQUIDATOR_ROLE", liquidation)
    call("Ledger", ledger, "setAsset", gold, WAD)
    for symbol, oracle in oracles.items():
        call("Ledger", ledger, "setCurrency", tokens[symbol], oracle)
        call("Ledger", ledger, "setDebtCeiling", tokens[symbol], units(symbol, _DEBT_CEILINGS[symbol]))
        give(tokens[symbol], ledger, units(symbol, 300_000))
        give(tokens[symbol], people[CUSTOMER], units(symbol, 50_000))
        give(tokens[symbol], vault, units(symbol, 50_000))
    give(tokens["USDW"], people[LIQUIDATOR], units("USDW", 200_000))
    for owner in (FIRST_OWNER, SECOND_OWNER):
        give(gold, people[owner], 100 * WAD)

    signers = [people[number] for number in (ADMIN, MINTER, RELAYER)]
    treasury = create("the treasury", "PracticeMultisig", signers, _SIGNATURES)
    for pausable in (controller, vault):
        grant(pausable, "PAUSER_ROLE", treasury)

    dollar, usdw = oracles["USDW"], tokens["USDW"]
    venue = create("PracticeVenue", "PracticeVenue", dollar, gold, usdw, WAD // 1000)
    # Threshold 1 %, k, 3 blocks, gap, delay, cap of a block, slippage 2 %, gas price.
    settings = (WAD // 100, units("USDW", 1000), 3, 20, _BLOCK_DELAY, units("USDW", 2000), WAD // 50, 10**12)
    stabilizer = create("Stabilizer", "Stabilizer", me, dollar, venue, gold, usdw, settings)
    grant(stabilizer, "KEEPER_ROLE", people[FEED])
    for holder in (venue, stabilizer):
        give(gold, holder, 100 * WAD)
        give(usdw, holder, units("USDW", 100_000))
    admin.commit()
    return Contracts(
        scenario=scenario,
        chain_id=deployment.chain_id,
        first_block=1,  # the chain is this deployment's own
        reserve_oracle=deployment.oracle,
        registry=deployment.registry,
        tokens=dict(tokens),
        assets={GOLD: gold},
        price_oracles=oracles,
        ledger=ledger,
        liquidation=liquidation,
        mint_controller=controller,
        compliance_guard=guard,
        bridge_registry=registry,
        bridge_vault=vault,
        destinations=(DESTINATION,),
        stabilizer=stabilizer,
        venue=venue,
        roles={
            "reserve-oracle": roles_of("ReserveOracle", deployment.oracle),
            "registry": roles_of("AttestationRegistry", deployment.registry),
            **{symbol: roles_of("WToken", token) for symbol, token in tokens.items()},
            **{f"price-oracle-{symbol}": roles_of("XAUOracle", oracle) for symbol, oracle in oracles.items()},
            "ledger": roles_of("Ledger", ledger),
            "mint-controller": roles_of("MintController", controller),
            "compliance-guard": roles_of("ComplianceGuard", guard),
            "bridge-registry": roles_of("BridgeRegistry", registry),
            "bridge-vault": roles_of("BridgeEscrowVault", vault),
            "stabilizer": roles_of("Stabilizer", stabilizer),
        },
        multisigs={"treasury": Multisig(treasury, _SIGNATURES, tuple(signers))},
    )


# -- history ---------------------------------------------------------------------------------------------------------


def make_history(stage: Stage, until: int, *, silent: bool, stuck: bool) -> None:
    """Two transfers every five minutes up to the time ``until``, prices, reports, mints and redemptions.

    ``silent``: feed and reporters, but for the first, stop :data:`SILENCE_SECONDS` before the end. ``stuck``: the first
    transfer is never settled.
    """
    begin = chain.head(stage.rpc)[1] + 60
    chain.advance_to(stage.rpc, begin)
    stage.submit_prices(1000)
    stage.report_reserves({symbol: stage.supply(symbol) * _RESERVE_PERCENT // 100 for symbol in stage.contracts.tokens})
    stage.open_vault(FIRST_OWNER, 100, "USDW", 150_000)
    stage.open_vault(SECOND_OWNER, 60, "EURW", 75_000)
    if stuck:
        stage.initiate("EURW", [700])
    for number, start in enumerate(range(begin + _ROUND_SECONDS, until - _ROUND_SECONDS, _ROUND_SECONDS)):
        chain.advance_to(stage.rpc, start)
        heard = None if not silent or start < until - SILENCE_SECONDS else 1
        if heard is None:
            stage.submit_prices(998 + number % 5)
        if number % 6 == 5:
            stage.report_reserves({}, reporters=heard)
            stage.mint("GBPW", 500)
            stage.redeem("GBPW", 500)
        symbol = "EURW" if number % 3 == 2 else "USDW"
        stage.initiate(symbol, [1000 + 100 * (number % 7), 1500])
        chain.advance_to(stage.rpc, start + 120 + 20 * (number % 4))
        stage.settle(stage.outbound(Status.INITIATED, last=2))
    chain.advance_to(stage.rpc, until)
    if not silent:
        stage.submit_prices(1000)
    stage.report_reserves({}, reporters=1 if silent else None)


# -- situations ------------------------------------------------------------------------------------------------------


class Hint(NamedTuple):
    """What a monitor says, and a ``cast call`` to see it by hand, with names for addresses."""

    says: str
    call: str


@dataclass(frozen=True)
class Situation:
    """One scenario: what it shows, what happens once and on each beat, what to look at, and the alerts that it raises
    besides the watchdog."""

    title: str
    begin: Callable[[Stage], None]
    beat: Callable[[Stage, int], None]
    hints: tuple[Hint, ...]
    alerts: frozenset[str]
    silent: bool = False
    stuck: bool = False


def _nothing(stage: Stage) -> None:
    """All is well as it is."""


def _refresh(stage: Stage, number: int) -> None:
    """Prices, reports, a mint and a redemption on every thirtieth beat."""
    if number % 30 == 0:
        stage.submit_prices()
        stage.report_reserves({})
        stage.mint("EURW", 500)
        stage.redeem("EURW", 500)


def _heartbeat(stage: Stage, number: int, symbol: str = "USDW") -> None:
    """A transfer every third beat, which settles three beats later."""
    _refresh(stage, number)
    stage.observe()
    if number % 3 == 0:
        stage.settle(stage.outbound(Status.INITIATED))
        stage.initiate(symbol, [1000 + 100 * (number % 7)])


def _begin_shortfall(stage: Stage) -> None:
    """USDW below its supply, EURW below 105 %, GBPW below 110 %."""
    percent = {"USDW": 96, "EURW": 104, "GBPW": 108}
    stage.report_reserves({symbol: stage.supply(symbol) * share // 100 for symbol, share in percent.items()})
    stage.audit("USDW")
    stage.mint("USDW", 1000)


def _beat_shortfall(stage: Stage, number: int) -> None:
    _heartbeat(stage, number, "EURW")
    if number % 3 == 1:
        stage.mint("USDW", 1000)


def _begin_bridge_failure(stage: Stage) -> None:
    """The other chain degrades, transfers fail, an outflow empties the reserve, a blocked account tries."""
    stage.set_destination_status(2)
    vault, token = stage.contracts.bridge_vault, stage.contracts.tokens["USDW"]
    stage.release("outflow", "USDW", stage.read("BridgeEscrowVault", vault, "bridgeReserve", token) - 10**9)
    stage.release("beyond the reserve", "USDW", 2 * 10**9)
    stage.refuse_blocked_transfer("USDW")
    _send_eight(stage)


def _beat_bridge_failure(stage: Stage, number: int) -> None:
    """The failed transfers of three beats are refunded together, so that nobody runs out of tokens."""
    _refresh(stage, number)
    _send_eight(stage)
    if number % 3 == 2:
        stage.refund(stage.outbound(Status.FAILED, last=3 * 8))
        stage.release(f"beyond the reserve {number}", "USDW", 2 * 10**9)
        stage.refuse_blocked_transfer("USDW")


def _send_eight(stage: Stage) -> None:
    """Eight transfers, of which four fail: small, so that the stabilization reserve lasts at any pace."""
    stage.initiate("USDW", [10, 20, 30, 40] * 2)
    pending = stage.outbound(Status.INITIATED, last=8)
    stage.fail(pending[:4])
    stage.settle(pending[4:])


def _begin_oracle_stale(stage: Stage) -> None:
    """Reports older than an hour no longer count, so that the quorum is lost; the guardian freezes one price."""
    stage.set_report_ages(_MAX_AGE_SECONDS)
    stage.freeze("EURW")


def _beat_oracle_stale(stage: Stage, number: int) -> None:
    """One reporter goes on."""
    if number % 30 == 0:
        stage.report_reserves({}, reporters=1)


def _begin_liquidation(stage: Stage) -> None:
    """Gold loses two fifths."""
    stage.submit_prices(610)
    stage.set_debt_ceiling("USDW", 145_000)
    stage.liquidate(FIRST_OWNER, "USDW", 10_000)


def _beat_liquidation(stage: Stage, number: int) -> None:
    _heartbeat(stage, number)
    if number % 3 == 1:
        stage.liquidate(FIRST_OWNER, "USDW", 500)


def _begin_reorg(stage: Stage) -> None:
    stage.initiate("USDW", [1000])
    chain.reorganise(stage.rpc, 1)


def _beat_reorg(stage: Stage, number: int) -> None:
    """Every third beat a transfer is initiated in blocks that are then replaced: the next one takes its id."""
    _heartbeat(stage, number)
    if number % 3 == 2:
        stage.initiate("USDW", [7000 + number])
        chain.reorganise(stage.rpc, 3)


SITUATIONS: Mapping[str, Situation] = {
    "calm": Situation(
        "Everything is as it should be.",
        _nothing,
        _heartbeat,
        (
            Hint("Reserves suffice.", "{USDW} 'isReserveSufficient()(bool)'"),
            Hint("Vaults are healthy.", "{ledger} 'getVaultHealth(address)(uint256)' {first_owner}"),
            Hint("The bridge pays.", "{bridge_vault} 'bridgeReserve(address)(uint256)' {USDW}"),
        ),
        frozenset(),
    ),
    "shortfall": Situation(
        "USDW has less reserve than supply, EURW less than 105 %, GBPW less than 110 %.",
        _begin_shortfall,
        _beat_shortfall,
        (
            Hint(
                "ReserveShortfall, OnchainReserveInsufficient, MoneyMultiplierViolation: USDW",
                "{USDW} 'isReserveSufficient()(bool)'",
            ),
            Hint("ReserveRatioLow: EURW", "{EURW} 'verifiedReserve()(uint256)'"),
            Hint("ReserveRatioBelow110: GBPW", "{GBPW} 'verifiedReserve()(uint256)'"),
            Hint("ComplianceViolation: mints of USDW are refused", "{USDW} 'totalSupply()(uint256)'"),
        ),
        frozenset(
            {
                "BridgeComplianceViolation",
                "ComplianceViolation",
                "MoneyMultiplierViolation",
                "OnchainReserveInsufficient",
                "ReserveRatioBelow110",
                "ReserveRatioLow",
                "ReserveShortfall",
            }
        ),
    ),
    "bridge-failure": Situation(
        "Half of the transfers fail, the bridge's reserve is gone, and one transfer is stuck.",
        _begin_bridge_failure,
        _beat_bridge_failure,
        (
            Hint(
                "BridgeSuccessRateLow, BridgeSuccessRateCritical: the other chain is degraded (2)",
                "{bridge_registry} 'destinations(uint256)(uint8,bool,uint64,address)' {destination}",
            ),
            Hint(
                "BridgeReserveVerificationFailed, BridgeBufferLow",
                "{bridge_vault} 'bridgeReserve(address)(uint256)' {USDW}",
            ),
            Hint(
                "BridgeTransferPending: the first transfer is still initiated (1)",
                "{bridge_vault} 'transferIdAt(uint256)(bytes32)' 0",
            ),
            Hint(
                "BridgeComplianceViolation: a blocked account tries",
                "{compliance_guard} 'isBlocked(address)(bool)' {customer}",
            ),
        ),
        frozenset(
            {
                "BridgeBufferBreachSoon",
                "BridgeBufferLow",
                "BridgeComplianceViolation",
                "BridgeReserveVerificationFailed",
                "BridgeSuccessRateCritical",
                "BridgeSuccessRateLow",
                "BridgeTransferPending",
            }
        ),
        stuck=True,
    ),
    "oracle-stale": Situation(
        "Two of three reporters and the price feed have been silent for more than an hour.",
        _begin_oracle_stale,
        _beat_oracle_stale,
        (
            Hint(
                "OracleQuorumNotMet, OnchainReserveInsufficient: one report is left",
                "{reserve_oracle} 'isQuorumMet(address)(bool)' {USDW}",
            ),
            Hint("ReserveReportStale, SingleOracleFailure", "{reserve_oracle} 'reporters()(address[])'"),
            Hint("PriceOracleStale: gold in USD", "{price_oracle_USDW} 'updatedAt()(uint256)'"),
            Hint("PriceOracleFrozen: gold in EUR", "{price_oracle_EURW} 'isFrozen()(bool)'"),
        ),
        frozenset(
            {
                "OnchainReserveInsufficient",
                "OracleQuorumNotMet",
                "PriceOracleFrozen",
                "PriceOracleStale",
                "ReserveReportStale",
                "SingleOracleFailure",
            }
        ),
        silent=True,
    ),
    "liquidation": Situation(
        "Gold lost two fifths: one vault is below 110 % and is liquidated, another is below 120 %.",
        _begin_liquidation,
        _beat_liquidation,
        (
            Hint(
                "VaultHealthCritical, VaultLiquidation: the first vault",
                "{liquidation} 'canLiquidate(address)(bool)' {first_owner}",
            ),
            Hint("VaultHealthLow: the second vault", "{ledger} 'getVaultHealth(address)(uint256)' {second_owner}"),
            Hint("DebtCeilingHigh: USDW", "{ledger} 'debtCeiling(address)(uint256)' {USDW}"),
            Hint("TwapDeviationSustained", "{stabilizer} 'sustainedBlocks()(uint256)'"),
        ),
        frozenset(
            {
                "DebtCeilingHigh",
                "FlashDrainRecoverySlow",
                "TwapDeviationSustained",
                "VaultHealthCritical",
                "VaultHealthLow",
                "VaultLiquidation",
            }
        ),
    ),
    "reorg": Situation(
        "Every half minute the last three blocks are replaced, and a transfer with them.",
        _begin_reorg,
        _beat_reorg,
        (
            Hint(
                "DeepReorg: counters go back with the blocks, and then on",
                "{bridge_vault} 'transferCount()(uint256)'",
            ),
        ),
        frozenset(
            {
                "DeepReorg",
            }
        ),
    ),
}


def play(stage: Stage, now: int) -> None:
    """Make the history, up to ``now`` (Unix seconds, of the machine), and the situation; let the chain's clock go with
    the machine's. The chain is a local one whose clock is pinned, :data:`DEPLOYED_SECONDS` before. Raises
    :class:`ChainError`."""
    situation = SITUATIONS[stage.contracts.scenario]
    chain.advance_to(stage.rpc, now - HISTORY_SECONDS)
    make_history(stage, now - MARGIN_SECONDS, silent=situation.silent, stuck=situation.stuck)
    situation.begin(stage)
    chain.follow_machine(stage.rpc, BLOCK_SECONDS)


def look(contracts: Contracts) -> list[tuple[str, str]]:
    """(what a monitor says, arguments of ``cast call`` to see it by hand) of the situation."""
    people = {"customer": CUSTOMER, "first_owner": FIRST_OWNER, "second_owner": SECOND_OWNER}
    names = {
        **vars(contracts),
        **contracts.tokens,
        **{f"price_oracle_{symbol}": oracle for symbol, oracle in contracts.price_oracles.items()},
        **{name: chain.dev_address(number) for name, number in people.items()},
        "destination": DESTINATION,
    }
    return [(hint.says, hint.call.format(**names)) for hint in SITUATIONS[contracts.scenario].hints]
