"""Watching a log: what alerts, what is remembered, what is kept as evidence, and how the command ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from attest.cli.main import main
from attest.errors import OperatorError
from attest.log.checkpoint import open_checkpoint
from attest.log.note import ED25519, Note, cosign, parse_note, verifier_key
from attest.log.reader import LogReader
from attest.log.state import StateFile
from attest.records import digest, from_json, parse_instant, to_json
from attest.static import folder_files
from attest.verify.trust import Trust
from attest.verify.watch import Expectations, Look, Watch, WatchState
from tests.support import bundles
from tests.support.logs import entry, log_of, payload

AT = "2026-11-30T08:00:00Z"  # Monday of W49: W48 has had its cutoff, and W47 is due
TRUST = replace(bundles.trust(), earliest_period="2026-W44", cadence_weeks=1, maximum_age_seconds=10 * 86_400)
WEEKS = [entry(payload(f"2026-W{week}")) for week in (44, 45, 46, 47, 48)]
FORGED = [entry(payload("2026-W44", issuer="Forger")), *WEEKS[1:]]


class Desk:
    """A watcher's desk: a trust file, a state, and a log whose folder stands for the web."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.log = folder / "public/log"
        self.state = folder / "watch.json"
        self.capture = capture
        self.trust(TRUST)
        self.serve(WEEKS[:4])

    def trust(self, trust: Trust) -> None:
        (self.folder / "trust.json").write_bytes(to_json(trust))

    def serve(self, entries: list[bytes], where: str = "public") -> Path:
        """A log of these entries, and nothing of another one before."""
        shutil.rmtree(self.folder / where, ignore_errors=True)
        log_of(self.folder / where, entries)
        return self.folder / where / "log"

    def command(self, *words: str) -> tuple[int, str, str]:
        self.capture.readouterr()
        arguments = ["log", "watch", str(self.log), "--trust", f"{self.folder}/trust.json"]
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--state", str(self.state), *words])
        output, errors = self.capture.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, " ".join(output.split()), " ".join(errors.split())

    def look(self, *words: str) -> dict[str, Any]:
        code, output, _ = self.command("--json", "--at", AT, *words)
        document: dict[str, Any] = json.loads(output)
        assert document["exit_code"] == code
        return document

    def remembered(self) -> WatchState:
        return from_json(WatchState, self.state.read_bytes(), "the state")

    def remembered_size(self) -> int | None:
        note = self.remembered().checkpoint
        return None if note is None else int(note.split("\n")[1])


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def kinds(document: dict[str, Any]) -> list[str]:
    return [alert["kind"] for alert in document["alerts"]]


def check_evidence(alert: dict[str, Any]) -> list[int]:
    """Each file holds a head that the log's own key signed; returns their sizes."""
    roots, sizes = set(), []
    for name in alert["evidence"]:
        signed = open_checkpoint(Path(name).read_bytes(), TRUST.log.key)
        roots.add(signed.checkpoint.root)
        sizes.append(signed.checkpoint.size)
    assert len(roots) == len(alert["evidence"]) == 2
    return sizes


# -- what stays quiet ------------------------------------------------------------------------------------------------


def test_watch__honest_log_that_grows__is_remembered_at_each_look(desk: Desk) -> None:
    for size in (1, 4, 5):
        desk.serve(WEEKS[:size])
        document = desk.look("--max-age", "9999999")
        assert document["size"] == desk.remembered_size() == size
    assert document["exit_code"] == 0
    assert document["alerts"] == []
    assert document["newest_period"] == "2026-W48"


def test_watch__nothing_found__says_so_in_plain_words(desk: Desk) -> None:
    code, output, errors = desk.command("--at", AT)
    assert (code, errors) == (0, "")
    assert "example.com/reserves: 4 entries, newest 2026-W47 (cutoff Sun 22 Nov 2026 23:59 UTC)" in output
    assert output.endswith("Nothing to act on.")


def test_watch__mirror_and_witness_that_lag_behind__are_in_order(desk: Desk) -> None:
    mirror = desk.serve(WEEKS[:2], "mirror")
    assert desk.look("--mirror", str(mirror), "--witness", str(witness_at(desk, WEEKS[:3])))["alerts"] == []


