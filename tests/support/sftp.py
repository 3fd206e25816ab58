"""An SFTP server in a thread, paramiko's own, whose faults a test can choose. The user is ``issuer``.

with Server(tmp_path / "files") as server:
    fetch(f"sftp://127.0.0.1:{server.port}/a.xml", host_key=HOST_KEY, password=PASSWORD)
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PASSWORD = "hunter2-hunter2"


def new_key() -> tuple[paramiko.PKey, str, bytes]:
    """A private key: for paramiko, its public half as known_hosts has it, and as a file."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return paramiko.Ed25519Key.from_private_key(io.StringIO(pem.decode())), public, pem


HOST, HOST_KEY, _ = new_key()
USER, USER_KEY, USER_PEM = new_key()


class Server:
    """An SFTP server whose files lie in ``root``. Its attributes ``on_...`` and ``drops`` are the faults."""

    def __init__(self, root: Path, host_keys: tuple[paramiko.PKey, ...] = (HOST,)) -> None:
        self.root = root
        self.host_keys = host_keys
        self.allowed = "password,publickey"
        self.drops = 0
        self.logins: list[str] = []
        self.on_read: Callable[[Path], None] = lambda path: None
        self.on_stat: Callable[[paramiko.SFTPAttributes], None] = lambda attributes: None
        self.on_list: Callable[[list[paramiko.SFTPAttributes]], None] = lambda entries: None
        self.reads_at_most = 1 << 30
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        for transport in self._transports:
            transport.close()

    def refuse(self) -> None:
        """Take no further connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not end the waiting for one more
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.drops:
                self.drops -= 1
                connection.close()
                continue
            transport = paramiko.Transport(connection)
            for key in self.host_keys:
                transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _files(self))
            self._transports.append(transport)
            transport.start_server(event=threading.Event(), server=_Login(self))


class _Login(paramiko.ServerInterface):
    def __init__(self, server: Server) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:
        return self.server.allowed

    def check_auth_password(self, username: str, password: str) -> int:
        self.server.logins.append(f"{username}:{password}")
        good = "password" in self.server.allowed and (username, password) == ("issuer", PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.server.logins.append(username)
        if "second" in self.server.allowed:
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        good = "publickey" in self.server.allowed and (username, key.asbytes()) == ("issuer", USER.asbytes())
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


def _files(server: Server) -> type[paramiko.SFTPServerInterface]:
    class Handle(paramiko.SFTPHandle):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path
            self.file = path.open("rb")

        def read(self, offset: int, length: int) -> bytes | int:
            server.on_read(self.path)
            self.file.seek(offset)
            return self.file.read(min(length, server.reads_at_most)) or paramiko.SFTP_EOF

        def stat(self) -> paramiko.SFTPAttributes:
            attributes = paramiko.SFTPAttributes.from_stat(self.path.stat())
            server.on_stat(attributes)
            return attributes

        def close(self) -> None:
            self.file.close()

    class Files(paramiko.SFTPServerInterface):
        def _path(self, path: str) -> Path:
            # "home" is where relative paths begin.
            return server.root / "home" / path if not path.startswith("/") else server.root / path[1:]

        def _do(self, action: Callable[[], Any]) -> Any:
            try:
                return action()
            except OSError as fault:
                return paramiko.SFTPServer.convert_errno(fault.errno)

        def open(self, path: str, flags: int, attr: Any) -> Any:
            if path.endswith("denied.xml"):
                return paramiko.SFTP_PERMISSION_DENIED
            if self._path(path).is_dir():
                return paramiko.SFTP_FAILURE
            return self._do(lambda: Handle(self._path(path)))

        def stat(self, path: str) -> Any:
            if path.endswith("denied"):
                return paramiko.SFTP_PERMISSION_DENIED
            return self._do(lambda: paramiko.SFTPAttributes.from_stat(self._path(path).stat()))

        lstat = stat

        def canonicalize(self, path: str) -> str:
            return path

        def list_folder(self, path: str) -> Any:
            if path.endswith("closed"):
                return paramiko.SFTP_PERMISSION_DENIED

            def entries() -> list[paramiko.SFTPAttributes]:
                found = [paramiko.SFTPAttributes.from_stat(one.stat(), one.name) for one in self._path(path).iterdir()]
                server.on_list(found)
                return found

            return self._do(entries)

    return Files
