"""Canaries in the place of every secret, and a search of all that any command says and stores (attacks.md 23)."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from eth_account import Account

from attest.audit.dossier import gather
from attest.audit.package import contents
from attest.audit.report import Labels
from attest.cli.main import cli
from attest.config import Auditor, load
from attest.devnet import PERIOD
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SOURCE, EXIT_USAGE
from tests.support.commands import Said, attest, attest_process, read_document, running, web_server
from tests.support.practice import Week

#: Every command again; other tests cover them.
pytestmark = pytest.mark.no_cover

PASSWORD = "canary-password-7f3a"
RPC_PASSWORD = "canary-rpc-91bd"
RPC_TOKEN = "canary-token-22ce"
WITNESS_PASSWORD = "canary-witness-5d18"
BEARER = "canary-bearer-c40b"
EVIDENCE_KEY = b"canary-evidence-key-of-32-bytes!"
#: The first reporter of the example keys, and the publisher.
REPORTER, PUBLISHER = "0xeBA4E7d24cF64262961e9B829DA299479A748e26", "0x05f7a2d3B649cca94f8ec294856e8f7c54f1b824"


@dataclass
class Guarded:
    """A week whose every secret is a canary, referred to by the environment."""

    week: Week
    environment: dict[str, str]
    canaries: tuple[bytes, ...]

    def attest(self, *words: object, environment: Mapping[str, str] | None = None) -> Said:
        configured = (*words, "--config", self.week.config_path)
        return attest(*configured, environment={**self.environment, **(environment or {})})

    def check(self, *texts: str | bytes) -> None:
        """No canary, in no spelling, is in these, nor in the stores."""
        said = [text.encode() if isinstance(text, str) else text for text in texts]
        stored = [*self.week.stored().values(), *self.week.stored("public").values()]
        names = [*self.week.stored(), *self.week.stored("public")]
        for text in (*said, *stored, *(name.encode() for name in names)):
            for canary in self.canaries:
                assert canary not in text, f"{canary!r} in {text[:2000]!r}"


def spellings(secret: str) -> list[bytes]:
    encoded = base64.b64encode(f"user:{secret}".encode())
    return [secret.encode(), quote(secret).encode(), secret.encode().hex().encode(), encoded]


@pytest.fixture
def guarded(operator: Week, caplog: pytest.LogCaptureFixture) -> Iterator[Guarded]:
    keys = operator.folder / "keys"
    before = (keys / "password.txt").read_text().removesuffix("\n")
    canaries = [
        spelling
        for secret in (PASSWORD, RPC_PASSWORD, RPC_TOKEN, WITNESS_PASSWORD, BEARER)
        for spelling in spellings(secret)
    ]
    canaries += [EVIDENCE_KEY, EVIDENCE_KEY.hex().encode(), base64.b64encode(EVIDENCE_KEY)]
    for path in keys.glob("*.json"):
        private = bytes(Account.decrypt(path.read_text(), before))
        canaries += [private, private.hex().encode(), str(int.from_bytes(private, "big")).encode()]
        path.write_text(json.dumps(Account.encrypt(private, PASSWORD, kdf="scrypt", iterations=8192)))
    log = keys / "log.pem"
    note = load_pem_private_key(log.read_bytes(), before.encode())
    seed = note.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    canaries += [seed, seed.hex().encode(), base64.b64encode(seed)]
    log.write_bytes(note.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())))
    (keys / "password.txt").unlink()
    operator.edit_config(
        lambda text: (
            text.replace('"file:keys/password.txt"', '"env:CANARY_PASSWORD"')
            .replace('"file:rpc.url"', '"env:CANARY_RPC"')
            .replace('"file:witness.url"', '"env:CANARY_WITNESS"')
            .replace("witness_quorum = 1", "witness_quorum = 1\nwitness_deadline_seconds = 1")
            .replace("[stores]", '[stores]\nevidence_key = "env:CANARY_EVIDENCE"')
        )
    )
    witness = (operator.folder / "witness.url").read_text().strip()
    environment = {
        "CANARY_PASSWORD": PASSWORD,
        "CANARY_RPC": with_secrets(operator.url),
        "CANARY_WITNESS": witness.replace("://", f"://user:{WITNESS_PASSWORD}@"),
        "CANARY_EVIDENCE": base64.b64encode(EVIDENCE_KEY).decode(),
        "CANARY_BEARER": BEARER,
    }
    caplog.set_level(logging.INFO)
    week = Guarded(operator, environment, tuple(canaries))
    yield week
    week.check(*(record.getMessage() for record in caplog.get_records("call")))


def with_secrets(url: str) -> str:
    return url.replace("://", f"://user:{RPC_PASSWORD}@") + f"/?apikey={RPC_TOKEN}"


WITH_PASSWORD = ("--password", "env:CANARY_PASSWORD")
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("doctor",),
    ("keys", "list"),
    ("keys", "test"),
    ("keys", "test", "nobody"),
    ("keys", "test", "keystore:keys/publisher.json"),
    ("keys", "new", "keystore:keys/made.json", *WITH_PASSWORD),
    ("keys", "new", "keystore:keys/made.json", *WITH_PASSWORD),
    ("keys", "address", "keystore:keys/log.pem", "--ed25519", *WITH_PASSWORD),
    ("keys", "address", "keystore:keys/log.pem", *WITH_PASSWORD),
    (
        *("keys", "rotate", "reporter", REPORTER, "--new", "keystore:keys/made.json"),
        *("--new-password", "env:CANARY_PASSWORD", "--admin", "keystore:keys/publisher.json"),
        *("--admin-address", PUBLISHER, "--admin-password", "env:CANARY_PASSWORD", "--yes"),
    ),
    ("oracle", "remove-stale"),
    ("custody", "fetch", "usd-operating/bank-statement"),
    ("custody", "fetch", "usd-operating/none"),
    ("custody", "snapshot"),
    ("custody", "evidence", "0" * 64),
    ("monitor", "--once"),
    ("tasks", "list"),
    ("tasks", "done", "weekly-report"),
    ("run", "--dry-run"),
    ("open",),
    ("status",),
    ("report",),
    ("run",),
    ("run",),
    ("status",),
    ("quorum", "explain"),
    ("prove", "usd-operating"),
    ("prove", "no-such"),
    ("abandon", "--reason", "too late"),
    ("audit-package", "--auditor", "nobody", "--out", "package.gpg"),
    ("revise", "--period", str(PERIOD), "--reason", "a statement was corrected"),
    ("revoke", "--period", str(PERIOD), "--reason", "the correction was wrong"),
    ("withhold", "--period", str(PERIOD), "--reason", "it is published already"),
)


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_secrets__every_command_of_a_good_week__says_and_stores_none(guarded: Guarded, more: tuple[str, ...]) -> None:
    for words in COMMANDS:
        said = guarded.attest(*words, *more)
        guarded.check(said.out, said.err)
    assert "runs/2026-W47/1/publication" in guarded.week.stored()


def test_secrets__audit_package_of_an_eventful_week__holds_none(guarded: Guarded, tmp_path: Path) -> None:
    """Every file of it in clear: refusals and failures, the control log, the configuration, the report."""
    path = guarded.week.statement_file("thames-severn-main.camt053.xml")
    kept = path.read_text()
    path.write_text(f"no XML {BEARER[:6]}")
    assert guarded.attest("run").code == EXIT_SOURCE
    path.write_text(kept)
    guarded.attest("abandon", "--reason", "a statement was corrected")
    assert guarded.attest("run").code == EXIT_DONE
    for name in ("report.html", "report.pdf"):
        said = guarded.attest("audit-report", "--out", tmp_path / name)
        assert said.code == EXIT_DONE
        guarded.check(said.out, said.err, (tmp_path / name).read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in guarded.environment.items():
            patch.setenv(name, value)
        environment = guarded.week.environment()
        dossier = gather(environment, PERIOD, 0)
        everything = Auditor(openpgp="unused.asc", fingerprint="0" * 40)
        files = contents(dossier, "firm", everything, Labels.of(environment.config)).files
    assert b"abandoned" in files["control-log.json"]
    assert len([name for name in files if name.startswith("evidence/")]) == 10
    guarded.check(*files.values())


@pytest.mark.parametrize(
    "words", [("run",), ("run", "--json"), ("status", "--json"), ("doctor", "--json")], ids=" ".join
)
@pytest.mark.parametrize("trouble", ["refused", "error", "echo"])
def test_secrets__endpoint_that_fails__is_named_without_them(
    guarded: Guarded, words: tuple[str, ...], trouble: str
) -> None:
    echoed = f'"no such path: /?apikey={RPC_TOKEN}, user {RPC_PASSWORD}"'
    body = f'{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":{echoed}}}}}'.encode()
    status = 401 if trouble == "error" else 200
    with web_server(status, body, "application/json") as url:
        place = "http://127.0.0.1:9" if trouble == "refused" else url
        said = guarded.attest(*words, environment={"CANARY_RPC": with_secrets(place)})
    assert said.code == (EXIT_USAGE if words[0] == "doctor" else EXIT_CHAIN)
    assert place in said.everything
    guarded.check(said.out, said.err)


def test_secrets__wrong_password__names_the_file_and_neither_password(guarded: Guarded) -> None:
    for words, code in ((("run",), EXIT_USAGE), (("doctor",), EXIT_USAGE)):
        said = guarded.attest(*words, environment={"CANARY_PASSWORD": f"{RPC_TOKEN}-wrong"})
        assert said.code == code
        assert "keys/reporter-" in said.everything
        guarded.check(said.out, said.err)


def test_secrets__witness_that_does_not_answer__is_named_without_them(guarded: Guarded) -> None:
    away = {"CANARY_WITNESS": f"http://user:{WITNESS_PASSWORD}@127.0.0.1:9"}
    for words, code in ((("doctor",), EXIT_USAGE), (("run",), EXIT_CHAIN)):
        said = guarded.attest(*words, environment=away)
        assert said.code == code, said.everything
        assert "witness" in said.everything
        guarded.check(said.out, said.err)


NO_URLS = (
    f"ftp://user:{RPC_PASSWORD}@x/{RPC_TOKEN}",
    f"{RPC_TOKEN}",
    f"http://[{RPC_TOKEN}",
    f"http://x:{RPC_TOKEN}/",
)


@pytest.mark.parametrize("value", NO_URLS)
@pytest.mark.parametrize("name", ["CANARY_RPC", "CANARY_WITNESS"])
def test_secrets__url_that_is_none__is_refused_without_repeating_it(guarded: Guarded, name: str, value: str) -> None:
    for words in (("doctor",), ("run",)):
        if words == ("run",) and name == "CANARY_WITNESS" and value != NO_URLS[-1]:
            continue  # it goes as far as its eighth step: once is enough
        said = guarded.attest(*words, environment={name: value})
        assert said.code in {EXIT_USAGE, EXIT_CHAIN}, said.everything
        guarded.check(said.out, said.err)


def test_secrets__unset_variable__is_named(guarded: Guarded) -> None:
    said = guarded.attest("run", "--json", environment={"CANARY_RPC": ""})
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "secret-unavailable")
    assert "CANARY_RPC" in said.document["error"]


def test_secrets__devnet_at_an_endpoint_with_credentials__shows_none(tmp_path: Path) -> None:
    said = attest_process("devnet", "--directory", tmp_path / "net", "--rpc", with_secrets("http://127.0.0.1:9"))
    assert said.code == EXIT_CHAIN
    assert "http://127.0.0.1:9: " in said.err
    assert RPC_PASSWORD not in said.everything
    assert RPC_TOKEN not in said.everything


def test_secrets__witness_command__shows_no_password(guarded: Guarded, tmp_path: Path) -> None:
    vkey = load(guarded.week.config_path).config.signing.log.vkey
    said = attest(
        *("log", "witness", "--name", "w", "--key", guarded.week.folder / "keys/witness.pem"),
        *("--password", "env:CANARY_PASSWORD", "--log", vkey, "--state", tmp_path / "state.json"),
        environment=guarded.environment,  # the witness's key has another password
    )
    assert said.code == EXIT_USAGE
    assert "keys/witness.pem" in said.err
    guarded.check(said.out, said.err)
    literal = attest(
        *("log", "witness", "--name", "w", "--key", guarded.week.folder / "keys/witness.pem"),
        *("--password", PASSWORD, "--log", vkey, "--state", tmp_path / "state.json"),
    )
    assert literal.code == EXIT_USAGE
    guarded.check(literal.out, literal.err)


# -- tracebacks, the process list, and the process itself -------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("run",), ("keys", "test", "nobody"), ("keys", "address", "keystore:keys/log.pem", "--password", "env:WRONG")],
    ids=" ".join,
)
def test_secrets__traceback_of_a_failure__shows_none(guarded: Guarded, words: tuple[str, ...]) -> None:
    environment = {
        **guarded.environment,
        "CANARY_RPC": with_secrets("http://127.0.0.1:9"),
        "WRONG": f"{RPC_TOKEN}-wrong",
    }
    said = attest_process("--debug", *words, "--config", guarded.week.config_path, environment=environment)
    assert "Traceback" in said.err
    guarded.check(said.out, said.err)


def test_secrets__key_that_is_brought_in__is_nowhere_but_in_its_file_encrypted(guarded: Guarded) -> None:
    key = "7b" * 32
    words = ("keys", "import", "keystore:keys/brought.json", *WITH_PASSWORD, "--config", guarded.week.config_path)
    for more in ((), ("--json",)):
        said = attest_process(*words, *more, environment=guarded.environment, stdin=key)
        guarded.check(said.out, said.err)
        assert key not in said.everything
    assert key not in (guarded.week.folder / "keys/brought.json").read_text()
    said = attest_process("--debug", *words, environment=guarded.environment, stdin=f"{key}z")
    assert "Traceback" in said.err
    assert key not in said.everything


def test_secrets__server_that_is_away__is_named_without_its_bearer_token(guarded: Guarded) -> None:
    connection = """
