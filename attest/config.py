"""``attest.toml`` as pydantic models: every key that exists, checked before anything else happens.

Unknown keys, literal secrets and references to things that are not configured are refused with the key's path. Paths
are relative to the configuration's folder (:attr:`Loaded.base`).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from attest.errors import OperatorError, VerificationError
from attest.log.timestamp import load_certificates
from attest.model import BalanceKind, Ownership
from attest.period import Schedule
from attest.secrets import check_reference

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value, re.ASCII):
        raise ValueError("names are 1 to 64 ASCII letters, digits, dots, dashes or underscores")
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", value, re.ASCII):
        raise ValueError("an address is 0x and 40 hex digits")
    from eth_utils.address import is_checksum_address, to_checksum_address

    mixed = value[2:] not in (value[2:].lower(), value[2:].upper())
    if mixed and not is_checksum_address(value):
        raise ValueError("the address's checksum (EIP-55) does not hold: a digit is wrong")
    return str(to_checksum_address(value))


def _role(value: str) -> str:
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", value, re.ASCII):
        return value.lower()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", value, re.ASCII):
        raise ValueError("a role is a name as in Solidity, for example MINTER_ROLE, or 0x and 64 hex digits")
    if value == "other":
        raise ValueError("`other` stands for the roles that are not named: give this one in hex")
    return value


def _zone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("not an IANA time zone, for example Europe/London") from None
    return value


def _evidence_key(value: str) -> str:
    return value if re.fullmatch(r"aws-kms:[\x21-\x7e]+", value) else check_reference(value)


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]
Role = Annotated[str, AfterValidator(_role)]
Zone = Annotated[str, AfterValidator(_zone)]
SecretReference = Annotated[str, AfterValidator(check_reference)]
EvidenceKey = Annotated[str, AfterValidator(_evidence_key)]
Bps = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=1)]
ReferenceContract = Literal[
    "AttestationRegistry",
    "BridgeEscrowVault",
    "BridgeRegistry",
    "ComplianceGuard",
    "Ledger",
    "MintController",
    "ReserveOracle",
    "Stabilizer",
    "WToken",
    "XAUOracle",
]
_Waiver = Literal["single-custodian", "single-feed", "new-account", "migration"]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Issuer(Section):
    """Who makes the statement."""

    name: str = Field(min_length=1, max_length=200, description="The issuer's name as it stands in the statement.")
    contact: str = Field(min_length=1, max_length=200, description="Where holders can ask: a mail address or a URL.")


class ScheduleSection(Section):
    """When balances are taken, and how long a run may try."""

    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        default="sunday", description="The weekday of the cutoff."
    )
    at: time = Field(default=time(23, 59, 59), description="The cutoff's wall-clock time.")
    zone: Zone = Field(default="UTC", description="The cutoff's time zone (IANA name).")
    deadline_hours: Count = Field(
        default=48, description="Hours after the cutoff at which a token that still fails is withheld for good."
    )
    grace_hours: Count = Field(default=54, description="Hours after the cutoff from which the dashboard says stale.")
    supply_at: Literal["cutoff", "run"] = Field(
        default="cutoff",
        description="Read the supply at the last block before the cutoff, or (nodes that prune) at the run's own head; "
        "the statement gives the gap.",
    )
    clock: AwareDatetime | None = Field(
        default=None,
        description="Rehearsals only: run as if it were this time. The statement and the dashboard say so.",
    )

    @property
    def schedule(self) -> Schedule:
        return Schedule(WEEKDAYS.index(self.weekday) + 1, self.at, self.zone)


class Stores(Section):
    """Where artifacts are kept. The two are never mixed: only the public one is ever served."""

    private: str = Field(description="file://PATH, s3://BUCKET/PREFIX, az://… or gs://…: evidence, salts, decisions.")
    public: str = Field(description="The same schemes: statement, log, receipts, dashboard.")
    evidence_key: EvidenceKey | None = Field(
        default=None,
        description="Encrypts evidence: a reference to 32 random bytes in base64, or aws-kms:KEY for a data key each.",
    )


class Collection(Section):
    """How sources are asked."""

    max_concurrent: int = Field(default=64, ge=1, le=256, description="Sources asked at the same time.")
    per_host: Count = Field(default=8, description="Requests to one server at the same time.")
    deadline_seconds: Count = Field(default=600, description="What has not answered by then has failed.")


class Fees(Section):
    """How transactions are priced on a chain. Prices are in wei per gas."""

    kind: Literal["eip1559", "legacy", "free"] = Field(
        default="eip1559", description="`free` is a chain whose gas price is zero (legacy transactions, price 0)."
    )
    max_fee_per_gas: int = Field(default=200_000_000_000, ge=0, description="Cap on the price, in wei per gas.")
    max_priority_fee_per_gas: int = Field(default=1_000_000_000, ge=0, description="Tip, in wei per gas (EIP-1559).")
    max_gas: int = Field(default=1_000_000, ge=21_000, description="Cap on one transaction's gas limit.")
    replace_after_seconds: Count = Field(
        default=60, description="A transaction unmined for so long is sent again or replaced."
    )


class Chain(Section):
    """One EVM chain and the endpoints to reach it by."""

    chain_id: Count = Field(description="The chain id (EIP-155); every endpoint must answer with it.")
    endpoints: tuple[str, ...] = Field(
        min_length=1, description="JSON-RPC URLs, or secret references when a URL carries credentials."
    )
    read_quorum: Count = Field(default=1, description="How many endpoints must agree on every answer.")
    finality: str = Field(
        default="instant",
        pattern=r"^(instant|tag|depth:[1-9][0-9]{0,5})$",
        description="`instant` (QBFT, IBFT), `tag` (the `finalized` block tag) or `depth:N` blocks.",
    )
    confirm_timeout_seconds: Count = Field(default=600, description="How long to wait for finality in one run.")
    request_timeout_seconds: Count = Field(default=20, description="Total time of one request.")
    fees: Fees = Field(default_factory=Fees)

    @model_validator(mode="after")
    def _quorum_possible(self) -> Chain:
        if self.read_quorum > len(self.endpoints):
            raise ValueError("read_quorum is larger than the number of endpoints")
        for endpoint in self.endpoints:
            if not endpoint.startswith(("http://", "https://", "env:", "file:")):
                raise ValueError("an endpoint is an http(s) URL or a secret reference (env:NAME, file:PATH)")
            if re.match(r"https?://[^/]*@", endpoint):
                raise ValueError("an endpoint with credentials must be a secret reference, for example env:RPC_URL")
        return self


class Contract(Section):
    """A contract that reports go to, or anchors."""

    chain: Name = Field(description="The name of its chain in [chains].")
    address: Address = Field(description="Its address (EIP-55 checksum is checked when mixed case).")
    abi: str | None = Field(default=None, description="JSON ABI file of another deployment's contract.")
    functions: dict[str, str] = Field(
        default_factory=dict,
        description='Other names for the functions used, for example getVerifiedReserve = "latestReserve"; '
        'append `.field` to read one of several returned values ("latestReserve.amount").',
    )


class OracleSection(Contract):
    """The reserve oracle."""

    max_difference_bps: Bps = Field(
        default=100, description="How far the on-chain consensus may lie from our reserve (other operators' reports)."
    )
    quorum_deadline_seconds: Count = Field(
        default=600, description="How long to wait for other operators' reports until the quorum is met."
    )


class Deployment(Section):
    """One deployment of a token."""

    chain: Name = Field(description="The name of its chain in [chains].")
    address: Address = Field(description="The token contract.")
    decimals: int = Field(ge=0, le=36, description="Its decimals; compared with the contract's.")


class Token(Section):
    """A token and all its deployments. The one on the oracle's chain is reported."""

    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO-4217 code of the currency that backs it.")
    deployments: tuple[Deployment, ...] = Field(min_length=1)


