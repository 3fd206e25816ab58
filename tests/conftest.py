"""Shared by all tests: real parts are required by name, and unit tests open no sockets."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.measuring import unmeasured

# A loaded machine must not fail a property by its clock.
settings.register_profile("attest", deadline=None)
settings.load_profile("attest")

#: Whole networks, exporters and pages: minutes, many times over lines that other tests cover.
_LONG = tuple(Path(__file__).parent / "integration" / name for name in ("monitor", "site"))


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in its background like this
        signal.signal(signal.SIGINT, signal.default_int_handler)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first: begun last, it would keep one worker busy and the others waiting."""
    long = {item for item in items if any(item.path.is_relative_to(folder) for folder in _LONG)}
    for item in long:
        item.add_marker("no_cover")
    items.sort(key=lambda item: item not in long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
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
    with _as_marked(item):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Within pytest-cov's pause for a test marked ``no_cover``: in a worker it measures twice, and pauses once."""
    with _as_marked(item):
        return (yield)


def _as_marked(item: pytest.Item) -> AbstractContextManager[None]:
    """Measured, or not."""
    return unmeasured() if item.get_closest_marker("no_cover") else nullcontext()


@pytest.fixture(autouse=True)
def _remembers_no_log(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test's `attest verify` finds what another one remembered, or touches what a person did."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(autouse=True)
def _measures_no_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``no_cover`` holds for the commands that such a test starts as well."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    if "unit" in item.path.parts:
        from pytest_socket import enable_socket

        enable_socket()
