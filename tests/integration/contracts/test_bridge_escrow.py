"""BridgeEscrowVault on a real chain: locks, settlements, releases, and refunds that the HSM's key signs for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from attest.chain.devnet import dev_key

ADMIN, OFFICER, RELAYER, HSM, PAUSER, SENDER, STRANGER, OTHER_HSM = range(8)
NONE, INITIATED, SETTLED, FAILED, REFUND_INITIATED, REFUNDED = range(6)
CHAIN_ID = 651940
RECIPIENT = "0x" + "c1" * 20
TIMEOUT = 3600
USD = 10**6
SUPPLY = 1000 * USD
MAX = 2**256 - 1
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
REASON = b"timeout".ljust(32, b"\0")

pytestmark = pytest.mark.usefixtures("rewound")


# -- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usdw(make_token: Any) -> Any:
    return make_token("USDW", 6, SUPPLY, reserve=SUPPLY)


@pytest.fixture(scope="module")
def guard(chain: Any, usdw: Any, grant: Any) -> Any:
    contract = chain.deploy("ComplianceGuard", chain.accounts[ADMIN])
    grant(contract, "COMPLIANCE_ROLE", OFFICER)
    chain.send(contract, "setActiveCode", b"USD", True, sender=OFFICER)
    chain.send(contract, "setCurrency", usdw.address, b"USD", sender=OFFICER)
    return contract


@pytest.fixture(scope="module")
def registry(chain: Any, grant: Any) -> Any:
    contract = chain.deploy("BridgeRegistry", chain.accounts[ADMIN])
    grant(contract, "OPERATOR_ROLE", ADMIN)
    chain.send(contract, "setDestination", CHAIN_ID, "0x" + "b1" * 20, 1)
    chain.send(contract, "setRouteEnabled", CHAIN_ID, True)
    return contract


@pytest.fixture(scope="module")
def make_vault(chain: Any, guard: Any, registry: Any, grant: Any) -> Callable[[], Any]:
    def make() -> Any:
        contract = chain.deploy("BridgeEscrowVault", chain.accounts[ADMIN], registry.address, guard.address, TIMEOUT)
        grant(guard, "CHECKER_ROLE", contract)
        for role, account in (("RELAYER_ROLE", RELAYER), ("HSM_SIGNER_ROLE", HSM), ("PAUSER_ROLE", PAUSER)):
            grant(contract, role, account)
        return contract

    return make


@pytest.fixture(scope="module")
def vault(chain: Any, usdw: Any, make_vault: Any) -> Any:
    """The sender holds 500 dollars and approved the vault for them."""
    contract = make_vault()
    chain.send(usdw, "transfer", chain.accounts[SENDER], 500 * USD)
    chain.send(usdw, "approve", contract.address, MAX, sender=SENDER)
    return contract


@pytest.fixture
def initiate(chain: Any, vault: Any, usdw: Any) -> Callable[..., bytes]:
    """The new transfer's id."""

    def send(amount: int = 100 * USD, at: int | None = None) -> bytes:
        transfer = bytes(chain.call(vault, "transferIdAt", chain.call(vault, "transferCount")))
        arguments = (usdw.address, amount, CHAIN_ID, RECIPIENT)
        chain.send(vault, "initiateTransfer", *arguments, sender=SENDER, at=at)
        return transfer

    return send


@pytest.fixture
def relay(chain: Any, vault: Any) -> Callable[..., list[Any]]:
    """The vault's events of a relayer's transaction."""
    return lambda function, *arguments: list(
        chain.events(vault, chain.send(vault, function, *arguments, sender=RELAYER))
    )


@pytest.fixture
def failed(initiate: Any, relay: Any) -> bytes:
    """A transfer of 100 dollars that failed."""
    transfer = bytes(initiate())
    relay("failTransfer", transfer, REASON)
    return transfer


@pytest.fixture
def status(chain: Any, vault: Any) -> Callable[[bytes], int]:
    return lambda transfer: int(chain.call(vault, "transfers", transfer)[0])


