"""State proofs (EIP-1186) against block headers that the auditor has a reason to believe.

A header counts only if enough of the validators in the trust file sealed it (:mod:`attest.verify.qbft`), or the
auditor's own node has its hash. Addresses, code hashes and storage slots come from the trust file: whoever chooses the
slot or invents the header can prove anything. What lacks evidence is *skipped*; what contradicts it fails.

Needs the extra ``chain-proof`` (trie, rlp, eth-hash).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attest.block import Block
from attest.documents import BlockProof, ChainBlocks, ChainProof, StorageProof, TokenStatement
from attest.errors import VerificationError
from attest.records import from_json
from attest.statement import Attested, attested
from attest.verify import chain_rpc, qbft
from attest.verify.bundle import CHAIN_PROOF
from attest.verify.case import Case, EndpointError
from attest.verify.checks import Finding, refuse
from attest.verify.trust import Implementation, OracleSlots, TrustedDeployment, same_address

INSTALL = "pip install 'reserve-attest[chain-proof]'"
#: AccessControl's id of the role: keccak256("REPORTER_ROLE").
REPORTER_ROLE = 0x3204C940063673962B481A0395619B3DBBD137589C419E993978C1C71BCF68EC
#: The reference oracle's own bound.
MAX_REPORTERS = 32
_WORD = 2**256
_MAX_NODES = 128
_VOUCH = "Pin the validators, code hashes and slots in your trust file, or ask your own node: --rpc URL."
_ADVICE = "Fetch chain-proof.json again, and compare contracts, code hashes and slots in your trust file; else tell."


class _UnprovenError(Exception):
    """There is no evidence for this part; the message says what is missing."""


def check(case: Case) -> Finding:
    if CHAIN_PROOF not in case.files:
        return Finding("skipped", f"the bundle has no {CHAIN_PROOF}", "Ask your own node: --rpc URL.")
    if not case.rpcs and not any(chain.validators for chain in case.trust.chains):
        # Before the libraries, which take half a second to load.
        chains = ", ".join(str(chain.chain_id) for chain in case.trust.chains)
        return Finding("skipped", f"nothing vouches for the headers of chain {chains} (no validators, no node)", _VOUCH)
    try:
        import eth_hash.auto
        import rlp  # noqa: F401
        import trie  # noqa: F401

        eth_hash.auto.keccak(b"")
    except ImportError:
        return Finding("skipped", "checking state proofs needs libraries that are not installed", INSTALL)
    document = from_json(ChainProof, case.files[CHAIN_PROOF], CHAIN_PROOF)
    if (document.period, document.revision) != (case.predicate.period, case.predicate.revision):
        raise _differs("is of another period or revision than the statement")
    return _Proving(case, document).finding()


class _Proving:
    """Goes through everything that a statement says of the chains; keeps what was proven and what lacks evidence."""

    def __init__(self, case: Case, document: ChainProof) -> None:
        self.case = case
        self.document = document
        self.states: dict[str, _State] = {}
        self.proven: list[str] = []
        self.missing: dict[str, list[str]] = {}
        self.nodes = self._nodes()

    def _nodes(self) -> Mapping[int, Any]:
        try:
            return chain_rpc.connect(self.case.rpcs)
        except EndpointError:  # the check of the auditor's node says so
            return {}

    def finding(self) -> Finding:
        predicate, oracle = self.case.predicate, self.case.trust.oracle
        deployments = {
            (d.chain_id, d.address.lower()): d for token in self.case.trust.tokens for d in token.deployments
        }
        for chain in predicate.chains:
            for token in predicate.tokens:
                for stated in (d for d in token.deployments if d.chain_id == chain.chain_id):
                    trusted = deployments.get((stated.chain_id, stated.address.lower()))
                    for block, units in (
                        (chain.supply, stated.supply_units),
                        (chain.confirm, stated.confirm_supply_units),
                    ):
                        self._try(
                            f"supply of {token.token} at block {block.number}", self._supply, trusted, block, units
                        )
                found = attested(token)
                if found is not None and oracle.chain_id == chain.chain_id:
                    what = f"consensus on {token.token} at block {chain.confirm.number}"
                    self._try(what, self._consensus, token, found, chain)
        self._try("the registry's entry", self._anchor)
        proven = ", ".join(self.proven) or "nothing"
        if self.missing:
            gaps = "; ".join(f"{', '.join(parts)}: {why}" for why, parts in self.missing.items())
            return Finding(
                "skipped",
                f"proven: {proven}. Not proven: {gaps}",
                _VOUCH,
            )
        return Finding("pass", f"proven: {proven}")

    def _try(self, what: str, prove: Any, *arguments: Any) -> None:
        try:
            prove(*arguments)
        except _UnprovenError as gap:
            self.missing.setdefault(str(gap), []).append(what)
        else:
            self.proven.append(what)

    # -- the parts ---------------------------------------------------------------------------------------------------

    def _supply(self, trusted: TrustedDeployment | None, block: Block, units: int) -> None:
        if trusted is None or trusted.code_hash is None or trusted.supply_slot is None:
            raise _UnprovenError("your trust file pins no code hash and slot")
        state = self._state(block)
        account = state.account(trusted.address, trusted.code_hash)
        found = account.slot(int(trusted.supply_slot, 16))
        if trusted.implementation is not None:
            self._implementation(account, trusted.implementation)
        if found != units:
            raise _differs(f"proves a supply of {found} at block {block.number}, the statement says {units}")

    @staticmethod
    def _implementation(account: _Account, expected: Implementation) -> None:
        found = account.slot(int(expected.slot, 16))
        if found != int(expected.address, 16):
            raise _differs(f"proves that the proxy {account.address} points to 0x{found:040x}, not {expected.address}")

    def _consensus(self, token: TokenStatement, stated: Attested, chain: ChainBlocks) -> None:
        oracle = self.case.trust.oracle
        if oracle.code_hash is None or oracle.slots is None:
            raise _UnprovenError("your trust file pins no code hash and slots of the oracle")
        state = self._state(chain.confirm)
        account = state.account(oracle.address, oracle.code_hash)
        reported = next((d.address for d in token.deployments if d.chain_id == chain.chain_id), None)
        if reported is None:
            raise _UnprovenError("the token is not on the oracle's chain")
        standing = _standing(account, oracle.slots, reported, state.timestamp)
        required = account.slot(int(oracle.slots.required_quorum, 16))
        consensus = stated.consensus
        met = len(standing) >= required
        units = sorted(standing.values())[(len(standing) - 1) // 2] if met and standing else 0
        if (met, required, units) != (consensus.quorum_met, consensus.required_quorum, consensus.units):
            raise _differs(
                f"proves {len(standing)} reports standing for {token.token} (quorum {required}), consensus {units}; "
                f"the statement says {consensus.units} (quorum {consensus.required_quorum})"
            )
        if consensus.reports > len(standing):
            raise _differs(f"proves {len(standing)} standing reports for {token.token}, not {consensus.reports}")
        for report in token.reports:
            if standing.get(report.reporter.lower()) != stated.units:
                raise _differs(f"does not show the stated report of {report.reporter} for {token.token}")

    def _anchor(self) -> None:
        case, registry = self.case, self.case.trust.registry
        anchor, predicate = case.receipts.anchor, case.predicate
        if registry.code_hash is None or registry.attestations_slot is None:
            raise _UnprovenError("your trust file pins no code hash and slot of the registry")
        publishers = [p.address for p in case.trust.publishers if p.valid_in(case.period)]
        publisher = next((address for address in publishers if same_address(address, anchor.publisher)), None)
        if publisher is None:
            raise _differs(f"is about the publisher {anchor.publisher}, whom you do not trust for this period")
        if anchor.block.chain_id != registry.chain_id:
            raise _differs("has its anchor on another chain than your registry")
        account = self._state(anchor.block).account(registry.address, registry.code_hash)
        period = int.from_bytes(predicate.period.encode("ascii").ljust(32, b"\0"), "big")
        first = _member(int(registry.attestations_slot, 16), int(publisher, 16), period, predicate.revision)
        found = [account.slot((first + offset) % _WORD) for offset in range(5)]
        merkle = predicate.merkle
        expected = [int(merkle.root, 16), merkle.size, int(case.statement_digest, 16)]
        if found != [*expected, int(anchor.log_root, 16), anchor.log_size]:
            raise _differs("proves another entry in the registry than the one of this statement")

    # -- headers -----------------------------------------------------------------------------------------------------

    def _state(self, block: Block) -> _State:
        """The state after ``block``, once its header is believed. Raises :class:`_UnprovenError`."""
        key = f"{block.chain_id} {block.hash}"
        if key not in self.states:
            self.states[key] = self._believed(block)
        return self.states[key]

    def _believed(self, block: Block) -> _State:
        proofs = [proof for proof in self.document.blocks if proof.block == block]
        if not proofs:
            raise _UnprovenError(f"{CHAIN_PROOF} does not cover block {block.number} of chain {block.chain_id}")
        header = qbft.parse_header(_bytes(proofs[0].header))
        if bytes.fromhex(block.hash) not in header.hashes:
            raise _differs(f"has a header for block {block.number} whose hash is not the block's")
        if (header.number, header.timestamp) != (block.number, block.timestamp):
            raise _differs(f"has a header for block {block.number} with another number or time")
        self._vouched(block, header)
        return _State(header, proofs)

    def _vouched(self, block: Block, header: qbft.Header) -> None:
        try:
            theirs = chain_rpc.block_hash(self.nodes, block)
        except EndpointError:
            theirs = None
        if theirs is not None:
            if theirs != block.hash:
                raise _differs(f"is about a block {block.number} that is another one on your node")
            return
        chain = self.case.trust.chain(block.chain_id)
        validators = chain.validators if chain is not None else ()
        if not validators:
            raise _UnprovenError(f"nothing vouches for the headers of chain {block.chain_id} (no validators, no node)")
        sealed = len(qbft.sealers(header, validators))
        if sealed < qbft.enough(len(validators)):
            raise _UnprovenError(
                f"{sealed} of {len(validators)} validators sealed block {block.number}, "
                f"{qbft.enough(len(validators))} needed"
            )


class _State:
    """The state trie after one believed block."""

    def __init__(self, header: qbft.Header, proofs: list[BlockProof]) -> None:
        self.timestamp = header.timestamp
        self._root = header.state_root
        self._proofs = [account for proof in proofs for account in proof.accounts]

    def account(self, address: str, code_hash: str) -> _Account:
        """The account at ``address``, which must have this code. Raises :class:`_UnprovenError` without a proof."""
        from eth_hash.auto import keccak

        proofs = [proof for proof in self._proofs if same_address(proof.address, address)]
        if not proofs:
            raise _UnprovenError(f"{CHAIN_PROOF} does not cover {address}")
        encoded = _proven(self._root, keccak(bytes.fromhex(address.removeprefix("0x"))), proofs[0].nodes)
        account = _decoded(encoded) if encoded else []
        if not isinstance(account, list) or len(account) != 4 or account[3] != bytes.fromhex(code_hash):
            raise _differs(f"shows other code at {address} than your trust file pins, or none")
        return _Account(address, account[2], [slot for proof in proofs for slot in proof.storage])


class _Account:
    """One account's storage trie."""

    def __init__(self, address: str, storage_root: bytes, proofs: list[StorageProof]) -> None:
        self.address = address
        self._root = storage_root
        self._proofs = {int(proof.slot, 16): proof for proof in proofs}

    def slot(self, number: int) -> int:
        """The proven value of a slot. Raises :class:`_UnprovenError` if there is no proof of it."""
        from eth_hash.auto import keccak

        proof = self._proofs.get(number)
        if proof is None:
            raise _UnprovenError(f"{CHAIN_PROOF} does not cover slot 0x{number:064x} of {self.address}")
        encoded = _proven(self._root, keccak(number.to_bytes(32, "big")), proof.nodes)
        item = _decoded(encoded) if encoded else b""
        if not isinstance(item, bytes) or len(item) > 32:
            raise _differs(f"has a slot of {self.address} that holds no word")
        return int.from_bytes(item, "big")


