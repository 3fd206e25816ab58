"""A second attestor's look: everything that the statement says is decided again, from an opened audit package alone.

The documents are read again under the package's configuration, which must be the one that the statement commits to;
the quorum decides again; leaves, root, totals and the whole payload are made again, and must come out byte for byte.
What no package can prove is said: it is taken as the statement gives it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from attest import records, statement
from attest.artifacts import (
    Collected,
    Committed,
    Confirmed,
    Decided,
    Disclosures,
    Opened,
    StatementSignature,
    WithheldToken,
)
from attest.audit.opened import OpenedPackage, Rules, open_package, read_rules
from attest.chain.state import ConfirmationReading, SupplyReading
from attest.config import Config, Loaded
from attest.custody import collector, ownership, policies
from attest.custody.evidence import Evidence
from attest.documents import Blank, Predicate, TokenStatement
from attest.environment import build
from attest.errors import ConflictError, OperatorError, SourceError, VerificationError
from attest.model import (
    Decision,
    DeploymentSupply,
    ReportReceipt,
    ReserveLeaf,
    SourceFailure,
    Supply,
    TokenConsensus,
    Verdict,
)
from attest.period import Period
from attest.quorum import decide_again
from attest.records import digest
from attest.runs import Revision, RunArea
from attest.signing.signer import DigestSigner
from attest.steps import statements
from attest.steps.context import Run
from attest.steps.publication import statement_signature
from attest.steps.reserves import commitment
from attest.store import LocalStore, OverlayStore, Store
from attest.verify import chain_rpc
from attest.verify.case import Rpc
from attest.verify.trust import TrustedOracle


@dataclass(frozen=True)
class Redecision:
    """What a second look established: ``findings``, a sentence each; ``taken``, what no package can prove."""

    package: OpenedPackage
    findings: tuple[str, ...]
    taken: tuple[str, ...]


def redecide(folder: Path, rpcs: Sequence[Rpc] = ()) -> Redecision:
    """Decide everything again from the package in ``folder``; ``rpcs`` are the co-attestor's own nodes.

    Raises :class:`VerificationError` (exit 6) naming the account, token or file and the figure that differs,
    :class:`OperatorError` for a package that lacks something or needs a format that is not installed here.
    """
    package = open_package(folder)
    decision, predicate = package.decision, package.statement.predicate
    _one_statement(package)
    _same_rules(package.rules, decision, predicate)
    documents = _documents(package.rules.loaded, decision)
    verdict = _decided(decision)
    run = _rebuilt(package, verdict)
    expected = _made_again(package, run)
    if expected != package.payload:
        _differ("the statement", "its bytes are not those that its own content gives")
    accepted = sum(account.outcome == "accepted" for account in verdict.accounts)
    findings = [
        f"configuration: the one that the statement commits to ({predicate.configuration[:16]}…)",
        f"evidence: {documents}",
        f"quorum: decided again, {accepted} of {len(verdict.accounts)} accounts agree",
        f"leaves: {len(package.leaves.leaves)} made again, root {predicate.merkle.root[:16]}…",
        f"disclosures: {len(predicate.disclosures)}, each as the statement commits to it",
        "statement: made again from all this, byte for byte",
    ]
    taken = [
        "the configuration (tokens, contracts, accounts, sources), which is the operator's own",
        "the balances of the last attested period, which changes are measured against",
        "attempt and abandoned attempts, software, and what it supersedes",
        "sources that failed without leaving a document",
    ]
    if rpcs:
        finding = _on_chain(package.rules.loaded.config, predicate, rpcs)
        findings.append(f"chain: {finding}")
        taken.append("the transactions of the reports (their standing on chain is checked)")
    else:
        taken.append("supply, blocks and consensus: no node of your own was asked")
    return Redecision(package, tuple(findings), tuple(taken))


def sign(redecision: Redecision, signer: DigestSigner) -> StatementSignature:
    """The signature over the statement that was decided again. Raises :class:`OperatorError` if it is signed and
    published already, or the key is none of the attestors that the package's configuration pins."""
    package = redecision.package
    if package.signed:
        raise OperatorError(
            f"period {package.manifest.period}: the statement is signed and published already",
            code="already-signed",
            reason="A published statement is never changed, so no signature can be added to it.",
            advice="Leave the key out: `attest cosign PACKAGE_DIR --check` decides again and signs nothing.",
        )
    pinned = [attestor.address for attestor in package.rules.loaded.config.signing.attestors]
    if signer.address not in pinned:
        raise OperatorError(
            f"--address {signer.address}: is no attestor of this issuer",
            code="unknown-attestor",
            reason=f"A signature counts only by a pinned key: {', '.join(pinned)}.",
            advice="Use the key whose address the issuer has in [[signing.attestors]].",
        )
    return statement_signature(signer, package.payload)