# -- the log against its own promise ---------------------------------------------------------------------------------


def test_attack_20__history_rewritten_and_grown__alerts_keeps_both_heads_and_never_forgets(desk: Desk) -> None:
    desk.look()
    desk.serve(FORGED[:5])
    for number in range(2):
        document = desk.look()
        rewrite = next(alert for alert in document["alerts"] if alert["kind"] == "rewrite")
        assert rewrite["new"] == (number == 0)
        assert document["exit_code"] == 6
        assert check_evidence(rewrite) == [4, 5]
        assert desk.remembered_size() == 4
    desk.serve(WEEKS[:5])
    document = desk.look()
    assert document["exit_code"] == 0
    assert rewrite["id"] in document["recovered"]
    assert desk.remembered_size() == 5


def test_attack_20__rewritten_without_growing__is_a_fork(desk: Desk) -> None:
    desk.look()
    desk.serve(FORGED[:4])
    fork = next(alert for alert in desk.look()["alerts"] if alert["kind"] == "fork")
    assert check_evidence(fork) == [4, 4]
    assert desk.remembered_size() == 4


def test_attack_20__rewritten_and_its_entries_withheld__still_alerts(desk: Desk) -> None:
    desk.look()
    shutil.rmtree(desk.serve(FORGED[:4]) / "tile")
    document = desk.look()
    assert sorted(kinds(document)) == ["damaged", "fork"]


def test_watch__log_shrank__alerts_and_keeps_both_heads(desk: Desk) -> None:
    desk.look()
    desk.serve(WEEKS[:2])
    shrunk = next(alert for alert in desk.look()["alerts"] if alert["kind"] == "shrunk")
    assert check_evidence(shrunk) == [4, 2]
    assert desk.remembered_size() == 4


def test_watch__alert_about_heads__cannot_be_acknowledged_away(desk: Desk) -> None:
    desk.look()
    desk.serve(FORGED[:5])
    name = next(alert["id"] for alert in desk.look()["alerts"] if alert["kind"] == "rewrite")
    assert desk.look("--acknowledge", name)["exit_code"] == 6


def damage_entry(log: Path) -> None:
    path = log / "tile/entries/000.p/4"
    path.write_bytes(path.read_bytes().replace(b"payloadType", b"payloadTypE", 1))


def lose_entries(log: Path) -> None:
    (log / "tile/entries/000.p/4").unlink()


def damage_checkpoint(log: Path) -> None:
    path = log / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n4\n", b"\n5\n"))


def lose_checkpoint(log: Path) -> None:
    (log / "checkpoint").unlink()


@pytest.mark.parametrize("damage", [damage_entry, lose_entries, damage_checkpoint, lose_checkpoint])
def test_watch__files_are_not_what_was_signed__alerts_and_remembers_nothing_new(
    desk: Desk, damage: Callable[[Path], None]
) -> None:
    desk.serve(WEEKS[:2])
    desk.look("--max-age", "9999999")
    damage(desk.serve(WEEKS[:4]))
    document = desk.look()
    assert kinds(document) == ["damaged"]
    assert document["exit_code"] == 6
    assert desk.remembered_size() == 2


def test_watch__hash_tiles_contradict_the_entries__alerts(desk: Desk) -> None:
    desk.serve(WEEKS[:3])
    desk.look()
    path = desk.serve(WEEKS[:4]) / "tile/0/000.p/4"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert kinds(desk.look()) == ["damaged"]
    assert desk.remembered_size() == 3


def damage_tiles(log: Path) -> None:
    path = log / "tile/0/000.p/4"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize("damage", [damage_entry, lose_entries, damage_checkpoint, lose_checkpoint, damage_tiles])
def test_watch__damage_that_leaves_the_log_unread__cannot_be_acknowledged(
    desk: Desk, damage: Callable[[Path], None]
) -> None:
    desk.serve(WEEKS[:3])
    desk.look("--max-age", "9999999")
    damage(desk.serve(WEEKS[:4]))
    (alert,) = desk.look()["alerts"]
    before = desk.state.read_bytes()
    code, output, errors = desk.command("--at", AT, "--acknowledge", alert["id"])
    assert (code, output) == (2, "")
    assert f"--acknowledge {alert['id']}: this alert cannot be acknowledged" in errors
    assert desk.state.read_bytes() == before
    code, output, _ = desk.command("--at", AT)
    assert code == 6
    assert "Nothing to act on" not in output