def _standing(account: _Account, slots: OracleSlots, token: str, now: int) -> dict[str, int]:
    """The standing reports for ``token`` by reporter, as the reference oracle's ``_standing`` counts them: not removed,
    not older than ``consensusValidity`` at ``now``, of an account that holds REPORTER_ROLE."""
    # EnumerableSet keeps its values in a dynamic array: the length in its own slot, the elements from keccak256(slot).
    members = _member(int(slots.role_members, 16), REPORTER_ROLE)
    count, first = account.slot(members), _keccak(members)
    if count > MAX_REPORTERS:
        raise _differs(f"shows {count} reporters, more than the oracle can have")
    validity = account.slot(int(slots.consensus_validity, 16))
    standing = {}
    for index in range(count):
        reporter = account.slot((first + index) % _WORD)
        report = _member(int(slots.reports, 16), int(token, 16), reporter)
        # The second slot is the timestamp, with the flag of a removed report above it.
        reserve, timestamp = account.slot(report), account.slot((report + 1) % _WORD)
        if 0 < timestamp < 2**64 and now - timestamp <= validity:
            standing[f"0x{reporter:040x}"] = reserve
    return standing


def _member(slot: int, *keys: int) -> int:
    """The slot of ``mapping[key]...[key]`` (Solidity, "Layout of State Variables in Storage", mappings)."""
    for key in keys:
        slot = _keccak(key, slot)
    return slot


