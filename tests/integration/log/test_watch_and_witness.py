"""``attest log witness-key``, ``witness`` and ``watch`` as an auditor runs them: with the core install, over HTTP, and
killed at the worst moment."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attest.log.checkpoint import Checkpoint, open_checkpoint, verify_witnesses
from attest.log.note import parse_vkey, sign_note
from attest.log.witness import Witness, request_cosignature
from attest.log.writer import LogWriter
from attest.records import digest, encode_base64, to_json
from attest.serving import Answer
from tests.support import bundles
from tests.support.commands import attest, read_document, running
from tests.support.logs import entry, log_of, payload, posting

AT = "2026-11-26T08:00:00Z"
WEEKS = [entry(payload(f"2026-W{week}")) for week in (44, 45, 46, 47)]
FORGED = [entry(payload("2026-W44", issuer="Forger")), *WEEKS[1:]]
TRUST = replace(bundles.trust(), earliest_period="2026-W44", cadence_weeks=1, maximum_age_seconds=10**9)
PASSWORD = {"WITNESS_PASSWORD": "a long password"}

#: What the core install lacks; a command that imports it, ends.
WITHOUT_EXTRAS = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"web3", "boto3", "pymerkle", "obstore", "pydantic", "eth_account", "eth_utils",
                                  "iso4217", "httpx2", "rich", "jinja2", "coincurve", "rfc3161_client"}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
from attest.cli.main import main
main(sys.argv[1:])
"""


@contextmanager
def core(*words: object) -> Iterator[subprocess.Popen[str]]:
    """A command of the core install, running."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **PASSWORD},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder as a web server shows it."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as fault:
        return fault.code, fault.read()


def cosign(url: str, log: LogWriter, vkey: str, size: int) -> None:
    """Have the witness at ``url`` cosign the log's head, as the log's operator does."""

    def post(body: bytes) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{url}/add-checkpoint", body), timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as fault:
            return fault.code, fault.read()

    request_cosignature(post, log.checkpoint(size).note.to_bytes(), log.consistency, parse_vkey(vkey))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Where an auditor works: a trust file and a witness's key, made by the core install."""
    (tmp_path / "trust.json").write_bytes(to_json(TRUST))
    words = ("log", "witness-key", "--name", "witness.example/one", "--out", tmp_path / "witness.pem")
    with core(*words, "--password", "env:WITNESS_PASSWORD", "--json") as process:
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
    (tmp_path / "vkey").write_text(json.loads(output)["vkey"])
    return tmp_path


def witness_words(desk: Path, listen: str) -> list[object]:
    return [
        *("log", "witness", "--name", "witness.example/one", "--key", desk / "witness.pem"),
        *("--password", "env:WITNESS_PASSWORD", "--log", bundles.LOG_VKEY, "--state", desk / "witness.json"),
        *("--listen", listen, "--json"),
    ]


def watch_words(desk: Path, place: object, *more: object) -> list[object]:
    return ["log", "watch", place, "--trust", desk / "trust.json", "--state", desk / "watch.json", *more]


# -- the witness -----------------------------------------------------------------------------------------------------