@pytest.fixture
def request_refund(chain: Any, vault: Any) -> Callable[..., tuple[Any, ...]]:
    """A refund request, signed by eth-account's own EIP-712."""

    def sign(transfer: bytes, signer: int = HSM, **changed: Any) -> tuple[Any, ...]:
        message = {"transferId": transfer, "amount": 100 * USD, "reason": REASON, "deadline": chain.now() + 600}
        domain = {"name": "BridgeEscrowVault", "version": "1", "chainId": 138, "verifyingContract": vault.address}
        for name, value in changed.items():
            (domain if name in domain else message)[name] = value
        kinds = {"transferId": "bytes32", "amount": "uint256", "reason": "bytes32", "deadline": "uint256"}
        types = {"RefundRequest": [{"name": name, "type": kind} for name, kind in kinds.items()]}
        signable = encode_typed_data(domain, types, message)
        return (*message.values(), bytes(Account.sign_message(signable, dev_key(signer)).signature))

    return sign


@pytest.fixture
def refund(chain: Any, vault: Any) -> Callable[..., Any]:
    """Brings a request; anyone may."""
    return lambda request, signer=HSM, at=None: chain.send(
        vault, "initiateRefund", request, chain.accounts[signer], sender=STRANGER, at=at
    )


# -- outbound --------------------------------------------------------------------------------------------------------


def test_initiate__open_route__locks_and_announces(chain: Any, vault: Any, usdw: Any, guard: Any) -> None:
    arguments = (usdw.address, 100 * USD, CHAIN_ID, RECIPIENT)
    transfer = chain.call(vault, "transferIdAt", 0)
    assert chain.call(vault, "initiateTransfer", *arguments, sender=SENDER) == transfer
    receipt = chain.send(vault, "initiateTransfer", *arguments, sender=SENDER)
    sender, token = chain.accounts[SENDER].lower(), usdw.address.lower()
    assert chain.events(vault, receipt) == [
        ("TransferInitiated", (transfer, token, sender, RECIPIENT, CHAIN_ID, 100 * USD)),
        ("TransferStatusUpdated", (transfer, NONE, INITIATED)),
    ]
    assert [name for name, _ in chain.events(guard, receipt)] == ["ComplianceChecked"]
    entry = (INITIATED, chain.now(), token, sender, RECIPIENT, CHAIN_ID, 100 * USD)
    assert chain.call(vault, "transfers", transfer) == entry
    assert (chain.call(vault, "transferCount"), chain.call(vault, "lockedAmount", token)) == (1, 100 * USD)
    assert chain.call(usdw, "balanceOf", vault.address) == 100 * USD
    assert chain.call(vault, "bridgeReserve", token) == 0, "what is locked pays nobody"


def test_initiate__ids__differ_by_number_and_vault(chain: Any, vault: Any, make_vault: Any) -> None:
    other = make_vault()
    ids = {chain.call(contract, "transferIdAt", n) for contract in (vault, other) for n in range(3)}
    assert len(ids) == 6


def test_initiate__closed_route_or_nothing__reverts(
    chain: Any, vault: Any, usdw: Any, registry: Any, initiate: Any, expect_revert: Any
) -> None:
    with expect_revert("ZeroAmount"):
        initiate(0)
    with expect_revert("RouteClosed", 1):
        chain.send(vault, "initiateTransfer", usdw.address, 1, 1, RECIPIENT, sender=SENDER)
    chain.send(registry, "setRouteEnabled", CHAIN_ID, False)
    with expect_revert("RouteClosed", CHAIN_ID):
        initiate()
    with expect_revert("ERC20InsufficientBalance", chain.accounts[SENDER].lower(), 500 * USD, 501 * USD):
        chain.send(registry, "setRouteEnabled", CHAIN_ID, True)
        initiate(501 * USD)


def test_initiate__blocked_sender__is_refused_and_the_check_stays_in_the_log(
    chain: Any, vault: Any, usdw: Any, guard: Any
) -> None:
    chain.send(guard, "setBlocked", chain.accounts[SENDER], True, sender=OFFICER)
    arguments = (usdw.address, 100 * USD, CHAIN_ID, RECIPIENT)
    assert chain.call(vault, "initiateTransfer", *arguments, sender=SENDER) == bytes(32)
    receipt = chain.send(vault, "initiateTransfer", *arguments, sender=SENDER)
    refusal = ("TransferRefused", (usdw.address.lower(), chain.accounts[SENDER].lower(), 5, 100 * USD))
    assert chain.events(vault, receipt) == [refusal]
    ((name, checked),) = chain.events(guard, receipt)
    assert (name, checked[2], checked[-1]) == ("ComplianceChecked", 5, False)
    assert (chain.call(vault, "transferCount"), chain.call(usdw, "balanceOf", vault.address)) == (0, 0)


