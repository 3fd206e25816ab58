"""WToken on a real chain: minting up to the verified reserve and not one unit beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils.crypto import keccak

ADMIN, REPORTER, MINTER, HOLDER, STRANGER = range(5)
VALIDITY = 8 * 86400
MINTER_ROLE = keccak(text="MINTER_ROLE")
MAX = 2**256 - 1

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def oracle(chain: Any) -> Any:
    """One reporter, quorum of one."""
    contract = chain.deploy("ReserveOracle", chain.accounts[ADMIN], 1, 3600, VALIDITY)
    chain.send(contract, "grantRole", keccak(text="REPORTER_ROLE"), chain.accounts[REPORTER])
    return contract


@pytest.fixture(scope="module")
def token(chain: Any, oracle: Any) -> Any:
    contract = chain.deploy("WToken", "US Dollar W", "USDW", 2, oracle.address, chain.accounts[ADMIN])
    chain.send(contract, "grantRole", MINTER_ROLE, chain.accounts[MINTER])
    return contract


@pytest.fixture
def set_reserve(chain: Any, oracle: Any, token: Any) -> Any:
    def report(reserve: int) -> int:
        timestamp = int(chain.now()) + 10
        chain.send(oracle, "submitReserveReport", token.address, reserve, timestamp, sender=REPORTER, at=timestamp)
        return timestamp

    return report


@pytest.fixture
def mint(chain: Any, token: Any) -> Any:
    def send(amount: int) -> Any:
        return chain.send(token, "mint", chain.accounts[HOLDER], amount, sender=MINTER)

    return send


@pytest.mark.parametrize("decimals", [0, 2, 6, 18])
def test_token__says_what_it_is(chain: Any, oracle: Any, decimals: int) -> None:
    token = chain.deploy("WToken", "Pound W", "GBPW", decimals, oracle.address, chain.accounts[ADMIN])
    answers = [chain.call(token, name) for name in ("name", "symbol", "decimals", "oracle", "totalSupply")]
    assert answers == ["Pound W", "GBPW", decimals, oracle.address.lower(), 0]
    code = chain.rpc("eth_getCode", token.address, "latest")
    assert code == "0x" + token.artifact.deployed_bytecode.hex(), "one code for all tokens"


def test_mint__exactly_the_reserve__is_accepted_and_one_more_reverts(
    chain: Any, token: Any, set_reserve: Any, mint: Any, expect_revert: Any
) -> None:
    set_reserve(1000)
    mint(999)
    mint(1)
    assert chain.call(token, "totalSupply") == chain.call(token, "balanceOf", chain.accounts[HOLDER]) == 1000
    with expect_revert("MintExceedsReserve", 1000, 1000, 1):
        mint(1)
    mint(0)
    assert chain.call(token, "totalSupply") == 1000


def test_mint__one_above_the_reserve__reverts(set_reserve: Any, mint: Any, expect_revert: Any) -> None:
    set_reserve(1000)
    with expect_revert("MintExceedsReserve", 1000, 0, 1001):
        mint(1001)


def test_mint__amount_that_would_overflow__reverts(set_reserve: Any, mint: Any, expect_revert: Any) -> None:
    set_reserve(1000)
    mint(1)
    with expect_revert("MintExceedsReserve", 1000, 1, MAX):
        mint(MAX)


def test_mint__whole_range_of_the_integer(chain: Any, token: Any, set_reserve: Any, mint: Any) -> None:
    set_reserve(MAX)
    mint(MAX)
    assert chain.call(token, "totalSupply") == MAX
    assert chain.call(token, "isReserveSufficient") is True


def test_mint__reserve_fell_below_the_supply__reverts_even_for_nothing(
    chain: Any, token: Any, set_reserve: Any, mint: Any, expect_revert: Any
) -> None:
    set_reserve(1000)
    mint(1000)
    set_reserve(999)
    assert chain.call(token, "isReserveSufficient") is False
    with expect_revert("MintExceedsReserve", 999, 1000, 0):
        mint(0)
    set_reserve(1001)
    assert chain.call(token, "isReserveSufficient") is True
    mint(1)


@pytest.mark.parametrize("sender", [ADMIN, REPORTER, STRANGER])
def test_mint__without_the_role__reverts(
    chain: Any, token: Any, set_reserve: Any, expect_revert: Any, sender: int
) -> None:
    set_reserve(1000)
    with expect_revert("AccessControlUnauthorizedAccount", chain.accounts[sender].lower(), MINTER_ROLE):
        chain.send(token, "mint", chain.accounts[HOLDER], 1, sender=sender)


def test_mint__after_the_minter_was_revoked__reverts(
    chain: Any, token: Any, set_reserve: Any, mint: Any, expect_revert: Any
) -> None:
    set_reserve(1000)
    chain.send(token, "revokeRole", MINTER_ROLE, chain.accounts[MINTER])
    with expect_revert("AccessControlUnauthorizedAccount", chain.accounts[MINTER].lower(), MINTER_ROLE):
        mint(1)


def test_reserve__before_any_report__there_is_none(chain: Any, token: Any, mint: Any, expect_revert: Any) -> None:
    assert chain.call(token, "totalSupply") == 0
    assert chain.call(token, "isReserveSufficient") is False, "no supply is no reason to claim a verified reserve"
    with expect_revert("QuorumNotMet", token.address.lower(), 0, 1):
        chain.call(token, "verifiedReserve")
    with expect_revert("QuorumNotMet", token.address.lower(), 0, 1):
        mint(0)


def test_reserve__expired__is_not_sufficient_and_mints_nothing(
    chain: Any, token: Any, set_reserve: Any, mint: Any, expect_revert: Any
) -> None:
    timestamp = set_reserve(1000)
    mint(10)
    chain.mine_at(timestamp + VALIDITY)
    assert chain.call(token, "verifiedReserve") == 1000
    assert chain.call(token, "isReserveSufficient") is True
    chain.mine_at(timestamp + VALIDITY + 1)
    assert chain.call(token, "isReserveSufficient") is False
    with expect_revert("QuorumNotMet"):
        mint(1)


def test_reserve__equal_to_the_supply__is_sufficient(chain: Any, token: Any, set_reserve: Any, mint: Any) -> None:
    set_reserve(0)
    assert chain.call(token, "isReserveSufficient") is True
    set_reserve(7)
    mint(7)
    assert chain.call(token, "verifiedReserve") == 7
    assert chain.call(token, "isReserveSufficient") is True


def test_burn__own_tokens__lowers_the_supply(
    chain: Any, token: Any, set_reserve: Any, mint: Any, expect_revert: Any
) -> None:
    set_reserve(100)
    mint(100)
    chain.send(token, "burn", 40, sender=HOLDER)
    assert chain.call(token, "totalSupply") == chain.call(token, "balanceOf", chain.accounts[HOLDER]) == 60
    with expect_revert("ERC20InsufficientBalance", chain.accounts[HOLDER].lower(), 60, 61):
        chain.send(token, "burn", 61, sender=HOLDER)
    with expect_revert("ERC20InsufficientBalance", chain.accounts[STRANGER].lower(), 0, 1):
        chain.send(token, "burn", 1, sender=STRANGER)
    mint(40)


@pytest.mark.parametrize("supply", [1, 2**128 + 7, MAX])
def test_storage__total_supply_slot__holds_the_total_supply(
    chain: Any, token: Any, set_reserve: Any, mint: Any, supply: int
) -> None:
    slot = token.artifact.storage["_totalSupply"]
    assert slot == 2
    set_reserve(MAX)
    mint(supply)
    assert chain.storage(token, slot) == chain.call(token, "totalSupply") == supply
