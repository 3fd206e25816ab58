"""What an auditor pins, from outside: ``attest-trust/1`` (formats.md, "Trust file").

A bundle never vouches for itself. Everything that a verdict rests on (keys, contracts, the tokens that must be there,
the rule that must have been in force) is here, and the file is refused when it lies where the bundle lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from attest.errors import AttestError, OperatorError, VerificationError
from attest.log.note import COSIGNATURE_V1, ED25519, VerifierKey, parse_vkey
from attest.log.timestamp import load_certificates
from attest.period import Period
from attest.records import Amount, Hex32, from_json
from attest.signing import dsse
from attest.static import is_url, shown

MAX_TRUST_BYTES = 1 << 20
_OWN_TRUST = (
    "Write your own trust file (begin with the issuer's trust.example.json, compare every key and address with the "
    "issuer by another way), and keep it apart from downloaded bundles."
)
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_FINALITY = re.compile(r"instant|tag|depth:[1-9][0-9]{0,5}", re.ASCII)

#: What an auditor can demand beyond the checks that always apply; a demanded check that is skipped fails.
Demand = Literal["witnesses", "chain", "leaves", "independent", "evidence", "consistency", "history", "timestamp"]


def same_address(one: str, other: str) -> bool:
    """Whether two well-formed addresses are one; upper and lower case are only a checksum (EIP-55)."""
    return one.lower() == other.lower()


def _address(field: str, value: str) -> None:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{field} is not an address (0x and 40 hex digits)")


def _period(field: str, value: str) -> None:
    try:
        Period.parse(value)
    except AttestError as fault:
        raise ValueError(f"{field}: {fault.message}") from None


def _unique(field: str, values: list[object]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{field} lists the same thing twice")


@dataclass(frozen=True)
class TrustedChain:
    """A chain by its id (EIP-155). ``validators`` (addresses) is the whole set that seals its blocks (QBFT);
    ``independent`` says that the issuer does not control them. ``finality``: ``instant``, ``tag`` or ``depth:N``."""

    chain_id: int
    finality: str
    independent: bool
    validators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.chain_id < 1:
            raise ValueError("chain_id must be positive")
        if not _FINALITY.fullmatch(self.finality):
            raise ValueError("finality must be instant, tag or depth:N")
        for validator in self.validators:
            _address("validators", validator)
        _unique("validators", [validator.lower() for validator in self.validators])


@dataclass(frozen=True)
class OracleSlots:
    """Where the reference oracle keeps what its consensus is computed from (Solidity storage slots, 32 bytes each):
    ``_reports``, ``_roleMembers``, ``requiredQuorum`` and ``consensusValidity``."""

    reports: Hex32
    role_members: Hex32
    required_quorum: Hex32
    consensus_validity: Hex32


@dataclass(frozen=True)
class TrustedOracle:
    """The reserve oracle. ``min_quorum`` is the least number of reports that may make a consensus. ``code_hash`` is the
    keccak256 of its code; without it and ``slots`` its state cannot be proven offline."""

    chain_id: int
    address: str
    min_quorum: int
    code_hash: Hex32 | None = None
    slots: OracleSlots | None = None

    def __post_init__(self) -> None:
        _address("address", self.address)
        if self.min_quorum < 1:
            raise ValueError("min_quorum must be at least 1")


@dataclass(frozen=True)
class TrustedRegistry:
    """The attestation registry; ``attestations_slot`` is the storage slot of its mapping of entries."""

    chain_id: int
    address: str
    code_hash: Hex32 | None = None
    attestations_slot: Hex32 | None = None

    def __post_init__(self) -> None:
        _address("address", self.address)


@dataclass(frozen=True)
class Implementation:
    """What a proxy must point to: the storage slot that holds the address (ERC-1967 or another), and the address."""

    slot: Hex32
    address: str

    def __post_init__(self) -> None:
        _address("address", self.address)


@dataclass(frozen=True)
class TrustedDeployment:
    """One deployment of a token. ``supply_slot`` is where ``totalSupply`` is stored; ``implementation`` only if the
    address is a proxy."""

    chain_id: int
    address: str
    decimals: int
    code_hash: Hex32 | None = None
    supply_slot: Hex32 | None = None
    implementation: Implementation | None = None

    def __post_init__(self) -> None:
        _address("address", self.address)
        if not 0 <= self.decimals <= 36:
            raise ValueError("decimals must be 0 to 36")


@dataclass(frozen=True)
class TrustedToken:
    """A token that every attestation must speak of, with all its deployments. ``exponent`` is the number of decimals of
    the currency's minor unit (ISO 4217), ``decimals`` that of the units in the statement."""

    token: str
    currency: str
    exponent: int
    decimals: int
    deployments: tuple[TrustedDeployment, ...]

    def __post_init__(self) -> None:
        if not _SYMBOL.fullmatch(self.token):
            raise ValueError("token is not a plain name")
        if not re.fullmatch(r"[A-Z]{3}", self.currency, re.ASCII):
            raise ValueError("currency is not an ISO-4217 code")
        if not (0 <= self.exponent <= 4 and 0 <= self.decimals <= 36):
            raise ValueError("exponent must be 0 to 4 and decimals 0 to 36")
        if not self.deployments:
            raise ValueError("deployments is empty: a token without any supply to compare with proves nothing")


