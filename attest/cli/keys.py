"""``attest keys``: make, enrol, test and rotate the keys that sign."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from attest.cli.common import config_option, json_option
from attest.cli.output import Output
from attest.cli.text import table
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_USAGE, printable

if TYPE_CHECKING:
    from attest.keys import Identity, Tried
    from attest.oracle import Rotation
    from attest.secrets import Secret

_password_option = click.option(
    "--password", metavar="REF", help="Its password's or PIN's reference: env:NAME or file:PATH."
)
_ed25519_option = click.option("--ed25519", is_flag=True, help="A log's or a witness's key.")
_name_option = click.option(
    "--name", metavar="NAME", help="The log's or witness's name, with --ed25519. Default: log.origin."
)


@click.group("keys")
def group() -> None:
    """Make, enrol, test and rotate the keys that sign.

    A key is a URI: keystore:PATH, awskms:KEY, azurekv:VAULT/KEY, gcpkms:RESOURCE, pkcs11:URI or web3signer:URL. Paths
    are relative to the configuration.
    """


@group.command(
    epilog="""\b
Examples:
  attest keys new keystore:keys/reporter-4.json --password env:REPORTER_PW
  attest keys new keystore:keys/log.pem --ed25519 --password env:LOG_PW
  attest keys new "awskms:alias/attest-publisher?region=eu-central-1"
  attest keys new azurekv:my-vault/attest-attestor     prints the command"""
)
@click.argument("uri")
@_password_option
@_ed25519_option
@_name_option
@config_option
@json_option
@click.pass_obj
def new(
    output: Output,
    uri: str,
    password: str | None,
    ed25519: bool,
    name: str | None,
    config_path: Path,
    as_json: bool,
) -> int:
    """Make a key, and print the lines that pin it in attest.toml.

    An encrypted file (nothing is overwritten), or a key of AWS KMS under a new alias. For keys kept elsewhere, the
    command of their keeper's own tool is printed: whoever makes the key there decides who may use it.
    """
    from attest import keys

    base = _base(config_path)
    origin = _named(name, config_path) if ed25519 else ""
    created = keys.create(uri, ed25519=ed25519, password=_secret(password, base), base=base)
    if created.identity is not None:
        return _enrolled(output, created.identity, password, origin, created=True)
    if output.json:
        output.result({"created": False, "uri": uri, "commands": created.commands, "exit_code": EXIT_DONE})
        return EXIT_DONE
    output.line("Nothing was made: this key is made with its keeper's own tool.\n")
    for line in created.commands:
        output.line(printable(line))
    return EXIT_DONE


@group.command(
    "import",
    epilog="""\b
Examples:
  attest keys import keystore:keys/reporter-4.json --password env:REPORTER_PW
  attest keys import keystore:k.json --password file:pw < key.hex""",
)
@click.argument("uri")
@_password_option
@_ed25519_option
@_name_option
@click.option("--account-path", metavar="PATH", help="A mnemonic's account. Default: m/44'/60'/0'/0/0.")
@config_option
@json_option
@click.pass_obj
def import_(
    output: Output,
    uri: str,
    password: str | None,
    ed25519: bool,
    name: str | None,
    account_path: str | None,
    config_path: Path,
    as_json: bool,
) -> int:
    """Bring a raw private key (hexadecimal) or a mnemonic into an encrypted file.

    It is read from standard input, or asked for without echo; never from the command line. A key that was ever in the
    clear is better rotated than kept.
    """
    from attest import keys

    base = _base(config_path)
    origin = _named(name, config_path) if ed25519 else ""
    secret = _secret(password, base)
    found = keys.bring_in(
        uri,
        _read_key(),
        ed25519=ed25519,
        password=secret,
        base=base,
        account_path=account_path or keys.FIRST_ACCOUNT,
    )
    return _enrolled(output, found, password, origin, created=True)


@group.command(
    "list",
    epilog="""\b
