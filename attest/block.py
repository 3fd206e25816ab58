"""A block, apart from all other nouns: the public documents speak of it, and an auditor's command imports little."""

from __future__ import annotations

from dataclasses import dataclass

from attest.records import Hex32


@dataclass(frozen=True)
class Block:
    """A block of one chain, pinned by its hash. ``timestamp`` is in Unix seconds."""

    chain_id: int
    number: int
    hash: Hex32
    timestamp: int
