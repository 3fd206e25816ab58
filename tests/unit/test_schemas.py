"""The generated schemas and the configuration's reference: complete, stable in name, and checked to be current."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jsonschema
import pytest
from click.testing import CliRunner

import attest
from attest import schemas
from attest.cli.main import cli
from attest.cli.output import Output
from attest.config import Section
from attest.errors import OperatorError

ROOT = Path(__file__).parents[2]


def documents() -> Iterator[tuple[str, type[Any]]]:
    """Every record of the package that is a document of its own: (its ``format`` without our name and version, it)."""
    for module in walk_packages(attest.__path__, "attest."):
        for thing in vars(import_module(module.name)).values():
            if not (isinstance(thing, type) and is_dataclass(thing) and thing.__module__ == module.name):
                continue
            hint = get_type_hints(thing).get("format") if "format" in {field.name for field in fields(thing)} else None
            if get_origin(hint) is Literal:
                for text in get_args(hint):  # one for each version
                    yield text.removeprefix("attest-").partition("/")[0], thing


def test_records__every_versioned_document_of_the_package__has_its_schema() -> None:
    found = dict(documents())
    assert len(found) > 20
    assert {name: schemas.RECORDS.get(name) for name in found} == found


@pytest.mark.parametrize("name", schemas.NAMES)
def test_schema__each__is_valid_named_and_described(name: str) -> None:
    schema = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:reserve-attest:schema:{name}:v1"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"]
    assert schema["additionalProperties"] is False


def invoke(*words: str, as_json: bool = False) -> Any:
    return CliRunner().invoke(cli, ["schemas", *words], obj=Output(json=as_json))


def test_schemas__no_argument__lists_every_name() -> None:
    lines = invoke().output.splitlines()
    assert [line.split()[0] for line in lines] == list(schemas.NAMES)
    assert max(map(len, lines)) <= 80


def test_schemas__a_name__prints_that_schema() -> None:
    assert json.loads(invoke("statement").output) == schemas.schema("statement")


def test_schemas__json__prints_all_by_name() -> None:
    assert set(json.loads(invoke("--json", as_json=True).output)) == set(schemas.NAMES)


@pytest.mark.parametrize(
    "words", [("nonsense",), ("statement", "--write", "x"), ("--write", "x", "--check", "y")], ids=" ".join
)
def test_schemas__contradictory_or_unknown_words__is_a_usage_error(words: tuple[str, ...]) -> None:
    assert invoke(*words).exit_code == 2


def test_schemas__written_and_checked__are_current_until_touched(tmp_path: Path) -> None:
    folder = tmp_path / "new/schemas"
    assert invoke("--write", str(folder)).exit_code == 0
    assert invoke("--check", str(folder)).output == f"current: {folder}\n"
    document = json.loads(invoke("--check", str(folder), "--json", as_json=True).output)
    assert document["files"] == sorted(path.name for path in folder.iterdir())
    (folder / "feed.v1.json").write_text("{}")
    (folder / "trust.v1.json").unlink()
    (folder / "old.v0.json").write_text("{}")
    with pytest.raises(OperatorError) as caught:
        schemas.check(folder, schemas.files(), whole_folder=True)
    for complaint in ("feed.v1.json is not current", "trust.v1.json is missing", "old.v0.json is not generated"):
        assert complaint in caught.value.message
    assert isinstance(invoke("--check", str(folder)).exception, OperatorError)


def test_write__folder_cannot_be_made__is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        schemas.write(tmp_path / "file/schemas", {"a": ""})


# -- the reference of attest.toml ------------------------------------------------------------------------------------


def sections(cls: type[Section]) -> Iterator[type[Section]]:
    yield cls
    for inner in cls.__subclasses__():
        yield from sections(inner)


def test_configuration_reference__every_key_of_every_section__has_a_described_row() -> None:
    rows = [line for line in schemas.configuration_reference().splitlines() if line.startswith("| `")]
    keys = {row.split("`")[1] for row in rows}
    for section in sections(Section):
        for key in section.model_fields:
            assert key in keys, f"{section.__name__}.{key}"
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4
        assert all(cells), row


@pytest.mark.parametrize(
    "line",
    [
        "## `[schedule]`",
        "## `[chains.<name>.fees]`",
        "## `[[accounts.<name>.sources]]`",
        "| `weekday` | `monday`, `tuesday`, `wednesday`, `thursday`, `friday`, `saturday`, `sunday` | `sunday` "
        "| The weekday of the cutoff. |",
        "| `request_timeout_seconds` | integer from 1 | `20` | Total time of one request. |",
        "| `max_difference_bps` | integer from 0 to 10000 | `100` | How far the on-chain consensus may lie from our "
        "reserve (other operators' reports). |",
        "| `publisher` | `[[signing.reporters]]` | required | Anchors the statement in the registry. |",
        "| `attestors` | list of `[[signing.attestors]]` | required | Sign statements, never transactions. |",
        "| `schedule` | `[schedule]` | its defaults | When balances are taken, and how long a run may try. |",
        "| `tokens` | `[tokens.<name>]` | required | A token and all its deployments. |",
        "| `issuer_hosted` | boolean | `false` | True if the issuer itself hosts or produces this source. |",
        "| `holidays` | list of date | empty | Dates without statement, besides weekends. |",
        "| `options` | table of any | empty | The format's own options. |",
        "| `password` | secret reference | none | Reference to the keystore's password. |",
    ],
)
def test_configuration_reference__kinds_of_keys__read_like_this(line: str) -> None:
    assert line in schemas.configuration_reference().splitlines()


def test_configuration_reference__written_and_checked__is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "configuration.md"
    assert invoke("--configuration-reference", "--write", str(path)).exit_code == 0
    assert path.read_text(encoding="utf-8") == invoke("--configuration-reference").output
    (tmp_path / "other.md").write_text("")
    assert invoke("--configuration-reference", "--check", str(path)).exit_code == 0
    path.write_text("")
    assert isinstance(invoke("--configuration-reference", "--check", str(path)).exception, OperatorError)
