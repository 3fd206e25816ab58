"""One practice chain per module, one folder per test; an auditor with a GnuPG of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.auditors import Gpg, appoint
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


@pytest.fixture(scope="session")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    """The auditor's GnuPG, with a key of its usual kind."""
    gpg = Gpg.made(tmp_path_factory.mktemp("auditor") / "home")
    gpg.new_key("auditor@firm.example", "default", "default", "never")
    yield gpg
    gpg.stop()


@pytest.fixture
def audited(operator: Week, gpg: Gpg) -> Week:
    """A week whose configuration names the auditor ``firm``."""
    gpg.export("auditor@firm.example", operator.folder / "auditor.asc")
    appoint(operator, "auditor.asc", gpg.fingerprint("auditor@firm.example"))
    return operator