class Quorum(Section):
    """The rule by which sources agree. Tolerances are inclusive; both must hold."""

    min_sources: Count = Field(default=2, description="Valid sources needed.")
    min_origins: Count = Field(default=2, description="Independent origins needed.")
    tolerance_abs: int = Field(default=0, ge=0, description="Largest spread, in minor units.")
    tolerance_bps: Bps = Field(default=0, description="Largest spread, in basis points of the smallest balance.")
    max_age_hours: Count = Field(default=96, description="Oldest balance, in hours back from the cutoff.")
    allow_dissent: int = Field(default=0, ge=0, description="Dissenting sources tolerated (three or more sources).")
    change_limit_bps: int | None = Field(
        default=None, ge=0, description="Change against last period beyond which a person must acknowledge."
    )
    waiver: _Waiver | None = Field(
        default=None, description="Coded reason for min_sources = 1 or min_origins = 1; published as a code."
    )

    @model_validator(mode="after")
    def _waived(self) -> Quorum:
        if (self.min_sources == 1 or self.min_origins == 1) and self.waiver is None:
            raise ValueError("a single source or origin needs `waiver` with a coded reason")
        return self


class HttpConnection(Section):
    """How an HTTPS server is spoken to, for files (`https://…`) and APIs alike."""

    kind: Literal["http"] = Field(description="Says which of these a connection is.")
    headers: dict[str, SecretReference] = Field(
        default_factory=dict, description="Headers whose values are secret: name = reference."
    )
    public_headers: dict[str, str] = Field(
        default_factory=dict, description="Headers that may stand here in clear, for example x-fapi-financial-id."
    )
    bearer: SecretReference | None = Field(default=None, description="Bearer token.")
    basic_user: str | None = Field(default=None, description="User of HTTP basic authentication.")
    basic_password: SecretReference | None = Field(default=None, description="Its password.")
    token_url: str | None = Field(
        default=None, pattern="^https?://", description="OAuth 2 client credentials: where tokens are issued."
    )
    client_id: str | None = Field(default=None, description="OAuth 2 client id.")
    client_secret: SecretReference | None = Field(default=None, description="OAuth 2 client secret.")
    scope: str | None = Field(default=None, description="OAuth 2 scope.")
    api_key: SecretReference | None = Field(default=None, description="API key of a custodian that signs requests.")
    api_secret: SecretReference | None = Field(
        default=None, description="What requests are signed with: an HMAC secret, or an RSA key (PEM) for Fireblocks."
    )
    passphrase: SecretReference | None = Field(default=None, description="API passphrase (Coinbase Prime).")
    client_certificate: str | None = Field(default=None, description="PEM file of the client certificate (mTLS).")
    client_key: str | None = Field(default=None, description="PEM file of its private key.")
    client_key_password: SecretReference | None = Field(default=None, description="The private key's password.")
    ca_file: str | None = Field(default=None, description="PEM file of the only authorities to trust for this server.")
    max_concurrent: Count | None = Field(
        default=None, description="Requests to this server at the same time, instead of collection.per_host."
    )
    timeout_seconds: Count = Field(default=30, description="Total time of one request.")

    @model_validator(mode="after")
    def _complete(self) -> HttpConnection:
        for one, other in (
            ("basic_user", "basic_password"),
            ("client_certificate", "client_key"),
            ("token_url", "client_id"),
            ("client_id", "client_secret"),
        ):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} belong together")
        ways = [name for name in ("bearer", "basic_user", "token_url") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)}: one way of authentication at a time")
        for name, value in {**self.public_headers, **self.headers}.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e]*", value):
                raise ValueError(f"{name!r} is not a header")
        for name in self.public_headers:
            if re.search(r"auth|cookie|key|token|secret|passw|sign", name, re.IGNORECASE):
                raise ValueError(f"public_headers.{name} looks like a secret: put a reference into headers")
        return self