def test_watch__damage_acknowledged_in_an_older_memory__counts_all_the_same(desk: Desk) -> None:
    desk.look()
    lose_entries(desk.log)
    desk.look()
    desk.state.write_bytes(to_json(replace(desk.remembered(), acknowledged=("damaged:entries",))))
    code, output, _ = desk.command("--at", AT)
    assert code == 6
    assert "ALERT damaged" in output
    assert "Nothing to act on" not in output


def test_watch__acknowledged_id_that_no_alert_has__is_a_usage_error_that_names_those_that_stand(desk: Desk) -> None:
    code, _, errors = desk.command("--at", AT, "--acknowledge", "missing:2026-W31")
    assert code == 2
    assert "--acknowledge missing:2026-W31: no alert has this id" in errors
    assert "None stands" in errors
    desk.serve([*WEEKS[:1], *WEEKS[2:4]])
    code, _, errors = desk.command("--at", AT, "--acknowledge", "missing:2026-W46")
    assert code == 2
    assert "These stand: missing:2026-W45." in errors
    assert desk.look("--acknowledge", "missing:2026-W45")["exit_code"] == 0
    assert desk.look("--acknowledge", "missing:2026-W45")["exit_code"] == 0


# -- the log against what others saw ---------------------------------------------------------------------------------


def witness_at(desk: Desk, entries: list[bytes]) -> Path:
    """What a witness that was shown a log of these entries serves to monitors (C2SP tlog-witness)."""
    note = parse_note((desk.serve(entries, "witnessed") / "checkpoint").read_bytes())
    name = bundles.WITNESSES[0]
    line = cosign(note.text, name, bundles.note_key(name), 1_795_000_000)
    place = desk.folder / "witness" / digest(bundles.ORIGIN.encode())
    place.mkdir(parents=True, exist_ok=True)
    (place / "checkpoint").write_bytes(Note(note.text, (*note.signatures, line)).to_bytes())
    return desk.folder / "witness"


@pytest.mark.parametrize("size", [2, 4])
def test_attack_20__mirror_or_witness_was_shown_another_log__is_a_fork(desk: Desk, size: int) -> None:
    for words in (
        ("--mirror", str(desk.serve(FORGED[:size], "mirror"))),
        ("--witness", str(witness_at(desk, FORGED[:size]))),
    ):
        desk.state.unlink(missing_ok=True)
        document = desk.look(*words)
        (fork,) = document["alerts"]
        assert fork["kind"] == "fork"
        assert check_evidence(fork) == [size, 4]
        assert document["exit_code"] == 6
        assert desk.remembered_size() is None


def test_watch__mirror_has_seen_more__is_a_shrunk_log(desk: Desk) -> None:
    (shrunk,) = desk.look("--mirror", str(desk.serve(WEEKS[:5], "mirror")))["alerts"]
    assert shrunk["kind"] == "shrunk"
    assert check_evidence(shrunk) == [5, 4]


def test_watch__mirror_of_another_log__alerts_without_stopping_the_rest(desk: Desk) -> None:
    stranger = desk.folder / "stranger"
    stranger.mkdir()
    (stranger / "checkpoint").write_text("not a note")
    document = desk.look("--mirror", str(stranger))
    assert [alert["id"] for alert in document["alerts"]] == [f"damaged:{stranger}"]
    assert desk.remembered_size() == 4


def test_watch__nothing_at_the_address__is_no_answer_unless_a_log_was_there(desk: Desk) -> None:
    shutil.rmtree(desk.log)
    code, output, _ = desk.command("--at", AT)
    assert code == 2
    assert "no answer:" in output
    assert "Name the log's own folder or address" in output
    assert "ALERT" not in output
    assert "Nothing to act on" not in output
    desk.serve(WEEKS[:4])
    desk.look()
    shutil.rmtree(desk.log)
    assert kinds(desk.look()) == ["damaged"]