def read_again(folder: Path, decision: Decision, predicate: Predicate) -> str:
    """Read every document of the package in ``folder`` again, under its configuration, which must be the one that
    ``predicate`` commits to; says in a sentence what was read.

    Raises :class:`VerificationError` for another configuration, or a ``decision`` not made by its rules, and naming the
    account and source whose evidence is missing, changed, refused, or says something else than ``decision``, or whose
    failure does not come out again.
    """
    rules = read_rules(folder)
    _same_rules(rules, decision, predicate)
    return f"{_documents(rules.loaded, decision)}, under the configuration that the statement commits to"


def _documents(loaded: Loaded, decision: Decision) -> str:
    """Every document read again, under a configuration beside which it lies; in a sentence what was read."""
    evidence = Evidence(LocalStore(loaded.base))
    try:
        collector.reobserve(loaded, decision.observations, evidence, decision.cutoff)
        ownership.recheck(evidence, loaded.config, decision.period, decision.ownership)
        failed = [failure for failure in decision.failures if failure.evidence]
        asked = max((one.retrieved_at for one in decision.observations), default=decision.cutoff)
        for failure in failed:
            _fails_again(loaded, failure, evidence, decision.cutoff, asked)
    except ConflictError as fault:
        raise _difference(fault.message) from None
    documents = {each for seen in decision.observations for each in seen.evidence}
    documents |= {each for failure in failed for each in failure.evidence}
    text = f"{len(documents)} documents read again, {len(decision.observations)} balances as in decision.json"
    if failed:
        text += f", {len(failed)} refused as they were"
    if decision.ownership:
        text += f", {len(decision.ownership)} proofs of ownership hold"
    return text


def _fails_again(loaded: Loaded, failure: SourceFailure, evidence: Evidence, cutoff: datetime, asked: datetime) -> None:
    """A source that was heard must not be left out as failed. When it was asked is not stored; ``asked`` is when the
    others were."""
    where = f"account {failure.account}, source {failure.source}"
    account = loaded.config.accounts.get(failure.account)
    source = next((one for one in account.sources if one.id == failure.source), None) if account else None
    if account is None or source is None:
        _differ(where, "is not in the configuration")
    documents = [evidence.load(each, where) for each in failure.evidence]
    try:
        said = collector.observe(failure.account, account, source, documents, asked, cutoff, base=loaded.base)
    except SourceError:
        return
    _differ(where, f"is said to have failed ({failure.code}), but its documents state {said.minor_units} minor units")


# -- what was decided ------------------------------------------------------------------------------------------------


def _one_statement(package: OpenedPackage) -> None:
    """Manifest and leaves are those of the statement."""
    manifest, leaves, predicate = package.manifest, package.leaves, package.statement.predicate
    for where, what, said, expected in (
        ("manifest.json", "issuer", manifest.issuer, predicate.issuer),
        ("manifest.json", "period", manifest.period, predicate.period),
        ("manifest.json", "revision", manifest.revision, predicate.revision),
        ("manifest.json", "statement", manifest.statement, digest(package.payload)),
        ("leaves.json", "period", leaves.period, predicate.period),
        ("leaves.json", "revision", leaves.revision, predicate.revision),
    ):
        if said != expected:
            _differ(where, f"{what} is {said}, not {expected}")