@dataclass(frozen=True)
class TrustedAttestor:
    """A key that may sign statements of the periods ``valid_from`` to ``valid_until`` (inclusive; open if left out).
    ``public_key`` is SPKI PEM, secp256k1. A compromised key ends with the last period that is still believed."""

    name: str
    public_key: str
    valid_from: str
    valid_until: str | None = None

    def __post_init__(self) -> None:
        _period("valid_from", self.valid_from)
        if self.valid_until is not None:
            _period("valid_until", self.valid_until)
        try:
            dsse.spki_der(self.public_key.encode())
        except VerificationError as fault:
            raise ValueError(f"public_key: {fault.message}") from None

    @cached_property
    def spki(self) -> bytes:
        """The key in SPKI DER: what makes two entries one key."""
        return dsse.spki_der(self.public_key.encode())

    def valid_in(self, period: Period) -> bool:
        return _within(self.valid_from, self.valid_until, period)


@dataclass(frozen=True)
class TrustedPublisher:
    """The account that anchors statements in the registry, in the periods ``valid_from`` to ``valid_until``."""

    address: str
    valid_from: str
    valid_until: str | None = None

    def __post_init__(self) -> None:
        _address("address", self.address)
        _period("valid_from", self.valid_from)
        if self.valid_until is not None:
            _period("valid_until", self.valid_until)

    def valid_in(self, period: Period) -> bool:
        return _within(self.valid_from, self.valid_until, period)


def _within(first: str, last: str | None, period: Period) -> bool:
    return Period.parse(first) <= period and (last is None or period <= Period.parse(last))


@dataclass(frozen=True)
class TrustedLog:
    """The transparency log by its origin and its own verifier key (C2SP signed-note)."""

    origin: str
    vkey: str

    def __post_init__(self) -> None:
        if _vkey("vkey", self.vkey, ED25519).name != self.origin:
            raise ValueError("vkey is of another name than origin")

    @property
    def key(self) -> VerifierKey:
        return _vkey("vkey", self.vkey, ED25519)


@dataclass(frozen=True)
class TrustedWitnesses:
    """Witnesses (C2SP tlog-cosignature verifier keys) and how many of them must have cosigned; 0 asks for none."""

    threshold: int
    vkeys: tuple[str, ...]

    def __post_init__(self) -> None:
        _unique("vkeys", [key.public_key for key in self.keys])
        if not 0 <= self.threshold <= len(self.vkeys):
            raise ValueError("threshold must be 0 to the number of witnesses")

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        return tuple(_vkey("vkeys", vkey, COSIGNATURE_V1) for vkey in self.vkeys)


def _vkey(field: str, text: str, algorithm: int) -> VerifierKey:
    try:
        key = parse_vkey(text)
    except VerificationError as fault:
        raise ValueError(f"{field}: {fault.message}") from None
    if key.algorithm != algorithm:
        raise ValueError(f"{field}: the key is of type {key.algorithm}, not {algorithm}")
    return key


@dataclass(frozen=True)
class MinimumPolicy:
    """The weakest quorum rule that is still accepted. Tolerances in minor units and basis points, age in seconds back
    from the cutoff, of a balance and of the block at which the supply was read. ``waivers``: codes under which an
    account may have had fewer sources or origins."""

    min_sources: int
    min_origins: int
    max_tolerance_abs: Amount
    max_tolerance_bps: int
    max_age_seconds: int
    allow_dissent: int
    waivers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_sources < 1 or self.min_origins < 1:
            raise ValueError("min_sources and min_origins must be at least 1")
        if min(self.max_tolerance_abs, self.max_tolerance_bps, self.max_age_seconds, self.allow_dissent) < 0:
            raise ValueError("no limit can be negative")