def test_settle__reserve_covers_the_supply__turns_the_lock_into_bridge_reserve(
    chain: Any, vault: Any, usdw: Any, initiate: Any, relay: Any
) -> None:
    transfer = initiate()
    assert relay("settleTransfer", transfer) == [
        ("ReserveVerified", (transfer, usdw.address.lower(), True, SUPPLY, SUPPLY)),
        ("TransferStatusUpdated", (transfer, INITIATED, SETTLED)),
    ]
    assert chain.call(vault, "lockedAmount", usdw.address) == 0
    assert chain.call(vault, "bridgeReserve", usdw.address) == 100 * USD


def test_settle__reserve_below_the_supply__fails_the_transfer_and_it_can_be_refunded(
    chain: Any, vault: Any, usdw: Any, report: Any, initiate: Any, relay: Any, refund: Any, request_refund: Any
) -> None:
    transfer = initiate()
    report(usdw, SUPPLY - 1)
    assert chain.call(vault, "settleTransfer", transfer, sender=RELAYER) is False
    assert relay("settleTransfer", transfer) == [
        ("ReserveVerified", (transfer, usdw.address.lower(), False, SUPPLY - 1, SUPPLY)),
        ("TransferStatusUpdated", (transfer, INITIATED, FAILED)),
    ]
    assert chain.call(vault, "lockedAmount", usdw.address) == 100 * USD
    refund(request_refund(transfer))


def test_settle__no_quorum__fails_the_transfer(
    chain: Any, usdw: Any, oracle_of: Any, initiate: Any, relay: Any, status: Any
) -> None:
    transfer = initiate()
    chain.send(oracle_of(usdw), "setRequiredQuorum", 2)
    assert relay("settleTransfer", transfer)[0] == (
        "ReserveVerified",
        (transfer, usdw.address.lower(), False, 0, SUPPLY),
    )
    assert status(transfer) == FAILED


def test_fail__gives_the_reason_and_keeps_the_lock(
    chain: Any, vault: Any, usdw: Any, initiate: Any, relay: Any
) -> None:
    transfer = initiate()
    assert relay("failTransfer", transfer, REASON) == [
        ("TransferFailed", (transfer, REASON)),
        ("TransferStatusUpdated", (transfer, INITIATED, FAILED)),
    ]
    assert chain.call(vault, "lockedAmount", usdw.address) == 100 * USD


def test_steps__in_every_other_status__revert(
    initiate: Any, relay: Any, failed: bytes, refund: Any, request_refund: Any, chain: Any, vault: Any,
    expect_revert: Any,
) -> None:  # fmt: skip
    def all_refused(transfer: bytes, found: int) -> None:
        for function, *more in (("settleTransfer",), ("failTransfer", REASON)):
            with expect_revert("WrongStatus", transfer, found):
                relay(function, transfer, *more)

    def no_refund(transfer: bytes, found: int) -> None:
        with expect_revert("WrongStatus", transfer, found):
            refund(request_refund(transfer))

    unknown = b"\1" * 32
    all_refused(unknown, NONE)
    no_refund(unknown, NONE)
    settled = initiate()
    relay("settleTransfer", settled)
    all_refused(settled, SETTLED)
    no_refund(settled, SETTLED)
    all_refused(failed, FAILED)
    for transfer, found in ((unknown, NONE), (settled, SETTLED), (failed, FAILED), (initiate(), INITIATED)):
        with expect_revert("WrongStatus", transfer, found):
            chain.send(vault, "executeRefund", transfer)
    refund(request_refund(failed))
    all_refused(failed, REFUND_INITIATED)
    no_refund(failed, REFUND_INITIATED)
    chain.send(vault, "executeRefund", failed)
    all_refused(failed, REFUNDED)
    no_refund(failed, REFUNDED)


# -- inbound ---------------------------------------------------------------------------------------------------------


