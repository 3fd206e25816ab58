"""A whole network to practise on, in one folder: a chain with the reference contracts, a witness, keys, statements, a
configuration and the auditor's trust file.

    attest.toml, trust.json     what the operator and the auditor begin with
    keys/, statements/          copies of the examples
    private/, public/           the stores
    contracts.json              with a scenario: where the contracts stand that a monitor watches
    prometheus.yml, attest.rules.yml
                                with a scenario: a Prometheus for that monitor, with the alerts made 60 times faster
    chain.json, witness.json    the chain's and the witness's state, kept between starts
    rpc.url, witness.url        where they listen now
    devnet.pid                  locked for as long as they run
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, time, timedelta
from pathlib import Path

from attest import config, scaffold, scenarios
from attest.chain import devnet as chain
from attest.chain.artifact import artifact
from attest.errors import ChainError, OperatorError
from attest.log.note import COSIGNATURE_V1, ED25519, VerifierKey, verifier_key
from attest.log.witness import Witness, WitnessServer
from attest.monitor.alerts import JOB
from attest.monitor.rules import PRACTICE_FASTER, rules
from attest.period import Period, Schedule
from attest.records import from_json, to_json
from attest.signing import dsse
from attest.signing.ed25519 import load_note_signer
from attest.signing.keystore import load_keystore

ISSUER = "Example Issuer Ltd"
CONTACT = "reserves@issuer.example"
LOG_ORIGIN = "issuer.example/reserves"
WITNESS_NAME = "witness.example/one"
#: The period of the example statements; the practice chain's clock is pinned around its cutoff.
PERIOD = Period(2026, 47)
SCHEDULE = Schedule(7, time(23, 59, 59), "UTC")
REPORTERS = 3
QUORUM = 2
MAX_AGE_HOURS = 96
#: How often a scenario's monitor looks, and a Prometheus at it.
_SCRAPE_SECONDS = 5
#: Our own node mines at once or, having left a transaction behind, not before it is sent a new one.
LOCAL_REPLACE_SECONDS = 5

TOKENS = (
    chain.TokenPlan("USDW", "W Dollar", 6, 1_200_000 * 10**6),
    chain.TokenPlan("EURW", "W Euro", 6, 845_000 * 10**6),
    chain.TokenPlan("GBPW", "W Pound", 18, 400_000 * 10**18),
)
CURRENCIES = {"USDW": "USD", "EURW": "EUR", "GBPW": "GBP"}


@dataclass(frozen=True)
class Running:
    """Where the practice network listens, and what keeps its scenario going (given the number of the beat, from 0)."""

    rpc: str
    witness: str
    beat: Callable[[int], None]


def example(name: str) -> Path:
    """A folder of examples: beside the package when installed, in the repository's root otherwise.

    Raises :class:`OperatorError` if it is in neither.
    """
    package = Path(__file__).parent
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise OperatorError(
        f"the folder {name} of this distribution is missing",
        code="examples-missing",
        reason="The practice network begins with example keys and statements.",
        advice="Install reserve-attest again, or run from a checkout of its repository.",
    )


@contextmanager
def running(
    folder: Path, *, port: int, witness_port: int, rpc: str | None = None, scenario: str | None = None
) -> Iterator[Running]:
    """Start chain and witness (prepare the folder at the first start), and stop both at the end.

    With ``rpc`` no chain is started: the contracts are deployed at that endpoint. With ``scenario`` (not both) the
    chain has the machine's clock and :mod:`attest.scenarios` plays on it; a later start goes on with it. A first start
    that fails leaves the folder as it was. Raises :class:`OperatorError` when something is in the way,
    :class:`ChainError` when the chain does not start.
    """
    first = _is_new(folder)
    scenario = folder_scenario(folder, scenario)
    if rpc is not None and scenario is not None:
        raise OperatorError(
            f"{folder}: a scenario cannot be played at another endpoint",
            code="scenario-elsewhere",
            reason="Its history is made up to now on a chain of its own, whose clock can be set.",
            advice="Leave --rpc out, or name an empty or new folder with --directory.",
        )
    with ExitStack() as undo, ExitStack() as parts:
        if first:
            undo.callback(_empty, folder)
            _copy_examples(folder)
        witness = parts.enter_context(_witness(folder, witness_port)).url
        (folder / "witness.url").write_text(f"{witness}\n")
        if rpc is None:
            node = chain.Anvil(
                port=port,
                state=folder / "chain.json",
                timestamp=_pinned_clock(first, scenario),
                free_gas=scenario is not None,  # a scenario goes on for days
                log=folder / "chain.log",
            )
            url = parts.enter_context(node).url
        else:
            url = rpc
        (folder / "rpc.url").write_text(f"{url}\n")
        if first:
            _prepare(folder, url, local=rpc is None, scenario=scenario)
        elif scenario is not None:
            chain.follow_machine(url, scenarios.BLOCK_SECONDS)
        undo.pop_all()
        yield Running(url, witness, _beat(folder, url))


def folder_scenario(folder: Path, asked: str | None) -> str | None:
    """The scenario of the network in a folder: its own where it is prepared, else what is asked for.

    Raises :class:`OperatorError` (``another-scenario``) if another one is asked for than the folder's.
    """
    if not (folder / "attest.toml").exists():
        return asked
    contracts = watched_contracts(folder)
    own = contracts.scenario if contracts else None
    if asked not in (None, own):
        raise OperatorError(
            f"{folder}: holds {f'the scenario {own}' if own else 'a network without a scenario'}, not {asked}",
            code="another-scenario",
            reason="A scenario is the history of a chain, from its first block on.",
            advice="Name an empty or new folder with --directory.",
        )
    return own


def watched_contracts(folder: Path) -> scenarios.Contracts | None:
    """Where the contracts of the folder's scenario stand; None where it has none."""
    path = folder / "contracts.json"
    return from_json(scenarios.Contracts, path.read_bytes(), str(path)) if path.exists() else None


