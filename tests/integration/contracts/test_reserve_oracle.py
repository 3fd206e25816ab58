"""ReserveOracle on a real chain: every refusal, both ages at their edges, the quorum and the lower median."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils.crypto import keccak

ADMIN, ALICE, BOB, CAROL, DAVE, ERIN, STRANGER = range(7)
HOUR, VALIDITY = 3600, 8 * 86400
REPORTER_ROLE = keccak(text="REPORTER_ROLE")
ADMIN_ROLE = bytes(32)
USDW, EURW = "0x" + "a1" * 20, "0x" + "b2" * 20
MAX = 2**256 - 1

pytestmark = pytest.mark.usefixtures("rewound")


@pytest.fixture(scope="module")
def oracle(chain: Any) -> Any:
    """Quorum of two, three reporters: Alice, Bob and Carol."""
    contract = chain.deploy("ReserveOracle", chain.accounts[ADMIN], 2, HOUR, VALIDITY)
    for reporter in (ALICE, BOB, CAROL):
        chain.send(contract, "grantRole", REPORTER_ROLE, chain.accounts[reporter])
    return contract


@pytest.fixture
def now(chain: Any) -> int:
    """A time well after the head's, for the next blocks."""
    return int(chain.now()) + 100_000


@pytest.fixture
def report(chain: Any, oracle: Any) -> Any:
    """Submit a report in a block at its own timestamp."""

    def submit(reporter: int, reserve: int, timestamp: int, token: str = USDW) -> Any:
        return chain.send(oracle, "submitReserveReport", token, reserve, timestamp, sender=reporter, at=timestamp)

    return submit


# -- submission ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reserve", [0, 1, 2**128, MAX])
def test_submit__reporter__stores_the_report_and_says_so(
    chain: Any, oracle: Any, report: Any, now: int, reserve: int
) -> None:
    receipt = report(ALICE, reserve, now)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (reserve, now)
    (event,) = chain.events(oracle, receipt)
    assert event == ("ReserveReported", (USDW, chain.accounts[ALICE].lower(), reserve, now))
    assert chain.call(oracle, "reportOf", EURW, chain.accounts[ALICE]) == (0, 0)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[BOB]) == (0, 0)


@pytest.mark.parametrize("sender", [ADMIN, STRANGER])
def test_submit__without_the_role__reverts(chain: Any, report: Any, expect_revert: Any, now: int, sender: int) -> None:
    account = chain.accounts[sender].lower()
    with expect_revert("AccessControlUnauthorizedAccount", account, REPORTER_ROLE):
        report(sender, 5, now)


@pytest.mark.parametrize("age", [0, 1, HOUR - 1, HOUR])
def test_submit__report_of_at_most_the_maximum_age__is_accepted(chain: Any, oracle: Any, now: int, age: int) -> None:
    chain.send(oracle, "submitReserveReport", USDW, 5, now - age, sender=ALICE, at=now)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (5, now - age)


def test_submit__one_second_older_than_the_maximum_age__reverts(
    chain: Any, oracle: Any, expect_revert: Any, now: int
) -> None:
    with expect_revert("ReportStale", now - HOUR - 1, now - HOUR):
        chain.send(oracle, "submitReserveReport", USDW, 5, now - HOUR - 1, sender=ALICE, at=now)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (0, 0)


@pytest.mark.parametrize("ahead", [1, HOUR, MAX])
def test_submit__later_than_the_block__reverts(
    chain: Any, oracle: Any, expect_revert: Any, now: int, ahead: int
) -> None:
    timestamp = min(now + ahead, MAX)
    with expect_revert("ReportFromFuture", timestamp, now):
        chain.send(oracle, "submitReserveReport", USDW, 5, timestamp, sender=ALICE, at=now)


@pytest.mark.parametrize("step", [-1, 0])
def test_submit__not_after_the_reporters_last_one__reverts(
    chain: Any, oracle: Any, report: Any, expect_revert: Any, now: int, step: int
) -> None:
    report(ALICE, 5, now)
    with expect_revert("TimestampNotIncreasing", now + step, now):
        chain.send(oracle, "submitReserveReport", USDW, 6, now + step, sender=ALICE, at=now + 10)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (5, now)


def test_submit__one_second_after_the_last_one__replaces_it(chain: Any, oracle: Any, report: Any, now: int) -> None:
    report(ALICE, 5, now)
    report(ALICE, 4, now + 1)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (4, now + 1)


