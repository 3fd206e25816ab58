"""Steps 5 and 6: submit the reports and confirm them at finality; and later reports of the same reserves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from attest.artifacts import Committed, Confirmed, Opened, Refreshed, Submitted
from attest.chain import contracts, state
from attest.chain.batch import checksum
from attest.chain.contracts import attestation_registry, reserve_oracle
from attest.chain.state import ConfirmationReading
from attest.chain.submission import Intent, Submitter
from attest.errors import ChainError, ConflictError, OperatorError
from attest.log.note import COSIGNATURE_V1, ED25519, parse_vkey
from attest.model import ReportReceipt, TokenConsensus, TokenReserve
from attest.money import format_units, group
from attest.period import Period
from attest.records import digest
from attest.runs import RunArea
from attest.steps.context import Environment, Run
from attest.steps.reserves import open_period, recheck, reported_deployment
from attest.steps.statements import check_fits
from attest.store import Store, check_writable


def submitter(run: Run, chain: str) -> Submitter:
    """Who sends on ``chain``, with the journal in the private store."""
    environment = run.environment
    return Submitter(
        environment.client(chain),
        run.config.chains[chain],
        environment.private,
        environment.keys.transactions,
        sleep=lambda seconds: _wait(run, chain, seconds),
    )


def _wait(run: Run, chain: str, seconds: float) -> None:
    run.environment.narrator.progress(f"waiting for chain {chain}")
    run.environment.sleep(seconds)


def report_intents(run: Run, committed: Committed, series: str = "report") -> list[Intent]:
    """One intent per token and reporter key: ``submitReserveReport(token, units, head timestamp)``.

    ``series`` keeps a later report of the same reserves apart from the first.
    """
    oracle = reserve_oracle(run.config.oracle, run.environment.loaded.base)
    opened = run.take("open", Opened)
    intents = []
    for reserve in committed.tokens:
        token = reported_deployment(run.config, reserve.token).address
        for reporter in run.config.signing.reporters:
            intents.append(
                Intent(
                    id=f"{series}/{run.area.name}/{run.area.attempt}/{reserve.token}/{reporter.address}",
                    sender=reporter.address,
                    to=oracle.address,
                    description=f"report {group(format_units(reserve.units, reserve.decimals))} {reserve.token}"
                    f" by {reporter.address}",
                    build=_report(oracle.submit_report, token, reserve.units),
                    valid_seconds=opened.supply.max_report_age,
                    explain=oracle.explain,
                )
            )
    return intents


def _report(submit_report: Callable[[str, int, int], bytes], token: str, units: int) -> Callable[[int], bytes]:
    return lambda timestamp: submit_report(token, units, timestamp)


def anchor_intent(run: Run, *, statement_digest: bytes, log_root: bytes, log_size: int) -> Intent:
    """``AttestationRegistry.publish`` of this period and revision, by the publisher key."""
    opened, committed = run.take("open", Opened), run.take("commitment", Committed)
    registry = attestation_registry(run.config.registry, run.environment.loaded.base)
    data = registry.publish(
        period=opened.period,
        revision=opened.revision,
        root=bytes.fromhex(committed.root),
        size=len(committed.leaves),
        statement=statement_digest,
        log_root=log_root,
        log_size=log_size,
    )
    return Intent(
        id=f"publish/{opened.period}/{opened.revision}",
        sender=run.config.signing.publisher.address,
        to=registry.address,
        description=f"anchor {opened.period}, revision {opened.revision}",
        build=lambda timestamp: data,
        explain=registry.explain,
    )


def anchor_rehearsal(run: Run) -> Intent:
    """The anchor as far as it is known before the statement and the log are: to be simulated, never sent."""
    placeholder = bytes.fromhex(digest(b"not signed yet"))
    intent = anchor_intent(run, statement_digest=placeholder, log_root=placeholder, log_size=1)
    return replace(intent, id=f"rehearsal/{intent.id}")


def submit(run: Run) -> tuple[Submitted, str]:
    """Sign all reports, keep them in the journal, then broadcast them together.

    Before anything is signed, what a whole run needs afterwards is checked as well: the registry would take the anchor,
    the other keys open, and the public store can be written. From then on the attempt can no longer be abandoned. As
    long as the reports are not confirmed, a later run sends anew what was lost or reverted. Raises :class:`ChainError`
    (exit 5) when the chain would not take the transactions, :class:`OperatorError` (exit 2) when a key or the public
    store cannot be used, :class:`ConflictError` (exit 7) when the attempt was abandoned, its decisions were tampered
    with, or a later period was reported.
    """
    area = run.area
    committed = run.take("commitment", Committed)
    intents = report_intents(run, committed)

    def compute() -> Submitted:
        recheck(run)
        if intents:
            check_newest(run.environment, run.period)
            check_fits(run, [(intent.id, intent.sender) for intent in intents])
            submitter(run, run.config.oracle.chain).submit(
                intents, alongside=_check_the_way(run), begin=lambda: _begin(run)
            )
        else:
            _begin(run)
        return Submitted(
            format="attest-run-submission/1",
            made_from=area.digests("open", "commitment"),
            intents=tuple(intent.id for intent in intents),
        )

    resumed = area.bytes_of("submission") is not None
    submitted = area.artifact("submission", Submitted, compute)
    if resumed and intents and area.bytes_of("confirmation") is None:
        recheck(run)
        check_newest(run.environment, run.period)
        submitter(run, run.config.oracle.chain).submit(intents)
    reporters = len(run.config.signing.reporters)
    if not submitted.intents:
        return submitted, "nothing to report: every token is withheld"
    return submitted, f"{len(submitted.intents)} reports ({len(committed.tokens)} tokens, {reporters} reporters)"


def _check_the_way(run: Run) -> list[Intent]:
    """What must be simulated along with the first reports. An anchor on another chain than the oracle's is simulated
    here. Later, other runners of the same attempt may have anchored already."""
    if not run.publishes or run.area.fate() is not None:
        return []
    anchor, registry = anchor_rehearsal(run), run.config.registry
    if registry.chain == run.config.oracle.chain:
        return [anchor]
    submitter(run, registry.chain).check([anchor])
    return []


def _begin(run: Run) -> None:
    """The point of no return."""
    if run.publishes and run.area.fate() is None:
        _check_keys(run)
        check_writable(run.environment.public)
    run.area.begin_submitting(run.environment.now())


def _check_keys(run: Run) -> None:
    """The keys of the steps to come open, and are the configured ones. A pinned key cannot be corrected any more once
    the reports are sent: the configuration must not change in the middle of a run."""
    config, keys = run.config, run.environment.keys
    keys.transactions(config.signing.publisher.address)
    for attestor in config.signing.own_attestors[: config.signing.threshold]:
        keys.attestor(attestor.address)
    keys.log()
    vkeys = [("signing.log.vkey", config.signing.log.vkey, ED25519)]
    vkeys += [("log.witnesses: vkey", witness.vkey, COSIGNATURE_V1) for witness in config.log.witnesses]
    for where, vkey, algorithm in vkeys:
        key = parse_vkey(vkey, where, OperatorError)
        if key.algorithm != algorithm or (algorithm == ED25519 and key.name != config.log.origin):
            raise OperatorError(
                f"{where}: {vkey!r} is not a key for this purpose",
                code="malformed-vkey",
                reason="The log's key is of type 1 and named like log.origin; a witness's is of type 4.",
                advice="Copy the vkey again, whole, from where its owner publishes it.",
            )


def check_newest(environment: Environment, period: Period) -> None:
    """The oracle holds one report for each reporter and token: an older period's balances must not replace a newer
    one's. Raises :class:`ConflictError`."""
    due, week = environment.config.schedule.schedule.latest_due(environment.now()), period
    while week < due:
        week = week.shifted(1)
        if _was_reported(environment.private, week):
            published = RunArea.published(environment.private, period) is not None
            blank = "attest revoke` withdraws it" if published else "attest withhold` states that there is no reserve"
            raise ConflictError(
                f"period {period} cannot be reported any more: {week} was",
                code="later-period-reported",
                reason="The oracle keeps each reporter's last report: older balances would stand there as the newest.",
                advice=f"Go on with {week}. For {period}, `{blank}, signed and logged, without reporting.",
            )


