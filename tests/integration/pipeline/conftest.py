"""One practice chain per module, one folder per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.practice import Week, prepared, week


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    with prepared(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture
def operator(network: tuple[Path, str], tmp_path: Path) -> Iterator[Week]:
    """A week that is due: contracts deployed, statements in place, nothing done yet."""
    template, url = network
    with week(template, url, tmp_path / "week") as prepared_week:
        yield prepared_week
