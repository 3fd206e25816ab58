"""Makes the vectors again from the tables in ``cases``: ``python -m tests.vectors.make [--check]``.

The same bytes come out each time (all keys are fixed, ECDSA is by RFC 6979). A vector whose outcome is not the one that
its table expects is not written: a fault of the verifier cannot become an expectation.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.vectors.cases import attacks, bundle, dsse, log, proof, trees
from tests.vectors.cases.case import Case
from tests.vectors.judge import judge
from tests.vectors.vector import FOLDER, Vector

README = Path(__file__).with_name("README.md")
CASES: tuple[Case, ...] = (*bundle.CASES, *proof.CASES, *trees.CASES, *log.CASES, *dsse.CASES)


class DisagreementError(Exception):
    """The verifier and the tables do not agree."""


def make() -> dict[str, bytes]:
    """Every vector's file by its path below ``v1``."""
    made, wrong = {}, []
    for case in CASES:
        data = case.input()
        outcome = judge(case.kind, data, case.at)
        wrong += [f"{case.kind}/{case.name}: {detail}" for detail in case.disagreements(outcome)]
        elsewhere = {"elsewhere": dict(case.elsewhere)} if case.elsewhere else {}
        expected = outcome | elsewhere | {"reason": case.reason}
        vector = Vector(case.name, case.kind, case.attack, case.description, case.at, data, expected)
        made[vector.path] = vector.to_bytes()
    twice = [path for path, count in Counter(f"{c.kind}/{c.name}" for c in CASES).items() if count > 1]
    wrong += [f"{path}: there twice" for path in twice]
    if wrong:
        raise DisagreementError("\n".join(wrong))
    return made


def differences() -> Iterator[str]:
    """What stands in the folder and would not be made so again."""
    made = make()
    there = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*.json")}
    yield from (f"{path}: no table makes it" for path in sorted(there.keys() - made.keys()))
    yield from (f"{path}: missing" for path in sorted(made.keys() - there.keys()))
    for path in sorted(there.keys() & made.keys()):
        if there[path].read_bytes() != made[path]:
            yield f"{path}: would be made otherwise"
    if attacks.with_table(README.read_text(), CASES) != README.read_text():
        yield "README.md: its table of attacks is not current"


def write() -> None:
    """Write all of them, and the README's table; remove what no table makes."""
    made = make()
    for path in FOLDER.rglob("*.json"):
        if str(path.relative_to(FOLDER)) not in made:
            path.unlink()
    for name, data in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(data)
    README.write_text(attacks.with_table(README.read_text(), CASES))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.make", description="Make the vectors again.")
    parser.add_argument("--check", action="store_true", help="only say what would be made otherwise (exit code 1)")
    try:
        if parser.parse_args().check:
            wrong = list(differences())
            sys.exit("\n".join(wrong) if wrong else 0)
        write()
    except DisagreementError as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
