"""What was seen of a log is remembered, never backwards, by one verification at a time, and is in nobody's way."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attest.errors import OperatorError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint
from attest.log.note import sign_note
from attest.merkle.proof import leaf_hash
from attest.verify.memory import default_path, recall, remember
from attest.verify.report import exit_code
from attest.verify.verifier import NOT_COMPARED, Brought, verify_bundle
from tests.support import bundles
from tests.support.bundles import Forge, detail

ORIGIN = bundles.ORIGIN
TRUST = replace(bundles.trust(), demands=("witnesses",))


def head(size: int, salt: bytes = b"", origin: str = ORIGIN) -> SignedCheckpoint:
    root = bundles.merkle_root([leaf_hash(salt + b"%d" % number) for number in range(size)])
    checkpoint = Checkpoint(origin, size, root)
    return SignedCheckpoint(checkpoint, sign_note(checkpoint.text, origin, bundles.LOG_KEY))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "attest" / "logs.json"


def test_default_path__follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert default_path() == Path("/somewhere/attest/logs.json")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local/state/attest/logs.json"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_path() == tmp_path / ".local/state/attest/logs.json"


def test_default_path__user_without_a_home__is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", homeless)

    assert default_path() is None


def test_remember__first_and_larger__is_recalled_verbatim(state: Path) -> None:
    assert recall(state, ORIGIN) is None

    assert remember(state, head(3), None)
    assert recall(state, ORIGIN) == head(3).checkpoint
    assert remember(state, head(5), head(3).checkpoint)
    assert recall(state, ORIGIN) == head(5).checkpoint
    assert json.loads(state.read_bytes()) == {
        "format": "attest-seen-logs/1",
        "checkpoints": {ORIGIN: head(5).note.to_bytes().decode()},
    }
    assert sorted(path.name for path in state.parent.iterdir()) == ["logs.json", "logs.json.lock"]


def test_remember__smaller__never_moves_backwards(state: Path) -> None:
    remember(state, head(5), None)
    before = state.read_bytes()

    assert remember(state, head(3), head(5).checkpoint)
    assert state.read_bytes() == before


def test_remember__other_logs__are_kept(state: Path) -> None:
    remember(state, head(3, origin="example.com/other"), None)
    remember(state, head(5), None)

    assert recall(state, "example.com/other") == head(3, origin="example.com/other").checkpoint


def test_remember__changed_meanwhile__is_not_overwritten(state: Path) -> None:
    remember(state, head(4, b"fork"), None)

    assert not remember(state, head(5), None)
    assert not remember(state, head(5), head(3).checkpoint)
    assert recall(state, ORIGIN) == head(4, b"fork").checkpoint
    assert remember(state, head(4, b"fork"), None)  # another verification remembered the same


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"format":"attest-seen-logs/2","checkpoints":{}}',
        json.dumps({"format": "attest-seen-logs/1", "checkpoints": {ORIGIN: "x"}}).encode(),
        json.dumps(
            {"format": "attest-seen-logs/1", "checkpoints": {ORIGIN: head(1, origin="b").note.to_bytes().decode()}}
        ).encode(),
        b" " * ((1 << 20) + 1),
    ],
)
def test_recall__file_that_is_something_else__is_told_and_kept(state: Path, data: bytes) -> None:
    state.parent.mkdir(parents=True)
    state.write_bytes(data)

    with pytest.raises(OperatorError, match="your memory of logs cannot be read"):
        recall(state, ORIGIN)
    with pytest.raises(OperatorError):
        remember(state, head(1), None)
    assert state.read_bytes() == data


def _race(state: Path, size: int, begin: Any) -> None:
    begin.wait(10)
    for step in range(size, 60, 4):
        known = recall(state, ORIGIN)
        if known is None or known.size < step:
            remember(state, head(step), known)


def test_remember__many_at_once__ends_whole_and_at_a_head_that_one_of_them_saw(state: Path) -> None:
    context = multiprocessing.get_context("fork")
    begin = context.Event()
    racers = [context.Process(target=_race, args=(state, size, begin), daemon=True) for size in (1, 2, 3, 4)]
    for racer in racers:
        racer.start()
    begin.set()
    sizes = []
    while any(racer.is_alive() for racer in racers):
        known = recall(state, ORIGIN)  # raises if the file is ever half a file
        sizes.append(0 if known is None else known.size)
    for racer in racers:
        racer.join(10)

    last = recall(state, ORIGIN)
    assert [racer.exitcode for racer in racers] == [0, 0, 0, 0]
    assert last is not None
    assert sizes == sorted(sizes)
    assert last.size >= max(sizes, default=0)


def test_remember__another_one_is_writing__waits(state: Path) -> None:
    remember(state, head(1), None)
    lock = os.open(state.with_name("logs.json.lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    writer = threading.Thread(target=remember, args=(state, head(2), head(1).checkpoint), daemon=True)
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    assert recall(state, ORIGIN) == head(1).checkpoint
    os.close(lock)
    writer.join(10)
    assert recall(state, ORIGIN) == head(2).checkpoint


# -- in a verification -----------------------------------------------------------------------------------------------


def statement(period: str) -> bytes:
    forge = Forge(alter_predicate=lambda predicate: bundles.of_period(predicate, period))
    return forge.files()["attestation.dsse.json"]


BEFORE = tuple(statement(f"2026-W{week}") for week in (45, 46))


def published(folder: Path, forge: Forge, *, log: bool = True) -> Path:
    """The bundle in a public store with its log, if wanted."""
    bundle = folder / "attestations" / "2026-W47"
    bundles.write(bundles.without_chain_proof(forge.files()), bundle)
    for path, data in bundles.log_files(forge.entries).items() if log else ():
        place = folder / "log" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return bundle


def verify(bundle: Path, state: Path, **brought: Any) -> Any:
    return verify_bundle(bundle, TRUST, now=bundles.NOW, brought=Brought(state=state, **brought))


def test_verify__first_time__is_skipped_and_remembered__then_compared(tmp_path: Path, state: Path) -> None:
    bundle = published(tmp_path, Forge(before=BEFORE))

    first, second = verify(bundle, state), verify(bundle, state)

    assert (first.outcome("consistency"), second.outcome("consistency")) == ("skipped", "pass")
    assert detail(second, "consistency") == (
        "the log at size 3 agrees with the head at size 3 that was remembered; nothing was rewritten"
    )
    assert exit_code(second) == 0


def test_verify__log_has_grown_since__newest_head_is_remembered(tmp_path: Path, state: Path) -> None:
    bundle = published(tmp_path, Forge(before=BEFORE))
    verify(bundle, state)
    known = recall(state, ORIGIN)
    assert known is not None
    entries = [*BEFORE, (bundle / "attestation.dsse.json").read_bytes(), BEFORE[0]]
    for path, data in bundles.log_files(entries).items():
        (tmp_path / "log" / path).write_bytes(data)

    report = verify(bundle, state)

    grown = recall(state, ORIGIN)
    assert report.outcome("consistency") == "pass"
    assert grown is not None
    assert (known.size, grown.size) == (3, 4)


def test_verify__log_rewritten_since__fails_and_the_memory_stays(tmp_path: Path, state: Path) -> None:
    verify(published(tmp_path / "one", Forge(before=BEFORE)), state)
    before = state.read_bytes()

    report = verify(published(tmp_path / "two", Forge(before=(BEFORE[1], BEFORE[0]))), state)

    assert "consistency" in bundles.failed(report)
    assert "that was remembered: it was rewritten" in detail(report, "consistency")
    assert state.read_bytes() == before
    assert exit_code(report) == 6


def test_verify__not_compared_for_want_of_the_log__the_older_memory_stays(tmp_path: Path, state: Path) -> None:
    remember(state, head(1), None)

    report = verify(published(tmp_path, Forge(before=BEFORE), log=False), state)

    assert report.outcome("consistency") == "skipped"
    assert NOT_COMPARED in report.notes
    assert exit_code(report) == 0
    assert recall(state, ORIGIN) == head(1).checkpoint


def test_verify__consistency_demanded__is_met_at_first_and_not_by_forgetting(tmp_path: Path, state: Path) -> None:
    bundle = published(tmp_path, Forge(before=BEFORE), log=False)
    demanding = replace(bundles.trust(), demands=("consistency",))

    def unmet(state: Path | None) -> tuple[str, ...]:
        return verify_bundle(bundle, demanding, now=bundles.NOW, brought=Brought(state=state)).unmet

    assert unmet(None) == ("consistency",)
    assert unmet(state) == ()  # for the first time
    assert unmet(state) == ()  # compared
    (tmp_path / "file").touch()
    assert unmet(tmp_path / "file" / "logs.json") == ("consistency",)  # whether there was one cannot be said


def test_verify__false_log_proof__is_not_remembered(tmp_path: Path, state: Path) -> None:
    verify(published(tmp_path, Forge(before=BEFORE, log_key=bundles.note_key("other"))), state)

    assert not state.exists()


def test_verify__rehearsal__is_not_remembered(tmp_path: Path, state: Path) -> None:
    rehearsal = Forge(before=BEFORE, alter_predicate=lambda predicate: replace(predicate, clock="pinned"))

    report = verify(published(tmp_path, rehearsal), state)

    assert bundles.failed(report) == []
    assert not state.exists()


def test_verify__state_not_writable__is_a_note(tmp_path: Path, state: Path) -> None:
    state.with_name("logs.json.lock").mkdir(parents=True)

    report = verify(published(tmp_path, Forge(before=BEFORE)), state)

    assert exit_code(report) == 0
    assert report.notes == (f"This log's checkpoint could not be remembered: {state}: Is a directory.",)


def test_verify__state_below_a_file__is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    report = verify(published(tmp_path, Forge(before=BEFORE)), tmp_path / "file" / "logs.json")

    assert exit_code(report) == 0
    assert any("Not a directory" in note for note in report.notes)


def test_verify__unreadable_statement_in_the_log__is_not_remembered(tmp_path: Path, state: Path) -> None:
    report = verify(published(tmp_path, Forge(before=(), alter_payload=lambda payload: b"{}")), state)

    assert exit_code(report) == 6
    assert not state.exists()


def test_verify__memory_of_another_trust_files_log__is_apart(tmp_path: Path, state: Path) -> None:
    remember(state, head(9, origin="example.com/other"), None)

    assert verify(published(tmp_path, Forge(before=BEFORE)), state).outcome("consistency") == "skipped"
