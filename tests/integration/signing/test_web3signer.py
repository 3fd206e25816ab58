"""web3signer over HTTP: what it signs is taken only if it is exactly what was asked for."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from eth_account import Account

from attest.errors import OperatorError
from attest.secrets import Secret
from attest.signing.external import Patience
from attest.signing.keystore import KeystoreSigner
from attest.signing.signer import SECP256K1_ORDER, open_digest_signer
from attest.signing.transaction import DigestTransactionSigner, Transaction, decode, open_transaction_signer
from attest.signing.web3signer import Web3Signer, http_post, parse_uri

KEY, OTHER = KeystoreSigner(bytes([7]) * 32), KeystoreSigner(bytes([9]) * 32)
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
LEGACY = Transaction("legacy", 138, 7, CONTRACT, 0, b"\x01\x02", 90_000, 10**9)
TYPE_2 = Transaction("eip1559", 138, 7, CONTRACT, 5, b"\x01\x02", 90_000, 2 * 10**9, 10**9)
PASSWORD = Secret("env:CLIENT_KEY_PASSWORD", "canary-Passw0rd")
Reply = tuple[int, bytes]


class FakeWeb3Signer(ThreadingHTTPServer):
    """Signs as web3signer does: by the parameters alone, for its own chain id. ``change`` makes another transaction of
    what was asked for, ``replies`` are sent instead of answers, first come first."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up, or whose handshake fails, is not worth a traceback here."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = KEY
        self.chain_id = 138
        self.change: Callable[[Transaction], Transaction] = lambda transaction: transaction
        self.raw: Callable[[bytes], Any] = lambda raw: f"0x{raw.hex()}"
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, list[Any]]] = []
        self.drip = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: dict[str, Any]) -> Any:
        if request["method"] == "eth_accounts":
            return [KEY.address.lower(), OTHER.address.lower()]
        assert request["method"] == "eth_signTransaction"
        (wanted,) = request["params"]
        assert wanted["from"] == KEY.address
        eip1559 = "maxFeePerGas" in wanted
        asked = Transaction(
            kind="eip1559" if eip1559 else "legacy",
            chain_id=self.chain_id,
            nonce=int(wanted["nonce"], 16),
            to=wanted["to"],
            value=int(wanted["value"], 16),
            data=bytes.fromhex(wanted["data"][2:]),
            gas=int(wanted["gas"], 16),
            max_fee_per_gas=int(wanted["maxFeePerGas" if eip1559 else "gasPrice"], 16),
            max_priority_fee_per_gas=int(wanted["maxPriorityFeePerGas"], 16) if eip1559 else 0,
        )
        return self.raw(DigestTransactionSigner(self.key).sign_transaction(self.change(asked)))


class _Handler(BaseHTTPRequestHandler):
    server: FakeWeb3Signer

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((request["method"], request["params"]))
        if self.server.replies:
            status, body = self.server.replies.pop(0)
        else:
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": self.server.answer(request)}
            status, body = 200, json.dumps(answer).encode()
        self.send_response(status)
        if status in (301, 307):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body if self.server.drip else b"":
            time.sleep(self.server.drip)
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
        if not self.server.drip:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def fake() -> Iterator[FakeWeb3Signer]:
    with FakeWeb3Signer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def opened(fake: FakeWeb3Signer, *, timeout: float = 10) -> tuple[Web3Signer, list[float]]:
    """A signer, and the pauses that it makes (without making them)."""
    pauses: list[float] = []
    patience = Patience(timeout=timeout, sleep=pauses.append)
    return Web3Signer("web3signer:here", KEY.address, http_post(fake.url, timeout), patience), pauses


