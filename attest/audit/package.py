"""The audit package: what one auditor may see of one attestation, as a zip archive encrypted to their key.

    README.md, SHA256SUMS, manifest.json   what everything is and how to check it
    bundle/ or payload.json                the public bundle, or the statement that still waits for signatures
    trust.example.json                     a first trust file, once published
    leaves.json                            every account's leaf
    decision.json, evidence/<sha256>       what the quorum decided on, and the documents as they came
    configuration.json, .salt              the rules in force: sha256 of salt and file is the statement's commitment
    configuration/<sha256>                 files that the configuration names (custodians' keys, contract interfaces)
    disclosures/<sha256>.json              the details that the statement commits to
    quorum.txt, quorum.json                why each source's word counted or not
    control-log.json                       who did what, and when
    report.html, report.pdf                the printable report

The same attestation gives the same archive byte for byte; only its encryption differs each time.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from attest.audit import report
from attest.audit.control_log import control_log
from attest.audit.documents import AuditManifest
from attest.audit.dossier import Dossier
from attest.config import Auditor, Config, Sight
from attest.documents import ManifestFile
from attest.errors import ConflictError, OperatorError
from attest.period import revision_name
from attest.records import digest, to_json
from attest.steps.explanation import in_words
from attest.steps.publication import trust_for_auditors

#: The earliest time that a zip archive can say: the same in every package.
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: The archive is made in memory, so that nothing of it is ever on a disk in clear.
MAX_BYTES = 1 << 30
_WIDTH = 80


@dataclass(frozen=True)
class Contents:
    """The package's files by name, in order; ``left_out`` says what could not be made, and why."""

    files: Mapping[str, bytes]
    left_out: tuple[str, ...]


def contents(dossier: Dossier, name: str, auditor: Auditor, labels: report.Labels) -> Contents:
    """What the auditor called ``name`` may see. Raises :class:`ConflictError` where the store contradicts itself,
    :class:`OperatorError` if it is too much for one package."""
    sees = set(auditor.sees)
    files = _statement(dossier)
    if "leaves" in sees:
        files["leaves.json"] = to_json(dossier.leaves_file)
    if "evidence" in sees:
        files |= _decision(dossier) | _evidence(dossier, sum(map(len, files.values())))
    if "quorum" in sees and dossier.explanation is not None:
        files["quorum.json"] = to_json(dossier.explanation)
        files["quorum.txt"] = "".join(f"{line}\n" for line in in_words(dossier.explanation, _WIDTH)).encode()
    if "control-log" in sees:
        files["control-log.json"] = to_json(control_log(dossier))
    left_out: list[str] = []
    if "report" in sees:
        page = report.html(dossier, labels)
        files["report.html"] = page
        try:
            files["report.pdf"] = report.pdf(page)
        except OperatorError as fault:  # the page prints as well, and a co-attestor must not wait for a library
            left_out.append(f"report.pdf ({fault.message}: {fault.advice})")
    return Contents(_sealed(files, dossier, name, auditor.sees), tuple(left_out))


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive with the same bytes for the same files: names sorted, times and modes fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix: the mode below is its
            entry.external_attr = 0o100600 << 16
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _statement(dossier: Dossier) -> dict[str, bytes]:
    """The public bundle with a trust file to begin with, or the payload that still waits for signatures."""
    published = dossier.published
    if published is None:
        return {"payload.json": dossier.payload}
    public = dossier.run.environment.public
    files = {"trust.example.json": to_json(trust_for_auditors(dossier.run))}
    for name, expected in published.files.items():
        key = f"{published.folder}/{name}"
        data = public.get(key)
        if data is None or digest(data) != expected:
            raise ConflictError(
                f"{public.url}: {key} is missing, or is not what was published",
                code="published-differs",
                reason="What was published once is never changed.",
                advice="Find out who has write access to the public store, and restore the file from its backup.",
            )
        files[f"bundle/{name}"] = data
    return files


def _decision(dossier: Dossier) -> dict[str, bytes]:
    """What the quorum decided on, and the rules in force."""
    files = {
        "decision.json": to_json(dossier.decision),
        "configuration.json": dossier.configuration,
        "configuration.salt": bytes.fromhex(dossier.opened.configuration_salt),
    }
    files |= {f"disclosures/{digest(data)}.json": data for data in dossier.disclosures}
    base = dossier.run.environment.loaded.base
    for path in named_files(dossier.config):
        files[named_file(path)] = (base / path).read_bytes()
    return files


