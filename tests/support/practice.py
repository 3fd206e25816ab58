"""A practice network for tests: one chain for many tests, each with its own folder, stores, log and witness."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from attest import config, devnet
from attest.environment import build
from attest.log.note import COSIGNATURE_V1, ED25519, verifier_key
from attest.log.witness import Witness, WitnessServer
from attest.pipeline import Outcome, run
from attest.signing.ed25519 import load_note_signer
from attest.steps.context import NO_CHOICES, Choices, Environment


class Narration:
    """A narrator that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, bool]] = []
        self.summaries: dict[str, str] = {}

    def begin(self, step: str) -> None:
        pass

    def progress(self, text: str) -> None:
        pass

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        self.steps.append((step, stored))
        self.summaries[step] = summary


def rpc(url: str, method: str, *parameters: Any) -> Any:
    """One JSON-RPC call to the practice chain."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        document = json.load(answer)
    if "error" in document:
        raise RuntimeError(f"{method}: {document['error']}")
    return document["result"]


@dataclasses.dataclass
class Week:
    """One test's folder and what is in it; the chain behind it is put back when the test ends."""

    folder: Path
    url: str

    @property
    def config_path(self) -> Path:
        return self.folder / "attest.toml"

    def environment(self, narration: Narration | None = None, **replaced: Any) -> Environment:
        environment = build(config.load(self.config_path), narration or Narration())
        return dataclasses.replace(environment, **replaced)

    def run(self, choices: Choices = NO_CHOICES, **replaced: Any) -> Outcome:
        return run(self.environment(**replaced), devnet.PERIOD, choices)

    def edit_config(self, change: Callable[[str], str]) -> None:
        before = self.config_path.read_text()
        after = change(before)
        assert after != before, "the edit changed nothing"
        self.config_path.write_text(after)

    def statement_file(self, name: str) -> Path:
        return self.folder / "statements" / str(devnet.PERIOD) / name

    def restate(self, name: str, old: str, new: str) -> None:
        """Let a statement file close with ``new`` instead of ``old`` (plain decimals); a camt.053 statement opens with
        as much more or less, so that its entries still explain it."""
        path = self.statement_file(name)
        text = path.read_text(encoding="utf-8")
        grouped = {amount: f"{Decimal(amount):,}" for amount in (old, new)}
        assert old in text or grouped[old] in text, f"{name} does not say {old}"
        moved = Decimal(new) - Decimal(old)

        def shift(statement: re.Match[str]) -> str:
            if f">{old}<" not in statement[0]:
                return statement[0]
            opening = re.compile(r"(<Cd>OPBD</Cd>.*?<Amt [^>]*>)([0-9.]+)", re.DOTALL)
            return opening.sub(lambda found: f"{found[1]}{Decimal(found[2]) + moved}", statement[0], count=1)

        text = re.sub(r"<Stmt>.*?</Stmt>", shift, text, flags=re.DOTALL)
        path.write_text(text.replace(grouped[old], grouped[new]).replace(old, new), encoding="utf-8")

    def rpc(self, method: str, *parameters: Any) -> Any:
        return rpc(self.url, method, *parameters)

    def sent(self) -> dict[str, int]:
        """How many transactions each operator key has on the chain: what a second run must not change."""
        loaded = config.load(self.config_path).config
        keys = [*(signer.address for signer in loaded.signing.reporters), loaded.signing.publisher.address]
        return {address: int(self.rpc("eth_getTransactionCount", address, "latest"), 16) for address in keys}

    def stored(self, store: str = "private") -> Mapping[str, bytes]:
        root = self.folder / store
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.parent.name != ".tmp"]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@contextmanager
def prepared(folder: Path) -> Iterator[tuple[Path, str]]:
    """A practice network's folder and chain, as ``attest devnet`` makes them; for many tests to start from."""
    with devnet.running(folder, port=0, witness_port=0) as network:
        yield folder, network.rpc


@contextmanager
def week(template: Path, url: str, folder: Path) -> Iterator[Week]:
    """A fresh copy of the prepared folder with a witness of its own; the chain is put back at the end."""
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("devnet.*", "chain.*", "witness.json*"))
    password = (folder / "keys/password.txt").read_bytes().strip()
    log = load_note_signer(folder / "keys/log.pem", password)
    signer = load_note_signer(folder / "keys/witness.pem", password)
    keys = [verifier_key(devnet.LOG_ORIGIN, ED25519, log)]
    witness = Witness(devnet.WITNESS_NAME, signer, keys, folder / "witness.json", lambda: 1_795_500_000)
    assert witness.key.vkey == verifier_key(devnet.WITNESS_NAME, COSIGNATURE_V1, signer).vkey
    snapshot = rpc(url, "evm_snapshot")
    try:
        with WitnessServer(witness) as server:
            (folder / "witness.url").write_text(server.url)
            yield Week(folder, url)
    finally:
        # What anvil left waiting outlives a revert: it would be mined in the next week, in place of that week's own.
        rpc(url, "anvil_dropAllTransactions")
        rpc(url, "evm_revert", snapshot)
        rpc(url, "anvil_dropAllTransactions")
        witness.close()
