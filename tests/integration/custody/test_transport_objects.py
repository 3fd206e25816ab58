"""Objects in Azure Blob Storage and Google Cloud Storage, through obstore.

Against a server that answers the few requests that obstore makes (Azure's Blob REST, Google's XML API), and checks who
asks; and against Azurite, Azure's own emulator, where it is installed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attest.config import AzureConnection, GcsConnection, StatementSignature
from attest.custody.document import MAX_BYTES
from attest.custody.reach import Reach
from attest.custody.transport import fetch
from attest.errors import OperatorError, SourceError
from tests.support.replay import Answer, Recorded, Replay, asking, reaching

#: Azurite's, known to everybody.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SAS = "sv=2022-11-02&sig=hunter2"
RSA = rsa.generate_private_key(65537, 2048)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SERVICE_ACCOUNT = json.dumps({"private_key": PEM, "private_key_id": "1", "client_email": "x@example.com"})
MODIFIED = "Fri, 20 Nov 2026 20:00:00 GMT"


class Cloud(Replay):
    """Azure or Google: ``objects`` are the bytes by container and name."""

    def __init__(self) -> None:
        super().__init__({})
        self.objects: dict[tuple[str, str], bytes] = {}

    def _choose(self, request: Recorded) -> Answer:
        if request.target in self.routes or request.path in self.routes:
            return super()._choose(request)
        google = request.headers.get("authorization", "").startswith("Bearer")
        if not (self._is_google(request) if google else self._is_azure(request)):
            return Answer(b"<Error><Code>hunter2</Code></Error>", 403)
        container, _, name = unquote(request.path).removeprefix(f"/{ACCOUNT}").strip("/").partition("/")
        if not name:
            prefix = request.query.get("prefix", [""])[0]
            found = {
                one: data for (box, one), data in self.objects.items() if box == container and one.startswith(prefix)
            }
            return _google_list(found) if google else _azure_list(found)
        data = self.objects.get((container, name))
        if data is None:
            return Answer(b"<Error><Code>BlobNotFound</Code></Error>", 404)
        version = {"x-goog-generation": "17"} if google else {"x-ms-version-id": "2026-11-20T20:00:00.0000000Z"}
        return Answer(data, headers={"ETag": '"0x1"', "Last-Modified": MODIFIED, **version})

    def _is_azure(self, request: Recorded) -> bool:
        if request.query.get("sig"):
            return request.query["sig"] == ["hunter2"]
        signed = sorted((name, value) for name, value in request.headers.items() if name.startswith("x-ms-"))
        # Content-Length 0 is signed as nothing, and Date is the seventh line.
        text = (
            "GET\n\n\n\n\n\n"
            + request.headers["date"]
            + "\n\n\n\n\n\n"
            + "".join(f"{name}:{value}\n" for name, value in signed)
        )
        text += f"/{ACCOUNT}{request.path}"
        text += "".join(f"\n{name}:{value[0]}" for name, value in sorted(request.query.items()))
        return request.headers["authorization"] == f"SharedKey {ACCOUNT}:{_signed(text)}"

    def _is_google(self, request: Recorded) -> bool:
        text, _, signature = request.headers["authorization"].removeprefix("Bearer ").rpartition(".")
        RSA.public_key().verify(
            base64.urlsafe_b64decode(signature + "=="), text.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return True


def _signed(text: str) -> str:
    """As Azure's "Authorize with Shared Key" has it."""
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def _azure_list(found: dict[str, bytes]) -> Answer:
    blobs = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified>"
        f"<Content-Length>{len(data)}</Content-Length><Content-Type>x/y</Content-Type><Etag>0x1</Etag>"
        "</Properties></Blob>"
        for name, data in sorted(found.items())
    )
    return Answer(f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode())


def _google_list(found: dict[str, bytes]) -> Answer:
    contents = "".join(
        f"<Contents><Key>{escape(name)}</Key><LastModified>2026-11-20T20:00:00.000Z</LastModified>"
        f'<ETag>"0x1"</ETag><Size>{len(data)}</Size></Contents>'
        for name, data in sorted(found.items())
    )
    return Answer(f"<ListBucketResult>{contents}</ListBucketResult>".encode())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("base")
    for name, value in {"key": KEY, "sas": f"?{SAS}", "account.json": SERVICE_ACCOUNT, "bad": "hunter2"}.items():
        (base / name).write_text(value)
    (base / "other").write_text(base64.b64encode(b"hunter2" * 5).decode())
    return base


