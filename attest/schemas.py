"""The JSON Schemas of every document, and the reference of ``attest.toml``: generated, so they cannot say anything else
than the code that reads and writes them.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from attest import artifacts, documents, model, runs
from attest.audit.documents import AuditManifest, ControlLog
from attest.chain.journal import JournalEntry
from attest.custody.sealing import SealedHeader
from attest.custody.snapshots import Snapshot
from attest.errors import OperatorError
from attest.log.witness import WitnessState
from attest.merkle.proof import InclusionProof
from attest.monitor.sizing import Sizing
from attest.monitor.told import Notified
from attest.records import Amount, json_schema
from attest.steps.explanation import Explanation
from attest.verify.memory import SeenLogs
from attest.verify.report import Report
from attest.verify.trust import Trust
from attest.verify.watch import Look, WatchState

if TYPE_CHECKING:
    from attest.config import Section


@dataclass(frozen=True)
class CustodyBalance:
    """One balance as ``attest custody read --json`` lists it. ``amount`` is a signed decimal number of the currency,
    ``minor_units`` the same as an integer; a debit is negative."""

    account: str
    currency: str
    amount: str
    minor_units: Amount
    balance_kind: model.StatedKind
    as_of: datetime
    statement_id: str


@dataclass(frozen=True)
class CommandError:
    """What any command prints with ``--json`` when it fails: what is wrong, why it matters, what to do next."""

    error: str
    code: str
    reason: str
    advice: str
    exit_code: int


#: Schema name -> the record that it describes. Public documents first, then what commands print, then what only the
#: private store holds.
RECORDS: Mapping[str, type[Any]] = {
    "statement": documents.Statement,
    "reserves": documents.Reserves,
    "receipts": documents.Receipts,
    "chain-proof": documents.ChainProof,
    "manifest": documents.Manifest,
    "feed": documents.Feed,
    "inclusion-proof": InclusionProof,
    "trust": Trust,
    "verification": Report,
    "watch": Look,
    "seen-logs": SeenLogs,
    "custody-balance": CustodyBalance,
    "error": CommandError,
    "quorum-explanation": Explanation,
    "sizing": Sizing,
    "observation": model.Observation,
    "sql-row": model.SqlRow,
    "chain-balance": model.ChainBalance,
    "ownership-challenge": model.OwnershipChallenge,
    "ownership-proof": model.OwnershipProof,
    "verdict": model.Verdict,
    "reserve-leaf": model.ReserveLeaf,
    "leaves": model.ReserveLeaves,
    "decision": model.Decision,
    "disclosure": artifacts.DisclosureDetail,
    "audit-manifest": AuditManifest,
    "control-log": ControlLog,
    "transaction": JournalEntry,
    "witness-state": WitnessState,
    "watch-state": WatchState,
    "notified": Notified,
    "custody-snapshot": Snapshot,
    "sealed-evidence": SealedHeader,
    "run-open": artifacts.Opened,
    "run-collection": artifacts.Collected,
    "run-verdict": artifacts.Decided,
    "run-commitment": artifacts.Committed,
    "run-submission": artifacts.Submitted,
    "run-confirmation": artifacts.Confirmed,
    "run-disclosures": artifacts.Disclosures,
    "run-signature": artifacts.StatementSignature,
    "run-log": artifacts.Logged,
    "run-anchor": artifacts.Anchored,
    "run-publication": artifacts.Published,
    "run-refresh": artifacts.Refreshed,
    "run-revision": runs.Revision,
    "run-fate": runs.Fate,
    "run-acknowledgement": runs.Acknowledgement,
    "run-withholding": runs.Withholding,
    "run-refusal": runs.Refusal,
}
CONFIGURATION = "configuration"
NAMES = (*RECORDS, CONFIGURATION)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) called ``name``, one of :data:`NAMES`; its ``$id`` is
    ``urn:reserve-attest:schema:NAME:v1``."""
    identifier = f"urn:reserve-attest:schema:{name}:v1"
    if name != CONFIGURATION:
        return json_schema(RECORDS[name], identifier)
    from attest.config import Config

    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier}
    return head | Config.model_json_schema()


def render(name: str) -> str:
    """The schema's file contents."""
    return json.dumps(schema(name), ensure_ascii=False, indent=2) + "\n"


def files() -> dict[str, str]:
    """File name -> contents, for every schema."""
    return {f"{name}.v1.json": render(name) for name in NAMES}


