"""What could stop a run, found before it starts: the checks behind ``attest doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from attest import quorum
from attest.chain.preflight import Finding, preflight
from attest.config import Loaded
from attest.custody import collector, ownership
from attest.custody.evidence import Evidence
from attest.custody.policies import account_policies
from attest.environment import ConfiguredKeys, clock, connect_chains, evidence_cipher, post
from attest.errors import AttestError
from attest.log.timestamp import QUERY_TYPE, request_stamp
from attest.money import currency, group
from attest.monitor.cycle import Watch
from attest.monitor.exposition import Values
from attest.monitor.findings import network_findings
from attest.monitor.metrics import VALIDATOR
from attest.monitor.thresholds import VALIDATOR_AGE
from attest.period import Period
from attest.records import format_instant
from attest.scaffold import PLACEHOLDER
from attest.secrets import resolve
from attest.signing.pkcs11 import Pkcs11NoteSigner, Pkcs11Signer
from attest.signing.transaction import DigestTransactionSigner
from attest.steps.orders import standing
from attest.steps.reserves import last_balances
from attest.store import OverlayStore, check_writable, open_store


def examine(loaded: Loaded, period: Period) -> Iterator[Finding]:
    """Every finding, as it is made. Nothing here raises :class:`AttestError`: a failed check is a finding."""
    config = loaded.config
    accounts, tokens = len(config.accounts), len(config.tokens)
    summary = f"tokens: {tokens}; accounts: {accounts}; chains: {len(config.chains)}"
    yield Finding("ok", "configuration", summary)
    if config.schedule.clock is not None:
        yield Finding(
            "warning",
            "schedule.clock",
            "the time is pinned: every statement made like this says that it is a rehearsal",
            "Leave it out of a configuration that attests for real.",
        )
    yield from _placeholders(loaded)
    yield from _stores(loaded)
    yield from _keys(loaded)
    yield from _chains(loaded)
    cutoff = config.schedule.schedule.cutoff(period)
    yield from _sources(loaded, period, cutoff)
    yield from _witnesses(loaded)
    yield from _periods(loaded)
    yield from _time_stamps(loaded)


def network(loaded: Loaded) -> Iterator[Finding]:
    """The incident runbook's health checks: blocks, validators, endpoints and the publisher, as `attest monitor` sees
    them in one cycle."""
    try:
        private = open_store(loaded.config.stores.private, base=loaded.base, secret=True)
        watch = Watch(loaded, private, lambda: datetime.now(UTC))
    except AttestError as fault:
        yield _failed("network", fault)
        return
    snapshot = watch.cycle(events=False)
    found = network_findings(snapshot)
    wrong = {each.subject for each in found}
    validators = list(Values(snapshot.samples).each(VALIDATOR))
    for chain, block in snapshot.blocks.items():
        seen = sum(of == chain and block.timestamp - at <= VALIDATOR_AGE for (of, _), at in validators)
        if chain not in wrong:
            age = int(snapshot.at.timestamp()) - block.timestamp
            yield Finding("ok", f"chain {chain}", f"block {block.number} is {age} s old; QBFT validators seen: {seen}")
    for chain, heads in snapshot.heads.items():
        for head in heads:
            if head.block is not None and head.endpoint not in wrong:
                yield Finding("ok", head.endpoint, f"chain {chain}: block {head.block.number}")
    if "publisher" not in wrong and not any(each.collector == "jobs" for each in snapshot.failures):
        yield Finding("ok", "publisher", "no run was refused in the last day, and none waits for a person")
    down = any(each.alert == "RpcEndpointDown" for each in found)
    for failure in snapshot.failures:
        if failure.error.code == "endpoints-down" and down:
            continue  # said of each endpoint
        if failure.collector.startswith("network-") or failure.collector == "jobs":
            told = _failed(failure.collector, failure.error)
            yield replace(told, advice=_NEXT_AFTER.get(failure.error.code, told.advice))
    for each in found:
        state: Literal["error", "warning"] = "error" if each.severity == "critical" else "warning"
        yield Finding(state, each.subject, f"{each.alert}: {each.detail}", _NEXT.get(each.alert, ""))


_NEXT = {
    "ChainHalted": "Check the validators; the incident runbook, Network Outage.",
    "ClockSkew": "Set this machine's clock by NTP, then the validators'.",
    "OracleCircuitBreakerOpen": "`attest run` says again what it refuses, and why.",
    "OraclePublisherErrors": "`attest quorum explain`, or `attest run` again, says why.",
    "RpcEndpointDown": "Check the endpoint; the incident runbook, RPC Endpoint Issues.",
    "RpcEndpointLagging": "Wait for it to synchronise, or take it out of the configuration.",
    "RpcProvidersDisagree": "Compare with a node of your own, and take the wrong endpoint out.",
    "ValidatorNotProducing": "Check that validator; the incident runbook, Validator Failure.",
}


#: Where an error's own advice is for a run, not for the network.
_NEXT_AFTER = {
    "block-unavailable": "An endpoint lags behind, or claims blocks that do not exist: compare with a node of your own."
}


def _placeholders(loaded: Loaded) -> Iterator[Finding]:
    """What `attest init` could not know, and nobody put in yet."""
    config = loaded.config
    places = [("oracle.address", config.oracle.address), ("registry.address", config.registry.address)]
    for symbol, token in config.tokens.items():
        places += [(f"tokens.{symbol}.deployments: address", each.address) for each in token.deployments]
    for key, address in places:
        if address == PLACEHOLDER:
            yield Finding(
                "error",
                key,
                "is still the scaffold's placeholder",
                "Put the address of your contract into attest.toml.",
            )


def _stores(loaded: Loaded) -> Iterator[Finding]:
    stores = loaded.config.stores
    for name, url in (("private", stores.private), ("public", stores.public)):
        try:
            store = open_store(url, base=loaded.base, secret=name == "private")
            check_writable(store)
            yield Finding("ok", f"{name} store", f"{store.url} can be written, and keeps what was written first")
        except AttestError as fault:
            yield _failed(f"{name} store", fault)
    cipher = evidence_cipher(loaded)
    if cipher is not None:
        try:
            opened = b"".join(cipher.open(cipher.seal((b"attest doctor",)), "doctor's probe"))
            assert opened == b"attest doctor"
            yield Finding("ok", "evidence key", "seals evidence and opens it again")
        except AttestError as fault:
            yield _failed("evidence key", fault)


def _keys(loaded: Loaded) -> Iterator[Finding]:
    signing, keys = loaded.config.signing, ConfiguredKeys(loaded)
    senders = [("reporter", signer) for signer in signing.reporters] + [("publisher", signing.publisher)]
    jobs: list[tuple[str, str, str, Callable[[], object]]] = [
        *((job, key.uri, key.address, partial(keys.transactions, key.address)) for job, key in senders),
        *(("attestor", key.uri, key.address, partial(keys.attestor, key.address)) for key in signing.own_attestors),
        ("log", signing.log.uri, signing.log.vkey.split("+")[0], keys.log),
    ]
    for job, uri, pinned, open_key in jobs:
        try:
            key = open_key()
            yield Finding("ok", f"{job} key", f"{uri} is {pinned}")
            yield from _exposures(f"{job} key", uri, key)
        except AttestError as fault:
            yield _failed(f"{job} key", fault)
    passwords = {signer.password for signer in (*signing.reporters, signing.publisher, *signing.own_attestors)}
    passwords.add(signing.log.password)
    if len(passwords) == 1:
        yield Finding(
            "warning",
            "keys",
            "one identity can use them all: reporters, publisher, attestor and log",
            "Give each job its own principal; who holds all keys can make a false attestation alone.",
        )


def _exposures(subject: str, uri: str, key: object) -> Iterator[Finding]:
    """Whether a key in a PKCS#11 token could leave it, or once could. What the other places promise, only they know."""
    holder = key.signer if isinstance(key, DigestTransactionSigner) else key
    if isinstance(holder, Pkcs11Signer | Pkcs11NoteSigner) and (exposures := holder.key.exposures()):
        yield Finding(
            "warning",
            subject,
            f"{uri}: {'; '.join(exposures)}",
            "Make a key in the token, sensitive and not extractable (docs/signing/pkcs11.md), and put it in this one's "
            "place.",
        )


