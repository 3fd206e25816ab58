"""openssl runs the published vectors of envelopes: each signature over the PAE, by the key in the form that is pinned.

What it looks at is signatures only. Of an envelope that is none, or is of an unexpected type, it can still find the
signature to be good; a vector says so.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.vector import load_all

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")


def verdict(data: dict[str, Any], folder: Path) -> str:
    """``valid`` if openssl verifies any of the envelope's signatures over its own type and payload."""
    try:
        envelope = json.loads(base64.b64decode(data["envelope"]))
        body = base64.b64decode(envelope["payload"], validate=True)
    except ValueError:
        return "invalid"
    kind = envelope["payloadType"].encode()
    (folder / "message").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body))
    (folder / "key.pem").write_text(data["public_key"])
    for signature in envelope["signatures"]:
        (folder / "signature").write_bytes(base64.b64decode(signature["sig"]))
        command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
        if ended.returncode == 0:
            assert ended.stdout == b"Verified OK\n"
            return "valid"
    return "invalid"


def test_openssl__vectors_of_envelopes__come_out_as_expected(tmp_path: Path) -> None:
    vectors = load_all("dsse")

    verdicts = {vector.path: verdict(dict(vector.input), tmp_path) for vector in vectors}

    expected = {
        vector.path: vector.expected.get("elsewhere", {}).get("openssl", vector.expected["verdict"])
        for vector in vectors
    }
    assert verdicts == expected
    assert len(vectors) >= 35
    assert verdicts["dsse/high-s.json"] == "valid"  # and is refused here: the program is asked, not believed
