"""The auditor's verdict on a bundle: all checks, in the order in which a person would ask, and the three answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from attest.documents import ChainBlocks, TokenStatement
from attest.errors import OperatorError, VerificationError
from attest.log.checkpoint import Checkpoint
from attest.log.note import MAX_NOTE_BYTES
from attest.log.reader import CHECKPOINT, LogReader
from attest.statement import sentence
from attest.static import MAX_FILE_BYTES, Reader, files_below, is_url
from attest.verify import chain_proof, chain_rpc, checks, evidence, history, leaves, memory, timestamp
from attest.verify.case import GET_LOG, Case, ReadAgain, Rpc, UnavailableError
from attest.verify.checks import AUTHENTIC, Check
from attest.verify.places import log_beside, open_bundle, read_given
from attest.verify.report import Answer, CheckResult, Outcome, Report, TokenReport
from attest.verify.trust import Demand, Trust

#: What the log says, and who else saw it.
LOGGED: tuple[Check, ...] = (
    Check("consistency", "Does that log extend what you saw before?", history.consistency, required=False),
    Check("history", "Is any period missing, replaced or revoked?", history.history, required=False),
    Check("witnesses", "Who else saw that log?", checks.witnesses, required=False),
    Check("timestamp", "Did an authority outside see that log, and when?", timestamp.check, required=False),
)
FRESHNESS = Check("freshness", "Is it recent enough?", checks.freshness, required=False)
CHECKS: tuple[Check, ...] = (
    *AUTHENTIC,
    *LOGGED,
    Check("tokens", "Does it speak of exactly the tokens and deployments that you expect?", checks.tokens),
    Check("policy", "Was it decided by a rule as strict as you ask for?", checks.policy),
    Check("coverage", "Is each reserve at least the supply?", checks.coverage),
    Check("consensus", "Was it reported on chain, and was the oracle's quorum met?", checks.consensus),
    Check("receipts", "Do the receipts and the anchor belong to this statement?", checks.receipts),
    Check("chain-proof", "Do the chain's own headers prove what it says?", chain_proof.check, required=False),
    Check("chain-rpc", "Does your own node say the same?", chain_rpc.check, required=False),
    Check("leaves", "Do the accounts add up to the totals?", leaves.check, required=False),
    Check("evidence", "Do the documents give these balances by these rules?", evidence.check, required=False),
    FRESHNESS,
)

NOT_COMPARED = "The log was not compared with what you remember of it."
#: What a statement's sufficiency rests on besides its authenticity.
_AUTHENTIC = tuple(check.name for check in AUTHENTIC)
_SUFFICIENT = ("tokens", "policy", "consensus", "receipts")
#: What need not be checked, but must not contradict. (What is stale was true once.)
_CONTRADICTING = tuple(check.name for check in CHECKS if not check.required and check.name != "freshness")


@dataclass(frozen=True)
class Brought:
    """What an auditor brings besides bundle, trust file and nodes, each if they have it.

    ``leaves``: the file of all leaves. ``since``: a checkpoint that they kept. ``log``: the log's folder or address,
    else the one beside the bundle is taken. ``state``: the file in which the newest checkpoint of each log is
    remembered. ``evidence``: the folder of an opened audit package, and ``read_again`` what can read its documents.
    """

    leaves: Path | None = None
    since: Path | None = None
    log: str | None = None
    state: Path | None = None
    evidence: Path | None = None
    read_again: ReadAgain | None = None


def verify_bundle(
    place: Path | str,
    trust: Trust,
    *,
    rpc: Rpc | Sequence[Rpc] | None = None,
    now: datetime,
    brought: Brought | None = None,
) -> Report:
    """Check the bundle at ``place`` (a folder, a zip, an address) against ``trust`` at the time ``now`` (aware).

    The network is asked for nothing but the bundle and its log, if they have an address, and through ``rpc``: the
    auditor's own endpoint, or one for each chain. Raises :class:`OperatorError` when the bundle, or anything else that
    was named, cannot be reached; everything else is in the report.
    """
    brought = brought or Brought()
    case, forgotten = open_case(place, trust, rpc=rpc, now=now, brought=brought)
    report = judge(case)
    if brought.state is not None and not forgotten:
        forgotten = _remember(brought.state, case, report)
    return replace(report, notes=(*report.notes, *forgotten))


def open_case(
    place: Path | str,
    trust: Trust,
    *,
    rpc: Rpc | Sequence[Rpc] | None = None,
    now: datetime,
    brought: Brought,
) -> tuple[Case, tuple[str, ...]]:
    """What :func:`verify_bundle` looks at, and in words why what was seen before could not be recalled; raises as it
    does."""
    package = None if brought.evidence is None else evidence.open_package(brought.evidence)
    packed = None if package is None else package.leaves
    remembered, forgotten = _recall(brought.state, trust)
    fault, files = None, dict[str, bytes]()
    try:
        files = dict(open_bundle(place))
    except VerificationError as refused:
        fault = refused
    case = Case(
        files,
        trust,
        now,
        () if rpc is None else (rpc,) if callable(rpc) else tuple(rpc),
        fault,
        leaves_file=packed if brought.leaves is None else read_given(brought.leaves, MAX_FILE_BYTES),
        since=None if brought.since is None else read_given(brought.since, MAX_NOTE_BYTES),
        remembered=remembered,
        first=brought.state is not None and remembered is None and not forgotten,
        log=_log(place, brought.log, trust),
        package=package,
        read_again=brought.read_again,
    )
    return case, forgotten


def _log(place: Path | str, named: str | None, trust: Trust) -> LogReader | None:
    if named is not None:
        if not is_url(named) and not Path(named).is_dir():
            raise OperatorError(
                f"{named}: there is no such folder",
                code="log-unreadable",
                reason="You named it as the log's folder, to have it compared and read.",
                advice="Name the folder or address that holds the log's `checkpoint` and `tile/`.",
            )
        return LogReader(files_below(named), trust.log.key, named)
    beside = log_beside(place)
    return None if beside is None else LogReader(_if_there(files_below(beside)), trust.log.key, beside)


def _if_there(read: Reader) -> Callable[[str], bytes | None]:
    """A log that nobody named: what cannot be had of it cannot be checked, and is no fault."""

    def attempt(path: str) -> bytes | None:
        try:
            data = read(path)
        except OperatorError as fault:
            raise UnavailableError(fault.message, GET_LOG) from None
        if data is None and path == CHECKPOINT:
            raise UnavailableError("there is no log beside the bundle", GET_LOG)
        return data

    return attempt


def _recall(state: Path | None, trust: Trust) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The head that was remembered, and in words why none can be."""
    try:
        return None if state is None else memory.recall(state, trust.log.origin), ()
    except OSError as fault:
        return None, (f"What you saw of this log before cannot be recalled: {state}: {fault.strerror}.",)


