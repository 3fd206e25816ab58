"""PracticeMultisig on a real chain: approvals, and what the wallet may do to itself."""

from __future__ import annotations

from typing import Any

import pytest

FIRST, SECOND, THIRD, STRANGER = range(4)
NOBODY = "0x" + "00" * 20

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def wallet(chain: Any) -> Any:
    return chain.deploy("PracticeMultisig", chain.accounts[:3], 2)


@pytest.fixture
def approve(chain: Any, wallet: Any) -> Any:
    """Has owners approve the wallet's next transaction, to itself; its call data."""

    def send(function: str, *arguments: Any, by: tuple[int, ...] = (FIRST, SECOND)) -> bytes:
        data = wallet.artifact.call_data(function, *arguments)
        digest = chain.call(wallet, "getTransactionHash", wallet.address, data)
        for owner in by:
            receipt = chain.send(wallet, "approveHash", digest, sender=owner)
            assert chain.events(wallet, receipt) == [("ApproveHash", (digest, chain.accounts[owner].lower()))]
        return bytes(data)

    return send


def test_wallet__deployed__has_its_owners_and_threshold(chain: Any, wallet: Any) -> None:
    owners = [account.lower() for account in chain.accounts[:3]]
    assert list(chain.call(wallet, "getOwners")) == owners
    assert (chain.call(wallet, "getThreshold"), chain.call(wallet, "nonce")) == (2, 0)
    assert [chain.call(wallet, "isOwner", account) for account in chain.accounts[:4]] == [True, True, True, False]


def test_exec_transaction__as_many_approvals_as_the_threshold__is_executed_once_by_anyone(
    chain: Any, wallet: Any, approve: Any, expect_revert: Any
) -> None:
    data = approve("changeThreshold", 1)
    digest = chain.call(wallet, "getTransactionHash", wallet.address, data)
    receipt = chain.send(wallet, "execTransaction", wallet.address, data, sender=STRANGER)
    assert chain.events(wallet, receipt) == [("ChangedThreshold", (1,)), ("ExecutionSuccess", (digest,))]
    assert (chain.call(wallet, "getThreshold"), chain.call(wallet, "nonce")) == (1, 1)
    with expect_revert("ApprovalsMissing"):
        chain.send(wallet, "execTransaction", wallet.address, data)


def test_exec_transaction__one_approval_too_few__is_refused(
    chain: Any, wallet: Any, approve: Any, expect_revert: Any
) -> None:
    data = approve("changeThreshold", 1, by=(THIRD,))
    digest = chain.call(wallet, "getTransactionHash", wallet.address, data)
    with expect_revert("ApprovalsMissing", digest, 1, 2):
        chain.send(wallet, "execTransaction", wallet.address, data)


def test_approve_hash__stranger__is_refused(chain: Any, wallet: Any, expect_revert: Any) -> None:
    with expect_revert("NotOwner", chain.accounts[STRANGER].lower()):
        chain.send(wallet, "approveHash", b"\1" * 32, sender=STRANGER)


def test_add_owner__approved__is_an_owner_from_then_on(chain: Any, wallet: Any, approve: Any) -> None:
    data = approve("addOwnerWithThreshold", chain.accounts[STRANGER], 3)
    receipt = chain.send(wallet, "execTransaction", wallet.address, data)
    added = ("AddedOwner", (chain.accounts[STRANGER].lower(),))
    assert chain.events(wallet, receipt)[:2] == [added, ("ChangedThreshold", (3,))]
    assert chain.call(wallet, "isOwner", chain.accounts[STRANGER]) is True


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("changeThreshold", (0,)),
        ("changeThreshold", (4,)),
        ("addOwnerWithThreshold", (NOBODY, 2)),
        ("addOwnerWithThreshold", ("first", 2)),
    ],
)
def test_exec_transaction__to_a_wallet_that_could_not_be__fails(
    function: str, arguments: tuple[Any, ...], chain: Any, wallet: Any, approve: Any, expect_revert: Any
) -> None:
    data = approve(function, *(chain.accounts[FIRST] if each == "first" else each for each in arguments))
    digest = chain.call(wallet, "getTransactionHash", wallet.address, data)
    with expect_revert("ExecutionFailed", digest):
        chain.send(wallet, "execTransaction", wallet.address, data)


@pytest.mark.parametrize(("function", "arguments"), [("changeThreshold", (1,)), ("addOwnerWithThreshold", (NOBODY, 1))])
def test_change__by_an_owner_alone__is_refused(
    function: str, arguments: tuple[Any, ...], chain: Any, wallet: Any, expect_revert: Any
) -> None:
    with expect_revert("NotAuthorized", chain.accounts[FIRST].lower()):
        chain.send(wallet, function, *arguments, sender=FIRST)


@pytest.mark.parametrize(
    ("owners", "threshold", "error"),
    [([], 1, "InvalidThreshold"), ([FIRST], 2, "InvalidThreshold"), ([FIRST, FIRST], 1, "InvalidOwner")],
)
def test_deploy__wallet_that_could_not_be__is_refused(
    owners: list[int], threshold: int, error: str, chain: Any, expect_revert: Any
) -> None:
    with expect_revert(error):
        chain.deploy("PracticeMultisig", [chain.accounts[owner] for owner in owners], threshold)