def _chains(loaded: Loaded) -> Iterator[Finding]:
    try:
        now = clock(loaded)()
        yield from preflight(connect_chains(loaded), loaded.config, base=loaded.base, now=now)
    except AttestError as fault:
        yield _failed("chains", fault)


def _sources(loaded: Loaded, period: Period, cutoff: datetime) -> Iterator[Finding]:
    """What each source says if it is asked now, and what the quorum would decide on it; nothing is kept. Every source
    is asked once: some banks allow four questions a day."""
    try:
        private = OverlayStore(open_store(loaded.config.stores.private, base=loaded.base))
        evidence = Evidence(private, evidence_cipher(loaded))
        collected = collector.collect(
            loaded,
            period=str(period),
            cutoff=cutoff,
            now=clock(loaded),
            evidence=evidence,
            clients=connect_chains(loaded),
        )
        rules = account_policies(loaded.config, cutoff)
        _, previous = last_balances(private, period)
        proofs = ownership.proven(evidence, loaded.config, str(period))
        verdict = quorum.decide(collected.observations, collected.failures, rules, cutoff, previous, proofs)
    except AttestError as fault:
        yield _failed("sources", fault)
        return
    accepted = {one.account for one in verdict.accounts if one.outcome == "accepted"}
    seen = {(one.account, one.source): one for one in collected.observations}
    failed = {(one.account, one.source): one for one in collected.failures}
    for name, account in loaded.config.accounts.items():
        for source in account.sources:
            subject, failure = f"source {name}/{source.id}", failed.get((name, source.id))
            if failure is not None:
                dispensable = source.corroborates or name in accepted  # the others are enough
                state: Literal["ok", "warning", "error"] = "warning" if dispensable else "error"
                yield Finding(state, subject, failure.message, failure.advice)
                continue
            said = seen[name, source.id]
            amount = group(currency(said.currency).format(said.minor_units))
            yield Finding("ok", subject, f"{amount} {said.currency} as of {format_instant(said.as_of)}")
    for decided in verdict.accounts:
        advice = {
            "accepted": "",
            "held": f"Compare with the custodian; the run will ask for --acknowledge {decided.account}.",
            "refused": "See what the sources say above; a run would refuse.",
        }[decided.outcome]
        if decided.code == quorum.UNPROVEN:
            advice = ownership.advice(decided.account, str(period))
        state = "ok" if decided.outcome == "accepted" else "error"
        yield Finding(state, f"account {decided.account}", decided.detail, advice)


