"""Steps 1 to 4: open, collect, decide, commit; and their recomputation from the evidence."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from attest import quorum, records
from attest.artifacts import Collected, Committed, Decided, Opened, WithheldToken
from attest.config import Config, Deployment
from attest.custody import collector, ownership, policies
from attest.errors import ConflictError, OperatorError, SourceError
from attest.merkle.proof import leaf_hash
from attest.merkle.tree import MerkleTree
from attest.model import AccountPolicy, AccountVerdict, ReserveLeaf, TokenReserve, Verdict
from attest.money import currency, format_units, group, to_token_units
from attest.period import Period
from attest.runs import RunArea
from attest.steps import revisions
from attest.steps.context import Run
from attest.store import Store

#: How far back the change rule looks for an account's last attested balance.
HISTORY_WEEKS = 13


# -- 1. open ---------------------------------------------------------------------------------------------------------


def open_period(run: Run) -> tuple[Opened, str]:
    """Fix the period: cutoff, configuration, policies, last balances, and the supply at its block.

    Raises :class:`OperatorError` for a period whose cutoff has not passed, :class:`ConflictError` if the attempt was
    opened under another configuration, :class:`ChainError` when the supply cannot be read.
    """
    environment, area = run.environment, run.area
    schedule = run.config.schedule
    before = revisions.replaced(run)
    cutoff = _cutoff(run, before)
    configuration = environment.loaded.digest()

    def compute() -> Opened:
        now = environment.now()
        check_past(run.config, area.period, now)
        environment.private.create(f"configurations/{configuration}", environment.loaded.decisive())
        salt = environment.token_bytes(32)
        previous_verdicts, previous = ({}, {}) if area.blank else last_balances(environment.private, area.period)
        supply_at, supply = revisions.supply(run, before, cutoff)
        return Opened(
            format="attest-run-open/1",
            period=str(area.period),
            attempt=area.attempt,
            revision=area.revision,
            abandoned=area.abandoned,
            cutoff=cutoff,
            opened_at=now,
            clock="system" if schedule.clock is None else "pinned",
            supply_at=supply_at,
            configuration=configuration,
            configuration_salt=salt.hex(),
            configuration_commitment=records.digest(salt + environment.loaded.decisive()),
            policies=_policies(run, cutoff),
            previous=previous,
            previous_verdicts=previous_verdicts,
            supply=supply,
            supersedes=area.supersedes,
            blank=area.blank,
        )

    opened = area.artifact("open", Opened, compute)
    if opened.configuration != configuration:
        raise ConflictError(
            f"period {area.period}: attempt {area.attempt} was opened under another configuration",
            code="configuration-changed",
            reason="Accounts, sources, rules, tokens, contracts and keys must not change in the middle of a run.",
            advice=f"Restore it (the private store has it as configurations/{opened.configuration}"
            "), or, if nothing was reported yet, begin a new attempt with `attest abandon --reason ...`.",
        )
    _check_opened(run, opened, before)
    blocks = ", ".join(f"block {block.number} of chain {block.chain_id}" for block in opened.supply.supply.blocks)
    return opened, f"cutoff {records.format_instant(opened.cutoff)}; supply at {blocks}"


def _cutoff(run: Run, before: Opened | None) -> datetime:
    """The configured one; a revision keeps that of the attestation before it, whatever the schedule is today."""
    return run.config.schedule.schedule.cutoff(run.period) if before is None else before.cutoff


def check_past(config: Config, period: Period, now: datetime) -> None:
    """Raises :class:`OperatorError` (``future-period``) unless the period's cutoff has passed."""
    cutoff, due = config.schedule.schedule.cutoff(period), config.schedule.schedule.latest_due(now)
    if cutoff > now:
        raise OperatorError(
            f"period {period} is in the future: its cutoff is {records.format_instant(cutoff)}",
            code="future-period",
            reason="Balances can be attested only as they were at a cutoff that has passed.",
            advice=f"Wait for the cutoff, or attest {due}, the newest that is due.",
        )


