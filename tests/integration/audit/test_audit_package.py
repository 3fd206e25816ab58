"""``attest audit-package`` on the practice chain, opened with stock gpg, unzip and sha256sum."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
from pathlib import Path

import pytest

from attest import statement
from attest.audit import package
from attest.audit.control_log import control_log
from attest.audit.cosign import read_again
from attest.audit.dossier import gather
from attest.audit.report import Labels
from attest.devnet import PERIOD
from attest.documents import Predicate
from attest.errors import (
    EXIT_CONFLICT,
    EXIT_DONE,
    EXIT_SOURCE,
    EXIT_USAGE,
    EXIT_VERIFICATION,
    OperatorError,
    VerificationError,
)
from attest.model import Decision
from attest.pipeline import abandon
from attest.records import from_json
from attest.signing.dsse import parse_envelope
from attest.steps.context import Choices
from tests.support.auditors import Gpg, appoint, unpacked
from tests.support.commands import Said, attest
from tests.support.practice import Week

#: The same lines many times; other tests cover them.
pytestmark = [pytest.mark.requires("gpg", "apt-get install gnupg"), pytest.mark.no_cover]


def packaged(week: Week, out: Path, *words: object) -> Said:
    return attest("audit-package", "--auditor", "firm", "--out", out, *words, "--config", week.config_path)


def opened(week: Week, gpg: Gpg, tmp_path: Path, name: str = "package") -> Path:
    said = packaged(week, tmp_path / f"{name}.gpg")
    assert said.code == EXIT_DONE, said.everything
    return unpacked(gpg, tmp_path / f"{name}.gpg", tmp_path / name)


def statement_in(root: Path) -> Predicate:
    return statement.read(
        parse_envelope((root / "bundle/attestation.dsse.json").read_bytes(), "envelope").body
    ).predicate


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_audit_package__published_week__opens_with_gpg_and_is_complete(audited: Week, gpg: Gpg, tmp_path: Path) -> None:
    audited.run()
    root = opened(audited, gpg, tmp_path)
    assert stat.S_IMODE((tmp_path / "package.gpg").stat().st_mode) == 0o600
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=root, check=False).returncode == 0
    manifest = json.loads((root / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["files"]} | {"manifest.json", "SHA256SUMS"} == files(root)
    published = audited.folder / "public/attestations/2026-W47"
    for path in published.iterdir():
        assert (root / "bundle" / path.name).read_bytes() == path.read_bytes()
    evidence = {path.name for path in (audited.folder / "private/evidence").iterdir()}
    assert {path.name for path in (root / "evidence").iterdir()} == evidence
    assert all(hashlib.sha256((root / "evidence" / name).read_bytes()).hexdigest() == name for name in evidence)
    statement = json.loads((root / "control-log.json").read_text())
    assert [event["event"] for event in statement["events"]][:2] == ["opened", "collected"]


def test_audit_package__configuration__is_the_one_that_the_statement_commits_to(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    audited.run()
    root = opened(audited, gpg, tmp_path)
    salted = (root / "configuration.salt").read_bytes() + (root / "configuration.json").read_bytes()
    commitment = hashlib.sha256(salted).hexdigest()
    assert commitment in (root / "README.md").read_text()
    assert commitment.encode() in (audited.folder / "private/runs/2026-W47/1/payload").read_bytes()


def test_audit_package__its_readme__names_commands_that_work(audited: Week, gpg: Gpg, tmp_path: Path) -> None:
    audited.run()
    root = opened(audited, gpg, tmp_path)
    assert (
        "attest verify bundle --trust ../trust.json --leaves leaves.json --evidence ."
        in (root / "README.md").read_text()
    )
    said = attest("verify", root / "bundle", "--trust", audited.folder / "trust.json", "--at", "2026-11-24T08:00:00Z")
    assert said.code == EXIT_DONE, said.everything
    assert attest("cosign", root, "--check", "--rpc", audited.url).code == EXIT_DONE


def test_audit_package__given_to_verify__is_read_again_decided_again_and_added_up(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    audited.run()
    root = opened(audited, gpg, tmp_path)
    words = ("verify", root / "bundle", "--trust", audited.folder / "trust.json", "--at", "2026-11-24T08:00:00Z")
    said = attest(*words, "--leaves", root / "leaves.json", "--evidence", root, "--no-state", "--json")
    assert said.code == EXIT_DONE, said.everything
    checks = {check["name"]: check for check in said.document["checks"]}
    assert [checks[name]["outcome"] for name in ("leaves", "evidence")] == ["pass", "pass"]
    assert "10 documents read again, 15 balances" in checks["evidence"]["detail"]
    assert "by 7 accounts added up" in said.document["answers"][1]["detail"]
    document = next((root / "evidence").iterdir())
    document.write_bytes(document.read_bytes().replace(b"0", b"1", 1))
    assert attest(*words, "--evidence", root, "--no-state").code == EXIT_VERIFICATION


def test_verify__configuration_that_the_statement_does_not_commit_to__fails(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    audited.run()
    root = opened(audited, gpg, tmp_path)
    configuration, salt = root / "configuration.json", root / "configuration.salt"
    good = configuration.read_bytes()

    def evidence() -> tuple[int, str]:
        said = attest(
            *("verify", root / "bundle", "--trust", audited.folder / "trust.json", "--at", "2026-11-24T08:00:00Z"),
            *("--evidence", root, "--no-state", "--json"),
        )
        return said.code, next(check["detail"] for check in said.document["checks"] if check["name"] == "evidence")

    code, detail = evidence()
    assert (code, detail.rpartition(", ")[2]) == (EXIT_DONE, "under the configuration that the statement commits to")
    changed = json.loads(good)
    changed["accounts"]["usd-operating"]["sources"][0]["origin"] = "elsewhere.example"
    configuration.write_text(json.dumps(changed))
    code, detail = evidence()
    assert (code, "configuration.json: is not the configuration" in detail) == (EXIT_VERIFICATION, True), detail
    configuration.write_bytes(good)
    decision = (root / "decision.json").read_text()
    (root / "decision.json").write_text(
        decision.replace('"business_date":"2026-11-20"', '"business_date":"2026-11-19"')
    )
    code, detail = evidence()
    assert (code, "its rule is not the configuration's" in detail) == (EXIT_VERIFICATION, True), detail
    (root / "decision.json").write_text(decision)
    salt.unlink()
    code, detail = evidence()
    assert (code, "configuration.salt is missing" in detail) == (EXIT_VERIFICATION, True), detail


def test_audit_package__made_twice__encrypts_the_same_archive(audited: Week) -> None:
    audited.run()
    config = audited.environment().config

    def made() -> bytes:
        dossier = gather(audited.environment(), PERIOD, 0)
        return package.archive(package.contents(dossier, "firm", config.auditors["firm"], Labels.of(config)).files)

    assert made() == made()


@pytest.mark.parametrize(
    ("sees", "present", "absent"),
    [
        ('["leaves"]', {"leaves.json"}, {"decision.json", "quorum.txt", "control-log.json", "report.html"}),
        ('["quorum"]', {"quorum.txt", "quorum.json"}, {"leaves.json", "decision.json", "report.pdf"}),
        ('["control-log"]', {"control-log.json"}, {"leaves.json", "configuration.json"}),
        ('["evidence"]', {"decision.json", "configuration.json"}, {"leaves.json", "report.html"}),
        ('["report"]', {"report.html", "report.pdf"}, {"leaves.json", "decision.json", "quorum.json"}),
    ],
)
def test_audit_package__auditor_who_may_see_a_part__gets_that_part_and_the_bundle(
    audited: Week, gpg: Gpg, tmp_path: Path, sees: str, present: set[str], absent: set[str]
) -> None:
    audited.run()
    audited.edit_config(lambda text: text.rstrip() + f"\nsees = {sees}\n")
    found = files(opened(audited, gpg, tmp_path))
    assert present <= found
    assert not absent & found
    assert "bundle/attestation.dsse.json" in found
    assert any(name.startswith("evidence/") for name in found) == ("evidence" in sees)


def test_audit_package__sealed_evidence__is_opened_for_the_auditor(audited: Week, gpg: Gpg, tmp_path: Path) -> None:
    (audited.folder / "seal").write_text("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n")
    audited.edit_config(lambda text: text.replace("[stores]", '[stores]\nevidence_key = "file:seal"'))
    audited.run()
    root = opened(audited, gpg, tmp_path)
    assert not (audited.folder / "private/evidence").exists()
    decision = from_json(Decision, (root / "decision.json").read_bytes(), "decision.json")
    assert read_again(root, decision, statement_in(root)).startswith("10 documents read again, 15 balances")


def test_audit_package__auditor_added_in_the_middle_of_a_period__stops_no_run(
    operator: Week, gpg: Gpg, tmp_path: Path
) -> None:
    from attest.pipeline import run

    run(operator.environment(), PERIOD, until="commit")
    gpg.export("auditor@firm.example", operator.folder / "auditor.asc")
    appoint(operator, "auditor.asc", gpg.fingerprint("auditor@firm.example"))
    assert operator.run().folder is not None


# -- what is refused -------------------------------------------------------------------------------------------------


def test_audit_package__nothing_attested_yet__is_an_unknown_period(audited: Week, tmp_path: Path) -> None:
    said = packaged(audited, tmp_path / "p.gpg", "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "unknown-period")
    assert not (tmp_path / "p.gpg").exists()


def test_audit_package__unknown_auditor_or_revision_or_file_in_the_way__is_refused(
    audited: Week, tmp_path: Path
) -> None:
    audited.run()
    config = ("--config", audited.config_path, "--json")
    nobody = attest("audit-package", "--auditor", "nobody", "--out", tmp_path / "p.gpg", *config)
    assert (nobody.code, nobody.document["code"]) == (EXIT_USAGE, "unknown-auditor")
    assert "firm" in nobody.document["advice"]
    later = packaged(audited, tmp_path / "p.gpg", "--revision", 3, "--json")
    assert (later.code, later.document["code"]) == (EXIT_USAGE, "unknown-revision")
    (tmp_path / "p.gpg").write_text("kept")
    there = packaged(audited, tmp_path / "p.gpg", "--json")
    assert (there.code, there.document["code"]) == (EXIT_USAGE, "file-exists")
    assert (tmp_path / "p.gpg").read_text() == "kept"


def test_audit_package__folder_that_is_not_there__leaves_nothing_behind(audited: Week, tmp_path: Path) -> None:
    audited.run()
    said = packaged(audited, tmp_path / "nowhere/p.gpg", "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "not-writable")
    assert not list(tmp_path.glob("**/*.gpg*"))


def refused_key(week: Week, tmp_path: Path, certificate: str, fingerprint: str) -> str:
    appoint(week, certificate, fingerprint, name="other")
    out = tmp_path / "p.gpg"
    said = attest("audit-package", "--auditor", "other", "--out", out, "--config", week.config_path, "--json")
    assert said.code == EXIT_USAGE
    assert not out.exists()
    assert "auditors.other" in said.document["error"]
    code: str = said.document["code"]
    return code


def test_audit_package__key_that_cannot_be_used__is_refused(audited: Week, gpg: Gpg, tmp_path: Path) -> None:
    audited.run()
    before = audited.config_path.read_text()
    early = "20250101T000000"
    expired = gpg.new_key("expired@firm.example", "ed25519", "sign", "30d", at=early)
    signs = gpg.new_key("signs@firm.example", "ed25519", "sign", "never")
    subkey = gpg.new_key("subkey@firm.example", "ed25519", "sign", "never", at=early)
    gpg("--quick-add-key", subkey, "cv25519", "encr", "30d", at=early)
    revoked = gpg.new_key("revoked@firm.example", "default", "default", "never")
    certificate = gpg.home / "openpgp-revocs.d" / f"{revoked}.rev"
    certificate.write_text(certificate.read_text().replace(":-----BEGIN", "-----BEGIN"))
    gpg("--import", str(certificate))
    for name, fingerprint, code in (
        ("expired", expired, "auditor-key-unusable"),
        ("signs", signs, "auditor-key-unusable"),
        ("subkey", subkey, "auditor-key-unusable"),
        ("revoked", revoked, "auditor-key-unusable"),
        ("signs", revoked, "auditor-key-mismatch"),
    ):
        audited.config_path.write_text(before)
        gpg.export(f"{name}@firm.example", audited.folder / f"{name}.asc")
        assert refused_key(audited, tmp_path, f"{name}.asc", fingerprint) == code, name
    for content in (b"", b"no key", None):
        audited.config_path.write_text(before)
        (audited.folder / "none.asc").unlink(missing_ok=True)
        if content is not None:
            (audited.folder / "none.asc").write_bytes(content)
        assert refused_key(audited, tmp_path, "none.asc", signs) == "auditor-key"


def test_audit_package__published_file_that_was_changed__is_a_conflict(audited: Week, tmp_path: Path) -> None:
    audited.run()
    path = audited.folder / "public/attestations/2026-W47/receipts.json"
    path.write_bytes(path.read_bytes() + b" ")
    said = packaged(audited, tmp_path / "p.gpg", "--json")
    assert (said.code, said.document["code"]) == (EXIT_CONFLICT, "published-differs")


def test_package__too_much_evidence__is_refused(audited: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    audited.run()
    monkeypatch.setattr(package, "MAX_BYTES", 1000)
    config = audited.environment().config
    with pytest.raises(OperatorError, match="more than"):
        package.contents(gather(audited.environment(), PERIOD, 0), "firm", config.auditors["firm"], Labels.of(config))


# -- a week with exceptions ------------------------------------------------------------------------------------------


def test_audit_package__eventful_week__is_told_in_order_and_reads_again(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    """An abandoned attempt, a refusal, a failed source, a withheld token: all of it is told."""
    audited.statement_file("thames-severn-main.camt053.xml").write_text("no XML")
    assert attest("run", "--config", audited.config_path).code == EXIT_SOURCE
    abandon(audited.environment(), PERIOD, "a statement was corrected")
    assert attest("run", "--config", audited.config_path).code == EXIT_SOURCE
    audited.run(Choices(withhold=("GBPW",)))
    root = opened(audited, gpg, tmp_path)
    events = json.loads((root / "control-log.json").read_text())["events"]
    told = [(event["attempt"], event["event"]) for event in events]
    assert told[:3] == [(1, "opened"), (1, "refused"), (1, "abandoned")]
    assert told[3:6] == [(2, "opened"), (2, "refused"), (2, "collected")]
    assert (2, "withheld") in told
    assert told[-1] == (2, "published")
    by_event = {event["event"]: event for event in events}
    assert by_event["withheld"]["who"] == "a person"
    assert by_event["withheld"]["subject"] == "token GBPW"
    assert "gbp-main/bank-statement failed" in by_event["collected"]["detail"]
    assert "a statement was corrected" in by_event["abandoned"]["detail"]
    for event in events:
        assert event["sha256"] == hashlib.sha256((audited.folder / "private" / event["key"]).read_bytes()).hexdigest()
    page = (root / "report.html").read_text()
    for word in ("a statement was corrected", "withheld", "gbp-main/bank-statement", "source failed"):
        assert word in page
    detail = next((root / "disclosures").iterdir())
    assert hashlib.sha256(detail.read_bytes()).hexdigest() == detail.stem
    assert attest("cosign", root, "--check", "--rpc", audited.url).code == EXIT_DONE


def test_read_again__source_that_is_said_to_have_failed__must_fail_again(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    """A dissenting source could else be left out as one that failed."""
    audited.run()
    root = opened(audited, gpg, tmp_path)
    decision = json.loads((root / "decision.json").read_text())
    left_out = decision["observations"].pop(0)
    failure = {name: left_out[name] for name in ("account", "source", "evidence")}
    failure |= {"code": "malformed-xml", "message": "cannot be read", "reason": "", "advice": ""}
    decision["failures"].append(failure)
    changed = from_json(Decision, json.dumps(decision).encode(), "decision.json")
    with pytest.raises(VerificationError, match=f"account {left_out['account']}, source {left_out['source']}"):
        read_again(root, changed, statement_in(root))


def test_control_log__published_week__tells_every_transaction_and_who_signed(audited: Week) -> None:
    audited.run()
    log = control_log(gather(audited.environment(), PERIOD, 0))
    transactions = [event for event in log.events if event.event == "transaction"]
    assert len(transactions) == 10  # nine reports and the anchor
    assert {event.who for event in log.events if event.event == "signed"} == {
        f"attestor {audited.environment().config.signing.attestors[0].address}"
    }


def test_read_again__custodian_that_signs__is_checked_by_the_key_in_the_package(
    audited: Week, gpg: Gpg, tmp_path: Path
) -> None:
    gpg.new_key("bank@harbor.example", "ed25519", "sign", "never")
    gpg.export("bank@harbor.example", audited.folder / "keys/bank.asc")
    statement = audited.statement_file("first-harbor-bank.camt053.xml")
    gpg("--local-user", "bank@harbor.example", "--detach-sign", "--output", f"{statement}.sig", str(statement))
    location = 'location = "statements/{period}/first-harbor-bank.camt053.xml"'
    signed = f'{location}\nsignature = {{ kind = "pgp", key = "keys/bank.asc" }}'
    audited.edit_config(lambda text: text.replace(location, signed, 1))
    audited.run()
    root = opened(audited, gpg, tmp_path)
    assert (audited.folder / "keys/bank.asc").read_bytes() in {
        path.read_bytes() for path in (root / "configuration").iterdir()
    }
    assert attest("cosign", root, "--check", "--without-chain").code == EXIT_DONE
    decision = from_json(Decision, (root / "decision.json").read_bytes(), "decision.json")
    gpg.export("auditor@firm.example", next((root / "configuration").iterdir()))
    with pytest.raises(VerificationError, match="account usd-operating, source bank-statement"):
        read_again(root, decision, statement_in(root))


def test_audit_package__what_prints_is_missing__leaves_the_pdf_out_and_says_so(
    audited: Week, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited.run()

    def missing(page: bytes) -> bytes:
        raise OperatorError("a PDF needs weasyprint", code="extra-missing", advice="pip install it")

    monkeypatch.setattr("attest.audit.report.pdf", missing)
    said = packaged(audited, tmp_path / "p.gpg", "--json")
    assert said.code == EXIT_DONE
    assert "report.html" in said.document["files"]
    assert "report.pdf" not in said.document["files"]
    assert said.document["left_out"] == ["report.pdf (a PDF needs weasyprint: pip install it)"]
    report = attest("audit-report", "--out", tmp_path / "r.pdf", "--config", audited.config_path, "--json")
    assert (report.code, report.document["code"]) == (EXIT_USAGE, "extra-missing")
    assert not (tmp_path / "r.pdf").exists()


def test_audit_report__file_it_cannot_be__is_refused(audited: Week, tmp_path: Path) -> None:
    audited.run()
    config = ("--config", audited.config_path, "--json")
    said = attest("audit-report", "--out", tmp_path / "report.txt", *config)
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "usage")
    path = tmp_path / "report.html"
    assert attest("audit-report", "--out", path, *config).code == EXIT_DONE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = attest("audit-report", "--out", path, *config)
    assert (again.code, again.document["code"]) == (EXIT_USAGE, "file-exists")
