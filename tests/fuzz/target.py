"""Fuzzes one format, as a process of its own: ``python -m tests.fuzz.target FORMAT FINDINGS [libFuzzer's arguments]``.

What a reader does that it must not is written to the folder FINDINGS, once for each place in the code; then it goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

warnings.simplefilter("ignore")  # zipfile's, of duplicate names that the mutations write
with atheris.instrument_imports(include=["attest"], enable_loader_override=False):
    from attest.custody import formats, unpack  # noqa: F401 - instrumented here, used by inputs
    from attest.custody.formats import BUILT_IN

    for _place in BUILT_IN.values():
        import_module(_place.partition(":")[0])
    from tests.fuzz import inputs, mutations

#: No input of a few kilobytes may take longer.
SLOW_SECONDS = 1.0


def main() -> None:
    format_name, findings = sys.argv[1], Path(sys.argv[2])
    seen: set[tuple[str, ...]] = set()

    def note(signature: tuple[str, ...], text: str, data: bytes) -> None:
        if signature not in seen:
            seen.add(signature)
            name = f"{format_name}-{hashlib.sha256(repr(signature).encode()).hexdigest()[:12]}"
            (findings / f"{name}.input").write_bytes(data)
            (findings / f"{name}.txt").write_text(text, encoding="utf-8", errors="backslashreplace")

    def one(data: bytes) -> None:
        begin = time.process_time()
        try:
            inputs.read(format_name, data)
        except Exception as fault:
            frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)[-3:]]
            note((type(fault).__name__, *frames), traceback.format_exc(), data)
        seconds = time.process_time() - begin
        if seconds > SLOW_SECONDS:
            note(("slow",), f"slow: {seconds:.1f} s", data)

    for seed in inputs.seeds(format_name):  # imports what is imported at first use, which takes its time
        with contextlib.suppress(Exception):
            inputs.read(format_name, seed)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutations.mutated(format_name, data, max_size, seed, atheris.Mutate)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
