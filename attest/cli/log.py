"""``attest log``: the transparency log from outside."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click

from attest.cli.common import json_option
from attest.cli.output import Output


@click.group("log")
def group() -> None:
    """The transparency log: cosign checkpoints as a witness."""


@group.command(
    epilog="""\b
Example:
  attest log witness --name witness.example/one --key witness.pem \\
    --password env:WITNESS_PASSWORD --state witness.json \\
    --log issuer.example/reserves+7d6e1f3c+ARV... --listen 127.0.0.1:8780"""
)
@click.option("--name", required=True, help="This witness's name, as in its vkey.")
@click.option(
    "--key", "key_path", required=True, type=click.Path(path_type=Path), help="Ed25519 key, encrypted PKCS#8."
)
@click.option("--password", required=True, metavar="REF", help="Its password's reference: env:NAME or file:PATH.")
@click.option("--log", "logs", required=True, multiple=True, metavar="VKEY", help="A log to watch. Repeatable.")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="What this witness remembers.")
@click.option("--listen", default="127.0.0.1:8780", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@json_option
@click.pass_obj
def witness(
    output: Output,
    name: str,
    key_path: Path,
    password: str,
    logs: tuple[str, ...],
    state: Path,
    listen: str,
    as_json: bool,
) -> int:
    """Cosign checkpoints that extend what this witness saw before (C2SP tlog-witness).

    Run by somebody else than the issuer: a witness of one's own proves nothing.
    """
    from attest.errors import OperatorError
    from attest.log.note import parse_vkey
    from attest.log.witness import Witness, WitnessServer
    from attest.secrets import resolve
    from attest.signing.ed25519 import load_note_signer

    signer = load_note_signer(key_path, resolve(password, base=Path.cwd()).reveal().encode())
    keys = [parse_vkey(vkey, "--log", OperatorError) for vkey in logs]
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError("--listen takes HOST:PORT", click.get_current_context())
    cosigner = Witness(name, signer, keys, state, lambda: int(time.time()))
    server = WitnessServer(cosigner, (host, int(port)))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    if output.json:
        output.result({"vkey": cosigner.key.vkey, "url": server.url.removesuffix("/add-checkpoint")})
    output.line("For the log's operator, in attest.toml:\n\n[[log.witnesses]]")
    output.line(f'url = "{server.url.removesuffix("/add-checkpoint")}"\nvkey = "{cosigner.key.vkey}"\n')
    output.line("Listening; Ctrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
        cosigner.close()
    return 0
