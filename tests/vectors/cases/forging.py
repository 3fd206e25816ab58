"""Bundles for the tables, small and without chain proofs (which take more than the core install), and whom to trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from attest.documents import Predicate, Receipts, TokenStatement
from attest.records import format_instant, to_json
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge, sufficient_token
from tests.vectors.cases.case import Case, encoded

Files = dict[str, bytes]


def _offline(trust: Trust) -> Trust:
    """Without what only a chain proof is checked by: these bundles have none."""
    return replace(
        trust,
        chains=tuple(replace(chain, validators=()) for chain in trust.chains),
        oracle=replace(trust.oracle, code_hash=None, slots=None),
        registry=replace(trust.registry, code_hash=None, attestations_slot=None),
        tokens=tuple(
            replace(token, deployments=tuple(replace(d, code_hash=None, supply_slot=None) for d in token.deployments))
            for token in trust.tokens
        ),
    )


#: Expects EURW and USDW, two attestors of three, one witness of two; nothing is demanded that is not always required.
TRUST = replace(_offline(bundles.trust()), demands=())
#: Expects USDW alone.
SMALL_TRUST = replace(TRUST, tokens=TRUST.tokens[1:])
EURW, USDW = Forge().tokens
_WHOLE = sufficient_token(accounts=1)
#: Of one account, and one report of the issuer's own: as small as it gets.
ONE_ACCOUNT = replace(_WHOLE, reports=_WHOLE.reports[:1])


def forge(**fields: Any) -> Forge:
    """A bundle about EURW and USDW, changed only in ``fields``."""
    then = fields.pop("alter_files", lambda files: None)

    def alter(files: dict[str, bytes]) -> None:
        del files["chain-proof.json"]
        then(files)

    return Forge(alter_files=alter, **fields)


def small(**fields: Any) -> Forge:
    """A bundle about USDW, with a single account."""
    return forge(**{"tokens": (ONE_ACCOUNT,), **fields})


def bundle(
    name: str,
    description: str,
    reason: str,
    made: Forge | Callable[[], Files],
    *,
    attack: int | None = None,
    trust: Trust | str = SMALL_TRUST,
    at: datetime = bundles.NOW,
    brought: Callable[[Forge], Mapping[str, Any]] | None = None,
    exit_code: int = 6,
    fails: Iterable[str] = (),
    unmet: Iterable[str] = (),
    refused_trust: bool = False,
) -> Case:
    """A line about a whole bundle. ``trust``: the file, or its text where it is no such file. ``brought``: what its
    reader has besides, of the forge that made the bundle: further fields of the input."""

    def data() -> dict[str, Any]:
        files = made.files() if isinstance(made, Forge) else made()
        text = trust if isinstance(trust, str) else to_json(trust).decode()
        more = brought(made) if brought is not None and isinstance(made, Forge) else {}
        return {"trust": text, "bundle": encoded(files), **more}

    return Case(
        *("bundle", name, attack, description, reason, data, exit_code),
        fails=frozenset(fails),
        unmet=frozenset(unmet),
        refused_trust=refused_trust,
        at=format_instant(at),
    )


#: A line about the two tokens.
pair = partial(bundle, trust=TRUST)


# -- changes ---------------------------------------------------------------------------------------------------------


def token(number: int = -1, **fields: Any) -> Callable[[Predicate], Predicate]:
    """A change of a token's fields (the last one's) in the predicate; ``policy__min_sources`` reaches into a record."""

    def change(predicate: Predicate) -> Predicate:
        tokens = list(predicate.tokens)
        tokens[number] = _changed(tokens[number], fields)
        return replace(predicate, tokens=tuple(tokens))

    return change


def _changed(found: TokenStatement, fields: Mapping[str, Any]) -> TokenStatement:
    for name, value in fields.items():
        outer, _, inner = name.partition("__")
        found = replace(found, **{outer: replace(getattr(found, outer), **{inner: value}) if inner else value})
    return found


def predicate(**fields: Any) -> Callable[[Predicate], Predicate]:
    """A change of the predicate's own fields."""
    return lambda found: replace(found, **fields)


def chain(**fields: Any) -> Callable[[Predicate], Predicate]:
    """A change of the only chain's fields; ``supply__number`` reaches into a block."""

    def change(found: Predicate) -> Predicate:
        (only,) = found.chains
        for name, value in fields.items():
            outer, _, inner = name.partition("__")
            only = replace(only, **{outer: replace(getattr(only, outer), **{inner: value}) if inner else value})
        return replace(found, chains=(only,))

    return change


def cutoff(when: datetime) -> Callable[[Predicate], Predicate]:
    """Another cutoff, and what follows from it: the supply was read at the run, the balances are of the day before."""

    def change(found: Predicate) -> Predicate:
        (only,) = found.chains
        gap = int(when.timestamp()) - only.supply.timestamp
        moved = replace(found, cutoff=when, supply_at="run", chains=(replace(only, supply_gap_seconds=gap),))
        return token(oldest_as_of=when - timedelta(days=1) if when.year > 1 else when)(moved)

    return change


def receipt(number: int, **fields: Any) -> Callable[[Receipts], Receipts]:
    """A change of a receipt's fields; the last one is the anchor's."""

    def change(found: Receipts) -> Receipts:
        receipts = list(found.receipts)
        receipts[number] = replace(receipts[number], **fields)
        return replace(found, receipts=tuple(receipts))

    return change


def anchor(**fields: Any) -> Callable[[Receipts], Receipts]:
    """A change of the anchor's fields."""
    return lambda found: replace(found, anchor=replace(found.anchor, **fields))