Examples:
  attest keys list
  attest keys list --json | jq -r '.keys[] | [.job, .address] | @tsv'""",
)
@config_option
@json_option
@click.pass_obj
def list_(output: Output, config_path: Path, as_json: bool) -> int:
    """Every key of attest.toml: its job, its pinned address or vkey, its URI. None is opened."""
    from attest import config, keys

    found = keys.configured(config.load(config_path))
    if output.json:
        plain = [
            {"job": key.job, "uri": key.uri, "vkey" if key.kind == "notes" else "address": key.pinned} for key in found
        ]
        output.result({"keys": plain, "exit_code": EXIT_DONE})
        return EXIT_DONE
    output.line(table(("Job", "Pinned", "URI"), [(key.job, key.shown, key.uri) for key in found]))
    return EXIT_DONE


@group.command(
    epilog="""\b
Examples:
  attest keys address keystore:keys/reporter-4.json --password env:REPORTER_PW
  attest keys address "awskms:alias/attest-publisher?region=eu-central-1"
  attest keys address keystore:keys/log.pem --ed25519 --password env:LOG_PW"""
)
@click.argument("uri")
@_password_option
@_ed25519_option
@_name_option
@config_option
@json_option
@click.pass_obj
def address(
    output: Output,
    uri: str,
    password: str | None,
    ed25519: bool,
    name: str | None,
    config_path: Path,
    as_json: bool,
) -> int:
    """Open a key, and print its address (or vkey) with the lines that pin it in attest.toml."""
    from attest import keys

    base = _base(config_path)
    origin = _named(name, config_path) if ed25519 else ""
    found = keys.identity(uri, ed25519=ed25519, password=_secret(password, base), base=base)
    return _enrolled(output, found, password, origin, created=False)


@group.command(
    epilog="""\b
Examples:
  attest keys test
  attest keys test reporter log
  attest keys test "pkcs11:token=attest;object=reporter?module-path=/usr/lib/\\
softhsm/libsofthsm2.so" --password env:PIN"""
)
@click.argument("keys", nargs=-1, metavar="[JOB|URI]...")
@_password_option
@_ed25519_option
@config_option
@json_option
@click.pass_obj
def test(
    output: Output,
    keys: tuple[str, ...],
    password: str | None,
    ed25519: bool,
    config_path: Path,
    as_json: bool,
) -> int:
    """Sign once with each key, and check that the signature leads back to the pinned key.

    What is signed means nothing anywhere: random bytes, or a transaction that no chain takes. One line per key; exits 2
    if any fails. --password and --ed25519 are for URIs; jobs are tested as configured.
    """
    from attest import config
    from attest import keys as tools

    uris = [word for word in keys if ":" in word]
    jobs = tuple(word for word in keys if ":" not in word)
    base = _base(config_path)
    found: list[Tried] = []
    if jobs or not uris:
        loaded = config.load(config_path)
        for tried in tools.try_configured(loaded, tools.chosen(loaded, jobs)):
            _show_tried(output, tried)
            found.append(tried)
    for uri in uris:
        found.append(tools.try_uri(uri, ed25519=ed25519, password=_secret(password, base), base=base))
        _show_tried(output, found[-1])
    failed = sum(tried.fault is not None for tried in found)
    exit_code = EXIT_USAGE if failed else EXIT_DONE
    if output.json:
        output.result({"keys": [_tried_as_json(tried) for tried in found], "exit_code": exit_code})
    else:
        output.line(f"\n{failed} of {len(found)} cannot sign." if failed else f"\nAll {len(found)} sign.")
    return exit_code


