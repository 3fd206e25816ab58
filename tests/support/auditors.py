"""An auditor with a GnuPG of their own, and packages as they open them."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from attest.errors import EXIT_DONE, EXIT_USAGE
from attest.signing.keystore import generate_keystore
from tests.support.commands import Said, attest
from tests.support.practice import Week

_UNATTENDED = ("--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "")


@dataclass(frozen=True)
class Gpg:
    """One person's GnuPG home."""

    home: Path

    @classmethod
    def made(cls, home: Path) -> Gpg:
        home.mkdir(mode=0o700)
        return cls(home)

    def __call__(self, *words: str, at: str | None = None) -> bytes:
        """``gpg WORDS...``, at a faked time (``20250101T000000``) if one is given; fails if it fails."""
        time = [] if at is None else ["--faked-system-time", at]
        return subprocess.run(
            ["gpg", "--homedir", str(self.home), *_UNATTENDED, *time, *words],
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout

    def new_key(self, name: str, *words: str, at: str | None = None) -> str:
        """Make a key; its fingerprint. ``words`` as ``--quick-gen-key`` takes them (algorithm, usage, expiry)."""
        self("--quick-gen-key", name, *words, at=at)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        listed = self("--with-colons", "--list-keys", name).decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr"))

    def export(self, name: str, path: Path) -> None:
        path.write_bytes(self("--armor", "--export", name))

    def stop(self) -> None:
        """End the agent that gpg left behind."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, timeout=30)


def appoint(week: Week, certificate: str, fingerprint: str, name: str = "firm", more: str = "") -> None:
    """Add an auditor to the week's configuration."""
    week.edit_config(
        lambda text: f'{text}\n[auditors.{name}]\nopenpgp = "{certificate}"\nfingerprint = "{fingerprint}"\n{more}\n'
    )


def unpacked(gpg: Gpg, package: Path, folder: Path) -> Path:
    """Open a package as its README says: decrypt with stock gpg, unzip."""
    archive = folder.with_suffix(".zip")
    gpg("--output", str(archive), "--decrypt", str(package))
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    archive.unlink()
    return folder


# -- a second operator ------------------------------------------------------------------------------------------------

PASSWORD = "a co-attestor's"


@dataclass
class Two:
    """The first operator's week, and the co-attestor: their folder, their key's address, the package as they opened
    it."""

    week: Week
    folder: Path
    address: str
    package: Path

    def cosign(self, *words: object, package: Path | None = None, out: str = "signature.json") -> Said:
        return attest(
            *("cosign", package or self.package, "--attestor-key", f"keystore:{self.folder / 'attestor.json'}"),
            *("--address", self.address, "--password", "env:CO_PASSWORD", "--out", self.folder / out),
            *(words or ("--rpc", self.week.url)),
            environment={"CO_PASSWORD": PASSWORD},
        )

    def run(self, *words: object) -> Said:
        return attest("run", "--config", self.week.config_path, *words)


def with_second_attestor(week: Week, address: str) -> None:
    elsewhere = f'[[signing.attestors]]\naddress = "{address}"\n\n[signing.log]'
    week.edit_config(lambda text: text.replace("[signing.log]", elsewhere))
    week.edit_config(
        lambda text: text.replace("[signing.publisher]", "[signing]\nthreshold = 2\n\n[signing.publisher]")
    )


def two_operators(week: Week, gpg: Gpg, folder: Path) -> Two:
    """The week, run until it waits for the second attestor's signature, and the package in their hands."""
    folder.mkdir()
    address = generate_keystore(folder / "attestor.json", PASSWORD, n=1024).address
    with_second_attestor(week, address)
    said = attest("run", "--config", week.config_path, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "signatures-missing")
    assert address in said.document["error"]
    packed = attest("audit-package", "--auditor", "firm", "--out", folder / "p.gpg", "--config", week.config_path)
    assert packed.code == EXIT_DONE, packed.everything
    return Two(week, folder, address, unpacked(gpg, folder / "p.gpg", folder / "package"))
