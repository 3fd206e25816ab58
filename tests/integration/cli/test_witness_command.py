"""``attest log witness`` as another party runs it: a process of its own, ended by a signal, its memory kept."""

from __future__ import annotations

import shutil
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from attest.config import load
from attest.errors import EXIT_DONE, EXIT_USAGE
from tests.support.commands import attest, read_document, running
from tests.support.practice import Week


def words(week: Week, state: Path, listen: str = "127.0.0.1:0") -> tuple[object, ...]:
    config = load(week.config_path).config
    return (
        *("log", "witness", "--name", "witness.example/one", "--key", week.folder / "keys/witness.pem"),
        *("--password", f"file:{week.folder}/keys/password.txt", "--log", config.signing.log.vkey),
        *("--state", state, "--listen", listen),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_witness__run_posts_to_it_then_it_is_signalled__cosigns_and_ends_well(
    operator: Week, tmp_path: Path, number: signal.Signals
) -> None:
    state = tmp_path / "state.json"
    with running(*words(operator, state), "--json") as process:
        started = read_document(process)
        assert started["vkey"] == load(operator.config_path).config.log.witnesses[0].vkey
        (operator.folder / "witness.url").write_text(started["url"])
        said = attest("run", "--config", operator.config_path)
        assert said.code == EXIT_DONE, said.err
        assert "1 of 1 witnesses cosigned" in said.err
        process.send_signal(number)
        assert process.wait(20) == EXIT_DONE
        assert process.stderr is not None
        assert process.stderr.read() == ""
    kept = state.read_bytes()
    assert b"issuer.example/reserves" in kept
    with running(*words(operator, state), "--json") as process:  # it can be started again, with what it knew
        assert read_document(process)["vkey"] == started["vkey"]
    assert state.read_bytes() == kept


def test_witness__for_people__shows_what_the_logs_operator_configures(operator: Week, tmp_path: Path) -> None:
    with running(*words(operator, tmp_path / "state.json")) as process:
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if "Ctrl-C" in line:
                break
        url = next(line.split('"')[1] for line in shown.splitlines() if line.startswith("url = "))
        request = urllib.request.Request(f"{url}/add-checkpoint", b"nonsense")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == EXIT_DONE
    assert load(operator.config_path).config.log.witnesses[0].vkey in shown


def test_witness__same_state_twice__is_refused(operator: Week, tmp_path: Path) -> None:
    with running(*words(operator, tmp_path / "state.json"), "--json") as process:
        read_document(process)
        said = attest(*words(operator, tmp_path / "state.json"), "--json")
    assert said.code == EXIT_USAGE
    assert "state.json" in said.document["error"]


def test_witness__port_taken__is_refused(operator: Week, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        said = attest(*words(operator, tmp_path / "state.json", listen), "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "witness-address")
    assert listen in said.document["error"]


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_witness__host_that_no_name_can_be__is_refused(operator: Week, tmp_path: Path, host: str) -> None:
    said = attest(*words(operator, tmp_path / "state.json", f"{host}:0"), "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "witness-address")
    assert f"cannot listen on {host}:0 (not the name of a host)" in said.document["error"]


@pytest.mark.parametrize("listen", ["8780", "127.0.0.1:", ":8780", "127.0.0.1:http", "127.0.0.1:65536"])
def test_witness__address_that_is_none__is_usage(operator: Week, tmp_path: Path, listen: str) -> None:
    said = attest(*words(operator, tmp_path / "state.json", listen), "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "usage")


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--key", "{folder}/nowhere.pem", "nowhere.pem"),
        ("--key", "{folder}/keys/publisher.json", "publisher.json"),
        ("--password", "hunter2", "literal secret"),
        ("--password", "env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE"),
        ("--log", "not a vkey", "--log"),
        ("--state", "{folder}/nowhere/state.json", "nowhere/state.json"),
    ],
)
def test_witness__option_that_cannot_work__is_refused_naming_it(
    operator: Week, tmp_path: Path, option: str, value: str, named: str
) -> None:
    changed = [*words(operator, tmp_path / "state.json")]
    changed[changed.index(option) + 1] = value.format(folder=operator.folder)
    said = attest(*changed, "--json")
    assert said.code == EXIT_USAGE, said.everything
    assert named in said.document["error"]
    assert said.document["advice"]
    assert "hunter2" not in said.everything


def test_witness__state_of_something_else__is_refused(operator: Week, tmp_path: Path) -> None:
    shutil.copy(operator.config_path, tmp_path / "state.json")
    said = attest(*words(operator, tmp_path / "state.json"), "--json")
    assert said.code == EXIT_USAGE
    assert "state.json" in said.document["error"]
