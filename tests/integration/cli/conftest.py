"""Two practice networks for all commands: one whose chain every test finds as it was, one with a finished week."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Said, attest
from tests.support.practice import Week, prepared, week


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    with prepared(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture
def operator(network: tuple[Path, str], tmp_path: Path) -> Iterator[Week]:
    """A week that is due: contracts deployed, statements in place, nothing done yet."""
    template, url = network
    with week(template, url, tmp_path / "week") as due:
        yield due


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Week, Said]]:
    """A week that is attested and published, and what the run said. To be read, not changed."""
    with prepared(tmp_path_factory.mktemp("finished")) as (folder, url):
        done = Week(folder, url)
        yield done, attest("run", "--config", done.config_path)
