"""Writes a first ``attest.toml`` with every decision commented, and the keys that it names."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attest.chain.artifact import artifact
from attest.config import Config, Deployment
from attest.errors import OperatorError
from attest.money import currency
from attest.verify import trust
from attest.verify.trust import Trust

#: No contract has this address: `attest doctor` names every place where it still stands.
PLACEHOLDER = "0x" + "00" * 20


@dataclass(frozen=True)
class Network:
    """What is usual on a kind of network."""

    chain_id: int
    finality: str
    fees: str
    endpoint: str
    replace_after_seconds: int | None = None  # the configuration's own default


NETWORKS: Mapping[str, Network] = {
    "besu-138": Network(138, "instant", "free", "http://127.0.0.1:8545"),
    "ethereum": Network(1, "tag", "eip1559", "env:ATTEST_RPC_URL"),
    "sepolia": Network(11155111, "tag", "eip1559", "env:ATTEST_RPC_URL"),
}


@dataclass(frozen=True)
class KeySet:
    """The keys of a configuration: where they are (relative to it), their addresses, and the log's verifier key."""

    folder: str
    password: str
    reporters: tuple[str, ...]
    publisher: str
    attestor: str
    log_vkey: str


@dataclass(frozen=True)
class Scaffold:
    """What the template is filled with; ``accounts`` is TOML text of the ``[accounts.*]`` tables."""

    issuer: str
    contact: str
    network: Network
    oracle: str
    registry: str
    tokens: Mapping[str, tuple[str, str, int]]  # symbol -> currency, address, decimals
    keys: KeySet
    log_origin: str
    accounts: str
    witnesses: tuple[tuple[str, str], ...] = ()  # url, vkey
    witness_quorum: int = 0
    supply_at: str = "cutoff"
    clock: str | None = None
    max_age_hours: int = 96


EXAMPLE_ACCOUNTS = """\
# One table per custodial account. `external_account` is what the custodian calls it (IBAN or number).
[accounts.usd-operating]
token = "USDW"
custodian = "Example Bank, New York"
external_account = "US-000000000001"
currency = "USD"
zone = "America/New_York"              # what a balance with only a date means
# holidays = [2026-11-26]              # dates without a statement, besides weekends

# At least two sources per account, born in two places. Try one with `attest custody read FILE --format camt053`.
[[accounts.usd-operating.sources]]
id = "bank-statement"
origin = "example-bank"
format = "camt053"
location = "statements/{period}/usd-operating.xml"

[[accounts.usd-operating.sources]]
id = "custodian-export"
origin = "example-custodian"
format = "csv"
location = "statements/{period}/usd-operating.csv"

# The columns by their names in the export's first line; nothing is guessed. All options: docs/custody.md.
[accounts.usd-operating.sources.options]
account_column = "Account"
currency_column = "Currency"
amount_column = "Closing balance"
date_column = "Date"
date_format = "YYYY-MM-DD"
# thousands = ","                      # if amounts are grouped: 1,234.56
"""


def toml_string(text: str) -> str:
    """``text`` as a TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def config_text(plan: Scaffold) -> str:
    """The text of ``attest.toml``."""
    keys, network = plan.keys, plan.network
    tokens = "\n".join(
        f'[tokens.{symbol}]\ncurrency = "{currency}"\n\n[[tokens.{symbol}.deployments]]\nchain = "main"\n'
        f'address = "{address}"\ndecimals = {decimals}\n'
        for symbol, (currency, address, decimals) in plan.tokens.items()
    )
    reporters = "\n".join(
        f'[[signing.reporters]]\nuri = "keystore:{keys.folder}/reporter-{number}.json"\naddress = "{address}"\n'
        f'password = "{keys.password}"\n'
        for number, address in enumerate(keys.reporters, 1)
    )
    witnesses = "\n".join(f'[[log.witnesses]]\nurl = "{url}"\nvkey = "{vkey}"\n' for url, vkey in plan.witnesses)
    clock = f"\n# A rehearsal: runs think it is this time, and the statement says so.\nclock = {plan.clock}" * bool(
        plan.clock
    )
    wait = network.replace_after_seconds
    patience = (
        f"\n# A transaction unmined for so long is sent again, then replaced.\nreplace_after_seconds = {wait}"
        * bool(wait)
    )
    return f"""\
