"""``attest schemas``: the JSON Schemas of every document, and the configuration's reference."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import json_option

if TYPE_CHECKING:
    from attest.cli.output import Output


@click.command(
    epilog="""\b
Examples:
  attest schemas                       which schemas there are
  attest schemas statement             print one
  attest schemas --json                print all, as one object by name
  attest schemas --write schemas       write all as files
  attest schemas --check schemas       exit 2 unless those files are current

Exit codes: 0 done, 2 usage, or a file that is not current."""
)
@click.argument("name", required=False)
@click.option("--write", "target", type=click.Path(path_type=Path), metavar="PATH", help="Write to this folder.")
@click.option("--check", "checked", type=click.Path(path_type=Path), metavar="PATH", help="Compare with this folder.")
@click.option(
    "--configuration-reference",
    "reference",
    is_flag=True,
    help="attest.toml's reference (Markdown) instead; PATH is a file.",
)
@json_option
@click.pass_context
def schemas(
    ctx: click.Context, name: str | None, target: Path | None, checked: Path | None, reference: bool, as_json: bool
) -> None:
    """Print or write the JSON Schemas of all documents: statement, proofs, trust file, configuration and the rest."""
    from attest import schemas as generated

    output: Output = ctx.obj
    if (target is not None and checked is not None) or (name is not None and (target or checked or reference)):
        raise click.UsageError("give one of NAME, --write and --check", ctx)
    if name is not None and name not in generated.NAMES:
        raise click.UsageError(f"there is no schema {name!r}; there are {', '.join(generated.NAMES)}", ctx)
    path = target or checked
    if path is not None:
        folder, contents = path, generated.files
        if reference:
            folder, contents = path.parent, lambda: {path.name: generated.configuration_reference()}
        if target is not None:
            generated.write(folder, contents())
            output.line(f"written: {path}")
        else:
            generated.check(folder, contents(), whole_folder=not reference)
            output.line(f"current: {path}")
        if output.json:
            output.result({"path": str(path), "files": sorted(contents())})
    elif reference:
        click.echo(generated.configuration_reference(), nl=False)
    elif name is not None:
        click.echo(generated.render(name), nl=False)
    elif output.json:
        output.result({each: generated.schema(each) for each in generated.NAMES})
    else:
        width = max(map(len, generated.NAMES))
        for each in generated.NAMES:
            about = generated.schema(each)["description"]
            output.line(f"{each.ljust(width)}  {textwrap.shorten(about, 78 - width, placeholder=' ...')}")
