"""What this project's own verifier says of a vector: the runner in Python, through the public functions only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attest.errors import VerificationError
from attest.log.checkpoint import open_checkpoint, verify_witnesses
from attest.log.note import parse_note, parse_vkey, verify_note
from attest.log.proof import verify_log_proof
from attest.merkle.proof import leaf_hash, verify_consistency, verify_inclusion
from attest.records import decode_base64, parse_instant
from attest.signing import dsse
from attest.verify.bundle import ENVELOPE
from attest.verify.inclusion import verify_proof
from attest.verify.report import CheckResult, exit_code
from attest.verify.trust import Trust, load_trust
from attest.verify.verifier import Brought, verify_bundle

Plain = Mapping[str, Any]


def judge(kind: str, data: Plain, at: str | None) -> dict[str, Any]:
    """The vector's outcome in the form of its ``expected``, without the reason."""
    if kind in _IN_FOLDERS:
        assert at is not None
        with tempfile.TemporaryDirectory() as folder:
            return _IN_FOLDERS[kind](data, at, Path(folder))
    try:
        _SINGLE[kind](data)
    except VerificationError:
        return {"verdict": "invalid"}
    return {"verdict": "valid"}


# -- what is read from folders ---------------------------------------------------------------------------------------


def write_files(files: Mapping[str, str], folder: Path) -> Path:
    """The files (base64 by path) in ``folder``, made if missing; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(decode_base64(text))
    return folder


def write_brought(data: Plain, folder: Path) -> dict[str, Any]:
    """What the auditor brings besides, as files in ``folder``: by the name of the command's option, the place."""
    given: dict[str, Any] = {}
    for name in ("leaves", "since"):
        if name in data:
            given[name] = folder / name
            given[name].write_bytes(decode_base64(data[name]))
    if "log" in data:
        given["log"] = str(write_files(data["log"], folder / "log"))
    return given


def _trust(data: Plain, folder: Path, bundle: Path) -> Trust:
    path = folder / "trust.json"
    path.write_bytes(data["trust"].encode())
    return load_trust(path, bundle)


def _bundle(data: Plain, at: str, folder: Path) -> dict[str, Any]:
    bundle = write_files(data["bundle"], folder / "bundle")
    try:
        trust = _trust(data, folder, bundle)
    except VerificationError:
        return {"verdict": "invalid", "exit_code": 6}
    report = verify_bundle(bundle, trust, now=parse_instant(at), brought=Brought(**write_brought(data, folder)))
    code = exit_code(report)
    return {
        "verdict": "invalid" if code == 6 else "valid",
        "exit_code": code,
        "checks": _outcomes(report.checks),
        "answers": {answer.name: answer.answer for answer in report.answers},
        "tokens": {token.token: token.state for token in report.tokens},
        "unmet": list(report.unmet),
    }


def _proof(data: Plain, at: str, folder: Path) -> dict[str, Any]:
    statement = write_files(data["statement"], folder / "bundle")
    if list(data["statement"]) == [ENVELOPE]:  # that file alone, not a folder
        statement /= ENVELOPE
    proof = folder / "proof.json"
    proof.write_bytes(decode_base64(data["proof"]))
    found = verify_proof(proof, statement, _trust(data, folder, statement), now=parse_instant(at))
    outcome: dict[str, Any] = {
        "verdict": "invalid",
        "exit_code": 6,
        "checks": _outcomes(found.checks),
        "unmet": list(found.unmet),
    }
    if found.leaf is not None:
        leaf = {"token": found.leaf.token, "account": found.leaf.account, "minor_units": str(found.leaf.minor_units)}
        outcome |= {"verdict": "valid", "exit_code": 0, "leaf": leaf}
    return outcome


def _outcomes(checks: tuple[CheckResult, ...]) -> dict[str, str]:
    return {check.name: check.outcome for check in checks}


# -- what stands by itself -------------------------------------------------------------------------------------------


def _inclusion(data: Plain) -> None:
    leaf = leaf_hash(decode_base64(data["leaf"])) if "leaf" in data else bytes.fromhex(data["leaf_hash"])
    path = [bytes.fromhex(node) for node in data["path"]]
    verify_inclusion(leaf, int(data["index"]), int(data["size"]), path, bytes.fromhex(data["root"]))


def _consistency(data: Plain) -> None:
    old, new = bytes.fromhex(data["old_root"]), bytes.fromhex(data["new_root"])
    path = [bytes.fromhex(node) for node in data["path"]]
    verify_consistency(int(data["old_size"]), old, int(data["new_size"]), new, path)


def _note(data: Plain) -> None:
    verify_note(parse_note(decode_base64(data["note"])), parse_vkey(data["vkey"]))


def _checkpoint(data: Plain) -> None:
    signed = open_checkpoint(decode_base64(data["checkpoint"]), parse_vkey(data["log_vkey"]))
    _enough(len(verify_witnesses(signed, map(parse_vkey, data["witness_vkeys"]))), data)


def _log_proof(data: Plain) -> None:
    proof, entry = decode_base64(data["proof"]), decode_base64(data["entry"])
    logged = verify_log_proof(proof, entry, parse_vkey(data["log_vkey"]), map(parse_vkey, data["witness_vkeys"]))
    _enough(len(logged.cosignatures), data)


def _enough(cosignatures: int, data: Plain) -> None:
    if cosignatures < data["threshold"]:
        raise VerificationError(f"{cosignatures} cosignatures of {data['threshold']}", code="threshold")


def _dsse(data: Plain) -> None:
    envelope = dsse.parse_envelope(decode_base64(data["envelope"]))
    if envelope.payloadType != data["payload_type"]:
        raise VerificationError(f"of the type {envelope.payloadType!r}", code="payload-type")
    faults = []
    for signature in envelope.signatures:
        try:
            return dsse.verify_signature(
                data["public_key"].encode(), data["payload_type"], envelope.body, signature.signature
            )
        except VerificationError as fault:
            faults.append(fault)
    raise faults[0]


_IN_FOLDERS: Mapping[str, Callable[[Plain, str, Path], dict[str, Any]]] = {"bundle": _bundle, "proof": _proof}
_SINGLE: Mapping[str, Callable[[Plain], None]] = {
    "inclusion": _inclusion,
    "consistency": _consistency,
    "note": _note,
    "checkpoint": _checkpoint,
    "log-proof": _log_proof,
    "dsse": _dsse,
}
