"""A vector: something to verify with all that it takes, and what must come of it (README.md in this folder)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = "attest-vector/1"
FOLDER = Path(__file__).parent / "v1"
KINDS = ("bundle", "proof", "inclusion", "consistency", "note", "checkpoint", "log-proof", "dsse")


@dataclass(frozen=True)
class Vector:
    """One file below ``v1``. ``attack`` is a number of the README's table; ``at`` the time to judge as of, for the
    kinds on which it bears; ``input`` and ``expected`` are as the README says, by kind."""

    name: str
    kind: str
    attack: int | None
    description: str
    at: str | None
    input: Mapping[str, Any]
    expected: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The file's path below ``v1``."""
        return f"{self.kind}/{self.name}.json"

    def to_bytes(self) -> bytes:
        """The file: ASCII, so that no tool shows or changes a character of a hostile name; one value a line."""
        plain = {"format": FORMAT, "name": self.name, "kind": self.kind, "attack": self.attack}
        plain |= {"description": self.description} | ({} if self.at is None else {"at": self.at})
        return json.dumps(plain | {"input": self.input, "expected": self.expected}, indent=1).encode() + b"\n"


def load(path: Path) -> Vector:
    """The vector in a file."""
    plain = json.loads(path.read_bytes())
    if plain.pop("format") != FORMAT:
        raise ValueError(f"{path}: not of the format {FORMAT}")
    return Vector(**{"at": None, **plain})


def load_all(*kinds: str) -> list[Vector]:
    """The vectors of these kinds (of all, if none is named), in the order of their paths."""
    return [load(path) for kind in kinds or KINDS for path in sorted((FOLDER / kind).glob("*.json"))]
