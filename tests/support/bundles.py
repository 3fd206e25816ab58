"""Complete synthetic bundles and the trust files that go with them: no chain, no run, only keys made here.

:class:`Forge` holds everything that a bundle is made from; a test changes a part and makes the files again, so that
exactly one thing is wrong and everything downstream of it (digests, proofs, manifest) is right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import rlp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_hash.auto import keccak
from eth_keys import keys as eth_keys
from trie.hexary import HexaryTrie

from attest.documents import (
    MANIFEST_PAYLOAD_TYPE,
    PAYLOAD_TYPE,
    AbandonedAttempt,
    AccountProof,
    Agreement,
    Anchor,
    BlockProof,
    ChainBlocks,
    ChainProof,
    ConsensusStatement,
    DeploymentStatement,
    Digests,
    Manifest,
    ManifestFile,
    MerkleCommitment,
    PolicyInForce,
    Predicate,
    Receipt,
    Receipts,
    ReportTransaction,
    Reserves,
    ReservesToken,
    Statement,
    StorageProof,
    Subject,
    TokenStatement,
)
from attest.log.checkpoint import Checkpoint
from attest.log.note import COSIGNATURE_V1, ED25519, Note, cosign, parse_vkey, sign_note, verifier_key
from attest.log.proof import LogProof
from attest.log.reader import LogReader
from attest.merkle.proof import InclusionProof, leaf_hash, node_hash
from attest.model import (
    AccountPolicy,
    Block,
    Decision,
    Observation,
    ReserveLeaf,
    ReserveLeaves,
    SourcePolicy,
)
from attest.money import ratio_percent
from attest.period import Period
from attest.records import digest, encode_base64, from_json, to_json
from attest.signing import dsse
from attest.signing.ed25519 import Ed25519Signer
from attest.statement import attested
from attest.verify.bundle import CHAIN_PROOF, MANIFEST, MANIFEST_ENVELOPE
from attest.verify.case import Case, EndpointError, Rpc
from attest.verify.report import Report
from attest.verify.trust import (
    MinimumPolicy,
    OracleSlots,
    Trust,
    TrustedAttestor,
    TrustedChain,
    TrustedDeployment,
    TrustedLog,
    TrustedOracle,
    TrustedPublisher,
    TrustedRegistry,
    TrustedToken,
    TrustedWitnesses,
)
from attest.verify.verifier import judge

PERIOD = "2026-W47"
CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CHAIN = 138
ISSUER = "Example Issuer Ltd"
ORIGIN = "example.com/reserves"

ORACLE = "0x" + "0a" * 20
REGISTRY = "0x" + "0b" * 20
PUBLISHER = "0x" + "0c" * 20
REPORTERS = tuple("0x" + f"{number:02x}" * 20 for number in (0xD1, 0xD2, 0xD3))
USDW = "0x" + "e1" * 20
EURW = "0x" + "e2" * 20
CODE = hashlib.sha256(b"code").hexdigest()

SUPPLY_SLOT = 2
SLOTS = OracleSlots(
    reports=f"{2:064x}", role_members=f"{1:064x}", required_quorum=f"{3:064x}", consensus_validity=f"{5:064x}"
)
ATTESTATIONS_SLOT = f"{1:064x}"
ROLE = keccak(b"REPORTER_ROLE")


def transaction(*parts: object) -> str:
    """A stable 32-byte digest of anything."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


# -- keys ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attestor:
    """A statement key: signs the PAE of what it is given."""

    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def keyid(self) -> str:
        return dsse.keyid_of(dsse.spki_der(self.pem.encode()))

    def sign(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
        """The DER signature, the same each time (RFC 6979)."""
        message = dsse.message_digest(payload_type, payload)
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)))
        return dsse.encode_der(r, s)


#: So many attestors' keys exist at most.
_ATTESTORS = 10


@cache
def attestor(number: int) -> Attestor:
    return Attestor(ec.derive_private_key(number + 1, ec.SECP256K1()))


def note_key(name: str) -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


LOG_KEY = note_key("log")
LOG_VKEY = verifier_key(ORIGIN, ED25519, LOG_KEY).vkey
WITNESSES = ("witness.example/one", "witness.example/two")


def witness_vkey(name: str) -> str:
    return verifier_key(name, COSIGNATURE_V1, note_key(name)).vkey


# -- a chain ---------------------------------------------------------------------------------------------------------


