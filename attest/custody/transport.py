"""Brings a source's bytes here, whatever their format: the ``file`` transport, a path or a glob.

Nothing is interpreted on the way: a format reads the bytes, and the newest statement is chosen by the date in it, never
by a file's name or age.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from attest.errors import OperatorError, SourceError, printable

#: More than any statement that a bank sends (camt files are split long before), little enough to hold in memory.
MAX_BYTES = 64 * 1024 * 1024
#: A glob that catches more files than this is a mistake (an archive folder, the wrong `**`).
MAX_FILES = 400

TRANSPORTS = ("file",)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REASON = "An account can be attested only from what its custodian stated."


@dataclass(frozen=True)
class Fetched:
    """One document as it arrived: where it came from, for messages, and its bytes."""

    name: str
    data: bytes


def check_location(location: str, where: str) -> None:
    """Raises :class:`OperatorError` naming ``where`` if no transport here can reach ``location``."""
    scheme = _SCHEME.match(location)
    if scheme is not None:
        raise OperatorError(
            f"{where}: {location!r} needs the transport {scheme[1].lower()!r}, which does not exist",
            code="unknown-transport",
            reason="A location that cannot be reached would be missing in every run.",
            advice=f"The transports are: {', '.join(TRANSPORTS)}. Write a path or a glob relative to the "
            "configuration's folder, for example statements/{period}/account.xml.",
        )
    if "\0" in location:
        raise OperatorError(
            f"{where}: {location!r} holds a NUL character",
            code="malformed-location",
            reason="No file can have such a name.",
            advice="Write a path or a glob relative to the configuration's folder.",
        )


def fetch(location: str, *, base: Path, period: str) -> tuple[Fetched, ...]:
    """Everything at ``location``: a path or glob relative to ``base``, ``{period}`` replaced. Several files of a glob
    come sorted by name.

    Raises :class:`SourceError` naming the file when there is none, or one is unreadable, empty, not a regular file or
    (together) larger than :data:`MAX_BYTES`; :class:`OperatorError` for a transport that does not exist.
    """
    check_location(location, "location")
    place = location.replace("{period}", period)
    if not glob.has_magic(place):
        return (read_file(base / place),)
    # Not Path.glob: it takes no absolute pattern.
    names = sorted(glob.glob(place, root_dir=base, recursive=True))  # noqa: PTH207
    where = printable(str(base / place))
    if not names:
        raise SourceError(
            f"{where}: no file matches",
            code="file-missing",
            reason=_REASON,
            advice="Put the custodian's statement there, or correct the source's location.",
        )
    if len(names) > MAX_FILES:
        raise SourceError(
            f"{where}: {len(names)} files match, at most {MAX_FILES} are read",
            code="too-many-files",
            reason="So many files are an archive rather than one period's statements.",
            advice="Narrow the location, for example with {period} in it.",
        )
    files, room = [], MAX_BYTES
    for name in names:
        files.append(read_file(base / name, room))
        room -= len(files[-1].data)
    return tuple(files)


def read_file(path: Path, room: int = MAX_BYTES) -> Fetched:
    """One regular file, whole, of at most ``room`` bytes. Raises :class:`SourceError` as :func:`fetch` does."""
    where = printable(str(path))

    def refuse(code: str, detail: str, advice: str) -> SourceError:
        return SourceError(f"{where}: {detail}", code=code, reason=_REASON, advice=advice)

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
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise refuse(
                "not-a-file", f"is {kind}", "Name the file itself, or a glob for the files in a folder (folder/*.xml)."
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(room + 1)
    except OSError as fault:
        raise refuse(
            "file-unreadable", f"cannot be read ({fault.strerror})", "Check the disk or network share."
        ) from None
    finally:
        os.close(descriptor)
    if not data:
        raise refuse("file-empty", "is empty", "Fetch the statement again; the download or export was not complete.")
    if len(data) > room:
        raise refuse(
            "file-too-large",
            f"is larger than {MAX_BYTES // 1024 // 1024} MiB, together with what was read before it",
            "Ask for a balance report, or for fewer days and accounts in one file.",
        )
    return Fetched(where, data)