def _remember(state: Path, case: Case, report: Report) -> tuple[str, ...]:
    """Remember the log's head if this verification believes it; in words why it could not be."""
    consistency = report.outcome("consistency")
    if report.outcome("log-inclusion") != "pass" or consistency == "fail":
        return ()
    if report.period is None or case.predicate.clock == "pinned":
        return ()  # a rehearsal's log begins anew with the next one
    if case.remembered is not None and consistency != "pass":
        return ()  # not compared: the older one is worth more
    extended = report.outcome("history") == "pass"
    try:
        if memory.remember(state, history.head_to_remember(case, extended), case.remembered):
            return ()
        return (f"Another verification changed {state} meanwhile: this log's checkpoint was not remembered.",)
    except OSError as fault:
        return (f"This log's checkpoint could not be remembered: {state}: {fault.strerror}.",)


def judge(case: Case) -> Report:
    """All checks on one case. Pure, unless the case has endpoints to ask."""
    results = tuple(check.result(case) for check in CHECKS)
    outcomes: Mapping[str, Outcome] = {result.name: result.outcome for result in results}
    answers = (_authentic(case, outcomes, results), _sufficient(case, outcomes), _independent(case, outcomes))
    unmet = demands_unmet(case, outcomes)
    witnesses = len(case.cosignatures) if outcomes["witnesses"] == "pass" else 0
    try:
        predicate = case.predicate
    except UnavailableError:
        return Report(None, None, None, (), answers, results, unmet, ())
    return Report(
        period=predicate.period,
        revision=predicate.revision,
        statement=case.statement_digest,
        tokens=tuple(_token(case, token, outcomes, witnesses) for token in predicate.tokens),
        answers=answers,
        checks=results,
        unmet=unmet,
        notes=(*_notes(case), *not_compared(case, outcomes)),
    )


def _not_passed(outcomes: Mapping[str, Outcome], names: Sequence[str]) -> list[str]:
    return [name for name in names if outcomes[name] != "pass"]


