"""Create-once stores: one winner, nothing half-written, and no failure that looks like absence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import OperatorError
from attest.store import (
    PROBE,
    LocalStore,
    ObjectStore,
    OverlayStore,
    Store,
    check_key,
    check_writable,
    get_or_create,
    open_store,
)

KEYS = ["a", "runs/2026-W47/1/open", "tile/0/x001/067.p/5", "a@b+c=d_e-f", "x" * 200]
NOT_KEYS = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a b", "a\n", "ä", "a\0b"),
    *(".tmp-0", "a/.hidden", "~", "a:b", "C:/x", "%2e%2e/a", "a?b", "a*"),
]
NOBODY = 65534


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@contextmanager
def unprivileged(folder_mode: int) -> Iterator[Path]:
    """A folder of that mode which the current user owns, seen by a user whom modes bind."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name, "store")
        folder.mkdir()
        (folder / "old").write_bytes(b"old")
        folder.chmod(folder_mode)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def in_process(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A second process that runs ``code`` with ``store``, ``words`` and ``os`` at hand."""
    head = (
        "import os, sys\nfrom pathlib import Path\nfrom attest.store import LocalStore\n"
        "store, words = LocalStore(Path(sys.argv[1])), sys.argv[2:]\n"
    )
    return subprocess.Popen([sys.executable, "-c", head + code, *arguments], stdout=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.decode()


# -- what every store promises ---------------------------------------------------------------------------------------


def test_create__key_is_new__stores_the_bytes_once(store: LocalStore) -> None:
    assert store.create("runs/a", b"first")
    assert not store.create("runs/a", b"second")
    assert store.get("runs/a") == b"first"


def test_create__no_bytes__are_an_object_too(store: LocalStore) -> None:
    assert store.create("empty", b"")
    assert store.get("empty") == b""
    assert not store.create("empty", b"x")


@pytest.mark.parametrize("key", ["absent", "runs/a/below-an-object", "runs/absent"])
def test_get__key_was_never_created__is_none(store: LocalStore, key: str) -> None:
    store.create("runs/a", b"data")
    assert store.get(key) is None


def test_replace__pointer__has_the_newest_bytes(store: LocalStore) -> None:
    store.replace("log/checkpoint", b"1")
    store.replace("log/checkpoint", b"2")
    assert store.get("log/checkpoint") == b"2"
    assert store.list("") == ["log/checkpoint"]


def test_list__prefix__is_a_folder_not_a_beginning(store: LocalStore) -> None:
    for key in ["runs/2/a", "runs/1/b", "runs/10/c", "runs/1x", "other/d"]:
        store.create(key, b"")
    assert store.list("runs/1") == ["runs/1/b"]
    assert store.list("runs") == ["runs/1/b", "runs/10/c", "runs/1x", "runs/2/a"]
    assert store.list("") == ["other/d", "runs/1/b", "runs/10/c", "runs/1x", "runs/2/a"]
    assert store.list("absent") == []
    assert store.list("other/d") == []


def test_list__files_that_no_key_names__are_not_objects(store: LocalStore) -> None:
    store.create("folder/a", b"")
    for name in [".tmp-00", ".DS_Store", "read me.txt"]:
        (store.root / "folder" / name).write_bytes(b"")
    assert store.list("") == ["folder/a"]


@pytest.mark.parametrize("key", KEYS)
def test_check_key__plain_key__is_returned(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", NOT_KEYS)
def test_every_operation__key_that_could_leave_the_store__is_refused(store: LocalStore, key: str) -> None:
    overlay = OverlayStore(store)
    remote = ObjectStore("s3://bucket", None)
    operations: list[Callable[[str], object]] = [check_key]
    for each in (store, overlay, remote):
        operations += [each.get, lambda k, s=each: s.create(k, b""), lambda k, s=each: s.replace(k, b"")]  # type: ignore[misc]
        if key:
            operations.append(each.list)
    for operation in operations:
        with pytest.raises(ValueError, match="not a store key"):
            operation(key)
    assert not store.root.exists()


@given(st.text(max_size=30))
def test_check_key__anything_accepted__stays_inside_the_folder(key: str) -> None:
    try:
        check_key(key)
    except ValueError:
        return
    root = Path("/store")
    assert Path(os.path.normpath(root / key)).is_relative_to(root)
    assert os.path.normpath(root / key) == str(root / key)


# -- get_or_create ---------------------------------------------------------------------------------------------------


def test_get_or_create__object_exists__does_not_compute(store: LocalStore) -> None:
    store.create("a", b"stored")
    assert get_or_create(store, "a", lambda: pytest.fail("computed again")) == b"stored"


def test_get_or_create__object_is_absent__computes_and_stores(store: LocalStore) -> None:
    assert get_or_create(store, "a", lambda: b"computed") == b"computed"
    assert store.get("a") == b"computed"


def test_get_or_create__another_writer_wins_meanwhile__is_the_winners_bytes(store: LocalStore) -> None:
    def compute() -> bytes:
        store.create("a", b"winner")
        return b"loser"

    assert get_or_create(store, "a", compute) == b"winner"


class Forgetful(OverlayStore):
    """Says that every object exists and shows none."""

    def create(self, key: str, data: bytes) -> bool:
        return False


def test_get_or_create__store_refuses_and_shows_nothing__raises(store: LocalStore) -> None:
    with pytest.raises(OperatorError) as caught:
        get_or_create(Forgetful(store), "a", lambda: b"")
    assert caught.value.code == "store-inconsistent"
    assert store.url in caught.value.message


def test_check_writable__store_that_keeps_the_first_write__passes_again_and_again_and_leaves_nothing(
    store: LocalStore,
) -> None:
    check_writable(store)
    check_writable(store)
    assert store.list("") == []


class Undeletable(LocalStore):
    """Whose identity may not delete."""

    def discard_probe(self) -> None:
        pass


def test_check_writable__probe_that_cannot_be_taken_away__passes_and_leaves_one_object(store: LocalStore) -> None:
    undeletable = Undeletable(store.root)
    check_writable(undeletable)
    check_writable(undeletable)
    assert store.list("") == [PROBE]


class Crowded(LocalStore):
    """Another who asks at the same time takes the probe away, once."""

    crowd = 1

    def replace(self, key: str, data: bytes) -> None:
        super().replace(key, data)
        if self.crowd:
            self.crowd -= 1
            self.discard_probe()


def test_check_writable__probe_taken_away_by_another__asks_again(store: LocalStore) -> None:
    check_writable(Crowded(store.root))
    assert store.list("") == []


class Overwriting(OverlayStore):
    """Takes every write as the first."""

    def create(self, key: str, data: bytes) -> bool:
        self.replace(key, data)
        return True


def test_check_writable__store_that_lets_the_second_writer_in__is_refused(store: LocalStore) -> None:
    with pytest.raises(OperatorError) as caught:
        check_writable(Overwriting(store))
    assert caught.value.code == "store-overwrites"


# -- local disk: concurrency, crashes, faults ------------------------------------------------------------------------


def test_create__many_processes_at_once__exactly_one_wins_and_all_read_it(store: LocalStore) -> None:
    store.root.mkdir()
    code = (
        "print('ready', flush=True)\n"
        "while not Path(words[0]).exists(): pass\n"
        "made = [store.create(f'deep/{n}/key', words[1].encode() * 1000) for n in range(20)]\n"
        "print(*map(int, made))\n"
    )
    go = store.root.parent / "go"
    processes = [in_process(code, str(store.root), str(go), word) for word in "abcd"]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    go.touch()
    results = [finish(process) for process in processes]
    assert [code for code, _ in results] == [0] * 4
    made = [[int(word) for word in output.split()] for _, output in results]
    assert [sum(each) for each in zip(*made, strict=True)] == [1] * 20
    for n in range(20):
        (winner,) = [word for word, row in zip("abcd", made, strict=True) if row[n]]
        assert store.get(f"deep/{n}/key") == winner.encode() * 1000
    assert list((store.root / ".tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("crash_at", "calls", "survives"),
    [("open", 1, False), ("fsync", 1, False), ("link", 1, False), ("unlink", 1, True), ("fsync", 3, True)],
)
def test_create__process_dies_midway__leaves_the_whole_object_or_none(
    store: LocalStore, crash_at: str, calls: int, survives: bool
) -> None:
    # fsync: the folder made below the root, then the temporary file, then the folder that holds the new link.
    store.root.mkdir()
    code = (
        "store.create('runs/before', b'')\n"
        "name, count, real = words[0], int(words[1]), getattr(os, words[0])\n"
        "def dying(*arguments, **options):\n"
        "    global count\n"
        "    count -= 1\n"
        "    if count == 0: os._exit(9)\n"
        "    return real(*arguments, **options)\n"
        "setattr(os, name, dying)\n"
        "store.create('runs/a', b'data' * 10_000)\n"
    )
    if crash_at == "fsync":
        calls -= survives  # the folder exists already: only the file and the folder are synced
    exit_code, _ = finish(in_process(code, str(store.root), crash_at, str(calls)))
    assert exit_code == 9
    assert store.get("runs/a") == (b"data" * 10_000 if survives else None)
    assert store.list("") == (["runs/a", "runs/before"] if survives else ["runs/before"])
    assert store.create("runs/a", b"again") is not survives
    assert get_or_create(store, "runs/a", lambda: b"") == (b"data" * 10_000 if survives else b"again")


def test_create__object_is_new__file_is_synced_before_its_name_and_the_folder_after(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("runs/before", b"")
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def watched_fsync(descriptor: int) -> None:
        steps.append("sync folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "sync file")  # noqa: PTH112
        fsync(descriptor)

    def watched_link(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "link", watched_link)
    store.create("runs/a", b"data")
    assert steps == ["sync file", "link", "sync folder"]


def test_create__object_is_there_already__its_folder_is_synced_before_anything_builds_on_it(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("a", b"data")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    assert not store.create("a", b"other")
    assert len(synced) == 1


@pytest.mark.parametrize("operation", ["create", "replace"])
def test_write__disk_is_full__raises_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    store.create("runs/old", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperatorError, match="cannot write runs/new") as caught:
        getattr(store, operation)("runs/new", b"data")
    assert "No space left on device" in caught.value.message
    assert caught.value.code == "store-unavailable"
    monkeypatch.undo()
    assert [path.name for path in (store.root / "runs").iterdir()] == ["old"]


def test_write__file_larger_than_allowed__raises_and_leaves_nothing(store: LocalStore) -> None:
    store.root.mkdir()
    code = (
        "import resource\nfrom attest.errors import OperatorError\n"
        "unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))\n"
        "try: store.create('big', b'x' * 5000)\n"
        "except OperatorError as fault: print(fault)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)\n"
    )
    exit_code, output = finish(in_process(code, str(store.root)))
    assert exit_code == 0
    assert "cannot write big (File too large)" in output
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_write__folder_is_read_only__raises_and_reading_still_works() -> None:
    with unprivileged(0o555) as folder:
        store = LocalStore(folder)
        for write in (store.create, store.replace):
            with pytest.raises(OperatorError, match=r"cannot write new \(Permission denied\)"):
                write("new", b"data")
        assert store.get("old") == b"old"
        assert store.list("") == ["old"]


def test_any_operation__folder_may_not_be_entered__raises_instead_of_saying_absent() -> None:
    with unprivileged(0o000) as folder:
        store = LocalStore(folder)
        for operation in (store.get, store.list, lambda key: store.create(key, b"")):
            with pytest.raises(OperatorError, match="Permission denied"):
                operation("old")


def test_any_operation__root_is_a_file__reads_nothing_and_refuses_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(tmp_path / "file")
    assert store.get("a") is None
    assert store.list("") == []
    with pytest.raises(OperatorError, match="cannot write a"):
        store.create("a", b"")


def test_create__key_below_an_object__is_refused_and_the_object_stays(store: LocalStore) -> None:
    store.create("a", b"data")
    with pytest.raises(OperatorError, match="cannot write a/b"):
        store.create("a/b", b"")
    assert store.get("a") == b"data"


# -- the overlay of a rehearsal --------------------------------------------------------------------------------------


def test_overlay__anything_written__is_seen_there_and_not_in_the_store(store: LocalStore) -> None:
    store.create("old", b"old")
    overlay = OverlayStore(store)
    assert overlay.url == store.url
    assert not overlay.create("old", b"new")
    assert overlay.create("runs/new", b"")
    assert not overlay.create("runs/new", b"again")
    overlay.replace("old", b"replaced")
    assert overlay.get("old") == b"replaced"
    assert overlay.get("runs/new") == b""
    assert overlay.get("absent") is None
    assert overlay.list("") == ["old", "runs/new"]
    assert overlay.list("runs") == ["runs/new"]
    assert store.list("") == ["old"]
    assert store.get("old") == b"old"


# -- opening by URL --------------------------------------------------------------------------------------------------


def test_open_store__relative_file_url__is_below_the_base(tmp_path: Path) -> None:
    store: Store = open_store("file://private", base=tmp_path)
    store.create("a", b"data")
    assert (tmp_path / "private/a").read_bytes() == b"data"
    assert store.url == f"file://{tmp_path}/private"


def test_open_store__absolute_file_url__is_that_folder(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/x", base=Path("/elsewhere")).url == f"file://{tmp_path}/x"


@pytest.mark.parametrize("url", ["ftp://host/x", "private", "", "S4://bucket", "https://bucket.example.com"])
def test_open_store__unknown_scheme__is_refused_with_the_ones_there_are(tmp_path: Path, url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_store(url, base=tmp_path)
    assert caught.value.code == "unknown-store"
    assert "file://PATH" in caught.value.advice


@pytest.mark.parametrize("url", ["s3://", "az://", "gs://"])
def test_open_store__url_without_bucket__is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_store(url, base=tmp_path)
    assert caught.value.code == "store-unavailable"
    assert url in caught.value.message


@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o644)])
def test_local_store__private_or_public__is_readable_by_its_owner_or_by_all(
    tmp_path: Path, secret: bool, mode: int
) -> None:
    store = open_store("file://store", base=tmp_path, secret=secret)
    store.create("a/leaf", b"x")
    store.replace("a/page", b"x")
    assert [(tmp_path / "store/a" / name).stat().st_mode & 0o777 for name in ("leaf", "page")] == [mode, mode]


def test_local_store__killed_in_the_middle_of_a_create__leaves_nothing_beside_the_objects(tmp_path: Path) -> None:
    """A published folder holds its own files and nothing else, or its readers would refuse it."""
    script = (
        "import os, sys; from pathlib import Path; from attest.store import LocalStore;"
        "store = LocalStore(Path(sys.argv[1])); store.create('bundle/first', b'1');"
        "os.link = lambda *_: os._exit(9); store.create('bundle/second', b'2')"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["first"]
    store = LocalStore(tmp_path)
    assert store.list("") == ["bundle/first"]
    assert store.create("bundle/second", b"2")