def _was_reported(store: Store, period: Period) -> bool:
    """Whether the reports of any revision were begun."""
    area = RunArea.current(store, period)
    areas = [area, *(RunArea.of(store, period, revision) for revision in range(area.revision))]
    return any(each.blank is None and each.fate() is not None for each in areas)


def confirm(run: Run) -> tuple[Confirmed, str]:
    """Wait until the reports are final and the oracle's quorum is met, then read everything at one confirm block.

    A reading that another run has stored is compared with the chain again, until a statement is signed on it. Raises
    :class:`ChainError` (exit 5) when a report is missing or reverted, the quorum is not met in time, or the consensus
    lies further from our reserve than the policy allows; :class:`ConflictError` (exit 7) when the stored reading is not
    what the chain says.
    """
    area, config = run.area, run.config
    opened, committed = run.take("open", Opened), run.take("commitment", Committed)
    intents = report_intents(run, committed)

    def compute() -> Confirmed:
        chain = config.chains[config.oracle.chain]
        receipts = (
            submitter(run, config.oracle.chain).confirm(intents, timeout_seconds=chain.confirm_timeout_seconds)
            if intents
            else ()
        )
        reading = _await_quorum(run, opened, committed)
        for reserve in committed.tokens:
            check_consensus(run, reserve, _consensus(reading, reserve.token))
        return Confirmed(
            format="attest-run-confirmation/1",
            made_from=area.digests("open", "commitment", "submission"),
            receipts=receipts,
            reading=reading,
        )

    resumed = area.bytes_of("confirmation") is not None
    confirmed = area.artifact("confirmation", Confirmed, compute)
    if resumed and area.bytes_of("envelope") is None:
        state.recheck(
            run.environment.clients,
            config,
            opened=opened.supply,
            confirmed=confirmed.reading,
            base=run.environment.loaded.base,
        )
    blocks = ", ".join(f"block {block.number} of chain {block.chain_id}" for block in confirmed.reading.supply.blocks)
    return confirmed, f"quorum met for {len(committed.tokens)} tokens at {blocks}"


