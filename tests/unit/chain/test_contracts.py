"""Typed handles on contracts: calldata, decoding, other makers' ABIs, errors by name, storage slots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector as selector
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from attest.chain import contracts
from attest.chain.artifact import artifact
from attest.chain.contracts import Call, RegistryEntry, explain, read, read_outcomes
from attest.chain.rpc import ChainClient, RpcError
from attest.config import Contract, OracleSection
from attest.errors import ChainError, OperatorError
from attest.money import UINT256_MAX
from tests.support.chains import ORACLE, PUBLISHER, REGISTRY, Error, Line, Network, Node

TOKEN, REPORTER = "0x" + "11" * 20, "0x" + "22" * 20
BASE = Path()
BLOCK = Line(5).block(3)
UINTS = st.integers(0, UINT256_MAX)


def oracle(base: Path = BASE, **others: Any) -> contracts.ReserveOracle:
    return contracts.reserve_oracle(OracleSection(chain="main", address=ORACLE, **others), base)


def registry(base: Path = BASE, **others: Any) -> contracts.AttestationRegistry:
    return contracts.attestation_registry(Contract(chain="main", address=REGISTRY, **others), base)


def function(name: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """An ABI entry; parameters as ``type`` or ``type name`` or a whole parameter."""

    def parameter(item: Any) -> dict[str, Any]:
        if isinstance(item, dict):
            return item
        kind, _, called = item.partition(" ")
        return {"type": kind, "name": called}

    return {
        "type": "function",
        "name": name,
        "inputs": [parameter(item) for item in inputs],
        "outputs": [parameter(item) for item in outputs],
    }


def abi_file(folder: Path, abi: Any) -> str:
    (folder / "abi.json").write_text(json.dumps(abi))
    return "abi.json"


def hexed(data: bytes) -> str:
    return f"0x{data.hex()}"


# -- the reference contracts -----------------------------------------------------------------------------------------


@given(UINTS, UINTS)
def test_submit_report__any_amount__is_the_runbooks_calldata(units, timestamp):
    expected = selector("submitReserveReport(address,uint256,uint256)")
    expected += encode(["address", "uint256", "uint256"], [TOKEN, units, timestamp])
    assert oracle().submit_report(TOKEN, units, timestamp) == expected


@pytest.mark.parametrize("units", [-1, UINT256_MAX + 1])
def test_submit_report__amount_beyond_uint256__is_refused(units):
    with pytest.raises(OperatorError, match=r"oracle: the function submitReserveReport does not take these arguments"):
        oracle().submit_report(TOKEN, units, 1)


def test_remove_stale__is_the_runbooks_calldata():
    assert oracle().remove_stale(TOKEN) == selector("removeStaleReports(address)") + encode(["address"], [TOKEN])


def test_publish__period_is_ascii_padded_on_the_right():
    data = registry().publish(
        period="2026-W47",
        revision=2,
        root=b"\x01" * 32,
        size=7,
        statement=b"\x02" * 32,
        log_root=b"\x03" * 32,
        log_size=9,
    )
    assert data[:4] == selector("publish(bytes32,uint256,bytes32,uint256,bytes32,bytes32,uint256)")
    assert data[4:36] == b"2026-W47" + bytes(24)
    kinds = ["uint256", "bytes32", "uint256", "bytes32", "bytes32", "uint256"]
    assert data[36:] == encode(kinds, [2, b"\x01" * 32, 7, b"\x02" * 32, b"\x03" * 32, 9])


CALLS = [
    (oracle().verified_reserve(TOKEN), "getVerifiedReserve(address)", ["uint256"], 7),
    (oracle().is_quorum_met(TOKEN), "isQuorumMet(address)", ["bool"], True),
    (oracle().report_of(TOKEN, REPORTER), "reportOf(address,address)", ["uint256", "uint256"], (5, 6)),
    (oracle().required_quorum(), "requiredQuorum()", ["uint256"], 2),
    (oracle().max_report_age(), "maxReportAge()", ["uint256"], 3600),
    (oracle().consensus_validity(), "consensusValidity()", ["uint256"], 9),
    (oracle().reporters(), "reporters()", ["address[]"], (REPORTER,)),
    (oracle().has_role("REPORTER_ROLE", REPORTER), "hasRole(bytes32,address)", ["bool"], False),
    (registry().has_role("PUBLISHER_ROLE", PUBLISHER), "hasRole(bytes32,address)", ["bool"], True),
    (contracts.token(TOKEN, "USDW").total_supply(), "totalSupply()", ["uint256"], UINT256_MAX),
    (contracts.token(TOKEN, "USDW").decimals(), "decimals()", ["uint8"], 18),
    (contracts.token(TOKEN, "USDW").verified_reserve(), "verifiedReserve()", ["uint256"], 1),
    (contracts.token(TOKEN, "USDW").is_reserve_sufficient(), "isReserveSufficient()", ["bool"], True),
    (
        registry().attestation_of(PUBLISHER, "2026-W47", 1),
        "attestationOf(address,bytes32,uint256)",
        ["bytes32", "uint256", "bytes32", "bytes32", "uint256"],
        RegistryEntry(b"\x01" * 32, 2, b"\x03" * 32, b"\x04" * 32, 5),
    ),
]


@pytest.mark.parametrize(("call", "signature", "types", "value"), CALLS, ids=[case[1] for case in CALLS])
def test_calls__of_the_reference_contracts__select_and_decode(call: Call, signature, types, value):
    assert call.data[:4] == selector(signature)
    returned = encode(types, value if len(types) > 1 else [value])
    assert call.value(hexed(returned)) == value
    method, (what, pin) = call.request(BLOCK)
    assert (method, what["to"], what["data"]) == ("eth_call", call.to, hexed(call.data))
    assert pin == {"blockHash": f"0x{BLOCK.hash}"}
    assert call.at_latest()[1][1] == "latest"


@pytest.mark.parametrize(("call", "signature", "types", "value"), CALLS, ids=[case[1] for case in CALLS])
def test_calls__answer_cut_short__is_refused(call: Call, signature, types, value):
    returned = encode(types, value if len(types) > 1 else [value])
    with pytest.raises(ChainError) as caught:
        call.value(hexed(returned[:-1]))
    assert caught.value.code == "malformed-answer"


@pytest.mark.parametrize(
    ("call", "word"),
    [(oracle().is_quorum_met(TOKEN), 2), (contracts.token(TOKEN, "USDW").decimals(), 256)],
)
def test_calls__value_outside_its_type__is_refused(call: Call, word):
    with pytest.raises(ChainError, match="did not answer"):
        call.value(hexed(encode(["uint256"], [word])))


@given(st.binary(max_size=200))
def test_calls__any_bytes__are_a_value_or_a_refusal(returned):
    value = contracts.outcome(oracle().reporters(), hexed(returned))
    if isinstance(value, ChainError):
        assert value.code == ("malformed-answer" if returned else "empty-answer")
    else:
        assert isinstance(value, tuple)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("0x", "empty-answer"),
        (None, "state-unavailable"),
        (RpcError(-32000, "missing trie node"), "state-unavailable"),
        (RpcError(3, "execution reverted"), "call-reverted"),
        (7, "malformed-answer"),
        ("0xabc", "malformed-answer"),
    ],
)
def test_value__no_value__names_contract_function_token_and_address(answer, code):
    with pytest.raises(ChainError) as caught:
        oracle().verified_reserve(TOKEN).value(answer)
    assert caught.value.code == code
    assert f"ReserveOracle.getVerifiedReserve({TOKEN}) at {ORACLE}" in caught.value.message
    assert caught.value.reason
    assert caught.value.advice


# -- reading ---------------------------------------------------------------------------------------------------------


def client(answers: dict[bytes, Any]) -> tuple[ChainClient, Node]:
    def call(params: list[Any]) -> Any:
        answer = answers[bytes.fromhex(params[0]["data"][2:10])]
        if isinstance(answer, Error):
            raise answer
        return answer

    node = Node(handlers={"eth_call": call})
    return ChainClient("main", 138, ["http://node.example"], transport=Network({"http://node.example": node})), node


QUORUM_NOT_MET = selector("QuorumNotMet(address,uint256,uint256)") + encode(
    ["address", "uint256", "uint256"], [TOKEN, 1, 2]
)


def test_read__calls_to_many_contracts__travel_together():
    reader, node = client(
        {
            selector("requiredQuorum()"): hexed(encode(["uint256"], [2])),
            selector("totalSupply()"): hexed(encode(["uint256"], [10**27])),
        }
    )
    calls = [oracle().required_quorum(), *(contracts.token(TOKEN, f"T{n}").total_supply() for n in range(30))]
    assert read(reader, calls, BLOCK) == [2] + [10**27] * 30
    assert len(node.requests) == 1


def test_read__one_reverts__raises_with_the_contracts_own_words():
    reader, _ = client(
        {
            selector("requiredQuorum()"): hexed(encode(["uint256"], [2])),
            selector("getVerifiedReserve(address)"): Error(3, "execution reverted", hexed(QUORUM_NOT_MET)),
        }
    )
    calls = [oracle().required_quorum(), oracle().verified_reserve(TOKEN)]
    with pytest.raises(ChainError, match=r"fewer reports stand than the quorum requires: QuorumNotMet\(token 0x11"):
        read(reader, calls, BLOCK)
    quorum, refusal = read_outcomes(reader, calls, BLOCK)
    assert quorum == 2
    assert isinstance(refusal, ChainError)
    assert "standing 1, required 2" in refusal.message


# -- errors by name --------------------------------------------------------------------------------------------------

REVERTS = [
    (QUORUM_NOT_MET, "QuorumNotMet", {"token": TOKEN, "standing": 1, "required": 2}),
    (
        selector("ReportStale(uint256,uint256)") + encode(["uint256", "uint256"], [5, 9]),
        "ReportStale",
        {"timestamp": 5, "oldestAccepted": 9},
    ),
    (selector("Error(string)") + encode(["string"], ["paused"]), "Error", {"message": "paused"}),
    (selector("Panic(uint256)") + encode(["uint256"], [0x11]), "Panic", {"code": 0x11}),
    (selector("MissingStatement()"), "MissingStatement", {}),
    (
        selector("AccessControlUnauthorizedAccount(address,bytes32)")
        + encode(["address", "bytes32"], [TOKEN, b"\7" * 32]),
        "AccessControlUnauthorizedAccount",
        {"account": TOKEN, "neededRole": b"\7" * 32},
    ),
    (selector("ERC20InvalidSender(address)") + encode(["address"], [TOKEN]), "ERC20InvalidSender", {"sender": TOKEN}),
]


@pytest.mark.parametrize(("returned", "name", "arguments"), REVERTS, ids=[case[1] for case in REVERTS])
@pytest.mark.parametrize("wrap", [hexed, lambda returned: {"data": hexed(returned)}])
def test_explain__errors_of_the_reference_contracts__by_name_and_in_words(returned, name, arguments, wrap):
    revert = oracle().explain(RpcError(3, "execution reverted", wrap(returned)))
    assert (revert.name, revert.arguments) == (name, arguments)
    assert name in str(revert)
    assert all(part in str(revert) for part in arguments)


def test_explain__every_error_of_our_contracts__has_words():
    for name in ("ReserveOracle", "AttestationRegistry"):
        ours = [entry for entry in artifact(name).abi if entry["type"] == "error"]
        never_met = {"AccessControlBadConfirmation", "InvalidAges", "InvalidQuorum", "TooManyReporters"}
        for entry in ours:
            if entry["name"] not in never_met:
                signature = f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})"
                returned = selector(signature) + bytes(32 * len(entry["inputs"]))
                assert ": " in str(registry().explain(RpcError(3, "", hexed(returned)))), entry["name"]


@pytest.mark.parametrize("returned", ["0x", "0x12345678", hexed(QUORUM_NOT_MET[:50]), None, 5])
def test_explain__unknown_or_broken_data__keeps_the_nodes_message(returned):
    revert = explain(RpcError(-32000, "execution reverted: custom", returned))
    assert revert == ("", {}, "execution reverted: custom (code -32000)")


def test_explain__error_of_another_contract__by_its_own_abi(tmp_path: Path):
    entry = {"type": "error", "name": "Halted", "inputs": [{"type": "uint256", "name": ""}]}
    other = oracle(tmp_path, abi=abi_file(tmp_path, [entry]))
    revert = other.explain(RpcError(3, "", hexed(selector("Halted(uint256)") + encode(["uint256"], [4]))))
    assert str(revert) == "Halted(_0 4)"


# -- contracts of another make ---------------------------------------------------------------------------------------


def test_functions__other_name__is_called_instead(tmp_path: Path):
    abi = [function("reserveFor", ["address"], ["uint256"])]
    other = oracle(tmp_path, abi=abi_file(tmp_path, abi), functions={"getVerifiedReserve": "reserveFor"})
    call = other.verified_reserve(TOKEN)
    assert call.data[:4] == selector("reserveFor(address)")
    assert call.value(hexed(encode(["uint256"], [7]))) == 7
    assert not other.reference


def test_functions__artifact_with_abi_inside__is_read_too(tmp_path: Path):
    abi = [function("requiredQuorum", [], ["uint8"]), {"type": "receive"}]
    assert (
        oracle(tmp_path, abi=abi_file(tmp_path, {"abi": abi})).required_quorum().value(hexed(encode(["uint8"], [3])))
        == 3
    )


STRUCT = {
    "type": "tuple",
    "name": "",
    "components": [{"type": "uint128", "name": "amount"}, {"type": "bool", "name": "ok"}],
}


@pytest.mark.parametrize("outputs", [["uint128 amount", "bool ok"], [STRUCT]])
def test_functions__field_of_several_values__is_picked(tmp_path: Path, outputs):
    abi = abi_file(tmp_path, [function("latestReserve", ["address"], outputs)])
    names = {"getVerifiedReserve": "latestReserve.amount", "isQuorumMet": "latestReserve.ok"}
    other = oracle(tmp_path, abi=abi, functions=names)
    returned = hexed(encode(["uint128", "bool"], [77, True]))
    assert other.verified_reserve(TOKEN).value(returned) == 77
    assert other.is_quorum_met(TOKEN).value(returned) is True


def test_functions__overloads__are_told_apart_by_their_arguments(tmp_path: Path):
    abi = [function("requiredQuorum", ["address"], ["uint256"]), function("requiredQuorum", [], ["uint256"])]
    assert oracle(tmp_path, abi=abi_file(tmp_path, abi)).required_quorum().data == selector("requiredQuorum()")


def test_functions__struct_argument__has_its_canonical_selector(tmp_path: Path):
    argument = {"type": "tuple[]", "name": "reports", "components": [{"type": "address"}, {"type": "uint256"}]}
    other = oracle(tmp_path, abi=abi_file(tmp_path, [function("removeStaleReports", [argument], [])]))
    with pytest.raises(OperatorError, match="does not take these arguments"):
        other.remove_stale(TOKEN)
    entry = {"type": "error", "name": "Bad", "inputs": [{**argument, "type": "tuple"}]}
    data = selector("Bad((address,uint256))") + encode(["(address,uint256)"], [(TOKEN, 4)])
    assert explain(RpcError(3, "", hexed(data)), [entry]).arguments == {"reports": (TOKEN, 4)}


@pytest.mark.parametrize(
    ("outputs", "name", "complaint"),
    [
        (["uint256 amount", "uint256 time"], "latestReserve", r"returns \(uint256, uint256\), not \(uint\)"),
        (["uint256 amount", "uint256 time"], "latestReserve.units", "no value named 'units', but amount, time"),
        (["uint256 a", "uint256 a"], "latestReserve.a", "no value named 'a'"),
        (["bytes32 amount"], "latestReserve", r"returns \(bytes32\), not \(uint\)"),
        (["int256 amount"], "latestReserve", r"returns \(int256\), not \(uint\)"),
        ([], "latestReserve", r"returns \(\), not \(uint\)"),
        (["uint256"], "latestReserves", "is not in the ABI with 1 arguments"),
        ([{**STRUCT, "components": [{"type": "string", "name": "amount"}]}], "latestReserve.amount", "variable length"),
        ([{**STRUCT, "components": [STRUCT]}], "latestReserve.amount", "variable length"),
    ],
)
def test_functions__that_do_not_fit__are_refused_naming_the_key(tmp_path: Path, outputs, name, complaint):
    abi = abi_file(tmp_path, [function("latestReserve", ["address"], outputs)])
    with pytest.raises(OperatorError, match=complaint) as caught:
        oracle(tmp_path, abi=abi, functions={"getVerifiedReserve": name}).verified_reserve(TOKEN)
    assert caught.value.message.startswith("oracle: the function getVerifiedReserve")
    assert "oracle.functions" in caught.value.advice


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "7",
        "[7]",
        '[{"name":"x"}]',
        '[{"type":"function","name":"x"}]',
        '[{"type":"function","name":"x","inputs":[{}],"outputs":[]}]',
        '[{"type":"function","name":7,"inputs":[],"outputs":[]}]',
        '[{"type":"error","name":"x","inputs":[{"type":"tuple"}]}]',
        '{"abi":{}}',
        "not json",
    ],
)
def test_abi_file__that_is_none__is_refused(tmp_path: Path, content):
    (tmp_path / "abi.json").write_text(content)
    with pytest.raises(OperatorError, match=r"abi\.json"):
        registry(tmp_path, abi="abi.json")


def test_abi_file__missing__names_key_and_path(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"registry\.abi: .*gone\.json: cannot be read \(No such file"):
        registry(tmp_path, abi="gone.json")


def test_capabilities__of_reference_and_of_a_plain_contract__are_told(tmp_path: Path):
    plain = abi_file(tmp_path, [function("maxReportAge", [], ["uint256"])])
    ours, other = oracle(), oracle(tmp_path, abi=plain)
    assert (ours.reference, ours.has_roles, ours.lists_reporters, ours.states_ages) == (True,) * 4
    assert (other.reference, other.has_roles, other.lists_reporters, other.states_ages) == (False,) * 4
    assert (registry().reference, registry().has_roles) == (True, True)
    assert not registry(tmp_path, abi=plain).has_roles


# -- storage slots ---------------------------------------------------------------------------------------------------


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_slots__follow_solidity():
    token, reporter = int(TOKEN, 16), int(REPORTER, 16)
    storage = artifact("ReserveOracle").storage
    base = int.from_bytes(keccak(word(reporter) + keccak(word(token) + word(storage["_reports"]))), "big")
    assert oracle().report_slots(TOKEN, REPORTER) == (word(base).hex(), word(base + 1).hex())
    length = keccak(keccak(text="REPORTER_ROLE") + word(storage["_roleMembers"]))
    first = int.from_bytes(keccak(length), "big")
    assert oracle().reporter_slots(2) == (length.hex(), word(first).hex(), word(first + 1).hex())
    assert oracle().settings_slots() == (
        word(storage["requiredQuorum"]).hex(),
        word(storage["consensusValidity"]).hex(),
    )
    assert contracts.token(TOKEN, "USDW").supply_slot() == word(2).hex()
    period = b"2026-W47".ljust(32, b"\0")
    entry = keccak(word(int(PUBLISHER, 16)) + word(artifact("AttestationRegistry").storage["_attestations"]))
    entry = keccak(word(3) + keccak(period + entry))
    slots = registry().entry_slots(PUBLISHER, "2026-W47", 3)
    assert slots == tuple(word(int.from_bytes(entry, "big") + n).hex() for n in range(5))
