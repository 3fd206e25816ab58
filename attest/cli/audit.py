"""``attest audit-package``, ``attest audit-report`` and ``attest cosign``: what auditors and co-attestors are given."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import click

from attest.cli.common import chosen_period, config_option, json_option, load, period_option, write_new
from attest.cli.output import Output
from attest.errors import OperatorError, printable

if TYPE_CHECKING:
    from attest.audit.cosign import Redecision
    from attest.audit.dossier import Dossier
    from attest.config import Loaded

_WIDTH = 80

_revision_option = click.option(
    "--revision", type=click.IntRange(min=0), help="Which revision of the period. Default: the newest."
)


@click.command(
    "audit-package",
    epilog="""\b
Example:
  attest audit-package --period 2026-W47 --auditor firm --out 2026-W47.gpg
\b
The auditor opens it with
  gpg --output package.zip --decrypt 2026-W47.gpg
  unzip package.zip -d package
and finds the commands in its README.md.

Exit codes: 0 written, 2 unknown auditor or period, or a key that cannot be used, 7 stored artifacts contradict each
other.""",
)
@click.option("--auditor", required=True, metavar="NAME", help="Who it is for: [auditors.NAME] in the configuration.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@period_option
@_revision_option
@config_option
@json_option
@click.pass_obj
def audit_package(
    output: Output, auditor: str, out: Path, period: str | None, revision: int | None, config_path: Path, as_json: bool
) -> int:
    """One encrypted archive of what one auditor may see.

    Leaves, evidence, the quorum's explanation, the control log and the printable report, as far as [auditors.NAME]
    grants them, with a manifest and a README. Encrypted to the auditor's OpenPGP key; nothing is written in clear.
    Before the statement is published, the package is what a co-attestor decides again from.
    """
    from attest.audit import package
    from attest.audit.recipient import encrypt
    from attest.audit.report import Labels

    loaded = load(config_path)
    granted = package.auditor_of(loaded.config, auditor)
    _refuse_existing(out)
    dossier = _dossier(loaded, output, period, revision)
    made = package.contents(dossier, auditor, granted, Labels.of(loaded.config))
    where, now = f"auditors.{auditor}", datetime.now(UTC)
    write_new(out, encrypt(package.archive(made.files), granted, base=loaded.base, where=where, now=now), private=True)
    if output.json:
        output.result(
            {
                "period": dossier.opened.period,
                "revision": dossier.opened.revision,
                "auditor": auditor,
                "file": str(out),
                "files": sorted(made.files),
                "left_out": list(made.left_out),
                "exit_code": 0,
            }
        )
        return 0
    output.line(f"{out}: {len(made.files)} files of {dossier.opened.period} for {auditor}, encrypted to their key.")
    for missing in made.left_out:
        output.line(fill(f"Left out: {printable(missing)}", _WIDTH))
    output.line(f"They open it with:\n  gpg --output package.zip --decrypt {out.name}\n  unzip package.zip -d package")
    return 0


@click.command(
    "audit-report",
    epilog="""\b
Examples:
  attest audit-report --period 2026-W47 --out report.html
  attest audit-report --period 2026-W47 --out report.pdf

Exit codes: 0 written, 2 unknown period, or what makes PDFs is not installed, 7 stored artifacts contradict each
other.""",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write: .html or .pdf."
)
@period_option
@_revision_option
@config_option
@json_option
@click.pass_obj
def audit_report(
    output: Output, out: Path, period: str | None, revision: int | None, config_path: Path, as_json: bool
) -> int:
    """The printable report of one period: tokens outstanding, reserve by category, comparison, method, exceptions.

    Management's statement, not an opinion. It names accounts and custodians: hand it to auditors, publish it nowhere.
    """
    from attest.audit import report

    if out.suffix not in {".html", ".pdf"}:
        raise OperatorError(
            f"--out {out}: ends neither with .html nor with .pdf",
            code="usage",
            reason="The ending says which of both is written.",
            advice="Name the file report.html or report.pdf.",
        )
    loaded = load(config_path)
    _refuse_existing(out)
    page = report.html(_dossier(loaded, output, period, revision), report.Labels.of(loaded.config))
    write_new(out, page if out.suffix == ".html" else report.pdf(page), private=True)
    output.line(f"{out}: private, it names accounts and custodians.")
    if output.json:
        output.result({"file": str(out), "exit_code": 0})
    return 0


@click.command(
    epilog="""\b
Examples:
  attest cosign package --attestor-key keystore:attestor.json \\
    --address 0x… --password env:PASSWORD --rpc http://localhost:8545 \\
    --out signature.json
  attest cosign package --check --rpc http://localhost:8545