def _await_quorum(run: Run, opened: Opened, committed: Committed) -> ConfirmationReading:
    environment = run.environment
    waited, pause = 0.0, 1.0
    while True:
        reading = state.read_confirmation(
            environment.clients,
            run.config,
            tokens=[reserve.token for reserve in committed.tokens],
            reporters=[reporter.address for reporter in run.config.signing.reporters],
            base=environment.loaded.base,
            opened=opened.supply,
        )
        missing = [consensus.token for consensus in reading.consensus if not consensus.quorum_met]
        if any(_fallen(run, reserve, _consensus(reading, reserve.token)) for reserve in committed.tokens):
            return reading  # our own reports do not stand: no other reporter's can help
        if not missing or waited >= run.config.oracle.quorum_deadline_seconds:
            return reading
        environment.narrator.progress(f"waiting for other reporters: {', '.join(missing)}")
        environment.sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, 30.0)


def _consensus(reading: ConfirmationReading, token: str) -> TokenConsensus:
    return next(consensus for consensus in reading.consensus if consensus.token == token)


def _fallen(run: Run, reserve: TokenReserve, consensus: TokenConsensus) -> list[str]:
    """The reporters held here whose report of ``reserve`` does not stand."""
    reports = {address.lower(): units for address, units in consensus.reports.items()}
    reporters = [reporter.address for reporter in run.config.signing.reporters]
    return [address for address in reporters if reports.get(address.lower()) != reserve.units]


def _silent(run: Run, consensus: TokenConsensus) -> str:
    """Whose report is missing, in words; empty where the contract does not list its reporters."""
    oracle = reserve_oracle(run.config.oracle, run.environment.loaded.base)
    if not oracle.lists_reporters:
        return ""
    client = run.environment.client(run.config.oracle.chain)
    block = client.finalized_head(run.config.chains[run.config.oracle.chain].finality)
    (reporters,) = contracts.read(client, [oracle.reporters()], block)
    standing = {address.lower() for address in consensus.reports}
    silent = [checksum(address) for address in reporters if address.lower() not in standing]
    return f"; none of {', '.join(silent)}" if silent else ""