def _same_rules(rules: Rules, decision: Decision, predicate: Predicate) -> None:
    """The configuration is the committed one, and the decision was made by its rules, on all of its sources."""
    config = rules.loaded.config
    if rules.commitment != predicate.configuration:
        _differ("configuration.json", "is not the configuration that the statement commits to")
    cutoff = config.schedule.schedule.cutoff(Period.parse(predicate.period))
    blank = _blank(predicate)
    for what, stated, expected in (
        ("period", decision.period, predicate.period),
        ("revision", decision.revision, predicate.revision),
        ("cutoff", decision.cutoff, cutoff),
        ("the statement's cutoff", predicate.cutoff, cutoff),
        ("the statement's clock", predicate.clock, "system" if config.schedule.clock is None else "pinned"),
        # A period without any balance may be stated long after nodes forgot its supply.
        ("the statement's supply_at", predicate.supply_at, predicate.supply_at if blank else config.schedule.supply_at),
    ):
        if stated != expected:
            _differ("decision.json", f"{what} is {stated}, not {expected}")
    configured = () if blank else policies.account_policies(config, cutoff)
    for policy, own in zip(decision.policies, configured, strict=False):
        if policy != own:
            _differ(f"account {policy.account}", f"its rule is not the configuration's for {own.account}")
    if len(decision.policies) != len(configured):
        _differ("decision.json", f"has rules for {len(decision.policies)} accounts, {len(configured)} are configured")
    asked = {(policy.account, source.source) for policy in decision.policies for source in policy.sources}
    answered = [(seen.account, seen.source) for seen in decision.observations]
    answered += [(failure.account, failure.source) for failure in decision.failures]
    for account, source in sorted({*answered} ^ asked) or sorted({one for one in answered if answered.count(one) > 1}):
        _differ(f"account {account}, source {source}", "did not answer or fail exactly once")
    for symbol, token in config.tokens.items():
        deployments = {(config.chains[d.chain].chain_id, d.address, d.decimals) for d in token.deployments}
        stated_token = _token(predicate, symbol)
        if {(d.chain_id, d.address, d.decimals) for d in stated_token.deployments} != deployments:
            _differ(f"token {symbol}", "its deployments are not those of the configuration")


def _token(predicate: Predicate, symbol: str) -> TokenStatement:
    token = next((token for token in predicate.tokens if token.token == symbol), None)
    if token is None:
        _differ(f"token {symbol}", "is configured, but the statement does not name it")
    return token


def _decided(decision: Decision) -> Verdict:
    """The quorum's verdict; every account of a token that goes on passes."""
    try:
        verdict = decide_again(decision)
    except ConflictError as fault:
        raise _difference(fault.message) from None
    outcomes = {account.account: account for account in verdict.accounts}
    for name in decision.acknowledged:
        if name not in outcomes or outcomes[name].outcome != "held":
            _differ(f"account {name}", "is said to be acknowledged, but its balance is not held")
    for account in verdict.accounts:
        passes = account.outcome == "accepted" or account.account in decision.acknowledged
        if not passes and account.token not in decision.withheld:
            _differ(f"account {account.account}", f"does not pass ({account.code}: {account.detail})")
    return verdict


# -- the artifacts, and the statement from them ----------------------------------------------------------------------


def _rebuilt(package: OpenedPackage, verdict: Verdict) -> Run:
    """A run in memory whose artifacts are what the package gives: the statement is made by the code that made it."""
    decision, predicate = package.decision, package.statement.predicate
    environment = build(package.rules.loaded, _Silent(), rehearsal=True, chains={})
    # Nothing can lie below a device: what is read is only what is written here.
    store = OverlayStore(LocalStore(Path("/dev/null")))
    run = Run(replace(environment, private=store), _area(store, predicate))
    opened = run.area.artifact("open", Opened, lambda: _opened(package))
    run.area.artifact(
        "collection",
        Collected,
        lambda: Collected(
            "attest-run-collection/1",
            {},
            decision.cutoff,
            decision.observations,
            decision.failures,
            decision.ownership,
        ),
    )
    codes = {token.token: token.withheld_code for token in predicate.tokens if token.verdict == "withheld"}
    if {*codes} != {*decision.withheld}:
        _differ("decision.json", f"withholds {sorted(decision.withheld)}, the statement {sorted(codes)}")
    decided = run.area.artifact(
        "verdict", Decided, lambda: _verdict(package.rules.loaded.config, decision, verdict, codes)
    )
    run.area.artifact("commitment", Committed, lambda: _committed(package, opened, decided))
    return run


