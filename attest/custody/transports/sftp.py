"""Files on SFTP servers: ``sftp://HOST[:PORT]/PATH``, where the path may be a pattern. ``/~/`` is the user's home.

The server's host key is pinned in the connection. Nothing of the user's own SSH set-up is used: no agent, no keys found
on disk, no known_hosts, no configuration file.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from attest.config import SftpConnection
from attest.custody.document import MAX_BYTES, Document, too_large
from attest.custody.location import (
    REASON,
    changed,
    check_count,
    is_pattern,
    matches_part,
    missing,
    provenance,
    shown,
    unreachable,
    unreadable,
)
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError, SourceError

if TYPE_CHECKING:
    import paramiko

#: Connections to one server at the same time: SSH servers drop further ones that have not logged in yet.
_PLACES = 4
#: Seconds to wait before each further attempt to connect.
_PAUSES = (0.5, 1.0)
#: What every server gives in one answer, and how many such answers are asked for at once.
_PIECE, _PIECES = 32 * 1024, 16
#: Names that are looked at for one pattern.
_MAX_NAMES = 100_000


def check(location: str) -> None:
    """Raises ``ValueError`` for what is no server and path."""
    match = _LOCATION.fullmatch(location)
    if match is None or not 0 < int(match["port"] or 22) < 65536:
        raise ValueError("write it as sftp://HOST[:PORT]/PATH; the user stands in the connection")
    path = match["path"]
    if path.endswith("/"):
        raise ValueError("names a folder: add a name or a pattern, for example /out/*.xml")
    if "**" in path.split("/"):
        raise ValueError("SFTP has no ** patterns: name the folders, or use * for one of them")
    if not path.isprintable():
        raise ValueError("holds control or invisible characters")


_LOCATION = re.compile(
    r"sftp://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/.+)",
    re.IGNORECASE | re.DOTALL,
)


def fetch(asked: Asked, reach: Reach, *, exact: bool) -> list[tuple[str, Document]]:
    """The file at the path, or all that match the pattern, sorted by name. Raises :class:`SourceError` naming the file:
    ``file-missing``, ``file-unreadable``, ``not-a-file``, ``file-changed``, ``file-empty``, ``file-too-large``, or the
    server: ``host-key-differs``, ``login-refused``, ``unreachable``; :class:`OperatorError` for a host key or private
    key that cannot be used."""
    match = cast(re.Match[str], _LOCATION.fullmatch(asked.location))
    host, port, path = match["host"].strip("[]"), int(match["port"] or 22), match["path"]
    server = asked.location[: match.start("path")]
    where = shown(asked.location)
    place = reach.shared(("sftp", host, port), lambda: threading.BoundedSemaphore(_PLACES))
    if not place.acquire(timeout=reach.remaining(where)):
        reach.remaining(where)
    try:
        with _session(cast(SftpConnection, asked.connection), reach, host, port, where) as session:
            paths = [path] if exact or not is_pattern(path) else _matching(session, reach, path, server)
            # All of them now: whoever takes them one by one would hold the place, and may want another one meanwhile.
            return [(f"{server}{one}", _read(session, reach, one, shown(f"{server}{one}"))) for one in paths]
    finally:
        place.release()


# -- the connection --------------------------------------------------------------------------------------------------


@contextmanager
def _session(
    connection: SftpConnection, reach: Reach, host: str, port: int, where: str
) -> Iterator[paramiko.SFTPClient]:
    """An SFTP session with the pinned server. At the deadline it is cut off, whatever waits for it."""
    import paramiko

    # It logs what it raises, tracebacks and all.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    pinned = _pinned(connection)
    key = _private_key(connection, reach)
    password = None if connection.password is None else reach.secret(connection.password)
    with ExitStack() as stack:
        transport = None
        try:
            transport = _connected(connection, reach, host, port, where)
            stack.callback(transport.close)
            end = threading.Timer(reach.remaining(where), transport.close)
            end.daemon = True
            end.start()
            stack.callback(end.cancel)
            _check_host_key(transport.get_remote_server_key(), pinned, where)
            _log_in(transport, connection.user, password, key, where)
            channel = transport.open_session(timeout=connection.timeout_seconds)
            channel.settimeout(connection.timeout_seconds)
            channel.invoke_subsystem("sftp")
            yield paramiko.SFTPClient(channel)
        except (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError) as fault:
            # So paramiko raises a failure that the server gives no kind of.
            if type(fault) is OSError and fault.errno is None and transport is not None and transport.is_active():
                raise unreadable(
                    where,
                    "the server answers with a failure",
                    "See whether the path is a folder, or whether the file is in use; then ask the custodian.",
                ) from None
            raise _broken(reach, where, fault) from None


def _pinned(connection: SftpConnection) -> tuple[str, bytes]:
    """The pinned host key: its kind, and all its bytes (RFC 4253 section 6.6: they begin with the kind)."""
    kind, _, encoded = connection.host_key.partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not key.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise OperatorError(
            f"host_key {connection.host_key!r} is no {kind} public key",
            code="malformed-host-key",
            reason="Only a server whose key is known exactly can be told from another one in its place.",
            advice="Copy kind and key from `ssh-keyscan HOST` or known_hosts, and compare the fingerprint"
            " (`ssh-keygen -lf`) with the one that the custodian gives.",
        )
    return kind, key


def _connected(connection: SftpConnection, reach: Reach, host: str, port: int, where: str) -> paramiko.Transport:
    """A connection whose keys are exchanged. A server that has too many at the moment closes it before that."""
    import paramiko

    kind = connection.host_key.partition(" ")[0]
    pinned = ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
    for pause in (*_PAUSES, None):
        limit = min(float(connection.timeout_seconds), reach.remaining(where))
        transport = None
        try:
            transport = paramiko.Transport(socket.create_connection((host, port), timeout=limit))
            transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = limit
            options = transport.get_security_options()
            # The pinned kind first, so that a server with several keys shows that one.
            options.key_types = (
                *(one for one in pinned if one in options.key_types),
                *(one for one in options.key_types if one not in pinned),
            )
            transport.start_client(timeout=limit)
            transport.get_remote_server_key()  # raises where the time was over before there was one
            return transport
        except (paramiko.SSHException, EOFError, OSError) as fault:
            if transport is not None:
                transport.close()
            if pause is None:
                raise _broken(reach, where, fault) from None
            time.sleep(min(pause, reach.remaining(where)))
    raise AssertionError("the last attempt returns or raises")


def _check_host_key(key: paramiko.PKey, pinned: tuple[str, bytes], where: str) -> None:
    shows = key.get_name(), key.asbytes()
    if shows != pinned:
        raise SourceError(
            f"{where}: the server's host key is {_fingerprint(*shows)}, not the pinned {_fingerprint(*pinned)}",
            code="host-key-differs",
            reason="Another server may stand in its place: this may be an attack. Neither user nor password was sent.",
            advice="Ask the custodian, by another way than this one, whether its host key was changed; only then pin "
            "the new one as host_key.",
        )


def _fingerprint(kind: str, key: bytes) -> str:
    """As ``ssh-keygen -l`` shows it."""
    return f"{kind} SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _log_in(
    transport: paramiko.Transport, user: str, password: str | None, key: paramiko.PKey | None, where: str
) -> None:
    import paramiko

    with_what = "password" if key is None else "key"
    try:
        further = transport.auth_password(user, password) if key is None else transport.auth_publickey(user, key)
        refused = "it asks for a second factor" if further else ""
    except paramiko.BadAuthenticationType:
        refused = f"it takes no {with_what} from this user"
    except paramiko.AuthenticationException:
        alive = transport.is_active()
        refused = f"it does not accept this {with_what}" if alive else "it hung up during the login"
    if refused:
        raise SourceError(
            f"{where}: the server refuses the login of {user}: {refused}",
            code="login-refused",
            reason=REASON,
            advice="Check user and password or key of the connection; it may have expired, or not be registered there.",
        )


def _private_key(connection: SftpConnection, reach: Reach) -> paramiko.PKey | None:
    import paramiko

    if connection.private_key is None:
        return None
    reference = connection.private_key_password
    password = None if reference is None else reach.secret(reference).encode()
    try:
        key: paramiko.PKey = paramiko.PKey.from_path(reach.base / connection.private_key, password)
        return key
    except FileNotFoundError:
        detail = "there is no such file"
    except OSError as fault:
        detail = f"cannot be read ({fault.strerror})"
    except (paramiko.SSHException, paramiko.UnknownKeyType, ValueError, TypeError):
        detail = "is no private key in OpenSSH or PEM format, or its password is missing or wrong"
    raise OperatorError(
        f"{connection.private_key}: {detail}",
        code="private-key",
        reason="Without it the server does not know who asks.",
        advice="Check private_key and private_key_password of the connection.",
    )


def _broken(reach: Reach, where: str, fault: Exception) -> SourceError:
    """The error of a connection that failed. Raises the deadline's if that was the cause."""
    reach.remaining(where)
    detail = getattr(fault, "strerror", None) or type(fault).__name__
    return unreachable(where, f"the SFTP server cannot be reached, or broke off ({detail})")


