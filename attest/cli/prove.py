"""``attest prove``: hand one account's inclusion proof to its holder or an auditor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option, write_new
from attest.cli.output import Output
from attest.errors import OperatorError


@click.command(
    epilog="""\b
Example:
  attest prove usd-operating --period 2026-W47 --out usd-operating.proof.json
  attest verify-proof usd-operating.proof.json --statement BUNDLE_DIR \\
    --trust trust.json"""
)
@click.argument("account")
@config_option
@period_option
@click.option("--revision", type=int, metavar="N", help="Of that revision (0: the first). Default: the newest.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write. Default: stdout.")
@json_option
@click.pass_obj
def prove(
    output: Output,
    account: str,
    config_path: Path,
    period: str | None,
    revision: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Write one account's inclusion proof: its leaf (custodian, balance, salt) and the audit path to the signed root.

    The proof opens this one account to whoever holds the file, and no other.
    """
    from attest.period import revision_name
    from attest.runs import RunArea
    from attest.steps.publication import proof_key
    from attest.store import open_store

    loaded = load(config_path)
    week = chosen_period(period, loaded)
    private = open_store(loaded.config.stores.private, base=loaded.base)
    area = RunArea.published(private, week) if revision is None else RunArea.of(private, week, revision)
    number = 0 if area is None else area.revision
    name = revision_name(week, number)
    present = [key.rsplit("/", 1)[1].removesuffix(".json") for key in private.list(f"proofs/{name}")]
    data = private.get(proof_key(str(week), number, account)) if account in present else None
    if data is None:
        raise _missing(account, name, present, None if area is None else area.blank)
    if out is not None:
        write_new(out, data, private=True)
    if output.json:
        output.result(
            {
                "account": account,
                "period": str(week),
                "revision": number,
                "file": None if out is None else str(out),
                "proof": None if out is not None else data.decode(),
                "exit_code": 0,
            }
        )
    elif out is None:
        sys.stdout.write(data.decode())
    else:
        output.line(f"{out}: the proof of {account} in {name}. It shows this account's balance to whoever has it.")
        output.line(f"Next: attest verify-proof {out} --statement BUNDLE_DIR --trust trust.json")
    return 0


def _missing(account: str, period: str, present: list[str], blank: str | None) -> OperatorError:
    if blank is not None:
        return OperatorError(
            f"period {period} states no reserve: it is {blank}",
            code="unknown-account",
            reason="Only attested accounts have a proof.",
            advice="Name another period, or with --revision an earlier revision of this one.",
        )
    if not present:
        return OperatorError(
            f"period {period}: nothing is attested",
            code="unknown-period",
            reason="Proofs exist for published attestations only.",
            advice=f"Run `attest run --period {period[:8]}` first, or name another period.",
        )
    return OperatorError(
        f"account {account!r} is not in the attestation of {period}",
        code="unknown-account",
        reason="Only attested accounts have a proof.",
        advice=f"The accounts of {period} are: {', '.join(present)}.",
    )
