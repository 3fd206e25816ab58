"""An auditor with a GnuPG of their own, and packages as they open them."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.practice import Week


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
            ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty"]
            + ["--pinentry-mode", "loopback", "--passphrase", "", *time, *words],
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
