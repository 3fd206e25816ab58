"""The event index on a simulated chain: each event once, no gap, no block of another fork, and refusals in words."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.errors import AttestError, ChainError, ConflictError, OperatorError
from attest.monitor import tables
from attest.monitor.chunks import CAREFUL, MAX_LOGS
from attest.monitor.events import STATUSES, Statuses, watch
from attest.monitor.index import KEPT, EventIndex, Progress
from attest.monitor.totals import reading
from attest.posting import TOO_LARGE, Reply, TransportFault
from tests.support.chains import Error, Node
from tests.support.eventful import (
    FAILED,
    REFUNDED,
    SETTLED,
    TOKEN,
    WATCHED,
    Emission,
    EventfulChain,
    any_emission,
    checked,
    initiated,
    minted,
    moved,
    status,
    verified,
)
from tests.support.indexing import client, content, open_index
from tests.support.mempool import Crash

#: Where the last indexed block stands in a row of `attest_index`.
NUMBER = list(tables.cursors.columns.keys()).index("number")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.sqlite'}"


def lively(length: int, seed: int = 1, **options: Any) -> EventfulChain:
    """A chain with up to three events in each block."""
    chance, chain = random.Random(seed), EventfulChain(**options)
    for _ in range(length):
        chain.mine(*(any_emission(chance) for _ in range(chance.randrange(4))))
    return chain


def clean(chain: EventfulChain, folder: Path) -> Any:
    """What one scan of the whole chain finds, with headers of all blocks."""
    fresh = f"sqlite:///{folder / f'clean-{len(list(folder.iterdir()))}.sqlite'}"
    open_index(fresh).advance(client(chain))
    return content(fresh)


# -- every event, once -----------------------------------------------------------------------------------------------


def test_advance__chain_of_events__stores_each_as_the_chain_has_it(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1, 2**255), moved(7), minted(5))
    chain.mine(status(1, SETTLED), verified(False), seconds=40)
    progress = open_index(database).advance(client(chain))
    assert progress == Progress(indexed=2, head=2, added=4, unreadable=0, reorgs=0)
    first, mint, settled, check = content(database)["attest_events"]
    block = chain.blocks[1]["hash"][2:]
    assert first[:4] == (138, 1, 0, block)
    assert first[5:] == (1_794_830_402, WATCHED[0].address, "transfer-initiated", f"0x{1:064x}", "0x" + "a5" * 20,
                         str(2**255), None, None, None)  # fmt: skip
    assert (mint[2], mint[6], mint[7], mint[10]) == (2, TOKEN, "minted", "5")
    assert (settled[7], settled[11]) == ("transfer-status", SETTLED)
    assert (check[7], check[12]) == ("reserve-verified", False)
    (transfer,) = content(database)["attest_transfers"]
    assert transfer == (
        138,
        f"0x{1:064x}",
        "0x" + "a5" * 20,
        str(2**255),
        1,
        0,
        1_794_830_402,
        2,
        1_794_830_442,
        SETTLED,
    )


@pytest.mark.no_cover  # many runs over lines that the other tests cover
@pytest.mark.parametrize("span", [3, 100, 5000])
@pytest.mark.parametrize("stamped", [True, False])
def test_advance__any_span__finds_the_same(database: str, tmp_path: Path, span: int, stamped: bool) -> None:
    chain = lively(500, stamped=stamped)
    open_index(database, span=span).advance(client(chain))
    assert content(database) == clean(chain, tmp_path)
    assert len(content(database)["attest_events"]) > 400
    covered = sorted(set(chain.asked))
    assert covered[0][0] == 0
    assert max(last for _, last in covered) == 500


def test_advance__again__asks_for_the_new_blocks_only(database: str) -> None:
    chain = lively(50)
    index, one = open_index(database), client(chain)
    index.advance(one)
    assert index.advance(one).added == 0
    chain.asked.clear()
    chain.mine(minted(1))
    assert index.advance(one).added == 1
    assert set(chain.asked) == {(51, 51)}


def test_advance__nothing_new__is_one_request(database: str) -> None:
    chain = lively(5)
    node = chain.node()
    index, one = open_index(database), client(node)
    index.advance(one)
    node.requests.clear()
    index.advance(one)
    assert node.methods == [["eth_getBlockByNumber"]]
    chain.mine(minted(1))
    node.requests.clear()
    index.advance(one)
    assert len(node.requests) == 2


def test_advance__closed_and_opened_again__goes_on_without_a_gap(database: str, tmp_path: Path) -> None:
    chain = lively(20)
    for _ in range(8):
        index = open_index(database, span=3)
        index.advance(client(chain), chunks=3)
        index.close()
    assert content(database)["attest_index"][0][NUMBER] == 20
    assert content(database) == clean(chain, tmp_path)


def test_advance__first_block_given__begins_there(database: str) -> None:
    chain = EventfulChain()
    for amount in (1, 2, 3, 4):
        chain.mine(minted(amount))
    open_index(database, start=3).advance(client(chain))
    assert [row[10] for row in content(database)["attest_events"]] == ["3", "4"]


def test_advance__first_block_beyond_the_next__is_refused_and_not_blamed_on_the_node(database: str) -> None:
    chain = EventfulChain()
    chain.mine(blocks=4)
    fault = refusal(open_index(database, start=6), chain)
    assert (fault.code, fault.exit_code) == ("first-block-ahead", 2)
    assert fault.message == "monitor.first_block is 6, and chain main's newest final block is 4"
    assert content(database)["attest_index"] == []
    assert open_index(database, start=5).advance(client(chain)) == Progress(4, 4, 0, 0, 0)


def test_advance__finality_by_depth__stays_behind_the_head(database: str) -> None:
    chain = lively(30)
    progress = open_index(database, finality="depth:10").advance(client(chain))
    assert (progress.indexed, progress.head) == (20, 20)


# -- nodes with limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"limit": 10}, {"most": 5}, {"limit": 64, "most": 40}])
def test_advance__node_with_limits__is_asked_for_less_and_nothing_is_missed(
    database: str, tmp_path: Path, limits: dict[str, int]
) -> None:
    chain = lively(200)
    expected = clean(chain, tmp_path)
    for name, value in limits.items():
        setattr(chain, name, value)
    open_index(database).advance(client(chain))
    assert content(database) == expected


def test_advance__crowded_blocks_then_empty_ones__ranges_shrink_and_grow_again(database: str) -> None:
    chain = EventfulChain(most=8)
    for _ in range(40):
        chain.mine(*[minted(1)] * 4)
    chain.mine(blocks=6000)
    open_index(database).advance(client(chain))
    spans = [last - first + 1 for first, last in chain.asked]
    assert min(spans[:100]) <= 2
    assert max(spans) > 1000


def test_advance__answer_too_large__is_asked_for_in_halves(database: str, tmp_path: Path) -> None:
    chain = lively(300)
    expected = clean(chain, tmp_path)
    node = chain.node()
    post = node.post

    def heavy(url: str, body: bytes) -> Reply:
        reply = post(url, body)
        if len(reply.body) > 100_000:
            raise TransportFault(f"{TOO_LARGE} 100000 bytes", again=False)
        return reply

    node.post = heavy  # type: ignore[method-assign]
    open_index(database).advance(client(node))
    assert content(database) == expected


def test_advance__many_logs_at_once__asks_for_fewer_blocks_from_then_on(database: str) -> None:
    chain = EventfulChain(most=10**6)
    for _ in range(120):
        chain.mine(*[minted(1)] * 150)
    chain.mine(blocks=CAREFUL)
    chain.mine(*[minted(1)] * 150)
    index = open_index(database, span=1000)
    index.advance(client(chain))
    chain.mine(blocks=400)
    chain.asked.clear()
    assert MAX_LOGS < 120 * 150
    index.advance(client(chain))
    assert max(last - first + 1 for first, last in chain.asked) < 400


# -- reorganisations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_advance__chain_reorganised__takes_out_what_is_gone_and_counts_it(
    database: str, tmp_path: Path, depth: int
) -> None:
    chain = lively(60)
    index = open_index(database)
    index.advance(client(chain))
    chain.reorganise(depth)
    for amount in range(depth + 2):
        chain.mine(minted(1000 + amount))
    progress = index.advance(client(chain))
    assert progress.reorgs == 1
    assert content(database) == clean(chain, tmp_path)
    with reading(database) as totals:
        assert (totals.reorgs().count, totals.reorgs().deepest) == (1, depth)


def test_advance__reorganised_below_every_kept_hash__falls_back_to_a_milestone(database: str, tmp_path: Path) -> None:
    chain = EventfulChain()
    chain.mine(minted(1), blocks=1500)
    chain.mine(minted(2), blocks=KEPT + 200)
    index = open_index(database, span=100)
    index.advance(client(chain))
    chain.reorganise(KEPT + 300)
    chain.mine(minted(3), blocks=KEPT + 400)
    assert index.advance(client(chain)).reorgs == 1
    assert content(database) == clean(chain, tmp_path)
    assert [row[10] for row in content(database)["attest_events"]] == ["1", "3"]


def test_advance__transfer_settled_in_a_dropped_block__is_pending_again(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1))
    chain.mine(status(1, SETTLED))
    index = open_index(database)
    index.advance(client(chain))
    chain.reorganise(1)
    chain.mine(blocks=2)
    index.advance(client(chain))
    with reading(database) as totals:
        assert totals.oldest_pending() == int(chain.blocks[1]["timestamp"], 16)
        assert totals.settlement_histogram().count == 0


def test_advance__refund_in_a_dropped_block__is_due_again(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1))
    chain.mine(status(1, FAILED))
    chain.mine(status(1, REFUNDED))
    index = open_index(database)
    index.advance(client(chain))
    with reading(database) as totals:
        assert totals.oldest_pending() is None
    chain.reorganise(1)
    chain.mine(blocks=2)
    index.advance(client(chain))
    with reading(database) as totals:
        assert totals.oldest_pending() == int(chain.blocks[1]["timestamp"], 16)


def test_advance__node_that_is_behind__changes_nothing(database: str) -> None:
    chain, late = lively(30), lively(20)
    index = open_index(database)
    index.advance(client(chain))
    before = content(database)
    assert index.advance(client(late)) == Progress(indexed=30, head=20, added=0, unreadable=0, reorgs=0)
    assert content(database) == before


def test_advance__shorter_chain_of_another_fork__is_a_reorganisation(database: str, tmp_path: Path) -> None:
    chain = lively(30)
    index = open_index(database)
    index.advance(client(chain))
    chain.reorganise(20)
    chain.mine(minted(9))
    assert index.advance(client(chain)).reorgs == 1
    assert content(database) == clean(chain, tmp_path)


def test_advance__reorganised_while_it_reads__mixes_no_two_forks(database: str, tmp_path: Path) -> None:
    chain = lively(400)
    node = chain.node()
    changes = iter([5, 3, 60, 1, 2])

    def logs(params: list[Any]) -> Any:
        depth = next(changes, 0)
        if depth:
            chain.reorganise(depth)
            for _ in range(depth + 1):
                chain.mine(minted(depth))
        return chain.node().handlers["eth_getLogs"](params)

    node.handlers["eth_getLogs"] = logs
    open_index(database, span=90).advance(client(node))
    assert content(database) == clean(chain, tmp_path)


def test_advance__chain_that_never_stands_still__is_refused_in_words(database: str) -> None:
    chain = lively(10)
    node = chain.node()

    def logs(params: list[Any]) -> Any:
        found = chain.node().handlers["eth_getLogs"](params)
        chain.reorganise(1)
        chain.mine()
        return found

    node.handlers["eth_getLogs"] = logs
    with pytest.raises(ChainError, match="changed 50 times") as refused:
        open_index(database).advance(client(node))
    assert refused.value.code == "chain-moving"


@pytest.mark.no_cover  # as above
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.sampled_from([4, 15, 50])), max_size=5),
)
def test_advance__any_history__ends_as_a_clean_scan(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    database = f"sqlite:///{folder / 'index.sqlite'}"
    chance, chain = random.Random(seed), lively(10, seed)
    for drop, grow, span in steps:
        chain.reorganise(min(drop, chain.head))
        for _ in range(grow):
            chain.mine(*(any_emission(chance) for _ in range(chance.randrange(3))))
        open_index(database, span=span).advance(client(chain), chunks=chance.choice([1, 3, None]))
    chain.mine(blocks=150)
    open_index(database).advance(client(chain))
    assert content(database) == clean(chain, folder)


# -- two indexers, and one that dies ---------------------------------------------------------------------------------


def test_advance__two_indexers_in_turns__count_each_event_once(database: str, tmp_path: Path) -> None:
    chain = lively(100)
    node = chain.node()
    first, second = open_index(database, span=10), open_index(database, span=7)
    answer = node.handlers["eth_getLogs"]
    nested = iter(range(5))

    def logs(params: list[Any]) -> Any:
        if next(nested, None) is not None:  # while the first one reads, the second one commits
            second.advance(client(chain), chunks=1)
        return answer(params)

    node.handlers["eth_getLogs"] = logs
    first.advance(client(node))
    assert content(database) == clean(chain, tmp_path)


def test_advance__two_indexers_meet_a_reorganisation__one_takes_it_back(database: str, tmp_path: Path) -> None:
    chain = lively(40)
    first, second = open_index(database), open_index(database)
    first.advance(client(chain))
    chain.reorganise(10)
    for _ in range(15):
        chain.mine(minted(3))
    node = chain.node()
    blocks = node.handlers["eth_getBlockByNumber"]
    asked = iter(range(3))

    def block(params: list[Any]) -> Any:
        if next(asked, None) == 2:
            second.advance(client(chain))
        return blocks(params)

    node.handlers["eth_getBlockByNumber"] = block
    first.advance(client(node))
    assert content(database) == clean(chain, tmp_path)
    with reading(database) as totals:
        assert totals.reorgs().count == 1


def _dies_at(database: str, chain: EventfulChain, statement: int) -> bool:
    """Advance, and be gone before the n-th statement: what was not committed then is rolled back. False if there are
    fewer statements."""
    from sqlalchemy import event

    index = open_index(database)
    statements = iter(range(1, statement + 1))

    @event.listens_for(index._engine, "before_cursor_execute")
    def count(*_: object) -> None:
        if next(statements, None) == statement:
            raise Crash

    try:
        index.advance(client(chain))
    except Crash:
        return True
    finally:
        index.close()
    return False


def test_advance__dies_before_any_statement__goes_on_as_if_it_had_not_begun(database: str, tmp_path: Path) -> None:
    chain = lively(10)
    open_index(database).advance(client(chain))
    chain.reorganise(4)
    for amount in range(6):
        chain.mine(initiated(1000 + amount), status(1000 + amount, SETTLED), minted(amount))
    before, expected = content(database), clean(chain, tmp_path)
    source = Path(database.removeprefix("sqlite:///"))
    statement, states, died = 0, [], True
    while died:
        statement += 1
        copy = tmp_path / f"copy-{statement}.sqlite"
        with sqlite3.connect(source) as original, sqlite3.connect(copy) as target:
            original.backup(target)
        url = f"sqlite:///{copy}"
        died = _dies_at(url, chain, statement)
        states.append(content(url))
        open_index(url).advance(client(chain))
        assert content(url) == expected, f"killed before statement {statement}"
    assert statement > 12
    # Each state that it was found in is one of three: before, after walking back, and the end.
    assert len({str(state) for state in states}) == 3
    assert (states[0], states[-1]) == (before, expected)


# -- what is refused -------------------------------------------------------------------------------------------------


def refusal(index: EventIndex, node: Node | EventfulChain) -> AttestError:
    with pytest.raises(AttestError) as refused:
        index.advance(client(node))
    assert refused.value.reason
    assert refused.value.advice
    return refused.value


@pytest.mark.parametrize("answer", [None, {}, "0x"])
def test_advance__logs_answered_with_nothing__is_an_error_that_names_the_endpoint(database: str, answer: Any) -> None:
    chain = lively(10)
    before_it = open_index(database)
    node = chain.node(eth_getLogs=lambda params: answer)
    fault = refusal(before_it, node)
    assert (fault.code, fault.exit_code) == ("history-missing", 5)
    assert "http://one.example:8545" in fault.message
    assert content(database)["attest_events"] == []


def test_advance__blocks_that_a_node_forgot__is_an_error_and_no_gap(database: str) -> None:
    chain = lively(20)
    index = open_index(database)
    index.advance(client(chain))
    chain.mine(blocks=30)
    blocks = chain.node().handlers["eth_getBlockByNumber"]
    node = chain.node(
        eth_getBlockByNumber=lambda params: None if params[0] in map(hex, range(25, 40)) else blocks(params)
    )
    fault = refusal(index, node)
    assert fault.code == "history-missing"
    assert "http://one.example:8545 does not give block 25" in fault.message
    assert content(database)["attest_index"][0][NUMBER] == 20


def test_advance__pruned_node_answers_empty_lists__is_found_by_the_bloom_filters(database: str) -> None:
    chain = lively(100, history=60)
    fault = refusal(open_index(database), chain)
    assert fault.code == "history-missing"
    assert "the receipts of block" in fault.message
    assert content(database)["attest_index"][0][NUMBER] == -1


def test_advance__node_without_log_index_but_with_receipts__is_an_error(database: str) -> None:
    chain = lively(100)
    fault = refusal(open_index(database), chain.node(eth_getLogs=lambda params: []))
    assert fault.code == "logs-omitted"
    assert "http://one.example:8545 gives no events of block" in fault.message


def test_advance__bloom_filter_of_another_contract_s_logs__is_no_alarm(database: str) -> None:
    chain = EventfulChain()
    for _ in range(20):
        chain.mine(
            *[Emission("0x" + f"{n:040x}", tuple(f"0x{n * 7 + k:064x}" for k in range(4)), "0x") for n in range(150)]
        )
    assert open_index(database).advance(client(chain)).indexed == 20


def test_advance__single_block_refused__says_what_the_node_said(database: str) -> None:
    def refuse(params: list[Any]) -> Any:
        raise Error(-32005, "rate limit exceeded")

    fault = refusal(open_index(database), lively(9).node(eth_getLogs=refuse, eth_getBlockReceipts=refuse))
    assert fault.code == "logs-refused"
    assert "rate limit exceeded" in fault.message


@pytest.mark.parametrize(
    "changes",
    [
        {"blockNumber": "0x6400"}, {"blockNumber": None}, {"removed": True}, {"address": None}, {"logIndex": 0},
        {"address": "0x" + "ee" * 20}, {"topics": []}, {"topics": ["0x" + "00" * 32]}, {"blockHash": "0x12"},
        {"transactionHash": "ab"}, {"logIndex": hex(2**63)}, {"logIndex": hex(2**31)}, {"logIndex": "-0x1"},
        {"blockNumber": hex(2**64)},
    ],
    ids=str,
)  # fmt: skip
def test_advance__log_that_was_not_asked_for__is_refused(database: str, changes: dict[str, Any]) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1))
    chain.logs[1][0] |= changes
    node = chain.node(eth_getLogs=lambda params: chain.logs[1])
    assert refusal(open_index(database), node).code == "malformed-answer"


def test_advance__log_of_another_fork_than_its_header__is_not_stored(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1))
    chain.logs[1][0]["blockHash"] = "0x" + "dd" * 32
    assert refusal(open_index(database), chain).code == "chain-moving"
    assert content(database)["attest_events"] == []


def test_advance__event_with_other_words_than_configured__is_counted_and_told_and_not_lost(database: str) -> None:
    chain = EventfulChain()
    chain.mine(initiated(1), minted(5))
    chain.logs[1][0]["data"] += "00" * 32
    progress = open_index(database).advance(client(chain))
    assert (progress.added, progress.unreadable) == (1, 1)
    with reading(database) as totals:
        count, (log,) = totals.unreadable()
        assert count == 1
        assert (log.block_number, log.contract) == (1, WATCHED[0].address)
        assert "TransferInitiated" in log.reason
    assert content(database)["attest_unreadable_logs"][0][7].startswith("0x")


def test_advance__client_of_another_chain__is_refused(database: str) -> None:
    with pytest.raises(OperatorError, match="chain id 138, and the client of 1") as refused:
        open_index(database).advance(client(lively(3), chain_id=1))
    assert refused.value.code == "wrong-chain-id"


def test_advance__node_of_another_chain_id__is_refused(database: str) -> None:
    chain = lively(3)
    node = chain.node()
    node.chain_id = 1337
    assert refusal(open_index(database), node).code == "wrong-chain-id"


@pytest.mark.parametrize(("start", "length"), [(0, 40), (0, 10), (15, 40)])
def test_advance__database_of_another_chain_with_the_same_id__is_refused_and_kept(
    database: str, start: int, length: int
) -> None:
    open_index(database, start=start).advance(client(lively(30)))
    before = content(database)
    other = EventfulChain(fork=5)
    other.mine(blocks=length)
    index = open_index(database, start=start)
    with pytest.raises(ConflictError, match="another chain with the same chain id") as refused:
        index.advance(client(other))
    assert (refused.value.code, refused.value.exit_code) == ("index-of-another-chain", 7)
    assert content(database) == before


def test_open__other_contracts_or_statuses_than_before__is_refused_until_it_is_scanned_again(database: str) -> None:
    chain = lively(30)
    open_index(database).advance(client(chain))
    others: list[dict[str, Any]] = [
        {"watched": WATCHED[:2]},
        {"watched": (*WATCHED, watch("token", "0x" + "71" * 20))},
        {"statuses": Statuses(STATUSES.names, STATUSES.settled, frozenset({"failed"}))},
        {"start": 3},
    ]
    plain: dict[str, Any] = {"name": "main", "chain_id": 138, "watched": WATCHED}
    for other in others:
        with pytest.raises(ConflictError, match="made for other contracts") as refused:
            EventIndex.open(database, **{**plain, **other})
        assert refused.value.code == "index-of-other-events"
    EventIndex.open(database, **{**plain, "watched": tuple(reversed(WATCHED))}).close()
    again = EventIndex.open(database, **{**plain, "watched": WATCHED[1:2]}, rescan=True)
    assert again.cursor() is None
    again.advance(client(chain))
    assert {row[7] for row in content(database)["attest_events"]} == {"minted", "burned"}


def test_advance__index_scanned_again_for_others_meanwhile__stops(database: str) -> None:
    chain = lively(30)
    index = open_index(database)
    index.advance(client(chain))
    EventIndex.open(database, name="main", chain_id=138, watched=WATCHED[:1], rescan=True).advance(client(chain))
    chain.mine()
    assert refusal(index, chain).code == "index-of-other-events"


def test_open__index_of_a_later_release__is_refused(database: str, tmp_path: Path) -> None:
    open_index(database).advance(client(lively(3)))
    with sqlite3.connect(tmp_path / "events.sqlite") as connection:
        connection.execute("UPDATE attest_index SET format = 'attest-event-index/9'")
    for attempt in (lambda: open_index(database), lambda: reading(database).__enter__()):
        with pytest.raises(ConflictError, match="attest-event-index/9") as refused:
            attempt()
        assert refused.value.code == "index-format"


# -- databases -------------------------------------------------------------------------------------------------------


def test_advance__database_locked_by_another__is_a_clear_error_and_nothing_is_stored(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.monitor.database._LOCK_SECONDS", 0.2)
    chain = lively(5)
    index = open_index(database)
    index.advance(client(chain))
    before = content(database)
    chain.mine(minted(1))
    holder = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        fault = refusal(index, chain)
    finally:
        holder.close()
    assert (fault.code, fault.exit_code) == ("index-locked", 2)
    assert "events.sqlite" in fault.message
    assert content(database) == before
    assert index.advance(client(chain)).added == 1


def test_advance__disk_full__is_a_clear_error_and_what_was_stored_stays_whole(database: str, tmp_path: Path) -> None:
    from sqlalchemy import event

    chain = lively(400)
    expected = clean(chain, tmp_path)
    index = open_index(database, span=20)

    @event.listens_for(index._engine, "connect")
    def little_room(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 40")

    index.close()  # the next connection has little room
    fault = refusal(index, chain)
    assert (fault.code, fault.exit_code) == ("index-full", 2)
    assert "full" in fault.message
    assert 0 < content(database)["attest_index"][0][NUMBER] < 400
    assert open_index(database).advance(client(chain)).indexed == 400
    assert content(database) == expected


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("sqlite:///nowhere/events.sqlite", "index-unusable", "there is no"),
        ("sqlite://", "unsupported-database", "does not name a database file"),
        ("mysql://root:hunter2@host/db", "unsupported-database", "is for mysql"),
        ("no url", "unsupported-database", "is not one that SQLAlchemy reads"),
    ],
)
def test_open__database_that_cannot_be__is_refused_without_its_password(
    tmp_path: Path, url: str, code: str, said: str
) -> None:
    with pytest.raises(OperatorError, match=said) as refused:
        open_index(url, base=tmp_path)
    assert refused.value.code == code
    assert "hunter2" not in str(refused.value.as_json())


def test_open__file_that_is_no_database__is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").write_bytes(b"not a database at all, only text" * 100)
    with pytest.raises(OperatorError, match=r"events\.sqlite") as refused:
        open_index("sqlite:///events.sqlite", base=tmp_path)
    assert refused.value.code == "index-unusable"


# -- nodes of several makes --------------------------------------------------------------------------------------------


def _served(chain: EventfulChain, tamper: Any) -> Node:
    node = chain.node()
    node.tamper = tamper
    return node


def test_advance__answers_end_where_the_whole_is_too_large__fewer_blocks_are_asked_for(
    database: str, tmp_path: Path
) -> None:
    """As geth does it: what is beyond the limit of the whole response is an error in its place."""
    chain = lively(300)

    def limited(answers: list[Any]) -> Reply:
        size = 0
        for number, answer in enumerate(answers):
            size += len(json.dumps(answer))
            if size > 60_000:
                error = {"code": -32003, "message": "response too large"}
                answers[number] = {"jsonrpc": "2.0", "id": answer["id"], "error": error}
        return Reply(200, json.dumps(answers).encode())

    open_index(database).advance(client(_served(chain, limited)))
    assert content(database) == clean(chain, tmp_path)


@pytest.mark.parametrize("status", [413, 504])
def test_advance__proxy_gives_up_on_large_ranges__fewer_blocks_are_asked_for(
    status: int, database: str, tmp_path: Path
) -> None:
    chain = lively(100)

    def limited(answers: list[Any]) -> Reply:
        body = json.dumps(answers).encode()
        return Reply(status, b"") if len(body) > 30_000 else Reply(200, body)

    open_index(database).advance(client(_served(chain, limited)))
    assert content(database) == clean(chain, tmp_path)


def test_advance__block_with_more_logs_than_a_node_gives__is_read_from_its_receipts(
    database: str, tmp_path: Path
) -> None:
    chain = lively(30)
    chain.mine(*[checked(False), moved(1), status(1, SETTLED)] * 20)
    chain.mine(minted(1))
    expected = clean(chain, tmp_path)
    chain.most = 15
    open_index(database).advance(client(chain))
    assert content(database) == expected


@pytest.mark.parametrize("receipts", [None, [{}], [{"blockHash": "0x12", "logs": []}], "0x"])
def test_advance__receipts_that_are_no_help__store_nothing_of_that_block(receipts: Any, database: str) -> None:
    chain = EventfulChain(most=15)
    chain.mine(*[checked(False)] * 16)
    index = open_index(database)
    with pytest.raises(ChainError):
        index.advance(client(chain.node(eth_getBlockReceipts=lambda params: receipts)))
    cursor = index.cursor()
    assert cursor is not None
    assert cursor.number < 1
