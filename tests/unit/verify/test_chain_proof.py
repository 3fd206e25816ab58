"""State proofs against sealed headers: what they prove, what contradicts, what is only missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from attest.documents import AccountProof, BlockProof, ChainProof, Predicate
from attest.model import Block
from attest.verify.case import EndpointError
from attest.verify.chain_proof import REPORTER_ROLE
from attest.verify.report import Report, exit_code
from attest.verify.trust import Implementation, Trust
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged, member


def proven(forge: Forge, trust: Trust | None = None, **options: Any) -> Report:
    return judged(forge, trust, proofs=True, **options)


def block(position: int, change: Callable[[BlockProof], BlockProof]) -> Callable[[ChainProof], ChainProof]:
    def alter(proof: ChainProof) -> ChainProof:
        listed = list(proof.blocks)
        listed[position] = change(listed[position])
        return replace(proof, blocks=tuple(listed))

    return alter


def account(
    position: int, address: str, change: Callable[[AccountProof], AccountProof | None]
) -> Callable[[ChainProof], ChainProof]:
    """Change (or leave out) the account proof of ``address`` at a block."""

    def alter(proof: BlockProof) -> BlockProof:
        kept = [change(item) if item.address == address else item for item in proof.accounts]
        return replace(proof, accounts=tuple(item for item in kept if item is not None))

    return block(position, alter)


def oracle_slot(slot: int, value: Any) -> Callable[[dict[str, dict[int, int]]], None]:
    return lambda storage: storage[bundles.ORACLE].update({slot: value})


def report_slot(token: str, reporter: str) -> int:
    return member(2, int(token, 16), int(reporter, 16))


MEMBERS = member(1, REPORTER_ROLE)


def test_chain_proof__valid__proves_supplies_consensus_and_anchor() -> None:
    report = proven(Forge())

    assert report.outcome("chain-proof") == "pass"
    for part in (
        "supply of USDW at block 100",
        "supply of USDW at block 110",
        "consensus on EURW at block 110",
        "the registry's entry",
    ):
        assert part in detail(report, "chain-proof")
    assert exit_code(report) == 0


def test_chain_proof__consensus_below_the_own_reserve__is_proven_too() -> None:
    token = bundles.sufficient_token(consensus=1_203_000_000_000)
    forge = Forge(tokens=(Forge().tokens[0], token))

    # Two of three report the lower number only if one of the operator's two does: then its report is not as stated.
    report = proven(forge)

    assert failed(report) == ["chain-proof"]
    assert "does not show the stated report" in detail(report, "chain-proof")


REFUTED: dict[str, tuple[Forge, str]] = {
    "supply was larger": (
        Forge(alter_state=lambda storage: storage[bundles.USDW].update({2: 2 * 10**12})),
        "proves a supply of 2000000000000 at block 110",
    ),
    "supply was zero": (
        Forge(alter_state=lambda storage: storage[bundles.USDW].update({2: 0})),
        "proves a supply of 0",
    ),
    "quorum was higher": (Forge(alter_state=oracle_slot(3, 3)), "quorum 3"),
    "a third of the reporters was no reporter": (
        Forge(alter_state=oracle_slot(MEMBERS, 2)),
        "proves 2 standing reports for EURW, not 3",
    ),
    "reports had expired": (Forge(report_time=bundles.CONFIRM_TIME - bundles.VALIDITY - 1), "proves 0 reports"),
    "a report was removed": (
        Forge(
            alter_state=oracle_slot(
                report_slot(bundles.USDW, bundles.REPORTERS[2]) + 1, 2**64 + bundles.CONFIRM_TIME - 60
            )
        ),
        "proves 2 standing reports for USDW, not 3",
    ),
    "no report was ever made": (
        Forge(alter_state=oracle_slot(report_slot(bundles.USDW, bundles.REPORTERS[2]) + 1, 0)),
        "proves 2 standing reports for USDW, not 3",
    ),
    "an own report was another": (
        Forge(alter_state=oracle_slot(report_slot(bundles.USDW, bundles.REPORTERS[1]), 1_300_000_000_000)),
        "does not show the stated report",
    ),
    "the consensus was another": (
        Forge(
            alter_state=lambda storage: (
                [oracle_slot(report_slot(bundles.USDW, reporter), 5)(storage) for reporter in bundles.REPORTERS[1:]]
                and None
            )
        ),
        "consensus 5",
    ),
    "more reporters than there can be": (Forge(alter_state=oracle_slot(MEMBERS, 33)), "33 reporters"),
    "a slot that holds no RLP": (Forge(alter_state=oracle_slot(3, b"\xb8")), "not RLP"),
    "a slot with more than a word": (
        Forge(alter_state=oracle_slot(3, 2**256 + 2)),
        "holds no word",
    ),
    "another period": (
        Forge(alter_chain_proof=lambda proof: replace(proof, period="2026-W46")),
        "another period or revision",
    ),
    "header of another block": (
        Forge(
            alter_chain_proof=lambda proof: replace(
                proof, blocks=(replace(proof.blocks[0], header=proof.blocks[1].header), *proof.blocks[1:])
            )
        ),
        "whose hash is not the block's",
    ),
    "header that is not hex": (
        Forge(alter_chain_proof=block(0, lambda proof: replace(proof, header="xyz"))),
        "not hex",
    ),
    "header that is not RLP": (
        Forge(alter_chain_proof=block(0, lambda proof: replace(proof, header="00"))),
        "not an RLP list",
    ),
    "account proof of another account": (
        Forge(
            alter_chain_proof=lambda proof: account(
                0, bundles.USDW, lambda item: replace(item, nodes=proof.blocks[1].accounts[0].nodes)
            )(proof)
        ),
        "does not lead to the state's root",
    ),
    "storage proof without nodes": (
        Forge(
            alter_chain_proof=account(
                0, bundles.USDW, lambda item: replace(item, storage=(replace(item.storage[0], nodes=()),))
            )
        ),
        "does not lead to the state's root",
    ),
    "storage nodes of another slot": (
        Forge(
            alter_chain_proof=account(
                1,
                bundles.USDW,
                lambda item: replace(item, storage=(replace(item.storage[0], nodes=("c0",)),)),
            )
        ),
        "does not lead to the state's root",
    ),
    "a proof of endless nodes": (
        Forge(alter_chain_proof=account(0, bundles.USDW, lambda item: replace(item, nodes=item.nodes * 200))),
        "more nodes",
    ),
    "nodes that are not hex": (
        Forge(alter_chain_proof=account(0, bundles.USDW, lambda item: replace(item, nodes=("zz",)))),
        "not hex",
    ),
    "another contract's code": (Forge(code="12" * 32), "shows other code at"),
}


@pytest.mark.parametrize("name", REFUTED)
def test_chain_proof__contradicts_the_statement__fails(name: str) -> None:
    forge, message = REFUTED[name]

    report = proven(forge)

    assert "chain-proof" in failed(report)
    assert message in detail(report, "chain-proof")
    assert exit_code(report) == 6
    assert {token.state for token in report.tokens} == {"unproven"}


def test_chain_proof__values_in_the_file_changed_without_the_nodes__changes_nothing() -> None:
    forge = Forge(
        alter_chain_proof=account(
            0, bundles.USDW, lambda item: replace(item, storage=(replace(item.storage[0], value=1),))
        )
    )

    assert proven(forge).outcome("chain-proof") == "pass"


def test_chain_proof__block_number_in_the_statement_is_not_the_headers__fails() -> None:
    def renumber(predicate: Predicate) -> Predicate:
        (chain,) = predicate.chains
        return replace(predicate, chains=(replace(chain, supply=replace(chain.supply, number=99)),))

    forge = Forge(
        alter_predicate=renumber,
        alter_chain_proof=block(0, lambda proof: replace(proof, block=replace(proof.block, number=99))),
    )

    assert "another number or time" in detail(proven(forge), "chain-proof")


def test_chain_proof__account_that_does_not_exist__fails() -> None:
    def absent(storage: dict[str, dict[int, int]]) -> None:
        del storage[bundles.USDW]

    # A proof of absence: the oracle's nodes lead to where the token would be.
    def forged(proof: ChainProof) -> ChainProof:
        oracle = next(item for item in proof.blocks[1].accounts if item.address == bundles.ORACLE)
        other = next(item for item in proof.blocks[1].accounts if item.address == bundles.EURW)
        nodes = tuple(dict.fromkeys((*oracle.nodes, *other.nodes)))
        fake = replace(oracle, address=bundles.USDW, nodes=nodes)
        accounts = (*proof.blocks[1].accounts, fake)
        return replace(proof, blocks=(proof.blocks[0], replace(proof.blocks[1], accounts=accounts), proof.blocks[2]))

    report = proven(Forge(alter_state=absent, alter_chain_proof=forged))

    assert "shows other code" in detail(report, "chain-proof")


# -- whose word a header is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealers", [(), (0, 1), (0, 0, 0, 1), (0, 1, 7, 8, 9)])
def test_chain_proof__too_few_trusted_seals__is_skipped_in_words(sealers: tuple[int, ...]) -> None:
    report = proven(Forge(sealers=sealers))

    assert report.outcome("chain-proof") == "skipped"
    assert "of 4 validators sealed block 100, 3 needed" in detail(report, "chain-proof")
    assert report.unmet == ("chain",)
    assert exit_code(report) == 6


def test_chain_proof__no_validators_pinned__is_skipped_in_words() -> None:
    trust = bundles.trust()
    report = proven(Forge(), replace(trust, chains=(replace(trust.chains[0], validators=()),)))

    assert report.outcome("chain-proof") == "skipped"
    assert "nothing vouches for the headers of chain 138" in detail(report, "chain-proof")


def test_chain_proof__own_node_has_the_hash__needs_no_seals() -> None:
    files = Forge(sealers=()).files()

    report = judged(files, proofs=True, rpcs=(bundles.OwnNode(files),))

    assert report.outcome("chain-proof") == "pass"


def test_chain_proof__own_node_has_another_block__fails() -> None:
    node = bundles.OwnNode(bundles.standard_files())
    node.headers["0x6e"]["hash"] = "0x" + "00" * 32

    report = judged(bundles.standard_files(), proofs=True, rpcs=(node,))

    assert "another one on your node" in detail(report, "chain-proof")


def test_chain_proof__own_node_is_down__seals_still_count() -> None:
    def down(method: str, parameters: Any) -> Any:
        raise EndpointError("your endpoint does not answer")

    report = judged(bundles.standard_files(), proofs=True, rpcs=(down,))

    assert report.outcome("chain-proof") == "pass"
    assert failed(report) == ["chain-rpc"]


def test_chain_proof__own_node_fails_midway__seals_still_count() -> None:
    node = bundles.OwnNode(bundles.standard_files())
    node.headers["0x64"] = EndpointError("gone")

    report = judged(bundles.standard_files(), proofs=True, rpcs=(node,))

    assert report.outcome("chain-proof") == "pass"


# -- what is missing -------------------------------------------------------------------------------------------------


def test_chain_proof__block_left_out__is_skipped() -> None:
    forge = Forge(alter_chain_proof=lambda proof: replace(proof, blocks=proof.blocks[1:]))

    report = proven(forge)

    assert report.outcome("chain-proof") == "skipped"
    assert "does not cover block 100 of chain 138" in detail(report, "chain-proof")


def test_chain_proof__account_left_out__is_skipped() -> None:
    report = proven(Forge(alter_chain_proof=account(0, bundles.USDW, lambda item: None)))

    assert report.outcome("chain-proof") == "skipped"
    assert f"does not cover {bundles.USDW}" in detail(report, "chain-proof")


def test_chain_proof__slot_left_out__is_skipped() -> None:
    report = proven(Forge(alter_chain_proof=account(1, bundles.ORACLE, lambda item: replace(item, storage=()))))

    assert report.outcome("chain-proof") == "skipped"
    assert "does not cover slot 0x" in detail(report, "chain-proof")


@pytest.mark.parametrize("part", ["token", "oracle", "registry"])
def test_chain_proof__nothing_pinned_for_a_contract__is_skipped(part: str) -> None:
    trust = bundles.trust()
    if part == "token":
        first, second = trust.tokens
        bare = replace(second.deployments[0], code_hash=None)
        trust = replace(trust, tokens=(first, replace(second, deployments=(bare,))))
    elif part == "oracle":
        trust = replace(trust, oracle=replace(trust.oracle, slots=None))
    else:
        trust = replace(trust, registry=replace(trust.registry, attestations_slot=None))

    report = proven(Forge(), trust)

    assert report.outcome("chain-proof") == "skipped"
    assert "your trust file pins no code hash" in detail(report, "chain-proof")


def test_chain_proof__token_only_on_another_chain__its_consensus_is_not_proven() -> None:
    elsewhere = "0x" + "e9" * 20

    def moved(predicate: Predicate) -> Predicate:
        first, second = predicate.tokens
        chain = predicate.chains[0]
        other = replace(
            chain,
            chain_id=139,
            supply=replace(chain.supply, chain_id=139),
            confirm=replace(chain.confirm, chain_id=139),
        )
        deployment = replace(second.deployments[0], chain_id=139, address=elsewhere)
        return replace(predicate, chains=(chain, other), tokens=(first, replace(second, deployments=(deployment,))))

    trust = bundles.trust()
    first, second = trust.tokens
    deployment = replace(second.deployments[0], chain_id=139, address=elsewhere)
    chains = (*trust.chains, replace(trust.chains[0], chain_id=139))
    trust = replace(trust, chains=chains, tokens=(first, replace(second, deployments=(deployment,))))

    report = proven(Forge(alter_predicate=moved), trust)

    assert report.outcome("chain-proof") == "skipped"
    assert "the token is not on the oracle's chain" in detail(report, "chain-proof")
    assert "does not cover block 100 of chain 139" in detail(report, "chain-proof")


def test_chain_proof__deployment_that_is_not_trusted__is_not_proven() -> None:
    forge = Forge(tokens=(Forge().tokens[0], bundles.sufficient_token(address="0x" + "77" * 20)))

    report = proven(forge)

    assert failed(report) == ["tokens"]
    assert report.outcome("chain-proof") == "skipped"


def test_chain_proof__not_in_the_bundle__is_skipped() -> None:
    report = judged(Forge())

    assert report.outcome("chain-proof") == "skipped"
    assert "the bundle has no chain-proof.json" in detail(report, "chain-proof")


@pytest.mark.parametrize("library", ["trie", "rlp", "eth_hash.auto"])
def test_chain_proof__library_missing__is_skipped_with_the_command(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = bundles.standard_files()
    monkeypatch.setitem(sys.modules, library, None)

    report = judged(files, proofs=True)

    (check,) = [check for check in report.checks if check.name == "chain-proof"]
    assert (check.outcome, check.advice) == ("skipped", "pip install 'reserve-attest[chain-proof]'")


def test_chain_proof__malformed_document__fails() -> None:
    report = proven(Forge(alter_files=lambda files: files.update({"chain-proof.json": b"{}"})))

    assert failed(report) == ["chain-proof"]


# -- the anchor ------------------------------------------------------------------------------------------------------


def test_chain_proof__anchor_with_another_log_size__fails() -> None:
    forge = Forge(alter_receipts=lambda receipts: replace(receipts, anchor=replace(receipts.anchor, log_size=9)))

    assert "proves another entry in the registry" in detail(proven(forge), "chain-proof")


def test_chain_proof__anchor_by_a_stranger__fails() -> None:
    forge = Forge(
        alter_receipts=lambda receipts: replace(receipts, anchor=replace(receipts.anchor, publisher=bundles.ORACLE))
    )

    assert "whom you do not trust" in detail(proven(forge), "chain-proof")


def test_chain_proof__publisher_retired_before_the_period__fails() -> None:
    trust = bundles.trust()
    retired = replace(trust.publishers[0], valid_until="2026-W46")

    assert "whom you do not trust" in detail(proven(Forge(), replace(trust, publishers=(retired,))), "chain-proof")


def test_chain_proof__anchor_on_another_chain__fails() -> None:
    def moved(receipts: Any) -> Any:
        anchor = receipts.anchor
        return replace(receipts, anchor=replace(anchor, block=Block(1, anchor.block.number, anchor.block.hash, 1)))

    assert "another chain than your registry" in detail(proven(Forge(alter_receipts=moved)), "chain-proof")


# -- proxies ---------------------------------------------------------------------------------------------------------

PROXY_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
TARGET = "0x" + "5c" * 20


def proxied(target: str) -> tuple[Forge, Trust]:
    trust = bundles.trust()
    first, second = trust.tokens
    pinned = replace(second.deployments[0], implementation=Implementation(f"{PROXY_SLOT:064x}", target))
    forge = Forge(alter_state=lambda storage: storage[bundles.USDW].update({PROXY_SLOT: int(TARGET, 16)}))
    return forge, replace(trust, tokens=(first, replace(second, deployments=(pinned,))))


def test_chain_proof__proxy_that_points_elsewhere__fails() -> None:
    forge, trust = proxied("0x" + "5d" * 20)

    # At the supply block the slot is not covered; at the confirm block it is, and shows another address.
    report = proven(forge, trust)

    assert f"points to {TARGET}" in detail(report, "chain-proof")


def test_chain_proof__proxy_as_pinned__is_proven_where_the_slot_is_covered() -> None:
    forge, trust = proxied(TARGET)

    report = proven(forge, trust)

    assert report.outcome("chain-proof") == "skipped"
    text, _, missing = detail(report, "chain-proof").partition("Not proven:")
    assert "supply of USDW at block 110" in text
    assert "supply of USDW at block 100" in missing