def check_consensus(run: Run, reserve: TokenReserve, consensus: TokenConsensus) -> None:
    """Own reports stand as sent, the quorum is met, and the consensus is within policy of our reserve."""

    def refuse(code: str, message: str, reason: str, advice: str) -> ChainError:
        return ChainError(f"token {reserve.token}: {message}", code=code, reason=reason, advice=advice)

    fallen = _fallen(run, reserve, consensus)
    if fallen:
        raise refuse(
            "report-not-standing",
            f"the report of {fallen[0]} does not stand on chain",
            "It was mined, but has expired, was removed, or was replaced by another report of the same key.",
            f"`attest report --period {run.period}` reports the same reserve again, with a fresh timestamp.",
        )
    if not consensus.quorum_met:
        stand, needed = len(consensus.reports), consensus.required_quorum
        raise refuse(
            "oracle-quorum-not-met",
            f"the oracle's quorum is not met ({stand} reports stand, {needed} are needed{_silent(run, consensus)})",
            "Other reporters have not reported yet, or their reports have expired.",
            "Ask the other operators to report; then run `attest run` again, which sends nothing twice.",
        )
    difference = abs(consensus.units - reserve.units)
    if difference * 10_000 > run.config.oracle.max_difference_bps * reserve.units:
        raise refuse(
            "consensus-differs",
            f"the on-chain consensus is {group(format_units(consensus.units, reserve.decimals))}, our reserve is "
            f"{group(format_units(reserve.units, reserve.decimals))}",
            f"They differ by more than {run.config.oracle.max_difference_bps} basis points: others report otherwise.",
            "Compare the other operators' balances with `attest status`, settle the difference, then run again.",
        )


# -- a fresh report of the same reserves -----------------------------------------------------------------------------


def refresh(run: Run) -> tuple[Refreshed, str] | None:
    """Report the committed reserves again when the standing reports are past half of the contract's validity.

    The balances stay those of the period: a fresh report never hides an old ``as_of``. Returns None when the reports on
    chain are still young, or every token is withheld. A refresh that was begun and cut short is finished first; the
    first reports must have landed. Raises as :func:`submit` and :func:`confirm`.
    """
    environment, area, config = run.environment, run.area, run.config
    open_period(run)
    committed = run.take("commitment", Committed)
    if not committed.tokens:
        return None
    number = 1
    while area.bytes_of(f"refresh/{number}") is not None:
        number += 1
    begun = area.key(f"begun/refresh-{number}")
    if environment.private.get(begun) is None:
        if area.bytes_of("confirmation") is None:
            _land(run, report_intents(run, committed))
        age = state.report_age(
            environment.client(config.oracle.chain),
            config,
            tokens=[reserve.token for reserve in committed.tokens],
            reporters=[reporter.address for reporter in config.signing.reporters],
            base=environment.loaded.base,
        )
        if age.oldest_seconds * 2 <= age.validity_seconds:
            return None
        check_newest(run.environment, run.period)
        environment.private.create(begun, b"begun\n")
    intents = report_intents(run, committed, f"refresh-{number}")

    def compute() -> Refreshed:
        return Refreshed("attest-run-refresh/1", area.digests("commitment"), _land(run, intents))

    return area.artifact(f"refresh/{number}", Refreshed, compute), f"{len(intents)} reports renewed"


def _land(run: Run, intents: list[Intent]) -> tuple[ReportReceipt, ...]:
    """Send what has not landed, and wait for all of it."""
    recheck(run)
    check_newest(run.environment, run.period)
    sender = submitter(run, run.config.oracle.chain)
    sender.submit(intents)
    timeout = run.config.chains[run.config.oracle.chain].confirm_timeout_seconds
    return sender.confirm(intents, timeout_seconds=timeout)