def _policies(run: Run, cutoff: datetime) -> tuple[AccountPolicy, ...]:
    """The quorum rules in force: none where nothing is collected."""
    return () if run.area.blank else policies.account_policies(run.config, cutoff)


def _check_opened(run: Run, opened: Opened, before: Opened | None) -> None:
    """What the statement says of the run itself follows from no evidence, so it is compared: a rehearsal must not pass
    for real, and no attempt can be hidden. Raises :class:`ConflictError`."""
    area, loaded, schedule = run.area, run.environment.loaded, run.config.schedule
    salt = bytes.fromhex(opened.configuration_salt)
    supply_at = schedule.supply_at
    if before is not None and revisions.keeps_supply(before, run.config):
        supply_at = before.supply_at
        if opened.supply != before.supply:
            raise tampered(area, "open", "the supply is not the one of the attestation that is replaced")
    elif area.blank is not None:
        supply_at = opened.supply_at  # of the run, if the cutoff's was pruned
    for what, stored, expected in (
        ("the period", opened.period, str(area.period)),
        ("the revision", opened.revision, area.revision),
        ("what it supersedes", opened.supersedes, area.supersedes),
        ("why it gives no reserve", opened.blank, area.blank),
        ("the attempt", opened.attempt, area.attempt),
        ("the abandoned attempts", opened.abandoned, area.abandoned),
        ("the clock", opened.clock, "system" if schedule.clock is None else "pinned"),
        ("supply_at", opened.supply_at, supply_at),
        ("the commitment", opened.configuration_commitment, records.digest(salt + loaded.decisive())),
    ):
        if stored != expected:
            raise tampered(area, "open", f"{what} is {stored}, not {expected}")


def last_balances(store: Store, period: Period) -> tuple[dict[str, str], dict[str, int]]:
    """The balances that were attested last, of the accounts of the newest published period within
    :data:`HISTORY_WEEKS`, in minor units; and the verdicts that they are from, key to digest, newest first. Of a
    period's revisions the newest published counts.

    What a withheld token's accounts held was not attested: nobody accepted it, so for those it is looked further back,
    as it is past a period that was missed or whose attestation is revoked.
    """
    verdicts: dict[str, str] = {}
    balances: dict[str, int] = {}
    wanted: set[str] | None = None
    for weeks in range(1, HISTORY_WEEKS + 1):
        area = RunArea.published(store, period.shifted(-weeks))
        data = None if area is None or area.blank else area.bytes_of("verdict")
        if area is None or data is None:
            continue
        decided = _earlier(data, area.key("verdict"))
        verdicts[area.key("verdict")] = records.digest(data)
        balances = _attested(decided) | balances
        if wanted is None:
            wanted = {account.account for account in decided.verdict.accounts}
        if wanted <= balances.keys():
            break
    return verdicts, balances


def _earlier(data: bytes, where: str) -> Decided:
    return records.from_json(Decided, data, where, ConflictError)


def _attested(decided: Decided) -> dict[str, int]:
    given_up = {token.token for token in decided.withheld}
    return {
        account.account: account.minor_units
        for account in decided.verdict.accounts
        if account.minor_units is not None and account.token not in given_up
    }


# -- 2. collect ------------------------------------------------------------------------------------------------------


