"""The HTTP client against a real server: what it sends, what it refuses, and how long it waits."""

from __future__ import annotations

import base64
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stamina

from attest.config import Collection, HttpConnection
from attest.custody.document import Document
from attest.custody.http import Call, HttpClient
from attest.errors import OperatorError, SourceError
from tests.support.replay import Answer, Authority, Hidden, Recorded, Replay, connecting, ok

WHERE = "account ops, source bank"


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def client(tmp_path: Path) -> Iterator[HttpClient]:
    client = HttpClient(Collection(), base=tmp_path)
    yield client
    client.close()


def send(
    client: HttpClient,
    url: str,
    connection: HttpConnection | None = None,
    *,
    seconds: float = 20.0,
    limit: int = 1 << 20,
    **call: object,
) -> Document:
    until = time.monotonic() + seconds
    return client.send(lambda: Call(url, **call), where=WHERE, connection=connection, until=until, limit=limit)


def refused(client: HttpClient, url: str, connection: HttpConnection | None = None, **more: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        send(client, url, connection, **more)
    assert WHERE in caught.value.message
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- answers ---------------------------------------------------------------------------------------------------------


def test_send__good_answer__is_a_document_named_without_query(client: HttpClient) -> None:
    answer = Answer(b"61,EUR", headers={"ETag": '"v1"', "Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT", "X-Key": "k"})
    with Replay({"/a": answer}) as server:
        document = send(client, f"{server.url}/a?key=abc")
    assert document.read(100) == b"61,EUR"
    assert document.name == f"{server.url}/a"
    assert document.provenance.startswith("date: ")
    assert document.provenance.endswith('; etag: "v1"; last-modified: Sun, 22 Nov 2026 10:00:00 GMT')
    (request,) = server.requests
    assert request.target == "/a?key=abc"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_send__post__has_its_body_and_headers(client: HttpClient) -> None:
    with Replay({"POST /q": ok({})}) as server:
        send(client, f"{server.url}/q", method="POST", body=b"a=1", headers={"accept": "application/json"})
    (request,) = server.requests
    assert request.body == b"a=1"
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-length"] == "3"


def test_send__many_calls__share_a_connection(client: HttpClient) -> None:
    with Replay({"/a": ok({})}) as server:
        for _ in range(5):
            send(client, f"{server.url}/a")
        (kept,) = client._kept.values()
        assert len(kept) == 1


def test_send__server_closed_the_kept_connection__takes_a_new_one(client: HttpClient) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(2):  # one answer for each connection, which is closed only when it is used again
            connection, _ = listener.accept()
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.recv(10_000)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert [send(client, url).size for _ in range(2)] == [2, 2]
    listener.close()


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (201, "http-status"),
        (204, "http-status"),
        (301, "http-redirect"),
        (308, "http-redirect"),
        (400, "http-status"),
        (401, "http-unauthorized"),
        (403, "http-unauthorized"),
        (404, "http-not-found"),
        (410, "http-status"),
        (500, "http-server-error"),
        (501, "http-server-error"),
    ],
)
def test_send__bad_status__is_refused_at_once(client: HttpClient, status: int, code: str) -> None:
    with Replay({"/a": Answer(b"", status, {"Location": "https://evil.example/"})}) as server:
        fault = refused(client, f"{server.url}/a?secret=1")
        assert fault.code == code
        assert f"{server.url}/a: " in fault.message
        assert "secret" not in fault.message
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "http-rate-limited"), (502, "http-server-error"), (503, "http-server-error"), (504, "http-server-error")],
)
def test_send__passing_status__is_tried_four_times(client: HttpClient, status: int, code: str) -> None:
    with Replay({"/a": Answer(b"later", status)}) as server:
        fault = refused(client, f"{server.url}/a")
        assert fault.code == code
        assert len(server.requests) == 4


def test_send__recovers__is_read_and_every_attempt_is_a_new_call(client: HttpClient) -> None:
    nonces = iter(range(10))
    with Replay({"/a": [Answer(status=503), Answer(status=429), ok({})]}) as server:
        client.send(
            lambda: Call(f"{server.url}/a", headers={"nonce": str(next(nonces))}),
            where=WHERE,
            connection=None,
            until=time.monotonic() + 20,
        )
        assert [request.headers["nonce"] for request in server.requests] == ["0", "1", "2"]


def test_send__rate_limited_for_longer_than_there_is__says_how_long(client: HttpClient) -> None:
    with Replay({"/a": Answer(b"slow down", 429, {"Retry-After": "3600"})}) as server:
        fault = refused(client, f"{server.url}/a")
        assert fault.code == "http-rate-limited"
        assert "asks to wait 3600 s (slow down)" in fault.message
        assert len(server.requests) == 1