def refused(signer: Web3Signer, transaction: Transaction = LEGACY) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        signer.sign_transaction(transaction)
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- signing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transaction",
    [
        LEGACY,
        TYPE_2,
        replace(LEGACY, max_fee_per_gas=0, data=b"", nonce=0),
        replace(TYPE_2, max_fee_per_gas=0, max_priority_fee_per_gas=0, value=10**30),
    ],
    ids=["legacy", "type 2", "legacy free gas", "type 2 free gas"],
)
def test_sign_transaction__as_asked__is_returned_and_eth_account_recovers_the_sender(
    fake: FakeWeb3Signer, transaction: Transaction
) -> None:
    uri = f"web3signer:{fake.url}#{KEY.address.lower()}"
    signer = open_transaction_signer(uri, address=KEY.address, password=None, base=Path("/nowhere"))
    raw = signer.sign_transaction(transaction)
    assert decode(raw) == (transaction, KEY.address)
    assert Account.recover_transaction(raw) == KEY.address == signer.address
    assert [method for method, _ in fake.asked] == ["eth_accounts", "eth_signTransaction"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gas": 90_001}, "gas 90001 instead of 90000"),
        ({"nonce": 8}, "nonce 8 instead of 7"),
        ({"to": KEY.address}, f"to {KEY.address} instead of {CONTRACT}"),
        ({"data": b"\x01\x03"}, "data 2 bytes instead of 2 bytes"),
        ({"value": 1}, "value 1 instead of"),
        ({"max_fee_per_gas": 3 * 10**9}, "max_fee_per_gas 3000000000"),
        ({"chain_id": 1}, "chain_id 1 instead of 138"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
@pytest.mark.parametrize("transaction", [LEGACY, TYPE_2], ids=["legacy", "type 2"])
def test_sign_transaction__another_one_signed__refused_saying_what_differs(
    fake: FakeWeb3Signer, transaction: Transaction, change: dict[str, Any], says: str
) -> None:
    fake.change = lambda asked: replace(asked, **change)
    refusal = refused(opened(fake)[0], transaction)
    assert refusal.code == "signer-unfaithful"
    assert says in refusal.message


def test_sign_transaction__other_kind_signed__refused(fake: FakeWeb3Signer) -> None:
    fake.change = lambda asked: replace(asked, kind="legacy", max_priority_fee_per_gas=0)
    assert "kind legacy instead of eip1559" in refused(opened(fake)[0], TYPE_2).message


def test_sign_transaction__another_keys_signature__refused(fake: FakeWeb3Signer) -> None:
    fake.key = OTHER
    refusal = refused(opened(fake)[0])
    assert refusal.code == "signer-unfaithful"
    assert OTHER.address in refusal.message


def test_sign_transaction__high_s__refused(fake: FakeWeb3Signer) -> None:
    import rlp

    def high(raw: bytes) -> str:
        *rest, v, r, s = rlp.decode(raw)
        other_s = SECP256K1_ORDER - int.from_bytes(s, "big")
        # The other recovery id: 35 + 2 * 138 is odd.
        other_v = int.from_bytes(v, "big") + (1 if int.from_bytes(v, "big") % 2 else -1)
        return f"0x{rlp.encode([*rest, other_v, r, other_s]).hex()}"

    fake.raw = high
    refusal = refused(opened(fake)[0])
    assert refusal.code == "signer-unfaithful"
    assert "not in the one accepted form" in refusal.message


@pytest.mark.parametrize("answer", [None, 7, "", "0x", "0x123", "f86c", "0xzz", {"raw": "0x00"}, "0x00", "0xff"])
def test_sign_transaction__no_raw_transaction__refused(fake: FakeWeb3Signer, answer: Any) -> None:
    fake.raw = lambda _: answer
    assert refused(opened(fake)[0]).code == "signer-unfaithful"


# -- answers that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((401, b"who?"), "signer-denied"),
        ((403, b"not you"), "signer-denied"),
        (
            (200, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"locked"}}'),
            "signer-denied",
        ),
        ((400, b"{}"), "signer-unavailable"),
        ((404, b"<html>"), "signer-unavailable"),
        ((500, b"<html>"), "signer-unavailable"),
        ((307, b""), "signer-unavailable"),
        ((200, b"<html>"), "signer-unfaithful"),
        ((200, b""), "signer-unfaithful"),
        ((200, b"[]"), "signer-unfaithful"),
        ((200, b'{"jsonrpc":"2.0","id":2,"result":"0x00"}'), "signer-unfaithful"),
        ((200, b'{"jsonrpc":"2.0","id":1}'), "signer-unfaithful"),
        ((200, b'{"jsonrpc":"2.0","id":1,"error":"no"}'), "signer-unfaithful"),
        ((200, b'{"jsonrpc":"2.0","id":1,"result":"0x00","result":"0x01"}'), "signer-unfaithful"),
    ],
)
def test_sign_transaction__refused_or_malformed_answer__asked_once(
    fake: FakeWeb3Signer, reply: Reply, code: str
) -> None:
    fake.replies = [reply]
    signer, pauses = opened(fake)
    assert refused(signer).code == code
    assert (len(fake.asked), pauses) == (1, [])