def _witnesses(loaded: Loaded) -> Iterator[Finding]:
    log = loaded.config.log
    for witness in log.witnesses:
        name = f"witness {witness.vkey.split('+')[0]}"
        try:
            url = witness.url if witness.url.startswith("http") else resolve(witness.url, base=loaded.base).reveal()
            status, _ = post(f"{url.rstrip('/')}/add-checkpoint", b"")
            yield Finding("ok", name, f"answers (status {status} to an empty request)")
        except (AttestError, OSError) as fault:
            needed = log.witness_quorum >= len(log.witnesses)
            advice = "Ask its operator; a run waits for it until its deadline."
            yield Finding("error" if needed else "warning", name, f"does not answer: {fault}", advice)
    if not log.witnesses:
        yield Finding(
            "warning",
            "witnesses",
            "nobody cosigns the log",
            "Ask an auditor to run `attest log witness`: without one, nobody would notice a rewritten history.",
        )


def _periods(loaded: Loaded) -> Iterator[Finding]:
    """Periods that were never attested, and revisions that nobody finished."""
    try:
        private = open_store(loaded.config.stores.private, base=loaded.base)
        waiting = standing(private, loaded.config, clock(loaded)()).waiting
    except AttestError as fault:
        yield _failed("periods", fault)
        return
    for week in waiting:
        what = "was never attested" if week.why == "missed" else f"has revision {week.revision} under way"
        yield Finding("warning", f"period {week.period}", what, week.command)


def _time_stamps(loaded: Loaded) -> Iterator[Finding]:
    wanted = loaded.config.log.timestamp
    if wanted is None:
        return
    name = f"time stamps by {wanted.name}"
    try:
        url = wanted.url if wanted.url.startswith("http") else resolve(wanted.url, base=loaded.base).reveal()
        _, stamp = request_stamp(lambda body: post(url, body, QUERY_TYPE), "probe\n", [wanted.authority], "its answer")
        yield Finding("ok", name, f"stamped a probe as {stamp.authority}")
    except (AttestError, OSError) as fault:
        advice = "Ask its operator; compare log.timestamp.authority with its root certificate."
        yield Finding("error" if wanted.required else "warning", name, f"gives no stamp: {fault}", advice)


def _failed(subject: str, fault: AttestError) -> Finding:
    return Finding("error", subject, fault.message, fault.advice)