# The configuration of `attest`. Paths are relative to this file; every key is in docs/configuration.md.
# Secrets are references (env:NAME, file:PATH, aws-sm:ARN#KEY, keyring:SERVICE/USER), never written here.

[issuer]
name = {toml_string(plan.issuer)}
contact = {toml_string(plan.contact)}

# Balances are taken once a week, at this wall-clock time.
[schedule]
weekday = "sunday"
at = 23:59:59
zone = "UTC"
deadline_hours = 48                    # after that, a token that still fails is withheld
# The supply at the last block before the `cutoff`, or at the `run`. Nodes that prune forget the cutoff's block: then
# schedule `attest open` right after the cutoff, or say `run` (the statement gives the gap).
supply_at = "{plan.supply_at}"{clock}

# Two stores, never mixed: evidence, salts and decisions are private; only the public one is served.
# file://PATH, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or gs://BUCKET/PREFIX.
[stores]
private = "file://private"
public = "file://public"

[chains.main]
chain_id = {network.chain_id}
# Several endpoints are better: read_quorum of them must agree on every answer.
endpoints = ["{network.endpoint}"]
read_quorum = 1
# instant (QBFT, IBFT), tag (the finalized block), or depth:N
finality = "{network.finality}"

[chains.main.fees]
# eip1559, legacy, or free (gas price zero)
kind = "{network.fees}"{patience}

[oracle]
chain = "main"
address = "{plan.oracle}"

[registry]
chain = "main"
address = "{plan.registry}"

{tokens}
# Sources of an account must agree exactly unless a tolerance is set here or on the account.
[quorum]
min_sources = 2
min_origins = 2
max_age_hours = {plan.max_age_hours}
change_limit_bps = 5000                # a larger change against last week waits for --acknowledge

# Keys with separate jobs. The addresses are pinned: another key is refused.
{reporters}
[signing.publisher]
uri = "keystore:{keys.folder}/publisher.json"
address = "{keys.publisher}"
password = "{keys.password}"

[[signing.attestors]]
uri = "keystore:{keys.folder}/attestor.json"
address = "{keys.attestor}"
password = "{keys.password}"

[signing.log]
uri = "keystore:{keys.folder}/log.pem"
vkey = "{keys.log_vkey}"
password = "{keys.password}"

[log]
origin = {toml_string(plan.log_origin)}
witness_quorum = {plan.witness_quorum}

{witnesses}
{plan.accounts}"""


def generate_keys(folder: Path, *, relative: str, log_origin: str, reporters: int, scrypt_n: int | None) -> KeySet:
    """Make keys of one's own in ``folder`` with a random password in ``password.txt`` (0600).

    Raises :class:`OperatorError` if the folder already holds keys: nothing is ever overwritten.
    """
    from attest.log.note import ED25519, verifier_key
    from attest.signing.ed25519 import generate_note_key
    from attest.signing.keystore import SCRYPT_N, generate_keystore

    if folder.exists() and any(folder.iterdir()):
        raise OperatorError(
            f"{folder}: is not empty",
            code="keys-exist",
            reason="A key that is overwritten is lost, and with it every role it was granted.",
            advice="Name another folder, or move the old keys away.",
        )
    password = secrets.token_urlsafe(24)
    cost = scrypt_n or SCRYPT_N
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".keys-", dir=folder.parent) as beside:
        made = Path(beside) / "keys"
        made.mkdir(mode=0o700)

        def keystore(name: str) -> str:
            return generate_keystore(made / name, password, n=cost).address

        log = generate_note_key(made / "log.pem", password.encode())
        keys = KeySet(
            folder=relative,
            password=f"file:{relative}/password.txt",
            reporters=tuple(keystore(f"reporter-{number}.json") for number in range(1, reporters + 1)),
            publisher=keystore("publisher.json"),
            attestor=keystore("attestor.json"),
            log_vkey=verifier_key(log_origin, ED25519, log).vkey,
        )
        path = made / "password.txt"
        path.touch(mode=0o600)
        path.write_text(f"{password}\n")
        made.rename(folder)  # all of them, or none
    return keys


def refuse_existing(path: Path) -> None:
    """Raises :class:`OperatorError` if ``path`` exists."""
    if path.exists():
        raise OperatorError(
            f"{path}: exists already",
            code="file-exists",
            reason="A configuration that is in use must not be overwritten by an empty one.",
            advice="Name another place with --directory, or move the file away.",
        )


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet; raises :class:`OperatorError` if it does, or cannot be made."""
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as fault:
        raise OperatorError(
            f"{path}: cannot be written ({fault.strerror})",
            code="not-writable",
            reason="The scaffold is a file.",
            advice="Name a folder that you may write to with --directory.",
        ) from None


