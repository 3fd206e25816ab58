"""What the command line imports: auditors' commands need the core install alone, and ``--version`` nearly nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = [
    "boto3",
    "eth_account",
    "httpx2",
    "jinja2",
    "moto",
    "obstore",
    "pydantic",
    "pymerkle",
    "rich",
    "stamina",
    "web3",
]

# Runs a command as an installed core would: other libraries cannot be imported, and what was imported is printed.
RUNNER = """
import json, sys
allowed = set(json.loads(sys.argv[1])) | set(sys.stdlib_module_names) | {"attest"}
class Core:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Core())
from attest.cli.main import main
try:
    main(json.loads(sys.argv[2]))
except SystemExit as end:
    print(end.code or 0, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""
#: What `pip install reserve-attest` brings: click and cryptography with cffi.
CORE = ["click", "cryptography", "cffi", "_cffi_backend", "pycparser", "colorama"]


def run(*words: str, allowed: list[str]) -> tuple[int, str, set[str]]:
    """Exit code, stdout and the imported top-level modules of an ``attest`` command."""
    command = [sys.executable, "-c", RUNNER, json.dumps(allowed), json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), done.stdout, set(modules)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--version",), "attest, version"),
        (("--help",), "verify-proof"),
        (("verify", "--help"), "BUNDLE"),
        (("verify-proof", "--help"), "--statement"),
        (("schemas", "statement"), "urn:reserve-attest:schema:statement:v1"),
    ],
)
def test_auditors_command__core_install__works(words: tuple[str, ...], shown: str) -> None:
    code, output, _ = run(*words, allowed=CORE)
    assert code == 0
    assert shown in output


def test_verify__core_install__gets_as_far_as_reading_the_bundle(tmp_path: Path) -> None:
    code, output, _ = run("verify", str(tmp_path), "--trust", str(tmp_path / "trust.json"), "--json", allowed=CORE)
    assert code in (2, 6)
    assert "trust.json" in json.loads(output)["error"]


def test_operators_command__core_install__names_the_extra_to_install() -> None:
    code, output, _ = run("doctor", "--json", allowed=CORE)
    assert code == 2
    document = json.loads(output)
    assert document["code"] == "extra-missing"
    assert "pip install 'reserve-attest[run]'" in document["advice"]


def test_command__library_of_an_extra_is_missing__is_named_with_its_extra() -> None:
    from attest.cli.main import _EXTRAS

    extras = PROJECT["optional-dependencies"]
    declared = {
        re.split(r"[\[<>=]", one)[0].replace("-", "_"): extra
        for extra in ("run", "sql", "sftp", "signatures", "timestamp", "notify")
        for one in extras[extra]
    }
    # Data, and what only other libraries import.
    assert {
        name: extra for name, extra in declared.items() if name not in {"coincurve", "markupsafe", "tzdata"}
    } == _EXTRAS


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("verify", "--help"), ("run", "--help")])
def test_light_command__everything_installed__imports_no_heavy_library(words: tuple[str, ...]) -> None:
    code, _, modules = run(*words, allowed=[*CORE, *HEAVY])
    assert code == 0
    assert modules.isdisjoint(HEAVY)


def test_version__everything_installed__does_not_even_import_cryptography() -> None:
    _, _, modules = run("--version", allowed=CORE)
    assert "cryptography" not in modules


# -- what is imported is declared ------------------------------------------------------------------------------------


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every absolute import below ``folder``, those inside functions too: (file, top-level module)."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.split(".")[0]


def normalised(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()  # type: ignore[index]


def test_package__every_library_that_it_imports__is_a_declared_dependency() -> None:
    extras = PROJECT["optional-dependencies"]
    core = {normalised(one) for one in PROJECT["dependencies"]}
    operators = core | {normalised(one) for extra in extras.values() for one in extra} - {"reserve-attest"}
    auditors = core | {normalised(one) for one in extras["chain-proof"]}
    by_choice = {"keyring"}  # whoever refers to it in a configuration installs it
    distributions = metadata.packages_distributions()
    for path, module in imports(ROOT / "attest"):
        if module in sys.stdlib_module_names or module == "attest":
            continue
        declared = by_choice | (auditors if "verify" in path.relative_to(ROOT).parts else operators)
        owners = {normalised(owner) for owner in distributions.get(module, [module])}
        assert owners & declared, f"{path.relative_to(ROOT)} imports {module}, which pyproject.toml does not declare"


def test_package__its_inits__are_empty() -> None:
    filled = [path for path in (ROOT / "attest").rglob("*/__init__.py") if path.read_bytes()]
    assert filled == []
