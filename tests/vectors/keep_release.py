"""Keeps what a released version published: ``python -m tests.vectors.keep_release VERSION STORE TRUST PROOF``."""

from __future__ import annotations

import argparse
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from attest.records import format_instant
from tests.vectors.released import EXPECTED, FOLDER, FORMAT, digests, said

#: What of a public store is verified; the rest is made from it.
_KEPT = ("attestations", "log")


def keep(version: str, store: Path, trust: Path, proof: Path, at: str) -> Path:
    """Copy the public store, the trust file and one account's proof, and record what the verifier says of them as of
    ``at``; returns the folder. Raises ``FileExistsError`` if that version is kept already."""
    release = FOLDER / version
    release.mkdir(parents=True)
    for name in _KEPT:
        shutil.copytree(store / name, release / "public" / name)
    shutil.copyfile(trust, release / "trust.json")
    shutil.copyfile(proof, release / "proof.json")
    plain = {"format": FORMAT, "version": version, "at": at, "files": digests(release), **said(release, at)}
    (release / EXPECTED).write_text(json.dumps(plain, indent=1) + "\n")
    return release


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.keep_release", description=(__doc__ or "").strip())
    parser.add_argument("version", help="the version that published it, for example 0.2.0")
    parser.add_argument("store", type=Path, help="the public store's folder")
    parser.add_argument("trust", type=Path, help="a trust file for it")
    parser.add_argument("proof", type=Path, help="one account's inclusion proof")
    parser.add_argument("--at", default=format_instant(datetime.now(UTC)), help="the time to judge as of (now)")
    given = parser.parse_args()
    print(keep(given.version, given.store, given.trust, given.proof, given.at))


if __name__ == "__main__":
    main()