def test_release__from_the_bridges_reserve__pays_once(
    chain: Any, vault: Any, usdw: Any, relay: Any, expect_revert: Any
) -> None:
    chain.send(usdw, "transfer", vault.address, 100 * USD)
    arrival = (b"\7" * 32, CHAIN_ID, usdw.address, RECIPIENT, 100 * USD)
    assert relay("releaseTransfer", *arrival) == [
        ("ReserveVerified", (arrival[0], usdw.address.lower(), True, 100 * USD, 100 * USD)),
        ("TransferReleased", (arrival[0], usdw.address.lower(), RECIPIENT, CHAIN_ID, 100 * USD)),
    ]
    assert chain.call(usdw, "balanceOf", RECIPIENT) == 100 * USD
    assert chain.call(vault, "isReleased", CHAIN_ID, arrival[0]) is True
    with expect_revert("AlreadyReleased", CHAIN_ID, arrival[0]):
        relay("releaseTransfer", *arrival)
    chain.send(usdw, "transfer", vault.address, 100 * USD)
    relay("releaseTransfer", arrival[0], 1, *arrival[2:])  # the same id of another chain is another transfer
    with expect_revert("ZeroAmount"):
        relay("releaseTransfer", b"\x08" * 32, CHAIN_ID, usdw.address, RECIPIENT, 0)


def test_release__more_than_the_reserve__is_refused_and_paid_once_there_is_enough(
    chain: Any, vault: Any, usdw: Any, initiate: Any, relay: Any
) -> None:
    initiate(300 * USD)  # locked, so no reserve
    chain.send(usdw, "transfer", vault.address, 100 * USD - 1)
    arrival = (b"\7" * 32, CHAIN_ID, usdw.address, RECIPIENT, 100 * USD)
    assert chain.call(vault, "releaseTransfer", *arrival, sender=RELAYER) is False
    refusal = ("ReserveVerified", (arrival[0], usdw.address.lower(), False, 100 * USD - 1, 100 * USD))
    assert relay("releaseTransfer", *arrival) == [refusal]
    chain.send(usdw, "transfer", vault.address, 1)
    assert len(relay("releaseTransfer", *arrival)) == 2
    assert chain.call(vault, "bridgeReserve", usdw.address) == 0


def test_reserve__vault_drained_below_what_it_owes__is_zero_and_releases_are_refused(
    chain: Any, vault: Any, usdw: Any, initiate: Any, relay: Any
) -> None:
    initiate(100 * USD)
    chain.rpc("anvil_impersonateAccount", vault.address)
    chain.rpc("anvil_setBalance", vault.address, hex(10**18))
    chain.send(usdw, "transfer", RECIPIENT, 40 * USD, sender=vault.address)
    assert chain.call(vault, "bridgeReserve", usdw.address) == 0, "not the panic of 60 - 100"
    arrival = (b"\7" * 32, CHAIN_ID, usdw.address, RECIPIENT, 1)
    assert relay("releaseTransfer", *arrival) == [("ReserveVerified", (arrival[0], usdw.address.lower(), False, 0, 1))]


# -- refunds ---------------------------------------------------------------------------------------------------------


def test_refund__failed_transfer_signed_by_the_hsm__is_paid_to_its_sender(
    chain: Any, vault: Any, usdw: Any, failed: bytes, refund: Any, request_refund: Any
) -> None:
    sender, hsm = chain.accounts[SENDER].lower(), chain.accounts[HSM].lower()
    assert chain.events(vault, refund(request_refund(failed))) == [
        ("RefundInitiated", (failed, hsm, REASON, 100 * USD)),
        ("TransferStatusUpdated", (failed, FAILED, REFUND_INITIATED)),
    ]
    assert chain.call(usdw, "balanceOf", sender) == 400 * USD
    receipt = chain.send(vault, "executeRefund", failed, sender=STRANGER)
    assert chain.events(vault, receipt) == [
        ("RefundExecuted", (failed, usdw.address.lower(), sender, 100 * USD)),
        ("TransferStatusUpdated", (failed, REFUND_INITIATED, REFUNDED)),
    ]
    assert chain.call(usdw, "balanceOf", sender) == 500 * USD
    assert chain.call(vault, "lockedAmount", usdw.address) == 0