def _pinned_clock(first: bool, scenario: str | None) -> int | None:
    """Genesis time of the practice chain: around the example period's cutoff; with a scenario as far back as its
    contracts are deployed, and later on the machine's clock."""
    if scenario is None:
        return int((SCHEDULE.cutoff(PERIOD) - timedelta(hours=12)).timestamp())
    return int(clock.time()) - scenarios.DEPLOYED_SECONDS if first else None


def stage(folder: Path, rpc: str, contracts: scenarios.Contracts) -> scenarios.Stage:
    """Everybody who acts on a folder's chain, with their keys."""
    from eth_account import Account

    keys = [
        Account.decrypt((folder / f"keys/reporter-{number}.json").read_text(), _password(folder))
        for number in range(1, REPORTERS + 1)
    ]
    reporters = [chain.Sender(rpc, f"0x{bytes(key).hex()}") for key in keys]
    return scenarios.Stage(rpc, contracts, {plan.symbol: plan.decimals for plan in TOKENS}, reporters)


def _beat(folder: Path, rpc: str) -> Callable[[int], None]:
    contracts = watched_contracts(folder)
    if contracts is None:
        return lambda _: None
    actors = stage(folder, rpc, contracts)
    return lambda number: scenarios.SITUATIONS[contracts.scenario].beat(actors, number)


# -- in the background -----------------------------------------------------------------------------------------------

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0