@group.command(
    epilog="""\b
Examples:
  attest keys rotate reporter 0xeBA4E7d24cF64262961e9B829DA299479A748e26 \\
    --new keystore:keys/reporter-4.json --new-password env:REPORTER_PW \\
    --admin keystore:admin.json --admin-password env:ADMIN_PW \\
    --admin-address 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --dry-run"""
)
@click.argument("job", type=click.Choice(["reporter"]))
@click.argument("old", metavar="OLD_ADDRESS")
@click.option("--new", "new_uri", required=True, metavar="URI", help="The new key (see `attest keys new`).")
@click.option("--new-address", metavar="ADDRESS", help="Its address; needed for web3signer.")
@click.option("--new-password", metavar="REF", help="Its password's reference: env:NAME or file:PATH.")
@click.option("--admin", "admin_uri", required=True, metavar="URI", help="The key of the oracle's admin.")
@click.option("--admin-address", required=True, metavar="ADDRESS", help="The admin's address.")
@click.option("--admin-password", metavar="REF", help="The admin key's password's reference.")
@click.option("--compromised", is_flag=True, help="Revoke the old key first, then grant and switch.")
@click.option("--yes", is_flag=True, help="Do not ask before a transaction is sent.")
@click.option("--dry-run", is_flag=True, help="Simulate and show every step; nothing is sent.")
@config_option
@json_option
@click.pass_obj
def rotate(
    output: Output,
    job: str,
    old: str,
    new_uri: str,
    new_address: str | None,
    new_password: str | None,
    admin_uri: str,
    admin_address: str,
    admin_password: str | None,
    compromised: bool,
    yes: bool,
    dry_run: bool,
    config_path: Path,
    as_json: bool,
) -> int:
    """Replace a reporter's key: grant the role to the new key, switch attest.toml, revoke the old key's role.

    Each transaction is simulated and shown before it is sent, by the oracle's admin. Stop anywhere and run the same
    command again: it goes on where it was, and sends nothing twice.
    """
    from attest import config, keys
    from attest.environment import connect_chains
    from attest.oracle import Rotation, Upkeep
    from attest.signing.transaction import TransactionSigner, open_transaction_signer
    from attest.store import open_store

    if output.json and not (yes or dry_run):
        raise click.UsageError("--json cannot ask: add --yes or --dry-run", click.get_current_context())
    loaded = config.load(config_path)
    before = keys.checksummed("OLD_ADDRESS", old)
    admin = keys.checksummed("--admin-address", admin_address)
    named = None if new_address is None else keys.checksummed("--new-address", new_address)
    secret = _secret(new_password, loaded.base)
    after = keys.replacement(loaded, before, new_uri, address=named, password=secret)

    def signer(address: str) -> TransactionSigner:
        opened = _secret(admin_password, loaded.base)
        return open_transaction_signer(admin_uri, address=address, password=opened, base=loaded.base)

    client = connect_chains(loaded)[loaded.config.oracle.chain]
    private = open_store(loaded.config.stores.private, base=loaded.base, secret=True)
    walk = _Walk(
        output,
        Rotation(Upkeep(loaded, client, private, signer), before, after, admin),
        config_path,
        "[[signing.reporters]]\n" + keys.pin_lines(new_uri, after, new_password),
        asks=not yes,
        dry_run=dry_run,
    )
    return walk.go(("revoke", "grant", "switch") if compromised else ("grant", "switch", "revoke"))


@dataclass
class _Walk:
    """A rotation as a person is led through it."""

    output: Output
    rotation: Rotation
    config_path: Path
    lines: str
    asks: bool
    dry_run: bool

    def __post_init__(self) -> None:
        self._steps: list[dict[str, Any]] = []
        self._exit_code = EXIT_DONE

    def go(self, order: Sequence[Literal["grant", "switch", "revoke"]]) -> int:
        for number, step in enumerate(order, 1):
            self.output.line(f"{number} {step}")
            finished = self._switch() if step == "switch" else self._change(step)
            if not (finished or self.dry_run):
                return self._end(f"{step}: then run the same command again", complete=False)
        if self.dry_run:
            return self._end("nothing was sent; run it without --dry-run", complete=False)
        return self._end("attest keys test reporter, then attest report", complete=True)

    def _change(self, step: Literal["grant", "revoke"]) -> bool:
        """Whether the role is as it should be at the end."""
        from attest.cli.oracle import as_plain, show

        proposal = self.rotation.propose(step)
        if proposal is None:
            self._steps.append({"step": step, "state": "done"})
            self.output.line("  is done already\n")
            return True
        show(self.output, proposal)
        losing = self.rotation.losing_quorum() if step == "revoke" else ()
        if losing:
            self.output.line(
                f"  warning: without the old key's reports {', '.join(losing)} has no quorum, until the others (and "
                "the new key) report: attest report\n"
            )
        plain = {"step": step, "state": "simulated", "loses_quorum": list(losing), **as_plain(proposal)}
        self._steps.append(plain)
        if self.dry_run:
            self._exit_code = EXIT_CHAIN if proposal.simulation.outcome == "would-revert" else self._exit_code
            return False
        if self.asks and proposal.simulation.outcome == "would-land" and not click.confirm("Send it?", err=True):
            return False
        (receipt,) = self.rotation.upkeep.send([proposal.intent])
        plain |= {"state": "done", "transaction": f"0x{receipt.transaction}"}
        self.output.line(f"  landed in 0x{receipt.transaction}\n")
        return True

    def _switch(self) -> bool:
        done = self._is_switched()
        if not done:
            self.output.line("  Between two runs (finish an open one first), replace in attest.toml the table of")
            self.output.line(f"  {self.rotation.old} by:\n\n{self.lines}")
            if self.asks and not self.dry_run:
                done = click.confirm("Is it replaced?", err=True) and self._is_switched()
        else:
            self.output.line("  is done already\n")
        self._steps.append({"step": "switch", "state": "done" if done else "open", "toml": self.lines})
        return done

    def _is_switched(self) -> bool:
        from attest import config

        reporters = {key.address for key in config.load(self.config_path).config.signing.reporters}
        return self.rotation.new in reporters and self.rotation.old not in reporters

    def _end(self, following: str, *, complete: bool) -> int:
        needs_gas = self.rotation.needs_gas()
        if needs_gas:
            self.output.line(f"warning: the new key has no gas yet: send some to {self.rotation.new}")
        if self.output.json:
            known = {"old": self.rotation.old, "new": self.rotation.new, "needs_gas": needs_gas, "steps": self._steps}
            self.output.result({**known, "complete": complete, "next": following, "exit_code": self._exit_code})
        else:
            self.output.line(f"{'Done. ' if complete else ''}Next: {following}")
        return self._exit_code


