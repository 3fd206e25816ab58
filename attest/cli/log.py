"""``attest log``: the transparency log from outside. These commands need the core install only."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import textwrap
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.common import json_option, judged_at
from attest.cli.output import Output
from attest.errors import EXIT_DONE, OperatorError, printable

if TYPE_CHECKING:
    from attest.verify.trust import Trust
    from attest.verify.watch import Look, Watch


@click.group("log")
def group() -> None:
    """The transparency log from outside: watch it, or cosign its checkpoints as a witness."""


# -- a witness -------------------------------------------------------------------------------------------------------


def _checked_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    from attest.log.note import check_name

    try:
        check_name(name)
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None
    return name


@group.command(
    "witness-key",
    epilog="""\b
Example:
  attest log witness-key --name witness.example/one --out witness.pem \\
    --password env:WITNESS_PASSWORD

Exit codes: 0 written, 2 the file exists, or the password is missing or empty.""",
)
@click.option("--name", required=True, callback=_checked_name, help="Its name: a URL without scheme, for example.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The key's file; never overwritten.")
@click.option("--password", required=True, metavar="REF", help="Its password's reference: env:NAME or file:PATH.")
@json_option
@click.pass_obj
def witness_key(output: Output, name: str, out: Path, password: str, as_json: bool) -> int:
    """Make a witness's key (Ed25519, encrypted PKCS#8), and print its verifier key."""
    from attest.log.note import COSIGNATURE_V1, verifier_key
    from attest.secrets import resolve
    from attest.signing.ed25519 import generate_note_key

    signer = generate_note_key(out, resolve(password, base=Path.cwd()).reveal().encode())
    vkey = verifier_key(name, COSIGNATURE_V1, signer).vkey
    if output.json:
        output.result({"key": str(out), "vkey": vkey})
    output.line(f"Written: {out}. Its verifier key, for logs and for auditors' trust files:\n\n{vkey}")
    return EXIT_DONE


@group.command(
    epilog="""\b
Example:
  attest log witness --name witness.example/one --key witness.pem \\
    --password env:WITNESS_PASSWORD --state witness.json \\
    --log issuer.example/reserves+7d6e1f3c+ARV... --listen 127.0.0.1:8780

Exit codes: 0 ended by Ctrl-C or SIGTERM, 2 key, state or address cannot be used.""",
)
@click.option("--name", required=True, callback=_checked_name, help="This witness's name, as in its vkey.")
@click.option(
    "--key", "key_path", required=True, type=click.Path(path_type=Path), help="Ed25519 key, encrypted PKCS#8."
)
@click.option("--password", required=True, metavar="REF", help="Its password's reference: env:NAME or file:PATH.")
@click.option("--log", "logs", required=True, multiple=True, metavar="VKEY", help="A log to watch. Repeatable.")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="What this witness remembers.")
@click.option("--listen", default="127.0.0.1:8780", show_default=True, metavar="HOST:PORT", help="Also [::1]:8780.")
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
    from attest.log.note import parse_vkey
    from attest.log.witness import Witness, WitnessServer
    from attest.secrets import resolve
    from attest.signing.ed25519 import load_note_signer

    signer = load_note_signer(key_path, resolve(password, base=Path.cwd()).reveal().encode())
    keys = [parse_vkey(vkey, "--log", OperatorError) for vkey in logs]
    host, _, port = listen.rpartition(":")
    if not host or (":" in host) != (host[0] == "[" and host[-1] == "]") or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError("--listen takes HOST:PORT, with an IPv6 host in brackets", click.get_current_context())
    cosigner = Witness(name, signer, keys, state, lambda: int(time.time()))
    try:
        server = WitnessServer(cosigner, (host.strip("[]"), int(port)))
    except OperatorError:
        cosigner.close()
        raise
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    if output.json:
        output.result({"vkey": cosigner.key.vkey, "url": server.url})
    output.line("For the log's operator, in attest.toml:\n\n[[log.witnesses]]")
    output.line(f'url = "{server.url}"\nvkey = "{cosigner.key.vkey}"\n')
    output.line("Listening; Ctrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        cosigner.close()
    return EXIT_DONE


# -- a watch ---------------------------------------------------------------------------------------------------------


@group.command(
    epilog="""\b
Examples:
  attest log watch https://reserves.issuer.example/log --trust trust.json
  attest log watch https://reserves.issuer.example/log --trust trust.json \\
    --mirror https://mirror.auditor.example/log \\
    --witness https://witness.example --every 3600
  attest log watch log --trust trust.json --acknowledge missing:2026-W31

Exit codes: 0 nothing to act on, 6 an alert stands, 2 a place did not answer (and nothing else was found), or usage.
With --every: those of the last look."""
)
@click.argument("place", metavar="URL|FOLDER")
@click.option("--trust", "trust_path", type=click.Path(path_type=Path), required=True, help="Your own trust file.")
@click.option(
    "--state", "state_path", type=click.Path(path_type=Path), help="What this watch remembers. Default: one per log."
)
@click.option("--mirror", "mirrors", multiple=True, metavar="URL|FOLDER", help="A copy of the log. Repeatable.")
@click.option(
    "--witness", "witnesses", multiple=True, metavar="URL", help="A witness's monitoring address. Repeatable."
)
@click.option(
    "--max-age",
    type=click.IntRange(1, 100 * 366 * 86_400),
    metavar="SECONDS",
    help="The newest cutoff's age. Default: maximum_age_seconds of the trust file.",
)
@click.option(
    "--grace-hours",
    type=click.IntRange(0, 10 * 366 * 24),
    default=54,
    show_default=True,
    help="Hours after a week's end (UTC) until it counts as missing.",
)
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-11-23T08:00:00Z). Default: now.")
@click.option("--acknowledge", multiple=True, metavar="ID", help="An alert that is known and shall no longer count.")
@click.option("--once", is_flag=True, help="Look once and end (the default).")
@click.option("--every", type=click.IntRange(1, 366 * 86_400), metavar="SECONDS", help="Go on looking, until Ctrl-C.")
@json_option
@click.pass_obj
def watch(
    output: Output,
    place: str,
    trust_path: Path,
    state_path: Path | None,
    mirrors: tuple[str, ...],
    witnesses: tuple[str, ...],
    max_age: int | None,
    grace_hours: int,
    at: str | None,
    acknowledge: tuple[str, ...],
    once: bool,
    every: int | None,
    as_json: bool,
) -> int:
    """Alert when the log was rewritten or forked, shrank, is overdue, or misses a week.

    URL|FOLDER is the log's own: it holds `checkpoint` and `tile/`. The newest head is remembered, and never replaced by
    one that does not extend it. Heads that contradict each other are kept as files beside the state.
    """
    from attest.log.reader import LogReader
    from attest.log.state import StateFile
    from attest.static import files_below
    from attest.verify.trust import load_trust
    from attest.verify.watch import Expectations, Place, Watch, witness_place

    if every is not None and (once or at is not None):
        raise click.UsageError("--every goes with neither --once nor --at", click.get_current_context())
    trust = load_trust(trust_path, Path(place))
    log = LogReader(files_below(place), trust.log.key, place)
    others = [
        *(Place(mirror, files_below(mirror)) for mirror in mirrors),
        *(witness_place(url, files_below(url), trust.log.origin) for url in witnesses),
    ]
    limit = max_age if max_age is not None else trust.maximum_age_seconds
    expected = Expectations(timedelta(hours=grace_hours), limit)
    state = StateFile(state_path or _default_state(trust), "watch")
    try:
        watching = Watch(log, others, trust, state, expected)
        if every is None:
            look = watching.look(judged_at(at), acknowledge)
            _print_look(output, look)
            return look.exit_code
        return _go_on(output, watching, every, acknowledge)
    finally:
        state.close()


