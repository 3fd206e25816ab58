"""Reading a bundle's folder as a stranger's: no links, no surprises, bounded sizes, every file as the manifest says."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attest.documents import MAX_ENVELOPE_BYTES, Manifest
from attest.errors import OperatorError, VerificationError
from attest.log.timestamp import MAX_STAMP_BYTES
from attest.records import digest, from_json

ENVELOPE = "attestation.dsse.json"
RESERVES = "reserves.json"
RECEIPTS = "receipts.json"
LOG_PROOF = "attestation.tlog-proof"
CHAIN_PROOF = "chain-proof.json"
TIMESTAMP = "checkpoint.tsr"
MANIFEST = "manifest.json"
#: The attestors' signatures over the manifest; it covers all others, so it is not listed itself.
MANIFEST_ENVELOPE = "manifest.dsse.json"

#: From this version on the manifest is signed.
SIGNED_FORMAT = "attest-manifest/2"

#: What every bundle must have. Chain proofs, a time stamp and reports may be there too.
REQUIRED = (ENVELOPE, RESERVES, RECEIPTS, LOG_PROOF, MANIFEST)
_MEBIBYTE = 1 << 20
_MAX_BYTES = {
    ENVELOPE: MAX_ENVELOPE_BYTES,
    RESERVES: _MEBIBYTE,
    RECEIPTS: 4 * _MEBIBYTE,
    LOG_PROOF: _MEBIBYTE,
    MANIFEST: _MEBIBYTE,
    MANIFEST_ENVELOPE: MAX_ENVELOPE_BYTES,
    CHAIN_PROOF: 32 * _MEBIBYTE,
    TIMESTAMP: MAX_STAMP_BYTES,
}
_MAX_OTHER_BYTES = 64 * _MEBIBYTE
#: Of all files together.
MAX_BUNDLE_BYTES = 128 * _MEBIBYTE
MAX_FILES = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def read_bundle(folder: Path) -> Mapping[str, bytes]:
    """The folder's files by name. Raises :class:`OperatorError` when there is no such folder, and
    :class:`VerificationError` for links, folders, devices, odd names, too many or too large files."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(MAX_FILES + 1), strict=False))
    except OSError as fault:
        raise OperatorError(
            f"{folder}: cannot be read ({fault.strerror})",
            code="bundle-unreadable",
            reason="A bundle is one attestation's folder, such as attestations/2026-W47.",
            advice="Name the folder that holds attestation.dsse.json.",
        ) from None
    if len(names) > MAX_FILES:
        raise refuse(f"the folder has more than {MAX_FILES} entries")
    return collect(names, lambda name, limit: read_file(folder / name, limit))


def collect(names: Iterable[str], read: Callable[[str, int], bytes]) -> dict[str, bytes]:
    """The files ``names``, each read with its limit in bytes. Raises :class:`VerificationError` for an odd name, and
    when all together are too large."""
    files: dict[str, bytes] = {}
    left = MAX_BUNDLE_BYTES
    for name in names:
        files[name] = read(name, min(limit_of(name), left))
        left -= len(files[name])
    return files


def limit_of(name: str) -> int:
    """How many bytes a file of this name may have; raises :class:`VerificationError` if it is no name of one."""
    if not _NAME.fullmatch(name):
        raise refuse(f"{name[:200]!r} is no name of a bundle's file")
    return _MAX_BYTES.get(name, _MAX_OTHER_BYTES)


def read_file(path: Path, limit: int) -> bytes:
    """A regular file's bytes, at most ``limit``; no link is followed. Raises
    :class:`VerificationError`."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise refuse(f"{path.name!r} is not a plain file (a link, folder or device)")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as fault:
        raise refuse(f"{path.name!r} cannot be read ({fault.strerror})") from None
    if len(data) > limit:
        raise refuse(f"{path.name!r} has more than {limit} bytes")
    return data


def check_manifest(files: Mapping[str, bytes]) -> Manifest:
    """The manifest, once every file is exactly the one it lists; who signed it is another question. Raises
    :class:`VerificationError` naming the file."""
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise refuse(f"{', '.join(missing)} missing")
    manifest = read_manifest(files[MANIFEST])
    listed = {entry.name: entry for entry in manifest.files}
    unlisted = {MANIFEST, MANIFEST_ENVELOPE} if manifest.format == SIGNED_FORMAT else {MANIFEST}
    for name in sorted({*listed, *files} - unlisted):
        if name not in files:
            raise refuse(f"{name} is listed in {MANIFEST} but missing")
        if name not in listed:
            raise refuse(f"{name} is not listed in {MANIFEST}")
        if (listed[name].sha256, listed[name].size) != (digest(files[name]), len(files[name])):
            raise refuse(f"{name} is not the file that {MANIFEST} lists: its digest or size differs")
    return manifest


def read_manifest(data: bytes) -> Manifest:
    """A manifest whose names are those of a bundle's files, each once. Raises :class:`VerificationError`."""
    manifest = from_json(Manifest, data, MANIFEST)
    names = [entry.name for entry in manifest.files]
    if len({*names}) != len(names) or {MANIFEST, MANIFEST_ENVELOPE} & {*names}:
        raise refuse(f"{MANIFEST} lists a file twice, or itself")
    for name in names:
        if not _NAME.fullmatch(name):
            raise refuse(f"{MANIFEST} lists {name[:200]!r}, which is no name of a bundle's file")
    for entry in manifest.files:
        if entry.size < 0:
            raise refuse(f"{MANIFEST} lists {entry.name} with {entry.size} bytes")
    if len(names) > MAX_FILES:
        raise refuse(f"{MANIFEST} lists more than {MAX_FILES} files")
    return manifest


def refuse(detail: str) -> VerificationError:
    """A bundle that is not as bundles are."""
    return VerificationError(
        detail,
        code="bundle-malformed",
        reason="A bundle holds the files of one attestation and nothing else, so that all readers see the same.",
        advice="Fetch the whole folder again from the public store, into an empty folder.",
    )
