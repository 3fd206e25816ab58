"""Files on this machine: a path or a glob, relative to the configuration's folder, or ``file://PATH``."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from attest.custody.document import MAX_BYTES, Document, too_large
from attest.custody.location import REASON, changed, check_count
from attest.custody.reach import Asked, Reach
from attest.errors import SourceError, printable

_CHUNK = 1 << 20


def check(location: str) -> None:
    """Raises ``ValueError`` for what no file can be called."""
    if "\0" in location:
        raise ValueError("holds a NUL character")
    if not _path(location):
        raise ValueError("is empty")


def _path(location: str) -> str:
    return location[7:] if location[:7].lower() == "file://" else location


def fetch(asked: Asked, reach: Reach, *, exact: bool) -> Iterator[tuple[str, Document]]:
    """The file at the path, or all files that match the glob, sorted by name. Raises :class:`SourceError` as
    :func:`read_file` does, and ``file-missing`` when nothing matches."""
    place = _path(asked.location)
    if exact or not glob.has_magic(place):
        yield place, read_file(reach.base / place)
        return
    # Not Path.glob: it takes no absolute pattern.
    found = glob.iglob(place, root_dir=reach.base, recursive=True)  # noqa: PTH207
    names = sorted(name for name in found if not name.endswith("/"))  # a/** finds a/ as well, even if it is a file
    if not names:
        where = printable(str(reach.base / place))
        raise SourceError(
            f"{where}: no file matches",
            code="file-missing",
            reason=REASON,
            advice="Put the custodian's statement there, or correct the source's location.",
        )
    check_count(printable(place), len(names))
    for name in names:
        yield name, read_file(reach.base / name)


def read_file(path: Path) -> Document:
    """One regular file, whole. Raises :class:`SourceError` naming it: ``file-missing``, ``file-unreadable``,
    ``not-a-file``, ``file-empty``, ``file-too-large``, ``file-changed`` if it was written while it was read."""
    where = printable(str(path))

    def refuse(code: str, detail: str, advice: str) -> SourceError:
        return SourceError(f"{where}: {detail}", code=code, reason=REASON, advice=advice)

    try:
        # Not blocking: opening a pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise refuse(
            "file-missing",
            "there is no such file",
            "Put the custodian's statement there, or correct the source's location.",
        ) from None
    except (OSError, ValueError) as fault:
        detail = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise refuse(
            "file-unreadable",
            f"cannot be read ({detail})",
            "Check that the file and its folders may be read by this user.",
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise refuse(
                "not-a-file", f"is {kind}", "Name the file itself, or a glob for the files in a folder (folder/*.xml)."
            )
        if status.st_size > MAX_BYTES:
            raise too_large(where, MAX_BYTES)
        document = Document(where, iter(lambda: os.read(descriptor, _CHUNK), b""), limit=MAX_BYTES)
        after = os.fstat(descriptor)
        if (document.size, after.st_size, after.st_mtime_ns) != (status.st_size, status.st_size, status.st_mtime_ns):
            raise changed(where)
        return document
    except OSError as fault:
        raise refuse(
            "file-unreadable", f"cannot be read ({fault.strerror})", "Check the disk or network share."
        ) from None
    finally:
        os.close(descriptor)
