"""Shared by all tests: real parts are required by name, and unit tests open no sockets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine must not fail a property by its clock.
settings.register_profile("attest", deadline=None)
settings.load_profile("attest")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "requires(program, install): needs a program that a plain machine may lack; skipped with the install command",
    )


def _installed(program: str) -> bool:
    """On the PATH, where npm puts programs, or where Debian keeps PostgreSQL's."""
    npm = Path(__file__).parents[1] / "node_modules/.bin" / program
    return (
        shutil.which(program) is not None or npm.exists() or any(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "unit" in item.path.parts:
        from pytest_socket import disable_socket

        disable_socket(allow_unix_socket=True)
    for marker in item.iter_markers("requires"):
        program, install = marker.args
        if not _installed(program):
            message = f"{program} is not installed: {install}"
            if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
                pytest.fail(message)
            pytest.skip(message)


@pytest.fixture(autouse=True)
def _remembers_no_log(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test's `attest verify` finds what another one remembered, or touches what a person did."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def pytest_runtest_teardown(item: pytest.Item) -> None:
    if "unit" in item.path.parts:
        from pytest_socket import enable_socket

        enable_socket()