Exit codes: 0 everything came out the same (and is signed), 2 usage, or a key that cannot be used, 6 something differs:
nothing is signed."""
)
@click.argument("package", type=click.Path(path_type=Path), metavar="PACKAGE_DIR")
@click.option("--attestor-key", metavar="URI", help="Your own attestor key, as in attest.toml: keystore:PATH, …")
@click.option("--address", metavar="0x…", help="Its address, which the issuer has pinned.")
@click.option("--password", metavar="REF", help="Its password's reference: env:NAME or file:PATH.")
@click.option("--rpc", "urls", multiple=True, metavar="URL", help="Your own node; once for each chain.")
@click.option("--without-chain", is_flag=True, help="Take supply and consensus as they are stated.")
@click.option("--check", is_flag=True, help="Decide again, and sign nothing.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the signature.")
@json_option
@click.pass_obj
def cosign(
    output: Output,
    package: Path,
    attestor_key: str | None,
    address: str | None,
    password: str | None,
    urls: tuple[str, ...],
    without_chain: bool,
    check: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Decide again from an audit package, and sign as a second attestor.

    Reads every document of the opened package again, lets the quorum decide again, and makes leaves, root, totals and
    the statement again; asks your own nodes for blocks, supply and consensus. Signs only what comes out the same.
    The operator adds the signature with `attest run --cosignature FILE`.
    """
    from attest.audit.cosign import redecide, sign
    from attest.keys import checksummed
    from attest.records import to_json
    from attest.secrets import resolve
    from attest.signing.signer import open_digest_signer
    from attest.verify.rpc import open_rpc

    if bool(urls) == without_chain:
        raise click.UsageError(
            "give --rpc URL, a node of your own, or say --without-chain: then supply and consensus are taken as stated",
            click.get_current_context(),
        )
    signs = attestor_key is not None and address is not None and out is not None
    if check == signs or (check and (attestor_key or address or out)):
        raise click.UsageError(
            "give --attestor-key, --address and --out to sign, or --check alone", click.get_current_context()
        )
    if out is not None:
        _refuse_existing(out)
    redecision = redecide(package, [open_rpc(url) for url in urls])
    _tell(output, redecision)
    if attestor_key is not None and address is not None and out is not None:
        signer = open_digest_signer(
            attestor_key,
            address=checksummed("--address", address),
            password=None if password is None else resolve(password, base=Path.cwd()),
            base=Path.cwd(),
        )
        write_new(out, to_json(sign(redecision, signer)), private=True)
        output.line(f"\n{out}: signed by {signer.address}.")
        output.line("Send it to the issuer, who runs")
        output.line(f"  attest run --period {redecision.package.manifest.period} --cosignature {out.name}")
    else:
        output.line("\nNothing was signed.")
    if output.json:
        output.result(_as_json(redecision) | {"file": None if out is None else str(out), "exit_code": 0})
    return 0


def _tell(output: Output, redecision: Redecision) -> None:
    """What was found, what is taken as stated, and what is signed, before it is."""
    from attest.statement import sentence

    for finding in redecision.findings:
        output.line(fill(f"same     {printable(finding)}", _WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False))
    for taken in redecision.taken:
        output.line(fill(f"as stated  {taken}", _WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False))
    predicate = redecision.package.statement.predicate
    output.line(f"\n{printable(predicate.issuer)}, {predicate.period}, revision {predicate.revision}:")
    for token in predicate.tokens:
        text = f"{token.verdict:<12}{printable(sentence(token, predicate.cutoff, witnesses=None))}"
        output.line(fill(text, _WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False))


def _as_json(redecision: Redecision) -> dict[str, object]:
    from attest.records import digest, to_plain

    predicate = redecision.package.statement.predicate
    return {
        "period": predicate.period,
        "revision": predicate.revision,
        "statement": digest(redecision.package.payload),
        "tokens": [to_plain(token) for token in predicate.tokens],
        "same": list(redecision.findings),
        "as_stated": list(redecision.taken),
    }


def _dossier(loaded: Loaded, output: Output, period: str | None, revision: int | None) -> Dossier:
    from attest.audit.dossier import gather
    from attest.cli.narrator import narrator
    from attest.environment import build

    telling = narrator(quiet=output.json)
    click.get_current_context().call_on_close(telling.close)
    return gather(build(loaded, telling, chains={}), chosen_period(period, loaded), revision)


def _refuse_existing(path: Path) -> None:
    """Before anything is made: nothing is overwritten."""
    if path.exists():
        raise OperatorError(
            f"{path}: exists already",
            code="file-exists",
            reason="It is private and a file of its own; nothing is overwritten.",
            advice="Name a new file with --out.",
        )
