"""Options that several commands share, and how a command reaches its configuration."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attest.errors import OperatorError

if TYPE_CHECKING:
    from attest.config import Loaded
    from attest.period import Period

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """``--config attest.toml``"""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=Path("attest.toml"),
        show_default=True,
        help="The configuration.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``: one JSON document on stdout; errors too, with their exit code."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, also on failure.")(command)


def period_option(command: Command) -> Command:
    """``--period 2026-W47``"""
    return click.option("--period", metavar="YYYY-Www", help="The ISO week. Default: the newest that is due.")(command)


def load(config_path: Path) -> Loaded:
    """The checked configuration, including every source's format, options and location."""
    from attest import config
    from attest.custody.collector import check_configuration

    loaded = config.load(config_path)
    check_configuration(loaded)
    return loaded


def chosen_period(text: str | None, loaded: Loaded) -> Period:
    """The period that was named, or the newest whose cutoff has passed."""
    from attest.environment import clock
    from attest.period import Period

    if text is not None:
        return Period.parse(text)
    return loaded.config.schedule.schedule.latest_due(clock(loaded)())


def write_new(path: Path, data: bytes, *, private: bool = False) -> None:
    """Create a file, whole or not at all, if ``private`` for its owner alone; raises :class:`OperatorError` if it
    exists or cannot be written."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # refuses what is there already
        finally:
            partial.unlink()
    except OSError as fault:
        raise OperatorError(
            f"{path}: cannot be written ({fault.strerror})",
            code="not-writable",
            reason="It is a file of its own, and nothing is overwritten.",
            advice="Name a new file in a folder that you may write to.",
        ) from None


def judged_at(text: str | None) -> datetime:
    """The time that ``--at`` names, or now. Raises :class:`OperatorError` for anything but a UTC time within the years
    that have periods, but for the last."""
    from attest.records import parse_instant

    if text is None:
        return datetime.now(UTC)
    try:
        instant = parse_instant(text)
        if not 2000 <= instant.year < 9999:
            raise ValueError("is not within the years 2000 to 9998")
        return instant
    except ValueError as fault:
        raise OperatorError(
            f"--at {text!r}: {fault}",
            code="usage",
            reason="Freshness is judged as of one instant.",
            advice="Write it in UTC, for example 2026-11-23T08:00:00Z.",
        ) from None