@cache
def validator(number: int) -> Any:
    return eth_keys.PrivateKey(hashlib.sha256(f"validator {number}".encode()).digest())


VALIDATORS = tuple(validator(number).public_key.to_address() for number in range(4))


def member(slot: int, *keys: int) -> int:
    """The slot of ``mapping[key]...[key]``."""
    for key in keys:
        slot = int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")
    return slot


class World:
    """The state of a chain after one block: storage by address, all contracts with the same code."""

    def __init__(self, storage: Mapping[str, Mapping[int, int]], code: str = CODE) -> None:
        self._tries: dict[str, HexaryTrie] = {}
        self._state = HexaryTrie({})
        self._code = code
        for address, slots in storage.items():
            trie = HexaryTrie({})
            for slot, value in slots.items():
                if value:
                    trie[_slot_key(slot)] = value if isinstance(value, bytes) else rlp.encode(value)
            self._tries[address] = trie
            account = [1, 0, trie.root_hash, bytes.fromhex(code)]
            self._state[keccak(bytes.fromhex(address[2:]))] = rlp.encode(account)

    @property
    def root(self) -> bytes:
        return self._state.root_hash

    def prove(self, address: str, slots: Mapping[int, int], purpose: Any, token: str | None) -> AccountProof:
        """As ``eth_getProof`` does; the values are what the proof's file says, the nodes are the trie's."""
        trie = self._tries[address]
        return AccountProof(
            purpose=purpose,
            token=token,
            address=address,
            code_hash=self._code,
            nodes=_nodes(self._state, keccak(bytes.fromhex(address[2:]))),
            storage=tuple(
                StorageProof(
                    f"{slot:064x}",
                    value if isinstance(value, int) else 0,
                    _nodes(trie, keccak(slot.to_bytes(32, "big"))),
                )
                for slot, value in slots.items()
            ),
        )


def _slot_key(slot: int) -> bytes:
    return bytes(keccak(slot.to_bytes(32, "big")))


def _nodes(trie: HexaryTrie, key: bytes) -> tuple[str, ...]:
    return tuple(rlp.encode(node).hex() for node in trie.get_proof(key))


MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")


@dataclass(frozen=True)
class SealedHeader:
    """A QBFT header built field by field, by the rule in formats.md: an implementation apart from the verifier's."""

    number: int
    timestamp: int
    state_root: bytes
    round: int = 1
    validators: tuple[str, ...] = VALIDATORS
    sealers: tuple[int, ...] = (0, 1, 2)
    seal_round: int | None = None
    mix_hash: bytes = MIX_HASH

    def _encode(self, round_number: int, seals: Sequence[bytes]) -> bytes:
        addresses = [bytes.fromhex(address[2:]) for address in self.validators]
        extra = rlp.encode([bytes(32), addresses, [], round_number, list(seals)])
        zero = bytes(32)
        return bytes(
            rlp.encode(
                [
                    *(zero, zero, bytes(20), self.state_root, zero, zero, bytes(256), 1),
                    *(self.number, 30_000_000, 0, self.timestamp, extra, self.mix_hash, bytes(8)),
                ]
            )
        )

    @property
    def hash(self) -> bytes:
        return bytes(keccak(self._encode(0, ())))

    @property
    def encoded(self) -> bytes:
        sealed = keccak(self._encode(self.round if self.seal_round is None else self.seal_round, ()))
        seals = [validator(number).sign_msg_hash(sealed).to_bytes() for number in self.sealers]
        return self._encode(self.round, seals)

    @property
    def block(self) -> Block:
        return Block(CHAIN, self.number, self.hash.hex(), self.timestamp)


# -- the bundle ------------------------------------------------------------------------------------------------------

SUPPLY_TIME = int(CUTOFF.timestamp()) - 4
CONFIRM_TIME = int(CUTOFF.timestamp()) + 3_600
VALIDITY = 8 * 86_400


