"""A bundle and its log at an address: read whole and exactly, and whatever a server does, the end is clear and near."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attest.cli.main import main
from attest.errors import OperatorError, VerificationError
from attest.records import to_json
from attest.static import http_files
from attest.verify.inclusion import verify_proof
from attest.verify.places import open_bundle
from attest.verify.report import exit_code
from attest.verify.verifier import Brought, verify_bundle
from tests.support import bundles

Answer = Callable[[BaseHTTPRequestHandler], None]
FOLDER = "/attestations/2026-W47"


class Site:
    """A web server on this machine: files by their path, and answers of its own for some of them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                answer = site.answers.get(self.path)
                if answer is not None:
                    answer(self)
                elif self.path in site.files:
                    send(self, site.files[self.path])
                else:
                    send(self, b"", 404)

            def log_message(self, *arguments: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, files: Mapping[str, bytes], folder: str = FOLDER) -> str:
        """Serve ``files`` below ``folder``; returns its address."""
        self.files.update({f"{folder}/{name}": data for name, data in files.items()})
        return self.url + folder


def send(handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def url(site: Site) -> str:
    return site.publish(bundles.standard_files())


@pytest.mark.parametrize("end", ["", "/", "/manifest.json"])
def test_verify_bundle__address__verifies_as_the_folder_does(site: Site, url: str, end: str, tmp_path: Path) -> None:
    report = verify_bundle(url + end, bundles.trust(), now=bundles.NOW)

    folder = bundles.write(bundles.standard_files(), tmp_path / "bundle")
    assert [(check.name, check.outcome) for check in report.checks] == [
        (check.name, check.outcome) for check in verify_bundle(folder, bundles.trust(), now=bundles.NOW).checks
    ]
    assert exit_code(report) == 0


def test_verify_proof__address_of_the_statement__is_fetched_with_its_log(site: Site, url: str, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    forge = bundles.Forge()
    forge.files()
    file.write_bytes(to_json(forge.inclusion_proof(1)))

    found = verify_proof(file, url, bundles.trust(), now=bundles.NOW)

    assert found.leaf is not None
    assert "/log/checkpoint" in site.asked


def test_open_bundle__address__asks_for_the_manifest_then_for_what_it_lists(site: Site, url: str) -> None:
    site.files[f"{FOLDER}/secret.json"] = b"{}"

    assert open_bundle(url) == bundles.standard_files()
    assert site.asked[0] == f"{FOLDER}/manifest.json"
    assert sorted(site.asked) == sorted(f"{FOLDER}/{name}" for name in bundles.standard_files())


def test_open_bundle__older_bundle_without_a_signature__is_read(site: Site) -> None:
    files = bundles.Forge(signed_manifest=False).files()

    assert open_bundle(site.publish(files)) == files


def listing(*files: tuple[str, int]) -> bytes:
    entries = [{"name": name, "sha256": "00" * 32, "size": size} for name, size in files]
    plain = {"format": "attest-manifest/2", "period": "2026-W47", "revision": 0, "files": entries}
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("../../etc/passwd", 1)], "no name of a bundle's file"),
        ([("/etc/passwd", 1)], "no name of a bundle's file"),
        ([("a?b", 1)], "no name of a bundle's file"),
        ([("a", 1), ("a", 1)], "twice"),
        ([(f"f{number}", 1) for number in range(65)], "more than 64 files"),
        ([("reserves.json", 2 << 20)], "it can have 1048576"),
        ([("reserves.json", -1)], "lists reserves.json with -1 bytes"),
        ([(f"f{number}", 60 << 20) for number in range(3)], "f0 is listed in manifest.json but missing"),
    ],
)
def test_open_bundle__hostile_manifest__refused_before_anything_else_is_fetched(
    site: Site, files: list[tuple[str, int]], said: str
) -> None:
    url = site.publish({"manifest.json": listing(*files)})

    with pytest.raises(VerificationError, match=said):
        open_bundle(url)
    assert len(site.asked) <= 2


def test_open_bundle__nothing_there__is_a_wrong_address(site: Site) -> None:
    with pytest.raises(OperatorError, match="there is no such file"):
        open_bundle(f"{site.url}/attestations/2026-W01")


def test_verify_bundle__listed_file_missing__fails_files(site: Site, url: str) -> None:
    del site.files[f"{FOLDER}/receipts.json"]

    report = verify_bundle(url, bundles.trust(), now=bundles.NOW)

    assert bundles.failed(report) == ["files"]
    assert bundles.detail(report, "files") == "receipts.json is listed in manifest.json but missing"


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65536))
    except OSError:
        pass


@pytest.mark.parametrize("data", [b"", b"{"])
def test_open_bundle__download_cut_short__is_a_failed_fetch(site: Site, url: str, data: bytes) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(data)

    site.answers[f"{FOLDER}/receipts.json"] = cut

    with pytest.raises(OperatorError, match=f"cut short: {10 - len(data)} bytes are missing") as caught:
        open_bundle(url)
    assert caught.value.code == "fetch-failed"


def test_verify_bundle__endless_body__cut_where_the_manifest_says_it_ends(site: Site, url: str) -> None:
    site.answers[f"{FOLDER}/receipts.json"] = endless

    report = verify_bundle(url, bundles.trust(), now=bundles.NOW)

    size = len(bundles.standard_files()["receipts.json"])
    assert bundles.failed(report) == ["files"]
    assert f"receipts.json: has more than {size} bytes" in bundles.detail(report, "files")


def test_verify_bundle__endless_manifest__cut_at_its_limit(site: Site, url: str) -> None:
    site.answers[f"{FOLDER}/manifest.json"] = endless

    assert exit_code(verify_bundle(url, bundles.trust(), now=bundles.NOW)) == 6