def collect(run: Run) -> tuple[Collected, str]:
    """Ask every source. Stored only when no account of a token that is not withheld lacks a quorum of valid
    observations: what is merely missing or late is asked again by the next run, what was said is kept.

    Raises :class:`SourceError` (exit 3) naming every account that lacks its quorum.
    """
    environment, area = run.environment, run.area
    opened = run.take("open", Opened)

    def compute() -> Collected:
        if area.blank:
            return Collected("attest-run-collection/1", area.digests("open"), environment.now(), (), ())
        result = collector.collect(
            environment.loaded,
            period=opened.period,
            cutoff=opened.cutoff,
            now=environment.now,
            evidence=environment.evidence,
            clients=environment.clients,
            progress=environment.narrator.progress,
        )
        collected = Collected(
            format="attest-run-collection/1",
            made_from=area.digests("open"),
            collected_at=environment.now(),
            observations=result.observations,
            failures=result.failures,
            ownership=ownership.proven(environment.evidence, run.config, opened.period),
        )
        verdict = _decide(opened, collected)
        lacking = [account for account in verdict.accounts if quorum.needs_new_evidence(account)]
        failing = _still_failing(run, opened, lacking)
        if failing:
            raise _refused(run, "collect", opened, collected, failing)
        return collected

    collected = area.artifact("collection", Collected, compute)
    if area.blank:
        return collected, f"no source is asked: every token is withheld ({area.blank})"
    accounts = len({observation.account for observation in collected.observations})
    summary = f"{len(collected.observations)} balances of {accounts} accounts"
    failed = [f"{failure.account}/{failure.source}" for failure in collected.failures]
    return collected, summary + (f"; {len(failed)} failed: {_some(failed)}" if failed else "")


def _decide(opened: Opened, collected: Collected) -> Verdict:
    return quorum.decide(
        collected.observations,
        collected.failures,
        opened.policies,
        opened.cutoff,
        opened.previous,
        collected.ownership,
    )


def _still_failing(run: Run, opened: Opened, failing: Iterable[AccountVerdict]) -> list[AccountVerdict]:
    """The failing accounts whose tokens are not given up; gives up what the operator withholds, and, past the deadline,
    whatever still fails."""
    now = run.environment.now()
    remaining = []
    past_deadline = now >= _deadline(run, opened)
    for account in failing:
        if account.token in run.choices.withhold:
            run.area.withhold(account.token, "operator", now)
        elif past_deadline:
            run.area.withhold(account.token, "deadline", now)
        if run.area.withheld(account.token) is None:
            remaining.append(account)
    return remaining


def _deadline(run: Run, opened: Opened) -> datetime:
    """When a token that still fails is withheld by itself. A revision, made long after the cutoff, has as much time
    from its order on: it must not withhold what the attestation before it gave, for a file that is missing today."""
    begun = opened.cutoff if run.area.order is None else run.area.order.at
    return begun + timedelta(hours=run.config.schedule.deadline_hours)


def _refused(run: Run, step: str, opened: Opened, collected: Collected, failing: list[AccountVerdict]) -> SourceError:
    deadline = _deadline(run, opened)
    tokens = sorted({account.token for account in failing})
    held = [account for account in failing if account.outcome == "held"]
    lines = [f"account {account.account} ({account.token}): {account.detail}" for account in failing]
    if len(held) == len(failing):
        accounts = " ".join(f"--acknowledge {account.account}" for account in held)
        advice = (
            f"Compare with the custodian. If the change is right, run `attest run --period {run.period} {accounts}`."
        )
    elif step == "collect":
        advice = "\n".join(_needed(opened, collected, failing))
        advice += "\nThen run `attest run` again: it asks every source anew."
    else:
        advice = (
            "Find out which source is wrong. To read them again, `attest abandon --reason ...` ends this attempt "
            "(the statement gives the reason), then run again."
        )
    advice += f" `attest quorum explain --period {run.period}` shows what every source said."
    advice += (
        f" To go on without {', '.join(tokens)}, add {' '.join(f'--withhold {token}' for token in tokens)};"
        f" after {records.format_instant(deadline)} they are withheld by themselves."
    )
    error = SourceError(
        "\n".join(lines),
        code=failing[0].code if len({account.code for account in failing}) == 1 else "quorum-not-met",
        reason=f"Every account must pass before {', '.join(tokens)} can be attested; nothing was sent.",
        advice=advice,
    )
    amounts = {
        f"{observation.account}/{observation.source}": observation.minor_units for observation in collected.observations
    }
    run.area.refuse(step, error, run.environment.now(), records.to_json(collected).decode(), amounts)
    return error


