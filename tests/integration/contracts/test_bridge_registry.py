"""BridgeRegistry on a real chain: destinations, their status and their routes."""

from __future__ import annotations

from typing import Any

import pytest

ADMIN, OPERATOR, STRANGER = range(3)
UNKNOWN, ACTIVE, DEGRADED, DOWN = range(4)
CHAIN_ID = 651940
BRIDGE = "0x" + "b1" * 20
OTHER = "0x" + "b2" * 20
NOBODY = "0x" + "00" * 20

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def registry(chain: Any, grant: Any) -> Any:
    contract = chain.deploy("BridgeRegistry", chain.accounts[ADMIN])
    grant(contract, "OPERATOR_ROLE", OPERATOR)
    return contract


@pytest.fixture
def added(chain: Any, registry: Any) -> list[Any]:
    """The events of adding the destination."""
    return list(chain.events(registry, chain.send(registry, "setDestination", CHAIN_ID, BRIDGE, 12)))


def test_destination__unknown__is_all_zero_and_closed(chain: Any, registry: Any) -> None:
    assert chain.call(registry, "destinations", CHAIN_ID) == (UNKNOWN, False, 0, NOBODY)
    assert chain.call(registry, "isRouteOpen", CHAIN_ID) is False
    assert chain.call(registry, "chainIds") == ()


def test_destination__added__is_active_and_its_route_opens_when_enabled(
    chain: Any, registry: Any, added: list[Any]
) -> None:
    assert added == [
        ("DestinationSet", (CHAIN_ID, BRIDGE, 12)),
        ("DestinationStatusUpdated", (CHAIN_ID, UNKNOWN, ACTIVE)),
    ]
    assert chain.call(registry, "destinations", CHAIN_ID) == (ACTIVE, False, 12, BRIDGE)
    assert chain.call(registry, "isRouteOpen", CHAIN_ID) is False
    receipt = chain.send(registry, "setRouteEnabled", CHAIN_ID, True, sender=OPERATOR)
    assert chain.events(registry, receipt) == [("RouteEnabledSet", (CHAIN_ID, True))]
    assert chain.call(registry, "isRouteOpen", CHAIN_ID) is True
    chain.send(registry, "setRouteEnabled", CHAIN_ID, False, sender=OPERATOR)
    assert chain.call(registry, "isRouteOpen", CHAIN_ID) is False


@pytest.mark.usefixtures("added")
def test_destination__changed__keeps_its_status_and_route_and_is_listed_once(chain: Any, registry: Any) -> None:
    chain.send(registry, "setRouteEnabled", CHAIN_ID, True, sender=OPERATOR)
    chain.send(registry, "setStatus", CHAIN_ID, DOWN, sender=OPERATOR)
    receipt = chain.send(registry, "setDestination", CHAIN_ID, OTHER, 1)
    assert chain.events(registry, receipt) == [("DestinationSet", (CHAIN_ID, OTHER, 1))]
    assert chain.call(registry, "destinations", CHAIN_ID) == (DOWN, True, 1, OTHER)
    chain.send(registry, "setDestination", 1, BRIDGE, 64)
    assert chain.call(registry, "chainIds") == (CHAIN_ID, 1)


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(("status", "is_open"), [(ACTIVE, True), (DEGRADED, True), (DOWN, False)])
def test_status__decides_whether_an_enabled_route_is_open(
    chain: Any, registry: Any, status: int, is_open: bool
) -> None:
    chain.send(registry, "setRouteEnabled", CHAIN_ID, True, sender=OPERATOR)
    receipt = chain.send(registry, "setStatus", CHAIN_ID, status, sender=OPERATOR)
    assert chain.events(registry, receipt) == [("DestinationStatusUpdated", (CHAIN_ID, ACTIVE, status))]
    assert chain.call(registry, "isRouteOpen", CHAIN_ID) is is_open


@pytest.mark.usefixtures("added")
def test_settings__impossible_ones__revert(chain: Any, registry: Any, expect_revert: Any) -> None:
    for chain_id, bridge, finality in ((1, NOBODY, 1), (1, BRIDGE, 0), (138, BRIDGE, 1)):
        with expect_revert("InvalidDestination", chain_id):
            chain.send(registry, "setDestination", chain_id, bridge, finality)
    with expect_revert("InvalidDestination", CHAIN_ID):
        chain.send(registry, "setStatus", CHAIN_ID, UNKNOWN, sender=OPERATOR)
    with expect_revert("UnknownDestination", 1):
        chain.send(registry, "setStatus", 1, ACTIVE, sender=OPERATOR)
    with expect_revert("UnknownDestination", 1):
        chain.send(registry, "setRouteEnabled", 1, True, sender=OPERATOR)


@pytest.mark.usefixtures("added")
def test_settings__without_the_role__revert(registry: Any, expect_role: Any) -> None:
    for sender in (ADMIN, STRANGER):
        expect_role(registry, "OPERATOR_ROLE", sender, "setStatus", CHAIN_ID, DOWN)
        expect_role(registry, "OPERATOR_ROLE", sender, "setRouteEnabled", CHAIN_ID, True)
    expect_role(registry, None, OPERATOR, "setDestination", CHAIN_ID, BRIDGE, 1)