def sufficient_token(
    name: str = "USDW",
    currency: str = "USD",
    address: str = USDW,
    *,
    decimals: int = 6,
    minor_units: int = 120_411_307,
    supply: int = 1_200_000_000_000,
    accounts: int = 2,
    consensus: int | None = None,
) -> TokenStatement:
    """A token with everything that follows from its reserve and supply (short if that is larger)."""
    units = minor_units * 10**decimals // 100
    agreed = units if consensus is None else consensus
    held = min(units, agreed)
    return TokenStatement(
        token=name,
        currency=currency,
        exponent=2,
        decimals=decimals,
        verdict="sufficient" if held >= supply else "short",
        supply_units=supply,
        confirm_supply_units=supply,
        deployments=(DeploymentStatement(CHAIN, address, decimals, supply, supply),),
        reserve_minor_units=minor_units,
        reserve_units=units,
        remainder_minor_units=0,
        surplus_units=held - supply,
        ratio_percent=ratio_percent(held, supply),
        oldest_as_of=datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC),
        agreement=Agreement(accounts, 2 * accounts, 2, 2, 0, ()),
        policy=PolicyInForce(2, 2, 0, 0, 96 * 3600, 0),
        reports=tuple(
            ReportTransaction(CHAIN, reporter, transaction(name, reporter), 105) for reporter in REPORTERS[:2]
        ),
        consensus=ConsensusStatement(ORACLE, agreed, True, 2, 3),
    )


def withheld_token(token: TokenStatement, code: str = "deadline") -> TokenStatement:
    """The same token without a reserve."""
    return TokenStatement(
        token=token.token,
        currency=token.currency,
        exponent=token.exponent,
        decimals=token.decimals,
        verdict="withheld",
        supply_units=token.supply_units,
        confirm_supply_units=token.confirm_supply_units,
        deployments=token.deployments,
        withheld_code=code,
    )


def of_period(predicate: Predicate, period: str) -> Predicate:
    """The statement of another period: every time in it is as many weeks later."""
    weeks = (_monday(period) - _monday(predicate.period)) // timedelta(weeks=1)
    later, seconds = timedelta(weeks=weeks), weeks * 7 * 86_400

    def moved(block: Block) -> Block:
        return replace(block, timestamp=block.timestamp + seconds)

    return replace(
        predicate,
        period=period,
        cutoff=predicate.cutoff + later,
        chains=tuple(replace(c, supply=moved(c.supply), confirm=moved(c.confirm)) for c in predicate.chains),
        tokens=tuple(
            token if token.oldest_as_of is None else replace(token, oldest_as_of=token.oldest_as_of + later)
            for token in predicate.tokens
        ),
    )


def _monday(period: str) -> datetime:
    named = Period.parse(period)
    return datetime.fromisocalendar(named.year, named.week, 1)


def make_leaves(tokens: Sequence[TokenStatement], period: str = PERIOD) -> list[bytes]:
    """The leaves behind the tokens' totals: all of the total on the first account but one unit on each other."""
    leaves = []
    for token in tokens:
        stated = attested(token)
        for number in range(0 if stated is None else stated.agreement.accounts):
            assert stated is not None
            rest = stated.agreement.accounts - 1
            leaves.append(
                to_json(
                    ReserveLeaf(
                        format="attest-reserve-leaf/1",
                        period=period,
                        token=token.token,
                        account=f"{token.token.lower()}-{number}",
                        custodian="First Custodian Bank",
                        currency=token.currency,
                        minor_units=stated.minor_units - rest if number == 0 else 1,
                        balance_kind="closing-booked",
                        as_of=stated.oldest_as_of,
                        ownership="custodian-confirmed",
                        evidence=tuple(sorted(map(digest, documents(token.token, number)))),
                        salt=transaction("salt", token.token, number),
                    )
                )
            )
    return leaves


def documents(token: str, number: int) -> tuple[bytes, bytes]:
    """What the two sources of an account sent."""
    return f"{token} {number} by the bank".encode(), f"{token} {number} by the trustee".encode()


