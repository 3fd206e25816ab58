"""A whole configuration around the example accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEYS = """
[issuer]
name = "Wexample"
contact = "x@example.com"
[stores]
private = "file://private"
public = "file://public"
[chains.local]
chain_id = 31337
endpoints = ["http://127.0.0.1:1"]
[oracle]
chain = "local"
address = "0x00000000000000000000000000000000000000a1"
[registry]
chain = "local"
address = "0x00000000000000000000000000000000000000a2"
[signing]
reporters = [{ uri = "keystore:a.json", address = "0x00000000000000000000000000000000000000b1" }]
publisher = { uri = "keystore:b.json", address = "0x00000000000000000000000000000000000000b2" }
attestors = [{ uri = "keystore:c.json", address = "0x00000000000000000000000000000000000000b3" }]
log = { uri = "keystore:d.pem", vkey = "x" }
[log]
origin = "example.com/reserves"
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """An ``attest.toml`` with the accounts of ``examples/accounts.toml``."""
    tokens = "".join(
        f'[tokens.{currency}W]\ncurrency = "{currency}"\n'
        f'deployments = [{{ chain = "local", address = "0x{n:040d}", decimals = 6 }}]\n'
        for n, currency in enumerate(("USD", "EUR", "GBP"), 1)
    )
    path = tmp_path / "attest.toml"
    path.write_text(KEYS + tokens + (ROOT / "examples/accounts.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return path
