"""The audit of access control over a simulated deployment: who holds roles, who should, changes, use, wallets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from attest.chain.contracts import role_id
from attest.config import Monitor
from attest.errors import OperatorError
from attest.monitor.cycle import Snapshot, Watch
from attest.monitor.findings import findings
from attest.monitor.tasks import TASKS
from tests.support import eventful
from tests.support.chains import ORACLE, Error
from tests.support.eventful import Emission, emission
from tests.support.watched import BRIDGE, CONTROLLER, WALLET, World, address, value, values, watching

ADMIN, MINTER, STRANGER, OTHER = (address(number) for number in (501, 502, 503, 504))
NOBODY = "0x" + "00" * 20
MINTED = "Minted(address indexed token, address indexed to, address indexed minter, uint256 amount)"
ROLES = {
    "address": CONTROLLER,
    "members": {"DEFAULT_ADMIN_ROLE": (ADMIN,), "MINTER_ROLE": (MINTER,)},
    "uses": {"MINTER_ROLE": (MINTED,)},
}
INDEXED = {"index": "sqlite:///events.sqlite", "roles": {"controller": ROLES}}
DAY = 86_400


def granted(role: str, account: str, contract: str = CONTROLLER) -> Emission:
    return eventful.granted(role_id(role), account, contract)


def revoked(role: str, account: str, contract: str = CONTROLLER) -> Emission:
    return eventful.revoked(role_id(role), account, contract)


def minted_by(minter: str) -> Emission:
    from eth_utils.crypto import keccak

    topics = ("Minted(address,address,address,uint256)",)
    words = ("0x" + f"{int(each, 16):064x}" for each in (ADMIN, ADMIN, minter))
    return Emission(CONTROLLER, ("0x" + keccak(text=topics[0]).hex(), *words), "0x" + "00" * 32)


def deployed(world: World) -> World:
    """The controller as it should be."""
    world.hold(CONTROLLER, "DEFAULT_ADMIN_ROLE", ADMIN)
    world.hold(CONTROLLER, "MINTER_ROLE", MINTER)
    world.emit(granted("DEFAULT_ADMIN_ROLE", ADMIN), granted("MINTER_ROLE", MINTER))
    return world


def drift(snapshot: Snapshot) -> dict[tuple[str, ...], int]:
    return values(snapshot, "role_drift_members")


def told(snapshot: Snapshot) -> set[tuple[str, str]]:
    """What is found, but for tasks that nobody did."""
    tasks = {task.alert for task in TASKS.values()}
    return {(each.alert, each.subject) for each in findings(snapshot) if each.alert not in tasks}


def watched(world: World, folder: Path, **others: Any) -> Watch:
    return watching(world, folder, {**INDEXED, **others})


# -- members -----------------------------------------------------------------------------------------------------------


def test_cycle__roles_as_configured__no_drift_and_every_label_from_the_start(tmp_path: Path) -> None:
    world = deployed(World())
    snapshot = watched(world, tmp_path).cycle()
    assert snapshot.failures == ()
    roles = ("DEFAULT_ADMIN_ROLE", "MINTER_ROLE", "other")
    assert drift(snapshot) == {("controller", role): 0 for role in roles}
    assert values(snapshot, "role_drift_info") == {}
    assert values(snapshot, "role_changes_total") == {
        ("controller", role, change): int(change == "granted" and role != "other")
        for role in roles
        for change in ("granted", "revoked")
    }
    assert told(snapshot) == {("RoleChanged", "role-granted")}, "the grants are of the last day"


def test_cycle__stranger_is_granted_a_role_and_loses_it__drifts_and_ends(tmp_path: Path) -> None:
    world = deployed(World())
    watch = watched(world, tmp_path)
    watch.cycle()
    world.hold(CONTROLLER, "MINTER_ROLE", MINTER, STRANGER)
    world.emit(granted("MINTER_ROLE", STRANGER))
    snapshot = watch.cycle()
    assert drift(snapshot)["controller", "MINTER_ROLE"] == 1
    assert values(snapshot, "role_drift_info") == {("controller", "MINTER_ROLE", STRANGER, "unexpected"): 1}
    assert value(snapshot, "role_changes_total", "controller", "MINTER_ROLE", "granted") == 2
    (found,) = [each for each in findings(snapshot) if each.alert == "RoleDrift"]
    assert (found.severity, found.incident, found.subject) == ("critical", "P1", "controller MINTER_ROLE")
    assert f"{STRANGER} is unexpected" in found.detail

    world.hold(CONTROLLER, "MINTER_ROLE", MINTER)
    world.emit(revoked("MINTER_ROLE", STRANGER))
    snapshot = watch.cycle()
    assert set(drift(snapshot).values()) == {0}
    assert value(snapshot, "role_changes_total", "controller", "MINTER_ROLE", "revoked") == 1


def test_cycle__expected_member_lost_its_role__drifts_by_one(tmp_path: Path) -> None:
    world = deployed(World())
    world.hold(CONTROLLER, "MINTER_ROLE")
    snapshot = watched(world, tmp_path).cycle()
    assert drift(snapshot)["controller", "MINTER_ROLE"] == 1
    assert values(snapshot, "role_drift_info") == {("controller", "MINTER_ROLE", MINTER, "missing"): 1}


def test_cycle__role_that_is_not_configured__counts_as_other(tmp_path: Path) -> None:
    world = deployed(World())
    world.hold(CONTROLLER, "BACKDOOR_ROLE", STRANGER)
    world.emit(granted("BACKDOOR_ROLE", STRANGER), granted("BACKDOOR_ROLE", OTHER))
    snapshot = watched(world, tmp_path).cycle()
    assert drift(snapshot)["controller", "other"] == 1, "the other one holds it no more"
    assert value(snapshot, "role_changes_total", "controller", "other", "granted") == 2


def test_cycle__role_given_to_the_zero_address__is_everybodys_and_drifts(tmp_path: Path) -> None:
    world = deployed(World())
    world.hold(CONTROLLER, "MINTER_ROLE", MINTER, NOBODY)
    world.emit(granted("MINTER_ROLE", NOBODY))
    assert drift(watched(world, tmp_path).cycle())["controller", "MINTER_ROLE"] == 1


def test_cycle__more_drift_than_is_told__is_counted_whole(tmp_path: Path) -> None:
    world = deployed(World())
    strangers = [address(600 + number) for number in range(8)]
    world.hold(CONTROLLER, "MINTER_ROLE", MINTER, *strangers)
    world.emit(*(granted("MINTER_ROLE", each) for each in strangers))
    snapshot = watched(world, tmp_path).cycle()
    assert drift(snapshot)["controller", "MINTER_ROLE"] == 8
    assert len(values(snapshot, "role_drift_info")) == 5
    (found,) = [each for each in findings(snapshot) if each.alert == "RoleDrift"]
    assert "and 3 more" in found.detail


def test_cycle__contract_that_lists_its_members__needs_no_index(tmp_path: Path) -> None:
    world = World()
    members = {role_id("DEFAULT_ADMIN_ROLE"): [ADMIN], role_id("MINTER_ROLE"): [MINTER, STRANGER]}
    world.answers[CONTROLLER, "getRoleMemberCount"] = lambda role: (len(members[role]),)
    world.answers[CONTROLLER, "getRoleMember"] = lambda role, index: (members[role][index],)
    snapshot = watching(world, tmp_path, {"roles": {"controller": ROLES}}).cycle()
    assert snapshot.failures == ()
    assert drift(snapshot) == {("controller", "DEFAULT_ADMIN_ROLE"): 0, ("controller", "MINTER_ROLE"): 1}
    assert values(snapshot, "role_changes_total") == {}, "without an index nobody counted"


def failure(snapshot: Snapshot, part: str = "roles-controller") -> Any:
    assert [each.collector for each in snapshot.failures] == [part]
    assert drift(snapshot) == {}
    return snapshot.failures[0].error


def test_cycle__neither_list_nor_index__fails_and_tells_of_no_drift(tmp_path: Path) -> None:
    world = deployed(World())
    error = failure(watching(world, tmp_path, {"roles": {"controller": ROLES}}).cycle())
    assert error.code == "role-members-unknown"
    assert "monitor.index" in error.advice


@pytest.mark.parametrize("seen", [(), ("DEFAULT_ADMIN_ROLE",)], ids=["nothing", "a part"])
def test_cycle__index_begins_after_the_contract__fails_and_says_so(seen: tuple[str, ...], tmp_path: Path) -> None:
    world = World()
    world.hold(CONTROLLER, "DEFAULT_ADMIN_ROLE", ADMIN)
    world.hold(CONTROLLER, "MINTER_ROLE", MINTER)
    world.emit(*(granted(role, ADMIN) for role in seen))
    error = failure(watched(world, tmp_path).cycle())
    assert error.code == "role-history-missing"
    assert "monitor.first_block" in error.advice
    assert not seen or f"{MINTER} holds MINTER_ROLE" in error.message


def test_cycle__index_that_cannot_go_on__fails_rather_than_to_miss_a_stranger(tmp_path: Path) -> None:
    world = deployed(World())
    node = world.node()
    watch = watching(world, tmp_path, INDEXED, nodes=[node])
    assert watch.cycle().failures == ()
    world.grow()
    node.handlers["eth_getLogs"] = lambda params: None
    snapshot = watch.cycle()
    assert [each.collector for each in snapshot.failures] == ["events", "roles-controller"]
    assert snapshot.failures[1].error.code == "index-behind"
    assert drift(snapshot) == {}
    assert value(snapshot, "role_changes_total", "controller", "MINTER_ROLE", "granted") == 1


def test_cycle__index_that_cannot_be_opened__fails_each_part_in_its_own_words(tmp_path: Path) -> None:
    snapshot = watched(deployed(World()), tmp_path, index="sqlite:///nowhere/events.sqlite").cycle()
    failed = {each.collector: each.error.code for each in snapshot.failures}
    assert failed == {"events": "index-unusable", "roles-controller": "index-behind", "history": "index-unusable"}
    assert drift(snapshot) == {}


def test_cycle__abi_of_a_contract_that_only_answers_hasRole__is_asked_that(tmp_path: Path) -> None:  # noqa: N802
    world = deployed(World())
    parameters = [{"name": "role", "type": "bytes32"}, {"name": "account", "type": "address"}]
    function = {"type": "function", "name": "hasRole", "inputs": parameters, "outputs": [{"name": "", "type": "bool"}]}
    (tmp_path / "own.json").write_text(json.dumps([function]))
    snapshot = watched(world, tmp_path, roles={"controller": {**ROLES, "abi": "own.json"}}).cycle()
    assert snapshot.failures == ()
    assert set(drift(snapshot).values()) == {0}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [(None, "empty-answer", "answered nothing"), (Error(3, "execution reverted"), "call-reverted", "reverted")],
)
def test_cycle__wrong_address_or_contract_without_roles__costs_that_contract_only(
    answer: object, code: str, said: str, tmp_path: Path
) -> None:
    world = deployed(World())
    world.answers[CONTROLLER, "hasRole"] = answer
    snapshot = watched(world, tmp_path).cycle()
    error = failure(snapshot)
    assert (error.code, said in error.message) == (code, True)
    assert "AccessControl.hasRole(" in error.message
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000


def test_cycle__nobody_should_hold_a_role_of_a_contract_that_is_not_there__fails(tmp_path: Path) -> None:
    world = World()
    world.emit(granted("DEFAULT_ADMIN_ROLE", ADMIN))
    world.answers[CONTROLLER, "hasRole"] = None
    roles = {"address": CONTROLLER, "members": {"MINTER_ROLE": ()}}
    failure(watched(world, tmp_path, roles={"controller": roles}).cycle())


def test_cycle__absurd_number_of_members__is_refused(tmp_path: Path) -> None:
    world = deployed(World())
    world.answers[CONTROLLER, "getRoleMemberCount"] = (2**200,)
    assert failure(watched(world, tmp_path).cycle()).code == "malformed-answer"


def test_cycle__role_with_another_name__is_asked_by_its_hash_and_misses_its_member(tmp_path: Path) -> None:
    world = deployed(World())
    roles = {"address": CONTROLLER, "members": {"DEFAULT_ADMIN_ROLE": (ADMIN,), "MINTERS_ROLE": (MINTER,)}}
    snapshot = watched(world, tmp_path, roles={"controller": roles}).cycle()
    assert drift(snapshot) == {
        ("controller", "DEFAULT_ADMIN_ROLE"): 0, ("controller", "MINTERS_ROLE"): 1, ("controller", "other"): 1,
    }  # fmt: skip


def test_cycle__role_in_hex__is_the_role(tmp_path: Path) -> None:
    world = deployed(World())
    minter = f"0x{role_id('MINTER_ROLE').hex()}"
    roles = {
        "address": CONTROLLER,
        "members": {"0x" + "00" * 32: (ADMIN,), minter.upper().replace("X", "x"): (MINTER,)},
    }
    snapshot = watched(world, tmp_path, roles={"controller": roles}).cycle()
    assert drift(snapshot) == {
        ("controller", "0x" + "00" * 32): 0, ("controller", minter): 0, ("controller", "other"): 0,
    }  # fmt: skip


def test_cycle__many_contracts__are_no_more_requests_than_one(tmp_path: Path) -> None:
    world = deployed(World())
    spent = []
    for number, addresses in enumerate(([CONTROLLER], [CONTROLLER, *(address(700 + n) for n in range(40))])):
        roles = {}
        for contract in addresses:
            world.hold(contract, "DEFAULT_ADMIN_ROLE", ADMIN)
            if contract != CONTROLLER:
                world.emit(granted("DEFAULT_ADMIN_ROLE", ADMIN, contract))
            members = {"DEFAULT_ADMIN_ROLE": (ADMIN,), **({"MINTER_ROLE": (MINTER,)} if contract == CONTROLLER else {})}
            roles[f"c{len(roles)}"] = {"address": contract, "members": members}
        watch = watched(world, tmp_path, index=f"sqlite:///{number}.sqlite", roles=roles)
        watch.cycle()
        world.grow()
        snapshot = watch.cycle()
        assert snapshot.failures == ()
        assert set(drift(snapshot).values()) == {0}
        spent.append(value(snapshot, "cycle_requests"))
    assert spent[0] == spent[1] < 25


def test_cycle__without_events__does_not_audit(tmp_path: Path) -> None:
    snapshot = watched(deployed(World()), tmp_path).cycle(events=False)
    assert (snapshot.failures, drift(snapshot)) == ((), {})


# -- use ---------------------------------------------------------------------------------------------------------------


def test_last_used__event_that_shows_it__is_its_time(tmp_path: Path) -> None:
    world = deployed(World())
    at = world.now
    watch = watched(world, tmp_path)
    snapshot = watch.cycle()
    assert values(snapshot, "role_last_used_timestamp_seconds") == {("controller", "MINTER_ROLE"): at}, "the grant"
    world.grow()
    world.emit(minted_by(MINTER))
    at = world.now
    world.grow()
    assert value(watch.cycle(), "role_last_used_timestamp_seconds", "controller", "MINTER_ROLE") == at


def test_last_used__neither_used_nor_granted_since_the_index_begins__is_when_it_begins(tmp_path: Path) -> None:
    world = deployed(World())
    members = {"DEFAULT_ADMIN_ROLE": (ADMIN,), "MINTER_ROLE": (MINTER,), "OPERATOR_ROLE": (OTHER,)}
    roles = {"address": CONTROLLER, "members": members, "uses": {"OPERATOR_ROLE": ("Never(uint256 x)",)}}
    snapshot = watched(world, tmp_path, roles={"controller": roles}).cycle()
    begin = int(world.headers[0]["timestamp"], 16)
    assert value(snapshot, "role_last_used_timestamp_seconds", "controller", "OPERATOR_ROLE") == begin


def test_last_used__index_without_a_block__is_not_told_and_costs_no_other_part(tmp_path: Path) -> None:
    world = deployed(World())
    node = world.node()

    def refuse(params: list[Any]) -> Any:
        raise Error(-32601, "the method eth_getLogs is not available")

    node.handlers["eth_getLogs"] = refuse
    snapshot = watching(world, tmp_path, INDEXED, nodes=[node]).cycle()
    assert {(each.collector, each.error.code) for each in snapshot.failures} == {
        ("events", "logs-refused"),
        ("roles-controller", "index-behind"),
    }
    assert values(snapshot, "role_last_used_timestamp_seconds") == {}
    assert value(snapshot, "token_supply_units", "USDW") == 1_000_000


def test_last_used__first_block_is_yet_to_come__is_not_told(tmp_path: Path) -> None:
    world = deployed(World())
    snapshot = watched(world, tmp_path, first_block=len(world.headers)).cycle()
    assert [each.error.code for each in snapshot.failures] == ["role-history-missing"]
    assert values(snapshot, "role_last_used_timestamp_seconds") == {}
    assert set(values(snapshot, "role_changes_total").values()) == {0}


@pytest.mark.parametrize(("ago", "unused"), [(90 * DAY, False), (90 * DAY + 1, True)])
def test_findings__role_unused_at_its_edge__is_told(ago: int, unused: bool, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    world = deployed(World())
    watch = watched(world, tmp_path)
    used = world.now
    watch.now = lambda: datetime.fromtimestamp(used + ago, UTC)
    assert (("RoleUnused", "controller MINTER_ROLE") in told(watch.cycle())) is unused


def test_last_used__reference_contracts__by_what_is_followed_or_their_own_events(tmp_path: Path) -> None:
    world = World()
    token, feed = address(0), address(801)
    for contract in (token, BRIDGE, feed):
        world.hold(contract, "DEFAULT_ADMIN_ROLE", ADMIN)
        world.emit(granted("DEFAULT_ADMIN_ROLE", ADMIN, contract))
    for contract, role in (
        (token, "MINTER_ROLE"),
        (BRIDGE, "RELAYER_ROLE"),
        (BRIDGE, "PAUSER_ROLE"),
        (feed, "FEED_ROLE"),
    ):
        world.hold(contract, role, MINTER)
        world.emit(granted(role, MINTER, contract))
    world.answers[BRIDGE, f"bridgeReserve {token}"] = (5,)

    def roles(contract: str, at: str, *names: str) -> dict[str, Any]:
        members = {"DEFAULT_ADMIN_ROLE": (ADMIN,), **dict.fromkeys(names, (MINTER,))}
        return {"address": at, "contract": contract, "members": members}

    audited = {
        "USDW": roles("WToken", token, "MINTER_ROLE"),
        "bridge": roles("BridgeEscrowVault", BRIDGE, "RELAYER_ROLE", "PAUSER_ROLE"),
        "feed": roles("XAUOracle", feed, "FEED_ROLE"),
    }
    watch = watching(world, tmp_path, {**INDEXED, "bridge": {"address": BRIDGE}, "roles": audited})
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    shown = {("USDW", "MINTER_ROLE"), ("bridge", "RELAYER_ROLE"), ("feed", "FEED_ROLE")}
    assert values(snapshot, "role_last_used_timestamp_seconds").keys() == shown, "a pauser's idleness is no finding"
    used = {}
    for name, event in (
        (("USDW", "MINTER_ROLE"), emission("minted", token, to=ADMIN, value=0)),
        (("bridge", "RELAYER_ROLE"), emission("reserve-verified", BRIDGE, token=token, sufficient=True)),
    ):
        world.emit(event)
        used[name] = world.now
    seen = values(watch.cycle(), "role_last_used_timestamp_seconds")
    assert {name: seen[name] for name in used} == used


def test_watch__role_given_to_somebody__goes_on_with_its_index(tmp_path: Path) -> None:
    world = deployed(World())
    for members in ((), (MINTER,)):
        roles = {**ROLES, "contract": "MintController", "uses": {}}
        roles["members"] = {"DEFAULT_ADMIN_ROLE": (ADMIN,), "MINTER_ROLE": members}
        snapshot = watched(world, tmp_path, roles={"controller": roles}).cycle()
        assert snapshot.failures == ()
        assert len(values(snapshot, "role_last_used_timestamp_seconds")) == len(members)
    roles["contract"] = None
    snapshot = watched(world, tmp_path, roles={"controller": roles}).cycle()
    assert snapshot.failures[0].error.code == "index-of-other-events"


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ({"MINTER_ROLE": ("minted",)}, "minted is not followed of this contract"),
        ({"MINTER_ROLE": ("transfer-lost",)}, "does not declare an event"),
        ({"MINTER_ROLE": (MINTED,), "PAUSER_ROLE": (MINTED,)}, "is named already"),
        (
            {"MINTER_ROLE": ("RoleGranted(bytes32 indexed role, address indexed account, address indexed sender)",)},
            "is followed as role-granted: name that instead",
        ),
    ],
)
def test_watch__event_that_shows_no_use__is_refused_at_the_start(uses: Any, said: str, tmp_path: Path) -> None:
    members = {"MINTER_ROLE": (MINTER,), "PAUSER_ROLE": (ADMIN,)}
    roles = {"address": CONTROLLER, "members": members, "uses": uses}
    with pytest.raises(OperatorError, match=r"monitor\.roles\.controller\.uses\.") as refused:
        watched(World(), tmp_path, roles={"controller": roles})
    assert said in refused.value.message


# -- wallets -----------------------------------------------------------------------------------------------------------


def wallet(world: World, threshold: int, *owners: str) -> None:
    world.answers |= {(WALLET, "getThreshold"): (threshold,), (WALLET, "getOwners"): (list(owners),)}


MULTISIG = {"multisigs": {"treasury": {"address": WALLET, "threshold": 2, "owners": (ADMIN, MINTER, OTHER)}}}


@pytest.mark.parametrize(("threshold", "weak"), [(1, True), (2, False), (3, False)])
def test_multisig__threshold_at_each_edge__is_weakened_below_it(threshold: int, weak: bool, tmp_path: Path) -> None:
    world = World()
    wallet(world, threshold, OTHER, ADMIN, MINTER)
    snapshot = watching(world, tmp_path, MULTISIG).cycle()
    assert snapshot.failures == ()
    assert value(snapshot, "multisig_threshold", "treasury") == threshold
    assert value(snapshot, "multisig_expected_threshold", "treasury") == 2
    assert drift(snapshot) == {("treasury", "owner"): 0}
    assert told(snapshot) == ({("MultisigWeakened", "treasury")} if weak else set())


def test_multisig__owner_exchanged__drifts_by_two(tmp_path: Path) -> None:
    world = World()
    wallet(world, 2, ADMIN, MINTER, STRANGER)
    snapshot = watching(world, tmp_path, MULTISIG).cycle()
    assert drift(snapshot) == {("treasury", "owner"): 2}
    assert told(snapshot) == {("RoleDrift", "treasury owner")}


def test_multisig__owners_left_out__are_not_asked(tmp_path: Path) -> None:
    world = World()
    world.answers[WALLET, "getThreshold"] = (2,)
    snapshot = watching(world, tmp_path, {"multisigs": {"treasury": {"address": WALLET, "threshold": 2}}}).cycle()
    assert (snapshot.failures, drift(snapshot)) == ((), {})


def test_multisig__no_wallet_there__costs_that_part_only(tmp_path: Path) -> None:
    world = World()
    world.answers[WALLET, "getThreshold"] = None
    (failed,) = watching(world, tmp_path, MULTISIG).cycle().failures
    assert (failed.collector, failed.error.code) == ("multisig-treasury", "empty-answer")


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"roles": {"a": {**ROLES, "members": {"MINTER ROLE": (MINTER,)}}}}, "a role is a name as in Solidity"),
        ({"roles": {"a": {**ROLES, "members": {"other": (MINTER,)}}}}, "give this one in hex"),
        ({"roles": {"a": {**ROLES, "members": {"0x12": (MINTER,)}}}}, "0x and 64 hex digits"),
        ({"roles": {"a": {"address": CONTROLLER, "members": {"X": (MINTER, MINTER)}}}}, "members.X: an address stands"),
        ({"roles": {"a": {"address": CONTROLLER, "members": {}}}}, "at least 1 item"),
        ({"roles": {"a": {"address": CONTROLLER, "members": {"X": ("0x12",)}}}}, "0x and 40 hex digits"),
        (
            {
                "roles": {
                    "a": {"address": CONTROLLER, "members": {"X": ("0x52908400098527886E0F7030069857D2E4169Ee7",)}}
                }
            },
            "checksum",
        ),
        ({"roles": {"a": {**ROLES, "uses": {"X": ("e",)}}}}, "uses.X: there is no such role"),
        ({"roles": {"a": {**ROLES, "contract": "Safe"}}}, "Input should be"),
        ({"roles": {"a": ROLES, "b": ROLES}}, "the same contract is configured twice"),
        ({"roles": {"a": ROLES}, "multisigs": {"a": {"address": WALLET, "threshold": 1}}}, "has the same name"),
        ({"multisigs": {"a": {"address": WALLET, "threshold": 0}}}, "greater than or equal to 1"),
        ({"multisigs": {"a": {"address": WALLET, "threshold": 2, "owners": (ADMIN,)}}}, "larger than the number"),
        ({"multisigs": {"a": {"address": WALLET, "threshold": 1, "owners": (ADMIN, ADMIN)}}}, "an address stands"),
    ],
)
def test_configuration__that_says_nothing_clear__is_refused(plain: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Monitor.model_validate(plain)


def test_watch__role_by_name_and_in_hex__is_refused(tmp_path: Path) -> None:
    members = {"MINTER_ROLE": (MINTER,), f"0x{role_id('MINTER_ROLE').hex()}": (MINTER,)}
    with pytest.raises(OperatorError, match="twice, by its name and in hex"):
        watching(World(), tmp_path, {"roles": {"controller": {"address": CONTROLLER, "members": members}}})


def test_cycle__reserve_oracle_itself__can_be_audited(tmp_path: Path) -> None:
    world = World()
    world.answers[ORACLE, "getRoleMemberCount"] = (1,)
    world.answers[ORACLE, "getRoleMember"] = (ADMIN,)
    roles = {"address": ORACLE, "contract": "ReserveOracle", "members": {"DEFAULT_ADMIN_ROLE": (ADMIN,)}}
    snapshot = watching(world, tmp_path, {"roles": {"oracle": roles}}).cycle()
    assert drift(snapshot) == {("oracle", "DEFAULT_ADMIN_ROLE"): 0}