class S3Connection(Section):
    """An S3 account. Without keys the environment's own (AWS_…, instance role) are used."""

    kind: Literal["s3"] = Field(description="Says which of these a connection is.")
    region: str | None = Field(default=None, description="Its region, for example eu-central-1.")
    endpoint: str | None = Field(default=None, pattern="^https?://", description="An S3 server other than AWS.")
    access_key_id: SecretReference | None = Field(default=None, description="Access key id.")
    secret_access_key: SecretReference | None = Field(default=None, description="Secret access key.")


class AzureConnection(Section):
    """An Azure storage account (`az://CONTAINER/PATH`)."""

    kind: Literal["azure"] = Field(description="Says which of these a connection is.")
    account: str = Field(min_length=1, description="The storage account's name.")
    account_key: SecretReference | None = Field(default=None, description="The account's key; or:")
    sas_token: SecretReference | None = Field(default=None, description="A shared access signature.")
    endpoint: str | None = Field(default=None, pattern="^https?://", description="A Blob server other than Azure's.")


class GcsConnection(Section):
    """Google Cloud Storage (`gs://BUCKET/PATH`)."""

    kind: Literal["gcs"] = Field(description="Says which of these a connection is.")
    service_account: SecretReference | None = Field(default=None, description="The service account's JSON key.")
    endpoint: str | None = Field(default=None, pattern="^https?://", description="A server other than Google's.")


class SftpConnection(Section):
    """An SFTP server (`sftp://HOST[:PORT]/PATH`). Its host key is pinned: no other server is spoken to."""

    kind: Literal["sftp"] = Field(description="Says which of these a connection is.")
    user: str = Field(min_length=1, description="The user to log in as.")
    host_key: str = Field(
        description="The server's public key as in known_hosts, without the host: ssh-ed25519 AAAA…",
    )
    password: SecretReference | None = Field(default=None, description="The user's password; or:")
    private_key: str | None = Field(default=None, description="File of the private key.")
    private_key_password: SecretReference | None = Field(default=None, description="The private key's password.")
    timeout_seconds: Count = Field(default=30, description="Longest wait for an answer.")

    @field_validator("host_key")
    @classmethod
    def _one_key(cls, value: str) -> str:
        if re.fullmatch(r"(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+", value) is None:
            raise ValueError(
                "must be kind and key as in known_hosts, without host and comment, for example ssh-ed25519 AAAA…"
            )
        return value

    @model_validator(mode="after")
    def _authenticated(self) -> SftpConnection:
        if (self.password is None) == (self.private_key is None):
            raise ValueError("either password or private_key")
        return self


class SqlConnection(Section):
    """A database, read by one query per account."""

    kind: Literal["sql"] = Field(description="Says which of these a connection is.")
    url: SecretReference = Field(
        description="Reference to its SQLAlchemy URL: postgresql+psycopg://… or sqlite:///PATH"
    )
    statement_timeout_seconds: Count = Field(default=30, description="Longest time of one query.")


Connection = Annotated[
    HttpConnection | S3Connection | AzureConnection | GcsConnection | SftpConnection | SqlConnection,
    Field(discriminator="kind"),
]


class StatementSignature(Section):
    """The custodian's detached signature over each document, as it was sent."""

    kind: Literal["pgp", "cms"] = Field(description="OpenPGP or CMS (PKCS #7).")
    suffix: str = Field(
        default=".sig", pattern=r"^[A-Za-z0-9._-]{1,20}$", description="What a signature's name adds to its document's."
    )
    key: str = Field(
        min_length=1, description="File of the custodian's OpenPGP public key, or of its certificate (PEM) for CMS."
    )