@pytest.mark.parametrize("option", ["--mirror", "--witness"])
def test_watch__mirror_or_witness_that_has_no_checkpoint__is_no_answer(desk: Desk, option: str) -> None:
    """An honest witness has none before it cosigned this log."""
    for _ in range(2):
        document = desk.look(option, str(desk.folder / "nobody"))
        assert (document["exit_code"], document["alerts"]) == (2, [])
        (detail,) = document["unreachable"]
        assert "is missing" in detail
        assert desk.remembered_size() == 4


# -- what is expected of the entries ---------------------------------------------------------------------------------


def test_watch__week_without_a_statement__alerts_once_it_is_due(desk: Desk) -> None:
    desk.serve([*WEEKS[:1], *WEEKS[2:4]])
    document = desk.look()
    assert [alert["id"] for alert in document["alerts"]] == ["missing:2026-W45"]
    desk.state.unlink()
    desk.serve(WEEKS[:3])  # W47 ended on Sunday; by default a week has 54 hours
    assert kinds(json.loads(desk.command("--json", "--at", "2026-11-25T05:59:59Z")[1])) == []
    late = json.loads(desk.command("--json", "--at", "2026-11-25T06:00:00Z")[1])
    assert [alert["id"] for alert in late["alerts"]] == ["missing:2026-W47"]
    assert kinds(json.loads(desk.command("--json", "--at", "2026-11-25T06:00:00Z", "--grace-hours", "55")[1])) == []


def test_watch__many_weeks_without_a_statement__are_one_alert_that_does_not_hide_the_next(desk: Desk) -> None:
    desk.trust(replace(TRUST, earliest_period="2023-W20"))
    missing = [alert["id"] for alert in desk.look()["alerts"]]
    assert missing == ["missing:2023-W20..2026-W43"]
    assert desk.look("--acknowledge", missing[0])["exit_code"] == 0

    def later(*words: str) -> list[tuple[str, bool]]:
        document = json.loads(desk.command("--json", "--at", "2026-12-10T08:00:00Z", "--max-age", "9999999", *words)[1])
        return [(alert["id"], alert["acknowledged"]) for alert in document["alerts"]]

    assert later() == [(missing[0], True), ("missing:2026-W48..2026-W49", False)]
    one = ("missing:2026-W48", True)
    assert later("--acknowledge", one[0]) == [(missing[0], True), one, ("missing:2026-W49", False)]
    desk.serve([*WEEKS[:4], entry(payload("2026-W40"))])
    assert later() == [
        ("missing:2023-W20..2026-W39", False),
        ("missing:2026-W41..2026-W43", False),
        one,
        ("missing:2026-W49", False),
    ]


def test_watch__newest_statement_is_too_old__is_stale_by_trust_file_or_option(desk: Desk) -> None:
    assert kinds(desk.look("--max-age", "630000")) == ["stale"]
    assert kinds(desk.look("--max-age", "640000")) == []
    desk.trust(replace(TRUST, maximum_age_seconds=630_000))
    (stale,) = desk.look()["alerts"]
    assert stale["id"] == "stale:2026-W47"
    assert "you accept 630000" in stale["detail"]
    desk.trust(replace(TRUST, maximum_age_seconds=None, cadence_weeks=None))
    assert desk.look()["alerts"] == []


def test_attack_15__statement_of_a_week_to_come__alerts_and_makes_nothing_recent(desk: Desk) -> None:
    desk.serve([*WEEKS[:3], *WEEKS[4:], entry(payload("2030-W01"))])
    found = desk.look("--at", "2026-11-26T08:00:00Z", "--max-age", "880000")["alerts"]
    assert [alert["id"] for alert in found] == [
        "entry:3:misdated",
        "entry:4:misdated",
        "missing:2026-W47",
        "stale:2026-W46",
    ]
    assert "2026-W48, revision 0) has its cutoff on Sun 29 Nov 2026 23:59 UTC, in the future" in found[0]["detail"]


