"""Create-once object stores: what is decided is written once, and a second writer reads the first one's.

A store maps keys (``/``-separated, relative) to immutable bytes. ``create`` is atomic put-if-absent; there is no
delete, but for the one object that only asks whether the store can be written. ``replace`` exists for the few public
objects that are pointers (``checkpoint``, ``index.html``) and is never used for evidence or decisions. Local disk is
ours, because it must be durable (file and folder fsynced); S3, Azure Blob and Google Cloud Storage are obstore's.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from attest.errors import OperatorError

#: No part begins with a dot: not ``.`` or ``..``, and not the local store's temporary files.
_KEY = re.compile(r"[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]*(?:/[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]*)*", re.ASCII)
#: Bytes read at a time.
_PIECE = 1 << 20


class Store(Protocol):
    """What every store can do. Keys are ASCII, ``/``-separated, without empty parts and parts that begin
    with a dot."""

    @property
    def url(self) -> str:
        """Where the store is, for messages."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None if it was never created. Any other failure raises :class:`OperatorError`."""

    def create(self, key: str, data: bytes) -> bool:
        """Put if absent, durably: True if this call created the object, False if it was already there."""

    def create_from(self, key: str, chunks: Iterable[bytes]) -> bool:
        """:meth:`create` for large objects; local disk holds no more than one chunk in memory."""

    def chunks(self, key: str) -> Iterator[bytes] | None:
        """:meth:`get` for large objects, piece by piece."""

    def replace(self, key: str, data: bytes) -> None:
        """Put unconditionally, atomically: for pointers and pages only."""

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder ``prefix`` (no final slash; empty for all), sorted."""

    def discard_probe(self) -> None:
        """Take :data:`PROBE` away, if this identity may: nothing depends on it."""


def get_or_create(store: Store, key: str, compute: Callable[[], bytes]) -> bytes:
    """The idiom of the whole run: the stored artifact if there is one, else compute and create; the winner's bytes."""
    stored = store.get(key)
    if stored is not None:
        return stored
    data = compute()
    if store.create(key, data):
        return data
    winner = store.get(key)
    if winner is None:
        raise OperatorError(
            f"{store.url}: {key} was refused as existing, but cannot be read",
            code="store-inconsistent",
            reason="The store must show an object to every reader once it exists.",
            advice="Run `attest doctor`: it tests the store for put-if-absent and read-after-write.",
        )
    return winner


#: One object of each store: written by whoever asks whether the store can be written, and taken away again.
PROBE = "doctor-probe"


def check_writable(store: Store) -> None:
    """Write :data:`PROBE`, then try to create it. Raises :class:`OperatorError` if the store cannot be written, or lets
    the second writer in: two runners could then decide differently."""
    # Another who asks at the same time may take the probe away in between, but hardly each time.
    if not any(_keeps_first(store) for _ in range(3)):
        raise OperatorError(
            f"{store.url} does not keep the first of two writes (put-if-absent)",
            code="store-overwrites",
            reason="What is decided is written once; two runs at the same time could decide differently.",
            advice="Use a store that honours If-None-Match: AWS S3, Azure Blob, Google Cloud Storage, a recent MinIO "
            "or Ceph.",
        )


def _keeps_first(store: Store) -> bool:
    data = b"attest doctor\n"
    try:
        store.replace(PROBE, data)
        return not store.create(PROBE, b"another\n") and store.get(PROBE) == data
    finally:
        store.discard_probe()


def check_key(key: str) -> str:
    """Returns ``key``; raises ``ValueError`` if it could leave the store, mean two things, or be hidden."""
    if not _is_key(key):
        raise ValueError(f"not a store key: {key!r}")
    return key