def _needed(opened: Opened, collected: Collected, failing: Iterable[AccountVerdict]) -> list[str]:
    """What to do about each failing account, a line for each different advice, after the sources that it is for."""
    rules = {policy.account: policy for policy in opened.policies}
    for_whom: dict[str, list[str]] = {}
    for account in failing:
        counting = {source.source for source in rules[account.account].sources if not source.corroborates}
        failures = [one for one in collected.failures if one.account == account.account and one.source in counting]
        unproven = rules[account.account].ownership == "key-proven" and account.account not in collected.ownership
        for failure in failures:
            for_whom.setdefault(failure.advice, []).append(f"{failure.account}/{failure.source}")
        if unproven:
            for_whom.setdefault(ownership.advice(account.account, opened.period), []).append(account.account)
        if not failures and not unproven:
            for_whom.setdefault("Put the custodian's statement in place.", []).append(account.account)
    return [f"{_some(names)}: {advice}" for advice, names in for_whom.items()]


def _some(names: Sequence[str], at_most: int = 5) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


# -- 3. decide -------------------------------------------------------------------------------------------------------


def decide(run: Run) -> tuple[Decided, str]:
    """The quorum per account, then per token. Stored only when every account of every token that is not withheld is
    accepted, or held and acknowledged.

    Raises :class:`SourceError` (exit 3) otherwise; :class:`OperatorError` for a choice that does not fit.
    """
    environment, area = run.environment, run.area
    opened, collected = run.take("open", Opened), run.take("collection", Collected)

    def compute() -> Decided:
        for token in run.choices.withhold:
            area.withhold(token, "operator", environment.now())
        verdict = _decide(opened, collected)
        digest = records.digest(records.to_json(verdict))
        held = {account.account for account in verdict.accounts if account.outcome == "held"}
        for name in run.choices.acknowledge:
            _acknowledge(run, name, held, digest)
        acknowledged = tuple(sorted(name for name in held if area.acknowledged(name, digest)))
        failing = _still_failing(
            run,
            opened,
            [a for a in verdict.accounts if a.outcome != "accepted" and a.account not in acknowledged],
        )
        if failing:
            if held:
                area.show_held(digest)
            raise _refused(run, "decide", opened, collected, failing)
        withheld = []
        for token in run.config.tokens:
            code = area.withheld(token)
            if code is not None:
                accounts = tuple(a.account for a in verdict.accounts if a.token == token and a.outcome != "accepted")
                withheld.append(WithheldToken(token, code, accounts))
        return Decided(
            format="attest-run-verdict/1",
            made_from=area.digests("open", "collection"),
            verdict=verdict,
            withheld=tuple(withheld),
            acknowledged=acknowledged,
        )

    decided = area.artifact("verdict", Decided, compute)
    given_up = {token.token for token in decided.withheld}
    late = [token for token in run.choices.withhold if token not in given_up]
    if late:
        raise OperatorError(
            f"token {late[0]} was decided already in attempt {area.attempt} of {area.period}, and is not withheld",
            code="already-decided",
            reason="A decision is written once.",
            advice="If nothing was reported yet, `attest abandon --reason ...` begins a new attempt.",
        )
    accepted = [account for account in decided.verdict.accounts if account.token not in given_up]
    summary = f"{len(accepted)} accounts agreed"
    return decided, summary + (f"; withheld: {', '.join(sorted(given_up))}" if given_up else "")


def check_choices(run: Run) -> None:
    """Raises :class:`OperatorError` for a choice that names no configured token or account."""
    for token in run.choices.withhold:
        if token not in run.config.tokens:
            raise OperatorError(
                f"--withhold {token}: there is no such token in attest.toml",
                code="unknown-token",
                reason="Only a configured token can be withheld.",
                advice=f"The tokens are: {', '.join(run.config.tokens)}.",
            )
    for name in run.choices.acknowledge:
        if name not in run.config.accounts:
            raise OperatorError(
                f"--acknowledge {name}: there is no such account in attest.toml",
                code="unknown-account",
                reason="An acknowledgement belongs to one account.",
                advice=f"The accounts are: {', '.join(run.config.accounts)}.",
            )


