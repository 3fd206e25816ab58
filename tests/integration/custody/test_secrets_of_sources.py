"""Secrets of connections: whatever servers answer and wherever sources fail, no secret is said, stored or logged."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.replay import Answer, Recorded, Replay
from tests.support.sftp import HOST_KEY, Server

ROOT = Path(__file__).parents[3]
#: Every secret holds its name, so that what leaks says what it was.
CANARIES = {
    name: f"cANaRY{name}/+7e%{number}"
    for number, name in enumerate(
        ("BEARER", "HEADER", "BASIC", "CLIENT", "KEY", "PASS", "S3", "SFTP", "SAS", "TOKENISSUED", "QUERY"), 1
    )
}
SIGNS = base64.b64encode(b"cANaRYSIGNS-0123456789").decode()
DATABASE = "cANaRYDATABASE"
EVIDENCE = base64.b64encode(b"cANaRYEVIDENCE-0123456789abcdefg").decode()
#: What any of them looks like, written plainly or in base64, at whatever offset it begins there.
LEAKS = re.compile(
    "|".join(
        ["cANaRY", re.escape(SIGNS), re.escape(EVIDENCE)]
        + [base64.b64encode(b"x" * shift + b"cANaRY").decode()[shift + 1 : -4] for shift in range(3)]
    )
)
CONNECTIONS = """
[connections.bearer]
kind = "http"
bearer = "env:BEARER"
headers = { X-Api-Key = "env:HEADER" }
[connections.basic]
kind = "http"
basic_user = "issuer"
basic_password = "env:BASIC"
[connections.oauth]
kind = "http"
token_url = "URL/token"
client_id = "issuer"
client_secret = "env:CLIENT"
[connections.refused]
kind = "http"
token_url = "URL/echo/401"
client_id = "issuer"
client_secret = "env:CLIENT"
[connections.signed]
kind = "http"
api_key = "env:KEY"
api_secret = "env:SIGNS"
passphrase = "env:PASS"
[connections.s3]
kind = "s3"
region = "eu-central-1"
endpoint = "URL"
access_key_id = "env:KEY"
secret_access_key = "env:S3"
[connections.azure]
kind = "azure"
account = "bank"
endpoint = "URL/echo/403"
sas_token = "env:SAS"
[connections.gcs]
kind = "gcs"
endpoint = "URL"
service_account = "env:SIGNS"
[connections.sftp]
kind = "sftp"
user = "issuer"
host_key = "HOSTKEY"
password = "env:SFTP"
[connections.wrong-host-key]
kind = "sftp"
user = "issuer"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
password = "env:SFTP"
[connections.postgresql]
kind = "sql"
url = "env:POSTGRESQL"
[connections.no-database]
kind = "sql"
url = "env:NODATABASE"
"""
_JSON = '{ account = "/a", amount = "/b", currency_is = "USD" }'
_VENUE = 'account = "x", currency = "USD"'
_SQL = '{ query = "SELECT 1", account = "x", amount_column = "a", date_column = "d", currency = "USD" }'
#: format, location, connection, options. ``URL``: a server that answers with all that it was sent, in that status.
SOURCES = {
    **{f"json-{status}": ("json", f"URL/echo/{status}?key=QUERY", "bearer", _JSON) for status in (200, 302, 400, 403)},
    **{f"https-{status}": ("camt053", f"URL/echo/{status}?key=QUERY", "basic", "{}") for status in (200, 401, 500)},
    "oauth": ("json", "URL/echo/401", "oauth", _JSON),
    "oauth-refused": ("json", "URL/echo/200", "refused", _JSON),
    "kraken": ("kraken", "URL/echo/400", "signed", f'{{ asset = "ZUSD", {_VENUE} }}'),
    "prime": ("coinbase-prime", "URL/echo/200", "signed", f'{{ portfolio_id = "p", symbol = "USD", {_VENUE} }}'),
    "fireblocks": ("fireblocks", "URL", "signed", f'{{ vault_account = "0", asset = "USDC", {_VENUE} }}'),
    "nobody": ("json", "http://127.0.0.1:1/?key=QUERY", "bearer", _JSON),
    "s3": ("camt053", "s3://bank/statements/*.xml", "s3", "{}"),
    "azure": ("camt053", "az://bank/statement.xml", "azure", "{}"),
    "gcs": ("camt053", "gs://bank/statement.xml", "gcs", "{}"),
    "sftp": ("camt053", "sftp://127.0.0.1:SFTPPORT/a.xml", "sftp", "{}"),
    "sftp-elsewhere": ("camt053", "sftp://127.0.0.1:SFTPPORT/a.xml", "wrong-host-key", "{}"),
    "postgresql": ("sql", "", "postgresql", _SQL),
    "no-database": ("sql", "", "no-database", _SQL),
}


def echo(request: Recorded) -> Answer:
    """All that the request held, as an answer of the status in its path (``/echo/403/…``)."""
    said = {"headers": dict(request.headers), "body": request.body.decode("latin-1"), "target": request.target}
    match = re.match(r"/echo/([0-9]{3})", request.path)
    return Answer(json.dumps({"error": said}).encode(), int(match[1]) if match else 403, {"Location": request.target})


class Echo(Replay):
    def _choose(self, request: Recorded) -> Answer:
        if request.path == "/token":
            return Answer(json.dumps({"access_token": CANARIES["TOKENISSUED"].replace("%", "")}).encode())
        return echo(request)


@pytest.fixture
def home(tmp_path: Path, configured: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the configuration of all those sources, and the environment with their secrets."""
    (tmp_path / "files").mkdir()
    with Echo({}) as server, Server(tmp_path / "files") as sftp:
        sources = "".join(
            f'[[accounts.main.sources]]\nid = "{name}"\norigin = "{name}"\nformat = "{kind}"\n'
            f'location = "{location}"\nconnection = "{connection}"\noptions = {options}\n'
            + ("snapshot = true\n" if kind in ("kraken", "coinbase-prime") else "")
            for name, (kind, location, connection, options) in SOURCES.items()
        )
        text = configured.replace(
            'public = "file://public"', 'public = "file://public"\nevidence_key = "env:EVIDENCE"'
        ) + (CONNECTIONS + sources)
        for hole, value in (
            ("URL", server.url),
            ("HOSTKEY", HOST_KEY),
            ("SFTPPORT", str(sftp.port)),
            ("key=QUERY", "key=cANaRYQUERY"),
        ):
            text = text.replace(hole, value)
        (tmp_path / "attest.toml").write_text(text)
        secrets = CANARIES | {"SIGNS": SIGNS, "EVIDENCE": EVIDENCE}
        secrets["POSTGRESQL"] = f"postgresql://issuer:{DATABASE}@127.0.0.1:{server.server.server_port}/bank"
        secrets["NODATABASE"] = f"postgresql://issuer:x@{DATABASE}@127.0.0.1:1/bank"
        yield tmp_path, {**os.environ, **secrets}


