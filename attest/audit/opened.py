"""An opened audit package, read as a stranger's: exactly the files that its manifest lists, no links, and the
configuration that its evidence is to be read under."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from attest import statement
from attest.audit.documents import AuditManifest
from attest.audit.package import MAX_BYTES, named_file
from attest.config import Config, Loaded, restored
from attest.documents import Statement
from attest.errors import OperatorError, VerificationError, printable
from attest.model import Decision, ReserveLeaves
from attest.records import Hex32, digest, from_json
from attest.signing.dsse import parse_envelope
from attest.verify.bundle import read_file

T = TypeVar("T")

_MANIFEST, _SUMS = "manifest.json", "SHA256SUMS"
_CONFIGURATION, _SALT = "configuration.json", "configuration.salt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})?", re.ASCII)
_MAX_DOCUMENT = 64 << 20
_MAX_FILES = 100_000


@dataclass(frozen=True)
class Rules:
    """The configuration in a package: its exact bytes, the salt of its commitment, and what it says (``loaded``: of use
    to read the documents beside it, not to reach anything)."""

    configuration: bytes
    salt: bytes
    loaded: Loaded

    @property
    def commitment(self) -> Hex32:
        """What a statement that was made by these rules has as its ``configuration``."""
        return digest(self.salt + self.configuration)


@dataclass(frozen=True)
class OpenedPackage:
    """The package in a folder. ``payload`` is the statement's exact bytes, ``signed`` whether they came in a published
    bundle."""

    manifest: AuditManifest
    payload: bytes
    signed: bool
    statement: Statement
    decision: Decision
    leaves: ReserveLeaves
    rules: Rules
    disclosures: Mapping[Hex32, bytes]


def open_package(root: Path) -> OpenedPackage:
    """Read the package in folder ``root``: every listed file is there, none besides, and all but the evidence (whose
    names are its digests) are as listed.

    Raises :class:`OperatorError` if there is no such folder or it lacks what a co-attestor needs, and
    :class:`VerificationError` naming the file that is not as listed.
    """
    found = _found(root)
    manifest = from_json(AuditManifest, _read(root, _MANIFEST), _MANIFEST)
    listed = {entry.name: entry for entry in manifest.files}
    expected = {*listed, _MANIFEST, _SUMS}
    if found != expected:
        missing, besides = sorted(expected - found), sorted(found - expected)
        raise _refuse(f"{missing[0]} is missing" if missing else f"{besides[0]} is not listed in {_MANIFEST}")
    lacking = [name for name in (_CONFIGURATION, _SALT, "decision.json", "leaves.json") if name not in listed]
    if lacking:
        raise OperatorError(
            f"{root}: the package has no {', '.join(lacking)}",
            code="package-incomplete",
            reason="Without leaves and evidence nobody can decide again.",
            advice='Ask the operator for a package with `sees = ["leaves", "evidence"]` at least.',
        )
    files = {}
    for name, entry in listed.items():
        if not name.startswith("evidence/"):
            data = _read(root, name)
            if (digest(data), len(data)) != (entry.sha256, entry.size):
                raise _refuse(f"{name} is not the file that {_MANIFEST} lists: its digest or size differs")
            files[name] = data
    signed = "payload.json" not in files
    if signed:
        envelope = "bundle/attestation.dsse.json"
        payload = parse_envelope(files.get(envelope, b""), envelope).body
    else:
        payload = files["payload.json"]
    return OpenedPackage(
        manifest=manifest,
        payload=payload,
        signed=signed,
        statement=statement.read(payload),
        decision=from_json(Decision, files["decision.json"], "decision.json"),
        leaves=from_json(ReserveLeaves, files["leaves.json"], "leaves.json"),
        rules=_rules(root, files[_CONFIGURATION], files[_SALT]),
        disclosures={digest(data): data for name, data in files.items() if name.startswith("disclosures/")},
    )


def read_rules(root: Path) -> Rules:
    """The configuration in the package in folder ``root``. Raises :class:`VerificationError` if it or its salt is not
    there, or this release does not understand it."""
    for name in (_CONFIGURATION, _SALT):
        if not (root / name).is_file():
            raise _refuse(f"{name} is missing")
    return _rules(root, _read(root, _CONFIGURATION), _read(root, _SALT))


def _rules(root: Path, configuration: bytes, salt: bytes) -> Rules:
    """The files that the configuration names are looked for where the package keeps them."""
    loaded = restored(configuration, root, _CONFIGURATION)
    return Rules(configuration, salt, Loaded(_with_own_files(loaded.config), root))


def _with_own_files(config: Config) -> Config:
    accounts = {}
    for name, account in config.accounts.items():
        sources = tuple(
            source
            if source.signature is None
            else source.model_copy(
                update={"signature": source.signature.model_copy(update={"key": named_file(source.signature.key)})}
            )
            for source in account.sources
        )
        accounts[name] = account.model_copy(update={"sources": sources})
    return config.model_copy(update={"accounts": accounts})


def _found(root: Path) -> set[str]:
    """The names of the files below ``root``."""
    if not root.is_dir():
        raise OperatorError(
            f"{root}: there is no such folder",
            code="package-unreadable",
            reason="The package is a folder with a manifest.json.",
            advice="Open it first: gpg --output package.zip --decrypt FILE && unzip package.zip -d package",
        )
    names: set[str] = set()
    for folder, _, files in os.walk(root):
        for file in files:
            name = Path(folder, file).relative_to(root).as_posix()
            if not _NAME.fullmatch(name):
                raise _refuse(f"{name[:200]!r} is no name of a package's file")
            names.add(name)
            if len(names) > _MAX_FILES:
                raise _refuse(f"the folder has more than {_MAX_FILES} files")
    if _MANIFEST not in names:
        raise _refuse(f"{_MANIFEST} is missing")
    return names


def _read(root: Path, name: str) -> bytes:
    return read_file(root / name, MAX_BYTES if name.startswith("evidence/") else _MAX_DOCUMENT)


def _refuse(detail: str) -> VerificationError:
    return VerificationError(
        f"the package: {printable(detail)}",
        code="package-malformed",
        reason="A package is judged by exactly the files that its manifest lists.",
        advice="Open the encrypted package again, into an empty folder, or ask the operator for a new one.",
    )