def _acknowledge(run: Run, name: str, held: set[str], verdict: str) -> None:
    """A person can acknowledge only what was shown: a hold that an earlier run refused with."""
    if name not in held:
        raise OperatorError(
            f"--acknowledge {name}: this account's balance is not held",
            code="nothing-to-acknowledge",
            reason="An acknowledgement given in advance would approve a number that nobody has seen.",
            advice="Leave the option out; a run that holds an account says so.",
        )
    if run.area.was_shown(verdict):
        run.area.acknowledge(name, verdict, run.environment.now())


# -- 4. commit -------------------------------------------------------------------------------------------------------


def commit(run: Run) -> tuple[Committed, str]:
    """Salted leaves, their Merkle root, and the totals per token. Raises :class:`SourceError` if a total does not fit
    the contract."""
    environment, area = run.environment, run.area
    opened, decided = run.take("open", Opened), run.take("verdict", Decided)

    def compute() -> Committed:
        salts = {policy.account: environment.token_bytes(32).hex() for policy in opened.policies}
        return commitment(run.config, opened, decided, salts, area.digests("open", "verdict"))

    committed = area.artifact("commitment", Committed, compute)
    totals = ", ".join(
        f"{group(format_units(token.units, token.decimals))} {token.token}" for token in committed.tokens
    )
    return committed, f"{len(committed.leaves)} leaves, root {committed.root[:16]}…; {totals or 'every token withheld'}"


def commitment(
    config: Config, opened: Opened, decided: Decided, salts: Mapping[str, str], made_from: Mapping[str, str]
) -> Committed:
    """The leaves with these salts (by account), their root and the totals per token: pure."""
    given_up = {token.token for token in decided.withheld}
    rules = {policy.account: policy for policy in opened.policies}
    counted = [account for account in decided.verdict.accounts if account.token not in given_up]
    leaves = [records.to_json(_leaf(opened, rules[a.account], a, salts[a.account])) for a in counted]
    # In the order of their hashes, which the salts make random: a leaf's place says nothing about whose it is.
    leaves.sort(key=leaf_hash)
    return Committed(
        format="attest-run-commitment/1",
        made_from=made_from,
        leaves=tuple(base64.b64encode(leaf).decode() for leaf in leaves),
        root=MerkleTree(leaves).root.hex(),
        tokens=tuple(
            token_reserve(config, symbol, [a for a in counted if a.token == symbol])
            for symbol in config.tokens
            if symbol not in given_up
        ),
    )


def _leaf(opened: Opened, policy: AccountPolicy, account: AccountVerdict, salt: str) -> ReserveLeaf:
    if account.minor_units is None or account.as_of is None:
        raise ValueError(f"{account.account} was not accepted")
    return ReserveLeaf(
        format="attest-reserve-leaf/1",
        period=opened.period,
        token=account.token,
        account=account.account,
        custodian=policy.custodian,
        currency=policy.currency,
        minor_units=account.minor_units,
        balance_kind=policy.balance_kind,
        as_of=account.as_of,
        ownership=policy.ownership,
        evidence=account.evidence,
        salt=salt,
    )


def reported_deployment(config: Config, symbol: str) -> Deployment:
    """The deployment of a token that is reported: the one on the oracle's chain."""
    return next(d for d in config.tokens[symbol].deployments if d.chain == config.oracle.chain)


def token_reserve(config: Config, symbol: str, accounts: list[AccountVerdict]) -> TokenReserve:
    """Sum a token's accounts in minor units, then scale to the units of its deployment on the oracle's chain."""
    token = config.tokens[symbol]
    unit = currency(token.currency)
    decimals = reported_deployment(config, symbol).decimals
    minor_units = sum(account.minor_units or 0 for account in accounts)
    amount = to_token_units(minor_units, unit.exponent, decimals, f"token {symbol}")
    return TokenReserve(
        token=symbol,
        currency=token.currency,
        exponent=unit.exponent,
        decimals=decimals,
        minor_units=minor_units,
        units=amount.units,
        remainder_minor_units=amount.remainder_minor_units,
        oldest_as_of=min(account.as_of for account in accounts if account.as_of is not None),
        accounts=len(accounts),
    )


# -- the same again, from the evidence -------------------------------------------------------------------------------


