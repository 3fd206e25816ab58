"""Real parts for integration tests: a fresh local chain per module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from attest.chain.devnet import Anvil, find_anvil
from attest.errors import OperatorError

#: Genesis time of the test chains: Monday of week 47 of 2026, noon UTC. Each block is one second later than the last.
GENESIS = 1_794_830_400


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """A running anvil of this module's own, chain 138, its clock pinned at GENESIS; skipped where anvil is missing."""
    try:
        find_anvil()
    except OperatorError as fault:
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(fault.message)
        pytest.skip(f"{fault.message}: npm ci")
    with Anvil(timestamp=GENESIS) as node:
        yield node
