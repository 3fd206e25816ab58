"""Ephemeral runners: no local state, an S3 store, one finishes what another began."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest import config, devnet, pipeline
from attest.environment import build
from tests.support.practice import Narration, Week

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket on an S3 server; its name."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"reserves-{secrets.token_hex(8)}"
    boto3.client("s3").create_bucket(Bucket=name)
    yield name
    server.stop()


def runner(operator: Week, bucket: str, folder: Path) -> Path:
    """A new machine: only the configuration, the keys and the statements, no store."""
    shutil.copytree(operator.folder, folder, ignore=shutil.ignore_patterns("private", "public"))
    text = (folder / "attest.toml").read_text()
    for store in ("private", "public"):
        text = text.replace(f"file://{store}", f"s3://{bucket}/{store}")
    (folder / "attest.toml").write_text(text)
    return folder / "attest.toml"


@pytest.mark.parametrize("stopped_after", ["open", "commit", "submit", "sign", "anchor"])
def test_run__second_runner_without_local_state__finishes_what_the_first_began(
    operator: Week, bucket: str, tmp_path: Path, stopped_after: str
) -> None:
    before = operator.sent()
    first = build(config.load(runner(operator, bucket, tmp_path / "first")), Narration())
    pipeline.run(first, devnet.PERIOD, until=stopped_after)
    root = None if first.private.get("runs/2026-W47/1/commitment") is None else first.private

    narration = Narration()
    second = build(config.load(runner(operator, bucket, tmp_path / "second")), narration)
    outcome = pipeline.run(second, devnet.PERIOD)
    assert (outcome.exit_code, outcome.already_done) == (0, False)
    done = [step for step, stored in narration.steps if stored]
    assert done[-1] == stopped_after
    if root is not None:
        assert root.get("runs/2026-W47/1/commitment") == second.private.get("runs/2026-W47/1/commitment")
    *reporters, publisher = [count - before[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([3, 3, 3], 1)
    assert not list((tmp_path / "second").glob("p*/"))

    third = build(config.load(runner(operator, bucket, tmp_path / "third")), Narration())
    assert pipeline.run(third, devnet.PERIOD).already_done