def _is_key(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


class LocalStore:
    """A folder on local disk. Create is: temporary file, fsync, hard link, fsync of the folder. ``secret``: only its
    owner can read what is written (balances and salts).

    Temporary files are in a folder of their own (``.tmp``, on the same file system): what a crash leaves of one must
    not lie among published files, whose readers refuse a folder with anything else in it.
    """

    def __init__(self, root: Path, *, secret: bool = False) -> None:
        self.root = root
        self._mode = 0o600 if secret else 0o644
        self.url = f"file://{root}"

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as fault:
            raise self._failed("read", key, fault) from fault

    def chunks(self, key: str) -> Iterator[bytes] | None:
        path = self._path(key)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as fault:
            raise self._failed("read", key, fault) from fault
        return self._pieces(file, key)

    def _pieces(self, file: BinaryIO, key: str) -> Iterator[bytes]:
        with file:
            try:
                while piece := file.read(_PIECE):
                    yield piece
            except OSError as fault:
                raise self._failed("read", key, fault) from fault

    def create(self, key: str, data: bytes) -> bool:
        return self.create_from(key, (data,))

    def create_from(self, key: str, chunks: Iterable[bytes]) -> bool:
        path = self._path(key)
        try:
            if path.exists():
                # A crash may have come between the winner's link and its fsync; what we build on must be durable.
                self._sync_folder(path.parent)
                return False
            temporary = self._write_temporary(path, chunks)
            try:
                os.link(temporary, path)
                created = True
            except FileExistsError:
                created = False
            finally:
                temporary.unlink()
            self._sync_folder(path.parent)
        except OSError as fault:
            raise self._failed("write", key, fault) from fault
        return created

    def replace(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            temporary = self._write_temporary(path, (data,))
            temporary.replace(path)
            self._sync_folder(path.parent)
        except OSError as fault:
            raise self._failed("write", key, fault) from fault

    def list(self, prefix: str) -> list[str]:
        base = self._path(prefix) if prefix else self.root
        keys: list[str] = []
        for folder, _, names in os.walk(base, onerror=self._list_failed):
            keys += [Path(folder, name).relative_to(self.root).as_posix() for name in names]
        # What no key can name is not ours: a temporary file, or what a file manager left.
        return sorted(filter(_is_key, keys))

    def discard_probe(self) -> None:
        with contextlib.suppress(OSError):
            self._path(PROBE).unlink()

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _write_temporary(self, path: Path, chunks: Iterable[bytes]) -> Path:
        self._make_folders(path.parent)
        self._make_folders(self.root / ".tmp")
        temporary = self.root / ".tmp" / secrets.token_hex(8)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        return temporary

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        self._sync_folder(folder.parent)

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _list_failed(self, fault: OSError) -> None:
        if not isinstance(fault, FileNotFoundError | NotADirectoryError):
            raise self._failed("list", "", fault) from fault

    def _failed(self, action: str, key: str, fault: OSError) -> OperatorError:
        return OperatorError(
            f"{self.url}: cannot {action} {key or 'the store'} ({fault.strerror})",
            code="store-unavailable",
            reason="Every step is stored before the next begins; without the store nothing can be decided.",
            advice="Check that the folder exists, belongs to this user, is writable and has space; then run again.",
        )


class ObjectStore:
    """An S3, Azure Blob or Google Cloud Storage prefix, through obstore. Create uses ``If-None-Match: *``."""

    def __init__(self, url: str, backend: Any) -> None:
        self.url = url
        self._backend = backend

    def get(self, key: str) -> bytes | None:
        from obstore.exceptions import NotFoundError

        check_key(key)
        try:
            return bytes(self._backend.get(key).bytes())
        except (NotFoundError, FileNotFoundError):
            return None
        except Exception as fault:
            raise self._failed("read", key, fault) from fault

    def create(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        check_key(key)
        try:
            self._backend.put(key, data, mode="create")
        except AlreadyExistsError:
            # The SDK may have retried a put whose answer was lost: then the object there is our own.
            return False
        except Exception as fault:
            raise self._failed("write", key, fault) from fault
        return True

    def create_from(self, key: str, chunks: Iterable[bytes]) -> bool:
        # An upload in parts cannot be put-if-absent, so the whole is one put.
        return self.create(key, b"".join(chunks))

    def chunks(self, key: str) -> Iterator[bytes] | None:
        data = self.get(key)
        return None if data is None else iter((data,))

    def replace(self, key: str, data: bytes) -> None:
        check_key(key)
        try:
            self._backend.put(key, data, mode="overwrite")
        except Exception as fault:
            raise self._failed("write", key, fault) from fault

    def list(self, prefix: str) -> list[str]:
        folder = f"{check_key(prefix)}/" if prefix else None
        try:
            pages = self._backend.list(folder)
            return sorted(entry["path"] for page in pages for entry in page if _is_key(entry["path"]))
        except Exception as fault:
            raise self._failed("list", prefix, fault) from fault

    def discard_probe(self) -> None:
        with contextlib.suppress(Exception):  # without the right to delete, it stays
            self._backend.delete(PROBE)

    def _failed(self, action: str, key: str, fault: Exception) -> OperatorError:
        detail = str(fault).strip().splitlines()[0][:200] if str(fault).strip() else type(fault).__name__
        return OperatorError(
            f"{self.url}: cannot {action} {key or 'the store'} ({detail})",
            code="store-unavailable",
            reason="Only a plain 'not found' means absent; on S3 a missing ListBucket right answers 403 instead.",
            advice="Check bucket, region and this identity's rights (get, put, list); then run `attest doctor`.",
        )


class OverlayStore:
    """Reads from ``base``, writes to memory: a rehearsal (``--dry-run``) that leaves the store untouched."""

    def __init__(self, base: Store) -> None:
        self.base = base
        self.url = base.url
        self._written: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._written[key] if check_key(key) in self._written else self.base.get(key)

    def create(self, key: str, data: bytes) -> bool:
        if self.get(check_key(key)) is not None:
            return False
        self._written[key] = data
        return True

    def create_from(self, key: str, chunks: Iterable[bytes]) -> bool:
        return self.create(key, b"".join(chunks))

    def chunks(self, key: str) -> Iterator[bytes] | None:
        written = self._written.get(check_key(key))
        return self.base.chunks(key) if written is None else iter((written,))

    def replace(self, key: str, data: bytes) -> None:
        self._written[check_key(key)] = data

    def list(self, prefix: str) -> list[str]:
        below = f"{prefix}/" if prefix else ""
        return sorted({*self.base.list(prefix), *(key for key in self._written if key.startswith(below))})

    def discard_probe(self) -> None:
        self._written.pop(PROBE, None)


def open_store(url: str, *, base: Path, secret: bool = False) -> Store:
    """Open a store by URL: ``file://PATH`` (relative paths are below ``base``, the configuration's folder), ``s3://``,
    ``az://`` or ``gs://``. Cloud credentials come from the environment, as each cloud's own tools read them. With
    ``secret`` the files of a local store are for their owner only.

    Raises :class:`OperatorError` for any other scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return LocalStore((base / url.removeprefix("file://")).resolve(), secret=secret)
    if scheme in {"s3", "az", "gs"}:
        import obstore.store

        options: dict[str, Any] = {}
        if scheme == "s3" and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            options["client_options"] = {"allow_http": True}
        try:
            return ObjectStore(url, obstore.store.from_url(url, **options))
        except Exception as fault:
            raise OperatorError(
                f"store {url}: {fault}",
                code="store-unavailable",
                reason="The run keeps every decision in this store.",
                advice="Check the URL and the cloud credentials in the environment.",
            ) from fault
    raise OperatorError(
        f"store {url!r}: unknown scheme",
        code="unknown-store",
        reason="The run keeps every decision in this store.",
        advice="Use file://PATH, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or gs://BUCKET/PREFIX.",
    )
