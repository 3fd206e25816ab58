"""Asking the auditor's own node: agreement, contradiction, and states that it has forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_hash.auto import keccak

from attest.verify import chain_rpc
from attest.verify.case import EndpointError
from attest.verify.report import Report, exit_code
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge, OwnNode, detail, failed, judged


@pytest.fixture
def node() -> OwnNode:
    return OwnNode(bundles.standard_files())


def asked(*nodes: OwnNode, trust: Trust | None = None, files: Any = None) -> Report:
    return judged(files or bundles.standard_files(), trust, rpcs=nodes)


def said(report: Report) -> str:
    return detail(report, "chain-rpc")


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        (chain_rpc.TOTAL_SUPPLY, b"totalSupply()"),
        (chain_rpc.GET_VERIFIED_RESERVE, b"getVerifiedReserve(address)"),
        (chain_rpc.IS_QUORUM_MET, b"isQuorumMet(address)"),
        (chain_rpc.ATTESTATION_OF, b"attestationOf(address,bytes32,uint256)"),
    ],
)
def test_selector__is_the_hash_of_its_signature(selector: str, signature: bytes) -> None:
    assert selector == keccak(signature)[:4].hex()


def test_chain_rpc__node_agrees__passes_and_names_what_it_confirmed(node: OwnNode) -> None:
    report = asked(node)

    assert report.outcome("chain-rpc") == "pass"
    for part in (
        "supply block 100",
        "confirm block 110",
        "supply of USDW at block 100",
        "consensus of EURW at block 110",
        "quorum of USDW at block 110",
        "anchor block 120",
        "the registry's entry",
    ):
        assert part in said(report)
    assert exit_code(report) == 0


def test_chain_rpc__agreeing_node__meets_the_demand_for_the_chain(node: OwnNode) -> None:
    files = bundles.without_chain_proof(bundles.standard_files())
    report = judged(files, proofs=True, rpcs=(node,))

    assert report.outcome("chain-proof") == "skipped"
    assert report.unmet == ()
    assert "chain 138, which you call independent" in report.answers[2].detail


def test_chain_rpc__no_node_given__is_skipped_in_words() -> None:
    report = judged(bundles.standard_files())

    assert report.outcome("chain-rpc") == "skipped"
    assert "--rpc URL" in next(check.advice for check in report.checks if check.name == "chain-rpc")


def set_header(node: OwnNode, number: int, **fields: Any) -> None:
    node.headers[hex(number)] = {**node.headers[hex(number)], **fields}


@pytest.mark.parametrize("number", [100, 110, 120])
@pytest.mark.parametrize("fields", [{"hash": "0x" + "00" * 32}, {"timestamp": "0x1"}])
def test_chain_rpc__another_block_at_that_number__fails(node: OwnNode, number: int, fields: dict[str, str]) -> None:
    set_header(node, number, **fields)

    report = asked(node)

    assert failed(report) == ["chain-rpc"]
    assert f"block {number} of chain 138 is another block on your node" in said(report)
    assert exit_code(report) == 6


@pytest.mark.parametrize("selector", ["18160ddd", "f4926302", "247db9b8"])
def test_chain_rpc__contract_says_something_else__fails(node: OwnNode, selector: str) -> None:
    for key, answer in node.answers.items():
        if key[1].startswith(selector):
            node.answers[key] = f"0x{int(answer, 16) ^ 1:064x}"

    report = asked(node)

    assert failed(report) == ["chain-rpc"]
    assert "your node says" in said(report)


def test_chain_rpc__registry_has_another_entry__fails(node: OwnNode) -> None:
    for key, answer in node.answers.items():
        if key[2] == "latest":
            node.answers[key] = answer[:-1] + "9"

    assert "the registry's entry is not the one" in said(asked(node))


def test_chain_rpc__registry_has_no_entry__fails(node: OwnNode) -> None:
    node.answers = {key: answer for key, answer in node.answers.items() if key[2] != "latest"}

    report = asked(node)

    assert failed(report) == ["chain-rpc"]
    assert "the registry has no entry" in said(report)


def test_chain_rpc__publisher_not_trusted__fails(node: OwnNode) -> None:
    trust = bundles.trust()
    retired = replace(trust.publishers[0], valid_until="2026-W46")

    assert "not one that you trust" in said(asked(node, trust=replace(trust, publishers=(retired,))))


@pytest.mark.parametrize("answer", [EndpointError("missing trie node", -32000), None, "0x", "0x12", 5])
def test_chain_rpc__state_pruned__is_skipped_and_named(node: OwnNode, answer: Any) -> None:
    for key in node.answers:
        if key[1] == "18160ddd":
            node.answers[key] = answer

    report = asked(node)

    assert report.outcome("chain-rpc") == "skipped"
    assert "not read: supply of EURW at block 100" in said(report)
    assert "the registry's entry" in said(report)
    assert exit_code(report) == 0


def test_chain_rpc__node_not_so_far__is_skipped(node: OwnNode) -> None:
    del node.headers["0x78"]

    report = asked(node)

    assert report.outcome("chain-rpc") == "skipped"
    assert "anchor block 120 (your node is not so far)" in said(report)


def test_chain_rpc__node_of_another_chain__fails() -> None:
    report = asked(OwnNode(bundles.standard_files(), chain_id=1))

    assert failed(report) == ["chain-rpc"]
    assert "your endpoint is of chain 1" in said(report)


def test_chain_rpc__node_down__fails(node: OwnNode) -> None:
    node.chain_id = EndpointError("your endpoint does not answer")

    assert failed(asked(node)) == ["chain-rpc"]


def test_chain_rpc__node_goes_down_midway__fails(node: OwnNode) -> None:
    for key in node.answers:
        node.answers[key] = EndpointError("your endpoint does not answer")

    assert failed(asked(node)) == ["chain-rpc"]


@pytest.mark.parametrize("answer", [None, 138, "138", "0x", "0x" + "1" * 65])
def test_chain_rpc__no_chain_id__fails(node: OwnNode, answer: Any) -> None:
    node.chain_id = answer

    assert "does not speak Ethereum" in said(asked(node))


def test_chain_rpc__block_that_is_no_object__fails(node: OwnNode) -> None:
    node.headers["0x64"] = "block"

    assert "no block where one was asked for" in said(asked(node))


# -- finality --------------------------------------------------------------------------------------------------------


def finality(rule: str) -> Trust:
    trust = bundles.trust()
    return replace(trust, chains=(replace(trust.chains[0], finality=rule),))


@pytest.mark.parametrize(("rule", "tag"), [("tag", "finalized"), ("depth:10", "latest")])
def test_chain_rpc__block_final_enough__passes(node: OwnNode, rule: str, tag: str) -> None:
    node.headers[tag] = {"number": hex(120 if rule == "tag" else 130)}

    assert asked(node, trust=finality(rule)).outcome("chain-rpc") == "pass"


@pytest.mark.parametrize(
    ("rule", "tag", "number"), [("tag", "finalized", 119), ("depth:10", "latest", 129), ("tag", "finalized", None)]
)
def test_chain_rpc__block_not_final__fails(node: OwnNode, rule: str, tag: str, number: int | None) -> None:
    node.headers[tag] = None if number is None else {"number": hex(number)}

    assert "is not final on your node" in said(asked(node, trust=finality(rule)))


# -- several chains --------------------------------------------------------------------------------------------------


def test_chain_rpc__chain_without_endpoint__is_skipped_and_named() -> None:
    def second_chain(predicate: Any) -> Any:
        chain = predicate.chains[0]
        supply, confirm = replace(chain.supply, chain_id=139), replace(chain.confirm, chain_id=139)
        return replace(predicate, chains=(chain, replace(chain, chain_id=139, supply=supply, confirm=confirm)))

    files = Forge(alter_predicate=second_chain).files()
    trust = bundles.trust()
    trust = replace(trust, chains=(*trust.chains, replace(trust.chains[0], chain_id=139)))

    report = asked(OwnNode(files), trust=trust, files=files)

    assert report.outcome("chain-rpc") == "skipped"
    assert "chain 139 (no endpoint given)" in said(report)


def test_chain_rpc__registry_on_a_chain_of_its_own__is_named_when_not_asked(node: OwnNode) -> None:
    trust = bundles.trust()
    trust = replace(
        trust,
        chains=(*trust.chains, replace(trust.chains[0], chain_id=139)),
        registry=replace(trust.registry, chain_id=139),
    )

    assert "chain 139 (no endpoint given)" in said(asked(node, trust=trust))


def test_chain_rpc__withheld_token__its_supply_is_asked_but_no_consensus() -> None:
    files = Forge(tokens=tuple(map(bundles.withheld_token, Forge().tokens))).files()

    report = asked(OwnNode(files), files=files)

    assert report.outcome("chain-rpc") == "pass"
    assert "consensus of" not in said(report)


def test_chain_rpc__chain_that_trust_does_not_know__counts_as_instant(node: OwnNode) -> None:
    trust = bundles.trust()
    other = replace(trust.chains[0], chain_id=139)
    moved = [replace(t, deployments=(replace(t.deployments[0], chain_id=139),)) for t in trust.tokens]
    trust = replace(
        trust,
        chains=(other,),
        tokens=tuple(moved),
        oracle=replace(trust.oracle, chain_id=139),
        registry=replace(trust.registry, chain_id=139),
    )

    report = asked(node, trust=trust)

    assert "tokens" in failed(report)
    assert report.outcome("chain-rpc") == "skipped"
