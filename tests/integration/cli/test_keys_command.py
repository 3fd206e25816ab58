"""``attest keys``: from a new key to one that is pinned, opened and tested."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from attest.errors import EXIT_DONE, EXIT_USAGE
from tests.support.commands import Said, attest, attest_process
from tests.support.practice import Week

PASSWORD = {"NEW_PASSWORD": "canary-new-key"}
FIRST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FIRST_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

IMPORT = ("keys", "import", "keystore:k.json", "--password", "env:NEW_PASSWORD")


def at(week: Week, *words: object, **environment: str) -> Said:
    return attest(*words, "--config", week.config_path, environment=environment)


def test_keys_new__keystore__prints_lines_that_pin_it_and_a_run_can_use(operator: Week) -> None:
    said = at(operator, "keys", "new", "keystore:keys/new.json", "--password", "env:NEW_PASSWORD", "--json", **PASSWORD)
    assert said.code == EXIT_DONE
    lines = tomllib.loads(said.document["toml"])
    assert lines == {
        "uri": "keystore:keys/new.json",
        "address": said.document["address"],
        "password": "env:NEW_PASSWORD",
    }
    operator.edit_config(lambda text: f"{text}\n[[signing.attestors]]\n{said.document['toml']}")
    tested = at(operator, "keys", "test", "attestor-2", "--json", **PASSWORD)
    assert [(key["job"], key["ok"]) for key in tested.document["keys"]] == [("attestor-2", True)]
    again = at(operator, "keys", "new", "keystore:keys/new.json", "--password", "env:NEW_PASSWORD", **PASSWORD)
    assert again.code == EXIT_USAGE
    assert "already exists" in again.err


def test_keys_new__log_key__is_named_as_the_configured_log(operator: Week) -> None:
    words = ("keystore:keys/new.pem", "--ed25519", "--password", "env:NEW_PASSWORD")
    said = at(operator, "keys", "new", *words, **PASSWORD)
    assert said.code == EXIT_DONE
    assert "\nvkey          issuer.example/reserves+" in f"\n{said.out}"
    shown = at(operator, "keys", "address", *words, "--name", "witness.example/two", "--json", **PASSWORD).document
    assert shown["witness_vkey"].startswith("witness.example/two+")
    assert "created" not in shown
    opened = at(operator, "keys", "test", "keystore:keys/new.pem", *words[1:], **PASSWORD)
    assert opened.code == EXIT_DONE


def test_keys_new__kept_elsewhere__prints_the_command_and_makes_nothing(tmp_path: Path) -> None:
    words = ("keys", "new", "azurekv:vault/reporter", "--config", tmp_path / "attest.toml")
    said = attest(*words)
    assert said.code == EXIT_DONE
    assert "az keyvault key create" in said.out
    assert "\nattest keys address azurekv:vault/reporter\n" in said.out
    document = attest(*words, "--json").document
    assert (document["created"], len(document["commands"])) == (False, 2)


def test_keys_import__from_standard_input__without_a_trace_in_arguments_or_output(tmp_path: Path) -> None:
    words = (
        "keys",
        "import",
        "keystore:k.json",
        "--password",
        "env:NEW_PASSWORD",
        "--config",
        tmp_path / "attest.toml",
    )
    said = attest_process(*words, environment=PASSWORD, stdin=f"{FIRST_KEY}\n")
    assert said.code == EXIT_DONE, said.err
    assert f"address       {FIRST}" in said.out
    assert FIRST_KEY not in said.everything
    assert FIRST_KEY not in (tmp_path / "k.json").read_text()
    refused = attest_process(*words, "--json", environment=PASSWORD, stdin="no key at all")
    assert (refused.code, refused.document["code"]) == (EXIT_USAGE, "keystore")


def test_keys_import__from_a_terminal__asks_without_echo(tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    words = (
        "keys",
        "import",
        "keystore:k.json",
        "--password",
        "env:NEW_PASSWORD",
        "--config",
        tmp_path / "attest.toml",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "attest.cli.main", *map(str, words)],
        env={**os.environ, **PASSWORD},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b": " not in shown:
        shown += os.read(keyboard, 1024)
    os.write(keyboard, f"{FIRST_KEY}\n".encode())
    while True:
        try:
            shown += os.read(keyboard, 1024)
        except OSError:  # Linux says so at a terminal's end
            break
    os.close(keyboard)
    assert process.wait(timeout=60) == EXIT_DONE, shown
    assert FIRST.encode() in shown
    assert FIRST_KEY.encode() not in shown


def test_keys_list__all_of_them__opens_none(operator: Week) -> None:
    shutil.rmtree(operator.folder / "keys")
    said = at(operator, "keys", "list")
    assert said.code == EXIT_DONE
    jobs = [line.split()[0] for line in said.out.splitlines()[2:]]
    assert jobs == ["reporter-1", "reporter-2", "reporter-3", "publisher", "attestor-1", "log"]
    plain = at(operator, "keys", "list", "--json").document["keys"]
    assert plain[0]["address"] in said.out
    assert plain[-1]["vkey"].startswith("issuer.example/reserves+")


def test_keys_test__all_keys__sign_and_lead_back_to_their_pins(operator: Week) -> None:
    said = at(operator, "keys", "test")
    assert said.code == EXIT_DONE, said.everything
    assert said.out.count("ok      ") == 6
    assert "All 6 sign." in said.out
    document = at(operator, "keys", "test", "log", "publisher", "--json").document
    assert [key["job"] for key in document["keys"]] == ["publisher", "log"]


def test_keys_test__other_key_than_the_pinned_one__fails_alone_with_advice(operator: Week) -> None:
    keys = operator.folder / "keys"
    (keys / "reporter-2.json").write_bytes((keys / "reporter-3.json").read_bytes())
    said = at(operator, "keys", "test")
    assert said.code == EXIT_USAGE
    assert "ERROR   reporter-2: 0x" in said.out
    assert "        next: " in said.out
    assert said.out.count("ok      ") == 5
    assert "1 of 6 cannot sign." in said.out
    document = json.loads(at(operator, "keys", "test", "reporter", "--json").out)
    assert [key["ok"] for key in document["keys"]] == [True, False, True]
    assert (document["keys"][1]["code"], document["exit_code"]) == ("signer-mismatch", EXIT_USAGE)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("keys", "test", "nobody"), "no-such-key"),
        (("keys", "address", "paper:drawer"), "unknown-signer"),
        (("keys", "address", "web3signer:http://127.0.0.1:9"), "signer-kind"),
        (("keys", "address", "keystore:none.json"), "keystore"),
        (("keys", "new", "keystore:k.json", "--password", "hunter2"), "secret-unavailable"),
    ],
)
def test_keys__what_cannot_be_done__is_refused_in_words(operator: Week, words: tuple[str, ...], code: str) -> None:
    said = at(operator, *words, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, code)
    assert "hunter2" not in said.everything