def make_decision(tokens: Sequence[TokenStatement], leaves: Sequence[bytes]) -> Decision:
    """What the leaves were decided on: two sources of each account, which agree."""
    accounts = [from_json(ReserveLeaf, leaf, "a leaf") for leaf in leaves]
    numbers = {leaf.account: int(leaf.account.rpartition("-")[2]) for leaf in accounts}
    names = ("bank", "trustee")
    return Decision(
        format="attest-decision/1",
        period=PERIOD,
        revision=0,
        cutoff=CUTOFF,
        policies=tuple(
            AccountPolicy(
                account=leaf.account,
                token=leaf.token,
                custodian=leaf.custodian,
                external_account=f"EX{leaf.account}",
                currency=leaf.currency,
                balance_kind=leaf.balance_kind,
                ownership=leaf.ownership,
                sources=tuple(SourcePolicy(name, f"{name}.example", False, "2026-11-20") for name in names),
                min_sources=2,
                min_origins=2,
                tolerance_abs=0,
                tolerance_bps=0,
                max_age_seconds=96 * 3600,
                allow_dissent=0,
            )
            for leaf in accounts
        ),
        previous={},
        observations=tuple(
            Observation(
                account=leaf.account,
                source=name,
                external_account=f"EX{leaf.account}",
                currency=leaf.currency,
                minor_units=leaf.minor_units,
                balance_kind=leaf.balance_kind,
                as_of=leaf.as_of,
                statement_id=f"{leaf.account}/{name}",
                retrieved_at=CUTOFF,
                evidence=(digest(document),),
            )
            for leaf in accounts
            for name, document in zip(names, documents(leaf.token, numbers[leaf.account]), strict=True)
        ),
        failures=(),
        ownership={},
        acknowledged=(),
        withheld=tuple(token.token for token in tokens if attested(token) is None),
    )


def log_files(entries: Sequence[bytes], *, key: Ed25519Signer = LOG_KEY, name: str = ORIGIN) -> dict[str, bytes]:
    """The static files of a log of at most 255 entries, by their path below its root, with the tiles of every size."""
    hashes = [leaf_hash(entry) for entry in entries]
    head = Checkpoint(name, len(entries), merkle_root(hashes))
    files = {"checkpoint": sign_note(head.text, name, key).to_bytes()}
    for size in range(1, len(entries) + 1):
        files[f"tile/0/000.p/{size}"] = b"".join(hashes[:size])
        files[f"tile/entries/000.p/{size}"] = b"".join(
            len(entry).to_bytes(2, "big") + entry for entry in entries[:size]
        )
    return files


def log_reader(entries: Sequence[bytes], *, key: Ed25519Signer = LOG_KEY) -> LogReader:
    """The log of these entries, seen from outside."""
    return LogReader(log_files(entries, key=key).get, parse_vkey(LOG_VKEY), "the log")


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, by its recursive definition."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(merkle_root(hashes[:split]), merkle_root(hashes[split:]))


