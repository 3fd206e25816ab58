"""The compiled reference contracts that this package carries (``contracts/compile.mjs`` writes them)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from attest.errors import OperatorError
from attest.records import load_plain


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    ``storage`` gives the slot of each state variable (``_totalSupply`` of ``WToken`` is 2), as solc lays them out;
    ``deployed_bytecode`` is what stands on the chain byte for byte, since no reference contract has immutables.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    deployed_bytecode: bytes
    storage: Mapping[str, int]

    @property
    def code_hash(self) -> str:
        """keccak256 of the deployed code, in hex: EIP-1186's ``codeHash``."""
        from eth_utils.crypto import keccak

        return keccak(self.deployed_bytecode).hex()

    def slot(self, variable: str) -> str:
        """The storage slot of a state variable: 32 bytes in hex."""
        return f"{self.storage[variable]:064x}"

    def deploy_data(self, *arguments: Any) -> bytes:
        """Creation code with the constructor's ABI-encoded arguments behind it."""
        return self.bytecode + _encode(self._entry("constructor", None), arguments)

    def call_data(self, function: str, *arguments: Any) -> bytes:
        """Selector and ABI-encoded arguments of a call; raises ``KeyError`` for a function that the ABI lacks."""
        from eth_utils.crypto import keccak

        entry = self._entry("function", function)
        return keccak(text=f"{function}({','.join(input_types(entry))})")[:4] + _encode(entry, arguments)

    def values(self, function: str, answer: bytes) -> tuple[Any, ...]:
        """What a function returned: its ABI-decoded values."""
        from eth_abi.abi import decode

        return tuple(decode([_canonical(output) for output in self._entry("function", function)["outputs"]], answer))

    def _entry(self, kind: str, name: str | None) -> Mapping[str, Any]:
        for entry in self.abi:
            if entry["type"] == kind and entry.get("name") == name:
                return entry
        raise KeyError(name)


@functools.cache
def artifact(name: str) -> Artifact:
    """The artifact of a reference contract, for example ``ReserveOracle``; raises ``FileNotFoundError`` for others."""
    resource = resources.files("attest.chain").joinpath("artifacts", f"{name}.json")
    plain = load_plain(resource.read_bytes(), f"artifact {name}", OperatorError)
    return Artifact(
        name=name,
        abi=tuple(plain["abi"]),
        bytecode=bytes.fromhex(plain["bytecode"][2:]),
        deployed_bytecode=bytes.fromhex(plain["deployedBytecode"][2:]),
        storage={label: place["slot"] for label, place in plain["storage"].items()},
    )


def input_types(entry: Mapping[str, Any]) -> list[str]:
    """The canonical types of an ABI entry's inputs; a struct is the tuple of its members."""
    return [_canonical(parameter) for parameter in entry["inputs"]]


def _canonical(parameter: Mapping[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    members = ",".join(_canonical(member) for member in parameter["components"])
    return f"({members}){kind.removeprefix('tuple')}"


def _encode(entry: Mapping[str, Any], arguments: tuple[Any, ...]) -> bytes:
    from eth_abi.abi import encode

    return encode(input_types(entry), arguments)
