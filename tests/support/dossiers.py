"""A whole attestation for the report, without a run: a forged bundle's statement with the decision behind it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attest import statement
from attest.artifacts import Collected, Committed
from attest.audit.dossier import Dossier
from attest.documents import TokenStatement
from attest.errors import SourceError
from attest.model import AccountPolicy, ReserveLeaf, SourceFailure, SourcePolicy
from attest.period import Period
from attest.records import from_json, to_json
from attest.runs import RunArea
from attest.signing.dsse import parse_envelope
from attest.store import LocalStore, OverlayStore
from tests.support import chains
from tests.support.bundles import CUTOFF, PERIOD, Forge, sufficient_token


def dossier(
    tokens: Sequence[TokenStatement] = (sufficient_token(),),
    *,
    issuer: str = "Example Issuer Ltd",
    custodian: str = "First Custodian Bank",
    account: str = "{}",
    kinds: Sequence[Any] = ("closing-booked",),
    failures: Sequence[SourceFailure] = (),
    disclosures: Sequence[bytes] = (),
    refusals: Sequence[tuple[str, str]] = (),
) -> Dossier:
    """``account`` is a pattern for the accounts' ids; ``kinds`` are dealt to the accounts in turn; ``refusals`` are
    (step, error) of runs that stopped."""
    forge = Forge(tokens=tuple(tokens), alter_predicate=lambda predicate: replace(predicate, issuer=issuer))
    envelope = forge.files()["attestation.dsse.json"]
    payload = parse_envelope(envelope).body
    leaves = []
    for number, data in enumerate(forge.leaves):
        leaf = from_json(ReserveLeaf, data, "leaf")
        name, kind = account.format(leaf.account), kinds[number % len(kinds)]
        leaves.append(replace(leaf, account=name, custodian=custodian, balance_kind=kind))
    config = chains.config({token.token: [("main", token.deployments[0].address, 6)] for token in tokens})
    area = RunArea(OverlayStore(LocalStore(Path("/dev/null"))), Period.parse(PERIOD), 1, ())
    for step, error in refusals:
        area.refuse(step, SourceError(error, code="refused"), CUTOFF, "", {})
    policies = tuple(_policy(leaf) for leaf in leaves)
    encoded = tuple(base64.b64encode(to_json(leaf)).decode() for leaf in leaves)
    nothing: Any = None
    run: Any = SimpleNamespace(area=area, config=config)
    opened: Any = SimpleNamespace(period=PERIOD, revision=0, policies=policies)
    return Dossier(
        run=run,
        configuration=b"",
        payload=payload,
        statement=statement.read(payload),
        opened=opened,
        collected=Collected("attest-run-collection/1", {}, CUTOFF, (), tuple(failures)),
        decided=nothing,
        committed=Committed("attest-run-commitment/1", {}, encoded, "0" * 64, ()),
        confirmed=nothing,
        disclosures=tuple(disclosures),
        explanation=nothing,
        envelope=envelope,
        logged=None,
        anchored=None,
        published=None,
    )


def _policy(leaf: ReserveLeaf) -> AccountPolicy:
    return AccountPolicy(
        account=leaf.account,
        token=leaf.token,
        custodian=leaf.custodian,
        external_account=f"number {leaf.account}",
        currency=leaf.currency,
        balance_kind=leaf.balance_kind,
        ownership=leaf.ownership,
        sources=(
            SourcePolicy("bank", "bank", False, "2026-11-20"),
            SourcePolicy("other", "other", False, "2026-11-20"),
        ),
        min_sources=2,
        min_origins=2,
        tolerance_abs=0,
        tolerance_bps=0,
        max_age_seconds=96 * 3600,
        allow_dissent=0,
    )
