"""The checks, in the order in which a person would ask. Each looks at a :class:`Case` and answers one question.

A check returns the detail of a pass or a :class:`Finding`; it raises :class:`VerificationError` when it fails and
:class:`UnavailableError` when it cannot be made. None of them reads a file, a clock or the network by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from attest import statement
from attest.documents import MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE, Receipt, Reserves, TokenStatement
from attest.errors import VerificationError
from attest.period import Period
from attest.records import digest, from_json, to_json
from attest.signing import dsse
from attest.statement import Attested, attested, moment
from attest.verify.bundle import ENVELOPE, MANIFEST, MANIFEST_ENVELOPE, RECEIPTS, RESERVES, SIGNED_FORMAT
from attest.verify.case import Case, UnavailableError
from attest.verify.report import CheckResult, Outcome
from attest.verify.trust import Trust, TrustedToken, same_address


@dataclass(frozen=True)
class Finding:
    """How a check ended; ``advice`` is what a reader can do about it."""

    outcome: Outcome
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """A named check and the question that it answers. ``required``: it applies to every bundle.

    ``run`` gives a :class:`Finding`, or only the detail of a pass.
    """

    name: str
    question: str
    run: Callable[[Case], Finding | str]
    required: bool = True

    def result(self, case: Case) -> CheckResult:
        try:
            found = self.run(case)
            finding = Finding("pass", found) if isinstance(found, str) else found
        except UnavailableError as missing:
            finding = Finding("skipped", f"cannot be checked: {missing}", missing.advice)
        except VerificationError as fault:
            finding = Finding("fail", fault.message, fault.advice)
        return CheckResult(self.name, self.question, finding.outcome, finding.detail, finding.advice, self.required)


def refuse(detail: str, advice: str) -> VerificationError:
    """A failed check: what differs, and what to do."""
    return VerificationError(detail, code="check-failed", advice=advice)


# -- who said this, and is it unchanged? -----------------------------------------------------------------------------


_KEYS = "Compare the attestor keys and their periods in your trust file with the issuer's, by another way."
_MANIFEST_ADVICE = "Fetch the whole folder again from the public store; if it stays so, tell the issuer."


def files(case: Case) -> str:
    if case.fault is not None:
        raise case.fault
    manifest = case.manifest
    whole = f"{len(manifest.files)} files, each as the manifest lists it, and no other"
    if manifest.format == SIGNED_FORMAT:
        return f"{whole}; the manifest is signed by {', '.join(_manifest_signers(case))}"
    if case.predicate.bundle is not None:
        raise refuse(
            f"the statement names a signed manifest ({case.predicate.bundle}), this {MANIFEST} is {manifest.format}",
            _MANIFEST_ADVICE,
        )
    return f"{whole}; nobody signed the manifest (an older format), so only what other checks compare is bound"


def _manifest_signers(case: Case) -> list[str]:
    """Who signed the manifest of those trusted for the period. Nothing in its envelope may be changed without notice:
    every signature, key id and byte counts, also of keys that are not trusted for the period any more."""
    if MANIFEST_ENVELOPE not in case.files:
        raise refuse(f"{MANIFEST_ENVELOPE} is missing: {MANIFEST} must be signed", _MANIFEST_ADVICE)
    data = case.file(MANIFEST_ENVELOPE)
    envelope = dsse.parse_envelope(data, MANIFEST_ENVELOPE)
    if envelope.payloadType != MANIFEST_PAYLOAD_TYPE or envelope.body != case.file(MANIFEST):
        raise refuse(f"{MANIFEST_ENVELOPE} does not sign this {MANIFEST}", _MANIFEST_ADVICE)
    keyids = [item.keyid for item in envelope.signatures]
    if to_json(envelope) != data or keyids != sorted({*keyids}):
        raise refuse(f"{MANIFEST_ENVELOPE} is not written in the one way that it can be", _MANIFEST_ADVICE)
    attestors = {dsse.keyid_of(attestor.spki): attestor for attestor in case.trust.attestors}
    signed = []
    for item in envelope.signatures:
        attestor = attestors.get(item.keyid)
        if attestor is None or not _verifies(attestor.spki, MANIFEST_PAYLOAD_TYPE, envelope.body, item.signature):
            raise refuse(f"{MANIFEST_ENVELOPE} has a signature that is not by any attestor of your trust file", _KEYS)
        if any(other.spki == attestor.spki and other.valid_in(case.period) for other in case.trust.attestors):
            signed.append(attestor.name)
    if not signed:
        raise refuse(f"{MANIFEST} is signed by nobody whom you trust for {case.period}", _KEYS)
    return signed


def statement_readable(case: Case) -> str:
    envelope = dsse.parse_envelope(case.file(ENVELOPE), ENVELOPE)
    predicate = statement.read(envelope.body).predicate
    return (
        f"{predicate.issuer}, period {predicate.period}, revision {predicate.revision}, "
        f"{len(predicate.tokens)} tokens; every sum, ratio and verdict follows from the figures"
    )


def signatures(case: Case) -> str:
    envelope, trust, advice = case.envelope, case.trust, _KEYS
    if envelope.payloadType != PAYLOAD_TYPE:
        raise refuse(f"the envelope is of type {envelope.payloadType!r}, not {PAYLOAD_TYPE}", advice)
    if case.statement_digest in trust.revoked:
        raise refuse(
            f"statement {case.statement_digest} is revoked in your trust file",
            "Do not rely on it; ask the issuer for the revision that replaces it.",
        )
    names, used = signers(trust, envelope, case.period)
    others = len(envelope.signatures) - used
    ignored = f"; {others} by keys that you do not trust for this period, ignored" if others else ""
    needed = f"{trust.attestor_threshold} needed"
    signed = f"signed by {', '.join(names) or 'nobody whom you trust'} ({needed}{ignored})"
    if len(names) < trust.attestor_threshold:
        raise refuse(signed, advice)
    return signed


def signers(trust: Trust, envelope: dsse.Envelope, period: Period) -> tuple[list[str], int]:
    """The attestors trusted for ``period`` that signed a statement, each key once; and how many signatures are
    theirs."""
    signed: dict[bytes, str] = {}
    used: set[bytes] = set()
    for attestor in trust.attestors:
        if not attestor.valid_in(period):
            continue
        for signature in {item.signature for item in envelope.signatures}:
            if _verifies(attestor.spki, PAYLOAD_TYPE, envelope.body, signature):
                signed.setdefault(attestor.spki, attestor.name)
                used.add(signature)
    return list(signed.values()), len(used)


def _verifies(public_key: bytes, payload_type: str, body: bytes, signature: bytes) -> bool:
    try:
        dsse.verify_signature(public_key, payload_type, body, signature)
    except VerificationError:
        return False
    return True


def subject(case: Case) -> str:
    data, predicate = case.file(RESERVES), case.predicate
    advice = "Fetch reserves.json again with the statement of the same period and revision."
    (named,) = case.statement.subject
    if named.digest.sha256 != digest(data):
        raise refuse(f"{RESERVES} is not the file that the statement is about", advice)
    reserves = from_json(Reserves, data, RESERVES)
    if (reserves.period, reserves.revision) != (predicate.period, predicate.revision):
        raise refuse(f"{RESERVES} is of another period or revision", advice)
    if reserves.merkle != predicate.merkle:
        raise refuse(f"{RESERVES} has another Merkle root or size than the statement", advice)
    committed = sorted((t.token, t.currency, t.minor_units, t.units, t.accounts) for t in reserves.tokens)
    stated = sorted(
        (t.token, t.currency, reserve.minor_units, reserve.units, reserve.agreement.accounts)
        for t, reserve in attested_tokens(predicate.tokens)
    )
    for one, other in zip(committed, stated, strict=False):
        if one != other:
            raise refuse(f"{RESERVES} has another total for {one[0]} than the statement", advice)
    if len(committed) != len(stated):
        raise refuse(f"{RESERVES} lists other tokens than the statement attests", advice)
    return f"root {reserves.merkle.root[:16]}… over {reserves.merkle.size} accounts, the same totals"


def attested_tokens(tokens: Iterable[TokenStatement]) -> list[tuple[TokenStatement, Attested]]:
    """The tokens that are not withheld, with what they state."""
    return [(token, stated) for token in tokens if (stated := attested(token)) is not None]


_PERIOD_ADVICE = "Compare with the period that you asked for; if the bundle is unchanged, tell the issuer."


def expect_issuer_and_period(case: Case) -> None:
    """The statement is the expected issuer's, and not before the earliest period; raises :class:`VerificationError`."""
    predicate, trust, advice = case.predicate, case.trust, _PERIOD_ADVICE
    if predicate.issuer != trust.issuer:
        raise refuse(f"the issuer is {predicate.issuer!r}, you expect {trust.issuer!r}", advice)
    if case.period < Period.parse(trust.earliest_period):
        raise refuse(f"{case.period} is before {trust.earliest_period}, your earliest", advice)


