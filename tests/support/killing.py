"""Runs that die: a process that kills itself before, in the middle of, or after its n-th operation on the outside.

An operation is a store's create or replace, a JSON-RPC request, or a request to a witness. "In the middle" of a create
on local disk is when the temporary file is written and not yet linked.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from attest import config, devnet, pipeline
from attest.chain.rpc import connect
from attest.environment import build
from attest.errors import AttestError
from attest.posting import HttpTransport, Reply
from attest.steps.context import Environment
from attest.store import LocalStore
from tests.support.measuring import unmeasured
from tests.support.practice import Narration

T = TypeVar("T")
Moment = Literal["before", "middle", "after"]
KILLED = 137

#: Children are forked from a server that has imported everything: a run then costs its work, not its imports.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.killing", "eth_abi", "eth_account", "jinja2"])


class Killer:
    """Counts operations, notes each in ``journal``, and ends the process at one of them."""

    def __init__(self, at: int, moment: Moment, journal: Path | None) -> None:
        self.at, self.moment, self.journal = at, moment, journal
        self.count = 0
        self.step = ""
        self._lock = threading.RLock()

    def around(self, name: str, act: Callable[[], T]) -> T:
        with self._lock:
            self.count += 1
            mine = self.count == self.at
            if self.journal is not None:
                with self.journal.open("a") as file:
                    file.write(f"{self.step} {name}\n")
            if mine and self.moment == "before":
                os._exit(KILLED)
            if mine and self.moment == "middle":
                os.link = self._die
            result = act()
            if mine:
                os._exit(KILLED)
            return result

    @staticmethod
    def _die(*_: object, **__: object) -> None:
        os._exit(KILLED)


class KillingStore(LocalStore):
    def __init__(self, root: Path, killer: Killer) -> None:
        super().__init__(root)
        self._killer = killer

    def create(self, key: str, data: bytes) -> bool:
        return self._killer.around(f"create {key}", lambda: super(KillingStore, self).create(key, data))

    def replace(self, key: str, data: bytes) -> None:
        self._killer.around(f"replace {key}", lambda: super(KillingStore, self).replace(key, data))


class KillingTransport:
    def __init__(self, killer: Killer) -> None:
        self._killer, self._real = killer, HttpTransport(20)

    def post(self, url: str, body: bytes) -> Reply:
        return self._killer.around("rpc request", lambda: self._real.post(url, body))


class _Steps(Narration):
    def __init__(self, killer: Killer) -> None:
        super().__init__()
        self._killer = killer

    def begin(self, step: str) -> None:
        self._killer.step = step


def _run(environment: Environment) -> None:
    pipeline.run(environment, devnet.PERIOD)


def _die_running(
    folder: Path, at: int, moment: Moment, journal: Path | None, act: Callable[[Environment], object]
) -> None:
    killer = Killer(at, moment, journal)
    loaded = config.load(folder / "attest.toml")
    transport = KillingTransport(killer)
    clients = {
        name: connect(chain, name=name, base=loaded.base, transport=transport)
        for name, chain in loaded.config.chains.items()
    }
    environment = build(loaded, _Steps(killer), chains=clients)
    real_post = environment.post
    environment = dataclasses.replace(
        environment,
        private=KillingStore(folder / "private", killer),
        public=KillingStore(folder / "public", killer),
        post=lambda *request: killer.around("witness request", lambda: real_post(*request)),
    )
    try:
        with unmeasured():  # who dies does not say what was measured
            act(environment)
    except AttestError as fault:
        print(f"{fault.code}: {fault.message}")
        os._exit(fault.exit_code)
    os._exit(0)


def start_run(
    folder: Path,
    at: int = 0,
    moment: Moment = "after",
    journal: Path | None = None,
    act: Callable[[Environment], object] = _run,
) -> Any:
    """A started process that does the weekly run (or ``act``, a module's function) and dies at operation ``at`` (0:
    never)."""
    process = CONTEXT.Process(target=_die_running, args=(folder, at, moment, journal, act))
    process.start()
    return process


def operations(journal: Path) -> list[tuple[str, str]]:
    """What a journaled run did: (step, operation), in order; the first is operation 1."""
    lines = journal.read_text().splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]
