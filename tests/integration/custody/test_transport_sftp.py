"""Files on SFTP servers: paramiko's own server in a thread, whose faults a test can choose, and OpenSSH's."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from attest.config import SftpConnection, StatementSignature
from attest.custody.document import MAX_BYTES, SMALL_BYTES
from attest.custody.reach import Reach
from attest.custody.transport import fetch
from attest.custody.transports import sftp
from attest.errors import OperatorError, SourceError
from tests.support.replay import asking, reaching
from tests.support.sftp import HOST, HOST_KEY, PASSWORD, USER_KEY, USER_PEM, Server, new_key

FRIDAY = 1_795_204_800  # 2026-11-20T20:00:00Z


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "wrong").write_text("hunter2-wrong")
    (tmp_path / "user.pem").write_bytes(USER_PEM)
    return tmp_path


@pytest.fixture
def reach(base: Path) -> Iterator[Reach]:
    with reaching(base) as reach:
        yield reach


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "files"
    root.mkdir()
    with Server(root) as server:
        yield server


def connect(**keys: Any) -> SftpConnection:
    way = {} if "private_key" in keys else {"password": "file:password"}
    return SftpConnection.model_validate(
        {"kind": "sftp", "user": "issuer", "host_key": HOST_KEY, "timeout_seconds": 5} | way | keys
    )


def write(server: Server, name: str, data: bytes = b"x") -> None:
    path = server.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (FRIDAY, FRIDAY))


def read(server: Server, path: str, reach: Reach, connection: SftpConnection | None = None) -> list[bytes]:
    location = f"sftp://127.0.0.1:{server.port}{path}"
    return [one.read(1 << 30) for one in fetch(asking(location, connection or connect()), reach)]


def refusal(
    server: Server, path: str, reach: Reach, connection: SftpConnection | None = None, **more: Any
) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(asking(f"sftp://127.0.0.1:{server.port}{path}", connection or connect()), reach, **more)
    assert "hunter2" not in "".join(caught.value.as_json().values())
    assert f"127.0.0.1:{server.port}" in caught.value.message
    assert caught.value.advice
    return caught.value


# -- what it reads ---------------------------------------------------------------------------------------------------


def test_fetch__path__is_that_file_with_its_date(server: Server, reach: Reach) -> None:
    write(server, "out/a b.xml", b"<xml/>")
    location = f"sftp://127.0.0.1:{server.port}/out/a b.xml"
    (document,) = fetch(asking(location, connect()), reach)
    assert document.read(100) == b"<xml/>"
    assert document.name == location
    assert document.provenance == "last-modified: 2026-11-20T20:00:00Z"


def test_fetch__path_from_the_home__is_relative_for_the_server(server: Server, reach: Reach) -> None:
    write(server, "home/out/a.xml", b"1")
    write(server, "home/b.xml", b"2")
    assert read(server, "/~/out/a.xml", reach) == [b"1"]
    assert read(server, "/~/*/*.xml", reach) == [b"1"]
    assert read(server, "/~/*.xml", reach) == [b"2"]


def test_fetch__pattern__is_every_file_that_it_means_sorted(server: Server, reach: Reach) -> None:
    for name in ("a/2.xml", "a/1.xml", "b/3.xml", "b/deep/4.xml", "c.xml", "a/.5.xml", "d/[1].xml"):
        write(server, name, name.encode())
    assert read(server, "/a/*.xml", reach) == [b"a/1.xml", b"a/2.xml"]
    assert read(server, "/*/[1-3].xml", reach) == [b"a/1.xml", b"a/2.xml", b"b/3.xml"]
    assert read(server, "/?/deep/4.xml", reach) == [b"b/deep/4.xml"]
    assert read(server, "/*/*/*.xml", reach) == [b"b/deep/4.xml"]
    assert read(server, "/d/[[]1].xml", reach) == [b"d/[1].xml"]


@pytest.mark.parametrize(
    ("size", "at_most"),
    [(1, 1 << 20), (32_768, 1 << 20), (32_769, 1 << 20), (SMALL_BYTES + 12_345, 1 << 20), (600_000, 10_000)],
)
def test_fetch__file_of_any_size__is_read_whole_whatever_the_server_gives_at_once(
    server: Server, reach: Reach, size: int, at_most: int
) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    write(server, "a", data)
    server.reads_at_most = at_most
    (got,) = read(server, "/a", reach)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_fetch__signed_file__is_followed_by_its_signature(server: Server, reach: Reach) -> None:
    signature = StatementSignature(kind="pgp", suffix=".asc", key="bank.asc")
    write(server, "a.xml")
    fault = refusal(server, "/*.xml", reach, signature=signature)
    assert fault.code == "signature-missing"
    assert "/a.xml.asc: " in fault.message
    write(server, "a.xml.asc", b"signature")
    location = f"sftp://127.0.0.1:{server.port}/*"
    documents = fetch(asking(location, connect()), reach, signature)
    assert [one.read(100) for one in documents] == [b"x", b"signature"]


# -- who it speaks to, and as whom -----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "the passphrase"])
def test_fetch__private_key__logs_in(server: Server, base: Path, reach: Reach, password: str | None) -> None:
    write(server, "a")
    hidden = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    (base / "id").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, hidden))
    if password is None:
        (base / "id").write_bytes(USER_PEM)
        assert read(server, "/a", reach, connect(private_key="id")) == [b"x"]
        return
    (base / "phrase").write_text(password)
    # The key is read, and is not the one that the server knows.
    fault = refusal(server, "/a", reach, connect(private_key="id", private_key_password="file:phrase"))
    assert fault.code == "login-refused"
    for wrong in ({}, {"private_key_password": "file:wrong"}):
        with pytest.raises(OperatorError) as caught:
            read(server, "/a", reach, connect(private_key="id", **wrong))
        assert caught.value.code == "private-key"
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("name", ["none", "folder", "nonsense"])
def test_fetch__private_key_that_cannot_be_used__is_the_operator_s_fault(
    server: Server, base: Path, reach: Reach, name: str
) -> None:
    (base / "folder").mkdir()
    (base / "nonsense").write_text("hunter2")
    with pytest.raises(OperatorError) as caught:
        read(server, "/a", reach, connect(private_key=name))
    assert caught.value.code == "private-key"
    assert name in caught.value.message
    assert server.logins == []


def test_fetch__another_host_key__is_refused_with_both_fingerprints_before_anything_is_sent(
    server: Server, reach: Reach
) -> None:
    _, other, _ = new_key()
    fault = refusal(server, "/a", reach, connect(host_key=other))
    assert fault.code == "host-key-differs"
    assert "attack" in fault.reason
    for key in (HOST_KEY, other):
        shown = subprocess.run(["ssh-keygen", "-lf", "-"], input=key.encode(), capture_output=True, check=False)
        if shown.returncode == 0:
            assert shown.stdout.split()[1].decode() in fault.message
    assert fault.message.count("ssh-ed25519 SHA256:") == 2
    assert server.logins == []


def test_fetch__host_key_of_another_kind__is_refused_with_both(server: Server, reach: Reach) -> None:
    pinned = paramiko.ECDSAKey.generate()
    host_key = f"{pinned.get_name()} {pinned.get_base64()}"
    fault = refusal(server, "/a", reach, connect(host_key=host_key))
    assert fault.code == "host-key-differs"
    assert "ecdsa-sha2-nistp256 SHA256:" in fault.message
    assert "ssh-ed25519 SHA256:" in fault.message


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_fetch__server_with_several_host_keys__shows_the_pinned_one(tmp_path: Path, reach: Reach, kind: str) -> None:
    keys = (HOST, paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048))
    with Server(tmp_path, keys) as server:
        write(server, "a")
        (pinned,) = [one for one in keys if one.get_name() == kind]
        assert read(server, "/a", reach, connect(host_key=f"{kind} {pinned.get_base64()}")) == [b"x"]


@pytest.mark.parametrize(
    "host_key",
    ["ssh-ed25519 AAAA", "ssh-rsa " + HOST_KEY.split()[1], "ssh-ed25519 A"],
    ids=["cut", "of another kind", "no base64"],
)
def test_fetch__pinned_key_that_is_none__is_the_operator_s_fault(server: Server, reach: Reach, host_key: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read(server, "/a", reach, connect(host_key=host_key))
    assert caught.value.code == "malformed-host-key"


@pytest.mark.parametrize(
    ("allowed", "keys", "says"),
    [
        ("password", {"password": "file:wrong"}, "does not accept this password"),
        ("password", {"user": "another"}, "does not accept this password"),
        ("publickey", {}, "takes no password"),
        ("password", {"private_key": "user.pem"}, "takes no key"),
        ("publickey", {"private_key": "user.pem", "user": "another"}, "does not accept this key"),
        ("publickey,second", {"private_key": "user.pem"}, "second factor"),
    ],
)
def test_fetch__login_that_is_refused__is_told(
    server: Server, reach: Reach, allowed: str, keys: dict[str, str], says: str
) -> None:
    server.allowed = allowed
    fault = refusal(server, "/a", reach, connect(**keys))
    assert fault.code == "login-refused"
    assert says in fault.message


def test_fetch__nothing_of_the_user_s_own_set_up__is_used(
    server: Server, reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "me"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519").write_bytes(USER_PEM)
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {new_key()[1]}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    write(server, "a")
    assert read(server, "/a", reach) == [b"x"]
    assert refusal(server, "/a", reach, connect(password="file:wrong")).code == "login-refused"
    assert all(":" in login for login in server.logins)


# -- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/none.xml", "/none/*.xml", "/*.xml", "/*/none.xml", "/a/*/b", "/~/none"])
def test_fetch__nothing_there__is_refused_by_name(server: Server, reach: Reach, path: str) -> None:
    write(server, "a/b")
    fault = refusal(server, path, reach)
    assert fault.code == "file-missing"
    assert path in fault.message


@pytest.mark.parametrize("path", ["/denied.xml", "/closed/*", "/*/denied", "/*.xml"])
def test_fetch__server_that_denies__is_refused_by_name(server: Server, reach: Reach, path: str) -> None:
    write(server, "denied.xml")
    write(server, "closed/a")
    write(server, "b/a")
    fault = refusal(server, path, reach)
    assert fault.code == "file-unreadable"
    assert "denies access" in fault.message


def test_fetch__folder_or_device__is_no_file(server: Server, reach: Reach) -> None:
    (server.root / "folder").mkdir()
    fault = refusal(server, "/folder", reach)
    assert (fault.code, "failure" in fault.message) == ("file-unreadable", True)
    write(server, "a")

    def device(attributes: paramiko.SFTPAttributes) -> None:
        attributes.st_mode = 0o020666

    server.on_stat = device
    assert refusal(server, "/a", reach).code == "not-a-file"


def test_fetch__empty_file__is_refused(server: Server, reach: Reach) -> None:
    write(server, "a", b"")
    assert refusal(server, "/a", reach).code == "file-empty"


def test_fetch__file_that_is_said_to_be_larger_than_any_statement__is_not_read(server: Server, reach: Reach) -> None:
    write(server, "a")

    def large(attributes: paramiko.SFTPAttributes) -> None:
        attributes.st_size = MAX_BYTES + 1

    server.on_stat = large
    assert refusal(server, "/a", reach).code == "file-too-large"


def test_fetch__file_without_size__is_refused(server: Server, reach: Reach) -> None:
    write(server, "a")

    def unknown(attributes: paramiko.SFTPAttributes) -> None:
        attributes.st_size = None

    server.on_stat = unknown
    assert refusal(server, "/a", reach).code == "file-unreadable"


@pytest.mark.parametrize("how", ["longer", "shorter", "touched"])
def test_fetch__file_that_is_written_meanwhile__is_refused(server: Server, reach: Reach, how: str) -> None:
    write(server, "a", bytes(100_000))

    def change(path: Path) -> None:
        server.on_read = lambda path: None
        if how == "touched":
            os.utime(path, (FRIDAY + 1, FRIDAY + 1))
        else:
            path.write_bytes(bytes(50_000 if how == "shorter" else 150_000))

    server.on_read = change
    assert refusal(server, "/a", reach).code == "file-changed"


def test_fetch__names_that_lead_elsewhere__are_left_out(server: Server, reach: Reach) -> None:
    write(server, "a/1", b"1")
    write(server, "2", b"2")

    def deceive(entries: list[paramiko.SFTPAttributes]) -> None:
        entries.append(paramiko.SFTPAttributes.from_stat((server.root / "2").stat(), "../2"))

    server.on_list = deceive
    assert read(server, "/a/*", reach) == [b"1"]


def test_fetch__too_many_files_or_names__are_refused(
    server: Server, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(server, f"in/{name}.xml")
    monkeypatch.setattr("attest.custody.location.MAX_DOCUMENTS", 2)
    assert refusal(server, "/in/*.xml", reach).code == "too-many-files"
    monkeypatch.setattr(sftp, "_MAX_NAMES", 2)
    fault = refusal(server, "/in/a*.xml", reach)
    assert fault.code == "file-unreadable"
    assert "more than 2 names" in fault.message


# -- connections that fail -------------------------------------------------------------------------------------------


def test_fetch__server_that_drops_connections_at_first__is_tried_again(
    server: Server, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "_PAUSES", (0.01, 0.01))
    write(server, "a")
    server.drops = 2
    assert read(server, "/a", reach) == [b"x"]
    server.drops = 3
    assert refusal(server, "/a", reach).code == "unreachable"


def test_fetch__server_that_is_not_there__is_refused(server: Server, reach: Reach) -> None:
    server.refuse()
    fault = refusal(server, "/a", reach)
    assert fault.code == "unreachable"
    assert "Connection refused" in fault.message


def test_fetch__server_that_says_nothing__ends_at_the_time_out(
    tmp_path: Path, reach: Reach, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "_PAUSES", ())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        location = f"sftp://127.0.0.1:{silent.getsockname()[1]}/a"
        begun = time.monotonic()
        with pytest.raises(SourceError) as caught:
            fetch(asking(location, connect(timeout_seconds=1)), reach)
    assert caught.value.code == "unreachable"
    assert time.monotonic() - begun < 5
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_fetch__deadline__cuts_off_whatever_waits(server: Server, base: Path) -> None:
    write(server, "a", bytes(3 << 20))
    server.on_read = lambda path: time.sleep(0.1)
    begun = time.monotonic()
    with reaching(base, seconds=1) as hurried:
        assert refusal(server, "/a", hurried).code == "deadline"
    server.on_read = lambda path: time.sleep(3)
    with reaching(base, seconds=1) as hurried:
        assert refusal(server, "/a", hurried).code == "deadline"
        assert refusal(server, "/a", hurried).code == "deadline"
    assert time.monotonic() - begun < 8


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_fetch__server_that_hangs_up_while_a_file_is_read__is_refused(server: Server, reach: Reach) -> None:
    write(server, "a", bytes(3 << 20))
    server.on_read = lambda path: server._transports[-1].close()
    assert refusal(server, "/a", reach).code == "unreachable"


def test_fetch__many_sources_of_one_server__take_turns(
    server: Server, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(server, "a.xml", b"x")
    write(server, "a.xml.sig", b"s")
    monkeypatch.setattr(sftp, "_PLACES", 2)
    session = sftp._session
    at_once: list[int] = [0]
    lock = threading.Lock()

    @contextmanager
    def counted(*arguments: Any) -> Iterator[Any]:
        with session(*arguments) as one:
            with lock:
                at_once.append(at_once[-1] + 1)
            yield one
            with lock:
                at_once.append(at_once[-1] - 1)

    monkeypatch.setattr(sftp, "_session", counted)
    found: list[int] = []
    signature = StatementSignature(kind="pgp", key="k")

    def one() -> None:
        location = f"sftp://127.0.0.1:{server.port}/*.xml"
        found.append(len(fetch(asking(location, connect()), reach, signature)))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 6
    assert max(at_once) <= 2


def test_fetch__place_that_does_not_become_free__ends_at_the_deadline(server: Server, base: Path) -> None:
    with reaching(base, seconds=0.2) as hurried:
        hurried.shared(("sftp", "127.0.0.1", server.port), lambda: threading.BoundedSemaphore(1)).acquire()
        assert refusal(server, "/a", hurried).code == "deadline"


# -- OpenSSH ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[int]:
    """The port of an OpenSSH server of this user's own."""
    host, _, pem = new_key()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name, data in {"host": pem, "authorized": USER_KEY.encode(), "host.pub": host.get_base64().encode()}.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    program = shutil.which("sshd") or ""
    with subprocess.Popen([program, "-D", "-e", "-f", str(tmp_path / "sshd.conf")], stderr=subprocess.DEVNULL) as run:
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield port
        finally:
            run.terminate()