def expect_past_cutoff(case: Case) -> None:
    """What is stated has been already; raises :class:`VerificationError`."""
    cutoff = case.predicate.cutoff
    if cutoff > case.now:
        raise refuse(f"the cutoff {moment(cutoff)} is in the future (it is {moment(case.now)})", _PERIOD_ADVICE)


def period(case: Case) -> str:
    expect_issuer_and_period(case)
    predicate, advice = case.predicate, _PERIOD_ADVICE
    if not case.period.has_cutoff(predicate.cutoff):
        raise refuse(f"the cutoff {moment(predicate.cutoff)} is not in {case.period}", advice)
    expect_past_cutoff(case)
    manifest = case.manifest
    for name, found in (
        ("the manifest", (manifest.period, manifest.revision)),
        (RESERVES, (case.reserves.period, case.reserves.revision)),
        (RECEIPTS, (case.receipts.period, case.receipts.revision)),
    ):
        if found != (predicate.period, predicate.revision):
            raise refuse(f"{name} is of another period or revision than the statement", advice)
    attempts = f", attempt {predicate.attempt}" if predicate.attempt > 1 else ""
    pinned = "; a rehearsal with a pinned clock" if predicate.clock == "pinned" else ""
    return f"{case.period}, revision {predicate.revision}{attempts}, cutoff {moment(predicate.cutoff)}{pinned}"


