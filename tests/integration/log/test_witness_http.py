"""The witness over HTTP, asked as any log would ask it."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest.errors import OperatorError
from attest.log.checkpoint import Cosignature
from attest.log.proof import verify_log_proof
from attest.log.witness import MAX_REQUEST_BYTES, Witness, WitnessServer, collect_cosignature
from attest.log.writer import LogWriter
from attest.signing.dsse import assemble_envelope
from attest.signing.ed25519 import Ed25519Signer
from attest.store import LocalStore


def signer(n: int) -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32))


def envelope(n: int) -> bytes:
    return assemble_envelope("text/plain", b"statement %d" % n, [("key", b"signature")])


@pytest.fixture
def log(tmp_path: Path) -> LogWriter:
    log = LogWriter(LocalStore(tmp_path / "store"), "log.example/reserves", signer(1))
    for n in range(3):
        log.append(envelope(n))
    return log


@pytest.fixture
def witness(tmp_path: Path, log: LogWriter) -> Iterator[Witness]:
    witness = Witness("witness.example/w1", signer(9), [log.key], tmp_path / "witness.json", lambda: 1_763_942_340)
    yield witness
    witness.close()


@pytest.fixture
def server(witness: Witness) -> Iterator[WitnessServer]:
    with WitnessServer(witness) as server:
        yield server


def call(server: WitnessServer, method: str, path: str, body: bytes | None, **headers: str) -> tuple[int, str, bytes]:
    target = urlsplit(server.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read()
    finally:
        connection.close()


def post(server: WitnessServer, body: bytes) -> tuple[int, bytes]:
    status, _, content = call(server, "POST", "/add-checkpoint", body)
    return status, content


def test_witness__over_http__cosigns_and_the_proof_file_shows_it(
    log: LogWriter, witness: Witness, server: WitnessServer
) -> None:
    collect_cosignature(log, 3, witness.key, lambda body: post(server, body))
    log.append(envelope(3))
    collect_cosignature(log, 4, witness.key, lambda body: post(server, body))
    logged = verify_log_proof(log.proof_file(1, 4), envelope(1), log.key, [witness.key])
    assert logged.cosignatures == (Cosignature("witness.example/w1", 1_763_942_340),)


def test_witness__conflict__carries_the_size_in_its_own_type(log: LogWriter, server: WitnessServer) -> None:
    body = b"old 0\n\n" + log.checkpoint(3).note.to_bytes()
    assert call(server, "POST", "/add-checkpoint", body)[0] == 200
    assert call(server, "POST", "/add-checkpoint", body) == (409, "text/x.tlog.size", b"3\n")


def test_witness__anything_but_a_checkpoint__is_answered_and_refused(server: WitnessServer) -> None:
    assert call(server, "POST", "/elsewhere", b"x")[0] == 404
    assert call(server, "GET", "/add-checkpoint", None)[0] == 404
    assert call(server, "PUT", "/add-checkpoint", b"x")[::2] == (405, b"only GET and POST are answered\n")
    assert call(server, "POST", "/add-checkpoint", b"")[0] == 400
    assert call(server, "POST", "/add-checkpoint", None, **{"Content-Length": "-1"})[0] == 411
    assert call(server, "POST", "/add-checkpoint", None, **{"Content-Length": "9" * 5000})[0] == 413
    assert call(server, "POST", "/add-checkpoint", None, **{"Content-Length": str(MAX_REQUEST_BYTES + 1)})[0] == 413


def test_witness__state_cannot_be_stored__answers_500_and_goes_on(
    log: LogWriter, server: WitnessServer, tmp_path: Path
) -> None:
    body = b"old 0\n\n" + log.checkpoint(3).note.to_bytes()
    in_the_way = tmp_path / "witness.json.new"
    in_the_way.mkdir()
    assert call(server, "POST", "/add-checkpoint", body) == (500, "text/plain; charset=utf-8", b"state-file\n")
    in_the_way.rmdir()
    assert call(server, "POST", "/add-checkpoint", body)[0] == 200


def test_witness__two_requests_on_one_connection__are_both_answered(log: LogWriter, server: WitnessServer) -> None:
    target = urlsplit(server.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    statuses = []
    for size, old in ((2, 0), (3, 2)):
        lines = [f"old {old}", *[_base64(node) for node in log.consistency(old, size)], "", ""]
        connection.request("POST", "/add-checkpoint", "\n".join(lines).encode() + log.checkpoint(size).note.to_bytes())
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 200]


def _base64(node: bytes) -> str:
    from attest.records import encode_base64

    return encode_base64(node)


def test_witness_server__binds_to_this_machine_only(server: WitnessServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")


def test_witness_server__port_is_taken__is_refused(witness: Witness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OperatorError, match=r"cannot listen on 127\.0\.0\.1"):
            WitnessServer(witness, taken.getsockname())
