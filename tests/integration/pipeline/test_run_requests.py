"""How many HTTP requests a run needs: few, and no more for thirty tokens than for three."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest import config, devnet, pipeline
from attest.environment import build
from tests.support.many import due_week
from tests.support.practice import Narration

MOST_REQUESTS = 16


def requests_of_a_run(folder: Path, *, tokens: int, reporters: int) -> int:
    with due_week(folder, tokens=tokens, reporters=reporters):
        environment = build(config.load(folder / "attest.toml"), Narration())
        assert pipeline.run(environment, devnet.PERIOD).exit_code == 0
        (sent,) = environment.client("main").requests_sent.values()
        return sent


@pytest.mark.parametrize("reporters", [1, 3])
def test_run__three_and_thirty_tokens__need_the_same_few_requests(tmp_path: Path, reporters: int) -> None:
    few = requests_of_a_run(tmp_path / "three", tokens=3, reporters=reporters)
    many = requests_of_a_run(tmp_path / "thirty", tokens=30, reporters=reporters)
    assert few <= MOST_REQUESTS
    assert many <= few