def test_attack_15__weeks_signed_in_advance_under_one_cutoff__are_missing(desk: Desk) -> None:
    early = [entry(payload(f"2026-W{week}", dated="2026-W47")) for week in range(48, 53)]
    desk.serve([*WEEKS[:4], *early])
    document = desk.look("--at", "2026-12-24T08:00:00Z", "--max-age", "9999999")
    assert kinds(document) == ["entry"] * 5 + ["missing"]
    assert document["alerts"][-1]["id"] == "missing:2026-W48..2026-W51"  # W52 is not due
    assert document["newest_period"] == "2026-W47"
    assert document["exit_code"] == 6


def test_watch__log_larger_than_any_can_be__is_not_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.verify.watch.MAX_ENTRIES", 3)
    (alert,) = desk.look()["alerts"]
    assert alert["id"] == "damaged:entries"
    assert "at most 3 are read" in alert["detail"]


def test_watch__log_without_a_statement_that_counts__is_stale(desk: Desk) -> None:
    desk.serve([entry(payload("2026-W47"), signers=(0,))])
    document = desk.look()
    assert kinds(document) == ["entry", "missing", "stale"]
    assert document["newest_period"] is None


def test_watch__entry_nobody_trusted_signed__alerts_until_it_is_acknowledged(desk: Desk) -> None:
    desk.serve([*WEEKS[:4], entry(b"{}", signers=(8,))])
    (alert,) = desk.look()["alerts"]
    assert (alert["id"], alert["new"]) == ("entry:4:unreadable", True)
    assert desk.look()["exit_code"] == 6
    assert desk.look("--acknowledge", alert["id"])["exit_code"] == 0
    document = desk.look()
    assert document["exit_code"] == 0
    assert document["alerts"][0]["acknowledged"]


def test_watch__revision_and_revocation__are_notes_told_once(desk: Desk) -> None:
    first = payload("2026-W47")
    revoked = payload("2026-W47", 1, replaces=first, kind="revocation", reason="Counted twice.")
    desk.serve([*WEEKS[:4], entry(revoked)])
    code, output, _ = desk.command("--at", AT)
    assert code == 0
    assert "note revocation: entry 4 (2026-W47, revision 1) revokes" in output
    assert "Counted twice." in output
    assert "note" not in desk.command("--at", AT)[1]


def test_watch__contradicting_statement_in_the_log__alerts(desk: Desk) -> None:
    other = payload("2026-W47").replace(b"reserve-attest 0.1.0", b"reserve-attest 0.1.1")
    desk.serve([*WEEKS[:4], entry(other)])
    (alert,) = desk.look()["alerts"]
    assert alert["id"] == "entry:4:contradiction"


def test_watch__alert__says_what_to_do_and_where_the_evidence_is(desk: Desk) -> None:
    desk.look()
    desk.serve(FORGED[:5])
    code, output, _ = desk.command("--at", AT)
    assert code == 6
    assert "ALERT rewrite: the log's first 4 entries are not those it signed before" in output
    assert "What to do: Keep the evidence files" in output
    assert f"Evidence: {desk.state}.evidence/4-" in output


# -- places that do not answer, and the state ------------------------------------------------------------------------


class Web:
    """A log's files over a web that can go away."""

    def __init__(self, folder: Path) -> None:
        self.read = folder_files(folder)
        self.away: tuple[str, ...] = ()

    def __call__(self, path: str) -> bytes | None:
        if path.startswith(self.away):
            raise OperatorError(f"{path}: cannot be fetched", code="fetch-failed")
        return self.read(path)


def look(desk: Desk, web: Web) -> Look:
    state = StateFile(desk.state, "watch")
    try:
        log = LogReader(web, TRUST.log.key, "https://log.example")
        return Watch(log, (), TRUST, state, Expectations(timedelta(hours=54), None)).look(parse_instant(AT))
    finally:
        state.close()


def test_watch__log_does_not_answer__is_no_alert_and_forgets_nothing(desk: Desk) -> None:
    web = Web(desk.log)
    desk.serve([*WEEKS[:1], *WEEKS[2:4]])
    assert look(desk, web).exit_code == 6
    before = desk.state.read_bytes()
    for away in ("checkpoint", "tile/entries"):
        web.away = (away,)
        found = look(desk, web)
        assert found.exit_code == 2
        assert found.alerts == ()
        assert found.recovered == ()
        assert len(found.unreachable) == 1
        assert desk.state.read_bytes() == before
    web.away = ()
    assert [alert.new for alert in look(desk, web).alerts] == [False]


