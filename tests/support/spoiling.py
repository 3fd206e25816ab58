"""Ways to break a practice week, each mended again when its context ends."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from attest import config
from attest.chain.artifact import artifact
from tests.support.commands import modes_hold, web_server
from tests.support.practice import Week

NOBODY = "0x00000000000000000000000000000000000000AA"

Spoiling = Callable[[Week], AbstractContextManager[Any]]


@contextmanager
def rewritten(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    before = path.read_bytes()
    after = change(before)
    assert after != before, f"{path} would not change"
    path.write_bytes(after)
    try:
        yield
    finally:
        path.write_bytes(before)


def statement(name: str, *changes: tuple[str, str], encoding: str = "utf-8") -> Spoiling:
    """A statement file that says something else."""

    def change(data: bytes) -> bytes:
        for old, new in changes:
            assert old.encode(encoding) in data, f"{name} does not say {old}"
            data = data.replace(old.encode(encoding), new.encode(encoding))
        return data

    return lambda week: rewritten(week.statement_file(name), change)


def statement_bytes(name: str, change: Callable[[bytes], bytes]) -> Spoiling:
    return lambda week: rewritten(week.statement_file(name), change)


def configured(old: str, new: str) -> Spoiling:
    """``attest.toml`` with one thing changed; ``{...}`` in both are facts of the week."""

    def spoil(week: Week) -> AbstractContextManager[None]:
        known = facts(week)
        one, other = old.format_map(known), new.format_map(known)
        return rewritten(week.config_path, lambda data: data.replace(one.encode(), other.encode(), 1))

    return spoil


def file_changed(name: str, change: Callable[[bytes], bytes]) -> Spoiling:
    return lambda week: rewritten(week.folder / name, change)


def replaced(place: Callable[[Week], Path], by: Callable[[Path], Any] | None) -> Spoiling:
    """Something else, or nothing, in the place of a file or folder."""

    @contextmanager
    def spoil(week: Week) -> Iterator[None]:
        path = place(week)
        aside = path.with_name(f"{path.name}.aside")
        if path.exists():
            path.rename(aside)
        if by is not None:
            by(path)
        try:
            yield
        finally:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            if aside.exists():
                aside.rename(path)

    return spoil


def a_statement(name: str) -> Callable[[Week], Path]:
    return lambda week: week.statement_file(name)


def in_folder(name: str) -> Callable[[Week], Path]:
    return lambda week: week.folder / name


def forbidden(place: Callable[[Week], Path], mode: int) -> Spoiling:
    """A file or folder whose mode keeps us out."""

    @contextmanager
    def spoil(week: Week) -> Iterator[None]:
        path = place(week)
        if not path.exists():
            path.mkdir()
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            with modes_hold():
                yield
        finally:
            path.chmod(before)

    return spoil


def full(store: str) -> Spoiling:
    """A store on a file system without room; where we may not mount one, files may not grow, which fails alike."""

    @contextmanager
    def spoil(week: Week) -> Iterator[None]:
        root = week.folder / store
        root.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(root)]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            try:
                yield
            finally:
                subprocess.run(["umount", str(root)], check=True)
            return
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return spoil


@contextmanager
def unreachable(week: Week) -> Iterator[None]:
    with socket.socket() as taken:  # bound, not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        with rewritten(week.folder / "rpc.url", lambda _: f"http://127.0.0.1:{taken.getsockname()[1]}\n".encode()):
            yield


@contextmanager
def web_page(week: Week) -> Iterator[None]:
    page = b"<!DOCTYPE html><title>Sign in</title><p>Please sign in."
    with web_server(200, page, "text/html") as url, rewritten(week.folder / "rpc.url", lambda _: url.encode()):
        yield


def role_revoked(contract: str, role: str, holder: str) -> Spoiling:
    """The admin takes a role away, and gives it back."""

    @contextmanager
    def spoil(week: Week) -> Iterator[None]:
        known = facts(week)
        change_role(week, known[contract], "revokeRole", role, known[holder])
        try:
            yield
        finally:
            change_role(week, known[contract], "grantRole", role, known[holder])

    return spoil


def change_role(week: Week, contract: str, function: str, role: str, holder: str) -> None:
    send(week, contract, artifact("ReserveOracle").call_data(function, keccak(text=role), holder))


def send(week: Week, contract: str, data: bytes) -> None:
    """A call by the practice contracts' admin, whose key the chain itself has."""
    admin = week.rpc("eth_accounts")[0]
    sent = week.rpc("eth_sendTransaction", {"from": admin, "to": contract, "data": "0x" + data.hex()})
    while (receipt := week.rpc("eth_getTransactionReceipt", sent)) is None:
        time.sleep(0.01)  # anvil answers before it has mined
    assert receipt["status"] == "0x1"


def report_reserve(week: Week, token: str, reporters: Sequence[int]) -> None:
    """These of the configured reporters (by their place) report on a token, as of the chain's head."""
    known = config.load(week.config_path).config
    address = known.tokens[token].deployments[0].address
    for place in reporters:
        reporter = known.signing.reporters[place].address
        head = week.rpc("eth_getBlockByNumber", "latest", False)
        call = artifact("ReserveOracle").call_data("submitReserveReport", address, 10**6, int(head["timestamp"], 16))
        week.rpc("anvil_impersonateAccount", reporter)
        transaction = {"from": reporter, "to": known.oracle.address, "data": f"0x{call.hex()}"}
        sent = week.rpc("eth_sendTransaction", transaction)
        while (receipt := week.rpc("eth_getTransactionReceipt", sent)) is None:
            time.sleep(0.01)
        assert receipt["status"] == "0x1"
        week.rpc("anvil_stopImpersonatingAccount", reporter)


def without_gas(holder: str) -> Spoiling:
    @contextmanager
    def spoil(week: Week) -> Iterator[None]:
        address = facts(week)[holder]
        before = week.rpc("eth_getBalance", address, "latest")
        week.rpc("anvil_setBalance", address, "0x0")
        try:
            yield
        finally:
            week.rpc("anvil_setBalance", address, before)

    return spoil


@contextmanager
def nothing(week: Week) -> Iterator[None]:
    yield


def facts(week: Week) -> dict[str, str]:
    """What errors may name and commands may be given."""
    loaded = config.load(week.config_path).config
    return {
        "week": str(week.folder),
        "config": str(week.config_path),
        "statements": str(week.statement_file("x").parent),
        "url": week.url,
        "oracle": loaded.oracle.address,
        "registry": loaded.registry.address,
        "usdw": loaded.tokens["USDW"].deployments[0].address,
        "publisher": loaded.signing.publisher.address,
        "reporter": loaded.signing.reporters[1].address,
        "nobody": NOBODY,
    }
