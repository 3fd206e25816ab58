"""What a co-attestor refuses: every change to a package, whoever made it, is found and named; nothing is signed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attest.audit.documents import AuditManifest
from attest.documents import ManifestFile
from attest.errors import EXIT_DONE, EXIT_VERIFICATION
from attest.records import digest, from_json, to_json
from tests.support.auditors import Gpg, Two, appoint, two_operators
from tests.support.practice import week

pytestmark = pytest.mark.requires("gpg", "apt-get install gnupg")


@pytest.fixture(scope="module")
def waiting(network: tuple[Path, str], gpg: Gpg, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """One package for all tests of this module."""
    folder = tmp_path_factory.mktemp("waiting")
    with week(*network, folder / "week") as first:
        gpg.export("auditor@firm.example", first.folder / "auditor.asc")
        appoint(first, "auditor.asc", gpg.fingerprint("auditor@firm.example"))
        yield two_operators(first, gpg, folder / "second")


@pytest.fixture
def two(waiting: Two) -> Iterator[Two]:
    yield waiting
    shutil.rmtree(waiting.folder / "spoiled", ignore_errors=True)
    (waiting.folder / "signature.json").unlink(missing_ok=True)


def spoiled(two: Two, change: Callable[[Path], None], *, listed: bool = True) -> Path:
    """A copy of the package with a change, and a manifest that agrees with it."""
    copy = two.folder / "spoiled"
    shutil.copytree(two.package, copy)
    change(copy)
    if listed:
        path = copy / "manifest.json"
        manifest = from_json(AuditManifest, path.read_bytes(), "manifest.json")
        present = [one for one in sorted(copy.rglob("*")) if one.is_file()]
        names = {one.relative_to(copy).as_posix(): one.read_bytes() for one in present}
        entries = tuple(
            ManifestFile(name, digest(data), len(data))
            for name, data in names.items()
            if name not in {"manifest.json", "SHA256SUMS"}
        )
        path.write_bytes(to_json(replace(manifest, files=entries)))
    return copy


def edited(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        plain = json.loads((copy / name).read_text())
        change(plain)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n"
        (copy / name).write_text(text, encoding="utf-8")

    return edit


def tampered_byte(copy: Path) -> None:
    path = max((copy / "evidence").iterdir(), key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def forged_document(copy: Path) -> None:
    """A document that says more, under its own digest, which the decision names."""
    path = next(path for path in (copy / "evidence").iterdir() if b"245900.55" in path.read_bytes())
    forged = path.read_bytes().replace(b"245900.55", b"945900.55")
    name = hashlib.sha256(forged).hexdigest()
    path.unlink()
    (copy / "evidence" / name).write_bytes(forged)
    decision = copy / "decision.json"
    decision.write_text(decision.read_text().replace(path.name, name))


def raise_leaf(plain: Any) -> None:
    leaf = json.loads(base64.b64decode(plain["leaves"][0]))
    leaf["minor_units"] = str(int(leaf["minor_units"]) + 1)
    data = json.dumps(leaf, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    plain["leaves"][0] = base64.b64encode(data).decode()


def manifest_of(**fields: Any) -> Callable[[Path], None]:
    return edited("manifest.json", lambda plain: plain.update(fields))


def statement_of(change: Callable[[Any], None]) -> Callable[[Path], None]:
    edit = edited("payload.json", lambda plain: change(plain["predicate"]))
    return lambda copy: edit(copy) or restated(copy)


def restated(copy: Path) -> None:
    """The manifest names the statement as it is now."""
    payload = json.loads((copy / "payload.json").read_text())
    issuer, sha256 = payload["predicate"]["issuer"], digest((copy / "payload.json").read_bytes())
    manifest_of(issuer=issuer, statement=sha256)(copy)


def more_reserve(predicate: Any) -> None:
    token = next(token for token in predicate["tokens"] if token["token"] == "USDW")
    for field, plus in (("reserve_minor_units", 100), ("reserve_units", 10**6)):
        token[field] = str(int(token[field]) + plus)
    # The consensus on chain is the lower of both, so surplus and ratio stay what they are.


def spelled_otherwise(copy: Path) -> None:
    payload = copy / "payload.json"
    payload.write_text(json.dumps(json.loads(payload.read_text())))
    restated(copy)


SPOILED: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "tampered byte of evidence": (tampered_byte, ("account ", "source ", "does not have the digest")),
    "forged document": (forged_document, ("account eur-main, source ",)),
    "missing document": (lambda copy: next((copy / "evidence").iterdir()).unlink(), ("account ", "is missing")),
    "balance in the decision": (
        edited("decision.json", lambda plain: plain["observations"][0].update(minor_units="1")),
        ("account usd-operating", "says something else"),
    ),
    "manifest of another issuer": (manifest_of(issuer="Another"), ("manifest.json: issuer is Another",)),
    "manifest of another period": (manifest_of(period="2026-W46"), ("manifest.json: period is 2026-W46",)),
    "manifest of another revision": (manifest_of(revision=1), ("manifest.json: revision is 1",)),
    "manifest of another statement": (manifest_of(statement="0" * 64), ("manifest.json: statement is 000",)),
    "leaves of another period": (
        edited("leaves.json", lambda plain: plain.update(period="2026-W46")),
        ("leaves.json: period is 2026-W46",),
    ),
    "softer rule": (
        edited("decision.json", lambda plain: plain["policies"][0].update(min_sources=1)),
        ("account usd-operating", "its rule is not the configuration's"),
    ),
    "softer configuration": (
        edited("configuration.json", lambda plain: plain["quorum"].update(tolerance_abs=10**9)),
        ("configuration.json", "commits to"),
    ),
    "source left out": (
        edited("decision.json", lambda plain: plain["observations"].pop()),
        ("account gbp-safeguarding", "exactly once"),
    ),
    "later cutoff": (
        edited("decision.json", lambda plain: plain.update(cutoff="2026-11-23T23:59:59Z")),
        ("cutoff is",),
    ),
    "invented acknowledgement": (
        edited("decision.json", lambda plain: plain["acknowledged"].append("usd-operating")),
        ("account usd-operating", "not held"),
    ),
    "higher leaf": (edited("leaves.json", raise_leaf), ("minor_units is",)),
    "leaf that is none": (
        edited("leaves.json", lambda plain: plain["leaves"].append("!")),
        ("leaves.json: a leaf is not base64",),
    ),
    "leaf left out": (edited("leaves.json", lambda plain: plain["leaves"].pop()), ("has no leaf",)),
    "leaves in another order": (edited("leaves.json", lambda plain: plain["leaves"].reverse()), ("order",)),
    "higher reserve in the statement": (statement_of(more_reserve), ("token USDW", "reserve_minor_units is 120411407")),
    "other issuer": (statement_of(lambda plain: plain.update(issuer="Another")), ("issuer is Another",)),
    "real clock claimed": (statement_of(lambda plain: plain.update(clock="system")), ("clock is system",)),
    "statement spelled otherwise": (spelled_otherwise, ("its bytes are not",)),
}


@pytest.mark.parametrize("name", SPOILED)
def test_cosign__package_that_was_changed__names_what_differs_and_signs_nothing(two: Two, name: str) -> None:
    change, words = SPOILED[name]
    said = two.cosign(package=spoiled(two, change))
    assert said.code == EXIT_VERIFICATION, said.everything
    for word in words:
        assert word in said.err, said.err
    assert not (two.folder / "signature.json").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda copy: (copy / "quorum.txt").write_text("all agree\n"), "quorum.txt is not the file"),
        (lambda copy: (copy / "runs").mkdir() or (copy / "runs/open").write_text("{}"), "runs/open is not listed"),
        (lambda copy: (copy / "quorum.txt").unlink(), "quorum.txt is missing"),
        (lambda copy: (copy / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda copy: (copy / "a b").write_text(""), "no name"),
        (
            lambda copy: (copy / "leaves.json").unlink() or (copy / "leaves.json").symlink_to("/etc/hostname"),
            "not a plain file",
        ),
    ],
)
def test_cosign__file_that_the_manifest_does_not_list_so__is_refused(
    two: Two, change: Callable[[Path], None], word: str
) -> None:
    said = two.cosign(package=spoiled(two, change, listed=False))
    assert said.code == EXIT_VERIFICATION, said.everything
    assert word in said.err
    assert not (two.folder / "signature.json").exists()


def test_cosign__chain_that_says_otherwise__signs_nothing(two: Two) -> None:
    """The operator's own figures agree with each other, but the co-attestor's node has another supply."""

    def fewer(predicate: Any) -> None:
        token = next(token for token in predicate["tokens"] if token["token"] == "USDW")
        for place in (token, *token["deployments"]):
            for field in ("supply_units", "confirm_supply_units"):
                place[field] = str(int(place[field]) - 10**9)
        token["surplus_units"] = str(int(token["surplus_units"]) + 10**9)
        token["ratio_percent"] = "100.4"

    package = spoiled(two, statement_of(fewer))
    said = two.cosign(package=package)
    assert said.code == EXIT_VERIFICATION, said.everything
    assert "supply of USDW" in said.err
    assert not (two.folder / "signature.json").exists()
    assert two.cosign("--without-chain", package=package).code == EXIT_DONE  # it was said that nobody asked