# -- is it in the public log, and who else saw it? -------------------------------------------------------------------


def log_inclusion(case: Case) -> str:
    entry = case.logged
    return f"entry {entry.index} of {entry.checkpoint.size} in the log {entry.checkpoint.origin}, signed by the log"


def witnesses(case: Case) -> Finding:
    wanted = case.trust.witnesses
    if not wanted.keys:
        return Finding(
            "skipped",
            "your trust file names no witness: only the issuer remembers this log",
            "Add the vkeys of witnesses that you trust to the trust file.",
        )
    names = ", ".join(witness_names(case)) or "nobody"
    detail = f"cosigned by {names} ({wanted.threshold} needed)"
    if len(case.cosignatures) < wanted.threshold:
        raise refuse(
            detail,
            "Fetch the bundle again later: cosignatures can arrive late. Without them, a rewritten log goes unseen.",
        )
    if not case.cosignatures:
        return Finding("skipped", "no witness that you trust cosigned, and none is needed", "Ask for a threshold.")
    return Finding("pass", detail)


def witness_names(case: Case) -> tuple[str, ...]:
    """The trusted witnesses that cosigned; raises as the check does."""
    return tuple(cosignature.witness for cosignature in case.cosignatures)


# -- does it add up? -------------------------------------------------------------------------------------------------


def tokens(case: Case) -> str:
    predicate, trust = case.predicate, case.trust
    expected = {token.token: token for token in trust.tokens}
    stated = {token.token: token for token in predicate.tokens}
    advice = "Every token and deployment that you expect must be there: ask the issuer why this one differs."
    for name in sorted(expected.keys() - stated.keys()):
        raise refuse(f"{name} is expected, but the statement does not speak of it", advice)
    for name in sorted(stated.keys() - expected.keys()):
        raise refuse(f"{name} is not in your trust file", advice)
    for name, token in sorted(stated.items()):
        _compare_token(token, expected[name], advice)
    for chain in predicate.chains:
        if trust.chain(chain.chain_id) is None:
            raise refuse(f"chain {chain.chain_id} is not in your trust file", advice)
    count = sum(len(token.deployments) for token in trust.tokens)
    return f"{', '.join(sorted(expected))}: exactly those expected, on {count} deployments"


def _compare_token(token: TokenStatement, expected: TrustedToken, advice: str) -> None:
    if (token.currency, token.exponent, token.decimals) != (expected.currency, expected.exponent, expected.decimals):
        raise refuse(f"{token.token}: currency or decimals are not those expected", advice)
    wanted = {(d.chain_id, d.address.lower()): d.decimals for d in expected.deployments}
    found = {(d.chain_id, d.address.lower()): d.decimals for d in token.deployments}
    for chain_id, address in sorted(wanted.keys() ^ found.keys()):
        word = "is missing" if (chain_id, address) in wanted else "is not expected"
        raise refuse(f"{token.token}: deployment {address} on chain {chain_id} {word}", advice)
    for key in sorted(wanted):
        if wanted[key] != found[key]:
            raise refuse(f"{token.token}: deployment {key[1]} has other decimals than expected", advice)