def test_refund__pending_transfer__only_from_its_timeout_on(
    chain: Any, initiate: Any, refund: Any, request_refund: Any, status: Any, expect_revert: Any
) -> None:
    begun = chain.now() + 10
    transfer = initiate(at=begun)
    request = request_refund(transfer, deadline=begun + TIMEOUT)
    with expect_revert("NotRefundable", transfer, begun + TIMEOUT):
        refund(request, at=begun + TIMEOUT - 1)
    refund(request, at=begun + TIMEOUT)
    assert status(transfer) == REFUND_INITIATED


def test_refund__signature_replayed__reverts_at_every_later_step_and_elsewhere(
    chain: Any, vault: Any, usdw: Any, failed: bytes, initiate: Any, relay: Any, make_vault: Any, refund: Any,
    request_refund: Any, expect_revert: Any,
) -> None:  # fmt: skip
    request = request_refund(failed)
    refund(request)
    with expect_revert("WrongStatus", failed, REFUND_INITIATED):
        refund(request)
    chain.send(vault, "executeRefund", failed)
    with expect_revert("WrongStatus", failed, REFUNDED):
        refund(request)
    with expect_revert("WrongStatus", failed, REFUNDED):
        chain.send(vault, "executeRefund", failed)
    assert chain.call(usdw, "balanceOf", chain.accounts[SENDER]) == 500 * USD

    # The same signature for another failed transfer of the same amount.
    again = initiate()
    relay("failTransfer", again, REASON)
    with expect_revert("InvalidSigner"):
        refund((again, *request[1:]))