def trust_example(
    config: Config,
    *,
    earliest_period: str,
    attestors: Sequence[str],
    code_hashes: Mapping[tuple[int, str], str],
    min_quorum: int,
) -> Trust:
    """A first trust file for auditors, to be compared with what they know from elsewhere before they pin it.

    ``attestors`` are public keys (SPKI PEM), ``code_hashes`` maps chain id and address to the keccak256 of the code
    there; storage slots are given where that is the reference contract's. It names no validators and calls no chain
    independent: that is the auditor's to say.
    """
    oracle, registry = config.oracle, config.registry
    oracle_code, registry_code, token_code = map(artifact, ("ReserveOracle", "AttestationRegistry", "WToken"))
    ids = {name: chain.chain_id for name, chain in config.chains.items()}
    rules = [config.account_quorum(name) for name in config.accounts]

    def deployment(of: Deployment) -> trust.TrustedDeployment:
        code = code_hashes.get((ids[of.chain], of.address))
        slot = token_code.slot("_totalSupply") if code == token_code.code_hash else None
        return trust.TrustedDeployment(ids[of.chain], of.address, of.decimals, code_hash=code, supply_slot=slot)

    oracle_hash = code_hashes.get((ids[oracle.chain], oracle.address))
    registry_hash = code_hashes.get((ids[registry.chain], registry.address))
    return trust.Trust(
        format="attest-trust/1",
        issuer=config.issuer.name,
        earliest_period=earliest_period,
        chains=tuple(
            trust.TrustedChain(chain.chain_id, chain.finality, independent=False)
            for chain in sorted(config.chains.values(), key=lambda chain: chain.chain_id)
        ),
        oracle=trust.TrustedOracle(
            ids[oracle.chain],
            oracle.address,
            min_quorum,
            code_hash=oracle_hash,
            slots=trust.OracleSlots(
                reports=oracle_code.slot("_reports"),
                role_members=oracle_code.slot("_roleMembers"),
                required_quorum=oracle_code.slot("requiredQuorum"),
                consensus_validity=oracle_code.slot("consensusValidity"),
            )
            if oracle_hash == oracle_code.code_hash
            else None,
        ),
        registry=trust.TrustedRegistry(
            ids[registry.chain],
            registry.address,
            code_hash=registry_hash,
            attestations_slot=registry_code.slot("_attestations") if registry_hash == registry_code.code_hash else None,
        ),
        publishers=(trust.TrustedPublisher(config.signing.publisher.address, earliest_period),),
        tokens=tuple(
            trust.TrustedToken(
                token=symbol,
                currency=token.currency,
                exponent=currency(token.currency).exponent,
                decimals=next(d.decimals for d in token.deployments if d.chain == oracle.chain),
                deployments=tuple(deployment(of) for of in token.deployments),
            )
            for symbol, token in sorted(config.tokens.items())
        ),
        attestors=tuple(
            trust.TrustedAttestor(f"attestor-{number}", key, earliest_period) for number, key in enumerate(attestors, 1)
        ),
        attestor_threshold=config.signing.threshold,
        log=trust.TrustedLog(config.log.origin, config.signing.log.vkey),
        witnesses=trust.TrustedWitnesses(
            config.log.witness_quorum, tuple(witness.vkey for witness in config.log.witnesses)
        ),
        policy=trust.MinimumPolicy(
            min_sources=min(rule.min_sources for rule in rules),
            min_origins=min(rule.min_origins for rule in rules),
            max_tolerance_abs=max(rule.tolerance_abs for rule in rules),
            max_tolerance_bps=max(rule.tolerance_bps for rule in rules),
            max_age_seconds=max(rule.max_age_hours for rule in rules) * 3600,
            allow_dissent=max(rule.allow_dissent for rule in rules),
            waivers=tuple(sorted({rule.waiver for rule in rules if rule.waiver is not None})),
        ),
        demands=("witnesses",) if config.log.witness_quorum else (),
        cadence_weeks=1,
        timestamp_authorities=() if config.log.timestamp is None else (config.log.timestamp.authority,),
    )
