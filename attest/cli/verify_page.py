"""``attest verify-page``: the verifier page of this release, for browsers. It needs the core install only."""

from __future__ import annotations

from pathlib import Path

import click

from attest.cli.common import json_option, write_new
from attest.cli.output import Output


@click.command(
    "verify-page",
    epilog="""\b
Examples:
  attest verify-page
  attest verify-page --out verify.html && sha256sum verify.html

Exit codes: 0 done, 2 the file is there already or cannot be written.""",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write. Default: none.")
@json_option
@click.pass_obj
def verify_page(output: Output, out: Path | None, as_json: bool) -> int:
    """Write the page that verifies in a browser, and print its SHA-256.

    The same digest stands in docs/verify-page.sha256 of the signed release: a page with another one is not this
    release's.
    """
    from attest.publish.site.verifier_page import verifier_page
    from attest.records import digest

    page = verifier_page()
    if out is not None:
        write_new(out, page)
    sha256 = digest(page)
    if output.json:
        output.result({"file": None if out is None else str(out), "sha256": sha256, "exit_code": 0})
    else:
        output.line(f"{sha256}  {out or 'verify.html'}")
    return 0
