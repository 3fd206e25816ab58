"""Where a bundle can be: a folder, a zip of it, or its address on the web; and where its log is then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from attest.errors import OperatorError
from attest.static import http_files, is_url
from attest.verify.bundle import MANIFEST, MANIFEST_ENVELOPE, collect, limit_of, read_bundle, read_manifest, refuse

_ATTESTATIONS = "attestations"


def open_bundle(place: Path | str) -> Mapping[str, bytes]:
    """The files of the bundle at ``place`` by name, read within bounds.

    Raises :class:`OperatorError` when there is none or it does not answer, and :class:`VerificationError` when it is
    not as bundles are. Whether the files are those that its manifest lists is another question.
    """
    if is_url(str(place)):
        return _download(folder_url(str(place)))
    path = Path(place)
    if path.is_file():
        from attest.verify.archive import read_archive

        return read_archive(path)
    return read_bundle(path)


def folder_url(url: str) -> str:
    """The address of the folder, also if that of its manifest is given."""
    return url.rstrip("/").removesuffix(f"/{MANIFEST}").rstrip("/")


def _download(url: str) -> Mapping[str, bytes]:
    """The manifest, and exactly the files that it lists."""
    read = http_files(url)
    listing = read(MANIFEST, limit_of(MANIFEST))
    if listing is None:
        raise OperatorError(
            f"{url}/{MANIFEST}: there is no such file",
            code="bundle-unreadable",
            reason="A bundle's folder on the web begins with its manifest.",
            advice="Give the address of one attestation, such as https://reserves.issuer.example/attestations/2026-W47.",
        )
    sizes = {entry.name: entry.size for entry in read_manifest(listing).files}

    def fetch(name: str, limit: int) -> bytes:
        if sizes[name] > limit:
            raise refuse(f"{MANIFEST} lists {name} with {sizes[name]} bytes, it can have {limit}")
        data = read(name, sizes[name])
        if data is None:
            raise refuse(f"{name} is listed in {MANIFEST} but missing")
        return data

    files = collect(sizes, fetch) | {MANIFEST: listing}
    envelope = read(MANIFEST_ENVELOPE, limit_of(MANIFEST_ENVELOPE))
    return files if envelope is None else files | {MANIFEST_ENVELOPE: envelope}


def read_given(path: Path, limit: int) -> bytes:
    """A file that the auditor named, at most ``limit`` bytes. Raises :class:`OperatorError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        fault = f"has more than {limit} bytes" if len(data) > limit else None
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    if fault is not None:
        raise OperatorError(
            f"{path}: {fault}",
            code="file-unusable",
            reason="You named it to have something checked with it.",
            advice="Name the right file, or leave the option out.",
        )
    return data


def log_beside(place: Path | str) -> str | None:
    """Where the log of the public store is that the bundle at ``place`` lies in; None if it lies in none."""
    if is_url(str(place)):
        store, _, name = folder_url(str(place)).rpartition(f"/{_ATTESTATIONS}/")
        return f"{store}/log" if urlsplit(store).netloc and "/" not in name else None
    path = Path(place).resolve()
    log = path.parent.parent / "log"
    return str(log) if path.is_dir() and path.parent.name == _ATTESTATIONS and log.is_dir() else None