@pytest.mark.parametrize("date", [False, True])
def test_send__retry_after__is_waited_for(client: HttpClient, date: bool) -> None:
    headers = {"Retry-After": "1"}
    if date:
        headers = {"Date": "Sun, 22 Nov 2026 10:00:00 GMT", "Retry-After": "Sun, 22 Nov 2026 10:00:01 GMT"}
    raw = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n" + b"".join(
        f"{name}: {value}\r\n".encode() for name, value in headers.items()
    )
    with stamina.set_testing(False), Replay({"/a": [Answer(raw=[raw + b"\r\n"]), ok({})]}) as server:
        begin = time.monotonic()
        send(client, f"{server.url}/a")
        assert 0.95 < time.monotonic() - begin < 5


def test_send__error_body__is_quoted_short_printable_and_without_secrets(client: HttpClient, tmp_path: Path) -> None:
    connection = connecting(tmp_path, bearer=Hidden("s3cr3t-token"), headers={"x-api-key": Hidden("k-0815-k")})

    def echo(request: Recorded) -> Answer:
        said = f"bad \x1b[31m\u202e {request.headers['authorization']} {request.headers} {request.target} " + "x" * 500
        return Answer(said.encode(), 400)

    with Replay({"/a": echo}) as server:
        fault = refused(client, f"{server.url}/a?apikey=query-key", connection, headers={"Sign": "signature1"})
    for secret in ("s3cr3t-token", "k-0815-k", "query-key", "signature1"):
        assert secret not in fault.message
    assert fault.message.isprintable()
    assert len(fault.message) < 350
    assert "bad [31m Bearer ***" in fault.message


@pytest.mark.parametrize("before", [0, (1 << 20) - 5])
def test_send__good_answer_that_repeats_our_credentials__is_refused(
    client: HttpClient, tmp_path: Path, before: int
) -> None:
    connection = connecting(tmp_path, bearer=Hidden("s3cr3t/token"), headers={"x-customer": Hidden("4711")})

    def echo(request: Recorded) -> Answer:
        said = request.headers["authorization"].removeprefix("Bearer ")
        return Answer(b" " * before + b'{"customer": "4711", "you": "%s"}' % said.replace("/", r"\/").encode())

    with Replay({"/a": echo, "/b": Answer(b'{"customer": "4711"}')}) as server:
        fault = refused(client, f"{server.url}/a", connection, limit=1 << 22)
        assert send(client, f"{server.url}/b", connection).size
    assert (fault.code, "s3cr3t" in str(fault.as_json())) == ("http-echo", False)
    assert fault.message.startswith("account ops, source bank: ")


def test_send__proxy_in_the_environment__is_not_used(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with Replay({"/a": Answer(b"x")}) as server:
        assert send(client, f"{server.url}/a").read(10) == b"x"


def test_send__nobody_listens__is_unreachable_after_four_attempts(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fault = refused(client, f"http://127.0.0.1:{port}/")
    assert fault.code == "http-unreachable"
    assert "Connection refused" in fault.message


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "http-broken"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "http-broken"),
        (b"HTTP/1.1 200 OK\r\n\r\nno length at all", "http-broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "file-empty"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "http-broken"),
        (b"", "http-broken"),
    ],
)
def test_send__truncated_or_strange_answer__refused(client: HttpClient, raw: bytes, code: str) -> None:
    with Replay({"/a": Answer(raw=[raw])}) as server:
        fault = refused(client, f"{server.url}/a")
        assert fault.code == code
        assert len(server.requests) == 1