def merkle_path(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """RFC 9162 section 2.1.3.1, by its recursive definition."""
    if len(hashes) <= 1:
        return ()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < split:
        return (*merkle_path(hashes[:split], index), merkle_root(hashes[split:]))
    return (*merkle_path(hashes[split:], index - split), merkle_root(hashes[:split]))


def default_predicate(tokens: Sequence[TokenStatement], leaves: Sequence[bytes]) -> Predicate:
    """The predicate about these tokens; its blocks are filled in by :meth:`Forge.chained`."""
    nothing = Block(CHAIN, 0, "00" * 32, 0)
    return Predicate(
        issuer=ISSUER,
        period=PERIOD,
        revision=0,
        attempt=1,
        abandoned=(),
        cutoff=CUTOFF,
        clock="system",
        supply_at="cutoff",
        chains=(ChainBlocks(CHAIN, nothing, 0, nothing),),
        tokens=tuple(tokens),
        merkle=MerkleCommitment(merkle_root([leaf_hash(leaf) for leaf in leaves]).hex(), len(leaves)),
        disclosures=(),
        configuration="ab" * 32,
        software="reserve-attest 0.1.0",
    )


@dataclass
class Forge:
    """What a bundle is made from. Change a field, then :meth:`files`. Hooks named ``alter_*`` see the finished document
    just before it is serialised; ``signers`` are the numbers of the statement's attestors, ``manifest_signers`` of the
    manifest's. Without ``signed_manifest`` it is the bundle of an older statement.

    The log has ``log_size`` entries, this one at ``log_index``, all others being no statements; or exactly those
    ``before`` and ``after`` it, if the former are given."""

    tokens: tuple[TokenStatement, ...] = (
        sufficient_token("EURW", "EUR", EURW, decimals=2, minor_units=84_050_000, supply=84_000_000, accounts=1),
        sufficient_token(),
    )
    signers: tuple[int, ...] = (0, 1)
    witnesses: tuple[str, ...] = WITNESSES
    log_key: Ed25519Signer = LOG_KEY
    log_name: str = ORIGIN
    log_size: int = 5
    log_index: int = 3
    sealers: tuple[int, ...] = (0, 1, 2)
    code: str = CODE
    report_time: int = CONFIRM_TIME - 60
    alter_leaves: Callable[[list[bytes]], list[bytes]] = lambda leaves: leaves
    alter_predicate: Callable[[Predicate], Predicate] = lambda predicate: predicate
    alter_payload: Callable[[bytes], bytes] = lambda payload: payload
    alter_envelope: Callable[[bytes], bytes] = lambda envelope: envelope
    alter_reserves: Callable[[Reserves], Reserves] = lambda reserves: reserves
    alter_receipts: Callable[[Receipts], Receipts] = lambda receipts: receipts
    alter_chain_proof: Callable[[ChainProof], ChainProof] = lambda proof: proof
    alter_state: Callable[[dict[str, dict[int, int]]], None] = lambda storage: None
    alter_files: Callable[[dict[str, bytes]], None] = lambda files: None
    payload_type: str = PAYLOAD_TYPE
    before: tuple[bytes, ...] | None = None
    after: tuple[bytes, ...] = ()
    signed_manifest: bool = True
    manifest_signers: tuple[int, ...] = (0,)
    leaves: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)

    # -- the chain ---------------------------------------------------------------------------------------------------

    def _supplies(self, confirm: bool) -> dict[str, dict[int, int]]:
        return {
            d.address: {SUPPLY_SLOT: d.confirm_supply_units if confirm else d.supply_units}
            for token in self.tokens
            for d in token.deployments
        }

    def oracle_storage(self) -> dict[int, int]:
        """The reference oracle's slots: three reporters, quorum of two, everyone's report as stated."""
        members = member(1, int.from_bytes(ROLE, "big"))
        first = int.from_bytes(keccak(members.to_bytes(32, "big")), "big")
        slots = {3: 2, 5: VALIDITY, members: len(REPORTERS)}
        for number, reporter in enumerate(REPORTERS):
            slots[first + number] = int(reporter, 16)
            for token in self.tokens:
                stated = attested(token)
                report = member(2, int(token.deployments[0].address, 16), int(reporter, 16))
                # The operator's two report its own reserve, the third decides a lower consensus.
                lower = 0 if stated is None else stated.consensus.units
                own = 0 if stated is None else stated.units
                slots[report] = own if number < 2 and lower >= own else lower if number == 2 or lower < own else own
                slots[report + 1] = 0 if stated is None else self.report_time
        return slots

    def files(self) -> dict[str, bytes]:
        """The bundle's files by name."""
        self.leaves = self.alter_leaves(make_leaves(self.tokens))
        supply_storage = self._supplies(confirm=False)
        confirm_storage = self._supplies(confirm=True) | {ORACLE: self.oracle_storage()}
        self.alter_state(confirm_storage)
        supply_world, confirm_world = World(supply_storage, self.code), World(confirm_storage, self.code)
        supply = SealedHeader(100, SUPPLY_TIME, supply_world.root, sealers=self.sealers)
        confirm = SealedHeader(110, CONFIRM_TIME, confirm_world.root, sealers=self.sealers)
        predicate = replace(
            default_predicate(self.tokens, self.leaves),
            chains=(ChainBlocks(CHAIN, supply.block, int(CUTOFF.timestamp()) - SUPPLY_TIME, confirm.block),),
            bundle="attest-manifest/2" if self.signed_manifest else None,
        )
        predicate = self.alter_predicate(predicate)
        reserves = to_json(self.alter_reserves(self._reserves(predicate)))
        payload = self.alter_payload(
            to_json(
                Statement(
                    _type="https://in-toto.io/Statement/v1",
                    subject=(Subject("reserves.json", Digests(digest(reserves))),),
                    predicateType="urn:reserve-attest:predicate:reserves:v1",
                    predicate=predicate,
                )
            )
        )
        envelope = self.alter_envelope(
            dsse.assemble_envelope(
                self.payload_type,
                payload,
                [
                    (attestor(number).keyid, attestor(number).sign(payload, self.payload_type))
                    for number in self.signers
                ],
            )
        )
        checkpoint, log_proof = self._log(envelope)
        entry = (
            int(predicate.merkle.root, 16),
            predicate.merkle.size,
            int(digest(payload), 16),
            int.from_bytes(checkpoint.root, "big"),
            checkpoint.size,
        )
        period = int.from_bytes(predicate.period.encode().ljust(32, b"\0"), "big")
        first = member(1, int(PUBLISHER, 16), period, predicate.revision)
        entry_slots = {(first + number) % 2**256: value for number, value in enumerate(entry)}
        anchor_world = World({REGISTRY: entry_slots}, self.code)
        anchor = SealedHeader(120, CONFIRM_TIME + 60, anchor_world.root, sealers=self.sealers)
        receipts = self.alter_receipts(self._receipts(predicate, digest(payload), checkpoint, anchor.block))
        proofs = self.alter_chain_proof(
            ChainProof(
                "attest-chain-proof/1",
                predicate.period,
                predicate.revision,
                (
                    self._block_proof(supply, supply_world, supply_storage),
                    self._block_proof(confirm, confirm_world, confirm_storage),
                    BlockProof(
                        anchor.block,
                        anchor.encoded.hex(),
                        (anchor_world.prove(REGISTRY, entry_slots, "anchor", None),),
                    ),
                ),
            )
        )
        files = {
            "attestation.dsse.json": envelope,
            "attestation.tlog-proof": log_proof,
            "chain-proof.json": to_json(proofs),
            "receipts.json": to_json(receipts),
            "reserves.json": reserves,
        }
        self.alter_files(files)
        signers = self.manifest_signers if self.signed_manifest else ()
        return sealed(files, predicate.period, predicate.revision, signers)

    @staticmethod
    def _block_proof(header: SealedHeader, world: World, storage: Mapping[str, Mapping[int, int]]) -> BlockProof:
        return BlockProof(
            header.block,
            header.encoded.hex(),
            tuple(
                world.prove(address, slots, "consensus" if address == ORACLE else "supply", None)
                for address, slots in storage.items()
            ),
        )

    # -- documents ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _reserves(predicate: Predicate) -> Reserves:
        return Reserves(
            "attest-reserves/1",
            predicate.period,
            predicate.revision,
            predicate.merkle,
            tuple(
                ReservesToken(token.token, token.currency, stated.minor_units, stated.units, stated.agreement.accounts)
                for token in predicate.tokens
                if (stated := attested(token)) is not None
            ),
        )

    def _log(self, envelope: bytes) -> tuple[Checkpoint, bytes]:
        if self.before is None:
            entries = [b"entry %d" % number for number in range(self.log_size)]
            index = self.log_index
            entries[index] = envelope
        else:
            entries = [*self.before, envelope, *self.after]
            index = len(self.before)
        self.entries = entries
        hashes = [leaf_hash(entry) for entry in entries]
        checkpoint = Checkpoint(self.log_name, len(entries), merkle_root(hashes))
        note = sign_note(checkpoint.text, self.log_name, self.log_key)
        cosignatures = tuple(cosign(note.text, name, note_key(name), CONFIRM_TIME + 30) for name in self.witnesses)
        signed = Note(note.text, note.signatures + cosignatures).to_bytes()
        return checkpoint, LogProof(index, merkle_path(hashes, index), signed).to_bytes()

    @staticmethod
    def _receipts(predicate: Predicate, statement: str, checkpoint: Checkpoint, anchor: Block) -> Receipts:
        reports = tuple(
            Receipt(
                "report",
                token.token,
                report.chain_id,
                report.reporter,
                ORACLE,
                report.transaction,
                transaction("block", report.block_number),
                report.block_number,
                60_000,
            )
            for token in predicate.tokens
            for report in token.reports
        )
        anchoring = Receipt(
            "anchor", None, CHAIN, PUBLISHER, REGISTRY, transaction("anchor"), anchor.hash, anchor.number, 90_000
        )
        return Receipts(
            "attest-receipts/1",
            predicate.period,
            predicate.revision,
            statement,
            (*reports, anchoring),
            Anchor(
                CHAIN,
                REGISTRY,
                PUBLISHER,
                anchor,
                predicate.merkle.root,
                predicate.merkle.size,
                statement,
                checkpoint.root.hex(),
                checkpoint.size,
            ),
        )

    def write(self, folder: Path) -> Path:
        """The bundle in ``folder`` (made if missing); returns it."""
        return write(self.files(), folder)

    def leaves_file(self) -> bytes:
        """``leaves.json``; call after :meth:`files`."""
        return to_json(ReserveLeaves("attest-leaves/1", PERIOD, 0, tuple(map(encode_base64, self.leaves))))

    def write_package(self, folder: Path, decision: Decision | None = None) -> Path:
        """An opened audit package in ``folder``, as far as it is verified; call after :meth:`files`."""
        (folder / "evidence").mkdir(parents=True, exist_ok=True)
        (folder / "leaves.json").write_bytes(self.leaves_file())
        (folder / "decision.json").write_bytes(to_json(decision or make_decision(self.tokens, self.leaves)))
        for leaf in self.leaves:
            token, _, number = from_json(ReserveLeaf, leaf, "a leaf").account.rpartition("-")
            for document in documents(token.upper(), int(number)):
                (folder / "evidence" / digest(document)).write_bytes(document)
        return folder

    def inclusion_proof(self, index: int = 0) -> InclusionProof:
        """The proof of a leaf; call after :meth:`files`."""
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        return InclusionProof(
            "attest-inclusion-proof/1",
            PERIOD,
            0,
            len(hashes),
            index,
            encode_base64(self.leaves[index]),
            tuple(node.hex() for node in merkle_path(hashes, index)),
            merkle_root(hashes).hex(),
        )