def hold(folder: Path) -> int:
    """Mark this process as the folder's network, until it ends; returns the locked file's descriptor.

    Raises :class:`OperatorError` if another process runs it.
    """
    _make(folder)
    descriptor = os.open(folder / "devnet.pid", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise OperatorError(
            f"{folder}: the practice network is running already",
            code="devnet-running",
            reason="Two of them would overwrite each other's state.",
            advice=f"Use it as it is, or end it with `attest devnet --directory {folder} --stop`.",
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def running_process(folder: Path) -> int | None:
    """The process that runs the folder's network, or None: a left-over file says nothing, its lock does."""
    try:
        descriptor = os.open(folder / "devnet.pid", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError:
        return int(os.pread(descriptor, 32, 0) or b"0")
    finally:
        os.close(descriptor)


def start_detached(folder: Path, arguments: Sequence[str]) -> bool:
    """Run ``attest devnet`` in the background until it answers; False if it was running already.

    Raises :class:`ChainError` with what it printed when it does not come up.
    """
    if running_process(folder) is not None:
        return False
    _is_new(folder)
    ready = folder / "rpc.url"
    ready.unlink(missing_ok=True)
    with (folder / "devnet.log").open("wb+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "attest.cli.main", "devnet", "--directory", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = clock.monotonic() + _START_SECONDS
        while clock.monotonic() < deadline and process.poll() is None:
            if ready.exists() and (folder / "attest.toml").exists():
                return True
            clock.sleep(0.05)
        process.terminate()
        process.wait()
        log.seek(0)
        output = log.read().decode(errors="replace").strip()
    raise ChainError(
        f"{folder}: the practice network did not start: {output[-2000:] or 'it printed nothing'}",
        code="devnet-not-started",
        reason="The demo needs its chain and its witness.",
        advice="Correct what it says above; if the folder is damaged, remove it and begin again.",
    )


def stop_detached(folder: Path) -> bool:
    """End the folder's network and wait until its state is written; False if none runs."""
    process = running_process(folder)
    if not process:
        return False
    os.kill(process, signal.SIGTERM)
    deadline = clock.monotonic() + _STOP_SECONDS
    while running_process(folder) is not None:
        if clock.monotonic() > deadline:
            raise ChainError(
                f"{folder}: process {process} does not stop",
                code="devnet-not-stopped",
                reason="Its state may not be written yet.",
                advice=f"Look at {folder}/devnet.log; as a last resort, kill process {process}.",
            )
        clock.sleep(0.05)
    return True


# -- preparing the folder --------------------------------------------------------------------------------------------

_OURS_WHILE_EMPTY = {"devnet.pid", "devnet.log"}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
        detail = "Permission denied"
    except OSError as fault:
        writable, detail = False, str(fault.strerror)
    if not writable:
        raise OperatorError(
            f"{folder}: cannot be written ({detail})",
            code="not-writable",
            reason="The practice network keeps everything in one folder.",
            advice="Name a folder that you may write to with --directory.",
        )


def _is_new(folder: Path) -> bool:
    """Whether nothing was prepared in the folder yet; makes it. Raises :class:`OperatorError` if it is another's."""
    _make(folder)
    if (folder / "attest.toml").exists():
        return False
    if any(path.name not in _OURS_WHILE_EMPTY for path in folder.iterdir()):
        raise OperatorError(
            f"{folder}: is not empty, and holds no attest.toml",
            code="folder-in-use",
            reason="The practice network writes a dozen files; it must not mix with others.",
            advice="Name an empty or new folder with --directory.",
        )
    return True


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _OURS_WHILE_EMPTY:
            path.unlink()


def _copy_examples(folder: Path) -> None:
    # Its folders are policies for key services, which no practice key has use for.
    keys = example("keys.example")
    policies = [entry.name for entry in keys.iterdir() if entry.is_dir()]
    shutil.copytree(keys, folder / "keys", ignore=shutil.ignore_patterns(*policies))
    shutil.copytree(example("examples") / "statements", folder / "statements")


def _password(folder: Path) -> str:
    return (folder / "keys/password.txt").read_text().removesuffix("\n")


def _witness_key(folder: Path) -> VerifierKey:
    signer = load_note_signer(folder / "keys/witness.pem", _password(folder).encode())
    return verifier_key(WITNESS_NAME, COSIGNATURE_V1, signer)


def _log_key(folder: Path) -> VerifierKey:
    return verifier_key(LOG_ORIGIN, ED25519, load_note_signer(folder / "keys/log.pem", _password(folder).encode()))


@contextmanager
def _witness(folder: Path, port: int) -> Iterator[WitnessServer]:
    signer = load_note_signer(folder / "keys/witness.pem", _password(folder).encode())
    # A witness's time is when it saw a head: the machine's clock, also where the chain's is pinned.
    witness = Witness(WITNESS_NAME, signer, [_log_key(folder)], folder / "witness.json", lambda: int(clock.time()))
    try:
        with WitnessServer(witness, ("127.0.0.1", port)) as server:
            yield server
    finally:
        witness.close()


def _prepare(folder: Path, rpc: str, *, local: bool, scenario: str | None) -> None:
    """Deploy, move our own chain past the cutoff or play its scenario, then write the trust file and, last, the
    configuration: a folder with an ``attest.toml`` is complete. The trust file is what an auditor would have written
    down from outside."""
    password = _password(folder)
    cutoff = SCHEDULE.cutoff(PERIOD)
    pinned = local and scenario is None

    def address(name: str) -> str:
        return load_keystore(folder / "keys" / name, password).address

    reporters = tuple(address(f"reporter-{number}.json") for number in range(1, REPORTERS + 1))
    publisher = address("publisher.json")
    attestor = load_keystore(folder / "keys/attestor.json", password)
    deployment = chain.deploy(rpc, chain.dev_key(0), TOKENS, reporters=reporters, publishers=[publisher], quorum=QUORUM)
    if pinned:
        chain.advance_to(rpc, int((cutoff + timedelta(hours=6)).timestamp()))
    if scenario is not None:
        decimals = {plan.symbol: plan.decimals for plan in TOKENS}
        contracts = scenarios.deploy(rpc, scenario, deployment, decimals, reporters=reporters, publishers=[publisher])
        (folder / "contracts.json").write_bytes(to_json(contracts))
        scenarios.play(stage(folder, rpc, contracts), int(clock.time()))
    keys = scaffold.KeySet(
        folder="keys",
        password="file:keys/password.txt",
        reporters=reporters,
        publisher=publisher,
        attestor=attestor.address,
        log_vkey=_log_key(folder).vkey,
    )
    patience = LOCAL_REPLACE_SECONDS if local else None
    fees = "legacy" if scenario is None else "free"
    network = scaffold.Network(deployment.chain_id, "instant", fees, "file:rpc.url", patience)
    text = scaffold.config_text(
        scaffold.Scaffold(
            issuer=ISSUER,
            contact=CONTACT,
            network=network,
            oracle=deployment.oracle,
            registry=deployment.registry,
            tokens={
                plan.symbol: (CURRENCIES[plan.symbol], deployment.tokens[plan.symbol], plan.decimals) for plan in TOKENS
            },
            keys=keys,
            log_origin=LOG_ORIGIN,
            accounts=(example("examples") / "accounts.toml").read_text(),
            witnesses=(("file:witness.url", _witness_key(folder).vkey),),
            witness_quorum=1,
            supply_at="cutoff" if pinned else "run",
            clock=(cutoff + timedelta(hours=6)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            max_age_hours=MAX_AGE_HOURS,
        )
    )
    if scenario is not None:
        text += _monitor_text(contracts)
        (folder / "attest.rules.yml").write_text(rules(PRACTICE_FASTER, rehearsal=True))
        (folder / "prometheus.yml").write_text(_PROMETHEUS)
    draft = folder / "attest.toml.draft"
    draft.write_text(text)
    codes = {deployment.oracle: artifact("ReserveOracle"), deployment.registry: artifact("AttestationRegistry")}
    codes |= dict.fromkeys(deployment.tokens.values(), artifact("WToken"))
    document = scaffold.trust_example(
        config.load(draft).config,
        earliest_period=str(PERIOD),
        attestors=[dsse.spki_pem(attestor.public_key)],
        code_hashes={(deployment.chain_id, address): code.code_hash for address, code in codes.items()},
        min_quorum=QUORUM,
    )
    (folder / "trust.json").write_bytes(to_json(document))
    draft.rename(folder / "attest.toml")


#: For `attest monitor` at its default address.
_PROMETHEUS = f"""\
# Watches `attest monitor` of this practice network. Its alerts are at http://127.0.0.1:9090/alerts
global:
  scrape_interval: {_SCRAPE_SECONDS}s
  evaluation_interval: {_SCRAPE_SECONDS}s
rule_files: [attest.rules.yml]
scrape_configs:
  - job_name: {JOB}
    static_configs:
      - targets: ["127.0.0.1:9464"]
"""


def _monitor_text(contracts: scenarios.Contracts) -> str:
    """The ``[monitor]`` of a scenario's configuration."""
    prices = "".join(
        f'\n[monitor.price_oracles.{symbol}]\naddress = "{address}"\n'
        for symbol, address in contracts.price_oracles.items()
    )
    audited = "".join(
        f'\n[monitor.roles.{name}]\naddress = "{each.address}"\ncontract = "{each.contract}"\n'
        f"\n[monitor.roles.{name}.members]\n"
        + "".join(f"{role} = [{_listed(members)}]\n" for role, members in each.members.items())
        for name, each in contracts.roles.items()
    )
    audited += "".join(
        f'\n[monitor.multisigs.{name}]\naddress = "{each.address}"\nthreshold = {each.threshold}\n'
        f"owners = [{_listed(each.owners)}]\n"
        for name, each in contracts.multisigs.items()
    )
    assets = ", ".join(f'{symbol} = "{address}"' for symbol, address in contracts.assets.items())
    return f"""
# What `attest monitor` watches besides tokens and oracle.
[monitor]
interval_seconds = {_SCRAPE_SECONDS}
index = "sqlite:///events.sqlite"
first_block = {contracts.first_block}

[monitor.ledger]
address = "{contracts.ledger}"
assets = {{ {assets} }}

[monitor.liquidation]
address = "{contracts.liquidation}"
{prices}
[monitor.bridge]
address = "{contracts.bridge_vault}"

[monitor.guard]
address = "{contracts.compliance_guard}"

[monitor.stabilizer]
address = "{contracts.stabilizer}"
window_seconds = 300
{audited}"""


def _listed(addresses: Sequence[str]) -> str:
    """Addresses as a TOML array has them, without its brackets."""
    return ", ".join(f'"{address}"' for address in addresses)