def test_attack_20__forked_head_with_entries_that_do_not_answer__still_alerts(desk: Desk) -> None:
    web = Web(desk.log)
    look(desk, web)
    desk.serve(FORGED[:4])
    web.away = ("tile",)
    found = look(desk, web)
    assert [alert.kind for alert in found.alerts] == ["fork"]
    assert found.exit_code == 6


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is not JSON"),
        ('{"format":"attest-watch-state/2","origin":"example.com/reserves"}', "format"),
        ('{"format":"attest-watch-state/1","origin":"x","checkpoint":"x\\n1\\n"}', "not the memory of your trust"),
    ],
)
def test_watch__damaged_state__is_refused_and_not_begun_anew(desk: Desk, content: str, why: str) -> None:
    desk.state.write_text(content)
    code, _, errors = desk.command("--at", AT)
    assert code == 2
    assert why in errors
    assert desk.state.read_text() == content


def test_watch__state_under_another_log_key__is_refused(desk: Desk) -> None:
    desk.look()
    name = verifier_key(bundles.ORIGIN, ED25519, bundles.note_key("another"))
    desk.trust(replace(TRUST, log=replace(TRUST.log, vkey=name.vkey)))
    code, _, errors = desk.command("--at", AT)
    assert code == 2
    assert "not the memory of your trust file's log" in errors


def test_watch__second_watch_with_the_state__is_refused(desk: Desk) -> None:
    first = StateFile(desk.state, "watch")
    code, _, errors = desk.command("--at", AT)
    first.close()
    assert code == 2
    assert "in use by another watch" in errors


def test_watch__interrupted_when_a_look_was_just_told__ends_with_that_looks_exit_code(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.look()
    desk.serve(FORGED[:4])
    echo = click.echo

    def echo_and_end(text: str) -> None:
        echo(text)
        raise KeyboardInterrupt

    monkeypatch.setattr(click, "echo", echo_and_end)

    code, output, _ = desk.command("--json", "--every", "1")

    assert code == json.loads(output)["exit_code"] == 6


def test_watch__no_state_named__keeps_one_per_log_at_home(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.folder / "home"))
    words = ["log", "watch", str(desk.log), "--trust", str(desk.folder / "trust.json"), "--at", AT]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert len(list((desk.folder / "home/attest").glob("watch-*.json"))) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--at", "0001-01-01T00:00:00Z"),
        ("--at", "1999-12-31T23:59:59Z"),
        ("--at", "9999-12-31T00:00:00Z"),
        ("--grace-hours", "90000000"),
        ("--max-age", "999999999999999999"),
        ("--every", "999999999999999999"),
    ],
)
def test_watch__option_beyond_all_bounds__is_a_usage_error_that_names_it(desk: Desk, words: tuple[str, ...]) -> None:
    code, output, errors = desk.command(*words)
    assert (code, output) == (2, "")
    assert words[0] in errors


def test_watch__option_at_its_bounds__is_judged(desk: Desk) -> None:
    desk.trust(replace(TRUST, maximum_age_seconds=2**53 - 1, cadence_weeks=5_000))
    for at in ("2000-01-01T00:00:00Z", "2000-01-20T00:00:00Z", "9998-12-31T00:00:00Z"):
        for more in ((), ("--grace-hours", "87840"), ("--max-age", "3162240000")):
            code, _, errors = desk.command("--at", at, *more)
            assert code in {0, 6}, errors


@pytest.mark.parametrize("words", [("--every", "5", "--once"), ("--every", "5", "--at", AT), ("--every", "0")])
def test_watch__options_that_do_not_go_together__are_refused(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.command(*words)[0] == 2


def test_attack_14__trust_file_inside_the_log__is_refused(desk: Desk) -> None:
    inside = desk.log / "trust.json"
    inside.write_bytes(to_json(TRUST))
    code, _, errors = desk.command("--trust", str(inside))
    assert code == 6
    assert "lies inside what it should judge" in errors
