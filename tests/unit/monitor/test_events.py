"""Which events are followed: the reference contracts', or a deployment's own by name, ABI and parameter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from attest.errors import OperatorError
from attest.monitor.events import (
    DEFINITIONS,
    KINDS,
    STATUSES,
    Event,
    Renamed,
    Statuses,
    Unreadable,
    digest,
    queries,
    read,
    watch,
)
from tests.support.eventful import (
    ASSET,
    BRIDGE,
    HOLDER,
    TOKEN,
    WATCHED,
    Emission,
    burned,
    emission,
    initiated,
    minted,
    moved,
    status,
)

FRAME = (7, 1, "ab" * 32, "cd" * 32, 1_794_830_400)


def reading(each: Emission, *watched: Any) -> list[Event | Unreadable | None]:
    """What the queries make of a log that they ask for."""
    plain = {"address": each.address.upper().replace("0X", "0x"), "topics": list(each.topics), "data": each.data}
    asked = [query for query in queries(watched or WATCHED) if query.matches(each.address, each.topics)]
    return [read(query, plain, FRAME) for query in asked]


def test_definitions__each_kind__is_defined_once_and_readable() -> None:
    own = {"role-used"}  # each deployment's own events
    assert sorted(definition.kind for definition in DEFINITIONS) == sorted(set(KINDS) - own)
    for contract in ("bridge", "token", "compliance", "liquidation", "access"):
        assert watch(contract, BRIDGE).definitions  # type: ignore[arg-type]


def test_read__transfer_initiated__is_its_fields() -> None:
    (event,) = reading(initiated(9, 2**256 - 1))
    assert event == Event(*FRAME, BRIDGE, "transfer-initiated", f"0x{9:064x}", ASSET, 2**256 - 1)


def test_read__status_and_check__are_number_and_truth() -> None:
    (event,) = reading(status(9, 5))
    assert isinstance(event, Event)
    assert (event.kind, event.status, event.amount) == ("transfer-status", 5, None)
    (event,) = reading(emission("compliance-checked", WATCHED[2].address, account=HOLDER, token=ASSET, passed=True))
    assert isinstance(event, Event)
    assert (event.subject, event.asset, event.passed, event.status) == (HOLDER, ASSET, True, 0)


def test_read__erc20_transfer__is_a_mint_or_a_burn_or_none_of_ours() -> None:
    (event,) = reading(minted(5))
    assert isinstance(event, Event)
    assert (event.kind, event.subject, event.amount) == ("minted", HOLDER, 5)
    (event,) = reading(burned(6))
    assert isinstance(event, Event)
    assert (event.kind, event.subject, event.amount) == ("burned", HOLDER, 6)
    assert reading(moved(7)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "0x"}, {"data": initiated(1).data + "00"}, {"data": "0x" + "zz" * 96},
        {"topics": initiated(1).topics[:3]}, {"topics": (*initiated(1).topics, "0x" + "00" * 32)},
        {"topics": (initiated(1).topics[0], "0x" + "00" * 32, "0x" + "ff" * 32, "0x" + "00" * 32)},
    ],
)  # fmt: skip
def test_read__log_that_is_not_what_its_topic_says__is_unreadable_with_its_bytes(changes: dict[str, Any]) -> None:
    each = initiated(1)
    (found,) = reading(Emission(each.address, changes.get("topics", each.topics), changes.get("data", each.data)))
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("topics and data are not those of TransferInitiated")
    assert found.topics.split()[0] == each.topics[0]
    assert found.block_number == 7


def test_queries__many_tokens__are_two_queries_more_and_filter_mints_and_burns_by_topic() -> None:
    tokens = [watch("token", f"0x{n:040x}") for n in range(1, 101)]
    found = queries([watch("bridge", BRIDGE), *tokens])
    assert len(found) == 3
    mints, burns = sorted(
        (query for query in found if len(query.addresses) == 100), key=lambda query: len(query.topics)
    )
    zero = "0x" + "00" * 32
    assert mints.parameters(0, 10)["topics"][1:] == [zero]
    assert burns.parameters(0, 10)["topics"][1:] == [None, zero]
    assert burns.parameters(16, 17) | {"address": [], "topics": []} == {
        "address": [], "topics": [], "fromBlock": "0x10", "toBlock": "0x11",
    }  # fmt: skip


def test_queries__two_bridges_with_other_events__are_asked_apart() -> None:
    own = Renamed("Locked(bytes32 indexed id, address token, uint256 value)", {"subject": "id", "asset": "token",
                                                                               "amount": "value"})  # fmt: skip
    found = queries([watch("bridge", BRIDGE), watch("bridge", TOKEN, renamed={"transfer-initiated": own})])
    assert sorted(query.addresses for query in found) == sorted([(BRIDGE,), (TOKEN,)])


# -- a deployment's own ----------------------------------------------------------------------------------------------


def test_watch__own_declaration_with_values_of_dynamic_types__is_read() -> None:
    own = Renamed(
        "Locked(uint256 indexed id, string memo, address coin, uint128 value, bytes payload)",
        {"subject": "id", "asset": "coin", "amount": "value"},
    )
    topic = "0x" + keccak(text="Locked(uint256,string,address,uint128,bytes)").hex()
    data = encode(["string", "address", "uint128", "bytes"], ["hello", ASSET, 77, b"x" * 50])
    watched = watch("bridge", BRIDGE, renamed={"transfer-initiated": own})
    (event,) = reading(Emission(BRIDGE, (topic, f"0x{5:064x}"), "0x" + data.hex()), watched)
    assert event == Event(*FRAME, BRIDGE, "transfer-initiated", "5", ASSET, 77)


def test_watch__name_in_an_abi_file__is_that_declaration(tmp_path: Path) -> None:
    inputs = [
        {"name": "id", "type": "bytes32", "indexed": True},
        {"name": "coin", "type": "address", "indexed": False},
        {"name": "value", "type": "uint256", "indexed": False},
    ]
    (tmp_path / "bridge.json").write_text(json.dumps([{"type": "event", "name": "Locked", "inputs": inputs}]))
    own = Renamed("Locked", {"subject": "id", "asset": "coin", "amount": "value"})
    watched = watch("bridge", BRIDGE, renamed={"transfer-initiated": own}, abi=tmp_path / "bridge.json")
    assert watched.definitions[0].declaration == "Locked(bytes32 indexed id, address coin, uint256 value)"


@pytest.mark.parametrize(
    "declaration",
    [
        "Locked(bytes32 indexed id,address coin,uint256 value)",
        "Locked( bytes32 indexed id,  address coin , uint256 value )",
        "Locked(bytes32  indexed  id, address  coin, uint256 value)",
        "Locked(bytes32 indexed id, address coin, uint value)",
    ],
)
def test_watch__declaration_as_solidity_allows_it__is_the_same_event(declaration: str) -> None:
    fields = {"subject": "id", "asset": "coin", "amount": "value"}
    topic = "0x" + keccak(text="Locked(bytes32,address,uint256)").hex()
    data = "0x" + encode(["address", "uint256"], [ASSET, 77]).hex()
    watched = watch("bridge", BRIDGE, renamed={"transfer-initiated": Renamed(declaration, fields)})
    (event,) = reading(Emission(BRIDGE, (topic, f"0x{5:064x}"), data), watched)
    assert event == Event(*FRAME, BRIDGE, "transfer-initiated", f"0x{5:064x}", ASSET, 77)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (Renamed("Locked(bytes32 id"), "does not declare an event"),
        (Renamed("Locked(bytes32 indexed id, uint256 amount)"), "has no parameter 'transferId' of type|no parameter"),
        (Renamed("Locked(bytes32 transferId, bool token, uint256 amount)"), "no parameter 'token' of address"),
        (Renamed("Locked(bytes32 transferId, address token, uint256 amount)", {"colour": "token"}), "no such field"),
        (Renamed("Locked"), "there is no ABI file"),
    ],
)
def test_watch__event_that_cannot_be_read__is_refused_naming_the_key(own: Renamed, said: str) -> None:
    with pytest.raises(OperatorError, match=said) as refused:
        watch("bridge", BRIDGE, renamed={"transfer-initiated": own}, section="monitor.bridge")
    assert refused.value.message.startswith("monitor.bridge.events.transfer-initiated: ")
    assert refused.value.code == "configuration"


def test_watch__unknown_kind_or_event_missing_in_the_abi__is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is none of minted, burned"):
        watch("token", TOKEN, renamed={"melted": Renamed("Melted()")})
    (tmp_path / "abi.json").write_text("[]")
    with pytest.raises(OperatorError, match="declares 0 events 'Locked'"):
        watch("bridge", BRIDGE, renamed={"transfer-initiated": Renamed("Locked")}, abi=tmp_path / "abi.json")


def test_digest__any_change_of_what_is_followed__is_another() -> None:
    plain = digest(WATCHED, STATUSES)
    assert digest(tuple(reversed(WATCHED)), STATUSES) == plain
    assert digest(WATCHED[1:], STATUSES) != plain
    for others in (
        Statuses(STATUSES.names, frozenset({"settled"}), frozenset({"failed"})),
        Statuses(STATUSES.names, STATUSES.settled, STATUSES.failed),  # nothing is refunded
    ):
        assert digest(WATCHED, others) != plain
    renamed = {"minted": Renamed("Mint(address indexed to, uint256 value)", where={})}
    assert digest((*WATCHED[:1], watch("token", TOKEN, renamed=renamed), *WATCHED[2:]), STATUSES) != plain


@pytest.mark.parametrize(
    ("names", "settled", "failed"),
    [(("a", "a"), {"a"}, set()), (("a", "b"), set(), {"b"}), (("a", "b"), {"a"}, {"a"}), (("a",), {"a"}, {"c"})],
)
def test_statuses__that_contradict_each_other__are_refused(names: Any, settled: Any, failed: Any) -> None:
    with pytest.raises(ValueError, match="status"):
        Statuses(names, frozenset(settled), frozenset(failed))


def test_statuses__refund_that_does_not_end_a_transfer__is_refused() -> None:
    with pytest.raises(ValueError, match="status"):
        Statuses(STATUSES.names, STATUSES.settled, frozenset({"failed"}), frozenset({"refunded"}))


def test_statuses__number_without_a_name__has_one_in_words() -> None:
    assert (STATUSES.name(2), STATUSES.name(77)) == ("settled", "status-77")
