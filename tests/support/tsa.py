"""A time-stamping authority (RFC 3161) made with openssl: a root, a certificate for time stamping, ``openssl ts``."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = ./serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
[stamping]
basicConstraints = CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


class Authority:
    """Keys and certificates in ``folder`` (made if missing); ``root`` is the certificate that vouches for it (PEM)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tsa.cnf").write_text(_CONFIGURATION)
        (folder / "serial").write_text("01\n")
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout"
        self._openssl(f"req -x509 -days 3650 -subj /CN=Test-Root {key} ca.key -out ca.pem")
        self._openssl(f"req -subj /CN=Test-TSA {key} tsa.key -out tsa.csr")
        self._openssl(
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile tsa.cnf "
            "-extensions stamping -out tsa.pem"
        )
        self.root = (folder / "ca.pem").read_text()

    def _openssl(self, words: str) -> subprocess.CompletedProcess[bytes]:
        command = ["openssl", *words.split()]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def answer(self, query: bytes) -> bytes:
        """The response (DER) to a query (DER)."""
        (self.folder / "query").write_bytes(query)
        self._openssl("ts -reply -config tsa.cnf -queryfile query -signer tsa.pem -inkey tsa.key -out response")
        return (self.folder / "response").read_bytes()

    def stamp(self, text: str) -> bytes:
        """A stamp over ``text``, asked for with openssl alone."""
        (self.folder / "data").write_text(text)
        self._openssl("ts -query -data data -sha256 -cert -out query")
        return self.answer((self.folder / "query").read_bytes())

    def verifies(self, text: bytes, stamp: bytes) -> bool:
        """What ``openssl ts -verify`` says."""
        (self.folder / "data").write_bytes(text)
        (self.folder / "stamp").write_bytes(stamp)
        command = ["openssl", "ts", "-verify", "-data", "data", "-in", "stamp", "-CAfile", "ca.pem"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, timeout=60, check=False).returncode == 0

    @contextmanager
    def served(self) -> Iterator[str]:
        """The authority over HTTP (RFC 3161 section 3.4); gives its URL."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.headers["Content-Type"] == "application/timestamp-query"
                body = authority.answer(query) if known else b""
                self.send_response(200 if known else 415)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()
            thread.join()