def manifest(files: Mapping[str, bytes], period: str = PERIOD, revision: int = 0, *, signed: bool = True) -> bytes:
    """The manifest of these files: that of a bundle in which it is signed, or of an older one."""
    listed = tuple(
        ManifestFile(name, digest(data), len(data))
        for name, data in sorted(files.items())
        if name not in (MANIFEST, MANIFEST_ENVELOPE)
    )
    return to_json(Manifest("attest-manifest/2" if signed else "attest-manifest/1", period, revision, listed))


def sealed(
    files: Mapping[str, bytes], period: str = PERIOD, revision: int = 0, signers: Sequence[int] = (0,)
) -> dict[str, bytes]:
    """These files with a manifest of them that the attestors ``signers`` signed; without any, the older one."""
    rest = {name: data for name, data in files.items() if name not in (MANIFEST, MANIFEST_ENVELOPE)}
    listing = manifest(rest, period, revision, signed=bool(signers))
    if not signers:
        return rest | {MANIFEST: listing}
    signatures = [(attestor(n).keyid, attestor(n).sign(listing, MANIFEST_PAYLOAD_TYPE)) for n in signers]
    return rest | {
        MANIFEST: listing,
        MANIFEST_ENVELOPE: dsse.assemble_envelope(MANIFEST_PAYLOAD_TYPE, listing, signatures),
    }