# -- files -----------------------------------------------------------------------------------------------------------


def _remote(path: str) -> str:
    """A location's path for the server: what is below ``/~`` is relative, for servers begin at the user's home."""
    if path == "/~" or path.startswith("/~/"):
        return path[3:] or "."
    return path or "/"


def _matching(session: paramiko.SFTPClient, reach: Reach, pattern: str, server: str) -> list[str]:
    """The paths that the pattern means, sorted."""
    where = shown(f"{server}{pattern}")
    looked = 0

    def entries(folder: str) -> Iterator[Any]:
        nonlocal looked
        try:
            for entry in session.listdir_iter(_remote(folder)):
                looked += 1
                reach.remaining(where)
                if looked > _MAX_NAMES:
                    raise unreadable(where, f"there are more than {_MAX_NAMES} names", "Narrow the location.")
                yield entry
        except PermissionError:
            raise _denied(shown(f"{server}{folder}")) from None
        except FileNotFoundError:
            return

    def there(path: str, kind: Callable[[int], bool]) -> bool:
        try:
            return kind(session.stat(_remote(path)).st_mode or 0)
        except PermissionError:
            raise _denied(shown(f"{server}{path}")) from None
        except FileNotFoundError:
            return False

    def walk(folder: str, part: str, *more: str) -> Iterator[str]:
        if is_pattern(part):
            # Another folder cannot be listed between two entries of this one.
            names = [entry.filename for entry in entries(folder)]
            paths = [f"{folder}/{name}" for name in names if "/" not in name and matches_part(name, part)]
        else:
            paths = [f"{folder}/{part}"]
        for path in paths:
            if more and (not is_pattern(part) or there(path, stat.S_ISDIR)):
                yield from walk(path, *more)
            elif not more and (is_pattern(part) or there(path, stat.S_ISREG)):
                yield path

    found = []
    for path in walk("", *pattern[1:].split("/")):
        found.append(path)
        check_count(where, len(found))
    if not found:
        raise missing(where, "nothing matches")
    return sorted(found)