class Source(Section):
    """One place that says what an account holds: a format read over a transport, or an API that is asked."""

    id: Name = Field(description="Unique within the account.")
    origin: Name = Field(description="Where the number is born; two feeds of one bank core are one origin.")
    issuer_hosted: bool = Field(default=False, description="True if the issuer itself hosts or produces this source.")
    format: Name = Field(description="`camt053`, `mt940`, `csv`, …: `attest custody formats` lists them.")
    location: str = Field(
        default="",
        description="File path or glob, https://, s3://, az://, gs:// or sftp:// URL, or an API's URL. `{period}` is "
        "replaced by the period.",
    )
    connection: Name | None = Field(default=None, description="The name of its connection in [connections].")
    options: dict[str, Any] = Field(default_factory=dict, description="The format's own options.")
    signature: StatementSignature | None = Field(
        default=None, description="Refuse documents that the custodian did not sign."
    )
    corroborates: bool = Field(
        default=False, description="Compared with the others and shown in the explanation; never counts itself."
    )
    snapshot: bool = Field(
        default=False,
        description="For APIs that tell only what is there now: asked by `attest custody snapshot` before the cutoff; "
        "the run takes the newest such answer.",
    )


#: What a reserve is held in: the permitted reserves of the GENIUS Act (section 4(a)(1)(A)), and what falls outside.
ReserveCategory = Literal[
    "cash",
    "central-bank-reserve",
    "demand-deposit",
    "insured-deposit",
    "treasury-bill",
    "repo",
    "reverse-repo",
    "money-market-fund",
    "government-asset",
    "tokenised",
    "other",
]


class Account(Section):
    """One custodial account and the sources that speak for it."""

    token: Name = Field(description="The token that it backs.")
    custodian: str = Field(min_length=1, max_length=200, description="The custodian's name (private).")
    external_account: str = Field(min_length=1, max_length=200, description="IBAN or number at the custodian.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="Must be the token's currency.")
    balance_kind: BalanceKind = Field(default="closing-booked", description="Which balance counts.")
    ownership: Ownership = Field(default="custodian-confirmed", description="How ownership is known.")
    zone: Zone = Field(default="UTC", description="The bank's time zone: what a date-only balance means.")
    holidays: tuple[date, ...] = Field(default=(), description="Dates without statement, besides weekends.")
    category: ReserveCategory | None = Field(
        default=None,
        description="What is held, for the printable report. Left out: `demand-deposit`, on a chain `tokenised`, at a "
        "custodian `other`.",
    )
    country: str | None = Field(
        default=None, pattern="^[A-Z]{2}$", description="Where it is held in custody (ISO 3166), for the report."
    )
    sources: tuple[Source, ...] = Field(min_length=1)
    quorum: Quorum | None = Field(default=None, description="Instead of the general [quorum].")

    @model_validator(mode="after")
    def _countable(self) -> Account:
        if all(source.corroborates for source in self.sources):
            raise ValueError("sources: none of them counts, all only corroborate")
        return self


class Signer(Section):
    """A signing key by URI; the address is pinned and compared before use."""

    uri: str = Field(pattern=r"^[a-z0-9]+:.+$", description="keystore:PATH, or a key service or HSM: docs/signing.md.")
    address: Address = Field(description="The key's address.")
    password: SecretReference | None = Field(default=None, description="Reference to the keystore's password.")


class Attestor(Section):
    """A key that signs statements. Without `uri` it is another operator's, who signs with `attest cosign`."""

    uri: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]+:.+$",
        description="As a reporter's. Left out: the key is held by another operator.",
    )
    address: Address = Field(description="The key's address.")
    password: SecretReference | None = Field(default=None, description="Reference to the keystore's password.")


class LogSigner(Section):
    """The Ed25519 key of the transparency log."""

    uri: str = Field(
        pattern=r"^[a-z0-9]+:.+$", description="keystore:PATH of an encrypted PKCS#8 PEM, awskms:… or pkcs11:…."
    )
    vkey: str = Field(description="Its verifier key (C2SP signed-note), pinned.")
    password: SecretReference | None = Field(default=None, description="Reference to the key's password.")


class Signing(Section):
    """Keys with separate jobs."""

    reporters: tuple[Signer, ...] = Field(min_length=1, description="Report reserves to the oracle.")
    publisher: Signer = Field(description="Anchors the statement in the registry.")
    attestors: tuple[Attestor, ...] = Field(min_length=1, description="Sign statements, never transactions.")
    threshold: Count = Field(default=1, description="Attestor signatures needed.")
    log: LogSigner

    @model_validator(mode="after")
    def _separate(self) -> Signing:
        jobs = [signer.address for signer in (*self.reporters, self.publisher)]
        jobs += [attestor.address for attestor in self.attestors]
        if len(set(jobs)) != len(jobs):
            raise ValueError("each key has one job: the same address is configured twice")
        if self.threshold > len(self.attestors):
            raise ValueError("threshold is larger than the number of attestors")
        if not self.own_attestors:
            raise ValueError("attestors: none of them has a uri, so none of them signs here")
        return self

    @property
    def own_attestors(self) -> tuple[Signer, ...]:
        """The attestors whose keys are held here."""
        return tuple(
            Signer(uri=one.uri, address=one.address, password=one.password)
            for one in self.attestors
            if one.uri is not None
        )


class Witness(Section):
    """A witness that cosigns the log's checkpoints."""

    url: str = Field(
        pattern=r"^(https?://|env:|file:)", description="Its tlog-witness prefix, or a reference to where that stands."
    )
    vkey: str = Field(description="Its verifier key (C2SP tlog-cosignature).")


