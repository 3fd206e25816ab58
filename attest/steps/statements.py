"""What a run says: the content of its statement, from the stored artifacts alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Literal

from attest import __version__, records, statement
from attest.artifacts import Committed, Confirmed, Decided, DisclosureDetail, Disclosures, Opened
from attest.chain.state import ConfirmationReading
from attest.documents import (
    ChainBlocks,
    Disclosure,
    MerkleCommitment,
    Predicate,
    ReportTransaction,
    Reserves,
    ReservesToken,
    TokenStatement,
)
from attest.errors import ConflictError
from attest.model import ReportReceipt, TokenConsensus
from attest.money import currency
from attest.records import digest, to_json
from attest.steps.context import Run
from attest.steps.reserves import reported_deployment, tampered

SOFTWARE = f"reserve-attest {__version__}"
#: The manifest of the bundles that this release makes.
MANIFEST: Literal["attest-manifest/2"] = "attest-manifest/2"


def reserves_file(opened: Opened, committed: Committed) -> bytes:
    """``reserves.json``, the statement's subject."""
    return to_json(
        Reserves(
            format="attest-reserves/1",
            period=opened.period,
            revision=opened.revision,
            merkle=MerkleCommitment(committed.root, len(committed.leaves)),
            tokens=tuple(
                ReservesToken(token.token, token.currency, token.minor_units, token.units, token.accounts)
                for token in committed.tokens
            ),
        )
    )


def _disclosed(run: Run) -> list[tuple[str, str, str, str]]:
    """What the statement commits to: kind, code, subject and detail of each, in the statement's order."""
    if run.area.blank:
        return []  # the statement says why, in public
    decided = run.take("verdict", Decided)
    given_up = {token.token for token in decided.withheld}
    details: list[tuple[str, str, str, str]] = []
    for account in decided.verdict.accounts:
        if account.token in given_up:
            continue
        if account.waiver is not None:
            details.append(("waiver", account.waiver, account.account, account.detail))
        if account.dissent:
            against = "; ".join(f"{s.source}: {s.detail}" for s in account.considered if not s.counted)
            details.append(("dissent", account.code, account.account, against))
        if account.account in decided.acknowledged:
            details.append(("acknowledgement", account.code, account.account, account.detail))
    for token in decided.withheld:
        reasons = "; ".join(f"{a.account}: {a.detail}" for a in decided.verdict.accounts if a.account in token.accounts)
        details.append(("withheld", token.code, token.token, reasons))
    return details


def make_disclosures(run: Run) -> Disclosures:
    """The details with fresh salts, the release that makes them, and its manifest."""
    return Disclosures(
        format="attest-run-disclosures/1",
        made_from=run.area.digests("open", "collection", "verdict", "commitment", "submission", "confirmation"),
        software=SOFTWARE,
        details=tuple(_encoded(*each, salt=run.environment.token_bytes(32)) for each in _disclosed(run)),
        bundle=MANIFEST,
    )


def _encoded(kind: str, code: str, subject: str, detail: str, *, salt: bytes) -> str:
    """One detail's exact bytes, in base64."""
    plain = {"format": "attest-disclosure/1", "kind": kind, "code": code, "subject": subject, "detail": detail}
    return base64.b64encode(records.dump_plain({**plain, "salt": salt.hex()})).decode()


def check_disclosures(run: Run, disclosures: Disclosures) -> None:
    """Nothing but the salts, the release and its manifest is believed of what is stored."""
    stored = [_detail(run, encoded) for encoded in disclosures.details]
    if [(each.kind, each.code, each.subject, each.detail) for each in stored] != _disclosed(run):
        raise tampered(run.area, "disclosures", "they are not those of the verdict")
    if not re.fullmatch(r"reserve-attest [0-9A-Za-z.+]{1,40}", disclosures.software, re.ASCII):
        raise tampered(run.area, "disclosures", "the software is none of this project's releases")


def _detail(run: Run, encoded: str) -> DisclosureDetail:
    return records.from_json(DisclosureDetail, base64.b64decode(encoded), run.area.key("disclosures"), ConflictError)


