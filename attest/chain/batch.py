"""One batch of questions to one chain at one block, and the state proofs in its answers.

EIP-1186 proofs are taken along for the auditor. They are checked here as far as the node could have erred (the header,
the code, the values); that the trie nodes connect is the verifier's check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from attest.chain import contracts, header
from attest.chain.contracts import Call
from attest.chain.rpc import ChainClient, Request, RpcError, code_request, header_request, proof_request
from attest.chain.values import data, malformed, quantity
from attest.documents import AccountProof, BlockProof, StorageProof
from attest.model import Block


class ProofRead(Protocol):
    """Reads an account proof after the batch ran; None where the endpoint has no ``eth_getProof``."""

    def __call__(
        self, purpose: Literal["supply", "consensus", "anchor"], token: str | None, code: bytes
    ) -> AccountProof | None: ...


class Batch:
    """Questions to one chain at one block, sent together with the block's header. Asking returns a function that reads
    the answer once the batch has run."""

    def __init__(self, client: ChainClient, block: Block) -> None:
        self.block = block
        self._client = client
        self._requests: list[Request] = [header_request(block)]
        self._answers: list[Any] = []

    def add(self, request: Request) -> int:
        self._requests.append(request)
        return len(self._requests) - 1

    def run(self) -> None:
        self._answers = self._client.batch(self._requests)
        what = f"chain {self._client.name}: block {self.block.number}"
        if not isinstance(self._answers[0], dict):
            raise contracts.state_unavailable(what, self._answers[0])
        self._header = header.read(self._client.chain_id, self._answers[0], what)
        if self._header.block != self.block:
            raise malformed(what, "was answered with another block's header")

    def answer(self, index: int) -> Any:
        return self._answers[index]

    def call(self, call: Call) -> Callable[[], Any]:
        index = self.add(call.request(self.block))
        return lambda: call.value(self.answer(index))

    def code(self, address: str, what: str) -> Callable[[], bytes]:
        index = self.add(code_request(address, self.block))
        return lambda: contracts.code_of(what, address, self._client.name, self.block, self.answer(index))

    def account(self, address: str, slots: Sequence[str], what: str) -> ProofRead:
        index = self.add(proof_request(address, slots, self.block))

        def read(
            purpose: Literal["supply", "consensus", "anchor"], token: str | None, code: bytes
        ) -> AccountProof | None:
            answer = self.answer(index)
            if isinstance(answer, RpcError) and answer.code == _METHOD_NOT_FOUND:
                return None
            if not isinstance(answer, dict):
                raise contracts.state_unavailable(f"the state proof of {what}", answer)
            return _account_proof(answer, header.state_root(self._header), slots, what, purpose, token, code, address)

        return read

    def block_proof(self, accounts: Sequence[AccountProof]) -> BlockProof:
        """Checks the header's hash."""
        return BlockProof(self.block, header.encode(self._header).hex(), tuple(accounts))


_METHOD_NOT_FOUND = -32601


def _account_proof(
    answer: Mapping[str, Any],
    state_root: bytes,
    slots: Sequence[str],
    what: str,
    purpose: Literal["supply", "consensus", "anchor"],
    token: str | None,
    code: bytes,
    address: str,
) -> AccountProof:
    """An ``eth_getProof`` answer (EIP-1186), checked where a node could have mixed up blocks: both tries' roots, the
    code hash, and the slots in the order asked."""
    from eth_hash.auto import keccak

    what = f"the state proof of {what}"
    nodes = _nodes(answer.get("accountProof"), what)
    code_hash = data(answer.get("codeHash"), f"{what}: its code hash", 32)
    storage_root = data(answer.get("storageHash"), f"{what}: its storage root", 32)
    if not nodes or keccak(nodes[0]) != state_root:
        raise malformed(what, "does not begin at the block's state root")
    if keccak(code) != code_hash:
        raise malformed(what, "has another code hash than the code at this address")
    items = answer.get("storageProof")
    if not isinstance(items, list) or len(items) != len(slots) or not all(isinstance(item, dict) for item in items):
        raise malformed(what, "does not have one storage proof per slot")
    storage = []
    for slot, item in zip(slots, items, strict=True):
        if quantity(item.get("key"), f"{what}: a slot") != int(slot, 16):
            raise malformed(what, f"is not about the slot 0x{slot}")
        path = _nodes(item.get("proof"), what)
        if path and keccak(path[0]) != storage_root:
            raise malformed(what, "has a storage proof that does not begin at its storage root")
        value = quantity(item.get("value"), f"{what}: a value")
        storage.append(StorageProof(slot, value, tuple(node.hex() for node in path)))
    return AccountProof(purpose, token, address, code_hash.hex(), tuple(node.hex() for node in nodes), tuple(storage))


def _nodes(plain: Any, what: str) -> list[bytes]:
    if not isinstance(plain, list):
        raise malformed(what, "has no list of trie nodes")
    return [data(node, f"{what}: a trie node") for node in plain]


def checksum(address: str) -> str:
    """EIP-55."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))