def without_chain_proof(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same bundle as if it had been published without its chain proof, by the same attestors."""
    rest = {name: data for name, data in files.items() if name != CHAIN_PROOF}
    before = from_json(Manifest, files[MANIFEST], MANIFEST)
    keyids: set[str] = set()
    if MANIFEST_ENVELOPE in files:
        keyids = {item.keyid for item in dsse.parse_envelope(files[MANIFEST_ENVELOPE]).signatures}
    signers = [number for number in range(_ATTESTORS) if attestor(number).keyid in keyids]
    return sealed(rest, before.period, before.revision, signers)


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """The files in ``folder`` (made if missing); returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@cache
def standard_files() -> Mapping[str, bytes]:
    """The files of the unchanged bundle."""
    return Forge().files()


@cache
def trust() -> Trust:
    """The trust file that the unchanged bundle passes in full."""
    return Trust(
        format="attest-trust/1",
        issuer=ISSUER,
        earliest_period="2026-W40",
        chains=(TrustedChain(CHAIN, "instant", True, VALIDATORS),),
        oracle=TrustedOracle(CHAIN, ORACLE, 2, CODE, SLOTS),
        registry=TrustedRegistry(CHAIN, REGISTRY, CODE, ATTESTATIONS_SLOT),
        publishers=(TrustedPublisher(PUBLISHER, "2026-W40"),),
        tokens=(
            TrustedToken("EURW", "EUR", 2, 2, (TrustedDeployment(CHAIN, EURW, 2, CODE, f"{SUPPLY_SLOT:064x}"),)),
            TrustedToken("USDW", "USD", 2, 6, (TrustedDeployment(CHAIN, USDW, 6, CODE, f"{SUPPLY_SLOT:064x}"),)),
        ),
        attestors=tuple(TrustedAttestor(f"attestor {number}", attestor(number).pem, "2026-W40") for number in range(3)),
        attestor_threshold=2,
        log=TrustedLog(ORIGIN, LOG_VKEY),
        witnesses=TrustedWitnesses(1, tuple(witness_vkey(name) for name in WITNESSES)),
        policy=MinimumPolicy(2, 2, 0, 0, 96 * 3600, 0),
        demands=("witnesses", "chain", "independent"),
        maximum_age_seconds=8 * 86_400,
    )


def abandoned(*reasons: str) -> tuple[AbandonedAttempt, ...]:
    """Earlier attempts with these reasons."""
    return tuple(AbandonedAttempt(number, reason) for number, reason in enumerate(reasons, 1))


def judged(
    made: Forge | Mapping[str, bytes],
    judge_by: Trust | None = None,
    *,
    now: datetime = NOW,
    rpcs: tuple[Rpc, ...] = (),
    proofs: bool = False,
    **brought: Any,
) -> Report:
    """The verdict on a forge's bundle or on these files. Without ``proofs`` the chain proofs are left out, and with
    them the trust file's demand for the chain (recovering keys is slow), and the manifest is signed again.
    ``brought`` are fields of the :class:`Case`: what an auditor has besides."""
    files = dict(made.files() if isinstance(made, Forge) else made)
    by = judge_by or trust()
    if not proofs and CHAIN_PROOF in files:
        files = without_chain_proof(files)
    if not proofs:
        by = replace(by, demands=tuple(demand for demand in by.demands if demand != "chain"))
    return judge(Case(files, by, now, rpcs, **brought))


def failed(report: Report) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in report.checks if check.outcome == "fail"]


