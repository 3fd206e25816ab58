"""All that is stored of one attested period, read together: what the audit package and the report are made from."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

from attest import records, statement
from attest.artifacts import (
    Anchored,
    Collected,
    Committed,
    Confirmed,
    Decided,
    DisclosureDetail,
    Disclosures,
    Logged,
    Opened,
    Published,
)
from attest.config import Config, restored
from attest.documents import Statement
from attest.errors import ConflictError, OperatorError
from attest.model import Decision, ReserveLeaf, ReserveLeaves
from attest.period import Period
from attest.runs import RunArea
from attest.signing.dsse import parse_envelope
from attest.steps.context import Environment, Run
from attest.steps.explanation import Explanation, explain


@dataclass(frozen=True)
class Dossier:
    """One attestation whose statement is fixed. ``run`` is on the attempt that made it, under the configuration that
    was in force then (``configuration``: its bytes as stored). ``envelope``, ``logged``, ``anchored`` and ``published``
    are None as long as those steps are not done."""

    run: Run
    configuration: bytes
    payload: bytes
    statement: Statement
    opened: Opened
    collected: Collected
    decided: Decided
    committed: Committed
    confirmed: Confirmed
    disclosures: tuple[bytes, ...]
    explanation: Explanation | None
    envelope: bytes | None
    logged: Logged | None
    anchored: Anchored | None
    published: Published | None

    @property
    def area(self) -> RunArea:
        return self.run.area

    @property
    def config(self) -> Config:
        """The configuration that was in force."""
        return self.run.config

    @property
    def decision(self) -> Decision:
        """All that the quorum decided on."""
        return Decision(
            format="attest-decision/1",
            period=self.opened.period,
            revision=self.opened.revision,
            cutoff=self.opened.cutoff,
            policies=self.opened.policies,
            previous=self.opened.previous,
            observations=self.collected.observations,
            failures=self.collected.failures,
            ownership=self.collected.ownership,
            acknowledged=self.decided.acknowledged,
            withheld=tuple(token.token for token in self.decided.withheld),
        )

    @property
    def leaves_file(self) -> ReserveLeaves:
        """Every leaf's exact bytes."""
        return ReserveLeaves("attest-leaves/1", self.opened.period, self.opened.revision, self.committed.leaves)

    def leaves(self) -> tuple[ReserveLeaf, ...]:
        """The leaves, in the order of the configuration's accounts."""
        where = self.area.key("commitment")
        by_account: Mapping[str, ReserveLeaf] = {
            leaf.account: leaf
            for encoded in self.committed.leaves
            for leaf in [records.from_json(ReserveLeaf, base64.b64decode(encoded), where, ConflictError)]
        }
        return tuple(by_account[policy.account] for policy in self.opened.policies if policy.account in by_account)

    def details(self) -> tuple[DisclosureDetail, ...]:
        """What the statement commits to without showing it."""
        where = self.area.key("disclosures")
        return tuple(records.from_json(DisclosureDetail, data, where, ConflictError) for data in self.disclosures)


def gather(environment: Environment, period: Period, revision: int | None = None) -> Dossier:
    """Everything of one attestation: the revision that is named, or the newest whose statement is made. Reads the
    private store only.

    Raises :class:`OperatorError` if nothing of it is attested yet (``unknown-period``, ``unknown-revision``),
    :class:`ConflictError` if what is stored contradicts itself, :class:`VerificationError` if this release does not
    understand its configuration.
    """
    area = _area(environment, period, revision)
    opened, payload = area.stored("open", Opened), area.bytes_of("payload")
    if opened is None or payload is None:
        raise OperatorError(
            f"period {area.name}: no statement is made yet",
            code="unknown-period",
            reason="There is nothing to audit before the figures are final and the statement's text is fixed.",
            advice=f"Run `attest run --period {period}` first, or name another --period.",
        )
    key = f"configurations/{opened.configuration}"
    configuration = environment.private.get(key)
    if configuration is None or records.digest(configuration) != opened.configuration:
        raise ConflictError(
            f"{environment.private.url}: {key} is missing, or does not have the digest that its name says",
            code="artifact-conflict",
            reason="What was decided can be explained only by the rules that were in force.",
            advice="Restore it from the store's backup, and find out who has write access to the store.",
        )
    then = restored(configuration, environment.loaded.base, key)
    run = Run(replace(environment, loaded=then), area)
    disclosures = run.take("disclosures", Disclosures)
    envelope = area.bytes_of("envelope")
    if envelope is not None and parse_envelope(envelope, area.key("envelope")).body != payload:
        raise ConflictError(
            f"{environment.private.url}: {area.key('envelope')} carries another statement than {area.key('payload')}",
            code="artifact-conflict",
            reason="Two statements of one attestation cannot both be true.",
            advice="Keep the store as it is and find out who changed it.",
        )
    return Dossier(
        run=run,
        configuration=configuration,
        payload=payload,
        statement=statement.read(payload, area.key("payload")),
        opened=opened,
        collected=run.take("collection", Collected),
        decided=run.take("verdict", Decided),
        committed=run.take("commitment", Committed),
        confirmed=run.take("confirmation", Confirmed),
        disclosures=tuple(base64.b64decode(detail) for detail in disclosures.details),
        explanation=None if area.blank else explain(environment.private, period, revision=area.revision),
        envelope=envelope,
        logged=area.stored("log", Logged),
        anchored=area.stored("anchor", Anchored),
        published=area.stored("publication", Published),
    )


def _area(environment: Environment, period: Period, revision: int | None) -> RunArea:
    if revision is not None:
        return RunArea.of(environment.private, period, revision)
    area = RunArea.current(environment.private, period)
    if area.bytes_of("payload") is None:
        return RunArea.published(environment.private, period) or area
    return area