def test_witness_key__exists_already_or_has_no_password__is_refused(desk: Path) -> None:
    words = ("log", "witness-key", "--name", "w", "--password", "env:WITNESS_PASSWORD", "--json", "--out")
    before = (desk / "witness.pem").read_bytes()
    said = attest(*words, desk / "witness.pem", environment=PASSWORD)
    assert (said.code, said.document["code"]) == (2, "note-key")
    assert (desk / "witness.pem").read_bytes() == before
    said = attest(*words, desk / "other.pem", environment={"WITNESS_PASSWORD": ""})
    assert said.code == 2
    assert not (desk / "other.pem").exists()
    assert (desk / "witness.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.requires("openssl", "apt-get install openssl")
def test_witness_key__made_by_openssl__is_taken_too(desk: Path) -> None:
    (desk / "witness.pem").unlink()
    command = ["openssl", "genpkey", "-algorithm", "ED25519", "-aes-256-cbc", "-pass", "env:WITNESS_PASSWORD"]
    subprocess.run([*command, "-out", desk / "witness.pem"], check=True, env={**os.environ, **PASSWORD})
    with core(*witness_words(desk, "127.0.0.1:0")) as process:
        assert read_document(process)["vkey"].startswith("witness.example/one+")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_witness__core_install_on_any_address__cosigns_and_serves_monitors(desk: Path, listen: str) -> None:
    log = log_of(desk / "public", WEEKS[:3])
    vkey = (desk / "vkey").read_text()
    with core(*witness_words(desk, listen)) as process:
        started = read_document(process)
        assert started["vkey"] == vkey
        assert started["url"].startswith("http://[::1]:" if "::1" in listen else "http://")
        monitoring = f"{started['url']}/{digest(bundles.ORIGIN.encode())}/checkpoint"
        assert get(monitoring)[0] == 404
        for size in (2, 3):
            cosign(started["url"], log, vkey, size)
            status, note = get(monitoring)
            assert status == 200
            signed = open_checkpoint(note, TRUST.log.key)
            assert signed.checkpoint.size == size
            assert [line.witness for line in verify_witnesses(signed, [parse_vkey(vkey)])] == ["witness.example/one"]
        assert get(f"{started['url']}/{'0' * 64}/checkpoint")[0] == 404
    with core(*witness_words(desk, listen)) as process:  # after a restart it serves the same bytes
        assert get(f"{read_document(process)['url']}/{digest(bundles.ORIGIN.encode())}/checkpoint")[1] == note


#: Ends the process at the n-th system call that a state write makes.
DYING = """
import os, sys
from pathlib import Path
from tests.integration.log.test_watch_and_witness import open_witness
from tests.support.logs import log_of, posting
from attest.log.witness import request_cosignature
folder, at = Path(sys.argv[1]), int(sys.argv[2])
witness = open_witness(folder)
log = log_of(folder / "public", [])
count = 0
def dying(act):
    def call(*arguments, **more):
        global count
        count += 1
        if count == at:
            os._exit(137)
        return act(*arguments, **more)
    return call
os.fsync, Path.replace, Path.open = dying(os.fsync), dying(Path.replace), dying(Path.open)
note = log.checkpoint(3).note.to_bytes()
line = request_cosignature(posting(witness), note, log.consistency, witness.key, 2)
(folder / "signed").write_text(line.line)
"""


def open_witness(folder: Path) -> Witness:
    signer = bundles.note_key("witness.example/one")
    return Witness("witness.example/one", signer, [TRUST.log.key], folder / "witness.json", lambda: 1_795_000_000)


def test_witness__killed_at_any_step_of_a_state_write__never_signs_what_it_forgot(tmp_path: Path) -> None:
    honest = log_of(tmp_path / "public", WEEKS[:3])
    forged = log_of(tmp_path / "forged", FORGED[:3])
    witness = open_witness(tmp_path)
    two = honest.checkpoint(2).note.to_bytes()
    request_cosignature(posting(witness), two, honest.consistency, witness.key)
    witness.close()
    before = (tmp_path / "witness.json").read_bytes()
    died = 0
    for at in range(1, 20):
        (tmp_path / "witness.json").write_bytes(before)
        command = [sys.executable, "-c", DYING, str(tmp_path), str(at)]
        ended = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
        assert ended.returncode in {0, 137}, ended.stderr
        died += ended.returncode == 137
        again = open_witness(tmp_path)  # the state is whole, the lock is free
        signed = (tmp_path / "signed").exists()
        held = again.add_checkpoint(b"old 9999\n\n" + log_note(9999))
        assert held == Answer(409, "text/x.tlog.size", b"3\n") or not signed
        size = int(held.body)
        lines = [f"old {size}", *map(encode_base64, forged.consistency(size, 3)), "", ""]
        assert again.add_checkpoint("\n".join(lines).encode() + forged.checkpoint(3).note.to_bytes()).status == 422
        again.close()
        if ended.returncode == 0:
            break
    assert signed
    assert died == at - 1 >= 4


def log_note(size: int) -> bytes:
    """A head of any size by the log's key: to ask a witness which size it holds."""
    return sign_note(Checkpoint(bundles.ORIGIN, size, bytes(32)).text, bundles.ORIGIN, bundles.LOG_KEY).to_bytes()


def test_attack_20__witness_is_shown_a_fork_of_the_same_size__keeps_both_heads(tmp_path: Path) -> None:
    honest, forged = log_of(tmp_path / "public", WEEKS[:2]), log_of(tmp_path / "forged", FORGED[:2])
    witness = open_witness(tmp_path)
    assert witness.add_checkpoint(b"old 0\n\n" + honest.checkpoint(2).note.to_bytes()).status == 200
    assert witness.add_checkpoint(b"old 2\n\n" + forged.checkpoint(2).note.to_bytes()).status == 422
    witness.close()
    kept = sorted((tmp_path / "witness.json.evidence").iterdir())
    roots = {open_checkpoint(path.read_bytes(), TRUST.log.key).checkpoint.root for path in kept}
    assert roots == {log.checkpoint(2).checkpoint.root for log in (honest, forged)}


# -- the watch -------------------------------------------------------------------------------------------------------


def test_watch__core_install_over_http__sees_a_fork_that_only_the_witness_was_shown(desk: Path) -> None:
    log_of(desk / "public", WEEKS)
    forged = log_of(desk / "forged", FORGED)
    with served(desk / "public") as url, core(*witness_words(desk, "127.0.0.1:0")) as witness:
        address = read_document(witness)["url"]
        words = watch_words(desk, f"{url}/log", "--witness", address, "--at", AT, "--json")
        with core(*words) as process:  # the witness has nothing to show yet
            found = json.loads(process.communicate(timeout=60)[0])
            assert found["alerts"] == []
            (detail,) = found["unreachable"]
            assert detail.startswith(address)
        cosign(address, forged, (desk / "vkey").read_text(), 4)
        with core(*words) as process:
            found = json.loads(process.communicate(timeout=60)[0])
            assert [alert["kind"] for alert in found["alerts"]] == ["fork"]
            assert process.returncode == found["exit_code"] == 6


def test_watch__server_is_away__is_exit_2_and_not_an_alert(desk: Path) -> None:
    log_of(desk / "public", WEEKS)
    with served(desk / "public") as url:
        assert attest(*watch_words(desk, f"{url}/log", "--at", AT)).code == 0
    said = attest(*watch_words(desk, f"{url}/log", "--at", AT))
    assert said.code == 2
    assert "no answer:" in said.out
    assert "ALERT" not in said.out


def test_watch__looks_again_and_again__tells_changes_recovers_and_ends_on_ctrl_c(desk: Path) -> None:
    shutil.copytree(log_of(desk / "public", WEEKS)._store.url.removeprefix("file://"), desk / "web")
    log_of(desk / "forged", [*FORGED, entry(payload("2026-W48"))])
    with (
        served(desk / "web") as url,
        running(*watch_words(desk, f"{url}/log", "--every", "1", "--json")) as process,
    ):
        assert process.stdout is not None
        looks = map(json.loads, process.stdout)
        first = next(looks)
        assert first["size"] == 4
        quiet = {alert["kind"] for alert in first["alerts"]}
        (desk / "web/log").rename(desk / "honest")
        shutil.copytree(desk / "forged/log", desk / "web/log")
        changed = next(look for look in looks if "rewrite" in {alert["kind"] for alert in look["alerts"]})
        assert changed["exit_code"] == 6
        shutil.rmtree(desk / "web/log")
        (desk / "honest").rename(desk / "web/log")
        over = next(look for look in looks if any(name.startswith("rewrite:") for name in look["recovered"]))
        assert {alert["kind"] for alert in over["alerts"]} == quiet
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.returncode == over["exit_code"]
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_watch__for_people__says_only_what_changed(desk: Path) -> None:
    web, honest = desk / "web", desk / "honest"
    log_of(honest, WEEKS)
    log_of(desk / "forged", [*FORGED, entry(payload("2026-W48"))])
    shutil.copytree(honest / "log", web / "log")
    with running(*watch_words(desk, web / "log", "--every", "1", "--max-age", "999999999")) as process:
        assert process.stdout is not None
        wait_for(process.stdout, "4 entries")
        (web / "log").rename(desk / "away")
        wait_for(process.stdout, "ALERT damaged:")
        (desk / "forged/log").rename(web / "log")
        wait_for(process.stdout, "ALERT rewrite:")
        wait_for(process.stdout, "over: damaged:checkpoint")
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(20) == 6
    assert "ALERT rewrite" not in rest


def wait_for(lines: Iterable[str], word: str) -> None:
    """Read up to the first line that has ``word``."""
    found = []
    for line in lines:
        found.append(line)
        if word in line:
            return
    raise AssertionError(f"{word!r} is not in {found}")


def test_watch__killed_while_it_looks__goes_on_with_a_whole_state(desk: Path) -> None:
    log_of(desk / "public", WEEKS)
    for _ in range(3):
        with running(*watch_words(desk, desk / "public/log", "--every", "1", "--json")) as process:
            read_document_line(process)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
    assert attest(*watch_words(desk, desk / "public/log", "--at", AT)).code == 0


def read_document_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())