class TimeStamps(Section):
    """A time-stamping authority (RFC 3161) that stamps each checkpoint."""

    url: str = Field(
        pattern=r"^(https?://|env:|file:)", description="Where it answers, or a reference to where that stands."
    )
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Its name, in the names of stored stamps.")
    authority: str = Field(description="The root certificates (PEM) that its stamps must lead to.")
    required: bool = Field(default=False, description="Publish nothing without a stamp.")

    @field_validator("authority")
    @classmethod
    def _certificates(cls, pem: str) -> str:
        load_certificates(pem)
        return pem


class Log(Section):
    """The transparency log."""

    origin: str = Field(pattern=r"^[^\s+]+$", description="The log's name, without scheme: example.com/reserves.")
    witnesses: tuple[Witness, ...] = Field(default=())
    witness_quorum: int = Field(default=0, ge=0, description="Cosignatures needed before publishing.")
    witness_deadline_seconds: Count = Field(default=30, description="How long to wait for them.")
    timestamp: TimeStamps | None = Field(default=None, description="Has each checkpoint time-stamped (RFC 3161).")


#: What an auditor may be shown: the accounts' leaves; evidence, decision and configuration; the quorum's explanation;
#: the record of who did what; the printable report, which names accounts and custodians too.
Sight = Literal["leaves", "evidence", "quorum", "control-log", "report"]


class Auditor(Section):
    """Who may be given an audit package, and what is in it."""

    openpgp: str = Field(min_length=1, description="File of the auditor's OpenPGP certificate (public key).")
    fingerprint: str = Field(
        pattern=r"^[0-9A-Fa-f ]{40,100}$", description="Its fingerprint, pinned: compare it with the auditor by voice."
    )
    sees: tuple[Sight, ...] = Field(
        default=("leaves", "evidence", "quorum", "control-log", "report"),
        min_length=1,
        description="What the package holds, besides the public bundle.",
    )


class WatchedEvent(Section):
    """Another deployment's event in the place of one that the monitor follows."""

    event: str = Field(
        min_length=1,
        description='Its declaration, "TransferInitiated(bytes32 indexed transferId, …)", or its name in `abi`.',
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="Which parameter is which of `subject`, `asset`, `amount`, `status`, `passed` and `account`, where "
        "not the reference's.",
    )
    where: dict[str, Address] | None = Field(default=None, description="Parameters that must be these addresses.")


class Watched(Section):
    """A contract that only the monitor reads."""

    address: Address = Field(description="Its address.")
    abi: str | None = Field(default=None, description="JSON ABI file of another deployment's contract.")
    functions: dict[str, str] = Field(default_factory=dict, description="Other names for the functions used.")


class Followed(Watched):
    """A contract whose events the monitor follows, on the oracle's chain."""

    events: dict[str, WatchedEvent] = Field(
        default_factory=dict, description="Other events by the kinds that docs/event-index.md lists."
    )


class WatchedLedger(Watched):
    """The ledger of the vaults."""

    vaults: tuple[Address, ...] = Field(
        default=(), description="The vaults, for a ledger that cannot list them itself."
    )
    assets: dict[Name, Address] = Field(
        default_factory=dict, description="Names of the collateral's tokens; without one the address is shown."
    )


class WatchedBridge(Followed):
    """The bridge's escrow vault, and what its buffer is measured against."""

    statuses: tuple[str, ...] = Field(
        default=("none", "initiated", "settled", "failed", "refund-initiated", "refunded"),
        min_length=2,
        description="What the status numbers of a transfer mean, from 0.",
    )
    settled: tuple[str, ...] = Field(default=("settled",), description="Statuses that end a transfer well.")
    failed: tuple[str, ...] = Field(default=("failed", "refunded"), description="Statuses that end it otherwise.")
    refunded: tuple[str, ...] = Field(
        default=("refunded",),
        description="Those of them in which the sender has the money back: until then a failed transfer is pending. "
        "Empty where failed transfers are not refunded.",
    )
    safety_percent: int = Field(
        default=200, ge=100, description="Safety factor of the buffer; the runbook: 150 to 200."
    )
    lookback_days: Count = Field(default=30, description="Time in which peak outflow and latency are measured.")
    latency_by: Literal["p95", "median"] = Field(default="p95", description="What counts as a transfer's latency.")


class WatchedStabilizer(Followed):
    """The stabilizer, and what it is measured against."""

    window_seconds: Count | None = Field(
        default=None, description="T: how long its reserve has to last a peak outflow. Left out: not measured."
    )
    safety_percent: int = Field(default=300, ge=100, description="Safety factor of that; the runbook: 300 to 500.")
    peak_minute_outflow: int | None = Field(
        default=None,
        ge=0,
        description="P in base units. Left out: the bridge's largest, from the event index; `window_seconds` requires "
        "both.",
    )
    imbalance_per_minute: int | None = Field(
        default=None, ge=0, description="Delta, in base units: the flow that trades have to offset while they are due."
    )


class Parity(Watched):
    """The same price on another chain: the price oracle there."""

    price_oracle: Name = Field(description="The price oracle in [monitor.price_oracles] that it is compared with.")
    chain: Name = Field(description="The name of the other chain in [chains].")
    threshold_bps: int = Field(ge=1, description="ArbitrageThreshold, in basis points of the lower price.")


