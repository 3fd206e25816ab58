"""The batch client against simulated endpoints: agreement, hostile answers, retries, search, sending."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.chain import rpc
from attest.chain.rpc import ChainClient, Request, RpcError, connect
from attest.config import Chain
from attest.errors import ChainError, OperatorError
from attest.posting import TOO_SLOW, HttpTransport, Reply, TransportFault
from tests.support.chains import Error, Line, Network, Node, fields

URL = "https://user:hunter22@one.example/v2/key-8f3a2b?token=t0psecret"
TWO = "http://two.example:8545"
THREE = "http://three.example:8545"
GAS: Request = ("eth_gasPrice", [])
CALL: Request = ("eth_call", [{"to": "0x00"}, {"blockHash": "0x11"}])


def client(*nodes: Node, read_quorum: int = 1, sleep: Any = None, lenient: bool = False) -> ChainClient:
    urls = [URL, TWO, THREE][: len(nodes)]
    return ChainClient(
        "main",
        138,
        urls,
        transport=Network(dict(zip(urls, nodes, strict=True))),
        read_quorum=read_quorum,
        sleep=sleep or (lambda seconds: None),
        lenient=lenient,
    )


def answering(value: Any) -> Node:
    return Node(handlers={"eth_call": lambda params: value, "eth_gasPrice": lambda params: value})


def failing(code: int, message: str, data: Any = None) -> Node:
    def refuse(params: list[Any]) -> Any:
        raise Error(code, message, data)

    return Node(handlers={"eth_call": refuse})


# -- batches ---------------------------------------------------------------------------------------------------------


def test_batch__many_calls__travel_in_one_request_with_the_chain_id_check():
    node = answering("0x1")
    reader = client(node)
    assert reader.batch([CALL] * 500) == ["0x1"] * 500
    assert reader.batch([GAS]) == ["0x1"]
    assert node.methods == [["eth_chainId"] + ["eth_call"] * 500, ["eth_gasPrice"]]
    assert reader.requests_sent == {"https://one.example:443": 2}


def test_batch__more_calls_than_nodes_take__are_split_and_stay_in_order():
    node = Node(handlers={"eth_call": lambda params: params[0]})
    assert client(node).batch([("eth_call", [hex(n)]) for n in range(2500)]) == [hex(n) for n in range(2500)]
    assert [len(calls) for calls in node.requests] == [1000, 1000, 501]


def test_batch__answers_out_of_order__are_matched_by_id():
    node = Node(
        handlers={"eth_call": lambda params: params[0]},
        tamper=lambda answers: Reply(200, json.dumps(answers[::-1]).encode()),
    )
    assert client(node).batch([("eth_call", ["0xa"]), ("eth_call", ["0xb"])]) == ["0xa", "0xb"]


def test_batch__one_call_reverts__the_others_keep_their_values():
    def handler(params: list[Any]) -> Any:
        if params[0] == "bad":
            raise Error(3, "execution reverted", "0x08c379a0")
        return "0x2a"

    results = client(Node(handlers={"eth_call": handler})).batch([("eth_call", ["bad"]), ("eth_call", ["good"])])
    assert results == [RpcError(3, "execution reverted", "0x08c379a0"), "0x2a"]
    assert results[0].reverted
    assert results[0].revert_data == bytes.fromhex("08c379a0")
    assert str(results[0]) == "execution reverted (code 3)"


def test_batch__nothing_asked__sends_nothing():
    node = answering("0x1")
    assert client(node).batch([]) == []
    assert node.requests == []


def test_batch__null__is_a_value_of_its_own():
    assert client(answering(None)).batch([CALL]) == [None]


@pytest.mark.parametrize(
    ("error", "reverted"),
    [
        (RpcError(3, "x"), True),
        (RpcError(-32000, "Execution reverted"), True),
        (RpcError(-32015, "VM execution error", {"data": "0x1234"}), True),
        (RpcError(-32000, "missing trie node", {"data": "no hex"}), False),
        (RpcError(-32601, "method not found", "0x"), False),
    ],
)
def test_rpc_error__reverted__only_when_the_contract_refused(error, reverted):
    assert error.reverted is reverted


# -- hostile answers -------------------------------------------------------------------------------------------------


def tampered(change: Any) -> Node:
    return Node(handlers={"eth_call": lambda params: "0x1"}, tamper=change)


def encoded(answers: Any) -> Reply:
    return Reply(200, json.dumps(answers).encode())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda answers: encoded(answers[:-1]), "1 of 2 answers are missing"),
        (lambda answers: encoded([answers[0], answers[0]]), "is answered twice"),
        (lambda answers: encoded([answers[0], {**answers[1], "id": 999}]), "the id 999 was not asked for"),
        (lambda answers: encoded([answers[0], {**answers[1], "id": str(answers[1]["id"])}]), "was not asked for"),
        (lambda answers: encoded([answers[0], {**answers[1], "id": True}]), "the id True was not asked for"),
        (lambda answers: encoded([answers[0], "nonsense"]), "the id None was not asked for"),
        (lambda answers: encoded([*answers, *answers]), "is answered twice"),
        (lambda answers: encoded([answers[0], {"id": answers[1]["id"]}]), "neither a result nor an error"),
        (
            lambda answers: encoded([answers[0], {**answers[1], "error": {"code": 1, "message": ""}}]),
            "neither a result nor an error",
        ),
        (
            lambda answers: encoded([answers[0], {"id": answers[1]["id"], "error": "no"}]),
            "an error has no code",
        ),
        (lambda answers: encoded({"id": None, "error": {"code": -32600, "message": "no batches"}}), "no batches"),
        (lambda answers: encoded({"result": "0x1"}), "the answer is not a list"),
        (lambda answers: Reply(200, b"<html>Sign in</html>"), "is not JSON"),
        (lambda answers: Reply(200, json.dumps(answers).encode()[:-9]), "is not JSON"),
        (lambda answers: Reply(200, b"[" * 100_000), "nested too deeply"),
        (lambda answers: Reply(200, b"[1.5]"), "is not an integer"),
        (lambda answers: Reply(200, b"\xff\xfe"), "is not UTF-8"),
        (lambda answers: Reply(200, b""), "is not JSON"),
        (lambda answers: Reply(302, b""), "HTTP 302"),
        (lambda answers: Reply(401, b""), "HTTP 401"),
    ],
)
def test_batch__hostile_answer__is_refused_naming_the_endpoint_and_not_retried(change, complaint):
    node = tampered(change)
    with pytest.raises(ChainError) as caught:
        client(node).batch([CALL])
    assert caught.value.code == "endpoints-down"
    assert complaint in caught.value.message
    assert "https://one.example:443" in caught.value.message
    assert len(node.requests) == 1


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda plain: json.dumps(plain).encode())
)
def test_batch__any_bytes__are_refused_or_understood_but_never_crash(body):
    with pytest.raises(ChainError):
        client(tampered(lambda answers: Reply(200, body))).batch([CALL])


def test_batch__credentials_in_the_url__never_show():
    def echo(params: list[Any]) -> Any:
        raise Error(-32000, f"quota of {URL} exceeded: key-8f3a2b, t0psecret, hunter22")

    reader = client(Node(handlers={"eth_call": echo}))
    (result,) = reader.batch([CALL])
    down = client(tampered(lambda answers: encoded({"error": {"code": -1, "message": f"bad key-8f3a2b in {URL}"}})))
    with pytest.raises(ChainError) as caught:
        down.batch([CALL])
    shown = f"{result} {reader.endpoints} {reader.requests_sent} {caught.value.as_json()} {down.failures}"
    for secret in ("hunter22", "key-8f3a2b", "t0psecret"):
        assert secret not in shown


# -- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [TransportFault("ConnectError", again=True), *(Reply(status, b"") for status in (429, 502, 503, 504))]
)
def test_batch__passing_trouble__is_tried_four_times_with_growing_pauses(fault):
    pauses: list[float] = []
    node = answering("0x1")
    node.faults = [fault] * 3
    assert client(node, sleep=pauses.append).batch([GAS]) == ["0x1"]
    assert len(node.requests) == 4
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_batch__trouble_that_does_not_pass__is_reported_after_four_attempts():
    node = answering("0x1")
    node.faults = [Reply(503, b"")] * 9
    with pytest.raises(ChainError, match=r"0 of 1 endpoints answered.*HTTP 503 \(after 4 attempts\)"):
        client(node).batch([GAS])
    assert len(node.requests) == 4


@pytest.mark.parametrize("fault", [TransportFault("too large", again=False), Reply(500, b""), Reply(403, b"")])
def test_batch__trouble_that_stays__is_not_tried_again(fault):
    node = answering("0x1")
    node.faults = [fault]
    with pytest.raises(ChainError):
        client(node).batch([GAS])
    assert len(node.requests) == 1


# -- several endpoints -----------------------------------------------------------------------------------------------


def test_batch__endpoint_down_but_quorum_holds__answers_and_stops_retrying_it():
    down = answering("0x1")
    down.faults = [TransportFault("refused", again=True)] * 99
    reader = client(answering("0x1"), down, answering("0x1"), read_quorum=2)
    assert reader.batch([GAS]) == ["0x1"]
    assert reader.failures == {"http://two.example:8545": "refused (after 4 attempts)"}
    assert reader.batch([GAS]) == ["0x1"]
    assert reader.requests_sent["http://two.example:8545"] == 5
    down.faults = []
    assert reader.batch([GAS]) == ["0x1"]
    assert reader.failures == {}


SILENT = TransportFault(f"{TOO_SLOW} 20 s", again=True)


def test_batch__silent_endpoint_and_lenient__is_waited_for_once_until_identities_are_forgotten():
    silent = answering("0x1")
    silent.faults = [SILENT] * 2
    reader = client(answering("0x1"), silent, lenient=True)
    for _ in range(3):
        assert reader.batch([GAS]) == ["0x1"]
        assert len(silent.requests) == 1
    assert reader.failures == {"http://two.example:8545": "no complete answer within 20 s"}
    assert reader.each([GAS])[1].failure == "no complete answer within 20 s"
    reader.forget_identities()
    assert [reader.batch([GAS]) for _ in range(3)] == [["0x1"]] * 3
    assert len(silent.requests) == 2
    reader.forget_identities()
    assert [reader.batch([GAS]) for _ in range(3)] == [["0x1"]] * 3
    assert len(silent.requests) == 5
    assert reader.failures == {}


def test_batch__refused_connection_and_lenient__is_tried_again_at_once():
    node = answering("0x1")
    node.faults = [TransportFault("ConnectError", again=True)] * 3
    reader = client(answering("0x1"), node, lenient=True)
    assert reader.batch([GAS]) == ["0x1"]
    assert (len(node.requests), reader.failures) == (4, {})


def test_batch__silent_endpoint_and_not_lenient__is_asked_every_time():
    silent = answering("0x1")
    silent.faults = [SILENT] * 9
    reader = client(answering("0x1"), silent)
    assert [reader.batch([GAS]) for _ in range(2)] == [["0x1"]] * 2
    assert len(silent.requests) == 4 + 1


def test_batch__failed_endpoint_whose_answer_the_quorum_needs_and_lenient__is_asked_again():
    nodes = [answering("0x1") for _ in range(3)]
    reader = client(*nodes, read_quorum=2, lenient=True)
    nodes[2].faults = [SILENT]
    assert reader.batch([GAS]) == ["0x1"]
    nodes[1].faults = [SILENT]
    with pytest.raises(ChainError, match="1 of 3 endpoints answered, 2 must"):
        reader.batch([GAS])
    assert reader.batch([GAS]) == ["0x1"]
    assert [len(node.requests) for node in nodes] == [3, 3, 2]


def test_batch__silent_endpoint_that_the_quorum_needs_and_lenient__is_tried_four_times():
    silent = answering("0x1")
    silent.faults = [SILENT] * 3
    assert client(answering("0x1"), silent, read_quorum=2, lenient=True).batch([GAS]) == ["0x1"]
    assert len(silent.requests) == 4


def test_batch__fewer_living_endpoints_than_the_quorum__refuses_naming_the_dead():
    down = answering("0x1")
    down.faults = [Reply(503, b"")] * 99
    with pytest.raises(ChainError, match=r"1 of 2 endpoints answered, 2 must \(http://two.example:8545: HTTP 503"):
        client(answering("0x1"), down, read_quorum=2).batch([GAS])


def test_batch__lying_endpoint__is_named_with_both_values():
    with pytest.raises(ChainError) as caught:
        client(answering("0x1"), answering("0x2"), read_quorum=2).batch([CALL])
    assert caught.value.code == "endpoints-disagree"
    assert "https://one.example:443: 0x1" in caught.value.message
    assert "http://two.example:8545: 0x2" in caught.value.message


def test_batch__lying_minority__is_outvoted_and_logged(caplog):
    reader = client(answering("0x1"), answering("0x2"), answering("0x1"), read_quorum=2)
    assert reader.batch([CALL]) == ["0x1"]
    assert "http://two.example:8545: 0x2" in caplog.text


def test_batch__disagreement_under_a_quorum_of_one__still_refuses():
    with pytest.raises(ChainError, match="disagree on eth_call"):
        client(answering("0x1"), answering("0x2"), read_quorum=1).batch([CALL])


def test_batch__value_against_revert__is_a_disagreement():
    with pytest.raises(ChainError, match="disagree on eth_call"):
        client(answering("0x1"), failing(3, "execution reverted"), read_quorum=2).batch([CALL])


def test_batch__same_revert_in_other_words__agrees():
    nodes = [failing(3, "execution reverted: x", "0x1234"), failing(-32000, "Execution reverted", "0x1234")]
    (result,) = client(*nodes, read_quorum=2).batch([CALL])
    assert result.revert_data == b"\x12\x34"


def test_batch__endpoint_that_lags_behind__abstains():
    for absent in (answering(None), failing(-32000, "header not found")):
        assert client(answering("0x1"), absent, answering("0x1"), read_quorum=2).batch([CALL]) == ["0x1"]
        with pytest.raises(ChainError, match=r"eth_call was answered by 1 endpoints, 2 must agree \(http://two"):
            client(answering("0x1"), absent, read_quorum=2).batch([CALL])


def test_batch__nobody_has_it__is_null_or_their_error():
    assert client(answering(None), answering(None), read_quorum=2).batch([CALL]) == [None]
    gone = client(failing(-32000, "pruned"), answering(None), read_quorum=2).batch([CALL])
    assert gone == [RpcError(-32000, "pruned")]


def test_batch__same_value_written_otherwise__agrees():
    upper, lower = answering({"b": ["0xAB"], "a": 1}), answering({"a": 1, "b": ["0xab"]})
    assert client(upper, lower, read_quorum=2).batch([CALL]) == [{"b": ["0xAB"], "a": 1}]


@pytest.mark.parametrize(
    ("method", "one", "other"),
    [
        ("eth_getBlockByNumber", {"hash": "0xAA", "number": "0x1"}, {"hash": "0xaa", "number": "0x1", "size": "0x9"}),
        ("eth_getTransactionReceipt", {"blockHash": "0x1"}, {"blockHash": "0x1", "revertReason": None}),
        (
            "eth_getProof",
            {"accountProof": ["0xaa"], "storageProof": [{"key": "0x2", "value": "0x0", "proof": ["0xbb"]}]},
            {"accountProof": ["0xaa"], "storageProof": [{"key": "0x02", "value": "0x", "proof": ["0xbb"]}]},
        ),
        ("eth_getLogs", [{"data": "0xAB"}], [{"data": "0xab", "blockTimestamp": "0x5", "removed": False}]),
        (
            "eth_getBlockReceipts",
            [{"status": "0x1", "logs": [{"data": "0xab"}], "effectiveGasPrice": "0x0"}],
            [{"status": "0x1", "logs": [{"data": "0xab", "blockTimestamp": "0x5"}], "revertReason": None}],
        ),
    ],
)
def test_batch__nodes_of_other_make_add_fields__agrees_on_what_is_used(method, one, other):
    nodes = [Node(handlers={method: lambda params, plain=plain: plain}) for plain in (one, other)]
    assert client(*nodes, read_quorum=2).batch([(method, [])]) == [one]


def test_batch__headers_under_one_hash__are_told_apart_by_the_field_that_differs():
    header = fields(1, 5, "0" * 64)
    shown = [header, {**header, "gasUsed": "0x7"}]
    nodes = [Node(handlers={"eth_getBlockByHash": lambda params, p=plain: p}) for plain in shown]
    with pytest.raises(ChainError, match=r"disagree on eth_getBlockByHash: .* with gasUsed 0x.* with gasUsed 0x7"):
        client(*nodes, read_quorum=2).batch([("eth_getBlockByHash", [])])


@pytest.mark.parametrize(("one", "other"), [([], {}), ([["a", 1]], {"a": 1})])
def test_batch__object_for_a_list__is_another_answer(one, other):
    with pytest.raises(ChainError, match="disagree"):
        client(answering(one), answering(other), read_quorum=2).batch([CALL])


@pytest.mark.parametrize("name", ["topics", "data", "logIndex"])
def test_batch__logs_that_differ_in_what_is_used__disagree(name):
    log = {"topics": ["0x01"], "data": "0x", "logIndex": "0x0"}
    nodes = [Node(handlers={"eth_getLogs": lambda params, p=plain: [p]}) for plain in (log, {**log, name: "0x99"})]
    with pytest.raises(ChainError, match="disagree on eth_getLogs"):
        client(*nodes, read_quorum=2).batch([("eth_getLogs", [])])


def test_batch__headers_of_two_forks__disagree():
    nodes = [
        Node(handlers={"eth_getBlockByHash": lambda params, f=fork: fields(1, 5, f)}) for fork in ("0" * 64, "1" * 64)
    ]
    with pytest.raises(ChainError, match=r"disagree on eth_getBlockByHash: .*0x"):
        client(*nodes, read_quorum=2).batch([("eth_getBlockByHash", [])])


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ([{"value": "0x1"}], [{"value": "0x2"}], False),
        ([{"value": "0x1"}], [{"value": "0x001"}], True),
        (["nonsense"], ["other"], False),
        (None, [], False),
    ],
)
def test_batch__storage_proofs__are_compared_whatever_they_are(one, other, agree):
    nodes = [Node(handlers={"eth_getProof": lambda params, p=plain: {"storageProof": p}}) for plain in (one, other)]
    reader = client(*nodes, read_quorum=2)
    if agree:
        assert reader.batch([("eth_getProof", [])]) == [{"storageProof": one}]
        return
    with pytest.raises(ChainError, match=r"disagree on eth_getProof: .*an object"):
        reader.batch([("eth_getProof", [])])


def test_each__prices_differ__gives_everyones_own():
    answers = client(answering("0x1"), answering("0x2"), read_quorum=2).each([GAS])
    assert [(answer.endpoint, answer.results) for answer in answers] == [
        ("https://one.example:443", ("0x1",)),
        ("http://two.example:8545", ("0x2",)),
    ]


def test_batch__long_value__is_cut_in_the_message():
    with pytest.raises(ChainError) as caught:
        client(answering("0x" + "1" * 5000), answering("0x2"), read_quorum=2).batch([CALL])
    assert len(caught.value.message) < 600


# -- identity --------------------------------------------------------------------------------------------------------


def test_identify__wrong_chain__names_endpoint_and_both_ids():
    other = answering("0x1")
    other.chain_id = 1
    with pytest.raises(ChainError, match=r"http://two.example:8545 serves chain id 1, not 138") as caught:
        client(answering("0x1"), other).identify()
    assert caught.value.code == "wrong-chain-id"


def test_batch__wrong_chain_and_lenient__takes_the_endpoint_for_one_that_is_down():
    other = answering("0x1")
    other.chain_id = 1
    reader = client(answering("0x2"), other, lenient=True)
    assert reader.batch([CALL]) == ["0x2"]
    assert reader.failures == {"http://two.example:8545": "serves chain id 1, not 138"}
    with pytest.raises(ChainError, match="serves chain id 1, not 138") as caught:
        client(other, lenient=True).batch([CALL])
    assert caught.value.code == "endpoints-down"


def test_forget_identities__node_exchanged_behind_the_url__is_noticed():
    node = answering("0x1")
    reader = client(node)
    reader.batch([CALL])
    node.chain_id = 1
    assert reader.batch([CALL]) == ["0x1"]
    reader.forget_identities()
    with pytest.raises(ChainError, match="serves chain id 1, not 138"):
        reader.batch([CALL])


def test_identify__done_once__asks_no_more():
    node = answering("0x1")
    reader = client(node)
    reader.identify()
    reader.identify()
    assert [len(calls) for calls in node.requests] == [1]


def test_batch__wrong_chain__no_answer_of_it_is_used():
    node = answering("0x1")
    node.chain_id = 2
    with pytest.raises(ChainError, match="serves chain id 2"):
        client(node).batch([CALL])


def test_batch__chain_id_is_nonsense__the_endpoint_is_void():
    node = tampered(lambda answers: encoded([{**answers[0], "result": "mainnet"}, *answers[1:]]))
    with pytest.raises(ChainError, match="eth_chainId answered 'mainnet'"):
        client(node).batch([CALL])


@pytest.mark.parametrize("url", ["ftp://x", "http://", "https://[::1", "http://x:99999", "node.example"])
def test_client__endpoint_is_no_url__is_refused_without_showing_it(url):
    with pytest.raises(OperatorError, match="an endpoint is not an http or https URL"):
        ChainClient("main", 1, [url], transport=Network({}))


def test_client__same_endpoint_twice__is_refused_because_it_would_agree_with_itself():
    with pytest.raises(OperatorError, match="configured twice"):
        ChainClient("main", 1, [TWO, TWO], transport=Network({}))


def test_client__two_keys_at_one_host__are_told_apart():
    urls = ["https://[::1]/key-one", "https://[::1]/key-two", "https://[::1]/key-three"]
    reader = ChainClient("main", 1, urls, transport=Network({}))
    assert reader.endpoints == ("https://[::1]:443", "https://[::1]:443 (2)", "https://[::1]:443 (3)")


def test_connect__secret_references__are_resolved_when_used(tmp_path: Path):
    (tmp_path / "url").write_text("https://node.example/abcdef123\n")
    chain = Chain(chain_id=138, endpoints=("env:RPC_URL", "file:url", "http://plain.example"), read_quorum=2)
    reader = connect(chain, name="main", base=tmp_path, environment={"RPC_URL": "http://u:p@env.example:1"})
    assert reader.endpoints == ("http://env.example:1", "https://node.example:443", "http://plain.example:80")
    assert (reader.name, reader.chain_id, reader.read_quorum) == ("main", 138, 2)


def test_connect__secret_missing__names_the_reference(tmp_path: Path):
    chain = Chain(chain_id=138, endpoints=("env:RPC_URL",))
    with pytest.raises(OperatorError, match="RPC_URL is not set"):
        connect(chain, name="main", base=tmp_path, environment={})


# -- heads -----------------------------------------------------------------------------------------------------------


def test_head__one_endpoint__takes_one_request():
    line = Line(100)
    node = line.node()
    assert client(node).head() == line.block(99)
    assert len(node.requests) == 1


def test_head__endpoints_at_different_heights__takes_the_newest_that_the_quorum_has_reached():
    lines = [Line(100), Line(98), Line(97)]
    nodes = [line.node() for line in lines]
    assert client(*nodes, read_quorum=2).head() == lines[0].block(97)
    assert client(*[line.node() for line in lines], read_quorum=3).head() == lines[0].block(96)
    assert client(*[line.node() for line in lines], read_quorum=1).head() == lines[0].block(99)


@pytest.mark.parametrize("answer", [{}, {"number": "zz"}, {"number": None}, {"number": "0x" + "f" * 64}])
def test_head__one_of_three_answers_nonsense__is_that_of_the_others(answer):
    liar = Node(handlers={"eth_getBlockByNumber": lambda params: answer})
    assert client(liar, Line(100).node(), Line(100).node(), read_quorum=2).head() == Line(100).block(99)


def test_head__endpoints_on_two_forks__refuses():
    with pytest.raises(ChainError, match="disagree on eth_getBlockByNumber"):
        client(Line(9).node(), Line(9, fork="other").node(), read_quorum=2).head()


@pytest.mark.parametrize(
    ("finality", "number"), [("instant", 99), ("tag", 60), ("depth:10", 89), ("depth:99", 0), ("depth:500", 0)]
)
def test_finalized_head__by_the_chains_rule(finality, number):
    line = Line(100)
    line.finalized = 60
    assert client(line.node()).finalized_head(finality) == line.block(number)


def test_finalized_head__depth_over_a_fork_at_the_head__needs_agreement_only_below():
    class Forked(Line):
        def hash(self, number: int) -> str:
            return super().hash(number) if number < 95 else "ab" * 32

    assert client(Line(100).node(), Forked(100).node(), read_quorum=2).finalized_head("depth:10").number == 89


def test_finalized_head__besu_has_no_tag__advises_instant():
    def refuse(params: list[Any]) -> Any:
        raise Error(-32601, "finalized block not available")

    with pytest.raises(ChainError, match="finalized block not available") as caught:
        client(Node(handlers={"eth_getBlockByNumber": refuse})).finalized_head("tag")
    assert caught.value.code == "block-unavailable"
    assert 'finality = "instant"' in caught.value.advice


def test_finalized_head_and__hints__travel_in_the_same_request():
    line = Line(10)
    node = line.node(eth_gasPrice=lambda params: "0x7")
    assert client(node).finalized_head_and("instant", [GAS]) == (line.block(9), ["0x7"])
    assert len(node.requests) == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"number": "99"}, "is not a hex quantity"),
        ({"number": None}, "is not a hex quantity"),
        ({"hash": "0x12"}, "is not 32 bytes of hex data"),
        ({"timestamp": "0x" + "f" * 65}, "is not a hex quantity"),
        ({"timestamp": hex(2**63)}, "more than there can be"),
        ({"parentHash": 7}, "is not 32 bytes of hex data"),
    ],
)
def test_head__header_with_a_broken_field__is_refused(change, complaint):
    plain = {**fields(99, 5, "0" * 64), **change}
    with pytest.raises(ChainError, match=complaint) as caught:
        client(Node(handlers={"eth_getBlockByNumber": lambda params: plain})).head()
    assert caught.value.code == "malformed-answer"


# -- the block at a time ---------------------------------------------------------------------------------------------


def test_block_at__a_million_headers__takes_four_requests():
    line = Line(1_000_000)
    for number in (0, 1, 4_975, 500_000, 777_777, 999_998):
        node = line.node()
        assert client(node).block_at(line.timestamp(number) + 4) == line.block(number)
        assert len(node.requests) <= 4
        assert max(len(calls) for calls in node.requests) <= rpc.SEARCH_WIDTH + 1


def test_block_at__million_headers_and_endpoints_of_different_heights__takes_four_requests_each():
    lines = [Line(1_000_000), Line(999_990), Line(999_980)]
    nodes = [line.node() for line in lines]
    reader = client(*nodes, read_quorum=2)
    assert reader.block_at(lines[0].timestamp(123_456)) == lines[0].block(123_456)
    assert set(reader.requests_sent.values()) == {4}


@settings(max_examples=60)
@given(
    spacings=st.lists(st.integers(0, 40), min_size=1, max_size=700),
    wanted=st.integers(0, 30_000),
    finality=st.sampled_from(["instant", "tag", "depth:1", "depth:7"]),
)
def test_block_at__any_chain__agrees_with_a_plain_scan(spacings, wanted, finality):
    times = [1000]
    for spacing in spacings:
        times.append(times[-1] + spacing)

    class Uneven(Line):
        def timestamp(self, number: int) -> int:
            return times[number]

    line = Uneven(len(times))
    line.finalized = max(0, len(times) - 5)
    last = line.finalized if finality == "tag" else line.length - 1
    if finality.startswith("depth:"):
        last = max(0, last - int(finality[-1]))
    at_or_before = [number for number in range(last + 1) if times[number] <= wanted]
    reader = client(line.node())
    if times[last] <= wanted:
        with pytest.raises(ChainError) as caught:
            reader.block_at(wanted, finality)
        assert caught.value.code == "cutoff-not-reached"
    elif not at_or_before:
        with pytest.raises(ChainError) as caught:
            reader.block_at(wanted, finality)
        assert caught.value.code == "chain-too-young"
    else:
        assert reader.block_at(wanted, finality) == line.block(at_or_before[-1])


def test_block_at__head_is_exactly_the_cutoff__waits_for_the_next_block():
    line = Line(10)
    with pytest.raises(ChainError, match=r"has not passed 1970-01-12T13:47:25Z for good \(block 9"):
        client(line.node()).block_at(line.timestamp(9))


def test_block_at__successor_not_final__waits():
    line = Line(100)
    reader = client(line.node())
    assert reader.block_at(line.timestamp(88), "depth:10") == line.block(88)
    with pytest.raises(ChainError, match="for good"):
        reader.block_at(line.timestamp(89), "depth:10")


def test_block_at__chain_younger_than_the_cutoff__says_so():
    with pytest.raises(ChainError, match=r"its first block \(1970-01-12T13:46:40Z\) is later"):
        client(Line(10).node()).block_at(999_999)


def test_block_at__pruned_header__advises_what_to_do():
    line = Line(1000)
    node = line.node(eth_getBlockByNumber=lambda params: None if params[0] == "0x0" else line.by_number(params))
    with pytest.raises(ChainError, match="no endpoint gives block 0") as caught:
        client(node).block_at(line.timestamp(500))
    assert caught.value.code == "block-unavailable"
    assert 'supply_at = "run"' in caught.value.advice
    assert "attest open" in caught.value.advice


def test_block_at__times_run_backwards__is_refused():
    class Backwards(Line):
        def timestamp(self, number: int) -> int:
            return 5 if number == 500 else super().timestamp(number)

    with pytest.raises(ChainError, match="times run backwards"):
        client(Backwards(1000).node()).block_at(1_000_000 + 2500)


def test_block_at__neighbours_of_two_forks__is_refused():
    class Torn(Line):
        def header(self, number: int) -> Any:
            plain = super().header(number)
            return {**plain, "parentHash": "0x" + "00" * 32} if plain and number == 6 else plain

    line = Torn(10)
    with pytest.raises(ChainError, match="gave block 6 of another fork"):
        client(line.node()).block_at(line.timestamp(5))


def test_block_at__another_number_than_asked__is_refused():
    line = Line(1000)
    node = line.node(
        eth_getBlockByNumber=lambda params: line.header(7) if params[0].startswith("0x") else line.by_number(params)
    )
    with pytest.raises(ChainError, match="answered block 7 when asked for 0x0"):
        client(node).block_at(line.timestamp(5))


def test_block_at__time_out_of_all_calendars__is_still_named():
    line = Line(10)
    with pytest.raises(ChainError, match="second 99999999999999"):
        client(line.node()).block_at(99999999999999)


# -- sending ---------------------------------------------------------------------------------------------------------

RAW = [b"\x02first", b"\x02second"]
HASHES = [keccak(raw).hex() for raw in RAW]


def accepting() -> Node:
    return Node(
        handlers={"eth_sendRawTransaction": lambda params: "0x" + keccak(bytes.fromhex(params[0][2:])).hex()},
    )


def sent(node: Node) -> list[str]:
    return [
        call["params"][0] for calls in node.requests for call in calls if call["method"] == "eth_sendRawTransaction"
    ]


def test_send_raw__all_transactions__in_one_request_to_every_endpoint():
    nodes = [accepting(), accepting()]
    outcomes = client(*nodes, read_quorum=2).send_raw(RAW)
    assert [[(outcome.kind, outcome.hash) for outcome in row] for row in outcomes] == [
        [("accepted", HASHES[0])] * 2,
        [("accepted", HASHES[1])] * 2,
    ]
    assert [outcome.endpoint for outcome in outcomes[0]] == ["https://one.example:443", "http://two.example:8545"]
    for node in nodes:
        assert node.methods == [["eth_chainId"], ["eth_sendRawTransaction"] * 2]
        assert sent(node) == ["0x" + raw.hex() for raw in RAW]


def test_send_raw__wrong_chain__sends_nothing_anywhere():
    right, wrong = accepting(), accepting()
    wrong.chain_id = 1
    with pytest.raises(ChainError, match="serves chain id 1"):
        client(right, wrong).send_raw(RAW)
    assert sent(right) == sent(wrong) == []


def test_send_raw__already_known__is_a_rejection_with_its_code():
    def known(params: list[Any]) -> Any:
        raise Error(-32000, "already known")

    (row,) = client(Node(handlers={"eth_sendRawTransaction": known})).send_raw(RAW[:1])
    assert [(outcome.kind, outcome.code, outcome.detail) for outcome in row] == [("rejected", -32000, "already known")]


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (TransportFault("no complete answer within 20 s", again=True), "no complete answer within 20 s"),
        (Reply(503, b""), "HTTP 503"),
        (Reply(200, b"<html>"), "is not JSON"),
    ],
)
def test_send_raw__no_usable_answer__is_unknown_and_never_sent_again(fault, detail):
    node = accepting()
    reader = client(node)
    reader.identify()
    node.faults = [fault]
    (row,) = reader.send_raw(RAW[:1])
    assert row[0].kind == "unknown"
    assert detail in row[0].detail
    assert len(node.requests) == 2


def test_send_raw__one_endpoint_down__the_other_has_it():
    down = accepting()
    down.faults = [TransportFault("refused", again=True)] * 9
    (row,) = client(accepting(), down).send_raw(RAW[:1])
    assert [outcome.kind for outcome in row] == ["accepted", "unknown"]


def test_send_raw__another_hash_than_the_transactions__is_unknown():
    node = Node(handlers={"eth_sendRawTransaction": lambda params: "0x" + "00" * 32})
    (row,) = client(node).send_raw(RAW[:1])
    assert row[0].kind == "unknown"
    assert "instead of the hash" in row[0].detail


def test_send_raw__nothing__sends_nothing():
    node = accepting()
    assert client(node).send_raw([]) == []
    assert node.requests == []


# -- HTTP ------------------------------------------------------------------------------------------------------------


def http(handler: Any, timeout: float = 5.0, **options: int) -> HttpTransport:
    return HttpTransport(timeout, transport=httpx2.MockTransport(handler), **options)


class Body(httpx2.SyncByteStream):
    def __init__(self, chunks: Iterator[bytes] | Sequence[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def test_http__post__sends_json_as_it_is_and_returns_status_and_body():
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(207, stream=Body([b"ans", b"wer"]))

    assert http(handler).post("http://node.example/", b"[1]") == Reply(207, b"answer")
    assert seen[0].content == b"[1]"
    assert seen[0].headers["Content-Type"] == "application/json"
    assert seen[0].headers["Accept-Encoding"] == "identity"


def test_http__redirect__is_not_followed():
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(307, headers={"Location": "http://elsewhere.example/"}, stream=Body([]))

    assert http(handler).post("http://node.example/", b"").status == 307


def test_http__endless_body__is_cut_off():
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(TransportFault, match="larger than 10000 bytes") as caught:
        http(lambda request: httpx2.Response(200, stream=Body(endless())), max_body_bytes=10_000).post(
            "http://node.example/", b""
        )
    assert not caught.value.again


def test_http__server_that_drips__is_abandoned_at_the_deadline():
    released, ended = threading.Event(), threading.Event()

    def drip() -> Iterator[bytes]:
        yield b"["
        released.wait(10)
        yield b" "
        ended.set()
        yield b" "

    transport = http(lambda request: httpx2.Response(200, stream=Body(drip())), timeout=0.05)
    with pytest.raises(TransportFault, match=r"no complete answer within 0.05 s") as caught:
        transport.post("http://node.example/", b"")
    assert caught.value.again
    released.set()
    assert not ended.wait(0.3), "the abandoned request reads on"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (httpx2.ConnectError("connection refused"), True),
        (httpx2.ReadTimeout("read"), True),
        (httpx2.ConnectTimeout("connect"), True),
        (httpx2.ReadError("http://user:secret@node"), False),
        (httpx2.RemoteProtocolError("http://user:secret@node"), False),
        (httpx2.UnsupportedProtocol("http://user:secret@node"), False),
    ],
)
def test_http__exchange_fails__says_whether_it_may_be_tried_again_and_hides_the_url(error, again):
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(TransportFault) as caught:
        http(handler).post("http://node.example/", b"")
    assert caught.value.again is again
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("error", [httpx2.ReadTimeout("read"), httpx2.ConnectTimeout("connect")])
def test_http__time_is_over_in_the_library_first__is_told_as_at_the_deadline(error):
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(TransportFault, match=r"no complete answer within 5 s"):
        http(handler).post("http://node.example/", b"")


def test_http__through_the_client__reads_a_chain():
    line = Line(5)
    node = line.node()

    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Body([node.post(str(request.url), request.content).body]))

    reader = ChainClient("main", 138, [TWO], transport=http(handler))
    assert reader.head() == line.block(4)
    assert reader.head() == line.block(4)


def test_pinned_requests__name_the_block_by_hash():
    block = Line(5).block(3)
    pin = {"blockHash": f"0x{block.hash}"}
    address, slot = "0x" + "11" * 20, "00" * 31 + "02"
    assert rpc.call_request(address, b"\x01", block) == ("eth_call", [{"to": address, "data": "0x01"}, pin])
    assert rpc.code_request(address, block) == ("eth_getCode", [address, pin])
    assert rpc.balance_request(address, block) == ("eth_getBalance", [address, pin])
    assert rpc.nonce_request(address, block) == ("eth_getTransactionCount", [address, pin])
    assert rpc.proof_request(address, [slot], block) == ("eth_getProof", [address, [f"0x{slot}"], pin])
    assert rpc.header_request(block) == ("eth_getBlockByHash", [f"0x{block.hash}", False])


# -- batches that a node does not take ---------------------------------------------------------------------------------


def _erigon(answers: list[Any]) -> Reply:
    return Reply(200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"batch limit 100 exceeded"}}')


def _geth(answers: list[Any]) -> Reply:
    error = {"code": -32600, "message": "batch too large"}
    return Reply(200, json.dumps([{"jsonrpc": "2.0", "id": answers[0]["id"], "error": error}]).encode())


@pytest.mark.parametrize("refuse", [_erigon, _geth, lambda answers: Reply(413, b""), lambda answers: Reply(400, b"{}")])
def test_batch__node_that_takes_fewer_calls__is_asked_for_fewer_from_then_on(refuse):
    def limited(answers: list[Any]) -> Reply:
        return refuse(answers) if len(answers) > 100 else Reply(200, json.dumps(answers).encode())

    node = Node(handlers={"eth_call": lambda params: hex(params[0])}, tamper=limited)
    reader = client(node)
    calls = [("eth_call", [number]) for number in range(333)]
    assert reader.batch(calls) == [hex(number) for number in range(333)]
    sent = len(node.requests)
    assert reader.batch(calls) == [hex(number) for number in range(333)]
    assert len(node.requests) - sent <= 6, "it does not try the larger ones again"


def test_batch__node_that_refuses_every_batch__is_down_after_a_few():
    node = Node(handlers={"eth_call": lambda params: "0x"}, tamper=_erigon)
    with pytest.raises(ChainError, match="batch limit 100 exceeded"):
        client(node).batch([CALL] * 1000)
    assert len(node.requests) < 10


def test_send_raw__batch_refused__is_never_sent_again():
    node = Node(tamper=lambda answers: Reply(200, json.dumps(answers).encode()))
    reader = client(node)
    reader.identify()
    node.tamper = _erigon
    outcomes = reader.send_raw([bytes([number]) for number in range(30)])
    assert {each.kind for (each,) in outcomes} == {"unknown"}
    assert len(node.requests) == 2
