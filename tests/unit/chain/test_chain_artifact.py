"""The carried artifacts: call data as Solidity encodes it, and the slots that proofs rest on."""

from __future__ import annotations

import pytest

from attest.chain.artifact import artifact

TOKEN = "0x" + "a1" * 20


def test_call_data__is_selector_and_words() -> None:
    erc20_total_supply = "18160ddd"  # as every ERC-20 has it
    assert artifact("WToken").call_data("totalSupply").hex() == erc20_total_supply
    data = artifact("ReserveOracle").call_data("submitReserveReport", TOKEN, 2**256 - 1, 5)
    assert len(data) == 4 + 3 * 32
    assert data[4:36] == bytes(12) + b"\xa1" * 20
    assert data[36:68] == b"\xff" * 32
    assert data[68:] == (5).to_bytes(32)


def test_deploy_data__is_the_code_with_the_arguments_behind_it() -> None:
    registry = artifact("AttestationRegistry")
    assert registry.deploy_data(TOKEN) == registry.bytecode + bytes(12) + b"\xa1" * 20


def test_artifact__unknown_function_or_contract__is_an_error() -> None:
    with pytest.raises(KeyError, match="submitReserve"):
        artifact("WToken").call_data("submitReserveReport", TOKEN, 1, 2)
    with pytest.raises(FileNotFoundError):
        artifact("Unknown")


def test_storage__slots_that_proofs_rest_on__are_where_they_were() -> None:
    assert artifact("WToken").storage["_totalSupply"] == 2
    assert artifact("AttestationRegistry").storage["_attestations"] == 1
    oracle = artifact("ReserveOracle").storage
    names = ("_roles", "_roleMembers", "_reports", "requiredQuorum", "maxReportAge", "consensusValidity")
    assert [oracle[name] for name in names] == [0, 1, 2, 3, 4, 5]


RUNBOOK = {
    "ReserveOracle": {"submitReserveReport", "getVerifiedReserve", "isQuorumMet", "removeStaleReports"},
    "WToken": {"verifiedReserve", "isReserveSufficient", "MINTER_ROLE", "mint", "burn", "totalSupply"},
    "AttestationRegistry": {"publish", "attestationOf", "revisionCount", "verifyInclusion"},
    "Ledger": {"getVaultHealth", "totalCollateral", "totalDebt", "debtCeiling"},
    "Liquidation": {"canLiquidate"},
    "XAUOracle": {"isFrozen", "freeze", "unfreeze"},
    "BridgeRegistry": {"destinations"},
    "BridgeEscrowVault": {"initiateRefund", "executeRefund", "TransferStatusUpdated", "ReserveVerified"},
    "MintController": {"revokeRole", "MINTER_ROLE"},
}


@pytest.mark.parametrize("name", RUNBOOK)
def test_abi__has_what_the_runbook_names(name: str) -> None:
    assert RUNBOOK[name] <= {entry.get("name") for entry in artifact(name).abi}


def test_call_data__struct__is_the_tuple_of_its_members() -> None:
    """Selector and layout as eth-abi has them for the canonical signature, which is written out here."""
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    types = ["(bytes32,uint256,bytes32,uint256,bytes)", "address"]
    request = (b"t" * 32, 7, b"r" * 32, 9, b"signature")
    data = artifact("BridgeEscrowVault").call_data("initiateRefund", request, TOKEN)
    assert data[:4] == keccak(text=f"initiateRefund({','.join(types)})")[:4]
    assert data[4:] == encode(types, [request, TOKEN])


def test_values__of_an_answer__are_decoded_in_order() -> None:
    answer = (2).to_bytes(32) + (1).to_bytes(32) + (12).to_bytes(32) + bytes(12) + b"\xa1" * 20
    assert artifact("BridgeRegistry").values("destinations", answer) == (2, True, 12, TOKEN)