@pytest.fixture
def configured() -> str:
    tokens = (
        '[tokens.USDW]\ncurrency = "USD"\n'
        'deployments = [{ chain = "local", address = "0x0000000000000000000000000000000000000001", decimals = 6 }]\n'
        "[collection]\ndeadline_seconds = 15\n"
        '[accounts.main]\ntoken = "USDW"\ncustodian = "Bank"\nexternal_account = "x"\ncurrency = "USD"\n'
    )
    return KEYS + tokens


KEYS = """
[issuer]
name = "Wexample"
contact = "x@example.com"
[stores]
private = "file://private"
public = "file://public"
[chains.local]
chain_id = 31337
endpoints = ["http://127.0.0.1:1"]
request_timeout_seconds = 1
[oracle]
chain = "local"
address = "0x00000000000000000000000000000000000000a1"
[registry]
chain = "local"
address = "0x00000000000000000000000000000000000000a2"
[signing]
reporters = [{ uri = "keystore:a.json", address = "0x00000000000000000000000000000000000000b1" }]
publisher = { uri = "keystore:b.json", address = "0x00000000000000000000000000000000000000b2" }
attestors = [{ uri = "keystore:c.json", address = "0x00000000000000000000000000000000000000b3" }]
log = { uri = "keystore:d.pem", vkey = "x" }
[log]
origin = "example.com/reserves"
"""


def attest(home: tuple[Path, dict[str, str]], *words: str) -> tuple[int, str]:
    """(exit code, all output) of the command, with every library's logs at their loudest."""
    folder, environment = home
    code = "import logging; logging.basicConfig(level=1); from attest.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def stored(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "attest.toml":
            yield path, path.read_bytes().decode("latin-1")


def test_doctor__every_connection_fails_at_a_server_that_repeats_what_it_was_sent__shows_no_secret(home: Any) -> None:
    code, said = attest(home, "--debug", "doctor", "--json")
    assert code == 2
    assert LEAKS.findall(said) == []
    for name in SOURCES:
        assert f"source main/{name}" in said
    assert [path for path, text in stored(home[0]) if LEAKS.search(text)] == []


def test_fetch_and_snapshot__answers_that_repeat_what_was_sent__are_neither_shown_nor_kept(home: Any) -> None:
    for words in (("fetch", "main/json-200", "--save", "saved"), ("snapshot",)):
        code, said = attest(home, "custody", *words)
        assert code == 3
        assert LEAKS.findall(said) == []
    assert [path for path, text in stored(home[0]) if LEAKS.search(text)] == []