class _Silent:
    """Tells nobody."""

    def begin(self, step: str) -> None:
        pass

    def progress(self, text: str) -> None:
        pass

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        pass


def _area(store: Store, predicate: Predicate) -> RunArea:
    """The attempt and revision that the statement says it is of."""
    period, replaced = Period.parse(predicate.period), predicate.supersedes
    order = None
    if replaced is not None:
        order = Revision(
            "attest-run-revision/1",
            predicate.period,
            predicate.revision,
            replaced.kind,
            replaced.reason,
            replaced.statement,
            predicate.cutoff,
        )
    return RunArea(store, period, predicate.attempt, predicate.abandoned, order, _blank(predicate))


def _blank(predicate: Predicate) -> Blank | None:
    """Why nothing was collected: the whole period was missed, or the statement is a revocation."""
    codes = {token.withheld_code for token in predicate.tokens}
    return "missed" if codes == {"missed"} else "revoked" if codes == {"revoked"} else None


def _opened(package: OpenedPackage) -> Opened:
    decision, predicate = package.decision, package.statement.predicate
    return Opened(
        format="attest-run-open/1",
        period=predicate.period,
        attempt=predicate.attempt,
        revision=predicate.revision,
        abandoned=predicate.abandoned,
        cutoff=decision.cutoff,
        opened_at=decision.cutoff,
        clock=predicate.clock,
        supply_at=predicate.supply_at,
        configuration=digest(package.rules.configuration),
        configuration_salt=package.rules.salt.hex(),
        configuration_commitment=predicate.configuration,
        policies=decision.policies,
        previous=decision.previous,
        previous_verdicts={},
        supply=SupplyReading(_supply(predicate, confirm=False), ()),
        supersedes=predicate.supersedes,
        blank=_blank(predicate),
    )


def _supply(predicate: Predicate, *, confirm: bool) -> Supply:
    """The supply as the statement gives it, at one of its two blocks."""
    return Supply(
        tuple(chain.confirm if confirm else chain.supply for chain in predicate.chains),
        tuple(
            DeploymentSupply(
                token.token, d.chain_id, d.address, d.decimals, d.confirm_supply_units if confirm else d.supply_units
            )
            for token in predicate.tokens
            for d in token.deployments
        ),
    )


def _verdict(config: Config, decision: Decision, verdict: Verdict, codes: Mapping[str, Any]) -> Decided:
    withheld = tuple(
        WithheldToken(
            token,
            codes[token],
            tuple(a.account for a in verdict.accounts if a.token == token and a.outcome != "accepted"),
        )
        for token in config.tokens
        if token in codes
    )
    return Decided("attest-run-verdict/1", {}, verdict, withheld, decision.acknowledged)


def _committed(package: OpenedPackage, opened: Opened, decided: Decided) -> Committed:
    """The leaves made again with the package's salts; each must be the one that the package has."""
    try:
        given = [records.decode_base64(encoded) for encoded in package.leaves.leaves]
    except ValueError as fault:
        _differ("leaves.json", f"a leaf {fault}")
    leaves = {leaf.account: leaf for data in given for leaf in [records.from_json(ReserveLeaf, data, "leaves.json")]}
    given_up = {token.token for token in decided.withheld}
    expected = {account.account for account in decided.verdict.accounts if account.token not in given_up}
    for name in sorted(expected ^ {*leaves}):
        _differ(f"account {name}", "has no leaf" if name in expected else "has a leaf, but is not attested")
    salts = {name: leaf.salt for name, leaf in leaves.items()}
    committed = commitment(package.rules.loaded.config, opened, decided, salts, {})
    again = [records.from_json(ReserveLeaf, base64.b64decode(leaf), "leaves.json") for leaf in committed.leaves]
    for leaf in again:
        _same(f"account {leaf.account}", leaves[leaf.account], leaf)
    if committed.leaves != package.leaves.leaves:
        _differ("leaves.json", "the leaves are not in the tree's order, or not as attest writes them")
    return committed