def policy(case: Case) -> str:
    minimum = case.trust.policy
    advice = "The issuer decided by a weaker rule than you accept: ask why, or change the policy in your trust file."

    def too_weak(token: TokenStatement, detail: str) -> VerificationError:
        return refuse(f"{token.token}: {detail}", advice)

    for chain in case.predicate.chains:
        if chain.supply_gap_seconds > minimum.max_age_seconds:
            raise refuse(
                f"the supply on chain {chain.chain_id} was read {chain.supply_gap_seconds} seconds before the cutoff, "
                f"you accept {minimum.max_age_seconds}",
                advice,
            )
    waived = untold = 0
    for token, stated in attested_tokens(case.predicate.tokens):
        rule, agreement = stated.policy, stated.agreement
        waived += agreement.waived
        for waiver in agreement.waivers:
            if waiver.code not in minimum.waivers:
                raise too_weak(token, f"{waiver.count} account(s) under the waiver {waiver.code!r}, not allowed")
        weaker = (
            min(rule.min_sources, agreement.fewest_sources) < minimum.min_sources
            or min(rule.min_origins, agreement.fewest_origins) < minimum.min_origins
        )
        if weaker and not agreement.waived:
            raise too_weak(
                token,
                f"{agreement.fewest_sources} sources and {agreement.fewest_origins} origins agreed (rule: "
                f"{rule.min_sources} and {rule.min_origins}), you ask for {minimum.min_sources} and "
                f"{minimum.min_origins}",
            )
        others = agreement.accounts - agreement.waived
        least = agreement.waived * agreement.fewest_sources + others * minimum.min_sources
        if agreement.waived and agreement.sources_counted < least:
            raise too_weak(
                token,
                f"{agreement.sources_counted} sources were counted on {agreement.accounts} accounts, so not each of "
                f"the {others} that are under no waiver can have the {minimum.min_sources} that you ask for",
            )
        untold += others if weaker else 0
        for what, found, allowed in (
            ("tolerance in minor units", rule.tolerance_abs, minimum.max_tolerance_abs),
            ("tolerance in basis points", rule.tolerance_bps, minimum.max_tolerance_bps),
            ("age of a balance in seconds", rule.max_age_seconds, minimum.max_age_seconds),
            ("dissenting sources", rule.allow_dissent, minimum.allow_dissent),
        ):
            if found > allowed:
                raise too_weak(token, f"the rule allows {found} as {what}, you accept {allowed}")
    with_waivers = f"; {waived} account(s) under waivers that you allow" if waived else ""
    if untold:
        with_waivers += f" (the counts do not tell whether each of the {untold} others had enough sources and origins)"
    return f"at least as strict as you ask for{with_waivers}"


def coverage(case: Case) -> Finding:
    short = [token.token for token in case.predicate.tokens if token.verdict == "short"]
    withheld = [token.token for token in case.predicate.tokens if token.verdict == "withheld"]
    rest = len(case.predicate.tokens) - len(short) - len(withheld)
    parts = [f"{rest} sufficient"]
    if short:
        parts.append(f"short: {', '.join(short)}")
    if withheld:
        parts.append(f"withheld: {', '.join(withheld)}")
    detail = "; ".join(parts) + " (each token by itself, nothing netted)"
    if short:
        return Finding("short", detail, "The issuer states a shortfall. Ask how and when it will be made good.")
    if withheld:
        return Finding("withheld", detail, "The issuer states no reserve. Ask why, and when it will be attested.")
    return Finding("pass", detail)


# -- was it reported on chain? ---------------------------------------------------------------------------------------


def consensus(case: Case) -> str:
    oracle = case.trust.oracle
    advice = "Compare the oracle in your trust file with the issuer's; ask why the reports differ."
    parts = []
    for token, stated in attested_tokens(case.predicate.tokens):
        found = stated.consensus
        if not same_address(found.oracle, oracle.address):
            raise refuse(f"{token.token}: the oracle is {found.oracle}", advice)
        if not found.quorum_met:
            raise refuse(f"{token.token}: the oracle's quorum is not met", advice)
        if found.required_quorum < oracle.min_quorum:
            raise refuse(
                f"{token.token}: the oracle asks for {found.required_quorum} reports, you ask for {oracle.min_quorum}",
                advice,
            )
        if not token.reports or any(report.chain_id != oracle.chain_id for report in token.reports):
            raise refuse(f"{token.token}: no report of the issuer's own on the oracle's chain", advice)
        parts.append(f"{token.token} by {found.reports} ({found.required_quorum} needed)")
    if not parts:
        return "nothing is attested, so nothing was reported"
    return f"as the statement says: {', '.join(parts)}"