@pytest.mark.parametrize("length", [b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_send__larger_than_the_limit__refused_without_reading_on(client: HttpClient, length: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n"
    with Replay({"/a": Answer(raw=[head, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 5, b"0\r\n\r\n"])}) as server:
        assert refused(client, f"{server.url}/a", limit=2500).code == "http-too-large"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1/x",
        "https://",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/ä",
        "http://127.0.0.1/{date}",
        "http://127.0.0.1\\@evil.example/",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "http://user:pass@127.0.0.1/",
        "https://[::1",
        "http://bank.example/balances?key=k",
    ],
)
def test_send__url_that_can_be_misread_or_is_not_encrypted__refused(client: HttpClient, url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        send(client, url)
    assert caught.value.code == "malformed-url"
    assert WHERE in caught.value.message
    assert "pass" not in caught.value.message
    assert "key" not in caught.value.message


def test_send__ipv6__is_named_in_brackets(client: HttpClient) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    heads: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        heads.append(connection.recv(10_000))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    host = f"[::1]:{listener.getsockname()[1]}"
    assert send(client, f"http://{host}/").size == 2
    assert f"\r\nHost: {host}\r\n".encode() in heads[0]
    listener.close()


# -- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_send__server_drips__ends_at_the_requests_time(client: HttpClient, tmp_path: Path, head: bytes) -> None:
    drip: list[bytes | float] = [head, *[part for byte in b"HTTP/1.1 200 OK\r\n" for part in (bytes([byte]), 0.3)]]
    with Replay({"/a": Answer(raw=drip)}) as server:
        begin = time.monotonic()
        with stamina.set_testing(True, attempts=1):
            fault = refused(client, f"{server.url}/a", connecting(tmp_path, timeout_seconds=1))
        assert fault.code == "http-timeout"
        assert "within 1 s" in fault.message
        assert 0.9 < time.monotonic() - begin < 3


def test_send__timeout__is_tried_again(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/a": [Answer(wait=1.5), ok({})]}) as server:
        assert send(client, f"{server.url}/a", connecting(tmp_path, timeout_seconds=1)).size == 2


def test_send__collection_is_over__names_the_deadline(client: HttpClient) -> None:
    with Replay({"/a": Answer(wait=3)}) as server:
        begin = time.monotonic()
        assert refused(client, f"{server.url}/a", seconds=0.4).code == "deadline"
        assert time.monotonic() - begin < 2
        assert refused(client, f"{server.url}/a", seconds=-1).code == "deadline"


def test_send__waited_for_its_turn__is_a_new_call(client: HttpClient, tmp_path: Path) -> None:
    """A nonce or a signed time would be stale, and nonces out of order."""
    one, made = connecting(tmp_path, max_concurrent=1), iter(range(100))
    with Replay({"/a": Answer(b"x", wait=0.1)}) as server:

        def ask() -> None:
            until = time.monotonic() + 20
            client.send(
                lambda: Call(f"{server.url}/a", headers={"nonce": str(next(made))}),
                where=WHERE,
                connection=one,
                until=until,
            )

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        nonces = [int(request.headers["nonce"]) for request in server.requests]
    assert nonces == sorted(nonces)
    assert nonces[-1] >= 4


def test_send__per_host__bounds_requests_at_one_time(tmp_path: Path) -> None:
    client = HttpClient(Collection(per_host=3), base=tmp_path)
    own = connecting(tmp_path, max_concurrent=1)
    with Replay({"/a": Answer(b"x", wait=0.05)}) as server:
        for connection, most in ((None, 3), (own, 1)):
            server.most_at_once = 0
            threads = [threading.Thread(target=send, args=(client, f"{server.url}/a", connection)) for _ in range(9)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert server.most_at_once == most
    client.close()


def test_send__place_at_the_server_does_not_come_free__names_the_deadline(client: HttpClient, tmp_path: Path) -> None:
    one = connecting(tmp_path, max_concurrent=1)
    with Replay({"/a": Answer(b"x", wait=1)}) as server:
        thread = threading.Thread(target=send, args=(client, f"{server.url}/a", one))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        assert refused(client, f"{server.url}/a", one, seconds=0.2).code == "deadline"
        thread.join()


# -- who asks --------------------------------------------------------------------------------------------------------


def test_send__connection__authenticates(client: HttpClient, tmp_path: Path) -> None:
    basic = connecting(
        tmp_path,
        basic_user="käthe",
        basic_password=Hidden("pa:ss"),
        headers={"X-Api-Key": Hidden("abc")},
        public_headers={"x-fapi-financial-id": "0015"},
    )
    with Replay({"/a": ok({})}) as server:
        send(client, f"{server.url}/a", basic)
        send(client, f"{server.url}/a", connecting(tmp_path, bearer=Hidden("tok")))
    first, second = (request.headers for request in server.requests)
    assert base64.b64decode(first["authorization"].removeprefix("Basic ")).decode() == "käthe:pa:ss"
    assert (first["x-api-key"], first["x-fapi-financial-id"]) == ("abc", "0015")
    assert second["authorization"] == "Bearer tok"
    assert "x-api-key" not in second


def test_send__secret_is_missing__names_the_reference(client: HttpClient) -> None:
    with pytest.raises(OperatorError, match="file:nothing"):
        send(client, "http://127.0.0.1:1/", HttpConnection(kind="http", bearer="file:nothing"))


@pytest.mark.parametrize("value", ["two\r\nX-Evil: 1", "ünïcode"])
def test_send__secret_is_no_header_value__refused(client: HttpClient, tmp_path: Path, value: str) -> None:
    with Replay({"/a": ok({})}) as server:
        with pytest.raises(OperatorError) as caught:
            send(client, f"{server.url}/a", connecting(tmp_path, bearer=Hidden(value)))
        assert caught.value.code == "malformed-header"
        assert value not in caught.value.message
        assert not server.requests


def test_send__logs_nothing(client: HttpClient, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Replay({"/a": [Answer(status=503), ok({})]}) as server:
        send(client, f"{server.url}/a?key=1", connecting(tmp_path, bearer=Hidden("tok")))
    assert not [record for record in caplog.records if record.name.startswith(("http", "stamina"))]


# -- OAuth 2 ---------------------------------------------------------------------------------------------------------


def _oauth(server: Replay, folder: Path, **more: object) -> HttpConnection:
    keys = {"client_id": "issuer:1", "client_secret": Hidden("very/secret"), "scope": "accounts read"}
    return connecting(folder, token_url=f"{server.url}/token", **keys, **more)


def _token(name: str, **more: object) -> Answer:
    return ok({"access_token": name, "token_type": "Bearer", **more})


def _needs(*tokens: str) -> Callable[[Recorded], Answer]:
    def answer(request: Recorded) -> Answer:
        return (
            ok({})
            if request.headers["authorization"] in {f"Bearer {token}" for token in tokens}
            else Answer(status=401)
        )

    return answer


def test_oauth__token__is_fetched_once_and_used_by_all(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"POST /token": _token("t1", expires_in=3600), "/a": _needs("t1")}) as server:
        connection = _oauth(server, tmp_path)
        threads = [threading.Thread(target=send, args=(client, f"{server.url}/a", connection)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked = [request for request in server.requests if request.path == "/token"]
        assert len(asked) == 1
        assert len(server.requests) == 5
    assert asked[0].body == b"grant_type=client_credentials&scope=accounts+read"
    both = base64.b64decode(asked[0].headers["authorization"].removeprefix("Basic "))
    assert both == b"issuer%3A1:very%2Fsecret"


def test_oauth__token_is_about_to_expire__is_fetched_anew(tmp_path: Path) -> None:
    now = [1000.0]
    client = HttpClient(Collection(), base=tmp_path, clock=lambda: now[0])
    tokens = [_token("t1", expires_in="3600"), _token("t2")]
    with Replay({"/token": tokens, "/a": _needs("t1", "t2")}) as server:
        connection = _oauth(server, tmp_path)
        for at in (1000.0, 4560.0, 4575.0, 4580.0, 4860.0):
            now[0] = at
            client.send(lambda: Call(f"{server.url}/a"), where=WHERE, connection=connection, until=at + 20)
        paths = [request.path for request in server.requests]
    assert paths == ["/token", "/a", "/a", "/token", "/a", "/a", "/token", "/a"]
    client.close()


def test_oauth__token_is_revoked__is_fetched_anew_once(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/token": [_token("t1"), _token("t2")], "/a": _needs("t1")}) as server:
        connection = _oauth(server, tmp_path)
        send(client, f"{server.url}/a", connection)
        server.routes["/a"] = _needs("t2")
        send(client, f"{server.url}/a", connection)
        server.routes["/a"] = Answer(status=401)
        assert refused(client, f"{server.url}/a", connection).code == "http-unauthorized"
        assert [request.path for request in server.requests].count("/token") == 3


def test_oauth__fresh_token_is_refused__is_not_tried_again(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/token": _token("t1"), "/a": Answer(status=401)}) as server:
        assert refused(client, f"{server.url}/a", _oauth(server, tmp_path)).code == "http-unauthorized"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (ok({"error": "invalid_client"}, status=401), "invalid_client"),
        (ok({"error": "invalid_scope", "hint": "very/secret"}, status=400), '"hint": "***"'),
        (ok({"error": "x"}), "no access_token"),
        (ok(["x"]), "no access_token"),
        (ok({"access_token": "a b", "token_type": "bearer"}), "no access_token"),
        (ok({"access_token": "t", "token_type": "mac"}), "not a bearer token"),
        (ok({"access_token": "t", "expires_in": True}), "expires_in"),
        (ok({"access_token": "t", "expires_in": "soon"}), "expires_in"),
    ],
)
def test_oauth__no_token__says_why(client: HttpClient, tmp_path: Path, answer: Answer, detail: str) -> None:
    with Replay({"/token": answer, "/a": ok({})}) as server:
        fault = refused(client, f"{server.url}/a", _oauth(server, tmp_path))
        assert fault.code == "http-token"
        assert detail in fault.message
        assert "very/secret" not in fault.message


def test_oauth__token_server_is_busy__is_tried_again(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/token": [Answer(status=503), _token("t1")], "/a": _needs("t1")}) as server:
        send(client, f"{server.url}/a", _oauth(server, tmp_path))
        assert len(server.requests) == 3


def test_oauth__token_server_redirects__is_not_followed(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/token": Answer(status=302), "/a": ok({})}) as server:
        fault = refused(client, f"{server.url}/a", _oauth(server, tmp_path))
        assert fault.code == "http-redirect"
        assert "access token: " in fault.message


def test_oauth__another_thread_waits_for_the_token__until_the_deadline(client: HttpClient, tmp_path: Path) -> None:
    with Replay({"/token": Answer(wait=1), "/a": ok({})}) as server:
        connection = _oauth(server, tmp_path)
        thread = threading.Thread(target=refused, args=(client, f"{server.url}/a", connection), kwargs={"seconds": 0.6})
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        fault = refused(client, f"{server.url}/a", connection, seconds=0.2)
        assert fault.code == "deadline"
        assert "no access token" in fault.message
        thread.join()


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_tls__private_authority__is_trusted_when_named(
    client: HttpClient, tmp_path: Path, authority: Authority
) -> None:
    with Replay({"/a": ok({})}, tls=authority.server()) as server:
        trusting = connecting(tmp_path, ca_file="authority.pem")
        assert send(client, f"{server.url}/a", trusting).size == 2
        other = f"https://localhost:{server.server.server_port}/a"
        assert send(client, other, trusting).size == 2
        for connection in (None, connecting(tmp_path)):
            fault = refused(client, f"{server.url}/a", connection)
            assert fault.code == "http-tls"
            assert "unable to get local issuer certificate" in fault.message


@pytest.mark.parametrize("case", ["expired", "other authority"])
def test_tls__untrusted_certificate__refused(
    client: HttpClient, tmp_path: Path, authority: Authority, case: str
) -> None:
    Authority(tmp_path, "other")
    named = "other.pem" if case == "other authority" else "authority.pem"
    with Replay({"/a": ok({})}, tls=authority.server(days=-1 if case == "expired" else 30)) as server:
        fault = refused(client, f"{server.url}/a", connecting(tmp_path, ca_file=named))
        assert fault.code == "http-tls"
        assert not server.requests


def test_tls__plain_http_server__refused(client: HttpClient) -> None:
    with Replay({"/a": ok({})}) as server:
        assert refused(client, server.url.replace("http", "https")).code == "http-tls"


@pytest.mark.parametrize("password", [None, "sesame"])
def test_mutual_tls__our_certificate__is_accepted(
    client: HttpClient, tmp_path: Path, authority: Authority, password: str | None
) -> None:
    authority.issue("us", password=password)
    keys = {"client_certificate": "us.crt", "client_key": "us.key", "ca_file": "authority.pem"}
    hidden = {"client_key_password": Hidden(password)} if password else {}
    with Replay({"/a": ok({})}, tls=authority.server(clients=authority)) as server:
        assert send(client, f"{server.url}/a", connecting(tmp_path, **keys, **hidden)).size == 2


def test_mutual_tls__certificate_of_another_authority__is_not_tried_again(
    client: HttpClient, tmp_path: Path, authority: Authority
) -> None:
    Authority(tmp_path, "other").issue("them")
    keys = {"client_certificate": "them.crt", "client_key": "them.key", "ca_file": "authority.pem"}
    with Replay({"/a": ok({})}, tls=authority.server(clients=authority)) as server:
        fault = refused(client, f"{server.url}/a", connecting(tmp_path, **keys))
        assert fault.code in ("http-tls", "http-unreachable")
        assert "may not accept the client certificate" in fault.advice
        assert not server.requests


@pytest.mark.parametrize(
    "keys",
    [
        {"ca_file": "nothing.pem"},
        {"client_certificate": "us.crt", "client_key": "nothing.key"},
        {"client_certificate": "us.crt", "client_key": "us.key"},
        {"client_certificate": "us.crt", "client_key": "us.key", "client_key_password": Hidden("wrong")},
    ],
)
def test_tls__unusable_files__are_named(
    client: HttpClient, tmp_path: Path, authority: Authority, keys: dict[str, str]
) -> None:
    authority.issue("us", password="sesame")
    with pytest.raises(OperatorError) as caught:
        send(client, "https://127.0.0.1:1/", connecting(tmp_path, **keys))
    assert caught.value.code == "tls-files"
    assert next(iter(keys.values())) in caught.value.message