def _made_again(package: OpenedPackage, run: Run) -> bytes:
    """The payload from the rebuilt artifacts, once every field is the statement's own (the bundle's form is taken)."""
    stated = package.statement.predicate
    disclosures = _disclosures(package, run)
    confirmed = _confirmed(stated, run)
    made = statements.predicate(run, disclosures, confirmed)
    made = replace(made, bundle=stated.bundle)
    for token, again in zip(stated.tokens, made.tokens, strict=False):
        _same(f"token {token.token}", token, again)
    _same("the statement", stated, made)
    reserves = statements.reserves_file(run.take("open", Opened), run.take("commitment", Committed))
    if digest(reserves) != package.statement.subject[0].digest.sha256:
        _differ("reserves.json", "root or totals are not those that the evidence gives")
    return statement.build(made, reserves)


def _disclosures(package: OpenedPackage, run: Run) -> Disclosures:
    details = []
    for disclosure in package.statement.predicate.disclosures:
        data = package.disclosures.get(disclosure.sha256)
        if data is None:
            _differ(
                f"disclosure {disclosure.kind} {disclosure.code}", f"{disclosure.sha256}.json is not in the package"
            )
        details.append(base64.b64encode(data).decode())
    made = Disclosures("attest-run-disclosures/1", {}, package.statement.predicate.software, tuple(details))
    try:
        statements.check_disclosures(run, made)
    except ConflictError as fault:
        raise _difference(f"the disclosures: {fault.message}") from None
    return made


def _confirmed(predicate: Predicate, run: Run) -> Confirmed:
    """What the statement says of the chain: not to be decided here, but by asking the chain."""
    receipts, consensus = [], []
    for token in predicate.tokens:
        for report in token.reports:
            intent = f"report/{run.area.name}/{run.area.attempt}/{token.token}/{report.reporter}"
            block = f"{0:064x}"
            receipts.append(
                ReportReceipt(
                    intent, report.chain_id, report.reporter, 0, report.transaction, block, report.block_number, 0
                )
            )
        stated = token.consensus
        if stated is not None:
            reports = {str(number): stated.units for number in range(stated.reports)}
            consensus.append(
                TokenConsensus(token.token, stated.units, stated.quorum_met, stated.required_quorum, reports)
            )
    reading = ConfirmationReading(_supply(predicate, confirm=True), tuple(consensus), ())
    return Confirmed("attest-run-confirmation/1", {}, tuple(receipts), reading)


def _on_chain(config: Config, predicate: Predicate, rpcs: Sequence[Rpc]) -> str:
    oracle = TrustedOracle(config.chains[config.oracle.chain].chain_id, config.oracle.address, 1)
    finality = {chain.chain_id: chain.finality for chain in config.chains.values()}
    finding = chain_rpc.check_figures(predicate, rpcs, oracle=oracle, finality=finality)
    if finding.outcome != "pass":
        raise VerificationError(
            f"the chain: {finding.detail}",
            code="chain-not-checked",
            reason="A supply that nobody else read could be too low without anybody noticing.",
            advice=f"{finding.advice} Or say --without-chain: then the statement is signed without your having asked.",
        )
    return finding.detail


# -- differences -----------------------------------------------------------------------------------------------------


def _same(where: str, stated: Any, again: Any) -> None:
    """Raises naming the first field in which two records of one kind differ."""
    for field in fields(stated):
        said, expected = getattr(stated, field.name), getattr(again, field.name)
        if said != expected:
            _differ(where, f"{field.name} is {said}, by the evidence it is {expected}")


def _differ(where: str, detail: str) -> NoReturn:
    raise _difference(f"{where}: {detail}")


def _difference(message: str) -> VerificationError:
    return VerificationError(
        message,
        code="redecision-differs",
        reason="What a second attestor signs must follow from the evidence; nothing was signed.",
        advice="Keep the package, and ask the operator how this came about. Sign nothing until it is explained.",
    )
