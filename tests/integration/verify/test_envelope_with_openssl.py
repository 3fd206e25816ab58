"""The envelope of a bundle, checked by a program that this project did not write."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.support import bundles

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")


def openssl(folder: Path, message: bytes, signature: bytes, key: str) -> subprocess.CompletedProcess[str]:
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    (folder / "key.pem").write_text(key)
    words = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def pae(envelope: dict[str, str]) -> bytes:
    kind, body = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def test_envelope__each_attestors_signature__openssl_verifies_it(tmp_path: Path) -> None:
    envelope = json.loads(bundles.standard_files()["attestation.dsse.json"])
    keys = {bundles.attestor(number).keyid: bundles.attestor(number).pem for number in (0, 1)}

    assert len(envelope["signatures"]) == 2
    for signature in envelope["signatures"]:
        done = openssl(tmp_path, pae(envelope), base64.b64decode(signature["sig"]), keys[signature["keyid"]])
        assert (done.returncode, done.stdout.strip()) == (0, "Verified OK")


def test_envelope__one_byte_of_the_statement_changed__openssl_refuses(tmp_path: Path) -> None:
    envelope = json.loads(bundles.standard_files()["attestation.dsse.json"])
    signature = envelope["signatures"][0]
    keys = {bundles.attestor(number).keyid: bundles.attestor(number).pem for number in (0, 1)}
    message = bytearray(pae(envelope))
    message[-10] ^= 1

    done = openssl(tmp_path, bytes(message), base64.b64decode(signature["sig"]), keys[signature["keyid"]])

    assert done.returncode != 0