def test_sign_transaction__error_of_the_signer__is_quoted_without_control_characters(fake: FakeWeb3Signer) -> None:
    fake.replies = [(200, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"locked\\u001b[31m"}}')]
    message = refused(opened(fake)[0]).message
    assert "locked\\x1b[31m (code -32000)" in message


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_sign_transaction__throttled__asked_again_with_pauses(fake: FakeWeb3Signer, status: int) -> None:
    fake.replies = [(status, b""), (status, b"")]
    signer, pauses = opened(fake)
    assert decode(signer.sign_transaction(LEGACY)) == (LEGACY, KEY.address)
    assert (len(fake.asked), pauses) == (3, [1.0, 2.0])


@pytest.mark.parametrize("status", [429, 503])
def test_sign_transaction__always_throttled__gives_up(fake: FakeWeb3Signer, status: int) -> None:
    fake.replies = [(status, b"")] * 20
    refusal = refused(opened(fake)[0])
    assert refusal.code == "signer-unavailable"
    assert f"HTTP status {status} (asked 5 times)" in refusal.message
    assert len(fake.asked) == 5


def test_sign_transaction__drips_its_answer__gives_up_at_the_deadline(fake: FakeWeb3Signer) -> None:
    fake.drip = 0.05
    signer, _ = opened(fake, timeout=0.3)
    started = time.monotonic()
    refusal = refused(signer)
    assert refusal.code == "signer-unavailable"
    assert "within 0.3 s" in refusal.message
    assert time.monotonic() - started < 5


def test_sign_transaction__endless_body__refused(fake: FakeWeb3Signer) -> None:
    fake.replies = [(200, b" " * ((1 << 20) + 1))] * 5
    assert "larger than" in refused(opened(fake)[0]).message


def test_sign_transaction__nobody_listens__unavailable(fake: FakeWeb3Signer) -> None:
    signer, _ = opened(fake)
    fake.socket.close()
    fake.shutdown()
    refusal = refused(signer)
    assert refusal.code == "signer-unavailable"
    assert "ConnectError" in refusal.message


def test_open__proxy_in_the_environment__not_used(fake: FakeWeb3Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    signer, _ = opened(fake)
    assert signer.sign_transaction(LEGACY)


# -- which account ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "pinned", "code"),
    [
        (f"#{KEY.address}", OTHER.address, "signer-mismatch"),
        ("#reporter", KEY.address, "signer-mismatch"),
        ("", CONTRACT, "signer-key"),
    ],
)
def test_open__not_the_pinned_account__refused(fake: FakeWeb3Signer, fragment: str, pinned: str, code: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_transaction_signer(f"web3signer:{fake.url}{fragment}", address=pinned, password=None, base=Path("/"))
    assert caught.value.code == code
    assert pinned in caught.value.message


@pytest.mark.parametrize("result", [b'"0x"', b"[1]", b"null"])
def test_open__no_list_of_accounts__refused(fake: FakeWeb3Signer, result: bytes) -> None:
    fake.replies = [(200, b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}")]
    with pytest.raises(OperatorError) as caught:
        open_transaction_signer(f"web3signer:{fake.url}", address=KEY.address, password=None, base=Path("/"))
    assert caught.value.code == "signer-unfaithful"


def test_open_digest_signer__web3signer__refused_for_an_attestor() -> None:
    with pytest.raises(OperatorError, match="whole transactions only") as caught:
        open_digest_signer("web3signer:http://127.0.0.1:9", address=KEY.address, password=None, base=Path("/"))
    assert caught.value.code == "signer-kind"
    assert "pkcs11:" in caught.value.advice


def test_open_transaction_signer__key_that_signs_digests__signs_transactions(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(Account.encrypt(bytes([7]) * 32, "p", iterations=2)))
    signer = open_transaction_signer(
        "keystore:key.json", address=KEY.address, password=Secret("env:P", "p"), base=tmp_path
    )
    assert decode(signer.sign_transaction(TYPE_2)) == (TYPE_2, KEY.address)


# -- TLS -------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, issuer: str | None = None, password: bytes | None = None) -> None:
    """``name.pem`` and ``name.key`` in ``folder``; an authority if there is no ``issuer``."""
    key = ec.generate_private_key(ec.SECP256R1())
    signed_by = key
    subject = issued_by = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    if issuer is not None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        loaded = load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signed_by = loaded
        issued_by = x509.load_pem_x509_certificate((folder / f"{issuer}.pem").read_bytes()).subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issued_by, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is None:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        ) | {"digital_signature": True, "key_cert_sign": True, "crl_sign": True, "decipher_only": False}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    (folder / f"{name}.pem").write_bytes(builder.sign(signed_by, SHA256()).public_bytes(Encoding.PEM))
    from cryptography.hazmat.primitives.serialization import NoEncryption

    protection = BestAvailableEncryption(password) if password else NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))