class NotifyDestination(Section):
    """Somebody who is told."""

    url: SecretReference = Field(
        description="Reference to an Apprise URL (slack://…, pagerduty://…, mailtos://…): it carries credentials."
    )
    at_least: Literal["critical", "warning", "info"] = Field(
        default="warning", description="The least severity that is told here."
    )


class Notify(Section):
    """Who is told by `attest monitor --notify`, without Prometheus."""

    to: dict[Name, NotifyDestination] = Field(min_length=1, description="Destinations, by names of your own.")
    per_hour: Count = Field(
        default=20, description="Messages to one destination in an hour, but for P0. The rest comes in one, or later."
    )
    repeat_minutes: Count = Field(default=240, description="After which what lasts is told again.")
    repeat_critical_minutes: Count = Field(default=60, description="The same for what is critical.")


class WatchedRoles(Followed):
    """A contract with roles (OpenZeppelin's AccessControl), and who should hold them."""

    contract: ReferenceContract | None = Field(
        default=None,
        description="Which reference contract it is, if it is one: the use of its roles is then seen without `uses`.",
    )
    members: dict[Role, tuple[Address, ...]] = Field(
        min_length=1, description="Who should hold each role, by its name or its 32 bytes in hex; [] if nobody should."
    )
    uses: dict[Role, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Events that only holders of a role cause: declarations, or kinds of events that are followed.",
    )

    @model_validator(mode="after")
    def _clear(self) -> WatchedRoles:
        for role, members in self.members.items():
            if len(set(members)) != len(members):
                raise ValueError(f"members.{role}: an address stands there twice")
        for role in self.uses:
            if role not in self.members:
                raise ValueError(f"uses.{role}: there is no such role in `members`")
        return self


class WatchedMultisig(Watched):
    """A multi-signature wallet (a Safe), and how many of whom should have to sign."""

    threshold: Count = Field(description="Signatures that should be needed.")
    owners: tuple[Address, ...] = Field(default=(), description="Who should be able to sign. Left out: not compared.")

    @model_validator(mode="after")
    def _possible(self) -> WatchedMultisig:
        if len(set(self.owners)) != len(self.owners):
            raise ValueError("owners: an address stands there twice")
        if self.owners and self.threshold > len(self.owners):
            raise ValueError("threshold is larger than the number of owners")
        return self


class Monitor(Section):
    """What `attest monitor` watches. All is on the oracle's chain but `parity`; what is left out is not watched."""

    interval_seconds: Count = Field(default=15, description="From the begin of one cycle to that of the next.")
    index: str | None = Field(
        default=None,
        description="Database of the event index: sqlite:///PATH, or a reference to a SQLAlchemy URL. Its folder must "
        "exist.",
    )
    first_block: int = Field(default=0, ge=0, description="First block whose events count: the oldest contract's.")
    report_max_age_seconds: Count | None = Field(
        default=None, description="From which age a report is stale. Left out: once it does not count any more."
    )
    worst_vaults: int = Field(default=5, ge=0, le=50, description="How many of the lowest health ratios are told.")
    max_lag_blocks: Count = Field(default=5, description="Blocks by which an endpoint may lag behind the others.")
    validators: tuple[Address, ...] = Field(
        default=(), description="The validators. Left out: as the newest QBFT header lists them."
    )
    ledger: WatchedLedger | None = None
    liquidation: Followed | None = Field(default=None, description="The liquidation contract.")
    price_oracles: dict[Name, Watched] = Field(default_factory=dict, description="By the currency that they price in.")
    bridge: WatchedBridge | None = None
    guard: Followed | None = Field(default=None, description="The compliance guard.")
    stabilizer: WatchedStabilizer | None = None
    parity: dict[Name, Parity] = Field(default_factory=dict, description="Prices that should be the same elsewhere.")
    notify: Notify | None = None
    roles: dict[Name, WatchedRoles] = Field(default_factory=dict, description="Contracts whose roles are audited.")
    multisigs: dict[Name, WatchedMultisig] = Field(default_factory=dict, description="Multi-signature wallets.")

    @field_validator("index")
    @classmethod
    def _reference(cls, value: str | None) -> str | None:
        if value is None or value.startswith("sqlite:///"):
            return value
        try:
            return check_reference(value)
        except ValueError:
            raise ValueError(
                "is sqlite:///PATH, or a reference to a URL: env:NAME, file:PATH, aws-sm:ARN#KEY or "
                "keyring:SERVICE/USER; never one with a password in it"
            ) from None

    @model_validator(mode="after")
    def _measurable(self) -> Monitor:
        if self.bridge is not None:
            ending = {*self.bridge.settled, *self.bridge.failed}
            if not self.bridge.settled or len(ending) != len(self.bridge.settled) + len(self.bridge.failed):
                raise ValueError("bridge: a status that settles a transfer does not fail it, and there is one")
            if not ending <= set(self.bridge.statuses) or len(set(self.bridge.statuses)) != len(self.bridge.statuses):
                raise ValueError("bridge.statuses: each has one name, and those that end a transfer are among them")
            if not set(self.bridge.refunded) <= set(self.bridge.failed):
                raise ValueError("bridge.refunded: they are among bridge.failed; [] where nothing is refunded")
        stabilizer = self.stabilizer
        wanted = stabilizer is not None and stabilizer.window_seconds and stabilizer.peak_minute_outflow is None
        if wanted and (self.bridge is None or self.index is None):
            raise ValueError(
                "stabilizer.window_seconds: P is measured in the events of `bridge` in the `index`: configure both, or "
                "give peak_minute_outflow"
            )
        for name, pair in self.parity.items():
            if pair.price_oracle not in self.price_oracles:
                raise ValueError(f"parity.{name}.price_oracle: there is no {pair.price_oracle!r} in price_oracles")
        for name in self.roles.keys() & self.multisigs.keys():
            raise ValueError(f"multisigs.{name}: a contract in roles has the same name")
        addresses = [contract.address for contract in self.roles.values()]
        if len(set(addresses)) != len(addresses):
            raise ValueError("roles: the same contract is configured twice")
        return self