[connections.portal]
kind = "http"
bearer = "env:CANARY_BEARER"

[[accounts.usd-operating.sources]]
id = "portal"
origin = "portal"
format = "camt053"
location = "https://127.0.0.1:9/statement.xml"
connection = "portal"
corroborates = true
"""
    guarded.week.edit_config(lambda text: text + connection)
    for words in (("doctor",), ("doctor", "--json")):
        said = guarded.attest(*words)
        assert "usd-operating/portal" in said.everything
        guarded.check(said.out, said.err)


def test_secrets__running_command__is_shut_to_other_processes_and_has_none_in_its_arguments(
    guarded: Guarded, tmp_path: Path
) -> None:
    vkey = load(guarded.week.config_path).config.signing.log.vkey
    words = ("log", "witness", "--name", "w.example", "--key", guarded.week.folder / "keys/log.pem", *WITH_PASSWORD)
    more = ("--log", vkey, "--state", tmp_path / "state.json", "--listen", "127.0.0.1:0", "--json")
    with running(*words, *more, environment=guarded.environment) as process:
        read_document(process)
        place = Path(f"/proc/{process.pid}")
        guarded.check((place / "cmdline").read_bytes())
        limit = next(line for line in (place / "limits").read_text().splitlines() if "core file" in line)
        assert limit.split()[4] == "0"


SHUT = """
import ctypes, resource, sys
from attest.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0], file=sys.stderr)
"""


@pytest.mark.parametrize("words", [("keys", "list"), ("status",), ("run", "--dry-run"), ("oracle", "remove-stale")])
def test_secrets__command_that_may_open_some__leaves_no_core_and_takes_no_debugger(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-c", SHUT, *words, "--config", str(tmp_path / "none.toml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr.splitlines()[-1] == "0 0"  # PR_GET_DUMPABLE, RLIMIT_CORE


#: Commands that know no secret of a configuration, or make a network whose keys guard nothing. `audit-report`,
#: `keys import` and `log witness` have tests of their own above; `cosign`, `log witness-key` and `sizing bridge` have
#: theirs elsewhere.
ELSEWHERE = {
    *("custody challenge", "custody formats", "custody prove", "custody read", "devnet", "init", "schemas"),
    *("verify", "verify-proof", "verify-page", "alerts", "keys import", "log watch", "log witness", "log witness-key"),
    *("audit-report", "cosign"),
    *("sizing bridge", "sizing cantilever", "sizing parity", "sizing stabilization"),
}
GROUPS = {"custody", "keys", "log", "oracle", "quorum", "sizing", "tasks"}


def test_secrets__every_command_there_is__is_searched() -> None:
    searched = {" ".join(words[: 2 if words[0] in GROUPS else 1]) for words in COMMANDS}
    known: set[str] = set()
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            known |= {f"{name} {each}" for each in command.list_commands(context)}
        else:
            known.add(name)
    assert known == searched | ELSEWHERE