def named_files(config: Config) -> tuple[str, ...]:
    """The files that the configuration names and a second reader needs: custodians' keys, contracts' interfaces."""
    keys = [s.signature.key for account in config.accounts.values() for s in account.sources if s.signature is not None]
    interfaces = [contract.abi for contract in (config.oracle, config.registry) if contract.abi is not None]
    return tuple(dict.fromkeys((*keys, *interfaces)))


def named_file(path: str) -> str:
    """Where a package keeps the file that the configuration calls ``path``, whatever that looks like."""
    return f"configuration/{digest(path.encode())}"


def _evidence(dossier: Dossier, already: int) -> dict[str, bytes]:
    """Every document that a source gave, whether it counted or not, and the proofs of ownership; unsealed."""
    collected = dossier.collected
    named = [(f"account {one.account}, source {one.source}", one.evidence) for one in collected.observations]
    named += [(f"account {one.account}, source {one.source}", one.evidence) for one in collected.failures]
    named += [(f"account {name}, proof of ownership", (proof,)) for name, proof in collected.ownership.items()]
    evidence, files, total = dossier.run.environment.evidence, dict[str, bytes](), already
    for where, digests in named:
        for each in digests:
            if f"evidence/{each}" in files:
                continue
            document = evidence.load_any(each, where)
            total += document.size
            if total > MAX_BYTES:
                raise OperatorError(
                    f"period {dossier.opened.period}: the evidence is more than {MAX_BYTES >> 20} MiB",
                    code="package-too-large",
                    reason="A package is made in memory, so that nothing of it is written to a disk in clear.",
                    advice='Leave "evidence" out of the auditor\'s `sees`, and hand it over from the private store.',
                )
            files[f"evidence/{each}"] = document.read(document.size)
    return files


def _sealed(files: dict[str, bytes], dossier: Dossier, name: str, sees: tuple[Sight, ...]) -> dict[str, bytes]:
    """The files with the README, the manifest over both, and the list for ``sha256sum -c``."""
    files["README.md"] = _readme(dossier, name, sees, files).encode()
    manifest = AuditManifest(
        format="attest-audit-manifest/1",
        issuer=dossier.statement.predicate.issuer,
        period=dossier.opened.period,
        revision=dossier.opened.revision,
        statement=digest(dossier.payload),
        auditor=name,
        sees=sees,
        files=tuple(ManifestFile(file, digest(data), len(data)) for file, data in sorted(files.items())),
    )
    files["manifest.json"] = to_json(manifest)
    files["SHA256SUMS"] = "".join(f"{digest(data)}  {file}\n" for file, data in sorted(files.items())).encode()
    return files


def _readme(dossier: Dossier, auditor: str, sees: Iterable[Sight], files: Mapping[str, bytes]) -> str:
    from jinja2 import Environment, StrictUndefined

    text = (resources.files("attest.audit") / "templates" / "README.md").read_text(encoding="utf-8")
    # No markup: it is read as plain text.
    environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    predicate = dossier.statement.predicate
    return environment.from_string(text).render(
        issuer=predicate.issuer,
        period=revision_name(predicate.period, predicate.revision),
        revision=predicate.revision,
        statement=digest(dossier.payload),
        commitment=predicate.configuration,
        software=predicate.software,
        auditor=auditor,
        sees=set(sees),
        files=files,
        published=dossier.published is not None,
        threshold=dossier.config.signing.threshold,
    )


def auditor_of(config: Config, name: str) -> Auditor:
    """The configured auditor; raises :class:`OperatorError` if there is none of this name."""
    if name not in config.auditors:
        known = ", ".join(config.auditors)
        raise OperatorError(
            f"--auditor {name}: there is no such auditor in attest.toml",
            code="unknown-auditor",
            reason="A package shows every balance: only to whom the configuration names, and only with their key.",
            advice=f"The auditors are: {known}." if known else "Add [auditors.NAME] with `openpgp` and `fingerprint`.",
        )
    return config.auditors[name]
