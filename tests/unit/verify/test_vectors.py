"""The published vectors (tests/vectors): all of them by the verifier's functions, some through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from attest.records import decode_base64
from tests.support.commands import Said, attest
from tests.vectors import make
from tests.vectors.judge import judge, write_brought, write_files
from tests.vectors.vector import FOLDER, KINDS, Vector, load, load_all

#: More than this were there when it was written: fewer are not all.
LEAST = {
    "bundle": 420,
    "proof": 70,
    "inclusion": 60,
    "consistency": 35,
    "note": 40,
    "checkpoint": 50,
    "log-proof": 30,
    "dsse": 35,
}


@pytest.mark.no_cover  # the same lines many times; other tests cover them
@pytest.mark.parametrize("kind", KINDS)
def test_vectors__of_each_kind__come_out_as_expected(kind: str) -> None:
    vectors = load_all(kind)
    wrong = []
    for vector in vectors:
        expected = {name: value for name, value in vector.expected.items() if name not in {"reason", "elsewhere"}}
        outcome = judge(vector.kind, vector.input, vector.at)
        if outcome != expected:
            wrong.append((vector.path, outcome, expected))
    assert not wrong
    assert len(vectors) >= LEAST[kind]


@pytest.mark.no_cover
def test_vectors__made_again__are_the_same() -> None:
    assert list(make.differences()) == []


def test_vectors__each__is_as_its_schema_says_and_in_its_place() -> None:
    validator = Draft202012Validator(json.loads((FOLDER.parent / "vector.schema.json").read_text()))
    paths = sorted(FOLDER.rglob("*.json"))
    assert len(paths) == len(load_all())
    for path in paths:
        assert [error.message for error in validator.iter_errors(json.loads(path.read_bytes()))] == [], path
        assert path == FOLDER / load(path).path


def test_vectors__of_each_check__there_is_one_that_fails_it() -> None:
    failed = {
        name
        for vector in load_all("bundle", "proof")
        for name, outcome in vector.expected.get("checks", {}).items()
        if outcome == "fail"
    }
    could = {name for vector in load_all("bundle", "proof") for name in vector.expected.get("checks", {})}
    assert could - failed <= CANNOT_FAIL


#: What the core install skips, and the one check whose other outcomes are short and withheld.
CANNOT_FAIL = {"chain-proof", "chain-rpc", "timestamp", "evidence", "coverage"}


def test_vectors__all__are_small_together() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.json")) < 9_000_000


# -- through the command ---------------------------------------------------------------------------------------------


def run(vector: Vector, folder: Path, *words: object) -> Said:
    """``attest verify`` or ``attest verify-proof`` on the vector's files."""
    (folder / "trust.json").write_bytes(vector.input["trust"].encode())
    options = ["--trust", folder / "trust.json", "--at", vector.at, *words]
    if vector.kind == "bundle":
        for name, place in write_brought(vector.input, folder).items():
            options += [f"--{name}", place]
        return attest("verify", write_files(vector.input["bundle"], folder / "bundle"), "--no-state", *options)
    (folder / "proof.json").write_bytes(decode_base64(vector.input["proof"]))
    statement = write_files(vector.input["statement"], folder / "bundle")
    return attest("verify-proof", folder / "proof.json", "--statement", statement, *options)


@pytest.mark.parametrize(
    "path",
    [
        "bundle/valid",
        "bundle/coverage-short-by-one",
        "bundle/coverage-withheld",
        "bundle/files-none",
        "bundle/signatures-with-high-s",
        "bundle/demands-chain",
        "bundle/trust-expects-no-token",
        "bundle/leaves-all",
        "bundle/leaves-negative",
        "bundle/consistency-grown",
        "bundle/consistency-rewritten",
        "bundle/history-revoked",
        "proof/valid",
        "proof/root-from-its-own-file",
        "proof/inner-node",
    ],
)
def test_command__on_a_vector__ends_and_says_as_expected(path: str, tmp_path: Path) -> None:
    vector = load(FOLDER / f"{path}.json")
    said = run(vector, tmp_path, "--json")
    expected = vector.expected

    assert said.code == expected["exit_code"]
    document = said.document
    assert document["exit_code"] == expected["exit_code"]
    if "checks" in expected:
        assert {check["name"]: check["outcome"] for check in document["checks"]} == expected["checks"]
    if "answers" in expected:
        assert {answer["name"]: answer["answer"] for answer in document["answers"]} == expected["answers"]
        assert {token["token"]: token["state"] for token in document["tokens"]} == expected["tokens"]


@pytest.mark.parametrize(
    "path",
    [
        "bundle/valid-issuer-with-html-and-escapes",
        "bundle/valid-abandoned-attempt",
        "bundle/files-name-with-escape",
        "bundle/statement-token-name-with-escape",
        "bundle/period-of-another-issuer",
        "proof/leaf-hostile-names",
    ],
)
def test_command__on_hostile_names__shows_nothing_that_a_terminal_acts_on(path: str, tmp_path: Path) -> None:
    said = run(load(FOLDER / f"{path}.json"), tmp_path)

    shown = said.everything.replace("\n", "")
    assert shown
    assert not [character for character in shown if not character.isprintable()]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
