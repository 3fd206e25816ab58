"""A server that replays what a custodian would answer, and remembers what it was asked; with TLS where wanted.

    with Replay({"/balances": ok({"balance": "1.00"}), "POST /token": [ok({...}), Answer(status=401)]}) as server:
        client.send(lambda: Call(f"{server.url}/balances"), ...)
    assert server.requests[0].headers["authorization"] == "Bearer x"

A route is ``[METHOD ]/path[?query]``; the most exact one answers. Its answer is an :class:`Answer`, a list of them (one
after the other, the last one for ever), or a function of the request.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from attest.config import Collection, Connection, HttpConnection
from attest.custody.http import HttpClient
from attest.custody.reach import Asked, Reach

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """One answer. ``wait``: seconds before it. ``raw``: instead of everything else, these bytes as they are, with a
    pause in seconds wherever a number stands; the connection is closed after them."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    raw: Sequence[bytes | float] | None = None


@dataclass(frozen=True)
class Recorded:
    """One request as it came. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes
    target: str


Answers: TypeAlias = Answer | Sequence[Answer] | Callable[[Recorded], Answer]


def ok(plain: Any = None, *, status: int = 200, text: str | None = None, **headers: str) -> Answer:
    """A JSON answer: ``plain`` written as JSON, or ``text`` as it is."""
    body = (json.dumps(plain) if text is None else text).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(body, status, {"Content-Type": "application/json", **named})


class Replay:
    """The server, from ``with`` on; ``url`` is its root without final slash, ``requests`` what it was asked."""

    def __init__(self, routes: Mapping[str, Answers], *, tls: ssl.SSLContext | None = None) -> None:
        self.routes = dict(routes)
        self.requests: list[Recorded] = []
        self.most_at_once = 0
        self._at_once = 0
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        replay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def answer(self) -> None:
                replay.answer(self)

            do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def get_request(self) -> tuple[Any, Any]:
                connection, address = super().get_request()
                if tls is not None:  # the handshake is made by the connection's own thread, when it first reads
                    connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                return connection, address

            def handle_error(self, *_: object) -> None:
                pass  # a client that hangs up is what many tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Recorded(
            method=handler.command,
            path=parts.path,
            query=parse_qs(parts.query),
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=handler.rfile.read(int(handler.headers.get("Content-Length", 0))),
            target=handler.path,
        )
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            _write(handler, self._choose(request))
        finally:
            with self._lock:
                self._at_once -= 1

    def _choose(self, request: Recorded) -> Answer:
        for route in (request.target, request.path):
            for key in (f"{request.method} {route}", route):
                if key not in self.routes:
                    continue
                answers = self.routes[key]
                if isinstance(answers, Answer):
                    return answers
                if callable(answers):
                    return answers(request)
                with self._lock:
                    number = self._asked.get(key, 0)
                    self._asked[key] = number + 1
                return answers[min(number, len(answers) - 1)]
        return Answer(b"nothing here", 404)


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    time.sleep(answer.wait)
    if answer.raw is None:
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)
        return
    handler.close_connection = True
    for part in answer.raw:
        if isinstance(part, bytes):
            handler.wfile.write(part)
            handler.wfile.flush()
        else:
            time.sleep(part)


# -- who asks --------------------------------------------------------------------------------------------------------


@contextmanager
def reaching(base: Path, *, seconds: float = 20.0, **limits: Any) -> Iterator[Reach]:
    """A reach whose files and secrets lie in ``base``, for ``seconds``; ``limits`` as in ``[collection]``."""
    http = HttpClient(Collection(**limits), base=base)
    with Reach(base=base, http=http, clients={}, until=time.monotonic() + seconds) as reach:
        yield reach


def asking(
    location: str,
    connection: Connection | None = None,
    *,
    external_account: str = "DE02120300000000202051",
    currency: str = "EUR",
    cutoff: datetime = CUTOFF,
    **more: Any,
) -> Asked:
    """The question of account ``ops``, source ``bank``."""
    return Asked(
        where="account ops, source bank",
        period="2026-W47",
        cutoff=cutoff,
        location=location,
        connection=connection,
        external_account=external_account,
        currency=currency,
        balance_kind=more.get("balance_kind", "closing-booked"),
        zone=more.get("zone"),
    )


def connecting(base: Path, **keys: Any) -> HttpConnection:
    """An ``http`` connection. A value that is :class:`Hidden` is written to a file in ``base``, and referred to."""
    for name, value in keys.items():
        if isinstance(value, Hidden):
            keys[name] = value.refer(base, name)
        elif isinstance(value, dict):
            keys[name] = {key: one.refer(base, key) if isinstance(one, Hidden) else one for key, one in value.items()}
    return HttpConnection(kind="http", **keys)


class Hidden(str):
    """The value of a secret, which a connection may only refer to."""

    __slots__ = ()

    def refer(self, base: Path, name: str) -> str:
        (base / f"{name}.secret").write_text(str(self), encoding="utf-8")
        return f"file:{name}.secret"


# -- TLS -------------------------------------------------------------------------------------------------------------


#: What an authority's key may do: nothing but certify.
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority of one test. Its own certificate lies at ``file``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(self._name, self._key.public_key(), authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate)

    def issue(self, name: str, *, password: str | None = None, days: int = 30) -> tuple[Path, Path]:
        """Certificate and key files for a server at 127.0.0.1 and ``localhost``, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hidden = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        certificate_file, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate_file.write_bytes(self._certificate(subject, key.public_key(), days=days))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
        return certificate_file, key_file

    def server(self, *, clients: Authority | None = None, days: int = 30) -> ssl.SSLContext:
        """TLS for :class:`Replay`; with ``clients`` it takes only clients that this authority certified."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server", days=days))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool = False, days: int = 30
    ) -> bytes:
        now = datetime.now(UTC)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]),
                critical=False,
            )
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        builder = builder.add_extension(issuer, critical=False)
        if authority:
            builder = builder.add_extension(_SIGNS, critical=True)
        else:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