def recheck(run: Run) -> None:
    """Recompute what was decided and committed from the stored evidence bytes, before anything is sent or signed.

    Write access to the private store must not be enough to make this operator lie. It is not, as far as documents are
    sealed (``stores.evidence_key``) or signed by their custodian; otherwise whoever forges evidence together with all
    that follows from it is found out only by the custodian's own copy. Raises :class:`ConflictError` (exit 7) naming
    the first artifact that differs.
    """
    environment, area = run.environment, run.area
    opened, collected = run.take("open", Opened), run.take("collection", Collected)
    decided, committed = run.take("verdict", Decided), run.take("commitment", Committed)
    cutoff = _cutoff(run, revisions.replaced(run))
    if opened.cutoff != cutoff or opened.policies != _policies(run, cutoff):
        raise tampered(area, "open", "the cutoff or the quorum rules are not those of the configuration")
    if opened.previous != _previous_again(environment.private, opened):
        raise tampered(area, "open", "the last balances are not those of their verdicts")
    collector.reobserve(environment.loaded, collected.observations, environment.evidence, opened.cutoff)
    ownership.recheck(environment.evidence, run.config, opened.period, collected.ownership)
    asked = {(policy.account, source.source) for policy in opened.policies for source in policy.sources}
    answered = [(seen.account, seen.source) for seen in collected.observations]
    answered += [(failure.account, failure.source) for failure in collected.failures]
    if sorted(answered) != sorted(asked):
        raise tampered(area, "collection", "not every configured source answered or failed exactly once")
    verdict = _decide(opened, collected)
    if _unworded(verdict) != _unworded(decided.verdict):
        raise tampered(area, "verdict", "the quorum decides otherwise on the same observations")
    digest = records.digest(records.to_json(decided.verdict))
    for name in decided.acknowledged:
        if not area.acknowledged(name, digest):
            raise tampered(area, "verdict", f"account {name} was never acknowledged")
    given_up = {token.token for token in decided.withheld}
    for token in decided.withheld:
        if area.withheld(token.token) != token.code:
            raise tampered(area, "verdict", f"token {token.token} was never withheld ({token.code})")
    for account in verdict.accounts:
        passes = account.outcome == "accepted" or account.account in decided.acknowledged
        if not passes and account.token not in given_up:
            raise tampered(area, "verdict", f"account {account.account} does not pass, yet {account.token} goes on")
    salts = {}
    for encoded in committed.leaves:
        leaf = records.from_json(ReserveLeaf, base64.b64decode(encoded), area.key("commitment"), ConflictError)
        salts[leaf.account] = leaf.salt
    missing = [a.account for a in verdict.accounts if a.token not in given_up and a.account not in salts]
    if missing:
        raise tampered(area, "commitment", f"account {missing[0]} has no leaf")
    if commitment(run.config, opened, decided, salts, committed.made_from) != committed:
        raise tampered(area, "commitment", "leaves, root or totals are not those of the verdict")


def _unworded(verdict: Verdict) -> Verdict:
    """All of a verdict but its explanations: another release may word them differently."""
    return Verdict(
        tuple(
            replace(account, detail="", considered=tuple(replace(each, detail="") for each in account.considered))
            for account in verdict.accounts
        )
    )


def _previous_again(store: Store, opened: Opened) -> dict[str, int]:
    balances: dict[str, int] = {}
    for key, expected in opened.previous_verdicts.items():
        data = store.get(key)
        if data is None or records.digest(data) != expected:
            return {}
        balances = _attested(_earlier(data, key)) | balances
    return balances


def tampered(area: RunArea, name: str, detail: str) -> ConflictError:
    """The refusal of an artifact that is not what those before it give."""
    return ConflictError(
        f"{area.store.url}: {area.key(name)}: {detail}",
        code="tampered",
        reason="It does not follow from the evidence and the decisions stored before; nothing more is sent or signed.",
        advice="Keep the store as it is and find out who changed it. If nothing was reported yet, "
        "`attest abandon --reason ...` begins a new attempt.",
    )