def _keccak(*words: int) -> int:
    from eth_hash.auto import keccak

    return int.from_bytes(keccak(b"".join(word.to_bytes(32, "big") for word in words)), "big")


def _proven(root: bytes, key: bytes, nodes: tuple[str, ...]) -> bytes:
    """The value under ``key`` in the trie with ``root``, empty if the trie has none; from the nodes of one proof."""
    from eth_hash.auto import keccak
    from trie.hexary import HexaryTrie

    if len(nodes) > _MAX_NODES:
        raise _differs("has a proof with more nodes than a key has digits")
    encoded = [_bytes(node) for node in nodes]
    try:
        return bytes(HexaryTrie({keccak(node): node for node in encoded}, root).get(key))
    except Exception as fault:  # trie and rlp raise many kinds on nodes that are not what they should be
        raise _differs(f"has a proof that does not lead to the state's root ({type(fault).__name__})") from None


def _decoded(encoded: bytes) -> Any:
    import rlp

    try:
        return rlp.decode(encoded)
    except (rlp.exceptions.RLPException, RecursionError):
        raise _differs("has a proven value that is not RLP") from None


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _differs("has a node or header that is not hex") from None


def _differs(detail: str) -> VerificationError:
    return refuse(f"{CHAIN_PROOF} {detail}", _ADVICE)