def test_submit__same_time_by_another_reporter_or_for_another_token__is_accepted(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    report(ALICE, 5, now)
    chain.send(oracle, "submitReserveReport", USDW, 6, now, sender=BOB, at=now + 1)
    chain.send(oracle, "submitReserveReport", EURW, 7, now, sender=ALICE, at=now + 2)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[BOB]) == (6, now)
    assert chain.call(oracle, "reportOf", EURW, chain.accounts[ALICE]) == (7, now)


# -- quorum and consensus --------------------------------------------------------------------------------------------


def test_quorum__no_report__there_is_no_number(chain: Any, oracle: Any, expect_revert: Any) -> None:
    assert chain.call(oracle, "isQuorumMet", USDW) is False
    with expect_revert("QuorumNotMet", USDW, 0, 2):
        chain.call(oracle, "getVerifiedReserve", USDW)


def test_quorum__one_short__there_is_no_number(
    chain: Any, oracle: Any, report: Any, expect_revert: Any, now: int
) -> None:
    report(ALICE, 5, now)
    assert chain.call(oracle, "isQuorumMet", USDW) is False
    with expect_revert("QuorumNotMet", USDW, 1, 2):
        chain.call(oracle, "getVerifiedReserve", USDW)


def test_quorum__one_reporter_twice__counts_once(chain: Any, oracle: Any, report: Any, now: int) -> None:
    report(ALICE, 5, now)
    report(ALICE, 5, now + 1)
    assert chain.call(oracle, "isQuorumMet", USDW) is False


