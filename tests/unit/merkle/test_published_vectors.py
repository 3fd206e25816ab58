"""The verifier against published vectors of RFC 9162's trees: right proofs, and every way that others found to be
wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from attest.errors import VerificationError
from attest.merkle.proof import verify_consistency, verify_inclusion

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("transparency_dev_vectors.json").read_text())


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def path_of(vector: dict[str, Any]) -> list[bytes]:
    return [decoded(node) for node in vector["proof"] or []]


def check_inclusion(vector: dict[str, Any]) -> None:
    leaf, root = decoded(vector["leafHash"]), decoded(vector["root"])
    verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], path_of(vector), root)


def check_consistency(vector: dict[str, Any]) -> None:
    old, new = decoded(vector["root1"]), decoded(vector["root2"])
    verify_consistency(vector["size1"], old, vector["size2"], new, path_of(vector))


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: vector["name"])
def test_inclusion__published_vector__is_accepted_or_refused_as_published(vector: dict[str, Any]) -> None:
    if vector["wantErr"]:
        with pytest.raises(VerificationError):
            check_inclusion(vector)
    else:
        check_inclusion(vector)


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: vector["name"])
def test_consistency__published_vector__is_accepted_or_refused_as_published(vector: dict[str, Any]) -> None:
    # One has "don't care" for both (equal) roots; here a root is 32 bytes even then.
    if vector["wantErr"] or len(decoded(vector["root1"])) != 32:
        with pytest.raises(VerificationError):
            check_consistency(vector)
    else:
        check_consistency(vector)


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_vectors__both_verdicts__are_among_them(kind: str) -> None:
    verdicts = [vector["wantErr"] for vector in VECTORS[kind]]
    assert verdicts.count(False) >= 5
    assert verdicts.count(True) >= 80