def _default_state(trust: Trust) -> Path:
    """``$XDG_STATE_HOME/attest/watch-<log>.json``, or the same below ``~/.local/state`` (XDG Base Directory
    Specification); the folder is made."""
    configured = Path(os.environ.get("XDG_STATE_HOME", ""))
    folder = (configured if configured.is_absolute() else Path.home() / ".local/state") / "attest"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"watch-{hashlib.sha256(trust.log.vkey.encode()).hexdigest()[:16]}.json"


def _go_on(output: Output, watching: Watch, every: int, acknowledge: Sequence[str]) -> int:
    """Look again and again; says what is new, and what is over. Returns the last look's exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    last: Look | None = None
    try:
        while True:
            before, last = last, watching.look(judged_at(None), acknowledge if last is None else ())
            if output.json:
                click.echo(json.dumps(last.as_json()))
            elif before is None:
                _print_look(output, last)
            else:
                _print_changes(last, before.unreachable)
            time.sleep(every)
    except KeyboardInterrupt:
        return EXIT_DONE if last is None else last.exit_code


def _print_look(output: Output, look: Look) -> None:
    if output.json:
        output.result(look.as_json())
        return
    _print_head(look)
    _print_alerts(look, known=True)
    for detail in look.unreachable:
        _paragraph("no answer", detail)
    if look.exit_code == EXIT_DONE:
        click.echo("Nothing to act on.")


def _print_changes(look: Look, unreachable: Sequence[str]) -> None:
    """What this look found that the one before had not."""
    changed = any(alert.new for alert in look.alerts) or look.recovered or {*look.unreachable} != {*unreachable}
    if not changed:
        return
    _print_head(look)
    _print_alerts(look, known=False)
    for name in look.recovered:
        _paragraph("over", name)
    for detail in look.unreachable:
        if detail not in unreachable:
            _paragraph("no answer", detail)
    if unreachable and not look.unreachable:
        _paragraph("answers", "every place answers again")


def _print_head(look: Look) -> None:
    from attest.statement import moment

    size = "cannot be read" if look.size is None else f"{look.size} entries"
    newest = (
        "" if look.newest_cutoff is None else f", newest {look.newest_period} (cutoff {moment(look.newest_cutoff)})"
    )
    _paragraph(moment(look.at), f"{look.origin}: {size}{newest}")


def _print_alerts(look: Look, *, known: bool) -> None:
    """Alerts, and what one has to know; ``known``: also the alerts that the last look found already."""
    for alert in look.alerts:
        if alert.counts and (known or alert.new):
            _paragraph(f"ALERT {alert.kind}", alert.detail)
            click.echo(f"  id: {printable(alert.id)}")
            _paragraph("  What to do", alert.advice)
            for name in alert.evidence:
                click.echo(f"  Evidence: {printable(name)}")
        elif alert.new:
            _paragraph(f"note {alert.kind}", alert.detail)
    acknowledged = [alert.id for alert in look.alerts if alert.acknowledged]
    if acknowledged and known:
        _paragraph("acknowledged", ", ".join(acknowledged))


def _paragraph(label: str, text: str) -> None:
    lines = textwrap.wrap(printable(f"{label}: {text}"), 80, subsequent_indent="  ", break_on_hyphens=False)
    click.echo("\n".join(lines))