@dataclass(frozen=True)
class Trust:
    """Everything that a verdict rests on. ``maximum_age_seconds`` (if given) is how long after its cutoff a statement
    still counts; ``demands`` are checks that may not be skipped; ``revoked`` are digests of statements that no longer
    count. ``cadence_weeks``: from ``earliest_period`` on, one period in so many weeks must be in the log.
    ``timestamp_authorities`` are the roots (PEM) of the time-stamping authorities (RFC 3161) that are believed."""

    format: Literal["attest-trust/1"]
    issuer: str
    earliest_period: str
    chains: tuple[TrustedChain, ...]
    oracle: TrustedOracle
    registry: TrustedRegistry
    publishers: tuple[TrustedPublisher, ...]
    tokens: tuple[TrustedToken, ...]
    attestors: tuple[TrustedAttestor, ...]
    attestor_threshold: int
    log: TrustedLog
    witnesses: TrustedWitnesses
    policy: MinimumPolicy
    demands: tuple[Demand, ...] = ()
    maximum_age_seconds: int | None = None
    revoked: tuple[Hex32, ...] = ()
    cadence_weeks: int | None = None
    timestamp_authorities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _period("earliest_period", self.earliest_period)
        if not self.tokens:
            raise ValueError("tokens is empty: nothing would be checked")
        keys = {attestor.spki for attestor in self.attestors}
        if not 1 <= self.attestor_threshold <= len(keys):
            raise ValueError("attestor_threshold must be 1 to the number of distinct attestor keys")
        if not self.publishers:
            raise ValueError("publishers is empty")
        if self.maximum_age_seconds is not None and self.maximum_age_seconds < 1:
            raise ValueError("maximum_age_seconds must be positive")
        if self.cadence_weeks is not None and self.cadence_weeks < 1:
            raise ValueError("cadence_weeks must be positive")
        for pem in self.timestamp_authorities:
            try:
                load_certificates(pem)
            except ValueError as fault:
                raise ValueError(f"timestamp_authorities {fault}") from None
        _unique("timestamp_authorities", list(self.timestamp_authorities))
        _unique("chains", [chain.chain_id for chain in self.chains])
        _unique("tokens", [token.token for token in self.tokens])
        deployments = [deployment for token in self.tokens for deployment in token.deployments]
        _unique("deployments", [(deployment.chain_id, deployment.address.lower()) for deployment in deployments])
        known = {chain.chain_id for chain in self.chains}
        for chain_id in (self.oracle.chain_id, self.registry.chain_id, *(d.chain_id for d in deployments)):
            if chain_id not in known:
                raise ValueError(f"chains does not list chain {chain_id}")

    def chain(self, chain_id: int) -> TrustedChain | None:
        return next((chain for chain in self.chains if chain.chain_id == chain_id), None)


def _published(folder: Path) -> bool:
    """Whether ``folder`` is a bundle's, an audit package's or a public store: the issuer wrote what is in it."""

    def has(*names: str) -> bool:
        return any((folder / name).exists() for name in names)

    return (has("manifest.json") and has("attestation.dsse.json", "decision.json")) or (
        has("attestations") and has("log", "feed.json")
    )


def read_trust(data: bytes, where: str = "the trust file") -> Trust:
    """Read a trust file's bytes strictly; raises :class:`VerificationError` naming ``where`` and the field."""
    return from_json(Trust, data, where)


def load_trust(place: Path | str, bundle: Path | str) -> Trust:
    """Read the auditor's trust file for verifying ``bundle`` (a folder, a file or an address).

    Raises :class:`VerificationError` when it is the bundle, lies inside a bundle or inside a public store (links
    resolved), or is malformed, and :class:`OperatorError` when it cannot be read, or is somewhere on the web.
    """
    if is_url(str(place)):
        raise OperatorError(
            f"{shown(str(place))}: a trust file is not fetched",
            code="trust-from-web",
            reason="What a verdict rests on must be yours: whoever serves that address could change it at any time.",
            advice=_OWN_TRUST,
        )
    path = Path(place)
    resolved = path.resolve()
    judged = None if is_url(str(bundle)) else Path(bundle).resolve()
    if judged in (resolved, *resolved.parents) or any(map(_published, resolved.parents)):
        raise VerificationError(
            f"{path}: this trust file lies inside what it should judge",
            code="trust-from-bundle",
            reason="Whoever made the bundle made this file too: it would vouch for itself.",
            advice=_OWN_TRUST,
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST_BYTES + 1)
    except OSError as fault:
        raise OperatorError(
            f"{shown(str(path))}: cannot be read ({fault.strerror})",
            code="trust-unreadable",
            reason="Without a trust file nothing can be verified: a bundle does not vouch for itself.",
            advice="Name your trust file with --trust.",
        ) from None
    if len(data) > MAX_TRUST_BYTES:
        raise VerificationError(
            f"{path}: is larger than {MAX_TRUST_BYTES} bytes",
            code="trust-too-large",
            reason="No trust file is; this is something else.",
            advice="Name your trust file with --trust.",
        )
    return read_trust(data, str(path))