@pytest.mark.parametrize(
    "signed_for",
    [
        {"chainId": 1},
        {"verifyingContract": "0x" + "11" * 20},
        {"name": "BridgeEscrow"},
        {"version": "2"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_refund__signed_for_another_domain__reverts(
    failed: bytes, refund: Any, request_refund: Any, expect_revert: Any, signed_for: dict[str, Any]
) -> None:
    with expect_revert("InvalidSigner"):
        refund(request_refund(failed, **signed_for))


def test_refund__request_changed_after_signing__reverts(
    failed: bytes, refund: Any, request_refund: Any, expect_revert: Any
) -> None:
    transfer, amount, reason, deadline, signature = request_refund(failed)
    with expect_revert("InvalidSigner"):
        refund((transfer, amount, b"other".ljust(32, b"\0"), deadline, signature))
    with expect_revert("InvalidSigner"):
        refund((transfer, amount, reason, deadline + 1, signature))
    with expect_revert("WrongAmount", failed, 100 * USD, 100 * USD + 1):
        refund(request_refund(failed, amount=100 * USD + 1))


def test_refund__deadline__is_the_last_second(
    chain: Any, failed: bytes, refund: Any, request_refund: Any, expect_revert: Any
) -> None:
    deadline = chain.now() + 100
    request = request_refund(failed, deadline=deadline)
    with expect_revert("RequestExpired", deadline):
        refund(request, at=deadline + 1)
    later = chain.now() + 100
    refund(request_refund(failed, deadline=later), at=later)


def test_refund__signer_without_the_role_or_another_than_named__reverts(
    chain: Any, vault: Any, failed: bytes, grant: Any, refund: Any, request_refund: Any, expect_revert: Any
) -> None:
    hsm, other = chain.accounts[HSM].lower(), chain.accounts[OTHER_HSM].lower()
    with expect_revert("InvalidSigner", other, other):
        refund(request_refund(failed, OTHER_HSM), OTHER_HSM)
    with expect_revert("InvalidSigner", hsm, other):
        refund(request_refund(failed, OTHER_HSM), HSM)
    grant(vault, "HSM_SIGNER_ROLE", OTHER_HSM)
    with expect_revert("InvalidSigner", hsm, other):
        refund(request_refund(failed, OTHER_HSM), HSM)
    refund(request_refund(failed, OTHER_HSM), OTHER_HSM)


def test_refund__malformed_or_high_s_signature__reverts(
    failed: bytes, refund: Any, request_refund: Any, expect_revert: Any
) -> None:
    *content, signature = request_refund(failed)
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    twin = r + (CURVE_ORDER - s).to_bytes(32) + bytes([55 - v])
    with expect_revert("ECDSAInvalidSignatureS"):
        refund((*content, twin))
    with expect_revert("ECDSAInvalidSignatureLength", 64):
        refund((*content, signature[:64]))
    with expect_revert("ECDSAInvalidSignature"):
        refund((*content, bytes(65)))
    refund((*content, signature))


def test_refund__while_paused__goes_on(
    chain: Any, vault: Any, usdw: Any, initiate: Any, relay: Any, failed: bytes, refund: Any, request_refund: Any,
    expect_revert: Any, expect_role: Any,
) -> None:  # fmt: skip
    pending = initiate()
    chain.send(vault, "pause", sender=PAUSER)
    with expect_revert("EnforcedPause"):
        initiate()
    with expect_revert("EnforcedPause"):
        relay("releaseTransfer", b"\7" * 32, CHAIN_ID, usdw.address, RECIPIENT, 1)
    relay("settleTransfer", pending)
    refund(request_refund(failed))
    chain.send(vault, "executeRefund", failed)
    expect_role(vault, None, PAUSER, "unpause")
    chain.send(vault, "unpause")
    initiate()
    with expect_revert("ExpectedPause"):
        chain.send(vault, "unpause")


# -- roles, settings, hostile tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", [ADMIN, HSM, STRANGER])
def test_relaying__without_the_role__reverts(
    chain: Any, vault: Any, usdw: Any, initiate: Any, expect_role: Any, sender: int
) -> None:
    transfer = initiate()
    expect_role(vault, "RELAYER_ROLE", sender, "settleTransfer", transfer)
    expect_role(vault, "RELAYER_ROLE", sender, "failTransfer", transfer, REASON)
    arrival = (b"\7" * 32, CHAIN_ID, usdw.address, chain.accounts[sender], 1)
    expect_role(vault, "RELAYER_ROLE", sender, "releaseTransfer", *arrival)


def test_settlement_timeout__set__is_announced_and_asks_for_the_admin(chain: Any, vault: Any, expect_role: Any) -> None:
    receipt = chain.send(vault, "setSettlementTimeout", 60)
    assert chain.events(vault, receipt) == [("SettlementTimeoutSet", (60,))]
    assert chain.call(vault, "settlementTimeout") == 60
    expect_role(vault, None, RELAYER, "setSettlementTimeout", 1)
    expect_role(vault, "PAUSER_ROLE", ADMIN, "pause")


@pytest.mark.parametrize("function", ["initiateTransfer", "releaseTransfer", "executeRefund"])
@pytest.mark.parametrize("within", ["initiateTransfer", "releaseTransfer", "executeRefund"])
def test_reentrancy__by_a_hostile_token__reverts(
    chain: Any, vault: Any, guard: Any, grant: Any, relay: Any, refund: Any, request_refund: Any, make_reentrant: Any,
    expect_revert: Any, within: str, function: str,
) -> None:  # fmt: skip
    """Whichever function a token calls back into, from within each function that moves value."""
    hostile = make_reentrant("USDW")
    chain.send(guard, "setCurrency", hostile.address, b"USD", sender=OFFICER)
    chain.send(hostile, "approve", vault.address, MAX)
    grant(vault, "RELAYER_ROLE", hostile)
    transfer = chain.call(vault, "transferIdAt", 0)
    outbound = (hostile.address, 100 * USD, CHAIN_ID, RECIPIENT)
    chain.send(vault, "initiateTransfer", *outbound)
    relay("failTransfer", transfer, REASON)
    refund(request_refund(transfer))
    chain.send(hostile, "transfer", vault.address, 10)
    calls = {
        "initiateTransfer": outbound,
        "releaseTransfer": (b"\7" * 32, CHAIN_ID, hostile.address, RECIPIENT, 1),
        "executeRefund": (transfer,),
    }
    held = chain.call(hostile, "balanceOf", vault.address)
    chain.send(hostile, "arm", vault.address, vault.artifact.call_data(function, *calls[function]))
    sender = RELAYER if within == "releaseTransfer" else ADMIN
    with expect_revert("ReentrancyGuardReentrantCall"):
        chain.send(vault, within, *calls[within], sender=sender)
    assert chain.call(hostile, "balanceOf", vault.address) == held
