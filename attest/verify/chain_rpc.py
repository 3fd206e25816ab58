"""Asking the auditor's own nodes: are the blocks there, and do the contracts say what the statement says?

Reads are pinned to the statement's block hashes (EIP-1898). A node that has pruned a state makes that part *skipped*; a
node that says something else makes the check fail. The registry never overwrites, so it is read at the head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attest.block import Block
from attest.documents import ChainBlocks, ConsensusStatement, TokenStatement
from attest.errors import VerificationError
from attest.statement import attested
from attest.verify.case import Case, EndpointError, Rpc
from attest.verify.checks import Finding, refuse
from attest.verify.trust import same_address

# The first four bytes of keccak256 of each function's signature.
TOTAL_SUPPLY = "18160ddd"  # totalSupply()
GET_VERIFIED_RESERVE = "247db9b8"  # getVerifiedReserve(address)
IS_QUORUM_MET = "f4926302"  # isQuorumMet(address)
ATTESTATION_OF = "8c978c18"  # attestationOf(address,bytes32,uint256)

_HEX = re.compile(r"0x([0-9a-fA-F]*)", re.ASCII)
_WORD_DIGITS = 64
_ADVICE = "Compare the chain, the contracts and your node; if all are right, tell the issuer and keep the bundle."


class _PrunedError(Exception):
    """The node does not have this state (any more)."""


@dataclass(frozen=True)
class _Node:
    """One chain through the auditor's own node."""

    chain_id: int
    rpc: Rpc

    def header(self, tag: str) -> Mapping[str, Any] | None:
        answer = self.rpc("eth_getBlockByNumber", [tag, False])
        if answer is not None and not isinstance(answer, Mapping):
            raise EndpointError("your endpoint answers no block where one was asked for")
        return answer

    def call(self, to: str, data: str, block: Block | None, words: int) -> list[int]:
        """``eth_call``, at a block's hash or the head; the answer in 32-byte words, at least so many."""
        at = "latest" if block is None else {"blockHash": f"0x{block.hash}"}
        try:
            answer = self.rpc("eth_call", [{"to": to, "data": f"0x{data}"}, at])
        except EndpointError as fault:
            if fault.code is None:
                raise
            raise _PrunedError(str(fault)) from None
        match = _HEX.fullmatch(answer) if isinstance(answer, str) else None
        if match is None or len(match[1]) < words * _WORD_DIGITS:
            raise _PrunedError("your endpoint answers nothing: no such contract there, or the state is pruned")
        return [int(match[1][n * _WORD_DIGITS : (n + 1) * _WORD_DIGITS], 16) for n in range(words)]


def connect(rpcs: Sequence[Rpc]) -> dict[int, _Node]:
    """The nodes by the chain that they say they are of. Raises :class:`EndpointError`."""
    return {chain_id: _Node(chain_id, rpc) for rpc in rpcs for chain_id in [_quantity(rpc("eth_chainId", []))]}


def block_hash(nodes: Mapping[int, _Node], block: Block) -> str | None:
    """The hash that the auditor's node has for the block's number, in hex without prefix; None if it has none."""
    node = nodes.get(block.chain_id)
    header = None if node is None else node.header(hex(block.number))
    return None if header is None else str(header.get("hash")).removeprefix("0x")


def check(case: Case) -> Finding:
    if not case.rpcs:
        return Finding("skipped", "no endpoint of your own was given", "Give one for each chain: --rpc URL.")
    try:
        return _Asking(case, connect(case.rpcs)).finding()
    except EndpointError as fault:
        raise refuse(str(fault), "Check the URL that you gave with --rpc, and the node behind it.") from None