@pytest.fixture
def tls(fake: FakeWeb3Signer, tmp_path: Path) -> str:
    """The fake behind TLS that asks for a client certificate: its URI without options; the certificates' folder is
    the test's."""
    certificate(tmp_path, "ca")
    certificate(tmp_path, "server", "ca")
    certificate(tmp_path, "client", "ca", PASSWORD.reveal().encode())
    certificate(tmp_path, "other-ca")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    return f"web3signer:https://localhost:{fake.server_address[1]}"


def test_open__client_certificate__is_shown_and_signs(tls: str, tmp_path: Path) -> None:
    signer = open_transaction_signer(
        f"{tls}?ca=ca.pem&cert=client.pem&key=client.key", address=KEY.address, password=PASSWORD, base=tmp_path
    )
    assert decode(signer.sign_transaction(LEGACY)) == (LEGACY, KEY.address)


@pytest.mark.parametrize("options", ["?ca=ca.pem", "?ca=other-ca.pem&cert=client.pem&key=client.key", ""])
def test_open__no_client_certificate_or_an_unknown_server__unavailable(
    tls: str, tmp_path: Path, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.signing.web3signer.PATIENCE", Patience(attempts=2, pause=0.01))
    with pytest.raises(OperatorError) as caught:
        open_transaction_signer(f"{tls}{options}", address=KEY.address, password=PASSWORD, base=tmp_path)
    assert caught.value.code == "signer-unavailable"


@pytest.mark.parametrize(
    ("options", "password", "names"),
    [
        ("ca=missing.pem", PASSWORD, "missing.pem"),
        ("ca=server.key", PASSWORD, "server.key"),
        ("ca=ca.pem&cert=client.pem&key=client.key", Secret("env:P", "canary-wrong"), "client.key"),
        ("ca=ca.pem&cert=client.pem&key=client.key", None, "client.key"),
        ("ca=ca.pem&cert=client.pem&key=server.key", PASSWORD, "server.key"),
        ("ca=ca.pem&cert=client.pem", PASSWORD, "client.pem"),
    ],
)
def test_open__certificates_that_cannot_be_used__named_without_the_password(
    tls: str, tmp_path: Path, options: str, password: Secret | None, names: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        open_transaction_signer(f"{tls}?{options}", address=KEY.address, password=password, base=tmp_path)
    assert caught.value.code == "web3signer-tls"
    assert names in caught.value.message
    assert "canary" not in str(caught.value.as_json())


# -- the URI ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://user:canary@signer.example", "credentials"),
        ("https://canary@signer.example", "credentials"),
        ("http://signer.example:9000", "can be read and changed"),
        ("http://10.0.0.7:9000", "can be read and changed"),
        ("ftp://signer.example", "not http:// or https://"),
        ("signer.example:9000", "not http:// or https://"),
        ("https://", "not http:// or https://"),
        ("https://signer.example:0", "not http:// or https://"),
        ("https://signer.example:99999", "no URL"),
        ("https://signer.example/a b", "not http:// or https://"),
        ("https://signer.example?token=canary", "none of ca, cert, key"),
        ("https://signer.example?ca", "no URL with options"),
        ("https://signer.example?ca=a&ca=b", "no URL with options"),
        ("https://signer.example?key=a", "belongs to a cert="),
        ("http://127.0.0.1:9000?ca=ca.pem", "need https"),
        ("https://[::1", "no URL"),
    ],
)
def test_parse_uri__unsafe_or_malformed__refused_without_repeating_it(location: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says) as caught:
        parse_uri(location, Path("/"))
    assert caught.value.code == "web3signer-uri"
    assert "canary" not in str(caught.value.as_json())


def test_parse_uri__all_parts__are_read(tmp_path: Path) -> None:
    endpoint = parse_uri("https://signer.example:9000/v1?ca=a.pem&cert=/etc/b.pem&key=c.key#0xAb", tmp_path)
    assert (endpoint.url, endpoint.account) == ("https://signer.example:9000/v1", "0xAb")
    assert (endpoint.ca, endpoint.certificate) == (tmp_path / "a.pem", Path("/etc/b.pem"))
    assert endpoint.key == tmp_path / "c.key"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_parse_uri__plain_http_to_this_machine__is_allowed(host: str) -> None:
    assert parse_uri(f"http://{host}:9000", Path("/")).url == f"http://{host}:9000"