class Config(Section):
    """The whole of ``attest.toml``."""

    issuer: Issuer
    schedule: ScheduleSection = Field(default_factory=ScheduleSection)
    stores: Stores
    chains: dict[Name, Chain] = Field(min_length=1)
    oracle: OracleSection
    registry: Contract
    tokens: dict[Name, Token] = Field(min_length=1)
    quorum: Quorum = Field(default_factory=Quorum)
    collection: Collection = Field(default_factory=Collection)
    connections: dict[Name, Connection] = Field(
        default_factory=dict, description="Servers and databases that sources are reached by: one of the kinds below."
    )
    accounts: dict[Name, Account] = Field(min_length=1)
    signing: Signing
    log: Log
    auditors: dict[Name, Auditor] = Field(default_factory=dict, description="Who may be given audit packages.")
    monitor: Monitor = Field(default_factory=Monitor)

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        for place, chain in [
            ("oracle.chain", self.oracle.chain),
            ("registry.chain", self.registry.chain),
            *(
                (f"tokens.{symbol}.deployments", deployment.chain)
                for symbol, token in self.tokens.items()
                for deployment in token.deployments
            ),
            *((f"monitor.parity.{name}.chain", pair.chain) for name, pair in self.monitor.parity.items()),
        ]:
            if chain not in self.chains:
                raise ValueError(f"{place}: there is no chain {chain!r} in [chains]")
        ids = [chain.chain_id for chain in self.chains.values()]
        if len(set(ids)) != len(ids):
            raise ValueError("chains: the same chain_id is configured twice")
        for symbol, token in self.tokens.items():
            on_oracle_chain = [d for d in token.deployments if d.chain == self.oracle.chain]
            if len(on_oracle_chain) != 1:
                raise ValueError(f"tokens.{symbol}: exactly one deployment must be on the oracle's chain")
            if not any(account.token == symbol for account in self.accounts.values()):
                raise ValueError(f"tokens.{symbol}: no account in [accounts] backs it")
        for name, address in () if self.monitor.ledger is None else self.monitor.ledger.assets.items():
            if name in self.tokens and all(address != d.address for d in self.tokens[name].deployments):
                raise ValueError(f"monitor.ledger.assets.{name}: is the name of a token at another address")
        addresses = [(d.chain, d.address) for token in self.tokens.values() for d in token.deployments]
        if len(set(addresses)) != len(addresses):
            raise ValueError("tokens: the same deployment is configured twice")
        seen: dict[tuple[str, str], str] = {}
        for name, account in self.accounts.items():
            if account.token not in self.tokens:
                raise ValueError(f"accounts.{name}.token: there is no token {account.token!r} in [tokens]")
            if account.currency != self.tokens[account.token].currency:
                raise ValueError(f"accounts.{name}.currency: {account.token} is backed by another currency")
            ids_here: set[str] = set()
            for source in account.sources:
                if source.id in ids_here:
                    raise ValueError(f"accounts.{name}.sources: two have the same id, {source.id!r}")
                ids_here.add(source.id)
                if source.connection is not None and source.connection not in self.connections:
                    raise ValueError(
                        f"accounts.{name}.sources.{source.id}.connection: there is no {source.connection!r} in "
                        "[connections]"
                    )
            reached = ("".join(account.external_account.split()).casefold(), account.currency)
            if reached in seen:
                raise ValueError(f"accounts.{name} and accounts.{seen[reached]} are one account (double counting)")
            seen[reached] = name
        if self.log.witness_quorum > len(self.log.witnesses):
            raise ValueError("log.witness_quorum is larger than the number of witnesses")
        if len({witness.vkey for witness in self.log.witnesses}) != len(self.log.witnesses):
            raise ValueError("log.witnesses: the same witness is configured twice")
        return self

    def account_quorum(self, name: str) -> Quorum:
        """The rule that holds for an account: its own, or the general one."""
        return self.accounts[name].quorum or self.quorum


#: What may change between two runs of one period without changing what is decided: how things are reached, not what;
#: who may look at it afterwards; and how the printable report calls an account (no balance, rule or proof depends on
#: it, and a report that is corrected must not need a new attempt).
_OPERATIONAL: Any = {
    "stores": True,
    "chains": {"__all__": {"endpoints", "read_quorum", "confirm_timeout_seconds", "request_timeout_seconds", "fees"}},
    "oracle": {"quorum_deadline_seconds"},
    "collection": True,
    "connections": True,
    "accounts": {"__all__": {"category": True, "country": True, "sources": {"__all__": {"location", "connection"}}}},
    "signing": {
        "reporters": {"__all__": {"uri", "password"}},
        "publisher": {"uri", "password"},
        "attestors": {"__all__": {"uri", "password"}},
        "log": {"uri", "password"},
    },
    "log": {"witnesses": {"__all__": {"url"}}, "witness_deadline_seconds": True, "timestamp": True},
    "auditors": True,
    "monitor": True,
}
#: Stands in a restored configuration where the stored one says nothing: nothing is reached by it.
_ELSEWHERE = "elsewhere:not-stored"