# -- what commands share ---------------------------------------------------------------------------------------------


def _base(config_path: Path) -> Path:
    return config_path.resolve().parent


def _secret(reference: str | None, base: Path) -> Secret | None:
    from attest.secrets import resolve

    return None if reference is None else resolve(reference, base=base)


def _named(name: str | None, config_path: Path) -> str:
    """The log's name: what was given, or the configuration's."""
    from attest import config

    return config.load(config_path).config.log.origin if name is None else name


def _read_key() -> bytearray:
    """The key from standard input, into memory that can be overwritten; from a terminal it is typed without echo, and
    Python's text of it cannot be."""
    from attest.keys import LONGEST_INPUT

    if sys.stdin.isatty():
        return bytearray(click.prompt("Private key or mnemonic", hide_input=True, err=True).encode())
    buffer = bytearray(LONGEST_INPUT)
    filled = 0
    with memoryview(buffer) as view:
        while filled < LONGEST_INPUT and (count := os.readv(sys.stdin.fileno(), [view[filled:]])):
            filled += count
    del buffer[filled:]
    return buffer


def _enrolled(output: Output, found: Identity, password: str | None, origin: str, *, created: bool) -> int:
    from attest import keys

    lines = keys.lines_for(found, password, origin)
    plain: dict[str, Any] = {"uri": found.uri}
    if found.address is not None:
        plain["address"] = found.address
    else:
        plain["vkey"], plain["witness_vkey"] = found.vkeys(origin)
    if output.json:
        output.result({**({"created": True} if created else {}), **plain, "toml": lines, "exit_code": EXIT_DONE})
        return EXIT_DONE
    for name, value in plain.items():
        output.line(f"{name.replace('_', ' '):<13} {printable(value)}")
    output.line(f"\nTo pin it, in attest.toml:\n\n{lines}")
    return EXIT_DONE


def _show_tried(output: Output, tried: Tried) -> None:
    who = f"{tried.job or tried.uri}: {tried.identity}" if tried.identity else tried.uri
    if tried.fault is None:
        times = f"opened in {tried.opening:.2f} s, signed and checked in {tried.signing:.2f} s"
        output.line(f"ok      {printable(who)}: {times}")
        return
    output.line(f"ERROR   {printable(who)}: {printable(tried.fault.message)}")
    if tried.fault.advice:
        output.line(f"        next: {printable(tried.fault.advice)}")


def _tried_as_json(tried: Tried) -> dict[str, Any]:
    plain: dict[str, Any] = {"job": tried.job or None, "uri": tried.uri, "key": tried.identity or None}
    if tried.fault is not None:
        return plain | {"ok": False} | tried.fault.as_json()
    times = {"opening_ms": round(tried.opening * 1000), "signing_ms": round(tried.signing * 1000)}
    return plain | {"ok": True} | times
