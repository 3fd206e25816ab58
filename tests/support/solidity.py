"""Compiles a contract of the tests' own, as contracts/compile.mjs compiles the reference contracts."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path

from attest.chain.artifact import Artifact

ROOT = Path(__file__).parents[2]

_COMPILE = """
const solc = require("solc"), fs = require("fs");
const read = (name) => ({ contents: fs.readFileSync(require.resolve(name), "utf8") });
process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: read }));
"""


@functools.cache
def compile_contract(path: Path) -> Artifact:
    """The only contract of the file, named as it is. Needs node, and solc of `npm ci`."""
    name = path.stem
    settings = {
        "evmVersion": "london",
        "optimizer": {"enabled": True, "runs": 200},
        "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
    }
    sources = {path.name: {"content": path.read_text()}}
    asked = json.dumps({"language": "Solidity", "sources": sources, "settings": settings})
    command = ["node", "-e", _COMPILE]
    done = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, timeout=120, check=True)
    output = json.loads(done.stdout)
    assert "contracts" in output, output["errors"]
    built = output["contracts"][path.name][name]
    code, deployed = (bytes.fromhex(built["evm"][kind]["object"]) for kind in ("bytecode", "deployedBytecode"))
    return Artifact(name, tuple(built["abi"]), code, deployed, {})