def write(folder: Path, contents: Mapping[str, str]) -> None:
    """Write generated files into ``folder``; raises :class:`OperatorError` if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as fault:
        raise _refuse(
            f"{folder}: cannot be written ({fault.strerror})", "Name a folder that you can write to."
        ) from None


def check(folder: Path, contents: Mapping[str, str], *, whole_folder: bool) -> None:
    """Raises :class:`OperatorError` naming every file of ``folder`` that is missing or differs, and with
    ``whole_folder`` those that nothing generates."""
    wrong = []
    for name, text in contents.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif path.read_text(encoding="utf-8") != text:
            wrong.append(f"{path} is not current")
    if whole_folder and folder.is_dir():
        wrong += [f"{path} is not generated" for path in sorted(folder.iterdir()) if path.name not in contents]
    if wrong:
        raise _refuse("; ".join(wrong), "Write it again (`make format`) and commit it with the change.")


def _refuse(message: str, advice: str) -> OperatorError:
    return OperatorError(
        message,
        code="generated-files",
        reason="What other programs are built against must say exactly what this one reads and writes.",
        advice=advice,
    )


# -- the configuration's reference -----------------------------------------------------------------------------------

_INTRODUCTION = """\
# Configuration

Every key of `attest.toml`, generated from the models that check it (`attest schemas --configuration-reference`).
Unknown keys are refused. Paths are relative to the file's folder. A *secret reference* is `env:NAME`, `file:PATH`,
`aws-sm:ARN#KEY` or `keyring:SERVICE/USER`; a secret itself is never written here.
"""


def configuration_reference() -> str:
    """``docs/configuration.md``: one table per section of ``attest.toml`` with key, type, default and description."""
    from attest.config import Config

    parts = [_INTRODUCTION]
    described: dict[type[Section], str] = {}
    _describe_sections(Config, "", described, parts.append)
    return "\n".join(parts)


def _describe_sections(
    cls: type[Section], path: str, described: dict[type[Section], str], emit: Callable[[str], None]
) -> None:
    """The table of ``cls``, which stands at ``path``, then those of the sections within it; each class once."""
    hints = typing.get_type_hints(cls, include_extras=True)
    rows, inner = [], []
    for key, field in cls.model_fields.items():
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        description = field.description or ""
        found = _sections(hints[key])
        if found is None:
            rows.append((f"`{key}`", _type(hints[key], field.metadata), default, description))
            continue
        sections, place = found
        where = f"{path}.{key}{place}".lstrip(".")
        for section in sections:
            if section not in described:
                described[section] = _heading(where)
                inner.append((section, where))
        kind = "list of `{}`" if place == "[]" else "`{}`"
        about = description or " ".join((sections[0].__doc__ or "").split()).partition(". ")[0].rstrip(".") + "."
        rows.append((f"`{key}`", kind.format(described[sections[0]]), default, about))
    if path:
        # Of sections that differ by their kind each has a table of its own.
        kinds = typing.get_args(hints.get("kind"))
        one_of = f', kind = "{kinds[0]}"' if len(kinds) == 1 else ""
        emit(f"## `{_heading(path)}`{one_of}\n\n{' '.join((cls.__doc__ or '').split())}\n")
    lines = ["| key | type | default | description |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    emit("\n".join(lines) + "\n")
    for section, where in inner:
        _describe_sections(section, where, described, emit)


def _heading(path: str) -> str:
    """How TOML heads the section at ``path``."""
    written = path.replace("[]", "")
    return f"[[{written}]]" if path.endswith("[]") else f"[{written}]"


def _sections(annotation: Any) -> tuple[tuple[type[Section], ...], str] | None:
    """The section that a key holds (or those of which it holds one) and how it is written below the key: plain, by
    name, or as an array of tables."""
    from attest.config import Section

    if isinstance(annotation, type):
        return ((annotation,), "") if issubclass(annotation, Section) else None
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _sections(arguments[0])
    if origin is dict:
        found = _sections(arguments[1])
        return found and (found[0], ".<name>")
    if origin is tuple:
        found = _sections(arguments[0])
        return found and (found[0], "[]")
    if origin in (Union, types.UnionType):
        each = [_sections(argument) for argument in arguments if argument is not type(None)]
        classes = tuple(section for found in each if found is not None for section in found[0])
        return (classes, "") if classes else None
    return None


def _type(annotation: Any, constraints: Any = ()) -> str:
    from pydantic import AwareDatetime

    from attest import config

    named: list[tuple[Any, str]] = [(config.Name, "name"), (config.Address, "address"), (config.Zone, "time zone")]
    named += [(config.SecretReference, "secret reference"), (config.EvidenceKey, "reference"), (Any, "any")]
    for alias, word in named:
        if annotation == alias:
            return word
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], constraints or arguments[1].metadata)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return _type(arguments[0], constraints)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    words = {str: "text", int: "integer", bool: "boolean", time: "time", date: "date", AwareDatetime: "time with zone"}
    bounds: list[tuple[str, int | None]] = [("from", getattr(bound, "ge", None)) for bound in constraints]
    bounds += [("to", getattr(bound, "le", None)) for bound in constraints]
    limits = [f"{word} {limit}" for word, limit in bounds if limit is not None] if annotation is int else []
    return " ".join([words[annotation], *limits])


def _default(value: Any) -> str:
    from pydantic import BaseModel

    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ("", (), {}):
        return "empty"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"
