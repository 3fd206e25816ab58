"""A bundle's folder in a zip: nothing is unpacked to disk, and nothing is believed that the archive says of itself.

Only the plainest form is read, so that every reader sees the same files: no zip64, no comment, nothing encrypted, no
links, each name once, flat or below one folder. The directory is measured before it is parsed, and a file is inflated
no further than its limit.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from attest.errors import OperatorError
from attest.verify.bundle import MAX_BUNDLE_BYTES, MAX_FILES, collect, refuse

#: The end of central directory (APPNOTE 4.3.16): signature, two disks, entries on this and in all, size, offset,
#: length of the comment. Before it stands the locator of a zip64 archive, if it is one (4.3.15).
_END = struct.Struct("<4s4HLLH")
_ZIP64_LOCATOR = struct.Struct("<4sLQL")
#: More than the entries of 64 files and a folder take, with what archivers note beside.
_MAX_DIRECTORY_BYTES = 64 * 1024
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of the bundle in the zip ``path``, by name. Raises :class:`OperatorError` when there is no such file,
    and :class:`VerificationError` for anything but a plain zip of one bundle's folder."""
    try:
        file = path.open("rb")
    except OSError as fault:
        raise OperatorError(
            f"{path}: cannot be read ({fault.strerror})",
            code="bundle-unreadable",
            reason="A bundle is one attestation's folder, a zip of it, or its address.",
            advice="Name the folder that holds attestation.dsse.json, a zip of it, or its https address.",
        ) from None
    with file:
        try:
            _measure(file)
            with zipfile.ZipFile(file) as archive:
                members = _members(archive.infolist())
                return collect(members, lambda name, limit: _inflate(archive, members[name], limit))
        except _BROKEN as fault:
            raise refuse(f"the zip cannot be read ({fault})") from None


def _measure(file: BinaryIO) -> None:
    """Refuse what could not be opened in bounded memory, or be read in two ways."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_BUNDLE_BYTES:
        raise refuse(f"the zip has more than {MAX_BUNDLE_BYTES} bytes")
    file.seek(max(0, size - _END.size - _ZIP64_LOCATOR.size))
    tail = file.read()
    if len(tail) < _END.size:
        raise refuse("it is neither a folder nor a zip")
    signature, _, _, _, entries, directory, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise refuse("it is neither a folder nor a zip that ends with its directory (a comment after it is refused)")
    if tail.startswith(b"PK\x06\x07"):
        raise refuse("the zip is in the format for huge archives (zip64)")
    if entries > MAX_FILES + 1 or directory > _MAX_DIRECTORY_BYTES:
        raise refuse(f"the zip lists more than {MAX_FILES} files")
    file.seek(0)


def _members(entries: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by their name in the bundle."""
    if len(entries) > MAX_FILES + 1:
        raise refuse(f"the zip lists more than {MAX_FILES} files")
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for entry in entries:
        shown = repr(entry.orig_filename[:200])
        folder, slash, name = entry.orig_filename.rpartition("/")
        if (folder in ("", ".", "..") and slash) or "/" in folder or "\\" in folder or "\0" in entry.orig_filename:
            raise refuse(f"the zip has {shown}, which does not lie in its only folder")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if slash and not name else stat.S_IFREG):
            raise refuse(f"the zip has {shown}, which is not a plain file (a link or device)")
        folders.add(folder)
        if slash and not name:
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise refuse(f"the zip has {shown}, which is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refuse(f"the zip has {shown}, which is compressed in an unusual way")
        if name in members:
            raise refuse(f"the zip has {shown} twice")
        members[name] = entry
    if len(folders) > 1:
        raise refuse(f"the zip has several folders ({', '.join(repr(one[:80]) for one in sorted(folders))})")
    return members


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    if entry.file_size > limit:
        raise refuse(f"{entry.filename!r} has more than {limit} bytes")
    with archive.open(entry) as member:
        # Without a number all would be inflated first, whatever size the entry says.
        return member.read(entry.file_size + 1)