@pytest.fixture
def reach(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    with reaching(base) as reach:
        yield reach


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def azure(url: str, **keys: Any) -> AzureConnection:
    credential = keys or {"account_key": "file:key"}
    return AzureConnection.model_validate(
        {"kind": "azure", "account": ACCOUNT, "endpoint": f"{url}/{ACCOUNT}"} | credential
    )


def google(url: str, **keys: Any) -> GcsConnection:
    return GcsConnection.model_validate({"kind": "gcs", "endpoint": url, "service_account": "file:account.json"} | keys)


BOTH = pytest.mark.parametrize(("scheme", "connect"), [("az", azure), ("gs", google)])


def refusal(location: str, connection: Any, reach: Reach, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(asking(location, connection), reach, **more)
    told = "".join(caught.value.as_json().values())
    assert "hunter2" not in told
    assert KEY not in told
    assert caught.value.advice
    return caught.value


@BOTH
def test_fetch__path__is_the_object_with_its_etag_and_version(
    cloud: Cloud, reach: Reach, scheme: str, connect: Any
) -> None:
    cloud.objects["box", "2026-W47/a b#1.xml"] = b"<xml/>"
    (document,) = fetch(asking(f"{scheme}://box/2026-W47/a b#1.xml", connect(cloud.url)), reach)
    assert document.read(100) == b"<xml/>"
    assert document.name == f"{scheme}://box/2026-W47/a b#1.xml"
    version = "17" if scheme == "gs" else "2026-11-20T20:00:00.0000000Z"
    assert document.provenance == f'version: {version}; etag: "0x1"; last-modified: 2026-11-20T20:00:00Z'


@BOTH
def test_fetch__pattern__is_every_object_that_it_means_sorted(
    cloud: Cloud, reach: Reach, scheme: str, connect: Any
) -> None:
    for name in ("in/b.xml", "in/a.xml", "in/deep/c.xml", "in/.d.xml", "in2/a.xml", "in/a.csv"):
        cloud.objects["box", name] = name.encode()
    cloud.objects["box", "in/deep/"] = b""  # which a console makes

    def names(pattern: str) -> list[bytes]:
        return [one.read(100) for one in fetch(asking(f"{scheme}://box/{pattern}", connect(cloud.url)), reach)]

    assert names("in/*.xml") == [b"in/a.xml", b"in/b.xml"]
    assert names("in/**/*.xml") == [b"in/a.xml", b"in/b.xml", b"in/deep/c.xml"]
    assert names("*/a.xml") == [b"in/a.xml", b"in2/a.xml"]
    assert names("in/*") == [b"in/a.csv", b"in/a.xml", b"in/b.xml"]


@BOTH
def test_fetch__nothing_there__is_refused_by_name(cloud: Cloud, reach: Reach, scheme: str, connect: Any) -> None:
    for name in ("a.xml", "*.xml", "in/*.xml"):
        fault = refusal(f"{scheme}://box/{name}", connect(cloud.url), reach)
        assert fault.code == "file-missing"
        assert f"{scheme}://box/{name}" in fault.message
    cloud.objects["box", "in/"] = b""
    assert refusal(f"{scheme}://box/*", connect(cloud.url), reach).code == "file-missing"


@BOTH
def test_fetch__signed_object__is_followed_by_its_signature(
    cloud: Cloud, reach: Reach, scheme: str, connect: Any
) -> None:
    signature = StatementSignature(kind="pgp", key="bank.asc")
    cloud.objects["box", "a.xml"] = b"x"
    fault = refusal(f"{scheme}://box/*.xml", connect(cloud.url), reach, signature=signature)
    assert fault.code == "signature-missing"
    cloud.objects["box", "a.xml.sig"] = b"signature"
    documents = fetch(asking(f"{scheme}://box/*.xml", connect(cloud.url)), reach, signature)
    assert [one.read(100) for one in documents] == [b"x", b"signature"]


@BOTH
def test_fetch__empty_object__is_refused(cloud: Cloud, reach: Reach, scheme: str, connect: Any) -> None:
    cloud.objects["box", "a.xml"] = b""
    assert refusal(f"{scheme}://box/*", connect(cloud.url), reach).code == "file-empty"


def test_fetch__more_objects_than_one_period_has__are_refused(
    cloud: Cloud, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.custody.location.MAX_DOCUMENTS", 2)
    for name in "abc":
        cloud.objects["box", name] = b"x"
    assert refusal("az://box/*", azure(cloud.url), reach).code == "too-many-files"


def test_fetch__sas_token__is_sent_and_never_shown(cloud: Cloud, reach: Reach) -> None:
    cloud.objects["box", "a.xml"] = b"x"
    connection = azure(cloud.url, sas_token="file:sas")
    (document,) = fetch(asking("az://box/a.xml", connection), reach)
    assert cloud.requests[-1].query["sig"] == ["hunter2"]
    assert "hunter2" not in document.name + document.provenance
    refusal("az://box/b.xml", connection, reach)


def test_fetch__key_in_the_connection__counts_and_not_the_environment_s(
    cloud: Cloud, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "another")
    cloud.objects["box", "a.xml"] = b"x"
    assert len(fetch(asking("az://box/a.xml", azure(cloud.url)), reach)) == 1


def test_fetch__environment_s_own_credentials__are_used_without_a_key(
    cloud: Cloud, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    cloud.objects["box", "a.xml"] = b"x"
    connection = AzureConnection(kind="azure", account=ACCOUNT, endpoint=f"{cloud.url}/{ACCOUNT}")
    assert len(fetch(asking("az://box/a.xml", connection), reach)) == 1


def test_fetch__credentials_that_are_not_accepted__are_refused(cloud: Cloud, reach: Reach) -> None:
    connection = azure(cloud.url, account_key="file:other")
    for name in ("a.xml", "*.xml"):
        fault = refusal(f"az://box/{name}", connection, reach)
        assert fault.code == "file-unreadable"
        assert "Storage Blob Data Reader" in fault.advice
    assert refusal("az://box/a.xml", azure(cloud.url, account_key="file:bad"), reach).code == "file-unreadable"


def test_fetch__service_account_that_is_none__is_the_operator_s_fault(cloud: Cloud, reach: Reach) -> None:
    with pytest.raises(OperatorError) as caught:
        fetch(asking("gs://box/a.xml", google(cloud.url, service_account="file:bad")), reach)
    assert caught.value.code == "wrong-connection"
    assert "hunter2" not in caught.value.message
    with pytest.raises(OperatorError) as caught:
        fetch(asking("gs://box/a.xml", google(cloud.url, service_account="file:none")), reach)
    assert caught.value.code == "secret-unavailable"


@BOTH
def test_fetch__server_that_fails__is_refused(cloud: Cloud, reach: Reach, scheme: str, connect: Any) -> None:
    root = "" if scheme == "gs" else f"/{ACCOUNT}"
    cloud.routes[f"{root}/box/a"] = Answer(b"hunter2", 409)
    fault = refusal(f"{scheme}://box/a", connect(cloud.url), reach)
    assert fault.code == "file-unreadable"
    assert "409" in fault.message


def test_fetch__object_larger_than_any_statement__is_refused_before_it_is_read(cloud: Cloud, reach: Reach) -> None:
    head = f"HTTP/1.1 200 OK\r\nETag: x\r\nLast-Modified: {MODIFIED}\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n"
    cloud.routes[f"/{ACCOUNT}/box/a"] = Answer(raw=[head.encode(), b"x"])
    assert refusal("az://box/a", azure(cloud.url), reach).code == "file-too-large"


def test_fetch__server_that_is_not_there__is_refused(reach: Reach) -> None:
    assert refusal("az://box/a", azure("http://127.0.0.1:1"), reach).code == "unreachable"


def test_fetch__deadline__ends_waiting_and_reading(base: Path, cloud: Cloud, reach: Reach) -> None:
    reach.until = time.monotonic() - 1
    assert refusal("az://box/a", azure(cloud.url), reach).code == "deadline"
    head = f"HTTP/1.1 200 OK\r\nETag: x\r\nLast-Modified: {MODIFIED}\r\nContent-Length: 600000\r\n\r\n".encode()
    cloud.routes[f"/{ACCOUNT}/box/a"] = Answer(raw=[head, *(b"x", 0.05) * 1000])
    begun = time.monotonic()
    with reaching(base, seconds=1) as hurried:
        assert refusal("az://box/a", azure(cloud.url), hurried).code in ("deadline", "unreachable")
    assert time.monotonic() - begun < 10


# -- the real emulator -----------------------------------------------------------------------------------------------


@pytest.fixture
def azurite(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["azurite-blob", "--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    with subprocess.Popen([*command, "--blobPort", str(port)], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            _ask(port, "box", "", {"restype": "container"})
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _ask(port: int, container: str, blob: str, query: dict[str, str], body: bytes = b"") -> None:
    """One signed PUT, as soon as the server answers."""
    path = f"/{ACCOUNT}/{container}" + (f"/{blob}" if blob else "")
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    headers |= {"x-ms-blob-type": "BlockBlob"} if blob else {}
    length = str(len(body)) if body else ""
    text = f"PUT\n\n\n{length}\n\n\n\n\n\n\n\n\n" + "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    text += f"/{ACCOUNT}{path}" + "".join(f"\n{name}:{value}" for name, value in query.items())
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{_signed(text)}"
    target = path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
    for _ in range(300):
        line = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            line.request("PUT", target, body, headers)
            answer = line.getresponse()
            assert answer.status == 201, answer.read()
            return
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            line.close()
    raise AssertionError("it did not start")


# Not a Debian package: asked itself only where somebody installed it (npm install --global azurite). What it answers is
# asked of the fake above on every machine.
if shutil.which("azurite-blob") is not None:

    def test_fetch__azurite__gives_what_was_put_there(azurite: str, reach: Reach) -> None:
        port = int(azurite.rpartition(":")[2])
        _ask(port, "box", "in/b.xml", {}, b"2")
        _ask(port, "box", "in/a.xml", {}, b"1")
        first, second = fetch(asking("az://box/in/*.xml", azure(azurite)), reach)
        assert (first.read(9), second.read(9)) == (b"1", b"2")
        assert 'etag: "0x' in first.provenance
        assert refusal("az://box/c.xml", azure(azurite), reach).code == "file-missing"
        assert refusal("az://nowhere/*.xml", azure(azurite), reach).code == "file-missing"
        assert refusal("az://box/a.xml", azure(azurite, account_key="file:other"), reach).code == "file-unreadable"