def _read(session: paramiko.SFTPClient, reach: Reach, path: str, where: str) -> Document:
    import paramiko

    reach.remaining(where)
    try:
        with session.open(_remote(path), "rb") as file:
            about = file.stat()
            if about.st_mode is not None and not stat.S_ISREG(about.st_mode):
                raise SourceError(
                    f"{where}: is not a regular file",
                    code="not-a-file",
                    reason=REASON,
                    advice="Name the file itself, or a pattern for the files in a folder (folder/*.xml).",
                )
            if about.st_size is None:
                raise unreadable(where, "the server does not say how large it is", "Ask for another SFTP server.")
            if about.st_size > MAX_BYTES:
                raise too_large(where, MAX_BYTES)
            at = None if about.st_mtime is None else datetime.fromtimestamp(about.st_mtime, UTC)
            document = Document(
                where, _pieces(file, about.st_size, reach, where), provenance=provenance(last_modified=at)
            )
            after = file.stat()
            if (after.st_size, after.st_mtime) != (about.st_size, about.st_mtime):
                raise changed(where)
            return document
    except FileNotFoundError:
        raise missing(where, "there is no such file") from None
    except PermissionError:
        raise _denied(where) from None
    except paramiko.SFTPError:
        raise unreachable(where, "the server answers what is not SFTP") from None


def _pieces(file: paramiko.SFTPFile, size: int, reach: Reach, where: str) -> Iterator[bytes]:
    """The file's bytes, a few pieces asked for at once: one at a time is one round trip for each, and all at once is
    the whole file in memory."""
    ask = file._prefetch_thread

    def quietly(*wanted: Any) -> None:
        with suppress(EOFError, OSError):  # whoever reads finds out, too; here it would be a traceback on the terminal
            ask(*wanted)

    file._prefetch_thread = quietly
    for begin in range(0, size, _PIECE * _PIECES):
        reach.remaining(where)
        end = min(begin + _PIECE * _PIECES, size)
        wanted = [(at, min(_PIECE, end - at)) for at in range(begin, end, _PIECE)]
        for (_, length), piece in zip(wanted, file.readv(wanted), strict=True):
            if len(piece) != length:
                raise changed(where)
            yield piece


def _denied(where: str) -> SourceError:
    return unreadable(
        where, "the server denies access", "Ask the custodian for the right to read it, and to list its folder."
    )