class _Asking:
    """Asks everything, and keeps what agreed and what could not be read; a difference is raised at once."""

    def __init__(self, case: Case, nodes: Mapping[int, _Node]) -> None:
        self.case = case
        self.nodes = nodes
        self.agreed: list[str] = []
        self.unread: list[str] = []

    def finding(self) -> Finding:
        predicate, registry = self.case.predicate, self.case.trust.registry
        known = {chain.chain_id for chain in predicate.chains} | {registry.chain_id}
        for chain_id in sorted(self.nodes.keys() - known):
            raise _differs(f"your endpoint is of chain {chain_id}, of which the statement does not speak")
        for chain in predicate.chains:
            node = self.nodes.get(chain.chain_id)
            if node is None:
                self.unread.append(f"chain {chain.chain_id} (no endpoint given)")
            else:
                self._chain(node, chain)
        if registry.chain_id in self.nodes:
            self._anchor(self.nodes[registry.chain_id])
        elif registry.chain_id not in {chain.chain_id for chain in predicate.chains}:
            self.unread.append(f"chain {registry.chain_id} (no endpoint given)")
        agreed = ", ".join(self.agreed) or "nothing"
        if self.unread:
            return Finding(
                "skipped",
                f"your node confirms {agreed}; not read: {', '.join(self.unread)}",
                "Give an endpoint for each chain, of a node that keeps old states (an archive node).",
            )
        return Finding("pass", f"your node confirms {agreed}")

    def _chain(self, node: _Node, chain: ChainBlocks) -> None:
        self._block(node, chain.supply, "supply block")
        self._block(node, chain.confirm, "confirm block")
        oracle = self.case.trust.oracle
        for token in self.case.predicate.tokens:
            for deployment in token.deployments:
                if deployment.chain_id == chain.chain_id:
                    for block, stated in (
                        (chain.supply, deployment.supply_units),
                        (chain.confirm, deployment.confirm_supply_units),
                    ):
                        what = f"supply of {token.token} at block {block.number}"
                        self._value(node, what, deployment.address, TOTAL_SUPPLY, block, stated)
            found = attested(token)
            if found is not None and oracle.chain_id == chain.chain_id:
                self._consensus(node, token, found.consensus, chain.confirm)

    def _block(self, node: _Node, block: Block, what: str) -> None:
        header = node.header(hex(block.number))
        if header is None:
            self.unread.append(f"{what} {block.number} (your node is not so far)")
            return
        found = (str(header.get("hash")).removeprefix("0x"), _quantity(header.get("timestamp")))
        if found != (block.hash, block.timestamp):
            raise _differs(f"{what} {block.number} of chain {block.chain_id} is another block on your node")
        if not self._final(node, block):
            raise _differs(f"{what} {block.number} of chain {block.chain_id} is not final on your node")
        self.agreed.append(f"{what} {block.number}")

    def _final(self, node: _Node, block: Block) -> bool:
        trusted = self.case.trust.chain(block.chain_id)
        finality = "instant" if trusted is None else trusted.finality
        if finality == "instant":
            return True
        header = node.header("finalized" if finality == "tag" else "latest")
        head = -1 if header is None else _quantity(header.get("number"))
        return head - (0 if finality == "tag" else int(finality.removeprefix("depth:"))) >= block.number

    def _consensus(self, node: _Node, token: TokenStatement, stated: ConsensusStatement, block: Block) -> None:
        oracle = self.case.trust.oracle
        addresses = [d.address for d in token.deployments if d.chain_id == oracle.chain_id]
        for address in addresses[:1]:
            argument = _address_word(address)
            what = f"of {token.token} at block {block.number}"
            self._value(node, f"quorum {what}", oracle.address, IS_QUORUM_MET + argument, block, int(stated.quorum_met))
            self._value(node, f"consensus {what}", oracle.address, GET_VERIFIED_RESERVE + argument, block, stated.units)

    def _value(self, node: _Node, what: str, to: str, data: str, block: Block, stated: int) -> None:
        try:
            (found,) = node.call(to, data, block, 1)
        except _PrunedError as fault:
            self.unread.append(f"{what} ({fault})")
            return
        if found != stated:
            raise _differs(f"{what}: your node says {found}, the statement says {stated}")
        self.agreed.append(what)

    def _anchor(self, node: _Node) -> None:
        case, trust = self.case, self.case.trust
        anchor, predicate = case.receipts.anchor, case.predicate
        if not any(same_address(anchor.publisher, p.address) and p.valid_in(case.period) for p in trust.publishers):
            raise _differs(f"the anchor's publisher {anchor.publisher} is not one that you trust for this period")
        self._block(node, anchor.block, "anchor block")
        period = predicate.period.encode("ascii").ljust(32, b"\0").hex()
        data = f"{ATTESTATION_OF}{_address_word(anchor.publisher)}{period}{predicate.revision:064x}"
        try:
            found = node.call(trust.registry.address, data, None, 5)
        except _PrunedError as fault:
            raise _differs(f"the registry has no entry for this period and revision ({fault})") from None
        log_root, log_size = int(anchor.log_root, 16), anchor.log_size
        merkle = predicate.merkle
        if found != [int(merkle.root, 16), merkle.size, int(case.statement_digest, 16), log_root, log_size]:
            raise _differs("the registry's entry is not the one of this statement")
        self.agreed.append("the registry's entry")


def _address_word(address: str) -> str:
    return address.removeprefix("0x").lower().rjust(_WORD_DIGITS, "0")


def _quantity(value: Any) -> int:
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= len(match[1]) <= _WORD_DIGITS:
        raise EndpointError("your endpoint does not speak Ethereum's JSON-RPC")
    return int(match[1], 16)


def _differs(detail: str) -> VerificationError:
    return refuse(detail, _ADVICE)