@dataclass(frozen=True)
class Loaded:
    """A checked configuration, and the folder that its paths are relative to."""

    config: Config
    base: Path

    def decisive(self) -> bytes:
        """The part of the configuration that decides results, as deterministic JSON bytes. No secret is in it: secrets
        are references, and those are left out."""
        from attest.records import dump_plain

        return dump_plain(self.config.model_dump(mode="json", exclude=_OPERATIONAL))

    def digest(self) -> str:
        """sha256 of :meth:`decisive`; a run resumed under another digest stops (exit 7)."""
        return hashlib.sha256(self.decisive()).hexdigest()


def restored(decisive: bytes, base: Path, where: str) -> Loaded:
    """The configuration of :meth:`Loaded.decisive` bytes: complete as far as anything is decided by it, and of no use
    to reach anything. ``base`` is what the files that it names are relative to.

    Raises :class:`VerificationError` naming ``where`` if this release does not understand every key of it.
    """
    from attest.records import load_plain

    plain = load_plain(decisive, where)
    try:
        plain["stores"] = {"private": "file://private", "public": "file://public"}
        for chain in plain["chains"].values():
            chain["endpoints"] = [f"env:{_ELSEWHERE}"]
        signing = plain["signing"]
        for key in (*signing["reporters"], signing["publisher"], *signing["attestors"], signing["log"]):
            key["uri"] = _ELSEWHERE
        for witness in plain["log"]["witnesses"]:
            witness["url"] = f"env:{_ELSEWHERE}"
        return Loaded(Config.model_validate_json(json.dumps(plain)), base)
    except (ValidationError, KeyError, TypeError, AttributeError) as fault:
        details = (
            [_told(error) for error in fault.errors(include_url=False, include_input=False)]
            if isinstance(fault, ValidationError)
            else ["a section is missing"]
        )
        raise VerificationError(
            f"{where}: is no configuration that this release understands: {'; '.join(details[:3])}",
            code="configuration",
            reason="What was decided can be decided again only under every rule that was in force.",
            advice="Use the release of attest that the statement names as its software.",
        ) from None


def _frozen(value: Any) -> Any:
    """TOML arrays as tuples: strict models take nothing else."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def load(path: Path) -> Loaded:
    """Read and check ``attest.toml``. Raises :class:`OperatorError` naming the file and the key; values of secrets are
    never repeated."""

    def refuse(detail: str, advice: str) -> OperatorError:
        return OperatorError(
            f"{path}: {detail}",
            code="configuration",
            reason="Nothing is read, decided or sent under a configuration that is not completely understood.",
            advice=advice,
        )

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise refuse(
            f"cannot be read ({fault.strerror})",
            "Name the file with --config, or make one with `attest init` (or `attest devnet` to try things out).",
        ) from None
    except UnicodeDecodeError:
        raise refuse("is not UTF-8 text", "Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as fault:
        raise refuse(f"is not TOML: {fault}", "Correct the line that it names.") from None
    except (ValueError, RecursionError):
        raise refuse("is not TOML: a number is too long or tables are nested too deeply", "Correct it.") from None
    try:
        config = Config.model_validate(_frozen(document))
    except ValidationError as fault:
        details = [_told(error) for error in fault.errors(include_url=False, include_input=False)]
        raise refuse(
            "; ".join(details[:5]) + (f"; and {len(details) - 5} more" if len(details) > 5 else ""),
            "Correct the keys named above; docs/configuration.md lists every key.",
        ) from None
    loaded = Loaded(config, path.resolve().parent)
    private, public = (_place(url, loaded.base) for url in (config.stores.private, config.stores.public))
    if private.startswith(public) or public.startswith(private):
        raise refuse(
            "stores: the private and the public store are one, or one lies within the other",
            "Give each its own place: what lies below the public store is served to everybody.",
        )
    return loaded


def _told(error: Any) -> str:
    """One of pydantic's errors in the file's own words: the key as it stands there, and what is wrong with it."""
    place = [str(part) for part in error["loc"]]
    if place[:1] == ["connections"] and len(place) > 2:
        del place[2]  # the kind by which pydantic chose, which is no key of the file
    kind, given = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        message = "unknown key"
    elif kind == "missing":
        message = "is required"
    elif kind == "union_tag_invalid":
        message = f"kind {given['tag']!r} is none of {given['expected_tags']}"
    elif kind == "union_tag_not_found":
        message = "kind is missing"
    else:
        message = error["msg"].removeprefix("Value error, ")
    return ": ".join([".".join(place), message] if place else [message])


def _place(url: str, base: Path) -> str:
    """Where a store is, ended by a slash: two spellings of one place are one."""
    if not url.startswith("file://"):
        return f"{url.rstrip('/')}/"
    return f"file://{(base / url.removeprefix('file://')).resolve()}".rstrip("/") + "/"