def test_open_bundle__redirect__is_not_followed_and_says_where_to(site: Site, url: str) -> None:
    elsewhere = f"{site.url}/elsewhere"
    site.answers[f"{FOLDER}/manifest.json"] = lambda handler: send(handler, b"", 302, Location=elsewhere)

    with pytest.raises(OperatorError, match=f"answers HTTP 302 .moved to {elsewhere}"):
        open_bundle(url)
    assert site.asked == [f"{FOLDER}/manifest.json"]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_open_bundle__http_error__concludes_nothing(site: Site, url: str, status: int) -> None:
    site.answers[f"{FOLDER}/receipts.json"] = lambda handler: send(handler, b"", status)

    with pytest.raises(OperatorError, match=f"answers HTTP {status}") as caught:
        open_bundle(url)
    assert caught.value.exit_code == 2


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        pass


def dripping_head(handler: BaseHTTPRequestHandler) -> None:
    try:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        while True:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize("answer", [dripping, dripping_head])
def test_http_files__server_that_drips__is_given_up(site: Site, answer: Answer) -> None:
    site.answers["/x"] = answer
    began = time.monotonic()

    with pytest.raises(OperatorError, match=r"cannot be fetched .not complete after 0\.3 seconds"):
        http_files(site.url, file_seconds=0.3)("x")
    assert time.monotonic() - began < 5


def test_http_files__silent_server__is_given_up(site: Site) -> None:
    done = threading.Event()
    site.answers["/x"] = lambda handler: done.wait(5) and None

    with pytest.raises(OperatorError, match=r"cannot be fetched .*timed out"):
        http_files(site.url, timeout=0.1)("x")
    done.set()


def test_http_files__nobody_there__says_so() -> None:
    with pytest.raises(OperatorError, match="cannot be fetched"):
        http_files("http://127.0.0.1:9")("x")


def test_http_files__credentials_in_the_address__refused_and_not_shown() -> None:
    with pytest.raises(OperatorError, match="password in it") as caught:
        http_files("https://user:secret@a.example/x")
    assert "secret" not in str(caught.value)


# -- its log ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(site: Site) -> str:
    """A bundle's address in a public store with its log."""
    forge = bundles.Forge(before=())
    url = site.publish(forge.files())
    site.publish(bundles.log_files(forge.entries), "/log")
    return url


def test_verify_bundle__address_in_a_public_store__reads_the_log_beside_it(logged: str) -> None:
    report = verify_bundle(logged, bundles.trust(), now=bundles.NOW)

    assert report.outcome("history") == "pass"
    assert exit_code(report) == 0


def test_verify_bundle__log_at_another_address__is_read_there(site: Site, logged: str) -> None:
    for path in [path for path in site.files if path.startswith("/log/")]:
        site.files["/mirror" + path] = site.files.pop(path)

    elsewhere = Brought(log=f"{site.url}/mirror/log")

    assert verify_bundle(logged, bundles.trust(), now=bundles.NOW).outcome("history") == "skipped"
    assert verify_bundle(logged, bundles.trust(), now=bundles.NOW, brought=elsewhere).outcome("history") == "pass"


@pytest.mark.parametrize("path", ["/log/checkpoint", "/log/tile/entries/000.p/1"])
def test_verify_bundle__log_beside_it_does_not_answer__is_skipped_in_words(site: Site, logged: str, path: str) -> None:
    site.answers[path] = lambda handler: send(handler, b"", 503)

    report = verify_bundle(logged, bundles.trust(), now=bundles.NOW)

    assert report.outcome("history") == "skipped"
    assert f"{path}: answers HTTP 503" in bundles.detail(report, "history")
    assert exit_code(report) == 0


def test_verify_bundle__named_log_does_not_answer__concludes_nothing(site: Site, logged: str) -> None:
    site.answers["/log/checkpoint"] = lambda handler: send(handler, b"", 503)

    with pytest.raises(OperatorError, match="answers HTTP 503"):
        verify_bundle(logged, bundles.trust(), now=bundles.NOW, brought=Brought(log=f"{site.url}/log"))


def test_verify_bundle__named_log_is_none__fails(site: Site, logged: str) -> None:
    report = verify_bundle(logged, bundles.trust(), now=bundles.NOW, brought=Brought(log=f"{site.url}/nothing"))

    assert bundles.failed(report) == ["history"]
    assert "checkpoint is missing" in bundles.detail(report, "history")


# -- the command -----------------------------------------------------------------------------------------------------


def attest_verify(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["verify", *words, "--at", "2026-11-24T08:00:00Z"])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def trust(tmp_path: Path) -> str:
    path = tmp_path / "trust.json"
    path.write_bytes(to_json(bundles.trust()))
    return str(path)


def test_verify__address__exit_0(url: str, trust: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert attest_verify(url, "--trust", trust) == 0
    assert "Everything that your trust file demands passed." in capsys.readouterr().out


def test_verify__trust_file_at_an_address__refused_in_words_and_not_fetched(
    site: Site, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.files["/trust.json"] = to_json(bundles.trust())

    assert attest_verify(url, "--trust", f"{site.url}/trust.json") == 2
    assert "a trust file is not fetched" in capsys.readouterr().err
    assert site.asked == []


def test_verify__server_down__three_lines_and_exit_2(trust: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert attest_verify("http://127.0.0.1:9/attestations/2026-W47", "--trust", trust) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: http://127.0.0.1:9/attestations/2026-W47/manifest.json: cannot be fetched")
    assert len(lines) == 3
