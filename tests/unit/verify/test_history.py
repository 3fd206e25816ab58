"""What the log shows besides one entry: that it only grew, and which periods are missing, replaced or revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import pytest

from attest.documents import Predicate, Supersedes
from attest.log.checkpoint import Checkpoint
from attest.log.note import parse_vkey, sign_note
from attest.log.reader import LogReader
from attest.records import digest
from attest.signing.dsse import parse_envelope
from attest.verify import history
from attest.verify.report import exit_code
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged, log_reader


@cache
def statement(
    period: str,
    revision: int = 0,
    *,
    replaces: bytes | None = None,
    kind: Literal["revision", "revocation"] = "revision",
    signers: tuple[int, ...] = (0, 1),
    issuer: str = bundles.ISSUER,
    software: str = "reserve-attest 0.1.0",
    dated: str | None = None,
) -> bytes:
    """A signed statement of another period, as it stands in the log; ``dated``: the period that its cutoff is in, if
    not its own."""
    supersedes = None
    if replaces is not None:
        supersedes = Supersedes(digest(parse_envelope(replaces).body), kind, "A bank corrected its statement.")

    def change(predicate: Predicate) -> Predicate:
        changed = replace(predicate, revision=revision, supersedes=supersedes, issuer=issuer, software=software)
        return replace(bundles.of_period(changed, dated or period), period=period)

    tokens = Forge().tokens
    if kind == "revocation":
        tokens = tuple(bundles.withheld_token(token, "revoked") for token in tokens)
    return Forge(tokens=tokens, alter_predicate=change, signers=signers).files()["attestation.dsse.json"]


W44, W45, W46, W48 = (statement(f"2026-W{week}") for week in (44, 45, 46, 48))
FORGE = Forge(before=(W44, W45, W46))
FILES = FORGE.files()
OWN = FILES["attestation.dsse.json"]
LOG = tuple(FORGE.entries)
TRUST = replace(bundles.trust(), earliest_period="2026-W44", cadence_weeks=1)


#: Week 48 has had its cutoff, and week 47 is not stale.
MONDAY = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


def seen(*entries: bytes, trust: Trust = TRUST, files: Any = FILES, now: datetime = MONDAY, **brought: Any) -> Any:
    """The report with a log of these entries at hand."""
    return judged(files, trust, log=log_reader(entries), now=now, **brought)


# -- history ---------------------------------------------------------------------------------------------------------


def test_history__complete_log__passes() -> None:
    report = seen(*LOG)

    assert failed(report) == []
    assert detail(report, "history") == "the log at size 4, 2026-W44 to 2026-W47: this one is in force"
    assert exit_code(report) == 0


def test_history__no_log_at_hand__skipped_with_advice() -> None:
    report = judged(FILES, TRUST)

    assert report.outcome("history") == "skipped"
    assert next(check for check in report.checks if check.name == "history").advice.endswith("--log PLACE.")


def test_history__demanded_without_a_log__exit_6() -> None:
    demanding = replace(TRUST, demands=("history",))

    assert exit_code(judged(FILES, demanding)) == 6
    assert exit_code(seen(*LOG, trust=demanding)) == 0


def test_history__later_periods__do_not_matter() -> None:
    report = seen(*LOG, W48)

    assert detail(report, "history") == "the log at size 5, 2026-W44 to 2026-W48: this one is in force"


def test_history__no_cadence__says_that_missing_periods_are_not_looked_for() -> None:
    report = seen(*LOG, trust=replace(TRUST, cadence_weeks=None))

    assert "your trust file gives no cadence" in detail(report, "history")
    assert failed(report) == []


def test_history__periods_missing__are_named() -> None:
    forge = Forge(before=(W45,))
    files = forge.files()

    report = judged(files, TRUST, log=log_reader(forge.entries))

    assert failed(report) == ["history"]
    assert "the log has nothing for 2026-W44, 2026-W46, and you expect one" in detail(report, "history")
    assert exit_code(report) == 6


def test_history__two_week_cadence__names_the_span_that_lacks_one() -> None:
    trust = replace(TRUST, earliest_period="2026-W42", cadence_weeks=2)

    assert "nothing for 2026-W42 to 2026-W43, and" in detail(seen(*LOG, trust=trust), "history")
    assert failed(seen(*LOG, trust=replace(trust, earliest_period="2026-W43"))) == []


def test_history__replaced__fails_and_says_by_what_and_why() -> None:
    report = seen(*LOG, statement("2026-W47", 1, replaces=OWN))

    assert failed(report) == ["history"]
    assert detail(report, "history") == "replaced by revision 1: A bank corrected its statement."
    assert {token.state for token in report.tokens} == {"unproven"}
    advice = next(check for check in report.checks if check.name == "history").advice
    assert "Verify 2026-W47.1 instead" in advice


def test_history__revoked__fails_and_says_why() -> None:
    report = seen(*LOG, statement("2026-W47", 1, replaces=OWN, kind="revocation"))

    assert detail(report, "history") == "revoked by revision 1: A bank corrected its statement."


def test_history__revision_itself__is_in_force_and_says_what_it_replaces() -> None:
    def change(predicate: Predicate) -> Predicate:
        supersedes = Supersedes(digest(parse_envelope(OWN).body), "revision", "A bank corrected its statement.")
        return replace(predicate, revision=1, supersedes=supersedes)

    forge = Forge(before=LOG, alter_predicate=change)
    files = forge.files()

    report = judged(files, TRUST, log=log_reader(forge.entries))

    assert failed(report) == []
    assert "this one is in force; 2026-W47 replaced by revision 1" in detail(report, "history")
    assert "This is revision 1, which replaces the one before it: A bank corrected its statement." in report.notes


def test_history__another_period_revoked__is_told_and_counts_as_there() -> None:
    revoked = statement("2026-W46", 1, replaces=W46, kind="revocation")

    report = seen(*LOG, revoked)

    assert failed(report) == []
    assert "2026-W46 revoked by revision 1" in detail(report, "history")


def test_history__revision_missing_between__fails() -> None:
    first = statement("2026-W46", 1, replaces=W46)
    second = statement("2026-W46", 2, replaces=first)

    assert "entry 4 (2026-W46, revision 2) comes where revision 1 should: one is not in the log" in detail(
        seen(*LOG, second), "history"
    )
    assert failed(seen(*LOG, first, second)) == []


def test_history__first_revision_missing__fails() -> None:
    first = statement("2026-W48", 1, replaces=W48)

    assert "entry 4 (2026-W48, revision 1) comes where revision 0 should: one is not in the log" in detail(
        seen(*LOG, first), "history"
    )


def test_history__revision_of_another_statement__fails() -> None:
    wrong = statement("2026-W46", 1, replaces=W45)

    assert "(2026-W46, revision 1) does not replace entry 2 (2026-W46, revision 0), but another" in detail(
        seen(*LOG, wrong), "history"
    )


def test_history__two_statements_of_one_period__fails() -> None:
    other = statement("2026-W46", software="another")

    assert "entry 4 (2026-W46, revision 0) contradicts entry 2 (2026-W46, revision 0), which was first" in detail(
        seen(*LOG, other), "history"
    )


def test_history__one_statement_entered_twice__is_one() -> None:
    assert failed(seen(*LOG, W46)) == []


@pytest.mark.parametrize("entry", [b"", b"spam", b"{}", W48.replace(b"payloadType", b"payloadtype")])
def test_history__entry_that_is_no_statement__fails(entry: bytes) -> None:
    report = seen(*LOG, entry)

    assert failed(report) == ["history"]
    assert "entry 4" in detail(report, "history")


@pytest.mark.parametrize("signers", [(0,), (7, 8), (0, 9)])
def test_history__entry_not_signed_by_enough_trusted_attestors__fails(signers: tuple[int, ...]) -> None:
    # Else whoever has the log's key alone could fill a gap, or revoke.
    report = seen(*LOG, statement("2026-W48", signers=signers))

    assert "entry 4 (2026-W48, revision 0) is signed by" in detail(report, "history")


def test_history__entry_of_another_issuer__fails() -> None:
    assert "is by 'Another Ltd'" in detail(seen(*LOG, statement("2026-W48", issuer="Another Ltd")), "history")


def test_history__entries_before_the_earliest_period__need_no_trusted_signature() -> None:
    old = statement("2026-W30", signers=(7,), issuer="Former Name Ltd")
    forge = Forge(before=(old, W44, W45, W46))
    files = forge.files()

    assert failed(judged(files, TRUST, log=log_reader(forge.entries))) == []


def test_history__log_that_ends_before_the_bundles_head__fails() -> None:
    report = seen(W44, W45)

    assert failed(report) == ["history"]
    assert "the log at hand ends at size 2, before the head at size 4 in this bundle" in detail(report, "history")


def test_history__log_with_another_past__fails_as_rewritten() -> None:
    report = seen(W45, W44, W46, OWN, W48)

    assert failed(report) == ["history"]
    assert "contradicts the head at size 4 in this bundle: it was rewritten" in detail(report, "history")


def test_history__log_of_another_key__fails() -> None:
    report = judged(FILES, TRUST, log=log_reader(LOG, key=bundles.note_key("other")))

    assert failed(report) == ["history"]


def test_attack_15__statement_with_the_cutoff_of_another_week__fills_no_gap() -> None:
    """Signed in advance, it would let the issuer skip a week."""
    forge = Forge(before=(W44, W45, statement("2026-W46", dated="2026-W44")))
    files = forge.files()

    report = judged(files, TRUST, log=log_reader(forge.entries))

    assert failed(report) == ["history"]
    assert detail(report, "history") == (
        "entry 2 (2026-W46, revision 0) has its cutoff on Sun 1 Nov 2026 23:59 UTC, which is not in that period"
    )
    assert exit_code(report) == 6


def test_attack_15__one_cutoff_under_two_periods__fills_no_gap() -> None:
    """In UTC the end of a week is less than a day before the next one, and so in both."""
    report = seen(*LOG, statement("2026-W48", dated="2026-W47"))

    assert detail(report, "history") == (
        "entry 4 (2026-W48, revision 0) has its cutoff on Sun 22 Nov 2026 23:59 UTC, which is that of 2026-W47"
    )


def test_attack_15__statement_of_a_week_to_come__fails() -> None:
    report = seen(*LOG, W48, now=bundles.NOW)

    assert failed(report) == ["history"]
    assert detail(report, "history") == (
        "entry 4 (2026-W48, revision 0) has its cutoff on Sun 29 Nov 2026 23:59 UTC, in the future "
        "(it is Tue 24 Nov 2026 08:00 UTC)"
    )


def damaged(entries: Sequence[bytes], path: str, data: bytes | None) -> LogReader:
    files: dict[str, bytes | None] = dict(bundles.log_files(entries))
    files[path] = data
    return LogReader(files.get, parse_vkey(bundles.LOG_VKEY), "the log")


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("checkpoint", None, "checkpoint is missing"),
        ("checkpoint", b"x\n", "the log/checkpoint"),
        ("tile/entries/000.p/5", None, "is missing"),
        ("tile/entries/000.p/5", b"\0\5ab", "ends within an entry"),
        ("tile/entries/000.p/5", b"\0\0" * 5, "lead to root"),
        ("tile/0/000.p/5", bytes(160), "rewritten"),
    ],
)
def test_history__log_with_a_missing_or_false_file__fails(path: str, data: bytes | None, said: str) -> None:
    report = judged(FILES, TRUST, log=damaged((*LOG, W48), path, data))

    assert failed(report) == ["history"]
    assert said in detail(report, "history")


def test_history__log_of_absurd_size__is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)

    assert "more than 3 are not read" in detail(seen(*LOG), "history")


def test_history__bundle_whose_own_proof_is_false__is_skipped_not_failed_twice() -> None:
    report = judged(Forge(before=(W44, W45, W46), log_key=bundles.note_key("other")), TRUST, log=log_reader(LOG))

    assert "log-inclusion" in failed(report)
    assert report.outcome("history") == "skipped"


# -- consistency -----------------------------------------------------------------------------------------------------


def head(*entries: bytes) -> Checkpoint:
    from attest.merkle.proof import leaf_hash

    return Checkpoint(bundles.ORIGIN, len(entries), bundles.merkle_root([leaf_hash(entry) for entry in entries]))


def kept(*entries: bytes) -> bytes:
    """A checkpoint as an auditor keeps it."""
    return sign_note(head(*entries).text, bundles.ORIGIN, bundles.LOG_KEY).to_bytes()


def test_consistency__nothing_kept__skipped_and_not_independent() -> None:
    report = judged(FILES, replace(TRUST, witnesses=replace(TRUST.witnesses, threshold=0, vkeys=())))

    assert report.outcome("consistency") == "skipped"
    assert report.answers[2].answer == "no"


def test_consistency__demanded_with_nothing_to_compare__is_met_the_first_time_only() -> None:
    demanding = replace(TRUST, demands=("consistency",))

    first = judged(FILES, demanding, first=True)

    assert (first.outcome("consistency"), first.unmet) == ("skipped", ())
    assert "none was ever remembered" in detail(first, "consistency")
    assert judged(FILES, demanding).unmet == ("consistency",)
    assert judged(FILES, demanding, first=True, since=kept(W44)).unmet == ("consistency",)


def test_consistency__smaller_checkpoint_kept__passes_by_the_logs_tiles_and_is_a_memory() -> None:
    report = seen(*LOG, since=kept(W44, W45))

    assert detail(report, "consistency") == (
        "the log at size 4 agrees with the head at size 2 that you kept; nothing was rewritten"
    )
    assert "your own, of the log at size 2" in report.answers[2].detail


def test_consistency__same_size__needs_no_log_and_is_no_new_memory() -> None:
    alone = replace(TRUST, witnesses=replace(TRUST.witnesses, threshold=0, vkeys=()))

    report = judged(FILES, alone, since=kept(*LOG))

    assert report.outcome("consistency") == "pass"
    assert report.answers[2].answer == "no"


def test_consistency__larger_checkpoint_kept__passes_too() -> None:
    report = seen(*LOG, W48, since=kept(*LOG, W48))

    assert detail(report, "consistency").startswith("the log at size 4 agrees with the head at size 5")


def test_consistency__remembered_and_kept__are_both_compared() -> None:
    report = seen(*LOG, since=kept(W44), remembered=head(W44, W45))

    assert "the head at size 1 that you kept and the head at size 2 that was remembered" in detail(
        report, "consistency"
    )
    assert failed(seen(*LOG, since=kept(W44), remembered=head(W45, W44))) == ["consistency"]


def test_consistency__no_log_at_hand__skipped_with_advice() -> None:
    report = judged(FILES, TRUST, since=kept(W44))

    assert report.outcome("consistency") == "skipped"
    assert "shows in its hash tiles" in detail(report, "consistency")
    assert (report.unmet, exit_code(report)) == (("consistency",), 6)
    assert exit_code(judged(FILES, replace(TRUST, demands=("consistency",)), since=kept(W44))) == 6


@pytest.mark.parametrize("other", [(W45, W44), (W45, W44, W46, OWN, W48), (W45,)])
def test_consistency__rewritten__fails_and_says_that_it_is_evidence(other: tuple[bytes, ...]) -> None:
    report = seen(*LOG, W48, remembered=head(*other))

    assert failed(report) == ["consistency"]
    assert "it was rewritten" in detail(report, "consistency")
    check = next(check for check in report.checks if check.name == "consistency")
    assert "evidence" in check.advice
    assert exit_code(report) == 6


def test_consistency__same_size_other_root__fails_without_a_log() -> None:
    report = judged(FILES, TRUST, remembered=head(W45, W44, W46, OWN))

    assert failed(report) == ["consistency"]


def test_consistency__log_shorter_than_what_was_seen__fails() -> None:
    report = seen(*LOG, remembered=head(*LOG, W48))

    assert failed(report) == ["consistency"]
    assert "ends at size 4, before the head at size 5 that was remembered" in detail(report, "consistency")


@pytest.mark.parametrize(
    "data", [b"", b"x", kept(W44).replace(b"example", b"another"), kept(W44)[:-10] + b"AAAAAAAAA\n"]
)
def test_consistency__checkpoint_that_is_not_the_logs__fails(data: bytes) -> None:
    assert failed(seen(*LOG, since=data)) == ["consistency"]


def test_consistency__empty_log_kept__is_extended_by_every_log() -> None:
    assert judged(FILES, TRUST, since=kept()).outcome("consistency") == "pass"