def test_quorum__exactly_met__gives_the_lower_one_for_this_token_only(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    report(ALICE, 7, now)
    report(BOB, 5, now + 1)
    assert chain.call(oracle, "isQuorumMet", USDW) is True
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    assert chain.call(oracle, "isQuorumMet", EURW) is False


@pytest.mark.parametrize(
    ("reserves", "median"),
    [
        ((3, 1), 1),
        ((2, 3, 1), 2),
        ((9, 9, 1), 9),
        ((0, 0, 7), 0),
        ((4, 1, 3, 2), 2),
        ((MAX, MAX, 0, MAX), MAX),
        ((5, 1, 4, 2, 3), 3),
    ],
)
def test_consensus__is_the_lower_median(
    chain: Any, oracle: Any, report: Any, now: int, reserves: tuple[int, ...], median: int
) -> None:
    for reporter in (DAVE, ERIN):
        chain.send(oracle, "grantRole", REPORTER_ROLE, chain.accounts[reporter])
    for n, reserve in enumerate(reserves):
        report(ALICE + n, reserve, now + n)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == median == sorted(reserves)[(len(reserves) - 1) // 2]


@pytest.mark.parametrize(("age", "counts"), [(VALIDITY - 1, True), (VALIDITY, True), (VALIDITY + 1, False)])
def test_consensus__report_counts_until_its_validity_is_over(
    chain: Any, oracle: Any, report: Any, expect_revert: Any, now: int, age: int, counts: bool
) -> None:
    report(ALICE, 5, now)
    report(BOB, 7, now + 600)
    chain.mine_at(now + age)
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is counts
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[BOB]) is True
    assert chain.call(oracle, "isQuorumMet", USDW) is counts
    if counts:
        assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    else:
        with expect_revert("QuorumNotMet", USDW, 1, 2):
            chain.call(oracle, "getVerifiedReserve", USDW)


def test_consensus__validity_without_an_end__who_never_reported_still_does_not_count(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    chain.send(oracle, "setAges", HOUR, MAX)
    report(ALICE, 5, now)
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is True
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[BOB]) is False
    assert chain.call(oracle, "isQuorumMet", USDW) is False


def test_consensus__expired_report_of_three__the_other_two_decide(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    report(ALICE, 1, now)
    report(BOB, 5, now + 600)
    report(CAROL, 9, now + 601)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    chain.mine_at(now + VALIDITY + 1)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    report(CAROL, 3, now + VALIDITY + 2)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 3


@pytest.mark.parametrize("way", ["revokeRole", "renounceRole"])
def test_consensus__reporter_without_the_role__no_longer_counts(
    chain: Any, oracle: Any, report: Any, now: int, way: str
) -> None:
    report(ALICE, 1, now)
    report(BOB, 5, now + 1)
    sender = ADMIN if way == "revokeRole" else ALICE
    chain.send(oracle, way, REPORTER_ROLE, chain.accounts[ALICE], sender=sender)
    assert chain.call(oracle, "isQuorumMet", USDW) is False
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is False
    report(CAROL, 6, now + 10)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    # Granted again, it counts with its old report: the admin's decision, documented.
    chain.send(oracle, "grantRole", REPORTER_ROLE, chain.accounts[ALICE])
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 5
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is True


def test_reporters__are_those_with_the_role(chain: Any, oracle: Any) -> None:
    def expected(*numbers: int) -> set[str]:
        return {chain.accounts[number].lower() for number in numbers}

    assert set(chain.call(oracle, "reporters")) == expected(ALICE, BOB, CAROL)
    chain.send(oracle, "revokeRole", REPORTER_ROLE, chain.accounts[ALICE])
    chain.send(oracle, "grantRole", REPORTER_ROLE, chain.accounts[ERIN])
    assert set(chain.call(oracle, "reporters")) == expected(ERIN, BOB, CAROL)


def test_reporters__one_more_than_the_maximum__reverts(chain: Any, oracle: Any, expect_revert: Any, now: int) -> None:
    limit = chain.call(oracle, "MAX_REPORTERS")
    others = [f"0x{n:040x}" for n in range(1, limit - 2)]
    for account in others:
        chain.send(oracle, "grantRole", REPORTER_ROLE, account)
    assert len(chain.call(oracle, "reporters")) == limit
    with expect_revert("TooManyReporters"):
        chain.send(oracle, "grantRole", REPORTER_ROLE, chain.accounts[DAVE])
    chain.send(oracle, "grantRole", REPORTER_ROLE, chain.accounts[ALICE])  # no new one
    chain.send(oracle, "grantRole", ADMIN_ROLE, chain.accounts[DAVE])  # another role


# -- removal ---------------------------------------------------------------------------------------------------------


def test_remove_stale__by_anyone__removes_only_what_no_longer_counts(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    report(ALICE, 1, now)
    report(BOB, 5, now + 1)
    report(ALICE, 8, now + 2, token=EURW)
    receipt = chain.send(oracle, "removeStaleReports", USDW, sender=STRANGER, at=now + VALIDITY + 1)
    assert chain.events(oracle, receipt) == [("StaleReportRemoved", (USDW, chain.accounts[ALICE].lower(), now))]
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (0, 0)
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[BOB]) == (5, now + 1)
    assert chain.call(oracle, "reportOf", EURW, chain.accounts[ALICE]) == (8, now + 2)


def test_remove_stale__nothing_stale_or_removed_before__does_nothing(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    assert chain.send(oracle, "removeStaleReports", USDW)["logs"] == []
    report(ALICE, 1, now)
    assert chain.send(oracle, "removeStaleReports", USDW, at=now + VALIDITY)["logs"] == []
    assert len(chain.send(oracle, "removeStaleReports", USDW, at=now + VALIDITY + 1)["logs"]) == 1
    assert chain.send(oracle, "removeStaleReports", USDW)["logs"] == []


def test_remove_stale__then_ages_are_lengthened__old_times_stay_refused_and_the_report_stays_removed(
    chain: Any, oracle: Any, report: Any, expect_revert: Any, now: int
) -> None:
    report(ALICE, 1, now)
    chain.send(oracle, "removeStaleReports", USDW, at=now + VALIDITY + 1)
    chain.send(oracle, "setAges", 2 * VALIDITY, 2 * VALIDITY)
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is False
    with expect_revert("TimestampNotIncreasing", now, now):
        chain.send(oracle, "submitReserveReport", USDW, 9, now, sender=ALICE)
    chain.send(oracle, "submitReserveReport", USDW, 9, now + 1, sender=ALICE)
    assert chain.call(oracle, "isStanding", USDW, chain.accounts[ALICE]) is True
    assert chain.call(oracle, "reportOf", USDW, chain.accounts[ALICE]) == (9, now + 1)


# -- settings --------------------------------------------------------------------------------------------------------


def test_settings__are_readable_and_announced(chain: Any, oracle: Any) -> None:
    def settings() -> list[int]:
        return [chain.call(oracle, name) for name in ("requiredQuorum", "maxReportAge", "consensusValidity")]

    assert settings() == [2, HOUR, VALIDITY]
    assert chain.events(oracle, chain.send(oracle, "setRequiredQuorum", 3)) == [("RequiredQuorumSet", (3,))]
    assert chain.events(oracle, chain.send(oracle, "setAges", 10, 20)) == [("AgesSet", (10, 20))]
    assert settings() == [3, 10, 20]


@pytest.mark.parametrize(("function", "arguments"), [("setRequiredQuorum", (1,)), ("setAges", (1, 2))])
def test_settings__by_a_reporter__revert(
    chain: Any, oracle: Any, expect_revert: Any, function: str, arguments: tuple[int, ...]
) -> None:
    with expect_revert("AccessControlUnauthorizedAccount", chain.accounts[ALICE].lower(), ADMIN_ROLE):
        chain.send(oracle, function, *arguments, sender=ALICE)


@pytest.mark.parametrize("function", ["grantRole", "revokeRole"])
def test_roles__by_a_reporter__revert(chain: Any, oracle: Any, expect_revert: Any, function: str) -> None:
    with expect_revert("AccessControlUnauthorizedAccount", chain.accounts[ALICE].lower(), ADMIN_ROLE):
        chain.send(oracle, function, REPORTER_ROLE, chain.accounts[BOB], sender=ALICE)


def test_settings__quorum_of_none_or_of_more_than_there_can_be__reverts(
    chain: Any, oracle: Any, expect_revert: Any
) -> None:
    limit = chain.call(oracle, "MAX_REPORTERS")
    for quorum in (0, limit + 1, MAX):
        with expect_revert("InvalidQuorum", quorum):
            chain.send(oracle, "setRequiredQuorum", quorum)
    for quorum in (1, limit):
        chain.send(oracle, "setRequiredQuorum", quorum)
        assert chain.call(oracle, "requiredQuorum") == quorum
    with expect_revert("InvalidQuorum", 0):
        chain.deploy("ReserveOracle", chain.accounts[ADMIN], 0, HOUR, VALIDITY)


def test_settings__submission_age_beyond_the_validity__reverts(chain: Any, oracle: Any, expect_revert: Any) -> None:
    chain.send(oracle, "setAges", HOUR, HOUR)
    with expect_revert("InvalidAges", HOUR + 1, HOUR):
        chain.send(oracle, "setAges", HOUR + 1, HOUR)
    with expect_revert("InvalidAges", HOUR, HOUR - 1):
        chain.deploy("ReserveOracle", chain.accounts[ADMIN], 2, HOUR, HOUR - 1)


def test_settings__raised_quorum_and_shortened_validity__apply_to_reports_already_there(
    chain: Any, oracle: Any, report: Any, expect_revert: Any, now: int
) -> None:
    report(ALICE, 5, now)
    report(BOB, 6, now + 1)
    chain.send(oracle, "setRequiredQuorum", 3)
    with expect_revert("QuorumNotMet", USDW, 2, 3):
        chain.call(oracle, "getVerifiedReserve", USDW)
    chain.send(oracle, "setRequiredQuorum", 1)
    chain.send(oracle, "setAges", 10, 10, at=now + 11)
    assert chain.call(oracle, "getVerifiedReserve", USDW) == 6


# -- storage, for proofs ---------------------------------------------------------------------------------------------


def test_storage__documented_slots__hold_a_report_and_the_settings(
    chain: Any, oracle: Any, report: Any, now: int
) -> None:
    slots = oracle.artifact.storage
    reporter = chain.accounts[ALICE]
    by_token = keccak(bytes.fromhex(USDW[2:]).rjust(32, b"\0") + slots["_reports"].to_bytes(32))
    base = int.from_bytes(keccak(bytes.fromhex(reporter[2:]).rjust(32, b"\0") + by_token))

    report(ALICE, MAX - 1, now)
    assert [chain.storage(oracle, base), chain.storage(oracle, base + 1)] == [MAX - 1, now]
    settings = [chain.storage(oracle, slots[name]) for name in ("requiredQuorum", "maxReportAge", "consensusValidity")]
    assert settings == [2, HOUR, VALIDITY]
    chain.send(oracle, "removeStaleReports", USDW, at=now + VALIDITY + 1)
    assert [chain.storage(oracle, base), chain.storage(oracle, base + 1)] == [0, now + 2**64]


def test_storage__documented_slots__say_who_is_a_reporter(chain: Any, oracle: Any) -> None:
    role = keccak(REPORTER_ROLE + oracle.artifact.storage["_roles"].to_bytes(32))

    def has_role(account: str) -> int:
        return int(chain.storage(oracle, int.from_bytes(keccak(bytes.fromhex(account[2:]).rjust(32, b"\0") + role))))

    assert [has_role(chain.accounts[number]) for number in (ALICE, STRANGER)] == [1, 0]
    members = int.from_bytes(keccak(REPORTER_ROLE + oracle.artifact.storage["_roleMembers"].to_bytes(32)))
    assert chain.storage(oracle, members) == 3


def test_code__on_the_chain__is_the_artifacts(chain: Any, oracle: Any) -> None:
    code = chain.rpc("eth_getCode", oracle.address, "latest")
    assert code == "0x" + oracle.artifact.deployed_bytecode.hex()