def receipts(case: Case) -> str:
    predicate, trust, found = case.predicate, case.trust, case.receipts
    advice = "Fetch receipts.json again with the statement of the same period and revision; if it stays so, ask."

    def differs(detail: str) -> VerificationError:
        return refuse(f"{RECEIPTS}: {detail}", advice)

    if found.statement != case.statement_digest:
        raise differs("is of another statement")
    reported = [receipt for receipt in found.receipts if receipt.purpose == "report"]
    anchoring = [receipt for receipt in found.receipts if receipt.purpose == "anchor"]
    stated = [
        (token.token, report.chain_id, report.reporter.lower(), report.transaction, report.block_number)
        for token in predicate.tokens
        for report in token.reports
    ]
    listed = [(r.token or "", r.chain_id, r.sender.lower(), r.transaction, r.block_number) for r in reported]
    if sorted(stated) != sorted(listed):
        raise differs("lists other report transactions than the statement")
    if not all(same_address(receipt.to, trust.oracle.address) for receipt in reported):
        raise differs("a report went to another contract than the oracle")
    publishers = [publisher.address for publisher in trust.publishers if publisher.valid_in(case.period)]
    anchor, registry = found.anchor, trust.registry
    if anchor.chain_id != registry.chain_id or anchor.block.chain_id != registry.chain_id:
        raise differs("the anchor is on another chain than your registry")
    if not same_address(anchor.registry, registry.address):
        raise differs("the anchor is in another registry than yours")
    if not any(same_address(anchor.publisher, publisher) for publisher in publishers):
        raise differs(f"the anchor's publisher {anchor.publisher} is not one that you trust for this period")
    if len(anchoring) != 1 or not _is_anchoring(anchoring[0], anchor.publisher, case):
        raise differs("lists no single anchoring transaction by the publisher to the registry")
    if anchor.statement != case.statement_digest:
        raise differs("the anchor is of another statement")
    if (anchor.root, anchor.size) != (predicate.merkle.root, predicate.merkle.size):
        raise differs("the anchor has another Merkle root or size than the statement")
    head = case.logged.checkpoint
    if (anchor.log_root, anchor.log_size) != (head.root.hex(), head.size):
        raise differs("the anchor has another log root or size than the checkpoint")
    return f"{len(reported)} reports and one anchor, block {anchor.block.number}, as the files say"


def _is_anchoring(receipt: Receipt, publisher: str, case: Case) -> bool:
    anchor = case.receipts.anchor
    return (
        receipt.token is None
        and receipt.chain_id == anchor.chain_id
        and same_address(receipt.sender, publisher)
        and same_address(receipt.to, anchor.registry)
        and receipt.block_number <= anchor.block.number
    )


# -- what remains ----------------------------------------------------------------------------------------------------


def freshness(case: Case) -> Finding:
    limit = case.trust.maximum_age_seconds
    if limit is None:
        return Finding(
            "skipped",
            f"your trust file demands none; the cutoff was {moment(case.predicate.cutoff)}",
            "Set maximum_age_seconds in the trust file.",
        )
    age = int((case.now - case.predicate.cutoff).total_seconds())
    detail = f"the cutoff is {age} seconds ago, you accept {limit}"
    if age > limit:
        raise refuse(detail, "Fetch the newest attestation; if there is none, ask the issuer why.")
    return Finding("pass", detail)


# -- the list --------------------------------------------------------------------------------------------------------

#: What makes a statement authentic: somebody trusted said it, it is unchanged, and it is in the public log.
AUTHENTIC: tuple[Check, ...] = (
    Check("files", "Is the bundle complete, and each file the one listed?", files),
    Check("statement", "Is the statement well-formed, and does every figure follow?", statement_readable),
    Check("signatures", "Did enough of the attestors that you trust sign it, unchanged?", signatures),
    Check("subject", "Is it about these reserves?", subject),
    Check("period", "Is it the issuer's, of a plausible period, cutoff and revision?", period),
    Check("log-inclusion", "Is it in the public log?", log_inclusion),
)