@pytest.mark.requires("sshd", "apt-get install openssh-server")
def test_fetch__openssh__gives_what_lies_there(sshd: int, base: Path, reach: Reach) -> None:
    folder = base / "out"
    folder.mkdir()
    large = os.urandom(3 << 20)
    for name, data in {"b.xml": large, "a.xml": b"1", "c.csv": b"3"}.items():
        (folder / name).write_bytes(data)
        os.utime(folder / name, (FRIDAY, FRIDAY))
    host_key = "ssh-ed25519 " + (base / "host.pub").read_text()
    connection = connect(private_key="user.pem", user=getpass.getuser(), host_key=host_key)

    def asked(path: str) -> Any:
        return asking(f"sftp://127.0.0.1:{sshd}{path}", connection)

    first, second = fetch(asked(f"{folder}/*.xml"), reach)
    assert (first.read(9), second.read(len(large))) == (b"1", large)
    assert first.provenance == "last-modified: 2026-11-20T20:00:00Z"
    for path, code in (("/none", "file-missing"), ("/a.xml/*", "file-missing"), ("", "not-a-file")):
        with pytest.raises(SourceError) as caught:
            fetch(asked(f"{folder}{path}"), reach)
        assert caught.value.code == code
    with pytest.raises(SourceError) as caught:
        fetch(asking(f"sftp://127.0.0.1:{sshd}/a", connection.model_copy(update={"host_key": HOST_KEY})), reach)
    assert caught.value.code == "host-key-differs"
    with pytest.raises(SourceError) as caught:
        fetch(asking(f"sftp://127.0.0.1:{sshd}/a", connection.model_copy(update={"user": "nobody-here"})), reach)
    assert caught.value.code == "login-refused"
