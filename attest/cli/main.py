"""The command line: finds the command, runs it, and turns every failure into three lines and an exit code.

Commands are imported when they are called, so that ``attest --help`` and ``attest verify`` stay light and work from the
core install.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from attest import __version__
from attest.cli.output import Output
from attest.errors import EXIT_UNEXPECTED, EXIT_USAGE, AttestError, OperatorError, unexpected

#: command -> (module, attribute, one line of help), in the order of a week's work.
COMMANDS = {
    "init": ("attest.cli.init", "init", "Scaffold attest.toml and keys for a network."),
    "doctor": ("attest.cli.doctor", "doctor", "Check everything that could stop a run."),
    "run": ("attest.cli.run", "run", "The weekly run: from custodians' files to a published attestation."),
    "open": ("attest.cli.run", "open_", "Only fix the period and its supply, at the cutoff."),
    "report": ("attest.cli.run", "report", "Only report the reserves on chain (steps 1 to 6)."),
    "abandon": ("attest.cli.run", "abandon", "Give up an attempt before anything was reported."),
    "revise": ("attest.cli.run", "revise", "Replace a published attestation by a new revision."),
    "revoke": ("attest.cli.run", "revoke", "Withdraw a published attestation."),
    "withhold": ("attest.cli.run", "withhold_", "State that a period was missed."),
    "status": ("attest.cli.status", "status", "What the chain and the store say now."),
    "monitor": ("attest.cli.monitor", "monitor", "The daily watch: metrics for Prometheus, or one check."),
    "custody": ("attest.cli.custody", "group", "Read custodians' files."),
    "quorum": ("attest.cli.quorum", "group", "Why the sources' word was accepted, held or refused."),
    "sizing": ("attest.cli.sizing", "group", "How large reserves and stabilisation trades must be."),
    "alerts": ("attest.cli.alerts", "alerts", "What each alert means, and the Prometheus rules."),
    "tasks": ("attest.cli.tasks", "group", "The runbook's daily, weekly and monthly tasks: what is late."),
    "keys": ("attest.cli.keys", "group", "Make, enrol, test and rotate keys."),
    "oracle": ("attest.cli.oracle", "group", "Look after the reserve oracle between runs."),
    "prove": ("attest.cli.prove", "prove", "Write one account's inclusion proof."),
    "verify": ("attest.cli.verify", "verify", "Verify an attestation, trusting only your trust file."),
    "verify-proof": ("attest.cli.verify", "verify_proof", "Verify one account's inclusion proof."),
    "verify-page": ("attest.cli.verify_page", "verify_page", "Write the page that verifies in a browser."),
    "audit-package": ("attest.cli.audit", "audit_package", "One encrypted archive of what one auditor may see."),
    "audit-report": ("attest.cli.audit", "audit_report", "The printable report of one period, HTML or PDF."),
    "cosign": ("attest.cli.audit", "cosign", "Decide again from an audit package, and sign as a second attestor."),
    "log": ("attest.cli.log", "group", "The transparency log from outside: watch or witness it."),
    "devnet": ("attest.cli.devnet", "devnet", "A local chain with the reference contracts, ready to try."),
    "schemas": ("attest.cli.schemas", "schemas", "Print or write the JSON Schemas."),
}

#: Commands that open no secret; all others begin by shutting their memory to other processes.
_WITHOUT_SECRETS = {"verify", "verify-proof", "verify-page", "schemas", "alerts"}

#: What a command imports that the core install lacks, and the extra that brings it.
_EXTRAS = {
    "apprise": "notify",
    "asn1crypto": "signatures",
    "boto3": "run",
    "botocore": "run",
    "eth_abi": "run",
    "eth_account": "run",
    "eth_hash": "run",
    "eth_keys": "run",
    "eth_utils": "run",
    "httpcore2": "run",
    "httpx2": "run",
    "iso4217": "run",
    "jinja2": "run",
    "obstore": "run",
    "paramiko": "sftp",
    "psycopg": "sql",
    "pydantic": "run",
    "pymerkle": "run",
    "pysequoia": "signatures",
    "rfc3161_client": "timestamp",
    "rich": "run",
    "rlp": "run",
    "sqlalchemy": "sql",
    "stamina": "run",
    "urllib3": "run",
}

#: Commands whose extra for a library is another: they need the database, and nothing else of the sources.
_EXTRAS_OF = {"monitor": {"sqlalchemy": "monitor"}, "sizing": {"sqlalchemy": "monitor"}}

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="attest")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Prove that the money that backs a token is really there.

    \b
    The operator, weekly:   attest doctor && attest run
    An auditor, anywhere:   attest verify BUNDLE --trust trust.json
    To try it out:          attest devnet

    Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 source refused or quorum not met, 4 reserve shortfall,
    5 chain: not submitted or consensus differs, 6 verification failed, 7 artifacts conflict.

    \b
    Shell completion, in your shell's start-up file:
      bash  eval "$(_ATTEST_COMPLETE=bash_source attest)"
      zsh   eval "$(_ATTEST_COMPLETE=zsh_source attest)"
      fish  _ATTEST_COMPLETE=fish_source attest | source
    """
    if ctx.invoked_subcommand not in _WITHOUT_SECRETS:
        from attest.secrets import shut_memory

        shut_memory()


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``attest`` command."""
    words = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, TextIOWrapper):
        # What the terminal's encoding lacks is escaped, as Python does on stderr: nothing fails at its last line.
        sys.stdout.reconfigure(errors="backslashreplace")
    output = Output(json="--json" in words)
    try:
        code = cli.main(args=words, prog_name="attest", standalone_mode=False, obj=output)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        output.stopped()
        sys.exit(EXIT_UNEXPECTED)
    except click.ClickException as fault:
        output.usage(fault)
        sys.exit(EXIT_USAGE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_UNEXPECTED)
    except Exception as fault:
        if "--debug" in words:
            raise
        error = _as_attest_error(fault, next((word for word in words if not word.startswith("-")), ""))
        output.error(error)
        sys.exit(error.exit_code)


def _as_attest_error(fault: Any, command: str) -> AttestError:
    if isinstance(fault, AttestError):
        return fault
    extras = _EXTRAS | _EXTRAS_OF.get(command, {})
    if isinstance(fault, ModuleNotFoundError) and (extra := extras.get((fault.name or "").split(".")[0])):
        return OperatorError(
            f"this command needs {fault.name}, which the core install leaves out",
            code="extra-missing",
            reason="The core is the auditor's: small, and enough to verify.",
            advice=f"pip install 'reserve-attest[{extra}]'",
        )
    if isinstance(fault, OSError) and (fault.filename is not None or fault.errno in _NO_ROOM):
        return OperatorError(
            f"{'a file' if fault.filename is None else fault.filename}: {fault.strerror}",
            code="file-unusable",
            reason="This command has to read or write it.",
            advice="Check that it exists, that this user may read and write it, and that its disk has space.",
        )
    return unexpected(
        fault,
        reason="This is a fault of attest itself; what was stored stays valid, and a run can be started again.",
        advice="Run the same command with `attest --debug ...` and send the traceback to the maintainers.",
    )


if __name__ == "__main__":
    main()