def detail(report: Report, name: str) -> str:
    """What the check ``name`` said."""
    return next(check.detail for check in report.checks if check.name == name)


class OwnNode:
    """An auditor's node as a callable: it knows the forge's blocks and contracts, as the bundle's files say them.

    Change ``answers`` (calldata at an address, optionally at a block hash) or ``headers`` (by tag or number) to make it
    disagree; an answer that is an exception is raised.
    """

    def __init__(self, files: Mapping[str, bytes], chain_id: int = CHAIN) -> None:
        predicate = statement_read(files)
        receipts = from_json(Receipts, files["receipts.json"], "receipts")
        chain = predicate.chains[0]
        self.chain_id: Any = hex(chain_id)
        self.headers: dict[str, Any] = {}
        self.answers: dict[tuple[str, str, str], Any] = {}
        for block in (chain.supply, chain.confirm, receipts.anchor.block):
            self.headers[hex(block.number)] = {
                "number": hex(block.number),
                "hash": f"0x{block.hash}",
                "timestamp": hex(block.timestamp),
            }
        self.headers["latest"] = self.headers["finalized"] = {"number": hex(130)}
        for token in predicate.tokens:
            for deployment in token.deployments:
                self._answer(deployment.address, "18160ddd", chain.supply, deployment.supply_units)
                self._answer(deployment.address, "18160ddd", chain.confirm, deployment.confirm_supply_units)
                stated = attested(token)
                if stated is not None:
                    argument = deployment.address[2:].rjust(64, "0")
                    self._answer(ORACLE, "f4926302" + argument, chain.confirm, int(stated.consensus.quorum_met))
                    self._answer(ORACLE, "247db9b8" + argument, chain.confirm, stated.consensus.units)
        anchor = receipts.anchor
        key = (
            PUBLISHER[2:].rjust(64, "0") + predicate.period.encode().hex().ljust(64, "0") + f"{predicate.revision:064x}"
        )
        entry = f"{anchor.root}{anchor.size:064x}{anchor.statement}{anchor.log_root}{anchor.log_size:064x}"
        self.answers[REGISTRY, "8c978c18" + key, "latest"] = "0x" + entry

    def _answer(self, to: str, data: str, block: Block, value: int) -> None:
        self.answers[to, data, block.hash] = f"0x{value:064x}"

    def __call__(self, method: str, parameters: Sequence[Any]) -> Any:
        if method == "eth_chainId":
            answer = self.chain_id
        elif method == "eth_getBlockByNumber":
            answer = self.headers.get(parameters[0])
        else:
            assert method == "eth_call", method
            call, at = parameters
            tag = at if isinstance(at, str) else at["blockHash"][2:]
            answer = self.answers.get((call["to"].lower(), call["data"][2:], tag), EndpointError("reverted", 3))
        if isinstance(answer, Exception):
            raise answer
        return answer


def statement_read(files: Mapping[str, bytes]) -> Predicate:
    """The predicate in a bundle's envelope, whatever it is worth."""
    return from_json(Statement, dsse.parse_envelope(files["attestation.dsse.json"]).body, "the payload").predicate