def _unproven(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Why the figures do not count: what they rest on and did not pass, and whatever contradicts them."""
    needed = _not_passed(outcomes, (*_AUTHENTIC, *_SUFFICIENT))
    return [*needed, *(name for name in _CONTRADICTING if outcomes[name] == "fail")]


def _authentic(case: Case, outcomes: Mapping[str, Outcome], results: Sequence[CheckResult]) -> Answer:
    missing = _not_passed(outcomes, _AUTHENTIC)
    if missing:
        return Answer("authentic", "no", f"not established: {', '.join(missing)}")
    detail = next(result.detail for result in results if result.name == "signatures")
    return Answer("authentic", "yes", f"{detail}; unchanged, and in the log {case.trust.log.origin}")


def _sufficient(case: Case, outcomes: Mapping[str, Outcome]) -> Answer:
    missing = _unproven(outcomes) + (["freshness"] if outcomes["freshness"] == "fail" else [])
    if missing:
        return Answer("sufficient", "unknown", f"not established: {', '.join(missing)}")
    if outcomes["coverage"] != "pass":
        return Answer("sufficient", "no", f"a token is {outcomes['coverage']}")
    count = case.predicate.merkle.size
    if outcomes["leaves"] == "pass":
        return Answer("sufficient", "yes", f"by {count} accounts added up")
    return Answer(
        "sufficient", "yes", f"by totals that the issuer claims: the {count} accounts behind them were not given"
    )


def _independent(case: Case, outcomes: Mapping[str, Outcome]) -> Answer:
    memories = []
    if outcomes["witnesses"] == "pass":
        memories.append(f"witnesses {', '.join(checks.witness_names(case))}")
    if outcomes["consistency"] == "pass" and (kept := history.grown_from(case)):
        memories.append(f"your own, of the log at size {kept}")
    chain = case.trust.chain(case.trust.registry.chain_id)
    on_chain = _on_chain(outcomes)
    if on_chain and chain is not None and chain.independent:
        memories.append(f"chain {chain.chain_id}, which you call independent")
    if memories and outcomes["log-inclusion"] == "pass":
        return Answer("independently checked", "yes", " and ".join(memories))
    reason = "the chain's validators are not independent of the issuer" if on_chain else "no chain was checked"
    return Answer("independently checked", "no", f"only the issuer's word: no witness counted, and {reason}")


def _on_chain(outcomes: Mapping[str, Outcome]) -> bool:
    return "pass" in (outcomes.get("chain-proof"), outcomes.get("chain-rpc"))


def demands_unmet(case: Case, outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    """The demands that were not met. To name a checkpoint is to demand that the log is compared with it."""
    compared = outcomes["consistency"]
    met: Mapping[Demand, bool] = {
        "chain": _on_chain(outcomes),
        "independent": _independent(case, outcomes).answer == "yes",
        "consistency": compared == "pass" or (compared == "skipped" and case.first and case.since is None),
    }
    # All others are the names of checks.
    unmet = tuple(demand for demand in case.trust.demands if not met.get(demand, outcomes.get(demand) == "pass"))
    asked = case.since is not None and compared == "skipped" and "consistency" not in unmet
    return (*unmet, "consistency") if asked else unmet


def not_compared(case: Case, outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    """In words, if a head was remembered and could not be compared."""
    return (NOT_COMPARED,) if case.remembered is not None and outcomes["consistency"] == "skipped" else ()


def _token(case: Case, token: TokenStatement, outcomes: Mapping[str, Outcome], witnesses: int) -> TokenReport:
    stale = outcomes["freshness"] == "fail"
    text = sentence(token, case.predicate.cutoff, witnesses=witnesses, stale=stale)
    if _unproven(outcomes):
        return TokenReport(token.token, "unproven", f"Not proven, only claimed: {text}")
    return TokenReport(token.token, "stale" if stale else token.verdict, text)


def _notes(case: Case) -> tuple[str, ...]:
    predicate = case.predicate
    notes = []
    if predicate.supersedes is not None:
        put = "revokes" if predicate.supersedes.kind == "revocation" else "replaces"
        notes.append(
            f"This is revision {predicate.revision}, which {put} the one before it: {predicate.supersedes.reason}"
        )
    if predicate.clock == "pinned":
        notes.append("This is a rehearsal: its clock was pinned by configuration.")
    for attempt in predicate.abandoned:
        notes.append(f"Attempt {attempt.attempt} of this period was abandoned: {attempt.reason}")
    if predicate.supply_at == "run":
        gaps = ", ".join(_gap(chain) for chain in predicate.chains)
        notes.append(f"The supply was read at the run, not at the cutoff: {gaps}.")
    if predicate.disclosures:
        codes = ", ".join(f"{disclosure.kind} {disclosure.code}" for disclosure in predicate.disclosures)
        notes.append(f"Details that the issuer committed to and an auditor can ask for: {codes}.")
    return tuple(notes)


def _gap(chain: ChainBlocks) -> str:
    seconds = chain.supply_gap_seconds
    return f"{abs(seconds)} seconds {'after' if seconds < 0 else 'before'} it on chain {chain.chain_id}"