def predicate(run: Run, disclosures: Disclosures, confirmed: Confirmed) -> Predicate:
    """The statement's predicate: a pure function of the stored artifacts and ``confirmed``."""
    config = run.config
    opened, committed = run.take("open", Opened), run.take("commitment", Committed)
    opening, closing = opened.supply.supply, confirmed.reading.supply
    cutoff = int(opened.cutoff.timestamp())
    confirm_blocks = {block.chain_id: block for block in closing.blocks}
    opened_details = []
    for encoded in disclosures.details:
        detail = _detail(run, encoded)
        opened_details.append(Disclosure(detail.kind, detail.code, digest(base64.b64decode(encoded))))
    return Predicate(
        issuer=config.issuer.name,
        period=opened.period,
        revision=opened.revision,
        attempt=opened.attempt,
        abandoned=opened.abandoned,
        cutoff=opened.cutoff,
        clock=opened.clock,
        supply_at=opened.supply_at,
        chains=tuple(
            ChainBlocks(block.chain_id, block, cutoff - block.timestamp, confirm_blocks[block.chain_id])
            for block in sorted(opening.blocks, key=lambda block: block.chain_id)
        ),
        tokens=token_statements(run, confirmed),
        merkle=MerkleCommitment(committed.root, len(committed.leaves)),
        disclosures=tuple(opened_details),
        configuration=opened.configuration_commitment,
        software=disclosures.software,
        bundle=disclosures.bundle,
        supersedes=opened.supersedes,
    )


def token_statements(run: Run, confirmed: Confirmed) -> tuple[TokenStatement, ...]:
    """Each configured token's answer, by symbol."""
    return tuple(_token(run, symbol, confirmed) for symbol in sorted(run.config.tokens))


def _token(run: Run, symbol: str, confirmed: Confirmed) -> TokenStatement:
    config = run.config
    opened, decided, committed = (
        run.take("open", Opened),
        run.take("verdict", Decided),
        run.take("commitment", Committed),
    )
    withheld = next((token for token in decided.withheld if token.token == symbol), None)
    reserve = next((token for token in committed.tokens if token.token == symbol), None)
    consensus = next((item for item in confirmed.reading.consensus if item.token == symbol), None)
    deployment = reported_deployment(config, symbol)
    prefix = f"report/{run.area.name}/{run.area.attempt}/{symbol}/"
    return statement.token_statement(
        token=symbol,
        currency=config.tokens[symbol].currency,
        exponent=currency(config.tokens[symbol].currency).exponent,
        decimals=deployment.decimals,
        supply=opened.supply.supply,
        confirm_supply=confirmed.reading.supply,
        reserve=reserve,
        consensus=consensus if reserve else None,
        oracle=config.oracle.address,
        verdicts=[] if withheld else [a for a in decided.verdict.accounts if a.token == symbol],
        policies=[] if withheld else [p for p in opened.policies if p.token == symbol],
        reports=[
            ReportTransaction(receipt.chain_id, receipt.sender, receipt.transaction, receipt.block_number)
            for receipt in confirmed.receipts
            if receipt.intent.startswith(prefix)
        ],
        withheld_code=withheld.code if withheld else None,
    )


#: What the chain's answers may add to each token's and each report's text, in bytes: longer numbers.
_TOKEN_SLACK, _REPORT_SLACK = 96, 8


def check_fits(run: Run, intents: Sequence[tuple[str, str]]) -> None:
    """That the signed statement will fit an entry of the log: once the reports (id and sender of each) are sent, it is
    too late for fewer tokens. Raises :class:`ConflictError`."""
    config = run.config
    opened, committed = run.take("open", Opened), run.take("commitment", Committed)
    supply, reporters = opened.supply.supply, dict.fromkeys(sender for _, sender in intents)
    chain_id = config.chains[config.oracle.chain].chain_id
    block = next(block for block in supply.blocks if block.chain_id == chain_id)
    receipts = tuple(
        ReportReceipt(intent, chain_id, sender, 0, f"{number:064x}", block.hash, block.number, 0)
        for number, (intent, sender) in enumerate(intents)
    )
    consensus = tuple(
        TokenConsensus(reserve.token, reserve.units, True, 1, dict.fromkeys(reporters, reserve.units))
        for reserve in committed.tokens
    )
    confirmed = Confirmed("attest-run-confirmation/1", {}, receipts, ConfirmationReading(supply, consensus, proofs=()))
    disclosures = Disclosures(
        "attest-run-disclosures/1",
        {},
        SOFTWARE,
        tuple(_encoded(*each, salt=bytes(32)) for each in _disclosed(run)),
        MANIFEST,
    )
    statement.build(
        predicate(run, disclosures, confirmed),
        reserves_file(opened, committed),
        signatures=len(config.signing.attestors),
        spare=len(config.tokens) * _TOKEN_SLACK + len(receipts) * _REPORT_SLACK,
    )
