"""Every format on documents made to exhaust the machine: refused, or read, in bounded memory and time.

``ATTEST_SOAK=1`` (``make soak``) makes them as large as each format takes, and the largest transports bring; else they
are small enough for every run of the tests, and their bounds too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attest.custody import formats
from attest.custody.document import MAX_BYTES, Document
from attest.errors import SourceError
from tests.support import hostile

ROOT = Path(__file__).parents[3]
SOAK = os.environ.get("ATTEST_SOAK") == "1"
MIB = 1 << 20
#: A refusal's code, or how many balances were read. Whatever else a reader raises is named as Python names it.
REFUSED_OR_READ = re.compile(r"[a-z]+(?:-[a-z0-9]+)*|[0-9]+")
#: Statements that are streamed take no more than this, however large they are.
STREAMED = {"camt053", "camt052"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
Ask = Callable[[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def measured() -> Iterator[Ask]:
    """Reads one shape of so many bytes in a process of its own."""
    # What measures coverage takes memory and time itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "tests.support.hostile"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def ask(shape: str, size: int) -> dict[str, Any]:
            asked.write(f"{shape} {size}\n")
            asked.flush()
            said: dict[str, Any] = json.loads(answers.readline())
            return said

        yield ask
        asked.close()


def size_of(shape: str) -> int:
    """As large as the format takes, unpacked: a gigabyte. In every run 128 KiB, unpacked more than the format takes."""
    format_name, _, name = shape.partition(":")
    if name in hostile.PACKED and name != "gzip-members":
        return 1024 * MIB if SOAK else 66 * MIB
    if not SOAK:
        return MIB // 8
    return 300 * MIB if format_name in STREAMED else formats.find(format_name, "").max_bytes - MIB // 2


def test_shapes__every_built_in_format__has_some() -> None:
    assert {name for name in formats.BUILT_IN if not hostile.SHAPES.get(name)} == set()


@pytest.mark.parametrize("shape", hostile.names())
def test_read__hostile_document__takes_bounded_memory_and_time(shape: str, measured: Ask) -> None:
    said = measured(shape, size_of(shape))
    assert REFUSED_OR_READ.fullmatch(said["outcome"]), said
    assert said["message_length"] < 400, said
    streamed = shape.partition(":")[0] in STREAMED
    assert said["mib"] < (60 if streamed else 350 if SOAK else 100), said
    assert said["seconds"] < (240 if SOAK else 20), said
    if SOAK:
        quarter = max(measured(shape, size_of(shape) // 4)["seconds"], 0.5)
        assert said["seconds"] < 10 * quarter, "its time grows faster than its size"


def test_document__a_line_of_a_gigabyte__is_refused_before_it_is_read_whole() -> None:
    taken = 0

    def line() -> Iterator[bytes]:
        nonlocal taken
        while taken < 1024 * MIB:
            taken += MIB
            yield bytes(MIB)

    limit = MAX_BYTES if SOAK else 16 * MIB
    with pytest.raises(SourceError, match=f"^a.sta: is larger than {limit // MIB} MiB$") as caught:
        Document("a.sta", line(), limit=limit)
    assert caught.value.code == "file-too-large"
    assert taken == limit + MIB
