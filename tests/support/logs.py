"""Public logs of synthetic statements, on disk as any web server would serve them, signed by the forge's log key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from attest.documents import PAYLOAD_TYPE, ChainBlocks, Digests, Predicate, Statement, Subject, Supersedes
from attest.log.witness import Witness
from attest.log.writer import LogWriter
from attest.model import Block
from attest.period import Period
from attest.records import digest, to_json
from attest.signing import dsse
from attest.store import LocalStore
from tests.support import bundles


def posting(witness: Witness) -> Callable[[bytes], tuple[int, bytes]]:
    """The way to a witness of this process."""

    def post(body: bytes) -> tuple[int, bytes]:
        answer = witness.add_checkpoint(body)
        return answer.status, answer.body

    return post


def payload(
    period: str = bundles.PERIOD,
    revision: int = 0,
    *,
    replaces: bytes | None = None,
    kind: Literal["revision", "revocation"] = "revision",
    reason: str = "A statement was read wrongly.",
    issuer: str = bundles.ISSUER,
    dated: str | None = None,
) -> bytes:
    """A statement that withholds its token; ``replaces`` is the payload that it supersedes. ``dated``: the period that
    its cutoff is in, if not its own."""
    code = "revoked" if kind == "revocation" else "missed"
    token = bundles.withheld_token(bundles.sufficient_token(), code)
    named = Period.parse(dated or period)
    cutoff = datetime.fromisocalendar(named.year, named.week, 7).replace(hour=23, minute=59, second=59, tzinfo=UTC)
    block = Block(bundles.CHAIN, 100, "ab" * 32, int(cutoff.timestamp()))
    predicate: Predicate = replace(
        bundles.default_predicate((token,), ()),
        issuer=issuer,
        period=period,
        revision=revision,
        cutoff=cutoff,
        chains=(ChainBlocks(bundles.CHAIN, block, 0, block),),
        supersedes=None if replaces is None else Supersedes(digest(replaces), kind, reason),
    )
    return to_json(
        Statement(
            _type="https://in-toto.io/Statement/v1",
            subject=(Subject("reserves.json", Digests("00" * 32)),),
            predicateType="urn:reserve-attest:predicate:reserves:v1",
            predicate=predicate,
        )
    )


def entry(body: bytes, signers: Sequence[int] = (0, 1), payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The log entry of a payload: its envelope, signed by these attestors."""
    keys = [bundles.attestor(number) for number in signers]
    return dsse.assemble_envelope(payload_type, body, [(key.keyid, key.sign(body, payload_type)) for key in keys])


def log_of(folder: Path, entries: Sequence[bytes]) -> LogWriter:
    """The log in ``folder`` (its files stand in ``folder/log``), grown by these entries."""
    log = LogWriter(LocalStore(folder), bundles.ORIGIN, bundles.LOG_KEY)
    for data in entries:
        log.append(data)
    return log
