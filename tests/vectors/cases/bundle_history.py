"""Whole bundles with an earlier checkpoint that their reader kept, or with the log's files: did it only grow, and is a
period missing, replaced or revoked?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

from attest.documents import Predicate, Supersedes
from attest.log.checkpoint import Checkpoint
from attest.log.note import sign_note
from attest.merkle.proof import leaf_hash
from attest.records import digest, encode_base64
from attest.signing import dsse
from attest.signing.ed25519 import Ed25519Signer
from attest.verify.trust import Demand, Trust
from tests.support import bundles
from tests.support.bundles import LOG_KEY, ORIGIN, Forge, log_files, merkle_root, note_key, of_period, withheld_token
from tests.vectors.cases.case import Case, encoded
from tests.vectors.cases.forging import ONE_ACCOUNT, SMALL_TRUST, bundle, cutoff, small

#: Week 48 has had its cutoff, and week 47 is not stale.
MONDAY = datetime(2026, 11, 30, 8, tzinfo=UTC)
LAST_DAY = datetime(9999, 12, 26, tzinfo=UTC)
#: One attestation is expected each week from week 45 on.
WEEKLY = replace(SMALL_TRUST, earliest_period="2026-W45", cadence_weeks=1)


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
    code: str = "deadline",
    dated: str | None = None,
) -> bytes:
    """A signed statement of any period, as it stands in the log; it withholds USDW (``code``), which keeps it small.
    ``dated``: the period that its cutoff is in, if not its own."""
    supersedes = None
    if replaces is not None:
        supersedes = Supersedes(digest(dsse.parse_envelope(replaces).body), kind, "A bank corrected its statement.")

    def change(found: Predicate) -> Predicate:
        changed = replace(found, revision=revision, supersedes=supersedes, issuer=issuer, software=software)
        return replace(of_period(changed, dated or period), period=period)

    tokens = (withheld_token(ONE_ACCOUNT, "revoked" if kind == "revocation" else code),)
    return small(tokens=tokens, alter_predicate=change, signers=signers).files()["attestation.dsse.json"]


W45, W46, W48 = (statement(f"2026-W{week}") for week in (45, 46, 48))
FORGE = small(before=(W45, W46))
OWN = FORGE.files()["attestation.dsse.json"]
#: The log of three weeks, this one's statement being the last.
LOG = (W45, W46, OWN)


def files(entries: Sequence[bytes], **signed: Any) -> dict[str, bytes]:
    """The files of the log of these entries at its present size only."""
    size = f".p/{len(entries)}"
    return {
        name: data for name, data in log_files(entries, **signed).items() if name == "checkpoint" or name.endswith(size)
    }


def log(*entries: bytes, **signed: Any) -> dict[str, Any]:
    return {"log": encoded(files(entries, **signed))}


def head(
    entries: Sequence[bytes], *, key: Ed25519Signer = LOG_KEY, origin: str = ORIGIN, size: int | None = None
) -> bytes:
    """The checkpoint of these entries."""
    root = merkle_root([leaf_hash(entry) for entry in entries])
    return sign_note(Checkpoint(origin, len(entries) if size is None else size, root).text, origin, key).to_bytes()


def since(checkpoint: bytes) -> dict[str, Any]:
    return {"since": encode_base64(checkpoint)}


def line(
    name: str,
    description: str,
    reason: str,
    brought: Mapping[str, Any],
    *,
    attack: int | None = 20,
    made: Forge = FORGE,
    trust: Trust = WEEKLY,
    exit_code: int = 6,
    fails: Iterable[str] = (),
    unmet: Iterable[Demand] = (),
    at: datetime = MONDAY,
) -> Case:
    return bundle(
        *(name, description, reason, made),
        attack=attack,
        trust=trust,
        brought=lambda _: brought,
        exit_code=exit_code,
        fails=fails,
        unmet=unmet,
        at=at,
    )


# -- did it only grow? -----------------------------------------------------------------------------------------------

DEMANDING = replace(WEEKLY, demands=("consistency",))
_OTHER = statement("2026-W46", software="another")
_FORGED = (W45, _OTHER, OWN)
_EVIDENCE = "Two heads of one log that contradict each other: it was rewritten, or shown differently to others."


def _damaged(path: str, change: Callable[[bytes], bytes | None], entries: Sequence[bytes] = LOG) -> dict[str, Any]:
    """The log with one file changed, or missing."""
    made = files(entries)
    found = change(made.pop(path))
    return {"log": encoded(made if found is None else made | {path: found})}


_CONSISTENCY: tuple[Case, ...] = (
    line(
        *("consistency-same-head", "The reader kept the very head that is in the bundle.", "It is the same log."),
        since(head(LOG)),
        trust=DEMANDING,
        exit_code=0,
    ),
    line(
        *("consistency-grown", "The reader kept a head of two entries; the log is at hand."),
        "The log of three begins with those two.",
        since(head(LOG[:2])) | log(*LOG),
        trust=DEMANDING,
        exit_code=0,
    ),
    line(
        *("consistency-from-the-empty-log", "The reader kept the head of an empty log.", "Everything extends it."),
        since(head(())),
        trust=DEMANDING,
        exit_code=0,
    ),
    line(
        *("consistency-later-head", "The reader kept a head of four entries; the log at hand has five."),
        "The log extends both the reader's head and the bundle's.",
        since(head((*LOG, W48))) | log(*LOG, W48, statement("2026-W48", 1, replaces=W48)),
        trust=DEMANDING,
        exit_code=0,
    ),
    line(
        *("consistency-without-the-log", "The reader kept a head of two entries; the log is not at hand."),
        "The bundle alone does not show it, and a comparison that was asked for and not made is no success.",
        since(head(LOG[:2])),
        attack=11,
        unmet=["consistency"],
    ),
    line(
        *("consistency-without-the-log-demanded", "The same, and the reader demands it."),
        "A demanded check that is skipped is no success.",
        since(head(LOG[:2])),
        attack=11,
        trust=DEMANDING,
        unmet=["consistency"],
    ),
    line(
        *("consistency-same-size-other-root", "The reader kept another head of three entries.", _EVIDENCE),
        since(head(_FORGED)),
        fails=["consistency"],
    ),
    line(
        *("consistency-rewritten", "The reader kept a head of two entries, of which the second is another one now."),
        _EVIDENCE,
        since(head(_FORGED[:2])) | log(*LOG),
        fails=["consistency"],
    ),
    line(
        *("consistency-cut", "The reader kept a head of four entries; the log at hand has three."),
        "A log never shrinks.",
        since(head((*LOG, W48))) | log(*LOG),
        fails=["consistency"],
    ),
    line(
        *("consistency-forked", "The reader kept a head of two entries; the log at hand lacks this statement."),
        "The bundle is in another log than is served: a fork made for this reader.",
        since(head(LOG[:2])) | log(*LOG[:2], W48),
        fails=["consistency", "history"],
    ),
    line(
        *("consistency-kept-of-another-key", "The kept head is signed by a stranger, in the log's name."),
        "It is not the log's.",
        since(head(LOG, key=note_key("stranger"))),
        attack=21,
        fails=["consistency"],
    ),
    line(
        *("consistency-kept-of-another-log", "The kept head is of another log.", "It says nothing about this one."),
        since(head(LOG, origin="example.com/other")),
        attack=21,
        fails=["consistency"],
    ),
    line(
        *("consistency-kept-with-carriage-returns", "The kept head's lines end in CR LF."),
        "It has one form to the byte: a text-mode transfer has changed it.",
        since(head(LOG).replace(b"\n", b"\r\n")),
        attack=24,
        fails=["consistency"],
    ),
    line(
        *("consistency-kept-is-empty", "The kept file is empty.", "It is no checkpoint."),
        since(b""),
        attack=11,
        fails=["consistency"],
    ),
    line(
        *("consistency-tile-changed", "A hash in the log's tile is another one.", "The path leads to another root."),
        since(head(LOG[:2])) | _damaged("tile/0/000.p/3", lambda data: data[:-32] + bytes(32)),
        fails=["consistency"],
    ),
    line(
        *("consistency-tile-missing", "The log's tile is missing.", "That it only grew is not shown."),
        since(head(LOG[:2])) | _damaged("tile/0/000.p/3", lambda _: None),
        fails=["consistency"],
    ),
    line(
        *("consistency-tile-cut", "The log's tile is cut within a hash.", "A tile has one length."),
        since(head(LOG[:2])) | _damaged("tile/0/000.p/3", lambda data: data[:-1]),
        attack=5,
        fails=["consistency"],
    ),
    line(
        *("consistency-log-of-another-key", "The log at hand is signed by a stranger.", "It is not the log."),
        since(head(LOG[:2])) | log(*LOG, key=note_key("stranger")),
        attack=21,
        fails=["consistency", "history"],
    ),
)

# -- what else is in it? ---------------------------------------------------------------------------------------------

_REVISION = statement("2026-W47", 1, replaces=OWN)
_REVOCATION = statement("2026-W47", 1, replaces=OWN, kind="revocation")
_FIRST = statement("2026-W47", software="the first one")
_AS_REVISION = small(
    before=(W45, W46, _FIRST),
    alter_predicate=lambda found: replace(
        found,
        revision=1,
        supersedes=Supersedes(digest(dsse.parse_envelope(_FIRST).body), "revision", "A bank corrected its statement."),
    ),
)


def history(
    name: str,
    description: str,
    reason: str,
    *entries: bytes,
    attack: int | None = 15,
    made: Forge = FORGE,
    trust: Trust = WEEKLY,
    good: bool = False,
    at: datetime = MONDAY,
) -> Case:
    """A line about the whole log, in which the bundle is."""
    return line(
        *(f"history-{name}", description, reason, log(*entries)),
        attack=attack,
        made=made,
        trust=trust,
        exit_code=0 if good else 6,
        fails=[] if good else ["history"],
        at=at,
    )


def before(*entries: bytes) -> tuple[tuple[bytes, ...], Forge]:
    """The log of these entries and this one, and the bundle whose head it is."""
    return (*entries, OWN), small(before=entries)


_GAP, _IN_GAP = before(W45)
_MISSED, _IN_MISSED = before(W45, statement("2026-W46", code="missed"))
_UNSIGNED, _IN_UNSIGNED = before(W45, statement("2026-W46", signers=(7, 8)))
_HALF, _IN_HALF = before(W45, statement("2026-W46", signers=(0,)))
_FOREIGN, _IN_FOREIGN = before(W45, statement("2026-W46", issuer="Another Issuer Ltd"))
_GARBAGE, _IN_GARBAGE = before(W45, b"no statement", W46)
_MISDATED, _IN_MISDATED = before(W45, statement("2026-W46", dated="2026-W45"))
_ADVANCED, _IN_ADVANCED = before(W45, statement("2026-W46", dated="2026-W44"))
_OLD, _IN_OLD = before(statement("2026-W44", signers=(7, 8)), W45, W46)
_TWO, _IN_TWO = before(W45, W46, _OTHER)
_AGAIN, _IN_AGAIN = before(W45, W46, W46)
_SKIPPED, _IN_SKIPPED = before(W45, W46, statement("2026-W46", 2, replaces=W46))
_WRONG, _IN_WRONG = before(W45, W46, statement("2026-W46", 1, replaces=W45))
_RIGHT, _IN_RIGHT = before(W45, W46, statement("2026-W46", 1, replaces=W46))
_LAST_WEEK = small(before=(), alter_predicate=lambda found: replace(cutoff(LAST_DAY)(found), period="9999-W51"))
_DISORDER, _IN_DISORDER = before(W46, W45)

_HISTORY: tuple[Case, ...] = (
    history(
        "complete",
        "The log of three weeks, and a reader who demands it.",
        "Nothing is missing or replaced.",
        *LOG,
        trust=replace(WEEKLY, demands=("history",)),
        good=True,
    ),
    history("grown", "The log has a later week too.", "This one is in force.", *LOG, W48, good=True),
    history(
        "of-a-revision",
        "The bundle is revision 1, the statement that it replaces is before it.",
        "It is the newest of its period.",
        *(W45, W46, _FIRST),
        _AS_REVISION.files()["attestation.dsse.json"],
        made=_AS_REVISION,
        good=True,
    ),
    history(
        "other-week-replaced",
        "An earlier week was replaced by a revision.",
        "It is told; this one is in force.",
        *_RIGHT,
        made=_IN_RIGHT,
        good=True,
    ),
    history(
        "week-missed",
        "An earlier week has a statement that nothing was attested for it.",
        "A missed week that is stated is not missing.",
        *_MISSED,
        made=_IN_MISSED,
        good=True,
    ),
    history(
        "out-of-order",
        "The weeks were logged in another order.",
        "The log's order is not the periods'.",
        *_DISORDER,
        made=_IN_DISORDER,
        good=True,
    ),
    history(
        "same-statement-twice",
        "One statement is logged twice.",
        "It says one thing.",
        *_AGAIN,
        made=_IN_AGAIN,
        good=True,
    ),
    history(
        "before-the-earliest",
        "A week before the reader's earliest is signed by keys that they do not know.",
        "From before then nothing is believed, and nothing asked.",
        *_OLD,
        made=_IN_OLD,
        good=True,
    ),
    history(
        "every-other-week",
        "Week 46 is missing; one attestation in two weeks is expected.",
        "Every two weeks have one.",
        *_GAP,
        made=_IN_GAP,
        trust=replace(WEEKLY, cadence_weeks=2),
        good=True,
    ),
    history(
        "no-cadence",
        "Week 46 is missing, and the reader names no cadence.",
        "None can be missed; it is said.",
        *_GAP,
        made=_IN_GAP,
        trust=replace(WEEKLY, cadence_weeks=None),
        good=True,
    ),
    history(
        "week-missing",
        "Week 46 is missing; one attestation a week is expected.",
        "Not to attest is the easiest way to hide a shortfall.",
        *_GAP,
        made=_IN_GAP,
        attack=9,
    ),
    history(
        "replaced",
        "A revision of this very period is in the log.",
        "This statement is not in force any more.",
        *LOG,
        _REVISION,
    ),
    history(
        "revoked",
        "A revocation of this very period is in the log.",
        "This statement is not in force any more.",
        *LOG,
        _REVOCATION,
    ),
    history(
        "two-statements",
        "Two statements of week 46, revision 0, are in the log.",
        "The issuer said two things of one period.",
        *_TWO,
        made=_IN_TWO,
    ),
    history(
        "second-statement-of-this-week",
        "Another statement of this period and revision is logged later.",
        "The issuer said two things of one period.",
        *LOG,
        _FIRST,
    ),
    history("revision-skipped", "Week 46 has the revisions 0 and 2.", "One is missing.", *_SKIPPED, made=_IN_SKIPPED),
    history(
        "revision-of-another",
        "Revision 1 of week 46 replaces week 45's statement.",
        "It names another one than it stands in the place of.",
        *_WRONG,
        made=_IN_WRONG,
    ),
    history(
        "entry-by-strangers",
        "Week 46 is signed by strangers.",
        "Then nobody attested it.",
        *_UNSIGNED,
        made=_IN_UNSIGNED,
        attack=21,
    ),
    history(
        "entry-below-the-threshold",
        "Week 46 is signed by one attestor of two.",
        "Below the threshold.",
        *_HALF,
        made=_IN_HALF,
        attack=21,
    ),
    history(
        "entry-of-another-issuer",
        "Week 46 is another issuer's.",
        "The log is this issuer's.",
        *_FOREIGN,
        made=_IN_FOREIGN,
        attack=21,
    ),
    history(
        "entry-of-a-week-to-come",
        "Week 48 is in the log before its cutoff.",
        "Nobody can attest a week that is not over.",
        *LOG,
        W48,
        at=bundles.NOW,
    ),
    history(
        "entry-of-a-year-to-come",
        "The first week of 2030 is in the log.",
        "Nobody can attest a week that is not over.",
        *LOG,
        statement("2030-W01"),
    ),
    history(
        "entry-at-its-cutoff",
        "Week 48 is in the log at the very second of its cutoff.",
        "The boundary is allowed.",
        *LOG,
        W48,
        at=bundles.CUTOFF + timedelta(weeks=1),
        good=True,
    ),
    history(
        "entry-with-an-older-cutoff",
        "Week 46 is signed with a cutoff of week 44.",
        "A week would be filled before it is over, and none that is skipped be missing.",
        *_ADVANCED,
        made=_IN_ADVANCED,
    ),
    history(
        "two-weeks-with-one-cutoff",
        "Week 46 is signed with the cutoff of week 45, which in UTC is less than a day before week 46.",
        "One cutoff is of one period.",
        *_MISDATED,
        made=_IN_MISDATED,
    ),
    history(
        "entry-is-no-statement",
        "An entry is no statement.",
        "What cannot be read could be a revocation.",
        *_GARBAGE,
        made=_IN_GARBAGE,
        attack=24,
    ),
    *(
        line(f"history-{name}", description, reason, brought, attack=attack, fails=["history"])
        for name, description, reason, attack, brought in (
            (
                "entry-hidden",
                "An entry is shown as another one.",
                "They do not lead to the signed root.",
                20,
                _damaged("tile/entries/000.p/3", lambda data: files(_FORGED)["tile/entries/000.p/3"]),
            ),
            (
                "entries-missing",
                "The entries are missing.",
                "What else is in the log is not shown.",
                20,
                _damaged("tile/entries/000.p/3", lambda _: None),
            ),
            (
                "entries-cut",
                "The last entry is cut.",
                "An entry has the length that is given.",
                24,
                _damaged("tile/entries/000.p/3", lambda data: data[:-1]),
            ),
            (
                "entry-added",
                "There is an entry more than the head has.",
                "Entries and head belong together.",
                20,
                _damaged("tile/entries/000.p/3", lambda data: data + len(W48).to_bytes(2, "big") + W48),
            ),
            (
                "checkpoint-missing",
                "The log at hand has no checkpoint.",
                "Nobody signed it.",
                11,
                _damaged("checkpoint", lambda _: None),
            ),
            (
                "shorter-than-the-bundle",
                "The log at hand ends before this statement.",
                "It was cut, or is another one.",
                20,
                log(*LOG[:2]),
            ),
            (
                "forked",
                "The log at hand has another first week than the one that this statement is in.",
                "It does not extend the bundle's head.",
                20,
                log(*_FORGED, W48),
            ),
        )
    ),
)

_FAR: tuple[Case, ...] = (
    line(
        *(
            "history-of-the-last-week",
            "The statement is of the last week that there is, 9999-W51, and alone in the log.",
        ),
        "It is of the future.",
        log(_LAST_WEEK.files()["attestation.dsse.json"]),
        attack=24,
        made=_LAST_WEEK,
        fails=["period", "policy", "history"],
    ),
    line(
        *("history-of-the-last-week-when-it-came", "The same, on that very day."),
        "So many weeks are missing before it that to name all of them would take long.",
        log(_LAST_WEEK.files()["attestation.dsse.json"]),
        attack=24,
        made=_LAST_WEEK,
        fails=["policy", "history"],
        at=LAST_DAY,
    ),
)

CASES: tuple[Case, ...] = (*_CONSISTENCY, *_HISTORY, *_FAR)
