"""The bundles of released versions, which every later version verifies as the first one did (README.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attest.records import digest
from tests.support.commands import attest

FORMAT = "attest-released/1"
FOLDER = Path(__file__).parent / "released"
EXPECTED = "expected.json"


def releases() -> list[Path]:
    """The kept releases' folders."""
    return sorted(path.parent for path in FOLDER.glob(f"*/{EXPECTED}"))


def expected(release: Path) -> dict[str, Any]:
    """What was measured when the release was kept."""
    plain: dict[str, Any] = json.loads((release / EXPECTED).read_bytes())
    if plain["format"] != FORMAT:
        raise ValueError(f"{release / EXPECTED}: not of the format {FORMAT}")
    return plain


def bundles(release: Path) -> list[Path]:
    """The release's bundles."""
    return sorted((release / "public" / "attestations").iterdir())


def digests(release: Path) -> dict[str, str]:
    """The sha256 of every file by its path, but of the list itself."""
    files = sorted(path for path in release.rglob("*") if path.is_file() and path.name != EXPECTED)
    return {path.relative_to(release).as_posix(): digest(path.read_bytes()) for path in files}


def said(release: Path, at: str) -> dict[str, Any]:
    """What ``attest verify`` says of each bundle and ``attest verify-proof`` of the proof, as of ``at``."""
    options = ["--trust", release / "trust.json", "--at", at, "--json"]
    verified = {bundle.name: attest("verify", bundle, "--no-state", *options).document for bundle in bundles(release)}
    proof = json.loads((release / "proof.json").read_bytes())
    folder = next(path for path in bundles(release) if _is_of(verified[path.name], proof))
    included = attest("verify-proof", release / "proof.json", "--statement", folder, "--no-state", *options).document
    return {"verify": {name: dict(_kept(document)) for name, document in verified.items()}} | {
        "verify-proof": {
            "statement": folder.name,
            "exit_code": included["exit_code"],
            "leaf": included["leaf"],
            "passed": _passed(included),
        }
    }


def _is_of(document: Mapping[str, Any], proof: Mapping[str, Any]) -> bool:
    return (document["period"], document["revision"]) == (proof["period"], proof["revision"])


def _kept(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What may never change: the verdict and the figures. Words may, and there may be further checks."""
    for name in ("exit_code", "period", "revision", "statement", "unmet"):
        yield name, document[name]
    yield "answers", {answer["name"]: answer["answer"] for answer in document["answers"]}
    yield "tokens", {token["token"]: token["state"] for token in document["tokens"]}
    yield "passed", _passed(document)


def _passed(document: Mapping[str, Any]) -> list[str]:
    return [check["name"] for check in document["checks"] if check["outcome"] == "pass"]
